/* SPDX-License-Identifier: MIT
 * State files on their way to the disk. When the disk is full or away the caller gets the error, and the file stays in
 * memory and is tried again, later each time (1 s … 60 s), and once more at the end; a newer one for the same path takes
 * its place. Together they may take up STORED_MAX bytes (troupe_get_stats shows how many they do); what is larger is
 * only reported. */
#include <string.h>

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

static int replace(troupe_t *rt, const char *path, const tr_buf *bytes, tr_error *error) {
  return tr_file_replace(&rt->mem, path, &rt->file_options, tr_buf_view(bytes), error);
}

int tr_store(troupe_t *rt, const char *path, tr_buf *bytes, tr_error *error) {
  forget_path(rt, path);
  int rc = replace(rt, path, bytes, error);
  if (!may_pass(rc) || bytes->len > STORED_MAX - rt->unstored_bytes) return rc;
  size_t size = strlen(path) + 1;
  unstored *self = tr_alloc(&rt->mem, sizeof *self + size);
  if (!self) return rc;
  memcpy(self->path, path, size);
  self->bytes = *bytes;
  tr_buf_init(bytes, &rt->mem);
  self->wait = AGAIN_FIRST;
  self->next = tr_runtime_after(tr_runtime_now(rt), self->wait);
  rt->unstored_bytes += self->bytes.len;
  tr_list_push(&rt->unstored, &self->link);
  return rc;
}

/* True: it is done with. */
static bool again(troupe_t *rt, unstored *self) {
  tr_error error;
  tr_error_init(&error);
  int rc = replace(rt, self->path, &self->bytes, &error);
  rt->store_tries++;
  if (rc && may_pass(rc)) {
    self->wait = self->wait * 2 < AGAIN_MOST ? self->wait * 2 : AGAIN_MOST;
    self->next = tr_runtime_after(tr_runtime_now(rt), self->wait);
    tr_log_write(&rt->log, TR_LOG_WARN, "save.again", "file=%s error=\"%s: %s\" bytes=%zu again_in=%llds", self->path, tr_error_name(rc),
                 error.text, self->bytes.len, (long long)(self->wait / 1000000));
    return false;
  }
  if (rc)
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\"", self->path, tr_error_name(rc), error.text);
  else tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s", self->path);
  return true;
}

void tr_runtime_store_again(troupe_t *rt, bool now) {
  for (tr_link *link = rt->unstored.next, *next; link != &rt->unstored; link = next) {
    unstored *self = TR_CONTAINER(link, unstored, link);
    next = link->next;
    if ((now || self->next <= tr_runtime_now(rt)) && again(rt, self)) forget(rt, self);
  }
}

tr_time tr_runtime_store_next(const troupe_t *rt) {
  tr_time next = TR_NEVER;
  for (const tr_link *link = rt->unstored.next; link != &rt->unstored; link = link->next)
    if (TR_CONTAINER(link, unstored, link)->next < next) next = TR_CONTAINER(link, unstored, link)->next;
  return next;
}

void tr_runtime_store_last(troupe_t *rt) {
  tr_runtime_store_again(rt, true);
  while (!tr_list_empty(&rt->unstored)) forget(rt, TR_CONTAINER(rt->unstored.next, unstored, link));
}

void tr_runtime_save_at_end(troupe_t *rt) {
  tr_buf bytes;
  tr_error error;
  tr_error_init(&error);
  int failed = tr_state_end_finish(rt->ending, &bytes, &error);
  rt->ending = NULL;
  int rc = failed < 0 ? failed : tr_store(rt, rt->state_path, &bytes, &error);
  tr_buf_fini(&bytes);
  if (rc)
    tr_log_write(&rt->log, TR_LOG_ERROR, "save.failed", "file=%s error=\"%s: %s\" (the old file is kept)", rt->state_path,
                 tr_error_name(rc), error.text);
  else tr_log_write(&rt->log, TR_LOG_INFO, "saved", "file=%s failed=%d", rt->state_path, failed);
  if ((rc || failed) && rt->exit_status == 0) rt->exit_status = 1;
}
