/* SPDX-License-Identifier: MIT
 * Bounds for library functions that a few bytes of script could keep busy for ever in C, where no hook looks.
 *
 * What they are about to do is charged to the turn's instructions, so that one limit bounds both; sizes are taken
 * raw, since a __len can say anything, and say something else the second time. Patterns: pattern.c. */
#include "script/internal.h"

#define STRING_MAX (256u << 20)
#define RESULTS_MOST 32000
#define META_STEPS 20 /* a call of a C function */
#define DATE_STEPS 100 /* a conversion of strftime, which may look at the time zone's file */

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

/* How many there are. */
static uint64_t span(lua_Integer from, lua_Integer to) {
  uint64_t between = (uint64_t)to - (uint64_t)from;
  return to < from ? 0 : between == UINT64_MAX ? between : between + 1;
}

/* What reading or writing so many elements costs: through a metamethod, which may be a C function that no hook sees, much more. */
static void charge_elements(lua_State *L, bool meta, uint64_t count) {
  tr_meter_charge(L, !meta ? count : count > UINT64_MAX / META_STEPS ? UINT64_MAX : count * META_STEPS);
}

static bool has_metatable(lua_State *L, int at) {
  bool has = lua_getmetatable(L, at);
  if (has) lua_pop(L, 1);
  return has;
}

static int guard_move(lua_State *L) {
  lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
  charge_elements(L, has_metatable(L, 1) || (!lua_isnone(L, 5) && has_metatable(L, 5)), span(from, to));
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
  uint64_t count = span(from, to);
  bool meta = has_metatable(L, 1);
  if (!meta && count > length + 1) count = length + 1; /* it ends at the first element that is not there */
  charge_elements(L, meta, count);
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

/* How many values a C function may give at once: more would make long stacks, and those are in the way (alloc.c). */
static void check_results(lua_State *L, uint64_t count, const char *what) {
  if (count > RESULTS_MOST) luaL_error(L, "%s (more than %d)", what, RESULTS_MOST);
}

static int guard_unpack(lua_State *L) {
  lua_Integer from = luaL_optinteger(L, 2, 1), to = lua_isnoneornil(L, 3) ? (lua_Integer)lua_rawlen(L, 1) : luaL_checkinteger(L, 3);
  uint64_t count = span(from, to);
  check_results(L, count, "too many results to unpack");
  if (has_metatable(L, 1)) charge_elements(L, true, count);
  else tr_meter_charge(L, count / 16);
  return call_original(L);
}

/* string.byte and utf8.codepoint: of places in a string, which may be counted from its end. */
static int guard_slice(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  lua_Integer from = luaL_optinteger(L, 2, 1), to = luaL_optinteger(L, 3, from), n = (lua_Integer)length;
  if (from < 0) from = from < -n ? 1 : n + from + 1;
  if (to < 0) to = to < -n ? 0 : n + to + 1;
  check_results(L, span(from, to < n ? to : n), "string slice too long");
  return call_original(L);
}

static int guard_date(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) tr_meter_charge(L, (uint64_t)lua_rawlen(L, 1) * DATE_STEPS);
  return call_original(L);
}

static const luaL_Reg os_guards[] = { { "date", guard_date }, { NULL, NULL } };
static const luaL_Reg utf8_guards[] = { { "len", guard_text }, { "offset", guard_text }, { "codepoint", guard_slice }, { NULL, NULL } };
static const luaL_Reg string_guards[] = { { "rep", guard_rep }, { "byte", guard_slice }, { NULL, NULL } };
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
  if (strcmp(library, "os") == 0) guards = os_guards;
  for (; guards && guards->name; guards++) {
    lua_getfield(L, -1, guards->name);
    lua_pushcclosure(L, guards->func, 1);
    lua_setfield(L, -2, guards->name);
  }
  if (strcmp(library, "string") == 0) luaL_setfuncs(L, tr_pattern_functions, 0);
}
