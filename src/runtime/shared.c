/* SPDX-License-Identifier: MIT
 * Agents of shared types that the host gives to another worker, and gets from another: the worker's end (worker/moves.c) asks for it.
 *
 * One that leaves first handles what lies in its mailbox (the host sends it nothing more, and what agents here send it goes by the host).
 * Then its mail is held (core/remote.c), and when its last turn is over it is saved; its state goes to the host, and the instance is
 * closed ("moved"). If it is not quiet within PATIENCE, or cannot be saved or sent, it stays, and the host goes on as before: what is sent
 * to it waits for it meanwhile. A process that is told to stop lets the host give away all that it has, before it drains.
 *
 * With several isolates all this is done where the agent lives, by the timers of its core, in its thread. What it says to the host is an
 * errand of the first isolate (errand.c), done behind all that came from there before, so nothing that the agent sent is overtaken by
 * its state. What the host says is done while all stand still and nothing is under way between them. */
#include <stdio.h>
#include <string.h>

#include "runtime/isolate.h"

#define PATIENCE TR_SECONDS(3)
#define LOOK_AGAIN TR_MILLISECONDS(2)

typedef struct going {
  tr_remote remote;
  tr_link all;            /* rt->going, or its isolate's */
  troupe_t *rt;
  tr_isolate *isolate;    /* NULL: the first one */
  tr_share at;            /* what it lives in */
  tr_uplink *uplink;
  tr_worker_move move;
  tr_time until;
  tr_timer timer;         /* look again; gone: end */
  bool gone;
  char id[2 * TR_ID_MAX + 2];
} going;

static void look(tr_timer *timer);

static going *going_of(tr_remote *remote) { return TR_CONTAINER(remote, going, remote); }
static tr_timers *timers_of(const going *g) { return tr_core_timers(g->at.core); }
static const tr_log *log_of(const going *g) { return g->isolate ? g->isolate->log : &g->rt->log; }

static void destroy(going *g) {
  tr_timer_stop(timers_of(g), &g->timer);
  tr_link_remove(&g->all);
  TR_DELETE(tr_core_mem(g->at.core), g);
}

static void let_be(going *g) {
  if (g->remote.agent) tr_agent_unhold(g->at.core, g->remote.agent);
  destroy(g);
}

static tr_slice key_of(const going *g) { return tr_slice_of(strchr(g->id, '/') + 1); }

/* ---- what the host is told, in the first isolate ---- */

typedef struct telling { const going *g; int code; tr_slice state; bool told; } telling;

static tr_worker *worker_of(const going *g) {
  for (tr_link *link = g->rt->uplinks.next; link != &g->rt->uplinks; link = link->next)
    if (TR_CONTAINER(link, tr_uplink, all) == g->uplink) return tr_uplink_worker(g->uplink);
  return NULL;
}

/* Where it is asked for by another thread, what that sent before goes before. */
static void tell_now(void *ud) {
  telling *it = ud;
  tr_crew *crew = it->g->rt->crew;
  if (crew && crew->serving) tr_isolate_receive(crew->isolates[0]);
  tr_worker *worker = worker_of(it->g);
  it->told = worker && tr_worker_left(worker, &it->g->move, it->code, it->state);
}

static bool tell(const going *g, int code, tr_slice state) {
  telling it = { .g = g, .code = code, .state = state };
  return tr_runtime_errand(g->rt, tell_now, &it) == 0 && it.told;
}

static void stay(going *g, int code, const char *why) {
  tr_log_write(log_of(g), TR_LOG_INFO, "agent.stays", "agent=%s reason=\"%s\"", g->id, why);
  tell(g, code, (tr_slice){ NULL, 0 });
  let_be(g);
}

/* ---- quiet: its state goes, and then it ---- */

static void end(tr_timer *timer) {
  going *g = TR_CONTAINER(timer, going, timer);
  tr_agent *agent = g->remote.agent;
  tr_core *core = g->at.core;
  if (agent) {
    tr_agent_unhold(core, agent);
    if (tr_agent_mail_count(agent) == 0) tr_agent_stop(core, agent, TR_EUNAVAILABLE, "the agent was moved");
  }
  destroy(g);
}

static void on_gone(tr_remote *remote) {
  going *g = going_of(remote);
  g->gone = true;
  tr_timer_start(timers_of(g), &g->timer, tr_core_now(g->at.core), end);
}

static void on_quiet(tr_remote *remote) {
  going *g = going_of(remote);
  tr_core *core = g->at.core;
  tr_error error;
  tr_buf state;
  tr_error_init(&error);
  if (tr_agent_mail_count(remote->agent)) { /* a timer's message came last: not saved with it, so it is handled first */
    tr_agent_unhold(core, remote->agent);
    tr_timer_start(timers_of(g), &g->timer, tr_core_now(core) + LOOK_AGAIN, look);
    return;
  }
  tr_timer_stop(timers_of(g), &g->timer);
  tr_buf_init(&state, tr_core_mem(core));
  int rc = tr_carry_save(g->at.script, g->id, &state, &error);
  if (rc) {
    stay(g, rc, error.text);
  } else if (!tell(g, 0, tr_buf_view(&state))) {
    tr_log_write(log_of(g), TR_LOG_INFO, "agent.stays", "agent=%s reason=\"its state could not be sent\"", g->id);
    let_be(g);
  } else {
    tr_script_forget(g->at.script, tr_slice_of(g->id));
    tr_agent_go(core, remote->agent);
  }
  tr_buf_fini(&state);
}

/* What comes once it is saved. Requests go by the host, as they would have; anything else is of its timers, which are in its state. */
static void on_forward(tr_remote *remote, tr_msg *msg) {
  going *g = going_of(remote);
  if (msg->kind != TR_MSG_REQUEST) {
    tr_remote_done(g->at.core, remote);
    return;
  }
  tr_worker *worker = g->isolate ? NULL : worker_of(g);
  if (g->isolate) tr_isolate_send_up(g->isolate, msg);
  else if (worker) tr_runtime_forward(g->rt, remote, tr_worker_dest(worker), msg);
  else tr_msg_fail(msg, TR_EUNAVAILABLE, "the agent was moved");
}

static void on_left(tr_remote *remote) { /* stopped */
  going *g = going_of(remote);
  if (!g->gone) tell(g, 0, (tr_slice){ NULL, 0 });
  destroy(g);
}

static void on_wanted(tr_remote *remote) { (void)remote; }

static const tr_remote_ops ops = { .forward = on_forward, .wanted = on_wanted, .quiet = on_quiet, .left = on_left, .gone = on_gone };

/* ---- until it is quiet ---- */

static void too_late(tr_timer *timer) { stay(TR_CONTAINER(timer, going, timer), TR_ETIMEOUT, "it is at work"); }

/* Nothing more will come for it here: its mail and its turns go on to their end. */
static void look(tr_timer *timer) {
  going *g = TR_CONTAINER(timer, going, timer);
  tr_core *core = g->at.core;
  tr_timers *timers = timers_of(g);
  tr_error error;
  tr_error_init(&error);
  tr_class *class_ = tr_core_find_class(core, tr_slice_make(g->id, (size_t)(strchr(g->id, '/') - g->id)));
  tr_agent *agent = class_ ? tr_class_find_mailbox(class_, key_of(g)) : NULL;
  if (tr_core_is_draining(core)) {
    stay(g, TR_EUNAVAILABLE, "the runtime is stopping");
  } else if (!agent) { /* it ended, or was put out of memory: what is saved of it goes */
    tr_buf state;
    tr_buf_init(&state, tr_core_mem(core));
    int rc = tr_carry_save(g->at.script, g->id, &state, &error);
    if (tell(g, rc, tr_buf_view(&state)) && !rc) tr_script_forget(g->at.script, tr_slice_of(g->id));
    tr_buf_fini(&state);
    destroy(g);
  } else if (tr_agent_mail_count(agent) || tr_agent_turn_count(agent) || !tr_agent_is_live(agent)) {
    if (tr_core_now(core) < g->until) tr_timer_start(timers, timer, tr_core_now(core) + LOOK_AGAIN, look);
    else stay(g, TR_ETIMEOUT, "it is at work");
  } else if (tr_agent_hold(core, agent, &g->remote, false, &error)) {
    stay(g, error.code, error.text);
  } else {
    tr_timer_start(timers, timer, g->until, too_late);
  }
}

/* ---- what the host says ---- */

/* While all stand still. A code, where there is nothing to wait for. */
static int begin(tr_uplink *uplink, tr_slice type, tr_slice key, const tr_worker_move *move) {
  troupe_t *rt = uplink->rt;
  const tr_class *class_ = tr_core_find_class(rt->core, type);
  if (!class_) return TR_ENOT_FOUND;
  if (!tr_class_is_shared(class_) || key.n > TR_ID_MAX) return TR_EINVALID;
  tr_isolate *isolate = rt->crew ? tr_crew_home_of(rt->crew, type, key) : NULL;
  if (isolate && isolate->index == 0) isolate = NULL;
  tr_share at = tr_runtime_share(rt, isolate ? isolate->index : 0);
  going *g = TR_NEW(tr_core_mem(at.core), going);
  if (!g) return TR_EMEMORY;
  g->rt = rt;
  g->isolate = isolate;
  g->at = at;
  g->uplink = uplink;
  g->move = *move;
  g->remote.ops = &ops;
  g->until = tr_core_now(at.core) + PATIENCE;
  snprintf(g->id, sizeof g->id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key));
  tr_list_push(isolate ? &isolate->going : &rt->going, &g->all);
  tr_timer_start(timers_of(g), &g->timer, tr_core_now(at.core), look);
  return 0;
}

void tr_shared_leave(void *ud, tr_worker *worker, tr_slice type, tr_slice key, const tr_worker_move *move) {
  troupe_t *rt = ((tr_uplink *)ud)->rt;
  tr_together_pause(rt, true); /* what was sent to it before is there */
  int rc = begin(ud, type, key, move);
  tr_together_resume(rt);
  if (rc) tr_worker_left(worker, move, rc, (tr_slice){ NULL, 0 });
}

int tr_shared_take(void *ud, tr_slice type, tr_slice key, tr_slice state, tr_error *error) {
  troupe_t *rt = ((tr_uplink *)ud)->rt;
  char id[2 * TR_ID_MAX + 2];
  if (!tr_core_find_class(rt->core, type)) return tr_error_set(error, TR_ENOT_FOUND, "agent type %.*s is not here", (int)tr_utf8_cut(type, 200), type.p);
  if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is stopping");
  if (key.n > TR_ID_MAX) return tr_error_set(error, TR_EINVALID, "the key is too long");
  int n = snprintf(id, sizeof id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key));
  tr_together_pause(rt, true);
  int rc = tr_carry_restore(tr_runtime_share_of(rt, type, key).script, tr_slice_make(id, (size_t)n), state, error);
  tr_together_resume(rt);
  return rc;
}

static void drop(troupe_t *rt, tr_slice type, tr_slice key) {
  tr_core *core = tr_runtime_share_of(rt, type, key).core;
  const tr_class *class_ = tr_core_find_class(core, type);
  tr_agent *agent = class_ && tr_class_is_shared(class_) ? tr_class_find(class_, key) : NULL;
  if (!agent) return;
  tr_log_write(&rt->log, TR_LOG_WARN, "agent.elsewhere", "agent=%s/%.*s reason=\"another worker has it since this one was away: ended here\"",
               tr_class_type(class_)->text, TR_SLICE_ARG(key));
  tr_agent_stop(core, agent, TR_EUNAVAILABLE, "another worker has the agent now");
}

void tr_shared_drop(void *ud, tr_slice type, tr_slice key) {
  troupe_t *rt = ((tr_uplink *)ud)->rt;
  tr_together_pause(rt, true);
  drop(rt, type, key);
  tr_together_resume(rt);
}

void tr_shared_have(void *ud, tr_worker *worker) {
  troupe_t *rt = ((tr_uplink *)ud)->rt;
  tr_together_pause(rt, true);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) tr_worker_have(worker, tr_runtime_share(rt, i).core);
  tr_together_resume(rt);
}

/* ---- this process is told to stop ---- */

bool tr_shared_give(troupe_t *rt) {
  rt->giving = 0;
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(rt->core, class_));) {
    if (!tr_class_is_shared(class_)) continue;
    for (tr_link *link = rt->uplinks.next; link != &rt->uplinks; link = link->next) {
      tr_uplink *uplink = TR_CONTAINER(link, tr_uplink, all);
      uplink->giving = tr_worker_give(uplink->worker);
      rt->giving += uplink->giving;
    }
    break;
  }
  return rt->giving > 0;
}

void tr_shared_give_again(tr_uplink *uplink) {
  if (uplink->giving && uplink->rt->stage == TR_STAGE_GIVE) tr_worker_give(uplink->worker);
}

void tr_shared_given(void *ud) {
  tr_uplink *uplink = ud;
  if (!uplink->giving) return;
  uplink->giving = false;
  uplink->rt->giving--;
}

static void end_all(tr_link *list) {
  while (!tr_list_empty(list)) let_be(TR_CONTAINER(list->next, going, all));
}

void tr_shared_end(troupe_t *rt) {
  end_all(&rt->going);
  for (unsigned i = 1; rt->crew && i < rt->crew->count; i++) end_all(&rt->crew->isolates[i]->going);
}
