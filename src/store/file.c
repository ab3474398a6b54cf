/* SPDX-License-Identifier: MIT
 * Atomic replacement: write PATH.new, fsync it, rename it over PATH, fsync the folder.
 *
 * The temporary file is the lock too: it has a fixed name and is flock()ed while it is written. The lock dies with its
 * process, so a crash blocks nobody, and no lock file is left beside the data. A name can change hands between open and
 * flock (the other writer commits or gives up), hence the look whether the name still is what was locked. The
 * descriptor stays open until the rename is done: closing would unlock.
 * To hold a path (options.hold) is the same without the rename: PATH.lock, with the number of its process in it.
 *
 * All names are relative to the folder's descriptor, so that nothing can be moved underneath between two steps. With
 * `keep` the old file becomes PATH.1 by a link that is made before the switch: PATH itself is never absent. */
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/system.h"

#define TRIES 8
#define LONGEST_ENDING sizeof ".1.new"

struct tr_file {
  tr_mem *mem;
  tr_file_options options;
  int folder, fd; /* -1: none */
  bool ours;      /* PATH.new is there and locked by us */
  int err;
  size_t size;                      /* of this block */
  const char *path, *base;          /* base: the path's last part */
  char *temporary, *kept, *linking; /* BASE.new, BASE.1, BASE.1.new */
  char text[];
};

/* ---- system calls, each of which a test may fail ---- */

static bool fails(tr_file *self, const char *call) {
  int number = self->options.fault ? self->options.fault(self->options.ud, call) : 0;
  if (number) errno = number;
  return number != 0;
}

static int sync_descriptor(tr_file *self, int fd) {
  for (;;) {
    if (!fails(self, "fsync") && fsync(fd) == 0) return 0;
    if (errno != EINTR) return -1;
  }
}

static int rename_to(tr_file *self, const char *from, const char *to) {
  return fails(self, "rename") ? -1 : renameat(self->folder, from, self->folder, to);
}

static int busy(const tr_file *self, tr_error *error) {
  char who[16] = "";
  ssize_t n = self->options.hold && self->fd >= 0 ? pread(self->fd, who, sizeof who - 1, 0) : 0;
  who[n > 0 ? strspn(who, "0123456789") : 0] = 0;
  if (self->options.hold)
    return tr_error_set(error, TR_EUNAVAILABLE, "%s is in use by process %s; two would overwrite each other's", tr_system_path(self->path), *who ? who : "?");
  return tr_error_set(error, TR_EUNAVAILABLE, "%s is being written by another at this moment",
                      tr_system_path(self->path));
}

/* ---- beginning ---- */

static void name_files(tr_file *self, const char *path, size_t n) {
  char *p = self->text;
  memcpy(p, path, n + 1);
  self->path = p;
  const char *slash = strrchr(self->path, '/');
  self->base = slash ? slash + 1 : self->path;
  size_t base = strlen(self->base), each = base + LONGEST_ENDING;
  self->temporary = p + n + 1;
  self->kept = self->temporary + each;
  self->linking = self->kept + each;
  snprintf(self->temporary, each, "%s.%s", self->base, self->options.hold ? "lock" : "new");
  snprintf(self->kept, each, "%s.1", self->base);
  snprintf(self->linking, each, "%s.1.new", self->base);
}

static int open_folder(tr_file *self, tr_error *error) {
  size_t n = (size_t)(self->base - self->path);
  char *folder = n ? tr_strndup(self->mem, self->path, n) : NULL;
  if (n && !folder) return tr_error_set(error, TR_EMEMORY, "out of memory: replacing a file");
  const char *name = n ? folder : ".";
  if (!fails(self, "open")) self->folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int err = self->folder < 0 ? tr_system_error(error, errno, "opening the folder", name) : 0;
  tr_free(self->mem, folder, n + 1);
  return err;
}

/* What is there now must be a file: a rename would put one in the place of a link or a device without a word. */
static int check_old(tr_file *self, tr_error *error) {
  struct stat about;
  if (fails(self, "stat") || fstatat(self->folder, self->base, &about, AT_SYMLINK_NOFOLLOW))
    return errno == ENOENT ? 0 : tr_system_error(error, errno, "looking at", self->path);
  if (S_ISREG(about.st_mode)) return 0;
  return tr_error_set(error, TR_EINVALID, "%s is not a regular file (but a link, a folder or a device)",
                      tr_system_path(self->path));
}

/* Opens and locks the temporary file; *again: it changed hands meanwhile. */
static int lock_temporary(tr_file *self, bool *again, tr_error *error) {
  struct stat held, named;
  *again = false;
  if (!fails(self, "open"))
    self->fd = openat(self->folder, self->temporary, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
  if (self->fd < 0) return tr_system_error(error, errno, "making a file beside", self->path);
  if (fails(self, "flock") || flock(self->fd, LOCK_EX | LOCK_NB)) {
    if (errno == EWOULDBLOCK) return busy(self, error);
    self->ours = true; /* a file system without locks: the file is to go all the same */
    return tr_system_error(error, errno, "locking a file beside", self->path);
  }
  *again = fstat(self->fd, &held) || fstatat(self->folder, self->temporary, &named, AT_SYMLINK_NOFOLLOW) ||
           held.st_ino != named.st_ino || held.st_dev != named.st_dev;
  if (*again) return 0;
  if (!S_ISREG(held.st_mode) || held.st_uid != geteuid() || held.st_nlink != 1)
    return tr_error_set(error, TR_EPERMISSION, "%s is in the way and not ours", self->temporary);
  self->ours = true;
  return 0;
}

static int open_temporary(tr_file *self, tr_error *error) {
  bool again = true;
  for (int i = 0; again && i < TRIES; i++) {
    int err = lock_temporary(self, &again, error);
    if (err) return err;
    if (!again) break;
    close(self->fd);
    self->fd = -1;
  }
  if (again) return busy(self, error);
  if (fails(self, "truncate") || ftruncate(self->fd, 0) || fchmod(self->fd, 0600))
    return tr_system_error(error, errno, "making a file beside", self->path);
  if (self->options.hold && dprintf(self->fd, "%ld\n", (long)getpid()) < 0) return tr_system_error(error, errno, "writing a file beside", self->path);
  return 0;
}

int tr_file_new(tr_mem *mem, const char *path, const tr_file_options *options, tr_file **out, tr_error *error) {
  *out = NULL;
  size_t n = strlen(path), size = sizeof(tr_file) + 4 * (n + LONGEST_ENDING);
  if (n == 0 || path[n - 1] == '/')
    return tr_error_set(error, TR_EINVALID, "\"%s\" names no file", tr_system_path(path));
  tr_file *self = tr_calloc(mem, 1, size);
  if (!self) return tr_error_set(error, TR_EMEMORY, "out of memory: replacing a file");
  self->mem = mem;
  self->size = size;
  self->folder = self->fd = -1;
  if (options) self->options = *options;
  name_files(self, path, n);
  int err = open_folder(self, error);
  if (!err) err = check_old(self, error);
  if (!err) err = open_temporary(self, error);
  if (err) tr_file_free(self);
  else *out = self;
  return err;
}

/* ---- writing ---- */

int tr_file_write(void *file, tr_slice bytes, tr_error *error) {
  tr_file *self = file;
  while (!self->err && bytes.n > 0) {
    ssize_t n = fails(self, "write") ? -1 : write(self->fd, bytes.p, bytes.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) self->err = tr_system_error(error, errno, "writing", self->path);
    else bytes = tr_slice_make(bytes.p + n, bytes.n - (size_t)n);
  }
  return self->err;
}

/* ---- the switch ---- */

static int keep_old(tr_file *self, tr_error *error) {
  const char *doing = "keeping as .1 the old";
  unlinkat(self->folder, self->linking, 0); /* of a crash */
  if (fails(self, "link") || linkat(self->folder, self->base, self->folder, self->linking, 0))
    return errno == ENOENT ? 0 : tr_system_error(error, errno, doing, self->path);
  int err = rename_to(self, self->linking, self->kept) ? tr_system_error(error, errno, doing, self->path) : 0;
  unlinkat(self->folder, self->linking, 0); /* a rename between two names of one file leaves both */
  return err;
}

static int switch_files(tr_file *self, tr_error *error) {
  if (sync_descriptor(self, self->fd)) return tr_system_error(error, errno, "writing to the disk", self->path);
  int err = self->options.keep ? keep_old(self, error) : 0;
  if (err) return err;
  if (rename_to(self, self->temporary, self->base)) return tr_system_error(error, errno, "replacing", self->path);
  self->ours = false;
  /* Some file systems cannot sync a folder, and say so: nothing more can be done there. */
  if (sync_descriptor(self, self->folder) && errno != EINVAL && errno != ENOTSUP)
    return tr_system_error(error, errno, "syncing the folder of the new", self->path);
  return 0;
}

int tr_file_commit(tr_file *self, tr_error *error) {
  if (self->err) return self->err;
  int err = switch_files(self, error);
  self->err = err ? err : TR_EINVALID; /* nothing may follow */
  return err;
}

void tr_file_free(tr_file *self) {
  if (!self) return;
  if (self->ours) unlinkat(self->folder, self->temporary, 0); /* while it is locked */
  if (self->fd >= 0) close(self->fd);
  if (self->folder >= 0) close(self->folder);
  tr_free(self->mem, self, self->size);
}

int tr_file_replace(tr_mem *mem, const char *path, const tr_file_options *options, tr_slice bytes, tr_error *error) {
  tr_file *file;
  int err = tr_file_new(mem, path, options, &file, error);
  if (!err) err = tr_file_write(file, bytes, error);
  if (!err) err = tr_file_commit(file, error);
  tr_file_free(file);
  return err;
}
