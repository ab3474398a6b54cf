/* SPDX-License-Identifier: MIT
 * gauge.c: reads the CPU clock of a process (ns, where /proc/PID/stat has ticks of 10 ms) and
 * /proc/PID/smaps_rollup. See gauge.h. */
#include "gauge.h"

#include <stdio.h>
#include <time.h>

bool gauge_cpu(pid_t pid, uint64_t *ns) {
    clockid_t clock;
    struct timespec at;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &at) != 0)
        return false;
    *ns = (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
    return true;
}

bool gauge_memory(pid_t pid, uint64_t *rss, uint64_t *pss) {
    char line[256];
    unsigned long kb;
    int found = 0;
    snprintf(line, sizeof line, "/proc/%ld/smaps_rollup", (long)pid);
    FILE *file = fopen(line, "r");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "Rss: %lu kB", &kb) == 1)
            *rss = (uint64_t)kb * 1024, found++;
        else if (sscanf(line, "Pss: %lu kB", &kb) == 1)
            *pss = (uint64_t)kb * 1024, found++;
    }
    fclose(file);
    return found == 2;
}
