/* SPDX-License-Identifier: MIT
 * Interned, reference-counted text: equal texts of one table are one pointer, so comparing and hashing a name costs
 * nothing. A name that nobody refers to is freed, so names from outside cannot pile up. The hash is seeded against
 * chosen collisions. */
#ifndef TR_BASE_NAMES_H
#define TR_BASE_NAMES_H

#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct tr_names tr_names;

typedef struct tr_name { /* the order leaves no gap: an idle agent has one of its own */
  tr_names *table;
  uint32_t refs;
  uint32_t hash; /* never 0 */
  uint32_t len;
  char text[];          /* NUL-terminated */
} tr_name;

tr_names *tr_names_new(tr_mem *mem, uint64_t seed);
/* Names that are still referred to stay valid; the last one's release frees the table. NULL is fine. */
void tr_names_free(tr_names *names);
size_t tr_names_count(const tr_names *names);

/* The name for this text, with a reference for the caller; NULL where memory ran out. */
tr_name *tr_name_new(tr_names *names, tr_slice text);
/* The name if it exists (no reference taken), else NULL: for look-ups that must not create. */
tr_name *tr_name_find(const tr_names *names, tr_slice text);
static inline tr_name *tr_name_ref(tr_name *name) { if (name) name->refs++; return name; }
void tr_name_free(tr_name *name); /* for tr_name_unref */
static inline void tr_name_unref(tr_name *name) { if (name && --name->refs == 0) tr_name_free(name); } /* NULL is fine */
static inline tr_slice tr_name_view(const tr_name *name) {
  return name ? (tr_slice){ name->text, name->len } : (tr_slice){ 0, 0 };
}

#endif
