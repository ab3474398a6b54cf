/* SPDX-License-Identifier: MIT
 * gRPC over HTTP/2, client and server, sans I/O: bytes in, bytes out, events. Knows connections, calls (streams) and
 * whole gRPC messages; knows nothing of agents, sockets or clocks (`now` is handed in where it matters).
 *
 * HTTP/2 is nghttp2's, driven by mem_recv and mem_send. Rules that follow from it, kept inside this room:
 * nothing is sent from inside a callback; a connection that must go is only marked, and closed by its owner.
 *
 * Life of a connection: tr_rpc_conn_new → any number of tr_rpc_feed / tr_rpc_output → tr_rpc_conn_free. Every call that
 * was announced by `open` (server) or made by tr_rpc_call_new (client) gets exactly one `closed`, at the latest
 * from inside tr_rpc_conn_free. A tr_rpc_call pointer is valid until its `closed` returns.
 *
 * Normative: RFC 9113, RFC 7541, "gRPC over HTTP2"; wire.md §4 says what real peers do. */
#ifndef TR_RPC_RPC_H
#define TR_RPC_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/lanes.h"
#include "base/log.h"

#define TR_RPC_STREAM_WINDOW (1u << 20) /* so much a peer may have on its way to us in one call */

typedef struct tr_rpc_conn tr_rpc_conn;
typedef struct tr_rpc_call tr_rpc_call;

typedef struct tr_rpc_header { tr_slice name, value; } tr_rpc_header;

/* Why a call ended. status is a gRPC code; message is decoded (no percent signs), borrowed. */
typedef struct tr_rpc_status { int status; tr_slice message; } tr_rpc_status;

typedef struct tr_rpc_handlers {
  /* Server: request headers are complete. path is "/agents.AgentRpc/OpenChannel". Answer now or later. */
  void (*open)(void *ud, tr_rpc_call *call, tr_slice path);
  /* Client: response headers arrived (not for a Trailers-Only answer). */
  void (*headers)(void *ud, tr_rpc_call *call);
  /* A whole gRPC message. `framed` begins 5 bytes before `bytes` where the message came uncompressed and lies in one piece
   * with its prefix (then framed.n == bytes.n + 5), else {NULL, 0}. Borrowed during the call. */
  void (*message)(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed);
  /* A message above the limit was skipped; head: its first bytes (≤ 512), size: its announced length. The call lives on.
   * Unset: the call is ended with RESOURCE_EXHAUSTED. */
  void (*oversize)(void *ud, tr_rpc_call *call, tr_slice head, uint64_t size);
  /* The peer will send no more messages. Server: after the last request message. */
  void (*half_closed)(void *ud, tr_rpc_call *call);
  /* Bytes queued on the call fell to half of its high-water mark, after tr_rpc_send had reported it full. */
  void (*writable)(void *ud, tr_rpc_call *call);
  /* Over: status of the peer (client), or how the peer ended it (server: CANCELLED, UNAVAILABLE when the connection broke, OK
   * when our own status was sent; a call that this room ended, for bad framing or the like, says the status it gave
   * the peer). The call is freed afterwards. */
  void (*closed)(void *ud, tr_rpc_call *call, const tr_rpc_status *status);
  /* The peer will take no new calls on this connection (GOAWAY). */
  void (*goaway)(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug);
  /* There is something to send (or the connection is to be closed): called when that becomes so, not for each byte. */
  void (*dirty)(void *ud, tr_rpc_conn *conn);
  /* PING answered: the payload given to tr_rpc_ping. */
  void (*pong)(void *ud, tr_rpc_conn *conn, uint64_t payload);
  /* A message that was given to tr_rpc_send was written to the output whole, of a call with tr_rpc_keep; in this order they arrive. Borrowed.
   * From inside tr_rpc_output: for taking notes only. */
  void (*sent)(void *ud, tr_rpc_call *call, tr_blob *framed);
} tr_rpc_handlers;

/* What connections of one owner share that are written one after the other, in one thread (session.c); zeroed at first, and ended when the
 * last of them is gone. */
typedef struct tr_rpc_shared { void *block; size_t size; } tr_rpc_shared;
void tr_rpc_shared_fini(tr_rpc_shared *shared, tr_mem *mem);
/* Compression of what is sent, and counts of both directions; shared by connections of one thread. deflate.c */
typedef struct tr_rpc_gzip {
  tr_mem *mem;
  uint32_t from;        /* messages smaller than this go as they are */
  bool offers;          /* a server compresses for whoever accepts it; else only for who sends compressed itself */
  void *stream;         /* zlib's, from the first message on */
  const tr_blob *shared;  /* said by the owner: this frame goes to several */
  tr_blob *plain, *small; /* the last one that did, and what became of it */
  struct {
    uint64_t deflated, deflated_from, deflated_to; /* messages; bytes before and after */
    uint64_t inflated, inflated_from, inflated_to;
    uint64_t inflate_refused; /* damaged, or larger than max_message when inflated */
  } stats;
} tr_rpc_gzip;
/* from 0: 1024, and nothing is offered. */
void tr_rpc_gzip_init(tr_rpc_gzip *gzip, tr_mem *mem, uint32_t from);
void tr_rpc_gzip_fini(tr_rpc_gzip *gzip);
void tr_rpc_gzip_forget(tr_rpc_gzip *gzip); /* the shared frame went to all */

typedef struct tr_rpc_options {
  tr_mem *mem;
  const tr_log *log;
  const tr_rpc_handlers *handlers;
  void *ud;                       /* of the handlers' calls for this connection */
  bool server;
  tr_rpc_shared *shared;          /* NULL: each connection has all for itself */
  uint32_t max_message;           /* received message, prefix excluded, also after inflating; 0: 4 194 304 */
  uint32_t max_partial;           /* kept of messages that are not whole yet, on all calls of a connection; 0: 16 times max_message */
  uint32_t max_streams;           /* server: concurrent calls per connection; 0: 1024 */
  uint32_t max_header_bytes;      /* 0: 16 384 */
  uint32_t stream_window;         /* 0: TR_RPC_STREAM_WINDOW */
  uint32_t connection_window;     /* 0: 16 MiB */
  uint32_t max_frame;             /* announced SETTINGS_MAX_FRAME_SIZE; 0: 16 384 */
  uint32_t high_water;            /* bytes queued on a call at which tr_rpc_send says full; 0: 64 MiB */
  uint32_t max_resets_per_second; /* rapid resets, pings, settings, empty frames: past it the connection is ended; 0: 1000 */
  tr_rpc_gzip *gzip;              /* borrowed; NULL: nothing is sent compressed (what comes so is read all the same) */
  const char *user_agent;         /* client; NULL: "troupe/VERSION" */
  const char *authority;          /* client */
  bool secure;                    /* client: over TLS */
} tr_rpc_options;

/* The preface and SETTINGS are queued at once (`dirty` is not called for them). NULL: out of memory. */
tr_rpc_conn *tr_rpc_conn_new(const tr_rpc_options *options);
/* Every open call gets its `closed` (UNAVAILABLE "connection closed") first. Not from inside a handler. */
void tr_rpc_conn_free(tr_rpc_conn *conn);
void *tr_rpc_conn_ud(const tr_rpc_conn *conn);

/* Take bytes from the peer, calling handlers. now: µs. 0, or negative when the connection is broken beyond repair
 * (bad preface, HTTP/1, flood, memory): send what tr_rpc_output still gives, then close. `error` says what it was.
 * An HTTP/2 protocol error shows only when its GOAWAY is written: then tr_rpc_finished is true and every feed negative. */
int tr_rpc_feed(tr_rpc_conn *conn, tr_slice bytes, int64_t now, tr_error *error);
/* Append up to about `limit` bytes to send; 0 appended: nothing now. Never from inside a handler. */
int tr_rpc_output(tr_rpc_conn *conn, tr_buf *out, size_t limit);
/* Neither side has anything to say: close the socket. Also true after a fatal error once all was sent. */
bool tr_rpc_finished(const tr_rpc_conn *conn);
/* Begin a graceful end: GOAWAY; new calls are refused; open calls go on until finished or tr_rpc_conn_free. */
void tr_rpc_goaway(tr_rpc_conn *conn, uint32_t http2_error, const char *debug);
void tr_rpc_ping(tr_rpc_conn *conn, uint64_t payload);
size_t tr_rpc_call_count(const tr_rpc_conn *conn);
/* Iterate open calls: NULL starts and ends. */
tr_rpc_call *tr_rpc_next_call(const tr_rpc_conn *conn, tr_rpc_call *after);

/* --- calls --- */
tr_rpc_conn *tr_rpc_call_conn(const tr_rpc_call *call);
void tr_rpc_call_set_ud(tr_rpc_call *call, void *ud);
void *tr_rpc_call_ud(const tr_rpc_call *call);
/* Value of a request header (server) or response header (client); the last one where it came twice; {NULL, 0} if absent. */
tr_slice tr_rpc_call_header(const tr_rpc_call *call, const char *name);
/* The others have been read: what they take is given back (where there is memory for that). names: NULL ends them. */
void tr_rpc_call_keep_headers(tr_rpc_call *call, const char *const *names);
/* The peer shall remember no headers of its calls any more, so that there is no table of them here; it must be one that heeds this
 * setting, or its next call ends the connection. */
void tr_rpc_no_header_table(tr_rpc_conn *conn);
/* grpc-timeout of the request in µs, -1 if none. (Whoever has a clock enforces it.) */
int64_t tr_rpc_call_timeout(const tr_rpc_call *call);

/* Client: open a call. headers: custom metadata ("client-id", …), lower case. timeout_us < 0: none sent.
 * A header grpc-encoding: gzip says that this call's messages may go compressed; they do once the peer's headers accept it.
 * NULL: out of memory, or the connection takes no new calls. */
tr_rpc_call *tr_rpc_call_new(tr_rpc_conn *conn, tr_slice path, const tr_rpc_header *headers, size_t count, int64_t timeout_us);
void tr_rpc_half_close(tr_rpc_call *call); /* client: END_STREAM after what is queued */
void tr_rpc_cancel(tr_rpc_call *call);     /* RST_STREAM CANCEL; queued messages are dropped; `closed` follows from the next feed/output, not from inside */

/* Server: send response headers now (OpenChannel needs it); idempotent. Extra headers may be given. */
int tr_rpc_send_headers(tr_rpc_call *call, const tr_rpc_header *headers, size_t count);
/* Queue a message that is framed already (5-byte prefix + bytes). Takes its own reference to the blob. Copies nothing but small messages.
 * 0 queued · 1 queued, and the high-water mark is reached · TR_EMEMORY, TR_EUNAVAILABLE (call is ending): not queued.
 * Server: sends headers first where they were not sent. */
int tr_rpc_send(tr_rpc_call *call, tr_blob *framed);
/* The same with a priority among what is queued on this call. */
int tr_rpc_send_lane(tr_rpc_call *call, tr_blob *framed, tr_lane_kind lane);
size_t tr_rpc_conn_queued(const tr_rpc_conn *conn); /* on all its calls */
size_t tr_rpc_queued(const tr_rpc_call *call); /* bytes queued and not yet given to tr_rpc_output */
void tr_rpc_keep(tr_rpc_call *call); /* tell of each message that was sent */
/* What is queued and was not sent whole, oldest first within each priority; while the call is there. */
void tr_rpc_unsent(const tr_rpc_call *call, void (*fn)(void *ud, tr_blob *framed, tr_lane_kind lane), void *ud);
/* Server: end with a status after what is queued; Trailers-Only when nothing was sent. If the request side is still
 * open, RST_STREAM NO_ERROR follows. */
int tr_rpc_finish(tr_rpc_call *call, int grpc_status, tr_slice message);
/* Do not return stream credit for this call while `hold` (back-pressure); the connection's is always returned. */
void tr_rpc_hold(tr_rpc_call *call, bool hold);

/* --- framing --- */
/* A framed message (prefix with flag 0) around a copy of these bytes. */
tr_blob *tr_rpc_frame(tr_mem *mem, tr_slice bytes);
#define TR_RPC_PREFIX 5

/* Version of the HTTP/2 library in use: "1.52.0". */
const char *tr_rpc_http2_version(void);

#endif
