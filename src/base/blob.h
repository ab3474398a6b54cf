/* SPDX-License-Identifier: MIT
 * Immutable bytes shared by reference count (not atomic: a blob belongs to one isolate). Message bodies that came or go
 * encoded, and whole frames queued to many receivers, are blobs. */
#ifndef TR_BASE_BLOB_H
#define TR_BASE_BLOB_H

#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct tr_blob {
  uint32_t refs;
  uint32_t len;
  tr_mem *mem;
  uint8_t data[]; /* written by its maker before it is shared, then never again */
} tr_blob;

/* A blob with one reference and `len` uninitialised bytes; NULL where memory ran out or len > UINT32_MAX. */
tr_blob *tr_blob_new(tr_mem *mem, size_t len);
tr_blob *tr_blob_copy(tr_mem *mem, tr_slice bytes);
static inline tr_blob *tr_blob_ref(tr_blob *blob) { if (blob) blob->refs++; return blob; }
void tr_blob_unref(tr_blob *blob); /* NULL is fine */
/* From now on small blobs of this allocator that are let go are kept for the next ones, up to a bound; nothing happens where the
 * allocator is not libc's (whoever hooks it sees everything) or there is no memory. True: it is the caller's to end it. */
bool tr_spares_open(tr_mem *mem);
void tr_spares_close(tr_mem *mem);
static inline tr_slice tr_blob_view(const tr_blob *blob) {
  return blob ? tr_slice_make(blob->data, blob->len) : (tr_slice){ 0, 0 };
}

#endif
