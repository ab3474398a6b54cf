/* SPDX-License-Identifier: MIT
 * Two ends on real sockets, for the checks of this room: a client that sends `total` bytes, a server that sends all back. */
#ifndef NET_KIT_H
#define NET_KIT_H

#include "check.h"
#include "net/internal.h"

typedef struct end {
  tr_net_conn *conn;
  tr_buf queue;         /* to be sent */
  size_t sent, received, total;
  bool echo, opened, closed, bad, resumed;
  char reason[200], names[200]; /* names: of the peer's certificate */
} end;

typedef struct world {
  uv_loop_t loop;
  tr_net *net;
  end server, client;
  tr_net_dial *dial;
  bool dialed, refuse;
  char failure[200], bound[TR_ADDRESS_MAX];
} world;

/* address NULL: nobody listens. own: takes both settings (NULL: none). */
void world_open(world *w, const char *address, tr_tls *server, tr_tls *client);
void world_dial(world *w, const char *address);
void world_until(world *w, const bool *flag);
void world_close(world *w);

extern const tr_net_handlers world_handlers;
bool world_finished(void *ud, tr_net_conn *conn); /* no */
void *world_accept(void *ud, tr_net_conn *conn, tr_slice peer, const tr_net_handlers **out);
void world_dialed(void *ud, tr_net_conn *conn, const char *reason);

#endif
