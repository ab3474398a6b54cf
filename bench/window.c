/* SPDX-License-Identifier: MIT
 * window.c: two timers drive a run; one of a fixed count ends by itself. See window.h.
 *
 * CPU clocks are read at both ends of the timed part, while the load goes on, so that neither
 * connecting nor draining is charged to the requests. */
#include "window.h"

#include "gauge.h"

enum { LINGER_MS = 100, WATCH_MS = 250 };

static void read_clocks(window *w, uint64_t *wall, uint64_t *host, uint64_t *own) {
    *wall = uv_hrtime();
    *own = *host = 0;
    w->host_known = w->options->pid && gauge_cpu(w->options->pid, host);
    gauge_cpu(0, own);
}

static void on_over(uv_timer_t *timer) {
    window *w = timer->data;
    engine_stop(w->engine);
}

static void drained(window *w) {
    w->state = WINDOW_OVER;
    uv_timer_start(&w->timer, on_over, LINGER_MS, 0);
}

static void end(window *w) {
    uint64_t wall, host, own;
    read_clocks(w, &wall, &host, &own);
    w->seconds = (double)(wall - w->began) / 1e9;
    w->host_cpu = (double)(host - w->host_began) / 1e3;
    w->own_cpu = (double)(own - w->own_began) / 1e3;
    w->state = WINDOW_DRAIN;
    if (w->under_way == 0)
        drained(w);
}

static void on_end(uv_timer_t *timer) {
    end(timer->data);
}

/* The timed part begins: it ends after so many seconds, or so many answers where those are to be counted. */
static void begin(window *w) {
    read_clocks(w, &w->began, &w->host_began, &w->own_began);
    w->state = WINDOW_TIMED;
    if (!w->options->count)
        uv_timer_start(&w->timer, on_end, (uint64_t)(w->options->seconds * 1000), 0);
}

static void on_warm(uv_timer_t *timer) {
    begin(timer->data);
}

static void on_watch(uv_timer_t *timer) {
    window *w = timer->data;
    w->still = w->total == w->seen ? w->still + 1 : 0;
    w->seen = w->total;
    if (w->state == WINDOW_OVER || w->still * WATCH_MS < w->engine->timeout * 1000)
        return;
    engine_fail(w->engine, "nothing came for %g s; %lu under way", w->engine->timeout, w->under_way);
    engine_stop(w->engine);
}

void window_start(window *w, engine *e, const options *o) {
    w->engine = e;
    w->options = o;
    w->timer.data = w->watch.data = w;
    uv_timer_init(&e->loop, &w->timer);
    uv_timer_init(&e->loop, &w->watch);
    if (o->count)
        begin(w);
    else
        uv_timer_start(&w->timer, on_warm, (uint64_t)(o->warmup * 1000), 0);
    uv_timer_start(&w->watch, on_watch, WATCH_MS, WATCH_MS);
}

void window_count(window *w, uint64_t ns) {
    w->total++;
    if (w->state == WINDOW_TIMED) {
        w->done++;
        hist_add(&w->times, ns);
        if (w->done == w->options->count)
            end(w);
    } else if (w->state == WINDOW_DRAIN && w->under_way == 0) {
        drained(w);
    }
}

void window_close(window *w) {
    if (!w->engine)
        return;
    uv_close((uv_handle_t *)&w->timer, NULL);
    uv_close((uv_handle_t *)&w->watch, NULL);
}

void window_report(const window *w, report *r, const char *what) {
    double done = w->done ? (double)w->done : 1;
    report_number(r, what, (double)w->done, 0, "");
    report_number(r, "seconds", w->seconds, 3, "s");
    report_number(r, "rate", w->seconds > 0 ? (double)w->done / w->seconds : 0, 0, "/s");
    report_number(r, "p50_us", (double)hist_at(&w->times, 0.5) / 1e3, 1, "us");
    report_number(r, "p99_us", (double)hist_at(&w->times, 0.99) / 1e3, 1, "us");
    if (w->host_known)
        report_number(r, "host_cpu_us", w->host_cpu / done, 4, "us of the host's CPU for each");
    report_number(r, "load_cpu_us", w->own_cpu / done, 4, "us of the generator's CPU for each");
    if (w->host_known && w->seconds > 0)
        report_number(r, "host_busy", w->host_cpu / w->seconds / 1e6, 3, "of a CPU");
    report_number(r, "load_busy", w->seconds > 0 ? w->own_cpu / w->seconds / 1e6 : 0, 3, "of a CPU");
    report_number(r, "checked", (double)w->total, 0, "in the whole run");
}
