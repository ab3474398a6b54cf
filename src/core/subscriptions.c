/* SPDX-License-Identifier: MIT
 * The subscriptions that are announced: those of this process's classes and those that clients added by
 * AddSubscription. They name agent types, not destinations, and may be there before their type is (or after it went).
 *
 * Two of one kind are the same where they have the same id or the same topic and agent type; a type and a prefix
 * subscription are never the same. Both rules are look-ups: ids by text, the pair by the two names' addresses
 * (interned, so equal text is equal address). */
#include "core/router_impl.h"

void tr_subs_init(tr_router *router, uint64_t seed) {
  tr_list_init(&router->subs);
  tr_topics_init(&router->topics, router->mem, seed);
  for (int kind = 0; kind < 2; kind++) {
    tr_map_init(&router->ids[kind], router->mem, seed);
    tr_map_init(&router->pairs[kind], router->mem, seed);
  }
}

void tr_subs_fini(tr_router *router) {
  while (!tr_list_empty(&router->subs)) tr_router_drop(router, TR_CONTAINER(router->subs.next, tr_sub, all));
  tr_topics_fini(&router->topics);
  for (int kind = 0; kind < 2; kind++) {
    tr_map_fini(&router->ids[kind]);
    tr_map_fini(&router->pairs[kind]);
  }
}

static tr_slice pair_key(const tr_sub_entry *entry) { return tr_slice_make(&entry->pair, sizeof entry->pair); }

static tr_sub *find_same(const tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type) {
  tr_sub *same = tr_map_get(&router->ids[kind], id);
  if (same) return same;
  tr_sub_entry probe = { .pair = { tr_name_find(router->names, topic), tr_name_find(router->names, agent_type) } };
  if (!probe.pair.topic || !probe.pair.agent_type) return NULL;
  return tr_map_get(&router->pairs[kind], pair_key(&probe));
}

/* Take it out of whatever it is in already; also undoes half a subscribe. */
static void drop(tr_router *router, tr_sub_entry *entry) {
  tr_sub *sub = &entry->sub;
  tr_topics_remove(&router->topics, &entry->item);
  if (sub->id && tr_map_get(&router->ids[sub->kind], tr_name_view(sub->id)) == sub)
    tr_map_remove(&router->ids[sub->kind], tr_name_view(sub->id));
  if (sub->agent_type && tr_map_get(&router->pairs[sub->kind], pair_key(entry)) == sub)
    tr_map_remove(&router->pairs[sub->kind], pair_key(entry));
  tr_link_remove(&sub->all);
  tr_link_remove(&sub->by_owner);
  tr_name_unref(sub->id);
  tr_name_unref(sub->topic);
  tr_name_unref(sub->agent_type);
  TR_DELETE(router->mem, entry);
}

static int add(tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type, tr_dest *added_by,
               tr_link *owner_list, bool alone, tr_sub **existing) {
  tr_sub *same = alone ? find_same(router, kind, id, topic, agent_type) : tr_map_get(&router->ids[kind], id);
  if (existing) *existing = same;
  if (same) return TR_EEXISTS;
  tr_sub_entry *entry = TR_NEW(router->mem, tr_sub_entry);
  if (!entry) return TR_EMEMORY;
  tr_sub *sub = &entry->sub;
  sub->kind = kind;
  sub->added_by = added_by;
  sub->id = tr_name_new(router->names, id);
  entry->pair.topic = sub->topic = tr_name_new(router->names, topic);
  entry->pair.agent_type = sub->agent_type = tr_name_new(router->names, agent_type);
  if (!sub->id || !sub->topic || !sub->agent_type) goto out;
  if (tr_map_put(&router->ids[kind], tr_name_view(sub->id), sub, NULL)) goto out;
  if (alone && tr_map_put(&router->pairs[kind], pair_key(entry), sub, NULL)) goto out;
  if (tr_topics_add(&router->topics, kind, sub->topic, &entry->item)) goto out;
  tr_list_push(&router->subs, &sub->all);
  if (owner_list) tr_list_push(owner_list, &sub->by_owner);
  router->sub_counts[kind]++;
  router->generation++;
  return 0;
out:
  drop(router, entry);
  return TR_EMEMORY;
}

void tr_router_on_direct(tr_router *router, int (*make)(void *ud, tr_slice topic), void *ud) {
  router->make_direct = make;
  router->direct_ud = ud;
}

int tr_router_subscribe(tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type,
                        tr_dest *added_by, tr_link *owner_list, tr_sub **existing) {
  if (kind == TR_SUB_PREFIX && router->make_direct && router->make_direct(router->direct_ud, topic)) return TR_EMEMORY;
  return add(router, kind, id, topic, agent_type, added_by, owner_list, true, existing);
}

int tr_router_subscribe_too(tr_router *router, tr_sub_kind kind, tr_slice id, tr_slice topic, tr_slice agent_type,
                            tr_dest *added_by, tr_link *owner_list, tr_sub **existing) {
  return add(router, kind, id, topic, agent_type, added_by, owner_list, false, existing);
}

void tr_router_drop(tr_router *router, tr_sub *sub) {
  router->sub_counts[sub->kind]--;
  router->generation++;
  drop(router, TR_CONTAINER(sub, tr_sub_entry, sub));
}

int tr_router_unsubscribe(tr_router *router, tr_slice id) {
  int result = TR_ENOT_FOUND;
  for (int kind = 0; kind < 2; kind++) {
    tr_sub *sub = tr_map_get(&router->ids[kind], id);
    if (!sub) continue;
    tr_router_drop(router, sub);
    result = 0;
  }
  return result;
}

tr_sub *tr_router_next_sub(const tr_router *router, tr_sub *after) {
  tr_link *link = after ? after->all.next : router->subs.next;
  return link == &router->subs ? NULL : TR_CONTAINER(link, tr_sub, all);
}
