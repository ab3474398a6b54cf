/* SPDX-License-Identifier: MIT
 * OpenChannel: a client's stream is opened, and its messages come in.
 *
 * Response headers are sent at once. That commits the call: grpcio would otherwise repeat it, with every message sent so
 * far, when the connection breaks (wire.md §10.1; what comes so nevertheless: replay.c). A stream is only ever refused by
 * Trailers-Only.
 *
 * A message is walked and checked to its depth before it goes on: a strict decoder ends its stream at one bad byte of
 * text, and so one worker could shut out all others. Troupe's own workers send nothing of that kind and read what comes
 * one by one, so among them alone the check is left out. A message in pieces is joined first, as protobuf would.
 *
 * A message that cannot be read is counted and skipped, never the stream's end. Where its beginning still shows which
 * request it is or answers, the caller hears of it. */
#include "host/internal.h"
#include "wire/note.h"
#include "wire/reader.h"

#include <stdio.h>

static void refuse(tr_host_stream *stream, int status, const char *text) { tr_host_stream_end(stream, status, text); }

static int answer_headers(tr_host_stream *stream, tr_client *client) {
  char had[24];
  bool known = tr_resume_knows(client, stream->call);
  int n = known ? snprintf(had, sizeof had, "%llu", (unsigned long long)client->had) : 0;
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL(TR_RECEIVED_HEADER), known ? tr_slice_make(had, (size_t)n) : TR_SLICE_LITERAL(TR_RECEIVED_NOTHING) },
                              { TR_SLICE_LITERAL("troupe-version"), tr_slice_of(client->host->o.version) },
                              { TR_SLICE_LITERAL("troupe-accepts"), TR_SLICE_LITERAL("native, protobuf") } };
  return tr_rpc_send_headers(stream->call, headers, client->troupe ? 3 : 0);
}

/* What headers a worker's calls have in common is remembered for it, 1.4 KB of an idle connection, and it makes calls only when it starts. So it
 * is told not to; all but .NET's, which says nothing of a changed table as RFC 7541 §4.2 asks, and whose next call could not be read. */
static void save_table(tr_host_stream *stream, const tr_client *client) {
  tr_slice agent = tr_rpc_call_header(stream->call, "user-agent");
  bool heeds = client->troupe || tr_slice_starts(agent, TR_SLICE_LITERAL("grpc-python")) || tr_slice_starts(agent, TR_SLICE_LITERAL("grpc-go/"));
  if (heeds) tr_rpc_no_header_table(stream->conn->rpc);
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
  if (!tr_access_bind(stream, client)) {
    tr_client_settle(client);
    return;
  }
  tr_client_know(client, stream->call);
  if (answer_headers(stream, client)) {
    refuse(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    tr_client_settle(client);
    return;
  }
  save_table(stream, client);
  tr_client_attach(client, stream);
}

/* A request or an answer that is not forwarded: its caller is told, where it is known which it is. */
static bool fail_by_span(tr_client *client, const tr_wire_span *span, int code, const char *text) {
  if (span->kind == TR_WIRE_RESPONSE) {
    tr_pending *pending = tr_slots_find(&client->host->slots, span->request_id);
    if (pending && pending->callee == client) tr_pending_fail(pending, code, text);
    return true;
  }
  if (span->kind != TR_WIRE_REQUEST) return false;
  client->host->stats.requests++;
  tr_pending_refuse(client, span->request_id, code, text);
  return true;
}

static bool fail_by_head(tr_client *client, tr_slice head, uint64_t size, int code, const char *text) {
  tr_wire_span span = { 0 };
  return tr_wire_walk_head(head, size, &span) && fail_by_span(client, &span, code, text);
}

/* ---- reading a message ---- */

static void note_malformed(tr_client *client, const tr_error *error) {
  client->host->stats.malformed++;
  if (tr_guard_worth_a_line(++client->malformed))
    tr_log_write(client->host->log, TR_LOG_WARN, "message.malformed", "client=%s count=%llu reason=\"%s\"", client->id,
                 (unsigned long long)client->malformed, error->text);
}

static bool well_formed(tr_slice bytes) {
  tr_reader reader = tr_reader_of(bytes);
  tr_field field;
  int more;
  while ((more = tr_read_field(&reader, &field)) > 0) {}
  return more == 0;
}

/* Walk bytes; where they come in pieces, walk *joined instead, which is the caller's. */
static int walk(tr_client *client, tr_slice bytes, tr_wire_span *span, tr_blob **joined, tr_error *error) {
  int err = tr_wire_walk(bytes, span, error);
  if (!err || !span->merged || !well_formed(bytes)) return err;
  tr_error_init(error);
  *joined = tr_wire_join(client->host->mem, bytes);
  if (!*joined) return tr_error_set(error, TR_EMEMORY, "out of memory");
  return tr_wire_walk(tr_blob_view(*joined), span, error);
}

static bool is_trusted(const tr_client *client) { return client->troupe && client->host->n_foreign == 0; }

static void take(tr_client *client, tr_slice framed, const tr_wire_span *span) {
  switch (span->kind) {
  case TR_WIRE_REQUEST: tr_forward_request(client, span->whole, span); break;
  case TR_WIRE_RESPONSE: tr_forward_response(client, span->whole, span); break;
  case TR_WIRE_NOTE: tr_notes_take(client, span->whole, span); break;
  default: tr_deliver(client, span->whole, framed, span);
  }
}

/* It cannot be walked. */
static void lose(tr_client *client, tr_slice bytes, const tr_error *error) {
  if (error->code != TR_EMEMORY) note_malformed(client, error);
  bool told = fail_by_head(client, bytes, bytes.n, error->code, error->text);
  if (error->code == TR_EMEMORY && !told) tr_deliver_dead(client, NULL, TR_EMEMORY, error->text);
}

void tr_channel_message(tr_host_stream *stream, tr_slice bytes, tr_slice framed) {
  tr_client *client = stream->client;
  if (!client) return;
  tr_wire_span span;
  tr_error error;
  tr_error_init(&error);
  tr_blob *joined = NULL;
  client->had++;
  if (walk(client, bytes, &span, &joined, &error)) {
    lose(client, bytes, &error);
  } else if (span.kind == TR_WIRE_EMPTY || (span.kind == TR_WIRE_NOTE && !client->troupe)) {
    tr_error_set(&error, TR_EINVALID, "neither a request, a response nor an event");
    note_malformed(client, &error);
  } else if (!is_trusted(client) && tr_wire_check(&span, &error)) {
    note_malformed(client, &error);
    fail_by_span(client, &span, TR_EINVALID, error.text);
  } else if (!tr_replay_drops(client, &span)) {
    if (client->host->o.block_senders) tr_block_sends(client, bytes.n);
    take(client, joined ? (tr_slice){ NULL, 0 } : framed, &span);
    client->host->sending = NULL;
  }
  tr_blob_unref(joined);
}

void tr_channel_oversize(tr_host_stream *stream, tr_slice head, uint64_t size) {
  tr_client *client = stream->client;
  if (!client) return;
  char text[128];
  client->had++;
  snprintf(text, sizeof text, "%llu bytes are more than the host's limit of %u", (unsigned long long)size,
           (unsigned)client->host->o.max_message);
  bool told = fail_by_head(client, head, size, TR_ETOO_LARGE, text);
  if (tr_guard_worth_a_line(++client->oversize))
    tr_log_write(client->host->log, TR_LOG_WARN, "message.oversize", "client=%s count=%llu size=%llu told=%d", client->id,
                 (unsigned long long)client->oversize, (unsigned long long)size, told);
}
