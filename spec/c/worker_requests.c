/* SPDX-License-Identifier: MIT
 * What agents here send to the host: how it goes out, waits, fails. And waiting for agent types. */
#include "worker_stage.h"

#include "worker/internal.h"

#include <stdio.h>
#include <stdlib.h>

static stage *s;
static place *f;

static proc *set_with(bool troupe, tr_worker_options o) {
  s = stage_new();
  f = fake_new(s, troupe);
  o.register_types = true;
  return proc_new(s, NULL, f, &o);
}
static proc *set(bool troupe) { return set_with(troupe, (tr_worker_options){ .max_message = 0 }); }

static void start(proc *p) {
  tr_worker_start(p->worker);
  stage_run(s);
}

/* ---- requests out ---- */

CHECK_CASE(answers_find_their_requests_in_any_order) {
  proc *p = set(false);
  answer *got[300];
  tr_slice ids[300];
  char text[16];
  start(p);
  for (int i = 0; i < 300; i++) got[i] = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  for (int i = 0; i < 300; i++) ids[i] = span_of(fake_hear(f)).request_id;
  for (int i = 300; i-- > 0;) {
    snprintf(text, sizeof text, "%d", i);
    fake_say(f, a_response(s, ids[i], text));
    fake_say(f, a_response(s, ids[i], "\"twice\"")); /* ignored */
  }
  stage_run(s);
  for (int i = 0; i < 300; i++) {
    snprintf(text, sizeof text, "%d", i);
    CHECK_STR(got[i]->body, text);
  }
  CHECK(tr_worker_idle(p->worker));
  stage_free(s);
}

CHECK_CASE(errors_come_as_errors) {
  proc *p = set(false);
  start(p);
  answer *python = ask(p, "there", "Ask", "1", TR_SECONDS(5)), *troupe = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  fake_say(f, an_error(s, span_of(fake_hear(f)).request_id, "timeout: of my own"));
  tr_slice id = span_of(fake_hear(f)).request_id;
  tr_blob *frame = tr_wire_error(&s->mem, id, TR_ENOT_FOUND, TR_SLICE_LITERAL("nobody"));
  fake_say(f, tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX));
  tr_blob_unref(frame);
  stage_run(s);
  CHECK_INT(python->code, ==, TR_EHANDLER);
  CHECK_STR(python->error, "timeout: of my own");
  CHECK_INT(troupe->code, ==, TR_ENOT_FOUND);
  CHECK_STR(troupe->error, "nobody");
  stage_free(s);
}

CHECK_CASE(an_answer_that_nobody_waits_for_is_ignored) {
  proc *p = set(false);
  start(p);
  fake_say(f, a_response(s, TR_SLICE_LITERAL("1"), "1"));
  fake_say(f, a_response(s, TR_SLICE_LITERAL("0123456789abcdef"), "1"));
  fake_say(f, a_response(s, TR_SLICE_LITERAL("0123456789ABCDEF"), "1"));
  fake_say(f, a_response(s, TR_SLICE_LITERAL(""), "1"));
  stage_run(s);
  CHECK_INT(stage_logged(s, "answer.unknown"), ==, 3); /* with doubling */
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(a_request_that_is_never_answered_ends_at_its_deadline) {
  proc *p = set(false);
  start(p);
  answer *got = ask(p, "nobody", "Ask", "1", TR_SECONDS(5));
  tr_slice id = span_of(fake_hear(f)).request_id;
  stage_sleep(s, TR_MILLISECONDS(4990));
  CHECK(!got->done);
  stage_sleep(s, TR_MILLISECONDS(20));
  CHECK_INT(got->code, ==, TR_ETIMEOUT);
  CHECK(tr_worker_idle(p->worker));
  fake_say(f, a_response(s, id, "1")); /* too late */
  stage_run(s);
  stage_free(s);
}

CHECK_CASE(what_was_sent_fails_when_the_stream_is_lost) {
  for (int troupe = 0; troupe < 2; troupe++) {
    proc *p = set(troupe);
    start(p);
    answer *got = ask(p, "there", "Ask", "1", TR_NEVER);
    tr_slice id = span_of(fake_hear(f)).request_id;
    CHECK(!got->done);
    proc_cut(p);
    CHECK_INT(got->code, ==, TR_EUNAVAILABLE);
    CHECK_STR(got->error, "the connection to the host was lost");
    stage_sleep(s, TR_SECONDS(1));
    fake_say(f, a_response(s, id, "1"));
    stage_run(s);
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    stage_free(s);
  }
}

CHECK_CASE(what_was_not_sent_waits_for_the_next_stream_in_order) {
  proc *p = set(false);
  f->down = true;
  start(p);
  publish(p, "t", "E", "1");
  answer *one = ask(p, "there", "Ask", "2", TR_SECONDS(100));
  answer *gone = ask(p, "there", "Ask", "\"gone\"", TR_SECONDS(2));
  publish(p, "t", "E", "3");
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(gone->code, ==, TR_ETIMEOUT);
  CHECK(!one->done);
  f->down = false;
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(span_of(fake_hear(f)).kind, ==, TR_WIRE_EVENT);
  tr_slice second = fake_hear(f);
  CHECK(holds(second, "2"));
  fake_say(f, a_response(s, span_of(second).request_id, "4"));
  CHECK_INT(span_of(fake_hear(f)).kind, ==, TR_WIRE_EVENT);
  CHECK(fake_silent(f)); /* the one whose time was up was not sent at all */
  CHECK_STR(one->body, "4");
  CHECK(tr_worker_idle(p->worker));
  stage_free(s);
}

CHECK_CASE(what_was_half_sent_is_sent_again_whole) {
  proc *p = set(false);
  size_t n = 3 << 20;
  char *json = malloc(n + 3);
  start(p);
  memset(json, 'x', n + 2);
  json[0] = json[n + 1] = '"';
  json[n + 2] = 0;
  publish(p, "t", "First", "1");
  publish(p, "t", "Big", json);
  answer *got = ask(p, "there", "Ask", "2", TR_NEVER);
  tr_buf out; /* the first piece goes, and no more */
  tr_buf_init(&out, &s->mem);
  tr_worker_output(p->worker, &out, 16384);
  CHECK(out.len > 16000 && out.len < 200000);
  tr_buf_fini(&out);
  proc_cut(p);
  CHECK(!got->done);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(fake_hear(f).n, >, n); /* the first event had gone out */
  CHECK_INT(span_of(fake_hear(f)).kind, ==, TR_WIRE_REQUEST);
  CHECK(fake_silent(f));
  free(json);
  stage_free(s);
}

CHECK_CASE(too_large_and_too_much_fail_at_the_sender) {
  proc *p = set_with(false, (tr_worker_options){ .max_message = 1000, .queue_bytes = 4000 });
  char json[1003];
  f->down = true;
  start(p);
  memset(json, 'x', 1002);
  json[0] = json[1001] = '"';
  json[1002] = 0;
  answer *got = ask(p, "there", "Ask", json, TR_SECONDS(50));
  publish(p, "t", "E", json);
  stage_run(s);
  CHECK_INT(got->code, ==, TR_ETOO_LARGE);
  CHECK(strstr(got->error, "bytes are more than the limit of 1000"));
  CHECK_INT(p->dead_letters, ==, 1);
  CHECK_INT(p->dead_code, ==, TR_ETOO_LARGE);
  json[500] = '"';
  json[501] = 0;
  for (int i = 0; i < 10; i++) publish(p, "t", "E", json);
  CHECK_INT(p->dead_letters, >, 1);
  CHECK_INT(p->dead_letters, <, 9);
  CHECK_INT(p->dead_code, ==, TR_EOVERLOADED);
  CHECK_STR(p->dead_reason, "the queue to the host is full");
  got = ask(p, "there", "Ask", json, TR_SECONDS(50));
  stage_run(s);
  CHECK_INT(got->code, ==, TR_EOVERLOADED);
  f->down = false;
  stage_sleep(s, TR_SECONDS(6));
  got = ask(p, "there", "Ask", json, TR_SECONDS(50));
  stage_run(s);
  CHECK(!got->done);
  CHECK_INT(f->channel->count, ==, 11 - (p->dead_letters - 1) + 0);
  stage_free(s);
}

CHECK_CASE(a_one_way_request_says_so_and_its_error_is_a_dead_letter) {
  proc *p = set(false);
  start(p);
  for (int i = 0; i < 3; i++) CHECK_INT(tr_core_post(p->core, message(p->core, TR_MSG_SEND, "there", "k", "Do", "1")), ==, 0);
  for (int i = 0; i < 3; i++) {
    tr_wire_span span = span_of(fake_hear(f));
    CHECK_TEXT(tr_wire_metadata(span.inner, TR_WIRE_REQUEST, "troupe-oneway"), "1");
    if (i == 0) fake_say(f, a_response(s, span.request_id, "null"));
    if (i == 1) fake_say(f, an_error(s, span.request_id, "no"));
  }
  stage_run(s);
  CHECK_INT(p->dead_letters, ==, 1);
  CHECK_STR(p->dead_reason, "no");
  CHECK(!tr_worker_idle(p->worker));
  stage_sleep(s, TR_SECONDS(31)); /* the third is never answered */
  CHECK(tr_worker_idle(p->worker));
  CHECK_INT(p->dead_letters, ==, 1);
  stage_free(s);
}

static int time_left(tr_slice message) { /* as the host reads it, ms */
  tr_slice text = tr_wire_metadata(span_of(message).inner, TR_WIRE_REQUEST, "troupe-timeout");
  char digits[16];
  snprintf(digits, sizeof digits, "%.*s", TR_SLICE_ARG(text));
  return text.n ? atoi(digits) : -1;
}

CHECK_CASE(the_time_left_is_written_when_the_request_goes_out) {
  proc *p = set(true);
  f->down = true;
  start(p);
  answer *soon = ask(p, "there", "Ask", "1", TR_SECONDS(4)), *late = ask(p, "there", "Ask", "2", TR_SECONDS(60));
  ask(p, "there", "Ask", "3", TR_NEVER);
  uint64_t queued = p->worker->queue.bytes;
  stage_sleep(s, TR_MILLISECONDS(5100));
  CHECK_INT(soon->code, ==, TR_ETIMEOUT);
  CHECK(!late->done);
  CHECK(p->worker->queue.bytes < queued);
  f->down = false;
  while (!f->channel) stage_sleep(s, TR_MILLISECONDS(10));
  tr_time left = TR_SECONDS(60) - (s->now - TR_SECONDS(1000));
  tr_slice first = fake_hear(f);
  CHECK(holds(first, "2"));
  CHECK_INT(time_left(first), >, left / 1000 - 100);
  CHECK_INT(time_left(first), <=, left / 1000 + 100);
  tr_slice second = fake_hear(f);
  CHECK_INT(time_left(second), ==, -1);
  CHECK(fake_silent(f));
  fake_say(f, a_response(s, span_of(first).request_id, "\"yes\""));
  stage_run(s);
  CHECK_STR(late->body, "\"yes\"");
  fake_say(f, a_response(s, span_of(second).request_id, "4"));
  stage_run(s);
  CHECK(tr_worker_idle(p->worker));
  CHECK_INT(p->worker->queue.bytes, ==, 0);
  stage_free(s);
}

/* It can be written again, before any timer was looked at. */
CHECK_CASE(a_request_whose_time_is_over_does_not_go_out) {
  proc *p = set(true);
  tr_buf out;
  start(p);
  p->stalled = true;
  answer *over = ask(p, "there", "Ask", "\"over\"", TR_SECONDS(5)), *good = ask(p, "there", "Ask", "\"good\"", TR_SECONDS(9));
  s->now += TR_SECONDS(6);
  tr_core_set_now(p->core, s->now);
  tr_buf_init(&out, &s->mem);
  tr_worker_output(p->worker, &out, 65536);
  CHECK(holds(tr_buf_view(&out), "good"));
  CHECK(!holds(tr_buf_view(&out), "over"));
  CHECK(!over->done);
  tr_buf_fini(&out);
  stage_sleep(s, TR_MILLISECONDS(10));
  CHECK_INT(over->code, ==, TR_ETIMEOUT);
  stage_sleep(s, TR_SECONDS(4));
  CHECK_INT(good->code, ==, TR_ETIMEOUT);
  CHECK_INT(p->worker->slots.count, ==, 0);
  stage_free(s);
}

CHECK_CASE(without_memory_to_write_it_anew_a_request_goes_as_it_is) {
  CHECK_EACH_ALLOCATION_FAILS {
    s = stage_new();
    f = fake_new(s, true);
    f->down = true;
    proc *p = proc_new(s, check_mem(), f, &(tr_worker_options){ .max_message = 0 });
    if (p) {
      start(p);
      answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(20));
      stage_sleep(s, TR_SECONDS(3));
      f->down = false;
      stage_sleep(s, TR_SECONDS(10));
      if (!got->done) {
        fake_say(f, a_response(s, span_of(fake_hear(f)).request_id, "2"));
        stage_run(s);
      }
      CHECK(got->done);
      if (!check_mem_refused()) CHECK_STR(got->body, "2");
    }
    stage_free(s);
  }
}

/* ---- waiting for types ---- */

typedef struct waited { int calls, code; char text[512]; } waited;
static void on_types(void *ud, int code, const char *text) {
  waited *w = ud;
  w->calls++;
  w->code = code;
  snprintf(w->text, sizeof w->text, "%s", text);
}

CHECK_CASE(waits_for_types_by_polling) {
  tr_slice types[] = { TR_SLICE_LITERAL("b"), TR_SLICE_LITERAL("c") };
  proc *p = set(false);
  waited both = { 0 }, one = { 0 };
  start(p);
  CHECK_INT(tr_worker_wait_types(p->worker, types, 2, s->now + TR_SECONDS(60), on_types, &both), ==, 0);
  CHECK_INT(tr_worker_wait_types(p->worker, types, 1, TR_NEVER, on_types, &one), ==, 0);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(f->polls, >=, 3);
  CHECK_INT(f->polls, <=, 8);
  fake_hold(f, TR_SUB_PREFIX, "b:", "b", "q");
  stage_sleep(s, TR_MILLISECONDS(501));
  CHECK(one.calls == 1 && one.code == 0 && both.calls == 0);
  fake_hold(f, TR_SUB_TYPE, "x", "c", "q");
  stage_sleep(s, TR_MILLISECONDS(501));
  CHECK(both.calls == 1 && both.code == 0);
  unsigned polls = f->polls;
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(f->polls, ==, polls);
  stage_free(s);
}

CHECK_CASE(a_wait_that_ends_in_vain_names_what_is_missing) {
  tr_slice types[] = { TR_SLICE_LITERAL("b"), TR_SLICE_LITERAL("c"), TR_SLICE_LITERAL("d") };
  proc *p = set(false);
  waited w = { 0 }, cancelled = { 0 };
  f->down = true; /* a wait outlives the host's absence */
  start(p);
  tr_worker_wait_types(p->worker, types, 3, s->now + TR_SECONDS(20), on_types, &w);
  tr_worker_wait_types(p->worker, types, 3, TR_NEVER, on_types, &cancelled);
  stage_sleep(s, TR_SECONDS(5));
  f->down = false;
  fake_hold(f, TR_SUB_PREFIX, "c:", "c", "q");
  stage_sleep(s, TR_SECONDS(16));
  CHECK(w.calls == 1 && w.code == TR_ETIMEOUT);
  CHECK_STR(w.text, "not there: b, d");
  tr_worker_stop(p->worker, s->now + TR_SECONDS(1));
  stage_sleep(s, TR_SECONDS(2));
  CHECK(cancelled.calls == 1 && cancelled.code == TR_ECANCELLED);
  stage_free(s);
}
