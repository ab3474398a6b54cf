/* SPDX-License-Identifier: MIT
 * The end of troupe.Admin that answers.
 *
 * A question belongs to whoever answers it until that ends it, since an answer may take a while (a save waits for open
 * turns). When its connection goes first, it loses its stream and the answer falls into the void; so nobody who answers
 * has to know. */
#include "ops/admin.h"

#include "base/list.h"
#include "rpc/rpc.h"

#define CONNS_MAX 256 /* troupe's own verbs look first whether somebody listens, by one that they close at once */
#define REQUEST_MAX (1u << 20)
#define STREAMS_MAX 16

struct tr_admin {
  tr_admin_options o;
  size_t conns;
};

struct tr_admin_conn {
  tr_admin *admin;
  tr_rpc_conn *rpc;
  void *socket;
};

struct tr_admin_call {
  tr_mem *mem;
  tr_rpc_call *rpc; /* NULL: nobody hears it any more */
  bool asked;       /* it is the answerer's */
  void (*gone)(void *ud);
  void *gone_ud;
  tr_admin_asker asker; /* where it came otherwise than by a connection */
};

tr_admin *tr_admin_new(const tr_admin_options *options) {
  tr_admin *admin = TR_NEW(options->mem, tr_admin);
  if (admin) admin->o = *options;
  return admin;
}

void tr_admin_free(tr_admin *admin) {
  if (admin) TR_DELETE(admin->o.mem, admin);
}

/* ---- calls ---- */

static void refuse(tr_rpc_call *call, int status, const char *text) { tr_rpc_finish(call, status, tr_slice_of(text)); }

static void on_open(void *ud, tr_rpc_call *rpc, tr_slice path) {
  tr_admin_conn *conn = ud;
  if (!tr_slice_is(path, "/troupe.Admin/Ask")) {
    refuse(rpc, TR_GRPC_UNIMPLEMENTED, "this socket knows /troupe.Admin/Ask alone");
    return;
  }
  tr_admin_call *call = TR_NEW(conn->admin->o.mem, tr_admin_call);
  if (!call) {
    refuse(rpc, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    return;
  }
  call->mem = conn->admin->o.mem;
  call->rpc = rpc;
  tr_rpc_call_set_ud(rpc, call);
}

static void on_message(void *ud, tr_rpc_call *rpc, tr_slice bytes, tr_slice framed) {
  tr_admin_conn *conn = ud;
  tr_admin_call *call = tr_rpc_call_ud(rpc);
  tr_slice verb, body;
  (void)framed;
  if (!call || call->asked) return;
  if (tr_admin_read(bytes, &verb, &body)) {
    refuse(rpc, TR_GRPC_INVALID_ARGUMENT, "not a troupe.AdminRequest");
    return;
  }
  call->asked = true;
  conn->admin->o.ask(conn->admin->o.ud, call, verb, body);
}

static void on_half_closed(void *ud, tr_rpc_call *rpc) {
  const tr_admin_call *call = tr_rpc_call_ud(rpc);
  (void)ud;
  if (call && !call->asked) refuse(rpc, TR_GRPC_INVALID_ARGUMENT, "no message on the call");
}

static void on_closed(void *ud, tr_rpc_call *rpc, const tr_rpc_status *status) {
  tr_admin_call *call = tr_rpc_call_ud(rpc);
  (void)ud;
  (void)status;
  if (!call) return;
  call->rpc = NULL;
  if (!call->asked) TR_DELETE(call->mem, call);
  else if (call->gone) call->gone(call->gone_ud);
}

static void on_dirty(void *ud, tr_rpc_conn *rpc) {
  tr_admin_conn *conn = ud;
  (void)rpc;
  conn->admin->o.dirty(conn->admin->o.ud, conn->socket);
}

static const tr_rpc_handlers handlers = {
  .open = on_open, .message = on_message, .half_closed = on_half_closed, .closed = on_closed, .dirty = on_dirty,
};

/* ---- answers ---- */

static void forget(tr_admin_call *call) {
  if (call->rpc) tr_rpc_call_set_ud(call->rpc, NULL);
  TR_DELETE(call->mem, call);
}

tr_admin_call *tr_admin_call_here(tr_mem *mem, const tr_admin_asker *asker) {
  tr_admin_call *call = TR_NEW(mem, tr_admin_call);
  if (call) *call = (tr_admin_call){ .mem = mem, .asked = true, .asker = *asker };
  return call;
}

void tr_admin_lost(tr_admin_call *call) {
  call->asker = (tr_admin_asker){ .reply = NULL };
  if (call->gone) call->gone(call->gone_ud);
}

bool tr_admin_is_by(const tr_admin_call *call, const void *ud) { return call->asker.reply && call->asker.ud == ud; }

void tr_admin_on_gone(tr_admin_call *call, void (*fn)(void *ud), void *ud) {
  call->gone = fn;
  call->gone_ud = ud;
}

size_t tr_admin_queued(const tr_admin_call *call) {
  if (call->asker.queued) return call->asker.queued(call->asker.ud);
  return call->rpc ? tr_rpc_queued(call->rpc) : 0;
}

void tr_admin_send(tr_admin_call *call, tr_slice body) {
  if (call->asker.reply) call->asker.reply(call->asker.ud, body);
  if (!call->rpc) return;
  tr_blob *frame = body.n <= TR_ADMIN_REPLY_MAX ? tr_admin_frame(call->mem, body, (tr_slice){ NULL, 0 }) : NULL;
  if (!frame || tr_rpc_send(call->rpc, frame) < 0) {
    tr_rpc_finish(call->rpc, TR_GRPC_OUT_OF_RANGE, TR_SLICE_LITERAL("the answer is too large"));
    tr_rpc_call_set_ud(call->rpc, NULL);
    call->rpc = NULL;
  }
  tr_blob_unref(frame);
}

void tr_admin_done(tr_admin_call *call) {
  if (call->rpc) tr_rpc_finish(call->rpc, TR_GRPC_OK, TR_SLICE_LITERAL(""));
  if (call->asker.over) call->asker.over(call->asker.ud, 0, TR_SLICE_LITERAL(""));
  forget(call);
}

void tr_admin_fail(tr_admin_call *call, int code, const char *text) {
  if (call->rpc) refuse(call->rpc, tr_error_grpc(code), text);
  if (call->asker.over) call->asker.over(call->asker.ud, code, tr_slice_of(text));
  forget(call);
}

/* ---- connections ---- */

tr_admin_conn *tr_admin_accept(tr_admin *admin, void *socket) {
  tr_admin_conn *conn = admin->conns < CONNS_MAX ? TR_NEW(admin->o.mem, tr_admin_conn) : NULL;
  if (!conn) return NULL;
  tr_rpc_options options = {
    .mem = admin->o.mem, .log = admin->o.log, .handlers = &handlers, .ud = conn, .server = true, .max_message = REQUEST_MAX,
    .max_streams = STREAMS_MAX, .high_water = UINT32_MAX,
  };
  conn->admin = admin;
  conn->socket = socket;
  conn->rpc = tr_rpc_conn_new(&options);
  if (!conn->rpc) {
    TR_DELETE(admin->o.mem, conn);
    return NULL;
  }
  admin->conns++;
  return conn;
}

int tr_admin_feed(tr_admin_conn *conn, tr_slice bytes, int64_t now, tr_error *error) {
  return tr_rpc_feed(conn->rpc, bytes, now, error);
}

int tr_admin_output(tr_admin_conn *conn, tr_buf *out, size_t limit) { return tr_rpc_output(conn->rpc, out, limit); }
bool tr_admin_finished(const tr_admin_conn *conn) { return tr_rpc_finished(conn->rpc); }

void tr_admin_closed(tr_admin_conn *conn) {
  tr_admin *admin = conn->admin;
  tr_rpc_conn_free(conn->rpc);
  admin->conns--;
  TR_DELETE(admin->o.mem, conn);
}
