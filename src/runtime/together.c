/* SPDX-License-Identifier: MIT
 * What concerns all isolates at once: loading and reloading code, starting, ending. Each is done by the thread of isolate 0 while the
 * others stand still between two turns (isolate.c), so a reload is all or nothing over all of them, and no message is
 * handled by new code in one and by old in another.
 *
 * Every isolate loads every file: it has the code of all types, and runs those instances that live there. What a chunk prints or logs
 * while it is loaded is told once. */
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "runtime/isolate.h"

unsigned tr_runtime_shares(const troupe_t *rt) { return rt->crew ? rt->crew->count : 1; }

tr_share tr_runtime_share(const troupe_t *rt, unsigned i) {
  if (!rt->crew) return (tr_share){ rt->core, rt->script };
  const tr_isolate *isolate = rt->crew->isolates[i];
  return (tr_share){ isolate->core, isolate->script };
}

tr_share tr_runtime_share_of(const troupe_t *rt, tr_slice type, tr_slice key) {
  return tr_runtime_share(rt, rt->crew ? tr_crew_home_of(rt->crew, type, key)->index : 0);
}

static unsigned count_of(const troupe_t *rt) { return tr_runtime_shares(rt); }
static tr_script *script_of(const troupe_t *rt, unsigned i) { return tr_runtime_share(rt, i).script; }
static tr_core *core_of(const troupe_t *rt, unsigned i) { return tr_runtime_share(rt, i).core; }

void tr_together_pause(troupe_t *rt, bool settle) {
  tr_crew_pause(rt->crew);
  if (settle && rt->crew) tr_crew_settle(rt->crew);
}

void tr_together_resume(troupe_t *rt) { tr_crew_resume(rt->crew); }

void tr_together_watch(troupe_t *rt) {
  if (rt->crew) atomic_fetch_or(&rt->crew->watching, TR_STATUS_ASLEEP);
}

/* ---- code ---- */

static int load_new(troupe_t *rt, const char *name, tr_slice source, const tr_slice *args, size_t argc, tr_error *error) {
  unsigned done = 0;
  int rc = 0;
  for (; !rc && done < count_of(rt); done += !rc) {
    if (done) rt->crew->isolates[done]->muted = true;
    rc = tr_script_load(script_of(rt, done), name, source, args, argc, error);
    if (done) rt->crew->isolates[done]->muted = false;
  }
  while (rc && done > 0) tr_script_unload(script_of(rt, --done), name);
  return rc;
}

static int swap_all(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud, size_t *changed, tr_error *error) {
  tr_reloading *plans[TR_ISOLATES_MOST] = { NULL };
  tr_reload_options each = *options;
  size_t first = 0;
  int rc = 0;
  for (unsigned i = 0; !rc && i < count_of(rt); i++) {
    if (i) rt->crew->isolates[i]->muted = true;
    if (options->prepared) each.prepared = options->prepared + i;
    rc = tr_script_reload_begin(script_of(rt, i), &each, changed, &plans[i], error);
    if (i) rt->crew->isolates[i]->muted = false;
    if (i == 0) first = *changed;
    if (!rc && *changed != first) rc = tr_error_set(error, TR_EUNAVAILABLE, "a file changed again while it was being read");
  }
  for (unsigned i = 0; !rc && told && i < count_of(rt); i++) told(ud, i, plans[i]);
  for (unsigned i = 0; i < count_of(rt); i++) tr_script_reload_end(plans[i], rc == 0 && !options->trial);
  if (rc) *changed = 0;
  return rc;
}

/* All that can fail comes before the swap. */
static int load_again(troupe_t *rt, const char *name, tr_slice source, const tr_slice *args, size_t argc, tr_error *error) {
  char *copies[TR_ISOLATES_MOST] = { NULL };
  tr_reload_options options = { .names = &name, .count = 1, .source = source, .again = true };
  size_t changed;
  int rc = 0;
  for (unsigned i = 0; !rc && i < count_of(rt); i++) {
    rc = tr_script_set_args(script_of(rt, i), name, args, argc);
    if (!rc && source.p && !(copies[i] = tr_script_copy_source(script_of(rt, i), source))) rc = TR_EMEMORY;
  }
  if (!rc) rc = swap_all(rt, &options, NULL, NULL, &changed, error);
  for (unsigned i = 0; source.p && i < count_of(rt); i++) tr_script_set_source(script_of(rt, i), rc ? NULL : name, copies[i], source.n);
  return rc == TR_EMEMORY ? tr_error_set(error, rc, "out of memory") : rc;
}

int tr_together_load(troupe_t *rt, const char *name, tr_slice source, const tr_slice *args, size_t argc, tr_error *error) {
  if (!rt->crew) return tr_script_load(rt->script, name, source, args, argc, error);
  tr_crew_pause(rt->crew);
  tr_sources_begin(rt->crew);
  int rc = tr_script_is_loaded(rt->script, name) ? load_again(rt, name, source, args, argc, error)
                                                 : load_new(rt, name, source, args, argc, error);
  tr_sources_end(rt->crew);
  tr_crew_resume(rt->crew);
  return rc;
}

int tr_together_reload(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud, size_t *changed, tr_error *error) {
  tr_crew_pause(rt->crew);
  if (rt->crew) tr_sources_begin(rt->crew);
  int rc = swap_all(rt, options, told, ud, changed, error);
  if (rt->crew) tr_sources_end(rt->crew);
  tr_crew_resume(rt->crew);
  return rc;
}

int tr_together_protobuf(troupe_t *rt, tr_slice name, tr_slice set, tr_error *error) {
  tr_crew_pause(rt->crew);
  int rc = tr_codecs_load(rt->codecs, name, set, error);
  tr_crew_resume(rt->crew);
  return rc;
}

/* ---- ids that live here though others of their type may not ---- */

int tr_together_bring(troupe_t *rt, tr_slice type, tr_slice key, const tr_agent *known, tr_error *error) {
  char id[2 * TR_ID_MAX + 2];
  if (!rt->crew) return 0;
  int n = snprintf(id, sizeof id, "%.*s/%.*s", TR_SLICE_ARG(type), TR_SLICE_ARG(key)), rc = 0;
  tr_together_pause(rt, true);
  tr_class *class_ = tr_core_find_class(tr_runtime_share_of(rt, type, key).core, type);
  const tr_agent *live = class_ ? tr_class_find_mailbox(class_, key) : NULL;
  char *text = tr_strndup(&rt->mem, id, (size_t)n);
  if (tr_map_get(&rt->crew->brought, tr_slice_make(id, (size_t)n))) rc = 0;
  else if (live && live != known) rc = tr_error_set(error, TR_EEXISTS, "%.400s is an agent of this process already", id);
  else if (!text || tr_map_put(&rt->crew->brought, tr_slice_make(text, (size_t)n), text, NULL)) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  else text = NULL;
  tr_together_resume(rt);
  if (text) tr_free(&rt->mem, text, (size_t)n + 1);
  return rc;
}

void tr_together_let_go(troupe_t *rt, const char *id) {
  char *text = rt->crew ? tr_map_get(&rt->crew->brought, tr_slice_of(id)) : NULL;
  if (!text) return;
  tr_crew_pause(rt->crew);
  tr_map_remove(&rt->crew->brought, tr_slice_of(id));
  tr_crew_resume(rt->crew);
  tr_free(&rt->mem, text, strlen(text) + 1);
}

/* ---- beginning and end ---- */

int tr_together_start(troupe_t *rt, tr_error *error) {
  int first = rt->crew ? tr_crew_start(rt->crew) : 0;
  if (first && error) *error = rt->error;
  tr_crew_pause(rt->crew);
  if (rt->crew) tr_crew_look_outward(rt->crew);
  for (unsigned i = 0; i < count_of(rt); i++) {
    int rc = tr_script_start(script_of(rt, i), error);
    if (rc && !first) first = rc;
  }
  tr_crew_resume(rt->crew);
  return first;
}

void tr_together_drain(troupe_t *rt) {
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; i < count_of(rt); i++) tr_core_drain(core_of(rt, i));
  tr_crew_resume(rt->crew);
}

void tr_together_drop(troupe_t *rt, tr_dropped_fn fn) {
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; i < count_of(rt); i++)
    if (!tr_core_idle(core_of(rt, i))) tr_core_drop_turns(core_of(rt, i), fn, rt);
  tr_crew_resume(rt->crew);
}

void tr_together_close(troupe_t *rt, tr_time deadline) {
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; i < count_of(rt); i++) {
    tr_core_close_agents(core_of(rt, i), deadline);
    while (tr_script_step(script_of(rt, i), tr_runtime_now(rt), 0)) { } /* at least to their first wait, however late it is */
  }
  tr_crew_resume(rt->crew);
}

bool tr_together_closed(troupe_t *rt) {
  bool closed = true;
  tr_crew_pause(rt->crew);
  for (unsigned i = 0; i < count_of(rt) && closed; i++) closed = tr_core_closed(core_of(rt, i));
  tr_crew_resume(rt->crew);
  return closed;
}

bool tr_together_idle(troupe_t *rt, bool quiet) {
  if (quiet ? !tr_core_quiet(rt->core) : !tr_core_idle(rt->core)) return false;
  return !rt->crew || (tr_inbox_empty(&rt->crew->isolates[0]->inbox) && tr_crew_is(rt->crew, quiet ? TR_STATUS_QUIET : TR_STATUS_IDLE));
}
