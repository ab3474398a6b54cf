/* SPDX-License-Identifier: MIT
 * From a source text to agents: stage, then commit.
 *
 * Staging compiles the text, runs it in a fresh environment under the instruction limit, and checks what it
 * returned; nothing outside the stage changes. Committing adds the classes to the core, all or none. Reloading
 * (reload.c) uses the same stage. */
#include "script/internal.h"

/* --- what a chunk returned --- */

static int wrong(tr_stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int wrong(tr_stage *stage, const char *format, ...) {
  char text[300];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return tr_error_set(stage->error, TR_EINVALID, "%s: %s", stage->name, text);
}

static tr_definition *add_definition(lua_State *L, tr_stage *stage) {
  tr_definition *def = tr_definition_new(stage->script);
  if (!def) tr_raise_memory(L);
  tr_list_push(&stage->definitions, &def->link);
  return def;
}

static bool type_taken(const tr_stage *stage, const tr_definition *self) {
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    const tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    if (def != self && def->type && strcmp(def->type, self->type) == 0) return true;
  }
  return false;
}

/* Is the type in the table at `types`? It is from now on. A file may hold ten thousand agents, too many for type_taken. */
static bool note_type(lua_State *L, const char *type, int types) {
  lua_pushstring(L, type);
  lua_pushvalue(L, -1);
  bool taken = lua_rawget(L, types) != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  lua_rawset(L, types);
  return taken;
}

/* types: index of the table of those that the file has already; 0: it holds only this one. */
static int read_agent(lua_State *L, tr_stage *stage, int types) {
  tr_place place = { stage->name, stage->source, stage->error };
  const tr_link *last = stage->definitions.prev;
  const tr_definition *before = last == &stage->definitions ? NULL : TR_CONTAINER(last, tr_definition, link);
  tr_definition *def = add_definition(L, stage);
  int rc = tr_definition_read(L, def, before, &place);
  if (!rc && types && note_type(L, def->type, types))
    rc = tr_definition_error(&place, NULL, "type", "two agents of type `%s` in one file", def->type);
  return rc;
}

static int read_program(lua_State *L, tr_stage *stage, bool *has_program) {
  if (*has_program) return wrong(stage, "two programs in one file; a list may hold one");
  *has_program = true;
  tr_definition *def = add_definition(L, stage);
  def->program = true;
  def->memory = SIZE_MAX / 4; /* nobody could give it another */
  def->table_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* The program's own agent type, once the others are known. */
static void name_program(lua_State *L, tr_stage *stage) {
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    char type[280];
    if (!def->program) continue;
    tr_type_from_name(stage->name, type, 256);
    for (int i = 0; i < 2; i++) {
      tr_free(stage->script->mem, def->type, def->type_size);
      def->type = tr_strndup(stage->script->mem, type, strlen(type));
      def->type_size = def->type ? strlen(type) + 1 : 0;
      if (!def->type) tr_raise_memory(L);
      if (!type_taken(stage, def)) break;
      strcat(type, "-program");
    }
  }
}

static int read_list(lua_State *L, tr_stage *stage) {
  int list = lua_gettop(L), rc = 0;
  lua_Integer n = (lua_Integer)lua_rawlen(L, list), keys = 0;
  bool has_program = false;
  for (lua_pushnil(L); lua_next(L, list); lua_pop(L, 1)) keys++;
  if (keys != n)
    return wrong(stage, "returned a table that is both an agent (named keys) and a list; expected one of them");
  lua_createtable(L, 0, n < 100000 ? (int)n : 0);
  int types = lua_gettop(L);
  for (lua_Integer i = 1; !rc && i <= n; i++) {
    int type = lua_rawgeti(L, list, i);
    if (type == LUA_TTABLE) rc = read_agent(L, stage, types);
    else if (type == LUA_TFUNCTION) rc = read_program(L, stage, &has_program);
    else
      rc = wrong(stage, "item %lld of the returned list must be an agent (a table) or a program (a function), not %s",
                 (long long)i, tr_type_name(L, -1));
    lua_settop(L, types);
  }
  return rc;
}

/* The chunk's result, on the top. */
static int read_result(lua_State *L, tr_stage *stage) {
  bool has_program = false;
  int rc;
  if (lua_isfunction(L, -1)) {
    rc = read_program(L, stage, &has_program);
  } else if (!lua_istable(L, -1)) {
    rc = wrong(stage, "returned %s; a script returns an agent (a table), a list of agents, or a program (a function)",
               tr_type_name(L, -1));
  } else {
    int top = lua_gettop(L);
    bool list = lua_rawgeti(L, top, 1) != LUA_TNIL;
    lua_pushnil(L);
    bool empty = !lua_next(L, top);
    lua_settop(L, top);
    if (empty)
      rc = wrong(stage, "returned an empty table; expected an agent with handlers in `on`, or a list of agents");
    else rc = list ? read_list(L, stage) : read_agent(L, stage, 0);
  }
  if (!rc) name_program(L, stage);
  return rc;
}

/* --- staging --- */

/* Of a foreign script: the table is there. */
static int stage_table(lua_State *L, tr_stage *stage) {
  tr_push_ref(L, stage->table_ref);
  lua_rawgeti(L, -1, 1);
  bool list = !lua_isnil(L, -1);
  lua_pop(L, 1);
  for (lua_Integer i = 1, n = list ? (lua_Integer)lua_rawlen(L, -1) : 1; i <= n; i++) {
    int top = lua_gettop(L);
    if (list) lua_rawgeti(L, -1, i);
    if (lua_isfunction(L, -1)) return wrong(stage, "a function is no agent (the program is yours already)");
    lua_pushnil(L);
    bool filled = lua_istable(L, -2) && lua_next(L, -2);
    lua_settop(L, list ? top + 1 : top);
    if (filled && tr_raw_field(L, -1, "type") == LUA_TNIL)
      return wrong(stage, "an agent given as a table needs `type`");
    lua_settop(L, top);
  }
  return read_result(L, stage);
}

/* For going back to it, and for the agents that have a state of their own. */
static void keep_code(lua_State *L, tr_stage *stage, tr_unit *unit) {
  tr_code *code = unit->code;
  if (!code) return;
  if (tr_code_set_main(code, stage->name, stage->source, stage->args, stage->argc)) tr_raise_memory(L);
  stage->version = tr_version_new(stage->script->mem, code);
  if (!stage->version) tr_raise_memory(L);
  unit->code = NULL;
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    if (def->own) def->code = tr_code_ref(code);
  }
}

/* The file has required luv: its agents live where the loop is. */
static int mark_luv(tr_stage *stage) {
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    if (def->own) return wrong(stage, "`vm = \"own\"` does not go with luv: such a state ends before the loop does");
    def->luv = true;
  }
  return 0;
}

static int stage_main(lua_State *L, void *ud) {
  tr_stage *stage = ud;
  tr_need_stack(L, 40);
  if (stage->table_ref) return stage_table(L, stage);
  tr_unit *unit = tr_unit_push(L, stage->name);
  if (!stage->script->own && !(unit->code = tr_code_new(stage->script->mem))) tr_raise_memory(L);
  lua_pushvalue(L, -1);
  stage->unit_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  if (tr_compile(L, stage->name, stage->source, stage->error)) return stage->error->code;
  tr_sandbox_push(L, 1);
  lua_setupvalue(L, -2, 1);
  tr_need_stack(L, (int)stage->argc + 40);
  for (size_t i = 0; i < stage->argc; i++) lua_pushstring(L, stage->args[i]);
  stage->script->loading = true;
  int n = tr_metered_call(L, (int)stage->argc, "loading", TR_INSTRUCTIONS, stage->error);
  stage->script->loading = false;
  if (n < 0) {
    /* What has no place of its own (an error object) gets the file's name at least. */
    if (!strstr(stage->error->text, stage->name)) {
      tr_error found = *stage->error;
      tr_error_init(stage->error);
      tr_error_set(stage->error, found.code, "%s: %s", stage->name, found.text);
    }
    if (stage->error->code == TR_EHANDLER) stage->error->code = TR_EINVALID;
    return stage->error->code;
  }
  if (n == 0) lua_pushnil(L);
  else lua_settop(L, lua_gettop(L) - n + 1);
  int rc = read_result(L, stage);
  if (!rc && unit->luv) rc = mark_luv(stage);
  if (!rc) keep_code(L, stage, unit);
  for (tr_link *link = stage->definitions.next; !rc && link != &stage->definitions; link = link->next) {
    lua_getiuservalue(L, 1, 1);
    TR_CONTAINER(link, tr_definition, link)->env_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return rc;
}

int tr_stage_run(tr_stage *stage) {
  stage->unit_ref = LUA_NOREF;
  tr_list_init(&stage->definitions);
  return tr_script_protect(stage->script, stage_main, stage, stage->error);
}

void tr_stage_fini(tr_stage *stage) {
  lua_State *L = stage->script->L;
  for (tr_link *link; (link = tr_list_pop(&stage->definitions));)
    tr_definition_unref(TR_CONTAINER(link, tr_definition, link));
  tr_version_free(stage->script->mem, stage->version);
  tr_luv_leave_unit(stage->script, stage->unit_ref);
  if (lua_checkstack(L, 4)) luaL_unref(L, LUA_REGISTRYINDEX, stage->unit_ref);
}

static tr_script_file *file_new(tr_script *script, const char *name) {
  tr_script_file *file = TR_NEW(script->mem, tr_script_file);
  if (!file) return NULL;
  file->script = script;
  file->unit_ref = LUA_NOREF;
  file->name = tr_strndup(script->mem, name, strlen(name));
  if (!file->name) {
    TR_DELETE(script->mem, file);
    return NULL;
  }
  tr_list_init(&file->classes);
  tr_list_init(&file->versions);
  tr_list_push(&script->files, &file->all);
  return file;
}

/* --- loading --- */

static int commit(tr_script_file *file, tr_stage *stage) {
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    tr_error error;
    tr_error_init(&error);
    if (tr_script_class_new(file->script, file, def, &error)) continue;
    if (error.code == TR_EEXISTS)
      return tr_error_set(stage->error, TR_EEXISTS, "%s: agent type `%s` is there already: %s", stage->name, def->type, error.text);
    return tr_error_set(stage->error, error.code, "%s: %s", stage->name, error.text);
  }
  tr_script_file_take(file, stage);
  return 0;
}

/* own: takes the copy. */
static void take_source(tr_script_file *file, char *copy, size_t length) {
  tr_free(file->script->mem, file->source, file->source_size);
  file->source = copy;
  file->source_size = length + 1;
  file->from_memory = true;
}

static int keep_source(tr_script_file *file, tr_slice source) {
  char *copy = tr_strndup(file->script->mem, source.p, source.n);
  if (copy) take_source(file, copy, source.n);
  return copy ? 0 : TR_EMEMORY;
}

static int load_new(tr_script *script, const char *name, tr_slice source, bool from_memory, const tr_slice *args,
                    size_t argc, tr_error *error) {
  tr_script_file *file = file_new(script, name);
  if (!file) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = tr_file_set_args(file, args, argc);
  if (!rc && from_memory) rc = keep_source(file, source);
  if (rc) {
    tr_script_file_free(file);
    return tr_error_set(error, rc, "out of memory");
  }
  tr_stage stage = { .script = script, .name = file->name, .source = source, .args = file->args, .argc = file->argc,
                     .error = error };
  rc = tr_stage_run(&stage);
  if (!rc) rc = commit(file, &stage);
  tr_stage_fini(&stage);
  if (rc) tr_script_file_free(file);
  return rc;
}

int tr_script_load_table(tr_script *script, int table_ref, const char *name, tr_error *error) {
  tr_script_file *file = file_new(script, name);
  if (!file) return tr_error_set(error, TR_EMEMORY, "out of memory");
  file->from_memory = true; /* nobody else can load it */
  tr_stage stage = { .script = script, .name = file->name, .source = TR_SLICE_LITERAL(""), .table_ref = table_ref, .error = error };
  int rc = tr_stage_run(&stage);
  if (!rc) rc = commit(file, &stage);
  tr_stage_fini(&stage);
  if (rc) tr_script_file_free(file);
  return rc;
}

static int load_again(tr_script_file *file, tr_slice source, const tr_slice *args, size_t argc, tr_error *error) {
  size_t changed;
  char *copy = NULL;
  if (argc > 0 && tr_file_set_args(file, args, argc)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (source.p && !(copy = tr_strndup(file->script->mem, source.p, source.n))) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_reload_options options = { .source = source, .again = true };
  int rc = tr_reload(file->script, &file, 1, &options, &changed, error);
  if (copy && !rc) take_source(file, copy, source.n);
  else if (copy) tr_free(file->script->mem, copy, source.n + 1);
  return rc;
}

bool tr_script_is_loaded(const tr_script *script, const char *name) { return tr_script_file_find(script, name) != NULL; }

int tr_script_set_args(tr_script *script, const char *name, const tr_slice *args, size_t argc) {
  return argc ? tr_file_set_args(tr_script_file_find(script, name), args, argc) : 0;
}

char *tr_script_copy_source(tr_script *script, tr_slice source) { return tr_strndup(script->mem, source.p, source.n); }

void tr_script_set_source(tr_script *script, const char *name, char *copy, size_t length) {
  if (name) take_source(tr_script_file_find(script, name), copy, length);
  else if (copy) tr_free(script->mem, copy, length + 1);
}

void tr_script_set_untyped(tr_script *script, tr_slice type) { script->options.untyped = type; }

void tr_script_unload(tr_script *script, const char *name) {
  tr_script_file *file = tr_script_file_find(script, name);
  if (file) tr_script_file_free(file);
}

int tr_script_load(tr_script *script, const char *name, tr_slice source, const tr_slice *args, size_t argc,
                   tr_error *error) {
  tr_error unused;
  tr_buf text;
  tr_error_init(&unused);
  if (!error) error = &unused;
  tr_script_file *file = tr_script_file_find(script, name);
  if (file) return load_again(file, source, args, argc, error);
  if (source.p) return load_new(script, name, source, true, args, argc, error);
  tr_buf_init(&text, script->mem);
  int rc = tr_read_source(script, name, &text, error);
  if (!rc) rc = load_new(script, name, tr_buf_view(&text), false, args, argc, error);
  tr_buf_fini(&text);
  return rc;
}

/* --- starting --- */

static int start_key(tr_script_class *class_, tr_slice key, tr_error *error) {
  if (!tr_class_is_home(class_->core_class, key)) return 0; /* another isolate does */
  if (class_->fresh && !tr_class_is_canary(class_, key)) return 0; /* when it is promoted */
  tr_agent *agent = tr_class_get(class_->core_class, key, error);
  if (!agent) return error && error->code ? error->code : TR_EMEMORY;
  return tr_agent_start(agent);
}

static int start_class(tr_script_class *class_, tr_error *error) {
  const tr_definition *def = class_->def;
  int rc = 0, first = 0;
  class_->started = true;
  if (def->program && tr_class_is_home(class_->core_class, TR_SLICE_LITERAL("default"))) class_->script->programs++;
  if (def->program || def->autostart_default) first = start_key(class_, TR_SLICE_LITERAL("default"), error);
  for (size_t i = 0; i < def->autostart_count; i++) {
    rc = start_key(class_, tr_slice_make(def->autostart[i].text, def->autostart[i].size - 1), error);
    if (rc && !first) first = rc;
  }
  return first;
}

int tr_script_start(tr_script *script, tr_error *error) {
  int first = 0;
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    int rc = class_->started ? 0 : start_class(class_, error);
    if (rc && !first) first = rc;
  }
  if (!script->foreign) return first;
  int rc = tr_script_start(script->foreign, error);
  return first ? first : rc;
}

int tr_script_start_type(tr_script *script, tr_slice type, tr_error *error) {
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (!class_->def->program && !class_->started && tr_slice_equal(tr_name_view(tr_class_type(class_->core_class)), type)) return start_class(class_, error);
  }
  return script->foreign ? tr_script_start_type(script->foreign, type, error) : 0;
}

/* One that runs is cancelled, which counts it as over: so it is counted first. */
static int run_again(tr_script_class *class_, tr_error *error) {
  tr_agent *agent = tr_class_find(class_->core_class, TR_SLICE_LITERAL("default"));
  class_->script->programs++;
  class_->reloaded = false;
  if (agent) tr_agent_restart(class_->script->core, agent);
  class_->script->exit_status = 0;
  return agent ? 0 : start_key(class_, TR_SLICE_LITERAL("default"), error);
}

unsigned tr_script_run_again(tr_script *script, bool all, tr_error *error) {
  unsigned count = 0;
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (!class_->def->program || !class_->started || !(all || class_->reloaded)) continue;
    count++;
    if (run_again(class_, error)) class_->script->programs--;
  }
  return count;
}

bool tr_script_has_program(const tr_script *script) {
  for (tr_link *link = script->classes.next; link != &script->classes; link = link->next)
    if (TR_CONTAINER(link, tr_script_class, all)->def->program) return true;
  return false;
}

bool tr_script_programs_running(const tr_script *script) { return script->programs > 0; }

void tr_program_over(tr_script *script, int status) {
  if (script->programs == 0) return;
  if (script->exit_status == 0) script->exit_status = status;
  if (--script->programs == 0 && script->options.exit) script->options.exit(script->options.ud, script->exit_status);
}
