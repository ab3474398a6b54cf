/* SPDX-License-Identifier: MIT
 * Shared immutable bytes. One allocation holds the count and the bytes; the blob remembers its allocator, so that
 * whoever lets go last need not know where it came from. */
#include "base/blob.h"

tr_blob *tr_blob_new(tr_mem *mem, size_t len) {
  if (len > UINT32_MAX || len > SIZE_MAX - sizeof(tr_blob)) return NULL;
  tr_blob *blob = tr_alloc(mem, sizeof *blob + len);
  if (!blob) return NULL;
  blob->refs = 1;
  blob->len = (uint32_t)len;
  blob->mem = mem;
  return blob;
}

tr_blob *tr_blob_copy(tr_mem *mem, tr_slice bytes) {
  tr_blob *blob = tr_blob_new(mem, bytes.n);
  if (blob && bytes.n) memcpy(blob->data, bytes.p, bytes.n);
  return blob;
}

void tr_blob_unref(tr_blob *blob) {
  if (blob && --blob->refs == 0) tr_free(blob->mem, blob, sizeof *blob + blob->len);
}
