/* SPDX-License-Identifier: MIT
 * Parts of answers at the host: from client to client, to and from its own agents, and what cannot be passed on. */
#include "host_peer.h"

#include "wire/note.h"
#include "wire/wire.h"

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

static tr_slice number(unsigned field, unsigned value) { return text("%c%c", (char)(field << 3), (char)value); }
static tr_slice part(tr_slice id, const char *data) {
  return pb_field(15, join(join(pb_field(1, id), pb_field(2, payload("Ask", "application/json", data))), number(5, TR_NOTE_PART)));
}
static tr_slice credit(const char *id, unsigned parts) {
  return pb_field(15, join(pb_string(1, id), join(number(5, TR_NOTE_CREDIT), number(6, parts))));
}
static tr_slice probe_as(tr_slice id, unsigned kind) {
  return pb_field(15, join(join(pb_field(1, id), number(5, kind)), join(number(6, 9), join(number(7, 5), number(8, 6)))));
}
static tr_slice probe(const char *id) { return probe_as(tr_slice_of(id), TR_NOTE_PROBE); }
static tr_slice streamed(const char *id) { return request_with(id, "t", "k", "1", metadata("troupe-stream", "16")); }

static tr_wire_note note_of(tr_slice message, tr_slice *id) {
  tr_wire_span span;
  tr_wire_note note;
  CHECK_INT(tr_wire_walk(message, &span, NULL), ==, 0);
  CHECK(tr_wire_read_note(&span, &note));
  *id = span.request_id;
  return note;
}

CHECK_CASE(parts_credit_and_probes_go_through_under_the_ids_of_each_side) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, streamed("1"));
  tr_slice id = request_id(hear(worker)), got;
  for (int i = 0; i < 3; i++) say(worker, part(id, text("%d", i).p));
  for (int i = 0; i < 3; i++) {
    tr_slice message = hear(a);
    CHECK_INT(note_of(message, &got).kind, ==, TR_NOTE_PART);
    CHECK_SLICE(got, "1");
    CHECK(tr_slice_equal(message, part(TR_SLICE_LITERAL("1"), text("%d", i).p))); /* as it came, but for the id */
  }
  say(a, credit("1", 3));
  tr_wire_note note = note_of(hear(worker), &got);
  CHECK(note.kind == TR_NOTE_CREDIT && note.count == 3 && tr_slice_equal(got, id));
  say(a, probe("1"));
  note = note_of(hear(worker), &got);
  CHECK(note.kind == TR_NOTE_PROBE && note.count == 9 && note.goal == 5 && note.call == 6 && tr_slice_equal(got, id));
  say(worker, probe_as(id, TR_NOTE_BACK)); /* it has no credit */
  note = note_of(hear(a), &got);
  CHECK(note.kind == TR_NOTE_BACK && note.count == 9 && note.goal == 5 && note.call == 6);
  CHECK_SLICE(got, "1");
  say(worker, response(id, "\"end\""));
  expect_answer(a, "1", "\"end\"");
  say(worker, part(id, "4")); /* too late; and what never was */
  say(worker, part(TR_SLICE_LITERAL("x"), "4"));
  say(a, credit("1", 3));
  CHECK(silent(a) && silent(worker));
  stage_free(s);
}

CHECK_CASE(only_the_callee_gives_parts_and_only_the_caller_credit) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *b = troupe_channel(p, "b"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, streamed("1"));
  tr_slice id = request_id(hear(worker));
  say(b, part(id, "1"));
  say(a, part(id, "1"));
  say(b, credit("1", 1));
  say(a, probe_as(id, TR_NOTE_BACK));
  say(b, probe_as(TR_SLICE_LITERAL("1"), TR_NOTE_BACK));
  CHECK(silent(a) && silent(b) && silent(worker));
  stage_free(s);
}

CHECK_CASE(a_caller_that_is_not_troupe_gets_none_and_holds_nobody_up) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, streamed("1")); /* whatever it says */
  tr_slice id = request_id(hear(worker)), got;
  say(worker, part(id, "1"));
  tr_wire_note note = note_of(hear(worker), &got);
  CHECK(note.kind == TR_NOTE_CREDIT && note.count == 1);
  CHECK(silent(a));
  say(worker, response(id, "2"));
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(a_callee_that_is_not_troupe_hears_of_nothing) {
  set(NULL);
  pcall *a = troupe_channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, streamed("1"));
  tr_slice id = request_id(hear(worker));
  say(a, credit("1", 1));
  say(a, probe("1"));
  CHECK(silent(worker));
  say(worker, response(id, "2"));
  expect_answer(a, "1", "2");
  stage_free(s);
}

CHECK_CASE(a_part_that_cannot_be_passed_on_ends_the_request) {
  tr_host_options o = { .session_bytes = 20000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = troupe_channel(q, "a"), *worker = troupe_channel(p, "worker");
  reg(p, "worker", "t");
  say(a, streamed("1"));
  tr_slice id = request_id(hear(worker)), got;
  q->stalled = true;
  for (int i = 0; i < 9; i++) say(worker, part(id, text("\"%s\"", big(9000)).p));
  CHECK_INT(note_of(hear(worker), &got).kind, ==, TR_NOTE_CANCEL);
  CHECK(tr_slice_equal(got, id));
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  q->stalled = false;
  tr_slice message = { NULL, 0 };
  while (!silent(a)) message = hear(a);
  CHECK(tr_slice_starts(error_of(message), TR_SLICE_LITERAL("overloaded: a part of the answer could not be passed on")));
  stage_free(s);
}

CHECK_CASE(notes_survive_a_lack_of_memory) {
  for (size_t n = 1; n < 40; n++) {
    set(NULL);
    pcall *a = troupe_channel(p, "a"), *worker = troupe_channel(p, "worker");
    reg(p, "worker", "t");
    say(a, streamed("1"));
    say(a, streamed("2"));
    tr_slice id = request_id(hear(worker)), other = request_id(hear(worker));
    check_mem_fail_at(n);
    say(worker, part(id, "1"));
    say(a, credit("1", 2));
    say(a, probe("1"));
    say(a, pb_field(15, join(pb_string(1, "2"), number(5, TR_NOTE_CANCEL))));
    stage_run(s);
    check_mem_fail_at(0);
    if (!worker->closed) say(worker, response(id, "2"));
    if (!worker->closed) say(worker, response(other, "2"));
    stage_sleep(s, TR_SECONDS(700));
    CHECK_INT(stage_stats(s).pending_requests, ==, 0);
    stage_free(s);
  }
}
