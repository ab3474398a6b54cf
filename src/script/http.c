/* SPDX-License-Identifier: MIT
 * troupe.http: a request to a web server while the turn waits, for scripts that have the right to ask it (net=HOST:PORT).
 *
 * Only what Lua sees of it: the runtime does it (runtime/http.c) on its loop, and wakes the turn. In an isolate that has no loop the
 * turn looks again every few milliseconds instead, as for a program (exec.c). Whatever ends the turn ends the request. */
#include "base/text.h"
#include "script/internal.h"

#define LOOK TR_MILLISECONDS(5)
#define HEADERS_MOST 100
#define TEXT_MOST (16u << 20) /* of a body, either way */

static const char *const keys[] = { "url", "method", "headers", "body", "timeout", "most", "redirects", NULL };
/* What curl writes itself; said twice, two servers in a row may read two different requests. */
static const char *const kept[] = { "content-length", "transfer-encoding", "connection", "host", "expect", "te", "upgrade", "trailer", NULL };

void tr_http_stop(tr_lua_turn *lt) {
  const tr_script_outside *outside = lt->script->options.outside;
  void *fetch = lt->fetch;
  lt->fetch = NULL;
  outside->unfetch(outside->ud, fetch);
}

static bool is_token(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (text[i] <= ' ' || text[i] >= 127 || strchr("()<>@,;:\\\"/[]?={}", text[i])) return false;
  return n > 0 && n < 200;
}

static const char *check_text(lua_State *L, int at, const char *what, size_t *n) {
  if (lua_type(L, at) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "troupe.http: %s must be a string, not %s", what, tr_type_name(L, at));
  const char *text = lua_tolstring(L, at, n);
  if (memchr(text, 0, *n)) tr_fail_raise(L, TR_EINVALID, "troupe.http: %s has a zero byte", what);
  return text;
}

static void check_keys(lua_State *L) {
  if (lua_gettop(L) != 1 || !lua_istable(L, 1)) tr_fail_raise(L, TR_EINVALID, "troupe.http takes one table: troupe.http{ url = \"https://…\" }");
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "", *nearest;
    if (tr_name_in(keys, name)) continue;
    nearest = tr_text_nearest(tr_slice_of(name), keys);
    tr_fail_raise(L, TR_EINVALID, "troupe.http has no `%s`%s%s%s", name, nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
  }
}

static void check_header(lua_State *L, const char *name, size_t n, const char *value) {
  char small[200];
  if (!is_token(name, n)) tr_fail_raise(L, TR_EINVALID, "troupe.http: `%.100s` is no header's name", name);
  for (size_t i = 0; i <= n; i++) small[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
  if (tr_name_in(kept, small)) tr_fail_raise(L, TR_EINVALID, "troupe.http: the header %s is not a script's to set", name);
  if (strpbrk(value, "\r\n")) tr_fail_raise(L, TR_EINVALID, "troupe.http: the header %s has a line break", name);
}

/* "Name: value" of each, left on the stack. */
static void read_headers(lua_State *L, const char *out[HEADERS_MOST + 1]) {
  size_t count = 0, name_size, size;
  out[0] = NULL;
  if (tr_raw_field(L, 1, "headers") == LUA_TNIL) return;
  int at = lua_gettop(L);
  if (!lua_istable(L, at)) tr_fail_raise(L, TR_EINVALID, "troupe.http: headers must be a table, not %s", tr_type_name(L, at));
  tr_need_stack(L, HEADERS_MOST + 20);
  for (lua_pushnil(L); lua_next(L, at);) {
    const char *name = check_text(L, -2, "a header's name", &name_size);
    const char *value = check_text(L, -1, "a header's value", &size);
    check_header(L, name, name_size, value);
    if (count == HEADERS_MOST) tr_fail_raise(L, TR_EINVALID, "troupe.http: more than %d headers", HEADERS_MOST);
    out[count++] = lua_pushfstring(L, size ? "%s: %s" : "%s;", name, value); /* curl writes "Name;" as one that is empty */
    out[count] = NULL;
    lua_replace(L, -2);
    lua_insert(L, -2); /* under the key that goes on */
  }
}

static lua_Integer read_count(lua_State *L, const char *name, lua_Integer fallback, lua_Integer most) {
  if (tr_raw_field(L, 1, name) == LUA_TNIL) return fallback;
  if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) > most)
    tr_fail_raise(L, TR_EINVALID, "troupe.http: %s must be an integer from 0 to %d", name, (int)most);
  return lua_tointeger(L, -1);
}

static void read_body(lua_State *L, tr_slice *body) {
  int type = tr_raw_field(L, 1, "body");
  if (type == LUA_TNIL || tr_bytes_get(L, lua_gettop(L), body)) (void)0;
  else if (type == LUA_TSTRING) body->p = lua_tolstring(L, -1, &body->n);
  else tr_fail_raise(L, TR_EINVALID, "troupe.http: body must be a string, not %s (troupe.json.encode makes one)", tr_type_name(L, lua_gettop(L)));
  if (body->n > TEXT_MOST) tr_fail_raise(L, TR_ETOO_LARGE, "troupe.http: body is larger than %d MiB", TEXT_MOST >> 20);
}

/* "Name: value\n…" as a table: names in lower case, of the same name joined by ", ". */
static void push_headers(lua_State *L, tr_slice text) {
  char name[200];
  lua_newtable(L);
  for (size_t at = 0; at < text.n;) {
    const char *line = text.p + at, *end = memchr(line, '\n', text.n - at), *colon = end ? memchr(line, ':', (size_t)(end - line)) : NULL;
    if (!end) return;
    at += (size_t)(end - line) + 1;
    size_t n = colon ? (size_t)(colon - line) : 0;
    if (n == 0 || n >= sizeof name) continue;
    for (size_t i = 0; i < n; i++) name[i] = line[i] >= 'A' && line[i] <= 'Z' ? (char)(line[i] + 32) : line[i];
    for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++) continue;
    lua_pushlstring(L, name, n);
    lua_pushvalue(L, -1);
    bool again = lua_rawget(L, -3) != LUA_TNIL;
    if (again) lua_pushliteral(L, ", ");
    else lua_pop(L, 1);
    lua_pushlstring(L, colon, (size_t)(end - colon));
    if (again) lua_concat(L, 3);
    lua_rawset(L, -3);
  }
}

static int push_answer(lua_State *L, tr_lua_turn *lt, const tr_script_answer *answer) {
  tr_meter_charge(L, (answer->body.n + answer->headers.n) / 16);
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, answer->status);
  lua_setfield(L, -2, "status");
  push_headers(L, answer->headers);
  lua_setfield(L, -2, "headers");
  lua_pushlstring(L, answer->body.n ? answer->body.p : "", answer->body.n);
  lua_setfield(L, -2, "body");
  lua_pushstring(L, answer->url);
  lua_setfield(L, -2, "url");
  tr_http_stop(lt);
  return 1;
}

static int woken(lua_State *L, int status, lua_KContext wait);

static int look(lua_State *L, tr_lua_turn *lt) {
  const tr_script_outside *outside = lt->script->options.outside;
  tr_script_answer answer;
  tr_error error;
  tr_error_init(&error);
  int rc = outside->fetched(outside->ud, lt->fetch, &answer, &error);
  if (rc == 0 && lt->script->options.no_loop) tr_turn_sleep(lt, LOOK);
  if (rc == 0) return tr_lua_pause(L, TR_PAUSE_WAIT, woken);
  tr_timer_stop(tr_core_timers(lt->script->core), &lt->timer);
  if (rc > 0) return push_answer(L, lt, &answer);
  tr_http_stop(lt);
  tr_fail_raise_error(L, &error);
  return 0;
}

static int woken(lua_State *L, int status, lua_KContext wait) {
  tr_lua_turn *lt = tr_lua_resumed(L, wait);
  (void)status;
  if (!lt->fetch) tr_fail_raise(L, TR_EINVALID, "troupe.http: its request was ended");
  return look(L, lt);
}

/* From the loop, in the thread of the turn. */
static void wake(void *ud) { tr_turn_wake(((tr_lua_turn *)ud)->turn); }

int tr_http(lua_State *L) {
  tr_script *script = tr_script_of(L);
  tr_lua_turn *lt = script->running;
  const tr_script_outside *outside = script->options.outside;
  const char *headers[HEADERS_MOST + 1];
  size_t n;
  tr_error error;
  tr_error_init(&error);
  if (!outside || !outside->fetch) tr_fail_raise(L, TR_EPERMISSION, "there is no network here");
  check_keys(L);
  if (!lt) tr_fail_raise(L, TR_EINVALID, "troupe.http waits: it belongs into a handler, not to the top of the file");
  tr_lua_check_wait(L);
  if (lt->fetch) tr_fail_raise(L, TR_EINVALID, "troupe.http: this turn has a request under way already");
  tr_script_fetch asked = { .method = "GET", .headers = headers, .done = script->options.no_loop ? NULL : wake, .done_ud = lt };
  tr_raw_field(L, 1, "url");
  asked.url = check_text(L, lua_gettop(L), "url", &n);
  if (tr_raw_field(L, 1, "method") != LUA_TNIL) {
    asked.method = check_text(L, lua_gettop(L), "method", &n);
    if (!is_token(asked.method, n) || n > 15) tr_fail_raise(L, TR_EINVALID, "troupe.http: `%.40s` is no method", asked.method);
  }
  read_body(L, &asked.body);
  asked.most = (size_t)read_count(L, "most", 1 << 20, TEXT_MOST);
  asked.redirects = (unsigned)read_count(L, "redirects", 5, 20);
  tr_raw_field(L, 1, "timeout");
  asked.timeout = lua_isnil(L, -1) ? TR_SECONDS(30) : tr_check_seconds(L, lua_gettop(L), "troupe.http: timeout");
  if (asked.timeout > TR_SECONDS(3600)) asked.timeout = TR_SECONDS(3600);
  read_headers(L, headers);
  tr_meter_charge(L, 10000 + asked.body.n / 16);
  if (outside->fetch(outside->ud, &asked, &lt->fetch, &error)) tr_fail_raise_error(L, &error);
  lua_settop(L, 0);
  return look(L, lt);
}
