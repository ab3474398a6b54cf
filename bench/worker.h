/* SPDX-License-Identifier: MIT
 * worker.h: a client of the host as AutoGen's workers are one (a client-id, a connection, an open
 * channel, a registered type, a subscription), and crews of equal ones. */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#include "fault.h"
#include "conn.h"
#include "protocol.h"

typedef struct worker worker;
typedef struct crew crew;

struct worker {
    crew *crew;
    unsigned number; /* in its crew */
    char type[64];   /* the agent type that it registered, or would have */
    void *owner;
    conn conn;
    int step;
    unsigned more; /* how many of the crew's further types it has */
};

struct crew {
    engine *engine;
    const char *role; /* a part of client-ids and type names */
    unsigned count;
    bool registers;    /* RegisterAgent its type */
    const char *topic; /* AddSubscription to it; NULL = none */
    unsigned types;    /* further types of each, with a subscription each: half of them match the topic, half none */
    fault *fault;      /* between the wire and `message`; NULL = none */
    void (*message)(worker *, const message *);
    void (*ready)(crew *); /* all are connected, registered and subscribed */
    void *owner;
    /* private */
    worker *members;
    unsigned opened, joined;
    uv_timer_t watch; /* over members that do not get on */
};

/* Opens `count` members, a few at a time; `ready` tells. */
void crew_open(crew *c);
void crew_close(crew *c);
/* After the loop has run. */
void crew_free(crew *c);

#endif
