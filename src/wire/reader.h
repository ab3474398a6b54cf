/* SPDX-License-Identifier: MIT
 * Reading protobuf fields one by one, without a schema: what the walk goes by. Nothing is copied, nothing allocated. */
#ifndef TR_WIRE_READER_H
#define TR_WIRE_READER_H

#include <stdint.h>

#include "wire/wire.h"

enum { TR_PB_VARINT = 0, TR_PB_FIXED64 = 1, TR_PB_BYTES = 2, TR_PB_FIXED32 = 5 };

typedef struct tr_reader { const uint8_t *p, *end; } tr_reader;

typedef struct tr_field {
  uint32_t key;       /* number << 3 | wire type */
  const uint8_t *at;  /* where the field begins (its key) */
  tr_slice value;     /* TR_PB_BYTES: the content; else the raw value */
} tr_field;

#define TR_FIELD_KEY(number) ((uint32_t)(number) << 3 | TR_PB_BYTES) /* of strings, bytes and messages */

static inline tr_reader tr_reader_of(tr_slice bytes) {
  const uint8_t *p = (const uint8_t *)bytes.p;
  return (tr_reader){ p, p ? p + bytes.n : p };
}

/* false: cut, or longer than 64 bits. */
static inline bool tr_read_varint(tr_reader *reader, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70 && reader->p < reader->end; shift += 7) {
    uint8_t byte = *reader->p++;
    if (shift == 63 && byte > 1) return false;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) {
      *out = value;
      return true;
    }
  }
  return false;
}

/* 1: a field was read. 0: the end. -1: malformed (cut, field number 0, a wire type that proto3 does not have). */
int tr_read_field_slow(tr_reader *reader, tr_field *field);

static inline int tr_read_field(tr_reader *reader, tr_field *field) {
  const uint8_t *p = reader->p;
  /* Nearly all fields are of this form: number below 16, length-delimited, shorter than 128 bytes. */
  bool common = reader->end - p >= 2 && p[0] > 7 && p[0] < 0x80 && (p[0] & 7) == TR_PB_BYTES && p[1] < 0x80;
  if (common && reader->end - p - 2 >= p[1]) {
    field->key = p[0];
    field->at = p;
    field->value = tr_slice_make(p + 2, p[1]);
    reader->p = p + 2 + p[1];
    return 1;
  }
  return tr_read_field_slow(reader, field);
}

/* Walk span->inner, of span->kind. 0, or -1: malformed. */
int tr_wire_walk_inner(tr_wire_span *span);

/* The key and value of a map's entry: metadata, or an event's attribute, whose value.p is NULL where it is not a
 * ce_string. UTF-8 is not checked. false: malformed. */
bool tr_wire_read_entry(tr_slice entry, bool attribute, tr_slice *key, tr_slice *value);

static inline size_t tr_varint_size(uint64_t value) {
  size_t n = 1;
  while (value >>= 7) n++;
  return n;
}

static inline uint8_t *tr_put_varint(uint8_t *to, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = (uint8_t)(value | 0x80);
  *to++ = (uint8_t)value;
  return to;
}

#endif
