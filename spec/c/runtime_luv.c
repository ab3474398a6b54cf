/* SPDX-License-Identifier: MIT
 * luv for scripts with the n-th allocation failing: in opening it, in making handles, and in their callbacks. A turn ends with its answer or
 * with an error, an error in a callback is told, handles are closed with their instance, and the next try goes well. */
#include <dirent.h>
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

static int open_files(void) {
  int n = 0;
  DIR *dir = opendir("/proc/self/fd");
  CHECK(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n;
}

typedef struct heard { int replies, status; char text[300]; } heard;

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  heard *h = ud;
  (void)type;
  (void)body;
  h->replies++;
  h->status = status;
  snprintf(h->text, sizeof h->text, "%s", status ? text : "");
}

static heard ask(const char *type) {
  heard h = { 0 };
  h.status = troupe_call(rt, "a", type, NULL, 0, on_reply, &h);
  if (h.status) return h;
  for (int i = 0; i < 200 && !h.replies; i++) kit_pass(rt, 0.5);
  CHECK_INT(h.replies, ==, 1);
  return h;
}

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
    heard h = ask("Open");
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
  heard h = ask("Pipe");
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
  int files = open_files();
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
  CHECK_INT(open_files(), ==, files);
  troupe_free(rt);
}
