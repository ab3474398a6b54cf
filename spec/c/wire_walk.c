/* SPDX-License-Identifier: MIT
 * The walk and the splice: what is found, and that forwarding changes nothing but the id. Messages are built here by
 * hand, byte by byte, so that they can be of shapes that no encoder makes. */
#include <stdio.h>

#include "check.h"
#include "wire/wire.h"

/* ---- building ---- */

typedef struct bytes { uint8_t at[4096]; size_t n; } bytes;

static void put_varint(bytes *to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) to->at[to->n++] = (uint8_t)(value | 0x80);
  to->at[to->n++] = (uint8_t)value;
}
static void put_bytes(bytes *to, unsigned number, const void *from, size_t n) {
  put_varint(to, number << 3 | 2);
  put_varint(to, n);
  memcpy(to->at + to->n, from, n);
  to->n += n;
}
static void put_text(bytes *to, unsigned number, const char *text) { put_bytes(to, number, text, strlen(text)); }
static void put_number(bytes *to, unsigned number, uint64_t value) {
  put_varint(to, number << 3);
  put_varint(to, value);
}
static void put_message(bytes *to, unsigned number, const bytes *from) { put_bytes(to, number, from->at, from->n); }
static void put_agent(bytes *to, unsigned number, const char *type, const char *key) {
  bytes agent = { .n = 0 };
  put_text(&agent, 1, type);
  put_text(&agent, 2, key);
  put_message(to, number, &agent);
}
static tr_slice view(const bytes *from) { return tr_slice_make(from->at, from->n); }

/* A request with everything, an unknown field of each wire type among them. */
static void build_request(bytes *inner) {
  bytes payload = { .n = 0 }, entry = { .n = 0 };
  inner->n = 0;
  put_text(&payload, 1, "Ask");
  put_text(&payload, 2, "application/json");
  put_text(&payload, 3, "{\"n\":1}");
  put_text(&entry, 1, "troupe-timeout");
  put_text(&entry, 2, "1500");
  put_text(inner, 1, "42");
  put_number(inner, 99, 300);
  put_agent(inner, 2, "caller", "c1");
  put_agent(inner, 3, "callee", "k1");
  put_message(inner, 5, &payload);
  put_message(inner, 6, &entry);
  put_text(inner, 1000, "unknown text");
  put_varint(inner, 77 << 3 | 1);
  memcpy(inner->at + inner->n, "12345678", 8), inner->n += 8;
  put_varint(inner, 78 << 3 | 5);
  memcpy(inner->at + inner->n, "1234", 4), inner->n += 4;
}
static void build_whole(bytes *whole, unsigned number, const bytes *inner) {
  whole->n = 0;
  put_message(whole, number, inner);
}

static void walk(tr_slice from, tr_wire_span *span) {
  tr_error error;
  tr_error_init(&error);
  if (tr_wire_walk(from, span, &error)) CHECK_FAIL("%s", error.text);
}
static void refused(tr_slice from, const char *message) {
  tr_wire_span span;
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_wire_walk(from, &span, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, message);
}

/* ---- the walk ---- */

CHECK_CASE(wire_walk_finds_what_routing_needs) {
  bytes inner, whole;
  tr_wire_span span;
  build_request(&inner);
  build_whole(&whole, 1, &inner);
  walk(view(&whole), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_REQUEST);
  CHECK_SLICE(span.request_id, "42");
  CHECK_INT(span.id_at, ==, 0);
  CHECK_INT(span.id_field, ==, 4);
  CHECK(span.has_source && span.has_target && span.has_payload);
  CHECK_SLICE(span.source_type, "caller");
  CHECK_SLICE(span.source_key, "c1");
  CHECK_SLICE(span.target_type, "callee");
  CHECK_SLICE(span.target_key, "k1");
  CHECK_SLICE(tr_wire_metadata(span.inner, span.kind, "troupe-timeout"), "1500");
  CHECK(!tr_wire_metadata(span.inner, span.kind, "troupe-chain").p);
}

CHECK_CASE(wire_walk_reads_answers) {
  bytes inner = { .n = 0 }, whole = { .n = 0 }, entry = { .n = 0 };
  tr_wire_span span;
  put_text(&inner, 3, "not_found: agent type Zed");
  put_text(&inner, 2, "");
  put_text(&inner, 1, "7");
  put_text(&entry, 1, "troupe-code");
  put_text(&entry, 2, "not_found");
  put_message(&inner, 4, &entry);
  put_message(&whole, 2, &inner);
  walk(view(&whole), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_RESPONSE);
  CHECK_SLICE(span.request_id, "7");
  CHECK_SLICE(span.error, "not_found: agent type Zed");
  CHECK(span.has_payload);
  CHECK_SLICE(tr_wire_metadata(span.inner, span.kind, "troupe-code"), "not_found");
}

CHECK_CASE(wire_walk_reads_events) {
  size_t length;
  tr_wire_span span;
  const char *python = check_file("spec/data/wire/golden/event_json_dataclass_from_agent.bin", &length);
  walk(tr_slice_make(python, length), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_EVENT);
  CHECK_SLICE(span.topic_type, "news");
  CHECK_SLICE(span.topic_source, "s1");
  CHECK_SLICE(span.event_id, "22222222-2222-4222-8222-222222222222");
  CHECK(span.has_binary_data && !span.has_proto_data && !span.has_text_data);
  CHECK_SLICE(tr_wire_event_attribute(span.inner, "agagentsendertype"), "B");
  CHECK_SLICE(tr_wire_event_attribute(span.inner, "dataschema"), "Ask");
  CHECK(!tr_wire_event_attribute(span.inner, "troupe-origin").p);
  const char *kinds = check_file("spec/data/wire/golden/event_all_attribute_kinds.bin", &length);
  walk(tr_slice_make(kinds, length), &span);
  CHECK(span.has_text_data && !span.has_binary_data);
  tr_slice empty = tr_wire_event_attribute(span.inner, "s");
  CHECK(empty.p && empty.n == 0); /* there, and empty */
  CHECK(!tr_wire_event_attribute(span.inner, "u").p); /* there, but not a ce_string */
}

CHECK_CASE(wire_walk_takes_an_empty_message) {
  tr_wire_span span;
  walk((tr_slice){ 0, 0 }, &span);
  CHECK_INT(span.kind, ==, TR_WIRE_EMPTY);
  bytes unknown = { .n = 0 };
  put_text(&unknown, 4, "of a later version");
  put_number(&unknown, 1, 5); /* a known number with another wire type is an unknown field */
  walk(view(&unknown), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_EMPTY);
  tr_blob *joined = tr_wire_join(check_mem(), view(&unknown));
  CHECK_INT(joined->len, ==, 0);
  tr_blob_unref(joined);
}

CHECK_CASE(wire_walk_takes_fields_in_any_order_and_the_last_one) {
  bytes inner = { .n = 0 }, half = { .n = 0 }, whole = { .n = 0 };
  tr_wire_span span;
  put_agent(&inner, 3, "old", "oldkey");
  put_text(&inner, 1, "first");
  put_text(&half, 1, "new"); /* merged: the type changes, the key stays */
  put_message(&inner, 3, &half);
  put_text(&inner, 1, "second");
  put_number(&inner, 3, 9);
  put_message(&whole, 1, &inner);
  walk(view(&whole), &span);
  CHECK_SLICE(span.request_id, "second");
  CHECK_SLICE(span.target_type, "new");
  CHECK_SLICE(span.target_key, "oldkey");
  CHECK(!span.has_source);
}

CHECK_CASE(wire_walk_goes_by_the_last_member_of_the_oneof) {
  bytes event = { .n = 0 }, inner, whole = { .n = 0 };
  tr_wire_span span;
  put_text(&event, 4, "topic");
  build_request(&inner);
  put_message(&whole, 3, &event);
  put_message(&whole, 1, &inner);
  walk(view(&whole), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_REQUEST);
  CHECK(!span.topic_type.p);
  put_message(&whole, 3, &event);
  walk(view(&whole), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_EVENT);
  CHECK(!span.request_id.p);
}

CHECK_CASE(wire_walk_refuses_pieces_and_join_puts_them_together) {
  bytes one = { .n = 0 }, two = { .n = 0 }, event = { .n = 0 }, whole = { .n = 0 };
  tr_wire_span span;
  put_text(&event, 4, "topic");
  put_text(&one, 1, "id");
  put_agent(&one, 3, "type", "key");
  put_text(&two, 4, "method");
  put_agent(&two, 2, "from", "f");
  put_message(&whole, 1, &two); /* cleared by the event behind it */
  put_message(&whole, 3, &event);
  put_message(&whole, 1, &one);
  put_text(&whole, 9, "unknown");
  put_message(&whole, 1, &two);
  CHECK_INT(tr_wire_walk(view(&whole), &span, NULL), ==, TR_EINVALID);
  CHECK(span.merged);
  tr_blob *joined = tr_wire_join(check_mem(), view(&whole));
  walk(tr_blob_view(joined), &span);
  CHECK_INT(span.inner.n, ==, one.n + two.n);
  CHECK_SLICE(span.request_id, "id");
  CHECK_SLICE(span.target_type, "type");
  CHECK_SLICE(span.source_type, "from");
  tr_blob_unref(joined);
  CHECK_EACH_ALLOCATION_FAILS {
    joined = tr_wire_join(check_mem(), view(&whole));
    CHECK(!joined == check_mem_refused());
    tr_blob_unref(joined);
  }
}

CHECK_CASE(wire_walk_refuses_what_is_malformed) {
  const char *m = "malformed agents.Message";
  refused(TR_SLICE_LITERAL("\x0a"), m);             /* no length */
  refused(TR_SLICE_LITERAL("\x0a\x05" "abc"), m);   /* cut */
  refused(TR_SLICE_LITERAL("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), m);
  refused(TR_SLICE_LITERAL("\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), m);
  refused(TR_SLICE_LITERAL("\x02\x00"), m);         /* field 0 */
  refused(TR_SLICE_LITERAL("\x0b\x0c"), m);         /* a group */
  refused(TR_SLICE_LITERAL("\x0a\x02\x0a\x01"), m); /* inner: cut */
  refused(TR_SLICE_LITERAL("\x12\x02\x08\x80"), m); /* inner: a number cut */
  refused(TR_SLICE_LITERAL("\x1a\x03\x09\x01\x02"), m); /* inner: eight bytes cut */
  refused(TR_SLICE_LITERAL("\x0a\x04\x1a\x02\x0a\x05"), m); /* target: cut */
  refused(TR_SLICE_LITERAL("\x0a\x03\x0a\x01\xff"), "malformed agents.Message: invalid utf8");
  refused(TR_SLICE_LITERAL("\x1a\x03\x22\x01\xff"), "malformed agents.Message: invalid utf8");
}

/* Of a message in plain ASCII only the nesting is looked at: it must come to the same. */
static int check_both_ways(tr_wire_span *span, tr_error *error) {
  int err = tr_wire_check(span, error);
  bool plain = span->plain;
  span->plain = false;
  CHECK_INT(tr_wire_check(span, NULL), ==, err);
  span->plain = plain;
  return err;
}

CHECK_CASE(wire_check_looks_into_what_is_nested) {
  tr_wire_span span;
  tr_error error;
  struct { const char *bytes; size_t n; bool good; } of[] = {
#define CASE(text, good) { text, sizeof text - 1, good }
    CASE("\x0a\x05\x2a\x03\x0a\x01" "a", true), CASE("\x0a\x05\x2a\x03\x0a\x01\xff", false),      /* payload.data_type */
    CASE("\x0a\x05\x2a\x03\x1a\x01\xff", true),                                                   /* data is bytes */
    CASE("\x0a\x04\x2a\x02\x0a\x05", false),                                                      /* cut in the payload */
    CASE("\x0a\x05\x32\x03\x12\x01\xff", false), CASE("\x12\x05\x22\x03\x12\x01\xff", false),     /* metadata */
    CASE("\x0a\x03\x22\x01\xff", false),                                                          /* method */
    CASE("\x1a\x07\x2a\x05\x12\x03\x1a\x01\xff", false), CASE("\x1a\x07\x2a\x05\x12\x03\x22\x01\xff", true), /* ce_string, ce_bytes */
    CASE("\x1a\x08\x2a\x06\x12\x04\x3a\x02\x08\x05", true), CASE("\x1a\x07\x2a\x05\x12\x03\x3a\x01\x08", false),   /* ce_timestamp, cut… */
    CASE("\x1a\x08\x2a\x06\x12\x04\x3a\x02\x12\x05", false), CASE("\x1a\x08\x2a\x06\x12\x04\x3a\x02\x00\x05", false), /* …and no Timestamp */
    CASE("\x1a\x03\x32\x01\xff", true), CASE("\x1a\x03\x3a\x01\xff", false),                      /* binary, text */
    CASE("\x1a\x05\x42\x03\x0a\x01\xff", false), CASE("\x1a\x05\x42\x03\x12\x01\xff", true),      /* Any */
    CASE("", true),
#undef CASE
  };
  for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
    walk(tr_slice_make(of[i].bytes, of[i].n), &span);
    tr_error_init(&error);
    int err = check_both_ways(&span, &error);
    if (err != (of[i].good ? 0 : TR_EINVALID)) CHECK_FAIL("case %zu: %d", i, err);
  }
}

static void good_golden(const char *path, void *ud) {
  size_t length;
  tr_wire_span span;
  const char *from = check_file(path, &length);
  (void)ud;
  if (!strstr(path, "/event") && !strstr(path, "/rpc")) return;
  walk(tr_slice_make(from, length), &span);
  CHECK_INT(check_both_ways(&span, NULL), ==, 0);
}
CHECK_CASE(wire_check_passes_what_real_peers_send) { check_each_file("spec/data/wire/golden", ".bin", good_golden, NULL); }

CHECK_CASE(wire_walk_cut_at_every_byte_is_refused_or_whole) {
  bytes inner, whole;
  build_request(&inner);
  build_whole(&whole, 1, &inner);
  for (size_t n = 1; n < whole.n; n++) {
    char *cut = memcpy(tr_alloc(check_mem(), n), whole.at, n);
    refused(tr_slice_make(cut, n), "malformed agents.Message");
    tr_free(check_mem(), cut, n);
  }
}

/* ---- over-size messages ---- */

CHECK_CASE(wire_walk_head_reads_what_is_there) {
  bytes inner, whole;
  tr_wire_span span;
  build_request(&inner);
  build_whole(&whole, 1, &inner);
  size_t found_from = 0;
  for (size_t n = 0; n <= whole.n; n++) {
    char *cut = memcpy(tr_alloc(check_mem(), n), whole.at, n);
    if (tr_wire_walk_head(tr_slice_make(cut, n), whole.n, &span)) {
      if (!found_from) found_from = n;
      CHECK_INT(span.kind, ==, TR_WIRE_REQUEST);
      CHECK_SLICE(span.request_id, "42");
      if (span.has_source) CHECK_SLICE(span.source_key, "c1");
      if (span.has_target) CHECK_SLICE(span.target_type, "callee");
    } else {
      CHECK_INT(found_from, ==, 0);
    }
    tr_free(check_mem(), cut, n);
  }
  CHECK_INT(found_from, ==, 6); /* 0a, a length, 0a 02 "42" */
  CHECK(tr_wire_walk_head(TR_SLICE_LITERAL("\x12\x90\x4e\x0a\x02" "42\x12\xff"), 10003, &span));
  CHECK_INT(span.kind, ==, TR_WIRE_RESPONSE);
  CHECK(!tr_wire_walk_head(TR_SLICE_LITERAL("\x1a\x90\x4e\x0a\x02" "42"), 10003, &span)); /* an event */
  CHECK(!tr_wire_walk_head(TR_SLICE_LITERAL("\x0a\x90\x4e\x0a\x02" "42"), 5000, &span));  /* longer than it is */
  CHECK(!tr_wire_walk_head(TR_SLICE_LITERAL("\x0a\x90\x4e\x2a\x80\x4e" "42"), 10003, &span)); /* the payload comes first */
  CHECK(!tr_wire_walk_head(TR_SLICE_LITERAL("\x0a\x90\x4e\x0a\x02\xff\xff"), 10003, &span));
}

/* ---- splice ---- */

static void check_prefix(const tr_blob *frame) {
  CHECK_INT(frame->len, >=, TR_WIRE_PREFIX);
  CHECK_INT(frame->data[0], ==, 0);
  CHECK_INT((size_t)frame->data[1] << 24 | frame->data[2] << 16 | frame->data[3] << 8 | frame->data[4], ==, frame->len - TR_WIRE_PREFIX);
}
static tr_slice content(const tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

/* Put another id in, then the old one back: nothing may have changed. */
static void check_there_and_back(tr_slice from) {
  char id[300];
  tr_wire_span span, there;
  walk(from, &span);
  for (size_t n = 0; n < sizeof id; n = n < 20 ? n + 1 : n + 107) {
    memset(id, 'i', n);
    tr_slice new_id = tr_slice_make(id, n);
    tr_blob *one = tr_wire_splice(check_mem(), &span, new_id);
    check_prefix(one);
    CHECK_INT(one->len, ==, TR_WIRE_PREFIX + tr_wire_splice_size(&span, new_id));
    walk(content(one), &there);
    CHECK_MEM(there.request_id.p, there.request_id.n, id, n);
    CHECK_MEM(there.inner.p, there.id_at, span.inner.p, span.id_at);
    tr_blob *back = tr_wire_splice(check_mem(), &there, span.request_id);
    CHECK_MEM(content(back).p, content(back).n, from.p, from.n);
    tr_blob_unref(one);
    tr_blob_unref(back);
  }
}

CHECK_CASE(wire_splice_changes_nothing_but_the_id) {
  bytes inner, whole = { .n = 0 }, event = { .n = 0 };
  build_request(&inner);
  put_text(&event, 4, "topic");
  put_text(&whole, 15, "unknown in front");
  put_message(&whole, 3, &event); /* and a member of the oneof that does not count */
  put_message(&whole, 1, &inner);
  put_text(&whole, 2000, "unknown behind");
  check_there_and_back(view(&whole));
  size_t length;
  const char *golden = check_file("spec/data/wire/golden/rpc_response_all_fields.bin", &length);
  check_there_and_back(tr_slice_make(golden, length));
  golden = check_file("spec/data/wire/golden/rpc_request_all_fields.bin", &length);
  check_there_and_back(tr_slice_make(golden, length));
}

CHECK_CASE(wire_splice_finds_the_id_wherever_it_is) {
  bytes inner = { .n = 0 }, whole;
  put_agent(&inner, 3, "t", "k");
  put_text(&inner, 50, "unknown");
  put_text(&inner, 1, "behind");
  put_text(&inner, 51, "unknown");
  build_whole(&whole, 1, &inner);
  check_there_and_back(view(&whole));
  put_text(&inner, 1, "twice"); /* the last one counts and is exchanged */
  build_whole(&whole, 1, &inner);
  check_there_and_back(view(&whole));
}

CHECK_CASE(wire_splice_puts_an_id_where_there_was_none) {
  bytes inner = { .n = 0 }, whole, expected = { .n = 0 }, expected_inner = { .n = 0 };
  tr_wire_span span;
  put_agent(&inner, 3, "t", "k");
  build_whole(&whole, 1, &inner);
  put_text(&expected_inner, 1, "new");
  put_agent(&expected_inner, 3, "t", "k");
  put_message(&expected, 1, &expected_inner);
  walk(view(&whole), &span);
  tr_blob *frame = tr_wire_splice(check_mem(), &span, TR_SLICE_LITERAL("new"));
  CHECK_MEM(content(frame).p, content(frame).n, expected.at, expected.n);
  tr_blob_unref(frame);
}

CHECK_CASE(wire_frames_without_memory_are_null) {
  bytes inner, whole;
  tr_wire_span span;
  build_request(&inner);
  build_whole(&whole, 1, &inner);
  walk(view(&whole), &span);
  CHECK_EACH_ALLOCATION_FAILS {
    tr_blob *one = tr_wire_splice(check_mem(), &span, TR_SLICE_LITERAL("x")), *two = tr_wire_frame(check_mem(), view(&whole));
    tr_blob *three = tr_wire_error(check_mem(), TR_SLICE_LITERAL("x"), TR_ENOT_FOUND, TR_SLICE_LITERAL("agent type Zed"));
    CHECK((!one || !two || !three) == check_mem_refused());
    if (two) CHECK_MEM(content(two).p, content(two).n, whole.at, whole.n);
    tr_blob_unref(one);
    tr_blob_unref(two);
    tr_blob_unref(three);
  }
}

CHECK_CASE(wire_error_says_code_and_text) {
  tr_wire_span span;
  tr_blob *frame = tr_wire_error(check_mem(), TR_SLICE_LITERAL("9"), TR_ENOT_FOUND, TR_SLICE_LITERAL("agent type Zed"));
  check_prefix(frame);
  walk(content(frame), &span);
  CHECK_INT(span.kind, ==, TR_WIRE_RESPONSE);
  CHECK_SLICE(span.request_id, "9");
  CHECK_SLICE(span.error, "not_found: agent type Zed");
  CHECK_SLICE(tr_wire_metadata(span.inner, span.kind, "troupe-code"), "not_found");
  CHECK(!span.has_payload);
  tr_blob_unref(frame);
  frame = tr_wire_error(check_mem(), TR_SLICE_LITERAL("9"), TR_ETIMEOUT, (tr_slice){ 0, 0 }); /* never an empty text */
  walk(content(frame), &span);
  CHECK_SLICE(span.error, "timeout: no answer within the deadline");
  tr_blob_unref(frame);
  frame = tr_wire_error(check_mem(), TR_SLICE_LITERAL("9"), TR_EHANDLER, TR_SLICE_LITERAL("a\xff\xc3\xa9\xc3")); /* text from anywhere */
  walk(content(frame), &span);
  CHECK_SLICE(span.error, "handler_error: a?\xc3\xa9?");
  tr_blob_unref(frame);
}

/* ---- damage ---- */

CHECK_CASE(wire_walk_of_damaged_messages_does_no_harm) {
  bytes inner, whole;
  tr_wire_span span;
  build_request(&inner);
  build_whole(&whole, 1, &inner);
  for (size_t i = 0; i < whole.n; i++) {
    uint8_t before = whole.at[i];
    for (int byte = 0; byte < 256; byte++) {
      whole.at[i] = (uint8_t)byte;
      char *copy = memcpy(tr_alloc(check_mem(), whole.n), whole.at, whole.n);
      tr_slice from = tr_slice_make(copy, whole.n);
      if (tr_wire_walk(from, &span, NULL) == 0) {
        tr_wire_metadata(span.inner, span.kind, "troupe-timeout");
        tr_wire_event_attribute(span.inner, "troupe-origin");
        check_both_ways(&span, NULL);
        if (span.kind == TR_WIRE_REQUEST || span.kind == TR_WIRE_RESPONSE) {
          tr_blob *frame = tr_wire_splice(check_mem(), &span, TR_SLICE_LITERAL("new"));
          walk(content(frame), &span);
          CHECK_SLICE(span.request_id, "new");
          tr_blob_unref(frame);
        }
      }
      tr_wire_walk_head(from, whole.n, &span);
      tr_blob_unref(tr_wire_join(check_mem(), from));
      tr_free(check_mem(), copy, whole.n);
    }
    whole.at[i] = before;
  }
}
