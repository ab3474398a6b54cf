/* SPDX-License-Identifier: MIT
 * What scripts reach outside, with the n-th allocation failing: files, the environment, programs. A turn ends with its answer or with an error,
 * nothing is left open or running, and the next one goes well. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "runtime_kit.h"

static const char agents[] =
  "return { type = 'a', on = {\n"
  "  Files = function(_, m) local fs, at = troupe.fs, m.at .. '/x y'\n"
  "    fs.write(at, ('text'):rep(5000)) assert(fs.stat(at).size == 20000) return { #fs.read(at), #fs.list(m.at), troupe.env('PATH') ~= nil } end,\n"
  "  Run = function() local r = troupe.exec{ '/bin/sh', '-c', 'cat; echo err >&2; exit 3', stdin = ('x'):rep(40000) }\n"
  "    return { #r.out, #r.err, r.status } end,\n"
  "  Log = function(_, m, ctx) print(('l'):rep(70000)) ctx:log('info', ('l'):rep(70000)) warn('w') return 'said' end } }";

static troupe_t *start(const char *folder) {
  char right[240];
  kit_clock = 1;
  troupe_t *rt = kit_open(agents);
  tr_runtime_stand_still(rt);
  for (int i = 0; i < 2; i++) {
    snprintf(right, sizeof right, "fs.%s=%s", i ? "read" : "write", folder);
    CHECK_INT(tr_runtime_allow(rt, right), ==, 0);
  }
  CHECK_INT(tr_runtime_allow_all(rt, "exec=/bin/sh env=PATH"), ==, 0);
  return rt;
}

static void ask(troupe_t *rt, const char *type, const char *folder, kit_heard *h) {
  *h = kit_ask(rt, "a", type, troupe_pack(rt, "{s:s}", "at", folder));
}

static void fail_each(const char *type, const char *expected) {
  char folder[200];
  snprintf(folder, sizeof folder, "%s", kit_path());
  *strrchr(folder, '/') = 0;
  troupe_t *rt = start(folder);
  kit_heard h;
  ask(rt, type, folder, &h);
  CHECK_STR(h.text, expected);
  int files = kit_open_files(), failed = 0;
  for (size_t n = 1;; n++) {
    check_mem_fail_at(n);
    ask(rt, type, folder, &h);
    bool refused = check_mem_refused();
    check_mem_fail_at(0);
    kit_log[0] = 0;
    failed += h.status != 0;
    if (!refused) break;
    if (h.replies && h.status && h.status != TROUPE_EMEMORY && h.status != TROUPE_ETIMEOUT) CHECK_FAIL("allocation %zu: %d %s", n, h.status, h.text);
  }
  CHECK_STR(h.text, expected);
  CHECK_INT(failed, >, 0);
  CHECK_INT(kit_open_files(), ==, files);
  troupe_free(rt);
}

CHECK_CASE(files_without_memory) { fail_each("Files", "[20000,1,true]"); }
CHECK_CASE(programs_without_memory) { fail_each("Run", "[40000,4,3]"); }
CHECK_CASE(output_without_memory) { fail_each("Log", "\"said\""); }
