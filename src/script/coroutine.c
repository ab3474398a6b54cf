/* SPDX-License-Identifier: MIT
 * The coroutine library of scripts, and xpcall.
 *
 * A handler may make coroutines and wait (ctx:call, ctx:sleep) or use up its slice inside one. Lua's own resume
 * would hand that yield to the script. So ours looks why the inner coroutine stopped: was it for the runtime, it
 * yields itself, outwards, and when the turn goes on its continuation resumes the inner one again. To the script it
 * looks as if nothing had happened.
 *
 * The turn's own coroutine is never shown to a script (coroutine.running gives a dead stand-in), since resuming or
 * closing it from another turn would break the pool. */
#include "script/internal.h"

#define RESUME_CHARGE 200 /* what a resume counts as, so that short coroutines cannot hide from the hook */
#define CLOSES_MOST 8     /* within each other: for closing Lua does not count on where the C stack is, and each may need half a megabyte */

static lua_State *check_thread(lua_State *L, int at) {
  lua_State *co = lua_tothread(L, at);
  if (!co) luaL_typeerror(L, at, "coroutine");
  return co;
}

/* Close its pending variables; they may not wait. One that died over the limit is left as it is: Lua would run them
 * with hooks off. */
static bool reset(tr_script *script, lua_State *co) {
  bool could_wait = script->can_wait, good;
  if ((lua_status(co) > LUA_YIELD && lua_gethookcount(co) == 1) || script->closes >= CLOSES_MOST) return false;
  script->can_wait = false;
  script->closes++;
  good = lua_resetthread(co) == LUA_OK;
  script->closes--;
  script->can_wait = could_wait;
  return good;
}

static int resume_again(lua_State *L, int status, lua_KContext wrapped);

/* Run `co` (kept at index 1 of L, or as the upvalue of a wrap) until it is done or yields to the script. */
static int drive(lua_State *L, lua_State *co, int nargs, lua_KContext wrapped) {
  tr_script *script = tr_script_of(L);
  bool could_wait = script->can_wait;
  int count = 0;
  script->can_wait = could_wait && lua_isyieldable(L);
  lua_State *outer = script->active;
  uint8_t heavy = script->meter ? script->meter->heavy : 0;
  tr_meter_arm_inner(co);
  script->active = co;
  int status = lua_resume(co, L, nargs, &count);
  script->active = outer;
  if (script->meter && script->meter->heavy > heavy) tr_meter_alarm(script); /* it made a long string: the count that runs outside is too long now */
  script->can_wait = could_wait;
  if (script->meter && script->meter->killed) tr_meter_raise(L, script->meter);
  if (status == LUA_YIELD && script->pause != TR_PAUSE_NONE) return lua_yieldk(L, 0, wrapped, resume_again);
  bool good = status == LUA_OK || status == LUA_YIELD;
  if (!good) count = 1;
  if (!lua_checkstack(L, count + 1)) {
    lua_pop(co, count);
    return luaL_error(L, "too many results to resume");
  }
  lua_xmove(co, L, count); /* they are there already where it resumed itself, which was refused */
  if (!wrapped) {
    lua_pushboolean(L, good);
    lua_insert(L, -count - 1);
  }
  if (wrapped && !good) {
    reset(script, co);
    if (lua_type(L, -1) == LUA_TSTRING) { /* say where, as Lua's own does */
      luaL_where(L, 1);
      lua_insert(L, -2);
      lua_concat(L, 2);
    }
    return lua_error(L);
  }
  return count + (wrapped ? 0 : 1);
}

static int resume_again(lua_State *L, int status, lua_KContext wrapped) {
  (void)status;
  lua_State *co = wrapped ? lua_tothread(L, lua_upvalueindex(1)) : lua_tothread(L, 1);
  return drive(L, co, 0, wrapped);
}

static int co_resume(lua_State *L) {
  lua_State *co = check_thread(L, 1);
  int nargs = lua_gettop(L) - 1;
  if (!lua_checkstack(co, nargs)) return luaL_error(L, "too many arguments to resume");
  tr_meter_charge(L, RESUME_CHARGE);
  lua_xmove(L, co, nargs);
  return drive(L, co, nargs, 0);
}

static int wrapped_call(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int nargs = lua_gettop(L);
  if (!lua_checkstack(co, nargs)) return luaL_error(L, "too many arguments to resume");
  tr_meter_charge(L, RESUME_CHARGE);
  lua_xmove(L, co, nargs);
  return drive(L, co, nargs, 1);
}

static int co_create(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_sethook(co, NULL, 0, 0); /* the maker's count is its own; armed at each resume */
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int co_wrap(lua_State *L) {
  co_create(L);
  lua_pushcclosure(L, wrapped_call, 1);
  return 1;
}

static bool at_base(lua_State *L) {
  const tr_script *script = tr_script_of(L);
  return L == script->L || (script->meter && script->meter->base == L);
}

static int co_yield(lua_State *L) {
  if (at_base(L)) return luaL_error(L, "coroutine.yield outside a coroutine (to wait, use ctx:sleep)");
  return lua_yield(L, lua_gettop(L));
}

static int co_running(lua_State *L) {
  bool base = at_base(L);
  if (base) tr_push_ref(L, tr_script_of(L)->dummy_ref);
  else lua_pushthread(L);
  lua_pushboolean(L, base);
  return 2;
}

static int co_isyieldable(lua_State *L) {
  lua_State *co = lua_isnone(L, 1) ? L : check_thread(L, 1);
  lua_pushboolean(L, !at_base(co) && lua_isyieldable(co));
  return 1;
}

static const char *status_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  if (lua_status(co) == LUA_YIELD) return "suspended";
  if (lua_status(co) != LUA_OK) return "dead";
  if (lua_getstack(co, 0, &ar)) return "normal";
  return lua_gettop(co) == 0 ? "dead" : "suspended";
}

static int co_status(lua_State *L) {
  lua_pushstring(L, status_of(L, check_thread(L, 1)));
  return 1;
}

static int co_close(lua_State *L) {
  lua_State *co = check_thread(L, 1);
  const char *status = status_of(L, co);
  if (strcmp(status, "suspended") != 0 && strcmp(status, "dead") != 0)
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (tr_script_of(L)->closes >= CLOSES_MOST) return luaL_error(L, "C stack overflow (more than %d coroutine.close within each other)", CLOSES_MOST);
  bool good = reset(tr_script_of(L), co);
  lua_pushboolean(L, good);
  if (good || lua_gettop(co) == 0) return 1;
  lua_xmove(co, L, 1);
  return 2;
}

void tr_coroutine_push(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "create", co_create }, { "resume", co_resume }, { "wrap", co_wrap }, { "yield", co_yield },
    { "running", co_running }, { "isyieldable", co_isyieldable }, { "status", co_status }, { "close", co_close },
    { NULL, NULL },
  };
  luaL_newlib(L, functions);
}

/* --- xpcall --- */

static int message_handler(lua_State *L) {
  const tr_meter *meter = tr_script_of(L)->meter;
  if (meter && meter->killed) return 1; /* Lua would run it with hooks off */
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int xpcall_done(lua_State *L, int status, lua_KContext extra) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)extra;
}

int tr_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, message_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  return xpcall_done(L, lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, xpcall_done), 2);
}
