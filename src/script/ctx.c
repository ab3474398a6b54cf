/* SPDX-License-Identifier: MIT
 * ctx: the instance's userdata as a handler sees it.
 *
 * It is valid while a turn of its own agent runs, and an error at any other time; one pointer comparison tells.
 * Fields are made when they are read, by one C function; nothing is kept a turn. A name that does not exist is an
 * error with the nearest one that does, and so is one that a later version has. Methods: ctx_message.c, ctx_time.c,
 * ctx_other.c. */
#include "base/text.h"
#include "script/internal.h"

enum {
  FIELD_ID, FIELD_KEY, FIELD_AGENT_TYPE, FIELD_TYPE, FIELD_SENDER, FIELD_TOPIC, FIELD_MESSAGE_ID, FIELD_IS_REQUEST,
  FIELD_DEADLINE, FIELD_CANCELLED, FIELD_METADATA, FIELD_TRACE
};
static const char *const names[] = {
  "id", "key", "agent_type", "type", "sender", "topic", "message_id", "is_request", "deadline", "cancelled", "metadata",
  "trace",
  /* methods, for suggestions */
  "publish", "send", "call", "pcall", "async", "stream", "yield", "agent", "sleep", "after", "every", "cancel", "log", "now", "subscribe",
  "unsubscribe", "subscriptions", "callback",
  "receive", "launch",
  "stop", "exit", NULL
};
#define FIELD_COUNT (FIELD_TRACE + 1)

static bool is_ctx(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return false;
  tr_push_ref(L, tr_script_of(L)->ctx_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 1);
  if (!same && tr_script_is_foreign(tr_script_of(L)) && lua_rawlen(L, at) == sizeof(tr_instance)) { /* of another runtime, or when none runs */
    same = tr_raw_field(L, -1, "__name") == LUA_TSTRING && strcmp(lua_tostring(L, -1), "ctx") == 0;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return same;
}

tr_lua_turn *tr_ctx_turn(lua_State *L) {
  tr_lua_turn *turn = tr_script_of(L)->running;
  const void *instance = lua_touserdata(L, 1);
  if (turn && instance == turn->instance) return turn;
  if (!is_ctx(L, 1))
    tr_fail_raise(L, TR_EINVALID, "ctx expected as first argument (call its methods with a colon: ctx:publish)");
  if (!turn) tr_fail_raise(L, TR_EINVALID, "ctx was used outside a turn of its agent");
  char name[200];
  tr_agent_name(turn->turn->agent, name, sizeof name);
  tr_fail_raise(L, TR_EINVALID, "ctx of another agent was used in a turn of %s", name);
}

/* --- fields --- */

static void push_pair(lua_State *L, const tr_name *a, const tr_name *b) {
  if (!a) lua_pushnil(L);
  else lua_pushfstring(L, "%s/%s", a->text, b ? b->text : "");
}

static void push_metadata(lua_State *L, const tr_msg *msg) {
  lua_createtable(L, 0, 0);
  for (size_t i = 0; msg && msg->meta && i < tr_meta_count(msg->meta); i++) {
    tr_slice key, value;
    tr_meta_at(msg->meta, i, &key, &value);
    lua_pushlstring(L, key.p, key.n);
    lua_pushlstring(L, value.p, value.n);
    lua_rawset(L, -3);
  }
}

static void push_text(lua_State *L, tr_slice text) {
  if (text.p) lua_pushlstring(L, text.p, text.n);
  else lua_pushnil(L);
}

static void push_message_field(lua_State *L, const tr_msg *msg, int field) {
  char id[TR_MSG_ID_MAX];
  switch (field) {
  case FIELD_TYPE: lua_pushlstring(L, msg->type->text, msg->type->len); break;
  case FIELD_SENDER: push_pair(L, msg->sender_type, msg->sender_key); break;
  case FIELD_TOPIC: push_pair(L, msg->kind == TR_MSG_EVENT ? msg->target_type : NULL, msg->target_key); break;
  case FIELD_MESSAGE_ID: push_text(L, tr_msg_id(msg, id)); break;
  default:
    push_text(L, msg->meta ? tr_meta_get(msg->meta, TR_SLICE_LITERAL("traceparent")) : (tr_slice){ NULL, 0 });
    break;
  }
}

static void push_field(lua_State *L, const tr_lua_turn *lt, int field) {
  const tr_turn *turn = lt->turn;
  const tr_name *key = turn->agent->key, *type = tr_class_type(turn->agent->class_);
  switch (field) {
  case FIELD_ID: push_pair(L, type, key); break;
  case FIELD_KEY: lua_pushlstring(L, key->text, key->len); break;
  case FIELD_AGENT_TYPE: lua_pushlstring(L, type->text, type->len); break;
  case FIELD_IS_REQUEST: lua_pushboolean(L, turn->msg && turn->msg->kind == TR_MSG_REQUEST); break;
  case FIELD_DEADLINE:
    if (turn->deadline == TR_NEVER) lua_pushnil(L);
    else lua_pushnumber(L, (double)turn->deadline / 1e6);
    break;
  case FIELD_CANCELLED: lua_pushboolean(L, tr_turn_cancelled(turn)); break;
  case FIELD_METADATA: push_metadata(L, turn->msg); break;
  default:
    if (turn->msg) push_message_field(L, turn->msg, field);
    else lua_pushnil(L);
    break;
  }
}

/* --- the metatable --- */

static int unknown(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "ctx has no field of this name");
  const char *name = lua_tostring(L, 2);
  if (tr_name_in(tr_later_methods, name)) tr_fail_raise(L, TR_EINVALID, "ctx:%s is not available yet", name);
  const char *nearest = tr_text_nearest(tr_slice_of(name), names);
  if (nearest) tr_fail_raise(L, TR_EINVALID, "ctx has no `%s`; did you mean `%s`?", name, nearest);
  tr_fail_raise(L, TR_EINVALID, "ctx has no `%s`", name);
}

static int get(lua_State *L) {
  lua_pushvalue(L, 2);
  int kind = lua_rawget(L, lua_upvalueindex(1));
  if (kind == LUA_TFUNCTION) return 1;
  if (kind != LUA_TNUMBER) return unknown(L);
  push_field(L, tr_ctx_turn(L), (int)lua_tointeger(L, -1));
  return 1;
}

static int set(lua_State *L) { tr_fail_raise(L, TR_EINVALID, "ctx cannot be written to: keep state in `self`"); }

static int to_string(lua_State *L) {
  const tr_instance *instance = lua_touserdata(L, 1);
  if (!is_ctx(L, 1)) return luaL_argerror(L, 1, "ctx expected");
  if (!instance->agent) lua_pushliteral(L, "ctx (gone)");
  else lua_pushfstring(L, "ctx (%s/%s)", tr_class_type(instance->agent->class_)->text, instance->agent->key->text);
  return 1;
}

static void add_methods(lua_State *L, tr_script *script, const luaL_Reg *methods) {
  tr_push_ref(L, script->slots_ref);
  tr_push_ref(L, script->agents_ref);
  tr_push_ref(L, script->topics_ref);
  tr_push_ref(L, script->types_ref);
  luaL_setfuncs(L, methods, TR_UP_COUNT);
}

void tr_ctx_open(lua_State *L, tr_script *script) {
  lua_createtable(L, 0, 5);
  lua_createtable(L, 0, 32);
  for (int i = 0; i < FIELD_COUNT; i++) {
    lua_pushinteger(L, i);
    lua_setfield(L, -2, names[i]);
  }
  add_methods(L, script, tr_ctx_message_methods);
  add_methods(L, script, tr_ctx_time_methods);
  add_methods(L, script, tr_ctx_other_methods);
  add_methods(L, script, tr_ctx_agent_methods);
  add_methods(L, script, tr_ctx_launch_methods);
  add_methods(L, script, tr_ctx_stream_methods);
  lua_pushcclosure(L, get, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, set);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, to_string);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "ctx");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  script->ctx_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
