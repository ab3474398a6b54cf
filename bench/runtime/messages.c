/* Calls, sends, events and new agents, inside one process. Bodies have three fields, a number, a text and a boolean; the warm-up before
 * the timed part fills pools and lets the collector find its pace. Who sends does it all in one turn, and without limits: under callgrind
 * that takes minutes. */
#include <stdio.h>

#include "kit.h"

static const char agents[] =
  "return {"
  "  { type = 'echo', on = { Ask = function(self, m) return { a = m.a, b = m.b, c = m.c } end } },"
  "  { type = 'caller', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "      local to = 'echo/' .. (m.to or ctx.key)"
  "      for i = 1, m.n do ctx:call(to, 'Ask', { a = i, b = 'text', c = true }) end"
  "    end } },"
  "  { type = 'sink', on = { Note = function(self, m) end } },"
  "  { type = 'sender', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "      for i = 1, m.n do"
  "        ctx:send('sink', 'Note', { a = i, b = 'text', c = true })"
  "        if i % 50 == 0 then ctx:sleep(0) end"
  "      end"
  "    end } },"
  "  { type = 'publisher', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "      for i = 1, m.n do"
  "        ctx:publish('news', 'Note', { a = i, b = 'text', c = true })"
  "        if i % 10 == 0 then ctx:sleep(0) end"
  "      end"
  "    end } },"
  "  { type = 'leaf', state = { count = 0 }, on = { Wake = function(self) self.count = 1 end } },"
  "  { type = 'maker', limits = { instructions = 1e15, turn_ms = 1e9 }, state = { made = 0 }, on = { Run = function(self, m, ctx)"
  "      for i = 1, m.n do"
  "        self.made = self.made + 1"
  "        ctx:send('leaf/' .. self.made, 'Wake')"
  "        if i % 100 == 0 then ctx:sleep(0) end"
  "      end"
  "    end } },"
  "  { type = 'ear', on = { Note = function(self, m) end }, subscriptions = (function()"
  "      local list = {}"
  "      for i = 1, 100 do list[i] = { 'news', key = 'k' .. i } end"
  "      return list"
  "    end)() },"
  "}";

static void timed(const char *agent, long count, long operations, long warm_up) {
  troupe_t *rt = bench_open(agents);
  bench_run(rt, agent, warm_up);
  bench_begin();
  bench_run(rt, agent, count);
  bench_settle(rt);
  bench_end(operations);
  troupe_free(rt);
}

static void call(long count) { timed("caller", count, count, 20000); }
static void send(long count) { timed("sender", count, count, 20000); }
static void publish(long count) { timed("publisher", count, 100 * count, 200); }
static void spawn(long count) { timed("maker", count, count, 100); }

/* C sends to leaf/0, leaf/1 and so on, up to `count`. */
static double wake(troupe_t *rt, long count) {
  char name[40];
  double begin = bench_cpu_us();
  for (long i = 0; i < count; i++) {
    snprintf(name, sizeof name, "leaf/%ld", i);
    if (troupe_send(rt, name, "Wake", NULL)) bench_die("%s", troupe_error(rt));
    if (i % 100 == 99) bench_settle(rt);
  }
  bench_settle(rt);
  return bench_cpu_us() - begin;
}

/* What making the agents adds: first messages to them, less third ones (at the second, the collector still finds them young). */
static void spawn_alone(long count) {
  troupe_t *rt = bench_open(agents);
  double first = wake(rt, count);
  wake(rt, count);
  bench_value("cpu_us", (first - wake(rt, count)) / (double)count);
  troupe_free(rt);
}

/* A message without a body, from C: the turn and what surrounds it. */
static void turn(long count) {
  troupe_t *rt = bench_open(agents);
  for (long i = -1000; i < count; i++) {
    if (i == 0) bench_begin();
    if (troupe_send(rt, "sink", "Note", NULL)) bench_die("%s", troupe_error(rt));
    if (i % 100 == 99) bench_settle(rt);
  }
  bench_settle(rt);
  bench_end(count);
  troupe_free(rt);
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)type;
  (void)body;
  if (status) bench_die("%s", text);
  --*(int *)ud;
}

/* Eight callers, each with an answerer of its own, all at once. Agents with the same key share an isolate, so a pair is in one; `apart`
 * (0 or 1) pairs 0 with 1, 2 with 3 and so on, which two isolates have on different sides (where the keys' hashes put them). */
static void run_pairs(troupe_t *rt, long each, int apart) {
  int open = 8;
  char name[32], to[8];
  for (int i = 0; i < 8; i++) {
    snprintf(name, sizeof name, "caller/%d", i);
    snprintf(to, sizeof to, "%d", i ^ apart);
    if (troupe_call(rt, name, "Run", troupe_pack(rt, "{s:I,s:s}", "n", (int64_t)each, "to", to), -1, on_reply, &open))
      bench_die("%s", troupe_error(rt));
  }
  while (open > 0)
    if (troupe_run_until_idle(rt, 60000000)) bench_die("%s", troupe_error(rt));
}

static void timed_pairs(long count, int apart) {
  troupe_t *rt = bench_open(agents);
  run_pairs(rt, 2000, apart);
  bench_begin();
  run_pairs(rt, count / 8, apart);
  bench_end(count);
  troupe_free(rt);
}

static void pairs(long count) { timed_pairs(count, 0); }
static void pairs_apart(long count) { timed_pairs(count, 1); }

const bench_row bench_message_rows[] = {
  { "call", 300000, call }, { "pairs", 300000, pairs }, { "pairs-apart", 300000, pairs_apart }, { "send", 400000, send }, { "publish", 6000, publish },
  { "spawn", 100000, spawn }, { "spawn-alone", 100000, spawn_alone }, { "turn", 1000000, turn }, { NULL, 0, NULL }
};
