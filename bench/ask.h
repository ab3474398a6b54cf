/* SPDX-License-Identifier: MIT
 * ask.h: both ends of a request: who asks, with a fixed number of requests outstanding, and who
 * echoes. Each reply must be that of an open request, carry its body, and come once. */
#ifndef BENCH_ASK_H
#define BENCH_ASK_H

#include "worker.h"

typedef struct asker asker;

typedef struct slot {
    uint64_t sent;       /* ns */
    uint32_t generation; /* how many requests it had before; part of the key */
    unsigned echo;       /* which worker was asked */
    bool open;
} slot;

struct asker {
    worker *self;
    const crew *echoes; /* asked in turn */
    bool same_ids;      /* ids do not tell this asker from the others */
    /* A request was answered, rightly; its slot is free. */
    void (*answered)(asker *, unsigned index, uint64_t ns);
    void *owner;
    unsigned open; /* requests under way */
    /* private */
    form *forms; /* one for each of `echoes` */
    slot *slots;
    unsigned slot_count, next;
};

/* For at most `slots` (65535) requests at once, with bodies of `size` bytes. */
void asker_init(asker *a, worker *self, const crew *echoes, unsigned slots, size_t size);
void asker_free(asker *a);

/* Sends the next request in a slot that is free. */
void asker_ask(asker *a, unsigned slot);

/* Takes a message that came for the asker. */
void asker_message(asker *a, const message *m);

/* Takes a message for a worker of `echoes` and answers it with its own payload. */
void echo_message(worker *w, const message *m);

#endif
