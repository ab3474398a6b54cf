/* SPDX-License-Identifier: MIT
 * The stage of worker_stage.h: time, bytes, hosts, processes. */
#include "worker_stage.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what lives until the end of the case ---- */

typedef struct kept { struct kept *next; void *p; } kept;
static kept *all_kept;

void *keep(size_t size) {
  kept *k = calloc(1, sizeof *k);
  k->p = calloc(1, size ? size : 1);
  k->next = all_kept;
  all_kept = k;
  return k->p;
}

static void drop_kept(void) {
  while (all_kept) {
    kept *next = all_kept->next;
    free(all_kept->p);
    free(all_kept);
    all_kept = next;
  }
}

/* ---- the log ---- */

static void sink(void *ud, tr_log_level level, const char *event, const char *text) {
  stage *s = ud;
  (void)level;
  if (getenv("WORKER_TRACE")) printf("%8.3f %s %s\n", (double)s->now / 1e6, event, text);
  for (size_t i = 0; i < sizeof s->lines / sizeof *s->lines; i++) {
    if (s->lines[i].count && strcmp(s->lines[i].event, event) != 0) continue;
    snprintf(s->lines[i].event, sizeof s->lines[i].event, "%s", event);
    snprintf(s->lines[i].last, sizeof s->lines[i].last, "%s", text);
    s->lines[i].count++;
    return;
  }
}

unsigned stage_logged(const stage *s, const char *event) {
  for (size_t i = 0; i < sizeof s->lines / sizeof *s->lines; i++)
    if (s->lines[i].count && strcmp(s->lines[i].event, event) == 0) return s->lines[i].count;
  return 0;
}

const char *stage_line(const stage *s, const char *event) {
  for (size_t i = 0; i < sizeof s->lines / sizeof *s->lines; i++)
    if (s->lines[i].count && strcmp(s->lines[i].event, event) == 0) return s->lines[i].last;
  return "";
}

/* ---- the stage ---- */

stage *stage_new(void) {
  stage *s = keep(sizeof *s);
  tr_mem_init(&s->mem);
  s->now = TR_SECONDS(1000);
  s->log = (tr_log){ .level = TR_LOG_DEBUG, .sink = sink, .ud = s };
  tr_random_init(&s->random, 4711);
  return s;
}

tr_mem *stage_mem(stage *s) { return &s->mem; }

void stage_free(stage *s) {
  while (s->procs) proc_free(s->procs);
  for (place *at = s->places; at; at = at->next) {
    if (at->host) {
      tr_host_free(at->host);
      tr_core_free(at->core);
    } else {
      fake_free(at);
    }
  }
  CHECK_INT(s->mem.used, ==, 0);
  drop_kept();
}

/* ---- bytes ---- */

typedef int (*feed_fn)(void *to, tr_slice bytes);

static int travel(stage *s, tr_slice bytes, feed_fn feed, void *to) {
  while (bytes.n > 0) {
    size_t n = bytes.n;
    if (s->piece && n > s->piece) n = 1 + (size_t)(tr_random_next(&s->random) % s->piece);
    int rc = feed(to, tr_slice_make(bytes.p, n));
    if (rc < 0) return rc;
    bytes.p += n;
    bytes.n -= n;
  }
  return 0;
}

static int feed_worker(void *to, tr_slice bytes) {
  proc *p = to;
  tr_error error;
  tr_error_init(&error);
  return p->up ? tr_worker_feed(p->worker, bytes, &error) : 0;
}
static int feed_host(void *to, tr_slice bytes) {
  tr_error error;
  tr_error_init(&error);
  return tr_host_feed(to, bytes, &error);
}

static void close_far(proc *p) {
  if (p->host_conn) tr_host_conn_closed(p->host_conn);
  p->host_conn = NULL;
  if (p->fake && p->fake->rpc) tr_rpc_conn_free(p->fake->rpc);
  if (p->fake) p->fake->rpc = NULL;
  p->fake = NULL;
}

static void broken(proc *p, const char *reason) {
  close_far(p);
  if (!p->up) return;
  p->up = false;
  tr_worker_disconnected(p->worker, reason);
}

void proc_cut(proc *p) { broken(p, "connection reset by peer"); }

/* Does the connection break while these bytes travel? Then only some of them arrive. */
static bool breaks(stage *s, tr_slice *bytes) {
  if (!s->cut_one_in || !bytes->n || tr_random_next(&s->random) % s->cut_one_in) return false;
  bytes->n = (size_t)(tr_random_next(&s->random) % (bytes->n + 1));
  s->cuts++;
  return true;
}

/* One round of bytes; true: some moved. */
static bool move_bytes(proc *p) {
  tr_buf out;
  tr_buf_init(&out, &p->on->mem);
  int to_far = 0, to_worker = 0;
  bool moved = false;
  if (!p->up && (p->fake || p->host_conn)) close_far(p); /* the worker hung up */
  if (!p->up || p->stalled) return false;
  p->dirty = false;
  tr_worker_output(p->worker, &out, 16384);
  p->written += out.len;
  moved = out.len > 0;
  tr_slice bytes = tr_buf_view(&out);
  bool cut = breaks(p->on, &bytes);
  if (p->host_conn) to_far = travel(p->on, bytes, feed_host, p->host_conn);
  else if (p->fake->rpc) to_far = travel(p->on, bytes, fake_feed, p->fake);
  tr_buf_clear(&out);
  if (p->up && p->host_conn) tr_host_output(p->host_conn, &out, 16384);
  else if (p->up && p->fake->rpc) fake_output(p->fake, &out);
  moved = moved || out.len > 0;
  bytes = tr_buf_view(&out);
  cut = cut || breaks(p->on, &bytes);
  to_worker = travel(p->on, bytes, feed_worker, p);
  tr_buf_fini(&out);
  if (cut) {
    proc_cut(p);
    return true;
  }
  if (to_worker < 0) p->feed_result = to_worker;
  moved = moved || p->dirty;
  bool over = to_far < 0 || to_worker < 0 || (p->host_conn && tr_host_conn_finished(p->host_conn)) || (p->fake && !p->fake->rpc);
  if (over && p->up && out.len == 0) broken(p, "closed by the peer");
  return moved || over;
}

static bool try_dial(proc *p) {
  if (!p->wants_dial) return false;
  place *at = p->target;
  tr_error error;
  tr_error_init(&error);
  p->wants_dial = false;
  p->dials++;
  if (!at || at->down) {
    tr_worker_disconnected(p->worker, "connection refused");
    return true;
  }
  if (at->host) p->host_conn = tr_host_accept(at->host, tr_slice_of("10.0.0.1:1"), p, &error);
  else p->fake = fake_accept(at);
  p->up = p->host_conn || p->fake;
  if (p->up) tr_worker_connected(p->worker);
  else tr_worker_disconnected(p->worker, "connection refused");
  return true;
}

static void set_time(stage *s) {
  for (proc *p = s->procs; p; p = p->next) tr_core_set_now(p->core, s->now);
  for (place *at = s->places; at; at = at->next)
    if (at->core) tr_core_set_now(at->core, s->now);
}

void stage_run(stage *s) {
  bool moved = true;
  set_time(s);
  for (int rounds = 0; moved; rounds++) {
    moved = false;
    if (rounds > 100000) CHECK_FAIL("this never comes to rest");
    for (proc *p = s->procs; p; p = p->next) moved = tr_core_step(p->core, s->now, 0) || moved;
    for (place *at = s->places; at; at = at->next)
      if (at->host) moved = tr_core_step(at->core, s->now, 0) || moved;
    for (proc *p = s->procs; p; p = p->next) {
      moved = try_dial(p) || moved;
      moved = move_bytes(p) || moved;
      moved = tr_core_next_deadline(p->core) <= s->now || moved;
    }
    for (place *at = s->places; at; at = at->next)
      if (at->host) moved = tr_core_next_deadline(at->core) <= s->now || moved;
  }
}

void stage_sleep(stage *s, tr_time time) {
  tr_time end = s->now + time;
  stage_run(s);
  while (s->now < end) {
    tr_time next = end;
    for (proc *p = s->procs; p; p = p->next)
      if (tr_core_next_deadline(p->core) < next) next = tr_core_next_deadline(p->core);
    for (place *at = s->places; at; at = at->next)
      if (at->host && tr_core_next_deadline(at->core) < next) next = tr_core_next_deadline(at->core);
    s->now = next > s->now ? next : s->now + 1;
    stage_run(s);
  }
}

/* ---- troupe's host ---- */

place *place_new(stage *s) {
  place *at = keep(sizeof *at);
  at->on = s;
  at->next = s->places;
  s->places = at;
  return at;
}

static void host_dirty(void *ud, tr_host_conn *conn) { (void)ud; (void)conn; }

place *host_new_of(stage *s, tr_mem *mem) {
  tr_core_options options = { .mem = mem, .log = &s->log, .seed = 99, .now = s->now };
  tr_core *core = tr_core_new(&options);
  tr_host_options o = { .core = core, .version = "1", .dirty = host_dirty };
  tr_host *host = core ? tr_host_new(&o) : NULL;
  if (!host) {
    if (core) tr_core_free(core);
    return NULL;
  }
  place *at = place_new(s);
  at->core = core;
  at->host = host;
  at->troupe = true;
  return at;
}

place *host_new(stage *s) { return host_new_of(s, &s->mem); }

/* ---- processes ---- */

static void on_dial(void *ud, tr_worker *worker) {
  (void)worker;
  ((proc *)ud)->wants_dial = true;
}
static void on_hang_up(void *ud, tr_worker *worker) {
  proc *p = ud;
  (void)worker;
  p->up = p->wants_dial = false; /* the far side notices in the next round */
  p->hang_ups++;
}
static void on_dirty(void *ud, tr_worker *worker) {
  (void)worker;
  ((proc *)ud)->dirty = true;
}
static void on_changed(void *ud, tr_worker *worker, tr_worker_state state, const char *reason) {
  proc *p = ud;
  (void)worker;
  p->state = state;
  if (state == TR_WORKER_JOINED) p->joins++;
  if (state == TR_WORKER_JOINED && tr_worker_rejoins(worker)) p->rejoins++;
  if (getenv("WORKER_TRACE")) printf("%8.3f changed %d %s\n", (double)p->on->now / 1e6, state, reason ? reason : "");
  if (!reason) return;
  p->reasons++;
  snprintf(p->reason, sizeof p->reason, "%s", reason);
}
static void on_dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  proc *p = ud;
  (void)msg;
  p->dead_letters++;
  p->dead_code = code;
  snprintf(p->dead_reason, sizeof p->dead_reason, "%s", reason);
}

proc *proc_new(stage *s, tr_mem *mem, place *target, const tr_worker_options *tweaks) {
  static const tr_worker_options defaults = { .register_types = true };
  proc *p = keep(sizeof *p);
  unsigned n = 1;
  for (proc *q = s->procs; q; q = q->next) n++;
  p->on = s;
  p->target = target;
  tr_core_options options = { .mem = mem ? mem : &s->mem, .log = &s->log, .seed = n, .now = s->now,
                              .hooks = { .dead_letter = on_dead_letter, .ud = p } };
  p->core = tr_core_new(&options);
  if (!p->core) return NULL;
  tr_worker_options o = tweaks ? *tweaks : defaults;
  o.core = p->core;
  o.address = "127.0.0.1:50051";
  o.version = "1";
  o.dial = on_dial;
  o.hang_up = on_hang_up;
  o.dirty = on_dirty;
  o.changed = on_changed;
  o.ud = p;
  p->worker = tr_worker_new(&o);
  if (!p->worker) {
    tr_core_free(p->core);
    return NULL;
  }
  p->next = s->procs;
  s->procs = p;
  return p;
}

void proc_free(proc *p) {
  proc **at = &p->on->procs;
  while (*at != p) at = &(*at)->next;
  *at = p->next;
  tr_worker_free(p->worker);
  close_far(p);
  tr_core_free(p->core);
}
