/* SPDX-License-Identifier: MIT
 * Pools: which member takes what, members that break, and the end. Host and pool in one process, over a Unix socket. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/internal.h"
#include "runtime_kit.h"

static troupe_t *host, *caller;
static troupe_pool_t *pool;
static char address[128];
static int answers, failures, last;

static const char agents[] =
    "return { { type = 'echo', mailbox = { limit = 1000 }, subscriptions = { 'x' }, state = { n = 0 }, on = {\n"
    "  Echo = function(_, m) return m end,\n"
    "  Sleep = function(_, m, ctx) ctx:sleep(m.s) return m end,\n"
    "  Seen = function(self) return { n = self.n } end,\n"
    "  Add = function(self) self.n = self.n + 1 end } } }";

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)ud, (void)text, (void)type, (void)body;
  if (status) failures++;
  else answers++;
  last = status;
}

static troupe_pool_stats_t stats(void) {
  troupe_pool_stats_t s = { .size = sizeof s };
  troupe_pool_get_stats(pool, &s);
  return s;
}

/* Both work for so long, or until so many calls have ended. */
static void work(double seconds, int ended) {
  struct timespec nap = { 0, 200000 };
  for (double left = seconds; left > 0 && answers + failures < ended; left -= 0.0004) {
    if (host) troupe_poll(host, 1000);
    troupe_poll(caller, 1000);
    nanosleep(&nap, NULL);
  }
}

static void work_until_joined(unsigned n) {
  for (int i = 0; i < 500 && stats().joined != n; i++) work(0.01, 1 << 30);
  CHECK_INT(stats().joined, ==, n);
}

static void open_host(void) {
  host = kit_open(agents);
  CHECK_INT(troupe_listen(host, address, NULL), ==, 0);
}

static void set(unsigned size) {
  snprintf(address, sizeof address, "unix:%s.sock", kit_path());
  open_host();
  caller = kit_open("return { type = 'none', on = { X = function() end } }");
  CHECK_INT(troupe_pool_open(caller, &pool, address, size), ==, 0);
}

static void clear(void) {
  troupe_free(caller);
  troupe_free(host);
  host = caller = NULL;
}

static void ask(const char *type, double s) {
  const char *agent = s > 1 ? "echo/sleeps" : "echo/a";
  CHECK_INT(troupe_pool_call(pool, agent, type, troupe_pack(caller, "{s:F}", "s", s), NULL, on_reply, NULL), ==, 0);
}

CHECK_CASE(a_pool_calls_by_all_its_members) {
  set(3);
  CHECK_INT(stats().members, ==, 3);
  for (int i = 0; i < 30; i++) ask("Echo", 0); /* before any is there */
  work(10, 30);
  CHECK_INT(answers, ==, 30);
  work_until_joined(3);
  for (int i = 0; i < 9; i++) ask("Sleep", 0.02);
  CHECK_INT(stats().open_calls, ==, 9);
  tr_host_stats seen;
  work(10, 39);
  tr_host_get_stats(tr_runtime_host(host), &seen);
  CHECK_INT(seen.connections, ==, 3);
  CHECK_INT(seen.clients, ==, 3);
  CHECK_INT(stats().open_calls, ==, 0);
  clear();
}

CHECK_CASE(a_member_that_breaks_is_replaced_and_the_others_go_on) {
  set(3);
  work_until_joined(3);
  for (int i = 0; i < 3; i++) ask("Sleep", 30);
  work(0.05, 1 << 30);
  tr_uplink *first = TR_CONTAINER(caller->uplinks.next, tr_uplink, all);
  tr_net_conn_drop(first->conn);
  first->conn = NULL;
  tr_worker_disconnected(first->worker, "cut");
  CHECK_INT(stats().joined, ==, 2);
  work(10, 1);
  CHECK_INT(failures, ==, 1);
  CHECK_INT(last, ==, TROUPE_EUNAVAILABLE);
  for (int i = 0; i < 20; i++) ask("Echo", 0);
  work(10, 21);
  CHECK_INT(answers, ==, 20);
  work_until_joined(3);
  CHECK_INT(stats().open_calls, ==, 2);
  clear();
  CHECK_INT(failures, ==, 3); /* the two that slept, cancelled by the end */
}

CHECK_CASE(a_pool_outlives_its_host) {
  set(2);
  work_until_joined(2);
  troupe_free(host);
  host = NULL;
  work(0.05, 1 << 30);
  CHECK_INT(stats().joined, ==, 0);
  ask("Echo", 1);
  open_host();
  work(20, 1);
  CHECK_INT(answers, ==, 1);
  clear();
}

CHECK_CASE(a_closed_pool_cancels_calls_and_still_sends_what_was_published) {
  set(2);
  work_until_joined(2);
  ask("Sleep", 30);
  for (int i = 0; i < 100; i++) CHECK_INT(troupe_pool_publish(pool, "x/a", "Add", NULL, NULL), ==, 0);
  troupe_pool_close(pool);
  CHECK_INT(failures, ==, 1);
  CHECK_INT(last, ==, TROUPE_ECANCELLED);
  for (int i = 0; i < 5000 && !tr_list_empty(&caller->pools); i++) work(0.001, 1 << 30);
  CHECK(tr_list_empty(&caller->pools) && tr_list_empty(&caller->uplinks));
  CHECK_INT(troupe_pool_open(caller, &pool, address, 1), ==, 0); /* and there may be another */
  CHECK_INT(troupe_call(host, "echo/a", "Seen", NULL, 0, on_reply, NULL), ==, 0);
  work(10, 2);
  CHECK_INT(answers, ==, 1);
  clear();
}

CHECK_CASE(a_pool_may_be_closed_at_any_time_or_never) {
  set(4);
  ask("Echo", 1); /* none is connected yet */
  CHECK_INT(troupe_pool_publish(pool, "x/a", "Add", NULL, NULL), ==, 0);
  troupe_pool_close(pool);
  CHECK_INT(failures, ==, 1);
  CHECK_INT(troupe_pool_open(caller, &pool, address, 0), ==, 0);
  CHECK_INT(stats().members, ==, 5);
  ask("Echo", 1);
  clear();
  CHECK_INT(failures, ==, 2);
  troupe_pool_close(NULL);
}

CHECK_CASE(a_pool_says_what_is_wrong) {
  caller = kit_open("return { type = 'none', on = { X = function() end } }");
  CHECK_INT(troupe_pool_open(caller, &pool, "nonsense", 1), ==, TROUPE_EINVALID);
  CHECK(pool == NULL);
  CHECK_INT(troupe_pool_open(caller, &pool, "127.0.0.1:1", 1001), ==, TROUPE_EINVALID);
  CHECK_STR(troupe_error(caller), "a pool has at most 1000 members, not 1001");
  CHECK_INT(troupe_pool_open(caller, &pool, "127.0.0.1:1", 1), ==, 0);
  CHECK_INT(troupe_pool_publish(pool, "troupe.mine", "X", NULL, NULL), ==, TROUPE_EINVALID);
  CHECK_INT(troupe_pool_call(pool, "", "X", NULL, NULL, on_reply, NULL), ==, TROUPE_EINVALID);
  CHECK_INT(stats().open_calls, ==, 0);
  troupe_message_options_t soon = { .size = sizeof soon, .timeout_us = 1000 };
  CHECK_INT(troupe_pool_call(pool, "a", "X", NULL, &soon, on_reply, NULL), ==, 0); /* nobody listens there */
  work(5, 1);
  CHECK_INT(last, ==, TROUPE_ETIMEOUT);
  clear();
}
