/* SPDX-License-Identifier: MIT
 * Requests from client to client: every one ends in an answer, and each caller gets its own. */
#include "host_peer.h"

#include <stdlib.h>

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

CHECK_CASE(a_request_goes_there_and_its_answer_back) {
  set(NULL);
  pcall *caller = channel(p, "caller"), *worker = channel(p, "worker");
  CHECK(caller->headers); /* at once, before any message */
  reg(p, "worker", "t");
  say(caller, request("1", "t", "key", "{\"q\":1}"));
  tr_slice there = hear(worker);
  CHECK_TEXT(body_of(there), "{\"q\":1}");
  CHECK_TEXT(pb_get(pb_get(pb_get(there, 1), 3), 2), "key");
  CHECK(!tr_slice_is(request_id(there), "1"));
  CHECK_INT(stage_stats(s).pending_requests, ==, 1);
  say(worker, response(request_id(there), "{\"a\":2}"));
  expect_answer(caller, "1", "{\"a\":2}");
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  CHECK_INT(stage_stats(s).requests, ==, 1);
  CHECK_INT(stage_stats(s).responses, ==, 1);
  stage_free(s);
}

CHECK_CASE(unknown_fields_and_metadata_pass_untouched) {
  set(NULL);
  pcall *caller = channel(p, "caller"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  tr_slice more = join(metadata("traceparent", "00-x"), pb_string(99, "unknown"));
  tr_slice sent = request_with("1", "t", "k", "{}", more);
  say(caller, sent);
  tr_slice there = hear(worker);
  CHECK_TEXT(pb_get(pb_get(there, 1), 99), "unknown");
  CHECK_TEXT(pb_get(pb_get(pb_get(there, 1), 6), 2), "00-x");
  tr_slice answer = pb_field(2, join(join(pb_string(88, "also"), pb_field(1, request_id(there))), pb_string(3, "no luck")));
  say(worker, answer);
  tr_slice back = hear(caller);
  CHECK_TEXT(request_id(back), "1");
  CHECK_TEXT(error_of(back), "no luck");
  CHECK_TEXT(pb_get(pb_get(back, 2), 88), "also");
  stage_free(s);
}

CHECK_CASE(two_callers_with_one_id_get_their_own_answers) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "\"a\""));
  say(b, request("1", "t", "k", "\"b\""));
  tr_slice first = hear(worker), second = hear(worker);
  CHECK(!tr_slice_equal(request_id(first), request_id(second)));
  bool a_first = tr_slice_is(body_of(first), "\"a\"");
  say(worker, response(request_id(second), a_first ? "\"for b\"" : "\"for a\""));
  say(worker, response(request_id(first), a_first ? "\"for a\"" : "\"for b\""));
  expect_answer(a, "1", "\"for a\"");
  expect_answer(b, "1", "\"for b\"");
  stage_free(s);
}

CHECK_CASE(ids_of_any_length_are_restored) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  char id[301] = { 0 };
  static const size_t lengths[] = { 0, 1, 16, 36, 39, 40, 41, 128, 300 };
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    memset(id, 'i', lengths[i]);
    id[lengths[i]] = 0;
    say(a, request(id, "t", "k", "1"));
    serve(worker, "2");
    expect_answer(a, id, "2");
  }
  stage_free(s);
}

CHECK_CASE(an_unknown_agent_type_is_not_found_at_once) {
  set(NULL);
  pcall *a = channel(p, "a");
  say(a, request("7", "Zed", "k", "{}"));
  expect_error(a, "7", "not_found: agent type Zed is not registered");
  say(a, request("8", "", "k", "{}"));
  expect_error(a, "8", "not_found: ");
  stage_free(s);
}

CHECK_CASE(a_request_without_target_is_invalid) {
  set(NULL);
  pcall *a = channel(p, "a");
  say(a, pb_field(1, join(pb_string(1, "1"), pb_field(5, payload("Q", "application/json", "{}")))));
  expect_error(a, "1", "invalid: ");
  stage_free(s);
}

CHECK_CASE(a_request_to_a_reserved_key_is_invalid) {
  set(NULL);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  say(a, request("1", "t", "troupe.x", "1"));
  expect_error(a, "1", "invalid: agent keys that begin with \"troupe.\" are reserved");
  stage_free(s);
}

CHECK_CASE(a_worker_may_call_its_own_agents) {
  set(NULL);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  say(a, request("1", "t", "k", "1"));
  serve(a, "2");
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(late_unknown_and_second_answers_are_dropped) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker"), *thief = channel(p, "thief");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  say(thief, response(id, "\"stolen\"")); /* not its to answer */
  say(worker, response(text("1"), "\"?\""));
  say(worker, response(text("0123456789abcdef"), "\"?\""));
  say(worker, response(text("ffffffffffffffff"), "\"?\""));
  say(worker, response(text("zzzzzzzzzzzzzzzz"), "\"?\""));
  say(worker, response(text("%s", ""), "\"?\""));
  CHECK(silent(a));
  say(worker, response(id, "\"right\""));
  say(worker, response(id, "\"again\""));
  expect_answer(a, "1", "\"right\"");
  CHECK(silent(a));
  CHECK(stage_logged(s, "answer.unknown") > 0);
  CHECK(!worker->closed && !thief->closed);
  stage_free(s);
}

CHECK_CASE(no_answer_within_the_guards_time_is_a_timeout) {
  tr_host_options o = { .call_timeout = TR_SECONDS(5) };
  set(&o);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice id = request_id(hear(worker));
  stage_sleep(s, TR_MILLISECONDS(4900));
  CHECK(silent(a));
  stage_sleep(s, TR_MILLISECONDS(200));
  expect_error(a, "1", "timeout: ");
  say(worker, response(id, "\"late\""));
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_request_may_bring_its_own_timeout) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request_with("1", "t", "k", "1", metadata("troupe-timeout", "250")));
  say(a, request_with("2", "t", "k", "1", metadata("troupe-timeout", "soon")));
  hear(worker);
  hear(worker);
  stage_sleep(s, TR_MILLISECONDS(200));
  CHECK(silent(a));
  stage_sleep(s, TR_MILLISECONDS(100));
  expect_error(a, "1", "timeout: ");
  stage_sleep(s, TR_SECONDS(590));
  CHECK(silent(a)); /* the one whose timeout was nonsense has the host's */
  stage_sleep(s, TR_SECONDS(11));
  expect_error(a, "2", "timeout: ");
  stage_free(s);
}

CHECK_CASE(a_guard_may_be_off) {
  tr_host_options o = { .call_timeout = TR_NEVER };
  set(&o);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  stage_sleep(s, TR_SECONDS(5000));
  CHECK(silent(a));
  serve(worker, "2");
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(a_one_way_request_expires_without_a_word) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request_with("1", "t", "k", "1", metadata("troupe-oneway", "1")));
  hear(worker);
  stage_sleep(s, TR_SECONDS(31));
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  say(a, request_with("2", "none", "k", "1", metadata("troupe-oneway", "1")));
  expect_error(a, "2", "not_found: ");
  stage_free(s);
}

/* ---- a side goes away ---- */

CHECK_CASE(callers_of_a_lost_stream_are_told_at_once) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *b = channel(q, "b"), *worker = channel(q, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  say(a, request("2", "t", "k", "1"));
  say(b, request("1", "t", "k", "1"));
  stage_run(s);
  CHECK_INT(worker->count, ==, 3);
  cancel(worker);
  expect_error(a, "1", "unavailable: ");
  expect_error(a, "2", "unavailable: ");
  expect_error(b, "1", "unavailable: ");
  say(a, request("3", "t", "k", "1")); /* and later ones, while it is away */
  expect_error(a, "3", "unavailable: ");
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(callers_of_a_broken_connection_are_told_at_once) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *b = channel(q, "b"), *worker = channel(q, "worker");
  reg(p, "worker", "t");
  reg(p, "b", "u");
  say(a, request("1", "t", "k", "1"));
  say(b, request("9", "t", "k", "1"));
  stage_run(s);
  peer_cut(q); /* the callee and one of its callers at once */
  expect_error(a, "1", "unavailable: ");
  peer *r = peer_new(s, "10.0.0.2:2", NULL);
  pcall *again = channel(r, "b"); /* the other caller hears of it when it is back */
  expect_error(again, "9", "unavailable: ");
  CHECK(silent(again));
  (void)worker;
  stage_free(s);
}

CHECK_CASE(an_answer_waits_for_its_caller_to_reopen) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(worker);
  cancel(a);
  say(worker, response(request_id(there), "\"kept\""));
  stage_sleep(s, TR_SECONDS(10));
  a = channel(p, "a");
  expect_answer(a, "1", "\"kept\"");
  stage_free(s);
}

CHECK_CASE(an_answer_to_a_caller_that_never_came_back_is_dropped) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(worker);
  cancel(a);
  CHECK_INT(stage_stats(s).clients, ==, 2);
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(stage_stats(s).clients, ==, 1);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  say(worker, response(request_id(there), "\"late\""));
  stage_run(s);
  CHECK(!worker->closed);
  stage_free(s);
}

CHECK_CASE(a_newer_stream_fails_what_the_older_should_have_answered) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(worker);
  pcall *newer = channel(p, "worker");
  hear_end(worker, 10, "replaced by a newer stream of the same client-id");
  expect_error(a, "1", "unavailable: ");
  say(newer, response(request_id(there), "\"late\""));
  CHECK(silent(a));
  say(a, request("2", "t", "k", "1"));
  serve(newer, "3");
  expect_answer(a, "2", "3");
  stage_free(s);
}

/* ---- sizes and bounds ---- */

CHECK_CASE(an_oversize_request_is_refused_alone) {
  tr_host_options o = { .max_message = 10000 };
  set(&o);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", big(10000)));
  say(a, request("2", "t", "k", "small"));
  expect_error(a, "1", "too_large: ");
  serve(worker, "fine");
  expect_answer(a, "2", "fine");
  CHECK_INT(stage_stats(s).oversize, ==, 1);
  stage_free(s);
}

CHECK_CASE(an_oversize_answer_is_an_error_to_its_caller) {
  tr_host_options o = { .max_message = 10000 };
  set(&o);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  serve(worker, big(10000));
  expect_error(a, "1", "too_large: ");
  CHECK(!worker->closed);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(the_size_is_checked_again_on_the_spliced_message) {
  set(NULL);
  tr_slice frame = request("1", "t", "k", "");
  size_t rest = frame.n + 12; /* longer lengths take more bytes: find the body that makes exactly the limit */
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  size_t limit = 4u << 20;
  tr_slice exact = { NULL, 0 };
  for (size_t n = limit - rest; exact.n != limit; n++) {
    exact = request("1", "t", "k", big(n));
    CHECK_INT(exact.n, <=, limit);
  }
  say(a, exact); /* itself allowed; with a longer id no longer */
  expect_error(a, "1", "too_large: ");
  say(a, request("0123456789abcdef0123", "t", "k", big(limit - rest - 100)));
  serve(worker, "ok");
  expect_answer(a, "0123456789abcdef0123", "ok");
  stage_free(s);
}

CHECK_CASE(a_spliced_answer_is_checked_too) {
  tr_host_options o = { .max_message = 10000 };
  set(&o);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request(big(200), "t", "k", "1"));
  tr_slice there = hear(worker);
  say(worker, response(request_id(there), big(9900)));
  tr_slice back = hear(a);
  CHECK_INT(request_id(back).n, ==, 200);
  CHECK(tr_slice_starts(error_of(back), TR_SLICE_LITERAL("too_large: ")));
  stage_free(s);
}

CHECK_CASE(a_slow_worker_overloads_only_itself) {
  tr_host_options o = { .session_bytes = 20000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *slow = channel(q, "slow"), *quick = channel(p, "quick");
  reg(p, "slow", "t");
  reg(p, "quick", "u");
  q->stalled = true;
  for (int i = 0; i < 4; i++) say(a, request(text("s%d", i).p, "t", "k", big(5000)));
  stage_run(s);
  expect_error(a, "s3", "overloaded: ");
  CHECK_INT(stage_stats(s).overloaded, ==, 1);
  for (int i = 0; i < 100; i++) {
    say(a, request("q", "u", "k", big(5000)));
    serve(quick, "1");
    expect_answer(a, "q", "1");
  }
  q->stalled = false;
  q->dirty = true;
  for (int i = 0; i < 3; i++) serve(slow, "1");
  for (int i = 0; i < 3; i++) expect_answer(a, text("s%d", i).p, "1");
  stage_free(s);
}

CHECK_CASE(answers_pass_the_bound_up_to_twice_then_the_stream_ends) {
  tr_host_options o = { .session_bytes = 20000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(q, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  for (int i = 0; i < 9; i++) say(a, request(text("%d", i).p, "t", "k", "1"));
  stage_run(s);
  q->stalled = true;
  for (int i = 0; i < 7; i++) serve(worker, big(5000));
  stage_run(s);
  CHECK_INT(stage_logged(s, "client.stuck"), ==, 0);
  serve(worker, big(5000));
  stage_sleep(s, TR_MILLISECONDS(10));
  CHECK_INT(stage_logged(s, "client.stuck"), ==, 1);
  CHECK_INT(stage_stats(s).streams, ==, 1);
  q->stalled = false;
  q->dirty = true;
  stage_run(s);
  CHECK(a->closed);
  CHECK_INT(a->status, !=, 0);
  CHECK(!worker->closed);
  stage_free(s);
}

CHECK_CASE(open_requests_of_one_client_are_limited) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  tr_slice one = request("1", "t", "k", "1");
  for (int i = 0; i < 131072; i++) say(a, one);
  stage_run(s);
  CHECK(silent(a));
  say(a, one);
  expect_error(a, "1", "overloaded: ");
  say(b, one);
  CHECK(silent(b));
  CHECK_INT(worker->count, ==, 131073);
  cancel(worker);
  CHECK_INT(a->count, ==, 131072);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_thousand_open_requests_keep_their_callers) {
  set(NULL);
  s->split = true;
  pcall *worker = channel(p, "worker"), *callers[4];
  reg(p, "worker", "t");
  for (int i = 0; i < 4; i++) callers[i] = channel(p, text("c%d", i).p);
  for (int i = 0; i < 1000; i++) say(callers[i % 4], request(text("%d", i / 4).p, "t", "k", text("%d", i).p));
  stage_run(s);
  CHECK_INT(stage_stats(s).pending_requests, ==, 1000);
  tr_slice open[1000];
  for (int i = 0; i < 1000; i++) open[i] = hear(worker);
  for (int i = 1000; i-- > 0;) say(worker, response(request_id(open[i]), text("r%.*s", TR_SLICE_ARG(body_of(open[i]))).p));
  stage_run(s);
  for (int c = 0; c < 4; c++) {
    for (int i = 0; i < 250; i++) {
      tr_slice back = hear(callers[c]);
      int asked = atoi(text("%.*s", TR_SLICE_ARG(request_id(back))).p);
      CHECK_TEXT(body_of(back), text("r%d", asked * 4 + c).p);
    }
  }
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}
