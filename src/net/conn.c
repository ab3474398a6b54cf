/* SPDX-License-Identifier: MIT
 * One connection: reading into the loop's shared buffer, sending what its protocol gives.
 *
 * A flush asks for up to 128 KB, writes it with uv_try_write, and repeats until nothing is left. What the kernel does not take is
 * copied into one uv_write, and the connection is skipped until that is done, so at most one block per connection is in
 * memory here; all other waiting bytes stay with the protocol, which has bounds for them. */
#include "net/internal.h"

#include <stdio.h>

#define KEEP_ALIVE 60 /* seconds of silence until the kernel asks */

typedef struct write_req {
  uv_write_t req;
  tr_net_conn *conn;
  size_t size; /* of the whole block, for tr_free */
  size_t len;
  char bytes[];
} write_req;

tr_net_conn *tr_net_conn_new(tr_net *net, bool is_unix) {
  tr_net_conn *conn = TR_NEW(net->mem, tr_net_conn);
  if (!conn) return NULL;
  conn->net = net;
  int rc = is_unix ? uv_pipe_init(net->loop, &conn->handle.pipe, 0) : uv_tcp_init(net->loop, &conn->handle.tcp);
  if (rc < 0) {
    TR_DELETE(net->mem, conn);
    return NULL;
  }
  conn->handle.any.data = conn;
  net->handles++;
  tr_list_push(&net->conns, &conn->all);
  return conn;
}

static void on_closed(uv_handle_t *handle) {
  tr_net_conn *conn = handle->data;
  tr_net *net = conn->net;
  const char *tls = tr_tls_reason(conn);
  if (conn->handlers) conn->handlers->closed(conn->ud, conn, tls ? tls : conn->reason);
  tr_tls_end(conn);
  net->handles--;
  TR_DELETE(net->mem, conn);
}

void tr_net_conn_close(tr_net_conn *conn) {
  if (conn->closing) return;
  conn->closing = true;
  tr_link_remove(&conn->all);
  tr_link_remove(&conn->dirty);
  uv_close(&conn->handle.any, on_closed);
}

void tr_net_conn_drop(tr_net_conn *conn) {
  conn->handlers = NULL;
  tr_net_conn_close(conn);
}

void tr_net_conn_fail(tr_net_conn *conn, const char *reason) {
  if (conn->closing) return;
  if (!conn->reason) conn->reason = reason;
  tr_net_conn_close(conn);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
  (void)suggested;
  tr_net_conn *conn = handle->data;
  *buf = uv_buf_init(conn->net->read_buffer, TR_NET_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
  tr_net_conn *conn = stream->data;
  if (n > 0) {
    if (conn->ending) return; /* a broken peer's bytes: only what we still have to say counts */
    if (conn->tls) tr_tls_feed(conn, tr_slice_make(buf->base, (size_t)n));
    else if (conn->handlers->data(conn->ud, conn, tr_slice_make(buf->base, (size_t)n)) < 0) conn->ending = true;
    tr_net_conn_dirty(conn);
  } else if (n < 0) {
    tr_net_conn_fail(conn, n == UV_EOF ? "closed by the peer" : uv_strerror((int)n));
  }
}

int tr_net_conn_start(tr_net_conn *conn, const tr_net_handlers *handlers, void *ud) {
  conn->handlers = handlers;
  conn->ud = ud;
  if (conn->handle.any.type == UV_TCP) {
    /* Nagle's delay costs 40 ms at the 99th percentile (measured), so it is always off. */
    uv_tcp_nodelay(&conn->handle.tcp, 1);
    /* The only way to notice that a silent peer is gone where it must not be pinged (AutoGen's host). */
    uv_tcp_keepalive(&conn->handle.tcp, 1, KEEP_ALIVE);
  }
  int rc = uv_read_start(&conn->handle.stream, on_alloc, on_read);
  if (rc < 0) return rc;
  conn->reading = true;
  tr_net_conn_dirty(conn); /* a protocol speaks first: preface, SETTINGS */
  return 0;
}

void *tr_net_conn_ud(const tr_net_conn *conn) { return conn->ud; }

void tr_net_conn_dirty(tr_net_conn *conn) {
  if (!conn->closing && !tr_link_in(&conn->dirty)) tr_list_push(&conn->net->dirty, &conn->dirty);
}

static void on_written(uv_write_t *req, int status) {
  write_req *block = TR_CONTAINER(req, write_req, req);
  tr_net_conn *conn = block->conn;
  tr_free(conn->net->mem, block, block->size);
  conn->writing = false;
  if (conn->closing) return;
  if (status < 0) tr_net_conn_fail(conn, uv_strerror(status));
  else tr_net_conn_dirty(conn);
}

/* Send the rest of a block that the kernel did not take at once. */
static int write_rest(tr_net_conn *conn, const uint8_t *bytes, size_t n) {
  size_t size = sizeof(write_req) + n;
  write_req *block = tr_alloc(conn->net->mem, size);
  if (!block) return UV_ENOMEM;
  block->conn = conn;
  block->size = size;
  block->len = n;
  memcpy(block->bytes, bytes, n);
  uv_buf_t buf = uv_buf_init(block->bytes, (unsigned)n);
  int rc = uv_write(&block->req, &conn->handle.stream, &buf, 1, on_written);
  if (rc < 0) tr_free(conn->net->mem, block, size);
  else conn->writing = true;
  return rc;
}

/* One block: 1 all was written, 0 nothing was there, negative failed; conn->writing set when a rest is under way. */
static int flush_block(tr_net_conn *conn) {
  tr_buf *out = &conn->net->out;
  tr_buf_clear(out);
  int rc = !conn->handlers || (conn->tls && !tr_tls_is_open(conn)) ? 0 : conn->handlers->output(conn->ud, conn, out, TR_NET_WRITE_SIZE);
  if (rc < 0) conn->ending = true;
  if (conn->tls && !out->failed) {
    tr_buf *sealed = &conn->net->sealed;
    tr_buf_clear(sealed);
    rc = tr_tls_seal(conn, out, sealed);
    if (rc < 0) return rc;
    out = sealed;
  }
  if (out->failed) return UV_ENOMEM;
  if (out->len == 0) return 0;
  uv_buf_t buf = uv_buf_init((char *)out->data, (unsigned)out->len);
  int n = uv_try_write(&conn->handle.stream, &buf, 1);
  if (n == UV_EAGAIN) n = 0;
  if (n < 0) return n;
  if ((size_t)n < out->len) {
    rc = write_rest(conn, out->data + n, out->len - (size_t)n);
    return rc < 0 ? rc : 1;
  }
  return 1;
}

static void close_in_order(tr_net_conn *conn) {
  if (conn->tls && tr_tls_bye(conn)) flush_block(conn);
  tr_net_conn_close(conn);
}

static void flush_conn(tr_net_conn *conn) {
  if (conn->writing || conn->closing) return;
  int rc;
  do rc = flush_block(conn);
  while (rc > 0 && !conn->writing && !conn->closing);
  if (conn->closing || conn->writing) return;
  if (rc < 0) tr_net_conn_fail(conn, uv_strerror(rc));
  else if (conn->ending || (conn->handlers && conn->handlers->finished(conn->ud, conn))) close_in_order(conn);
}

void tr_net_flush(tr_net *net) {
  /* What a flush makes dirty again (it cannot write more now) waits for its write callback, so one pass is enough; a
   * connection that another one's flush made dirty is at the list's end and gets its turn in the same pass. */
  tr_link *link;
  while ((link = tr_list_pop(&net->dirty))) flush_conn(TR_CONTAINER(link, tr_net_conn, dirty));
}

const char *tr_net_peer(tr_net_conn *conn, char *out, size_t size) {
  struct sockaddr_storage storage;
  int length = sizeof storage;
  snprintf(out, size, "unix");
  if (conn->handle.any.type != UV_TCP) return out;
  if (uv_tcp_getpeername(&conn->handle.tcp, (struct sockaddr *)&storage, &length) < 0) return out;
  char name[64];
  bool v6 = storage.ss_family == AF_INET6;
  if (v6) uv_ip6_name((struct sockaddr_in6 *)&storage, name, sizeof name);
  else uv_ip4_name((struct sockaddr_in *)&storage, name, sizeof name);
  unsigned port = ntohs(v6 ? ((struct sockaddr_in6 *)&storage)->sin6_port : ((struct sockaddr_in *)&storage)->sin_port);
  snprintf(out, size, v6 ? "[%s]:%u" : "%s:%u", name, port);
  return out;
}
