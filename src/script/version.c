/* SPDX-License-Identifier: MIT
 * The version of the library under this room, for `troupe --version`. */
#include <lua.h>

#include "script/script.h"

const char *tr_script_lua_version(void) { return &LUA_RELEASE[sizeof "Lua " - 1]; }
