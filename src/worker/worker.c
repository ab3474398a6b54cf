/* SPDX-License-Identifier: MIT
 * The worker's life: dial, lose, dial again.
 *
 * There is at most one socket and one session. However a session ends, it ends in `lost`: its state is dropped, what was
 * not written yet waits for the next one, requests that were written fail (nobody knows whether they arrived), and a timer
 * dials again, later each time, with jitter so that many workers of a restarted host do not come at once. A session was
 * a good one when its host proved to be a host (session.c); only then does the back-off start anew.
 *
 * Trouble is told once: at the first loss, and again only when being away turns into being refused, or has another reason (a host that was
 * not there is there, and has a wrong certificate). After the next good session it would be told again.
 *
 * Client ids: troupe's host keeps what a lost client-id had, for it to find again; AutoGen's would destroy the new stream's
 * state when it notices the old one's end (wire.md §10). So an id is used again only where the last host was troupe. */
#include "worker/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define MAX_MESSAGE 4194304
#define QUEUE_BYTES (UINT64_C(64) << 20)

/* ---- telling ---- */

/* Until the core knows it, agents here send nothing by it. */
static void be_known(tr_worker *w) {
  if (w->uplinked) return;
  w->uplinked = tr_core_add_uplink(w->core, &w->dest) == 0;
  if (!w->uplinked) tr_log_write(w->log, TR_LOG_ERROR, "uplink.memory", "host=%s: agents here cannot send to it yet", w->address);
}

void tr_worker_set_state(tr_worker *w, tr_worker_state state, const char *reason) {
  if (w->state == (uint8_t)state && !reason) return;
  w->state = (uint8_t)state;
  if (reason) w->joins = 0;
  else if (state == TR_WORKER_JOINED && w->joins < 2) w->joins++;
  if (state == TR_WORKER_JOINED) be_known(w);
  if (w->o.changed) w->o.changed(w->o.ud, w, state, reason);
}

/* ---- dialing ---- */

tr_time tr_worker_backoff(tr_worker *w, unsigned tries, tr_time most) {
  tr_time delay = w->o.backoff_first;
  while (tries-- > 0 && delay < most) delay *= 2;
  if (delay > most) delay = most;
  uint64_t half = (uint64_t)delay / 2;
  return delay - (tr_time)(half ? tr_random_next(tr_core_random(w->core)) % half : 0);
}

static void dial(tr_worker *w) {
  be_known(w);
  w->link = TR_LINK_DIALING;
  w->o.dial(w->o.ud, w);
}

static void on_dial_timer(tr_timer *timer) { dial(TR_CONTAINER(timer, tr_worker, dial_timer)); }

static void dial_later(tr_worker *w, bool refused) {
  tr_time most = w->o.backoff_max, delay = refused ? most : tr_worker_backoff(w, w->tries, most);
  if (w->tries < 32) w->tries++;
  tr_timer_start(w->timers, &w->dial_timer, tr_core_now(w->core) + delay, on_dial_timer);
}

/* The socket is gone, or never came to be. */
static void lost(tr_worker *w, const char *reason) {
  char text[sizeof w->reason];
  snprintf(text, sizeof text, "%s", w->over ? w->reason : reason ? reason : "closed");
  bool refused = w->refused;
  uint8_t kind = refused ? 2 : 1;
  bool lost_session = w->rpc && w->heard_any && !w->turned_away; /* that it cannot be dialed then is no other trouble */
  uint32_t cause = lost_session ? 0 : tr_hash(0, tr_slice_of(text));
  bool tell = w->told != kind || (cause && w->told_cause && w->told_cause != cause);
  w->link = TR_LINK_NONE;
  tr_timer_stop(w->timers, &w->over_timer);
  if (w->o.inside || !w->heard_any || w->turned_away || w->refused) snprintf(w->reason, sizeof w->reason, "%s", text);
  tr_worker_session_end(w);
  if (w->state == TR_WORKER_OFF) return;
  if (w->leave && tr_worker_queue_empty(&w->queue)) {
    tr_worker_off(w, NULL);
    return;
  }
  if (w->leave) w->leave = TR_LEAVE_FLUSH;
  w->told = kind;
  w->told_cause = cause;
  dial_later(w, refused);
  tr_worker_set_state(w, TR_WORKER_DIALING, tell ? text : NULL);
}

static void hang_up(tr_worker *w) {
  if (w->link != TR_LINK_NONE) w->o.hang_up(w->o.ud, w);
  w->link = TR_LINK_NONE;
}

static void on_over_timer(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, over_timer);
  hang_up(w);
  lost(w, NULL);
}

void tr_worker_over(tr_worker *w, bool refused, const char *format, ...) {
  if (w->over || !w->rpc) return;
  w->over = true;
  w->refused = refused;
  va_list args;
  va_start(args, format);
  vsnprintf(w->reason, sizeof w->reason, format, args);
  va_end(args);
  w->reason[tr_utf8_cut(tr_slice_of(w->reason), sizeof w->reason)] = 0;
  tr_timer_start(w->timers, &w->over_timer, tr_core_now(w->core), on_over_timer);
}

/* ---- making ---- */

static void set_defaults(tr_worker_options *o) {
  if (!o->max_message) o->max_message = MAX_MESSAGE;
  if (!o->queue_bytes) o->queue_bytes = QUEUE_BYTES;
  if (!o->backoff_first) o->backoff_first = TR_MILLISECONDS(50);
  if (!o->backoff_max) o->backoff_max = TR_SECONDS(5);
}

/* What our events are marked with: the core's own name, which is the front of its message ids. A client-id would not do: it
 * changes, and a process with two uplinks has two of them, but encodes an event once for both. */
static bool make_origin(tr_worker *w) {
  tr_msg *msg = tr_msg_new(w->core, TR_MSG_EVENT);
  if (!msg) return false;
  char id[TR_MSG_ID_MAX];
  tr_slice text = tr_msg_id(msg, id);
  while (text.n > 0 && text.p[text.n - 1] != '-') text.n--;
  if (text.n > 0) text.n--;
  memcpy(w->origin, text.p, text.n);
  w->origin_length = text.n;
  tr_msg_unref(msg);
  return true;
}

static char *copy_text(tr_mem *mem, const char *text) {
  if (!text) text = "";
  return tr_strndup(mem, text, strlen(text));
}

static void free_text(tr_mem *mem, char *text) {
  if (text) tr_free(mem, text, strlen(text) + 1);
}

static void destroy(tr_worker *w) {
  free_text(w->mem, w->address);
  free_text(w->mem, w->version);
  tr_map_fini(&w->types);
  tr_map_fini(&w->subs);
  tr_tally_fini(&w->refusals);
  tr_finder_fini(&w->jobs_by_id);
  tr_again_fini(&w->seen, w->mem);
  tr_slots_fini(&w->slots);
  tr_rpc_gzip_fini(&w->gzip);
  TR_DELETE(w->mem, w);
}

tr_worker *tr_worker_new(const tr_worker_options *options) {
  tr_core *core = options->core;
  tr_mem *mem = tr_core_mem(core);
  tr_worker *w = TR_NEW(mem, tr_worker);
  if (!w) return NULL;
  tr_random *random = tr_core_random(core);
  w->o = *options;
  w->core = core;
  w->mem = mem;
  w->log = tr_core_log(core);
  tr_rpc_gzip_init(&w->gzip, mem, options->compress_from);
  w->timers = tr_core_timers(core);
  set_defaults(&w->o);
  tr_dest_init(&w->dest, &tr_worker_dest_ops);
  w->dest.bound = options->bound;
  w->dest.events = (uint8_t)options->events;
  w->dest.down = true;
  tr_list_init(&w->requests);
  tr_list_init(&w->jobs);
  tr_list_init(&w->debts);
  tr_worker_notes_init(w);
  tr_list_init(&w->types_list);
  tr_list_init(&w->waits);
  tr_list_init(&w->leaving);
  tr_map_init(&w->types, mem, tr_random_next(random));
  tr_map_init(&w->subs, mem, tr_random_next(random));
  tr_tally_init(&w->refusals, mem, (uint64_t)(uintptr_t)w);
  tr_slots_init(&w->slots, mem, sizeof(tr_worker_request), TR_WORKER_REQUESTS, (uint32_t)tr_random_next(random));
  tr_uuid(random, w->client_id);
  w->fresh = true;
  w->address = copy_text(mem, options->address);
  w->version = copy_text(mem, options->version);
  if (!w->address || !w->version || !make_origin(w)) {
    destroy(w);
    return NULL;
  }
  w->o.address = w->address;
  w->o.version = w->version;
  return w;
}

void tr_worker_free(tr_worker *worker) {
  if (!worker) return;
  worker->o.changed = NULL;
  tr_worker_off(worker, "the worker was closed");
  tr_worker_cancel_waits(worker, "the worker was closed");
  tr_worker_forget_jobs(worker);
  tr_worker_forget_leaves(worker);
  tr_worker_register_fini(worker);
  destroy(worker);
}

/* ---- what the owner of sockets says ---- */

void tr_worker_start(tr_worker *worker) {
  if (worker->state != TR_WORKER_OFF) return;
  worker->leave = TR_LEAVE_NO;
  worker->tries = 0;
  worker->told = 0;
  tr_worker_set_state(worker, TR_WORKER_DIALING, NULL);
  dial(worker);
}

void tr_worker_fail_all(tr_worker *worker, const char *text) {
  tr_worker_requests_fail(worker, false, TR_EUNAVAILABLE, text);
  if (!worker->rpc) tr_worker_queue_fini(worker, text);
}

void tr_worker_connected(tr_worker *worker) {
  if (worker->state == TR_WORKER_OFF || worker->link != TR_LINK_DIALING) return;
  worker->link = TR_LINK_UP;
  if (!worker->fresh && !worker->reopen) {
    tr_uuid(tr_core_random(worker->core), worker->client_id);
    worker->known = false;
  }
  if (!tr_worker_session_open(worker)) return;
  hang_up(worker);
  lost(worker, "out of memory");
}

void tr_worker_disconnected(tr_worker *worker, const char *reason) {
  if (worker->link == TR_LINK_NONE) return;
  lost(worker, reason);
}

/* ---- asking it ---- */

tr_worker_state tr_worker_get_state(const tr_worker *worker) { return (tr_worker_state)worker->state; }
int tr_worker_refused_as(const tr_worker *worker) { return worker->refused_as; }
bool tr_worker_rejoins(const tr_worker *worker) { return worker->joins > 1; }
const char *tr_worker_host_version(const tr_worker *worker) { return worker->host_version; }
bool tr_worker_host_is_troupe(const tr_worker *worker) { return worker->troupe; }
tr_dest *tr_worker_dest(tr_worker *worker) { return &worker->dest; }
const tr_rpc_gzip *tr_worker_gzip(const tr_worker *worker) { return &worker->gzip; }
tr_slice tr_worker_client_id(const tr_worker *worker) { return tr_slice_of(worker->client_id); }

void tr_worker_get_open(const tr_worker *worker, size_t *requests, size_t *jobs) {
  *requests = worker->slots.count;
  *jobs = worker->n_jobs;
}

bool tr_worker_idle(const tr_worker *worker) {
  return tr_worker_queue_empty(&worker->queue) && worker->slots.count == 0;
}
