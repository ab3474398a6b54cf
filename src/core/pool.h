/* SPDX-License-Identifier: MIT
 * A free list of blocks of one size: what a message, an envelope, a turn or a call takes is given back millions of
 * times a second. Bounded, so that a burst's memory goes back to the allocator; off in the hostile build, so that a
 * use after free is seen there. Private to the core. */
#ifndef TR_CORE_POOL_H
#define TR_CORE_POOL_H

#include <string.h>

#include "base/mem.h"

#ifdef TR_HOSTILE
enum { TR_POOL_MOST = 0 };
#else
enum { TR_POOL_MOST = 4096 };
#endif

typedef struct tr_pool {
  struct tr_pool_block { struct tr_pool_block *next; } *first;
  size_t size;
  int count;
} tr_pool;

static inline void *tr_pool_take(tr_pool *pool, tr_mem *mem) { /* uninitialised; NULL: out of memory */
  struct tr_pool_block *block = pool->first;
  if (!block) return tr_alloc(mem, pool->size);
  pool->first = block->next;
  pool->count--;
  return block;
}

/* Zeroed. The size is not a constant here, on purpose: for one of this order gcc emits `rep stos`, which is several
 * times slower than libc's memset (three of them were a fifth of a call and its reply). */
static inline void *tr_pool_take_zeroed(tr_pool *pool, tr_mem *mem) {
  void *block = tr_pool_take(pool, mem);
  return block ? memset(block, 0, pool->size) : NULL;
}

static inline void tr_pool_give(tr_pool *pool, tr_mem *mem, void *p) {
  struct tr_pool_block *block = p;
  if (pool->count >= TR_POOL_MOST) {
    tr_free(mem, p, pool->size);
    return;
  }
  block->next = pool->first;
  pool->first = block;
  pool->count++;
}

static inline void tr_pool_fini(tr_pool *pool, tr_mem *mem) {
  for (struct tr_pool_block *block = pool->first, *next; block; block = next) {
    next = block->next;
    tr_free(mem, block, pool->size);
  }
  pool->first = NULL;
  pool->count = 0;
}

#endif
