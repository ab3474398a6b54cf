/* SPDX-License-Identifier: MIT
 * Bodies in the format that their receiver takes (src/host/transcode.c): the native format only among troupe's own, protobuf and JSON
 * where the host knows the type; everything else of a message stays as it came. */
#define _GNU_SOURCE /* memmem */
#include "host_peer.h"

#include <stdio.h>
#include <stdlib.h>

static stage *s;
static peer *p;
static tr_codecs *codecs;

static void set(const char *descriptors, tr_host_options tweaks) {
  codecs = tr_codecs_new(check_mem(), 1);
  CHECK(codecs);
  if (descriptors) {
    size_t n;
    const char *bytes = check_file(descriptors, &n);
    CHECK_INT(tr_codecs_load(codecs, TR_SLICE_LITERAL("d"), tr_slice_make(bytes, n), NULL), ==, 0);
  }
  tweaks.codecs = codecs;
  s = stage_new(&tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

static void end(void) {
  stage_free(s);
  tr_codecs_free(codecs);
}

static pcall *native_channel(const char *client_id, const char *accepts) {
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1") },
                              { TR_SLICE_LITERAL("troupe-accepts"), tr_slice_of(accepts) } };
  pcall *c = call_open(p, "OpenChannel", client_id, headers, 2);
  stage_run(s);
  return c;
}

static peer *dotnet(void) { return peer_new(s, "10.0.0.3:1", "grpc-dotnet/2.62.0"); }

#define DEMO "spec/data/proto/demo.desc"
#define NATIVE "application/x-troupe"
#define PROTOBUF "application/x-protobuf"
#define JSON "application/json"
static const char item_json[] = "{\"name\":\"nut\",\"count\":7}";
static const char item_native[] = "\x01\x62\x44name\x43nut\x45" "count\x07";
static const char item_proto[] = "\x0a\x03nut\x10\x07";
static const char item_read[] = "{\"name\":\"nut\",\"count\":7,\"unit_price\":0.0}"; /* protobuf as JSON */

static tr_slice any(const char *type, const char *message) {
  return join(pb_field(1, text("type.googleapis.com/%s", type)), pb_string(2, message));
}

static tr_slice bytes_of(const char *content_type, const char *type, const char *data) {
  return strcmp(content_type, PROTOBUF) == 0 ? any(type, data) : tr_slice_of(data);
}

static tr_slice attribute(const char *key, const char *value) {
  return pb_field(5, join(pb_string(1, key), pb_field(2, pb_string(3, value))));
}

static tr_slice note(const char *type, const char *content_type, const char *data) {
  tr_slice e = join(join(pb_string(1, "event-id"), pb_string(2, "k")), join(pb_string(3, "1.0"), pb_string(4, "x")));
  e = join(join(e, attribute("datacontenttype", content_type)), attribute("mine", "kept"));
  e = join(e, pb_field(strcmp(content_type, PROTOBUF) == 0 ? 8 : 6, bytes_of(content_type, type, data)));
  return pb_field(3, join(join(e, attribute("dataschema", type)), pb_string(77, "unknown field")));
}

static tr_slice parcel(const char *type, const char *content_type, const char *data) {
  return join(join(pb_string(1, type), pb_string(2, content_type)), pb_field(3, bytes_of(content_type, type, data)));
}
static tr_slice ask(const char *id, const char *type, const char *content_type, const char *data) {
  tr_slice r = join(join(pb_string(1, id), pb_field(3, agent("t", "k"))), pb_string(99, "unknown field"));
  return pb_field(1, join(join(r, pb_field(5, parcel(type, content_type, data))), metadata("k", "v")));
}
static tr_slice answer(tr_slice id, const char *type, const char *content_type, const char *data) {
  return pb_field(2, join(pb_field(1, id), pb_field(2, parcel(type, content_type, data))));
}

/* ---- what was heard ---- */

static tr_slice inner_of(tr_slice m, unsigned *kind) {
  for (*kind = 1; *kind < 3 && !pb_count(m, *kind);) ++*kind;
  return pb_get(m, *kind);
}

static bool has_attribute(tr_slice inner, const char *key, const char *value) {
  tr_slice a = attribute(key, value);
  return memmem(inner.p, inner.n, a.p, a.n) != NULL;
}

static void expect(tr_slice m, const char *type, const char *content_type, const char *data) {
  unsigned kind;
  tr_slice inner = inner_of(m, &kind), wanted = bytes_of(content_type, type, data);
  tr_slice body = kind < 3 ? pb_get(inner, kind == 1 ? 5 : 2) : inner;
  if (kind == 3) {
    if (!has_attribute(inner, "dataschema", type)) CHECK_FAIL("not %s: %.*s", type, TR_SLICE_ARG(inner));
    CHECK(has_attribute(inner, "datacontenttype", content_type));
    CHECK(has_attribute(inner, "mine", "kept"));
    CHECK_TEXT(pb_get(inner, 77), "unknown field");
    CHECK_INT(pb_count(inner, 5), ==, 3);
    body = pb_get(inner, strcmp(content_type, PROTOBUF) == 0 ? 8 : 6);
    CHECK_INT(pb_count(inner, 6) + pb_count(inner, 8), ==, 1);
  } else {
    CHECK_TEXT(pb_get(body, 1), type);
    CHECK_TEXT(pb_get(body, 2), content_type);
    body = pb_get(body, 3);
    if (kind == 1) CHECK_TEXT(pb_get(inner, 99), "unknown field");
    if (kind == 1) CHECK_INT(pb_count(inner, 6), ==, 1);
  }
  CHECK_MEM(body.p, body.n, wanted.p, wanted.n);
}

/* A receiver of events on x. */
static void listen_as(peer *q, const char *client_id, const char *type) {
  reg(q, client_id, type);
  sub(q, client_id, text("id-of-%s", client_id).p, "x", type);
}

/* ---- native ---- */

CHECK_CASE(native_bodies_are_for_troupes_own) {
  set(NULL, (tr_host_options){ 0 });
  pcall *a = native_channel("a", "native"), *b = native_channel("b", "later, native ,x"), *old = troupe_channel(p, "old");
  pcall *c = channel(p, "c"), *d = channel(p, "d");
  listen_as(p, "b", "b");
  sub(p, "old", "2", "x", "old");
  sub(p, "c", "3", "x", "c");
  sub(p, "d", "4", "x", "d");
  reg(p, "old", "old"), reg(p, "c", "c"), reg(p, "d", "d");
  tr_slice sent = note("T", NATIVE, item_native), there;
  say(a, sent);
  there = hear(b);
  CHECK_MEM(there.p, there.n, sent.p, sent.n);
  expect(hear(old), "T", JSON, item_json);
  expect(hear(c), "T", JSON, item_json);
  expect(hear(d), "T", JSON, item_json);
  CHECK_INT(stage_stats(s).transcoded, ==, 2); /* the two foreign ones share theirs */
  say(a, note("T", JSON, item_json)); /* and one that came in JSON goes as it came */
  expect(hear(c), "T", JSON, item_json);
  CHECK_INT(stage_stats(s).transcoded, ==, 2);
  end();
}

CHECK_CASE(native_requests_and_answers_are_for_troupes_own) {
  set(NULL, (tr_host_options){ 0 });
  pcall *a = native_channel("a", "native"), *c = channel(p, "c");
  reg(p, "c", "t");
  say(a, ask("1", "T", NATIVE, item_native));
  tr_slice there = hear(c);
  expect(there, "T", JSON, item_json);
  say(c, answer(request_id(there), "T", JSON, item_json));
  there = hear(a);
  CHECK_TEXT(request_id(there), "1");
  expect(there, "T", JSON, item_json);
  pcall *b = native_channel("b", "native");
  say(c, pb_field(1, join(join(pb_string(1, "7"), pb_field(3, agent("u", "k"))), pb_field(5, parcel("T", JSON, item_json)))));
  expect_error(c, "7", "not_found");
  reg(p, "b", "u");
  say(c, pb_field(1, join(join(pb_string(1, "8"), pb_field(3, agent("u", "k"))), pb_field(5, parcel("T", JSON, item_json)))));
  there = hear(b);
  say(b, answer(request_id(there), "T", NATIVE, item_native));
  expect(hear(c), "T", JSON, item_json);
  end();
}

CHECK_CASE(native_bodies_that_are_none) {
  set(NULL, (tr_host_options){ 0 });
  pcall *a = native_channel("a", "native"), *b = native_channel("b", "native"), *c = channel(p, "c");
  listen_as(p, "b", "b");
  listen_as(p, "c", "t");
  static const char *const bad[] = { "", "\x02\x60", "\x01", "\x01\x60\x60", "\x01\x84" "1234567", "\x01\x85\xff\xff\xff\x7f", "\x01\x62\x44name" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    say(a, note("T", NATIVE, bad[i]));
    expect(hear(b), "T", NATIVE, bad[i]); /* it will say so itself */
    CHECK(silent(c));
    CHECK_INT(stage_stats(s).dead_letters, ==, i + 1);
    say(a, ask("1", "T", NATIVE, bad[i]));
    expect_error(a, "1", "invalid: ");
  }
  end();
}

/* Who sends it without having said so gets no favours: it goes as it came. */
CHECK_CASE(native_bodies_of_strangers_are_just_bytes) {
  set(NULL, (tr_host_options){ 0 });
  pcall *c = channel(p, "c"), *d = channel(p, "d");
  listen_as(p, "d", "d");
  say(c, note("T", NATIVE, item_native));
  expect(hear(d), "T", NATIVE, item_native);
  CHECK_INT(stage_stats(s).transcoded, ==, 0);
  end();
}

/* ---- protobuf ---- */

CHECK_CASE(a_dotnet_worker_is_given_protobuf) {
  set(DEMO, (tr_host_options){ 0 });
  peer *q = dotnet();
  pcall *a = channel(p, "a"), *n = native_channel("n", "native"), *d = channel(q, "d");
  listen_as(q, "d", "t");
  static const char *const names[] = { "demo.Item", "Item" }; /* the full name, and a class's */
  for (int i = 0; i < 2; i++) {
    say(a, note(names[i], JSON, item_json));
    expect(hear(d), "demo.Item", PROTOBUF, item_proto);
    say(n, note(names[i], NATIVE, item_native));
    expect(hear(d), "demo.Item", PROTOBUF, item_proto);
  }
  /* What the host does not know it does not get, and what does not fit is a dead letter. */
  say(a, note("Unknown", JSON, item_json));
  say(n, note("Unknown", NATIVE, item_native));
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 2);
  say(a, note("demo.Item", JSON, "{\"count\":\"many\"}"));
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).dead_letters, ==, 1);
  CHECK(strstr(stage_line(s, "event.dead"), "demo.Item: count: expected an int32"));
  /* Requests and answers. */
  say(a, ask("1", "Item", JSON, item_json));
  tr_slice there = hear(d);
  expect(there, "demo.Item", PROTOBUF, item_proto);
  say(d, answer(request_id(there), "demo.OldOrder", PROTOBUF, "\x0a\x01" "5"));
  expect(hear(a), "OldOrder", JSON, "{\"id\":\"5\",\"far\":0}"); /* it has published JSON */
  say(a, ask("2", "demo.Item", JSON, "{\"nam\":1}"));
  expect_error(a, "2", "invalid: demo.Item: demo.Item has no field \"nam\"");
  say(a, ask("3", "Unknown", JSON, "{}"));
  expect_error(a, "3", "cant_handle: ");
  end();
}

CHECK_CASE(a_dotnet_caller_is_answered_in_protobuf) {
  set(DEMO, (tr_host_options){ 0 });
  pcall *c = channel(p, "c"), *n = native_channel("n", "native, protobuf"), *d = channel(dotnet(), "d");
  reg(p, "c", "t");
  say(d, ask("1", "demo.Item", PROTOBUF, item_proto));
  tr_slice there = hear(c);
  expect(there, "demo.Item", PROTOBUF, item_proto);
  say(c, answer(request_id(there), "Item", JSON, item_json));
  expect(hear(d), "demo.Item", PROTOBUF, item_proto);
  reg(p, "n", "u");
  (void)n;
  say(d, ask("2", "demo.Item", PROTOBUF, item_proto));
  say(c, answer(request_id(hear(c)), "Item", JSON, "[1]")); /* it cannot be told */
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 1);
  end();
}

CHECK_CASE(who_publishes_in_json_is_given_json) {
  set(DEMO, (tr_host_options){ 0 });
  pcall *a = channel(p, "a"), *c = channel(p, "c");
  listen_as(p, "c", "t");
  say(a, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(c), "demo.Item", PROTOBUF, item_proto); /* nobody knows yet */
  say(c, note("Item", JSON, item_json));
  expect(hear(c), "Item", JSON, item_json);
  say(a, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(c), "Item", JSON, item_read); /* by the name of a class */
  say(a, note("my.Own", PROTOBUF, "x"));
  expect(hear(c), "my.Own", PROTOBUF, "x"); /* of which nothing is known */
  say(a, note("demo.Item", PROTOBUF, "\x0a\x05x"));
  CHECK(silent(c));
  CHECK(strstr(stage_line(s, "event.dead"), "protobuf demo.Item, byte "));
  /* Now it has published in both. */
  say(c, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(c), "demo.Item", PROTOBUF, item_proto);
  /* And the first one, who published in protobuf only, hears that. */
  listen_as(p, "a", "a");
  say(c, note("Item", JSON, item_json));
  expect(hear(a), "demo.Item", PROTOBUF, item_proto);
  end();
}

CHECK_CASE(the_operator_says_who_takes_what) {
  set(DEMO, (tr_host_options){ .json_only = "x, jay,two", .protobuf_only = "pea,two" });
  pcall *a = channel(p, "a"), *j = channel(p, "j"), *b = channel(p, "b");
  listen_as(p, "j", "jay");
  reg(p, "b", "pea");
  sub(p, "b", "2", "x", "pea");
  say(a, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(j), "Item", JSON, item_read);
  expect(hear(b), "demo.Item", PROTOBUF, item_proto);
  say(a, note("Item", JSON, item_json));
  expect(hear(j), "Item", JSON, item_json);
  expect(hear(b), "demo.Item", PROTOBUF, item_proto);
  pcall *both = channel(p, "both");
  reg(p, "both", "two");
  sub(p, "both", "3", "x", "two");
  say(both, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(j), "Item", JSON, item_read);
  expect(hear(both), "demo.Item", PROTOBUF, item_proto);
  say(a, note("Item", JSON, item_json));
  expect(hear(j), "Item", JSON, item_json);
  expect(hear(both), "Item", JSON, item_json);
  say(j, note("demo.Item", PROTOBUF, item_proto)); /* what it sends itself changes nothing */
  expect(hear(j), "Item", JSON, item_read);
  end();
}

CHECK_CASE(troupe_without_descriptors_is_given_json) {
  set(DEMO, (tr_host_options){ 0 });
  pcall *a = channel(p, "a"), *n = native_channel("n", "native"), *k = native_channel("k", "native, protobuf");
  listen_as(p, "n", "t");
  reg(p, "k", "k");
  sub(p, "k", "2", "x", "k");
  say(a, note("demo.Item", PROTOBUF, item_proto));
  expect(hear(n), "demo.Item", JSON, item_read); /* its agents can name the type in full */
  expect(hear(k), "demo.Item", PROTOBUF, item_proto);
  end();
}

CHECK_CASE(without_descriptors_nothing_is_changed) {
  set(NULL, (tr_host_options){ .json_only = "t" });
  pcall *a = channel(p, "a"), *c = channel(p, "c"), *d = channel(dotnet(), "d");
  listen_as(p, "c", "t");
  tr_slice sent = note("demo.Item", PROTOBUF, item_proto);
  say(a, sent);
  tr_slice there = hear(c);
  CHECK_MEM(there.p, there.n, sent.p, sent.n);
  (void)d;
  CHECK_INT(stage_stats(s).transcoded, ==, 0);
  end();
}

/* ---- agents of the host's own process ---- */

static tr_msg *own(tr_msg_kind kind, const char *target, const char *type, tr_format format, const char *data) {
  tr_names *names = tr_core_names(s->core);
  tr_msg *msg = tr_msg_new(s->core, kind);
  msg->target_type = tr_name_new(names, tr_slice_of(target));
  msg->target_key = tr_name_new(names, TR_SLICE_LITERAL("k"));
  msg->type = tr_name_new(names, tr_slice_of(type));
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = (uint8_t)format, .bytes = tr_blob_copy(check_mem(), bytes_of(
    format == TR_FORMAT_PROTOBUF ? PROTOBUF : JSON, type, data)) };
  CHECK_INT(tr_meta_set(msg->meta = tr_meta_new(check_mem()), TR_SLICE_LITERAL("mine"), TR_SLICE_LITERAL("kept")), ==, 0);
  return msg;
}

static struct { int code; char type[32], body[128]; } came;
static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud, (void)call;
  tr_slice body = reply->code ? reply->error : tr_blob_view(reply->body.bytes);
  came.code = reply->code;
  snprintf(came.type, sizeof came.type, "%s", reply->type ? reply->type->text : "");
  snprintf(came.body, sizeof came.body, "%.*s", TR_SLICE_ARG(body));
}

static tr_slice type_of_event(tr_slice m) { return pb_get(pb_get(m, 3), 8); }

CHECK_CASE(agents_of_the_host_are_understood_by_dotnet) {
  set(DEMO, (tr_host_options){ 0 });
  peer *q = dotnet();
  pcall *d = channel(q, "d"), *n = native_channel("n", "native");
  listen_as(q, "d", "t");
  listen_as(p, "n", "n");
  tr_core_post(s->core, own(TR_MSG_EVENT, "x", "Item", TR_FORMAT_JSON, item_json));
  tr_slice there = type_of_event(hear(d)), wanted = any("demo.Item", item_proto);
  CHECK_MEM(there.p, there.n, wanted.p, wanted.n);
  CHECK_TEXT(body_of(hear(n)), item_json);
  tr_core_post(s->core, own(TR_MSG_EVENT, "x", "demo.Item", TR_FORMAT_PROTOBUF, item_proto));
  there = type_of_event(hear(d));
  CHECK_MEM(there.p, there.n, wanted.p, wanted.n);
  CHECK_TEXT(body_of(hear(n)), item_read); /* it knows no types */
  tr_core_post(s->core, own(TR_MSG_EVENT, "x", "Item", TR_FORMAT_JSON, "{\"count\":\"x\"}"));
  CHECK(silent(d));
  CHECK_INT(s->dead_letters, ==, 1);
  CHECK(tr_core_call(s->core, own(TR_MSG_REQUEST, "t", "Item", TR_FORMAT_JSON, item_json), on_reply, NULL));
  tr_slice asked = hear(d);
  CHECK_TEXT(pb_get(pb_get(pb_get(asked, 1), 5), 1), "demo.Item");
  say(d, answer(request_id(asked), "demo.OldOrder", PROTOBUF, "\x0a\x01" "5"));
  stage_run(s);
  CHECK_STR(came.type, "demo.OldOrder");
  CHECK(tr_core_call(s->core, own(TR_MSG_REQUEST, "t", "Item", TR_FORMAT_JSON, "[1]"), on_reply, NULL));
  stage_run(s);
  CHECK_INT(came.code, ==, TR_EINVALID);
  CHECK(strstr(came.body, "demo.Item: expected a map"));
  end();
}

CHECK_CASE(what_grows_too_large_is_told) {
  set(DEMO, (tr_host_options){ .max_message = 3000 });
  pcall *a = channel(p, "a"), *d = channel(dotnet(), "d"), *n = native_channel("n", "native"), *c = channel(p, "c");
  (void)d;
  reg(p, "c", "t");
  /* 2 500 bytes are a third more in base64. */
  tr_slice raw = join(tr_slice_make("\x01\x61\x43raw\x86\xc4\x13", 9), tr_slice_make(big(2500), 2500));
  tr_slice body = join(join(pb_string(1, "T"), pb_string(2, NATIVE)), pb_field(3, raw));
  say(n, pb_field(1, join(join(pb_string(1, "1"), pb_field(3, agent("t", "k"))), pb_field(5, body))));
  expect_error(n, "1", "too_large: in the format that its receiver takes it is larger than the host's limit");
  CHECK(silent(c) && silent(a));
  end();
}

CHECK_CASE(transcoding_without_memory) {
  unsigned refused = 0;
  for (size_t n = 1; n < 60; n++) {
    set(DEMO, (tr_host_options){ 0 });
    pcall *a = native_channel("a", "native"), *c = channel(p, "c"), *d = channel(dotnet(), "d");
    listen_as(p, "c", "t");
    reg(d->on, "d", "d");
    sub(d->on, "d", "5b7fb1ec-0f7b-4bb8-9d5f-9d7f6a1b2c3d", "x", "d");
    check_mem_fail_at(n);
    say(a, n % 2 ? ask("1", "demo.Item", NATIVE, item_native) : note("demo.Item", NATIVE, item_native));
    stage_run(s);
    refused += check_mem_refused();
    check_mem_fail_at(0);
    stage_sleep(s, TR_SECONDS(601));
    if (n % 2 && !a->closed) CHECK_INT(a->count, ==, 1); /* no memory, or at last no answer */
    else if (c->first) expect(hear(c), "demo.Item", JSON, item_json);
    end();
  }
  CHECK_INT(refused, >, 10);
}
