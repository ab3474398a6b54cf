/* SPDX-License-Identifier: MIT
 * Any messages to a host, by all its methods: what rpc and HTTP/2 let through (rpc_feed), and what agents and other clients then get
 * of it. The input is a list of steps: one byte (bits 0–2 what is done, bits 3–4 by which of four clients), two of length, the
 * message. Clients are as Python's (two), as .NET's, and troupe's; they are subscribed to all topics and each has a type.
 * Found are crashes, leaks, undue ends of streams, and answers that are no messages. */
#include <stdlib.h>

#include "core/core.h"
#include "host/host.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CLIENTS = 4 };
enum { SAY, REQUEST_OF, UNARY, CONTROL, REFLECT, CANCEL, PASS_TIME, REOPEN };

static struct client {
  tr_rpc_conn *rpc;
  tr_host_conn *conn;
  tr_rpc_call *channel;
} clients[CLIENTS];

static tr_mem mem;
static tr_core *core;
static tr_host *host;

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  struct client *self = ud;
  tr_wire_span span;
  (void)framed;
  if (call == self->channel && tr_wire_walk(bytes, &span, NULL) && !span.merged) abort(); /* it must be able to read it */
}
static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  struct client *self = ud;
  if (status->status < 0 || status->status > 16) abort();
  if (call == self->channel) self->channel = NULL;
}
static const tr_rpc_handlers handlers = { .message = on_message, .closed = on_closed };

static void cut(struct client *self) {
  if (self->conn) tr_host_conn_closed(self->conn);
  tr_rpc_conn_free(self->rpc);
  *self = (struct client){ NULL, NULL, NULL };
}

/* Both ways until both are silent. */
static void run(struct client *self) {
  tr_error error;
  for (bool more = true; more && self->conn;) {
    tr_buf bytes;
    tr_buf_init(&bytes, &mem);
    tr_error_init(&error);
    tr_rpc_output(self->rpc, &bytes, 1 << 16);
    more = bytes.len > 0;
    if (more && tr_host_feed(self->conn, tr_buf_view(&bytes), &error)) abort(); /* our client breaks no rule of HTTP/2 */
    tr_buf_clear(&bytes);
    tr_host_output(self->conn, &bytes, 1 << 16);
    more = more || bytes.len > 0;
    if (bytes.len && tr_rpc_feed(self->rpc, tr_buf_view(&bytes), tr_core_now(core), &error)) abort();
    tr_buf_fini(&bytes);
  }
}

static void run_all(void) {
  for (int round = 0; round < 3; round++)
    for (int i = 0; i < CLIENTS; i++) run(&clients[i]);
  while (tr_core_step(core, tr_core_now(core), 100)) continue;
}

static tr_rpc_call *open_call(int n, const char *path) {
  char id[2] = { (char)('a' + n), 0 };
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL("client-id"), tr_slice_of(id) }, { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("1") } };
  return tr_rpc_call_new(clients[n].rpc, tr_slice_of(path), headers, n == 3 ? 2 : 1, -1);
}

static void say(tr_rpc_call *call, tr_slice bytes, bool last) {
  tr_blob *frame = tr_rpc_frame(&mem, bytes);
  if (call && frame) tr_rpc_send(call, frame);
  if (call && last) tr_rpc_half_close(call);
  tr_blob_unref(frame);
}

static void unary(int n, const char *path, tr_blob *frame) {
  tr_rpc_call *call = open_call(n, path);
  if (call && frame) tr_rpc_send(call, frame);
  if (call) tr_rpc_half_close(call);
  tr_blob_unref(frame);
}

static void join(int n) {
  static const char *const agents[CLIENTS] = { "grpc-python/1", "grpc-python/1", "grpc-dotnet/2", "troupe/1" };
  struct client *self = &clients[n];
  tr_error error;
  tr_error_init(&error);
  self->conn = tr_host_accept(host, TR_SLICE_LITERAL("unix"), self, &error);
  tr_rpc_options options = { .mem = &mem, .handlers = &handlers, .ud = self, .user_agent = agents[n], .authority = "x" };
  self->rpc = tr_rpc_conn_new(&options);
  if (!self->conn || !self->rpc) abort();
  self->channel = open_call(n, "/agents.AgentRpc/OpenChannel");
  char type[2] = { (char)('a' + n), 0 };
  unary(n, "/agents.AgentRpc/RegisterAgent", tr_wire_encode_register(&mem, tr_slice_of(type)));
  tr_wire_subscription sub = { .id = tr_slice_of(type), .has_kind = true, .kind = TR_SUB_PREFIX, .agent_type = tr_slice_of(type) };
  unary(n, "/agents.AgentRpc/AddSubscription", tr_wire_encode_add_subscription(&mem, &sub));
  run(self);
}

static void step(int what, int n, tr_slice bytes) {
  static const char *const methods[] = { "RegisterAgent", "AddSubscription", "RemoveSubscription", "GetSubscriptions" };
  struct client *self = &clients[n];
  char path[64] = "/agents.AgentRpc/";
  switch (what) {
  case SAY: say(self->channel, bytes, false); break;
  case REQUEST_OF: say(self->channel, bytes, false), run_all(); break;
  case UNARY:
    if (!bytes.n) return;
    strcat(path, methods[bytes.p[0] & 3]);
    unary(n, path, tr_rpc_frame(&mem, tr_slice_make(bytes.p + 1, bytes.n - 1)));
    break;
  case CONTROL: say(open_call(n, "/agents.AgentRpc/OpenControlChannel"), bytes, false); break;
  case REFLECT: say(open_call(n, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), bytes, true); break;
  case CANCEL: if (self->channel) tr_rpc_cancel(self->channel); break;
  case PASS_TIME: tr_core_set_now(core, tr_core_now(core) + TR_SECONDS(bytes.n)); break;
  default: if (!self->channel) self->channel = open_call(n, "/agents.AgentRpc/OpenChannel");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem_init(&mem);
  tr_core_options core_options = { .mem = &mem, .seed = 1 };
  core = tr_core_new(&core_options);
  tr_host_options options = { .core = core, .compress_from = 64, .session_bytes = 1 << 20 };
  host = tr_host_new(&options);
  for (int i = 0; i < CLIENTS; i++) join(i);
  for (size_t at = 0; at + 3 <= size;) {
    size_t n = (size_t)data[at + 1] | (size_t)(data[at + 2] & 7) << 8;
    int what = data[at] & 7, who = data[at] >> 3 & 3;
    at += 3;
    if (n > size - at) n = size - at;
    step(what, who, tr_slice_make(data + at, n));
    if (data[at - 3] & 32) run_all();
    at += n;
  }
  run_all();
  for (int i = 0; i < CLIENTS; i++) cut(&clients[i]);
  tr_host_free(host);
  tr_core_free(core);
  if (mem.used) abort();
  return 0;
}
