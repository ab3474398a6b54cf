/* SPDX-License-Identifier: MIT
 * `shards`: parts of a state that come to memory when they are touched, and go from file to file as they are if not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/state.h"
#include "runtime_kit.h"

#define HERO(more)                                                                                                    \
  "return { { type = 'hero', shards = { 'bag', 'log', 'map' }, methods = { size = function(self) return #self.log end }," \
  "state = { hp = 10, bag = {}, log = {}, map = { x = 1 } }, " more " on = {\n"                                          \
  "Do = function(self, m) self.log[#self.log + 1] = m.what self.hp = self.hp - 1 end,\n"                                 \
  "Log = function(self) print(self.hp, table.concat(self.log, ','), self:size()) end,\n"                                 \
  "Put = function(self, m) self.bag = { m.what } self.map = nil end,\n"                                                  \
  "Bag = function(self) print(self.bag[1], self.map == nil, rawget(self, 'log') == nil) end,\n"                          \
  "Keys = function(self) local n = 0 for _ in pairs(self) do n = n + 1 end print(n) end } } }"

static void tell(troupe_t *rt, const char *type, const char *what) {
  CHECK_INT(troupe_send(rt, "hero/1", type, what ? troupe_pack(rt, "{s:s}", "what", what) : NULL), ==, 0);
  kit_work(rt);
}

static troupe_t *moved(troupe_t *rt, const char *source) {
  char *bytes;
  size_t length;
  int rc = troupe_save_bytes(rt, &bytes, &length, NULL);
  CHECK_INT(rc, ==, 0);
  troupe_t *other = kit_open(source);
  rc = troupe_restore_bytes(other, bytes, length, NULL);
  if (rc) CHECK_FAIL("%d %s %s", rc, troupe_error(other), kit_log);
  troupe_free_text(rt, bytes, length);
  troupe_free(rt);
  return other;
}

static size_t away(troupe_t *rt) { return tr_script_saved_count(tr_runtime_script(rt)); }

CHECK_CASE(shards_come_when_they_are_touched) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(HERO(""));
  tell(rt, "Do", "a");
  tell(rt, "Do", "b");
  tell(rt, "Put", "sword");
  rt = moved(rt, HERO(""));
  CHECK_INT(away(rt), ==, 4); /* the state and three parts */
  tell(rt, "Keys", NULL);
  CHECK_STR(kit_printed(), "1");
  CHECK_INT(away(rt), ==, 3);
  rt = moved(rt, HERO("")); /* nobody touched them */
  tell(rt, "Bag", NULL);
  CHECK_STR(kit_printed(), "sword\ttrue\ttrue"); /* a field that was taken away stays away; the log is not here yet */
  CHECK_INT(away(rt), ==, 1);
  tell(rt, "Do", "c");
  CHECK_INT(away(rt), ==, 0);
  rt = moved(rt, HERO(""));
  tell(rt, "Log", NULL);
  CHECK_STR(kit_printed(), "7\ta,b,c\t3");
  tell(rt, "Put", "axe"); /* in the place of the one that was never read */
  rt = moved(rt, HERO(""));
  tell(rt, "Bag", NULL);
  CHECK_STR(kit_printed(), "axe\ttrue\ttrue");
  troupe_free(rt);
}

CHECK_CASE(shards_go_out_of_memory_with_an_idle_instance) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(HERO("idle = 5,"));
  tell(rt, "Do", "a");
  kit_pass(rt, 6);
  CHECK_INT(away(rt), ==, 4);
  tell(rt, "Keys", NULL);
  CHECK_INT(away(rt), ==, 3);
  kit_pass(rt, 6);
  CHECK_INT(away(rt), ==, 4);
  tell(rt, "Do", "b");
  tell(rt, "Log", NULL);
  CHECK_STR(kit_printed(), "1 8\ta,b\t2");
  troupe_free(rt);
}

/* One that is not in memory, with its parts and a timer: given away as it is, and then nothing of it is left. */
CHECK_CASE(one_that_goes_elsewhere_leaves_nothing) {
  static const char source[] = "return { type = 'hero', shards = { 'log' }, state = { n = 1 }, on = { Tick = function() print('tick') end,\n"
                               "Go = function(self, m, ctx) self.log = { 'a' } ctx:after(5, 'Tick') end,\n"
                               "Show = function(self) print(self.n, self.log and self.log[1]) end } }";
  tr_slice one = TR_SLICE_LITERAL("hero/1");
  tr_error error;
  tr_buf bytes;
  tr_error_init(&error);
  kit_clock = 1000000;
  troupe_t *rt = kit_open(source);
  tell(rt, "Go", NULL);
  CHECK_INT(troupe_send(rt, "hero/2", "Go", NULL), ==, 0);
  kit_work(rt);
  rt = moved(rt, source);
  CHECK_INT(away(rt), ==, 4);
  tr_buf_init(&bytes, check_mem());
  CHECK_INT(tr_carry_save(tr_runtime_script(rt), "hero/1", &bytes, &error), ==, 0);
  tr_script_forget(tr_runtime_script(rt), one);
  CHECK_INT(away(rt), ==, 2);
  kit_pass(rt, 6);
  CHECK_STR(kit_printed(), "tick"); /* the other's */
  tell(rt, "Show", NULL);
  CHECK_STR(kit_printed(), "1\tnil");
  troupe_free(rt);
  rt = kit_open(source);
  CHECK_INT(tr_carry_restore(tr_runtime_script(rt), one, tr_slice_make(bytes.data, bytes.len - 1), &error), ==, TR_EINVALID);
  CHECK_INT(away(rt), ==, 0); /* no half of one */
  CHECK_INT(tr_carry_restore(tr_runtime_script(rt), one, tr_buf_view(&bytes), &error), ==, 0);
  kit_pass(rt, 6);
  CHECK_STR(kit_printed(), "tick");
  tell(rt, "Show", NULL);
  CHECK_STR(kit_printed(), "1\ta");
  tr_buf_fini(&bytes);
  troupe_free(rt);
}

CHECK_CASE(shards_and_other_versions_of_the_code) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(HERO(""));
  tell(rt, "Do", "a");
  rt = moved(rt, HERO("version = 1, migrate = function(self, from) self.log[#self.log + 1] = 'from' .. from end,"));
  tell(rt, "Log", NULL);
  CHECK_STR(kit_printed(), "9\ta,from0\t2");
  rt = moved(rt, HERO("version = 1,"));
  /* A reload that lists fewer brings the rest into the state. */
  tell(rt, "Keys", NULL);
  CHECK_STR(kit_printed(), "1");
  CHECK_INT(away(rt), ==, 3);
  CHECK_INT(troupe_load(rt, "a.lua", "return { type = 'hero', version = 1, shards = { 'bag' }, on = { Log = function(self)"
                                     " print(rawget(self, 'log')[2], rawget(self, 'bag') == nil) end } }", 0), ==, 0);
  tell(rt, "Log", NULL);
  if (strstr(kit_log, "failed")) CHECK_FAIL("%zu %s", away(rt), kit_log);
  CHECK_STR(kit_printed(), "from0\ttrue");
  troupe_free(rt);
}

CHECK_CASE(shards_that_the_code_does_not_know_are_told) {
  kit_clock = 1000000;
  char *bytes;
  size_t length;
  troupe_t *rt = kit_open(HERO("")), *other = kit_open("return { type = 'hero', state = {}, on = {} }");
  tell(rt, "Do", "a");
  CHECK_INT(troupe_save_bytes(rt, &bytes, &length, NULL), ==, 0);
  CHECK_INT(troupe_restore_bytes(other, bytes, length, NULL), ==, 3);
  CHECK(strstr(kit_log, "`log` is stored as a part, but is none of the agent's `shards`"));
  troupe_free_text(rt, bytes, length);
  troupe_free(other);
  troupe_free(rt);
}

CHECK_CASE(shards_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    kit_clock = 1000000;
    char *bytes = NULL;
    size_t length = 0;
    troupe_t *rt = kit_open(HERO("")), *other = NULL;
    if (!rt) continue;
    troupe_send(rt, "hero/1", "Do", troupe_pack(rt, "{s:s}", "what", "a"));
    kit_work(rt);
    int saved = troupe_save_bytes(rt, &bytes, &length, NULL);
    if (saved >= 0) other = kit_open(HERO(""));
    int restored = other ? troupe_restore_bytes(other, bytes, length, NULL) : -1;
    if (other) troupe_send(other, "hero/1", "Log", NULL);
    kit_printed();
    if (other) kit_work(other);
    if (!check_mem_refused()) CHECK(saved == 0 && restored == 0);
    if (!check_mem_refused()) CHECK_STR(kit_printed(), "9\ta\t1");
    troupe_free_text(rt, bytes, length);
    troupe_free(other);
    troupe_free(rt);
  }
}

/* ---- and in general ---- */

#define BIG "return { type = 'big', state = { n = 0 }, on = { Fill = function(self) self.text = {} for i = 1, 100 do self.text[i] = ('x'):rep(1000) .. i end end," \
  " Get = function(self) print(#self.text, #self.text[100]) end } }"

CHECK_CASE(restoring_ten_megabytes_makes_no_agent) {
  kit_clock = 0;
  char *bytes, agent[20];
  size_t length;
  troupe_t *rt = kit_open(BIG);
  for (int i = 0; i < 100; i++) {
    snprintf(agent, sizeof agent, "big/%d", i);
    troupe_send(rt, agent, "Fill", NULL);
  }
  kit_work(rt);
  CHECK_INT(troupe_save_bytes(rt, &bytes, &length, NULL), ==, 0);
  CHECK_INT(length, >, 10000000);
  troupe_t *other = kit_open(BIG);
  CHECK_INT(troupe_restore_bytes(other, bytes, length, NULL), ==, 0); /* how long it takes: make bench */
  tr_core_stats stats;
  tr_core_get_stats(tr_runtime_core(other), &stats);
  CHECK_INT(stats.agents, ==, 0); /* none is in memory */
  troupe_send(other, "big/7", "Get", NULL);
  kit_work(other);
  CHECK_STR(kit_printed(), "100\t1003");
  troupe_free_text(rt, bytes, length);
  troupe_free(other);
  troupe_free(rt);
}
