/* SPDX-License-Identifier: MIT
 * The threads: how they run, stand still, and come to an end.
 *
 * An isolate takes what came in, runs a slice of turns, and sleeps (nap.h) when nothing is left. It never waits for another one; only
 * isolate 0 does, for all to stand still: then whatever concerns them all (loading, reloading, saving, closing) is done
 * from its thread, one isolate after the other, as if there were no threads. So none of that needs a protocol between them.
 *
 * Is anything left to do? Each isolate says in `status` that it found nothing when it went to sleep, and changes it before it takes
 * anything up. Isolate 0 reads all statuses, then how many parcels were sent and taken by all, then the statuses again: if none changed
 * and all said idle, nobody sent or took in between, so equal sums mean that nothing is under way either.
 *
 * Where an agent lives: by a hash of its key, so that those which share one (a session, a room) are together and talk without
 * crossing; the key "default", which nearly all single agents have, is hashed with the type. Next: crossing.c. */
#include "runtime/isolate.h"

#include <string.h>

#include "base/map.h"
#include "core/id.h"

#define SLICE_TURNS 64

/* ---- where agents live ---- */

static unsigned home_of(const tr_crew *crew, tr_slice type, tr_slice key) {
  uint32_t hash = tr_hash(0x7472, key);
  if (tr_slice_is(key, "default")) hash ^= tr_hash(0x6f75, type);
  return (unsigned)(((uint64_t)hash * crew->count) >> 32);
}

/* Looked at by all, changed while they stand still. */
static bool is_brought(const tr_crew *crew, tr_slice type, tr_slice key) {
  char id[2 * TR_ID_MAX + 2];
  if (crew->brought.count == 0 || type.n + key.n + 1 > sizeof id) return false;
  memcpy(id, type.p, type.n);
  id[type.n] = '/';
  memcpy(id + type.n + 1, key.p, key.n);
  return tr_map_get(&crew->brought, tr_slice_make(id, type.n + 1 + key.n)) != NULL;
}

unsigned tr_crew_home(const tr_crew *crew, const tr_class *class_, tr_slice key) {
  tr_slice type = tr_name_view(tr_class_type(class_));
  return tr_class_is_first(class_) || is_brought(crew, type, key) ? 0 : home_of(crew, type, key);
}

tr_isolate *tr_crew_home_of(tr_crew *crew, tr_slice type, tr_slice key) {
  const tr_class *class_ = tr_core_find_class(crew->isolates[0]->core, type);
  return crew->isolates[class_ ? tr_crew_home(crew, class_, key) : home_of(crew, type, key)]; /* it may be loaded yet */
}

/* ---- the thread ---- */

static void set_status(tr_isolate *isolate, uint64_t what) {
  uint64_t old = atomic_load_explicit(&isolate->status, memory_order_relaxed);
  atomic_store(&isolate->status, (old / TR_STATUS_STEP + 1) * TR_STATUS_STEP + what);
}

static void stand_still(tr_isolate *isolate) {
  tr_crew *crew = isolate->crew;
  uv_mutex_lock(&crew->mutex);
  crew->paused_count++;
  uv_cond_broadcast(&crew->paused);
  while (atomic_load(&crew->pausing)) uv_cond_wait(&crew->resumed, &crew->mutex);
  crew->paused_count--;
  uv_mutex_unlock(&crew->mutex);
}

static void on_wake(uv_async_t *async) { (void)async; }

static void sleep_now(tr_isolate *isolate) {
  tr_crew *crew = isolate->crew;
  atomic_store(&isolate->next, tr_core_next_deadline(isolate->core));
  /* Who waits for room is about to be woken, though no parcel says so: it is neither idle nor asleep. */
  uint64_t idle = (tr_core_idle(isolate->core) ? TR_STATUS_IDLE : 0) | (tr_core_quiet(isolate->core) ? TR_STATUS_QUIET : 0);
  uint64_t says = tr_isolate_is_stalled(isolate) ? 0 : TR_STATUS_ASLEEP | idle;
  set_status(isolate, says);
  if ((atomic_load(&crew->watching) & says) && (atomic_fetch_and(&crew->watching, ~says) & says)) tr_isolate_wake(crew->isolates[0]);
  tr_time next = atomic_load(&isolate->next), wait = next == TR_NEVER ? next : next - tr_runtime_now(crew->rt);
  /* Who pushes, pauses or ends wakes us after having done so: what came before this look is seen, what comes after it wakes. */
  bool any = !tr_inbox_empty(&isolate->inbox) || atomic_load(&crew->pausing) || atomic_load(&crew->ending);
  if (!any) tr_nap_sleep(&isolate->nap, wait);
  set_status(isolate, 0);
}

static void thread_main(void *arg) {
  tr_isolate *isolate = arg;
  tr_crew *crew = isolate->crew;
  uv_key_set(&crew->here, isolate);
  while (!atomic_load(&crew->ending)) {
    if (atomic_load(&crew->pausing)) stand_still(isolate);
    tr_core_set_now(isolate->core, tr_runtime_now(crew->rt));
    tr_isolate_receive(isolate);
    int more = tr_script_step(isolate->script, tr_core_now(isolate->core), SLICE_TURNS);
    if (!more && tr_inbox_empty(&isolate->inbox)) sleep_now(isolate);
  }
}

void tr_isolate_wake(tr_isolate *isolate) {
  troupe_t *rt = isolate->crew->rt;
  if (!isolate->crew->started) return; /* nobody sleeps yet */
  if (isolate->index > 0) {
    tr_nap_wake(&isolate->nap);
    return;
  }
  uv_async_send(&isolate->crew->wake);
  if (rt->options.wake) rt->options.wake(rt->options.userdata);
}

int tr_crew_start(tr_crew *crew) {
  if (crew->started) return 0;
  int rc = tr_runtime_loop_open(crew->rt);
  if (rc) return rc;
  uv_async_init(crew->rt->loop, &crew->wake, on_wake);
  uv_unref((uv_handle_t *)&crew->wake);
  crew->started = true;
  for (unsigned i = 1; i < crew->count; i++) {
    tr_isolate *isolate = crew->isolates[i];
    if (uv_thread_create(&isolate->thread, thread_main, isolate)) {
      tr_crew_stop(crew);
      return tr_runtime_fail(crew->rt, TR_EIO, "cannot start a thread");
    }
    isolate->running = true;
  }
  return 0;
}

void tr_crew_stop(tr_crew *crew) {
  uv_mutex_lock(&crew->mutex);
  atomic_store(&crew->ending, true);
  uv_cond_broadcast(&crew->resumed);
  uv_mutex_unlock(&crew->mutex);
  for (unsigned i = 1; i < crew->count; i++) {
    tr_isolate *isolate = crew->isolates[i];
    if (!isolate->running) continue;
    tr_nap_wake(&isolate->nap);
    uv_thread_join(&isolate->thread);
    isolate->running = false;
  }
}

/* ---- standing still ---- */

void tr_crew_pause(tr_crew *crew) {
  if (!crew) return;
  crew->depth++;
  if (!crew->started || crew->standing) return;
  atomic_store(&crew->pausing, true);
  unsigned running = 0;
  for (unsigned i = 1; i < crew->count; i++) {
    running += crew->isolates[i]->running;
    if (crew->isolates[i]->running) tr_nap_wake(&crew->isolates[i]->nap);
  }
  uv_mutex_lock(&crew->mutex);
  for (;;) {
    if (!crew->serving && !tr_list_empty(&crew->errands)) tr_crew_serve_locked(crew);
    if (crew->paused_count + (crew->serving ? crew->asking : 0) >= running) break; /* who waits for an errand of ours stands still */
    uv_cond_wait(&crew->paused, &crew->mutex);
  }
  crew->standing = crew->serving == 0; /* else who asked goes on before this one's pause is over */
  uv_mutex_unlock(&crew->mutex);
  for (unsigned i = 1; i < crew->count; i++) tr_core_set_now(crew->isolates[i]->core, tr_runtime_now(crew->rt));
}

void tr_crew_resume(tr_crew *crew) {
  if (!crew || --crew->depth || !crew->started) return;
  uv_mutex_lock(&crew->mutex);
  crew->standing = false;
  atomic_store(&crew->pausing, false);
  uv_cond_broadcast(&crew->resumed);
  uv_mutex_unlock(&crew->mutex);
}

void tr_crew_settle(tr_crew *crew) {
  for (bool any = true; any;) {
    any = false;
    for (unsigned i = 0; i < crew->count; i++) {
      any = any || !tr_inbox_empty(&crew->isolates[i]->inbox);
      tr_isolate_receive(crew->isolates[i]);
    }
  }
}

/* ---- nothing left ---- */

static bool all_say(tr_crew *crew, uint64_t what, uint64_t *statuses, bool again) {
  for (unsigned i = 1; i < crew->count; i++) {
    uint64_t status = atomic_load(&crew->isolates[i]->status);
    bool due = crew->rt->options.clock_us && atomic_load(&crew->isolates[i]->next) <= crew->clock;
    if (due || (status & what) != what || (again && status != statuses[i])) return false;
    statuses[i] = status;
  }
  return true;
}

void tr_crew_look_at_clock(tr_crew *crew) {
  tr_time now = crew->rt->options.clock_us ? tr_runtime_now(crew->rt) : 0;
  if (now == crew->clock || !crew->started) return;
  crew->clock = now;
  for (unsigned i = 1; i < crew->count; i++)
    if (atomic_load(&crew->isolates[i]->next) <= now) tr_nap_wake(&crew->isolates[i]->nap);
}

/* In this order: who sees an uplink sees that it hears events, too. */
void tr_crew_look_outward(tr_crew *crew) {
  atomic_store_explicit(&crew->outward, tr_core_has_others(crew->rt->core), memory_order_relaxed);
  atomic_store_explicit(&crew->way_up, tr_core_has_way_up(crew->rt->core), memory_order_release);
}

bool tr_crew_is(tr_crew *crew, uint64_t what) {
  uint64_t statuses[TR_ISOLATES_MOST], sent = 0, taken = 0;
  atomic_fetch_or(&crew->watching, what); /* before the look: whoever becomes so after it wakes us */
  if (!crew->started || tr_isolate_is_stalled(crew->isolates[0]) || !all_say(crew, what, statuses, false)) return false;
  for (unsigned i = 0; i < crew->count; i++) {
    sent += atomic_load(&crew->isolates[i]->sent);
    taken += atomic_load(&crew->isolates[i]->taken);
  }
  return sent == taken && all_say(crew, what, statuses, true);
}

/* ---- made and freed ---- */

static void log_line(void *ud, tr_log_level level, const char *event, const char *text) {
  const tr_isolate *isolate = ud;
  if (!isolate->muted) isolate->crew->rt->log.sink(isolate->crew->rt, level, event, text);
}

static void on_print(void *ud, tr_slice line) {
  const tr_isolate *isolate = ud;
  if (!isolate->muted) tr_runtime_print(isolate->crew->rt, isolate->mem, line);
}

static int read_file(void *ud, const char *path, tr_buf *text, tr_error *error) {
  const tr_isolate *isolate = ud;
  return tr_runtime_read(isolate->crew->rt, path, text, error);
}

static void on_dead_letter(void *ud, tr_msg *msg, int code, const char *reason) {
  tr_isolate *isolate = ud;
  tr_runtime_dead_letter(&isolate->letters, isolate->log, isolate->script, msg, code, reason);
  tr_runtime_keep_letter(&isolate->undelivered, msg, code, reason);
}

static void on_unheard(void *ud, tr_msg *event) { tr_runtime_unheard(&((tr_isolate *)ud)->undelivered, event); }

static tr_time clock_of(void *ud) {
  const tr_isolate *isolate = ud;
  return tr_runtime_now(isolate->crew->rt);
}

static void on_failed(void *ud, uint32_t number) { tr_probation_failed(((const tr_isolate *)ud)->crew->rt, number); }

static int make_core(tr_isolate *isolate, uint64_t seed, tr_error *error) {
  tr_core_options core = {
    .mem = isolate->mem, .log = isolate->log, .seed = seed, .now = tr_runtime_now(isolate->crew->rt),
    .hooks = { .dead_letter = on_dead_letter, .unheard = on_unheard, .ud = isolate },
  };
  isolate->core = tr_core_new(&core);
  if (!isolate->core) return TR_EMEMORY;
  tr_script_options script = {
    .core = isolate->core, .load = read_file, .print = on_print, .exit = tr_isolate_exit, .subscribed = tr_isolate_subscribed,
    .no_loop = isolate->index > 0, .first_sub = (uint64_t)isolate->index << TR_SUB_RANGE, .codecs = isolate->crew->rt->codecs, .clock = clock_of, .uplink = tr_isolate_uplink,
    .launch = tr_isolate_launch, .stop_launched = tr_isolate_stop_launched, .failed = on_failed, .outside = &isolate->crew->rt->outside,
    .ud = isolate,
  };
  isolate->script = tr_script_new(&script, error);
  return isolate->script ? 0 : TR_EMEMORY;
}

static tr_isolate *add(tr_crew *crew, unsigned index) {
  troupe_t *rt = crew->rt;
  tr_isolate *isolate = TR_NEW(&rt->mem, tr_isolate);
  if (!isolate) return NULL;
  crew->isolates[index] = isolate;
  crew->count = index + 1;
  isolate->crew = crew;
  isolate->index = index;
  isolate->own_mem = (tr_mem){ .realloc_fn = rt->mem.realloc_fn, .ud = rt->mem.ud };
  isolate->own_log = (tr_log){ .level = rt->log.level, .sink = rt->log.sink ? log_line : NULL, .ud = isolate };
  isolate->mem = index ? &isolate->own_mem : &rt->mem;
  isolate->log = index ? &isolate->own_log : &rt->log;
  tr_buf_init(&isolate->draft.data, isolate->mem);
  tr_list_init(&isolate->going);
  isolate->parcels.mem = isolate->mem;
  tr_nap_init(&isolate->nap);
  tr_tally_init(&isolate->letters, isolate->mem, index);
  tr_undelivered_init(&isolate->undelivered, isolate->mem);
  return isolate;
}

int tr_crew_new(troupe_t *rt, unsigned count) {
  tr_crew *crew = rt->crew = TR_NEW(&rt->mem, tr_crew);
  if (!crew) return TR_EMEMORY;
  crew->rt = rt;
  uv_mutex_init_recursive(&crew->log_mutex);
  uv_mutex_init(&crew->mutex);
  uv_cond_init(&crew->paused);
  uv_cond_init(&crew->resumed);
  tr_list_init(&crew->errands);
  tr_map_init(&crew->brought, &rt->mem, tr_random_next(tr_core_random(rt->core)));
  if (uv_key_create(&crew->here)) return tr_runtime_fail(rt, TR_ELIMIT, "no thread key is left in this process");
  crew->has_key = true;
  for (unsigned i = 0; i < count; i++)
    if (!add(crew, i)) return TR_EMEMORY;
  uint64_t identity = tr_random_next(tr_core_random(rt->core));
  crew->isolates[0]->core = rt->core;
  crew->isolates[0]->script = rt->script;
  for (unsigned i = 0; i < count; i++) {
    tr_isolate *isolate = crew->isolates[i];
    int rc = i ? make_core(isolate, tr_random_next(tr_core_random(rt->core)), &rt->error) : 0;
    if (!rc) rc = tr_inbox_init(&isolate->inbox, &rt->mem, count);
    if (!rc) rc = tr_isolate_open_crossing(isolate, identity);
    if (rc) return rc;
  }
  return 0;
}

void tr_crew_close(tr_crew *crew) {
  crew->started = false; /* nobody is to be woken any more */
  for (unsigned i = 1; i < crew->count; i++) {
    tr_isolate *isolate = crew->isolates[i];
    tr_script_free(isolate->script);
    isolate->script = NULL;
    if (isolate->core) tr_isolate_leave(isolate);
    tr_core_free(isolate->core);
    tr_tally_fini(&isolate->letters);
    tr_undelivered_fini(&isolate->undelivered);
    isolate->core = NULL;
  }
}

void tr_crew_free(tr_crew *crew) {
  if (!crew) return;
  tr_mem *mem = &crew->rt->mem;
  for (unsigned i = 0; i < crew->count; i++)
    if (crew->isolates[i]->inbox.accounts) tr_isolate_drop_inbox(crew->isolates[i]);
  for (unsigned i = 0; i < crew->count; i++) {
    tr_isolate *isolate = crew->isolates[i];
    tr_isolate_close_crossing(isolate);
    tr_inbox_fini(&isolate->inbox, mem);
    tr_nap_fini(&isolate->nap);
    tr_buf_fini(&isolate->draft.data);
    TR_DELETE(mem, isolate);
  }
  size_t at = 0;
  void *id;
  while (tr_map_next(&crew->brought, &at, NULL, &id)) tr_free(mem, id, strlen(id) + 1);
  tr_map_fini(&crew->brought);
  uv_mutex_destroy(&crew->log_mutex);
  uv_mutex_destroy(&crew->mutex);
  uv_cond_destroy(&crew->paused);
  uv_cond_destroy(&crew->resumed);
  if (crew->has_key) uv_key_delete(&crew->here);
  TR_DELETE(mem, crew);
}
