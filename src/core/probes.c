/* SPDX-License-Identifier: MIT
 * Circles of waiting agents over several processes.
 *
 * Nobody sees the whole of what waits for what. So a turn that waits for a call behind a door, and that somebody may wait for in turn,
 * sends a probe after the request: whoever has that in hand lets the probe follow what *it* waits for (core/waits.c), over the next door
 * and so on. A probe that comes back to its turn has gone round a circle: that call fails with `deadlock`. (Chandy, Misra and Haas's edge
 * chasing. What waits for an answer goes on waiting until that comes, so nothing that was true when the probe passed can have
 * changed when it is back; only a deadline or somebody giving up can, and then the circle would have ended a moment later.)
 *
 * Several of a circle may send theirs at the same time, and one failure is enough to break it. So each has a rank, and a turn lets no probe
 * of a lower one by, and soon sends its own instead. Of those that wait in the circle, all of them since before, the highest one's comes back.
 *
 * Where a callee has given all the parts of its answer that it has credit for, it waits for its caller, which may wait for something else
 * meanwhile: then the probe goes back the way of the parts.
 *
 * With several isolates there is one wait more: what an agent has sent to a full mailbox in another one lies there, and that agent takes
 * nothing until it is in (far.c). Whose delivery lies so in a mailbox here is asked for by the delivery itself, as by a call; where that
 * closes a circle it is refused, as it would be within one isolate.
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
#define SEEN 1024 /* a power of two, at most 1 << 10 */
#define ROUND_BITS 20 /* of a goal: which of its probes this is; above them, the rank */

static uint64_t fresh(tr_core *core) {
  for (uint64_t number;;)
    if ((number = tr_random_next(&core->random))) return number;
}

static uint64_t rank_of(uint64_t goal) { return goal >> ROUND_BITS; }

/* One that nobody has passed on yet. */
static uint64_t next_goal(uint64_t mark, uint64_t last) {
  uint64_t round = last + 1, bits = ((uint64_t)1 << ROUND_BITS) - 1;
  return (mark & ~bits) | (round & bits ? round & bits : 1);
}

/* ---- sending ---- */

static bool takes_parts(const tr_turn *turn) {
  const tr_link *calls = &((const tr_turn_entry *)turn)->calls;
  for (const tr_link *link = calls->next; link != calls; link = link->next)
    if (TR_CONTAINER(link, const tr_call, by_turn)->part) return true;
  return false;
}

/* May anybody wait for this turn? Only then can it be part of a circle. */
static bool is_needed(const tr_turn *turn) {
  return (turn->msg && turn->msg->kind == TR_MSG_REQUEST) || tr_agent_mail_count(turn->agent) > 0 || takes_parts(turn);
}

static bool is_waited_for(const tr_call *call) {
  const tr_turn *turn = call->turn;
  return turn && !call->background && turn->state == TR_TURN_WAITING && call->msg && call->msg->holder && call->msg->holder->ops->probe;
}

static void send_probe(tr_call *call) {
  tr_probe out = { .goal = tr_turn_own(call->turn)->goal, .call = tr_call_token(call), .steps = STEPS_MOST };
  call->msg->holder->ops->probe(call->msg->holder, call->msg, &out);
}

static void probe(tr_core *core, tr_call *call) {
  if (!is_waited_for(call) || !is_needed(call->turn)) return;
  tr_turn_entry *own = tr_turn_own(call->turn);
  if (!own->goal || own->probed_at != core->now) own->goal = next_goal(tr_turn_mark(call->turn), own->goal); /* one for all its calls */
  own->probed_at = core->now;
  send_probe(call);
}

/* A probe comes by: is it of a lower rank than those that this turn sends? Then that will be soon. */
static bool outranks(tr_turn *turn, const tr_probe *probe) {
  tr_turn_entry *own = tr_turn_own(turn);
  bool any = false;
  for (const tr_link *link = own->calls.next; link != &own->calls; link = link->next) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_turn);
    if (!tr_link_in(&call->by_door) || !is_waited_for(call) || rank_of(tr_turn_mark(turn)) <= rank_of(probe->goal)) continue;
    call->probe_at = call->core->now;
    any = true;
  }
  return any;
}

/* Each probe visits each turn and each agent once, by however many ways it comes. Remembered for the last SEEN of them; where one is
 * forgotten, the number of steps ends it. */
static bool is_seen(tr_core *core, const void *node, uint64_t goal) {
  uint64_t mixed = ((uint64_t)(uintptr_t)node ^ goal) * UINT64_C(0x9e3779b97f4a7c15);
  if (!core->probes_seen) core->probes_seen = tr_calloc(core->mem, SEEN, sizeof *core->probes_seen);
  tr_probe_seen *at = core->probes_seen ? &core->probes_seen[mixed >> 54 & (SEEN - 1)] : NULL;
  if (!at || (at->node == node && at->goal == goal)) return true; /* without memory: the next one */
  *at = (tr_probe_seen){ node, goal };
  return false;
}

void tr_probes_fini(tr_core *core) { tr_free(core->mem, core->probes_seen, core->probes_seen ? SEEN * sizeof *core->probes_seen : 0); }

bool tr_probe_at_agent(const tr_agent *agent, const tr_probe *probe) { return !is_seen(agent->class_->core, agent, probe->goal); }

tr_probe_passes tr_probe_at_turn(tr_turn *turn, const tr_probe *probe) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (own->goal && rank_of(own->goal) == rank_of(probe->goal)) {
    tr_probe_is_back(turn, probe);
    return TR_PROBE_BACK;
  }
  return is_seen(tr_turn_core(turn), turn, probe->goal) || outranks(turn, probe) ? TR_PROBE_STOPS : TR_PROBE_PASSES;
}

/* ---- deliveries from other isolates that wait here ---- */

static void probe_parking(tr_core *core, tr_parking *parking) {
  if (!parking->mark) parking->mark = fresh(core);
  parking->goal = next_goal(parking->mark, parking->goal);
  tr_probe out = { .goal = parking->goal, .steps = STEPS_MOST };
  tr_probe_agent(parking->receiver, &out);
}

static bool same_sender(const tr_parking *parking, const tr_link *link, const tr_link *head) {
  const tr_msg *other = link == head ? NULL : TR_CONTAINER(link, tr_parking, by_receiver)->msg;
  return other && other->origin == parking->msg->origin && other->sender_type == parking->msg->sender_type &&
         other->sender_key == parking->msg->sender_key;
}

/* Of several of one sender the first asks for all of them. */
static bool is_from(const tr_msg *msg, unsigned isolate, tr_slice type, tr_slice key) {
  return msg->origin == isolate + 1 && msg->sender_type && tr_slice_equal(tr_name_view(msg->sender_type), type) &&
         tr_slice_equal(tr_name_view(msg->sender_key), key);
}

void tr_core_probe_stalled(tr_core *core, unsigned isolate, tr_slice type, tr_slice key, const tr_probe *probe) {
  for (tr_link *link = core->far_parked.next, *next; link != &core->far_parked; link = next) {
    tr_parking *parking = TR_CONTAINER(link, tr_parking, by_turn);
    next = link->next;
    if (!is_from(parking->msg, isolate, type, key)) continue;
    if (parking->goal && rank_of(parking->goal) == rank_of(probe->goal)) {
      tr_parking_fail(core, parking, TR_EOVERLOADED, NULL);
      return;
    }
    if (!parking->mark) parking->mark = fresh(core);
    if (parking->probe_at != TR_NEVER && rank_of(parking->mark) > rank_of(probe->goal)) parking->probe_at = core->now;
    else tr_probe_agent(parking->receiver, probe);
  }
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
  for (tr_link *link = core->far_parked.next, *next; link != &core->far_parked; link = next) {
    tr_parking *parking = TR_CONTAINER(link, tr_parking, by_turn);
    next = link->next;
    if (core->now < parking->probe_at) continue;
    tr_time step = parking->probe_step * 2;
    parking->probe_step = step < MOST ? step : MOST;
    parking->probe_at = core->now + parking->probe_step;
    probe_parking(core, parking);
  }
  if (!tr_list_empty(&core->at_doors) || !tr_list_empty(&core->far_parked)) tr_timer_start(core->timers, timer, core->now + FIRST, on_timer);
}

void tr_call_left(tr_call *call) {
  tr_core *core = call->core;
  if (!call->turn || tr_link_in(&call->by_door)) return; /* nobody here waits */
  call->probe_step = FIRST;
  call->probe_at = core->now + FIRST;
  tr_list_push(&core->at_doors, &call->by_door);
  if (!tr_timer_running(&core->probe_timer)) tr_timer_start(core->timers, &core->probe_timer, call->probe_at, on_timer);
}

void tr_parking_is_far(tr_core *core, tr_parking *parking) {
  const tr_agent_extra *extra = parking->receiver->extra;
  bool first = !same_sender(parking, parking->by_receiver.prev, &extra->parked);
  parking->probe_step = FIRST;
  parking->probe_at = first ? core->now + FIRST : TR_NEVER;
  tr_list_push(&core->far_parked, &parking->by_turn);
  if (!tr_timer_running(&core->probe_timer)) tr_timer_start(core->timers, &core->probe_timer, core->now + FIRST, on_timer);
}

void tr_parking_leaves(tr_core *core, const tr_parking *parking) {
  const tr_agent_extra *extra = parking->receiver->extra;
  tr_link *next = parking->by_receiver.next;
  if (parking->probe_at == TR_NEVER || !same_sender(parking, next, &extra->parked)) return;
  TR_CONTAINER(next, tr_parking, by_receiver)->probe_at = core->now + FIRST;
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

/* While the turn waits for the next part it is no part of a circle: credit is on its way to the callee. */
void tr_probe_taker(tr_call *call, const tr_probe *probe) {
  if (call->background && call->turn->state == TR_TURN_WAITING) tr_probe_turn(call->turn, probe);
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
