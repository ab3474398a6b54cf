/* SPDX-License-Identifier: MIT
 * Messages that one worker could harm another with: they stop at the host, whoever waits for them is told, and the streams of both
 * live on. Messages in pieces are none of these. */
#include "host_peer.h"

static stage *s;
static peer *p;
static pcall *a, *b;

static void set(void) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  a = channel(p, "a");
  b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
}

static tr_slice pair(unsigned field, const char *key, const char *value) {
  return pb_field(field, join(pb_string(1, key), pb_string(2, value)));
}
static tr_slice with(tr_slice message, unsigned kind, tr_slice more) { return pb_field(kind, join(pb_get(message, kind), more)); }
static tr_slice cut(void) { return tr_slice_make("\x0a\x05" "ab", 4); } /* a sub-message whose field is longer than it */

static void both_live(void) {
  say(a, request("after", "t", "k", "1"));
  serve(b, "2");
  expect_answer(a, "after", "2");
}

/* ---- what is nested ---- */

CHECK_CASE(a_request_with_bad_text_in_it_is_answered_invalid) {
  set();
  tr_slice good = request("1", "t", "k", "1");
  tr_slice bad[] = {
    with(good, 1, pb_field(5, payload("\xff", "application/json", "1"))),
    with(good, 1, pb_field(5, payload("Ask", "\xc3", "1"))),
    with(good, 1, pair(6, "k\x80", "v")),
    with(good, 1, pair(6, "traceparent", "\xed\xa0\x80")),
    with(good, 1, pb_string(4, "\xfe")),
    with(good, 1, pb_field(5, cut())),
    with(good, 1, pb_field(6, cut())),
  };
  size_t n = sizeof bad / sizeof *bad;
  for (size_t i = 0; i < n; i++) {
    say(a, bad[i]);
    expect_error(a, "1", "invalid: malformed agents.Message");
    CHECK(silent(b));
  }
  tr_host_stats stats = stage_stats(s);
  CHECK_INT(stats.malformed, ==, n);
  CHECK_INT(stats.requests, ==, n);
  CHECK_INT(stage_logged(s, "message.malformed"), ==, 3); /* at 1, 2, 4 */
  both_live();
  stage_free(s);
}

CHECK_CASE(an_answer_with_bad_text_in_it_becomes_an_error) {
  set();
  for (int i = 0; i < 3; i++) {
    say(a, request("1", "t", "k", "1"));
    tr_slice good = response(request_id(hear(b)), "2");
    if (i == 0) say(b, with(good, 2, pb_field(2, payload("\xff", "application/json", "1"))));
    if (i == 1) say(b, with(good, 2, pair(4, "k", "\xff")));
    if (i == 2) say(b, with(good, 2, pb_field(2, cut())));
    expect_error(a, "1", "invalid: malformed agents.Message");
    say(b, good); /* too late */
    CHECK(silent(a));
  }
  CHECK_INT(stage_stats(s).malformed, ==, 3);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  both_live();
  stage_free(s);
}

CHECK_CASE(an_event_with_bad_text_in_it_goes_nowhere) {
  set();
  tr_slice good = event("x", "k", "1"), bad_value = pb_field(2, pb_string(3, "\xff"));
  tr_slice bad[] = {
    with(good, 3, pb_string(3, "\xff")),                          /* spec_version */
    with(good, 3, pb_field(5, join(pb_string(1, "key"), bad_value))),
    with(good, 3, pb_field(5, join(pb_string(1, "k\xff"), pb_field(2, pb_string(3, "v"))))),
    with(good, 3, pb_field(5, cut())),
    with(good, 3, pb_string(7, "\xff")),                          /* text_data */
    with(good, 3, pb_field(8, pb_string(1, "\xff"))),             /* proto_data.type_url */
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) say(a, bad[i]);
  CHECK(silent(b));
  CHECK_INT(stage_stats(s).malformed, ==, sizeof bad / sizeof *bad);
  CHECK_INT(stage_stats(s).events, ==, 0);
  say(a, with(good, 3, pb_string(6, "\xff\xfe"))); /* binary_data may be anything */
  hear(b);
  both_live();
  stage_free(s);
}

/* Troupe's own workers send nothing of the kind, so the check costs them nothing, unless there is somebody to be harmed. */
CHECK_CASE(troupe_clients_are_checked_where_others_listen) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  a = troupe_channel(p, "a");
  b = troupe_channel(p, "b");
  reg(p, "b", "t");
  tr_slice bad = with(request("1", "t", "k", "1"), 1, pair(6, "k", "\xff"));
  say(a, bad);
  hear(b);
  pcall *python = channel(p, "python");
  say(a, bad);
  expect_error(a, "1", "invalid: ");
  CHECK(silent(b));
  cancel(python);
  CHECK_INT(stage_stats(s).clients, ==, 2);
  say(a, bad);
  hear(b);
  CHECK_INT(stage_stats(s).malformed, ==, 1);
  stage_free(s);
}

/* ---- pieces ---- */

static tr_slice in_pieces(tr_slice message, unsigned kind, size_t first) {
  tr_slice whole = pb_get(message, kind);
  return join(pb_field(kind, tr_slice_make(whole.p, first)), pb_field(kind, tr_slice_make(whole.p + first, whole.n - first)));
}

CHECK_CASE(messages_in_pieces_are_joined) {
  set();
  say(a, in_pieces(request("7", "t", "k", "[1]"), 1, 3)); /* behind the id */
  tr_slice there = hear(b);
  CHECK_INT(pb_count(there, 1), ==, 1);
  CHECK_TEXT(body_of(there), "[1]");
  tr_slice answer = response(request_id(there), "[2]");
  say(b, in_pieces(answer, 2, 18));
  tr_slice back = hear(a);
  CHECK_INT(pb_count(back, 2), ==, 1);
  CHECK_TEXT(request_id(back), "7");
  CHECK_TEXT(body_of(back), "[2]");
  tr_slice e = event("x", "k", "[3]");
  say(a, in_pieces(e, 3, 10));
  there = hear(b);
  CHECK_MEM(there.p, there.n, e.p, e.n);
  CHECK_INT(stage_stats(s).malformed, ==, 0);
  stage_free(s);
}

CHECK_CASE(pieces_of_malformed_messages_are_malformed) {
  set();
  tr_slice whole = in_pieces(request("7", "t", "k", "[1]"), 1, 3);
  say(a, join(whole, tr_slice_make("\x0a\x05" "a", 3))); /* the last piece is cut */
  expect_error(a, "7", "invalid: ");
  say(a, in_pieces(with(request("8", "t", "k", "1"), 1, pair(6, "k", "\xff")), 1, 3));
  expect_error(a, "8", "invalid: ");
  say(a, in_pieces(with(event("x", "k", "1"), 3, pb_string(7, "\xff")), 3, 10));
  CHECK(silent(b));
  CHECK_INT(stage_stats(s).malformed, ==, 3);
  both_live();
  stage_free(s);
}

CHECK_CASE(pieces_that_memory_is_short_for_are_told_of) {
  for (size_t n = 1; n < 20; n++) {
    set();
    tr_slice one = in_pieces(request("7", "t", "k", "[1]"), 1, 3);
    stage_run(s);
    check_mem_fail_at(n);
    say(a, one);
    stage_run(s);
    check_mem_fail_at(0);
    stage_sleep(s, TR_SECONDS(1));
    if (b->first) serve(b, "1");
    stage_run(s);
    if (!a->closed && !b->closed) CHECK_INT(a->count, ==, 1);
    CHECK_INT(stage_stats(s).pending_requests, ==, 0);
    stage_free(s);
  }
}
