/* SPDX-License-Identifier: MIT
 * Which agents are saved or restored: ids, types, and patterns of both, in which * stands for any text. */
#include <string.h>

#include "base/text.h"
#include "runtime/state.h"

#define ONLY_MAX 1000

int tr_only_init(tr_only *only, tr_mem *mem, const char *const *items) {
  size_t count = 0;
  *only = (tr_only){ .mem = mem };
  while (items && items[count]) count++;
  if (count > ONLY_MAX) return TR_EINVALID;
  if (items && count == 0) return TR_EINVALID; /* nothing at all is asked for: a mistake */
  if (count == 0) return 0;
  only->items = tr_calloc(mem, count, sizeof *only->items);
  if (!only->items) return TR_EMEMORY;
  only->count = count;
  for (size_t i = 0; i < count; i++) {
    only->items[i] = tr_strndup(mem, items[i], strlen(items[i]));
    if (only->items[i]) continue;
    tr_only_fini(only);
    return TR_EMEMORY;
  }
  return 0;
}

void tr_only_fini(tr_only *only) {
  for (size_t i = 0; i < only->count; i++)
    if (only->items[i]) tr_free(only->mem, only->items[i], strlen(only->items[i]) + 1);
  tr_free(only->mem, only->items, only->count * sizeof *only->items);
  *only = (tr_only){ .mem = only->mem };
}

bool tr_only_has(const tr_only *only, tr_slice key) {
  const char *slash = key.n ? memchr(key.p, '/', key.n) : NULL;
  tr_slice type = { key.p, slash ? (size_t)(slash - key.p) : key.n };
  for (size_t i = 0; i < only->count; i++)
    if (strchr(only->items[i], '/') ? slash && tr_text_matches(only->items[i], key) : tr_text_matches(only->items[i], type)) return true;
  return only->count == 0;
}
