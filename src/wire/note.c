/* SPDX-License-Identifier: MIT
 * troupe.Note: what peers that announced themselves as troupe tell each other about a request that is open, and AutoGen's protocol has no
 * message for. It is member 15 of agents.Message, its first field is the request_id, so a host forwards it as it forwards an answer
 * (splice.c). Written and read by hand: it is a handful of fields.
 *
 * A reader takes what it knows of a note and ignores one of a kind that it does not know. */
#include "wire/note.h"

#include "base/text.h"
#include "wire/pb_message.h"
#include "wire/reader.h"

enum { FIELD_ID = 1, FIELD_PAYLOAD = 2, FIELD_KIND = 5, FIELD_COUNT = 6, FIELD_GOAL = 7, FIELD_CALL = 8 };
#define NUMBER_KEY(number) ((uint32_t)(number) << 3 | TR_PB_VARINT)

static bool read_number(tr_slice value, uint64_t *out) {
  tr_reader reader = tr_reader_of(value);
  return tr_read_varint(&reader, out);
}

static void read_payload(tr_slice payload, tr_wire_note *note) {
  tr_reader reader = tr_reader_of(payload);
  tr_field field;
  while (tr_read_field(&reader, &field) > 0) {
    if (field.key == TR_FIELD_KEY(1)) note->type = field.value;
    if (field.key == TR_FIELD_KEY(2)) note->content_type = field.value;
    if (field.key == TR_FIELD_KEY(3)) note->data = field.value;
  }
}

bool tr_wire_read_note(const tr_wire_span *span, tr_wire_note *note) {
  tr_reader reader = tr_reader_of(span->inner);
  tr_field field;
  *note = (tr_wire_note){ .kind = 0 };
  if (span->kind != TR_WIRE_NOTE) return false;
  while (tr_read_field(&reader, &field) > 0) {
    switch (field.key) {
      case NUMBER_KEY(FIELD_KIND): read_number(field.value, &note->kind); break;
      case NUMBER_KEY(FIELD_COUNT): read_number(field.value, &note->count); break;
      case NUMBER_KEY(FIELD_GOAL): read_number(field.value, &note->goal); break;
      case NUMBER_KEY(FIELD_CALL): read_number(field.value, &note->call); break;
      case TR_FIELD_KEY(FIELD_PAYLOAD): read_payload(field.value, note); break;
      default: break;
    }
  }
  return note->kind >= TR_NOTE_CANCEL && note->kind <= TR_NOTE_DECIDED;
}

/* ---- writing ---- */

static size_t text_size(tr_slice text) { return text.n ? 1 + tr_varint_size(text.n) + text.n : 0; }
static size_t number_size(uint64_t value) { return value ? 1 + tr_varint_size(value) : 0; }

static uint8_t *put_text(uint8_t *to, unsigned field, tr_slice text) {
  if (!text.n) return to;
  *to++ = (uint8_t)TR_FIELD_KEY(field);
  to = tr_put_varint(to, text.n);
  memcpy(to, text.p, text.n);
  return to + text.n;
}

static uint8_t *put_number(uint8_t *to, unsigned field, uint64_t value) {
  if (!value) return to;
  *to++ = (uint8_t)NUMBER_KEY(field);
  return tr_put_varint(to, value);
}

static bool has_payload(const tr_wire_note *note) { return note->kind == TR_NOTE_PART || (note->kind >= TR_NOTE_LEAVE && note->kind != TR_NOTE_BACK); }

static size_t payload_size(const tr_wire_note *note) {
  return text_size(note->type) + text_size(note->content_type) + text_size(note->data);
}

static size_t inner_size(tr_slice id, const tr_wire_note *note) {
  size_t n = 1 + tr_varint_size(id.n) + id.n; /* there even where it is empty: a host puts another in its place */
  if (has_payload(note)) n += 1 + tr_varint_size(payload_size(note)) + payload_size(note);
  return n + number_size(note->kind) + number_size(note->count) + number_size(note->goal) + number_size(note->call);
}

tr_blob *tr_wire_encode_note(tr_mem *mem, tr_slice id, const tr_wire_note *note) {
  size_t inner = inner_size(id, note), n = 1 + tr_varint_size(inner) + inner;
  tr_blob *blob = tr_blob_new(mem, TR_WIRE_PREFIX + n);
  if (!blob) return NULL;
  uint8_t *to = blob->data;
  tr_wire_prefix(to, n);
  to += TR_WIRE_PREFIX;
  *to++ = (uint8_t)TR_FIELD_KEY(TR_WIRE_NOTE);
  to = tr_put_varint(to, inner);
  *to++ = (uint8_t)TR_FIELD_KEY(FIELD_ID);
  to = tr_put_varint(to, id.n);
  if (id.n) memcpy(to, id.p, id.n);
  to += id.n;
  if (has_payload(note)) {
    *to++ = (uint8_t)TR_FIELD_KEY(FIELD_PAYLOAD);
    to = tr_put_varint(to, payload_size(note));
    to = put_text(to, 1, note->type);
    to = put_text(to, 2, note->content_type);
    to = put_text(to, 3, note->data);
  }
  to = put_number(to, FIELD_KIND, note->kind);
  to = put_number(to, FIELD_COUNT, note->count);
  to = put_number(to, FIELD_GOAL, note->goal);
  put_number(to, FIELD_CALL, note->call);
  return blob;
}

tr_blob *tr_wire_cancel(tr_mem *mem, tr_slice request_id) {
  tr_wire_note note = { .kind = TR_NOTE_CANCEL };
  return tr_wire_encode_note(mem, request_id, &note);
}

tr_blob *tr_wire_credit(tr_mem *mem, tr_slice request_id, uint32_t parts) {
  tr_wire_note note = { .kind = TR_NOTE_CREDIT, .count = parts };
  return tr_wire_encode_note(mem, request_id, &note);
}
