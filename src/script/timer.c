/* SPDX-License-Identifier: MIT
 * Timers of an instance: those its definition declares, and ctx:after and ctx:every. Each sends a message to its own
 * instance.
 *
 * Restored timers run before their instance is in memory (a *sleeper* holds them by its id), and it is their message
 * that brings it there; the instance takes them over when it is made.
 *
 * A tick that comes while the one before it still lies in the mailbox is merged with it; after a long pause one tick
 * comes, not many. A timer holds a reference to its last message to see that. */
#include "codec/native.h"
#include "codec/value.h"
#include "core/id.h"
#include "script/internal.h"

#define TIMERS_MAX TR_TIMERS_MAX

typedef struct script_timer {
  tr_timer timer;
  tr_link link;
  tr_instance *instance; /* NULL: not in memory */
  struct tr_sleeper *sleeper;
  uint64_t id;
  tr_name *type;
  tr_time period;
  tr_body body;
  bool declared;
  tr_msg *last;
} script_timer;

typedef struct tr_sleeper { /* the timers of an instance that is not in memory */
  tr_script *script;
  tr_name *type, *key;
  tr_link timers;
  unsigned count;
  size_t id_size;
  char id[]; /* "type/key" */
} tr_sleeper;

static tr_script *script_of(const script_timer *self) {
  return self->instance ? self->instance->class_->script : self->sleeper->script;
}

static void sleeper_free(tr_sleeper *sleeper) {
  tr_script *script = sleeper->script;
  tr_map_remove(&script->sleepers, tr_slice_make(sleeper->id, sleeper->id_size));
  tr_name_unref(sleeper->type);
  tr_name_unref(sleeper->key);
  tr_free(script->mem, sleeper, sizeof *sleeper + sleeper->id_size);
}

static void destroy(script_timer *self) {
  tr_script *script = script_of(self);
  tr_timer_stop(tr_core_timers(script->core), &self->timer);
  tr_link_remove(&self->link);
  if (self->instance) self->instance->more->timer_count--;
  else if (--self->sleeper->count == 0) sleeper_free(self->sleeper);
  if (self->last) tr_msg_unref(self->last);
  tr_name_unref(self->type);
  tr_body_release(script->core, &self->body);
  TR_DELETE(script->mem, self);
}

static void send(script_timer *self) {
  tr_script *script = script_of(self);
  tr_msg *msg = tr_msg_new(script->core, TR_MSG_SEND);
  if (!msg) return; /* a lost tick: the next one comes */
  msg->type = tr_name_ref(self->type);
  msg->target_type = tr_name_ref(self->instance ? tr_class_type(self->instance->agent->class_) : self->sleeper->type);
  msg->target_key = tr_name_ref(self->instance ? self->instance->agent->key : self->sleeper->key);
  msg->troupe_peer = msg->own = true;
  if (self->period == 0) {
    msg->body = self->body;
    self->body.kind = TR_BODY_NONE;
  } else {
    msg->body = self->body;
    if (msg->body.kind == TR_BODY_SLOT) msg->body.slot = tr_core_body_ops(script->core)->copy(tr_script_home(script), self->body.slot);
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

static script_timer *timer_new(tr_script *script, tr_name *type, tr_time period, bool declared, tr_body *body) {
  script_timer *self = TR_NEW(script->mem, script_timer);
  if (!self) return NULL;
  self->type = tr_name_ref(type);
  self->period = period;
  self->declared = declared;
  self->body = *body;
  body->kind = TR_BODY_NONE;
  return self;
}

static void attach(script_timer *self, tr_instance *instance, tr_instance_more *more) {
  self->instance = instance;
  self->sleeper = NULL;
  tr_list_push(&more->timers, &self->link);
  more->timer_count++;
}

void tr_script_timers_each(const tr_instance *instance, tr_timer_each_fn fn, void *ud) {
  tr_time now = tr_core_now(instance->class_->script->core);
  for (const tr_link *link = instance->more->timers.next; link != &instance->more->timers; link = link->next) {
    const script_timer *self = TR_CONTAINER(link, script_timer, link);
    fn(ud, self->type, self->timer.when > now ? self->timer.when - now : 0, self->period);
  }
}

int tr_script_timer_start(tr_instance *instance, tr_name *type, tr_time first, tr_time period, bool declared,
                          tr_body *body, uint64_t *id) {
  tr_script *script = instance->class_->script;
  bool room = declared || instance->more->timer_count < instance->def->timer_limit;
  tr_instance_more *more = room ? tr_instance_get_more(instance) : NULL;
  script_timer *self = more ? timer_new(script, type, period, declared, body) : NULL;
  if (!self) {
    tr_body_release(script->core, body);
    return room ? TR_EMEMORY : TR_EOVERLOADED;
  }
  self->id = ++tr_script_home(script)->next_timer;
  attach(self, instance, more);
  tr_timer_start(tr_core_timers(script->core), &self->timer, first, fired);
  if (id) *id = self->id;
  return 0;
}

bool tr_script_timer_cancel(tr_instance *instance, uint64_t id) {
  for (tr_link *link = instance->more->timers.next; link != &instance->more->timers; link = link->next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    if (self->id != id || self->declared) continue;
    destroy(self);
    return true;
  }
  return false;
}

static script_timer *find_declared(const tr_instance *instance, const tr_name *type) {
  for (tr_link *link = instance->more->timers.next; link != &instance->more->timers; link = link->next) {
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
  for (tr_link *link = instance->more->timers.next, *next; link != &instance->more->timers; link = next) {
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
  while (!tr_list_empty(&instance->more->timers)) destroy(TR_CONTAINER(instance->more->timers.next, script_timer, link));
}

/* --- saved and restored --- */

static int put(const tr_sink *sink, const char *key, int64_t value) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->integer(sink->ud, value);
}

static int encode(script_timer *self, tr_buf *out, tr_error *error) {
  tr_script *script = script_of(self);
  tr_native_writer writer;
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  int rc = sink.begin_map(sink.ud, TR_SIZE_UNKNOWN);
  if (!rc) rc = put(&sink, "id", (int64_t)self->id);
  if (!rc) rc = put(&sink, "rest", self->timer.when - tr_core_now(script->core));
  if (!rc) rc = put(&sink, "period", self->period);
  if (!rc) rc = put(&sink, "declared", self->declared);
  if (!rc) rc = sink.key(sink.ud, TR_SLICE_LITERAL("type"));
  if (!rc) rc = sink.string(sink.ud, tr_name_view(self->type));
  if (!rc) rc = sink.key(sink.ud, TR_SLICE_LITERAL("body"));
  if (!rc) rc = tr_script_walk(script, &self->body, &sink, error);
  if (!rc) rc = sink.end_map(sink.ud);
  return !rc && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

static int save_list(const tr_link *list, tr_slice id, const tr_state_out *out) {
  int rc = 0;
  for (tr_link *link = list->next; !rc && link != list; link = link->next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    tr_buf bytes;
    tr_error error;
    tr_error_init(&error);
    tr_buf_init(&bytes, script_of(self)->mem);
    rc = encode(self, &bytes, &error) ? out->failed(out->ud, id, &error)
                                      : out->record(out->ud, "timer", id, (tr_slice){ NULL, 0 }, 1, tr_buf_view(&bytes));
    tr_buf_fini(&bytes);
  }
  return rc;
}

int tr_script_timers_save(const tr_instance *instance, tr_slice id, const tr_state_out *out) {
  return save_list(&instance->more->timers, id, out);
}

int tr_sleepers_save(tr_script *script, const tr_state_out *out) {
  size_t at = 0;
  tr_slice id;
  void *value;
  int rc = 0;
  while (!rc && tr_map_next(&script->sleepers, &at, &id, &value))
    if (!out->wanted || out->wanted(out->ud, id)) rc = save_list(&((const tr_sleeper *)value)->timers, id, out);
  return rc;
}

int tr_sleeper_save(tr_script *script, tr_slice id, const tr_state_out *out) {
  const tr_sleeper *sleeper = script->sleepers.count ? tr_map_get(&script->sleepers, id) : NULL;
  return sleeper ? save_list(&sleeper->timers, id, out) : 0;
}

void tr_sleepers_wake(tr_instance *instance) {
  char id[2 * 4096 + 2];
  tr_script *script = tr_script_home(instance->class_->script);
  tr_agent_name(instance->agent, id, sizeof id);
  tr_sleeper *sleeper = tr_map_get(&script->sleepers, tr_slice_of(id));
  tr_instance_more *more = sleeper ? tr_instance_get_more(instance) : NULL;
  if (!more) return; /* without memory they sleep on, and fire all the same */
  for (tr_link *link; (link = tr_list_pop(&sleeper->timers));) attach(TR_CONTAINER(link, script_timer, link), instance, more);
  sleeper_free(sleeper);
}

static void sleeper_end(tr_sleeper *sleeper) {
  for (unsigned n = sleeper->count; n > 0; n--) destroy(TR_CONTAINER(sleeper->timers.next, script_timer, link));
}

void tr_sleepers_remove(tr_script *script, tr_slice id) {
  tr_sleeper *sleeper = script->sleepers.count ? tr_map_get(&script->sleepers, id) : NULL;
  if (sleeper) sleeper_end(sleeper);
}

void tr_sleepers_fini(tr_script *script) {
  size_t at = 0;
  tr_slice id;
  void *value;
  while (tr_map_next(&script->sleepers, &at, &id, &value)) sleeper_end(value);
  tr_map_fini(&script->sleepers);
}

static tr_sleeper *sleeper_of(tr_script *script, tr_slice id) {
  tr_agent_id parsed;
  tr_sleeper *sleeper = tr_map_get(&script->sleepers, id);
  if (sleeper || tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, NULL)) return sleeper;
  sleeper = tr_calloc(script->mem, 1, sizeof *sleeper + id.n);
  if (!sleeper) return NULL;
  sleeper->script = script;
  sleeper->id_size = id.n;
  memcpy(sleeper->id, id.p, id.n);
  tr_list_init(&sleeper->timers);
  sleeper->type = tr_name_new(tr_core_names(script->core), parsed.type);
  sleeper->key = tr_name_new(tr_core_names(script->core), parsed.key);
  if (sleeper->type && sleeper->key && !tr_map_put(&script->sleepers, tr_slice_make(sleeper->id, id.n), sleeper, NULL))
    return sleeper;
  tr_name_unref(sleeper->type);
  tr_name_unref(sleeper->key);
  tr_free(script->mem, sleeper, sizeof *sleeper + id.n);
  return NULL;
}

void tr_sleepers_return(tr_instance *instance) {
  char id[2 * 4096 + 2];
  tr_script *script = tr_script_home(instance->class_->script);
  tr_agent_name(instance->agent, id, sizeof id);
  if (!tr_saved_find(script, tr_slice_of(id))) return;
  for (tr_link *link = instance->more->timers.next, *next; link != &instance->more->timers; link = next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    next = link->next;
    tr_sleeper *sleeper = self->declared ? NULL : sleeper_of(script, tr_slice_of(id));
    if (!sleeper) continue;
    tr_link_remove(&self->link);
    instance->more->timer_count--;
    self->instance = NULL;
    self->sleeper = sleeper;
    tr_list_push(&sleeper->timers, &self->link);
    sleeper->count++;
  }
}

static int64_t number(const tr_value *map, const char *key) {
  int64_t value = 0;
  const tr_value *found = tr_value_get(map, tr_slice_of(key));
  if (found) tr_value_as_integer(found, &value);
  return value;
}

static tr_time bounded(int64_t time) {
  const tr_time most = TR_SECONDS(2e9);
  return time > most ? most : time < -most ? -most : time;
}

/* Those that the instance, or the sleeper, has with this number or as this declared timer. */
static void replace(tr_link *list, const script_timer *by) {
  for (tr_link *link = list->next, *next; link != list; link = next) {
    script_timer *self = TR_CONTAINER(link, script_timer, link);
    next = link->next;
    if (self == by || (self->id != by->id && !(self->declared && by->declared && self->type == by->type))) continue;
    bool last = !self->instance && self->sleeper->count == 1;
    destroy(self);
    if (last) return;
  }
}

static int begin(tr_script *script, tr_slice id, const tr_value *map, tr_time passed, tr_error *error) {
  tr_slice text;
  tr_body body = { .kind = TR_BODY_NONE };
  tr_time now = tr_core_now(script->core), rest = bounded(number(map, "rest")) - passed, period = bounded(number(map, "period"));
  const tr_value *type = tr_value_get(map, TR_SLICE_LITERAL("type"));
  if (!type || !tr_value_as_string(type, &text) || period < 0) return tr_error_set(error, TR_EDATA_LOSS, "a timer that is none");
  int rc = tr_script_body(script, tr_value_get(map, TR_SLICE_LITERAL("body")), &body, error);
  tr_name *name = rc ? NULL : tr_name_new(tr_core_names(script->core), text);
  tr_sleeper *sleeper = name ? sleeper_of(script, id) : NULL;
  script_timer *self = sleeper && sleeper->count < TIMERS_MAX
                           ? timer_new(script, name, period, number(map, "declared") != 0, &body) : NULL;
  tr_name_unref(name);
  if (!self) {
    tr_body_release(script->core, &body);
    if (sleeper && sleeper->count == 0) sleeper_free(sleeper);
    return rc ? rc : tr_error_set(error, TR_EMEMORY, "out of memory, or too many timers");
  }
  self->id = (uint64_t)number(map, "id");
  if (self->id > script->next_timer) script->next_timer = self->id;
  self->sleeper = sleeper;
  tr_list_push(&sleeper->timers, &self->link);
  sleeper->count++;
  replace(&sleeper->timers, self);
  tr_timer_start(tr_core_timers(script->core), &self->timer, rest > 0 ? now + rest : now, fired);
  return 0;
}

int tr_script_timer_restore(tr_script *script, tr_slice id, tr_slice bytes, tr_time passed, tr_error *error) {
  tr_value *map = tr_script_value(script, bytes, error);
  if (!map) return error->code ? error->code : TR_EMEMORY;
  int rc = begin(script, id, map, passed, error);
  tr_value_free(map);
  tr_agent_id parsed;
  if (rc || tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &parsed, NULL)) return rc;
  const tr_script_class *class_ = tr_script_class_find(script, parsed.type);
  const tr_agent *agent = class_ ? tr_class_find(class_->core_class, parsed.key) : NULL;
  if (agent && agent->user) { /* it is in memory already */
    tr_instance *instance = agent->user;
    tr_sleepers_wake(instance);
    if (!tr_list_empty(&instance->more->timers)) replace(&instance->more->timers, TR_CONTAINER(instance->more->timers.prev, script_timer, link));
  }
  return 0;
}

void tr_sleepers_remove_type(tr_script *script, const char *type) {
  size_t at = 0;
  tr_slice id;
  void *value;
  while (tr_map_next(&script->sleepers, &at, &id, &value))
    if (strcmp(((const tr_sleeper *)value)->type->text, type) == 0) sleeper_end(value);
}
