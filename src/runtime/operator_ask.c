/* SPDX-License-Identifier: MIT
 * Asking a running process, by its operator's socket or its host's door, for the program: on a loop of its own, until it has answered. */
#include <signal.h>
#include <stdio.h>

#include "ops/admin.h"
#include "runtime/secure.h"

typedef struct asking {
  tr_mem mem;
  uv_loop_t loop;
  uv_timer_t timer;
  uv_signal_t signal;
  tr_net *net;
  tr_net_conn *conn;
  tr_admin_ask *ask;
  bool (*fn)(void *ud, tr_slice json);
  void *ud;
  const char *address;
  tr_error *error;
  bool over, stoppable;
  int rc;
} asking;

static void end(asking *self, int rc, tr_slice text) {
  if (self->over) return;
  self->over = true;
  self->rc = rc;
  if (rc) tr_error_set(self->error, rc, "%.*s", (int)text.n, text.n ? text.p : "");
  uv_stop(&self->loop);
}

static void on_reply(void *ud, tr_slice body) {
  asking *self = ud;
  if (!self->over && !self->fn(self->ud, body)) end(self, 0, TR_SLICE_LITERAL(""));
}
static void on_over(void *ud, int code, tr_slice text) { end(ud, code, text); }
static void on_dirty(void *ud) {
  asking *self = ud;
  if (self->conn) tr_net_conn_dirty(self->conn);
}

static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  asking *self = ud;
  (void)conn;
  return tr_admin_ask_feed(self->ask, bytes, (int64_t)(uv_hrtime() / 1000), self->error);
}
static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  (void)conn;
  return tr_admin_ask_output(((asking *)ud)->ask, out, limit);
}
static bool on_finished(void *ud, tr_net_conn *conn) {
  (void)conn;
  return ((asking *)ud)->over;
}
static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  asking *self = ud;
  (void)conn;
  self->conn = NULL;
  end(self, TR_EUNAVAILABLE, reason ? tr_slice_of(reason) : TR_SLICE_LITERAL("the process closed the connection"));
}
static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

static void on_dialed(void *ud, tr_net_conn *conn, const char *reason) {
  asking *self = ud;
  char text[400];
  self->conn = conn;
  snprintf(text, sizeof text, "%.300s: %.90s", self->address, reason ? reason : "");
  if (conn) tr_net_conn_dirty(conn);
  else end(self, TR_EUNAVAILABLE, tr_slice_of(text));
}

static void on_time(uv_timer_t *timer) {
  end(timer->data, TR_ETIMEOUT, TR_SLICE_LITERAL("no answer within the time (--timeout)"));
}

static void close_loop(asking *self) {
  if (self->conn) tr_net_conn_drop(self->conn);
  uv_close((uv_handle_t *)&self->timer, NULL);
  uv_close((uv_handle_t *)&self->signal, NULL);
  if (self->net) tr_net_close(self->net);
  uv_run(&self->loop, UV_RUN_DEFAULT);
  uv_loop_close(&self->loop);
  tr_net_free(self->net);
  tr_admin_ask_free(self->ask);
}

/* Who is not on this machine is spoken to as any host is: by TLS, with what the asker has to show. */
static int prepare(asking *self, troupe_t *asker, const char *address, tr_admin_ask_options *options, tr_error *error) {
  tr_address parsed;
  int rc = tr_address_parse(tr_slice_of(address), &parsed, error);
  if (!rc && (rc = tr_secure_dial(asker, &parsed))) tr_error_set(error, rc, "%s", asker->error.text);
  if (rc) return rc;
  options->tls = parsed.tls;
  options->authorization = tr_secure_authorization(asker);
  self->net = tr_net_new(&self->mem, NULL, &self->loop);
  if (self->net && asker->secure) tr_net_set_tls(self->net, NULL, asker->secure->client);
  self->ask = tr_admin_ask_new(options);
  return self->net && self->ask ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

static void on_signal(uv_signal_t *signal, int number) {
  (void)number;
  end(signal->data, TR_ECANCELLED, TR_SLICE_LITERAL("interrupted"));
}

static void wait(asking *self) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  if (self->stoppable) uv_signal_start(&self->signal, on_signal, SIGINT);
  if (self->stoppable) sigprocmask(SIG_UNBLOCK, &set, NULL);
  while (!self->over) uv_run(&self->loop, UV_RUN_ONCE);
  if (self->stoppable) sigprocmask(SIG_BLOCK, &set, NULL); /* before nobody takes it */
}

static int ask(asking *self, troupe_t *asker, const char *verb, const char *body, tr_time timeout) {
  tr_admin_ask_options options = { .mem = &self->mem, .verb = verb, .body = tr_slice_of(body), .reply = on_reply, .over = on_over,
                                   .dirty = on_dirty, .ud = self };
  tr_mem_init(&self->mem);
  if (uv_loop_init(&self->loop) < 0) return tr_error_set(self->error, TR_EIO, "cannot make an event loop");
  uv_timer_init(&self->loop, &self->timer);
  uv_signal_init(&self->loop, &self->signal);
  self->timer.data = self->signal.data = self;
  self->rc = prepare(self, asker, self->address, &options, self->error);
  if (!self->rc) self->rc = tr_net_connect(self->net, tr_slice_of(self->address), &handlers, self, on_dialed, self, NULL, self->error);
  if (!self->rc) {
    if (timeout > 0) uv_timer_start(&self->timer, on_time, (uint64_t)(timeout / 1000), 0);
    wait(self);
  }
  self->over = true;
  close_loop(self);
  return self->rc;
}

int tr_operator_ask(troupe_t *asker, const char *address, const char *verb, const char *body, tr_time timeout, bool (*fn)(void *ud, tr_slice json),
                    void *ud, tr_error *error) {
  asking self = { .fn = fn, .ud = ud, .address = address, .error = error };
  return ask(&self, asker, verb, body, timeout);
}

int tr_operator_ask_or_stop(troupe_t *asker, const char *address, const char *verb, const char *body, tr_time timeout,
                            bool (*fn)(void *ud, tr_slice json), void *ud, tr_error *error) {
  asking self = { .fn = fn, .ud = ud, .address = address, .error = error, .stoppable = true };
  return ask(&self, asker, verb, body, timeout);
}
