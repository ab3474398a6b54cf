/* SPDX-License-Identifier: MIT
 * ctx:callback(type): a function for those who call back at any time (a timer or a socket of luv, another agent): each
 * call sends a message of this type to the agent that made it. It holds no turn and no instance, only the address, so
 * it may outlive both; the message then makes the instance anew, as any other does. */
#include "core/id.h"
#include "script/internal.h"

enum { UP_SLOTS = 1, UP_AGENT, UP_TYPE, UP_SCRIPT }; /* upvalues: the table of bodies in flight, the agent's name, the message type */

/* No argument: no body; one: the body; more: an array of them. Leaves it on the top. */
static void gather(lua_State *L) {
  int n = lua_gettop(L);
  if (n == 0) lua_newtable(L);
  if (n <= 1) return;
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    lua_pushvalue(L, i);
    if (lua_isnil(L, -1)) {
      lua_pop(L, 1);
      lua_pushlightuserdata(L, NULL); /* troupe.null */
    }
    lua_rawseti(L, -2, i);
  }
}

typedef struct body_call { tr_body body; int rc; tr_error *error; } body_call;

static int make_body(lua_State *L) { /* value, slots, the call */
  body_call *call = lua_touserdata(L, 3);
  call->rc = tr_body_from(L, 1, 2, "body", &call->body, call->error);
  return 0;
}

/* The value on the top as a body of this script, whichever runs. */
static int body_of(lua_State *L, tr_script *script, tr_body *body, tr_error *error) {
  body_call call = { { .kind = TR_BODY_NONE }, 0, error };
  lua_pushcfunction(L, make_body);
  lua_insert(L, -2);
  lua_pushvalue(L, lua_upvalueindex(UP_SLOTS));
  lua_pushlightuserdata(L, &call);
  tr_script *before = tr_foreign_enter(script);
  int status = lua_pcall(L, 3, 0, 0);
  tr_foreign_leave(script, before);
  *body = call.body;
  return status ? tr_error_set(error, TR_EMEMORY, "out of memory") : call.rc;
}

static int called(lua_State *L) {
  tr_script *script = tr_foreign_handle_at(L, lua_upvalueindex(UP_SCRIPT));
  tr_error error;
  tr_agent_id id;
  tr_slice name, type;
  tr_error_init(&error);
  name.p = lua_tolstring(L, lua_upvalueindex(UP_AGENT), &name.n);
  type.p = lua_tolstring(L, lua_upvalueindex(UP_TYPE), &type.n);
  gather(L);
  tr_body body;
  if (body_of(L, script, &body, &error)) tr_fail_raise_error(L, &error);
  int rc = tr_agent_id_parse(name, TR_SLICE_LITERAL("default"), &id, &error);
  tr_msg *msg = rc ? NULL : tr_msg_new(script->core, TR_MSG_SEND);
  if (msg) {
    msg->type = tr_name_new(tr_core_names(script->core), type);
    msg->target_type = tr_name_new(tr_core_names(script->core), id.type);
    msg->target_key = tr_name_new(tr_core_names(script->core), id.key);
    msg->troupe_peer = true;
    msg->body = body;
  } else {
    tr_body_release(script->core, &body);
  }
  if (!msg || !msg->type || !msg->target_type || !msg->target_key) {
    if (msg) tr_msg_unref(msg);
    tr_raise_memory(L);
  }
  tr_core_post(script->core, msg); /* what cannot be delivered is a dead letter */
  return 0;
}

int tr_ctx_callback(lua_State *L) {
  const tr_lua_turn *lt = tr_ctx_turn(L);
  char name[2 * 4096 + 2];
  const tr_name *type = tr_address_type(L, 2, lua_upvalueindex(TR_UP_TYPES));
  tr_agent_name(lt->turn->agent, name, sizeof name);
  lua_pushvalue(L, lua_upvalueindex(TR_UP_SLOTS));
  lua_pushstring(L, name);
  lua_pushlstring(L, type->text, type->len);
  tr_foreign_handle_push(L, lt->script);
  lua_pushcclosure(L, called, UP_SCRIPT);
  return 1;
}
