/* SPDX-License-Identifier: MIT
 * Dialing: resolve a name, try its addresses in turn, hand over the connected socket.
 *
 * A dial lives until its last request (getaddrinfo or connect) has called back, even when it was cancelled: libuv gives requests back
 * only through their callbacks. With TLS it is done when the handshake is, and only then hears anybody of the connection. */
#include "net/internal.h"

#include <stdio.h>

struct tr_net_dial {
  tr_net *net;
  tr_link all;
  tr_address address;
  uv_getaddrinfo_t resolve;
  uv_connect_t connect;
  struct addrinfo *found, *next;
  tr_net_conn *conn; /* being connected */
  const tr_net_handlers *handlers;
  void *handlers_ud;
  tr_net_dial_fn dialed; /* NULL: cancelled */
  void *ud;
  char tls_reason[200];
};

static void try_next(tr_net_dial *dial, const char *last_error);

tr_net_dial *tr_net_dial_of(tr_link *link) { return TR_CONTAINER(link, tr_net_dial, all); }

static void dial_done(tr_net_dial *dial, tr_net_conn *conn, const char *reason) {
  tr_net *net = dial->net;
  tr_net_dial_fn dialed = dial->dialed;
  void *ud = dial->ud;
  tr_link_remove(&dial->all);
  if (dial->found) uv_freeaddrinfo(dial->found);
  if (dialed) dialed(ud, conn, reason);
  else if (conn) tr_net_conn_close(conn);
  net->handles--;
  TR_DELETE(net->mem, dial);
}

/* The handshake's end; conn NULL: that connection is gone. */
static void on_secured(void *ud, tr_net_conn *conn, const char *reason) {
  tr_net_dial *dial = ud;
  dial->conn = NULL;
  if (!dial->dialed) {
    dial_done(dial, conn, NULL);
  } else if (conn) {
    conn->handlers = dial->handlers;
    conn->ud = dial->handlers_ud;
    dial_done(dial, conn, NULL);
  } else {
    snprintf(dial->tls_reason, sizeof dial->tls_reason, "%s", reason);
    try_next(dial, dial->tls_reason);
  }
}

static void secure(tr_net_dial *dial, tr_net_conn *conn) {
  dial->conn = conn;
  int rc = tr_net_conn_start(conn, NULL, NULL);
  if (rc == 0) rc = tr_tls_begin(conn, dial->net->tls_client, &dial->address);
  if (rc == 0) {
    tr_tls_tell(conn, on_secured, dial);
    return;
  }
  dial->conn = NULL;
  tr_net_conn_close(conn);
  try_next(dial, uv_strerror(rc));
}

static void on_connect(uv_connect_t *req, int status) {
  tr_net_dial *dial = req->data;
  tr_net_conn *conn = dial->conn;
  dial->conn = NULL;
  if (status == 0 && dial->dialed && dial->address.tls) {
    secure(dial, conn);
    return;
  }
  if (status == 0 && dial->dialed) {
    status = tr_net_conn_start(conn, dial->handlers, dial->handlers_ud);
    if (status == 0) {
      dial_done(dial, conn, NULL);
      return;
    }
    conn->handlers = NULL; /* the dialer hears of it by dialed(), not by closed() */
  }
  tr_net_conn_close(conn);
  if (!dial->dialed) dial_done(dial, NULL, NULL);
  else try_next(dial, uv_strerror(status));
}

/* A socket to connect with; NULL where there is no memory or no file descriptor. */
static tr_net_conn *dial_conn(tr_net_dial *dial) {
  dial->conn = tr_net_conn_new(dial->net, dial->address.is_unix);
  dial->connect.data = dial;
  return dial->conn;
}

static void try_next(tr_net_dial *dial, const char *last_error) {
  while (dial->next) {
    struct addrinfo *address = dial->next;
    dial->next = address->ai_next;
    last_error = uv_strerror(UV_ENOMEM);
    if (!dial_conn(dial)) continue;
    int rc = uv_tcp_connect(&dial->connect, &dial->conn->handle.tcp, address->ai_addr, on_connect);
    if (rc == 0) return;
    last_error = uv_strerror(rc);
    tr_net_conn_close(dial->conn);
    dial->conn = NULL;
  }
  dial_done(dial, NULL, last_error);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found) {
  tr_net_dial *dial = req->data;
  dial->found = dial->next = found;
  if (!dial->dialed) dial_done(dial, NULL, NULL);
  else if (status == UV_EAI_AGAIN || status == UV_EAI_NONAME) dial_done(dial, NULL, "the name cannot be resolved");
  else if (status < 0) dial_done(dial, NULL, uv_strerror(status));
  else try_next(dial, "the name has no address");
}

static int dial_begin(tr_net_dial *dial) {
  if (dial->address.is_unix) {
    if (!dial_conn(dial)) return UV_ENOMEM;
    uv_pipe_connect(&dial->connect, &dial->conn->handle.pipe, dial->address.host, on_connect);
    return 0;
  }
  struct sockaddr_storage number;
  if (tr_address_numeric(&dial->address, &number)) {
    if (!dial_conn(dial)) return UV_ENOMEM;
    int rc = uv_tcp_connect(&dial->connect, &dial->conn->handle.tcp, (const struct sockaddr *)&number, on_connect);
    if (rc < 0) tr_net_conn_close(dial->conn);
    return rc;
  }
  char service[8];
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
  snprintf(service, sizeof service, "%u", dial->address.port);
  dial->resolve.data = dial;
  return uv_getaddrinfo(dial->net->loop, &dial->resolve, on_resolved, dial->address.host, service, &hints);
}

int tr_net_connect(tr_net *net, tr_slice text, const tr_net_handlers *handlers, void *handlers_ud, tr_net_dial_fn dialed,
                   void *ud, tr_net_dial **out, tr_error *error) {
  tr_address address;
  int rc = tr_address_parse(text, &address, error);
  if (rc) return rc;
  if (address.tls && !net->tls_client) return tr_error_set(error, TR_EINVALID, "TLS is not set up here");
  tr_net_dial *dial = TR_NEW(net->mem, tr_net_dial);
  if (!dial) return tr_error_set(error, TR_EMEMORY, "out of memory");
  dial->net = net;
  dial->address = address;
  dial->handlers = handlers;
  dial->handlers_ud = handlers_ud;
  dial->dialed = dialed;
  dial->ud = ud;
  net->handles++;
  tr_list_push(&net->dials, &dial->all);
  if (out) *out = dial;
  rc = dial_begin(dial);
  if (rc < 0) {
    dial->dialed = NULL;
    dial_done(dial, NULL, NULL);
    if (out) *out = NULL;
    return tr_error_set(error, TR_EIO, "cannot connect to %.*s: %s", TR_SLICE_ARG(text), uv_strerror(rc));
  }
  return 0;
}

void tr_net_dial_abort(tr_net_dial *dial) {
  dial->dialed = NULL;
  if (dial->conn) tr_net_conn_close(dial->conn); /* ends the connect request with UV_ECANCELED: on_connect frees the dial */
  else uv_cancel((uv_req_t *)&dial->resolve);     /* likewise on_resolved; where it runs already, it calls back soon */
}

void tr_net_dial_cancel(tr_net_dial *dial) { tr_net_dial_abort(dial); }
