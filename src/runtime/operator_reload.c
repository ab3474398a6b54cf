/* SPDX-License-Identifier: MIT
 * The verb "reload" { name?, to?, errors?, within?, dry_run? } → { files, names, version } or, of a trial, { files, names, dry_run: true, agents }:
 * what would become of each type. An agent there is { type, change: "new" | "gone" | "changed", from, to, instances, busy,
 * subscriptions: [added, removed], timers: [added, removed] }; from and to are versions of its state. */
#include <stdio.h>

#include "runtime/isolate.h"
#include "runtime/operator.h"
#include "runtime/secure.h"

typedef struct tr_report_row { tr_change change; char type[256]; } row;
typedef tr_report report;

/* Isolate 0 makes the rows, the others add their instances. */
static void note(void *ud, const tr_change *change) {
  report *self = ud;
  if (self->isolate == 0 && self->at == self->cap) {
    size_t cap = self->cap ? 2 * self->cap : 16;
    row *rows = tr_realloc(self->mem, self->rows, self->cap * sizeof *rows, cap * sizeof *rows);
    self->failed |= rows == NULL;
    if (!rows) return;
    self->rows = rows;
    self->cap = cap;
  }
  if (self->at >= (self->isolate ? self->count : self->cap)) return;
  row *it = &self->rows[self->at++];
  if (self->isolate == 0) {
    self->count = self->at;
    it->change = *change;
    snprintf(it->type, sizeof it->type, "%s", change->type); /* it may be new, and gone when this is told */
  } else {
    it->change.instances += change->instances;
    it->change.busy += change->busy;
  }
}

void tr_report_plan(void *ud, unsigned isolate, const tr_reloading *plan) {
  report *self = ud;
  self->isolate = isolate;
  self->at = 0;
  if (plan) tr_script_reload_changes(plan, note, self);
}

void tr_report_put(tr_buf *out, const report *self) {
  tr_buf_text(out, ",\"agents\":[");
  for (size_t i = 0; i < self->count; i++) {
    const tr_change *c = &self->rows[i].change;
    tr_question_put(out, i ? ",{\"type\":" : "{\"type\":", self->rows[i].type);
    tr_buf_printf(out, ",\"change\":\"%s\",\"from\":%lld,\"to\":%lld,\"instances\":%zu,\"busy\":%zu,",
                  c->added ? "new" : c->removed ? "gone" : "changed", (long long)c->from, (long long)c->to, c->instances, c->busy);
    tr_buf_printf(out, "\"subscriptions\":[%u,%u],\"timers\":[%u,%u]}", c->subs_added, c->subs_removed, c->timers_added, c->timers_removed);
  }
  tr_buf_text(out, "]");
}

void tr_report_fini(report *self) { tr_free(self->mem, self->rows, self->cap * sizeof *self->rows); }

static void answer(tr_question *q, int files, const report *told) {
  troupe_t *rt = q->self->rt;
  tr_buf out;
  tr_buf_init(&out, &rt->mem);
  tr_buf_printf(&out, "{\"files\":%d,", files);
  tr_question_put(&out, "\"names\":", files ? tr_script_reloaded(rt->script) : "");
  if (told) tr_buf_text(&out, ",\"dry_run\":true");
  else tr_buf_printf(&out, ",\"version\":%u", tr_script_number(rt->script));
  if (told) tr_report_put(&out, told);
  tr_buf_text(&out, "}");
  tr_question_answer(q, &out);
}

static void try_only(tr_question *q, const tr_reload_options *options) {
  troupe_t *rt = q->self->rt;
  report told = { .mem = &rt->mem };
  int rc = tr_runtime_reload(rt, options, tr_report_plan, &told);
  if (rc >= 0 && !told.failed) answer(q, rc, &told);
  else tr_question_fail(q, rc < 0 ? rc : TR_EMEMORY, rc < 0 ? rt->error.text : NULL);
  tr_report_fini(&told);
}

static void take(tr_question *q, const tr_reload_options *options) {
  troupe_t *rt = q->self->rt;
  double errors = tr_question_number(q, "errors", -1), within = tr_question_number(q, "within", 60);
  if (!(errors < 1e9 && within >= 0 && within < 1e9)) {
    tr_question_fail(q, TR_EINVALID, "`errors` and `within` must be numbers below 1e9");
    return;
  }
  int rc = tr_runtime_reload(rt, options, NULL, NULL), secured = rc < 0 || options->to ? 0 : tr_secure_reload(rt);
  if (rc < 0 || secured) {
    tr_question_fail(q, secured ? secured : rc, rt->error.text);
    return;
  }
  tr_log_write(&rt->log, TR_LOG_INFO, "reload", "files=%d by=operator%s%s%s version=%u", rc, rc ? " names=\"" : "",
               rc ? tr_script_reloaded(rt->script) : "", rc ? "\"" : "", tr_script_number(rt->script));
  if (rc > 0 && errors >= 0) tr_probation_begin(rt, (uint32_t)errors, (tr_time)(within * 1e6));
  answer(q, rc, NULL);
}

void tr_question_reload(tr_question *q) {
  const char *type = tr_question_text(q, "type");
  if (type) {
    tr_question_workers(q, type);
    return;
  }
  const char *name = tr_question_text(q, "name");
  double to = tr_question_number(q, "to", 0);
  bool trial = false;
  const tr_value *value = tr_value_get(q->args, TR_SLICE_LITERAL("dry_run"));
  if (value) tr_value_as_boolean(value, &trial);
  if (!(to >= 0 && to < UINT32_MAX)) {
    tr_question_fail(q, TR_EINVALID, "`to` is not the number of a version");
    return;
  }
  tr_reload_options options = { .names = &name, .count = name ? 1 : 0, .to = (uint32_t)to, .trial = trial };
  if (trial) try_only(q, &options);
  else take(q, &options);
}
