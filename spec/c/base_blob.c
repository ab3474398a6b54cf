/* SPDX-License-Identifier: MIT
 * Spares: blobs that were let go come again, of any length, and nothing is lost by it. */
#include "check.h"

#include <string.h>

#include "base/blob.h"

static tr_blob *filled(tr_mem *mem, size_t len) {
  tr_blob *blob = tr_blob_new(mem, len);
  if (blob) memset(blob->data, (int)len, len);
  return blob;
}

CHECK_CASE(blobs_are_of_their_length_before_with_and_after_spares) {
  tr_mem mem;
  tr_mem_init(&mem);
  tr_blob *early = filled(&mem, 77);
  bool kept = tr_spares_open(&mem);
  CHECK(!kept || !tr_spares_open(&mem)); /* one owner */
  size_t before = mem.used;
  tr_blob_unref(early);
  for (size_t len = 0; len < 600; len += 7) {
    tr_blob *many[20];
    for (int i = 0; i < 20; i++) CHECK((many[i] = filled(&mem, len)) != NULL);
    for (int i = 0; i < 20; i++) CHECK(many[i]->len == len && (!len || many[i]->data[len - 1] == (uint8_t)len));
    for (int i = 0; i < 20; i++) tr_blob_unref(many[i]);
  }
  CHECK(mem.used < before); /* what is spare is not in use */
  tr_blob *late = filled(&mem, 100), *again = NULL;
  tr_blob_unref(late);
  again = filled(&mem, 97);
  CHECK(!kept || again == late);
  if (kept) tr_spares_close(&mem);
  tr_blob_unref(again);
  CHECK_INT(mem.used, ==, 0);
}

