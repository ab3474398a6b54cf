/* SPDX-License-Identifier: MIT
 * The pool of coroutines that turns run on, and calls on them that are no turns.
 *
 * A coroutine that ended well is as good as new: resuming it with another function costs a fifth of making one. One that
 * ended by an error is closed and thrown away, since Lua leaves a thread that was killed inside a hook with its hooks
 * off; for the same reason the pending __close of a killed one are not run. Next: turn.c. */
#include "script/internal.h"

#ifdef TR_HOSTILE
#define POOL_MAX 1
#else
#define POOL_MAX 1000
#endif

static void make_thread(lua_State *L, tr_lua_turn *turn) {
  uint32_t owner = tr_script_of(L)->owner;
  tr_script_of(L)->owner = tr_script_of(L)->base_owner; /* it serves many */
  lua_State *co = lua_newthread(L);
  tr_script_of(L)->owner = owner;
  turn->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  turn->co = co;
}

void tr_lua_turn_drop(tr_script *script, tr_lua_turn *turn) {
  if (!turn->co || !lua_checkstack(script->L, 4)) return;
  luaL_unref(script->L, LUA_REGISTRYINDEX, turn->co_ref);
  turn->co = NULL;
}

tr_lua_turn *tr_lua_turn_take(lua_State *L, tr_script *script) {
  tr_lua_turn *turn = script->free_turns;
  if (!turn) {
    turn = TR_NEW(script->mem, tr_lua_turn);
    if (!turn) tr_raise_memory(L);
    turn->script = script;
    turn->next = NULL;
    script->free_turns = turn; /* where it is found should the thread fail */
    script->free_turn_count++;
  }
  if (!turn->co) make_thread(L, turn);
  script->free_turns = turn->next;
  script->free_turn_count--;
  return turn;
}

void tr_lua_turn_give(tr_script *script, tr_lua_turn *turn) {
  if (script->free_turn_count >= POOL_MAX) tr_lua_turn_drop(script, turn);
  turn->next = script->free_turns;
  script->free_turns = turn;
  script->free_turn_count++;
}

void tr_lua_turns_close(tr_script *script) {
  while (script->free_turns) {
    tr_lua_turn *turn = script->free_turns;
    script->free_turns = turn->next;
    TR_DELETE(script->mem, turn);
  }
}

void tr_lua_turn_reset(tr_script *script, tr_lua_turn *turn, tr_meter *meter) {
  tr_meter *outer = script->meter;
  bool could_wait = script->can_wait;
  if (!meter->killed) {
    script->meter = meter;
    script->can_wait = false;
    meter->since = 0;
    lua_resetthread(turn->co);
    script->meter = outer;
    script->can_wait = could_wait;
  }
  tr_lua_turn_drop(script, turn);
}

/* --- code that is not a turn --- */

#define MEMORY_MOST ((size_t)64 << 20) /* that it may take beyond what its owner has */
#define TIME_MOST TR_SECONDS(5)         /* of an agent's, for nothing else goes on meanwhile: save, migrate, match */
#define LOADING_MOST TR_SECONDS(30)     /* of what is nobody's: a file that is loaded */

int tr_metered_call(lua_State *L, int nargs, const char *what, uint64_t limit, tr_error *error) {
  tr_script *script = tr_script_of(L);
  tr_lua_turn *lt = tr_lua_turn_take(L, script);
  tr_error why;
  tr_meter meter = { .limit = limit, .base = lt->co, .what = what, .error = &why, .heavy = script->accounts[script->owner].heavy,
                     .time_limit = script->owner ? TIME_MOST : LOADING_MOST };
  tr_meter *outer_meter = script->meter;
  tr_lua_turn *outer = script->running;
  lua_State *active = script->active;
  size_t hard = script->memory_hard;
  bool could_wait = script->can_wait;
  tr_pause pause = script->pause;
  int count = 0;
  tr_error_init(&why);
  lua_xmove(L, lt->co, nargs + 1);
  script->running = NULL;
  script->meter = &meter;
  script->can_wait = false;
  script->active = lt->co;
  if (script->owner) {
    script->memory_hard = script->accounts[script->owner].used + MEMORY_MOST;
  } else {
    meter.most = script->used + TR_CALL_MEMORY;
    script->refused = 0;
  }
  tr_meter_arm(&meter, lt->co);
  int status = lua_resume(lt->co, L, nargs, &count);
  script->active = active;
  script->memory_hard = hard;
  bool over = status != LUA_OK && tr_meter_call_refused(script, &meter, lt->co);
  if (!script->own) script->refused = 0; /* there it is the state's limit, and told by who called */
  script->running = outer;
  script->meter = outer_meter;
  script->can_wait = could_wait;
  script->pause = pause;
  if (status == LUA_OK && !meter.killed && lua_checkstack(L, count + 8)) {
    lua_xmove(lt->co, L, count);
    tr_lua_turn_give(script, lt);
    return count;
  }
  if (!over && status == LUA_ERRMEM) tr_error_set(&why, TR_EMEMORY, "out of memory");
  else if (!over) tr_fail_read(lt->co, -1, &why);
  tr_lua_turn_reset(script, lt, &meter);
  tr_lua_turn_give(script, lt);
  return tr_error_set(error, why.code, "%s", why.text);
}
