/* SPDX-License-Identifier: MIT
 * The JSON writer: a sink that appends text to a buffer. It keeps one byte for each open container and whether a
 * comma is due, nothing else; values are written as they come.
 *
 * What it refuses (TR_EINVALID) are calls that could not give JSON: a value in a map without a key before it, a key
 * in an array, an end without a begin, NaN. Sources hold to that; refusing keeps a faulty one from putting nonsense
 * on a wire. Strings are not checked to be UTF-8: that is the model's promise, kept where text enters (json_parse.c,
 * value.c, the script room), and checking again would cost as much as writing. */
#include <math.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/number.h"

enum { IN_ARRAY = 1, IN_MAP = 2 };

/* ---- strings ---- */

static void write_escape(tr_buf *out, uint8_t c) {
  static const char hex[] = "0123456789abcdef";
  static const char letters[] = "btn\0fr"; /* of 8, 9, 10, (11), 12, 13 */
  uint8_t text[6] = { '\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15] };
  size_t n = 6;
  if (c == '"' || c == '\\') text[1] = c, n = 2;
  else if (c >= 8 && c <= 13 && c != 11) text[1] = (uint8_t)letters[c - 8], n = 2;
  tr_buf_append(out, text, n);
}

static void write_string(tr_buf *out, tr_slice text) {
  tr_buf_reserve(out, text.n + 2);
  tr_buf_byte(out, '"');
  size_t from = 0;
  for (size_t i = 0; i < text.n; i++) {
    uint8_t c = (uint8_t)text.p[i];
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    tr_buf_append(out, text.p + from, i - from);
    write_escape(out, c);
    from = i + 1;
  }
  if (from < text.n) tr_buf_append(out, text.p + from, text.n - from);
  tr_buf_byte(out, '"');
}

/* ---- the order of things ---- */

static int misuse(tr_json_writer *writer, const char *what) {
  return tr_error_set(writer->error, TR_EINVALID, "writing JSON: %s", what);
}

static int after(tr_json_writer *writer) {
  writer->comma = true;
  if (writer->out->failed) return tr_error_set(writer->error, TR_EMEMORY, "writing JSON: out of memory");
  return 0;
}

/* What goes in front of a value. */
static int before(tr_json_writer *writer) {
  if (writer->depth == 0) return writer->comma ? misuse(writer, "a second value") : 0;
  if (writer->kinds[writer->depth] == IN_MAP) {
    if (!writer->after_key) return misuse(writer, "a value without a key");
    writer->after_key = false;
  } else if (writer->comma) {
    tr_buf_byte(writer->out, ',');
  }
  return 0;
}

static int write_text(tr_json_writer *writer, const char *text, size_t n) {
  int err = before(writer);
  if (err) return err;
  tr_buf_append(writer->out, text, n);
  return after(writer);
}

static int open_container(tr_json_writer *writer, uint8_t kind, char bracket) {
  if (writer->depth == TR_DEPTH_MAX)
    return tr_error_set(writer->error, TR_EINVALID, "more than %d levels deep", TR_DEPTH_MAX);
  int err = before(writer);
  if (err) return err;
  tr_buf_byte(writer->out, (uint8_t)bracket);
  writer->kinds[++writer->depth] = kind;
  writer->comma = false;
  return 0;
}

static int close_container(tr_json_writer *writer, uint8_t kind, char bracket) {
  if (writer->depth == 0 || writer->kinds[writer->depth] != kind || writer->after_key)
    return misuse(writer, "an end without a begin");
  writer->depth--;
  tr_buf_byte(writer->out, (uint8_t)bracket);
  return after(writer);
}

/* ---- the sink ---- */

static int on_null(void *ud) { return write_text(ud, "null", 4); }
static int on_boolean(void *ud, bool value) { return value ? write_text(ud, "true", 4) : write_text(ud, "false", 5); }

static int on_integer(void *ud, int64_t value) {
  char text[TR_NUMBER_TEXT];
  return write_text(ud, text, tr_integer_write(value, text));
}

static int on_number(void *ud, double value) {
  char text[TR_NUMBER_TEXT];
  if (!isfinite(value)) return misuse(ud, isnan(value) ? "NaN is not a JSON number" : "infinity is not a JSON number");
  return write_text(ud, text, tr_number_write(value, text));
}

static int on_string(void *ud, tr_slice utf8) {
  tr_json_writer *writer = ud;
  int err = before(writer);
  if (err) return err;
  write_string(writer->out, utf8);
  return after(writer);
}

static int on_bytes(void *ud, tr_slice bytes) {
  tr_json_writer *writer = ud;
  int err = before(writer);
  if (err) return err;
  tr_buf_byte(writer->out, '"');
  tr_base64_write(writer->out, bytes);
  tr_buf_byte(writer->out, '"');
  return after(writer);
}

static int on_key(void *ud, tr_slice utf8) {
  tr_json_writer *writer = ud;
  if (writer->depth == 0 || writer->kinds[writer->depth] != IN_MAP || writer->after_key)
    return misuse(writer, "a key where none belongs");
  if (writer->comma) tr_buf_byte(writer->out, ',');
  write_string(writer->out, utf8);
  tr_buf_byte(writer->out, ':');
  writer->after_key = true;
  return 0;
}

static int on_begin_array(void *ud, size_t count) { return (void)count, open_container(ud, IN_ARRAY, '['); }
static int on_end_array(void *ud) { return close_container(ud, IN_ARRAY, ']'); }
static int on_begin_map(void *ud, size_t count) { return (void)count, open_container(ud, IN_MAP, '{'); }
static int on_end_map(void *ud) { return close_container(ud, IN_MAP, '}'); }

void tr_json_writer_init(tr_json_writer *writer, tr_buf *out, tr_error *error) {
  writer->out = out;
  writer->error = error;
  writer->depth = 0;
  writer->comma = writer->after_key = false;
}

tr_sink tr_json_sink(tr_json_writer *writer) {
  return (tr_sink){ .null = on_null, .boolean = on_boolean, .integer = on_integer, .number = on_number,
                    .string = on_string, .bytes = on_bytes, .begin_array = on_begin_array, .end_array = on_end_array,
                    .begin_map = on_begin_map, .key = on_key, .end_map = on_end_map, .ud = writer };
}
