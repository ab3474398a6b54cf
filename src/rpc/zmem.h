/* SPDX-License-Identifier: MIT
 * zlib's memory from ours: it does not give sizes back, so each block has its size in front. `opaque` is the tr_mem. */
#ifndef TR_RPC_ZMEM_H
#define TR_RPC_ZMEM_H

#include <zlib.h>

#include "rpc/internal.h"

voidpf tr_zmem_take(voidpf mem, uInt items, uInt size);
void tr_zmem_give(voidpf mem, voidpf address);

#endif
