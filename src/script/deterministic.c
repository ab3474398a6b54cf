/* SPDX-License-Identifier: MIT
 * What makes a script run the same each time, beside the clock (look.c) and the random source that are handed in: `pairs` and `next` in an
 * order of the keys themselves. For tests and simulations (troupe_options_t.deterministic).
 *
 * Lua's own order follows from a seed that it makes of addresses and the time of day at each start, and nobody can hand one in: an agent that
 * sends to `for id in pairs(self.members)` would send in another order in each process. Here numbers come first, by value, then texts, by their
 * bytes, then false and true. Keys that are tables or functions have no order of their own and come last, in Lua's; their addresses (what
 * tostring says of them) are another's each time, too.
 * Next: sandbox.c, where these take the place of Lua's. */
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

/* --- an order of keys --- */

typedef enum rank { NUMBER, TEXT, BOOLEAN, OTHER } rank;

typedef struct key {
  rank rank;
  bool integer;
  lua_Integer i; /* of a boolean, too */
  lua_Number n;
  tr_slice text; /* borrowed of the table */
  lua_Integer place; /* in Lua's order */
} key;

static key key_at(lua_State *L, int at) {
  key k = { .rank = OTHER };
  switch (lua_type(L, at)) {
  case LUA_TNUMBER:
    k.rank = NUMBER;
    k.integer = lua_isinteger(L, at);
    k.i = k.integer ? lua_tointeger(L, at) : 0;
    k.n = lua_tonumber(L, at);
    break;
  case LUA_TSTRING:
    k.rank = TEXT;
    k.text.p = lua_tolstring(L, at, &k.text.n);
    break;
  case LUA_TBOOLEAN:
    k.rank = BOOLEAN;
    k.i = lua_toboolean(L, at);
    break;
  default: break;
  }
  return k;
}

static int by_text(tr_slice a, tr_slice b) {
  int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
  return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare(const void *left, const void *right) {
  const key *a = left, *b = right;
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  if (a->rank == TEXT) return by_text(a->text, b->text);
  if (a->rank == NUMBER && !(a->integer && b->integer) && a->n != b->n) return a->n < b->n ? -1 : 1;
  if (a->rank != OTHER && a->i != b->i) return a->i < b->i ? -1 : 1;
  return (a->place > b->place) - (a->place < b->place);
}

static void push_key(lua_State *L, const key *k) {
  if (k->rank == TEXT) lua_pushlstring(L, k->text.p, k->text.n);
  else if (k->rank == BOOLEAN) lua_pushboolean(L, (int)k->i);
  else if (k->integer) lua_pushinteger(L, k->i);
  else lua_pushnumber(L, k->n);
}

/* --- pairs --- */

static size_t count(lua_State *L, int table) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) n++;
  return n;
}

/* A list of the keys of the table at 1, in order, on the top. Where it is weak, the collector may take some away on the way: only what is in
 * `list` counts, which holds them while they are sorted. */
static void push_keys(lua_State *L) {
  size_t most = count(L, 1), n = 0;
  tr_meter_charge(L, most * 4);
  key *keys = lua_newuserdatauv(L, (most ? most : 1) * sizeof *keys, 0);
  lua_createtable(L, (int)most, 0);
  int list = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    if (n == most) continue;
    keys[n] = key_at(L, -2);
    keys[n].place = (lua_Integer)n + 1;
    n++;
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, (lua_Integer)n);
  }
  qsort(keys, n, sizeof *keys, compare);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, list, keys[i].place);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

/* Upvalues: the keys, how many of them were given. What was set to nil meanwhile is passed over. */
static int next_pair(lua_State *L) {
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(2));
  luaL_checktype(L, 1, LUA_TTABLE);
  for (;;) {
    lua_settop(L, 1);
    if (lua_rawgeti(L, lua_upvalueindex(1), ++at) == LUA_TNIL) return 1;
    lua_pushvalue(L, -1);
    if (lua_rawget(L, 1) != LUA_TNIL) break;
  }
  lua_pushinteger(L, at);
  lua_replace(L, lua_upvalueindex(2));
  return 2;
}

static int pairs_k(lua_State *L, int status, lua_KContext ud) {
  (void)L, (void)status, (void)ud;
  return 3;
}

static int ordered_pairs(lua_State *L) {
  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_callk(L, 1, 3, 0, pairs_k);
    return 3;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  push_keys(L);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_pair, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* --- next: each step looks at all keys, so that it keeps nothing --- */

/* After the key at 2 (nil: from the first), the smallest that is greater; false: none but OTHERs. */
static bool find_next(lua_State *L, key *best, size_t *looked) {
  bool found = false, first = lua_isnil(L, 2);
  key after = key_at(L, 2);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    key k = key_at(L, -2);
    ++*looked;
    if (k.rank == OTHER || (!first && compare(&k, &after) <= 0) || (found && compare(&k, best) >= 0)) continue;
    *best = k;
    found = true;
  }
  return found;
}

/* The first OTHER in Lua's order behind the key on the top, which it takes. */
static int next_other(lua_State *L) {
  while (lua_next(L, 1)) {
    if (key_at(L, -2).rank == OTHER) return 2;
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  return 1;
}

static int ordered_next(lua_State *L) {
  key best;
  size_t looked = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  bool other = !lua_isnil(L, 2) && key_at(L, 2).rank == OTHER;
  if (other) {
    lua_pushvalue(L, 2);
    return next_other(L);
  }
  bool found = find_next(L, &best, &looked);
  if (looked > 4) tr_meter_charge(L, looked / 4);
  if (!found) {
    lua_pushnil(L);
    return next_other(L);
  }
  push_key(L, &best);
  lua_pushvalue(L, -1);
  lua_rawget(L, 1);
  return 2;
}

void tr_deterministic_install(lua_State *L, int template) {
  lua_pushcfunction(L, ordered_pairs);
  lua_setfield(L, template, "pairs");
  lua_pushcfunction(L, ordered_next);
  lua_setfield(L, template, "next");
}
