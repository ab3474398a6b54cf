/* SPDX-License-Identifier: MIT
 * Moving a live agent to another process. */
#include <stdio.h>

#include "core/id.h"
#include "runtime/launch.h"

/* ---- records: kind, part, version and bytes of each; numbers are little-endian ---- */

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

/* ---- the other end ---- */

static int restore_all(troupe_t *rt, tr_slice id, tr_slice bytes, tr_error *error) {
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

int tr_runtime_take_state(void *ud, tr_slice type, tr_slice key, tr_slice bytes, tr_error *error) {
  troupe_t *rt = ud;
  char id[2 * TR_ID_MAX + 2];
  tr_class *class_ = tr_core_find_class(rt->core, type);
  if (!class_) return tr_error_set(error, TR_ENOT_FOUND, "agent type %.*s is not here", (int)tr_utf8_cut(type, 200), type.p);
  if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is stopping");
  int n = snprintf(id, sizeof id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key));
  if (tr_class_find(class_, key)) return tr_error_set(error, TR_EEXISTS, "%.200s is live there already", id);
  return restore_all(rt, tr_slice_make(id, (size_t)n), bytes, error);
}
