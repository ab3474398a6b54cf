/* SPDX-License-Identifier: MIT
 * What agents print and log: so long a line, so many lines in a second; and that a program is not held to the number. */
#include <stdlib.h>

#include "script_host.h"

static size_t lines_of(const char *text) {
  size_t n = 0;
  for (; text && (text = strchr(text, '\n')); text++) n++;
  return n;
}

static const char agents[] =
  "return { type = 'a', on = {\n"
  "  Print = function(_, m) for i = 1, m.n do print(i) end end,\n"
  "  Log = function(_, m, ctx) for i = 1, m.n do ctx:log('info', 'line') end end,\n"
  "  Warn = function(_, m) for i = 1, m.n do warn('line') end end,\n"
  "  Long = function(_, m) print(('x'):rep(m.n)) end } }\n";

CHECK_CASE(lines_of_an_agent_are_so_many_in_a_second) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  host_call(&h, "a/1", "Print", "{\"n\":10005}");
  CHECK_INT(lines_of(h.printed), ==, 10000);
  CHECK_INT(host_log_count(&h, "warn agent.output agent=a/1 lines=10000 in a second; the rest of them is left out"), ==, 1);
  host_call(&h, "a/2", "Print", "{\"n\":1}"); /* each agent has its own */
  host_call(&h, "a/1", "Print", "{\"n\":1}");
  CHECK_INT(lines_of(h.printed), ==, 10001);
  h.now += TR_SECONDS(1);
  host_call(&h, "a/1", "Print", "{\"n\":1}");
  CHECK_INT(lines_of(h.printed), ==, 10002);
  CHECK(host_logged(&h, "warn agent.output agent=a/1 left_out=6"));
  host_close(&h);
}

CHECK_CASE(logged_lines_count_among_them) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  host_call(&h, "a/1", "Log", "{\"n\":9000}");
  host_call(&h, "a/1", "Warn", "{\"n\":2000}");
  CHECK_INT(host_log_count(&h, "info agent.log agent=a/1"), ==, 9000);
  CHECK_INT(host_log_count(&h, "warn script.warn"), ==, 1000);
  host_close(&h);
}

CHECK_CASE(long_lines_are_cut) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "a.lua", agents), ==, 0);
  host_call(&h, "a/1", "Long", "{\"n\":65536}");
  CHECK_INT(strlen(h.printed), ==, 65537);
  host_call(&h, "a/2", "Long", "{\"n\":100000}");
  CHECK_INT(strlen(h.printed), ==, 2 * 65537 + strlen("… (100000 bytes)"));
  CHECK(strstr(h.printed, "x… (100000 bytes)\n"));
  host_close(&h);
}

CHECK_CASE(programs_print_as_much_as_they_like) {
  host h = { 0 };
  host_open(&h);
  CHECK_INT(host_source(&h, "p.lua", "return function() for i = 1, 20000 do print(i) end return 0 end"), ==, 0);
  host_run(&h, 10);
  CHECK_INT(lines_of(h.printed), ==, 20000);
  host_close(&h);
}
