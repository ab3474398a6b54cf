/* SPDX-License-Identifier: MIT
 * Running time of turns: its limit, what cannot buy it back, what is not in it, and what the log says of turns that go on and on. The
 * other limits are in spec/script/cases/limits*.lua. */
#include <stdio.h>
#include <stdlib.h>

#include "script_host.h"

static const char agents[] =
  "local function forever() while true do end end\n"
  "return {\n"
  "  { type = 'a', limits = { turn_ms = 50, instructions = 1e15 }, on = {\n"
  "    Loop = function() while true do end end,\n"
  "    Pcall = function() while true do pcall(forever) end end,\n"
  "    Xpcall = function() while true do xpcall(forever, forever) end end,\n"
  "    Coroutine = function() while true do pcall(coroutine.wrap(function() pcall(forever) end)) end end,\n"
  "    Close = function() local c <close> = setmetatable({}, { __close = forever }) while c do end end,\n"
  "    Sort = function() local t = {} for i = 1, 100 do t[i] = i end table.sort(t, forever) end,\n"
  "    Wait = function(_, _, ctx) for _ = 1, 30 do ctx:sleep(60) end return 'waited' end,\n"
  "    Fine = function() for _ = 1, 100 do end return 'fine' end } },\n"
  "  { type = 'slow', limits = { turn_ms = 20000, instructions = 1e15 }, on = {\n"
  "    Loop = function() local function inner() while true do end end inner() end } },\n"
  "}\n";

CHECK_CASE(running_time_has_a_limit_that_nothing_buys_back) {
  static const struct { const char *type; int line; } cases[] = {
    { "Loop", 4 }, { "Pcall", 1 }, { "Xpcall", 1 }, { "Coroutine", 1 }, { "Close", 8 }, { "Sort", 1 },
  };
  host h = { .clock_step = 1000 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char expected[200];
    snprintf(expected, sizeof expected,
             "limit_exceeded: a/default, %s: a.lua:%d: more than 50 ms of running time in one turn (limits.turn_ms)", cases[i].type,
             cases[i].line);
    CHECK_STR(host_call(&h, "a", cases[i].type, NULL), expected);
    CHECK_STR(host_call(&h, "a", "Fine", NULL), "Fine \"fine\"");
  }
  host_close(&h);
}

/* Each slice is shorter than what the hook sees. The first 32 are not timed; then one of eight is, two of which are enough to see that all
 * must be. */
CHECK_CASE(running_time_between_waits_counts) {
  host h = { .clock_step = 1000 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { limits = { turn_ms = 50 }, state = { n = 0 }, on = {\n"
                        "  Often = function(self, _, ctx) while true do ctx:sleep(0) self.n = self.n + 1 end end,\n"
                        "  Inner = function(self, _, ctx) coroutine.wrap(function() while true do pcall(ctx.sleep, ctx, 0) self.n = self.n + 1 end end)() end,\n"
                        "  Take = function(self) local n = self.n self.n = 0 return n end } }"), ==, 0);
  for (int i = 0; i < 2; i++) {
    const char *text = host_call(&h, "a", i ? "Inner" : "Often", NULL);
    if (!strstr(text, "more than 50 ms of running time in one turn (limits.turn_ms)")) CHECK_FAIL("%s", text);
    text = host_call(&h, "a", "Take", NULL);
    CHECK_INT(atoi(text + 5), >, 32);
    CHECK_INT(atoi(text + 5), <=, 32 + 2 * 8 + 51);
  }
  host_close(&h);
}

CHECK_CASE(limits_that_are_not_named_keep_their_defaults) {
  host h = { .clock_step = TR_MILLISECONDS(20) };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "return { limits = { timers = 1 }, on = { Loop = function() while true do end end, T = function(_, _, ctx) ctx:after(1, 'X') ctx:after(1, 'X') end } }"), ==, 0);
  CHECK(strstr(host_call(&h, "a", "Loop", NULL), "more than 5000 ms of running time"));
  CHECK(strstr(host_call(&h, "a", "T", NULL), "more than 1 timers at a time (limits.timers)"));
  host_close(&h);
}

CHECK_CASE(waiting_is_no_running_time) {
  host h = { .clock_step = 1000 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  host_send(&h, "a", "Wait", NULL);
  host_run(&h, 7000);
  CHECK(!host_logged(&h, "handler.failed"));
  host_close(&h);
}

/* Instructions between two looks at the clock: a few from the beginning, and in its coroutines, too. */
CHECK_CASE(who_has_large_strings_is_looked_at_often) {
#ifdef TR_HOSTILE
  CHECK_SKIP("everybody is looked at so often here");
#endif
  host h = { .clock_step = TR_MILLISECONDS(20) };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "return { state = { n = 0 }, limits = { turn_ms = 1000, memory = '64M' }, on = {\n"
                        "  Large = function(self) self.large = ('x'):rep(2 << 20) end,\n"
                        "  Small = function(self) self.large = nil for i = 1, 30 do local _ = ('y'):rep(15000 + i) end end,\n"
                        "  Loop = function(self) self.n = 0 local s, t = self, self.large while true do s.n = s.n + 1 if s.large ~= t then return end end end,\n"
                        "  In = function(self) coroutine.wrap(function() self.n = 0 while true do self.n = self.n + 1 end end)() end,\n"
                        "  N = function(self) return self.n end } }"), ==, 0);
  host_call(&h, "a", "Loop", NULL);
  int light = atoi(host_call(&h, "a", "N", NULL) + 2);
  host_call(&h, "a", "Large", NULL);
  host_call(&h, "a", "Loop", NULL);
  int first = atoi(host_call(&h, "a", "N", NULL) + 2);
  host_call(&h, "a", "Loop", NULL);
  int next = atoi(host_call(&h, "a", "N", NULL) + 2);
  host_call(&h, "a", "In", NULL);
  int inner = atoi(host_call(&h, "a", "N", NULL) + 2);
  for (int i = 0; i < 60; i++) host_call(&h, "a", "Small", NULL); /* until it was collected */
  host_call(&h, "a", "Loop", NULL);
  int again = atoi(host_call(&h, "a", "N", NULL) + 2);
  if (!(first * 100 < light && next <= first && next > 10 && inner < 2 * next && again > 20 * next)) CHECK_FAIL("%d, %d, %d, %d, %d", light, first, next, inner, again);
  host_close(&h);
}

CHECK_CASE(a_turn_that_goes_on_is_told_of_less_and_less_often) {
  host h = { .clock_step = TR_MILLISECONDS(10) };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  CHECK(strstr(host_call(&h, "slow", "Loop", NULL), "more than 20000 ms"));
  CHECK_INT(host_log_count(&h, "warn turn.stuck agent=slow/default type=Loop ms="), ==, 5); /* 1, 2, 4, 8, 16 s */
  CHECK(host_logged(&h, "ms=1000 at=a.lua:13 traceback=\"inner (a.lua:13) < Lua (a.lua:13)\""));
  host_close(&h);
}

CHECK_CASE(failures_of_one_place_are_told_less_and_less_often) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua",
                        "local function make(type) return { type = type, on = {\n"
                        "  X = function(_, m) error('number ' .. m.n) end,\n"
                        "  Y = function() error({ code = 'not_found', message = 'y' }) end, Z = function(_, m) local f f = function() return m.n.x.x end return f() end,\n"
                        "  R = function() return print end } } end\n"
                        "return { make 'a', make 'b' }"), ==, 0);
  for (int i = 0; i < 100; i++) {
    char body[20];
    snprintf(body, sizeof body, "{\"n\":%d}", i);
    host_call(&h, i % 2 ? "a/1" : "a/2", "X", body);
  }
  CHECK_INT(host_log_count(&h, "handler.failed agent=a/"), ==, 7); /* the 1st, 2nd, 4th, … 64th */
  CHECK(host_logged(&h, "handler.failed agent=a/2 type=X error=\"handler_error: a.lua:2: number 0\" traceback=\"[C]: in function 'error' | a.lua:2: in function <a.lua:2>\"\n"));
  CHECK(host_logged(&h, "handler.failed agent=a/1 type=X error=\"handler_error: a.lua:2: number 63\" traceback=\"[C]: in function 'error' | a.lua:2: in function <a.lua:2>\" count=64\n"));
  host_call(&h, "a", "Y", "{}"); /* another place, */
  host_call(&h, "a", "Z", "{\"n\":1}");
  host_call(&h, "b", "X", "{\"n\":1}"); /* another type */
  CHECK_INT(host_log_count(&h, "handler.failed"), ==, 10);
  for (int i = 0; i < 8; i++) host_call(&h, "a", "R", "{}");
  CHECK_INT(host_log_count(&h, "reply.failed agent=a/default type=R error=\"invalid: reply: a body cannot hold a function\""), ==, 4);
  host_close(&h);
}

/* More kinds than are remembered: then some are told again, but none never. */
CHECK_CASE(failures_of_a_new_kind_are_always_told) {
  enum { TYPES = 1100 };
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", "local list = {} for i = 1, 1100 do list[i] = { type = 'a' .. i, on = { X = function() error 'x' end } } end return list"), ==, 0);
  for (int i = 1; i <= TYPES; i++) {
    char id[20], line[60];
    snprintf(id, sizeof id, "a%d", i);
    snprintf(line, sizeof line, "handler.failed agent=a%d/default type=X", i);
    host_call(&h, id, "X", NULL);
    CHECK(host_logged(&h, line));
  }
  host_close(&h);
}
