/* SPDX-License-Identifier: MIT
 * Turns: order, outbox, failing, waiting, yielding, the scheduler's fairness, recovery. */
#include <setjmp.h>
#include <stdio.h>

#include "core_kit.h"

CHECK_CASE(messages_are_handled_one_by_one_in_order) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  CHECK_INT(kit_send("a", "One"), ==, 0);
  CHECK_INT(kit_send("a", "Two"), ==, 0);
  CHECK_INT(kit_send("a/other", "Three"), ==, 0);
  CHECK_INT(K.wakes, ==, 1); /* told once, not per message */
  CHECK(!tr_core_idle(K.core));
  kit_step();
  CHECK_STR(kit_heard(), "a/default:One; a/default:Two; a/other:Three; ");
  CHECK(tr_core_idle(K.core) && tr_core_quiet(K.core));
  kit_send("a", "Four");
  CHECK_INT(K.wakes, ==, 2);
  kit_step();
  CHECK_INT(kit_stats().turns, ==, 4);
  CHECK_INT(kit_stats().agents, ==, 2);
  kit_close();
}

CHECK_CASE(an_agent_type_is_checked_and_has_one_class) {
  tr_error error = { 0 };
  tr_class_ops ops = { 0 };
  tr_class_options options = { .type = tr_slice_of("a"), .ops = &ops };
  kit_open();
  CHECK_INT(tr_core_add_class(K.core, &options, NULL, &error), ==, TR_EINVALID); /* no run */
  kit_class("a", kit_run_says, NULL);
  ops.run = kit_run_says;
  ops.cancel = (void (*)(void *, tr_turn *))0;
  tr_error_init(&error);
  CHECK_INT(tr_core_add_class(K.core, &options, NULL, &error), ==, TR_EINVALID); /* no cancel */
  options.type = tr_slice_of("a b");
  tr_error_init(&error);
  CHECK_INT(tr_core_add_class(K.core, &options, NULL, &error), ==, TR_EINVALID);
  CHECK(strstr(error.text, "a b") != NULL);
  CHECK(tr_core_find_class(K.core, tr_slice_of("a")) != NULL);
  CHECK(tr_core_find_class(K.core, tr_slice_of("b")) == NULL);
  kit_close();
}

/* ---- the outbox ---- */

static int run_two_sends(void *ud, tr_turn *turn) {
  (void)ud;
  int phase = kit_phase(turn);
  kit_say("sends");
  kit_turn_send(turn, "b", phase == 0 ? "One" : "Three");
  kit_turn_send(turn, "b", phase == 0 ? "Two" : "Four");
  if (phase == 1) tr_turn_fail(turn, TR_EHANDLER, "oops");
  if (phase == 0 && tr_slice_is(kit_type(turn), "Wait")) {
    tr_turn_wake(turn);
    return TR_RUN_WAIT;
  }
  return TR_RUN_DONE;
}

CHECK_CASE(what_a_turn_sends_goes_out_at_its_end_in_order) {
  kit_open();
  kit_class("a", run_two_sends, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "sends; b/default:One; b/default:Two; ");
  kit_close();
}

CHECK_CASE(a_failed_turn_sends_nothing_of_what_it_sent_since_its_last_wait) {
  kit_open();
  kit_class("a", run_two_sends, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Wait");
  kit_step();
  CHECK_STR(kit_heard(), "sends; b/default:One; b/default:Two; sends; ");
  CHECK_INT(kit_stats().failures, ==, 1);
  kit_close();
}

static int run_flush(void *ud, tr_turn *turn) {
  (void)ud;
  kit_turn_send(turn, "b", "One");
  tr_turn_flush(turn);
  kit_turn_send(turn, "b", "Two");
  CHECK_INT(tr_core_step(K.core, K.now, 0), ==, 1); /* not re-entrant: does nothing */
  kit_say("flushed");
  tr_turn_fail(turn, TR_EHANDLER, NULL);
  CHECK_INT(kit_turn_send(turn, "b", "Three"), ==, TR_ECANCELLED);
  return TR_RUN_DONE;
}

CHECK_CASE(a_flushed_outbox_is_gone_even_if_the_turn_fails) {
  kit_open();
  kit_class("a", run_flush, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "flushed; b/default:One; ");
  kit_close();
}

/* ---- waiting, yielding ---- */

static tr_turn *waiting;
static int run_keeps_turn(void *ud, tr_turn *turn) {
  waiting = turn;
  return kit_run_waits(ud, turn);
}

CHECK_CASE(an_agent_that_waits_takes_no_other_message) {
  kit_open();
  kit_class("a", run_keeps_turn, NULL);
  kit_send("a", "One");
  kit_send("a", "Two");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:One; ");
  CHECK_INT(kit_stats().open_turns, ==, 1);
  CHECK_INT(tr_agent_mail_count(kit_agent("a")), ==, 1);
  tr_turn_wake(waiting);
  tr_turn_wake(waiting); /* harmless */
  kit_step();
  CHECK_STR(kit_heard(), "a/default:One; a/default:Two; ");
  tr_turn_wake(waiting);
  kit_step();
  CHECK(tr_core_idle(K.core));
  kit_close();
}

CHECK_CASE(a_reentrant_agent_takes_more_while_it_waits) {
  kit_open();
  kit_class("a", run_keeps_turn, &(kit_class_options){ .reentrant = true });
  kit_send("a", "One");
  kit_send("a", "Two");
  kit_step();
  tr_turn *second = waiting;
  CHECK_STR(kit_heard(), "a/default:One; a/default:Two; ");
  tr_turn *first = second->below;
  CHECK(first != NULL && first->below == NULL);
  tr_turn_wake(first);
  kit_step();
  CHECK_STR(kit_heard(), "a/default:One; ");
  CHECK(kit_agent("a")->turn == second && second->below == NULL);
  tr_turn_wake(second);
  kit_step();
  CHECK(tr_core_idle(K.core));
  kit_close();
}

static int spins;
static int run_spins(void *ud, tr_turn *turn) {
  (void)ud;
  kit_say("%s", turn->started ? "on" : "start");
  return kit_phase(turn) < spins ? TR_RUN_YIELD : TR_RUN_DONE;
}

CHECK_CASE(a_turn_that_yields_leaves_the_others_their_share) {
  kit_open();
  spins = 3;
  kit_class("loop", run_spins, &(kit_class_options){ .reentrant = true });
  kit_class("b", kit_run_says, NULL);
  kit_send("loop", "Go");
  kit_send("loop", "Go");
  kit_send("b/1", "X");
  kit_send("b/2", "X");
  kit_step();
  /* the second Go waits, though the agent is reentrant: the first is not at a wait */
  CHECK_STR(kit_heard(), "start; b/1:X; b/2:X; on; on; on; start; on; on; on; ");
  kit_close();
}

static tr_turn *first_turn;
static int run_pre_empted(void *ud, tr_turn *turn) {
  (void)ud;
  int phase = kit_phase(turn);
  kit_say("%.*s%d", TR_SLICE_ARG(kit_type(turn)), phase);
  if (tr_slice_is(kit_type(turn), "Wait")) {
    first_turn = turn;
    return phase == 0 ? TR_RUN_WAIT : TR_RUN_DONE;
  }
  if (phase == 0) return TR_RUN_WAIT;
  if (phase == 1) tr_turn_wake(first_turn);
  return phase < 3 ? TR_RUN_YIELD : TR_RUN_DONE;
}

CHECK_CASE(between_two_waits_no_other_turn_of_the_agent_runs) {
  kit_open();
  kit_class("a", run_pre_empted, &(kit_class_options){ .reentrant = true });
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Wait");
  kit_send("a", "Spin");
  kit_step();
  tr_turn *spin = first_turn == kit_agent("a")->turn ? NULL : kit_agent("a")->turn;
  tr_turn_wake(spin);
  kit_step();
  CHECK_STR(kit_heard(), "Wait0; Spin0; Spin1; Spin2; Spin3; Wait1; ");
  /* the same where the other one is ready before */
  kit_send("a", "Wait");
  kit_send("a", "Spin");
  kit_step();
  spin = kit_agent("a")->turn;
  tr_turn_wake(spin);
  tr_turn_wake(first_turn);
  kit_send("b", "X"); /* another agent does */
  kit_step();
  CHECK_STR(kit_heard(), "Wait0; Spin0; Spin1; b/default:X; Spin2; Spin3; Wait1; ");
  kit_close();
}

static int run_ping(void *ud, tr_turn *turn) {
  static int count;
  kit_run_says(ud, turn);
  if (count++ < 6) kit_turn_send(turn, "a", "Self");
  return TR_RUN_DONE;
}

CHECK_CASE(an_agent_that_sends_to_itself_does_not_starve_others) {
  kit_open();
  kit_class("a", run_ping, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_send("a", "Go");
  kit_send("b", "X");
  kit_send("b", "Y");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:Go; b/default:X; b/default:Y; a/default:Self; a/default:Self; a/default:Self; "
                         "a/default:Self; a/default:Self; a/default:Self; ");
  kit_close();
}

static long handled[2];
static int run_counts(void *ud, tr_turn *turn) {
  (void)ud;
  handled[tr_slice_is(tr_name_view(turn->agent->key), "busy")]++;
  return TR_RUN_DONE;
}

CHECK_CASE(a_slot_has_at_most_64_messages) {
  kit_open();
  kit_class("a", run_counts, NULL);
  for (int i = 0; i < 200; i++) kit_send("a/busy", "X");
  kit_send("a/other", "X");
  CHECK_INT(tr_core_step(K.core, K.now, 65), ==, 1);
  CHECK_INT(handled[1], ==, 64);
  CHECK_INT(handled[0], ==, 1);
  kit_close();
}

CHECK_CASE(a_step_runs_at_most_so_many_turns) {
  kit_open();
  kit_class("a", run_counts, NULL);
  for (int i = 0; i < 10; i++) kit_send("a/busy", "X");
  CHECK_INT(tr_core_step(K.core, K.now, 3), ==, 1);
  CHECK_INT(handled[1], ==, 3);
  CHECK_INT(tr_core_next_deadline(K.core), ==, K.now);
  CHECK_INT(tr_core_step(K.core, K.now, 7), ==, 0);
  CHECK_INT(handled[1], ==, 10);
  CHECK_INT(tr_core_next_deadline(K.core), ==, TR_NEVER);
  kit_close();
}

/* ---- INIT ---- */

CHECK_CASE(init_runs_before_the_first_message) {
  kit_open();
  kit_class("a", kit_run_says, &(kit_class_options){ .has_init = true });
  kit_send("a", "One");
  kit_send("a", "Two");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:init; a/default:One; a/default:Two; ");
  kit_close();
}

CHECK_CASE(mail_waits_while_init_waits_even_for_a_reentrant_agent) {
  kit_open();
  kit_class("a", run_keeps_turn, &(kit_class_options){ .has_init = true, .reentrant = true });
  kit_send("a", "One");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:init; ");
  tr_turn_wake(waiting);
  kit_step();
  CHECK_STR(kit_heard(), "a/default:init; a/default:One; ");
  kit_close();
}

static int broken = 1;
static int run_init_fails(void *ud, tr_turn *turn) {
  if (turn->kind == TR_TURN_INIT && broken) {
    kit_say("init");
    tr_turn_fail(turn, TR_EHANDLER, "no luck");
    return TR_RUN_DONE;
  }
  return kit_run_says(ud, turn);
}

CHECK_CASE(a_failing_init_answers_all_who_wait_and_the_next_message_tries_again) {
  kit_open();
  kit_class("a", run_init_fails, &(kit_class_options){ .has_init = true });
  kit_call("a", "Ask", "one");
  kit_call("a", "Ask", "two");
  kit_send("a", "Note");
  kit_step();
  CHECK_STR(kit_heard(), "init; one=handler_error: no luck; two=handler_error: no luck; dead Note handler_error; drop a/default; ");
  CHECK(kit_agent("a") == NULL);
  CHECK_INT(kit_stats().agents, ==, 0);
  broken = 0;
  kit_call("a", "Ask", "three");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:init; +a/default:Ask; three=Done; ");
  kit_close();
}

static int make_fails(void *ud, tr_agent *agent, tr_error *error) {
  (void)ud;
  (void)agent;
  return broken ? tr_error_set(error, TR_ECONSTRUCTION, "state() raised") : 0;
}

CHECK_CASE(an_instance_that_cannot_be_made_answers_with_the_reason) {
  tr_error error = { 0 };
  kit_open();
  tr_class *class_ = kit_class("a", kit_run_says, &(kit_class_options){ .make = make_fails });
  kit_call("a", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "one=construction_failed: state() raised; ");
  CHECK(tr_class_get(class_, tr_slice_of("k"), &error) == NULL);
  CHECK_INT(error.code, ==, TR_ECONSTRUCTION);
  CHECK_INT(tr_class_agent_count(class_), ==, 0);
  broken = 0;
  CHECK(tr_class_get(class_, tr_slice_of("k"), NULL) != NULL);
  CHECK_INT(K.drops, ==, 0); /* never made, never dropped */
  kit_close();
}

CHECK_CASE(an_instance_can_be_started_without_a_message) {
  kit_open();
  tr_class *class_ = kit_class("a", kit_run_says, &(kit_class_options){ .has_init = true });
  tr_agent *agent = tr_class_get(class_, tr_slice_of("k"), NULL);
  CHECK(tr_class_find(class_, tr_slice_of("k")) == agent);
  CHECK(tr_class_next_agent(class_, NULL) == agent && tr_class_next_agent(class_, agent) == NULL);
  kit_step();
  CHECK_STR(kit_heard(), "");
  CHECK_INT(tr_agent_start(agent), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "a/k:init; ");
  CHECK_INT(tr_agent_start(agent), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "");
  kit_close();
}

/* ---- programs ---- */

static int run_program(void *ud, tr_turn *turn) {
  (void)ud;
  if (kit_phase(turn) == 0) kit_say("begin");
  for (tr_msg *msg; (msg = tr_turn_receive(turn));) {
    bool end = tr_slice_is(tr_name_view(msg->type), "End");
    kit_say("got %s", msg->type->text);
    tr_msg_unref(msg);
    if (end) return TR_RUN_DONE;
  }
  return TR_RUN_WAIT;
}

CHECK_CASE(a_program_takes_its_mail_itself) {
  kit_open();
  tr_class *class_ = kit_class("main", run_program, &(kit_class_options){ .exclusive_init = true });
  tr_agent_start(tr_class_get(class_, tr_slice_of("default"), NULL));
  kit_step();
  kit_send("main", "One");
  kit_send("main", "Two");
  kit_step();
  CHECK_STR(kit_heard(), "begin; got One; got Two; ");
  kit_call("main", "Ask", "caller"); /* it gives no answer: dropping the message does */
  kit_step();
  CHECK_STR(kit_heard(), "got Ask; caller=unavailable: the request was dropped without an answer; ");
  tr_core_step(K.core, K.now, 0);
  kit_call_until("main", "Ask", "late", K.now - 1); /* nobody waits for it any more: it is not given out */
  kit_send("main", "End");
  tr_core_step(K.core, K.now, 0);
  CHECK_STR(kit_heard(), "late=timeout: main/default did not answer within the deadline; got End; ");
  CHECK(tr_core_idle(K.core));
  kit_close();
}

/* ---- stopping ---- */

CHECK_CASE(a_stopped_agent_answers_its_mail_and_begins_anew) {
  kit_open();
  kit_class("a", run_keeps_turn, NULL);
  kit_call("a", "Ask", "one");
  kit_step();
  kit_call("a", "Ask", "two");
  kit_send("a", "Note");
  kit_heard();
  tr_agent_stop(K.core, kit_agent("a"), TR_EUNAVAILABLE, "stopped");
  CHECK_STR(kit_heard(), "cancel a/default; one=unavailable: stopped; two=unavailable: stopped; dead Note unavailable; drop a/default; ");
  kit_send("a", "Again");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:Again; ");
  kit_close();
}

static int run_stops_itself(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  tr_agent_stop(K.core, turn->agent, TR_EUNAVAILABLE, "it is over");
  tr_agent_stop(K.core, turn->agent, TR_EUNAVAILABLE, "twice");
  kit_turn_send(turn, "b", "Bye");
  return tr_slice_is(kit_type(turn), "Wait") ? TR_RUN_WAIT : TR_RUN_DONE;
}

CHECK_CASE(an_agent_may_stop_itself_in_its_own_turn) {
  kit_open();
  kit_class("a", run_stops_itself, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_call("a", "Ask", "one");
  kit_call("a", "Ask", "two");
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Ask; one=Done; two=unavailable: it is over; drop a/default; b/default:Bye; ");
  kit_call("a", "Wait", "three");
  kit_step();
  CHECK_STR(kit_heard(), "+a/default:Wait; cancel a/default; three=unavailable: it is over; drop a/default; b/default:Bye; ");
  kit_close();
}

static int run_removes_class(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  tr_core_remove_class(K.core, turn->agent->class_);
  return TR_RUN_DONE;
}

CHECK_CASE(a_class_may_be_removed_in_a_turn_of_its_own) {
  kit_open();
  kit_class("a", run_removes_class, NULL);
  kit_call("a/1", "Ask", "one");
  kit_call("a/2", "Ask", "two");
  kit_step();
  CHECK_STR(kit_heard(), "+a/1:Ask; two=unavailable: its agent type was removed; one=Done; drop a/1; ");
  CHECK(tr_core_find_class(K.core, tr_slice_of("a")) == NULL);
  kit_call("a/1", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "one=not_found: no agent type \"a\" here (0 types are known); ");
  kit_class("a", kit_run_says, NULL); /* its name is free again */
  kit_close();
}

CHECK_CASE(an_ended_core_answers_everybody) {
  kit_open();
  kit_class("a", run_keeps_turn, NULL);
  kit_call("a", "Ask", "one");
  kit_step();
  kit_call("a", "Ask", "two");
  kit_heard();
  kit_close();
  CHECK_STR(kit_heard(), "cancel a/default; one=unavailable: the runtime is closing; two=unavailable: the runtime is closing; drop a/default; ");
}

/* ---- longjmp ---- */

static jmp_buf out;
static int run_jumps(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  kit_turn_send(turn, "b", "Lost");
  if (!broken) return TR_RUN_DONE;
  kit_turn_call(turn, "b", "Lost");
  longjmp(out, 1);
}

CHECK_CASE(a_turn_left_by_longjmp_fails_alone) {
  kit_open();
  broken = 1;
  kit_class("a", run_jumps, NULL);
  kit_class("b", kit_run_says, NULL);
  kit_call("a", "Ask", "one");
  kit_send("a", "Next");
  if (setjmp(out) == 0) {
    kit_step();
    CHECK_FAIL("it did not jump");
  }
  tr_core_recover(K.core, TR_EMEMORY, "out of memory in a script");
  CHECK_STR(kit_heard(), "+a/default:Ask; cancel a/default; one=out_of_memory: out of memory in a script; ");
  broken = 0;
  kit_step();
  CHECK_STR(kit_heard(), "a/default:Next; b/default:Lost; ");
  kit_advance(TR_SECONDS(1));
  tr_core_recover(K.core, TR_EMEMORY, NULL); /* with nothing served: no harm */
  kit_close();
}

CHECK_CASE(an_init_left_by_longjmp_drops_the_instance) {
  kit_open();
  broken = 1;
  kit_class("a", run_jumps, &(kit_class_options){ .has_init = true });
  kit_class("b", kit_run_says, NULL);
  kit_call("a", "Ask", "one");
  if (setjmp(out) == 0) kit_step();
  tr_core_recover(K.core, TR_EMEMORY, "no memory");
  CHECK_STR(kit_heard(), "a/default:init; cancel a/default; one=out_of_memory: no memory; drop a/default; ");
  kit_close();
}

CHECK_CASE(reloaded_options_and_data_count_from_the_next_turn) {
  kit_open();
  static int version = 1;
  tr_class *class_ = kit_class("a", kit_run_says, NULL);
  tr_class_set_ud(class_, &version);
  CHECK(tr_class_ud(class_) == &version);
  tr_class_options options = { .ud = &version, .mailbox_limit = 1, .overflow = TR_OVERFLOW_REFUSE };
  tr_class_set_options(class_, &options);
  CHECK_INT(kit_send("a", "One"), ==, 0);
  CHECK_INT(kit_send("a", "Two"), ==, TR_EOVERLOADED);
  CHECK_STR(kit_heard(), "dead Two overloaded; ");
  kit_close();
}
