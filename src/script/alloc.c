/* SPDX-License-Identifier: MIT
 * Lua's memory: small blocks from free lists by size, the rest from the core's tr_mem; counted, with an optional limit.
 *
 * A message is a few tables, so allocation is a fifth of its cost with malloc. Blocks up to SMALL_MAX bytes are rounded
 * up to 16 and kept in lists, carved from chunks that are given back when the state closes: a list costs two loads.
 * Lua hands back the size with each block, so a block needs no header. Under AddressSanitizer, and in the hostile
 * build, every block is its own, so that errors show and each allocation can be made to fail. */
#include "script/internal.h"

#define CHUNK 16384u
#define BLOCK_MAX (SIZE_MAX / 8)

#if defined(__SANITIZE_ADDRESS__) || defined(TR_HOSTILE)
#define SMALL_MAX 0u
#else
#define SMALL_MAX (16u * TR_SIZE_CLASSES)
#endif

struct tr_free_block { tr_free_block *next; };
struct tr_chunk { tr_chunk *next; size_t used; _Alignas(16) char bytes[]; };

static size_t rounded(size_t size) { return size <= SMALL_MAX ? (size + 15u) & ~(size_t)15 : size; }

/* A new block from the newest chunk. What is left of a full chunk is lost: less than a block. */
static void *carve(tr_script *script, size_t size) {
  tr_chunk *chunk = script->chunks;
  if (!chunk || sizeof *chunk + chunk->used + size > CHUNK) {
    chunk = tr_alloc(script->mem, CHUNK);
    if (!chunk) return NULL;
    chunk->next = script->chunks;
    chunk->used = 0;
    script->chunks = chunk;
  }
  void *block = chunk->bytes + chunk->used;
  chunk->used += size;
  return block;
}

static void *take(tr_script *script, size_t size) {
  if (size > SMALL_MAX) return tr_alloc(script->mem, size);
  tr_free_block **list = &script->free_blocks[size / 16], *block = *list;
  if (!block) return carve(script, size);
  *list = block->next;
  return block;
}

static void give(tr_script *script, void *block, size_t size) {
  if (size > SMALL_MAX) {
    tr_free(script->mem, block, size);
    return;
  }
  tr_free_block **list = &script->free_blocks[size / 16];
  ((tr_free_block *)block)->next = *list;
  *list = block;
}

static void *resize(tr_script *script, void *old, size_t old_size, size_t new_size) {
  if (old_size > SMALL_MAX && new_size > SMALL_MAX) return tr_realloc(script->mem, old, old_size, new_size);
  void *block = take(script, new_size);
  if (!block) return NULL;
  memcpy(block, old, old_size < new_size ? old_size : new_size);
  give(script, old, old_size);
  return block;
}

/* All but the short way: what is large, what changes its size, what memory there is none for. */
static __attribute__((noinline)) void *allocate_slowly(tr_script *script, void *ptr, size_t old_size, size_t new_size) {
  size_t limit = script->options.memory_limit;
  if (new_size > BLOCK_MAX) return NULL;
  old_size = ptr ? rounded(old_size) : 0; /* without a block, Lua puts the kind of object there */
  new_size = rounded(new_size);
  if (new_size == 0) {
    if (ptr) give(script, ptr, old_size);
    script->used -= old_size;
    return NULL;
  }
  if (old_size == new_size) return ptr;
  if (limit && new_size > old_size && script->used + (new_size - old_size) > limit) return NULL;
  void *block = ptr ? resize(script, ptr, old_size, new_size) : take(script, new_size);
  if (block) script->used = script->used - old_size + new_size;
  return block;
}

/* Nearly all calls make or give up a small block, twice a table: those two ways are short (6 % of a call and its reply). */
void *tr_script_allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_script *script = ud;
  if (!ptr && new_size - 1 < SMALL_MAX && !script->options.memory_limit) {
    size_t class_ = (new_size + 15u) / 16;
    tr_free_block *block = script->free_blocks[class_];
    if (block) {
      script->free_blocks[class_] = block->next;
      script->used += class_ * 16;
      return block;
    }
  } else if (ptr && new_size == 0 && old_size - 1 < SMALL_MAX) {
    size_t class_ = (old_size + 15u) / 16;
    tr_free_block *block = ptr;
    block->next = script->free_blocks[class_];
    script->free_blocks[class_] = block;
    script->used -= class_ * 16;
    return NULL;
  }
  return allocate_slowly(script, ptr, old_size, new_size);
}

void tr_script_free_chunks(tr_script *script) {
  while (script->chunks) {
    tr_chunk *next = script->chunks->next;
    tr_free(script->mem, script->chunks, CHUNK);
    script->chunks = next;
  }
}
