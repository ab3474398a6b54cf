/* SPDX-License-Identifier: MIT
 * What the files of this room share: one runtime as a userdata of the program's Lua state, and calling its functions.
 *
 * Every function here that takes a lua_State may raise, unless it says that it does not. */
#ifndef TR_MODULE_MODULE_H
#define TR_MODULE_MODULE_H

#include <lauxlib.h>
#include <lua.h>

#include "runtime/runtime.h"
#include "script/foreign.h"

typedef struct tr_lua_runtime {
  troupe_t *rt;   /* NULL: closed */
  lua_State *L;   /* a thread of its own, where the program's functions are called */
  bool logging;   /* its log function runs: what that causes is not logged */
  unsigned threads;
  troupe_pool_t *pool; /* of a runtime that troupe.pool made: all goes by it */
  bool agents;    /* it has agents given as tables */
  tr_time last;   /* what its clock said last */
  char text[TR_ERROR_TEXT]; /* of the interceptor's last failure */
} tr_lua_runtime;

#define TR_RUNTIME_META "troupe.runtime"

/* The open runtime at index 1, or an error. */
tr_lua_runtime *tr_module_check(lua_State *L);
/* Raise the error of the runtime's last call, unless rc says that there was none. Returns rc. */
int tr_module_result(lua_State *L, tr_lua_runtime *self, int64_t rc);
void tr_module_raise(lua_State *L, int code, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));

/* --- callbacks.c --- */
/* Keep the value on the top by a name; what was there goes. [-1, +0, m] */
void tr_module_keep(lua_State *L, tr_lua_runtime *self, const char *name);
void tr_module_kept(lua_State *L, tr_lua_runtime *self, const char *name); /* push it, or nil */
/* A function that C calls by the block that keeps it: the one at `at`, until it is released. */
typedef struct tr_anchor { tr_lua_runtime *self; } tr_anchor;
tr_anchor *tr_module_anchor(lua_State *L, tr_lua_runtime *self, int at);
void tr_module_anchored(lua_State *L, tr_anchor *anchor); /* push it */
void tr_module_release(lua_State *L, tr_anchor *anchor);
/* Call fn(L, ud) on the runtime's thread, protected; a failure is logged as the failure of `what`, and told in *error (may be NULL).
 * 0 or a code. Does not raise. */
int tr_module_protect(tr_lua_runtime *self, const char *what, lua_CFunction fn, void *ud, tr_error *error);
void tr_module_callbacks_open(lua_State *L, tr_lua_runtime *self, int at); /* the userdata at `at` */
void tr_module_report(tr_lua_runtime *self, const char *what, const char *text);

extern const luaL_Reg tr_module_message_methods[], tr_module_secure_methods[], tr_module_agent_methods[], tr_module_run_methods[], tr_module_plug_methods[],
    tr_module_dist_methods[];
int tr_module_fabric(lua_State *L); /* fabric.c: seed → a network in memory */
int tr_module_close_descriptor(lua_State *L);
void tr_module_options(lua_State *L, troupe_options_t *options, tr_lua_runtime *self); /* log, clock: hooks that call kept functions */

#endif
