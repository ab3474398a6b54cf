/* SPDX-License-Identifier: MIT
 * Saving while a runtime lives: the way to a moment without open turns, and what is done then.
 *
 * A save begins by holding the core still (core/frozen.c); after each batch of work it is looked whether the open turns
 * have ended. Any number may wait at once: all are written at the same moment. So it goes without blocking, for whoever
 * asks by a socket, and troupe_save is the same with a loop around it.
 *
 * All isolates are held still at once; each look is taken while they stand, with nothing under way between them. */
#include <string.h>

#include "runtime/state.h"

typedef struct save { /* one that waits */
  tr_link link;
  tr_only only;
  tr_time end;
  tr_save_fn fn;
  void *ud;
} save;

static void freeze(troupe_t *rt, bool frozen) {
  tr_together_pause(rt, false);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) tr_core_freeze(tr_runtime_share(rt, i).core, frozen);
  tr_together_resume(rt);
}

/* Out of the list first: fn may begin another. */
static void finish(troupe_t *rt, save *self, int rc, tr_buf *bytes, const tr_error *error) {
  tr_link_remove(&self->link);
  if (tr_list_empty(&rt->saves)) freeze(rt, false);
  self->fn(self->ud, rc, bytes, error);
  tr_buf_fini(bytes);
  tr_only_fini(&self->only);
  TR_DELETE(&rt->mem, self);
}

static void fail(troupe_t *rt, save *self, tr_error *error) {
  tr_buf none;
  tr_buf_init(&none, &rt->mem);
  finish(rt, self, error->code, &none, error);
}

static void time_is_up(troupe_t *rt, save *self, size_t count, const char *names) {
  tr_error error;
  tr_error_init(&error);
  tr_error_set(&error, TR_ETIMEOUT, "not saved: %zu %s still at work: %s%s", count, count == 1 ? "agent is" : "agents are", names,
               count > 5 ? ", …" : "");
  fail(rt, self, &error);
}

static void look(troupe_t *rt, save *self) {
  char names[700];
  tr_error error;
  tr_buf bytes;
  tr_error_init(&error);
  if (rt->stage >= TR_STAGE_CLOSE) {
    tr_error_set(&error, TR_EUNAVAILABLE, "not saved: the runtime is stopping");
    fail(rt, self, &error);
    return;
  }
  size_t count = tr_state_open_turns(rt, &self->only, names, sizeof names);
  if (count == 0) {
    int rc = tr_state_write(rt, &self->only, &bytes, &error);
    finish(rt, self, rc, &bytes, &error);
  } else if (tr_runtime_now(rt) >= self->end) {
    time_is_up(rt, self, count, names);
  }
}

void tr_runtime_saves_step(troupe_t *rt) {
  if (tr_list_empty(&rt->saves)) return;
  tr_together_watch(rt); /* who comes to rest after this look makes us look again */
  tr_together_pause(rt, true);
  for (tr_link *link = rt->saves.next, *next; link != &rt->saves; link = next) {
    next = link->next;
    look(rt, TR_CONTAINER(link, save, link));
  }
  tr_together_resume(rt);
}

tr_time tr_runtime_saves_next(const troupe_t *rt) {
  tr_time next = TR_NEVER;
  for (const tr_link *link = rt->saves.next; link != &rt->saves; link = link->next)
    if (TR_CONTAINER(link, save, link)->end < next) next = TR_CONTAINER(link, save, link)->end;
  return next;
}

void tr_runtime_saves_cancel(troupe_t *rt) {
  while (!tr_list_empty(&rt->saves)) {
    tr_error error;
    tr_error_init(&error);
    tr_error_set(&error, TR_ECANCELLED, "not saved: the runtime ended");
    fail(rt, TR_CONTAINER(rt->saves.next, save, link), &error);
  }
}

int tr_save_begin(troupe_t *rt, const char *const *only, tr_time timeout, tr_save_fn fn, void *ud, tr_error *error) {
  if (rt->stage >= TR_STAGE_CLOSE) return tr_error_set(error, TR_EUNAVAILABLE, "not saved: the runtime is stopping");
  save *self = TR_NEW(&rt->mem, save);
  int rc = self ? tr_only_init(&self->only, &rt->mem, only) : TR_EMEMORY;
  if (rc) {
    if (self) TR_DELETE(&rt->mem, self);
    return tr_error_set(error, rc, rc == TR_EMEMORY ? "out of memory" : "`only` must name 1 to 1000 agents or types");
  }
  self->end = tr_runtime_after(tr_runtime_now(rt), timeout ? timeout : TR_STATE_WAIT);
  if (timeout < 0) self->end = 0; /* now or not at all */
  self->fn = fn;
  self->ud = ud;
  tr_list_push(&rt->saves, &self->link);
  freeze(rt, true);
  return 0;
}

/* ---- the same, waited for ---- */

typedef struct waiter { bool done; int rc; tr_buf bytes; tr_error *error; } waiter;

static void on_saved(void *ud, int rc, tr_buf *bytes, const tr_error *error) {
  waiter *self = ud;
  self->done = true;
  self->rc = rc;
  if (rc < 0) tr_error_set(self->error, rc, "%s", error->text);
  self->bytes = *bytes;
  tr_buf_init(bytes, self->bytes.mem);
}

/* Not here, where nothing else can be done meanwhile: it is saved now, or what is in the way is said. */
static void expire(troupe_t *rt, const waiter *self) {
  for (tr_link *link = rt->saves.next; link != &rt->saves; link = link->next)
    if (TR_CONTAINER(link, save, link)->ud == self) TR_CONTAINER(link, save, link)->end = 0;
  tr_runtime_saves_step(rt);
}

troupe_state_options_t tr_state_options(const troupe_state_options_t *options) {
  troupe_state_options_t copy = { 0 };
  if (options) memcpy(&copy, options, options->size && options->size < sizeof copy ? options->size : sizeof copy);
  return copy;
}

/* The number of agents that could not be saved, with the bytes for the caller; or a code. */
static int save_now(troupe_t *rt, const troupe_state_options_t *given, tr_buf *out) {
  troupe_state_options_t options = tr_state_options(given);
  tr_time wait = options.timeout_us ? options.timeout_us : TR_STATE_WAIT;
  waiter self = { .error = tr_runtime_error(rt) };
  tr_buf_init(&self.bytes, &rt->mem);
  tr_buf_init(out, &rt->mem);
  if (rt->in_poll) return tr_runtime_fail(rt, TR_EINVALID, "troupe_save was called from inside a callback of the same runtime");
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  int rc = tr_save_begin(rt, options.only, wait, on_saved, &self, &rt->error);
  if (rc) return rc;
  tr_runtime_saves_step(rt);
  if (!self.done && (rt->in_loop || tr_runtime_loop_open(rt))) expire(rt, &self);
  uint64_t begin = uv_hrtime() / 1000; /* the embedder's clock may stand still */
  while (!self.done) {
    tr_runtime_wait(rt, tr_runtime_after(tr_runtime_now(rt), wait > 0 ? wait : 0));
    if (!self.done && uv_hrtime() / 1000 - begin >= (uint64_t)(wait > 0 ? wait : 0)) expire(rt, &self);
  }
  *out = self.bytes;
  return self.rc;
}

int troupe_save_with(troupe_t *rt, const char *path, const troupe_state_options_t *options) {
  tr_buf bytes;
  int failed = save_now(rt, options, &bytes), rc = failed < 0 ? 0 : tr_store(rt, path, false, &bytes, &rt->error);
  tr_buf_fini(&bytes);
  return rc ? rc : failed;
}

int troupe_save(troupe_t *rt, const char *path) { return troupe_save_with(rt, path, NULL); }

int troupe_save_bytes(troupe_t *rt, char **bytes, size_t *length, const troupe_state_options_t *options) {
  tr_buf buf;
  int rc = save_now(rt, options, &buf);
  *bytes = rc < 0 ? NULL : tr_strndup(&rt->mem, (const char *)buf.data, buf.len);
  *length = *bytes ? buf.len : 0;
  if (rc >= 0 && !*bytes) rc = tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_buf_fini(&buf);
  return rc;
}
