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
 * (core/waits.c). */
#include "core/internal.h"

/* Out of all lists; its turn goes on if nothing else of it waits. */
static void settle(tr_core *core, tr_parking *parking) {
  tr_turn *turn = parking->turn;
  tr_call *call = tr_call_of(parking->msg);
  if (call) call->parked = NULL;
  tr_timer_stop(core->timers, &parking->timer);
  tr_link_remove(&parking->by_receiver);
  tr_link_remove(&parking->by_turn);
  parking->receiver->mail.parked--;
  core->parkings_open--;
  core->stats.queued--;
  tr_msg_unref(parking->msg);
  tr_pool_give(&core->parkings, core->mem, parking);
  if (!turn || --turn->outbox.blocked > 0) return;
  turn->agent->blocked_turns--;
  tr_turn_unblock(core, turn);
}

void tr_parking_fail(tr_core *core, tr_parking *parking, int code, const char *text) {
  tr_msg *msg = tr_msg_ref(parking->msg);
  tr_agent *receiver = parking->receiver;
  settle(core, parking); /* first: whoever is told may stop the receiver, and with it all that waits there */
  if (code == TR_EOVERLOADED) core->stats.overloaded++;
  if (code == TR_EOVERLOADED && !text) tr_core_refused(core, msg, receiver, code);
  else tr_core_undeliverable(core, msg, code, text);
  tr_msg_unref(msg);
}

static void time_is_up(tr_timer *timer) {
  tr_parking *parking = TR_CONTAINER(timer, tr_parking, timer);
  tr_parking_fail(parking->msg->core, parking, TR_EOVERLOADED, NULL);
}

int tr_parking_add(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from) {
  tr_agent_extra *extra = tr_agent_get_extra(core, to);
  tr_parking *parking = extra ? tr_pool_take_zeroed(&core->parkings, core->mem) : NULL;
  if (!parking) return TR_EMEMORY;
  parking->receiver = to;
  parking->turn = from;
  parking->msg = tr_msg_ref(msg);
  tr_list_push(&extra->parked, &parking->by_receiver);
  to->mail.parked++;
  core->parkings_open++;
  if (from) {
    tr_list_push(&tr_turn_own(from)->parked, &parking->by_turn);
    if (from->outbox.blocked++ == 0) from->agent->blocked_turns++;
  }
  core->stats.queued++;
  tr_call *call = tr_call_of(msg);
  if (call) call->parked = parking;
  tr_time until = msg->deadline != TR_NEVER ? msg->deadline : core->now + TR_PARK_TIME;
  tr_timer_start(core->timers, &parking->timer, until, time_is_up);
  return 0;
}

void tr_parking_pump(tr_core *core, tr_agent *agent) {
  tr_agent_extra *extra = agent->extra;
  while (agent->mail.parked && agent->mail.count < agent->class_->mailbox_limit) {
    tr_parking *parking = TR_CONTAINER(extra->parked.next, tr_parking, by_receiver);
    if (tr_mail_push(core, agent, parking->msg)) tr_parking_fail(core, parking, TR_EMEMORY, NULL);
    else settle(core, parking);
  }
}

void tr_parking_forget(tr_turn *turn) {
  tr_link *head = &tr_turn_own(turn)->parked;
  for (tr_link *link; (link = tr_list_pop(head));) TR_CONTAINER(link, tr_parking, by_turn)->turn = NULL;
  if (turn->outbox.blocked > 0) turn->agent->blocked_turns--;
  turn->outbox.blocked = 0;
}
