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

/* Hexadecimal, eight digits at a time in one word, since each forwarded request has its id written once and read once. */
#define ONES UINT64_C(0x0101010101010101)

static void write_hex(uint32_t number, char out[8]) {
  uint64_t x = number; /* its digits, a byte each, the first on top */
  x = (x << 16 & UINT64_C(0xFFFF00000000)) | (x & 0xFFFF);
  x = (x << 8 & UINT64_C(0x00FF000000FF0000)) | (x & UINT64_C(0x000000FF000000FF));
  x = (x << 4 & UINT64_C(0x0F000F000F000F00)) | (x & UINT64_C(0x000F000F000F000F));
  x += '0' * ONES + ((x + 6 * ONES) >> 4 & ONES) * ('a' - '0' - 10);
  /* Written out, compilers make two instructions of it; of a loop they do not. */
  out[0] = (char)(x >> 56), out[1] = (char)(x >> 48), out[2] = (char)(x >> 40), out[3] = (char)(x >> 32);
  out[4] = (char)(x >> 24), out[5] = (char)(x >> 16), out[6] = (char)(x >> 8), out[7] = (char)x;
}

/* What does not come out again as it went in was no hexadecimal number, or was written otherwise. */
static bool read_hex(const char in[8], uint32_t *out) {
  uint64_t x;
  char again[8];
  const uint8_t *d = (const uint8_t *)in;
  x = (uint64_t)d[0] << 56 | (uint64_t)d[1] << 48 | (uint64_t)d[2] << 40 | (uint64_t)d[3] << 32 |
      (uint64_t)d[4] << 24 | (uint64_t)d[5] << 16 | (uint64_t)d[6] << 8 | (uint64_t)d[7];
  x = (x & 0xF * ONES) + (x >> 6 & ONES) * 9;
  x = (x >> 4 & UINT64_C(0x00F000F000F000F0)) | (x & UINT64_C(0x000F000F000F000F));
  x = (x >> 8 & UINT64_C(0x0000FF000000FF00)) | (x & UINT64_C(0x000000FF000000FF));
  x = (x >> 16 & UINT64_C(0xFFFF0000)) | (x & 0xFFFF);
  *out = (uint32_t)x;
  write_hex(*out, again);
  return memcmp(in, again, sizeof again) == 0;
}

void tr_slot_write_id(const tr_slot *slot, char out[TR_SLOT_ID]) {
  uint64_t token = tr_slot_token(slot);
  write_hex((uint32_t)(token >> 32), out);
  write_hex((uint32_t)token, out + 8);
}

void *tr_slots_at(const tr_slots *slots, uint64_t token) {
  uint32_t number = (uint32_t)(token >> 32);
  if (number >= slots->n_chunks * TR_SLOTS_CHUNK) return NULL;
  tr_slot *slot = at(slots, number);
  return slot->taken && slot->generation == (uint32_t)token ? slot : NULL;
}

static bool parse(tr_slice id, uint64_t *out) {
  uint32_t high, low;
  if (id.n != TR_SLOT_ID || !read_hex(id.p, &high) || !read_hex(id.p + 8, &low)) return false;
  *out = (uint64_t)high << 32 | low;
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
