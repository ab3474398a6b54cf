/* SPDX-License-Identifier: MIT
 * Mailboxes: bounds passed by one under each policy, back-pressure and its circles, priorities. */
#include <stdio.h>

#include "core_kit.h"

static const kit_class_options wait_2 = { .limit = 2, .overflow = TR_OVERFLOW_WAIT };
static const kit_class_options refuse_2 = { .limit = 2, .overflow = TR_OVERFLOW_REFUSE };
static const kit_class_options drop_2 = { .limit = 2, .overflow = TR_OVERFLOW_DROP_OLDEST };

CHECK_CASE(outside_a_turn_a_full_mailbox_is_overloaded_at_once) {
  kit_open();
  kit_class("w", kit_run_says, &wait_2);
  kit_class("r", kit_run_says, &refuse_2);
  for (int i = 0; i < 2; i++) CHECK_INT(kit_send("w", "X"), ==, 0);
  CHECK_INT(kit_send("w", "Y"), ==, TR_EOVERLOADED);
  kit_call("w", "Ask", "one");
  for (int i = 0; i < 2; i++) kit_send("r", "X");
  kit_call("r", "Ask", "two");
  CHECK_STR(kit_heard(), "dead Y overloaded; ");
  CHECK_INT(kit_stats().overloaded, ==, 3);
  CHECK_INT(kit_stats().dead_letters, ==, 1);
  kit_step();
  CHECK_STR(kit_heard(), "one=overloaded: the mailbox of w/default is full (2 messages); "
                         "two=overloaded: the mailbox of r/default is full (2 messages); "
                         "w/default:X; w/default:X; r/default:X; r/default:X; ");
  kit_close();
}

CHECK_CASE(drop_oldest_keeps_the_newest) {
  kit_open();
  kit_class("d", kit_run_says, &drop_2);
  kit_call("d", "Ask", "one");
  kit_send("d", "Two");
  CHECK_INT(kit_send("d", "Three"), ==, 0);
  CHECK_INT(kit_send("d", "Four"), ==, 0);
  CHECK_STR(kit_heard(), "one=overloaded: the mailbox of d/default is full (2 messages); dead Two overloaded; ");
  CHECK_INT(kit_stats().overloaded, ==, 2);
  kit_step();
  CHECK_STR(kit_heard(), "d/default:Three; d/default:Four; ");
  kit_close();
}

/* ---- bytes ---- */

static uint64_t held_bytes(const char *type) {
  const tr_agent *agent = tr_class_find_mailbox(tr_core_find_class(K.core, tr_slice_of(type)), tr_slice_of("default"));
  return tr_agent_mail_bytes(agent);
}

CHECK_CASE(a_mailbox_is_full_when_its_bodies_have_as_many_bytes_as_it_may_hold) {
  kit_open();
  kit_class("r", kit_run_says, &(kit_class_options){ .bytes = 1000, .overflow = TR_OVERFLOW_REFUSE });
  CHECK_INT(kit_send_sized("r", "A", 900), ==, 0);
  CHECK_INT(kit_send_sized("r", "B", 0), ==, 0);
  CHECK_INT(kit_send_sized("r", "C", 5000), ==, 0); /* there is room still, and one of any size gets in */
  CHECK_INT(held_bytes("r"), ==, 912 + 5008);
  CHECK_INT(kit_send_sized("r", "D", 1), ==, TR_EOVERLOADED);
  kit_call("r", "Ask", "one");
  kit_step();
  CHECK_STR(kit_heard(), "dead D overloaded; one=overloaded: the mailbox of r/default is full (5920 bytes in 3 messages; mailbox.bytes is 1008); "
                         "r/default:A; r/default:B; r/default:C; ");
  CHECK_INT(held_bytes("r"), ==, 0);
  CHECK_INT(kit_send_sized("r", "D", 1), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "r/default:D; ");
  kit_close();
}

CHECK_CASE(without_one_given_a_mailbox_has_a_bound_of_bytes) {
  kit_open();
  kit_class("w", kit_run_says, NULL);
  tr_class *class_ = tr_core_find_class(K.core, tr_slice_of("w"));
  CHECK_INT(tr_class_mailbox_bytes(class_), ==, 64 << 20);
  CHECK_INT(kit_send_sized("w", "A", 65 << 20), ==, 0);
  CHECK_INT(kit_send_sized("w", "B", 1), ==, TR_EOVERLOADED);
  kit_close();
}

CHECK_CASE(for_a_large_one_several_of_the_oldest_are_dropped) {
  kit_open();
  kit_class("d", kit_run_says, &(kit_class_options){ .bytes = 1024, .overflow = TR_OVERFLOW_DROP_OLDEST });
  for (int i = 0; i < 40; i++) kit_send_sized("d", "Small", 16);
  kit_call("d", "Ask", "one");
  CHECK_STR(kit_heard(), "");
  CHECK_INT(kit_send_sized("d", "Large", 2000), ==, 0); /* 640 bytes lie there: there is room */
  CHECK_INT(kit_send_sized("d", "New", 16), ==, 0);     /* now all must go */
  CHECK_INT(kit_stats().overloaded, ==, 42);
  CHECK_INT(held_bytes("d"), ==, 16);
  CHECK(strstr(kit_heard(), "dead Small overloaded; one=overloaded: the mailbox of d/default is full (2640 bytes in 42 messages; "
                            "mailbox.bytes is 1024); dead Large overloaded; "));
  kit_step();
  CHECK_STR(kit_heard(), "d/default:New; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

static int run_sends_large(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  for (int i = 0; i < 4; i++) {
    tr_msg *msg = kit_msg(TR_MSG_SEND, "w", "Large");
    msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_BYTES, .bytes = tr_blob_new(check_mem(), 600) };
    CHECK_INT(tr_turn_post(turn, msg), ==, 0);
  }
  return TR_RUN_DONE;
}

CHECK_CASE(a_mailbox_full_of_bytes_makes_the_sender_wait) {
  kit_open();
  kit_class("f", run_sends_large, NULL);
  kit_class("w", kit_run_says, &(kit_class_options){ .bytes = 1000, .overflow = TR_OVERFLOW_WAIT });
  kit_send("f", "Go");
  kit_send("f", "Next");
  kit_step();
  CHECK_STR(kit_heard(), "f/default:Go; w/default:Large; w/default:Large; w/default:Large; w/default:Large; "
                         "f/default:Next; w/default:Large; w/default:Large; w/default:Large; w/default:Large; ");
  CHECK_INT(kit_stats().overloaded, ==, 0);
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

/* ---- wait ---- */

static int burst = 5;
static int run_floods(void *ud, tr_turn *turn) { /* sends a burst to `ud`, then is done (or waits, for "Wait") */
  kit_run_says(ud, turn);
  if (kit_phase(turn) > 0) return TR_RUN_DONE;
  for (int i = 0; i < burst; i++) {
    char type[16];
    snprintf(type, sizeof type, "M%d", i);
    kit_turn_send(turn, ud, type);
  }
  if (!tr_slice_is(kit_type(turn), "Wait")) return TR_RUN_DONE;
  tr_turn_wake(turn);
  return TR_RUN_WAIT;
}

static tr_class *flooder(const char *type, const char *target, const kit_class_options *options) {
  tr_class *class_ = kit_class(type, run_floods, options);
  tr_class_set_ud(class_, (void *)(uintptr_t)target);
  return class_;
}

CHECK_CASE(a_full_mailbox_makes_the_sender_wait_and_loses_nothing) {
  kit_open();
  flooder("f", "w", NULL);
  kit_class("w", kit_run_says, &wait_2);
  kit_send("f", "Go");
  kit_send("f", "Next");
  kit_step();
  /* "Next" comes only when all of the first burst has room */
  CHECK_STR(kit_heard(), "f/default:Go; w/default:M0; w/default:M1; w/default:M2; w/default:M3; w/default:M4; f/default:Next; "
                         "w/default:M0; w/default:M1; w/default:M2; w/default:M3; w/default:M4; ");
  CHECK_INT(kit_stats().overloaded, ==, 0);
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_waiting_turn_goes_on_when_its_deliveries_have_room) {
  kit_open();
  flooder("f", "w", NULL);
  kit_class("w", kit_run_says, &wait_2);
  kit_send("f", "Wait");
  tr_core_step(K.core, K.now, 1);
  CHECK_INT(kit_agent("f")->turn->outbox.blocked, ==, 3);
  CHECK_INT(tr_agent_mail_count(tr_class_next_agent(tr_core_find_class(K.core, tr_slice_of("f")), NULL)), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "f/default:Wait; w/default:M0; w/default:M1; w/default:M2; w/default:M3; w/default:M4; f/default:Wait; ");
  kit_close();
}

static tr_turn *held;
static int run_holds(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  held = turn;
  return tr_slice_is(kit_type(turn), "Hold") && kit_phase(turn) == 0 ? TR_RUN_WAIT : TR_RUN_DONE;
}

CHECK_CASE(a_sender_waits_at_most_thirty_seconds) {
  kit_open();
  burst = 4;
  flooder("f", "w", NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_step();
  kit_send("f", "Go");
  kit_send("f", "Next");
  kit_advance(TR_SECONDS(30) - 1);
  CHECK_STR(kit_heard(), "w/default:Hold; f/default:Go; ");
  CHECK_INT(kit_stats().queued, ==, 5);
  burst = 0;
  kit_advance(1);
  CHECK_STR(kit_heard(), "dead M2 overloaded; dead M3 overloaded; f/default:Next; ");
  CHECK_INT(kit_stats().overloaded, ==, 2);
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; w/default:M0; w/default:M1; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

static int run_sends_brief(void *ud, tr_turn *turn) {
  (void)ud;
  tr_msg *msg = kit_msg(TR_MSG_SEND, "w", "Brief");
  msg->deadline = K.now + TR_SECONDS(3);
  tr_turn_post(turn, msg);
  return TR_RUN_DONE;
}

CHECK_CASE(a_parked_send_ends_at_its_own_deadline) {
  kit_open();
  kit_class("f", run_sends_brief, NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_step();
  kit_send("w", "X");
  kit_send("w", "X");
  kit_send("f", "Go");
  kit_step();
  kit_heard();
  kit_advance(TR_SECONDS(3) - 1);
  CHECK_STR(kit_heard(), "");
  kit_advance(1);
  CHECK_STR(kit_heard(), "dead Brief overloaded; ");
  kit_close();
}

static tr_turn *torrent;
static int run_floods_and_asks(void *ud, tr_turn *turn) {
  (void)ud;
  kit_say("phase %d", kit_phase(turn));
  if (turn->started) return TR_RUN_DONE;
  torrent = turn;
  for (int i = 0; i < 3; i++) kit_turn_send(turn, "w", "X");
  kit_turn_call(turn, "quick", "Ask");
  return TR_RUN_WAIT;
}

CHECK_CASE(an_answer_does_not_resume_a_turn_that_waits_for_room) {
  kit_open();
  kit_class("f", run_floods_and_asks, NULL);
  kit_class("w", run_holds, &wait_2);
  kit_class("quick", kit_run_says, NULL);
  kit_send("w", "Hold");
  kit_step();
  kit_heard();
  kit_send("f", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "phase 0; +quick/default:Ask; f=Done; ");
  CHECK_INT(torrent->outbox.blocked, ==, 1);
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; w/default:X; w/default:X; w/default:X; phase 1; ");
  kit_close();
}

static void stop_w(tr_msg *msg, int code) {
  (void)msg;
  if (code == TR_ENOT_FOUND) tr_agent_stop(K.core, kit_agent("w"), TR_EUNAVAILABLE, "gone");
}

static int run_floods_then_stray(void *ud, tr_turn *turn) {
  (void)ud;
  for (int i = 0; i < 3; i++) kit_turn_send(turn, "w", "X");
  kit_turn_send(turn, "nobody", "Stray"); /* its dead letter stops w, while this turn ends */
  return TR_RUN_DONE;
}

CHECK_CASE(a_receiver_may_be_stopped_while_a_turn_that_floods_it_ends) {
  kit_open();
  K.on_dead_letter = stop_w;
  kit_class("f", run_floods_then_stray, NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_step();
  kit_heard();
  kit_send("f", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "dead Stray not_found; cancel w/default; drop w/default; ");
  CHECK_INT(kit_stats().dead_letters, ==, 4);
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

static int run_flushes_and_yields(void *ud, tr_turn *turn) {
  int phase = kit_phase(turn);
  (void)ud;
  kit_say("phase %d", phase);
  if (phase > 0) return TR_RUN_DONE;
  for (int i = 0; i < 3; i++) kit_turn_send(turn, "w", "X");
  tr_turn_flush(turn);
  return TR_RUN_YIELD;
}

CHECK_CASE(a_turn_that_flushes_and_yields_waits_for_room_too) {
  kit_open();
  kit_class("f", run_flushes_and_yields, NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_send("f", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; phase 0; ");
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; w/default:X; w/default:X; w/default:X; phase 1; ");
  kit_close();
}

static int run_calls_with_deadline(void *ud, tr_turn *turn) {
  (void)ud;
  kit_say("runs");
  if (kit_phase(turn) > 0) return TR_RUN_DONE;
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "w", "Ask");
  msg->deadline = K.now + TR_SECONDS(2);
  tr_turn_call(turn, msg, kit_said_reply, (void *)(uintptr_t) "f");
  tr_turn_wake(turn);
  return TR_RUN_WAIT;
}

CHECK_CASE(a_call_that_found_no_room_fails_overloaded_at_its_deadline) {
  kit_open();
  kit_class("f", run_calls_with_deadline, NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_step();
  kit_send("w", "X");
  kit_send("w", "X");
  kit_send("f", "Go");
  kit_advance(TR_SECONDS(2) - 1);
  CHECK_STR(kit_heard(), "w/default:Hold; runs; ");
  kit_advance(1);
  CHECK_STR(kit_heard(), "f=overloaded: the mailbox of w/default is full (2 messages); runs; ");
  CHECK_INT(kit_stats().open_calls, ==, 0);
  kit_close();
}

CHECK_CASE(an_event_waits_for_room_like_any_delivery) {
  kit_open();
  tr_local_sub_options options = { .topic = tr_slice_of("t"), .key = tr_slice_of("one") };
  tr_class *w = kit_class("w", run_holds, &wait_2);
  tr_class_subscribe(w, &options, NULL, NULL);
  options.key = tr_slice_of("two");
  tr_class_subscribe(w, &options, NULL, NULL);
  kit_send("w/one", "Hold");
  kit_step();
  kit_send("w/one", "X");
  kit_send("w/one", "X");
  kit_publish("t", "Outside"); /* from outside a turn: dead for one, delivered to two */
  kit_step();
  CHECK_STR(kit_heard(), "w/one:Hold; dead Outside overloaded; w/two:Outside; ");
  kit_class("f", run_floods, NULL);
  kit_close();
}

CHECK_CASE(a_stopped_receiver_lets_its_waiting_senders_go) {
  kit_open();
  burst = 4;
  flooder("f", "w", NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_send("f", "Go");
  kit_step();
  kit_heard();
  tr_agent_stop(K.core, kit_agent("w"), TR_EUNAVAILABLE, "gone");
  CHECK_STR(kit_heard(), "cancel w/default; dead M0 unavailable; dead M1 unavailable; dead M2 unavailable; dead M3 unavailable; "
                         "drop w/default; ");
  CHECK_INT(kit_stats().open_turns, ==, 0);
  CHECK_INT(kit_stats().queued, ==, 0);
  kit_close();
}

CHECK_CASE(a_stopped_senders_messages_still_find_room) {
  kit_open();
  burst = 4;
  flooder("f", "w", NULL);
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_send("f", "Go");
  kit_step();
  kit_heard();
  tr_agent_stop(K.core, kit_agent("f"), TR_EUNAVAILABLE, "gone");
  CHECK_STR(kit_heard(), "drop f/default; "); /* its turn is over: nothing to cancel */
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; w/default:M0; w/default:M1; w/default:M2; w/default:M3; ");
  kit_close();
}

CHECK_CASE(two_agents_with_full_mailboxes_that_send_to_each_other_go_on) {
  kit_open();
  burst = 4;
  flooder("a", "b", &wait_2);
  flooder("b", "a", &wait_2);
  kit_send("a", "Go");
  kit_send("b", "Go");
  tr_core_step(K.core, K.now, 2);
  /* a waits for b; b's turn would wait for a: that closes the circle, so its last two are refused at once */
  CHECK_STR(kit_heard(), "a/default:Go; b/default:Go; dead M2 overloaded; dead M3 overloaded; ");
  burst = 0;
  kit_step();
  CHECK_STR(kit_heard(), "b/default:M0; b/default:M1; b/default:M2; b/default:M3; a/default:M0; a/default:M1; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(an_agent_that_floods_itself_is_refused_past_its_bound) {
  for (int reentrant = 0; reentrant < 2; reentrant++) {
    kit_class_options options = wait_2;
    options.reentrant = reentrant;
    kit_open();
    burst = 3;
    flooder("a", "a", &options);
    kit_send("a", "Go");
    tr_core_step(K.core, K.now, 1);
    burst = 0;
    kit_step();
    CHECK_STR(kit_heard(), "a/default:Go; dead M2 overloaded; a/default:M0; a/default:M1; ");
    kit_close();
  }
}

CHECK_CASE(a_reentrant_flooder_is_slowed_down_too) {
  kit_open();
  burst = 3;
  flooder("f", "w", &(kit_class_options){ .reentrant = true });
  kit_class("w", run_holds, &wait_2);
  kit_send("w", "Hold");
  kit_send("f", "One");
  kit_send("f", "Two");
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; f/default:One; ");
  tr_turn_wake(held);
  kit_step();
  CHECK_STR(kit_heard(), "w/default:Hold; w/default:M0; w/default:M1; w/default:M2; f/default:Two; w/default:M0; w/default:M1; w/default:M2; ");
  kit_close();
}

/* f calls w and waits; w, handling that, sends f more than its mailbox holds, and waits for room: a mixed circle. */
static int run_calls_w(void *ud, tr_turn *turn) {
  if (!tr_slice_is(kit_type(turn), "Go")) return kit_run_says(ud, turn);
  if (kit_phase(turn) > 0) return TR_RUN_DONE;
  kit_turn_call(turn, "w", "Wait");
  return TR_RUN_WAIT;
}

CHECK_CASE(a_circle_of_a_call_and_a_full_mailbox_is_broken_at_once) {
  kit_open();
  burst = 3;
  kit_class("f", run_calls_w, &wait_2);
  flooder("w", "f", NULL);
  kit_send("f", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "+w/default:Wait; dead M2 overloaded; +w/default:Wait; f=Done; f/default:M0; f/default:M1; ");
  kit_close();
}

CHECK_CASE(mail_from_the_wire_never_waits) {
  kit_open();
  kit_class("w", run_holds, &wait_2);
  for (int i = 0; i < 3; i++) {
    tr_msg *msg = kit_msg(TR_MSG_SEND, "w", "X");
    msg->from_wire = true;
    CHECK_INT(tr_core_post(K.core, msg), ==, i < 2 ? 0 : TR_EOVERLOADED);
  }
  kit_close();
}

/* ---- priorities ---- */

static void send_priority(tr_priority priority, const char *type) {
  tr_msg *msg = kit_msg(TR_MSG_SEND, "a", type);
  msg->priority = (uint8_t)priority;
  CHECK_INT(tr_core_post(K.core, msg), ==, 0);
}

CHECK_CASE(higher_priority_goes_first_and_order_is_kept_within_one) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  send_priority(TR_PRIORITY_LOW, "L1");
  send_priority(TR_PRIORITY_NORMAL, "N1");
  send_priority(TR_PRIORITY_LOW, "L2");
  send_priority(TR_PRIORITY_HIGH, "H1");
  send_priority(TR_PRIORITY_NORMAL, "N2");
  send_priority(TR_PRIORITY_HIGH, "H2");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:H1; a/default:H2; a/default:N1; a/default:N2; a/default:L1; a/default:L2; ");
  kit_close();
}

CHECK_CASE(no_priority_starves) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  for (int i = 0; i < 18; i++) send_priority(TR_PRIORITY_HIGH, "H");
  for (int i = 0; i < 2; i++) send_priority(TR_PRIORITY_NORMAL, "N");
  send_priority(TR_PRIORITY_LOW, "L");
  kit_step();
  char order[64];
  int n = 0;
  for (const char *p = kit_heard(); (p = strchr(p, ':')); p++) order[n++] = p[1];
  order[n] = 0;
  CHECK_STR(order, "HHHHHHHHNHHHHHHHHNHHL");
  for (int i = 0; i < 20; i++) send_priority(TR_PRIORITY_NORMAL, "N");
  for (int i = 0; i < 2; i++) send_priority(TR_PRIORITY_LOW, "L");
  kit_step();
  n = 0;
  for (const char *p = kit_heard(); (p = strchr(p, ':')); p++) order[n++] = p[1];
  order[n] = 0;
  CHECK_STR(order, "NNNNNNNNLNNNNNNNNLNNNN");
  kit_close();
}

CHECK_CASE(the_bound_counts_all_priorities_and_the_lowest_is_dropped_first) {
  kit_open();
  kit_class("a", kit_run_says, &drop_2);
  send_priority(TR_PRIORITY_HIGH, "H1");
  send_priority(TR_PRIORITY_LOW, "L1");
  send_priority(TR_PRIORITY_NORMAL, "N1");
  CHECK_STR(kit_heard(), "dead L1 overloaded; ");
  send_priority(TR_PRIORITY_HIGH, "H2");
  CHECK_STR(kit_heard(), "dead N1 overloaded; ");
  send_priority(TR_PRIORITY_HIGH, "H3");
  CHECK_STR(kit_heard(), "dead H1 overloaded; ");
  kit_step();
  CHECK_STR(kit_heard(), "a/default:H2; a/default:H3; ");
  kit_close();
}

/* A dead letter's hook that sends on, as a runtime's does. */
static void forward(tr_msg *msg, int code) {
  (void)msg;
  (void)code;
  kit_send("w", "DeadLetter");
}

CHECK_CASE(a_dead_letter_about_a_dead_letter_is_only_counted) {
  kit_open();
  K.on_dead_letter = forward;
  kit_class("w", kit_run_says, &refuse_2);
  for (int i = 0; i < 3; i++) kit_send("w", "X");
  CHECK_STR(kit_heard(), "dead X overloaded; ");
  CHECK_INT(kit_stats().dead_letters, ==, 2);
  kit_close();
}
