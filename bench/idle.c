/* SPDX-License-Identifier: MIT
 * idle.c: what an idle connected worker costs the host in memory.
 *
 * A few workers come first, so that what the host needs once is not charged to the N that follow.
 * Memory is read when it has not changed for a while. Afterwards each of the N is asked once and
 * must answer: workers that had been dropped would be cheap. */
#include "ask.h"
#include "gauge.h"
#include "modes.h"

enum { FIRST = 16, TICK_MS = 100, QUIET_TICKS = 5, MOST_TICKS = 100, ASK_AT_ONCE = 64 };

typedef struct run {
    const options *options;
    engine *engine;
    crew first, many, prober;
    asker asker;
    unsigned asked, answered;
    uint64_t rss[2], pss[2]; /* before and with the many */
    int reading;             /* which of the two is being read */
    unsigned ticks, quiet;
    uv_timer_t timer;
} run;

static void settled(run *u) {
    if (u->reading == 0)
        crew_open(&u->many);
    else if (u->options->bare)
        engine_stop(u->engine);
    else
        crew_open(&u->prober);
}

static void on_tick(uv_timer_t *timer) {
    run *u = timer->data;
    uint64_t rss = 0, pss = 0;
    if (!gauge_memory(u->options->pid, &rss, &pss)) {
        engine_fail(u->engine, "cannot read the memory of process %ld", (long)u->options->pid);
        engine_stop(u->engine);
        return;
    }
    u->quiet = rss == u->rss[u->reading] ? u->quiet + 1 : 0;
    u->rss[u->reading] = rss;
    u->pss[u->reading] = pss;
    if (u->quiet < QUIET_TICKS && ++u->ticks < MOST_TICKS)
        return;
    uv_timer_stop(timer);
    settled(u);
}

static void read_memory(run *u, int which) {
    u->reading = which;
    u->ticks = u->quiet = 0;
    uv_timer_start(&u->timer, on_tick, TICK_MS, TICK_MS);
}

static void first_ready(crew *first) {
    read_memory(first->owner, 0);
}

static void many_ready(crew *many) {
    read_memory(many->owner, 1);
}

static void ask_next(run *u, unsigned index) {
    u->asked++;
    asker_ask(&u->asker, index);
}

static void answered(asker *a, unsigned index, uint64_t ns) {
    run *u = a->owner;
    (void)ns;
    if (++u->answered == u->many.count)
        engine_stop(u->engine);
    else if (u->asked < u->many.count)
        ask_next(u, index);
}

static void on_reply(worker *w, const message *m) {
    asker_message(w->owner, m);
}

static void on_unanswered(uv_timer_t *timer) {
    run *u = timer->data;
    engine_fail(u->engine, "%u of %u idle workers answered", u->answered, u->many.count);
    engine_stop(u->engine);
}

static void prober_ready(crew *prober) {
    run *u = prober->owner;
    u->engine->now = uv_hrtime();
    u->asker = (asker){.answered = answered, .owner = u};
    prober->members[0].owner = &u->asker;
    asker_init(&u->asker, &prober->members[0], &u->many, ASK_AT_ONCE, BODY_MIN);
    for (unsigned i = 0; i < ASK_AT_ONCE && u->asked < u->many.count; i++)
        ask_next(u, i);
    uv_timer_start(&u->timer, on_unanswered, (uint64_t)(u->engine->timeout * 1000), 0);
}

static void finish(run *u) {
    crew_close(&u->prober);
    crew_close(&u->many);
    crew_close(&u->first);
    uv_close((uv_handle_t *)&u->timer, NULL);
    engine_run(u->engine);
    asker_free(&u->asker);
    crew_free(&u->prober);
    crew_free(&u->many);
    crew_free(&u->first);
}

void idle_mode(engine *e, const options *o, report *r) {
    static run u;
    u = (run){.options = o, .engine = e};
    u.first = (crew){.engine = e, .role = "first", .count = FIRST, .registers = !o->bare,
                     .message = echo_message, .ready = first_ready, .owner = &u};
    u.many = (crew){.engine = e, .role = "idle", .count = o->connections, .registers = !o->bare,
                    .message = echo_message, .ready = many_ready, .owner = &u};
    u.prober = (crew){.engine = e, .role = "prober", .count = 1, .message = on_reply,
                      .ready = prober_ready, .owner = &u};
    uv_timer_init(&e->loop, &u.timer);
    u.timer.data = &u;
    crew_open(&u.first);
    engine_run(e);
    e->ending = true;
    report_number(r, "connections", o->connections, 0, "");
    report_number(r, "rss_before", (double)u.rss[0] / 1024, 0, "KiB");
    report_number(r, "rss_with", (double)u.rss[1] / 1024, 0, "KiB");
    report_number(r, "rss_each", ((double)u.rss[1] - (double)u.rss[0]) / 1024 / o->connections, 2, "KiB a worker");
    report_number(r, "pss_each", ((double)u.pss[1] - (double)u.pss[0]) / 1024 / o->connections, 2, "KiB a worker");
    report_number(r, "answered", u.answered, 0, "");
    finish(&u);
}
