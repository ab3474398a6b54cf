/* SPDX-License-Identifier: MIT
 * Shared immutable bytes. One allocation holds the count and the bytes; the blob remembers its allocator, so that
 * whoever lets go last need not know where it came from.
 *
 * A host forwards each message in a blob, and has as many at a time as are outstanding: more than libc keeps at hand for a size, so its
 * slow path would be a tenth of a forwarded request. Hence the spares: lists by size of what was let go. */
#include "base/blob.h"

/* ---- spares ---- */

#define GRAIN 16            /* bytes from one size to the next; libc rounds to as much */
#define SIZES 32            /* so up to 512 bytes, the count included */
#define SPARE_BYTES 524288  /* kept in all */

typedef struct spare { struct spare *next; } spare;
typedef struct tr_spares { spare *lists[SIZES + 1]; size_t bytes; } tr_spares;

/* Where spares are possible a block's size depends on its length alone: who frees it knows it, whether there were spares then or not. */
static size_t block_size(size_t len) {
  size_t size = sizeof(tr_blob) + len;
  return size > GRAIN * SIZES ? size : (size + GRAIN - 1) & ~(size_t)(GRAIN - 1);
}

bool tr_spares_open(tr_mem *mem) {
#if defined TR_HOSTILE || defined __SANITIZE_ADDRESS__ /* they look at each block's life */
  (void)mem;
  return false;
#else
  if (mem->spares || !tr_mem_is_plain(mem)) return false;
  mem->spares = TR_NEW(mem, tr_spares);
  return mem->spares != NULL;
#endif
}

void tr_spares_close(tr_mem *mem) {
  tr_spares *spares = mem->spares;
  mem->spares = NULL;
  for (size_t i = 0; i <= SIZES; i++) {
    for (spare *each; (each = spares->lists[i]);) {
      spares->lists[i] = each->next;
      mem->used += i * GRAIN; /* tr_free takes it off again */
      tr_free(mem, each, i * GRAIN);
    }
  }
  TR_DELETE(mem, spares);
}

static void *take_spare(tr_mem *mem, size_t size) {
  spare **list = &mem->spares->lists[size / GRAIN], *taken = *list;
  if (!taken) return NULL;
  *list = taken->next;
  mem->spares->bytes -= size;
  mem->used += size;
  return taken;
}

static bool keep_spare(tr_mem *mem, void *block, size_t size) {
  tr_spares *spares = mem->spares;
  if (!spares || size > GRAIN * SIZES || spares->bytes + size > SPARE_BYTES) return false;
  spare *kept = block;
  kept->next = spares->lists[size / GRAIN];
  spares->lists[size / GRAIN] = kept;
  spares->bytes += size;
  mem->used -= size;
  return true;
}

/* ---- blobs ---- */

tr_blob *tr_blob_new(tr_mem *mem, size_t len) {
  if (len > UINT32_MAX || len > SIZE_MAX - sizeof(tr_blob)) return NULL;
  size_t size = block_size(len);
  tr_blob *blob = mem->spares && size <= GRAIN * SIZES ? take_spare(mem, size) : NULL;
  if (!blob) blob = tr_alloc(mem, size);
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
  if (!blob || --blob->refs > 0) return;
  size_t size = block_size(blob->len);
  if (!keep_spare(blob->mem, blob, size)) tr_free(blob->mem, blob, size);
}
