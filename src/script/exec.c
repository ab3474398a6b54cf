/* SPDX-License-Identifier: MIT
 * troupe.exec: a program run to its end while the turn waits, for scripts that have the right to it.
 *
 * The turn looks at it at growing distances, by its own timer: that works in any isolate, whoever owns the loop, and a program takes longer
 * to start than the first looks. Where the clock stands still (tests) the start waits for the end, so the first look sees that. Whatever ends the turn ends the program (tr_exec_stop), so none is left behind. */
#include "base/text.h"
#include "script/internal.h"

#define TEXT_MOST (1u << 20)
#define LOOK_FIRST TR_MILLISECONDS(1)
#define LOOK_LAST TR_MILLISECONDS(20)

static const char *const keys[] = { "stdin", "timeout", NULL };

void tr_exec_stop(tr_lua_turn *lt) {
  const tr_script_outside *outside = lt->script->options.outside;
  void *program = lt->program;
  lt->program = NULL;
  outside->stop(outside->ud, program);
}

/* The words, each left on the stack. */
static size_t read_words(lua_State *L, tr_slice *words) {
  lua_Unsigned n = lua_rawlen(L, 1);
  if (n == 0) tr_fail_raise(L, TR_EINVALID, "troupe.exec takes a program and its arguments: troupe.exec{ \"date\", \"-u\" }");
  if (n > TR_EXEC_WORDS) tr_fail_raise(L, TR_EINVALID, "troupe.exec: more than %d words", TR_EXEC_WORDS);
  tr_need_stack(L, (int)n + 10);
  for (lua_Unsigned i = 0; i < n; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      tr_fail_raise(L, TR_EINVALID, "troupe.exec: [%d] must be a string, not %s", (int)i + 1, tr_type_name(L, -1));
    words[i].p = lua_tolstring(L, -1, &words[i].n);
    if (memchr(words[i].p, 0, words[i].n)) tr_fail_raise(L, TR_EINVALID, "troupe.exec: [%d] has a zero byte", (int)i + 1);
  }
  return (size_t)n;
}

static void check_keys(lua_State *L) {
  if (lua_gettop(L) != 1 || !lua_istable(L, 1)) tr_fail_raise(L, TR_EINVALID, "troupe.exec takes one table: troupe.exec{ \"date\", \"-u\" }");
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    if (lua_type(L, -2) == LUA_TNUMBER) continue;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "", *nearest;
    if (tr_name_in(keys, name)) continue;
    nearest = tr_text_nearest(tr_slice_of(name), keys);
    tr_fail_raise(L, TR_EINVALID, "troupe.exec has no `%s`%s%s%s", name, nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
  }
}

static int push_result(lua_State *L, tr_lua_turn *lt, const tr_script_result *result) {
  lua_createtable(L, 0, 4);
  if (result->signal) lua_pushinteger(L, result->signal);
  else lua_pushinteger(L, result->status);
  lua_setfield(L, -2, result->signal ? "signal" : "status");
  lua_pushlstring(L, result->out.n ? result->out.p : "", result->out.n);
  lua_setfield(L, -2, "out");
  lua_pushlstring(L, result->err.n ? result->err.p : "", result->err.n);
  lua_setfield(L, -2, "err");
  tr_exec_stop(lt);
  return 1;
}

static int looked(lua_State *L, int status, lua_KContext wait);

static int look(lua_State *L, tr_lua_turn *lt) {
  const tr_script_outside *outside = lt->script->options.outside;
  tr_core *core = lt->script->core;
  tr_script_result result;
  tr_error error;
  tr_error_init(&error);
  tr_meter_charge(L, 1000);
  int rc = outside->look(outside->ud, lt->program, &result, &error);
  if (rc == 0 && tr_core_now(core) >= lt->program_until) rc = tr_error_set(&error, TR_ETIMEOUT, "troupe.exec: the program took too long, and was ended (timeout)");
  if (rc > 0) return push_result(L, lt, &result);
  if (rc < 0) {
    tr_exec_stop(lt);
    tr_fail_raise_error(L, &error);
  }
  tr_time left = lt->program_until - tr_core_now(core);
  tr_turn_sleep(lt, lt->program_look < left ? lt->program_look : left);
  lt->program_look = lt->program_look * 3 / 2 < LOOK_LAST ? lt->program_look * 3 / 2 : LOOK_LAST;
  return tr_lua_pause(L, TR_PAUSE_WAIT, looked);
}

static int looked(lua_State *L, int status, lua_KContext wait) {
  tr_lua_turn *lt = tr_lua_resumed(L, wait);
  (void)status;
  if (!lt->program) tr_fail_raise(L, TR_EINVALID, "troupe.exec: its program was ended");
  return lt->timed_out ? look(L, lt) : tr_lua_pause(L, TR_PAUSE_WAIT, looked);
}

int tr_exec(lua_State *L) {
  tr_script *script = tr_script_of(L);
  tr_lua_turn *lt = script->running;
  const tr_script_outside *outside = script->options.outside;
  tr_slice words[TR_EXEC_WORDS];
  tr_error error;
  tr_error_init(&error);
  if (!outside) tr_fail_raise(L, TR_EPERMISSION, "there are no programs to run here");
  check_keys(L);
  if (!lt) tr_fail_raise(L, TR_EINVALID, "troupe.exec waits: it belongs into a handler, not to the top of the file");
  tr_lua_check_wait(L);
  if (lt->program) tr_fail_raise(L, TR_EINVALID, "troupe.exec: this turn runs a program already");
  tr_script_exec asked = { .words = words, .in = { "", 0 }, .mem = script->mem, .most = TEXT_MOST };
  asked.count = read_words(L, words);
  tr_raw_field(L, 1, "timeout");
  asked.timeout = lua_isnil(L, -1) ? TR_SECONDS(30) : tr_check_seconds(L, lua_gettop(L), "troupe.exec: timeout");
  if (tr_raw_field(L, 1, "stdin") != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "troupe.exec: stdin must be a string, not %s", tr_type_name(L, -1));
    asked.in.p = lua_tolstring(L, -1, &asked.in.n);
    if (asked.in.n > TEXT_MOST) tr_fail_raise(L, TR_ETOO_LARGE, "troupe.exec: stdin is larger than %d KiB", TEXT_MOST >> 10);
  }
  tr_meter_charge(L, 100000); /* what a process costs */
  if (outside->start(outside->ud, &asked, &lt->program, &error)) tr_fail_raise_error(L, &error);
  lt->program_until = tr_core_now(script->core) + asked.timeout;
  lt->program_look = LOOK_FIRST;
  lua_settop(L, 0);
  return look(L, lt);
}
