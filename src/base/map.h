/* SPDX-License-Identifier: MIT
 * A hash map from bytes to a pointer (seeded hash, open addressing). Keys are borrowed: they must live, unchanged,
 * as long as the entry (keep them inside the value). Costs do not depend on the number of entries. */
#ifndef TR_BASE_MAP_H
#define TR_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct tr_map_entry { tr_slice key; uint32_t hash; void *value; } tr_map_entry;

typedef struct tr_map {
  tr_mem *mem;
  uint64_t seed;
  tr_map_entry *entries;
  size_t count, used, cap; /* used: live entries and tombstones */
} tr_map;

uint32_t tr_hash(uint64_t seed, tr_slice bytes);

/* tr_hash of several prefixes of one text for the price of hashing it once. */
typedef struct tr_hasher { uint64_t v0, v1, v2, v3; size_t done; } tr_hasher;
void tr_hasher_init(tr_hasher *hasher, uint64_t seed);
/* Equals tr_hash of the first `length` bytes. `length` must not be smaller than at the call before, nor the text another. */
uint32_t tr_hasher_prefix(tr_hasher *hasher, const char *text, size_t length);

void tr_map_init(tr_map *map, tr_mem *mem, uint64_t seed);
void tr_map_fini(tr_map *map); /* values are the caller's */
void *tr_map_get(const tr_map *map, tr_slice key); /* NULL: not there */
/* The same where the caller has tr_hash(map->seed, key) already. */
void *tr_map_get_hashed(const tr_map *map, tr_slice key, uint32_t hash);
/* Set or replace (the key pointer is replaced too); the old value goes to *old if given. 0 or TR_EMEMORY. value != NULL. */
int tr_map_put(tr_map *map, tr_slice key, void *value, void **old);
void *tr_map_remove(tr_map *map, tr_slice key); /* the value that was there, or NULL */
/* Iterate: start with *at = 0; false at the end. Removing the current entry while iterating is allowed. */
bool tr_map_next(const tr_map *map, size_t *at, tr_slice *key, void **value);

#endif
