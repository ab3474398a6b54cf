/* SPDX-License-Identifier: MIT
 * The runner behind check.h. For each case it prints
 *   # begin NAME
 *   (what the case prints, and why it failed)
 *   # end NAME ok|failed|skipped MILLISECONDS [reason]
 * which spec/c_spec.lua reads. The case's process ends by exit(), so that LeakSanitizer and valgrind have their say. */
#include "check.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#ifdef __SANITIZE_THREAD__
/* The distribution's Lua leaves C functions by the checked longjmp, which ThreadSanitizer does not know: its own record of who called whom
 * would grow with every error, to its end. The linker puts this in the place of that (spec.mk). */
_Noreturn void __wrap___longjmp_chk(jmp_buf env, int value);
_Noreturn void __wrap___longjmp_chk(jmp_buf env, int value) { longjmp(env, value); }
#endif
#include <unistd.h>

enum { OK = 0, FAILED = 1, SKIPPED = 77 };

static struct check_case *cases, **last_case = &cases;
static jmp_buf end_of_case;

void check_register(struct check_case *self) {
  *last_case = self;
  last_case = &self->next;
}

/* ---- failures ---- */

_Noreturn void check_fail(const char *file, int line, const char *format, ...) {
  va_list args;
  printf("%s:%d: ", file, line);
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n");
  longjmp(end_of_case, FAILED);
}

_Noreturn void check_skip(const char *format, ...) {
  va_list args;
  printf("# reason ");
  va_start(args, format);
  vprintf(format, args);
  va_end(args);
  printf("\n");
  longjmp(end_of_case, SKIPPED);
}

static void print_quoted(const char *label, const void *bytes, size_t length) {
  const unsigned char *p = bytes;
  printf("  %s (%zu) ", label, length);
  if (!p) printf("NULL");
  else putchar('"');
  for (size_t i = 0; p && i < length; i++) {
    if (i == 400) { printf("..."); break; }
    if (p[i] == '"' || p[i] == '\\') printf("\\%c", p[i]);
    else if (p[i] < 32 || p[i] >= 127) printf("\\x%02x", p[i]);
    else putchar(p[i]);
  }
  printf(p ? "\"\n" : "\n");
}

void check_mem_equal(const char *file, int line, const char *what, const void *a, size_t a_length, const void *b,
                     size_t b_length) {
  if (a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0)) return;
  size_t at = 0;
  while (a && b && at < a_length && at < b_length && ((const char *)a)[at] == ((const char *)b)[at]) at++;
  print_quoted("left ", a, a_length);
  print_quoted("right", b, b_length);
  check_fail(file, line, "%s: they differ at byte %zu", what, at);
}

void check_str(const char *file, int line, const char *what, const char *a, const char *b) {
  if (!a && !b) return;
  if (a && b) {
    check_mem_equal(file, line, what, a, strlen(a), b, strlen(b));
    return;
  }
  print_quoted("left ", a, a ? strlen(a) : 0);
  print_quoted("right", b, b ? strlen(b) : 0);
  check_fail(file, line, "%s: only one is NULL", what);
}

/* ---- memory: each block has its size in front of it ---- */

struct block { size_t size; uint64_t mark; };
#define LIVE UINT64_C(0x6c69766562c0ffee)
#define DEAD UINT64_C(0x6465616462c0ffee)

static struct {
  tr_mem mem;
  size_t blocks, fail_at, run, step;
  bool refused;
} memory;

static void *check_realloc(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  struct block *old = ptr ? (struct block *)ptr - 1 : NULL;
  if (old && old->mark != LIVE) check_fail(__FILE__, __LINE__, "freed twice, or never allocated here: %p", ptr);
  if (old && old->size != old_size)
    check_fail(__FILE__, __LINE__, "a block of %zu bytes is given back as one of %zu", old->size, old_size);
  struct block *new = NULL;
  if (new_size > 0) {
    if (memory.fail_at > 0 && --memory.fail_at == 0) {
      memory.refused = true;
      return NULL;
    }
    new = malloc(sizeof *new + new_size);
    if (!new) return NULL;
    new->size = new_size;
    new->mark = LIVE;
    memory.blocks++;
    memset(new + 1, 0xA5, new_size);
    if (old) memcpy(new + 1, ptr, old_size < new_size ? old_size : new_size);
  }
  if (old) {
    memset(old + 1, 0xDD, old->size);
    old->mark = DEAD;
    memory.blocks--;
    free(old);
  }
  return new ? new + 1 : NULL;
}

tr_mem *check_mem(void) {
  if (!memory.mem.realloc_fn) memory.mem = (tr_mem){ .realloc_fn = check_realloc };
  return &memory.mem;
}

size_t check_mem_blocks(void) { return memory.blocks; }
bool check_mem_refused(void) { return memory.refused; }

void check_mem_fail_at(size_t n) {
  memory.fail_at = n;
  memory.refused = false;
}

void check_each_begin(size_t step) {
  const char *factor = getenv("TROUPE_ALLOCATION_STEP"); /* valgrind is too slow for all */
#if defined(__SANITIZE_ADDRESS__) || defined(TR_HOSTILE)
  memory.step = step; /* each of Lua's blocks is one of ours */
#else
  (void)step;
  memory.step = 1;
#endif
  if (factor) memory.step *= strtoul(factor, NULL, 10);
  memory.run = 0;
  memory.refused = true;
}

int check_each_least(int n) { return getenv("TROUPE_ALLOCATION_STEP") ? -1 : n; }

bool check_each_next(const char *file, int line) {
  static size_t blocks_before;
  if (memory.run == 0) blocks_before = memory.blocks;
  else if (memory.blocks != blocks_before)
    check_fail(file, line, "with allocation %zu refused, %zu blocks leaked", memory.run, memory.blocks - blocks_before);
  if (!memory.refused) {
    memory.fail_at = 0;
    return false;
  }
  memory.run += memory.run ? memory.step : 1;
  if (memory.run > 100000) check_fail(file, line, "more than 100 000 allocations");
  check_mem_fail_at(memory.run);
  return true;
}

/* ---- data ---- */

static struct file { struct file *next; char bytes[]; } *files;

const char *check_file(const char *path, size_t *length) {
  FILE *in = fopen(path, "rb");
  if (!in) check_fail(path, 0, "cannot be read");
  fseek(in, 0, SEEK_END);
  size_t size = (size_t)ftell(in);
  rewind(in);
  struct file *file = malloc(sizeof *file + size + 1);
  if (!file || fread(file->bytes, 1, size, in) != size) check_fail(path, 0, "cannot be read");
  fclose(in);
  file->bytes[size] = 0;
  file->next = files;
  files = file;
  *length = size;
  return file->bytes;
}

static void free_files(void) {
  while (files) {
    struct file *next = files->next;
    free(files);
    files = next;
  }
}

void check_each_file(const char *folder, const char *ending, void (*f)(const char *path, void *ud), void *ud) {
  struct dirent **names;
  int n = scandir(folder, &names, NULL, alphasort);
  if (n < 0) check_fail(folder, 0, "cannot be read");
  for (int i = 0; i < n; i++) {
    char path[1024];
    size_t length = strlen(names[i]->d_name), end = strlen(ending);
    snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
    if (length >= end && strcmp(names[i]->d_name + length - end, ending) == 0) f(path, ud);
    free(names[i]);
  }
  free(names);
}

/* ---- running ---- */

static int run_here(const struct check_case *self) {
  memset(&memory, 0, sizeof memory);
  int result = setjmp(end_of_case);
  if (result == 0) {
    self->run();
    if (memory.blocks > 0) check_fail(self->file, 0, "%zu blocks leaked (%zu bytes)", memory.blocks, memory.mem.used);
  }
  free_files();
  fflush(stdout);
  return result;
}

static int run_in_child(const struct check_case *self, unsigned limit) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    alarm(limit);
    int result = run_here(self);
    /* After a failure leaks mean nothing: leave at once. */
    if (result == OK) exit(OK);
    _exit(result);
  }
  if (child < 0 || waitpid(child, &status, 0) != child) return FAILED;
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  if (WTERMSIG(status) == SIGALRM) printf("%s: took longer than %u s\n", self->file, limit);
  else printf("%s: killed by signal %d (%s)\n", self->file, WTERMSIG(status), strsignal(WTERMSIG(status)));
  return FAILED;
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int run_case(const struct check_case *self, bool in_child, unsigned limit) {
  printf("# begin %s\n", self->name);
  fflush(stdout);
  double start = milliseconds();
  int result = in_child ? run_in_child(self, limit) : run_here(self);
  const char *word = result == OK ? "ok" : result == SKIPPED ? "skipped" : "failed";
  printf("# end %s %s %.1f\n", self->name, word, milliseconds() - start);
  fflush(stdout);
  return result == FAILED || (result != OK && result != SKIPPED);
}

int main(int argc, char **argv) {
  const char *wanted = NULL, *slow = getenv("TROUPE_SLOW");
  bool list = false, in_child = true;
  unsigned limit = 20 * (unsigned)(slow ? atoi(slow) : 1);
  int failed = 0, ran = 0;
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--list") == 0) list = true;
    else if (strcmp(argv[i], "--no-fork") == 0) in_child = false;
    else if (strcmp(argv[i], "--run") == 0 && i + 1 < argc) wanted = argv[++i];
    else {
      fprintf(stderr, "usage: %s [--list] [--run CASE] [--no-fork]\n", argv[0]);
      return 2;
    }
  }
  for (const struct check_case *self = cases; self; self = self->next) {
    if (wanted && !strstr(self->name, wanted)) continue;
    ran++;
    if (list) printf("%s %s\n", self->name, self->file);
    else failed += run_case(self, in_child, limit);
  }
  return failed > 0 || ran == 0;
}
