/* SPDX-License-Identifier: MIT
 * The programs of spec/script/cases once more, on the whole runtime, with one thread and with four: the same must come out. Time is
 * virtual: it moves to the next timer of all isolates when none of them has anything left to do. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "runtime/isolate.h"

static _Atomic int64_t now_us;
static char log_text[1 << 18];
static size_t log_length;

static int64_t clock_us(void *ud) {
  (void)ud;
  return atomic_load(&now_us);
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  size_t room = sizeof log_text - log_length;
  const char *name = level == TROUPE_LOG_PRINT ? "print" : tr_log_level_name((tr_log_level)level);
  int n = snprintf(log_text + log_length, room, "%s %s %s\n", name, event, text);
  log_length += (size_t)n < room ? (size_t)n : room - 1;
}

/* The next timer of all isolates; TR_NEVER: none. */
static tr_time next_deadline(troupe_t *rt) {
  tr_time next = tr_core_next_deadline(rt->core);
  tr_crew_pause(rt->crew);
  for (unsigned i = 1; rt->crew && i < rt->crew->count; i++) {
    tr_time other = tr_core_next_deadline(rt->crew->isolates[i]->core);
    if (other < next) next = other;
  }
  tr_crew_resume(rt->crew);
  return next;
}

/* Until the program has returned, or nothing can happen, or so much virtual time has passed. */
static void run(troupe_t *rt, tr_time limit) {
  while (rt->stage != TR_STAGE_DONE && atomic_load(&now_us) < limit) {
    int more = troupe_poll(rt, 1000000);
    CHECK(more >= 0);
    if (more) continue;
    tr_time next = next_deadline(rt);
    if (rt->stage != TR_STAGE_RUNNING && rt->stop_deadline < next) next = rt->stop_deadline;
    if (next == TR_NEVER) return;
    if (next > atomic_load(&now_us)) atomic_store(&now_us, next);
  }
}

static char *marked(const char *text, const char *mark, int n) {
  for (const char *at = text; at; at = strchr(at, '\n')) {
    if (*at == '\n') at++;
    if (strncmp(at, mark, strlen(mark)) != 0 || n-- > 0) continue;
    const char *begin = at + strlen(mark), *end = strchr(begin, '\n');
    return strndup(begin, end ? (size_t)(end - begin) : strlen(begin));
  }
  return NULL;
}

static void run_case(const char *path, void *ud) {
  troupe_t *rt;
  size_t length;
  unsigned threads = *(unsigned *)ud;
  troupe_options_t options = {
    .size = sizeof options, .log = on_log, .log_level = TROUPE_LOG_DEBUG, .seed = 1, .clock_us = clock_us, .threads = threads,
  };
  const char *text = check_file(path, &length);
  atomic_store(&now_us, TR_SECONDS(1));
  log_length = 0;
  log_text[0] = 0;
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  if (troupe_load_file(rt, path)) CHECK_FAIL("%s: %s", path, troupe_error(rt));
  run(rt, TR_SECONDS(100000));
  if (!tr_runtime_stopping(rt) || rt->exit_status)
    CHECK_FAIL("%s with %u threads: %s %d\n%s", path, threads, tr_runtime_stopping(rt) ? "status" : "has not returned", rt->exit_status, log_text);
  char *expected;
  for (int i = 0; (expected = marked(text, "--? ", i)); i++) {
    if (!strstr(log_text, expected)) CHECK_FAIL("%s with %u threads: not in the log: %s\n%s", path, threads, expected, log_text);
    free(expected);
  }
  troupe_free(rt);
}

/* In most of spec/script/cases the agents and the program share tables of the file, so they have to be in one Lua state: with several
 * threads only these run. Those of spec/script/threads talk by messages alone. */
static void run_all(unsigned threads) {
  static const char *const cases[] = { "spec/script/cases/bodies.lua", "spec/script/cases/limits.lua", "spec/script/cases/sandbox.lua" };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) run_case(cases[i], &threads);
  check_each_file("spec/script/threads", ".lua", run_case, &threads);
}

CHECK_CASE(script_programs_with_one_thread) { run_all(1); }
CHECK_CASE(script_programs_with_two_threads) { run_all(2); }
CHECK_CASE(script_programs_with_four_threads) { run_all(4); }

/* One thread at a time: nothing has been started. */
static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_mem *mem = check_mem();
  (void)ud;
  if (new_size == 0) {
    tr_free(mem, ptr, old_size);
    return NULL;
  }
  return tr_realloc(mem, ptr, old_size, new_size);
}

CHECK_CASE(isolates_are_made_and_loaded_or_nothing_is) {
  troupe_options_t options = { .size = sizeof options, .seed = 1, .allocate = allocate, .threads = 3 };
  CHECK_EACH_ALLOCATION_FAILS {
    troupe_t *rt;
    int rc = troupe_new(&rt, &options);
    if (!rc) rc = troupe_load(rt, "a.lua", "return { { type = 'a', on = { A = print } }, { type = 'b', on = { B = print } } }", 0);
    if (rc || !check_mem_refused()) CHECK_INT(rc, ==, check_mem_refused() ? TR_EMEMORY : 0);
    if (rc && rt) CHECK(tr_core_next_class(rt->core, NULL) == NULL); /* all or nothing */
    troupe_free(rt);
  }
}

static int64_t version_in(troupe_t *rt, unsigned isolate) {
  tr_script_about about = { .version = 0 };
  tr_core *core = tr_runtime_share(rt, isolate).core;
  return tr_script_class_about(tr_core_find_class(core, TR_SLICE_LITERAL("a")), &about) ? about.version : -1;
}

/* A file that is saved again and again: another text at each reading. */
static char *load_changing(void *ud, const char *path, size_t *length) {
  int *readings = ud;
  char text[200];
  if (strcmp(path, "m.lua") == 0 && *readings % 2) return NULL; /* then m/init.lua */
  int n = snprintf(text, sizeof text, strcmp(path, "a.lua") == 0 ? "return { type = 'a', version = require 'm' + %d, migrate = function() end, on = { A = print } }" : "return %d * 1000", ++*readings);
  *length = (size_t)n;
  return strdup(text);
}

CHECK_CASE(isolates_have_one_text_though_a_file_changes_while_they_load_it) {
  int readings = 0;
  troupe_options_t options = { .size = sizeof options, .seed = 1, .threads = 3, .load = load_changing, .userdata = &readings };
  troupe_t *rt;
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_load_file(rt, "a.lua"), ==, 0);
  for (int i = 0; i < 3; i++) {
    for (unsigned k = 1; k < 3; k++) CHECK_INT(version_in(rt, k), ==, version_in(rt, 0));
    if (troupe_reload(rt, NULL) != 1) CHECK_FAIL("%s", troupe_error(rt));
    CHECK_INT(tr_script_number(rt->script), ==, i + 2);
  }
  troupe_free(rt);
}

CHECK_CASE(isolates_are_all_reloaded_or_none_is) {
  troupe_options_t options = { .size = sizeof options, .seed = 1, .allocate = allocate, .threads = 3 };
  int kept = 0, taken = 0;
  CHECK_EACH_ALLOCATION_FAILS {
    troupe_t *rt;
    int rc = troupe_new(&rt, &options);
    if (!rc) rc = troupe_load(rt, "a.lua", "return { { type = 'a', version = 1, on = { A = print } } }", 0);
    if (!rc) {
      rc = troupe_load(rt, "a.lua", "return { { type = 'a', version = 2, on = { A = print }, migrate = function(_, s) return s end } }", 0);
      for (unsigned i = 0; i < 3; i++) CHECK_INT(version_in(rt, i), ==, rc ? 1 : 2);
      if (rc) kept++;
      else taken++;
    }
    troupe_free(rt);
  }
  CHECK_INT(kept, >, check_each_least(10));
  CHECK_INT(taken, >, 0);
}
