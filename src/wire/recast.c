/* SPDX-License-Identifier: MIT
 * The body of a message that passes through: reading it, and putting another in its place, where sender and receiver want it in
 * different formats (host/transcode.c). All other fields stay as they came, and in their order; what belongs to the body is left out
 * where it stood and written at the end. */
#include "wire/keys.h"
#include "wire/reader.h"

/* The field of the payload; of an event's attributes. */
enum { REQUEST_PAYLOAD = 5, RESPONSE_PAYLOAD = 2, ATTRIBUTES = 5, BINARY_DATA = 6, TEXT_DATA = 7, PROTO_DATA = 8 };

static uint32_t payload_key(tr_wire_kind kind) {
  return TR_FIELD_KEY(kind == TR_WIRE_REQUEST ? REQUEST_PAYLOAD : RESPONSE_PAYLOAD);
}

/* ---- reading ---- */

static void read_payload(tr_slice payload, tr_wire_body *out) {
  tr_reader reader = tr_reader_of(payload);
  tr_field field;
  while (tr_read_field(&reader, &field) > 0) {
    if (field.key == TR_FIELD_KEY(1)) out->type = field.value;
    if (field.key == TR_FIELD_KEY(2)) out->content_type = field.value;
    if (field.key == TR_FIELD_KEY(3)) out->data = field.value;
  }
}

/* Is it one of the two attributes that tell of the body? */
static tr_slice *body_attribute(tr_slice entry, tr_wire_body *out, tr_slice *value) {
  tr_slice key;
  if (!tr_wire_read_entry(entry, true, &key, value)) return NULL;
  if (tr_slice_is(key, TR_KEY_CONTENT_TYPE)) return &out->content_type;
  return tr_slice_is(key, TR_KEY_SCHEMA) ? &out->type : NULL;
}

static void read_event(tr_slice inner, tr_wire_body *out) {
  tr_reader reader = tr_reader_of(inner);
  tr_field field;
  tr_slice value;
  while (tr_read_field(&reader, &field) > 0) {
    tr_slice *known = field.key == TR_FIELD_KEY(ATTRIBUTES) ? body_attribute(field.value, out, &value) : NULL;
    if (known) *known = value;
    if (field.key < TR_FIELD_KEY(BINARY_DATA) || field.key > TR_FIELD_KEY(PROTO_DATA) || (field.key & 7) != TR_PB_BYTES) continue;
    out->data = field.value; /* a oneof: the last one */
    out->proto_data = field.key == TR_FIELD_KEY(PROTO_DATA);
  }
}

void tr_wire_read_body(const tr_wire_span *span, tr_wire_body *out) {
  *out = (tr_wire_body){ .proto_data = false };
  if (span->kind == TR_WIRE_EVENT) {
    read_event(span->inner, out);
    return;
  }
  tr_reader reader = tr_reader_of(span->inner);
  tr_field field;
  while (tr_read_field(&reader, &field) > 0)
    if (field.key == payload_key(span->kind)) read_payload(field.value, out);
}

/* ---- writing ---- */

static void put_varint(tr_buf *out, uint64_t value) {
  uint8_t bytes[10];
  tr_buf_append(out, bytes, (size_t)(tr_put_varint(bytes, value) - bytes));
}

static void put_field(tr_buf *out, uint32_t key, tr_slice value) {
  put_varint(out, key);
  put_varint(out, value.n);
  tr_buf_slice(out, value);
}

static size_t field_size(tr_slice value) { return 1 + tr_varint_size(value.n) + value.n; } /* of numbers below 16 */

static void put_attribute(tr_buf *out, const char *key, tr_slice value) {
  tr_slice name = tr_slice_of(key);
  size_t text = field_size(value);
  put_varint(out, TR_FIELD_KEY(ATTRIBUTES));
  put_varint(out, field_size(name) + 1 + tr_varint_size(text) + text);
  put_field(out, TR_FIELD_KEY(1), name);
  put_varint(out, TR_FIELD_KEY(2));
  put_varint(out, text);
  put_field(out, TR_FIELD_KEY(3), value); /* ce_string */
}

static bool is_of_body(tr_wire_kind kind, const tr_field *field) {
  tr_wire_body ignored;
  tr_slice value;
  if (kind != TR_WIRE_EVENT) return field->key == payload_key(kind);
  if (field->key == TR_FIELD_KEY(ATTRIBUTES)) return body_attribute(field->value, &ignored, &value) != NULL;
  return field->key == TR_FIELD_KEY(BINARY_DATA) || field->key == TR_FIELD_KEY(TEXT_DATA) || field->key == TR_FIELD_KEY(PROTO_DATA);
}

static void put_body(tr_buf *out, tr_wire_kind kind, const tr_wire_body *body) {
  if (kind == TR_WIRE_EVENT) {
    put_attribute(out, TR_KEY_CONTENT_TYPE, body->content_type);
    put_attribute(out, TR_KEY_SCHEMA, body->type);
    put_field(out, TR_FIELD_KEY(body->proto_data ? PROTO_DATA : BINARY_DATA), body->data);
    return;
  }
  put_varint(out, payload_key(kind));
  put_varint(out, field_size(body->type) + field_size(body->content_type) + field_size(body->data));
  put_field(out, TR_FIELD_KEY(1), body->type);
  put_field(out, TR_FIELD_KEY(2), body->content_type);
  put_field(out, TR_FIELD_KEY(3), body->data);
}

static void put_inner(tr_buf *out, const tr_wire_span *span, const tr_wire_body *body) {
  tr_reader reader = tr_reader_of(span->inner);
  tr_field field;
  while (tr_read_field(&reader, &field) > 0)
    if (!is_of_body(span->kind, &field)) tr_buf_append(out, field.at, (size_t)(reader.p - field.at));
  put_body(out, span->kind, body);
}

/* The message with another inner one. Ends `inner`. */
static tr_blob *around(tr_mem *mem, const tr_wire_span *span, tr_buf *inner) {
  tr_buf whole;
  tr_blob *frame = NULL;
  const char *end = span->inner.p + span->inner.n;
  tr_buf_init(&whole, mem);
  tr_buf_append(&whole, span->whole.p, span->inner_at);
  put_field(&whole, TR_FIELD_KEY(span->kind), tr_buf_view(inner));
  tr_buf_append(&whole, end, (size_t)(span->whole.p + span->whole.n - end));
  if (!inner->failed && !whole.failed) frame = tr_wire_frame(mem, tr_buf_view(&whole));
  tr_buf_fini(inner);
  tr_buf_fini(&whole);
  return frame;
}

tr_blob *tr_wire_recast(tr_mem *mem, const tr_wire_span *span, const tr_wire_body *body) {
  tr_buf inner;
  tr_buf_init(&inner, mem);
  put_inner(&inner, span, body);
  return around(mem, span, &inner);
}

tr_blob *tr_wire_attribute_added(tr_mem *mem, const tr_wire_span *span, const char *key, tr_slice value) {
  tr_buf inner;
  tr_buf_init(&inner, mem);
  tr_buf_slice(&inner, span->inner);
  put_attribute(&inner, key, value);
  return around(mem, span, &inner);
}
