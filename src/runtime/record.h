/* SPDX-License-Identifier: MIT
 * Records of what agents received and did, and running them again. record.c says what is in one, replay.c how it is run. */
#ifndef TR_RUNTIME_RECORD_H
#define TR_RUNTIME_RECORD_H

#include "runtime/runtime.h"

#define TR_RECORD_FORMAT 2 /* 1 had no looks */
#define TR_LOOKS_MOST 100 /* values of a kind that one turn may have in it: who waits by looking at a clock would fill it */
extern const char *const tr_look_names[TR_LOOK_KINDS];
#define TR_RECORD_LIMIT (UINT64_C(256) << 20) /* bytes of a record, unless told otherwise */

/* --- looks.c --- */
/* It will be recorded, with what scripts learn of the time and of random numbers. Before anything is loaded; else a record is without that. */
int tr_runtime_will_record(troupe_t *rt);

/* --- record.c --- */
typedef struct tr_record_options {
  const char *path;
  uint64_t limit;           /* past it it ends, and says so; 0: TR_RECORD_LIMIT */
  const char *const *files; /* what is loaded, and its arguments: for who runs it again */
  int file_count;
  const char *const *args;
  int arg_count;
} tr_record_options;
/* From now on, until the agents are closed or the limit is reached. What lay at the path is kept as PATH.old. After states are restored and
 * files are loaded, before anything runs. TR_EIO, TR_EMEMORY: see troupe_error. */
int tr_runtime_record(troupe_t *rt, const tr_record_options *options);
void tr_record_end(troupe_t *rt);   /* with the agents' states; while all isolates stand still */
void tr_record_close(troupe_t *rt); /* as it is. Nothing where nothing is recorded */
/* The states of agents ("type/key", "type"; NULL: all) as lines of a record, each to fn. */
int tr_record_states(troupe_t *rt, const char *agent, void (*fn)(void *ud, tr_slice line), void *ud, tr_error *error);

/* --- replay.c --- */
typedef struct tr_rerun tr_rerun;
/* Read a record, as far as it is about this agent ("type/key"; "type": all of that type). own: *out, until tr_rerun_free. err: TR_EIO,
 * TR_EINVALID with the line, TR_ENOT_FOUND: it has no such agent; TR_EMEMORY. */
int tr_rerun_open(tr_mem *mem, const char *path, const char *agent, tr_rerun **out, tr_error *error);
void tr_rerun_free(tr_rerun *replay);
const char *tr_rerun_file(const tr_rerun *replay, size_t i);     /* what was loaded when it was made; NULL: there are no more */
const char *tr_rerun_argument(const tr_rerun *replay, size_t i); /* and its arguments */
/* A runtime in the record's time: load agents there. log as of troupe_options_t; it is freed with the replay. */
int tr_rerun_runtime(tr_rerun *replay, const troupe_options_t *options, troupe_t **out, tr_error *error);
/* The agent's type is not in what was loaded: this file is put out, to be loaded again, and its agents that say no `type` will have
 * this one: a file that stands in for another has another name. False: it is there, or no such file is; nothing was done. */
bool tr_rerun_stand_in(tr_rerun *replay, const char *path);
/* Run it, once. */
int tr_rerun_run(tr_rerun *replay, tr_error *error);
/* What came of it. i from 0; NULL: there are no more. Texts are lines, each with its end: sections "handled:", "sent:", "state:". */
typedef struct tr_reran { const char *agent; size_t messages; tr_slice recorded, replayed; } tr_reran;
const tr_reran *tr_rerun_result(const tr_rerun *replay, size_t i);
const char *tr_rerun_note(const tr_rerun *replay, size_t i); /* what is to be told besides, a line */

#endif
