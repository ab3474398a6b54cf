/* SPDX-License-Identifier: MIT
 * troupe.serve: a door for HTTP/1.1, for scripts that have the right to it (listen=ADDRESS).
 *
 * What an agent asks for in `init`: from then on each request is a request message to it, of one type, and its reply is the answer. The
 * sockets are the runtime's (runtime/serve.c). A server belongs to the instance that asked, which has one at most, and ends with it. */
#include "base/text.h"
#include "script/internal.h"

#define BODY_MOST (16u << 20)
#define ADDRESS_SIZE 400

static const char *const keys[] = { "address", "type", "secret", "signature", "most", "timeout", NULL };

void tr_serve_stop(tr_instance *instance) {
  const tr_script_outside *outside = instance->class_->script->options.outside;
  void *server = instance->more->server;
  instance->more->server = NULL;
  outside->unserve(outside->ud, server);
}

static void check_keys(lua_State *L) {
  if (lua_gettop(L) != 1 || !lua_istable(L, 1)) tr_fail_raise(L, TR_EINVALID, "troupe.serve takes one table: troupe.serve{ address = \"127.0.0.1:8080\" }");
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "", *nearest;
    if (tr_name_in(keys, name)) continue;
    nearest = tr_text_nearest(tr_slice_of(name), keys);
    tr_fail_raise(L, TR_EINVALID, "troupe.serve has no `%s`%s%s%s", name, nearest ? "; did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
  }
}

/* The text of this field, left on the stack; p NULL: it is not there. */
static tr_slice text_field(lua_State *L, const char *name, size_t most) {
  tr_slice text = { NULL, 0 };
  if (tr_raw_field(L, 1, name) == LUA_TNIL) return text;
  if (lua_type(L, -1) != LUA_TSTRING) tr_fail_raise(L, TR_EINVALID, "troupe.serve: %s must be a string, not %s", name, tr_type_name(L, lua_gettop(L)));
  text.p = lua_tolstring(L, -1, &text.n);
  if (text.n == 0 || text.n > most || memchr(text.p, 0, text.n)) tr_fail_raise(L, TR_EINVALID, "troupe.serve: %s has 1 to %d bytes, none of them zero", name, (int)most);
  return text;
}

static void read_options(lua_State *L, tr_script_serve *asked, char signature[100]) {
  tr_slice text;
  asked->address = text_field(L, "address", 250);
  if (!asked->address.p) tr_fail_raise(L, TR_EINVALID, "troupe.serve: address is missing (\"127.0.0.1:8080\", \"unix:PATH\")");
  text = text_field(L, "type", 200);
  asked->type = text.p ? text.p : "Http";
  asked->secret = text_field(L, "secret", 1000);
  text = text_field(L, "signature", 99);
  if (text.p && !asked->secret.p) tr_fail_raise(L, TR_EINVALID, "troupe.serve: signature is the header that `secret` is about, and there is none");
  snprintf(signature, 100, "%s", text.p ? text.p : "X-Hub-Signature-256");
  for (char *c = signature; *c; c++) *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
  asked->signature = signature;
  asked->most = 1 << 20;
  if (tr_raw_field(L, 1, "most") != LUA_TNIL) {
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 0 || lua_tointeger(L, -1) > (lua_Integer)BODY_MOST)
      tr_fail_raise(L, TR_EINVALID, "troupe.serve: most must be an integer from 0 to %d", (int)BODY_MOST);
    asked->most = (size_t)lua_tointeger(L, -1);
  }
  tr_raw_field(L, 1, "timeout");
  asked->timeout = lua_isnil(L, -1) ? TR_SECONDS(30) : tr_check_seconds(L, lua_gettop(L), "troupe.serve: timeout");
  if (asked->timeout < TR_MILLISECONDS(1) || asked->timeout > TR_SECONDS(3600)) tr_fail_raise(L, TR_EINVALID, "troupe.serve: timeout must be 0.001 to 3600 seconds");
}

static int push_text(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

int tr_serve(lua_State *L) {
  tr_script *script = tr_script_of(L);
  const tr_lua_turn *lt = script->running;
  const tr_script_outside *outside = script->options.outside;
  char agent[2 * 4096 + 2], signature[100], bound[ADDRESS_SIZE];
  tr_error error;
  tr_error_init(&error);
  if (!outside || !outside->serve) tr_fail_raise(L, TR_EPERMISSION, "there is no network here");
  check_keys(L);
  if (!lt || lt->def->program) tr_fail_raise(L, TR_EINVALID, "troupe.serve is for agents, whose handlers answer: it belongs into `init`");
  tr_script_serve asked = { .agent = agent };
  read_options(L, &asked, signature);
  tr_instance_more *more = tr_instance_get_more(lt->instance);
  if (!more) tr_raise_memory(L);
  if (more->server) tr_fail_raise(L, TR_EEXISTS, "troupe.serve: this agent serves already");
  tr_agent_name(lt->turn->agent, agent, sizeof agent);
  tr_meter_charge(L, 10000);
  if (outside->serve(outside->ud, &asked, &more->server, bound, &error)) tr_fail_raise_error(L, &error);
  lua_pushcfunction(L, push_text);
  lua_pushlightuserdata(L, bound);
  if (lua_pcall(L, 1, 1, 0)) { /* no memory: nothing was opened, so it may try again */
    tr_serve_stop(lt->instance);
    lua_error(L);
  }
  return 1;
}
