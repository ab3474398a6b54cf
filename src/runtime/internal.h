/* SPDX-License-Identifier: MIT
 * The runtime's own structure, shared by the files of this room. */
#ifndef TR_RUNTIME_INTERNAL_H
#define TR_RUNTIME_INTERNAL_H

#include "net/net.h"
#include "net/watch.h"
#include "runtime/runtime.h"

/* Ending goes step by step; each waits for the one before it, or for the deadline. */
typedef enum {
  TR_STAGE_RUNNING = 0,
  TR_STAGE_DRAIN,  /* what is queued is handled */
  TR_STAGE_CLOSE,  /* close hooks run */
  TR_STAGE_LEAVE,  /* uplinks send what they have and leave, the host's streams end */
  TR_STAGE_DONE    /* troupe_run returns */
} tr_stage;

typedef struct tr_crew tr_crew;       /* isolate.h */
typedef struct tr_isolate tr_isolate;
typedef struct tr_c_call tr_c_call;
typedef struct tr_c_subscription tr_c_subscription;

struct tr_uplink {
  troupe_t *rt;
  tr_link all;
  tr_worker *worker;
  tr_net_conn *conn;
  tr_net_dial *dial;
  tr_uplink_fn fn;
  void *ud;
  char address[TR_ADDRESS_MAX];
};

struct troupe {
  troupe_options_t options;
  tr_mem mem;
  tr_log log;
  tr_error error; /* of the last call */
  bool bad_value; /* and that was a value that could not be made */
  tr_core *core;
  tr_script *script;
  tr_crew *crew;      /* the isolates, this one among them; NULL: there is only this one */
  bool started;       /* tr_script_start was called for all that is loaded */
  bool in_poll, in_loop; /* no re-entry from callbacks */
  /* doors.c */
  tr_host *host;
  tr_host_options host_options;
  tr_link uplinks;
  size_t listeners;
  char bound[TR_ADDRESS_MAX];
  /* loop.c */
  uv_loop_t loop_storage;
  uv_loop_t *loop; /* NULL until a door, a watch or a blocking run needs it */
  tr_net *net;
  tr_watch *watch;
  uint32_t watch_hash;  /* contents that were tried last */
  bool watch_failed;
  uv_prepare_t prepare;
  uv_timer_t timer;
  uv_idle_t busy;  /* keeps the loop from sleeping while agents are ready */
  tr_time timer_at;
  bool until_idle; /* troupe_run_until_idle or troupe_save waits, until then: */
  tr_time until;
  tr_stage stage;
  char *state_path;   /* where to save when it ends; NULL: nowhere */
  tr_time stop_deadline, drain;
  int exit_status;
  /* signals.c */
  struct tr_signals *signals;
  void (*on_stop)(void *ud);
  void *on_stop_ud;
  /* messages.c */
  tr_link calls, subscriptions;
  tr_class *subscriber; /* the class of troupe_subscribe's agent */
  int64_t next_subscription;
};

/* A time that far from now; one beyond all times is TR_NEVER. */
static inline tr_time tr_runtime_after(tr_time now, tr_time wait) { return wait > TR_NEVER - now ? TR_NEVER : now + wait; }
/* runtime.c: forget the last error, and set one. */
tr_error *tr_runtime_error(troupe_t *rt);
int tr_runtime_fail(troupe_t *rt, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
void tr_runtime_print(troupe_t *rt, tr_mem *mem, tr_slice line);
void tr_runtime_dead_letter(const tr_log *log, tr_script *script, tr_msg *msg, int code, const char *reason);
/* together.c: what concerns all isolates, done between two turns of each; with one isolate, just done. */
int tr_together_load(troupe_t *rt, const char *name, tr_slice source, const tr_slice *args, size_t argc, tr_error *error);
int tr_together_reload(troupe_t *rt, const char *name, size_t *changed, tr_error *error);
int tr_together_start(troupe_t *rt, tr_error *error);
void tr_together_drain(troupe_t *rt);
void tr_together_drop(troupe_t *rt, tr_dropped_fn fn);
void tr_together_close(troupe_t *rt, tr_time deadline);
bool tr_together_closed(troupe_t *rt);
/* Is nothing left in any isolate (quiet: no timer either)? */
bool tr_together_idle(troupe_t *rt, bool quiet);
/* loop.c */
int tr_runtime_loop_open(troupe_t *rt);
void tr_runtime_loop_close(troupe_t *rt);
/* Start what was loaded since, run agents for about budget_us (0: until none is ready), flush sockets. 1: work left. */
int tr_runtime_work(troupe_t *rt, int64_t budget_us);
void tr_runtime_on_exit(void *ud, int status); /* the script's exit hook */
/* Work and wait until something happened, at most to `end`. */
void tr_runtime_wait(troupe_t *rt, tr_time end);
bool tr_runtime_has_door(const troupe_t *rt);
/* doors.c */
void tr_runtime_sync_uplinks(void *ud); /* the script's classes_changed hook */
void tr_runtime_leave(troupe_t *rt, tr_time deadline);
bool tr_runtime_left(const troupe_t *rt);
void tr_runtime_close_doors(troupe_t *rt);
/* messages.c */
void tr_runtime_cancel_calls(troupe_t *rt);
void tr_runtime_free_subscriptions(troupe_t *rt);
/* files.c: the script's load hook. */
int tr_runtime_read(void *ud, const char *path, tr_buf *text, tr_error *error);
void tr_runtime_watch_files(troupe_t *rt);
void tr_runtime_reload_changed(troupe_t *rt); /* and log what came of it */
/* state.c: the runtime ends: nothing runs any more */
void tr_runtime_save_at_end(troupe_t *rt);
/* signals.c */
void tr_runtime_free_signals(troupe_t *rt);

#endif
