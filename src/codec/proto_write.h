/* SPDX-License-Identifier: MIT
 * What the files of the protobuf writer share: proto_write.c (containers, keys), proto_value.c (single values),
 * proto_any.c (google.protobuf.Any), proto_fail.c (what went wrong, and where). */
#ifndef TR_CODEC_PROTO_WRITE_H
#define TR_CODEC_PROTO_WRITE_H

#include "codec/proto_types.h"
#include "codec/proto_wire.h"

/* Of frames. AN_ANY: begun, nothing known yet; AN_URL: its "@type" is due. */
enum { TR_PROTO_A_MESSAGE = 1, TR_PROTO_AN_ARRAY, TR_PROTO_A_MAP, TR_PROTO_AN_ANY, TR_PROTO_AN_URL };

/* A value as the sink was given it. */
typedef enum {
  TR_PROTO_NULL, TR_PROTO_BOOLEAN, TR_PROTO_INTEGER, TR_PROTO_NUMBER, TR_PROTO_STRING, TR_PROTO_BYTES,
  TR_PROTO_ARRAY, TR_PROTO_MAP /* of these only that they began */
} tr_proto_kind;
typedef struct tr_proto_given {
  tr_proto_kind kind;
  bool boolean;
  int64_t integer;
  double number;
  tr_slice text;
} tr_proto_given;

static inline tr_proto_frame *tr_proto_top(tr_proto_writer *writer) {
  return writer->depth ? &writer->frames[writer->depth - 1] : NULL;
}

/* ---- proto_write.c ---- */

/* From here on the frame is a message of this type, with none of its fields seen. */
int tr_proto_set_type(tr_proto_writer *writer, tr_proto_frame *frame, const tr_proto_type *type);

/* ---- proto_any.c ---- */

/* Append type_url and begin the value: the frame's content. The caller looks at out->failed. */
void tr_proto_open_any(tr_proto_writer *writer, tr_proto_frame *frame, tr_slice prefix, tr_slice name);
/* The "@type" of the Any in the top frame. */
int tr_proto_any_url(tr_proto_writer *writer, tr_slice url);
/* The first key of an Any is another one: from here on, while writer->record is there, all calls go to these. */
int tr_proto_record_begin(tr_proto_writer *writer, tr_slice key);
int tr_proto_record_key(tr_proto_writer *writer, tr_slice key);
int tr_proto_record_value(tr_proto_writer *writer, const tr_proto_given *given);
int tr_proto_record_end(tr_proto_writer *writer, bool map);
void tr_proto_record_free(tr_proto_writer *writer);

/* ---- proto_value.c ---- */

/* Append the value; with its key in front of it if `keyed`, and not at all if it is the default and `skip`. */
int tr_proto_put_value(tr_proto_writer *writer, const tr_proto_field *field, bool keyed, bool skip,
                       const tr_proto_given *given);
/* Append the key field of a map's entry. */
int tr_proto_put_map_key(tr_proto_writer *writer, const tr_proto_field *key, tr_slice text);
/* Append what was read as "_unknown". */
int tr_proto_put_unknown(tr_proto_writer *writer, const tr_proto_given *given);

/* ---- proto_fail.c: these set the error, with the path to where the writer is, and return the code ---- */

int tr_proto_fail(tr_proto_writer *writer, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
int tr_proto_no_memory(tr_proto_writer *writer);
int tr_proto_no_length(tr_proto_writer *writer, int err); /* what tr_proto_close_length returned */
/* Not what the field (one item of it, if `item`) takes. */
int tr_proto_expected(tr_proto_writer *writer, const tr_proto_field *field, bool item, const tr_proto_given *given);
int tr_proto_expected_text(tr_proto_writer *writer, const char *what, const tr_proto_given *given);
int tr_proto_no_field(tr_proto_writer *writer, const tr_proto_type *type, tr_slice name);
int tr_proto_no_enum_value(tr_proto_writer *writer, const tr_proto_enum *enumeration, tr_slice name);

#endif
