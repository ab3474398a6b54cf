/* SPDX-License-Identifier: MIT
 * The router: who owns an agent type, and which destinations an event goes to. Subscriptions themselves are kept in
 * core/subscriptions.c; this file has the types and the match.
 *
 * A match asks the topic index for the subscriptions that a topic concerns, and each one's agent type for its owner
 * at this moment; a mark in the destination keeps each once. The result is cached per topic: what a topic's next
 * event costs is one look-up by the topic's name. Any change of types or subscriptions moves `generation`, which
 * makes all cached results stale at once; a stale one is made anew when it is asked for. At most CACHE_MOST topics
 * are kept, the oldest go first, so events on ever new topics cost time but not memory.
 *
 * The result is made in `scratch`, which grows when a type is registered (there are never more owners than types), not
 * when an event comes: a match can lose its cache to a lack of memory, but never a receiver. */
#include "base/text.h"
#include "core/router_impl.h"

#ifdef TR_HOSTILE
#define CACHE_MOST 2
#else
#define CACHE_MOST 4096
#endif

typedef struct cached {
  tr_name *topic;
  uint64_t generation;
  tr_link by_age;
  size_t count, cap;
  tr_dest **dests;
} cached;

void tr_dest_init(tr_dest *dest, const tr_dest_ops *ops) {
  *dest = (tr_dest){ .ops = ops };
  tr_list_init(&dest->types);
}

tr_router *tr_router_new(tr_mem *mem, tr_names *names, uint64_t seed) {
  tr_router *router = TR_NEW(mem, tr_router);
  if (!router) return NULL;
  router->mem = mem;
  router->names = names;
  tr_table_init(&router->types, mem, offsetof(tr_route_type, name));
  tr_table_init(&router->cache, mem, offsetof(cached, topic));
  tr_list_init(&router->cache_by_age);
  tr_subs_init(router, seed);
  return router;
}

static void cached_free(tr_router *router, cached *entry) {
  tr_table_remove(&router->cache, entry);
  tr_link_remove(&entry->by_age);
  tr_name_unref(entry->topic);
  tr_free(router->mem, entry->dests, entry->cap * sizeof(tr_dest *));
  TR_DELETE(router->mem, entry);
}

void tr_router_free(tr_router *router) {
  if (!router) return;
  tr_subs_fini(router);
  for (uint32_t i = 0; i < router->types.cap; i++) {
    tr_route_type *type = router->types.items[i];
    if (!type) continue;
    tr_link_remove(&type->link);
    tr_name_unref(type->name);
    TR_DELETE(router->mem, type);
  }
  tr_table_fini(&router->types);
  while (!tr_list_empty(&router->cache_by_age))
    cached_free(router, TR_CONTAINER(router->cache_by_age.next, cached, by_age));
  tr_table_fini(&router->cache);
  tr_free(router->mem, router->scratch, router->scratch_cap * sizeof(tr_dest *));
  TR_DELETE(router->mem, router);
}

/* ---- agent types ---- */

static tr_route_type *find_type(const tr_router *router, tr_slice type) {
  tr_name *name = tr_name_find(router->names, type);
  return name ? tr_router_type(router, name) : NULL;
}

static int scratch_reserve(tr_router *router, size_t count) {
  if (count <= router->scratch_cap) return 0;
  size_t cap = router->scratch_cap ? router->scratch_cap * 2 : 16;
  void *grown = tr_realloc(router->mem, router->scratch, router->scratch_cap * sizeof(tr_dest *),
                           cap * sizeof(tr_dest *));
  if (!grown) return TR_EMEMORY;
  router->scratch = grown;
  router->scratch_cap = cap;
  return 0;
}

static void give_type(tr_router *router, tr_route_type *type, tr_dest *dest) {
  type->dest = dest;
  type->user = NULL;
  type->direct = false;
  tr_list_push(&dest->types, &type->link);
  router->remote_types += dest->ops != NULL;
  router->generation++;
}

static void take_type(tr_router *router, tr_route_type *type) {
  router->remote_types -= type->dest->ops != NULL;
  tr_link_remove(&type->link);
  router->generation++;
}

int tr_router_register_name(tr_router *router, tr_name *name, tr_dest *dest, tr_dest **owner) {
  tr_route_type *type = tr_router_type(router, name);
  if (type && (type->dest == dest || !type->dest->away)) {
    if (owner) *owner = type->dest;
    return TR_EEXISTS;
  }
  if (owner) *owner = NULL;
  if (type) { /* its owner is away: whoever is here takes it over */
    take_type(router, type);
    give_type(router, type, dest);
    return 0;
  }
  if (scratch_reserve(router, router->types.count + 1)) return TR_EMEMORY;
  type = TR_NEW(router->mem, tr_route_type);
  if (!type) return TR_EMEMORY;
  type->name = name;
  if (tr_table_add(&router->types, type)) {
    TR_DELETE(router->mem, type);
    return TR_EMEMORY;
  }
  tr_name_ref(name);
  give_type(router, type, dest);
  return 0;
}

int tr_router_register(tr_router *router, tr_slice text, tr_dest *dest, tr_dest **owner) {
  tr_name *name = tr_name_new(router->names, text);
  int err = name ? tr_router_register_name(router, name, dest, owner) : TR_EMEMORY;
  tr_name_unref(name);
  return err;
}

static void type_free(tr_router *router, tr_route_type *type) {
  take_type(router, type);
  tr_table_remove(&router->types, type);
  tr_name_unref(type->name);
  TR_DELETE(router->mem, type);
}

int tr_router_unregister(tr_router *router, tr_slice text, tr_dest *dest) {
  tr_route_type *type = find_type(router, text);
  if (!type || type->dest != dest) return TR_ENOT_FOUND;
  type_free(router, type);
  return 0;
}

void tr_router_forget(tr_router *router, tr_dest *dest) {
  while (!tr_list_empty(&dest->types)) type_free(router, TR_CONTAINER(dest->types.next, tr_route_type, link));
}

tr_dest *tr_router_owner(const tr_router *router, tr_slice text) {
  tr_route_type *type = find_type(router, text);
  return type ? type->dest : NULL;
}

tr_route_type *tr_router_next_type(const tr_router *router, const tr_dest *dest, tr_route_type *after) {
  (void)router;
  tr_link *link = after ? after->link.next : dest->types.next;
  return link == &dest->types ? NULL : TR_CONTAINER(link, tr_route_type, link);
}

/* Those that are near are few, so it is they who are asked about. */
const char *tr_router_nearest(const tr_router *router, tr_slice type, bool (*may)(void *ud, tr_slice type), void *ud) {
  const char *names[TR_ROUTER_NEAREST + 1];
  size_t count = 0, seen = 0;
  for (uint32_t i = 0; i < router->types.cap && seen < TR_ROUTER_NEAREST; i++) {
    if (!router->types.items[i]) continue;
    const tr_name *name = tr_table_key(&router->types, router->types.items[i]);
    const char *alone[] = { name->text, NULL };
    seen++;
    if (!may || (tr_text_nearest(type, alone) && may(ud, tr_name_view(name)))) names[count++] = name->text;
  }
  names[count] = NULL;
  return tr_text_nearest(type, names);
}

/* ---- matching ---- */

typedef struct matching { tr_router *router; size_t count; } matching;

static void add_dest(matching *m, const tr_route_type *type) {
  if (!type || type->dest->matched == m->router->matches) return;
  type->dest->matched = m->router->matches;
  m->router->scratch[m->count++] = type->dest;
}

static int add_owner(void *ud, tr_topic_item *item) {
  matching *m = ud;
  add_dest(m, tr_router_type(m->router, tr_sub_of(item)->agent_type));
  return 0;
}

tr_route_type *tr_router_direct_type(const tr_router *router, tr_slice topic) {
  const char *colon = topic.n ? memchr(topic.p, ':', topic.n) : NULL; /* no agent type has one */
  tr_route_type *type = colon ? find_type(router, tr_slice_make(topic.p, (size_t)(colon - topic.p))) : NULL;
  return type && type->direct ? type : NULL;
}

/* A new entry for this topic, at the cost of the oldest where there are too many. NULL: no memory, no cache. */
static cached *cache_new(tr_router *router, tr_name *topic) {
  if (router->cache.count >= CACHE_MOST) cached_free(router, TR_CONTAINER(router->cache_by_age.next, cached, by_age));
  cached *entry = TR_NEW(router->mem, cached);
  if (!entry) return NULL;
  entry->topic = tr_name_ref(topic);
  if (tr_table_add(&router->cache, entry)) {
    tr_name_unref(topic);
    TR_DELETE(router->mem, entry);
    return NULL;
  }
  tr_list_push(&router->cache_by_age, &entry->by_age);
  return entry;
}

static void cache_fill(tr_router *router, cached *entry, size_t count) {
  if (count > entry->cap) {
    tr_dest **grown = tr_realloc(router->mem, entry->dests, entry->cap * sizeof(tr_dest *), count * sizeof(tr_dest *));
    if (!grown) {
      cached_free(router, entry);
      return;
    }
    entry->dests = grown;
    entry->cap = count;
  }
  if (count) memcpy(entry->dests, router->scratch, count * sizeof(tr_dest *));
  entry->count = count;
  entry->generation = router->generation;
}

static tr_dest *const *match(tr_router *router, tr_slice text, tr_name *topic, size_t *count) {
  cached *entry = topic ? tr_table_get(&router->cache, topic) : NULL;
  if (entry && entry->generation == router->generation) {
    *count = entry->count;
    return entry->count ? entry->dests : NULL;
  }
  matching m = { router, 0 };
  router->matches++;
  tr_topics_find(&router->topics, text, add_owner, &m);
  add_dest(&m, tr_router_direct_type(router, text));
  if (!entry && topic) entry = cache_new(router, topic);
  if (entry) cache_fill(router, entry, m.count);
  *count = m.count;
  return m.count ? router->scratch : NULL;
}

tr_dest *const *tr_router_match_name(tr_router *router, tr_name *topic, size_t *count) {
  return match(router, tr_name_view(topic), topic, count);
}

tr_dest *const *tr_router_match(tr_router *router, tr_slice text, size_t *count) {
  tr_name *topic = tr_name_new(router->names, text); /* the cache's own reference is another */
  tr_dest *const *dests = match(router, text, topic, count);
  tr_name_unref(topic);
  return dests;
}

void tr_router_get_stats(const tr_router *router, tr_router_stats *stats) {
  *stats = (tr_router_stats){ router->types.count, router->sub_counts[TR_SUB_TYPE], router->sub_counts[TR_SUB_PREFIX],
                              router->cache.count };
}
