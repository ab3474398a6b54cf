/* SPDX-License-Identifier: MIT
 * A hierarchical timing wheel (Varghese and Lauck): ten levels of 64 slots, each slot a list of timers.
 *
 * Time is counted in ticks of 1 ms since the wheel was made; a timer's tick is rounded up, so it never fires early. A
 * timer lies at the level of the highest 6-bit digit in which its tick differs from the current one, in the slot of
 * that digit. So every timer of a level is later than all those of the levels below, slots of a level are in order of
 * time, and a bit for each slot that is in use finds the next timer in a few instructions, however far away it is.
 * When time enters a slot of a higher level, its timers are dealt to the levels below, in order; a timer is moved at
 * most nine times in its life.
 *
 * Equal ticks keep their order: at any moment all timers of one tick lie in the same slot, and dealing keeps order.
 * Timers whose time is past when they are started wait in `due` for the next advance. A callback may start and stop
 * anything: the list being fired is taken out of the wheel first, and each timer is unlinked before it is called. */
#include "core/timers.h"

#include <stdint.h>

#define TICK 1000 /* µs */
#define DIGIT 6
#define SLOTS (1 << DIGIT)
#define LEVELS 10 /* 60 bits of ticks: more than any tr_time */
#define LOOK 8    /* timers of a slot that are looked at, so that who has but a few sleeps until the first and not until its slot is dealt */

struct tr_timers {
  tr_mem *mem;
  tr_time origin, now;
  uint64_t current;          /* tick: every timer in the wheel has a later or equal one */
  uint64_t in_use[LEVELS];   /* a bit for each slot that holds timers */
  tr_link due;               /* started too late; sorted by time */
  tr_link slots[LEVELS][SLOTS];
};

tr_timers *tr_timers_new(tr_mem *mem, tr_time now) {
  tr_timers *timers = TR_NEW(mem, tr_timers);
  if (!timers) return NULL;
  timers->mem = mem;
  timers->origin = timers->now = now;
  tr_list_init(&timers->due);
  for (int level = 0; level < LEVELS; level++)
    for (int i = 0; i < SLOTS; i++) tr_list_init(&timers->slots[level][i]);
  return timers;
}

void tr_timers_free(tr_timers *timers) {
  if (timers) TR_DELETE(timers->mem, timers);
}

static tr_timer *timer_of(tr_link *link) { return TR_CONTAINER(link, tr_timer, link); }

/* Only for a time after `now`, hence after `origin`. Unsigned: the two may be further apart than a tr_time reaches. */
static uint64_t tick_of(const tr_timers *timers, tr_time when) {
  return ((uint64_t)when - (uint64_t)timers->origin + (TICK - 1)) / TICK;
}

static tr_time time_of(const tr_timers *timers, uint64_t tick) {
  uint64_t us = tick * TICK;
  if (us >= (uint64_t)INT64_MAX - (uint64_t)timers->origin) return INT64_MAX - 1; /* which is not TR_NEVER */
  return (tr_time)((uint64_t)timers->origin + us);
}

static void place(tr_timers *timers, tr_timer *timer) {
  uint64_t tick = tick_of(timers, timer->when), differs = tick ^ timers->current;
  int level = differs ? (63 - __builtin_clzll(differs)) / DIGIT : 0;
  unsigned slot = (unsigned)(tick >> (level * DIGIT)) & (SLOTS - 1);
  tr_list_push(&timers->slots[level][slot], &timer->link);
  timers->in_use[level] |= UINT64_C(1) << slot;
}

static void place_due(tr_timers *timers, tr_timer *timer) {
  tr_link *at = timers->due.prev; /* nearly always the end is its place */
  while (at != &timers->due && timer_of(at)->when > timer->when) at = at->prev;
  tr_list_push(at->next, &timer->link);
}

void tr_timer_start(tr_timers *timers, tr_timer *timer, tr_time when, tr_timer_fn fn) {
  tr_timer_stop(timers, timer);
  timer->when = when;
  timer->fn = fn;
  if (when == TR_NEVER) return;
  if (when <= timers->now) place_due(timers, timer);
  else place(timers, timer);
}

void tr_timer_stop(tr_timers *timers, tr_timer *timer) {
  if (!tr_timer_running(timer)) return;
  tr_link *next = timer->link.next;
  bool last = next == timer->link.prev; /* then both are the list's head */
  tr_link_remove(&timer->link);
  uintptr_t offset = (uintptr_t)next - (uintptr_t)&timers->slots[0][0];
  if (!last || offset >= sizeof timers->slots) return; /* `due`, or the list that is being fired */
  size_t i = offset / sizeof(tr_link);
  timers->in_use[i / SLOTS] &= ~(UINT64_C(1) << i % SLOTS);
}

/* Move a slot's timers to `list` (a head that is not initialised). */
static void take_slot(tr_timers *timers, int level, unsigned slot, tr_link *list) {
  tr_link *head = &timers->slots[level][slot];
  tr_list_init(list);
  timers->in_use[level] &= ~(UINT64_C(1) << slot);
  if (tr_list_empty(head)) return;
  *list = *head;
  list->next->prev = list->prev->next = list;
  tr_list_init(head);
}

static int fire(tr_link *list) {
  int fired = 0;
  for (tr_link *link; (link = tr_list_pop(list)); fired++) {
    tr_timer *timer = timer_of(link);
    timer->fn(timer);
  }
  return fired;
}

/* The level of the earliest slot in use and the tick at which it begins; -1 where the wheel is empty. */
static int next_slot(const tr_timers *timers, unsigned *slot, uint64_t *start) {
  for (int level = 0; level < LEVELS; level++) {
    if (!timers->in_use[level]) continue;
    int shift = level * DIGIT;
    *slot = (unsigned)__builtin_ctzll(timers->in_use[level]);
    *start = (timers->current >> shift >> DIGIT << DIGIT | *slot) << shift;
    return level;
  }
  return -1;
}

static int fire_due(tr_timers *timers) {
  tr_link list;
  if (tr_list_empty(&timers->due)) return 0;
  list = timers->due; /* what is started meanwhile with a past time waits for the next advance */
  list.next->prev = list.prev->next = &list;
  tr_list_init(&timers->due);
  return fire(&list);
}

int tr_timers_advance(tr_timers *timers, tr_time now) {
  if (now > timers->now) timers->now = now;
  uint64_t target = ((uint64_t)timers->now - (uint64_t)timers->origin) / TICK, start;
  int fired = fire_due(timers), level;
  unsigned slot;
  while ((level = next_slot(timers, &slot, &start)) >= 0 && start <= target) {
    tr_link list;
    timers->current = start;
    take_slot(timers, level, slot, &list);
    if (level == 0) {
      fired += fire(&list);
      continue;
    }
    for (tr_link *link; (link = tr_list_pop(&list));) place(timers, timer_of(link));
  }
  if (timers->current < target) timers->current = target; /* no slot begins in between: nothing to deal */
  return fired;
}

/* The earliest tick in a slot; where there are many timers, when the slot begins. */
static uint64_t earliest(const tr_link *head, uint64_t start, const tr_timers *timers) {
  uint64_t tick = UINT64_MAX;
  int n = 0;
  for (const tr_link *link = head->next; link != head; link = link->next) {
    uint64_t at = tick_of(timers, TR_CONTAINER(link, tr_timer, link)->when);
    if (++n > LOOK) return start;
    if (at < tick) tick = at;
  }
  return tick;
}

tr_time tr_timers_next(const tr_timers *timers) {
  unsigned slot;
  uint64_t start;
  if (!tr_list_empty(&timers->due)) return timers->now;
  int level = next_slot(timers, &slot, &start);
  if (level < 0) return TR_NEVER;
  return time_of(timers, level ? earliest(&timers->slots[level][slot], start, timers) : start);
}
