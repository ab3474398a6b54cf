/* SPDX-License-Identifier: MIT
 * OpenControlChannel: messages are routed by their destination, "agentid=TYPE/KEY" or "clientid=ID", to that client's own
 * control stream, unchanged. What has no receiver is logged and dropped: the channel has no way to answer but by its
 * receiver. Its loss changes nothing else of a client. */
#include "host/internal.h"

void tr_control_open(tr_host_stream *stream, tr_slice client_id) {
  tr_host *host = stream->conn->host;
  tr_error error;
  tr_error_init(&error);
  tr_client *client;
  if (tr_client_get(host, client_id, &client, &error)) {
    tr_host_stream_end(stream, tr_error_grpc(error.code), error.text);
    return;
  }
  if (tr_rpc_send_headers(stream->call, NULL, 0)) {
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    tr_client_settle(client);
    return;
  }
  if (client->control) {
    client->control->client = NULL;
    tr_host_stream_end(client->control, TR_GRPC_ABORTED, "replaced by a newer stream of the same client-id");
  }
  client->control = stream;
  stream->client = client;
}

static tr_client *find(const tr_host *host, tr_slice destination) {
  static const tr_slice agent = TR_SLICE_LITERAL("agentid="), client = TR_SLICE_LITERAL("clientid=");
  if (tr_slice_starts(destination, client))
    return tr_client_find(host, tr_slice_make(destination.p + client.n, destination.n - client.n));
  if (!tr_slice_starts(destination, agent)) return NULL;
  tr_slice id = { destination.p + agent.n, destination.n - agent.n };
  const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
  if (!slash) return NULL;
  tr_dest *owner = tr_router_owner(host->router, tr_slice_make(id.p, (size_t)(slash - id.p)));
  return owner && owner->ops == &tr_client_ops ? tr_client_of(owner) : NULL;
}

static void drop(tr_client *from, const tr_wire_control *message, const char *why) {
  if (!tr_guard_worth_a_line(++from->control_dropped)) return;
  tr_log_write(from->host->log, TR_LOG_WARN, "control.dropped", "client=%s count=%llu destination=%.*s reason=\"%s\"",
               from->id, (unsigned long long)from->control_dropped, TR_BRIEF(message->destination), why);
}

void tr_control_message(tr_host_stream *stream, tr_slice bytes, tr_slice framed) {
  tr_client *from = stream->client;
  if (!from) return;
  tr_host *host = from->host;
  tr_wire_control message = { 0 };
  tr_error error;
  tr_error_init(&error);
  if (tr_wire_walk_control(bytes, &message, &error)) {
    host->stats.malformed++;
    if (tr_guard_worth_a_line(++from->malformed))
      tr_log_write(host->log, TR_LOG_WARN, "control.malformed", "client=%s reason=\"%s\"", from->id, error.text);
    return;
  }
  tr_client *to = find(host, message.destination);
  if (!to || !to->control) {
    drop(from, &message, to ? "its control channel is not open" : "nobody has this destination");
    return;
  }
  if (tr_rpc_queued(to->control->call) + bytes.n > host->o.session_bytes) {
    drop(from, &message, "its queue is full");
    return;
  }
  tr_blob *frame = framed.p ? tr_blob_copy(host->mem, framed) : tr_wire_frame(host->mem, bytes);
  if (!frame || tr_rpc_send(to->control->call, frame) < 0) drop(from, &message, "out of memory, or it is closing");
  tr_blob_unref(frame);
}
