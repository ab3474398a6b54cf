/* SPDX-License-Identifier: MIT
 * troupe.json: values as JSON text and back, for scripts that speak with others than agents (troupe.http, files, programs). The same rules
 * as for bodies: null members are nil, an empty table is `{}` and troupe.array{} is `[]`, NaN and holes are refused. */
#include "base/blob.h"
#include "codec/json.h"
#include "script/internal.h"

static int encode(lua_State *L) {
  tr_error error;
  tr_json_writer writer;
  tr_error_init(&error);
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  tr_copy copy = { .L = L, .root = "value", .left = TR_COPY_MAX, .error = &error };
  if (tr_copy_check(L, &copy)) tr_fail_raise_error(L, &error);
  int at = lua_gettop(L);
  tr_buf *text = tr_unit_buffer(L);
  tr_json_writer_init(&writer, text, &error);
  tr_sink sink = tr_json_sink(&writer);
  int rc = tr_walk(L, at, &sink, &error);
  if (rc == 0 && text->failed) tr_raise_memory(L);
  if (rc) tr_fail_raise_error(L, &error);
  tr_meter_charge(L, text->len / 8);
  lua_pushlstring(L, text->len ? (const char *)text->data : "", text->len);
  tr_buf_fini(text);
  return 1;
}

static int decode(lua_State *L) {
  tr_error error;
  tr_slice text;
  tr_error_init(&error);
  if (lua_type(L, 1) != LUA_TSTRING) return luaL_typeerror(L, 1, "string");
  text.p = lua_tolstring(L, 1, &text.n);
  tr_meter_charge(L, text.n / 4);
  tr_need_stack(L, 10);
  tr_body body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(tr_script_of(L)->mem, text) };
  if (!body.bytes) tr_raise_memory(L);
  int rc = tr_decode(L, &body, false, &error);
  tr_blob_unref(body.bytes);
  if (rc == TR_EMEMORY) tr_raise_memory(L);
  if (rc) tr_fail_raise_error(L, &error);
  return 1;
}

void tr_json_install(lua_State *L) {
  static const luaL_Reg functions[] = { { "encode", encode }, { "decode", decode }, { NULL, NULL } };
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "json");
}
