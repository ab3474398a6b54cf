/* SPDX-License-Identifier: MIT
 * Clocks and bounds around connections and calls.
 *
 *   admission    connections in all, and of one address
 *   a silent one no call within `silent` (it may not even have sent HTTP/2's preface): GOAWAY, closed a little later
 *   a dead one   nothing heard for PING_AFTER: a ping; nothing for as long again: closed
 *   calls        grpc-timeout of any call; a unary call whose request does not come to its end within `silent`; what an
 *                ended call has left for its peer to read, if that does not read it within `silent`
 *
 * Pings of peers are welcome at any pace that is no flood (.NET: every 20 s for ever); rpc sees to floods. */
#include "host/internal.h"

#define PING_AFTER TR_SECONDS(60)
#define LINGER TR_SECONDS(2) /* between GOAWAY and the end */

/* ---- admission ---- */

/* "127.0.0.1:4711" → "127.0.0.1"; what has no port stays. */
static tr_slice without_port(tr_slice address) {
  for (size_t n = address.n; n-- > 0;)
    if (address.p[n] == ':') return (tr_slice){ address.p, n };
  return address;
}

static tr_address *address_get(tr_host *host, tr_slice text) {
  tr_address *address = tr_map_get(&host->addresses, text);
  if (address) return address;
  address = tr_calloc(host->mem, 1, sizeof *address + text.n + 1);
  if (!address) return NULL;
  if (text.n) memcpy(address->text, text.p, text.n);
  address->length = (uint32_t)text.n;
  if (!tr_map_put(&host->addresses, (tr_slice){ address->text, text.n }, address, NULL)) return address;
  tr_free(host->mem, address, sizeof *address + text.n + 1);
  return NULL;
}

int tr_guard_admit(tr_host_conn *conn, tr_slice peer_address, tr_error *error) {
  tr_host *host = conn->host;
  tr_address *address = NULL;
  int err = 0;
  if (host->n_conns >= host->o.max_connections)
    err = tr_error_set(error, TR_EOVERLOADED, "too many connections (limit %u)", (unsigned)host->o.max_connections);
  else if (!(address = address_get(host, without_port(peer_address))))
    err = tr_error_set(error, TR_EMEMORY, "out of memory");
  else if (address->count >= host->o.max_connections_per_address)
    err = tr_error_set(error, TR_EOVERLOADED, "too many connections from %s (limit %u)", address->text,
                       (unsigned)host->o.max_connections_per_address);
  if (err) {
    host->stats.refused++;
    return err;
  }
  address->count++;
  conn->address = address;
  return 0;
}

void tr_guard_release(tr_host_conn *conn) {
  tr_address *address = conn->address;
  tr_mem *mem = conn->host->mem;
  if (--address->count) return;
  tr_map_remove(&conn->host->addresses, (tr_slice){ address->text, address->length });
  tr_free(mem, address, sizeof *address + address->length + 1);
}

/* ---- silent and dead connections ---- */

static void kill_conn(tr_host_conn *conn, tr_log_level level, const char *why) {
  tr_log_write(conn->host->log, level, "connection.killed", "address=%s reason=\"%s\"", conn->address->text, why);
  conn->killed = true;
  tr_host_conn_touch(conn);
}

static void on_watch(tr_timer *timer) {
  tr_host_conn *conn = TR_CONTAINER(timer, tr_host_conn, watch);
  tr_host *host = conn->host;
  tr_time now = tr_core_now(host->core), again = conn->heard + PING_AFTER;
  if (conn->ending) {
    kill_conn(conn, TR_LOG_DEBUG, "no call came on it"); /* anybody may cause such lines, as many as he likes */
    return;
  }
  if (!conn->used) {
    conn->ending = true;
    tr_rpc_goaway(conn->rpc, 0, "no call came on this connection");
    again = now + LINGER;
  } else if (conn->asked) {
    kill_conn(conn, TR_LOG_INFO, "it does not answer pings");
    return;
  } else if (now >= again) {
    conn->asked = true;
    tr_rpc_ping(conn->rpc, (uint64_t)now);
    again = now + PING_AFTER;
  }
  tr_timer_start(host->timers, &conn->watch, again, on_watch);
}

void tr_guard_watch(tr_host_conn *conn) {
  conn->heard = tr_core_now(conn->host->core);
  tr_timer_start(conn->host->timers, &conn->watch, conn->heard + conn->host->o.silent, on_watch);
}

/* ---- calls ---- */

static void on_limit(tr_timer *timer) {
  tr_host_stream *stream = TR_CONTAINER(timer, tr_host_stream, limit);
  tr_client *client = stream->client;
  tr_host_stream_end(stream, TR_GRPC_DEADLINE_EXCEEDED, "Deadline Exceeded");
  if (client && client->stream == stream) tr_client_lost(client);
}

static void on_untaken(tr_timer *timer) {
  tr_host_stream *stream = TR_CONTAINER(timer, tr_host_stream, limit);
  tr_log_write(stream->conn->host->log, TR_LOG_DEBUG, "call.untaken", "address=%s bytes=%zu", stream->conn->address->text,
               tr_rpc_queued(stream->call));
  tr_rpc_cancel(stream->call);
  tr_host_conn_touch(stream->conn);
}

void tr_guard_untaken(tr_host_stream *stream) {
  tr_host *host = stream->conn->host;
  if (tr_rpc_queued(stream->call) == 0) tr_timer_stop(host->timers, &stream->limit);
  else tr_timer_start(host->timers, &stream->limit, tr_core_now(host->core) + host->o.silent, on_untaken);
}

void tr_guard_limit(tr_host_stream *stream) {
  tr_host *host = stream->conn->host;
  tr_time left = tr_rpc_call_timeout(stream->call);
  bool unary = stream->method > TR_METHOD_CONTROL && stream->method < TR_METHOD_HEALTH_WATCH;
  if (unary && (left < 0 || left > host->o.silent)) left = host->o.silent;
  if (left >= 0) tr_timer_start(host->timers, &stream->limit, tr_core_now(host->core) + left, on_limit);
}
