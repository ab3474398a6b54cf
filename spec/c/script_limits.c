/* SPDX-License-Identifier: MIT
 * Running time of turns: its limit, what cannot buy it back, what is not in it, and what the log says of turns that go on and on. The
 * other limits are in spec/script/cases/limits*.lua. */
#include <stdio.h>

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
  "    Wait = function(_, _, ctx) for _ = 1, 100 do ctx:sleep(60) end return 'waited' end,\n"
  "    Fine = function() for _ = 1, 20000 do end return 'fine' end } },\n"
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

CHECK_CASE(waiting_is_no_running_time) {
  host h = { .clock_step = 1000 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  host_send(&h, "a", "Wait", NULL);
  host_run(&h, 7000);
  CHECK(!host_logged(&h, "handler.failed"));
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
