/* SPDX-License-Identifier: MIT
 * troupe_to_dist: live agents moved into real processes and to another runtime, under load and where it fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "runtime/runtime.h"
#include "troupe.h"

static char folder[64], log_text[65536], printed[4096], answer[600], done_text[600];
static int done_status;

static void append(char *to, size_t size, const char *event, const char *text) {
  size_t n = strlen(to);
  snprintf(to + n, size - n, "%s%s%s\n", event, *event ? " " : "", text);
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  if (level == TROUPE_LOG_PRINT) append(printed, sizeof printed, "", text);
  else append(log_text, sizeof log_text, event, text);
}

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void write_script(const char *name, const char *text) {
  FILE *file = fopen(path_of(name), "w");
  CHECK(file != NULL);
  fputs(text, file);
  fclose(file);
}

static const char counter[] =
    "return { { type = 'counter', subscriptions = { 'more' }, state = { n = 0 },\n"
    "  init = function(self, ctx, restored) print('init ' .. ctx.key .. ' ' .. tostring(restored)) end,\n"
    "  close = function(self, ctx, why) print('close ' .. ctx.key .. ' ' .. why) end,\n"
    "  save = function(self) if self.n == 13 then error('unlucky') end return { n = self.n } end,\n"
    "  on = { Add = function(self, m) self.n = self.n + (m.by or 1) return self.n end,\n"
    "    Slow = function(self, m, ctx) ctx:sleep(m.s) self.n = self.n + 1 return self.n end,\n"
    "    Later = function(self, m, ctx) ctx:after(m.s, 'Add', { by = 100000 }) return self.n end,\n"
    "    Ask = function(self, m, ctx) return (ctx:call('other/x', 'Who')) end } },\n"
    "  { type = 'other', on = { Who = function(_, _, ctx) return ctx.id end } } }";

static troupe_t *open_with(const char *program, const char *script, const char *source) {
  troupe_t *rt;
  const char *own = getenv("TROUPE");
  troupe_options_t options = { .size = sizeof options, .log = on_log, .log_level = TROUPE_LOG_INFO, .seed = 7,
                               .program = program ? program : own ? own : "build/troupe" };
  if (!folder[0]) {
    snprintf(folder, sizeof folder, "/tmp/troupe-dist-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
  }
  log_text[0] = printed[0] = 0;
  write_script(script, source);
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  if (troupe_load_file(rt, path_of(script))) CHECK_FAIL("%s", troupe_error(rt));
  return rt;
}

static troupe_t *open_runtime(void) { return open_with(NULL, "counter.lua", counter); }

static void close_runtime(troupe_t *rt) {
  troupe_stop(rt, 3000000);
  troupe_run(rt);
  troupe_free(rt);
}

/* Ends with the case, like its files. */
static void clean(void) {
  char command[100];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  CHECK_INT(system(command), ==, 0);
  folder[0] = 0;
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  int64_t n = 0;
  const char *string = status ? NULL : troupe_value_string(body, NULL);
  (void)ud;
  (void)type;
  if (status) snprintf(answer, sizeof answer, "%s: %s", troupe_error_name(status), text);
  else if (string) snprintf(answer, sizeof answer, "%s", string);
  else snprintf(answer, sizeof answer, "%lld", troupe_value_integer(body, &n) ? (long long)n : -1);
}

/* Loops are polled, two at a time: there is none to wait on. */
static void rest(void) {
  struct timespec half = { .tv_nsec = 500000 };
  nanosleep(&half, NULL);
}

static void turn(troupe_t *rt, troupe_t *other) {
  troupe_poll(rt, 2000);
  if (other) troupe_poll(other, 2000);
  rest();
}

static const char *ask_by(troupe_t *rt, troupe_t *other, const char *agent, const char *type, troupe_value_t *body) {
  answer[0] = 0;
  int rc = troupe_call(rt, agent, type, body, 10000000, on_reply, NULL);
  if (rc) snprintf(answer, sizeof answer, "%s: %s", troupe_error_name(rc), troupe_error(rt));
  for (int i = 0; i < 20000 && !answer[0]; i++) turn(rt, other);
  return answer;
}
static const char *ask(troupe_t *rt, const char *agent, const char *type) { return ask_by(rt, NULL, agent, type, NULL); }

static void on_done(void *ud, int status, const char *text) {
  (void)ud;
  done_status = status;
  snprintf(done_text, sizeof done_text, "%s", status ? text : "ok");
}

static const char *move_by(troupe_t *rt, troupe_t *other, const char *agent, const char *host) {
  troupe_to_dist_options_t options = { .size = sizeof options, .host = host };
  done_text[0] = 0;
  int rc = troupe_to_dist(rt, agent, &options, on_done, NULL);
  if (rc) snprintf(done_text, sizeof done_text, "%s: %s", troupe_error_name(rc), troupe_error(rt));
  for (int i = 0; i < 20000 && !done_text[0]; i++) turn(rt, other);
  return done_text;
}

#define CHECK_HAS(text, part) do { if (!strstr(text, part)) CHECK_FAIL("no \"%s\" in: %s", part, text); } while (0)

CHECK_CASE(a_live_agent_moves_with_its_state_and_its_timers_into_a_process) {
  const char *factor = getenv("TROUPE_SLOW");
  int slow = factor ? atoi(factor) : 1; /* the timer must run until it has moved */
  troupe_t *rt = open_runtime();
  CHECK_STR(ask(rt, "counter/a", "Add"), "1");
  CHECK_STR(ask(rt, "counter/b", "Add"), "1");
  CHECK_STR(ask_by(rt, NULL, "counter/a", "Later", troupe_pack(rt, "{s:F}", "s", 0.4 * slow)), "1");
  CHECK_STR(move_by(rt, NULL, "counter/a", NULL), "ok");
  CHECK_INT(tr_runtime_each_launched(rt, NULL, NULL), ==, 1);
  CHECK_STR(ask(rt, "counter/a", "Add"), "2");
  CHECK_STR(ask(rt, "counter/b", "Add"), "2"); /* that one is here */
  CHECK_STR(ask(rt, "counter/a", "Ask"), "other/x"); /* what it does not have is here */
  for (int i = 0; i < 2000 * slow && atoi(ask(rt, "counter/a", "Add")) < 100000; i++) rest();
  CHECK_INT(atoi(answer), >, 100000);
  CHECK_INT(atoi(answer), <, 200000); /* its timer fired once */
  CHECK_INT(troupe_publish(rt, "more/a", "Add", NULL), ==, 0);
  CHECK_INT(troupe_publish(rt, "more/b", "Add", NULL), ==, 0);
  int before = atoi(answer);
  CHECK_INT(atoi(ask(rt, "counter/a", "Add")), ==, before + 2);
  CHECK_STR(ask(rt, "counter/b", "Add"), "4");
  CHECK_STR(move_by(rt, NULL, "counter/a", NULL), "already_exists: counter/a is elsewhere already, or on its way");
  close_runtime(rt);
  CHECK_HAS(printed, "init a false\ninit b false\nclose a moved\ninit a true\n");
  CHECK_HAS(printed, "close a drain\n");
  clean();
}

CHECK_CASE(a_turn_that_is_open_ends_before_the_move_and_mail_waits_for_it) {
  troupe_t *rt = open_runtime();
  char slow[600] = "";
  answer[0] = 0;
  CHECK_INT(troupe_call(rt, "counter/a", "Slow", troupe_pack(rt, "{s:F}", "s", 0.2), 0, on_reply, NULL), ==, 0);
  for (int i = 0; i < 10; i++) turn(rt, NULL);
  CHECK_STR(answer, "");
  done_text[0] = 0;
  troupe_to_dist_options_t options = { .size = sizeof options };
  CHECK_INT(troupe_to_dist(rt, "counter/a", &options, on_done, NULL), ==, 0);
  CHECK_INT(troupe_send(rt, "counter/a", "Add", NULL), ==, 0);
  while (!answer[0]) turn(rt, NULL);
  CHECK_STR(done_text, ""); /* the answer came first */
  snprintf(slow, sizeof slow, "%s", answer);
  CHECK_STR(ask(rt, "counter/a", "Add"), "3");
  CHECK_STR(slow, "1");
  CHECK_STR(done_text, "ok");
  close_runtime(rt);
  clean();
}

CHECK_CASE(lazily_it_moves_at_its_first_message) {
  troupe_t *rt = open_runtime();
  troupe_to_dist_options_t options = { .size = sizeof options, .lazy = true };
  CHECK_STR(ask(rt, "counter/a", "Add"), "1");
  done_text[0] = 0;
  CHECK_INT(troupe_to_dist(rt, "counter/a", &options, on_done, NULL), ==, 0);
  for (int i = 0; i < 50; i++) turn(rt, NULL);
  CHECK_STR(done_text, "");
  CHECK_INT(tr_runtime_each_launched(rt, NULL, NULL), ==, 0);
  CHECK_STR(ask(rt, "counter/a", "Add"), "2");
  CHECK_STR(done_text, "ok");
  CHECK_HAS(printed, "close a moved\ninit a true\n");
  close_runtime(rt);
  clean();
}

CHECK_CASE(it_moves_to_a_server_that_runs_already) {
  troupe_t *server = open_runtime(), *rt = open_runtime();
  char address[128];
  snprintf(address, sizeof address, "unix:%s/server", folder);
  CHECK_INT(troupe_listen(server, address, NULL), ==, 0);
  CHECK_STR(ask(rt, "counter/a", "Add"), "1");
  CHECK_STR(ask(server, "counter/live", "Add"), "1");
  CHECK_STR(ask(rt, "counter/live", "Add"), "1");
  CHECK_STR(move_by(rt, server, "counter/a", address), "ok");
  CHECK_STR(ask_by(rt, server, "counter/a", "Add", NULL), "2");
  CHECK_STR(ask_by(server, rt, "counter/a", "Add", NULL), "3"); /* it is the server's own now */
  CHECK_INT(troupe_publish(rt, "more/a", "Add", NULL), ==, 0);
  CHECK_STR(ask_by(rt, server, "counter/a", "Add", NULL), "5");
  CHECK_STR(move_by(rt, server, "counter/live", address), "counter/live is live there already");
  CHECK_INT(done_status, ==, TROUPE_EEXISTS);
  CHECK_STR(ask_by(rt, server, "counter/live", "Add", NULL), "2"); /* it goes on here */
  troupe_free(rt);
  troupe_free(server);
  clean();
}

/* One that joined the server by itself sends it all events anyway: none is heard twice. */
CHECK_CASE(events_reach_it_once_where_the_server_gets_them_anyway) {
  troupe_t *server = open_runtime(), *rt = open_runtime();
  char address[128];
  snprintf(address, sizeof address, "unix:%s/server", folder);
  CHECK_INT(troupe_listen(server, address, NULL), ==, 0);
  CHECK_INT(troupe_connect(rt, address), ==, 0);
  CHECK_STR(move_by(rt, server, "counter/a", address), "ok");
  for (int i = 1; i <= 3; i++) {
    CHECK_INT(troupe_publish(rt, "more/a", "Add", NULL), ==, 0);
    char expected[12];
    snprintf(expected, sizeof expected, "%d", 2 * i);
    CHECK_STR(ask_by(rt, server, "counter/a", "Add", NULL), expected);
  }
  troupe_free(rt);
  troupe_free(server);
  clean();
}

CHECK_CASE(a_move_that_fails_leaves_it_here_and_working) {
  troupe_t *rt = open_with("/nowhere/troupe", "counter.lua", counter);
  troupe_t *other = open_with(NULL, "other.lua", "return { type = 'unlike', on = {} }");
  char address[128];
  snprintf(address, sizeof address, "unix:%s/server", folder);
  CHECK_INT(troupe_listen(other, address, NULL), ==, 0);
  CHECK_STR(ask(rt, "counter/a", "Add"), "1");
  CHECK_STR(move_by(rt, NULL, "counter/a", NULL),
            "the process of counter/a could not be started: /nowhere/troupe cannot be started: no such file or directory");
  CHECK_INT(done_status, ==, TROUPE_EUNAVAILABLE);
  CHECK_STR(ask(rt, "counter/a", "Add"), "2");
  CHECK_STR(move_by(rt, other, "counter/a", address), "agent type counter is not registered");
  CHECK_STR(ask(rt, "counter/a", "Add"), "3");
  CHECK_STR(ask_by(rt, NULL, "counter/a", "Add", troupe_pack(rt, "{s:i}", "by", 10)), "13");
  CHECK_HAS(move_by(rt, NULL, "counter/a", NULL), "counter/a cannot be saved: ");
  CHECK_STR(ask(rt, "counter/a", "Add"), "14");
  CHECK_STR(move_by(rt, NULL, "nobody/a", NULL), "not_found: no agent type \"nobody\" here");
  CHECK_HAS(move_by(rt, NULL, "counter/a", "nonsense"), "invalid: \"nonsense\": expected host:port");
  CHECK_INT(troupe_load(rt, "memory", "return { type = 'memory', on = {} }", 0), ==, 0);
  CHECK_HAS(move_by(rt, NULL, "memory/a", NULL), "invalid: memory/a was not loaded from a file");
  troupe_free(rt);
  troupe_free(other);
  clean();
}

/* ---- under load ---- */

#define SENDERS 4
#define EACH 5000 /* many more than the mailbox holds */

static const char sink[] =
    "return { { type = 'sink', mailbox = { limit = 100 }, state = { last = {}, count = 0, wrong = 0 },\n"
    "  on = { Item = function(self, m)\n"
    "      local due = (self.last[m.from] or 0) + 1\n"
    "      if m.n ~= due then self.wrong = self.wrong + 1 end\n"
    "      self.last[m.from] = m.n self.count = self.count + 1 return m.n end,\n"
    "    Report = function(self) return self.count .. ' ' .. self.wrong end } },\n"
    "  { type = 'sender', on = { Go = function(self, m, ctx)\n"
    "      for n = 1, m.count do\n"
    "        if n % 500 == 0 then ctx:call('sink/one', 'Item', { from = ctx.key, n = n }) else ctx:send('sink/one', 'Item', { from = ctx.key, n = n }) end\n"
    "      end\n"
    "      return ctx:call('sink/one', 'Item', { from = ctx.key, n = m.count + 1 }, { timeout = false }) end } } }";

static int finished;
static void on_sent(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)ud;
  (void)type;
  (void)body;
  if (status) CHECK_FAIL("%s: %s", troupe_error_name(status), text);
  finished++;
}

CHECK_CASE(under_load_nothing_is_lost_doubled_or_reordered) {
  troupe_t *rt = open_with(NULL, "sink.lua", sink);
  char expected[40], key[20];
  finished = 0;
  for (int i = 0; i < SENDERS; i++) {
    snprintf(key, sizeof key, "sender/%d", i);
    CHECK_INT(troupe_call(rt, key, "Go", troupe_pack(rt, "{s:i}", "count", EACH), -1, on_sent, NULL), ==, 0);
  }
  for (int i = 0; i < 10; i++) troupe_poll(rt, 1000);
  CHECK_INT(finished, <, SENDERS); /* in the midst of it */
  CHECK_STR(move_by(rt, NULL, "sink/one", NULL), "ok");
  for (int i = 0; i < 60000 && finished < SENDERS; i++) turn(rt, NULL);
  CHECK_INT(finished, ==, SENDERS);
  snprintf(expected, sizeof expected, "%d 0", SENDERS * (EACH + 1));
  CHECK_STR(ask(rt, "sink/one", "Report"), expected);
  if (strstr(log_text, "dead_letter")) CHECK_FAIL("%s", log_text);
  close_runtime(rt);
  clean();
}
