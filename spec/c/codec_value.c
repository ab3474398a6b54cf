/* SPDX-License-Identifier: MIT
 * Value trees: building, reading, freeing whatever the depth, packing and unpacking. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "check.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "codec/value.h"

#define S(text) TR_SLICE_LITERAL(text)

static void check_text(const tr_value *value, const char *json) {
  tr_buf out;
  tr_json_writer writer;
  tr_error error = { 0 };
  tr_buf_init(&out, check_mem());
  tr_json_writer_init(&writer, &out, &error);
  tr_sink sink = tr_json_sink(&writer);
  if (tr_value_walk(value, &sink, &error)) CHECK_FAIL("%s", error.text);
  CHECK_SLICE(tr_buf_view(&out), json);
  tr_buf_fini(&out);
}

static tr_value *parse(const char *json) {
  tr_value_builder builder;
  tr_error error = { 0 };
  tr_value_builder_init(&builder, check_mem(), &error);
  tr_sink sink = tr_value_sink(&builder);
  if (tr_json_parse(check_mem(), tr_slice_of(json), &sink, &error)) CHECK_FAIL("%s", error.text);
  tr_value *value = tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

/* ---- the tree ---- */

CHECK_CASE(value_kinds_read_as_what_they_are) {
  tr_mem *mem = check_mem();
  int64_t i = 0;
  double d = 0;
  bool b = false;
  tr_slice s;
  tr_value *v = tr_value_integer(mem, INT64_MIN);
  CHECK(tr_value_as_integer(v, &i) && i == INT64_MIN);
  CHECK(tr_value_as_number(v, &d) && d == -0x1p63);
  CHECK(!tr_value_as_boolean(v, &b) && !tr_value_as_string(v, &s));
  CHECK_INT(tr_value_length(v), ==, 0);
  tr_value_free(v);
  v = tr_value_number(mem, 3.0);
  CHECK(tr_value_as_integer(v, &i) && i == 3);
  tr_value_free(v);
  static const double no_integers[] = { 3.5, 0x1p63, -0x1.0000000000001p63, INFINITY, -INFINITY, NAN };
  for (size_t k = 0; k < sizeof no_integers / sizeof *no_integers; k++) {
    v = tr_value_number(mem, no_integers[k]);
    CHECK(!tr_value_as_integer(v, &i));
    tr_value_free(v);
  }
  v = tr_value_string(mem, S("a\0b"));
  CHECK(tr_value_as_string(v, &s) && s.n == 3 && s.p[3] == 0);
  CHECK_INT(tr_value_length(v), ==, 3);
  tr_value_free(v);
  CHECK(!tr_value_string(mem, S("\xff")));
  v = tr_value_bytes(mem, S("\xff"));
  CHECK(tr_value_get_kind(v) == TR_VALUE_BYTES && tr_value_as_string(v, &s) && s.n == 1);
  tr_value_free(v);
  tr_value_free(NULL);
  CHECK_INT(tr_value_get_kind(NULL), ==, TR_VALUE_NULL);
  CHECK(!tr_value_at(NULL, 0) && !tr_value_get(NULL, S("a")) && tr_value_length(NULL) == 0);
}

CHECK_CASE(value_containers_keep_order_and_replace) {
  tr_mem *mem = check_mem();
  tr_value *map = tr_value_map(mem), *array = tr_value_array(mem);
  CHECK_INT(tr_value_set(map, S("z"), tr_value_integer(mem, 1)), ==, 0);
  CHECK_INT(tr_value_set(map, S("a"), array), ==, 0);
  CHECK_INT(tr_value_set(map, S(""), tr_value_null(mem)), ==, 0);
  CHECK_INT(tr_value_set(map, S("z"), tr_value_boolean(mem, true)), ==, 0);
  CHECK_INT(tr_value_push(array, tr_value_bytes(mem, S("\x00\xff"))), ==, 0);
  check_text(map, "{\"z\":true,\"a\":[\"AP8=\"],\"\":null}");
  CHECK_INT(tr_value_length(map), ==, 3);
  CHECK_SLICE(tr_value_key_at(map, 1), "a");
  CHECK(tr_value_at(map, 1) == array && tr_value_get(map, S("a")) == array);
  CHECK(!tr_value_get(map, S("b")) && !tr_value_at(map, 3) && !tr_value_key_at(map, 3).p && !tr_value_at(array, 1));
  CHECK_INT(tr_value_push(map, tr_value_null(mem)), ==, TR_EINVALID);
  CHECK_INT(tr_value_set(array, S("k"), tr_value_null(mem)), ==, TR_EINVALID);
  CHECK_INT(tr_value_set(map, S("\xff"), tr_value_null(mem)), ==, TR_EINVALID);
  CHECK_INT(tr_value_push(array, NULL), ==, TR_EINVALID);
  tr_value_free(map);
}

CHECK_CASE(value_maps_of_many_members_are_found_by_key) {
  tr_mem *mem = check_mem();
  tr_value *map = tr_value_map(mem);
  char key[20];
  int64_t found;
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < 20000; i++) {
      int n = snprintf(key, sizeof key, "key %d", i);
      CHECK_INT(tr_value_set(map, tr_slice_make(key, (size_t)n), tr_value_integer(mem, i + round)), ==, 0);
    }
  }
  CHECK_INT(tr_value_length(map), ==, 20000);
  for (int i = 0; i < 20000; i++) {
    int n = snprintf(key, sizeof key, "key %d", i);
    CHECK(tr_value_as_integer(tr_value_get(map, tr_slice_make(key, (size_t)n)), &found) && found == i + 1);
    CHECK_SLICE(tr_value_key_at(map, (size_t)i), key);
  }
  tr_value_free(map);
}

CHECK_CASE(value_of_any_depth_is_freed_but_not_written) {
  tr_mem *mem = check_mem();
  tr_value *value = tr_value_array(mem);
  for (int i = 0; i < 200000; i++) {
    tr_value *outer = i % 2 ? tr_value_array(mem) : tr_value_map(mem);
    CHECK_INT(i % 2 ? tr_value_push(outer, value) : tr_value_set(outer, S("k"), value), ==, 0);
    value = outer;
  }
  tr_value_builder builder;
  tr_error error = { 0 };
  tr_value_builder_init(&builder, mem, &error);
  tr_sink sink = tr_value_sink(&builder);
  CHECK_INT(tr_value_walk(value, &sink, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "more than 128 levels deep");
  CHECK(!tr_value_builder_take(&builder));
  tr_value_builder_fini(&builder);
  tr_value_free(value);
}

CHECK_CASE(value_copies_through_its_own_sink) {
  const char *json = "{\"a\":[1,-2.5,null,true,\"x\",{\"b\":[]}],\"c\":{}}";
  tr_value *value = parse(json);
  tr_value_builder builder;
  tr_value_builder_init(&builder, check_mem(), NULL);
  tr_sink sink = tr_value_sink(&builder);
  CHECK_INT(tr_value_walk(value, &sink, NULL), ==, 0);
  tr_value *copy = tr_value_builder_take(&builder);
  check_text(copy, json);
  tr_value_free(copy);
  tr_value_free(value);
  value = parse("{\"a\":1,\"b\":2,\"a\":{\"n\":3}}"); /* a repeated key: the last one */
  check_text(value, "{\"a\":{\"n\":3},\"b\":2}");
  tr_value_free(value);
}

CHECK_CASE(value_builder_refuses_what_does_not_fit) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, check_mem(), NULL);
  tr_sink sink = tr_value_sink(&builder);
  CHECK_INT(sink.key(sink.ud, S("k")), ==, TR_EINVALID);
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.begin_map(sink.ud, 1), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.begin_array(sink.ud, 1), ==, TR_EINVALID);
  CHECK_INT(sink.key(sink.ud, S("k")), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("k")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.null(sink.ud), ==, 0);
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID);
  CHECK(!tr_value_builder_take(&builder)); /* not complete */
  CHECK_INT(sink.end_map(sink.ud), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID); /* a second value */
  tr_value_builder_fini(&builder);
}

/* ---- pack ---- */

static tr_value *pack(tr_error *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  tr_value *value = tr_value_packv(check_mem(), error, format, args);
  va_end(args);
  return value;
}

CHECK_CASE(value_packs_every_letter) {
  tr_mem *mem = check_mem();
  tr_value *value = pack(NULL, "{s:i, s:I,s:[F,F],s:s,s:S,s:b,s:b,s:n,s:v,s:{},s:[],s:s}", "i", -7, "I", INT64_MAX, "f", 1.0, 0.5, "s",
                         "text", "S", S("sl\0ice"), "t", 1, "f2", 0, "n", "v", tr_value_bytes(mem, S("\x00")), "m", "l", "null", NULL);
  check_text(value, "{\"i\":-7,\"I\":9223372036854775807,\"f\":[1.0,0.5],\"s\":\"text\",\"S\":\"sl\\u0000ice\",\"t\":true,\"f2\":false,"
                    "\"n\":null,\"v\":\"AA==\",\"m\":{},\"l\":[],\"null\":null}");
  tr_value_free(value);
  value = pack(NULL, "i", 5);
  check_text(value, "5");
  tr_value_free(value);
}

static void is_wrong(tr_value *value, const tr_error *error) {
  CHECK(!value);
  CHECK_INT(error->code, ==, TR_EINVALID);
  CHECK(strstr(error->text, "wrong at character"));
}

CHECK_CASE(value_pack_of_a_wrong_format_frees_what_it_was_given) {
  static const char *const formats[] = { "[v,v,x]", "[v,v", "{v:v}", "[v v]", "[v,]v", "v,v", "[v,v]]", "{,v,v}", "[[v],v,}" };
  tr_mem *mem = check_mem();
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
    tr_error error = { 0 };
    is_wrong(pack(&error, formats[i], tr_value_null(mem), tr_value_null(mem)), &error);
  }
  tr_error one = { 0 }, two = { 0 };
  is_wrong(pack(&one, "{s:v,v:v}", "k", tr_value_null(mem), tr_value_null(mem), tr_value_null(mem)), &one);
  is_wrong(pack(&two, "{s v,s:v}", "k", tr_value_null(mem), "l", tr_value_null(mem)), &two);
  CHECK_INT(check_mem_blocks(), ==, 0);
}

CHECK_CASE(value_pack_refuses_bad_text) {
  tr_error error = { 0 };
  CHECK(!pack(&error, "[s,v]", "\xff", tr_value_null(check_mem())));
  CHECK_STR(error.text, "a string is not UTF-8");
  error = (tr_error){ 0 };
  CHECK(!pack(&error, "{s:i,s:v}", "\xff", 1, "k", tr_value_null(check_mem())));
  CHECK_STR(error.text, "a key is not UTF-8");
}

CHECK_CASE(value_pack_without_memory_leaks_nothing) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_error error = { 0 };
    tr_value *given = tr_value_array(check_mem());
    tr_value *value = pack(&error, "{s:i,s:[F,s],s:v,s:{s:S}}", "a", 1, "b", 2.5, "text", "c", given, "d", "e", S("x"));
    /* An argument that is NULL is null, and an index that fails is done without. */
    if (!value) CHECK(check_mem_refused() && error.code == TR_EMEMORY);
    tr_value_free(value);
  }
}

CHECK_CASE(value_building_without_memory_leaks_nothing) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_value_builder builder;
    tr_error error = { 0 };
    tr_value_builder_init(&builder, check_mem(), &error);
    tr_sink sink = tr_value_sink(&builder);
    tr_slice json = S("{\"a\":[1,\"x\",{\"b\":null}],\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,"
                      "\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1}");
    int err = tr_json_parse(check_mem(), json, &sink, &error);
    CHECK(err == 0 || (err == TR_EMEMORY && check_mem_refused() && error.code == TR_EMEMORY)); /* an index that fails is done without */
    tr_value_builder_fini(&builder);
  }
}

/* ---- unpack ---- */

static int unpack(const tr_value *value, tr_error *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int err = tr_value_unpackv(value, error, format, args);
  va_end(args);
  return err;
}

CHECK_CASE(value_unpacks_every_letter) {
  tr_value *value = parse("{\"i\":-7,\"I\":9223372036854775807,\"f\":[1,0.5],\"s\":\"text\",\"S\":\"sl\",\"b\":true,\"n\":null,\"v\":[],\"more\":1}");
  int i = 0, b = 0, kept = 99;
  int64_t I = 0;
  double x = 0, y = 0;
  const char *s = NULL;
  tr_slice S_;
  const tr_value *v = NULL;
  CHECK_INT(unpack(value, NULL, "{s:i,s:I,s:[F,F],s:s,s:S,s:b,s:n,s:v,s?:i,s?:{s:i,s:[i]},s?:i}", "i", &i, "I", &I, "f", &x, &y, "s", &s, "S",
                   &S_, "b", &b, "n", "v", &v, "none", &kept, "nor this", "x", &kept, "y", &kept, "n", &kept), ==, 0);
  CHECK(i == -7 && I == INT64_MAX && x == 1 && y == 0.5 && b == 1 && kept == 99);
  CHECK_STR(s, "text");
  CHECK_SLICE(S_, "sl");
  CHECK_INT(tr_value_get_kind(v), ==, TR_VALUE_ARRAY);
  tr_value_free(value);
}

static void unpack_fails(const char *json, const char *format, const char *message) {
  tr_value *value = parse(json);
  tr_error error = { 0 };
  union { int i; int64_t I; double d; const void *p; tr_slice s; } out;
  int err = format[0] == '{' ? unpack(value, &error, format, "a", &out, "b", &out, "c", &out) : unpack(value, &error, format, &out, &out);
  CHECK_INT(err, ==, TR_EINVALID);
  CHECK_STR(error.text, message);
  tr_value_free(value);
}

CHECK_CASE(value_unpack_names_the_member_that_is_wrong) {
  unpack_fails("{}", "{s:i}", "a: expected a value; it is missing");
  unpack_fails("{\"a\":\"x\"}", "{s:i}", "a: expected an integer");
  unpack_fails("{\"a\":2147483648}", "{s:i}", "a: expected an integer of 32 bits");
  unpack_fails("{\"a\":1.5}", "{s:I}", "a: expected an integer");
  unpack_fails("{\"a\":true}", "{s:F}", "a: expected a number");
  unpack_fails("{\"a\":1}", "{s:b}", "a: expected a boolean");
  unpack_fails("{\"a\":1}", "{s:s}", "a: expected a string");
  unpack_fails("{\"a\":1}", "{s:n}", "a: expected null");
  unpack_fails("{\"a\":null}", "{s:i}", "a: expected an integer");
  unpack_fails("[]", "{s:i}", "the value: expected a map");
  unpack_fails("{}", "[i]", "the value: expected an array");
  unpack_fails("[1]", "[i,i]", "the value: expected more items");
  unpack_fails("[1,2,3]", "[i,i]", "the value: expected fewer items");
  unpack_fails("[1,\"x\"]", "[i,i]", "[2]: expected an integer");
  unpack_fails("[1]", "[]", "the value: expected an empty array");
  unpack_fails("[[1,[true]]]", "[[i,[i]]]", "[1][2][1]: expected an integer");
  unpack_fails("{\"a\":1}", "{s:q}", "format \"{s:q}\": wrong at character 4");
  unpack_fails("{\"a\":1}", "{s:i", "format \"{s:i\": wrong at character 5");
  unpack_fails("1", "ii", "format \"ii\": wrong at character 2");
}

CHECK_CASE(value_unpack_names_deep_and_long_members) {
  tr_value *value = parse("{\"size\":{\"w\":\"x\"}}");
  tr_error error = { 0 };
  int w;
  CHECK_INT(unpack(value, &error, "{s:{s:i}}", "size", "w", &w), ==, TR_EINVALID);
  CHECK_STR(error.text, "size.w: expected an integer");
  char name[600];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = 0;
  error = (tr_error){ 0 };
  CHECK_INT(unpack(value, &error, "{s:{s?:i,s:i}}", "size", name, &w, name, &w), ==, TR_EINVALID);
  CHECK(strncmp(error.text, "size.nnn", 8) == 0);
  tr_value_free(value);
}

/* ---- base64 ---- */

CHECK_CASE(base64_reads_what_it_writes_and_nothing_else) {
  tr_buf text, back;
  uint8_t bytes[256];
  for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)(i * 37);
  for (size_t n = 0; n <= 256; n++) {
    tr_buf_init(&text, check_mem());
    tr_buf_init(&back, check_mem());
    tr_base64_write(&text, tr_slice_make(bytes, n));
    CHECK_INT(text.len, ==, (n + 2) / 3 * 4);
    CHECK_INT(tr_base64_read(&back, tr_buf_view(&text)), ==, 0);
    CHECK_MEM(back.data, back.len, bytes, n);
    tr_buf_fini(&text);
    tr_buf_fini(&back);
  }
  static const char *const wrong[] = { "A", "AA", "AAA", "A===", "====", "AA=A", "AAA=AAAA", "AB==", "AAB=", "A A=", "AA-_", "AAAA\n" };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    tr_buf_init(&back, check_mem());
    if (tr_base64_read(&back, tr_slice_of(wrong[i])) != TR_EINVALID) CHECK_FAIL("%s is read", wrong[i]);
    tr_buf_fini(&back);
  }
}
