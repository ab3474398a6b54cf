/* SPDX-License-Identifier: MIT
 * The allocator's counting front: every room allocates through these few functions, so `used` is exact and an
 * embedder (or a test that refuses the n-th allocation) has one place to hook.
 *
 * A size of 0 counts as 1, on allocation and on release alike: realloc_fn reads 0 as "free", and callers need not
 * treat an empty text specially. What is in use is counted here rather than in realloc_fn, so that hooks stay
 * trivial. */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *libc_realloc(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  (void)old_size;
  if (new_size == 0) {
    free(ptr);
    return NULL;
  }
  return ptr ? realloc(ptr, new_size) : malloc(new_size);
}

void tr_mem_init(tr_mem *mem) {
  mem->realloc_fn = libc_realloc;
  mem->ud = NULL;
  mem->used = 0;
  mem->spares = NULL;
}

bool tr_mem_is_plain(const tr_mem *mem) { return mem->realloc_fn == libc_realloc; }

static size_t at_least_one(size_t size) { return size ? size : 1; }

void *tr_alloc(tr_mem *mem, size_t size) {
  size = at_least_one(size);
  void *ptr = mem->realloc_fn(mem->ud, NULL, 0, size);
  if (ptr) mem->used += size;
  return ptr;
}

void *tr_calloc(tr_mem *mem, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  void *ptr = tr_alloc(mem, count * size);
  if (ptr) memset(ptr, 0, count * size);
  return ptr;
}

void *tr_realloc(tr_mem *mem, void *ptr, size_t old_size, size_t new_size) {
  if (!ptr) return tr_alloc(mem, new_size);
  old_size = at_least_one(old_size);
  new_size = at_least_one(new_size);
  void *moved = mem->realloc_fn(mem->ud, ptr, old_size, new_size);
  if (moved) mem->used += new_size - old_size; /* wraps round correctly when it shrinks */
  return moved;
}

void tr_free(tr_mem *mem, void *ptr, size_t size) {
  if (!ptr) return;
  size = at_least_one(size);
  mem->used -= size;
  mem->realloc_fn(mem->ud, ptr, size, 0);
}

char *tr_strndup(tr_mem *mem, const char *text, size_t length) {
  if (length == SIZE_MAX) return NULL;
  char *copy = tr_alloc(mem, length + 1);
  if (!copy) return NULL;
  if (length) memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}
