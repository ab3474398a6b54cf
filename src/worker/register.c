/* SPDX-License-Identifier: MIT
 * What this process has, made known to the host: RegisterAgent per agent type, AddSubscription per (kind, topic, type), and for
 * each type the prefix "TYPE:" as AutoGen's workers always do. All is asked for at once, without waiting for answers.
 *
 * tr_worker_sync compares what the core has with what is registered; only the difference is sent. The protocol has no call
 * to give a type back: one that is gone here stays ours until the stream ends, and requests for it are answered not_found.
 *
 * "Already registered": by our own client-id it is as good as done (an answer got lost, or a re-opened stream). By our last
 * one, AutoGen's host has not noticed yet that it is gone: tried again, later each time. By anybody else's, the same, but
 * told, since it may last, as is what is refused for want of a right. Subscriptions of a type that is refused are taken back, they would
 * serve its holder; and added again when the type is ours. "Subscription already exists" while the type is ours does no harm, events come by
 * the other one; but that may go, so it too is tried again, more and more rarely. */
#include "worker/internal.h"

#include <stdio.h>

#define RARELY TR_SECONDS(60)
#define MEMORY_AGAIN TR_MILLISECONDS(100)

/* ---- the two kinds of entries ---- */

static tr_slice key_of(const struct tr_worker_sub_key *key) { return tr_slice_make(key, sizeof *key); }

static tr_worker_type *get_type(tr_worker *w, tr_name *name) {
  tr_worker_type *type = tr_map_get(&w->types, tr_name_view(name));
  if (type) return type;
  type = TR_NEW(w->mem, tr_worker_type);
  if (!type) return NULL;
  if (tr_map_put(&w->types, tr_name_view(name), type, NULL)) {
    TR_DELETE(w->mem, type);
    return NULL;
  }
  type->name = tr_name_ref(name);
  tr_list_init(&type->subs);
  tr_list_push(&w->types_list, &type->link);
  return type;
}

static void free_type(tr_worker *w, tr_worker_type *type) {
  tr_map_remove(&w->types, tr_name_view(type->name));
  tr_link_remove(&type->link);
  tr_name_unref(type->name);
  TR_DELETE(w->mem, type);
}

static tr_worker_sub *get_sub(tr_worker *w, tr_worker_type *type, tr_sub_kind kind, tr_name *topic) {
  struct tr_worker_sub_key key = { topic, type->name, (uint64_t)kind };
  tr_worker_sub *sub = tr_map_get(&w->subs, key_of(&key));
  if (sub) return sub;
  sub = TR_NEW(w->mem, tr_worker_sub);
  if (!sub) return NULL;
  sub->key = key;
  sub->type = type;
  if (tr_map_put(&w->subs, key_of(&sub->key), sub, NULL)) {
    TR_DELETE(w->mem, sub);
    return NULL;
  }
  tr_name_ref(topic);
  tr_name_ref(type->name);
  tr_uuid(tr_core_random(w->core), sub->id);
  tr_list_push(&type->subs, &sub->link);
  return sub;
}

static void free_sub(tr_worker *w, tr_worker_sub *sub) {
  tr_map_remove(&w->subs, key_of(&sub->key));
  tr_link_remove(&sub->link);
  tr_name_unref(sub->key.topic);
  tr_name_unref(sub->key.type);
  TR_DELETE(w->mem, sub);
}

#define EACH_TYPE(w, type)                                                                                    \
  for (tr_worker_type *type = first_type(w); type; type = next_type(w, type))
static tr_worker_type *type_at(const tr_worker *w, const tr_link *link) {
  return link == &w->types_list ? NULL : TR_CONTAINER(link, tr_worker_type, link);
}
static tr_worker_type *first_type(const tr_worker *w) { return type_at(w, w->types_list.next); }
static tr_worker_type *next_type(const tr_worker *w, const tr_worker_type *type) { return type_at(w, type->link.next); }

static tr_worker_sub *sub_at(const tr_worker_type *type, const tr_link *link) {
  return link == &type->subs ? NULL : TR_CONTAINER(link, tr_worker_sub, link);
}
#define EACH_SUB(type, sub) /* it may be freed meanwhile */                                                   \
  for (tr_worker_sub *sub = sub_at(type, (type)->subs.next), *next_##sub;                                     \
       sub && (next_##sub = sub_at(type, sub->link.next), true); sub = next_##sub)

/* ---- asking the host ---- */

static bool can_ask(const tr_worker *w) { return w->channel && !w->over && !w->leave; }

/* A call, or what comes of not being able to make one. */
static bool ask(tr_worker *w, tr_worker_method method, tr_blob *frame, void *item) {
  if (tr_worker_call_new(w, method, frame, item)) {
    w->asking++;
    return true;
  }
  if (w->goaway) tr_worker_over(w, false, "the host is shutting down");
  return false;
}

static void ask_type(tr_worker *w, tr_worker_type *type) {
  bool asked = ask(w, TR_WORKER_REGISTER, tr_wire_encode_register(w->mem, tr_name_view(type->name)), type);
  type->state = asked ? TR_REG_ASKED : TR_REG_NEW;
  type->refused = !asked;
}

static void ask_sub(tr_worker *w, tr_worker_sub *sub) {
  tr_wire_subscription it = {
    .id = tr_slice_of(sub->id), .has_kind = true, .kind = (tr_sub_kind)sub->key.kind,
    .topic = tr_name_view(sub->key.topic), .agent_type = tr_name_view(sub->key.type),
  };
  bool asked = ask(w, TR_WORKER_SUBSCRIBE, tr_wire_encode_add_subscription(w->mem, &it), sub);
  sub->state = asked ? TR_REG_ASKED : TR_REG_NEW;
  sub->refused = !asked;
}

/* Nobody waits for what comes of it. */
static void take_back(tr_worker *w, tr_worker_sub *sub) {
  sub->state = TR_REG_NEW;
  if (can_ask(w)) tr_worker_call_new(w, TR_WORKER_UNSUBSCRIBE, tr_wire_encode_remove_subscription(w->mem, tr_slice_of(sub->id)), NULL);
}

/* Ask for all that is wanted and not asked for yet. Subscriptions go along with their type, unless that was refused. */
static void ask_all(tr_worker *w) {
  EACH_TYPE(w, type) {
    if (!can_ask(w)) return;
    if (!type->wanted) continue;
    if (type->state == TR_REG_NEW && !type->refused) ask_type(w, type);
    if (type->refused) continue;
    EACH_SUB(type, sub) {
      if (sub->wanted && sub->state == TR_REG_NEW && !sub->refused) ask_sub(w, sub);
    }
  }
}

/* ---- have we joined? ---- */

typedef struct census { bool open, refused, elsewhere; } census; /* open: not answered yet */

static void count_type(const tr_worker_type *type, census *c) {
  if (type->refused && type->lent) c->elsewhere = true;
  else if (type->refused) c->refused = true;
  else if (type->state != TR_REG_HELD) c->open = true;
  EACH_SUB(type, sub) {
    if (!sub->wanted || sub->state == TR_REG_HELD) continue;
    if (sub->elsewhere) c->elsewhere = true;
    else if (sub->refused && !type->lent) c->refused = true;
    else if (sub->refused) c->elsewhere = true;
    else c->open = true;
  }
}

static void on_again(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, again_timer);
  EACH_TYPE(w, type) {
    type->refused = false;
    EACH_SUB(type, sub) sub->refused = false;
  }
  ask_all(w);
  tr_worker_review(w);
}

static void try_again(tr_worker *w, const census *c) {
  if (tr_timer_running(&w->again_timer)) return;
  tr_time most = c->refused ? w->o.backoff_max : RARELY;
  tr_time delay = tr_worker_backoff(w, w->register_tries, most);
  if (w->register_tries < 32) w->register_tries++;
  tr_timer_start(w->timers, &w->again_timer, tr_core_now(w->core) + delay, on_again);
}

void tr_worker_review(tr_worker *w) {
  if (!can_ask(w) || w->asking > 0) return;
  census c = { false, false, false };
  EACH_TYPE(w, type) {
    if (type->wanted) count_type(type, &c);
  }
  if (c.refused || c.elsewhere) try_again(w, &c);
  else w->register_tries = 0;
  if (c.open || c.refused) {
    tr_worker_set_state(w, TR_WORKER_JOINING, NULL);
    return;
  }
  tr_worker_set_state(w, TR_WORKER_JOINED, NULL);
  if (w->told_have != w->session) tr_worker_tell_have(w);
  w->told_have = w->session;
  if (!w->proven) return;
  w->tries = 0;
  w->told = 0;
}

/* ---- its answers ---- */

static bool contains(tr_slice text, const char *part) {
  size_t n = strlen(part);
  for (size_t i = 0; n > 0 && i + n <= text.n; i++)
    if (memcmp(text.p + i, part, n) == 0) return true;
  return false;
}

/* Why it has not joined: once a session, so that the reason for an earlier end does not stand for it. */
static void say_why(tr_worker *w, uint32_t *told, const char *text) {
  if (*told != w->session) tr_worker_set_state(w, TR_WORKER_JOINING, text);
  *told = w->session;
}

static void tell_refused(tr_worker *w, tr_worker_type *type, const tr_rpc_status *status, bool held) {
  if (type->told == w->session || type->lent) return;
  char text[400];
  tr_slice name = tr_name_view(type->name);
  name.n = tr_utf8_cut(name, 160);
  if (held) snprintf(text, sizeof text, "type %.*s is held by another worker", TR_SLICE_ARG(name));
  else snprintf(text, sizeof text, "type %.*s is refused: %.*s", TR_SLICE_ARG(name), (int)tr_utf8_cut(status->message, 160),
                status->message.n ? status->message.p : "");
  /* An uplink for what is bound to it makes our types known there as far as they are not there. */
  if (!type->told)
    tr_log_write(w->log, held && w->o.bound ? TR_LOG_DEBUG : TR_LOG_WARN, "type.refused", "host=%s reason=\"%s\" (trying again)", w->address, text);
  say_why(w, &type->told, text);
}

/* Scripts subscribe and unsubscribe as they like: so by topic, and with doubling. */
static void tell_refused_sub(tr_worker *w, tr_worker_sub *sub, const tr_rpc_status *status) {
  if (sub->told == w->session) return;
  char text[400], times[TR_TALLY_TIMES];
  tr_slice topic = tr_name_view(sub->key.topic), why = status->message;
  topic.n = tr_utf8_cut(topic, 160);
  why.n = tr_utf8_cut(why, 200);
  snprintf(text, sizeof text, "the subscription to %.*s%s is refused: %.*s", TR_SLICE_ARG(topic), sub->key.kind == TR_SUB_PREFIX ? "*" : "",
           (int)why.n, why.n ? why.p : "");
  if (!sub->told && tr_tally_tell(&w->refusals, topic, times))
    tr_log_write(w->log, TR_LOG_WARN, "subscription.refused", "host=%s topic=%.*s reason=\"%s\"%s (trying again)", w->address, TR_SLICE_ARG(topic), text, times);
  w->refused_as = tr_error_from_grpc(status->status);
  say_why(w, &sub->told, text);
}

static void refused_type(tr_worker *w, tr_worker_type *type, const tr_rpc_status *status) {
  bool held = status->status == TR_GRPC_ALREADY_EXISTS || contains(status->message, "already registered");
  type->state = TR_REG_NEW;
  type->refused = true;
  EACH_SUB(type, sub) {
    if (sub->state == TR_REG_HELD) take_back(w, sub);
    sub->elsewhere = false;
  }
  bool our_last = held && contains(status->message, w->last_id);
  if (!our_last && status->status != TR_GRPC_UNAVAILABLE) tell_refused(w, type, status, held);
}

void tr_worker_registered(tr_worker *w, tr_worker_type *type, const tr_rpc_status *status) {
  w->asking--;
  bool ours = status->status == TR_GRPC_OK ||
              (contains(status->message, "already registered") && contains(status->message, w->client_id));
  if (ours) {
    type->state = TR_REG_HELD;
    type->told = 0;
    EACH_SUB(type, sub) sub->refused = false; /* refused along with the type */
    ask_all(w);
  } else {
    refused_type(w, type, status);
  }
  tr_worker_review(w);
}

void tr_worker_subscribed(tr_worker *w, tr_worker_sub *sub, const tr_rpc_status *status) {
  w->asking--;
  tr_worker_type *type = sub->type;
  bool there = status->status == TR_GRPC_ALREADY_EXISTS || contains(status->message, "already exists");
  sub->state = status->status == TR_GRPC_OK ? TR_REG_HELD : TR_REG_NEW;
  sub->refused = sub->state != TR_REG_HELD;
  sub->elsewhere = sub->refused && there && !type->refused;
  if (!sub->refused) sub->told = 0;
  else if (sub->wanted && !there && !type->refused && !type->lent && status->status != TR_GRPC_UNAVAILABLE) tell_refused_sub(w, sub, status);
  if (sub->state == TR_REG_HELD && (!sub->wanted || type->refused)) take_back(w, sub);
  if (!sub->wanted) free_sub(w, sub);
  tr_worker_review(w);
}

/* ---- what there is here ---- */

static bool want_sub(tr_worker *w, tr_worker_type *type, tr_sub_kind kind, tr_name *topic) {
  tr_worker_sub *sub = topic ? get_sub(w, type, kind, topic) : NULL;
  if (sub) sub->wanted = true;
  return sub != NULL;
}

static bool want_type(tr_worker *w, tr_name *name) {
  tr_worker_type *type = get_type(w, name);
  if (!type) return false;
  type->wanted = true;
  const tr_class *class_ = tr_core_find_class(w->core, tr_name_view(name));
  type->shared = class_ && tr_class_is_shared(class_);
  tr_buf text;
  tr_buf_init(&text, w->mem);
  tr_buf_slice(&text, tr_name_view(name));
  tr_buf_byte(&text, ':');
  tr_name *prefix = text.failed ? NULL : tr_name_new(tr_core_names(w->core), tr_buf_view(&text));
  tr_buf_fini(&text);
  bool ok = want_sub(w, type, TR_SUB_PREFIX, prefix);
  tr_name_unref(prefix);
  return ok;
}

/* Agents that this process launched are found by it. */
static bool want_lent(tr_worker *w, tr_name *name) {
  const tr_worker_type *type = tr_map_get(&w->types, tr_name_view(name));
  if (type && type->wanted) return true;
  if (!want_type(w, name)) return false;
  ((tr_worker_type *)tr_map_get(&w->types, tr_name_view(name)))->lent = true;
  return true;
}

/* Mark what the core has. False: out of memory. */
static bool mark(tr_worker *w) {
  tr_router *router = tr_core_router(w->core);
  tr_dest *local = tr_core_local(w->core);
  bool ok = true;
  for (tr_route_type *at = NULL; (at = tr_router_next_type(router, local, at));) ok = want_type(w, at->name) && ok;
  uint32_t place = 0;
  for (tr_name *name; (name = tr_core_next_unlisted(w->core, &place));) ok = want_lent(w, name) && ok;
  for (tr_sub *sub = NULL; (sub = tr_router_next_sub(router, sub));) {
    tr_worker_type *type = tr_map_get(&w->types, tr_name_view(sub->agent_type));
    if (!type || !type->wanted || (sub->added_by && sub->added_by != local)) continue;
    ok = want_sub(w, type, sub->kind, sub->topic) && ok;
  }
  return ok;
}

static void unmark(tr_worker *w) {
  EACH_TYPE(w, type) {
    type->wanted = type->lent = false;
    EACH_SUB(type, sub) sub->wanted = false;
  }
}

/* Let go of what is not marked. What was asked for is let go when the answer is there. */
static void sweep(tr_worker *w) {
  for (tr_worker_type *type = first_type(w), *next; type; type = next) {
    next = next_type(w, type);
    EACH_SUB(type, sub) {
      if (sub->wanted || sub->state == TR_REG_ASKED) continue;
      if (sub->state == TR_REG_HELD) take_back(w, sub);
      free_sub(w, sub);
    }
    if (!type->wanted && type->state == TR_REG_NEW && tr_list_empty(&type->subs)) free_type(w, type);
  }
}

static void on_sync(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, sync_timer);
  if (!w->o.register_types || !can_ask(w)) return;
  unmark(w);
  if (mark(w)) sweep(w);
  else tr_timer_start(w->timers, &w->sync_timer, tr_core_now(w->core) + MEMORY_AGAIN, on_sync); /* and forget nothing till then */
  ask_all(w);
  if (w->asking > 0 && can_ask(w)) tr_worker_set_state(w, TR_WORKER_JOINING, NULL);
  tr_worker_review(w);
}

/* Several changes in a row become one. */
void tr_worker_sync(tr_worker *worker) {
  if (worker->state == TR_WORKER_OFF || worker->leave || tr_timer_running(&worker->sync_timer)) return;
  tr_timer_start(worker->timers, &worker->sync_timer, tr_core_now(worker->core), on_sync);
}

/* ---- sessions ---- */

void tr_worker_register_all(tr_worker *w) {
  tr_timer_stop(w->timers, &w->sync_timer);
  if (w->o.register_types) on_sync(&w->sync_timer);
  else tr_worker_review(w);
}

void tr_worker_register_reset(tr_worker *w) {
  tr_timer_stop(w->timers, &w->again_timer);
  EACH_TYPE(w, type) {
    if (type->state == TR_REG_HELD) memcpy(w->last_id, w->client_id, sizeof w->last_id);
    type->state = TR_REG_NEW;
    type->refused = false;
    EACH_SUB(type, sub) {
      sub->state = TR_REG_NEW;
      sub->refused = sub->elsewhere = false;
      if (!sub->wanted) free_sub(w, sub);
    }
  }
}

void tr_worker_register_fini(tr_worker *w) {
  for (tr_worker_type *type; (type = first_type(w));) {
    EACH_SUB(type, sub) free_sub(w, sub);
    free_type(w, type);
  }
}
