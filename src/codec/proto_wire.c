/* SPDX-License-Identifier: MIT
 * Protobuf's wire format. Strict in what later layers rely on: keys of 32 bits, varints of 64, lengths within what is
 * left, groups closed by their own number and not nested beyond TR_DEPTH_MAX.
 *
 * A message's length goes before its content, but a sink learns it behind. One byte is left for it; content of 128
 * bytes or more is moved up by what its length takes beyond that. For a message of depth d each byte moves at most d
 * times, and as memmove does it that costs less than sizing everything first. */
#include "codec/proto_wire.h"

#include "codec/proto.h"

bool tr_proto_read_long(tr_proto_reader *reader, uint64_t *out) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 70 && reader->p < reader->end; shift += 7) {
    uint8_t byte = *reader->p;
    if (shift == 63 && byte > 1) return false;
    reader->p++;
    value |= (uint64_t)(byte & 0x7F) << shift;
    if (byte < 0x80) return *out = value, true;
  }
  return false;
}

bool tr_proto_read_fixed(tr_proto_reader *reader, unsigned width, uint64_t *out) {
  if ((size_t)(reader->end - reader->p) < width) return false;
  uint64_t value = 0;
  for (unsigned i = width; i-- > 0;) value = value << 8 | reader->p[i];
  reader->p += width;
  *out = value;
  return true;
}

static bool read_key(tr_proto_reader *reader, tr_proto_token *token) {
  uint64_t key;
  const uint8_t *at = reader->p;
  if (!tr_proto_read_varint(reader, &key)) return false;
  if (key > UINT32_MAX || key < 8) return reader->p = at, false;
  token->number = (uint32_t)(key >> 3);
  token->wire = (uint8_t)(key & 7);
  return true;
}

/* The value behind a key; not of a group. */
static bool read_value(tr_proto_reader *reader, tr_proto_token *token) {
  uint64_t n;
  switch (token->wire) {
    case TR_PROTO_VARINT: return tr_proto_read_varint(reader, &token->value);
    case TR_PROTO_FIXED64: return tr_proto_read_fixed(reader, 8, &token->value);
    case TR_PROTO_FIXED32: return tr_proto_read_fixed(reader, 4, &token->value);
    case TR_PROTO_LENGTH: break;
    default: return false;
  }
  if (!tr_proto_read_varint(reader, &n) || n > (size_t)(reader->end - reader->p)) return false;
  token->bytes = tr_slice_make(reader->p, (size_t)n);
  reader->p += n;
  return true;
}

/* Behind the key of a group's begin, to behind that of its end. */
static bool skip_group(tr_proto_reader *reader, uint32_t number) {
  uint32_t open[TR_DEPTH_MAX];
  unsigned depth = 0;
  tr_proto_token token;
  open[depth++] = number;
  while (depth > 0) {
    if (!read_key(reader, &token)) return false;
    if (token.wire == TR_PROTO_GROUP) {
      if (depth == TR_DEPTH_MAX) return false;
      open[depth++] = token.number;
    } else if (token.wire == TR_PROTO_GROUP + 1) {
      if (open[--depth] != token.number) return false;
    } else if (!read_value(reader, &token)) {
      return false;
    }
  }
  return true;
}

int tr_proto_read(tr_proto_reader *reader, tr_proto_token *token) {
  if (reader->p == reader->end) return 0;
  if (!read_key(reader, token)) return -1;
  if (token->wire == TR_PROTO_GROUP) return skip_group(reader, token->number) ? 1 : -1;
  return read_value(reader, token) ? 1 : -1;
}

bool tr_proto_well_formed(tr_slice bytes) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read;
  while ((read = tr_proto_read(&reader, &token)) > 0) {}
  return read == 0;
}

void tr_proto_put_varint(tr_buf *out, uint64_t value) {
  if (!tr_buf_reserve(out, 10)) return;
  uint8_t *to = out->data + out->len;
  for (; value >= 0x80; value >>= 7) *to++ = (uint8_t)(value | 0x80);
  *to++ = (uint8_t)value;
  out->len = (size_t)(to - out->data);
}

void tr_proto_put_fixed(tr_buf *out, unsigned width, uint64_t value) {
  if (!tr_buf_reserve(out, width)) return;
  for (unsigned i = 0; i < width; i++) out->data[out->len++] = (uint8_t)(value >> (8 * i));
}

void tr_proto_put_bytes(tr_buf *out, uint32_t number, tr_slice bytes) {
  tr_proto_put_key(out, number, TR_PROTO_LENGTH);
  tr_proto_put_varint(out, bytes.n);
  tr_buf_slice(out, bytes);
}

size_t tr_proto_open_length(tr_buf *out) {
  tr_buf_byte(out, 0);
  return out->len;
}

int tr_proto_close_length(tr_buf *out, size_t start) {
  if (out->failed) return TR_EMEMORY;
  size_t n = out->len - start, more = 0;
  if (n > TR_PROTO_SIZE_MAX) return TR_ETOO_LARGE;
  for (size_t rest = n >> 7; rest; rest >>= 7) more++;
  if (more) {
    if (!tr_buf_reserve(out, more)) return TR_EMEMORY;
    memmove(out->data + start + more, out->data + start, n);
  }
  uint8_t *to = out->data + start - 1;
  size_t rest = n;
  for (; rest >= 0x80; rest >>= 7) *to++ = (uint8_t)(rest | 0x80);
  *to = (uint8_t)rest;
  out->len += more;
  return 0;
}
