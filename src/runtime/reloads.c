/* SPDX-License-Identifier: MIT
 * Reloading as those outside ask for it: by name, for some keys, back to what was; watched for failures, and with a time for what older
 * code still has open. What it is: script/reload.c; over several isolates: together.c. Next: probation.c, drain.c. */
#include "runtime/isolate.h"

static int reload(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud) {
  size_t changed = 0;
  tr_runtime_tick(rt);
  int rc = tr_together_reload(rt, options, told, ud, &changed, &rt->error);
  if (rc) return rc;
  if (!changed || options->trial) return (int)changed;
  uint32_t canary = tr_script_canary(rt->script, NULL);
  if (!canary || canary != atomic_load(&rt->probation.number)) tr_probation_end(rt); /* it was of what served before */
  tr_runtime_loaded(rt);
  return (int)changed;
}

/* Going back while there is a canary: that is undone first. */
static int leave_canary(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud) {
  tr_reload_options undo = { .undo = true, .trial = options->trial };
  uint32_t serves = tr_script_number(rt->script);
  if (options->to > serves) return tr_runtime_fail(rt, TR_ENOT_FOUND, "there is no code %u to go back to: %u serves now", options->to, serves);
  if (options->trial && options->to < serves)
    return tr_runtime_fail(rt, TR_EINVALID, "code %u is a canary: what going back to %u would do can be told once it is undone (--undo)",
                           tr_script_canary(rt->script, NULL), options->to);
  int rc = reload(rt, &undo, told, ud);
  return rc < 0 || options->to == serves ? rc : reload(rt, options, told, ud);
}

static int refuse_pinned(troupe_t *rt) {
  return tr_runtime_fail(rt, TR_EINVALID, "code %u is pinned: nothing is reloaded before that is over (--unpin)", tr_script_number(rt->script));
}

int tr_runtime_reload(troupe_t *rt, const tr_reload_options *options, tr_changes_fn told, void *ud) {
  tr_runtime_error(rt);
  if (rt->pinned && !options->to && !options->promote && !options->undo) return refuse_pinned(rt);
  if (options->to && tr_script_canary(rt->script, NULL)) return leave_canary(rt, options, told, ud);
  return reload(rt, options, told, ud);
}

int tr_runtime_reload_as(troupe_t *rt, const tr_reload_order *order) {
  uint32_t before = tr_script_number(rt->script);
  const tr_reload_options *what = &order->what;
  if ((what->canary != NULL) + what->promote + what->undo + (what->to != 0) > 1)
    return tr_runtime_fail(rt, TR_EINVALID, "a reload is a canary, or promotes it, or undoes it, or goes back: one of them");
  if (rt->pinned && !order->unpin && !order->pin) return refuse_pinned(rt);
  if (order->pin && (order->unpin || what->canary)) return tr_runtime_fail(rt, TR_EINVALID, "what is pinned is the code that serves all, until it is unpinned");
  if (order->pin && tr_script_canary(rt->script, NULL) && !what->promote && !what->undo && !what->to)
    return tr_runtime_fail(rt, TR_EINVALID, "a canary cannot be pinned: first promote it or undo it (--promote, --undo)");
  bool was = rt->pinned, moves = !order->pin || what->to || what->promote || what->undo;
  rt->pinned = false;
  int rc = moves ? tr_runtime_reload(rt, what, NULL, NULL) : 0;
  rt->pinned = rc < 0 && !order->unpin ? was : order->pin;
  if (rc < 0) return rc;
  tr_time within = order->within >= 0 ? order->within : what->canary ? TR_NEVER : TR_SECONDS(60);
  if (rc > 0 && order->watched && !what->undo) tr_probation_begin(rt, before, order->errors, within);
  if (order->drain >= 0) tr_drain_begin(rt, order->drain);
  return rc;
}

int troupe_reload(troupe_t *rt, const char *name) {
  tr_reload_options options = { .names = &name, .count = name ? 1 : 0 };
  return tr_runtime_reload(rt, &options, NULL, NULL);
}

int troupe_reload_with(troupe_t *rt, const troupe_reload_options_t *options) {
  troupe_reload_options_t o = { 0 };
  if (options && (options->size == 0 || options->size > sizeof o)) return tr_runtime_fail(rt, TR_EINVALID, "troupe_reload_with: built against a later version");
  if (options) memcpy(&o, options, options->size);
  tr_reload_order order = {
    .what = { .names = &o.name, .count = o.name ? 1 : 0, .canary = o.canary, .promote = o.promote != 0, .undo = o.undo != 0,
              .again = o.again != 0, .to = o.to },
    .pin = o.pin != 0, .unpin = o.unpin != 0,
    .watched = o.failures > 0, .errors = o.failures ? o.failures - 1 : 0, .within = o.within_us > 0 ? o.within_us : -1,
    .drain = o.drain_us > 0 ? o.drain_us : -1,
  };
  return tr_runtime_reload_as(rt, &order);
}
