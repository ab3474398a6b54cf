/* SPDX-License-Identifier: MIT
 * The network in memory of simulations, with its n-th allocation failing: a packet that has no room breaks its connection, and the nodes find
 * each other again. (What it does otherwise: spec/module/testing_spec.lua, spec/sim.) */
#include "runtime/fabric.h"
#include "runtime_kit.h"

static int64_t now;
static int64_t clock_us(void *ud) {
  (void)ud;
  return now;
}

static troupe_t *node(uint64_t seed, const char *source) {
  troupe_t *rt;
  const troupe_options_t options = { .size = sizeof options, .seed = seed, .clock_us = clock_us };
  CHECK_INT(troupe_new(&rt, &options), ==, 0);
  if (source) CHECK_INT(troupe_load(rt, "a.lua", source, 0), ==, 0);
  return rt;
}

static void pass(tr_fabric *fabric, troupe_t *a, troupe_t *b, int ms) {
  for (int64_t end = now + ms * INT64_C(1000); now < end; now += 1000) {
    bool more = true;
    for (int i = 0; i < 1000 && more; i++) {
      more = tr_fabric_step(fabric, now);
      more = (troupe_poll(a, 0) > 0) | more;
      more = (troupe_poll(b, 0) > 0) | more;
    }
  }
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  (void)text;
  (void)type;
  (void)body;
  *(int *)ud = status ? status : 1;
}

static void meet(tr_fabric *fabric, troupe_t *host, troupe_t *worker) {
  int first = 0, last = 0;
  if (tr_fabric_serve(fabric, host, "hub") || tr_fabric_join(fabric, worker, "hub")) {
    CHECK(check_mem_refused());
    return;
  }
  pass(fabric, host, worker, 100);
  CHECK_INT(troupe_call(host, "echo", "Say", NULL, 2000000, on_reply, &first), ==, 0);
  pass(fabric, host, worker, 300);
  tr_fabric_cut(fabric, worker, "hub");
  pass(fabric, host, worker, 3000);
  bool again = check_mem_refused(); /* there is memory from here on */
  CHECK(first != 0 && (first == 1 || again));
  CHECK(tr_fabric_joined(worker));
  CHECK_INT(troupe_call(host, "echo", "Say", NULL, 2000000, on_reply, &last), ==, 0);
  pass(fabric, host, worker, 2500);
  CHECK(last == 1 || (last != 0 && !again && check_mem_refused()));
}

CHECK_CASE(any_allocation_of_the_network_in_memory_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    now = 1000000;
    tr_fabric *fabric = tr_fabric_new(check_mem(), 1);
    if (!fabric) continue;
    const tr_fabric_weather weather = { .delay_min = 1000, .delay_max = 3000 };
    tr_fabric_set_weather(fabric, &weather);
    troupe_t *host = node(1, NULL), *worker = node(2, "return { type = 'echo', on = { Say = function() return 1 end } }");
    meet(fabric, host, worker);
    troupe_free(worker);
    troupe_free(host);
    tr_fabric_unref(fabric);
  }
}

CHECK_CASE(a_host_may_be_freed_with_mail_in_its_mailboxes) {
  now = 1000000;
  tr_fabric *fabric = tr_fabric_new(check_mem(), 1);
  troupe_t *host = node(1, "return { type = 'echo', on = { Say = function() end } }");
  CHECK_INT(tr_fabric_serve(fabric, host, "hub"), ==, 0);
  CHECK_INT(troupe_send(host, "echo", "Say", NULL), ==, 0);
  troupe_free(host); /* it is a dead letter, after the host is gone */
  tr_fabric_unref(fabric);
}

CHECK_CASE(what_is_to_be_the_same_each_time_has_one_thread) {
  troupe_t *rt;
  const troupe_options_t options = { .size = sizeof options, .deterministic = 1, .threads = 2 };
  CHECK_INT(troupe_new(&rt, &options), ==, TROUPE_EINVALID);
}
