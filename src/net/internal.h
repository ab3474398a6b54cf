/* SPDX-License-Identifier: MIT
 * What the files of src/net share. */
#ifndef TR_NET_INTERNAL_H
#define TR_NET_INTERNAL_H

#include "base/list.h"
#include "net/net.h"

#define TR_NET_READ_SIZE 65536
#define TR_NET_WRITE_SIZE 131072

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
};

typedef union tr_net_handle { uv_handle_t any; uv_stream_t stream; uv_tcp_t tcp; uv_pipe_t pipe; } tr_net_handle;

struct tr_net_conn {
  tr_net *net;
  tr_net_handle handle;
  tr_link all, dirty;
  const tr_net_handlers *handlers;
  void *ud;
  bool reading, writing, closing, ending; /* ending: close once all is flushed */
  char reason[96];
};

struct tr_net_listener {
  tr_net *net;
  tr_net_handle handle;
  tr_link all;
  bool is_unix, closing;
  tr_net_accept_fn accept;
  void *ud;
};

/* conn.c: a fresh connection with its handle initialised (not connected); NULL out of memory. */
tr_net_conn *tr_net_conn_new(tr_net *net, bool is_unix);
/* Start reading and sending. */
int tr_net_conn_start(tr_net_conn *conn, const tr_net_handlers *handlers, void *ud);
void tr_net_conn_fail(tr_net_conn *conn, const char *reason);
/* The peer's address as text, written to out. */
const char *tr_net_peer(tr_net_conn *conn, char *out, size_t size);
void tr_net_dial_abort(tr_net_dial *dial);
tr_net_dial *tr_net_dial_of(tr_link *link);

#endif
