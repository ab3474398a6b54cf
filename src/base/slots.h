/* SPDX-License-Identifier: MIT
 * Things that are named by a number for a while: requests that are open. Each lies in a slot that never moves (it may hold links and
 * timers) and has a token, slot and generation in 64 bits, or sixteen hex digits where it has to be text: it is found by either without
 * hashing, and not found any more once the slot was given back. The first generation is a random number, so that tokens of an
 * earlier run are nobody's. */
#ifndef TR_BASE_SLOTS_H
#define TR_BASE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

#define TR_SLOT_ID 16 /* characters of a token as text */
#define TR_SLOTS_BITS 6
#define TR_SLOTS_CHUNK (1u << TR_SLOTS_BITS)

typedef struct tr_slot { /* the first member of an item */
  uint32_t number, generation; /* generation: never 0 while it is taken */
  uint32_t next_free;          /* number + 1 */
  bool taken;
} tr_slot;

typedef struct tr_slots {
  tr_mem *mem;
  char **chunks;
  size_t size;  /* of an item */
  uint32_t n_chunks, cap_chunks, count, first_free; /* count: of those taken */
  uint32_t most, salt;
} tr_slots;

/* most: of items at once, a multiple of TR_SLOTS_CHUNK. */
void tr_slots_init(tr_slots *slots, tr_mem *mem, size_t size, uint32_t most, uint32_t salt);
void tr_slots_fini(tr_slots *slots);
/* An item: zeroed the first time, later as tr_slots_give got it. NULL: out of memory, or there are too many. */
void *tr_slots_take(tr_slots *slots);
void tr_slots_give(tr_slots *slots, void *item);
/* Iterate the items that are taken: NULL starts and ends. */
void *tr_slots_next(const tr_slots *slots, const void *after);

static inline uint64_t tr_slot_token(const tr_slot *slot) { return (uint64_t)slot->number << 32 | slot->generation; }
void tr_slot_write_id(const tr_slot *slot, char out[TR_SLOT_ID]);
/* The item with this token or id; NULL: no such, or no longer. */
void *tr_slots_at(const tr_slots *slots, uint64_t token);
void *tr_slots_find(const tr_slots *slots, tr_slice id);
bool tr_slots_had(const tr_slots *slots, tr_slice id); /* there was one with this id */

#endif
