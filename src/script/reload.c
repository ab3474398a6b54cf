/* SPDX-License-Identifier: MIT
 * Reload: all that changed, or nothing.
 *
 * 1. Each file whose text, or a module's text, changed is staged: compiled, run, checked (load.c). Nothing that
 * serves is touched.
 * 2. Idle instances of a type whose `version` changed are migrated, on themselves, with a clone kept to go back to.
 * 3. New agent types and new subscriptions are added to the core.
 * 4. Only then, with nothing left that can fail, definitions are swapped, old subscriptions removed, timers
 * compared. A failure before 4 undoes what was done. Turns that are open keep their functions and their instance's
 * old definition; the instance comes to the new one at its next turn (class.c). Programs are not run again. */
#include "script/internal.h"

#define GARBAGE_MOST (32u << 20)

typedef struct swap { tr_script_file *file; tr_stage stage; tr_buf text; bool staged; } swap;
typedef struct pair { tr_script_class *class_; tr_definition *def; tr_script_file *file; tr_link added; bool fresh; } pair;
typedef struct tr_reloading plan;
struct tr_reloading {
  tr_script *script;
  swap *swaps;
  size_t swap_count;
  pair *pairs;
  size_t pair_count, pair_cap;
  int backups_ref; /* { [self] = clone } */
  bool trial;
  size_t used_most; /* above that garbage is collected meanwhile */
  bool held_gc;
  tr_error *error;
};

/* --- what changed --- */

static bool module_changed(tr_script *script, const tr_module *module) {
  tr_buf text;
  tr_error error;
  tr_error_init(&error);
  tr_buf_init(&text, script->mem);
  int rc = tr_read_source(script, module->path, &text, &error);
  bool changed = rc || tr_source_hash(tr_buf_view(&text)) != module->hash;
  tr_buf_fini(&text);
  return changed;
}

static bool modules_changed(const tr_script_file *file) {
  const tr_link *modules = tr_script_file_modules(file);
  if (!modules) return false;
  for (tr_link *link = modules->next; link != modules; link = link->next)
    if (module_changed(file->script, TR_CONTAINER(link, tr_module, link))) return true;
  return false;
}

static int stage(swap *self, tr_slice source, tr_error *error) {
  const tr_script_file *file = self->file;
  self->stage = (tr_stage){ .script = file->script, .name = file->name, .source = source, .args = file->args, .argc = file->argc,
                            .error = error };
  self->staged = true;
  return tr_stage_run(&self->stage);
}

/* From texts that are kept. */
static int stage_code(swap *self, tr_code *code, tr_error *error) {
  tr_slice source = { NULL, 0 };
  tr_code_find(code, code->name, &source);
  self->file->script->code = code;
  int rc = stage(self, source, error);
  self->file->script->code = NULL;
  if (rc) return rc;
  tr_code_unref(self->stage.version->code); /* it is the same text: kept once */
  self->stage.version->code = tr_code_ref(code);
  return 0;
}

/* Stage what the file was, from the texts of then. */
static int stage_version(swap *self, uint32_t number, tr_error *error) {
  const tr_version *then = tr_file_version_at(self->file, number);
  return !then || tr_file_is_at(self->file, then) ? 0 : stage_code(self, then->code, error);
}

static int stage_prepared(swap *self, const tr_prepared *prepared, tr_error *error) {
  tr_code *code = tr_prepared_find(prepared, self->file->name);
  return code ? stage_code(self, code, error) : 0;
}

/* Stage the file if it changed. */
static int stage_file(swap *self, tr_slice source, tr_error *error) {
  tr_script_file *file = self->file;
  tr_script *script = file->script;
  int rc = 0;
  tr_buf_init(&self->text, script->mem);
  if (!source.p && file->from_memory) source = tr_slice_make(file->source, file->source_size - 1);
  if (!source.p) {
    rc = tr_read_source(script, file->name, &self->text, error);
    source = tr_slice_make(self->text.data ? (const char *)self->text.data : "", self->text.len);
  }
  if (rc) return rc;
  if (tr_source_hash(source) == file->hash && !modules_changed(file)) return 0;
  return stage(self, source, error);
}

/* --- who becomes what --- */

static bool is_swapped(const plan *p, const tr_script_file *file) {
  for (size_t i = 0; i < p->swap_count; i++)
    if (p->swaps[i].staged && p->swaps[i].file == file) return true;
  return false;
}

static tr_script_class *find_class(const plan *p, const char *type) {
  for (tr_link *link = p->script->classes.next; link != &p->script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (strcmp(class_->def->type, type) == 0 && is_swapped(p, class_->file)) return class_;
  }
  return NULL;
}

static int make_pairs(plan *p) {
  size_t count = 0;
  for (size_t i = 0; i < p->swap_count; i++)
    for (tr_link *l = p->swaps[i].stage.definitions.next; p->swaps[i].staged &&
         l != &p->swaps[i].stage.definitions; l = l->next) count++;
  if (count == 0) return 0;
  p->pairs = tr_calloc(p->script->mem, count, sizeof *p->pairs);
  if (!p->pairs) return tr_error_set(p->error, TR_EMEMORY, "out of memory");
  p->pair_cap = count;
  for (size_t i = 0; i < p->swap_count; i++) {
    if (!p->swaps[i].staged) continue;
    for (tr_link *l = p->swaps[i].stage.definitions.next; l != &p->swaps[i].stage.definitions; l = l->next) {
      pair *self = &p->pairs[p->pair_count++];
      self->def = TR_CONTAINER(l, tr_definition, link);
      self->file = p->swaps[i].file;
      self->class_ = find_class(p, self->def->type);
      tr_list_init(&self->added);
      for (size_t j = 0; j + 1 < p->pair_count; j++)
        if (strcmp(p->pairs[j].def->type, self->def->type) == 0)
          return tr_error_set(p->error, TR_EEXISTS, "%s: agent type `%s` is in %s too", self->file->name,
                              self->def->type, p->pairs[j].file->name);
      if (self->class_ && self->class_->def->own != self->def->own)
        return tr_error_set(p->error, TR_EINVALID, "%s: `vm` of `%s` changed: stop and start for that", self->file->name, self->def->type);
      if (self->class_ && self->class_->def->luv != self->def->luv && p->script->options.subscribed)
        return tr_error_set(p->error, TR_EINVALID, "%s: with several threads luv decides where `%s` lives: stop and start for that", self->file->name,
                            self->def->type);
      if (self->class_ && self->class_->def->program != self->def->program)
        return tr_error_set(p->error, TR_EINVALID, "%s: `%s` was %s and is now %s: stop and start for that",
                            self->file->name, self->def->type, self->def->program ? "an agent" : "a program",
                                self->def->program ? "a program" : "an agent");
    }
  }
  return 0;
}

/* --- migration --- */

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

static void migrate_agent(lua_State *L, plan *p, const pair *self, tr_agent *agent) {
  tr_instance *instance = agent->user;
  int top = lua_gettop(L);
  tr_error error;
  tr_error_init(&error);
  tr_instance_push(L, self->class_, agent);
  lua_getiuservalue(L, -1, 1);
  if (p->trial) push_copy(L, instance, top + 1);
  else keep_backup(L, p, top + 2);
  tr_push_ref(L, self->def->migrate_ref);
  lua_pushvalue(L, top + 2);
  lua_pushinteger(L, instance->def->version);
  if (tr_metered_call(L, 2, "migrating", self->def->instructions, &error) < 0) {
    char name[200];
    tr_agent_name(agent, name, sizeof name);
    tr_error_set(p->error, error.code, "%s: migrating %s from version %lld to %lld: %s", self->file->name, name,
                 (long long)instance->def->version, (long long)self->def->version, error.text);
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
  if (self->class_->def->version != self->def->version && !can) return no_migrate(p, self, self->class_->def);
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(self->class_->core_class, agent));) {
    const tr_instance *instance = agent->user;
    if (!is_idle(agent) || instance->def->version == self->def->version || self->def->own) continue; /* own.c: at its next message */
    if (!can) return no_migrate(p, self, instance->def);
    migrate_agent(L, p, self, agent);
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

/* Put the clones' content back. */
static int restore_all(lua_State *L, void *ud) {
  const plan *p = ud;
  tr_need_stack(L, 12);
  tr_push_ref(L, p->backups_ref);
  for (lua_pushnil(L); lua_next(L, -2); lua_settop(L, 2)) {
    for (lua_pushnil(L); lua_next(L, 2);) { /* self: 2, clone: 3 */
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      lua_pushnil(L);
      lua_rawset(L, 2);
    }
    for (lua_pushnil(L); lua_next(L, 3);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, 2);
    }
  }
  return 0;
}

/* --- what the core must know before --- */

static int add_subs(pair *self, tr_error *error) {
  for (tr_link *link = self->def->subs.next, *next; link != &self->def->subs; link = next) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    bool there = false;
    next = link->next;
    for (tr_link *old = self->class_->subs.next; old != &self->class_->subs && !there; old = old->next)
      there = tr_sub_spec_same(sub, TR_CONTAINER(old, tr_sub_spec, link));
    if (there) continue;
    int rc = tr_sub_spec_activate(sub, self->class_->core_class, error);
    if (rc == TR_EEXISTS) { /* ctx:subscribe was quicker */
      tr_error_init(error);
      continue;
    }
    if (rc) return rc;
    tr_link_remove(link);
    tr_list_push(&self->added, link);
  }
  return 0;
}

static int prepare(plan *p) {
  for (size_t i = 0; i < p->pair_count; i++) {
    pair *self = &p->pairs[i];
    int rc;
    if (self->class_) {
      rc = add_subs(self, p->error);
    } else {
      self->class_ = tr_script_class_new(p->script, self->file, self->def, p->error);
      self->fresh = self->class_ != NULL;
      rc = self->fresh ? 0 : p->error->code;
    }
    if (rc) return rc;
  }
  return 0;
}

static void undo(plan *p) {
  for (size_t i = 0; i < p->pair_count; i++) {
    pair *self = &p->pairs[i];
    for (tr_link *link; (link = tr_list_pop(&self->added));) {
      tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
      tr_class_unsubscribe(self->class_->core_class, sub->id);
      tr_sub_spec_free(sub);
    }
    if (self->fresh) tr_script_class_remove(self->class_);
  }
  if (p->backups_ref != LUA_NOREF) tr_script_protect(p->script, restore_all, p, NULL);
}

/* --- the swap: nothing here may fail --- */

static bool stays(const tr_definition *def, const tr_sub_spec *sub) {
  for (tr_link *l = def->subs.next; l != &def->subs; l = l->next)
    if (tr_sub_spec_same(sub, TR_CONTAINER(l, tr_sub_spec, link))) return true;
  return false;
}

static void swap_subs(pair *self) {
  tr_script_class *class_ = self->class_;
  for (tr_link *link = class_->subs.next, *next; link != &class_->subs; link = next) {
    tr_sub_spec *old = TR_CONTAINER(link, tr_sub_spec, link);
    next = link->next;
    if (stays(self->def, old)) continue;
    tr_class_unsubscribe(class_->core_class, old->id);
    tr_link_remove(link);
    tr_sub_spec_free(old);
  }
  for (tr_link *link; (link = tr_list_pop(&self->added));) tr_list_push(&class_->subs, link);
}

/* Idle instances come to the new definition at once: those with a version were migrated just now. */
static int settle(lua_State *L, void *ud) {
  const pair *self = ud;
  tr_need_stack(L, 12);
  if (self->def->own) return 0; /* they run it in states of their own, before their next message */
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(self->class_->core_class, agent));) {
    tr_instance *instance = agent->user;
    if (!is_idle(agent) || instance->def == self->def) continue;
    tr_instance_push(L, self->class_, agent);
    lua_getiuservalue(L, -1, 1);
    if (instance->def->shard_count) tr_shards_adopt(L, instance, self->def);
    tr_instance_set_def(instance, self->def); /* before what may raise: it must not be migrated twice */
    tr_instance_defaults(L, instance, self->def);
    tr_instance_set_methods(L, self->def);
    if (self->def->shard_count) tr_shards_own(L, 1);
    lua_settop(L, 0);
  }
  return 0;
}

static void swap_class(plan *p, pair *self) {
  tr_script_class *class_ = self->class_;
  tr_definition *old = class_->def;
  swap_subs(self);
  class_->reloaded = true;
  class_->def = self->def;
  self->def->refs++;
  tr_class_versions_add(class_, self->def);
  class_->file = self->file;
  tr_link_remove(&class_->by_file);
  tr_list_push(&self->file->classes, &class_->by_file);
  tr_class_options options = tr_script_class_options(class_, self->def);
  tr_class_set_options(class_->core_class, &options);
  tr_class_revive(class_->core_class); /* newer code, another try */
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));) {
    tr_instance *instance = agent->user;
    if (!instance) continue;
    instance->pinned = false;
    tr_script_timers_sync(instance, self->def);
  }
  if (tr_script_protect(p->script, settle, self, NULL))
    tr_log_write(tr_core_log(p->script->core), TR_LOG_WARN, "reload.late",
                 "agent_type=%s (its instances follow at their next message)", self->def->type);
  tr_definition_unref(old);
}

static bool is_kept(const plan *p, const tr_script_class *class_) {
  for (size_t i = 0; i < p->pair_count; i++)
    if (p->pairs[i].class_ == class_) return true;
  return false;
}

const char *tr_script_reloaded(const tr_script *script) { return script->reloaded; }

static void note_names(const plan *p) {
  char *out = p->script->reloaded;
  size_t n = 0, size = sizeof p->script->reloaded;
  out[0] = 0;
  for (size_t i = 0; i < p->swap_count && n < size; i++) {
    if (!p->swaps[i].staged) continue;
    const char *name = p->swaps[i].file->name;
    bool fits = n + strlen(name) + 8 < size;
    n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", fits ? name : "…");
    if (!fits) return;
  }
}

static void commit(plan *p) {
  p->script->number++;
  for (size_t i = 0; i < p->pair_count; i++) {
    if (p->pairs[i].fresh) p->pairs[i].def->number = p->script->number;
    else swap_class(p, &p->pairs[i]);
  }
  for (tr_link *link = p->script->classes.next, *next; link != &p->script->classes; link = next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    next = link->next;
    if (is_swapped(p, class_->file) && !is_kept(p, class_)) tr_script_class_retire(class_);
  }
  for (size_t i = 0; i < p->swap_count; i++)
    if (p->swaps[i].staged) tr_script_file_take(p->swaps[i].file, &p->swaps[i].stage);
  if (p->script->options.classes_changed) p->script->options.classes_changed(p->script->options.ud);
}

static int prepare_all(plan *p) {
  int rc = make_pairs(p);
  if (!rc) rc = tr_script_protect(p->script, migrate_all, p, p->error);
  if (!rc) rc = prepare(p);
  if (rc) undo(p);
  return rc;
}

static void plan_free(plan *p) {
  tr_script *script = p->script;
  if (p->held_gc) lua_gc(script->L, LUA_GCRESTART);
  for (size_t i = 0; i < p->swap_count; i++) {
    if (p->swaps[i].staged) tr_stage_fini(&p->swaps[i].stage);
    if (p->swaps[i].text.mem) tr_buf_fini(&p->swaps[i].text);
  }
  if (lua_checkstack(script->L, 4)) luaL_unref(script->L, LUA_REGISTRYINDEX, p->backups_ref);
  tr_free(script->mem, p->pairs, p->pair_cap * sizeof *p->pairs);
  tr_free(script->mem, p->swaps, p->swap_count * sizeof *p->swaps);
  TR_DELETE(script->mem, p);
}

static plan *plan_new(tr_script *script, size_t count, tr_error *error) {
  plan *p = TR_NEW(script->mem, plan);
  if (!p) return NULL;
  p->script = script;
  p->swap_count = count;
  p->backups_ref = LUA_NOREF;
  p->error = error;
  p->swaps = tr_calloc(script->mem, count, sizeof *p->swaps);
  if (p->swaps) return p;
  TR_DELETE(script->mem, p);
  return NULL;
}

/* All that can fail. *out stays NULL where nothing changed. */
static int begin(tr_script *script, tr_script_file *const *files, size_t count, const tr_reload_options *options, size_t *changed,
                 plan **out, tr_error *error) {
  int rc = 0;
  *changed = 0;
  *out = NULL;
  if (count == 0) return 0;
  plan *p = plan_new(script, count, error);
  if (!p) return tr_error_set(error, TR_EMEMORY, "out of memory");
  p->trial = options->trial;
  for (size_t i = 0; i < count && !rc; i++) {
    p->swaps[i].file = files[i];
    rc = options->prepared ? stage_prepared(&p->swaps[i], *options->prepared, error)
       : options->to       ? stage_version(&p->swaps[i], options->to, error)
                           : stage_file(&p->swaps[i], options->source, error);
    if (p->swaps[i].staged) ++*changed;
  }
  if (!rc && *changed > 0) rc = prepare_all(p);
  if (rc) *changed = 0;
  if (rc || *changed == 0) {
    plan_free(p);
    return rc;
  }
  note_names(p);
  *out = p;
  return 0;
}

tr_script *tr_reloading_script(const tr_reloading *p) { return p->script; }

size_t tr_reloading_texts(const tr_reloading *p, tr_code **out, size_t room) {
  size_t n = 0;
  for (size_t i = 0; i < p->swap_count; i++) {
    if (!p->swaps[i].staged || !p->swaps[i].stage.version) continue;
    if (n++ < room) out[n - 1] = p->swaps[i].stage.version->code;
  }
  return n;
}

void tr_script_reload_end(tr_reloading *p, bool taken) {
  if (!p) return;
  if (taken) commit(p);
  else undo(p);
  plan_free(p);
}

int tr_reload(tr_script *script, tr_script_file *const *files, size_t count, const tr_reload_options *options, size_t *changed,
              tr_error *error) {
  plan *p;
  int rc = begin(script, files, count, options, changed, &p, error);
  if (!rc) tr_script_reload_end(p, true);
  return rc;
}

/* --- by name --- */

static size_t count_files(const tr_script *script) {
  size_t n = 0;
  for (tr_link *link = script->files.next; link != &script->files; link = link->next) n++;
  return n;
}

int tr_script_reload_begin(tr_script *script, const tr_reload_options *options, size_t *changed, tr_reloading **out, tr_error *error) {
  size_t count = options->count, n = count ? count : count_files(script), filled = 0;
  int rc = options->to ? tr_version_check(script, options->to, error) : 0;
  *changed = 0;
  *out = NULL;
  if (n == 0 || rc) return rc;
  tr_script_file **files = tr_calloc(script->mem, n, sizeof *files);
  if (!files) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (count == 0)
    for (tr_link *link = script->files.next; link != &script->files; link = link->next)
      files[filled++] = TR_CONTAINER(link, tr_script_file, all);
  for (; filled < count && !rc; filled++) {
    files[filled] = tr_script_file_find(script, options->names[filled]);
    if (!files[filled]) rc = tr_error_set(error, TR_ENOT_FOUND, "%s: is not loaded", options->names[filled]);
  }
  if (!rc) rc = begin(script, files, n, options, changed, out, error);
  tr_free(script->mem, files, n * sizeof *files);
  return rc;
}

int tr_script_reload(tr_script *script, const char *const *names, size_t count, size_t *changed, tr_error *error) {
  tr_reload_options options = { .names = names, .count = count };
  tr_reloading *p = NULL;
  size_t unused;
  tr_error own;
  tr_error_init(&own);
  int rc = tr_script_reload_begin(script, &options, changed ? changed : &unused, &p, error ? error : &own);
  if (!rc) tr_script_reload_end(p, true);
  return rc;
}

/* --- what it would do --- */

static bool has_tick(const tr_definition *def, const tr_tick_spec *tick) {
  for (size_t i = 0; i < def->tick_count; i++)
    if (def->ticks[i].type == tick->type && def->ticks[i].period == tick->period) return true;
  return false;
}

static unsigned new_ticks(const tr_definition *def, const tr_definition *before) {
  unsigned n = 0;
  for (size_t i = 0; i < def->tick_count; i++) n += !has_tick(before, &def->ticks[i]);
  return n;
}

static unsigned length(const tr_link *list) {
  unsigned n = 0;
  for (const tr_link *link = list->next; link != list; link = link->next) n++;
  return n;
}

static unsigned gone_subs(const pair *self) {
  unsigned n = 0;
  for (tr_link *link = self->class_->subs.next; link != &self->class_->subs; link = link->next)
    n += !stays(self->def, TR_CONTAINER(link, tr_sub_spec, link));
  return n;
}

static void count_instances(const tr_script_class *class_, tr_change *change) {
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));) {
    if (!agent->user) continue;
    change->instances++;
    change->busy += agent->turn != NULL;
  }
}

void tr_script_reload_changes(const tr_reloading *p, void (*fn)(void *ud, const tr_change *change), void *ud) {
  for (size_t i = 0; i < p->pair_count; i++) {
    const pair *self = &p->pairs[i];
    const tr_definition *def = self->def, *old = self->class_->def;
    tr_change change = { .type = def->type, .added = self->fresh, .from = old->version, .to = def->version };
    if (!self->fresh) {
      count_instances(self->class_, &change);
      change.subs_added = length(&self->added);
      change.subs_removed = gone_subs(self);
      change.timers_added = new_ticks(def, old);
      change.timers_removed = new_ticks(old, def);
    }
    fn(ud, &change);
  }
  for (tr_link *link = p->script->classes.next; link != &p->script->classes; link = link->next) {
    const tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (!class_->file || !is_swapped(p, class_->file) || is_kept(p, class_)) continue;
    tr_change change = { .type = class_->def->type, .removed = true, .from = class_->def->version, .to = class_->def->version };
    count_instances(class_, &change);
    fn(ud, &change);
  }
}
