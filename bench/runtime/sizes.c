/* What grows with the number of agents and of subscriptions: memory of an idle agent, the cost of a call beside many idle ones, and of
 * subscriptions: adding, matching and removing them. */
#include <stdio.h>
#include <stdlib.h>

#include "kit.h"

static const char agents[] =
  "return {"
  "  { type = 'leaf', state = { count = 0 }, on = { Wake = function(self) self.count = 1 end } },"
  "  { type = 'echo', on = { Ask = function(self, m) return { a = m.a, b = m.b, c = m.c } end } },"
  "  { type = 'caller', limits = { instructions = 1e15, turn_ms = 1e9 }, on = { Run = function(self, m, ctx)"
  "      for i = 1, m.n do ctx:call('echo', 'Ask', { a = i, b = 'text', c = true }) end"
  "    end } },"
  "}";

static void wake_leaves(troupe_t *rt, long count) {
  char name[40];
  for (long i = 0; i < count; i++) {
    snprintf(name, sizeof name, "leaf/%ld", i);
    if (troupe_send(rt, name, "Wake", NULL)) bench_die("%s", troupe_error(rt));
    if (i % 1000 == 999) bench_settle(rt);
  }
  bench_settle(rt);
}

static void idle(long count) {
  troupe_t *rt = bench_open(agents);
  wake_leaves(rt, 10);
  bench_run(rt, "caller", 1000);
  size_t before = bench_bytes();
  wake_leaves(rt, count);
  bench_value("bytes", (double)(bench_bytes() - before) / (double)count);
  troupe_free(rt);
}

static void call_beside(long count) {
  enum { CALLS = 200000 };
  troupe_t *rt = bench_open(agents);
  wake_leaves(rt, count);
  bench_run(rt, "caller", 20000 + count / 2); /* until the collector has seen that the agents stay: that is part of making them */
  bench_begin();
  bench_run(rt, "caller", CALLS);
  bench_end(CALLS);
  troupe_free(rt);
}

static void on_event(void *ud, const char *topic, const char *type, const troupe_value_t *body) {
  (void)topic;
  (void)type;
  (void)body;
  ++*(long *)ud;
}

/* Topics that exist are published on: the cost of a match, and of its one delivery to C. */
static void match(troupe_t *rt, long subscriptions, long events, const long *heard) {
  char topic[40];
  long before = *heard;
  for (long i = 0; i < events; i++) {
    snprintf(topic, sizeof topic, "t%ld/x", i * 7919 % (subscriptions < 1000 ? subscriptions : 1000));
    if (troupe_publish(rt, topic, "Note", NULL)) bench_die("%s", troupe_error(rt));
    if (i % 100 == 99) bench_settle(rt);
  }
  bench_settle(rt);
  if (*heard - before != events) bench_die("%ld of %ld events were heard", *heard - before, events);
}

static void subscriptions(long count) {
  troupe_t *rt = bench_open(NULL);
  int64_t *ids = malloc((size_t)count * sizeof *ids);
  long heard = 0;
  char topic[40];
  double begin = bench_cpu_us();
  for (long i = 0; i < count; i++) {
    snprintf(topic, sizeof topic, "t%ld", i);
    ids[i] = troupe_subscribe(rt, topic, on_event, &heard);
    if (ids[i] < 0) bench_die("%s", troupe_error(rt));
  }
  bench_value("add_us", (bench_cpu_us() - begin) / (double)count);
  match(rt, count, 10000, &heard);
  begin = bench_cpu_us();
  match(rt, count, 100000, &heard);
  bench_value("match_us", (bench_cpu_us() - begin) / 100000);
  begin = bench_cpu_us();
  for (long i = 0; i < count; i++)
    if (troupe_unsubscribe(rt, ids[i])) bench_die("%s", troupe_error(rt));
  bench_value("remove_us", (bench_cpu_us() - begin) / (double)count);
  free(ids);
  troupe_free(rt);
}

/* Events on topics that one of a thousand subscriptions hears. */
static void match_row(long count) {
  enum { SUBSCRIPTIONS = 1000 };
  troupe_t *rt = bench_open(NULL);
  long heard = 0;
  char topic[40];
  for (int i = 0; i < SUBSCRIPTIONS; i++) {
    snprintf(topic, sizeof topic, "t%d", i);
    if (troupe_subscribe(rt, topic, on_event, &heard) < 0) bench_die("%s", troupe_error(rt));
  }
  match(rt, SUBSCRIPTIONS, 2000, &heard);
  bench_begin();
  match(rt, SUBSCRIPTIONS, count, &heard);
  bench_end(count);
  troupe_free(rt);
}

const bench_row bench_size_rows[] = {
  { "idle-10k", 10000, idle }, { "idle-100k", 100000, idle },
  { "call-beside-10", 10, call_beside }, { "call-beside-10k", 10000, call_beside }, { "call-beside-1m", 1000000, call_beside },
  { "subscriptions-10", 10, subscriptions }, { "subscriptions-10k", 10000, subscriptions },
  { "subscriptions-1m", 1000000, subscriptions }, { "match", 300000, match_row }, { NULL, 0, NULL }
};
