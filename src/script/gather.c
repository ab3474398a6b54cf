/* SPDX-License-Identifier: MIT
 * troupe.all, any, race: waiting for several futures or placeholders at once. */
#include <stdio.h>

#include "script/internal.h"

/* Leave only the list, and look at the n-th of it: pushed. */
static tr_future *item(lua_State *L, lua_Integer n) {
  lua_rawgeti(L, 1, n);
  return tr_future_check(L, -1);
}

static lua_Integer begin(lua_State *L, const char *what, bool wanted, bool empty) {
  if (lua_type(L, 1) != LUA_TTABLE)
    tr_fail_raise(L, TR_EINVALID, "troupe.%s takes a list of futures or placeholders, not %s", what, tr_type_name(L, 1));
  if (!tr_script_of(L)->running) tr_fail_raise(L, TR_EINVALID, "troupe.%s was used outside a turn", what);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  if (count == 0 && !empty) tr_fail_raise(L, TR_EINVALID, "troupe.%s takes at least one future", what);
  lua_settop(L, 1);
  lua_createtable(L, count < 1 << 20 ? (int)count : 0, 0); /* its own: the script may change the other */
  lua_insert(L, 1);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, i);
    tr_future_watch(tr_future_check(L, -1), wanted);
    lua_rawseti(L, 1, i);
  }
  lua_settop(L, 1);
  return count;
}

/* --- all --- */

static int all_failed(lua_State *L, lua_Integer count, lua_Integer first) {
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
    tr_future *f = item(L, i);
    f->read = true;
    tr_future_cancel(f);
  }
  tr_future *f = item(L, first);
  tr_future_raise(L, f, tr_placeholder_is(L, -1));
}

static int all_done(lua_State *L, lua_Integer count) {
  lua_createtable(L, count < 1 << 20 ? (int)count : 0, 0);
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 2)) {
    tr_future *f = item(L, i);
    f->read = true;
    if (tr_future_push_value(L, -1, f)) tr_future_raise(L, f, false);
    if (lua_isnil(L, -1)) lua_pushlightuserdata(L, NULL);
    lua_rawseti(L, 2, i);
  }
  tr_mark_array(L);
  return 1;
}

static int all_wait(lua_State *L, int status, lua_KContext wait) {
  uint64_t order = UINT64_MAX;
  lua_Integer failed = 0, open = 0, count = (lua_Integer)lua_rawlen(L, 1);
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
    const tr_future *f = item(L, i);
    if (!tr_future_here(f)) open++;
    if (!f->settled || !f->code || f->order >= order) continue;
    order = f->order;
    failed = i;
  }
  if (failed) return all_failed(L, count, failed);
  return open ? tr_lua_pause(L, TR_PAUSE_WAIT, all_wait) : all_done(L, count);
}

static int all(lua_State *L) {
  begin(L, "all", true, true);
  return all_wait(L, LUA_OK, 0);
}

/* --- any, race: the first of those that count; the rest is cancelled, but for what another call needs --- */

static void cancel_losers(lua_State *L, lua_Integer count) {
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
    tr_future *f = item(L, i);
    f->read = true;
    if (tr_list_empty(&f->dependents)) tr_future_cancel(f);
  }
}

static int choose(lua_State *L, bool good_only, lua_KFunction k) {
  lua_Integer best = 0, last = 0, open = 0, count = (lua_Integer)lua_rawlen(L, 1);
  uint64_t best_order = UINT64_MAX, last_order = 0;
  for (lua_Integer i = 1; i <= count; i++, lua_settop(L, 1)) {
    const tr_future *f = item(L, i);
    if (!tr_future_here(f)) {
      open++;
      continue;
    }
    if (f->order > last_order) last = i, last_order = f->order;
    if ((good_only && f->code) || f->order >= best_order) continue;
    best = i;
    best_order = f->order;
  }
  if (!best && open) return tr_lua_pause(L, TR_PAUSE_WAIT, k);
  cancel_losers(L, count);
  tr_future *f = item(L, best ? best : last);
  if (!best) {
    char text[TR_ERROR_TEXT], full[TR_ERROR_TEXT];
    snprintf(full, sizeof full, "all %d failed, the last with: %.400s", (int)count, tr_future_error(f, false, text));
    lua_pushfstring(L, "%s/%s", f->agent->text, f->key->text);
    tr_fail_push(L, f->code, full, lua_tostring(L, -1), f->type->text);
    return lua_error(L);
  }
  if (f->code || tr_future_push_value(L, -1, f)) tr_future_raise(L, f, false);
  tr_future_push_type(L, f);
  return 2;
}

static int any_wait(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  return choose(L, true, any_wait);
}

static int race_wait(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  return choose(L, false, race_wait);
}

static int any(lua_State *L) {
  begin(L, "any", false, false);
  return any_wait(L, LUA_OK, 0);
}

static int race(lua_State *L) {
  begin(L, "race", false, false);
  return race_wait(L, LUA_OK, 0);
}

const luaL_Reg tr_gather_functions[] = { { "all", all }, { "any", any }, { "race", race }, { NULL, NULL } };
