/* SPDX-License-Identifier: MIT
 * What a script finds in its environment: an allow-list, made fresh for each file.
 *
 * The standard libraries are opened once, out of reach; a template holds what is allowed of them, with bounds
 * (guard.c) and replacements below. Each file gets copies of the template's tables, so that no file can change what
 * another one calls. What is shared by the whole state, the metatable of strings, is locked. Not there: io, debug,
 * package, os but for the clock, bytecode in and out, __gc, the collector's controls. */
#include "base/text.h"
#include "script/internal.h"

/* --- replacements --- */

static int sandbox_print(lua_State *L) {
  tr_script *script = tr_script_of(L);
  int n = lua_gettop(L);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_pushresult(&line);
  tr_slice text;
  text.p = lua_tolstring(L, -1, &text.n);
  if (!tr_output_take(L, text.n)) return 0;
  if (text.n > TR_OUTPUT_LINE) {
    lua_pushlstring(L, text.p, tr_utf8_cut(text, TR_OUTPUT_LINE));
    lua_pushfstring(L, "… (%I bytes)", (LUAI_UACINT)text.n);
    lua_concat(L, 2);
    text.p = lua_tolstring(L, -1, &text.n);
  }
  if (script->options.print) script->options.print(script->options.ud, text);
  return 0;
}

static int sandbox_warn(lua_State *L) {
  const tr_log *log = tr_core_log(tr_script_of(L)->core);
  int n = lua_gettop(L);
  luaL_checkstring(L, 1);
  for (int i = 2; i <= n; i++) luaL_checkstring(L, i);
  if (!tr_output_take(L, 0)) return 0;
  lua_concat(L, n);
  tr_log_write(log, TR_LOG_WARN, "script.warn", "text=\"%s\"", luaL_gsub(L, lua_tostring(L, -1), "\n", " | "));
  return 0;
}

static int sandbox_setmetatable(lua_State *L) {
  int type = lua_type(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) return luaL_error(L, "cannot change a protected metatable");
  if (type == LUA_TTABLE && tr_raw_field(L, 2, "__gc") != LUA_TNIL)
    return luaL_error(L, "setmetatable: __gc is not allowed in scripts");
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int sandbox_collectgarbage(lua_State *L) {
  const char *what = luaL_optstring(L, 1, "collect");
  if (strcmp(what, "count") != 0) return luaL_error(L, "collectgarbage: only \"count\" is allowed in scripts");
  lua_pushnumber(L, (lua_Number)lua_gc(L, LUA_GCCOUNT) + (lua_Number)lua_gc(L, LUA_GCCOUNTB) / 1024);
  return 1;
}

/* Upvalues: environment, Lua's own load. Text only, whatever mode is asked for. */
static int sandbox_load(lua_State *L) {
  bool has_env = lua_gettop(L) >= 4;
  lua_settop(L, 4);
  if (lua_type(L, 1) == LUA_TSTRING) tr_meter_charge(L, lua_rawlen(L, 1));
  lua_pushliteral(L, "t");
  lua_replace(L, 3);
  if (!has_env) {
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_replace(L, 4);
  }
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, 4, LUA_MULTRET);
  return lua_gettop(L);
}

/* --- the template --- */

static const char *const base_names[] = {
  "assert", "error", "getmetatable", "ipairs", "load", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen",
  "rawset", "select",
  "tonumber", "tostring", "type", "_VERSION", NULL
};
static const char *const string_names[] = {
  "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack", "packsize", "rep", "reverse",
  "sub", "unpack", "upper",
  NULL
};
static const char *const table_names[] = { "concat", "insert", "move", "pack", "remove", "sort", "unpack", NULL };
static const char *const math_names[] = {
  "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max", "maxinteger",
  "min", "mininteger",
  "modf", "pi", "rad", "random", "randomseed", "sin", "sqrt", "tan", "tointeger", "type", "ult", NULL
};
static const char *const utf8_names[] = { "char", "charpattern", "codepoint", "codes", "len", "offset", NULL };
static const char *const os_names[] = { "clock", "date", "difftime", "time", NULL };

static const struct library { const char *name; lua_CFunction open; const char *const *names; } libraries[] = {
  { "string", luaopen_string, string_names }, { "table", luaopen_table, table_names },
  { "math", luaopen_math, math_names },
  { "utf8", luaopen_utf8, utf8_names }, { "os", luaopen_os, os_names },
};

static const luaL_Reg replacements[] = {
  { "print", sandbox_print }, { "warn", sandbox_warn }, { "setmetatable", sandbox_setmetatable },
  { "collectgarbage", sandbox_collectgarbage }, { "xpcall", tr_xpcall }, { "ipairs", tr_ipairs },
  { NULL, NULL }
};

/* From the table on the top into a new one. */
static void pick(lua_State *L, const char *const *names) {
  lua_createtable(L, 0, 24);
  for (; *names; names++) {
    lua_getfield(L, -2, *names);
    lua_setfield(L, -2, *names);
  }
}

static void seed_random(lua_State *L, tr_script *script) {
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)tr_random_next(tr_core_random(script->core)));
  lua_pushinteger(L, (lua_Integer)tr_random_next(tr_core_random(script->core)));
  lua_call(L, 2, 0);
}

/* The metatable of strings leads to the guarded functions, and cannot be reached. */
static void lock_strings(lua_State *L) {
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
}

void tr_sandbox_open(lua_State *L, tr_script *script) {
  luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
  pick(L, base_names);
  lua_remove(L, -2);
  int template = lua_gettop(L);
  luaL_setfuncs(L, replacements, 0);
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    const struct library *library = &libraries[i];
    luaL_requiref(L, library->name, library->open, 0);
    tr_guard_install(L, library->name);
    if (strcmp(library->name, "math") == 0) seed_random(L, script);
    pick(L, library->names);
    if (strcmp(library->name, "string") == 0) {
      pick(L, library->names); /* strings have a copy of their own: no script can write to it */
      lock_strings(L);
      lua_pop(L, 1);
    }
    lua_setfield(L, template, library->name);
    lua_settop(L, template);
  }
  tr_coroutine_push(L);
  lua_setfield(L, template, "coroutine");
  tr_looks_install(L, script);
  if (script->options.deterministic) tr_deterministic_install(L, template);
  script->sandbox_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* --- one environment --- */

static void copy_table(lua_State *L) {
  lua_createtable(L, 0, 24);
  for (lua_pushnil(L); lua_next(L, -3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_replace(L, -2);
}

void tr_sandbox_push(lua_State *L, int unit) {
  unit = lua_absindex(L, unit);
  tr_need_stack(L, 12);
  lua_createtable(L, 0, 40);
  int env = lua_gettop(L);
  tr_push_ref(L, tr_script_of(L)->sandbox_ref);
  for (lua_pushnil(L); lua_next(L, env + 1);) {
    if (lua_istable(L, -1)) copy_table(L);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, env);
  }
  lua_pop(L, 1);
  lua_pushvalue(L, env);
  lua_setfield(L, env, "_G");
  lua_pushvalue(L, env);
  lua_getfield(L, env, "load");
  lua_pushcclosure(L, sandbox_load, 2);
  lua_setfield(L, env, "load");
  tr_library_push(L);
  lua_pushvalue(L, unit);
  lua_pushcclosure(L, tr_protobuf, 1); /* it reads files: of this unit's folder */
  lua_setfield(L, -2, "protobuf");
  tr_outside_install(L, env);
  lua_pushvalue(L, -1);
  lua_setfield(L, env, "troupe");
  lua_pushvalue(L, unit);
  lua_pushvalue(L, env);
  lua_createtable(L, 0, 4); /* loaded */
  lua_pushvalue(L, -4);
  lua_setfield(L, -2, "troupe");
  lua_pushcclosure(L, tr_require, 3);
  lua_setfield(L, env, "require");
  lua_settop(L, env);
  lua_pushvalue(L, env);
  lua_setiuservalue(L, unit, 1);
}
