/* SPDX-License-Identifier: MIT
 * Forwarding: a received request or response with another request_id, everything else as it came; and the frames that
 * a host makes around bytes it has. Each is one allocation and a few copies.
 *
 * The id is taken out where it stood and put in at the same place, so the order of fields stays; of several ids (which
 * nobody sends) the last one, which is the one that counts. Only the lengths around it are written anew. */
#include "base/text.h"
#include "wire/pb_message.h"
#include "wire/reader.h"
#include "wire/wire.h"

static size_t id_size(tr_slice id) { return 1 + tr_varint_size(id.n) + id.n; }
static size_t inner_size(const tr_wire_span *span, tr_slice id) { return span->inner.n - span->id_field + id_size(id); }

/* Where the inner message ends in the whole one. */
static size_t inner_end(const tr_wire_span *span) { return (size_t)(span->inner.p + span->inner.n - span->whole.p); }

size_t tr_wire_splice_size(const tr_wire_span *span, tr_slice new_id) {
  size_t inner = inner_size(span, new_id);
  return span->inner_at + 1 + tr_varint_size(inner) + inner + (span->whole.n - inner_end(span));
}

static uint8_t *put(uint8_t *to, const char *from, size_t n) {
  if (n) memcpy(to, from, n);
  return to + n;
}

tr_blob *tr_wire_splice(tr_mem *mem, const tr_wire_span *span, tr_slice new_id) {
  size_t n = tr_wire_splice_size(span, new_id), after_id = span->id_at + span->id_field;
  tr_blob *blob = tr_blob_new(mem, TR_WIRE_PREFIX + n);
  if (!blob) return NULL;
  uint8_t *to = blob->data;
  tr_wire_prefix(to, n);
  to = put(to + TR_WIRE_PREFIX, span->whole.p, span->inner_at);
  *to++ = (uint8_t)TR_FIELD_KEY(span->kind);
  to = tr_put_varint(to, inner_size(span, new_id));
  to = put(to, span->inner.p, span->id_at);
  *to++ = TR_FIELD_KEY(1);
  to = tr_put_varint(to, new_id.n);
  to = put(to, new_id.p, new_id.n);
  to = put(to, span->inner.p + after_id, span->inner.n - after_id);
  put(to, span->whole.p + inner_end(span), span->whole.n - inner_end(span));
  return blob;
}

tr_blob *tr_wire_frame(tr_mem *mem, tr_slice bytes) {
  tr_blob *blob = tr_blob_new(mem, TR_WIRE_PREFIX + bytes.n);
  if (!blob) return NULL;
  tr_wire_prefix(blob->data, bytes.n);
  put(blob->data + TR_WIRE_PREFIX, bytes.p, bytes.n);
  return blob;
}
