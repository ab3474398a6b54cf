/* SPDX-License-Identifier: MIT
 * ctx:launch: an agent in a process of its own, or of a server that runs already.
 *
 * Here its table is read and checked; the process is the runtime's business, by a hook. What it gives is a proxy. A launched agent is
 * found under its id by everybody in this process; one of a server only by its proxy, which is bound to it. */
#include <stdio.h>

#include "base/text.h"
#include "core/id.h"
#include "script/internal.h"

#define LIST_MOST 65 /* one more than the runtime takes: so it is what says so */

static const char *const keys[] = { "file", "type", "key", "host", "args", "lazy", "allow", NULL };

static void check_keys(lua_State *L) {
  if (lua_gettop(L) != 2 || !lua_istable(L, 2)) tr_fail_raise(L, TR_EINVALID, "launch takes one table: ctx:launch{ file = \"agent.lua\" }");
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (tr_name_in(keys, name)) continue;
    const char *nearest = tr_text_nearest(tr_slice_of(name), keys);
    if (nearest) tr_fail_raise(L, TR_EINVALID, "launch has no `%s`; did you mean `%s`?", name, nearest);
    tr_fail_raise(L, TR_EINVALID, "launch has no `%s`", name);
  }
}

/* The text of a key, left on the stack; p NULL where it is not given. */
static tr_slice text_of(lua_State *L, const char *name) {
  tr_slice text = { NULL, 0 };
  tr_raw_field(L, 2, name);
  if (lua_isnil(L, -1)) return text;
  if (lua_type(L, -1) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "launch: `%s` must be a string, not %s", name, tr_type_name(L, -1));
  text.p = lua_tolstring(L, -1, &text.n);
  if (text.n == 0) tr_fail_raise(L, TR_EINVALID, "launch: `%s` is empty", name);
  return text;
}

/* A list of strings, each left on the stack (numbers become text); SIZE_MAX where it is not given. */
static size_t list_of(lua_State *L, const char *name, tr_slice *out) {
  tr_raw_field(L, 2, name);
  int at = lua_gettop(L);
  if (lua_isnil(L, at)) return SIZE_MAX;
  if (!lua_istable(L, at)) tr_fail_raise(L, TR_EINVALID, "launch: `%s` must be a list, not %s", name, tr_type_name(L, at));
  lua_Unsigned n = lua_rawlen(L, at);
  if (n > LIST_MOST) n = LIST_MOST;
  tr_need_stack(L, (int)n + 10);
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, at, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      tr_fail_raise(L, TR_EINVALID, "launch: %s[%d] must be a string, not %s", name, (int)i + 1, tr_type_name(L, -1));
    out[i].p = lua_tolstring(L, -1, &out[i].n);
  }
  return (size_t)n;
}

/* A relative file is beside the script that names it. Pushed. */
static tr_slice resolve(lua_State *L, const tr_lua_turn *lt, tr_slice file) {
  const tr_script_file *own = tr_class_whole(lt->instance->class_)->file;
  const char *slash = own && !own->from_memory ? strrchr(own->name, '/') : NULL;
  if (strlen(file.p) != file.n) tr_fail_raise(L, TR_EINVALID, "launch: `file` has a zero byte");
  if (file.p[0] == '/') lua_pushlstring(L, file.p, file.n);
  else if (!slash) lua_pushfstring(L, "./%s", file.p);
  else {
    lua_pushlstring(L, own->name, (size_t)(slash - own->name + 1));
    lua_pushlstring(L, file.p, file.n);
    lua_concat(L, 2);
  }
  file.p = lua_tolstring(L, -1, &file.n);
  return file;
}

/* Push the id of the agent; its parts go into `asked`, a type that was not given is the file's name. */
static void push_id(lua_State *L, tr_script_launch *asked, tr_slice type, tr_slice key, tr_slice file) {
  char name[256];
  tr_error error;
  tr_error_init(&error);
  if (type.p) lua_pushlstring(L, type.p, type.n);
  else {
    tr_type_from_name(file.p, name, sizeof name);
    lua_pushstring(L, name);
  }
  asked->type.p = lua_tolstring(L, -1, &asked->type.n);
  asked->key = key.p ? key : TR_SLICE_LITERAL("default");
  if (tr_agent_type_check(asked->type, &error) || tr_key_check(asked->key, &error)) tr_fail_raise_error(L, &error);
  lua_pushlstring(L, asked->type.p, asked->type.n);
  lua_pushliteral(L, "/");
  lua_pushlstring(L, asked->key.p, asked->key.n);
  lua_concat(L, 3);
  tr_address_agent(L, lua_gettop(L), lua_upvalueindex(TR_UP_AGENTS)); /* or it raises */
}

/* host = ADDRESS: nothing is started, the server has the agent. */
static int attach(lua_State *L, tr_slice type, tr_slice key, tr_slice file) {
  tr_script_launch asked = { 0 };
  if (!type.p && !file.p) tr_fail_raise(L, TR_EINVALID, "launch: with `host`, `type` says which agent");
  tr_raw_field(L, 2, "host");
  uint32_t via = tr_check_uplink(L, lua_gettop(L));
  push_id(L, &asked, type, key, file);
  tr_proxy_push(L, via);
  return 1;
}

static int ctx_launch(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  const tr_script_options *options = &lt->script->options;
  tr_slice args[LIST_MOST], allow[LIST_MOST];
  tr_error error;
  tr_error_init(&error);
  check_keys(L);
  tr_slice file = text_of(L, "file"), type = text_of(L, "type"), key = text_of(L, "key");
  if (text_of(L, "host").p) return attach(L, type, key, file);
  if (!file.p) tr_fail_raise(L, TR_EINVALID, "launch needs a `file` (or a `host`)");
  if (!options->launch) tr_fail_raise(L, TR_EINVALID, "this runtime launches no processes");
  tr_script_launch asked = { .args = args, .allow = allow };
  asked.argc = list_of(L, "args", args);
  if (asked.argc == SIZE_MAX) asked.argc = 0;
  asked.allow_count = list_of(L, "allow", allow);
  tr_raw_field(L, 2, "lazy");
  asked.lazy = lua_toboolean(L, -1);
  asked.file = resolve(L, lt, file);
  push_id(L, &asked, type, key, file);
  if (options->launch(options->ud, &asked, &error)) tr_fail_raise_error(L, &error);
  tr_proxy_push(L, 0);
  return 1;
}

const luaL_Reg tr_ctx_launch_methods[] = { { "launch", ctx_launch }, { NULL, NULL } };
