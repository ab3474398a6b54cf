/* SPDX-License-Identifier: MIT
 * Turns: one agent handling one message, from its first run to its end.
 *
 * What a turn sends lies in its outbox and is released, in order, when it waits or ends; when it fails, what it
 * posted since its last wait is dropped as if it had never been said, calls included. Its answer goes out after its
 * outbox, so that whoever hears it can rely on what was sent before.
 *
 * States: RUNNING inside ops->run; WAITING until tr_turn_wake; READY in its agent's list; YIELDED likewise, ahead of
 * all others of its agent; ENDED when only its parked deliveries are left (core/parking.c): those block a waiting
 * turn as well. All open turns of an instance form a stack, the newest first: more than one where calls of one chain
 * are nested, or where the agent is reentrant. */
#include "core/internal.h"

tr_core *tr_turn_core(const tr_turn *turn) { return tr_agent_core(turn->agent); }

/* Nobody waits for it any more: it ends when it waits, in its own slot, where nothing else of it is being run. */
static void give_up(tr_turn *turn) {
  tr_turn_own(turn)->cancelled = true;
  if (turn->state == TR_TURN_WAITING) tr_turn_wake(turn);
}

static void caller_gave_up(tr_holder *holder, tr_msg *request) {
  (void)request;
  give_up(&TR_CONTAINER(holder, tr_turn_entry, holder)->turn);
}

static void time_is_up(tr_timer *timer) { give_up(&TR_CONTAINER(timer, tr_turn_entry, limit)->turn); }

static void caller_took_parts(tr_holder *holder, tr_msg *request, uint32_t parts) {
  (void)request;
  tr_turn_credit(&TR_CONTAINER(holder, tr_turn_entry, holder)->turn, parts);
}

static void caller_probes(tr_holder *holder, tr_msg *request, const tr_probe *probe) {
  (void)request;
  tr_probe_turn(&TR_CONTAINER(holder, tr_turn_entry, holder)->turn, probe);
}

static const tr_holder_ops holder_ops = { .cancel = caller_gave_up, .credit = caller_took_parts, .probe = caller_probes };

tr_turn *tr_turn_new(tr_core *core, tr_agent *agent, tr_turn_kind kind, tr_msg *msg) {
  tr_turn_entry *own = tr_pool_take_zeroed(&core->turns, core->mem);
  if (!own) return NULL;
  tr_turn *turn = &own->turn;
  turn->agent = agent;
  turn->msg = msg;
  turn->kind = (uint8_t)kind;
  turn->deadline = TR_NEVER;
  tr_list_init(&own->calls);
  tr_list_init(&own->dropped);
  tr_list_init(&own->parked);
  if (msg && msg->kind == TR_MSG_REQUEST) {
    tr_call *call = tr_call_of(msg);
    turn->deadline = msg->deadline;
    turn->chain = msg->chain;
    own->credit = msg->window;
    own->holder.ops = &holder_ops;
    msg->holder = &own->holder;
    if (call) {
      call->at = NULL;
      call->by = turn;
    }
  }
  turn->below = agent->turn;
  if (turn->below) tr_turn_own(turn->below)->above = turn;
  agent->turn = turn;
  agent->turns++;
  core->stats.turns++;
  core->stats.open_turns++;
  return turn;
}

/* ---- the ready turns of an agent: a circular list by its last ---- */

static void push_ready(tr_core *core, tr_turn *turn, bool front) {
  tr_agent *agent = turn->agent;
  tr_turn *last = agent->ready_turns;
  if (agent->state & TR_AGENT_DEAD) return; /* its turns are being ended one by one */
  turn->next = last ? last->next : turn;
  if (last) last->next = turn;
  if (!last || !front) agent->ready_turns = turn;
  if (!(agent->state & TR_AGENT_QUEUED)) tr_agent_ready(core, agent);
}

tr_turn *tr_turn_pop_ready(tr_agent *agent) {
  tr_turn *last = agent->ready_turns, *first;
  if (!last) return NULL;
  first = last->next;
  if (first == last) agent->ready_turns = NULL;
  else last->next = first->next;
  return first;
}

void tr_turn_wake(tr_turn *turn) {
  if (turn->state == TR_TURN_RUNNING || (turn->state == TR_TURN_WAITING && turn->outbox.blocked)) {
    tr_turn_own(turn)->woken = true;
  } else if (turn->state == TR_TURN_WAITING) {
    turn->state = TR_TURN_READY;
    push_ready(tr_agent_core(turn->agent), turn, false);
  }
}

/* ---- the outbox ---- */

static uint64_t chain_of(tr_core *core, tr_turn *turn) {
  while (turn->chain == 0) turn->chain = tr_random_next(&core->random);
  return turn->chain;
}

uint64_t tr_turn_chain(tr_turn *turn) { return chain_of(tr_agent_core(turn->agent), turn); }

int tr_turn_post(tr_turn *turn, tr_msg *msg) {
  tr_agent *agent = turn->agent;
  if (tr_turn_own(turn)->failed || turn->outbox.count >= TR_OUTBOX_MOST) {
    tr_msg_unref(msg);
    return tr_turn_own(turn)->failed ? TR_ECANCELLED : TR_ELIMIT;
  }
  if (!msg->sender_type) {
    msg->sender_type = tr_name_ref(agent->class_->type);
    msg->sender_key = tr_name_ref(agent->key);
  }
  msg->sender = agent;
  if (msg->kind == TR_MSG_REQUEST && msg->chain == 0) msg->chain = chain_of(tr_agent_core(turn->agent), turn);
  if (turn->outbox.tail) turn->outbox.tail->first.next = &msg->first;
  else turn->outbox.head = msg;
  turn->outbox.tail = msg;
  turn->outbox.count++;
  return 0;
}

tr_call *tr_turn_call(tr_turn *turn, tr_msg *msg, tr_reply_fn fn, void *ud) {
  tr_call *call = NULL;
  if (turn->deadline < msg->deadline) msg->deadline = turn->deadline;
  msg->reply_to = (tr_reply_to){ 0 };
  if (!tr_turn_own(turn)->failed && turn->outbox.count < TR_OUTBOX_MOST)
    call = tr_call_new(tr_agent_core(turn->agent), msg, fn, ud);
  if (!call) {
    tr_msg_unref(msg);
    return NULL;
  }
  call->turn = turn;
  tr_list_push(&tr_turn_own(turn)->calls, &call->by_turn);
  tr_turn_post(turn, msg);
  return call;
}

tr_call *tr_turn_call_now(tr_turn *turn, tr_msg *msg, tr_reply_fn fn, void *ud) {
  tr_core *core = msg->core;
  tr_call *call = NULL;
  if (turn && turn->deadline < msg->deadline) msg->deadline = turn->deadline;
  msg->reply_to = (tr_reply_to){ 0 };
  if (!core->closing) call = tr_call_new(core, msg, fn, ud);
  if (!call) {
    tr_msg_unref(msg);
    return NULL;
  }
  call->turn = turn;
  call->orphan = !turn;
  call->patient = true;
  call->background = call->making = true; /* the caller must have its call before fn may hear of it */
  if (turn) tr_list_push(&tr_turn_own(turn)->calls, &call->by_turn);
  tr_core_post(core, msg);
  call->making = false;
  return call;
}

static tr_msg *pop_outbox(tr_turn *turn) {
  tr_msg *msg = turn->outbox.head;
  if (!msg) return NULL;
  turn->outbox.head = msg->first.next ? TR_CONTAINER(msg->first.next, tr_msg, first) : NULL;
  if (!turn->outbox.head) turn->outbox.tail = NULL;
  turn->outbox.count--;
  msg->first.next = NULL;
  return msg;
}

void tr_turn_flush(tr_turn *turn) {
  tr_core *core = tr_agent_core(turn->agent);
  for (tr_msg *msg; (msg = pop_outbox(turn));) {
    tr_core_route(core, msg, turn);
    msg->sender = NULL;
    tr_msg_unref(msg);
  }
}

/* As if it had never been posted: nobody is told. */
static void drop_outbox(tr_turn *turn) {
  for (tr_msg *msg; (msg = pop_outbox(turn));) {
    tr_call_drop(msg, &tr_turn_own(turn)->dropped);
    msg->sender = NULL;
    tr_msg_unref(msg);
  }
}

/* ---- the answer ---- */

void tr_turn_reply(tr_turn *turn, tr_name *type, tr_body *body) {
  tr_turn_entry *own = tr_turn_own(turn);
  tr_core *core = tr_agent_core(turn->agent);
  if (!turn->msg || turn->msg->kind != TR_MSG_REQUEST || own->failed) {
    tr_body_release(core, body);
    return;
  }
  if (own->replied) { /* the last one counts */
    tr_name_unref(own->reply_type);
    tr_body_release(core, &own->reply_body);
  }
  own->replied = true;
  own->reply_type = tr_name_ref(type);
  own->reply_body = *body;
  *body = (tr_body){ .kind = TR_BODY_NONE };
}

void tr_turn_fail(tr_turn *turn, int code, const char *text) {
  tr_turn_entry *own = tr_turn_own(turn);
  tr_core *core = tr_agent_core(turn->agent);
  if (own->failed) return;
  own->failed = true;
  own->fail_code = code;
  core->stats.failures++;
  drop_outbox(turn);
  if (turn->msg && turn->msg->kind != TR_MSG_REQUEST) tr_seen_by(core, TR_SEEN_FAILED, turn->msg, turn->agent, code, text);
  if (turn->kind == TR_TURN_INIT) {
    if (!own->error) own->error = TR_NEW(core->mem, tr_error);
    tr_error_set(own->error, code, "%s", text ? text : tr_error_default_text(code));
  } else if (turn->msg && turn->msg->kind == TR_MSG_REQUEST && !own->deferred) {
    tr_msg_fail(turn->msg, code, text);
  }
}

bool tr_turn_failed(const tr_turn *turn) { return ((const tr_turn_entry *)turn)->failed; }
bool tr_turn_cancelled(const tr_turn *turn) {
  return ((const tr_turn_entry *)turn)->cancelled || (turn->msg && turn->deadline <= tr_agent_core(turn->agent)->now);
}

/* The request is in other hands now, or nobody's. */
static void let_go(tr_turn *turn) {
  tr_msg *msg = turn->msg;
  if (msg && msg->holder == &tr_turn_own(turn)->holder) msg->holder = NULL;
}

void tr_turn_defer(tr_turn *turn) {
  tr_call *call = turn->msg ? tr_call_of(turn->msg) : NULL;
  tr_turn_own(turn)->deferred = true;
  if (call) call->by = NULL; /* from now on nobody can say who answers */
  let_go(turn);
}

static void give_answer(tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  tr_reply reply = { .type = own->reply_type, .body = own->reply_body };
  if (!turn->msg || turn->msg->kind != TR_MSG_REQUEST || own->failed || own->deferred) return;
  if (!own->replied) reply.body.kind = TR_BODY_NULL;
  own->reply_body = (tr_body){ .kind = TR_BODY_NONE };
  tr_msg_answer(turn->msg, &reply);
}

/* ---- running and ending ---- */

/* Calls that are still open go on, but nobody waits for them in this turn any more. */
static TR_APART void detach_calls(tr_turn *turn) {
  tr_link *calls = &tr_turn_own(turn)->calls;
  for (tr_link *link; (link = tr_list_pop(calls));) {
    tr_call *call = TR_CONTAINER(link, tr_call, by_turn);
    call->turn = NULL;
    call->orphan = true;
  }
}

static void finish(tr_core *core, tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  tr_agent *agent = turn->agent;
  if (own->above) own->above->below = turn->below;
  else agent->turn = turn->below;
  if (turn->below) tr_turn_own(turn->below)->above = own->above;
  if (agent->state & TR_AGENT_HELD) tr_remote_look(core, agent);
  tr_timer_stop(core->timers, &own->limit);
  let_go(turn);
  if (turn->msg) tr_msg_unref(turn->msg);
  if (own->reply_type) tr_name_unref(own->reply_type);
  if (own->reply_body.kind != TR_BODY_NONE) tr_body_release(core, &own->reply_body);
  if (own->error) TR_DELETE(core->mem, own->error);
  if (!tr_list_empty(&own->dropped)) tr_calls_free_dropped(&own->dropped);
  tr_pool_give(&core->turns, core->mem, own);
  core->stats.open_turns--;
}

/* An INIT or a CLOSE turn is over. */
static TR_APART void end_life(tr_core *core, tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  tr_agent *agent = turn->agent;
  if (turn->kind == TR_TURN_INIT) agent->state &= ~(uint32_t)TR_AGENT_RECEIVING;
  if (turn->kind == TR_TURN_INIT && !own->failed) agent->state |= TR_AGENT_LIVE;
  if (turn->kind == TR_TURN_INIT && own->failed)
    tr_agent_stop_in_slot(core, agent, own->fail_code, own->error ? own->error->text : NULL);
  if (turn->kind == TR_TURN_CLOSE) tr_agent_closed(core, agent);
}

void tr_turn_end(tr_core *core, tr_turn *turn) {
  turn->state = TR_TURN_ENDED; /* a wake that its own release causes finds it over */
  tr_turn_flush(turn); /* empty, if it failed */
  give_answer(turn);
  if (!tr_list_empty(&tr_turn_own(turn)->calls)) detach_calls(turn);
  if (turn->kind != TR_TURN_MESSAGE) end_life(core, turn);
  if (turn->outbox.blocked == 0) finish(core, turn);
}

void tr_turn_unblock(tr_core *core, tr_turn *turn) {
  tr_agent *agent = turn->agent;
  if (turn->state == TR_TURN_ENDED) {
    /* While tr_turn_end still holds it, that finishes it. */
    if (core->serving == turn) return;
    finish(core, turn);
  } else if (turn->state == TR_TURN_WAITING && tr_turn_own(turn)->woken) {
    turn->state = TR_TURN_READY;
    push_ready(core, turn, false);
  }
  if (tr_agent_wants(agent)) tr_agent_ready(core, agent);
}

/* Its caller gave up, and nobody is answered; or it is one from a door whose time is over. The class closes it. Only where it waits: code
 * that computes is not cut short. */
static TR_COLD void end_cancelled(tr_core *core, tr_turn *turn) {
  const tr_class *class_ = turn->agent->class_;
  tr_turn_entry *own = tr_turn_own(turn);
  turn->state = TR_TURN_RUNNING;
  class_->ops->cancel(class_->ud, turn);
  if (own->error) { /* broken off: a failure, which is told */
    tr_error why = *own->error;
    tr_turn_fail(turn, why.code, why.text);
    tr_turn_end(core, turn);
    return;
  }
  tr_turn_own(turn)->failed = true;
  drop_outbox(turn);
  core->stats.cancelled++;
  if (turn->msg->cancelled) turn->msg->reply_to.answer = NULL;
  else tr_call_time_out(turn->msg);
  tr_turn_end(core, turn);
}

/* The core's own calls have their deadlines in calls.c. What came by a door ends at its own, should nobody say so. */
static TR_APART void watch_deadline(tr_core *core, tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (turn->deadline == TR_NEVER || own->deferred) return;
  if (!tr_timer_running(&own->limit)) tr_timer_start(core->timers, &own->limit, turn->deadline, time_is_up);
}

void tr_turn_run(tr_core *core, tr_turn *turn) {
  tr_agent *agent = turn->agent;
  tr_turn_entry *own = tr_turn_own(turn);
  bool waited = turn->state == TR_TURN_READY;
  if (turn->state == TR_TURN_YIELDED) agent->state &= ~(uint32_t)TR_AGENT_YIELDED;
  turn->state = TR_TURN_RUNNING;
  own->woken = false;
  core->serving = turn;
  if (waited && own->cancelled) {
    end_cancelled(core, turn);
    core->serving = NULL;
    return;
  }
  int result = agent->class_->ops->run(agent->class_->ud, turn);
  turn->started = true;
  if (result == TR_RUN_DONE || own->failed) {
    tr_turn_end(core, turn);
  } else if (result == TR_RUN_WAIT) {
    turn->state = TR_TURN_WAITING;
    tr_turn_flush(turn);
    if (own->starved) tr_waits_starved(turn);
    if (turn->msg && turn->msg->from_wire) watch_deadline(core, turn);
    if (tr_turn_cancelled(turn)) own->cancelled = own->woken = true;
    if (turn->state == TR_TURN_WAITING && own->woken && !turn->outbox.blocked) tr_turn_wake(turn);
  } else if (turn->outbox.blocked) { /* it let go of its outbox, and some of that waits for room */
    turn->state = TR_TURN_WAITING;
    own->woken = true;
  } else {
    turn->state = TR_TURN_YIELDED;
    agent->state |= TR_AGENT_YIELDED;
    push_ready(core, turn, true);
  }
  core->serving = NULL;
}

bool tr_turn_break(tr_turn *turn, int code, const char *text) {
  tr_turn_entry *own = tr_turn_own(turn);
  if (turn->state != TR_TURN_WAITING && turn->state != TR_TURN_READY) return false;
  if (!own->error) own->error = TR_NEW(tr_agent_core(turn->agent)->mem, tr_error);
  if (!own->error) return false;
  tr_error_init(own->error);
  tr_error_set(own->error, code, "%s", text);
  give_up(turn);
  return true;
}

void tr_turn_abort(tr_core *core, tr_turn *turn, int code, const char *text) {
  tr_turn_entry *own = tr_turn_own(turn);
  const tr_class *class_ = turn->agent->class_;
  if (turn->state != TR_TURN_ENDED) {
    class_->ops->cancel(class_->ud, turn);
    drop_outbox(turn);
    bool waited_for = turn->msg && turn->msg->kind == TR_MSG_REQUEST && !own->failed && !own->deferred;
    if (waited_for) tr_msg_fail(turn->msg, code, text);
  }
  detach_calls(turn);
  tr_parking_forget(turn);
  finish(core, turn);
}
