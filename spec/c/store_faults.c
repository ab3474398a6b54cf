/* SPDX-License-Identifier: MIT
 * The n-th allocation, the n-th write and the n-th system call fail. */
#include <errno.h>
#include <stdlib.h>

#include "store_kit.h"

/* ---- allocations ---- */

CHECK_CASE(fault_each_allocation_while_reading) {
  tr_buf whole = small_snapshot();
  const char *path = path_of("state");
  write_plainly(path, tr_buf_view(&whole));
  CHECK_EACH_ALLOCATION_FAILS {
    tr_error error;
    tr_error_init(&error);
    int err = read_all(tr_buf_view(&whole), &error);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    CHECK_INT(error.code, ==, err);
  }
  CHECK_EACH_ALLOCATION_FAILS {
    tr_error error;
    tr_error_init(&error);
    int err = read_all_of_file(path, &error);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    CHECK_INT(error.code, ==, err);
  }
  tr_buf_fini(&whole);
  remove_folder();
}

static int write_samples(tr_write_fn write, void *ud, tr_error *error) {
  tr_snapshot_writer writer;
  int err = tr_snapshot_writer_begin(&writer, write, ud, error);
  for (size_t i = 0; !err && i < SAMPLES; i++) {
    tr_record record = record_of(&samples[i]);
    err = tr_snapshot_writer_add(&writer, &record, S(samples[i].body), error);
  }
  return err ? err : tr_snapshot_writer_end(&writer, error);
}

CHECK_CASE(fault_each_allocation_while_writing) {
  const char *path = path_of("state");
  CHECK_EACH_ALLOCATION_FAILS {
    tr_error error;
    tr_error_init(&error);
    tr_buf out;
    tr_file *file;
    tr_buf_init(&out, check_mem());
    int err = write_samples(tr_snapshot_write_buf, &out, &error);
    if (!err) err = tr_file_new(check_mem(), path, NULL, &file, &error);
    if (!err) {
      err = write_samples(tr_file_write, file, &error);
      if (!err) err = tr_file_commit(file, &error);
      tr_file_free(file);
    }
    tr_buf_fini(&out);
    CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
    CHECK_INT(error.code, ==, err);
    CHECK_STR(folder_names(), err ? "" : "state");
  }
  remove_folder();
}

/* ---- writes ---- */

struct outlet { int at, calls, code; };

static int fail_at(void *ud, tr_slice bytes, tr_error *error) {
  struct outlet *outlet = ud;
  CHECK_INT(bytes.n, >, 0);
  return ++outlet->calls == outlet->at ? tr_error_set(error, outlet->code, "full") : 0;
}

static int silent_at(void *ud, tr_slice bytes, tr_error *error) {
  struct outlet *outlet = ud;
  (void)bytes, (void)error;
  return ++outlet->calls == outlet->at ? outlet->code : 0;
}

/* 40 records of 1000 bytes, so that there are several writes whatever the buffer is; every call is made whatever the
 * one before returned. */
static int write_on(tr_write_fn write, struct outlet *outlet, tr_error *error) {
  static const char body[1000];
  tr_snapshot_writer writer;
  int first = tr_snapshot_writer_begin(&writer, write, outlet, error);
  for (int i = 0; i < 40; i++) {
    tr_record record = { .kind = S("state"), .key = S("a/b") };
    int err = tr_snapshot_writer_add(&writer, &record, tr_slice_make(body, sizeof body), error);
    if (first) CHECK_INT(err, ==, first);
    first = err;
  }
  int err = tr_snapshot_writer_end(&writer, error);
  if (first) CHECK_INT(err, ==, first);
  return err;
}

CHECK_CASE(fault_each_write) {
  for (int n = 1;; n++) {
    struct outlet outlet = { .at = n, .code = TR_EIO };
    tr_error error;
    tr_error_init(&error);
    int err = write_on(fail_at, &outlet, &error);
    if (!err) {
      CHECK_INT(n, >, 3);
      break;
    }
    CHECK_INT(err, ==, TR_EIO);
    CHECK_STR(error.text, "full");
    CHECK_INT(outlet.calls, ==, n); /* nothing was written after it */
  }
}

CHECK_CASE(fault_a_write_without_a_text) {
  struct outlet outlet = { .at = 2, .code = TR_EOVERLOADED };
  FAILS(TR_EOVERLOADED, "could not be written at byte ", write_on(silent_at, &outlet, &error));
  outlet = (struct outlet){ .at = 1, .code = 28 }; /* no code of ours */
  FAILS(TR_EIO, "could not be written at byte ", write_on(silent_at, &outlet, &error));
}

/* ---- system calls ---- */

struct calls { int at, made, number; char last[16]; };

static int call_fails(void *ud, const char *call) {
  struct calls *calls = ud;
  if (++calls->made != calls->at) return 0;
  strncpy(calls->last, call, sizeof calls->last - 1);
  return calls->number;
}

static const tr_slice before = { "before", 6 }, after = { "after", 5 };

static void holds(const char *name, tr_slice text) {
  size_t n;
  const char *bytes = check_file(path_of(name), &n);
  CHECK_MEM(bytes, n, text.p, text.n);
}

static void each_call(int number, const char *words, bool keep) {
  for (int n = 1;; n++) {
    struct calls calls = { .at = n, .number = number };
    tr_file_options options = { .keep = keep, .fault = call_fails, .ud = &calls };
    WORKS(tr_file_replace(check_mem(), path_of("state"), NULL, before, &error));
    tr_error error;
    tr_error_init(&error);
    int err = tr_file_replace(check_mem(), path_of("state"), &options, after, &error);
    if (calls.made < n) {
      CHECK_INT(err, ==, 0);
      CHECK_INT(n, >, keep ? 10 : 8);
      break;
    }
    CHECK_INT(err, ==, TR_EIO);
    if (!strstr(error.text, words)) CHECK_FAIL("%s: \"%s\"", calls.last, error.text);
    /* Only the very last step comes after the switch. */
    bool switched = strstr(error.text, "syncing the folder") != NULL;
    holds("state", switched ? after : before);
    CHECK(strcmp(folder_names(), "state") == 0 || (keep && strcmp(folder_names(), "state state.1") == 0));
  }
  holds("state", after);
  remove_folder();
}

CHECK_CASE(fault_each_system_call) {
  each_call(ENOSPC, "No space left on device", false);
  each_call(ENOSPC, "No space left on device", true);
  each_call(EACCES, "Permission denied", true);
  each_call(EIO, "Input/output error", true);
}

/* A signal interrupts what may be interrupted: it is done again. */
CHECK_CASE(fault_interrupted_calls) {
  int interrupted = 0;
  for (int n = 1;; n++) {
    struct calls calls = { .at = n, .number = EINTR };
    tr_file_options options = { .fault = call_fails, .ud = &calls };
    int err = tr_file_replace(check_mem(), path_of("state"), &options, after, NULL);
    if (calls.made < n) break;
    if (strcmp(calls.last, "write") && strcmp(calls.last, "fsync")) continue;
    CHECK_INT(err, ==, 0);
    interrupted++;
  }
  CHECK_INT(interrupted, ==, 3);
  remove_folder();
}
