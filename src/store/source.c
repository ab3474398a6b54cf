/* SPDX-License-Identifier: MIT
 * Bytes of a snapshot from memory or from a file.
 *
 * A file is read by pread and not mapped: a mapped file that is cut by somebody else kills the process (SIGBUS), a
 * short read is an error like any other. pread also leaves no position that two threads could fight over. What a window
 * reads ahead takes the place of the system calls that 100 000 small records would cost. */
#include "store/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/system.h"

#ifdef TR_HOSTILE
#define WINDOW 41
#else
#define WINDOW 32768
#endif

int tr_source_init_file(tr_source *source, const char *path, tr_error *error) {
  struct stat about;
  *source = (tr_source){ .name = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) };
  if (source->fd < 0 && errno == ENOENT) return tr_error_set(error, TR_ENOT_FOUND, "no file %s", tr_system_path(path));
  if (source->fd < 0 || fstat(source->fd, &about)) {
    int err = tr_system_error(error, errno, "reading", path);
    tr_source_fini(source);
    return err;
  }
  if (!S_ISREG(about.st_mode)) {
    tr_source_fini(source);
    return tr_error_set(error, TR_EINVALID, "%s is not a regular file", tr_system_path(path));
  }
  source->size = (uint64_t)about.st_size;
  return 0;
}

void tr_source_fini(tr_source *source) {
  if (source->fd >= 0) close(source->fd);
  source->fd = -1;
}

int tr_source_damaged(const tr_source *source, uint64_t at, tr_error *error, const char *format, ...) {
  char what[TR_ERROR_TEXT];
  va_list args;
  va_start(args, format);
  if (vsnprintf(what, sizeof what, format, args) < 0) what[0] = 0;
  va_end(args);
  return tr_error_set(error, TR_EDATA_LOSS, "%s is damaged at byte %llu: %s", tr_system_path(source->name),
                      (unsigned long long)at, what);
}

/* n bytes, and up to `wanted` where nothing hinders: what lies beyond n may be cut and is nobody's concern yet. */
static int read_file(const tr_source *source, uint64_t at, size_t n, size_t wanted, tr_buf *to, tr_error *error) {
  while (to->len < wanted) {
    ssize_t got = pread(source->fd, to->data + to->len, wanted - to->len, (off_t)(at + to->len));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 && to->len >= n) break;
    if (got < 0) return tr_system_error(error, errno, "reading", source->name);
    if (got == 0) return tr_source_damaged(source, at + to->len, error, "it was cut while it was being read");
    to->len += (size_t)got;
  }
  return 0;
}

void tr_window_init(tr_window *window, const tr_source *source, tr_mem *mem) {
  window->source = source;
  window->at = 0;
  tr_buf_init(&window->piece, mem);
}

void tr_window_fini(tr_window *window) { tr_buf_fini(&window->piece); }

/* Reads ahead where the step is one forward, and a small one. */
static size_t ahead(const tr_window *window, uint64_t at, size_t n) {
  uint64_t step = at - (window->at + window->piece.len); /* backward: very large */
  uint64_t rest = window->source->size - at - n;
  if (n >= WINDOW || step >= WINDOW) return 0;
  return rest < WINDOW - n ? (size_t)rest : WINDOW - n;
}

int tr_window_read(tr_window *window, uint64_t at, size_t n, const uint8_t **out, tr_error *error) {
  const tr_source *source = window->source;
  tr_buf *piece = &window->piece;
  uint64_t offset = at - window->at;
  if (source->bytes) {
    *out = source->bytes + at;
    return 0;
  }
  if (at < window->at || offset > piece->len || n > piece->len - offset) {
    size_t wanted = n + ahead(window, at, n);
    tr_buf_clear(piece);
    window->at = at;
    if (!tr_buf_reserve(piece, wanted)) return tr_error_set(error, TR_EMEMORY, "out of memory: reading %zu bytes", n);
    int err = read_file(source, at, n, wanted, piece, error);
    if (err) return err;
    offset = 0;
  }
  *out = piece->data ? piece->data + offset : (const uint8_t *)"";
  return 0;
}
