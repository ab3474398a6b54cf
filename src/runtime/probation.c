/* SPDX-License-Identifier: MIT
 * New code on probation: `troupe reload --errors N` has the process go back by itself when more than N turns of the new version fail
 * within a time.
 *
 * Turns count in the thread they run in, by the number of the code that they began with, so what still ends on the old code is not held
 * against the new one; nor is what the code beside a canary does. Going back is a reload (script/versions.c), or the end of the canary
 * (script/canary.c), and done by the first thread between two slices of work. It is tried once: where it is refused, as by a `migrate`
 * that does not know the newer state, the new code stays and the log says why. */
#include "runtime/isolate.h"

void tr_probation_begin(troupe_t *rt, uint32_t before, uint32_t limit, tr_time within) {
  tr_probation *self = &rt->probation;
  uint32_t canary = tr_script_canary(rt->script, NULL);
  atomic_store(&self->failures, 0);
  self->before = before;
  self->limit = limit;
  self->until = tr_runtime_after(tr_runtime_now(rt), within);
  atomic_store(&self->number, canary ? canary : tr_script_number(rt->script));
}

void tr_probation_end(troupe_t *rt) { atomic_store(&rt->probation.number, 0); }

void tr_probation_failed(troupe_t *rt, uint32_t number) {
  tr_probation *self = &rt->probation;
  uint32_t on = atomic_load(&self->number);
  if (!on || on != number || tr_runtime_now(rt) > self->until) return;
  if (atomic_fetch_add(&self->failures, 1) == self->limit && rt->crew) tr_isolate_wake(rt->crew->isolates[0]);
}

bool tr_probation_is_over(const troupe_t *rt) {
  return atomic_load_explicit(&rt->probation.number, memory_order_relaxed) &&
         atomic_load_explicit(&rt->probation.failures, memory_order_relaxed) > rt->probation.limit;
}

void tr_probation_go_back(troupe_t *rt) {
  uint32_t number = atomic_load(&rt->probation.number), failures = atomic_load(&rt->probation.failures), before = rt->probation.before;
  bool canary = tr_script_canary(rt->script, NULL) == number;
  tr_reload_options options = { .to = canary ? 0 : before, .undo = canary };
  tr_probation_end(rt);
  int rc = tr_runtime_reload(rt, &options, NULL, NULL);
  if (rc < 0)
    tr_log_write(&rt->log, TR_LOG_ERROR, "reload.stays", "code=%u failures=%u error=\"%s\" (it could not go back)", number, failures,
                 rt->error.text);
  else if (canary)
    tr_log_write(&rt->log, TR_LOG_ERROR, "reload.undone", "code=%u failures=%u (more than %u: the canary is gone, code %u serves all)", number,
                 failures, rt->probation.limit, before);
  else
    tr_log_write(&rt->log, TR_LOG_ERROR, "reload.undone", "code=%u failures=%u (more than %u: code %u serves again, as %u)", number,
                 failures, rt->probation.limit, before, tr_script_number(rt->script));
}
