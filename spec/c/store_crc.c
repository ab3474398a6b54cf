/* SPDX-License-Identifier: MIT
 * CRC32C against its definition. */
#include "store/crc32c.h"
#include "store_kit.h"

static uint32_t bit_by_bit(uint32_t crc, const uint8_t *p, size_t n) {
  crc = ~crc;
  while (n--) {
    crc ^= *p++;
    for (int i = 0; i < 8; i++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}

CHECK_CASE(crc32c_is_the_one_of_the_rfc) {
  uint8_t bytes[32] = { 0 };
  CHECK_INT(tr_crc32c(0, S("123456789")), ==, 0xe3069283u);
  CHECK_INT(tr_crc32c(0, tr_slice_make(bytes, 32)), ==, 0x8a9136aau); /* RFC 3720 B.4 */
  memset(bytes, 0xff, sizeof bytes);
  CHECK_INT(tr_crc32c(0, tr_slice_make(bytes, 32)), ==, 0x62a8ab43u);
  CHECK_INT(tr_crc32c(0, (tr_slice){ NULL, 0 }), ==, 0);
}

CHECK_CASE(crc32c_in_any_pieces) {
  uint8_t bytes[96];
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 151 + 43);
  for (size_t from = 0; from < 9; from++)
    for (size_t n = 0; n <= 64; n++) {
      uint32_t whole = bit_by_bit(0, bytes + from, n);
      CHECK_INT(tr_crc32c(0, tr_slice_make(bytes + from, n)), ==, whole);
      uint32_t first = tr_crc32c(0, tr_slice_make(bytes + from, n / 3));
      CHECK_INT(tr_crc32c(first, tr_slice_make(bytes + from + n / 3, n - n / 3)), ==, whole);
    }
}
