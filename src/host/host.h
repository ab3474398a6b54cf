/* SPDX-License-Identifier: MIT
 * The host's end of agents.AgentRpc, sans I/O: connections are fed with bytes and emptied of bytes by whoever has sockets;
 * sessions, registrations and delivery are kept here.
 *
 * State is keyed by client-id and stream, never by connection (wire.md §1). A *client* (one client-id) is a destination of the
 * core's router; it owns agent types and subscriptions and has at most one current OpenChannel stream. Messages between
 * clients are forwarded as they came (walked, not decoded); messages for agents of this process are decoded once.
 * Behaviour beyond AutoGen's host: wire.md §12 and §10.1–10.2, lessons.md §1–2. */
#ifndef TR_HOST_HOST_H
#define TR_HOST_HOST_H

#include "base/buf.h"
#include "base/error.h"
#include "codec/codecs.h"
#include "core/core.h"
#include "host/rights.h"
#include "rpc/rpc.h"

struct tr_wire_control;
struct tr_wire_note;

typedef struct tr_host tr_host;
typedef struct tr_host_conn tr_host_conn; /* one connection from outside */

typedef struct tr_host_stream tr_visitor; /* an operator, with one question */

typedef struct tr_host_dead {
  const char *kind; /* "event", "answer": a literal */
  tr_slice topic, source, type, sender, sender_key; /* of an event; as far as they are known */
  tr_slice client;
  int code;
  const char *reason;
} tr_host_dead;

typedef struct tr_host_options {
  tr_core *core;             /* its memory, log, clock, router */
  uint32_t max_message;      /* 0: 4 MiB; also what is forwarded at most */
  uint32_t max_frame;        /* announced SETTINGS_MAX_FRAME_SIZE; 0: 16 384 */
  uint32_t compress_from;    /* messages of so many bytes and more go gzipped to who accepts that; 0: from 1024 on, to who sends so itself */
  uint64_t session_bytes;    /* queued for one client at most; 0: 64 MiB */
  bool block_senders;        /* a worker that does not take that much: hold back its senders, instead of dropping (block.c) */
  tr_time grace;             /* an ended stream's registrations wait so long for the same client-id; 0: 30 s */
  tr_time unopened;          /* registrations without a stream are kept so long; 0: 60 s */
  tr_time call_timeout;      /* guard for requests of foreign workers; 0: 600 s, TR_NEVER: off */
  uint32_t max_connections;  /* 0: 20 000 */
  uint32_t max_connections_per_address; /* 0: 15 000 */
  tr_time silent;            /* a connection that completes no preface and no call is closed after this; 0: 30 s */
  uint32_t max_clients, max_types_per_client, max_subs_per_client; /* 0: 100 000, 10 000, 10 000 */
  bool parent;               /* whoever opens a stream is the process that launched this one: it is our uplink */
  /* An agent is moved here: keep this state for it. NULL: never. err: TR_ENOT_FOUND, TR_EEXISTS (it is live here), TR_EINVALID. */
  int (*restore)(void *ud, tr_slice type, tr_slice key, tr_slice bytes, tr_error *error);
  const tr_codecs *codecs;   /* borrowed: types of which bodies are transcoded (transcode.c); NULL: none */
  const char *json_only, *protobuf_only; /* agent types, "a,b": their workers take only that; borrowed */
  uint32_t max_places;       /* ids of shared types of which it is kept who has them, the last ones used; 0: 262 144 */
  const char *shared;        /* agent types, "A,B": several workers may have them, whatever they say; borrowed */
  const char *version;       /* answered as troupe-version to peers that announce theirs */
  /* Who is behind a call on this connection: their names, a line each ("token:ci\ncert:anna\n"), appended; none: nobody who is known. Asked only
   * after tr_host_guard. err: TR_EUNAUTHENTICATED, and why. */
  int (*identify)(void *ud, tr_host_conn *conn, tr_slice authorization, tr_slice user_agent, tr_buf *names, tr_error *error);
  /* Bytes are waiting on (or the end came for) this connection: flush it soon. Called once until the next tr_host_output. */
  void (*dirty)(void *ud, tr_host_conn *conn);
  /* A message that only passes through is not given to this client (borrowed texts; counted already). May be NULL. */
  void (*dead)(void *ud, const struct tr_host_dead *letter);
  /* An event came from a client, and nobody at all gets it. May be NULL. */
  void (*unheard)(void *ud, tr_slice topic_type, tr_slice type);
  /* An operator's question, a troupe.AdminRequest (borrowed), is to be answered by tr_visitor_*, now or later; NULL: nobody answers such. What is
   * returned (NULL: refused) is handed to unasked, once, when the visitor is not to be spoken of any more. */
  void *(*asked)(void *ud, tr_visitor *visitor, tr_slice bytes);
  void (*unasked)(void *ud, void *question);
  /* A worker says how far it is with a reload (tr_host_tell_worker): its client-id, the reload's id, STAGED or DECIDED. May be NULL. */
  void (*worker_says)(void *ud, tr_slice client, tr_slice id, const struct tr_wire_note *note);
  /* What operators may do who come from this machine, or show who they are, where there is no file of rights: TR_RIGHT_OBSERVE and more; 0: nothing. */
  tr_right operators;
  /* A control message for an agent of this process (borrowed); NULL: such are dropped. */
  void (*control)(void *ud, const struct tr_wire_control *message);
  void *ud;
} tr_host_options;

/* json_only and protobuf_only (see the options), for types that are registered from now on. */
void tr_host_set_formats(tr_host *host, const char *json_only, const char *protobuf_only);
tr_host *tr_host_new(const tr_host_options *options);
/* Streams are ended; every open request gets an answer to whoever can still hear it. Connections must be closed before. */
void tr_host_free(tr_host *host);

/* From now on callers are identified, and may do what these rights grant them (a reference is taken; NULL: everything). Who may not have what it
 * has by now loses its stream; all others go on. */
void tr_host_guard(tr_host *host, bool identify, tr_rights *rights);
/* Keep the last `most` events of this topic for clients that subscribe to it later. err: TR_EINVALID, TR_EEXISTS, TR_ELIMIT, TR_EMEMORY. */
int tr_host_retain(tr_host *host, tr_slice topic, uint32_t most, tr_error *error);

/* A connection was accepted. peer_address: "127.0.0.1:4711", "unix"; the port does not count. `socket` is the caller's, given
 * back by tr_host_conn_socket. NULL: refused (limits; *error says why) or no memory. */
tr_host_conn *tr_host_accept(tr_host *host, tr_slice peer_address, void *socket, tr_error *error);
void *tr_host_conn_socket(const tr_host_conn *conn);
void *tr_host_conn_ud(const tr_host_conn *conn); /* tr_host_options.ud */
/* 0, or negative: flush what tr_host_output gives and close. */
int tr_host_feed(tr_host_conn *conn, tr_slice bytes, tr_error *error);
int tr_host_output(tr_host_conn *conn, tr_buf *out, size_t limit);
bool tr_host_conn_finished(const tr_host_conn *conn); /* nothing more will come: close the socket */
/* The socket closed or is being closed. The connection is freed; its streams end. Not from inside dirty(). */
void tr_host_conn_closed(tr_host_conn *conn);

/* Graceful end (design: wire.md §4.5): now GOAWAY on all connections; streams end with UNAVAILABLE when requests that are open
 * have been answered or `deadline` is reached. tr_host_drained becomes true. */
void tr_host_drain(tr_host *host, tr_time deadline);
bool tr_host_drained(const tr_host *host);

/* An operator's question. err: TR_EPERMISSION, and what would grant it. */
int tr_visitor_may(const tr_visitor *visitor, tr_right right, tr_error *error);
const char *tr_visitor_name(const tr_visitor *visitor, char out[128]); /* for the log */
bool tr_visitor_send(tr_visitor *visitor, tr_blob *frame); /* false: it is over, too much waits to be read */
void tr_visitor_end(tr_visitor *visitor, int status, const char *text);
size_t tr_visitor_queued(const tr_visitor *visitor);

/* Route a control message of this process to its destination, a client's control channel; or drop it. */
void tr_host_control(tr_host *host, const struct tr_wire_control *message);

/* The dead letter that the core is told of just now was told by `dead` before. */
bool tr_host_is_telling(const tr_host *host);

/* Who has an agent type, shared or not; true: this process itself (among others). The texts live during the call; fn returns false for enough. */
typedef struct tr_host_owner { tr_slice client; const char *address; bool troupe, connected; } tr_host_owner;
bool tr_host_each_owner(tr_host *host, tr_slice type, bool (*fn)(void *ud, const tr_host_owner *owner), void *ud);
/* Another number with each stream of this client-id; 0: it has none. *left: and it will not come back. */
uint32_t tr_host_session(const tr_host *host, tr_slice client_id, bool *left);
/* STAGE or DECIDE, about the reload `id`. false: it has no stream, is not troupe, or no memory. */
bool tr_host_tell_worker(tr_host *host, tr_slice client_id, tr_slice id, const struct tr_wire_note *note);

/* What the operator may ask about clients (inspect.c); the texts live during the call. */
typedef struct tr_host_client {
  const char *id, *version, *type;  /* version: of troupe, or ""; type: one of its agent types, or "" */
  bool connected, troupe, dotnet;
  size_t queued, bound;             /* bytes that wait for it, and may */
  uint64_t dropped, withheld, held_back;
} tr_host_client;
void tr_host_each_client(const tr_host *host, void (*fn)(void *ud, const tr_host_client *client), void *ud);
/* Two subscriptions of one agent type of one client (not troupe's) that bring it the same event: a prefix, and what it covers. */
void tr_host_each_doubled(const tr_host *host, void (*fn)(void *ud, const char *client, const tr_sub *one, const tr_sub *other), void *ud);

typedef struct tr_host_stats {
  size_t connections, clients, streams, pending_requests;
  uint64_t requests, responses, events, deliveries, dead_letters, overloaded, withheld, transcoded, refused, oversize, malformed, repeated;
  uint64_t resent;    /* events, after their client's stream was lost */
  uint64_t moves; /* of agents of shared types, begun */
  uint64_t denied;    /* calls and messages: by rights, or because it was not known who it was */
  uint64_t held;      /* times that a sender was held back */
  uint64_t cancelled; /* requests that were given up before they were answered */
} tr_host_stats;
/* Who has which ids of the types that several clients share. */
typedef struct tr_host_shared {
  const char *type, *client;
  bool here;
  uint32_t keys, open; /* open requests, 64 counted at most */
  const void *member;
} tr_host_shared;
void tr_host_each_shared(const tr_host *host, void (*each)(void *ud, const tr_host_shared *shared), void *ud);
void tr_host_each_place(const tr_host_shared *shared, uint32_t most, void (*each)(void *ud, tr_slice key), void *ud);
void tr_host_get_stats(const tr_host *host, tr_host_stats *stats);
const tr_rpc_gzip *tr_host_gzip(const tr_host *host); /* counts of what went and came compressed */

#endif
