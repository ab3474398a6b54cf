/* How long everything stands still while 10 000 live instances, all of them at work, are brought to new code with another shape of
 * state; and that no message is lost, doubled or out of order meanwhile. Drivers send numbered messages to cells without an end between;
 * a cell counts those that do not have the number it expects. */
#include <stdio.h>

#include "kit.h"

enum { CELLS = 10000, RELOADS = 10, EACH = 100 /* cells of a driver */ };

static const char drivers[] =
  "return { { type = 'driver', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "    local first = m.first for i = 1, m.n do"
  "      for k = first, first + 99 do ctx:send('cell/' .. k, 'Note', { n = i }) end ctx:sleep(0)"
  "    end"
  "  end } },"
  "  { type = 'judge', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "    for k = 0, 9999 do local r = ctx:call('cell/' .. k, 'Count')"
  "      assert(r.n == m.n and r.bad == 0 and r.v == m.v, ('cell %d has %d messages of %d, %d of them wrong, and version %d')"
  "        :format(k, r.n, m.n, r.bad, r.v))"
  "    end"
  "  end } } }";

static const char cells[] =
  "return { type = 'cell', version = %d, mailbox = { limit = 1e6 }, state = { n = 0, bad = 0, v = 1, name = 'cell', list = { 1, 2, 3 } },"
  "  migrate = function(self, from) assert(from == %d and self.v == from) self.v = %d end,"
  "  on = { Note = function(self, m) if m.n ~= self.n + 1 then self.bad = self.bad + 1 end self.n = m.n end,"
  "    Count = function(self) return { n = self.n, bad = self.bad, v = self.v } end } }";

static void load_cells(troupe_t *rt, int version) {
  char text[1000];
  snprintf(text, sizeof text, cells, version, version - 1, version);
  if (troupe_load(rt, "cell.lua", text, 0)) bench_die("%s", troupe_error(rt));
}

static void on_end(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)type;
  (void)body;
  if (status) bench_die("%s", text);
  --*(int *)ud;
}

static void ask(troupe_t *rt, const char *agent, troupe_value_t *body, int *open) {
  if (troupe_call(rt, agent, "Run", body, -1, on_end, open)) bench_die("%s", troupe_error(rt));
  ++*open;
}

static void reload(long count) {
  troupe_t *rt = bench_open(drivers);
  char name[32];
  int open = 0, version = 1;
  double worst = 0, sum = 0, cpu_sum = 0;
  load_cells(rt, version);
  for (int i = 0; i < CELLS / EACH; i++) {
    snprintf(name, sizeof name, "driver/%d", i);
    ask(rt, name, troupe_pack(rt, "{s:I,s:I}", "n", (int64_t)count, "first", (int64_t)(i * EACH)), &open);
  }
  double next = bench_wall_us() + 500000; /* all are there and busy */
  while (open > 0) {
    troupe_poll(rt, 1000);
    double begin = bench_wall_us();
    if (begin < next || version > RELOADS) continue;
    double cpu_at = bench_cpu_us();
    load_cells(rt, ++version);
    double took = bench_wall_us() - begin, cpu = bench_cpu_us() - cpu_at;
    sum += took;
    cpu_sum += cpu;
    if (took > worst) worst = took;
    next = begin + took + 50000;
  }
  if (version <= RELOADS) bench_die("only %d reloads while it ran: a larger --count", version - 1);
  bench_settle(rt);
  ask(rt, "judge", troupe_pack(rt, "{s:I,s:I}", "n", (int64_t)count, "v", (int64_t)version), &open);
  while (open > 0)
    if (troupe_run_until_idle(rt, 60000000)) bench_die("%s", troupe_error(rt));
  bench_value("pause_ms", sum / RELOADS / 1e3);
  bench_value("cpu_ms", cpu_sum / RELOADS / 1e3);
  bench_value("worst_ms", worst / 1e3);
  troupe_free(rt);
}

const bench_row bench_reload_rows[] = { { "reload-10k", 400, reload }, { NULL, 0, NULL } };
