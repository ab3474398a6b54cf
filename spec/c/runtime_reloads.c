/* SPDX-License-Identifier: MIT
 * troupe_reload_with: the same from C as an operator has it. */
#include <stdio.h>

#include "runtime_kit.h"

static void write_file(const char *text) {
  FILE *file = fopen(kit_path(), "w");
  CHECK(file != NULL);
  fputs(text, file);
  fclose(file);
}

static void code(const char *name) {
  char text[400];
  snprintf(text, sizeof text, "return { type = 'a', on = { Ask = function(_, _, ctx) print('%s', ctx.key) end, Bad = function() error('bad') end,"
                              " Slow = function(_, _, ctx) ctx:sleep(100) print('slow') end } }", name);
  write_file(text);
}

static const char *ask(troupe_t *rt, const char *id) {
  CHECK_INT(troupe_send(rt, id, "Ask", NULL), ==, 0);
  kit_work(rt);
  return kit_printed();
}

#define WITH(...) (&(troupe_reload_options_t){ .size = sizeof(troupe_reload_options_t), __VA_ARGS__ })

CHECK_CASE(reload_with_serves_some_keys_promotes_and_undoes) {
  kit_clock = 1;
  troupe_t *rt = kit_new();
  code("old");
  CHECK_INT(troupe_load_file(rt, kit_path()), ==, 0);
  kit_work(rt);
  code("new");
  CHECK_INT(troupe_reload_with(rt, WITH(.canary = "x")), ==, 1);
  CHECK_STR(ask(rt, "a/x"), "new\tx");
  CHECK_STR(ask(rt, "a/y"), "old\ty");
  CHECK_INT(troupe_reload(rt, NULL), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_reload_with(rt, WITH(.undo = 1)), ==, 1);
  CHECK_STR(ask(rt, "a/x"), "old\tx");
  CHECK_INT(troupe_reload_with(rt, WITH(.canary = "100%")), ==, TROUPE_EINVALID); /* it was taken back */
  CHECK_INT(troupe_reload_with(rt, WITH(.canary = "100%", .again = 1)), ==, 1);
  CHECK_INT(troupe_reload_with(rt, WITH(.promote = 1)), ==, 1);
  CHECK_STR(ask(rt, "a/y"), "new\ty");
  CHECK_INT(troupe_reload_with(rt, WITH(.to = 1)), ==, 1);
  CHECK_STR(ask(rt, "a/y"), "old\ty");
  CHECK_INT(troupe_reload_with(rt, WITH(.to = 1, .undo = 1)), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_reload_with(rt, &(troupe_reload_options_t){ .size = 0 }), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_reload_with(rt, &(troupe_reload_options_t){ .size = 10000 }), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_reload_with(rt, NULL), ==, TROUPE_EINVALID); /* a plain one: the file is what was taken back */
  troupe_free(rt);
}

CHECK_CASE(reload_with_goes_back_at_so_many_failures) {
  kit_clock = 1;
  troupe_t *rt = kit_new();
  code("old");
  CHECK_INT(troupe_load_file(rt, kit_path()), ==, 0);
  code("new");
  CHECK_INT(troupe_reload_with(rt, WITH(.failures = 2, .within_us = 10000000)), ==, 1);
  troupe_send(rt, "a/x", "Bad", NULL);
  kit_work(rt);
  CHECK_STR(ask(rt, "a/x"), "new\tx");
  troupe_send(rt, "a/y", "Bad", NULL);
  kit_work(rt);
  CHECK(strstr(kit_log, "reload.undone code=2 failures=2 (more than 1: code 1 serves again, as 3)"));
  CHECK_STR(ask(rt, "a/x"), "old\tx");
  /* Later failures are no longer counted. */
  code("newer");
  CHECK_INT(troupe_reload_with(rt, WITH(.failures = 1, .within_us = 10000000)), ==, 1);
  kit_pass(rt, 11);
  troupe_send(rt, "a/y", "Bad", NULL);
  kit_work(rt);
  CHECK_STR(ask(rt, "a/x"), "newer\tx");
  /* Of a canary they are, as long as it is one. */
  code("newest");
  CHECK_INT(troupe_reload_with(rt, WITH(.failures = 1, .canary = "y")), ==, 1);
  kit_pass(rt, 100000);
  troupe_send(rt, "a/x", "Bad", NULL); /* not its own */
  kit_work(rt);
  CHECK_STR(ask(rt, "a/y"), "newest\ty");
  CHECK_INT(troupe_reload_with(rt, WITH(.canary = "100%")), ==, 1); /* and it is still watched */
  troupe_send(rt, "a/x", "Bad", NULL);
  kit_work(rt);
  CHECK_STR(ask(rt, "a/y"), "newer\ty");
  troupe_free(rt);
}

CHECK_CASE(reload_with_ends_turns_of_older_code_after_a_time) {
  kit_clock = 1;
  troupe_t *rt = kit_new();
  code("old");
  CHECK_INT(troupe_load_file(rt, kit_path()), ==, 0);
  troupe_send(rt, "a/x", "Slow", NULL);
  kit_work(rt);
  kit_pass(rt, 95);
  troupe_send(rt, "a/y", "Slow", NULL);
  kit_work(rt);
  code("new");
  CHECK_INT(troupe_reload_with(rt, WITH(.drain_us = 10000000)), ==, 1);
  troupe_send(rt, "a/z", "Slow", NULL);
  kit_work(rt);
  for (int i = 0; i < 8; i++) kit_pass(rt, 1);
  CHECK_STR(kit_printed(), "slow");
  CHECK(!strstr(kit_log, "reload.drained"));
  for (int i = 0; i < 4; i++) kit_pass(rt, 1);
  CHECK(strstr(kit_log, "reload.drained code=2 ended=1 cut=1 turns=\"a/y Slow\""));
  CHECK_STR(ask(rt, "a/y"), "new\ty");
  for (int i = 0; i < 100; i++) kit_pass(rt, 1);
  CHECK_STR(kit_printed(), "slow"); /* that of the new code */
  troupe_free(rt);
}
