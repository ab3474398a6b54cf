/* SPDX-License-Identifier: MIT
 * Finding an item of a list by its id where that is seldom asked for. A few items are looked through; for many a map is made when
 * somebody asks, and kept up until the list is empty again. Who never asks pays one test an item. */
#ifndef TR_BASE_FINDER_H
#define TR_BASE_FINDER_H

#include "base/list.h"
#include "base/map.h"

typedef tr_slice (*tr_finder_id)(const tr_link *item); /* unchanged while the item is in the list */

typedef struct tr_finder {
  tr_link *list;
  tr_finder_id id_of;
  tr_map map;
  bool mapped;
} tr_finder;

void tr_finder_init(tr_finder *finder, tr_mem *mem, uint64_t seed, tr_link *list, tr_finder_id id_of);
void tr_finder_fini(tr_finder *finder);
/* The item with this id (of several: any), or NULL. `count`: how many there are, roughly. Lack of memory only makes it slow. */
tr_link *tr_finder_get(tr_finder *finder, size_t count, tr_slice id);
void tr_finder_note(tr_finder *finder, tr_link *item);   /* what the next two do while there is a map */
void tr_finder_forget(tr_finder *finder, tr_link *item);
static inline void tr_finder_added(tr_finder *finder, tr_link *item) { /* to the list, just now */
  if (finder->mapped) tr_finder_note(finder, item);
}
static inline void tr_finder_leaves(tr_finder *finder, tr_link *item) { /* the list; it is still in it */
  if (finder->mapped) tr_finder_forget(finder, item);
}

#endif
