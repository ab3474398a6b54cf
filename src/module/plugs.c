/* SPDX-License-Identifier: MIT
 * What a program plugs into its runtime: an interceptor, serializers, descriptors of protobuf. See module.c. */
#include <stdio.h>
#include <string.h>

#include "module/module.h"

/* --- the interceptor --- */

typedef struct intercept_call { tr_lua_runtime *self; troupe_message_t *message; int result; char *error; } intercept_call;

static bool same(const tr_value *a, const tr_value *b);

static bool same_map(const tr_value *a, const tr_value *b) {
  for (size_t i = 0; i < tr_value_length(a); i++) {
    const tr_value *other = tr_value_get(b, tr_value_key_at(a, i));
    if (!other || !same(tr_value_at(a, i), other)) return false;
  }
  return true;
}

/* As deep as bodies may be. */
static bool same(const tr_value *a, const tr_value *b) {
  tr_value_kind kind = tr_value_get_kind(a);
  tr_slice text[2];
  int64_t integer[2];
  double number[2];
  bool boolean[2];
  if (tr_value_get_kind(b) != kind || tr_value_length(a) != tr_value_length(b)) return false;
  switch (kind) {
  case TR_VALUE_NULL: return true;
  case TR_VALUE_BOOLEAN: return tr_value_as_boolean(a, boolean) && tr_value_as_boolean(b, boolean + 1) && boolean[0] == boolean[1];
  case TR_VALUE_INTEGER: return tr_value_as_integer(a, integer) && tr_value_as_integer(b, integer + 1) && integer[0] == integer[1];
  case TR_VALUE_NUMBER: return tr_value_as_number(a, number) && tr_value_as_number(b, number + 1) && number[0] == number[1];
  case TR_VALUE_STRING:
  case TR_VALUE_BYTES: return tr_value_as_string(a, text) && tr_value_as_string(b, text + 1) && tr_slice_equal(text[0], text[1]);
  case TR_VALUE_MAP: return same_map(a, b);
  default:
    for (size_t i = 0; i < tr_value_length(a); i++)
      if (!same(tr_value_at(a, i), tr_value_at(b, i))) return false;
    return true;
  }
}

static void set_text(lua_State *L, const char *name, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void push_message(lua_State *L, const troupe_message_t *message) {
  tr_error error;
  tr_error_init(&error);
  lua_createtable(L, 0, 6);
  set_text(L, "kind", message->kind);
  set_text(L, strcmp(message->kind, "event") == 0 ? "topic" : "agent", message->target);
  set_text(L, "type", message->type);
  set_text(L, "sender", message->sender);
  set_text(L, "id", message->id);
  if (!message->body) return;
  if (tr_foreign_push(L, message->body, true, &error)) tr_module_raise(L, error.code, "%s", error.text);
  lua_setfield(L, -2, "body");
}

/* The new body, where it is another. The table is on the top. */
static void take_body(lua_State *L, const tr_lua_runtime *self, troupe_message_t *message) {
  tr_error error;
  tr_error_init(&error);
  tr_mem *mem = tr_core_mem(tr_runtime_core(self->rt));
  if (lua_getfield(L, -1, "body") == LUA_TNIL && !message->body) {
    lua_pop(L, 1);
    return;
  }
  if (lua_isnil(L, -1)) message->new_body = tr_value_map(mem);
  else message->new_body = tr_foreign_value(L, -1, "body", mem, &error);
  if (!message->new_body) tr_module_raise(L, error.code ? error.code : TR_EMEMORY, "%s", error.text);
  if (message->body && same(message->body, message->new_body)) {
    tr_value_free(message->new_body);
    message->new_body = NULL;
  }
  lua_pop(L, 1);
}

static int intercept_main(lua_State *L) {
  intercept_call *call = lua_touserdata(L, 1);
  troupe_message_t *message = call->message;
  tr_module_kept(L, call->self, "intercept");
  push_message(L, message);
  lua_call(L, 1, 1);
  call->result = TROUPE_DROP;
  if (lua_isnil(L, -1)) return 0;
  call->result = TROUPE_PASS;
  if (!lua_istable(L, -1)) tr_module_raise(L, TR_EINVALID, "an interceptor must return the message or nil, not %s", luaL_typename(L, -1));
  take_body(L, call->self, message);
  if (lua_getfield(L, -1, "type") != LUA_TSTRING) tr_module_raise(L, TR_EINVALID, "an interceptor's message needs a type");
  if (strcmp(lua_tostring(L, -1), message->type) == 0) return 0;
  tr_module_keep(L, call->self, "intercepted"); /* so that the text lives */
  tr_module_kept(L, call->self, "intercepted");
  message->new_type = lua_tostring(L, -1);
  return 0;
}

static int on_message(void *ud, troupe_message_t *message) {
  tr_lua_runtime *self = ud;
  static const char none[] = "";
  intercept_call call = { .self = self, .message = message, .error = NULL };
  tr_error error;
  tr_error_init(&error);
  if (!self->L) return TROUPE_PASS;
  int rc = tr_module_protect(self, "the interceptor", intercept_main, &call, &error);
  if (rc == 0) return call.result;
  snprintf(self->text, sizeof self->text, "%s", error.text[0] ? error.text : none);
  message->error = self->text;
  message->new_type = NULL;
  return rc;
}

/* self:intercept(f | nil) */
static int intercept(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  bool set = lua_isfunction(L, 2);
  tr_module_keep(L, self, "intercept");
  tr_module_result(L, self, troupe_intercept(self->rt, set ? on_message : NULL, self));
  return 0;
}

static int dropped(lua_State *L) {
  troupe_stats_t stats = { .size = sizeof stats };
  troupe_get_stats(tr_module_check(L)->rt, &stats);
  lua_pushinteger(L, (lua_Integer)stats.dropped);
  return 1;
}

/* self:stats() → a table of counts: since the beginning, and of what is there now */
static int stats(lua_State *L) {
  troupe_t *rt = tr_module_check(L)->rt;
  troupe_stats_t s = { .size = sizeof s };
  tr_runtime_open open;
  troupe_get_stats(rt, &s);
  tr_runtime_get_open(rt, &open);
  const struct { const char *name; uint64_t n; } all[] = {
    { "turns", s.turns }, { "events", s.events }, { "requests", s.requests }, { "sends", s.sends }, { "replies", s.replies },
    { "late_replies", s.late_replies }, { "dead_letters", s.dead_letters }, { "overloaded", s.overloaded }, { "failures", s.failures },
    { "agents", s.agents }, { "open_turns", s.open_turns }, { "open_calls", s.open_calls }, { "queued", s.queued },
    { "clients", open.clients }, { "forwarded", open.forwarded }, { "asked", open.requests }, { "answering", open.jobs },
  };
  lua_createtable(L, 0, sizeof all / sizeof *all);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    lua_pushinteger(L, (lua_Integer)all[i].n);
    lua_setfield(L, -2, all[i].name);
  }
  return 1;
}

/* --- serializers --- */

typedef struct serializer { tr_anchor *encode, *decode; } serializer;
typedef struct encode_call { tr_anchor *fn; const char *type; const troupe_value_t *body; troupe_output_t *out; } encode_call;

static int encode_main(lua_State *L) {
  const encode_call *call = lua_touserdata(L, 1);
  tr_error error;
  size_t n;
  tr_error_init(&error);
  tr_module_anchored(L, call->fn);
  if (tr_foreign_push(L, call->body, true, &error)) tr_module_raise(L, error.code, "%s", error.text);
  lua_pushstring(L, call->type);
  lua_call(L, 2, 1);
  if (lua_type(L, -1) != LUA_TSTRING) tr_module_raise(L, TR_EINVALID, "encode must return a string, not %s", luaL_typename(L, -1));
  const char *bytes = lua_tolstring(L, -1, &n);
  if (troupe_output_bytes(call->out, bytes, n)) tr_module_raise(L, TR_EMEMORY, "out of memory");
  return 0;
}

static int on_encode(void *ud, const char *type, const troupe_value_t *body, troupe_output_t *out) {
  const serializer *self = ud;
  encode_call call = { self->encode, type, body, out };
  tr_error error;
  tr_error_init(&error);
  if (!self->encode->self->L) return troupe_output_fail(out, "the runtime is closed");
  int rc = tr_module_protect(self->encode->self, "a serializer's encode", encode_main, &call, &error);
  return rc ? troupe_output_fail(out, error.text) : 0;
}

typedef struct decode_call { tr_anchor *fn; const char *type; tr_slice bytes; troupe_value_t *value; } decode_call;

static int decode_main(lua_State *L) {
  decode_call *call = lua_touserdata(L, 1);
  tr_error error;
  tr_mem *mem = tr_core_mem(tr_runtime_core(call->fn->self->rt));
  tr_error_init(&error);
  tr_module_anchored(L, call->fn);
  lua_pushlstring(L, call->bytes.p, call->bytes.n);
  lua_pushstring(L, call->type);
  lua_call(L, 2, 1);
  if (lua_isnil(L, -1)) call->value = tr_value_null(mem);
  else call->value = tr_foreign_value(L, -1, "body", mem, &error);
  if (!call->value) tr_module_raise(L, error.code ? error.code : TR_EMEMORY, "%s", error.text);
  return 0;
}

static troupe_value_t *on_decode(void *ud, const char *type, const void *bytes, size_t length, troupe_output_t *why) {
  const serializer *self = ud;
  decode_call call = { self->decode, type, { bytes, length }, NULL };
  tr_error error;
  tr_error_init(&error);
  if (self->decode->self->L && tr_module_protect(self->decode->self, "a serializer's decode", decode_main, &call, &error) == 0)
    return call.value;
  troupe_output_fail(why, error.text);
  return NULL;
}

/* self:serializer(type, content_type, encode, decode): kept until the runtime is closed */
static int add_serializer(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *type = luaL_checkstring(L, 2), *content_type = luaL_checkstring(L, 3);
  serializer made = { tr_module_anchor(L, self, 4), tr_module_anchor(L, self, 5) };
  serializer *block = lua_newuserdatauv(L, sizeof *block, 0);
  *block = made;
  lua_pushfstring(L, "serializer %s %s %p", type, content_type, (void *)block);
  lua_insert(L, -2);
  tr_module_keep(L, self, lua_tostring(L, -2));
  tr_module_result(L, self, troupe_serializer(self->rt, type, content_type, on_encode, on_decode, block));
  return 0;
}

/* self:protobuf(name, bytes) */
static int add_protobuf(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  size_t n;
  const char *name = luaL_checkstring(L, 2), *bytes = luaL_checklstring(L, 3, &n);
  tr_module_result(L, self, troupe_protobuf(self->rt, name, bytes, n));
  return 0;
}

/* self:report(what, text) */
static int report(lua_State *L) {
  tr_module_report(tr_module_check(L), luaL_checkstring(L, 2), luaL_tolstring(L, 3, NULL));
  return 0;
}

const luaL_Reg tr_module_plug_methods[] = {
  { "intercept", intercept }, { "dropped", dropped }, { "stats", stats }, { "serializer", add_serializer }, { "protobuf", add_protobuf },
  { "report", report }, { NULL, NULL }
};
