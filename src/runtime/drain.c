/* SPDX-License-Identifier: MIT
 * Draining what older code still has to do: `troupe reload --drain S`.
 *
 * Turns finish on the code that they began with. With a drain they have so long; what is open then ends with `cancelled` for whoever waits
 * for it. One drain at a time: another one takes its place. The first thread looks, between two slices of work, a few times a second
 * while it lasts: an open turn costs nothing for being watched. */
#include <stdio.h>

#include "runtime/isolate.h"

#define LOOK_US 50000

static void on_due(tr_timer *timer) { TR_CONTAINER(timer, tr_draining, timer)->due = true; }

static void look_again(troupe_t *rt, tr_time now) {
  tr_draining *self = &rt->draining;
  tr_time next = now + LOOK_US < self->until ? now + LOOK_US : self->until;
  tr_timer_start(tr_core_timers(rt->core), &self->timer, next, on_due);
}

/* In all isolates; why NULL: only count them. */
static size_t old_turns(troupe_t *rt, const char *why, tr_buf *who) {
  size_t count = 0;
  tr_together_pause(rt, false);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) {
    size_t here = tr_script_old_turns(tr_runtime_share(rt, i).script, why, who);
    if (here && why && i) tr_isolate_wake(rt->crew->isolates[i]);
    count += here;
  }
  tr_together_resume(rt);
  return count;
}

static void over(troupe_t *rt, size_t open) {
  tr_draining *self = &rt->draining;
  char why[160];
  tr_buf who;
  tr_buf_init(&who, &rt->mem);
  snprintf(why, sizeof why, "its code was replaced, code %u serves, and %g s later it was still open (reload --drain)", self->version,
           (double)self->wait / 1e6);
  self->cut = open ? old_turns(rt, why, &who) : 0;
  self->ended = self->open > open ? self->open - open : 0;
  tr_buf_byte(&who, 0);
  snprintf(self->who, sizeof self->who, "%s", who.failed ? "" : (const char *)who.data);
  tr_buf_fini(&who);
  self->on = false;
  tr_log_write(&rt->log, self->cut ? TR_LOG_WARN : TR_LOG_INFO, "reload.drained", "code=%u ended=%zu cut=%zu%s%s%s", self->version, self->ended,
               self->cut, self->cut ? " turns=\"" : "", self->who, self->cut ? "\"" : "");
  if (self->cut && rt->options.wake) rt->options.wake(rt->options.userdata);
}

void tr_drain_look(troupe_t *rt) {
  tr_draining *self = &rt->draining;
  tr_time now = tr_runtime_now(rt);
  self->due = false;
  if (!self->on) return;
  size_t open = old_turns(rt, NULL, NULL);
  if (open && now < self->until) look_again(rt, now);
  else over(rt, open);
}

void tr_drain_begin(troupe_t *rt, tr_time wait) {
  tr_draining *self = &rt->draining;
  char which[TR_CANARY_TEXT];
  uint32_t canary = tr_script_canary(rt->script, which);
  tr_timer_stop(tr_core_timers(rt->core), &self->timer);
  self->on = true;
  self->wait = wait;
  self->until = tr_runtime_after(tr_runtime_now(rt), wait);
  self->version = canary ? canary : tr_script_number(rt->script);
  self->open = old_turns(rt, NULL, NULL);
  self->who[0] = 0;
  tr_drain_look(rt);
}
