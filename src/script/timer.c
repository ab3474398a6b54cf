/* SPDX-License-Identifier: MIT
 * Timers of an instance: those its definition declares, and ctx:after and ctx:every. Each sends a message to its own
 * instance.
 *
 * A tick that comes while the one before it still lies in the mailbox is merged with it; after a long pause one tick
 * comes, not many. A timer holds a reference to its last message to see that. */
#include "script/internal.h"

#define TIMERS_MAX 10000 /* an instance */

typedef struct script_timer {
  tr_timer timer;
  tr_link link;
  tr_instance *instance;
  uint64_t id;
  tr_name *type;
  tr_time period;
  tr_body body;
  bool declared;
  tr_msg *last;
} script_timer;

static tr_script *script_of(const script_timer *self) { return self->instance->class_->script; }

static void destroy(script_timer *self) {
  tr_script *script = script_of(self);
  tr_timer_stop(tr_core_timers(script->core), &self->timer);
  tr_link_remove(&self->link);
  self->instance->timer_count--;
  if (self->last) tr_msg_unref(self->last);
  tr_name_unref(self->type);
  tr_body_release(script->core, &self->body);
  TR_DELETE(script->mem, self);
}

static void send(script_timer *self) {
  tr_script *script = script_of(self);
  tr_agent *agent = self->instance->agent;
  tr_msg *msg = tr_msg_new(script->core, TR_MSG_SEND);
  if (!msg) return; /* a lost tick: the next one comes */
  msg->type = tr_name_ref(self->type);
  msg->target_type = tr_name_ref(tr_class_type(agent->class_));
  msg->target_key = tr_name_ref(agent->key);
  msg->troupe_peer = true;
  if (self->period == 0) {
    msg->body = self->body;
    self->body.kind = TR_BODY_NONE;
  } else {
    msg->body = self->body;
    if (msg->body.kind == TR_BODY_SLOT) msg->body.slot = tr_core_body_ops(script->core)->copy(script, self->body.slot);
    if (msg->body.kind == TR_BODY_SLOT && !msg->body.slot) {
      msg->body.kind = TR_BODY_NONE;
      tr_msg_unref(msg);
      return;
    }
    if (self->last) tr_msg_unref(self->last);
    self->last = tr_msg_ref(msg);
  }
  tr_core_post(script->core, msg);
}

static void fired(tr_timer *timer) {
  script_timer *self = TR_CONTAINER(timer, script_timer, timer);
  tr_core *core = script_of(self)->core;
  tr_time now = tr_core_now(core);
  bool merged = self->last && self->last->refs > 1;
  if (self->period > 0) {
    tr_time next = timer->when + self->period;
    if (next <= now) next += (now - next) / self->period * self->period + self->period;
    tr_timer_start(tr_core_timers(core), timer, next, fired);
    if (!merged) send(self);
    return;
  }
  send(self);
  destroy(self);
}

int tr_script_timer_start(tr_instance *instance, tr_name *type, tr_time first, tr_time period, bool declared,
                          tr_body *body, uint64_t *id) {
  tr_script *script = instance->class_->script;
  script_timer *self = instance->timer_count < TIMERS_MAX ? TR_NEW(script->mem, script_timer) : NULL;
  if (!self) {
    tr_body_release(script->core, body);
    return instance->timer_count < TIMERS_MAX ? TR_EMEMORY : TR_EOVERLOADED;
  }
  self->instance = instance;
  self->id = ++script->next_timer;
  self->type = tr_name_ref(type);
  self->period = period;
  self->declared = declared;
  self->body = *body;
  body->kind = TR_BODY_NONE;
  tr_list_push(&instance->timers, &self->link);
  instance->timer_count++;
  tr_timer_start(tr_core_timers(script->core), &self->timer, first, fired);
  if (id) *id = self->id;
  return 0;
}

bool tr_script_timer_cancel(tr_instance *instance, uint64_t id) {
  for (tr_link *link = instance->timers.next; link != &instance->timers; link = link->next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    if (self->id != id || self->declared) continue;
    destroy(self);
    return true;
  }
  return false;
}

static script_timer *find_declared(const tr_instance *instance, const tr_name *type) {
  for (tr_link *link = instance->timers.next; link != &instance->timers; link = link->next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    if (self->declared && self->type == type) return self;
  }
  return NULL;
}

static const tr_tick_spec *find_spec(const tr_definition *def, const tr_name *type) {
  for (size_t i = 0; i < def->tick_count; i++)
    if (def->ticks[i].type == type) return &def->ticks[i];
  return NULL;
}

void tr_script_timers_sync(tr_instance *instance, const tr_definition *def) {
  tr_core *core = instance->class_->script->core;
  tr_time now = tr_core_now(core);
  for (tr_link *link = instance->timers.next, *next; link != &instance->timers; link = next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    next = link->next;
    if (self->declared && !find_spec(def, self->type)) destroy(self);
  }
  for (size_t i = 0; i < def->tick_count; i++) {
    const tr_tick_spec *spec = &def->ticks[i];
    script_timer *self = find_declared(instance, spec->type);
    tr_body none = { .kind = TR_BODY_NONE };
    if (!self) {
      if (tr_script_timer_start(instance, spec->type, now + spec->period, spec->period, true, &none, NULL))
        tr_log_write(tr_core_log(core), TR_LOG_ERROR, "timer.failed", "type=%s error=\"out of memory\"",
                     spec->type->text);
    } else if (self->period != spec->period) {
      self->period = spec->period;
      tr_timer_start(tr_core_timers(core), &self->timer, now + spec->period, fired);
    }
  }
}

void tr_script_timers_stop(tr_instance *instance) {
  while (!tr_list_empty(&instance->timers)) destroy(TR_CONTAINER(instance->timers.next, script_timer, link));
}
