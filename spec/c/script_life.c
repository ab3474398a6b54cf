/* SPDX-License-Identifier: MIT
 * The life of instances where only C can look: types that are removed, types that come back, memory that runs out, a
 * host that goes in the middle of it. The rest is in spec/script/cases/life.lua. */
#include "script_host.h"

#define CLOSING "close = function(self, ctx, why) ctx:sleep(1) print('closed ' .. why .. ' ' .. self.n) end, "
#define A "{ type = 'a', state = { n = 0 }, " CLOSING "on = { Add = function(self) self.n = self.n + 1 return self.n end } }"

static size_t agents(const host *h) {
  tr_core_stats stats;
  tr_core_get_stats(h->core, &stats);
  return stats.agents;
}

static void reload(host *h, size_t expected) {
  size_t changed = 0;
  if (host_reload(h, &changed)) CHECK_FAIL("reload: %s", h->error.text);
  CHECK_INT(changed, ==, expected);
}

CHECK_CASE(a_removed_type_is_closed_and_may_come_back_meanwhile) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { " A ", { type = 'b', on = {} } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a/1", "Add", NULL), "Add 1");
  CHECK_STR(host_call(&h, "a/2", "Add", NULL), "Add 1");
  host_file(&h, "a.lua", "return { { type = 'b', on = {} } }");
  reload(&h, 1);
  host_settle(&h);
  CHECK_STR(host_call(&h, "a/1", "Add", NULL), "not_found: no agent type \"a\" here (1 type is known)");
  host_file(&h, "a.lua", "return { " A ", { type = 'b', on = {} } }");
  reload(&h, 1); /* those of before are still at it */
  CHECK_STR(host_call(&h, "a/1", "Add", NULL), "Add 1");
  CHECK_INT(agents(&h), ==, 3);
  host_run(&h, 2);
  CHECK_STR(h.printed, "closed removed 1\nclosed removed 1\n");
  CHECK_INT(agents(&h), ==, 1);
  CHECK_STR(host_call(&h, "a/1", "Add", NULL), "Add 2");
  host_file(&h, "a.lua", "return { { type = 'b', on = {} } }");
  reload(&h, 1);
  host_settle(&h);
  host_close(&h); /* in the middle of its close turn */
}

CHECK_CASE(newer_code_revives_what_was_stopped) {
  host h = { 0 };
  host_open(&h);
  host_file(&h, "a.lua", "return { failures = { limit = 1, action = 'stop' }, on = { X = function() error('x', 0) end } }");
  CHECK_INT(host_load(&h, "a.lua"), ==, 0);
  CHECK_STR(host_call(&h, "a", "X", NULL), "handler_error: x");
  const char *why = "unavailable: a/default was stopped after 1 failures within 60 s; the last: x";
  CHECK_STR(host_call(&h, "a", "X", NULL), why);
  CHECK_STR(host_call(&h, "a", "X", NULL), why);
  tr_error error;
  tr_error_init(&error);
  CHECK(!tr_class_get(tr_core_find_class(h.core, TR_SLICE_LITERAL("a")), TR_SLICE_LITERAL("default"), &error));
  CHECK_STR(error.text, why + strlen("unavailable: "));
  host_file(&h, "a.lua", "return { failures = { limit = 1, action = 'stop' }, on = { X = function() return 1 end } }");
  reload(&h, 1);
  CHECK_STR(host_call(&h, "a", "X", NULL), "X 1");
  host_close(&h);
}

CHECK_CASE(a_pool_is_one_id_and_gets_an_event_once) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { pool = 3, subscriptions = { 'x', { 'y', all = true } }, on = { "
                        "E = function(_, m, ctx) print(ctx.id) ctx:sleep(1) end, Stop = function(_, _, ctx) ctx:stop() return 1 end } }"), ==, 0);
  for (int i = 0; i < 5; i++) host_publish(&h, "x/k", "E", NULL);
  host_settle(&h);
  CHECK_STR(h.printed, "a/k\na/k\na/k\n");
  host_run(&h, 0.5);
  host_run(&h, 3);
  CHECK_STR(h.printed, "a/k\na/k\na/k\na/k\na/k\n");
  CHECK_INT(agents(&h), ==, 3);
  host_publish(&h, "y/k", "E", NULL);
  host_run(&h, 3);
  CHECK_STR(h.printed, "a/k\na/k\na/k\na/k\na/k\na/k\n");
  for (int i = 2; i >= 0; i--) { /* the head leaves, and a member takes its place */
    CHECK_STR(host_call(&h, "a/k", "Stop", NULL), "Stop 1");
    host_settle(&h);
    CHECK_INT(agents(&h), ==, i);
  }
  CHECK_STR(host_call(&h, "a/k", "Stop", NULL), "Stop 1");
  host_close(&h);
}

CHECK_CASE(a_drain_closes_everyone_and_makes_nobody) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { " A ", { type = 'quiet', on = { X = function() return 1 end } }, { type = 'asks', state = {}, "
                        "close = function(_, ctx) print(select(2, ctx:pcall('quiet/new', 'X'))) end, on = { X = function() return 1 end } } }"), ==, 0);
  CHECK_STR(host_call(&h, "a", "Add", NULL), "Add 1");
  CHECK_STR(host_call(&h, "quiet", "X", NULL), "X 1");
  CHECK_STR(host_call(&h, "asks", "X", NULL), "X 1");
  tr_core_close_agents(h.core, h.now + TR_SECONDS(5));
  CHECK(!tr_core_closed(h.core));
  host_settle(&h);
  CHECK(!tr_core_closed(h.core));
  host_run(&h, 2);
  CHECK(tr_core_closed(h.core));
  CHECK_STR(h.printed, "unavailable: the runtime is stopping\nclosed drain 1\n");
  host_close(&h);
}

static void on_dropped(void *ud, const tr_agent *agent, size_t turns, size_t mail) {
  (void)mail;
  (void)agent;
  *(size_t *)ud += turns;
}

CHECK_CASE(what_a_drain_drops_is_counted_and_closed_once) {
  host h = { 0 };
  size_t dropped = 0;
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { { type = 'a', state = {}, close = function(_, ctx, why) print(why) ctx:sleep(100) end, on = { "
                        "Slow = function(_, _, ctx) ctx:stop() ctx:sleep(100) end } } }"), ==, 0);
  host_send(&h, "a", "Slow", NULL);
  host_settle(&h);
  tr_core_drop_turns(h.core, on_dropped, &dropped);
  CHECK_INT(dropped, ==, 1);
  tr_core_close_agents(h.core, h.now + TR_SECONDS(5));
  host_settle(&h);
  CHECK_STR(h.printed, "stop\n");
  CHECK(!tr_core_closed(h.core));
  tr_core_drop_turns(h.core, on_dropped, &dropped);
  CHECK_INT(dropped, ==, 2);
  CHECK(tr_core_closed(h.core));
  host_run(&h, 200);
  CHECK_STR(h.printed, "stop\n");
  CHECK_INT(agents(&h), ==, 0);
  host_close(&h);
}

static const char scenario[] =
  "return {\n"
  "  { type = 'a', idle = 1, state = { n = 0, list = {} }, init = function(self, ctx, restored) ctx:sleep(0.01) end,\n"
  "    save = function(self) return { n = self.n, list = self.list } end, restore = function(self, v) self.n = v.n self.list = v.list end,\n"
  "    close = function(_, ctx, why) ctx:send('b', 'X', { why = why }) ctx:sleep(0.1) end,\n"
  "    on = { Add = function(self, m) self.n = self.n + 1 self.list[#self.list + 1] = m return self.n end, Stop = function(_, _, ctx) ctx:stop() end } },\n"
  "  { type = 'b', failures = { limit = 2, action = 'restart' }, on = { X = function() error('x') end } },\n"
  "  { type = 'c', failures = { limit = 1, action = 'stop' }, on = { X = function() error('x') end } },\n"
  "  { type = 'p', pool = 2, on = { X = function(_, _, ctx) ctx:sleep(0.1) return 1 end } },\n"
  "}\n";

static void answered(const char *text) {
  if (strcmp(text, "no answer") == 0) CHECK_FAIL("no answer");
}

CHECK_CASE(out_of_memory_in_any_part_of_a_life) {
  CHECK_EACH_ALLOCATION_FAILS {
    host h = { 0 };
    if (host_try_open(&h)) continue;
    int rc = host_source(&h, "a.lua", scenario);
    if (rc && rc != TR_EMEMORY) CHECK_FAIL("load: %d %s", rc, h.error.text);
    answered(host_call(&h, "a", "Add", "{\"k\":[1,{\"l\":2.5}]}"));
    host_run(&h, 3);
    answered(host_call(&h, "a", "Add", "[1]"));
    answered(host_call(&h, "a", "Stop", NULL));
    for (int i = 0; i < 3; i++) answered(host_call(&h, "b", "X", NULL));
    for (int i = 0; i < 2; i++) answered(host_call(&h, "c", "X", NULL));
    for (int i = 0; i < 4; i++) host_send(&h, "p", "X", NULL);
    answered(host_call(&h, "p", "X", NULL));
    host_run(&h, 3);
    answered(host_call(&h, "a", "Add", "[1]"));
    tr_core_close_agents(h.core, h.now + TR_SECONDS(5));
    host_run(&h, 3);
    if (!rc) CHECK(tr_core_closed(h.core));
    host_close(&h);
  }
}
