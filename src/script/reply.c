/* SPDX-License-Identifier: MIT
 * The answer to a request: what a handler's return values become.
 *
 * The type is the second value, else what `replies` says, else, for a caller whose runtime is troupe, the request's
 * own. To another caller a body of a type that it does not know would be an answer it cannot decode, and it would
 * wait for ever: it gets `null`, and the log says so once a type. */
#include "script/internal.h"

static tr_name *declared(const tr_definition *def, const tr_name *request) {
  for (size_t i = 0; i < def->reply_count; i++)
    if (def->replies[i].request == request) return def->replies[i].reply;
  return NULL;
}

static TR_COLD void refuse(tr_lua_turn *lt, const tr_error *error) {
  const tr_turn *turn = lt->turn;
  tr_fail_log(lt->script, NULL, "reply.failed", turn->agent, turn->msg->type->text, error);
  tr_turn_fail(lt->turn, error->code, error->text);
}

/* The second value, checked; NULL where there is none. */
static TR_APART int explicit_type(lua_State *L, int at, tr_name **type, tr_error *error) {
  *type = NULL;
  if (lua_isnil(L, at)) return 0;
  if (lua_type(L, at) != LUA_TSTRING)
    return tr_error_set(error, TR_EINVALID, "the reply's type (second value) must be a string, not %s",
                        tr_type_name(L, at));
  tr_slice text;
  text.p = lua_tolstring(L, at, &text.n);
  int rc = tr_message_type_check(text, error);
  if (!rc) *type = tr_address_type(L, at, TR_AT_TYPES);
  return rc;
}

static TR_APART tr_name *untyped(tr_lua_turn *lt, tr_body *body) {
  const tr_msg *msg = lt->turn->msg;
  if (body->kind != TR_BODY_NULL && tr_script_class_once(lt->instance->class_, "reply:", tr_name_view(msg->type)))
    tr_log_write(tr_core_log(lt->script->core), TR_LOG_WARN, "reply.untyped",
                 "agent_type=%s type=%s (a caller that is not troupe gets null: return a type as second value, or give `replies`)",
                 lt->def->type, msg->type->text);
  tr_body_release(lt->script->core, body);
  body->kind = TR_BODY_NULL;
  return NULL;
}

static tr_name *default_type(tr_lua_turn *lt, tr_body *body) {
  const tr_msg *msg = lt->turn->msg;
  tr_name *type = lt->def->reply_count ? declared(lt->def, msg->type) : NULL;
  if (type) return type;
  return msg->troupe_peer ? msg->type : untyped(lt, body);
}

/* It holds placeholders that are not there yet: the turn is over, the answer comes when they are. [body at `at`, the future] */
static TR_APART void answer_later(tr_lua_turn *lt, tr_future *f, tr_name *type, bool passes, tr_body *body) {
  f->reply = *body;
  body->kind = TR_BODY_NONE;
  f->pass_type = passes;
  if (!type && !passes) {
    tr_body none = { .kind = TR_BODY_NONE };
    type = default_type(lt, &none);
    f->nothing = !type;
  }
  tr_future_answer(f, lt->turn->msg, type);
  tr_turn_defer(lt->turn);
}

/* The type of the placeholder at `at`, where that is the whole answer: as `return ctx:call(…)` passes it on. */
static TR_APART tr_name *passed_type(lua_State *L, int at) {
  const tr_future *f = tr_future_at(L, at);
  return f->settled ? f->reply_type : NULL; /* that came, if not the content */
}

void tr_lua_give_answer(lua_State *L, tr_lua_turn *lt, int count) {
  tr_body body = { .kind = TR_BODY_NULL };
  tr_body_with with = { .turn = lt };
  tr_name *type = NULL;
  tr_error error;
  tr_error_init(&error);
  int at = lua_gettop(L) + 1 - count, kind = count > 0 ? lua_type(L, at) : LUA_TNIL;
  int rc = count > 1 ? explicit_type(L, at + 1, &type, &error) : 0;
  bool alone = kind == LUA_TUSERDATA && !rc && tr_placeholder_is(L, at), passes = alone && !type;
  if (!rc && kind != LUA_TNIL) rc = tr_body_from_with(L, at, TR_AT_SLOTS, "reply", &with, &body, &error);
  if (rc && with.pending) {
    with.wait = tr_future_new(L, lt, lt->script->future_ref);
    rc = tr_body_from_with(L, at, TR_AT_SLOTS, "reply", &with, &body, &error);
  }
  if (rc) {
    refuse(lt, &error);
    return;
  }
  if (with.wait) {
    answer_later(lt, with.wait, type, passes, &body);
    return;
  }
  if (passes) type = passed_type(L, at);
  else if (!type && kind != LUA_TNIL) type = default_type(lt, &body);
  if (lt->def->schemas && tr_contract_reply(L, lt, type, &body, &error)) {
    tr_body_release(lt->script->core, &body);
    refuse(lt, &error);
    return;
  }
  if (tr_reply_asks(lt->script, lt->turn->msg) && tr_reply_encode(lt->script, lt->turn->msg, type, &body, &error)) {
    tr_body_release(lt->script->core, &body);
    refuse(lt, &error);
    return;
  }
  tr_turn_reply(lt->turn, type, &body);
}
