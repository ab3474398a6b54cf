/* SPDX-License-Identifier: MIT
 * What a saved runtime has in it, and what a save waits for: mail, timers, subscriptions, turns that are begun again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/state.h"
#include "runtime_kit.h"

static troupe_t *moved(troupe_t *rt, const char *source) { /* through a file, to a new runtime */
  int rc = troupe_save(rt, kit_path());
  if (rc) CHECK_FAIL("%d %s\n%s", rc, troupe_error(rt), kit_log);
  troupe_free(rt);
  kit_printed();
  rt = kit_open(source);
  rc = troupe_restore(rt, kit_path());
  if (rc) CHECK_FAIL("%d %s\n%s", rc, troupe_error(rt), kit_log);
  return rt;
}

/* ---- mail ---- */

#define TALKER                                                                                                        \
  "local function show(_, m, ctx) print(ctx.type, ctx.sender or '-', ctx.topic or '-', ctx.is_request and 'asks' or '-', "\
  "ctx.metadata.colour or '-', ctx.trace or '-', ctx.message_id, ctx.deadline and 'ends' or '-', type(m) == 'table' and m.n or '-') end\n"      \
  "return { { type = 'b', mailbox = { limit = 100 }, priority = { Urgent = 'high' }, subscriptions = { 'news' }, on = { ['*'] = show } },\n"        \
  "{ type = 'a', on = { Go = function(_, m, ctx)\n"                                                                      \
  "ctx:send('b/1', 'Late', { n = 1 }, { priority = 'low', id = 'i1' })\n"                                                \
  "ctx:send('b/1', 'Plain', { n = 2 }, { metadata = { colour = 'red', traceparent = 'tp' }, id = 'i2' })\n"              \
  "ctx:publish('news/1', 'Event', { n = 3 }, { id = 'i3' })\n"                                                           \
  "ctx:async('b/1', 'Ask', { n = 4 }, { timeout = 10, id = 'i4' })\n"                                                    \
  "ctx:async('b/1', 'Short', { n = 5 }, { timeout = 1, id = 'i5' })\n"                                                   \
  "ctx:send('b/1', 'Urgent', troupe.bytes('xyz'), { id = 'i6' })\n"                                                      \
  "ctx:send('b/1', 'Null', troupe.null, { id = 'i7' })\n"                                                                \
  "end } } }"

CHECK_CASE(saved_mail_is_whole) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(TALKER);
  CHECK_INT(troupe_send(rt, "a/x", "Go", NULL), ==, 0);
  CHECK_INT(tr_script_step(tr_runtime_script(rt), kit_clock, 1), ==, 1); /* only a's turn */
  kit_clock += 2000000; /* the short one's time is up; the moved one does not know it yet */
  rt = moved(rt, TALKER);
  kit_work(rt);
  CHECK_STR(kit_printed(),
            "Urgent\ta/x\t-\t-\t-\t-\ti6\t-\t- Plain\ta/x\t-\t-\tred\ttp\ti2\t-\t2 Event\ta/x\tnews/1\t-\t-\t-\ti3\t-\t3 "
            "Ask\ta/x\t-\tasks\t-\t-\ti4\tends\t4 Null\ta/x\t-\t-\t-\t-\ti7\t-\t- Late\ta/x\t-\t-\t-\t-\ti1\t-\t1");
  troupe_free(rt);
}

/* ---- timers ---- */

#define CLOCKS                                                                                                        \
  "return { type = 'c', mailbox = { limit = 100 }, timers = { Tick = 5 }, state = {}, on = {\n"                                                     \
  "Tick = function() print('tick') end, Once = function(_, m) print('once ' .. m.n) end,\n"                              \
  "Often = function() print('often') end, Start = function(self, _, ctx)\n"                                              \
  "self.first = ctx:after(10, 'Once', { n = 1 }) self.second = ctx:after(20, 'Once', { n = 2 })\n"                       \
  "self.often = ctx:every(4, 'Often') end,\n"                                                                            \
  "Cancel = function(self, _, ctx) print(ctx:cancel(self.second), ctx:cancel(self.often), ctx:cancel(self.first)) end } }"

CHECK_CASE(saved_timers_go_on_with_the_time_that_was_left) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(CLOCKS);
  troupe_send(rt, "c/1", "Start", NULL);
  kit_work(rt);
  kit_pass(rt, 3);
  CHECK_STR(kit_printed(), "");
  rt = moved(rt, CLOCKS);
  tr_core_stats stats;
  kit_work(rt);
  tr_core_get_stats(tr_runtime_core(rt), &stats);
  CHECK_INT(stats.agents, ==, 0); /* nobody is in memory before the first is due */
  kit_pass(rt, 1);
  CHECK_STR(kit_printed(), "often");
  kit_pass(rt, 1);
  CHECK_STR(kit_printed(), "tick");
  rt = moved(rt, CLOCKS);
  rt = moved(rt, CLOCKS); /* and once more, without having been used */
  kit_pass(rt, 5);
  CHECK_STR(kit_printed(), "often tick once 1");
  troupe_send(rt, "c/1", "Cancel", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "true\ttrue\tfalse"); /* the ids that its state has are still theirs */
  kit_pass(rt, 100);
  CHECK_STR(kit_printed(), "tick");
  troupe_free(rt);
}

static int64_t wall;
static int64_t wall_us(void) { return wall; }

CHECK_CASE(saved_timers_that_are_overdue_come_once) {
  kit_clock = 0; /* the system's: the time in between counts */
  wall = 5000000000;
  troupe_t *rt = kit_open(CLOCKS);
  rt->wall_us = wall_us;
  troupe_send(rt, "c/1", "Start", NULL);
  kit_work(rt);
  CHECK_INT(troupe_save(rt, kit_path()), ==, 0);
  troupe_free(rt);
  kit_printed();
  wall += 13000000;
  rt = kit_open(CLOCKS);
  rt->wall_us = wall_us;
  CHECK_INT(troupe_restore(rt, kit_path()), ==, 0);
  tr_time begin = tr_runtime_now(rt);
  while (tr_runtime_now(rt) < begin + TR_MILLISECONDS(20)) kit_work(rt); /* past their millisecond, and far from the next */
  const char *out = kit_printed();
  CHECK(strstr(out, "once 1") && strstr(out, "tick") && strstr(out, "often"));
  CHECK_INT(strlen(out), ==, strlen("once 1 tick often")); /* each once */
  wall -= 100000000; /* a time of day that goes back does not turn timers back */
  CHECK_INT(troupe_restore(rt, kit_path()), ==, 0);
  CHECK_INT(troupe_run_until_idle(rt, 1000000), ==, 0);
  CHECK_STR(kit_printed(), "");
  troupe_free(rt);
}

/* ---- subscriptions ---- */

#define READER                                                                                                        \
  "return { type = 'r', state = {}, on = {\n"                                                                            \
  "On = function(self, _, ctx) self.id = ctx:subscribe{ 'news', key = 'main' } ctx:subscribe{ prefix = 'home.' }\n"      \
  "ctx:subscribe{ match = function() return false end } end,\n"                                                          \
  "Off = function(self, _, ctx) ctx:unsubscribe(self.id) print(#ctx:subscriptions()) end,\n"                             \
  "['*'] = function(_, m, ctx) print(ctx.id, ctx.type) end } }"

CHECK_CASE(saved_subscriptions_are_there_again) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(READER);
  troupe_send(rt, "r/main", "On", NULL);
  kit_work(rt);
  rt = moved(rt, READER);
  CHECK(strstr(kit_log, "save.subscription agent_type=r: one with a function is not saved"));
  troupe_publish(rt, "news/x", "News", NULL);
  troupe_publish(rt, "home.kitchen/k", "Event", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "r/main\tNews r/k\tEvent");
  CHECK_INT(troupe_restore(rt, kit_path()), ==, 0); /* they are there already */
  troupe_send(rt, "r/main", "Off", NULL);
  kit_work(rt);
  troupe_publish(rt, "news/x", "News", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "1");
  troupe_free(rt);
}

/* ---- what is waited for ---- */

#define BUSY                                                                                                          \
  "local function other(ctx) return ctx.key == '1' and 'p/2' or 'p/1' end\n"                                             \
  "return { { type = 'p', mailbox = { limit = 100 }, state = { n = 0 }, on = {\n"                                                                   \
  "Ball = function(self, m, ctx) self.n = self.n + 1 local got = ctx:call('q', 'Echo', { n = self.n })\n"                \
  "ctx:send(other(ctx), 'Ball', {}) end, Count = function(self) print(self.n) end } },\n"                                \
  "{ type = 'q', on = { Echo = function(_, m) return m end } } }"

CHECK_CASE(saving_finds_a_moment_among_agents_that_never_rest) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(BUSY);
  for (int i = 0; i < 5; i++) troupe_send(rt, "p/1", "Ball", NULL);
  for (int i = 0; i < 50; i++) tr_script_step(tr_runtime_script(rt), kit_clock, 1);
  CHECK_INT(troupe_save(rt, kit_path()), ==, 0);
  tr_core_stats stats;
  tr_core_get_stats(tr_runtime_core(rt), &stats);
  CHECK_INT(stats.queued, ==, 5); /* no ball is in a hand */
  CHECK_INT(tr_script_step(tr_runtime_script(rt), kit_clock, 100), ==, 1); /* and they play on */
  tr_core_get_stats(tr_runtime_core(rt), &stats);
  CHECK_INT(stats.dead_letters, ==, 0);
  troupe_free(rt);
}

#define WORKER(more)                                                                                                  \
  "return { { type = 'w', timeout = false, " more " state = { n = 0 }, on = {\n"                                                          \
  "Job = function(self, m, ctx) self.n = self.n + 1 print('job ' .. self.n) ctx:send('seen', 'Note', {})\n"              \
  "ctx:call('s', 'Wait', { s = m.s }) print('done ' .. self.n) end,\n"                                                   \
  "Count = function(self) print('count ' .. self.n) end } },\n"                                                          \
  "{ type = 's', requeue = true, on = { Wait = function(_, m, ctx) ctx:sleep(m.s or 0) end } },\n"                       \
  "{ type = 'seen', state = { n = 0 }, on = { Note = function(self) self.n = self.n + 1 print('note ' .. self.n) end } } }"

CHECK_CASE(saving_does_not_wait_for_turns_that_can_be_begun_again) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(WORKER("requeue = true,"));
  troupe_send(rt, "w/1", "Job", troupe_pack(rt, "{s:i}", "s", 60));
  troupe_send(rt, "w/1", "Count", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "job 1 note 1");
  rt = moved(rt, WORKER("requeue = true,"));
  kit_work(rt);
  CHECK_STR(kit_printed(), "job 1 note 2"); /* as if it had not begun; what it had sent is sent again */
  kit_pass(rt, 60);
  CHECK_STR(kit_printed(), "done 1 count 1");
  rt = moved(rt, WORKER("requeue = true,"));
  troupe_send(rt, "w/1", "Count", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "count 1");
  troupe_free(rt);
  rt = kit_open(WORKER(""));
  troupe_send(rt, "w/1", "Job", troupe_pack(rt, "{s:i}", "s", 60));
  kit_work(rt);
  troupe_state_options_t at_once = { .size = sizeof at_once, .timeout_us = -1 };
  CHECK_INT(troupe_save_with(rt, kit_path(), &at_once), ==, TROUPE_ETIMEOUT);
  CHECK_STR(troupe_error(rt), "not saved: 1 agent is still at work: w/1 (Job)");
  troupe_free(rt);
}

static int saved_rc[2];
static void on_saved(void *ud, int rc, tr_buf *bytes, const tr_error *error) {
  (void)error;
  *(int *)ud = rc < 0 ? rc : (int)bytes->len;
}

CHECK_CASE(saving_twice_at_once_and_while_it_drains) {
  kit_clock = 1000000;
  tr_error error;
  tr_error_init(&error);
  troupe_t *rt = kit_open(WORKER(""));
  saved_rc[0] = saved_rc[1] = 0;
  troupe_send(rt, "w/1", "Job", troupe_pack(rt, "{s:i}", "s", 1));
  kit_work(rt);
  const char *only[] = { "seen", NULL };
  CHECK_INT(tr_save_begin(rt, NULL, 0, on_saved, &saved_rc[0], &error), ==, 0);
  CHECK_INT(tr_save_begin(rt, only, TR_SECONDS(30), on_saved, &saved_rc[1], &error), ==, 0);
  kit_work(rt);
  CHECK_INT(saved_rc[0], ==, 0);
  CHECK_INT(saved_rc[1], >, 0); /* none of those has an open turn */
  troupe_send(rt, "w/2", "Count", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "job 1 note 1"); /* the other one still holds all still */
  kit_pass(rt, 1);
  CHECK_INT(saved_rc[0], >, saved_rc[1]);
  CHECK_STR(kit_printed(), "done 1 count 0");
  troupe_stop(rt, 1000000);
  CHECK_INT(troupe_save(rt, kit_path()), ==, 0);
  CHECK_INT(troupe_run(rt), ==, 0);
  CHECK_INT(troupe_save(rt, kit_path()), ==, TROUPE_EUNAVAILABLE);
  troupe_free(rt);
}

/* ---- some of it ---- */

static size_t kept(troupe_t *rt) { return tr_script_saved_count(tr_runtime_script(rt)); }

CHECK_CASE(saved_and_restored_are_only_those_asked_for) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(WORKER(""));
  char *bytes;
  size_t length;
  const char *agents[] = { "w/1", "w/2", "w/30", "seen/a", "seen/b" };
  for (int i = 0; i < 5; i++) troupe_send(rt, agents[i], i < 3 ? "Count" : "Note", NULL);
  kit_work(rt);
  CHECK_INT(troupe_save_bytes(rt, &bytes, &length, NULL), ==, 0);
  static const struct { const char *only[3]; size_t count; } cases[] = {
    { { "w", NULL }, 3 }, { { "w/1", NULL }, 1 }, { { "*/*", NULL }, 5 }, { { "w/3*", "seen/b", NULL }, 2 },
    { { "*e*", NULL }, 2 }, { { "none", NULL }, 0 }, { { "*", NULL }, 5 }, { { "s*/a", NULL }, 1 },
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    troupe_t *other = kit_open(WORKER(""));
    troupe_state_options_t options = { .size = sizeof options, .only = cases[i].only };
    CHECK_INT(troupe_restore_bytes(other, bytes, length, &options), ==, 0);
    CHECK_INT(kept(other), ==, cases[i].count);
    char *some;
    size_t n;
    CHECK_INT(troupe_save_bytes(rt, &some, &n, &options), ==, 0);
    troupe_free(other);
    other = kit_open(WORKER(""));
    CHECK_INT(troupe_restore_bytes(other, some, n, NULL), ==, 0);
    CHECK_INT(kept(other), ==, cases[i].count);
    troupe_free_text(rt, some, n);
    troupe_free(other);
  }
  const char *nothing[] = { NULL };
  troupe_state_options_t options = { .size = sizeof options, .only = nothing };
  CHECK_INT(troupe_restore_bytes(rt, bytes, length, &options), ==, TROUPE_EINVALID);
  CHECK_STR(troupe_error(rt), "`only` must name 1 to 1000 agents or types");
  CHECK_INT(troupe_restore_bytes(rt, bytes, length - 1, NULL), ==, TROUPE_EDATA_LOSS);
  troupe_free_text(rt, bytes, length);
  troupe_free(rt);
}

/* ---- one that is not as the others ---- */

#define MIXED                                                                                                         \
  "local function get(self) print(self.n) end\n"                                                                         \
  "return { { type = 'good', idle = 5, state = { n = 0 }, on = { Set = function(self, m) self.n = m.n end, Get = get } },\n" \
  "{ type = 'mute', save = function() error('I will not say') end, on = { Set = get } },\n"                               \
  "{ type = 'deaf', state = { n = 0 }, restore = function() if deaf == nil then error('I will not hear') end end,\n"      \
  "on = { Set = function(self, m) self.n = m.n end, Get = get } },\n"                                                     \
  "{ type = 'full', mailbox = { limit = 2, overflow = 'wait' }, on = { Set = function(_, m) print('got ' .. m.n) end } },\n" \
  "{ type = 'flood', on = { Set = function(_, m, ctx) for i = 1, 5 do ctx:send('full', 'Set', { n = i }) end end } } }"

CHECK_CASE(saving_and_restoring_go_on_where_one_agent_fails) {
  kit_clock = 1000000;
  static const char *const all[] = { "good/awake", "good/idle", "mute/1", "deaf/1" };
  troupe_t *rt = kit_open(MIXED);
  troupe_send(rt, "good/idle", "Set", troupe_pack(rt, "{s:i}", "n", 1));
  kit_work(rt);
  kit_pass(rt, 6); /* put out of memory */
  CHECK_INT(kept(rt), ==, 1);
  for (size_t i = 0; i < 4; i++)
    if (i != 1) troupe_send(rt, all[i], "Set", troupe_pack(rt, "{s:i}", "n", 2));
  kit_work(rt);
  CHECK_INT(troupe_save(rt, kit_path()), ==, 1);
  CHECK(strstr(kit_log, "save.failed agent=mute/1 error=\"handler_error: a.lua:"));
  troupe_free(rt);
  kit_printed();
  rt = kit_open(MIXED);
  CHECK_INT(troupe_restore(rt, kit_path()), ==, 1); /* the one that was not saved */
  CHECK(strstr(kit_log, "restore.failed agent=mute/1 record=failed error=\"invalid: it was not saved: "));
  for (size_t i = 0; i < 4; i++)
    if (i != 2) troupe_send(rt, all[i], "Get", NULL);
  kit_work(rt);
  CHECK_STR(kit_printed(), "2 1");
  CHECK(strstr(kit_log, "init.failed agent=deaf/1"));
  CHECK_INT(kept(rt), ==, 1); /* what it would not take up is kept */
  CHECK_INT(troupe_save(rt, kit_path()), ==, 0);
  troupe_free(rt);
}

CHECK_CASE(saved_mail_beyond_a_mailboxs_bound_is_restored) {
  kit_clock = 1000000;
  troupe_t *rt = kit_open(MIXED);
  troupe_send(rt, "flood", "Set", NULL);
  CHECK_INT(tr_script_step(tr_runtime_script(rt), kit_clock, 1), ==, 1); /* three of its five wait for room */
  tr_error error;
  tr_error_init(&error);
  tr_buf bytes;
  CHECK_INT(tr_state_write(rt, NULL, &bytes, &error), ==, 0);
  troupe_t *other = kit_open(MIXED);
  CHECK_INT(troupe_restore_bytes(other, (const char *)bytes.data, bytes.len, NULL), ==, 0);
  kit_work(other);
  CHECK_STR(kit_printed(), "got 1 got 2 got 3 got 4 got 5");
  tr_buf_fini(&bytes);
  troupe_free(other);
  troupe_free(rt);
}

/* ---- the disk ---- */

static struct { const char *call; int at, seen, number; } broken;

static int fault(void *ud, const char *call) {
  (void)ud;
  if (broken.call && strcmp(call, broken.call) != 0) return 0;
  return ++broken.seen >= broken.at && broken.at ? broken.number : 0;
}

CHECK_CASE(saving_to_a_disk_that_is_full_is_tried_again) {
  kit_clock = 1000000;
  unlink(kit_path());
  troupe_t *rt = kit_open(WORKER(""));
  rt->file_options.fault = fault;
  troupe_send(rt, "w/1", "Count", NULL);
  kit_work(rt);
  for (int at = 1; at < 8; at++) {
    broken.call = NULL;
    broken.at = at;
    broken.seen = 0;
    broken.number = 28; /* ENOSPC */
    int rc = troupe_save(rt, kit_path());
    if (rc == 0 && broken.seen < at) break;
    CHECK_INT(rc, ==, TROUPE_EIO);
    CHECK(strstr(troupe_error(rt), "No space left on device"));
    CHECK_INT(rt->unstored_bytes, >, 0);
    uint64_t tries = rt->store_tries;
    kit_pass(rt, 0.9);
    CHECK_INT(rt->store_tries, ==, tries);
    kit_pass(rt, 0.2);
    CHECK_INT(rt->store_tries, ==, tries + 1);
    CHECK(strstr(kit_log, "save.again file="));
    kit_pass(rt, 1.5); /* later each time */
    CHECK_INT(rt->store_tries, ==, tries + 1);
    broken.at = 0;
    kit_pass(rt, 1);
    CHECK_INT(rt->unstored_bytes, ==, 0);
    CHECK_INT(access(kit_path(), F_OK), ==, 0);
    unlink(kit_path());
  }
  CHECK_INT(broken.seen, >, 3); /* the loop came to its end by a save that went well */
  broken.at = 1;
  CHECK_INT(troupe_save(rt, kit_path()), ==, TROUPE_EIO);
  CHECK_INT(troupe_save(rt, kit_path()), ==, TROUPE_EIO); /* in the place of the first */
  size_t one = rt->unstored_bytes;
  CHECK_INT(troupe_save(rt, "/nowhere/at/all"), ==, TROUPE_EIO);
  troupe_stats_t stats = { .size = sizeof stats };
  troupe_get_stats(rt, &stats);
  CHECK_INT(stats.unsaved_bytes, ==, 2 * one);
  CHECK_INT(stats.unsaved_tries, >, 0);
  broken.at = 0;
  unlink(kit_path());
  troupe_free(rt); /* once more at the end */
  CHECK_INT(access(kit_path(), F_OK), ==, 0);
}

/* ---- memory ---- */

CHECK_CASE(saving_all_kinds_of_records_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    kit_clock = 1000000;
    char *bytes = NULL;
    size_t length = 0;
    troupe_t *rt = kit_open(CLOCKS), *other = NULL;
    if (!rt) continue;
    troupe_send(rt, "c/1", "Start", NULL);
    kit_work(rt);
    troupe_send(rt, "c/1", "Often", troupe_pack(rt, "{s:i}", "n", 1));
    int saved = troupe_save_bytes(rt, &bytes, &length, NULL);
    if (saved >= 0) other = kit_open(CLOCKS);
    int restored = other ? troupe_restore_bytes(other, bytes, length, NULL) : -1;
    if (!check_mem_refused()) CHECK(saved == 0 && restored == 0);
    if (other) kit_pass(other, 30);
    troupe_free_text(rt, bytes, length);
    troupe_free(other);
    troupe_free(rt);
  }
}
