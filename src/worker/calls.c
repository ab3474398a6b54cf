/* SPDX-License-Identifier: MIT
 * Calls of agents.AgentRpc: each carries the client-id (nothing else tells the host whose call it is) and our version. */
#include "wire/note.h"
#include "worker/internal.h"

static const char *const paths[TR_WORKER_METHODS] = {
  [TR_WORKER_CHANNEL] = "/agents.AgentRpc/OpenChannel",
  [TR_WORKER_REGISTER] = "/agents.AgentRpc/RegisterAgent",
  [TR_WORKER_SUBSCRIBE] = "/agents.AgentRpc/AddSubscription",
  [TR_WORKER_UNSUBSCRIBE] = "/agents.AgentRpc/RemoveSubscription",
  [TR_WORKER_POLL] = "/agents.AgentRpc/GetSubscriptions",
  [TR_WORKER_BARRIER] = "/agents.AgentRpc/RegisterAgent",
  [TR_WORKER_CONTROL] = "/agents.AgentRpc/OpenControlChannel",
};

/* Our agents of this type may be in other workers, too. */
static bool is_shared(tr_worker_method method, const void *item) {
  if (method == TR_WORKER_REGISTER && item) return ((const tr_worker_type *)item)->shared;
  return method == TR_WORKER_SUBSCRIBE && ((const tr_worker_sub *)item)->type->shared;
}

static tr_rpc_call *open_call(tr_worker *w, tr_worker_method method, const void *item) {
  char received[24];
  size_t said = method == TR_WORKER_CHANNEL ? tr_worker_resume_header(w, received) : 0;
  bool shared = is_shared(method, item);
  tr_rpc_header headers[8] = { /* and up to four of those below */
    { TR_SLICE_LITERAL("client-id"), tr_slice_of(w->client_id) },
    { TR_SLICE_LITERAL("troupe-version"), tr_slice_of(w->version) },
    { TR_SLICE_LITERAL("troupe-accepts"), tr_slice_of(w->o.has_types && *w->o.has_types ? "native, protobuf" : "native") },
  };
  size_t count = method == TR_WORKER_CHANNEL ? 3 : 2;
  if (shared) headers[count++] = (tr_rpc_header){ TR_SLICE_LITERAL("troupe-shared"), TR_SLICE_LITERAL("1") };
  tr_slice authorization = w->o.authorization ? w->o.authorization(w->o.ud) : (tr_slice){ NULL, 0 };
  if (method == TR_WORKER_CHANNEL && w->o.compress_from && !w->no_gzip) /* the others are short */
    headers[count++] = (tr_rpc_header){ TR_SLICE_LITERAL("grpc-encoding"), TR_SLICE_LITERAL("gzip") };
  if (said) headers[count++] = (tr_rpc_header){ TR_SLICE_LITERAL(TR_RECEIVED_HEADER), tr_slice_make(received, said) };
  if (authorization.n) headers[count++] = (tr_rpc_header){ TR_SLICE_LITERAL("authorization"), authorization };
  return tr_rpc_call_new(w->rpc, tr_slice_of(paths[method]), headers, count, -1);
}

tr_rpc_call *tr_worker_call_new(tr_worker *w, tr_worker_method method, tr_blob *frame, void *item) {
  bool unary = method != TR_WORKER_CHANNEL && method != TR_WORKER_CONTROL;
  tr_rpc_call *call = NULL;
  tr_worker_call *record = w->rpc && !w->goaway && (frame || !unary) ? TR_NEW(w->mem, tr_worker_call) : NULL;
  if (record) call = open_call(w, method, item);
  if (call) {
    *record = (tr_worker_call){ w, item, w->session, (uint8_t)method };
    /* Without its message a unary call is no use: it is cancelled, and its `closed` finds no record. */
    if (unary && tr_rpc_send(call, frame) < 0) {
      tr_rpc_cancel(call);
      call = NULL;
    }
  }
  if (call) {
    tr_rpc_call_set_ud(call, record);
    if (unary) tr_rpc_half_close(call);
  } else if (record) {
    TR_DELETE(w->mem, record);
  }
  tr_blob_unref(frame);
  return call;
}
