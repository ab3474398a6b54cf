/* SPDX-License-Identifier: MIT
 * The keys of results that stay where they are, and of requests that may come again: there and back, and what is made of nonsense. */
#include <stdio.h>

#include "check.h"
#include "core/core.h"
#include "wire/wire.h"

static tr_core *core;

static bool open_core(void) {
  tr_core_options options = { .mem = check_mem(), .seed = 1, .now = TR_SECONDS(1) };
  core = tr_core_new(&options);
  return core;
}

static tr_name *name(const char *text) { return tr_name_new(tr_core_names(core), tr_slice_of(text)); }
static tr_slice content(const tr_blob *frame) { return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX); }

static tr_msg *request(const char *refs) {
  tr_msg *msg = tr_msg_new(core, TR_MSG_REQUEST);
  if (!msg) return NULL;
  msg->type = name("Ask");
  msg->target_type = name("a");
  msg->target_key = name("k");
  tr_msg_more *more = tr_msg_get_more(msg);
  if (more && refs) more->refs = tr_blob_copy(check_mem(), tr_slice_of(refs));
  return msg;
}

/* Through bytes and back; NULL: an error. */
static tr_msg *pass(tr_msg *msg) {
  tr_blob *frame = NULL;
  tr_wire_in in = { 0 };
  if (!msg || tr_wire_encode_request(msg, TR_SLICE_LITERAL("1"), &frame, NULL)) return NULL;
  tr_msg *out = tr_wire_decode(core, content(frame), true, &in, NULL) ? NULL : in.msg;
  if (out) in.msg = NULL;
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  return out;
}

static const char REFS[] = "0=a/0123456789abcdef0123456789abcdef 12=b/fedcba9876543210fedcba9876543210";

CHECK_CASE(what_more_a_request_has_comes_through) {
  CHECK(open_core());
  tr_msg *msg = request(REFS);
  msg->more->keep_ms = 1234;
  msg->more->token[0] = UINT64_C(0xfedcba9876543210);
  msg->more->token[1] = 7;
  tr_msg *got = pass(msg);
  CHECK(got && got->more && got->more->refs);
  CHECK_SLICE(tr_blob_view(got->more->refs), REFS);
  CHECK_INT(got->more->keep_ms, ==, 1234);
  CHECK(got->more->token[0] == UINT64_C(0xfedcba9876543210) && got->more->token[1] == 7);
  CHECK(!got->meta); /* none of it is for scripts */
  tr_msg_unref(got);
  tr_msg_unref(msg);
  msg = request(NULL);
  got = pass(msg);
  CHECK(got && !got->more); /* nothing of it costs nothing */
  tr_msg_unref(got);
  tr_msg_unref(msg);
  msg = request(NULL);
  msg->more->keep_ms = UINT32_MAX;
  got = pass(msg);
  CHECK_INT(got->more->keep_ms, ==, 3600000); /* at most an hour */
  tr_msg_unref(got);
  tr_msg_unref(msg);
  tr_core_free(core);
}

static tr_msg *with_key(const char *key, const char *value) {
  tr_buf buf;
  tr_buf_init(&buf, check_mem());
  size_t k = strlen(key), v = strlen(value);
  size_t entry = 2 + k + 2 + v, inner = 3 + 5 + 2 + entry;
  CHECK(inner < 128);
  tr_buf_printf(&buf, "\n%c\n\x01" "1\x1a\x03\n\x01" "t2%c\n%c%s\x12%c%s", (int)inner, (int)entry, (int)k, key, (int)v, value);
  tr_wire_in in;
  tr_error error;
  tr_error_init(&error);
  if (tr_wire_decode(core, tr_buf_view(&buf), true, &in, &error)) CHECK_FAIL("%s", error.text);
  tr_msg *msg = in.msg;
  in.msg = NULL;
  tr_wire_in_fini(&in);
  tr_buf_fini(&buf);
  return msg;
}

CHECK_CASE(keys_of_results_that_make_no_sense_are_ignored) {
  static const char *const keys[][2] = {
    { "troupe-keep", "-1" }, { "troupe-keep", "soon" }, { "troupe-keep", "99999999999999999999999" }, { "troupe-resend", "12" },
    { "troupe-resend", "0123456789abcdefg123456789abcdef" }, { "troupe-resend", "00000000000000000000000000000001" },
    { "troupe-resend", "0123456789ABCDEF0123456789ABCDEF" }, { "troupe-kept", "x" }, { "troupe-later", "y" },
  };
  CHECK(open_core());
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    tr_msg *msg = with_key(keys[i][0], keys[i][1]);
    CHECK(!msg->more || (!msg->more->keep_ms && !msg->more->token[0] && !msg->more->refs));
    CHECK(!msg->meta && msg->troupe_peer);
    tr_msg_unref(msg);
  }
  tr_msg *msg = with_key("troupe-refs", "nonsense"); /* that one is not: there is a null in the body for it (core/refs.c refuses it) */
  CHECK_SLICE(tr_blob_view(msg->more->refs), "nonsense");
  tr_msg_unref(msg);
  tr_core_free(core);
}

/* ---- answers ---- */

static int pass_reply(const tr_reply *reply, tr_wire_in *in, tr_error *error) {
  tr_blob *frame = NULL;
  int err = tr_wire_encode_reply(core, reply, TR_SLICE_LITERAL("1"), &frame, error);
  if (!err) err = tr_wire_decode(core, content(frame), true, in, error);
  tr_blob_unref(frame);
  return err;
}

CHECK_CASE(an_answer_says_where_its_content_is) {
  CHECK(open_core());
  tr_wire_in in;
  tr_error error;
  tr_error_init(&error);
  tr_reply reply = { .type = name("Done"), .body = { .kind = TR_BODY_REF, .bytes = tr_blob_copy(check_mem(), tr_slice_make(REFS + 2, 34)) } };
  CHECK_INT(pass_reply(&reply, &in, &error), ==, 0);
  CHECK_INT(in.reply.body.kind, ==, TR_BODY_REF);
  CHECK_SLICE(tr_blob_view(in.reply.body.bytes), "a/0123456789abcdef0123456789abcdef");
  CHECK_STR(in.reply.type->text, "Done");
  CHECK(!in.meta);
  tr_wire_in_fini(&in);
  tr_body_release(core, &reply.body);
  for (size_t n = 1; n < 34; n++) { /* anything shorter is none */
    reply.body = (tr_body){ .kind = TR_BODY_REF, .bytes = tr_blob_copy(check_mem(), tr_slice_make(REFS + 2, n)) };
    CHECK_INT(pass_reply(&reply, &in, &error), ==, TR_EINVALID);
    tr_body_release(core, &reply.body);
  }
  tr_name_unref(reply.type);
  reply = (tr_reply){ .code = TR_EUNAVAILABLE, .error = TR_SLICE_LITERAL("gone"), .unresolved = true };
  CHECK_INT(pass_reply(&reply, &in, &error), ==, 0);
  CHECK(in.reply.unresolved);
  CHECK_INT(in.reply.code, ==, TR_EUNAVAILABLE);
  tr_wire_in_fini(&in);
  reply.unresolved = false;
  CHECK_INT(pass_reply(&reply, &in, &error), ==, 0);
  CHECK(!in.reply.unresolved);
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

CHECK_CASE(an_event_shows_its_priority_to_who_passes_it_on) {
  static const struct { tr_priority given; const char *key, *value; tr_priority found; } cases[] = {
    { TR_PRIORITY_NORMAL, NULL, NULL, TR_PRIORITY_NORMAL }, { TR_PRIORITY_HIGH, NULL, NULL, TR_PRIORITY_HIGH },
    { TR_PRIORITY_LOW, NULL, NULL, TR_PRIORITY_LOW }, { TR_PRIORITY_NORMAL, "urgency", "high", TR_PRIORITY_NORMAL },
    { TR_PRIORITY_NORMAL, "prioritx", "high", TR_PRIORITY_NORMAL },
  };
  CHECK(open_core());
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tr_msg *msg = tr_msg_new(core, TR_MSG_EVENT);
    msg->type = name("T");
    msg->target_type = name("t");
    msg->target_key = name("s");
    msg->priority = (uint8_t)cases[i].given;
    if (cases[i].key) {
      msg->meta = tr_meta_new(check_mem());
      tr_meta_set(msg->meta, tr_slice_of(cases[i].key), tr_slice_of(cases[i].value));
    }
    tr_blob *frame = NULL;
    tr_wire_span span;
    CHECK_INT(tr_wire_encode_event(msg, (tr_slice){ NULL, 0 }, &frame, NULL), ==, 0);
    CHECK_INT(tr_wire_walk(content(frame), &span, NULL), ==, 0);
    CHECK_INT(span.priority, ==, cases[i].found);
    tr_blob_unref(frame);
    tr_msg_unref(msg);
  }
  tr_core_free(core);
}

CHECK_CASE(what_more_a_request_has_survives_a_lack_of_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (open_core()) {
      tr_msg *msg = request(REFS);
      if (msg && msg->type && msg->target_type && msg->target_key && msg->more && msg->more->refs) {
        tr_msg *got = pass(msg);
        if (got) CHECK(got->more && got->more->refs); /* it does not come without */
        if (got) tr_msg_unref(got);
      }
      if (msg) tr_msg_unref(msg);
      tr_core_free(core);
    }
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
