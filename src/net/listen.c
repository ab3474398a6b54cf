/* SPDX-License-Identifier: MIT
 * Listeners: bind, accept, and the stale file that a killed process leaves behind a Unix socket's name. */
#include "net/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static void on_listener_closed(uv_handle_t *handle) {
  tr_net_listener *listener = handle->data;
  listener->net->handles--;
  if (--listener->open == 0) TR_DELETE(listener->net->mem, listener);
}

static int init_handle(const tr_net_listener *listener, tr_net_handle *handle) {
  return listener->is_unix ? uv_pipe_init(listener->net->loop, &handle->pipe, 0) : uv_tcp_init(listener->net->loop, &handle->tcp);
}

static void own(tr_net_listener *listener, tr_net_handle *handle) {
  handle->any.data = listener;
  listener->open++;
  listener->net->handles++;
}

void tr_net_listener_close(tr_net_listener *listener) {
  if (listener->closing) return;
  listener->closing = true;
  tr_link_remove(&listener->all);
  uv_close(&listener->handle.any, on_listener_closed); /* libuv unlinks a Unix socket's file */
}

static void on_connection(uv_stream_t *stream, int status);

static void on_refused(uv_handle_t *handle) {
  tr_net_listener *listener = handle->data;
  bool again = listener->again && !listener->closing;
  listener->refusing = listener->again = false;
  if (again) on_connection(&listener->handle.stream, 0);
  on_listener_closed(handle);
}

/* Taken, and ended at once: libuv accepts nothing more as long as one waits for us. */
static void refuse(tr_net_listener *listener) {
  tr_log_write(listener->net->log, TR_LOG_ERROR, "listener.accept", "error=\"out of memory\" (the connection was ended)");
  if (init_handle(listener, &listener->spare)) return;
  own(listener, &listener->spare);
  listener->refusing = true;
  uv_accept(&listener->handle.stream, &listener->spare.stream);
  uv_close(&listener->spare.any, on_refused);
}

static void on_connection(uv_stream_t *stream, int status) {
  tr_net_listener *listener = stream->data;
  if (status < 0) {
    tr_log_write(listener->net->log, TR_LOG_WARN, "listener.accept", "error=\"%s\"", uv_strerror(status));
    return;
  }
  tr_net_conn *conn = tr_net_conn_new(listener->net, listener->is_unix);
  if (!conn) {
    if (listener->refusing) listener->again = true;
    else refuse(listener);
    return;
  }
  if (uv_accept(stream, &conn->handle.stream) < 0) {
    tr_net_conn_close(conn);
    return;
  }
  char peer[80];
  tr_net_peer(conn, peer, sizeof peer);
  const tr_net_handlers *handlers = NULL;
  void *ud = listener->accept(listener->ud, conn, tr_slice_of(peer), &handlers);
  if (!ud) {
    tr_net_conn_close(conn);
    return;
  }
  int rc = tr_net_conn_start(conn, handlers, ud);
  if (rc == 0 && listener->is_tls) rc = tr_tls_begin(conn, listener->net->tls_server, NULL);
  if (rc < 0) tr_net_conn_fail(conn, uv_strerror(rc));
}

/* True when nobody answers behind a Unix socket's name: its process is gone. Only then is the file ours to remove. One whose queue is full
 * (EAGAIN) has a process; waiting for it to look would stop this loop. */
static bool socket_is_stale(const char *path) {
  struct stat st;
  if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode)) return false;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return false;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  struct sockaddr_un addr = { .sun_family = AF_UNIX };
  memcpy(addr.sun_path, path, strlen(path) + 1); /* ≤ 107 bytes: tr_address_parse */
  bool stale = connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0 && errno == ECONNREFUSED;
  close(fd);
  return stale;
}

static int bind_unix(tr_net_listener *listener, const tr_address *address) {
  if (socket_is_stale(address->host)) unlink(address->host);
  return uv_pipe_bind(&listener->handle.pipe, address->host);
}

/* libuv reports a folder that is not there as "permission denied". */
static const char *bind_problem(const tr_address *address, int rc) {
  char folder[TR_ADDRESS_MAX];
  const char *slash = address->is_unix ? strrchr(address->host, '/') : NULL;
  if (rc == UV_EADDRINUSE && !address->is_unix) return "address already in use (troupe ps tells whether by you; port 0 takes a free one)";
  if (rc != UV_EACCES || !slash) return uv_strerror(rc);
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - address->host), address->host);
  return access(*folder ? folder : "/", F_OK) ? "there is no such folder" : uv_strerror(rc);
}

static int bind_tcp(tr_net_listener *listener, const tr_address *address) {
  struct sockaddr_storage number;
  if (tr_address_numeric(address, &number)) return uv_tcp_bind(&listener->handle.tcp, (const struct sockaddr *)&number, 0);
  uv_getaddrinfo_t req;
  char service[8];
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
  snprintf(service, sizeof service, "%u", address->port);
  int rc = uv_getaddrinfo(listener->net->loop, &req, NULL, address->host, service, &hints);
  if (rc < 0) return rc;
  rc = uv_tcp_bind(&listener->handle.tcp, req.addrinfo->ai_addr, 0);
  uv_freeaddrinfo(req.addrinfo);
  return rc;
}

static bool is_loopback(const tr_net_listener *listener) {
  struct sockaddr_storage storage;
  int length = sizeof storage;
  if (listener->is_unix) return true;
  if (uv_tcp_getsockname(&listener->handle.tcp, (struct sockaddr *)&storage, &length) < 0) return true; /* bind failed, which uv_listen tells */
  return tr_sockaddr_is_loopback(&storage);
}

static int check_exposure(const tr_net_listener *listener, tr_slice text, tr_error *error) {
  if (listener->is_tls || listener->net->insecure || is_loopback(listener)) return 0;
  return tr_error_set(error, TR_EPERMISSION, "%.*s is reached from other machines, in plaintext and by anybody (tls:%.*s with a certificate; "
                      "--insecure if the network is trusted)", TR_SLICE_ARG(text), TR_SLICE_ARG(text));
}

static void bound_address(tr_net_listener *listener, tr_address *address, char *out) {
  struct sockaddr_storage storage;
  int length = sizeof storage;
  if (!listener->is_unix && uv_tcp_getsockname(&listener->handle.tcp, (struct sockaddr *)&storage, &length) == 0)
    address->port = ntohs(storage.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&storage)->sin6_port
                                                        : ((struct sockaddr_in *)&storage)->sin_port);
  tr_address_format(address, out, TR_ADDRESS_MAX);
}

int tr_net_listen(tr_net *net, tr_slice text, tr_net_accept_fn accept_fn, void *ud, char *bound, tr_net_listener **out,
                  tr_error *error) {
  tr_address address;
  int rc = tr_address_parse(text, &address, error);
  if (rc) return rc;
  if (address.tls && !net->tls_server)
    return tr_error_set(error, TR_EINVALID, "%.*s needs a certificate and its key (--tls-cert, --tls-key; troupe cert makes them)", TR_SLICE_ARG(text));
  tr_net_listener *listener = TR_NEW(net->mem, tr_net_listener);
  if (!listener) return tr_error_set(error, TR_EMEMORY, "out of memory");
  listener->net = net;
  listener->is_unix = address.is_unix;
  listener->is_tls = address.tls;
  listener->accept = accept_fn;
  listener->ud = ud;
  rc = init_handle(listener, &listener->handle);
  if (rc < 0) {
    TR_DELETE(net->mem, listener);
    return tr_error_set(error, TR_EIO, "%s", uv_strerror(rc));
  }
  own(listener, &listener->handle);
  tr_list_push(&net->listeners, &listener->all);
  rc = address.is_unix ? bind_unix(listener, &address) : bind_tcp(listener, &address);
  if (rc == 0 && check_exposure(listener, text, error)) {
    tr_net_listener_close(listener);
    return TR_EPERMISSION;
  }
  if (rc == 0) rc = uv_listen(&listener->handle.stream, BACKLOG, on_connection);
  if (rc < 0) {
    tr_net_listener_close(listener);
    return tr_error_set(error, TR_EIO, "cannot listen on %.*s: %s", TR_SLICE_ARG(text), bind_problem(&address, rc));
  }
  if (bound) bound_address(listener, &address, bound);
  if (out) *out = listener;
  return 0;
}
