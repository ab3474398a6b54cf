/* SPDX-License-Identifier: MIT
 * Protobuf's wire format, field by field, without a schema. Nothing is copied, nothing allocated. */
#ifndef TR_CODEC_PROTO_WIRE_H
#define TR_CODEC_PROTO_WIRE_H

#include "base/buf.h"

enum { TR_PROTO_VARINT = 0, TR_PROTO_FIXED64 = 1, TR_PROTO_LENGTH = 2, TR_PROTO_GROUP = 3, TR_PROTO_FIXED32 = 5 };

typedef struct tr_proto_reader { const uint8_t *p, *end; } tr_proto_reader;

typedef struct tr_proto_token {
  uint32_t number;
  uint8_t wire;
  uint64_t value; /* VARINT, FIXED64, FIXED32: as it is on the wire */
  tr_slice bytes; /* LENGTH: the content */
} tr_proto_token;

static inline tr_proto_reader tr_proto_reader_of(tr_slice bytes) {
  const uint8_t *p = bytes.n ? (const uint8_t *)bytes.p : (const uint8_t *)"";
  return (tr_proto_reader){ p, p + bytes.n };
}

/* false: cut, or more than 64 bits. */
bool tr_proto_read_long(tr_proto_reader *reader, uint64_t *out);
static inline bool tr_proto_read_varint(tr_proto_reader *reader, uint64_t *out) {
  if (reader->p < reader->end && *reader->p < 0x80) return *out = *reader->p++, true;
  return tr_proto_read_long(reader, out);
}

/* One value of a fixed width (4 or 8). false: cut. */
bool tr_proto_read_fixed(tr_proto_reader *reader, unsigned width, uint64_t *out);

/* 1: a field was read (of a group: the whole of it). 0: the end. -1: malformed; reader->p is about where. */
int tr_proto_read(tr_proto_reader *reader, tr_proto_token *token);

/* Is this a sequence of fields? */
bool tr_proto_well_formed(tr_slice bytes);

/* Append; a failed growth is in out->failed. */
void tr_proto_put_varint(tr_buf *out, uint64_t value);
void tr_proto_put_fixed(tr_buf *out, unsigned width, uint64_t value);
void tr_proto_put_bytes(tr_buf *out, uint32_t number, tr_slice bytes);
static inline void tr_proto_put_key(tr_buf *out, uint32_t number, unsigned wire) {
  tr_proto_put_varint(out, (uint64_t)number << 3 | wire);
}

/* A length that is not known yet: open leaves one byte for it and returns where the content begins; close fills it in,
 * and moves the content where the length takes more. err: TR_EMEMORY, TR_ETOO_LARGE. */
size_t tr_proto_open_length(tr_buf *out);
int tr_proto_close_length(tr_buf *out, size_t start);

static inline uint64_t tr_proto_zigzag(int64_t value) {
  return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}
static inline int64_t tr_proto_unzigzag(uint64_t bits) { return (int64_t)(bits >> 1 ^ (~(bits & 1) + 1)); }

#endif
