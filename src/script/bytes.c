/* SPDX-License-Identifier: MIT
 * troupe.bytes(s): a string that is not text. It never changes, so receivers in the process share it. */
#include "script/internal.h"

void tr_bytes_push(lua_State *L, tr_slice bytes) {
  void *block = lua_newuserdatauv(L, bytes.n, 0);
  if (bytes.n) memcpy(block, bytes.p, bytes.n);
  tr_push_ref(L, tr_script_of(L)->bytes_ref);
  lua_setmetatable(L, -2);
}

bool tr_bytes_get(lua_State *L, int at, tr_slice *bytes) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return false;
  tr_push_ref(L, tr_script_of(L)->bytes_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  if (same) *bytes = tr_slice_make(lua_touserdata(L, at), lua_rawlen(L, at));
  return same;
}

static tr_slice check(lua_State *L, int at) {
  tr_slice bytes;
  if (!tr_bytes_get(L, at, &bytes)) luaL_argerror(L, at, "troupe.bytes expected");
  return bytes;
}

static int to_string(lua_State *L) {
  tr_slice bytes = check(L, 1);
  lua_pushlstring(L, bytes.p, bytes.n);
  return 1;
}

static int length(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L, 1).n);
  return 1;
}

static int equal(lua_State *L) {
  tr_slice a, b;
  lua_pushboolean(L, tr_bytes_get(L, 1, &a) && tr_bytes_get(L, 2, &b) && tr_slice_equal(a, b));
  return 1;
}

void tr_bytes_open(lua_State *L, tr_script *script) {
  static const luaL_Reg methods[] = { { "__tostring", to_string }, { "__len", length }, { "__eq", equal },
                                      { NULL, NULL } };
  luaL_newlib(L, methods);
  lua_pushliteral(L, "troupe.bytes");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  script->bytes_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
