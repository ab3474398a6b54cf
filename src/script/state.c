/* SPDX-License-Identifier: MIT
 * One Lua state: made, protected, stepped, closed.
 *
 * The core runs *inside* Lua: tr_script_step enters one lua_pcall for a whole batch of turns, and the class ops then
 * use the main thread's stack freely. An error that no handler's coroutine caught (out of memory, as a rule) lands
 * in that pcall; the core is told to fail the turn it was serving, and the next batch goes on. So a turn costs no
 * pcall of its own.
 *
 * Everything else that touches Lua from outside a batch goes through tr_script_protect. Memory comes from the core's
 * tr_mem, counted, with an optional limit. The collector is generational: with many idle agents the incremental one
 * costs a quarter of the speed.
 *
 * At the stack's bottom of a batch lie the tables that turns use all the time (turn.c: TR_AT_…). To be read next:
 * copy.c, slots.c. */
#include "script/internal.h"

/* Never reached: whatever may raise is called under a pcall. If a bug gets here, Lua aborts when this returns. */
static int on_panic(lua_State *L) {
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
  tr_log_write(tr_core_log(tr_script_of(L)->core), TR_LOG_ERROR, "script.panic", "error=\"%s\"", text);
  return 0;
}

/* Lua's own error, so that there is one kind of it: it needs neither memory nor stack. */
void tr_raise_memory(lua_State *L) {
  if (tr_script_is_foreign(tr_script_of(L))) { /* whose allocator may do anything with the size below */
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
  }
  lua_newuserdatauv(L, SIZE_MAX / 4, 0);
  for (;;) { } /* the allocator refused it */
}

void tr_need_stack(lua_State *L, int slots) {
  if (!lua_checkstack(L, slots)) tr_raise_memory(L);
}

/* --- protection --- */

typedef struct protected_call { int (*fn)(lua_State *L, void *ud); void *ud; int result; } protected_call;

static int protected_main(lua_State *L) {
  protected_call *call = lua_touserdata(L, 1);
  lua_settop(L, 0);
  call->result = call->fn(L, call->ud);
  return 0;
}

/* The error of a failed pcall on the main thread, popped. */
int tr_script_caught(lua_State *L, int status, tr_error *error) {
  tr_error found;
  tr_error_init(&found);
  if (status == LUA_ERRMEM) tr_error_set(&found, TR_EMEMORY, "out of memory");
  else tr_fail_read(L, -1, &found);
  if (found.code == TR_EHANDLER) found.code = TR_EINTERNAL;
  lua_pop(L, 1);
  return tr_error_set(error, found.code, "%s", found.text);
}

int tr_script_protect(tr_script *script, int (*fn)(lua_State *L, void *ud), void *ud, tr_error *error) {
  lua_State *L = script->L;
  protected_call call = { fn, ud, 0 };
  if (!lua_checkstack(L, 8)) return tr_error_set(error, TR_EMEMORY, "out of memory");
  lua_pushcfunction(L, protected_main);
  lua_pushlightuserdata(L, &call);
  tr_script *before = tr_foreign_enter(script);
  int status = lua_pcall(L, 1, 0, 0);
  tr_foreign_leave(script, before);
  return status == LUA_OK ? call.result : tr_script_caught(L, status, error);
}

/* --- stepping --- */

/* The young are collected when what is in use has grown by so many per cent. A small state may wait longer: the work that a collection
 * costs whatever it finds is spread over more messages (3 % of a call). In a large one the young must stay in the cache all the same (a
 * call beside a million idle agents cost 1.7 times as much), but while agents are being made each collection looks at the whole table of
 * them, so it is not a fixed size. */
#define YOUNG_SMALL 50
#define YOUNG_MIDDLE 20
#define YOUNG_LARGE 5
#define YOUNG_HUGE 2

static void look_at_size(lua_State *L, tr_script *script) {
  size_t megabytes = script->used >> 20;
  uint8_t young = megabytes < 2 ? YOUNG_SMALL : megabytes < 16 ? YOUNG_MIDDLE : megabytes < 64 ? YOUNG_LARGE : YOUNG_HUGE;
  if (young == script->young) return;
  script->young = young;
  lua_gc(L, LUA_GCGEN, young, 0);
}

typedef struct step_call { tr_script *script; tr_time now; unsigned turns; int more; bool entered; } step_call;

static int step_main(lua_State *L) {
  step_call *call = lua_touserdata(L, 1);
  tr_script *script = call->script;
  tr_need_stack(L, 64);
  lua_settop(L, 0);
  tr_push_ref(L, script->slots_ref);     /* TR_AT_SLOTS */
  tr_push_ref(L, script->instances_ref); /* TR_AT_INSTANCES */
  tr_push_ref(L, script->types_ref);     /* TR_AT_TYPES */
  look_at_size(L, script);
  call->entered = true;
  call->more = tr_core_step(script->core, call->now, call->turns);
  return 0;
}

/* Not even entering Lua is possible: fail the next turn without it, or nothing would ever move again. */
static int step_starved(tr_script *script, tr_time now) {
  script->starved = true;
  int more = tr_core_step(script->core, now, 1);
  script->starved = false;
  return more;
}

int tr_script_step(tr_script *script, tr_time now, unsigned turns) {
  lua_State *L = script->L;
  step_call call = { script, now, turns, 1, false };
  if (!lua_checkstack(L, 8)) return step_starved(script, now);
  lua_pushcfunction(L, step_main);
  lua_pushlightuserdata(L, &call);
  int status = lua_pcall(L, 1, 0, 0);
  if (status == LUA_OK) {
    if (tr_list_empty(&script->late)) return call.more;
    tr_script_catch_up(script);
    return 1;
  }
  tr_error error;
  tr_error_init(&error);
  script->running = NULL;
  script->owner = script->base_owner;
  script->memory_hard = SIZE_MAX;
  script->meter = NULL;
  script->pause = TR_PAUSE_NONE;
  int code = tr_script_caught(L, status, &error);
  tr_log_write(tr_core_log(script->core), TR_LOG_ERROR, "turn.failed", "error=\"%s: %s\"", tr_error_name(code),
               error.text);
  if (!call.entered) return step_starved(script, now);
  tr_core_recover(script->core, code, error.text);
  return 1;
}

/* --- opening and closing --- */

static int open_state(lua_State *L, void *ud) {
  tr_script *script = ud;
  lua_gc(L, LUA_GCGEN, YOUNG_SMALL, 0);
  tr_slots_open(L, script);
  tr_shards_open(L, script);
  tr_fail_open(L, script);
  tr_bytes_open(L, script);
  tr_unit_open(L);
  tr_address_open(L, script);
  lua_newthread(L);
  script->dummy_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  tr_sandbox_open(L, script);
  tr_library_open(L, script);
  tr_ctx_open(L, script);
  tr_future_open(L, script);
  tr_token_open(L, script);
  tr_placeholder_open(L, script);
  tr_stream_open(L, script);
  return 0;
}

void tr_script_state_close(tr_script *script) {
  if (script->L) lua_close(script->L);
  script->L = NULL;
  tr_slots_close(script);
  tr_accounts_close(script);
  tr_script_free_chunks(script);
}

int tr_script_state_open(tr_script *script, tr_error *error) {
  int rc;
  script->L = tr_accounts_open(script) ? lua_newstate(tr_script_allocate, script) : NULL;
  if (script->L) {
    lua_atpanic(script->L, on_panic);
    lua_checkstack(script->L, 300); /* of the main thread, for good: a batch must be able to begin */
    rc = tr_script_protect(script, open_state, script, error);
  } else {
    rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  if (rc) tr_script_state_close(script);
  return rc;
}

void tr_script_init(tr_script *script, tr_mem *mem) {
  script->mem = mem;
  tr_accounts_init(script);
  script->number = script->last_number = 1;
  tr_list_init(&script->files);
  tr_list_init(&script->no_more.timers);
  tr_list_init(&script->owns);
  tr_list_init(&script->classes);
  tr_list_init(&script->letters);
  tr_list_init(&script->futures);
  tr_list_init(&script->settled);
  tr_list_init(&script->late);
}

tr_script *tr_script_new(const tr_script_options *options, tr_error *error) {
  tr_mem *mem = tr_core_mem(options->core);
  tr_script *script = TR_NEW(mem, tr_script);
  if (!script) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  tr_script_init(script, mem);
  script->options = *options;
  script->core = options->core;
  script->next_sub = options->first_sub;
  script->codecs = options->codecs;
  script->own_codecs = !options->codecs;
  if (script->own_codecs) script->codecs = tr_codecs_new(mem, tr_random_next(tr_core_random(options->core)));
  script->plugged = tr_codecs_count(script->codecs) > 0;
  tr_map_init(&script->saved, mem, 0);
  tr_tally_init(&script->told, mem, 0);
  tr_map_init(&script->sleepers, mem, 0);
  script->saved_limit = (size_t)64 << 20;
  script->get_type = tr_name_new(tr_core_names(script->core), TR_SLICE_LITERAL(TR_GET_TYPE)); /* NULL: nobody can ask */
  if (!script->codecs || tr_script_state_open(script, error)) {
    if (!script->codecs) tr_error_set(error, TR_EMEMORY, "out of memory");
    tr_name_unref(script->get_type);
    if (script->own_codecs) tr_codecs_free(script->codecs);
    TR_DELETE(mem, script);
    return NULL;
  }
  tr_body_ops ops = tr_slots_ops(script);
  tr_core_set_body_ops(script->core, &ops);
  return script;
}

void tr_script_free(tr_script *script) {
  if (!script) return;
  if (script->foreign) tr_foreign_close(script);
  script->closing = true;
  tr_letters_close(script);
  tr_canary_drop(script);
  while (!tr_list_empty(&script->files)) tr_script_file_free(TR_CONTAINER(script->files.next, tr_script_file, all));
  tr_futures_close(script);
  while (!tr_list_empty(&script->classes)) /* retired ones */
    tr_script_class_remove(TR_CONTAINER(script->classes.next, tr_script_class, all));
  tr_owns_close(script);
  tr_saved_fini(script);
  tr_sleepers_fini(script);
  tr_core_set_body_ops(script->core, &tr_slots_gone); /* for what is still queued elsewhere */
  tr_lua_turns_close(script);
  tr_address_close(script);
  tr_script_state_close(script);
  tr_luv_free(script);
  tr_name_unref(script->get_type);
  if (script->own_codecs) tr_codecs_free(script->codecs);
  tr_tally_fini(&script->told);
  tr_free(script->mem, script->locals, script->local_cap * sizeof *script->locals);
  TR_DELETE(script->mem, script);
}
