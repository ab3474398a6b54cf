/* SPDX-License-Identifier: MIT
 * Replacing files: what is there before, during and after; who may; what is in the way. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_kit.h"

static int replace(const char *name, const char *text, bool keep, tr_error *error) {
  tr_file_options options = { .keep = keep };
  return tr_file_replace(check_mem(), path_of(name), &options, S(text), error);
}

static void holds(const char *name, const char *text) {
  size_t n;
  CHECK_STR(check_file(path_of(name), &n), text);
}

static unsigned mode_of(const char *name) {
  struct stat about;
  CHECK_INT(stat(path_of(name), &about), ==, 0);
  return about.st_mode & 07777;
}

CHECK_CASE(file_is_made_and_replaced) {
  path_of("state"); /* the folder must be there */
  WORKS(replace("state", "one", false, &error));
  holds("state", "one");
  CHECK_INT(mode_of("state"), ==, 0600);
  WORKS(replace("state", "two", false, &error));
  WORKS(replace("state", "", false, &error));
  holds("state", "");
  CHECK_STR(folder_names(), "state");
  remove_folder();
}

CHECK_CASE(file_keeps_the_one_before) {
  path_of("state");
  WORKS(replace("state", "one", true, &error));
  CHECK_STR(folder_names(), "state");
  WORKS(replace("state", "two", true, &error));
  holds("state.1", "one");
  WORKS(replace("state", "three", true, &error));
  holds("state", "three");
  holds("state.1", "two");
  WORKS(replace("state", "four", false, &error));
  holds("state.1", "two");
  CHECK_STR(folder_names(), "state state.1");
  CHECK_INT(link(path_of("state"), path_of("state.1.new")), ==, 0); /* as a crash may leave it */
  WORKS(replace("state", "five", true, &error));
  holds("state.1", "four");
  CHECK_STR(folder_names(), "state state.1");
  remove_folder();
}

CHECK_CASE(file_is_held_by_one) {
  const tr_file_options hold = { .hold = true };
  tr_file *first, *second;
  tr_error why;
  tr_error_init(&why);
  path_of("state");
  WORKS(tr_file_new(check_mem(), path_of("state"), &hold, &first, &error));
  CHECK_STR(folder_names(), "state.lock");
  CHECK_INT(tr_file_new(check_mem(), path_of("state"), &hold, &second, &why), ==, TR_EUNAVAILABLE);
  char words[80];
  snprintf(words, sizeof words, "state is in use by process %ld;", (long)getpid());
  CHECK(strstr(why.text, words));
  WORKS(replace("state", "one", false, &error)); /* who holds it writes it */
  tr_file_free(first);
  CHECK_STR(folder_names(), "state");
  WORKS(replace("state.lock", "123", false, &error)); /* as a crash leaves it */
  WORKS(tr_file_new(check_mem(), path_of("state"), &hold, &first, &error));
  tr_file_free(first);
  CHECK_STR(folder_names(), "state");
  holds("state", "one");
  remove_folder();
}

CHECK_CASE(file_stays_when_nothing_is_committed) {
  tr_file *file;
  path_of("state");
  WORKS(replace("state", "one", false, &error));
  WORKS(tr_file_new(check_mem(), path_of("state"), NULL, &file, &error));
  WORKS(tr_file_write(file, S("two"), &error));
  CHECK_STR(folder_names(), "state state.new");
  CHECK_INT(mode_of("state.new"), ==, 0600);
  holds("state", "one");
  tr_file_free(file);
  tr_file_free(NULL);
  CHECK_STR(folder_names(), "state");
  WORKS(tr_file_new(check_mem(), path_of("state"), NULL, &file, &error));
  WORKS(tr_file_commit(file, &error));
  CHECK_INT(tr_file_write(file, S("x"), NULL), ==, TR_EINVALID);
  CHECK_INT(tr_file_commit(file, NULL), ==, TR_EINVALID);
  tr_file_free(file);
  holds("state", "");
  remove_folder();
}

CHECK_CASE(file_left_by_a_crash_is_taken_over) {
  const char *left = path_of("state.new");
  write_plainly(left, S("a long text that a crash left behind"));
  CHECK_INT(chmod(left, 0644), ==, 0);
  WORKS(replace("state", "one", false, &error));
  holds("state", "one");
  CHECK_INT(mode_of("state"), ==, 0600);
  CHECK_STR(folder_names(), "state");
  remove_folder();
}

CHECK_CASE(file_in_the_folder_one_stands_in) {
  path_of("state");
  char *old = getcwd(NULL, 0);
  CHECK_INT(chdir(path_of(".")), ==, 0);
  WORKS(tr_file_replace(check_mem(), "state", NULL, S("one"), &error));
  CHECK_INT(chdir(old), ==, 0);
  free(old);
  holds("state", "one");
  remove_folder();
}

/* ---- two writers ---- */

CHECK_CASE(file_has_one_writer_at_a_time) {
  tr_file *first, *second;
  const char *path = path_of("state");
  WORKS(tr_file_new(check_mem(), path, NULL, &first, &error));
  WORKS(tr_file_write(first, S("first"), &error));
  FAILS(TR_EUNAVAILABLE, "state is being written by another", tr_file_new(check_mem(), path, NULL, &second, &error));
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) _exit(tr_file_new(check_mem(), path, NULL, &second, NULL) == TR_EUNAVAILABLE ? 0 : 1);
  int status;
  CHECK_INT(waitpid(child, &status, 0), ==, child);
  CHECK_INT(status, ==, 0);
  WORKS(tr_file_commit(first, &error));
  WORKS(tr_file_new(check_mem(), path, NULL, &second, &error)); /* the first is through, though not freed */
  tr_file_free(first);
  CHECK_STR(folder_names(), "state state.new");
  WORKS(tr_file_commit(second, &error));
  tr_file_free(second);
  CHECK_STR(folder_names(), "state");
  remove_folder();
}

struct other { tr_file *file; bool commit; };

/* Between the second writer's open and its lock the first is done. */
static int end_other(void *ud, const char *call) {
  struct other *other = ud;
  if (strcmp(call, "flock") != 0 || !other->file) return 0;
  if (other->commit) WORKS(tr_file_commit(other->file, &error));
  tr_file_free(other->file);
  other->file = NULL;
  return 0;
}

/* The same, and a third one has begun by then: the name is there again and is another file. */
static int follow_other(void *ud, const char *call) {
  struct other *other = ud;
  if (strcmp(call, "flock") != 0 || !other->commit) return 0;
  other->commit = false;
  tr_file_free(other->file);
  WORKS(tr_file_new(check_mem(), path_of("state"), NULL, &other->file, &error));
  return 0;
}

CHECK_CASE(file_changes_hands_twice_between_open_and_lock) {
  const char *path = path_of("state");
  struct other other = { .commit = true };
  tr_file_options options = { .fault = follow_other, .ud = &other };
  tr_file *file;
  WORKS(tr_file_new(check_mem(), path, NULL, &other.file, &error));
  FAILS(TR_EUNAVAILABLE, "being written by another", tr_file_new(check_mem(), path, &options, &file, &error));
  WORKS(tr_file_write(other.file, S("third"), &error));
  WORKS(tr_file_commit(other.file, &error));
  tr_file_free(other.file);
  holds("state", "third");
  CHECK_STR(folder_names(), "state");
  remove_folder();
}

CHECK_CASE(file_changes_hands_between_open_and_lock) {
  const char *path = path_of("state");
  for (int commit = 0; commit < 2; commit++) {
    struct other other = { .commit = commit };
    tr_file_options options = { .fault = end_other, .ud = &other };
    tr_file *file;
    WORKS(tr_file_new(check_mem(), path, NULL, &other.file, &error));
    WORKS(tr_file_write(other.file, S("first"), &error));
    WORKS(tr_file_new(check_mem(), path, &options, &file, &error));
    CHECK_STR(folder_names(), commit ? "state state.new" : "state.new");
    if (commit) holds("state", "first");
    WORKS(tr_file_write(file, S("second"), &error));
    if (commit) holds("state", "first"); /* it is not the same file that the second writes to */
    WORKS(tr_file_commit(file, &error));
    tr_file_free(file);
    holds("state", "second");
    CHECK_STR(folder_names(), "state");
    CHECK_INT(unlink(path), ==, 0);
  }
  remove_folder();
}

/* Writers that fight over one path, and a reader that must always find a whole snapshot. */
static void fight(const char *path, int who) {
  for (int i = 0; i < 40; i++) {
    tr_file *file;
    tr_snapshot_writer writer;
    tr_record record = { .kind = S("state"), .key = S("a/b"), .version = (uint32_t)who };
    tr_file_options options = { .keep = true };
    if (tr_file_new(check_mem(), path, &options, &file, NULL)) continue;
    int err = tr_snapshot_writer_begin(&writer, tr_file_write, file, NULL);
    for (int k = 0; !err && k < 100 * who; k++) err = tr_snapshot_writer_add(&writer, &record, S("body"), NULL);
    if (!err) err = tr_snapshot_writer_end(&writer, NULL);
    if (!err) err = tr_file_commit(file, NULL);
    tr_file_free(file);
    if (err) _exit(2);
  }
  _exit(0);
}

CHECK_CASE(file_is_whole_at_every_moment) {
  const char *path = path_of("state");
  tr_buf small = small_snapshot();
  WORKS(tr_file_replace(check_mem(), path, NULL, tr_buf_view(&small), &error));
  tr_buf_fini(&small);
  pid_t children[3];
  int running = 3, status;
  fflush(stdout);
  for (int i = 0; i < 3; i++)
    if ((children[i] = fork()) == 0) fight(path, i + 1);
  while (running > 0) {
    WORKS(read_all_of_file(path, &error));
    for (int i = 0; i < 3; i++) {
      if (children[i] <= 0 || waitpid(children[i], &status, WNOHANG) != children[i]) continue;
      CHECK_INT(status, ==, 0);
      children[i] = 0;
      running--;
    }
  }
  WORKS(read_all_of_file(path_of("state.1"), &error));
  CHECK_STR(folder_names(), "state state.1");
  remove_folder();
}

CHECK_CASE(file_may_be_replaced_while_it_is_read) {
  const char *path = path_of("state");
  tr_buf small = small_snapshot();
  tr_snapshot *s;
  WORKS(tr_file_replace(check_mem(), path, NULL, tr_buf_view(&small), &error));
  WORKS(tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  WORKS(replace("state", "something else", false, &error));
  WORKS(tr_snapshot_verify(s, &error));
  tr_snapshot_free(s);
  tr_buf_fini(&small);
  remove_folder();
}

/* ---- what is in the way ---- */

CHECK_CASE(file_whose_folder_is_away) {
  tr_file *file;
  path_of("state");
  FAILS(TR_EIO, "No such file or directory", replace("none/state", "one", false, &error));
  CHECK_INT(mkdir(path_of("folder"), 0700), ==, 0);
  WORKS(tr_file_new(check_mem(), path_of("folder/state"), NULL, &file, &error));
  WORKS(tr_file_write(file, S("one"), &error));
  CHECK_INT(unlink(path_of("folder/state.new")), ==, 0);
  CHECK_INT(rmdir(path_of("folder")), ==, 0);
  FAILS(TR_EIO, "No such file or directory", tr_file_commit(file, &error));
  tr_file_free(file);
  CHECK_STR(folder_names(), "");
  FAILS(TR_EINVALID, "names no file", tr_file_new(check_mem(), "", NULL, &file, &error));
  FAILS(TR_EINVALID, "names no file", tr_file_new(check_mem(), "a/", NULL, &file, &error));
  remove_folder();
}

CHECK_CASE(file_that_is_none) {
  path_of("state");
  CHECK_INT(mkdir(path_of("folder"), 0700), ==, 0);
  FAILS(TR_EINVALID, "is not a regular file", replace("folder", "one", false, &error));
  write_plainly(path_of("real"), S("one"));
  CHECK_INT(symlink("real", path_of("link")), ==, 0);
  FAILS(TR_EINVALID, "is not a regular file", replace("link", "two", false, &error));
  CHECK_INT(mkfifo(path_of("fifo"), 0600), ==, 0);
  FAILS(TR_EINVALID, "is not a regular file", replace("fifo", "two", false, &error));
  CHECK_STR(folder_names(), "fifo folder link real");
  tr_snapshot *s;
  FAILS(TR_EINVALID, "is not a regular file", tr_snapshot_new_file(check_mem(), path_of("fifo"), 1, &s, &error));
  FAILS(TR_EINVALID, "is not a regular file", tr_snapshot_new_file(check_mem(), path_of("folder"), 1, &s, &error));
  FAILS(TR_ENOT_FOUND, "no file ", tr_snapshot_new_file(check_mem(), path_of("none"), 1, &s, &error));
  FAILS(TR_EIO, "Not a directory", tr_snapshot_new_file(check_mem(), path_of("real/x"), 1, &s, &error));
  CHECK(s == NULL);
  remove_folder();
}

/* Somebody put something else where the temporary file goes: it is neither written to nor removed. */
CHECK_CASE(file_with_something_in_its_way) {
  path_of("state");
  write_plainly(path_of("precious"), S("precious"));
  CHECK_INT(link(path_of("precious"), path_of("state.new")), ==, 0);
  FAILS(TR_EPERMISSION, "state.new is in the way", replace("state", "one", false, &error));
  CHECK_INT(unlink(path_of("state.new")), ==, 0);
  CHECK_INT(symlink("precious", path_of("state.new")), ==, 0);
  FAILS(TR_EIO, "making a file beside", replace("state", "one", false, &error));
  CHECK_INT(unlink(path_of("state.new")), ==, 0);
  CHECK_INT(mkfifo(path_of("state.new"), 0600), ==, 0);
  FAILS(TR_EPERMISSION, "state.new is in the way", replace("state", "one", false, &error));
  CHECK_STR(folder_names(), "precious state.new");
  holds("precious", "precious");
  remove_folder();
}

CHECK_CASE(file_without_permission) {
  path_of("state");
  WORKS(replace("state", "one", false, &error));
  CHECK_INT(chmod(path_of("."), 0555), ==, 0);
  if (geteuid() == 0 && seteuid(65534)) CHECK_SKIP("root, and cannot be anybody else");
  FAILS(TR_EIO, "Permission denied", replace("state", "two", false, &error));
  if (getuid() == 0) CHECK_INT(seteuid(0), ==, 0);
  CHECK_INT(chmod(path_of("."), 0700), ==, 0);
  holds("state", "one");
  CHECK_STR(folder_names(), "state");
  remove_folder();
}

/* A write that the system takes only half of, and then none of. */
CHECK_CASE(file_past_the_limit_of_the_disk) {
  static char body[100000];
  struct rlimit limit, small = { 65536, RLIM_INFINITY };
  tr_slice bytes = tr_slice_make(body, sizeof body);
  path_of("state");
  WORKS(replace("state", "one", false, &error));
  CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), ==, 0);
  small.rlim_max = limit.rlim_max;
  signal(SIGXFSZ, SIG_IGN);
  CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
  FAILS(TR_EIO, "File too large", tr_file_replace(check_mem(), path_of("state"), NULL, bytes, &error));
  CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
  holds("state", "one");
  CHECK_STR(folder_names(), "state");
  WORKS(tr_file_replace(check_mem(), path_of("state"), NULL, bytes, &error));
  remove_folder();
}

CHECK_CASE(file_with_a_very_long_path) {
  char name[300] = "", path[2000];
  memset(name, 'x', sizeof name - 1);
  FAILS(TR_EIO, "xx: File name too long", replace(name, "one", false, &error));
  name[253] = 0; /* fits, but not with .new behind it */
  FAILS(TR_EIO, "xx: File name too long", replace(name, "one", false, &error));
  CHECK_STR(folder_names(), "");
  memset(path, 'x', sizeof path);
  memcpy(path, "/", 1);
  memcpy(path + sizeof path - 6, "/name", 6);
  tr_snapshot *s;
  FAILS(TR_EIO, "/name: File name too long", tr_snapshot_new_file(check_mem(), path, 1, &s, &error));
  remove_folder();
}
