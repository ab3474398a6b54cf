/* SPDX-License-Identifier: MIT
 * The count hook: what bounds running code, and what suspends it when its slice is used up.
 *
 * Every coroutine that runs code of a script is hooked, those that a script makes too (coroutine.c); the hook finds
 * the meter of whatever runs now through the state. It counts over waits and over all coroutines of a turn. When the
 * limit is reached the meter is `killed`: the hook then comes at every instruction and raises each time, so that
 * neither pcall nor a loop around it buys anything back; our own xpcall skips the script's message handlers then,
 * which Lua calls with hooks off. Long work inside C functions comes as a charge.
 *
 * A slice ends by a yield out of the hook, wherever Lua allows it; inside a C call of the script's (a comparison of
 * table.sort) it does not, and only the limit applies. */
#include "script/internal.h"

static void hook(lua_State *L, lua_Debug *ar);

static int tick_of(const tr_meter *meter, int tick) {
  uint64_t left = meter->limit > meter->used ? meter->limit - meter->used : 1;
  return left < (uint64_t)tick ? (int)left : tick;
}

void tr_meter_arm(tr_meter *meter, lua_State *co) { lua_sethook(co, hook, LUA_MASKCOUNT, tick_of(meter, TR_TICK)); }

void tr_meter_arm_inner(lua_State *co) {
  /* A count that runs is left alone: or short resumes would never be counted. */
  if (lua_gethook(co) != hook || lua_gethookcount(co) > TR_TICK_INNER)
    lua_sethook(co, hook, LUA_MASKCOUNT, TR_TICK_INNER);
}

void tr_meter_raise(lua_State *L, tr_meter *meter) {
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  tr_fail_raise_error(L, meter->error);
}

static void describe(tr_script *script, tr_meter *meter, const char *source, int line) {
  char agent[160];
  const tr_lua_turn *turn = script->running;
  tr_error_init(meter->error);
  if (meter->what || !turn) {
    tr_error_set(meter->error, TR_ELIMIT, "%s:%d: more than %llu instructions while %s", source, line,
                 (unsigned long long)meter->limit, meter->what ? meter->what : "closing");
    return;
  }
  tr_agent_name(turn->turn->agent, agent, sizeof agent);
  tr_error_set(meter->error, TR_ELIMIT, "%s, %s: %s:%d: more than %llu instructions in one turn (limits.instructions)",
               agent,
               turn->turn->msg ? turn->turn->msg->type->text : "init", source, line, (unsigned long long)meter->limit);
}

static void kill_at(lua_State *L, tr_script *script, tr_meter *meter) {
  lua_Debug ar;
  const char *source = "?";
  int line = 0;
  /* The nearest Lua function: a C function has no line. */
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    source = ar.short_src;
    line = ar.currentline;
    break;
  }
  describe(script, meter, source, line);
  meter->killed = true;
}

static void hook(lua_State *L, lua_Debug *ar) {
  tr_script *script = tr_script_of(L);
  tr_meter *meter = script->meter;
  (void)ar;
  if (!meter) return;
  if (!meter->killed) {
    int count = lua_gethookcount(L);
    meter->used += (uint64_t)count;
    if (meter->used >= meter->limit) kill_at(L, script, meter);
    else if (meter->limit - meter->used < (uint64_t)count) lua_sethook(L, hook, LUA_MASKCOUNT, tick_of(meter, count));
  }
  if (meter->killed) tr_meter_raise(L, meter);
  if (script->home && L != meter->base) return; /* a coroutine of Lua's own takes every yield for its own */
  if (script->running && script->can_wait && lua_isyieldable(L)) {
    script->pause = TR_PAUSE_SLICE;
    lua_yield(L, 0);
  }
}

void tr_meter_charge(lua_State *L, uint64_t instructions) {
  tr_script *script = tr_script_of(L);
  tr_meter *meter = script->meter;
  if (!meter) return;
  if (!meter->killed) {
    meter->used += instructions;
    if (meter->used >= meter->limit) kill_at(L, script, meter);
  }
  if (meter->killed) tr_meter_raise(L, meter);
}
