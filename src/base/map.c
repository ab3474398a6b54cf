/* SPDX-License-Identifier: MIT
 * A hash map with open addressing and linear probing, and the seeded hash that names use as well.
 *
 * Keys come from outside (topics, client ids, request ids), so the hash is SipHash-1-3 under a seed that the embedder
 * hands in: whoever does not know the seed cannot choose keys that collide. Short keys cost about 15 ns.
 * Removing leaves a tombstone, so that removing while iterating moves nothing; tombstones go at the next growth, which
 * picks its size by live entries (so a map that was emptied shrinks as soon as it is filled again). */
#include "base/map.h"

#include "base/error.h"

#define FIRST_CAP 8

/* An entry without a value is empty (hash 0) or a tombstone (hash 1). */
enum { EMPTY = 0, TOMBSTONE = 1 };

/* ---- SipHash-1-3 (Aumasson, Bernstein) ---- */

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void sip_round(tr_hasher *s) {
  s->v0 += s->v1; s->v1 = ROTATE(s->v1, 13); s->v1 ^= s->v0; s->v0 = ROTATE(s->v0, 32);
  s->v2 += s->v3; s->v3 = ROTATE(s->v3, 16); s->v3 ^= s->v2;
  s->v0 += s->v3; s->v3 = ROTATE(s->v3, 21); s->v3 ^= s->v0;
  s->v2 += s->v1; s->v1 = ROTATE(s->v1, 17); s->v1 ^= s->v2; s->v2 = ROTATE(s->v2, 32);
}

static inline void sip_word(tr_hasher *s, uint64_t word) {
  s->v3 ^= word;
  sip_round(s);
  s->v0 ^= word;
}

void tr_hasher_init(tr_hasher *hasher, uint64_t seed) {
  /* The 128-bit key is the seed and a fixed function of it: 64 secret bits are enough against chosen collisions. */
  uint64_t k0 = seed, k1 = ROTATE(seed, 32) * UINT64_C(0x9e3779b97f4a7c15) ^ UINT64_C(0xbf58476d1ce4e5b9);
  *hasher = (tr_hasher){ k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                         k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573), 0 };
}

uint32_t tr_hasher_prefix(tr_hasher *hasher, const char *text, size_t length) {
  uint64_t word;
  for (; length - hasher->done >= 8; hasher->done += 8) {
    memcpy(&word, text + hasher->done, 8);
    sip_word(hasher, word);
  }
  tr_hasher end = *hasher; /* the tail belongs to this prefix only */
  word = (uint64_t)length << 56;
  size_t tail = length - end.done;
  if (tail && length >= 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) { /* the last eight bytes, without those that were taken */
    uint64_t last;
    memcpy(&last, text + length - 8, 8);
    word |= last >> (8 * (8 - tail));
  } else {
    for (size_t i = 0; i < tail; i++) word |= (uint64_t)(uint8_t)text[end.done + i] << (8 * i);
  }
  sip_word(&end, word);
  end.v2 ^= 0xff;
  for (int i = 0; i < 3; i++) sip_round(&end);
  uint64_t hash = end.v0 ^ end.v1 ^ end.v2 ^ end.v3;
  return (uint32_t)(hash ^ (hash >> 32));
}

uint32_t tr_hash(uint64_t seed, tr_slice bytes) {
  tr_hasher hasher;
  tr_hasher_init(&hasher, seed);
  return tr_hasher_prefix(&hasher, bytes.p, bytes.n);
}

/* ---- the map ---- */

void tr_map_init(tr_map *map, tr_mem *mem, uint64_t seed) { *map = (tr_map){ .mem = mem, .seed = seed }; }

void tr_map_fini(tr_map *map) {
  tr_free(map->mem, map->entries, map->cap * sizeof *map->entries);
  tr_map_init(map, map->mem, map->seed);
}

static tr_map_entry *find(const tr_map *map, tr_slice key, uint32_t hash) {
  if (map->cap == 0) return NULL;
  for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
    tr_map_entry *entry = &map->entries[i];
    if (!entry->value && entry->hash == EMPTY) return NULL;
    if (entry->value && entry->hash == hash && tr_slice_equal(entry->key, key)) return entry;
  }
}

/* The first place for a new entry on its probe path: an empty one or a tombstone. */
static tr_map_entry *place(tr_map_entry *entries, size_t cap, uint32_t hash) {
  size_t i = hash & (cap - 1);
  while (entries[i].value) i = (i + 1) & (cap - 1);
  return &entries[i];
}

/* Room for one more, keeping a quarter empty: probing ends at an empty entry. */
static int make_room(tr_map *map) {
  if (map->cap && map->used + 1 <= map->cap - map->cap / 4) return 0;
  size_t cap = FIRST_CAP;
  while (map->count + 1 > cap / 2) cap *= 2;
  tr_map_entry *entries = tr_calloc(map->mem, cap, sizeof *entries);
  if (!entries) return TR_EMEMORY;
  for (size_t i = 0; i < map->cap; i++)
    if (map->entries[i].value) *place(entries, cap, map->entries[i].hash) = map->entries[i];
  tr_free(map->mem, map->entries, map->cap * sizeof *map->entries);
  map->entries = entries;
  map->cap = cap;
  map->used = map->count;
  return 0;
}

void *tr_map_get_hashed(const tr_map *map, tr_slice key, uint32_t hash) {
  tr_map_entry *entry = map->count ? find(map, key, hash) : NULL;
  return entry ? entry->value : NULL;
}

void *tr_map_get(const tr_map *map, tr_slice key) {
  return map->count ? tr_map_get_hashed(map, key, tr_hash(map->seed, key)) : NULL;
}

int tr_map_put(tr_map *map, tr_slice key, void *value, void **old) {
  uint32_t hash = tr_hash(map->seed, key);
  tr_map_entry *entry = find(map, key, hash);
  if (old) *old = entry ? entry->value : NULL;
  if (!entry) {
    int err = make_room(map);
    if (err) return err;
    entry = place(map->entries, map->cap, hash);
    if (entry->hash == EMPTY) map->used++;
    map->count++;
  }
  *entry = (tr_map_entry){ key, hash, value };
  return 0;
}

void *tr_map_remove(tr_map *map, tr_slice key) {
  if (map->count == 0) return NULL;
  tr_map_entry *entry = find(map, key, tr_hash(map->seed, key));
  if (!entry) return NULL;
  void *value = entry->value;
  *entry = (tr_map_entry){ .hash = TOMBSTONE };
  map->count--;
  return value;
}

bool tr_map_next(const tr_map *map, size_t *at, tr_slice *key, void **value) {
  for (; *at < map->cap; ++*at) {
    tr_map_entry *entry = &map->entries[*at];
    if (!entry->value) continue;
    if (key) *key = entry->key;
    if (value) *value = entry->value;
    ++*at;
    return true;
  }
  return false;
}
