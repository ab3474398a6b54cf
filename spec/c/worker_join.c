/* SPDX-License-Identifier: MIT
 * Joining: what a worker registers, when it says that it has joined, and what it does where that is refused. */
#include "worker_stage.h"

#include <stdio.h>

static stage *s;
static place *f;

static proc *set(bool troupe, const char *type, const char *topic) {
  s = stage_new();
  f = fake_new(s, troupe);
  proc *p = proc_new(s, NULL, f, NULL);
  if (type) actor_new(p, type, topic, NULL);
  return p;
}

static void start(proc *p) {
  tr_worker_start(p->worker);
  stage_run(s);
}

CHECK_CASE(joins_autogens_host) {
  proc *p = set(false, "worker1", "default");
  CHECK_INT(tr_worker_get_state(p->worker), ==, TR_WORKER_OFF);
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(p->joins, ==, 1);
  CHECK(!tr_worker_host_is_troupe(p->worker));
  CHECK(fake_has(f, -1, "", "worker1"));
  CHECK(fake_has(f, TR_SUB_TYPE, "default", "worker1"));
  CHECK(fake_has(f, TR_SUB_PREFIX, "worker1:", "worker1"));
  CHECK_INT(f->registers, ==, 1);
  CHECK_INT(f->adds, ==, 2);
  CHECK_TEXT(tr_worker_client_id(p->worker), f->channel->client);
  CHECK_STR(f->channel->version, "1");
  CHECK(tr_worker_idle(p->worker));
  stage_free(s);
}

CHECK_CASE(joins_troupes_host) {
  proc *p = set(true, "worker1", "default");
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK(tr_worker_host_is_troupe(p->worker));
  stage_free(s);
}

CHECK_CASE(joining_is_news_once_a_connection) {
  proc *p = set(false, "worker1", "default");
  start(p);
  CHECK_INT(p->rejoins, ==, 0);
  for (int i = 0; i < 3; i++) {
    char type[8];
    snprintf(type, sizeof type, "more%d", i);
    actor_new(p, type, NULL, NULL);
    tr_worker_sync(p->worker);
    stage_sleep(s, TR_MILLISECONDS(10));
  }
  CHECK_INT(p->joins, ==, 4);
  CHECK_INT(p->rejoins, ==, 3);
  fake_break(f); /* a loss is told, so its end is news */
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->joins, ==, 5);
  CHECK_INT(p->rejoins, ==, 3);
  fake_hold(f, -1, "", "held", "00000000-0000-4000-8000-000000000000");
  struct held *taken = f->held;
  while (taken->next) taken = taken->next;
  actor_new(p, "held", NULL, NULL);
  tr_worker_sync(p->worker);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINING); /* that is told too */
  taken->removed = true;
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(p->joins, ==, 6);
  CHECK_INT(p->rejoins, ==, 3);
  stage_free(s);
}

CHECK_CASE(a_request_goes_out_and_its_answer_comes_in) {
  proc *p = set(false, NULL, NULL);
  start(p);
  answer *got = ask(p, "there", "Ask", "{\"a\":1}", TR_SECONDS(5));
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_INT(span.kind, ==, TR_WIRE_REQUEST);
  CHECK_SLICE(span.target_type, "there");
  CHECK_INT(span.request_id.n, ==, 16);
  CHECK(!tr_worker_idle(p->worker));
  fake_say(f, a_response(s, span.request_id, "[7]"));
  stage_run(s);
  CHECK(got->done && got->code == 0);
  CHECK_STR(got->body, "[7]");
  CHECK_STR(got->type, "Answer");
  CHECK(tr_worker_idle(p->worker));
  stage_free(s);
}

CHECK_CASE(a_request_comes_in_and_its_answer_goes_out) {
  proc *p = set(false, "here", NULL);
  start(p);
  fake_say(f, a_request(s, "41", "here", "k", "{\"x\":2}"));
  tr_wire_span span = span_of(fake_hear(f));
  CHECK_INT(span.kind, ==, TR_WIRE_RESPONSE);
  CHECK_SLICE(span.request_id, "41");
  CHECK_INT(span.error.n, ==, 0);
  CHECK(holds(span.inner, "{\"x\":2}") && holds(span.inner, "Echo"));
  stage_free(s);
}

/* ---- what is asked, and when it has joined ---- */

CHECK_CASE(asks_for_all_at_once_and_has_joined_when_all_is_answered) {
  proc *p = set(false, "a", "x");
  actor_new(p, "b", NULL, NULL);
  f->manual = true;
  start(p);
  CHECK_INT(f->registers, ==, 2);
  CHECK_INT(f->adds, ==, 3);
  for (fcall *c = f->calls; c; c = c->next) {
    if (c == f->channel) continue;
    CHECK_INT(p->state, ==, TR_WORKER_JOINING);
    fcall_answer(c, 0, "");
    stage_run(s);
  }
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_sleep(s, TR_SECONDS(100));
  CHECK_INT(f->registers, ==, 2);
  stage_free(s);
}

CHECK_CASE(a_class_with_its_own_prefix_subscription_asks_for_it_once) {
  proc *p = set(false, "a", NULL);
  tr_local_sub_options o = { .kind = TR_SUB_PREFIX, .topic = TR_SLICE_LITERAL("a:") };
  CHECK_INT(tr_class_subscribe(tr_core_find_class(p->core, TR_SLICE_LITERAL("a")), &o, NULL, NULL), ==, 0);
  o = (tr_local_sub_options){ .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("x"), .key = TR_SLICE_LITERAL("one") };
  CHECK_INT(tr_class_subscribe(tr_core_find_class(p->core, TR_SLICE_LITERAL("a")), &o, NULL, NULL), ==, 0);
  o.key = TR_SLICE_LITERAL("two");
  CHECK_INT(tr_class_subscribe(tr_core_find_class(p->core, TR_SLICE_LITERAL("a")), &o, NULL, NULL), ==, 0);
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->adds, ==, 2);
  stage_free(s);
}

CHECK_CASE(who_registers_nothing_has_joined_at_once) {
  s = stage_new();
  f = fake_new(s, false);
  tr_worker_options o = { .register_types = false };
  proc *p = proc_new(s, NULL, f, &o);
  actor_new(p, "a", "x", NULL);
  tr_worker_start(p->worker);
  CHECK_INT(p->state, ==, TR_WORKER_DIALING);
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->registers + f->adds, ==, 0);
  CHECK_INT(f->opened, ==, 1);
  tr_worker_sync(p->worker);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(f->registers, ==, 0);
  stage_free(s);
}

/* ---- changes ---- */

CHECK_CASE(a_later_class_and_subscription_are_registered_and_what_is_gone_is_taken_back) {
  proc *p = set(false, "a", "x");
  start(p);
  actor *b = actor_new(p, "b", NULL, NULL);
  uint64_t id;
  tr_local_sub_options o = { .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("y") };
  CHECK_INT(tr_class_subscribe(b->class_, &o, &id, NULL), ==, 0);
  tr_worker_sync(p->worker);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(p->joins, ==, 2);
  CHECK(fake_has(f, -1, "", "b") && fake_has(f, TR_SUB_TYPE, "y", "b") && fake_has(f, TR_SUB_PREFIX, "b:", "b"));
  CHECK_INT(f->registers, ==, 2);
  tr_class_unsubscribe(b->class_, id);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK(!fake_has(f, TR_SUB_TYPE, "y", "b") && fake_has(f, TR_SUB_PREFIX, "b:", "b"));
  tr_core_remove_class(p->core, b->class_);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK(!fake_has(f, TR_SUB_PREFIX, "b:", "b"));
  CHECK(fake_has(f, -1, "", "b")); /* there is no call to give it back */
  fake_say(f, a_request(s, "1", "b", "k", "1"));
  tr_slice text = span_of(fake_hear(f)).error;
  CHECK(tr_slice_starts(text, TR_SLICE_LITERAL("not_found: ")));
  actor_new(p, "b", NULL, NULL);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->registers, ==, 2);
  CHECK(fake_has(f, TR_SUB_PREFIX, "b:", "b"));
  stage_free(s);
}

CHECK_CASE(what_goes_while_it_is_being_asked_for_is_taken_back_when_it_is_there) {
  proc *p = set(false, "a", NULL);
  uint64_t id;
  tr_local_sub_options o = { .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("y") };
  tr_class *class_ = tr_core_find_class(p->core, TR_SLICE_LITERAL("a"));
  CHECK_INT(tr_class_subscribe(class_, &o, &id, NULL), ==, 0);
  f->manual = true;
  start(p);
  tr_class_unsubscribe(class_, id);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK_INT(f->removes, ==, 0);
  for (fcall *c = f->calls; c; c = c->next)
    if (c != f->channel) fcall_answer(c, 0, "");
  stage_run(s);
  CHECK_INT(f->removes, ==, 1);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

/* ---- refused ---- */

CHECK_CASE(a_type_of_another_worker_is_waited_for_and_told_once) {
  proc *p = set(false, "a", "x");
  fake_hold(f, -1, "", "a", "00000000-0000-4000-8000-000000000000");
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINING);
  CHECK_STR(p->reason, "type a is held by another worker");
  CHECK_INT(p->reasons, ==, 1);
  CHECK(!fake_has(f, TR_SUB_TYPE, "x", "a")); /* it would serve the other */
  stage_sleep(s, TR_SECONDS(60));
  CHECK_INT(p->reasons, ==, 1);
  CHECK_INT(stage_logged(s, "type.refused"), ==, 1);
  CHECK_INT(f->registers, >, 10);
  CHECK_INT(f->registers, <, 40); /* 50 ms growing to 5 s */
  unsigned asked = f->registers;
  f->held->removed = true;
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->registers, ==, asked + 1);
  CHECK(fake_has(f, -1, "", "a") && fake_has(f, TR_SUB_TYPE, "x", "a") && fake_has(f, TR_SUB_PREFIX, "a:", "a"));
  stage_free(s);
}

CHECK_CASE(other_types_work_while_one_is_refused) {
  proc *p = set(false, "a", NULL);
  actor_new(p, "b", NULL, NULL);
  fake_hold(f, -1, "", "a", "00000000-0000-4000-8000-000000000000");
  start(p);
  CHECK(fake_has(f, -1, "", "b"));
  fake_say(f, a_request(s, "1", "b", "k", "1"));
  CHECK_INT(span_of(fake_hear(f)).error.n, ==, 0);
  stage_free(s);
}

CHECK_CASE(registered_already_by_ourselves_is_registered) {
  proc *p = set(false, "a", NULL);
  char text[200];
  f->manual = true;
  start(p);
  snprintf(text, sizeof text, "Agent type a already registered with client %s.", f->channel->client);
  fcall_answer(fake_call(f, "RegisterAgent", 0), 3, text);
  fcall_answer(fake_call(f, "AddSubscription", 0), 0, "");
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(a_subscription_that_is_there_already_does_no_harm_and_is_tried_again) {
  proc *p = set(false, "a", "x");
  fake_hold(f, TR_SUB_TYPE, "x", "a", "somebody");
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(p->reasons, ==, 0);
  stage_sleep(s, TR_SECONDS(600));
  CHECK_INT(f->adds, <, 40);
  CHECK_INT(p->joins, ==, 1);
  f->held->removed = true;
  stage_sleep(s, TR_SECONDS(61));
  CHECK(fake_has(f, TR_SUB_TYPE, "x", "a"));
  stage_free(s);
}

static void refuse_sub(void) {
  fcall_answer(fake_call(f, "RegisterAgent", 0), 0, "");
  fcall_answer(fake_call(f, "AddSubscription", 1), 0, ""); /* "a:" */
  fcall_answer(fake_call(f, "AddSubscription", 0), 7, "t may not");
  stage_run(s);
}

CHECK_CASE(a_refused_subscription_is_told_with_its_text_and_tried_again) {
  proc *p = set(false, "a", "x");
  f->manual = true;
  start(p);
  refuse_sub();
  CHECK_INT(p->state, ==, TR_WORKER_JOINING);
  CHECK_STR(p->reason, "the subscription to x is refused: t may not");
  CHECK_INT(tr_worker_refused_as(p->worker), ==, TR_EPERMISSION);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(f->adds, ==, 3);
  fcall_answer(fake_call(f, "AddSubscription", 0), 7, "t may not");
  stage_run(s);
  CHECK_INT(p->reasons, ==, 1);
  CHECK_INT(stage_logged(s, "subscription.refused"), ==, 1);
  CHECK(strstr(stage_line(s, "subscription.refused"), "topic=x reason=\"the subscription to x") != NULL);
  fake_break(f); /* what is said then is why it is away; after that, why it has not joined */
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->reasons, ==, 2);
  refuse_sub();
  CHECK_INT(p->reasons, ==, 3);
  CHECK_STR(p->reason, "the subscription to x is refused: t may not");
  CHECK_INT(stage_logged(s, "subscription.refused"), ==, 1);
  stage_sleep(s, TR_SECONDS(6));
  fcall_answer(fake_call(f, "AddSubscription", 0), 0, "");
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(a_refusal_for_another_reason_is_told_with_its_text) {
  proc *p = set(false, "a", NULL);
  f->manual = true;
  start(p);
  fcall_answer(fake_call(f, "RegisterAgent", 0), 7, "not for you");
  stage_run(s);
  CHECK_STR(p->reason, "type a is refused: not for you");
  fcall_answer(fake_call(f, "AddSubscription", 0), 0, "");
  stage_run(s);
  CHECK_INT(f->removes, ==, 1);
  CHECK_INT(p->state, ==, TR_WORKER_JOINING);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(f->registers, ==, 2);
  stage_free(s);
}
