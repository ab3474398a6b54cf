/* SPDX-License-Identifier: MIT
 * A match of a Lua pattern, with its work bounded; see pattern.c. Not a public header: script only. */
#ifndef TR_SCRIPT_PATTERN_H
#define TR_SCRIPT_PATTERN_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#define TR_MATCHER_CHARGE 4096 /* steps between two looks at the turn's limit */
#define TR_CAPTURES_MAX 32 /* LUA_MAXCAPTURES */

enum { TR_CAPTURE_OPEN = -1, TR_CAPTURE_POSITION = -2 }; /* instead of a length */

typedef struct tr_matcher {
  lua_State *L;
  const char *subject, *end, *pattern_end;
  uint64_t steps, charged, allowed; /* over all attempts of one call of the library */
  int depth, count;
  struct tr_capture { const char *at; ptrdiff_t length; } capture[TR_CAPTURES_MAX];
} tr_matcher;

/* The texts are borrowed as long as the matcher is used. */
void tr_matcher_init(tr_matcher *m, lua_State *L, const char *subject, size_t length, const char *pattern, size_t pattern_length);
/* Does the pattern match at s? Behind what matched, or NULL; raises for a malformed pattern and where a limit is passed.
 * lua: [-0, +0, v] */
const char *tr_matcher_at(tr_matcher *m, const char *s, const char *pattern);
/* Charge what was done since, and raise where a limit is passed. lua: [-0, +0, v] */
void tr_matcher_charge(tr_matcher *m);
/* As luaL_error, the work charged. lua: [-0, +0, v] */
void tr_matcher_raise(tr_matcher *m, const char *format, ...) __attribute__((noreturn));

#endif
