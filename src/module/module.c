/* SPDX-License-Identifier: MIT
 * `require "troupe"` in any Lua 5.4 program.
 *
 * The shared object takes Lua from the program that loads it. This half, in C, is one userdata a runtime, with methods that
 * do one thing each on include/troupe.h; what a program sees is written in Lua around it (lua/troupe/module.lua): waiting, yielding,
 * and luv's loop. The table `troupe` itself is that of scripts, of script/foreign.c.
 *
 * Reading order: this, callbacks.c, messages.c, agents.c, running.c, plugs.c. */
#include "module/module.h"

#include <string.h>

#include "base/lua_bundle.h"

tr_lua_runtime *tr_module_check(lua_State *L) {
  tr_lua_runtime *self = luaL_checkudata(L, 1, TR_RUNTIME_META);
  if (!self->rt) tr_module_raise(L, TR_EINVALID, "the runtime is closed");
  return self;
}

void tr_module_raise(lua_State *L, int code, const char *format, ...) {
  tr_error error;
  va_list args;
  tr_error_init(&error);
  va_start(args, format);
  tr_error_setv(&error, code, format, args);
  va_end(args);
  tr_foreign_push_error(L, code, error.text, NULL, NULL);
  lua_error(L);
  for (;;) { }
}

int tr_module_result(lua_State *L, tr_lua_runtime *self, int64_t rc) {
  if (rc >= 0) return (int)rc;
  tr_foreign_push_error(L, (int)rc, troupe_error(self->rt), NULL, NULL);
  return lua_error(L);
}

/* --- life --- */

static void close_runtime(tr_lua_runtime *self) {
  troupe_t *rt = self->rt;
  self->rt = NULL; /* a callback that calls again is refused */
  troupe_free(rt);
}

/* __gc: nothing of the program is called any more. */
static int collect(lua_State *L) {
  tr_lua_runtime *self = luaL_checkudata(L, 1, TR_RUNTIME_META);
  self->L = NULL;
  close_runtime(self);
  return 0;
}

static int is_closed(lua_State *L) {
  lua_pushboolean(L, ((tr_lua_runtime *)luaL_checkudata(L, 1, TR_RUNTIME_META))->rt == NULL);
  return 1;
}

static int runtime_close(lua_State *L) {
  tr_lua_runtime *self = luaL_checkudata(L, 1, TR_RUNTIME_META);
  if (self->rt && tr_runtime_working(self->rt))
    tr_module_raise(L, TR_EINVALID, "the runtime cannot be closed from inside one of its callbacks (stop it)");
  if (self->rt) close_runtime(self);
  return 0;
}

/* Of a list, word for word, below the top. */
static void allow_each(lua_State *L, troupe_t *rt) {
  int list = lua_gettop(L) - 1;
  for (lua_Integer i = 1; lua_geti(L, list, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
    int rc = tr_runtime_allow(rt, luaL_checkstring(L, -1));
    if (rc) tr_module_raise(L, rc, "allow: %s", troupe_error(rt));
  }
  lua_pop(L, 1);
}

/* { seed, compress, grants, program, level, log, clock, still = seconds since 1970 at 0, shuffle } → the userdata. still: its clock stands while
 * it works, and all is the same each time; shuffle: the seed of the order in which agents take turns. */
static int runtime_new(lua_State *L) {
  static const char *const levels[] = { "error", "warn", "info", "debug", NULL };
  luaL_checktype(L, 1, LUA_TTABLE);
  tr_lua_runtime *self = lua_newuserdatauv(L, sizeof *self, 1);
  memset(self, 0, sizeof *self);
  luaL_setmetatable(L, TR_RUNTIME_META);
  tr_module_callbacks_open(L, self, -1);
  troupe_options_t options = { .size = sizeof options };
  lua_getfield(L, 1, "threads");
  options.threads = self->threads = (unsigned)luaL_optinteger(L, -1, 1);
  lua_getfield(L, 1, "compress");
  options.compress_from = (uint32_t)luaL_optinteger(L, -1, 0);
  options.deterministic = lua_getfield(L, 1, "still") != LUA_TNIL;
  tr_module_options(L, &options, self);
  lua_getfield(L, 1, "program");
  lua_getfield(L, 1, "seed");
  lua_getfield(L, 1, "grants");
  lua_getfield(L, 1, "level");
  options.program = luaL_optstring(L, -4, NULL);
  options.seed = (uint64_t)luaL_optinteger(L, -3, 0);
  options.grants = lua_type(L, -2) == LUA_TTABLE ? NULL : luaL_optstring(L, -2, NULL);
  options.log_level = (troupe_log_level)luaL_checkoption(L, -1, "warn", levels);
  int rc = troupe_new(&self->rt, &options);
  if (rc == TROUPE_EINVALID && options.grants) tr_module_raise(L, rc, "allow: there is no such right: %s", options.grants);
  if (rc) tr_module_raise(L, rc, "%s", tr_error_default_text(rc));
  if (lua_type(L, -2) == LUA_TTABLE) allow_each(L, self->rt);
  if (lua_getfield(L, 1, "shuffle") != LUA_TNIL) tr_core_shuffle(tr_runtime_core(self->rt), (uint64_t)luaL_checkinteger(L, -1));
  if (lua_getfield(L, 1, "still") != LUA_TNIL) {
    tr_runtime_stand_still(self->rt);
    rc = tr_runtime_set_epoch(self->rt, (int64_t)lua_tointeger(L, -1));
    if (rc) tr_module_raise(L, rc, "%s", troupe_error(self->rt));
  }
  lua_settop(L, 2);
  return 1;
}

static int in_turn(lua_State *L) {
  lua_pushboolean(L, tr_foreign_in_turn(L));
  return 1;
}

/* code, text → an error object */
static int new_error(lua_State *L) {
  tr_slice name = tr_slice_of(luaL_checkstring(L, 1));
  int code = tr_error_from_name(name);
  tr_foreign_push_error(L, code ? code : TR_EHANDLER, luaL_checkstring(L, 2), NULL, NULL);
  return 1;
}

/* --- opening --- */

static void open_meta(lua_State *L) {
  static const luaL_Reg own[] = { { "close", runtime_close }, { "closed", is_closed }, { NULL, NULL } };
  luaL_newmetatable(L, TR_RUNTIME_META);
  lua_newtable(L);
  luaL_setfuncs(L, own, 0);
  luaL_setfuncs(L, tr_module_message_methods, 0);
  luaL_setfuncs(L, tr_module_agent_methods, 0);
  luaL_setfuncs(L, tr_module_run_methods, 0);
  luaL_setfuncs(L, tr_module_secure_methods, 0);
  luaL_setfuncs(L, tr_module_plug_methods, 0);
  luaL_setfuncs(L, tr_module_dist_methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

/* name → the text of a Lua file that is built in, or nil */
static int bundled(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct tr_lua_bundle_entry *entry = tr_lua_bundle;
  while (entry->name && strcmp(entry->name, name) != 0) entry++;
  if (!entry->name) return 0;
  lua_pushlstring(L, entry->source, entry->length);
  return 1;
}

/* Run the half that is in Lua with the table `troupe` (at 1) and what it needs of C. */
static void open_lua(lua_State *L) {
  static const luaL_Reg functions[] = { { "new", runtime_new }, { "in_turn", in_turn }, { "error", new_error },
                                        { "bundled", bundled }, { "fabric", tr_module_fabric }, { "close_descriptor", tr_module_close_descriptor }, { NULL, NULL } };
  const struct tr_lua_bundle_entry *entry = tr_lua_bundle;
  while (entry->name && strcmp(entry->name, "troupe.module") != 0) entry++;
  if (!entry->name) luaL_error(L, "troupe.module is not built in");
  if (luaL_loadbufferx(L, entry->source, entry->length, "=troupe", "t") != LUA_OK) lua_error(L);
  lua_pushvalue(L, 1);
  luaL_newlib(L, functions);
  lua_call(L, 2, 0);
}

__attribute__((visibility("default"))) int luaopen_troupe(lua_State *L);

int luaopen_troupe(lua_State *L) {
  luaL_checkversion(L);
  lua_settop(L, 0);
  tr_foreign_open(L);
  open_meta(L);
  open_lua(L);
  return 1;
}

/* `require "troupe.testing"` looks into this library when nobody has required "troupe" yet. */
__attribute__((visibility("default"))) int luaopen_troupe_testing(lua_State *L);

int luaopen_troupe_testing(lua_State *L) {
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "troupe");
  lua_call(L, 1, 0);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_getfield(L, -1, "troupe.testing");
  lua_call(L, 0, 1);
  return 1;
}
