/* SPDX-License-Identifier: MIT
 * gauge.h: what a process has cost: its CPU time and its memory. */
#ifndef BENCH_GAUGE_H
#define BENCH_GAUGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* CPU time of all threads of a process, dead ones too, in ns; 0 = this process. */
bool gauge_cpu(pid_t pid, uint64_t *ns);

/* Resident memory in bytes, and its share of what it has in common with others (Pss). */
bool gauge_memory(pid_t pid, uint64_t *rss, uint64_t *pss);

#endif
