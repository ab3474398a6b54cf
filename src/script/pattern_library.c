/* SPDX-License-Identifier: MIT
 * string.find, match, gmatch and gsub on the bounded matcher of pattern.c: what they take and give is the reference
 * manual's (section 6.4), errors included. */
#include <string.h>

#include "script/internal.h"
#include "script/pattern.h"

/* ---- captures as values ---- */

/* lua: [-0, +1, v] */
static void push_capture(tr_matcher *m, int i, const char *from, const char *to) {
  if (i >= m->count) {
    if (i != 0) tr_matcher_raise(m, "invalid capture index %%%d", i + 1);
    lua_pushlstring(m->L, from, (size_t)(to - from));
    return;
  }
  const struct tr_capture *capture = &m->capture[i];
  if (capture->length == TR_CAPTURE_OPEN) tr_matcher_raise(m, "unfinished capture");
  if (capture->length == TR_CAPTURE_POSITION) lua_pushinteger(m->L, capture->at - m->subject + 1);
  else lua_pushlstring(m->L, capture->at, (size_t)capture->length);
}

/* All of them; where there is none, the whole match. lua: [-0, +n, v] */
static int push_captures(tr_matcher *m, const char *from, const char *to, bool whole) {
  int n = m->count == 0 && whole ? 1 : m->count;
  luaL_checkstack(m->L, n, "too many captures");
  for (int i = 0; i < n; i++) push_capture(m, i, from, to);
  return n;
}

/* ---- find and match ---- */

static size_t start_of(lua_Integer at, size_t length) {
  if (at > 0) return (size_t)at - 1;
  if (at == 0 || at < -(lua_Integer)length) return 0;
  return length - (size_t)-at;
}

/* The first `what` in the text. A candidate is charged by its length, for the worst text has one at each byte. */
static const char *find_plain(tr_matcher *m, const char *s, const char *what, size_t n) {
  if (n == 0) return s;
  while ((size_t)(m->end - s) >= n) {
    const char *at = memchr(s, *what, (size_t)(m->end - s) - n + 1);
    m->steps += 1 + n / 64 + (at ? (size_t)(at - s) / 64 : 0);
    if (m->steps - m->charged >= TR_MATCHER_CHARGE) tr_matcher_charge(m);
    if (!at) return NULL;
    if (memcmp(at, what, n) == 0) return at;
    s = at + 1;
  }
  return NULL;
}

static bool is_plain(const char *pattern, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (pattern[i] && strchr("^$*+?.([%-", pattern[i])) return false;
  return true;
}

static int find_or_match(lua_State *L, bool find) {
  size_t length, n;
  const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &n), *end;
  size_t start = start_of(luaL_optinteger(L, 3, 1), length);
  if (start > length) {
    luaL_pushfail(L);
    return 1;
  }
  tr_matcher m;
  tr_matcher_init(&m, L, subject, length, pattern, n);
  if (find && (lua_toboolean(L, 4) || is_plain(pattern, n))) {
    const char *at = find_plain(&m, subject + start, pattern, n);
    tr_matcher_charge(&m);
    if (at) {
      lua_pushinteger(L, at - subject + 1);
      lua_pushinteger(L, at - subject + (lua_Integer)n);
      return 2;
    }
  } else {
    bool anchored = n > 0 && *pattern == '^';
    for (const char *s = subject + start; s <= m.end; s++) {
      if ((end = tr_matcher_at(&m, s, pattern + anchored)) != NULL) {
        tr_matcher_charge(&m);
        if (!find) return push_captures(&m, s, end, true);
        lua_pushinteger(L, s - subject + 1);
        lua_pushinteger(L, end - subject);
        return push_captures(&m, NULL, NULL, false) + 2;
      }
      if (anchored) break;
    }
    tr_matcher_charge(&m);
  }
  luaL_pushfail(L);
  return 1;
}

static int string_find(lua_State *L) { return find_or_match(L, true); }
static int string_match(lua_State *L) { return find_or_match(L, false); }

/* ---- gmatch ---- */

typedef struct iteration { size_t at; size_t last; /* behind the last match; SIZE_MAX: none */ } iteration;

/* Upvalues: the subject, the pattern, an iteration. */
static int next_match(lua_State *L) {
  size_t length, n;
  const char *subject = lua_tolstring(L, lua_upvalueindex(1), &length), *pattern = lua_tolstring(L, lua_upvalueindex(2), &n);
  iteration *it = lua_touserdata(L, lua_upvalueindex(3));
  tr_matcher m;
  tr_matcher_init(&m, L, subject, length, pattern, n);
  for (; it->at <= length; it->at++) {
    const char *s = subject + it->at, *end = tr_matcher_at(&m, s, pattern);
    if (!end || (size_t)(end - subject) == it->last) continue;
    it->at = it->last = (size_t)(end - subject);
    tr_matcher_charge(&m);
    return push_captures(&m, s, end, true);
  }
  tr_matcher_charge(&m);
  return 0;
}

static int string_gmatch(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t start = start_of(luaL_optinteger(L, 3, 1), length);
  lua_settop(L, 2);
  iteration *it = lua_newuserdatauv(L, sizeof *it, 0);
  it->at = start > length ? length + 1 : start;
  it->last = SIZE_MAX;
  lua_pushcclosure(L, next_match, 3);
  return 1;
}

/* ---- gsub ---- */

/* The replacement text at stack index 3, its %0 to %9 filled in. */
static void add_text(tr_matcher *m, luaL_Buffer *out, const char *from, const char *to) {
  lua_State *L = m->L;
  size_t n;
  const char *text = lua_tolstring(L, 3, &n), *end = text + n;
  for (const char *sign; (sign = memchr(text, '%', (size_t)(end - text))) != NULL; text = sign + 2) {
    luaL_addlstring(out, text, (size_t)(sign - text));
    char c = sign[1]; /* a string ends with a NUL */
    if (c == '%') luaL_addchar(out, '%');
    else if (c == '0') luaL_addlstring(out, from, (size_t)(to - from));
    else if (c >= '1' && c <= '9') {
      int i = c - '1';
      push_capture(m, i, from, to);
      luaL_tolstring(L, -1, NULL);
      lua_remove(L, -2);
      luaL_addvalue(out);
    } else {
      tr_matcher_raise(m, "invalid use of '%c' in replacement string", '%');
    }
  }
  luaL_addlstring(out, text, (size_t)(end - text));
}

/* What stands for this match goes to the buffer; false: it stays as it is. */
static bool add_replacement(tr_matcher *m, luaL_Buffer *out, const char *from, const char *to, int type) {
  lua_State *L = m->L;
  if (type == LUA_TFUNCTION) {
    tr_matcher_charge(m); /* it may raise */
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, from, to, true), 1);
  } else if (type == LUA_TTABLE) {
    push_capture(m, 0, from, to);
    lua_gettable(L, 3);
  } else {
    add_text(m, out, from, to);
    return true;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(out, from, (size_t)(to - from));
    return false;
  }
  if (!lua_isstring(L, -1)) tr_matcher_raise(m, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(out);
  return true;
}

static int string_gsub(lua_State *L) {
  size_t length, n;
  const char *subject = luaL_checklstring(L, 1, &length), *pattern = luaL_checklstring(L, 2, &n), *last = NULL;
  int type = lua_type(L, 3);
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
  bool anchored = n > 0 && *pattern == '^', changed = false;
  luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION, 3,
                   "string/function/table");
  tr_matcher m;
  tr_matcher_init(&m, L, subject, length, pattern, n);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  const char *s = subject;
  while (count < most) {
    const char *end = tr_matcher_at(&m, s, pattern + anchored);
    if (end && end != last) {
      count++;
      changed |= add_replacement(&m, &out, s, end, type);
      s = last = end;
    } else if (s < m.end) {
      luaL_addchar(&out, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (!changed) {
    lua_pushvalue(L, 1);
  } else {
    luaL_addlstring(&out, s, (size_t)(m.end - s));
    luaL_pushresult(&out);
  }
  tr_matcher_charge(&m);
  lua_pushinteger(L, count);
  return 2;
}

const luaL_Reg tr_pattern_functions[] = {
  { "find", string_find }, { "match", string_match }, { "gmatch", string_gmatch }, { "gsub", string_gsub }, { NULL, NULL }
};
