/* SPDX-License-Identifier: MIT
 * The core as a whole: made, asked, freed. What it does is in the files that core/internal.h lists. */
#include "core/internal.h"

static int look_direct(void *core, tr_slice topic) { return tr_direct_look(core, topic); }

tr_core *tr_core_new(const tr_core_options *options) {
  tr_mem *mem = options->mem;
  tr_core *core = TR_NEW(mem, tr_core);
  if (!core) return NULL;
  core->mem = mem;
  core->log = options->log;
  core->hooks = options->hooks;
  core->body = options->body;
  core->now = options->now;
  tr_random_init(&core->random, options->seed);
  core->seed = tr_random_next(&core->random);
  core->identity = tr_random_next(&core->random);
  core->messages.size = sizeof(tr_msg);
  core->envelopes.size = sizeof(tr_envelope);
  core->turns.size = sizeof(tr_turn_entry);
  core->calls.size = sizeof(tr_call);
  core->parkings.size = sizeof(tr_parking);
  core->agents.size = sizeof(tr_agent);
  tr_dest_init(&core->local, NULL);
  tr_list_init(&core->classes);
  tr_list_init(&core->retired);
  tr_list_init(&core->at_doors);
  tr_list_init(&core->far_parked);
  core->close_deadline = TR_NEVER;
  tr_local_subs_init(core);
  tr_uplinks_init(core);
  tr_results_init(core);
  tr_resends_init(core);
  core->names = tr_names_new(mem, core->seed);
  core->timers = tr_timers_new(mem, core->now);
  if (core->names) core->router = tr_router_new(mem, core->names, core->seed);
  if (core->router) tr_router_on_direct(core->router, look_direct, core);
  if (core->router && core->timers) return core;
  tr_core_free(core);
  return NULL;
}

/* Those that left while they were in the ready list. */
static void free_ready(tr_core *core) {
  for (tr_agent *agent = core->ready_head, *next; agent; agent = next) {
    next = agent->next_ready;
    tr_agent_release(core, agent);
  }
  core->ready_head = core->ready_tail = NULL;
}

void tr_core_free(tr_core *core) {
  if (!core) return;
  tr_mem *mem = core->mem;
  core->closing = true;
  core->slot_agent = NULL; /* nothing of ours is on the C stack */
  core->serving = NULL;
  while (!tr_list_empty(&core->classes))
    tr_core_remove_class(core, TR_CONTAINER(core->classes.next, tr_class, link));
  while (!tr_list_empty(&core->retired))
    tr_core_remove_class(core, TR_CONTAINER(core->retired.next, tr_class, link));
  tr_core_freeze(core, false);
  free_ready(core);
  tr_calls_fini(core);
  tr_probes_fini(core);
  tr_results_fini(core);
  tr_resends_fini(core);
  tr_local_subs_fini(core);
  tr_uplinks_fini(core);
  if (core->unlisted.cap) tr_table_fini(&core->unlisted);
  tr_router_free(core->router);
  tr_timers_free(core->timers);
  tr_names_free(core->names);
  tr_free(mem, core->uplinks, core->uplink_cap * sizeof *core->uplinks);
  tr_pool_fini(&core->messages, mem);
  tr_pool_fini(&core->envelopes, mem);
  tr_pool_fini(&core->turns, mem);
  tr_pool_fini(&core->calls, mem);
  tr_pool_fini(&core->parkings, mem);
  tr_pool_fini(&core->agents, mem);
  TR_DELETE(mem, core);
}

void tr_core_set_body_ops(tr_core *core, const tr_body_ops *ops) { core->body = *ops; }
tr_mem *tr_core_mem(const tr_core *core) { return core->mem; }
const tr_log *tr_core_log(const tr_core *core) { return core->log; }
tr_names *tr_core_names(const tr_core *core) { return core->names; }
tr_dest *tr_core_local(const tr_core *core) { return (tr_dest *)&core->local; }
tr_router *tr_core_router(const tr_core *core) { return core->router; }
tr_timers *tr_core_timers(const tr_core *core) { return core->timers; }
tr_random *tr_core_random(tr_core *core) { return &core->random; }
tr_time tr_core_now(const tr_core *core) { return core->now; }
void tr_core_set_seal(tr_core *core, const tr_seal *seal) { core->seal = seal; }
const tr_seal *tr_core_seal(const tr_core *core) { return core->seal; }
const tr_body_ops *tr_core_body_ops(const tr_core *core) { return &core->body; }
void tr_core_get_stats(const tr_core *core, tr_core_stats *stats) { *stats = core->stats; }

void tr_core_set_now(tr_core *core, tr_time now) {
  if (now > core->now) core->now = now; /* a clock that goes backwards stands still */
}
