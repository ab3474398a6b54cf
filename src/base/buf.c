/* SPDX-License-Identifier: MIT
 * A growing byte buffer: capacity doubles, so n appended bytes cost O(n) in all. A growth that fails leaves what is
 * there untouched and sets `failed`; from then on every append is dropped, so that no writer can produce a text with
 * a hole. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#ifdef TR_HOSTILE
#define BUF_FIRST 23 /* small and odd, so that growing is exercised */
#else
#define BUF_FIRST 64
#endif

void tr_buf_init(tr_buf *buf, tr_mem *mem) { *buf = (tr_buf){ .mem = mem }; }

void tr_buf_fini(tr_buf *buf) {
  tr_free(buf->mem, buf->data, buf->cap);
  tr_buf_init(buf, buf->mem);
}

bool tr_buf_reserve(tr_buf *buf, size_t more) {
  if (buf->failed) return false;
  if (more <= buf->cap - buf->len) return true;
  size_t cap = buf->cap ? buf->cap : BUF_FIRST;
  while (cap - buf->len < more) {
    if (cap > SIZE_MAX / 2) {
      buf->failed = true;
      return false;
    }
    cap *= 2;
  }
  uint8_t *data = tr_realloc(buf->mem, buf->data, buf->cap, cap);
  if (!data) {
    buf->failed = true;
    return false;
  }
  buf->data = data;
  buf->cap = cap;
  return true;
}

bool tr_buf_append(tr_buf *buf, const void *bytes, size_t n) {
  if (!tr_buf_reserve(buf, n)) return false;
  if (n) memcpy(buf->data + buf->len, bytes, n);
  buf->len += n;
  return true;
}

bool tr_buf_slice(tr_buf *buf, tr_slice bytes) { return tr_buf_append(buf, bytes.p, bytes.n); }
bool tr_buf_text(tr_buf *buf, const char *text) { return tr_buf_append(buf, text, strlen(text)); }
bool tr_buf_byte(tr_buf *buf, uint8_t byte) { return tr_buf_append(buf, &byte, 1); }

bool tr_buf_printf(tr_buf *buf, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  /* one more than the text: vsnprintf writes a NUL, which is not counted in len */
  if (n < 0 || !tr_buf_reserve(buf, (size_t)n + 1)) return false;
  va_start(args, format);
  vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, format, args);
  va_end(args);
  buf->len += (size_t)n;
  return true;
}

void tr_buf_consume(tr_buf *buf, size_t n) {
  if (n > buf->len) n = buf->len;
  buf->len -= n;
  if (n && buf->len) memmove(buf->data, buf->data + n, buf->len);
}
