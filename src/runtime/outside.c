/* SPDX-License-Identifier: MIT
 * What scripts reach outside of the runtime, by the rights fs.read=PATH, fs.write=PATH, env=NAME and exec=PROGRAM: the hooks of script/outside.c.
 *
 * A path is made absolute as text, with `.` and `..` taken out, and has to be a granted one or lie below it. How the granted one is
 * reached is the business of who granted it; from there on it is walked component by component, and no link is followed: neither
 * a script that may write links elsewhere nor somebody else can lead it out. Only plain files are read and replaced, the latter by
 * renaming, so that who reads meanwhile sees the old or the new. The calls block, so sizes are bounded. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/program.h"
#include "runtime/internal.h"

#define PATH_SIZE 4096
#define FILE_MOST (16u << 20)
#define NAMES_MOST 10000

/* ---- paths as text ---- */

/* Without ".", ".." and empty parts; "" is the root. false: too long. */
static bool make_plain(tr_slice path, char out[PATH_SIZE]) {
  size_t n = 0;
  out[0] = 0;
  if (path.n && path.p[0] != '/') {
    if (!getcwd(out, PATH_SIZE)) return false;
    n = strlen(out);
    if (n == 1) out[n = 0] = 0;
  }
  for (size_t at = 0, end; at < path.n; at = end + 1) {
    for (end = at; end < path.n && path.p[end] != '/'; end++) continue;
    tr_slice part = { path.p + at, end - at };
    if (part.n == 0 || tr_slice_is(part, ".")) continue;
    if (tr_slice_is(part, "..")) {
      while (n > 0 && out[--n] != '/') continue;
    } else {
      if (n + part.n + 2 > PATH_SIZE) return false;
      out[n++] = '/';
      memcpy(out + n, part.p, part.n);
      n += part.n;
    }
    out[n] = 0;
  }
  return true;
}

/* What of `path` comes behind `folder`, without the slash between them; NULL: it is not below. */
static const char *rest_behind(const char *path, const char *folder) {
  size_t n = strlen(folder);
  if (strncmp(path, folder, n) != 0 || (path[n] != 0 && path[n] != '/')) return NULL;
  return path + n + (path[n] == '/');
}

/* The granted path that this one is, or lies below: plain, in `granted`; what comes behind it, or NULL. */
static const char *find_grant(const troupe_t *rt, const char *right, const char *plain, char granted[PATH_SIZE]) {
  size_t n = strlen(right);
  const char *rest;
  for (const char *text = NULL; (text = tr_runtime_next_grant(rt, text));)
    if (strncmp(text, right, n) == 0 && text[n] == '=' && make_plain(tr_slice_of(text + n + 1), granted) && (rest = rest_behind(plain, granted)))
      return rest;
  return NULL;
}

/* ---- paths as files ---- */

typedef struct place { int folder; char name[PATH_SIZE]; bool granted; } place; /* granted: itself, not something below */

static int say(tr_error *error, tr_slice path) {
  int why = errno;
  int code = why == ENOENT ? TR_ENOT_FOUND : TR_EIO;
  const char *text = why == ELOOP ? "it is a link, and those are not followed" : strerror(why);
  return tr_error_set(error, code, "%.300s: %s", path.p, text);
}

static int open_folder(int from, const char *name, bool follow) {
  return openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
}

/* Open the folder that has the file. err: TR_EPERMISSION, TR_EINVALID, TR_EIO, TR_ENOT_FOUND. */
static int find_place(const troupe_t *rt, const char *right, tr_slice path, place *out, tr_error *error) {
  char plain[PATH_SIZE], granted[PATH_SIZE];
  if (path.n == 0 || memchr(path.p, 0, path.n) || !make_plain(path, plain)) return tr_error_set(error, TR_EINVALID, "a path has 1 to %d bytes, none of them zero", PATH_SIZE - 2);
  const char *rest = find_grant(rt, right, plain, granted);
  if (!rest)
    return tr_error_set(error, TR_EPERMISSION, "scripts may not %s %.300s here (--allow %s=%.300s grants it)", right + 3, path.p, right, path.p);
  out->granted = *rest == 0;
  if (out->granted) { /* the folder that it is in is not walked */
    char *slash = strrchr(granted, '/');
    snprintf(out->name, sizeof out->name, "%s", slash ? slash + 1 : ".");
    if (slash) *slash = 0;
  }
  out->folder = open_folder(AT_FDCWD, *granted ? granted : "/", true);
  if (out->granted || out->folder < 0) return out->folder < 0 ? say(error, path) : 0;
  for (const char *slash; (slash = strchr(rest, '/')); rest = slash + 1) {
    snprintf(out->name, sizeof out->name, "%.*s", (int)(slash - rest), rest);
    int next = open_folder(out->folder, out->name, false);
    close(out->folder);
    out->folder = next;
    if (next < 0) return say(error, path);
  }
  snprintf(out->name, sizeof out->name, "%s", rest);
  return 0;
}

/* May it be handed on? What the granted path itself leads to is the granter's business, and would be the script's were it a link: it would
 * be followed there. */
bool tr_runtime_may_path(const troupe_t *rt, const char *right, const char *path) {
  place at;
  tr_error error;
  struct stat st;
  tr_error_init(&error);
  if (find_place(rt, right, tr_slice_of(path), &at, &error)) return error.code == TR_ENOT_FOUND;
  bool link = !at.granted && fstatat(at.folder, at.name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
  close(at.folder);
  return !link;
}

/* ---- the hooks ---- */

static int read_all(int fd, tr_slice path, tr_buf *out, tr_error *error) {
  struct stat st;
  ssize_t n;
  if (fstat(fd, &st)) return say(error, path);
  if (!S_ISREG(st.st_mode)) return tr_error_set(error, TR_EINVALID, "%.300s: only plain files are read", path.p);
  do {
    if (out->len > FILE_MOST) return tr_error_set(error, TR_ETOO_LARGE, "%.300s: larger than %u MiB", path.p, FILE_MOST >> 20);
    if (!tr_buf_reserve(out, 65536)) return tr_error_set(error, TR_EMEMORY, "out of memory");
    n = read(fd, out->data + out->len, 65536);
    if (n < 0 && errno != EINTR) return say(error, path);
    if (n > 0) out->len += (size_t)n;
  } while (n != 0);
  return 0;
}

static int fs_read(void *ud, tr_slice path, tr_buf *out, tr_error *error) {
  place at;
  int rc = find_place(ud, "fs.read", path, &at, error);
  if (rc) return rc;
  int fd = openat(at.folder, at.name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (at.granted ? 0 : O_NOFOLLOW));
  rc = fd < 0 ? say(error, path) : read_all(fd, path, out, error);
  if (fd >= 0) close(fd);
  close(at.folder);
  return rc;
}

static bool write_all(int fd, tr_slice text) {
  while (text.n) {
    ssize_t n = write(fd, text.p, text.n);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text = tr_slice_make(text.p + n, text.n - (size_t)n);
  }
  return true;
}

static int fs_write(void *ud, tr_slice path, tr_slice text, tr_error *error) {
  place at;
  struct stat st;
  char draft[64];
  if (text.n > FILE_MOST) return tr_error_set(error, TR_ETOO_LARGE, "%.300s: larger than %u MiB", path.p ? path.p : "", FILE_MOST >> 20);
  int rc = find_place(ud, "fs.write", path, &at, error);
  if (rc) return rc;
  snprintf(draft, sizeof draft, ".troupe-%d-%zx", (int)getpid(), (size_t)(uintptr_t)&at); /* of this thread, which does one at a time */
  int there = fstatat(at.folder, at.name, &st, AT_SYMLINK_NOFOLLOW);
  if (there == 0 && !S_ISREG(st.st_mode)) {
    close(at.folder);
    return tr_error_set(error, TR_EINVALID, "%.300s: only plain files are replaced", path.p);
  }
  unlinkat(at.folder, draft, 0); /* of one that was killed */
  int fd = openat(at.folder, draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, there == 0 ? st.st_mode & 0777 : 0666);
  bool good = fd >= 0 && write_all(fd, text);
  if (fd >= 0) good = close(fd) == 0 && good;
  good = good && renameat(at.folder, draft, at.folder, at.name) == 0;
  if (!good) {
    rc = say(error, path);
    if (fd >= 0) unlinkat(at.folder, draft, 0);
  }
  close(at.folder);
  return rc;
}

static bool is_folder(DIR *dir, const struct dirent *entry) {
  struct stat st;
  return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int fs_list(void *ud, tr_slice path, tr_buf *out, tr_error *error) {
  place at;
  size_t count = 0;
  int rc = find_place(ud, "fs.read", path, &at, error);
  if (rc) return rc;
  int fd = open_folder(at.folder, at.name, at.granted);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) rc = say(error, path);
  if (!dir && fd >= 0) close(fd);
  for (struct dirent *entry; dir && rc == 0 && (entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (++count > NAMES_MOST) rc = tr_error_set(error, TR_ETOO_LARGE, "%.300s: more than %d names", path.p, NAMES_MOST);
    tr_buf_text(out, entry->d_name);
    if (is_folder(dir, entry)) tr_buf_byte(out, '/');
    tr_buf_byte(out, 0);
  }
  if (rc == 0 && out->failed) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (dir) closedir(dir);
  close(at.folder);
  return rc;
}

static int fs_stat(void *ud, tr_slice path, tr_script_stat *out, tr_error *error) {
  place at;
  struct stat st;
  int rc = find_place(ud, "fs.read", path, &at, error);
  if (rc) return rc;
  if (fstatat(at.folder, at.name, &st, at.granted ? 0 : AT_SYMLINK_NOFOLLOW)) rc = say(error, path);
  else
    *out = (tr_script_stat){ .file = S_ISREG(st.st_mode), .folder = S_ISDIR(st.st_mode), .size = (uint64_t)st.st_size, .inode = (uint64_t)st.st_ino,
                             .modified = (double)st.st_mtim.tv_sec + (double)st.st_mtim.tv_nsec / 1e9 };
  close(at.folder);
  return rc;
}

static int env(void *ud, tr_slice name, tr_buf *out, tr_error *error) {
  const troupe_t *rt = ud;
  if (name.n == 0 || memchr(name.p, 0, name.n) || memchr(name.p, '=', name.n)) return tr_error_set(error, TR_EINVALID, "`%.100s` is no variable's name", name.p);
  if (!tr_runtime_may(rt, "env", name.p))
    return tr_error_set(error, TR_EPERMISSION, "scripts may not see the variable %.100s here (--allow env=%.100s grants it)", name.p, name.p);
  const char *value = getenv(name.p);
  if (!value) return TR_ENOT_FOUND;
  return tr_buf_text(out, value) ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

/* ---- programs ---- */

#define PROGRAMS_MOST 16
#define VARIABLES_MOST 80

static void add_variable(tr_buf *text, const char *name, size_t *count) {
  const char *value = getenv(name);
  if (!value || *count == VARIABLES_MOST) return;
  tr_buf_printf(text, "%s=%s", name, value);
  tr_buf_byte(text, 0);
  ++*count;
}

/* What every program needs, and what env=NAME grants: not the rest, which may hold secrets of ours. */
static size_t make_environment(const troupe_t *rt, tr_buf *text) {
  static const char *const names[] = { "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", NULL };
  size_t count = 0;
  for (const char *const *name = names; *name; name++)
    if (!tr_runtime_may(rt, "env", *name)) add_variable(text, *name, &count);
  for (const char *right = NULL; (right = tr_runtime_next_grant(rt, right));)
    if (strncmp(right, "env=", 4) == 0) add_variable(text, right + 4, &count);
  return count;
}

static int start(void *ud, const tr_script_exec *asked, void **out, tr_error *error) {
  troupe_t *rt = ud;
  const char *argv[TR_EXEC_WORDS + 1], *environment[VARIABLES_MOST + 1];
  if (!tr_runtime_may(rt, "exec", asked->words[0].p))
    return tr_error_set(error, TR_EPERMISSION, "scripts may not run %.300s here (--allow exec=%.300s grants it)", asked->words[0].p, asked->words[0].p);
  if (atomic_fetch_add(&rt->programs, 1) >= PROGRAMS_MOST) {
    atomic_fetch_sub(&rt->programs, 1);
    return tr_error_set(error, TR_EOVERLOADED, "%d programs run already, as many as there may be", PROGRAMS_MOST);
  }
  tr_buf text;
  tr_buf_init(&text, asked->mem);
  size_t count = make_environment(rt, &text), at = 0;
  for (size_t i = 0; i < asked->count; i++) argv[i] = asked->words[i].p;
  argv[asked->count] = NULL;
  for (size_t i = 0; i < count && !text.failed; i++, at += strlen((char *)text.data + at) + 1) environment[i] = (char *)text.data + at;
  environment[count] = NULL;
  if (text.failed) tr_error_set(error, TR_EMEMORY, "out of memory");
  else *out = tr_program_start(asked->mem, (char *const *)argv, (char *const *)environment, asked->in, asked->most, error);
  tr_buf_fini(&text);
  if (*out && rt->still) tr_program_wait(*out, asked->timeout);
  if (*out) return 0;
  atomic_fetch_sub(&rt->programs, 1);
  return error->code;
}

static int look(void *ud, void *program, tr_script_result *result, tr_error *error) {
  tr_program_result found;
  int rc = tr_program_look(program, &found, error);
  (void)ud;
  if (rc > 0) *result = (tr_script_result){ found.status, found.signal, found.out, found.err };
  return rc;
}

static void stop(void *ud, void *program) {
  troupe_t *rt = ud;
  atomic_fetch_sub(&rt->programs, 1);
  tr_program_stop(program);
}

void tr_runtime_stand_still(troupe_t *rt) { rt->still = true; }

void tr_runtime_outside(troupe_t *rt) { rt->outside = (tr_script_outside){ fs_read, fs_write, fs_list, fs_stat, env, start, look, stop, tr_runtime_fetch, tr_runtime_fetched, tr_runtime_unfetch, tr_runtime_serve, tr_runtime_unserve, tr_runtime_luv, rt }; }
