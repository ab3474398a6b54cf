/* SPDX-License-Identifier: MIT
 * A value as a tree, for C: what an embedder builds and reads (include/troupe.h wraps it). */
#ifndef TR_CODEC_VALUE_H
#define TR_CODEC_VALUE_H

#include "base/buf.h"
#include "codec/sink.h"

typedef enum {
  TR_VALUE_NULL = 0, TR_VALUE_BOOLEAN, TR_VALUE_INTEGER, TR_VALUE_NUMBER,
  TR_VALUE_STRING, TR_VALUE_BYTES, TR_VALUE_ARRAY, TR_VALUE_MAP
} tr_value_kind;

typedef struct tr_value tr_value;

tr_value *tr_value_null(tr_mem *mem); /* all constructors: NULL where memory ran out */
tr_value *tr_value_boolean(tr_mem *mem, bool value);
tr_value *tr_value_integer(tr_mem *mem, int64_t value);
tr_value *tr_value_number(tr_mem *mem, double value);
tr_value *tr_value_string(tr_mem *mem, tr_slice utf8); /* copies; NULL also where it is not UTF-8 */
tr_value *tr_value_bytes(tr_mem *mem, tr_slice bytes);
tr_value *tr_value_array(tr_mem *mem);
tr_value *tr_value_map(tr_mem *mem);
void tr_value_free(tr_value *value); /* the whole tree; NULL is fine. Never recursive on depth from outside */

/* own: takes `item` in every case (frees it on failure). TR_EINVALID where the container is of another kind. */
int tr_value_push(tr_value *array, tr_value *item);
int tr_value_set(tr_value *map, tr_slice key, tr_value *item); /* replaces */

tr_value_kind tr_value_get_kind(const tr_value *value);
size_t tr_value_length(const tr_value *value);              /* items, members, bytes */
const tr_value *tr_value_at(const tr_value *value, size_t i); /* array item or map value; NULL out of range */
tr_slice tr_value_key_at(const tr_value *map, size_t i);
const tr_value *tr_value_get(const tr_value *map, tr_slice key); /* NULL: absent */
bool tr_value_as_boolean(const tr_value *value, bool *out);
bool tr_value_as_integer(const tr_value *value, int64_t *out); /* also a whole number within range */
bool tr_value_as_number(const tr_value *value, double *out);   /* also an integer */
bool tr_value_as_string(const tr_value *value, tr_slice *out); /* string or bytes; NUL-terminated behind its end */

/* As source and sink. The sink's tree is taken with tr_value_builder_take (NULL if incomplete); _fini frees what is
 * left. */
int tr_value_walk(const tr_value *value, const tr_sink *sink, tr_error *error);
typedef struct tr_value_builder {
  tr_mem *mem;
  tr_error *error;
  tr_value *root, *key;
  tr_value *stack[TR_DEPTH_MAX + 1];
  unsigned depth;
} tr_value_builder;
void tr_value_builder_init(tr_value_builder *builder, tr_mem *mem, tr_error *error);
tr_sink tr_value_sink(tr_value_builder *builder);
tr_value *tr_value_builder_take(tr_value_builder *builder);
void tr_value_builder_fini(tr_value_builder *builder);

/* printf-like: "{s:i,s:[F,F],s:s,s:b,s:n,s:v}" — s const char *, S tr_slice, i int, I int64_t, F double, b int
 * (boolean), n null, v tr_value * (taken). Keys are s. NULL where the format is wrong or memory ran out (then every v
 * was freed). */
tr_value *tr_value_packv(tr_mem *mem, tr_error *error, const char *format, va_list args);
/* The reverse: "{s:i,s?:F}" reads members by name (s? optional), "[F,F]" items; pointers to
 * int, int64_t, double, int (b), tr_slice, const char *, const tr_value *. err: TR_EINVALID naming the member.
 * Borrowed pointers live as long as the value. */
int tr_value_unpackv(const tr_value *value, tr_error *error, const char *format, va_list args);

#endif
