/* SPDX-License-Identifier: MIT
 * A host for the checks of the script room: a core and a Lua state in virtual time, files from memory, everything
 * said captured. */
#ifndef SCRIPT_HOST_H
#define SCRIPT_HOST_H

#include "check.h"
#include "core/core.h"
#include "script/script.h"

#define HOST_FILES 16

typedef struct host {
  tr_core *core;
  tr_script *script;
  tr_log log;
  tr_error error;  /* of the last call */
  tr_time now;
  bool exited;
  int status;
  int changes;     /* calls of classes_changed */
  char *logged, *printed; /* lines, each with its newline */
  size_t logged_size, printed_size;
  struct host_file { const char *path; const char *text; } files[HOST_FILES];
  bool from_disk;  /* files that are not given are read from disk */
  size_t memory_limit;
  tr_time clock_step; /* running time goes on by so much at each look at it; 0: it is not looked at */
  tr_time clock;
  tr_codecs *codecs; /* borrowed; NULL: the script's own */
} host;

void host_open(host *h);
int host_try_open(host *h); /* 0 or TR_EMEMORY; then nothing is open */
void host_close(host *h);
/* Make or change a file; text NULL: remove it. Texts are borrowed. */
void host_file(host *h, const char *path, const char *text);
/* tr_script_load from the files above, then start. */
int host_load(host *h, const char *path);
/* The same for a text that is given a name. */
int host_source(host *h, const char *name, const char *text);
int host_reload(host *h, size_t *changed);
/* Step until nothing is ready. */
void host_settle(host *h);
/* Step, moving time to the next timer, until nothing can happen any more or so many seconds passed. */
void host_run(host *h, double seconds);
void host_publish(host *h, const char *topic, const char *type, const char *json);
void host_send(host *h, const char *agent, const char *type, const char *json);
/* The answer as "TYPE JSON", or "code: text". Valid until the next call. */
const char *host_call(host *h, const char *agent, const char *type, const char *json);
/* A request, and nothing is waited for. */
void host_ask(host *h, const char *agent, const char *type, tr_reply_fn fn, void *ud);
/* The same for a caller that is not troupe. */
const char *host_foreign_call(host *h, const char *agent, const char *type, const char *json);
bool host_logged(const host *h, const char *text);
size_t host_log_count(const host *h, const char *text);

#endif
