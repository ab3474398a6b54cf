/* SPDX-License-Identifier: MIT
 * See watch.h. Folders are watched, not files: editors save by writing a new file and renaming it over the old one, which ends a
 * watch on the file itself. What changed is not reported, for the same reason (swap files, partial writes): the listener
 * compares contents. A folder that was replaced by another of its name (a checkout, a new release behind a link) is watched anew; one that is
 * gone is looked for until it is there again. */
#include "net/watch.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"

#define MISSING_MS 300 /* between two looks for a folder that is gone */

typedef struct watched_folder {
  tr_watch *watch;
  uv_fs_event_t event;
  tr_link all;
  uint64_t device, inode; /* of the one that is watched; 0: none is */
  char path[];
} watched_folder;

struct tr_watch {
  tr_mem *mem;
  uv_loop_t *loop;
  uv_timer_t quiet;
  unsigned quiet_ms;
  tr_watch_fn fn;
  void *ud;
  tr_link folders;
  size_t handles;
};

static void on_event(uv_fs_event_t *event, const char *name, int events, int status);

/* Watch the folder that has this name now. 0, or libuv's code. */
static int start(watched_folder *folder) {
  uv_fs_t request;
  int rc = uv_fs_stat(NULL, &request, folder->path, NULL);
  uint64_t device = request.statbuf.st_dev, inode = request.statbuf.st_ino;
  uv_fs_req_cleanup(&request);
  if (rc == 0 && folder->inode && device == folder->device && inode == folder->inode) return 0;
  uv_fs_event_stop(&folder->event);
  folder->device = folder->inode = 0;
  if (rc == 0) rc = uv_fs_event_start(&folder->event, on_event, folder->path, 0);
  if (rc == 0) {
    folder->device = device;
    folder->inode = inode;
  }
  return rc;
}

static void on_quiet(uv_timer_t *timer) {
  tr_watch *watch = timer->data;
  bool missing = false;
  for (tr_link *l = watch->folders.next; l != &watch->folders; l = l->next)
    if (start(TR_CONTAINER(l, watched_folder, all)) < 0) missing = true;
  if (missing) uv_timer_start(timer, on_quiet, MISSING_MS, 0);
  if (watch->fn) watch->fn(watch->ud);
}

tr_watch *tr_watch_new(tr_mem *mem, uv_loop_t *loop, unsigned quiet_ms, tr_watch_fn fn, void *ud) {
  tr_watch *watch = TR_NEW(mem, tr_watch);
  if (!watch) return NULL;
  watch->mem = mem;
  watch->loop = loop;
  watch->quiet_ms = quiet_ms;
  watch->fn = fn;
  watch->ud = ud;
  tr_list_init(&watch->folders);
  uv_timer_init(loop, &watch->quiet);
  watch->quiet.data = watch;
  watch->handles = 1;
  return watch;
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status) {
  (void)name;
  (void)events;
  (void)status;
  watched_folder *folder = event->data;
  uv_timer_start(&folder->watch->quiet, on_quiet, folder->watch->quiet_ms, 0);
}

static void watch_release(tr_watch *watch) {
  if (--watch->handles == 0) TR_DELETE(watch->mem, watch);
}

static void on_folder_closed(uv_handle_t *handle) {
  watched_folder *folder = handle->data;
  tr_watch *watch = folder->watch;
  tr_free(watch->mem, folder, sizeof *folder + strlen(folder->path) + 1);
  watch_release(watch);
}

int tr_watch_file(tr_watch *watch, const char *path, tr_error *error) {
  const char *slash = strrchr(path, '/');
  tr_slice folder_path = slash ? tr_slice_make(path, slash == path ? 1 : (size_t)(slash - path)) : TR_SLICE_LITERAL(".");
  for (tr_link *l = watch->folders.next; l != &watch->folders; l = l->next)
    if (tr_slice_is(folder_path, TR_CONTAINER(l, watched_folder, all)->path)) return 0;
  watched_folder *folder = tr_calloc(watch->mem, 1, sizeof *folder + folder_path.n + 1);
  if (!folder) return tr_error_set(error, TR_EMEMORY, "out of memory");
  memcpy(folder->path, folder_path.p, folder_path.n);
  folder->watch = watch;
  uv_fs_event_init(watch->loop, &folder->event);
  folder->event.data = folder;
  watch->handles++;
  int rc = start(folder);
  if (rc < 0) {
    tr_error_set(error, TR_EIO, "cannot watch %s: %s", folder->path, uv_strerror(rc));
    uv_close((uv_handle_t *)&folder->event, on_folder_closed);
    return TR_EIO;
  }
  tr_list_push(&watch->folders, &folder->all);
  return 0;
}

static void on_timer_closed(uv_handle_t *handle) { watch_release(handle->data); }

void tr_watch_close(tr_watch *watch) {
  watch->fn = NULL;
  tr_link *link;
  while ((link = tr_list_pop(&watch->folders)))
    uv_close((uv_handle_t *)&TR_CONTAINER(link, watched_folder, all)->event, on_folder_closed);
  uv_close((uv_handle_t *)&watch->quiet, on_timer_closed);
}
