/* SPDX-License-Identifier: MIT
 * Pools: several instances with one key (`pool`), for agents without state.
 *
 * The first one stands in the table of keys; the others hang on it in a list and are found only from there. A message
 * for the key goes to the first that has nothing to do, else to a new one while there may be more, else to the one
 * with the least. When the head leaves, the first of its members takes its place. */
#include "core/internal.h"

static tr_agent *next_of(const tr_agent *agent) {
  const tr_agent_extra *extra = agent->extra;
  return extra ? extra->next_member : NULL;
}

static size_t load(const tr_agent *agent) {
  size_t turns = 0;
  for (const tr_turn *turn = agent->turn; turn; turn = turn->below) turns++;
  return turns + tr_agent_mail_count(agent) + (agent->state & (TR_AGENT_CLOSING | TR_AGENT_ENDING) ? 1000000 : 0);
}

static tr_agent *add(tr_core *core, tr_agent *head, tr_agent *last) {
  tr_class *class_ = head->class_;
  tr_agent_extra *extra = tr_agent_get_extra(core, last);
  tr_agent *agent = extra ? tr_pool_take_zeroed(&core->agents, core->mem) : NULL;
  if (!agent) return NULL;
  agent->class_ = class_;
  agent->key = head->key;
  agent->state = TR_AGENT_MEMBER;
  tr_agent_extra *own = tr_agent_get_extra(core, agent);
  if (!own) {
    tr_pool_give(&core->agents, core->mem, agent);
    return NULL;
  }
  own->head = head;
  extra->next_member = agent;
  tr_name_ref(agent->key);
  tr_list_push(&class_->agents, &agent->by_class);
  class_->agent_count++;
  core->stats.agents++;
  return agent;
}

tr_agent *tr_members_pick(tr_core *core, tr_agent *head) {
  tr_agent *best = head, *last = head;
  size_t least = load(head);
  uint32_t count = 1;
  for (tr_agent *agent = next_of(head); agent && least > 0; agent = next_of(agent), count++) {
    size_t here = load(agent);
    if (here < least) {
      least = here;
      best = agent;
    }
    last = agent;
  }
  if (least == 0 || count >= head->class_->pool || core->ended) return best;
  tr_agent *fresh = add(core, head, last);
  return fresh ? fresh : best;
}

void tr_members_leave(tr_core *core, tr_agent *agent) {
  tr_class *class_ = agent->class_;
  tr_agent *next = next_of(agent);
  (void)core;
  if (agent->state & TR_AGENT_MEMBER) {
    tr_agent *before = ((tr_agent_extra *)agent->extra)->head;
    while (next_of(before) != agent) before = next_of(before);
    ((tr_agent_extra *)before->extra)->next_member = next;
    return;
  }
  tr_table_remove(&class_->by_key, agent);
  if (!next) return;
  next->state &= ~(uint32_t)TR_AGENT_MEMBER;
  for (tr_agent *member = next; member; member = next_of(member))
    ((tr_agent_extra *)member->extra)->head = member == next ? NULL : next;
  tr_table_add(&class_->by_key, next); /* one was just removed: there is room */
}
