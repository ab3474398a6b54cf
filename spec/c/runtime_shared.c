/* SPDX-License-Identifier: MIT
 * Agents of shared types, with one thread and with several: they live in all isolates of a worker, those of the same process find them by
 * the host, and they move with their states. A host and its workers in one process, on a Unix socket. spec/cli/shared_spec.lua is the
 * same with real processes under load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/isolate.h"
#include "runtime_kit.h"

#define KEYS 24
#define STUCK "stuck" /* the key of one that cannot be saved */

/* A front is in each worker of its own; it asks one of the shared ones, and publishes to the next. */
static const char source[] =
    "local name = ...\n"
    "return { { type = 'counter', shared = true, subscriptions = { 'tick' }, state = { n = 0, ticks = 0 },\n"
    "  save = function(self, ctx) if self.stuck then error('no') end return { n = self.n, ticks = self.ticks } end,\n"
    "  on = { Add = function(self, m, ctx) self.n = self.n + 1 self.stuck = ctx.key == '" STUCK "' return self.n end,\n"
    "    Long = function(self, m, ctx) ctx:sleep(m.s) self.n = self.n + 1 return self.n end,\n"
    "    Tick = function(self) self.ticks = self.ticks + 1 end, Ticks = function(self) return self.ticks end } },\n"
    "  { type = 'front' .. name, on = { Ask = function(_, m, ctx)\n"
    "    ctx:publish('tick/' .. m.key, 'Tick', {})\n"
    "    return (ctx:call('counter/' .. m.key, 'Add')) end } } }";

static char folder[64], address[96];
static troupe_t *host, *workers[3];
static unsigned answered;
static int status, numbers[KEYS];
static char log_text[1 << 14];

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  size_t n = strlen(log_text);
  (void)ud;
  (void)level;
  snprintf(log_text + n, sizeof log_text - n, "%s %s\n", event, text);
}

static troupe_t *make_with(unsigned threads, uint64_t seed, bool may_fail) {
  troupe_t *rt;
  troupe_options_t options = { .size = sizeof options, .seed = seed, .threads = threads, .log = on_log, .log_level = TROUPE_LOG_INFO,
                               .allocate = may_fail ? kit_allocate : NULL };
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  return rt;
}
static troupe_t *make(unsigned threads, uint64_t seed) { return make_with(threads, seed, false); }

/* What comes by a door does not wait for room: not for links that hold two parcels. */
static void need_room(void) {
#ifdef TR_HOSTILE
  check_skip("what comes by a door does not wait for room, and a link holds two parcels");
#endif
}

static void begin(void) {
  snprintf(folder, sizeof folder, "/tmp/troupe-shared-XXXXXX");
  CHECK(mkdtemp(folder) != NULL);
  snprintf(address, sizeof address, "unix:%s/s", folder);
  memset(workers, 0, sizeof workers);
  log_text[0] = 0;
  host = make(1, 100);
  CHECK_INT(troupe_listen(host, address, NULL), ==, 0);
}

static void poll_all(void) {
  const struct timespec nap = { .tv_nsec = 20000 };
  troupe_poll(host, 0);
  for (int i = 0; i < 3; i++)
    if (workers[i]) troupe_poll(workers[i], 0);
  nanosleep(&nap, NULL);
}

/* Until it holds; of what takes longer than this nothing will come. */
#define WAIT_FOR(condition)                                                                                \
  do {                                                                                                     \
    tr_time end_ = tr_runtime_now(host) + TR_SECONDS(15);                                                  \
    while (!(condition) && tr_runtime_now(host) < end_) poll_all();                                        \
    if (!(condition)) CHECK_FAIL("not within 15 s: %s\n%s", #condition, log_text);                     \
  } while (0)

static bool is_joined(const troupe_t *rt) {
  const tr_uplink *uplink = TR_CONTAINER(rt->uplinks.next, tr_uplink, all);
  return tr_worker_get_state(uplink->worker) == TR_WORKER_JOINED;
}

static void approach(int i, troupe_t *rt) {
  char name[2] = { (char)('0' + i), 0 };
  tr_slice args[1] = { tr_slice_of(name) };
  tr_error error;
  workers[i] = rt;
  CHECK_INT(tr_together_load(rt, "a.lua", tr_slice_of(source), args, 1, &error), ==, 0);
  tr_runtime_loaded(rt);
  CHECK_INT(troupe_connect(rt, address), ==, 0);
}

static void join(int i, unsigned threads) {
  approach(i, make(threads, 200 + (uint64_t)i));
  WAIT_FOR(is_joined(workers[i]));
}

static void end(void) {
  for (int i = 0; i < 3; i++) troupe_free(workers[i]);
  troupe_free(host);
  char command[100];
  snprintf(command, sizeof command, "rm -rf '%s'", folder);
  CHECK_INT(system(command), ==, 0);
}

static void stop(int i) {
  troupe_stop(workers[i], TR_SECONDS(30));
  WAIT_FOR(workers[i]->stage == TR_STAGE_DONE);
  troupe_free(workers[i]);
  workers[i] = NULL;
}

/* Instances of shared types in one isolate. */
static size_t count_in(troupe_t *rt, unsigned isolate) {
  tr_class *class_ = tr_core_find_class(tr_runtime_share(rt, isolate).core, TR_SLICE_LITERAL("counter"));
  return tr_class_agent_count(class_);
}

static size_t count_of(troupe_t *rt) {
  size_t n = 0;
  tr_together_pause(rt, true);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) n += count_in(rt, i);
  tr_together_resume(rt);
  return n;
}

/* Has it so many of them, after a while? Looking stops its threads: done too often, they would do nothing else. */
static bool will_be(troupe_t *rt, size_t least, size_t most) {
  for (int i = 0; i < 50; i++) poll_all();
  size_t n = count_of(rt);
  return n >= least && n <= most;
}

static unsigned isolates_of(troupe_t *rt) {
  unsigned n = 0;
  tr_together_pause(rt, true);
  for (unsigned i = 0; i < tr_runtime_shares(rt); i++) n += count_in(rt, i) > 0;
  tr_together_resume(rt);
  return n;
}

/* ---- asking ---- */

static void on_number(void *ud, int code, const char *text, const char *type, const troupe_value_t *body) {
  (void)type;
  if (code) CHECK_FAIL("%s: %s\n%s", troupe_error_name(code), text, log_text);
  int64_t number = 0;
  CHECK(body && troupe_value_integer(body, &number));
  *(int *)ud = (int)number;
  answered++;
}

static void on_status(void *ud, int code, const char *text, const char *type, const troupe_value_t *body) {
  (void)ud;
  (void)text;
  (void)type;
  (void)body;
  status = code;
  answered++;
}

static int ask(troupe_t *from, const char *agent, const char *type, troupe_value_t *body) {
  int number = -1;
  unsigned before = answered;
  CHECK_INT(troupe_call(from, agent, type, body, 0, on_number, &number), ==, 0);
  WAIT_FOR(answered == before + 1);
  return number;
}

static const char *id_of(int i) {
  static char id[32];
  snprintf(id, sizeof id, "counter/k%d", i);
  return id;
}

/* All at once. Have they all answered with this? */
static bool all_say(troupe_t *from, const char *type, int expected) {
  unsigned before = answered, n = 0;
  for (int i = 0; i < KEYS; i++) CHECK_INT(troupe_call(from, id_of(i), type, NULL, 0, on_number, &numbers[i]), ==, 0);
  WAIT_FOR(answered == before + KEYS);
  for (int i = 0; i < KEYS; i++) n += numbers[i] == expected;
  return n == KEYS;
}

/* Each must have been asked so often. */
static void add_to_all(troupe_t *from, int expected) { CHECK(all_say(from, "Add", expected)); }

/* ---- cases ---- */

static void move_about(unsigned threads) {
  begin();
  join(0, threads);
  add_to_all(host, 1);
  CHECK_INT(count_of(workers[0]), ==, KEYS);
  CHECK_INT(isolates_of(workers[0]), ==, threads);
  join(1, threads);
  WAIT_FOR(will_be(workers[0], 0, KEYS * 4 / 5));
  add_to_all(host, 2); /* where its state went it is live once it is spoken to */
  CHECK_INT(count_of(workers[0]) + count_of(workers[1]), ==, KEYS);
  CHECK(count_of(workers[1]) > KEYS / 5);
  add_to_all(workers[0], 3); /* from the first thread of one that has some of them */
  stop(0);
  add_to_all(host, 4);
  CHECK_INT(count_of(workers[1]), ==, KEYS);
  end();
}

CHECK_CASE(shared_ids_move_between_workers_with_one_thread) { move_about(1); }
CHECK_CASE(shared_ids_move_between_workers_with_four_threads) {
  need_room();
  move_about(4);
}

/* Which of two workers has it is the host's to say: for agents in other threads than the first, too. */
CHECK_CASE(shared_ids_are_asked_by_agents_of_all_threads_by_way_of_the_host) {
  need_room();
  begin();
  join(0, 4);
  join(1, 3);
  unsigned before = answered;
  for (int i = 0; i < KEYS; i++)
    for (int w = 0; w < 2; w++) {
      char front[32], key[16];
      snprintf(front, sizeof front, "front%d/f%d", w, i);
      snprintf(key, sizeof key, "k%d", i);
      CHECK_INT(troupe_call(host, front, "Ask", troupe_pack(host, "{s:s}", "key", key), 0, on_number, &numbers[i]), ==, 0);
    }
  WAIT_FOR(answered == before + 2 * KEYS);
  CHECK_INT(count_of(workers[0]) + count_of(workers[1]), ==, KEYS);
  CHECK(count_of(workers[0]) > KEYS / 5 && count_of(workers[1]) > KEYS / 5);
  WAIT_FOR(all_say(host, "Ticks", 2)); /* events may come later than answers */
  add_to_all(host, 3);
  end();
}

CHECK_CASE(shared_ids_without_a_host_are_like_all_others_in_all_threads) {
  begin();
  tr_error error;
  tr_slice args[1] = { TR_SLICE_LITERAL("x") };
  workers[0] = make(4, 7);
  CHECK_INT(tr_together_load(workers[0], "a.lua", tr_slice_of(source), args, 1, &error), ==, 0);
  tr_runtime_loaded(workers[0]);
  for (int i = 0; i < KEYS; i++) {
    char front[32], key[16];
    snprintf(front, sizeof front, "frontx/f%d", i);
    snprintf(key, sizeof key, "k%d", i);
    CHECK_INT(ask(workers[0], front, "Ask", troupe_pack(workers[0], "{s:s}", "key", key)), ==, 1);
  }
  CHECK_INT(isolates_of(workers[0]), ==, 4);
  end();
}

CHECK_CASE(a_shared_id_that_cannot_be_saved_stays_in_its_thread) {
  need_room();
  begin();
  join(0, 4);
  CHECK_INT(ask(host, "counter/" STUCK, "Add", NULL), ==, 1);
  add_to_all(host, 1);
  join(1, 4);
  troupe_stop(workers[0], TR_SECONDS(30));
  WAIT_FOR(strstr(log_text, "agent.stays agent=counter/" STUCK));
  WAIT_FOR(workers[0]->stage == TR_STAGE_DONE);
  add_to_all(host, 2);
  end();
}

/* Its turn waits while it is to go: it ends first, and what came meanwhile is handled where the agent went. */
CHECK_CASE(a_shared_id_leaves_its_thread_when_its_turn_is_over) {
  need_room();
  begin();
  join(0, 4);
  unsigned before = answered;
  for (int i = 0; i < KEYS; i++)
    CHECK_INT(troupe_call(host, id_of(i), "Long", troupe_pack(host, "{s:F}", "s", 0.1), 0, on_number, &numbers[i]), ==, 0);
  WAIT_FOR(will_be(workers[0], KEYS, KEYS));
  join(1, 2);
  troupe_stop(workers[0], TR_SECONDS(30));
  for (int i = 0; i < KEYS; i++) CHECK_INT(troupe_call(host, id_of(i), "Add", NULL, 0, on_number, &numbers[i]), ==, 0);
  WAIT_FOR(answered == before + 2 * KEYS);
  for (int i = 0; i < KEYS; i++) CHECK_INT(numbers[i], ==, 2);
  WAIT_FOR(workers[0]->stage == TR_STAGE_DONE);
  add_to_all(host, 3);
  CHECK_INT(count_of(workers[1]), ==, KEYS);
  end();
}

/* What is under way between threads, and to the host, when all is let go of. */
CHECK_CASE(shared_ids_may_be_on_their_way_when_a_runtime_with_threads_is_freed) {
  need_room();
  for (int rounds = 0; rounds < 6; rounds++) {
    begin();
    join(0, 3);
    add_to_all(host, 1);
    join(1, 3);
    troupe_stop(workers[0], TR_SECONDS(30));
    for (int i = 0; i < 2 * rounds; i++) poll_all();
    troupe_free(workers[0]);
    workers[0] = NULL;
    CHECK_INT(troupe_call(host, id_of(0), "Add", NULL, 0, on_status, NULL), ==, 0);
    WAIT_FOR(answered > 0 && (status == 0 || status == TR_EUNAVAILABLE));
    end();
  }
}

/* ---- without memory ---- */

enum { FEW = 12 };
static int codes[FEW];

static void on_code(void *ud, int code, const char *text, const char *type, const troupe_value_t *body) {
  int i = (int)((int *)ud - codes);
  int64_t number = 0;
  (void)text;
  (void)type;
  codes[i] = code;
  if (!code) CHECK(body && troupe_value_integer(body, &number));
  if (!code) numbers[i] = (int)number;
  answered++;
}

/* Each call ends. How many well? */
static int ask_few(void) {
  int good = 0;
  unsigned before = answered;
  for (int i = 0; i < FEW; i++) CHECK_INT(troupe_call(host, id_of(i), "Add", NULL, TR_SECONDS(5), on_code, &codes[i]), ==, 0);
  WAIT_FOR(answered == before + FEW);
  for (int i = 0; i < FEW; i++) good += codes[i] == 0;
  return good;
}

static bool has_moved(void) {
  tr_host_stats stats;
  tr_host_get_stats(host->host, &stats);
  return stats.moves > 0;
}

/* Ids move to a worker that joins; `poor` is the one whose allocation fails. Each call ends, each id is at one worker in the end, and none has
 * lost its state but with a worker's connection, which the log tells. */
static bool move_poorly(int poor, size_t n) {
  bool failed[FEW];
  begin();
  approach(0, make_with(1, 200, poor == 0));
  WAIT_FOR(is_joined(workers[0]));
  CHECK_INT(ask_few(), ==, FEW);
  approach(1, make_with(1, 201, poor == 1));
  WAIT_FOR(is_joined(workers[1]));
  check_mem_fail_at(n);
  WAIT_FOR(has_moved());
  ask_few();
  for (int i = 0; i < FEW; i++) failed[i] = codes[i] != 0;
  bool refused = check_mem_refused();
  check_mem_fail_at(0);
  WAIT_FOR(is_joined(workers[0]) && is_joined(workers[1]));
  if (ask_few() != FEW) ask_few();
  for (int i = 0; i < FEW; i++)
    if (codes[i] || (numbers[i] < 3 - failed[i] && !strstr(log_text, "uplink.away")))
      CHECK_FAIL("allocation %zu: %s %d %d\n%s", n, id_of(i), codes[i], numbers[i], log_text);
  end();
  return refused;
}

static void move_each_poorly(int poor) {
  need_room();
  for (size_t n = 1; move_poorly(poor, n); n++) { }
}

CHECK_CASE(shared_ids_leave_a_worker_without_memory) { move_each_poorly(0); }
CHECK_CASE(shared_ids_come_to_a_worker_without_memory) { move_each_poorly(1); }
