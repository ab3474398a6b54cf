/* SPDX-License-Identifier: MIT
 * Single numbers from the wire into a sink. More bits than the type has are cut off, as protobuf wants it; what int64
 * cannot hold becomes a string of its digits rather than another number. Read next: proto_parse.c, which calls this. */
#include <inttypes.h>
#include <stdio.h>

#include "codec/proto_types.h"
#include "codec/proto_wire.h"

static int give_unsigned(const tr_sink *sink, uint64_t value) {
  char digits[24];
  if (value <= INT64_MAX) return sink->integer(sink->ud, (int64_t)value);
  int n = snprintf(digits, sizeof digits, "%" PRIu64, value);
  return sink->string(sink->ud, tr_slice_make(digits, (size_t)n));
}

static int give_enum(const tr_sink *sink, const tr_proto_enum *enumeration, int32_t number) {
  const tr_proto_enum_value *value = tr_proto_enum_by_number(enumeration, number);
  return value ? sink->string(sink->ud, value->name) : sink->integer(sink->ud, number);
}

static int give_float(const tr_sink *sink, uint64_t bits, bool is_double) {
  uint32_t narrow = (uint32_t)bits;
  double value;
  float single;
  memcpy(&value, &bits, 8);
  memcpy(&single, &narrow, 4);
  return sink->number(sink->ud, is_double ? value : (double)single);
}

int tr_proto_give_scalar(const tr_sink *sink, const tr_proto_field *field, uint64_t bits) {
  switch (field->type) {
    case TR_PROTO_T_DOUBLE: case TR_PROTO_T_FLOAT: return give_float(sink, bits, field->type == TR_PROTO_T_DOUBLE);
    case TR_PROTO_T_INT64: case TR_PROTO_T_SFIXED64: return sink->integer(sink->ud, (int64_t)bits);
    case TR_PROTO_T_UINT64: case TR_PROTO_T_FIXED64: return give_unsigned(sink, bits);
    case TR_PROTO_T_INT32: case TR_PROTO_T_SFIXED32: return sink->integer(sink->ud, (int32_t)(uint32_t)bits);
    case TR_PROTO_T_UINT32: case TR_PROTO_T_FIXED32: return sink->integer(sink->ud, (uint32_t)bits);
    case TR_PROTO_T_SINT32: return sink->integer(sink->ud, tr_proto_unzigzag((uint32_t)bits));
    case TR_PROTO_T_SINT64: return sink->integer(sink->ud, tr_proto_unzigzag(bits));
    case TR_PROTO_T_BOOL: return sink->boolean(sink->ud, bits != 0);
    default: return give_enum(sink, field->enumeration, (int32_t)(uint32_t)bits);
  }
}

int tr_proto_give_key(const tr_sink *sink, const tr_proto_field *field, uint64_t bits) {
  char digits[24];
  int n;
  switch (field->type) {
    case TR_PROTO_T_BOOL: return sink->key(sink->ud, bits ? TR_SLICE_LITERAL("true") : TR_SLICE_LITERAL("false"));
    case TR_PROTO_T_UINT64: case TR_PROTO_T_FIXED64: n = snprintf(digits, sizeof digits, "%" PRIu64, bits); break;
    case TR_PROTO_T_UINT32: case TR_PROTO_T_FIXED32:
      n = snprintf(digits, sizeof digits, "%" PRIu32, (uint32_t)bits);
      break;
    case TR_PROTO_T_INT64: case TR_PROTO_T_SFIXED64:
      n = snprintf(digits, sizeof digits, "%" PRId64, (int64_t)bits);
      break;
    case TR_PROTO_T_SINT64: n = snprintf(digits, sizeof digits, "%" PRId64, tr_proto_unzigzag(bits)); break;
    case TR_PROTO_T_SINT32:
      n = snprintf(digits, sizeof digits, "%" PRId64, tr_proto_unzigzag((uint32_t)bits));
      break;
    default: n = snprintf(digits, sizeof digits, "%" PRId32, (int32_t)(uint32_t)bits);
  }
  return sink->key(sink->ud, tr_slice_make(digits, (size_t)n));
}
