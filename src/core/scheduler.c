/* SPDX-License-Identifier: MIT
 * The scheduler: which agent runs next.
 *
 * Agents that have something to do stand in one list, first come, first served. An agent's slot: first the turns that
 * were ready when the slot began go on, each once, then it takes mail, at most what was there when the slot began and
 * at most TR_SLOT_MOST; then it goes to the end of the list if more is left. So an agent that is sent to faster than it
 * handles, one that sends to itself, and one whose turns are pre-empted (TR_RUN_YIELD) all leave the others their
 * share.
 *
 * ops->run may be left by longjmp. All that the slot needs after a run is therefore kept in the core (`serving`,
 * `slot_agent`), and tr_core_recover ends the slot in its place. No instance is freed during its own slot: what asks
 * for it then sets TR_AGENT_STOP. */
#include "core/internal.h"

void tr_agent_ready(tr_core *core, tr_agent *agent) {
  if (agent->state & (TR_AGENT_QUEUED | TR_AGENT_DEAD)) return;
  if (agent == core->slot_agent) return; /* its slot's end will see */
  agent->state |= TR_AGENT_QUEUED;
  agent->next_ready = NULL;
  if (core->ready_tail) core->ready_tail->next_ready = agent;
  else core->ready_head = agent;
  core->ready_tail = agent;
  tr_core_wake(core);
}

void tr_core_wake(tr_core *core) {
  if (core->stepping || core->waking || core->closing || !core->hooks.wake) return;
  core->waking = true;
  core->hooks.wake(core->hooks.ud);
}

void tr_core_shuffle(tr_core *core, uint64_t seed) {
  tr_random_init(&core->order, seed);
  core->shuffled = true;
}

/* Any of them comes to the front. */
static void shuffle(tr_core *core) {
  uint64_t n = 0;
  for (const tr_agent *agent = core->ready_head; agent; agent = agent->next_ready) n++;
  if (n < 2 || (n = tr_random_next(&core->order) % n) == 0) return;
  tr_agent *before = core->ready_head;
  while (--n) before = before->next_ready;
  tr_agent *chosen = before->next_ready;
  before->next_ready = chosen->next_ready;
  if (core->ready_tail == chosen) core->ready_tail = before;
  chosen->next_ready = core->ready_head;
  core->ready_head = chosen;
}

static tr_agent *pop_ready(tr_core *core) {
  if (core->shuffled) shuffle(core);
  tr_agent *agent = core->ready_head;
  if (!agent) return NULL;
  core->ready_head = agent->next_ready;
  if (!core->ready_head) core->ready_tail = NULL;
  agent->state &= ~(uint32_t)TR_AGENT_QUEUED;
  return agent;
}

static bool make(tr_core *core, tr_agent *agent) {
  tr_error error;
  tr_error_init(&error);
  int err = tr_agent_make(core, agent, &error);
  if (err) tr_agent_stop_in_slot(core, agent, err, error.text);
  return err == 0;
}

/* Make it, and run its INIT turn. True when it may take mail. */
static bool begin(tr_core *core, tr_agent *agent, uint64_t *turns) {
  agent->state &= ~(uint32_t)TR_AGENT_START;
  if (!make(core, agent)) return false;
  if (agent->turn) return false; /* its INIT turn waits */
  if (!agent->class_->has_init && !agent->class_->exclusive_init) {
    agent->state |= TR_AGENT_LIVE;
    return true;
  }
  tr_turn *turn = tr_turn_new(core, agent, TR_TURN_INIT, NULL);
  if (!turn) {
    tr_agent_stop_in_slot(core, agent, TR_EMEMORY, NULL);
    return false;
  }
  --*turns;
  tr_turn_run(core, turn);
  return agent->state & TR_AGENT_LIVE;
}

static bool may_take_mail(tr_core *core, tr_agent *agent, uint64_t *turns) {
  if (agent->state & TR_AGENT_ENDING || *turns == 0) return false;
  return (agent->state & TR_AGENT_LIVE) || begin(core, agent, turns);
}

static void go_on(tr_core *core, tr_agent *agent, uint64_t *turns) {
  tr_turn *last = agent->ready_turns, *turn = NULL;
  for (int i = 0; i < TR_SLOT_MOST && turn != last && *turns > 0 && !(agent->state & TR_AGENT_ENDING); i++) {
    turn = tr_turn_pop_ready(agent);
    --*turns;
    tr_turn_run(core, turn);
    if (agent->state & TR_AGENT_YIELDED) break;
  }
}

static void take_mail(tr_core *core, tr_agent *agent, uint64_t *turns, size_t most) {
  for (; most > 0 && *turns > 0 && !(agent->state & TR_AGENT_ENDING); most--) {
    tr_msg *msg = tr_mail_take(core, agent);
    if (!msg) return;
    tr_turn *turn = tr_turn_new(core, agent, TR_TURN_MESSAGE, msg);
    --*turns;
    if (turn) {
      if (msg->kind == TR_MSG_EVENT) tr_seen_by(core, TR_SEEN_GIVEN, msg, agent, 0, NULL);
      tr_turn_run(core, turn);
    } else {
      tr_core_undeliverable(core, msg, TR_EMEMORY, NULL);
      tr_msg_unref(msg);
    }
  }
}

static void serve(tr_core *core, tr_agent *agent, uint64_t *turns) {
  size_t most = tr_agent_mail_count(agent);
  if (most > TR_SLOT_MOST) most = TR_SLOT_MOST;
  if (core->frozen) { /* one that is waited for, or none */
    most = (agent->state & TR_AGENT_NEEDED) || tr_mail_nested(agent);
    agent->state &= ~(uint32_t)TR_AGENT_NEEDED;
  }
  core->slot_agent = agent;
  if (agent->ready_turns && !(agent->state & TR_AGENT_STALLED)) go_on(core, agent, turns);
  if ((agent->state & TR_AGENT_CLOSING) && !agent->turn) tr_agent_begin_close(core, agent, turns);
  else if (may_take_mail(core, agent, turns)) take_mail(core, agent, turns, most);
  tr_agent_end_slot(core, agent);
}

int tr_core_step(tr_core *core, tr_time now, unsigned turns) {
  uint64_t left = turns ? turns : UINT64_MAX;
  if (core->stepping || core->closing) return core->ready_head != NULL;
  tr_core_set_now(core, now);
  core->stepping = true;
  core->waking = false;
  tr_timers_advance(core->timers, core->now);
  for (uint64_t before = 0; left > 0 && left != before;) {
    before = left;
    if (core->frozen) tr_frozen_look(core);
    for (tr_agent *agent; left > 0 && (agent = pop_ready(core));) {
      if (agent->state & TR_AGENT_DEAD) tr_agent_release(core, agent);
      else if (core->frozen && !tr_frozen_serves(agent)) tr_frozen_hold(core, agent);
      else serve(core, agent, &left);
    }
    if (!core->frozen) break;
  }
  core->stepping = false;
  return core->ready_head != NULL;
}

void tr_core_recover(tr_core *core, int code, const char *text) {
  tr_turn *turn = core->serving;
  tr_agent *agent = core->slot_agent;
  if (turn && turn->state == TR_TURN_RUNNING) {
    const tr_class *class_ = agent->class_;
    turn->started = true;
    class_->ops->cancel(class_->ud, turn); /* first: it may still hold calls that the failure drops */
    tr_turn_fail(turn, code, text);
    tr_turn_end(core, turn);
  }
  core->serving = NULL;
  if (agent) tr_agent_end_slot(core, agent);
  core->stepping = false;
}

tr_time tr_core_next_deadline(const tr_core *core) {
  return core->ready_head ? core->now : tr_timers_next(core->timers);
}

bool tr_core_idle(const tr_core *core) {
  const tr_core_stats *stats = &core->stats;
  return !core->ready_head && stats->open_turns == 0 && stats->queued == 0 && stats->open_calls == 0;
}

bool tr_core_quiet(const tr_core *core) { return tr_core_idle(core) && tr_timers_next(core->timers) == TR_NEVER; }
