/* SPDX-License-Identifier: MIT
 * Who is at the other end of a Unix socket. struct ucred is Linux's own, and hidden without _GNU_SOURCE. */
#define _GNU_SOURCE
#include <sys/socket.h>

#include "net/internal.h"

int64_t tr_net_conn_peer_uid(const tr_net_conn *conn) {
#ifdef SO_PEERCRED
  struct ucred peer;
  socklen_t size = sizeof peer;
  uv_os_fd_t fd;
  if (conn->handle.any.type == UV_NAMED_PIPE && uv_fileno(&conn->handle.any, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof peer)
    return peer.uid;
#else
  (void)conn;
#endif
  return -1;
}
