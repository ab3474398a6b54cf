/* SPDX-License-Identifier: MIT
 * Errands: what only the first thread may do, done for a turn of another isolate that waits meanwhile. The doors, launched processes and
 * the embedder's functions are that thread's alone; a turn that needs one of them is stopped as a call of a C function stops it.
 *
 * The first thread serves between two slices of work, and while it waits for the others to stand still. An errand may itself let all stand
 * still: those that wait for errands do so already. Nobody else may take them for that, since they are in the middle of a turn. Next: isolate.c. */
#include "runtime/isolate.h"

typedef struct errand { tr_link link; void (*fn)(void *ud); void *ud; bool done; } errand;

int tr_crew_errand(tr_crew *crew, void (*fn)(void *ud), void *ud) {
  if (!crew || !uv_key_get(&crew->here)) {
    fn(ud);
    return 0;
  }
  errand self = { .fn = fn, .ud = ud };
  uv_mutex_lock(&crew->mutex);
  tr_list_push(&crew->errands, &self.link);
  crew->asking++;
  atomic_store(&crew->asked, true);
  uv_cond_broadcast(&crew->paused); /* it may be waiting there */
  uv_mutex_unlock(&crew->mutex);
  tr_isolate_wake(crew->isolates[0]);
  uv_mutex_lock(&crew->mutex);
  while (!self.done && !atomic_load(&crew->ending)) uv_cond_wait(&crew->resumed, &crew->mutex);
  if (!self.done) {
    tr_link_remove(&self.link);
    crew->asking--;
  }
  uv_mutex_unlock(&crew->mutex);
  return self.done ? 0 : TR_EUNAVAILABLE;
}

void tr_crew_serve_locked(tr_crew *crew) {
  for (tr_link *link; (link = tr_list_pop(&crew->errands));) {
    errand *at = TR_CONTAINER(link, errand, link);
    crew->serving++;
    uv_mutex_unlock(&crew->mutex);
    at->fn(at->ud);
    uv_mutex_lock(&crew->mutex);
    crew->serving--;
    crew->asking--; /* from here on it may run again */
    at->done = true;
    uv_cond_broadcast(&crew->resumed);
  }
  atomic_store(&crew->asked, false);
}

void tr_crew_serve(tr_crew *crew) {
  if (!atomic_load_explicit(&crew->asked, memory_order_relaxed)) return;
  uv_mutex_lock(&crew->mutex);
  tr_crew_serve_locked(crew);
  uv_mutex_unlock(&crew->mutex);
}

int tr_runtime_errand(troupe_t *rt, void (*fn)(void *ud), void *ud) { return tr_crew_errand(rt->crew, fn, ud); }

/* ---- the script's hooks of other isolates ---- */

typedef struct uplink_errand { troupe_t *rt; tr_slice address; uint32_t *number; tr_error *error; int rc; } uplink_errand;
typedef struct launch_errand { troupe_t *rt; const tr_script_launch *asked; tr_error *error; int rc; } launch_errand;
typedef struct stop_errand { troupe_t *rt; tr_slice type, key; tr_error *error; int rc; } stop_errand;

static int closing(int rc, int result, tr_error *error) { return rc ? tr_error_set(error, rc, "the runtime is closing") : result; }

static void uplink(void *ud) {
  uplink_errand *self = ud;
  self->rc = tr_runtime_uplink(self->rt, self->address, self->number, self->error);
}

int tr_isolate_uplink(void *ud, tr_slice address, uint32_t *number, tr_error *error) {
  tr_isolate *isolate = ud;
  uplink_errand self = { .rt = isolate->crew->rt, .address = address, .number = number, .error = error };
  int rc = tr_crew_errand(isolate->crew, uplink, &self);
  return closing(rc, self.rc, error);
}

static void launch(void *ud) {
  launch_errand *self = ud;
  self->rc = tr_runtime_launch(self->rt, self->asked, self->error);
}

int tr_isolate_launch(void *ud, const tr_script_launch *asked, tr_error *error) {
  tr_isolate *isolate = ud;
  launch_errand self = { .rt = isolate->crew->rt, .asked = asked, .error = error };
  int rc = tr_crew_errand(isolate->crew, launch, &self);
  return closing(rc, self.rc, error);
}

static void stop_launched(void *ud) {
  stop_errand *self = ud;
  self->rc = tr_runtime_stop_launched(self->rt, self->type, self->key, self->error);
}

int tr_isolate_stop_launched(void *ud, tr_slice type, tr_slice key, tr_error *error) {
  tr_isolate *isolate = ud;
  stop_errand self = { .rt = isolate->crew->rt, .type = type, .key = key, .error = error };
  int rc = tr_crew_errand(isolate->crew, stop_launched, &self);
  return closing(rc, self.rc, error);
}
