/* SPDX-License-Identifier: MIT
 * Timers: an intrusive timing wheel. Adding, cancelling and firing cost the same at any number of timers (every call
 * has a deadline, so this is on the hot path). Timers never fire early; they fire in order of their time at
 * a granularity of 1 ms, equal ones in order of their adding. */
#ifndef TR_CORE_TIMERS_H
#define TR_CORE_TIMERS_H

#include "base/list.h"
#include "base/mem.h"
#include "core/clock.h"

typedef struct tr_timers tr_timers;
typedef struct tr_timer tr_timer;
typedef void (*tr_timer_fn)(tr_timer *timer); /* may add and cancel any timer, and free its own storage */

struct tr_timer { /* embedded in its owner; all zero: not running */
  tr_link link;
  tr_time when;
  tr_timer_fn fn;
};

tr_timers *tr_timers_new(tr_mem *mem, tr_time now);
void tr_timers_free(tr_timers *timers); /* running timers are forgotten, not fired */
/* Start (or move) a timer. Never fails. A time that is past fires at the next advance. */
void tr_timer_start(tr_timers *timers, tr_timer *timer, tr_time when, tr_timer_fn fn);
void tr_timer_stop(tr_timers *timers, tr_timer *timer); /* no-op when not running */
static inline int tr_timer_running(const tr_timer *timer) { return timer->link.next != NULL; }
/* Fire all that are due at `now`; returns how many. A clock that goes backwards is ignored. */
int tr_timers_advance(tr_timers *timers, tr_time now);
/* The time of the next timer, or one not later where more than a few are as near as that one; TR_NEVER when none runs. */
tr_time tr_timers_next(const tr_timers *timers);

#endif
