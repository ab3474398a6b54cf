/* SPDX-License-Identifier: MIT
 * Agents in a Lua state that is not ours: what a program that did `require "troupe"` gives as tables.
 *
 * They are trusted: their functions are the program's own, with its environment, its libraries, its coroutines and its memory.
 * Everything else is as for scripts, and is done by the same code: a *foreign* tr_script whose main thread is one that we made in
 * the program's state. Three things differ.
 *
 * The state is shared with others: it may have several runtimes, and our allocator and extra space are not there. So the script
 * that runs is found through the registry, and every entry sets it (tr_foreign_enter). What all share (the metatables of arrays, bytes,
 * tokens and errors) is kept by a *resident* script that has no core.
 *
 * The core runs inside the protection of the runtime's own state, its *home*; so each turn here has a pcall of its own. Bodies are
 * kept at home as well: the core knows one kind of slots, and a value is walked from one state into the other. Only a body
 * that waits for placeholders stays here, in a slot marked TR_SLOT_LOCAL.
 *
 * The state outlives us: everything that is in its registry is taken out in the end, and futures that the program still
 * holds are emptied. Next: foreign_values.c, state.c. */
#include "script/foreign.h"

#include "core/id.h"
#include "script/internal.h"

typedef struct tr_state { /* a userdata in the registry, one a Lua state */
  tr_mem mem;
  tr_script resident;
  tr_script *current;
} tr_state;

static const char state_key;

static tr_state *state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  tr_state *state = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return state;
}

tr_script *tr_foreign_script(lua_State *L) { return state_of(L)->current; }

tr_script *tr_foreign_enter(tr_script *script) {
  if (!tr_script_is_foreign(script)) return NULL;
  tr_state *state = state_of(script->L);
  tr_script *before = state->current;
  state->current = script;
  return before;
}

void tr_foreign_leave(tr_script *script, tr_script *before) {
  if (tr_script_is_foreign(script)) state_of(script->L)->current = before;
}

bool tr_foreign_in_turn(lua_State *L) { return tr_script_of(L)->running != NULL; }

/* --- opening --- */

static lua_State *main_thread(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *main = lua_tothread(L, -1);
  lua_pop(L, 1);
  return main;
}

static void forget_refs(tr_script *script) {
  int *const refs[] = { &script->slots_ref, &script->instances_ref, &script->agents_ref, &script->topics_ref, &script->types_ref,
                        &script->ctx_ref, &script->future_ref, &script->placeholder_ref, &script->proxy_ref, &script->objects_ref,
                        &script->handle_ref, &script->stream_ref, &script->owners_ref,
                        &script->thread_ref, &script->sandbox_ref, &script->dummy_ref };
  for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
    if (script->L) luaL_unref(script->L, LUA_REGISTRYINDEX, *refs[i]);
    *refs[i] = LUA_NOREF;
  }
}

static void open_resident(lua_State *L) {
  tr_state *state = lua_newuserdatauv(L, sizeof *state, 0);
  memset(state, 0, sizeof *state);
  tr_mem_init(&state->mem);
  tr_script *script = state->current = &state->resident;
  tr_script_init(script, &state->mem);
  script->home = script;
  forget_refs(script);
  script->L = main_thread(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  tr_fail_open(L, script);
  tr_bytes_open(L, script);
  tr_library_open(L, script);
  tr_token_open(L, script);
}

void tr_foreign_open(lua_State *L) {
  luaL_checkstack(L, 20, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key) == LUA_TNIL) open_resident(L);
  lua_pop(L, 1);
  tr_library_push(L);
}

static void open_objects(lua_State *L, tr_script *script) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  script->objects_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int open_script(lua_State *L, void *ud) {
  tr_script *script = ud;
  tr_need_stack(L, 40);
  tr_slots_open(L, script);
  tr_address_open(L, script);
  open_objects(L, script);
  tr_shards_open(L, script);
  *(tr_script **)lua_newuserdatauv(L, sizeof script, 0) = script;
  script->handle_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  tr_ctx_open(L, script);
  tr_future_open(L, script);
  tr_placeholder_open(L, script);
  tr_stream_open(L, script);
  return 0;
}

static int open_thread(lua_State *L) {
  tr_script *script = lua_touserdata(L, 1);
  lua_State *thread = lua_newthread(L);
  script->thread_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  script->L = thread;
  luaL_checkstack(thread, 300, NULL); /* for good: a turn must be able to begin */
  return 0;
}

static void script_free(tr_script *script) {
  forget_refs(script);
  tr_slots_close(script);
  if (script->home->foreign == script) script->home->foreign = NULL;
  TR_DELETE(script->mem, script);
}

int tr_foreign_new(lua_State *L, tr_script *home, tr_error *error) {
  const tr_script *shared = &state_of(L)->resident;
  tr_script *script = TR_NEW(home->mem, tr_script);
  if (!script) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_script_init(script, home->mem);
  script->options = home->options;
  script->core = home->core;
  script->codecs = home->codecs;
  script->plugged = home->plugged;
  script->home = home;
  script->get_type = home->get_type;
  forget_refs(script);
  script->error_ref = shared->error_ref;
  script->bytes_ref = shared->bytes_ref;
  script->array_ref = shared->array_ref;
  script->library_ref = shared->library_ref;
  script->token_ref = shared->token_ref;
  lua_pushcfunction(L, open_thread);
  lua_pushlightuserdata(L, script);
  int rc = lua_pcall(L, 1, 0, 0);
  if (rc) lua_pop(L, 1);
  if (rc) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  else rc = tr_script_protect(script, open_script, script, error);
  if (rc) script_free(script);
  else home->foreign = script;
  return rc;
}

/* --- closing --- */

/* The program may hold futures for as long as it likes. */
static int empty_futures(lua_State *L, void *ud) {
  tr_script *script = ud;
  tr_need_stack(L, 8);
  tr_push_ref(L, script->handle_ref);
  *(tr_script **)lua_touserdata(L, 1) = NULL;
  lua_settop(L, 0);
  tr_push_ref(L, script->objects_ref);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    tr_future **box = lua_touserdata(L, -2), *f = *box;
    *box = NULL;
    if (f) tr_future_unref(f);
  }
  return 0;
}

void tr_foreign_close(tr_script *home) {
  tr_script *script = home->foreign;
  script->closing = true;
  while (!tr_list_empty(&script->files)) tr_script_file_free(TR_CONTAINER(script->files.next, tr_script_file, all));
  tr_futures_close(script);
  while (!tr_list_empty(&script->classes)) /* retired ones */
    tr_script_class_remove(TR_CONTAINER(script->classes.next, tr_script_class, all));
  tr_script_protect(script, empty_futures, script, NULL);
  for (tr_lua_turn *turn = script->free_turns; turn; turn = turn->next) tr_lua_turn_drop(script, turn);
  tr_lua_turns_close(script);
  tr_address_close(script);
  script_free(script);
}

void tr_foreign_handle_push(lua_State *L, const tr_script *script) {
  if (tr_script_is_foreign(script)) tr_push_ref(L, script->handle_ref);
  else lua_pushnil(L);
}

tr_script *tr_foreign_handle_at(lua_State *L, int at) {
  tr_script *const *handle = lua_touserdata(L, at);
  if (!handle) return tr_script_of(L);
  if (!*handle) tr_fail_raise(L, TR_EUNAVAILABLE, "the runtime is closed");
  return *handle;
}

void tr_foreign_future(lua_State *L, tr_script *script) {
  tr_push_ref(L, script->objects_ref);
  lua_pushvalue(L, -2);
  lua_pushboolean(L, 1);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* --- a turn; also of a state of its own (own.c) --- */

typedef struct run_call { tr_script_class *class_; tr_turn *turn; int result; } run_call;

static int run_main(lua_State *L) {
  run_call *call = lua_touserdata(L, 1);
  const tr_script *script = call->class_->script;
  tr_need_stack(L, 64);
  lua_settop(L, 0);
  tr_push_ref(L, script->slots_ref);     /* TR_AT_SLOTS */
  tr_push_ref(L, script->instances_ref); /* TR_AT_INSTANCES */
  tr_push_ref(L, script->types_ref);     /* TR_AT_TYPES */
  call->result = tr_lua_run_on(L, call->class_, call->turn);
  return 0;
}

/* What no coroutine caught: as tr_script_step has it, but it is known whose turn it was. */
static int fail(tr_script *script, tr_turn *turn, int status) {
  tr_error error;
  tr_error_init(&error);
  script->running = NULL;
  script->owner = script->base_owner;
  script->memory_hard = SIZE_MAX;
  script->meter = NULL;
  script->pause = TR_PAUSE_NONE;
  int code = status ? tr_script_caught(script->L, status, &error) : tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (tr_meter_own_refused(script, tr_class_whole(tr_class_ud(turn->agent->class_))->def, "a turn began or ended", &error)) code = error.code;
  tr_log_write(tr_core_log(script->core), TR_LOG_ERROR, "turn.failed", "error=\"%s: %s\"", tr_error_name(code), error.text);
  tr_lua_cancel(tr_class_ud(turn->agent->class_), turn);
  tr_turn_fail(turn, code, error.text);
  return TR_RUN_DONE;
}

int tr_foreign_run(tr_script_class *class_, tr_turn *turn) {
  tr_script *script = class_->script;
  lua_State *L = script->L;
  run_call call = { class_, turn, TR_RUN_DONE };
  if (!lua_checkstack(L, 8)) return fail(script, turn, LUA_OK);
  tr_script *before = tr_foreign_enter(script);
  lua_pushcfunction(L, run_main);
  lua_pushlightuserdata(L, &call);
  int status = lua_pcall(L, 1, 0, 0);
  if (status) call.result = fail(script, turn, status);
  tr_foreign_leave(script, before);
  return call.result;
}

/* --- bodies --- */

typedef struct keep_call { lua_State *from; int at; tr_error *error; } keep_call;

static int keep_main(lua_State *L, void *ud) {
  const keep_call *call = ud;
  tr_need_stack(L, 8);
  return tr_walk_into(call->from, call->at, L, true, call->error);
}

int tr_foreign_keep(lua_State *L, tr_script *script, bool nulls, tr_body *body, tr_error *error) {
  int top = lua_gettop(L);
  keep_call call = { L, top, error };
  tr_script *home = script->home;
  uint32_t slot;
  int rc = tr_slot_make(home, keep_main, &call, &slot, error);
  lua_settop(L, top - 1);
  if (rc) return rc;
  if (nulls) home->slots.next[slot] |= TR_SLOT_NULLS;
  body->kind = TR_BODY_SLOT;
  body->slot = slot;
  return 0;
}

typedef struct fetch_call { lua_State *from; bool keep_nulls; int rc; tr_error *error; } fetch_call;

static int fetch_main(lua_State *L) {
  fetch_call *call = lua_touserdata(L, 1);
  lua_settop(L, 0);
  call->rc = tr_walk_into(call->from, lua_gettop(call->from), L, call->keep_nulls, call->error);
  return call->rc ? 0 : 1;
}

int tr_foreign_fetch(lua_State *L, tr_script *script, uint32_t slot, bool keep_nulls, tr_error *error) {
  lua_State *from = script->home->L;
  fetch_call call = { from, keep_nulls, 0, error };
  if (!lua_checkstack(from, 8) || !lua_checkstack(L, 8)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int top = lua_gettop(from);
  tr_push_ref(from, script->home->slots_ref);
  lua_rawgeti(from, -1, slot);
  lua_pushcfunction(L, fetch_main);
  lua_pushlightuserdata(L, &call);
  int status = lua_pcall(L, 1, 1, 0);
  lua_settop(from, top);
  if (status != LUA_OK) call.rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (call.rc) lua_pop(L, 1);
  return call.rc;
}
