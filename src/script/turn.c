/* SPDX-License-Identifier: MIT
 * A turn in Lua: a coroutine from the pool, started with the handler, resumed after each wait, and given back.
 *
 * A coroutine that ended well is as good as new, so a message costs no new one; the values go straight onto its
 * stack, and there is no C frame of ours below the handler, so a turn costs no pcall. One that ended by an error is
 * closed and thrown away: Lua leaves a thread that was killed inside a hook with its hooks off.
 *
 * What runs is known by script->running, which makes its ctx valid, and script->meter, which bounds it. Waiting is a
 * yield out of a ctx method (tr_lua_pause), pre-emption one out of the hook (limit.c). Each wait has a number that
 * its continuation knows: a coroutine of the script's that is resumed by somebody else's turn is found out.
 *
 * The core may wake a turn for nothing, so continuations look whether what they wait for has come. */
#include "script/internal.h"

/* --- a turn's beginning and end --- */

static tr_lua_turn *open_turn(lua_State *L, tr_turn *turn, tr_instance *instance) {
  tr_script *script = instance->class_->script;
  tr_lua_turn *lt = tr_lua_turn_take(L, script);
  lt->turn = turn;
  lt->instance = instance;
  lt->def = instance->def;
  lt->def->refs++;
  tr_meter_begin(&lt->meter, lt->def, lt->co, &lt->error);
  lt->began = tr_core_now(script->core);
  lt->sent = lt->held = 0;
  lt->call = NULL;
  lt->unhandled = false;
  lt->restored = false;
  lt->received = NULL;
  lt->kept = NULL;
  lt->reply.kind = TR_BODY_NONE;
  tr_list_init(&lt->futures);
  turn->user = lt;
  return lt;
}

static void close_turn(tr_lua_turn *lt) {
  tr_script *script = lt->script;
  tr_futures_leave(lt, tr_turn_failed(lt->turn));
  if (lt->def->idle && lt->turn->kind != TR_TURN_CLOSE) tr_instance_touch(lt->instance);
  lt->turn->user = NULL;
  tr_timer_stop(tr_core_timers(script->core), &lt->timer);
  if (lt->call) tr_call_cancel(lt->call);
  lt->call = NULL;
  if (lt->program) tr_exec_stop(lt);
  if (lt->fetch) tr_http_stop(lt);
  if (lt->looked) tr_looked_free(script, lt);
  if (lt->received) tr_msg_unref(lt->received);
  if (lt->kept) tr_requeue_end(lt);
  if (lt->reply.kind != TR_BODY_NONE) tr_body_release(script->core, &lt->reply);
  tr_name_unref(lt->reply_type);
  lt->reply_type = NULL;
  tr_definition_unref(lt->def);
  if (lt->instance->late) tr_instance_list_late(lt->instance);
  tr_lua_turn_give(script, lt);
}

void tr_lua_cancel(void *class_ud, tr_turn *turn) {
  tr_lua_turn *lt = turn->user;
  (void)class_ud;
  if (!lt) return;
  tr_script *script = lt->script, *before = tr_foreign_enter(script);
  bool program = lt->def->program && turn->kind == TR_TURN_INIT;
  if (lt->call) tr_call_cancel(lt->call);
  lt->call = NULL;
  tr_futures_leave(lt, true);
  if (lua_status(lt->co) == LUA_YIELD) tr_lua_turn_reset(lt->script, lt, &lt->meter);
  else tr_lua_turn_drop(lt->script, lt);
  close_turn(lt);
  if (program) tr_program_over(lt->script, 1);
  tr_foreign_leave(script, before);
}

/* --- how it ended --- */

static TR_COLD void unhandled(tr_script_class *class_, tr_turn *turn) {
  tr_msg *msg = turn->msg;
  char text[300];
  if (msg->kind == TR_MSG_REQUEST) {
    snprintf(text, sizeof text, "%.100s has no handler for `%.100s`", class_->def->type, msg->type->text);
    tr_turn_fail(turn, TR_ECANT_HANDLE, text);
    return;
  }
  class_->script->unhandled++;
  if (tr_script_class_once(class_, "unhandled:", tr_name_view(msg->type)))
    tr_log_write(tr_core_log(class_->script->core), TR_LOG_WARN, "message.unhandled",
                 "agent_type=%s type=%s (told once)",
                 class_->def->type, msg->type->text);
}

static TR_COLD void fail_turn(tr_lua_turn *lt, tr_error *error) {
  tr_turn *turn = lt->turn;
  bool closing = turn->kind == TR_TURN_CLOSE;
  const char *event = closing ? "close.failed" : "init.failed";
  tr_fail_log(lt->script, lt->co, lt->def->program ? "program.failed" : turn->msg ? "handler.failed" : event, turn->agent, tr_turn_what(turn), error);
  const tr_script_options *home = &tr_script_home(lt->script)->options;
  if (!closing && !tr_turn_is_visit(turn)) { /* an operator's mistake is no failure of the agent's */
    if (turn->kind == TR_TURN_MESSAGE) tr_instance_failed(lt->instance, error);
    tr_canary_failed(lt->instance, lt->def->number);
    if (home->failed) home->failed(home->ud, lt->def->number);
  }
  if (turn->kind == TR_TURN_INIT) error->code = TR_ECONSTRUCTION;
  tr_turn_fail(turn, error->code, error->text);
}

/* The coroutine raised, or was killed. */
static TR_COLD int failed(tr_lua_turn *lt, int status) {
  tr_error error;
  tr_error_init(&error);
  bool program = lt->def->program && lt->turn->kind == TR_TURN_INIT;
  if (lt->meter.killed) error = lt->error;
  else if (tr_meter_was_refused(lt, &error)) (void)0;
  else if (status == LUA_ERRMEM) tr_error_set(&error, TR_EMEMORY, "out of memory");
  else tr_fail_read(lt->co, -1, &error);
  fail_turn(lt, &error);
  tr_lua_turn_reset(lt->script, lt, &lt->meter);
  close_turn(lt);
  if (program) tr_program_over(lt->script, 1);
  return TR_RUN_DONE;
}

/* What a program returned, as an exit status; anything that is none is 1, and said. */
static int exit_status(lua_State *L, tr_lua_turn *lt, int count) {
  if (count == 0 || lua_isnil(L, -count)) return 0;
  if (lua_isboolean(L, -count)) return lua_toboolean(L, -count) ? 0 : 1;
  if (lua_isinteger(L, -count)) {
    lua_Integer status = lua_tointeger(L, -count);
    if (status >= 0 && status <= 255) return (int)status;
    tr_log_write(tr_core_log(lt->script->core), TR_LOG_WARN, "program.status",
                 "error=\"it returned %lld; a status is 0 to 255, so 1 is taken\"", (long long)status);
  } else {
    tr_log_write(tr_core_log(lt->script->core), TR_LOG_WARN, "program.status",
                 "error=\"it returned %s; a status is an integer from 0 to 255 (or a boolean), so 1 is taken\"",
                 tr_type_name(L, -count));
  }
  return 1;
}

/* Its state is in memory again. */
static void forget_saved(tr_lua_turn *lt) {
  char id[2 * 4096 + 2];
  tr_agent_name(lt->turn->agent, id, sizeof id);
  tr_saved_remove(lt->script, tr_slice_of(id));
}

/* A turn that handled no message. */
static TR_APART int done_other(lua_State *L, tr_lua_turn *lt, int count) {
  if (lt->def->program) {
    int status = exit_status(L, lt, count);
    close_turn(lt);
    tr_program_over(lt->script, status);
  } else {
    lt->instance->live = true;
    if (lt->restored && lt->def->shard_count) tr_shards_settle(L, lt->instance);
    if (lt->restored) forget_saved(lt);
    close_turn(lt);
  }
  return TR_RUN_DONE;
}

static int done(lua_State *L, tr_lua_turn *lt, int count) {
  tr_turn *turn = lt->turn;
  if (count > 2) {
    lua_pop(lt->co, count - 2);
    count = 2;
  }
  if (count) lua_xmove(lt->co, L, count);
  if (turn->kind != TR_TURN_MESSAGE) return done_other(L, lt, count);
  if (lt->unhandled) unhandled(lt->instance->class_, turn);
  else if (turn->msg->kind == TR_MSG_REQUEST) tr_lua_give_answer(L, lt, count);
  close_turn(lt);
  return TR_RUN_DONE;
}

/* --- running --- */

/* It was good, but its agent keeps more memory than it may. */
static TR_COLD int failed_by_memory(tr_lua_turn *lt, const tr_error *why) {
  tr_error error = *why;
  lua_settop(lt->co, 0);
  fail_turn(lt, &error);
  close_turn(lt);
  return TR_RUN_DONE;
}

/* A reentrant agent goes over to newer code under its open turns; each of those has the methods of its own. */
static TR_COLD void dress(lua_State *L, const tr_lua_turn *lt, const tr_definition *def) {
  tr_instance_push(L, lt->instance->class_, lt->turn->agent);
  lua_getiuservalue(L, -1, 1);
  if (lua_istable(L, -1)) tr_instance_set_methods(L, def);
  lua_pop(L, 2);
}

/* In the frame of who calls it: a yield leaves by longjmp, and then each return up to the core's loop is predicted wrongly (8 ns). */
static TR_INLINE int go_on(lua_State *L, tr_lua_turn *lt, int nargs) {
  tr_script *script = lt->script;
  int count = 0;
  script->running = lt;
  script->meter = &lt->meter;
  script->can_wait = true;
  script->pause = TR_PAUSE_NONE;
  script->active = lt->co;
  script->owner = lt->instance->account;
  script->memory_hard = 2 * lt->def->memory;
  tr_meter_resume(script, &lt->meter);
  bool older = lt->def != lt->instance->def;
  if (older) dress(L, lt, lt->def);
  tr_time begun = tr_script_home(script)->timed ? script->options.clock(script->options.ud) : 0;
  int status = lua_resume(lt->co, L, nargs, &count);
  if (begun) tr_instance_add_time(lt->instance, begun);
  if (older) dress(L, lt, lt->instance->def);
  tr_pause pause = script->pause;
  tr_meter_pause(&lt->meter, pause == TR_PAUSE_SLICE);
  if (pause != TR_PAUSE_SLICE) lt->held = 0;
  if (lt->def->program && pause != TR_PAUSE_SLICE) lt->meter.used = 0; /* it goes on for ever */
  script->memory_hard = SIZE_MAX;
  script->active = NULL;
  script->running = NULL;
  script->meter = NULL;
  script->pause = TR_PAUSE_NONE;
  if (status == LUA_OK && !lt->meter.killed) {
    tr_error error;
    bool small = !script->owner || script->accounts[script->owner].used <= lt->def->memory / 2;
    return small || tr_meter_memory_fine(L, lt, &error) ? done(L, lt, count) : failed_by_memory(lt, &error);
  }
  if (status != LUA_YIELD) {
    tr_meter_memory_tell(L, lt);
    return failed(lt, status);
  }
  if (pause == TR_PAUSE_WAIT) return TR_RUN_WAIT;
  if (pause == TR_PAUSE_FLUSH) tr_turn_flush(lt->turn);
  if (pause == TR_PAUSE_FLUSH && tr_turn_cancelled(lt->turn)) return TR_RUN_WAIT; /* where the core ends it */
  return TR_RUN_YIELD;
}

/* A list of handlers with match functions. [list, self, message, ctx] */
static int list_result(lua_State *L, int status, lua_KContext from) {
  (void)status;
  return lua_gettop(L) - (int)from;
}

static int list_from(lua_State *L, int status, lua_KContext at) {
  (void)status;
  for (bool asked = at > 0;; asked = false) {
    if (!asked) {
      at += 2;
      if (lua_rawgeti(L, 1, at - 1) == LUA_TNIL) break;
      if (lua_toboolean(L, -1)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 4);
        lua_callk(L, 3, 1, at, list_from);
      } else {
        lua_pushboolean(L, 1);
      }
    }
    bool matches = lua_toboolean(L, -1);
    lua_settop(L, 4);
    if (!matches) continue;
    lua_rawgeti(L, 1, at);
    lua_insert(L, 2);
    lua_callk(L, 3, LUA_MULTRET, 1, list_result);
    return list_result(L, LUA_OK, 1);
  }
  tr_script_of(L)->running->unhandled = true;
  return 0;
}

static int run_list(lua_State *L) { return list_from(L, LUA_OK, 0); }

/* [ctx, id, saved value, its version]: make the state by the script's function, put what was saved into it, bring that
 * to the code's version, then call init. Each step may wait. */
static int init_done(lua_State *L, int status, lua_KContext extra) {
  (void)L;
  (void)status;
  (void)extra;
  return 0;
}

static int init_migrated(lua_State *L, int status, lua_KContext extra) {
  tr_lua_turn *lt = tr_script_of(L)->running;
  (void)status;
  (void)extra;
  if (lt->def->init_ref == LUA_NOREF) return 0;
  tr_push_ref(L, lt->def->init_ref);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 1);
  lua_pushboolean(L, lt->restored);
  lua_callk(L, 3, 0, 0, init_done);
  return 0;
}

static int init_restored(lua_State *L, int status, lua_KContext extra) {
  tr_lua_turn *lt = tr_script_of(L)->running;
  lua_Integer from = lua_tointeger(L, 4);
  (void)status;
  (void)extra;
  if (from != lt->def->version) {
    if (lt->def->migrate_ref == LUA_NOREF)
      tr_fail_raise(L, TR_EINVALID, "the saved state is of version %lld, the code of %lld, and there is no `migrate`",
                    (long long)from, (long long)lt->def->version);
    tr_push_ref(L, lt->def->migrate_ref);
    lua_getiuservalue(L, 1, 1);
    if (from == tr_class_whole(lt->instance->class_)->def->version) tr_canary_keep(L, lt->instance, lt->def);
    lua_pushinteger(L, from);
    lua_callk(L, 2, 0, 0, init_migrated);
  }
  return init_migrated(L, LUA_OK, 0);
}

static int restore(lua_State *L, tr_lua_turn *lt) {
  if (lua_tointeger(L, 4) > lt->def->version && lt->def->migrate_ref == LUA_NOREF) /* put out of memory before the code went back */
    tr_fail_raise(L, TR_EINVALID, "the saved state is of version %lld, newer than the code's %lld",
                  (long long)lua_tointeger(L, 4), (long long)lt->def->version);
  lua_getiuservalue(L, 1, 1);
  int self = lua_gettop(L);
  if (lt->def->restore_ref != LUA_NOREF) {
    tr_push_ref(L, lt->def->restore_ref);
    lua_pushvalue(L, self);
    lua_pushvalue(L, 3);
    lua_callk(L, 2, 0, 0, init_restored);
    return init_restored(L, LUA_OK, 0);
  }
  if (!lua_istable(L, 3)) tr_fail_raise(L, TR_EINVALID, "the saved state is %s; there must be a `restore` for that", tr_type_name(L, 3));
  for (lua_pushnil(L); lua_next(L, 3);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, self);
  }
  return init_restored(L, LUA_OK, 0);
}

static int init_state_made(lua_State *L, int status, lua_KContext extra) {
  tr_lua_turn *lt = tr_script_of(L)->running;
  (void)status;
  (void)extra;
  if (lt->def->state_is_function && !lt->instance->has_self) {
    if (lua_type(L, -1) != LUA_TTABLE)
      tr_fail_raise(L, TR_EINVALID, "`state` must return a table, not %s", tr_type_name(L, -1));
    const char *name = tr_instance_set_self(L, lt->instance, 1);
    if (name) tr_fail_raise(L, TR_EINVALID, "`%s` is both a field of the state and a method", name);
  }
  lua_settop(L, 4);
  if (lt->restored && lt->def->shard_count) {
    lua_getiuservalue(L, 1, 1);
    tr_shards_hide(L, lt->instance);
    lua_settop(L, 4);
  }
  return lt->restored ? restore(L, lt) : init_migrated(L, LUA_OK, 0);
}

static int run_init(lua_State *L) {
  tr_lua_turn *lt = tr_script_of(L)->running;
  if (lt->def->state_is_function && !lt->instance->has_self) {
    tr_push_ref(L, lt->def->state_ref);
    lua_pushvalue(L, 2);
    lua_callk(L, 1, 1, 0, init_state_made);
  }
  return init_state_made(L, LUA_OK, 0);
}

static TR_APART int begin_init(lua_State *L, tr_instance *instance, int at, tr_turn *turn) {
  char name[2 * 4096 + 2];
  tr_definition *def = instance->def;
  if (!def->state_is_function && !instance->has_self) tr_instance_make_self(L, instance, at); /* unless it was given ready-made */
  tr_agent_name(turn->agent, name, sizeof name);
  const tr_saved *saved = tr_saved_find(instance->class_->script, tr_slice_of(name));
  if (!saved && def->shard_count) tr_shards_forget(instance->class_->script, tr_slice_of(name), def); /* of one before it */
  if (!saved && !def->state_is_function && def->init_ref == LUA_NOREF) {
    instance->live = true;
    return -1;
  }
  tr_lua_turn *lt = open_turn(L, turn, instance);
  lt->restored = saved != NULL;
  lua_pushcfunction(L, run_init);
  lua_pushvalue(L, at);
  lua_pushstring(L, name);
  tr_error_init(&lt->error);
  if (!saved) {
    lua_settop(L, lua_gettop(L) + 2);
  } else if (tr_decode_native(L, tr_saved_bytes(saved), true, &lt->error)) {
    tr_error error = lt->error;
    fail_turn(lt, &error);
    close_turn(lt);
    return -1;
  } else {
    lua_pushinteger(L, saved->version);
  }
  lua_xmove(L, lt->co, 5);
  return 4;
}

static TR_APART int begin_close(lua_State *L, tr_instance *instance, int at, tr_turn *turn) {
  if (instance->def->close_ref == LUA_NOREF || !instance->has_self) return -1;
  tr_lua_turn *lt = open_turn(L, turn, instance);
  tr_push_ref(L, lt->def->close_ref);
  lua_getiuservalue(L, at, 1);
  lua_pushvalue(L, at);
  lua_pushstring(L, tr_close_why_name((tr_close_why)turn->agent->close_why));
  lua_xmove(L, lt->co, 4);
  return 3;
}

static TR_APART int begin_program(lua_State *L, tr_instance *instance, int at, tr_turn *turn) {
  const tr_script_file *file = instance->class_->file;
  tr_lua_turn *lt = open_turn(L, turn, instance);
  tr_push_ref(L, lt->def->table_ref);
  lua_pushvalue(L, at);
  lua_createtable(L, (int)file->argc, 0);
  for (size_t i = 0; i < file->argc; i++) {
    lua_pushstring(L, file->args[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_xmove(L, lt->co, 3);
  return 2;
}

static int begin_message(lua_State *L, tr_instance *instance, int at, tr_turn *turn) {
  tr_msg *msg = turn->msg;
  const tr_definition *def = instance->def;
  if (msg->type == instance->class_->script->get_type) { /* it is ready: that is all the answer */
    if (!instance->has_self) tr_instance_make_self(L, instance, at);
    return msg->more && msg->more->visit ? tr_visit_begin(L, instance, at, open_turn(L, turn, instance)) : -1;
  }
  const tr_handler *handler = tr_handlers_find(def, msg);
  if (!handler) {
    unhandled(instance->class_, turn);
    return -1;
  }
  if (def->schemas && !tr_contract_received(L, instance, turn)) return -1;
  if (!instance->has_self) {
    tr_instance_make_self(L, instance, at);
    instance->live = true;
  }
  tr_lua_turn *lt = open_turn(L, turn, instance);
  if (def->requeue) tr_requeue_begin(lt);
  if (handler->list) lua_pushcfunction(L, run_list);
  tr_push_ref(L, handler->ref);
  lua_getiuservalue(L, at, 1);
  tr_error_init(&lt->error);
  int rc = msg->refs == 1 ? tr_body_take(L, &msg->body, TR_AT_SLOTS, def->nulls_keep, &lt->error)
                          : tr_body_push(L, &msg->body, def->nulls_keep, &lt->error);
  if (rc) {
    tr_error error = lt->error;
    if (rc == TR_EMEMORY) tr_meter_own_refused(lt->script, def, "its message was taken in", &error);
    if (rc == TR_EMEMORY) fail_turn(lt, &error);
    else tr_contract_refuse(turn, &error); /* it cannot be read: no failure of the agent's */
    close_turn(lt);
    return -1;
  }
  lua_pushvalue(L, at);
  int nargs = handler->list ? 4 : 3;
  lua_xmove(L, lt->co, nargs + 1);
  return nargs;
}

/* The number of arguments on the new coroutine, or -1: it is over already. */
static int begin(lua_State *L, tr_script_class *class_, tr_turn *turn) {
  tr_instance *instance = turn->agent->user;
  bool divided = class_->canary != NULL;
  if (divided && tr_canary_refuses(class_, turn)) return -1;
  if (instance) lua_rawgeti(L, TR_AT_INSTANCES, turn->agent->user_ref);
  else instance = tr_instance_push(L, class_, turn->agent);
  int at = lua_gettop(L);
  class_->script->owner = instance->account;
  if ((instance->def != class_->def || divided) && !(turn->below && tr_turn_is_visit(turn))) tr_instance_adopt(L, instance, at); /* a console waits for nobody */
  if (instance->def->program) {
    if (turn->kind == TR_TURN_INIT) return begin_program(L, instance, at, turn);
    unhandled(class_, turn);
    return -1;
  }
  if (instance->def->idle && turn->kind != TR_TURN_CLOSE) tr_instance_touch(instance);
  if (turn->kind == TR_TURN_CLOSE) return begin_close(L, instance, at, turn);
  return turn->kind == TR_TURN_INIT ? begin_init(L, instance, at, turn) : begin_message(L, instance, at, turn);
}

static TR_COLD int fail_starved(void *class_ud, tr_turn *turn) {
  tr_lua_cancel(class_ud, turn);
  tr_turn_fail(turn, TR_EMEMORY, NULL);
  return TR_RUN_DONE;
}

static TR_INLINE int run_on(lua_State *L, tr_script_class *class_, tr_turn *turn) {
  int top = lua_gettop(L), nargs = 0, result = TR_RUN_DONE;
  if (!turn->user) nargs = begin(L, class_, turn);
  if (nargs >= 0) result = go_on(L, turn->user, nargs);
  lua_settop(L, top);
  class_->script->owner = class_->script->base_owner;
  return result;
}

int tr_lua_run_on(lua_State *L, tr_script_class *class_, tr_turn *turn) { return run_on(L, class_, turn); }

int tr_lua_run(void *class_ud, tr_turn *turn) {
  tr_script_class *class_ = class_ud;
  if (class_->script->starved) return fail_starved(class_ud, turn);
  if (class_->script->home) return tr_foreign_run(class_, turn);
  if (class_->def->own) return tr_own_run(class_, turn);
  return run_on(class_->script->L, class_, turn);
}

/* --- waiting --- */

void tr_lua_check_wait(lua_State *L) {
  const tr_script *script = tr_script_of(L);
  if (tr_script_is_foreign(script) && script->running && L != script->running->co)
    tr_fail_raise(L, TR_EINVALID, "cannot wait here: inside a coroutine (agents given as tables have Lua's own coroutines)");
  if (!script->can_wait || !lua_isyieldable(L))
    tr_fail_raise(L, TR_EINVALID,
                  "cannot wait here: inside a function that C calls (of table.sort, string.gsub, a metamethod or __close)");
}

int tr_lua_pause(lua_State *L, tr_pause pause, lua_KFunction k) {
  tr_lua_check_wait(L);
  return tr_lua_suspend(L, tr_script_of(L), pause, k);
}

int tr_lua_suspend(lua_State *L, tr_script *script, tr_pause pause, lua_KFunction k) {
  tr_meter_wait(L, script);
  script->running->wait = ++script->waits;
  script->pause = pause;
  return lua_yieldk(L, 0, (lua_KContext)script->running->wait, k);
}

tr_lua_turn *tr_lua_resumed(lua_State *L, lua_KContext wait) {
  tr_lua_turn *lt = tr_script_of(L)->running;
  if (!lt || (lua_KContext)lt->wait != wait)
    tr_fail_raise(L, TR_EINVALID, "a coroutine that waits in one turn was resumed in another");
  return lt;
}
