/* SPDX-License-Identifier: MIT
 * Which of three queues goes next: high before normal before low, but after TR_LANE_RUN messages of a higher one a lower one has its turn,
 * so that none starves. One rule for mailboxes (core), sessions (rpc, host) and uplinks (worker). */
#ifndef TR_BASE_LANES_H
#define TR_BASE_LANES_H

#include <stdbool.h>
#include <stdint.h>

#define TR_LANE_RUN 8

typedef enum { TR_LANE_NORMAL = 0, TR_LANE_HIGH = 1, TR_LANE_LOW = 2, TR_LANES } tr_lane_kind; /* as tr_priority */

typedef struct tr_lane_runs { uint32_t high, normal; } tr_lane_runs; /* messages of this lane since one of a lower */

/* Which lanes have something? TR_LANE_LOW where none has. */
static inline tr_lane_kind tr_lane_next(tr_lane_runs *runs, bool high, bool normal, bool low) {
  if (high && !((normal || low) && runs->high >= TR_LANE_RUN)) {
    runs->high++;
    return TR_LANE_HIGH;
  }
  runs->high = 0;
  if (normal && !(low && runs->normal >= TR_LANE_RUN)) {
    runs->normal++;
    return TR_LANE_NORMAL;
  }
  runs->normal = 0;
  return TR_LANE_LOW;
}

#endif
