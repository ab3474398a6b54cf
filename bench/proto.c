/* SPDX-License-Identifier: MIT
 * proto.c: protobuf fields, read in place and written to a buffer. See proto.h. */
#include "proto.h"

static int take_varint(span *in, uint64_t *out) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < in->len; i++) {
        value |= (uint64_t)(in->at[i] & 0x7f) << (7 * i);
        if (!(in->at[i] & 0x80)) {
            in->at += i + 1;
            in->len -= i + 1;
            *out = value;
            return 1;
        }
    }
    return 0;
}

static int take_bytes(span *in, uint64_t len, span *out) {
    if (len > in->len)
        return 0;
    *out = (span){in->at, (size_t)len};
    in->at += len;
    in->len -= (size_t)len;
    return 1;
}

int proto_next(span *in, field *out) {
    uint64_t key, len;
    if (in->len == 0)
        return 0;
    if (!take_varint(in, &key))
        return -1;
    out->number = (unsigned)(key >> 3);
    out->type = (unsigned)(key & 7);
    switch (out->type) {
    case 0:
        return take_varint(in, &out->varint) ? 1 : -1;
    case 1:
        return take_bytes(in, 8, &out->bytes) ? 1 : -1;
    case 2:
        return take_varint(in, &len) && take_bytes(in, len, &out->bytes) ? 1 : -1;
    case 5:
        return take_bytes(in, 4, &out->bytes) ? 1 : -1;
    default:
        return -1;
    }
}

size_t proto_varint_size(uint64_t value) {
    size_t n = 1;
    while (value >>= 7)
        n++;
    return n;
}

uint8_t *proto_varint(uint8_t *to, uint64_t value) {
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

uint8_t *proto_put(uint8_t *to, unsigned number, span value) {
    *to++ = (uint8_t)(number << 3 | 2);
    to = proto_varint(to, value.len);
    if (value.len)
        memcpy(to, value.at, value.len);
    return to + value.len;
}

void proto_add(bytes *to, unsigned number, span value) {
    uint8_t *from = bytes_room(to, value.len + 11);
    to->len += (size_t)(proto_put(from, number, value) - from);
}

void proto_add_framed(bytes *to, span message) {
    uint32_t n = (uint32_t)message.len;
    uint8_t prefix[5] = {0, (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    bytes_add(to, prefix, sizeof prefix);
    bytes_add(to, message.at, message.len);
}
