/* SPDX-License-Identifier: MIT
 * google/protobuf/descriptor.proto read by hand: of its some hundred fields we need thirty, and what reads messages by
 * descriptors has none to read descriptors by.
 *
 * Each message is walked twice: once for its name and for how many of what it holds, then, with the arrays made, for
 * the rest. Names are not copied: they point into the file's bytes, which the set keeps. Nothing is resolved here,
 * since types may be used before they are declared: that is proto_link.c's, which is what to read next. */
#include <stdio.h>

#include "base/text.h"
#include "codec/proto_types.h"
#include "codec/proto_wire.h"

static int malformed(tr_proto_load *load) { return tr_proto_bad(load, "malformed: not a descriptor"); }

/* ---- pieces ---- */

static int take_text(tr_proto_load *load, const tr_proto_token *token, tr_slice *out) {
  if (token->wire != TR_PROTO_LENGTH) return malformed(load);
  *out = token->bytes;
  return 0;
}

static int take_number(tr_proto_load *load, const tr_proto_token *token, int64_t low, int64_t high, int64_t *out) {
  int64_t value = (int64_t)token->value;
  if (token->wire != TR_PROTO_VARINT || value < low || value > high) return malformed(load);
  *out = value;
  return 0;
}

static bool is_identifier(tr_slice name) {
  for (size_t i = 0; i < name.n; i++) {
    char c = name.p[i], lower = (char)(c | 0x20);
    if (c != '_' && (lower < 'a' || lower > 'z') && (i == 0 || c < '0' || c > '9')) return false;
  }
  return name.n > 0;
}

static bool is_dotted(tr_slice name) {
  size_t from = 0;
  for (size_t i = 0; i <= name.n; i++) {
    if (i < name.n && name.p[i] != '.') continue;
    if (!is_identifier(tr_slice_make(name.p + from, i - from))) return false;
    from = i + 1;
  }
  return true;
}

/* scope "." name, in the set's memory. */
static int full_name(tr_proto_load *load, tr_slice scope, tr_slice name, tr_slice *out) {
  if (!is_identifier(name)) return tr_proto_bad(load, "in \"%.*s\": a name that is none", TR_SLICE_ARG(scope));
  size_t before = scope.n ? scope.n + 1 : 0;
  char *text = tr_proto_take(load, before + name.n, 1);
  if (!text) return TR_EMEMORY;
  if (scope.n) {
    memcpy(text, scope.p, scope.n);
    text[scope.n] = '.';
  }
  memcpy(text + before, name.p, name.n);
  *out = tr_slice_make(text, before + name.n);
  return 0;
}

static int add_symbol(tr_proto_load *load, tr_proto_symbol *symbol) {
  tr_proto_symbol *there = tr_map_get(&load->pool->symbols, symbol->name);
  if (there)
    return tr_error_set(load->error, TR_EEXISTS, "descriptor set: %.*s is in the file %.*s and in %.*s",
                        TR_SLICE_ARG(symbol->name), TR_SLICE_ARG(there->file->name), TR_SLICE_ARG(load->file->name));
  symbol->file = load->file;
  if (tr_map_put(&load->pool->symbols, symbol->name, symbol, NULL))
    return tr_error_set(load->error, TR_EMEMORY, "descriptor set: out of memory");
  if (load->set->last_symbol) load->set->last_symbol->next = symbol;
  else load->set->symbols = symbol;
  load->set->last_symbol = symbol;
  return 0;
}

/* How often each field up to 15 occurs as a message or text; the last of field 1 is the name. */
typedef struct survey { size_t counts[16]; tr_slice name; } survey;

static int take_survey(tr_proto_load *load, tr_slice bytes, survey *out) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read;
  memset(out, 0, sizeof *out);
  while ((read = tr_proto_read(&reader, &token)) > 0) {
    if (token.wire != TR_PROTO_LENGTH) continue;
    if (token.number == 1) out->name = token.bytes;
    if (token.number < 16) out->counts[token.number]++;
  }
  return read < 0 ? malformed(load) : 0;
}

/* ---- enums ---- */

static int read_enum_value(tr_proto_load *load, tr_slice bytes, tr_proto_enum_value *out) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int64_t number = 0;
  int read, err = 0;
  while (!err && (read = tr_proto_read(&reader, &token)) != 0) {
    if (read < 0) return malformed(load);
    if (token.number == 1) err = take_text(load, &token, &out->name);
    if (token.number == 2) err = take_number(load, &token, INT32_MIN, INT32_MAX, &number);
  }
  out->number = (int32_t)number;
  if (!err && !is_identifier(out->name)) err = tr_proto_bad(load, "an enum value without a name");
  return err;
}

static int read_enum(tr_proto_load *load, tr_slice scope, tr_slice bytes) {
  survey found;
  int err = take_survey(load, bytes, &found);
  if (err) return err;
  tr_proto_enum *self = tr_proto_take(load, 1, sizeof *self);
  if (!self) return TR_EMEMORY;
  err = full_name(load, scope, found.name, &self->symbol.name);
  if (err) return err;
  if (found.counts[2] == 0) return tr_proto_bad(load, "%.*s: an enum without values", TR_SLICE_ARG(self->symbol.name));
  self->symbol.is_enum = true;
  self->by_name = tr_proto_take(load, found.counts[2], sizeof *self->by_name);
  self->by_number = tr_proto_take(load, found.counts[2], sizeof *self->by_number);
  if (!self->by_name || !self->by_number) return TR_EMEMORY;
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  while (!err && tr_proto_read(&reader, &token) > 0) {
    if (token.number != 2 || token.wire != TR_PROTO_LENGTH) continue;
    err = read_enum_value(load, token.bytes, &self->by_name[self->count]);
    self->by_number[self->count] = self->by_name[self->count];
    self->count++;
  }
  self->first = self->by_name[0].number;
  return err ? err : add_symbol(load, &self->symbol);
}

/* ---- fields ---- */

static int read_field_options(tr_proto_load *load, tr_slice bytes, tr_proto_field *field) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read;
  while ((read = tr_proto_read(&reader, &token)) > 0) {
    if (token.number != 2 || token.wire != TR_PROTO_VARINT) continue;
    field->packed_given = true;
    field->packed = token.value != 0;
  }
  return read < 0 ? malformed(load) : 0;
}

static int read_field_part(tr_proto_load *load, const tr_proto_token *token, tr_proto_field *field) {
  int64_t number = 0;
  int err = 0;
  switch (token->number) {
    case 1: return take_text(load, token, &field->name);
    case 3: err = take_number(load, token, 1, (1 << 29) - 1, &number); field->number = (uint32_t)number; return err;
    case 4: err = take_number(load, token, 1, 3, &number); field->label = (uint8_t)number; return err;
    case 5: err = take_number(load, token, 1, 18, &number); field->type = (uint8_t)number; return err;
    case 6: return take_text(load, token, &field->type_name);
    case 7: field->declared_default = true; return take_text(load, token, &field->default_text);
    case 8: return token->wire == TR_PROTO_LENGTH ? read_field_options(load, token->bytes, field) : malformed(load);
    case 9: err = take_number(load, token, 0, INT32_MAX, &number); field->oneof = (int32_t)number; return err;
    case 10: return take_text(load, token, &field->json_name);
    case 17: err = take_number(load, token, 0, 1, &number); field->optional3 = number != 0; return err;
    default: return 0;
  }
}

static int read_field(tr_proto_load *load, const tr_proto_type *type, tr_slice bytes, tr_proto_field *field) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read, err = 0;
  field->oneof = -1;
  while (!err && (read = tr_proto_read(&reader, &token)) != 0) {
    if (read < 0) return malformed(load);
    err = read_field_part(load, &token, field);
  }
  if (err) return err;
  tr_slice name = type->symbol.name;
  if (!is_identifier(field->name)) return tr_proto_bad(load, "%.*s: a field without a name", TR_SLICE_ARG(name));
  if (field->number == 0 || field->label == 0)
    return tr_proto_bad(load, "%.*s.%.*s: a field without number or label", TR_SLICE_ARG(name),
                        TR_SLICE_ARG(field->name));
  if (!tr_utf8_valid(field->json_name)) return malformed(load);
  return 0;
}

/* ---- messages ---- */

static int read_type(tr_proto_load *load, tr_slice scope, tr_slice bytes, unsigned depth);

static int read_type_options(tr_proto_load *load, tr_slice bytes, tr_proto_type *type) {
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  int read;
  while ((read = tr_proto_read(&reader, &token)) > 0)
    if (token.number == 7 && token.wire == TR_PROTO_VARINT) type->map_entry = token.value != 0;
  return read < 0 ? malformed(load) : 0;
}

static int read_type_part(tr_proto_load *load, const tr_proto_token *token, tr_proto_type *type, unsigned depth) {
  if (token->wire != TR_PROTO_LENGTH) return 0;
  survey found;
  int err;
  switch (token->number) {
    case 2: return read_field(load, type, token->bytes, &type->fields[type->count++]);
    case 3: return read_type(load, type->symbol.name, token->bytes, depth + 1);
    case 4: return read_enum(load, type->symbol.name, token->bytes);
    case 7: return read_type_options(load, token->bytes, type);
    case 8:
      err = take_survey(load, token->bytes, &found);
      if (!err && !is_identifier(found.name)) err = tr_proto_bad(load, "a oneof without a name");
      type->oneofs[type->oneof_count++] = found.name;
      return err;
    default: return 0;
  }
}

static int read_type(tr_proto_load *load, tr_slice scope, tr_slice bytes, unsigned depth) {
  survey found;
  if (depth > TR_DEPTH_MAX) return tr_proto_bad(load, "message types more than %d levels deep", TR_DEPTH_MAX);
  int err = take_survey(load, bytes, &found);
  if (err) return err;
  tr_proto_type *type = tr_proto_take(load, 1, sizeof *type);
  if (!type) return TR_EMEMORY;
  err = full_name(load, scope, found.name, &type->symbol.name);
  if (err) return err;
  type->pool = load->pool;
  type->fields = tr_proto_take(load, found.counts[2], sizeof *type->fields);
  type->oneofs = tr_proto_take(load, found.counts[8], sizeof *type->oneofs);
  if (!type->fields || !type->oneofs) return TR_EMEMORY;
  err = add_symbol(load, &type->symbol);
  tr_proto_reader reader = tr_proto_reader_of(bytes);
  tr_proto_token token;
  while (!err && tr_proto_read(&reader, &token) > 0) err = read_type_part(load, &token, type, depth);
  return err;
}

/* ---- files ---- */

static int check_syntax(tr_proto_load *load, tr_slice syntax) {
  load->file->proto3 = tr_slice_is(syntax, "proto3");
  if (load->file->proto3 || syntax.n == 0 || tr_slice_is(syntax, "proto2")) return 0;
  return tr_proto_bad(load, "its syntax is neither proto2 nor proto3");
}

int tr_proto_load_file(tr_proto_load *load) {
  tr_proto_file *file = load->file;
  tr_slice syntax = { 0, 0 };
  tr_proto_reader reader = tr_proto_reader_of(file->bytes);
  tr_proto_token token;
  int read, err = 0;
  while (!err && (read = tr_proto_read(&reader, &token)) != 0) {
    if (read < 0) return malformed(load);
    if (token.number == 2) err = take_text(load, &token, &file->package);
    if (token.number == 12) err = take_text(load, &token, &syntax);
  }
  if (!err) err = check_syntax(load, syntax);
  if (!err && file->package.n > 0 && !is_dotted(file->package)) err = tr_proto_bad(load, "a package that is no name");
  reader = tr_proto_reader_of(file->bytes);
  while (!err && tr_proto_read(&reader, &token) > 0) {
    if (token.number != 4 && token.number != 5) continue;
    if (token.wire != TR_PROTO_LENGTH) return malformed(load);
    if (token.number == 4) err = read_type(load, file->package, token.bytes, 1);
    else err = read_enum(load, file->package, token.bytes);
  }
  return err;
}
