/* SPDX-License-Identifier: MIT
 * hist.c: row 0 counts 0..127 one by one, row r the 64 steps of 2^r that make up [2^(r+6), 2^(r+7)).
 * They lie in the upper half of the row, so that the place of a time is one shift. See hist.h. */
#include "hist.h"

static unsigned row_of(uint64_t ns) {
    return ns < HIST_SUB ? 0 : 57u - (unsigned)__builtin_clzll(ns);
}

void hist_add(hist *h, uint64_t ns) {
    unsigned row = row_of(ns);
    h->count[row][(ns >> row) % HIST_SUB]++;
    h->total++;
}

uint64_t hist_at(const hist *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total), seen = 0;
    if (h->total == 0)
        return 0;
    if (rank >= h->total)
        rank = h->total - 1;
    for (unsigned row = 0; row < HIST_ROWS; row++)
        for (unsigned i = 0; i < HIST_SUB; i++) {
            seen += h->count[row][i];
            if (seen > rank)
                return (uint64_t)i << row;
        }
    return 0;
}
