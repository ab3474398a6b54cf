/* SPDX-License-Identifier: MIT
 * What scripts learn of the time and of random numbers (script/look.c) while they are recorded, and in tests. In a replay: replay_looks.c.
 *
 * A record gets the values as they are, since a script that is recorded must do what it does otherwise. A test's clock is all the time that
 * its agents see; random numbers come from its seed in any case. Files draw the same in each thread while they are loaded: a replay has one. */
#include "runtime/record.h"
#include "runtime/seen.h"

const char *const tr_look_names[TR_LOOK_KINDS] = { "time", "now", "cpu", "seed" };

/* ---- recording ---- */

static int64_t note(const tr_seer *by, const tr_look *look) {
  const tr_turn *turn = look->turn;
  bool wanted = by->rt->recorder && turn && look->change > 0 && look->change <= TR_LOOKS_MOST;
  if (wanted && !tr_class_is_program(turn->agent->class_) && !(turn->msg && tr_seen_internal(turn->msg))) tr_record_look(by, look);
  return look->value;
}

static int64_t on_look(void *ud, const tr_look *look) {
  troupe_t *rt = ud;
  return note(&(tr_seer){ rt, rt->script, &rt->mem }, look);
}

static int64_t on_look_in_isolate(void *ud, const tr_look *look) {
  const tr_isolate *isolate = ud;
  return note(&(tr_seer){ isolate->crew->rt, isolate->script, isolate->mem }, look);
}

int tr_runtime_will_record(troupe_t *rt) {
  tr_error *error = tr_runtime_error(rt);
  int rc = 0;
  rt->look_seed = (tr_random_next(tr_core_random(rt->core)) >> 11) | 1;
  tr_looks looks = { .fn = on_look, .ud = rt, .turns = true, .seed = rt->look_seed };
  if (!rt->crew) return tr_script_set_looks(rt->script, &looks, error);
  for (unsigned i = 0; !rc && i < rt->crew->count; i++) {
    looks = (tr_looks){ .fn = on_look_in_isolate, .ud = rt->crew->isolates[i], .turns = true, .seed = rt->look_seed };
    rc = tr_script_set_looks(rt->crew->isolates[i]->script, &looks, error);
  }
  return rc;
}

/* ---- tests ---- */

static int64_t on_test_look(void *ud, const tr_look *look) {
  const troupe_t *rt = ud;
  tr_time now = tr_core_now(rt->core);
  if (look->kind == TR_LOOK_TIME) return rt->epoch + now / TR_SECONDS(1);
  return look->kind == TR_LOOK_CPU ? now : look->value;
}

int tr_runtime_set_epoch(troupe_t *rt, int64_t epoch) {
  const tr_looks looks = { .fn = on_test_look, .ud = rt };
  rt->epoch = epoch;
  return tr_script_set_looks(rt->script, &looks, tr_runtime_error(rt));
}
