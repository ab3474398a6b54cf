/* SPDX-License-Identifier: MIT
 * Base64, the plain alphabet. Reading is strict: one text for each bytes, so that equal values have equal texts. */
#include "codec/base64.h"

#include "base/error.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tr_base64_write(tr_buf *out, tr_slice bytes) {
  const uint8_t *p = (const uint8_t *)bytes.p;
  if (!tr_buf_reserve(out, bytes.n / 3 * 4 + 4)) return;
  for (size_t i = 0; i < bytes.n; i += 3) {
    size_t left = bytes.n - i;
    uint32_t three = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
    uint8_t *to = out->data + out->len;
    to[0] = (uint8_t)alphabet[three >> 18];
    to[1] = (uint8_t)alphabet[three >> 12 & 63];
    to[2] = left > 1 ? (uint8_t)alphabet[three >> 6 & 63] : '=';
    to[3] = left > 2 ? (uint8_t)alphabet[three & 63] : '=';
    out->len += 4;
  }
}

static int digit_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int tr_base64_read(tr_buf *out, tr_slice text) {
  size_t padding = 0;
  if (text.n % 4 != 0) return TR_EINVALID;
  while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=') padding++;
  uint32_t bits = 0;
  unsigned count = 0;
  for (size_t i = 0; i < text.n - padding; i++) {
    int digit = digit_of(text.p[i]);
    if (digit < 0) return TR_EINVALID;
    bits = bits << 6 | (uint32_t)digit;
    if ((count += 6) >= 8) tr_buf_byte(out, (uint8_t)(bits >> (count -= 8)));
  }
  if ((bits & ((1u << count) - 1)) != 0) return TR_EINVALID; /* bits that stand for nothing */
  return out->failed ? TR_EMEMORY : 0;
}
