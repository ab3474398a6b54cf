/* SPDX-License-Identifier: MIT
 * google.protobuf.Any: a message beside the name of its type. As bytes it is two fields. In the value model it is a map
 * with "@type", the one thing that cannot be written as it comes: a script's table has no order, so "@type" may be its
 * last member. Where it is the first, all goes straight on. Else the members are recorded in the native format up to
 * the end of the map, and then given to the writer's sink again, in the open frame, whose type is known by then. */
#include "base/text.h"
#include "codec/native.h"
#include "codec/proto_write.h"

typedef struct tr_proto_record {
  tr_native_writer native;
  tr_sink sink;
  tr_buf bytes, url;
  unsigned depth; /* of maps and arrays, the Any's own included */
  bool url_due, has_url;
} record;

/* ---- as bytes ---- */

static tr_slice name_of_url(tr_slice url) {
  size_t from = url.n;
  if (url.n == 0) return url;
  while (from > 0 && url.p[from - 1] != '/') from--;
  return tr_slice_make(url.p + from, url.n - from);
}

const tr_proto_type *tr_proto_type_of_url(const tr_proto_pool *pool, tr_slice url) {
  return url.n ? tr_proto_pool_find(pool, name_of_url(url)) : NULL;
}

int tr_proto_wrap(tr_buf *out, tr_slice full_name, tr_slice message) {
  tr_proto_put_key(out, 1, TR_PROTO_LENGTH);
  tr_proto_put_varint(out, sizeof TR_PROTO_URL - 1 + full_name.n);
  tr_buf_text(out, TR_PROTO_URL);
  tr_buf_slice(out, full_name);
  if (message.n > 0) tr_proto_put_bytes(out, 2, message);
  return out->failed ? TR_EMEMORY : 0;
}

int tr_proto_unwrap(tr_slice any, tr_slice *full_name, tr_slice *message, tr_error *error) {
  tr_proto_reader reader = tr_proto_reader_of(any);
  tr_proto_token token;
  tr_slice url = { 0, 0 };
  int read;
  *message = (tr_slice){ 0, 0 };
  while ((read = tr_proto_read(&reader, &token)) > 0) {
    if (token.number == 1 && token.wire == TR_PROTO_LENGTH) url = token.bytes;
    if (token.number == 2 && token.wire == TR_PROTO_LENGTH) *message = token.bytes;
  }
  *full_name = name_of_url(url);
  if (read < 0) return tr_error_set(error, TR_EINVALID, "google.protobuf.Any: malformed");
  if (full_name->n == 0 || !tr_utf8_valid(url))
    return tr_error_set(error, TR_EINVALID, "google.protobuf.Any: no name of a type in it");
  return 0;
}

/* ---- in the writer ---- */

void tr_proto_open_any(tr_proto_writer *writer, tr_proto_frame *frame, tr_slice prefix, tr_slice name) {
  tr_proto_put_key(writer->out, 1, TR_PROTO_LENGTH);
  tr_proto_put_varint(writer->out, prefix.n + name.n);
  tr_buf_slice(writer->out, prefix);
  tr_buf_slice(writer->out, name);
  tr_proto_put_key(writer->out, 2, TR_PROTO_LENGTH);
  frame->start = tr_proto_open_length(writer->out);
  frame->in_any = true;
}

int tr_proto_any_url(tr_proto_writer *writer, tr_slice url) {
  tr_proto_frame *frame = tr_proto_top(writer);
  const tr_proto_type *type = tr_proto_type_of_url(writer->type->pool, url);
  bool bare = !url.n || !memchr(url.p, '/', url.n);
  if (!type || type->map_entry || !tr_utf8_valid(url))
    return tr_proto_fail(writer, TR_ENOT_FOUND, "the message type \"%.*s\" is not loaded", TR_SLICE_ARG(url));
  if (type->is_any) return tr_proto_fail(writer, TR_EINVALID, "an Any in an Any is written as type_url and value");
  frame->after_key = false;
  tr_proto_open_any(writer, frame, bare ? TR_SLICE_LITERAL(TR_PROTO_URL) : (tr_slice){ 0, 0 }, url);
  return writer->out->failed ? tr_proto_no_memory(writer) : tr_proto_set_type(writer, frame, type);
}

static void free_record(record *self, tr_mem *mem) {
  if (!self) return;
  tr_buf_fini(&self->bytes);
  tr_buf_fini(&self->url);
  TR_DELETE(mem, self);
}

void tr_proto_record_free(tr_proto_writer *writer) {
  free_record(writer->record, writer->out->mem);
  writer->record = NULL;
}

int tr_proto_record_key(tr_proto_writer *writer, tr_slice key) {
  record *self = writer->record;
  self->url_due = self->depth == 1 && tr_slice_is(key, TR_PROTO_TYPE_KEY);
  return self->url_due ? 0 : self->sink.key(self->sink.ud, key);
}

int tr_proto_record_begin(tr_proto_writer *writer, tr_slice key) {
  tr_mem *mem = writer->out->mem;
  record *self = TR_NEW(mem, record);
  if (!self) return tr_proto_no_memory(writer);
  tr_buf_init(&self->bytes, mem);
  tr_buf_init(&self->url, mem);
  tr_native_writer_init(&self->native, &self->bytes, writer->error);
  self->sink = tr_native_sink(&self->native);
  self->depth = 1;
  writer->record = self;
  int err = self->sink.begin_map(self->sink.ud, TR_SIZE_UNKNOWN);
  return err ? err : tr_proto_record_key(writer, key);
}

/* The Any's map has ended: now its type is known, or it is a plain message. */
static int replay(tr_proto_writer *writer) {
  record *self = writer->record;
  tr_proto_frame *frame = tr_proto_top(writer);
  tr_sink sink = tr_proto_sink(writer);
  writer->record = NULL;
  int err;
  if (self->has_url) err = tr_proto_any_url(writer, tr_buf_view(&self->url));
  else err = tr_proto_set_type(writer, frame, frame->type);
  writer->replaying = true;
  if (!err) err = tr_native_parse(tr_buf_view(&self->bytes), &sink, writer->error);
  free_record(self, writer->out->mem);
  return err;
}

int tr_proto_record_value(tr_proto_writer *writer, const tr_proto_given *given) {
  record *self = writer->record;
  const tr_sink *sink = &self->sink;
  if (self->url_due) {
    self->url_due = false;
    if (given->kind != TR_PROTO_STRING) return tr_proto_expected_text(writer, "a string for \"@type\"", given);
    if (self->has_url) return tr_proto_fail(writer, TR_EINVALID, "\"@type\" is given twice");
    self->has_url = true;
    return tr_buf_slice(&self->url, given->text) ? 0 : tr_proto_no_memory(writer);
  }
  switch (given->kind) {
    case TR_PROTO_NULL: return sink->null(sink->ud);
    case TR_PROTO_BOOLEAN: return sink->boolean(sink->ud, given->boolean);
    case TR_PROTO_INTEGER: return sink->integer(sink->ud, given->integer);
    case TR_PROTO_NUMBER: return sink->number(sink->ud, given->number);
    case TR_PROTO_STRING: return sink->string(sink->ud, given->text);
    case TR_PROTO_BYTES: return sink->bytes(sink->ud, given->text);
    case TR_PROTO_ARRAY: self->depth++; return sink->begin_array(sink->ud, TR_SIZE_UNKNOWN);
    case TR_PROTO_MAP: self->depth++; return sink->begin_map(sink->ud, TR_SIZE_UNKNOWN);
  }
  return 0;
}

int tr_proto_record_end(tr_proto_writer *writer, bool map) {
  record *self = writer->record;
  int err = map ? self->sink.end_map(self->sink.ud) : self->sink.end_array(self->sink.ud);
  return err || --self->depth > 0 ? err : replay(writer);
}
