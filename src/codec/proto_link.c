/* SPDX-License-Identifier: MIT
 * After all files of a set are read: type names become pointers, protobuf's rules that reading and writing rely on are
 * checked, and each type gets its sorted tables: fields by number, names (proto and json), enum values by name and
 * number. Look-ups are binary searches: a type has tens of fields, and a hash of each would cost more. */
#include "codec/proto_types.h"
#include "codec/proto_wire.h"

/* ---- sorting: heap sort, since qsort may allocate and a set comes from outside ---- */

typedef int compare_fn(const void *a, const void *b);

static void swap(char *a, char *b, size_t size) {
  for (size_t i = 0; i < size; i++) {
    char c = a[i];
    a[i] = b[i];
    b[i] = c;
  }
}

static void sink_down(char *base, size_t at, size_t n, size_t size, compare_fn *compare) {
  for (size_t child; (child = 2 * at + 1) < n; at = child) {
    if (child + 1 < n && compare(base + child * size, base + (child + 1) * size) < 0) child++;
    if (compare(base + at * size, base + child * size) >= 0) return;
    swap(base + at * size, base + child * size, size);
  }
}

static void sort(void *items, size_t n, size_t size, compare_fn *compare) {
  char *base = items;
  for (size_t i = n / 2; i-- > 0;) sink_down(base, i, n, size, compare);
  for (size_t i = n; i-- > 1;) {
    swap(base, base + i * size, size);
    sink_down(base, 0, i, size, compare);
  }
}

static int compare_names(tr_slice a, tr_slice b) {
  if (a.n != b.n) return a.n < b.n ? -1 : 1;
  return a.n ? memcmp(a.p, b.p, a.n) : 0;
}

/* Equal ones as they are declared: their names lie in the file in that order. */
static int by_place(tr_slice a, tr_slice b) { return a.p < b.p ? -1 : a.p > b.p; }

static int by_number(const void *a, const void *b) {
  const tr_proto_field *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  return by_place(x->name, y->name);
}
static int by_name(const void *a, const void *b) {
  const tr_proto_name *x = a, *y = b;
  int order = compare_names(x->name, y->name);
  if (!order) order = (int)x->json - (int)y->json;
  return order ? order : by_place(x->field->name, y->field->name);
}
static int enum_by_name(const void *a, const void *b) {
  return compare_names(((const tr_proto_enum_value *)a)->name, ((const tr_proto_enum_value *)b)->name);
}
static int enum_by_number(const void *a, const void *b) {
  const tr_proto_enum_value *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  return by_place(x->name, y->name);
}

/* ---- looking up ---- */

const tr_proto_field *tr_proto_field_by_number(const tr_proto_type *type, uint32_t number) {
  /* Most types number their fields from 1 on. */
  if (number - 1 < type->count && type->fields[number - 1].number == number) return &type->fields[number - 1];
  size_t low = 0, high = type->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (type->fields[middle].number < number) low = middle + 1;
    else high = middle;
  }
  return low < type->count && type->fields[low].number == number ? &type->fields[low] : NULL;
}

const tr_proto_field *tr_proto_field_by_name(const tr_proto_type *type, tr_slice name) {
  size_t low = 0, high = type->name_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_names(type->names[middle].name, name);
    if (order == 0) return type->names[middle].field;
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

const tr_proto_enum_value *tr_proto_enum_by_number(const tr_proto_enum *enumeration, int32_t number) {
  size_t low = 0, high = enumeration->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (enumeration->by_number[middle].number < number) low = middle + 1;
    else high = middle;
  }
  const tr_proto_enum_value *found = &enumeration->by_number[low];
  return low < enumeration->count && found->number == number ? found : NULL;
}

const tr_proto_enum_value *tr_proto_enum_by_name(const tr_proto_enum *enumeration, tr_slice name) {
  size_t low = 0, high = enumeration->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare_names(enumeration->by_name[middle].name, name);
    if (order == 0) return &enumeration->by_name[middle];
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  return NULL;
}

/* ---- one field ---- */

static int bad_field(tr_proto_load *load, const tr_proto_type *type, const tr_proto_field *field, const char *why) {
  return tr_proto_bad(load, "%.*s.%.*s: %s", TR_SLICE_ARG(type->symbol.name), TR_SLICE_ARG(field->name), why);
}

static uint8_t wire_of(uint8_t type) {
  switch (type) {
    case TR_PROTO_T_DOUBLE: case TR_PROTO_T_FIXED64: case TR_PROTO_T_SFIXED64: return TR_PROTO_FIXED64;
    case TR_PROTO_T_FLOAT: case TR_PROTO_T_FIXED32: case TR_PROTO_T_SFIXED32: return TR_PROTO_FIXED32;
    case TR_PROTO_T_STRING: case TR_PROTO_T_BYTES: case TR_PROTO_T_MESSAGE: return TR_PROTO_LENGTH;
    default: return TR_PROTO_VARINT;
  }
}

static int resolve(tr_proto_load *load, const tr_proto_type *type, tr_proto_field *field) {
  bool named = field->type == 0 || field->type == TR_PROTO_T_MESSAGE || field->type == TR_PROTO_T_ENUM;
  if (field->type == TR_PROTO_T_GROUP) return bad_field(load, type, field, "groups are not supported");
  if (!named) return 0;
  tr_slice name = field->type_name;
  if (name.n < 2 || name.p[0] != '.') return bad_field(load, type, field, "a type name that is not a full one");
  name = tr_slice_make(name.p + 1, name.n - 1);
  const tr_proto_symbol *symbol = tr_map_get(&load->pool->symbols, name);
  if (!symbol)
    return tr_proto_bad(load, "%.*s.%.*s: the type %.*s is missing (made with protoc --include_imports?)",
                        TR_SLICE_ARG(type->symbol.name), TR_SLICE_ARG(field->name), TR_SLICE_ARG(name));
  uint8_t kind = symbol->is_enum ? TR_PROTO_T_ENUM : TR_PROTO_T_MESSAGE;
  if (field->type != 0 && field->type != kind) return bad_field(load, type, field, "its type is of another kind");
  field->type = kind;
  if (symbol->is_enum) field->enumeration = (const tr_proto_enum *)(const void *)symbol;
  else field->message = (const tr_proto_type *)(const void *)symbol;
  return 0;
}

static int link_field(tr_proto_load *load, const tr_proto_type *type, tr_proto_field *field) {
  enum { REQUIRED = 2, REPEATED = 3 };
  int err = resolve(load, type, field);
  if (err) return err;
  field->wire = wire_of(field->type);
  field->repeated = field->label == REPEATED;
  field->required = field->label == REQUIRED;
  bool packable = field->repeated && field->wire != TR_PROTO_LENGTH;
  if (field->packed && !packable) return bad_field(load, type, field, "packed, but not a repeated number");
  if (!field->packed_given) field->packed = packable && type->symbol.file->proto3;
  if (field->oneof >= 0 && (size_t)field->oneof >= type->oneof_count)
    return bad_field(load, type, field, "in a oneof that is not there");
  if (field->oneof >= 0 && (field->repeated || field->required))
    return bad_field(load, type, field, "a repeated or required field in a oneof");
  bool by_itself = field->message || field->oneof >= 0 || field->optional3;
  field->presence = !field->repeated && (by_itself || !type->symbol.file->proto3);
  if (field->optional3) field->oneof = -1; /* it is alone in it */
  field->is_map = field->message && field->message->map_entry;
  if (field->is_map && !field->repeated) return bad_field(load, type, field, "a map's entry outside of a map");
  err = tr_proto_link_default(load, type, field);
  field->always = !field->presence || (field->declared_default && field->oneof < 0) || field->required;
  return err;
}

/* ---- one type, one enum ---- */

static int make_names(tr_proto_load *load, tr_proto_type *type) {
  size_t n = 0;
  type->names = tr_proto_take(load, 2 * type->count, sizeof *type->names);
  if (!type->names) return TR_EMEMORY;
  for (size_t i = 0; i < type->count; i++) {
    const tr_proto_field *field = &type->fields[i];
    type->names[n++] = (tr_proto_name){ field->name, field, false };
    if (field->json_name.n > 0 && !tr_slice_equal(field->json_name, field->name))
      type->names[n++] = (tr_proto_name){ field->json_name, field, true };
  }
  sort(type->names, n, sizeof *type->names, by_name);
  /* A json name gives way to a field's own name. */
  for (size_t i = 0; i < n; i++) {
    tr_proto_name *last = type->name_count ? &type->names[type->name_count - 1] : NULL;
    bool same = last && tr_slice_equal(last->name, type->names[i].name);
    if (same && !type->names[i].json) return bad_field(load, type, type->names[i].field, "two fields of this name");
    if (!same) type->names[type->name_count++] = type->names[i];
  }
  type->own_unknown = tr_proto_field_by_name(type, TR_SLICE_LITERAL(TR_PROTO_UNKNOWN)) != NULL;
  return 0;
}

static bool looks_like_any(const tr_proto_type *type) {
  if (!tr_slice_is(type->symbol.name, "google.protobuf.Any") || type->count != 2) return false;
  const tr_proto_field *url = &type->fields[0], *value = &type->fields[1];
  return url->number == 1 && url->type == TR_PROTO_T_STRING && !url->repeated && url->oneof < 0 &&
         value->number == 2 && value->type == TR_PROTO_T_BYTES && !value->repeated && value->oneof < 0;
}

static int link_type(tr_proto_load *load, tr_proto_type *type) {
  load->file = type->symbol.file;
  for (size_t i = 0; i < type->count; i++) {
    int err = link_field(load, type, &type->fields[i]);
    if (err) return err;
  }
  sort(type->fields, type->count, sizeof *type->fields, by_number);
  for (size_t i = 0; i < type->count; i++) {
    tr_proto_field *field = &type->fields[i];
    field->index = i;
    type->always += field->always;
    type->required += field->required;
    if (i > 0 && field[-1].number == field->number)
      return bad_field(load, type, field, "its number is another field's, too");
  }
  type->is_any = looks_like_any(type);
  return make_names(load, type);
}

/* key = 1: no float, bytes, enum or message; value = 2; both plain. */
static int check_map_entry(tr_proto_load *load, const tr_proto_type *type) {
  load->file = type->symbol.file;
  bool good = type->count == 2;
  for (size_t i = 0; good && i < 2; i++) {
    const tr_proto_field *field = &type->fields[i];
    good = field->number == i + 1 && !field->repeated && !field->required && field->oneof < 0;
  }
  uint8_t key = good ? type->fields[0].type : 0;
  if (key == TR_PROTO_T_DOUBLE || key == TR_PROTO_T_FLOAT || key == TR_PROTO_T_BYTES || key == TR_PROTO_T_ENUM ||
      key == TR_PROTO_T_MESSAGE)
    good = false;
  return good ? 0 : tr_proto_bad(load, "%.*s: not the entry of a map", TR_SLICE_ARG(type->symbol.name));
}

static int link_enum(tr_proto_load *load, tr_proto_enum *self) {
  load->file = self->symbol.file;
  sort(self->by_name, self->count, sizeof *self->by_name, enum_by_name);
  sort(self->by_number, self->count, sizeof *self->by_number, enum_by_number);
  for (size_t i = 1; i < self->count; i++)
    if (tr_slice_equal(self->by_name[i - 1].name, self->by_name[i].name))
      return tr_proto_bad(load, "%.*s: two values named %.*s", TR_SLICE_ARG(self->symbol.name),
                          TR_SLICE_ARG(self->by_name[i].name));
  return 0;
}

/* Enums first, for the defaults that name their values. */
int tr_proto_link_set(tr_proto_load *load) {
  int err = 0;
  tr_proto_symbol *symbol;
  for (symbol = load->set->symbols; symbol && !err; symbol = symbol->next)
    if (symbol->is_enum) err = link_enum(load, (tr_proto_enum *)(void *)symbol);
  for (symbol = load->set->symbols; symbol && !err; symbol = symbol->next)
    if (!symbol->is_enum) err = link_type(load, (tr_proto_type *)(void *)symbol);
  for (symbol = load->set->symbols; symbol && !err; symbol = symbol->next)
    if (!symbol->is_enum && ((tr_proto_type *)(void *)symbol)->map_entry)
      err = check_map_entry(load, (tr_proto_type *)(void *)symbol);
  return err;
}
