/* SPDX-License-Identifier: MIT
 * Protobuf bodies, by descriptors that are loaded at run time: message types from descriptor sets, and for each type a
 * source (bytes into a sink) and a sink (a map into bytes).
 *
 * How a message looks in the value model, either way:
 *   message          map: field name → value; the writer takes json_name as well
 *   int32 … sfixed64 integer; a uint64 or fixed64 beyond 2^63-1 is a string of its digits. The writer also takes whole
 *                    numbers and strings of digits, and refuses what does not fit
 *   float, double    number; the writer also takes integers and the strings NaN, Infinity, -Infinity
 *   bool, string     boolean, string. string is UTF-8, checked both ways
 *   bytes            bytes; the writer also takes a string: its bytes (with TR_PROTO_BASE64: base64 of them)
 *   enum             the value's name, as a string; an integer where no name is known. The writer takes both
 *   repeated         array
 *   map<K, V>        map; a K that is not a string is written as its digits, or true or false
 *   Any              {"@type": "type.googleapis.com/FULL.NAME", field …} where the pool has that type; else as the
 *                    plain message { type_url, value }. The writer takes both, with "@type" in any place, and with a
 *                    bare FULL.NAME. All other types of google.protobuf are plain messages (Timestamp: seconds, nanos)
 *   unknown fields   "_unknown": bytes, just as they were on the wire; the writer puts them back
 *
 * Read: the fields that the message type has come in the order of their numbers. Always there are fields without
 * presence (proto3 scalars: with 0, false, "" or the first enum value where they were absent), arrays and maps, and
 * proto2 fields with a declared default; all others (messages, `optional`, members of a oneof) only if they were set.
 * Written: a field without presence that has its default is left out; null counts as not set; an empty map and an
 * empty array are one (a script's {} may be either). Fields come out in the order in which they came in.
 *
 * proto2 and proto3; groups and editions are refused, extensions are unknown fields. */
#ifndef TR_CODEC_PROTO_H
#define TR_CODEC_PROTO_H

#include "base/buf.h"
#include "codec/sink.h"

#define TR_PROTO_SIZE_MAX INT32_MAX /* bytes of a message, as in all protobuf libraries */
#define TR_PROTO_URL "type.googleapis.com/" /* before the full name, in google.protobuf.Any */

/* ---- message types ---- */

typedef struct tr_proto_pool tr_proto_pool;
typedef struct tr_proto_type tr_proto_type; /* lives as long as the pool, at the same place */

/* NULL: no memory. The seed is of the table of names. thr: while nothing is added, any number of threads may read. */
tr_proto_pool *tr_proto_pool_new(tr_mem *mem, uint64_t seed);
void tr_proto_pool_free(tr_proto_pool *pool); /* NULL is fine */

/* Add a google.protobuf.FileDescriptorSet (protoc --include_imports --descriptor_set_out=FILE): all of it, or nothing.
 * A file that is there already is passed over if it is the same (comments and positions in it aside).
 * own: copies what it keeps. err: TR_EINVALID (not a descriptor set, or one with a type missing or a rule of protobuf
 * broken; the text names the place), TR_EEXISTS (another file or another type has this name), TR_EMEMORY. */
int tr_proto_pool_add(tr_proto_pool *pool, tr_slice set, tr_error *error);

/* By full name, "package.Message.Nested", without a dot in front. NULL: none. */
const tr_proto_type *tr_proto_pool_find(const tr_proto_pool *pool, tr_slice full_name);
/* All of them in no order, but those made for map entries: start with *at = 0; NULL at the end. */
const tr_proto_type *tr_proto_pool_next(const tr_proto_pool *pool, size_t *at);
tr_slice tr_proto_type_name(const tr_proto_type *type);

/* ---- reading ---- */

/* Read a message into the sink: one map. As protobuf wants it: of a field given twice the last wins, messages given
 * twice are merged, repeated scalars may be packed or not, a field of another wire type is an unknown one.
 * Memory: 8 bytes from mem for each field that occurs, along one path from the root. At most 1 Mi + 4·bytes.n values
 * are given, so that few bytes cannot become too much through the fields that are always there.
 * err: TR_EINVALID (malformed, not UTF-8, a required field missing, more than TR_DEPTH_MAX levels: a repeated message
 * takes two), TR_ETOO_LARGE, TR_EMEMORY, or what the sink returned. */
int tr_proto_parse(tr_mem *mem, const tr_proto_type *type, tr_slice bytes, const tr_sink *sink, tr_error *error);

/* ---- writing ---- */

enum {
  TR_PROTO_BASE64 = 1, /* strings for `bytes` fields (and "_unknown") are base64: the source is JSON */
  TR_PROTO_ANY = 2     /* wrap the message in google.protobuf.Any */
};

typedef struct tr_proto_frame { /* one open container */
  uint8_t kind;
  bool turned;    /* begun as an array where a map is due, or the reverse: must stay empty */
  bool after_key; /* a value is due */
  bool in_any;    /* a message that is the content of an Any */
  const struct tr_proto_type *type;   /* of a message */
  const struct tr_proto_field *field; /* of a message: whose value is due; of an array or map: the field itself */
  size_t start, outer, count, marks;  /* offsets into out: content, what is around it; items; offset into marks */
  uint64_t seen;                      /* which fields were given; in marks where there are more than 64 */
} tr_proto_frame;

/* A sink that appends one message of `type` to `out`. Errors name the place: "demo.Order: items[2].price: expected a
 * double, got a string" (items are counted from 1). After an error what is in `out` is of no use. 8 KiB: on the stack.
 * The sink's err: TR_EINVALID (an unknown field, one given twice, another kind of value, out of range, two members of
 * one oneof, a required field missing, too deep, calls out of order), TR_ENOT_FOUND (an Any of an unknown type),
 * TR_ETOO_LARGE, TR_EMEMORY. */
typedef struct tr_proto_writer {
  tr_buf *out;
  tr_error *error;
  const tr_proto_type *type;
  unsigned flags, depth;
  size_t from;                    /* out->len at the beginning */
  bool done, replaying;           /* replaying: the next map is the open one, from the record */
  tr_buf marks;                   /* what frames keep beyond their size, as a stack */
  struct tr_proto_record *record; /* of an Any whose "@type" has not come yet */
  tr_proto_frame frames[TR_DEPTH_MAX];
} tr_proto_writer;
void tr_proto_writer_init(tr_proto_writer *writer, tr_buf *out, const tr_proto_type *type, unsigned flags,
                          tr_error *error);
void tr_proto_writer_fini(tr_proto_writer *writer); /* at the end, or wherever it stopped */
tr_sink tr_proto_sink(tr_proto_writer *writer);

/* ---- google.protobuf.Any as bytes; no pool is needed ---- */

/* Append an Any with this message in it. err: TR_EMEMORY. */
int tr_proto_wrap(tr_buf *out, tr_slice full_name, tr_slice message);
/* Take an Any apart. The name is what is behind the last "/" of type_url; both are borrowed from `any`.
 * err: TR_EINVALID (malformed, no name, one that is not UTF-8). */
int tr_proto_unwrap(tr_slice any, tr_slice *full_name, tr_slice *message, tr_error *error);

#endif
