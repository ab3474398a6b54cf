/* SPDX-License-Identifier: MIT
 * The protobuf writer: what it takes, what it says when it does not, google.protobuf.Any, and both ways under damage
 * and without memory. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "codec/native.h"
#include "codec_proto_kit.h"

CHECK_CASE(proto_writer_takes_what_can_be_meant) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *scalars = kit_type(pool, "demo.Scalars"), *order = kit_type(pool, "demo.Order");
  const tr_proto_type *lists = kit_type(pool, "demo.Lists"), *maps = kit_type(pool, "demo.Maps");
  kit_writes(scalars, "{}", S(""));
  kit_writes(scalars, "[]", S(""));
  kit_writes(scalars, "{\"i32\":3.0,\"d\":1}", S("\x28\x03\x09\0\0\0\0\0\0\xf0\x3f"));
  kit_writes(scalars, "{\"i64\":\"-9223372036854775808\"}", S("\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"));
  kit_writes(scalars, "{\"u64\":\"18446744073709551615\",\"u32\":\"7\"}", S("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x58\x07"));
  kit_writes(scalars, "{\"u64\":1e19}", S("\x20\x80\x80\xa0\xcf\xc8\xe0\xc8\xe3\x8a\x01"));
  kit_writes(scalars, "{\"color\":2}", S("\x60\x02"));
  kit_writes(scalars, "{\"color\":\"GREEN\"}", S("\x60\x02"));
  kit_writes(scalars, "{\"color\":-5}", S("\x60\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
  kit_writes(scalars, "{\"f\":\"Infinity\"}", S("\x15\0\0\x80\x7f"));
  /* defaults are left out, -0 is none */
  kit_writes(scalars, "{\"d\":0.0,\"i32\":0,\"b\":false,\"s\":\"\",\"raw\":\"\",\"color\":\"COLOR_NONE\",\"si64\":0}", S(""));
  kit_writes(scalars, "{\"d\":-0.0}", S("\x09\0\0\0\0\0\0\0\x80"));
  kit_writes(order, "{\"priority\":0,\"remark\":\"\",\"gift\":{}}", S("\x38\x00\x42\x00\x1a\x00"));
  kit_writes(order, "{\"priority\":null,\"gift\":null,\"lines\":null,\"id\":null}", S(""));
  /* a null is not set, so the other may be */
  kit_writes(order, "{\"card\":null,\"cash\":1}", S("\x30\x01"));
  /* an empty table may be either */
  kit_writes(order, "{\"gift\":[],\"lines\":{},\"extra\":[],\"more\":[[],{}]}", S("\x1a\x00\x5a\x00\x62\x00\x62\x00"));
  kit_writes(lists, "{\"i32\":[],\"d\":{},\"items\":{}}", S(""));
  kit_writes(maps, "{\"labels\":[],\"byNumber\":{\"1\":[]}}", S("\x12\x04\x08\x01\x12\x00"));
  /* json names */
  kit_writes(kit_type(pool, "demo.Item"), "{\"unitPrice\":1}", S("\x19\0\0\0\0\0\0\xf0\x3f"));
  kit_writes(kit_type(pool, "demo.Order"), "{\"alias\":\"ALSO_SECOND\"}", S("\xa0\x06\x01"));
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_writer_names_the_place_and_what_was_expected) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *t = kit_type(pool, "demo.Scalars");
  kit_write_fails(t, "1", TR_EINVALID, "demo.Scalars: expected a map, got the integer 1");
  kit_write_fails(t, "[1]", TR_EINVALID, "demo.Scalars: expected a map, got an array");
  kit_write_fails(t, "[[]]", TR_EINVALID, "demo.Scalars: expected a map, got an array");
  kit_write_fails(t, "{\"ii32\":1}", TR_EINVALID,
                  "demo.Scalars: demo.Scalars has no field \"ii32\" (did you mean \"i32\"?)");
  kit_write_fails(t, "{\"nothing like it\":1}", TR_EINVALID,
                  "demo.Scalars: demo.Scalars has no field \"nothing like it\"");
  kit_write_fails(t, "{\"s\":\"a\",\"s\":\"b\"}", TR_EINVALID, "demo.Scalars: the field s is given twice");
  kit_write_fails(t, "{\"i32\":\"x\"}", TR_EINVALID,
                  "demo.Scalars: i32: expected an int32 (-2^31 to 2^31-1), got the string \"x\"");
  kit_write_fails(t, "{\"i32\":2147483648}", TR_EINVALID,
                  "demo.Scalars: i32: expected an int32 (-2^31 to 2^31-1), got the integer 2147483648");
  kit_write_fails(t, "{\"sf32\":-2147483649}", TR_EINVALID,
                  "demo.Scalars: sf32: expected an sfixed32 (-2^31 to 2^31-1), got the integer -2147483649");
  kit_write_fails(t, "{\"si32\":1.5}", TR_EINVALID,
                  "demo.Scalars: si32: expected an sint32 (-2^31 to 2^31-1), got the number 1.5");
  kit_write_fails(t, "{\"u32\":-1}", TR_EINVALID,
                  "demo.Scalars: u32: expected a uint32 (0 to 2^32-1), got the integer -1");
  kit_write_fails(t, "{\"u32\":4294967296}", TR_EINVALID,
                  "demo.Scalars: u32: expected a uint32 (0 to 2^32-1), got the integer 4294967296");
  kit_write_fails(t, "{\"f32\":null,\"u64\":-1}", TR_EINVALID,
                  "demo.Scalars: u64: expected a uint64 (0 to 2^64-1), got the integer -1");
  kit_write_fails(t, "{\"u64\":\"18446744073709551616\"}", TR_EINVALID,
                  "demo.Scalars: u64: expected a uint64 (0 to 2^64-1), got the string \"18446744073709551616\"");
  kit_write_fails(t, "{\"u64\":18446744073709551616.0}", TR_EINVALID,
                  "demo.Scalars: u64: expected a uint64 (0 to 2^64-1), got the number 1.8446744073709552e+19");
  kit_write_fails(t, "{\"i64\":9223372036854775808.0}", TR_EINVALID,
                  "demo.Scalars: i64: expected an int64, got the number 9.223372036854776e+18");
  kit_write_fails(t, "{\"f\":1e300}", TR_EINVALID, "demo.Scalars: f: expected a float, got the number 1e+300");
  kit_write_fails(t, "{\"d\":\"1.5\"}", TR_EINVALID, "demo.Scalars: d: expected a double, got the string \"1.5\"");
  kit_write_fails(t, "{\"b\":1}", TR_EINVALID, "demo.Scalars: b: expected a boolean, got the integer 1");
  kit_write_fails(t, "{\"s\":true}", TR_EINVALID, "demo.Scalars: s: expected a string (UTF-8), got a boolean");
  kit_write_fails(t, "{\"s\":{}}", TR_EINVALID, "demo.Scalars: s: expected a string (UTF-8), got a map");
  kit_write_fails(t, "{\"raw\":[]}", TR_EINVALID, "demo.Scalars: raw: expected bytes or a string, got an array");
  kit_write_fails(t, "{\"raw\":\"?\"}", TR_EINVALID, "demo.Scalars: raw: expected base64 text, got the string \"?\"");
  kit_write_fails(t, "{\"color\":\"GREE\"}", TR_EINVALID,
                  "demo.Scalars: color: demo.Color has no value \"GREE\" (did you mean \"GREEN\"?)");
  kit_write_fails(t, "{\"color\":2147483648}", TR_EINVALID,
                  "demo.Scalars: color: expected a name or number of the enum demo.Color, got the integer 2147483648");
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_writer_names_the_place_inside_of_others) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *t = kit_type(pool, "demo.Order");
  kit_write_fails(t, "{\"lines\":[{},{\"item\":{\"unit_price\":\"\"}}]}", TR_EINVALID,
                  "demo.Order: lines[2].item.unit_price: expected a double, got the string \"\"");
  kit_write_fails(t, "{\"lines\":[{\"notes\":[\"a\",\"b\",3]}]}", TR_EINVALID,
                  "demo.Order: lines[1].notes[3]: expected a string (UTF-8), got the integer 3");
  kit_write_fails(t, "{\"lines\":[null]}", TR_EINVALID,
                  "demo.Order: lines[1]: expected a map (demo.Order.Line), got null");
  kit_write_fails(t, "{\"lines\":[[1]]}", TR_EINVALID, "demo.Order: lines[1]: expected a map, got an array");
  kit_write_fails(t, "{\"lines\":1}", TR_EINVALID,
                  "demo.Order: lines: expected an array, each a map (demo.Order.Line), got the integer 1");
  kit_write_fails(t, "{\"lines\":{\"a\":1}}", TR_EINVALID,
                  "demo.Order: lines: expected an array, each a map (demo.Order.Line), got a map");
  kit_write_fails(t, "{\"gift\":\"x\"}", TR_EINVALID,
                  "demo.Order: gift: expected a map (demo.Item), got the string \"x\"");
  kit_write_fails(t, "{\"id\":\"a\",\"card\":\"c\",\"cash\":0}", TR_EINVALID,
                  "demo.Order: card and cash: only one member of the oneof payment may be set");
  t = kit_type(pool, "demo.Maps");
  kit_write_fails(t, "{\"by_number\":{\"7\":{\"count\":true}}}", TR_EINVALID,
                  "demo.Maps: by_number[\"7\"].count: expected an int32 (-2^31 to 2^31-1), got a boolean");
  kit_write_fails(t, "{\"by_number\":{\"seven\":{}}}", TR_EINVALID,
                  "demo.Maps: by_number[\"seven\"]: expected an int32 (-2^31 to 2^31-1), got the string \"seven\"");
  kit_write_fails(t, "{\"by_bool\":{\"True\":1}}", TR_EINVALID,
                  "demo.Maps: by_bool[\"True\"]: expected a boolean, got the string \"True\"");
  kit_write_fails(t, "{\"labels\":{\"a\":null}}", TR_EINVALID,
                  "demo.Maps: labels[\"a\"]: expected a string (UTF-8), got null");
  kit_write_fails(t, "{\"labels\":[1]}", TR_EINVALID, "demo.Maps: labels: expected a map, got an array");
  kit_write_fails(t, "{\"labels\":\"a\"}", TR_EINVALID,
                  "demo.Maps: labels: expected a map (labels), got the string \"a\"");
  kit_write_fails(kit_type(pool, "demo.Lists"), "{\"i32\":[1,[2]]}", TR_EINVALID,
                  "demo.Lists: i32[2]: expected an int32 (-2^31 to 2^31-1), got an array");
  t = kit_type(pool, "demo.Wide");
  kit_write_fails(t, "{\"field_66\":1,\"field_66\":2}", TR_EINVALID, "demo.Wide: the field field_66 is given twice");
  kit_write_fails(t, "{\"left\":\"\",\"right\":\"\"}", TR_EINVALID,
                  "demo.Wide: left and right: only one member of the oneof choice may be set");
  tr_proto_pool_free(pool);
  pool = kit_pool("legacy");
  kit_write_fails(kit_type(pool, "legacy.Settings"), "{}", TR_EINVALID,
                  "legacy.Settings: the required field version is missing");
  kit_write_fails(kit_type(pool, "legacy.Settings"), "{\"version\":null}", TR_EINVALID,
                  "legacy.Settings: the required field version is missing");
  kit_write_fails(kit_type(pool, "legacy.Settings"), "{\"version\":1,\"parts\":[{\"name\":\"\"},{}]}", TR_EINVALID,
                  "legacy.Settings: parts[2]: the required field name is missing");
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_writer_takes_strings_for_bytes_as_they_are) {
  tr_proto_pool *pool = kit_pool("demo");
  tr_proto_writer writer;
  tr_error error = { 0 };
  tr_buf out;
  tr_buf_init(&out, check_mem());
  tr_proto_writer_init(&writer, &out, kit_type(pool, "demo.Scalars"), 0, &error);
  tr_sink sink = tr_proto_sink(&writer);
  CHECK_INT(sink.begin_map(sink.ud, 2), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("raw")), ==, 0);
  CHECK_INT(sink.string(sink.ud, S("AQ==")), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("s")), ==, 0);
  CHECK_INT(sink.bytes(sink.ud, S("ok")), ==, 0);
  CHECK_INT(sink.end_map(sink.ud), ==, 0);
  CHECK_MEM(out.data, out.len, "\x52\x04" "AQ==\x4a\x02ok", 10);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID);
  CHECK_STR(error.text, "demo.Scalars: a second value");
  tr_proto_writer_fini(&writer);
  tr_error_init(&error);
  tr_proto_writer_init(&writer, &out, kit_type(pool, "demo.Scalars"), 0, &error);
  CHECK_INT(sink.begin_map(sink.ud, 1), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.key(sink.ud, S("s")), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("s")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_STR(error.text, "demo.Scalars: a value without a key");
  tr_error_init(&error);
  CHECK_INT(sink.bytes(sink.ud, S("\xff")), ==, TR_EINVALID);
  CHECK_STR(error.text, "demo.Scalars: s: expected a string (UTF-8), got bytes");
  tr_proto_writer_fini(&writer);
  tr_buf_fini(&out);
  tr_proto_pool_free(pool);
}

/* ---- google.protobuf.Any ---- */

#define URL(name) "type.googleapis.com/" name

CHECK_CASE(proto_any_has_its_type_anywhere) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *tree = kit_type(pool, "demo.Tree"), *order = kit_type(pool, "demo.Order");
  tr_slice item = S("\x2a\x24\x0a\x1d" URL("demo.Item") "\x12\x03\x0a\x01" "a");
  kit_writes(tree, "{\"any\":{\"@type\":\"demo.Item\",\"name\":\"a\"}}", item);
  kit_writes(tree, "{\"any\":{\"@type\":\"" URL("demo.Item") "\",\"name\":\"a\"}}", item);
  kit_writes(tree, "{\"any\":{\"name\":\"a\",\"@type\":\"demo.Item\"}}", item);
  kit_writes(tree, "{\"any\":{\"value\":\"CgFh\",\"type_url\":\"" URL("demo.Item") "\"}}",
             S("\x2a\x24\x12\x03\x0a\x01" "a\x0a\x1d" URL("demo.Item")));
  kit_writes(tree, "{\"any\":{\"@type\":\"other.org/demo.Item\"}}", S("\x2a\x15\x0a\x13other.org/demo.Item"));
  kit_writes(tree, "{\"any\":{\"_unknown\":\"CAE=\"}}", S("\x2a\x02\x08\x01"));
  /* one in the other, each with its type behind */
  const char *deep = "{\"any\":{\"any\":{\"left\":{\"any\":{\"children\":[{},{\"any\":{\"name\":\"a\",\"@type\":\"demo.Item\"}}],"
                     "\"@type\":\"demo.Tree\"}},\"@type\":\"demo.Tree\"},\"@type\":\"demo.Tree\"}}";
  tr_buf out, json;
  tr_error error;
  tr_buf_init(&out, check_mem());
  tr_buf_init(&json, check_mem());
  if (kit_write(tree, tr_slice_of(deep), 0, &out, &error)) CHECK_FAIL("%s", error.text);
  CHECK_INT(kit_read(tree, tr_buf_view(&out), &json, &error), ==, 0);
  CHECK_SLICE(tr_buf_view(&json),
              "{\"children\":[],\"named\":{},\"any\":{\"@type\":\"" URL("demo.Tree") "\",\"children\":[],\"named\":{},"
              "\"any\":{\"@type\":\"" URL("demo.Tree") "\",\"left\":{\"children\":[],\"named\":{},\"any\":{\"@type\":\""
              URL("demo.Tree") "\",\"children\":[{\"children\":[],\"named\":{}},{\"children\":[],\"named\":{},\"any\":{\"@type\":\""
              URL("demo.Item") "\",\"name\":\"a\",\"count\":0,\"unit_price\":0.0}}],\"named\":{}}},\"children\":[],"
              "\"named\":{}}}}");
  tr_buf_fini(&out);
  tr_buf_fini(&json);
  kit_write_fails(tree, "{\"any\":{\"@type\":\"demo.None\"}}", TR_ENOT_FOUND,
                  "demo.Tree: any.@type: the message type \"demo.None\" is not loaded");
  kit_write_fails(tree, "{\"any\":{\"a\":1,\"@type\":\"demo.None\"}}", TR_ENOT_FOUND,
                  "demo.Tree: any: the message type \"demo.None\" is not loaded");
  kit_write_fails(tree, "{\"any\":{\"@type\":1}}", TR_EINVALID,
                  "demo.Tree: any.@type: expected a string, got the integer 1");
  kit_write_fails(tree, "{\"any\":{\"@type\":{}}}", TR_EINVALID, "demo.Tree: any.@type: expected a string, got a map");
  kit_write_fails(tree, "{\"any\":{\"a\":1,\"@type\":[]}}", TR_EINVALID,
                  "demo.Tree: any: expected a string for \"@type\", got an array");
  kit_write_fails(tree, "{\"any\":{\"a\":1,\"@type\":\"demo.Item\",\"@type\":\"demo.Item\"}}", TR_EINVALID,
                  "demo.Tree: any: \"@type\" is given twice");
  kit_write_fails(tree, "{\"any\":{\"@type\":\"demo.Item\",\"@type\":\"demo.Item\"}}", TR_EINVALID,
                  "demo.Tree: any: demo.Item has no field \"@type\"");
  kit_write_fails(tree, "{\"any\":{\"name\":\"a\"}}", TR_EINVALID,
                  "demo.Tree: any: google.protobuf.Any has no field \"name\"");
  kit_write_fails(tree, "{\"any\":{\"@type\":\"google.protobuf.Any\"}}", TR_EINVALID,
                  "demo.Tree: any.@type: an Any in an Any is written as type_url and value");
  kit_write_fails(order, "{\"more\":[{\"item\":{\"count\":1.5},\"@type\":\"demo.Order.Line\"}]}", TR_EINVALID,
                  "demo.Order: more[1].item.count: expected an int32 (-2^31 to 2^31-1), got the number 1.5");
  /* read as a plain message: of an unknown type, an Any again, with more in it than an Any has */
  kit_reads(tree, S("\x2a\x05\x0a\x03x/y"),
            "{\"children\":[],\"named\":{},\"any\":{\"type_url\":\"x/y\",\"value\":\"\"}}");
  kit_reads(tree, S("\x2a\x15\x0a\x13google.protobuf.Any"),
            "{\"children\":[],\"named\":{},\"any\":{\"type_url\":\"google.protobuf.Any\",\"value\":\"\"}}");
  kit_reads(tree, S("\x2a\x0d\x0a\x09" "demo.Item\x18\x01"),
            "{\"children\":[],\"named\":{},\"any\":{\"type_url\":\"demo.Item\",\"value\":\"\",\"_unknown\":\"GAE=\"}}");
  kit_read_fails(tree, S("\x2a\x0f\x0a\x09" "demo.Item\x12\x02\x0a\x01"),
                 "protobuf demo.Item, byte 17: cut short or malformed (at any)");
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_any_wraps_and_unwraps) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *item = kit_type(pool, "demo.Item"), *any = kit_type(pool, "google.protobuf.Any");
  tr_buf out, once;
  tr_error error = { 0 };
  tr_slice name, message;
  tr_buf_init(&out, check_mem());
  tr_buf_init(&once, check_mem());
  CHECK_INT(tr_proto_wrap(&once, S("demo.Item"), S("\x0a\x01" "a")), ==, 0);
  CHECK_INT(kit_write(item, S("{\"name\":\"a\"}"), TR_PROTO_ANY, &out, &error), ==, 0);
  CHECK_MEM(out.data, out.len, once.data, once.len);
  CHECK_INT(tr_proto_unwrap(tr_buf_view(&out), &name, &message, &error), ==, 0);
  CHECK_SLICE(name, "demo.Item");
  CHECK_MEM(message.p, message.n, "\x0a\x01" "a", 3);
  kit_reads(any, tr_buf_view(&out), "{\"@type\":\"" URL("demo.Item") "\",\"name\":\"a\",\"count\":0,\"unit_price\":0.0}");
  tr_buf_clear(&out), tr_buf_clear(&once);
  CHECK_INT(tr_proto_wrap(&once, S("demo.Item"), S("")), ==, 0);
  CHECK_INT(kit_write(item, S("{}"), TR_PROTO_ANY, &out, &error), ==, 0);
  CHECK_MEM(out.data, out.len, once.data, once.len);
  tr_buf_clear(&out);
  CHECK_INT(kit_write(any, S("{\"name\":\"a\",\"@type\":\"demo.Item\"}"), TR_PROTO_ANY, &out, &error), ==, 0);
  CHECK_INT(tr_proto_unwrap(tr_buf_view(&out), &name, &message, &error), ==, 0);
  CHECK_SLICE(name, "google.protobuf.Any");
  CHECK_INT(tr_proto_unwrap(message, &name, &message, &error), ==, 0);
  CHECK_SLICE(name, "demo.Item");
  tr_buf_clear(&out);
  CHECK_INT(kit_write(any, S("{\"name\":\"a\",\"@type\":\"demo.Item\"}"), 0, &out, &error), ==, 0);
  CHECK_INT(tr_proto_unwrap(tr_buf_view(&out), &name, &message, &error), ==, 0);
  CHECK_MEM(message.p, message.n, "\x0a\x01" "a", 3);
  CHECK_INT(tr_proto_unwrap(S(""), &name, &message, &error), ==, TR_EINVALID);
  CHECK_STR(error.text, "google.protobuf.Any: no name of a type in it");
  CHECK_INT(tr_proto_unwrap(S("\x0a"), &name, &message, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_proto_unwrap(S("\x0a\x02" "a/"), &name, &message, NULL), ==, TR_EINVALID);
  CHECK_INT(tr_proto_unwrap(S("\x0a\x02/\xff"), &name, &message, NULL), ==, TR_EINVALID);
  tr_buf_fini(&out);
  tr_buf_fini(&once);
  tr_proto_pool_free(pool);
}

/* ---- damage ---- */

/* What can be read can be written, and is then read as the same. Through the native format, which keeps all numbers. */
static void read_and_back(const tr_proto_type *type, tr_slice bytes) {
  tr_buf native[2], written;
  tr_error error;
  int err = 0;
  tr_buf_init(&written, check_mem());
  for (int i = 0; i < 2; i++) {
    tr_native_writer writer;
    tr_proto_writer back;
    tr_buf_init(&native[i], check_mem());
    if (err) continue;
    tr_error_init(&error);
    tr_native_writer_init(&writer, &native[i], &error);
    tr_sink sink = tr_native_sink(&writer);
    err = tr_proto_parse(check_mem(), type, i ? tr_buf_view(&written) : bytes, &sink, &error);
    CHECK_INT(error.code, ==, err);
    if (err) CHECK(i == 0 && err == TR_EINVALID);
    if (err || i) continue;
    tr_proto_writer_init(&back, &written, type, 0, &error);
    sink = tr_proto_sink(&back);
    if (tr_native_parse(tr_buf_view(&native[0]), &sink, &error)) CHECK_FAIL("%s", error.text);
    tr_proto_writer_fini(&back);
  }
  if (!err) CHECK_MEM(native[0].data, native[0].len, native[1].data, native[1].len);
  tr_buf_fini(&native[0]), tr_buf_fini(&native[1]), tr_buf_fini(&written);
}

static void damage(const char *path, void *ud) {
  size_t n;
  const char *bytes = check_file(path, &n);
  (void)ud;
  if (n > 1000) return;
  tr_proto_pool *pool = kit_pool(kit_set_of(path));
  const tr_proto_type *type = kit_type_of(pool, path);
  char *copy = malloc(n + 1);
  if (!copy) CHECK_FAIL("no memory");
  for (size_t i = 0; i < n; i++) {
    char *cut = malloc(i ? i : 1);
    if (!cut) CHECK_FAIL("no memory");
    memcpy(cut, bytes, i);
    read_and_back(type, tr_slice_make(cut, i));
    free(cut);
  }
  memcpy(copy, bytes, n);
  for (size_t i = 0; i < n; i++) {
    for (int byte = 0; byte < 256; byte += n < 100 ? 1 : 15) copy[i] = (char)byte, read_and_back(type, tr_slice_make(copy, n));
    copy[i] = bytes[i];
  }
  free(copy);
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_cut_or_changed_anywhere_is_read_or_refused) { check_each_file("spec/data/proto", ".bin", damage, NULL); }

/* ---- no memory ---- */

CHECK_CASE(proto_without_memory_is_an_error_and_leaks_nothing) {
  static const char *const files[] = { "demo.Order-full", "demo.Order-long", "demo.Maps-all", "demo.Wide-some", "demo.Tree-nested" };
  tr_proto_pool *pool = kit_pool("demo");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char path[128];
    size_t n, m;
    snprintf(path, sizeof path, "spec/data/proto/%s.bin", files[i]);
    const tr_proto_type *type = kit_type_of(pool, path);
    const char *bytes = check_file(path, &n);
    snprintf(path, sizeof path, "spec/data/proto/%s.json", files[i]);
    const char *json = check_file(path, &m);
    CHECK_EACH_ALLOCATION_FAILS {
      tr_buf out;
      tr_error error;
      tr_buf_init(&out, check_mem());
      int err = kit_read(type, tr_slice_make(bytes, n), &out, &error);
      CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
      tr_buf_fini(&out);
    }
    CHECK_EACH_ALLOCATION_FAILS {
      tr_buf out;
      tr_error error;
      tr_buf_init(&out, check_mem());
      int err = kit_write(type, tr_slice_make(json, m), TR_PROTO_ANY, &out, &error);
      CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
      CHECK_INT(error.code, ==, err);
      tr_buf_fini(&out);
    }
  }
  CHECK_EACH_ALLOCATION_FAILS { /* unknown fields that lie apart, an Any whose type comes last */
    tr_buf out;
    tr_error error;
    tr_buf_init(&out, check_mem());
    int err = kit_read(kit_type(pool, "demo.Item"), S("\x28\x07\x10\x01\x28\x08"), &out, &error);
    tr_buf_clear(&out);
    if (!err)
      err = kit_write(kit_type(pool, "demo.Tree"),
                      S("{\"any\":{\"any\":{\"name\":\"a\",\"@type\":\"demo.Item\"},\"@type\":\"demo.Tree\"}}"), 0, &out, &error);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    tr_buf_fini(&out);
  }
  tr_proto_pool_free(pool);
}

/* ---- what the sink returns ---- */

static int left;
static int count_down(void *ud) { return (void)ud, --left == 0 ? TR_ELIMIT : 0; }
static int stop_boolean(void *ud, bool value) { return (void)value, count_down(ud); }
static int stop_integer(void *ud, int64_t value) { return (void)value, count_down(ud); }
static int stop_number(void *ud, double value) { return (void)value, count_down(ud); }
static int stop_slice(void *ud, tr_slice value) { return (void)value, count_down(ud); }
static int stop_count(void *ud, size_t value) { return (void)value, count_down(ud); }

CHECK_CASE(proto_hands_up_what_the_sink_returns) {
  tr_sink sink = { count_down, stop_boolean, stop_integer, stop_number, stop_slice, stop_slice,
                   stop_count, count_down, stop_count, stop_slice, count_down, NULL };
  static const char *const names[] = { "demo.Order-full", "demo.Maps-all", "demo.Lists-all" };
  tr_proto_pool *pool = kit_pool("demo");
  for (size_t i = 0; i < 3; i++) {
    char path[128];
    size_t n;
    int steps = 0, err;
    snprintf(path, sizeof path, "spec/data/proto/%s.bin", names[i]);
    const char *bytes = check_file(path, &n);
    do {
      left = ++steps;
      err = tr_proto_parse(check_mem(), kit_type_of(pool, path), tr_slice_make(bytes, n), &sink, NULL);
      CHECK(err == 0 || err == TR_ELIMIT);
    } while (err);
    CHECK_INT(steps, >, 40);
  }
  tr_proto_pool_free(pool);
}
