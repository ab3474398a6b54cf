/* SPDX-License-Identifier: MIT
 * The index of a snapshot's names: two hash tables over one array, one by kind and key, one by part too. */
#ifndef TR_STORE_INDEX_H
#define TR_STORE_INDEX_H

#include "base/mem.h"
#include "store/snapshot.h"

typedef struct tr_entry {
  uint64_t at, size; /* of the body */
  uint64_t name;     /* where in names kind, key and part lie */
  uint32_t version, crc;
  uint32_t next_key, next_part; /* in its chain of either table */
  uint16_t kind, key, part;     /* lengths */
} tr_entry;

static inline size_t tr_entry_name_size(const tr_entry *entry) {
  return (size_t)entry->kind + entry->key + entry->part;
}

typedef struct tr_index {
  uint64_t seed;
  tr_entry *entries;
  size_t count, cap;
  char *names;
  size_t names_used, names_size;
  uint32_t *by_key, *by_part; /* one block of 2 * buckets */
  size_t buckets;             /* a power of two */
} tr_index;

/* Room for exactly this much. err: TR_EMEMORY (also for over 2^31 records). */
int tr_index_init(tr_index *index, tr_mem *mem, uint64_t seed, uint64_t count, size_t names_size);
void tr_index_fini(tr_index *index, tr_mem *mem); /* also of one that is all zero, or whose _init failed */
/* Copies; false where there is no room. */
bool tr_index_push(tr_index *index, const tr_entry *entry, tr_slice names);
/* After the last push, before the first find. */
void tr_index_finish(tr_index *index);

tr_record tr_index_at(const tr_index *index, size_t i);
/* As tr_snapshot_find; part NULL: whatever it is. */
size_t tr_index_find(const tr_index *index, tr_slice kind, tr_slice key, const tr_slice *part);
size_t tr_index_next_key(const tr_index *index, size_t i);

#endif
