/* SPDX-License-Identifier: MIT
 * What a runtime knows about bodies beyond JSON: message types from descriptor sets, and serializers that were plugged in
 * for a (message type, content type). One a runtime; the script room and the host ask it. */
#ifndef TR_CODEC_CODECS_H
#define TR_CODEC_CODECS_H

#include "base/list.h"
#include "codec/proto.h"
#include "codec/value.h"

#define TR_CODECS_SETS 1000          /* descriptor sets at most */
#define TR_CODECS_SET_MAX (16u << 20) /* bytes of one */
#define TR_SERIALIZERS_MAX 10000
#define TR_CONTENT_TYPE_MAX 128      /* bytes of a content type */

typedef struct tr_codecs tr_codecs;

tr_codecs *tr_codecs_new(tr_mem *mem, uint64_t seed); /* NULL: no memory */
void tr_codecs_free(tr_codecs *codecs);               /* NULL is fine */

/* ---- message types ---- */

/* Add a descriptor set under a name; what that name brought before is replaced. All of it, or nothing is changed.
 * own: copies. err: TR_EINVALID, TR_EEXISTS (see tr_proto_pool_add), TR_ETOO_LARGE, TR_ELIMIT, TR_EMEMORY; the text begins with the name. */
int tr_codecs_load(tr_codecs *codecs, tr_slice name, tr_slice set, tr_error *error);
/* The same while it is not sure that it stays: what it changed goes to the end of the list, whose owner ends that. */
int tr_codecs_try(tr_codecs *codecs, tr_slice name, tr_slice set, tr_link *steps, tr_error *error);
/* What is in the list stays, or all is as it was, but where others have loaded sets since: there it stays, too. */
void tr_codecs_end(tr_codecs *codecs, tr_link *steps, bool keep);
/* Has anything been loaded? To be looked at for each message. */
const bool *tr_codecs_has_types(const tr_codecs *codecs);
/* All types together; NULL: none was loaded. Valid until the next tr_codecs_load. */
const tr_proto_pool *tr_codecs_pool(const tr_codecs *codecs);
/* By full name; NULL: not known. The same validity. */
const tr_proto_type *tr_codecs_type(const tr_codecs *codecs, tr_slice full_name);
/* By full name, or by its last part where only one type has that: "Order" for demo.Order. NULL: none, or several. */
const tr_proto_type *tr_codecs_type_like(const tr_codecs *codecs, tr_slice name);

/* A serialized google.protobuf.Any into the sink: by its own type name; of a type that is not known the map
 * { type_url, value }, which tr_codecs_write puts together again. err: as tr_proto_parse. */
int tr_codecs_read(tr_mem *mem, const tr_codecs *codecs, tr_slice any, const tr_sink *sink, tr_error *error);

/* ---- serializers ---- */

typedef struct tr_serializer_ops {
  /* Append the bytes of the body (borrowed) to out. 0 or a code, with the text in *error. */
  int (*encode)(void *ud, tr_slice type, const tr_value *body, tr_buf *out, tr_error *error);
  /* A value that is the caller's, made in mem; NULL: *error says why. */
  tr_value *(*decode)(void *ud, tr_mem *mem, tr_slice type, tr_slice bytes, tr_error *error);
  void (*release)(void *ud); /* it was replaced, or all ends; may be NULL */
  void *ud;
} tr_serializer_ops;

typedef struct tr_serializer {
  tr_serializer_ops ops;
  tr_slice type, content_type; /* type "*": any */
} tr_serializer;

/* Add one; one of the same pair is replaced, keeping its number. content_type is compared as it is, without parameters;
 * application/x-protobuf is refused (descriptors do that). err: TR_EINVALID, TR_ELIMIT, TR_EMEMORY. ops.release is not called then. */
int tr_codecs_add(tr_codecs *codecs, tr_slice type, tr_slice content_type, const tr_serializer_ops *ops, tr_error *error);
size_t tr_codecs_count(const tr_codecs *codecs); /* of serializers */
/* The number of the one for this pair, else of the one for any type; 0: none. */
uint32_t tr_codecs_find(const tr_codecs *codecs, tr_slice type, tr_slice content_type);
const tr_serializer *tr_codecs_at(const tr_codecs *codecs, uint32_t number); /* NULL: none */

#endif
