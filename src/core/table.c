/* SPDX-License-Identifier: MIT
 * Open addressing with linear probing, at most two thirds full: a million agents cost 8 to 24 bytes each here. A
 * removal moves later items of the probe path back, so that no tombstones pile up where instances come and go. */
#include "core/table.h"

#include "base/error.h"

#define FIRST_CAP 4

void tr_table_init(tr_table *table, tr_mem *mem, size_t key_at) {
  *table = (tr_table){ .mem = mem, .key_at = (uint32_t)key_at };
}

void tr_table_fini(tr_table *table) {
  tr_free(table->mem, table->items, table->cap * sizeof *table->items);
  table->items = NULL;
  table->cap = table->count = 0;
}

static void place(const tr_table *table, void **items, uint32_t cap, void *item) {
  uint32_t i = tr_table_key(table, item)->hash & (cap - 1);
  while (items[i]) i = (i + 1) & (cap - 1);
  items[i] = item;
}

static int resize(tr_table *table, uint32_t cap) {
  void **items = tr_calloc(table->mem, cap, sizeof *items);
  if (!items) return TR_EMEMORY;
  for (uint32_t i = 0; i < table->cap; i++)
    if (table->items[i]) place(table, items, cap, table->items[i]);
  tr_free(table->mem, table->items, table->cap * sizeof *table->items);
  table->items = items;
  table->cap = cap;
  return 0;
}

int tr_table_reserve(tr_table *table) {
  if ((uint64_t)(table->count + 1) * 3 <= (uint64_t)table->cap * 2) return 0;
  if (table->cap > UINT32_MAX / 2) return TR_EMEMORY;
  return resize(table, table->cap ? table->cap * 2 : FIRST_CAP);
}

int tr_table_add(tr_table *table, void *item) {
  int err = tr_table_reserve(table);
  if (err) return err;
  place(table, table->items, table->cap, item);
  table->count++;
  return 0;
}

void tr_table_remove(tr_table *table, void *item) {
  if (table->count == 0) return;
  uint32_t mask = table->cap - 1, hole = tr_table_key(table, item)->hash & mask;
  while (table->items[hole] && table->items[hole] != item) hole = (hole + 1) & mask;
  if (!table->items[hole]) return;
  for (uint32_t i = (hole + 1) & mask; table->items[i]; i = (i + 1) & mask) {
    uint32_t home = tr_table_key(table, table->items[i])->hash & mask;
    if (((i - home) & mask) < ((i - hole) & mask)) continue; /* it would come before its home */
    table->items[hole] = table->items[i];
    hole = i;
  }
  table->items[hole] = NULL;
  table->count--;
  if (table->cap > 64 && table->count < table->cap / 8) (void)resize(table, table->cap / 2); /* too big is no error */
}
