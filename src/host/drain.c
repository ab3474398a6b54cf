/* SPDX-License-Identifier: MIT
 * The graceful end. GOAWAY tells every peer to open nothing new; requests that are open get their answers; then every stream
 * ends with UNAVAILABLE (on OK a .NET worker's read pump would spin), or with OK where the peer has half-closed. At the
 * deadline the streams end whatever is open, and a little later connections that still cannot be flushed are given up. */
#include "host/internal.h"

#define LINGER TR_SECONDS(2)

static void end_streams(tr_host *host) {
  host->draining = 2;
  for (tr_link *link = host->conns.next; link != &host->conns; link = link->next) {
    tr_host_conn *conn = TR_CONTAINER(link, tr_host_conn, link);
    for (tr_rpc_call *call = tr_rpc_next_call(conn->rpc, NULL); call; call = tr_rpc_next_call(conn->rpc, call)) {
      tr_host_stream *stream = tr_rpc_call_ud(call);
      if (!stream) continue;
      bool said_goodbye = stream->half_closed && stream->method <= TR_METHOD_CONTROL;
      if (said_goodbye) tr_host_stream_end(stream, TR_GRPC_OK, "");
      else tr_host_stream_end(stream, TR_GRPC_UNAVAILABLE, "the host is shutting down");
    }
    tr_host_conn_touch(conn);
  }
}

static void give_up(tr_timer *timer) {
  tr_host *host = TR_CONTAINER(timer, tr_host, drain);
  for (tr_link *link = host->conns.next; link != &host->conns; link = link->next) {
    tr_host_conn *conn = TR_CONTAINER(link, tr_host_conn, link);
    conn->killed = true;
    tr_host_conn_touch(conn);
  }
}

static void fail_open(tr_host *host) {
  for (tr_link *link = host->clients_list.next; link != &host->clients_list; link = link->next) {
    tr_client *client = TR_CONTAINER(link, tr_client, link);
    for (tr_link *call = client->calls.next, *next; call != &client->calls; call = next) {
      next = call->next;
      tr_pending *pending = TR_CONTAINER(call, tr_pending, by_caller);
      if (!pending->owed) tr_pending_fail(pending, TR_EUNAVAILABLE, "the host is shutting down");
    }
  }
}

static void on_deadline(tr_timer *timer) {
  tr_host *host = TR_CONTAINER(timer, tr_host, drain);
  if (host->draining == 1) {
    fail_open(host);
    if (host->draining == 1) end_streams(host);
  }
  tr_timer_start(host->timers, &host->drain, tr_core_now(host->core) + LINGER, give_up);
}

void tr_drain_check(tr_host *host) {
  if (host->draining == 1 && host->slots.count == 0) end_streams(host);
}

void tr_host_drain(tr_host *host, tr_time deadline) {
  if (host->draining) return;
  host->draining = 1;
  for (tr_link *link = host->conns.next; link != &host->conns; link = link->next) {
    tr_host_conn *conn = TR_CONTAINER(link, tr_host_conn, link);
    tr_health_drain(conn);
    tr_rpc_goaway(conn->rpc, 0, "the host is shutting down");
    tr_host_conn_touch(conn);
  }
  tr_timer_start(host->timers, &host->drain, deadline, on_deadline);
  tr_drain_check(host);
}

bool tr_host_drained(const tr_host *host) {
  if (host->draining != 2) return false;
  for (tr_link *link = host->conns.next; link != &host->conns; link = link->next)
    if (!tr_host_conn_finished(TR_CONTAINER(link, tr_host_conn, link))) return false;
  return true;
}
