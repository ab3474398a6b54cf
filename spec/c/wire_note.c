/* SPDX-License-Identifier: MIT
 * Notes: written, spliced, read. */
#include "check.h"

#include "core/core.h"
#include "wire/keys.h"
#include "wire/note.h"

static tr_core *core;
static void set(void) {
  core = tr_core_new(&(tr_core_options){ .mem = check_mem(), .seed = 1 });
  CHECK(core);
}

static tr_slice content(const tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

CHECK_CASE(wire_notes_come_as_they_were_written) {
  static const tr_wire_note notes[] = {
    { .kind = TR_NOTE_CANCEL }, { .kind = TR_NOTE_CREDIT, .count = 300 },
    { .kind = TR_NOTE_PROBE, .count = 7, .goal = UINT64_MAX, .call = 1 }, { .kind = TR_NOTE_BACK, .count = 7, .goal = UINT64_MAX, .call = 1 },
  };
  static const char *const ids[] = { "", "1", "0123456789abcdef" };
  for (size_t i = 0; i < 12; i++) {
    const tr_wire_note *note = &notes[i / 3];
    tr_wire_span span;
    tr_wire_note got;
    tr_blob *frame = tr_wire_encode_note(check_mem(), tr_slice_of(ids[i % 3]), note);
    CHECK_INT(tr_wire_walk(content(frame), &span, NULL), ==, 0);
    CHECK_INT(span.kind, ==, TR_WIRE_NOTE);
    CHECK_INT(tr_wire_check(&span, NULL), ==, 0);
    tr_blob *other = tr_wire_splice(check_mem(), &span, TR_SLICE_LITERAL("another id"));
    CHECK_INT(tr_wire_walk(content(other), &span, NULL), ==, 0);
    CHECK_SLICE(span.request_id, "another id");
    CHECK(tr_wire_read_note(&span, &got));
    CHECK(got.kind == note->kind && got.count == note->count && got.goal == note->goal && got.call == note->call);
    for (size_t n = 0; n < content(frame).n; n++) /* cut: refused, or it is none */
      if (!tr_wire_walk(tr_slice_make(content(frame).p, n), &span, NULL)) CHECK(span.kind != TR_WIRE_NOTE);
    tr_blob_unref(other);
    tr_blob_unref(frame);
  }
}

CHECK_CASE(wire_notes_of_other_kinds_are_none) {
  for (uint64_t kind = 0; kind < 20; kind++) {
    tr_wire_span span;
    tr_wire_note got, note = { .kind = kind };
    tr_blob *frame = tr_wire_encode_note(check_mem(), TR_SLICE_LITERAL("1"), &note);
    CHECK_INT(tr_wire_walk(content(frame), &span, NULL), ==, 0);
    CHECK(tr_wire_read_note(&span, &got) == (kind >= TR_NOTE_CANCEL && kind <= TR_NOTE_DECIDED));
    tr_blob_unref(frame);
  }
  tr_wire_span response = { .kind = TR_WIRE_RESPONSE };
  tr_wire_note got;
  CHECK(!tr_wire_read_note(&response, &got));
}

CHECK_CASE(wire_parts_are_read_as_bodies) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_core *mine = tr_core_new(&(tr_core_options){ .mem = check_mem(), .seed = 1 });
    tr_name *type = mine ? tr_name_new(tr_core_names(mine), TR_SLICE_LITERAL("Ask")) : NULL;
    tr_blob *bytes = tr_blob_copy(check_mem(), TR_SLICE_LITERAL("{\"a\":1}")), *frame = NULL;
    tr_reply part = { .type = type, .body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = bytes } };
    tr_wire_in in;
    if (type && bytes && !tr_wire_encode_part(mine, &part, TR_SLICE_LITERAL("7"), &frame, NULL) &&
        !tr_wire_decode(mine, content(frame), true, &in, NULL)) {
      CHECK_INT(in.kind, ==, TR_WIRE_NOTE);
      CHECK_SLICE(in.request_id, "7");
      CHECK(in.reply.type == type && in.reply.code == 0);
      CHECK_SLICE(tr_blob_view(in.reply.body.bytes), "{\"a\":1}");
      tr_wire_in_fini(&in);
    } else {
      CHECK(check_mem_refused());
    }
    tr_blob_unref(frame);
    tr_blob_unref(bytes);
    tr_name_unref(type);
    if (mine) tr_core_free(mine);
  }
}

CHECK_CASE(wire_of_a_key_that_is_there_twice_the_last_counts) { /* as for tr_wire_metadata, by which rights are asked */
  set();
  tr_msg *msg = tr_msg_new(core, TR_MSG_REQUEST);
  static const char *const said[] = { "state", "send", "" };
  for (int i = 0; i < 3; i++) {
    CHECK(tr_wire_key_apply(msg, TR_SLICE_LITERAL(TR_KEY_AS), tr_slice_of(said[i])));
    CHECK(tr_wire_key_apply(msg, TR_SLICE_LITERAL(TR_KEY_ID), tr_slice_of(said[i])));
    CHECK(tr_slice_is(tr_name_view(msg->more->as), said[i]));
    CHECK(tr_slice_is(tr_name_view(msg->id), said[i]));
  }
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_a_path_goes_with_a_request) {
  static const struct { const char *text; uint64_t chain; int count; bool cut; } cases[] = {
    { "0", 0, 0, false },       { "ab", 0xab, 0, false },          { "ab.1.2", 0xab, 2, false }, { "ab.1.2.3.4", 0xab, 4, false },
    { "ab.1.2.3.4.5", 0xab, 4, true }, { "ab.1~", 0xab, 1, true }, { "ab~", 0xab, 0, true },
    { "", 0, 0, false },        { ".", 0, 0, false },              { "ab.", 0, 0, false },       { "ab..1", 0, 0, false },
    { "ab.x", 0, 0, false },    { "~", 0, 0, false },              { "ab.11111111111111111", 0, 0, false },
  };
  set();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tr_msg *msg = tr_msg_new(core, TR_MSG_REQUEST);
    CHECK(tr_wire_key_apply(msg, TR_SLICE_LITERAL(TR_KEY_CHAIN), tr_slice_of(cases[i].text)));
    CHECK_INT(msg->chain, ==, cases[i].chain);
    CHECK_INT(msg->path.count, ==, cases[i].count);
    CHECK(msg->path.cut == cases[i].cut);
    if (msg->path.count > 1) CHECK(msg->path.marks[0] == 1 && msg->path.marks[1] == 2);
    tr_msg_unref(msg);
  }
  tr_core_free(core);
}
