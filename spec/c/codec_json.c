/* SPDX-License-Identifier: MIT
 * JSON both ways. The reference for "same value" is the text: parse → write must give the canonical text, and parsing
 * that again must give the same once more. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "codec/json.h"
#include "codec/value.h"

/* Parse and write again, without a tree between; the code, and the text (for the caller to free) in *out. */
static int rewrite(tr_slice text, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  tr_error_init(error);
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  return tr_json_parse(out->mem, text, &sink, error);
}

static void check_rewrites(const char *text, size_t n, const char *expected) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  int err = rewrite(tr_slice_make(text, n), &out, &error);
  if (err) CHECK_FAIL("%.200s: %s", text, error.text);
  CHECK_SLICE(tr_buf_view(&out), expected);
  tr_buf_fini(&out);
}
static void same(const char *text) { check_rewrites(text, strlen(text), text); }
static void becomes(const char *text, const char *expected) { check_rewrites(text, strlen(text), expected); }

/* It is refused, with this text (or any, NULL). */
static void refused_bytes(tr_slice text, const char *message) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  int err = rewrite(text, &out, &error);
  if (err != TR_EINVALID) CHECK_FAIL("%.*s: gave %d", (int)(text.n < 200 ? text.n : 200), text.p, err);
  CHECK_INT(error.code, ==, TR_EINVALID);
  if (message) CHECK_STR(error.text, message);
  CHECK(error.text[0] != 0);
  tr_buf_fini(&out);
}
static void refused(const char *text, const char *message) { refused_bytes(tr_slice_of(text), message); }

CHECK_CASE(json_keeps_what_bodies_need) {
  same("null");
  same("true");
  same("false");
  same("[]");
  same("{}");
  same("[[],{},[{}],{\"a\":[]}]");
  same("{\"a\":null,\"b\":[null,null]}");
  same("\"\"");
  same("{\"\":\"\"}");
  same("{\"z\":1,\"a\":2,\"m\":3}"); /* the order of members */
  same("{\"a\":1,\"a\":2}");         /* each reported; which wins is the sink's matter */
  becomes(" \t\r\n[ 1 , { \"a\" : 2 } ] \n", "[1,{\"a\":2}]");
}

CHECK_CASE(json_keeps_integers_whole) {
  same("0");
  same("-1");
  same("9007199254740993");
  same("9223372036854775807");
  same("-9223372036854775808");
  becomes("-0", "0");
  refused("9223372036854775808", "JSON, line 1, column 1: an integer beyond 64 bits");
  refused("-9223372036854775809", NULL);
  refused("[1, 100000000000000000000000000000]", "JSON, line 1, column 5: an integer beyond 64 bits");
}

CHECK_CASE(json_writes_the_fewest_digits) {
  same("0.1");
  same("-0.0");
  same("1.0");
  same("1e+308");
  same("1.7976931348623157e+308");
  same("5e-324");
  same("2.2250738585072014e-308");
  same("0.30000000000000004");
  same("123456.789");
  same("2251799813685248.5");
  same("9007199254740991.0");
  same("9007199254740992.0");
  same("1e+22");
  becomes("1E5", "100000.0");
  becomes("1.50", "1.5");
  becomes("1e-400", "0.0");
  refused("1e309", "JSON, line 1, column 1: a number beyond the range of doubles");
  refused("-1e400", NULL);
}

CHECK_CASE(json_doubles_survive_whatever_their_bits) {
  uint64_t bits = 88172645463325252u;
  for (int i = 0; i < 20000; i++) {
    bits ^= bits << 13, bits ^= bits >> 7, bits ^= bits << 17;
    double value;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    tr_buf out;
    tr_json_writer writer;
    tr_error error = { 0 };
    tr_buf_init(&out, check_mem());
    tr_json_writer_init(&writer, &out, &error);
    tr_sink sink = tr_json_sink(&writer);
    CHECK_INT(sink.number(sink.ud, value), ==, 0);
    tr_buf_byte(&out, 0);
    CHECK(strtod((char *)out.data, NULL) == value);
    tr_buf_fini(&out);
  }
}

CHECK_CASE(json_long_numbers_are_numbers) {
  char text[300] = "0.";
  memset(text + 2, '3', sizeof text - 3);
  text[sizeof text - 1] = 0;
  becomes(text, "0.3333333333333333");
}

CHECK_CASE(json_escapes_what_it_must) {
  same("\"\\\"\\\\\\b\\f\\n\\r\\t\"");
  same("\"\\u0000\\u0001\\u001f\"");
  same("{\"\\u0000\":\"a\\u0000b\"}");
  becomes("\"\\/\\u0041\\u00e9\\u20ac\"", "\"/A\xc3\xa9\xe2\x82\xac\"");
  becomes("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
  becomes("\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"");
  same("\"\x7f\xc2\x80\xef\xbf\xbd\xf0\x9f\x98\x80\"");
  becomes("\"\\\\ud800\"", "\"\\\\ud800\""); /* an escaped backslash, not an escape */
}

CHECK_CASE(json_refuses_lone_surrogates) {
  const char *message = "JSON, line 1, column 2: a lone surrogate escape stands for no character";
  refused("\"\\ud800\"", message);
  refused("\"\\udc00\"", message);
  refused("\"\\ud800\\ud800\"", message);
  refused("\"\\ud800x\"", message);
  refused("\"\\ud800\\n\"", message);
  refused("\"\\ud800\\u0041\"", message);
  refused("\"\\udc00\\ud800\"", message);
  refused("[\"a\",\n \"b\\udfff\"]", "JSON, line 2, column 4: a lone surrogate escape stands for no character");
  refused("\"\\ud83d\\ude00\\ud83d\"", NULL);
  refused("\"\\ud83d", NULL);
  refused("\\", NULL);
  refused("\"\\", NULL);
  refused("\"\\u", NULL);
}

CHECK_CASE(json_refuses_what_is_not_utf8) {
  refused("\"\xff\"", "JSON, line 1, column 2: not UTF-8");
  refused("\"\xc0\x80\"", NULL);         /* overlong */
  refused("\"\xe0\x9f\xbf\"", NULL);     /* overlong */
  refused("\"\xed\xa0\x80\"", NULL);     /* a surrogate */
  refused("\"\xf4\x90\x80\x80\"", NULL); /* beyond U+10FFFF */
  refused("\"\xe2\x82\"", NULL);         /* cut */
  refused("{\"k\xf8\":1}", "JSON, line 1, column 4: not UTF-8");
  refused("[1,\n\"\xc3\xa9\xc3\xa9\xff\"]", "JSON, line 2, column 4: not UTF-8"); /* columns are characters */
  refused_bytes(TR_SLICE_LITERAL("\xef\xbb\xbf[]"), NULL); /* a byte order mark */
}

CHECK_CASE(json_says_where_and_why) {
  refused("", "JSON, line 1, column 1: premature EOF");
  refused("  ", "JSON, line 1, column 3: premature EOF");
  refused("[1,2", "JSON, line 1, column 5: premature EOF");
  refused("{\"a\":1,}", "JSON, line 1, column 8: invalid object key (must be a string)");
  refused("[1,]", "JSON, line 1, column 4: unallowed token at this point in JSON text");
  refused("[1 2]", "JSON, line 1, column 4: after array element, I expect ',' or ']'");
  refused("{\"a\" 1}", "JSON, line 1, column 6: object key and value must be separated by a colon (':')");
  refused("{\n  \"a\": nul\n}", NULL);
  refused("{\n  \"a\": x\n}", "JSON, line 2, column 8: invalid char in json text");
  refused("1 2", NULL);
  refused("[] x", "JSON, line 1, column 4: trailing garbage");
  refused("01", NULL);
  refused("1.", NULL);
  refused("-", NULL);
  refused("1e", NULL);
  refused("+1", NULL);
  refused(".5", NULL);
  refused("NaN", NULL);
  refused("Infinity", NULL);
  refused("'a'", NULL);
  refused("\"a\tb\"", NULL);
  refused("\"a\\x\"", NULL);
  refused("\"a", NULL);
  refused("// no\n1", NULL);
  refused("/* no */ 1", NULL);
  refused("tru", NULL);
  refused("}", NULL);
  refused("{1:2}", NULL);
  refused_bytes((tr_slice){ 0, 0 }, "JSON, line 1, column 1: premature EOF");
  refused_bytes(TR_SLICE_LITERAL("1\0"), NULL);
  refused_bytes(TR_SLICE_LITERAL("\0"), NULL);
}

/* '[' × n ']' × n, or maps, with 1 in the middle */
static char *nested(size_t depth, bool maps) {
  size_t open = maps ? 5 : 1;
  char *text = malloc(depth * (open + 1) + 2), *p = text;
  if (!text) CHECK_FAIL("no memory");
  for (size_t i = 0; i < depth; i++, p += open) memcpy(p, maps ? "{\"a\":" : "[", open);
  *p++ = '1';
  for (size_t i = 0; i < depth; i++) *p++ = maps ? '}' : ']';
  *p = 0;
  return text;
}

CHECK_CASE(json_goes_128_levels_deep_and_no_further) {
  for (int maps = 0; maps < 2; maps++) {
    char *good = nested(128, maps), *bad = nested(129, maps), *worse = nested(100000, maps);
    same(good);
    refused(bad, maps ? "JSON, line 1, column 641: more than 128 levels deep" : "JSON, line 1, column 129: more than 128 levels deep");
    refused(worse, NULL);
    free(good), free(bad), free(worse);
  }
}

CHECK_CASE(json_takes_4_MiB_strings) {
  size_t n = 4 << 20;
  char *text = malloc(n + 1);
  if (!text) CHECK_FAIL("no memory");
  memset(text, 'x', n);
  text[n] = 0;
  text[0] = text[n - 1] = '"';
  same(text);
  for (size_t i = 1; i + 2 < n; i += 2) memcpy(text + i, "\\n", 2);
  same(text);
  free(text);
}

CHECK_CASE(json_cut_anywhere_is_refused) {
  const char *text = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00y\",true,null,{}],\"\\n\":false}";
  for (size_t n = 0; n < strlen(text); n++) refused_bytes(tr_slice_make(text, n), NULL);
}

static void no_crash(tr_slice text) {
  tr_buf out;
  tr_error error;
  tr_buf_init(&out, check_mem());
  int err = rewrite(text, &out, &error);
  if (err) {
    CHECK_INT(err, ==, TR_EINVALID);
  } else {
    tr_buf again;
    tr_buf_init(&again, check_mem());
    CHECK_INT(rewrite(tr_buf_view(&out), &again, &error), ==, 0);
    CHECK_MEM(out.data, out.len, again.data, again.len);
    tr_buf_fini(&again);
  }
  tr_buf_fini(&out);
}

CHECK_CASE(json_with_any_byte_changed_is_read_or_refused) {
  const char *text = "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00y\",true,null,{}],\"\\n\":false}";
  char copy[128];
  for (size_t i = 0; i < strlen(text); i++) {
    for (int byte = 0; byte < 256; byte++) {
      strcpy(copy, text);
      copy[i] = (char)byte;
      no_crash(tr_slice_make(copy, strlen(text)));
    }
  }
}

CHECK_CASE(json_without_memory_is_an_error_and_leaks_nothing) {
  char *deep = nested(128, true);
  const char *texts[] = { "{\"a\":[1,2.5,\"x\\ny\",\"0123456789012345678901234567890123456789\"],\"b\":{}}", deep, "[\"\\u00e9", "[1 2]" };
  for (size_t i = 0; i < 4; i++) {
    CHECK_EACH_ALLOCATION_FAILS {
      tr_buf out;
      tr_error error;
      tr_buf_init(&out, check_mem());
      int err = rewrite(tr_slice_of(texts[i]), &out, &error);
      /* Where the buffer that is written to could not grow, a wrong text may still be told first. */
      if (i < 2) CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
      else CHECK(err == TR_EINVALID || (err == TR_EMEMORY && check_mem_refused()));
      CHECK_INT(error.code, ==, err);
      tr_buf_fini(&out);
    }
  }
  free(deep);
}

/* A sink that refuses its n-th call. */
typedef struct refusing { int left; } refusing;
static int count_down(void *ud) { return --((refusing *)ud)->left == 0 ? TR_ELIMIT : 0; }
static int refuse_boolean(void *ud, bool value) { return (void)value, count_down(ud); }
static int refuse_integer(void *ud, int64_t value) { return (void)value, count_down(ud); }
static int refuse_number(void *ud, double value) { return (void)value, count_down(ud); }
static int refuse_slice(void *ud, tr_slice value) { return (void)value, count_down(ud); }
static int refuse_count(void *ud, size_t value) { return (void)value, count_down(ud); }

CHECK_CASE(json_hands_up_what_the_sink_returns) {
  refusing ud = { 0 };
  tr_sink sink = { count_down, refuse_boolean, refuse_integer, refuse_number, refuse_slice, refuse_slice,
                   refuse_count, count_down, refuse_count, refuse_slice, count_down, &ud };
  tr_slice text = TR_SLICE_LITERAL("{\"a\":[null,true,1,2.5,\"s\"]}");
  tr_error error;
  for (int n = 1; n <= 10; n++) {
    ud.left = n;
    tr_error_init(&error);
    CHECK_INT(tr_json_parse(check_mem(), text, &sink, &error), ==, TR_ELIMIT);
  }
  ud.left = 0;
  CHECK_INT(tr_json_parse(check_mem(), text, &sink, &error), ==, 0);
  CHECK_INT(tr_json_parse(check_mem(), TR_SLICE_LITERAL("["), &sink, NULL), ==, TR_EINVALID);
}

CHECK_CASE(json_writer_writes_bytes_as_base64) {
  const char *expected[] = { "\"\"", "\"AA==\"", "\"AP8=\"", "\"AP8Q\"", "\"AP8Qgw==\"" };
  for (size_t n = 0; n < 5; n++) {
    tr_buf out;
    tr_json_writer writer;
    tr_buf_init(&out, check_mem());
    tr_json_writer_init(&writer, &out, NULL);
    tr_sink sink = tr_json_sink(&writer);
    CHECK_INT(sink.bytes(sink.ud, tr_slice_make("\x00\xff\x10\x83", n)), ==, 0);
    CHECK_SLICE(tr_buf_view(&out), expected[n]);
    tr_buf_fini(&out);
  }
}

CHECK_CASE(json_writer_refuses_what_is_not_json) {
  tr_buf out;
  tr_json_writer writer;
  tr_error error = { 0 };
  tr_buf_init(&out, check_mem());
  tr_json_writer_init(&writer, &out, &error);
  tr_sink sink = tr_json_sink(&writer);
  CHECK_INT(sink.number(sink.ud, NAN), ==, TR_EINVALID);
  CHECK_STR(error.text, "writing JSON: NaN is not a JSON number");
  CHECK_INT(sink.number(sink.ud, -INFINITY), ==, TR_EINVALID);
  CHECK_INT(sink.key(sink.ud, TR_SLICE_LITERAL("k")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.begin_map(sink.ud, 1), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.end_array(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.key(sink.ud, TR_SLICE_LITERAL("k")), ==, 0);
  CHECK_INT(sink.key(sink.ud, TR_SLICE_LITERAL("k")), ==, TR_EINVALID);
  CHECK_INT(sink.end_map(sink.ud), ==, TR_EINVALID);
  CHECK_INT(sink.null(sink.ud), ==, 0);
  CHECK_INT(sink.end_map(sink.ud), ==, 0);
  CHECK_INT(sink.null(sink.ud), ==, TR_EINVALID); /* a second value */
  CHECK_SLICE(tr_buf_view(&out), "{\"k\":null}");
  tr_buf_fini(&out);
}
