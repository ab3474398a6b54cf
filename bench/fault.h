/* SPDX-License-Identifier: MIT
 * fault.h: harms messages on purpose between the wire and the checks, to show that the checks would
 * notice a host that does so. */
#ifndef BENCH_FAULT_H
#define BENCH_FAULT_H

#include <stdbool.h>

#include "bytes.h"

enum fault_kind {
    FAULT_NONE,
    FAULT_LOSE,    /* is not handed on */
    FAULT_DOUBLE,  /* is handed on twice */
    FAULT_REORDER, /* comes after the next one for the same worker */
    FAULT_CORRUPT, /* has one bit of its body flipped */
    FAULT_CROSS    /* changes bodies with the next one for the same worker */
};

/* One message in FAULT_EVERY is harmed, the first one half that number in. */
enum { FAULT_EVERY = 1000 };

typedef struct fault {
    enum fault_kind kind;
    size_t body; /* the bytes at a message's end that are its body */
    /* private */
    unsigned long seen;
    bytes held;
    void *held_for; /* NULL = nothing held */
} fault;

typedef void (*fault_deliver)(void *to, span wire);

/* false = no such kind. */
bool fault_named(const char *name, enum fault_kind *kind);

void fault_pass(fault *f, span wire, fault_deliver deliver, void *to);

#endif
