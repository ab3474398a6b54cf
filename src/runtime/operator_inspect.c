/* SPDX-License-Identifier: MIT
 * One agent, looked at closely; and the end of a turn of it.
 *
 * "inspect" { agent, window?, limit? } → { id, doing, isolate, queued, queued_bytes, mail = [ { type, kind, sender } ], turns, cpu, memory, version, code, canary?, file,
 * failures = { count, last, ago_s }, about = { … }, timers, turns_open = [ { type, doing, sender, since_s, traceback } ], state } ·
 * "break" { agent, waiting? } → { agent, turns, traceback }
 * An inspection takes `window` seconds (0.2), in which its running time is measured: `cpu` is the part of one processor that it had. */
#include <stdio.h>

#include "runtime/operator.h"

#define MAIL_MOST 20
#define STATE_MAX 65536

typedef struct inspection {
  tr_watcher watcher;
  troupe_t *rt;
  unsigned isolate;
  uint64_t turns;
  tr_time busy;
  int64_t begun;
  char id[2 * TR_ID_MAX + 2]; /* in full: "a" may be another one at the end of the window */
} inspection;

typedef struct mail { tr_buf *out; size_t count; } mail;

static int put_mail(void *ud, tr_msg *msg) {
  static const char *const kinds[] = { "event", "request", "send" };
  mail *m = ud;
  char sender[2 * TR_ID_MAX + 2];
  if (m->count == MAIL_MOST) return 1;
  tr_question_put(m->out, m->count++ ? ",{\"type\":" : "{\"type\":", msg->type->text);
  tr_buf_printf(m->out, ",\"kind\":\"%s\"", kinds[msg->kind]);
  if (msg->sender_type) {
    snprintf(sender, sizeof sender, "%s/%s", msg->sender_type->text, msg->sender_key->text);
    tr_question_put(m->out, ",\"sender\":", sender);
  }
  tr_buf_text(m->out, "}");
  return 0;
}

static void put_failures(tr_buf *out, const tr_script_agent *about, tr_time now) {
  tr_buf_printf(out, ",\"failures\":{\"count\":%u", about->failures);
  if (about->failed) {
    tr_question_put(out, ",\"last\":", about->failed);
    tr_buf_printf(out, ",\"ago_s\":%.1f", now > about->failed_at ? (double)(now - about->failed_at) / 1e6 : 0.0);
  }
  tr_buf_text(out, "}");
}

static int put_agent(tr_buf *out, const inspection *self, const tr_agent *agent, unsigned isolate, tr_error *error) {
  tr_script_agent about = { .file = "" };
  double seconds = (double)(tr_operator_now(self->rt->operator) - self->begun) / 1e3;
  bool ours = tr_script_agent_about(agent, &about);
  bool anew = agent->turns < self->turns || about.busy < self->busy; /* it has ended meanwhile, and began again */
  uint64_t turns = agent->turns - (anew ? 0 : self->turns);
  tr_time busy = about.busy - (anew ? 0 : self->busy);
  mail m = { out, 0 };
  tr_question_put(out, "{\"id\":", self->id);
  tr_buf_printf(out, ",\"doing\":\"%s\",\"isolate\":%u,\"queued\":%zu,\"queued_bytes\":%llu,\"mail\":[", tr_agent_doing(agent), isolate,
                tr_agent_mail_count(agent), (unsigned long long)tr_agent_mail_bytes(agent));
  tr_agent_each_mail(agent, put_mail, &m);
  tr_buf_printf(out, "],\"turns\":%llu", (unsigned long long)agent->turns);
  if (seconds > 0)
    tr_buf_printf(out, ",\"window_s\":%.3f,\"turns_s\":%.1f,\"cpu\":%.4f", seconds, (double)turns / seconds, (double)busy / 1e6 / seconds);
  tr_buf_printf(out, ",\"memory\":%zu,\"version\":%lld,\"program\":%s", about.memory, (long long)about.version, about.program ? "true" : "false");
  if (about.number) tr_buf_printf(out, ",\"code\":%u%s", about.number, about.canary ? ",\"canary\":true" : "");
  tr_question_put(out, ",\"file\":", ours ? about.file : "");
  put_failures(out, &about, tr_core_now(tr_core_of_isolate(self->rt, isolate)));
  int rc = tr_script_inspect(agent, STATE_MAX, out, error);
  tr_buf_text(out, "}");
  return rc;
}

static void on_tick(tr_watcher *watcher) {
  inspection *self = TR_CONTAINER(watcher, inspection, watcher);
  tr_error error;
  tr_buf out;
  unsigned isolate;
  tr_error_init(&error);
  tr_buf_init(&out, &self->rt->mem);
  tr_crew_pause(self->rt->crew);
  const tr_agent *agent = tr_agents_find(self->rt, self->id, &isolate, &error);
  int rc = agent ? put_agent(&out, self, agent, isolate, &error) : error.code;
  tr_crew_resume(self->rt->crew);
  if (!rc && out.failed) rc = TR_EMEMORY;
  if (!rc) tr_admin_send(watcher->q->call, tr_buf_view(&out));
  tr_buf_fini(&out);
  tr_watcher_end(watcher, rc, error.text);
}

static void on_end(tr_watcher *watcher) {
  inspection *self = TR_CONTAINER(watcher, inspection, watcher);
  tr_crew_pause(self->rt->crew);
  tr_script_time(tr_script_of_isolate(self->rt, self->isolate), false);
  tr_crew_resume(self->rt->crew);
  TR_DELETE(&self->rt->mem, self);
}

/* What it had counted before the window. Between pause and resume. */
static inspection *begin(tr_question *q, const char *name, tr_error *error) {
  troupe_t *rt = q->self->rt;
  unsigned isolate;
  tr_script_agent about = { 0 };
  const tr_agent *agent = tr_agents_find(rt, name, &isolate, error);
  inspection *self = agent ? TR_NEW(&rt->mem, inspection) : NULL;
  if (!self) {
    if (agent) tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  tr_script_agent_about(agent, &about);
  tr_agent_name(agent, self->id, sizeof self->id);
  self->rt = rt;
  self->isolate = isolate;
  self->turns = agent->turns;
  self->busy = about.busy;
  self->begun = tr_operator_now(q->self);
  self->watcher.tick = on_tick;
  self->watcher.fini = on_end;
  tr_script_time(tr_script_of_isolate(rt, isolate), true);
  return self;
}

static const char *name_of(tr_question *q) {
  const char *name = tr_question_text(q, "agent");
  if (!name) tr_question_fail(q, TR_EINVALID, "agent: whose id?");
  return name;
}

void tr_answer_inspect(tr_question *q) {
  tr_error error;
  const char *name = name_of(q);
  if (!name) return;
  tr_error_init(&error);
  tr_time window = tr_question_seconds(tr_question_number(q, "window", 0.2), 0);
  tr_crew_pause(q->self->rt->crew);
  inspection *self = begin(q, name, &error);
  tr_crew_resume(q->self->rt->crew);
  if (!self) {
    tr_question_fail(q, error.code, error.text);
    return;
  }
  self->watcher.due = self->begun + (window > TR_SECONDS(60) ? 60000 : window / 1000);
  if (!tr_watcher_begin(&self->watcher, q)) {
    on_end(&self->watcher);
    tr_question_fail(q, TR_EUNAVAILABLE, "this process has no event loop");
  } else if (window == 0) {
    on_tick(&self->watcher);
  }
}

void tr_answer_break(tr_question *q) {
  troupe_t *rt = q->self->rt;
  tr_error error;
  tr_buf trace, out;
  unsigned isolate;
  const char *name = name_of(q);
  if (!name) return;
  tr_error_init(&error);
  tr_buf_init(&trace, &rt->mem);
  tr_crew_pause(rt->crew);
  tr_agent *agent = tr_agents_find(rt, name, &isolate, &error);
  int count = agent ? tr_script_break(agent, tr_question_flag(q, "waiting"), &trace, &error) : error.code;
  if (count > 0 && isolate > 0) tr_isolate_wake(rt->crew->isolates[isolate]);
  tr_crew_resume(rt->crew);
  if (count <= 0) {
    tr_buf_fini(&trace);
    tr_question_fail(q, count, error.text);
    return;
  }
  tr_log_write(&rt->log, TR_LOG_WARN, "turn.broken", "agent=%s turns=%d by=operator", name, count);
  tr_buf_byte(&trace, 0);
  tr_buf_init(&out, &rt->mem);
  tr_question_put(&out, "{\"agent\":", name);
  tr_buf_printf(&out, ",\"turns\":%d", count);
  tr_question_put(&out, ",\"traceback\":", trace.failed ? "" : (const char *)trace.data);
  tr_buf_text(&out, "}");
  tr_buf_fini(&trace);
  tr_question_answer(q, &out);
}
