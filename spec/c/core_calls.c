/* SPDX-License-Identifier: MIT
 * Requests: every one is answered exactly once; deadlines, chains, circles, late and early answers. */
#include "core_kit.h"

CHECK_CASE(a_request_is_answered_with_a_type_and_a_body) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  kit_call("a", "Ask", "one");
  CHECK_INT(kit_stats().open_calls, ==, 1);
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Ask; one=Done; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

static int run_silent(void *ud, tr_turn *turn) {
  (void)ud;
  (void)turn;
  return TR_RUN_DONE;
}

CHECK_CASE(a_turn_without_a_reply_answers_null) {
  kit_open();
  kit_class("a", run_silent, NULL);
  kit_call("a", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "one=null; ");
  kit_close();
}

static int run_fails(void *ud, tr_turn *turn) {
  (void)ud;
  kit_turn_reply(turn, "Unheard");
  tr_turn_fail(turn, TR_ECANT_HANDLE, tr_slice_is(kit_type(turn), "Bare") ? NULL : "what is that");
  tr_turn_fail(turn, TR_EHANDLER, "the first counts");
  kit_turn_reply(turn, "Unheard");
  return TR_RUN_DONE;
}

CHECK_CASE(a_failed_turn_answers_with_its_error) {
  kit_open();
  kit_class("a", run_fails, NULL);
  kit_call("a", "Ask", "one");
  kit_call("a", "Bare", "two");
  kit_step();
  CHECK_STR(kit_heard(), "one=cant_handle: what is that; two=cant_handle: the agent has no handler for this message type; ");
  CHECK_INT(kit_stats().failures, ==, 2);
  kit_close();
}

CHECK_CASE(an_unknown_agent_type_is_not_found_at_once) {
  kit_open();
  kit_class("worker1", run_silent, NULL);
  kit_call("wroker1", "Ask", "one");
  CHECK_STR(kit_heard(), ""); /* not inside tr_core_call: the caller has no call yet */
  CHECK_INT(K.wakes, ==, 1);
  kit_step();
  CHECK_STR(kit_heard(), "one=not_found: no agent type \"wroker1\" here (did you mean \"worker1\"?); ");
  CHECK_INT(kit_send("xyz", "Note"), ==, TR_ENOT_FOUND);
  CHECK_STR(kit_heard(), "dead Note not_found; ");
  CHECK_INT(kit_stats().dead_letters, ==, 1);
  kit_close();
}

/* ---- deadlines ---- */

static tr_turn *held;
static int starts;
static int run_holds(void *ud, tr_turn *turn) {
  (void)ud;
  held = turn;
  starts += !turn->started;
  return kit_phase(turn) == 0 ? TR_RUN_WAIT : TR_RUN_DONE;
}

/* Its answer comes when the case gives it. */
static tr_msg *owed;
static int run_owes(void *ud, tr_turn *turn) {
  (void)ud;
  owed = tr_msg_ref(turn->msg);
  tr_turn_defer(turn);
  return TR_RUN_DONE;
}

static void give_owed(tr_msg *request) {
  tr_reply reply = { .body = { .kind = TR_BODY_NULL } };
  tr_msg_answer(request, &reply);
  tr_msg_unref(request);
}

CHECK_CASE(a_call_ends_at_its_deadline_and_a_late_answer_is_counted) {
  kit_open();
  kit_class("a", run_owes, NULL);
  kit_call_until("a", "Ask", "one", K.now + TR_SECONDS(30));
  kit_advance(TR_SECONDS(30) - 1);
  CHECK_STR(kit_heard(), "");
  kit_advance(1);
  CHECK_STR(kit_heard(), "one=timeout: a/default did not answer within the deadline; ");
  CHECK_INT(kit_stats().open_calls, ==, 0);
  CHECK(owed->cancelled);
  give_owed(owed);
  kit_step();
  CHECK_STR(kit_heard(), "");
  CHECK_INT(kit_stats().late_replies, ==, 1);
  kit_close();
}

CHECK_CASE(a_deadline_ends_the_turn_that_handles_it) {
  kit_open();
  kit_class("a", run_holds, NULL);
  kit_call_until("a", "Ask", "one", K.now + TR_SECONDS(5));
  kit_step();
  CHECK(!tr_turn_cancelled(held));
  kit_advance(TR_SECONDS(5));
  CHECK_STR(kit_heard(), "one=timeout: a/default did not answer within the deadline; cancel a/default; ");
  CHECK_INT(kit_stats().cancelled, ==, 1);
  CHECK_INT(kit_stats().late_replies, ==, 0);
  CHECK(tr_core_idle(K.core));
  kit_close();
}

/* As a door's: nobody here calls. */
static int told_code;
static void told(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)ud;
  (void)token;
  (void)request;
  told_code = reply->code;
}

CHECK_CASE(a_request_from_a_door_ends_at_its_own_deadline) {
  kit_open();
  kit_class("a", run_holds, NULL);
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "a", "Ask");
  msg->from_wire = true;
  msg->deadline = K.now + TR_SECONDS(5);
  msg->reply_to.answer = told;
  tr_core_post(K.core, msg);
  kit_advance(TR_SECONDS(4));
  CHECK_STR(kit_heard(), "");
  kit_advance(TR_SECONDS(1));
  CHECK_STR(kit_heard(), "cancel a/default; ");
  CHECK_INT(told_code, ==, TR_ETIMEOUT);
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_door_cancels_what_it_brought) {
  kit_open();
  kit_class("a", run_holds, NULL);
  tr_msg *first = tr_msg_ref(kit_msg(TR_MSG_REQUEST, "a", "Ask")), *second = tr_msg_ref(kit_msg(TR_MSG_REQUEST, "a", "Ask"));
  tr_core_post(K.core, first);
  tr_core_post(K.core, second);
  kit_step();
  CHECK(first->holder && !second->holder);
  tr_msg_cancel(second); /* it lies in the mailbox */
  tr_msg_cancel(first);
  tr_msg_cancel(first);
  kit_step();
  CHECK(!first->holder);
  CHECK_STR(kit_heard(), "cancel a/default; ");
  CHECK_INT(starts, ==, 1);
  CHECK(tr_core_quiet(K.core));
  tr_msg_unref(first);
  tr_msg_unref(second);
  kit_close();
}

CHECK_CASE(a_request_that_expired_in_the_mailbox_is_not_handled) {
  kit_open();
  kit_class("a", run_holds, NULL);
  kit_send("a", "Hold");
  kit_step();
  kit_call_until("a", "Ask", "one", K.now + TR_MILLISECONDS(5));
  kit_advance(TR_SECONDS(1));
  CHECK_STR(kit_heard(), "one=timeout: a/default did not answer within the deadline; ");
  tr_turn_wake(held);
  kit_step();
  CHECK_INT(starts, ==, 1); /* only the old turn ran again */
  CHECK(tr_core_idle(K.core));
  kit_close();
}

static int run_relay(void *ud, tr_turn *turn) {
  (void)ud;
  if (kit_phase(turn) > 0) return TR_RUN_DONE;
  tr_call *call = kit_turn_call(turn, "a", "Ask");
  CHECK(call != NULL);
  return TR_RUN_WAIT;
}

CHECK_CASE(a_callees_calls_inherit_the_rest_of_the_deadline) {
  kit_open();
  kit_class("a", run_holds, NULL);
  kit_class("relay", run_relay, NULL);
  kit_call_until("relay", "Go", "one", K.now + TR_SECONDS(5));
  kit_step();
  CHECK_INT(held->deadline, ==, K.now + TR_SECONDS(5));
  CHECK(held->chain != 0 && held->chain == held->msg->chain);
  kit_advance(TR_SECONDS(6));
  /* both deadlines are the same moment: the outer caller and the relay hear of it */
  CHECK_STR(kit_heard(), "one=timeout: relay/default did not answer within the deadline; "
                         "relay=timeout: a/default did not answer within the deadline; "
                         "cancel relay/default; cancel a/default; ");
  kit_close();
}

CHECK_CASE(a_late_answer_does_not_reach_a_newer_call) {
  kit_open();
  kit_class("a", run_owes, NULL);
  kit_class("b", run_holds, NULL);
  kit_call_until("a", "Ask", "old", K.now + TR_SECONDS(1));
  kit_step();
  kit_advance(TR_SECONDS(1));
  kit_heard();
  kit_call("b", "Ask", "new"); /* takes the place of the old one */
  kit_step();
  give_owed(owed);
  kit_step();
  CHECK_STR(kit_heard(), "");
  CHECK_INT(kit_stats().late_replies, ==, 1);
  CHECK_INT(kit_stats().open_calls, ==, 1);
  kit_close();
}

CHECK_CASE(a_clock_that_goes_back_stands_still) {
  kit_open();
  tr_core_step(K.core, K.now - 5, 0);
  CHECK_INT(tr_core_now(K.core), ==, K.now);
  tr_core_set_now(K.core, K.now + 5);
  CHECK_INT(tr_core_now(K.core), ==, K.now + 5);
  kit_close();
}

CHECK_CASE(a_cancelled_call_is_dropped_from_the_mailbox) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  tr_call_cancel(kit_call("a", "Ask", "one"));
  tr_call_cancel(NULL);
  CHECK_INT(kit_stats().open_calls, ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "");
  CHECK_INT(kit_stats().queued, ==, 0);
  CHECK_INT(kit_stats().late_replies, ==, 0);
  kit_close();
}

static int run_waits_until_cancelled(void *ud, tr_turn *turn) {
  (void)ud;
  kit_say("%s", turn->started ? "again" : "begun");
  kit_turn_send(turn, "b", turn->started ? "Again" : "First");
  return TR_RUN_WAIT;
}

CHECK_CASE(a_cancelled_call_ends_the_turn_that_handles_it) {
  kit_open();
  kit_class("a", run_waits_until_cancelled, NULL);
  kit_class("b", kit_run_says, NULL);
  tr_call *call = kit_call("a", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "begun; b/default:First; ");
  tr_call_cancel(call);
  CHECK_INT(K.cancels, ==, 0); /* in its own slot */
  kit_step();
  CHECK_STR(kit_heard(), "cancel a/default; ");
  CHECK_INT(K.cancels, ==, 1);
  CHECK_INT(kit_stats().open_turns, ==, 0);
  CHECK_INT(kit_stats().failures, ==, 0);
  kit_close();
}

static void cancels_itself(void *ud, tr_call *call, tr_reply *reply) {
  kit_said_reply(ud, call, reply);
  tr_call_cancel(call);
}

CHECK_CASE(a_callback_may_cancel_its_own_call) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  tr_core_call(K.core, kit_msg(TR_MSG_REQUEST, "a", "Ask"), cancels_itself, (void *)(uintptr_t) "one");
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Ask; one=Done; ");
  kit_close();
}

/* ---- exactly once ---- */

static int answers;
static void count_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)ud;
  (void)request;
  CHECK_INT(token, ==, 7);
  CHECK(reply->code == 0 || reply->error.n > 0);
  answers++;
  kit_say("%s", tr_error_name(reply->code));
}

static tr_msg *door_request(const char *target) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, target, "Ask");
  msg->from_wire = true;
  msg->reply_to = (tr_reply_to){ count_answer, NULL, 7, NULL };
  return msg;
}

CHECK_CASE(a_request_is_answered_once_whoever_tries_more_often) {
  kit_open();
  tr_msg *msg = door_request("a");
  tr_msg_fail(msg, TR_EHANDLER, "");
  tr_msg_fail(msg, TR_EHANDLER, "again");
  tr_msg_unref(msg);
  CHECK_STR(kit_heard(), "handler_error; ");
  CHECK_INT(kit_stats().late_replies, ==, 1);
  msg = door_request("a");
  tr_msg_ref(msg);
  tr_msg_unref(msg);
  CHECK_STR(kit_heard(), "");
  tr_msg_unref(msg); /* the last reference */
  CHECK_STR(kit_heard(), "unavailable; ");
  kit_close();
}

CHECK_CASE(a_reply_that_nobody_takes_is_released) {
  kit_open();
  tr_msg *msg = door_request("a");
  tr_reply reply = { .body = { .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(check_mem(), tr_slice_of("x")) } };
  tr_msg_answer(msg, &reply);
  CHECK_INT(reply.body.kind, ==, TR_BODY_NONE);
  reply.body = (tr_body){ .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(check_mem(), tr_slice_of("y")) };
  tr_msg_answer(msg, &reply); /* too late, and released all the same */
  CHECK_INT(reply.body.kind, ==, TR_BODY_NONE);
  tr_msg_unref(msg);
  kit_close();
}

static int run_defers(void *ud, tr_turn *turn) {
  tr_msg **kept = ud;
  *kept = tr_msg_ref(turn->msg);
  tr_turn_defer(turn);
  return TR_RUN_DONE;
}

CHECK_CASE(an_answer_may_be_given_after_the_turn) {
  tr_msg *kept = NULL;
  kit_open();
  tr_class_set_ud(kit_class("a", run_defers, NULL), &kept);
  kit_call("a", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "");
  tr_reply reply = { .type = kept->type };
  tr_msg_answer(kept, &reply);
  CHECK_STR(kit_heard(), "one=Ask; ");
  tr_msg_unref(kept);
  kit_close();
}

/* ---- chains ---- */

static int run_asks(void *ud, tr_turn *turn) { /* "Go": asks ud; "Back": says so; else: asks back */
  const char *next = ud;
  kit_run_says(ud, turn);
  if (tr_slice_is(kit_type(turn), "Back") || kit_phase(turn) > 0) return TR_RUN_DONE;
  kit_turn_call(turn, next, tr_slice_is(kit_type(turn), "Go") ? "There" : "Back");
  return TR_RUN_WAIT;
}

CHECK_CASE(a_calls_b_calls_a_answers_ahead_of_other_mail) {
  kit_open();
  tr_class_set_ud(kit_class("a", run_asks, NULL), (void *)(uintptr_t) "b");
  tr_class_set_ud(kit_class("b", run_asks, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  kit_send("a", "Back"); /* other mail: waits until the turn is over */
  kit_step();
  CHECK_STR(kit_heard(), "a/default:Go; +b/default:There; +a/default:Back; b=Done; +b/default:There; a=Done; a/default:Go; "
                         "a/default:Back; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_chain_passes_a_full_mailbox) {
  kit_open();
  tr_class_set_ud(kit_class("a", run_asks, &(kit_class_options){ .limit = 1, .overflow = TR_OVERFLOW_REFUSE }), (void *)(uintptr_t) "b");
  tr_class_set_ud(kit_class("b", run_asks, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  tr_core_step(K.core, K.now, 1);
  kit_send("a", "Back"); /* fills it */
  CHECK_INT(kit_send("a", "Back"), ==, TR_EOVERLOADED);
  kit_step();
  CHECK(strstr(kit_heard(), "b=Done; ") != NULL);
  kit_close();
}

/* Two agents, each in a chain of its own, call each other. */
static int run_cross(void *ud, tr_turn *turn) {
  if (!tr_slice_is(kit_type(turn), "Go")) return kit_run_says(ud, turn);
  if (kit_phase(turn) > 0) return TR_RUN_DONE;
  kit_turn_call(turn, ud, "Ask");
  return TR_RUN_WAIT;
}

CHECK_CASE(a_circle_of_two_is_a_deadlock_at_once) {
  kit_open();
  tr_class_set_ud(kit_class("a", run_cross, NULL), (void *)(uintptr_t) "b");
  tr_class_set_ud(kit_class("b", run_cross, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  kit_send("b", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "b=deadlock: calling a/default closes a circle of waiting agents; +b/default:Ask; a=Done; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_circle_of_four_is_a_deadlock_and_a_chain_of_four_is_not) {
  kit_open();
  const char *names[] = { "a", "b", "c", "d" };
  for (int i = 0; i < 4; i++) tr_class_set_ud(kit_class(names[i], run_cross, NULL), (void *)(uintptr_t)names[(i + 1) % 4]);
  for (int i = 0; i < 3; i++) kit_send(names[i], "Go");
  kit_step();
  CHECK_STR(kit_heard(), "+d/default:Ask; c=Done; +c/default:Ask; b=Done; +b/default:Ask; a=Done; ");
  for (int i = 0; i < 4; i++) kit_send(names[i], "Go");
  kit_step();
  CHECK_STR(kit_heard(), "d=deadlock: calling a/default closes a circle of waiting agents; +d/default:Ask; c=Done; "
                         "+c/default:Ask; b=Done; +b/default:Ask; a=Done; ");
  kit_close();
}

CHECK_CASE(a_reentrant_agent_in_the_circle_lets_it_pass) {
  kit_open();
  tr_class_set_ud(kit_class("a", run_cross, &(kit_class_options){ .reentrant = true }), (void *)(uintptr_t) "b");
  tr_class_set_ud(kit_class("b", run_cross, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  kit_send("b", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Ask; b=Done; +b/default:Ask; a=Done; ");
  kit_close();
}

/* a waits for nothing but time while a call of it is open in the background; then it waits for the call. */
static tr_call *future;
static tr_turn *dreamer;
static int run_future(void *ud, tr_turn *turn) {
  if (!tr_slice_is(kit_type(turn), "Go")) return kit_run_says(ud, turn);
  switch (kit_phase(turn)) {
  case 0:
    dreamer = turn;
    future = kit_turn_call(turn, "b", "Ask");
    tr_call_background(future, true);
    return TR_RUN_WAIT;
  case 1:
    tr_call_background(future, false);
    return TR_RUN_WAIT;
  default: return TR_RUN_DONE;
  }
}

CHECK_CASE(a_call_in_the_background_closes_no_circle_until_it_is_waited_for) {
  kit_open();
  kit_class("a", run_future, NULL);
  tr_class_set_ud(kit_class("b", run_cross, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  kit_send("b", "Go");
  tr_core_step(K.core, K.now, 2);
  CHECK_STR(kit_heard(), ""); /* both wait; a's is in the background */
  kit_step();
  CHECK_STR(kit_heard(), "");
  tr_turn_wake(dreamer); /* now it waits for b as well */
  kit_step();
  kit_advance(TR_MILLISECONDS(1));
  CHECK_STR(kit_heard(), "a=deadlock: waiting for b/default closes a circle of waiting agents; +a/default:Ask; b=Done; ");
  kit_close();
}

CHECK_CASE(a_turn_that_calls_its_own_agent_is_answered) {
  kit_open();
  tr_class_set_ud(kit_class("a", run_cross, NULL), (void *)(uintptr_t) "a");
  kit_send("a", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Ask; a=Done; ");
  kit_close();
}

CHECK_CASE(a_program_in_a_circle_is_told) {
  kit_open();
  tr_class *class_ = kit_class("main", run_relay, &(kit_class_options){ .exclusive_init = true });
  tr_class_set_ud(kit_class("a", run_cross, NULL), (void *)(uintptr_t) "main");
  tr_agent_start(tr_class_get(class_, tr_slice_of("default"), NULL));
  kit_send("a", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "a=deadlock: calling main/default closes a circle of waiting agents; +a/default:Ask; main=Done; ");
  kit_close();
}

/* ---- calls of turns that fail ---- */

static int run_call_then_fail(void *ud, tr_turn *turn) {
  (void)ud;
  if (kit_phase(turn) == 0) {
    kit_turn_call(turn, "b", "First");
    return TR_RUN_WAIT;
  }
  tr_call *call = kit_turn_call(turn, "b", "Second");
  tr_turn_fail(turn, TR_EHANDLER, NULL);
  tr_call_cancel(call); /* too late, and harmless: it went with the outbox */
  return TR_RUN_DONE;
}

CHECK_CASE(a_failed_turns_unsent_calls_are_as_if_never_made) {
  kit_open();
  kit_class("a", run_call_then_fail, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "+b/default:First; a=Done; ");
  CHECK_INT(kit_stats().open_calls, ==, 0);
  CHECK_INT(kit_stats().late_replies, ==, 0);
  kit_close();
}

static int run_leaves_call_open(void *ud, tr_turn *turn) {
  (void)ud;
  tr_turn_call(turn, kit_msg(TR_MSG_REQUEST, "a", "Ask"), kit_said_reply, (void *)(uintptr_t) "later");
  return TR_RUN_DONE;
}

CHECK_CASE(a_call_outlives_the_turn_that_made_it) {
  kit_open();
  kit_class("a", run_holds, NULL);
  kit_class("f", run_leaves_call_open, NULL);
  kit_send("f", "Go");
  kit_step();
  CHECK_INT(kit_stats().open_turns, ==, 1);
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "later=null; ");
  kit_close();
}

/* ---- doors ---- */

typedef struct door { tr_dest dest; const char *name; bool answers; } door;
static void door_event(tr_dest *dest, tr_msg *msg) { kit_say("%s! %s", ((door *)dest)->name, msg->type->text); }
static void door_request_fn(tr_dest *dest, tr_msg *msg) {
  door *self = (door *)dest;
  kit_say("%s? %s/%s", self->name, msg->target_type->text, msg->target_key->text);
  if (self->answers && msg->kind == TR_MSG_REQUEST) {
    tr_reply reply = { .type = msg->type };
    tr_msg_answer(msg, &reply);
  }
}
static const tr_dest_ops door_ops = { door_event, door_request_fn };

CHECK_CASE(what_nobody_here_owns_goes_to_its_owner_or_up) {
  door client = { .name = "client", .answers = true }, up = { .name = "up" }, up2 = { .name = "up2", .answers = true };
  kit_open();
  tr_dest_init(&client.dest, &door_ops);
  tr_dest_init(&up.dest, &door_ops);
  tr_dest_init(&up2.dest, &door_ops);
  tr_router_register(tr_core_router(K.core), tr_slice_of("theirs"), &client.dest, NULL);
  tr_core_add_uplink(K.core, &up.dest);
  tr_core_add_uplink(K.core, &up2.dest);
  kit_call("theirs/1", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "client? theirs/1; one=Ask; ");
  kit_call("else", "Ask", "two"); /* the uplink drops it: answered all the same */
  kit_step();
  CHECK_STR(kit_heard(), "up? else/default; two=unavailable: the request was dropped without an answer; ");
  up.dest.away = true;
  kit_call("else", "Ask", "three");
  kit_step();
  CHECK_STR(kit_heard(), "up2? else/default; three=Ask; ");
  client.dest.away = true;
  kit_call("theirs", "Ask", "four");
  kit_step();
  CHECK_STR(kit_heard(), "four=unavailable: the process that has this agent is away; ");
  answers = 0;
  CHECK_INT(tr_core_post(K.core, door_request("else")), ==, TR_ENOT_FOUND); /* from a door: not out again */
  CHECK_STR(kit_heard(), "not_found; ");
  kit_publish("t", "Note");
  CHECK_STR(kit_heard(), "up! Note; up2! Note; ");
  tr_msg *event = kit_msg(TR_MSG_EVENT, "t", "Note");
  event->from_wire = true;
  tr_core_post(K.core, event);
  CHECK_STR(kit_heard(), "");
  tr_core_remove_uplink(K.core, &up.dest);
  kit_publish("t", "Note");
  CHECK_STR(kit_heard(), "up2! Note; ");
  tr_router_subscribe(tr_core_router(K.core), TR_SUB_TYPE, tr_slice_of("1"), tr_slice_of("t"), tr_slice_of("theirs"), &client.dest,
                      NULL, NULL);
  kit_publish("t", "Note");
  CHECK_STR(kit_heard(), "client! Note; up2! Note; ");
  tr_router_forget(tr_core_router(K.core), &client.dest);
  kit_close();
}
