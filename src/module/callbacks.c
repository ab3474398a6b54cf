/* SPDX-License-Identifier: MIT
 * Functions of the program that the runtime calls: kept, called, and their failures told.
 *
 * They are kept in a table that is the user value of the runtime's userdata, and found from C through a table with weak values in
 * the registry: so a function that holds the runtime does not keep it alive for ever. They run on a thread of
 * the runtime's own, since no other is known to live, under pcall; an error goes to the log with its traceback, and the
 * runtime goes on. */
#include <stdio.h>
#include <string.h>

#include "module/module.h"

static const char weak_key;

void tr_module_callbacks_open(lua_State *L, tr_lua_runtime *self, int at) {
  at = lua_absindex(L, at);
  lua_newtable(L);
  self->L = lua_newthread(L);
  lua_setfield(L, -2, "thread");
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &weak_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &weak_key);
  }
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, self);
  lua_pop(L, 1);
  lua_setiuservalue(L, at, 1);
}

/* Push the table, or nil: it goes before the userdata's __gc runs. */
static bool push_table(lua_State *L, tr_lua_runtime *self) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &weak_key);
  lua_rawgetp(L, -1, self);
  lua_remove(L, -2);
  return lua_istable(L, -1);
}

void tr_module_keep(lua_State *L, tr_lua_runtime *self, const char *name) {
  bool there = push_table(L, self);
  lua_insert(L, -2);
  if (there) lua_setfield(L, -2, name);
  lua_settop(L, there ? -2 : -3);
}

void tr_module_kept(lua_State *L, tr_lua_runtime *self, const char *name) {
  if (!push_table(L, self)) return;
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

tr_anchor *tr_module_anchor(lua_State *L, tr_lua_runtime *self, int at) {
  luaL_checktype(L, at, LUA_TFUNCTION);
  at = lua_absindex(L, at);
  if (!push_table(L, self)) tr_module_raise(L, TR_EINVALID, "the runtime is closed");
  tr_anchor *anchor = lua_newuserdatauv(L, sizeof *anchor, 1);
  *anchor = (tr_anchor){ self };
  lua_pushvalue(L, at);
  lua_setiuservalue(L, -2, 1);
  lua_rawsetp(L, -2, anchor);
  lua_pop(L, 1);
  return anchor;
}

void tr_module_anchored(lua_State *L, tr_anchor *anchor) {
  if (!push_table(L, anchor->self)) luaL_error(L, "the runtime is closed");
  lua_rawgetp(L, -1, anchor);
  lua_getiuservalue(L, -1, 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}

void tr_module_release(lua_State *L, tr_anchor *anchor) {
  if (push_table(L, anchor->self)) {
    lua_pushnil(L);
    lua_rawsetp(L, -2, anchor);
  }
  lua_pop(L, 1);
}

/* --- calling --- */

/* An error object keeps what it is; a text gets its traceback, for the log. */
static int with_traceback(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* A log line is one line. */
void tr_module_report(tr_lua_runtime *self, const char *what, const char *text) {
  char line[1000];
  size_t at = 0;
  for (; *text && at + 4 < sizeof line; text++) {
    if (*text == '\n') at += (size_t)snprintf(line + at, sizeof line - at, " | ");
    else if (*text != '\t') line[at++] = *text;
  }
  line[at] = 0;
  tr_log_write(tr_runtime_log(self->rt), TR_LOG_ERROR, "callback.failed", "in=%s error=\"%s\"", what, line);
}

static void tell(tr_lua_runtime *self, const char *what, lua_State *L, tr_error *error) {
  tr_error found;
  tr_foreign_read_error(L, -1, &found);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : found.text;
  tr_module_report(self, what, text);
  char *end = strstr(found.text, "\nstack traceback:");
  if (end) *end = 0;
  tr_error_set(error, found.code, "%s", found.text);
}

int tr_module_protect(tr_lua_runtime *self, const char *what, lua_CFunction fn, void *ud, tr_error *error) {
  lua_State *L = self->L;
  tr_error own;
  tr_error_init(&own);
  if (!error) error = &own;
  if (!lua_checkstack(L, 20)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int top = lua_gettop(L);
  lua_pushcfunction(L, with_traceback);
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, ud);
  int status = lua_pcall(L, 1, 0, top + 1);
  if (status == LUA_ERRMEM) tr_error_set(error, TR_EMEMORY, "out of memory");
  else if (status != LUA_OK) tell(self, what, L, error);
  lua_settop(L, top);
  return status == LUA_OK ? 0 : error->code;
}

/* --- log and clock --- */

typedef struct log_call { tr_lua_runtime *self; troupe_log_level level; const char *event, *text; } log_call;

static int log_main(lua_State *L) {
  static const char *const names[] = { "error", "warn", "info", "debug", "print" };
  const log_call *call = lua_touserdata(L, 1);
  tr_module_kept(L, call->self, "log");
  if (lua_isnil(L, -1)) return 0;
  lua_pushstring(L, names[call->level]);
  lua_pushstring(L, call->event);
  lua_pushstring(L, call->text);
  lua_call(L, 3, 0);
  return 0;
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  tr_lua_runtime *self = ud;
  log_call call = { self, level, event, text };
  if (self->logging || !self->L) return;
  self->logging = true; /* its own failure cannot be logged either */
  tr_module_protect(self, "log", log_main, &call, NULL);
  self->logging = false;
}

/* With several threads, any of them logs: no Lua then. */
static void on_thread_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  if (level == TROUPE_LOG_PRINT) fprintf(stdout, "%s\n", text);
  else fprintf(stderr, "troupe: %s %s\n", event, text);
}

typedef struct clock_call { tr_lua_runtime *self; lua_Number seconds; } clock_call;

static int clock_main(lua_State *L) {
  clock_call *call = lua_touserdata(L, 1);
  tr_module_kept(L, call->self, "clock");
  lua_call(L, 0, 1);
  call->seconds = luaL_checknumber(L, -1);
  return 0;
}

/* Where it fails, time stands still. */
static int64_t on_clock(void *ud) {
  tr_lua_runtime *self = ud;
  clock_call call = { self, -1 };
  bool quiet = self->logging || !self->rt;
  if (!self->L) return self->last;
  if (quiet || tr_module_protect(self, "clock", clock_main, &call, NULL) == 0) {
    if (call.seconds >= 0 && call.seconds < 1e12) self->last = (tr_time)(call.seconds * 1e6);
  }
  return self->last;
}

static int wake_main(lua_State *L) {
  tr_module_kept(L, *(tr_lua_runtime **)lua_touserdata(L, 1), "wake");
  lua_call(L, 0, 0);
  return 0;
}

static void on_wake(void *ud) {
  tr_lua_runtime *self = ud;
  if (self->L && self->rt) tr_module_protect(self, "wake", wake_main, &self, NULL);
}

void tr_module_options(lua_State *L, troupe_options_t *options, tr_lua_runtime *self) {
  options->userdata = self;
  lua_getfield(L, 1, "log");
  if (!lua_isnil(L, -1)) options->log = self->threads > 1 ? on_thread_log : on_log;
  tr_module_keep(L, self, "log");
  lua_getfield(L, 1, "clock");
  if (!lua_isnil(L, -1)) options->clock_us = on_clock;
  tr_module_keep(L, self, "clock");
  lua_getfield(L, 1, "wake");
  if (!lua_isnil(L, -1) && self->threads <= 1) options->wake = on_wake; /* else the loop's descriptor tells */
  tr_module_keep(L, self, "wake");
}
