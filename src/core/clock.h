/* SPDX-License-Identifier: MIT
 * Time as the core knows it: microseconds on a monotonic clock that is handed in (tr_core_step), so that tests and the
 * simulation run in virtual time. */
#ifndef TR_CORE_CLOCK_H
#define TR_CORE_CLOCK_H

#include <stdint.h>

typedef int64_t tr_time; /* µs */
#define TR_NEVER INT64_MAX
#define TR_SECONDS(s) ((tr_time)((s) * 1000000.0))
#define TR_MILLISECONDS(ms) ((tr_time)(ms) * 1000)

#endif
