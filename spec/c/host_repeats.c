/* SPDX-License-Identifier: MIT
 * A gRPC library that opens OpenChannel again by itself (grpc-previous-rpc-attempts) repeats what it sent before. */
#include "host_peer.h"

static stage *s;
static peer *p, *q;
static pcall *a, *b;

static pcall *again(peer *on, const char *client_id) {
  tr_rpc_header attempts = { TR_SLICE_LITERAL("grpc-previous-rpc-attempts"), TR_SLICE_LITERAL("1") };
  pcall *c = call_open(on, "OpenChannel", client_id, &attempts, 1);
  stage_run(s);
  return c;
}

/* b has type t and hears topic x; a is on a connection of its own. */
static void set(void) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  q = peer_new(s, "10.0.0.2:1", NULL);
  b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  a = channel(q, "a");
}

static void reopen(bool retried) {
  peer_cut(q);
  q = peer_new(s, "10.0.0.2:1", NULL);
  a = retried ? again(q, "a") : channel(q, "a");
}

static tr_slice note(int id) { /* an event with an id of its own */
  tr_slice e = pb_get(event("x", text("%d", id).p, "1"), 3);
  return pb_field(3, join(e, pb_field(1, text("event-%d", id))));
}

static int source_of(tr_slice message) {
  int n = 0;
  tr_slice digits = pb_get(pb_get(message, 3), 2);
  for (size_t i = 0; i < digits.n; i++) n = n * 10 + (digits.p[i] - '0');
  return n;
}

CHECK_CASE(repeated_events_are_delivered_once) {
  set();
  for (int i = 0; i < 300; i++) say(a, note(i));
  stage_run(s);
  for (int attempt = 0; attempt < 3; attempt++) {
    reopen(true);
    for (int i = 0; i < 300 + 10 * attempt + 10; i++) say(a, note(i)); /* ten new ones each time */
    stage_run(s);
  }
  for (int i = 0; i < 330; i++) CHECK_INT(source_of(hear(b)), ==, i);
  CHECK(silent(b));
  CHECK_INT(stage_stats(s).repeated, ==, 300 + 310 + 320);
  stage_free(s);
}

CHECK_CASE(only_a_stream_that_is_tried_again_has_repeats) {
  set();
  say(a, note(1));
  say(a, note(1)); /* whoever says so twice means it */
  stage_run(s);
  reopen(false);
  say(a, note(1));
  stage_run(s);
  cancel(a);
  a = again(q, "a"); /* it had left: this is no repeat */
  say(a, note(1));
  a = again(q, "unknown");
  say(a, note(1));
  for (int i = 0; i < 5; i++) hear(b);
  CHECK(silent(b));
  CHECK_INT(stage_stats(s).repeated, ==, 0);
  stage_free(s);
}

CHECK_CASE(what_is_remembered_has_a_bound_in_number_and_time) {
  set();
  for (int i = 0; i < 1100; i++) say(a, note(i));
  stage_run(s);
  while (b->first) hear(b);
  reopen(true);
  for (int i = 0; i < 1100; i++) say(a, note(i));
  for (int i = 1024; i < 1100; i++) CHECK_INT(source_of(hear(b)), ==, i);
  CHECK(silent(b));
  stage_sleep(s, TR_SECONDS(31)); /* it has had the headers long since */
  reopen(true);
  say(a, note(0));
  CHECK_INT(source_of(hear(b)), ==, 0);
  stage_free(s);
}

CHECK_CASE(a_client_that_only_publishes_is_known_for_the_grace) {
  set();
  say(a, note(1));
  stage_run(s);
  peer_cut(q);
  stage_sleep(s, TR_SECONDS(29));
  CHECK_INT(stage_stats(s).clients, ==, 2);
  reopen(true);
  say(a, note(1));
  hear(b);
  CHECK(silent(b));
  peer_cut(q);
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(stage_stats(s).clients, ==, 1);
  stage_free(s);
}

/* ---- requests: done once, answered once ---- */

CHECK_CASE(a_repeated_request_that_is_open_is_answered_by_its_first_coming) {
  set();
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(b);
  reopen(true);
  say(a, request("1", "t", "k", "1"));
  CHECK(silent(b));
  say(b, response(request_id(there), "2"));
  expect_answer(a, "1", "2");
  CHECK(silent(a));
  stage_free(s);
}

CHECK_CASE(a_repeated_request_whose_answer_waited_is_answered_by_that) {
  set();
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(b);
  peer_cut(q);
  say(b, response(request_id(there), "2"));
  stage_run(s);
  reopen(true);
  say(a, request("1", "t", "k", "1"));
  expect_answer(a, "1", "2");
  CHECK(silent(a) && silent(b));
  stage_free(s);
}

CHECK_CASE(a_repeated_request_whose_answer_was_lost_is_told_so) {
  set();
  say(a, request("1", "t", "k", "1"));
  serve(b, "2");
  stage_run(s); /* answered, but it never saw it */
  reopen(true);
  say(a, request("1", "t", "k", "1"));
  expect_error(a, "1", "unavailable: the answer was lost");
  CHECK(silent(a) && silent(b));
  stage_free(s);
}

CHECK_CASE(a_request_that_was_refused_is_tried_anew) {
  set();
  say(a, request("1", "later", "k", "1"));
  stage_run(s);
  reg(p, "b", "later");
  reopen(true);
  say(a, request("1", "later", "k", "1"));
  serve(b, "2");
  expect_answer(a, "1", "2");
  CHECK_INT(stage_stats(s).repeated, ==, 0);
  stage_free(s);
}

/* The older stream still looks alive when the newer one comes: its connection broke without a word. */
CHECK_CASE(repeats_are_known_while_the_older_stream_still_stands) {
  set();
  say(a, note(1));
  say(a, request("1", "t", "k", "1"));
  hear(b);
  tr_slice there = hear(b);
  q->mute = q->stalled = true;
  peer *r = peer_new(s, "10.0.0.2:2", NULL);
  a = again(r, "a");
  say(a, note(1));
  say(a, request("1", "t", "k", "1"));
  say(a, note(2));
  CHECK_INT(source_of(hear(b)), ==, 2);
  CHECK(silent(b));
  say(b, response(request_id(there), "2"));
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(without_memory_to_remember_a_repeat_is_delivered) {
  for (size_t n = 1; n < 30; n++) {
    set();
    check_mem_fail_at(n);
    for (int i = 0; i < 40; i++) say(a, note(i));
    stage_run(s);
    check_mem_fail_at(0);
    reopen(true);
    for (int i = 0; i < 40; i++) say(a, note(i));
    stage_run(s);
    unsigned dead = (unsigned)stage_stats(s).dead_letters;
    if (!b->closed) CHECK_INT(b->count + dead, >=, 40);
    stage_free(s);
  }
}
