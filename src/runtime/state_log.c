/* SPDX-License-Identifier: MIT
 * Records of a state one after the other in a buffer: what an agent that moves takes along (dist.c), and what an isolate keeps of its
 * instances while they leave, in its own thread and memory, until the writer takes it (state_write.c).
 *
 * Everything is a text or a number of eight bytes, little-endian; a text is its length and its bytes. */
#include <stdio.h>

#include "runtime/state.h"

bool tr_state_put_number(tr_buf *out, uint64_t number) {
  bool good = true;
  for (int i = 0; i < 8; i++) good = tr_buf_byte(out, (uint8_t)(number >> (8 * i))) && good;
  return good;
}

bool tr_state_put_text(tr_buf *out, tr_slice text) { return tr_state_put_number(out, text.n) && tr_buf_slice(out, text); }

bool tr_state_take_number(tr_slice *from, uint64_t *number) {
  if (from->n < 8) return false;
  *number = 0;
  for (int i = 0; i < 8; i++) *number |= (uint64_t)(uint8_t)from->p[i] << (8 * i);
  *from = tr_slice_make(from->p + 8, from->n - 8);
  return true;
}

bool tr_state_take_text(tr_slice *from, tr_slice *text) {
  uint64_t n;
  if (!tr_state_take_number(from, &n) || n > from->n) return false;
  *text = tr_slice_make(from->p, (size_t)n);
  *from = tr_slice_make(from->p + n, from->n - (size_t)n);
  return true;
}

/* ---- of an isolate ---- */

static int on_record(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  tr_buf *out = &((tr_state_log *)ud)->bytes;
  bool good = tr_state_put_text(out, tr_slice_of(kind)) && tr_state_put_text(out, key) && tr_state_put_text(out, part) &&
              tr_state_put_number(out, (uint64_t)version) && tr_state_put_text(out, bytes);
  return good ? 0 : TR_EMEMORY;
}

/* The code goes in the place of the version. */
static int on_failed(void *ud, tr_slice id, const tr_error *why) {
  return on_record(ud, "failed", id, (tr_slice){ NULL, 0 }, why->code, tr_slice_of(why->text));
}

void tr_state_log_init(tr_state_log *log, tr_mem *mem) {
  tr_buf_init(&log->bytes, mem);
  log->out = (tr_state_out){ .record = on_record, .failed = on_failed, .ud = log };
}

void tr_state_log_fini(tr_state_log *log) { tr_buf_fini(&log->bytes); }

static int give(const tr_state_out *to, tr_slice kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  char name[32];
  tr_error why;
  if (tr_slice_is(kind, "failed")) {
    tr_error_init(&why);
    tr_error_set(&why, (int)version, "%.*s", TR_SLICE_ARG(bytes));
    return to->failed(to->ud, key, &why);
  }
  snprintf(name, sizeof name, "%.*s", TR_SLICE_ARG(kind));
  return to->record(to->ud, name, key, part, version, bytes);
}

int tr_state_log_give(const tr_state_log *log, const tr_state_out *to) {
  tr_slice from = tr_buf_view(&log->bytes), kind, key, part, bytes;
  uint64_t version;
  int rc = log->bytes.failed ? TR_EMEMORY : 0;
  while (!rc && from.n && tr_state_take_text(&from, &kind) && tr_state_take_text(&from, &key) && tr_state_take_text(&from, &part) &&
         tr_state_take_number(&from, &version) && tr_state_take_text(&from, &bytes))
    rc = give(to, kind, key, part, (int64_t)version, bytes);
  return rc;
}
