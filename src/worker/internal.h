/* SPDX-License-Identifier: MIT
 * What the files of this room share. Read first: worker.c (dialing, losing, ending), then session.c (one connection), then
 * the two ways of a message: outbound.c → queue.c, and inbound.c. register.c and wait.c are what goes by unary calls.
 *
 * Three lives, each inside the next: the *worker* from new to free; a *session* from a connected socket to its loss; a
 * *call* of rpc. Everything that rpc tells comes to session.c. A session is never ended from inside rpc's handlers: they
 * say tr_worker_over, and a timer does it. */
#ifndef TR_WORKER_INTERNAL_H
#define TR_WORKER_INTERNAL_H

#include "base/finder.h"
#include "base/lanes.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slots.h"
#include "base/tally.h"
#include "wire/again.h"
#include "worker/worker.h"

#define TR_WORKER_SILENCE TR_SECONDS(20)  /* then a troupe host is pinged */
#define TR_WORKER_PATIENCE TR_SECONDS(10) /* for the pong, and for a new host's first bytes */
#define TR_WORKER_PROOF TR_SECONDS(2)     /* a session that lived so long was a good one, even if nothing came of it */
#define TR_WORKER_ONEWAY TR_SECONDS(30)   /* wire.md §8: how long a one-way request waits for the host, and for the answer nobody reads */
#define TR_WORKER_UNHEARD TR_SECONDS(150) /* and for what a troupe host may still say of it: more than that needs to miss a worker */
#define TR_WORKER_REQUESTS (1u << 20)     /* open at once */

struct tr_wire_note;
typedef struct tr_worker_request tr_worker_request;
typedef struct tr_worker_type tr_worker_type;
typedef struct tr_worker_sub tr_worker_sub;

/* Has this count become a power of two? Then it is worth a line in the log. */
static inline bool tr_worker_worth_a_line(uint64_t count) { return (count & (count - 1)) == 0; }

/* ---- calls.c: calls of AgentRpc and what they are for ---- */

typedef enum {
  TR_WORKER_CHANNEL,
  TR_WORKER_REGISTER,    /* item: tr_worker_type */
  TR_WORKER_SUBSCRIBE,   /* item: tr_worker_sub */
  TR_WORKER_UNSUBSCRIBE,
  TR_WORKER_POLL,        /* GetSubscriptions for wait.c */
  TR_WORKER_BARRIER,     /* RegisterAgent for leave.c */
  TR_WORKER_CONTROL,     /* OpenControlChannel */
  TR_WORKER_METHODS
} tr_worker_method;

typedef struct tr_worker_call { /* ud of the rpc call */
  tr_worker *worker;
  void *item;
  uint32_t session;
  uint8_t method; /* tr_worker_method */
} tr_worker_call;

/* A call on the present session; a unary one is given its request (own: frame; NULL counts as out of memory) and closed.
 * NULL: out of memory, or the host takes no new calls. */
tr_rpc_call *tr_worker_call_new(tr_worker *w, tr_worker_method method, tr_blob *frame, void *item);

/* ---- queue.c: what is to be sent on the channel ---- */

typedef struct tr_worker_item {
  tr_blob *frame;  /* NULL: it is not to be sent any more */
  tr_msg *event;   /* an event, for its dead letter */
  uint64_t token;  /* a request's; neither: an answer */
  uint64_t end;    /* bytes given to the stream, up to and with this one */
  uint64_t number; /* of the message on the wire, for resume.c */
  tr_time since;   /* when it was encoded */
  bool native;     /* for a host that takes the native format: not for any other */
  bool marked;     /* it may have been passed on before: receivers are told so (TR_KEY_AGAIN), whatever host it goes by */
  bool again;      /* it has to be encoded anew for that */
} tr_worker_item;

typedef struct tr_worker_ring { /* items are numbered for ever */
  tr_worker_item *items;
  size_t cap;                      /* a power of two, or 0 */
  uint64_t unacked, first, handed, last; /* [unacked, first): written, and events among them not acknowledged; [first, handed): with
                                          * rpc, not yet written; [handed, last): waiting */
} tr_worker_ring;

typedef struct tr_worker_queue {
  tr_worker_ring lanes[TR_LANES];  /* by tr_lane_kind; high and low are empty where nothing has a priority */
  tr_lane_runs runs;
  uint64_t bytes, given;           /* in it; given to this session's stream */
  uint64_t kept, number;           /* bytes that were written and are not acknowledged; of the last message that was handed to rpc */
} tr_worker_queue;

/* Queue a frame (takes references of its own) with a tr_priority. Events and requests are taken up to queue_bytes, answers up to twice that; *number
 * (may be NULL) is the item's. err: TR_EOVERLOADED, TR_EMEMORY. */
int tr_worker_push(tr_worker *w, uint8_t priority, tr_blob *frame, tr_msg *event, uint64_t token, uint64_t *number);
void tr_worker_unqueue(tr_worker *w, uint64_t number); /* it will not be sent, if it still waits */
void tr_worker_pump(tr_worker *w, size_t limit);       /* give rpc about so much */
void tr_worker_written(tr_worker *w);                  /* rpc has written some */
void tr_worker_rewind(tr_worker *w, bool all_written); /* the stream is gone: what was not written waits for the next one */
/* resume.c: the host has had the messages up to this number. */
void tr_worker_acked(tr_worker *w, uint64_t number);
/* The host has begun a session: what is not acknowledged is let go (again: false), or waits once more, but for what the host has had. marked:
 * with the mark. */
void tr_worker_requeue(tr_worker *w, bool again, uint64_t had, bool marked);
void tr_worker_queue_fini(tr_worker *w, const char *reason); /* events become dead letters */
bool tr_worker_is_handed(const tr_worker *w, uint64_t number); /* rpc has it, or had */
static inline bool tr_worker_ring_empty(const tr_worker_ring *ring) { return ring->first == ring->last; }
static inline bool tr_worker_queue_empty(const tr_worker_queue *queue) {
  return tr_worker_ring_empty(&queue->lanes[TR_LANE_NORMAL]) && tr_worker_ring_empty(&queue->lanes[TR_LANE_HIGH]) &&
         tr_worker_ring_empty(&queue->lanes[TR_LANE_LOW]);
}

/* ---- requests.c: requests of agents here that wait for an answer from there ---- */

struct tr_worker_request {
  tr_slot slot;
  tr_link link;     /* worker->requests */
  tr_holder holder; /* of msg */
  tr_timer guard;
  tr_worker *worker;
  tr_msg *msg;
  uint64_t number;  /* of its item in the queue, until `sent` */
  bool sent;        /* wholly written to the socket */
  bool unheard;     /* one-way: it left, and nothing was heard of it for TR_WORKER_ONEWAY */
};

#define TR_WORKER_ID TR_SLOT_ID /* characters of the request_id that we write */

tr_worker_request *tr_worker_request_new(tr_worker *w, tr_msg *msg); /* err: NULL, out of memory or too many */
/* End it with this answer (a one-way's error becomes a dead letter), or with an error. text NULL: the code's own. */
void tr_worker_request_answer(tr_worker_request *request, tr_reply *reply);
void tr_worker_request_fail(tr_worker_request *request, int code, const char *text);
void tr_worker_requests_fail(tr_worker *w, bool only_sent, int code, const char *text);

/* ---- outbound.c, inbound.c ---- */

extern const tr_dest_ops tr_worker_dest_ops;
void tr_worker_send_request(tr_worker *w, tr_msg *msg); /* borrows; it is answered whatever happens */
/* own: a frame for the caller, of the same request as it is now (less time is left). NULL: no memory. */
tr_blob *tr_worker_encode_again(tr_worker_request *request);
tr_blob *tr_worker_encode_event_again(tr_worker *w, tr_msg *event, bool marked); /* likewise; marked: it may have been sent before */

typedef struct tr_worker_job { /* a request from the host that an agent here is to answer */
  tr_link link;          /* worker->jobs or ->debts */
  tr_worker *worker;
  tr_msg *msg;           /* borrowed: it is there until it is answered; then NULL */
  int owed;              /* an error answer that memory was short for */
  uint32_t session;      /* the stream that the answer belongs to */
  uint32_t id_length;
  char id[];
} tr_worker_job;

void tr_worker_message(tr_worker *w, tr_slice bytes);
void tr_worker_oversize(tr_worker *w, tr_slice head, uint64_t size);
void tr_worker_forget_jobs(tr_worker *w);
void tr_worker_cancel_jobs(tr_worker *w); /* nobody can hear their answers any more */
void tr_worker_job_fini(tr_worker_job *job); /* free it; its request is answered, or has no more to do with it */

/* ---- notes.c: about open requests, where the host is troupe ---- */

void tr_worker_notes_init(tr_worker *w);
void tr_worker_note(tr_worker *w, const tr_wire_span *span);
/* Nobody here waits for its answer any more: the host hears of it, if the request has left. The entry is the caller's to end. */
void tr_worker_tell_cancelled(tr_worker_request *request);
tr_msg *tr_worker_request_take(tr_worker_request *request); /* end it; the reference is the caller's */
void tr_worker_take_parts(tr_worker_job *job); /* of its answer, if its caller does */
void tr_worker_cancel_job(tr_worker_job *job); /* nobody waits for its answer any more */
extern const tr_holder_ops tr_worker_holder_ops;

/* ---- moves.c: agents of shared types go to other workers, and come ---- */

void tr_worker_reload_note(tr_worker *w, const tr_wire_span *span, const struct tr_wire_note *note); /* reload.c */
void tr_worker_move_note(tr_worker *w, const tr_wire_span *span, const struct tr_wire_note *note);
void tr_worker_forget_leaves(tr_worker *w); /* the session has ended */
void tr_worker_tell_have(tr_worker *w);     /* what is live here of shared types */

/* ---- register.c ---- */

typedef enum { TR_REG_NEW = 0, TR_REG_ASKED, TR_REG_HELD } tr_worker_reg;

struct tr_worker_type {
  tr_link link;      /* worker->types_list */
  tr_link subs;
  tr_name *name;
  uint8_t state;     /* tr_worker_reg */
  bool wanted;       /* a class here has it */
  bool refused;      /* in this session; tried again later */
  uint32_t told;     /* in which session; 0: not yet */
  bool shared;       /* with other workers: core/shared.c */
  bool lent;         /* only some ids of it are here, launched ones: no matter if another worker has it */
};

struct tr_worker_sub {
  tr_link link;      /* type->subs */
  tr_worker_type *type;
  struct tr_worker_sub_key { tr_name *topic, *type; uint64_t kind; } key; /* bytes: the map's key */
  uint32_t told;     /* that it is refused: as of a type */
  uint8_t state;
  bool wanted, refused;
  bool elsewhere;    /* somebody else has the same one: events come by that */
  char id[37];
};

void tr_worker_register_all(tr_worker *w);   /* a session has begun */
void tr_worker_register_reset(tr_worker *w); /* it has ended */
void tr_worker_register_fini(tr_worker *w);
void tr_worker_registered(tr_worker *w, tr_worker_type *type, const tr_rpc_status *status);
void tr_worker_subscribed(tr_worker *w, tr_worker_sub *sub, const tr_rpc_status *status);
void tr_worker_review(tr_worker *w); /* have we joined? */

/* ---- wait.c ---- */

void tr_worker_poll(tr_worker *w);     /* a session has begun, or it is time */
void tr_worker_polled(tr_worker *w, tr_slice bytes);
void tr_worker_poll_ended(tr_worker *w);
void tr_worker_cancel_waits(tr_worker *w, const char *text);

/* ---- resume.c: events that a broken connection would lose ---- */

size_t tr_worker_resume_header(tr_worker *w, char out[24]); /* a session begins: what it says of the last; 0: nothing */
void tr_worker_resume_pong(tr_worker *w, uint64_t payload); /* as tr_worker_leave_pong */
void tr_worker_resumed(tr_worker *w, tr_slice received);    /* its host's headers came, with this ({NULL, 0}: nothing) of what it has had */
void tr_worker_resume_stop(tr_worker *w);
bool tr_worker_had_event(tr_worker *w, const tr_wire_span *span); /* note this event; true: it came before */

/* ---- session.c ---- */

/* There is a host that reads what is written: it has answered, or goes on sending (AutoGen's answers nothing before its first message). */
bool tr_worker_was_heard(const tr_worker *w);
int tr_worker_session_open(tr_worker *w); /* err: TR_EMEMORY */
void tr_worker_session_end(tr_worker *w); /* not from inside rpc */
void tr_worker_touch(tr_worker *w);       /* there is something to send */
void tr_worker_prove(tr_worker *w);       /* the host is one: it answered */

/* ---- worker.c ---- */

/* This session is over; outside of rpc's handlers it will be ended. refused: trying again soon is no use. The first reason stays. */
void tr_worker_over(tr_worker *w, bool refused, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
void tr_worker_set_state(tr_worker *w, tr_worker_state state, const char *reason);
tr_time tr_worker_backoff(tr_worker *w, unsigned tries, tr_time most);

/* ---- leave.c ---- */

typedef enum { TR_LEAVE_NO = 0, TR_LEAVE_FLUSH, TR_LEAVE_BARRIER, TR_LEAVE_CANCEL } tr_worker_leave;
void tr_worker_leave_advance(tr_worker *w);
void tr_worker_leave_barrier(tr_worker *w, bool registered); /* its call has ended */
void tr_worker_leave_pong(tr_worker *w, uint64_t payload);   /* the host has answered a PING */
void tr_worker_off(tr_worker *w, const char *reason); /* not from inside rpc */

/* ---- the worker ---- */

typedef enum { TR_LINK_NONE = 0, TR_LINK_DIALING, TR_LINK_UP } tr_worker_link;

struct tr_worker {
  tr_dest dest;           /* the core's view of it: an uplink */
  tr_worker_options o;    /* with the defaults filled in */
  char *address;          /* copies of o's texts */
  char *version;
  tr_core *core;
  tr_mem *mem;
  const tr_log *log;
  tr_rpc_gzip gzip;       /* of its sessions */
  tr_timers *timers;
  uint8_t state;          /* tr_worker_state */
  uint8_t link;           /* tr_worker_link: the socket */
  uint8_t leave;          /* tr_worker_leave */
  uint8_t told;           /* which kind of trouble was told since the last good session: 1 away, 2 refused */
  uint32_t told_cause;    /* a hash of its text; 0: it was the end of a session */
  bool uplinked;          /* the core knows dest */
  bool dirty;             /* dirty() was called since the last output */
  bool in_output;         /* tr_rpc_output is on the stack */
  bool reopen;            /* the last session's host was troupe: the same client-id again */
  bool known;             /* resume.c: and it numbers messages, so that what it has not had can be sent again */
  bool acks;              /* the present one does */
  bool late;              /* its headers are too long in coming: as if it did not */
  bool resuming;          /* nothing is sent until it has said what it has had */
  bool read;              /* meanwhile it has read what we sent */
  uint64_t received;      /* messages that came from it */
  uint32_t unacked;       /* events among them that it was not told of */
  tr_timer ack_timer, resume_timer;
  tr_timer pump_timer;    /* there was no memory to hand on what waits: queue.c */
  tr_again seen;          /* the last events */
  bool fresh;             /* client_id was not used in any session */
  unsigned tries;         /* since the last good session */
  tr_timer dial_timer;    /* dial again */
  tr_timer over_timer;    /* end the session */
  tr_timer leave_timer;   /* at the latest */
  char client_id[37];
  char last_id[37];       /* of the last session that held a type */
  char origin[TR_MSG_ID_MAX]; /* marks our events; the same for all uplinks of this core */
  size_t origin_length;
  /* the session; rpc NULL: none */
  tr_rpc_conn *rpc;
  tr_rpc_call *channel, *control; /* control NULL: the host has none */
  uint32_t session;       /* counts them */
  char host_version[16];
  uint32_t told_have;     /* the session in which it was told what is live here: moves.c */
  bool troupe;            /* its host announced itself as troupe */
  bool no_gzip;           /* the host refused a stream that said its messages may be compressed */
  bool native;            /* and that it takes bodies in the native format, for others too */
  bool heard_any;         /* bytes came */
  bool turned_away;       /* by a word of HTTP/2: it wants TLS */
  bool proven;            /* it is a host */
  bool answered;          /* it has said so itself: by the stream's headers, or the end of a call */
  uint8_t joins;          /* 0, 1, more: it was joined since it began, or since trouble was told */
  bool goaway;            /* it takes no new calls */
  bool over, refused;     /* it ends; for a reason that will not change */
  int refused_as;         /* which code that was */
  bool pinged;
  tr_time since, heard, pinged_at;
  tr_timer watch;
  char reason[256];
  /* messages */
  tr_worker_queue queue;
  tr_slots slots;         /* of tr_worker_request */
  tr_link requests;
  tr_link jobs, debts;
  tr_finder jobs_by_id;   /* notes.c */
  uint32_t n_jobs;
  tr_timer debt_timer;
  uint64_t malformed, strays, dropped; /* logged with doubling */
  /* registration */
  tr_map types, subs;
  tr_link types_list;
  uint32_t asking;        /* calls under way */
  unsigned register_tries;
  tr_tally refusals;      /* of subscriptions, by topic */
  tr_timer sync_timer, again_timer;
  /* wait.c */
  tr_link leaving;        /* moves.c */
  tr_link waits;
  tr_timer poll_timer;
  tr_time poll_interval;
  bool polling;           /* a call is under way */
};

/* The format of bodies that ask for none. */
static inline tr_format tr_worker_plain(const tr_worker *w) { return w->native ? TR_FORMAT_NATIVE : TR_FORMAT_JSON; }

#endif
