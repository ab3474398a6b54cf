/* A live agent is moved into a process of its own, by one line: its callers do not notice.
 * Built and run by the tests; by hand, beside an installed troupe: cc main.c $(pkg-config --cflags --libs troupe) -o to_dist && ./to_dist */
#include <stdio.h>
#include <stdlib.h>

#include <troupe.h>

static int waiting;

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  if (level == TROUPE_LOG_PRINT) printf("%s\n", text);
  else fprintf(stderr, "%s %s\n", event, text);
}

static void on_sum(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  int64_t n = 0;
  (void)ud;
  (void)type;
  troupe_value_integer(body, &n);
  printf("the sum is %lld%s\n", (long long)n, status ? text : "");
  waiting--;
}

static void on_moved(void *ud, int status, const char *text) {
  (void)ud;
  printf("moved: %s\n", status ? text : "yes");
  waiting--;
}

static void add(troupe_t *rt, int by) {
  waiting += troupe_call(rt, "counter/a", "Add", troupe_pack(rt, "{s:i}", "by", by), 0, on_sum, NULL) == 0;
}

int main(int argc, char **argv) {
  troupe_t *rt;
  troupe_options_t options = { .size = sizeof options, .log = on_log, .log_level = TROUPE_LOG_WARN, .program = getenv("TROUPE") };
  if (troupe_new(&rt, &options) || troupe_load_file(rt, argc > 1 ? argv[1] : "counter.lua")) return 1;
  add(rt, 1);
  troupe_run_until_idle(rt, 1000000);
  waiting += troupe_to_dist(rt, "counter/a", NULL, on_moved, NULL) == 0;
  add(rt, 10); /* waits, and goes after it */
  add(rt, 100);
  while (waiting > 0) troupe_poll(rt, 10000);
  troupe_stop(rt, 3000000);
  troupe_run(rt);
  troupe_free(rt);
  return 0;
}
