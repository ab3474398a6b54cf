/* SPDX-License-Identifier: MIT
 * Events that may come a second time (docs/wire.md 10.4): a host that had lost its record of a worker cannot say what it has passed on, so
 * that worker sends what was not acknowledged with a mark, and receivers look whether they had it. */
#ifndef TR_WIRE_AGAIN_H
#define TR_WIRE_AGAIN_H

#include "wire/wire.h"

#define TR_AGAIN_MOST 1024u /* events that are remembered */

typedef struct tr_again { uint64_t *marks; uint32_t next; } tr_again; /* zeroed: none yet */

/* It has the mark, and is among the last events that this was asked of. Else it is remembered from now on; false where there is no memory. */
bool tr_again_had(tr_again *seen, tr_mem *mem, const tr_wire_span *event);
void tr_again_fini(tr_again *seen, tr_mem *mem);

#endif
