/* SPDX-License-Identifier: MIT
 * Instances with a Lua state of their own in a whole runtime: saved and restored, their timers and subscriptions too; with several
 * isolates; and what one costs. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runtime_kit.h"

#define KEEPER                                                                                                        \
  "return { { type = 'a', vm = 'own', shards = { 'log' }, state = { n = 0 }, on = {\n"                                     \
  "Add = function(self, m, ctx) self.n = self.n + 1 self.log = self.log or {} self.log[#self.log + 1] = self.n print(ctx.key .. ' ' .. self.n .. ' ' .. #self.log) end,\n" \
  "Start = function(self, _, ctx) self.id = ctx:after(10, 'Ring', { n = 3 }) ctx:subscribe { 'late', key = ctx.key } end,\n" \
  "Ring = function(self, m) print('ring ' .. m.n + self.n) end, Cancel = function(self, _, ctx) print(ctx:cancel(self.id)) end } },\n" \
  "{ type = 'r', vm = 'own', requeue = true, state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 print('r ' .. self.n) end,\n" \
  "Slow = function(self, _, ctx) self.n = self.n + 10 ctx:sleep(30) print('slow ' .. self.n) end } } }"

static troupe_t *moved(troupe_t *rt) {
  int rc = troupe_save(rt, kit_path());
  if (rc) CHECK_FAIL("%d %s\n%s", rc, troupe_error(rt), kit_log);
  troupe_free(rt);
  kit_printed();
  rt = kit_open(KEEPER);
  rc = troupe_restore(rt, kit_path());
  if (rc) CHECK_FAIL("%d %s\n%s", rc, troupe_error(rt), kit_log);
  return rt;
}

CHECK_CASE(own_states_are_saved_and_restored_with_all_that_belongs_to_them) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(KEEPER);
  troupe_send(rt, "a/x", "Add", NULL);
  troupe_send(rt, "a/x", "Start", NULL);
  troupe_send(rt, "r/y", "Slow", NULL);
  kit_work(rt);
  troupe_send(rt, "r/y", "Add", NULL); /* waits behind the turn, which is begun again */
  CHECK_STR(kit_printed(), "x 1 1");
  rt = moved(rt);
  troupe_send(rt, "a/x", "Add", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "x 2 2");
  kit_pass(rt, 11);
  CHECK_STR(kit_printed(), "ring 5");
  troupe_publish(rt, "late/any", "Add", NULL);
  kit_pass(rt, 20);
  CHECK_STR(kit_printed(), "x 3 3 slow 10 r 11");
  rt = moved(rt);
  kit_pass(rt, 1);
  CHECK_STR(kit_printed(), "");
  troupe_send(rt, "a/x", "Add", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "x 4 4");
  troupe_send(rt, "a/x", "Cancel", NULL); /* it rang */
  kit_work(rt);
  CHECK_STR(kit_printed(), "false");
  troupe_free(rt);
}

CHECK_CASE(own_states_are_saved_and_restored_without_memory) {
  CHECK_ALLOCATIONS_FAIL(149) {
    kit_clock = 1000000;
    troupe_t *rt = kit_open(KEEPER);
    if (!rt) continue;
    troupe_send(rt, "a/x", "Add", NULL);
    troupe_send(rt, "a/x", "Start", NULL);
    kit_work(rt);
    int saved = troupe_save(rt, kit_path());
    int restored = saved < 0 ? saved : troupe_restore(rt, kit_path());
    if (!check_mem_refused()) CHECK(saved == 0 && restored == 0);
    kit_pass(rt, 11);
    troupe_send(rt, "a/x", "Add", NULL);
    kit_work(rt);
    const char *text = kit_printed();
    if (!check_mem_refused()) CHECK_STR(text, "x 1 1 ring 4 x 2 2");
    troupe_free(rt);
  }
}

CHECK_CASE(own_states_in_several_isolates) {
  static const char talk[] =
    "return { { type = 'a', vm = 'own', state = { n = 0 }, on = {\n"
    "  Go = function(self, m, ctx) local sum = 0 for i = 1, 20 do sum = sum + ctx:call('a/' .. i, 'Add', { n = i }).n end return { n = sum } end,\n"
    "  Add = function(self, m, ctx) self.n = self.n + m.n return { n = self.n } end } },\n"
    "  function(ctx) for i = 1, 2 do print(ctx:call('a/main', 'Go').n) end end }";
  troupe_options_t options = { .size = sizeof options, .threads = 3, .log = kit_on_log, .log_level = TROUPE_LOG_INFO, .seed = 1 };
  troupe_t *rt = NULL;
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_load(rt, "a.lua", talk, 0), ==, 0);
  CHECK_INT(troupe_run(rt), ==, 0);
  CHECK_STR(kit_printed(), "210 420");
  troupe_free(rt);
}

/* The figure that docs/measured.md gives, so that it stays true. */
CHECK_CASE(an_own_state_costs_less_than_100_KB) {
  troupe_t *rt = kit_open("return { type = 'a', vm = 'own', state = { n = 0 }, on = { Add = function(self) self.n = self.n + 1 end } }");
  char id[20];
  troupe_send(rt, "a/0", "Add", NULL);
  kit_work(rt);
  size_t before = check_mem()->used;
  for (int i = 1; i <= 20; i++) {
    snprintf(id, sizeof id, "a/%d", i);
    troupe_send(rt, id, "Add", NULL);
    kit_work(rt);
  }
  size_t each = (check_mem()->used - before) / 20;
  if (each >= 100000) CHECK_FAIL("%zu bytes each", each);
  troupe_free(rt);
}
