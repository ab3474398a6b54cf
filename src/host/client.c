/* SPDX-License-Identifier: MIT
 * A client: one client-id, with what it registered and its current stream.
 *
 * States. *Unopened*: it registered by unary calls before it opened a stream (.NET does, wire.md §5): shown and kept for
 * `unopened`. *Here*: it has a stream. *Away*: its stream ended: hidden (dest.away), its types may be taken by others,
 * requests to it fail at once; within `grace` the same client-id finds all again, with the frames that waited.
 *
 * The newest stream of a client-id wins. The older one is ended with ABORTED and forgets its client at that moment, so
 * its later `closed` cannot touch what the newer one has (the real host loses everything there). Requests that the
 * older stream should have answered fail at once: nobody knows whether their receiver still has them.
 *
 * Nothing waits for a slow reader. What is queued on a stream, or waits for one, is bounded by session_bytes; answers may
 * go to twice that; a client that does not even take those loses its stream (at the next sweep, not in the midst of
 * somebody else's message). Where the operator wants it, senders are held back before something is dropped: block.c. */
#include "host/internal.h"

const tr_dest_ops tr_client_ops = { .event = tr_deliver_from_local, .request = tr_forward_from_local };

/* ---- finding and making ---- */

tr_client *tr_client_find(const tr_host *host, tr_slice id) { return tr_map_get(&host->clients, id); }

static tr_client *new_client(tr_host *host, tr_slice id) {
  tr_client *client = tr_calloc(host->mem, 1, sizeof *client + id.n + 1);
  if (!client) return NULL;
  client->host = host;
  client->id_length = (uint32_t)id.n;
  if (id.n) memcpy(client->id, id.p, id.n);
  tr_dest_init(&client->dest, &tr_client_ops);
  tr_list_init(&client->subs);
  tr_list_init(&client->shares);
  tr_list_init(&client->calls);
  tr_list_init(&client->work);
  tr_list_init(&client->holding);
  tr_list_init(&client->late);
  tr_map_init(&client->confirmed, host->mem, tr_random_next(tr_core_random(host->core)));
  tr_notes_init(client);
  host->n_foreign++;
  tr_transcode_know(client, (tr_slice){ NULL, 0 });
  return client;
}

int tr_client_get(tr_host *host, tr_slice id, tr_client **out, tr_error *error) {
  *out = tr_client_find(host, id);
  if (*out) return 0;
  if (id.n > TR_CLIENT_ID_MAX) return tr_error_set(error, TR_EINVALID, "client-id is longer than %d bytes", TR_CLIENT_ID_MAX);
  if (host->clients.count >= host->o.max_clients)
    return tr_error_set(error, TR_EOVERLOADED, "too many clients (limit %u)", (unsigned)host->o.max_clients);
  tr_client *client = new_client(host, id);
  if (!client) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (tr_map_put(&host->clients, tr_client_id(client), client, NULL)) {
    host->n_foreign--;
    tr_map_fini(&client->confirmed);
    tr_free(host->mem, client, sizeof *client + id.n + 1);
    return tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  tr_list_push(&host->clients_list, &client->link);
  *out = client;
  return 0;
}

void tr_client_know(tr_client *client, const tr_rpc_call *call) {
  client->dotnet = tr_slice_starts(tr_rpc_call_header(call, "user-agent"), TR_SLICE_LITERAL("grpc-dotnet/"));
  client->host->n_foreign -= !client->troupe;
  tr_slice version = tr_rpc_call_header(call, "troupe-version");
  client->troupe = version.p != NULL;
  version.n = tr_utf8_cut(version, sizeof client->version - 1);
  if (version.n) memcpy(client->version, version.p, version.n);
  client->version[version.n] = 0;
  client->host->n_foreign += !client->troupe;
  tr_transcode_know(client, tr_rpc_call_header(call, "troupe-accepts"));
}

/* ---- telling of it ---- */

void tr_client_tell(tr_client *client) {
  if (client->told || !client->stream) return;
  bool holds = tr_router_next_type(client->host->router, &client->dest, NULL) || !tr_list_empty(&client->shares);
  client->told = holds;
  tr_log_write(client->host->log, holds ? TR_LOG_INFO : TR_LOG_DEBUG, "client.joined", "client=%s stream=%u troupe=%d",
               client->id, (unsigned)client->generation, client->troupe);
}

void tr_client_tell_left(tr_client *client, const tr_rpc_status *status) {
  tr_log_level level = client->told ? TR_LOG_INFO : TR_LOG_DEBUG;
  if (status && status->status == TR_GRPC_CANCELLED) /* as AutoGen's workers end, and ours */
    tr_log_write(client->host->log, level, "client.left", "client=%s reason=\"left\"", client->id);
  else if (status)
    tr_log_write(client->host->log, level, "client.left", "client=%s status=%d reason=\"%.*s\"", client->id, status->status,
                 TR_BRIEF(status->message));
  else
    tr_log_write(client->host->log, level, "client.left", "client=%s reason=\"connection closed\"", client->id);
}

/* ---- what it registered ---- */

uint32_t tr_client_count_types(tr_client *client) {
  client->n_types = 0;
  tr_route_type *type = NULL;
  while ((type = tr_router_next_type(client->host->router, &client->dest, type))) client->n_types++;
  for (tr_link *link = client->shares.next; link != &client->shares; link = link->next) client->n_types++;
  return client->n_types;
}

uint32_t tr_client_count_subs(tr_client *client) {
  client->n_subs = 0;
  for (tr_link *link = client->subs.next; link != &client->subs; link = link->next) client->n_subs++;
  return client->n_subs;
}

void tr_client_yield_type(tr_client *client, tr_slice type) {
  for (tr_link *link = client->subs.next, *next; link != &client->subs; link = next) {
    next = link->next;
    tr_sub *sub = TR_CONTAINER(link, tr_sub, by_owner);
    if (tr_slice_equal(tr_name_view(sub->agent_type), type)) tr_router_drop(client->host->router, sub);
  }
}

static void forget_confirmed(tr_client *client) {
  size_t at = 0;
  tr_slice key;
  void *name;
  while (tr_map_next(&client->confirmed, &at, &key, &name)) {
    tr_map_remove(&client->confirmed, key);
    tr_name_unref(name);
  }
}

static void forget_registrations(tr_client *client) {
  tr_router *router = client->host->router;
  tr_router_forget(router, &client->dest);
  tr_share_leave_all(client);
  while (!tr_list_empty(&client->subs)) tr_router_drop(router, TR_CONTAINER(client->subs.next, tr_sub, by_owner));
  client->n_types = client->n_subs = 0;
  forget_confirmed(client);
}

/* ---- the backlog: frames that wait for a stream ---- */

#define WAITING_COST 64 /* counted beside a frame's bytes */

static int backlog_push(tr_client *client, tr_blob *frame, bool answer, uint8_t lane) {
  struct tr_backlog *log = &client->backlog;
  if (log->count == log->cap) {
    size_t cap = log->cap ? log->cap * 2 : 16;
    tr_waiting *items = tr_realloc(client->host->mem, log->items, log->cap * sizeof *items, cap * sizeof *items);
    if (!items) return TR_EMEMORY;
    log->items = items;
    log->cap = cap;
  }
  log->items[log->count++] = (tr_waiting){ tr_blob_ref(frame), answer, lane };
  log->bytes += frame->len + WAITING_COST;
  return 0;
}

int tr_client_keep(tr_client *client, tr_blob *frame, bool answer, uint8_t lane) {
  uint64_t bound = client->host->o.session_bytes;
  if (client->backlog.bytes + frame->len + WAITING_COST > bound) return TR_EOVERLOADED;
  return backlog_push(client, frame, answer, lane);
}

/* Empty it: to its stream, or as dead letters where that does not take it. */
static void backlog_leave(tr_client *client) {
  struct tr_backlog log = client->backlog;
  memset(&client->backlog, 0, sizeof client->backlog);
  unsigned dead = 0;
  for (size_t i = 0; i < log.count; i++) {
    int err = TR_EUNAVAILABLE;
    if (client->stream) err = tr_client_send_lane(client, log.items[i].frame, log.items[i].answer, log.items[i].lane);
    if (err && !log.items[i].answer)
      tr_deliver_lost(client->host, client, log.items[i].frame, err, "its client did not come back", dead++ < TR_LETTERS_AT_ONCE);
    tr_blob_unref(log.items[i].frame);
  }
  tr_free(client->host->mem, log.items, log.cap * sizeof *log.items);
}

/* ---- coming and going ---- */

static void expire(tr_timer *timer) {
  tr_client *client = TR_CONTAINER(timer, tr_client, expiry);
  tr_log_write(client->host->log, client->told ? TR_LOG_INFO : TR_LOG_DEBUG, "client.forgotten", "client=%s opened=%u",
               client->id, (unsigned)client->generation);
  forget_registrations(client);
  if (!client->left) tr_resume_lost(client);
  tr_resume_forget(client);
  backlog_leave(client);
  tr_replay_forget(client);
  while (!tr_list_empty(&client->calls))
    tr_pending_cancel(TR_CONTAINER(client->calls.next, tr_pending, by_caller));
  tr_client_settle(client);
}

void tr_client_touch(tr_client *client) {
  tr_host *host = client->host;
  if (client->stream || client->dest.away) return;
  tr_timer_start(host->timers, &client->expiry, tr_core_now(host->core) + host->o.unopened, expire);
}

static void fail_work(tr_client *client) {
  while (!tr_list_empty(&client->work)) {
    tr_pending *pending = TR_CONTAINER(client->work.next, tr_pending, by_callee);
    tr_pending_fail(pending, TR_EUNAVAILABLE, "the connection to the agent's worker was lost");
  }
}

static void drop_stream(tr_client *client) {
  if (!client->stream) return;
  tr_block_release(client);
  tr_link_remove(&client->stream->held);
  client->stream->client = NULL;
  client->stream = NULL;
  client->host->stats.streams--;
}

void tr_client_attach(tr_client *client, tr_host_stream *stream) {
  tr_host_stream *old = client->stream;
  if (old && !old->ended) tr_resume_salvage(client, old->call);
  drop_stream(client);
  tr_link_remove(&client->doomed);
  if (old) {
    tr_host_stream_end(old, TR_GRPC_ABORTED, "replaced by a newer stream of the same client-id");
    if (client->troupe) tr_client_cancel_calls(client);
    tr_share_away(client);
    fail_work(client);
  }
  tr_timer_stop(client->host->timers, &client->expiry);
  client->stream = stream;
  stream->client = client;
  client->dest.away = false;
  client->generation++;
  client->left = false;
  client->left = false;
  client->host->stats.streams++;
  client->told = false;
  forget_confirmed(client);
  tr_replay_begin(client, stream->call);
  if (client->host->o.parent && !client->dest.number) tr_core_add_uplink(client->host->core, &client->dest);
  tr_resume_begin(client, stream->call);
  backlog_leave(client);
  tr_share_here(client);
  tr_client_tell(client);
}

void tr_client_lost(tr_client *client) {
  tr_host *host = client->host;
  drop_stream(client);
  tr_link_remove(&client->doomed);
  client->dest.away = true;
  tr_timer_start(host->timers, &client->expiry, tr_core_now(host->core) + host->o.grace, expire);
  if (client->troupe) tr_client_cancel_calls(client); /* its worker has failed them already */
  tr_share_away(client);
  fail_work(client);
  tr_drain_check(host);
  tr_client_settle(client);
}

void tr_client_banish(tr_client *client, int status, const char *text) {
  tr_host_stream *stream = client->stream;
  drop_stream(client);
  tr_host_stream_end(stream, status, text);
  tr_host_conn_touch(stream->conn);
  forget_registrations(client);
  if (client->troupe) tr_client_cancel_calls(client);
  tr_client_lost(client);
}

void tr_client_settle(tr_client *client) {
  bool holds = client->stream || client->control || client->backlog.count || client->replay.count ||
               !tr_list_empty(&client->calls) || !tr_list_empty(&client->work) || !tr_list_empty(&client->subs) || !tr_list_empty(&client->shares) ||
               tr_router_next_type(client->host->router, &client->dest, NULL);
  if (!holds) tr_client_free(client);
}

void tr_client_free(tr_client *client) {
  tr_host *host = client->host;
  drop_stream(client);
  if (client->dest.number) tr_core_remove_uplink(host->core, &client->dest);
  if (client->control) client->control->client = NULL;
  forget_registrations(client);
  tr_resume_forget(client);
  tr_retain_forget(client);
  backlog_leave(client);
  tr_timer_stop(host->timers, &client->expiry);
  tr_replay_forget(client);
  host->n_foreign -= !client->troupe;
  tr_link_remove(&client->doomed);
  tr_link_remove(&client->link);
  tr_map_remove(&host->clients, tr_client_id(client));
  tr_map_fini(&client->confirmed);
  tr_finder_fini(&client->by_id);
  tr_access_forget(client);
  tr_free(host->mem, client, sizeof *client + client->id_length + 1);
}

/* ---- sending ---- */

static void sweep(tr_timer *timer) {
  tr_host *host = TR_CONTAINER(timer, tr_host, sweep);
  for (tr_link *link; (link = tr_list_pop(&host->doomed));) {
    tr_client *client = TR_CONTAINER(link, tr_client, doomed);
    tr_host_stream *stream = client->stream;
    if (!stream) continue;
    tr_log_write(host->log, TR_LOG_WARN, "client.stuck", "client=%s queued=%zu", client->id, tr_rpc_queued(stream->call));
    drop_stream(client);
    stream->ended = true;
    tr_rpc_cancel(stream->call);
    tr_host_conn_touch(stream->conn);
    tr_client_lost(client);
  }
}

static void doom(tr_client *client) {
  tr_host *host = client->host;
  if (tr_link_in(&client->doomed)) return;
  tr_list_push(&host->doomed, &client->doomed);
  tr_timer_start(host->timers, &host->sweep, tr_core_now(host->core), sweep);
}

bool tr_client_has_room(tr_client *client, size_t size) {
  uint64_t queued = tr_rpc_queued(client->stream->call) + size;
  return queued <= client->host->o.session_bytes || (client->host->sending && tr_block_holds(client, queued));
}

int tr_client_send(tr_client *client, tr_blob *frame, bool answer) {
  return tr_client_send_lane(client, frame, answer, TR_PRIORITY_NORMAL);
}

int tr_client_send_lane(tr_client *client, tr_blob *frame, bool answer, uint8_t lane) {
  if (!client->stream) return tr_client_keep(client, frame, answer, lane);
  const tr_host *host = client->host;
  uint64_t bound = host->o.session_bytes, queued = tr_rpc_queued(client->stream->call) + frame->len;
  if (answer) bound = bound * (host->o.block_senders ? 4 : 2) + client->past_bound;
  if (queued > bound && !(!answer && host->sending && tr_block_holds(client, queued))) {
    if (answer) doom(client);
    return TR_EOVERLOADED;
  }
  int err = tr_rpc_send_lane(client->stream->call, frame, (tr_lane_kind)lane);
  if (err == TR_EUNAVAILABLE) return tr_client_keep(client, frame, answer, lane); /* it is ending: its `closed` is on the way */
  if (err < 0) return err;
  if (!answer) client->host->stats.deliveries++;
  return 0;
}
