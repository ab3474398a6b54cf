/* SPDX-License-Identifier: MIT
 * See core_kit.h. Holds no cases. */
#include "core_kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

kit K;

static void wake(void *ud) {
  (void)ud;
  K.wakes++;
}

static void dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  (void)ud;
  (void)reason;
  K.dead_letters++;
  kit_say("dead %s %s", msg->type ? msg->type->text : "?", tr_error_name(code));
  if (K.on_dead_letter) K.on_dead_letter(msg, code);
}

static void release_slot(void *ud, uint32_t slot) {
  (void)ud;
  CHECK(slot > 0 && slot < 64 && K.slots[slot] != 0);
  K.slots[slot] = 0;
  K.live_slots--;
}

static uint32_t copy_slot(void *ud, uint32_t slot) {
  (void)ud;
  for (uint32_t i = 1; i < 64; i++)
    if (!K.slots[i]) {
      K.slots[i] = K.slots[slot];
      K.live_slots++;
      return i;
    }
  return 0;
}

static int encode_slot(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud;
  if (format != TR_FORMAT_JSON) return tr_error_set(error, TR_EINVALID, "only JSON here");
  tr_buf_printf(out, "%d", K.slots[slot]);
  return 0;
}

bool kit_open(void) {
  memset(&K, 0, sizeof K);
  K.now = TR_SECONDS(1000);
  tr_core_options options = { .mem = check_mem(), .seed = 42, .now = K.now, .hooks = { wake, dead_letter, NULL },
                              .body = { release_slot, copy_slot, encode_slot, NULL } };
  K.core = tr_core_new(&options);
  return K.core != NULL;
}

void kit_close(void) {
  tr_core_free(K.core);
  K.core = NULL;
  CHECK_INT(K.live_slots, ==, 0);
}

void kit_say(const char *format, ...) {
  va_list args;
  size_t length = strlen(K.log);
  va_start(args, format);
  vsnprintf(K.log + length, sizeof K.log - length, format, args);
  va_end(args);
  length = strlen(K.log);
  snprintf(K.log + length, sizeof K.log - length, "; ");
}

const char *kit_heard(void) {
  static char heard[sizeof K.log];
  memcpy(heard, K.log, sizeof heard);
  K.log[0] = 0;
  return heard;
}

/* ---- classes ---- */

static void cancel(void *ud, tr_turn *turn) {
  (void)ud;
  K.cancels++;
  kit_say("cancel %s/%s", tr_class_type(turn->agent->class_)->text, turn->agent->key->text);
}

static void drop(void *ud, tr_agent *agent) {
  (void)ud;
  K.drops++;
  kit_say("drop %s/%s", tr_class_type(agent->class_)->text, agent->key->text);
}

tr_class *kit_class(const char *type, kit_run_fn run, const kit_class_options *given) {
  static tr_class_ops ops[64];
  static int used;
  tr_class_ops *mine = &ops[used++ % 64];
  kit_class_options none = { 0 };
  tr_class *class_ = NULL;
  if (!given) given = &none;
  *mine = (tr_class_ops){ given->make, run, cancel, drop, NULL, NULL };
  tr_class_options options = { .type = tr_slice_of(type), .ops = mine, .mailbox_limit = given->limit ? given->limit : 1000,
                               .overflow = given->overflow, .reentrant = given->reentrant, .has_init = given->has_init,
                               .exclusive_init = given->exclusive_init, .direct_topics = given->direct_topics };
  int err = tr_core_add_class(K.core, &options, &class_, NULL);
  CHECK(err == 0 || (err == TR_EMEMORY && check_mem_refused()));
  return class_;
}

/* ---- messages ---- */

tr_msg *kit_msg(tr_msg_kind kind, const char *target, const char *type) {
  tr_names *names = tr_core_names(K.core);
  tr_agent_id id;
  tr_topic_id topic;
  tr_slice text = tr_slice_of(target), key = tr_slice_of("default");
  tr_msg *msg = tr_msg_new(K.core, kind);
  if (!msg) return NULL;
  if (kind == TR_MSG_EVENT) {
    CHECK_INT(tr_topic_id_parse(text, key, &topic, NULL), ==, 0);
    id = (tr_agent_id){ topic.type, topic.source };
  } else {
    CHECK_INT(tr_agent_id_parse(text, key, &id, NULL), ==, 0);
  }
  msg->type = tr_name_new(names, tr_slice_of(type));
  msg->target_type = tr_name_new(names, id.type);
  msg->target_key = tr_name_new(names, id.key);
  if (msg->type && msg->target_type && msg->target_key) return msg;
  tr_msg_unref(msg);
  return NULL;
}

static int post(tr_msg *msg) { return msg ? tr_core_post(K.core, msg) : TR_EMEMORY; }
int kit_send(const char *target, const char *type) { return post(kit_msg(TR_MSG_SEND, target, type)); }
int kit_publish(const char *topic, const char *type) { return post(kit_msg(TR_MSG_EVENT, topic, type)); }

void kit_said_reply(void *ud, tr_call *call, tr_reply *reply) {
  (void)call;
  const char *name = ud;
  if (reply->code) kit_say("%s=%s: %.*s", name, tr_error_name(reply->code), TR_SLICE_ARG(reply->error));
  else kit_say("%s=%s", name, reply->type ? reply->type->text : "null");
}

tr_call *kit_call_until(const char *target, const char *type, const char *name, tr_time deadline) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, target, type);
  if (!msg) return NULL;
  msg->deadline = deadline;
  return tr_core_call(K.core, msg, kit_said_reply, (void *)(uintptr_t)name);
}

tr_call *kit_call(const char *target, const char *type, const char *name) {
  return kit_call_until(target, type, name, TR_NEVER);
}

/* ---- in a turn ---- */

static int turn_post(tr_turn *turn, tr_msg *msg) { return msg ? tr_turn_post(turn, msg) : TR_EMEMORY; }
int kit_turn_send(tr_turn *turn, const char *target, const char *type) {
  return turn_post(turn, kit_msg(TR_MSG_SEND, target, type));
}
int kit_turn_publish(tr_turn *turn, const char *topic, const char *type) {
  return turn_post(turn, kit_msg(TR_MSG_EVENT, topic, type));
}

static void wake_turn(void *ud, tr_call *call, tr_reply *reply) {
  tr_turn *turn = ud;
  kit_said_reply(tr_class_type(turn->agent->class_)->text, call, reply);
  tr_turn_wake(turn);
}

tr_call *kit_turn_call(tr_turn *turn, const char *target, const char *type) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, target, type);
  return msg ? tr_turn_call(turn, msg, wake_turn, turn) : NULL;
}

void kit_turn_reply(tr_turn *turn, const char *type) {
  tr_body body = { .kind = TR_BODY_NULL };
  tr_name *name = tr_name_new(tr_core_names(K.core), tr_slice_of(type));
  tr_turn_reply(turn, name, &body);
  tr_name_unref(name);
}

tr_slice kit_type(const tr_turn *turn) {
  return turn->kind == TR_TURN_INIT ? tr_slice_of("init") : tr_name_view(turn->msg->type);
}

int kit_phase(tr_turn *turn) {
  int phase = (int)(intptr_t)turn->user;
  turn->user = (void *)(intptr_t)(phase + 1);
  return phase;
}

int kit_run_says(void *ud, tr_turn *turn) {
  (void)ud;
  bool request = turn->msg && turn->msg->kind == TR_MSG_REQUEST;
  kit_say("%s%s/%s:%.*s", request ? "+" : "", tr_class_type(turn->agent->class_)->text, turn->agent->key->text,
          TR_SLICE_ARG(kit_type(turn)));
  if (request) kit_turn_reply(turn, "Done");
  return TR_RUN_DONE;
}

int kit_run_waits(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  return kit_phase(turn) == 0 ? TR_RUN_WAIT : TR_RUN_DONE;
}

/* ---- time ---- */

void kit_step(void) { tr_core_step(K.core, K.now, 0); }

void kit_advance(tr_time duration) {
  tr_time end = K.now + duration;
  for (;;) {
    tr_time next = tr_core_next_deadline(K.core);
    if (next > end) break;
    if (next > K.now) K.now = next;
    kit_step();
  }
  K.now = end;
  kit_step();
}

tr_agent *kit_agent(const char *text) {
  tr_agent_id id;
  CHECK_INT(tr_agent_id_parse(tr_slice_of(text), tr_slice_of("default"), &id, NULL), ==, 0);
  tr_class *class_ = tr_core_find_class(K.core, id.type);
  return class_ ? tr_class_find(class_, id.key) : NULL;
}

tr_core_stats kit_stats(void) {
  tr_core_stats stats;
  tr_core_get_stats(K.core, &stats);
  return stats;
}

const char *kit_wanted(const char *text, int count) {
  static char wanted[sizeof K.log];
  wanted[0] = 0;
  for (int i = 0; i < count; i++) {
    size_t length = strlen(wanted);
    snprintf(wanted + length, sizeof wanted - length, "%s; ", text);
  }
  return wanted;
}
