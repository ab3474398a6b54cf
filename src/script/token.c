/* SPDX-License-Identifier: MIT
 * troupe.token(): one handle that ends any number of calls. It knows their futures while they are open; they know it by a link, so either
 * may go first. */
#include "script/internal.h"

static int token_new(lua_State *L) {
  tr_token *token = lua_newuserdatauv(L, sizeof *token, 0);
  token->cancelled = false;
  tr_list_init(&token->futures);
  tr_push_ref(L, tr_script_of(L)->token_ref);
  lua_setmetatable(L, -2);
  return 1;
}

tr_token *tr_token_at(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return NULL;
  tr_push_ref(L, tr_script_of(L)->token_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? lua_touserdata(L, at) : NULL;
}

void tr_token_join(tr_token *token, tr_future *f) {
  if (token->cancelled) tr_future_cancel(f);
  else if (!f->settled) tr_list_push(&token->futures, &f->by_token);
}

static int cancel(lua_State *L) {
  tr_token *token = tr_token_at(L, 1);
  if (!token) tr_fail_raise(L, TR_EINVALID, "a token expected (call its methods with a colon: token:cancel)");
  token->cancelled = true;
  while (!tr_list_empty(&token->futures)) {
    tr_link *link = token->futures.next;
    tr_link_remove(link);
    tr_future_cancel(TR_CONTAINER(link, tr_future, by_token));
  }
  return 0;
}

static int collect(lua_State *L) {
  tr_token *token = lua_touserdata(L, 1);
  while (!tr_list_empty(&token->futures)) tr_link_remove(token->futures.next);
  return 0;
}

void tr_token_open(lua_State *L, tr_script *script) {
  static const luaL_Reg methods[] = { { "cancel", cancel }, { NULL, NULL } };
  lua_createtable(L, 0, 5);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  tr_future_lock(L, "token");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  script->token_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

const luaL_Reg tr_token_functions[] = { { "token", token_new }, { NULL, NULL } };
