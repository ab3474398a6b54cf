/* SPDX-License-Identifier: MIT
 * Parts of answers at a worker: given to a troupe host, never to AutoGen's; taken from it; bounded by credit. */
#include "worker_stage.h"

#include "wire/keys.h"
#include "wire/note.h"
#include "worker/internal.h"

#include <stdio.h>

static stage *s;
static place *f;

static proc *set(bool troupe) {
  s = stage_new();
  f = fake_new(s, troupe);
  return proc_new(s, NULL, f, &(tr_worker_options){ .register_types = true });
}

static void start(proc *p) {
  tr_worker_start(p->worker);
  stage_run(s);
}

static void say(tr_blob *frame) {
  fake_say(f, tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX));
  tr_blob_unref(frame);
}

/* ---- given ---- */

static int given;
static answer waits;
static void give(actor *a, tr_turn *turn) {
  (void)a;
  turn->user = NULL;
  for (; given < 10 && tr_turn_takes_parts(turn); given++) {
    if (!tr_turn_has_credit(turn)) {
      turn->user = &waits;
      return;
    }
    char json[16];
    int n = snprintf(json, sizeof json, "%d", given);
    tr_body body = { .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(tr_core_mem(tr_turn_core(turn)), tr_slice_make(json, (size_t)n)) };
    if (!body.bytes || tr_turn_part(turn, &body)) tr_turn_fail(turn, TR_EMEMORY, NULL);
  }
  actor_reply(turn, "Done", "\"done\"");
}

/* A request as a troupe caller makes it. */
static tr_slice streamed(proc *p, const char *id, unsigned window) {
  tr_msg *msg = message(p->core, TR_MSG_REQUEST, "a", "k", "Ask", "1");
  tr_blob *frame;
  msg->window = (uint8_t)window;
  CHECK_INT(tr_wire_encode_request(msg, tr_slice_of(id), &frame, NULL), ==, 0);
  char *bytes = keep(frame->len);
  memcpy(bytes, frame->data, frame->len);
  tr_slice out = tr_slice_make(bytes + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  return out;
}

static void hear_part(const char *id, const char *body) {
  tr_slice bytes = fake_hear(f);
  tr_wire_span span = span_of(bytes);
  tr_wire_note note;
  CHECK(tr_wire_read_note(&span, &note));
  CHECK_INT(note.kind, ==, TR_NOTE_PART);
  CHECK_SLICE(span.request_id, id);
  CHECK(holds(bytes, body));
}

CHECK_CASE(parts_go_out_as_far_as_there_is_credit) {
  proc *p = set(true);
  actor_new(p, "a", NULL, give);
  start(p);
  given = 0;
  fake_say(f, streamed(p, "1", 3));
  for (int i = 0; i < 3; i++) hear_part("1", (char[]){ (char)('0' + i), 0 });
  CHECK(fake_silent(f));
  CHECK_INT(given, ==, 3);
  say(tr_wire_credit(&s->mem, TR_SLICE_LITERAL("other"), 5));
  say(tr_wire_credit(&s->mem, TR_SLICE_LITERAL("1"), 0));
  CHECK(fake_silent(f));
  say(tr_wire_credit(&s->mem, TR_SLICE_LITERAL("1"), 2));
  hear_part("1", "3");
  hear_part("1", "4");
  CHECK(fake_silent(f));
  say(tr_wire_credit(&s->mem, TR_SLICE_LITERAL("1"), UINT32_MAX));
  for (int i = 5; i < 10; i++) hear_part("1", (char[]){ (char)('0' + i), 0 });
  CHECK_TEXT(span_of(fake_hear(f)).request_id, "1");
  CHECK(tr_core_idle(p->core));
  stage_free(s);
}

CHECK_CASE(parts_are_dropped_where_nobody_takes_them) {
  for (int troupe = 0; troupe < 2; troupe++) {
    proc *p = set(troupe);
    actor_new(p, "a", NULL, give);
    start(p);
    given = 0;
    fake_say(f, streamed(p, "1", troupe ? 0 : 16)); /* by AutoGen's host it comes from a troupe worker, too */
    tr_wire_span span = span_of(fake_hear(f));
    CHECK_INT(span.kind, ==, TR_WIRE_RESPONSE);
    CHECK(fake_silent(f));
    stage_free(s);
  }
}

CHECK_CASE(a_turn_that_waits_for_credit_ends_when_it_is_given_up) {
  proc *p = set(true);
  actor *a = actor_new(p, "a", NULL, give);
  start(p);
  given = 0;
  fake_say(f, streamed(p, "1", 1));
  hear_part("1", "0");
  say(tr_wire_cancel(&s->mem, TR_SLICE_LITERAL("1")));
  stage_run(s);
  CHECK_INT(a->cancels, ==, 1);
  CHECK(tr_core_idle(p->core) && fake_silent(f));
  stage_free(s);
}

/* ---- taken ---- */

static char taken[256];
static int done;
static void on_part(void *ud, tr_call *call, tr_reply *part) {
  (void)ud;
  strcat(taken, tr_slice_is(tr_blob_view(part->body.bytes), "9") ? "9" : "x");
  tr_call_credit(call, 1);
}
static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  done = reply->code ? reply->code : 1;
}

static tr_call *stream(proc *p) {
  tr_msg *msg = message(p->core, TR_MSG_REQUEST, "there", "k", "Ask", "1");
  msg->window = 16;
  tr_call *call = tr_core_call(p->core, msg, on_reply, NULL);
  tr_call_on_part(call, on_part);
  taken[0] = 0;
  done = 0;
  return call;
}

static void say_part(proc *p, tr_slice id, const char *json) {
  tr_reply part = { .type = tr_name_new(tr_core_names(p->core), TR_SLICE_LITERAL("Ask")),
                    .body = { .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(&s->mem, tr_slice_of(json)) } };
  tr_blob *frame;
  CHECK_INT(tr_wire_encode_part(p->core, &part, id, &frame, NULL), ==, 0);
  say(frame);
  tr_blob_unref(part.body.bytes);
  tr_name_unref(part.type);
}

CHECK_CASE(parts_come_to_who_called_and_credit_goes_back) {
  proc *p = set(true);
  start(p);
  stream(p);
  tr_slice bytes = fake_hear(f), id = span_of(bytes).request_id;
  CHECK_SLICE(tr_wire_metadata(span_of(bytes).inner, TR_WIRE_REQUEST, TR_KEY_STREAM), "16");
  say_part(p, id, "9");
  say_part(p, TR_SLICE_LITERAL("0123456789abcdef"), "9"); /* nobody's */
  for (int i = 0; i < 2; i++) {
    tr_wire_span span = span_of(fake_hear(f));
    tr_wire_note note;
    CHECK(tr_wire_read_note(&span, &note) && note.kind == TR_NOTE_CREDIT && note.count == 1);
    CHECK(tr_slice_equal(span.request_id, id));
    if (i == 0) say_part(p, id, "8");
  }
  CHECK_STR(taken, "9x");
  fake_say(f, a_response(s, id, "1"));
  stage_run(s);
  CHECK_INT(done, ==, 1);
  say_part(p, id, "9"); /* too late */
  stage_run(s);
  CHECK_STR(taken, "9x");
  stage_free(s);
}

CHECK_CASE(a_stream_fails_with_the_connection) {
  proc *p = set(true);
  start(p);
  stream(p);
  tr_slice id = span_of(fake_hear(f)).request_id;
  say_part(p, id, "9");
  stage_run(s);
  proc_cut(p);
  stage_run(s);
  CHECK_STR(taken, "9");
  CHECK_INT(done, ==, TR_EUNAVAILABLE);
  stage_free(s);
}
