/* SPDX-License-Identifier: MIT
 * troupe_subscribe: events for the embedding program.
 *
 * A C subscriber is an agent like any other: one class with one instance per runtime, made at the first troupe_subscribe, so that its
 * subscriptions reach hosts and its events wait in a mailbox. Its type has a random part, since a host gives a type one owner.
 *
 * Which callbacks an event concerns is asked of an index of their own, by topic and by prefix, so an event costs those that want it however
 * many there are. They are called in the order in which they subscribed. A callback may subscribe and unsubscribe, so what is found is
 * kept as ids and each is looked up again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/topics.h"
#include "runtime/internal.h"

struct tr_c_subscription {
  tr_topic_item item;
  int64_t id;
  uint64_t core_id; /* 0: another one on the same topic has it */
  troupe_event_fn fn;
  void *ud;
};

struct tr_c_subscriptions {
  tr_topics topics;
  tr_map by_id; /* keys: `id` of the subscription, as bytes */
  int64_t last;
};

static tr_slice key_of(const int64_t *id) { return tr_slice_make(id, sizeof *id); }

/* ---- events ---- */

static int collect(void *ud, tr_topic_item *item) {
  const tr_c_subscription *sub = TR_CONTAINER(item, tr_c_subscription, item);
  tr_buf_append(ud, &sub->id, sizeof sub->id);
  return 0;
}

static int by_age(const void *a, const void *b) {
  int64_t x, y;
  memcpy(&x, a, sizeof x);
  memcpy(&y, b, sizeof y);
  return (x > y) - (x < y);
}

static void tell(troupe_t *rt, const tr_buf *ids, const tr_msg *msg, const troupe_value_t *value) {
  char topic[2 * TR_ID_MAX + 2];
  snprintf(topic, sizeof topic, "%s/%s", msg->target_type->text, msg->target_key->text);
  for (size_t at = 0; at < ids->len; at += sizeof(int64_t)) {
    int64_t id;
    memcpy(&id, ids->data + at, sizeof id);
    const tr_c_subscription *sub = tr_map_get(&rt->subscriptions->by_id, key_of(&id));
    if (sub) sub->fn(sub->ud, topic, msg->type->text, value);
  }
}

static int run_subscriber(void *ud, tr_turn *turn) {
  troupe_t *rt = ud;
  if (turn->kind != TR_TURN_MESSAGE || turn->msg->kind != TR_MSG_EVENT) {
    tr_turn_fail(turn, TR_ECANT_HANDLE, "a C subscriber takes only events");
    return TR_RUN_DONE;
  }
  tr_error error;
  tr_error_init(&error);
  troupe_value_t *value = tr_runtime_value_from_body(rt, &turn->msg->body, &error);
  tr_buf ids;
  tr_buf_init(&ids, &rt->mem);
  tr_topics_find(&rt->subscriptions->topics, tr_name_view(turn->msg->target_type), collect, &ids);
  if (!value || ids.failed) {
    tr_turn_fail(turn, error.code ? error.code : TR_EMEMORY, error.code ? error.text : NULL);
  } else {
    if (ids.len) qsort(ids.data, ids.len / sizeof(int64_t), sizeof(int64_t), by_age);
    tell(rt, &ids, turn->msg, value);
  }
  tr_buf_fini(&ids);
  if (value) tr_value_free(value);
  return TR_RUN_DONE;
}

static int make_subscriber(void *ud, tr_agent *agent, tr_error *error) {
  (void)ud;
  (void)agent;
  (void)error;
  return 0;
}
static void cancel_subscriber(void *ud, tr_turn *turn) {
  (void)ud;
  (void)turn;
}
static void drop_subscriber(void *ud, tr_agent *agent) {
  (void)ud;
  (void)agent;
}
static const tr_class_ops subscriber_ops = { .make = make_subscriber, .run = run_subscriber, .cancel = cancel_subscriber, .drop = drop_subscriber };

static int need_subscriber(troupe_t *rt) {
  if (!rt->subscriptions) {
    rt->subscriptions = TR_NEW(&rt->mem, tr_c_subscriptions);
    if (!rt->subscriptions) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    uint64_t seed = tr_random_next(tr_core_random(rt->core));
    tr_topics_init(&rt->subscriptions->topics, &rt->mem, seed);
    tr_map_init(&rt->subscriptions->by_id, &rt->mem, seed);
  }
  if (rt->subscriber) return 0;
  char type[64], uuid[37];
  tr_uuid(tr_core_random(rt->core), uuid);
  snprintf(type, sizeof type, "subscriber-%s", uuid);
  tr_class_options options = { .type = tr_slice_of(type), .ops = &subscriber_ops, .ud = rt, .pinned = true };
  return tr_core_add_class(rt->core, &options, &rt->subscriber, &rt->error);
}

/* ---- subscribing ---- */

static tr_c_subscription *twin_of(const tr_c_subscription *sub) {
  tr_topic_item *twin = tr_topics_twin(&sub->item);
  return twin ? TR_CONTAINER(twin, tr_c_subscription, item) : NULL;
}

/* The class's own subscription goes with the last of ours on its topic. */
static void remove_subscription(troupe_t *rt, tr_c_subscription *sub) {
  tr_c_subscription *twin = twin_of(sub);
  if (sub->core_id && twin) twin->core_id = sub->core_id;
  else if (sub->core_id) tr_class_unsubscribe(rt->subscriber, sub->core_id);
  tr_topics_remove(&rt->subscriptions->topics, &sub->item);
  tr_map_remove(&rt->subscriptions->by_id, key_of(&sub->id));
  TR_DELETE(&rt->mem, sub);
}

/* Into the index, and the class subscribes too, where this is the first on its topic. */
static int add_subscription(troupe_t *rt, tr_c_subscription *sub, tr_sub_kind kind, tr_slice topic) {
  tr_c_subscriptions *all = rt->subscriptions;
  tr_name *name = tr_name_new(tr_core_names(rt->core), topic);
  if (!name) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  int rc = tr_topics_add(&all->topics, kind, name, &sub->item);
  if (rc == 0) rc = tr_map_put(&all->by_id, key_of(&sub->id), sub, NULL);
  if (rc) tr_runtime_fail(rt, rc, "out of memory");
  tr_local_sub_options options = { .kind = kind, .topic = topic, .key = TR_SLICE_LITERAL("default") };
  if (rc == 0 && !twin_of(sub)) rc = tr_class_subscribe(rt->subscriber, &options, &sub->core_id, &rt->error);
  tr_name_unref(name);
  if (rc == 0) return 0;
  tr_topics_remove(&all->topics, &sub->item);
  tr_map_remove(&all->by_id, key_of(&sub->id));
  return rc;
}

int64_t troupe_subscribe(troupe_t *rt, const char *topic, troupe_event_fn fn, void *ud) {
  tr_error *error = tr_runtime_error(rt);
  tr_slice text = tr_slice_of(topic);
  bool prefix = text.n && text.p[text.n - 1] == '*';
  if (prefix) text.n--;
  int rc = text.n || !prefix ? tr_topic_type_check(text, error) : 0;
  if (rc == 0) rc = need_subscriber(rt);
  if (rc) return rc;
  tr_c_subscription *sub = TR_NEW(&rt->mem, tr_c_subscription);
  if (!sub) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  sub->fn = fn;
  sub->ud = ud;
  sub->id = ++rt->subscriptions->last;
  rc = add_subscription(rt, sub, prefix ? TR_SUB_PREFIX : TR_SUB_TYPE, text);
  if (rc) {
    TR_DELETE(&rt->mem, sub);
    return rc;
  }
  tr_runtime_sync_uplinks(rt);
  return sub->id;
}

int troupe_unsubscribe(troupe_t *rt, int64_t id) {
  tr_runtime_error(rt);
  tr_c_subscription *sub = rt->subscriptions ? tr_map_get(&rt->subscriptions->by_id, key_of(&id)) : NULL;
  if (!sub) return tr_runtime_fail(rt, TR_ENOT_FOUND, "no subscription %lld", (long long)id);
  remove_subscription(rt, sub);
  tr_runtime_sync_uplinks(rt);
  return 0;
}

void tr_runtime_free_subscriptions(troupe_t *rt) {
  tr_c_subscriptions *all = rt->subscriptions;
  size_t at = 0;
  tr_slice key;
  void *value;
  if (!all) return;
  while (tr_map_next(&all->by_id, &at, &key, &value)) {
    tr_c_subscription *sub = value;
    tr_topics_remove(&all->topics, &sub->item);
    tr_map_remove(&all->by_id, key);
    TR_DELETE(&rt->mem, sub);
  }
  tr_map_fini(&all->by_id);
  tr_topics_fini(&all->topics);
  TR_DELETE(&rt->mem, all);
  rt->subscriptions = NULL;
}
