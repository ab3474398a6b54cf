/* SPDX-License-Identifier: MIT
 * Checks in C, for what only C can test. A file spec/c/ROOM_NOUN.c holds cases; the build makes one program a room,
 * build/spec/c_ROOM, and spec/c_spec.lua makes each case one test of the busted run.
 *
 *   #include "check.h"
 *   CHECK_CASE(mailbox_refuses_past_its_bound) {
 *     CHECK_INT(tr_mailbox_push(box, message), ==, 0);
 *   }
 *
 * Every case runs in a process of its own, and stops at its first failure. By hand: build/spec/c_core --list,
 * --run CASE (a substring), --no-fork (for gdb). Paths of files are from the top of the tree. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define CHECK_CASE(name)                                                                              \
  static void check_case_##name(void);                                                                \
  __attribute__((constructor)) static void check_register_##name(void) {                              \
    static struct check_case self = { #name, __FILE__, check_case_##name, NULL };                     \
    check_register(&self);                                                                            \
  }                                                                                                   \
  static void check_case_##name(void)

/* ---- checks: each shows file, line and both values, and ends the case ---- */

#define CHECK(condition) \
  do { if (!(condition)) check_fail(__FILE__, __LINE__, "%s: is false", #condition); } while (0)
#define CHECK_INT(a, op, b)                                                                            \
  do {                                                                                                 \
    long long check_a = (long long)(a), check_b = (long long)(b);                                      \
    if (!(check_a op check_b))                                                                         \
      check_fail(__FILE__, __LINE__, "%s %s %s: %lld against %lld", #a, #op, #b, check_a, check_b);    \
  } while (0)
#define CHECK_NUM(a, op, b)                                                                            \
  do {                                                                                                 \
    double check_a = (double)(a), check_b = (double)(b);                                               \
    if (!(check_a op check_b))                                                                         \
      check_fail(__FILE__, __LINE__, "%s %s %s: %.17g against %.17g", #a, #op, #b, check_a, check_b);  \
  } while (0)
/* NUL-terminated texts; NULL equals only NULL. */
#define CHECK_STR(a, b) check_str(__FILE__, __LINE__, #a " == " #b, (a), (b))
#define CHECK_MEM(a, a_length, b, b_length) \
  check_mem_equal(__FILE__, __LINE__, #a " == " #b, (a), (a_length), (b), (b_length))
/* A tr_slice against a NUL-terminated text. */
#define CHECK_SLICE(slice, text)                                                                       \
  do {                                                                                                 \
    const char *check_text = (text);                                                                   \
    check_mem_equal(__FILE__, __LINE__, #slice " == " #text, (slice).p, (slice).n, check_text, strlen(check_text)); \
  } while (0)
#define CHECK_FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
/* Ends the case as skipped; it is listed with this reason. */
#define CHECK_SKIP(...) check_skip(__VA_ARGS__)

/* ---- memory ---- */

/* This case's allocator. It counts, moves at every resize, spoils what is freed, and checks the sizes that are given
 * back; what is not freed at the end of the case fails it. */
tr_mem *check_mem(void);
size_t check_mem_blocks(void); /* live ones */
/* From here on the n-th allocation (1: the next) is refused, once; 0: none. */
void check_mem_fail_at(size_t n);
bool check_mem_refused(void); /* was one refused since? */

/* Runs its block again and again, refusing the 1st, the 2nd, … allocation, until a run had none refused. Each run must
 * free what it took.
 *   CHECK_EACH_ALLOCATION_FAILS {
 *     int err = tr_thing_new(check_mem(), &thing);
 *     CHECK_INT(err, ==, check_mem_refused() ? TR_EMEMORY : 0);
 *     if (!err) tr_thing_free(thing);
 *   } */
#define CHECK_EACH_ALLOCATION_FAILS CHECK_ALLOCATIONS_FAIL(1)
/* The same for long runs: where each of Lua's blocks is an allocation (ASan, HOSTILE), only every `step`-th. */
#define CHECK_ALLOCATIONS_FAIL(step) for (check_each_begin(step); check_each_next(__FILE__, __LINE__);)

/* How many runs that means at least: n, or none where only some allocations are tried (TROUPE_ALLOCATION_STEP). */
int check_each_least(int n);

/* ---- data ---- */

/* The bytes of a file, with a NUL behind them; freed at the end of the case. */
const char *check_file(const char *path, size_t *length);
/* Calls f for each file in folder whose name ends so, in order of their names. */
void check_each_file(const char *folder, const char *ending, void (*f)(const char *path, void *ud), void *ud);

/* ---- the macros' own ---- */

struct check_case {
  const char *name, *file;
  void (*run)(void);
  struct check_case *next;
};
void check_register(struct check_case *self);
_Noreturn void check_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void check_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_str(const char *file, int line, const char *what, const char *a, const char *b);
void check_mem_equal(const char *file, int line, const char *what, const void *a, size_t a_length, const void *b,
                     size_t b_length);
void check_each_begin(size_t step);
bool check_each_next(const char *file, int line);

#endif
