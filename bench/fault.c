/* SPDX-License-Identifier: MIT
 * fault.c: one message in a thousand is lost, doubled, late, corrupt or crossed. See fault.h. */
#include "fault.h"

bool fault_named(const char *name, enum fault_kind *kind) {
    static const char *const names[] = {"none", "lose", "double", "reorder", "corrupt", "cross"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum fault_kind)i;
            return true;
        }
    return false;
}

static void corrupt(fault *f, span wire, fault_deliver deliver, void *to) {
    bytes copy = {0};
    bytes_add(&copy, wire.at, wire.len);
    copy.at[copy.len - f->body / 2] ^= 1;
    deliver(to, span_bytes(&copy));
    bytes_free(&copy);
}

static void hold(fault *f, span wire, void *to) {
    f->held.len = 0;
    bytes_add(&f->held, wire.at, wire.len);
    f->held_for = to;
}

/* The message that was held meets the next one for the same worker. */
static void release(fault *f, span wire, fault_deliver deliver, void *to) {
    bytes next = {0};
    bytes_add(&next, wire.at, wire.len);
    f->held_for = NULL;
    if (f->kind == FAULT_CROSS && next.len == f->held.len)
        for (size_t i = next.len - f->body; i < next.len; i++) {
            uint8_t byte = next.at[i];
            next.at[i] = f->held.at[i];
            f->held.at[i] = byte;
        }
    deliver(to, span_bytes(&next));
    deliver(to, span_bytes(&f->held));
    bytes_free(&next);
}

static void strike(fault *f, span wire, fault_deliver deliver, void *to) {
    if (f->kind == FAULT_DOUBLE) {
        deliver(to, wire);
        deliver(to, wire);
    } else if (f->kind == FAULT_CORRUPT) {
        corrupt(f, wire, deliver, to);
    } else if (f->kind != FAULT_LOSE) {
        hold(f, wire, to);
    }
}

void fault_pass(fault *f, span wire, fault_deliver deliver, void *to) {
    if (f->held_for && f->held_for == to)
        release(f, wire, deliver, to);
    else if (f->seen++ % FAULT_EVERY == FAULT_EVERY / 2 && !f->held_for)
        strike(f, wire, deliver, to);
    else
        deliver(to, wire);
}
