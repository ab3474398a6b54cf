/* SPDX-License-Identifier: MIT
 * What router.c and subscriptions.c share, and what the core's own files may ask beyond core/router.h.
 * Private to the core. */
#ifndef TR_CORE_ROUTER_IMPL_H
#define TR_CORE_ROUTER_IMPL_H

#include "core/router.h"
#include "core/table.h"
#include "core/topics.h"

struct tr_router {
  tr_mem *mem;
  tr_names *names;
  tr_table types;          /* tr_route_type by name */
  size_t remote_types;     /* those whose owner is behind a door: while there are none, events need no match */
  /* subscriptions */
  tr_link subs;            /* in order of adding */
  tr_topics topics;
  tr_map ids[2];           /* by kind: id → subscription */
  tr_map pairs[2];         /* by kind: (topic, agent type) → subscription */
  size_t sub_counts[2];
  int (*make_direct)(void *ud, tr_slice topic); /* NULL: nothing is marked */
  void *direct_ud;
  /* matching */
  uint64_t generation;     /* moves with every change that a match may depend on */
  uint64_t matches;        /* number of the match that is being made */
  tr_dest **scratch;
  size_t scratch_cap;
  tr_table cache;
  tr_link cache_by_age;
};

/* A subscription with its places in the indexes. */
typedef struct tr_sub_entry {
  tr_sub sub;
  struct { tr_name *topic, *agent_type; } pair; /* the key in `pairs`, as bytes: names are unique */
  tr_topic_item item;
} tr_sub_entry;

static inline tr_sub *tr_sub_of(tr_topic_item *item) { return &TR_CONTAINER(item, tr_sub_entry, item)->sub; }
static inline tr_route_type *tr_router_type(const tr_router *router, const tr_name *name) {
  return tr_table_get(&router->types, name);
}

/* The type whose mark `direct` makes this topic one of its owner's; or NULL. */
tr_route_type *tr_router_direct_type(const tr_router *router, tr_slice topic);
void tr_subs_init(tr_router *router, uint64_t seed);
void tr_subs_fini(tr_router *router);
/* The same as without _name, where the caller has the name: no hashing. */
int tr_router_register_name(tr_router *router, tr_name *type, tr_dest *dest, tr_dest **owner);
tr_dest *const *tr_router_match_name(tr_router *router, tr_name *topic, size_t *count);

#endif
