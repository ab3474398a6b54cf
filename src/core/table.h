/* SPDX-License-Identifier: MIT
 * A hash table of items that carry an interned name: found by the name's address, with the hash that the name has
 * already, so a look-up hashes and compares no text. Private to the core. */
#ifndef TR_CORE_TABLE_H
#define TR_CORE_TABLE_H

#include "base/mem.h"
#include "base/names.h"

typedef struct tr_table {
  tr_mem *mem;
  void **items;     /* cap of them, then as many hashes: one block */
  uint32_t *hashes; /* of the items' names; 0: empty */
  uint32_t cap, count; /* cap: 0 or a power of two */
  uint32_t key_at;  /* offset of the `tr_name *` in an item */
} tr_table;

static inline tr_name *tr_table_key(const tr_table *table, const void *item) {
  return *(tr_name *const *)((const char *)item + table->key_at);
}

/* The item with this name, or NULL. */
static inline void *tr_table_get(const tr_table *table, const tr_name *name) {
  if (table->count == 0) return NULL;
  uint32_t mask = table->cap - 1, hash = name->hash;
  for (uint32_t i = hash & mask; table->hashes[i]; i = (i + 1) & mask)
    if (table->hashes[i] == hash && tr_table_key(table, table->items[i]) == name) return table->items[i];
  return NULL;
}

void tr_table_init(tr_table *table, tr_mem *mem, size_t key_at);
void tr_table_fini(tr_table *table); /* the items are the caller's */
int tr_table_add(tr_table *table, void *item); /* none with its name may be there; 0 or TR_EMEMORY */
void tr_table_remove(tr_table *table, void *item); /* no-op where it is not in */

#endif
