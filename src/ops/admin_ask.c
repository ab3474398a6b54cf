/* SPDX-License-Identifier: MIT
 * The end of troupe.Admin that asks: one question on a connection of its own. */
#include "ops/admin.h"

#include "rpc/rpc.h"

struct tr_admin_ask {
  tr_admin_ask_options o;
  tr_rpc_conn *rpc;
  bool told;
};

static void tell(tr_admin_ask *ask, int code, tr_slice text) {
  if (ask->told) return;
  ask->told = true;
  ask->o.over(ask->o.ud, code, text);
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  const tr_admin_ask *ask = ud;
  tr_slice body, none;
  (void)call;
  (void)framed;
  if (!ask->told && tr_admin_read(bytes, &body, &none) == 0) ask->o.reply(ask->o.ud, body);
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  (void)call;
  tell(ud, status->status ? tr_error_from_grpc(status->status) : 0, status->message);
}

static void on_dirty(void *ud, tr_rpc_conn *conn) {
  const tr_admin_ask *ask = ud;
  (void)conn;
  if (ask->rpc) ask->o.dirty(ask->o.ud);
}

static const tr_rpc_handlers handlers = { .message = on_message, .closed = on_closed, .dirty = on_dirty };

static bool ask_it(tr_admin_ask *ask) {
  tr_rpc_header header = { TR_SLICE_LITERAL("authorization"), ask->o.authorization };
  tr_rpc_call *call = tr_rpc_call_new(ask->rpc, TR_SLICE_LITERAL("/troupe.Admin/Ask"), &header, ask->o.authorization.n > 0, -1);
  tr_blob *frame = call ? tr_admin_frame(ask->o.mem, tr_slice_of(ask->o.verb), ask->o.body) : NULL;
  bool sent = frame && tr_rpc_send(call, frame) >= 0;
  if (sent) tr_rpc_half_close(call);
  tr_blob_unref(frame);
  return sent;
}

tr_admin_ask *tr_admin_ask_new(const tr_admin_ask_options *options) {
  tr_admin_ask *ask = TR_NEW(options->mem, tr_admin_ask);
  if (!ask) return NULL;
  ask->o = *options;
  tr_rpc_options rpc = {
    .mem = options->mem, .handlers = &handlers, .ud = ask, .max_message = TR_ADMIN_REPLY_MAX + 64, .authority = "localhost", .secure = options->tls,
  };
  ask->rpc = tr_rpc_conn_new(&rpc);
  if (ask->rpc && ask_it(ask)) return ask;
  ask->told = true;
  tr_admin_ask_free(ask);
  return NULL;
}

void tr_admin_ask_free(tr_admin_ask *ask) {
  if (!ask) return;
  if (ask->rpc) tr_rpc_conn_free(ask->rpc);
  tell(ask, TR_EUNAVAILABLE, TR_SLICE_LITERAL("the connection was closed"));
  TR_DELETE(ask->o.mem, ask);
}

int tr_admin_ask_feed(tr_admin_ask *ask, tr_slice bytes, int64_t now, tr_error *error) {
  return tr_rpc_feed(ask->rpc, bytes, now, error);
}

int tr_admin_ask_output(tr_admin_ask *ask, tr_buf *out, size_t limit) { return tr_rpc_output(ask->rpc, out, limit); }
