/* SPDX-License-Identifier: MIT
 * Counts by kind. What was told is remembered for at most KINDS_MOST kinds, since kinds may come from peers and scripts; when there are
 * more, all are forgotten and told again. */
#include "base/tally.h"

#include <stdio.h>
#include <string.h>

#ifdef TR_HOSTILE
#define KINDS_MOST 4
#else
#define KINDS_MOST 1000
#endif

typedef struct kind { uint64_t count; size_t size; char key[]; } kind;

static void forget_all(tr_tally *tally) {
  size_t at = 0;
  tr_slice key;
  void *value;
  while (tr_map_next(&tally->kinds, &at, &key, &value)) {
    kind *self = value;
    tr_map_remove(&tally->kinds, key);
    tr_free(tally->kinds.mem, self, sizeof *self + self->size);
  }
}

/* How many there have been of this kind, this one included; 1 where memory ran out. */
static uint64_t count_of(tr_tally *tally, tr_slice key) {
  tr_mem *mem = tally->kinds.mem;
  kind *self = tr_map_get(&tally->kinds, key);
  if (self) return ++self->count;
  if (tally->kinds.count >= KINDS_MOST) forget_all(tally);
  self = tr_alloc(mem, sizeof *self + key.n);
  if (!self) return 1;
  self->count = 1;
  self->size = key.n;
  memcpy(self->key, key.p, key.n);
  if (tr_map_put(&tally->kinds, tr_slice_make(self->key, key.n), self, NULL)) tr_free(mem, self, sizeof *self + self->size);
  return 1;
}

bool tr_tally_tell(tr_tally *tally, tr_slice key, char times[TR_TALLY_TIMES]) {
  uint64_t count = count_of(tally, key);
  times[0] = 0;
  if (count & (count - 1)) return false;
  if (count > 1) snprintf(times, TR_TALLY_TIMES, " count=%llu", (unsigned long long)count);
  return true;
}

void tr_tally_init(tr_tally *tally, tr_mem *mem, uint64_t seed) { tr_map_init(&tally->kinds, mem, seed); }

void tr_tally_fini(tr_tally *tally) {
  forget_all(tally);
  tr_map_fini(&tally->kinds);
}
