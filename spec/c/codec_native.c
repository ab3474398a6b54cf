/* SPDX-License-Identifier: MIT
 * The native format both ways: exact bytes, since peers of another build must read them; JSON is the reference for
 * values. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "codec/json.h"
#include "codec/native.h"
#include "codec/value.h"

#define S(text) TR_SLICE_LITERAL(text)

static int native_to_json(tr_slice bytes, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  tr_error_init(error);
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return tr_native_parse(bytes, &sink, error);
}

static int json_to_native(tr_slice text, tr_buf *out, tr_error *error) {
  tr_native_writer writer;
  tr_error_init(error);
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  return tr_json_parse(out->mem, text, &sink, error);
}

static int native_to_native(tr_slice bytes, tr_buf *out, tr_error *error) {
  tr_native_writer writer;
  tr_error_init(error);
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  return tr_native_parse(bytes, &sink, error);
}

/* These bytes read as this JSON, and are what is written when they are read. */
static void stands_for(tr_slice bytes, const char *json) {
  tr_buf text, again;
  tr_error error;
  tr_buf_init(&text, check_mem());
  tr_buf_init(&again, check_mem());
  if (native_to_json(bytes, &text, &error)) CHECK_FAIL("%s: %s", json, error.text);
  CHECK_SLICE(tr_buf_view(&text), json);
  if (native_to_native(bytes, &again, &error)) CHECK_FAIL("%s: %s", json, error.text);
  CHECK_MEM(again.data, again.len, bytes.p, bytes.n);
  tr_buf_fini(&text);
  tr_buf_fini(&again);
}

static void refused(tr_slice bytes, const char *message) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  CHECK_INT(native_to_native(bytes, &out, &error), ==, TR_EINVALID);
  if (message) CHECK_STR(error.text, message);
  tr_buf_fini(&out);
}

CHECK_CASE(native_format_is_as_written_down) {
  stands_for(S("\1\x80"), "null");
  stands_for(S("\1\x81"), "false");
  stands_for(S("\1\x82"), "true");
  stands_for(S("\1\x00"), "0");
  stands_for(S("\1\x3f"), "63");
  stands_for(S("\1\x83\x80\x01"), "64");
  stands_for(S("\1\xff"), "-1");
  stands_for(S("\1\xe0"), "-32");
  stands_for(S("\1\x83\x41"), "-33");
  stands_for(S("\1\x83\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "9223372036854775807");
  stands_for(S("\1\x83\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "-9223372036854775808");
  stands_for(S("\1\x84\0\0\0\0\0\0\xf8\x3f"), "1.5");
  stands_for(S("\1\x84\0\0\0\0\0\0\0\x80"), "-0.0");
  stands_for(S("\1\x40"), "\"\"");
  stands_for(S("\1\x43" "a\xc3\xa9"), "\"a\xc3\xa9\"");
  stands_for(S("\1\x5f" "0123456789012345678901234567890"), "\"0123456789012345678901234567890\"");
  stands_for(S("\1\x85\x20" "01234567890123456789012345678901"), "\"01234567890123456789012345678901\"");
  stands_for(S("\1\x86\x02\x00\xff"), "\"AP8=\"");
  stands_for(S("\1\x86\x00"), "\"\"");
  stands_for(S("\1\x70"), "[]");
  stands_for(S("\1\x60"), "{}");
  stands_for(S("\1\x72\x01\x60"), "[1,{}]");
  stands_for(S("\1\x62\x41" "b\x01\x41" "a\x71\x80"), "{\"b\":1,\"a\":[null]}");
  stands_for(S("\1\x87\x10\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17"), "[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]");
  stands_for(S("\1\x89\x01\x02\x8b"), "[1,2]");
  stands_for(S("\1\x8a\x41" "a\x89\x8b\x8b"), "{\"a\":[]}");
  stands_for(S("\1\x61\x85\x20" "01234567890123456789012345678901\x80"), "{\"01234567890123456789012345678901\":null}");
}

CHECK_CASE(native_refuses_what_is_malformed) {
  refused(S(""), "native format, byte 0: empty");
  refused((tr_slice){ NULL, 0 }, "native format, byte 0: empty");
  refused(S("\2\x80"), "native format, byte 0: a version that is not known here");
  refused(S("{}"), "native format, byte 0: a version that is not known here");
  refused(S("\1"), "native format, byte 1: cut short");
  refused(S("\1\x80\x80"), "native format, byte 2: bytes behind the value");
  refused(S("\1\x8c"), "native format, byte 1: not the tag of a value");
  refused(S("\1\xdf"), "native format, byte 1: not the tag of a value");
  refused(S("\1\x8b"), "native format, byte 1: an end without a begin");
  refused(S("\1\x71\x8b"), "native format, byte 2: an end without a begin");
  refused(S("\1\x8a\x41" "a\x8b"), "native format, byte 4: an end without a begin");
  refused(S("\1\x42" "a"), "native format, byte 2: cut short");
  refused(S("\1\x41\xff"), "native format, byte 2: not UTF-8");
  refused(S("\1\x61\x41\xff\x80"), "native format, byte 3: not UTF-8");
  refused(S("\1\x85\x14" "0123456789012345678\xff"), "native format, byte 3: not UTF-8");
  refused(S("\1\x61\x01\x01"), "native format, byte 2: a key that is not a string");
  refused(S("\1\x61\x86\x01" "a\x01"), "native format, byte 2: a key that is not a string");
  refused(S("\1\x87\xff\xff\xff\xff\x0f"), "native format, byte 7: cut short");
  refused(S("\1\x87\x03\1\2"), "native format, byte 3: cut short");
  refused(S("\1\x88\x02\x41" "a\1"), "native format, byte 3: cut short");
  refused(S("\1\x85\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "native format, byte 12: cut short");
  refused(S("\1\x83\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
          "native format, byte 11: an integer of more than 64 bits");
  refused(S("\1\x83\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), NULL);
  refused(S("\1\x84\0\0\0\0\0\0\0"), "native format, byte 2: cut short");
}

static char *nested(size_t depth, uint8_t tag, size_t *n) {
  bool map = tag == 0x61 || tag == 0x8a, open = tag > 0x80;
  char *bytes = malloc(2 + depth * 4), *p = bytes;
  if (!bytes) CHECK_FAIL("no memory");
  *p++ = 1;
  for (size_t i = 0; i < depth; i++) {
    *p++ = (char)tag;
    if (map) *p++ = 0x41, *p++ = 'a';
  }
  *p++ = 7;
  if (open) memset(p, 0x8b, depth), p += depth;
  *n = (size_t)(p - bytes);
  return bytes;
}

CHECK_CASE(native_goes_128_levels_deep_and_no_further) {
  static const uint8_t tags[] = { 0x61, 0x71, 0x89, 0x8a };
  for (size_t i = 0; i < sizeof tags; i++) {
    size_t n, m;
    tr_buf out;
    tr_error error;
    char *good = nested(128, tags[i], &n), *worse = nested(100000, tags[i], &m);
    tr_buf_init(&out, check_mem());
    CHECK_INT(native_to_native(tr_slice_make(good, n), &out, &error), ==, 0);
    CHECK_MEM(out.data, out.len, good, n);
    tr_buf_fini(&out);
    free(good);
    good = nested(129, tags[i], &n);
    refused(tr_slice_make(good, n), NULL);
    refused(tr_slice_make(worse, m), NULL);
    free(good), free(worse);
  }
}

static const char sample[] = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00y\",true,null,{}],\"long\":"
                             "\"01234567890123456789012345678901234\",\"\":false,\"n\":[-9999999,[[70]]]}";

CHECK_CASE(native_cut_or_changed_anywhere_is_read_or_refused) {
  tr_buf good;
  tr_error error;
  tr_buf_init(&good, check_mem());
  CHECK_INT(json_to_native(tr_slice_of(sample), &good, &error), ==, 0);
  for (size_t n = 0; n < good.len; n++) {
    char *copy = malloc(n ? n : 1); /* of its own, so that a sanitizer sees what reads beyond it */
    if (!copy) CHECK_FAIL("no memory");
    memcpy(copy, good.data, n);
    refused(tr_slice_make(copy, n), NULL);
    free(copy);
  }
  for (size_t i = 0; i < good.len; i++) {
    uint8_t before = good.data[i];
    for (int byte = 0; byte < 256; byte++) {
      tr_buf once, twice;
      tr_buf_init(&once, check_mem());
      tr_buf_init(&twice, check_mem());
      good.data[i] = (uint8_t)byte;
      int err = native_to_native(tr_buf_view(&good), &once, &error);
      CHECK_INT(error.code, ==, err);
      if (err) CHECK_INT(err, ==, TR_EINVALID);
      else CHECK_INT(native_to_native(tr_buf_view(&once), &twice, &error), ==, 0);
      if (!err) CHECK_MEM(once.data, once.len, twice.data, twice.len);
      tr_buf_fini(&once);
      tr_buf_fini(&twice);
    }
    good.data[i] = before;
  }
  tr_buf_fini(&good);
}

CHECK_CASE(native_keeps_what_json_and_trees_give) {
  tr_buf bytes, text;
  tr_error error = { 0 };
  tr_value_builder builder;
  tr_native_writer writer;
  tr_buf_init(&bytes, check_mem());
  tr_buf_init(&text, check_mem());
  tr_value_builder_init(&builder, check_mem(), &error);
  CHECK_INT(json_to_native(tr_slice_of(sample), &bytes, &error), ==, 0);
  tr_sink sink = tr_value_sink(&builder);
  CHECK_INT(tr_native_parse(tr_buf_view(&bytes), &sink, &error), ==, 0);
  tr_value *value = tr_value_builder_take(&builder);
  tr_buf_clear(&bytes); /* now with counts */
  tr_native_writer_init(&writer, &bytes, &error);
  sink = tr_native_sink(&writer);
  CHECK_INT(tr_value_walk(value, &sink, &error), ==, 0);
  CHECK_INT(native_to_json(tr_buf_view(&bytes), &text, &error), ==, 0);
  CHECK_SLICE(tr_buf_view(&text), "{\"a\":[1,-2500.0,\"x\xc3\xa9\xf0\x9f\x98\x80y\",true,null,{}],\"long\":"
                                  "\"01234567890123456789012345678901234\",\"\":false,\"n\":[-9999999,[[70]]]}");
  tr_value_free(value);
  tr_value_builder_fini(&builder);
  tr_buf_fini(&bytes);
  tr_buf_fini(&text);
}

CHECK_CASE(native_keeps_infinities_and_nan) {
  static const double values[] = { INFINITY, -INFINITY, NAN, 5e-324, 1.7976931348623157e308 };
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    tr_buf out, again;
    tr_native_writer writer;
    tr_error error;
    tr_buf_init(&out, check_mem());
    tr_buf_init(&again, check_mem());
    tr_native_writer_init(&writer, &out, NULL);
    tr_sink sink = tr_native_sink(&writer);
    CHECK_INT(sink.number(sink.ud, values[i]), ==, 0);
    CHECK_INT(native_to_native(tr_buf_view(&out), &again, &error), ==, 0);
    CHECK_MEM(out.data, out.len, again.data, again.len);
    tr_buf_fini(&out);
    tr_buf_fini(&again);
  }
}

CHECK_CASE(native_without_memory_is_an_error_and_leaks_nothing) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_buf out;
    tr_native_writer writer;
    tr_error error = { 0 };
    tr_buf_init(&out, check_mem());
    tr_native_writer_init(&writer, &out, &error);
    tr_sink sink = tr_native_sink(&writer);
    int err = sink.begin_array(sink.ud, TR_SIZE_UNKNOWN);
    for (int i = 0; i < 200 && !err; i++) {
      switch (i % 4) {
        case 0: err = sink.integer(sink.ud, i << 20); break;
        case 1: err = sink.number(sink.ud, i); break;
        case 2: err = sink.string(sink.ud, S("something short")); break;
        default: err = sink.bytes(sink.ud, S("01234567890123456789012345678901234567890123456789")); break;
      }
    }
    if (!err) err = sink.end_array(sink.ud);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    CHECK_INT(error.code, ==, err);
    tr_buf_fini(&out);
  }
}

CHECK_CASE(native_writer_refuses_calls_out_of_order) {
  tr_buf out;
  tr_native_writer writer;
  tr_error error = { 0 };
  tr_buf_init(&out, check_mem());
  tr_native_writer_init(&writer, &out, &error);
  tr_sink sink = tr_native_sink(&writer);
  CHECK_INT(sink.key(sink.ud, S("a")), ==, TR_EINVALID);
  CHECK_STR(error.text, "writing the native format: a key where none belongs");
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.begin_map(sink.ud, 1), ==, 0);
  CHECK_INT(sink.integer(sink.ud, 1), ==, TR_EINVALID);
  CHECK_INT(sink.key(sink.ud, S("a")), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("a")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.begin_array(sink.ud, 2), ==, 0);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.null(sink.ud), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID); /* two were announced */
  CHECK_INT(sink.end_array(sink.ud), ==, 0);
  CHECK_INT(sink.key(sink.ud, S("b")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID); /* a second value */
  CHECK_MEM(out.data, out.len, "\1\x61\x41" "a\x72\x80\x80", 7);
  tr_native_writer_init(&writer, &out, NULL);
  CHECK_INT(sink.begin_array(sink.ud, 2), ==, 0);
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID); /* fewer than announced */
  tr_buf_fini(&out);
}

static int stop(void *ud) { return (void)ud, TR_ELIMIT; }
static int stop_slice(void *ud, tr_slice s) { return (void)ud, (void)s, TR_ELIMIT; }
static int stop_count(void *ud, size_t n) { return (void)ud, (void)n, TR_ELIMIT; }
static int stop_integer(void *ud, int64_t n) { return (void)ud, (void)n, TR_ELIMIT; }
static int stop_number(void *ud, double n) { return (void)ud, (void)n, TR_ELIMIT; }
static int stop_boolean(void *ud, bool b) { return (void)ud, (void)b, TR_ELIMIT; }
static int go_on(void *ud, size_t n) { return (void)ud, (void)n, 0; }

CHECK_CASE(native_hands_up_what_the_sink_returns) {
  tr_sink sink = { stop, stop_boolean, stop_integer, stop_number, stop_slice, stop_slice,
                   stop_count, stop, stop_count, stop_slice, stop, NULL };
  static const tr_slice values[] = { { "\1\x80", 2 }, { "\1\x81", 2 }, { "\1\x07", 2 }, { "\1\x83\x01", 3 },
                                     { "\1\x84\0\0\0\0\0\0\0\0", 10 }, { "\1\x41" "a", 3 }, { "\1\x86\0", 3 },
                                     { "\1\x70", 2 }, { "\1\x89\x8b", 3 }, { "\1\x60", 2 }, { "\1\x8a\x8b", 3 } };
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    CHECK_INT(tr_native_parse(values[i], &sink, NULL), ==, TR_ELIMIT);
  sink.begin_map = sink.begin_array = go_on;
  CHECK_INT(tr_native_parse(S("\1\x60"), &sink, NULL), ==, TR_ELIMIT);
  CHECK_INT(tr_native_parse(S("\1\x89\x8b"), &sink, NULL), ==, TR_ELIMIT);
  CHECK_INT(tr_native_parse(S("\1\x61\x41" "a\x01"), &sink, NULL), ==, TR_ELIMIT);
}
