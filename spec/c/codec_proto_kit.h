/* SPDX-License-Identifier: MIT
 * What the checks of protobuf bodies share: JSON is how they write values down. */
#ifndef CODEC_PROTO_KIT_H
#define CODEC_PROTO_KIT_H

#include "base/buf.h"
#include "codec/proto.h"

#define S(text) TR_SLICE_LITERAL(text)

/* The pool of spec/data/proto/NAME.desc; the caller frees it. */
tr_proto_pool *kit_pool(const char *name);
/* Fails the case where there is none. */
const tr_proto_type *kit_type(const tr_proto_pool *pool, const char *name);

/* Bytes → JSON, JSON → bytes (strings for bytes are base64), appended to out. */
int kit_read(const tr_proto_type *type, tr_slice bytes, tr_buf *out, tr_error *error);
int kit_write(const tr_proto_type *type, tr_slice json, unsigned flags, tr_buf *out, tr_error *error);

/* The same, checked. */
void kit_reads(const tr_proto_type *type, tr_slice bytes, const char *json);
void kit_read_fails(const tr_proto_type *type, tr_slice bytes, const char *text);
void kit_writes(const tr_proto_type *type, const char *json, tr_slice bytes);
void kit_write_fails(const tr_proto_type *type, const char *json, int code, const char *text);

/* From the name of a file of spec/data/proto: the set its type is in, and the type ("demo.Order"). */
const char *kit_set_of(const char *path);
const tr_proto_type *kit_type_of(const tr_proto_pool *pool, const char *path);

#endif
