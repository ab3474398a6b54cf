/* SPDX-License-Identifier: MIT
 * What writer and reader must agree on: the places of snapshot.h's format, and numbers in little-endian order. */
#ifndef TR_STORE_FORMAT_H
#define TR_STORE_FORMAT_H

#include "store/crc32c.h"
#include "store/snapshot.h"

#define MAGIC TR_SLICE_LITERAL("\x89TRS\r\n\x1a\n")
#define TAG_RECORD UINT32_C(0x44434552) /* "RECD" */
#define TAG_END UINT32_C(0x4c494154)    /* "TAIL" */

enum { BEGIN_SIZE = 16, BEGIN_VERSION = 8, BEGIN_CRC = 12 };
enum {
  HEAD_SIZE = 32, HEAD_TAG = 0, HEAD_CRC = 4, HEAD_CHECKED = 8, HEAD_VERSION = 8, HEAD_BODY_CRC = 12, HEAD_BODY = 16,
  HEAD_KIND = 24, HEAD_KEY = 26, HEAD_PART = 28
};
enum {
  END_SIZE = 40, END_TAG = 0, END_CRC = 4, END_CHECKED = 8, END_COUNT = 8, END_TOTAL = 16, END_BODIES = 24,
  END_CHAIN = 32
};

static inline void tr_put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v; p[1] = (uint8_t)(v >> 8); }
static inline void tr_put32(uint8_t *p, uint32_t v) { tr_put16(p, (uint16_t)v); tr_put16(p + 2, (uint16_t)(v >> 16)); }
static inline void tr_put64(uint8_t *p, uint64_t v) { tr_put32(p, (uint32_t)v); tr_put32(p + 4, (uint32_t)(v >> 32)); }
static inline uint16_t tr_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t tr_get32(const uint8_t *p) { return tr_get16(p) | (uint32_t)tr_get16(p + 2) << 16; }
static inline uint64_t tr_get64(const uint8_t *p) { return tr_get32(p) | (uint64_t)tr_get32(p + 4) << 32; }

/* The chain, longer by one checksum. */
static inline uint32_t tr_chain(uint32_t chain, uint32_t crc) {
  uint8_t bytes[4];
  tr_put32(bytes, crc);
  return tr_crc32c(chain, tr_slice_make(bytes, 4));
}

#endif
