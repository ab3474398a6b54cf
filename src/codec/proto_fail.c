/* SPDX-License-Identifier: MIT
 * The protobuf writer's errors: the path is read off the open frames, so that nothing is kept for it while all is
 * well. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/text.h"
#include "codec/number.h"
#include "codec/proto_write.h"

/* ---- the path ---- */

#define PATH_MAX_BYTES 240

typedef struct text { char bytes[PATH_MAX_BYTES]; size_t n; } text;

static void add(text *to, tr_slice what) {
  size_t room = sizeof to->bytes - to->n;
  if (what.n > room) what.n = tr_utf8_cut(what, room);
  if (what.n) memcpy(to->bytes + to->n, what.p, what.n);
  to->n += what.n;
}

static void add_key(tr_proto_writer *writer, unsigned level, text *to) {
  const tr_proto_frame *frame = &writer->frames[level];
  size_t end = level + 1 < writer->depth ? frame[1].marks : writer->marks.len;
  if (writer->marks.failed || end < frame->marks) end = frame->marks;
  add(to, TR_SLICE_LITERAL("[\""));
  if (end > frame->marks) add(to, tr_slice_make(writer->marks.data + frame->marks, end - frame->marks));
  add(to, TR_SLICE_LITERAL("\"]"));
}

static void add_path(tr_proto_writer *writer, text *to) {
  for (unsigned i = 0; i < writer->depth; i++) {
    const tr_proto_frame *frame = &writer->frames[i];
    char index[32];
    if (frame->kind == TR_PROTO_AN_ARRAY) {
      int n = snprintf(index, sizeof index, "[%zu]", frame->count + 1);
      if (!frame->turned) add(to, tr_slice_make(index, (size_t)n));
    }
    if (!frame->after_key) continue;
    if (frame->kind == TR_PROTO_A_MAP) {
      add_key(writer, i, to);
      continue;
    }
    if (to->n > 0) add(to, TR_SLICE_LITERAL("."));
    if (frame->kind == TR_PROTO_AN_URL) add(to, TR_SLICE_LITERAL(TR_PROTO_TYPE_KEY));
    else if (!frame->field) add(to, TR_SLICE_LITERAL(TR_PROTO_UNKNOWN));
    else add(to, frame->field->name);
  }
}

int tr_proto_fail(tr_proto_writer *writer, int code, const char *format, ...) {
  tr_error why;
  text path = { .n = 0 };
  va_list args;
  va_start(args, format);
  tr_error_init(&why);
  tr_error_setv(&why, code, format, args);
  va_end(args);
  add_path(writer, &path);
  return tr_error_set(writer->error, code, "%.*s: %.*s%s%s", TR_SLICE_ARG(writer->type->symbol.name), (int)path.n,
                      path.bytes, path.n ? ": " : "", why.text);
}

int tr_proto_no_memory(tr_proto_writer *writer) {
  return tr_error_set(writer->error, TR_EMEMORY, "writing protobuf: out of memory");
}

int tr_proto_no_length(tr_proto_writer *writer, int err) {
  if (err == TR_EMEMORY) return tr_proto_no_memory(writer);
  return err ? tr_proto_fail(writer, err, "a message of 2 GiB or more") : 0;
}

/* ---- expected this, got that ---- */

static const char *got(const tr_proto_given *given, char *room, size_t size) {
  char digits[TR_NUMBER_TEXT];
  size_t n;
  switch (given->kind) {
    case TR_PROTO_NULL: return "null";
    case TR_PROTO_BOOLEAN: return "a boolean";
    case TR_PROTO_INTEGER: snprintf(room, size, "the integer %" PRId64, given->integer); return room;
    case TR_PROTO_NUMBER:
      if (isnan(given->number)) return "NaN";
      if (isinf(given->number)) return given->number < 0 ? "-Infinity" : "Infinity";
      n = tr_number_write(given->number, digits);
      snprintf(room, size, "the number %.*s", (int)n, digits);
      return room;
    case TR_PROTO_STRING:
      n = tr_utf8_cut(given->text, 40);
      snprintf(room, size, "the string \"%.*s\"%s", (int)n, given->text.p ? given->text.p : "",
               n < given->text.n ? "…" : "");
      return room;
    case TR_PROTO_BYTES: return "bytes";
    case TR_PROTO_ARRAY: return "an array";
    case TR_PROTO_MAP: break;
  }
  return "a map";
}

int tr_proto_expected_text(tr_proto_writer *writer, const char *what, const tr_proto_given *given) {
  char room[96];
  return tr_proto_fail(writer, TR_EINVALID, "expected %s, got %s", what, got(given, room, sizeof room));
}

static const char *const names[] = {
  [TR_PROTO_T_DOUBLE] = "a double", [TR_PROTO_T_FLOAT] = "a float", [TR_PROTO_T_INT64] = "an int64",
  [TR_PROTO_T_UINT64] = "a uint64 (0 to 2^64-1)", [TR_PROTO_T_INT32] = "an int32 (-2^31 to 2^31-1)",
  [TR_PROTO_T_FIXED64] = "a fixed64 (0 to 2^64-1)", [TR_PROTO_T_FIXED32] = "a fixed32 (0 to 2^32-1)",
  [TR_PROTO_T_BOOL] = "a boolean", [TR_PROTO_T_STRING] = "a string (UTF-8)", [TR_PROTO_T_BYTES] = "bytes or a string",
  [TR_PROTO_T_UINT32] = "a uint32 (0 to 2^32-1)", [TR_PROTO_T_SFIXED32] = "an sfixed32 (-2^31 to 2^31-1)",
  [TR_PROTO_T_SFIXED64] = "an sfixed64", [TR_PROTO_T_SINT32] = "an sint32 (-2^31 to 2^31-1)",
  [TR_PROTO_T_SINT64] = "an sint64"
};

int tr_proto_expected(tr_proto_writer *writer, const tr_proto_field *field, bool item, const tr_proto_given *given) {
  char room[96];
  const char *const value = got(given, room, sizeof room);
  bool array = field->repeated && !field->is_map && !item;
  const char *before = array ? "an array, each " : "";
  if (field->message)
    return tr_proto_fail(writer, TR_EINVALID, "expected %sa map (%.*s), got %s", before,
                         TR_SLICE_ARG(field->is_map ? field->name : field->message->symbol.name), value);
  if (field->enumeration)
    return tr_proto_fail(writer, TR_EINVALID, "expected %sa name or number of the enum %.*s, got %s", before,
                         TR_SLICE_ARG(field->enumeration->symbol.name), value);
  return tr_proto_fail(writer, TR_EINVALID, "expected %s%s, got %s", before, names[field->type], value);
}

/* ---- names that are not there ---- */

/* One more candidate; as tr_text_nearest has it, for names that are slices. */
static void consider(tr_slice wanted, tr_slice name, unsigned *bound, tr_slice *nearest) {
  unsigned distance = *bound ? tr_text_distance(wanted, name, *bound) : 1;
  if (distance > *bound || distance >= wanted.n) return;
  *nearest = name;
  *bound = distance - (distance > 0);
}

static int no_such(tr_proto_writer *writer, const char *what, tr_slice type, tr_slice name, tr_slice nearest) {
  name.n = tr_utf8_cut(name, 60);
  if (nearest.n == 0)
    return tr_proto_fail(writer, TR_EINVALID, "%.*s has no %s \"%.*s\"", TR_SLICE_ARG(type), what, TR_SLICE_ARG(name));
  return tr_proto_fail(writer, TR_EINVALID, "%.*s has no %s \"%.*s\" (did you mean \"%.*s\"?)", TR_SLICE_ARG(type),
                       what, TR_SLICE_ARG(name), TR_SLICE_ARG(nearest));
}

static unsigned first_bound(tr_slice name) { return name.n < 4 ? 1 : name.n < 9 ? 2 : 3; }

int tr_proto_no_field(tr_proto_writer *writer, const tr_proto_type *type, tr_slice name) {
  tr_slice nearest = { 0, 0 };
  unsigned bound = first_bound(name);
  for (size_t i = 0; i < type->count; i++) consider(name, type->fields[i].name, &bound, &nearest);
  return no_such(writer, "field", type->symbol.name, name, nearest);
}

int tr_proto_no_enum_value(tr_proto_writer *writer, const tr_proto_enum *enumeration, tr_slice name) {
  tr_slice nearest = { 0, 0 };
  unsigned bound = first_bound(name);
  for (size_t i = 0; i < enumeration->count; i++) consider(name, enumeration->by_name[i].name, &bound, &nearest);
  return no_such(writer, "value", enumeration->symbol.name, name, nearest);
}
