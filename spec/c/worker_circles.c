/* SPDX-License-Identifier: MIT
 * Agents in several processes that wait for each other: probes find the circles, and nothing else. */
#include "worker_stage.h"

#include "wire/note.h"
#include "worker/internal.h"

static stage *s;
static place *h;

/* Asked to "go" it asks the next one (its ud) to stop; asked to stop it answers. */
static void pass_on(actor *a, tr_turn *turn) {
  answer *got = turn->user;
  bool go = tr_slice_is(tr_blob_view(turn->msg->body.bytes), "\"go\"");
  if (!go) actor_reply(turn, "Done", "\"stopped\"");
  else if (!got) actor_call(turn, a->ud, "Ask", "\"stop\"");
  else if (got->done && got->code) tr_turn_fail(turn, got->code, got->error);
  else if (got->done) actor_reply(turn, "Done", got->body);
}

static answer never;
static void hold(actor *a, tr_turn *turn) {
  (void)a;
  turn->user = &never;
}

static proc *add(const char *type, const char *next, void (*act)(actor *a, tr_turn *turn)) {
  proc *p = proc_new(s, NULL, h, NULL);
  actor *a = actor_new(p, type, NULL, act);
  a->ud = (void *)(uintptr_t)next;
  tr_worker_start(p->worker);
  return p;
}

static proc *asker(void) {
  proc *q = proc_new(s, NULL, h, &(tr_worker_options){ .register_types = false });
  tr_worker_start(q->worker);
  stage_run(s);
  return q;
}

static void set(void) {
  s = stage_new();
  h = host_new(s);
}

CHECK_CASE(a_circle_over_processes_ends_with_deadlock) {
  static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
  for (int n = 2; n <= 6; n++) {
    answer *got[6];
    int deadlocks = 0;
    set();
    for (int i = 0; i < n; i++) add(names[i], names[(i + 1) % n], pass_on);
    proc *q = asker();
    for (int i = 0; i < n; i++) got[i] = ask(q, names[i], "Ask", "\"go\"", TR_NEVER);
    stage_run(s);
    for (int i = 0; i < n; i++) CHECK(!got[i]->done);
    stage_sleep(s, TR_MILLISECONDS(120));
    for (int i = 0; i < n; i++) {
      CHECK(got[i]->done);
      deadlocks += got[i]->code == TR_EDEADLOCK;
      CHECK(got[i]->code == TR_EDEADLOCK || got[i]->code == 0);
    }
    CHECK_INT(deadlocks, >=, 1);
    stage_free(s);
  }
}

CHECK_CASE(one_that_waits_for_a_circle_is_no_part_of_it) {
  set();
  add("a", "b", pass_on);
  add("b", "a", pass_on);
  proc *c = add("c", "a", pass_on), *q = asker();
  answer *first = ask(q, "a", "Ask", "\"go\"", TR_NEVER), *second = ask(q, "b", "Ask", "\"go\"", TR_NEVER);
  answer *third = ask(q, "c", "Ask", "\"go\"", TR_NEVER);
  stage_sleep(s, TR_SECONDS(1));
  CHECK(first->done && second->done && third->done);
  CHECK_INT(third->code, ==, 0);
  uint64_t written = c->written;
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(c->written, ==, written); /* nothing goes round for ever */
  stage_free(s);
}

CHECK_CASE(who_works_long_is_waited_for) {
  set();
  proc *a = add("a", "b", pass_on);
  add("b", NULL, hold);
  answer *got = ask(asker(), "a", "Ask", "\"go\"", TR_NEVER);
  stage_run(s);
  uint64_t written = a->written;
  stage_sleep(s, TR_SECONDS(60));
  CHECK(!got->done);
  CHECK_INT(a->written - written, <, 2000); /* some probes, ever more seldom */
  CHECK_INT(a->written - written, >, 0);
  stage_free(s);
}

CHECK_CASE(who_is_waited_for_by_nobody_sends_no_probes) {
  set();
  add("b", NULL, hold);
  proc *q = asker();
  ask(q, "b", "Ask", "\"go\"", TR_NEVER);
  stage_run(s);
  uint64_t written = q->written;
  stage_sleep(s, TR_SECONDS(15));
  CHECK_INT(q->written, ==, written);
  stage_free(s);
}

CHECK_CASE(autogens_host_gets_no_probes) {
  for (int troupe = 0; troupe < 2; troupe++) {
    s = stage_new();
    h = fake_new(s, troupe);
    add("a", "b", pass_on);
    stage_run(s);
    fake_say(h, a_request(s, "1", "a", "k", "\"go\""));
    tr_slice id = span_of(fake_hear(h)).request_id;
    stage_sleep(s, TR_MILLISECONDS(200));
    if (troupe) {
      tr_wire_span span = span_of(fake_hear(h));
      tr_wire_note note;
      CHECK(tr_wire_read_note(&span, &note));
      CHECK(note.kind == TR_NOTE_PROBE && note.goal && note.count == TR_PROBE_STEPS);
      CHECK(tr_slice_equal(span.request_id, id));
    } else {
      CHECK(fake_silent(h));
    }
    stage_free(s);
  }
}

static void say_probe(const char *id, uint64_t goal, uint64_t call, uint64_t count) {
  tr_wire_note note = { .kind = TR_NOTE_PROBE, .goal = goal, .call = call, .count = count };
  tr_blob *frame = tr_wire_encode_note(&s->mem, tr_slice_of(id), &note);
  fake_say(h, tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX));
  tr_blob_unref(frame);
}

CHECK_CASE(probes_that_are_nobodys_do_nothing) {
  s = stage_new();
  h = fake_new(s, true);
  add("a", "b", pass_on);
  stage_run(s);
  fake_say(h, a_request(s, "1", "a", "k", "\"go\""));
  tr_slice id = span_of(fake_hear(h)).request_id;
  say_probe("1", 0, 1, 1);
  say_probe("2", 5, 1, 1);
  say_probe("1", UINT64_MAX - 1, 1, 0); /* no steps left */
  CHECK(fake_silent(h));
  say_probe("1", UINT64_MAX, 6, UINT64_MAX); /* goes on behind b's request, with no more steps than there are */
  tr_wire_span span = span_of(fake_hear(h));
  tr_wire_note note;
  CHECK(tr_wire_read_note(&span, &note) && note.goal == UINT64_MAX && note.call == 6 && note.count == TR_PROBE_STEPS - 1);
  CHECK(tr_slice_equal(span.request_id, id));
  say_probe("1", UINT64_MAX, 6, 9); /* it has been here */
  CHECK(fake_silent(h));
  fake_say(h, a_response(s, id, "2"));
  CHECK_TEXT(span_of(fake_hear(h)).request_id, "1");
  stage_free(s);
}
