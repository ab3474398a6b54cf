/* SPDX-License-Identifier: MIT
 * Giving out an event: to the instances that local subscriptions name, to C callers' taps, and, if it was published
 * here, to the router's destinations and every uplink.
 *
 * The plan (which local subscriptions a topic concerns) is cached per topic, so an event costs its receivers. An
 * instance gets it once, however many subscriptions lead there: the event's number is noted in the instance. It never
 * goes back to the instance that published it. An event that nobody wants is not lost: nobody asked for it. */
#include "core/internal.h"

typedef struct giving {
  tr_core *core;
  tr_msg *msg;
  tr_turn *from;
  void *far;      /* receivers in other isolates */
  bool settled;   /* another isolate has found out who gets it: only what it names is looked at */
  unsigned count; /* who was to get it */
  int error;      /* the first failure */
} giving;

static bool is_sender(const tr_msg *msg, const tr_class *class_, const tr_name *key) {
  return msg->sender_type == class_->type && msg->sender_key == key;
}

static void failed(giving *g, int err) {
  if (!g->error) g->error = err;
}

static void give(giving *g, tr_agent *agent) {
  if ((agent->state & TR_AGENT_MEMBER) || agent->seen == g->msg->number || is_sender(g->msg, agent->class_, agent->key)) return;
  agent->seen = g->msg->number;
  g->count++;
  int err = tr_mail_deliver(g->core, agent, g->msg, g->from);
  if (err) failed(g, tr_core_refused(g->core, g->msg, agent, err));
}

/* To an instance (key NULL: to the live ones) in another isolate. */
static void give_far(giving *g, tr_class *class_, tr_name *key, int isolate) {
  int err = g->core->far->receiver(g->core->far_ud, &g->far, class_, key, isolate);
  g->count++;
  if (err) failed(g, tr_core_undeliverable(g->core, g->msg, err, NULL));
}

static bool is_for(const tr_local_sub *sub, const tr_name *key) { return !sub || !sub->only || sub->only(sub->only_ud, tr_name_view(key)); }

static void give_key(giving *g, tr_class *class_, tr_name *key) {
  if (is_sender(g->msg, class_, key) || (class_->limited && !tr_class_serves(class_, key))) return;
  int home = g->core->far && !g->settled && !class_->pinned ? g->core->far->home(g->core->far_ud, class_, key) : -1;
  if (home >= 0) {
    give_far(g, class_, key, home);
    return;
  }
  tr_agent *agent = tr_agent_obtain(class_, key);
  if (agent) give(g, agent);
  else failed(g, tr_core_no_agent(g->core, g->msg, class_));
}

/* Every live instance. Where giving made one leave, the walk begins anew; who has it already is passed over. */
static void give_all(giving *g, tr_class *class_, const tr_local_sub *sub) {
  uint64_t freed = g->core->agents_freed;
  for (tr_link *link = class_->agents.next; link != &class_->agents;) {
    tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    if (is_for(sub, agent->key)) give(g, agent);
    bool changed = freed != g->core->agents_freed;
    freed = g->core->agents_freed;
    link = changed ? class_->agents.next : link->next;
  }
  if (g->core->far && !g->settled && !class_->pinned) give_far(g, class_, NULL, -1);
}

static void give_matching(giving *g, tr_local_sub *sub) {
  tr_class *class_ = sub->key.class_;
  tr_slice type = tr_name_view(class_->type), key = tr_name_view(g->msg->target_key);
  if (!sub->match(sub->ud, g->msg, &type, &key)) return;
  if (!tr_slice_equal(type, tr_name_view(class_->type))) class_ = tr_core_find_class(g->core, type);
  if (!class_ || class_->removed) {
    tr_log_write(g->core->log, TR_LOG_DEBUG, "event.no_type", "type=%.*s", TR_SLICE_ARG(type));
    return;
  }
  tr_name *name = tr_name_new(g->core->names, key);
  if (name && is_for(sub, name)) give_key(g, class_, name);
  else if (name) (void)0;
  else failed(g, tr_core_undeliverable(g->core, g->msg, TR_EMEMORY, NULL));
  tr_name_unref(name);
}

/* Some events are not for all who subscribed to their topic (shared.c). */
static bool hears(const giving *g, const tr_class *class_) {
  bool shared = class_ && class_->shared;
  if (shared) return tr_shared_hears(class_, g->msg);
  return !g->msg->more || !(g->msg->more->echo || g->msg->more->only_types);
}

static void give_sub(giving *g, tr_local_sub *sub) {
  tr_class *class_ = sub->key.class_;
  if ((g->msg->more || (class_ && class_->shared)) && !hears(g, class_)) return;
  if (sub->tap) {
    g->count++;
    sub->tap(sub->ud, g->msg);
  } else if (sub->match) {
    give_matching(g, sub);
  } else if (sub->key.form & TR_FORM_ALL) {
    give_all(g, class_, sub);
  } else {
    tr_name *key = sub->key.key ? sub->key.key : g->msg->target_key;
    if (is_for(sub, key)) give_key(g, class_, key);
  }
}

/* What only this isolate knows of: the others see to the rest. */
static bool is_ours_alone(const tr_local_sub *sub) { return sub->tap || (sub->key.class_ && sub->key.class_->pinned); }

static void give_here(giving *g, bool ours_alone) {
  tr_core *core = g->core;
  tr_plan *plan = tr_plan_get(core, g->msg->target_type);
  if (!plan) {
    failed(g, tr_core_undeliverable(core, g->msg, TR_EMEMORY, NULL));
    return;
  }
  core->publishing++; /* a tap or a match function may unsubscribe anything */
  for (uint32_t i = 0; i < plan->count; i++)
    if (!plan->subs[i]->dead && (!ours_alone || is_ours_alone(plan->subs[i]))) give_sub(g, plan->subs[i]);
  tr_plan_unref(core, plan);
  if (--core->publishing == 0 && !tr_list_empty(&core->graveyard)) tr_local_subs_bury(core);
}

/* To those uplinks that get such events, and to those that get all. */
static void give_up(giving *g, tr_uplink_events least) {
  tr_core *core = g->core;
  for (uint32_t i = 0; i < core->uplink_count; i++) {
    tr_dest *uplink = core->uplinks[i];
    if (uplink->events == TR_UPLINK_NONE || (least == TR_UPLINK_ALL && uplink->events != TR_UPLINK_ALL)) continue;
    uplink->ops->event(uplink, g->msg);
    g->count++;
  }
}

static void give_out(giving *g) {
  tr_core *core = g->core;
  if (core->router->remote_types) {
    /* A copy: what a door does with the event may ask the router for another match. */
    tr_dest *few[32], **dests = few;
    size_t count;
    tr_dest *const *matched = tr_router_match_name(core->router, g->msg->target_type, &count);
    if (count > 32) dests = tr_alloc(core->mem, count * sizeof *dests);
    if (!dests) {
      failed(g, tr_core_undeliverable(core, g->msg, TR_EMEMORY, NULL));
      return;
    }
    if (count) memcpy(dests, matched, count * sizeof *dests);
    for (size_t i = 0; i < count; i++) {
      if (!dests[i]->ops) continue; /* ourselves */
      dests[i]->ops->event(dests[i], g->msg);
      g->count++;
    }
    if (dests != few) tr_free(core->mem, dests, count * sizeof *dests);
  }
  if (tr_name_reserved(tr_name_view(g->msg->target_type))) return; /* what a runtime says of itself is for those below it */
  give_up(g, TR_UPLINK_OURS);
}

/* By the doors, as far as it may. */
static void go_out(giving *g) {
  if (g->msg->more && g->msg->more->echo) return;
  if (!g->msg->from_wire || g->msg->inside) give_out(g);
  else if (g->core->listening && !tr_name_reserved(tr_name_view(g->msg->target_type))) give_up(g, TR_UPLINK_ALL);
}

bool tr_core_wanted(tr_core *core, tr_name *topic_type) {
  tr_plan *plan = tr_plan_get(core, topic_type);
  bool wanted = plan && plan->count > 0;
  if (plan) tr_plan_unref(core, plan);
  if (!wanted && core->far && core->index > 0) return core->far->wanted(core->far_ud);
  if (wanted || !core->router->remote_types) return wanted;
  size_t count;
  tr_dest *const *matched = tr_router_match_name(core->router, topic_type, &count);
  for (size_t i = 0; i < count && !wanted; i++) wanted = matched[i]->ops != NULL;
  return wanted;
}

static void unheard(tr_core *core, tr_msg *msg) {
  if (core->hooks.unheard && !msg->from_wire && !tr_name_reserved(tr_name_view(msg->target_type))) core->hooks.unheard(core->hooks.ud, msg);
  tr_log_write(core->log, TR_LOG_DEBUG, "event.unwanted", "topic=%s/%s type=%s", msg->target_type->text,
                 msg->target_key ? msg->target_key->text : "", msg->type ? msg->type->text : "");
}

int tr_core_publish(tr_core *core, tr_msg *msg, tr_turn *from) {
  giving g = { .core = core, .msg = msg, .from = from };
  core->stats.events += !msg->crossed;
  if (core->leaf && !msg->from_wire && !tr_name_reserved(tr_name_view(msg->target_type))) {
    give_out(&g);
    return g.error;
  }
  give_here(&g, false);
  if (core->far) {
    bool heard = g.count > 0;
    int err = core->far->publish(core->far_ud, g.far, msg, from, &heard);
    if (err) failed(&g, err);
    g.count += heard; /* or the first isolate says whether it was */
  }
  go_out(&g);
  if (!g.count) unheard(core, msg);
  return g.error;
}

/* Does what gives this topic to all live instances of the class mean only some of them? */
static bool is_divided(const tr_plan *plan, const tr_class *class_) {
  bool divided = false;
  for (uint32_t i = 0; i < plan->count; i++) {
    const tr_local_sub *sub = plan->subs[i];
    if (sub->dead || sub->key.class_ != class_ || !(sub->key.form & TR_FORM_ALL)) continue;
    if (!sub->only) return false;
    divided = true;
  }
  return divided;
}

/* As another isolate found: by its subscriptions, which are ours too. */
static void give_live(giving *g, tr_class *class_) {
  tr_core *core = g->core;
  tr_plan *plan = tr_plan_get(core, g->msg->target_type);
  if (!plan) {
    failed(g, tr_core_undeliverable(core, g->msg, TR_EMEMORY, NULL));
    return;
  }
  core->publishing++;
  if (!is_divided(plan, class_)) give_all(g, class_, NULL);
  else
    for (uint32_t i = 0; i < plan->count; i++)
      if (plan->subs[i]->key.class_ == class_ && (plan->subs[i]->key.form & TR_FORM_ALL) && !plan->subs[i]->dead) give_all(g, class_, plan->subs[i]);
  tr_plan_unref(core, plan);
  if (--core->publishing == 0 && !tr_list_empty(&core->graveyard)) tr_local_subs_bury(core);
}

int tr_publish_to(tr_core *core, tr_msg *event, tr_class *class_, tr_name *key) {
  giving g = { .core = core, .msg = event, .settled = true };
  if (key) give_key(&g, class_, key);
  else give_live(&g, class_);
  return g.error;
}

int tr_publish_rest(tr_core *core, tr_msg *event, bool heard) {
  giving g = { .core = core, .msg = event, .settled = true };
  give_here(&g, true);
  go_out(&g);
  if (!g.count && !heard) unheard(core, event);
  return g.error;
}
