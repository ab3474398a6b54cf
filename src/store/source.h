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

/* A piece of the source, kept so that small steps forward do not each cost a system call. */
typedef struct tr_window {
  const tr_source *source;
  uint64_t at; /* where in the file the piece begins */
  tr_buf piece;
} tr_window;
void tr_window_init(tr_window *window, const tr_source *source, tr_mem *mem);
void tr_window_fini(tr_window *window);
/* Bytes at..at + n, which the caller knows to be within the size. own: *out lies in the source's bytes or in the piece,
 * and lives until the next call. err: TR_EDATA_LOSS, TR_EIO, TR_EMEMORY. */
int tr_window_read(tr_window *window, uint64_t at, size_t n, const uint8_t **out, tr_error *error);

#endif
