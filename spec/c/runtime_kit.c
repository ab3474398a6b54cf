/* SPDX-License-Identifier: MIT
 * See runtime_kit.h. */
#include "runtime_kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char kit_log[65536];
int64_t kit_clock;
static char printed[8192], path[64];
static uint64_t seed; /* two runtimes with one seed would be one client to a host */

void kit_on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  size_t n = strlen(kit_log), m = strlen(printed);
  (void)ud;
  if (level == TROUPE_LOG_PRINT) snprintf(printed + m, sizeof printed - m, "%s%s", m ? " " : "", text);
  else snprintf(kit_log + n, sizeof kit_log - n, "%s %s\n", event, text);
}

static int64_t now(void *ud) {
  (void)ud;
  return kit_clock;
}

void *kit_allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_mem *mem = check_mem();
  (void)ud;
  if (new_size == 0) {
    tr_free(mem, ptr, old_size);
    return NULL;
  }
  return tr_realloc(mem, ptr, old_size, new_size);
}

troupe_t *kit_new(void) {
  troupe_t *rt = NULL;
  troupe_options_t options = { .size = sizeof options, .log = kit_on_log, .log_level = TROUPE_LOG_INFO, .seed = ++seed,
                               .allocate = kit_allocate, .clock_us = kit_clock ? now : NULL };
  int rc = troupe_new(&rt, &options);
  if (rc && !check_mem_refused()) CHECK_FAIL("troupe_new: %d", rc);
  return rc ? NULL : rt;
}

troupe_t *kit_open(const char *source) {
  troupe_t *rt = kit_new();
  if (!rt) return NULL;
  int rc = troupe_load(rt, "a.lua", source, 0);
  if (rc && !check_mem_refused()) CHECK_FAIL("%s", troupe_error(rt));
  if (!rc) return rt;
  troupe_free(rt);
  return NULL;
}

void kit_work(troupe_t *rt) {
  while (troupe_poll(rt, 0) > 0) { }
}

void kit_pass(troupe_t *rt, double seconds) {
  kit_clock += (int64_t)(seconds * 1e6);
  kit_work(rt);
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  kit_heard *h = ud;
  size_t n;
  (void)type;
  h->replies++;
  h->status = status;
  char *json = status ? NULL : troupe_value_to_json(h->rt, body, &n);
  snprintf(h->text, sizeof h->text, "%s", status ? text : json ? json : "");
  if (json) troupe_free_text(h->rt, json, n);
}

kit_heard kit_ask(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body) {
  kit_heard h = { .rt = rt };
  h.status = troupe_call(rt, agent, type, body, 0, on_reply, &h);
  if (h.status) return h;
  for (int i = 0; i < 200 && !h.replies; i++) kit_pass(rt, 0.5);
  CHECK_INT(h.replies, ==, 1);
  return h;
}

int kit_open_files(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n;
}

const char *kit_printed(void) {
  static char copy[sizeof printed];
  memcpy(copy, printed, sizeof copy);
  printed[0] = 0;
  return copy;
}

const char *kit_path(void) {
  if (!path[0]) {
    snprintf(path, sizeof path, "/tmp/troupe-save-XXXXXX");
    CHECK(mkdtemp(path));
    strcat(path, "/state");
  }
  return path;
}
