/* SPDX-License-Identifier: MIT
 * What the host sends: requests that agents here answer, events, and what cannot be read or taken. */
#include "worker_stage.h"

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

/* ---- requests in ---- */

static tr_turn *held_turn;
static void hold(actor *a, tr_turn *turn) {
  (void)a;
  if (!turn->user) turn->user = keep(sizeof(answer));
  held_turn = turn;
  if (!((answer *)turn->user)->done) return;
  turn->user = NULL;
  actor_reply(turn, "Done", "\"done\"");
}
static void let_go(void) {
  ((answer *)held_turn->user)->done = true;
  tr_turn_wake(held_turn);
}

CHECK_CASE(a_request_for_nobody_is_answered_with_an_error) {
  proc *p = set(false);
  start(p);
  fake_say(f, a_request(s, "7", "zed", "k", "1"));
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_SLICE(span.request_id, "7");
  CHECK(tr_slice_starts(span.error, TR_SLICE_LITERAL("not_found: ")));
  CHECK(fake_silent(f)); /* and does not go back to the host */
  stage_free(s);
}

CHECK_CASE(a_one_way_request_from_the_host_is_answered_null) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", NULL, NULL);
  proc *q = proc_new(s, NULL, f, NULL);
  start(p);
  tr_core_post(q->core, message(q->core, TR_MSG_SEND, "a", "k", "Do", "1"));
  tr_worker_start(q->worker);
  place *first = f;
  fcall *mine = first->channel;
  stage_run(s);
  tr_core_post(q->core, message(q->core, TR_MSG_SEND, "a", "k", "Do", "1"));
  tr_slice bytes = fake_hear(f); /* q's stream is the newest */
  f->channel = mine;
  fake_say(f, bytes);
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_INT(span.error.n, ==, 0);
  CHECK(holds(span.inner, "null"));
  CHECK_INT(a->count, ==, 1);
  CHECK(!a->first->request);
  stage_free(s);
}

/* Nobody could hear their answers: the host has told their callers. */
CHECK_CASE(turns_end_when_the_stream_of_their_requests_is_gone) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", NULL, hold);
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", "1"));
  fake_say(f, a_request(s, "1b", "a", "k", "1")); /* in the mailbox */
  stage_run(s);
  proc_cut(p);
  stage_run(s);
  CHECK_INT(a->cancels, ==, 1);
  CHECK_INT(a->count, ==, 1);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK(fake_silent(f));
  fake_say(f, a_request(s, "2", "a", "k", "1"));
  stage_run(s);
  let_go();
  CHECK_TEXT(span_of(fake_hear(f)).request_id, "2");
  fake_say(f, a_request(s, "3", "a", "k", "1"));
  stage_run(s);
  stage_free(s); /* with one open */
}

CHECK_CASE(a_full_mailbox_answers_overloaded) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", "x", hold);
  tr_class_options options = { .type = TR_SLICE_LITERAL("a"), .mailbox_limit = 2, .ud = a };
  tr_class_set_options(a->class_, &options);
  start(p);
  for (int i = 0; i < 6; i++) fake_say(f, a_request(s, "1", "a", "k", "1"));
  for (int i = 0; i < 2; i++) fake_say(f, an_event(s, "x", "k", "1"));
  stage_run(s);
  CHECK_INT(f->channel->count, >=, 3);
  CHECK(tr_slice_starts(span_of(fake_hear(f)).error, TR_SLICE_LITERAL("overloaded: ")));
  CHECK_INT(p->dead_letters, ==, 2);
  CHECK_INT(p->dead_code, ==, TR_EOVERLOADED);
  stage_free(s);
}

static void empty_error(actor *a, tr_turn *turn) {
  (void)a;
  tr_turn_fail(turn, TR_EHANDLER, "");
}
static void big_answer(actor *a, tr_turn *turn) {
  char json[2003];
  (void)a;
  memset(json, 'x', 2002);
  json[0] = json[2001] = '"';
  json[2002] = 0;
  actor_reply(turn, "Big", json);
}

CHECK_CASE(an_answer_is_never_an_empty_error_nor_too_large) {
  proc *p = set_with(false, (tr_worker_options){ .max_message = 1000 });
  actor_new(p, "a", NULL, empty_error);
  actor_new(p, "b", NULL, big_answer);
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", "1"));
  CHECK_TEXT(span_of(fake_hear(f)).error, "handler_error: the handler raised an error");
  fake_say(f, a_request(s, "2", "b", "k", "1"));
  CHECK(tr_slice_starts(span_of(fake_hear(f)).error, TR_SLICE_LITERAL("too_large: ")));
  stage_free(s);
}

CHECK_CASE(what_cannot_be_read_is_logged_and_the_stream_lives_on) {
  proc *p = set(false);
  actor_new(p, "a", NULL, NULL);
  start(p);
  fake_say(f, TR_SLICE_LITERAL("\x0a\x05junk")); /* cut */
  fake_say(f, TR_SLICE_LITERAL("\xff\xff\xff\xff"));
  fake_say(f, TR_SLICE_LITERAL("")); /* an empty Message */
  fake_say(f, TR_SLICE_LITERAL("\x0a\x0b\x0a\x01\x35\x1a\x06\x0a\x01\xff\x12\x01\x6b")); /* request 5, target type no UTF-8 */
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_SLICE(span.request_id, "5");
  CHECK(tr_slice_starts(span.error, TR_SLICE_LITERAL("invalid: ")));
  CHECK(fake_silent(f));
  CHECK_INT(stage_logged(s, "message.refused"), >=, 2);
  fake_say(f, a_request(s, "6", "a", "k", "1"));
  CHECK_TEXT(span_of(fake_hear(f)).request_id, "6");
  CHECK_INT(f->opened, ==, 1);
  stage_free(s);
}

CHECK_CASE(a_message_above_the_limit_is_refused_alone) {
  proc *p = set_with(false, (tr_worker_options){ .max_message = 1000 });
  actor *a = actor_new(p, "a", "x", NULL);
  char json[2003];
  memset(json, 'x', 2002);
  json[0] = json[2001] = '"';
  json[2002] = 0;
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", json));
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_SLICE(span.request_id, "1");
  CHECK(tr_slice_starts(span.error, TR_SLICE_LITERAL("too_large: ")));
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  fake_say(f, a_response(s, span_of(fake_hear(f)).request_id, json));
  fake_say(f, an_event(s, "x", "k", json));
  fake_say(f, an_event(s, "x", "k", "1"));
  stage_run(s);
  CHECK_INT(got->code, ==, TR_ETOO_LARGE);
  CHECK_INT(a->count, ==, 1);
  CHECK_INT(f->opened, ==, 1);
  stage_free(s);
}

static void huge_answer(actor *a, tr_turn *turn) {
  size_t n = 500000;
  char *json = malloc(n + 3);
  (void)a;
  memset(json, 'x', n + 2);
  json[0] = json[n + 1] = '"';
  json[n + 2] = 0;
  actor_reply(turn, "Huge", json);
  free(json);
}

CHECK_CASE(a_host_that_does_not_even_read_answers_is_left) {
  proc *p = set_with(false, (tr_worker_options){ .queue_bytes = 1000000 });
  actor_new(p, "a", NULL, huge_answer);
  start(p);
  tr_rpc_hold(f->channel->call, true); /* it returns no credit */
  for (int i = 0; i < 5; i++) {
    fake_say(f, a_request(s, "1", "a", "k", "1"));
    stage_run(s);
  }
  CHECK_INT(p->reasons, ==, 0);
  CHECK_INT(tr_core_post(p->core, message(p->core, TR_MSG_EVENT, "t", "k", "E", "1")), ==, 0);
  CHECK_INT(p->dead_code, ==, TR_EOVERLOADED); /* answers may take more room than events */
  for (int i = 0; i < 5; i++) fake_say(f, a_request(s, "1", "a", "k", "1"));
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->reasons, ==, 1);
  CHECK_STR(p->reason, "the host does not read");
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->opened, ==, 2);
  stage_free(s);
}

/* ---- events ---- */

CHECK_CASE(events_come_in_but_our_own_do_not_come_back) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", "x", NULL);
  start(p);
  publish(p, "x", "E", "1");
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  tr_slice ours = fake_hear(f);
  CHECK(tr_wire_event_attribute(span_of(ours).inner, "troupe-origin").n > 0);
  fake_say(f, ours); /* the host sends it to all, its sender too */
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  fake_say(f, an_event(s, "x", "room", "2"));
  stage_run(s);
  CHECK_INT(a->count, ==, 2);
  CHECK_STR(a->first->next->key, "room");
  CHECK(fake_silent(f)); /* what came from the wire does not go out again */
  stage_free(s);
}

CHECK_CASE(our_own_are_known_after_a_reconnect_and_by_any_uplink) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", "x", NULL);
  start(p);
  publish(p, "x", "E", "1");
  tr_slice ours = fake_hear(f);
  proc_cut(p);
  stage_sleep(s, TR_SECONDS(1)); /* with another client-id */
  fake_say(f, ours);
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  stage_free(s);
}

CHECK_CASE(messages_pass_in_pieces_of_any_size) {
  for (size_t piece = 1; piece < 300; piece = piece * 3 + 1) {
    proc *p = set(piece % 2);
    actor *a = actor_new(p, "a", "x", NULL);
    s->piece = piece;
    start(p);
    for (int i = 0; i < 20; i++) fake_say(f, an_event(s, "x", "k", "\"some text\""));
    answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
    fake_say(f, a_response(s, span_of(fake_hear(f)).request_id, "[1,2,3]"));
    stage_run(s);
    CHECK_STR(got->body, "[1,2,3]");
    CHECK_INT(a->count, ==, 20);
    stage_free(s);
  }
}
