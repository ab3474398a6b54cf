/* SPDX-License-Identifier: MIT
 * Interned names: an open-addressing table of them, at most four fifths full.
 *
 * Hashes lie in an array of their own, so that looking for a name that is not there, which is how every new agent's
 * key begins, touches one cache line and no other name; growing touches none. Names come and go all the time, so a
 * removal moves later ones of its probe path back and leaves nothing behind; the table shrinks at an eighth. */
#include "base/names.h"

#include "base/map.h"

#define FIRST_CAP 64

struct tr_names {
  tr_mem *mem;
  uint64_t seed;
  tr_name **items;  /* cap of them, then as many hashes: one block */
  uint32_t *hashes; /* 0: empty */
  uint32_t cap, count; /* cap: a power of two */
  bool closed; /* tr_names_free was called: the last name takes the table with it */
};

static size_t name_size(size_t length) { return offsetof(tr_name, text) + length + 1; }
static size_t size_of(uint32_t cap) { return cap * (sizeof(tr_name *) + sizeof(uint32_t)); }

static void place(tr_names *names, tr_name *name) {
  uint32_t mask = names->cap - 1, i = name->hash & mask;
  while (names->hashes[i]) i = (i + 1) & mask;
  names->hashes[i] = name->hash;
  names->items[i] = name;
}

/* False where memory ran out: the table stays as it was. */
static bool resize(tr_names *names, uint32_t cap) {
  tr_names old = *names;
  tr_name **items = tr_calloc(names->mem, 1, size_of(cap));
  if (!items) return false;
  names->items = items;
  names->hashes = (uint32_t *)(void *)(items + cap);
  names->cap = cap;
  for (uint32_t i = 0, mask = cap - 1; i < old.cap; i++) {
    uint32_t at = old.hashes[i] & mask;
    if (!old.hashes[i]) continue;
    while (names->hashes[at]) at = (at + 1) & mask;
    names->hashes[at] = old.hashes[i];
    names->items[at] = old.items[i];
  }
  tr_free(names->mem, old.items, size_of(old.cap));
  return true;
}

tr_names *tr_names_new(tr_mem *mem, uint64_t seed) {
  tr_names *names = TR_NEW(mem, tr_names);
  if (!names) return NULL;
  names->mem = mem;
  names->seed = seed;
  if (resize(names, FIRST_CAP)) return names;
  TR_DELETE(mem, names);
  return NULL;
}

static void destroy(tr_names *names) {
  tr_free(names->mem, names->items, size_of(names->cap));
  TR_DELETE(names->mem, names);
}

void tr_names_free(tr_names *names) {
  if (!names) return;
  names->closed = true;
  if (names->count == 0) destroy(names);
}

size_t tr_names_count(const tr_names *names) { return names->count; }

static uint32_t hash_of(const tr_names *names, tr_slice text) {
  uint32_t hash = tr_hash(names->seed, text);
  return hash ? hash : 1;
}

static tr_name *find(const tr_names *names, tr_slice text, uint32_t hash) {
  for (uint32_t mask = names->cap - 1, i = hash & mask; names->hashes[i]; i = (i + 1) & mask)
    if (names->hashes[i] == hash && tr_slice_equal(tr_name_view(names->items[i]), text)) return names->items[i];
  return NULL;
}

tr_name *tr_name_find(const tr_names *names, tr_slice text) { return find(names, text, hash_of(names, text)); }

tr_name *tr_name_new(tr_names *names, tr_slice text) {
  uint32_t hash = hash_of(names, text);
  tr_name *name = find(names, text, hash);
  if (name) return tr_name_ref(name);
  if (text.n >= UINT32_MAX - sizeof *name) return NULL;
  if ((uint64_t)(names->count + 1) * 5 > (uint64_t)names->cap * 4)
    if (names->cap > UINT32_MAX / 2 || !resize(names, names->cap * 2)) return NULL;
  name = tr_alloc(names->mem, name_size(text.n));
  if (!name) return NULL;
  name->refs = 1;
  name->hash = hash;
  name->len = (uint32_t)text.n;
  name->table = names;
  if (text.n) memcpy(name->text, text.p, text.n);
  name->text[text.n] = 0;
  place(names, name);
  names->count++;
  return name;
}

void tr_name_free(tr_name *name) {
  tr_names *names = name->table;
  uint32_t mask = names->cap - 1, hole = name->hash & mask;
  while (names->items[hole] != name) hole = (hole + 1) & mask;
  for (uint32_t i = (hole + 1) & mask; names->hashes[i]; i = (i + 1) & mask) {
    uint32_t home = names->hashes[i] & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue; /* it would come before its home */
    names->items[hole] = names->items[i];
    names->hashes[hole] = names->hashes[i];
    hole = i;
  }
  names->items[hole] = NULL;
  names->hashes[hole] = 0;
  names->count--;
  tr_free(names->mem, name, name_size(name->len));
  if (names->closed && names->count == 0) destroy(names);
  else if (names->cap > FIRST_CAP && names->count < names->cap / 8) (void)resize(names, names->cap / 2);
}
