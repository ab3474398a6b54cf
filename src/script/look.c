/* SPDX-License-Identifier: MIT
 * What scripts learn that is in no message, the time and random numbers, where somebody wants to know of it or to say what it is: a record
 * keeps it, a replay gives it again, a test has a time of its own (runtime/looks.c).
 *
 * os.time, os.date, os.clock and math.random are replaced in the sandbox's template, before files take copies of it; without anybody who
 * listens they are Lua's own, and cost what those cost. Each turn counts what it asks for, so the same code is told the same again, and has
 * random numbers of its own: what others draw in between changes none of them. What runs outside of a turn (a file's chunk) draws from
 * the state's generator, whose seed is given. */
#include "base/text.h"
#include "script/internal.h"

struct tr_looked { /* of a turn, from its first look on */
  tr_random random;
  uint64_t counts[TR_LOOK_KINDS], changes[TR_LOOK_KINDS];
  int64_t last[TR_LOOK_KINDS];
  void *kept;
};

/* NULL: no turn runs, or there is no memory: then nobody is told of it. */
static tr_looked *looked_of(tr_script *script) {
  tr_lua_turn *lt = script->running;
  if (lt && !lt->looked) lt->looked = TR_NEW(script->mem, tr_looked);
  return lt ? lt->looked : NULL;
}

int64_t tr_look_at(tr_script *script, tr_look_kind kind, int64_t value) {
  const tr_looks *looks = &tr_script_home(script)->looks;
  tr_looked *looked = looks->turns ? looked_of(script) : NULL;
  tr_look look = { .kind = kind, .value = value };
  if (looked) {
    const tr_turn *turn = script->running->turn;
    bool same = looked->counts[kind] && looked->last[kind] == value;
    look.turn = turn;
    look.nth = looked->counts[kind]++;
    look.change = same ? 0 : ++looked->changes[kind];
    look.kept = &looked->kept;
    looked->last[kind] = value;
  }
  return looks->fn(looks->ud, &look);
}

void tr_looked_free(tr_script *script, tr_lua_turn *lt) {
  TR_DELETE(script->mem, lt->looked);
  lt->looked = NULL;
}

/* --- the time --- */

/* Upvalue 1 of each: Lua's own. */
static int64_t system_time(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 0, 1);
  int64_t value = (int64_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

static int call_own(lua_State *L, int upvalue) {
  lua_pushvalue(L, lua_upvalueindex(upvalue));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int look_time(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) return call_own(L, 1);
  lua_pushinteger(L, (lua_Integer)tr_look_at(tr_script_of(L), TR_LOOK_TIME, system_time(L)));
  return 1;
}

/* Upvalue 2: os.date. */
static int look_date(lua_State *L) {
  if (!lua_isnoneornil(L, 2)) return call_own(L, 2);
  luaL_optstring(L, 1, "%c");
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_pushliteral(L, "%c");
    lua_replace(L, 1);
  }
  lua_pushinteger(L, (lua_Integer)tr_look_at(tr_script_of(L), TR_LOOK_TIME, system_time(L)));
  return call_own(L, 2);
}

static int look_clock(lua_State *L) {
  lua_settop(L, 0);
  call_own(L, 1);
  int64_t value = tr_look_at(tr_script_of(L), TR_LOOK_CPU, (int64_t)(lua_tonumber(L, -1) * 1e6 + 0.5));
  lua_pushnumber(L, (lua_Number)value / 1e6);
  return 1;
}

/* --- random numbers --- */

/* The running turn's, seeded. NULL: there is none, and the state's own generator is to be used. */
static tr_random *random_of(lua_State *L) {
  tr_script *script = tr_script_of(L);
  tr_looked *looked = looked_of(script);
  if (!looked) return NULL;
  if (!looked->counts[TR_LOOK_SEED]) /* 53 bits: a number that any reader of JSON can read */
    tr_random_init(&looked->random, (uint64_t)tr_look_at(script, TR_LOOK_SEED, (int64_t)(tr_random_next(tr_core_random(script->core)) >> 11)));
  return &looked->random;
}

/* One of 0 to most, each as likely: what is beyond is drawn again, from as few bits as hold it. */
static uint64_t draw(tr_random *random, uint64_t most) {
  uint64_t mask = most, value;
  for (int shift = 1; shift < 64; shift *= 2) mask |= mask >> shift;
  do value = tr_random_next(random) & mask;
  while (value > most);
  return value;
}

static int look_random(lua_State *L) {
  tr_random *random = random_of(L);
  int n = lua_gettop(L);
  if (!random) return call_own(L, 1);
  if (n == 0) {
    lua_pushnumber(L, (lua_Number)(tr_random_next(random) >> 11) * 0x1p-53);
    return 1;
  }
  if (n > 2) return luaL_error(L, "wrong number of arguments");
  lua_Integer low = n == 2 ? luaL_checkinteger(L, 1) : 1, high = luaL_checkinteger(L, n);
  if (n == 1 && high == 0) {
    lua_pushinteger(L, (lua_Integer)tr_random_next(random));
    return 1;
  }
  luaL_argcheck(L, low <= high, n, "interval is empty");
  lua_pushinteger(L, (lua_Integer)((uint64_t)low + draw(random, (uint64_t)high - (uint64_t)low)));
  return 1;
}

/* Of the turn: without a seed it keeps the one it has, which is random. */
static int look_seed(lua_State *L) {
  tr_random *random = random_of(L);
  if (!random) return call_own(L, 1);
  if (lua_isnone(L, 1)) return 0;
  lua_Integer seed;
  lua_Number number = luaL_checknumber(L, 1);
  if (!lua_numbertointeger(number, &seed)) memcpy(&seed, &number, sizeof seed);
  if (lua_isinteger(L, 1)) seed = lua_tointeger(L, 1);
  tr_random_init(random, (uint64_t)seed ^ ((uint64_t)luaL_optinteger(L, 2, 0) << 32));
  return 0;
}

/* --- in the sandbox --- */

/* [template] A function of one of its tables, and what it may need of Lua's own. */
static void replace(lua_State *L, const char *library, const char *name, const char *also, lua_CFunction fn) {
  lua_getfield(L, -1, library);
  lua_getfield(L, -1, also ? also : name);
  if (also) lua_getfield(L, -2, name);
  lua_pushcclosure(L, fn, also ? 2 : 1);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void tr_looks_install(lua_State *L, tr_script *script) {
  const tr_looks *looks = &tr_script_home(script)->looks;
  if (!looks->fn) return;
  replace(L, "os", "date", "time", look_date); /* while that one is Lua's own */
  replace(L, "os", "time", NULL, look_time);
  replace(L, "os", "clock", NULL, look_clock);
  if (!looks->turns) return;
  if (!script->own) { /* those are many, and must not be alike */
    lua_getfield(L, -1, "math");
    lua_getfield(L, -1, "randomseed");
    lua_pushinteger(L, (lua_Integer)looks->seed);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
  }
  replace(L, "math", "random", NULL, look_random);
  replace(L, "math", "randomseed", NULL, look_seed);
}

static int install(lua_State *L, void *ud) {
  tr_script *script = ud;
  tr_push_ref(L, script->sandbox_ref);
  tr_looks_install(L, script);
  return 0;
}

int tr_script_set_looks(tr_script *script, const tr_looks *looks, tr_error *error) {
  script->looks = *looks;
  return tr_script_protect(script, install, script, error);
}
