/* SPDX-License-Identifier: MIT
 * Requests that are given up: by their caller's note, by its going, by their deadline; and who hears of it. */
#include "host_peer.h"

#include "wire/note.h"

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

static tr_slice number(unsigned field, unsigned value) { return text("%c%c", (char)(field << 3), (char)value); }
static tr_slice note(const char *id, unsigned kind) { return pb_field(15, join(pb_string(1, id), number(5, kind))); }
static tr_slice cancel_note(const char *id) { return note(id, TR_NOTE_CANCEL); }

/* The next message says that the request with this id was given up. */
static void expect_cancel(pcall *callee, tr_slice id) {
  tr_slice inner = pb_get(hear(callee), 15);
  CHECK(tr_slice_equal(inner, join(pb_field(1, id), number(5, TR_NOTE_CANCEL))));
}

static unsigned late(void) {
  tr_core_stats stats;
  tr_core_get_stats(s->core, &stats);
  return (unsigned)stats.late_replies;
}

CHECK_CASE(a_troupe_callee_hears_of_it_under_its_own_id) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  say(a, cancel_note("1"));
  expect_cancel(worker, id);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  CHECK_INT(stage_stats(s).cancelled, ==, 1);
  say(worker, response(id, "\"late\""));
  CHECK(silent(a));
  CHECK_INT(late(), ==, 1);
  CHECK_INT(stage_logged(s, "answer.unknown"), ==, 0);
  say(a, cancel_note("1")); /* once more, and of what never was */
  say(a, cancel_note("other"));
  say(a, note("1", 77));
  CHECK(silent(worker) && silent(a));
  stage_free(s);
}

CHECK_CASE(another_callee_hears_nothing) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  say(a, cancel_note("1"));
  CHECK(silent(worker));
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  say(a, request("1", "t", "k", "2")); /* the same id, and it takes the same place */
  tr_slice newer = request_id(hear(worker));
  say(worker, response(id, "\"late\""));
  CHECK(silent(a));
  CHECK_INT(late(), ==, 1);
  say(worker, response(newer, "\"mine\""));
  expect_answer(a, "1", "\"mine\"");
  stage_free(s);
}

CHECK_CASE(a_note_of_a_stranger_is_no_message) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  say(a, cancel_note("1"));
  CHECK(silent(worker));
  CHECK_INT(stage_stats(s).malformed, ==, 1);
  say(worker, response(id, "2"));
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(nobody_gives_up_what_another_asked) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *b = troupe_channel(p, "b"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  say(b, cancel_note("1"));
  say(worker, cancel_note(text("%.*s", TR_SLICE_ARG(id)).p)); /* the callee does not name it so */
  CHECK(silent(worker));
  say(worker, response(id, "2"));
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(a_troupe_caller_that_goes_gives_up_at_once) {
  for (int how = 0; how < 3; how++) {
    set(NULL);
    peer *q = peer_new(s, "10.0.0.2:1", NULL);
    pcall *a = troupe_channel(q, "a"), *worker = troupe_channel(p, "worker");
    reg(p, "worker", "t");
    say(a, request("1", "t", "k", "1"));
    tr_slice id = request_id(hear(worker));
    if (how == 0) cancel(a);
    else if (how == 1) peer_cut(q);
    else troupe_channel(q, "a"); /* a newer stream */
    expect_cancel(worker, id);
    CHECK_INT(stage_stats(s).pending_requests, ==, 0);
    stage_free(s);
  }
}

CHECK_CASE(another_caller_that_goes_gives_up_when_its_grace_is_over) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(q, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  peer_cut(q);
  stage_sleep(s, TR_SECONDS(29));
  CHECK(silent(worker));
  stage_sleep(s, TR_SECONDS(2));
  expect_cancel(worker, id);
  stage_free(s);
}

CHECK_CASE(at_the_deadline_the_callee_hears_of_it) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request_with("1", "t", "k", "1", metadata("troupe-timeout", "5000")));
  tr_slice id = request_id(hear(worker));
  stage_sleep(s, TR_SECONDS(6));
  expect_error(a, "1", "timeout: ");
  expect_cancel(worker, id);
  stage_free(s);
}

CHECK_CASE(a_one_way_request_is_not_given_up) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = troupe_channel(q, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request_with("1", "t", "k", "1", metadata("troupe-oneway", "1")));
  hear(worker);
  peer_cut(q);
  CHECK(silent(worker));
  stage_sleep(s, TR_SECONDS(31));
  CHECK(silent(worker));
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(of_a_thousand_each_is_found) {
  enum { MANY = 1000 };
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = troupe_channel(p, "worker");
  tr_slice ids[MANY];
  reg(p, "worker", "t");
  for (int i = 0; i < MANY; i++) {
    say(a, request(text("%d", i).p, "t", "k", "1"));
    ids[i] = request_id(hear(worker));
  }
  for (int i = MANY; i-- > 0;) {
    say(a, cancel_note(text("%d", i * 7 % MANY).p));
    expect_cancel(worker, ids[i * 7 % MANY]);
    if (i % 3) continue;
    say(a, request("new", "t", "k", "1"));
    tr_slice id = request_id(hear(worker));
    say(a, cancel_note("new"));
    expect_cancel(worker, id);
  }
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_unary_call_that_is_reset_does_nothing) {
  set(NULL);
  pcall *worker = channel(p, "worker");
  (void)worker;
  pcall *c = call_open(p, "RegisterAgent", "worker", NULL, 0);
  say(c, register_bytes("t")); /* and no half-close yet */
  stage_run(s);
  cancel(c);
  stage_run(s);
  CHECK(!tr_router_owner(tr_core_router(s->core), TR_SLICE_LITERAL("t")));
  reg(p, "worker", "t"); /* not taken for a repeat */
  stage_free(s);
}
