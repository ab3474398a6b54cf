/* SPDX-License-Identifier: MIT
 * ctx:now, ctx:sleep, ctx:after, ctx:every, ctx:cancel, and ctx:receive of programs. Time is the core's: seconds of
 * a monotonic clock, which a test moves by hand. */
#include "script/internal.h"

static int ctx_now(lua_State *L) {
  const tr_lua_turn *lt = tr_ctx_turn(L);
  tr_time now = tr_core_now(lt->script->core);
  if (tr_script_home(lt->script)->looks.fn) now = tr_look_at(lt->script, TR_LOOK_NOW, now);
  lua_pushnumber(L, (double)now / 1e6);
  return 1;
}

/* --- waiting --- */

static void time_is_up(tr_timer *timer) {
  tr_lua_turn *lt = TR_CONTAINER(timer, tr_lua_turn, timer);
  lt->timed_out = true;
  tr_turn_wake(lt->turn);
}

void tr_turn_sleep(tr_lua_turn *lt, tr_time wait) {
  tr_core *core = lt->script->core;
  lt->timed_out = false;
  tr_timer_start(tr_core_timers(core), &lt->timer, tr_core_now(core) + wait, time_is_up);
}

static int slept(lua_State *L, int status, lua_KContext wait) {
  const tr_lua_turn *lt = tr_lua_resumed(L, wait);
  (void)status;
  return lt->timed_out ? 0 : tr_lua_pause(L, TR_PAUSE_WAIT, slept);
}

static int flushed(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  tr_lua_resumed(L, wait);
  return 0;
}

static int ctx_sleep(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_time wait = tr_check_seconds(L, 2, "sleep");
  tr_lua_check_wait(L);
  if (wait == 0) return tr_lua_pause(L, TR_PAUSE_FLUSH, flushed);
  tr_turn_sleep(lt, wait);
  return tr_lua_pause(L, TR_PAUSE_WAIT, slept);
}

/* --- receiving --- */

/* Push body, type, sender. Takes the reference. */
static int push_message(lua_State *L, tr_lua_turn *lt, tr_msg *msg) {
  tr_error error;
  tr_error_init(&error);
  lt->received = msg; /* released with the turn should something here raise */
  if (msg->sender_type)
    lua_pushfstring(L, "%s/%s", msg->sender_type->text, msg->sender_key ? msg->sender_key->text : "");
  else lua_pushnil(L);
  lua_pushlstring(L, msg->type->text, msg->type->len);
  int rc = msg->refs == 1 ? tr_body_take(L, &msg->body, lua_upvalueindex(TR_UP_SLOTS), lt->def->nulls_keep, &error)
                          : tr_body_push(L, &msg->body, lt->def->nulls_keep, &error);
  lt->received = NULL;
  tr_msg_unref(msg);
  if (rc) tr_fail_raise_error(L, &error);
  lua_insert(L, -3);
  lua_insert(L, -2);
  return 3;
}

/* The next message that is no request; NULL: none is there. */
static tr_msg *next_message(tr_lua_turn *lt) {
  for (tr_msg *msg; (msg = tr_turn_receive(lt->turn));) {
    if (msg->kind != TR_MSG_REQUEST) return msg;
    tr_msg_fail(msg, TR_ECANT_HANDLE, "a program takes no requests");
    tr_msg_unref(msg);
  }
  return NULL;
}

static int received(lua_State *L, int status, lua_KContext wait) {
  tr_lua_turn *lt = tr_lua_resumed(L, wait);
  (void)status;
  tr_msg *msg = next_message(lt);
  if (!msg && !lt->timed_out) return tr_lua_pause(L, TR_PAUSE_WAIT, received);
  tr_timer_stop(tr_core_timers(lt->script->core), &lt->timer);
  if (msg) return push_message(L, lt, msg);
  lua_pushnil(L);
  return 1;
}

static int ctx_receive(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  if (!lt->def->program) tr_fail_raise(L, TR_EINVALID, "ctx:receive is for programs; an agent has handlers");
  bool forever = lua_isnoneornil(L, 2);
  tr_time wait = forever ? 0 : tr_check_seconds(L, 2, "receive");
  tr_lua_check_wait(L);
  tr_msg *msg = next_message(lt);
  if (msg) return push_message(L, lt, msg);
  lt->timed_out = false;
  if (!forever) tr_turn_sleep(lt, wait);
  return tr_lua_pause(L, TR_PAUSE_WAIT, received);
}

/* --- timers --- */

static int start_timer(lua_State *L, bool repeat) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_time wait = tr_check_seconds(L, 2, repeat ? "every" : "after");
  tr_name *type = tr_address_type(L, 3, lua_upvalueindex(TR_UP_TYPES));
  tr_body body;
  tr_error error;
  uint64_t id = 0;
  tr_error_init(&error);
  if (repeat && wait < TR_MILLISECONDS(1)) tr_fail_raise(L, TR_EINVALID, "every must be at least a millisecond");
  if (tr_body_from(L, 4, lua_upvalueindex(TR_UP_SLOTS), "body", &body, &error)) tr_fail_raise_error(L, &error);
  if (body.kind == TR_BODY_SLOT && !lt->script->home) tr_parcel_take(lt->script, lt->script->slots.next[body.slot] >> TR_SLOT_PARCEL); /* it holds it */
  int rc = tr_script_timer_start(lt->instance, type, tr_core_now(lt->script->core) + wait, repeat ? wait : 0, false,
                                 &body, &id);
  if (rc == TR_EOVERLOADED) tr_limit_raise(L, lt, "timers", lt->def->timer_limit, "at a time");
  if (rc) tr_raise_memory(L);
  lua_pushinteger(L, (lua_Integer)id);
  return 1;
}

static int ctx_after(lua_State *L) { return start_timer(L, false); }
static int ctx_every(lua_State *L) { return start_timer(L, true); }

static int ctx_cancel(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  if (!lua_isinteger(L, 2)) tr_fail_raise(L, TR_EINVALID, "cancel takes the id that after or every gave");
  lua_pushboolean(L, tr_script_timer_cancel(lt->instance, (uint64_t)lua_tointeger(L, 2)));
  return 1;
}

const luaL_Reg tr_ctx_time_methods[] = {
  { "now", ctx_now }, { "sleep", ctx_sleep }, { "receive", ctx_receive }, { "after", ctx_after },
  { "every", ctx_every },
  { "cancel", ctx_cancel }, { NULL, NULL }
};
