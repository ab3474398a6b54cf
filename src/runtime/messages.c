/* SPDX-License-Identifier: MIT
 * Messages from and to C: publish, send, call, subscribe (include/troupe.h).
 *
 * A C subscriber is an agent like any other: one class with one instance per runtime, made at the first troupe_subscribe, so that its
 * subscriptions reach hosts and its events wait in a mailbox. Its type has a random part, since a host gives a type one owner. */
#include <stdio.h>

#include "codec/json.h"
#include "runtime/internal.h"

struct tr_c_call {
  troupe_t *rt;
  tr_link all;
  tr_call *call;
  bool *finished; /* set while troupe_call runs: tells it that the answer came at once */
  troupe_reply_fn fn;
  void *ud;
};

struct tr_c_subscription {
  tr_link all;
  int64_t id;
  uint64_t core_id;
  tr_sub_kind kind;
  troupe_event_fn fn;
  void *ud;
  size_t length;
  char topic[]; /* type or prefix, NUL-terminated */
};

/* ---- bodies ---- */

/* own: takes value (may be NULL: {}). */
static int body_from_value(troupe_t *rt, troupe_value_t *value, tr_body *body) {
  *body = (tr_body){ .kind = TR_BODY_NONE };
  if (!value) return 0;
  int rc = 0;
  tr_script_builder *builder = tr_script_build_begin(rt->script, &rt->error);
  if (!builder) rc = TR_EMEMORY;
  else {
    tr_sink sink = tr_script_build_sink(builder);
    rc = tr_value_walk(value, &sink, &rt->error);
    body->slot = tr_script_build_end(builder);
    if (body->slot) body->kind = TR_BODY_SLOT;
    else if (rc == 0) rc = TR_EMEMORY;
    if (rc) tr_body_release(rt->core, body);
  }
  tr_value_free(value);
  return rc;
}

static troupe_value_t *value_from_body(troupe_t *rt, const tr_body *body, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  troupe_value_t *value = NULL;
  if (tr_script_walk(rt->script, body, &sink, error) == 0) value = tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

int tr_runtime_body_json(troupe_t *rt, const tr_body *body, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  int rc = tr_script_walk(rt->script, body, &sink, error);
  return rc == 0 && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

/* ---- publish, send ---- */

static int set_target(troupe_t *rt, tr_msg *msg, tr_slice type, tr_slice key) {
  msg->target_type = tr_name_new(tr_core_names(rt->core), type);
  msg->target_key = tr_name_new(tr_core_names(rt->core), key);
  return msg->target_type && msg->target_key ? 0 : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
}

/* A message to a topic or an agent, with its body taken; NULL: rt->error says why. */
static tr_msg *make_message(troupe_t *rt, tr_msg_kind kind, const char *target, const char *type, troupe_value_t *value) {
  bool bad = rt->bad_value && !value;
  rt->bad_value = false;
  if (bad) return NULL; /* troupe_pack's error stands */
  tr_agent_id id = { { NULL, 0 }, { NULL, 0 } };
  tr_error *error = tr_runtime_error(rt);
  tr_slice text = tr_slice_of(target), fallback = TR_SLICE_LITERAL("default");
  int rc;
  if (kind == TR_MSG_EVENT) {
    tr_topic_id topic = { { NULL, 0 }, { NULL, 0 } };
    rc = tr_topic_id_parse(text, fallback, &topic, error);
    id = (tr_agent_id){ topic.type, topic.source };
  } else {
    rc = tr_agent_id_parse(text, fallback, &id, error);
  }
  if (rc == 0 && (!type || !*type || !tr_utf8_valid(tr_slice_of(type))))
    rc = tr_error_set(error, TR_EINVALID, "the message type must be UTF-8 text that is not empty");
  tr_slice name = kind == TR_MSG_EVENT && tr_name_reserved(id.type) ? id.type : id.key;
  if (rc == 0 && tr_name_reserved(name))
    rc = tr_error_set(error, TR_EINVALID, "%.*s: names that begin with \"" TR_RESERVED "\" are reserved", TR_SLICE_ARG(name));
  if (rc) {
    tr_value_free(value);
    return NULL;
  }
  tr_msg *msg = tr_msg_new(rt->core, kind);
  if (!msg) {
    tr_value_free(value);
    tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    return NULL;
  }
  msg->troupe_peer = true;
  msg->type = tr_name_new(tr_core_names(rt->core), tr_slice_of(type));
  rc = body_from_value(rt, value, &msg->body);
  if (rc == 0) rc = msg->type ? set_target(rt, msg, id.type, id.key) : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  if (rc == 0) return msg;
  tr_msg_unref(msg);
  return NULL;
}

/* own: takes msg. */
static int refuse(troupe_t *rt, tr_msg *msg) {
  tr_msg_unref(msg);
  return tr_runtime_fail(rt, TR_EUNAVAILABLE, "the runtime is stopping");
}

static int post(troupe_t *rt, tr_msg_kind kind, const char *target, const char *type, troupe_value_t *body) {
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_msg *msg = make_message(rt, kind, target, type, body);
  if (!msg) return rt->error.code;
  if (tr_runtime_stopping(rt)) return refuse(rt, msg);
  int rc = tr_core_post(rt->core, msg);
  return rc ? tr_runtime_fail(rt, rc, "%s: %s", target, tr_error_default_text(rc)) : 0;
}

int troupe_publish(troupe_t *rt, const char *topic, const char *type, troupe_value_t *body) {
  return post(rt, TR_MSG_EVENT, topic, type, body);
}

int troupe_send(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body) {
  return post(rt, TR_MSG_SEND, agent, type, body);
}

/* ---- call ---- */

static void call_done(tr_c_call *call, int status, const char *text, const char *type, const troupe_value_t *body) {
  tr_link_remove(&call->all);
  if (call->finished) *call->finished = true;
  call->fn(call->ud, status, text, type, body);
  TR_DELETE(&call->rt->mem, call);
}

static void on_reply(void *ud, tr_call *core_call, tr_reply *reply) {
  (void)core_call;
  tr_c_call *call = ud;
  troupe_t *rt = call->rt;
  tr_error error;
  tr_error_init(&error);
  if (reply->code) {
    tr_error_set(&error, reply->code, "%.*s", TR_SLICE_ARG(reply->error));
    call_done(call, reply->code, error.text, NULL, NULL);
    return;
  }
  troupe_value_t *value = value_from_body(rt, &reply->body, &error);
  if (!value) call_done(call, error.code ? error.code : TR_EMEMORY, error.text, NULL, NULL);
  else call_done(call, 0, "", reply->type ? reply->type->text : "null", value);
  tr_value_free(value);
}

int troupe_call(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body, int64_t timeout_us, troupe_reply_fn fn,
                void *ud) {
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_msg *msg = make_message(rt, TR_MSG_REQUEST, agent, type, body);
  if (!msg) return rt->error.code;
  if (tr_runtime_stopping(rt)) return refuse(rt, msg);
  tr_c_call *call = TR_NEW(&rt->mem, tr_c_call);
  if (!call) {
    tr_msg_unref(msg);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  call->rt = rt;
  call->fn = fn;
  call->ud = ud;
  if (timeout_us >= 0) msg->deadline = tr_runtime_after(tr_core_now(rt->core), timeout_us ? timeout_us : TR_SECONDS(30));
  tr_list_push(&rt->calls, &call->all);
  bool finished = false;
  call->finished = &finished;
  tr_call *core_call = tr_core_call(rt->core, msg, on_reply, call);
  if (finished) return 0;
  call->finished = NULL;
  call->call = core_call;
  if (core_call) return 0;
  tr_link_remove(&call->all);
  TR_DELETE(&rt->mem, call);
  return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
}

void tr_runtime_cancel_calls(troupe_t *rt) {
  tr_link *link;
  while ((link = tr_list_pop(&rt->calls))) {
    tr_c_call *call = TR_CONTAINER(link, tr_c_call, all);
    if (call->call) tr_call_cancel(call->call);
    call_done(call, TR_ECANCELLED, "the runtime ended", NULL, NULL);
  }
}

/* ---- subscribe ---- */

static bool wants(const tr_c_subscription *sub, tr_slice topic) {
  tr_slice own = { sub->topic, sub->length };
  return sub->kind == TR_SUB_PREFIX ? tr_slice_starts(topic, own) : tr_slice_equal(topic, own);
}

/* One event to all C subscriptions that match. fn may subscribe and unsubscribe: what is found next is looked up by id. */
static int run_subscriber(void *ud, tr_turn *turn) {
  troupe_t *rt = ud;
  if (turn->kind != TR_TURN_MESSAGE || turn->msg->kind != TR_MSG_EVENT) {
    tr_turn_fail(turn, TR_ECANT_HANDLE, "a C subscriber takes only events");
    return TR_RUN_DONE;
  }
  tr_error error;
  tr_error_init(&error);
  troupe_value_t *value = value_from_body(rt, &turn->msg->body, &error);
  if (!value) {
    tr_turn_fail(turn, error.code ? error.code : TR_EMEMORY, error.text);
    return TR_RUN_DONE;
  }
  char topic[2 * TR_ID_MAX + 2];
  snprintf(topic, sizeof topic, "%s/%s", turn->msg->target_type->text, turn->msg->target_key->text);
  int64_t after = 0;
  for (tr_link *l = rt->subscriptions.next; l != &rt->subscriptions;) {
    tr_c_subscription *sub = TR_CONTAINER(l, tr_c_subscription, all);
    if (sub->id > after && wants(sub, tr_name_view(turn->msg->target_type))) {
      after = sub->id;
      sub->fn(sub->ud, topic, turn->msg->type->text, value);
      l = rt->subscriptions.next; /* the list may have changed: ids only grow */
    } else {
      l = l->next;
    }
  }
  tr_value_free(value);
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
static const tr_class_ops subscriber_ops = { make_subscriber, run_subscriber, cancel_subscriber, drop_subscriber, NULL };

static int need_subscriber(troupe_t *rt) {
  if (rt->subscriber) return 0;
  char type[64], uuid[37];
  tr_uuid(tr_core_random(rt->core), uuid);
  snprintf(type, sizeof type, "subscriber-%s", uuid);
  tr_class_options options = { .type = tr_slice_of(type), .ops = &subscriber_ops, .ud = rt, .pinned = true };
  return tr_core_add_class(rt->core, &options, &rt->subscriber, &rt->error);
}

int64_t troupe_subscribe(troupe_t *rt, const char *topic, troupe_event_fn fn, void *ud) {
  tr_error *error = tr_runtime_error(rt);
  tr_slice text = tr_slice_of(topic);
  bool prefix = text.n && text.p[text.n - 1] == '*';
  if (prefix) text.n--;
  int rc = text.n || !prefix ? tr_topic_type_check(text, error) : 0;
  if (rc == 0) rc = need_subscriber(rt);
  if (rc) return rc;
  size_t size = sizeof(tr_c_subscription) + text.n + 1;
  tr_c_subscription *sub = tr_calloc(&rt->mem, 1, size);
  if (!sub) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  sub->kind = prefix ? TR_SUB_PREFIX : TR_SUB_TYPE;
  sub->fn = fn;
  sub->ud = ud;
  sub->length = text.n;
  memcpy(sub->topic, text.p, text.n);
  tr_local_sub_options options = { .kind = sub->kind, .topic = text, .key = TR_SLICE_LITERAL("default") };
  rc = tr_class_subscribe(rt->subscriber, &options, &sub->core_id, error);
  if (rc == TR_EEXISTS) rc = sub->core_id = 0; /* the class has it already, by another of our subscriptions */
  if (rc) {
    tr_free(&rt->mem, sub, size);
    return rc;
  }
  sub->id = ++rt->next_subscription;
  tr_list_push(&rt->subscriptions, &sub->all);
  tr_runtime_sync_uplinks(rt);
  return sub->id;
}

static void free_subscription(troupe_t *rt, tr_c_subscription *sub) {
  tr_free(&rt->mem, sub, sizeof *sub + sub->length + 1);
}

int troupe_unsubscribe(troupe_t *rt, int64_t id) {
  tr_runtime_error(rt);
  for (tr_link *l = rt->subscriptions.next; l != &rt->subscriptions; l = l->next) {
    tr_c_subscription *sub = TR_CONTAINER(l, tr_c_subscription, all);
    if (sub->id != id) continue;
    tr_link_remove(&sub->all);
    /* The class's subscription goes with the last of ours on the same topic. */
    tr_c_subscription *twin = NULL;
    for (tr_link *m = rt->subscriptions.next; m != &rt->subscriptions && !twin; m = m->next) {
      tr_c_subscription *other = TR_CONTAINER(m, tr_c_subscription, all);
      if (other->kind == sub->kind && strcmp(other->topic, sub->topic) == 0) twin = other;
    }
    if (twin && !twin->core_id) twin->core_id = sub->core_id;
    else if (!twin) tr_class_unsubscribe(rt->subscriber, sub->core_id);
    free_subscription(rt, sub);
    tr_runtime_sync_uplinks(rt);
    return 0;
  }
  return tr_runtime_fail(rt, TR_ENOT_FOUND, "no subscription %lld", (long long)id);
}

void tr_runtime_free_subscriptions(troupe_t *rt) {
  tr_link *link;
  while ((link = tr_list_pop(&rt->subscriptions))) free_subscription(rt, TR_CONTAINER(link, tr_c_subscription, all));
}
