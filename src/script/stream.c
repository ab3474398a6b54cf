/* SPDX-License-Identifier: MIT
 * ctx:stream, an answer that comes in parts, and ctx:yield, which gives them.
 *
 * A stream is a future (future.c) with a ring of parts beside it, and an iterator for Lua: calling it gives the next part, or waits for
 * it; nil at the end, the call's error once the parts before it are read. Reading gives the callee credit (core/parts.c), half a ring at
 * a time. `for part in ctx:stream(…)` gets the stream as its closing value too, so that leaving the loop cancels the call; so does
 * the end of the turn, since nobody else may read it.
 *
 * ctx:yield lets what the turn sent go before the part. It waits only where the reader lags, and where nobody reads it does nothing. */
#include "script/internal.h"

/* --- parts come --- */

static void take_credit(tr_future *f) {
  tr_stream *s = f->parts;
  if (++s->taken < TR_STREAM_WINDOW / 2 || !f->call) return;
  tr_call_credit(f->call, s->taken);
  s->taken = 0;
}

static tr_body pop(tr_stream *s) {
  tr_body body = s->items[s->first];
  s->items[s->first].kind = TR_BODY_NONE;
  s->first = (s->first + 1) % TR_STREAM_WINDOW;
  s->count--;
  return body;
}

static void drop_all(tr_future *f) {
  while (f->parts->count) {
    tr_body body = pop(f->parts);
    tr_body_release(f->script->core, &body);
    take_credit(f);
  }
}

void tr_stream_part(void *ud, tr_call *call, tr_reply *part) {
  tr_future *f = ud;
  tr_stream *s = f->parts;
  (void)call;
  if (s->skip) {
    take_credit(f);
    return;
  }
  if (s->count == TR_STREAM_WINDOW) { /* its callee does not know what credit is */
    tr_future_cancel(f);
    return;
  }
  s->items[(s->first + s->count++) % TR_STREAM_WINDOW] = part->body;
  part->body.kind = TR_BODY_NONE;
  if (f->turn && f->watched) tr_turn_wake(f->turn->turn);
}

void tr_stream_free(tr_future *f) {
  while (f->parts->count) {
    tr_body body = pop(f->parts);
    tr_body_release(f->script->core, &body);
  }
  TR_DELETE(f->script->mem, f->parts);
  f->parts = NULL;
}

/* --- reading --- */

static tr_future *stream_at(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return NULL;
  tr_push_ref(L, tr_script_of(L)->stream_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? *(tr_future **)lua_touserdata(L, at) : NULL;
}

static tr_future *check_stream(lua_State *L) {
  tr_future *f = stream_at(L, 1);
  if (!f) tr_fail_raise(L, TR_EINVALID, "a stream expected, not %s (call its methods with a colon: stream:result)",
                        tr_type_name(L, 1));
  if (!f->turn) tr_fail_raise(L, TR_EINVALID, "a stream was used after its turn had ended");
  if (f->turn != tr_script_of(L)->running) tr_fail_raise(L, TR_EINVALID, "a stream was used outside its turn");
  return f;
}

static int wait_for_more(lua_State *L, tr_future *f, lua_KFunction k) {
  tr_lua_check_wait(L);
  tr_future_watch(f, true);
  return tr_lua_pause(L, TR_PAUSE_WAIT, k);
}

static int push_part(lua_State *L, tr_future *f) {
  tr_error error;
  tr_error_init(&error);
  tr_push_ref(L, f->script->slots_ref);
  tr_body *body = &f->parts->items[f->parts->first]; /* still the ring's should this raise */
  int rc = tr_body_take(L, body, lua_gettop(L), f->nulls_keep, &error);
  pop(f->parts);
  take_credit(f);
  if (rc) tr_fail_raise_error(L, &error);
  if (lua_isnil(L, -1)) lua_pushlightuserdata(L, NULL); /* nil would be the end */
  return 1;
}

static int next_part(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  tr_future *f = check_stream(L);
  tr_future_unwatch(f);
  if (f->parts->count) return push_part(L, f);
  if (!f->settled) {
    lua_settop(L, 1);
    return wait_for_more(L, f, next_part);
  }
  if (f->code) tr_future_raise(L, f, false);
  f->read = true;
  lua_pushnil(L);
  return 1;
}

static int stream_call(lua_State *L) { return next_part(L, LUA_OK, 0); }

static int result_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  tr_future *f = check_stream(L);
  tr_future_unwatch(f);
  f->parts->skip = true;
  drop_all(f);
  lua_settop(L, 1);
  if (!f->settled) return wait_for_more(L, f, result_k);
  f->read = true;
  if (f->code || tr_future_push_value(L, 1, f)) tr_future_raise(L, f, false);
  tr_future_push_type(L, f);
  return 2;
}

static int stream_result(lua_State *L) { return result_k(L, LUA_OK, 0); }

static int stream_done(lua_State *L) {
  const tr_future *f = check_stream(L);
  lua_pushboolean(L, f->settled && !f->parts->count);
  return 1;
}

/* Also of one whose turn is being closed: then it is cancelled already. */
static int stream_close(lua_State *L) {
  tr_future *f = stream_at(L, 1);
  if (!f) tr_fail_raise(L, TR_EINVALID, "a stream expected, not %s", tr_type_name(L, 1));
  f->read = true;
  if (f->turn) tr_future_cancel(f);
  return 0;
}

static int stream_tostring(lua_State *L) {
  const tr_future *f = stream_at(L, 1);
  if (!f || !f->agent) lua_pushliteral(L, "stream");
  else lua_pushfstring(L, "stream (%s/%s, %s: %s)", f->agent->text, f->key->text, f->type->text,
                       !f->settled ? "open" : f->code ? "failed" : "done");
  return 1;
}

/* For `for`: the iterator, no state, no first value, what is closed when the loop is left. */
static int ctx_stream(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_async(L, lt, lt->script->stream_ref, 0);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 1);
  return 4;
}

/* --- giving --- */

static int give(lua_State *L, tr_lua_turn *lt) {
  tr_body body;
  tr_error error;
  tr_error_init(&error);
  if (tr_body_from(L, 2, lua_upvalueindex(TR_UP_SLOTS), "part", &body, &error)) tr_fail_raise_error(L, &error);
  int err = tr_turn_part(lt->turn, &body);
  if (err) tr_fail_raise(L, err, "the part cannot be passed on: %s", tr_error_default_text(err));
  lua_pushboolean(L, 1);
  return 1;
}

static int yield_k(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  tr_lua_turn *lt = wait ? tr_lua_resumed(L, wait) : tr_ctx_turn(L);
  tr_turn *turn = lt->turn;
  if (!tr_turn_takes_parts(turn)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  if (turn->outbox.count) return tr_lua_pause(L, TR_PAUSE_FLUSH, yield_k);
  if (tr_turn_cancelled(turn) || !tr_turn_has_credit(turn)) return tr_lua_pause(L, TR_PAUSE_WAIT, yield_k);
  return give(L, lt);
}

static int ctx_yield(lua_State *L) {
  if (lua_isnoneornil(L, 2)) tr_fail_raise(L, TR_EINVALID, "a part must not be nil (use troupe.null)");
  if (lua_gettop(L) > 2) tr_fail_raise(L, TR_EINVALID, "ctx:yield takes one value");
  return yield_k(L, LUA_OK, 0);
}

const luaL_Reg tr_ctx_stream_methods[] = { { "stream", ctx_stream }, { "yield", ctx_yield }, { NULL, NULL } };

void tr_stream_open(lua_State *L, tr_script *script) {
  static const luaL_Reg methods[] = {
    { "result", stream_result }, { "done", stream_done }, { "close", stream_close }, { "cancel", stream_close }, { NULL, NULL }
  };
  lua_createtable(L, 0, 7);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, stream_call);
  lua_setfield(L, -2, "__call");
  lua_pushcfunction(L, stream_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, stream_tostring);
  lua_setfield(L, -2, "__tostring");
  tr_future_lock(L, "stream");
  script->stream_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
