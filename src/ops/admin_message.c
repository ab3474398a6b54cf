/* SPDX-License-Identifier: MIT
 * AdminRequest { string verb = 1; string body = 2; } and AdminReply { string body = 1; }: both are texts in fields 1 and 2,
 * few enough to be written by hand. Unknown fields are skipped; a field that comes twice: the last counts. */
#include "base/text.h"
#include "ops/admin.h"
#include "rpc/rpc.h"

static size_t varint_size(uint64_t value) {
  size_t n = 1;
  while (value >>= 7) n++;
  return n;
}

static uint8_t *put_varint(uint8_t *p, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *p++ = (uint8_t)(value | 0x80);
  *p++ = (uint8_t)value;
  return p;
}

static size_t field_size(tr_slice text) { return text.n ? 1 + varint_size(text.n) + text.n : 0; }

static uint8_t *put_field(uint8_t *p, unsigned number, tr_slice text) {
  if (!text.n) return p;
  *p++ = (uint8_t)(number << 3 | 2);
  p = put_varint(p, text.n);
  memcpy(p, text.p, text.n);
  return p + text.n;
}

tr_blob *tr_admin_frame(tr_mem *mem, tr_slice first, tr_slice second) {
  size_t size = field_size(first) + field_size(second);
  tr_blob *frame = tr_blob_new(mem, TR_RPC_PREFIX + size);
  if (!frame) return NULL;
  uint8_t *p = frame->data;
  *p++ = 0;
  for (int shift = 24; shift >= 0; shift -= 8) *p++ = (uint8_t)(size >> shift);
  put_field(put_field(p, 1, first), 2, second);
  return frame;
}

typedef struct reader { const uint8_t *at, *end; } reader;

static bool get_varint(reader *r, uint64_t *value) {
  *value = 0;
  for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
    uint8_t byte = *r->at++;
    *value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return true;
  }
  return false;
}

static bool skip(reader *r, uint64_t n) {
  if (n > (uint64_t)(r->end - r->at)) return false;
  r->at += n;
  return true;
}

/* One field; *text where it is of length-delimited kind. */
static bool get_field(reader *r, uint64_t *number, tr_slice *text) {
  uint64_t tag, n;
  text->p = NULL;
  if (!get_varint(r, &tag)) return false;
  *number = tag >> 3;
  switch (tag & 7) {
  case 0: return get_varint(r, &n);
  case 1: return skip(r, 8);
  case 5: return skip(r, 4);
  case 2:
    if (!get_varint(r, &n)) return false;
    *text = tr_slice_make(r->at, (size_t)n);
    return skip(r, n);
  default: return false;
  }
}

int tr_admin_read(tr_slice bytes, tr_slice *first, tr_slice *second) {
  reader r = { (const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n };
  *first = *second = (tr_slice){ "", 0 };
  while (r.at < r.end) {
    uint64_t number;
    tr_slice text;
    if (!get_field(&r, &number, &text)) return TR_EINVALID;
    if (!text.p || number > 2) continue;
    if (!tr_utf8_valid(text)) return TR_EINVALID;
    if (number == 1) *first = text;
    if (number == 2) *second = text;
  }
  return 0;
}
