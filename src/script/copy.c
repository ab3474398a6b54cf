/* SPDX-License-Identifier: MIT
 * Copies of Lua values: of bodies, checked, and of state.
 *
 * A body is copied once at the sender's border, and that copy is what the receiver gets, so this is the hottest loop
 * of the room. Its cost is tables, so each is made once with its final size: one pass over the source keeps keys and
 * values on the stack, then the table is made and the pairs are taken off the stack into it (half the time of a
 * table that grows, and less than a pass for counting). Past BATCH pairs the size is a guess.
 *
 * The source is read raw: no metamethod of the script runs in here. What may not be in a body is found on the way,
 * and each level puts its key in front of the path as it gives up: "body.items[3].name". Depth and the number of
 * values are bounded, since a table that is reached by two ways is copied twice, and doing that forty times over is
 * 2^40.
 *
 * tr_clone_top is the other, rarer one: for state, which may hold anything. */
#include "base/text.h"
#include "script/internal.h"

/* Pairs kept on the stack. */
#ifdef TR_HOSTILE
#define BATCH 2
#else
#define BATCH 40
#endif

#define TEXT_A_VALUE 64 /* bytes of text that count as one value more: 256 MB are as much as TR_COPY_MAX */
#define PATH_LEVELS 8 /* of a body that is too deep */

/* --- what went wrong, and where --- */

static void path_prepend(tr_copy *copy, const char *text, size_t n) {
  if (copy->path_at < n + 4) {
    if (copy->path_at >= 4 && memcmp(&copy->path[copy->path_at], "\xe2\x80\xa6", 3) != 0) {
      copy->path_at -= 3;
      memcpy(&copy->path[copy->path_at], "\xe2\x80\xa6", 3);
    }
    return;
  }
  copy->path_at -= n;
  memcpy(&copy->path[copy->path_at], text, n);
}

static bool is_identifier(tr_slice key) {
  if (key.n == 0 || key.n > 60) return false;
  for (size_t i = 0; i < key.n; i++) {
    char c = key.p[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    if (!letter && (i == 0 || c < '0' || c > '9')) return false;
  }
  return true;
}

/* Put the key at stack index `at` in front of the path; called once for each level that gives up, deepest first. */
static bool below(tr_copy *copy, int at) {
  lua_State *L = copy->L;
  char text[100];
  if (copy->depth - ++copy->left_levels >= copy->path_levels) return false;
  if (lua_isinteger(L, at)) {
    int n = snprintf(text, sizeof text, "[%lld]", (long long)lua_tointeger(L, at));
    path_prepend(copy, text, (size_t)n);
  } else if (lua_type(L, at) == LUA_TSTRING) {
    tr_slice key;
    key.p = lua_tolstring(L, at, &key.n);
    int n = is_identifier(key) ? snprintf(text, sizeof text, ".%s", key.p)
                               : snprintf(text, sizeof text, "[\"%.*s\"]", (int)tr_utf8_cut(key, 60), key.p);
    path_prepend(copy, text, (size_t)n);
  }
  return false;
}

#define wrong(copy, ...) wrong_as(copy, TR_EINVALID, __VA_ARGS__)
static bool wrong_as(tr_copy *copy, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool wrong_as(tr_copy *copy, int code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  tr_error_setv(copy->error, code, format, args);
  va_end(args);
  return false;
}

/* --- values --- */

bool tr_is_null(lua_State *L, int at) { return lua_type(L, at) == LUA_TLIGHTUSERDATA && !lua_touserdata(L, at); }

bool tr_is_array(lua_State *L, int at) {
  if (!lua_getmetatable(L, at)) return false;
  tr_push_ref(L, tr_script_of(L)->array_ref);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

void tr_mark_array(lua_State *L) {
  tr_push_ref(L, tr_script_of(L)->array_ref);
  lua_setmetatable(L, -2);
}

/* Most text is ASCII: look at many bytes at a time, and at the last ones again rather than one by one. */
static inline bool plain(const char *p, size_t n) {
  uint64_t bits = 0, word;
  uint32_t half[2];
  if (n >= 8) {
    for (size_t i = 0; i + 8 <= n; i += 8) {
      memcpy(&word, p + i, 8);
      bits |= word;
    }
    memcpy(&word, p + n - 8, 8);
    bits |= word;
  } else if (n >= 4) {
    memcpy(&half[0], p, 4);
    memcpy(&half[1], p + n - 4, 4);
    bits = half[0] | half[1];
  } else if (n > 0) {
    bits = (unsigned char)(p[0] | p[n / 2] | p[n - 1]);
  }
  return (bits & UINT64_C(0x8080808080808080)) == 0;
}

/* The string at `at`. The same one may be in a body a million times, and is written out as often: so its length counts. */
static inline bool is_text(tr_copy *copy, int at) {
  tr_slice text;
  text.p = lua_tolstring(copy->L, at, &text.n);
  copy->left -= (long)(text.n / TEXT_A_VALUE);
  return plain(text.p, text.n) || tr_utf8_valid(text);
}

static TR_COLD bool not_text(tr_copy *copy) {
  return wrong(copy, "a string that is not UTF-8 (send it as troupe.bytes(s))");
}

static bool copy_value(tr_copy *copy, int type, int at);

/* The placeholder on the top is settled, but its content is elsewhere. */
static bool copy_away(tr_copy *copy, tr_future *f) {
  copy->held++;
  if (copy->refs) return true;
  copy->pending = !copy->wait;
  if (!copy->wait) return wrong(copy, "a placeholder that is not there yet (use troupe.await)");
  return tr_future_refer(copy->wait, f) || wrong_as(copy, TR_EMEMORY, "out of memory");
}

/* The placeholder on the top: its value in its place, or it stays and is waited for. */
static bool copy_placeholder(tr_copy *copy, tr_future *f) {
  lua_State *L = copy->L;
  char text[TR_ERROR_TEXT];
  if (copy->turn && f->turn != copy->turn) return wrong(copy, "a placeholder of a turn that has ended");
  if (!f->settled) {
    copy->pending = !copy->wait;
    if (!copy->wait) return wrong(copy, "a placeholder that is not there yet (use troupe.await)");
    return tr_future_need(copy->wait, f) || wrong_as(copy, TR_EMEMORY, "out of memory");
  }
  f->read = true;
  if (tr_future_away(f)) return copy_away(copy, f);
  if (f->code) return wrong_as(copy, f->code, "%s", tr_future_error(f, true, text));
  if (f->has_value) lua_getiuservalue(L, -1, 1);
  else if (f->reply.kind == TR_BODY_SLOT && !f->script->home) { /* as it came, nulls and all */
    tr_push_ref(L, f->script->slots_ref);
    lua_rawgeti(L, -1, f->reply.slot);
    lua_remove(L, -2);
  } else if (tr_body_push(L, &f->reply, true, copy->error)) {
    return false;
  }
  lua_replace(L, -2);
  if (lua_isnil(L, -1)) {
    lua_pushlightuserdata(L, NULL);
    lua_replace(L, -2);
  }
  if (tr_is_null(L, -1)) copy->nulls = true;
  if (lua_type(L, -1) == LUA_TUSERDATA && tr_future_at(L, -1)) return wrong(copy, "a placeholder in a reply's value");
  return copy_value(copy, lua_type(L, -1), lua_gettop(L));
}

static bool check_other(tr_copy *copy, int type) {
  lua_State *L = copy->L;
  tr_slice bytes;
  if (type == LUA_TLIGHTUSERDATA && !lua_touserdata(L, -1)) return true;
  if (type == LUA_TUSERDATA && tr_bytes_get(L, -1, &bytes)) {
    copy->left -= (long)(bytes.n / TEXT_A_VALUE);
    return true;
  }
  if (type == LUA_TUSERDATA && tr_placeholder_is(L, -1)) {
    if (!copy->check) return copy_placeholder(copy, tr_future_at(L, -1));
    copy->held++; /* its content would have to be put in its place */
    return false;
  }
  if (type == LUA_TUSERDATA) return wrong(copy, "a body cannot hold an object such as ctx");
  return wrong(copy, "a body cannot hold a %s", lua_typename(L, type));
}

/* Count what a container held. */
static bool count_values(tr_copy *copy, long count) {
  copy->left -= count;
  return copy->left >= 0 || wrong_as(copy, TR_ETOO_LARGE, "more than %d values, or %d MB of text, in one body", TR_COPY_MAX, TR_COPY_MAX / 1000000 * TEXT_A_VALUE);
}

/* --- maps: the source at `from`, the copy at from + 1, the first pair above --- */

static void flush(lua_State *L, int to, int count) {
  while (count-- > 0) lua_rawset(L, to);
}

static TR_COLD bool wrong_key(tr_copy *copy) {
  lua_State *L = copy->L;
  int type = lua_type(L, -2);
  if (type == LUA_TSTRING) return wrong(copy, "a key that is not UTF-8");
  if (type == LUA_TNUMBER) {
    below(copy, lua_absindex(L, -2));
    return wrong(copy, "a table with both names and numbers as keys is neither an array nor a map");
  }
  return wrong(copy, "a %s as a key (only strings, or 1 to n)", lua_typename(L, type));
}

/* BATCH pairs lie above `to`: into the copy with them, which is made where it is not there yet. */
static TR_APART bool flush_batch(tr_copy *copy, int to, bool made) {
  lua_State *L = copy->L;
  if (!count_values(copy, BATCH)) return false;
  lua_pushvalue(L, -2);
  lua_insert(L, to + 1); /* the key to go on from */
  if (!made) {
    lua_createtable(L, 0, 3 * BATCH);
    lua_replace(L, to);
  }
  flush(L, to, BATCH);
  return true;
}

static bool copy_map(tr_copy *copy, int from, int to) {
  lua_State *L = copy->L;
  int count = 0;
  bool made = false, trusted = copy->trusted;
  do {
    int type = lua_type(L, -1);
    if (!trusted && (lua_type(L, -2) != LUA_TSTRING || !is_text(copy, -2))) return wrong_key(copy);
    if (type == LUA_TLIGHTUSERDATA) { /* null, or refused below */
      copy->nulls = true;
      if (copy->drop) {
        lua_pop(L, 1);
        continue;
      }
    }
    bool plain_value = type == LUA_TBOOLEAN || (type == LUA_TSTRING && (trusted || is_text(copy, -1))) ||
                       (type == LUA_TNUMBER && (trusted || lua_isinteger(L, -1)));
    if (!plain_value && !copy_value(copy, type, to + 2 + 2 * count)) return below(copy, to + 1 + 2 * count);
    if (copy->check) {
      lua_pop(L, 1);
      if (!count_values(copy, 1)) return false;
    } else if (++count == BATCH) {
      if (!flush_batch(copy, to, made)) return false;
      made = true;
      count = 0;
    } else {
      lua_pushvalue(L, -2);
    }
  } while (lua_next(L, from));
  if (copy->check) return true;
  if (!made) {
    lua_createtable(L, 0, count);
    lua_replace(L, to);
  }
  flush(L, to, count);
  return count_values(copy, count);
}

/* --- arrays --- */

static bool hole(tr_copy *copy, int from) {
  lua_State *L = copy->L;
  for (lua_Integer i = 1;; i++)
    if (lua_rawgeti(L, from, i) == LUA_TNIL) {
      lua_pushinteger(L, i);
      below(copy, lua_gettop(L));
      return wrong(copy, "a hole in an array (use troupe.null)");
    } else {
      lua_pop(L, 1);
    }
}

static TR_APART bool copy_array(tr_copy *copy, int from, int to) {
  lua_State *L = copy->L;
  lua_Integer count = 0, last = 0;
  size_t length = (size_t)lua_rawlen(L, from);
  if (!copy->check) {
    lua_createtable(L, length < 1 << 20 ? (int)length : 1 << 20, 0);
    lua_replace(L, to);
  }
  do {
    if (!lua_isinteger(L, -2)) {
      if (lua_type(L, -2) == LUA_TSTRING) below(copy, to + 1);
      return wrong(copy, "a table with both names and numbers as keys is neither an array nor a map");
    }
    lua_Integer at = lua_tointeger(L, -2);
    if (at < 1) {
      below(copy, to + 1);
      return wrong(copy, "an array begins at 1");
    }
    if (++count % BATCH == 0 && !count_values(copy, BATCH)) return false;
    if (at > last) last = at;
    if (!copy_value(copy, lua_type(L, -1), to + 2)) return below(copy, to + 1);
    if (copy->check) lua_pop(L, 1);
    else lua_rawseti(L, to, at);
  } while (lua_next(L, from));
  return last == count || hole(copy, from);
}

/* --- tables --- */

/* The path goes once round a circle, and only some steps into what is merely deep. */
static TR_COLD bool too_deep(tr_copy *copy, int from) {
  copy->above[copy->depth] = from;
  for (unsigned j = 1; !copy->trusted && j <= copy->depth; j++)
    for (unsigned i = 0; i < j; i++)
      if (lua_topointer(copy->L, copy->above[i]) == lua_topointer(copy->L, copy->above[j])) {
        copy->path_levels = j;
        return wrong(copy, "a table that holds itself");
      }
  copy->path_levels = PATH_LEVELS;
  path_prepend(copy, "\xe2\x80\xa6", 3);
  return wrong(copy, "deeper than %d levels", TR_DEPTH_MAX);
}

/* The copy of the table at `from` comes onto the top, at `to`. */
static bool copy_table(tr_copy *copy, int from, int to) {
  lua_State *L = copy->L;
  bool done;
  if (copy->depth >= TR_DEPTH_MAX) return too_deep(copy, from);
  if (!count_values(copy, 1)) return false;
  copy->above[copy->depth++] = from;
  tr_need_stack(L, 2 * BATCH + 10);
  lua_pushnil(L);
  lua_pushnil(L);
  if (!lua_next(L, from)) {
    if (!copy->check) {
      lua_createtable(L, 0, 0);
      if (tr_is_array(L, from)) tr_mark_array(L);
      lua_replace(L, to);
    }
    done = true;
  } else if (lua_type(L, -2) == LUA_TNUMBER) {
    done = copy_array(copy, from, to);
  } else if (!copy->trusted && tr_is_array(L, from)) {
    below(copy, lua_gettop(L) - 1);
    done = wrong(copy, "a troupe.array with a named field");
  } else {
    done = copy_map(copy, from, to);
  }
  copy->depth -= done;
  return done;
}

/* The value on the top, at `at`, of this type, becomes its copy. */
static bool copy_value(tr_copy *copy, int type, int at) {
  lua_State *L = copy->L;
  switch (type) {
  case LUA_TBOOLEAN: return true;
  case LUA_TSTRING: return copy->trusted || is_text(copy, at) || not_text(copy);
  case LUA_TTABLE:
    if (!copy_table(copy, at, at + 1)) return false;
    lua_replace(L, at);
    return true;
  case LUA_TNUMBER:
    if (!copy->trusted && !lua_isinteger(L, at)) {
      double number = lua_tonumber(L, at);
      if (number - number != 0)
        return wrong(copy, "%s is not a number that can be sent", number != number ? "NaN" : "infinity");
    }
    return true;
  default: return copy->trusted || check_other(copy, type);
  }
}

static TR_COLD int failed(tr_copy *copy, int top) {
  int path = (int)(sizeof copy->path - copy->path_at);
  tr_error found = *copy->error;
  tr_error_init(copy->error);
  lua_settop(copy->L, top);
  return tr_error_set(copy->error, found.code, "%s%.*s: %s", copy->root, path, &copy->path[copy->path_at], found.text);
}

int tr_copy_push(lua_State *L, int at, int type, tr_copy *copy) {
  int top = lua_gettop(L);
  copy->L = L;
  copy->depth = 0;
  copy->left = TR_COPY_MAX;
  copy->path_at = sizeof copy->path;
  copy->path_levels = TR_DEPTH_MAX + 1;
  copy->left_levels = 0;
  if (type == LUA_TTABLE) return copy_table(copy, at, top + 1) ? 0 : failed(copy, top);
  lua_pushvalue(L, at);
  return copy_value(copy, type, top + 1) ? 0 : failed(copy, top);
}

int tr_copy_check(lua_State *L, tr_copy *copy) {
  int top = lua_gettop(L);
  copy->check = true;
  int rc = tr_copy_push(L, top, lua_type(L, top), copy);
  copy->check = false;
  lua_settop(L, top);
  if (!copy->held) return rc;
  copy->held = 0;
  tr_error_init(copy->error);
  return tr_copy_top(L, copy);
}

int tr_copy_top(lua_State *L, tr_copy *copy) {
  int rc = tr_copy_push(L, lua_gettop(L), lua_type(L, -1), copy);
  if (!rc) lua_replace(L, -2);
  return rc;
}

/* --- state --- */

/* As lua_setmetatable with the one on the top. A `__gc` that a script put into it after setmetatable is hidden meanwhile: Lua would mark the
 * clone for it, and run it wherever the collector is, with hooks off. */
static void give_metatable(lua_State *L, int at) {
  bool hides = !tr_script_is_foreign(tr_script_of(L)) && tr_raw_field(L, -1, "__gc") != LUA_TNIL;
  if (!hides) {
    lua_settop(L, at + 1);
    lua_setmetatable(L, at);
    return;
  }
  lua_pushliteral(L, "__gc");
  lua_pushnil(L);
  lua_rawset(L, at + 1);
  lua_pushvalue(L, at + 1);
  lua_setmetatable(L, at);
  lua_pushliteral(L, "__gc");
  lua_insert(L, -2);
  lua_rawset(L, at + 1);
}

/* Replace the table at the top by its clone; `memo` is the index of { [table] = clone }. */
static void clone(lua_State *L, int memo, int depth) {
  int from = lua_gettop(L);
  if (depth > 190) luaL_error(L, "state: deeper than 190 levels");
  tr_need_stack(L, 10);
  lua_pushvalue(L, from);
  if (lua_rawget(L, memo) != LUA_TNIL) {
    lua_replace(L, from);
    return;
  }
  lua_pop(L, 1);
  lua_createtable(L, (int)(lua_rawlen(L, from) & 0xffffff), 0);
  lua_pushvalue(L, from);
  lua_pushvalue(L, from + 1);
  lua_rawset(L, memo);
  for (lua_pushnil(L); lua_next(L, from);) {
    if (lua_type(L, -1) == LUA_TTABLE) clone(L, memo, depth + 1);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, from + 1);
  }
  if (lua_getmetatable(L, from)) give_metatable(L, from + 1);
  lua_settop(L, from + 1);
  lua_replace(L, from);
}

void tr_clone_top(lua_State *L) {
  if (lua_type(L, -1) != LUA_TTABLE) return;
  lua_newtable(L);
  lua_insert(L, -2);
  clone(L, lua_gettop(L) - 1, 0);
  lua_remove(L, -2);
}

void tr_table_become(lua_State *L, int table, int content) {
  for (lua_pushnil(L); lua_next(L, table);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, table);
  }
  for (lua_pushnil(L); lua_next(L, content);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, table);
  }
}
