/* SPDX-License-Identifier: MIT
 * See net_kit.h. */
#include "net_kit.h"

#include <stdio.h>

static uint8_t byte_at(size_t i) { return (uint8_t)(i * 31 + i / 251); }

static void take_names(end *self, const tr_net_conn *conn) {
  tr_buf names;
  tr_buf_init(&names, check_mem());
  if (!self->names[0] && tr_net_conn_names(conn, &names)) snprintf(self->names, sizeof self->names, "%.*s", (int)names.len, (char *)names.data);
  tr_buf_fini(&names);
}

static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  end *self = ud;
  for (size_t i = 0; i < bytes.n; i++)
    if ((uint8_t)bytes.p[i] != byte_at(self->received + i)) self->bad = true;
  self->received += bytes.n;
  if (self->echo) {
    take_names(self, conn);
    tr_buf_slice(&self->queue, bytes);
    tr_net_conn_dirty(conn);
    return 0;
  }
  self->resumed = tr_net_conn_resumed(conn);
  return self->received == self->total ? -1 : 0; /* done: close */
}

static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  end *self = ud;
  (void)conn;
  if (self->echo) {
    size_t n = self->queue.len < limit ? self->queue.len : limit;
    tr_buf_append(out, self->queue.data, n);
    tr_buf_consume(&self->queue, n);
    return 0;
  }
  for (size_t n = 0; n < limit && self->sent < self->total; n++) tr_buf_byte(out, byte_at(self->sent++));
  return 0;
}

bool world_finished(void *ud, tr_net_conn *conn) {
  (void)ud;
  (void)conn;
  return false;
}

static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  end *self = ud;
  (void)conn;
  CHECK(!self->closed);
  self->closed = true;
  snprintf(self->reason, sizeof self->reason, "%s", reason ? reason : "");
}

const tr_net_handlers world_handlers = { on_data, on_output, world_finished, on_closed };

void *world_accept(void *ud, tr_net_conn *conn, tr_slice peer, const tr_net_handlers **out) {
  world *w = ud;
  CHECK(peer.n > 0);
  *out = &world_handlers;
  w->server.conn = conn;
  w->server.opened = !w->refuse;
  w->server.closed = false;
  w->server.received = 0;
  return w->refuse ? NULL : &w->server;
}

void world_dialed(void *ud, tr_net_conn *conn, const char *reason) {
  world *w = ud;
  CHECK(!w->dialed);
  w->dialed = true;
  w->client.conn = conn;
  w->client.opened = conn != NULL;
  snprintf(w->failure, sizeof w->failure, "%s", reason ? reason : "");
}

void world_open(world *w, const char *address, tr_tls *server, tr_tls *client) {
  tr_error error;
  tr_error_init(&error);
  memset(w, 0, sizeof *w);
  CHECK_INT(uv_loop_init(&w->loop), ==, 0);
  w->net = tr_net_new(check_mem(), NULL, &w->loop);
  CHECK(w->net != NULL);
  if (server || client) tr_net_set_tls(w->net, server, client);
  tr_tls_unref(server);
  tr_tls_unref(client);
  tr_buf_init(&w->server.queue, check_mem());
  w->server.echo = true;
  if (address && tr_net_listen(w->net, tr_slice_of(address), world_accept, w, w->bound, NULL, &error)) CHECK_FAIL("%s", error.text);
}

void world_dial(world *w, const char *address) {
  tr_error error;
  tr_error_init(&error);
  if (tr_net_connect(w->net, tr_slice_of(address), &world_handlers, &w->client, world_dialed, w, &w->dial, &error)) CHECK_FAIL("%s", error.text);
}

void world_until(world *w, const bool *flag) {
  for (int i = 0; i < 100000 && !*flag; i++) uv_run(&w->loop, UV_RUN_ONCE);
  CHECK(*flag);
}

void world_close(world *w) {
  tr_net_close(w->net);
  uv_run(&w->loop, UV_RUN_DEFAULT);
  CHECK(tr_net_idle(w->net));
  CHECK_INT(w->server.opened, ==, w->server.closed);
  CHECK_INT(w->client.opened, ==, w->client.closed);
  tr_net_free(w->net);
  tr_buf_fini(&w->server.queue);
  CHECK_INT(uv_loop_close(&w->loop), ==, 0);
}
