/* Clocks, memory and output of a run: see kit.h. */
#include "kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

const char *bench_troupe = "build/troupe";
unsigned bench_threads = 1;
static _Atomic size_t bytes; /* with several isolates, threads share it */
static double cpu_at, wall_at;

void bench_die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

static void *allocate(void *ud, void *ptr, size_t old_size, size_t new_size) {
  (void)ud;
  bytes += new_size - (ptr ? old_size : 0);
  if (new_size) return realloc(ptr, new_size);
  free(ptr);
  return NULL;
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  fprintf(stderr, "%s: %s\n", event, text);
  if (level == TROUPE_LOG_ERROR) exit(1);
}

troupe_t *bench_open(const char *lua) {
  troupe_options_t options = { .size = sizeof options, .allocate = allocate, .log = on_log, .seed = 42 };
  options.threads = bench_threads > 1 ? bench_threads : 0;
  troupe_t *rt;
  if (troupe_new(&rt, &options)) bench_die("no runtime");
  if (lua && troupe_load(rt, "bench.lua", lua, 0)) bench_die("%s", troupe_error(rt));
  return rt;
}

size_t bench_bytes(void) { return bytes; }

void bench_send(troupe_t *rt, const char *agent, const char *type, long n) {
  if (troupe_send(rt, agent, type, troupe_pack(rt, "{s:I}", "n", (int64_t)n))) bench_die("%s", troupe_error(rt));
}

/* A poll says nothing of other isolates: what they have left would be counted in the part that follows. */
void bench_settle(troupe_t *rt) {
  if (bench_threads > 1 && troupe_run_until_idle(rt, 60000000)) bench_die("%s", troupe_error(rt));
  while (troupe_poll(rt, 0) > 0) { }
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)type;
  (void)body;
  if (status) bench_die("%s", text);
  *(bool *)ud = true;
}

void bench_run(troupe_t *rt, const char *agent, long n) {
  bool done = false;
  if (troupe_call(rt, agent, "Run", troupe_pack(rt, "{s:I}", "n", (int64_t)n), -1, on_reply, &done))
    bench_die("%s", troupe_error(rt));
  while (!done)
    if (troupe_run_until_idle(rt, 60000000)) bench_die("%s", troupe_error(rt));
}

static double clock_us(clockid_t clock) {
  struct timespec ts;
  clock_gettime(clock, &ts);
  return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

double bench_wall_us(void) { return clock_us(CLOCK_MONOTONIC); }
double bench_cpu_us(void) { return clock_us(CLOCK_PROCESS_CPUTIME_ID); }

void bench_begin(void) {
  cpu_at = bench_cpu_us();
  wall_at = bench_wall_us();
}

void bench_end(long operations) {
  double cpu = bench_cpu_us() - cpu_at, wall = bench_wall_us() - wall_at;
  bench_value("cpu_us", cpu / (double)operations);
  bench_value("rate", (double)operations * 1e6 / wall);
}

void bench_value(const char *name, double value) { printf(",\"%s\":%.9g", name, value); }
