/* SPDX-License-Identifier: MIT
 * The verb "reload" { name?, canary?, promote?, undo?, to?, again?, pin?, unpin?, errors?, within?, drain?, dry_run? } → { files, names, version, pinned?, canary? =
 * { version, keys }, drained? = { ended, cut, turns } } or, of a trial, { files, names, dry_run: true, agents }: what would become of each
 * type. An agent there is { type, change: "new" | "gone" | "changed", from, to, instances, busy, subscriptions: [added, removed], timers:
 * [added, removed] }; from and to are versions of its state. With a drain the answer comes when that is over. */
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

static void put_drained(tr_buf *out, const troupe_t *rt) {
  tr_buf_printf(out, ",\"drained\":{\"ended\":%zu,\"cut\":%zu", rt->draining.ended, rt->draining.cut);
  tr_question_put(out, ",\"turns\":", rt->draining.who);
  tr_buf_text(out, "}");
}

static void put_answer(tr_buf *out, const troupe_t *rt, int files, const report *told) {
  char keys[TR_CANARY_TEXT];
  uint32_t canary = tr_script_canary(rt->script, keys);
  tr_buf_printf(out, "{\"files\":%d,", files);
  tr_question_put(out, "\"names\":", files ? tr_script_reloaded(rt->script) : "");
  if (told) tr_buf_text(out, ",\"dry_run\":true");
  else tr_buf_printf(out, ",\"version\":%u", tr_script_number(rt->script));
  if (rt->pinned) tr_buf_text(out, ",\"pinned\":true");
  if (canary) {
    tr_buf_printf(out, ",\"canary\":{\"version\":%u", canary);
    tr_question_put(out, ",\"keys\":", keys);
    tr_buf_text(out, "}");
  }
  if (told) tr_report_put(out, told);
}

static void answer(tr_question *q, int files, const report *told) {
  tr_buf out;
  tr_buf_init(&out, &q->self->rt->mem);
  put_answer(&out, q->self->rt, files, told);
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

/* ---- with a drain: the answer comes when that is over, and the drain does not need anybody who waits for it ---- */

typedef struct waiting { tr_watcher watcher; troupe_t *rt; int files; } waiting;

static void on_look(tr_watcher *watcher) {
  waiting *self = TR_CONTAINER(watcher, waiting, watcher);
  tr_buf out;
  if (self->rt->draining.on) {
    watcher->due = tr_operator_now(self->rt->operator) + 20;
    return;
  }
  tr_buf_init(&out, &self->rt->mem);
  put_answer(&out, self->rt, self->files, NULL);
  put_drained(&out, self->rt);
  tr_buf_text(&out, "}");
  if (!out.failed) tr_admin_send(watcher->q->call, tr_buf_view(&out));
  int rc = out.failed ? TR_EMEMORY : 0;
  tr_buf_fini(&out);
  tr_watcher_end(watcher, rc, NULL);
}

static void on_end(tr_watcher *watcher) {
  waiting *self = TR_CONTAINER(watcher, waiting, watcher);
  TR_DELETE(&self->rt->mem, self);
}

static void answer_drained(tr_question *q, int files) {
  troupe_t *rt = q->self->rt;
  waiting *self = TR_NEW(&rt->mem, waiting);
  if (self) {
    *self = (waiting){ .watcher = { .due = tr_operator_now(q->self), .tick = on_look, .fini = on_end }, .rt = rt, .files = files };
    if (tr_watcher_begin(&self->watcher, q)) return;
    TR_DELETE(&rt->mem, self);
  }
  tr_question_fail(q, TR_EMEMORY, "it was reloaded, but there is no memory to wait for the drain");
}

/* ---- taking it ---- */

/* Certificates and tokens belong to files as they are; also where scripts are held back. */
static int reload_security(troupe_t *rt, int rc, const tr_reload_options *what) {
  if (what->to || what->promote || what->undo || (rc < 0 && !rt->pinned && !tr_script_reload_held(rt->script))) return 0;
  tr_error error = rt->error;
  int secured = tr_secure_reload(rt);
  if (!secured) rt->error = error;
  return secured;
}

static void take(tr_question *q, const tr_reload_order *order) {
  troupe_t *rt = q->self->rt;
  int rc = tr_runtime_reload_as(rt, order), secured = reload_security(rt, rc, &order->what);
  if (rc < 0 || secured) {
    tr_question_fail(q, secured ? secured : rc, rt->error.text);
    return;
  }
  char keys[TR_CANARY_TEXT] = "";
  uint32_t canary = tr_script_canary(rt->script, keys);
  tr_log_write(&rt->log, TR_LOG_INFO, "reload", "files=%d by=operator%s%s%s code=%u%s%s%s", rc, rc ? " names=\"" : "",
               rc ? tr_script_reloaded(rt->script) : "", rc ? "\"" : "", canary ? canary : tr_script_number(rt->script),
               canary ? " canary=\"" : order->what.promote ? " promoted=" : order->what.undo ? " undone=" : "", canary ? keys : order->what.promote || order->what.undo ? "true" : "",
               canary ? "\"" : "");
  if (order->drain >= 0) answer_drained(q, rc);
  else answer(q, rc, NULL);
}

void tr_question_reload(tr_question *q) {
  const char *type = tr_question_text(q, "type");
  if (type) {
    tr_question_workers(q, type);
    return;
  }
  const char *name = tr_question_text(q, "name");
  double to = tr_question_number(q, "to", 0), errors = tr_question_number(q, "errors", -1);
  double within = tr_question_number(q, "within", -1), drain = tr_question_number(q, "drain", -1);
  if (!(to >= 0 && to < UINT32_MAX && to == (double)(uint32_t)to)) {
    tr_question_fail(q, TR_EINVALID, "`to` is not the number of code");
    return;
  }
  if (!(errors < 1e9 && within < 1e9 && drain < 1e9)) {
    tr_question_fail(q, TR_EINVALID, "`errors`, `within` and `drain` must be numbers below 1e9");
    return;
  }
  tr_reload_order order = {
    .what = { .names = &name, .count = name ? 1 : 0, .to = (uint32_t)to, .canary = tr_question_text(q, "canary"),
              .promote = tr_question_flag(q, "promote"), .undo = tr_question_flag(q, "undo"), .again = tr_question_flag(q, "again"),
              .trial = tr_question_flag(q, "dry_run") },
    .watched = errors >= 0, .errors = errors >= 0 ? (uint32_t)errors : 0,
    .within = tr_question_seconds(within, -1), .drain = tr_question_seconds(drain, -1),
    .pin = tr_question_flag(q, "pin"), .unpin = tr_question_flag(q, "unpin"),
  };
  if (order.what.trial) try_only(q, &order.what);
  else take(q, &order);
}
