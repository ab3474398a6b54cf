/* SPDX-License-Identifier: MIT
 * Proxies of agents, and the placeholders that calling them gives.
 *
 * A placeholder is a future (future.c) with metamethods that wait. Lua lets a metamethod yield where Lua code caused it, and so
 * does pairs; ipairs, which reads from C, is replaced (sandbox.c). Where something in C reads one that is not there yet (table.concat), it
 * is an error that says so. `==`, `if x`, and type(x) cannot wait: Lua asks nobody. */
#include "script/internal.h"

/* --- values --- */

/* The value of the placeholder at `at` takes its place; false: it must be waited for. Other values stay. */
static bool there(lua_State *L, int at) {
  if (!tr_placeholder_is(L, at)) return true;
  tr_future *f = tr_future_check(L, at);
  if (!tr_future_here(f)) {
    tr_lua_check_wait(L);
    tr_future_watch(f, true);
    return false;
  }
  f->read = true;
  if (f->code || tr_future_push_value(L, at, f)) tr_future_raise(L, f, true);
  lua_replace(L, at);
  return true;
}

static int index_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  if (!there(L, 1)) return tr_lua_pause(L, TR_PAUSE_WAIT, index_k);
  lua_settop(L, 2);
  lua_gettable(L, 1);
  return 1;
}
static int ph_index(lua_State *L) { return index_k(L, LUA_OK, 0); }

static int newindex_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  if (!there(L, 1)) return tr_lua_pause(L, TR_PAUSE_WAIT, newindex_k);
  lua_settop(L, 3);
  lua_settable(L, 1);
  return 0;
}
static int ph_newindex(lua_State *L) { return newindex_k(L, LUA_OK, 0); }

static int len_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  if (!there(L, 1)) return tr_lua_pause(L, TR_PAUSE_WAIT, len_k);
  lua_len(L, 1);
  return 1;
}
static int ph_len(lua_State *L) { return len_k(L, LUA_OK, 0); }

static int next_pair(lua_State *L) { /* pairs gives it to scripts: anything may come */
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

static int pairs_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  if (!there(L, 1)) return tr_lua_pause(L, TR_PAUSE_WAIT, pairs_k);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushcfunction(L, next_pair);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}
static int ph_pairs(lua_State *L) { return pairs_k(L, LUA_OK, 0); }

static int next_item(lua_State *L) {
  lua_Integer i = (lua_Integer)((lua_Unsigned)luaL_checkinteger(L, 2) + 1);
  lua_pushinteger(L, i);
  return lua_geti(L, 1, i) == LUA_TNIL ? 1 : 2;
}

static int ipairs_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  if (!there(L, 1)) return tr_lua_pause(L, TR_PAUSE_WAIT, ipairs_k);
  lua_pushcfunction(L, next_item);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  return 3;
}

int tr_ipairs(lua_State *L) {
  luaL_checkany(L, 1);
  return ipairs_k(L, LUA_OK, 0);
}

/* Operators of two operands (and -x, which Lua calls with x twice). Upvalue: which. */
enum { OP_CONCAT = 100, OP_LT, OP_LE };

static int operator_k(lua_State *L, int status, lua_KContext wait) {
  int op = (int)lua_tointeger(L, lua_upvalueindex(1));
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  for (int at = 1; at <= 2; at++)
    if (!there(L, at)) return tr_lua_pause(L, TR_PAUSE_WAIT, operator_k);
  lua_settop(L, op == LUA_OPUNM || op == LUA_OPBNOT ? 1 : 2);
  if (op == OP_CONCAT) lua_concat(L, 2);
  else if (op == OP_LT) lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
  else if (op == OP_LE) lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLE));
  else lua_arith(L, op);
  return 1;
}
static int ph_operator(lua_State *L) { return operator_k(L, LUA_OK, 0); }

static int ph_tostring(lua_State *L) {
  tr_future *f = tr_future_at(L, 1);
  bool readable = f && tr_future_here(f) && !f->code && f->turn && f->turn == tr_script_of(L)->running;
  if (!readable) return tr_future_tostring(L);
  f->read = true;
  if (tr_future_push_value(L, 1, f)) return tr_future_tostring(L);
  luaL_tolstring(L, -1, NULL);
  return 1;
}

/* troupe.await(x): a future or placeholder is waited for, anything else is there. */
static int await(lua_State *L) {
  luaL_checkany(L, 1);
  if (tr_future_at(L, 1)) return tr_future_await(L);
  return lua_gettop(L);
}

const luaL_Reg tr_placeholder_functions[] = { { "await", await }, { NULL, NULL } };

/* --- proxies: a userdata with its agent's id and the ctx it was made by; the block is the uplink it is bound to --- */

enum { PROXY_ID = 1, PROXY_CTX };

static bool is_proxy(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return false;
  tr_push_ref(L, tr_script_of(L)->proxy_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* proxy:Type(body, options). Upvalues as of ctx methods, then the type. */
static int proxy_call(lua_State *L) {
  if (!is_proxy(L, 1))
    tr_fail_raise(L, TR_EINVALID, "call an agent's messages with a colon: proxy:%s(body)",
                  lua_tostring(L, lua_upvalueindex(TR_UP_COUNT + 1)));
  if (lua_gettop(L) > 3) tr_fail_raise(L, TR_EINVALID, "too many arguments: expected (body, options)");
  lua_settop(L, 3);
  uint32_t via = *(const uint32_t *)lua_touserdata(L, 1);
  lua_getiuservalue(L, 1, PROXY_ID);
  lua_getiuservalue(L, 1, PROXY_CTX);
  lua_replace(L, 1);
  lua_insert(L, 2);
  lua_pushvalue(L, lua_upvalueindex(TR_UP_COUNT + 1));
  lua_insert(L, 3); /* ctx, id, type, body, options */
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_async(L, lt, lt->script->placeholder_ref, via);
  return 1;
}

static int proxy_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "a message type must be a string, not %s", tr_type_name(L, 2));
  for (int i = 1; i <= TR_UP_COUNT; i++) lua_pushvalue(L, lua_upvalueindex(i));
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, proxy_call, TR_UP_COUNT + 1);
  return 1;
}

static int proxy_tostring(lua_State *L) {
  if (!is_proxy(L, 1)) return luaL_argerror(L, 1, "proxy expected");
  lua_getiuservalue(L, 1, PROXY_ID);
  return 1;
}

void tr_proxy_push(lua_State *L, uint32_t via) {
  *(uint32_t *)lua_newuserdatauv(L, sizeof via, 2) = via;
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, PROXY_ID);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, PROXY_CTX);
  tr_push_ref(L, tr_script_of(L)->proxy_ref);
  lua_setmetatable(L, -2);
}

bool tr_proxy_push_id(lua_State *L, int at) {
  if (!is_proxy(L, at)) return false;
  lua_getiuservalue(L, at, PROXY_ID);
  return true;
}

uint32_t tr_check_uplink(lua_State *L, int at) {
  const tr_script *script = tr_script_of(L);
  tr_slice address;
  uint32_t number = 0;
  tr_error error;
  tr_error_init(&error);
  if (lua_type(L, at) != LUA_TSTRING)
    tr_fail_raise(L, TR_EINVALID, "host must be an address (\"host:port\" or \"unix:PATH\"), not %s", tr_type_name(L, at));
  address.p = lua_tolstring(L, at, &address.n);
  if (!script->options.uplink) tr_fail_raise(L, TR_EINVALID, "this runtime has no network");
  if (script->options.uplink(script->options.ud, address, &number, &error)) tr_fail_raise_error(L, &error);
  return number;
}

/* ctx:agent(id [, { host = ADDRESS }]) */
static int ctx_agent(lua_State *L) {
  uint32_t via = 0;
  tr_ctx_turn(L);
  lua_settop(L, 3);
  tr_address_agent(L, 2, lua_upvalueindex(TR_UP_AGENTS));
  if (!lua_isnil(L, 3)) {
    if (!lua_istable(L, 3)) tr_fail_raise(L, TR_EINVALID, "agent's options must be a table, not %s", tr_type_name(L, 3));
    for (lua_pushnil(L); lua_next(L, 3); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "host") != 0)
        tr_fail_raise(L, TR_EINVALID, "agent takes one option, `host`");
      via = tr_check_uplink(L, lua_gettop(L));
    }
  }
  lua_pushvalue(L, 2);
  tr_proxy_push(L, via);
  return 1;
}

const luaL_Reg tr_ctx_agent_methods[] = { { "agent", ctx_agent }, { NULL, NULL } };

/* --- metatables --- */

static void open_proxies(lua_State *L, tr_script *script) {
  lua_createtable(L, 0, 4);
  tr_push_ref(L, script->slots_ref);
  tr_push_ref(L, script->agents_ref);
  tr_push_ref(L, script->topics_ref);
  tr_push_ref(L, script->types_ref);
  lua_pushcclosure(L, proxy_index, TR_UP_COUNT);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, proxy_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "proxy");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  script->proxy_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tr_placeholder_open(lua_State *L, tr_script *script) {
  static const luaL_Reg methods[] = {
    { "__index", ph_index }, { "__newindex", ph_newindex }, { "__len", ph_len }, { "__pairs", ph_pairs },
    { "__tostring", ph_tostring }, { NULL, NULL }
  };
  static const struct { const char *name; int op; } operators[] = {
    { "__concat", OP_CONCAT }, { "__lt", OP_LT }, { "__le", OP_LE }, { "__add", LUA_OPADD }, { "__sub", LUA_OPSUB },
    { "__mul", LUA_OPMUL }, { "__div", LUA_OPDIV }, { "__mod", LUA_OPMOD }, { "__pow", LUA_OPPOW },
    { "__idiv", LUA_OPIDIV }, { "__unm", LUA_OPUNM },
  };
  luaL_newlib(L, methods);
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
    lua_pushinteger(L, operators[i].op);
    lua_pushcclosure(L, ph_operator, 1);
    lua_setfield(L, -2, operators[i].name);
  }
  tr_future_lock(L, "placeholder");
  script->placeholder_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  open_proxies(L, script);
}
