/* SPDX-License-Identifier: MIT
 * A network in memory, for lua/troupe/testing.lua: runtime/fabric.h as a userdata. Times are microseconds of the nodes' clock. */
#include "module/module.h"
#include "runtime/fabric.h"

#define FABRIC_META "troupe.fabric"

typedef struct lua_fabric { tr_fabric *fabric; } lua_fabric;

static tr_fabric *check(lua_State *L) { return ((lua_fabric *)luaL_checkudata(L, 1, FABRIC_META))->fabric; }

/* The runtime at index 2; the name of a node at 3. */
static tr_lua_runtime *node(lua_State *L) {
  tr_lua_runtime *self = luaL_checkudata(L, 2, TR_RUNTIME_META);
  if (!self->rt) tr_module_raise(L, TR_EINVALID, "the runtime is closed");
  return self;
}

static int serve(lua_State *L) {
  tr_lua_runtime *self = node(L);
  tr_module_result(L, self, tr_fabric_serve(check(L), self->rt, luaL_checkstring(L, 3)));
  return 0;
}

static int join(lua_State *L) {
  tr_lua_runtime *self = node(L);
  tr_module_result(L, self, tr_fabric_join(check(L), self->rt, luaL_checkstring(L, 3)));
  return 0;
}

static int cut(lua_State *L) {
  tr_fabric_cut(check(L), node(L)->rt, luaL_checkstring(L, 3));
  return 0;
}

static int stall(lua_State *L) {
  tr_fabric_stall(check(L), node(L)->rt, luaL_checkstring(L, 3), lua_toboolean(L, 4));
  return 0;
}

static int joined(lua_State *L) {
  lua_pushboolean(L, tr_fabric_joined(node(L)->rt));
  return 1;
}

/* self:weather(delay_min, delay_max, cut_one_in, piece) */
static int weather(lua_State *L) {
  tr_fabric_weather w = { .delay_min = (tr_time)luaL_checkinteger(L, 2), .delay_max = (tr_time)luaL_checkinteger(L, 3),
                          .cut_one_in = (unsigned)luaL_checkinteger(L, 4), .piece = (size_t)luaL_checkinteger(L, 5) };
  luaL_argcheck(L, w.delay_min >= 0 && w.delay_max >= w.delay_min, 3, "a delay must not be below the least one");
  tr_fabric_set_weather(check(L), &w);
  return 0;
}

static int step(lua_State *L) {
  lua_pushboolean(L, tr_fabric_step(check(L), (tr_time)luaL_checkinteger(L, 2)));
  return 1;
}

static int next_time(lua_State *L) {
  tr_time at = tr_fabric_next(check(L));
  if (at == TR_NEVER) lua_pushnil(L);
  else lua_pushinteger(L, (lua_Integer)at);
  return 1;
}

/* → packets, bytes, dials, refused, cuts */
static int stats(lua_State *L) {
  tr_fabric_stats s;
  tr_fabric_get_stats(check(L), &s);
  const uint64_t all[] = { s.packets, s.bytes, s.dials, s.refused, s.cuts };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lua_pushinteger(L, (lua_Integer)all[i]);
  return sizeof all / sizeof *all;
}

static int collect(lua_State *L) {
  lua_fabric *self = luaL_checkudata(L, 1, FABRIC_META);
  tr_fabric_unref(self->fabric);
  self->fabric = NULL;
  return 0;
}

int tr_module_fabric(lua_State *L) {
  static const luaL_Reg methods[] = { { "serve", serve }, { "join", join }, { "cut", cut }, { "stall", stall }, { "joined", joined },
                                      { "weather", weather }, { "step", step }, { "next", next_time }, { "stats", stats }, { NULL, NULL } };
  lua_Integer seed = luaL_checkinteger(L, 1);
  lua_fabric *self = lua_newuserdatauv(L, sizeof *self, 0);
  self->fabric = NULL;
  if (luaL_newmetatable(L, FABRIC_META)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  self->fabric = tr_fabric_new(NULL, (uint64_t)seed);
  if (!self->fabric) tr_module_raise(L, TR_EMEMORY, "out of memory");
  return 1;
}
