/* SPDX-License-Identifier: MIT
 * Values as people want to see them: a state in `troupe inspect`, a result in `troupe repl`. Anything can be in them (functions, circles,
 * a million elements), none of it is the reader's fault, and nothing of the script's may run: raw access alone, with bounds.
 *
 * The keys of a map that are texts come in order, so that the same state looks the same; for that they are collected in a userdata,
 * which is Lua's to free should memory run out on the way. */
#include <stdlib.h>

#include "script/internal.h"

#define DEPTH_MOST 12
#define KEYS_MOST 1000 /* of one map */

typedef struct showing {
  lua_State *L;
  tr_show_style style;
  tr_buf *out;
  size_t limit;
  unsigned depth;
  const void *above[DEPTH_MOST];
} showing;

static void show(showing *s, int at);

static bool full(const showing *s) { return s->out->len >= s->limit; }
static void put(showing *s, const char *text) { tr_buf_text(s->out, text); }

/* ---- texts ---- */

/* control: which one it is; -1: none */
static void put_character(showing *s, char c, int control) {
  if (c == '"' || c == '\\') tr_buf_printf(s->out, "\\%c", c);
  else if (c == '\n') put(s, "\\n");
  else if (c == '\t') put(s, "\\t");
  else if (control < 0) tr_buf_append(s->out, &c, 1);
  else if (s->style == TR_SHOW_JSON) tr_buf_printf(s->out, "\\u%04x", (unsigned)control);
  else if (control < 0x80) tr_buf_printf(s->out, "\\x%02x", (unsigned)control);
  else tr_buf_printf(s->out, "\\xc2\\x%02x", (unsigned)control); /* its bytes, as Lua reads them */
}

/* What is no UTF-8 is shown byte by byte. */
static void put_text(showing *s, tr_slice text) {
  size_t room = s->out->len < s->limit ? s->limit - s->out->len : 0;
  tr_slice part = tr_slice_make(text.p, text.n > room ? tr_utf8_cut(text, room) : text.n);
  bool utf8 = tr_utf8_valid(part);
  put(s, "\"");
  size_t length = 1;
  for (size_t i = 0; i < part.n; i += length) {
    unsigned char c = (unsigned char)part.p[i];
    int control = tr_text_control(part, i, &length);
    if (!utf8) length = 1;
    if (c < 0x80 || utf8) put_character(s, (char)c, control);
    else tr_buf_printf(s->out, s->style == TR_SHOW_JSON ? "\\u%04x" : "\\x%02x", c);
  }
  put(s, part.n < text.n ? "…\"" : "\"");
}

/* What has no form in the style: in JSON a text. */
static void put_other(showing *s, const char *text) {
  if (s->style == TR_SHOW_JSON) put_text(s, tr_slice_of(text));
  else put(s, text);
}

static void show_number(showing *s, int at) {
  char text[64];
  lua_Number n = lua_tonumber(s->L, at);
  if (lua_isinteger(s->L, at)) tr_buf_printf(s->out, LUA_INTEGER_FMT, lua_tointeger(s->L, at));
  else if (n != n || n - n != 0) put_other(s, n != n ? "nan" : n > 0 ? "inf" : "-inf");
  else {
    snprintf(text, sizeof text, "%.14g", n);
    put(s, text);
    if (s->style == TR_SHOW_LUA && !strpbrk(text, ".en")) put(s, ".0");
  }
}

static void show_function(showing *s, int at) {
  char text[LUA_IDSIZE + 40];
  lua_Debug ar;
  lua_pushvalue(s->L, at);
  lua_getinfo(s->L, ">S", &ar);
  if (ar.linedefined > 0) snprintf(text, sizeof text, "<function %s:%d>", ar.short_src, ar.linedefined);
  else snprintf(text, sizeof text, "<function>");
  put_other(s, text);
}

static void show_object(showing *s, int at) {
  tr_slice bytes;
  char text[60];
  if (tr_is_null(s->L, at)) put(s, s->style == TR_SHOW_JSON ? "null" : "troupe.null");
  else if (tr_bytes_get(s->L, at, &bytes)) {
    snprintf(text, sizeof text, "<%zu bytes>", bytes.n);
    put_other(s, text);
  } else put_other(s, "<object>"); /* a placeholder, a proxy: reading it would wait */
}

/* ---- tables ---- */

typedef struct keys { size_t count; bool cut; tr_slice items[]; } keys;

static int by_text(const void *a, const void *b) {
  const tr_slice *x = a, *y = b;
  int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
  return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static size_t count_pairs(lua_State *L, int at) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, at); n++) lua_pop(L, 1);
  return n;
}

/* Push a userdata with the keys that are texts. */
static keys *collect(lua_State *L, int at, size_t pairs) {
  size_t most = pairs < KEYS_MOST ? pairs : KEYS_MOST;
  keys *list = lua_newuserdatauv(L, sizeof *list + most * sizeof *list->items, 0);
  list->count = 0;
  list->cut = pairs > most;
  for (lua_pushnil(L); lua_next(L, at);) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING || list->count == most) continue;
    tr_slice *item = &list->items[list->count++];
    item->p = lua_tolstring(L, -1, &item->n); /* it lives as long as its table is not touched */
  }
  qsort(list->items, list->count, sizeof *list->items, by_text);
  return list;
}

static bool is_name(tr_slice text) {
  for (size_t i = 0; i < text.n; i++) {
    char c = text.p[i];
    if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (i && c >= '0' && c <= '9'))) return false;
  }
  return text.n > 0;
}

static void put_key(showing *s, tr_slice key) {
  bool json = s->style == TR_SHOW_JSON;
  if (!json && is_name(key)) {
    tr_buf_append(s->out, key.p, key.n);
  } else {
    if (!json) put(s, "[");
    put_text(s, key);
    if (!json) put(s, "]");
  }
  put(s, json ? ":" : " = ");
}

/* A key that is no text. */
static void put_other_key(showing *s, int at) {
  bool json = s->style == TR_SHOW_JSON, bare = lua_type(s->L, at) == LUA_TNUMBER;
  put(s, json ? bare ? "\"" : "" : "[");
  show(s, at);
  put(s, json ? bare ? "\":" : ":" : "] = ");
}

static const char *comma(const showing *s, bool first) { return first ? "" : s->style == TR_SHOW_JSON ? "," : ", "; }

static void show_list(showing *s, int at, size_t n) {
  put(s, s->style == TR_SHOW_JSON ? "[" : "{ ");
  for (size_t i = 1; i <= n; i++) {
    put(s, comma(s, i == 1));
    if (full(s)) {
      put_other(s, "…");
      break;
    }
    lua_rawgeti(s->L, at, (lua_Integer)i);
    show(s, lua_gettop(s->L));
    lua_pop(s->L, 1);
  }
  put(s, s->style == TR_SHOW_JSON ? "]" : " }");
}

static void show_others(showing *s, int at, bool *first) {
  for (lua_pushnil(s->L); lua_next(s->L, at); lua_pop(s->L, 1)) {
    int type = lua_type(s->L, -2), top = lua_gettop(s->L);
    if (type == LUA_TSTRING || full(s)) continue;
    if (s->style == TR_SHOW_JSON && type != LUA_TNUMBER && type != LUA_TFUNCTION && type != LUA_TUSERDATA) continue; /* no key there */
    put(s, comma(s, *first));
    *first = false;
    put_other_key(s, top - 1);
    show(s, top);
  }
}

static void show_map(showing *s, int at, size_t pairs) {
  bool first = true, cut = false;
  const keys *list = collect(s->L, at, pairs);
  put(s, s->style == TR_SHOW_JSON ? "{" : "{ ");
  for (size_t i = 0; i < list->count && !cut; i++) {
    if ((cut = full(s))) break;
    put(s, comma(s, first));
    first = false;
    put_key(s, list->items[i]);
    lua_pushlstring(s->L, list->items[i].p, list->items[i].n);
    lua_rawget(s->L, at);
    show(s, lua_gettop(s->L));
    lua_pop(s->L, 1);
  }
  if (!cut) show_others(s, at, &first);
  if (cut || list->cut) {
    put(s, comma(s, first));
    put(s, s->style == TR_SHOW_JSON ? "\"…\":true" : "…");
  }
  put(s, s->style == TR_SHOW_JSON ? "}" : " }");
  lua_pop(s->L, 1);
}

static void show_table(showing *s, int at) {
  const void *self = lua_topointer(s->L, at);
  for (unsigned i = 0; i < s->depth; i++)
    if (s->above[i] == self) {
      put_other(s, "<the table above>");
      return;
    }
  if (s->depth == DEPTH_MOST) {
    put_other(s, "{…}");
    return;
  }
  s->above[s->depth++] = self;
  size_t pairs = count_pairs(s->L, at), n = (size_t)lua_rawlen(s->L, at);
  if (pairs == 0) put(s, s->style == TR_SHOW_JSON && tr_is_array(s->L, at) ? "[]" : "{}");
  else if (n == pairs) show_list(s, at, n);
  else show_map(s, at, pairs);
  s->depth--;
}

static void show(showing *s, int at) {
  tr_need_stack(s->L, 12);
  switch (lua_type(s->L, at)) {
  case LUA_TNIL: put(s, s->style == TR_SHOW_JSON ? "null" : "nil"); break;
  case LUA_TBOOLEAN: put(s, lua_toboolean(s->L, at) ? "true" : "false"); break;
  case LUA_TNUMBER: show_number(s, at); break;
  case LUA_TSTRING: {
    tr_slice text;
    text.p = lua_tolstring(s->L, at, &text.n);
    put_text(s, text);
    break;
  }
  case LUA_TTABLE: show_table(s, at); break;
  case LUA_TFUNCTION: show_function(s, at); break;
  case LUA_TTHREAD: put_other(s, "<coroutine>"); break;
  default: show_object(s, at); break;
  }
}

void tr_show(lua_State *L, int at, tr_show_style style, size_t limit, tr_buf *out) {
  showing s = { .L = L, .style = style, .out = out, .limit = out->len + limit };
  show(&s, lua_absindex(L, at));
}
