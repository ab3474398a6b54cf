/* SPDX-License-Identifier: MIT
 * The runtime's own structure, shared by the files of this room. */
#ifndef TR_RUNTIME_INTERNAL_H
#define TR_RUNTIME_INTERNAL_H

#include <stdatomic.h>

#include "base/tally.h"
#include "net/net.h"
#include "net/watch.h"
#include "runtime/runtime.h"
#include "runtime/undelivered.h"
#include "store/file.h"

/* Ending goes step by step; each waits for the one before it, or for the deadline. */
typedef enum {
  TR_STAGE_RUNNING = 0,
  TR_STAGE_GIVE,   /* agents of shared types go to other workers */
  TR_STAGE_DRAIN,  /* what is queued is handled */
  TR_STAGE_CLOSE,  /* close hooks run */
  TR_STAGE_LEAVE,  /* uplinks send what they have and leave, the host's streams end */
  TR_STAGE_DONE    /* troupe_run returns */
} tr_stage;

typedef struct tr_crew tr_crew;       /* isolate.h */
typedef struct tr_isolate tr_isolate;
typedef struct tr_c_call tr_c_call;
typedef struct tr_c_subscription tr_c_subscription;
typedef struct tr_c_subscriptions tr_c_subscriptions;

struct tr_uplink {
  troupe_t *rt;
  tr_link all;
  tr_worker *worker;
  tr_net_conn *conn;
  tr_net_dial *dial;
  struct tr_fabric_link *link; /* fabric.c, in place of sockets; else NULL */
  tr_uplink_fn fn;
  void *ud;
  bool giving;        /* its host was asked to give away what is here of shared types, and has not said yet that it did */
  bool member;        /* of a pool: nobody else uses it */
  char reason[256]; /* of the last trouble; "": it has joined since */
  char address[TR_ADDRESS_MAX];
};

typedef struct tr_probation {
  _Atomic uint32_t number, failures; /* number: of the reload; 0: none is watched */
  uint32_t before; /* what served before it */
  uint32_t limit;
  tr_time until;
} tr_probation;

typedef struct tr_draining { /* drain.c: of older code */
  tr_timer timer;
  bool on, due;        /* due: the timer says so */
  uint32_t version;    /* that serves */
  tr_time wait, until;
  size_t open, ended, cut; /* turns: when it began; then */
  char who[2400];      /* those that were cut off */
} tr_draining;

struct troupe {
  tr_probation probation;
  bool pinned;        /* reloads.c: the code stays what it is */
  tr_draining draining;
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
  struct tr_secure *secure; /* secure.c */
  tr_link uplinks;
  tr_link pools;      /* pool.c */
  tr_link tunnels;    /* tunnel.c */
  tr_link servers;    /* serve.c */
  tr_link launched;   /* launch.c */
  tr_link moves;      /* dist.c */
  tr_link going;      /* shared.c */
  tr_link steps;      /* staged.c: what a host asked for */
  unsigned step_count;
  struct tr_staged *staged;       /* NULL: nothing is */
  struct tr_gathering *gathering; /* operator_workers.c; NULL: no such reload is under way */
  uint32_t giving;    /* uplinks that have not said yet that all was given */
  tr_host_conn *parent; /* leaf.c: this process was launched */
  tr_class *leaf_class;
  tr_name *leaf_key;
  tr_link grants;
  tr_script_outside outside;
  atomic_uint programs; /* that scripts run at the moment */
  bool still;           /* tr_runtime_stand_still */
  size_t grant_count;
  size_t listeners;
  struct tr_fabric *fabric; /* the network in memory that it is a node of, or NULL */
  char bound[TR_ADDRESS_MAX];
  /* loop.c */
  uv_loop_t loop_storage;
  uv_loop_t *loop; /* NULL until a door, a watch or a blocking run needs it */
  tr_net *net;
  struct tr_fetcher *fetcher; /* http.c; NULL until a script asks */
  uv_loop_t *fetch_loop; /* its own, in tests */
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
  /* saves.c, stored.c, state_write.c */
  char *state_path;   /* where to save when it ends; NULL: nowhere */
  struct tr_file *state_hold; /* and it is ours alone */
  bool state_lossy;   /* not all that was in it could be taken up; and: */
  bool state_gaps;    /* some agents' states had not got into it */
  bool kept_old;      /* by the last write that was to: as FILE.1 (stored.c) */
  struct tr_state_writer *ending; /* that file, while instances leave */
  tr_link saves;      /* those that wait for open turns */
  tr_link unstored;   /* files that the disk did not take */
  size_t unstored_bytes;
  uint64_t store_tries;
  tr_file_options file_options; /* for tests */
  int64_t (*wall_us)(void);     /* the time of day */
  int64_t restored_at;          /* replay.c: the time of day when states were restored; 0: now */
  struct tr_recorder *recorder; /* record.c; NULL: nothing is recorded */
  _Atomic int64_t between_clocks; /* seen.c: from the core's to the time of day, µs */
  int64_t epoch;                /* looks.c: of tests */
  uint64_t look_seed;           /* looks.c: of a record; 0: scripts are not looked at */
  tr_time stop_deadline, give_deadline, drain;
  int exit_status;
  /* operator.c */
  struct tr_operator *operator;
  tr_time begun;
  /* signals.c */
  struct tr_signals *signals;
  const struct tr_stay *stay; /* NULL: it ends when its programs do */
  void *stay_ud;
  void (*on_stop)(void *ud);
  bool (*on_interrupt)(void *ud);
  void *on_stop_ud;
  /* messages.c */
  tr_link calls;
  troupe_intercept_fn intercept; /* intercept.c */
  void *intercept_ud;
  tr_tally letters;
  tr_undelivered undelivered;
  /* subscribe.c */
  tr_class *subscriber; /* the class of their agent */
  tr_c_subscriptions *subscriptions; /* NULL until the first */
  /* bodies.c */
  tr_codecs *codecs; /* of all isolates: changed only while they stand still */
  tr_map encodings; /* of troupe_encode_as, by message type */
  tr_buf given[2];  /* of troupe_give: "TYPE,TYPE," for JSON, for protobuf */
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
void tr_runtime_print(troupe_t *rt, tr_mem *mem, tr_slice line); /* a line of a script's print; mem: of the isolate */
/* doors.c: an uplink of a pool: it registers nothing, and takes what names it. NULL: rt->error says why. */
tr_uplink *tr_runtime_member(troupe_t *rt, const char *address, tr_uplink_fn fn, void *ud);
void tr_runtime_free_uplink(tr_uplink *uplink); /* not from inside its worker */
void tr_runtime_free_pools(troupe_t *rt);       /* pool.c */
/* messages.c: troupe_publish_with and troupe_call_with, by this uplink alone. */
int tr_runtime_publish_by(troupe_t *rt, tr_uplink *by, const char *topic, const char *type, troupe_value_t *body,
                          const troupe_message_options_t *options);
int tr_runtime_call_by(troupe_t *rt, tr_uplink *by, const char *agent, const char *type, troupe_value_t *body,
                       const troupe_message_options_t *options, troupe_reply_fn fn, void *ud);
/* letters.c: one more of them, of one isolate; into the log and to those who subscribe */
void tr_runtime_dead_letter(tr_tally *letters, const tr_log *log, tr_script *script, tr_msg *msg, int code, const char *reason);
/* The newest of them, for the operator: undelivered.c. */
void tr_runtime_keep_letter(tr_undelivered *kept, const tr_msg *msg, int code, const char *reason);
void tr_runtime_unheard(tr_undelivered *kept, const tr_msg *event);
int64_t tr_wall_us(void); /* the time of day */
/* together.c: what concerns all isolates, done between two turns of each; with one isolate, just done. */
typedef struct tr_share { tr_core *core; tr_script *script; } tr_share; /* of the runtime: what one isolate has */
unsigned tr_runtime_shares(const troupe_t *rt); /* how many there are; the first is this thread's */
tr_share tr_runtime_share(const troupe_t *rt, unsigned i);
tr_share tr_runtime_share_of(const troupe_t *rt, tr_slice type, tr_slice key); /* where this instance lives, or would */
/* Between these two the others stand still; they nest. settle: and what was under way between them has arrived. */
void tr_together_pause(troupe_t *rt, bool settle);
void tr_together_resume(troupe_t *rt);
/* Call fn in the runtime's own thread, and wait for it (errand.c). TR_EUNAVAILABLE: all ends, fn was not called. thr: any. */
int tr_runtime_errand(troupe_t *rt, void (*fn)(void *ud), void *ud);
/* From now on this id is of this thread's isolate, where the doors are, wherever it would live. err: TR_EEXISTS: another than `known` is live there;
 * TR_EMEMORY. */
int tr_together_bring(troupe_t *rt, tr_slice type, tr_slice key, const tr_agent *known, tr_error *error);
void tr_together_let_go(troupe_t *rt, const char *id); /* no more */
void tr_together_watch(troupe_t *rt); /* wake this thread once when another one falls asleep */
int tr_together_load(troupe_t *rt, const char *name, tr_slice source, const tr_slice *args, size_t argc, tr_error *error);
typedef void (*tr_changes_fn)(void *ud, unsigned isolate, const tr_reloading *plan);
/* probation.c: new code that is watched for failures */
void tr_probation_begin(troupe_t *rt, uint32_t before, uint32_t limit, tr_time within); /* of the canary, else of what serves now */
void tr_probation_end(troupe_t *rt);
void tr_probation_failed(troupe_t *rt, uint32_t number); /* thr: any */
bool tr_probation_is_over(const troupe_t *rt);
void tr_probation_go_back(troupe_t *rt);
/* reloads.c: as troupe_reload, with more to say: how many files, or an error (rt->error). */
int tr_runtime_reload(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud);
/* drain.c: turns of older code have so long from now on */
void tr_drain_begin(troupe_t *rt, tr_time wait);
void tr_drain_look(troupe_t *rt); /* ->due */
/* told (may be NULL) hears of each isolate's plan before it is taken, or with options->trial is not. NULL: nothing changed */
int tr_together_reload(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud, size_t *changed, tr_error *error);
int tr_together_protobuf(troupe_t *rt, tr_slice name, tr_slice set, tr_error *error);
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
/* grants.c: has it this right, for this value (NULL: for all)? */
bool tr_runtime_may(const troupe_t *rt, const char *name, const char *value);
const char *tr_runtime_next_grant(const troupe_t *rt, const char *after); /* NULL starts and ends */
void tr_runtime_free_grants(troupe_t *rt);
/* http.c: three of the script's hooks. */
int tr_runtime_fetch(void *ud, const tr_script_fetch *asked, void **fetch, tr_error *error);
int tr_runtime_fetched(void *ud, void *fetch, tr_script_answer *answer, tr_error *error);
void tr_runtime_unfetch(void *ud, void *fetch);
void tr_runtime_close_fetcher(troupe_t *rt); /* before its loop */
/* serve.c: two of the script's hooks; those that listen. Before the sockets are closed, and after the scripts have gone. */
int tr_runtime_serve(void *ud, const tr_script_serve *asked, void **server, char *bound, tr_error *error);
void tr_runtime_unserve(void *ud, void *server);
const char *tr_runtime_next_served(const troupe_t *rt, const char *after); /* its address; NULL starts and ends */
void tr_runtime_close_servers(troupe_t *rt);
void tr_runtime_free_servers(troupe_t *rt);
/* luv.c: one of the script's hooks; and does a handle or request of theirs keep the runtime at work? */
int tr_runtime_luv(void *ud, tr_script_luv *out, tr_error *error);
bool tr_runtime_luv_alive(troupe_t *rt);
/* outside.c: the script's hooks; and is this path a granted one, or below one? */
void tr_runtime_outside(troupe_t *rt);
bool tr_runtime_may_path(const troupe_t *rt, const char *right, const char *path);
#define TR_RIGHTS_MAX 8192
/* Those of these rights, each with a newline behind it (SIZE_MAX of them: of its own, but `launch`) into `out`. err: TR_EPERMISSION for one that it has not. */
int tr_runtime_narrow(const troupe_t *rt, const tr_slice *rights, size_t count, char *out, size_t size, tr_error *error);
/* launch.c: the script's hooks; the end of all processes, in order and at once */
int tr_runtime_launch(void *ud, const tr_script_launch *asked, tr_error *error);
int tr_runtime_stop_launched(void *ud, tr_slice type, tr_slice key, tr_error *error);
void tr_runtime_stop_processes(troupe_t *rt, tr_time deadline);
void tr_runtime_drop_processes(troupe_t *rt);
/* leaf.c, dist.c: the script's and the host's hooks */
void tr_runtime_on_stopped(void *ud, const tr_agent *agent);
int tr_runtime_take_state(void *ud, tr_slice type, tr_slice key, tr_slice bytes, tr_error *error);
/* Before the doors are closed, and after: the agents that were moved leave, and what is known of them is freed. */
/* carry.c: one agent's state, for another process. */
int tr_carry_save(tr_script *script, const char *id, tr_buf *out, tr_error *error);
int tr_carry_restore(tr_script *script, tr_slice id, tr_slice bytes, tr_error *error);
/* shared.c: hooks of uplinks (ud: the tr_uplink). */
void tr_shared_leave(void *ud, tr_worker *worker, tr_slice type, tr_slice key, const tr_worker_move *move);
int tr_shared_take(void *ud, tr_slice type, tr_slice key, tr_slice state, tr_error *error);
void tr_shared_drop(void *ud, tr_slice type, tr_slice key);
void tr_shared_given(void *ud);
void tr_shared_have(void *ud, tr_worker *worker);
bool tr_shared_give(troupe_t *rt); /* to whom it can be given; false: there is nothing to wait for */
void tr_shared_give_again(tr_uplink *uplink); /* it has joined anew: what was asked before is forgotten there */
void tr_shared_end(troupe_t *rt);
void tr_runtime_leave_moves(troupe_t *rt);
void tr_runtime_drop_moves(troupe_t *rt);
void tr_runtime_moves_step(troupe_t *rt); /* those that are on their way from another isolate */
/* forward.c */
void tr_runtime_forward(troupe_t *rt, tr_remote *remote, tr_dest *dest, tr_msg *msg);
/* doors.c */
tr_uplink *tr_runtime_uplink_to(troupe_t *rt, const char *address, tr_error *error); /* found, or made as for a script; NULL: *error */
int tr_runtime_uplink(void *ud, tr_slice address, uint32_t *number, tr_error *error); /* the script's uplink hook */
void tr_runtime_sync_uplinks(void *ud); /* the script's classes_changed hook */
void tr_runtime_leave(troupe_t *rt, tr_time deadline);
bool tr_runtime_left(const troupe_t *rt);
int tr_runtime_open_host(troupe_t *rt); /* rt->host is there then */
/* An uplink that goes by a network in memory (fabric.c). */
int tr_runtime_connect_by(troupe_t *rt, const char *name, struct tr_fabric_link *link, tr_uplink **out);
void tr_runtime_close_doors(troupe_t *rt);
/* messages.c */
void tr_runtime_cancel_calls(troupe_t *rt);
int tr_body_json(tr_script *script, const tr_body *body, tr_buf *out, tr_error *error); /* of any isolate, appended */
/* NULL: out of memory, or error says what is wrong with it. */
troupe_value_t *tr_runtime_value_from_body(troupe_t *rt, const tr_body *body, tr_error *error);
/* subscribe.c: the names in it must still be there */
void tr_runtime_free_subscriptions(troupe_t *rt);
/* bodies.c */
#define TR_ENCODINGS_MAX 10000
/* Make the body of a message that C sends what was chosen for its type; rt->error says why not. */
int tr_runtime_encode(troupe_t *rt, const tr_name *type, tr_body *body);
void tr_runtime_free_bodies(troupe_t *rt);
/* files.c: the script's load hook. */
int tr_runtime_read_file(troupe_t *rt, const char *path, tr_buf *text, tr_error *error); /* appended; 0, or a code */
int tr_runtime_read(void *ud, const char *path, tr_buf *text, tr_error *error); /* sources.c: the same for all isolates, while they load; ud: the runtime */
void tr_runtime_watch_files(troupe_t *rt);
void tr_runtime_reload_changed(troupe_t *rt); /* and log what came of it */
/* saves.c: after each batch of work; when it has to be looked again; and at the end. */
void tr_runtime_saves_step(troupe_t *rt);
tr_time tr_runtime_saves_next(const troupe_t *rt);
void tr_runtime_saves_cancel(troupe_t *rt);
/* stored.c: what the disk did not take: those that are due, or all now; when the next is due; for the last time. */
void tr_runtime_store_again(troupe_t *rt);
tr_time tr_runtime_store_next(const troupe_t *rt);
void tr_runtime_store_last(troupe_t *rt);
/* Every instance has left: the file of the end is written. */
void tr_runtime_save_at_end(troupe_t *rt);
/* sigpipe.c: while held, a peer that has gone is an error code and no signal */
typedef struct tr_sigpipe { bool held, blocked, pending; } tr_sigpipe;
void tr_sigpipe_hold(const troupe_t *rt, tr_sigpipe *held);
void tr_sigpipe_release(tr_sigpipe *held);
/* tunnel.c: before the sockets are closed, and after */
void tr_runtime_close_tunnels(troupe_t *rt);
void tr_runtime_free_tunnels(troupe_t *rt);
/* control.c: a request of the control channel; uplink NULL: by our own host. */
struct tr_wire_control;
void tr_runtime_control(troupe_t *rt, tr_uplink *uplink, const struct tr_wire_control *message);
/* operator.c */
void tr_runtime_free_operator(troupe_t *rt);
/* signals.c */
void tr_runtime_free_signals(troupe_t *rt);

#endif
