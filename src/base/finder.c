/* SPDX-License-Identifier: MIT
 * A list with a map beside it that comes and goes.
 *
 * A request is given up far less often than it is made, so the doors keep no index of the ids that their peers chose. One that gives up
 * a hundred thousand at once must not make each of them a walk through all the others, either. */
#include "base/finder.h"

#ifdef TR_HOSTILE
#define LOOKED_THROUGH 2
#else
#define LOOKED_THROUGH 32
#endif

void tr_finder_init(tr_finder *finder, tr_mem *mem, uint64_t seed, tr_link *list, tr_finder_id id_of) {
  *finder = (tr_finder){ .list = list, .id_of = id_of };
  tr_map_init(&finder->map, mem, seed);
}

void tr_finder_fini(tr_finder *finder) {
  tr_map_fini(&finder->map);
  finder->mapped = false;
}

static void drop_map(tr_finder *finder) {
  tr_mem *mem = finder->map.mem;
  uint64_t seed = finder->map.seed;
  tr_finder_fini(finder);
  tr_map_init(&finder->map, mem, seed);
}

void tr_finder_note(tr_finder *finder, tr_link *item) {
  if (tr_map_put(&finder->map, finder->id_of(item), item, NULL)) drop_map(finder);
}

void tr_finder_forget(tr_finder *finder, tr_link *item) {
  tr_slice id = finder->id_of(item);
  if (tr_map_get(&finder->map, id) == item) tr_map_remove(&finder->map, id);
  if (finder->map.count == 0) drop_map(finder);
}

static tr_link *look(const tr_finder *finder, tr_slice id) {
  for (tr_link *link = finder->list->next; link != finder->list; link = link->next)
    if (tr_slice_equal(finder->id_of(link), id)) return link;
  return NULL;
}

tr_link *tr_finder_get(tr_finder *finder, size_t count, tr_slice id) {
  if (!finder->mapped && count > LOOKED_THROUGH) {
    finder->mapped = true; /* unless memory runs out */
    for (tr_link *link = finder->list->next; link != finder->list && finder->mapped; link = link->next)
      tr_finder_note(finder, link);
  }
  return finder->mapped ? tr_map_get(&finder->map, id) : look(finder, id);
}
