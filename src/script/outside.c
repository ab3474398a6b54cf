/* SPDX-License-Identifier: MIT
 * troupe.fs and troupe.env: files and variables of the environment, for scripts that have the right to them.
 *
 * Only what Lua sees of it: the runtime's hooks say what is allowed, and do it (runtime/outside.c). The bytes are charged to the turn. */
#include "script/internal.h"

static const tr_script_outside *outside_of(lua_State *L) {
  const tr_script_outside *outside = tr_script_of(L)->options.outside;
  if (!outside) tr_fail_raise(L, TR_EPERMISSION, "there are no files and no environment here");
  return outside;
}

static tr_slice text_at(lua_State *L, int at) {
  tr_slice text;
  if (lua_type(L, at) != LUA_TSTRING) luaL_typeerror(L, at, "string");
  text.p = lua_tolstring(L, at, &text.n);
  return text;
}

/* What a hook put into a buffer that the stack owns; below it are the arguments. */
typedef int (*tr_hook)(void *ud, tr_slice name, tr_buf *out, tr_error *error);
static int get(lua_State *L, const tr_script_outside *outside, tr_hook hook, tr_buf **out) {
  tr_error error;
  tr_error_init(&error);
  tr_slice name = text_at(L, 1);
  *out = tr_unit_buffer(L);
  tr_meter_charge(L, 1000); /* a call of the system's */
  int rc = hook(outside->ud, name, *out, &error);
  if (rc == TR_EMEMORY) tr_raise_memory(L);
  if (rc && error.code) tr_fail_raise_error(L, &error);
  tr_meter_charge(L, (*out)->len / 16);
  return rc;
}

static int push_text(lua_State *L, tr_buf *text) {
  lua_pushlstring(L, text->len ? (const char *)text->data : "", text->len);
  tr_buf_fini(text);
  return 1;
}

static int fs_read(lua_State *L) {
  tr_buf *text;
  const tr_script_outside *outside = outside_of(L);
  get(L, outside, outside->read, &text);
  return push_text(L, text);
}

static int fs_write(lua_State *L) {
  const tr_script_outside *outside = outside_of(L);
  tr_slice path = text_at(L, 1), text = text_at(L, 2);
  tr_error error;
  tr_error_init(&error);
  tr_meter_charge(L, 1000 + text.n / 16);
  int rc = outside->write(outside->ud, path, text, &error);
  if (rc) tr_fail_raise_error(L, &error);
  return 0;
}

static int fs_stat(lua_State *L) {
  const tr_script_outside *outside = outside_of(L);
  tr_script_stat found;
  tr_error error;
  tr_error_init(&error);
  tr_meter_charge(L, 1000);
  if (outside->stat(outside->ud, text_at(L, 1), &found, &error)) tr_fail_raise_error(L, &error);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, found.file ? "file" : found.folder ? "folder" : "other");
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, (lua_Integer)found.size);
  lua_setfield(L, -2, "size");
  lua_pushnumber(L, found.modified);
  lua_setfield(L, -2, "modified");
  lua_pushinteger(L, (lua_Integer)found.inode);
  lua_setfield(L, -2, "inode");
  return 1;
}

/* Sorted: the order of a folder means nothing. */
static int fs_list(lua_State *L) {
  tr_buf *names;
  const tr_script_outside *outside = outside_of(L);
  get(L, outside, outside->list, &names);
  lua_newtable(L);
  lua_Integer n = 0;
  for (size_t at = 0; at < names->len;) {
    const char *name = (const char *)names->data + at;
    lua_pushstring(L, name);
    at += lua_rawlen(L, -1) + 1;
    lua_rawseti(L, -2, ++n);
  }
  tr_buf_fini(names);
  tr_mark_array(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, -2);
  lua_call(L, 1, 0);
  return 1;
}

static int env(lua_State *L) {
  tr_buf *text;
  const tr_script_outside *outside = outside_of(L);
  if (get(L, outside, outside->env, &text)) return 0;
  return push_text(L, text);
}

void tr_outside_install(lua_State *L, int env_at) {
  static const luaL_Reg functions[] = { { "read", fs_read }, { "write", fs_write }, { "stat", fs_stat }, { NULL, NULL } };
  luaL_newlib(L, functions);
  lua_getfield(L, env_at, "table");
  lua_getfield(L, -1, "sort");
  lua_remove(L, -2);
  lua_pushcclosure(L, fs_list, 1);
  lua_setfield(L, -2, "list");
  lua_setfield(L, -2, "fs");
  lua_pushcfunction(L, env);
  lua_setfield(L, -2, "env");
  lua_pushcfunction(L, tr_exec);
  lua_setfield(L, -2, "exec");
  lua_pushcfunction(L, tr_http);
  lua_setfield(L, -2, "http");
  lua_pushcfunction(L, tr_serve);
  lua_setfield(L, -2, "serve");
  tr_json_install(L);
}
