/* SPDX-License-Identifier: MIT
 * Holding still: the way to a moment without open turns, which a consistent save needs.
 *
 * Just waiting for one would never end where agents keep each other at work. So while frozen an agent is served only for
 * what is open: its turns go on, nested requests are taken, and mail is taken where an open turn waits for it (its
 * request lies in that mailbox, or what it sends waits for room there). All others are kept aside, in the order in which
 * they were ready; mail goes on to be put into mailboxes. Who is needed is looked up at the beginning of a step and
 * whenever something has moved.
 *
 * Turns that can be begun again (`requeue`) and programs are not waited for, so nothing is needed for their sake. */
#include "core/internal.h"

bool tr_frozen_serves(const tr_agent *agent) {
  if (agent->state & (TR_AGENT_ENDING | TR_AGENT_NEEDED)) return true;
  if (agent->ready_turns || tr_mail_nested(agent)) return true;
  return (agent->state & TR_AGENT_CLOSING) && !agent->turn;
}

/* It stays QUEUED, so that nobody else puts it into a list. */
void tr_frozen_hold(tr_core *core, tr_agent *agent) {
  agent->state |= TR_AGENT_QUEUED;
  agent->next_ready = core->held;
  core->held = agent;
}

/* The held ones go before the ready ones. */
static void let_go(tr_core *core) {
  while (core->held) {
    tr_agent *agent = core->held;
    core->held = agent->next_ready;
    agent->next_ready = core->ready_head;
    core->ready_head = agent;
    if (!core->ready_tail) core->ready_tail = agent;
  }
}

static bool counts(const tr_turn *turn) {
  return turn && !turn->agent->class_->exclusive_init && !turn->agent->class_->requeue;
}

static void need_room(const tr_class *class_) {
  for (const tr_link *link = class_->agents.next; link != &class_->agents; link = link->next) {
    const tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    const tr_agent_extra *extra = tr_mail_parked(agent) ? agent->extra : NULL;
    for (const tr_link *at = extra ? extra->parked.next : NULL; extra && at != &extra->parked; at = at->next)
      if (counts(TR_CONTAINER(at, tr_parking, by_receiver)->turn))
        TR_CONTAINER(at, tr_parking, by_receiver)->receiver->state |= TR_AGENT_NEEDED;
  }
}

void tr_frozen_look(tr_core *core) {
  for (uint32_t i = 0; i < core->call_cap; i++) {
    const tr_call *call = core->call_slots[i].call;
    if (call && call->at && (call->relayed ? call->asker == TR_ASKER_WAITS : counts(call->turn))) call->at->state |= TR_AGENT_NEEDED;
  }
  if (core->parkings_open)
    for (const tr_link *link = core->classes.next; link != &core->classes; link = link->next)
      need_room(TR_CONTAINER(link, tr_class, link));
  let_go(core);
}

void tr_core_freeze(tr_core *core, bool frozen) {
  core->frozen = frozen;
  if (frozen) return;
  let_go(core);
  if (core->ready_head) tr_core_wake(core);
}
