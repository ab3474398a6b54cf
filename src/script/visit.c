/* SPDX-License-Identifier: MIT
 * Evaluating Lua in an agent, for a console: a turn like any other, that begins with the operator's text instead of a handler.
 *
 * So one thing at a time happens in an agent, ctx works (the text may call others and wait), and limits bound it. It comes as a
 * request of the type TR_GET_TYPE, which no handler sees, with the text in msg->more->visit, which no script and no peer can set. Where the
 * agent waits in a turn it is taken at once, as a call that this turn led to would be: who looks for a fault looks at agents that wait.
 *
 * The text sees `self`, `ctx` and what the agent's file sees; globals that it sets are the file's. What it prints goes to the console.
 * What it raises is an answer, not a failure of the agent's; only a limit ends the turn as ever. */
#include "script/internal.h"

#define OUTPUT_MAX 65536
#define VALUE_MAX 16384

enum { AT_SELF = 1, AT_CTX, AT_ENV, AT_CODE, AT_SCOPE, AT_OUTPUT, AT_HANDLER };

/* ---- what it says ---- */

/* The text on the top, in UTF-8 whatever it was: it becomes part of an answer. */
static void make_utf8(lua_State *L) {
  tr_slice text;
  text.p = lua_tolstring(L, -1, &text.n);
  if (tr_utf8_valid(text)) return;
  luaL_Buffer buffer;
  luaL_buffinitsize(L, &buffer, text.n);
  for (size_t i = 0; i < text.n; i++) luaL_addchar(&buffer, (unsigned char)text.p[i] < 0x80 ? text.p[i] : '?');
  luaL_pushresult(&buffer);
  lua_remove(L, -2);
}

/* upvalue 1: the list of lines; [0]: their bytes. From the first one on that is too much they are left out. */
static int visit_print(lua_State *L) {
  int n = lua_gettop(L), list = lua_upvalueindex(1);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_pushresult(&line);
  lua_rawgeti(L, list, 0);
  lua_Integer bytes = lua_tointeger(L, -1) + (lua_Integer)lua_rawlen(L, -2) + 1;
  lua_pop(L, 1);
  lua_pushinteger(L, bytes);
  lua_rawseti(L, list, 0);
  if (bytes > OUTPUT_MAX) return 0;
  make_utf8(L);
  lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
  return 0;
}

static void add_output(lua_State *L, int answer) {
  luaL_Buffer all;
  lua_Integer n = (lua_Integer)lua_rawlen(L, AT_OUTPUT);
  lua_rawgeti(L, AT_OUTPUT, 0);
  bool cut = lua_tointeger(L, -1) > OUTPUT_MAX;
  lua_pop(L, 1);
  if (n == 0 && !cut) return;
  luaL_buffinit(L, &all);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, AT_OUTPUT, i);
    luaL_addvalue(&all);
    luaL_addchar(&all, '\n');
  }
  if (cut) luaL_addstring(&all, "… (it printed more than 64 KB: the rest is left out)\n");
  luaL_pushresult(&all);
  lua_setfield(L, answer, "output");
}

/* ---- what comes of it ---- */

/* What was raised is on the top. */
static int on_error(lua_State *L) {
  tr_error error;
  tr_lua_turn *lt = tr_script_of(L)->running;
  tr_fail_read(L, -1, &error);
  if (error.code == TR_EMEMORY && lt) tr_meter_was_refused(lt, &error); /* its own limit, or there is no memory */
  lua_createtable(L, 0, 3);
  if (error.code == TR_EHANDLER) lua_pushstring(L, error.text);
  else lua_pushfstring(L, "%s: %s", tr_error_name(error.code), error.text);
  lua_setfield(L, -2, "error");
  luaL_traceback(L, L, NULL, 1);
  make_utf8(L);
  lua_setfield(L, -2, "traceback");
  return 1;
}

/* The results stand behind AT_HANDLER. */
static int visit_done(lua_State *L, int status, lua_KContext extra) {
  int top = lua_gettop(L), n = top - AT_HANDLER;
  (void)extra;
  if (status != LUA_OK && status != LUA_YIELD) {
    if (!lua_istable(L, -1)) on_error(L); /* out of memory, or in the handler itself */
    add_output(L, lua_gettop(L));
    return 1;
  }
  tr_need_stack(L, 10);
  lua_createtable(L, 0, 2);
  int answer = lua_gettop(L);
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    tr_buf *text = tr_unit_buffer(L);
    tr_show(L, AT_HANDLER + i, TR_SHOW_LUA, VALUE_MAX, text);
    if (text->failed) tr_raise_memory(L);
    lua_pushlstring(L, (const char *)text->data, text->len);
    lua_rawseti(L, answer + 1, i);
    lua_pop(L, 1);
  }
  tr_mark_array(L);
  lua_setfield(L, answer, "values");
  add_output(L, answer);
  return 1;
}

/* What the text sees, at AT_SCOPE. */
static void open_scope(lua_State *L) {
  lua_createtable(L, 0, 4);
  lua_createtable(L, 0, 0); /* AT_OUTPUT */
  lua_pushvalue(L, AT_OUTPUT);
  lua_pushcclosure(L, visit_print, 1);
  lua_setfield(L, AT_SCOPE, "print");
  lua_pushvalue(L, AT_SELF);
  lua_setfield(L, AT_SCOPE, "self");
  lua_pushvalue(L, AT_CTX);
  lua_setfield(L, AT_SCOPE, "ctx");
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, AT_ENV);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, AT_ENV);
  lua_setfield(L, -2, "__newindex");
  lua_setmetatable(L, AT_SCOPE);
}

/* An expression, or else a chunk; or the error's text. */
static int compile(lua_State *L) {
  tr_slice code;
  code.p = lua_tolstring(L, AT_CODE, &code.n);
  const char *as_value = lua_pushfstring(L, "return %s", code.p);
  if (luaL_loadbufferx(L, as_value, strlen(as_value), "=console", "t") != LUA_OK) {
    lua_pop(L, 1);
    luaL_loadbufferx(L, code.p, code.n, "=console", "t");
  }
  lua_remove(L, -2);
  return lua_isfunction(L, -1);
}

static int run_visit(lua_State *L) {
  if (lua_isnil(L, AT_ENV)) return luaL_error(L, "this agent was given as a table: it has no environment of its own");
  tr_need_stack(L, 20);
  open_scope(L);
  lua_pushcfunction(L, on_error);
  if (!compile(L)) {
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    make_utf8(L);
    lua_setfield(L, -2, "error");
    return 1;
  }
  lua_pushvalue(L, AT_SCOPE);
  lua_setupvalue(L, -2, 1);
  return visit_done(L, lua_pcallk(L, 0, LUA_MULTRET, AT_HANDLER, 0, visit_done), 0);
}

static void push_env(lua_State *L, const tr_instance *instance) {
  if (instance->def->env_ref == LUA_NOREF) lua_pushnil(L);
  else tr_push_ref(L, instance->def->env_ref);
}

int tr_visit_begin(lua_State *L, tr_instance *instance, int at, tr_lua_turn *lt) {
  const tr_blob *code = lt->turn->msg->more->visit;
  tr_error_init(&lt->error);
  lua_pushcfunction(L, run_visit);
  lua_getiuservalue(L, at, 1);
  lua_pushvalue(L, at);
  push_env(L, instance);
  lua_pushlstring(L, (const char *)code->data, code->len);
  lua_xmove(L, lt->co, AT_CODE + 1);
  return AT_CODE;
}

const char *tr_turn_what(const tr_turn *turn) {
  if (tr_turn_is_visit(turn)) return "console";
  if (turn->msg) return turn->msg->type->text;
  return turn->kind == TR_TURN_CLOSE ? "close" : tr_class_is_program(turn->agent->class_) ? "program" : "init";
}

/* ---- asking ---- */

static tr_msg *message(tr_agent *agent, tr_slice code) {
  tr_script_class *class_ = tr_script_class_of(agent->class_);
  tr_script *script = class_->script;
  tr_msg *msg = tr_msg_new(script->core, TR_MSG_REQUEST);
  tr_msg_more *more = msg ? tr_msg_get_more(msg) : NULL;
  if (more) more->visit = tr_blob_copy(script->mem, code);
  if (!more || !more->visit) {
    if (msg) tr_msg_unref(msg);
    return NULL;
  }
  msg->type = tr_name_ref(script->get_type);
  msg->target_type = tr_name_ref(tr_class_type(agent->class_));
  msg->target_key = tr_name_ref(agent->key);
  msg->troupe_peer = true;
  msg->priority = TR_PRIORITY_HIGH;
  if (agent->turn) msg->chain = tr_turn_chain(agent->turn); /* it need not wait for that turn's end */
  return msg;
}

tr_call *tr_script_visit(tr_agent *agent, tr_slice code, tr_time deadline, tr_reply_fn fn, void *ud, tr_error *error) {
  const tr_script_class *class_ = tr_script_class_of(agent->class_);
  if (!class_ || tr_script_is_foreign(class_->script) || class_->def->program) {
    tr_error_set(error, TR_EINVALID, "%s/%s is %s: only in agents that come from files Lua can be evaluated",
                 tr_class_type(agent->class_)->text, agent->key->text, class_ && class_->def->program ? "a program" : "not such an agent");
    return NULL;
  }
  tr_msg *msg = message(agent, code);
  tr_core *core = class_->script->core;
  if (msg) msg->deadline = deadline;
  tr_call *call = msg ? tr_core_call(core, msg, fn, ud) : NULL;
  if (!call) tr_error_set(error, TR_EMEMORY, "out of memory");
  return call;
}

void tr_script_unvisit(tr_agent *agent, tr_call *call) {
  const tr_msg *msg = tr_call_request(call);
  for (tr_turn *turn = agent && msg ? agent->turn : NULL; turn; turn = turn->below)
    if (turn->msg == msg && turn->user && strcmp(tr_turn_doing(turn), "computing") == 0) tr_meter_break(turn->user, "given up");
  tr_call_cancel(call);
}

/* ---- completing ---- */

#define COMPLETIONS_MOST 200

typedef struct completing { const tr_agent *agent; tr_slice text; tr_buf *out; unsigned count; } completing;

static bool is_path(char c) {
  return c == '_' || c == '.' || c == ':' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* From the table on the top to what its field `name` is: raw, and then what lies behind it (methods). [-1, +1, m] */
static void step(lua_State *L, tr_slice name) {
  for (int behind = 0; behind < 2; behind++) {
    if (!lua_istable(L, -1)) break;
    lua_pushlstring(L, name.p, name.n);
    if (lua_rawget(L, -2) != LUA_TNIL || behind) {
      lua_remove(L, -2);
      return;
    }
    lua_pop(L, 1);
    if (!luaL_getmetafield(L, -1, "__index")) break;
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
}

static void offer(lua_State *L, completing *c, tr_slice before, tr_slice begun) {
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    tr_slice key;
    if (lua_type(L, -2) != LUA_TSTRING || c->count >= COMPLETIONS_MOST) continue;
    key.p = lua_tolstring(L, -2, &key.n);
    bool name = key.n > 0;
    for (size_t i = 0; i < key.n && name; i++) name = is_path(key.p[i]) && key.p[i] != '.' && key.p[i] != ':';
    if (!name || !tr_slice_starts(key, begun)) continue;
    tr_buf_printf(c->out, "%s\"%.*s%.*s\"", c->count++ ? "," : "", TR_SLICE_ARG(before), TR_SLICE_ARG(key));
  }
}

/* The keys of the table on the top and of what lies behind it. [-1, +0, m] */
static void offer_all(lua_State *L, completing *c, tr_slice before, tr_slice begun) {
  if (lua_istable(L, -1)) {
    offer(L, c, before, begun);
    if (luaL_getmetafield(L, -1, "__index")) {
      if (lua_istable(L, -1)) offer(L, c, before, begun);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

static int complete(lua_State *L, void *ud) {
  completing *c = ud;
  const tr_instance *instance = c->agent->user;
  size_t end = c->text.n, begin = end, dot;
  while (begin > 0 && is_path(c->text.p[begin - 1])) begin--;
  tr_need_stack(L, 20);
  push_env(L, instance);
  if (!lua_istable(L, -1)) return 0;
  bool first = true;
  size_t at = begin;
  for (; (dot = strcspn(c->text.p + at, ".:")) < end - at; at += dot + 1, first = false) {
    tr_slice name = tr_slice_make(c->text.p + at, dot);
    if (first && tr_slice_is(name, "self")) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, instance->class_->script->instances_ref);
      lua_rawgeti(L, -1, c->agent->user_ref);
      lua_getiuservalue(L, -1, 1);
      lua_replace(L, -4);
      lua_pop(L, 2);
    } else {
      step(L, name);
    }
  }
  tr_slice before = tr_slice_make(c->text.p, at), begun = tr_slice_make(c->text.p + at, end - at);
  offer_all(L, c, before, begun);
  for (int i = 0; first && i < 2; i++) {
    tr_slice name = i ? TR_SLICE_LITERAL("ctx") : TR_SLICE_LITERAL("self");
    if (tr_slice_starts(name, begun)) tr_buf_printf(c->out, "%s\"%.*s%.*s\"", c->count++ ? "," : "", TR_SLICE_ARG(before), TR_SLICE_ARG(name));
  }
  return 0;
}

int tr_script_complete(const tr_agent *agent, tr_slice text, tr_buf *out, tr_error *error) {
  const tr_script_class *class_ = tr_script_class_of(agent->class_);
  completing call = { agent, text, out, 0 };
  tr_buf_text(out, "[");
  for (size_t i = 0; i < text.n; i++) /* it comes back in JSON */
    if (text.p[i] == '"' || text.p[i] == '\\' || (unsigned char)text.p[i] < 0x20) class_ = NULL;
  const tr_instance *instance = class_ ? agent->user : NULL;
  int rc = instance ? tr_script_protect(instance->class_->script, complete, &call, error) : 0;
  tr_buf_text(out, "]");
  return rc;
}
