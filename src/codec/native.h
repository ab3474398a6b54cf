/* SPDX-License-Identifier: MIT
 * The native format: how a body travels between isolates and between troupe peers, as source and sink. A body is
 * encoded once, and read with nothing to look up, so it is one byte stream of tagged values:
 *
 *   first byte   TR_NATIVE_VERSION; then exactly one value
 *   00 … 3f      integer 0 … 63
 *   40 … 5f      string of 0 … 31 bytes, which follow
 *   60 … 6f      map of 0 … 15 members: a key (a string, in one of its two forms) and a value each
 *   70 … 7f      array of 0 … 15 items
 *   80 81 82     null, false, true
 *   83           integer: zigzag varint
 *   84           number: 8 bytes, IEEE 754, little endian
 *   85 86        string, bytes: varint length, content
 *   87 88        array, map: varint count, content
 *   89 8a        array, map of a count that was not known: content, then 8b
 *   8b           end of one of those
 *   e0 … ff      integer -32 … -1
 *
 * Varints are LEB128: seven bits a byte, the lowest first, at most 64 bits. A change of any of this is another
 * version; a peer that does not know it refuses the body. NaN and infinities are kept as they are: who can't take
 * them (JSON) refuses them. */
#ifndef TR_CODEC_NATIVE_H
#define TR_CODEC_NATIVE_H

#include "base/buf.h"
#include "codec/sink.h"

#define TR_NATIVE_VERSION 1

/* Read exactly one value into the sink; nothing is allocated. Refused: another version, bytes that are left over, a
 * length or count beyond what is left, a string or key that is not UTF-8, more than TR_DEPTH_MAX levels. A repeated
 * key is reported twice, as by the JSON parser.
 * err: TR_EINVALID with the offset and the reason, or what the sink returned. */
int tr_native_parse(tr_slice bytes, const tr_sink *sink, tr_error *error);

/* A writer appending to `out`, version byte included. Strings are not checked to be UTF-8 (the model's promise), but
 * the order of calls is, and that each container has as many items as were announced.
 * The sink's err: TR_EINVALID, TR_EMEMORY. */
typedef struct tr_native_writer {
  tr_buf *out;
  tr_error *error;
  unsigned depth;
  bool done, after_key;
  uint8_t kinds[TR_DEPTH_MAX + 1];
  size_t left[TR_DEPTH_MAX + 1]; /* items still to come; TR_SIZE_UNKNOWN */
} tr_native_writer;
void tr_native_writer_init(tr_native_writer *writer, tr_buf *out, tr_error *error);
tr_sink tr_native_sink(tr_native_writer *writer);

#endif
