/* SPDX-License-Identifier: MIT
 * troupe_get_stats: what is counted, over all isolates, in one structure that later versions may lengthen; and what tests look at. */
#include <string.h>

#include "runtime/internal.h"

static void add(troupe_stats_t *all, tr_share share) {
  tr_core_stats core;
  tr_core_get_stats(share.core, &core);
  all->turns += core.turns;
  all->events += core.events;
  all->requests += core.requests;
  all->sends += core.sends;
  all->replies += core.replies;
  all->late_replies += core.late_replies;
  all->dead_letters += core.dead_letters;
  all->overloaded += core.overloaded;
  all->failures += core.failures;
  all->agents += core.agents;
  all->open_turns += core.open_turns;
  all->open_calls += core.open_calls;
  all->queued += core.queued;
  all->kept_states += tr_script_saved_count(share.script);
  all->kept_bytes += tr_script_saved_bytes(share.script);
  all->memory += tr_core_mem(share.core)->used;
  all->dropped += core.dropped;
}

static void add_gzip(const tr_rpc_gzip *gzip, troupe_stats_t *all) {
  all->deflated += gzip->stats.deflated;
  all->deflated_from += gzip->stats.deflated_from;
  all->deflated_to += gzip->stats.deflated_to;
  all->inflated += gzip->stats.inflated;
  all->inflated_from += gzip->stats.inflated_from;
  all->inflated_to += gzip->stats.inflated_to;
  all->inflate_refused += gzip->stats.inflate_refused;
}

static void add_doors(const troupe_t *rt, troupe_stats_t *all) {
  if (rt->host) add_gzip(tr_host_gzip(rt->host), all);
  for (const tr_link *link = rt->uplinks.next; link != &rt->uplinks; link = link->next)
    add_gzip(tr_worker_gzip(TR_CONTAINER(link, tr_uplink, all)->worker), all);
}

void troupe_get_stats(troupe_t *rt, troupe_stats_t *stats) {
  troupe_stats_t all = { .size = stats->size, .unsaved_bytes = rt->unstored_bytes, .unsaved_tries = rt->store_tries };
  tr_together_pause(rt, false);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) add(&all, tr_runtime_share(rt, i));
  tr_together_resume(rt);
  add_doors(rt, &all);
  memcpy(stats, &all, stats->size < sizeof all ? stats->size : sizeof all);
}

void tr_runtime_get_open(const troupe_t *rt, tr_runtime_open *open) {
  *open = (tr_runtime_open){ 0 };
  if (rt->host) {
    tr_host_stats host;
    tr_host_get_stats(rt->host, &host);
    open->clients = host.clients;
    open->forwarded = host.pending_requests;
  }
  for (const tr_link *link = rt->uplinks.next; link != &rt->uplinks; link = link->next) {
    size_t requests, jobs;
    tr_worker_get_open(TR_CONTAINER(link, tr_uplink, all)->worker, &requests, &jobs);
    open->requests += requests;
    open->jobs += jobs;
  }
}
