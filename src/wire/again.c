/* SPDX-License-Identifier: MIT
 * Of the last events their ids, as 64 bits each, in a ring: only the few that come with the mark are looked for. See again.h. */
#include "wire/again.h"

#include <string.h>

#include "wire/keys.h"

/* Ids of ours are a process's random name and a number; others' are random. */
static uint64_t mark_of(tr_slice id) {
  uint64_t mark = UINT64_C(0xcbf29ce484222325) ^ id.n, word;
  for (; id.n >= sizeof word; id.p += sizeof word, id.n -= sizeof word) {
    memcpy(&word, id.p, sizeof word);
    mark = (mark ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    mark ^= mark >> 29;
  }
  word = 0;
  if (id.n) memcpy(&word, id.p, id.n);
  mark = (mark ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return mark ^ mark >> 32;
}

bool tr_again_had(tr_again *seen, tr_mem *mem, const tr_wire_span *event) {
  if (!event->event_id.n) return false;
  if (!seen->marks) seen->marks = tr_calloc(mem, TR_AGAIN_MOST, sizeof *seen->marks);
  if (!seen->marks) return false;
  uint64_t mark = mark_of(event->event_id);
  bool again = tr_wire_event_attribute(event->inner, TR_KEY_AGAIN).p != NULL;
  for (uint32_t i = 0; again && i < TR_AGAIN_MOST; i++)
    if (seen->marks[i] == mark) return true;
  seen->marks[seen->next++ % TR_AGAIN_MOST] = mark;
  return false;
}

void tr_again_fini(tr_again *seen, tr_mem *mem) {
  tr_free(mem, seen->marks, seen->marks ? TR_AGAIN_MOST * sizeof *seen->marks : 0);
  *seen = (tr_again){ 0 };
}
