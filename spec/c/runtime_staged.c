/* SPDX-License-Identifier: MIT
 * This process's part of a reload of several workers: staged, taken, gone back from, let go of; each step once, however often it is asked for. */
#include <stdio.h>
#include <string.h>

#include "runtime_kit.h"
#include "runtime/staged.h"

#define ONE TR_SLICE_LITERAL("0000000000000001")
#define TWO TR_SLICE_LITERAL("0000000000000002")

static troupe_t *rt;
static tr_error error;
static char said[4096], file[80];

static void write_file(const char *text) {
  snprintf(file, sizeof file, "%s.lua", kit_path());
  FILE *out = fopen(file, "w");
  CHECK(out && fputs(text, out) >= 0 && fclose(out) == 0);
}

#define CODE(says, version) "return { type = 'a', version = " version ", state = { n = 1 }, migrate = function(self) self.n = self.n + 1 end," \
  " on = { Ask = function(self) print('" says "' .. self.n) end } }"

static int step(tr_slice id, unsigned what) {
  tr_buf out;
  tr_error_init(&error);
  tr_buf_init(&out, check_mem());
  int rc = tr_staged_step(rt, id, what, TR_SECONDS(5), &out, &error);
  snprintf(said, sizeof said, "%.*s", (int)out.len, out.len ? (const char *)out.data : "");
  if (!rc && out.failed) rc = TR_EMEMORY;
  tr_buf_fini(&out);
  return rc;
}

static const char *ask(void) {
  kit_printed();
  troupe_send(rt, "a/x", "Ask", NULL);
  kit_work(rt);
  return kit_printed();
}

static bool set(void) {
  kit_clock = 1000000;
  write_file(CODE("one", "1"));
  rt = kit_new();
  if (rt && troupe_load_file(rt, file) == 0) return true;
  if (rt) troupe_free(rt);
  return false;
}

CHECK_CASE(staged_code_is_taken_as_it_was_read_and_gone_back_from) {
  CHECK(set());
  CHECK_STR(ask(), "one1");
  write_file(CODE("two", "2"));
  CHECK_INT(step(ONE, TR_RELOAD_STAGE), ==, 0);
  CHECK(strstr(said, "\"files\":1,\"version\":1,\"names\":") && strstr(said, "\"change\":\"changed\",\"from\":1,\"to\":2,\"instances\":1"));
  CHECK_STR(ask(), "one1"); /* migrated as a copy */
  write_file("this is no Lua"); /* what was agreed upon is what was read then */
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, 0);
  CHECK(strstr(said, "\"version\":2"));
  CHECK_STR(ask(), "two2");
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, 0); /* asked for again: it is done */
  CHECK(strstr(said, "\"version\":2"));
  CHECK_INT(step(ONE, TR_RELOAD_BACK), ==, 0);
  CHECK_STR(ask(), "one3"); /* migrate of the old code was asked */
  CHECK_INT(step(ONE, TR_RELOAD_BACK), ==, 0);
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, 0); /* one that comes late is not followed */
  CHECK(strstr(said, "\"version\":3"));
  CHECK_STR(ask(), "one3");
  CHECK_INT(step(TWO, TR_RELOAD_STAGE), ==, TR_EINVALID);
  CHECK(strstr(error.text, ".lua:1: "));
  CHECK_INT(step(TWO, TR_RELOAD_TAKE), ==, TR_ENOT_FOUND);
  CHECK_STR(error.text, "nothing is staged here any more");
  CHECK_INT(step(TWO, TR_RELOAD_BACK), ==, 0); /* it is where it was */
  troupe_free(rt);
}

CHECK_CASE(staged_code_is_let_go_of_when_nobody_decides) {
  CHECK(set());
  write_file(CODE("two", "2"));
  CHECK_INT(step(ONE, TR_RELOAD_STAGE), ==, 0);
  CHECK_INT(step(TWO, TR_RELOAD_STAGE), ==, TR_EUNAVAILABLE);
  CHECK_STR(error.text, "another reload of several workers is under way here");
  kit_pass(rt, 6);
  CHECK(strstr(kit_log, "reload.let_go files=1"));
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, TR_ENOT_FOUND);
  CHECK_INT(step(TWO, TR_RELOAD_STAGE), ==, 0);
  CHECK_INT(step(TWO, TR_RELOAD_LET_GO), ==, 0);
  CHECK_STR(said, "{}");
  CHECK_INT(step(TWO, TR_RELOAD_TAKE), ==, TR_ENOT_FOUND);
  CHECK_STR(ask(), "one1");
  CHECK_INT(step(ONE, TR_RELOAD_STAGE), ==, 0); /* and at the end it goes with the runtime */
  troupe_free(rt);
}

CHECK_CASE(staged_code_is_not_taken_after_another_reload) {
  CHECK(set());
  write_file(CODE("two", "2"));
  CHECK_INT(step(ONE, TR_RELOAD_STAGE), ==, 0);
  write_file(CODE("three", "3"));
  CHECK_INT(troupe_reload(rt, NULL), ==, 1);
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, TR_EUNAVAILABLE);
  CHECK_STR(error.text, "code 2 was loaded meanwhile: what was staged for after 1 is let go");
  CHECK_STR(ask(), "three1");
  CHECK_INT(step(ONE, TR_RELOAD_TAKE), ==, TR_ENOT_FOUND); /* what was not taken is let go of: others may stage */
  CHECK_INT(step(TWO, TR_RELOAD_STAGE), ==, 0); /* nothing has changed */
  CHECK(strstr(said, "\"files\":0,"));
  CHECK_INT(step(TWO, TR_RELOAD_TAKE), ==, 0);
  CHECK(strstr(said, "\"files\":0,\"version\":2"));
  write_file(CODE("four", "4"));
  CHECK_INT(troupe_reload(rt, NULL), ==, 1);
  CHECK_INT(step(TWO, TR_RELOAD_BACK), ==, 0); /* it had taken nothing: nothing is gone back from */
  CHECK_STR(ask(), "four2");
  troupe_free(rt);
}

CHECK_CASE(staging_and_taking_without_memory) {
  CHECK_ALLOCATIONS_FAIL(5) {
    if (!set()) continue;
    if (strcmp(ask(), "one1") != 0) CHECK(check_mem_refused());
    write_file(CODE("two", "2"));
    int staged = step(ONE, TR_RELOAD_STAGE), taken = staged ? 1 : step(ONE, TR_RELOAD_TAKE);
    if (!staged && !taken) step(ONE, TR_RELOAD_BACK);
    bool good = staged == 0 && taken == 0 && strcmp(ask(), "one3") == 0;
    if (!check_mem_refused()) CHECK(good);
    troupe_free(rt);
  }
}
