/* SPDX-License-Identifier: MIT
 * Futures: calls that go on while their turn does other things. Placeholders (placeholder.c) are futures that Lua code reads as if they were
 * the value.
 *
 * A future is two things: what Lua holds, a userdata with the value as its user value once somebody read it, and the tr_future behind it,
 * which lives until both that is collected and the call has ended. It belongs to the turn that made it. A turn that fails or is
 * cancelled takes its open futures with it; one that ends well leaves them to themselves, and if such a call fails the log says so.
 *
 * A call whose arguments hold placeholders that are not there yet waits for them: each is an edge from what is needed to who needs it.
 * A circle cannot come about: arguments are copied when the call is made, so it needs only what was made before it. When the last
 * edge is settled the body is copied once more, with the values in the place of the placeholders, and the call goes out. The
 * answer of a handler that returned a placeholder is a future as well, one that answers a request instead of calling.
 *
 * What comes back from another process may be only where the result is: kept.c.
 *
 * Settling one may settle others: that is a queue (script->settled), not a recursion, since a script may chain a million. */
#include <stdio.h>

#include "base/text.h"
#include "script/internal.h"

#define BACKOFF TR_MILLISECONDS(50)
#define WANT_DEPTH 100

static void on_reply(void *ud, tr_call *call, tr_reply *reply);

/* --- life --- */

/* What one is charged to its agent as memory: itself, its message, and the call. */
#define COST (sizeof(tr_future) + sizeof(tr_msg) + 256)

tr_future *tr_future_new(lua_State *L, tr_lua_turn *lt, int meta_ref) {
  tr_script *script = lt->script;
  tr_need_stack(L, 6);
  tr_future **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = NULL;
  tr_push_ref(L, meta_ref);
  lua_setmetatable(L, -2);
  if (tr_script_is_foreign(script)) tr_foreign_future(L, script);
  tr_future *f = TR_NEW(script->mem, tr_future);
  if (!f) tr_raise_memory(L);
  *box = f;
  f->refs = 1;
  f->owner = tr_account_charge(script, COST);
  f->script = script;
  f->turn = lt;
  f->nulls_keep = lt->def->nulls_keep;
  f->asker = tr_name_ref(tr_class_type(lt->turn->agent->class_));
  f->asker_key = tr_name_ref(lt->turn->agent->key);
  tr_list_init(&f->dependents);
  tr_list_push(&lt->futures, &f->by_turn);
  return f;
}

static void release_edges(tr_future *f) {
  for (tr_edge *edge; (edge = f->needs);) {
    f->needs = edge->next;
    tr_link_remove(&edge->link);
    edge->need->users--;
    tr_future_let_go(edge->need);
    tr_future_unref(edge->need);
    TR_DELETE(f->script->mem, edge);
  }
}

static void tell_failure(tr_future *f) {
  if (!f->code || f->read || f->script->closing || f->code == TR_ECANCELLED) return;
  char times[TR_TALLY_TIMES];
  f->read = true;
  if (!tr_fail_tell(f->script, times, "future.failed %.100s %d %.100s %.100s", f->asker->text, f->code, f->agent->text, f->type->text)) return;
  tr_log_write(tr_core_log(f->script->core), TR_LOG_WARN, "future.failed",
               "agent=%s/%s called=%s/%s type=%s error=\"%s: %s\" (nobody read it)%s", f->asker->text, f->asker_key->text,
               f->agent->text, f->key->text, f->type->text, tr_error_name(f->code), f->error ? f->error : "", times);
}

static void drop_messages(tr_future *f) {
  tr_msg *msg = f->msg, *request = f->request;
  f->msg = f->request = NULL;
  if (request && request->holder == &f->holder) request->holder = NULL;
  if (msg) tr_msg_unref(msg);
  if (request) tr_msg_unref(request);
}

void tr_future_unref(tr_future *f) {
  tr_script *script = f->script;
  if (--f->refs > 0) return;
  tell_failure(f);
  release_edges(f);
  tr_link_remove(&f->by_turn);
  tr_link_remove(&f->by_token);
  drop_messages(f);
  tr_future_release(f);
  tr_body_release(script->core, &f->reply);
  if (f->parts) tr_stream_free(f);
  tr_name *const held[] = { f->reply_type, f->agent, f->key, f->type, f->asker, f->asker_key, f->from, f->from_key,
                            f->from_type };
  for (size_t i = 0; i < sizeof held / sizeof *held; i++) tr_name_unref(held[i]);
  tr_free(script->mem, f->error, f->error_size);
  tr_account_discharge(script, f->owner, COST);
  TR_DELETE(script->mem, f);
}

static tr_edge *add_edge(tr_future *f, tr_future *need) {
  tr_edge *edge = TR_NEW(f->script->mem, tr_edge);
  if (!edge) return NULL;
  edge->to = f;
  edge->need = need;
  edge->next = f->needs;
  f->needs = edge;
  need->refs++;
  need->users++;
  need->read = true; /* its failure will be that of this one */
  return edge;
}

bool tr_future_need(tr_future *f, tr_future *need) {
  tr_edge *edge = add_edge(f, need);
  if (!edge) return false;
  tr_list_push(&need->dependents, &edge->link);
  f->missing++;
  return true;
}

bool tr_future_refer(tr_future *f, tr_future *need) {
  f->held = true;
  return add_edge(f, need);
}

/* --- settling --- */

static void settle(tr_future *f, int code, tr_slice text, tr_name *type, tr_body *body);

static void settle_text(tr_future *f, int code, const char *text) {
  settle(f, code, tr_slice_of(text), NULL, NULL);
}

void tr_future_take_error(tr_future *f, tr_slice text) {
  f->error = tr_strndup(f->script->mem, text.p ? text.p : "", text.n);
  f->error_size = f->error ? text.n + 1 : 0;
}

const char *tr_future_error(const tr_future *f, bool where, char out[TR_ERROR_TEXT]) {
  const tr_name *agent = f->from ? f->from : f->agent, *key = f->from ? f->from_key : f->key;
  const char *text = f->error && *f->error ? f->error : tr_error_default_text(f->code);
  if (!where || !agent) snprintf(out, TR_ERROR_TEXT, "%s", text);
  else snprintf(out, TR_ERROR_TEXT, "%.250s (from %.70s/%.70s, %.70s)", text, agent->text, key->text,
                (f->from ? f->from_type : f->type)->text);
  out[tr_utf8_cut(tr_slice_of(out), TR_ERROR_TEXT - 1)] = 0;
  return out;
}

/* What it needed failed. */
static void fail_by(tr_future *f, const tr_future *cause) {
  char text[TR_ERROR_TEXT];
  f->from = tr_name_ref(cause->from ? cause->from : cause->agent);
  f->from_key = tr_name_ref(cause->from ? cause->from_key : cause->key);
  f->from_type = tr_name_ref(cause->from ? cause->from_type : cause->type);
  if (f->request) tr_msg_fail(f->request, cause->code, tr_future_error(cause, true, text));
  settle_text(f, cause->code, tr_future_error(cause, false, text));
}

typedef struct fill_call { tr_future *f; unsigned held; tr_error error; } fill_call;

static int fill(lua_State *L, void *ud) {
  fill_call *call = ud;
  tr_future *f = call->f;
  tr_body *body = f->request ? &f->reply : &f->msg->body, filled;
  tr_body_with with = { .refs = tr_future_takes_refs(f) };
  tr_push_ref(L, f->script->slots_ref);
  lua_rawgeti(L, 1, tr_slot_here(f->script, body->slot));
  int rc = tr_body_from_with(L, 2, 1, "body", &with, &filled, &call->error);
  call->held = with.held;
  if (rc) return rc;
  if (!f->request) {
    filled.format = body->format;
    filled.serializer = body->serializer;
    rc = tr_body_encode(f->script, tr_name_view(f->msg->type), &filled, &call->error);
  }
  tr_body_release(f->script->core, rc ? &filled : body);
  if (!rc) *body = filled;
  return rc;
}

static void begin(tr_future *f, bool in_turn);

/* Of an answer's type: that of the only placeholder in it. */
static tr_name *passed_type(const tr_future *f) { return f->needs ? f->needs->need->reply_type : NULL; }

void tr_future_go(tr_future *f) {
  fill_call call = { .f = f };
  tr_msg *request = f->request;
  tr_error_init(&call.error);
  int rc = tr_script_protect(f->script, fill, &call, NULL);
  if (rc) {
    const char *text = call.error.code ? call.error.text : tr_error_default_text(rc);
    if (request) tr_msg_fail(request, rc, text);
    settle_text(f, rc, text);
  } else if (request) {
    tr_reply reply = { .type = f->pass_type ? passed_type(f) : f->reply_type, .body = f->reply };
    f->reply.kind = TR_BODY_NONE;
    if (f->nothing) {
      tr_body_release(f->script->core, &reply.body);
      reply.body.kind = TR_BODY_NULL;
    }
    if (tr_reply_asks(f->script, request) && tr_reply_encode(f->script, request, reply.type, &reply.body, &call.error)) {
      reply.code = call.error.code;
      reply.error = tr_slice_of(call.error.text);
    }
    tr_msg_answer(request, &reply);
    settle(f, 0, tr_slice_of(""), NULL, NULL);
  } else {
    f->held = call.held > 0;
    if (call.held > TR_REFS_MOST) f->content = true;
    begin(f, false);
  }
}

void tr_future_tell(tr_future *f) {
  tr_link later;
  tr_list_init(&later);
  for (tr_link *link; (link = tr_list_pop(&f->dependents));) {
    tr_future *to = TR_CONTAINER(link, tr_edge, link)->to;
    if (to->settled || !tr_link_in(&to->open)) continue; /* or it was never begun */
    if (tr_future_away(f) && !tr_future_takes_refs(to)) {
      tr_list_push(&later, link);
      continue;
    }
    to->refs++;
    if (f->code) fail_by(to, f);
    else if (--to->missing == 0) tr_future_go(to);
    tr_future_unref(to);
  }
  bool wanted = !tr_list_empty(&later);
  for (tr_link *link; (link = tr_list_pop(&later));) tr_list_push(&f->dependents, link);
  if (wanted || (f->reading && tr_future_away(f))) tr_future_fetch(f);
}

/* It was cancelled, and with it go the calls that only it needs and whose turn is over. They are put behind it in script->settled. */
static void cancel_needs(const tr_future *f) {
  for (const tr_edge *edge = f->needs; edge; edge = edge->next)
    if (edge->need->users == 1 && !edge->need->turn) tr_future_cancel(edge->need);
}

static void deliver(tr_future *f) {
  tr_future_tell(f);
  if (f->code == TR_ECANCELLED) cancel_needs(f);
  if (!f->turn) tell_failure(f);
  release_edges(f);
  tr_future_let_go(f);
  tr_future_unref(f); /* of the open one */
}

static void settle(tr_future *f, int code, tr_slice text, tr_name *type, tr_body *body) {
  tr_script *script = f->script;
  if (f->settled) return;
  f->settled = true;
  f->order = ++script->settles;
  f->code = code;
  if (code) tr_future_take_error(f, text);
  else if (body) {
    f->reply = *body;
    body->kind = TR_BODY_NONE;
    f->reply_type = tr_name_ref(type);
  }
  tr_timer_stop(tr_core_timers(script->core), &f->timer);
  if (tr_future_away(f)) tr_future_hold(f);
  tr_link_remove(&f->by_token);
  drop_messages(f);
  if (f->turn && f->watched) tr_turn_wake(f->turn->turn);
  if (!tr_link_in(&f->open)) return; /* settled before it was opened */
  tr_link_remove(&f->open);
  tr_list_push(&script->settled, &f->open);
  if (script->settling) return;
  script->settling = true;
  for (tr_link *link; (link = tr_list_pop(&script->settled));) {
    link->next = NULL;
    deliver(TR_CONTAINER(link, tr_future, open));
  }
  script->settling = false;
}

void tr_future_cancel(tr_future *f) {
  if (f->fetch) tr_future_fetch_stop(f);
  if (f->settled) return;
  tr_call *call = f->call;
  f->call = NULL;
  if (call) tr_call_cancel(call);
  settle_text(f, TR_ECANCELLED, "the call was cancelled");
}

/* --- calling --- */

static void send(tr_future *f, bool in_turn) {
  tr_core *core = f->script->core;
  tr_msg *msg = f->msg;
  if (f->attempt == 0 && f->timeout != TR_NEVER && tr_core_now(core) + f->timeout < f->deadline)
    f->deadline = tr_core_now(core) + f->timeout;
  tr_error error;
  tr_error_init(&error);
  int rc = 0;
  /* Every attempt is a copy, the last one too: the copies have the message's id, by which they are known for the same request. */
  if (f->retries || f->attempt || f->held) msg = tr_msg_again(f->msg, !f->held);
  else f->msg = NULL;
  if (msg && f->held && (rc = tr_future_refer_body(f, msg, &error))) {
    tr_msg_unref(msg);
    msg = NULL;
  }
  if (msg) {
    tr_turn *turn = f->turn ? f->turn->turn : NULL;
    msg->deadline = f->deadline;
    if (f->keeps && !f->reading) tr_future_ask_keep(f, msg, in_turn);
    f->call = in_turn ? tr_turn_call(turn, msg, on_reply, f) : tr_turn_call_now(turn, msg, on_reply, f);
  } else {
    f->call = NULL;
  }
  if (f->call && f->parts) tr_call_on_part(f->call, tr_stream_part);
  if (f->call) tr_call_background(f->call, !f->wanted);
  else if (rc && rc != TR_EMEMORY) settle_text(f, rc, error.text);
  else settle_text(f, TR_EMEMORY, "out of memory");
}

static void begin(tr_future *f, bool in_turn) {
  if (f->held && !tr_future_takes_refs(f)) tr_future_fetch_needs(f);
  else send(f, in_turn);
}

static void time_to_retry(tr_timer *timer) { send(TR_CONTAINER(timer, tr_future, timer), false); }

/* 50 ms, doubled each time, half of it at random; never past the deadline. */
static bool retry(tr_future *f, int code) {
  tr_core *core = f->script->core;
  if ((code != TR_EUNAVAILABLE && code != TR_EOVERLOADED) || f->retries == 0) return false;
  tr_time step = BACKOFF << (f->attempt < 7 ? f->attempt : 7);
  tr_time when = tr_core_now(core) + step / 2 + (tr_time)(tr_random_next(tr_core_random(core)) % (uint64_t)step);
  if (when >= f->deadline) return false;
  f->retries--;
  f->attempt++;
  tr_timer_start(tr_core_timers(core), &f->timer, when, time_to_retry);
  return true;
}

static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  tr_future *f = ud;
  (void)call;
  f->call = NULL;
  f->asked = NULL;
  if (reply->unresolved && f->held && !f->content) {
    f->content = true;
    tr_future_fetch_needs(f);
    return;
  }
  if (reply->code && retry(f, reply->code)) return;
  settle(f, reply->code, reply->error, reply->type, &reply->body);
}

/* From now on it is found by the script, and lives until it is settled. */
static void open_future(tr_future *f) {
  tr_list_push(&f->script->futures, &f->open);
  f->refs++;
}

void tr_future_start(tr_future *f, tr_msg *msg, unsigned retries) {
  tr_turn *turn = f->turn->turn;
  tr_core *core = f->script->core;
  f->msg = msg;
  f->agent = tr_name_ref(msg->target_type);
  f->key = tr_name_ref(msg->target_key);
  f->type = tr_name_ref(msg->type);
  f->timeout = msg->deadline == TR_NEVER ? TR_NEVER : msg->deadline - tr_core_now(core);
  f->deadline = turn->deadline;
  f->retries = retries;
  if (retries && tr_msg_get_more(msg)) { /* without memory it may be handled twice */
    msg->more->token[0] = tr_random_next(tr_core_random(core)) | 1;
    msg->more->token[1] = tr_random_next(tr_core_random(core));
  }
  msg->sender_type = tr_name_ref(f->asker);
  msg->sender_key = tr_name_ref(f->asker_key);
  msg->chain = tr_turn_chain(turn);
  open_future(f);
  if (f->missing == 0) begin(f, true);
}

/* Whoever asked has given up: so are the calls that only this answer needs. */
static void asker_gave_up(tr_holder *holder, tr_msg *request) {
  tr_future *f = TR_CONTAINER(holder, tr_future, holder);
  request->reply_to.answer = NULL;
  settle_text(f, TR_ECANCELLED, "the call was cancelled");
}

static const tr_holder_ops holder_ops = { .cancel = asker_gave_up };

void tr_future_answer(tr_future *f, tr_msg *request, tr_name *type) {
  f->request = tr_msg_ref(request);
  f->holder.ops = &holder_ops;
  request->holder = &f->holder;
  f->reply_type = tr_name_ref(type);
  f->agent = tr_name_ref(f->asker);
  f->key = tr_name_ref(f->asker_key);
  f->type = tr_name_ref(request->type);
  f->read = true; /* the caller hears of it */
  open_future(f);
  if (f->held) tr_future_fetch_needs(f);
}

/* --- with its turn --- */

void tr_futures_leave(tr_lua_turn *lt, bool failed) {
  for (tr_link *link = lt->futures.next; link != &lt->futures; link = link->next)
    TR_CONTAINER(link, tr_future, by_turn)->turn = NULL; /* all, before one that settles wakes it for another */
  for (tr_link *link; (link = tr_list_pop(&lt->futures));) {
    tr_future *f = TR_CONTAINER(link, tr_future, by_turn);
    link->next = NULL;
    f->refs++;
    if (failed) f->read = true;
    if (f->settled) tell_failure(f);
    else if (failed || f->parts) tr_future_cancel(f); /* nobody can read a stream any more */
    if (!f->settled && !tr_link_in(&f->open)) release_edges(f); /* it was never begun */
    tr_future_let_go(f);
    tr_future_unref(f);
  }
}

void tr_futures_close(tr_script *script) {
  for (tr_link *link = script->futures.next; link != &script->futures; link = link->next)
    release_edges(TR_CONTAINER(link, tr_future, open));
  while (!tr_list_empty(&script->futures)) tr_future_cancel(TR_CONTAINER(script->futures.next, tr_future, open));
}

/* --- what Lua sees --- */

tr_future *tr_future_at(lua_State *L, int at) {
  const tr_script *script = tr_script_of(L);
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return NULL;
  tr_push_ref(L, script->future_ref);
  tr_push_ref(L, script->placeholder_ref);
  bool is = lua_rawequal(L, -3, -2) || lua_rawequal(L, -3, -1);
  lua_pop(L, 3);
  return is ? *(tr_future **)lua_touserdata(L, at) : NULL;
}

bool tr_placeholder_is(lua_State *L, int at) {
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return false;
  tr_push_ref(L, tr_script_of(L)->placeholder_ref);
  bool same = lua_rawequal(L, -2, -1);
  lua_pop(L, 2);
  return same;
}

tr_future *tr_future_check(lua_State *L, int at) {
  tr_future *f = tr_future_at(L, at);
  const tr_lua_turn *running = tr_script_of(L)->running;
  if (!f) tr_fail_raise(L, TR_EINVALID, "a future expected, not %s (call its methods with a colon: future:await)",
                        tr_type_name(L, at));
  if (!f->turn) tr_fail_raise(L, TR_EINVALID, "a future or placeholder was used after its turn had ended");
  if (f->turn != running) tr_fail_raise(L, TR_EINVALID, "a future or placeholder was used outside its turn");
  return f;
}

static void want(tr_future *f, unsigned depth) {
  if (f->wanted || f->settled || depth > WANT_DEPTH) return; /* past that a circle ends at its deadline */
  f->wanted = true;
  if (f->call) tr_call_background(f->call, false);
  for (tr_edge *edge = f->needs; edge; edge = edge->next) want(edge->need, depth + 1);
}

void tr_future_watch(tr_future *f, bool wanted) {
  f->watched = f->reading = true;
  if (tr_future_away(f)) tr_future_fetch(f);
  else if (f->asked && !f->users && f->turn->wait == f->asked_at) f->asked->more->keep_ms = 0; /* it has not gone out yet */
  if (wanted) want(f, 0);
}

void tr_future_unwatch(tr_future *f) {
  f->watched = f->wanted = false;
  if (f->call) tr_call_background(f->call, true);
}

int tr_future_push_value(lua_State *L, int at, tr_future *f) {
  tr_error error;
  at = lua_absindex(L, at);
  if (f->has_value) {
    lua_getiuservalue(L, at, 1);
    return 0;
  }
  tr_error_init(&error);
  tr_push_ref(L, f->script->slots_ref);
  int rc = tr_body_take(L, &f->reply, lua_gettop(L), f->nulls_keep, &error);
  if (rc) {
    lua_pop(L, 1);
    f->code = rc;
    tr_future_take_error(f, tr_slice_of(error.text));
    return rc;
  }
  lua_remove(L, -2);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, at, 1);
  f->has_value = true;
  return 0;
}

void tr_future_raise(lua_State *L, tr_future *f, bool where) {
  char text[TR_ERROR_TEXT];
  const tr_name *agent = f->from ? f->from : f->agent, *key = f->from ? f->from_key : f->key;
  f->read = true;
  lua_pushfstring(L, key->len == 7 && strcmp(key->text, "default") == 0 ? "%s" : "%s/%s", agent->text, key->text);
  tr_fail_push(L, f->code, tr_future_error(f, where || f->from, text), lua_tostring(L, -1),
               (f->from ? f->from_type : f->type)->text);
  lua_error(L);
  for (;;) { }
}

void tr_future_push_type(lua_State *L, const tr_future *f) {
  if (f->reply_type) lua_pushlstring(L, f->reply_type->text, f->reply_type->len);
  else lua_pushliteral(L, "null");
}

static int awaited(lua_State *L, int status, lua_KContext wait) {
  (void)status;
  if (wait) tr_lua_resumed(L, wait);
  tr_future *f = tr_future_check(L, 1);
  if (!tr_future_here(f)) {
    tr_lua_check_wait(L);
    tr_future_watch(f, true);
    return tr_lua_pause(L, TR_PAUSE_WAIT, awaited);
  }
  f->read = true;
  if (f->code || tr_future_push_value(L, 1, f)) tr_future_raise(L, f, tr_placeholder_is(L, 1));
  tr_future_push_type(L, f);
  return 2;
}

int tr_future_await(lua_State *L) { return awaited(L, LUA_OK, 0); }

static int future_done(lua_State *L) {
  lua_pushboolean(L, tr_future_check(L, 1)->settled);
  return 1;
}

static int future_cancel(lua_State *L) {
  tr_future_cancel(tr_future_check(L, 1));
  return 0;
}

int tr_future_gc(lua_State *L) {
  tr_future **box = lua_touserdata(L, 1), *f = *box;
  *box = NULL;
  if (f) tr_future_unref(f);
  return 0;
}

int tr_future_tostring(lua_State *L) {
  const tr_future *f = tr_future_at(L, 1);
  if (!f || !f->agent) lua_pushliteral(L, "future");
  else lua_pushfstring(L, "%s (%s/%s, %s: %s)", tr_placeholder_is(L, 1) ? "placeholder" : "future", f->agent->text,
                       f->key->text, f->type->text, !f->settled ? "waits" : f->code ? "failed" : "done");
  return 1;
}

void tr_future_lock(lua_State *L, const char *name) {
  lua_pushcfunction(L, tr_future_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
}

void tr_future_open(lua_State *L, tr_script *script) {
  static const luaL_Reg methods[] = {
    { "await", tr_future_await }, { "done", future_done }, { "cancel", future_cancel }, { NULL, NULL }
  };
  lua_createtable(L, 0, 5);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, tr_future_tostring);
  lua_setfield(L, -2, "__tostring");
  tr_future_lock(L, "future");
  script->future_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}
