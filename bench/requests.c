/* SPDX-License-Identifier: MIT
 * requests.c: R requesters keep N requests outstanding at W responders, all through the host; other workers may be
 * connected to it and idle, so that what they cost a message shows. */
#include "ask.h"
#include "modes.h"
#include "window.h"

typedef struct run {
    const options *options;
    engine *engine;
    window window;
    crew idle, responders, requesters;
    asker *askers;
    fault fault;
} run;

static void answered(asker *a, unsigned index, uint64_t ns) {
    run *u = a->owner;
    u->window.under_way--;
    window_count(&u->window, ns);
    if (window_open(&u->window)) {
        u->window.under_way++;
        asker_ask(a, index);
    }
}

static void on_reply(worker *w, const message *m) {
    asker_message(w->owner, m);
}

/* Requester `i`'s share of the requests outstanding; each has at least one. */
static unsigned share(const options *o, unsigned i) {
    unsigned n = o->outstanding / o->requesters + (i < o->outstanding % o->requesters);
    return n ? n : 1;
}

static void start(crew *requesters) {
    run *u = requesters->owner;
    u->engine->now = uv_hrtime();
    window_start(&u->window, u->engine, u->options);
    for (unsigned i = 0; i < requesters->count; i++) {
        asker *a = &u->askers[i];
        worker *self = &requesters->members[i];
        unsigned slots = share(u->options, i);
        *a = (asker){.answered = answered, .owner = u, .same_ids = u->options->same_ids};
        self->owner = a;
        asker_init(a, self, &u->responders, slots, u->options->size);
        u->window.under_way += slots;
        for (unsigned s = 0; s < slots; s++)
            asker_ask(a, s);
    }
}

static void responders_ready(crew *responders) {
    run *u = responders->owner;
    crew_open(&u->requesters);
}

static void idle_ready(crew *idle) {
    run *u = idle->owner;
    crew_open(&u->responders);
}

static void finish(run *u) {
    crew_close(&u->idle);
    crew_close(&u->requesters);
    crew_close(&u->responders);
    window_close(&u->window);
    engine_run(u->engine);
    for (unsigned i = 0; i < u->requesters.count; i++)
        asker_free(&u->askers[i]);
    free(u->askers);
    crew_free(&u->idle);
    crew_free(&u->requesters);
    crew_free(&u->responders);
    bytes_free(&u->fault.held);
}

void requests_mode(engine *e, const options *o, report *r) {
    static run u;
    u = (run){.options = o, .engine = e, .fault = {.kind = o->fault, .body = o->size}};
    u.idle = (crew){.engine = e, .role = "idle", .count = o->beside, .registers = true, .topic = "idle", .types = o->types,
                    .message = echo_message, .ready = idle_ready, .owner = &u};
    u.responders = (crew){.engine = e, .role = "responder", .count = o->responders, .registers = true,
                          .message = echo_message, .ready = responders_ready, .owner = &u};
    u.requesters = (crew){.engine = e, .role = "requester", .count = o->requesters, .message = on_reply,
                          .fault = o->fault ? &u.fault : NULL, .ready = start, .owner = &u};
    u.askers = must(calloc(o->requesters, sizeof *u.askers));
    crew_open(o->beside ? &u.idle : &u.responders);
    engine_run(e);
    e->ending = true;
    report_number(r, "outstanding", o->outstanding, 0, "");
    if (o->beside)
        report_number(r, "beside", o->beside, 0, "idle workers");
    if (o->types)
        report_number(r, "types", o->types, 0, "further types of each of those");
    report_number(r, "size", (double)o->size, 0, "bytes");
    report_number(r, "requesters", o->requesters, 0, "");
    report_number(r, "responders", o->responders, 0, "");
    window_report(&u.window, r, "requests");
    finish(&u);
}
