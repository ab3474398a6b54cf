/* SPDX-License-Identifier: MIT
 * Instances at a reload: their states go to the version of the next code, or all stay what they were.
 *
 * An idle instance is migrated on itself, with a clone kept to go back to until the reload is taken; in a trial it is the copy that is
 * migrated. Then, when nothing can fail any more, it settles: new methods, defaults, timers. One with an open turn is left alone; it
 * comes to its code when that has ended (late.c). What is special where a canary is undone: canary.c. */
#include "script/reloading.h"

#define GARBAGE_MOST (32u << 20)

typedef tr_reloading plan;
typedef tr_pair pair;

static bool is_idle(tr_agent *agent) { return agent->user && !agent->turn && ((tr_instance *)agent->user)->has_self; }

/* { [self] = clone }: to go back to */
static void keep_backup(lua_State *L, const plan *p, int self) {
  tr_push_ref(L, p->backups_ref);
  lua_pushvalue(L, self);
  lua_pushvalue(L, self);
  tr_clone_top(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* What stands in for `self`, on the top, where nothing is to come of it: tables that others hold too stay what they are. */
static void push_copy(lua_State *L, const tr_instance *instance, int at) {
  tr_clone_top(L);
  tr_instance_set_methods(L, instance->def);
  if (instance->def->shard_count) tr_shards_own(L, at);
}

tr_definition *tr_reloading_target(const plan *p, const pair *self, const tr_agent *agent) {
  if (self->fresh || p->reach == TR_FOR_ALL) return self->def;
  if (p->reach == TR_FOR_NONE) return self->class_->def;
  return tr_canary_has(&p->next, tr_slice_of(self->def->type), tr_name_view(agent->key)) ? self->def : self->class_->def;
}

static void migrate_agent(lua_State *L, plan *p, const pair *self, tr_agent *agent, const tr_definition *def) {
  tr_instance *instance = agent->user;
  int top = lua_gettop(L);
  tr_error error;
  tr_error_init(&error);
  tr_instance_push(L, self->class_, agent);
  lua_getiuservalue(L, -1, 1);
  if (p->trial) push_copy(L, instance, top + 1);
  else keep_backup(L, p, top + 2);
  tr_push_ref(L, def->migrate_ref);
  lua_pushvalue(L, top + 2);
  lua_pushinteger(L, instance->def->version);
  p->script->owner = instance->account;
  int n = tr_metered_call(L, 2, "migrating", def->instructions, &error);
  p->script->owner = p->script->base_owner;
  if (n < 0) {
    char name[200];
    tr_agent_name(agent, name, sizeof name);
    tr_error_set(p->error, error.code, "%s: migrating %s from version %lld to %lld: %s", self->file->name, name,
                 (long long)instance->def->version, (long long)def->version, error.text);
  }
  lua_settop(L, top);
}

static int no_migrate(const plan *p, const pair *self, const tr_definition *old) {
  return tr_error_set(p->error, TR_EINVALID,
                      "%s: the version of `%s` changed from %lld to %lld, and there is no `migrate`", self->file->name,
                      self->def->type, (long long)old->version, (long long)self->def->version);
}

/* Not only where the type's version changed: one instance may have stayed on an older one. */
static int migrate_class(lua_State *L, plan *p, const pair *self) {
  bool can = self->def->migrate_ref != LUA_NOREF;
  if (p->reach != TR_FOR_NONE && self->class_->def->version != self->def->version && !can) return no_migrate(p, self, self->class_->def);
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(self->class_->core_class, agent));) {
    const tr_instance *instance = agent->user;
    const tr_definition *def = tr_reloading_target(p, self, agent);
    if (!is_idle(agent) || instance->def->version == def->version || def->own) continue; /* own.c: soon after */
    if (def->migrate_ref == LUA_NOREF) {
      if (def == self->def) return no_migrate(p, self, instance->def);
      continue; /* out of a canary: it is told when it settles */
    }
    migrate_agent(L, p, self, agent, def);
    if (p->script->used > p->used_most && p->held_gc) lua_gc(L, LUA_GCRESTART);
    if (p->error->code) return p->error->code;
  }
  return 0;
}

static int migrate_all(lua_State *L, void *ud) {
  plan *p = ud;
  int rc = 0;
  tr_need_stack(L, 20);
  lua_newtable(L);
  p->backups_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  p->used_most = p->script->used + p->script->used / 2 + GARBAGE_MOST;
  p->held_gc = lua_gc(L, LUA_GCISRUNNING); /* a program that gave agents as tables may have stopped it */
  lua_gc(L, LUA_GCSTOP); /* nearly all that is made here stays to the end of the reload, and all agents wait for that */
  for (size_t i = 0; i < p->pair_count && !rc; i++)
    if (p->pairs[i].class_) rc = migrate_class(L, p, &p->pairs[i]);
  return rc;
}

int tr_reloading_migrate(plan *p) { return tr_script_protect(p->script, migrate_all, p, p->error); }

/* Put the clones' content back. */
static int restore_all(lua_State *L, void *ud) {
  const plan *p = ud;
  tr_need_stack(L, 12);
  tr_push_ref(L, p->backups_ref);
  for (lua_pushnil(L); lua_next(L, -2); lua_settop(L, 2)) tr_table_become(L, 2, 3); /* self, clone */
  return 0;
}

void tr_reloading_restore(const plan *p) {
  if (p->backups_ref != LUA_NOREF) tr_script_protect(p->script, restore_all, (void *)p, NULL);
}

void tr_reloading_rest(plan *p) {
  lua_State *L = p->script->L;
  if (p->held_gc) lua_gc(L, LUA_GCRESTART);
  p->held_gc = false;
  if (lua_checkstack(L, 4)) luaL_unref(L, LUA_REGISTRYINDEX, p->backups_ref);
  p->backups_ref = LUA_NOREF;
}

/* --- what cannot fail --- */

typedef struct settling { plan *p; pair *pair; } settling;

/* [instance, self], which was of version `from`: kept for the way back, or brought back. */
static void cross_canary(lua_State *L, const plan *p, const pair *self, tr_instance *instance, lua_Integer from) {
  const tr_definition *def = instance->def;
  if (def == self->def) {
    tr_push_ref(L, p->backups_ref);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    if (lua_istable(L, -1)) tr_canary_keep(L, instance, def);
    lua_settop(L, 2);
  } else if (from != def->version && def->migrate_ref == LUA_NOREF) {
    instance->anew = !tr_canary_take_back(L, instance, 1);
  }
}

/* Idle instances come to their definition at once: those with another version were migrated just now. */
static int settle(lua_State *L, void *ud) {
  const settling *call = ud;
  const pair *self = call->pair;
  tr_need_stack(L, 16);
  if (self->def->own) return 0; /* they run it in states of their own (late.c) */
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(self->class_->core_class, agent));) {
    tr_instance *instance = agent->user;
    tr_definition *def = tr_reloading_target(call->p, self, agent);
    if (!is_idle(agent) || instance->def == def) continue;
    lua_Integer from = instance->def->version;
    lua_settop(L, 0);
    tr_instance_push(L, self->class_, agent);
    lua_getiuservalue(L, -1, 1);
    if (instance->def->shard_count) tr_shards_adopt(L, instance, def);
    tr_instance_set_def(instance, def); /* before what may raise: it must not be migrated twice */
    if (call->p->reach != TR_FOR_ALL) cross_canary(L, call->p, self, instance, from);
    tr_instance_defaults(L, instance, def);
    tr_instance_set_methods(L, def);
    if (def->shard_count) tr_shards_own(L, 1);
    lua_settop(L, 0);
  }
  return 0;
}

/* Nothing is known of what they were before the canary. */
static void begin_anew(const plan *p, const pair *self) {
  char name[200];
  for (tr_agent *agent = NULL, *next = tr_class_next_agent(self->class_->core_class, NULL); (agent = next);) {
    const tr_instance *instance = agent->user;
    next = tr_class_next_agent(self->class_->core_class, agent);
    if (!instance || !instance->anew) continue;
    tr_agent_name(agent, name, sizeof name);
    tr_log_write(tr_core_log(p->script->core), TR_LOG_WARN, "canary.anew",
                 "agent=%s (it was made by the canary, and the code that serves cannot migrate its state)", name);
    tr_agent_restart(p->script->core, agent);
  }
}

void tr_reloading_settle(plan *p, pair *self) {
  settling call = { p, self };
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(self->class_->core_class, agent));) {
    tr_instance *instance = agent->user;
    if (!instance) continue;
    const tr_definition *def = tr_reloading_target(p, self, agent);
    if (instance->def != def || p->reach == TR_FOR_ALL) instance->pinned = false;
    tr_script_timers_sync(instance, def);
    tr_instance_left_behind(instance, def);
  }
  if (tr_script_protect(p->script, settle, &call, NULL))
    tr_log_write(tr_core_log(p->script->core), TR_LOG_WARN, "reload.late",
                 "agent_type=%s (its instances follow at their next message)", self->def->type);
  if (p->reach != TR_FOR_ALL) begin_anew(p, self);
  tr_class_trim(self->class_);
}
