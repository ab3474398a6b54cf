/* SPDX-License-Identifier: MIT
 * Schemas for what comes as JSON, and dead letters for C: of what others than agents sent. */
#include <stdlib.h>

#include "script_host.h"

static const char agents[] =
  "return {\n"
  "  { type = 'clerk', subscriptions = { 'jobs' }, messages = { Job = { n = 'integer', tags = { 'string' }, raw = 'bytes?' } },\n"
  "    on = { Job = function(_, m) print('job ' .. m.n) return { n = m.n } end } },\n"
  "  { type = 'desk', subscriptions = { 'troupe.dead_letter' }, on = {\n"
  "    DeadLetter = function(_, m) print(m.reason .. ' ' .. (m.agent or m.topic) .. ' ' .. m.type .. ' ' .. m.error) end } },\n"
  "}\n";

static void expect_printed(host *h, const char *text) {
  host_settle(h);
  host_run(h, 1);
  CHECK_STR(h->printed ? h->printed : "", text);
  free(h->printed);
  h->printed = NULL;
  h->printed_size = 0;
}

CHECK_CASE(schemas_check_what_comes_from_outside) {
  host h;
  memset(&h, 0, sizeof h);
  host_open(&h);
  CHECK_INT(host_source(&h, "agents.lua", agents), ==, 0);
  CHECK_STR(host_call(&h, "clerk", "Job", "{\"n\":1,\"tags\":[\"a\"],\"raw\":\"AAAA\"}"), "Job {\"n\":1}");
  CHECK_STR(host_call(&h, "clerk", "Job", "{\"n\":1,\"tags\":[\"a\",7]}"), "invalid: body.tags[2]: expected string, got integer");
  CHECK_STR(host_call(&h, "clerk", "Job", "{\"n\":null,\"tags\":[]}"), "invalid: body.n: missing (expected integer)");
  CHECK_STR(host_call(&h, "clerk", "Job", NULL), "invalid: body.n: missing (expected integer)");
  host_close(&h);
}

CHECK_CASE(bad_events_and_sends_are_dead_letters) {
  host h;
  memset(&h, 0, sizeof h);
  host_open(&h);
  CHECK_INT(host_source(&h, "agents.lua", agents), ==, 0);
  host_publish(&h, "jobs/x", "Job", "{\"n\":2,\"tags\":[]}");
  expect_printed(&h, "job 2\n");
  host_publish(&h, "jobs/x", "Job", "{\"n\":\"2\",\"tags\":[]}");
  expect_printed(&h, "invalid jobs/x Job body.n: expected integer, got string (refused by clerk/x)\n");
  host_send(&h, "clerk/y", "Job", "[]");
  expect_printed(&h, "invalid clerk/y Job body: expected map, got list (refused by clerk/y)\n");
  host_send(&h, "nobody", "Job", "{\"n\":");
  expect_printed(&h, "not_found nobody/default Job no agent type \"nobody\" here (2 types are known)\n");
  host_send(&h, "clerk/troupe.x", "Job", NULL);
  expect_printed(&h, "invalid clerk/troupe.x Job agent keys that begin with \"troupe.\" are reserved\n");
  CHECK_STR(host_call(&h, "clerk/troupe.x", "Job", NULL), "invalid: agent keys that begin with \"troupe.\" are reserved");
  host_close(&h);
}

/* Letters that wait when everything ends. */
CHECK_CASE(letters_that_wait_are_let_go_at_the_end) {
  host h;
  memset(&h, 0, sizeof h);
  host_open(&h);
  CHECK_INT(host_source(&h, "agents.lua", agents), ==, 0);
  for (int i = 0; i < 3000; i++) host_send(&h, "nobody", "Job", "{\"n\":1}");
  host_close(&h);
}
