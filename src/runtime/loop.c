/* SPDX-License-Identifier: MIT
 * Working and waiting: one turn of the libuv loop is "run ready agents, flush sockets, sleep until a socket or a timer".
 *
 * Agents run in the prepare handle, just before the loop would sleep: everything that a batch of socket reads brought is handled
 * together, and what it caused is written once. An idle handle keeps the loop awake only while agents are ready; the core's next timer
 * is the loop's one timer. So nothing polls, and an idle runtime uses no CPU. */
#include "runtime/isolate.h"
#include "runtime/record.h"
#include "runtime/secure.h"
#include "runtime/state.h"

#define SLICE_TURNS 256       /* turns between two looks at the sockets */
#define CLOSE_ROUNDS 10000

static void on_timer(uv_timer_t *timer) { ((troupe_t *)timer->data)->timer_at = TR_NEVER; }
static void on_busy(uv_idle_t *idle) { (void)idle; }

/* When something is due next. */
static tr_time next_time(const troupe_t *rt) {
  tr_time next = tr_core_next_deadline(rt->core);
  if (rt->stage != TR_STAGE_RUNNING && rt->stop_deadline < next) next = rt->stop_deadline;
  if (rt->stage == TR_STAGE_GIVE && rt->give_deadline < next) next = rt->give_deadline;
  tr_time saves = tr_runtime_saves_next(rt), stores = tr_runtime_store_next(rt);
  if (saves < next) next = saves;
  return stores < next ? stores : next;
}

/* Make the loop sleep exactly as long as the core allows. */
static void arm(troupe_t *rt, bool more) {
  if (more) uv_idle_start(&rt->busy, on_busy);
  else uv_idle_stop(&rt->busy);
  tr_time next = next_time(rt);
  if (rt->until_idle && rt->until < next) next = rt->until;
  if (next == rt->timer_at) return;
  rt->timer_at = next;
  if (next == TR_NEVER) {
    uv_timer_stop(&rt->timer);
    return;
  }
  uv_update_time(rt->loop);
  tr_time wait = next - tr_runtime_now(rt);
  uv_timer_start(&rt->timer, on_timer, wait <= 0 ? 0 : (uint64_t)((wait + 999) / 1000), 0);
}

static void start_loaded(troupe_t *rt) {
  if (rt->started) return;
  rt->started = true;
  tr_error error;
  tr_error_init(&error);
  if (tr_together_start(rt, &error))
    tr_log_write(&rt->log, TR_LOG_ERROR, "start", "%s: %s", tr_error_name(error.code), error.text);
}

static void on_dropped(void *ud, const tr_agent *agent, size_t turns, size_t mail) {
  const troupe_t *rt = ud;
  tr_log_write(&rt->log, TR_LOG_WARN, "drain.dropped", "agent=%s/%s turns=%zu messages=%zu closing=%s",
               tr_class_type(agent->class_)->text, agent->key->text, turns, mail, tr_agent_is_closing(agent) ? "yes" : "no");
}

static void begin_ending(troupe_t *rt) {
  tr_error error;
  tr_error_init(&error);
  rt->ending = tr_state_end_begin(rt, &error);
  if (rt->ending) return;
  tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s\"", rt->state_path, error.text);
  if (rt->exit_status == 0) rt->exit_status = 1;
}

static void begin_drain(troupe_t *rt) {
  rt->stage = TR_STAGE_DRAIN;
  tr_together_drain(rt);
}

/* Nothing is handled any more: mail is stored, what is left is reported, close hooks begin. */
static void begin_closing(troupe_t *rt) {
  rt->stage = TR_STAGE_CLOSE;
  tr_runtime_saves_step(rt); /* those that wait hear of it */
  tr_together_pause(rt, true);
  if (rt->recorder) tr_record_end(rt);
  if (rt->state_path) begin_ending(rt);
  tr_together_drop(rt, on_dropped);
  rt->in_poll = true;
  tr_together_close(rt, rt->stop_deadline);
  tr_together_resume(rt);
  rt->in_poll = false;
}

/* One step of ending (tr_stage); each returns at once. */
static void stop_step(troupe_t *rt, tr_time now) {
  if (rt->stage == TR_STAGE_GIVE && (!rt->giving || now >= rt->give_deadline)) begin_drain(rt);
  if (rt->stage == TR_STAGE_DRAIN && (tr_together_idle(rt, false) || now >= rt->stop_deadline)) begin_closing(rt);
  bool closed = rt->stage == TR_STAGE_CLOSE && tr_together_closed(rt);
  if (closed || (rt->stage == TR_STAGE_CLOSE && now >= rt->stop_deadline)) {
    if (!closed) tr_together_drop(rt, on_dropped);
    tr_together_pause(rt, false);
    if (rt->ending) tr_runtime_save_at_end(rt);
    tr_runtime_store_last(rt);
    tr_together_resume(rt);
    rt->stage = TR_STAGE_LEAVE;
    /* Even a drain that used up its time has this long to say good-bye. */
    if (rt->stop_deadline < now + TR_MILLISECONDS(500)) rt->stop_deadline = now + TR_MILLISECONDS(500);
    tr_runtime_leave(rt, rt->stop_deadline);
  }
  if (rt->stage == TR_STAGE_LEAVE && (tr_runtime_left(rt) || now >= rt->stop_deadline)) rt->stage = TR_STAGE_DONE;
  if (rt->stage == TR_STAGE_DONE && rt->loop) uv_stop(rt->loop); /* or it would sleep once more */
}

/* What other isolates sent. */
static void take_in(troupe_t *rt, tr_time now) {
  tr_core_set_now(rt->core, now);
  tr_crew_serve(rt->crew);
  tr_crew_look_at_clock(rt->crew);
  tr_crew_look_outward(rt->crew);
  tr_isolate_receive(rt->crew->isolates[0]);
}

static void flush(troupe_t *rt) {
  tr_sigpipe held = { false, false, false };
  if (!rt->net) return;
  if (!rt->in_loop) tr_sigpipe_hold(rt, &held);
  tr_net_flush(rt->net);
  tr_sigpipe_release(&held);
}

int tr_runtime_work(troupe_t *rt, int64_t budget_us) {
  start_loaded(rt);
  tr_time begin = tr_runtime_now(rt), now = begin;
  int more;
  rt->in_poll = true;
  do {
    if (rt->crew) take_in(rt, now);
    more = tr_script_step(rt->script, now, SLICE_TURNS);
    now = tr_runtime_now(rt);
    if (rt->crew && !tr_list_empty(&rt->moves)) tr_runtime_moves_step(rt);
    if (rt->crew) more |= !tr_inbox_empty(&rt->crew->isolates[0]->inbox);
  } while (more && (budget_us == 0 || now - begin < budget_us));
  rt->in_poll = false;
  if (tr_probation_is_over(rt)) tr_probation_go_back(rt);
  if (rt->draining.due) tr_drain_look(rt);
  if (!tr_list_empty(&rt->saves)) {
    tr_runtime_saves_step(rt);
    if (tr_list_empty(&rt->saves)) more = 1; /* who was held goes on */
  }
  if (!tr_list_empty(&rt->unstored)) tr_runtime_store_again(rt);
  if (rt->stage != TR_STAGE_RUNNING) stop_step(rt, now);
  flush(rt);
  return more;
}

/* Nothing can happen any more: no door, no work, no timer, no program, no end under way. */
static bool at_end(troupe_t *rt) {
  return rt->started && rt->stage == TR_STAGE_RUNNING && !tr_runtime_has_door(rt) && tr_list_empty(&rt->saves) &&
         !tr_script_programs_running(rt->script) && tr_together_idle(rt, true) && !tr_runtime_luv_alive(rt);
}

static void on_prepare(uv_prepare_t *prepare) {
  troupe_t *rt = prepare->data;
  arm(rt, tr_runtime_work(rt, 1) != 0); /* one slice, then the sockets get their turn */
  if (at_end(rt) || (rt->until_idle && tr_together_idle(rt, false))) uv_stop(rt->loop); /* or it would sleep for ever */
}

int tr_runtime_loop_open(troupe_t *rt) {
  if (rt->loop) return 0;
  int rc = uv_loop_init(&rt->loop_storage);
  if (rc < 0) return tr_runtime_fail(rt, TR_EIO, "cannot make an event loop: %s", uv_strerror(rc));
  rt->net = tr_net_new(&rt->mem, &rt->log, &rt->loop_storage);
  if (!rt->net) {
    uv_loop_close(&rt->loop_storage);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  rt->loop = &rt->loop_storage;
  tr_secure_apply(rt);
  uv_prepare_init(rt->loop, &rt->prepare);
  uv_timer_init(rt->loop, &rt->timer);
  uv_idle_init(rt->loop, &rt->busy);
  rt->prepare.data = rt->timer.data = rt->busy.data = rt;
  uv_prepare_start(&rt->prepare, on_prepare); /* counts as alive: a loop with nothing else would not run it */
  return 0;
}

uv_loop_t *tr_runtime_loop(troupe_t *rt) { return tr_runtime_loop_open(rt) ? NULL : rt->loop; }

static void close_if_open(uv_handle_t *handle, void *ud) {
  (void)ud;
  if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

void tr_runtime_loop_close(troupe_t *rt) {
  tr_sigpipe held;
  if (!rt->loop) return;
  tr_sigpipe_hold(rt, &held);
  uv_prepare_stop(&rt->prepare);
  tr_script_luv_close(rt->script);
  tr_runtime_close_fetcher(rt);
  tr_runtime_close_servers(rt);
  if (rt->watch) tr_watch_close(rt->watch);
  tr_net_close(rt->net);
  for (int i = 0; i < CLOSE_ROUNDS && !tr_net_idle(rt->net); i++) uv_run(rt->loop, UV_RUN_ONCE);
  uv_walk(rt->loop, close_if_open, NULL);
  uv_run(rt->loop, UV_RUN_DEFAULT);
  uv_loop_close(rt->loop);
  tr_net_free(rt->net);
  rt->loop = NULL;
  rt->net = NULL;
  rt->watch = NULL;
  tr_sigpipe_release(&held);
  tr_runtime_free_signals(rt);
}

bool tr_runtime_has_door(const troupe_t *rt) {
  return rt->listeners > 0 || !tr_list_empty(&rt->uplinks) || rt->watch || !tr_list_empty(&rt->launched) || tr_runtime_next_served(rt, NULL);
}

/* One turn of the loop; callbacks of sockets and timers run inside it. */
static void turn_loop(troupe_t *rt, uv_run_mode mode) {
  tr_sigpipe held;
  tr_sigpipe_hold(rt, &held);
  rt->in_loop = true;
  uv_run(rt->loop, mode);
  rt->in_loop = false;
  tr_sigpipe_release(&held);
}

/* Working is not re-entrant: a callback must not begin it again. */
static int begin_work(troupe_t *rt, const char *what) {
  tr_runtime_error(rt);
  return rt->in_poll || rt->in_loop ? tr_runtime_fail(rt, TR_EINVALID, "%s was called from inside a callback of the same runtime", what) : 0;
}

int64_t troupe_next_deadline(troupe_t *rt) {
  if (!rt->started) return 0;
  tr_time now = tr_runtime_now(rt), next = tr_core_next_deadline(rt->core);
  if (next == TR_NEVER) return -1;
  return next > now ? next - now : 0;
}

int troupe_run(troupe_t *rt) {
  int rc = begin_work(rt, "troupe_run");
  if (rc == 0) rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  while (rt->stage != TR_STAGE_DONE && !at_end(rt)) turn_loop(rt, UV_RUN_ONCE);
  return rt->exit_status;
}

/* Sleep until a socket, a timer of the core, or the end. */
static void sleep_until(troupe_t *rt, tr_time end) {
  rt->until_idle = true;
  rt->until = end; /* the core's own timers wake the loop; the limit needs one too */
  arm(rt, false);
  turn_loop(rt, UV_RUN_ONCE);
  rt->until_idle = false;
}

static bool others_work(troupe_t *rt) { return !tr_inbox_empty(&rt->crew->isolates[0]->inbox) || !tr_crew_is(rt->crew, TR_STATUS_ASLEEP); }

int troupe_poll(troupe_t *rt, int64_t budget_us) {
  int rc = begin_work(rt, "troupe_poll");
  if (rc) return rc;
  tr_time end = tr_runtime_after(tr_runtime_now(rt), budget_us > 0 ? budget_us : 0);
  if (rt->loop) turn_loop(rt, UV_RUN_NOWAIT);
  int more = tr_runtime_work(rt, budget_us);
  if (!rt->crew || more || !others_work(rt)) return more;
  while (tr_runtime_now(rt) < end && !more && others_work(rt)) {
    sleep_until(rt, end);
    more = tr_runtime_work(rt, 1);
  }
  return more || others_work(rt);
}

void tr_runtime_wait(troupe_t *rt, tr_time end) {
  start_loaded(rt);
  tr_time now = tr_runtime_now(rt);
  rt->in_poll = true;
  if (rt->crew) take_in(rt, now);
  int more = tr_script_step(rt->script, now, SLICE_TURNS);
  rt->in_poll = false;
  tr_runtime_saves_step(rt);
  if (tr_list_empty(&rt->saves)) return;
  flush(rt);
  if (!more) sleep_until(rt, end);
}

int troupe_run_until_idle(troupe_t *rt, int64_t limit_us) {
  int rc = begin_work(rt, "troupe_run_until_idle");
  if (rc == 0) rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  tr_time end = tr_runtime_after(tr_runtime_now(rt), limit_us);
  for (;;) {
    if (tr_runtime_work(rt, 0) == 0 && tr_together_idle(rt, false)) return 0;
    tr_time now = tr_runtime_now(rt);
    if (now >= end) return tr_runtime_fail(rt, TR_ETIMEOUT, "still busy after %lld ms", (long long)(limit_us / 1000));
    sleep_until(rt, end);
  }
}

void troupe_stop(troupe_t *rt, int64_t drain_us) {
  tr_time deadline = tr_runtime_after(tr_runtime_now(rt), drain_us > 0 ? drain_us : 0);
  if (rt->stage == TR_STAGE_RUNNING) {
    rt->stop_deadline = deadline;
    rt->give_deadline = deadline - (drain_us > 0 ? drain_us / 3 : 0);
    rt->stage = TR_STAGE_GIVE;
    if (drain_us <= 0 || !tr_shared_give(rt)) begin_drain(rt);
  } else if (deadline < rt->stop_deadline) {
    rt->stop_deadline = rt->give_deadline = deadline;
    if (rt->stage == TR_STAGE_LEAVE) rt->stage = TR_STAGE_DONE; /* asked twice: at once */
  }
}

void tr_runtime_on_exit(void *ud, int status) {
  troupe_t *rt = ud;
  if (rt->stay) {
    rt->stay->ended(rt->stay_ud, status);
    return;
  }
  if (!rt->exit_status) rt->exit_status = status; /* ctx:exit(3), and then the program returns */
  troupe_stop(rt, rt->drain);
}

void tr_runtime_exit(troupe_t *rt, int status) {
  rt->stay = NULL;
  tr_runtime_on_exit(rt, status);
}

void tr_runtime_stay(troupe_t *rt, const tr_stay *stay, void *ud) {
  rt->stay = stay;
  rt->stay_ud = ud;
}

unsigned tr_runtime_run_again(troupe_t *rt, bool all) {
  tr_error error;
  tr_error_init(&error);
  unsigned count = tr_script_run_again(rt->script, all, &error);
  if (error.code) tr_log_write(&rt->log, TR_LOG_ERROR, "start.failed", "error=\"%s: %s\"", tr_error_name(error.code), error.text);
  return count;
}
void tr_runtime_set_drain(troupe_t *rt, tr_time drain) { rt->drain = drain; }
bool tr_runtime_stopping(const troupe_t *rt) { return rt->stage != TR_STAGE_RUNNING; }

/* ---- for those that wait in a way of their own ---- */

bool tr_runtime_working(const troupe_t *rt) { return rt->in_poll || rt->in_loop; }
bool tr_runtime_has_doors(troupe_t *rt) { return tr_runtime_has_door(rt) || tr_runtime_luv_alive(rt); }
int tr_runtime_exit_status(const troupe_t *rt) { return rt->exit_status; }
bool tr_runtime_ended(troupe_t *rt) { return rt->stage == TR_STAGE_DONE || at_end(rt); }

int tr_runtime_turn(troupe_t *rt) {
  int rc = begin_work(rt, "waiting");
  if (rc == 0) rc = tr_runtime_loop_open(rt);
  if (rc == 0) turn_loop(rt, UV_RUN_ONCE);
  return rc;
}

void tr_runtime_interrupt(troupe_t *rt) {
  if (rt->loop && rt->in_loop) uv_stop(rt->loop);
}

int64_t tr_runtime_next(troupe_t *rt) {
  if (!rt->started) return 0;
  tr_time now = tr_runtime_now(rt), next = next_time(rt);
  int64_t wait = next == TR_NEVER ? -1 : next > now ? next - now : 0;
  if (!rt->loop || rt->stage == TR_STAGE_DONE) return wait;
  uv_update_time(rt->loop);
  int timeout = uv_backend_timeout(rt->loop); /* of the doors: back-off, saves */
  return timeout >= 0 && (wait < 0 || timeout * INT64_C(1000) < wait) ? timeout * INT64_C(1000) : wait;
}
