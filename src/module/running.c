/* SPDX-License-Identifier: MIT
 * The doors of a runtime, and its working and waiting: by itself, or a step at a time for a loop around it (luv's), which
 * watches our descriptor and sleeps no longer than we say. See module.c. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "module/module.h"

static int listen_at(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  const char *bound = "";
  tr_module_result(L, self, troupe_listen(self->rt, luaL_checkstring(L, 2), &bound));
  lua_pushstring(L, bound);
  return 1;
}

static int connect_to(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_module_result(L, self, troupe_connect(self->rt, luaL_checkstring(L, 2)));
  return 0;
}

static int64_t microseconds(lua_State *L, int at) {
  lua_Number seconds = luaL_checknumber(L, at);
  if (!(seconds >= 0) || seconds > 1e9) tr_module_raise(L, TR_EINVALID, "a time must be between 0 and 1e9 seconds");
  return (int64_t)(seconds * 1e6);
}

/* --- by itself --- */

static int run(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  lua_pushinteger(L, tr_module_result(L, self, troupe_run(self->rt)));
  return 1;
}

static int run_until_idle(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_module_result(L, self, troupe_run_until_idle(self->rt, microseconds(L, 2)));
  return 0;
}

/* Work, and wait until something happened. */
static int turn(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_module_result(L, self, tr_runtime_turn(self->rt));
  return 0;
}

/* What `turn` waited for is there. */
static int interrupt(lua_State *L) {
  tr_runtime_interrupt(tr_module_check(L)->rt);
  return 0;
}

static int poll(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  lua_pushboolean(L, tr_module_result(L, self, troupe_poll(self->rt, microseconds(L, 2))));
  return 1;
}

static int stop(lua_State *L) {
  troupe_stop(tr_module_check(L)->rt, microseconds(L, 2));
  return 0;
}

static int signals(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  tr_module_result(L, self, tr_runtime_signals(self->rt));
  return 0;
}

/* --- in another loop --- */

/* Seconds until the next poll; nil: none is due. */
static int next_time(lua_State *L) {
  int64_t wait = tr_runtime_next(tr_module_check(L)->rt);
  if (wait < 0) lua_pushnil(L);
  else lua_pushnumber(L, (lua_Number)wait / 1e6);
  return 1;
}

/* A copy of the loop's descriptor, which can be read when a poll is due; whoever asks closes it. */
static int descriptor(lua_State *L) {
  tr_lua_runtime *self = tr_module_check(L);
  uv_loop_t *loop = tr_runtime_loop(self->rt);
  if (!loop) tr_module_result(L, self, TR_EIO);
  int fd = fcntl(uv_backend_fd(loop), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) tr_module_raise(L, TR_EIO, "cannot watch the loop: %s", strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

int tr_module_close_descriptor(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

static int ended(lua_State *L) {
  lua_pushboolean(L, tr_runtime_ended(tr_module_check(L)->rt));
  return 1;
}

static int has_door(lua_State *L) {
  lua_pushboolean(L, tr_runtime_has_doors(tr_module_check(L)->rt));
  return 1;
}

static int is_working(lua_State *L) {
  lua_pushboolean(L, tr_runtime_working(tr_module_check(L)->rt));
  return 1;
}

static int exit_status(lua_State *L) {
  lua_pushinteger(L, tr_runtime_exit_status(tr_module_check(L)->rt));
  return 1;
}

static int is_stopping(lua_State *L) {
  lua_pushboolean(L, tr_runtime_stopping(tr_module_check(L)->rt));
  return 1;
}

static int is_idle(lua_State *L) {
  lua_pushboolean(L, tr_core_idle(tr_runtime_core(tr_module_check(L)->rt)));
  return 1;
}

const luaL_Reg tr_module_run_methods[] = {
  { "listen", listen_at }, { "connect", connect_to }, { "run", run }, { "run_until_idle", run_until_idle }, { "turn", turn },
  { "interrupt", interrupt }, { "poll", poll }, { "stop", stop }, { "signals", signals }, { "next", next_time },
  { "descriptor", descriptor }, { "ended", ended }, { "has_door", has_door }, { "working", is_working },
  { "exit_status", exit_status }, { "stopping", is_stopping }, { "idle", is_idle }, { NULL, NULL }
};
