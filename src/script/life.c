/* SPDX-License-Identifier: MIT
 * What becomes of an instance that fails too often, and of one that has nothing to do.
 *
 * Failures: the times of the last `failures.limit` ones stand in a ring; when the oldest of them is not longer ago
 * than `within`, the policy acts. Idleness: the instances of a class with `idle` stand in a list, the one that was
 * active longest ago first, and one timer a class looks at that one. It is saved first (saved.c); if that fails, or
 * there is no room, it stays in memory and the log says so. Then the core closes it, keeping mail that comes. */
#include "script/internal.h"

typedef struct tr_life { /* of an instance that needs one: there may be a million that do not */
  tr_instance *instance;
  tr_link idle;        /* in its class's list; next NULL: not there */
  tr_time active_at;   /* when it last did something */
  tr_time *fail_times; /* the last fail_cap failures, a ring */
  uint32_t fail_cap, fail_count;
  uint32_t failures;   /* all of them; */
  tr_time failed_at;   /* the last one: */
  char *failed;
} tr_life;

/* NULL: out of memory. */
static tr_life *life_of(tr_instance *instance) {
  tr_instance_more *more = tr_instance_get_more(instance);
  if (!more || more->life) return more ? more->life : NULL;
  more->life = TR_NEW(instance->class_->script->mem, tr_life);
  if (more->life) more->life->instance = instance;
  return more->life;
}

/* --- failures --- */

static bool too_often(tr_instance *instance, const tr_definition *def, tr_time now) {
  tr_mem *mem = instance->class_->script->mem;
  tr_life *life = life_of(instance);
  if (!life) return false;
  if (life->fail_cap != def->fail_limit) { /* the first, or the limit changed */
    tr_free(mem, life->fail_times, life->fail_cap * sizeof *life->fail_times);
    life->fail_times = tr_calloc(mem, def->fail_limit, sizeof *life->fail_times);
    life->fail_cap = life->fail_times ? def->fail_limit : 0;
    life->fail_count = 0;
    if (!life->fail_times) return false;
  }
  life->fail_times[life->fail_count++ % life->fail_cap] = now;
  if (life->fail_count < life->fail_cap) return false;
  if (now - life->fail_times[life->fail_count % life->fail_cap] > def->fail_within) return false;
  life->fail_count = 0;
  return true;
}

/* For consoles. */
static void note(tr_instance *instance, const tr_error *error) {
  tr_mem *mem = instance->class_->script->mem;
  tr_life *life = life_of(instance);
  char text[TR_ERROR_TEXT + 40];
  if (!life) return;
  int n = snprintf(text, sizeof text, "%s: %s", tr_error_name(error->code), error->text);
  if (life->failed) tr_free(mem, life->failed, strlen(life->failed) + 1);
  life->failed = tr_strndup(mem, text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
  life->failed_at = tr_core_now(instance->class_->script->core);
  life->failures++;
}

tr_failures tr_instance_failures(const tr_instance *instance) {
  const tr_life *life = instance->more->life;
  return life ? (tr_failures){ life->failures, life->failed_at, life->failed } : (tr_failures){ 0, 0, NULL };
}

void tr_instance_failed(tr_instance *instance, const tr_error *error) {
  static const char *const events[] = { "failures.many", "failures.restart", "failures.stop" };
  const tr_definition *def = instance->def;
  tr_core *core = instance->class_->script->core;
  char name[200], text[400];
  note(instance, error);
  if (def->fail_limit == 0 || tr_agent_is_closing(instance->agent)) return;
  if (!too_often(instance, def, tr_core_now(core))) return;
  double within = (double)def->fail_within / 1e6;
  tr_agent_name(instance->agent, name, sizeof name);
  tr_log_write(tr_core_log(core), TR_LOG_ERROR, events[def->fail_action], "agent=%s failures=%u within=%g error=\"%s: %s\"",
               name, def->fail_limit, within, tr_error_name(error->code), error->text);
  if (def->fail_action == TR_FAIL_RESTART) tr_agent_restart(core, instance->agent);
  if (def->fail_action != TR_FAIL_STOP) return;
  snprintf(text, sizeof text, "%.150s was stopped after %u failures within %g s; the last: %.150s", name, def->fail_limit,
           within, error->text);
  tr_agent_halt(core, instance->agent, text);
}

/* --- idleness --- */

static void look(tr_timer *timer);

static void watch(tr_script_class *class_) {
  if (tr_list_empty(&class_->idle) || tr_timer_running(&class_->idle_timer) || !class_->def->idle) return;
  const tr_life *first = TR_CONTAINER(class_->idle.next, tr_life, idle);
  tr_timer_start(tr_core_timers(class_->script->core), &class_->idle_timer, first->active_at + class_->def->idle, look);
}

void tr_instance_touch(tr_instance *instance) {
  tr_script_class *class_ = instance->class_;
  tr_life *life = life_of(instance);
  if (!life) return; /* it stays in memory until it does something again */
  if (life->idle.next) tr_link_remove(&life->idle);
  life->active_at = tr_core_now(class_->script->core);
  tr_list_push(&class_->idle, &life->idle);
  watch(class_);
}

void tr_instance_forget(tr_instance *instance) {
  tr_mem *mem = instance->class_->script->mem;
  tr_instance_more *more = instance->more;
  tr_life *life = more->life;
  if (more == &instance->class_->script->no_more) return;
  if (life) {
    if (life->idle.next) tr_link_remove(&life->idle);
    tr_free(mem, life->fail_times, life->fail_cap * sizeof *life->fail_times);
    if (life->failed) tr_free(mem, life->failed, strlen(life->failed) + 1);
    TR_DELETE(mem, life);
  }
  tr_link_remove(&more->late);
  if (more->before_ref && lua_checkstack(instance->class_->script->L, 4))
    luaL_unref(instance->class_->script->L, LUA_REGISTRYINDEX, more->before_ref);
  if (more->before) {
    tr_buf_fini(more->before);
    TR_DELETE(mem, more->before);
  }
  TR_DELETE(mem, more);
  instance->more = &instance->class_->script->no_more;
}

static bool busy(const tr_instance *instance) {
  const tr_agent *agent = instance->agent;
  return agent->turn || tr_agent_mail_count(agent) > 0 || tr_agent_is_closing(agent) || tr_canary_needs(instance) ||
         instance->more->timer_count > instance->def->tick_count; /* what ctx:after began must not be lost */
}

typedef struct keeping { tr_instance *instance; tr_slice id; } keeping;

static int keep_shard(void *ud, tr_slice name, tr_slice bytes) {
  const keeping *self = ud;
  return tr_shard_put(self->instance->class_->script, self->id, name, self->instance->def->version, bytes);
}

/* What is in memory goes beside the state; where that fails nothing of it may stay there. */
static int keep_shards(tr_instance *instance, tr_slice id, tr_error *error) {
  keeping self = { instance, id };
  return tr_shards_save(instance, keep_shard, &self, error) ? tr_error_set(error, TR_EMEMORY, "the parts of its state could not be kept") : 0;
}

static int keep(tr_instance *instance, tr_slice id) {
  tr_script *script = tr_script_home(instance->class_->script);
  tr_error error;
  tr_buf bytes;
  tr_error_init(&error);
  tr_buf_init(&bytes, script->mem);
  int rc = tr_instance_save(instance, &bytes, &error);
  if (!rc && script->saved_bytes + bytes.len > script->saved_limit)
    rc = tr_error_set(&error, TR_EOVERLOADED, "%zu bytes of states are kept already", script->saved_bytes);
  if (!rc && tr_saved_put(script, id, instance->def->version, tr_buf_view(&bytes)))
    rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  tr_buf_fini(&bytes);
  if (!rc && (rc = keep_shards(instance, id, &error)) != 0) tr_saved_remove(script, id);
  if (!rc) tr_script_class_restores(instance->class_);
  else if (!instance->save_failed)
    tr_log_write(tr_core_log(script->core), TR_LOG_ERROR, "save.failed", "agent=%.*s error=\"%s: %s\" (it stays in memory)",
                 TR_SLICE_ARG(id), tr_error_name(error.code), error.text);
  instance->save_failed = rc != 0;
  return rc && error.code == TR_ELIMIT ? TR_ELIMIT : rc;
}

/* A save that met a limit is not tried again before its agent has done something: each try would hold up all others. */
static void put_out(tr_instance *instance) {
  char id[2 * 4096 + 2];
  tr_agent_name(instance->agent, id, sizeof id);
  int rc = instance->has_self && instance->def->pool <= 1 ? keep(instance, tr_slice_of(id)) : 0;
  if (rc && rc != TR_ELIMIT) {
    tr_instance_touch(instance);
    return;
  }
  tr_link_remove(&instance->more->life->idle);
  instance->more->life->idle.next = NULL;
  if (rc) return;
  tr_agent_close(instance->class_->script->core, instance->agent, TR_CLOSE_IDLE);
}

static void look(tr_timer *timer) {
  tr_script_class *class_ = TR_CONTAINER(timer, tr_script_class, idle_timer);
  tr_time now = tr_core_now(class_->script->core);
  while (!tr_list_empty(&class_->idle) && class_->def->idle) {
    tr_life *first = TR_CONTAINER(class_->idle.next, tr_life, idle);
    if (first->active_at + class_->def->idle > now) break;
    if (busy(first->instance)) tr_instance_touch(first->instance);
    else put_out(first->instance);
  }
  watch(class_);
}
