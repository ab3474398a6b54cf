/* SPDX-License-Identifier: MIT
 * Workers on troupe's real host, all in memory: what the demo does, calls across workers and back, connections that
 * break in the midst, restarts. And every allocation of a worker failing in turn. */
#include "worker_stage.h"

#include <stdio.h>
#include <stdlib.h>

static stage *s;
static place *h;

static proc *add(const char *type, const char *topic, void (*act)(actor *a, tr_turn *turn), actor **out) {
  proc *p = proc_new(s, NULL, h, NULL);
  actor *a = actor_new(p, type, topic, act);
  if (out) *out = a;
  tr_worker_start(p->worker);
  return p;
}

static void set(void) {
  s = stage_new();
  h = host_new(s);
}

/* examples/hello: each counts what it hears and passes on the first five. */
static void hello(actor *a, tr_turn *turn) {
  tr_core *core = tr_turn_core(turn);
  if (a->count > 5) return;
  tr_msg *msg = message(core, TR_MSG_EVENT, "default", "default", "Greeting", "{\"content\":\"Hello!\"}");
  if (msg) tr_turn_post(turn, msg);
}

CHECK_CASE(two_workers_and_a_publisher_say_hello) {
  for (size_t piece = 0; piece < 8; piece += 7) {
    actor *one, *two;
    set();
    s->piece = piece;
    proc *p = add("worker1", "default", hello, &one);
    add("worker2", "default", hello, &two);
    tr_worker_options o = { .register_types = false };
    proc *q = proc_new(s, NULL, h, &o);
    tr_worker_start(q->worker);
    stage_run(s);
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    CHECK(tr_worker_host_is_troupe(p->worker) && tr_worker_host_is_troupe(q->worker));
    publish(q, "default", "Greeting", "{\"content\":\"Hello!\"}");
    tr_worker_stop(q->worker, s->now + TR_SECONDS(1));
    stage_run(s);
    CHECK_INT(q->state, ==, TR_WORKER_OFF);
    CHECK_INT(one->count, ==, 6); /* from outside, and five of the other */
    CHECK_INT(two->count, ==, 6);
    stage_free(s);
  }
}

/* ---- subscriptions ---- */

typedef struct listing { char text[1000]; } listing;

static void list_one(void *ud, const tr_wire_subscription *sub) {
  listing *list = ud;
  size_t n = strlen(list->text);
  snprintf(list->text + n, sizeof list->text - n, "%s%.*s=%.*s ", sub->kind == TR_SUB_PREFIX ? "prefix " : "",
           TR_SLICE_ARG(sub->topic), TR_SLICE_ARG(sub->agent_type));
}

/* What GetSubscriptions answers. */
static const char *listed(void) {
  listing *list = keep(sizeof *list);
  tr_blob *frame = tr_wire_encode_subscriptions(&s->mem, tr_core_router(h->core));
  tr_slice bytes = { (const char *)frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX };
  CHECK_INT(tr_wire_decode_subscriptions(bytes, list_one, list, NULL), ==, 0);
  tr_blob_unref(frame);
  return list->text;
}

static void no_act(actor *a, tr_turn *turn) {
  (void)a;
  (void)turn;
}

CHECK_CASE(subscriptions_made_while_running_are_listed_by_the_host_and_withdrawn) {
  actor *a, *b;
  uint64_t id, prefix;
  set();
  proc *p = add("a", NULL, no_act, &a);
  proc *q = add("b", NULL, no_act, &b);
  stage_run(s);
  size_t before = strlen(listed());
  CHECK(strstr(listed(), "prefix a:=a ") && strstr(listed(), "prefix b:=b "));
  publish(q, "late", "E", "1");
  stage_run(s);
  CHECK_INT(a->count, ==, 0);
  tr_local_sub_options o = { .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("late"), .all = false };
  CHECK_INT(tr_class_subscribe(a->class_, &o, &id, NULL), ==, 0);
  o = (tr_local_sub_options){ .kind = TR_SUB_PREFIX, .topic = TR_SLICE_LITERAL("home."), .key = TR_SLICE_LITERAL("k") };
  CHECK_INT(tr_class_subscribe(a->class_, &o, &prefix, NULL), ==, 0);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK(strstr(listed(), "late=a ") && strstr(listed(), "prefix home.=a "));
  publish(q, "late", "E", "1");
  publish(q, "home.kitchen", "E", "1");
  stage_run(s);
  CHECK_INT(a->count, ==, 2);
  tr_class_unsubscribe(a->class_, id);
  tr_class_unsubscribe(a->class_, prefix);
  tr_worker_sync(p->worker);
  stage_run(s);
  CHECK_INT(strlen(listed()), ==, before);
  publish(q, "late", "E", "1");
  publish(q, "home.kitchen", "E", "1");
  stage_run(s);
  CHECK_INT(a->count, ==, 2);
  stage_free(s);
}

/* Reserved names: a client may not write to them, and may listen. */
CHECK_CASE(reserved_names_are_the_hosts_own) {
  actor *a;
  set();
  add("a", "troupe.dead_letter", no_act, &a);
  proc *q = add("b", NULL, no_act, NULL);
  stage_run(s);
  a->count = 0;
  tr_msg *msg = message(h->core, TR_MSG_EVENT, "troupe.dead_letter", "default", "DeadLetter", "{}");
  tr_core_post(h->core, msg);
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  publish(q, "troupe.dead_letter", "DeadLetter", "{}"); /* an uplink does not even take it */
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  answer *got = ask(q, "a", "Ask", "1", TR_SECONDS(5));
  stage_run(s);
  CHECK(got->done);
  stage_free(s);
}

/* ---- calls ---- */

static void call_on(actor *a, tr_turn *turn) { /* asks ud, and answers with its answer */
  answer *got = turn->user;
  if (turn->msg->kind != TR_MSG_REQUEST || strcmp(turn->msg->type->text, "Back") == 0) {
    actor_reply(turn, "Back", "\"here\"");
  } else if (!got) {
    actor_call(turn, a->ud, strcmp(a->name, "a") == 0 ? "Ask" : "Back", "1");
  } else if (got->done) {
    if (got->code) tr_turn_fail(turn, got->code, got->error);
    else actor_reply(turn, "Through", got->body);
  }
}

CHECK_CASE(a_calls_b_calls_a_across_workers) {
  actor *a, *b;
  set();
  proc *p = add("a", NULL, call_on, &a);
  add("b", NULL, call_on, &b);
  a->ud = (void *)(uintptr_t)"b";
  b->ud = (void *)(uintptr_t)"a";
  stage_run(s);
  answer *got = ask(p, "a", "Ask", "1", TR_SECONDS(5));
  stage_run(s);
  CHECK_INT(got->code, ==, 0);
  CHECK_STR(got->body, "\"here\"");
  CHECK_INT(a->count, ==, 2);
  stage_free(s);
}

CHECK_CASE(errors_keep_their_code_across_workers) {
  set();
  proc *p = add("a", NULL, NULL, NULL);
  stage_run(s);
  answer *nobody = ask(p, "zed", "Ask", "1", TR_SECONDS(5));
  stage_run(s);
  CHECK_INT(nobody->code, ==, TR_ENOT_FOUND);
  CHECK(nobody->error[0]);
  stage_free(s);
}

static void never(actor *a, tr_turn *turn) {
  static answer not_yet;
  (void)a;
  turn->user = &not_yet;
}

CHECK_CASE(a_broken_connection_fails_what_is_open_on_it) {
  set();
  proc *p = add("a", NULL, NULL, NULL), *q = add("b", NULL, never, NULL);
  stage_run(s);
  answer *got = ask(p, "b", "Ask", "1", TR_SECONDS(50));
  stage_run(s);
  CHECK(!got->done);
  proc_cut(q); /* the callee's: the host tells */
  stage_run(s);
  CHECK_INT(got->code, ==, TR_EUNAVAILABLE);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(q->state, ==, TR_WORKER_JOINED);
  got = ask(p, "b", "Ask", "1", TR_SECONDS(50));
  stage_run(s);
  CHECK(!got->done);
  proc_cut(p); /* the caller's: its uplink tells */
  CHECK_INT(got->code, ==, TR_EUNAVAILABLE);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  got = ask(q, "a", "Ask", "[9]", TR_SECONDS(5));
  stage_run(s);
  CHECK_STR(got->body, "[9]");
  stage_free(s);
}

CHECK_CASE(a_rejoined_worker_gets_what_waited_for_it) {
  actor *a;
  set();
  proc *p = add("a", "x", NULL, &a), *q = add("b", NULL, NULL, NULL);
  stage_run(s);
  char id[40];
  snprintf(id, sizeof id, "%.*s", TR_SLICE_ARG(tr_worker_client_id(p->worker)));
  p->target = NULL;
  proc_cut(p);
  publish(q, "x", "E", "1");
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(a->count, ==, 0);
  p->target = h;
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_TEXT(tr_worker_client_id(p->worker), id);
  CHECK_INT(a->count, ==, 1);
  CHECK_INT(p->reasons, ==, 1);
  stage_free(s);
}

CHECK_CASE(a_restarted_host_is_joined_again) {
  actor *a;
  set();
  proc *p = add("a", "x", NULL, &a), *q = add("b", NULL, NULL, NULL);
  stage_run(s);
  place *old = h;
  h = host_new(s);
  p->target = q->target = NULL;
  tr_host_drain(old->host, s->now + TR_SECONDS(1));
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(p->state, ==, TR_WORKER_DIALING);
  p->target = q->target = h;
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  publish(q, "x", "E", "1");
  answer *got = ask(q, "a", "Ask", "2", TR_SECONDS(5));
  stage_run(s);
  CHECK_INT(a->count, ==, 2);
  CHECK_STR(got->body, "2");
  stage_free(s);
}

CHECK_CASE(a_type_moves_to_another_worker_when_its_own_has_left) {
  set();
  proc *p = add("a", NULL, NULL, NULL);
  stage_run(s);
  proc *q = add("a", NULL, NULL, NULL);
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(q->state, ==, TR_WORKER_JOINING);
  CHECK_STR(q->reason, "type a is held by another worker");
  tr_worker_stop(p->worker, s->now + TR_SECONDS(1));
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(q->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

static void on_types(void *ud, int code, const char *text) {
  (void)text;
  *(int *)ud = code + 1;
}

CHECK_CASE(types_are_waited_for_on_troupes_host) {
  tr_slice type = TR_SLICE_LITERAL("late");
  int result = 0;
  set();
  proc *p = add("a", NULL, NULL, NULL);
  stage_run(s);
  tr_worker_wait_types(p->worker, &type, 1, s->now + TR_SECONDS(20), on_types, &result);
  stage_sleep(s, TR_SECONDS(3));
  CHECK_INT(result, ==, 0);
  add("late", NULL, NULL, NULL);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(result, ==, 1);
  stage_free(s);
}

CHECK_CASE(an_idle_worker_and_host_stay_together) {
  set();
  proc *p = add("a", NULL, NULL, NULL);
  stage_sleep(s, TR_SECONDS(3600));
  CHECK_INT(p->dials, ==, 1);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(many_messages_arrive_once_and_in_order) {
  enum { MANY = 5000 };
  actor *a;
  set();
  add("a", "x", NULL, &a);
  proc *q = add("b", NULL, NULL, NULL);
  stage_run(s);
  char json[300];
  for (int i = 0; i < MANY; i++) {
    snprintf(json, sizeof json, "%d", i);
    publish(q, "x", "E", json);
  }
  stage_run(s);
  CHECK_INT(a->count, ==, MANY);
  int i = 0;
  for (heard *e = a->first; e; e = e->next) CHECK_INT(atoi(e->body), ==, i++);
  stage_free(s);
}

/* ---- memory ---- */

static void whole_life(proc *p, actor *peer) {
  actor *a = actor_new(p, "a", "x", NULL);
  tr_slice type = TR_SLICE_LITERAL("b");
  int result = 0;
  tr_worker_start(p->worker);
  if (tr_worker_wait_types(p->worker, &type, 1, s->now + TR_SECONDS(20), on_types, &result)) result = 1;
  stage_sleep(s, TR_SECONDS(1));
  answer *got = ask(p, "b", "Ask", "[1]", TR_SECONDS(5)), *back = ask(peer->on, "a", "Ask", "2", TR_SECONDS(5));
  publish(p, "y", "E", "1");
  publish(peer->on, "x", "E", "1");
  stage_sleep(s, TR_SECONDS(1));
  proc_cut(p);
  actor *late = actor_new(p, "c", NULL, NULL);
  tr_worker_sync(p->worker);
  stage_sleep(s, TR_SECONDS(30));
  CHECK(got->done && back->done);
  CHECK(result != 0);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  if (!check_mem_refused()) CHECK(got->code == 0 && back->code == 0 && a->count == 2 && peer->count == 2 && late);
  tr_worker_stop(p->worker, s->now + TR_SECONDS(1));
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
}

CHECK_CASE(any_allocation_may_fail_on_autogens_host) {
  unsigned runs = 0;
  CHECK_EACH_ALLOCATION_FAILS {
    runs++;
    s = stage_new();
    h = fake_new(s, false);
    fake_hold(h, -1, "", "a", "00000000-0000-4000-8000-000000000000");
    proc *p = proc_new(s, check_mem(), h, NULL);
    if (p) {
      actor *a = actor_new(p, "a", "x", NULL);
      tr_worker_start(p->worker);
      stage_sleep(s, TR_SECONDS(1));
      h->held->removed = true; /* the other one has left */
      stage_sleep(s, TR_SECONDS(12));
      CHECK_INT(p->state, ==, TR_WORKER_JOINED);
      if (a) {
        unsigned opened = h->opened;
        fake_say(h, a_request(s, "1", "a", "k", "[1]"));
        fake_say(h, an_event(s, "x", "k", "2"));
        stage_sleep(s, TR_SECONDS(1));
        CHECK(h->opened > opened || h->channel->count == 1); /* an answer, or a new stream */
      }
      tr_worker_stop(p->worker, s->now + TR_SECONDS(1));
      stage_sleep(s, TR_SECONDS(2));
      CHECK_INT(p->state, ==, TR_WORKER_OFF);
    }
    stage_free(s);
  }
  CHECK_INT(runs, >, check_each_least(50));
}

CHECK_CASE(any_allocation_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    actor *peer;
    set();
    add("b", "y", NULL, &peer);
    proc *p = proc_new(s, check_mem(), h, NULL);
    if (p) whole_life(p, peer);
    else CHECK(check_mem_refused());
    stage_free(s);
  }
}
