/* SPDX-License-Identifier: MIT
 * Moving a live agent to another process: one that is launched for it, or a server that has its type.
 *
 * Step by step, each from the loop: its mail is held and its open turns go on to their end (core/remote.c); then it is saved, as for a state
 * file, with its timers; the records go there as one request, behind which nothing else is sent yet; and when that is answered, the
 * instance here is closed and what is held goes after it. Until that answer the agent here is whole, so whatever fails on the way,
 * or takes too long, ends in letting go of its mail: then it goes on here as if nothing had been.
 *
 * Its subscriptions stay here: an event for it is forwarded to it alone. Only where this process sends all its events to that server
 * anyway (troupe_connect) are they left to the server's own subscriptions, or it would hear them twice. */
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "runtime/bring.h"
#include "runtime/launch.h"
#include "runtime/state.h"

#define PATIENCE TR_SECONDS(30) /* for all of it */

typedef struct moved {
  tr_remote remote;
  tr_link all;
  troupe_t *rt;
  char *id;
  char *host;            /* NULL: a process is launched */
  tr_launched *launched;
  tr_dest *there;
  bool hears;            /* it gets our events by itself */
  bool settled;          /* fn was called */
  bool sent;             /* the state's answer is still to come */
  tr_buf state;
  tr_timer timer;
  tr_bring bring;        /* from another isolate */
  tr_agent_id agent_id;  /* in id */
  bool lazy;
  troupe_done_fn fn;
  void *ud;
} moved;

static moved *moved_of(tr_remote *remote) { return TR_CONTAINER(remote, moved, remote); }

/* It goes on by itself until it has ended. */
static void stop_process(moved *m, tr_time deadline) {
  tr_launched *launched = m->launched;
  if (!launched) return;
  m->launched = NULL;
  launched->owner = NULL;
  tr_launched_stop(launched, deadline);
}

static void destroy(moved *m) {
  tr_mem *mem = &m->rt->mem;
  if (m->launched) m->launched->owner = NULL;
  tr_timer_stop(tr_core_timers(m->rt->core), &m->timer);
  tr_bring_drop(&m->bring);
  tr_link_remove(&m->all);
  if (m->id) tr_free(mem, m->id, strlen(m->id) + 1);
  if (m->host) tr_free(mem, m->host, strlen(m->host) + 1);
  tr_buf_fini(&m->state);
  TR_DELETE(mem, m);
}

/* ---- how it ends ---- */

static void settle(moved *m, int code, const char *text) {
  troupe_t *rt = m->rt;
  if (m->settled) return;
  m->settled = true;
  tr_timer_stop(tr_core_timers(rt->core), &m->timer);
  tr_buf_fini(&m->state);
  if (code) tr_log_write(&rt->log, TR_LOG_WARN, "move.failed", "agent=%s error=\"%s: %s\" (it goes on here)", m->id, tr_error_name(code), text);
  else tr_log_write(&rt->log, TR_LOG_INFO, "moved", "agent=%s to=%s", m->id, m->host ? m->host : "a process of its own");
  if (m->fn) m->fn(m->ud, code, text);
}

static void give_up(moved *m, int code, const char *text) {
  tr_agent *agent = m->remote.agent;
  settle(m, code, text);
  if (agent) tr_agent_unhold(m->rt->core, agent);
  stop_process(m, tr_core_now(m->rt->core));
  if (!m->sent) destroy(m);
}

static void time_is_up(tr_timer *timer) {
  moved *m = TR_CONTAINER(timer, moved, timer);
  give_up(m, TR_ETIMEOUT, m->sent ? "the other process did not take it in time" : "the agent was still at work");
}

static void on_taken(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  moved *m = ud;
  char text[TR_ERROR_TEXT];
  (void)token;
  (void)request;
  m->sent = false;
  snprintf(text, sizeof text, "%.*s", (int)tr_utf8_cut(reply->error, sizeof text - 1), reply->error.n ? reply->error.p : "");
  if (m->settled && !m->remote.agent) {
    destroy(m);
  } else if (reply->code) {
    give_up(m, reply->code, text);
  } else {
    tr_script_forget(m->rt->script, tr_slice_of(m->id)); /* what was kept of it here while it was not in memory */
    settle(m, 0, "");
    tr_agent_go(m->rt->core, m->remote.agent);
  }
}

/* ---- where to ---- */

static const tr_remote_ops ops;

static int find_there(moved *m, tr_error *error) {
  troupe_t *rt = m->rt;
  tr_agent_id id;
  int rc = tr_agent_id_parse(tr_slice_of(m->id), TR_SLICE_LITERAL("default"), &id, error);
  if (rc) return rc;
  if (m->host) {
    tr_uplink *uplink = tr_runtime_uplink_to(rt, m->host, error);
    if (!uplink) return error->code;
    m->there = tr_worker_dest(tr_uplink_worker(uplink));
    m->hears = m->there->events != TR_UPLINK_NONE;
    return 0;
  }
  tr_slice args[65];
  tr_script_source source;
  if (!tr_script_where(rt->script, id.type, &source)) return tr_error_set(error, TR_EINVALID, "%s was not loaded from a file", m->id);
  size_t argc = source.argc < 65 ? source.argc : 65;
  for (size_t i = 0; i < argc; i++) args[i] = tr_slice_of(source.args[i]);
  char allow[TR_RIGHTS_MAX];
  if (tr_runtime_narrow(rt, NULL, SIZE_MAX, allow, sizeof allow, error)) return error->code;
  tr_launch_plan plan = { .type = id.type, .key = id.key, .file = tr_slice_of(source.file), .args = args, .argc = argc, .allow = allow, .moved = true };
  m->launched = tr_launched_new(rt, &plan, NULL, error);
  if (!m->launched) return error->code;
  m->launched->owner = &m->launched;
  m->there = tr_worker_dest(m->launched->worker);
  tr_worker_start(m->launched->worker);
  return 0;
}

static tr_msg *state_message(moved *m) {
  tr_names *names = tr_core_names(m->rt->core);
  tr_agent *agent = m->remote.agent;
  tr_msg *msg = tr_msg_new(m->rt->core, TR_MSG_REQUEST);
  if (!msg) return NULL;
  msg->type = tr_name_new(names, TR_SLICE_LITERAL("troupe.state"));
  msg->target_type = tr_name_ref(tr_class_type(agent->class_));
  msg->target_key = tr_name_ref(agent->key);
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_BYTES, .bytes = tr_blob_copy(tr_core_mem(m->rt->core), tr_buf_view(&m->state)) };
  if (!msg->body.bytes) msg->body.kind = TR_BODY_NONE;
  if (tr_msg_get_more(msg)) msg->more->as = tr_name_new(names, TR_SLICE_LITERAL("state"));
  msg->deadline = m->timer.when;
  if (msg->type && msg->body.bytes && msg->more && msg->more->as) return msg;
  tr_msg_unref(msg);
  return NULL;
}

/* ---- the core's hooks ---- */

static void on_wanted(tr_remote *remote) {
  moved *m = moved_of(remote);
  tr_error error;
  tr_error_init(&error);
  tr_timer_start(tr_core_timers(m->rt->core), &m->timer, tr_core_now(m->rt->core) + PATIENCE, time_is_up);
  if (tr_agent_hold(m->rt->core, remote->agent, remote, false, &error)) give_up(m, error.code, error.text);
}

static void on_quiet(tr_remote *remote) {
  moved *m = moved_of(remote);
  tr_error error;
  tr_error_init(&error);
  if (m->sent || m->settled) return;
  int rc = tr_carry_save(m->rt->script, m->id, &m->state, &error);
  if (!rc) rc = find_there(m, &error);
  tr_msg *msg = rc ? NULL : state_message(m);
  if (!msg) {
    give_up(m, rc ? rc : TR_EMEMORY, rc ? error.text : "out of memory");
    return;
  }
  m->sent = true;
  msg->reply_to = (tr_reply_to){ .answer = on_taken, .ud = m };
  m->there->ops->request(m->there, msg);
  tr_msg_unref(msg);
}

/* Its process has ended with this one. */
static void refuse(moved *m, tr_remote *remote, tr_msg *msg) {
  static const char why[] = "the runtime is stopping";
  if (msg->kind == TR_MSG_REQUEST) {
    tr_msg_fail(msg, TR_EUNAVAILABLE, why);
  } else {
    tr_core_dead_letter(m->rt->core, msg, TR_EUNAVAILABLE, why);
    tr_remote_done(m->rt->core, remote);
  }
}

static void on_forward(tr_remote *remote, tr_msg *msg) {
  moved *m = moved_of(remote);
  if (m->hears && msg->kind == TR_MSG_EVENT) tr_remote_done(m->rt->core, remote);
  else if (m->launched) tr_launched_send(m->launched, remote, msg);
  else if (!m->host) refuse(m, remote, msg);
  else tr_runtime_forward(m->rt, remote, m->there, msg);
}

static void on_left(tr_remote *remote) {
  moved *m = moved_of(remote);
  troupe_t *rt = m->rt;
  settle(m, TR_EUNAVAILABLE, "the agent was stopped");
  stop_process(m, tr_runtime_after(tr_core_now(rt->core), rt->drain));
  if (!m->sent && remote->open == 0) destroy(m); /* else with the runtime */
}

static const tr_remote_ops ops = { .forward = on_forward, .wanted = on_wanted, .quiet = on_quiet, .left = on_left };

/* ---- the interface ---- */

static moved *new_move(troupe_t *rt, const tr_agent_id *id, const troupe_to_dist_options_t *o, tr_error *error) {
  char text[2 * TR_ID_MAX + 2];
  moved *m = TR_NEW(&rt->mem, moved);
  int n = snprintf(text, sizeof text, "%.*s/%.*s", TR_SLICE_ARG(id->type), TR_SLICE_ARG(id->key));
  if (m) {
    m->rt = rt;
    m->remote.ops = &ops;
    m->lazy = o->lazy;
    tr_buf_init(&m->state, &rt->mem);
    tr_list_push(&rt->moves, &m->all);
    m->id = tr_strndup(&rt->mem, text, (size_t)n);
    if (o->host) m->host = tr_strndup(&rt->mem, o->host, strlen(o->host));
  }
  if (m && m->id && (m->host || !o->host)) {
    m->agent_id = (tr_agent_id){ tr_slice_make(m->id, id->type.n), tr_slice_make(m->id + id->type.n + 1, id->key.n) };
    return m;
  }
  if (m) destroy(m);
  tr_error_set(error, TR_EMEMORY, "out of memory");
  return NULL;
}

/* It is in this isolate now. */
static int hold(moved *m, tr_error *error) {
  tr_class *class_ = tr_core_find_class(m->rt->core, m->agent_id.type);
  tr_agent *agent = class_ ? tr_class_get(class_, m->agent_id.key, error) : NULL;
  if (!agent) return error->code ? error->code : tr_error_set(error, TR_ENOT_FOUND, "its type is not here any more");
  return tr_agent_hold(m->rt->core, agent, &m->remote, m->lazy, error);
}

int troupe_to_dist(troupe_t *rt, const char *agent_id, const troupe_to_dist_options_t *options, troupe_done_fn fn, void *ud) {
  troupe_to_dist_options_t o = { 0 };
  tr_error *error = tr_runtime_error(rt);
  tr_agent_id id;
  tr_script_source source;
  if (options && (options->size == 0 || options->size > sizeof o)) return tr_runtime_fail(rt, TR_EINVALID, "options.size is that of another version");
  if (options) memcpy(&o, options, options->size);
  int rc = tr_agent_id_parse(tr_slice_of(agent_id), TR_SLICE_LITERAL("default"), &id, error);
  if (rc) return rc;
  if (rt->stage != TR_STAGE_RUNNING) return tr_runtime_fail(rt, TR_EUNAVAILABLE, "the runtime is stopping");
  tr_class *class_ = tr_core_find_class(rt->core, id.type);
  if (!class_) return tr_runtime_fail(rt, TR_ENOT_FOUND, "no agent type \"%.*s\" here", TR_SLICE_ARG(id.type));
  if (!tr_script_where(rt->script, id.type, &source))
    return tr_runtime_fail(rt, TR_EINVALID, "%s was not loaded from a file: it cannot be moved", agent_id);
  tr_address parsed;
  if (o.host && (rc = tr_address_parse(tr_slice_of(o.host), &parsed, error))) return rc;
  if ((rc = tr_runtime_loop_open(rt))) return rc;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  if (tr_core_find_remote(rt->core, id.type, id.key)) return tr_runtime_fail(rt, TR_EEXISTS, "%s is elsewhere already, or on its way", agent_id);
  moved *m = new_move(rt, &id, &o, error);
  if (!m) return error->code;
  m->fn = fn;
  m->ud = ud;
  rc = tr_bring_begin(&m->bring, rt, m->id, m->agent_id.type, m->agent_id.key, error);
  if (rc == 0) rc = hold(m, error);
  if (rc < 0) {
    destroy(m);
    return rc;
  }
  if (!o.lazy || rc == TR_BRING_WAITS) tr_timer_start(tr_core_timers(rt->core), &m->timer, tr_core_now(rt->core) + PATIENCE, time_is_up);
  if (rt->options.wake) rt->options.wake(rt->options.userdata);
  return 0;
}

void tr_runtime_moves_step(troupe_t *rt) {
  for (tr_link *at = rt->moves.next, *next; at != &rt->moves; at = next) {
    moved *m = TR_CONTAINER(at, moved, all);
    tr_error error;
    next = at->next;
    tr_error_init(&error);
    int rc = tr_bring_look(&m->bring, &error);
    if (rc == TR_BRING_WAITS) continue;
    if (!rc) rc = hold(m, &error);
    if (rc) give_up(m, rc, error.text);
    else if (m->lazy) tr_timer_stop(tr_core_timers(rt->core), &m->timer);
  }
}

void tr_runtime_leave_moves(troupe_t *rt) {
  for (tr_link *at = rt->moves.next, *next; at != &rt->moves; at = next) {
    moved *m = TR_CONTAINER(at, moved, all);
    next = at->next;
    m->sent = true; /* so that it is freed by the next one */
    if (m->remote.agent) tr_agent_stop(rt->core, m->remote.agent, TR_EUNAVAILABLE, "the runtime is closing");
  }
}

void tr_runtime_drop_moves(troupe_t *rt) {
  while (!tr_list_empty(&rt->moves)) destroy(TR_CONTAINER(rt->moves.next, moved, all));
}

/* ---- the other end ---- */

int tr_runtime_take_state(void *ud, tr_slice type, tr_slice key, tr_slice bytes, tr_error *error) {
  troupe_t *rt = ud;
  char id[2 * TR_ID_MAX + 2];
  if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is stopping");
  int n = snprintf(id, sizeof id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key)), rc;
  tr_together_pause(rt, true);
  tr_share share = tr_runtime_share_of(rt, type, key);
  tr_class *class_ = tr_core_find_class(share.core, type);
  if (!class_) rc = tr_error_set(error, TR_ENOT_FOUND, "agent type %.*s is not here", (int)tr_utf8_cut(type, 200), type.p);
  else if (tr_class_find(class_, key)) rc = tr_error_set(error, TR_EEXISTS, "%.200s is live there already", id);
  else rc = tr_carry_restore(share.script, tr_slice_make(id, (size_t)n), bytes, error);
  tr_together_resume(rt);
  return rc;
}
