/* SPDX-License-Identifier: MIT
 * The host as a whole: making it, freeing it, counting.
 *
 * The host has no agents, no sockets and no clock of its own. It stands between the core's router (who owns which type, who
 * wants which topic) and rpc's calls. Messages of one client for another never become core messages: they are walked,
 * their frame is queued to the receiver's call, and that is all (forward.c, deliver.c).
 *
 * Freeing: connections are closed first (their streams then count as lost), so what is left are clients in their grace
 * time and requests of local agents that still wait: these are answered `unavailable`. */
#include "host/internal.h"

static void fill_defaults(tr_host_options *o) {
  if (!o->max_message) o->max_message = 4u << 20;
  if (!o->session_bytes) o->session_bytes = 64u << 20;
  if (!o->grace) o->grace = TR_SECONDS(30);
  if (!o->unopened) o->unopened = TR_SECONDS(60);
  if (!o->call_timeout) o->call_timeout = TR_SECONDS(600);
  if (!o->max_connections) o->max_connections = 20000;
  if (!o->max_connections_per_address) o->max_connections_per_address = 15000; /* all of 10 000 workers on one machine, and some of their callers */
  if (!o->silent) o->silent = TR_SECONDS(30);
  if (!o->max_places) o->max_places = 1u << 18;
  if (!o->max_clients) o->max_clients = 100000;
  if (!o->max_types_per_client) o->max_types_per_client = 10000;
  if (!o->max_subs_per_client) o->max_subs_per_client = 10000;
  if (!o->version) o->version = TR_VERSION;
}

tr_host *tr_host_new(const tr_host_options *options) {
  tr_mem *mem = tr_core_mem(options->core);
  tr_host *host = TR_NEW(mem, tr_host);
  if (!host) return NULL;
  host->o = *options;
  fill_defaults(&host->o);
  host->core = options->core;
  host->mem = mem;
  static const bool none = false;
  host->access_stamp = 1;
  host->has_types = options->codecs ? tr_codecs_has_types(options->codecs) : &none;
  tr_rpc_gzip_init(&host->gzip, mem, options->compress_from);
  host->log = tr_core_log(options->core);
  host->router = tr_core_router(options->core);
  host->timers = tr_core_timers(options->core);
  tr_list_init(&host->conns);
  tr_list_init(&host->clients_list);
  tr_list_init(&host->doomed);
  host->since = tr_core_now(options->core);
  tr_list_init(&host->shares);
  tr_list_init(&host->moves);
  tr_list_init(&host->retained);
  tr_random *random = tr_core_random(options->core);
  tr_map_init(&host->addresses, mem, tr_random_next(random));
  tr_map_init(&host->clients, mem, tr_random_next(random));
  tr_tally_init(&host->refusals, mem, (uint64_t)(uintptr_t)host);
  host->has_spares = tr_spares_open(mem);
  tr_slots_init(&host->slots, mem, sizeof(tr_pending), TR_PENDING_MOST, (uint32_t)tr_random_next(random));
  return host;
}

/* Every request that is still open; its caller or its callee may be an agent of this process. */
static void fail_all(tr_host *host) {
  for (tr_pending *pending = NULL; (pending = tr_slots_next(&host->slots, pending));) {
    if (pending->msg) tr_pending_fail(pending, TR_EUNAVAILABLE, "the host is closing");
    if (pending->slot.taken) tr_pending_free(pending);
  }
}

void tr_host_free(tr_host *host) {
  if (!host) return;
  while (!tr_list_empty(&host->conns)) tr_host_conn_closed(TR_CONTAINER(host->conns.next, tr_host_conn, link));
  fail_all(host);
  while (!tr_list_empty(&host->clients_list)) tr_client_free(TR_CONTAINER(host->clients_list.next, tr_client, link));
  tr_retain_fini(host);
  tr_timer_stop(host->timers, &host->sweep);
  tr_timer_stop(host->timers, &host->drain);
  tr_timer_stop(host->timers, &host->share_timer);
  tr_slots_fini(&host->slots);
  tr_again_fini(&host->again, host->mem);
  tr_rpc_gzip_fini(&host->gzip);
  tr_map_fini(&host->clients);
  tr_map_fini(&host->addresses);
  tr_rights_unref(host->rights);
  tr_tally_fini(&host->refusals);
  tr_rpc_shared_fini(&host->frame_buffer, host->mem);
  if (host->has_spares) tr_spares_close(host->mem);
  TR_DELETE(host->mem, host);
}

void tr_host_get_stats(const tr_host *host, tr_host_stats *stats) {
  *stats = host->stats;
  stats->connections = host->n_conns;
  stats->clients = host->clients.count;
  stats->pending_requests = host->slots.count;
}

const tr_rpc_gzip *tr_host_gzip(const tr_host *host) { return &host->gzip; }
