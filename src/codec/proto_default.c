/* SPDX-License-Identifier: MIT
 * What an absent field stands for. descriptor.proto keeps declared defaults (proto2) as text: numbers in decimal, inf,
 * nan, true, an enum value's name, strings as they are, bytes with C's escapes. Here they become what would be on the
 * wire, so that reading a default is reading a value. */
#include <math.h>

#include "base/text.h"
#include "codec/number.h"
#include "codec/proto_types.h"
#include "codec/proto_wire.h"

bool tr_proto_read_integer(tr_slice text, bool is_signed, unsigned bits, uint64_t *out) {
  bool negative = text.n > 0 && text.p[0] == '-';
  uint64_t value = 0, limit = bits == 64 ? UINT64_MAX : UINT32_MAX;
  if (is_signed) limit = limit / 2 + negative;
  if (text.n == negative || (negative && !is_signed)) return false;
  for (size_t i = negative; i < text.n; i++) {
    uint64_t digit = (uint64_t)(uint8_t)text.p[i] - '0';
    if (digit > 9 || value > (limit - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = negative ? ~value + 1 : value;
  return true;
}

/* tr_number_read wants JSON's grammar; what protoc writes is within it, what a damaged file says need not be. */
static bool is_number(tr_slice text) {
  size_t i = 0, digits = 0;
  if (i < text.n && text.p[i] == '-') i++;
  bool zero = i < text.n && text.p[i] == '0';
  for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) digits++;
  if (digits == 0 || (zero && digits > 1)) return false;
  if (i < text.n && text.p[i] == '.') {
    for (i++, digits = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) digits++;
    if (digits == 0) return false;
  }
  if (i < text.n && (text.p[i] == 'e' || text.p[i] == 'E')) {
    if (++i < text.n && (text.p[i] == '+' || text.p[i] == '-')) i++;
    for (digits = 0; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++) digits++;
    if (digits == 0) return false;
  }
  return i == text.n;
}

static int read_float(tr_mem *mem, tr_slice text, bool is_double, uint64_t *out) {
  tr_number number;
  double value;
  if (tr_slice_is(text, "inf")) value = INFINITY;
  else if (tr_slice_is(text, "-inf")) value = -INFINITY;
  else if (tr_slice_is(text, "nan")) value = NAN;
  else {
    if (!is_number(text)) return TR_EINVALID;
    int err = tr_number_read(mem, text, &number);
    if (err) return err;
    value = number.is_integer ? (double)number.integer : number.number;
  }
  float narrow = (float)value;
  uint32_t bits = 0;
  memcpy(&bits, &narrow, 4);
  *out = bits;
  if (is_double) memcpy(out, &value, 8);
  return 0;
}

/* C's escapes as protoc writes them: \n \r \t \" \' \\ and three octal digits. */
static int unescape(tr_proto_load *load, tr_slice text, tr_slice *out) {
  char *to = tr_proto_take(load, text.n, 1);
  size_t n = 0;
  if (!to) return TR_EMEMORY;
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    if (c == '\\') {
      static const char letters[] = "nrt\"'\\", meanings[] = "\n\r\t\"'\\";
      const char *letter = ++i < text.n && text.p[i] ? strchr(letters, text.p[i]) : NULL;
      unsigned value = 0, digits = 0;
      for (; !letter && digits < 3 && i < text.n && text.p[i] >= '0' && text.p[i] <= '7'; digits++, i++)
        value = value * 8 + (unsigned)(text.p[i] - '0');
      if (!letter && (digits != 3 || value > 255)) return TR_EINVALID;
      if (!letter) i--;
      c = letter ? meanings[letter - letters] : (char)value;
    }
    to[n++] = c;
  }
  *out = tr_slice_make(to, n);
  return 0;
}

static bool read_enum(const tr_proto_enum *enumeration, tr_slice name, uint64_t *out) {
  const tr_proto_enum_value *value = tr_proto_enum_by_name(enumeration, name);
  if (value) *out = (uint64_t)(int64_t)value->number;
  return value != NULL;
}

static int read_default(tr_proto_load *load, tr_proto_field *field) {
  tr_slice text = field->default_text;
  uint64_t *bits = &field->default_bits;
  bool good = true;
  switch (field->type) {
    case TR_PROTO_T_DOUBLE: case TR_PROTO_T_FLOAT:
      return read_float(load->pool->mem, text, field->type == TR_PROTO_T_DOUBLE, bits);
    case TR_PROTO_T_INT64: case TR_PROTO_T_SFIXED64: good = tr_proto_read_integer(text, true, 64, bits); break;
    case TR_PROTO_T_UINT64: case TR_PROTO_T_FIXED64: good = tr_proto_read_integer(text, false, 64, bits); break;
    case TR_PROTO_T_INT32: case TR_PROTO_T_SFIXED32: good = tr_proto_read_integer(text, true, 32, bits); break;
    case TR_PROTO_T_UINT32: case TR_PROTO_T_FIXED32: good = tr_proto_read_integer(text, false, 32, bits); break;
    case TR_PROTO_T_SINT64: case TR_PROTO_T_SINT32:
      good = tr_proto_read_integer(text, true, field->type == TR_PROTO_T_SINT64 ? 64 : 32, bits);
      *bits = tr_proto_zigzag((int64_t)*bits);
      break;
    case TR_PROTO_T_BOOL:
      *bits = tr_slice_is(text, "true");
      good = *bits || tr_slice_is(text, "false");
      break;
    case TR_PROTO_T_ENUM: good = read_enum(field->enumeration, text, bits); break;
    case TR_PROTO_T_STRING:
      field->default_bytes = text;
      good = tr_utf8_valid(text);
      break;
    case TR_PROTO_T_BYTES: return unescape(load, text, &field->default_bytes);
    default: good = false;
  }
  return good ? 0 : TR_EINVALID;
}

int tr_proto_link_default(tr_proto_load *load, const tr_proto_type *type, tr_proto_field *field) {
  if (field->type == TR_PROTO_T_ENUM) field->default_bits = (uint64_t)(int64_t)field->enumeration->first;
  if (!field->declared_default) return 0;
  bool allowed = !field->repeated && !type->symbol.file->proto3;
  int err = allowed ? read_default(load, field) : TR_EINVALID;
  if (err == TR_EINVALID)
    return tr_proto_bad(load, "%.*s.%.*s: its default makes no sense", TR_SLICE_ARG(type->symbol.name),
                        TR_SLICE_ARG(field->name));
  return err ? tr_error_set(load->error, err, "descriptor set: out of memory") : 0;
}
