/* SPDX-License-Identifier: MIT
 * A hash table of items that carry an interned name: found by the name's address, with the hash that the name has
 * already, so a look-up hashes and compares no text. Private to the core. */
#ifndef TR_CORE_TABLE_H
#define TR_CORE_TABLE_H

#include "base/mem.h"
#include "base/names.h"

typedef struct tr_table {
  tr_mem *mem;
  void **items;
  uint32_t cap, count; /* cap: 0 or a power of two */
  uint32_t key_at;     /* offset of the `tr_name *` in an item */
} tr_table;

static inline tr_name *tr_table_key(const tr_table *table, const void *item) {
  return *(tr_name *const *)((const char *)item + table->key_at);
}

/* The item with this name, or NULL. */
static inline void *tr_table_get(const tr_table *table, const tr_name *name) {
  if (table->count == 0) return NULL;
  uint32_t mask = table->cap - 1;
  for (uint32_t i = name->hash & mask;; i = (i + 1) & mask) {
    void *item = table->items[i];
    if (!item || tr_table_key(table, item) == name) return item;
  }
}

void tr_table_init(tr_table *table, tr_mem *mem, size_t key_at);
void tr_table_fini(tr_table *table); /* the items are the caller's */
/* Room for one more item, so that the next add cannot fail. 0 or TR_EMEMORY. */
int tr_table_reserve(tr_table *table);
int tr_table_add(tr_table *table, void *item); /* none with its name may be there; 0 or TR_EMEMORY */
void tr_table_remove(tr_table *table, void *item); /* no-op where it is not in */

#endif
