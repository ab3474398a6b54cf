/* SPDX-License-Identifier: MIT
 * States over isolates: what is saved while messages and calls go to and fro between them is one moment of all of them, and is restored
 * into any number of threads. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "runtime/isolate.h"

#define AGENTS 30
#define HOPS 60

/* Each message goes on HOPS times, to agents of all isolates; every third hop asks one first. What was handled is counted. */
static const char source[] =
    "local a = { type = 'a', state = { n = 0 }, mailbox = { limit = 40 }, on = {\n"
    "  Hop = function(self, m, ctx)\n"
    "    self.n = self.n + 1\n"
    "    if m.left % 3 == 0 then assert(ctx:call('b/' .. m.left % 7, 'Ask').ok) end\n"
    "    if m.left > 0 then ctx:send('a/' .. (m.at * 7 + m.left) % 30, 'Hop', { left = m.left - 1, at = m.at + 1 }) end\n"
    "    if m.left % 5 == 0 then pcall(ctx.subscribe, ctx, 't' .. m.at % 3) end\n"
    "  end,\n"
    "  Count = function(self) return { n = self.n } end } }\n"
    "local b = { type = 'b', mailbox = { limit = 1000 }, reentrant = true, on = { Ask = function(_, _, ctx) ctx:sleep(0) return { ok = true } end } }\n"
    "return { a, b }";

static troupe_t *make(unsigned threads) {
  troupe_t *rt;
  troupe_options_t options = { .size = sizeof options, .seed = 1, .threads = threads };
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  CHECK_INT(troupe_load(rt, "a.lua", source, 0), ==, 0);
  return rt;
}

static void on_count(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  int64_t n = 0;
  (void)type;
  if (status) CHECK_FAIL("%s", text);
  CHECK(troupe_value_integer(troupe_value_get(body, "n"), &n));
  *(int64_t *)ud += n;
}

/* From outside a full link is `overloaded` at once: work, and try again. */
static int refused;
#define UNTIL_TAKEN(rt, call)                                                       \
  do {                                                                              \
    int rc_ = (call);                                                               \
    if (rc_ == 0) break;                                                            \
    if (rc_ != TROUPE_EOVERLOADED) CHECK_FAIL("%d: %s", rc_, troupe_error(rt));     \
    refused++;                                                                      \
    CHECK_INT(troupe_poll(rt, 500), >=, 0);                                         \
  } while (true)

static int64_t total(troupe_t *rt) {
  int64_t sum = 0;
  char id[16];
  for (int i = 0; i < AGENTS; i++) {
    snprintf(id, sizeof id, "a/%d", i);
    UNTIL_TAKEN(rt, troupe_call(rt, id, "Count", NULL, 0, on_count, &sum));
    CHECK_INT(troupe_run_until_idle(rt, TR_SECONDS(20)), ==, 0);
  }
  return sum;
}

static void begin(troupe_t *rt) {
  char id[16];
  for (int i = 0; i < AGENTS; i++) {
    snprintf(id, sizeof id, "a/%d", i);
    UNTIL_TAKEN(rt, troupe_send(rt, id, "Hop", troupe_pack(rt, "{s:i,s:i}", "left", HOPS - 1, "at", i)));
  }
}

static void save_and_go_on(unsigned before, unsigned after) {
  troupe_t *rt = make(before), *next = make(after);
  char *bytes = NULL;
  size_t length = 0;
  begin(rt);
  for (int i = 0; i < 3; i++) CHECK_INT(troupe_poll(rt, 500), >=, 0);
  int rc = troupe_save_bytes(rt, &bytes, &length, NULL);
  if (rc) CHECK_FAIL("%d: %s", rc, troupe_error(rt));
  rc = troupe_restore_bytes(next, bytes, length, NULL);
  if (rc) CHECK_FAIL("%d: %s", rc, troupe_error(next));
  CHECK_INT(troupe_run_until_idle(next, TR_SECONDS(20)), ==, 0);
  CHECK_INT(total(next), ==, AGENTS * HOPS); /* none lost, none twice */
  CHECK_INT(troupe_run_until_idle(rt, TR_SECONDS(20)), ==, 0);
  CHECK_INT(total(rt), ==, AGENTS * HOPS); /* and the one that was saved goes on too */
  troupe_free_text(rt, bytes, length);
  troupe_free(rt);
  troupe_free(next);
}

CHECK_CASE(threads_save_one_moment_and_any_number_restores_it) {
  static const unsigned counts[][2] = { { 1, 4 }, { 4, 4 }, { 4, 1 }, { 2, 3 }, { 4, 2 } };
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) save_and_go_on(counts[i][0], counts[i][1]);
}

static void count_agent(void *ud, const troupe_agent_t *agent) {
  CHECK(strcmp(agent->type, "a") == 0 || strcmp(agent->type, "b") == 0);
  ++*(int *)ud;
}

CHECK_CASE(threads_agents_and_statistics_are_of_all_of_them) {
  troupe_t *rt = make(4);
  troupe_stats_t stats = { .size = sizeof stats };
  int seen = 0;
  begin(rt);
  CHECK_INT(troupe_run_until_idle(rt, TR_SECONDS(20)), ==, 0);
  CHECK_INT(troupe_agents(rt, count_agent, &seen), ==, AGENTS + 7);
  CHECK_INT(seen, ==, AGENTS + 7);
  troupe_get_stats(rt, &stats);
  CHECK_INT(stats.agents, ==, AGENTS + 7);
  CHECK_INT(stats.queued, ==, 0);
  CHECK_INT(stats.sends - refused, ==, AGENTS * HOPS); /* one that crosses is one */
  CHECK_INT(stats.requests, ==, AGENTS * HOPS / 3);
  troupe_free(rt);
}

/* One thread at a time: nothing has been started, so all isolates are worked on from this one. */
static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  tr_mem *mem = check_mem();
  (void)ud;
  if (new_size == 0) {
    tr_free(mem, ptr, old_size);
    return NULL;
  }
  return tr_realloc(mem, ptr, old_size, new_size);
}

CHECK_CASE(states_over_isolates_are_restored_and_saved_or_said_not_to_be) {
  char *bytes = NULL;
  size_t length = 0;
  troupe_t *rt = make(3);
  begin(rt);
  CHECK_INT(troupe_run_until_idle(rt, TR_SECONDS(20)), ==, 0);
  CHECK_INT(troupe_save_bytes(rt, &bytes, &length, NULL), ==, 0);
  troupe_options_t options = { .size = sizeof options, .seed = 1, .allocate = allocate, .threads = 3 };
  CHECK_EACH_ALLOCATION_FAILS {
    troupe_t *next;
    char *again = NULL;
    size_t n = 0;
    if (troupe_new(&next, &options)) continue;
    int rc = troupe_load(next, "a.lua", source, 0);
    if (!rc) rc = troupe_restore_bytes(next, bytes, length, NULL);
    bool whole = rc == 0;
    if (!rc) rc = troupe_save_bytes(next, &again, &n, NULL);
    if (whole && rc == 0 && n != length) CHECK_FAIL("refused %d: %zu against %zu", check_mem_refused(), n, length);
    if (rc < 0) CHECK_INT(rc, ==, TROUPE_EMEMORY);
    troupe_free_text(next, again, n);
    troupe_free(next);
  }
  troupe_free_text(rt, bytes, length);
  troupe_free(rt);
}
