/* SPDX-License-Identifier: MIT
 * luv for scripts with the n-th allocation failing: in opening it, in making handles, and in their callbacks. A turn ends with its answer or
 * with an error, an error in a callback is told, handles are closed with their instance, and the next try goes well. */
#include <stdio.h>

#include "runtime/runtime.h"
#include "runtime_kit.h"

static const char agents[] =
  "return { type = 'a', on = {\n"
  "  Open = function() return #require('luv').version_string() > 0 end,\n"
  "  Pipe = function(self, m, ctx)\n"
  "    local uv, done = require 'luv', ctx:callback 'Done'\n"
  "    local fds = uv.pipe({ nonblock = true }, { nonblock = true })\n"
  "    local a, b, text = uv.new_pipe(), uv.new_pipe(), ''\n"
  "    self._a, self._b = a, b\n"
  "    a:open(fds.read) b:open(fds.write)\n"
  "    local t = uv.new_timer()\n"
  "    t:start(0, 0, function() t:close() b:write(('x'):rep(20000), function() b:close() end) end)\n"
  "    a:read_start(function(err, data) if data then text = text .. data else a:close() done { n = #text } end end)\n"
  "  end,\n"
  "  Done = function(self, m) print('done ' .. m.n) end,\n"
  "  Leave = function(self, m, ctx) ctx:stop() end } }";

static troupe_t *rt;

static kit_heard ask(const char *type) { return kit_ask(rt, "a", type, NULL); }

static troupe_t *start(void) {
  kit_clock = 1;
  kit_log[0] = 0;
  rt = kit_open(agents);
  if (rt) CHECK_INT(tr_runtime_allow(rt, "luv"), ==, 0);
  return rt;
}

CHECK_CASE(luv_is_opened_without_memory) {
  int failed = 0;
  for (size_t n = 1;; n++) {
    start();
    check_mem_fail_at(n);
    kit_heard h = ask("Open");
    bool refused = check_mem_refused();
    check_mem_fail_at(0);
    failed += h.status != 0;
    if (h.status && h.status != TROUPE_EMEMORY) CHECK_FAIL("allocation %zu: %d %s", n, h.status, h.text);
    h = ask("Open");
    if (h.status) CHECK_FAIL("after allocation %zu: %d %s", n, h.status, h.text);
    troupe_free(rt);
    if (!refused) break;
  }
  CHECK_INT(failed, >, 0);
}

static bool flows(void) {
  kit_heard h = ask("Pipe");
  if (h.status && h.status != TROUPE_EMEMORY) CHECK_FAIL("%d %s", h.status, h.text);
  for (int i = 0; i < 20; i++) kit_pass(rt, 0.001);
  return strstr(kit_printed(), "done 20000") != NULL;
}

CHECK_CASE(handles_and_callbacks_of_luv_without_memory) {
  int failed = 0;
  start();
  CHECK(flows());
  CHECK_INT(ask("Leave").status, ==, 0);
  kit_pass(rt, 1);
  int files = kit_open_files();
  for (size_t n = 1;; n++) {
    kit_log[0] = 0;
    check_mem_fail_at(n);
    bool good = flows(), refused = check_mem_refused();
    check_mem_fail_at(0);
    failed += !good;
    if (!good && !refused) CHECK_FAIL("allocation %zu: %s", n, kit_log);
    CHECK(flows());
    CHECK_INT(ask("Leave").status, ==, 0);
    kit_pass(rt, 1);
    if (!refused) break;
  }
  CHECK_INT(failed, >, 0);
  CHECK_INT(kit_open_files(), ==, files);
  troupe_free(rt);
}
