/* SPDX-License-Identifier: MIT
 * What the files of src/net share. */
#ifndef TR_NET_INTERNAL_H
#define TR_NET_INTERNAL_H

#include "base/list.h"
#include "net/net.h"
#include "net/tls.h"

#define TR_NET_READ_SIZE 65536
#define TR_NET_WRITE_SIZE 131072
#define TR_NET_PLAIN_SIZE 16384 /* a record of TLS */

struct tr_net {
  tr_mem *mem;
  const tr_log *log;
  uv_loop_t *loop;
  uv_prepare_t flush;
  bool flush_open, closing;
  tr_link conns, listeners, dials, dirty, processes;
  size_t handles;                 /* open libuv handles and requests of ours */
  tr_buf out;                     /* one output buffer for all connections: filled and written at once */
  char *read_buffer;              /* one input buffer: bytes are handed on before the next read */
  tr_tls *tls_server, *tls_client; /* for tls: addresses; NULL: there are none */
  bool insecure;
  tr_link handshakes;             /* tls_conn.c: those that are not done, the oldest first */
  uv_timer_t late;
  uint64_t tls_failures;          /* logged with doubling */
  char *plain;                    /* one record that was read; NULL until there is TLS */
  tr_buf sealed;                  /* like out, enciphered */
};

typedef union tr_net_handle { uv_handle_t any; uv_stream_t stream; uv_tcp_t tcp; uv_pipe_t pipe; } tr_net_handle;

typedef struct tr_tls_conn tr_tls_conn;
/* A handshake is done (conn), or failed (conn NULL, and why); once. */
typedef void (*tr_net_secured_fn)(void *ud, tr_net_conn *conn, const char *reason);

struct tr_net_conn {
  tr_net *net;
  tr_tls_conn *tls; /* NULL: plaintext */
  tr_net_handle handle;
  tr_link all, dirty;
  const tr_net_handlers *handlers;
  void *ud;
  bool reading, writing, closing, ending; /* ending: close once all is flushed */
  const char *reason; /* constant, or its tls's; NULL: none yet */
};

struct tr_net_listener {
  tr_net *net;
  tr_net_handle handle;
  tr_net_handle spare;     /* takes a connection that there is no memory for */
  bool refusing, again;    /* spare is open; and one more has come */
  unsigned open;           /* of the two handles */
  tr_link all;
  bool is_unix, is_tls, closing;
  tr_net_accept_fn accept;
  void *ud;
};

/* conn.c: a fresh connection with its handle initialised (not connected); NULL out of memory. */
tr_net_conn *tr_net_conn_new(tr_net *net, bool is_unix);
/* Start reading and sending. */
int tr_net_conn_start(tr_net_conn *conn, const tr_net_handlers *handlers, void *ud);
/* reason: constant, or of its tls. */
void tr_net_conn_fail(tr_net_conn *conn, const char *reason);
/* The peer's address as text, written to out. */
const char *tr_net_peer(tr_net_conn *conn, char *out, size_t size);
/* ---- tls_conn.c ---- */
/* Speak TLS on it from now on: as a server (address NULL), or as the client that dialed this. UV_ENOMEM. */
int tr_tls_begin(tr_net_conn *conn, tr_tls *tls, const tr_address *address);
void tr_tls_tell(tr_net_conn *conn, tr_net_secured_fn secured, void *ud); /* how the handshake ends */
void tr_tls_end(tr_net_conn *conn);
void tr_tls_feed(tr_net_conn *conn, tr_slice bytes);
/* What was made while reading, and `plain`, as the peer gets it; appended. UV_ENOMEM. */
int tr_tls_seal(tr_net_conn *conn, const tr_buf *plain, tr_buf *out);
bool tr_tls_is_open(const tr_net_conn *conn);
bool tr_tls_bye(tr_net_conn *conn); /* it is to be closed: there is a last word to flush */
const char *tr_tls_reason(const tr_net_conn *conn); /* why it broke; NULL: not by TLS */
bool tr_net_reserve_tls(tr_net *net); /* loop.c: the buffers for it */

void tr_net_dial_abort(tr_net_dial *dial);
tr_net_dial *tr_net_dial_of(tr_link *link);

#endif
