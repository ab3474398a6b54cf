/* SPDX-License-Identifier: MIT
 * The table `troupe` of scripts: null, array, bytes, split, version, and what token.c, gather.c and placeholder.c
 * give. What needs no C is in lua/troupe. */
#include "core/id.h"
#include "script/internal.h"

#ifndef TR_VERSION
#define TR_VERSION "0"
#endif

static int null_tostring(lua_State *L) {
  lua_pushliteral(L, "null");
  return 1;
}

static int array(lua_State *L) {
  if (lua_gettop(L) == 0) lua_newtable(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (tr_is_array(L, 1)) return 1;
  if (lua_getmetatable(L, 1)) return luaL_error(L, "troupe.array: the table has a metatable already");
  tr_mark_array(L);
  return 1;
}

static int bytes(lua_State *L) {
  tr_slice text;
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string");
  text.p = lua_tolstring(L, 1, &text.n);
  tr_bytes_push(L, text);
  return 1;
}

static int split(lua_State *L) {
  tr_agent_id id;
  tr_error error;
  tr_slice text;
  tr_error_init(&error);
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string");
  text.p = lua_tolstring(L, 1, &text.n);
  if (tr_agent_id_parse(text, TR_SLICE_LITERAL("default"), &id, &error)) tr_fail_raise_error(L, &error);
  lua_pushlstring(L, id.type.p, id.type.n);
  lua_pushlstring(L, id.key.p ? id.key.p : "", id.key.n);
  return 2;
}

static int later(lua_State *L) { tr_fail_raise(L, TR_EINVALID, "troupe.%s is not available yet",
                                               lua_tostring(L, lua_upvalueindex(1))); }

void tr_library_open(lua_State *L, tr_script *script) {
  static const luaL_Reg functions[] = { { "array", array }, { "bytes", bytes }, { "split", split }, { NULL, NULL } };
  luaL_newlib(L, functions);
  luaL_setfuncs(L, tr_token_functions, 0);
  luaL_setfuncs(L, tr_gather_functions, 0);
  luaL_setfuncs(L, tr_placeholder_functions, 0);
  lua_pushliteral(L, TR_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushlightuserdata(L, NULL);
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, null_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "troupe.null");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  if (lua_getmetatable(L, -2)) lua_pop(L, 2); /* of a state that is not ours: it has one for all light userdata */
  else lua_setmetatable(L, -2); /* of all light userdata: scripts see no other */
  lua_setfield(L, -2, "null");
  for (const char *const *name = tr_later_functions; *name; name++) {
    lua_pushstring(L, *name);
    lua_pushcclosure(L, later, 1);
    lua_setfield(L, -2, *name);
  }
  script->library_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "troupe.array");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  script->array_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tr_library_push(lua_State *L) {
  tr_push_ref(L, tr_script_of(L)->library_ref);
  lua_createtable(L, 0, 16);
  for (lua_pushnil(L); lua_next(L, -3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}
