/* SPDX-License-Identifier: MIT
 * Agent types and their instances, as the core asks for them.
 *
 * A tr_script_class is one agent type over all versions of its code; the definition it points to changes at a
 * reload. An instance is a Lua userdata, which is also the `ctx` of its handlers, with the table `self` as its user
 * value: one object instead of three, since there may be a million idle ones. It is made in the instance's first
 * turn rather than in ops->make, which may not raise.
 *
 * Each instance remembers the definition it is on and comes to the class' current one at the beginning of a turn, so
 * a turn that is open during a reload keeps its code, its methods and its shape of state to the end. Next: turn.c. */
#include "script/internal.h"

/* --- instances --- */

tr_instance *tr_instance_push(lua_State *L, tr_script_class *class_, tr_agent *agent) {
  tr_script *script = class_->script;
  tr_push_ref(L, script->instances_ref);
  if (agent->user) {
    lua_rawgeti(L, -1, agent->user_ref);
    lua_remove(L, -2);
    return agent->user;
  }
  tr_instance *instance = lua_newuserdatauv(L, sizeof *instance, 1);
  memset(instance, 0, sizeof *instance);
  instance->class_ = class_;
  instance->account = tr_account_new(script);
  instance->more = &script->no_more;
  tr_push_ref(L, script->ctx_ref);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  agent->user_ref = tr_slot_new(L, &script->instances, lua_gettop(L) - 2);
  agent->user = instance;
  instance->agent = agent;
  tr_instance_set_def(instance, tr_class_code(class_, agent));
  if (tr_script_home(script)->sleepers.count) tr_sleepers_wake(instance);
  tr_script_timers_sync(instance, instance->def);
  lua_remove(L, -2);
  return instance;
}

tr_instance_more *tr_instance_get_more(tr_instance *instance) {
  tr_script *script = instance->class_->script;
  if (instance->more != &script->no_more) return instance->more;
  tr_instance_more *more = TR_NEW(script->mem, tr_instance_more);
  if (!more) return NULL;
  tr_list_init(&more->timers);
  return instance->more = more;
}

void tr_instance_set_def(tr_instance *instance, tr_definition *def) {
  tr_definition *old = instance->def;
  def->refs++;
  def->instances++;
  instance->def = def;
  if (!old) return;
  old->instances--;
  tr_definition_unref(old);
}

/* The first name that is in both tables, or NULL. */
static const char *clash(lua_State *L, int self, int methods) {
  for (lua_pushnil(L); lua_next(L, self);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, methods) != LUA_TNIL && lua_type(L, -2) == LUA_TSTRING) {
      const char *name = lua_tostring(L, -2); /* a method's name too: it stays */
      lua_pop(L, 2);
      return name;
    }
    lua_pop(L, 1);
  }
  return NULL;
}

void tr_instance_set_methods(lua_State *L, const tr_definition *def) {
  if (def->meta_ref == LUA_NOREF) lua_pushnil(L);
  else tr_push_ref(L, def->meta_ref);
  lua_setmetatable(L, -2);
}

const char *tr_instance_set_self(lua_State *L, tr_instance *instance, int at) {
  const tr_definition *def = instance->def;
  at = lua_absindex(L, at);
  if (def->methods_ref != LUA_NOREF) {
    tr_push_ref(L, def->methods_ref);
    const char *name = clash(L, lua_gettop(L) - 1, lua_gettop(L));
    lua_pop(L, 1);
    if (name) {
      lua_pop(L, 1);
      return name;
    }
  }
  tr_instance_set_methods(L, def);
  if (def->shard_count) tr_shards_own(L, at);
  lua_setiuservalue(L, at, 1);
  instance->has_self = true;
  return NULL;
}

void tr_instance_make_self(lua_State *L, tr_instance *instance, int at) {
  const tr_definition *def = instance->def;
  at = lua_absindex(L, at);
  lua_createtable(L, 0, def->state_fields);
  if (def->state_ref != LUA_NOREF && !def->state_is_function) {
    tr_push_ref(L, def->state_ref);
    if (def->flat_state) {
      for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
      }
      lua_pop(L, 1);
    } else {
      tr_clone_top(L);
      lua_replace(L, -2);
    }
  }
  tr_instance_set_methods(L, def); /* a clash was found at load */
  if (def->shard_count) tr_shards_own(L, at);
  lua_setiuservalue(L, at, 1);
  instance->has_self = true;
}

void tr_instance_defaults(lua_State *L, tr_instance *instance, const tr_definition *def) {
  int self = lua_gettop(L);
  if (def->state_ref == LUA_NOREF || def->state_is_function) return;
  tr_push_ref(L, def->state_ref);
  for (lua_pushnil(L); lua_next(L, self + 1);) {
    tr_slice name = { lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "", 0 };
    name.n = strlen(name.p);
    lua_pushvalue(L, -2);
    if (lua_rawget(L, self) == LUA_TNIL && !tr_shard_is_away(L, instance, def, name)) {
      lua_pop(L, 1);
      tr_clone_top(L);
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, self);
    } else {
      lua_pop(L, 2);
    }
  }
  lua_settop(L, self);
}

static bool migrate(lua_State *L, tr_instance *instance, const tr_definition *def, int self) {
  tr_error error;
  tr_error_init(&error);
  tr_push_ref(L, def->migrate_ref);
  lua_pushvalue(L, self);
  lua_pushinteger(L, instance->def->version);
  int n = tr_metered_call(L, 2, "migrating", def->instructions, &error);
  if (n >= 0) {
    lua_pop(L, n);
    return true;
  }
  char name[160];
  tr_agent_name(instance->agent, name, sizeof name);
  tr_log_write(tr_core_log(instance->class_->script->core), TR_LOG_ERROR, "migrate.failed",
               "agent=%s from=%lld to=%lld error=\"%s: %s\" (it stays on the old version)", name,
               (long long)instance->def->version, (long long)def->version, tr_error_name(error.code), error.text);
  instance->pinned = true;
  const tr_script_options *home = &tr_script_home(instance->class_->script)->options;
  if (home->failed) home->failed(home->ud, def->number);
  tr_canary_failed(instance, def->number);
  return false;
}

/* Its state, on the top, comes to the version of this code, or it stays. */
static bool cross(lua_State *L, tr_instance *instance, const tr_definition *def, int at) {
  char name[160];
  if (instance->def->version == def->version) return true;
  tr_canary_keep(L, instance, def);
  if (def->migrate_ref != LUA_NOREF) return migrate(L, instance, def, lua_gettop(L));
  if (def->number > instance->def->number || tr_canary_take_back(L, instance, at)) return true;
  tr_agent_name(instance->agent, name, sizeof name);
  tr_log_write(tr_core_log(instance->class_->script->core), TR_LOG_WARN, "canary.anew",
               "agent=%s (it was made by the canary, and the code that serves cannot migrate its state)", name);
  tr_agent_restart(instance->class_->script->core, instance->agent);
  return false;
}

bool tr_instance_is_open(const tr_instance *instance) {
  for (const tr_turn *turn = instance->agent->turn; turn; turn = turn->below)
    if (turn->user) return true;
  return false;
}

void tr_instance_adopt(lua_State *L, tr_instance *instance, int at) {
  tr_definition *def = tr_class_code(instance->class_, instance->agent);
  int top = lua_gettop(L);
  if (instance->def == def || instance->pinned) return;
  if (instance->def->version != def->version && tr_instance_is_open(instance)) return; /* not under them: until then it serves as it is */
  if (instance->has_self) {
    lua_getiuservalue(L, at, 1);
    if (!cross(L, instance, def, at)) {
      lua_settop(L, top);
      return;
    }
    if (instance->def->shard_count) tr_shards_adopt(L, instance, def);
    tr_instance_defaults(L, instance, def);
    tr_instance_set_methods(L, def);
    if (def->shard_count) tr_shards_own(L, at);
    lua_settop(L, top);
  }
  tr_instance_set_def(instance, def);
}

/* --- what the core calls --- */

static void drop(void *class_ud, tr_agent *agent) {
  tr_instance *instance = agent->user;
  (void)class_ud;
  if (!instance) return;
  tr_script *script = instance->class_->script;
  if (tr_script_home(script)->keep) tr_instance_keep(instance);
  if (!instance->live && instance->more->timer_count && tr_script_home(script)->saved.count) tr_sleepers_return(instance);
  tr_script_timers_stop(instance);
  if (instance->more->server) tr_serve_stop(instance);
  tr_instance_forget(instance);
  if (script->luv) tr_luv_leave(script, instance);
  instance->def->instances--;
  tr_definition_unref(instance->def);
  tr_account_leave(script, instance->account);
  instance->account = 0;
  instance->agent = NULL;
  instance->def = NULL;
  agent->user = NULL;
  tr_slot_free(script, &script->instances, script->instances_ref, agent->user_ref);
  if (script->own) tr_own_leave(script->own);
}

static void gone(void *class_ud) {
  tr_script_class *class_ = class_ud;
  class_->core_class = NULL;
  tr_script_class_free(class_);
}

static void place(void *class_ud, const tr_msg *msg, char *out, size_t size) {
  const tr_script_class *class_ = class_ud;
  lua_Debug ar;
  if (!lua_checkstack(class_->script->L, 4)) return;
  tr_handler_place(class_->script->L, class_->def, msg, &ar);
  snprintf(out, size, "%s:%d", ar.short_src, ar.linedefined);
}

static const tr_class_ops ops = { .run = tr_lua_run, .cancel = tr_lua_cancel, .drop = drop, .place = place, .gone = gone };

tr_script_class *tr_script_class_of(const tr_class *class_) {
  return tr_class_get_ops(class_) == &ops ? tr_class_ud(class_) : NULL;
}

bool tr_script_class_about(const tr_class *class_, tr_script_about *about) {
  const tr_script_class *self = tr_class_get_ops(class_) == &ops ? tr_class_ud(class_) : NULL;
  if (!self) return false;
  *about = (tr_script_about){ self->file ? self->file->name : "", self->def->version, self->def->program, self->def->number };
  return true;
}

static uint8_t priority(void *class_ud, const tr_name *type) {
  const tr_script_class *class_ = class_ud;
  return (uint8_t)tr_definition_priority(class_->def, type);
}

static bool has_init(const tr_script_class *class_, const tr_definition *def) {
  return def->init_ref != LUA_NOREF || def->state_is_function || def->tick_count > 0 || class_->restores || def->close_ref != LUA_NOREF;
}

tr_class_options tr_script_class_options(tr_script_class *class_, const tr_definition *def) {
  return (tr_class_options){
    .type = tr_slice_of(def->type),
    .ops = &ops,
    .ud = class_,
    .mailbox_limit = def->mailbox_limit,
    .mailbox_bytes = def->mailbox_bytes,
    .instances = def->instance_limit,
    .overflow = def->overflow,
    .reentrant = def->reentrant,
    .requeue = def->requeue,
    .shared = def->shared,
    .priority = def->priority_count ? priority : NULL,
    .has_init = has_init(class_, def) || (class_->canary && has_init(class_, class_->canary)),
    .has_close = def->close_ref != LUA_NOREF || (class_->canary && class_->canary->close_ref != LUA_NOREF),
    .pool = def->pool,
    .direct_topics = !def->program,
    .exclusive_init = def->program,
    .first = def->luv,
  };
}

/* --- classes --- */

static int activate_subs(tr_script_class *class_, tr_error *error) {
  for (tr_link *link; (link = class_->def->subs.next) != &class_->def->subs;) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    int rc = tr_sub_spec_activate(sub, class_->core_class, error);
    if (rc) return rc;
    tr_link_remove(link);
    tr_list_push(&class_->subs, link);
  }
  return 0;
}

tr_script_class *tr_script_class_new(tr_script *script, tr_script_file *file, tr_definition *def, tr_error *error) {
  tr_script_class *class_ = TR_NEW(script->mem, tr_script_class);
  if (!class_) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  class_->script = script;
  class_->file = file;
  class_->def = def;
  def->refs++;
  tr_list_init(&class_->versions);
  tr_class_versions_add(class_, def, script->number);
  tr_list_init(&class_->subs);
  tr_list_init(&class_->run_subs);
  tr_list_init(&class_->idle);
  tr_map_init(&class_->told, script->mem, 0);
  class_->restores = tr_script_home(script)->saved.count > 0; /* there may be some for it */
  tr_list_push(&script->classes, &class_->all);
  tr_list_push(&file->classes, &class_->by_file);
  tr_class_options options = tr_script_class_options(class_, def);
  if (tr_core_add_class(script->core, &options, &class_->core_class, error) || activate_subs(class_, error)) {
    tr_script_class_remove(class_);
    return NULL;
  }
  return class_;
}

static void free_subs(tr_link *list) {
  for (tr_link *link; (link = tr_list_pop(list));) tr_sub_spec_free(TR_CONTAINER(link, tr_sub_spec, link));
}

void tr_script_class_remove(tr_script_class *class_) {
  if (class_->core_class) tr_core_remove_class(class_->script->core, class_->core_class);
  tr_script_class_free(class_);
}

void tr_script_class_retire(tr_script_class *class_) {
  tr_saved_remove_type(class_->script, class_->def->type);
  tr_sleepers_remove_type(class_->script, class_->def->type);
  if (class_->def->close_ref == LUA_NOREF) {
    tr_script_class_remove(class_);
    return;
  }
  tr_link_remove(&class_->by_file);
  class_->file = NULL;
  tr_core_retire_class(class_->script->core, class_->core_class); /* and the class with it, maybe at once */
}

tr_script_class *tr_script_class_find(const tr_script *script, tr_slice type) {
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (class_->file && tr_slice_is(type, class_->def->type)) return class_;
  }
  return script->foreign ? tr_script_class_find(script->foreign, type) : NULL;
}

void tr_script_class_restores(tr_script_class *class_) {
  class_ = tr_class_whole(class_);
  if (class_->restores) return;
  class_->restores = true;
  tr_class_options options = tr_script_class_options(class_, class_->def);
  tr_class_set_options(class_->core_class, &options);
}

void tr_script_class_free(tr_script_class *class_) {
  tr_script *script = class_->script;
  size_t at = 0;
  tr_slice key;
  void *value;
  tr_timer_stop(tr_core_timers(script->core), &class_->idle_timer);
  free_subs(&class_->subs);
  free_subs(&class_->run_subs);
  while (tr_list_pop(&class_->versions)) { }
  tr_definition_unref(class_->def);
  while (tr_map_next(&class_->told, &at, &key, &value)) {
    tr_map_remove(&class_->told, key);
    tr_free(script->mem, value, key.n + 1);
  }
  tr_map_fini(&class_->told);
  tr_link_remove(&class_->all);
  tr_link_remove(&class_->by_file);
  TR_DELETE(script->mem, class_);
}

#define TOLD_MAX 1000 /* texts come from peers too */

bool tr_script_class_once(tr_script_class *class_, const char *what, tr_slice text) {
  class_ = tr_class_whole(class_);
  tr_mem *mem = class_->script->mem;
  size_t n = strlen(what), size = n + text.n + 1;
  if (class_->told.count >= TOLD_MAX) return false;
  char *key = tr_alloc(mem, size);
  if (!key) return false;
  memcpy(key, what, n);
  if (text.n) memcpy(key + n, text.p, text.n);
  key[size - 1] = 0;
  tr_slice view = tr_slice_make(key, size - 1);
  if (!tr_map_get(&class_->told, view) && !tr_map_put(&class_->told, view, key, NULL)) return true;
  tr_free(mem, key, size);
  return false;
}
