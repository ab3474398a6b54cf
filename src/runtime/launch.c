/* SPDX-License-Identifier: MIT
 * Launched processes: the troupe program, serving one agent, over a socket that it was born with (net/process.h).
 *
 * A launched process is an uplink whose "please dial" starts a process. It is bound: only what is sent to its agent goes there
 * (core/remote.c), and every event, also those that came in by a door, since an agent there hears what it would hear here. What
 * comes from there may go on to wherever this process can send it. The other end is leaf.c.
 *
 * Its end is told to whoever waits, by what happened: the status or the signal, and its last line. One that crashed is
 * started again with a delay that doubles and is partly left to chance, its state begins anew. One that ended by itself with
 * status 0 (ctx:stop) is started when it is needed again. When this process ends, however it does, the stream ends, and
 * that is what a launched one ends by. */
#include "runtime/launch.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST 64
#define BACKOFF_FIRST TR_MILLISECONDS(50)
#define BACKOFF_MOST TR_SECONDS(5)
#define GOOD TR_SECONDS(10)   /* having run so long, the next crash is the first again */
#define PATIENCE TR_SECONDS(2) /* for a process that has closed its stream to end */
#define ARGS_MOST 64
#define ARGS_BYTES 65536

/* ---- what it writes ---- */

static tr_log_level level_of(tr_slice *line) {
  for (int level = TR_LOG_ERROR; level <= TR_LOG_DEBUG; level++) {
    const char *name = tr_log_level_name((tr_log_level)level);
    size_t n = strlen(name);
    if (line->n <= n || memcmp(line->p, name, n) != 0 || line->p[n] != ' ') continue;
    *line = tr_slice_make(line->p + n + 1, line->n - n - 1);
    return (tr_log_level)level;
  }
  return TR_LOG_WARN;
}

static void on_line(void *ud, bool error, tr_slice line) {
  tr_launched *l = ud;
  if (!error) {
    tr_runtime_print(l->rt, &l->rt->mem, line);
    return;
  }
  tr_log_level level = level_of(&line);
  if (line.n && level <= TR_LOG_WARN)
    snprintf(l->last, sizeof l->last, "%.*s", (int)tr_utf8_cut(line, sizeof l->last - 1), line.p);
  tr_log_write(&l->rt->log, level, "launched.log", "agent=%s pid=%d line=\"%.*s\"", l->id, tr_process_pid(l->process),
               (int)tr_utf8_cut(line, 1500), line.n ? line.p : "");
}

/* ---- the stream ---- */

static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  tr_launched *l = ud;
  tr_error error;
  tr_error_init(&error);
  (void)conn;
  tr_core_set_now(l->rt->core, tr_runtime_now(l->rt));
  return tr_worker_feed(l->worker, bytes, &error);
}
static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  tr_launched *l = ud;
  return l->conn == conn ? tr_worker_output(l->worker, out, limit) : 0;
}
static bool on_finished(void *ud, tr_net_conn *conn) {
  (void)ud;
  (void)conn;
  return false;
}
static void look(tr_launched *l);
static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  tr_launched *l = ud;
  (void)reason;
  if (l->conn != conn) return;
  l->conn = NULL;
  look(l);
}
static const tr_net_handlers handlers = { on_data, on_output, on_finished, on_closed };

/* ---- starting ---- */

static void on_ended(void *ud, int status, int number);
static void gone(tr_launched *l);

typedef struct words { const char *items[2 * ARGS_MOST + 2 * 64 + 20]; int count; } words;
static void add(words *w, const char *text) { w->items[w->count++] = text; }

static int spawn(tr_launched *l, tr_error *error) {
  troupe_t *rt = l->rt;
  words w = { .count = 0 };
  char allow[TR_RIGHTS_MAX];
  const char *program = rt->options.program && *rt->options.program ? rt->options.program : "troupe";
  add(&w, "troupe");
  add(&w, "launched");
  add(&w, "--log");
  add(&w, tr_log_level_name((tr_log_level)(rt->options.log ? rt->options.log_level : TROUPE_LOG_ERROR)));
  if (l->serves_moved) add(&w, "--moved");
  if (rt->watch) add(&w, "--watch");
  snprintf(allow, sizeof allow, "%s", l->allow);
  for (char *at = allow; *at;) { /* each with a newline behind it */
    char *end = strchr(at, '\n');
    *end = 0;
    add(&w, "--allow");
    add(&w, at);
    at = end + 1;
  }
  add(&w, "--agent");
  add(&w, l->id);
  add(&w, "--file");
  add(&w, l->file);
  add(&w, "--");
  for (size_t i = 0; i < l->argc; i++) add(&w, l->args[i]);
  add(&w, NULL);
  tr_process_options options = {
    .program = program, .argv = (char *const *)w.items, .handlers = &handlers, .handlers_ud = l, .line = on_line, .ended = on_ended, .ud = l,
  };
  return tr_process_start(rt->net, &options, &l->conn, &l->process, error);
}

static void start(tr_launched *l) {
  tr_error error;
  tr_error_init(&error);
  l->dialing = l->broken = false;
  l->last[0] = 0;
  l->started_at = tr_core_now(l->rt->core);
  if (!l->serves_moved) tr_core_set_uplink_events(l->rt->core, tr_worker_dest(l->worker), TR_UPLINK_ALL);
  if (spawn(l, &error)) {
    snprintf(l->last, sizeof l->last, "%.150s", error.text);
    l->exit_status = -1;
    gone(l);
    return;
  }
  tr_log_write(&l->rt->log, TR_LOG_INFO, "launched", "agent=%s pid=%d file=%s", l->id, tr_process_pid(l->process), l->file);
  tr_worker_connected(l->worker);
}

static void try_start(tr_launched *l) {
  if (!l->dialing || l->idle || l->stopping || l->process || l->conn || tr_timer_running(&l->timer)) return;
  start(l);
}

void tr_launched_want(tr_launched *l) {
  l->idle = false;
  try_start(l);
}

/* ---- ending ---- */

static void destroy(tr_launched *l) {
  tr_mem *mem = &l->rt->mem;
  l->stopping = true;
  if (l->owner) *l->owner = NULL;
  if (l->remote.agent) tr_agent_stop(l->rt->core, l->remote.agent, TR_EUNAVAILABLE, "the agent was stopped");
  tr_timer_stop(tr_core_timers(l->rt->core), &l->timer);
  tr_link_remove(&l->all);
  if (l->brought) tr_together_let_go(l->rt, l->id);
  tr_worker_free(l->worker);
  if (l->id) tr_free(mem, l->id, strlen(l->id) + 1);
  if (l->file) tr_free(mem, l->file, strlen(l->file) + 1);
  if (l->allow) tr_free(mem, l->allow, strlen(l->allow) + 1);
  for (size_t i = 0; i < l->argc; i++)
    if (l->args[i]) tr_free(mem, l->args[i], strlen(l->args[i]) + 1);
  tr_free(mem, l->args, l->argc * sizeof *l->args);
  TR_DELETE(mem, l);
}

static void on_timer(tr_timer *timer) {
  tr_launched *l = TR_CONTAINER(timer, tr_launched, timer);
  if (l->process) tr_process_kill(l->process, SIGKILL);
  else if (l->stopping && !l->conn && tr_worker_get_state(l->worker) == TR_WORKER_OFF) destroy(l);
  else if (!l->stopping) try_start(l);
}

static void timer_at(tr_launched *l, tr_time when) { tr_timer_start(tr_core_timers(l->rt->core), &l->timer, when, on_timer); }

static void describe(tr_launched *l, bool up) {
  char how[80];
  if (l->exit_signal) snprintf(how, sizeof how, "was ended by signal %d", l->exit_signal);
  else if (l->exit_status < 0) snprintf(how, sizeof how, "could not be started");
  else snprintf(how, sizeof how, "%s with status %d", up ? "ended" : "ended at its start", l->exit_status);
  bool quote = (l->exit_status || l->exit_signal || !up) && l->last[0];
  snprintf(l->why, sizeof l->why, "the process of %.100s %s%s%s", l->id, how, quote ? ": " : "", quote ? l->last : "");
}

static tr_time delay_of(const tr_launched *l) {
  tr_time delay = BACKOFF_FIRST;
  for (unsigned i = 1; i < l->failures && delay < BACKOFF_MOST; i++) delay *= 2;
  if (delay > BACKOFF_MOST) delay = BACKOFF_MOST;
  return delay / 2 + (tr_time)(tr_random_next(tr_core_random(l->rt->core)) % (uint64_t)(delay / 2 + 1));
}

/* The process and its stream have ended, or it could not be started. */
static void gone(tr_launched *l) {
  tr_core *core = l->rt->core;
  tr_time now = tr_core_now(core);
  bool up = tr_worker_host_is_troupe(l->worker) && l->exit_status >= 0;
  tr_timer_stop(tr_core_timers(core), &l->timer);
  describe(l, up);
  bool good = up && l->exit_status == 0 && l->exit_signal == 0;
  if (good || l->stopping) {
    l->idle = true;
    l->failures = 0;
    if (!l->serves_moved) tr_core_set_uplink_events(core, tr_worker_dest(l->worker), TR_UPLINK_NONE);
    tr_log_write(&l->rt->log, TR_LOG_INFO, "launched.ended", "agent=%s reason=\"%s\"", l->id, l->why);
  } else {
    l->failures = now - l->started_at >= GOOD ? 1 : l->failures + 1;
    l->broken = !up;
    tr_time delay = delay_of(l);
    tr_log_write(&l->rt->log, TR_LOG_WARN, "launched.ended", "agent=%s reason=\"%s\" again_in=%g", l->id, l->why, (double)delay / 1e6);
    timer_at(l, now + delay);
  }
  if (l->stopping) timer_at(l, now);
  l->dialing = false; /* where it dialed because the stream had ended before the process: it will again, and is not to be served before */
  tr_worker_disconnected(l->worker, l->why);
  if (l->broken) tr_worker_fail_all(l->worker, l->why);
  else if (l->idle && !l->stopping && !tr_worker_idle(l->worker)) tr_launched_want(l); /* something came too late for it */
}

static void look(tr_launched *l) {
  if (l->conn) return;
  if (l->process) timer_at(l, tr_core_now(l->rt->core) + PATIENCE);
  else gone(l);
}

static void on_ended(void *ud, int status, int number) {
  tr_launched *l = ud;
  l->process = NULL;
  l->exit_status = status;
  l->exit_signal = number;
  tr_core_set_now(l->rt->core, tr_runtime_now(l->rt));
  look(l);
}

void tr_launched_stop(tr_launched *l, tr_time deadline) {
  if (!l->stopping) {
    l->stopping = true;
    l->idle = true;
    tr_worker_stop(l->worker, deadline);
    timer_at(l, l->process ? deadline : tr_core_now(l->rt->core));
  } else if (l->process && tr_timer_running(&l->timer) && deadline < l->timer.when) {
    timer_at(l, deadline);
  }
}

/* ---- the worker's hooks ---- */

static void dial(void *ud, tr_worker *worker) {
  tr_launched *l = ud;
  (void)worker;
  l->dialing = true;
  try_start(l);
}
static void hang_up(void *ud, tr_worker *worker) {
  tr_launched *l = ud;
  (void)worker;
  l->dialing = false;
  if (!l->conn) return;
  tr_net_conn_drop(l->conn);
  l->conn = NULL;
  if (l->process && !l->stopping) timer_at(l, tr_core_now(l->rt->core) + PATIENCE);
}
static void dirty(void *ud, tr_worker *worker) {
  tr_launched *l = ud;
  (void)worker;
  if (l->conn) tr_net_conn_dirty(l->conn);
}
static void changed(void *ud, tr_worker *worker, tr_worker_state state, const char *reason) {
  tr_launched *l = ud;
  (void)worker;
  (void)reason;
  if (state == TR_WORKER_OFF && l->stopping && !l->process) timer_at(l, tr_core_now(l->rt->core));
}

/* ---- making ---- */

static int check_args(const tr_launch_plan *plan, tr_error *error) {
  size_t bytes = 0;
  if (plan->argc > ARGS_MOST) return tr_error_set(error, TR_EINVALID, "args: %zu are more than %d", plan->argc, ARGS_MOST);
  for (size_t i = 0; i < plan->argc; i++) {
    bytes += plan->args[i].n;
    if (memchr(plan->args[i].p ? plan->args[i].p : "", 0, plan->args[i].n))
      return tr_error_set(error, TR_EINVALID, "args[%zu]: a zero byte does not fit into an argument", i + 1);
  }
  if (bytes > ARGS_BYTES) return tr_error_set(error, TR_EINVALID, "args: %zu bytes are more than %d", bytes, ARGS_BYTES);
  return 0;
}

static bool fill(tr_launched *l, const tr_launch_plan *plan) {
  tr_mem *mem = &l->rt->mem;
  char id[2 * 4096 + 2];
  int n = snprintf(id, sizeof id, "%.*s/%.*s", TR_SLICE_ARG(plan->type), TR_SLICE_ARG(plan->key));
  l->id = tr_strndup(mem, id, (size_t)n);
  l->file = tr_strndup(mem, plan->file.p, plan->file.n);
  l->allow = tr_strndup(mem, plan->allow ? plan->allow : "", plan->allow ? strlen(plan->allow) : 0);
  if (plan->argc) l->args = tr_calloc(mem, plan->argc, sizeof *l->args);
  if (plan->argc && !l->args) return false;
  l->argc = plan->argc;
  bool good = l->id && l->file && l->allow;
  for (size_t i = 0; i < l->argc && good; i++) {
    l->args[i] = tr_strndup(mem, plan->args[i].p ? plan->args[i].p : "", plan->args[i].n);
    good = l->args[i] != NULL;
  }
  return good;
}

tr_launched *tr_launched_new(troupe_t *rt, const tr_launch_plan *plan, const tr_remote_ops *ops, tr_error *error) {
  size_t count = 0, most = rt->options.launch_max ? rt->options.launch_max : MOST;
  for (tr_link *at = rt->launched.next; at != &rt->launched; at = at->next) count++;
  if (count >= most) {
    tr_error_set(error, TR_ELIMIT, "%zu processes are launched already, as many as there may be", count);
    return NULL;
  }
  if (check_args(plan, error)) return NULL;
  if (tr_runtime_loop_open(rt)) {
    tr_error_set(error, rt->error.code, "%s", rt->error.text);
    return NULL;
  }
  tr_launched *l = TR_NEW(&rt->mem, tr_launched);
  tr_worker_options options = {
    .core = rt->core, .version = TR_VERSION, .max_message = TR_LAUNCHED_MAX_MESSAGE, .backoff_first = 2, .backoff_max = 2,
    .bound = true, .events = TR_UPLINK_NONE, .inside = true, .dial = dial, .hang_up = hang_up, .dirty = dirty, .changed = changed, .ud = l,
  };
  bool good = l != NULL;
  char address[240];
  if (l) {
    l->rt = rt;
    l->remote.ops = ops;
    l->idle = plan->lazy;
    l->serves_moved = plan->moved;
    tr_list_push(&rt->launched, &l->all);
    good = fill(l, plan);
    snprintf(address, sizeof address, "unix:%.200s", l->id ? l->id : ""); /* for its log lines; nobody dials it */
    options.address = address;
    if (good) l->worker = tr_worker_new(&options);
    if (!l->worker) {
      destroy(l);
      good = false;
    }
  }
  if (!good) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  return l;
}

bool tr_launched_same(const tr_launched *l, const tr_launch_plan *plan) {
  bool same = tr_slice_is(plan->file, l->file) && plan->argc == l->argc && strcmp(l->allow, plan->allow ? plan->allow : "") == 0;
  for (size_t i = 0; same && i < l->argc; i++) same = tr_slice_is(plan->args[i], l->args[i]);
  return same && !l->serves_moved;
}

/* ---- its agent ---- */

void tr_launched_send(tr_launched *l, tr_remote *remote, tr_msg *msg) {
  if (l->broken && tr_timer_running(&l->timer) && msg->kind == TR_MSG_REQUEST) {
    tr_msg_fail(msg, TR_EUNAVAILABLE, l->why);
  } else if (l->broken && tr_timer_running(&l->timer)) {
    tr_core_dead_letter(l->rt->core, msg, TR_EUNAVAILABLE, l->why);
    tr_remote_done(l->rt->core, remote);
  } else {
    tr_runtime_forward(l->rt, remote, tr_worker_dest(l->worker), msg);
    tr_launched_want(l);
  }
}

static void on_forward(tr_remote *remote, tr_msg *msg) { tr_launched_send(TR_CONTAINER(remote, tr_launched, remote), remote, msg); }

static void on_left(tr_remote *remote) {
  tr_launched *l = TR_CONTAINER(remote, tr_launched, remote);
  tr_launched_stop(l, tr_runtime_after(tr_core_now(l->rt->core), l->rt->drain));
}

static const tr_remote_ops ops = { .forward = on_forward, .left = on_left };

int tr_runtime_launch(void *ud, const tr_script_launch *asked, tr_error *error) {
  troupe_t *rt = ud;
  if (!tr_runtime_may(rt, "launch", NULL))
    return tr_error_set(error, TR_EPERMISSION, "scripts may not launch processes here (--allow launch grants it)");
  if (rt->stage != TR_STAGE_RUNNING) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is stopping");
  char allow[TR_RIGHTS_MAX];
  int rc = tr_runtime_narrow(rt, asked->allow, asked->allow_count, allow, sizeof allow, error);
  if (rc) return rc;
  tr_launch_plan plan = { .type = asked->type, .key = asked->key, .file = asked->file, .args = asked->args, .argc = asked->argc,
                          .allow = allow, .lazy = asked->lazy };
  tr_remote *old = tr_core_find_remote(rt->core, plan.type, plan.key);
  if (old && old->ops == &ops && tr_launched_same(TR_CONTAINER(old, tr_launched, remote), &plan)) return 0; /* the same again */
  tr_launched *l = tr_launched_new(rt, &plan, &ops, error);
  if (!l) return error->code;
  rc = old ? 0 : tr_together_bring(rt, plan.type, plan.key, NULL, error);
  l->brought = !old && !rc;
  if (!rc) rc = tr_core_add_remote(rt->core, plan.type, plan.key, &l->remote, error);
  if (rc) {
    destroy(l);
    return rc;
  }
  tr_worker_start(l->worker); /* dials: and so starts it, unless lazy */
  tr_runtime_sync_uplinks(rt); /* its type is known by the hosts above, too */
  return 0;
}

/* Stop what was launched under this id. */
int tr_runtime_stop_launched(void *ud, tr_slice type, tr_slice key, tr_error *error) {
  troupe_t *rt = ud;
  tr_remote *remote = tr_core_find_remote(rt->core, type, key);
  if (!remote || (remote->ops != &ops))
    return tr_error_set(error, TR_ENOT_FOUND, "%.*s/%.*s was not launched by this process", TR_SLICE_ARG(type), TR_SLICE_ARG(key));
  tr_agent_stop(rt->core, remote->agent, TR_EUNAVAILABLE, "the agent was stopped");
  return 0;
}

/* The file may have been replaced or removed since: the running one can still be reached on Linux. */
const char *tr_runtime_own_program(char *out, size_t size) {
  if (uv_exepath(out, &size) == 0 && access(out, X_OK) == 0) return out;
  return access("/proc/self/exe", X_OK) == 0 ? "/proc/self/exe" : NULL;
}

/* ---- all of them ---- */

void tr_runtime_stop_processes(troupe_t *rt, tr_time deadline) {
  for (tr_link *at = rt->launched.next, *next; at != &rt->launched; at = next) {
    next = at->next;
    tr_launched_stop(TR_CONTAINER(at, tr_launched, all), deadline);
  }
}

void tr_runtime_drop_processes(troupe_t *rt) {
  while (!tr_list_empty(&rt->launched)) {
    tr_launched *l = TR_CONTAINER(rt->launched.next, tr_launched, all);
    if (l->conn) tr_net_conn_drop(l->conn);
    if (l->process) tr_process_drop(l->process);
    l->conn = NULL;
    l->process = NULL;
    destroy(l);
  }
}

size_t tr_runtime_each_launched(const troupe_t *rt, void (*fn)(void *ud, const tr_launched_info *info), void *ud) {
  size_t count = 0;
  for (const tr_link *at = rt->launched.next; at != &rt->launched; at = at->next, count++) {
    const tr_launched *l = TR_CONTAINER(at, tr_launched, all);
    tr_launched_info info = { .id = l->id, .file = l->file, .pid = l->process ? tr_process_pid(l->process) : 0,
                              .failures = l->failures, .reason = l->why };
    if (fn) fn(ud, &info);
  }
  return count;
}
