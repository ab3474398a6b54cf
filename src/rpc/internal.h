/* SPDX-License-Identifier: MIT
 * Private to src/rpc: how a connection and a call look inside, and what the files of the room offer each other.
 *
 *   conn.c         connections: life, feed, output, credit, floods
 *   session.c      nghttp2's session: settings, memory, its callbacks turned into calls of this room
 *   start.c        the first bytes: is this HTTP/2 at all?
 *   call.c         calls: opening, answering, ending; `closed` comes from here only
 *   message_in.c   DATA → whole gRPC messages
 *   inflate.c      … that came compressed
 *   message_out.c  queued messages → DATA
 *   deflate.c      … that go compressed
 *   headers.c      header blocks kept and looked up
 *   status.c       gRPC status, percent coding, grpc-timeout
 *   frame.c        the 5-byte prefix */
#ifndef TR_RPC_INTERNAL_H
#define TR_RPC_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "rpc/rpc.h"

#define TR_RPC_HEAD 512           /* bytes shown of an over-size message */
#define TR_RPC_MESSAGE_TEXT 4096  /* longest grpc-message, encoded */
#define TR_RPC_WHY 160            /* longest text of a connection's end */
#define TR_RPC_ENCODINGS "identity,gzip"

/* --- headers.c --- */

/* Header fields packed one behind the other; the pseudo headers are among them. */
typedef struct tr_rpc_headers {
  char *data;
  uint32_t len, cap;
  uint32_t listed; /* size as SETTINGS_MAX_HEADER_LIST_SIZE counts: 32 more a field */
} tr_rpc_headers;

bool tr_rpc_headers_add(tr_rpc_headers *headers, tr_mem *mem, tr_slice name, tr_slice value);
/* The next of all fields; *at begins as 0. False: that was the last. */
bool tr_rpc_headers_next(const tr_rpc_headers *headers, uint32_t *at, tr_rpc_header *out);
tr_slice tr_rpc_headers_get(const tr_rpc_headers *headers, const char *name);
void tr_rpc_headers_trim(tr_rpc_headers *headers, tr_mem *mem); /* give back what is not used */
void tr_rpc_headers_free(tr_rpc_headers *headers, tr_mem *mem);

/* A header for nghttp2; copied by it, but for the parts that `flags` declares constant. */
nghttp2_nv tr_rpc_nv(tr_slice name, tr_slice value, uint8_t flags);
#define TR_RPC_NV(name, value) /* of two literals */                                                      \
  tr_rpc_nv(TR_SLICE_LITERAL(name), TR_SLICE_LITERAL(value),                                              \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

/* --- status.c --- */

/* "5" → 5; what is no number of a status is UNKNOWN, and what is absent is -1. */
int tr_rpc_status_parse(tr_slice text);
int tr_rpc_status_of_http(tr_slice http_status);
int tr_rpc_status_of_reset(uint32_t http2_error);
/* Encode into at most `cap` bytes, never cutting a character; the length. */
size_t tr_rpc_percent_encode(tr_slice text, char *out, size_t cap);
/* Decode in place or elsewhere: out holds text.n bytes. What is no %XX stays as it is. */
size_t tr_rpc_percent_decode(tr_slice text, char *out);
int64_t tr_rpc_timeout_parse(tr_slice text); /* µs, or -1 */
size_t tr_rpc_timeout_format(int64_t us, char out[16]);

/* --- message_in.c --- */

typedef enum { TR_RPC_IDENTITY, TR_RPC_GZIP, TR_RPC_DEFLATE, TR_RPC_UNKNOWN_ENCODING } tr_rpc_encoding;

typedef struct tr_rpc_reader {
  uint8_t *data;            /* the message so far, its prefix first; NULL while messages come whole */
  uint32_t have, cap;       /* have: bytes kept in data */
  uint64_t skip;            /* bytes of an over-size message still to come */
  tr_rpc_encoding encoding; /* of the messages whose flag says "compressed" */
} tr_rpc_reader;

/* What `grpc-encoding` names; absent is identity. */
tr_rpc_encoding tr_rpc_encoding_of(tr_slice name);
bool tr_rpc_accepts_gzip(tr_slice names); /* of grpc-accept-encoding: "identity, deflate, gzip" */
/* Take bytes of the stream; whole messages go to the handlers. Bad framing ends the call. */
void tr_rpc_read(tr_rpc_call *call, tr_slice bytes);
/* The stream ended in the middle of a message. */
bool tr_rpc_reader_cut(const tr_rpc_reader *reader);
void tr_rpc_reader_free(tr_rpc_call *call);

/* --- inflate.c --- */

/* Inflate into out, up to `limit` bytes. 0 · TR_ETOO_LARGE: there is more (out holds the first `limit`) · TR_EINVALID: damaged
 * or cut (out holds what came before) · TR_EMEMORY. */
int tr_rpc_inflate(tr_mem *mem, tr_rpc_encoding encoding, tr_slice bytes, uint32_t limit, tr_buf *out);

/* What was given to tr_rpc_send, of what went into a queue; a reference for the caller. NULL: no memory. */
tr_blob *tr_rpc_plain(tr_mem *mem, tr_blob *framed);

/* --- deflate.c --- */

/* The frame to be sent for this one, with a reference for the caller: itself, or compressed. */
tr_blob *tr_rpc_deflate(tr_rpc_gzip *gzip, tr_blob *framed);

/* --- message_out.c --- */

/* A ring of framed messages; the first may be sent in part. A call's normal one counts the bytes of all its lanes. */
typedef struct tr_rpc_queue {
  tr_blob **ring;
  uint32_t cap, first, count;
  uint32_t offset; /* bytes of the first that are sent */
  size_t bytes;    /* not yet sent */
} tr_rpc_queue;

typedef struct tr_rpc_lanes { /* of a call that was ever given a message of high or low priority */
  tr_rpc_queue high, low;
  tr_rpc_queue *begun; /* whose first message is sent in part */
  tr_lane_runs runs;
} tr_rpc_lanes;

void tr_rpc_out_free(tr_rpc_call *call); /* what is queued on it */
/* nghttp2's two callbacks: how much there is, and giving it away. */
ssize_t tr_rpc_on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
                       nghttp2_data_source *source, void *user_data);
int tr_rpc_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
                        nghttp2_data_source *source, void *user_data);
/* What nghttp2 is told to take a call's messages from. */
nghttp2_data_provider tr_rpc_provider(void);
/* The provider may have something new to say. */
void tr_rpc_wake(tr_rpc_call *call);

/* --- call.c --- */

struct tr_rpc_call {
  tr_rpc_conn *conn;
  void *ud;
  tr_link link;        /* conn->calls, from `open` to `closed`; before that conn->unopened */
  tr_link credit_link; /* conn->credits: received since the last return of credit */
  tr_link event_link;  /* conn->over or conn->writable: what the handlers are told outside nghttp2 */
  int32_t stream_id;
  int status;          /* server: ours, that is to be or was sent; and see `failed` */
  uint32_t credit;     /* stream bytes received and not returned */
  bool announced;      /* `open` was called, or tr_rpc_call_new returned it */
  bool headers_sent;   /* server: response headers are queued */
  bool headers_seen;   /* client: (final) response headers came */
  bool sealed;         /* no more messages from here: tr_rpc_finish, tr_rpc_half_close, tr_rpc_cancel */
  bool deaf;           /* what comes is no longer shown to the handlers */
  bool deferred;       /* the provider said "nothing now" and must be woken */
  bool full;           /* tr_rpc_send reported high water */
  bool keep;           /* handlers->sent hears of each message */
  bool hold;           /* the stream's credit is withheld */
  bool gone;           /* nghttp2 has closed the stream */
  bool offered;        /* client: it sent grpc-encoding: gzip */
  bool deflate;        /* both sides want messages compressed */
  bool too_large;      /* headers above the limit */
  bool failed;         /* ended by this room, not by its user: `closed` tells `status` and `text` */
  bool peer_reset;     /* RST_STREAM came */
  int end_status;      /* what `closed` is to tell, once the call is in conn->over… */
  const char *end_text; /* …and its text, constant */
  char *text;          /* message of `status`: decoded; NULL: none */
  size_t text_len;
  tr_rpc_headers headers;
  tr_rpc_reader in;
  tr_rpc_queue out;
  tr_rpc_lanes *lanes; /* NULL: none */
};

tr_rpc_call *tr_rpc_call_make(tr_rpc_conn *conn, int32_t stream_id);
/* Free; `closed` first where the call was announced. What a failed call tells is its own reason. */
void tr_rpc_call_end(tr_rpc_call *call, int status, tr_slice text);
/* As above, from tr_rpc_calls_settle. text: constant. */
void tr_rpc_call_end_later(tr_rpc_call *call, int status, const char *text);
/* End it for a reason found here: a server answers so, a client resets and says so in `closed`. */
void tr_rpc_call_fail(tr_rpc_call *call, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A request's headers are complete: refuse it, or announce it. */
void tr_rpc_call_opened(tr_rpc_call *call, bool end_stream);
/* Client: headers or trailers are complete. */
void tr_rpc_call_answered(tr_rpc_call *call, bool end_stream);
/* The peer's END_STREAM, after all messages. */
void tr_rpc_call_peer_ended(tr_rpc_call *call);
/* nghttp2 closed the stream. */
void tr_rpc_call_stream_closed(tr_rpc_call *call, uint32_t http2_error);
/* Server: trailers after the last message. False: no memory. */
bool tr_rpc_call_send_trailers(tr_rpc_call *call);
/* `closed` for those that ended inside tr_rpc_output or by the user's hand. Not from inside nghttp2. */
void tr_rpc_calls_settle(tr_rpc_conn *conn);

/* --- conn.c --- */

struct tr_rpc_conn {
  tr_mem *mem;
  tr_rpc_options options; /* with the defaults put in; its two texts are not used after tr_rpc_conn_new */
  nghttp2_session *session;
  nghttp2_mem session_mem;
  char *authority, *user_agent; /* client */
  tr_link calls, unopened, credits, writable, over;
  size_t call_count;
  size_t queued;         /* bytes queued on all calls */
  size_t partial;        /* bytes kept of messages that are not whole yet, on all calls */
  tr_buf *out;           /* during tr_rpc_output */
  size_t out_goal;
  size_t credit;         /* connection bytes received and not returned */
  int64_t now, second;   /* the second that `nuisances` counts in */
  uint32_t nuisances;
  uint32_t farewell;     /* HTTP/2 error of the GOAWAY written by hand when nghttp2 is past it */
  uint8_t start_len;     /* first bytes looked at so far */
  uint8_t start[24];
  bool dirty;            /* the handler was told */
  bool started;          /* the first bytes are what they should be */
  bool feeding;          /* inside nghttp2_session_mem_recv */
  bool dead;             /* nothing more is taken; `code` and `why` say the reason */
  bool say_farewell;     /* …and a GOAWAY is still to be written */
  bool drain;            /* tr_rpc_goaway was called */
  bool last_goaway;      /* …and the GOAWAY with the last stream's id is submitted */
  bool notice_seen;      /* …because the peer has answered the PING after the first one, or there was none */
  bool peer_goaway;
  bool odd_goodbye;      /* …in a form that nghttp2 ends the connection for */
  bool tableless;        /* tr_rpc_no_header_table was called */
  bool shares;           /* options.shared is its frame buffer */
  bool ringless;         /* what nghttp2 takes for its encoder's table is no memory (session.c) */
  bool moved;            /* DATA went either way since the last PING */
  int code;
  char *why;             /* TR_RPC_WHY bytes, or NULL */
  char *goaway_text;     /* for the last GOAWAY */
};

/* Something is to be sent. */
void tr_rpc_dirty(tr_rpc_conn *conn);
/* The connection cannot go on. The first reason stays. */
void tr_rpc_die(tr_rpc_conn *conn, int code, uint32_t http2_error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void tr_rpc_die_nghttp2(tr_rpc_conn *conn, int nghttp2_error);
/* Count a frame that does no work; false: there were too many, the connection is dead. */
bool tr_rpc_nuisance(tr_rpc_conn *conn);

/* --- session.c --- */
int tr_rpc_session_new(tr_rpc_conn *conn);
/* Credit for what was received since the last time. */
void tr_rpc_return_credit(tr_rpc_conn *conn);
#define TR_RPC_DRAIN_PING "tr-drain" /* its answer says that the peer has seen the first GOAWAY */

/* --- start.c --- */

/* Look at the connection's first bytes; false: they are no HTTP/2, and the connection is dead. */
bool tr_rpc_start(tr_rpc_conn *conn, tr_slice bytes);

#endif
