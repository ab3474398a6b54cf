/* SPDX-License-Identifier: MIT
 * Mailboxes: a bounded queue of messages at each instance, in up to four lanes.
 *
 * Nearly every message goes into the one lane that lies in the agent itself (`mail`); its envelope lies in the
 * message where this is its first receiver. High and low priority, and requests of a call chain that the agent itself
 * waits in, have lanes of their own in `extra`, which only agents have that ever got such a message.
 *
 * A higher lane goes first, but after TR_LANE_RUN messages of it one of a lower has its turn, so none starves. Within
 * a lane order is kept, so from one sender to one receiver only a higher priority overtakes.
 *
 * The nested lane is why A → B → A answers: while A waits in a turn of chain c, a request with chain c is taken ahead
 * of all other mail, where other mail waits for that turn's end. It is outside the bound (else a full mailbox would
 * lock the chain up), but has the same bound for itself, for a peer may forge chains.
 *
 * The bound is of messages and of bytes. Bytes are those of bodies, as far as they are known without a look into them; one that several have
 * in their mailboxes counts in each. Full is what holds as much as it may: a message of any size finds room in an empty one. */
#include "core/internal.h"

/* ---- lanes: circles, held by the last one, so that a million idle mailboxes have one pointer each ---- */

/* weight: what the lane, or the mailbox that it is of, weighs. */
static int lane_push(tr_core *core, tr_envelope **last, uint32_t *weight, tr_msg *msg) {
  tr_envelope *envelope = &msg->first;
  if (envelope->msg) { /* in another mailbox */
    envelope = tr_pool_take(&core->envelopes, core->mem);
    if (!envelope) return TR_EMEMORY;
  }
  envelope->msg = tr_msg_ref(msg);
  *weight += envelope->weight = (uint32_t)tr_msg_weight(msg);
  envelope->next = *last ? (*last)->next : envelope;
  if (*last) (*last)->next = envelope;
  *last = envelope;
  core->stats.queued++;
  return 0;
}

static tr_msg *lane_pop(tr_core *core, tr_envelope **last, uint32_t *weight) {
  if (!*last) return NULL;
  tr_envelope *envelope = (*last)->next;
  tr_msg *msg = envelope->msg;
  if (envelope == *last) *last = NULL;
  else (*last)->next = envelope->next;
  *weight -= envelope->weight;
  if (envelope == &msg->first) msg->first.msg = NULL;
  else tr_pool_give(&core->envelopes, core->mem, envelope);
  core->stats.queued--;
  return msg;
}

/* ---- putting in ---- */

#define CLIMB_MOST 256

/* The turn that made the request which this one handles; NULL: none here. *beyond: it may have been made for one here all the same,
 * by another process that does not say, or a turn that is over. */
static tr_turn *caller_of(const tr_turn *turn, bool *beyond) {
  if (!turn->msg || turn->msg->kind != TR_MSG_REQUEST) return NULL;
  const tr_call *call = tr_call_of(turn->msg);
  if (!call || call->orphan) *beyond = true;
  return call ? call->turn : NULL;
}

/* Was `from` called, by whatever way, by `turn`? Not if both were called by one: then this is a second call beside the first. Turns are a
 * tree, so climbing tells. */
static bool called_by(const tr_turn *from, const tr_turn *turn) {
  bool beyond = false, other = false;
  int steps = 0;
  for (const tr_turn *at = from; at && steps++ < CLIMB_MOST; at = caller_of(at, &beyond)) {
    if (at == turn) return true;
    tr_led led = at->msg && (at->msg->from_wire || at->msg->path.count) ? tr_msg_led_by(at->msg, turn) : TR_LED_MAYBE;
    if (led != TR_LED_MAYBE) return led == TR_LED_YES;
  }
  if (!beyond) return false;
  for (const tr_turn *at = turn; at && steps < CLIMB_MOST * CLIMB_MOST; at = caller_of(at, &other))
    for (const tr_turn *up = from; up && steps++ < CLIMB_MOST * CLIMB_MOST; up = caller_of(up, &other))
      if (up == at) return false;
  return true;
}

bool tr_mail_is_nested(const tr_agent *to, const tr_msg *msg) {
  if (!msg->chain || !(to->state & TR_AGENT_LIVE) || to->class_->reentrant) return false;
  const tr_call *call = tr_call_of(msg);
  for (const tr_turn *turn = to->turn; turn; turn = turn->below)
    if (turn->chain == msg->chain && (call && call->turn ? called_by(call->turn, turn) : tr_msg_led_by(msg, turn) != TR_LED_NO))
      return true;
  return false;
}

static void woken_by_mail(tr_core *core, tr_agent *to) {
  if (to->state & TR_AGENT_RECEIVING) {
    to->state &= ~(uint32_t)TR_AGENT_RECEIVING;
    tr_turn_wake(to->turn); /* its INIT turn, the only one */
  } else if (!(to->state & TR_AGENT_QUEUED) && tr_agent_wants(to)) {
    tr_agent_ready(core, to);
  }
}

static int push_nested(tr_core *core, tr_agent *to, tr_msg *msg) {
  tr_agent_extra *extra = tr_agent_get_extra(core, to);
  if (!extra) return TR_EMEMORY;
  if (extra->nested.count >= to->class_->mailbox_limit || extra->nested.weight >= to->class_->mailbox_weight) return TR_EOVERLOADED;
  int err = lane_push(core, &extra->nested.last, &extra->nested.weight, msg);
  if (err) return err;
  extra->nested.count++;
  woken_by_mail(core, to);
  return 0;
}

int tr_mail_push(tr_core *core, tr_agent *to, tr_msg *msg) {
  int err;
  uint8_t priority = msg->priority;
  if (priority == TR_PRIORITY_NORMAL && to->class_->priority) priority = to->class_->priority(to->class_->ud, msg->type);
  if (priority == TR_PRIORITY_NORMAL) {
    err = lane_push(core, &to->mail.last, &to->mail.weight, msg);
  } else {
    tr_agent_extra *extra = tr_agent_get_extra(core, to);
    if (!extra) return TR_EMEMORY;
    tr_lane *lane = priority == TR_PRIORITY_HIGH ? &extra->high : &extra->low;
    err = lane_push(core, &lane->last, &to->mail.weight, msg);
    if (!err) lane->count++;
  }
  if (err) return err;
  to->mail.count++;
  tr_mail_look_crowded(core, to, to->class_->mailbox_limit);
  woken_by_mail(core, to);
  return 0;
}

static bool may_wait_alone(const tr_msg *msg) {
  const tr_call *call = tr_call_of(msg);
  return call && call->patient;
}

/* The oldest make room: several, where they are small. Whoever waits for them is told when the newest is in, for who is told may stop the
 * receiver. */
static int push_dropping(tr_core *core, tr_agent *to, tr_msg *msg) {
  tr_envelope *dropped = NULL;
  uint32_t weight = 0;
  char text[TR_ERROR_TEXT];
  tr_msg *oldest = NULL;
  tr_mail_tell_full(to, text, sizeof text);
  while (tr_mail_full(to) && (oldest = tr_mail_drop_oldest(core, to))) {
    if (lane_push(core, &dropped, &weight, oldest)) break; /* no memory: more than the bound is better than a message lost */
    tr_msg_unref(oldest);
  }
  if (!tr_mail_full(to)) oldest = NULL; /* it lies in `dropped` */
  int err = tr_mail_push(core, to, msg);
  while (oldest || (oldest = lane_pop(core, &dropped, &weight))) {
    core->stats.overloaded++;
    tr_core_undeliverable(core, oldest, TR_EOVERLOADED, text);
    tr_msg_unref(oldest);
    oldest = NULL;
  }
  return err;
}

/* The mailbox is full: what its policy says. */
static int deliver_to_full(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from) {
  if (!to->crowded) tr_mail_tell_crowded(core, to); /* by bytes: else it was told as it became so */
  switch (to->class_->overflow) {
  case TR_OVERFLOW_DROP_OLDEST: return push_dropping(core, to, msg);
  case TR_OVERFLOW_WAIT:
    if (!from && may_wait_alone(msg)) return tr_parking_add(core, to, msg, NULL);
    if (from && !msg->from_wire && !tr_waits_in_circle(from, to, true)) return tr_parking_add(core, to, msg, from);
    if (!from && msg->origin) return tr_parking_add(core, to, msg, NULL);
    break;
  case TR_OVERFLOW_REFUSE: break;
  }
  core->stats.overloaded++;
  return TR_EOVERLOADED;
}

/* It ends, or all does. */
static bool refuses(const tr_core *core, const tr_agent *to, const tr_msg *msg) {
  if (to->state & (TR_AGENT_CLOSING | TR_AGENT_HALTED))
    return (to->state & TR_AGENT_HALTED) || (to->close_why != TR_CLOSE_IDLE && to->close_why != TR_CLOSE_MOVED);
  return core->draining && ((msg->from_wire && !msg->inside) || (core->ended && !(to->state & TR_AGENT_LIVE)));
}

int tr_mail_deliver(tr_core *core, tr_agent *to, tr_msg *msg, tr_turn *from) {
  if (to->class_->pool > 1) to = tr_members_pick(core, to);
  if (msg->kind == TR_MSG_REQUEST) {
    if (to->turn && tr_mail_is_nested(to, msg))
      return tr_agent_turn_count(to) < TR_NESTED_MOST ? push_nested(core, to, msg) : TR_ELIMIT;
    if (refuses(core, to, msg)) return TR_EUNAVAILABLE;
    if ((to->state & TR_AGENT_REMOTE) && tr_remote_takes(core, to, msg, from)) return 0;
    tr_call *call = tr_call_of(msg);
    if (call && from && to->turn && !call->background && tr_waits_in_circle(from, to, false)) return TR_EDEADLOCK;
    if (call) call->at = to;
  } else if (refuses(core, to, msg)) {
    return TR_EUNAVAILABLE;
  } else if ((to->state & TR_AGENT_REMOTE) && tr_remote_takes(core, to, msg, from)) {
    return 0;
  }
  if (tr_mail_full(to)) return deliver_to_full(core, to, msg, from);
  return tr_mail_push(core, to, msg);
}

/* ---- taking out ---- */

static tr_msg *pop_normal(tr_core *core, tr_agent *agent) {
  return lane_pop(core, &agent->mail.last, &agent->mail.weight);
}

static tr_msg *pop_lane(tr_core *core, tr_lane *lane, uint32_t *weight) {
  if (lane->count) lane->count--;
  return lane_pop(core, &lane->last, weight);
}

static tr_msg *pop_by_priority(tr_core *core, tr_agent *agent, tr_agent_extra *extra) {
  bool high = extra->high.last, normal = agent->mail.last, low = extra->low.last;
  switch (tr_lane_next(&extra->runs, high, normal, low)) {
    case TR_LANE_HIGH: return pop_lane(core, &extra->high, &agent->mail.weight);
    case TR_LANE_NORMAL: return pop_normal(core, agent);
    default: return pop_lane(core, &extra->low, &agent->mail.weight);
  }
}

static tr_msg *pop(tr_core *core, tr_agent *agent) {
  tr_agent_extra *extra = agent->extra;
  tr_msg *msg = extra ? pop_by_priority(core, agent, extra) : pop_normal(core, agent);
  if (!msg) return NULL;
  agent->mail.count--;
  if (extra && extra->parked_count) tr_parking_pump(core, agent);
  return msg;
}

/* A request whose caller has given up: handling it would help nobody. One that was cancelled is found only here, since looking for it in
 * a long mailbox would cost more than the place that it takes until then. */
static bool in_vain(tr_msg *msg) {
  if (msg->kind != TR_MSG_REQUEST) return false;
  if (msg->cancelled) msg->reply_to.answer = NULL;
  else if (msg->deadline > msg->core->now) return false;
  else tr_msg_fail(msg, TR_ETIMEOUT, NULL);
  return true;
}

tr_msg *tr_mail_take(tr_core *core, tr_agent *agent) {
  for (;;) {
    tr_agent_extra *extra = agent->extra;
    tr_msg *msg = NULL;
    if (tr_mail_nested(agent)) msg = pop_lane(core, &extra->nested, &extra->nested.weight);
    else if (tr_mail_open(agent)) msg = pop(core, agent);
    if (!msg || !in_vain(msg)) return msg;
    tr_msg_unref(msg);
  }
}

tr_msg *tr_mail_drop_oldest(tr_core *core, tr_agent *agent) {
  tr_agent_extra *extra = agent->extra;
  tr_msg *msg = extra && extra->low.last ? pop_lane(core, &extra->low, &agent->mail.weight) : pop_normal(core, agent);
  if (!msg && extra) msg = pop_lane(core, &extra->high, &agent->mail.weight);
  if (msg) agent->mail.count--;
  return msg;
}

void tr_mail_fail_all(tr_core *core, tr_agent *agent, int code, const char *text) {
  tr_agent_extra *extra = agent->extra;
  for (tr_msg *msg;;) {
    msg = extra && extra->nested.last ? pop_lane(core, &extra->nested, &extra->nested.weight) : NULL;
    if (!msg && (msg = extra ? pop_by_priority(core, agent, extra) : pop_normal(core, agent))) agent->mail.count--;
    if (!msg) break;
    tr_core_undeliverable(core, msg, code, text);
    tr_msg_unref(msg);
  }
  while (extra && !tr_list_empty(&extra->parked))
    tr_parking_fail(core, TR_CONTAINER(extra->parked.next, tr_parking, by_receiver), code, text);
}

tr_msg *tr_mail_pop(tr_core *core, tr_agent *agent) {
  for (tr_msg *msg; (msg = pop(core, agent));) {
    tr_call *call = tr_call_of(msg);
    if (call) call->at = NULL;
    if (!in_vain(msg)) return msg;
    tr_msg_unref(msg);
  }
  return NULL;
}

tr_msg *tr_turn_receive(tr_turn *turn) {
  tr_agent *agent = turn->agent;
  tr_msg *msg = tr_mail_pop(tr_agent_core(agent), agent);
  if (!msg) agent->state |= TR_AGENT_RECEIVING;
  return msg;
}

size_t tr_agent_mail_count(const tr_agent *agent) {
  const tr_agent_extra *extra = agent->extra;
  return (size_t)agent->mail.count + (extra ? extra->parked_count + extra->nested.count : 0);
}

uint64_t tr_agent_mail_bytes(const tr_agent *agent) {
  const tr_agent_extra *extra = agent->extra;
  return ((uint64_t)agent->mail.weight + (extra ? extra->nested.weight : 0)) * TR_WEIGHT;
}

static int each(const tr_envelope *last, int (*fn)(void *ud, tr_msg *msg), void *ud) {
  if (!last) return 0;
  const tr_envelope *envelope = last->next;
  int rc = fn(ud, envelope->msg);
  while (!rc && envelope != last) {
    envelope = envelope->next;
    rc = fn(ud, envelope->msg);
  }
  return rc;
}

int tr_agent_each_mail(const tr_agent *agent, int (*fn)(void *ud, tr_msg *msg), void *ud) {
  const tr_agent_extra *extra = agent->extra;
  int rc = extra ? each(extra->nested.last, fn, ud) : 0;
  if (!rc && extra) rc = each(extra->high.last, fn, ud);
  if (!rc) rc = each(agent->mail.last, fn, ud);
  if (!rc && extra) rc = each(extra->low.last, fn, ud);
  for (const tr_link *link = extra ? extra->parked.next : NULL; link && link != &extra->parked && !rc; link = link->next)
    rc = fn(ud, TR_CONTAINER(link, tr_parking, by_receiver)->msg);
  return rc;
}
