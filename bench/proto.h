/* SPDX-License-Identifier: MIT
 * proto.h: the little of protobuf's encoding that the load generator needs.
 *
 * Reading walks fields in place and copies nothing; writing appends to a buffer. It is written
 * by hand, apart from the host's own code, so that the two cannot share a mistake. */
#ifndef BENCH_PROTO_H
#define BENCH_PROTO_H

#include "bytes.h"

typedef struct field {
    unsigned number;
    unsigned type;   /* wire type: 0 varint, 1 fixed64, 2 bytes, 5 fixed32 */
    uint64_t varint; /* of type 0 */
    span bytes;      /* of type 2 */
} field;

/* Takes the next field off `in`: 1 = there is one, 0 = the end, -1 = malformed. */
int proto_next(span *in, field *out);

/* Bytes that `value` takes as a varint. */
size_t proto_varint_size(uint64_t value);

/* Writes a varint; returns the place behind it. */
uint8_t *proto_varint(uint8_t *to, uint64_t value);

/* Writes field `number` (1..15) with these bytes; returns the place behind it. */
uint8_t *proto_put(uint8_t *to, unsigned number, span value);

/* Appends field `number` (1..15) with these bytes. */
void proto_add(bytes *to, unsigned number, span value);

/* Appends `message` with its gRPC prefix: a zero flag and its length, big-endian. */
void proto_add_framed(bytes *to, span message);

#endif
