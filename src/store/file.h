/* SPDX-License-Identifier: MIT
 * Replacing a file on disk as one step: after a crash or a failure at any moment the path holds the whole old file or
 * the whole new one.
 *
 *   tr_file *file;
 *   int err = tr_file_new(mem, path, &options, &file, error);
 *   if (!err) err = tr_snapshot_writer_begin(&writer, tr_file_write, file, error);
 *   …
 *   if (!err) err = tr_file_commit(file, error);
 *   tr_file_free(file);
 *
 * The new file is written beside the old one as PATH.new, which is locked, so that a second writer is refused; one that
 * a crash left behind is taken over. Nobody but the owner may read it (mode 0600). */
#ifndef TR_STORE_FILE_H
#define TR_STORE_FILE_H

#include "base/error.h"
#include "base/mem.h"

typedef struct tr_file tr_file;

typedef struct tr_file_options {
  bool keep; /* the file that is replaced stays as PATH.1, for the one there; the file system must have hard links */
  bool hold; /* nothing is written: PATH is this process' until tr_file_free (or its end), and PATH.lock is there for so long */
  /* For tests: asked before each system call ("open", "write", "rename"); an errno makes it fail so. NULL: never. */
  int (*fault)(void *ud, const char *call);
  void *ud;
} tr_file_options;

/* Begins. `options` may be NULL. The path's folder must be there; a link is not followed.
 * err: TR_EIO with the system's words; TR_EUNAVAILABLE: somebody is replacing it at this moment, or holds it; TR_EINVALID: what is
 * at the path is not a regular file; TR_EPERMISSION: PATH.new (PATH.lock) is there and not ours; TR_EMEMORY. */
int tr_file_new(tr_mem *mem, const char *path, const tr_file_options *options, tr_file **out, tr_error *error);
/* A tr_write_fn (snapshot.h); `file` is the tr_file. err: TR_EIO, and then every later call. */
int tr_file_write(void *file, tr_slice bytes, tr_error *error);
/* What was written takes the old file's place, and is on the disk when this returns. err: TR_EIO: the old file is
 * untouched, but where the text says that the folder could not be synced: then the new file is in place, and whether it
 * would survive a power failure is unknown. */
int tr_file_commit(tr_file *file, tr_error *error);
/* Without a commit nothing is left of it. NULL is fine. */
void tr_file_free(tr_file *file);

/* All of it for bytes in memory. */
int tr_file_replace(tr_mem *mem, const char *path, const tr_file_options *options, tr_slice bytes, tr_error *error);

#endif
