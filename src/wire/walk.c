/* SPDX-License-Identifier: MIT
 * The walk: where in a received agents.Message the few things are that routing needs.
 *
 * A host between two workers reads a request's id, source and target, and an event's topic; everything else goes on
 * as it came, also fields that this program has never heard of. So nothing is decoded: one pass over the fields of
 * the message and of the inner one leaves spans into the bytes. A request of 72 bytes takes 65 ns (and 25 more
 * with another id in a new frame); made into a message of this process it takes 700.
 *
 * It reads what a proto3 decoder would: any order of fields, the last one wins, sub-messages that come in pieces are
 * merged, a known number with another wire type is an unknown field. What is nested deeper (payload, metadata,
 * attributes) is only known to fit into its parent; tr_wire_check looks there, for hosts that do not trust their
 * workers with each other.
 *
 * Read next: splice.c, which forwards with another id; decode.c for messages that are read here. */
#include "base/hint.h"
#include "base/text.h"
#include "wire/reader.h"
#include "wire/wire.h"

int tr_read_field_slow(tr_reader *reader, tr_field *field) {
  uint64_t key, length;
  field->at = reader->p;
  if (reader->p == reader->end) return 0;
  if (!tr_read_varint(reader, &key) || key < 8 || key > UINT32_MAX) return -1;
  field->key = (uint32_t)key;
  const uint8_t *value = reader->p;
  switch (key & 7) {
    case TR_PB_VARINT:
      if (!tr_read_varint(reader, &length)) return -1;
      field->value = tr_slice_make(value, (size_t)(reader->p - value));
      return 1;
    case TR_PB_FIXED64: length = 8; break;
    case TR_PB_FIXED32: length = 4; break;
    case TR_PB_BYTES:
      if (!tr_read_varint(reader, &length)) return -1;
      break;
    default: return -1; /* groups: proto3 has none */
  }
  if (length > (uint64_t)(reader->end - reader->p)) return -1;
  field->value = tr_slice_make(reader->p, (size_t)length);
  reader->p += length;
  return 1;
}

/* ---- the three inner messages ---- */

static int walk_agent(tr_slice bytes, tr_slice *type, tr_slice *key) {
  tr_reader reader = tr_reader_of(bytes);
  tr_field field;
  int more;
  while ((more = tr_read_field(&reader, &field)) > 0) {
    if (field.key == TR_FIELD_KEY(1)) *type = field.value;
    else if (field.key == TR_FIELD_KEY(2)) *key = field.value;
  }
  return more;
}

static void found_id(tr_wire_span *span, const tr_field *field) {
  span->request_id = field->value;
  span->id_at = (size_t)(field->at - (const uint8_t *)span->inner.p);
  span->id_field = (size_t)(field->value.p + field->value.n - (const char *)field->at);
}

static int walk_request(tr_wire_span *span, tr_reader *reader) {
  tr_field field;
  int more;
  while ((more = tr_read_field(reader, &field)) > 0) {
    switch (field.key) {
      case TR_FIELD_KEY(1): found_id(span, &field); break;
      case TR_FIELD_KEY(2):
        span->has_source = true;
        if (walk_agent(field.value, &span->source_type, &span->source_key)) return -1;
        break;
      case TR_FIELD_KEY(3):
        span->has_target = true;
        if (walk_agent(field.value, &span->target_type, &span->target_key)) return -1;
        break;
      case TR_FIELD_KEY(5): span->has_payload = true; break;
      case TR_FIELD_KEY(6): span->has_metadata = true; break;
      default: break;
    }
  }
  return more;
}

static int walk_response(tr_wire_span *span, tr_reader *reader) {
  tr_field field;
  int more;
  while ((more = tr_read_field(reader, &field)) > 0) {
    switch (field.key) {
      case TR_FIELD_KEY(1): found_id(span, &field); break;
      case TR_FIELD_KEY(2): span->has_payload = true; break;
      case TR_FIELD_KEY(3): span->error = field.value; break;
      default: break;
    }
  }
  return more;
}

/* Bytes of the attribute `priority` with a ce_string "high"; "low" is one less. So one look at the length passes over nearly all others. */
enum { PRIORITY_HIGH = 2 + 8 + 2 + 2 + 4 };

static void find_priority(tr_wire_span *span, tr_slice entry) {
  tr_slice key, value;
  if (!tr_wire_read_entry(entry, true, &key, &value) || !tr_slice_is(key, "priority")) return;
  span->priority = tr_slice_is(value, "high") ? TR_PRIORITY_HIGH : tr_slice_is(value, "low") ? TR_PRIORITY_LOW : TR_PRIORITY_NORMAL;
}

static int walk_event(tr_wire_span *span, tr_reader *reader) {
  tr_field field;
  int more;
  while ((more = tr_read_field(reader, &field)) > 0) {
    switch (field.key) {
      case TR_FIELD_KEY(1): span->event_id = field.value; break;
      case TR_FIELD_KEY(2): span->topic_source = field.value; break;
      case TR_FIELD_KEY(4): span->topic_type = field.value; break;
      case TR_FIELD_KEY(5):
        if (field.value.n == PRIORITY_HIGH || field.value.n == PRIORITY_HIGH - 1) find_priority(span, field.value);
        break;
      case TR_FIELD_KEY(6):
      case TR_FIELD_KEY(7):
      case TR_FIELD_KEY(8): /* a oneof: the last one */
        span->has_binary_data = field.key == TR_FIELD_KEY(6);
        span->has_text_data = field.key == TR_FIELD_KEY(7);
        span->has_proto_data = field.key == TR_FIELD_KEY(8);
        break;
      default: break;
    }
  }
  return more;
}

static int walk_note(tr_wire_span *span, tr_reader *reader) {
  tr_field field;
  int more;
  while ((more = tr_read_field(reader, &field)) > 0)
    if (field.key == TR_FIELD_KEY(1)) found_id(span, &field);
  return more;
}

int tr_wire_walk_inner(tr_wire_span *span) {
  tr_reader reader = tr_reader_of(span->inner);
  switch (span->kind) {
    case TR_WIRE_REQUEST: return walk_request(span, &reader);
    case TR_WIRE_RESPONSE: return walk_response(span, &reader);
    case TR_WIRE_EVENT: return walk_event(span, &reader);
    case TR_WIRE_NOTE: return walk_note(span, &reader);
    case TR_WIRE_EMPTY: break;
  }
  return 0;
}

/* ---- the whole ---- */

/* Most messages are small and plain ASCII, the lengths in them too: one pass over them is less than a look at each text. */
static bool texts_valid(const tr_wire_span *span) {
  if (span->plain) return true;
  if (span->kind == TR_WIRE_EVENT)
    return tr_utf8_valid(span->topic_type) && tr_utf8_valid(span->topic_source) && tr_utf8_valid(span->event_id);
  return tr_utf8_valid(span->request_id) && tr_utf8_valid(span->target_type) && tr_utf8_valid(span->target_key) &&
         tr_utf8_valid(span->source_type) && tr_utf8_valid(span->source_key) && tr_utf8_valid(span->error);
}

static bool is_member(uint32_t number) { return number <= TR_WIRE_EVENT || number == TR_WIRE_NOTE; }

static int walk_whole(tr_wire_span *span) {
  tr_reader reader = tr_reader_of(span->whole);
  tr_field field;
  int more;
  while ((more = tr_read_field(&reader, &field)) > 0) {
    if ((field.key & 7) != TR_PB_BYTES || !is_member(field.key >> 3)) continue; /* unknown */
    span->merged = field.key >> 3 == span->kind;
    span->kind = (tr_wire_kind)(field.key >> 3);
    span->inner = field.value;
    span->inner_at = (size_t)(field.at - (const uint8_t *)span->whole.p);
  }
  return more;
}

int tr_wire_walk(tr_slice bytes, tr_wire_span *span, tr_error *error) {
  tr_clear(span, sizeof *span);
  span->whole = bytes;
  if (walk_whole(span) || tr_wire_walk_inner(span)) return tr_error_set(error, TR_EINVALID, "malformed agents.Message");
  span->plain = tr_is_ascii(span->inner);
  if (!texts_valid(span)) return tr_error_set(error, TR_EINVALID, "malformed agents.Message: invalid utf8");
  if (span->merged) return tr_error_set(error, TR_EINVALID, "agents.Message in pieces");
  return 0;
}

/* ---- pieces ---- */

/* The next piece of the inner message, of any kind. */
static bool next_piece(tr_reader *reader, tr_field *piece) {
  while (tr_read_field(reader, piece) > 0)
    if ((piece->key & 7) == TR_PB_BYTES && is_member(piece->key >> 3)) return true;
  return false;
}

/* Joining is what merging means in protobuf. Pieces of another kind in between clear what was there before them. */
tr_blob *tr_wire_join(tr_mem *mem, tr_slice bytes) {
  tr_reader reader = tr_reader_of(bytes), from = reader;
  tr_field piece;
  uint32_t key = 0;
  size_t n = 0;
  for (tr_reader before = reader; next_piece(&reader, &piece); before = reader) {
    if (piece.key != key) n = 0, from = before;
    key = piece.key;
    n += piece.value.n;
  }
  tr_blob *blob = tr_blob_new(mem, key ? 1 + tr_varint_size(n) + n : 0);
  if (!blob || !key) return blob;
  uint8_t *to = blob->data;
  *to++ = (uint8_t)key;
  to = tr_put_varint(to, n);
  while (next_piece(&from, &piece)) {
    if (piece.value.n) memcpy(to, piece.value.p, piece.value.n);
    to += piece.value.n;
  }
  return blob;
}
