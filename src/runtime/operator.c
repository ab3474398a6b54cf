/* SPDX-License-Identifier: MIT
 * The operator's socket: where `troupe ps`, `state`, `stop` and the like ask a running process. A Unix socket that only its
 * owner may open (mode 0600), and whose peers are looked at once more when they come: the same user, or root. It is no
 * door: it keeps nothing alive and nobody joins by it. operator_verbs.c answers; ops/admin.h is the protocol. */
#include "runtime/operator.h"

#include <sys/stat.h>
#include <unistd.h>

typedef struct stayer { tr_link link; tr_admin_call *call; } stayer;

static int on_data(void *ud, tr_net_conn *socket, tr_slice bytes) {
  tr_error error;
  (void)socket;
  tr_error_init(&error);
  return tr_admin_feed(ud, bytes, (int64_t)(uv_hrtime() / 1000), &error);
}
static int on_output(void *ud, tr_net_conn *socket, tr_buf *out, size_t limit) {
  (void)socket;
  return tr_admin_output(ud, out, limit);
}
static bool on_finished(void *ud, tr_net_conn *socket) {
  (void)socket;
  return tr_admin_finished(ud);
}
static void on_closed(void *ud, tr_net_conn *socket, const char *reason) {
  (void)socket;
  (void)reason;
  tr_admin_closed(ud);
}
static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void on_dirty(void *ud, void *socket) {
  (void)ud;
  tr_net_conn_dirty(socket);
}

static void *on_accept(void *ud, tr_net_conn *socket, tr_slice peer, const tr_net_handlers **out) {
  const tr_operator *self = ud;
  int64_t uid = tr_net_conn_peer_uid(socket);
  (void)peer;
  *out = &handlers;
  if (uid == 0 || uid == (int64_t)geteuid()) return tr_admin_accept(self->admin, socket);
  tr_log_write(&self->rt->log, TR_LOG_WARN, "operator.refused", "uid=%lld (only this process's own user may ask)", (long long)uid);
  return NULL;
}

int tr_runtime_open_operator(troupe_t *rt, const char *address) {
  tr_error *error = tr_runtime_error(rt);
  char bound[TR_ADDRESS_MAX];
  int rc = tr_runtime_loop_open(rt);
  if (rc || rt->operator) return rc;
  if (strncmp(address, "unix:", 5) != 0) return tr_runtime_fail(rt, TR_EINVALID, "the operator's socket must be unix:PATH");
  tr_operator *self = TR_NEW(&rt->mem, tr_operator);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  self->rt = rt;
  tr_list_init(&self->staying);
  tr_admin_options options = { .mem = &rt->mem, .log = &rt->log, .ask = tr_operator_answer, .dirty = on_dirty, .ud = self };
  self->admin = tr_admin_new(&options);
  rc = self->admin ? tr_net_listen(rt->net, tr_slice_of(address), on_accept, self, bound, &self->listener, error) : TR_EMEMORY;
  if (!rc && chmod(address + 5, 0600)) {
    tr_net_listener_close(self->listener);
    rc = tr_runtime_fail(rt, TR_EIO, "%s: its mode cannot be set", address);
  }
  if (!rc) {
    rt->operator = self;
    return 0;
  }
  tr_admin_free(self->admin);
  TR_DELETE(&rt->mem, self);
  return rc;
}

void tr_operator_stay(tr_operator *self, tr_admin_call *call) {
  stayer *at = TR_NEW(&self->rt->mem, stayer);
  if (!at) {
    tr_admin_done(call);
    return;
  }
  at->call = call;
  tr_list_push(&self->staying, &at->link);
}

/* The sockets are closed. */
void tr_runtime_free_operator(troupe_t *rt) {
  tr_operator *self = rt->operator;
  if (!self) return;
  for (tr_link *link; (link = tr_list_pop(&self->staying));) {
    stayer *at = TR_CONTAINER(link, stayer, link);
    tr_admin_done(at->call);
    TR_DELETE(&rt->mem, at);
  }
  tr_admin_free(self->admin);
  TR_DELETE(&rt->mem, self);
  rt->operator = NULL;
}
