/* SPDX-License-Identifier: MIT
 * Interned names: a hash table with chains through the names themselves.
 *
 * Chains rather than open addressing, because names come and go all the time (every agent key is one) and a
 * removal must leave nothing behind. The table grows at one name a bucket and shrinks at an eighth. Where memory for a
 * bigger table is missing, the old one goes on with longer chains: only making a name can fail. */
#include "base/names.h"

#include "base/map.h"

#define FIRST_BUCKETS 64

struct tr_names {
  tr_mem *mem;
  uint64_t seed;
  tr_name **buckets;
  size_t bucket_count; /* a power of two */
  size_t count;
  bool closed; /* tr_names_free was called: the last name takes the table with it */
};

tr_names *tr_names_new(tr_mem *mem, uint64_t seed) {
  tr_names *names = TR_NEW(mem, tr_names);
  if (!names) return NULL;
  names->buckets = tr_calloc(mem, FIRST_BUCKETS, sizeof *names->buckets);
  if (!names->buckets) {
    TR_DELETE(mem, names);
    return NULL;
  }
  names->mem = mem;
  names->seed = seed;
  names->bucket_count = FIRST_BUCKETS;
  return names;
}

static void destroy(tr_names *names) {
  tr_free(names->mem, names->buckets, names->bucket_count * sizeof *names->buckets);
  TR_DELETE(names->mem, names);
}

void tr_names_free(tr_names *names) {
  if (!names) return;
  names->closed = true;
  if (names->count == 0) destroy(names);
}

size_t tr_names_count(const tr_names *names) { return names->count; }

static tr_name **bucket_of(const tr_names *names, uint32_t hash) { return &names->buckets[hash & (names->bucket_count - 1)]; }

static tr_name *find(const tr_names *names, tr_slice text, uint32_t hash) {
  for (tr_name *name = *bucket_of(names, hash); name; name = name->next)
    if (name->hash == hash && name->len == text.n && (text.n == 0 || memcmp(name->text, text.p, text.n) == 0)) return name;
  return NULL;
}

static void resize(tr_names *names, size_t bucket_count) {
  tr_name **old = names->buckets, **buckets = tr_calloc(names->mem, bucket_count, sizeof *buckets);
  size_t old_count = names->bucket_count;
  if (!buckets) return; /* longer chains, nothing worse */
  names->buckets = buckets;
  names->bucket_count = bucket_count;
  for (size_t i = 0; i < old_count; i++)
    for (tr_name *name = old[i], *next; name; name = next) {
      next = name->next;
      tr_name **bucket = bucket_of(names, name->hash);
      name->next = *bucket;
      *bucket = name;
    }
  tr_free(names->mem, old, old_count * sizeof *old);
}

tr_name *tr_name_new(tr_names *names, tr_slice text) {
  uint32_t hash = tr_hash(names->seed, text);
  tr_name *name = find(names, text, hash);
  if (name) return tr_name_ref(name);
  if (text.n >= UINT32_MAX - sizeof *name) return NULL;
  name = tr_alloc(names->mem, sizeof *name + text.n + 1);
  if (!name) return NULL;
  if (names->count >= names->bucket_count) resize(names, names->bucket_count * 2);
  tr_name **bucket = bucket_of(names, hash);
  name->refs = 1;
  name->hash = hash;
  name->len = (uint32_t)text.n;
  name->table = names;
  name->next = *bucket;
  if (text.n) memcpy(name->text, text.p, text.n);
  name->text[text.n] = 0;
  *bucket = name;
  names->count++;
  return name;
}

tr_name *tr_name_find(const tr_names *names, tr_slice text) { return find(names, text, tr_hash(names->seed, text)); }

void tr_name_unref(tr_name *name) {
  if (!name || --name->refs > 0) return;
  tr_names *names = name->table;
  tr_name **at = bucket_of(names, name->hash);
  while (*at != name) at = &(*at)->next;
  *at = name->next;
  tr_free(names->mem, name, sizeof *name + name->len + 1);
  names->count--;
  if (names->closed && names->count == 0) destroy(names);
  else if (names->bucket_count > FIRST_BUCKETS && names->count < names->bucket_count / 8) resize(names, names->bucket_count / 2);
}
