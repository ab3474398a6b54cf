/* SPDX-License-Identifier: MIT
 * Circles of waiting agents over several processes.
 *
 * Nobody sees the whole of what waits for what. So a turn that waits for a call behind a door, and that somebody may wait for in turn,
 * sends a probe after the request: whoever has that in hand lets the probe follow what *it* waits for (core/waits.c), over the next door
 * and so on. A probe that comes back to its turn has gone round a circle: that call fails with `deadlock`. (Chandy, Misra and Haas's edge
 * chasing. What waits for an answer goes on waiting until that comes, so nothing that was true when the probe passed can have
 * changed when it is back; only a deadline or somebody giving up can, and then the circle would have ended a moment later.)
 *
 * Most calls are answered sooner than a probe is worth: the first one goes after FIRST, the next ones later and later, since the wait that
 * closes the circle may be somebody else's. A call that is answered before costs its place in one list.
 *
 * The path of a request, the marks of the turns that led to it, tells an agent whether a call that comes in by a door is its own
 * waiting turn's doing: then it is answered at once (core/mailbox.c), and is no part of any circle. */
#include "core/internal.h"

#define FIRST TR_MILLISECONDS(50)
#define MOST TR_SECONDS(5)
#define STEPS_MOST 64 /* doors that a probe passes */

static uint64_t fresh(tr_core *core) {
  for (uint64_t number;;)
    if ((number = tr_random_next(&core->random))) return number;
}

/* ---- sending ---- */

/* Does anybody wait for this turn? Only then can it be part of a circle. */
static bool is_needed(const tr_turn *turn) {
  return (turn->msg && turn->msg->kind == TR_MSG_REQUEST) || tr_agent_mail_count(turn->agent) > 0;
}

static void probe(tr_core *core, tr_call *call) {
  tr_turn *turn = call->turn;
  if (!turn || call->background || turn->state != TR_TURN_WAITING || !call->msg || !call->msg->holder || !is_needed(turn)) return;
  tr_turn_entry *own = tr_turn_own(turn);
  const tr_holder_ops *ops = call->msg->holder->ops;
  if (!own->goal || own->probed_at != core->now) own->goal = fresh(core); /* one for all calls that it waits for */
  own->probed_at = core->now;
  tr_probe out = { .goal = own->goal, .call = tr_call_token(call), .steps = STEPS_MOST };
  if (ops->probe) ops->probe(call->msg->holder, call->msg, &out);
}

static void on_timer(tr_timer *timer) {
  tr_core *core = TR_CONTAINER(timer, tr_core, probe_timer);
  for (tr_link *link = core->at_doors.next; link != &core->at_doors; link = link->next) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_door);
    if (core->now < call->probe_at) continue;
    tr_time step = call->probe_step * 2;
    call->probe_step = step < MOST ? step : MOST;
    call->probe_at = core->now + call->probe_step;
    probe(core, call);
  }
  if (!tr_list_empty(&core->at_doors)) tr_timer_start(core->timers, timer, core->now + FIRST, on_timer);
}

void tr_call_left(tr_call *call) {
  tr_core *core = call->core;
  if (!call->turn || tr_link_in(&call->by_door)) return; /* nobody here waits */
  call->probe_step = FIRST;
  call->probe_at = core->now + FIRST;
  tr_list_push(&core->at_doors, &call->by_door);
  if (!tr_timer_running(&core->probe_timer)) tr_timer_start(core->timers, &core->probe_timer, call->probe_at, on_timer);
}

/* ---- coming ---- */

/* It lies there, behind what the agent's open turns do; unless one of these led to it: then it is being taken. */
static void probe_mailbox(tr_agent *agent, const tr_msg *request, const tr_probe *probe) {
  if (agent && !tr_mail_is_nested(agent, request)) tr_probe_agent(agent, probe);
}

void tr_msg_probe(tr_msg *request, const tr_probe *probe) {
  tr_core *core = request->core;
  tr_holder *holder = request->holder;
  if (!probe->goal) return; /* nobody's */
  tr_class *class_ = holder ? NULL : tr_core_find_class(core, tr_name_view(request->target_type));
  if (holder && holder->ops->probe) holder->ops->probe(holder, request, probe);
  else if (class_ && class_->pool <= 1) probe_mailbox(tr_class_find(class_, tr_name_view(request->target_key)), request, probe);
}

void tr_probe_is_back(tr_turn *turn, const tr_probe *probe) {
  tr_call *call = tr_call_find(tr_turn_core(turn), probe->call);
  bool waits = turn->state == TR_TURN_WAITING && !tr_turn_own(turn)->woken;
  if (waits && call && call->turn == turn && !call->background) tr_call_deadlock(call);
}

/* ---- paths ---- */

uint64_t tr_turn_mark(tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (!own->mark) own->mark = fresh(tr_turn_core(turn));
  return own->mark;
}

static bool add(tr_path *path, uint64_t mark) {
  if (path->count == TR_PATH_MOST) path->cut = true;
  else path->marks[path->count++] = mark;
  return !path->cut;
}

void tr_msg_get_path(const tr_msg *msg, tr_path *path) {
  *path = (tr_path){ .count = 0 };
  while (msg && msg->kind == TR_MSG_REQUEST) {
    const tr_call *call = tr_call_of(msg);
    if (!call || call->relayed) { /* from a door, another isolate, or nobody knows from where */
      for (uint8_t i = 0; i < msg->path.count; i++)
        if (!add(path, msg->path.marks[i])) return;
      path->cut = path->cut || msg->path.cut;
      return;
    }
    if (!call->turn) {
      path->cut = call->orphan; /* its turn is over, and with it who called that */
      return;
    }
    if (!add(path, tr_turn_mark(call->turn))) return;
    msg = call->turn->msg;
  }
}

tr_led tr_msg_led_by(const tr_msg *msg, const tr_turn *turn) {
  uint64_t mark = ((const tr_turn_entry *)turn)->mark;
  for (uint8_t i = 0; i < msg->path.count; i++)
    if (msg->path.marks[i] == mark) return TR_LED_YES;
  return msg->path.cut || msg->path.count == 0 ? TR_LED_MAYBE : TR_LED_NO;
}
