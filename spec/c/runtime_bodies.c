/* SPDX-License-Identifier: MIT
 * Protobuf and serializers from C (include/troupe.h), and who hears of what does not fit. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "troupe.h"

static const char agents[] =
  "return { { type = 'echo', subscriptions = { 'e' }, on = { ['*'] = function(_, m, ctx) print(ctx.type, m.name or m.id or m.v) return m end } } }";

static char said[4096];

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  (void)event;
  if (level == TROUPE_LOG_PRINT || level == TROUPE_LOG_WARN) snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

static troupe_t *open_runtime(void) {
  troupe_options_t options = { .size = sizeof options, .log = on_log, .log_level = TROUPE_LOG_WARN, .seed = 7 };
  troupe_t *rt;
  said[0] = 0;
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_load(rt, "a.lua", agents, 0), ==, 0);
  return rt;
}

static struct { int calls, status; char text[1024]; } last;

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  troupe_t *rt = ud;
  size_t n = 0;
  last.calls++;
  last.status = status;
  char *json = status ? NULL : troupe_value_to_json(rt, body, &n);
  snprintf(last.text, sizeof last.text, "%s %s", status ? text : type, json ? json : "");
  troupe_free_text(rt, json, n);
}

static const char *call(troupe_t *rt, const char *type, troupe_value_t *body) {
  snprintf(last.text, sizeof last.text, "no answer");
  if (troupe_call(rt, "echo", type, body, 0, on_reply, rt)) return troupe_error(rt);
  while (troupe_poll(rt, 1000) > 0) { }
  return last.text;
}

CHECK_CASE(c_speaks_protobuf) {
  size_t n;
  troupe_t *rt = open_runtime();
  const char *set = check_file("spec/data/proto/demo.desc", &n);
  CHECK_INT(troupe_encode_as(rt, "demo.Item", "xml"), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_encode_as(rt, "demo.Item", "protobuf"), ==, 0);
  CHECK_STR(call(rt, "demo.Item", NULL), "body: no descriptor of the message type \"demo.Item\" is loaded (see troupe.protobuf)");
  CHECK_INT(troupe_protobuf(rt, "demo.desc", set, n - 1), ==, TROUPE_EINVALID);
  CHECK(strstr(troupe_error(rt), "demo.desc: descriptor set: "));
  CHECK_INT(troupe_protobuf(rt, "demo.desc", set, n), ==, 0);
  CHECK_INT(troupe_protobuf(rt, "demo.desc", set, n), ==, 0);
  CHECK_STR(call(rt, "demo.Item", troupe_pack(rt, "{s:s}", "name", "nut")), "demo.Item {\"name\":\"nut\",\"count\":0,\"unit_price\":0.0}");
  CHECK_STR(call(rt, "demo.Item", troupe_pack(rt, "{s:s}", "count", "many")),
            "demo.Item: count: expected an int32 (-2^31 to 2^31-1), got the string \"many\"");
  CHECK_INT(troupe_encode_as(rt, "demo.Scalars", "protobuf"), ==, 0);
  CHECK(strstr(call(rt, "demo.Scalars", troupe_pack(rt, "{s:v}", "raw", troupe_value_bytes(rt, "\xff", 1))), "\"raw\":\"/w==\""));
  CHECK_INT(troupe_publish(rt, "e/x", "demo.Item", troupe_pack(rt, "{s:s}", "name", "event")), ==, 0);
  while (troupe_poll(rt, 1000) > 0) { }
  CHECK_STR(said, "demo.Item\tnut\ndemo.Scalars\tnil\ndemo.Item\tevent\n");
  CHECK_INT(troupe_encode_as(rt, "demo.Item", "json"), ==, 0);
  CHECK_STR(call(rt, "demo.Item", NULL), "demo.Item {}");
  troupe_free(rt);
}

CHECK_CASE(c_says_what_workers_are_given) {
  troupe_t *rt = open_runtime();
  CHECK_INT(troupe_give(rt, "clerk", "xml"), ==, TROUPE_EINVALID);
  CHECK_STR(troupe_error(rt), "workers can be given \"json\" or \"protobuf\"");
  CHECK_INT(troupe_give(rt, "no type,", "json"), ==, TROUPE_EINVALID);
  for (int i = 0; i < 100; i++) CHECK_INT(troupe_give(rt, i % 2 ? "clerk" : "desk", i % 3 ? "json" : "protobuf"), ==, 0);
  troupe_free(rt);
}

/* "name=NAME" */
static int encode_pair(void *ud, const char *type, const troupe_value_t *body, troupe_output_t *out) {
  const char *name = troupe_value_string(troupe_value_get(body, "name"), NULL);
  char text[64];
  CHECK_STR(type, "Pair");
  if (!name) return *(int *)ud ? troupe_output_fail(out, "body.name: expected a string") : -4711;
  snprintf(text, sizeof text, "name=%s", name);
  return troupe_output_bytes(out, text, strlen(text));
}

typedef struct reader { troupe_t *rt; int told; } reader;
static reader the_reader;

static troupe_value_t *decode_pair(void *ud, const char *type, const void *bytes, size_t length, troupe_output_t *why) {
  (void)ud;
  CHECK_STR(type, "Pair");
  CHECK_INT(troupe_output_bytes(why, "x", 1), ==, TROUPE_EINVALID);
  char text[64];
  snprintf(text, sizeof text, "%.*s", (int)length, (const char *)bytes);
  if (strcmp(text, "name=bad") != 0) return troupe_pack(the_reader.rt, "{s:s}", "name", text + 5);
  if (the_reader.told) troupe_output_fail(why, "byte 5: bad");
  return NULL;
}

CHECK_CASE(c_plugs_in_a_serializer) {
  troupe_t *rt = open_runtime();
  int told = 1;
  the_reader = (reader){ rt, 1 };
  CHECK_INT(troupe_serializer(rt, "Pair", "text", encode_pair, decode_pair, &told), ==, TROUPE_EINVALID);
  CHECK_STR(troupe_error(rt), "\"text\" is not a content type (like \"application/cbor\")");
  CHECK_INT(troupe_serializer(rt, "Pair", "text/pair", NULL, decode_pair, &told), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_encode_as(rt, "Pair", "text/pair"), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_serializer(rt, "Pair", "text/pair", encode_pair, decode_pair, &told), ==, 0);
  CHECK_INT(troupe_encode_as(rt, "Pair", "text/pair"), ==, 0);
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:s}", "name", "Anna")), "Pair {\"name\":\"Anna\"}");
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:i}", "name", 5)), "body.name: expected a string");
  told = 0;
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:i}", "name", 5)), "body: its serializer cannot write it");
  /* One that the receiver cannot read: the caller is told, and an event is a dead letter. */
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:s}", "name", "bad")), "body: byte 5: bad ");
  CHECK_INT(last.status, ==, TROUPE_EINVALID);
  the_reader.told = 0;
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:s}", "name", "bad")), "body: its serializer cannot read it ");
  said[0] = 0;
  CHECK_INT(troupe_publish(rt, "e/x", "Pair", troupe_pack(rt, "{s:s}", "name", "bad")), ==, 0);
  while (troupe_poll(rt, 1000) > 0) { }
  CHECK_STR(said, "type=Pair topic=e/x reason=\"invalid: body: its serializer cannot read it (refused by echo/x)\"\n");
  /* In the place of JSON. */
  CHECK_INT(troupe_serializer(rt, "Pair", "application/json", encode_pair, decode_pair, &told), ==, 0);
  CHECK_INT(troupe_encode_as(rt, "Pair", "application/json"), ==, 0);
  CHECK_STR(call(rt, "Pair", troupe_pack(rt, "{s:s}", "name", "Anna")), "Pair {\"name\":\"Anna\"}");
  troupe_free(rt);
}

CHECK_CASE(what_c_sends_is_charged_to_who_keeps_it) {
  static const char keeper[] = "local kept = {} return { { type = 'keeper', limits = { memory = '300K' },"
                               " on = { Keep = function(_, m) kept[#kept + 1] = m return #kept end } } }";
  troupe_t *rt = open_runtime();
  CHECK_INT(troupe_load(rt, "keeper.lua", keeper, 0), ==, 0);
  int kept = 0;
  for (last.status = 0; kept < 8 && last.status == 0; kept++) {
    troupe_value_t *list = troupe_value_array(rt);
    for (int i = 0; i < 5000; i++) CHECK_INT(troupe_value_push(list, troupe_pack(rt, "i", i)), ==, 0);
    CHECK_INT(troupe_call(rt, "keeper", "Keep", list, 0, on_reply, rt), ==, 0);
    while (troupe_poll(rt, 1000) > 0) { }
  }
  CHECK_INT(last.status, ==, TROUPE_ELIMIT);
  CHECK_INT(kept, ==, 3 + 1);
  troupe_free(rt);
}
