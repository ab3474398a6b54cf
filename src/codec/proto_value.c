/* SPDX-License-Identifier: MIT
 * Single values, from what the sink was given to what is on the wire, checked against the field's type. First the bits
 * (or the text) are made, as on the wire; then it is easy to say whether they are the default, and to write them. */
#include <math.h>

#include "base/text.h"
#include "codec/base64.h"
#include "codec/proto_write.h"

/* ---- to bits; false: it does not fit ---- */

static bool to_integer(const tr_proto_given *given, bool is_signed, unsigned bits, uint64_t *out) {
  uint64_t limit = bits == 64 ? UINT64_MAX : UINT32_MAX, magnitude;
  bool negative;
  if (given->kind == TR_PROTO_STRING) return tr_proto_read_integer(given->text, is_signed, bits, out);
  if (given->kind == TR_PROTO_INTEGER) {
    negative = given->integer < 0;
    magnitude = negative ? ~(uint64_t)given->integer + 1 : (uint64_t)given->integer;
  } else if (given->kind == TR_PROTO_NUMBER && fabs(given->number) < 0x1p64 && given->number == floor(given->number)) {
    negative = given->number < 0;
    magnitude = (uint64_t)fabs(given->number);
  } else {
    return false;
  }
  if (is_signed) limit = limit / 2 + negative;
  else if (negative) return false;
  if (magnitude > limit) return false;
  *out = negative ? ~magnitude + 1 : magnitude;
  return true;
}

static bool to_float(const tr_proto_given *given, bool is_double, uint64_t *out) {
  double value = given->number;
  if (given->kind == TR_PROTO_INTEGER) value = (double)given->integer;
  else if (given->kind == TR_PROTO_STRING) {
    if (tr_slice_is(given->text, "NaN")) value = NAN;
    else if (tr_slice_is(given->text, "Infinity")) value = INFINITY;
    else if (tr_slice_is(given->text, "-Infinity")) value = -INFINITY;
    else return false;
  } else if (given->kind != TR_PROTO_NUMBER) {
    return false;
  }
  if (is_double) return memcpy(out, &value, 8), true;
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, 4);
  *out = bits;
  return !isinf(narrow) || isinf(value);
}

static bool to_enum(const tr_proto_field *field, const tr_proto_given *given, uint64_t *out) {
  if (given->kind != TR_PROTO_STRING) return to_integer(given, true, 32, out);
  const tr_proto_enum_value *value = tr_proto_enum_by_name(field->enumeration, given->text);
  if (value) *out = (uint64_t)(int64_t)value->number;
  return value != NULL;
}

static bool to_bits(const tr_proto_field *field, const tr_proto_given *given, uint64_t *out) {
  bool fits;
  switch (field->type) {
    case TR_PROTO_T_DOUBLE: case TR_PROTO_T_FLOAT: return to_float(given, field->type == TR_PROTO_T_DOUBLE, out);
    case TR_PROTO_T_INT64: case TR_PROTO_T_SFIXED64: return to_integer(given, true, 64, out);
    case TR_PROTO_T_UINT64: case TR_PROTO_T_FIXED64: return to_integer(given, false, 64, out);
    case TR_PROTO_T_INT32: case TR_PROTO_T_SFIXED32: return to_integer(given, true, 32, out);
    case TR_PROTO_T_UINT32: case TR_PROTO_T_FIXED32: return to_integer(given, false, 32, out);
    case TR_PROTO_T_SINT32: case TR_PROTO_T_SINT64:
      fits = to_integer(given, true, field->type == TR_PROTO_T_SINT64 ? 64 : 32, out);
      if (fits) *out = tr_proto_zigzag((int64_t)*out);
      return fits;
    case TR_PROTO_T_BOOL:
      *out = given->boolean;
      return given->kind == TR_PROTO_BOOLEAN;
    case TR_PROTO_T_ENUM: return to_enum(field, given, out);
    default: return false;
  }
}

/* ---- writing ---- */

static void put_bits(tr_buf *out, const tr_proto_field *field, uint64_t bits) {
  if (field->wire == TR_PROTO_VARINT) tr_proto_put_varint(out, bits);
  else tr_proto_put_fixed(out, field->wire == TR_PROTO_FIXED64 ? 8 : 4, bits);
}

static int done(tr_proto_writer *writer) { return writer->out->failed ? tr_proto_no_memory(writer) : 0; }

static bool is_base64(const tr_proto_writer *writer, const tr_proto_given *given) {
  return (writer->flags & TR_PROTO_BASE64) && given->kind == TR_PROTO_STRING;
}

static int put_base64(tr_proto_writer *writer, uint32_t number, const tr_proto_given *given) {
  tr_proto_put_key(writer->out, number, TR_PROTO_LENGTH);
  size_t start = tr_proto_open_length(writer->out);
  int err = tr_base64_read(writer->out, given->text);
  if (err == TR_EMEMORY) return tr_proto_no_memory(writer);
  if (err) return tr_proto_expected_text(writer, "base64 text", given);
  return tr_proto_no_length(writer, tr_proto_close_length(writer->out, start));
}

static int put_text(tr_proto_writer *writer, const tr_proto_field *field, bool skip, const tr_proto_given *given) {
  if (given->kind != TR_PROTO_STRING && given->kind != TR_PROTO_BYTES)
    return tr_proto_expected(writer, field, true, given);
  if (field->type == TR_PROTO_T_STRING && !tr_utf8_valid(given->text))
    return tr_proto_expected(writer, field, true, &(tr_proto_given){ .kind = TR_PROTO_BYTES });
  if (skip && given->text.n == 0) return 0;
  if (given->text.n > TR_PROTO_SIZE_MAX) return tr_proto_no_length(writer, TR_ETOO_LARGE);
  if (field->type == TR_PROTO_T_BYTES && is_base64(writer, given)) return put_base64(writer, field->number, given);
  tr_proto_put_bytes(writer->out, field->number, given->text);
  return done(writer);
}

int tr_proto_put_value(tr_proto_writer *writer, const tr_proto_field *field, bool keyed, bool skip,
                       const tr_proto_given *given) {
  uint64_t bits = 0;
  if (field->message) return tr_proto_expected(writer, field, true, given);
  if (tr_proto_is_text(field->type)) return put_text(writer, field, skip, given);
  if (!to_bits(field, given, &bits)) {
    if (field->enumeration && given->kind == TR_PROTO_STRING)
      return tr_proto_no_enum_value(writer, field->enumeration, given->text);
    return tr_proto_expected(writer, field, true, given);
  }
  if (skip && bits == field->default_bits) return 0;
  if (keyed) tr_proto_put_key(writer->out, field->number, field->wire);
  put_bits(writer->out, field, bits);
  return done(writer);
}

int tr_proto_put_map_key(tr_proto_writer *writer, const tr_proto_field *key, tr_slice text) {
  tr_proto_given given = { .kind = TR_PROTO_STRING, .text = text };
  if (key->type == TR_PROTO_T_BOOL && (tr_slice_is(text, "true") || tr_slice_is(text, "false")))
    given = (tr_proto_given){ .kind = TR_PROTO_BOOLEAN, .boolean = tr_slice_is(text, "true") };
  return tr_proto_put_value(writer, key, true, false, &given);
}

int tr_proto_put_unknown(tr_proto_writer *writer, const tr_proto_given *given) {
  size_t from = writer->out->len;
  if (given->kind == TR_PROTO_NULL) return 0;
  if (given->kind != TR_PROTO_BYTES && given->kind != TR_PROTO_STRING)
    return tr_proto_expected_text(writer, "bytes (unknown fields, as they were read)", given);
  int err = is_base64(writer, given) ? tr_base64_read(writer->out, given->text) : 0;
  if (!is_base64(writer, given)) tr_buf_slice(writer->out, given->text);
  if (writer->out->failed) return tr_proto_no_memory(writer);
  size_t n = writer->out->len - from;
  if (!err && (n == 0 || tr_proto_well_formed(tr_slice_make(writer->out->data + from, n)))) return 0;
  return tr_proto_fail(writer, TR_EINVALID, "not a sequence of protobuf fields");
}
