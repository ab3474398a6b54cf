/* SPDX-License-Identifier: MIT
 * A reload in two steps, for a host that has all workers of an agent type reload their own files together (operator_workers.c): this process's part.
 *
 * Staging is a trial (script/reload.c): the files that have changed are compiled, run and checked, instances migrated as copies; what is kept of it
 * are the texts. Taking reloads just these, if nothing else was loaded since. Then the host may say to go back, where another worker could not.
 * What was staged is let go of when nobody has decided within the time that the host named. One such reload at a time.
 *
 * Each step is done a moment after it was asked for, not from inside the stream that it came by: a reload registers types there. */
#include "runtime/staged.h"

#include <stdio.h>
#include <unistd.h>

#include "runtime/fabric.h"
#include "runtime/operator.h"

#define ASKED_MOST 16u
#define KEEP_MOST TR_SECONDS(600)
#define TEXT_MOST 16000u /* of an answer */

typedef struct tr_staged {
  troupe_t *rt;
  char id[TR_RELOAD_ID + 1];
  bool taken, went_back, failed;
  int files;
  uint32_t before, after; /* numbers of versions */
  tr_prepared *prepared[TR_ISOLATES_MOST];
  tr_report report;
  tr_timer timer;
} tr_staged;

/* ---- what is staged ---- */

static void drop_texts(tr_staged *self) {
  tr_together_pause(self->rt, false);
  for (unsigned i = 0; i < TR_ISOLATES_MOST; i++) {
    tr_prepared_free(self->prepared[i]);
    self->prepared[i] = NULL;
  }
  tr_together_resume(self->rt);
}

static void drop(troupe_t *rt) {
  tr_staged *self = rt->staged;
  if (!self) return;
  rt->staged = NULL;
  tr_timer_stop(tr_core_timers(rt->core), &self->timer);
  drop_texts(self);
  tr_report_fini(&self->report);
  TR_DELETE(&rt->mem, self);
}

static void on_time(tr_timer *timer) {
  tr_staged *self = TR_CONTAINER(timer, tr_staged, timer);
  if (!self->taken)
    tr_log_write(&self->rt->log, TR_LOG_WARN, "reload.let_go", "files=%d reason=\"the host that asked for it did not decide in time\"", self->files);
  drop(self->rt);
}

static void on_plan(void *ud, unsigned isolate, const tr_reloading *plan) {
  tr_staged *self = ud;
  tr_report_plan(&self->report, isolate, plan);
  if (plan && !(self->prepared[isolate] = tr_script_prepared(plan))) self->failed = true;
}

static tr_staged *staged_new(troupe_t *rt, tr_slice id) {
  tr_staged *self = TR_NEW(&rt->mem, tr_staged);
  if (!self) return NULL;
  self->rt = rt;
  snprintf(self->id, sizeof self->id, "%.*s", (int)id.n, id.p);
  self->before = tr_script_number(rt->script);
  self->report.mem = &rt->mem;
  return self;
}

static void put(const tr_staged *self, tr_buf *out, bool agents) {
  tr_buf_printf(out, "{\"files\":%d,\"version\":%u", self->files, tr_script_number(self->rt->script));
  tr_question_put(out, ",\"names\":", self->files ? tr_script_reloaded(self->rt->script) : "");
  size_t before = out->len;
  if (agents) tr_report_put(out, &self->report);
  if (out->len > TEXT_MOST) out->len = before; /* so many types that nobody reads them */
  tr_buf_text(out, "}");
}

void tr_staged_who(char out[128]) {
  char machine[100] = "";
  if (gethostname(machine, sizeof machine - 1)) machine[0] = 0;
  snprintf(out, 128, "%s, pid %ld", machine, (long)getpid());
}

static int stage(troupe_t *rt, tr_slice id, bool again, tr_time keep, tr_buf *out, tr_error *error) {
  if (rt->staged && !rt->staged->taken && !tr_slice_is(id, rt->staged->id))
    return tr_error_set(error, TR_EUNAVAILABLE, "another reload of several workers is under way here");
  if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "it is stopping");
  drop(rt);
  tr_staged *self = rt->staged = staged_new(rt, id);
  if (!self) return tr_error_set(error, TR_EMEMORY, "out of memory");
  tr_reload_options options = { .trial = true, .again = again };
  self->files = tr_runtime_reload(rt, &options, on_plan, self);
  int rc = self->files < 0 ? tr_error_set(error, self->files, "%s", rt->error.text) : 0;
  if (!rc && (self->failed || self->report.failed)) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc) put(self, out, true);
  if (rc) drop(rt);
  else tr_timer_start(tr_core_timers(rt->core), &self->timer, tr_core_now(rt->core) + (keep < KEEP_MOST ? keep : KEEP_MOST), on_time);
  return rc;
}

static int take(tr_staged *self, tr_buf *out, tr_error *error) {
  troupe_t *rt = self->rt;
  uint32_t now = tr_script_number(rt->script);
  tr_reload_options options = { .prepared = (const tr_prepared *const *)self->prepared };
  if (!self->taken && now != self->before)
    return tr_error_set(error, TR_EUNAVAILABLE, "code %u was loaded meanwhile: what was staged for after %u is let go", now, self->before);
  if (!self->taken && self->files) {
    int rc = tr_runtime_reload(rt, &options, NULL, NULL);
    if (rc < 0) return tr_error_set(error, rc, "%s", rt->error.text);
    tr_log_write(&rt->log, TR_LOG_INFO, "reload", "files=%d by=host names=\"%s\" code=%u", rc, tr_script_reloaded(rt->script), tr_script_number(rt->script));
  }
  if (!self->taken) drop_texts(self);
  self->taken = true;
  self->after = tr_script_number(rt->script);
  put(self, out, false);
  return 0;
}

static int go_back(tr_staged *self, tr_buf *out, tr_error *error) {
  troupe_t *rt = self->rt;
  uint32_t now = tr_script_number(rt->script);
  tr_reload_options options = { .to = self->before, .again = true }; /* nothing was wrong with it here */
  if (self->taken && !self->went_back && self->files) {
    if (now != self->after) return tr_error_set(error, TR_EUNAVAILABLE, "code %u was loaded meanwhile, it stays", now);
    int rc = tr_runtime_reload(rt, &options, NULL, NULL);
    if (rc < 0) return tr_error_set(error, rc, "%s", rt->error.text);
    tr_log_write(&rt->log, TR_LOG_WARN, "reload.undone", "code=%u by=host (another worker could not; code %u serves again, as %u)", self->after,
                 self->before, tr_script_number(rt->script));
  }
  self->went_back = self->taken = true; /* TAKE that comes late is not to be followed */
  put(self, out, false);
  return 0;
}

int tr_staged_step(troupe_t *rt, tr_slice id, unsigned step, tr_time keep, tr_buf *out, tr_error *error) {
  tr_staged *self = rt->staged && tr_slice_is(id, rt->staged->id) ? rt->staged : NULL;
  if (step >= TR_RELOAD_STAGE) return stage(rt, id, step == TR_RELOAD_STAGE_AGAIN, keep, out, error);
  if (step == TR_RELOAD_TAKE && !self) return tr_error_set(error, TR_ENOT_FOUND, "nothing is staged here any more");
  if (step == TR_RELOAD_TAKE) {
    int rc = take(self, out, error);
    if (rc) drop(rt);
    return rc;
  }
  if (step == TR_RELOAD_BACK && self) return go_back(self, out, error);
  if (self) drop(rt);
  tr_buf_text(out, "{}");
  return 0;
}

/* ---- asked for by a host ---- */

typedef struct asked {
  tr_timer timer;
  tr_link link; /* rt->steps */
  troupe_t *rt;
  const tr_uplink *uplink;
  unsigned step;
  tr_time keep;
  char id[TR_RELOAD_ID];
} asked;

static void asked_free(asked *self) {
  self->rt->step_count--;
  tr_timer_stop(tr_core_timers(self->rt->core), &self->timer);
  tr_link_remove(&self->link);
  TR_DELETE(&self->rt->mem, self);
}

static tr_worker *worker_of(const asked *self) {
  for (tr_link *link = self->rt->uplinks.next; link != &self->rt->uplinks; link = link->next)
    if (TR_CONTAINER(link, tr_uplink, all) == self->uplink) return tr_uplink_worker(self->uplink);
  return NULL;
}

static void on_asked(tr_timer *timer) {
  asked *self = TR_CONTAINER(timer, asked, timer);
  troupe_t *rt = self->rt;
  tr_slice id = tr_slice_make(self->id, sizeof self->id);
  char who[128];
  tr_error error;
  tr_buf out;
  tr_error_init(&error);
  tr_buf_init(&out, &rt->mem);
  int rc = tr_staged_step(rt, id, self->step, self->keep, &out, &error);
  if (!rc && out.failed) rc = tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (rc) tr_log_write(&rt->log, TR_LOG_WARN, "reload.failed", "%s (by=host)", error.text);
  tr_worker *worker = worker_of(self);
  tr_staged_who(who);
  if (worker) tr_worker_reloaded(worker, id, self->step, tr_slice_of(who), rc, rc ? tr_slice_of(error.text) : tr_buf_view(&out));
  tr_buf_fini(&out);
  asked_free(self);
}

void tr_staged_asked(void *ud, tr_worker *worker, tr_slice id, unsigned step, uint64_t keep_ms) {
  const tr_uplink *uplink = ud;
  troupe_t *rt = uplink->rt;
  asked *self = rt->step_count < ASKED_MOST ? TR_NEW(&rt->mem, asked) : NULL;
  if (!self) {
    tr_worker_reloaded(worker, id, step, (tr_slice){ NULL, 0 }, TR_EOVERLOADED, TR_SLICE_LITERAL("too many such requests at once, or out of memory"));
    return;
  }
  rt->step_count++;
  self->rt = rt;
  self->uplink = uplink;
  self->step = step;
  self->keep = keep_ms < 600000 ? (tr_time)keep_ms * 1000 : KEEP_MOST;
  memcpy(self->id, id.p, sizeof self->id);
  tr_list_push(&rt->steps, &self->link);
  tr_timer_start(tr_core_timers(rt->core), &self->timer, tr_core_now(rt->core), on_asked);
}

void tr_staged_end(troupe_t *rt) {
  while (!tr_list_empty(&rt->steps)) asked_free(TR_CONTAINER(rt->steps.next, asked, link));
  drop(rt);
}
