/* SPDX-License-Identifier: MIT
 * The operator's socket: where `troupe ps`, `state`, `stop` and the like ask a running process. A Unix socket that only its
 * owner may open (mode 0600), and whose peers are looked at once more when they come: the same user, or root. It is no
 * door: it keeps nothing alive and nobody joins by it. operator_verbs.c answers; ops/admin.h is the protocol. Also the clock of answers
 * that go on (top, trace): one timer of the loop, which runs while there is such an answer and, as it is no timer of the core, keeps
 * nothing alive either. */
#include "runtime/operator.h"

#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 50 /* between two looks at the watchers */

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
  tr_operator *self = ud;
  int64_t uid = tr_net_conn_peer_uid(socket);
  (void)peer;
  *out = &handlers;
  char times[TR_TALLY_TIMES];
  if (uid == 0 || uid == (int64_t)geteuid()) {
    void *conn = tr_admin_accept(self->admin, socket);
    if (!conn && tr_tally_tell(&self->refusals, TR_SLICE_LITERAL("connections"), times))
      tr_log_write(&self->rt->log, TR_LOG_WARN, "operator.refused", "reason=\"too many are connected, or out of memory\"%s", times);
    return conn;
  }
  tr_log_write(&self->rt->log, TR_LOG_WARN, "operator.refused", "uid=%lld (only this process's own user may ask)", (long long)uid);
  return NULL;
}

tr_operator *tr_operator_get(troupe_t *rt) {
  if (rt->operator) return rt->operator;
  tr_operator *self = TR_NEW(&rt->mem, tr_operator);
  if (!self) return NULL;
  self->rt = rt;
  tr_list_init(&self->staying);
  tr_list_init(&self->watchers);
  tr_list_init(&self->tracers);
  tr_tally_init(&self->refusals, &rt->mem, (uint64_t)(uintptr_t)self);
  tr_admin_options options = { .mem = &rt->mem, .log = &rt->log, .ask = tr_operator_answer, .dirty = on_dirty, .ud = self };
  self->admin = tr_admin_new(&options);
  if (self->admin) return rt->operator = self;
  tr_tally_fini(&self->refusals);
  TR_DELETE(&rt->mem, self);
  return NULL;
}

int tr_runtime_open_operator(troupe_t *rt, const char *address) {
  tr_error *error = tr_runtime_error(rt);
  char bound[TR_ADDRESS_MAX];
  int rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  if (strncmp(address, "unix:", 5) != 0) return tr_runtime_fail(rt, TR_EINVALID, "the operator's socket must be unix:PATH");
  tr_operator *self = tr_operator_get(rt);
  if (!self) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  if (self->listener) return 0;
  rc = tr_net_listen(rt->net, tr_slice_of(address), on_accept, self, bound, &self->listener, error);
  if (!rc && chmod(address + 5, 0600)) {
    tr_net_listener_close(self->listener);
    rc = tr_runtime_fail(rt, TR_EIO, "%s: its mode cannot be set", address);
  }
  if (rc) self->listener = NULL;
  return rc;
}

int tr_runtime_ask(troupe_t *rt, const char *verb, const char *body, void (*reply)(void *ud, tr_slice json),
                   void (*over)(void *ud, int code, tr_slice text), void *ud) {
  tr_runtime_error(rt);
  int rc = tr_runtime_loop_open(rt);
  tr_operator *self = rc ? NULL : tr_operator_get(rt);
  tr_admin_asker asker = { .reply = reply, .over = over, .ud = ud };
  tr_admin_call *call = self ? tr_admin_call_here(&rt->mem, &asker) : NULL;
  if (!call) return rc ? rc : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_operator_answer(self, call, tr_slice_of(verb), tr_slice_of(body));
  return 0;
}

bool tr_runtime_unask(troupe_t *rt, const void *ud) {
  tr_operator *self = rt->operator;
  for (tr_link *link = self ? self->watchers.next : NULL; self && link != &self->watchers; link = link->next) {
    tr_admin_call *call = TR_CONTAINER(link, tr_watcher, link)->q->call;
    if (!tr_admin_is_by(call, ud)) continue;
    tr_core_set_now(rt->core, tr_runtime_now(rt));
    tr_admin_lost(call);
    return true;
  }
  return false;
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

/* ---- watchers ---- */

int64_t tr_operator_now(const tr_operator *self) { return (int64_t)uv_now(self->rt->loop); }

static void on_tick(uv_timer_t *timer) {
  tr_operator *self = timer->data;
  int64_t now = tr_operator_now(self);
  tr_core_set_now(self->rt->core, tr_runtime_now(self->rt));
  for (tr_link *link = self->watchers.next, *next; link != &self->watchers; link = next) {
    tr_watcher *watcher = TR_CONTAINER(link, tr_watcher, link);
    next = link->next; /* a tick may end its own, and no other */
    if (watcher->due <= now) watcher->tick(watcher);
  }
  if (tr_list_empty(&self->watchers)) uv_timer_stop(&self->ticker);
}

static void on_gone(void *ud) { tr_watcher_end(ud, 0, NULL); }

bool tr_watcher_begin(tr_watcher *watcher, tr_question *q) {
  tr_operator *self = q->self;
  if (!self->rt->loop) return false;
  if (!self->has_ticker) {
    uv_timer_init(self->rt->loop, &self->ticker);
    self->ticker.data = self;
    self->has_ticker = true;
  }
  if (uv_is_closing((uv_handle_t *)&self->ticker)) return false;
  if (!uv_is_active((uv_handle_t *)&self->ticker)) uv_timer_start(&self->ticker, on_tick, TICK_MS, TICK_MS);
  watcher->q = q;
  tr_admin_on_gone(q->call, on_gone, watcher);
  tr_list_push(&self->watchers, &watcher->link);
  return true;
}

void tr_watcher_end(tr_watcher *watcher, int code, const char *text) {
  tr_question *q = watcher->q;
  tr_admin_on_gone(q->call, NULL, NULL);
  tr_link_remove(&watcher->link);
  watcher->fini(watcher);
  if (code) tr_question_fail(q, code, text);
  else tr_question_done(q);
}

/* The sockets are closed. */
void tr_runtime_free_operator(troupe_t *rt) {
  tr_operator *self = rt->operator;
  if (!self) return;
  tr_operator_end_workers(rt);
  while (!tr_list_empty(&self->watchers)) tr_watcher_end(TR_CONTAINER(self->watchers.next, tr_watcher, link), 0, NULL);
  for (tr_link *link; (link = tr_list_pop(&self->staying));) {
    stayer *at = TR_CONTAINER(link, stayer, link);
    tr_admin_done(at->call);
    TR_DELETE(&rt->mem, at);
  }
  tr_admin_free(self->admin);
  tr_tally_fini(&self->refusals);
  TR_DELETE(&rt->mem, self);
  rt->operator = NULL;
}
