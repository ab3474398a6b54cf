/* SPDX-License-Identifier: MIT
 * window.h: the course of a timed run: warm up, measure, drain what is under way, linger for what
 * should not come any more; and a watch over a run that stands still. */
#ifndef BENCH_WINDOW_H
#define BENCH_WINDOW_H

#include "engine.h"
#include "hist.h"
#include "options.h"
#include "report.h"

enum window_state { WINDOW_WARM, WINDOW_TIMED, WINDOW_DRAIN, WINDOW_OVER };

typedef struct window {
    engine *engine;
    const options *options;
    unsigned long under_way; /* kept by the mode: what is not yet answered or delivered */
    /* results */
    uint64_t done;  /* answers or deliveries in the timed part */
    uint64_t total; /* in the whole run; all were checked */
    double seconds; /* its length */
    double host_cpu, own_cpu; /* in it, µs */
    bool host_known;
    hist times;
    /* private */
    enum window_state state;
    uint64_t began, host_began, own_began, seen;
    unsigned still; /* ticks of the watch without progress */
    uv_timer_t timer, watch;
} window;

void window_start(window *w, engine *e, const options *o);

/* May the mode begin new work? */
static inline bool window_open(const window *w) {
    return w->state < WINDOW_DRAIN;
}

/* An answer or delivery, after `under_way` was brought up to date. */
void window_count(window *w, uint64_t ns);

void window_close(window *w);

/* The results; `what` names what was counted (requests, deliveries). */
void window_report(const window *w, report *r, const char *what);

#endif
