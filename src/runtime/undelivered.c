/* SPDX-License-Identifier: MIT
 * Two small tables: a ring of the newest dead letters, and a list of topics that events were published on in vain, where a new one takes
 * the place of the one that was quiet for longest. Both have a fixed size and are made when they are first needed, so that a process
 * where nothing goes wrong pays nothing; noting a letter copies some texts and formats nothing. */
#include "runtime/undelivered.h"

#include <string.h>

#include "base/text.h"

void tr_undelivered_init(tr_undelivered *all, tr_mem *mem) { *all = (tr_undelivered){ .mem = mem }; }

void tr_undelivered_fini(tr_undelivered *all) {
  tr_free(all->mem, all->letters, all->letters ? TR_UNDELIVERED_KEPT * sizeof *all->letters : 0);
  tr_free(all->mem, all->unheard, all->unheard ? TR_UNHEARD_KEPT * sizeof *all->unheard : 0);
  tr_undelivered_init(all, all->mem);
}

static size_t put(char *out, size_t size, size_t at, tr_slice text) {
  size_t n = tr_utf8_cut(text, size - at - 1);
  if (n) memcpy(out + at, text.p, n);
  out[at + n] = 0;
  return at + n;
}

/* "a" and "b" as "a/b". */
static void put_id(char *out, size_t size, tr_slice type, tr_slice key) {
  size_t at = put(out, size, 0, type);
  if (!type.n || at + 2 >= size) return;
  out[at++] = '/';
  put(out, size, at, key);
}

void tr_undelivered_note(tr_undelivered *all, const tr_letter *letter, int64_t wall_us) {
  all->count++;
  if (!all->letters) all->letters = tr_calloc(all->mem, TR_UNDELIVERED_KEPT, sizeof *all->letters);
  if (!all->letters) return;
  tr_kept_letter *kept = &all->letters[all->count % TR_UNDELIVERED_KEPT];
  kept->number = all->count;
  kept->wall_us = wall_us;
  kept->kind = letter->kind;
  kept->code = letter->code;
  put(kept->type, sizeof kept->type, 0, letter->type);
  put_id(kept->target, sizeof kept->target, letter->target, letter->key);
  put_id(kept->sender, sizeof kept->sender, letter->sender, letter->sender_key);
  put(kept->to, sizeof kept->to, 0, letter->to);
  put(kept->reason, sizeof kept->reason, 0, tr_slice_of(letter->reason ? letter->reason : ""));
}

const tr_kept_letter *tr_undelivered_at(const tr_undelivered *all, uint32_t nth) {
  if (!all->letters || nth >= TR_UNDELIVERED_KEPT || nth >= all->count) return NULL;
  const tr_kept_letter *kept = &all->letters[(all->count - nth) % TR_UNDELIVERED_KEPT];
  return kept->number == all->count - nth ? kept : NULL; /* or memory was short for it */
}

/* ---- events that nobody hears ---- */

static bool is_of(const tr_unheard *it, tr_slice topic) {
  size_t n = tr_utf8_cut(topic, sizeof it->topic - 1);
  return strlen(it->topic) == n && memcmp(it->topic, topic.p ? topic.p : "", n) == 0;
}

static tr_unheard *place_for(tr_undelivered *all, tr_slice topic) {
  tr_unheard *oldest = all->unheard;
  if (all->last && is_of(all->last, topic)) return all->last;
  for (uint32_t i = 0; i < all->unheard_count; i++) {
    if (is_of(&all->unheard[i], topic)) return &all->unheard[i];
    if (all->unheard[i].wall_us < oldest->wall_us) oldest = &all->unheard[i];
  }
  if (all->unheard_count < TR_UNHEARD_KEPT) oldest = &all->unheard[all->unheard_count++];
  *oldest = (tr_unheard){ .count = 0 };
  put(oldest->topic, sizeof oldest->topic, 0, topic);
  return oldest;
}

void tr_undelivered_unheard(tr_undelivered *all, tr_slice topic, tr_slice type, int64_t wall_us) {
  if (!all->unheard) all->unheard = tr_calloc(all->mem, TR_UNHEARD_KEPT, sizeof *all->unheard);
  if (!all->unheard) return;
  tr_unheard *it = all->last = place_for(all, topic);
  put(it->type, sizeof it->type, 0, type);
  it->count++;
  it->wall_us = wall_us;
}
