/* SPDX-License-Identifier: MIT
 * publish, send, call and subscribe of a runtime. Bodies go in and out as trees. See module.c. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "module/module.h"

/* --- arguments: (self, target, type, body, options) --- */

static int64_t read_timeout(lua_State *L, int at) {
  if (lua_isboolean(L, at) && !lua_toboolean(L, at)) return -1;
  if (lua_type(L, at) != LUA_TNUMBER) tr_module_raise(L, TR_EINVALID, "timeout must be a number of seconds, or false");
  double seconds = lua_tonumber(L, at);
  if (!(seconds >= 0) || seconds > 1e9) tr_module_raise(L, TR_EINVALID, "timeout must be between 0 and 1e9 seconds");
  return seconds > 0 ? (int64_t)llround(seconds * 1e6) : 1;
}

static int read_priority(lua_State *L, int at) {
  const char *text = lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : "";
  if (strcmp(text, "high") == 0) return 1;
  if (strcmp(text, "low") == 0) return -1;
  if (strcmp(text, "normal") == 0) return 0;
  tr_module_raise(L, TR_EINVALID, "priority must be \"high\", \"normal\" or \"low\"");
}

/* Its texts belong to the table; the list of them is left on the stack. */
static const char *const *read_metadata(lua_State *L, int at) {
  size_t count = 0, i = 0;
  if (lua_type(L, at) != LUA_TTABLE) tr_module_raise(L, TR_EINVALID, "metadata must be a table of strings");
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1), count++)
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
      tr_module_raise(L, TR_EINVALID, "metadata must have strings as keys and values");
  const char **pairs = lua_newuserdatauv(L, (2 * count + 2) * sizeof *pairs, 0);
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    pairs[i++] = lua_tostring(L, -2);
    pairs[i++] = lua_tostring(L, -1);
  }
  pairs[i] = pairs[i + 1] = NULL;
  return pairs;
}

static const char *read_text(lua_State *L, int at, const char *name) {
  if (lua_type(L, at) != LUA_TSTRING) tr_module_raise(L, TR_EINVALID, "%s must be a string", name);
  return lua_tostring(L, at);
}

static void check_names(lua_State *L, int at) {
  static const char *const names[] = { "timeout", "priority", "metadata", "id", "encoding", NULL };
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    bool known = false;
    for (int i = 0; names[i]; i++) known = known || strcmp(names[i], name) == 0;
    if (known) continue;
    if (strcmp(name, "retry") == 0 || strcmp(name, "cancel") == 0)
      tr_module_raise(L, TR_EINVALID, "the option `%s` is for agents (ctx:call)", name);
    const char *nearest = tr_text_nearest(tr_slice_of(name), names);
    if (nearest) tr_module_raise(L, TR_EINVALID, "`%s` is not an option; did you mean `%s`?", name, nearest);
    tr_module_raise(L, TR_EINVALID, "`%s` is not an option", name);
  }
}

/* What is left on the stack keeps it alive. */
static void read_options(lua_State *L, int at, troupe_message_options_t *out) {
  *out = (troupe_message_options_t){ .size = sizeof *out };
  if (lua_isnoneornil(L, at)) return;
  if (lua_type(L, at) != LUA_TTABLE) tr_module_raise(L, TR_EINVALID, "options must be a table");
  check_names(L, at);
  int top = lua_gettop(L);
  static const char *const names[] = { "timeout", "priority", "id", "encoding", "metadata" };
  luaL_checkstack(L, 12, NULL);
  for (int i = 0; i < 5; i++) lua_getfield(L, at, names[i]);
  if (!lua_isnil(L, top + 1)) out->timeout_us = read_timeout(L, top + 1);
  if (!lua_isnil(L, top + 2)) out->priority = read_priority(L, top + 2);
  if (!lua_isnil(L, top + 3)) out->id = read_text(L, top + 3, "id");
  if (!lua_isnil(L, top + 4)) out->encoding = read_text(L, top + 4, "encoding");
  if (!lua_isnil(L, top + 5)) out->metadata = read_metadata(L, top + 5);
}

static const char *check_text(lua_State *L, int at, const char *what) {
  size_t n;
  if (lua_type(L, at) != LUA_TSTRING)
    tr_module_raise(L, TR_EINVALID, "%s must be a string, not %s (call methods with a colon)", what, luaL_typename(L, at));
  const char *text = lua_tolstring(L, at, &n);
  if (strlen(text) != n) tr_module_raise(L, TR_EINVALID, "%s holds a NUL", what);
  return text;
}

/* The last thing before the call that takes it. */
static troupe_value_t *read_body(lua_State *L, int at, tr_lua_runtime *self) {
  tr_error error;
  if (lua_isnoneornil(L, at)) return NULL;
  tr_error_init(&error);
  troupe_value_t *value = tr_foreign_value(L, at, "body", tr_core_mem(tr_runtime_core(self->rt)), &error);
  if (!value) tr_module_raise(L, error.code, "%s", error.text);
  return value;
}

typedef struct arguments { const char *target, *type; troupe_message_options_t options; troupe_value_t *body; } arguments;

static tr_lua_runtime *read_arguments(lua_State *L, const char *what, arguments *out) {
  tr_lua_runtime *self = tr_module_check(L);
  out->target = check_text(L, 2, what);
  out->type = check_text(L, 3, "the message type");
  read_options(L, 5, &out->options);
  out->body = read_body(L, 4, self);
  return self;
}

/* --- publish, send, call --- */

static int runtime_publish(lua_State *L) {
  arguments a;
  tr_lua_runtime *self = read_arguments(L, "the topic", &a);
  if (self->pool) tr_module_result(L, self, troupe_pool_publish(self->pool, a.target, a.type, a.body, &a.options));
  else tr_module_result(L, self, troupe_publish_with(self->rt, a.target, a.type, a.body, &a.options));
  return 0;
}

static int runtime_send(lua_State *L) {
  arguments a;
  tr_lua_runtime *self = read_arguments(L, "the agent", &a);
  tr_module_result(L, self, troupe_send_with(self->rt, a.target, a.type, a.body, &a.options));
  return 0;
}

typedef struct reply_call {
  tr_anchor *anchor;
  int status;
  const char *text, *type;
  const troupe_value_t *body;
} reply_call;

/* fn(true, body, type) or fn(false, error) */
static int reply_main(lua_State *L) {
  const reply_call *reply = lua_touserdata(L, 1);
  tr_error error;
  tr_error_init(&error);
  tr_module_anchored(L, reply->anchor);
  if (reply->status == 0) {
    lua_pushboolean(L, 1);
    int rc = reply->body ? tr_foreign_push(L, reply->body, false, &error) : 0;
    if (rc == 0 && !reply->body) lua_pushnil(L);
    lua_pushstring(L, reply->type);
    if (rc == 0) return lua_call(L, 3, 0), 0;
    lua_settop(L, 2);
  } else {
    tr_error_set(&error, reply->status, "%s", reply->text);
  }
  lua_pushboolean(L, 0);
  tr_foreign_push_error(L, error.code, error.text, NULL, NULL);
  lua_call(L, 2, 0);
  return 0;
}

static int release_main(lua_State *L) {
  tr_module_release(L, lua_touserdata(L, 1));
  return 0;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  reply_call reply = { ud, status, text, type, body };
  tr_lua_runtime *self = reply.anchor->self;
  if (!self->L) return;
  tr_module_protect(self, "the answer of a call", reply_main, &reply, NULL);
  tr_module_protect(self, "the answer of a call", release_main, ud, NULL);
}

/* self:call(agent, type, body, options, fn) */
static int runtime_call(lua_State *L) {
  arguments a;
  lua_settop(L, 6);
  tr_lua_runtime *self = tr_module_check(L);
  tr_anchor *anchor = tr_module_anchor(L, self, 6);
  read_arguments(L, "the agent", &a);
  int rc = self->pool ? troupe_pool_call(self->pool, a.target, a.type, a.body, &a.options, on_reply, anchor)
                      : troupe_call_with(self->rt, a.target, a.type, a.body, &a.options, on_reply, anchor);
  if (rc) tr_module_release(L, anchor);
  tr_module_result(L, self, rc);
  return 0;
}

/* self:pool(host, size): from now on this is a pool's runtime */
static int runtime_pool(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *host = check_text(L, 2, "host");
  tr_module_result(L, self, troupe_pool_open(self->rt, &self->pool, host, (unsigned)luaL_checkinteger(L, 3)));
  return 0;
}

static int runtime_pool_close(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  troupe_pool_close(self->pool);
  self->pool = NULL;
  return 0;
}

/* self:pool_stats() → members, joined, open calls */
static int runtime_pool_stats(lua_State *L) {
  troupe_pool_stats_t stats = { .size = sizeof stats };
  troupe_pool_get_stats(tr_module_check(L)->pool, &stats);
  lua_pushinteger(L, (lua_Integer)stats.members);
  lua_pushinteger(L, (lua_Integer)stats.joined);
  lua_pushinteger(L, (lua_Integer)stats.open_calls);
  return 3;
}

/* self:get(id, fn) */
static int runtime_get(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *id = check_text(L, 2, "the agent");
  tr_anchor *anchor = tr_module_anchor(L, self, 3);
  int rc = troupe_get(self->rt, id, 0, on_reply, anchor);
  if (rc) tr_module_release(L, anchor);
  tr_module_result(L, self, rc);
  return 0;
}

/* --- subscribe --- */

typedef struct event_call { tr_anchor *anchor; const char *topic, *type; const troupe_value_t *body; } event_call;

/* f(body, type, topic) */
static int event_main(lua_State *L) {
  const event_call *event = lua_touserdata(L, 1);
  tr_error error;
  tr_error_init(&error);
  tr_module_anchored(L, event->anchor);
  if (tr_foreign_push(L, event->body, false, &error)) tr_module_raise(L, error.code, "%s", error.text);
  lua_pushstring(L, event->type);
  lua_pushstring(L, event->topic);
  lua_call(L, 3, 0);
  return 0;
}

static void on_event(void *ud, const char *topic, const char *type, const troupe_value_t *body) {
  event_call event = { ud, topic, type, body };
  if (event.anchor->self->L) tr_module_protect(event.anchor->self, "a subscription", event_main, &event, NULL);
}

/* self:subscribe(topic, f) → id, and what unsubscribe needs with it */
static int runtime_subscribe(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *topic = check_text(L, 2, "the topic");
  if (!lua_isfunction(L, 3)) tr_module_raise(L, TR_EINVALID, "rt:subscribe takes a topic and a function");
  tr_anchor *anchor = tr_module_anchor(L, self, 3);
  int64_t id = troupe_subscribe(self->rt, topic, on_event, anchor);
  if (id < 0) tr_module_release(L, anchor);
  tr_module_result(L, self, id < 0 ? id : 0);
  lua_pushinteger(L, (lua_Integer)id);
  lua_pushlightuserdata(L, anchor);
  return 2;
}

static int runtime_unsubscribe(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  if (!lua_isinteger(L, 2)) tr_module_raise(L, TR_EINVALID, "rt:unsubscribe takes the id that rt:subscribe gave");
  tr_module_result(L, self, troupe_unsubscribe(self->rt, lua_tointeger(L, 2)));
  if (lua_islightuserdata(L, 3)) tr_module_release(L, lua_touserdata(L, 3));
  return 0;
}

const luaL_Reg tr_module_message_methods[] = {
  { "publish", runtime_publish }, { "send", runtime_send }, { "call", runtime_call }, { "get", runtime_get },
  { "pool", runtime_pool }, { "pool_stats", runtime_pool_stats }, { "pool_close", runtime_pool_close },
  { "subscribe", runtime_subscribe }, { "unsubscribe", runtime_unsubscribe }, { NULL, NULL }
};
