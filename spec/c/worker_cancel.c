/* SPDX-License-Identifier: MIT
 * Requests that are given up, towards a troupe host and AutoGen's: what agents here called, and what they are asked. */
#include "worker_stage.h"

#include "wire/note.h"
#include "worker/internal.h"

#include <stdio.h>
#include <stdlib.h>

static stage *s;
static place *f;

static proc *set(bool troupe) {
  tr_worker_options o = { .register_types = true };
  s = stage_new();
  f = fake_new(s, troupe);
  proc *p = proc_new(s, NULL, f, &o);
  return p;
}

static void start(proc *p) {
  tr_worker_start(p->worker);
  stage_run(s);
}

static unsigned late(const proc *p) {
  tr_core_stats stats;
  tr_core_get_stats(p->core, &stats);
  return (unsigned)stats.late_replies;
}

/* The next message is a note of this kind: the id that it is about. */
static tr_slice hear_note(uint64_t kind) {
  tr_wire_span span = span_of(fake_hear(f));
  tr_wire_note note;
  CHECK_INT(span.kind, ==, TR_WIRE_NOTE);
  CHECK(tr_wire_read_note(&span, &note));
  CHECK_INT(note.kind, ==, kind);
  return span.request_id;
}

static void say_cancel(const char *id) {
  tr_blob *frame = tr_wire_cancel(&s->mem, tr_slice_of(id));
  fake_say(f, tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX));
  tr_blob_unref(frame);
}

/* ---- what agents here called ---- */

CHECK_CASE(a_call_given_up_is_told_to_a_troupe_host_only) {
  for (int troupe = 0; troupe < 2; troupe++) {
    proc *p = set(troupe);
    start(p);
    answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(50));
    tr_slice id = span_of(fake_hear(f)).request_id;
    tr_call_cancel(got->call);
    stage_run(s);
    if (troupe) CHECK(tr_slice_equal(hear_note(TR_NOTE_CANCEL), id));
    CHECK(fake_silent(f));
    CHECK(tr_worker_idle(p->worker));
    fake_say(f, a_response(s, id, "1"));
    stage_run(s);
    CHECK(!got->done);
    CHECK_INT(late(p), ==, 1);
    CHECK_INT(stage_logged(s, "answer.unknown"), ==, 0);
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    stage_free(s);
  }
}

CHECK_CASE(a_call_past_its_deadline_is_told_too) {
  proc *p = set(true);
  start(p);
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  tr_slice id = span_of(fake_hear(f)).request_id;
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(got->code, ==, TR_ETIMEOUT);
  CHECK(tr_slice_equal(hear_note(TR_NOTE_CANCEL), id));
  CHECK(fake_silent(f));
  stage_free(s);
}

CHECK_CASE(a_call_given_up_before_it_left_is_not_sent_at_all) {
  proc *p = set(true);
  f->down = true;
  start(p);
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(50));
  tr_call_cancel(got->call);
  CHECK(tr_worker_idle(p->worker));
  f->down = false;
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK(fake_silent(f));
  stage_free(s);
}

CHECK_CASE(the_answer_of_an_older_call_is_not_given_to_a_newer_one) {
  proc *p = set(true);
  start(p);
  answer *old = ask(p, "there", "Ask", "1", TR_SECONDS(50));
  tr_slice id = span_of(fake_hear(f)).request_id;
  tr_call_cancel(old->call);
  answer *new = ask(p, "there", "Ask", "2", TR_SECONDS(50)); /* takes its slot */
  hear_note(TR_NOTE_CANCEL);
  tr_slice newer = span_of(fake_hear(f)).request_id;
  fake_say(f, a_response(s, id, "\"late\""));
  stage_run(s);
  CHECK(!new->done);
  CHECK_INT(late(p), ==, 1);
  fake_say(f, a_response(s, newer, "\"mine\""));
  stage_run(s);
  CHECK_STR(new->body, "\"mine\"");
  stage_free(s);
}

/* ---- what agents here are asked ---- */

static answer held[3];
static void wait(actor *a, tr_turn *turn) { turn->user = &held[a->count % 3]; }

CHECK_CASE(what_the_host_gives_up_ends_here) {
  proc *p = set(true);
  actor *a = actor_new(p, "a", NULL, wait);
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", "1"));
  fake_say(f, a_request(s, "2", "a", "k", "2")); /* in the mailbox */
  stage_run(s);
  say_cancel("3"); /* nobody knows it */
  say_cancel("");
  say_cancel("2");
  say_cancel("1");
  say_cancel("1");
  stage_run(s);
  CHECK_INT(a->cancels, ==, 1);
  CHECK_INT(a->count, ==, 1);
  CHECK(tr_core_idle(p->core));
  CHECK(fake_silent(f)); /* no answer either */
  CHECK_INT(p->worker->n_jobs, ==, 0);
  stage_free(s);
}

CHECK_CASE(autogens_host_has_no_notes) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", NULL, wait);
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", "1"));
  say_cancel("1");
  stage_run(s);
  CHECK_INT(a->cancels, ==, 0);
  stage_free(s);
}

static void call_on(actor *a, tr_turn *turn) {
  (void)a;
  if (!turn->started) actor_call(turn, "there", "Ask", "1");
}

CHECK_CASE(what_it_called_itself_is_given_up_in_turn) {
  proc *p = set(true);
  actor *a = actor_new(p, "a", NULL, call_on);
  start(p);
  fake_say(f, a_request(s, "1", "a", "k", "1"));
  tr_slice id = span_of(fake_hear(f)).request_id;
  say_cancel("1");
  stage_run(s);
  CHECK_INT(a->cancels, ==, 1);
  CHECK(tr_slice_equal(hear_note(TR_NOTE_CANCEL), id));
  CHECK(fake_silent(f));
  stage_free(s);
}

CHECK_CASE(of_a_thousand_each_is_found) {
  enum { MANY = 1000 };
  proc *p = set(true);
  actor *a = actor_new(p, "a", NULL, wait);
  char id[16];
  start(p);
  for (int i = 0; i < MANY; i++) {
    snprintf(id, sizeof id, "%d", i);
    fake_say(f, a_request(s, id, "a", id, "1"));
  }
  stage_run(s);
  CHECK_INT(a->count, ==, MANY);
  for (int i = MANY; i-- > 0;) {
    snprintf(id, sizeof id, "%d", (i * 7) % MANY);
    say_cancel(id);
    stage_run(s);
    CHECK_INT(a->cancels, ==, MANY - i);
  }
  CHECK(!p->worker->jobs_by_id.mapped);
  stage_free(s);
}

CHECK_CASE(a_deadline_ends_a_turn_without_any_note) {
  proc *p = set(false);
  actor *a = actor_new(p, "a", NULL, wait);
  proc *q = proc_new(s, NULL, f, NULL);
  start(p);
  fcall *mine = f->channel;
  tr_worker_start(q->worker);
  stage_run(s);
  ask(q, "a", "Ask", "1", TR_SECONDS(3));
  tr_slice bytes = fake_hear(f);
  f->channel = mine;
  fake_say(f, bytes);
  stage_run(s);
  CHECK_INT(a->count, ==, 1);
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(a->cancels, ==, 0);
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(a->cancels, ==, 1);
  CHECK(tr_slice_starts(span_of(fake_hear(f)).error, TR_SLICE_LITERAL("timeout: "))); /* AutoGen's host waits for ever */
  stage_free(s);
}
