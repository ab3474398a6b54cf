/* SPDX-License-Identifier: MIT
 * The topic index. Items of one (kind, topic) form a group; groups lie in two hash maps, exact topics and prefixes.
 *
 * A topic is looked up by its text among the exact ones, and by each of its prefixes whose length some subscription
 * has: the hashes of all those prefixes together cost one pass over the topic (tr_hasher). So a look-up costs the
 * topic's length and what it finds, however many subscriptions there are: a million prefixes of one length are one
 * probe. */
#include "core/topics.h"

typedef struct tr_topic_group {
  tr_name *topic;
  tr_sub_kind kind;
  tr_link items;
} tr_topic_group;

void tr_topics_init(tr_topics *topics, tr_mem *mem, uint64_t seed) {
  *topics = (tr_topics){ .mem = mem };
  tr_map_init(&topics->groups[TR_SUB_TYPE], mem, seed);
  tr_map_init(&topics->groups[TR_SUB_PREFIX], mem, seed);
}

void tr_topics_fini(tr_topics *topics) {
  tr_map_fini(&topics->groups[TR_SUB_TYPE]);
  tr_map_fini(&topics->groups[TR_SUB_PREFIX]);
  tr_free(topics->mem, topics->lengths, topics->length_cap * sizeof *topics->lengths);
  topics->lengths = NULL;
  topics->length_count = topics->length_cap = 0;
}

/* Where this length is, or belongs. */
static uint32_t length_at(const tr_topics *topics, uint32_t length) {
  uint32_t low = 0, high = topics->length_count;
  while (low < high) {
    uint32_t middle = (low + high) / 2;
    if (topics->lengths[middle].length < length) low = middle + 1;
    else high = middle;
  }
  return low;
}

static int length_add(tr_topics *topics, uint32_t length) {
  uint32_t at = length_at(topics, length), count = topics->length_count;
  if (at < count && topics->lengths[at].length == length) {
    topics->lengths[at].groups++;
    return 0;
  }
  if (count == topics->length_cap) {
    uint32_t cap = count ? count * 2 : 8;
    void *grown = tr_realloc(topics->mem, topics->lengths, topics->length_cap * sizeof *topics->lengths,
                             cap * sizeof *topics->lengths);
    if (!grown) return TR_EMEMORY;
    topics->lengths = grown;
    topics->length_cap = cap;
  }
  memmove(topics->lengths + at + 1, topics->lengths + at, (count - at) * sizeof *topics->lengths);
  topics->lengths[at] = (struct tr_topic_length){ length, 1 };
  topics->length_count++;
  return 0;
}

static void length_remove(tr_topics *topics, uint32_t length) {
  uint32_t at = length_at(topics, length);
  if (--topics->lengths[at].groups > 0) return;
  topics->length_count--;
  memmove(topics->lengths + at, topics->lengths + at + 1, (topics->length_count - at) * sizeof *topics->lengths);
}

static tr_topic_group *group_new(tr_topics *topics, tr_sub_kind kind, tr_name *topic) {
  tr_topic_group *group = TR_NEW(topics->mem, tr_topic_group);
  if (!group) return NULL;
  group->kind = kind;
  group->topic = topic;
  tr_list_init(&group->items);
  if (kind == TR_SUB_PREFIX && length_add(topics, topic->len)) goto out;
  if (tr_map_put(&topics->groups[kind], tr_name_view(topic), group, NULL) == 0) {
    tr_name_ref(topic);
    return group;
  }
  if (kind == TR_SUB_PREFIX) length_remove(topics, topic->len);
out:
  TR_DELETE(topics->mem, group);
  return NULL;
}

int tr_topics_add(tr_topics *topics, tr_sub_kind kind, tr_name *topic, tr_topic_item *item) {
  tr_topic_group *group = tr_map_get(&topics->groups[kind], tr_name_view(topic));
  if (!group) group = group_new(topics, kind, topic);
  if (!group) return TR_EMEMORY;
  tr_list_push(&group->items, &item->link);
  item->group = group;
  return 0;
}

void tr_topics_remove(tr_topics *topics, tr_topic_item *item) {
  tr_topic_group *group = item->group;
  if (!group) return;
  tr_link_remove(&item->link);
  item->group = NULL;
  if (!tr_list_empty(&group->items)) return;
  tr_map_remove(&topics->groups[group->kind], tr_name_view(group->topic));
  if (group->kind == TR_SUB_PREFIX) length_remove(topics, group->topic->len);
  tr_name_unref(group->topic);
  TR_DELETE(topics->mem, group);
}

tr_topic_item *tr_topics_twin(const tr_topic_item *item) {
  const tr_link *list = &item->group->items;
  tr_link *link = list->next == &item->link ? list->next->next : list->next;
  return link == list ? NULL : TR_CONTAINER(link, tr_topic_item, link);
}

static int each_of(tr_topic_group *group, int (*each)(void *ud, tr_topic_item *item), void *ud) {
  int result = 0;
  if (!group) return 0;
  for (tr_link *link = group->items.next; link != &group->items && !result; link = link->next)
    result = each(ud, TR_CONTAINER(link, tr_topic_item, link));
  return result;
}

int tr_topics_find(const tr_topics *topics, tr_slice topic, int (*each)(void *ud, tr_topic_item *item), void *ud) {
  const tr_map *prefixes = &topics->groups[TR_SUB_PREFIX];
  int result = each_of(tr_map_get(&topics->groups[TR_SUB_TYPE], topic), each, ud);
  tr_hasher hasher;
  tr_hasher_init(&hasher, prefixes->seed);
  for (uint32_t i = 0; i < topics->length_count && topics->lengths[i].length <= topic.n && !result; i++) {
    tr_slice prefix = tr_slice_make(topic.p, topics->lengths[i].length);
    result = each_of(tr_map_get_hashed(prefixes, prefix, tr_hasher_prefix(&hasher, topic.p, prefix.n)), each, ud);
  }
  return result;
}
