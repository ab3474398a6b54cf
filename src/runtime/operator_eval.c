/* SPDX-License-Identifier: MIT
 * Lua in an agent, for the operator (script/visit.c does it).
 *
 * An agent of another isolate is asked while that stands still, and answers in its own thread; whether it has is looked at in each round of
 * the ticker.
 *
 * "eval" { agent, code, timeout? } → { values = [ text… ], output? } or { error, traceback? } · "complete" { agent, text } → [ text… ]
 * Whoever may ask at all may do with an agent whatever its own code may, and no more: the sandbox and the limits are the agent's. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "runtime/operator.h"

#define CODE_MAX 65536
#define TEXT_MAX 1000

typedef struct evaluation {
  tr_watcher watcher;
  troupe_t *rt;
  unsigned isolate;
  char agent[2 * TR_ID_MAX + 2];
  tr_call *call;      /* of that isolate; touched by others only while it stands still */
  int rc;
  char error[TR_ERROR_TEXT];
  tr_buf out;         /* of that isolate's memory */
  _Atomic bool done;  /* the three are there */
} evaluation;

/* In the thread of the agent's isolate. */
static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  evaluation *self = ud;
  tr_error error;
  (void)call;
  tr_error_init(&error);
  self->call = NULL;
  self->rc = reply->code;
  if (!self->rc) self->rc = tr_body_json(tr_script_of_isolate(self->rt, self->isolate), &reply->body, &self->out, &error);
  snprintf(self->error, sizeof self->error, "%.*s", TR_SLICE_ARG(reply->code ? reply->error : tr_slice_of(error.text)));
  atomic_store(&self->done, true);
  if (self->isolate == 0) self->watcher.tick(&self->watcher);
}

static void on_tick(tr_watcher *watcher) {
  evaluation *self = TR_CONTAINER(watcher, evaluation, watcher);
  char text[TR_ERROR_TEXT];
  watcher->due = self->isolate ? 0 : INT64_MAX; /* in each round, or when it is called */
  if (!atomic_load(&self->done)) return;
  if (!self->rc) tr_admin_send(watcher->q->call, tr_buf_view(&self->out));
  memcpy(text, self->error, sizeof text);
  tr_watcher_end(watcher, self->rc, text);
}

static void on_end(tr_watcher *watcher) {
  evaluation *self = TR_CONTAINER(watcher, evaluation, watcher);
  unsigned isolate;
  tr_error error;
  tr_error_init(&error);
  tr_crew_pause(self->rt->crew);
  if (self->call) tr_script_unvisit(tr_agents_find(self->rt, self->agent, &isolate, &error), self->call); /* who asked is gone */
  tr_buf_fini(&self->out);
  tr_crew_resume(self->rt->crew);
  TR_DELETE(&self->rt->mem, self);
}

/* Between pause and resume. False: *error says why. */
static bool begin(evaluation *self, const char *name, const char *code, tr_time timeout, tr_error *error) {
  troupe_t *rt = self->rt;
  tr_agent *agent = tr_agents_find(rt, name, &self->isolate, error);
  if (!agent) return false;
  tr_agent_name(agent, self->agent, sizeof self->agent); /* a bare name may be another's later */
  tr_core *core = tr_core_of_isolate(rt, self->isolate);
  tr_time now = tr_runtime_now(rt);
  tr_buf_init(&self->out, tr_core_mem(core));
  tr_core_set_now(core, now);
  self->call = tr_script_visit(agent, tr_slice_of(code), tr_runtime_after(now, timeout), on_reply, self, error);
  if (self->call && self->isolate) tr_isolate_wake(rt->crew->isolates[self->isolate]);
  return self->call != NULL;
}

void tr_answer_eval(tr_question *q) {
  troupe_t *rt = q->self->rt;
  const char *name = tr_question_text(q, "agent"), *code = tr_question_text(q, "code");
  tr_error error;
  tr_error_init(&error);
  if (!name || !code || strlen(code) > CODE_MAX) {
    tr_question_fail(q, TR_EINVALID, "agent, code: in which agent, and what (at most 64 KB)?");
    return;
  }
  evaluation *self = TR_NEW(&rt->mem, evaluation);
  if (!self) {
    tr_question_fail(q, TR_EMEMORY, NULL);
    return;
  }
  self->rt = rt;
  tr_buf_init(&self->out, &rt->mem);
  self->watcher = (tr_watcher){ .due = 0, .tick = on_tick, .fini = on_end };
  if (!tr_watcher_begin(&self->watcher, q)) {
    TR_DELETE(&rt->mem, self);
    tr_question_fail(q, TR_EUNAVAILABLE, "this process has no event loop");
    return;
  }
  tr_time timeout = tr_question_seconds(tr_question_number(q, "timeout", 30), TR_SECONDS(30));
  tr_crew_pause(rt->crew);
  bool begun = begin(self, name, code, timeout, &error);
  tr_crew_resume(rt->crew);
  if (!begun) tr_watcher_end(&self->watcher, error.code, error.text);
}

void tr_answer_complete(tr_question *q) {
  const char *name = tr_question_text(q, "agent"), *text = tr_question_text(q, "text");
  tr_error error;
  tr_buf out;
  tr_error_init(&error);
  if (!name || !text || strlen(text) > TEXT_MAX) {
    tr_question_fail(q, TR_EINVALID, "agent, text: in which agent, and what?");
    return;
  }
  unsigned isolate;
  tr_buf_init(&out, &q->self->rt->mem);
  tr_crew_pause(q->self->rt->crew);
  const tr_agent *agent = tr_agents_find(q->self->rt, name, &isolate, &error);
  int rc = agent ? tr_script_complete(agent, tr_slice_of(text), &out, &error) : error.code;
  tr_crew_resume(q->self->rt->crew);
  if (!rc) {
    tr_question_answer(q, &out);
    return;
  }
  tr_buf_fini(&out);
  tr_question_fail(q, rc, error.text);
}
