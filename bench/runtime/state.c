/* Saving and restoring 10 MB of state, and how long others wait beside an agent that never ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kit.h"

/* Records of five fields, about 120 bytes each once written. */
static const char keeper[] =
  "return { type = 'keeper', state = { rows = {} }, limits = { instructions = 1e12 }, on = {"
  "  Run = function(self, m)"
  "    for i = 1, m.n do"
  "      self.rows[i] = { id = i, name = 'record number ' .. i, note = ('x'):rep(60), weight = i / 3, good = true }"
  "    end"
  "  end,"
  "  Count = function(self) return { n = #self.rows } end } }";

static void on_count(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)type;
  int64_t n = 0;
  if (status) bench_die("%s", text);
  if (troupe_unpack(body, "{s:I}", "n", &n)) bench_die("a wrong answer");
  *(long *)ud = (long)n;
}

static void save(long count) {
  char path[] = "/tmp/troupe-bench-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0) bench_die("no file to save to");
  close(fd);
  troupe_t *rt = bench_open(keeper);
  bench_run(rt, "keeper", count);
  double begin = bench_wall_us(), cpu = bench_cpu_us();
  if (troupe_save(rt, path)) bench_die("%s", troupe_error(rt));
  bench_value("save_ms", (bench_wall_us() - begin) / 1e3);
  bench_value("save_cpu_ms", (bench_cpu_us() - cpu) / 1e3);
  troupe_free(rt);
  struct stat st;
  if (stat(path, &st) == 0) bench_value("megabytes", (double)st.st_size / 1e6);
  rt = bench_open(keeper);
  long found = -1;
  begin = bench_wall_us();
  cpu = bench_cpu_us();
  if (troupe_restore(rt, path)) bench_die("%s", troupe_error(rt));
  if (troupe_call(rt, "keeper", "Count", NULL, 0, on_count, &found)) bench_die("%s", troupe_error(rt));
  while (found < 0) troupe_poll(rt, 0);
  bench_value("restore_ms", (bench_wall_us() - begin) / 1e3);
  bench_value("restore_cpu_ms", (bench_cpu_us() - cpu) / 1e3);
  if (found != count) bench_die("%ld of %ld records came back", found, count);
  troupe_free(rt);
  unlink(path);
}

/* --- one agent in an endless loop beside a thousand that each answer one call after the other --- */

enum { OTHERS = 1000 };
static const char loop[] =
  "return { { type = 'loop', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Go = function() while true do end end } },"
  "  { type = 'busy', on = { Ask = function(self, m) local n = 0 for i = 1, 100 do n = n + i end return { n = n } end } } }";

typedef struct asker { troupe_t *rt; double since; int number; } asker;
static double *times;
static long answered, wanted;

static void ask(asker *a);
static void on_answer(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  asker *a = ud;
  (void)type;
  (void)body;
  if (status == TROUPE_ECANCELLED) return;
  if (status) bench_die("%s", text);
  if (answered < wanted) times[answered++] = bench_wall_us() - a->since;
  if (answered < wanted) ask(a);
}

static void ask(asker *a) {
  char name[32];
  snprintf(name, sizeof name, "busy/%d", a->number);
  a->since = bench_wall_us();
  if (troupe_call(a->rt, name, "Ask", NULL, -1, on_answer, a)) bench_die("%s", troupe_error(a->rt));
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void fair(long count) {
  static asker askers[OTHERS];
  troupe_t *rt = bench_open(loop);
  wanted = count;
  times = malloc((size_t)count * sizeof *times);
  if (troupe_send(rt, "loop", "Go", NULL)) bench_die("%s", troupe_error(rt));
  for (int i = 0; i < OTHERS; i++) {
    askers[i] = (asker){ rt, 0, i };
    ask(&askers[i]);
  }
  while (answered < wanted) troupe_poll(rt, 1000);
  qsort(times, (size_t)count, sizeof *times, by_size);
  bench_value("median_ms", times[count / 2] / 1e3);
  bench_value("p99_ms", times[count * 99 / 100] / 1e3);
  bench_value("worst_ms", times[count - 1] / 1e3);
  troupe_free(rt);
  free(times);
}

const bench_row bench_state_rows[] = { { "save-10mb", 85000, save }, { "fair", 100000, fair }, { NULL, 0, NULL } };
