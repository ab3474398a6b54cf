/* SPDX-License-Identifier: MIT
 * Events over connections that break: between troupe peers none is lost and none comes twice, also where the host itself was
 * restarted; what is kept for that has bounds; a host that is not troupe's is sent nothing twice. */
#include "worker_stage.h"

#include <stdio.h>
#include <stdlib.h>

static stage *s;
static place *h;
static proc *from, *to;
static actor *a;

/* NULL: the stage's own memory. False: there is none. */
static bool set_with(tr_mem *hosts, tr_mem *senders) {
  s = stage_new();
  h = hosts ? host_new_of(s, hosts) : host_new(s);
  from = h ? proc_new(s, senders, h, NULL) : NULL;
  to = from ? proc_new(s, NULL, h, NULL) : NULL;
  if (!to) return false;
  a = actor_new(to, "a", "x", NULL);
  tr_worker_start(from->worker);
  tr_worker_start(to->worker);
  stage_sleep(s, TR_SECONDS(1));
  return true;
}

static void set(void) { CHECK(set_with(NULL, NULL)); }

static void tell(int first, int last) {
  char json[40];
  for (int i = first; i <= last; i++) {
    snprintf(json, sizeof json, "%d", i);
    publish(from, "x", "E", json);
  }
}

static void expect(int first, int last) {
  int i = first;
  for (heard *e = a->first; e && i <= last; e = e->next)
    if (atoi(e->body) >= first) CHECK_INT(atoi(e->body), ==, i++);
  CHECK_INT(i, ==, last + 1);
  CHECK_INT(a->count, ==, last);
}

static void through_cuts(uint64_t seed) {
  enum { ROUNDS = 300, EACH = 7 };
  set();
  tr_random_init(&s->random, seed);
  s->piece = seed % 3 ? 0 : 50;
  s->cut_one_in = 40;
  for (int round = 0; round < ROUNDS; round++) {
    tell(round * EACH + 1, round * EACH + EACH);
    if (round % 3 == 0) stage_sleep(s, TR_MILLISECONDS(7));
    else stage_run(s);
  }
  s->cut_one_in = 0;
  stage_sleep(s, TR_SECONDS(20));
  CHECK_INT(s->cuts, >, 5);
  expect(1, ROUNDS * EACH);
  CHECK_INT(from->dead_letters + to->dead_letters, ==, 0);
  stage_free(s);
}

CHECK_CASE(events_over_connections_that_break_anywhere_come_once_and_in_order) {
  for (uint64_t seed = 1; seed <= 12; seed++) through_cuts(seed);
}

/* Half-open: what is written goes nowhere, and nobody notices for a while. */
CHECK_CASE(events_that_a_dead_link_swallowed_are_sent_again) {
  set();
  tell(1, 3);
  stage_run(s);
  from->stalled = true;
  tell(4, 20);
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(a->count, ==, 3);
  stage_sleep(s, TR_SECONDS(40)); /* a ping was not answered */
  from->stalled = false;
  stage_sleep(s, TR_SECONDS(10));
  expect(1, 20);
  to->stalled = true;
  tell(21, 40);
  stage_sleep(s, TR_SECONDS(45));
  to->stalled = false;
  stage_sleep(s, TR_SECONDS(10));
  expect(1, 40);
  stage_free(s);
}

/* The first answer of a new host is lost with its connection, and with it what it sent: it says so again, and sends that again. */
CHECK_CASE(a_host_whose_first_answer_was_lost_sends_again_what_came_with_it) {
  set();
  tell(1, 5);
  stage_sleep(s, TR_SECONDS(1));
  expect(1, 5);
  h = host_new(s);
  from->target = to->target = h;
  proc_cut(from);
  proc_cut(to);
  stage_sleep(s, TR_SECONDS(8)); /* both are back; nothing came from the receiver on its stream */
  proc_cut(to);
  stage_sleep(s, TR_SECONDS(8));
  tell(6, 8);
  stage_sleep(s, TR_SECONDS(1));
  expect(1, 8);
  stage_free(s);
}

/* Whatever has no memory, nothing comes twice, and all does once there is memory again. Where there was enough all came, in order. */
static void through_trouble(void) {
  tell(1, 3);
  stage_run(s);
  proc_cut(from);
  tell(4, 6);
  stage_sleep(s, TR_SECONDS(3));
  to->stalled = true;
  tell(7, 9);
  stage_sleep(s, TR_SECONDS(45));
  to->stalled = false;
  stage_sleep(s, TR_SECONDS(15));
  bool again = check_mem_refused(); /* there is memory from here on */
  proc_cut(to);
  stage_sleep(s, TR_SECONDS(12));
  tell(10, 10);
  stage_sleep(s, TR_SECONDS(5));
  int times[11] = { 0 };
  for (heard *e = a->first; e; e = e->next) CHECK_INT(++times[atoi(e->body)], ==, 1);
  if (again) CHECK_INT(times[10], ==, 1);
  if (!check_mem_refused()) expect(1, 10);
}

CHECK_CASE(any_allocation_of_a_host_that_resumes_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (set_with(check_mem(), NULL)) through_trouble();
    stage_free(s);
  }
}

CHECK_CASE(any_allocation_of_a_worker_that_resumes_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (set_with(NULL, check_mem())) through_trouble();
    stage_free(s);
  }
}

CHECK_CASE(a_restarted_host_gets_what_the_old_one_did_not_acknowledge_and_receivers_know_what_they_have_had) {
  set();
  tell(1, 5);
  stage_run(s); /* delivered; the host has not acknowledged yet */
  CHECK_INT(a->count, ==, 5);
  place *old = h;
  h = host_new(s);
  from->target = to->target = NULL;
  proc_cut(from);
  tell(6, 8);
  proc_cut(to);
  stage_sleep(s, TR_MILLISECONDS(200));
  to->target = h;
  stage_sleep(s, TR_SECONDS(12));
  from->target = h; /* when the receiver is there again */
  stage_sleep(s, TR_SECONDS(12));
  expect(1, 8);
  CHECK(old != h);
  stage_free(s);
}

CHECK_CASE(acknowledged_events_are_let_go) {
  set();
  tell(1, 1000);
  stage_sleep(s, TR_MILLISECONDS(100));
  expect(1, 1000);
  size_t used = tr_core_mem(from->core)->used;
  for (int i = 1; i < 20; i++) {
    tell(i * 1000 + 1, i * 1000 + 1000);
    stage_sleep(s, TR_MILLISECONDS(100));
  }
  expect(1, 20000);
  CHECK_INT(tr_core_mem(from->core)->used, <=, used + 100000);
  stage_free(s);
}

/* What went out to a host that numbers no messages, and a link that broke. */
static void nothing_twice(bool troupe) {
  s = stage_new();
  place *f = fake_new(s, troupe);
  from = proc_new(s, NULL, f, NULL);
  tr_worker_start(from->worker);
  stage_run(s);
  tell(1, 3);
  stage_run(s);
  for (int i = 0; i < 3; i++) fake_hear(f);
  proc_cut(from);
  stage_sleep(s, TR_SECONDS(5));
  tell(4, 4);
  CHECK(holds(fake_hear(f), "4"));
  CHECK(fake_silent(f));
  stage_free(s);
}

CHECK_CASE(another_host_is_sent_nothing_twice) { nothing_twice(false); }
CHECK_CASE(a_troupe_host_that_acknowledges_nothing_is_sent_nothing_twice) { nothing_twice(true); }

CHECK_CASE(what_is_kept_for_sending_again_has_bounds) {
  static char body[100001];
  memset(body, 'x', sizeof body - 1);
  body[0] = body[sizeof body - 2] = '"';
  tr_mem mem;
  tr_mem_init(&mem);
  set();
  from = proc_new(s, &mem, h, NULL);
  tr_worker_start(from->worker);
  stage_sleep(s, TR_SECONDS(1));
  to->stalled = true;
  size_t used = s->mem.used;
  for (int i = 0; i < 400; i++) {
    publish(from, "x", "E", body);
    if (i % 16 == 0) stage_run(s);
  }
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(mem.used, <, (size_t)8 << 20); /* forty megabytes went out */
  to->stalled = false;
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(a->count, ==, 400);
  CHECK_INT(s->mem.used, <, used + ((size_t)2 << 20));
  stage_free(s);
}
