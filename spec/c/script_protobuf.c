/* SPDX-License-Identifier: MIT
 * Protobuf bodies and serializers in the script room: what comes as bytes, and what can go wrong with it. */
#include "script_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codec/json.h"

static void open_with(host *h, const char *name, const char *source) {
  host_open(h);
  h->from_disk = true;
  if (host_source(h, name, source)) CHECK_FAIL("%s: %s", name, h->error.text);
}

CHECK_CASE(protobuf_bodies_are_lua_tables) {
  host h = { 0 };
  size_t n;
  open_with(&h, "spec/data/proto/protobuf.lua", check_file("spec/script/protobuf.lua", &n));
  host_run(&h, 1000);
  if (!h.exited || h.status) CHECK_FAIL("status %d\n%s%s", h.status, h.printed ? h.printed : "", h.logged ? h.logged : "");
  host_close(&h);
}

/* ---- bytes from outside ---- */


static tr_msg *message(host *h, tr_msg_kind kind, const char *type, tr_slice any) {
  tr_names *names = tr_core_names(h->core);
  tr_msg *msg = tr_msg_new(h->core, kind);
  msg->target_type = tr_name_new(names, tr_slice_of(kind == TR_MSG_EVENT ? "e" : "echo"));
  msg->target_key = tr_name_new(names, TR_SLICE_LITERAL("x"));
  msg->type = tr_name_new(names, tr_slice_of(type));
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_PROTOBUF, .bytes = tr_blob_copy(check_mem(), any) };
  msg->troupe_peer = true;
  msg->deadline = h->now + TR_SECONDS(60);
  return msg;
}

static struct { int code; uint8_t kind, format; char text[4096]; size_t length; } answer;

static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  answer.code = reply->code;
  answer.kind = reply->body.kind;
  answer.format = reply->body.format;
  tr_slice text = reply->code ? reply->error : reply->body.kind == TR_BODY_BYTES ? tr_blob_view(reply->body.bytes) : (tr_slice){ "", 0 };
  answer.length = text.n < sizeof answer.text - 1 ? text.n : sizeof answer.text - 1;
  if (answer.length) memcpy(answer.text, text.p, answer.length);
  answer.text[answer.length] = 0;
}

static void ask(host *h, const char *type, tr_slice any) {
  memset(&answer, 0, sizeof answer);
  CHECK(tr_core_call(h->core, message(h, TR_MSG_REQUEST, type, any), on_reply, NULL));
  host_run(h, 1);
}

static void wrap(tr_buf *out, const char *type, tr_slice message_bytes) {
  tr_buf_init(out, check_mem());
  CHECK_INT(tr_proto_wrap(out, tr_slice_of(type), message_bytes), ==, 0);
}

/* Of a type that nobody here knows it is kept as it is, answered with, and sent on. */
CHECK_CASE(protobuf_of_an_unknown_type_is_kept_and_sent_on) {
  host h = { 0 };
  tr_buf any;
  open_with(&h, "a.lua",
            "return { { type = 'echo', on = { ['a.B'] = function(_, m, ctx)\n"
            "  print(m.type_url, #m.value)\n  ctx:send('next', 'a.B', m, { encoding = 'protobuf' })\n  return m end } },\n"
            "  { type = 'next', on = { ['a.B'] = function(_, m) print('next ' .. m.type_url .. ' ' .. tostring(m.value)) end } } }");
  wrap(&any, "a.B", TR_SLICE_LITERAL("\x0a\x02hi"));
  ask(&h, "a.B", tr_buf_view(&any));
  CHECK_INT(answer.code, ==, 0);
  CHECK_INT(answer.format, ==, TR_FORMAT_PROTOBUF);
  CHECK_MEM(answer.text, answer.length, any.data, any.len);
  CHECK_STR(h.printed, "type.googleapis.com/a.B\t4\nnext type.googleapis.com/a.B \n\x02hi\n");
  tr_buf_fini(&any);
  host_close(&h);
}

static const char agents[] =
  "troupe.protobuf 'demo.desc'\n"
  "return { { type = 'echo', subscriptions = { 'e' }, on = { ['*'] = function(_, m, ctx) print(ctx.type) return m end } },\n"
  "  { type = 'desk', subscriptions = { 'troupe.dead_letter' }, on = {\n"
  "    DeadLetter = function(_, m) print(m.reason .. ' ' .. m.type .. ' ' .. m.error) end } } }";

/* Cut at every byte: an answer, or `invalid` and a dead letter; nothing else, and no failure of the agent's. */
CHECK_CASE(protobuf_cut_at_every_byte) {
  host h = { 0 };
  tr_buf any;
  size_t n, refused = 0;
  const char *order = check_file("spec/data/proto/demo.Order-full.bin", &n);
  wrap(&any, "demo.Order", tr_slice_make(order, n));
  open_with(&h, "spec/data/proto/a.lua", agents);
  for (size_t i = 0; i <= any.len; i++) {
    ask(&h, "demo.Order", tr_slice_make(any.data, i));
    CHECK(answer.code == 0 || answer.code == TR_EINVALID);
    refused += answer.code != 0;
    if (answer.code && i > 35) CHECK(strstr(answer.text, "Any: malformed") || strstr(answer.text, "demo.Order"));
  }
  CHECK_INT(answer.code, ==, 0);
  CHECK_INT(refused, >, n);
  CHECK(!host_logged(&h, "handler.failed"));
  tr_buf_fini(&any);
  host_close(&h);
}

static void expect_letter(host *h, const char *type, const char *bytes, size_t n, const char *text) {
  tr_buf any;
  wrap(&any, type, tr_slice_make(bytes, n));
  free(h->printed);
  h->printed = NULL;
  h->printed_size = 0;
  tr_core_post(h->core, message(h, TR_MSG_EVENT, type, tr_buf_view(&any)));
  host_run(h, 1);
  if (!h->printed || !strstr(h->printed, text)) CHECK_FAIL("expected %s\n got %s", text, h->printed ? h->printed : "nothing");
  ask(h, type, tr_buf_view(&any));
  CHECK_INT(answer.code, ==, TR_EINVALID);
  tr_buf_fini(&any);
}

CHECK_CASE(malformed_protobuf_is_a_dead_letter_or_invalid) {
  host h = { 0 };
  open_with(&h, "spec/data/proto/a.lua", agents);
  expect_letter(&h, "demo.Item", "\x0a\x05" "ab", 4, "invalid demo.Item protobuf demo.Item, byte ");
  expect_letter(&h, "demo.Item", "\x0a\x02\xff\xfe", 4, "the string name is not UTF-8 (at name) (refused by echo/x)");
  expect_letter(&h, "demo.Item", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10, "invalid demo.Item"); /* a length beyond all */
  expect_letter(&h, "demo.Maps", "\x0a\x04\x0a\x02\xff\xfe", 6, "a map's key that is not UTF-8");
  expect_letter(&h, "demo.Item", "\x0b", 1, "invalid demo.Item"); /* a group */
  expect_letter(&h, "demo.Item", "\x07", 1, "invalid demo.Item"); /* no wire type */
  /* Levels: each is two bytes more around the last. */
  char deep[1024];
  size_t at = sizeof deep, inner = 0;
  for (int i = 0; i < 140; i++) {
    size_t length = inner;
    if (length > 127) deep[--at] = (char)(length >> 7), deep[--at] = (char)((length & 127) | 128);
    else deep[--at] = (char)length;
    deep[--at] = 0x0a;
    inner = sizeof deep - at;
  }
  expect_letter(&h, "demo.Tree", deep + at, inner, "more than 128 levels deep");
  /* A field of another wire type is an unknown one. */
  tr_buf any;
  wrap(&any, "demo.Item", tr_slice_make("\x08\x05", 2));
  ask(&h, "demo.Item", tr_buf_view(&any));
  CHECK_INT(answer.code, ==, 0);
  CHECK_MEM(answer.text, answer.length, any.data, any.len);
  tr_buf_fini(&any);
  CHECK(!host_logged(&h, "handler.failed"));
  host_close(&h);
}

/* Reading it, the handler, and writing the answer: each allocation refused once is `out_of_memory`, or no harm. */
CHECK_CASE(protobuf_without_memory) {
  host h = { 0 };
  tr_buf any;
  size_t n, refused = 0, failed = 0;
  const char *order = check_file("spec/data/proto/demo.Order-full.bin", &n);
  wrap(&any, "demo.Order", tr_slice_make(order, n));
  open_with(&h, "spec/data/proto/a.lua", agents);
  for (size_t i = 1; i < 400; i++) {
    tr_msg *msg = message(&h, TR_MSG_REQUEST, "demo.Order", tr_buf_view(&any));
    memset(&answer, 0, sizeof answer);
    check_mem_fail_at(i);
    bool asked = tr_core_call(h.core, msg, on_reply, NULL) != NULL;
    host_run(&h, 1);
    refused += check_mem_refused();
    check_mem_fail_at(0);
    if (!asked) continue;
    if (answer.code) CHECK_INT(answer.code, ==, TR_EMEMORY);
    else CHECK_INT(answer.length, ==, any.len); /* a table has no order */
    failed += answer.code != 0;
  }
  CHECK_INT(refused, >, 5); /* most of what it needs was given back by the one before */
  CHECK_INT(failed, >, 2);
  tr_buf_fini(&any);
  host_close(&h);
}

/* ---- descriptor sets ---- */

/* Cut at every byte: it is taken whole, or not at all. (A cut between two files leaves a set that may be whole.) */
CHECK_CASE(descriptor_set_cut_at_every_byte) {
  size_t n, taken = 0;
  const char *set = check_file("spec/data/proto/demo.desc", &n);
  for (size_t i = 0; i <= n; i++) {
    tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
    tr_error error;
    tr_error_init(&error);
    int rc = tr_codecs_load(codecs, TR_SLICE_LITERAL("cut.desc"), tr_slice_make(set, i), &error);
    CHECK(rc == 0 || rc == TR_EINVALID);
    if (rc && strncmp(error.text, "cut.desc: descriptor set: ", 26) != 0) CHECK_FAIL("%zu: %s", i, error.text);
    CHECK_INT(tr_codecs_pool(codecs) != NULL, ==, rc == 0);
    taken += rc == 0;
    tr_codecs_free(codecs);
  }
  CHECK_INT(taken, <, 8);
  CHECK_INT(taken, >, 0);
}

/* A changed file reloads who uses it, with the new types; what the file cannot be is an error, and the old goes on. */
CHECK_CASE(changed_descriptor_set_replaces_the_old) {
  tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
  tr_error error;
  size_t n, m;
  const char *demo = check_file("spec/data/proto/demo.desc", &n), *legacy = check_file("spec/data/proto/legacy.desc", &m);
  tr_slice name = TR_SLICE_LITERAL("a.desc");
  tr_error_init(&error);
  CHECK_INT(tr_codecs_load(codecs, name, tr_slice_make(demo, n), &error), ==, 0);
  CHECK_INT(tr_codecs_load(codecs, name, tr_slice_make(demo, n), &error), ==, 0);
  CHECK_INT(tr_codecs_load(codecs, name, tr_slice_make(demo, n - 1), &error), ==, TR_EINVALID);
  CHECK(tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order")));
  CHECK(tr_codecs_type_like(codecs, TR_SLICE_LITERAL("Order")) == tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order")));
  CHECK(!tr_codecs_type_like(codecs, TR_SLICE_LITERAL("rder")));
  CHECK_INT(tr_codecs_load(codecs, name, tr_slice_make(legacy, m), &error), ==, 0);
  CHECK(!tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order")));
  CHECK(tr_codecs_type(codecs, TR_SLICE_LITERAL("legacy.Settings")));
  CHECK_INT(tr_codecs_load(codecs, TR_SLICE_LITERAL("b.desc"), tr_slice_make(demo, n), &error), ==, 0);
  CHECK(tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order")));
  tr_codecs_free(codecs);
}

static size_t allocations_of_load;
CHECK_CASE(codecs_survive_the_nth_failed_allocation) {
  size_t n;
  const char *demo = check_file("spec/data/proto/legacy.desc", &n);
  CHECK_EACH_ALLOCATION_FAILS {
    tr_error error;
    tr_error_init(&error);
    tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
    if (!codecs) {
      CHECK(check_mem_refused());
      continue;
    }
    int rc = tr_codecs_load(codecs, TR_SLICE_LITERAL("a"), tr_slice_make(demo, n), &error);
    if (!rc) rc = tr_codecs_load(codecs, TR_SLICE_LITERAL("b"), tr_slice_make(demo, n), &error);
    CHECK(rc == 0 || (rc == TR_EMEMORY && check_mem_refused()));
    allocations_of_load++;
    tr_codecs_free(codecs);
  }
  CHECK_INT((int)allocations_of_load, >, check_each_least(4));
}

static bool knows(const tr_codecs *codecs, const char *type) { return tr_codecs_type(codecs, tr_slice_of(type)) != NULL; }

/* A reload may be refused when sets have changed already. Taking them back needs no memory. */
CHECK_CASE(descriptor_sets_that_are_tried_may_be_taken_back) {
  size_t n, m, taken = 0;
  const char *demo = check_file("spec/data/proto/demo.desc", &n), *legacy = check_file("spec/data/proto/legacy.desc", &m);
  const tr_slice a = TR_SLICE_LITERAL("a"), b = TR_SLICE_LITERAL("b"), c = TR_SLICE_LITERAL("c");
  for (int keep = 0; keep < 2; keep++) CHECK_EACH_ALLOCATION_FAILS {
    tr_error error;
    tr_link steps;
    tr_error_init(&error);
    tr_list_init(&steps);
    tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
    int rc = codecs ? tr_codecs_load(codecs, a, tr_slice_make(demo, n), &error) : TR_EMEMORY;
    if (!rc) {
      const tr_proto_type *before = tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order"));
      rc = tr_codecs_try(codecs, a, tr_slice_make(legacy, m), &steps, &error);
      if (!rc) rc = tr_codecs_try(codecs, a, tr_slice_make(legacy, m), &steps, &error); /* the same: nothing to be done */
      if (!rc) rc = tr_codecs_try(codecs, b, tr_slice_make(demo, n), &steps, &error);
      if (!rc) CHECK(knows(codecs, "demo.Order") && knows(codecs, "legacy.Settings"));
      if (!rc) CHECK_INT(tr_codecs_try(codecs, c, tr_slice_make(demo, n - 1), &steps, &error), <, 0);
      tr_codecs_end(codecs, &steps, !rc && keep);
      if (rc || !keep) CHECK(tr_codecs_type(codecs, TR_SLICE_LITERAL("demo.Order")) == before && !knows(codecs, "legacy.Settings"));
      else CHECK(knows(codecs, "demo.Order") && knows(codecs, "legacy.Settings"));
      taken += !rc;
    }
    if (rc) CHECK(rc == TR_EMEMORY && check_mem_refused());
    tr_codecs_free(codecs);
  }
  CHECK_INT(taken, >, 0);
}

CHECK_CASE(descriptor_sets_that_others_load_meanwhile_stay) {
  size_t n, m;
  const char *demo = check_file("spec/data/proto/demo.desc", &n), *legacy = check_file("spec/data/proto/legacy.desc", &m);
  tr_error error;
  tr_link steps;
  tr_error_init(&error);
  tr_list_init(&steps);
  tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
  CHECK_INT(tr_codecs_try(codecs, tr_slice_of("a"), tr_slice_make(legacy, m), &steps, &error), ==, 0);
  CHECK_INT(tr_codecs_load(codecs, tr_slice_of("b"), tr_slice_make(demo, n), &error), ==, 0);
  tr_codecs_end(codecs, &steps, false);
  CHECK(knows(codecs, "demo.Order"));
  CHECK_INT(tr_codecs_load(codecs, tr_slice_of("b"), tr_slice_make(demo, n), &error), ==, 0);
  CHECK(knows(codecs, "demo.Order"));
  tr_codecs_free(codecs);
}

/* The file belongs to the script: a change of it is a change of the script. */
static void copy_file(const char *from, const char *to) {
  size_t n;
  const char *bytes = check_file(from, &n);
  FILE *file = fopen(to, "wb");
  CHECK(file && fwrite(bytes, 1, n, file) == n && fclose(file) == 0);
}

CHECK_CASE(changed_descriptor_file_reloads_its_script) {
  host h = { 0 };
  char folder[] = "/tmp/troupe-protobuf-XXXXXX", desc[64], script[64];
  size_t changed = 0;
  CHECK(mkdtemp(folder));
  snprintf(desc, sizeof desc, "%s/types.desc", folder);
  snprintf(script, sizeof script, "%s/a.lua", folder);
  copy_file("spec/data/proto/legacy.desc", desc);
  FILE *file = fopen(script, "w");
  CHECK(file && fputs("troupe.protobuf 'types.desc'\nreturn { type = 'a', on = { Go = function(_, _, ctx)\n"
                      "  ctx:send('a', 'demo.Item', {}, { encoding = 'protobuf' }) return 'sent' end } }", file) >= 0 && fclose(file) == 0);
  host_open(&h);
  h.from_disk = true;
  if (host_load(&h, script)) CHECK_FAIL("%s", h.error.text);
  CHECK_STR(host_call(&h, "a", "Go", NULL), "invalid: body: no descriptor of the message type \"demo.Item\" is loaded (see troupe.protobuf)");
  copy_file("spec/data/proto/demo.proto", desc);
  CHECK_INT(host_reload(&h, &changed), !=, 0);
  copy_file("spec/data/proto/demo.desc", desc);
  /* What is tried, refused, or undone changes nothing. */
  static const char unknown[] = "invalid: body: no descriptor of the message type \"demo.Item\" is loaded (see troupe.protobuf)";
  host_file(&h, "b.lua", "return { on = {} }");
  CHECK_INT(host_load(&h, "b.lua"), ==, 0);
  host_file(&h, "b.lua", "return { on = {}");
  CHECK_INT(host_reload(&h, &changed), !=, 0);
  CHECK_STR(host_call(&h, "a", "Go", NULL), unknown);
  host_file(&h, "b.lua", "return { on = {} }");
  for (int i = 0; i < 3; i++) {
    tr_reload_options options = { .trial = i == 0, .canary = i == 1 ? "other" : NULL, .undo = i == 2 };
    tr_reloading *plan;
    if (tr_script_reload_begin(h.script, &options, &changed, &plan, &h.error)) CHECK_FAIL("%s", h.error.text);
    tr_script_reload_end(plan, i > 0);
    CHECK_STR(host_call(&h, "a", "Go", NULL), i == 1 ? "Go \"sent\"" : unknown); /* the types are everybody's, a canary's too */
  }
  tr_reload_options again = { .again = true };
  tr_reloading *plan;
  CHECK_INT(tr_script_reload_begin(h.script, &again, &changed, &plan, &h.error), ==, 0);
  tr_script_reload_end(plan, true);
  CHECK_INT(changed, ==, 1);
  CHECK_STR(host_call(&h, "a", "Go", NULL), "Go \"sent\"");
  host_close(&h);
  unlink(desc), unlink(script), rmdir(folder);
}

/* ---- serializers ---- */

/* Upper case JSON. */
static int encode_loud(void *ud, tr_slice type, const tr_value *body, tr_buf *out, tr_error *error) {
  (void)type;
  ++*(int *)ud;
  if (tr_value_get(body, TR_SLICE_LITERAL("secret"))) return tr_error_set(error, TR_EINVALID, "a secret is not told");
  tr_json_writer writer;
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  size_t from = out->len;
  int rc = tr_value_walk(body, &sink, error);
  for (size_t i = from; i < out->len; i++)
    if (out->data[i] >= 'a' && out->data[i] <= 'z') out->data[i] = (uint8_t)(out->data[i] - 32);
  return rc;
}

static tr_value *decode_loud(void *ud, tr_mem *mem, tr_slice type, tr_slice bytes, tr_error *error) {
  (void)type;
  ++*(int *)ud;
  tr_value_builder builder;
  tr_value_builder_init(&builder, mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_json_parse(mem, bytes, &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

static int released;
static void release_loud(void *ud) {
  (void)ud;
  released++;
}

CHECK_CASE(serializers_by_type_and_content_type) {
  host h = { 0 };
  int used = 0;
  tr_error error;
  tr_error_init(&error);
  tr_codecs *codecs = tr_codecs_new(check_mem(), 1);
  tr_serializer_ops ops = { encode_loud, decode_loud, release_loud, &used };
  tr_slice loud = TR_SLICE_LITERAL("text/loud"), any = TR_SLICE_LITERAL("*");
  CHECK_INT(tr_codecs_add(codecs, TR_SLICE_LITERAL("Say"), loud, &ops, &error), ==, 0);
  CHECK_INT(tr_codecs_find(codecs, TR_SLICE_LITERAL("Say"), loud), ==, 1);
  CHECK_INT(tr_codecs_find(codecs, TR_SLICE_LITERAL("Tell"), loud), ==, 0);
  CHECK_INT(tr_codecs_add(codecs, any, loud, &ops, &error), ==, 0);
  CHECK_INT(tr_codecs_find(codecs, TR_SLICE_LITERAL("Tell"), loud), ==, 2);
  CHECK_INT(tr_codecs_add(codecs, TR_SLICE_LITERAL("Say"), loud, &ops, &error), ==, 0); /* in the place of the first */
  CHECK_INT(released, ==, 1);
  CHECK_INT(tr_codecs_count(codecs), ==, 2);
  static const char *const bad[] = { "loud", "text/", "/loud", "a/b/c", "", "text/x y", "application/x-protobuf" };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK_INT(tr_codecs_add(codecs, any, tr_slice_of(bad[i]), &ops, &error), ==, TR_EINVALID);
  CHECK_INT(tr_codecs_add(codecs, (tr_slice){ NULL, 0 }, loud, &ops, &error), ==, TR_EINVALID);
  h.codecs = codecs;
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
    "return { { type = 'echo', on = { Say = function(_, m) return { got = m.TEXT or m.text } end, Bad = function() return { secret = 1 } end } },\n"
    "  function(ctx)\n"
    "    local L = { encoding = 'text/loud' }\n"
    "    print(ctx:call('echo', 'Say', { text = 'hi' }, L).GOT)\n" /* the reply too */
    "    print(ctx:call('echo', 'Say', { text = 'hi' }).got)\n"
    "    print(select(2, ctx:pcall('echo', 'Say', { secret = 1 }, L)))\n"
    "    print(select(2, ctx:pcall('echo', 'Bad', {}, L)))\n"
    "    print(select(2, ctx:pcall('echo', 'Say', {}, { encoding = 'text/none' })))\n"
    "    return 0\n  end }"), ==, 0);
  host_run(&h, 10);
  CHECK_STR(h.printed, "HI\nhi\ninvalid: a secret is not told\ninvalid: a secret is not told\n"
                       "invalid: encoding: there is no serializer of Say for text/none\n");
  CHECK_INT(used, ==, 8);
  host_close(&h);
  tr_codecs_free(codecs);
  CHECK_INT(released, ==, 3);
}
