/* SPDX-License-Identifier: MIT
 * grpc.health.v1.Health: what probes ask a gRPC server (grpc/doc/health-checking.md of the gRPC project): Check, answered
 * at once, and Watch, a stream that says each change. The services are "" (the whole server) and "agents.AgentRpc"; both
 * serve until the host drains. No client-id is needed, so a probe is no client. */
#include "host/internal.h"
#include "wire/reader.h"

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 }; /* HealthCheckResponse.ServingStatus */

/* HealthCheckRequest { string service = 1; }. false: malformed. */
static bool read_service(tr_slice bytes, tr_slice *service) {
  tr_reader reader = tr_reader_of(bytes);
  tr_field field;
  int more;
  *service = tr_slice_make("", 0);
  while ((more = tr_read_field(&reader, &field)) > 0)
    if (field.key == TR_FIELD_KEY(1)) *service = field.value;
  return more == 0;
}

/* HealthCheckResponse { ServingStatus status = 1; } */
static int say(tr_host_stream *stream, int status) {
  char bytes[2] = { 1 << 3 | TR_PB_VARINT, (char)status };
  tr_blob *frame = tr_rpc_frame(stream->conn->host->mem, tr_slice_make(bytes, sizeof bytes));
  int err = frame ? tr_rpc_send(stream->call, frame) : TR_EMEMORY;
  tr_blob_unref(frame);
  if (err < 0) tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
  return err;
}

void tr_health_serve(tr_host_stream *stream) {
  tr_slice service;
  bool watch = stream->method == TR_METHOD_HEALTH_WATCH;
  if (!read_service(tr_blob_view(stream->message), &service)) {
    tr_host_stream_end(stream, TR_GRPC_INTERNAL, "malformed HealthCheckRequest");
    return;
  }
  bool known = service.n == 0 || tr_slice_is(service, "agents.AgentRpc");
  if (!known && !watch) {
    tr_host_stream_end(stream, TR_GRPC_NOT_FOUND, "unknown service");
    return;
  }
  stream->unknown = !known;
  if (say(stream, !known ? SERVICE_UNKNOWN : stream->conn->host->draining ? NOT_SERVING : SERVING) < 0) return;
  if (!watch) tr_host_stream_end(stream, TR_GRPC_OK, "");
}

void tr_health_drain(tr_host_conn *conn) {
  for (tr_rpc_call *call = tr_rpc_next_call(conn->rpc, NULL); call; call = tr_rpc_next_call(conn->rpc, call)) {
    tr_host_stream *stream = tr_rpc_call_ud(call);
    if (stream && !stream->ended && stream->method == TR_METHOD_HEALTH_WATCH && stream->half_closed && !stream->unknown)
      say(stream, NOT_SERVING);
  }
}
