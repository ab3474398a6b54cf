/* SPDX-License-Identifier: MIT
 * OpenControlChannel: messages are routed by their destination, "agentid=TYPE/KEY" or "clientid=ID", to that client's own
 * control stream, unchanged; those for agents of this process are handed to the runtime. What has no receiver is logged and dropped: the channel has no way to answer but by its
 * receiver. Its loss changes nothing else of a client. */
#include "host/share.h"

void tr_control_open(tr_host_stream *stream, tr_slice client_id) {
  tr_host *host = stream->conn->host;
  tr_error error;
  tr_error_init(&error);
  tr_client *client;
  if (tr_client_get(host, client_id, &client, &error)) {
    tr_host_stream_end(stream, tr_error_grpc(error.code), error.text);
    return;
  }
  if (!tr_access_bind(stream, client)) {
    tr_client_settle(client);
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

/* Whose it is; *local: an agent's of this process. */
static tr_client *find(const tr_host *host, tr_slice destination, bool *local) {
  static const tr_slice agent = TR_SLICE_LITERAL("agentid="), client = TR_SLICE_LITERAL("clientid=");
  *local = false;
  if (tr_slice_starts(destination, client))
    return tr_client_find(host, tr_slice_make(destination.p + client.n, destination.n - client.n));
  if (!tr_slice_starts(destination, agent)) return NULL;
  tr_slice id = { destination.p + agent.n, destination.n - agent.n };
  const char *slash = id.n ? memchr(id.p, '/', id.n) : NULL;
  if (!slash) return NULL;
  tr_dest *owner = tr_router_owner(host->router, tr_slice_make(id.p, (size_t)(slash - id.p)));
  *local = owner && owner == tr_core_local(host->core);
  tr_share *share = tr_share_of(owner);
  tr_move *move;
  if (share) return tr_share_receiver(share, tr_slice_make(slash + 1, (size_t)(id.p + id.n - slash - 1)), TR_PRIORITY_NORMAL, &move);
  return owner && owner->ops == &tr_client_ops ? tr_client_of(owner) : NULL;
}

static void drop(tr_client *from, const tr_wire_control *message, const char *why) {
  if (!tr_guard_worth_a_line(++from->control_dropped)) return;
  tr_log_write(from->host->log, TR_LOG_WARN, "control.dropped", "client=%s count=%llu destination=%.*s reason=\"%s\"",
               from->id, (unsigned long long)from->control_dropped, TR_BRIEF(message->destination), why);
}

/* NULL, or why not. */
static const char *give(tr_host *host, tr_client *to, tr_blob *frame) {
  if (!to || !to->control) return to ? "its control channel is not open" : "nobody has this destination";
  if (!frame) return "out of memory";
  if (tr_rpc_queued(to->control->call) + frame->len > host->o.session_bytes) return "its queue is full";
  return tr_rpc_send(to->control->call, frame) < 0 ? "out of memory, or it is closing" : NULL;
}

void tr_host_control(tr_host *host, const tr_wire_control *message) {
  bool local;
  tr_client *to = find(host, message->destination, &local);
  tr_blob *frame = tr_wire_encode_control(host->mem, message);
  const char *why = give(host, to, frame);
  if (why) tr_log_write(host->log, TR_LOG_WARN, "control.dropped", "destination=%.*s reason=\"%s\"", TR_BRIEF(message->destination), why);
  tr_blob_unref(frame);
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
  char missing[TR_ERROR_TEXT];
  if (host->rights && !tr_access_control(from, &message, missing, sizeof missing)) {
    drop(from, &message, missing);
    return;
  }
  bool local;
  tr_client *to = find(host, message.destination, &local);
  if (local && host->o.control) {
    host->o.control(host->o.ud, &message);
    return;
  }
  tr_blob *frame = NULL;
  if (to && to->control) frame = framed.p ? tr_blob_copy(host->mem, framed) : tr_wire_frame(host->mem, bytes);
  const char *why = give(host, to, frame);
  if (why) drop(from, &message, why);
  tr_blob_unref(frame);
}
