/* SPDX-License-Identifier: MIT
 * What consoles see of the core: messages as they go by, and what an agent or a turn is doing now.
 *
 * The places where a message passes (posting.c, scheduler.c, turns.c, message.c) look at one pointer; whoever wants to see them sets it.
 * There is one: who shows messages to several askers does that above (runtime/operator_trace.c). */
#include "core/internal.h"

void tr_core_observe(tr_core *core, tr_observe_fn fn, void *ud) {
  core->observe = fn;
  core->observe_ud = ud;
}

const char *tr_agent_doing(const tr_agent *agent) {
  if (agent->state & TR_AGENT_CLOSING) return "closing";
  if (agent->state & TR_AGENT_HALTED) return "halted";
  if (!(agent->state & TR_AGENT_LIVE)) return "new";
  return agent->turn ? "working" : "idle";
}

const char *tr_turn_doing(const tr_turn *turn) {
  switch (turn->state) {
  case TR_TURN_RUNNING:
  case TR_TURN_YIELDED: return "computing";
  case TR_TURN_ENDED: return "ending";
  default: return turn->outbox.blocked ? "held up" : "waiting";
  }
}
