/* SPDX-License-Identifier: MIT
 * Connections, and the calls that come on them: everything rpc tells the host arrives here and is handed on by method.
 *
 * A call gets a tr_host_stream when it is opened and loses it in `closed`. Between the two the host may end it itself
 * (tr_host_stream_end): then what still comes on it is ignored. A unary call is served when its peer has half-closed, so a
 * second message is seen before the first is acted upon.
 *
 * When a connection goes, its streams are first all detached from their clients and only then declared lost: the errors
 * that follow then go to where the callers will be heard from again, not into this connection's own grave. */
#include "host/internal.h"

#include <stdio.h>

#define MAX_STREAMS 16384 /* one process may hold many workers on one connection */

static const char *const paths[TR_METHODS] = {
  [TR_METHOD_CHANNEL] = "/agents.AgentRpc/OpenChannel",
  [TR_METHOD_CONTROL] = "/agents.AgentRpc/OpenControlChannel",
  [TR_METHOD_REGISTER] = "/agents.AgentRpc/RegisterAgent",
  [TR_METHOD_SUBSCRIBE] = "/agents.AgentRpc/AddSubscription",
  [TR_METHOD_UNSUBSCRIBE] = "/agents.AgentRpc/RemoveSubscription",
  [TR_METHOD_SUBSCRIPTIONS] = "/agents.AgentRpc/GetSubscriptions",
  [TR_METHOD_OPERATOR] = "/troupe.Admin/Ask",
  [TR_METHOD_HEALTH_CHECK] = "/grpc.health.v1.Health/Check",
  [TR_METHOD_HEALTH_WATCH] = "/grpc.health.v1.Health/Watch",
  [TR_METHOD_REFLECTION] = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  [TR_METHOD_REFLECTION_ALPHA] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
};

/* One message from the peer; Watch is that too. */
static bool is_unary(const tr_host_stream *stream) {
  return stream->method > TR_METHOD_CONTROL && stream->method < TR_METHOD_REFLECTION;
}

void tr_host_conn_touch(tr_host_conn *conn) {
  if (conn->dirty) return;
  conn->dirty = true;
  if (conn->host->o.dirty) conn->host->o.dirty(conn->host->o.ud, conn);
}

void tr_host_stream_end(tr_host_stream *stream, int status, const char *text) {
  if (stream->ended) return;
  stream->ended = true;
  tr_guard_untaken(stream);
  tr_rpc_finish(stream->call, status, tr_slice_of(text));
}

/* What waits to be read of answers that are complete. Unlike a session it has no owner who would miss it. */
bool tr_host_stream_answer(tr_host_stream *stream, tr_blob *frame) {
  tr_host_conn *conn = stream->conn;
  if (conn->untaken + frame->len > TR_UNTAKEN_MAX && conn->untaken > 0) {
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "answers on this connection are not read");
    return false;
  }
  if (tr_rpc_send(stream->call, frame) < 0) {
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    return false;
  }
  conn->untaken += tr_rpc_queued(stream->call) - stream->untaken;
  stream->untaken = tr_rpc_queued(stream->call);
  return true;
}

static void refuse(tr_rpc_call *call, int status, const char *text) {
  tr_rpc_finish(call, status, tr_slice_of(text));
}

/* A stream may stay for days; of its headers only those are looked at again that say who calls, when tokens and rights change (access.c). */
static const char *const kept_headers[] = { "authorization", "user-agent", NULL };

static void on_open(void *ud, tr_rpc_call *call, tr_slice path) {
  tr_host_conn *conn = ud;
  conn->used = true;
  unsigned method = 0;
  while (method < TR_METHODS && !tr_slice_is(path, paths[method])) method++;
  if (method == TR_METHODS) {
    refuse(call, TR_GRPC_UNIMPLEMENTED, "Method not found!");
    return;
  }
  tr_slice id = tr_rpc_call_header(call, "client-id");
  if (!id.p && method < TR_METHOD_OPERATOR) {
    refuse(call, TR_GRPC_INVALID_ARGUMENT, "client-id metadata not found.");
    return;
  }
  tr_host_stream *stream = TR_NEW(conn->host->mem, tr_host_stream);
  if (!stream) {
    refuse(call, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    return;
  }
  stream->conn = conn;
  stream->call = call;
  stream->method = (tr_host_method)method;
  tr_rpc_call_set_ud(call, stream);
  tr_guard_limit(stream);
  if (conn->host->guarded && method < TR_METHOD_HEALTH_CHECK && !tr_access_admit(stream)) return;
  if (method == TR_METHOD_CHANNEL) tr_channel_open(stream, id);
  if (method == TR_METHOD_CONTROL) tr_control_open(stream, id);
  if (method <= TR_METHOD_CONTROL) tr_rpc_call_keep_headers(call, kept_headers);
}

static void take_unary(tr_host_stream *stream, tr_slice bytes) {
  if (stream->message) {
    tr_host_stream_end(stream, TR_GRPC_INTERNAL, "more than one message on a unary call");
    return;
  }
  stream->message = tr_blob_copy(stream->conn->host->mem, bytes);
  if (!stream->message) tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  (void)ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (!stream || stream->ended) return;
  if (stream->method == TR_METHOD_CHANNEL) tr_channel_message(stream, bytes, framed);
  else if (stream->method == TR_METHOD_CONTROL) tr_control_message(stream, bytes, framed);
  else if (stream->method >= TR_METHOD_REFLECTION) tr_reflection_message(stream, bytes);
  else take_unary(stream, bytes);
}

static void on_oversize(void *ud, tr_rpc_call *call, tr_slice head, uint64_t size) {
  tr_host_conn *conn = ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (!stream || stream->ended) return;
  tr_host *host = conn->host;
  host->stats.oversize++;
  if (stream->method == TR_METHOD_CHANNEL) {
    tr_channel_oversize(stream, head, size);
  } else if (stream->method != TR_METHOD_CONTROL) {
    char text[96];
    snprintf(text, sizeof text, "Received message larger than max (%llu vs. %u)", (unsigned long long)size,
             (unsigned)host->o.max_message);
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, text);
  } else {
    tr_log_write(host->log, TR_LOG_WARN, "control.oversize", "size=%llu", (unsigned long long)size);
  }
}

static void on_half_closed(void *ud, tr_rpc_call *call) {
  (void)ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (!stream || stream->ended) return;
  stream->half_closed = true;
  if (stream->method >= TR_METHOD_REFLECTION) tr_host_stream_end(stream, TR_GRPC_OK, "");
  if (!is_unary(stream)) return; /* it goes on receiving */
  if (stream->message && stream->method == TR_METHOD_OPERATOR) tr_asked_serve(stream);
  else if (stream->message && stream->method >= TR_METHOD_HEALTH_CHECK) tr_health_serve(stream);
  else if (stream->message) tr_unary_serve(stream);
  else tr_host_stream_end(stream, TR_GRPC_INTERNAL, "no message on a unary call");
}

/* The stream leaves its client. Returns the client whose channel this was. */
static tr_client *detach(tr_host_stream *stream) {
  tr_client *client = stream->client;
  stream->client = NULL;
  if (client && client->control == stream) {
    client->control = NULL;
    tr_client_settle(client);
    return NULL;
  }
  return client && client->stream == stream ? client : NULL;
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  tr_host_conn *conn = ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (!stream) return;
  tr_rpc_call_set_ud(call, NULL);
  tr_client *client = detach(stream);
  tr_link_remove(&stream->held);
  if (client) {
    tr_client_tell_left(client, status);
    if (status->status != TR_GRPC_CANCELLED || client->dotnet) tr_resume_salvage(client, call); /* else it has left for good */
    client->left = status->status == TR_GRPC_CANCELLED && !client->dotnet; /* it will not try again */
    if (status->status == TR_GRPC_CANCELLED) tr_replay_forget(client);
    tr_client_lost(client);
  }
  tr_asked_closed(stream);
  tr_timer_stop(conn->host->timers, &stream->limit);
  conn->untaken -= stream->untaken;
  tr_access_leave(stream);
  tr_blob_unref(stream->message);
  TR_DELETE(conn->host->mem, stream);
}

static void on_sent(void *ud, tr_rpc_call *call, tr_blob *framed) {
  (void)ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (stream && stream->client) tr_resume_sent(stream->client, framed);
}

static void on_writable(void *ud, tr_rpc_call *call) {
  (void)ud;
  tr_host_stream *stream = tr_rpc_call_ud(call);
  if (stream && stream->client && stream->client->stream == stream) tr_block_release(stream->client);
}

static void on_dirty(void *ud, tr_rpc_conn *rpc) {
  (void)rpc;
  tr_host_conn_touch(ud);
}

static const tr_rpc_handlers handlers = {
  .open = on_open,
  .message = on_message,
  .oversize = on_oversize,
  .half_closed = on_half_closed,
  .writable = on_writable,
  .sent = on_sent,
  .closed = on_closed,
  .dirty = on_dirty,
};

static tr_rpc_conn *new_rpc(tr_host_conn *conn) {
  const tr_host_options *o = &conn->host->o;
  tr_rpc_options options = {
    .mem = conn->host->mem,
    .log = conn->host->log,
    .handlers = &handlers,
    .ud = conn,
    .server = true,
#ifndef TR_HOSTILE
    .shared = &conn->host->frame_buffer,
#endif
    .max_message = o->max_message,
    .max_frame = o->max_frame,
    .max_streams = MAX_STREAMS,
    .gzip = &conn->host->gzip,
    .high_water = o->session_bytes < UINT32_MAX / 4 ? (uint32_t)o->session_bytes : UINT32_MAX / 4,
  };
  return tr_rpc_conn_new(&options);
}

static tr_host_conn *turn_away(tr_host *host, tr_slice peer_address, const tr_error *error) {
  if (tr_guard_worth_a_line(++host->turned_away))
    tr_log_write(host->log, TR_LOG_WARN, "connection.refused", "peer=%.*s count=%llu reason=\"%s\"", TR_BRIEF(peer_address),
                 (unsigned long long)host->turned_away, error->text);
  return NULL;
}

static tr_host_conn *new_conn(tr_host *host, tr_slice peer_address, void *socket, tr_error *error) {
  tr_host_conn *conn = TR_NEW(host->mem, tr_host_conn);
  if (!conn) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  conn->host = host;
  conn->socket = socket;
  if (tr_guard_admit(conn, peer_address, error)) {
    TR_DELETE(host->mem, conn);
    return NULL;
  }
  conn->dirty = true; /* SETTINGS are waiting: the owner flushes after accepting */
  conn->rpc = new_rpc(conn);
  if (conn->rpc) return conn;
  tr_guard_release(conn);
  TR_DELETE(host->mem, conn);
  tr_error_set(error, TR_EMEMORY, "out of memory");
  return NULL;
}

tr_host_conn *tr_host_accept(tr_host *host, tr_slice peer_address, void *socket, tr_error *error) {
  tr_host_conn *conn = NULL;
  if (host->draining) tr_error_set(error, TR_EUNAVAILABLE, "the host is shutting down");
  else conn = new_conn(host, peer_address, socket, error);
  if (!conn) return turn_away(host, peer_address, error);
  tr_list_push(&host->conns, &conn->link);
  host->n_conns++;
  tr_guard_watch(conn);
  conn->dirty = false;
  tr_host_conn_touch(conn);
  return conn;
}

void *tr_host_conn_ud(const tr_host_conn *conn) { return conn->host->o.ud; }
void *tr_host_conn_socket(const tr_host_conn *conn) { return conn->socket; }

int tr_host_feed(tr_host_conn *conn, tr_slice bytes, tr_error *error) {
  conn->heard = tr_core_now(conn->host->core);
  conn->asked = false;
  return tr_rpc_feed(conn->rpc, bytes, conn->heard, error);
}

int tr_host_output(tr_host_conn *conn, tr_buf *out, size_t limit) {
  conn->dirty = false;
  return tr_rpc_output(conn->rpc, out, limit);
}

bool tr_host_conn_finished(const tr_host_conn *conn) { return conn->killed || tr_rpc_finished(conn->rpc); }

/* Take every stream of the connection from its client, then tell those clients. */
static void leave_clients(tr_host_conn *conn) {
  tr_link gone;
  tr_list_init(&gone);
  for (tr_rpc_call *call = tr_rpc_next_call(conn->rpc, NULL); call; call = tr_rpc_next_call(conn->rpc, call)) {
    tr_host_stream *stream = tr_rpc_call_ud(call);
    if (!stream) continue;
    stream->ended = true;
    tr_link_remove(&stream->held);
    tr_client *client = detach(stream);
    if (!client) continue;
    tr_resume_salvage(client, call);
    tr_block_release(client);
    client->stream = NULL;
    conn->host->stats.streams--;
    tr_link_remove(&client->doomed);
    tr_list_push(&gone, &client->doomed);
  }
  for (tr_link *link; (link = tr_list_pop(&gone));) {
    tr_client *client = TR_CONTAINER(link, tr_client, doomed);
    tr_client_tell_left(client, NULL);
    tr_client_lost(client);
  }
}

void tr_host_conn_closed(tr_host_conn *conn) {
  tr_host *host = conn->host;
  leave_clients(conn);
  conn->dirty = true; /* no more dirty() for it */
  tr_rpc_conn_free(conn->rpc);
  tr_timer_stop(host->timers, &conn->watch);
  tr_guard_release(conn);
  tr_access_forget_conn(conn);
  tr_link_remove(&conn->link);
  host->n_conns--;
  TR_DELETE(host->mem, conn);
}
