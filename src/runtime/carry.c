/* SPDX-License-Identifier: MIT
 * One agent's state as bytes that another process can take up: its records as for a state file (parts, timers), each as kind, part,
 * version and bytes, lengths in front. */
#include "runtime/state.h"

/* ---- saving ---- */

typedef struct collecting { const char *id; tr_buf *out; tr_error *error; } collecting;

static int on_record(void *ud, const char *kind, tr_slice key, tr_slice part, int64_t version, tr_slice bytes) {
  collecting *self = ud;
  tr_buf *out = self->out;
  (void)key;
  bool good = tr_state_put_text(out, tr_slice_of(kind)) && tr_state_put_text(out, part) && tr_state_put_number(out, (uint64_t)version) && tr_state_put_text(out, bytes);
  return good ? 0 : tr_error_set(self->error, TR_EMEMORY, "out of memory");
}

static int on_failed(void *ud, tr_slice id, const tr_error *why) {
  return tr_error_set(((collecting *)ud)->error, why->code, "%.*s cannot be saved: %s", TR_SLICE_ARG(id), why->text);
}

static bool is_it(void *ud, tr_slice key) { return tr_slice_is(key, ((collecting *)ud)->id); }

int tr_carry_save(tr_script *script, const char *id, tr_buf *out, tr_error *error) {
  collecting self = { id, out, error };
  tr_state_out records = { .record = on_record, .failed = on_failed, .wanted = is_it, .ud = &self };
  return tr_script_save_one(script, tr_slice_of(id), &records);
}

/* ---- taking it up ---- */

static int restore(tr_script *script, tr_slice id, tr_slice bytes, tr_error *error) {
  tr_slice kind, part, state;
  uint64_t version;
  while (bytes.n) {
    if (!tr_state_take_text(&bytes, &kind) || !tr_state_take_text(&bytes, &part) || !tr_state_take_number(&bytes, &version) || !tr_state_take_text(&bytes, &state))
      return tr_error_set(error, TR_EINVALID, "a state that is cut");
    int rc = tr_script_restore(script, kind, id, part, (int64_t)version, state, 0, error);
    if (rc) return rc;
  }
  return 0;
}

int tr_carry_restore(tr_script *script, tr_slice id, tr_slice bytes, tr_error *error) {
  int rc = restore(script, id, bytes, error);
  if (rc) tr_script_forget(script, id); /* no part of it */
  return rc;
}
