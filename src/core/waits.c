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
 * A circle can only be closed by a new wait, so looking from there is enough; where the new wait's target has no open
 * turn, which is nearly always, there is nothing to walk. The walk is bounded: past WALK_MOST turns it gives up, and
 * the deadline ends such a wait. */
#include "core/internal.h"

#define WALK_MOST 4096
#define PENDING_MOST 64

typedef struct walk {
  const tr_turn *goal;
  bool goal_blocked, found;
  unsigned count, steps;
  tr_turn *pending[PENDING_MOST];
} walk;

static void visit_turn(walk *w, tr_turn *turn) {
  if (turn == w->goal) w->found = true;
  else if (w->count < PENDING_MOST) w->pending[w->count++] = turn;
}

static void visit_agent(walk *w, const tr_agent *agent) {
  bool all = !agent->class_->reentrant || !(agent->state & TR_AGENT_LIVE);
  if (!all && !agent->blocked_turns && !(w->goal_blocked && w->goal->agent == agent)) return;
  for (tr_turn *turn = agent->turn; turn && !w->found; turn = turn->below)
    if (all || turn->outbox.blocked || (turn == w->goal && w->goal_blocked)) visit_turn(w, turn);
}

static void follow(walk *w, tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (turn->state != TR_TURN_WAITING && turn->state != TR_TURN_ENDED) return; /* it can run */
  for (tr_link *link = own->parked.next; link != &own->parked && !w->found; link = link->next)
    visit_agent(w, TR_CONTAINER(link, tr_parking, by_turn)->receiver);
  if (turn->state == TR_TURN_ENDED || own->woken) return;
  if (own->starved) {
    const tr_call *call = tr_call_of(turn->msg);
    if (call && call->turn) visit_turn(w, call->turn);
  }
  for (tr_link *link = own->calls.next; link != &own->calls && !w->found; link = link->next) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_turn);
    if (call->background) continue;
    if (call->by) visit_turn(w, call->by);
    else if (call->at) visit_agent(w, call->at);
  }
}

bool tr_waits_in_circle(tr_turn *turn, tr_agent *agent, bool blocked) {
  walk w = { .goal = turn, .goal_blocked = blocked };
  if (!agent->turn) return false;
  visit_agent(&w, agent);
  while (!w.found && w.count > 0 && w.steps++ < WALK_MOST) follow(&w, w.pending[--w.count]);
  return w.found;
}
