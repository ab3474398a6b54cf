/* SPDX-License-Identifier: MIT
 * Ends in good order, and new beginnings: closing an instance, restarting it, putting it out of use.
 *
 * A closing instance takes no new mail. Its open turns go on to their end; then what lies in its mailbox is answered
 * `unavailable`, its CLOSE turn runs, which may wait and send like any other, and it leaves. One that is put out of
 * memory because it is idle (TR_CLOSE_IDLE) keeps its mailbox: if something came meanwhile, the instance is dropped
 * and begins anew in the same place.
 *
 * All of it happens in the instance's own slot (scheduler.c), so that nothing is freed below a turn that runs. */
#include "core/internal.h"

const char *tr_close_why_name(tr_close_why why) {
  static const char *const names[] = { "stop", "drain", "idle", "removed", "moved" };
  return names[why];
}

static const char *why_text(const tr_agent *agent) {
  static const char *const texts[] = { "the agent was stopped", "the runtime is stopping", "the agent was put out of memory",
                                       "its agent type was removed", "the agent was moved" };
  return texts[agent->close_why];
}

bool tr_agent_is_closing(const tr_agent *agent) { return agent->state & TR_AGENT_CLOSING; }

void tr_agent_close(tr_core *core, tr_agent *agent, tr_close_why why) {
  bool idle = why == TR_CLOSE_IDLE || why == TR_CLOSE_MOVED;
  if ((agent->state & (TR_AGENT_DEAD | TR_AGENT_STOP)) || agent->class_->exclusive_init) return;
  if (agent->state & TR_AGENT_CLOSING) {
    if (agent->close_why == TR_CLOSE_IDLE || agent->close_why == TR_CLOSE_MOVED) agent->close_why = (uint8_t)why;
    if (tr_agent_wants(agent)) tr_agent_ready(core, agent); /* the turn it waited for may have been dropped */
    return;
  }
  if (idle && (agent->state & TR_AGENT_HALTED)) return;
  agent->close_why = (uint8_t)why;
  if (!agent->turn && (agent->state & (TR_AGENT_LIVE | TR_AGENT_HALTED)) != TR_AGENT_LIVE) { /* nothing that could be closed */
    if (!idle) tr_agent_stop(core, agent, TR_EUNAVAILABLE, why_text(agent));
    return;
  }
  agent->state |= TR_AGENT_CLOSING;
  if (tr_agent_wants(agent)) tr_agent_ready(core, agent);
}

void tr_agent_closed(tr_core *core, tr_agent *agent) {
  if (agent->close_why == TR_CLOSE_IDLE || agent->close_why == TR_CLOSE_MOVED) agent->state |= TR_AGENT_RESET;
  else tr_agent_stop_in_slot(core, agent, TR_EUNAVAILABLE, why_text(agent));
}

void tr_agent_begin_close(tr_core *core, tr_agent *agent, uint64_t *turns) {
  if ((agent->state & TR_AGENT_ENDING) || *turns == 0) return;
  if (agent->close_why != TR_CLOSE_IDLE && agent->close_why != TR_CLOSE_MOVED) tr_mail_fail_all(core, agent, TR_EUNAVAILABLE, why_text(agent));
  tr_turn *turn = agent->class_->has_close ? tr_turn_new(core, agent, TR_TURN_CLOSE, NULL) : NULL;
  if (!turn) {
    tr_agent_closed(core, agent);
    return;
  }
  if (agent->close_why == TR_CLOSE_DRAIN) turn->deadline = core->close_deadline;
  --*turns;
  tr_turn_run(core, turn);
}

/* ---- beginning anew ---- */

void tr_agent_reset(tr_core *core, tr_agent *agent) {
  tr_class *class_ = agent->class_;
  const tr_agent_extra *extra = agent->extra;
  bool halted = agent->state & TR_AGENT_HALTED;
  const char *text = halted ? (extra->halted ? extra->halted : NULL) : "the agent was restarted";
  while (agent->turn) tr_turn_abort(core, agent->turn, TR_EUNAVAILABLE, text);
  if (halted) tr_mail_fail_all(core, agent, TR_EUNAVAILABLE, text);
  if ((agent->state & TR_AGENT_MADE) && class_->ops->drop) class_->ops->drop(class_->ud, agent);
  agent->user = NULL;
  agent->ready_turns = NULL;
  agent->state &= TR_AGENT_QUEUED | TR_AGENT_HALTED | TR_AGENT_MEMBER | TR_AGENT_REMOTE | TR_AGENT_HELD | (halted ? 0 : TR_AGENT_START);
  if (halted) return;
  if (agent->state & TR_AGENT_HELD) {
    tr_remote_gone(core, agent);
    return;
  }
  if (tr_agent_wants(agent)) tr_agent_ready(core, agent);
  else tr_agent_leave(core, agent, TR_EUNAVAILABLE, NULL); /* nobody wants it now */
}

void tr_agent_restart(tr_core *core, tr_agent *agent) {
  if (agent->state & (TR_AGENT_DEAD | TR_AGENT_ENDING | TR_AGENT_CLOSING)) return;
  agent->state |= TR_AGENT_RESET | TR_AGENT_START;
  if (agent != core->slot_agent) tr_agent_reset(core, agent);
}

void tr_agent_halt(tr_core *core, tr_agent *agent, const char *text) {
  if (agent->state & (TR_AGENT_DEAD | TR_AGENT_ENDING | TR_AGENT_CLOSING)) return;
  tr_agent_extra *extra = tr_agent_get_extra(core, agent);
  if (!extra) { /* it cannot be remembered */
    tr_agent_stop(core, agent, TR_EUNAVAILABLE, text);
    return;
  }
  extra->halted = tr_strndup(core->mem, text, strlen(text));
  extra->halted_size = extra->halted ? strlen(text) + 1 : 0;
  agent->state |= TR_AGENT_HALTED;
  if (agent != core->slot_agent) tr_agent_reset(core, agent);
}

void tr_class_revive(tr_class *class_, bool (*only)(void *ud, tr_slice key), void *ud) {
  tr_core *core = class_->core;
  uint64_t freed = core->agents_freed;
  for (tr_link *link = class_->agents.next; link != &class_->agents;) {
    tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    if ((agent->state & TR_AGENT_HALTED) && (!only || only(ud, tr_name_view(agent->key)))) tr_agent_stop(core, agent, TR_EUNAVAILABLE, NULL);
    link = freed == core->agents_freed ? link->next : class_->agents.next;
    freed = core->agents_freed;
  }
}

/* ---- the end of all ---- */

void tr_core_drain(tr_core *core) { core->draining = true; }
bool tr_core_is_draining(const tr_core *core) { return core->draining; }

static void close_class(tr_core *core, tr_class *class_) {
  uint64_t freed = core->agents_freed;
  for (tr_link *link = class_->agents.next; link != &class_->agents;) {
    tr_agent_close(core, TR_CONTAINER(link, tr_agent, by_class), TR_CLOSE_DRAIN);
    link = freed == core->agents_freed ? link->next : class_->agents.next;
    freed = core->agents_freed;
  }
}

void tr_core_close_agents(tr_core *core, tr_time deadline) {
  core->draining = core->ended = true;
  core->close_deadline = deadline;
  for (tr_link *link = core->classes.next; link != &core->classes; link = link->next)
    close_class(core, TR_CONTAINER(link, tr_class, link));
}

static bool any_closing(const tr_link *classes) {
  for (const tr_link *c = classes->next; c != classes; c = c->next) {
    const tr_class *class_ = TR_CONTAINER(c, tr_class, link);
    for (const tr_link *link = class_->agents.next; link != &class_->agents; link = link->next)
      if (TR_CONTAINER(link, tr_agent, by_class)->state & (TR_AGENT_CLOSING | TR_AGENT_STOP)) return true;
  }
  return false;
}

bool tr_core_closed(const tr_core *core) { return !any_closing(&core->classes) && !any_closing(&core->retired); }

size_t tr_agent_turn_count(const tr_agent *agent) {
  size_t n = 0;
  for (const tr_turn *turn = agent->turn; turn; turn = turn->below) n++;
  return n;
}

static void drop_turns(tr_core *core, tr_agent *agent) {
  bool closing = false;
  while (agent->turn) {
    closing |= agent->turn->kind == TR_TURN_CLOSE;
    tr_turn_abort(core, agent->turn, TR_EUNAVAILABLE, "the runtime is stopping");
  }
  agent->ready_turns = NULL;
  agent->state &= ~(uint32_t)TR_AGENT_YIELDED;
  if (closing) tr_agent_stop(core, agent, TR_EUNAVAILABLE, why_text(agent)); /* its hook does not run twice */
}

static void drop_class(tr_core *core, tr_class *class_, tr_dropped_fn fn, void *ud) {
  if (class_->exclusive_init) return;
  class_->sub_count++; /* held, though its last instance may leave */
  for (tr_link *link = class_->agents.next, *next; link != &class_->agents; link = next) {
    tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    size_t turns = tr_agent_turn_count(agent), mail = tr_agent_mail_count(agent);
    next = link->next;
    if (fn && (turns || mail)) fn(ud, agent, turns, mail);
    if (turns && agent != core->slot_agent) drop_turns(core, agent);
  }
  class_->sub_count--;
  if (class_->removed) tr_class_release(class_);
}

void tr_core_drop_turns(tr_core *core, tr_dropped_fn fn, void *ud) {
  for (tr_link *link = core->classes.next; link != &core->classes; link = link->next)
    drop_class(core, TR_CONTAINER(link, tr_class, link), fn, ud);
  for (tr_link *link = core->retired.next, *next; link != &core->retired; link = next) {
    next = link->next;
    drop_class(core, TR_CONTAINER(link, tr_class, link), fn, ud);
  }
}
