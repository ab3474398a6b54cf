/* SPDX-License-Identifier: MIT
 * OpenChannel: a client's stream is opened, and its messages come in.
 *
 * Response headers are sent at once. That commits the call: grpcio would otherwise repeat it, with every message sent so
 * far, when the connection breaks (wire.md §10.1). A stream is only ever refused by Trailers-Only.
 *
 * A message that cannot be read is counted and skipped, never the stream's end. Where its beginning still shows which
 * request it is or answers, the caller hears of it. */
#include "host/internal.h"

#include <stdio.h>

static void refuse(tr_host_stream *stream, int status, const char *text) { tr_host_stream_end(stream, status, text); }

static int answer_headers(tr_host_stream *stream, const tr_client *client) {
  tr_rpc_header version = { TR_SLICE_LITERAL("troupe-version"), tr_slice_of(client->host->o.version) };
  return tr_rpc_send_headers(stream->call, &version, client->troupe ? 1 : 0);
}

void tr_channel_open(tr_host_stream *stream, tr_slice client_id) {
  tr_host *host = stream->conn->host;
  tr_error error;
  tr_error_init(&error);
  tr_client *client;
  if (tr_client_get(host, client_id, &client, &error)) {
    host->stats.refused++;
    refuse(stream, tr_error_grpc(error.code), error.text);
    return;
  }
  tr_client_know(client, stream->call);
  if (answer_headers(stream, client)) {
    refuse(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    tr_client_settle(client);
    return;
  }
  tr_log_write(host->log, TR_LOG_INFO, "client.joined", "client=%s stream=%u troupe=%d", client->id,
               (unsigned)client->generation + 1, client->troupe);
  tr_client_attach(client, stream);
}

/* A request or an answer that is not forwarded: its caller is told, if its beginning shows which it is. */
static bool fail_by_head(tr_client *client, tr_slice head, uint64_t size, int code, const char *text) {
  tr_wire_span span = { 0 };
  if (!tr_wire_walk_head(head, size, &span)) return false;
  if (span.kind == TR_WIRE_RESPONSE) {
    tr_pending *pending = tr_pending_find(client->host, span.request_id);
    if (pending && pending->callee == client) tr_pending_fail(pending, code, text);
    return true;
  }
  if (span.kind != TR_WIRE_REQUEST) return false;
  client->host->stats.requests++;
  tr_pending_refuse(client, span.request_id, code, text);
  return true;
}

static void malformed(tr_client *client, tr_slice bytes, const tr_error *error) {
  tr_host *host = client->host;
  host->stats.malformed++;
  if (tr_guard_worth_a_line(++client->malformed))
    tr_log_write(host->log, TR_LOG_WARN, "message.malformed", "client=%s count=%llu reason=\"%s\"", client->id,
                 (unsigned long long)client->malformed, error->text);
  fail_by_head(client, bytes, bytes.n, TR_EINVALID, error->text);
}

void tr_channel_message(tr_host_stream *stream, tr_slice bytes, tr_slice framed) {
  tr_client *client = stream->client;
  if (!client) return;
  tr_wire_span span;
  tr_error error;
  tr_error_init(&error);
  if (tr_wire_walk(bytes, &span, &error)) {
    malformed(client, bytes, &error);
    return;
  }
  switch (span.kind) {
  case TR_WIRE_REQUEST: tr_forward_request(client, bytes, &span); break;
  case TR_WIRE_RESPONSE: tr_forward_response(client, bytes, &span); break;
  case TR_WIRE_EVENT: tr_deliver(client, bytes, framed, &span); break;
  default:
    tr_error_set(&error, TR_EINVALID, "neither a request, a response nor an event");
    malformed(client, bytes, &error);
  }
}

void tr_channel_oversize(tr_host_stream *stream, tr_slice head, uint64_t size) {
  tr_client *client = stream->client;
  if (!client) return;
  char text[128];
  snprintf(text, sizeof text, "%llu bytes are more than the host's limit of %u", (unsigned long long)size,
           (unsigned)client->host->o.max_message);
  bool told = fail_by_head(client, head, size, TR_ETOO_LARGE, text);
  if (tr_guard_worth_a_line(++client->oversize))
    tr_log_write(client->host->log, TR_LOG_WARN, "message.oversize", "client=%s count=%llu size=%llu told=%d", client->id,
                 (unsigned long long)client->oversize, (unsigned long long)size, told);
}
