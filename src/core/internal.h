/* SPDX-License-Identifier: MIT
 * What the core's files share. Private to the core: the other rooms see core/core.h.
 *
 * Who does what, in the order a message goes:
 *   message.c      the message itself, answering it
 *   turns.c        a turn's outbox, its run and its end
 *   posting.c      from an outbox (or from outside) to a destination: local class, router's owner, uplink
 *   publish.c      the same for events, by local_subs.c and direct.c
 *   uplinks.c      which of several uplinks
 *   mailbox.c      into an agent's mailbox, its lanes and bound; crowded.c: a warning; parking.c: deliveries that wait for room
 *   waits.c        would this wait never end?
 *   scheduler.c    which agent runs next; frozen.c: none, for a moment
 *   calls.c        who waits for an answer, and until when
 *   far.c          the same core in several threads: what lives elsewhere
 *   results.c, refs.c   results kept for other processes; bodies that refer to such
 *   remote.c       instances that are in another process
 *   resends.c      requests that come a second time
 *   classes.c, agents.c   types and instances, their beginning and end; closing.c: ends in good order; members.c: pools
 *   observe.c    what consoles see of all that */
#ifndef TR_CORE_INTERNAL_H
#define TR_CORE_INTERNAL_H

#include "base/lanes.h"
#include "base/map.h"
#include "core/core.h"
#include "core/pool.h"
#include "core/router_impl.h"
#include "core/table.h"
#include "core/topics.h"

#define TR_PARK_TIME TR_SECONDS(30) /* how long a delivery waits for room where the message has no deadline */
#define TR_SLOT_MOST 64             /* messages an agent takes in one slot */
#ifdef TR_HOSTILE
#define TR_MAILBOX_DEFAULT 2
#define TR_PLANS_MOST 2
#else
#define TR_MAILBOX_DEFAULT 10000
#define TR_PLANS_MOST 4096
#endif
#define TR_MAILBOX_BYTES (UINT64_C(64) << 20)
#define TR_INSTANCES_DEFAULT 1000000u

typedef struct tr_envelope tr_envelope;

/* ---- the core ---- */

typedef struct tr_probe_seen tr_probe_seen;
struct tr_core {
  tr_mem *mem;
  const tr_log *log;
  tr_core_hooks hooks;
  tr_body_ops body;
  const tr_seal *seal; /* NULL: nothing is signed */
  tr_intercept_fn intercept; /* NULL: none */
  void *intercept_ud;
  tr_observe_fn observe;     /* NULL: nobody looks */
  void *observe_ud;
  bool intercepting;
  bool shows_first;            /* the interceptor is the first isolate's */
  tr_names *names;
  tr_router *router;
  tr_timers *timers;
  tr_random random;
  tr_time now;
  uint64_t seed, identity;     /* identity: in front of message ids */
  uint64_t last_number;        /* of a message */
  const tr_far_ops *far;       /* NULL: one isolate */
  void *far_ud;
  unsigned index, isolates;    /* of this isolate; how many there are */
  uint32_t pinned;             /* classes that only this isolate has */
  uint32_t shared;             /* classes that other workers of a host may have, too */
  tr_pool messages, envelopes, turns, calls, parkings, agents;

  tr_dest local;               /* our classes, as the router sees them */
  tr_link classes, retired;
  tr_table unlisted;           /* classes that the router does not know, by type: remote.c */
  bool leaf;                   /* what is published goes to the uplink only */
  tr_time close_deadline;      /* of the CLOSE turns of a drain */
  tr_dest **uplinks;
  uint32_t uplink_count, uplink_cap, last_uplink;
  uint32_t listening;          /* uplinks that get events that came in by a door */
  tr_table hints;              /* types → which uplink to ask first: uplinks.c */
  tr_time hints_until;

  /* local subscriptions and taps */
  tr_topics topics;
  tr_map subs_by_key, subs_by_id; /* equality; removal */
  tr_map announced;            /* (class, kind, topic) → how many local ones stand behind it */
  tr_table plans;              /* topic → who gets it here, cached */
  tr_link plans_by_age;
  uint64_t sub_generation, last_sub;
  uint32_t taps;
  tr_link graveyard;           /* removed while events were being given out */
  unsigned publishing;

  /* calls */
  struct tr_call_slot { tr_call *call; uint32_t generation, next; } *call_slots;
  uint32_t call_cap, call_free; /* call_free: index + 1 of the first free slot, 0: none */

  tr_map results;              /* key → kept result */
  uint32_t resolving;          /* messages that wait for the results they refer to */
  tr_map resends;              /* token → tr_resend */
  tr_link answered;            /* of these, the ones that are answered, the oldest first */
  size_t answered_count, answered_bytes;

  /* calls whose requests are behind a door: probes.c */
  tr_link at_doors;
  tr_link far_parked;          /* deliveries from other isolates that wait for room here */
  tr_timer probe_timer;
  struct tr_probe_seen { const void *node; uint64_t goal; } *probes_seen; /* NULL: none came yet */

  /* scheduler */
  tr_agent *ready_head, *ready_tail;
  tr_agent *held;              /* that were ready while frozen, the last one first */
  tr_turn *serving;            /* the turn whose ops->run is on the C stack */
  tr_agent *slot_agent;        /* whose slot it is: it cannot be freed before its slot ends */
  uint64_t agents_freed;       /* moves when an instance leaves, for those who walk a class's instances */
  bool stepping, waking, closing, in_hook;
  bool shuffled;               /* ready agents are not served first come, first served: tr_core_shuffle */
  tr_random order;
  bool frozen;                 /* no turn is begun but those that open ones wait for */
  uint32_t parkings_open;
  bool draining;               /* mail from doors is refused */
  bool ended;                  /* no new instance is made */
  tr_error stop_error;         /* why slot_agent is to be stopped when its slot ends */

  tr_core_stats stats;
};

/* ---- classes and agents ---- */

struct tr_class {
  tr_core *core;
  tr_name *type;
  const tr_class_ops *ops;
  void *ud;
  uint32_t mailbox_limit, mailbox_weight, instances;
  tr_overflow overflow;
  uint8_t (*priority)(void *ud, const tr_name *type);
  uint32_t pool;
  bool unlisted;               /* not in the router, but in core->unlisted */
  bool partial;                /* limited or shared: not every id of it is here */
  bool limited;                /* only these keys are served: */
  tr_name **served;
  uint32_t served_count;
  bool reentrant, has_init, has_close, exclusive_init, first, requeue, pinned;
  bool shared;                 /* shared.c */
  bool removed;                /* waits for its last instance and subscription to go */
  bool retired;                /* likewise, and its instances are being closed */
  tr_link link;                /* core->classes */
  tr_link agents;
  tr_table by_key;
  tr_link subs;
  size_t sub_count;            /* those in the graveyard as well */
  size_t agent_count;          /* the one that waits for its slot's end as well */
};

enum { /* tr_agent.state */
  TR_AGENT_MADE = 1,      /* ops->make succeeded */
  TR_AGENT_LIVE = 2,      /* its INIT turn is over, or it needs none */
  TR_AGENT_QUEUED = 4,    /* in the ready list */
  TR_AGENT_START = 8,     /* make it and run INIT though it has no mail */
  TR_AGENT_YIELDED = 16,  /* a turn was pre-empted: only that one may run */
  TR_AGENT_RECEIVING = 32, /* a program waits for mail */
  TR_AGENT_STOP = 64,     /* stop it when its slot ends */
  TR_AGENT_DEAD = 128,    /* left; the ready list frees it */
  TR_AGENT_CLOSING = 256, /* ends in good order: agent->close_why */
  TR_AGENT_RESET = 512,   /* drop and make it anew when its slot ends */
  TR_AGENT_HALTED = 1024, /* out of use: extra->halted says why */
  TR_AGENT_MEMBER = 2048, /* of a pool, not its head: it is not in the table of keys */
  TR_AGENT_REMOTE = 8192, /* extra->remote: elsewhere, or on its way */
  TR_AGENT_HELD = 16384,  /* with that: it takes no mail here */
  TR_AGENT_NEEDED = 4096, /* frozen: an open turn waits for it to take its mail */
  TR_AGENT_STALLED = 32768, /* what it sent waits for room in another isolate: extra->stalls */
  TR_AGENT_ENDING = TR_AGENT_STOP | TR_AGENT_RESET | TR_AGENT_HALTED,
};

typedef struct tr_lane { tr_envelope *last; uint32_t count, weight; } tr_lane; /* last: its `next` is the first; weight: of `nested` alone */

typedef struct tr_agent_extra { /* what few agents need */
  tr_lane high, low;
  tr_lane nested;              /* requests of call chains that this agent waits in */
  tr_link parked;              /* deliveries waiting for room */
  uint32_t parked_count;
  uint32_t stalls;             /* messages of it that wait for room in other isolates */
  tr_remote *remote;
  tr_lane_runs runs;
  char *halted;                /* why, of a halted one; NULL for lack of memory */
  size_t halted_size;
  tr_agent *head, *next_member; /* of a pool's members; the head's next_member is the first */
} tr_agent_extra;

tr_agent *tr_agent_obtain(tr_class *class_, tr_name *key); /* find, or a new one not yet made; NULL: tr_agent_none says why */
int tr_agent_none(const tr_class *class_, tr_error *error) TR_COLD; /* TR_EOVERLOADED or TR_EMEMORY; error may be NULL */
int tr_agent_make(tr_core *core, tr_agent *agent, tr_error *error);
tr_agent_extra *tr_agent_get_extra(tr_core *core, tr_agent *agent); /* NULL: out of memory */
void tr_agent_release(tr_core *core, tr_agent *agent); /* its memory, once it has left and is not in the ready list */
void tr_agent_stop_in_slot(tr_core *core, tr_agent *agent, int code, const char *text) TR_COLD;
/* Stop it if that was asked for; else it is ready again if it has work. */
void tr_agent_end_slot(tr_core *core, tr_agent *agent);
void tr_agent_leave(tr_core *core, tr_agent *agent, int code, const char *text); /* not in its slot */
/* closing.c */
void tr_agent_begin_close(tr_core *core, tr_agent *agent, uint64_t *turns);
void tr_agent_closed(tr_core *core, tr_agent *agent); /* its CLOSE turn is over */
void tr_agent_reset(tr_core *core, tr_agent *agent);  /* what RESET and HALTED ask for, out of its slot */
/* remote.c */
bool tr_remote_takes(tr_core *core, tr_agent *to, tr_msg *msg, const tr_turn *from); /* and it went on, past the mailbox */
void tr_remote_look(tr_core *core, tr_agent *agent); /* a held one's last turn may be over */
void tr_remote_gone(tr_core *core, tr_agent *agent); /* its instance was dropped */
void tr_remote_left(tr_core *core, tr_agent *agent);
bool tr_class_serves(const tr_class *class_, const tr_name *key);
/* shared.c: is a message for an agent of this class, which is here, the host's to bring; does this class get an event of those for it? */
bool tr_shared_goes_up(const tr_class *class_, const tr_msg *msg);
bool tr_shared_hears(const tr_class *class_, const tr_msg *event);
void tr_class_free_served(tr_class *class_);
/* members.c: who of a pool takes the next message, and what a leaving one leaves behind. */
tr_agent *tr_members_pick(tr_core *core, tr_agent *head);
void tr_members_leave(tr_core *core, tr_agent *agent);
void tr_class_release(tr_class *class_); /* free a removed class if nothing belongs to it any more */
static inline tr_core *tr_agent_core(const tr_agent *agent) { return agent->class_->core; }

/* ---- turns ---- */

enum { /* tr_turn.state */
  TR_TURN_NEW = 0,
  TR_TURN_RUNNING,
  TR_TURN_WAITING,
  TR_TURN_READY,   /* woken; in its agent's list of ready turns */
  TR_TURN_YIELDED, /* pre-empted; likewise */
  TR_TURN_ENDED,   /* over, but some of what it sent waits for room */
};

typedef struct tr_turn_entry { /* a tr_turn with what is the core's alone */
  tr_turn turn;
  tr_turn *above;        /* the newer open turn */
  tr_link calls;         /* open calls of this turn */
  tr_link dropped;       /* calls that went with a failed turn's outbox: freed at its end */
  tr_link parked;        /* deliveries of it that wait for room */
  bool woken;            /* woken while it could not become ready */
  bool replied, failed, deferred;
  uint64_t mark;         /* in paths; 0: none yet */
  uint64_t goal;         /* of the last probe that it sent */
  tr_time probed_at;
  bool starved;          /* it has no credit for another part */
  uint32_t credit;       /* parts of its answer that it may give now */
  bool cancelled;        /* its caller gave up, or its time is over */
  tr_holder holder;      /* of its request */
  tr_timer limit;        /* a request from a door: its deadline, once the turn waits */
  tr_name *reply_type;
  tr_body reply_body;
  tr_error *error;       /* of a failed INIT turn; may be NULL for lack of memory: then only fail_code */
  int fail_code;
} tr_turn_entry;

static inline tr_turn_entry *tr_turn_own(tr_turn *turn) { return (tr_turn_entry *)turn; }
/* own: takes msg; where memory ran out (NULL) it is not taken. */
tr_turn *tr_turn_new(tr_core *core, tr_agent *agent, tr_turn_kind kind, tr_msg *msg);
void tr_turn_run(tr_core *core, tr_turn *turn);
void tr_turn_end(tr_core *core, tr_turn *turn);   /* it has done what it does: release, answer, free */
void tr_turn_abort(tr_core *core, tr_turn *turn, int code, const char *text) TR_COLD; /* its agent stops */
void tr_turn_unblock(tr_core *core, tr_turn *turn); /* the last of its parked deliveries is settled */
tr_turn *tr_turn_pop_ready(tr_agent *agent); /* or NULL */

/* ---- observe.c ---- */

static inline void tr_seen_by(tr_core *core, tr_seen_kind kind, tr_msg *msg, const tr_agent *agent, int code, const char *text) {
  if (core->observe) core->observe(core->observe_ud, &(tr_seen){ .kind = kind, .msg = msg, .agent = agent, .code = code, .text = text });
}

/* ---- scheduler ---- */

/* Open turns of one instance at most when a call chain comes back to it: agents that call each other for ever end with an error, as
 * functions do (200 is Lua's own bound for C calls). */
#define TR_NESTED_MOST 200
/* May the next message be taken that is not of a waiting chain? */
static inline bool tr_mail_open(const tr_agent *agent) {
  if (agent->state & (TR_AGENT_CLOSING | TR_AGENT_ENDING | TR_AGENT_HELD | TR_AGENT_STALLED)) return false;
  if (!agent->turn) return true;
  return agent->class_->reentrant && (agent->state & TR_AGENT_LIVE) && !(agent->state & TR_AGENT_YIELDED) &&
         !agent->blocked_turns;
}
static inline bool tr_mail_nested(const tr_agent *agent) {
  const tr_agent_extra *extra = agent->extra;
  return extra && extra->nested.last && !(agent->state & TR_AGENT_YIELDED);
}
/* Has it anything to do now? */
static inline bool tr_agent_wants(const tr_agent *agent) {
  if (agent->state & (TR_AGENT_DEAD | TR_AGENT_ENDING)) return false;
  if (agent->state & TR_AGENT_STALLED) return tr_mail_nested(agent);
  if (agent->ready_turns || (agent->state & TR_AGENT_START)) return true;
  if ((agent->state & TR_AGENT_CLOSING) && !agent->turn) return true;
  return (agent->mail.count > 0 && tr_mail_open(agent)) || tr_mail_nested(agent);
}

void tr_agent_ready(tr_core *core, tr_agent *agent); /* into the ready list, if it is not there */
/* frozen.c: may it be served now; if not, keep it; those that it is found out about are ready again. */
bool tr_frozen_serves(const tr_agent *agent);
void tr_frozen_hold(tr_core *core, tr_agent *agent);
void tr_frozen_look(tr_core *core);

/* ---- mailboxes ---- */

#define TR_WEIGHT 16u /* bytes: what the bodies in a mailbox weigh is counted in these */
static inline uint64_t tr_msg_weight(const tr_msg *msg) { return (tr_body_size(&msg->body) + TR_WEIGHT - 1) / TR_WEIGHT; }
static inline bool tr_mail_full(const tr_agent *agent) {
  return agent->mail.count >= agent->class_->mailbox_limit || agent->mail.weight >= agent->class_->mailbox_weight;
}
static inline uint32_t tr_mail_parked(const tr_agent *agent) {
  return agent->extra ? ((const tr_agent_extra *)agent->extra)->parked_count : 0;
}
#define TR_CROWDED 1024 /* messages in a mailbox that are worth a line in the log; then twice as many, and so on */
void tr_mail_tell_crowded(tr_core *core, tr_agent *agent) TR_COLD; /* crowded.c */
static inline void tr_mail_look_crowded(tr_core *core, tr_agent *agent, uint32_t limit) {
  uint32_t first = limit < TR_CROWDED ? limit : TR_CROWDED;
  if (agent->mail.count >= first && agent->mail.count >= (uint64_t)first << agent->crowded) tr_mail_tell_crowded(core, agent);
}

/* "the mailbox of … is full", and which of its bounds that is. posting.c */
void tr_mail_tell_full(const tr_agent *to, char *text, size_t size) TR_COLD;
/* Put msg into the agent's mailbox (one more reference). `from`: the turn that sends and may be made to wait, or NULL.
 * err: TR_EOVERLOADED, TR_EDEADLOCK, TR_EMEMORY; then the caller says so to whoever waits (tr_core_undeliverable). */
int tr_mail_deliver(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from);
/* Does the agent wait in this request's own call chain? Then it takes it at once. */
bool tr_mail_is_nested(const tr_agent *to, const tr_msg *msg);
/* The next that may be handled now, with its reference; or NULL. */
tr_msg *tr_mail_take(tr_core *core, tr_agent *agent);
void tr_mail_fail_all(tr_core *core, tr_agent *agent, int code, const char *text) TR_COLD;
tr_msg *tr_mail_pop(tr_core *core, tr_agent *agent); /* the next, whoever it is for: with its reference; or NULL */
int tr_mail_push(tr_core *core, tr_agent *to, tr_msg *msg); /* no bound is looked at; for parking.c */
tr_msg *tr_mail_drop_oldest(tr_core *core, tr_agent *agent);

typedef struct tr_parking { /* a delivery that waits for room in a mailbox */
  tr_link by_receiver, by_turn;
  tr_timer timer;
  tr_agent *receiver;          /* NULL: a gate's */
  tr_gate *gate;
  void *parcel;                /* a gate's; NULL: delivered */
  tr_turn *turn;               /* NULL: it ended by force, is in another isolate, or nothing is blocked by this */
  tr_msg *msg;
  uint64_t mark, goal;         /* from another isolate: of its probes; it lies in core->far_parked by by_turn */
  tr_time probe_at, probe_step;
} tr_parking;

/* `from` NULL: the message came from a turn in another isolate. */
int tr_parking_add(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from);
void tr_parking_pump(tr_core *core, tr_agent *agent); /* there may be room now */
void tr_parking_fail(tr_core *core, tr_parking *parking, int code, const char *text) TR_COLD;
void tr_parking_forget(tr_turn *turn); /* the turn ends by force; what it sent still goes on */

/* Would `turn` wait for ever if it waited until `agent` takes its next mail? `blocked`: it waits for room, which
 * keeps its own agent from taking mail even where that is reentrant. */
bool tr_waits_in_circle(tr_turn *turn, tr_agent *agent, bool blocked);
void tr_waits_starved(tr_turn *turn); /* it has begun to wait for who takes parts of its answer: does that close a circle? */

/* ---- circles over several processes: probes.c ---- */

void tr_call_left(tr_call *call); /* its request goes out by a door */
void tr_probe_agent(tr_agent *agent, const tr_probe *probe); /* follow what its next mail waits for (waits.c) */
void tr_probe_turn(tr_turn *turn, const tr_probe *probe);
void tr_probe_taker(tr_call *call, const tr_probe *probe); /* the callee has no credit: follow what waits for other than its parts */
void tr_probe_is_back(tr_turn *turn, const tr_probe *probe); /* at the turn that sent it */
typedef enum { TR_PROBE_PASSES, TR_PROBE_STOPS, TR_PROBE_BACK } tr_probe_passes;
bool tr_probe_at_agent(const tr_agent *agent, const tr_probe *probe); /* which is stalled: may it pass? */
void tr_probes_fini(tr_core *core);
tr_probe_passes tr_probe_at_turn(tr_turn *turn, const tr_probe *probe);
void tr_parking_is_far(tr_core *core, tr_parking *parking); /* its sender is in another isolate */
void tr_parking_leaves(tr_core *core, const tr_parking *parking); /* the receiver's list */
uint64_t tr_turn_mark(tr_turn *turn);
typedef enum { TR_LED_NO, TR_LED_YES, TR_LED_MAYBE } tr_led;
tr_led tr_msg_led_by(const tr_msg *msg, const tr_turn *turn); /* did it lead to this request, which came by a door? */

/* ---- calls ---- */

struct tr_call {
  tr_core *core;
  uint32_t slot;
  bool patient;                /* its delivery may wait for room though no turn is blocked by that */
  bool background;             /* its turn does not wait for it now */
  bool making;                 /* tr_core_call has not returned yet: its callback must wait */
  bool orphan;                 /* the turn that made it is over */
  bool relayed;                /* or is in another isolate */
  uint8_t asker;               /* of a relayed one: a tr_asker_turn */
  bool closed;                 /* answered; its callback is running */
  tr_reply_fn fn;
  tr_part_fn part;             /* NULL: none are wanted */
  void *ud;
  tr_turn *turn;               /* who waits; NULL: nobody here, or the turn is over */
  tr_link by_turn;
  tr_timer timer;
  int timer_code;              /* what it fails with when the timer fires */
  tr_agent *at;                /* in whose mailbox the request lies, behind that agent's open turns; else NULL */
  tr_turn *by;                 /* which turn handles it; else NULL */
  tr_parking *parked;          /* its delivery waits for room */
  tr_msg *msg;                 /* not counted: a request does not go before its call is closed. NULL: answered already */
  tr_link by_door;             /* core->at_doors */
  tr_time probe_at, probe_step;
  tr_name *target_type, *target_key;
  struct tr_early { /* the answer, if it came while `making` */
    int code;
    char *error;
    size_t error_size;
    tr_name *type;
    tr_body body;
    bool unresolved;
  } *early;
};

tr_call *tr_call_new(tr_core *core, tr_msg *msg, tr_reply_fn fn, void *ud);
/* reply_to.answer of our calls' requests */
void tr_call_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply);
int tr_call_part(void *ud, uint64_t token, tr_msg *request, tr_reply *part); /* reply_to.part */
void tr_turn_credit(tr_turn *turn, uint32_t parts);
static inline tr_call *tr_call_find(const tr_core *core, uint64_t token) {
  uint32_t slot = (uint32_t)token;
  if (slot >= core->call_cap || core->call_slots[slot].generation != (uint32_t)(token >> 32)) return NULL;
  return core->call_slots[slot].call;
}
/* The open call of this core that waits for this request's answer, or NULL. */
static inline tr_call *tr_call_of(const tr_msg *msg) {
  return msg->reply_to.answer == tr_call_answer ? tr_call_find(msg->core, msg->reply_to.token) : NULL;
}
void tr_call_forget(tr_call *call);     /* free it, fn is not called */
/* Close the call, if there is one, of a request that was never sent. It is freed later: its maker may still hold it. */
void tr_call_drop(tr_msg *msg, tr_link *dropped);
void tr_calls_free_dropped(tr_link *dropped) TR_COLD;
void tr_call_fail(tr_call *call, int code, const char *text) TR_COLD;
void tr_call_time_out(tr_msg *request) TR_COLD; /* answer it so */
void tr_call_deadlock(tr_call *call) TR_COLD;   /* fail it so */
uint64_t tr_call_token(const tr_call *call);
void tr_calls_fini(tr_core *core);      /* all are failed with `unavailable` */

/* ---- posting ---- */

/* Send a message on: borrows it. `from`: the turn whose outbox it was in, or NULL. The result is 0 or what went wrong;
 * whoever had to be told has been told. */
int tr_core_route(tr_core *core, tr_msg *msg, tr_turn *from);
int tr_core_publish(tr_core *core, tr_msg *msg, tr_turn *from);
/* An event to one local instance, if it has not got it yet; NULL: to all live ones. */
int tr_publish_to(tr_core *core, tr_msg *event, tr_class *class_, tr_name *key);
/* To all that only the first isolate knows; heard: somebody in another one had it. */
int tr_publish_rest(tr_core *core, tr_msg *event, bool heard);
/* uplinks.c: whom to ask for a type that nobody here has, or NULL; the one that a message names. */
tr_dest *tr_uplink_pick(tr_core *core, tr_name *type);
tr_dest *tr_uplink_named(const tr_core *core, uint32_t number);
void tr_uplinks_init(tr_core *core);
void tr_uplinks_fini(tr_core *core);
/* Hand msg to a door. */
int tr_core_to_door(tr_core *core, tr_dest *dest, tr_msg *msg);
/* The same with the text for a refused delivery. */
int tr_core_refused(tr_core *core, tr_msg *msg, tr_agent *to, int code) TR_COLD;
/* The same where there is no instance for it, nor can one be made. */
int tr_core_no_agent(tr_core *core, tr_msg *msg, const tr_class *class_) TR_COLD;

/* ---- results.c, refs.c ---- */

/* An answer to a request from the wire that asks for it: its content stays here, and a TR_BODY_REF goes out in its place. Where there is
 * no room it is left as it is. */
void tr_result_keep(tr_msg *request, tr_reply *reply);
const tr_body *tr_result_find(const tr_core *core, tr_slice key);
unsigned tr_result_isolate(const tr_core *core, tr_slice key); /* that has it, or this one */
int tr_result_serve(tr_core *core, tr_msg *msg); /* asked for, or let go; as tr_core_route */
void tr_results_init(tr_core *core);
void tr_results_fini(tr_core *core);
/* Get what the body refers to, then route the message again. Borrows; as tr_core_route. */
int tr_refs_resolve(tr_core *core, tr_msg *msg);

typedef struct tr_resend tr_resend;
void tr_resends_init(tr_core *core);
void tr_resends_fini(tr_core *core);
/* A request from the wire with a token. 1: it came before, and has its answer or gets that of the first. 0: it is to be handled. */
int tr_resend_take(tr_core *core, tr_msg *msg);
void tr_resend_answered(tr_msg *request, tr_reply *reply); /* the first: borrows, and may turn the body into bytes */
void tr_resend_dropped(tr_resend *r, tr_time deadline) TR_COLD; /* the first went without an answer */
bool tr_resend_is_awaited(const tr_resend *r); /* by a later attempt */

/* ---- local subscriptions ---- */

enum { TR_FORM_PREFIX = 1, TR_FORM_ALL = 2 }; /* tr_local_key.form */

typedef struct tr_local_sub {
  tr_topic_item item;
  tr_link by_class;            /* or the graveyard */
  uint64_t id;
  struct tr_local_key {        /* equality, as bytes */
    tr_class *class_;          /* NULL: a tap */
    tr_name *topic, *key;      /* key NULL: the event's source */
    uint64_t form;             /* kind, and whether all */
  } key;
  bool dead;
  bool (*only)(void *ud, tr_slice key); /* NULL: every key */
  void *only_ud;
  bool (*match)(void *ud, tr_msg *event, tr_slice *type, tr_slice *key);
  tr_event_fn tap;
  void *ud;
} tr_local_sub;

typedef struct tr_plan { /* the local subscriptions that a topic concerns */
  uint32_t refs;
  uint32_t count;
  size_t size;
  tr_name *topic;
  uint64_t generation;
  tr_link by_age;
  tr_local_sub *subs[];
} tr_plan;

tr_plan *tr_plan_get(tr_core *core, tr_name *topic); /* with a reference; NULL: out of memory */
void tr_plan_unref(tr_core *core, tr_plan *plan);
void tr_local_subs_init(tr_core *core);
void tr_local_subs_fini(tr_core *core);
void tr_local_subs_drop_class(tr_class *class_);
void tr_local_subs_bury(tr_core *core); /* free the graveyard, once nobody looks at it */
/* direct.c: the class hears "TYPE:…" from now on; the subscription for it is there from the first look at such a topic. 0 or TR_EMEMORY. */
int tr_direct_hear(tr_class *class_);
int tr_direct_look(tr_core *core, tr_slice topic);

#endif
