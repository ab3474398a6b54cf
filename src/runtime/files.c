/* SPDX-License-Identifier: MIT
 * Where scripts come from: the embedder's load callback or the disk; and reloading when they change there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

int tr_runtime_read(void *ud, const char *path, tr_buf *text, tr_error *error) {
  troupe_t *rt = ud;
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

void tr_runtime_reload_changed(troupe_t *rt) {
  int rc = troupe_reload(rt, NULL);
  if (rc > 0) tr_log_write(&rt->log, TR_LOG_INFO, "reload", "files=%d", rc);
  else if (rc < 0) tr_log_write(&rt->log, TR_LOG_ERROR, "reload.failed", "%s (the old version goes on)", rt->error.text);
}

static void on_change(void *ud) { tr_runtime_reload_changed(ud); }

void tr_runtime_watch_files(troupe_t *rt) {
  if (!rt->watch) return;
  for (const char *path = NULL; (path = tr_script_next_file(rt->script, path));) {
    tr_error error;
    tr_error_init(&error);
    if (tr_watch_file(rt->watch, path, &error)) tr_log_write(&rt->log, TR_LOG_WARN, "watch", "error=\"%s\"", error.text);
  }
}

int tr_runtime_watch(troupe_t *rt) {
  int rc = tr_runtime_loop_open(rt);
  if (rc) return rc;
  if (!rt->watch) rt->watch = tr_watch_new(&rt->mem, rt->loop, QUIET_MS, on_change, rt);
  if (!rt->watch) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  tr_runtime_watch_files(rt);
  return 0;
}
