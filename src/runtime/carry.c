/* SPDX-License-Identifier: MIT
 * One agent's state as bytes that another process can take up: its records as for a state file (parts, timers), each as kind, part,
 * version and bytes, lengths in front. */
#include "runtime/internal.h"

/* ---- saving ---- */

typedef struct collecting { const char *id; tr_buf *out; tr_error *error; } collecting;

static bool put_number(tr_buf *out, uint64_t number) {
  bool good = true;
  for (int i = 0; i < 8; i++) good = tr_buf_byte(out, (uint8_t)(number >> (8 * i))) && good;
  return good;
}

static bool put_text(tr_buf *out, tr_slice text) { return put_number(out, text.n) && tr_buf_slice(out, text); }

static int on_record(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  collecting *self = ud;
  tr_buf *out = self->out;
  (void)key;
  bool good = put_text(out, tr_slice_of(kind)) && put_text(out, part) && put_number(out, (uint64_t)version) && put_text(out, bytes);
  return good ? 0 : tr_error_set(self->error, TR_EMEMORY, "out of memory");
}

static int on_failed(void *ud, tr_slice id, const tr_error *why) {
  return tr_error_set(((collecting *)ud)->error, why->code, "%.*s cannot be saved: %s", TR_SLICE_ARG(id), why->text);
}

static bool is_it(void *ud, tr_slice key) { return tr_slice_is(key, ((collecting *)ud)->id); }

int tr_carry_save(troupe_t *rt, const char *id, tr_buf *out, tr_error *error) {
  collecting self = { id, out, error };
  tr_state_out records = { .record = on_record, .failed = on_failed, .wanted = is_it, .ud = &self };
  return tr_script_save(rt->script, &records);
}

/* ---- taking it up ---- */

static bool take_number(tr_slice *from, uint64_t *number) {
  if (from->n < 8) return false;
  *number = 0;
  for (int i = 0; i < 8; i++) *number |= (uint64_t)(uint8_t)from->p[i] << (8 * i);
  *from = tr_slice_make(from->p + 8, from->n - 8);
  return true;
}

static bool take_text(tr_slice *from, tr_slice *text) {
  uint64_t n;
  if (!take_number(from, &n) || n > from->n) return false;
  *text = tr_slice_make(from->p, (size_t)n);
  *from = tr_slice_make(from->p + n, from->n - (size_t)n);
  return true;
}

int tr_carry_restore(troupe_t *rt, tr_slice id, tr_slice bytes, tr_error *error) {
  tr_slice kind, part, state;
  uint64_t version;
  while (bytes.n) {
    if (!take_text(&bytes, &kind) || !take_text(&bytes, &part) || !take_number(&bytes, &version) || !take_text(&bytes, &state))
      return tr_error_set(error, TR_EINVALID, "a state that is cut");
    int rc = tr_script_restore(rt->script, kind, id, part, (int64_t)version, state, 0, error);
    if (rc) return rc;
  }
  return 0;
}
