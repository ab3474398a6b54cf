/* SPDX-License-Identifier: MIT
 * Which agents are busy: at each interval the difference of what each one has counted.
 *
 * "top" { interval?, count?, limit?, sort? } → each interval { interval_s, agents, queued, turns_s, cpu, memory, rows = [ { id, state,
 * queued, queued_bytes, open, turns, turns_s, cpu, memory, failures, version, code } ] }: the `limit` rows with the most of `sort`, as many answers as `count`
 * says (0: until the asker leaves). cpu is the part of one processor: 0.25.
 *
 * Who does not take the answers gets fewer of them, not all of them later.
 *
 * How long turns run is measured while somebody asks, and by nobody else. What an agent had counted the time before is kept by its place
 * in memory: should another one have taken that since, its first difference is wrong by what the old one had done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/operator.h"

#define ROWS_MOST 1000
#define QUEUED_MOST 65536 /* bytes that a slow reader has not taken: until then the next answers are left out */

typedef struct counted { const tr_agent *agent; uint64_t turns; tr_time busy; } counted;
typedef struct counts { counted *items; size_t cap; } counts;

typedef struct row {
  tr_agent *agent;
  unsigned isolate;
  double key, turns_s, cpu;
  tr_script_agent about;
} row;

typedef enum { BY_CPU = 0, BY_TURNS, BY_QUEUED, BY_MEMORY, BY_FAILURES, BY_NONE } order;
static const char *const orders[] = { "cpu", "turns", "queued", "memory", "failures", NULL };

typedef struct top {
  tr_watcher watcher;
  troupe_t *rt;
  int64_t interval, last; /* ms */
  long left;              /* answers; 0: any number */
  order by;
  counts before, now;
  bool failed;
  double seconds;
  row *rows;              /* the best so far, the best first */
  size_t limit, count;
  size_t agents, queued, memory;
  double turns_s, cpu;
} top;

/* ---- what was counted ---- */

static counted *slot_of(const counts *all, const tr_agent *agent) {
  size_t at = ((uintptr_t)agent >> 4) * UINT64_C(0x9E3779B97F4A7C15) >> 20;
  for (at &= all->cap - 1; all->items[at].agent && all->items[at].agent != agent;) at = (at + 1) & (all->cap - 1);
  return &all->items[at];
}

static void drop(top *t, counts *all) {
  tr_free(&t->rt->mem, all->items, all->cap * sizeof *all->items);
  *all = (counts){ NULL, 0 };
}

static bool prepare(top *t, counts *all) {
  size_t agents = 0;
  for (unsigned i = 0; i < tr_isolates_of(t->rt); i++) {
    tr_core_stats stats;
    tr_core_get_stats(tr_core_of_isolate(t->rt, i), &stats);
    agents += stats.agents;
  }
  for (all->cap = 16; all->cap < 2 * agents + 2;) all->cap *= 2;
  all->items = tr_calloc(&t->rt->mem, all->cap, sizeof *all->items);
  if (!all->items) all->cap = 0;
  return all->items != NULL;
}

/* ---- the rows ---- */

static void keep(top *t, const row *new) {
  size_t at = t->count;
  if (t->count == t->limit && new->key <= t->rows[t->count - 1].key) return;
  if (t->count < t->limit) t->count++;
  else at--;
  for (; at > 0 && t->rows[at - 1].key < new->key; at--) t->rows[at] = t->rows[at - 1];
  t->rows[at] = *new;
}

static double key_of(const top *t, const row *r) {
  switch (t->by) {
  case BY_TURNS: return r->turns_s;
  case BY_QUEUED: return (double)tr_agent_mail_count(r->agent);
  case BY_MEMORY: return (double)r->about.memory;
  case BY_FAILURES: return r->about.failures;
  default: return r->cpu + r->turns_s * 1e-9; /* of an agent in C only the turns are known */
  }
}

static bool look_at(void *ud, tr_agent *agent, unsigned isolate) {
  top *t = ud;
  row r = { .agent = agent, .isolate = isolate };
  tr_script_agent_about(agent, &r.about);
  *slot_of(&t->now, agent) = (counted){ agent, agent->turns, r.about.busy };
  if (!t->before.items) return true;
  const counted *old = slot_of(&t->before, agent);
  uint64_t turns = old->agent && old->turns <= agent->turns ? agent->turns - old->turns : agent->turns;
  tr_time busy = old->agent && old->busy <= r.about.busy ? r.about.busy - old->busy : r.about.busy;
  r.turns_s = (double)turns / t->seconds;
  r.cpu = (double)busy / 1e6 / t->seconds;
  t->agents++;
  t->queued += tr_agent_mail_count(agent);
  t->memory += r.about.memory;
  t->turns_s += r.turns_s;
  t->cpu += r.cpu;
  r.key = key_of(t, &r);
  keep(t, &r);
  return true;
}

static void put_row(tr_buf *out, const row *r, const char *comma) {
  char id[2 * TR_ID_MAX + 2];
  tr_agent_name(r->agent, id, sizeof id);
  tr_buf_text(out, comma);
  tr_question_put(out, "{\"id\":", id);
  tr_buf_printf(out, ",\"state\":\"%s\",\"queued\":%zu,\"queued_bytes\":%llu,\"open\":%zu,\"turns\":%llu,\"turns_s\":%.1f,\"cpu\":%.4f", tr_agent_doing(r->agent),
                tr_agent_mail_count(r->agent), (unsigned long long)tr_agent_mail_bytes(r->agent), tr_agent_turn_count(r->agent), (unsigned long long)r->agent->turns, r->turns_s, r->cpu);
  tr_buf_printf(out, ",\"memory\":%zu,\"failures\":%u,\"version\":%lld,\"code\":%u,\"isolate\":%u}", r->about.memory, r->about.failures,
                (long long)r->about.version, r->about.number, r->isolate);
}

static void tell(top *t) {
  tr_buf out;
  tr_buf_init(&out, &t->rt->mem);
  tr_buf_printf(&out, "{\"interval_s\":%.3f,\"agents\":%zu,\"queued\":%zu,\"turns_s\":%.1f,\"cpu\":%.4f,\"memory\":%zu,\"rows\":[", t->seconds, t->agents,
                t->queued, t->turns_s, t->cpu, t->memory);
  for (size_t i = 0; i < t->count; i++) put_row(&out, &t->rows[i], i ? "," : "");
  tr_buf_text(&out, "]}");
  if (!out.failed) tr_admin_send(t->watcher.q->call, tr_buf_view(&out));
  t->failed = out.failed;
  tr_buf_fini(&out);
}

/* One look at all; with the one before it, an answer. */
static bool sample(top *t) {
  int64_t now = tr_operator_now(t->watcher.q->self);
  t->seconds = now > t->last ? (double)(now - t->last) / 1e3 : 1e-3;
  t->last = now;
  t->count = t->agents = t->queued = t->memory = 0;
  t->turns_s = t->cpu = 0;
  tr_crew_pause(t->rt->crew); /* what the rows point at stays until they are told */
  bool good = prepare(t, &t->now);
  if (good) tr_agents_each(t->rt, look_at, t);
  if (good && t->before.items) tell(t);
  tr_crew_resume(t->rt->crew);
  drop(t, &t->before);
  t->before = t->now;
  t->now = (counts){ NULL, 0 };
  return good && !t->failed;
}

static bool is_taken(const top *t) { return tr_admin_queued(t->watcher.q->call) <= QUEUED_MOST; }

static void measure(troupe_t *rt, bool wanted) {
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; i < tr_isolates_of(rt); i++) tr_script_time(tr_script_of_isolate(rt, i), wanted);
  tr_crew_resume(rt->crew);
}

static void on_tick(tr_watcher *watcher) {
  top *t = TR_CONTAINER(watcher, top, watcher);
  watcher->due += t->interval;
  if (!is_taken(t)) return;
  if (!sample(t)) tr_watcher_end(watcher, TR_EMEMORY, NULL);
  else if (t->left && --t->left == 0) tr_watcher_end(watcher, 0, NULL);
}

static void on_end(tr_watcher *watcher) {
  top *t = TR_CONTAINER(watcher, top, watcher);
  measure(t->rt, false);
  drop(t, &t->before);
  tr_free(&t->rt->mem, t->rows, t->limit * sizeof *t->rows);
  TR_DELETE(&t->rt->mem, t);
}

void tr_answer_top(tr_question *q) {
  troupe_t *rt = q->self->rt;
  const char *sort = tr_question_text(q, "sort");
  order by = BY_CPU;
  while (sort && by < BY_NONE && strcmp(sort, orders[by])) by++;
  if (by == BY_NONE) {
    tr_question_fail(q, TR_EINVALID, "sort: it is one of cpu, turns, queued, memory, failures");
    return;
  }
  double limit = tr_question_number(q, "limit", 20), count = tr_question_number(q, "count", 0);
  tr_time interval = tr_question_seconds(tr_question_number(q, "interval", 1), TR_SECONDS(1));
  top *t = TR_NEW(&rt->mem, top);
  size_t rows = limit >= 1 && limit <= ROWS_MOST ? (size_t)limit : ROWS_MOST;
  row *space = t ? tr_calloc(&rt->mem, rows, sizeof *space) : NULL;
  if (!space) {
    if (t) TR_DELETE(&rt->mem, t);
    tr_question_fail(q, TR_EMEMORY, NULL);
    return;
  }
  *t = (top){ .rt = rt, .by = by, .limit = rows, .rows = space, .left = count >= 1 && count < 1e9 ? (long)count : 0,
              .interval = interval < TR_MILLISECONDS(50) ? 50 : interval / 1000,
              .watcher = { .tick = on_tick, .fini = on_end, .q = q } };
  t->last = tr_operator_now(q->self);
  t->watcher.due = t->last + t->interval;
  measure(rt, true);
  bool good = tr_watcher_begin(&t->watcher, q);
  if (!good) {
    on_end(&t->watcher);
    tr_question_fail(q, TR_EUNAVAILABLE, "this process has no event loop");
  } else if (!sample(t)) {
    tr_watcher_end(&t->watcher, TR_EMEMORY, NULL);
  }
}
