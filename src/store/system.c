/* SPDX-License-Identifier: MIT
 * errno as an error: strerror_r, since other threads may ask at the same time. */
#include "store/system.h"

#define SHOWN 200

const char *tr_system_path(const char *path) {
  size_t n = strlen(path);
  if (n <= SHOWN) return path;
  path += n - SHOWN;
  while ((*path & 0xC0) == 0x80) path++; /* not in the midst of a character */
  return path;
}

int tr_system_error(tr_error *error, int number, const char *doing, const char *path) {
  char words[128];
  if (strerror_r(number, words, sizeof words)) words[0] = 0;
  return tr_error_set(error, TR_EIO, "%s %s: %s", doing, tr_system_path(path), words[0] ? words : "unknown error");
}
