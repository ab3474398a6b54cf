/* SPDX-License-Identifier: MIT
 * Where scripts come from: the embedder's load callback or the disk; and reloading when they change there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/map.h"
#include "runtime/internal.h"

#define SCRIPT_MAX (16u << 20)
#define QUIET_MS 60 /* editors write in parts */

static int read_hooked(troupe_t *rt, const char *path, tr_buf *text, tr_error *error) {
  size_t length = 0;
  char *source = rt->options.load(rt->options.userdata, path, &length);
  if (!source) return tr_error_set(error, TR_ENOT_FOUND, "%s: no such script", path);
  bool ok = tr_buf_append(text, source, length);
  if (rt->options.allocate) rt->options.allocate(rt->options.userdata, source, length, 0);
  else free(source);
  return ok ? 0 : tr_error_set(error, TR_EMEMORY, "out of memory");
}

int tr_runtime_read_file(troupe_t *rt, const char *path, tr_buf *text, tr_error *error) {
  if (rt->options.load) return read_hooked(rt, path, text, error);
  FILE *file = fopen(path, "rb");
  if (!file)
    return tr_error_set(error, errno == ENOENT ? TR_ENOT_FOUND : TR_EIO, "%s: %s", path, strerror(errno));
  struct stat st;
  int rc = 0;
  if (fstat(fileno(file), &st) == 0 && S_ISDIR(st.st_mode)) {
    rc = tr_error_set(error, TR_EINVALID, "%s: is a directory", path);
    goto out;
  }
  char block[16384];
  size_t n;
  while ((n = fread(block, 1, sizeof block, file)) > 0) {
    if (text->len + n > SCRIPT_MAX) {
      rc = tr_error_set(error, TR_ETOO_LARGE, "%s: larger than %u MiB", path, SCRIPT_MAX >> 20);
      goto out;
    }
    if (!tr_buf_append(text, block, n)) {
      rc = tr_error_set(error, TR_EMEMORY, "out of memory");
      goto out;
    }
  }
  if (ferror(file)) rc = tr_error_set(error, TR_EIO, "%s: cannot be read", path);
out:
  fclose(file);
  return rc;
}

static void tell_reload(troupe_t *rt, int rc) {
  if (rc >= 0) tr_log_write(&rt->log, TR_LOG_INFO, "reload", "files=%d%s%s%s", rc, rc ? " names=\"" : "", rc ? tr_script_reloaded(rt->script) : "", rc ? "\"" : "");
  else tr_log_write(&rt->log, TR_LOG_ERROR, "reload.failed", "%s (the old version goes on)", rt->error.text);
  if (!rt->stay) return;
  char text[TR_ERROR_TEXT];
  snprintf(text, sizeof text, "%s", rt->error.text); /* what is done there may fail, too */
  rt->stay->reloaded(rt->stay_ud, rc, text);
}

void tr_runtime_reload_changed(troupe_t *rt) { tell_reload(rt, troupe_reload(rt, NULL)); }

/* A number for the contents of all loaded files. */
static uint32_t contents_hash(troupe_t *rt) {
  uint32_t hash = 0;
  tr_buf text;
  tr_buf_init(&text, &rt->mem);
  for (const char *path = NULL; (path = tr_script_next_file(rt->script, path));) {
    tr_buf_clear(&text);
    tr_runtime_read(rt, path, &text, NULL);
    hash = tr_hash(hash, tr_buf_view(&text));
  }
  tr_buf_fini(&text);
  return hash;
}

/* A folder tells of every file in it, and several times of one save: the same contents are tried, and told of, once. After a failure
 * they are tried again, since what was missing may be a file that is not loaded yet, but only another complaint is told. */
static void on_change(void *ud) {
  troupe_t *rt = ud;
  if (rt->stay) rt->stay->changed(rt->stay_ud);
  uint32_t hash = contents_hash(rt);
  bool same = hash == rt->watch_hash;
  if (same && !rt->watch_failed) return;
  rt->watch_hash = hash;
  int rc = troupe_reload(rt, NULL);
  rt->watch_failed = rc < 0;
  if (rc > 0 || (rc < 0 && !same)) tell_reload(rt, rc);
}

void tr_runtime_watch_path(troupe_t *rt, const char *path) {
  tr_error error;
  tr_error_init(&error);
  if (rt->watch && tr_watch_file(rt->watch, path, &error)) tr_log_write(&rt->log, TR_LOG_WARN, "watch", "error=\"%s\"", error.text);
}

void tr_runtime_watch_files(troupe_t *rt) {
  if (!rt->watch) return;
  for (const char *path = NULL; (path = tr_script_next_file(rt->script, path));) tr_runtime_watch_path(rt, path);
}

int tr_runtime_watch(troupe_t *rt) {
  int rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  if (!rt->watch) rt->watch = tr_watch_new(&rt->mem, rt->loop, QUIET_MS, on_change, rt);
  if (!rt->watch) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_runtime_watch_files(rt);
  return 0;
}
