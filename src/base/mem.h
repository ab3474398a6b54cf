/* SPDX-License-Identifier: MIT
 * The allocator every room takes its memory from: one function, sizes given back on release (as lua_Alloc has it), so
 * that an embedder can hook it and that what is in use can be counted exactly. Any allocation may fail: the
 * callers return TR_EMEMORY. No function here aborts. */
#ifndef TR_BASE_MEM_H
#define TR_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tr_mem {
  /* new_size 0 frees and returns NULL; ptr NULL allocates; else resizes. NULL where memory ran out (the old
   * block then stays valid). */
  void *(*realloc_fn)(void *ud, void *ptr, size_t old_size, size_t new_size);
  void *ud;
  size_t used; /* bytes in use through this tr_mem */
  struct tr_spares *spares; /* base/blob.h; NULL: none */
} tr_mem;

/* Set up for libc's realloc and free. */
void tr_mem_init(tr_mem *mem);
bool tr_mem_is_plain(const tr_mem *mem); /* libc's, and nobody watches */

void *tr_alloc(tr_mem *mem, size_t size);                               /* uninitialised */
void *tr_calloc(tr_mem *mem, size_t count, size_t size);                /* zeroed; checks count * size */
void *tr_realloc(tr_mem *mem, void *ptr, size_t old_size, size_t new_size);
void tr_free(tr_mem *mem, void *ptr, size_t size);                      /* ptr may be NULL */
/* A NUL-terminated copy; free with tr_free(mem, p, length + 1). */
char *tr_strndup(tr_mem *mem, const char *text, size_t length);

#define TR_NEW(mem, type) ((type *)tr_calloc((mem), 1, sizeof(type)))
#define TR_DELETE(mem, p) tr_free((mem), (p), sizeof *(p))

#endif
