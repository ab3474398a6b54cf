/* SPDX-License-Identifier: MIT
 * Where a snapshot's bytes come from: memory or a file. */
#ifndef TR_STORE_SOURCE_H
#define TR_STORE_SOURCE_H

#include "base/buf.h"
#include "base/error.h"

typedef struct tr_source {
  const char *name;     /* for errors: the path, as the caller gave it */
  const uint8_t *bytes; /* NULL: a file */
  int fd;
  uint64_t size;
} tr_source;

/* Opens a regular file. err: TR_ENOT_FOUND, TR_EINVALID, TR_EIO. */
int tr_source_init_file(tr_source *source, const char *path, tr_error *error);
void tr_source_fini(tr_source *source);

/* TR_EDATA_LOSS "NAME is damaged at byte AT: …". */
int tr_source_damaged(const tr_source *source, uint64_t at, tr_error *error, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    ;

/* Bytes at..at + n, which the caller knows to be within size. own: *out lies in the source's bytes or in `scratch`, and
 * lives as long; scratch may hold more: up to `ahead` bytes of what follows. */
int tr_source_read(const tr_source *source, uint64_t at, size_t n, size_t ahead, tr_buf *scratch, const uint8_t **out,
                   tr_error *error);

/* Reading from front to back in small steps: a piece of the file is kept. */
typedef struct tr_window {
  const tr_source *source;
  uint64_t at; /* where in the file the piece begins */
  tr_buf piece;
} tr_window;
void tr_window_init(tr_window *window, const tr_source *source, tr_mem *mem);
void tr_window_fini(tr_window *window);
/* As tr_source_read; *out lives until the next call. */
int tr_window_read(tr_window *window, uint64_t at, size_t n, const uint8_t **out, tr_error *error);

#endif
