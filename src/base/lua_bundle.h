/* SPDX-License-Identifier: MIT
 * The Lua files of lua/ and agents/, built into the library: a table that the build makes (spec/tools/embed.lua). */
#ifndef TR_BASE_LUA_BUNDLE_H
#define TR_BASE_LUA_BUNDLE_H

#include <stddef.h>

struct tr_lua_bundle_entry {
  const char *name; /* as given to require: "troupe.testing", "agents.console" */
  const char *source; /* NUL-terminated text */
  size_t length;
};

/* Ends with an entry whose name is NULL. */
extern const struct tr_lua_bundle_entry tr_lua_bundle[];

#endif
