/* SPDX-License-Identifier: MIT
 * What the files of this room share. Read first: client.c (who is who), then channel.c → forward.c and deliver.c (the two
 * ways of a message), then unary.c. conn.c is the only one that rpc calls; pending.c keeps open requests; guards.c the clocks.
 *
 * Three nouns. A *connection* carries bytes. A *stream* is one call on it. A *client* is one client-id: it owns agent
 * types and subscriptions, and has at most one current OpenChannel stream, on whichever connection. */
#ifndef TR_HOST_INTERNAL_H
#define TR_HOST_INTERNAL_H

#include "base/finder.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slots.h"
#include "base/tally.h"
#include "base/text.h"
#include "host/host.h"
#include "wire/again.h"
#include "wire/keys.h"

#define TR_BRIEF(s) (int)tr_utf8_cut((s), 256), (s).p ? (s).p : "" /* for "%.*s": text from outside, not too much of it */

#define TR_UNTAKEN_MAX (16u << 20)   /* bytes of unary answers that wait to be read, by connection */
#define TR_CLIENT_ID_MAX 1024        /* bytes of a client-id */
#define TR_CLIENT_OPEN_REQUESTS 131072 /* open at once, by one client */
/* wire.md §8: how long a one-way request waits for the answer nobody reads. A troupe worker gives it at once; where that does not come it is found
 * out sooner that the worker is gone (guards.c), which its sender is told. */
#define TR_ONEWAY_TIMEOUT TR_SECONDS(30)
#define TR_ONEWAY_TROUPE TR_SECONDS(150)

typedef struct tr_client tr_client;
typedef struct tr_host_stream tr_host_stream;
typedef struct tr_pending tr_pending;
typedef struct tr_who tr_who; /* access.c */
typedef struct tr_access_cache tr_access_cache;
typedef struct tr_retained tr_retained; /* retain.c */
typedef struct tr_late tr_late;

/* ---- conn.c: connections and the calls on them ---- */

typedef enum {
  TR_METHOD_CHANNEL,
  TR_METHOD_CONTROL,
  TR_METHOD_REGISTER,
  TR_METHOD_SUBSCRIBE,
  TR_METHOD_UNSUBSCRIBE,
  TR_METHOD_SUBSCRIPTIONS,
  TR_METHOD_OPERATOR,     /* from here on no client-id is needed */
  TR_METHOD_HEALTH_CHECK, /* from here on nobody needs to be known */
  TR_METHOD_HEALTH_WATCH,
  TR_METHOD_REFLECTION,
  TR_METHOD_REFLECTION_ALPHA,
  TR_METHODS
} tr_host_method;

typedef struct tr_address { /* connections of one peer address */
  uint32_t count, length;
  char text[];
} tr_address;

struct tr_host_conn {
  tr_link link; /* host->conns */
  tr_host *host;
  tr_rpc_conn *rpc;
  void *socket;
  tr_address *address;
  tr_timer watch;  /* guards.c */
  tr_time heard;   /* when bytes last came */
  size_t untaken;  /* bytes of unary and reflection answers on calls that are not closed yet */
  bool used;       /* a call was opened on it */
  bool asked;      /* a ping is out since it fell silent */
  bool ending;     /* GOAWAY was sent; watch ends it */
  bool killed;     /* to be closed without more ado */
  bool dirty;      /* dirty() was called since the last output */
  tr_who *who;     /* access.c: who is behind this authorization; NULL: nobody asked yet */
  char *authorization;
  uint32_t authorization_size, who_stamp;
};

struct tr_host_stream { /* one call on AgentRpc */
  tr_host_conn *conn;
  tr_rpc_call *call;
  tr_client *client;  /* channel, control: the client whose current stream this is, else NULL */
  tr_blob *message;   /* unary: the request, until the peer half-closes */
  tr_link held;       /* tr_client.holding: it gets no credit, for this receiver's sake; */
  uint64_t since_held; /* so many bytes of messages have come nevertheless */
  size_t untaken;     /* its part of conn->untaken */
  tr_timer limit;     /* grpc-timeout; a unary call that never comes to its end; what is left to read of one that has ended */
  tr_host_method method;
  bool half_closed, ended;
  bool unknown;       /* health.c: it watches a service that there is not */
  void *question;     /* asked.c: whoever answers it knows it by this */
  tr_who *who;        /* whose call it is; NULL: nobody asks */
};

/* Mark a connection as having something for its owner to do. */
void tr_host_conn_touch(tr_host_conn *conn);
/* End a call with a status; its client, if any, is the caller's matter. No-op the second time. */
void tr_host_stream_end(tr_host_stream *stream, int status, const char *text);
/* Queue an answer of a unary call, or of one as short. false: too much waits to be read there, or no memory; the call was ended. */
bool tr_host_stream_answer(tr_host_stream *stream, tr_blob *frame);

/* ---- health.c ---- */

void tr_asked_serve(tr_host_stream *stream);  /* asked.c */
void tr_asked_closed(tr_host_stream *stream);
struct tr_wire_note;
void tr_owners_note(tr_client *from, tr_slice id, const struct tr_wire_note *note); /* owners.c */
void tr_health_serve(tr_host_stream *stream);
void tr_health_drain(tr_host_conn *conn); /* who watches hears that the end has begun */

/* ---- reflection.c ---- */

void tr_reflection_message(tr_host_stream *stream, tr_slice bytes); /* one question */

/* ---- client.c ---- */

typedef struct tr_waiting { tr_blob *frame; bool answer; uint8_t lane; } tr_waiting;

typedef struct tr_replay { /* replay.c */
  uint64_t *marks;       /* of what went on: kind and id */
  uint32_t count, cap, next;
  uint32_t checks;       /* so many messages more may be repeats */
  bool open;             /* still remembering */
} tr_replay;

typedef struct tr_sent { /* resume.c: what went to a troupe worker */
  tr_blob **frames;        /* of the numbers above `acked`, a ring; NULL: no event */
  uint32_t cap;
  uint64_t last, acked;    /* numbers, from 1: of the newest message; of the last that is not kept */
  size_t bytes;
} tr_sent;

struct tr_client {
  tr_dest dest;             /* first: the router's view of it */
  tr_host *host;
  tr_link link;             /* host->clients_list */
  tr_link doomed;           /* host->doomed */
  tr_host_stream *stream;   /* current OpenChannel; NULL: none */
  tr_host_stream *control;  /* current OpenControlChannel */
  tr_timer expiry;          /* no stream: when what it registered is dropped; else: replay.c */
  uint32_t generation;      /* how many streams it has opened */
  bool dotnet;              /* user-agent grpc-dotnet/…: quirks.c */
  bool troupe;              /* announced troupe-version */
  bool left;                /* its last stream was ended by itself: it does not come back */
  bool told;                /* its stream is in the log: it has a type */
  bool speaks_native, format_told; /* transcode.c: it may send the native format; the operator said what it takes */
  uint8_t takes, published; /* formats (bits by tr_format) that it is given, and that it published in */
  tr_replay replay;
  tr_link subs;             /* subscriptions it added */
  tr_link shares;           /* types that others have, too: share.h */
  bool giving;              /* it is about to leave, and waits for GIVEN */
  uint64_t given;           /* number of the last event that it was given, where types are shared */
  uint32_t n_types, n_subs; /* upper bounds, counted anew when a limit is reached (others may take or remove some) */
  tr_map confirmed;         /* ids of subscriptions added or repeated since it re-opened its stream; values: tr_name */
  tr_link calls;            /* tr_pending.by_caller: requests it waits for */
  tr_link work;             /* tr_pending.by_callee: requests it has to answer */
  uint32_t n_calls;
  tr_finder by_id;          /* of calls: notes.c */
  char version[16];         /* what it announced as troupe-version, cut */
  tr_sent sent;             /* resume.c */
  uint64_t had;             /* messages that came on its streams */
  uint32_t unacked;         /* events among them that it has not been told of */
  tr_timer ack;
  tr_link late;             /* retain.c: what it is about to get */
  tr_link holding;          /* block.c: streams that are held back for it */
  tr_timer patience;
  size_t stuck_at;          /* what it had queued when that began, or when it last took something */
  uint64_t past_bound;      /* so much more than twice its bound it was given, of what senders had on their way */
  bool given_up;            /* it takes nothing: its senders are not held any more */
  uint64_t held_back;       /* logged with doubling */
  struct tr_backlog { tr_waiting *items; size_t head, count, cap, bytes; } backlog; /* while it has no stream */
  uint64_t malformed, dropped, strays, withheld, oversize, control_dropped; /* logged with doubling */
  tr_who *who;              /* access.c: whose it is */
  const tr_rights_entry *entry; /* what they may, as of entry_stamp */
  uint32_t entry_stamp, guard_stamp;
  tr_access_cache *access;
  uint32_t id_length;
  char id[];
};

static inline tr_slice tr_client_id(const tr_client *client) { return (tr_slice){ client->id, client->id_length }; }
static inline tr_client *tr_client_of(tr_dest *dest) { return TR_CONTAINER(dest, tr_client, dest); }
extern const tr_dest_ops tr_client_ops;

tr_client *tr_client_find(const tr_host *host, tr_slice id);
/* The client with this id, made if there is none. err: TR_EOVERLOADED (max_clients), TR_EINVALID, TR_EMEMORY. */
int tr_client_get(tr_host *host, tr_slice id, tr_client **out, tr_error *error);
/* Learn from a call's headers what kind of peer it is. */
void tr_client_know(tr_client *client, const tr_rpc_call *call);
/* It has a stream and a type: that is worth a line in the log, once. Who only calls or publishes is not. */
void tr_client_tell(tr_client *client);
/* The same at its stream's end: before tr_client_lost. */
void tr_client_tell_left(tr_client *client, const tr_rpc_status *status);
/* This stream is its current one from now on: an older one is ended, what waited is sent. */
void tr_client_attach(tr_client *client, tr_host_stream *stream);
/* Its stream is gone: open requests to it fail, its registrations wait for `grace`. */
void tr_client_lost(tr_client *client);
/* It registered something without having a stream: keep that for a while. */
void tr_client_touch(tr_client *client);
/* Free it where nothing holds it any more. */
void tr_client_settle(tr_client *client);
/* End its stream with this status, and forget at once what it registered. */
void tr_client_banish(tr_client *client, int status, const char *text);
void tr_client_free(tr_client *client); /* no request is open from it or to it */
/* Queue a frame to it, or keep it until it has a stream again (bounded). An answer passes up to twice the bound; then the
 * stream is ended. err: TR_EOVERLOADED, TR_EMEMORY. */
int tr_client_send(tr_client *client, tr_blob *frame, bool answer);
/* The same with a priority (a tr_priority) in its session. */
int tr_client_send_lane(tr_client *client, tr_blob *frame, bool answer, uint8_t lane);
/* Would a frame of this size be taken? */
/* Keep it for its next stream. err: TR_EOVERLOADED, TR_EMEMORY. */
int tr_client_keep(tr_client *client, tr_blob *frame, bool answer, uint8_t lane);
bool tr_client_has_room(tr_client *client, size_t size);
/* Drop subscriptions it added for this agent type (which another client has taken). */
void tr_client_yield_type(tr_client *client, tr_slice type);
uint32_t tr_client_count_types(tr_client *client);
uint32_t tr_client_count_subs(tr_client *client);

/* ---- block.c ---- */

/* It has `queued` bytes waiting, with one more, and that is too much: may it have them, since its sender is held back for it? */
bool tr_block_holds(tr_client *to, uint64_t queued);
void tr_block_sends(tr_client *from, size_t size); /* its message is about to be handled; only where o.block_senders */
void tr_block_release(tr_client *to); /* it has room again, or is gone */

/* ---- resume.c ---- */

bool tr_resume_knows(const tr_client *client, const tr_rpc_call *call); /* both go on counting where they were; asked before tr_resume_begin */
void tr_resume_begin(tr_client *client, tr_rpc_call *call);   /* its new stream: send what it has not had */
void tr_resume_sent(tr_client *client, tr_blob *frame);       /* this went out */
void tr_resume_salvage(tr_client *client, tr_rpc_call *call); /* its stream is lost: keep what never left */
void tr_resume_owes(tr_client *client);                       /* an event came from it: acknowledge it soon */
void tr_resume_acked(tr_client *client, uint64_t number);
void tr_resume_lost(tr_client *client);    /* it does not come back: dead letters of what it has not acknowledged */
void tr_resume_forget(tr_client *client);

/* ---- retain.c ---- */

void tr_retain_subscribed(tr_client *client, tr_sub_kind kind, tr_slice topic); /* just now, and it had not before */
void tr_retain_forget(tr_client *client);
void tr_retain_fini(tr_host *host);

/* ---- pending.c: open requests ---- */

typedef enum {
  TR_PENDING_FREE = 0,
  TR_PENDING_FORWARD,  /* client → client */
  TR_PENDING_TO_LOCAL, /* client → an agent of this process: msg is borrowed until it is answered */
  TR_PENDING_FROM_LOCAL /* an agent of this process → client: msg is ours */
} tr_pending_kind;

#define TR_PENDING_ID TR_SLOT_ID /* characters of the request_id that the host writes */
#define TR_PENDING_MOST (1u << 22)

struct tr_pending {
  tr_slot slot;      /* its token is its id, for the callee */
  tr_link by_caller, by_callee;
  tr_holder holder;  /* FROM_LOCAL: of msg */
  tr_timer guard;
  tr_client *caller; /* NULL: an agent of this process, or gone */
  tr_client *callee; /* NULL: an agent of this process */
  tr_msg *msg;
  tr_host *host;
  uint8_t kind;      /* tr_pending_kind */
  bool oneway;       /* nobody waits for the answer */
  bool resends;      /* its caller may send it again, if it loses its connection */
  uint8_t priority;  /* of a forwarded request, and so of its answer */
  int owed;          /* an error answer that memory was short for: tried again later */
  uint32_t id_length;
  union { char text[40]; tr_blob *blob; } id; /* the caller's request_id; blob where it is longer */
};

/* A pending request, its guard running; NULL: out of memory, or TR_PENDING_MOST. `id` is copied. */
tr_pending *tr_pending_new(tr_host *host, tr_pending_kind kind, tr_client *caller, tr_client *callee, tr_slice id,
                           tr_time deadline);
tr_slice tr_pending_id(const tr_pending *pending); /* the caller's */
/* End it. The caller hears nothing: that was done. */
void tr_pending_free(tr_pending *pending);
/* End it with an error to its caller (text NULL: the code's own). It may live on, unanswerable, until memory suffices. */
void tr_pending_fail(tr_pending *pending, int code, const char *text);
/* An error answer to a request that never became pending. */
void tr_pending_refuse(tr_client *caller, tr_slice id, int code, const char *text);
/* The same for one that refers to results, to a worker that is not troupe's: its caller may send the content. */
void tr_pending_refuse_refs(tr_client *caller, tr_slice id);
tr_time tr_pending_deadline(const tr_host *host, tr_time own); /* own: TR_NEVER where the request names none */

/* ---- channel.c, forward.c, deliver.c, unary.c, control.c ---- */

void tr_channel_open(tr_host_stream *stream, tr_slice client_id);
void tr_channel_message(tr_host_stream *stream, tr_slice bytes, tr_slice framed);
void tr_channel_oversize(tr_host_stream *stream, tr_slice head, uint64_t size);

void tr_forward_request(tr_client *caller, tr_slice bytes, const tr_wire_span *span);
void tr_forward_response(tr_client *callee, tr_slice bytes, const tr_wire_span *span);
void tr_forward_from_local(tr_dest *dest, tr_msg *msg);

/* A request that was held back while its agent moved: its frame is of ours, and replaced where it has to be. */
void tr_forward_held(tr_pending *pending, tr_client *callee, tr_blob **frame, uint8_t sends, bool refers);

void tr_deliver(tr_client *from, tr_slice bytes, tr_slice framed, const tr_wire_span *span);
void tr_deliver_from_local(tr_dest *dest, tr_msg *msg);
struct tr_share;
void tr_deliver_held(tr_client *to, struct tr_share *share, tr_msg *msg); /* likewise an event from here, for that type alone */
/* An event in a frame of ours, replaced where the client takes another format (plain: its body is in that already, or is neither native
 * nor of a type that is transcoded). err: why it does not get it. Withholding is none. */
int tr_deliver_frame(tr_client *to, tr_blob **frame, uint8_t lane, bool plain, tr_error *error);
/* An event that a client will not get: counted, logged with doubling, and told (span NULL: it is not, or the core does it). */
void tr_deliver_dead(tr_client *client, const tr_wire_span *span, int code, const char *why);
/* Publish it as a dead letter, where somebody listens for those; once an event, beside tr_deliver_dead for each who did not get it. */
void tr_deliver_tell(tr_host *host, tr_slice bytes, int code, const char *why);
/* The same as tr_deliver_dead where it is not known yet which client is to have it. */
void tr_deliver_nowhere(tr_host *host, const tr_wire_span *span, int code, const char *why);
/* Counted and published, for a frame that is one client's loss. tell: false where so many are lost at once that the rest is only counted (TR_LETTERS_AT_ONCE). */
void tr_deliver_lost(tr_host *host, tr_client *client, tr_blob *frame, int code, const char *why, bool tell); /* client NULL: nowhere */
#define TR_LETTERS_AT_ONCE 1000 /* of one loss that are decoded and published; all are counted */

void tr_deliver_describe(const tr_wire_span *span, tr_host_dead *letter);

/* A request of a client was answered here: tr_reply_to.answer, with its pending's token. */
void tr_forward_local_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply);
/* placed.c: a request that stands for something else. own: takes msg. */
void tr_placed(tr_client *caller, tr_msg *msg, tr_slice id);

void tr_unary_serve(tr_host_stream *stream);

void tr_control_open(tr_host_stream *stream, tr_slice client_id);
void tr_control_message(tr_host_stream *stream, tr_slice bytes, tr_slice framed);

/* ---- notes.c: what troupe peers tell each other about open requests ---- */

void tr_notes_init(tr_client *client);
void tr_notes_take(tr_client *from, tr_slice bytes, const tr_wire_span *span);
/* Nobody waits for the answer any more: its callee hears of it. The entry is the caller's to end. */
void tr_pending_tell_callee(tr_pending *pending);
void tr_pending_cancel(tr_pending *pending); /* and ends it */
void tr_client_cancel_calls(tr_client *client); /* its requests, but for one-way ones */
void tr_pending_take_parts(tr_pending *pending); /* of a TO_LOCAL's answer, if its caller does */
extern const tr_holder_ops tr_pending_holder_ops;

/* ---- share.c, share_move.c, share_event.c: types that several clients have ---- */

bool tr_share_wanted(const tr_host *host, tr_slice type, const tr_rpc_call *call); /* by its worker, or by the operator */
/* One more has the type, which nobody has, or others that share it. err: TR_EEXISTS (it has it already), TR_EMEMORY. */
int tr_share_join(tr_host *host, tr_slice type, tr_client *client);
void tr_share_leave_all(tr_client *client);
void tr_share_here(tr_client *client); /* its stream is there */
void tr_share_away(tr_client *client); /* or gone: its places are forgotten */
void tr_share_give(tr_client *client); /* it is about to leave: others get what it has, then it is told */
void tr_share_have(tr_client *client, tr_slice type, tr_slice key);
struct tr_wire_note;
void tr_move_note(tr_client *from, tr_slice id, const struct tr_wire_note *note);
struct tr_move;
/* Whose an id is; NULL where it moves (*move), or there is nobody. */
tr_client *tr_share_receiver(struct tr_share *share, tr_slice key, uint8_t priority, struct tr_move **move);
/* Of an event with these destinations: appends the shared types of this client that it is not for. false: no memory. */
bool tr_share_not_for(const tr_client *client, tr_dest *const *dests, size_t count, tr_slice key, tr_buf *out);
tr_blob *tr_share_marked(tr_host *host, const tr_wire_span *span, const char *key, tr_slice types);

/* ---- replay.c: what a stream that is opened again by gRPC itself brings twice ---- */

void tr_replay_begin(tr_client *client, const tr_rpc_call *call); /* its new stream's; the backlog is still there */
void tr_replay_note(tr_client *client, const tr_wire_span *span); /* this went on */
void tr_replay_forget(tr_client *client);
bool tr_replay_looks(tr_client *client, const tr_wire_span *span);
/* Did it come before? Then there is nothing more to do. */
static inline bool tr_replay_drops(tr_client *client, const tr_wire_span *span) {
  return client->replay.checks && tr_replay_looks(client, span);
}

/* ---- quirks.c: can a .NET client take this? ---- */

bool tr_quirk_event(const tr_wire_span *span);
bool tr_quirk_request(const tr_wire_span *span);
bool tr_quirk_answer(const tr_wire_span *span);
/* It is not sent: counted, logged with doubling. */
void tr_quirk_withhold(tr_client *to, const char *what, const tr_wire_span *event, tr_slice which);

/* ---- transcode.c: who wants bodies in which format ---- */

/* What a client may be given, by what it announced, and by an agent type that it registered. */
void tr_transcode_know(tr_client *client, tr_slice accepts);
void tr_transcode_registered(tr_client *client, tr_slice agent_type);
void tr_transcode_learn(tr_client *from, const tr_wire_span *span); /* it published this; there are descriptors */
/* The message as `to` takes it: *frame is a new one (the caller's), or NULL where it can go as it is, or must.
 * err: TR_EINVALID (its body does not fit its type; the text names the field), TR_ETOO_LARGE, TR_EMEMORY. */
int tr_transcode(const tr_client *to, const tr_wire_span *span, tr_blob **frame, tr_error *error);
/* The same; where there is a new frame, *span is of it. */
int tr_transcode_walk(const tr_client *to, tr_wire_span *span, tr_blob **frame, tr_error *error);
/* The same of a frame of ours, replaced where it has to be. */
int tr_transcode_frame(const tr_client *to, tr_blob **frame, tr_error *error);
tr_format tr_transcode_plain(const tr_client *to); /* what bodies from here go to it in */

/* ---- guards.c ---- */

/* own: the connection's place among its address's. err: TR_EOVERLOADED, TR_EMEMORY. */
int tr_guard_admit(tr_host_conn *conn, tr_slice peer_address, tr_error *error);
void tr_guard_release(tr_host_conn *conn);
void tr_guard_watch(tr_host_conn *conn);
void tr_guard_limit(tr_host_stream *stream);
void tr_guard_untaken(tr_host_stream *stream); /* it ends: what its peer does not read in time is dropped */
/* Has this count become a power of two? Then it is worth a line in the log. */
static inline bool tr_guard_worth_a_line(uint64_t count) { return (count & (count - 1)) == 0; }

/* ---- access.c ---- */

/* Who makes this call; false: it was refused. */
bool tr_access_admit(tr_host_stream *stream);
tr_slice tr_access_name(const tr_who *who); /* the first of their names, or "anonymous" */
void tr_access_leave(tr_host_stream *stream);
void tr_access_forget_conn(tr_host_conn *conn);
/* Is this client the caller's own? It is from now on, if it was nobody's; false: the call was refused. */
bool tr_access_bind(tr_host_stream *stream, tr_client *client);
void tr_access_forget(tr_client *client);
tr_slice tr_who_names(const tr_who *who);
/* All of these only where the host has rights (tr_guarded). False: it may not, and which right is missing is in `why`. */
bool tr_access_check(tr_client *client, tr_right right, tr_slice type, tr_slice key);
void tr_access_tell(const tr_client *client, tr_right right, const char *why); /* in the log */
void tr_access_explain(const tr_client *client, tr_right right, tr_slice type, tr_slice key, char *why, size_t size);
bool tr_access_request(tr_client *caller, const tr_wire_span *span, char *why, size_t size);
bool tr_access_event(tr_client *from, const tr_wire_span *span, char *why, size_t size);
bool tr_access_type(tr_client *client, tr_slice type, char *why, size_t size);
bool tr_access_topic(tr_client *client, const tr_wire_subscription *want, char *why, size_t size);
bool tr_access_control(tr_client *client, const tr_wire_control *message, char *why, size_t size);

/* ---- drain.c ---- */

void tr_drain_check(tr_host *host); /* a request has ended */

struct tr_host {
  tr_host_options o; /* with the defaults filled in */
  tr_rpc_gzip gzip;  /* of all connections */
  tr_core *core;
  tr_mem *mem;
  const tr_log *log;
  tr_router *router;
  tr_timers *timers;
  tr_link conns;
  uint32_t n_conns;
  tr_map addresses;  /* text → tr_address */
  tr_map clients;    /* client-id → tr_client */
  tr_link clients_list;
  uint32_t n_foreign; /* clients that did not announce themselves as troupe */
  tr_client *sending; /* whose message is being handled; only where o.block_senders */
  tr_link retained;
  tr_link doomed;    /* clients whose stream goes at the next sweep */
  tr_timer sweep;
  tr_slots slots;    /* of tr_pending */
  tr_timer drain;
  uint8_t draining;  /* 0 no, 1 GOAWAY sent, 2 streams ended */
  tr_time drain_by;
  tr_rpc_shared frame_buffer;
  bool has_spares;   /* base/blob.h: ended with it */
  tr_again again;    /* the last events that agents here had from troupe clients */
  bool telling;      /* deliver.c: the core hears of a dead letter that `dead` heard of */
  tr_host_stats stats;
  uint64_t turned_away; /* connections; logged with doubling */
  tr_time since;        /* when it began */
  tr_link shares, moves;
  uint32_t n_giving;    /* clients */
  uint32_t n_shares, n_places, n_moves;
  uint64_t n_forgotten; /* places; logged with doubling */
  uint64_t n_nowhere;   /* events that were lost before it was known whose they are; likewise */
  uint64_t n_given;     /* events, where types are shared */
  tr_timer share_timer;
  const bool *has_types; /* of o.codecs */
  tr_rights *rights;     /* access.c; NULL: all may do everything */
  bool guarded;          /* callers are identified */
  uint32_t access_stamp; /* counts changes of these */
  tr_tally refusals;     /* by right and who */
};

/* What comes from a client (NULL: an agent of this process) and may have to be changed for some receiver: bits by tr_format. */
static inline unsigned tr_transcode_sends(const tr_host *host, const tr_client *from) {
  unsigned types = *host->has_types ? 1u << TR_FORMAT_JSON | 1u << TR_FORMAT_PROTOBUF : 0;
  return from && from->speaks_native ? types | 1u << TR_FORMAT_NATIVE : types;
}
static inline bool tr_transcode_due(const tr_client *from, const tr_client *to) {
  return (tr_transcode_sends(to->host, from) & ~(unsigned)to->takes) != 0;
}

#endif
