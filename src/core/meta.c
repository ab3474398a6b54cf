/* SPDX-License-Identifier: MIT
 * A message's metadata: a list in order of setting. Most have one to three entries and are searched as they lie; past
 * SEARCHED a hash map is added, so that a message with very many keys, which anyone may send, costs no square. */
#include "base/map.h"
#include "core/message.h"

#define SEARCHED 16

typedef struct entry { char *key, *value; size_t key_length, value_length; } entry;

struct tr_meta {
  tr_mem *mem;
  entry *entries;
  size_t count, cap;
  tr_map index; /* key → number of the entry + 1, from SEARCHED entries on */
};

tr_meta *tr_meta_new(tr_mem *mem) {
  tr_meta *meta = TR_NEW(mem, tr_meta);
  if (!meta) return NULL;
  meta->mem = mem;
  tr_map_init(&meta->index, mem, (uint64_t)(uintptr_t)meta); /* an address is all the secret that is at hand */
  return meta;
}

void tr_meta_free(tr_meta *meta) {
  if (!meta) return;
  for (size_t i = 0; i < meta->count; i++) {
    tr_free(meta->mem, meta->entries[i].key, meta->entries[i].key_length + 1);
    tr_free(meta->mem, meta->entries[i].value, meta->entries[i].value_length + 1);
  }
  tr_map_fini(&meta->index);
  tr_free(meta->mem, meta->entries, meta->cap * sizeof *meta->entries);
  TR_DELETE(meta->mem, meta);
}

static tr_slice key_of(const entry *e) { return tr_slice_make(e->key, e->key_length); }

static entry *find(const tr_meta *meta, tr_slice key) {
  if (meta->index.count) {
    size_t number = (size_t)(uintptr_t)tr_map_get(&meta->index, key);
    if (number) return &meta->entries[number - 1];
  }
  for (size_t i = 0; i < meta->count && i < SEARCHED; i++)
    if (tr_slice_equal(key_of(&meta->entries[i]), key)) return &meta->entries[i];
  return NULL;
}

static int make_room(tr_meta *meta) {
  if (meta->count < meta->cap) return 0;
  size_t cap = meta->cap ? meta->cap * 2 : 4;
  entry *grown = tr_realloc(meta->mem, meta->entries, meta->cap * sizeof *grown, cap * sizeof *grown);
  if (!grown) return TR_EMEMORY;
  meta->entries = grown;
  meta->cap = cap;
  return 0;
}

int tr_meta_set(tr_meta *meta, tr_slice key, tr_slice value) {
  entry *old = find(meta, key);
  char *value_copy = tr_strndup(meta->mem, value.p, value.n);
  if (!value_copy) return TR_EMEMORY;
  if (old) {
    tr_free(meta->mem, old->value, old->value_length + 1);
    old->value = value_copy;
    old->value_length = value.n;
    return 0;
  }
  entry new = { tr_strndup(meta->mem, key.p, key.n), value_copy, key.n, value.n };
  if (!new.key || make_room(meta)) goto out;
  void *number = (void *)(uintptr_t)(meta->count + 1);
  if (meta->count >= SEARCHED && tr_map_put(&meta->index, key_of(&new), number, NULL)) goto out;
  meta->entries[meta->count++] = new;
  return 0;
out:
  if (new.key) tr_free(meta->mem, new.key, key.n + 1);
  tr_free(meta->mem, value_copy, value.n + 1);
  return TR_EMEMORY;
}

tr_slice tr_meta_get(const tr_meta *meta, tr_slice key) {
  entry *e = meta ? find(meta, key) : NULL;
  return e ? tr_slice_make(e->value, e->value_length) : tr_slice_make(NULL, 0);
}

size_t tr_meta_count(const tr_meta *meta) { return meta ? meta->count : 0; }

void tr_meta_at(const tr_meta *meta, size_t i, tr_slice *key, tr_slice *value) {
  const entry *e = &meta->entries[i];
  if (key) *key = key_of(e);
  if (value) *value = tr_slice_make(e->value, e->value_length);
}

/* What the wire has keys of its own for (wire/keys.c): it would be lost there. */
static const char *const wire_keys[] = { "priority", "content-type", "datacontenttype", "dataschema", "agagentsendertype",
                                         "agagentsenderkey", "agmsgkind" };

int tr_meta_key_check(tr_slice key, tr_error *error) {
  if (tr_slice_starts(key, TR_SLICE_LITERAL("troupe-")))
    return tr_error_set(error, TR_EINVALID, "metadata.%.*s: names that begin with \"troupe-\" are reserved", TR_SLICE_ARG(key));
  for (size_t i = 0; i < sizeof wire_keys / sizeof *wire_keys; i++)
    if (tr_slice_is(key, wire_keys[i]))
      return tr_error_set(error, TR_EINVALID, "metadata.%.*s is reserved%s", TR_SLICE_ARG(key),
                          i == 0 ? " (give the option `priority`)" : "");
  return 0;
}
