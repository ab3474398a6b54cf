/* SPDX-License-Identifier: MIT
 * Looking up one key in a walked message, and the check of what the walk does not look into. Both go over nested
 * fields as the walk does, without decoding. */
#include "base/text.h"
#include "wire/reader.h"
#include "wire/wire.h"

/* ---- one key ---- */

/* The value is a string, or for an event a CloudEventAttributeValue with one in field 3. */
bool tr_wire_read_entry(tr_slice entry, bool attribute, tr_slice *key, tr_slice *value) {
  tr_reader reader = tr_reader_of(entry);
  tr_field field;
  int more;
  *key = *value = tr_slice_make("", 0);
  while ((more = tr_read_field(&reader, &field)) > 0) {
    if (field.key == TR_FIELD_KEY(1)) *key = field.value;
    if (field.key == TR_FIELD_KEY(2)) *value = field.value;
  }
  if (more || !attribute) return more == 0;
  reader = tr_reader_of(*value);
  *value = tr_slice_make(NULL, 0);
  while ((more = tr_read_field(&reader, &field)) > 0)
    *value = field.key == TR_FIELD_KEY(3) ? field.value : tr_slice_make(NULL, 0); /* a oneof: the last one */
  return more == 0;
}

static tr_slice find(tr_slice inner, unsigned number, bool attribute, const char *key) {
  tr_reader reader = tr_reader_of(inner);
  tr_slice wanted = tr_slice_of(key), found = { NULL, 0 }, name, value;
  tr_field field;
  while (tr_read_field(&reader, &field) > 0) {
    if (field.key != TR_FIELD_KEY(number)) continue;
    if (tr_wire_read_entry(field.value, attribute, &name, &value) && tr_slice_equal(name, wanted)) found = value;
  }
  return tr_utf8_valid(found) ? found : (tr_slice){ NULL, 0 };
}

tr_slice tr_wire_event_attribute(tr_slice inner, const char *key) { return find(inner, 5, true, key); }

tr_slice tr_wire_metadata(tr_slice inner, tr_wire_kind kind, const char *key) {
  return find(inner, kind == TR_WIRE_REQUEST ? 6 : 4, false, key);
}

/* ---- the beginning of an over-size message ---- */

/* What can be read is a front part: the fields that are whole in it, and a payload that is cut. */
bool tr_wire_walk_head(tr_slice head, uint64_t size, tr_wire_span *span) {
  tr_reader reader = tr_reader_of(head);
  uint64_t key, length;
  memset(span, 0, sizeof *span);
  if (!tr_read_varint(&reader, &key) || (key != TR_FIELD_KEY(1) && key != TR_FIELD_KEY(2))) return false;
  if (!tr_read_varint(&reader, &length) || length > size - (uint64_t)((const char *)reader.p - head.p)) return false;
  size_t there = (size_t)(reader.end - reader.p);
  tr_slice front = tr_slice_make(reader.p, length < there ? (size_t)length : there);
  tr_field field;
  size_t whole = 0; /* bytes of the fields that are whole in it */
  for (reader = tr_reader_of(front); tr_read_field(&reader, &field) > 0;)
    whole = (size_t)((const char *)reader.p - front.p);
  /* A message of just these fields, walked as any other. */
  span->kind = (tr_wire_kind)(key >> 3);
  span->inner = tr_slice_make(front.p, whole);
  return tr_wire_walk_inner(span) == 0 && span->id_field > 0 && tr_utf8_valid(span->request_id);
}

/* ---- the deep check ---- */

/* What is in the fields of a message: 't' text, 'b' bytes, a digit the message of that row; '.' is not looked at. */
#define SHAPE(text) { text, sizeof text - 1 }
static const struct shape { const char *of; size_t known; } shapes[] = { /* 1 to 3 and the last by tr_wire_kind */
  [0] = SHAPE(""),         /* Timestamp: numbers */
  [1] = SHAPE("t44t56"),   /* RpcRequest */
  [2] = SHAPE("t5t6"),     /* RpcResponse */
  [3] = SHAPE("tttt7bt9"), /* CloudEvent */
  [4] = SHAPE("tt"),       /* AgentId */
  [5] = SHAPE("ttb"),      /* Payload */
  [6] = SHAPE("tt"),       /* an entry of metadata */
  [7] = SHAPE("t8"),       /* an entry of attributes */
  [8] = SHAPE("..tbtt0"),  /* CloudEventAttributeValue */
  [9] = SHAPE("tb"),       /* Any */
  [TR_WIRE_NOTE] = SHAPE("t5"),
};

static bool check_message(tr_slice bytes, const struct shape *shape) {
  tr_reader reader = tr_reader_of(bytes);
  tr_field field;
  int more;
  while ((more = tr_read_field(&reader, &field)) > 0) {
    size_t number = field.key >> 3;
    if ((field.key & 7) != TR_PB_BYTES || number > shape->known) continue;
    char what = shape->of[number - 1];
    if (what == 't' && !tr_utf8_valid(field.value)) return false;
    if (what >= '0' && what <= '9' && !check_message(field.value, &shapes[what - '0'])) return false;
  }
  return more == 0;
}

/* The same where all text is known to be valid, so that only what is nested has to be well-formed: with the usual fields stepped over
 * in place, a third of the work, which all that a host sends on for AutoGen's workers has to go through. */
static bool check_nested(tr_slice bytes, const struct shape *shape) {
  tr_reader reader = tr_reader_of(bytes);
  while (reader.p < reader.end) {
    const uint8_t *p = reader.p;
    ptrdiff_t left = reader.end - p;
    size_t number = p[0] >> 3;
    tr_field field;
    if (left >= 2 && number && (p[0] & 0x87) == TR_PB_BYTES && p[1] < 0x80 && left - 2 >= p[1]) {
      field.value = tr_slice_make(p + 2, p[1]);
      reader.p = p + 2 + p[1];
    } else {
      if (tr_read_field_slow(&reader, &field) < 0) return false;
      if ((field.key & 7) != TR_PB_BYTES) continue;
      number = field.key >> 3;
    }
    if (number > shape->known) continue;
    unsigned what = (unsigned)shape->of[number - 1] - '0';
    if (what <= 9 && !check_nested(field.value, &shapes[what])) return false;
  }
  return true;
}

int tr_wire_check(const tr_wire_span *span, tr_error *error) {
  if (span->kind == TR_WIRE_EMPTY) return 0;
  const struct shape *shape = &shapes[span->kind];
  if (span->plain ? check_nested(span->inner, shape) : check_message(span->inner, shape)) return 0;
  return tr_error_set(error, TR_EINVALID, "malformed agents.Message: what is nested in it");
}
