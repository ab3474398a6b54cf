/* SPDX-License-Identifier: MIT
 * The timing wheel, alone and against a plain sorted list. */
#include <stdlib.h>

#include "base/text.h"
#include "check.h"
#include "core/timers.h"

typedef struct mine { tr_timer timer; int number; } mine;
static int fired[10000], count;
static tr_timers *timers;

static void fire(tr_timer *timer) { fired[count++] = TR_CONTAINER(timer, mine, timer)->number; }

static void start(mine *m, int number, tr_time when) {
  m->number = number;
  tr_timer_start(timers, &m->timer, when, fire);
}

CHECK_CASE(timers_fire_in_order_of_their_time_and_never_early) {
  mine m[5] = { 0 };
  timers = tr_timers_new(check_mem(), 500);
  start(&m[0], 0, 3500);
  start(&m[1], 1, 1501);
  start(&m[2], 2, 3500);
  start(&m[3], 3, 900000500);
  start(&m[4], 4, 65500);
  CHECK_INT(tr_timers_advance(timers, 1500), ==, 0);
  CHECK_INT(tr_timers_advance(timers, 2499), ==, 0); /* up to a millisecond late, never early */
  CHECK_INT(tr_timers_advance(timers, 2500), ==, 1);
  CHECK_INT(tr_timers_advance(timers, 3499), ==, 0);
  CHECK_INT(tr_timers_advance(timers, 3500), ==, 2);
  CHECK_INT(fired[1] * 10 + fired[2], ==, 2); /* 0 before 2: as they were added */
  CHECK_INT(tr_timers_advance(timers, 900000499), ==, 1);
  CHECK_INT(tr_timers_advance(timers, 900000500), ==, 1);
  CHECK_INT(tr_timers_next(timers), ==, TR_NEVER);
  tr_timers_free(timers);
}

CHECK_CASE(a_time_that_is_past_fires_at_the_next_advance) {
  mine m[3] = { 0 };
  timers = tr_timers_new(check_mem(), 10000);
  start(&m[0], 0, 10000);
  start(&m[1], 1, 3);
  start(&m[2], 2, -5);
  CHECK_INT(tr_timers_next(timers), ==, 10000);
  CHECK_INT(tr_timers_advance(timers, 9000), ==, 3); /* a clock that goes back does no harm */
  CHECK_INT(fired[0] * 100 + fired[1] * 10 + fired[2], ==, 210);
  tr_timers_free(timers);
}

/* Or an idle process would be woken at every level of the wheel on the way to its next timer. */
CHECK_CASE(who_has_few_timers_sleeps_until_the_first) {
  mine m[20] = { 0 };
  timers = tr_timers_new(check_mem(), 0);
  start(&m[0], 0, TR_SECONDS(3600));
  start(&m[1], 1, TR_SECONDS(20) + 1);
  start(&m[2], 2, TR_SECONDS(20));
  CHECK_INT(tr_timers_next(timers), ==, TR_SECONDS(20));
  CHECK_INT(tr_timers_advance(timers, TR_SECONDS(20)), ==, 1);
  CHECK_INT(tr_timers_next(timers), ==, TR_SECONDS(20) + 1000); /* in whole milliseconds */
  CHECK_INT(tr_timers_advance(timers, TR_SECONDS(21)), ==, 1);
  CHECK_INT(tr_timers_next(timers), ==, TR_SECONDS(3600));
  for (int i = 3; i < 20; i++) start(&m[i], i, TR_SECONDS(3600));
  CHECK_INT(tr_timers_next(timers), <=, TR_SECONDS(3600)); /* not looked at one by one */
  CHECK_INT(tr_timers_advance(timers, TR_SECONDS(3600)), ==, 18);
  tr_timers_free(timers);
}

CHECK_CASE(a_timer_can_be_moved_stopped_and_told_never) {
  mine m[2] = { 0 };
  timers = tr_timers_new(check_mem(), 0);
  start(&m[0], 0, 1000);
  start(&m[0], 0, 5000);
  start(&m[1], 1, 2000);
  CHECK(tr_timer_running(&m[1].timer));
  tr_timer_stop(timers, &m[1].timer);
  tr_timer_stop(timers, &m[1].timer);
  CHECK(!tr_timer_running(&m[1].timer));
  start(&m[1], 1, TR_NEVER);
  CHECK(!tr_timer_running(&m[1].timer));
  CHECK_INT(tr_timers_advance(timers, 4999), ==, 0);
  CHECK_INT(tr_timers_next(timers), ==, 5000);
  CHECK_INT(tr_timers_advance(timers, 5000), ==, 1);
  tr_timers_free(timers);
}

static mine chain[4];
static void restart(tr_timer *timer) {
  mine *m = TR_CONTAINER(timer, mine, timer);
  fired[count++] = m->number;
  if (m->number == 0) { /* stops one of the same moment, and starts others: past, same, later */
    tr_timer_stop(timers, &chain[1].timer);
    tr_timer_start(timers, &chain[2].timer, 0, restart);
    tr_timer_start(timers, &chain[3].timer, 6000, restart);
  }
}

CHECK_CASE(a_callback_may_start_and_stop_others) {
  timers = tr_timers_new(check_mem(), 0);
  for (int i = 0; i < 4; i++) chain[i].number = i;
  tr_timer_start(timers, &chain[0].timer, 5000, restart);
  tr_timer_start(timers, &chain[1].timer, 5000, restart);
  CHECK_INT(tr_timers_advance(timers, 5500), ==, 1);
  CHECK_INT(tr_timers_next(timers), ==, 5500); /* number 2 is due */
  CHECK_INT(tr_timers_advance(timers, 5500), ==, 1);
  CHECK_INT(tr_timers_advance(timers, 6000), ==, 1);
  CHECK_INT(fired[0] * 100 + fired[1] * 10 + fired[2], ==, 23);
  tr_timers_free(timers);
}

static void again(tr_timer *timer) {
  count++;
  tr_timer_start(timers, timer, 0, again);
}

CHECK_CASE(a_timer_that_restarts_itself_for_the_past_does_not_hang_the_advance) {
  tr_timer timer = { 0 };
  timers = tr_timers_new(check_mem(), 0);
  tr_timer_start(timers, &timer, 0, again);
  CHECK_INT(tr_timers_advance(timers, 10), ==, 1);
  CHECK_INT(tr_timers_advance(timers, 10), ==, 1);
  tr_timers_free(timers);
}

static void frees_itself(tr_timer *timer) {
  tr_free(check_mem(), timer, sizeof(mine));
  count++;
}

CHECK_CASE(a_callback_may_free_its_timer) {
  timers = tr_timers_new(check_mem(), 0);
  for (int i = 0; i < 10; i++) {
    mine *m = tr_calloc(check_mem(), 1, sizeof *m);
    tr_timer_start(timers, &m->timer, 100000, frees_itself);
  }
  CHECK_INT(tr_timers_advance(timers, 100000), ==, 10);
  tr_timers_free(timers);
}

CHECK_CASE(times_far_away_keep_their_place) {
  static const tr_time far[] = { TR_SECONDS(1), TR_SECONDS(100), TR_SECONDS(86400), TR_SECONDS(86400) * 365 * 1000,
                                 INT64_MAX - 1 };
  mine m[5] = { 0 };
  for (tr_time origin = -1; origin <= 1; origin++) {
    timers = tr_timers_new(check_mem(), origin * TR_SECONDS(1000000));
    memset(m, 0, sizeof m);
    count = 0;
    for (int i = 4; i >= 0; i--) start(&m[i], i, far[i] + (i < 4 ? origin * TR_SECONDS(1000000) : 0));
    for (int i = 0; i < 4; i++) {
      tr_time when = m[i].timer.when;
      CHECK_INT(tr_timers_next(timers), <=, when);
      CHECK_INT(tr_timers_advance(timers, when - 1), ==, 0);
      CHECK_INT(tr_timers_advance(timers, when), ==, 1);
      CHECK_INT(fired[i], ==, i);
    }
    CHECK_INT(tr_timers_next(timers), !=, TR_NEVER);
    tr_timers_free(timers);
  }
}

/* The model: an array; what is due is sorted by millisecond, then by order of starting. */
typedef struct entry { mine m; bool on; uint64_t order; int64_t tick; } entry;
static entry entries[300];

static int by_time(const void *a, const void *b) {
  const entry *x = *(entry *const *)a, *y = *(entry *const *)b;
  if (x->tick != y->tick) return x->tick < y->tick ? -1 : 1;
  return x->order < y->order ? -1 : 1;
}

CHECK_CASE(the_wheel_agrees_with_a_sorted_list) {
  tr_random random;
  tr_time now = 0;
  uint64_t order = 0;
  tr_random_init(&random, 3);
  timers = tr_timers_new(check_mem(), 0);
  for (int round = 0; round < 30000; round++) {
    entry *e = &entries[tr_random_next(&random) % 300];
    uint64_t what = tr_random_next(&random) % 10;
    if (what < 6) { /* start: mostly near, sometimes far */
      tr_time span = (tr_time)(tr_random_next(&random) % (what < 3 ? 50000 : what < 5 ? 5000000 : 20000000000));
      e->m.number = (int)(e - entries);
      e->on = true;
      e->order = order++;
      e->tick = (now + 1 + span + 999) / 1000;
      tr_timer_start(timers, &e->m.timer, now + 1 + span, fire);
    } else if (what < 8) {
      tr_timer_stop(timers, &e->m.timer);
      e->on = false;
    } else {
      entry *due[300];
      int n = 0;
      now += (tr_time)(tr_random_next(&random) % (what == 8 ? 3000 : 3000000));
      for (int i = 0; i < 300; i++)
        if (entries[i].on && entries[i].tick <= now / 1000) due[n++] = &entries[i];
      qsort(due, (size_t)n, sizeof *due, by_time);
      count = 0;
      CHECK_INT(tr_timers_advance(timers, now), ==, n);
      for (int i = 0; i < n; i++) {
        CHECK_INT(fired[i], ==, due[i]->m.number);
        due[i]->on = false;
      }
    }
    int64_t next = INT64_MAX;
    for (int i = 0; i < 300; i++)
      if (entries[i].on && entries[i].tick < next) next = entries[i].tick;
    tr_time told = tr_timers_next(timers);
    CHECK((told == TR_NEVER) == (next == INT64_MAX));
    if (next != INT64_MAX) CHECK_INT(told, <=, next * 1000);
    if (next != INT64_MAX) CHECK_INT(told, >, now - 1000);
  }
  tr_timers_free(timers);
}
