/* SPDX-License-Identifier: MIT
 * From Lua into any sink: values that wait in slots as JSON, or as a tree for C.
 *
 * Only checked copies come here (copy.c), so a table is an array exactly when it has an element 1 or carries the
 * mark of an empty one. Nothing in here allocates in Lua, so nothing raises, and it may be called from anywhere. */
#include "codec/json.h"
#include "codec/native.h"
#include "script/internal.h"

static int walk_array(lua_State *L, int at, lua_Integer length, const tr_sink *sink, tr_error *error) {
  int rc = sink->begin_array(sink->ud, (size_t)length);
  for (lua_Integer i = 1; !rc && i <= length; i++) {
    lua_rawgeti(L, at, i);
    rc = tr_walk(L, lua_gettop(L), sink, error);
    lua_pop(L, 1);
  }
  return rc ? rc : sink->end_array(sink->ud);
}

static int walk_map(lua_State *L, int at, const tr_sink *sink, tr_error *error) {
  int rc = sink->begin_map(sink->ud, TR_SIZE_UNKNOWN);
  lua_pushnil(L);
  while (!rc && lua_next(L, at)) {
    tr_slice key;
    key.p = lua_tolstring(L, -2, &key.n);
    rc = sink->key(sink->ud, key);
    if (!rc) rc = tr_walk(L, lua_gettop(L), sink, error);
    lua_pop(L, 1);
  }
  if (rc) return rc; /* the caller restores the stack */
  return sink->end_map(sink->ud);
}

static int walk_table(lua_State *L, int at, const tr_sink *sink, tr_error *error) {
  lua_Integer length = (lua_Integer)lua_rawlen(L, at);
  if (length > 0 || tr_is_array(L, at)) return walk_array(L, at, length, sink, error);
  return walk_map(L, at, sink, error);
}

int tr_walk(lua_State *L, int at, const tr_sink *sink, tr_error *error) {
  tr_slice text;
  if (!lua_checkstack(L, 8)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  switch (lua_type(L, at)) {
  case LUA_TBOOLEAN: return sink->boolean(sink->ud, lua_toboolean(L, at));
  case LUA_TNUMBER:
    if (lua_isinteger(L, at)) return sink->integer(sink->ud, lua_tointeger(L, at));
    return sink->number(sink->ud, lua_tonumber(L, at));
  case LUA_TSTRING:
    text.p = lua_tolstring(L, at, &text.n);
    return sink->string(sink->ud, text);
  case LUA_TTABLE: return walk_table(L, at, sink, error);
  case LUA_TUSERDATA:
    if (tr_bytes_get(L, at, &text)) return sink->bytes(sink->ud, text);
    if (tr_script_of(L)->ref_writer && tr_placeholder_is(L, at)) {
      tr_ref_writer_null(tr_script_of(L)->ref_writer, tr_future_at(L, at));
      return sink->null(sink->ud);
    }
    return tr_error_set(error, TR_EINVALID, "an object cannot be encoded");
  default: return sink->null(sink->ud);
  }
}

static int walk_slot(tr_script *script, uint32_t slot, const tr_sink *sink, tr_error *error) {
  script = tr_script_home(script);
  lua_State *L = script->L;
  if (!lua_checkstack(L, 8)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int top = lua_gettop(L);
  tr_push_ref(L, script->slots_ref);
  lua_rawgeti(L, -1, slot);
  int rc = tr_walk(L, lua_gettop(L), sink, error);
  lua_settop(L, top);
  return rc;
}

static int walk_other(tr_script *script, const tr_body *body, const tr_sink *sink, tr_error *error) {
  tr_value *value = tr_other_read(script, body, error);
  if (!value) return error->code;
  int rc = tr_value_walk(value, sink, error);
  tr_value_free(value);
  return rc;
}

static int walk_bytes(tr_script *script, const tr_body *body, const tr_sink *sink, tr_error *error) {
  tr_slice bytes = tr_blob_view(body->bytes);
  switch (body->format) {
  case TR_FORMAT_JSON: return tr_json_parse(script->mem, bytes, sink, error);
  case TR_FORMAT_TEXT: return sink->string(sink->ud, bytes);
  case TR_FORMAT_BYTES: return sink->bytes(sink->ud, bytes);
  case TR_FORMAT_NATIVE: return tr_native_parse(bytes, sink, error);
  case TR_FORMAT_OTHER: return walk_other(script, body, sink, error);
  default: return tr_codecs_read(script->mem, script->codecs, bytes, sink, error);
  }
}

int tr_script_walk(tr_script *script, const tr_body *body, const tr_sink *sink, tr_error *error) {
  switch (body->kind) {
  case TR_BODY_SLOT: return walk_slot(script, body->slot, sink, error);
  case TR_BODY_BYTES: return walk_bytes(script, body, sink, error);
  case TR_BODY_NULL: return sink->null(sink->ud);
  default: {
    int rc = sink->begin_map(sink->ud, 0);
    return rc ? rc : sink->end_map(sink->ud);
  }
  }
}
