/* SPDX-License-Identifier: MIT
 * The worker's end of shared types, on troupe's real host: which of them has an id is the host's to say, for agents of the same process,
 * too. host_share.c has the host's end. */
#include "worker_stage.h"

#include <stdio.h>

enum { KEYS = 60 };

static stage *s;
static place *h;
static proc *p[3];
static actor *a[3];
static unsigned left_count, taken_count;
static char last_state[64];

/* Its state is its key. It is let go of at once. */
static void leave(void *ud, tr_worker *worker, tr_slice type, tr_slice key, const tr_worker_move *move) {
  (void)ud;
  (void)type;
  tr_agent *agent = NULL;
  for (int i = 0; i < 3; i++)
    if (p[i] && p[i]->worker == worker) agent = tr_class_find(a[i]->class_, key);
  left_count++;
  if (agent) tr_agent_stop(agent->class_ == a[0]->class_ ? p[0]->core : p[1]->core, agent, TR_EUNAVAILABLE, "moved");
  tr_worker_left(worker, move, 0, agent ? key : (tr_slice){ NULL, 0 });
}

static int take(void *ud, tr_slice type, tr_slice key, tr_slice state, tr_error *error) {
  (void)ud;
  (void)type;
  (void)error;
  CHECK(tr_slice_equal(key, state));
  snprintf(last_state, sizeof last_state, "%.*s", TR_SLICE_ARG(state));
  taken_count++;
  return 0;
}

static void add(int i, tr_mem *mem) {
  tr_worker_options o = { .register_types = true, .leave = leave, .take = take };
  p[i] = proc_new(s, mem, h, &o);
  a[i] = p[i] ? actor_shared(p[i], "t", "x") : NULL;
  if (p[i]) tr_worker_start(p[i]->worker);
  stage_run(s);
}

static void set_on(place *host, int workers) {
  h = host;
  left_count = taken_count = 0;
  memset(p, 0, sizeof p);
  memset(a, 0, sizeof a);
  for (int i = 0; i < workers; i++) add(i, NULL);
}

static void set(int workers) {
  s = stage_new();
  set_on(host_new(s), workers);
}

static const char *key_of(int i) {
  char *key = keep(16);
  snprintf(key, 16, "k%d", i);
  return key;
}

static unsigned heard_of(const actor *of, const char *key, bool request) {
  unsigned n = 0;
  for (const heard *it = of ? of->first : NULL; it; it = it->next) n += it->request == request && strcmp(it->key, key) == 0;
  return n;
}

static void ask_all(proc *from) {
  for (int i = 0; i < KEYS; i++) {
    answer *got = ask_key(from, "t", key_of(i), "1");
    stage_run(s);
    CHECK(got->done && got->code == 0);
  }
}

CHECK_CASE(ids_of_a_shared_type_are_where_the_host_says_whoever_asks) {
  set(2);
  ask_all(p[0]);
  ask_all(p[1]);
  for (int i = 0; i < KEYS; i++) { /* both times the same one */
    unsigned here = heard_of(a[0], key_of(i), true), there = heard_of(a[1], key_of(i), true);
    CHECK((here == 2 && there == 0) || (here == 0 && there == 2));
  }
  CHECK(a[0]->count > KEYS / 2 && a[1]->count > KEYS / 2);
  stage_free(s);
}

CHECK_CASE(an_event_is_heard_once_by_each_id_whoever_published_it) {
  set(2);
  actor *plain = actor_new(p[0], "plain", "x", NULL), *other = actor_new(p[1], "other", "x", NULL);
  tr_worker_sync(p[0]->worker);
  tr_worker_sync(p[1]->worker);
  stage_run(s);
  for (int from = 0; from < 2; from++)
    for (int i = 0; i < KEYS; i++) {
      tr_core_post(p[from]->core, message(p[from]->core, TR_MSG_EVENT, "x", key_of(i), "Note", "{}"));
      stage_run(s);
    }
  for (int i = 0; i < KEYS; i++) {
    CHECK_INT(heard_of(a[0], key_of(i), false) + heard_of(a[1], key_of(i), false), ==, 2);
    CHECK(heard_of(a[0], key_of(i), false) != 1); /* and by the same one */
    CHECK_INT(heard_of(plain, key_of(i), false), ==, 2); /* types that are not shared hear it as ever */
    CHECK_INT(heard_of(other, key_of(i), false), ==, 2);
  }
  stage_free(s);
}

CHECK_CASE(without_a_host_a_shared_type_is_like_any_other) {
  s = stage_new();
  h = host_new(s);
  proc *alone = p[0] = proc_new(s, NULL, h, NULL); /* never started */
  actor *mine = actor_shared(alone, "t", "x");
  answer *got = ask_key(alone, "t", "k", "1");
  tr_core_post(alone->core, message(alone->core, TR_MSG_EVENT, "x", "k", "Note", "{}"));
  stage_run(s);
  CHECK(got->done && got->code == 0);
  CHECK_INT(mine->count, ==, 2);
  stage_free(s);
}

CHECK_CASE(ids_leave_for_a_worker_that_joins) {
  set(2);
  ask_all(p[0]);
  add(2, NULL);
  CHECK(left_count > KEYS / 6 && left_count < KEYS * 2 / 3);
  CHECK_INT(left_count, ==, taken_count);
  ask_all(p[1]);
  CHECK_INT(a[2]->count, ==, taken_count);
  CHECK_INT(heard_of(a[2], last_state, true), ==, 1);
  stage_free(s);
}

CHECK_CASE(a_lost_connection_gives_the_ids_to_others_and_what_is_stale_ends) {
  set(2);
  ask_all(p[0]);
  unsigned before = a[1]->count;
  p[0]->target = NULL;
  proc_cut(p[0]);
  stage_run(s);
  for (int i = 0; i < KEYS; i++) {
    answer *got = ask_key(p[1], "t", key_of(i), "1");
    stage_run(s);
    CHECK(got->done && got->code == 0);
  }
  CHECK_INT(a[1]->count - before, ==, KEYS);
  stage_free(s);
}

CHECK_CASE(any_allocation_of_a_worker_that_shares_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    set(1);
    for (int i = 0; i < 4; i++) ask_key(p[0], "t", key_of(i), "1");
    stage_run(s);
    add(1, check_mem());
    if (p[1]) {
      for (int i = 0; i < 4; i++) ask_key(p[1], "t", key_of(i), "1");
      tr_msg *msg = message(p[1]->core, TR_MSG_EVENT, "x", "k1", "Note", "{}");
      if (msg) tr_core_post(p[1]->core, msg);
      stage_sleep(s, TR_SECONDS(1));
      tr_worker_stop(p[1]->worker, s->now + TR_SECONDS(1));
      stage_sleep(s, TR_SECONDS(2));
    }
    answer *got = ask_key(p[0], "t", "k0", "1");
    stage_sleep(s, TR_SECONDS(40));
    CHECK(got->done);
    stage_free(s);
  }
}

/* Ids move to one that joins, back from one that is lost, and away from one that stops. */
CHECK_CASE(any_allocation_of_a_host_whose_workers_share_may_fail) {
  CHECK_EACH_ALLOCATION_FAILS {
    s = stage_new();
    place *host = host_new_of(s, check_mem());
    if (host) {
      set_on(host, 2);
      for (int i = 0; i < 6; i++) ask_key(p[0], "t", key_of(i), "1");
      stage_run(s);
      add(2, NULL);
      publish(p[0], "x", "Note", "{}");
      stage_sleep(s, TR_SECONDS(1));
      proc_cut(p[1]);
      for (int i = 0; i < 6; i++) ask_key(p[0], "t", key_of(i), "1");
      stage_sleep(s, TR_SECONDS(5));
      tr_worker_stop(p[2]->worker, s->now + TR_SECONDS(1));
      stage_sleep(s, TR_SECONDS(40));
      bool again = check_mem_refused(); /* there is memory from here on */
      for (int i = 0; i < 6; i++) {
        answer *got = ask_key(p[0], "t", key_of(i), "1");
        stage_sleep(s, TR_SECONDS(40));
        CHECK(got->done);
        if ((again || !check_mem_refused()) && got->code) CHECK_FAIL("k%d: %d %s", i, got->code, got->error);
      }
    }
    stage_free(s);
  }
}
