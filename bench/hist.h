/* SPDX-License-Identifier: MIT
 * hist.h: a histogram of times, exact to 1.6 %, of fixed size. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

enum { HIST_SUB = 128, HIST_ROWS = 58 };

typedef struct hist {
    uint64_t count[HIST_ROWS][HIST_SUB];
    uint64_t total;
} hist;

void hist_add(hist *h, uint64_t ns);

/* The time that a share `q` (0..1) of all do not exceed; 0 of an empty one. */
uint64_t hist_at(const hist *h, double q);

#endif
