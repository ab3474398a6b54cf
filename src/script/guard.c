/* SPDX-License-Identifier: MIT
 * Bounds for library functions that a few bytes of script could keep busy for ever in C, where no hook looks.
 *
 * What they are about to do is charged to the turn's instructions, so that one limit bounds both; sizes are taken
 * raw, since a __len can say anything, and say something else the second time. Patterns: pattern.c. */
#include "script/internal.h"

#define STRING_MAX (256u << 20)

static int call_original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static size_t check_length(lua_State *L, const char *what) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL) luaL_error(L, "%s: a table with __len is not taken here", what);
  return (size_t)lua_rawlen(L, 1);
}

static int guard_rep(lua_State *L) {
  size_t length, extra = 0;
  luaL_checklstring(L, 1, &length);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_optlstring(L, 3, "", &extra);
  if (n <= 0 || length + extra == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((uint64_t)n > STRING_MAX / (length + extra))
    return luaL_error(L, "string.rep: the result would be larger than %d MiB", STRING_MAX >> 20);
  tr_meter_charge(L, (uint64_t)n + (uint64_t)n * (length + extra) / 16);
  return call_original(L);
}

static int guard_move(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
  if (to >= from) tr_meter_charge(L, (uint64_t)to - (uint64_t)from + 1);
  return call_original(L);
}

static int guard_sort(lua_State *L) {
  size_t n = check_length(L, "table.sort");
  uint64_t steps = 0;
  for (size_t left = n; left > 0; left >>= 1) steps += n;
  tr_meter_charge(L, steps);
  return call_original(L);
}

static int guard_concat(lua_State *L) {
  size_t length = check_length(L, "table.concat");
  lua_Integer from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, (lua_Integer)length);
  uint64_t count = to >= from ? (uint64_t)to - (uint64_t)from + 1 : 0;
  /* Without a metatable it ends at the first element that is not there. */
  if (!lua_getmetatable(L, 1)) count = count > length + 1 ? length + 1 : count;
  else lua_pop(L, 1);
  tr_meter_charge(L, count);
  return call_original(L);
}

static int guard_insert(lua_State *L) {
  tr_meter_charge(L, check_length(L, "table.insert") / 16);
  return call_original(L);
}

static int guard_remove(lua_State *L) {
  tr_meter_charge(L, check_length(L, "table.remove") / 16);
  return call_original(L);
}

/* A look at every byte of a string, for nothing. */
static int guard_text(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) tr_meter_charge(L, lua_rawlen(L, 1) / 16);
  return call_original(L);
}

static int guard_unpack(lua_State *L) {
  lua_Integer from = luaL_optinteger(L, 2, 1), to = lua_isnoneornil(L, 3) ? (lua_Integer)lua_rawlen(L, 1) : luaL_checkinteger(L, 3);
  uint64_t count = to > from ? (uint64_t)to - (uint64_t)from : 0;
  tr_meter_charge(L, (count < LUAI_MAXSTACK ? count : LUAI_MAXSTACK) / 16); /* more is refused */
  return call_original(L);
}

static const luaL_Reg utf8_guards[] = { { "len", guard_text }, { "offset", guard_text }, { NULL, NULL } };
static const luaL_Reg string_guards[] = { { "rep", guard_rep }, { NULL, NULL } };
static const luaL_Reg table_guards[] = {
  { "move", guard_move }, { "sort", guard_sort }, { "concat", guard_concat }, { "insert", guard_insert },
  { "remove", guard_remove }, { "unpack", guard_unpack },
  { NULL, NULL }
};

void tr_guard_install(lua_State *L, const char *library) {
  const luaL_Reg *guards = NULL;
  if (strcmp(library, "string") == 0) guards = string_guards;
  if (strcmp(library, "table") == 0) guards = table_guards;
  if (strcmp(library, "utf8") == 0) guards = utf8_guards;
  for (; guards && guards->name; guards++) {
    lua_getfield(L, -1, guards->name);
    lua_pushcclosure(L, guards->func, 1);
    lua_setfield(L, -2, guards->name);
  }
  if (strcmp(library, "string") == 0) luaL_setfuncs(L, tr_pattern_functions, 0);
}
