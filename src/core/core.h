/* SPDX-License-Identifier: MIT
 * The heart of one isolate: classes of agents, their instances, mailboxes, turns, calls and timers, around a router.
 *
 * No I/O, no threads, no Lua, no time of day. The clock comes in with tr_core_step; everything else happens inside it or inside
 * the posting functions. What runs an agent's code is a tr_class_ops, given by the script room or by C.
 *
 * A turn is one agent handling one message. ops->run starts it and goes on with it:
 *   TR_RUN_DONE   the turn is over (reply given by tr_turn_reply/_fail, else a null reply); its outbox is released
 *   TR_RUN_WAIT   it waits: the outbox is released; tr_turn_wake puts it back into the ready list
 *   TR_RUN_YIELD  its slice is used up: the outbox is kept; it runs again after the other ready agents had theirs
 * A turn that failed calls tr_turn_fail and returns TR_RUN_DONE: what it posted since its last wait is dropped.
 * ops->run may leave by longjmp to whoever called tr_core_step (Lua's out of memory); that caller then calls
 * tr_core_recover, which fails the turn that was being served. The core holds nothing across ops->run. */
#ifndef TR_CORE_CORE_H
#define TR_CORE_CORE_H

#include "base/log.h"
#include "base/text.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/message.h"
#include "core/seal.h"
#include "core/router.h"
#include "core/timers.h"

typedef struct tr_class tr_class; /* an agent type living in this isolate */
typedef struct tr_turn tr_turn;
typedef struct tr_call tr_call;

typedef struct tr_core_hooks {
  /* Work arrived while nothing was ready: call tr_core_step soon. May be NULL. Called at most once between two steps. */
  void (*wake)(void *ud);
  /* A message could not be delivered: `code` says why. Counted already. msg is borrowed. May be NULL. */
  void (*dead_letter)(void *ud, tr_msg *msg, int code, const char *reason);
  void *ud;
  /* An event from here that nobody gets, here or behind a door. May be NULL. */
  void (*unheard)(void *ud, tr_msg *event);
} tr_core_hooks;

typedef struct tr_core_options {
  tr_mem *mem;              /* required */
  const tr_log *log;        /* may be NULL */
  uint64_t seed;            /* of hashes, ids, chains */
  tr_time now;
  tr_core_hooks hooks;
  tr_body_ops body;         /* may be all NULL where no slots are used */
} tr_core_options;

tr_core *tr_core_new(const tr_core_options *options); /* NULL: out of memory */
/* Open turns are cancelled, requests in mailboxes answered `unavailable`, instances dropped. */
void tr_core_free(tr_core *core);
void tr_core_set_body_ops(tr_core *core, const tr_body_ops *ops);

tr_mem *tr_core_mem(const tr_core *core);
const tr_log *tr_core_log(const tr_core *core);
tr_names *tr_core_names(const tr_core *core);
tr_router *tr_core_router(const tr_core *core);
tr_dest *tr_core_local(const tr_core *core); /* the destination (ops NULL) that owns the agent types living here */
tr_timers *tr_core_timers(const tr_core *core);
tr_random *tr_core_random(tr_core *core);
/* From now on any agent that is ready may be the next, as the seed says: for tests, which should not depend on one order. */
void tr_core_shuffle(tr_core *core, uint64_t seed);
tr_time tr_core_now(const tr_core *core); /* as of the last step or tr_core_set_now */
void tr_core_set_now(tr_core *core, tr_time now);
const tr_body_ops *tr_core_body_ops(const tr_core *core);
/* Signatures of what goes out and comes in (borrowed; NULL: none). */
void tr_core_set_seal(tr_core *core, const tr_seal *seal);
const tr_seal *tr_core_seal(const tr_core *core);

/* While frozen, open turns go on and timers fire, but no turn is begun, save those that open turns of others wait for (of programs and
 * of classes with `requeue` they are not waited for). So after some steps there is a moment without open turns. */
void tr_core_freeze(tr_core *core, bool frozen);
/* Fire due timers and run ready agents until none is ready or `turns` were run (0: no bound).
 * Returns 1 when work is left, else 0. Not re-entrant: from inside ops->run it does nothing. */
int tr_core_step(tr_core *core, tr_time now, unsigned turns);
void tr_core_wake(tr_core *core); /* a step is needed soon: the hook, unless one is under way */
/* After a longjmp out of ops->run: fail the served turn with `code` and `text`; its ops->cancel is called. */
void tr_core_recover(tr_core *core, int code, const char *text) TR_COLD;
tr_time tr_core_next_deadline(const tr_core *core); /* of the timers; `now` while agents are ready */
/* No ready agent, no open turn, no mail, no call open (timers may run). */
bool tr_core_idle(const tr_core *core);
bool tr_core_quiet(const tr_core *core); /* idle, and no timer runs either: nothing can happen any more without a door */

/* --- classes --- */
typedef enum { TR_RUN_DONE = 0, TR_RUN_WAIT = 1, TR_RUN_YIELD = 2 } tr_run_result;
typedef enum { TR_OVERFLOW_WAIT = 0, TR_OVERFLOW_REFUSE, TR_OVERFLOW_DROP_OLDEST } tr_overflow;

typedef struct tr_class_ops {
  /* An instance is being made, before its TR_TURN_INIT: allocate its state. An error fails its waiting callers with it; drop is not
   * called then. Only run may leave by longjmp. */
  int (*make)(void *class_ud, tr_agent *agent, tr_error *error);
  int (*run)(void *class_ud, tr_turn *turn);     /* a tr_run_result */
  void (*cancel)(void *class_ud, tr_turn *turn); /* an unfinished turn ends here: free what run keeps in turn->user */
  void (*drop)(void *class_ud, tr_agent *agent); /* the instance leaves memory: free agent->user */
  /* Where the handler of such a message is, as "file:line", for the log; may be NULL. */
  void (*place)(void *class_ud, const tr_msg *msg, char *out, size_t size);
  void (*gone)(void *class_ud); /* a retired class has lost its last instance, and with it itself; may be NULL */
} tr_class_ops;

typedef struct tr_class_options {
  tr_slice type;            /* checked by tr_agent_type_check */
  const tr_class_ops *ops;
  void *ud;
  uint32_t mailbox_limit;   /* 0: 10 000 */
  uint64_t mailbox_bytes;   /* of bodies; what lies in it already is looked at, so that one of any size finds room. 0: 64 MiB */
  uint32_t instances;       /* that may be in memory at a time, in this isolate; 0: 1 000 000 */
  tr_overflow overflow;
  bool reentrant;           /* several turns of one instance may be open; they interleave at waits */
  bool has_init;            /* run a TR_TURN_INIT before the first message */
  bool has_close;           /* run a TR_TURN_CLOSE before an instance leaves in good order (tr_agent_close) */
  uint32_t pool;            /* so many instances may share a key, the least busy takes the message; 0: one */
  bool direct_topics;       /* it hears the topics "TYPE:…" too, as the agents of AutoGen's workers do (wire.md §5) */
  uint8_t (*priority)(void *ud, const tr_name *type); /* of messages that have none of their own; NULL: normal */
  bool pinned;              /* it is of this isolate alone */
  bool unlisted;            /* remote.c: the router does not know it */
  bool requeue;             /* its open turns can be begun again: a save does not wait for them (tr_core_freeze) */
  bool shared;              /* other workers of a host may have the type, too: the host decides whose an id is (shared.c) */
  bool exclusive_init;      /* a program: its INIT turn may last for ever and takes its mail by tr_turn_receive */
  bool first;               /* of several isolates it lives in the first */
} tr_class_options;

/* Add a class, registering its type with the router. own: copies the type; ops and ud must outlive the class. err: TR_EEXISTS, TR_EINVALID, TR_EMEMORY. */
int tr_core_add_class(tr_core *core, const tr_class_options *options, tr_class **out, tr_error *error);
/* Its instances are stopped (queued requests get `unavailable`), its subscriptions removed. The instance whose turn is just running is
 * dropped when that turn returns; until then ops and ud are used. */
void tr_core_remove_class(tr_core *core, tr_class *class_);
/* The same in good order: nobody finds the type any more, and each instance is closed (TR_CLOSE_REMOVED). ops->gone tells when the last
 * one has left; ops and ud must live until then. */
void tr_core_retire_class(tr_core *core, tr_class *class_);
/* Before the router's subscriptions are listed: those that are only marked are made (direct.c). 0 or TR_EMEMORY. */
int tr_core_list_subs(tr_core *core);
tr_class *tr_core_find_class(const tr_core *core, tr_slice type);
/* The types of agents that this process has elsewhere (remote.c) and no class for: *at is 0 at first. NULL ends. */
tr_name *tr_core_next_unlisted(const tr_core *core, uint32_t *at);
void *tr_class_ud(const tr_class *class_);
const tr_class_ops *tr_class_get_ops(const tr_class *class_); /* whose it is */
void tr_class_set_ud(tr_class *class_, void *ud);      /* hot reload: later turns see it */
void tr_class_set_options(tr_class *class_, const tr_class_options *options); /* reload: limits and flags; type and ops stay */
tr_name *tr_class_type(const tr_class *class_);
uint32_t tr_class_mailbox_limit(const tr_class *class_);
uint64_t tr_class_mailbox_bytes(const tr_class *class_);
#define TR_MAILBOX_BYTES_MOST (UINT64_C(32) << 30)
tr_agent *tr_class_next_agent(const tr_class *class_, tr_agent *after); /* iterate live instances: NULL starts and ends */
size_t tr_class_agent_count(const tr_class *class_);
bool tr_class_is_shared(const tr_class *class_);
bool tr_core_has_shared(const tr_core *core);

/* --- local subscriptions of a class: every form of api.md --- */
typedef struct tr_local_sub_options {
  tr_sub_kind kind;
  tr_slice topic;       /* exact topic type, or prefix */
  tr_slice key;         /* p NULL: the event's source is the key */
  bool all;             /* every live instance, none is made */
  /* Custom form instead of kind/topic: match returns true and may set *key (valid until the next call); may be NULL. */
  bool (*match)(void *ud, tr_msg *event, tr_slice *type, tr_slice *key);
  void *ud;
} tr_local_sub_options;
/* Also announces one subscription per (kind, topic, class type) to the router (and so to GetSubscriptions); the custom form
 * announces the empty prefix. *id (may be NULL) identifies it for removal. err: TR_EEXISTS for an identical one, TR_EINVALID, TR_EMEMORY. */
int tr_class_subscribe(tr_class *class_, const tr_local_sub_options *options, uint64_t *id, tr_error *error);
int tr_class_unsubscribe(tr_class *class_, uint64_t id); /* TR_ENOT_FOUND */
/* From now on it gives to those keys alone for which `only` is true; NULL: to all. (One with `all` gives so only in this isolate.) */
void tr_class_sub_only(tr_class *class_, uint64_t id, bool (*only)(void *ud, tr_slice key), void *ud);

/* Subscribe from C, outside any agent: fn gets every matching event (borrowed). */
typedef void (*tr_event_fn)(void *ud, tr_msg *event);
int tr_core_tap(tr_core *core, tr_sub_kind kind, tr_slice topic, tr_event_fn fn, void *ud, uint64_t *id);
int tr_core_untap(tr_core *core, uint64_t id);
/* Would a tap get an event on this topic? (The router does not know of taps; doors ask before they decode an event.) */
bool tr_core_tapped(tr_core *core, tr_slice topic_type);
/* Would anybody here, or a client of a door, get an event on this topic? (Uplinks do not count.) */
bool tr_core_wanted(tr_core *core, tr_name *topic_type);

/* --- instances --- */
struct tr_agent { /* public to class ops: type, key and user; the rest is the core's */
  tr_class *class_;
  tr_name *key;
  void *user;           /* the class ops' own */
  uint32_t user_ref;    /* likewise (a Lua registry reference) */
  uint32_t state;       /* core */
  struct tr_mailbox { struct tr_envelope *last; uint32_t count, weight; } mail; /* core; last: of a circle, its `next` is the first */
  tr_turn *turn;        /* core: newest open turn */
  tr_turn *ready_turns; /* core: last of the circular list of turns that may go on */
  tr_agent *next_ready; /* core */
  uint32_t blocked_turns; /* core: how many of its turns wait for room somewhere */
  uint8_t close_why;    /* a tr_close_why, while its TR_TURN_CLOSE runs */
  uint8_t crowded;      /* core: how often the log told of its full mailbox */
  uint64_t seen;        /* core: number of the last event given to it, so that it gets it once */
  tr_link by_class;     /* core */
  void *extra;          /* core: rarely used parts (lanes of priorities, chain calls, parked senders) */
  uint64_t turns;       /* core: how many it has begun */
};
/* The instance with this key, made (but not yet initialised) if there is none. err: as make, TR_EMEMORY, TR_EOVERLOADED: there are as many
 * as there may be. */
tr_agent *tr_class_get(tr_class *class_, tr_slice key, tr_error *error);
tr_agent *tr_class_find(const tr_class *class_, tr_slice key); /* NULL: not live */
tr_agent *tr_class_find_mailbox(const tr_class *class_, tr_slice key); /* made or not; NULL: nothing was sent to it */
/* Make it and run its INIT turn now rather than at its first message (autostart, programs). */
int tr_agent_start(tr_agent *agent);
/* End it: open turns are cancelled, queued requests answered `code`, the rest of its mail are dead letters, then it leaves memory. The
 * instance whose turn is just running is stopped when that turn returns. */
void tr_agent_stop(tr_core *core, tr_agent *agent, int code, const char *text);
size_t tr_agent_mail_count(const tr_agent *agent);
void tr_agent_name(const tr_agent *agent, char *out, size_t size); /* "type/key", cut to size */
uint64_t tr_agent_mail_bytes(const tr_agent *agent); /* of the bodies in it, not of those that wait for room */
size_t tr_agent_turn_count(const tr_agent *agent);

typedef enum { TR_CLOSE_STOP = 0, TR_CLOSE_DRAIN, TR_CLOSE_IDLE, TR_CLOSE_REMOVED, TR_CLOSE_MOVED } tr_close_why;
const char *tr_close_why_name(tr_close_why why); /* "stop", "drain", "idle", "removed", "moved" */
/* End it in good order: its open turns go on to their end, its mail is answered `unavailable` and new mail refused, a TR_TURN_CLOSE
 * runs where the class has one, and then it leaves memory. TR_CLOSE_IDLE keeps the mail: the next instance with this key gets it.
 * Programs (exclusive_init) are left alone. */
void tr_agent_close(tr_core *core, tr_agent *agent, tr_close_why why);
bool tr_agent_is_closing(const tr_agent *agent);
bool tr_agent_is_halted(const tr_agent *agent);
bool tr_agent_is_live(const tr_agent *agent); /* its INIT turn is over, or it needs none */
/* Make its state anew, now: open turns are cancelled (`unavailable`), it is dropped, made and initialised again; its mail stays. The
 * instance whose turn is just running is restarted when that turn returns. */
void tr_agent_restart(tr_core *core, tr_agent *agent);
/* Put it out of use: as tr_agent_stop, but what is sent to it later fails with `unavailable` and this text, too, until tr_class_revive. */
void tr_agent_halt(tr_core *core, tr_agent *agent, const char *text);
/* Halted instances (of the keys that `only` is true of; NULL: all) are forgotten: the next message makes them anew. */
void tr_class_revive(tr_class *class_, bool (*only)(void *ud, tr_slice key), void *ud);
/* From now on mail from doors is refused with `unavailable`. */
void tr_core_drain(tr_core *core);
bool tr_core_is_draining(const tr_core *core);
/* Close every instance (TR_CLOSE_DRAIN); their calls inherit the deadline. From now on nobody makes a new one. */
void tr_core_close_agents(tr_core *core, tr_time deadline);
bool tr_core_closed(const tr_core *core); /* none is closing any more */
/* Cancel each open turn but those of programs: fn (may be NULL) hears of every instance that has turns or mail. */
typedef void (*tr_dropped_fn)(void *ud, const tr_agent *agent, size_t turns, size_t mail);
void tr_core_drop_turns(tr_core *core, tr_dropped_fn fn, void *ud);
/* Iterate all classes: NULL starts and ends. */
tr_class *tr_core_next_class(const tr_core *core, tr_class *after);
bool tr_class_is_program(const tr_class *class_);
bool tr_class_is_first(const tr_class *class_); /* of several isolates all its instances are in the first: programs, and who says so */
bool tr_class_requeues(const tr_class *class_);
/* Iterate all mailboxes of a class, those of instances that are not made yet too. */
tr_agent *tr_class_next_mailbox(const tr_class *class_, tr_agent *after);
/* The mail that waits, in the order it would be taken, nested requests first: fn returns 0 to go on. */
int tr_agent_each_mail(const tr_agent *agent, int (*fn)(void *ud, tr_msg *msg), void *ud);

/* --- for consoles (observe.c) --- */
typedef enum {
  TR_SEEN_SENT = 0,  /* on its way, from here or from a door */
  TR_SEEN_GIVEN,     /* an event: `agent` begins to handle it */
  TR_SEEN_ANSWERED,  /* a request: code and reply */
  TR_SEEN_FAILED,    /* `agent` failed while it handled it, and nobody waits for an answer: code and text */
  TR_SEEN_DEAD       /* it could not be delivered: code and text */
} tr_seen_kind;
typedef struct tr_seen { tr_seen_kind kind; tr_msg *msg; const tr_agent *agent; const tr_reply *reply; int code; const char *text; } tr_seen;
/* From now on fn sees what goes by (all borrowed); it may do nothing to the core. fn NULL: nobody looks, which costs a look at a pointer. */
typedef void (*tr_observe_fn)(void *ud, const tr_seen *seen);
void tr_core_observe(tr_core *core, tr_observe_fn fn, void *ud);
const char *tr_agent_doing(const tr_agent *agent); /* "new", "idle", "working", "closing", "halted" */
const char *tr_turn_doing(const tr_turn *turn);    /* "computing", "waiting", "held up" (what it sent finds no room), "ending" */
/* End a turn that waits, as a failure with this code and text, at the next step. False: it does not wait. */
bool tr_turn_break(tr_turn *turn, int code, const char *text);

/* --- instances that are elsewhere (remote.c) --- */
typedef struct tr_remote tr_remote;
typedef struct tr_remote_ops {
  /* Bring msg there (borrowed). A request ends in tr_msg_answer; for any other tr_remote_done is called once it was handled or is lost. */
  void (*forward)(tr_remote *remote, tr_msg *msg);
  void (*wanted)(tr_remote *remote); /* lazily held: its first message has come */
  void (*quiet)(tr_remote *remote);  /* held: no turn of it is open any more */
  void (*left)(tr_remote *remote);   /* the agent has left for good: nothing is forwarded any more */
  void (*gone)(tr_remote *remote);   /* after tr_agent_go: the instance was dropped. May be NULL */
} tr_remote_ops;
typedef enum { TR_REMOTE_LAZY = 0, TR_REMOTE_WANTED, TR_REMOTE_HELD, TR_REMOTE_AWAY } tr_remote_state;
struct tr_remote { /* embedded in its owner; ops is the owner's to set, the rest the core's */
  const tr_remote_ops *ops;
  tr_agent *agent;  /* NULL: none, or it has left */
  tr_timer timer;
  uint32_t open;    /* forwarded, not done */
  uint64_t weight;  /* of what was forwarded since none was open, in units of TR_WEIGHT bytes */
  uint8_t state;    /* tr_remote_state */
  bool pumping;
};
/* The first step of a move: its open turns go on, its mail waits; ->quiet follows, not from inside this call. lazy: nothing happens until a
 * message comes for it; then ->wanted. err: TR_EINVALID, TR_EEXISTS, TR_EUNAVAILABLE, TR_EMEMORY. */
int tr_agent_hold(tr_core *core, tr_agent *agent, tr_remote *remote, bool lazy, tr_error *error);
void tr_agent_unhold(tr_core *core, tr_agent *agent); /* as if nothing had been */
/* The last one: the instance is closed (TR_CLOSE_MOVED) and dropped, its mail and all that comes is forwarded. */
void tr_agent_go(tr_core *core, tr_agent *agent);
void tr_agent_go_as_it_is(tr_core *core, tr_agent *agent); /* the same without closing it: it goes on within this process. Not in its slot */
bool tr_agent_is_quiet(const tr_agent *agent); /* a held one: no turn of it is open (NULL: none) */
void tr_remote_done(tr_core *core, tr_remote *remote);
/* An id whose instance is elsewhere from the beginning; its type need not be here. err: TR_EEXISTS, TR_EINVALID, TR_EMEMORY. */
int tr_core_add_remote(tr_core *core, tr_slice type, tr_slice key, tr_remote *remote, tr_error *error);
tr_remote *tr_core_find_remote(const tr_core *core, tr_slice type, tr_slice key); /* NULL: not elsewhere */
/* This process serves another one: all that is published here goes to the uplink, which decides who gets it, here too. */
void tr_core_set_leaf(tr_core *core);
/* Of this class only such keys are served here, the others as if it were not here. p NULL: none but those added. TR_EMEMORY. */
int tr_class_serve_only(tr_class *class_, tr_slice key);

/* --- turns (for class ops) --- */
typedef enum { TR_TURN_INIT = 0, TR_TURN_MESSAGE = 1, TR_TURN_CLOSE = 2 } tr_turn_kind;
struct tr_turn {
  tr_agent *agent;
  tr_msg *msg;        /* NULL in an INIT or CLOSE turn */
  void *user;         /* the class ops' own; NULL at the first run */
  uint8_t kind;
  uint8_t state;      /* core */
  bool started;       /* false at the first run */
  tr_time deadline;   /* inherited from the message; TR_NEVER */
  uint64_t chain;     /* its calls carry it */
  tr_turn *below;     /* core: the older open turn of the same instance */
  tr_turn *next;      /* core: ready list / pool */
  struct tr_outbox { tr_msg *head, *tail; uint32_t count, blocked; } outbox; /* core */
};
tr_core *tr_turn_core(const tr_turn *turn);

#ifdef TR_HOSTILE
#define TR_OUTBOX_MOST 1000
#else
#define TR_OUTBOX_MOST 1000000 /* messages of a turn between two waits */
#endif
/* Put a message into the turn's outbox. A message is posted once: to send on what was received, make another. own: takes the reference in every case. Fills in sender, chain.
 * err: TR_ELIMIT (TR_OUTBOX_MOST messages wait there), TR_ECANCELLED (the turn has failed): the message is dropped. */
int tr_turn_post(tr_turn *turn, tr_msg *msg);
/* The same for a request, with a callback. The call's deadline is the earlier of msg->deadline and the turn's.
 * fn is called exactly once, unless the call is cancelled or the turn drops its outbox (then it is never called).
 * NULL where memory ran out or the outbox has its most messages (msg is released, fn not called). */
typedef void (*tr_reply_fn)(void *ud, tr_call *call, tr_reply *reply); /* may take reply->body */
tr_call *tr_turn_call(tr_turn *turn, tr_msg *msg, tr_reply_fn fn, void *ud);
/* Let go of the outbox now, without waiting (ctx:sleep(0) does it and yields). */
void tr_turn_flush(tr_turn *turn);
/* A waiting turn becomes ready; harmless when it already is. Remembered while it runs: then its next wait ends at once, so a waiter
 * looks again at what it waits for. A turn must not be woken after it has ended. */
void tr_turn_wake(tr_turn *turn);
/* The reply (REQUEST turns; ignored otherwise). own: takes body's content and a reference to type. */
void tr_turn_reply(tr_turn *turn, tr_name *type, tr_body *body);
/* Calls posted since the last wait are dropped with the outbox; tr_call_cancel on them is harmless until run or cancel returns. */
void tr_turn_fail(tr_turn *turn, int code, const char *text) TR_COLD;
bool tr_turn_failed(const tr_turn *turn);
/* Its caller gave up (tr_msg_cancel), or its deadline has passed: when the turn waits, ops->cancel ends it. */
bool tr_turn_cancelled(const tr_turn *turn);
uint64_t tr_turn_chain(tr_turn *turn); /* never 0 */
/* As tr_turn_call, for a turn that may be waiting or running: the request goes out at once, past the outbox; where the mailbox is full it
 * waits for room, but the turn is not held up by that. turn NULL: it is over; sender and chain are given in msg. */
tr_call *tr_turn_call_now(tr_turn *turn, tr_msg *msg, tr_reply_fn fn, void *ud);
/* The answer is given later, by tr_msg_answer on a reference to turn->msg that the class ops keep: the turn's end gives none. */
void tr_turn_defer(tr_turn *turn);
/* Does the caller take parts of the answer? Only then the next two. */
bool tr_turn_takes_parts(const tr_turn *turn);
bool tr_turn_has_credit(tr_turn *turn); /* for one more; false: the turn is woken when it has */
/* own: takes the body's content. err: why it could not be passed on. */
int tr_turn_part(tr_turn *turn, tr_body *body);
/* Programs: the next message of the mailbox (caller owns the reference), or NULL; with NULL the turn is woken at the next mail. */
tr_msg *tr_turn_receive(tr_turn *turn);

/* --- posting from outside a turn (C, doors, timers) --- */
/* own: takes the reference. 0, or for a REQUEST/SEND that cannot be routed: the request is answered / the send
 * dead-lettered, and the code is returned too. Never waits: a full mailbox is TR_EOVERLOADED. An event from a door (from_wire) is
 * given to local agents only; one from here goes to local agents, router destinations and every uplink. */
int tr_core_post(tr_core *core, tr_msg *msg);
/* Into the mailbox of one agent of ours, whatever the message's kind and target, and past the mailbox's bound: mail that is restored. own, err: as
 * tr_core_post. */
int tr_core_give(tr_core *core, tr_class *class_, tr_slice key, tr_msg *msg);
/* Does anybody wait for this request's answer? And which open turn here (NULL: none, or from elsewhere)? */
bool tr_msg_is_awaited(const tr_msg *msg);
tr_turn *tr_msg_waiter(const tr_msg *msg);
tr_call *tr_core_call(tr_core *core, tr_msg *msg, tr_reply_fn fn, void *ud);
/* Give up waiting: fn will not be called. The callee hears of it (tr_msg_cancel): a request that has not been taken is dropped, the turn
 * that handles it ends by ops->cancel when it waits, a door that sent it on says so on the other side. So it does at its deadline. */
void tr_call_cancel(tr_call *call);
const tr_msg *tr_call_request(const tr_call *call); /* NULL: nobody has it any more */
/* Does the turn that made it wait for this call (false, as calls begin) or may it go on without (true: futures, any, race)? A circle of
 * waiting agents is made of what is waited for. Where going over to waiting closes one, the call fails with `deadlock` at the
 * next step. */
void tr_call_background(tr_call *call, bool background);
/* Parts of the answer (parts.c). The request must have a `window` when the call is made. */
typedef void (*tr_part_fn)(void *ud, tr_call *call, tr_reply *part); /* may take part->body */
void tr_call_on_part(tr_call *call, tr_part_fn fn);
void tr_call_credit(tr_call *call, uint32_t parts); /* so many were taken: as many more may come */
void tr_core_late(tr_core *core); /* count an answer that came for a request which was given up */
/* From now on fn sees every message before it is given to anybody (NULL: nobody does), but those that are sent while it runs. It may change
 * msg's type and body; then it drops `frame`. 0; TR_INTERCEPT_DROP: nobody gets it, a request is answered `cancelled`; a code: it cannot
 * be delivered for that reason, told in *why. */
#define TR_INTERCEPT_DROP 1
typedef int (*tr_intercept_fn)(void *ud, tr_msg *msg, tr_error *why);
void tr_core_intercept(tr_core *core, tr_intercept_fn fn, void *ud);
void tr_core_show_first(tr_core *core, bool first); /* of another isolate than the first: fn is there, so all messages go by it */
bool tr_core_is_intercepted(const tr_core *core);
/* Count a dead letter and call the hook. A topic that begins with TR_RESERVED is the runtime's own: events on it never go out by an uplink,
 * and what cannot be delivered of them is counted, but not handed to the hook. */
void tr_core_dead_letter(tr_core *core, tr_msg *msg, int code, const char *reason) TR_COLD;
/* A request is answered with the error, anything else is a dead letter. text NULL: the code's own. Returns code. */
int tr_core_undeliverable(tr_core *core, tr_msg *msg, int code, const char *text) TR_COLD;

/* --- results that are kept where they were made (results.c), and bodies that refer to them (refs.c) --- */
/* `ref` is the text of a TR_BODY_REF, via as in tr_msg. Ask for the content; fn as in tr_core_call. NULL: out of memory. */
tr_call *tr_core_fetch(tr_core *core, tr_slice ref, uint32_t via, tr_time deadline, tr_reply_fn fn, void *ud);
void tr_core_release(tr_core *core, tr_slice ref, uint32_t via); /* nobody will ask for it any more */
void tr_core_renew(tr_core *core, tr_slice ref, uint32_t via); /* its time begins anew */
bool tr_ref_check(tr_slice ref); /* is it one? */
static inline bool tr_key_is_result(tr_slice key) { return tr_slice_starts(key, TR_SLICE_LITERAL(TR_RESULT_KEY)); }
#define TR_REFS_MOST 256 /* in one body */

/* --- several isolates (far.c) --- */
/* The agents of every class may be spread over several cores, each in a thread of its own. Between them go messages that someone
 * outside the core carries (the runtime room); without these hooks all agents are here, and nothing is asked. */
typedef struct tr_far_ops {
  /* The isolate that this instance lives in; negative: here. */
  int (*home)(void *ud, const tr_class *class_, const tr_name *key);
  /* Carry a request or a send to another isolate; 0: to the first one, which has the doors and what only it knows. As tr_core_route; a
   * turn may be made to wait (tr_gate_park). A request must end in tr_msg_answer. */
  int (*send)(void *ud, int isolate, tr_msg *msg, tr_turn *from);
  /* An event's receivers elsewhere, collected in *list (NULL at first): an instance, or all live ones of a class (key NULL) in every
   * other isolate. Then it is carried there, and, of events that began here, to the first isolate for all that only that one knows
   * (*heard: has it receivers so far? Set where it went on to that one, which will say it if there are none). err: TR_EMEMORY,
   * TR_EOVERLOADED: told already. */
  int (*receiver)(void *ud, void **list, const tr_class *class_, const tr_name *key, int isolate);
  int (*publish)(void *ud, void *list, tr_msg *event, tr_turn *from, bool *heard);
  bool (*wanted)(void *ud); /* might somebody whom only the first isolate knows hear an event from here? */
  bool (*has_way_up)(void *ud); /* tr_core_has_way_up of the first isolate */
  /* A message that came from a turn in another isolate began (or ceased) to wait for room in a mailbox here: its sender is to be held. */
  void (*waits)(void *ud, tr_msg *msg, bool waiting);
  /* Let the probe follow what an agent of this isolate waits for that is held so: tr_core_probe_stalled in the others. */
  void (*stalled)(void *ud, const tr_agent *agent, const tr_probe *probe);
} tr_far_ops;
/* index: of this core, of so many; identity: the same in all, so that message ids are one sequence of texts. Before the first class is added. */
void tr_core_set_far(tr_core *core, const tr_far_ops *ops, void *ud, unsigned index, unsigned count, uint64_t identity);
/* Does this instance live here? (Always, without the hooks.) */
bool tr_class_is_home(const tr_class *class_, tr_slice key);
/* A request whose caller is in another isolate: as tr_core_call, but it may be one of any call chain here. */
typedef struct tr_asker { bool background; uint8_t turn; } tr_asker; /* turn: a tr_asker_turn */
typedef enum { TR_ASKER_NONE = 0, TR_ASKER_WAITS /* a save waits for its turn */, TR_ASKER_AGAIN /* it is begun again */ } tr_asker_turn;
tr_call *tr_core_relay(tr_core *core, tr_msg *msg, tr_asker asker, tr_reply_fn fn, void *ud);
void tr_call_probe(tr_call *call, const tr_probe *probe); /* of that caller's: follow what the call waits for (probes.c) */
/* An event that another isolate gives out: to one instance here; key NULL: to all live ones. Or to doors, taps and
 * classes with `pinned` (heard: somebody has it already). Borrows; msg->number must be the same each time. */
int tr_core_take_event(tr_core *core, tr_msg *event, tr_class *class_, tr_name *key);
int tr_core_take_rest(tr_core *core, tr_msg *event, bool heard);
/* Hold an agent (it goes on with nothing while what it sent waits for room elsewhere), or let it go; counted. */
void tr_core_hold(tr_core *core, tr_slice type, tr_slice key, bool held);
void tr_core_let_go(tr_core *core); /* all of them */
void tr_core_probe_stalled(tr_core *core, unsigned isolate, tr_slice type, tr_slice key, const tr_probe *probe); /* of that isolate */
tr_asker tr_msg_asker(const tr_msg *request);       /* of one that is made here: background: its caller goes on without its answer */
bool tr_msg_is_asked_again(const tr_msg *request);  /* of one from another isolate: by a turn that can be begun again */
/* Is there anybody that other isolates do not know of: doors' clients, uplinks, taps, classes with `pinned`? */
bool tr_core_has_others(const tr_core *core);

/* A way out of the core that may be full. What a turn sends there waits, in order, and the turn with it, as for a full mailbox. */
typedef struct tr_gate tr_gate;
typedef struct tr_gate_ops {
  bool (*deliver)(tr_gate *gate, void *parcel); /* false: still full. Takes the parcel */
  void (*drop)(tr_gate *gate, void *parcel);    /* it will not be delivered */
} tr_gate_ops;
struct tr_gate { const tr_gate_ops *ops; tr_link parked; };
void tr_gate_init(tr_gate *gate, const tr_gate_ops *ops);
/* own: takes the parcel if it succeeds. err: TR_EMEMORY. At the deadline (30 s without) it is dropped, and msg is undeliverable. */
int tr_gate_park(tr_core *core, tr_gate *gate, tr_msg *msg, tr_turn *from, void *parcel);
void tr_gate_fail(tr_core *core, tr_gate *gate); /* nothing goes out any more */
void tr_gate_pump(tr_core *core, tr_gate *gate); /* there may be room now */

/* --- uplinks: where types nobody here owns go, and every event from here --- */
typedef enum {
  TR_UPLINK_OURS = 0, /* gets every event from here */
  TR_UPLINK_NONE,
  TR_UPLINK_ALL       /* and those that came in by a door: a launched process, which hears what it would hear in this one */
} tr_uplink_events;
/* dest->bound and ->events are the caller's to set before; ->number is given. Where there are several, a message for a type that
 * nobody here has goes to the first that knows it: they are asked in the order of their adding, the connected ones first; the next is
 * asked where one says that the type is not registered, which is remembered for a second. */
void tr_core_set_uplink_events(tr_core *core, tr_dest *uplink, tr_uplink_events events); /* of one that was added, or will be */
int tr_core_add_uplink(tr_core *core, tr_dest *uplink);
void tr_core_remove_uplink(tr_core *core, tr_dest *uplink);
/* An uplink was answered `not_found` with this text: was the message sent on to another one? Then its answer is that one's. */
bool tr_core_ask_next(tr_core *core, tr_dest *uplink, tr_msg *msg, tr_slice text);
/* What comes in by a door for a type that nobody here has: may anybody it can be sent on to have it? (A launched agent of this type, or an
 * uplink that takes such.) Then msg->more->hops, counted by each host on the way, lets it go out by an uplink. */
bool tr_core_may_reach(const tr_core *core, tr_slice type);
bool tr_core_has_way_up(const tr_core *core); /* is there an uplink for what nobody here has? */
#define TR_HOPS_MOST 8 /* hosts that send one message on, upwards; hosts may be joined in a circle */
/* What hosts say of a type that nobody has registered: into `out` (TR_ERROR_TEXT bytes). */
const char *tr_core_unregistered(tr_slice type, char *out);

typedef struct tr_core_stats {
  uint64_t turns, events, requests, sends, replies, late_replies, dead_letters, overloaded, failures, cancelled, repeated, dropped;
  size_t agents, open_turns, open_calls, queued;
  size_t results, result_bytes; /* kept for others */
} tr_core_stats;
void tr_core_get_stats(const tr_core *core, tr_core_stats *stats);

#endif
