/* SPDX-License-Identifier: MIT
 * Open addressing with linear probing, at most four fifths full: an item costs 15 to 30 bytes here.
 *
 * Hashes lie in an array of their own: a probe that finds another name, or nothing, touches one cache line and no
 * item, and growing touches none at all. With a million agents that is what their making and finding costs. A removal
 * moves later items of the probe path back, so that no tombstones pile up where instances come and go. */
#include "core/table.h"

#include "base/error.h"

#define FIRST_CAP 4

static size_t size_of(uint32_t cap) { return cap * (sizeof(void *) + sizeof(uint32_t)); }

void tr_table_init(tr_table *table, tr_mem *mem, size_t key_at) {
  *table = (tr_table){ .mem = mem, .key_at = (uint32_t)key_at };
}

void tr_table_fini(tr_table *table) {
  tr_free(table->mem, table->items, size_of(table->cap));
  table->items = NULL;
  table->hashes = NULL;
  table->cap = table->count = 0;
}

static void place(tr_table *table, uint32_t hash, void *item) {
  uint32_t mask = table->cap - 1, i = hash & mask;
  while (table->hashes[i]) i = (i + 1) & mask;
  table->hashes[i] = hash;
  table->items[i] = item;
}

static int resize(tr_table *table, uint32_t cap) {
  tr_table old = *table;
  void **items = tr_calloc(table->mem, 1, size_of(cap));
  if (!items) return TR_EMEMORY;
  table->items = items;
  table->hashes = (uint32_t *)(void *)(items + cap);
  table->cap = cap;
  for (uint32_t i = 0; i < old.cap; i++)
    if (old.hashes[i]) place(table, old.hashes[i], old.items[i]);
  tr_free(table->mem, old.items, size_of(old.cap));
  return 0;
}

int tr_table_add(tr_table *table, void *item) {
  if ((uint64_t)(table->count + 1) * 5 > (uint64_t)table->cap * 4) {
    if (table->cap > UINT32_MAX / 2) return TR_EMEMORY;
    int err = resize(table, table->cap ? table->cap * 2 : FIRST_CAP);
    if (err) return err;
  }
  place(table, tr_table_key(table, item)->hash, item);
  table->count++;
  return 0;
}

void tr_table_remove(tr_table *table, void *item) {
  if (table->count == 0) return;
  uint32_t mask = table->cap - 1, hole = tr_table_key(table, item)->hash & mask;
  while (table->hashes[hole] && table->items[hole] != item) hole = (hole + 1) & mask;
  if (!table->hashes[hole]) return;
  for (uint32_t i = (hole + 1) & mask; table->hashes[i]; i = (i + 1) & mask) {
    uint32_t home = table->hashes[i] & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue; /* it would come before its home */
    table->items[hole] = table->items[i];
    table->hashes[hole] = table->hashes[i];
    hole = i;
  }
  table->items[hole] = NULL;
  table->hashes[hole] = 0;
  table->count--;
  if (table->cap > 64 && table->count < table->cap / 8) (void)resize(table, table->cap / 2); /* too big is no error */
}
