/* SPDX-License-Identifier: MIT
 * What was told already, by kind: so that what happens again and again is in the log the first time, and then less and less often. */
#ifndef TR_BASE_TALLY_H
#define TR_BASE_TALLY_H

#include "base/map.h"

#define TR_TALLY_TIMES 32

typedef struct tr_tally { tr_map kinds; } tr_tally;

void tr_tally_init(tr_tally *tally, tr_mem *mem, uint64_t seed);
void tr_tally_fini(tr_tally *tally);
/* It happened once more. true: tell it (the 1st, 2nd, 4th, 8th, … of this kind); `times` is then "" or " count=N". Never fails: without
 * memory, and when there are too many kinds, a kind may be told more often, but never a new one not at all. */
bool tr_tally_tell(tr_tally *tally, tr_slice kind, char times[TR_TALLY_TIMES]);

#endif
