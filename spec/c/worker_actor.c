/* SPDX-License-Identifier: MIT
 * The agents of worker_stage.h: a class in C that notes what it hears, and answers, calls or waits as the case wants it. */
#include "worker_stage.h"

#include <stdio.h>

static void copy(char *out, size_t size, tr_slice text) { snprintf(out, size, "%.*s", (int)text.n, text.n ? text.p : ""); }

static void body_text(tr_core *core, const tr_body *body, char *out, size_t size) {
  tr_blob *bytes;
  tr_format format;
  out[0] = 0;
  if (tr_body_bytes(core, body, TR_FORMAT_JSON, &bytes, &format, NULL)) return;
  copy(out, size, tr_blob_view(bytes));
  tr_blob_unref(bytes);
}

static void note(actor *a, const tr_turn *turn) {
  const tr_msg *msg = turn->msg;
  heard *h = keep(sizeof *h);
  copy(h->type, sizeof h->type, tr_name_view(msg->type));
  body_text(a->on->core, &msg->body, h->body, sizeof h->body);
  copy(h->topic, sizeof h->topic, tr_name_view(msg->target_type));
  copy(h->key, sizeof h->key, tr_name_view(turn->agent->key));
  copy(h->sender, sizeof h->sender, tr_name_view(msg->sender_type));
  h->request = msg->kind == TR_MSG_REQUEST;
  *a->end = h;
  a->end = &h->next;
  a->count++;
}

static int actor_make(void *ud, tr_agent *agent, tr_error *error) {
  (void)ud;
  (void)agent;
  (void)error;
  return 0;
}

static int actor_run(void *ud, tr_turn *turn) {
  actor *a = ud;
  if (!turn->started) note(a, turn);
  if (a->act) {
    a->act(a, turn);
    answer *got = turn->user;
    if (got && !got->done) return TR_RUN_WAIT;
  } else if (turn->msg->kind == TR_MSG_REQUEST) {
    char body[256];
    body_text(a->on->core, &turn->msg->body, body, sizeof body);
    actor_reply(turn, "Echo", body);
  }
  return TR_RUN_DONE;
}

static void actor_cancel(void *ud, tr_turn *turn) {
  answer *got = turn->user;
  ((actor *)ud)->cancels++;
  if (got && got->call && !got->done) tr_call_cancel(got->call);
  turn->user = NULL;
}
static void actor_drop(void *ud, tr_agent *agent) {
  (void)ud;
  (void)agent;
}
static const tr_class_ops actor_ops = { actor_make, actor_run, actor_cancel, actor_drop, NULL, NULL };

static actor *actor_make_class(proc *p, const char *type, const char *topic, void (*act)(actor *a, tr_turn *turn), bool shared) {
  actor *a = keep(sizeof *a);
  tr_error error;
  tr_error_init(&error);
  a->on = p;
  a->act = act;
  a->end = &a->first;
  snprintf(a->name, sizeof a->name, "%s", type);
  tr_class_options options = { .type = tr_slice_of(type), .ops = &actor_ops, .ud = a, .mailbox_limit = 100000, .shared = shared };
  if (tr_core_add_class(p->core, &options, &a->class_, &error)) return NULL;
  tr_local_sub_options sub = { .kind = TR_SUB_TYPE, .topic = tr_slice_of(topic) };
  if (topic && tr_class_subscribe(a->class_, &sub, NULL, &error)) return NULL;
  return a;
}

static tr_blob *blob_of(tr_core *core, const char *json) { return tr_blob_copy(tr_core_mem(core), tr_slice_of(json)); }

void actor_reply(tr_turn *turn, const char *type, const char *json) {
  tr_core *core = tr_turn_core(turn);
  tr_name *name = tr_name_new(tr_core_names(core), tr_slice_of(type));
  tr_body body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = blob_of(core, json) };
  if (!body.bytes || !name) {
    tr_blob_unref(body.bytes);
    tr_turn_fail(turn, TR_EMEMORY, "out of memory");
  } else {
    tr_turn_reply(turn, name, &body);
  }
  tr_name_unref(name);
}

static void on_answer(void *ud, tr_call *call, tr_reply *reply) {
  answer *got = ud;
  (void)call;
  got->done = true;
  got->code = reply->code;
  copy(got->error, sizeof got->error, reply->error);
  copy(got->type, sizeof got->type, tr_name_view(reply->type));
  if (reply->body.kind == TR_BODY_BYTES) copy(got->body, sizeof got->body, tr_blob_view(reply->body.bytes));
  else snprintf(got->body, sizeof got->body, "%s", reply->code ? "" : "null");
}

static void on_turn_answer(void *ud, tr_call *call, tr_reply *reply) {
  tr_turn *turn = ud;
  on_answer(turn->user, call, reply);
  tr_turn_wake(turn);
}

tr_msg *message(tr_core *core, tr_msg_kind kind, const char *target, const char *key, const char *type, const char *json) {
  tr_msg *msg = tr_msg_new(core, kind);
  if (!msg) return NULL;
  msg->type = tr_name_new(tr_core_names(core), tr_slice_of(type));
  msg->target_type = tr_name_new(tr_core_names(core), tr_slice_of(target));
  msg->target_key = tr_name_new(tr_core_names(core), tr_slice_of(key));
  msg->body.bytes = blob_of(core, json);
  if (msg->body.bytes) msg->body.kind = TR_BODY_BYTES;
  if (msg->type && msg->target_type && msg->target_key && msg->body.bytes) return msg;
  tr_msg_unref(msg);
  return NULL;
}

void actor_call(tr_turn *turn, const char *target_type, const char *type, const char *json) {
  tr_msg *msg = message(tr_turn_core(turn), TR_MSG_REQUEST, target_type, "default", type, json);
  answer *got = turn->user = keep(sizeof(answer));
  got->call = msg ? tr_turn_call(turn, msg, on_turn_answer, turn) : NULL;
  if (got->call) return;
  got->done = true;
  got->code = TR_EMEMORY;
}

actor *actor_new(proc *p, const char *type, const char *topic, void (*act)(actor *a, tr_turn *turn)) {
  return actor_make_class(p, type, topic, act, false);
}
actor *actor_shared(proc *p, const char *type, const char *topic) { return actor_make_class(p, type, topic, NULL, true); }

void publish(proc *p, const char *topic, const char *type, const char *json) {
  tr_msg *msg = message(p->core, TR_MSG_EVENT, topic, "default", type, json);
  if (msg) tr_core_post(p->core, msg);
}

answer *ask_key(proc *p, const char *target, const char *key, const char *json) {
  answer *got = keep(sizeof *got);
  tr_msg *msg = message(p->core, TR_MSG_REQUEST, target, key, "Ask", json);
  got->call = msg ? tr_core_call(p->core, msg, on_answer, got) : NULL;
  if (!got->call) {
    got->done = true;
    got->code = TR_EMEMORY;
  }
  return got;
}

answer *ask(proc *p, const char *target, const char *type, const char *json, tr_time timeout) {
  answer *got = keep(sizeof *got);
  tr_msg *msg = message(p->core, TR_MSG_REQUEST, target, "default", type, json);
  if (msg && timeout != TR_NEVER) msg->deadline = p->on->now + timeout;
  got->call = msg ? tr_core_call(p->core, msg, on_answer, got) : NULL;
  if (!got->call) {
    got->done = true;
    got->code = TR_EMEMORY;
  }
  return got;
}
