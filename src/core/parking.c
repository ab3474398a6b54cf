/* SPDX-License-Identifier: MIT
 * Deliveries that wait for room: back-pressure from a full mailbox to the turn that sends.
 *
 * What is parked waits in order at its receiver, and the sending turn is blocked until all it parked is settled: a turn
 * that waits is not resumed, a turn that has ended stays its agent's open turn, so that the agent takes no further
 * mail and cannot send on. So a flood slows down at its source, and a queue of at most one outbox a sender waits here.
 *
 * A call that its turn made past its outbox (tr_turn_call_now) waits here too, but blocks nobody: there is one of it for each that
 * was made, and they have a deadline.
 *
 * A parked delivery ends by room (the receiver took a message), by its time (the message's deadline, else
 * TR_PARK_TIME), or with its receiver. It is not begun at all where it would close a circle of waiting agents
 * (core/waits.c).
 *
 * Where the sender is in another isolate, only the delivery is here: its agent is told to hold (far.c). A gate is the other end of that, a
 * link that is full. It waits for another thread alone, never for an agent, so it is no part of a circle. */
#include "core/internal.h"

static void count(tr_core *core, const tr_parking *parking, bool more) {
  tr_agent *receiver = parking->receiver;
  if (receiver) ((tr_agent_extra *)receiver->extra)->parked_count += more ? 1u : -1u;
  core->stats.queued += more ? 1 : -1;
  core->parkings_open += more ? 1u : -1u;
  if (parking->msg->origin && receiver && core->far) core->far->waits(core->far_ud, parking->msg, more);
}

/* Out of all lists; its turn goes on if nothing else of it waits. */
static void settle(tr_core *core, tr_parking *parking) {
  tr_turn *turn = parking->turn;
  tr_call *call = tr_call_of(parking->msg);
  if (call) call->parked = NULL;
  tr_timer_stop(core->timers, &parking->timer);
  if (parking->receiver && parking->probe_step) tr_parking_leaves(core, parking);
  tr_link_remove(&parking->by_receiver);
  tr_link_remove(&parking->by_turn);
  count(core, parking, false);
  if (parking->parcel) parking->gate->ops->drop(parking->gate, parking->parcel);
  tr_msg_unref(parking->msg);
  tr_pool_give(&core->parkings, core->mem, parking);
  if (!turn || --turn->outbox.blocked > 0) return;
  turn->agent->blocked_turns--;
  tr_turn_unblock(core, turn);
}

static void refused(tr_core *core, tr_msg *msg, tr_agent *receiver) {
  if (receiver) tr_core_refused(core, msg, receiver, TR_EOVERLOADED);
  else tr_core_undeliverable(core, msg, TR_EOVERLOADED, "the link to the isolate of the receiver is full");
}

void tr_parking_fail(tr_core *core, tr_parking *parking, int code, const char *text) {
  tr_msg *msg = tr_msg_ref(parking->msg);
  tr_agent *receiver = parking->receiver;
  settle(core, parking); /* first: whoever is told may stop the receiver, and with it all that waits there */
  if (code == TR_EOVERLOADED) core->stats.overloaded++;
  if (code == TR_EOVERLOADED && !text) refused(core, msg, receiver);
  else tr_core_undeliverable(core, msg, code, text);
  tr_msg_unref(msg);
}

static void time_is_up(tr_timer *timer) {
  tr_parking *parking = TR_CONTAINER(timer, tr_parking, timer);
  tr_parking_fail(parking->msg->core, parking, TR_EOVERLOADED, NULL);
}

static tr_parking *park(tr_core *core, tr_link *list, tr_agent *to, tr_msg *msg, tr_turn *from) {
  tr_parking *parking = tr_pool_take_zeroed(&core->parkings, core->mem);
  if (!parking) return NULL;
  parking->receiver = to;
  parking->turn = from;
  parking->msg = tr_msg_ref(msg);
  tr_list_push(list, &parking->by_receiver);
  if (from) tr_list_push(&tr_turn_own(from)->parked, &parking->by_turn);
  else if (to && msg->origin) tr_parking_is_far(core, parking);
  count(core, parking, true);
  if (from && from->outbox.blocked++ == 0) from->agent->blocked_turns++;
  tr_call *call = tr_call_of(msg);
  if (call) call->parked = parking;
  tr_time until = msg->deadline != TR_NEVER ? msg->deadline : core->now + TR_PARK_TIME;
  tr_timer_start(core->timers, &parking->timer, until, time_is_up);
  return parking;
}

int tr_parking_add(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from) {
  tr_agent_extra *extra = tr_agent_get_extra(core, to);
  return extra && park(core, &extra->parked, to, msg, from) ? 0 : TR_EMEMORY;
}

void tr_parking_pump(tr_core *core, tr_agent *agent) {
  tr_agent_extra *extra = agent->extra;
  while (extra->parked_count && !tr_mail_full(agent)) {
    tr_parking *parking = TR_CONTAINER(extra->parked.next, tr_parking, by_receiver);
    if (tr_mail_push(core, agent, parking->msg)) tr_parking_fail(core, parking, TR_EMEMORY, NULL);
    else settle(core, parking);
  }
}

/* ---- gates ---- */

void tr_gate_init(tr_gate *gate, const tr_gate_ops *ops) {
  gate->ops = ops;
  tr_list_init(&gate->parked);
}

int tr_gate_park(tr_core *core, tr_gate *gate, tr_msg *msg, tr_turn *from, void *parcel) {
  tr_parking *parking = park(core, &gate->parked, NULL, msg, from);
  if (!parking) return TR_EMEMORY;
  parking->gate = gate;
  parking->parcel = parcel;
  return 0;
}

void tr_gate_fail(tr_core *core, tr_gate *gate) {
  while (!tr_list_empty(&gate->parked))
    tr_parking_fail(core, TR_CONTAINER(gate->parked.next, tr_parking, by_receiver), TR_EUNAVAILABLE, "the runtime is closing");
}

void tr_gate_pump(tr_core *core, tr_gate *gate) {
  while (!tr_list_empty(&gate->parked)) {
    tr_parking *parking = TR_CONTAINER(gate->parked.next, tr_parking, by_receiver);
    if (!parking->msg->cancelled) { /* else it is dropped */
      if (!gate->ops->deliver(gate, parking->parcel)) return;
      parking->parcel = NULL;
    }
    settle(core, parking);
  }
}

void tr_parking_forget(tr_turn *turn) {
  tr_link *head = &tr_turn_own(turn)->parked;
  for (tr_link *link; (link = tr_list_pop(head));) TR_CONTAINER(link, tr_parking, by_turn)->turn = NULL;
  if (turn->outbox.blocked > 0) turn->agent->blocked_turns--;
  turn->outbox.blocked = 0;
}
