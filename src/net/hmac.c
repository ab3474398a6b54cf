/* SPDX-License-Identifier: MIT
 * See hmac.h. */
#include "net/hmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static int digit_of(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

bool tr_hmac_check(tr_slice key, tr_slice bytes, tr_slice hex) {
  unsigned char given[32], own[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  if (tr_slice_starts(hex, TR_SLICE_LITERAL("sha256="))) hex = tr_slice_make(hex.p + 7, hex.n - 7);
  if (hex.n != 2 * sizeof given) return false;
  for (size_t i = 0; i < sizeof given; i++) {
    int high = digit_of(hex.p[2 * i]), low = digit_of(hex.p[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    given[i] = (unsigned char)(high << 4 | low);
  }
  return HMAC(EVP_sha256(), key.p, (int)key.n, (const unsigned char *)bytes.p, bytes.n, own, &length) && length == sizeof given &&
         CRYPTO_memcmp(own, given, sizeof given) == 0;
}
