/* SPDX-License-Identifier: MIT
 * Core messages to bytes and back, with a core around them: what each field becomes, what real peers' shapes become,
 * and what is refused. */
#include <stdio.h>

#include "check.h"
#include "core/core.h"
#include "wire/wire.h"
#include "wire_golden.h"

/* ---- a core, and slots that are numbers: slot n is the text "slot n" ---- */

static void release_slot(void *ud, uint32_t slot) { *(uint32_t *)ud += slot; }
static uint32_t copy_slot(void *ud, uint32_t slot) { return (void)ud, slot; }
static int encode_slot(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud;
  if (slot == 13) return tr_error_set(error, TR_EINVALID, "field \"f\": a function");
  tr_buf_printf(out, format == TR_FORMAT_JSON ? "\"slot %u\"" : "slot %u", slot);
  return 0;
}

static uint32_t released;
static tr_core *new_core(void) {
  tr_core_options options = { .mem = check_mem(), .seed = 1, .now = TR_SECONDS(1000),
                              .body = { .release = release_slot, .copy = copy_slot, .encode = encode_slot, .ud = &released } };
  return tr_core_new(&options);
}
static tr_core *core_or_fail(void) {
  tr_core *core = new_core();
  if (!core) CHECK_FAIL("no core");
  return core;
}

static tr_name *name(tr_core *core, const char *text) { return tr_name_new(tr_core_names(core), tr_slice_of(text)); }
static tr_slice content(const tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

static tr_msg *new_msg(tr_core *core, tr_msg_kind kind, const char *type, const char *json) {
  tr_msg *msg = tr_msg_new(core, kind);
  msg->type = name(core, type);
  msg->target_type = name(core, kind == TR_MSG_EVENT ? "news" : "greeter");
  msg->target_key = name(core, kind == TR_MSG_EVENT ? "s1" : "k/1");
  if (json) msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(check_mem(), tr_slice_of(json)) };
  return msg;
}
static void set_sender(tr_msg *msg, const char *type, const char *key) {
  msg->sender_type = name(msg->core, type);
  msg->sender_key = name(msg->core, key);
}
static void set_meta(tr_msg *msg, const char *key, const char *value) {
  if (!msg->meta) msg->meta = tr_meta_new(check_mem());
  CHECK_INT(tr_meta_set(msg->meta, tr_slice_of(key), tr_slice_of(value)), ==, 0);
}

/* The frame as JSON, by nanopb without the functions under test. */
static void check_json(const tr_blob *frame, const char *expected) {
  tr_buf text;
  tr_value *tree = golden_tree("agents.Message", content(frame), false, NULL);
  CHECK(tree != NULL);
  golden_text(tree, &text);
  tr_value *wanted = golden_json(tr_slice_of(expected));
  tr_buf wanted_text;
  golden_text(wanted, &wanted_text);
  CHECK_MEM(text.data, text.len, wanted_text.data, wanted_text.len);
  tr_buf_fini(&text);
  tr_buf_fini(&wanted_text);
  tr_value_free(tree);
  tr_value_free(wanted);
}

static tr_blob *encode_event(tr_msg *msg, tr_slice origin) {
  tr_blob *frame = NULL;
  tr_error error = { 0 };
  if (tr_wire_encode_event(msg, origin, &frame, &error)) CHECK_FAIL("%s", error.text);
  return frame;
}
static tr_blob *encode_request(tr_msg *msg) {
  tr_blob *frame = NULL;
  tr_error error = { 0 };
  if (tr_wire_encode_request(msg, TR_SLICE_LITERAL("77"), &frame, &error)) CHECK_FAIL("%s", error.text);
  return frame;
}
static void decode(tr_core *core, tr_slice bytes, tr_wire_in *in) {
  tr_error error = { 0 };
  if (tr_wire_decode(core, bytes, false, in, &error)) CHECK_FAIL("%s", error.text);
}
static void decode_golden(tr_core *core, const char *which, tr_wire_in *in) {
  char path[200];
  size_t length;
  snprintf(path, sizeof path, "spec/data/wire/golden/%s.bin", which);
  const char *bytes = check_file(path, &length);
  decode(core, tr_slice_make(bytes, length), in);
}

/* ---- events ---- */

CHECK_CASE(wire_event_is_what_a_python_worker_sends) {
  tr_core *core = core_or_fail();
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "Ask", "{\"text\": \"hello\", \"n\": 7}");
  msg->id = name(core, "11111111-1111-4111-8111-111111111111");
  tr_blob *frame = encode_event(msg, (tr_slice){ 0, 0 });
  size_t length;
  tr_value *whole = golden_json(tr_slice_of(check_file("spec/data/wire/golden/event_json_dataclass.json", &length)));
  tr_buf expected;
  golden_text(tr_value_get(whole, TR_SLICE_LITERAL("decoded")), &expected);
  tr_buf_byte(&expected, 0);
  check_json(frame, (char *)expected.data);
  tr_buf_fini(&expected);
  tr_value_free(whole);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_event_with_everything) {
  tr_core *core = core_or_fail();
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "Ask", NULL);
  set_sender(msg, "B", "bk");
  set_meta(msg, "traceparent", "00-1");
  set_meta(msg, "datacontenttype", "text/evil"); /* the runtime's own keys are not the script's to set */
  set_meta(msg, "troupe-code", "evil");
  msg->id = name(core, "i");
  msg->priority = TR_PRIORITY_HIGH;
  msg->deadline = TR_SECONDS(1001.5);
  msg->chain = 0xabcdef;
  tr_blob *frame = encode_event(msg, TR_SLICE_LITERAL("client-1"));
  check_json(frame, "{\"cloudEvent\":{\"id\":\"i\",\"source\":\"s1\",\"type\":\"news\",\"spec_version\":\"1.0\",\"binary_data\":\"e30=\",\"attributes\":{"
    "\"datacontenttype\":{\"ce_string\":\"application/json\"},\"dataschema\":{\"ce_string\":\"Ask\"},\"agmsgkind\":{\"ce_string\":\"publish\"},"
    "\"agagentsendertype\":{\"ce_string\":\"B\"},\"agagentsenderkey\":{\"ce_string\":\"bk\"},\"traceparent\":{\"ce_string\":\"00-1\"},"
    "\"priority\":{\"ce_string\":\"high\"},\"troupe-timeout\":{\"ce_string\":\"1500\"},\"troupe-chain\":{\"ce_string\":\"abcdef\"},"
    "\"troupe-origin\":{\"ce_string\":\"client-1\"}}}}");
  CHECK(!msg->frame); /* good for this door only */
  tr_wire_span span;
  CHECK_INT(tr_wire_walk(content(frame), &span, NULL), ==, 0);
  CHECK_SLICE(tr_wire_event_attribute(span.inner, "troupe-origin"), "client-1");
  tr_wire_in in;
  decode(core, content(frame), &in);
  CHECK(in.msg->from_wire && in.msg->troupe_peer);
  CHECK_INT(in.msg->kind, ==, TR_MSG_EVENT);
  CHECK_INT(in.msg->priority, ==, TR_PRIORITY_HIGH);
  CHECK_INT(in.msg->deadline, ==, TR_SECONDS(1001.5));
  CHECK_INT(in.msg->chain, ==, 0xabcdef);
  CHECK_SLICE(tr_name_view(in.msg->sender_key), "bk");
  CHECK_SLICE(tr_name_view(in.msg->id), "i");
  CHECK_INT(tr_meta_count(in.msg->meta), ==, 1);
  CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("traceparent")), "00-1");
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_event_is_encoded_once) {
  tr_core *core = core_or_fail();
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "Ask", "{}");
  tr_blob *one = encode_event(msg, (tr_slice){ 0, 0 }), *two = encode_event(msg, (tr_slice){ 0, 0 });
  CHECK(one == two && one == msg->frame);
  CHECK_INT(one->refs, ==, 3);
  tr_blob *three = encode_event(msg, TR_SLICE_LITERAL("x"));
  CHECK(three != one && msg->frame == one);
  tr_blob_unref(one);
  tr_blob_unref(two);
  tr_blob_unref(three);
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_event_of_python_dotnet_and_others_is_read) {
  tr_core *core = core_or_fail();
  tr_wire_in in;
  decode_golden(core, "event_json_dataclass", &in);
  CHECK_INT(in.kind, ==, TR_WIRE_EVENT);
  CHECK(!in.msg->sender_type && !in.msg->sender_key); /* unknown/unknown */
  CHECK(!in.msg->troupe_peer);
  CHECK_SLICE(tr_name_view(in.msg->type), "Ask");
  CHECK_SLICE(tr_name_view(in.msg->target_type), "news");
  CHECK_SLICE(tr_name_view(in.msg->target_key), "s1");
  CHECK_INT(in.msg->body.format, ==, TR_FORMAT_JSON);
  CHECK_SLICE(tr_blob_view(in.msg->body.bytes), "{\"text\": \"hello\", \"n\": 7}");
  CHECK(!in.msg->meta);
  tr_wire_in_fini(&in);
  decode_golden(core, "event_dotnet_shape", &in);
  CHECK(!in.msg->sender_type);
  CHECK_SLICE(tr_name_view(in.msg->type), "wiretest.Greeting");
  CHECK_INT(in.msg->body.format, ==, TR_FORMAT_PROTOBUF);
  CHECK_INT(in.msg->body.bytes->data[0], ==, 0x0a); /* a serialized Any: its type_url */
  tr_blob *frame = encode_event(in.msg, (tr_slice){ 0, 0 }); /* and out again as an Any */
  tr_value *tree = golden_tree("agents.Message", content(frame), false, NULL);
  tr_slice text;
  const tr_value *any = tr_value_get(tr_value_get(tree, TR_SLICE_LITERAL("cloudEvent")), TR_SLICE_LITERAL("proto_data"));
  CHECK(tr_value_as_string(tr_value_get(any, TR_SLICE_LITERAL("text")), &text));
  CHECK_SLICE(text, "hi pb");
  tr_value_free(tree);
  tr_blob_unref(frame);
  tr_wire_in_fini(&in);
  decode_golden(core, "event_all_attribute_kinds", &in); /* text_data, attributes of other kinds, no content type */
  CHECK_SLICE(tr_blob_view(in.msg->body.bytes), "text");
  CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("b")), "false");
  CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("i")), "-2");
  CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("u")), "http://127.0.0.1/");
  CHECK(!tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("y")).p);
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

/* ---- requests ---- */

CHECK_CASE(wire_request_goes_and_comes_with_everything) {
  tr_core *core = core_or_fail();
  tr_msg *msg = new_msg(core, TR_MSG_REQUEST, "Greeting", "{\"a\":1}");
  set_sender(msg, "asker", "");
  set_meta(msg, "traceparent", "00-1");
  msg->deadline = TR_SECONDS(1002);
  msg->chain = UINT64_MAX;
  msg->priority = TR_PRIORITY_LOW;
  msg->id = name(core, "my id");
  tr_blob *frame = encode_request(msg);
  check_json(frame, "{\"request\":{\"request_id\":\"77\",\"source\":{\"type\":\"asker\"},\"target\":{\"type\":\"greeter\",\"key\":\"k/1\"},"
    "\"payload\":{\"data_type\":\"Greeting\",\"data_content_type\":\"application/json\",\"data\":\"eyJhIjoxfQ==\"},"
    "\"metadata\":{\"traceparent\":\"00-1\",\"priority\":\"low\",\"troupe-timeout\":\"2000\",\"troupe-chain\":\"ffffffffffffffff\",\"troupe-id\":\"my id\"}}}");
  tr_core_set_now(core, TR_SECONDS(1010)); /* the other side's clock is another one */
  tr_wire_in in;
  decode(core, content(frame), &in);
  CHECK_INT(in.kind, ==, TR_WIRE_REQUEST);
  CHECK_INT(in.msg->kind, ==, TR_MSG_REQUEST);
  CHECK_SLICE(in.request_id, "77");
  CHECK_INT(in.msg->deadline, ==, TR_SECONDS(1012));
  CHECK(in.msg->chain == UINT64_MAX && in.msg->troupe_peer && in.msg->from_wire);
  CHECK_INT(in.msg->priority, ==, TR_PRIORITY_LOW);
  CHECK_SLICE(tr_name_view(in.msg->sender_type), "asker");
  CHECK(in.msg->sender_key && in.msg->sender_key->len == 0);
  CHECK_SLICE(tr_name_view(in.msg->target_key), "k/1");
  CHECK_SLICE(tr_name_view(in.msg->id), "my id");
  CHECK_SLICE(tr_blob_view(in.msg->body.bytes), "{\"a\":1}");
  CHECK_INT(tr_meta_count(in.msg->meta), ==, 1);
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_request_of_a_python_worker_is_read) {
  tr_core *core = core_or_fail();
  tr_wire_in in;
  decode_golden(core, "rpc_request_no_source", &in);
  CHECK(!in.msg->sender_type && !in.msg->troupe_peer);
  CHECK_INT(in.msg->deadline, ==, TR_NEVER);
  CHECK_INT(in.msg->chain, ==, 0);
  CHECK_SLICE(tr_name_view(in.msg->id), "1");
  tr_wire_in_fini(&in);
  decode_golden(core, "rpc_request_all_fields", &in);
  CHECK_INT(in.msg->body.format, ==, TR_FORMAT_PROTOBUF);
  CHECK_INT(tr_meta_count(in.msg->meta), ==, 2);
  tr_wire_in_fini(&in);
  decode_golden(core, "message_empty", &in);
  CHECK(in.kind == TR_WIRE_EMPTY && !in.msg);
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

CHECK_CASE(wire_send_is_a_request_that_says_so) {
  tr_core *core = core_or_fail();
  tr_msg *msg = new_msg(core, TR_MSG_SEND, "Note", NULL);
  tr_blob *frame = encode_request(msg);
  tr_wire_in in;
  decode(core, content(frame), &in);
  CHECK_INT(in.kind, ==, TR_WIRE_REQUEST);
  CHECK_INT(in.msg->kind, ==, TR_MSG_SEND);
  CHECK(in.msg->troupe_peer);
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_keys_that_make_no_sense_are_ignored) {
  tr_core *core = core_or_fail();
  static const char *const timeouts[] = { "", "-1", "1.5", "99999999999999999999", "9223372036854775807", "12x" };
  for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
    char bytes[100]; /* a request with one entry of metadata, by hand */
    int n = (int)strlen(timeouts[i]);
    int length = snprintf(bytes, sizeof bytes, "_%c\x32%c_\x0etroupe-timeout\x12%c%s", n + 20, n + 18, n ? n : '_', timeouts[i]);
    bytes[0] = bytes[4] = '\n';
    if (n == 0) bytes[21] = 0;
    tr_wire_in in;
    decode(core, tr_slice_make(bytes, (size_t)length), &in);
    CHECK_INT(in.msg->deadline, ==, TR_NEVER);
    CHECK(in.msg->troupe_peer);
    tr_wire_in_fini(&in);
  }
  tr_core_free(core);
}

CHECK_CASE(wire_request_in_pieces_is_read) {
  tr_core *core = core_or_fail();
  tr_wire_in in;
  /* {1: request_id "a"} and {3: target {1: "t"}} */
  decode(core, TR_SLICE_LITERAL("\x0a\x03\x0a\x01" "a" "\x0a\x05\x1a\x03\x0a\x01t"), &in);
  CHECK_SLICE(in.request_id, "a");
  CHECK_SLICE(tr_name_view(in.msg->target_type), "t");
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

/* ---- answers ---- */

static void check_reply(tr_core *core, const tr_reply *reply, const char *json) {
  tr_blob *frame = NULL;
  CHECK_INT(tr_wire_encode_reply(core, reply, TR_SLICE_LITERAL("5"), &frame, NULL), ==, 0);
  check_json(frame, json);
  tr_blob_unref(frame);
}

CHECK_CASE(wire_reply_has_a_body_or_an_error) {
  tr_core *core = core_or_fail();
  tr_name *type = name(core, "Answer");
  check_reply(core, &(tr_reply){ .body.kind = TR_BODY_NULL },
    "{\"response\":{\"request_id\":\"5\",\"payload\":{\"data_type\":\"null\",\"data_content_type\":\"application/json\",\"data\":\"bnVsbA==\"}}}");
  check_reply(core, &(tr_reply){ .type = type, .body.kind = TR_BODY_NONE },
    "{\"response\":{\"request_id\":\"5\",\"payload\":{\"data_type\":\"Answer\",\"data_content_type\":\"application/json\",\"data\":\"e30=\"}}}");
  check_reply(core, &(tr_reply){ .type = type, .body = { .kind = TR_BODY_SLOT, .slot = 3, .format = TR_FORMAT_TEXT } },
    "{\"response\":{\"request_id\":\"5\",\"payload\":{\"data_type\":\"Answer\",\"data_content_type\":\"text/plain\",\"data\":\"c2xvdCAz\"}}}");
  check_reply(core, &(tr_reply){ .code = TR_EOVERLOADED, .error = TR_SLICE_LITERAL("too much"), .body.kind = TR_BODY_NULL },
    "{\"response\":{\"request_id\":\"5\",\"error\":\"overloaded: too much\",\"metadata\":{\"troupe-code\":\"overloaded\"}}}");
  check_reply(core, &(tr_reply){ .code = TR_ECANCELLED },
    "{\"response\":{\"request_id\":\"5\",\"error\":\"cancelled: cancelled\",\"metadata\":{\"troupe-code\":\"cancelled\"}}}");
  tr_name_unref(type);
  tr_core_free(core);
}

CHECK_CASE(wire_reply_is_read_back) {
  tr_core *core = core_or_fail();
  tr_blob *frame = NULL;
  tr_wire_in in;
  tr_reply reply = { .code = TR_EDEADLOCK, .error = TR_SLICE_LITERAL("a -> b -> a") };
  CHECK_INT(tr_wire_encode_reply(core, &reply, TR_SLICE_LITERAL("5"), &frame, NULL), ==, 0);
  decode(core, content(frame), &in);
  CHECK_INT(in.kind, ==, TR_WIRE_RESPONSE);
  CHECK_SLICE(in.request_id, "5");
  CHECK_INT(in.reply.code, ==, TR_EDEADLOCK);
  CHECK_SLICE(in.reply.error, "a -> b -> a");
  CHECK_STR(in.error_text.text, "a -> b -> a");
  CHECK(!in.reply.meta);
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  decode_golden(core, "rpc_response_ok", &in);
  CHECK_INT(in.reply.code, ==, 0);
  CHECK(in.reply.type != NULL);
  CHECK_INT(in.reply.body.kind, ==, TR_BODY_BYTES);
  tr_wire_in_fini(&in);
  decode_golden(core, "rpc_response_error", &in); /* "kaput: bad thing" is no code of ours */
  CHECK_INT(in.reply.code, ==, TR_EHANDLER);
  CHECK_SLICE(in.reply.error, "kaput: bad thing");
  tr_wire_in_fini(&in);
  decode_golden(core, "rpc_response_error_empty_text", &in);
  CHECK_INT(in.reply.code, ==, TR_EHANDLER);
  CHECK(in.reply.error.n > 0);
  tr_wire_in_fini(&in);
  decode_golden(core, "rpc_response_all_fields", &in); /* payload and error: error wins */
  CHECK_INT(in.reply.code, ==, TR_EHANDLER);
  CHECK_SLICE(in.reply.error, "e");
  CHECK_INT(tr_meta_count(in.reply.meta), ==, 1);
  tr_wire_in_fini(&in);
  decode(core, TR_SLICE_LITERAL("\x12\x0e\x0a\x01" "5\x1a\x09timeout: "), &in); /* a Python worker's text is not a code */
  CHECK_INT(in.reply.code, ==, TR_EHANDLER);
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

CHECK_CASE(wire_reply_null_is_null) {
  tr_core *core = core_or_fail();
  tr_blob *frame = NULL;
  tr_wire_in in;
  CHECK_INT(tr_wire_encode_reply(core, &(tr_reply){ .body.kind = TR_BODY_NULL }, TR_SLICE_LITERAL("5"), &frame, NULL), ==, 0);
  decode(core, content(frame), &in);
  CHECK_INT(in.reply.body.kind, ==, TR_BODY_NULL);
  CHECK_SLICE(tr_name_view(in.reply.type), "null");
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  tr_core_free(core);
}

/* ---- bodies and texts ---- */

CHECK_CASE(wire_bodies_keep_their_format) {
  tr_core *core = core_or_fail();
  static const struct { tr_format format; const char *bytes; } of[] = {
    { TR_FORMAT_JSON, "[1]" }, { TR_FORMAT_TEXT, "text" }, { TR_FORMAT_BYTES, "\xff\x01" }, { TR_FORMAT_PROTOBUF, "\x0a\x01u" } };
  for (size_t i = 0; i < 4; i++) {
    for (int kind = TR_MSG_EVENT; kind <= TR_MSG_SEND; kind++) {
      tr_msg *msg = new_msg(core, (tr_msg_kind)kind, "T", of[i].bytes);
      msg->body.format = (uint8_t)of[i].format;
      if (of[i].format == TR_FORMAT_BYTES) set_meta(msg, "content-type", "image/png");
      tr_blob *frame = kind == TR_MSG_EVENT ? encode_event(msg, (tr_slice){ 0, 0 }) : encode_request(msg);
      tr_wire_in in;
      decode(core, content(frame), &in);
      CHECK_INT(in.msg->body.format, ==, of[i].format);
      CHECK_SLICE(tr_blob_view(in.msg->body.bytes), of[i].bytes);
      if (of[i].format == TR_FORMAT_BYTES) CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("content-type")), "image/png");
      else CHECK(!in.msg->meta);
      tr_wire_in_fini(&in);
      tr_blob_unref(frame);
      tr_msg_unref(msg);
    }
  }
  tr_core_free(core);
}

CHECK_CASE(wire_bodies_that_cannot_be_encoded_are_refused) {
  tr_core *core = core_or_fail();
  tr_blob *frame = NULL;
  tr_error error = { 0 };
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "T", NULL);
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = 13 };
  CHECK_INT(tr_wire_encode_event(msg, (tr_slice){ 0, 0 }, &frame, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "field \"f\": a function");
  CHECK_INT(tr_wire_encode_request(msg, (tr_slice){ 0, 0 }, &frame, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_wire_encode_reply(core, &(tr_reply){ .body = msg->body }, (tr_slice){ 0, 0 }, &frame, NULL), ==, TR_EINVALID);
  tr_msg_unref(msg);
  msg = new_msg(core, TR_MSG_EVENT, "T", "x");
  msg->body.format = TR_FORMAT_NATIVE; /* and nobody here can make JSON of it */
  CHECK_INT(tr_wire_encode_event(msg, (tr_slice){ 0, 0 }, &frame, NULL), ==, TR_EINTERNAL);
  tr_msg_unref(msg);
  tr_core_free(core);
}

/* ---- serializers and the native format ---- */

static uint16_t find_cbor(void *ud, tr_slice type, tr_slice content_type) {
  (void)ud;
  return tr_slice_is(type, "T") && tr_slice_is(content_type, "application/cbor") ? 4711 : 0;
}
static tr_slice name_cbor(void *ud, uint16_t serializer) {
  (void)ud;
  CHECK_INT(serializer, ==, 4711);
  return TR_SLICE_LITERAL("application/cbor");
}
static int to_json(void *ud, const tr_body *body, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud, (void)body, (void)error;
  CHECK_INT(format, ==, TR_FORMAT_JSON);
  return tr_buf_text(out, "\"it\"") ? 0 : TR_EMEMORY;
}

static tr_core *core_with_ops(void) {
  tr_core *core = core_or_fail();
  tr_body_ops ops = { .release = release_slot, .copy = copy_slot, .encode = encode_slot, .recode = to_json, .find = find_cbor,
                      .content_type = name_cbor, .ud = &released };
  tr_core_set_body_ops(core, &ops);
  return core;
}

/* There and back by each kind of message; in another content type, or of another message type, it is just bytes. */
CHECK_CASE(wire_bodies_of_a_serializer_carry_its_number) {
  tr_core *core = core_with_ops();
  tr_msg_kind kinds[] = { TR_MSG_EVENT, TR_MSG_REQUEST };
  for (int i = 0; i < 3; i++) {
    tr_msg *msg = new_msg(core, kinds[i % 2], i < 2 ? "T" : "U", "\xa0");
    msg->body.format = TR_FORMAT_OTHER;
    msg->body.serializer = 4711;
    tr_blob *frame = i % 2 ? encode_request(msg) : encode_event(msg, (tr_slice){ 0, 0 });
    tr_wire_in in;
    decode(core, content(frame), &in);
    CHECK_INT(in.msg->body.kind, ==, TR_BODY_BYTES);
    CHECK_INT(in.msg->body.format, ==, i < 2 ? TR_FORMAT_OTHER : TR_FORMAT_BYTES);
    CHECK_INT(in.msg->body.serializer, ==, i < 2 ? 4711 : 0);
    CHECK_SLICE(tr_blob_view(in.msg->body.bytes), "\xa0");
    CHECK_SLICE(tr_meta_get(in.msg->meta, TR_SLICE_LITERAL("content-type")), i < 2 ? "" : "application/cbor");
    tr_wire_in_fini(&in);
    tr_blob_unref(frame);
    tr_msg_unref(msg);
  }
  tr_core_free(core);
}

CHECK_CASE(wire_bodies_in_the_native_format_where_it_is_taken) {
  tr_core *core = core_with_ops();
  tr_error error = { 0 };
  tr_blob *frame = NULL;
  for (int i = 0; i < 2; i++) {
    tr_msg *msg = new_msg(core, TR_MSG_REQUEST, "T", "\x01\x62");
    msg->body.format = TR_FORMAT_NATIVE;
    CHECK_INT(tr_wire_encode_request_as(msg, TR_SLICE_LITERAL("1"), i ? TR_FORMAT_NATIVE : TR_FORMAT_JSON, &frame, &error), ==, 0);
    tr_wire_span span;
    tr_wire_body body;
    CHECK_INT(tr_wire_walk(content(frame), &span, &error), ==, 0);
    tr_wire_read_body(&span, &body);
    CHECK_SLICE(body.content_type, i ? TR_WIRE_NATIVE : "application/json");
    CHECK_SLICE(body.data, i ? "\x01\x62" : "\"it\"");
    CHECK_SLICE(body.type, "T");
    tr_blob_unref(frame);
    tr_msg_unref(msg);
  }
  tr_core_free(core);
}

CHECK_CASE(wire_texts_that_are_not_utf8_do_not_leave) {
  tr_core *core = core_or_fail();
  tr_blob *frame = NULL;
  tr_error error = { 0 };
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "T\xff", NULL);
  CHECK_INT(tr_wire_encode_event(msg, (tr_slice){ 0, 0 }, &frame, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "the message type is not UTF-8");
  tr_msg_unref(msg);
  msg = new_msg(core, TR_MSG_REQUEST, "T", NULL);
  set_meta(msg, "key", "value\xff");
  error = (tr_error){ 0 };
  CHECK_INT(tr_wire_encode_request(msg, TR_SLICE_LITERAL("1"), &frame, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "a metadata value is not UTF-8");
  tr_msg_unref(msg);
  tr_core_free(core);
}

CHECK_CASE(wire_big_bodies_go_and_come) {
  tr_core *core = core_or_fail();
  size_t n = 5 << 20;
  tr_msg *msg = new_msg(core, TR_MSG_EVENT, "T", NULL);
  tr_blob *body = tr_blob_new(check_mem(), n);
  memset(body->data, 'x', n);
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_TEXT, .bytes = body };
  tr_blob *frame = encode_event(msg, (tr_slice){ 0, 0 });
  tr_wire_in in;
  decode(core, content(frame), &in);
  CHECK_MEM(in.msg->body.bytes->data, in.msg->body.bytes->len, body->data, n);
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
  tr_msg_unref(msg);
  tr_core_free(core);
}

/* ---- damage and no memory ---- */

CHECK_CASE(wire_decode_refuses_malformed_messages) {
  tr_core *core = core_or_fail();
  tr_wire_in in;
  tr_error error = { 0 };
  CHECK_INT(tr_wire_decode(core, TR_SLICE_LITERAL("\x0a\x05" "abc"), true, &in, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "malformed agents.Message");
  error = (tr_error){ 0 };
  CHECK_INT(tr_wire_decode(core, TR_SLICE_LITERAL("\x0a\x05\x2a\x03\x0a\x01\xff"), true, &in, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "malformed agents.Message: invalid utf8");
  /* A text field of another wire type must not leave a pointer into nanopb's stack. */
  CHECK_INT(tr_wire_decode(core, TR_SLICE_LITERAL("\x0a\x08\x1a\x06\x0a\x01t\x15zzzz"), true, &in, NULL), ==, TR_EINVALID);
  decode(core, TR_SLICE_LITERAL("\x0a\x0a\x0d" "1234\x1a\x03\x0a\x01t"), &in);
  CHECK_SLICE(tr_name_view(in.msg->target_type), "t");
  CHECK_INT(in.request_id.n, ==, 0);
  tr_wire_in_fini(&in);
  tr_core_free(core);
}

static void decode_damaged(const char *path, void *ud) {
  size_t length;
  const char *bytes = check_file(path, &length);
  tr_wire_in in;
  if (length == 0 || length > 400) return;
  char *copy = tr_alloc(check_mem(), length);
  for (size_t i = 0; i < length; i++) {
    for (int change = 0; change < 9; change++) {
      memcpy(copy, bytes, length);
      copy[i] = change < 8 ? (char)(copy[i] ^ 1 << change) : (char)0xFF;
      if (tr_wire_decode(ud, tr_slice_make(copy, length), false, &in, NULL) == 0) tr_wire_in_fini(&in);
    }
  }
  tr_free(check_mem(), copy, length);
}

CHECK_CASE(wire_decode_of_damaged_messages_does_no_harm) {
  tr_core *core = core_or_fail();
  check_each_file("spec/data/wire/golden", ".bin", decode_damaged, core);
  tr_core_free(core);
}

static void without_memory(const char *path, void *ud) {
  size_t length;
  const char *bytes = check_file(path, &length);
  (void)ud;
  if (!strstr(path, "/event") && !strstr(path, "/rpc")) return;
  tr_core *core = core_or_fail();
  tr_wire_in first; /* the core keeps what it allocates for its first message */
  decode(core, tr_slice_make(bytes, length), &first);
  tr_wire_in_fini(&first);
  CHECK_EACH_ALLOCATION_FAILS {
    tr_wire_in in;
    tr_blob *frame = NULL;
    tr_error error = { 0 };
    int err = tr_wire_decode(core, tr_slice_make(bytes, length), false, &in, &error);
    if (!err && in.kind == TR_WIRE_EVENT) err = tr_wire_encode_event(in.msg, (tr_slice){ 0, 0 }, &frame, &error);
    else if (!err && in.kind == TR_WIRE_REQUEST) err = tr_wire_encode_request(in.msg, in.request_id, &frame, &error);
    else if (!err) err = tr_wire_encode_reply(core, &in.reply, in.request_id, &frame, &error);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    CHECK_INT(error.code, ==, err);
    if (!err) tr_blob_unref(frame);
    tr_wire_in_fini(&in);
  }
  tr_core_free(core);
}

CHECK_CASE(wire_messages_without_memory_are_an_error_and_leak_nothing) { check_each_file("spec/data/wire/golden", ".bin", without_memory, NULL); }
