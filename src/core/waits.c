/* SPDX-License-Identifier: MIT
 * Circles of waiting agents: found at the moment that would close one, by walking the wait-for relation.
 *
 * What waits for what:
 *   - a turn that waits, for each call that it waits for (not those in the background):
 *       for the turn that handles the request, or, while that lies in a mailbox, for the agent to take it;
 *   - a turn whose deliveries wait for room, for the agents that have none;
 *   - a turn that gives parts of its answer faster than its caller takes them, for that;
 *   - an agent takes its next mail when all its open turns have ended; a reentrant one when none of them waits for
 *   room.
 * Requests that belong to a call chain which the agent waits in are taken at once and are no part of it.
 *
 * A circle can only be closed by a new wait, so looking from there is enough (for a turn that has to wait with its next part, from its
 * caller: that one's call is what ends); where the new wait's target has no open
 * turn, which is nearly always, there is nothing to walk. The walk is bounded: past WALK_MOST turns it gives up, and
 * the deadline ends such a wait. What waits behind a door is followed by probes: probes.c. */
#include "core/internal.h"

#define WALK_MOST 4096
#define PENDING_MOST 64

typedef struct walk {
  const tr_turn *goal;
  const tr_probe *probe; /* or: that comes from another process */
  bool goal_blocked, found;
  unsigned count, steps;
  tr_turn *pending[PENDING_MOST];
} walk;

static void visit_turn(walk *w, tr_turn *turn) {
  tr_probe_passes passes = w->probe ? tr_probe_at_turn(turn, w->probe) : TR_PROBE_PASSES;
  if (passes == TR_PROBE_BACK) w->found = true;
  if (passes != TR_PROBE_PASSES) return;
  if (turn == w->goal) w->found = true;
  else if (w->count < PENDING_MOST) w->pending[w->count++] = turn;
}

/* What it sent to other isolates waits for room there, and it for that. */
static void pass_stalled(const walk *w, const tr_agent *agent) {
  tr_core *core = agent->class_->core;
  if (w->probe->steps == 0 || !tr_probe_at_agent(agent, w->probe)) return;
  tr_probe next = { .goal = w->probe->goal, .call = w->probe->call, .steps = w->probe->steps - 1 };
  core->far->stalled(core->far_ud, agent, &next);
}

static void visit_agent(walk *w, const tr_agent *agent) {
  bool all = !agent->class_->reentrant || !(agent->state & TR_AGENT_LIVE);
  if (w->probe && (agent->state & TR_AGENT_STALLED)) pass_stalled(w, agent);
  if (!all && !agent->blocked_turns && !(w->goal_blocked && w->goal->agent == agent)) return;
  for (tr_turn *turn = agent->turn; turn && !w->found; turn = turn->below)
    if (all || turn->outbox.blocked || (turn == w->goal && w->goal_blocked)) visit_turn(w, turn);
}

/* It waits for what is behind a door: that is for the probe to see. */
static void pass_on(const walk *w, const tr_call *call) {
  tr_holder *holder = call->msg ? call->msg->holder : NULL;
  if (!w->probe || w->probe->steps == 0 || !holder || !holder->ops->probe) return;
  tr_probe next = { .goal = w->probe->goal, .call = w->probe->call, .steps = w->probe->steps - 1 };
  holder->ops->probe(holder, call->msg, &next);
}

/* The same the other way: it waits for who takes its parts behind a door. */
static void pass_back(const walk *w, const tr_turn *turn) {
  if (!w->probe || w->probe->steps == 0) return;
  tr_probe next = { .goal = w->probe->goal, .call = w->probe->call, .steps = w->probe->steps - 1 };
  tr_msg_probe_back(turn->msg, &next);
}

static void follow(walk *w, tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (turn->state != TR_TURN_WAITING && turn->state != TR_TURN_ENDED) return; /* it can run */
  for (tr_link *link = own->parked.next; link != &own->parked && !w->found; link = link->next)
    if (TR_CONTAINER(link, tr_parking, by_turn)->receiver) visit_agent(w, TR_CONTAINER(link, tr_parking, by_turn)->receiver);
  if (turn->state == TR_TURN_ENDED || own->woken) return;
  if (own->starved) {
    const tr_call *call = tr_call_of(turn->msg);
    if (call && call->turn) visit_turn(w, call->turn);
    else pass_back(w, turn);
  }
  for (tr_link *link = own->calls.next; link != &own->calls && !w->found; link = link->next) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_turn);
    if (call->background) continue;
    if (call->by) visit_turn(w, call->by);
    else if (call->at) visit_agent(w, call->at);
    else pass_on(w, call);
  }
}

static void run(walk *w) {
  while (!w->found && w->count > 0 && w->steps++ < WALK_MOST) follow(w, w->pending[--w->count]);
}

bool tr_waits_in_circle(tr_turn *turn, tr_agent *agent, bool blocked) {
  walk w = { .goal = turn, .goal_blocked = blocked };
  if (!agent->turn) return false;
  visit_agent(&w, agent);
  run(&w);
  return w.found;
}

/* The caller of `turn` waits, but not for the next part: for what? If that leads back to it, the call is given up, and the caller may go
 * on and take parts. */
void tr_waits_starved(tr_turn *turn) {
  const tr_call *parts = tr_call_of(turn->msg);
  tr_turn *caller = parts ? parts->turn : NULL;
  if (!caller || caller->state != TR_TURN_WAITING) return;
  for (tr_link *link = tr_turn_own(caller)->calls.next; link != &tr_turn_own(caller)->calls; link = link->next) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_turn);
    walk w = { .goal = caller };
    if (call->background || call == parts) continue;
    if (call->by) visit_turn(&w, call->by);
    else if (call->at) visit_agent(&w, call->at);
    run(&w);
    if (!w.found) continue;
    tr_call_deadlock(call);
    return;
  }
}

void tr_probe_turn(tr_turn *turn, const tr_probe *probe) {
  walk w = { .probe = probe };
  visit_turn(&w, turn);
  run(&w);
}

void tr_probe_agent(tr_agent *agent, const tr_probe *probe) {
  walk w = { .probe = probe };
  if (!agent->turn && !(agent->state & TR_AGENT_STALLED)) return;
  visit_agent(&w, agent);
  run(&w);
}
