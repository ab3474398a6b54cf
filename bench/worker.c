/* SPDX-License-Identifier: MIT
 * worker.c: brings workers up, one step after the other, and reads their messages. See worker.h.
 *
 * OpenChannel is opened first and its headers are not waited for: AutoGen's host sends them with the
 * first message only. Names carry the process id and the time, so runs do not meet on one host. */
#include "worker.h"

#include <time.h>
#include <unistd.h>

enum { OPENING_AT_ONCE = 32 };
enum { STEP_REGISTER, STEP_SUBSCRIBE, STEP_MORE_TYPE, STEP_MORE_SUBSCRIPTION, STEP_JOINED };

static void open_next(crew *c);

static const char *run_tag(void) {
    static char tag[32];
    if (!tag[0])
        snprintf(tag, sizeof tag, "%x_%lx", (unsigned)getpid(), (unsigned long)time(NULL));
    return tag;
}

static void on_stuck(uv_timer_t *timer) {
    crew *c = timer->data;
    engine_fail(c->engine, "%u of %u %ss joined, then none for %g s", c->joined, c->count, c->role, c->engine->timeout);
    engine_stop(c->engine);
}

static void joined(worker *w) {
    crew *c = w->crew;
    w->step = STEP_JOINED;
    if (++c->joined < c->count) {
        uv_timer_start(&c->watch, on_stuck, (uint64_t)(c->engine->timeout * 1000), 0);
        open_next(c);
        return;
    }
    uv_timer_stop(&c->watch);
    c->ready(c);
}

/* The one of its further types that is next, or a subscription of it: to the topic, to all that begin as it does, and
 * the same of a topic that nobody publishes to. */
static void one_more(worker *w, bool subscription) {
    static const char *const kinds[] = {"exact", "prefix", "other", "other prefix"};
    const protocol *speaks = w->conn.engine->protocol;
    unsigned kind = w->more % 4;
    char type[96], id[128], topic[96];
    snprintf(type, sizeof type, "%s_%u", w->type, w->more);
    if (!subscription) {
        speaks->enroll(&w->conn, type);
        return;
    }
    snprintf(id, sizeof id, "%s-%s", type, kinds[kind]);
    snprintf(topic, sizeof topic, kind < 2 ? "%s" : "%s_of_nobody_%u_%u", w->crew->topic, w->number, w->more);
    if (kind == 1)
        topic[strlen(topic) / 2] = 0;
    w->more++;
    speaks->subscribe(&w->conn, id, topic, kind % 2, type);
}

/* Does the next thing that this crew's workers do, from `step` on. */
static void advance(worker *w, int step) {
    const protocol *speaks = w->conn.engine->protocol;
    char id[96];
    if (step <= STEP_REGISTER && w->crew->registers) {
        w->step = STEP_REGISTER;
        speaks->enroll(&w->conn, w->type);
    } else if (step <= STEP_SUBSCRIBE && w->crew->topic) {
        w->step = STEP_SUBSCRIBE;
        snprintf(id, sizeof id, "%s-subscription", w->type);
        speaks->subscribe(&w->conn, id, w->crew->topic, false, w->type);
    } else if (step != STEP_MORE_SUBSCRIPTION && w->more < w->crew->types) {
        w->step = STEP_MORE_TYPE;
        one_more(w, false);
    } else if (step == STEP_MORE_SUBSCRIPTION) {
        w->step = STEP_MORE_SUBSCRIPTION;
        one_more(w, true);
    } else {
        joined(w);
    }
}

static void on_up(conn *l) {
    l->engine->protocol->receive(l);
    advance(l->owner, STEP_REGISTER);
}

static void on_answer(conn *l, int status) {
    worker *w = l->owner;
    if (status != 0) {
        engine_fail(l->engine, "worker %s: refused: status %d, %s", w->type, status, l->text);
        engine_stop(l->engine);
        return;
    }
    advance(w, w->step + 1);
}

static void hand_over(void *to, span wire) {
    worker *w = to;
    message m;
    if (w->conn.engine->protocol->read(wire, &m))
        w->crew->message(w, &m);
    else
        engine_fail(w->crew->engine, "worker %s: a message of %zu bytes that cannot be read", w->type, wire.len);
}

static void on_message(conn *l, span wire) {
    worker *w = l->owner;
    if (w->crew->fault)
        fault_pass(w->crew->fault, wire, hand_over, w);
    else
        hand_over(w, wire);
}

static void open_next(crew *c) {
    static const conn_events events = {on_up, on_message, on_answer};
    if (c->opened == c->count)
        return;
    worker *w = &c->members[c->opened];
    w->crew = c;
    w->number = c->opened++;
    snprintf(w->type, sizeof w->type, "bench_%s_%s_%u", run_tag(), c->role, w->number);
    conn_open(&w->conn, c->engine, w->type, &events, w);
}

void crew_open(crew *c) {
    c->members = must(calloc(c->count, sizeof *c->members));
    uv_timer_init(&c->engine->loop, &c->watch);
    c->watch.data = c;
    uv_timer_start(&c->watch, on_stuck, (uint64_t)(c->engine->timeout * 1000), 0);
    for (unsigned i = 0; i < OPENING_AT_ONCE; i++)
        open_next(c);
}

void crew_close(crew *c) {
    if (!c->members)
        return;
    uv_close((uv_handle_t *)&c->watch, NULL);
    for (unsigned i = 0; i < c->opened; i++)
        conn_close(&c->members[i].conn);
}

void crew_free(crew *c) {
    free(c->members);
    c->members = NULL;
}
