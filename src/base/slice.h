/* SPDX-License-Identifier: MIT
 * Borrowed bytes: a pointer and a length, owned by somebody else. The one way text and bytes are handed around. */
#ifndef TR_BASE_SLICE_H
#define TR_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct tr_slice {
  const char *p; /* may be NULL when n is 0; not NUL-terminated */
  size_t n;
} tr_slice;

#define TR_SLICE_LITERAL(text) ((tr_slice){ "" text, sizeof(text) - 1 })
#define TR_SLICE_ARG(s) (int)(s).n, (s).p /* for printf's "%.*s" */

static inline tr_slice tr_slice_of(const char *text) {
  return (tr_slice){ text, text ? strlen(text) : 0 };
}
static inline tr_slice tr_slice_make(const void *p, size_t n) {
  return (tr_slice){ (const char *)p, n };
}
static inline bool tr_slice_equal(tr_slice a, tr_slice b) {
  return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool tr_slice_starts(tr_slice s, tr_slice prefix) {
  return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline bool tr_slice_is(tr_slice s, const char *text) {
  return tr_slice_equal(s, tr_slice_of(text));
}

#endif
