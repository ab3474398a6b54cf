/* SPDX-License-Identifier: MIT
 * What the checks of the store share. */
#include "store_kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const sample samples[SAMPLES] = {
  { "state", "greeter/default", "", 1, "{\"count\":3}" },
  { "state", "greeter/default", "history", 2, "[1,2,3]" },
  { "mail", "greeter/default", "", 0, "first" },
  { "mail", "greeter/default", "", 0, "" },
  { "timer", "", "", UINT32_MAX, "Tick" },
};

tr_record record_of(const sample *s) {
  return (tr_record){ .kind = S(s->kind), .key = S(s->key), .part = S(s->part), .version = s->version };
}

tr_buf small_snapshot(void) {
  tr_buf out;
  tr_snapshot_writer writer;
  tr_buf_init(&out, check_mem());
  WORKS(tr_snapshot_writer_begin(&writer, tr_snapshot_write_buf, &out, &error));
  for (size_t i = 0; i < SAMPLES; i++) {
    tr_record record = record_of(&samples[i]);
    WORKS(tr_snapshot_writer_add(&writer, &record, S(samples[i].body), &error));
  }
  WORKS(tr_snapshot_writer_end(&writer, &error));
  CHECK_INT(writer.size, ==, out.len);
  CHECK_INT(writer.count, ==, SAMPLES);
  return out;
}

static int read_and_free(tr_snapshot *snapshot, tr_error *error) {
  int err = tr_snapshot_verify(snapshot, error);
  for (size_t i = 0; i < tr_snapshot_count(snapshot); i++) {
    tr_record record = tr_snapshot_at(snapshot, i);
    CHECK(tr_snapshot_find(snapshot, record.kind, record.key, record.part) <= i);
  }
  tr_snapshot_free(snapshot);
  return err;
}

int read_all(tr_slice bytes, tr_error *error) {
  tr_snapshot *snapshot;
  int err = tr_snapshot_new(check_mem(), bytes, 7, &snapshot, error);
  return err ? err : read_and_free(snapshot, error);
}

int read_all_of_file(const char *path, tr_error *error) {
  tr_snapshot *snapshot;
  int err = tr_snapshot_new_file(check_mem(), path, 7, &snapshot, error);
  return err ? err : read_and_free(snapshot, error);
}

/* ---- the folder ---- */

static char folder[256];

const char *path_of(const char *name) {
  static char paths[8][512];
  static unsigned next;
  if (!folder[0]) {
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/troupe-store-XXXXXX", temporary ? temporary : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
  }
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

static int visible(const struct dirent *entry) { return strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."); }

const char *folder_names(void) {
  static char names[512];
  struct dirent **found;
  int n = scandir(folder, &found, visible, alphasort);
  size_t length = 0;
  names[0] = 0;
  for (int i = 0; i < n; i++) {
    int added = snprintf(names + length, sizeof names - length, "%s%s", i ? " " : "", found[i]->d_name);
    length += (size_t)added < sizeof names - length ? (size_t)added : 0;
    free(found[i]);
  }
  if (n >= 0) free(found);
  return names;
}

void remove_folder(void) {
  struct dirent **found;
  int n = scandir(folder, &found, visible, alphasort);
  for (int i = 0; i < n; i++) {
    const char *path = path_of(found[i]->d_name);
    if (unlink(path)) rmdir(path);
    free(found[i]);
  }
  if (n >= 0) free(found);
  rmdir(folder);
  folder[0] = 0;
}

void write_plainly(const char *path, tr_slice bytes) {
  FILE *out = fopen(path, "wb");
  CHECK(out != NULL);
  CHECK_INT(fwrite(bytes.p, 1, bytes.n, out), ==, bytes.n);
  CHECK_INT(fclose(out), ==, 0);
}
