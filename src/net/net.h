/* SPDX-License-Identifier: MIT
 * Sockets on libuv: listeners, connections, dialing. Moves bytes between sockets and whoever speaks a protocol (sans I/O),
 * and knows no protocol itself.
 *
 * Sending is pulled: a connection that has something to send is marked dirty, and once per turn of the loop (in a prepare
 * handle, just before the loop sleeps) every dirty connection is asked for its bytes and written once. Measured:
 * flushing at each read instead costs twice the CPU per request with many connections; uv_try_write first saves 30 % of a fan-out. */
#ifndef TR_NET_NET_H
#define TR_NET_NET_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "net/address.h"
#include "net/tls.h"

typedef struct tr_net tr_net;
typedef struct tr_net_conn tr_net_conn;
typedef struct tr_net_listener tr_net_listener;

typedef struct tr_net_handlers {
  /* Bytes arrived (borrowed). Negative: flush what output still gives, then close. */
  int (*data)(void *ud, tr_net_conn *conn, tr_slice bytes);
  /* Append up to `limit` bytes to send; nothing appended: done for now. */
  int (*output)(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit);
  /* Asked after a flush that left nothing: true closes the socket. */
  bool (*finished)(void *ud, tr_net_conn *conn);
  /* Exactly once, last: the connection is gone (reason NULL: closed by us) and `conn` is freed afterwards. */
  void (*closed)(void *ud, tr_net_conn *conn, const char *reason);
} tr_net_handlers;

/* loop is borrowed; free with tr_net_free once all is closed (run the loop until tr_net_idle). NULL: out of memory. */
tr_net *tr_net_new(tr_mem *mem, const tr_log *log, uv_loop_t *loop);
/* Begin closing listeners, connections and dials; their closed handlers run from the loop. */
void tr_net_close(tr_net *net);
bool tr_net_idle(const tr_net *net); /* no handle of ours is open */
void tr_net_free(tr_net *net);
uv_loop_t *tr_net_loop(const tr_net *net);
/* For tls: addresses, from now on; connections that are open keep what they have. NULL: such addresses are refused. */
void tr_net_set_tls(tr_net *net, tr_tls *server, tr_tls *client);
/* Listen in plaintext at addresses that others reach, too. */
void tr_net_set_insecure(tr_net *net, bool insecure);

/* accepted returns the handlers' ud and sets *handlers, or NULL to refuse the connection. peer: "127.0.0.1:4711" or "unix". */
typedef void *(*tr_net_accept_fn)(void *ud, tr_net_conn *conn, tr_slice peer, const tr_net_handlers **handlers);
/* Listen; bound (TR_ADDRESS_MAX bytes) gets the address with the real port. A stale Unix socket file is replaced. err: TR_EINVALID,
 * TR_EIO ("address already in use", …), TR_EPERMISSION: in plaintext where others reach it (tr_net_set_insecure). */
int tr_net_listen(tr_net *net, tr_slice address, tr_net_accept_fn accept, void *ud, char *bound, tr_net_listener **out, tr_error *error);
void tr_net_listener_close(tr_net_listener *listener); /* stop accepting; connections live on */

/* Connect. dialed(ud, conn, NULL) on success, and the connection's handlers are those given; dialed(ud, NULL, reason) on failure; once,
 * never from inside this call. A name with several addresses has each tried in turn. */
typedef void (*tr_net_dial_fn)(void *ud, tr_net_conn *conn, const char *reason);
typedef struct tr_net_dial tr_net_dial;
int tr_net_connect(tr_net *net, tr_slice address, const tr_net_handlers *handlers, void *handlers_ud,
                   tr_net_dial_fn dialed, void *ud, tr_net_dial **out, tr_error *error);
void tr_net_dial_cancel(tr_net_dial *dial); /* dialed will not be called */

void tr_net_conn_dirty(tr_net_conn *conn); /* something to send: flush before the loop sleeps */
void tr_net_conn_close(tr_net_conn *conn); /* now; closed handler follows from the loop */
void tr_net_conn_drop(tr_net_conn *conn);  /* the same, and no handler is called any more: their ud may go at once */
void *tr_net_conn_ud(const tr_net_conn *conn);
/* The names in the peer's certificate, "cert:NAME" a line, appended to out. False: it has shown none that is believed. */
#define TR_NET_NAMES_MAX 2048
bool tr_net_conn_names(const tr_net_conn *conn, tr_buf *out);
bool tr_net_conn_is_tls(const tr_net_conn *conn);
bool tr_net_conn_resumed(const tr_net_conn *conn); /* its TLS session is an earlier one's */
/* Whose process is behind a Unix socket, as the system says; -1: it does not know. */
int64_t tr_net_conn_peer_uid(const tr_net_conn *conn);
/* Flush all dirty connections now (the prepare handle does it by itself; the runtime calls it after its own work). */
void tr_net_flush(tr_net *net);

#endif
