/* SPDX-License-Identifier: MIT
 * A Lua state that is not ours: agents given as tables, and values, for the module room. With lua.h, so not part of
 * script.h.
 *
 * Functions here that take a lua_State of the caller's may raise, unless they say that they do not. */
#ifndef TR_SCRIPT_FOREIGN_H
#define TR_SCRIPT_FOREIGN_H

#include <lauxlib.h>
#include <lua.h>

#include "script/script.h"

/* Once a Lua state, before anything else here: push the table of what needs no runtime (troupe.array, …). lua: [-0, +1, m] */
void tr_foreign_open(lua_State *L);
/* Make the part of `home` that holds agents of the caller's state. It ends with tr_script_free(home), or before that by
 * tr_foreign_close, from any thread of that state. Does not raise. */
int tr_foreign_new(lua_State *L, tr_script *home, tr_error *error);

/* The agent, or the list of agents, at `at`: all or nothing. err: TR_EINVALID naming the key, TR_EEXISTS. Does not raise. */
int tr_foreign_load(lua_State *L, int at, tr_script *home, tr_error *error);
/* Make the instance `id` of such an agent with the table at `at` as its `self`. err: TR_ENOT_FOUND, TR_EEXISTS, TR_EINVALID. Does not
 * raise. */
int tr_foreign_put(lua_State *L, int at, tr_script *home, tr_slice id, tr_error *error);
/* Push its `self`; nothing is pushed where it is not live, or lives elsewhere. Does not raise. */
bool tr_foreign_self(lua_State *L, tr_script *home, tr_slice id);
/* Does a turn of an agent given as a table run in this state? */
bool tr_foreign_in_turn(lua_State *L);

/* The value at `at` as a tree (the caller's), or NULL with the field named. root: "body". */
tr_value *tr_foreign_value(lua_State *L, int at, const char *root, tr_mem *mem, tr_error *error);
/* Push a tree. 0, or a code (nothing is pushed). nulls: null members are there, as troupe.null. */
int tr_foreign_push(lua_State *L, const tr_value *value, bool nulls, tr_error *error);
/* Push an error object, as scripts get them; agent and type may be NULL. */
void tr_foreign_push_error(lua_State *L, int code, const char *text, const char *agent, const char *type);
/* Code and text of the error value at `at`. Does not raise. */
void tr_foreign_read_error(lua_State *L, int at, tr_error *error);

#endif
