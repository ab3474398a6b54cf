/* SPDX-License-Identifier: MIT
 * Moving agents of a runtime to other processes. See module.c, and runtime/dist.c, which does it. */
#include "module/module.h"

typedef struct done_call { tr_anchor *anchor; int status; const char *text; } done_call;

/* fn(true) or fn(false, error) */
static int done_main(lua_State *L) {
  const done_call *done = lua_touserdata(L, 1);
  tr_module_anchored(L, done->anchor);
  lua_pushboolean(L, done->status == 0);
  if (done->status) tr_foreign_push_error(L, done->status, done->text, NULL, NULL);
  lua_call(L, done->status ? 2 : 1, 0);
  return 0;
}

static int release_main(lua_State *L) {
  tr_module_release(L, lua_touserdata(L, 1));
  return 0;
}

static void on_done(void *ud, int status, const char *text) {
  done_call done = { ud, status, text };
  tr_lua_runtime *self = done.anchor->self;
  if (!self->L) return;
  tr_module_protect(self, "the end of a move", done_main, &done, NULL);
  tr_module_protect(self, "the end of a move", release_main, ud, NULL);
}

/* self:to_dist(id, host | nil, lazy, fn) */
static int runtime_to_dist(lua_State *L) {
  lua_settop(L, 5);
  tr_lua_runtime *self = tr_module_check(L);
  const char *id = luaL_checkstring(L, 2);
  troupe_to_dist_options_t options = { .size = sizeof options, .host = luaL_optstring(L, 3, NULL), .lazy = lua_toboolean(L, 4) };
  tr_anchor *anchor = tr_module_anchor(L, self, 5);
  int rc = troupe_to_dist(self->rt, id, &options, on_done, anchor);
  if (rc) tr_module_release(L, anchor);
  tr_module_result(L, self, rc);
  return 0;
}

const luaL_Reg tr_module_dist_methods[] = { { "to_dist", runtime_to_dist }, { NULL, NULL } };
