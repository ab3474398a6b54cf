/* SPDX-License-Identifier: MIT
 * A slab that grows by chunks, with a list of free slots through it. Read slots.h first; who has one: host/pending.c,
 * worker/requests.c. */
#include "base/slots.h"

#include <string.h>

static tr_slot *at(const tr_slots *slots, uint32_t number) {
  return (tr_slot *)(slots->chunks[number >> TR_SLOTS_BITS] + (size_t)(number & (TR_SLOTS_CHUNK - 1)) * slots->size);
}

void tr_slots_init(tr_slots *slots, tr_mem *mem, size_t size, uint32_t most, uint32_t salt) {
  *slots = (tr_slots){ .mem = mem, .size = size, .most = most, .salt = salt };
}

void tr_slots_fini(tr_slots *slots) {
  for (uint32_t i = 0; i < slots->n_chunks; i++) tr_free(slots->mem, slots->chunks[i], TR_SLOTS_CHUNK * slots->size);
  tr_free(slots->mem, slots->chunks, slots->cap_chunks * sizeof *slots->chunks);
  tr_slots_init(slots, slots->mem, slots->size, slots->most, slots->salt);
}

static bool grow(tr_slots *slots) {
  if (slots->n_chunks == slots->most >> TR_SLOTS_BITS) return false;
  if (slots->n_chunks == slots->cap_chunks) {
    uint32_t cap = slots->cap_chunks ? slots->cap_chunks * 2 : 4;
    void *grown = tr_realloc(slots->mem, slots->chunks, slots->cap_chunks * sizeof *slots->chunks, cap * sizeof *slots->chunks);
    if (!grown) return false;
    slots->chunks = grown;
    slots->cap_chunks = cap;
  }
  char *chunk = tr_calloc(slots->mem, TR_SLOTS_CHUNK, slots->size);
  if (!chunk) return false;
  uint32_t base = slots->n_chunks * TR_SLOTS_CHUNK;
  slots->chunks[slots->n_chunks++] = chunk;
  for (uint32_t i = TR_SLOTS_CHUNK; i-- > 0;) {
    *at(slots, base + i) = (tr_slot){ .number = base + i, .generation = slots->salt, .next_free = slots->first_free };
    slots->first_free = base + i + 1;
  }
  return true;
}

void *tr_slots_take(tr_slots *slots) {
  if (!slots->first_free && !grow(slots)) return NULL;
  tr_slot *slot = at(slots, slots->first_free - 1);
  slots->first_free = slot->next_free;
  slots->count++;
  slot->taken = true;
  if (++slot->generation == 0) slot->generation = 1;
  return slot;
}

void tr_slots_give(tr_slots *slots, void *item) {
  tr_slot *slot = item;
  slot->taken = false;
  slot->next_free = slots->first_free;
  slots->first_free = slot->number + 1;
  slots->count--;
}

void *tr_slots_next(const tr_slots *slots, const void *after) {
  uint32_t number = after ? ((const tr_slot *)after)->number + 1 : 0, end = slots->n_chunks * TR_SLOTS_CHUNK;
  while (number < end && !at(slots, number)->taken) number++;
  return number < end ? at(slots, number) : NULL;
}

/* ---- tokens ---- */

void tr_slot_write_id(const tr_slot *slot, char out[TR_SLOT_ID]) {
  uint64_t token = tr_slot_token(slot);
  for (int i = TR_SLOT_ID; i-- > 0; token >>= 4) out[i] = "0123456789abcdef"[token & 15];
}

void *tr_slots_at(const tr_slots *slots, uint64_t token) {
  uint32_t number = (uint32_t)(token >> 32);
  if (number >= slots->n_chunks * TR_SLOTS_CHUNK) return NULL;
  tr_slot *slot = at(slots, number);
  return slot->taken && slot->generation == (uint32_t)token ? slot : NULL;
}

static bool parse(tr_slice id, uint64_t *out) {
  if (id.n != TR_SLOT_ID) return false;
  uint64_t token = 0;
  for (size_t i = 0; i < id.n; i++) {
    char c = id.p[i];
    unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
    if (digit == 16) return false;
    token = token << 4 | digit;
  }
  *out = token;
  return true;
}

void *tr_slots_find(const tr_slots *slots, tr_slice id) {
  uint64_t token;
  return parse(id, &token) ? tr_slots_at(slots, token) : NULL;
}

bool tr_slots_had(const tr_slots *slots, tr_slice id) {
  uint64_t token;
  if (!parse(id, &token) || token >> 32 >= slots->n_chunks * TR_SLOTS_CHUNK) return false;
  uint32_t generation = (uint32_t)token, last = at(slots, (uint32_t)(token >> 32))->generation;
  return generation != slots->salt && last - generation < last - slots->salt;
}
