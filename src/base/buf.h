/* SPDX-License-Identifier: MIT
 * A growing byte buffer. A failed growth is remembered (`failed`), so that a writer may append many times and
 * look once at the end. */
#ifndef TR_BASE_BUF_H
#define TR_BASE_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/slice.h"

typedef struct tr_buf {
  uint8_t *data;
  size_t len, cap;
  tr_mem *mem;
  bool failed; /* an append did not fit into memory; what follows is dropped */
} tr_buf;

void tr_buf_init(tr_buf *buf, tr_mem *mem);
void tr_buf_fini(tr_buf *buf);
static inline void tr_buf_clear(tr_buf *buf) { buf->len = 0; buf->failed = false; }
/* Make room for `more` bytes beyond len; false where memory ran out. */
bool tr_buf_reserve(tr_buf *buf, size_t more);
bool tr_buf_append(tr_buf *buf, const void *bytes, size_t n);
bool tr_buf_slice(tr_buf *buf, tr_slice bytes);
bool tr_buf_text(tr_buf *buf, const char *text);
bool tr_buf_byte(tr_buf *buf, uint8_t byte);
bool tr_buf_printf(tr_buf *buf, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Drop the first n bytes. */
void tr_buf_consume(tr_buf *buf, size_t n);
static inline tr_slice tr_buf_view(const tr_buf *buf) { return tr_slice_make(buf->data, buf->len); }

#endif
