/* SPDX-License-Identifier: MIT
 * CRC32C (Castagnoli; RFC 3720 B.4): finds every flipped bit and every damaged run of up to 32 bits. */
#ifndef TR_STORE_CRC32C_H
#define TR_STORE_CRC32C_H

#include "base/slice.h"

/* Of what `crc` was computed of, followed by `bytes`; begin with 0. */
uint32_t tr_crc32c(uint32_t crc, tr_slice bytes);

#endif
