/* SPDX-License-Identifier: MIT
 * Protobuf messages both ways, against what protoc made of the same text (spec/data/proto/make). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "codec/native.h"
#include "codec/value.h"
#include "codec_proto_kit.h"

/* ---- protoc's bytes ---- */

static void check_one(const char *path, void *ud) {
  char json[256];
  size_t n, m;
  FILE *there;
  (void)ud;
  snprintf(json, sizeof json, "%.*sjson", (int)(strlen(path) - 3), path);
  there = fopen(json, "rb");
  if (!there) return; /* numbers that JSON does not have */
  fclose(there);
  const char *bytes = check_file(path, &n), *text = check_file(json, &m);
  tr_proto_pool *pool = kit_pool(kit_set_of(path));
  const tr_proto_type *type = kit_type_of(pool, path);
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  if (kit_read(type, tr_slice_make(bytes, n), &out, &error)) CHECK_FAIL("%s: %s", path, error.text);
  CHECK_MEM(out.data, out.len, text, m - 1);
  tr_buf_clear(&out);
  if (kit_write(type, tr_slice_make(text, m), 0, &out, &error)) CHECK_FAIL("%s: %s", json, error.text);
  /* Merged bytes come out once; what is a default only by declaration is written as if it had been given. */
  if (!strstr(path, "merged.") && !strstr(path, "Settings-least")) CHECK_MEM(out.data, out.len, bytes, n);
  tr_buf_fini(&out);
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_reads_and_writes_what_protoc_does) { check_each_file("spec/data/proto", ".bin", check_one, NULL); }

CHECK_CASE(proto_keeps_infinities_and_nan) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *type = kit_type(pool, "demo.Scalars");
  size_t n;
  const char *bytes = check_file("spec/data/proto/demo.Scalars-nan.bin", &n);
  tr_buf native, again;
  tr_native_writer writer;
  tr_proto_writer back;
  tr_buf_init(&native, check_mem());
  tr_buf_init(&again, check_mem());
  tr_native_writer_init(&writer, &native, NULL);
  tr_sink sink = tr_native_sink(&writer);
  CHECK_INT(tr_proto_parse(check_mem(), type, tr_slice_make(bytes, n), &sink, NULL), ==, 0);
  tr_proto_writer_init(&back, &again, type, 0, NULL);
  sink = tr_proto_sink(&back);
  CHECK_INT(tr_native_parse(tr_buf_view(&native), &sink, NULL), ==, 0);
  CHECK_MEM(again.data, again.len, bytes, n);
  kit_writes(type, "{\"d\":\"NaN\",\"f\":\"-Infinity\"}", tr_slice_make(bytes, n));
  tr_proto_writer_fini(&back);
  tr_buf_fini(&native);
  tr_buf_fini(&again);
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_defaults_may_be_infinite) {
  tr_proto_pool *pool = kit_pool("legacy");
  tr_value_builder builder;
  double low = 0, high = 0, none = 0;
  tr_value_builder_init(&builder, check_mem(), NULL);
  tr_sink sink = tr_value_sink(&builder);
  CHECK_INT(tr_proto_parse(check_mem(), kit_type(pool, "legacy.Extremes"), S(""), &sink, NULL), ==, 0);
  tr_value *value = tr_value_builder_take(&builder);
  tr_value_as_number(tr_value_get(value, S("low")), &low);
  tr_value_as_number(tr_value_get(value, S("high")), &high);
  tr_value_as_number(tr_value_get(value, S("none")), &none);
  CHECK(low == -INFINITY && high == INFINITY && isnan(none));
  tr_value_free(value);
  tr_value_builder_fini(&builder);
  tr_proto_pool_free(pool);
}

/* ---- reading ---- */

CHECK_CASE(proto_reads_fields_in_any_order_and_merges) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *item = kit_type(pool, "demo.Item"), *lists = kit_type(pool, "demo.Lists");
  const tr_proto_type *order = kit_type(pool, "demo.Order"), *maps = kit_type(pool, "demo.Maps");
  kit_reads(item, S("\x10\x01\x0a\x01" "a\x10\x02"), "{\"name\":\"a\",\"count\":2,\"unit_price\":0.0}");
  /* the bits beyond an int32 are cut off; a varint may be longer than it need be */
  kit_reads(item, S("\x10\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00"), "{\"name\":\"\",\"count\":5,\"unit_price\":0.0}");
  kit_reads(item, S("\x10\xff\xff\xff\xff\x1f"), "{\"name\":\"\",\"count\":-1,\"unit_price\":0.0}");
  /* gift = {name = "a"}, then {count = 2}, then {name = "b"} */
  kit_reads(order, S("\x1a\x03\x0a\x01" "a\x1a\x02\x10\x02\x1a\x03\x0a\x01" "b"),
            "{\"id\":\"\",\"lines\":[],\"gift\":{\"name\":\"b\",\"count\":2,\"unit_price\":0.0},\"more\":[],"
            "\"alias\":\"FIRST\",\"far\":0}");
  /* a oneof: voucher, card, voucher again, which begins anew */
  kit_reads(order, S("\x2a\x02\x10\x07\x22\x01" "c\x2a\x03\x0a\x01" "v"),
            "{\"id\":\"\",\"lines\":[],\"voucher\":{\"name\":\"v\",\"count\":0,\"unit_price\":0.0},\"more\":[],"
            "\"alias\":\"FIRST\",\"far\":0}");
  kit_reads(order, S("\x2a\x02\x10\x07\x30\x00"),
            "{\"id\":\"\",\"lines\":[],\"cash\":0,\"more\":[],\"alias\":\"FIRST\",\"far\":0}");
  /* i32 and loose, each packed and not, among each other */
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  tr_slice mixed = S("\x28\x01\x92\x01\x02\x03\x04\x2a\x02\x02\x03\x90\x01\x05\x2a\x00\x28\x04");
  CHECK_INT(kit_read(lists, mixed, &out, &error), ==, 0);
  tr_buf_byte(&out, 0);
  CHECK(strstr((char *)out.data, "\"i32\":[1,2,3,4]"));
  CHECK(strstr((char *)out.data, "\"loose\":[3,4,5]"));
  tr_buf_fini(&out);
  /* map entries: no key, no value, value before key, the value twice (merged), something else in it */
  kit_reads(maps, S("\x12\x02\x12\x00\x12\x02\x08\x01\x12\x07\x12\x03\x0a\x01" "x\x08\x02\x12\x0d\x12\x03\x0a\x01" "y\x12\x02\x10\x05"
                    "\x08\x03\x18\x07"),
            "{\"labels\":{},\"by_number\":{\"0\":{\"name\":\"\",\"count\":0,\"unit_price\":0.0},"
            "\"1\":{\"name\":\"\",\"count\":0,\"unit_price\":0.0},\"2\":{\"name\":\"x\",\"count\":0,\"unit_price\":0.0},"
            "\"3\":{\"name\":\"y\",\"count\":5,\"unit_price\":0.0}},\"by_bool\":{},\"by_u64\":{},\"by_s64\":{},\"by_f32\":{},"
            "\"by_sf64\":{},\"by_s32\":{},\"by_i64\":{}}");
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_refuses_malformed_bytes) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *item = kit_type(pool, "demo.Item"), *lists = kit_type(pool, "demo.Lists");
  kit_read_fails(item, S("\x0a"), "protobuf demo.Item, byte 1: cut short or malformed");
  kit_read_fails(item, S("\x0a\x02" "a"), "protobuf demo.Item, byte 2: cut short or malformed");
  kit_read_fails(item, S("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
                 "protobuf demo.Item, byte 10: cut short or malformed");
  kit_read_fails(item, S("\x02\x00"), "protobuf demo.Item, byte 0: cut short or malformed"); /* field 0 */
  kit_read_fails(item, S("\x10\x01\x17"), "protobuf demo.Item, byte 3: cut short or malformed"); /* wire type 7 */
  kit_read_fails(item, S("\x0c"), "protobuf demo.Item, byte 1: cut short or malformed"); /* a group's end */
  kit_read_fails(item, S("\x23\x2c"), "protobuf demo.Item, byte 2: cut short or malformed"); /* of another group */
  kit_read_fails(item, S("\x23\x10\x01"), "protobuf demo.Item, byte 3: cut short or malformed");
  kit_read_fails(item, S("\x0a\x01\xff"), "protobuf demo.Item, byte 2: the string name is not UTF-8 (at name)");
  kit_read_fails(lists, S("\x0a\x07" "1234567"), "protobuf demo.Lists, byte 2: packed numbers, cut short or malformed (at d)");
  kit_read_fails(lists, S("\x2a\x01\x80"), "protobuf demo.Lists, byte 3: packed numbers, cut short or malformed (at i32)");
  kit_read_fails(lists, S("\x8a\x01\x02\x0a\x01"), "protobuf demo.Item, byte 5: cut short or malformed (at items[1])");
  kit_read_fails(kit_type(pool, "demo.Maps"), S("\x0a\x03\x0a\x01\xff"),
                 "protobuf demo.Maps.LabelsEntry, byte 4: a map's key that is not UTF-8 (at labels[1])");
  tr_proto_pool_free(pool);
  pool = kit_pool("legacy");
  kit_read_fails(kit_type(pool, "legacy.Settings"), S("\x08\x01\x7a\x00"),
                 "protobuf legacy.Part: the required field name is missing (at parts[1].name)");
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_keeps_unknown_fields) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *item = kit_type(pool, "demo.Item"), *old = kit_type(pool, "demo.OldOrder");
  const tr_proto_type *empty = kit_type(pool, "demo.Empty");
  kit_reads(item, S("\x10\x01\x28\x07"), "{\"name\":\"\",\"count\":1,\"unit_price\":0.0,\"_unknown\":\"KAc=\"}");
  /* not side by side; a known number of another wire type; a group with a group in it */
  kit_reads(item, S("\x28\x07\x10\x01\x28\x08"),
            "{\"name\":\"\",\"count\":1,\"unit_price\":0.0,\"_unknown\":\"KAcoCA==\"}");
  kit_reads(item, S("\x08\x01"), "{\"name\":\"\",\"count\":0,\"unit_price\":0.0,\"_unknown\":\"CAE=\"}");
  kit_reads(empty, S("\x0b\x13\x08\x01\x14\x0a\x01" "x\x0c"), "{\"_unknown\":\"CxMIARQKAXgM\"}");
  kit_writes(item, "{\"name\":\"a\",\"_unknown\":\"KAcoCA==\",\"count\":1}", S("\x0a\x01" "a\x28\x07\x28\x08\x10\x01"));
  kit_writes(item, "{\"_unknown\":null}", S(""));
  kit_write_fails(item, "{\"_unknown\":\"KA==\"}", TR_EINVALID,
                  "demo.Item: _unknown: not a sequence of protobuf fields");
  kit_write_fails(item, "{\"_unknown\":\"(\"}", TR_EINVALID, "demo.Item: _unknown: not a sequence of protobuf fields");
  kit_write_fails(item, "{\"_unknown\":\"A\"}", TR_EINVALID, "demo.Item: _unknown: not a sequence of protobuf fields");
  kit_writes(item, "{\"_unknown\":\"\"}", S(""));
  kit_write_fails(item, "{\"_unknown\":{}}", TR_EINVALID,
                  "demo.Item: _unknown: expected bytes (unknown fields, as they were read), got a map");
  /* through an older program and back */
  size_t n;
  const char *bytes = check_file("spec/data/proto/demo.Order-full.bin", &n);
  tr_buf json, again, first, second;
  tr_error error;
  tr_buf_init(&json, check_mem());
  tr_buf_init(&again, check_mem());
  tr_buf_init(&first, check_mem());
  tr_buf_init(&second, check_mem());
  CHECK_INT(kit_read(old, tr_slice_make(bytes, n), &json, &error), ==, 0);
  CHECK_INT(kit_write(old, tr_buf_view(&json), 0, &again, &error), ==, 0);
  CHECK_INT(again.len, ==, n);
  CHECK_INT(kit_read(kit_type(pool, "demo.Order"), tr_buf_view(&again), &first, &error), ==, 0);
  CHECK_INT(kit_read(kit_type(pool, "demo.Order"), tr_slice_make(bytes, n), &second, &error), ==, 0);
  CHECK_MEM(first.data, first.len, second.data, second.len);
  tr_buf_fini(&json), tr_buf_fini(&again), tr_buf_fini(&first), tr_buf_fini(&second);
  tr_proto_pool_free(pool);
}

/* Tree, `depth` messages deep, by `left` (1), `children` (3) or `named` (4). */
static void nest(tr_buf *out, unsigned depth, unsigned field) {
  tr_buf inner;
  tr_buf_init(out, check_mem());
  for (unsigned i = 1; i < depth; i++) {
    inner = *out;
    tr_buf_init(out, check_mem());
    size_t n = inner.len, entry = n + 1 + (n < 128 ? 1 : n < 16384 ? 2 : 3);
    if (field == 4) {
      tr_buf_byte(out, 0x22);
      if (entry >= 128) tr_buf_byte(out, (uint8_t)(entry | 0x80));
      tr_buf_byte(out, (uint8_t)(entry >= 128 ? entry >> 7 : entry));
    }
    tr_buf_byte(out, (uint8_t)((field == 4 ? 2 : field) << 3 | 2));
    if (n >= 128) tr_buf_byte(out, (uint8_t)(n | 0x80));
    tr_buf_byte(out, (uint8_t)(n >= 128 ? n >> 7 : n));
    tr_buf_slice(out, tr_buf_view(&inner));
    tr_buf_fini(&inner);
  }
}

CHECK_CASE(proto_goes_128_levels_deep_and_no_further) {
  tr_proto_pool *pool = kit_pool("demo");
  const tr_proto_type *tree = kit_type(pool, "demo.Tree");
  static const struct { unsigned field, depth; } most[] = { { 1, 127 }, { 3, 64 }, { 4, 64 } };
  for (int i = 0; i < 3; i++) { /* the innermost has an array and a map that are empty */
    tr_buf good, bad, json, back;
    tr_error error;
    nest(&good, most[i].depth - (most[i].field > 1), most[i].field);
    nest(&bad, most[i].depth + 1, most[i].field);
    tr_buf_init(&json, check_mem());
    tr_buf_init(&back, check_mem());
    if (kit_read(tree, tr_buf_view(&good), &json, &error)) CHECK_FAIL("%s", error.text);
    if (kit_write(tree, tr_buf_view(&json), 0, &back, &error)) CHECK_FAIL("%s", error.text);
    tr_buf_clear(&json);
    CHECK_INT(kit_read(tree, tr_buf_view(&bad), &json, &error), ==, TR_EINVALID);
    CHECK(strstr(error.text, "protobuf demo.Tree: more than 128 levels deep (at …") != NULL);
    tr_buf_fini(&good), tr_buf_fini(&bad), tr_buf_fini(&json), tr_buf_fini(&back);
  }
  tr_proto_pool_free(pool);
}

CHECK_CASE(proto_limits_what_few_bytes_can_become) {
  tr_proto_pool *pool = kit_pool("demo");
  tr_buf bytes, json;
  tr_error error;
  tr_buf_init(&bytes, check_mem());
  tr_buf_init(&json, check_mem());
  /* Each row is two bytes and 17 values. */
  for (int i = 0; i < 100000; i++) tr_buf_append(&bytes, "\x0a\x00", 2);
  CHECK_INT(kit_read(kit_type(pool, "demo.Rows"), tr_buf_view(&bytes), &json, &error), ==, 0);
  for (int i = 0; i < 100000; i++) tr_buf_append(&bytes, "\x0a\x00", 2);
  tr_buf_clear(&json);
  CHECK_INT(kit_read(kit_type(pool, "demo.Rows"), tr_buf_view(&bytes), &json, &error), ==, TR_ETOO_LARGE);
  CHECK_STR(error.text, "protobuf: too many values in a message of this size");
  tr_buf_fini(&bytes);
  tr_buf_fini(&json);
  tr_proto_pool_free(pool);
}
