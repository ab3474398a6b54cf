/* SPDX-License-Identifier: MIT
 * A tunnel: workers that speak only plaintext and can show no token (AutoGen's, in Python) join here, and their calls go on to a host by
 * TLS with our certificate or token. Each connection has one of its own to the host, dialed with its first call; when one goes,
 * so does the other, and whoever dials again begins anew. rpc/relay.c does what is between. */
#include <stdio.h>
#include <string.h>

#include "rpc/relay.h"
#include "runtime/secure.h"

typedef struct tunnel {
  troupe_t *rt;
  tr_link all, joints;
  char address[TR_ADDRESS_MAX], authority[TR_ADDRESS_MAX];
  bool tls;
} tunnel;

typedef struct joint {
  tunnel *tunnel;
  tr_link link;
  tr_relay *relay;
  tr_net_conn *sockets[2]; /* by tr_relay_side; NULL: not there */
  tr_net_dial *dial;
  tr_timer timer;          /* down is gone: up has so long to take what is left */
} joint;

#define LINGER TR_SECONDS(10)

static void end_joint(joint *j) {
  troupe_t *rt = j->tunnel->rt;
  tr_link_remove(&j->link);
  tr_timer_stop(tr_core_timers(rt->core), &j->timer);
  if (j->dial) tr_net_dial_cancel(j->dial);
  if (j->sockets[TR_RELAY_UP]) tr_net_conn_drop(j->sockets[TR_RELAY_UP]);
  tr_relay_free(j->relay);
  TR_DELETE(&rt->mem, j);
}

static tr_relay_side side_of(const joint *j, const tr_net_conn *socket) { return j->sockets[TR_RELAY_UP] == socket ? TR_RELAY_UP : TR_RELAY_DOWN; }

static int on_data(void *ud, tr_net_conn *socket, tr_slice bytes) {
  joint *j = ud;
  tr_error error;
  tr_error_init(&error);
  return tr_relay_feed(j->relay, side_of(j, socket), bytes, tr_runtime_now(j->tunnel->rt), &error);
}

static int on_output(void *ud, tr_net_conn *socket, tr_buf *out, size_t limit) {
  joint *j = ud;
  return tr_relay_output(j->relay, side_of(j, socket), out, limit);
}

static bool on_finished(void *ud, tr_net_conn *socket) {
  const joint *j = ud;
  return tr_relay_finished(j->relay, side_of(j, socket));
}

static void lost(joint *j, const char *reason) {
  char text[300];
  snprintf(text, sizeof text, "the tunnel to %.150s: %s", j->tunnel->address, reason);
  tr_log_write(&j->tunnel->rt->log, TR_LOG_WARN, "tunnel.lost", "host=%s reason=\"%s\"", j->tunnel->address, reason);
  tr_relay_lost(j->relay, text);
}

static void on_late(tr_timer *timer) { end_joint(TR_CONTAINER(timer, joint, timer)); }

static void down_gone(joint *j) {
  troupe_t *rt = j->tunnel->rt;
  j->sockets[TR_RELAY_DOWN] = NULL;
  tr_relay_gone(j->relay);
  if (j->sockets[TR_RELAY_UP] || j->dial) tr_timer_start(tr_core_timers(rt->core), &j->timer, tr_runtime_now(rt) + LINGER, on_late);
  else end_joint(j);
}

static void on_closed(void *ud, tr_net_conn *socket, const char *reason) {
  joint *j = ud;
  if (side_of(j, socket) == TR_RELAY_DOWN) {
    down_gone(j);
    return;
  }
  j->sockets[TR_RELAY_UP] = NULL;
  if (!j->sockets[TR_RELAY_DOWN]) end_joint(j);
  else lost(j, reason ? reason : "closed");
}

static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void on_dialed(void *ud, tr_net_conn *conn, const char *reason) {
  joint *j = ud;
  j->dial = NULL;
  j->sockets[TR_RELAY_UP] = conn;
  if (!conn && !j->sockets[TR_RELAY_DOWN]) end_joint(j);
  else if (!conn) lost(j, reason);
}

static void on_dial(void *ud) {
  joint *j = ud;
  tr_error error;
  tr_error_init(&error);
  if (tr_net_connect(j->tunnel->rt->net, tr_slice_of(j->tunnel->address), &handlers, j, on_dialed, j, &j->dial, &error))
    tr_log_write(&j->tunnel->rt->log, TR_LOG_ERROR, "tunnel.dial", "host=%s error=\"%s\"", j->tunnel->address, error.text); /* memory: the call times out */
}

static void on_dirty(void *ud, tr_relay_side side) {
  const joint *j = ud;
  if (j->sockets[side]) tr_net_conn_dirty(j->sockets[side]);
}

static tr_slice authorization(void *ud) { return tr_secure_authorization(((joint *)ud)->tunnel->rt); }

static void *on_accept(void *ud, tr_net_conn *socket, tr_slice peer, const tr_net_handlers **out) {
  tunnel *t = ud;
  joint *j = TR_NEW(&t->rt->mem, joint);
  (void)peer;
  if (!j) return NULL;
  j->tunnel = t;
  j->sockets[TR_RELAY_DOWN] = socket;
  tr_relay_options options = { .mem = &t->rt->mem, .log = &t->rt->log, .authority = t->authority, .secure = t->tls, .authorization = authorization,
                               .dial = on_dial, .dirty = on_dirty, .ud = j };
  j->relay = tr_relay_new(&options);
  *out = &handlers;
  if (j->relay) {
    tr_list_push(&t->joints, &j->link);
    return j;
  }
  TR_DELETE(&t->rt->mem, j);
  return NULL;
}

int tr_runtime_tunnel(troupe_t *rt, const char *listen, const char *host, const char **bound) {
  tr_error *error = tr_runtime_error(rt);
  tr_address address;
  int rc = tr_address_parse(tr_slice_of(host), &address, error);
  if (rc == 0) rc = tr_runtime_loop_open(rt);
  if (rc == 0) rc = tr_secure_dial(rt, &address);
  if (rc) return rc;
  if (!address.tls && !tr_address_is_local(&address) && !(rt->secure && rt->secure->insecure))
    return tr_runtime_fail(rt, TR_EPERMISSION, "%s: a tunnel leads to another machine by TLS (tls:%s:%u; --insecure if the network is trusted)", host,
                           address.host, address.port);
  tunnel *t = TR_NEW(&rt->mem, tunnel);
  if (!t) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  t->rt = rt;
  tr_list_init(&t->joints);
  t->tls = address.tls;
  tr_address_format(&address, t->address, sizeof t->address);
  snprintf(t->authority, sizeof t->authority, "%s", address.is_unix ? "localhost" : t->address + (address.tls ? 4 : 0));
  rc = tr_net_listen(rt->net, tr_slice_of(listen), on_accept, t, rt->bound, NULL, error);
  if (rc) {
    TR_DELETE(&rt->mem, t);
    return rc;
  }
  tr_list_push(&rt->tunnels, &t->all);
  rt->listeners++;
  *bound = rt->bound;
  return 0;
}

void tr_runtime_close_tunnels(troupe_t *rt) {
  for (tr_link *l = rt->tunnels.next; l != &rt->tunnels; l = l->next) {
    tunnel *t = TR_CONTAINER(l, tunnel, all);
    while (!tr_list_empty(&t->joints)) {
      joint *j = TR_CONTAINER(t->joints.next, joint, link);
      if (j->sockets[TR_RELAY_DOWN]) tr_net_conn_drop(j->sockets[TR_RELAY_DOWN]);
      end_joint(j);
    }
  }
}

void tr_runtime_free_tunnels(troupe_t *rt) {
  for (tr_link *l; (l = tr_list_pop(&rt->tunnels));) {
    tunnel *t = TR_CONTAINER(l, tunnel, all);
    TR_DELETE(&rt->mem, t);
  }
}
