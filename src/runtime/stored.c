/* SPDX-License-Identifier: MIT
 * State files on their way to the disk. When the disk is full or away the caller gets the error, and the file stays in
 * memory and is tried again, later each time (1 s … 60 s), and once more at the end; a newer one for the same path takes
 * its place. Together they may take up STORED_MAX bytes (troupe_get_stats shows how many they do); what is larger is
 * only reported. */
#include <string.h>
#include <unistd.h>

#include "runtime/state.h"

#ifdef TR_HOSTILE
#define STORED_MAX ((size_t)16 << 10)
#else
#define STORED_MAX ((size_t)64 << 20)
#endif
#define AGAIN_FIRST TR_SECONDS(1)
#define AGAIN_MOST TR_SECONDS(60)

typedef struct unstored {
  tr_link link;
  tr_buf bytes;
  tr_time next, wait;
  bool keep;
  char path[];
} unstored;

static void forget(troupe_t *rt, unstored *self) {
  tr_link_remove(&self->link);
  rt->unstored_bytes -= self->bytes.len;
  tr_buf_fini(&self->bytes);
  tr_free(&rt->mem, self, sizeof *self + strlen(self->path) + 1);
}

static void forget_path(troupe_t *rt, const char *path) {
  for (tr_link *link = rt->unstored.next, *next; link != &rt->unstored; link = next) {
    unstored *self = TR_CONTAINER(link, unstored, link);
    next = link->next;
    if (strcmp(self->path, path) == 0) forget(rt, self);
  }
}

static bool may_pass(int rc) { return rc == TR_EIO || rc == TR_EUNAVAILABLE; }

/* Better without the old one, where the file system cannot keep it (no hard links), than not at all. */
static int replace(troupe_t *rt, const char *path, bool keep, const tr_buf *bytes, tr_error *error) {
  tr_file_options options = rt->file_options;
  options.keep = options.keep || keep;
  rt->kept_old = keep;
  int rc = tr_file_replace(&rt->mem, path, &options, tr_buf_view(bytes), error);
  if (!rc || !keep) return rc;
  tr_error_init(error);
  rt->kept_old = false;
  return tr_file_replace(&rt->mem, path, &rt->file_options, tr_buf_view(bytes), error);
}

int tr_store(troupe_t *rt, const char *path, bool keep, tr_buf *bytes, tr_error *error) {
  int rc = replace(rt, path, keep, bytes, error);
  forget_path(rt, path); /* what waits is older than what is there now, or waits from here on */
  if (!may_pass(rc) || bytes->len > STORED_MAX - rt->unstored_bytes) return rc;
  size_t size = strlen(path) + 1;
  unstored *self = tr_alloc(&rt->mem, sizeof *self + size);
  if (!self) return rc;
  memcpy(self->path, path, size);
  self->bytes = *bytes;
  tr_buf_init(bytes, &rt->mem);
  self->keep = keep;
  self->wait = AGAIN_FIRST;
  self->next = tr_runtime_after(tr_runtime_now(rt), self->wait);
  rt->unstored_bytes += self->bytes.len;
  tr_list_push(&rt->unstored, &self->link);
  return rc;
}

/* True: it is done with. */
static bool again(troupe_t *rt, unstored *self, bool last) {
  tr_error error;
  tr_error_init(&error);
  int rc = replace(rt, self->path, self->keep, &self->bytes, &error);
  rt->store_tries++;
  if (rc && may_pass(rc) && !last) {
    self->wait = self->wait * 2 < AGAIN_MOST ? self->wait * 2 : AGAIN_MOST;
    self->next = tr_runtime_after(tr_runtime_now(rt), self->wait);
    tr_log_write(&rt->log, TR_LOG_WARN, "save.again", "file=%s error=\"%s: %s\" bytes=%zu again_in=%llds", self->path, tr_error_name(rc),
                 error.text, self->bytes.len, (long long)(self->wait / 1000000));
    return false;
  }
  if (rc)
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\"%s", self->path, tr_error_name(rc), error.text,
                 last ? " (tried for the last time: the process ends)" : "");
  else tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s", self->path);
  return true;
}

static void store_again(troupe_t *rt, bool last) {
  for (tr_link *link = rt->unstored.next, *next; link != &rt->unstored; link = next) {
    unstored *self = TR_CONTAINER(link, unstored, link);
    next = link->next;
    if ((last || self->next <= tr_runtime_now(rt)) && again(rt, self, last)) forget(rt, self);
  }
}

void tr_runtime_store_again(troupe_t *rt) { store_again(rt, false); }

tr_time tr_runtime_store_next(const troupe_t *rt) {
  tr_time next = TR_NEVER;
  for (const tr_link *link = rt->unstored.next; link != &rt->unstored; link = link->next)
    if (TR_CONTAINER(link, unstored, link)->next < next) next = TR_CONTAINER(link, unstored, link)->next;
  return next;
}

void tr_runtime_store_last(troupe_t *rt) {
  store_again(rt, true);
}

void tr_runtime_save_at_end(troupe_t *rt) {
  tr_buf bytes;
  tr_error error;
  tr_error_init(&error);
  int failed = tr_state_end_finish(rt->ending, &bytes, &error);
  rt->ending = NULL;
  bool keep = (failed > 0 || rt->state_lossy) && !rt->state_gaps && access(rt->state_path, F_OK) == 0; /* FILE.1: the last that had all */
  int rc = failed < 0 ? failed : tr_store(rt, rt->state_path, keep, &bytes, &error);
  tr_buf_fini(&bytes);
  if (rc)
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\" (the old file is kept)", rt->state_path,
                 tr_error_name(rc), error.text);
  else if (keep && !rt->kept_old)
    tr_log_write(&rt->log, TR_LOG_WARN, "saved", "file=%s failed=%d (the old file, which had more, could not be kept beside it)", rt->state_path, failed);
  else if (keep)
    tr_log_write(&rt->log, TR_LOG_WARN, "saved", "file=%s failed=%d (the old file, which has more, is %s.1)", rt->state_path, failed, rt->state_path);
  else tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s failed=%d", rt->state_path, failed);
  if ((rc || failed) && rt->exit_status == 0) rt->exit_status = 1;
}
