/* SPDX-License-Identifier: MIT
 * events.c: one publisher, N subscribers, each on a connection of its own, K events in flight.
 *
 * An event is in flight until all subscribers have it. They must see the numbers 0, 1, 2... without
 * a gap, a repeat or a swap, and each event as it was published. */
#include "modes.h"
#include "protocol.h"
#include "window.h"
#include "worker.h"

typedef struct flight {
    uint64_t sent;     /* ns */
    unsigned missing; /* subscribers that do not have it yet */
} flight;

typedef struct run {
    const options *options;
    engine *engine;
    window window;
    crew idle, subscribers, publishers; /* one publisher */
    form form;
    flight *flights; /* of event n: n % inflight */
    uint64_t *next;  /* by subscriber: the number it waits for */
    uint64_t published, completed;
    fault fault;
} run;

static void publish(run *u) {
    worker *w = &u->publishers.members[0];
    uint64_t number = u->published++;
    u->flights[number % u->options->inflight] = (flight){u->engine->now, u->subscribers.count};
    u->window.under_way += u->subscribers.count;
    form_fill(&u->form, number, number);
    memcpy(conn_begin(&w->conn, u->form.wire.len), u->form.wire.at, u->form.wire.len);
    conn_end(&w->conn, u->form.wire.len);
}

static void publish_all(run *u) {
    while (window_open(&u->window) && u->published - u->completed < u->options->inflight)
        publish(u);
}

/* A subscriber is through with event `number`: it has it, or will never have it. */
static void settle(run *u, uint64_t number) {
    u->flights[number % u->options->inflight].missing--;
    u->window.under_way--;
    while (u->completed < u->published && !u->flights[u->completed % u->options->inflight].missing)
        u->completed++;
}

static void on_delivery(worker *w, const message *m) {
    run *u = w->crew->owner;
    uint64_t number, *next = &u->next[w->number];
    if (m->kind != MESSAGE_EVENT || !u->engine->protocol->event_key(m->id, &number) || number >= u->published) {
        engine_fail(u->engine, "subscriber %u: a message that is no event of ours", w->number);
        return;
    }
    if (number < *next) {
        engine_fail(u->engine, "subscriber %u: event %llu again or late, %llu was next", w->number,
                    (unsigned long long)number, (unsigned long long)*next);
        return;
    }
    if (number > *next)
        engine_fail(u->engine, "subscriber %u: event %llu came where %llu was next: lost or late", w->number,
                    (unsigned long long)number, (unsigned long long)*next);
    if (!u->engine->protocol->same_event(&u->form, m->inner, number))
        engine_fail(u->engine, "subscriber %u: event %llu is not as it was published", w->number,
                    (unsigned long long)number);
    uint64_t sent = u->flights[number % u->options->inflight].sent;
    while (*next <= number)
        settle(u, (*next)++);
    window_count(&u->window, u->engine->now - sent);
    publish_all(u);
}

static void no_message(worker *w, const message *m) {
    (void)m;
    engine_fail(w->crew->engine, "worker %s, to whom nothing was sent, got a message", w->type);
}

static void start(crew *publishers) {
    run *u = publishers->owner;
    u->engine->now = uv_hrtime();
    window_start(&u->window, u->engine, u->options);
    publish_all(u);
}

static void subscribers_ready(crew *subscribers) {
    run *u = subscribers->owner;
    crew_open(&u->publishers);
}

static void idle_ready(crew *idle) {
    run *u = idle->owner;
    crew_open(&u->subscribers);
}

static void finish(run *u) {
    crew_close(&u->idle);
    crew_close(&u->publishers);
    crew_close(&u->subscribers);
    window_close(&u->window);
    engine_run(u->engine);
    crew_free(&u->idle);
    crew_free(&u->publishers);
    crew_free(&u->subscribers);
    form_free(&u->form);
    free(u->flights);
    free(u->next);
    bytes_free(&u->fault.held);
}

void events_mode(engine *e, const options *o, report *r) {
    static run u;
    char topic[64];
    snprintf(topic, sizeof topic, "bench_topic_%llx", (unsigned long long)uv_hrtime());
    u = (run){.options = o, .engine = e, .fault = {.kind = o->fault, .body = o->size}};
    u.idle = (crew){.engine = e, .role = "idle", .count = o->beside, .registers = true, .topic = "idle",
                    .message = no_message, .ready = idle_ready, .owner = &u};
    u.subscribers = (crew){.engine = e, .role = "subscriber", .count = o->subscribers, .registers = true,
                           .topic = topic, .types = o->types, .fault = o->fault ? &u.fault : NULL, .message = on_delivery,
                           .ready = subscribers_ready, .owner = &u};
    u.publishers = (crew){.engine = e, .role = "publisher", .count = 1, .message = no_message,
                          .ready = start, .owner = &u};
    u.flights = must(calloc(o->inflight, sizeof *u.flights));
    u.next = must(calloc(o->subscribers, sizeof *u.next));
    e->protocol->event(&u.form, topic, o->size);
    crew_open(o->beside ? &u.idle : &u.subscribers);
    engine_run(e);
    e->ending = true;
    report_number(r, "subscribers", o->subscribers, 0, "");
    if (o->beside)
        report_number(r, "beside", o->beside, 0, "idle workers");
    if (o->types)
        report_number(r, "types", o->types, 0, "further types of each subscriber");
    report_number(r, "inflight", o->inflight, 0, "");
    report_number(r, "size", (double)o->size, 0, "bytes");
    window_report(&u.window, r, "deliveries");
    finish(&u);
}
