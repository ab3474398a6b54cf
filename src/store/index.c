/* SPDX-License-Identifier: MIT
 * Names to records. base's map takes keys in one piece and one value a key; here a name has three parts and may come
 * again. So: chained hash tables whose links lie in the entries. They are filled from the last record to the
 * first, each put in front of its chain, so that every chain runs in the file's order and a find meets the first
 * record of a name first, at no cost for comparing while filling.
 * Three allocations in all, their sizes known beforehand. */
#include "store/index.h"

#include "base/map.h"

#define NONE UINT32_MAX

int tr_index_init(tr_index *index, tr_mem *mem, uint64_t seed, uint64_t count, size_t names_size) {
  *index = (tr_index){ .seed = seed, .names_size = names_size, .buckets = 8 };
  if (count > UINT32_C(1) << 31) return TR_EMEMORY;
  index->cap = (size_t)count;
  while (index->buckets < index->cap) index->buckets *= 2;
  index->entries = tr_calloc(mem, index->cap, sizeof *index->entries);
  index->names = tr_alloc(mem, names_size);
  index->by_key = tr_calloc(mem, index->buckets, 2 * sizeof *index->by_key);
  if (!index->entries || !index->names || !index->by_key) return TR_EMEMORY;
  index->by_part = index->by_key + index->buckets;
  return 0;
}

void tr_index_fini(tr_index *index, tr_mem *mem) {
  tr_free(mem, index->by_key, index->buckets * 2 * sizeof *index->by_key);
  tr_free(mem, index->names, index->names_size);
  tr_free(mem, index->entries, index->cap * sizeof *index->entries);
  *index = (tr_index){ 0 };
}

bool tr_index_push(tr_index *index, const tr_entry *entry, tr_slice names) {
  if (index->count == index->cap || names.n > index->names_size - index->names_used) return false;
  tr_entry *own = &index->entries[index->count++];
  *own = *entry;
  own->name = index->names_used;
  memcpy(index->names + index->names_used, names.p, names.n);
  index->names_used += names.n;
  return true;
}

tr_record tr_index_at(const tr_index *index, size_t i) {
  const tr_entry *entry = &index->entries[i];
  const char *name = index->names + entry->name;
  return (tr_record){ .kind = { name, entry->kind }, .key = { name + entry->kind, entry->key },
                      .part = { name + entry->kind + entry->key, entry->part },
                      .version = entry->version, .size = entry->size };
}

static uint32_t hash_key(const tr_index *index, tr_slice kind, tr_slice key) {
  return tr_hash(index->seed + tr_hash(index->seed, kind), key);
}

static uint32_t hash_part(const tr_index *index, uint32_t hash, tr_slice part) {
  return part.n ? tr_hash(index->seed + hash, part) : hash;
}

void tr_index_finish(tr_index *index) {
  memset(index->by_key, 0xff, index->buckets * 2 * sizeof *index->by_key); /* NONE everywhere */
  for (size_t i = index->count; i-- > 0;) {
    tr_record record = tr_index_at(index, i);
    tr_entry *entry = &index->entries[i];
    uint32_t hash = hash_key(index, record.kind, record.key);
    uint32_t *by_key = &index->by_key[hash & (index->buckets - 1)];
    uint32_t *by_part = &index->by_part[hash_part(index, hash, record.part) & (index->buckets - 1)];
    entry->next_key = *by_key;
    entry->next_part = *by_part;
    *by_key = *by_part = (uint32_t)i;
  }
}

static bool same_key(const tr_index *index, size_t i, tr_slice kind, tr_slice key) {
  tr_record record = tr_index_at(index, i);
  return tr_slice_equal(record.key, key) && tr_slice_equal(record.kind, kind);
}

static size_t along_keys(const tr_index *index, uint32_t i, tr_slice kind, tr_slice key) {
  while (i != NONE && !same_key(index, i, kind, key)) i = index->entries[i].next_key;
  return i == NONE ? TR_SNAPSHOT_NONE : i;
}

size_t tr_index_find(const tr_index *index, tr_slice kind, tr_slice key, const tr_slice *part) {
  uint32_t hash = hash_key(index, kind, key);
  if (!part) return along_keys(index, index->by_key[hash & (index->buckets - 1)], kind, key);
  uint32_t i = index->by_part[hash_part(index, hash, *part) & (index->buckets - 1)];
  while (i != NONE && !(same_key(index, i, kind, key) && tr_slice_equal(tr_index_at(index, i).part, *part)))
    i = index->entries[i].next_part;
  return i == NONE ? TR_SNAPSHOT_NONE : i;
}

size_t tr_index_next_key(const tr_index *index, size_t i) {
  tr_record record = tr_index_at(index, i);
  return along_keys(index, index->entries[i].next_key, record.kind, record.key);
}
