/* SPDX-License-Identifier: MIT
 * `require "luv"`, for scripts that have the right to it: luv, on the loop of the runtime.
 *
 * The runtime brings the library (it is loaded when the first script asks, runtime/luv.c) and the loop. luv is opened once in a state; each
 * file gets a table of its own, in which and in the methods of handles every function goes through `pass` below: it gives
 * each handle and each callback an *owner*, which is the instance whose turn made it, else the one whose callback made it, else the
 * file that is being loaded. So handles are closed when their instance leaves memory, or their file's version is replaced; and what
 * goes wrong in a callback is told with the agent's name, and costs it, not us.
 *
 * Callbacks run out of libuv, between turns: `on_callback` is what luv calls them by. They are bounded as a turn's instructions
 * are, may not wait and have no ctx (ctx:callback sends a message); an error in one is logged and counted, and ends nothing else.
 *
 * Left out is what would take the loop from the runtime (run, stop, walk, loop_close) or begin threads with Lua states that
 * nobody bounds. luv has no idea of a state that ends before its loop does: hence tr_script_luv_close while both are there, and no luv
 * in the states of vm = "own". With several threads there is one loop, the first one's: tr_luv_require. */
#include "script/internal.h"

typedef struct owner { tr_instance *instance; const void *key; } owner; /* a userdata; its user value: { [handle] = true }, weak */

struct tr_luv {
  tr_script_luv given;
  int module_ref, owners_ref, handles_ref; /* owners: { [key] = owner }; handles: { [handle] = owner }, weak */
  owner *current;  /* whose callback runs */
  bool closing;
};

enum { PASS_FUNCTION = 1, PASS_UNIT, PASS_MAKES }; /* upvalues of pass: luv's own; the file's unit, or nil; does it make a handle? */

static const char *const refused_names[] = { "run", "stop", "walk", "loop_close", "loop_configure", "new_thread", "thread_join", "new_work", "queue_work", NULL };

/* ---- owners ---- */

/* Push the owner of this key, made at first use. */
static owner *push_owner(lua_State *L, const tr_luv *luv, const void *key, tr_instance *instance) {
  tr_push_ref(L, luv->owners_ref);
  if (lua_rawgetp(L, -1, key) == LUA_TNIL) {
    lua_pop(L, 1);
    owner *self = lua_newuserdatauv(L, sizeof *self, 1);
    *self = (owner){ instance, key };
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, key);
  }
  lua_remove(L, -2);
  return lua_touserdata(L, -1);
}

/* Whose is what is done now? Pushes an owner, or nil: a method at the top of a file, of a handle that nobody made. */
static void push_current(lua_State *L, const tr_script *script) {
  const tr_luv *luv = script->luv;
  tr_instance *instance = script->running ? script->running->instance : NULL;
  void *unit = lua_touserdata(L, lua_upvalueindex(PASS_UNIT));
  if (instance) push_owner(L, luv, instance, instance);
  else if (luv->current) push_owner(L, luv, luv->current->key, luv->current->instance);
  else if (unit) push_owner(L, luv, unit, NULL);
  else {
    tr_push_ref(L, luv->handles_ref);
    lua_pushvalue(L, 1);
    if (lua_isnil(L, -1)) return;
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
}

/* The handle on the top is this owner's. */
static void take_handle(lua_State *L, const tr_luv *luv, int at) {
  if (lua_type(L, -1) != LUA_TUSERDATA) return;
  lua_getiuservalue(L, at, 1);
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  tr_push_ref(L, luv->handles_ref);
  lua_pushvalue(L, -2);
  lua_pushvalue(L, at);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* ---- what scripts call ---- */

/* A callback with its owner, as luv holds it. Only on_callback looks into it; this is for whoever calls it otherwise. */
static int bound(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int pass(lua_State *L) {
  tr_script *script = tr_script_of(L);
  const tr_luv *luv = script->luv;
  int n = lua_gettop(L);
  bool makes = lua_toboolean(L, lua_upvalueindex(PASS_MAKES));
  if (luv->closing) tr_fail_raise(L, TR_EUNAVAILABLE, "luv: the runtime is ending");
  tr_need_stack(L, 12);
  tr_meter_charge(L, 100);
  push_current(L, script);
  int at = lua_gettop(L);
  for (int i = 1; i <= n; i++) {
    if (!lua_isfunction(L, i) || !lua_isuserdata(L, at)) continue;
    lua_pushvalue(L, i);
    lua_pushvalue(L, at);
    lua_pushcclosure(L, bound, 2);
    lua_replace(L, i);
  }
  lua_insert(L, 1); /* the owner; the arguments; */
  lua_pushvalue(L, lua_upvalueindex(PASS_FUNCTION));
  lua_insert(L, 2);
  lua_call(L, n, LUA_MULTRET);
  int results = lua_gettop(L) - 1;
  if (makes && lua_isuserdata(L, 1)) /* socketpair and pipe give numbers, spawn a handle and a number */
    for (int i = 2; i <= results + 1; i++) {
      lua_pushvalue(L, i);
      take_handle(L, luv, 1);
      lua_pop(L, 1);
    }
  return results;
}

static int refused(lua_State *L) {
  tr_fail_raise(L, TR_EPERMISSION, "luv.%s is not there: the runtime runs the loop, and its handles are on it, too; for other threads, use agents",
                lua_tostring(L, lua_upvalueindex(1)));
  return 0;
}

/* The function on the top becomes one that goes through pass; name at `name`, unit (or 0: none) at `unit`. */
static void wrap(lua_State *L, int unit, const char *name) {
  if (unit && tr_name_in(refused_names, name)) {
    lua_pop(L, 1);
    lua_pushstring(L, name);
    lua_pushcclosure(L, refused, 1);
    return;
  }
  if (unit) lua_pushvalue(L, unit);
  else lua_pushnil(L);
  lua_pushboolean(L, strncmp(name, "new_", 4) == 0 || strcmp(name, "spawn") == 0);
  lua_pushcclosure(L, pass, 3);
}

/* A table of functions (and of constants) into the one on the top: [from, into]. */
static void wrap_all(lua_State *L, int from, int into, int unit) {
  for (lua_pushnil(L); lua_next(L, from);) {
    bool good = lua_type(L, -2) == LUA_TSTRING && (lua_isfunction(L, -1) || lua_istable(L, -1));
    if (good && lua_isfunction(L, -1)) wrap(L, unit, lua_tostring(L, -2));
    else if (good) { /* constants: each file has its own */
      lua_newtable(L);
      for (lua_pushnil(L); lua_next(L, -3);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
      }
      lua_replace(L, -2);
    }
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    if (good) lua_rawset(L, into);
    else lua_pop(L, 2);
  }
}

/* The methods of what luv makes; and no script gets at a metatable, whose __gc frees. */
static void wrap_methods(lua_State *L, const char *name) {
  int top = lua_gettop(L);
  if (luaL_getmetatable(L, name) == LUA_TTABLE) {
    if (lua_getfield(L, -1, "__index") == LUA_TTABLE) {
      lua_newtable(L);
      wrap_all(L, top + 2, top + 3, 0);
      lua_setfield(L, top + 1, "__index");
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, top + 1, "__metatable");
  }
  lua_settop(L, top);
}

/* ---- callbacks ---- */

static void tell(tr_script *script, const owner *whose, const tr_error *error) {
  char agent[200] = "-", times[TR_TALLY_TIMES];
  const tr_script_options *options = &script->options;
  const tr_instance *instance = whose ? whose->instance : NULL;
  if (instance && instance->agent) tr_agent_name(instance->agent, agent, sizeof agent);
  if (instance && options->failed) options->failed(options->ud, instance->def->number);
  if (tr_fail_tell(script, times, "callback.failed %s %d %.200s", instance ? instance->def->type : "-", error->code, error->text))
    tr_log_write(tr_core_log(script->core), TR_LOG_ERROR, "callback.failed", "agent=%s error=\"%s: %s\"%s", agent, tr_error_name(error->code),
                 error->text, times);
}

/* [callback, arguments] */
static int run_callback(lua_State *L) {
  tr_script *script = tr_script_of(L);
  tr_luv *luv = script->luv;
  tr_error error;
  tr_error_init(&error);
  int nargs = lua_gettop(L) - 1;
  luv->current = NULL;
  if (lua_tocfunction(L, 1) == bound) {
    lua_getupvalue(L, 1, 2);
    luv->current = lua_touserdata(L, -1);
    lua_getupvalue(L, 1, 1);
    lua_replace(L, 1); /* the owner stays on the stack, above the function's arguments */
    lua_insert(L, 1);
  } else {
    lua_pushnil(L);
    lua_insert(L, 1);
  }
  const owner *whose = luv->current;
  const tr_instance *instance = whose ? whose->instance : NULL;
  if (instance) script->owner = instance->account;
  int rc = tr_metered_call(L, nargs, "a callback of luv ran", instance ? instance->def->instructions : TR_INSTRUCTIONS, &error);
  script->owner = script->base_owner;
  script->refused = 0;
  if (rc < 0) tell(script, whose, &error);
  return 0;
}

/* luv calls each callback by this: [callback, nargs arguments] → nothing. */
static int on_callback(lua_State *L, int nargs, int nresults, int flags) {
  tr_script *script = tr_script_of(L);
  (void)nresults;
  (void)flags;
  if (script->luv->closing || !lua_checkstack(L, 8)) {
    lua_pop(L, nargs + 1);
    return 0;
  }
  lua_pushcfunction(L, run_callback);
  lua_insert(L, -nargs - 2);
  int status = lua_pcall(L, nargs + 1, 0, 0);
  script->luv->current = NULL;
  if (status == LUA_OK) return 0;
  tr_error error;
  tr_error_init(&error);
  script->owner = script->base_owner;
  script->meter = NULL;
  script->running = NULL;
  script->can_wait = false;
  tr_script_caught(L, status, &error);
  tell(script, NULL, &error); /* out of memory */
  return -status;
}

/* ---- opening ---- */

static int weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* On the main thread, since luv calls back on the one that it was opened on. */
static int open_main(lua_State *L, void *ud) {
  static const char *const kinds[] = { "async", "check", "fs_event", "fs_poll", "idle", "pipe", "poll", "prepare", "process", "tcp", "timer",
                                       "tty", "udp", "signal", "req", "dir", NULL };
  tr_script *script = ud;
  tr_luv *luv = script->luv;
  char name[40];
  tr_need_stack(L, 20);
  luv->given.set_loop(L, luv->given.loop);
  luv->given.set_callback(L, on_callback);
  lua_pushcfunction(L, luv->given.open);
  lua_call(L, 0, 1);
  luv->module_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  luv->owners_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  luv->handles_ref = weak_table(L);
  for (const char *const *kind = kinds; *kind; kind++) {
    snprintf(name, sizeof name, "uv_%s", *kind);
    wrap_methods(L, name);
  }
  return 0;
}

static void open_luv(lua_State *L, tr_script *script, const tr_script_luv *given) {
  tr_error error;
  tr_error_init(&error);
  script->luv = TR_NEW(script->mem, tr_luv);
  if (!script->luv) tr_raise_memory(L);
  *script->luv = (tr_luv){ .given = *given, .module_ref = LUA_NOREF, .owners_ref = LUA_NOREF, .handles_ref = LUA_NOREF };
  tr_meter *meter = script->meter; /* what is opened is not the script's doing */
  script->meter = NULL;
  int rc = tr_script_protect(script, open_main, script, &error);
  script->meter = meter;
  if (!rc) return;
  TR_DELETE(script->mem, script->luv);
  script->luv = NULL;
  if (rc == TR_EMEMORY) tr_raise_memory(L);
  tr_fail_raise_error(L, &error);
}

/* In a thread that has no loop: the file may be loaded there, but its agents live elsewhere. */
static int elsewhere(lua_State *L) {
  tr_fail_raise(L, TR_EINVALID, "luv: with several threads handles are made in handlers, not at the file's top, which runs in each of them");
  return 0;
}

static int push_elsewhere(lua_State *L) {
  (void)lua_tostring(L, 2);
  lua_pushcfunction(L, elsewhere);
  return 1;
}

void tr_luv_require(lua_State *L, tr_unit *unit, int unit_at) {
  tr_script *script = tr_script_of(L);
  const tr_script_outside *outside = script->options.outside;
  tr_script_luv given = { .loop = NULL };
  tr_error error;
  tr_error_init(&error);
  if (!outside || !outside->luv) tr_fail_raise(L, TR_EPERMISSION, "there is no luv here");
  if (outside->luv(outside->ud, script->options.no_loop ? NULL : &given, &error)) tr_fail_raise_error(L, &error);
  if (script->own) tr_fail_raise(L, TR_EINVALID, "luv is not for agents with vm = \"own\": their states end before the loop does");
  if (script->running && !unit->luv && script->options.subscribed)
    tr_fail_raise(L, TR_EINVALID, "with several threads, require \"luv\" at the top of the file: its agents then live in the first one, whose loop it is");
  if (!script->running) unit->luv = true;
  lua_newtable(L);
  if (!given.loop) {
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, push_elsewhere);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    return;
  }
  if (!script->luv) open_luv(L, script, &given);
  int into = lua_gettop(L);
  tr_push_ref(L, script->luv->module_ref);
  wrap_all(L, into + 1, into, unit_at);
  lua_settop(L, into);
}

/* ---- the end of handles ---- */

static void *handle_at(lua_State *L, int at) { return *(void **)lua_touserdata(L, at); }

/* Those of the owner on the top, by luv's own close. */
static void close_handles(lua_State *L, const tr_luv *luv) {
  int top = lua_gettop(L);
  lua_getiuservalue(L, top, 1);
  for (lua_pushnil(L); lua_next(L, top + 1); lua_settop(L, top + 2)) {
    if (!handle_at(L, -2) || luv->given.ends(handle_at(L, -2))) continue;
    tr_push_ref(L, luv->module_ref);
    lua_getfield(L, -1, "close");
    lua_pushvalue(L, -4);
    lua_call(L, 1, 0);
  }
  lua_settop(L, top);
}

typedef struct leave_call { const tr_luv *luv; const void *key; } leave_call;

static int leave_main(lua_State *L, void *ud) {
  const leave_call *call = ud;
  tr_need_stack(L, 16);
  tr_push_ref(L, call->luv->owners_ref);
  if (lua_rawgetp(L, -1, call->key) == LUA_TNIL) return 0;
  owner *self = lua_touserdata(L, -1);
  self->instance = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, 1, call->key);
  close_handles(L, call->luv);
  return 0;
}

void tr_luv_leave(tr_script *script, const void *key) {
  leave_call call = { script->luv, key };
  if (script->luv && key && tr_script_protect(script, leave_main, &call, NULL))
    tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "luv.close", "handles of one that is gone stay open (out of memory)");
}

void tr_luv_leave_unit(tr_script *script, int unit_ref) {
  if (!script->luv || unit_ref == LUA_NOREF || !lua_checkstack(script->L, 4)) return;
  tr_push_ref(script->L, unit_ref);
  const void *unit = lua_touserdata(script->L, -1);
  lua_pop(script->L, 1);
  tr_luv_leave(script, unit);
}

static int close_main(lua_State *L, void *ud) {
  const tr_luv *luv = ud;
  tr_need_stack(L, 16);
  tr_push_ref(L, luv->owners_ref);
  for (lua_pushnil(L); lua_next(L, 1); lua_settop(L, 2)) close_handles(L, luv);
  return 0;
}

void tr_script_luv_close(tr_script *script) {
  if (!script || !script->luv) return;
  script->luv->closing = true;
  tr_script_protect(script, close_main, script->luv, NULL);
}

void tr_luv_free(tr_script *script) {
  if (script->luv) TR_DELETE(script->mem, script->luv);
  script->luv = NULL;
}

static int alive_main(lua_State *L, void *ud) {
  const tr_luv *luv = ud;
  tr_need_stack(L, 8);
  tr_push_ref(L, luv->handles_ref);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
    if (handle_at(L, 2) && luv->given.alive(handle_at(L, 2))) return 1;
  return 0;
}

bool tr_script_luv_alive(tr_script *script) { return script->luv && tr_script_protect(script, alive_main, script->luv, NULL) > 0; }
bool tr_script_has_luv(const tr_script *script) { return script->luv != NULL; }
