/* SPDX-License-Identifier: MIT
 * What the module room does with values, errors and tables of the program's state: trees in and out, agents, instances
 * that are ready-made. See foreign.c. */
#include "core/id.h"
#include "script/foreign.h"
#include "script/internal.h"

/* --- values --- */

tr_value *tr_foreign_value(lua_State *L, int at, const char *root, tr_mem *mem, tr_error *error) {
  tr_copy copy = { .root = root, .error = error };
  lua_pushvalue(L, at);
  if (tr_copy_check(L, &copy)) {
    lua_pop(L, 1);
    return NULL;
  }
  tr_value_builder builder;
  tr_value_builder_init(&builder, mem, error);
  tr_sink sink = tr_value_sink(&builder);
  tr_value *value = tr_walk(L, lua_gettop(L), &sink, error) ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  if (!value && !error->code) tr_error_set(error, TR_EMEMORY, "out of memory");
  lua_pop(L, 1);
  return value;
}

int tr_foreign_push(lua_State *L, const tr_value *value, bool nulls, tr_error *error) {
  int top = lua_gettop(L);
  tr_need_stack(L, 8);
  int rc = tr_value_into(value, L, nulls, error);
  if (rc) lua_settop(L, top);
  return rc;
}

void tr_foreign_push_error(lua_State *L, int code, const char *text, const char *agent, const char *type) {
  tr_fail_push(L, code, text, agent, type);
}

void tr_foreign_read_error(lua_State *L, int at, tr_error *error) { tr_fail_read(L, at, error); }

/* --- agents --- */

typedef struct put_call { tr_script *script; tr_script_class *class_; tr_slice key; int table_ref; tr_error *error; } put_call;

/* A reference to the value at `at`, taken under protection; 0: out of memory. */
static int make_ref(lua_State *L) {
  lua_pushvalue(L, 1);
  lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
  return 1;
}

static int ref_of(lua_State *L, int at) {
  int ref = 0;
  if (!lua_checkstack(L, 8)) return 0;
  at = lua_absindex(L, at);
  lua_pushcfunction(L, make_ref);
  lua_pushvalue(L, at);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) ref = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return ref;
}

int tr_foreign_load(lua_State *L, int at, tr_script *home, tr_error *error) {
  int ref = ref_of(L, at);
  if (!ref) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = tr_script_load_table(home->foreign, ref, "a table given to rt:load", error);
  luaL_unref(L, LUA_REGISTRYINDEX, ref);
  return rc;
}

/* --- instances --- */

static int put_main(lua_State *L, void *ud) {
  const put_call *call = ud;
  tr_need_stack(L, 20);
  tr_push_ref(L, call->table_ref);
  tr_agent *agent = tr_class_get(call->class_->core_class, call->key, call->error);
  if (!agent) return call->error->code;
  tr_instance *instance = tr_instance_push(L, call->class_, agent);
  lua_insert(L, 1);
  const char *clash = tr_instance_set_self(L, instance, 1);
  if (!clash) return tr_agent_start(agent);
  tr_error_set(call->error, TR_EINVALID, "`%s` is both a field of the instance and a method", clash);
  tr_agent_stop(call->script->core, agent, TR_EINVALID, call->error->text);
  return TR_EINVALID;
}

static int find_class(tr_script *home, tr_slice id, tr_agent_id *parsed, tr_script_class **out, tr_error *error) {
  int rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), parsed, error);
  *out = rc ? NULL : tr_script_class_find(home, parsed->type);
  if (rc) return rc;
  if (!*out) return tr_error_set(error, TR_ENOT_FOUND, "no agent type \"%.*s\" here: load it first", TR_SLICE_ARG(parsed->type));
  if ((*out)->script == home)
    return tr_error_set(error, TR_EINVALID, "\"%.*s\" comes from a file: its instances live in the runtime's own state",
                        TR_SLICE_ARG(parsed->type));
  return 0;
}

int tr_foreign_put(lua_State *L, int at, tr_script *home, tr_slice id, tr_error *error) {
  tr_agent_id parsed;
  char name[2 * 4096 + 2];
  put_call call = { .script = home->foreign, .error = error };
  int rc = find_class(home, id, &parsed, &call.class_, error);
  if (rc) return rc;
  snprintf(name, sizeof name, "%.*s/%.*s", TR_SLICE_ARG(parsed.type), TR_SLICE_ARG(parsed.key));
  const tr_agent *live = tr_class_find(call.class_->core_class, parsed.key);
  if (live || tr_saved_find(home, tr_slice_of(name)))
    return tr_error_set(error, TR_EEXISTS, "%s is there already", name);
  call.key = parsed.key;
  call.table_ref = ref_of(L, at);
  if (!call.table_ref) return tr_error_set(error, TR_EMEMORY, "out of memory");
  rc = tr_script_protect(home->foreign, put_main, &call, error);
  luaL_unref(L, LUA_REGISTRYINDEX, call.table_ref);
  return rc;
}

bool tr_foreign_self(lua_State *L, tr_script *home, tr_slice id) {
  tr_agent_id parsed;
  tr_script_class *class_;
  if (find_class(home, id, &parsed, &class_, NULL) || !lua_checkstack(L, 8)) return false;
  const tr_agent *agent = tr_class_find(class_->core_class, parsed.key);
  const tr_instance *instance = agent ? agent->user : NULL;
  if (!instance || !instance->has_self) return false;
  tr_push_ref(L, class_->script->instances_ref);
  lua_rawgeti(L, -1, agent->user_ref);
  lua_getiuservalue(L, -1, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}
