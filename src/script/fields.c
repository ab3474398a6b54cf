/* SPDX-License-Identifier: MIT
 * Errors about the table of an agent: file, line, what was expected, the nearest name that exists.
 *
 * A Lua table does not know where it was written. So the line is looked for in the source: the first place, outside
 * of comments and strings, where the key is written as `key =` or `["key"] =`, behind its parent key if it has one.
 * It can be wrong when a script builds its table in a roundabout way; then it is left out or near. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "script/internal.h"

const char *tr_type_name(lua_State *L, int at) {
  switch (lua_type(L, at)) {
  case LUA_TNONE:
  case LUA_TNIL: return "nil";
  case LUA_TBOOLEAN: return "a boolean";
  case LUA_TNUMBER: return "a number";
  case LUA_TSTRING: return "a string";
  case LUA_TTABLE: return "a table";
  case LUA_TFUNCTION: return "a function";
  case LUA_TTHREAD: return "a coroutine";
  default: return tr_is_null(L, at) ? "troupe.null" : "an object";
  }
}

int tr_raw_field(lua_State *L, int at, const char *name) {
  at = lua_absindex(L, at);
  lua_pushstring(L, name);
  return lua_rawget(L, at);
}

/* --- lines --- */

static bool is_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Behind a long bracket that begins at `at`, or `at` where none does. */
static size_t skip_long(tr_slice s, size_t at) {
  size_t p = at + 1, level = 0;
  while (p < s.n && s.p[p] == '=') p++, level++;
  if (p >= s.n || s.p[p] != '[') return at;
  for (p++; p < s.n; p++) {
    if (s.p[p] != ']') continue;
    size_t q = p + 1, n = 0;
    while (q < s.n && s.p[q] == '=') q++, n++;
    if (n == level && q < s.n && s.p[q] == ']') return q + 1;
  }
  return s.n;
}

static size_t skip_quoted(tr_slice s, size_t at) {
  char quote = s.p[at];
  for (at++; at < s.n && s.p[at] != quote && s.p[at] != '\n'; at++)
    if (s.p[at] == '\\') at++;
  return at < s.n ? at + 1 : s.n;
}

/* Behind a comment or string that begins at `at`, or `at`. */
static size_t skip(tr_slice s, size_t at) {
  if (s.p[at] == '-' && at + 1 < s.n && s.p[at + 1] == '-') {
    size_t p = at + 2;
    size_t end = p < s.n && s.p[p] == '[' ? skip_long(s, p) : p;
    if (end > p) return end;
    while (p < s.n && s.p[p] != '\n') p++;
    return p;
  }
  if (s.p[at] == '[') return skip_long(s, at);
  if (s.p[at] == '"' || s.p[at] == '\'') return skip_quoted(s, at);
  return at;
}

static bool assigned(tr_slice s, size_t at) {
  while (at < s.n && isspace((unsigned char)s.p[at])) at++;
  return at < s.n && s.p[at] == '=' && (at + 1 >= s.n || s.p[at + 1] != '=');
}

/* Is `key` written as a table's key at `at`? Its end, or 0. */
static size_t key_at(tr_slice s, size_t at, tr_slice key) {
  if (s.p[at] == '[') { /* ["key"] */
    size_t p = at + 1;
    while (p < s.n && isspace((unsigned char)s.p[p])) p++;
    if (p + key.n + 2 > s.n || (s.p[p] != '"' && s.p[p] != '\'') || memcmp(s.p + p + 1, key.p, key.n) != 0 ||
        s.p[p + 1 + key.n] != s.p[p])
      return 0;
    p += key.n + 2;
    while (p < s.n && isspace((unsigned char)s.p[p])) p++;
    return p < s.n && s.p[p] == ']' && assigned(s, p + 1) ? p + 1 : 0;
  }
  if (at > 0 && (is_name(s.p[at - 1]) || s.p[at - 1] == '.' || s.p[at - 1] == ':')) return 0;
  if (at + key.n > s.n || memcmp(s.p + at, key.p, key.n) != 0 || (at + key.n < s.n && is_name(s.p[at + key.n])))
    return 0;
  return assigned(s, at + key.n) ? at + key.n : 0;
}

static size_t find(tr_slice s, size_t from, const char *name) {
  tr_slice key = tr_slice_of(name);
  for (size_t at = from; at < s.n;) {
    size_t end = key_at(s, at, key);
    if (end) return at;
    size_t next = skip(s, at);
    at = next > at ? next : at + 1;
  }
  return SIZE_MAX;
}

void tr_fields_line(const tr_place *place, const char *parent, const char *key, char *out, size_t size) {
  tr_slice s = place->source;
  size_t at = 0;
  unsigned line = 1;
  out[0] = 0;
  if (parent) at = find(s, 0, parent);
  if (at == SIZE_MAX) at = 0;
  size_t found = key ? find(s, at, key) : parent ? at : SIZE_MAX;
  if (found == SIZE_MAX && parent && key) found = at > 0 ? at : SIZE_MAX;
  if (found == SIZE_MAX) return;
  for (size_t i = 0; i < found; i++) line += s.p[i] == '\n';
  snprintf(out, size, ":%u", line);
}

int tr_definition_error(const tr_place *place, const char *parent, const char *key, const char *format, ...) {
  char line[24], text[400];
  va_list args;
  tr_fields_line(place, parent, key, line, sizeof line);
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return tr_error_set(place->error, TR_EINVALID, "%s%s%s%s", place->name, line, *place->name ? ": " : "", text);
}

/* --- known names --- */

int tr_fields_known(lua_State *L, int at, const tr_place *place, const char *parent, const char *of,
                    const char *const *names) {
  at = lua_absindex(L, at);
  for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      return tr_definition_error(place, parent, NULL, "%s has %s as a key; expected names such as `%s`", of,
                                 tr_type_name(L, -2), names[0]);
    const char *name = lua_tostring(L, -2);
    if (tr_name_in(names, name)) continue;
    const char *nearest = tr_text_nearest(tr_slice_of(name), names);
    if (nearest)
      return tr_definition_error(place, parent, name, "`%s` is not a key of %s; did you mean `%s`?", name, of, nearest);
    return tr_definition_error(place, parent, name, "`%s` is not a key of %s", name, of);
  }
  return 0;
}
