/* SPDX-License-Identifier: MIT
 * The protobuf writer: a sink that knows at each moment which field's value is due, from a stack of frames, one for
 * each open message, array and map. Values go straight to the buffer; lengths are filled in when a container ends
 * (proto_wire.c says how).
 *
 * Read next: proto_value.c, proto_any.c, proto_fail.c. */
#include "base/text.h"
#include "codec/proto_write.h"

#define NO_LENGTH SIZE_MAX /* of a frame's start or outer */

static int misuse(tr_proto_writer *writer, const char *what) {
  return tr_proto_fail(writer, TR_EINVALID, "%s", what);
}

/* ---- frames ---- */

static tr_proto_frame *push(tr_proto_writer *writer, uint8_t kind) {
  if (writer->depth == TR_DEPTH_MAX) {
    tr_proto_fail(writer, TR_EINVALID, "more than %d levels deep", TR_DEPTH_MAX);
    return NULL;
  }
  tr_proto_frame *frame = &writer->frames[writer->depth++];
  *frame = (tr_proto_frame){ .kind = kind, .start = NO_LENGTH, .outer = NO_LENGTH, .marks = writer->marks.len };
  return frame;
}

static void pop(tr_proto_writer *writer) {
  tr_proto_frame *frame = &writer->frames[--writer->depth];
  if (writer->marks.len > frame->marks) writer->marks.len = frame->marks;
}

/* A value is complete: what is around it goes on. */
static int value_done(tr_proto_writer *writer) {
  tr_proto_frame *frame = tr_proto_top(writer);
  if (writer->out->failed) return tr_proto_no_memory(writer);
  int err = 0;
  if (!frame) {
    writer->done = true;
    return writer->out->len - writer->from > TR_PROTO_SIZE_MAX ? tr_proto_no_length(writer, TR_ETOO_LARGE) : 0;
  }
  frame->count++;
  frame->after_key = false;
  if (frame->kind == TR_PROTO_A_MAP) err = tr_proto_no_length(writer, tr_proto_close_length(writer->out, frame->start));
  return err;
}

/* ---- which fields a message was given ---- */

static uint8_t *seen_byte(tr_proto_writer *writer, const tr_proto_frame *frame, size_t index) {
  return writer->marks.data + frame->marks + index / 8;
}

static bool is_seen(tr_proto_writer *writer, const tr_proto_frame *frame, size_t index) {
  if (frame->type->count <= 64) return frame->seen >> index & 1;
  return *seen_byte(writer, frame, index) >> (index & 7) & 1;
}

static void set_seen(tr_proto_writer *writer, tr_proto_frame *frame, size_t index, bool seen) {
  if (frame->type->count <= 64) {
    uint64_t bit = UINT64_C(1) << index;
    frame->seen = seen ? frame->seen | bit : frame->seen & ~bit;
  } else {
    uint8_t *byte = seen_byte(writer, frame, index), bit = (uint8_t)(1 << (index & 7));
    *byte = (uint8_t)(seen ? *byte | bit : *byte & ~bit);
  }
}

int tr_proto_set_type(tr_proto_writer *writer, tr_proto_frame *frame, const tr_proto_type *type) {
  frame->kind = TR_PROTO_A_MESSAGE;
  frame->type = type;
  if (type->count <= 64) return 0;
  size_t n = (type->count + 7) / 8;
  if (!tr_buf_reserve(&writer->marks, n)) return tr_proto_no_memory(writer);
  memset(writer->marks.data + writer->marks.len, 0, n);
  writer->marks.len += n;
  return 0;
}

/* ---- messages ---- */

/* `field`: whose value the message is; NULL: the whole. */
static int open_message(tr_proto_writer *writer, const tr_proto_type *type, const tr_proto_field *field, bool turned) {
  tr_proto_frame *frame = push(writer, TR_PROTO_A_MESSAGE);
  if (!frame) return TR_EINVALID;
  frame->turned = turned;
  if (field) {
    tr_proto_put_key(writer->out, field->number, TR_PROTO_LENGTH);
    frame->outer = tr_proto_open_length(writer->out);
  } else if (writer->flags & TR_PROTO_ANY) {
    tr_proto_open_any(writer, frame, TR_SLICE_LITERAL(TR_PROTO_URL), type->symbol.name);
    if (type->is_any) { /* its own content is what `start` will be needed for */
      frame->outer = frame->start;
      frame->in_any = false;
    }
  }
  if (writer->out->failed) return tr_proto_no_memory(writer);
  int err = tr_proto_set_type(writer, frame, type);
  if (type->is_any && !turned) frame->kind = TR_PROTO_AN_ANY;
  return err;
}

static int check_required(tr_proto_writer *writer, const tr_proto_frame *frame) {
  for (size_t i = 0; i < frame->type->count; i++) {
    const tr_proto_field *field = &frame->type->fields[i];
    if (field->required && !is_seen(writer, frame, i))
      return tr_proto_fail(writer, TR_EINVALID, "the required field %.*s is missing", TR_SLICE_ARG(field->name));
  }
  return 0;
}

static int close_message(tr_proto_writer *writer) {
  tr_proto_frame *frame = tr_proto_top(writer);
  int err = frame->type->required ? check_required(writer, frame) : 0;
  bool empty = frame->in_any && writer->out->len == frame->start;
  if (empty) writer->out->len = frame->start - 2; /* key and length: an empty value is not written */
  else if (!err && frame->in_any) err = tr_proto_no_length(writer, tr_proto_close_length(writer->out, frame->start));
  if (!err && frame->outer != NO_LENGTH)
    err = tr_proto_no_length(writer, tr_proto_close_length(writer->out, frame->outer));
  pop(writer);
  return err ? err : value_done(writer);
}

static int check_oneof(tr_proto_writer *writer, const tr_proto_frame *frame, const tr_proto_field *field) {
  for (size_t i = 0; i < frame->type->count; i++) {
    const tr_proto_field *other = &frame->type->fields[i];
    if (other->oneof == field->oneof && is_seen(writer, frame, i))
      return tr_proto_fail(writer, TR_EINVALID, "%.*s and %.*s: only one member of the oneof %.*s may be set",
                           TR_SLICE_ARG(other->name), TR_SLICE_ARG(field->name),
                           TR_SLICE_ARG(frame->type->oneofs[field->oneof]));
  }
  return 0;
}

static int message_key(tr_proto_writer *writer, tr_proto_frame *frame, tr_slice name) {
  const tr_proto_field *field = tr_proto_field_by_name(frame->type, name);
  if (!field && !tr_slice_is(name, TR_PROTO_UNKNOWN)) return tr_proto_no_field(writer, frame->type, name);
  if (field && is_seen(writer, frame, field->index))
    return tr_proto_fail(writer, TR_EINVALID, "the field %.*s is given twice", TR_SLICE_ARG(field->name));
  int err = field && field->oneof >= 0 ? check_oneof(writer, frame, field) : 0;
  if (err) return err;
  if (field) set_seen(writer, frame, field->index, true);
  frame->field = field;
  frame->after_key = true;
  return 0;
}

/* ---- arrays and maps ---- */

static int open_list(tr_proto_writer *writer, const tr_proto_field *field, bool turned) {
  tr_proto_frame *frame = push(writer, field->is_map ? TR_PROTO_A_MAP : TR_PROTO_AN_ARRAY);
  if (!frame) return TR_EINVALID;
  frame->turned = turned;
  frame->field = field;
  frame->outer = writer->out->len; /* to go back to where it stays empty */
  if (!field->packed) return 0;
  tr_proto_put_key(writer->out, field->number, TR_PROTO_LENGTH);
  frame->start = tr_proto_open_length(writer->out);
  return writer->out->failed ? tr_proto_no_memory(writer) : 0;
}

static int close_list(tr_proto_writer *writer) {
  tr_proto_frame *frame = tr_proto_top(writer);
  int err = 0;
  if (frame->count == 0) writer->out->len = frame->outer;
  else if (frame->field->packed) err = tr_proto_no_length(writer, tr_proto_close_length(writer->out, frame->start));
  pop(writer);
  return err ? err : value_done(writer);
}

static int map_key(tr_proto_writer *writer, tr_proto_frame *frame, tr_slice key) {
  enum { ENOUGH = 60 }; /* of the key, for the path in errors */
  if (writer->marks.len > frame->marks) writer->marks.len = frame->marks;
  tr_slice text = key;
  text.n = tr_utf8_cut(text, ENOUGH);
  if (!tr_buf_slice(&writer->marks, text)) return tr_proto_no_memory(writer);
  frame->after_key = true;
  tr_proto_put_key(writer->out, frame->field->number, TR_PROTO_LENGTH);
  frame->start = tr_proto_open_length(writer->out);
  if (writer->out->failed) return tr_proto_no_memory(writer);
  return tr_proto_put_map_key(writer, tr_proto_map_key(frame->field), key);
}

/* ---- the sink ---- */

static int on_key(void *ud, tr_slice utf8) {
  tr_proto_writer *writer = ud;
  tr_proto_frame *frame = tr_proto_top(writer);
  if (writer->record) return tr_proto_record_key(writer, utf8);
  if (frame && frame->kind == TR_PROTO_AN_ARRAY && frame->turned)
    return tr_proto_expected(writer, frame->field, false, &(tr_proto_given){ .kind = TR_PROTO_MAP });
  if (!frame || frame->kind == TR_PROTO_AN_ARRAY || frame->after_key || frame->turned)
    return misuse(writer, "a key where none belongs");
  if (frame->kind == TR_PROTO_A_MAP) return map_key(writer, frame, utf8);
  if (frame->kind == TR_PROTO_A_MESSAGE) return message_key(writer, frame, utf8);
  if (!tr_slice_is(utf8, TR_PROTO_TYPE_KEY)) return tr_proto_record_begin(writer, utf8);
  frame->kind = TR_PROTO_AN_URL;
  frame->after_key = true;
  return 0;
}

static int out_of_place(tr_proto_writer *writer, const tr_proto_given *given) {
  tr_proto_frame *frame = tr_proto_top(writer);
  if (!frame && writer->done) return misuse(writer, "a second value");
  if (!frame) return tr_proto_expected_text(writer, "a map", given);
  if (!frame->turned) return misuse(writer, "a value without a key");
  return tr_proto_expected_text(writer, "a map", &(tr_proto_given){ .kind = TR_PROTO_ARRAY });
}

/* A value that is not a container. */
static int on_value(tr_proto_writer *writer, const tr_proto_given *given) {
  tr_proto_frame *frame = tr_proto_top(writer);
  const tr_proto_field *field = frame ? frame->field : NULL;
  bool array = frame && frame->kind == TR_PROTO_AN_ARRAY;
  int err;
  if (writer->record) return tr_proto_record_value(writer, given);
  if (!frame || (array ? frame->turned : !frame->after_key)) return out_of_place(writer, given);
  if (array) {
    err = tr_proto_put_value(writer, field, !field->packed, false, given);
  } else if (frame->kind == TR_PROTO_A_MAP) {
    err = tr_proto_put_value(writer, tr_proto_map_value(field), true, false, given);
  } else if (frame->kind == TR_PROTO_AN_URL) {
    if (given->kind != TR_PROTO_STRING) return tr_proto_expected_text(writer, "a string", given);
    return tr_proto_any_url(writer, given->text);
  } else if (!field) {
    err = tr_proto_put_unknown(writer, given);
  } else if (given->kind == TR_PROTO_NULL) {
    set_seen(writer, frame, field->index, false);
    err = 0;
  } else if (field->repeated) {
    err = tr_proto_expected(writer, field, false, given);
  } else {
    err = tr_proto_put_value(writer, field, true, !field->presence, given);
  }
  return err ? err : value_done(writer);
}

static int on_null(void *ud) { return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_NULL }); }
static int on_boolean(void *ud, bool value) {
  return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_BOOLEAN, .boolean = value });
}
static int on_integer(void *ud, int64_t value) {
  return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_INTEGER, .integer = value });
}
static int on_number(void *ud, double value) {
  return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_NUMBER, .number = value });
}
static int on_string(void *ud, tr_slice utf8) {
  return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_STRING, .text = utf8 });
}
static int on_bytes(void *ud, tr_slice bytes) {
  return on_value(ud, &(tr_proto_given){ .kind = TR_PROTO_BYTES, .text = bytes });
}

static int begin(tr_proto_writer *writer, bool map) {
  tr_proto_frame *frame = tr_proto_top(writer);
  tr_proto_given given = { .kind = map ? TR_PROTO_MAP : TR_PROTO_ARRAY };
  if (writer->record) return tr_proto_record_value(writer, &given);
  if (writer->replaying) {
    writer->replaying = false;
    return 0;
  }
  if (!frame) return writer->done ? out_of_place(writer, &given) : open_message(writer, writer->type, NULL, !map);
  bool array = frame->kind == TR_PROTO_AN_ARRAY;
  if (array ? frame->turned : !frame->after_key) return out_of_place(writer, &given);
  if (frame->kind == TR_PROTO_AN_URL) return tr_proto_expected_text(writer, "a string", &given);
  const tr_proto_field *field = frame->field;
  if (!field) return tr_proto_put_unknown(writer, &given);
  if (frame->kind == TR_PROTO_A_MAP) field = tr_proto_map_value(field);
  else if (!array && field->repeated) return open_list(writer, field, map != field->is_map);
  if (!field->message) return tr_proto_expected(writer, field, true, &given);
  return open_message(writer, field->message, field, !map);
}

static int end(tr_proto_writer *writer, bool map) {
  tr_proto_frame *frame = tr_proto_top(writer);
  if (writer->record) return tr_proto_record_end(writer, map);
  if (!frame || frame->after_key) return misuse(writer, "an end without a begin");
  bool array = frame->kind == TR_PROTO_AN_ARRAY;
  if ((array != frame->turned) == map) return misuse(writer, "an end without a begin");
  return array || frame->kind == TR_PROTO_A_MAP ? close_list(writer) : close_message(writer);
}

static int on_begin_array(void *ud, size_t count) { return (void)count, begin(ud, false); }
static int on_begin_map(void *ud, size_t count) { return (void)count, begin(ud, true); }
static int on_end_array(void *ud) { return end(ud, false); }
static int on_end_map(void *ud) { return end(ud, true); }

void tr_proto_writer_init(tr_proto_writer *writer, tr_buf *out, const tr_proto_type *type, unsigned flags,
                          tr_error *error) {
  writer->out = out;
  writer->error = error;
  writer->type = type;
  writer->flags = flags;
  writer->depth = 0;
  writer->from = out->len;
  writer->done = writer->replaying = false;
  writer->record = NULL;
  tr_buf_init(&writer->marks, out->mem);
}

void tr_proto_writer_fini(tr_proto_writer *writer) {
  tr_proto_record_free(writer);
  tr_buf_fini(&writer->marks);
}

tr_sink tr_proto_sink(tr_proto_writer *writer) {
  return (tr_sink){ .null = on_null, .boolean = on_boolean, .integer = on_integer, .number = on_number,
                    .string = on_string, .bytes = on_bytes, .begin_array = on_begin_array, .end_array = on_end_array,
                    .begin_map = on_begin_map, .key = on_key, .end_map = on_end_map, .ud = writer };
}
