/* SPDX-License-Identifier: MIT
 * An index of things that are interested in topics: by exact topic type, or by a prefix of it. Used by the
 * router for the subscriptions that are announced, and by the core for what its own classes want; and by the
 * runtime for the callbacks of C callers. */
#ifndef TR_CORE_TOPICS_H
#define TR_CORE_TOPICS_H

#include "base/list.h"
#include "base/map.h"
#include "base/names.h"
#include "core/router.h"

typedef struct tr_topic_item { /* embedded in its owner */
  tr_link link;
  struct tr_topic_group *group; /* NULL: not in an index */
} tr_topic_item;

typedef struct tr_topics {
  tr_mem *mem;
  tr_map groups[2];                                    /* by tr_sub_kind; the key is the group's topic */
  struct tr_topic_length { uint32_t length, groups; } *lengths; /* of the prefixes, ascending */
  uint32_t length_count, length_cap;
} tr_topics;

void tr_topics_init(tr_topics *topics, tr_mem *mem, uint64_t seed);
void tr_topics_fini(tr_topics *topics); /* every item must have been removed */
/* err: TR_EMEMORY. Takes its own reference to `topic`. */
int tr_topics_add(tr_topics *topics, tr_sub_kind kind, tr_name *topic, tr_topic_item *item);
void tr_topics_remove(tr_topics *topics, tr_topic_item *item); /* no-op where it is not in */
/* Another item on the same kind and topic; NULL: none. */
tr_topic_item *tr_topics_twin(const tr_topic_item *item);
/* Calls `each` for every item that this topic concerns: exact ones first, then by growing prefix; those of one group in
 * order of adding. A non-zero result ends it and is returned. `each` must not change the index. */
int tr_topics_find(const tr_topics *topics, tr_slice topic, int (*each)(void *ud, tr_topic_item *item), void *ud);

#endif
