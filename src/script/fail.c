/* SPDX-License-Identifier: MIT
 * Error objects: tables { code, message, agent, type, traceback } that print as `code: message`.
 *
 * What a handler raised is read without running any code of the script (no __tostring, no __index): a table's own
 * fields, or a string. A table whose `code` is a known name keeps it; all else is handler_error. The traceback of a
 * failed turn goes to the log, as one line; peers and callers never see it. */
#include <stdarg.h>

#include "base/text.h"
#include "script/internal.h"

static int to_string(lua_State *L) {
  if (lua_type(L, 1) != LUA_TTABLE) return luaL_argerror(L, 1, "error object expected");
  lua_settop(L, 1);
  lua_pushliteral(L, "code");
  lua_rawget(L, 1);
  lua_pushliteral(L, "message");
  lua_rawget(L, 1);
  const char *code = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "handler_error";
  const char *message = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : "";
  lua_pushfstring(L, "%s: %s", code, message);
  return 1;
}

void tr_fail_open(lua_State *L, tr_script *script) {
  lua_createtable(L, 0, 3);
  lua_pushcfunction(L, to_string);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "troupe.error");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  script->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tr_fail_push(lua_State *L, int code, const char *text, const char *agent, const char *type) {
  tr_need_stack(L, 8);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, tr_error_name(code));
  lua_setfield(L, -2, "code");
  lua_pushstring(L, text && *text ? text : tr_error_default_text(code));
  lua_setfield(L, -2, "message");
  if (agent) {
    lua_pushstring(L, agent);
    lua_setfield(L, -2, "agent");
  }
  if (type) {
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
  }
  luaL_traceback(L, L, NULL, 1);
  lua_setfield(L, -2, "traceback");
  tr_push_ref(L, tr_script_of(L)->error_ref);
  lua_setmetatable(L, -2);
}

void tr_fail_raise(lua_State *L, int code, const char *format, ...) {
  tr_error error;
  va_list args;
  tr_error_init(&error);
  va_start(args, format);
  tr_error_setv(&error, code, format, args);
  va_end(args);
  tr_fail_raise_error(L, &error);
}

void tr_fail_raise_error(lua_State *L, const tr_error *error) {
  tr_fail_push(L, error->code, error->text, NULL, NULL);
  lua_error(L);
  for (;;) { } /* lua_error does not return, but is not declared so */
}

/* --- reading what was raised --- */

/* The string field `name` of the table at `at`; the table keeps it alive. */
static tr_slice text_field(lua_State *L, int at, const char *name) {
  tr_slice text = { NULL, 0 };
  lua_pushnil(L);
  /* lua_getfield would need to make the string `name`, and might raise: look through the few fields there are. */
  for (int i = 0; i < 64 && lua_next(L, at); i++) {
    bool found = lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), name) == 0;
    if (found && lua_type(L, -1) == LUA_TSTRING) text.p = lua_tolstring(L, -1, &text.n);
    if (found) {
      lua_pop(L, 2);
      return text;
    }
    lua_pop(L, 1);
    if (i == 63) lua_pop(L, 1);
  }
  return text;
}

static void read_table(lua_State *L, int at, tr_error *error) {
  tr_slice code = text_field(L, at, "code"), message = text_field(L, at, "message");
  int number = code.p ? tr_error_from_name(code) : 0;
  if (number)
    tr_error_set(error, number, "%.*s", TR_SLICE_ARG(message.p ? message : tr_slice_of(tr_error_default_text(number))));
  else if (code.p && message.p)
    tr_error_set(error, TR_EHANDLER, "%.*s: %.*s", TR_SLICE_ARG(code), TR_SLICE_ARG(message));
  else if (message.p) tr_error_set(error, TR_EHANDLER, "%.*s", TR_SLICE_ARG(message));
  else if (code.p) tr_error_set(error, TR_EHANDLER, "%.*s", TR_SLICE_ARG(code));
  else tr_error_set(error, TR_EHANDLER, "the handler raised a table without code or message");
}

/* Lua has one text for it, also where a script caught it and raised it again. */
static void read_string(const char *text, tr_error *error) {
  if (strcmp(text, "not enough memory") == 0) tr_error_set(error, TR_EMEMORY, "out of memory");
  else tr_error_set(error, TR_EHANDLER, "%s", text);
}

void tr_fail_read(lua_State *L, int at, tr_error *error) {
  at = lua_absindex(L, at);
  tr_error_init(error);
  if (!lua_checkstack(L, 8)) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return;
  }
  switch (lua_type(L, at)) {
  case LUA_TSTRING: read_string(lua_tostring(L, at), error); break;
  case LUA_TTABLE: read_table(L, at, error); break;
  case LUA_TNUMBER: tr_error_set(error, TR_EHANDLER, "%.14g", lua_tonumber(L, at)); break;
  default: tr_error_set(error, TR_EHANDLER, "the handler raised a %s", luaL_typename(L, at)); break;
  }
  /* The text goes to peers: it must be UTF-8 whatever the script put in. */
  if (!tr_utf8_valid(tr_slice_of(error->text)))
    for (char *c = error->text; *c; c++)
      if ((unsigned char)*c >= 0x80) *c = '?';
  if (error->text[0] == 0) {
    int code = error->code;
    tr_error_init(error);
    tr_error_set(error, code, "%s", tr_error_default_text(code));
  }
}

/* --- the log --- */

int tr_fail_line(lua_State *L, lua_Debug *ar) {
  for (int level = 0; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0) return ar->currentline;
  }
  strcpy(ar->short_src, "?");
  return 0;
}

typedef struct log_call {
  lua_State *co;
  const char *event, *agent, *type, *times;
  const tr_error *error;
  const tr_log *log;
} log_call;

/* "\n\t" becomes " | ": a log line is one line. */
static int write_log(lua_State *L, void *ud) {
  log_call *call = ud;
  luaL_traceback(L, call->co, NULL, 0);
  const char *text = lua_tostring(L, -1);
  static const char head[] = "stack traceback:\n\t";
  text += strncmp(text, head, sizeof head - 1) == 0 ? sizeof head - 1 : strlen(text); /* a stack, or nothing */
  text = luaL_gsub(L, text, "\n\t", " | ");
  tr_log_write(call->log, TR_LOG_ERROR, call->event, "agent=%s type=%s error=\"%s: %s\" traceback=\"%s\"%s", call->agent,
               call->type, tr_error_name(call->error->code), call->error->text, text, call->times);
  return 0;
}

bool tr_fail_tell(tr_script *script, char times[TR_TALLY_TIMES], const char *format, ...) {
  char kind[400];
  va_list args;
  va_start(args, format);
  vsnprintf(kind, sizeof kind, format, args);
  va_end(args);
  return tr_tally_tell(&tr_script_home(script)->told, tr_slice_of(kind), times);
}

void tr_fail_log(tr_script *script, lua_State *co, const char *event, const tr_agent *agent, const char *type, const tr_error *error) {
  char name[200], times[TR_TALLY_TIMES];
  lua_Debug ar = { .short_src = "" };
  log_call call = { co, event, name, type, times, error, tr_core_log(script->core) };
  if (!call.log || !call.log->sink) return;
  int line = co ? tr_fail_line(co, &ar) : 0;
  if (!tr_fail_tell(script, times, "%s %.100s %d %s:%d %.60s", event, tr_class_type(agent->class_)->text, error->code, ar.short_src, line,
                    line ? "" : error->text)) /* where there is no line, the text has to do */
    return;
  tr_agent_name(agent, name, sizeof name);
  if (co && !tr_script_protect(script, write_log, &call, NULL)) return;
  tr_log_write(call.log, TR_LOG_ERROR, event, "agent=%s type=%s error=\"%s: %s\"%s", name, type, tr_error_name(error->code),
               error->text, times);
}
