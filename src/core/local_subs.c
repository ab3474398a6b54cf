/* SPDX-License-Identifier: MIT
 * What this isolate's own classes and C callers subscribed to, in all forms of the user's view: a fixed key, the
 * event's source as the key, every live instance, a function; and taps, which are no agents at all.
 *
 * Only (kind, topic, agent type) is known outside: `announced` counts how many local subscriptions stand behind each
 * such triple, and the router (so GetSubscriptions, and a host that an uplink tells) hears of the first and the last.
 * Removing one while an event is being given out only marks it; it is freed when no event is. */
#include "core/internal.h"

typedef struct announcement {
  struct announcement_key { tr_class *class_; tr_name *topic; uint64_t kind; } key;
  unsigned count;
  char id[37];
} announcement;

void tr_local_subs_init(tr_core *core) {
  tr_topics_init(&core->topics, core->mem, core->seed);
  tr_map_init(&core->subs_by_key, core->mem, core->seed);
  tr_map_init(&core->subs_by_id, core->mem, core->seed);
  tr_map_init(&core->announced, core->mem, core->seed);
  tr_table_init(&core->plans, core->mem, offsetof(tr_plan, topic));
  tr_list_init(&core->plans_by_age);
  tr_list_init(&core->graveyard);
}

/* ---- plans ---- */

void tr_plan_unref(tr_core *core, tr_plan *plan) {
  if (--plan->refs > 0) return;
  tr_name_unref(plan->topic);
  tr_free(core->mem, plan, plan->size);
}

static void plan_forget(tr_core *core, tr_plan *plan) {
  tr_table_remove(&core->plans, plan);
  tr_link_remove(&plan->by_age);
  tr_plan_unref(core, plan);
}

static int count_item(void *ud, tr_topic_item *item) {
  (void)item;
  ++*(uint32_t *)ud;
  return 0;
}

static int add_item(void *ud, tr_topic_item *item) {
  tr_plan *plan = ud;
  plan->subs[plan->count++] = TR_CONTAINER(item, tr_local_sub, item);
  return 0;
}

static tr_plan *plan_new(tr_core *core, tr_name *topic) {
  uint32_t count = 0;
  tr_topics_find(&core->topics, tr_name_view(topic), count_item, &count);
  size_t size = sizeof(tr_plan) + count * sizeof(tr_local_sub *);
  tr_plan *plan = tr_calloc(core->mem, 1, size);
  if (!plan) return NULL;
  plan->refs = 1;
  plan->size = size;
  plan->topic = tr_name_ref(topic);
  plan->generation = core->sub_generation;
  tr_topics_find(&core->topics, tr_name_view(topic), add_item, plan);
  return plan;
}

tr_plan *tr_plan_get(tr_core *core, tr_name *topic) {
  tr_plan *plan = tr_table_get(&core->plans, topic);
  if (plan && plan->generation == core->sub_generation) {
    plan->refs++;
    return plan;
  }
  if (plan) plan_forget(core, plan);
  if (tr_direct_look(core, tr_name_view(topic))) return NULL;
  if (core->plans.count >= TR_PLANS_MOST) plan_forget(core, TR_CONTAINER(core->plans_by_age.next, tr_plan, by_age));
  plan = plan_new(core, topic);
  if (!plan || tr_table_add(&core->plans, plan)) return plan; /* no memory to keep it: good for once */
  tr_list_push(&core->plans_by_age, &plan->by_age);
  plan->refs++;
  return plan;
}

/* ---- telling the router ---- */

static tr_slice announcement_key(const announcement *a) { return tr_slice_make(&a->key, sizeof a->key); }

static int announce(tr_core *core, tr_class *class_, tr_sub_kind kind, tr_name *topic) {
  announcement probe = { .key = { class_, topic, kind } };
  announcement *a = tr_map_get(&core->announced, announcement_key(&probe));
  if (a) {
    a->count++;
    return 0;
  }
  a = TR_NEW(core->mem, announcement);
  if (!a) return TR_EMEMORY;
  *a = probe;
  a->count = 1;
  tr_uuid(&core->random, a->id);
  int err = tr_map_put(&core->announced, announcement_key(a), a, NULL);
  if (err) goto out;
  tr_slice id = tr_slice_of(a->id), type = tr_name_view(class_->type);
  tr_sub *same;
  err = tr_router_subscribe(core->router, kind, id, tr_name_view(topic), type, &core->local, NULL, &same);
  if (err == TR_EEXISTS) { /* someone else added it for our type: it must not go when they go */
    tr_router_drop(core->router, same);
    err = tr_router_subscribe(core->router, kind, id, tr_name_view(topic), type, &core->local, NULL, NULL);
  }
  if (!err) return 0;
  tr_map_remove(&core->announced, announcement_key(a));
out:
  TR_DELETE(core->mem, a);
  return err;
}

static void unannounce(tr_core *core, tr_class *class_, tr_sub_kind kind, tr_name *topic) {
  announcement probe = { .key = { class_, topic, kind } };
  announcement *a = tr_map_get(&core->announced, announcement_key(&probe));
  if (!a || --a->count > 0) return;
  tr_map_remove(&core->announced, announcement_key(a));
  tr_router_unsubscribe(core->router, tr_slice_of(a->id));
  TR_DELETE(core->mem, a);
}

/* ---- subscribing ---- */

static tr_slice key_of(const tr_local_sub *sub) { return tr_slice_make(&sub->key, sizeof sub->key); }
static tr_slice id_of(const tr_local_sub *sub) { return tr_slice_make(&sub->id, sizeof sub->id); }
static tr_sub_kind kind_of(const tr_local_sub *sub) {
  return sub->key.form & TR_FORM_PREFIX ? TR_SUB_PREFIX : TR_SUB_TYPE;
}
static bool is_comparable(const tr_local_sub *sub) { return !sub->tap && !sub->match; }

static void destroy(tr_core *core, tr_local_sub *sub) {
  tr_class *class_ = sub->key.class_;
  tr_link_remove(&sub->by_class);
  tr_name_unref(sub->key.topic);
  tr_name_unref(sub->key.key);
  TR_DELETE(core->mem, sub);
  if (!class_) return;
  class_->sub_count--;
  if (class_->removed) tr_class_release(class_);
}

void tr_local_subs_bury(tr_core *core) {
  while (!tr_list_empty(&core->graveyard)) destroy(core, TR_CONTAINER(core->graveyard.next, tr_local_sub, by_class));
}

static void remove_sub(tr_core *core, tr_local_sub *sub) {
  core->sub_generation++;
  core->taps -= sub->tap != NULL;
  tr_topics_remove(&core->topics, &sub->item);
  tr_map_remove(&core->subs_by_id, id_of(sub));
  if (is_comparable(sub) && tr_map_get(&core->subs_by_key, key_of(sub)) == sub)
    tr_map_remove(&core->subs_by_key, key_of(sub));
  if (core->publishing == 0) {
    destroy(core, sub);
    return;
  }
  sub->dead = true;
  tr_link_remove(&sub->by_class);
  tr_list_push(&core->graveyard, &sub->by_class);
}

/* own: takes the names in sub->key. On failure the sub is gone. */
static int add_sub(tr_core *core, tr_local_sub *sub, uint64_t *id) {
  tr_class *class_ = sub->key.class_;
  sub->id = ++core->last_sub;
  if (class_) class_->sub_count++;
  if (tr_map_put(&core->subs_by_id, id_of(sub), sub, NULL)) goto out;
  if (is_comparable(sub) && tr_map_put(&core->subs_by_key, key_of(sub), sub, NULL)) goto out;
  if (tr_topics_add(&core->topics, kind_of(sub), sub->key.topic, &sub->item)) goto out;
  if (class_ && announce(core, class_, kind_of(sub), sub->key.topic)) goto out;
  if (class_) tr_list_push(&class_->subs, &sub->by_class);
  core->sub_generation++;
  if (id) *id = sub->id;
  return 0;
out:
  remove_sub(core, sub);
  return TR_EMEMORY;
}

static int check(const tr_local_sub_options *options, tr_error *error) {
  if (options->match) return 0;
  if (options->key.p && options->all)
    return tr_error_set(error, TR_EINVALID, "a subscription has either a key or all instances, not both");
  int err = options->key.p ? tr_key_check(options->key, error) : 0;
  if (!err && (options->kind == TR_SUB_TYPE || options->topic.n > 0)) err = tr_topic_type_check(options->topic, error);
  return err;
}

static tr_local_sub *make_sub(tr_core *core, tr_class *class_, tr_sub_kind kind, tr_slice topic, tr_slice key,
                              bool all) {
  tr_local_sub *sub = TR_NEW(core->mem, tr_local_sub);
  if (!sub) return NULL;
  sub->key.form = (kind == TR_SUB_PREFIX ? TR_FORM_PREFIX : 0) | (all ? TR_FORM_ALL : 0);
  sub->key.topic = tr_name_new(core->names, topic);
  if (key.p) sub->key.key = tr_name_new(core->names, key);
  if (sub->key.topic && (sub->key.key || !key.p)) {
    sub->key.class_ = class_;
    return sub;
  }
  destroy(core, sub); /* it has no class yet */
  return NULL;
}

int tr_class_subscribe(tr_class *class_, const tr_local_sub_options *options, uint64_t *id, tr_error *error) {
  tr_core *core = class_->core;
  int err = check(options, error);
  if (err) return err;
  tr_sub_kind kind = options->match ? TR_SUB_PREFIX : options->kind;
  tr_slice none = { NULL, 0 }, topic = options->match ? TR_SLICE_LITERAL("") : options->topic;
  tr_slice key = options->match ? none : options->key;
  tr_local_sub *sub = make_sub(core, class_, kind, topic, key, options->all && !options->match);
  if (!sub) return tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  sub->match = options->match;
  sub->ud = options->ud;
  if (is_comparable(sub) && tr_map_get(&core->subs_by_key, key_of(sub))) {
    class_->sub_count++; /* destroy takes it off */
    destroy(core, sub);
    return tr_error_set(error, TR_EEXISTS, "agent type \"%s\" has this subscription to \"%.*s\" already",
                        class_->type->text, TR_SLICE_ARG(topic));
  }
  err = add_sub(core, sub, id);
  return err ? tr_error_set(error, err, "%s", tr_error_default_text(err)) : 0;
}

static tr_local_sub *find_sub(const tr_core *core, uint64_t id) {
  return tr_map_get(&core->subs_by_id, tr_slice_make(&id, sizeof id));
}

int tr_class_unsubscribe(tr_class *class_, uint64_t id) {
  tr_local_sub *sub = find_sub(class_->core, id);
  if (!sub || sub->key.class_ != class_) return TR_ENOT_FOUND;
  unannounce(class_->core, class_, kind_of(sub), sub->key.topic);
  remove_sub(class_->core, sub);
  return 0;
}

void tr_class_sub_only(tr_class *class_, uint64_t id, bool (*only)(void *ud, tr_slice key), void *ud) {
  tr_local_sub *sub = find_sub(class_->core, id);
  if (!sub || sub->key.class_ != class_) return;
  sub->only = only;
  sub->only_ud = ud;
}

void tr_local_subs_drop_class(tr_class *class_) {
  while (!tr_list_empty(&class_->subs)) {
    tr_local_sub *sub = TR_CONTAINER(class_->subs.next, tr_local_sub, by_class);
    unannounce(class_->core, class_, kind_of(sub), sub->key.topic);
    remove_sub(class_->core, sub);
  }
}

int tr_core_tap(tr_core *core, tr_sub_kind kind, tr_slice topic, tr_event_fn fn, void *ud, uint64_t *id) {
  tr_local_sub_options options = { .kind = kind, .topic = topic };
  int err = check(&options, NULL);
  if (err) return err;
  tr_local_sub *sub = make_sub(core, NULL, kind, topic, tr_slice_make(NULL, 0), false);
  if (!sub) return TR_EMEMORY;
  sub->tap = fn;
  sub->ud = ud;
  core->taps++; /* remove_sub takes it off, also where adding fails */
  return add_sub(core, sub, id);
}

bool tr_core_tapped(tr_core *core, tr_slice topic_type) {
  if (core->taps == 0) return false;
  tr_name *topic = tr_name_new(core->names, topic_type);
  tr_plan *plan = topic ? tr_plan_get(core, topic) : NULL;
  bool tapped = !plan; /* no memory to know: let it be tried */
  for (uint32_t i = 0; plan && i < plan->count && !tapped; i++) tapped = plan->subs[i]->tap != NULL;
  if (plan) tr_plan_unref(core, plan);
  tr_name_unref(topic);
  return tapped;
}

int tr_core_untap(tr_core *core, uint64_t id) {
  tr_local_sub *sub = find_sub(core, id);
  if (!sub || !sub->tap) return TR_ENOT_FOUND;
  remove_sub(core, sub);
  return 0;
}

void tr_local_subs_fini(tr_core *core) {
  size_t at = 0;
  void *value;
  core->publishing = 0;
  tr_local_subs_bury(core);
  while (tr_map_next(&core->subs_by_id, &at, NULL, &value)) remove_sub(core, value); /* only taps are left */
  tr_map_fini(&core->subs_by_id);
  tr_map_fini(&core->subs_by_key);
  tr_map_fini(&core->announced);
  while (!tr_list_empty(&core->plans_by_age)) plan_forget(core, TR_CONTAINER(core->plans_by_age.next, tr_plan, by_age));
  tr_table_fini(&core->plans);
  tr_topics_fini(&core->topics);
}
