/* SPDX-License-Identifier: MIT
 * What a descriptor set becomes: files, message types, fields, enums, in memory of their set. Private to proto_*.c. */
#ifndef TR_CODEC_PROTO_TYPES_H
#define TR_CODEC_PROTO_TYPES_H

#include "base/map.h"
#include "codec/proto.h"

/* FieldDescriptorProto.Type */
enum {
  TR_PROTO_T_DOUBLE = 1, TR_PROTO_T_FLOAT, TR_PROTO_T_INT64, TR_PROTO_T_UINT64, TR_PROTO_T_INT32, TR_PROTO_T_FIXED64,
  TR_PROTO_T_FIXED32, TR_PROTO_T_BOOL, TR_PROTO_T_STRING, TR_PROTO_T_GROUP, TR_PROTO_T_MESSAGE, TR_PROTO_T_BYTES,
  TR_PROTO_T_UINT32, TR_PROTO_T_ENUM, TR_PROTO_T_SFIXED32, TR_PROTO_T_SFIXED64, TR_PROTO_T_SINT32, TR_PROTO_T_SINT64
};

typedef struct tr_proto_file tr_proto_file;

typedef struct tr_proto_symbol { /* first in what has a full name */
  tr_slice name;
  tr_proto_file *file;
  bool is_enum;
  struct tr_proto_symbol *next; /* of its set */
} tr_proto_symbol;

typedef struct tr_proto_enum_value { tr_slice name; int32_t number; } tr_proto_enum_value;

typedef struct tr_proto_enum {
  tr_proto_symbol symbol;
  int32_t first; /* the number of the first declared: the default */
  size_t count;
  tr_proto_enum_value *by_name, *by_number; /* each sorted; aliases of one number in the order of declaration */
} tr_proto_enum;

typedef struct tr_proto_field {
  tr_slice name, json_name;
  uint32_t number;
  uint8_t type, wire, label;
  bool repeated, packed, required, is_map;
  bool presence; /* absent is another thing than default */
  bool always;   /* read even where it was not set */
  bool declared_default, optional3, packed_given;
  int32_t oneof; /* index into type->oneofs; -1: none (also of proto3's `optional`) */
  size_t index;  /* in type->fields */
  tr_slice type_name, default_text; /* as declared */
  uint64_t default_bits;            /* as on the wire */
  tr_slice default_bytes;
  const struct tr_proto_type *message;
  const tr_proto_enum *enumeration;
} tr_proto_field;

typedef struct tr_proto_name { tr_slice name; const tr_proto_field *field; bool json; } tr_proto_name;

struct tr_proto_type {
  tr_proto_symbol symbol;
  const tr_proto_pool *pool;
  tr_proto_field *fields; /* by number */
  size_t count, always, required;
  tr_proto_name *names; /* proto names and json names, sorted */
  size_t name_count;
  tr_slice *oneofs; /* names, as declared (the synthetic ones included) */
  size_t oneof_count;
  bool map_entry, is_any;
  bool own_unknown; /* has a field of its own that is called so */
};

struct tr_proto_file {
  tr_slice name, bytes; /* of the FileDescriptorProto: all names are slices of it */
  bool proto3;
  tr_slice package;
  tr_proto_file *next; /* of its set */
};

/* Memory of a set: freed with it, never in parts. */
typedef struct tr_proto_set {
  struct tr_proto_set *next; /* of the pool */
  struct tr_proto_chunk *chunks;
  tr_proto_file *files;
  tr_proto_symbol *symbols, *last_symbol; /* in the order of declaration */
} tr_proto_set;

struct tr_proto_pool {
  tr_mem *mem;
  tr_map files, symbols; /* name → tr_proto_file, tr_proto_symbol */
  tr_proto_set *sets;
};

/* Where loading is: for the texts of errors. */
typedef struct tr_proto_load {
  tr_proto_pool *pool;
  tr_proto_set *set;
  tr_proto_file *file;
  tr_error *error;
} tr_proto_load;

#define TR_PROTO_UNKNOWN "_unknown"
#define TR_PROTO_TYPE_KEY "@type"

/* Zeroed, aligned for anything; NULL: no memory (the text is set). */
void *tr_proto_take(tr_proto_load *load, size_t count, size_t size);
int tr_proto_bad(tr_proto_load *load, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* proto_load.c: read load->file->bytes; its types and enums go to the set and to the pool's symbols. */
int tr_proto_load_file(tr_proto_load *load);
/* proto_link.c: after all files of a set are read: type names → types, checks, sorted tables. */
int tr_proto_link_set(tr_proto_load *load);
/* proto_default.c: field->default_text → default_bits, default_bytes. */
int tr_proto_link_default(tr_proto_load *load, const tr_proto_type *type, tr_proto_field *field);
/* Decimal digits, "-" before them where is_signed; false: not that, or beyond `bits` (32, 64). */
bool tr_proto_read_integer(tr_slice text, bool is_signed, unsigned bits, uint64_t *out);

/* ---- looking up ---- */

const tr_proto_field *tr_proto_field_by_number(const tr_proto_type *type, uint32_t number);
const tr_proto_field *tr_proto_field_by_name(const tr_proto_type *type, tr_slice name);
/* NULL: none */
const tr_proto_enum_value *tr_proto_enum_by_number(const tr_proto_enum *enumeration, int32_t number);
const tr_proto_enum_value *tr_proto_enum_by_name(const tr_proto_enum *enumeration, tr_slice name);
/* The type that a type_url names, of this pool; NULL: not there, or no message. */
const tr_proto_type *tr_proto_type_of_url(const tr_proto_pool *pool, tr_slice url);

/* ---- proto_give.c: a number as it is on the wire → the sink; as a value, and as a map's key (no string) ---- */

int tr_proto_give_scalar(const tr_sink *sink, const tr_proto_field *field, uint64_t bits);
int tr_proto_give_key(const tr_sink *sink, const tr_proto_field *field, uint64_t bits);

static inline bool tr_proto_is_text(uint8_t type) { return type == TR_PROTO_T_STRING || type == TR_PROTO_T_BYTES; }
/* Of the fields of a map entry, which the linker checked. */
static inline const tr_proto_field *tr_proto_map_key(const tr_proto_field *map) { return &map->message->fields[0]; }
static inline const tr_proto_field *tr_proto_map_value(const tr_proto_field *map) { return &map->message->fields[1]; }

#endif
