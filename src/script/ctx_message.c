/* SPDX-License-Identifier: MIT
 * ctx:publish, ctx:send, ctx:call, ctx:pcall, ctx:async.
 *
 * All that may raise (addresses, options, the body's copy) comes before the message is made; from there on it is C
 * without errors, so a message is either in the outbox or was never there. The body is copied here, once; the
 * reply's value arrives in a slot and is moved onto the stack of the coroutine that waits for it. */
#include <math.h>

#include "base/text.h"
#include "script/internal.h"

typedef struct options {
  bool has_timeout, has_priority;
  tr_time timeout; /* TR_NEVER: none */
  tr_priority priority;
  int metadata, id; /* stack indexes; 0: not given */
  tr_slice encoding; /* n 0: not given */
  unsigned retry;
  tr_token *cancel;
} options;

static const char *const option_names[] = { "timeout", "priority", "metadata", "id", "encoding", "retry", "cancel", NULL };
static const char *const priority_names[] = { "normal", "high", "low", NULL };

tr_time tr_check_seconds(lua_State *L, int at, const char *what) {
  if (lua_type(L, at) != LUA_TNUMBER)
    tr_fail_raise(L, TR_EINVALID, "%s must be a number of seconds, not %s", what, tr_type_name(L, at));
  double seconds = lua_tonumber(L, at);
  if (!(seconds >= 0)) tr_fail_raise(L, TR_EINVALID, "%s must not be negative", what);
  if (seconds > 1e9) tr_fail_raise(L, TR_EINVALID, "%s is longer than thirty years", what);
  return (tr_time)llround(seconds * 1e6);
}

static void check_metadata(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TTABLE)
    tr_fail_raise(L, TR_EINVALID, "metadata must be a table of strings, not %s", tr_type_name(L, at));
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      tr_fail_raise(L, TR_EINVALID, "metadata must have strings as keys and values");
    tr_slice key, value;
    key.p = lua_tolstring(L, -2, &key.n);
    value.p = lua_tolstring(L, -1, &value.n);
    if (!tr_utf8_valid(key) || !tr_utf8_valid(value)) tr_fail_raise(L, TR_EINVALID, "metadata.%s is not UTF-8", key.p);
    tr_error error;
    tr_error_init(&error);
    if (tr_meta_key_check(key, &error)) tr_fail_raise_error(L, &error);
  }
}

static void check_id(lua_State *L, int at) {
  tr_slice id;
  if (lua_type(L, at) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "id must be a string, not %s", tr_type_name(L, at));
  id.p = lua_tolstring(L, at, &id.n);
  if (id.n == 0 || id.n > 256 || !tr_utf8_valid(id))
    tr_fail_raise(L, TR_EINVALID, "id must be UTF-8 text of 1 to 256 bytes");
}

static void check_option(lua_State *L, options *o, const char *name) {
  int value = lua_gettop(L);
  if (strcmp(name, "timeout") == 0) {
    o->has_timeout = true;
    o->timeout = lua_isboolean(L, value) && !lua_toboolean(L, value) ? TR_NEVER : tr_check_seconds(L, value, "timeout");
  } else if (strcmp(name, "priority") == 0) {
    const char *text = lua_type(L, value) == LUA_TSTRING ? lua_tostring(L, value) : "";
    int at = 0;
    while (priority_names[at] && strcmp(priority_names[at], text) != 0) at++;
    if (!priority_names[at]) tr_fail_raise(L, TR_EINVALID, "priority must be \"high\", \"normal\" or \"low\"");
    o->has_priority = true;
    o->priority = (tr_priority)at;
  } else if (strcmp(name, "encoding") == 0) {
    if (lua_type(L, value) == LUA_TSTRING) o->encoding.p = lua_tolstring(L, value, &o->encoding.n);
    if (o->encoding.n == 0) tr_fail_raise(L, TR_EINVALID, "%s", tr_encoding_unknown);
  } else if (strcmp(name, "metadata") == 0) {
    check_metadata(L, value);
    o->metadata = 1;
  } else if (strcmp(name, "id") == 0) {
    check_id(L, value);
    o->id = 1;
  } else if (strcmp(name, "retry") == 0) {
    lua_Integer n = lua_isinteger(L, value) ? lua_tointeger(L, value) : -1;
    if (n < 0 || n > 1000) tr_fail_raise(L, TR_EINVALID, "retry must be a number from 0 to 1000");
    o->retry = (unsigned)n;
  } else if (strcmp(name, "cancel") == 0) {
    o->cancel = tr_token_at(L, value);
    if (!o->cancel) tr_fail_raise(L, TR_EINVALID, "cancel must be a token (of troupe.token), not %s", tr_type_name(L, value));
  } else if (tr_name_in(tr_later_options, name)) {
    tr_fail_raise(L, TR_EINVALID, "the option `%s` is not available yet", name);
  } else {
    const char *nearest = tr_text_nearest(tr_slice_of(name), option_names);
    if (nearest) tr_fail_raise(L, TR_EINVALID, "`%s` is not an option; did you mean `%s`?", name, nearest);
    tr_fail_raise(L, TR_EINVALID, "`%s` is not an option", name);
  }
}

/* The options at `at`; what is needed later is left on the stack. */
static TR_APART void check_options(lua_State *L, int at, options *o) {
  if (lua_isnil(L, at)) return;
  if (lua_type(L, at) != LUA_TTABLE)
    tr_fail_raise(L, TR_EINVALID, "options must be a table, not %s", tr_type_name(L, at));
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "options must have names");
    check_option(L, o, lua_tostring(L, -2));
  }
  lua_settop(L, at);
  if (o->metadata) {
    lua_pushliteral(L, "metadata");
    lua_rawget(L, at);
    o->metadata = lua_gettop(L);
  }
  if (o->id) {
    lua_pushliteral(L, "id");
    lua_rawget(L, at);
    o->id = lua_gettop(L);
  }
}

/* Into the message; false where memory ran out. Does not raise: all was checked. */
static bool apply(lua_State *L, const options *o, tr_msg *msg) {
  tr_core *core = msg->core;
  msg->priority = (uint8_t)o->priority;
  if (o->has_timeout) msg->deadline = o->timeout == TR_NEVER ? TR_NEVER : tr_core_now(core) + o->timeout;
  if (o->id) {
    size_t n;
    const char *text = lua_tolstring(L, o->id, &n);
    msg->id = tr_name_new(tr_core_names(core), tr_slice_make(text, n));
    if (!msg->id) return false;
  }
  if (!o->metadata) return true;
  msg->meta = tr_meta_new(tr_core_mem(core));
  if (!msg->meta) return false;
  for (lua_pushnil(L); lua_next(L, o->metadata); lua_pop(L, 1)) {
    tr_slice key, value;
    key.p = lua_tolstring(L, -2, &key.n);
    value.p = lua_tolstring(L, -1, &value.n);
    if (!tr_meta_set(msg->meta, key, value)) continue;
    lua_pop(L, 2);
    return false;
  }
  return true;
}

/* What a turn sends carries on the trace of the message it handles, unless it gives another. */
static const char *const trace_keys[] = { "traceparent", "tracestate" };

static bool carry_trace(const tr_lua_turn *lt, tr_msg *msg) {
  const tr_msg *from = lt->turn->msg;
  if (!from || !from->meta || tr_meta_get(msg->meta, tr_slice_of(trace_keys[0])).p) return true;
  for (int i = 0; i < 2; i++) {
    tr_slice value = tr_meta_get(from->meta, tr_slice_of(trace_keys[i]));
    if (!value.p) {
      if (i == 0) return true;
      continue;
    }
    if (!msg->meta) msg->meta = tr_meta_new(tr_core_mem(msg->core));
    if (!msg->meta || tr_meta_set(msg->meta, tr_slice_of(trace_keys[i]), value)) return false;
  }
  return true;
}

/* Make the body at `at` what opts.encoding needs: a string for "text", troupe.bytes for "bytes", so that it arrives as
 * the same whichever way it goes. */
static void convert_body(lua_State *L, int at, uint8_t format) {
  tr_slice bytes;
  bool is_string = lua_type(L, at) == LUA_TSTRING;
  if (format == TR_FORMAT_TEXT && !is_string)
    tr_fail_raise(L, TR_EINVALID, "body: the encoding \"text\" takes a string, not %s", tr_type_name(L, at));
  if (format != TR_FORMAT_BYTES || tr_bytes_get(L, at, &bytes)) return;
  if (!is_string)
    tr_fail_raise(L, TR_EINVALID, "body: the encoding \"bytes\" takes a string or troupe.bytes, not %s", tr_type_name(L, at));
  bytes.p = lua_tolstring(L, at, &bytes.n);
  tr_bytes_push(L, bytes);
  lua_replace(L, at);
}

/* What few messages need: what was asked for, what goes with the message's type, what its turn carries on. False: *error says why, or,
 * where that is empty, memory ran out. */
static TR_APART bool make_special(lua_State *L, const tr_lua_turn *lt, tr_msg *msg, const tr_body_with *with, options *o, tr_error *error) {
  tr_script *script = lt->script;
  if (!o->has_priority && lt->def->priority_count) o->priority = tr_definition_priority(lt->def, msg->type);
  int rc = tr_script_home(script)->schema_sets ? tr_contract_sent(L, lt, msg, lua_upvalueindex(TR_UP_SLOTS), error) : 0;
  bool whole = !with->wait || !with->wait->missing; /* else it is encoded when its placeholders are there (future.c) */
  if (!rc && whole && msg->body.format) rc = tr_body_encode(script, tr_name_view(msg->type), &msg->body, error);
  if (rc) return false;
  if ((o->has_timeout || o->priority || o->metadata || o->id) && !apply(L, o, msg)) return false;
  return carry_trace(lt, msg);
}

/* opts.encoding: what the body is to go as; the body at 4 is made that. */
static TR_APART void check_encoding(lua_State *L, const tr_lua_turn *lt, const tr_name *type, const options *o, tr_body *form) {
  tr_error error;
  tr_error_init(&error);
  if (tr_script_find_encoding(lt->script, tr_name_view(type), o->encoding, form, &error)) tr_fail_raise_error(L, &error);
  convert_body(L, 4, form->format);
}

/* The message of ctx:METHOD(target, type, body, opts). */
static tr_msg *make(lua_State *L, tr_lua_turn *lt, tr_msg_kind kind, tr_body_with *with, options *o) {
  tr_script *script = lt->script;
  const tr_definition *def = lt->def;
  tr_body body, form = { .format = TR_FORMAT_JSON };
  tr_error error;
  int count = lua_gettop(L);
  *o = (options){ 0 };
  if (count > 5)
    tr_fail_raise(L, TR_EINVALID, "too many arguments: expected (%s, type, body, options)",
                  kind == TR_MSG_EVENT ? "topic" : "agent");
  const tr_address *target = kind == TR_MSG_EVENT ? tr_address_topic(L, 2, lua_upvalueindex(TR_UP_TOPICS))
                                                  : tr_address_agent(L, 2, lua_upvalueindex(TR_UP_AGENTS));
  tr_name *type = tr_address_type(L, 3, lua_upvalueindex(TR_UP_TYPES));
  if (def->messages && lt->sent >= def->messages) tr_limit_raise(L, lt, "messages", def->messages, "in one turn");
  if (count == 5) {
    check_options(L, 5, o);
    if (kind != TR_MSG_REQUEST && (o->retry || o->cancel))
      tr_fail_raise(L, TR_EINVALID, "`%s` is an option of calls", o->retry ? "retry" : "cancel");
    if (o->encoding.n) check_encoding(L, lt, type, o, &form);
  }
  if (lt->held > def->memory && !def->program)
    tr_fail_raise(L, TR_ELIMIT, "what the turn has sent since its last wait has more than %zu KB (limits.memory; ctx:sleep(0) lets it go)", def->memory >> 10);
  with->turn = lt;
  tr_error_init(&error);
  if (tr_body_from_with(L, 4, lua_upvalueindex(TR_UP_SLOTS), "body", with, &body, &error)) {
    if (with->pending) return NULL;
    tr_fail_raise_error(L, &error);
  }
  tr_msg *msg = tr_msg_new(script->core, kind);
  if (!msg) {
    tr_body_release(script->core, &body);
    tr_raise_memory(L);
  }
  msg->body = body;
  if (o->encoding.n) {
    msg->body.format = form.format;
    msg->body.serializer = form.serializer;
  } else if (script->plugged) {
    tr_encoding_default(script, type, &msg->body);
  }
  msg->type = tr_name_ref(type);
  msg->target_type = tr_name_ref(target->type);
  /* A bare topic: the source is the agent's own key, as AutoGen's default topic has it; a program's key is
   * "default". */
  msg->target_key = tr_name_ref(target->key ? target->key : lt->turn->agent->key);
  msg->troupe_peer = true;
  const tr_msg *from = lt->turn->msg;
  if (count == 5 || def->priority_count || tr_script_home(script)->schema_sets || msg->body.format || (from && from->meta)) {
    if (!make_special(L, lt, msg, with, o, &error)) {
      tr_msg_unref(msg);
      if (!error.code) tr_raise_memory(L);
      tr_fail_raise_error(L, &error);
    }
  }
  if (kind == TR_MSG_REQUEST && !o->has_timeout && def->timeout != TR_NEVER)
    msg->deadline = tr_core_now(script->core) + def->timeout;
  lt->sent++;
  lt->held += with->made;
  return msg;
}

static int post_event(lua_State *L, int status, lua_KContext wait);
static int post_send(lua_State *L, int status, lua_KContext wait);

/* Wait for the placeholders in the value at `at`, one after the other. A future collects them; it is never started. */
static int wait_for_arguments(lua_State *L, tr_lua_turn *lt, lua_KFunction k) {
  tr_body_with with = { .turn = lt };
  tr_body body;
  tr_error error;
  tr_error_init(&error);
  tr_lua_check_wait(L);
  with.wait = tr_future_new(L, lt, lt->script->future_ref);
  if (tr_body_from_with(L, 4, lua_upvalueindex(TR_UP_SLOTS), "body", &with, &body, &error)) tr_fail_raise_error(L, &error);
  tr_body_release(lt->script->core, &body);
  tr_future *need = with.wait->needs ? with.wait->needs->need : NULL;
  if (need) tr_future_watch(need, true);
  lua_settop(L, 5);
  return tr_lua_pause(L, TR_PAUSE_WAIT, k);
}

static int post(lua_State *L, tr_msg_kind kind, lua_KFunction k, lua_KContext wait) {
  tr_lua_turn *lt = wait ? tr_lua_resumed(L, wait) : tr_ctx_turn(L);
  tr_body_with with = { .turn = lt };
  options o;
  if (wait) lua_settop(L, 5);
  tr_msg *msg = make(L, lt, kind, &with, &o);
  if (!msg) {
    lua_settop(L, 5);
    return wait_for_arguments(L, lt, k);
  }
  int rc = tr_turn_post(lt->turn, msg);
  if (rc == TR_ELIMIT) tr_fail_raise(L, TR_ELIMIT, "a turn sends at most %d messages between two waits (ctx:sleep(0) lets them go)", TR_OUTBOX_MOST);
  if (rc) tr_fail_raise(L, rc, "%s", tr_error_default_text(rc));
  return 0;
}

static int post_event(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  return post(L, TR_MSG_EVENT, post_event, wait);
}

static int post_send(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  return post(L, TR_MSG_SEND, post_send, wait);
}

static int ctx_publish(lua_State *L) { return post_event(L, LUA_OK, 0); }
static int ctx_send(lua_State *L) { return post_send(L, LUA_OK, 0); }

/* --- calls --- */

static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  tr_lua_turn *lt = ud;
  (void)call;
  lt->call = NULL;
  lt->answered = true;
  lt->code = reply->code;
  if (reply->code) {
    tr_error_init(&lt->error);
    tr_error_set(&lt->error, reply->code, "%.*s", TR_SLICE_ARG(reply->error));
  } else {
    tr_name_unref(lt->reply_type);
    lt->reply_type = tr_name_ref(reply->type);
    lt->reply = reply->body;
    reply->body.kind = TR_BODY_NONE;
  }
  tr_turn_wake(lt->turn);
}

/* Mostly it is the request's, which is at hand: finding a string costs four times as much. */
static inline void push_reply_type(lua_State *L, const tr_name *type) {
  size_t n;
  const char *asked = lua_tolstring(L, 3, &n);
  if (!type) lua_pushliteral(L, "null");
  else if (n == type->len && memcmp(asked, type->text, n) == 0) lua_pushvalue(L, 3);
  else lua_pushlstring(L, type->text, type->len);
}

static TR_COLD int call_failed(lua_State *L, int code, const char *text) {
  tr_fail_push(L, code, text, lua_tostring(L, 2), lua_tostring(L, 3));
  return lua_error(L);
}

static int call_answered(lua_State *L, int status, lua_KContext wait) {
  tr_lua_turn *lt = tr_lua_resumed(L, wait);
  tr_error error;
  (void)status;
  if (!lt->answered) return tr_lua_pause(L, TR_PAUSE_WAIT, call_answered);
  if (lt->code) return call_failed(L, lt->code, lt->error.text);
  tr_error_init(&error);
  if (tr_body_take(L, &lt->reply, lua_upvalueindex(TR_UP_SLOTS), lt->def->nulls_keep, &error)) return call_failed(L, error.code, error.text);
  if (lt->def->schemas && tr_contract_answer(L, lt, tr_slice_of(lua_tostring(L, 3)), lt->reply_type, lua_gettop(L), &error))
    return call_failed(L, error.code, error.text);
  push_reply_type(L, lt->reply_type);
  return 2;
}

void tr_async(lua_State *L, tr_lua_turn *lt, int meta_ref, uint32_t via) {
  tr_body_with with = { .turn = lt };
  options o;
  if (lua_gettop(L) < 5) lua_settop(L, 5);
  with.wait = tr_future_new(L, lt, meta_ref);
  if (meta_ref == lt->script->stream_ref && !(with.wait->parts = TR_NEW(lt->script->mem, tr_stream))) tr_raise_memory(L);
  lua_replace(L, 1);
  tr_msg *msg = make(L, lt, TR_MSG_REQUEST, &with, &o);
  if (with.wait->parts && o.retry) {
    tr_msg_unref(msg);
    tr_fail_raise(L, TR_EINVALID, "`retry` is no option of streams: what was read of one cannot be taken back");
  }
  msg->via = via;
  if (with.wait->parts) msg->window = TR_STREAM_WINDOW;
  with.wait->keeps = meta_ref == lt->script->placeholder_ref;
  tr_future_start(with.wait, msg, o.retry);
  if (o.cancel) tr_token_join(o.cancel, with.wait);
  lua_settop(L, 1);
}

static int ctx_async(lua_State *L) {
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_async(L, lt, lt->script->future_ref, 0);
  return 1;
}

/* A call that needs more than waiting for one answer. */
static bool is_special(lua_State *L) {
  bool special = false;
  if (tr_placeholder_is(L, 4)) return true;
  if (lua_type(L, 5) != LUA_TTABLE) return false;
  special = tr_raw_field(L, 5, "retry") != LUA_TNIL;
  special = tr_raw_field(L, 5, "cancel") != LUA_TNIL || special;
  lua_pop(L, 2);
  return special;
}

static int call_by_future(lua_State *L, tr_lua_turn *lt) {
  tr_async(L, lt, lt->script->future_ref, 0);
  return tr_future_await(L);
}

static int ctx_call(lua_State *L) {
  tr_body_with with = { .turn = NULL };
  options o;
  tr_lua_turn *lt = tr_ctx_turn(L);
  tr_lua_check_wait(L);
  if (lt->call) tr_fail_raise(L, TR_EINVALID, "this turn waits for another call already");
  if (lua_gettop(L) >= 5 ? is_special(L) : lua_type(L, 4) == LUA_TUSERDATA && tr_placeholder_is(L, 4)) return call_by_future(L, lt);
  tr_msg *msg = make(L, lt, TR_MSG_REQUEST, &with, &o);
  if (!msg) {
    lua_settop(L, 5);
    return call_by_future(L, lt);
  }
  lt->answered = false;
  lt->call = tr_turn_call(lt->turn, msg, on_reply, lt);
  if (!lt->call) tr_raise_memory(L);
  return tr_lua_suspend(L, lt->script, TR_PAUSE_WAIT, call_answered);
}

static int pcall_done(lua_State *L, int status, lua_KContext extra) {
  (void)extra;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L);
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

static int ctx_pcall(lua_State *L) {
  int n = lua_gettop(L);
  tr_ctx_turn(L);
  lua_getfield(L, 1, "call");
  lua_insert(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  return pcall_done(L, lua_pcallk(L, n, LUA_MULTRET, 0, 0, pcall_done), 0);
}

const luaL_Reg tr_ctx_message_methods[] = {
  { "publish", ctx_publish }, { "send", ctx_send }, { "call", ctx_call }, { "pcall", ctx_pcall }, { "async", ctx_async },
  { NULL, NULL }
};
