/* SPDX-License-Identifier: MIT
 * troupe_get_stats: what is counted, in one structure that later versions may lengthen. */
#include <string.h>

#include "runtime/internal.h"

void troupe_get_stats(troupe_t *rt, troupe_stats_t *stats) {
  tr_core_stats core;
  tr_core_get_stats(rt->core, &core);
  troupe_stats_t all = {
    .size = stats->size, .turns = core.turns, .events = core.events, .requests = core.requests, .sends = core.sends,
    .replies = core.replies, .late_replies = core.late_replies, .dead_letters = core.dead_letters, .overloaded = core.overloaded,
    .failures = core.failures, .agents = core.agents, .open_turns = core.open_turns, .open_calls = core.open_calls,
    .queued = core.queued, .kept_states = tr_script_saved_count(rt->script), .kept_bytes = tr_script_saved_bytes(rt->script),
    .unsaved_bytes = rt->unstored_bytes, .unsaved_tries = rt->store_tries, .memory = rt->mem.used,
    .dropped = core.dropped,
  };
  memcpy(stats, &all, stats->size < sizeof all ? stats->size : sizeof all);
}
