/* SPDX-License-Identifier: MIT
 * report.h: what a run found, as one line of JSON or, pretty, a line each. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>

typedef struct report {
    bool pretty, begun;
} report;

void report_text(report *r, const char *name, const char *value);
/* With so many decimals; `unit` shows when pretty. */
void report_number(report *r, const char *name, double value, int decimals, const char *unit);
void report_end(report *r);

#endif
