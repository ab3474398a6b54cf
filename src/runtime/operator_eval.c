/* SPDX-License-Identifier: MIT
 * Lua in an agent, for the operator (script/visit.c does it).
 *
 * "eval" { agent, code, timeout? } → { values = [ text… ], output? } or { error, traceback? } · "complete" { agent, text } → [ text… ]
 * Whoever may ask at all may do with an agent whatever its own code may, and no more: the sandbox and the limits are the agent's. */
#include <stdio.h>

#include "runtime/operator.h"

#define CODE_MAX 65536
#define TEXT_MAX 1000

typedef struct evaluation { tr_watcher watcher; troupe_t *rt; tr_call *call; } evaluation;

static void on_reply(void *ud, tr_call *call, tr_reply *reply) {
  evaluation *self = ud;
  tr_error error;
  tr_buf out;
  char text[TR_ERROR_TEXT];
  (void)call;
  tr_error_init(&error);
  tr_buf_init(&out, &self->rt->mem);
  int rc = reply->code;
  snprintf(text, sizeof text, "%.*s", TR_SLICE_ARG(reply->error));
  if (!rc) rc = tr_runtime_body_json(self->rt, &reply->body, &out, &error);
  if (!rc) tr_admin_send(self->watcher.q->call, tr_buf_view(&out));
  tr_buf_fini(&out);
  self->call = NULL;
  tr_watcher_end(&self->watcher, rc, reply->code ? text : error.text);
}

static void on_tick(tr_watcher *watcher) { watcher->due = INT64_MAX; }

static void on_end(tr_watcher *watcher) {
  evaluation *self = TR_CONTAINER(watcher, evaluation, watcher);
  if (self->call) tr_call_cancel(self->call); /* who asked is gone */
  TR_DELETE(&self->rt->mem, self);
}

/* Of isolate 0: the answer of another one would have to cross. */
static tr_agent *find(tr_question *q, const char *name, tr_error *error) {
  unsigned isolate;
  tr_crew_pause(q->self->rt->crew);
  tr_agent *agent = tr_agents_find(q->self->rt, name, &isolate, error);
  tr_crew_resume(q->self->rt->crew);
  if (!agent || isolate == 0) return agent;
  tr_error_set(error, TR_EUNAVAILABLE, "%.200s lives in thread %u: so far Lua is evaluated only in agents of the first one (--threads 1)", name, isolate);
  return NULL;
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
  tr_agent *agent = find(q, name, &error);
  evaluation *self = agent ? TR_NEW(&rt->mem, evaluation) : NULL;
  if (!self) {
    tr_question_fail(q, agent ? TR_EMEMORY : error.code, error.text);
    return;
  }
  *self = (evaluation){ .rt = rt, .watcher = { .due = INT64_MAX, .tick = on_tick, .fini = on_end } };
  tr_time timeout = tr_question_seconds(tr_question_number(q, "timeout", 30), TR_SECONDS(30));
  bool begun = tr_watcher_begin(&self->watcher, q);
  if (begun) self->call = tr_script_visit(agent, tr_slice_of(code), tr_runtime_after(tr_runtime_now(rt), timeout), on_reply, self, &error);
  if (self->call) return;
  if (begun) {
    tr_watcher_end(&self->watcher, error.code, error.text);
  } else {
    TR_DELETE(&rt->mem, self);
    tr_question_fail(q, TR_EUNAVAILABLE, "this process has no event loop");
  }
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
  const tr_agent *agent = find(q, name, &error);
  tr_buf_init(&out, &q->self->rt->mem);
  int rc = agent ? tr_script_complete(agent, tr_slice_of(text), &out, &error) : error.code;
  if (!rc) {
    tr_question_answer(q, &out);
    return;
  }
  tr_buf_fini(&out);
  tr_question_fail(q, rc, error.text);
}
