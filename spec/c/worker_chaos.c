/* SPDX-License-Identifier: MIT
 * Sixty-four workers on one host, whose connections break anywhere while they ask and publish; some fall silent, some
 * leave and come back. Whatever happens: every request ends exactly once, and is done at most once; what one sender sent to
 * one receiver comes in its order, nothing twice. And when it is over, all works as if nothing had been. */
#include "worker_stage.h"

#include <stdio.h>

enum { WORKERS = 64, STEPS = 4000, MOST = 400 };

typedef struct asked { int to; bool done, ended; int code; } asked;

typedef struct member {
  proc *p;
  int asked, published;
  int events[WORKERS], requests[WORKERS]; /* the last one's number, by sender */
  unsigned got;                           /* events */
  asked asks[MOST];
} member;

static stage *s;
static place *h;
static member members[WORKERS];
static unsigned good, bad;

static unsigned roll(unsigned below) { return (unsigned)(tr_random_next(&s->random) % below); }

/* ---- what agents do ---- */

static void read_body(const tr_body *body, int *from, int *number) {
  char text[64];
  tr_slice bytes = tr_blob_view(body->bytes);
  snprintf(text, sizeof text, "%.*s", TR_SLICE_ARG(bytes));
  CHECK_INT(sscanf(text, "[%d,%d]", from, number), ==, 2);
}

static void act(actor *a, tr_turn *turn) {
  member *m = a->ud;
  int from, number;
  read_body(&turn->msg->body, &from, &number);
  if (turn->msg->kind == TR_MSG_EVENT) {
    CHECK_INT(number, >, m->events[from]);
    m->events[from] = number;
    m->got++;
    return;
  }
  CHECK_INT(number, >, m->requests[from]);
  m->requests[from] = number;
  asked *it = &members[from].asks[number - 1];
  CHECK(!it->done);
  it->done = true;
  char body[32];
  snprintf(body, sizeof body, "[%d,%d]", from, number);
  if (number % 16) actor_reply(turn, "Echo", body);
}

static void on_end(void *ud, tr_call *call, tr_reply *reply) {
  asked *it = ud;
  (void)call;
  CHECK(!it->ended);
  it->ended = true;
  it->code = reply->code;
  if (reply->code) {
    bad++;
    if (reply->code != TR_EUNAVAILABLE && reply->code != TR_ETIMEOUT && reply->code != TR_ENOT_FOUND)
      CHECK_FAIL("%d: %.*s", reply->code, TR_SLICE_ARG(reply->error));
    return;
  }
  good++;
  CHECK(it->done);
  if (reply->body.kind != TR_BODY_BYTES) return; /* an agent that gave none */
  int from, number;
  read_body(&reply->body, &from, &number);
  CHECK(it == &members[from].asks[number - 1]);
}

static void ask_one(int from) {
  member *m = &members[from];
  if (m->asked == MOST) return;
  asked *it = &m->asks[m->asked++];
  char type[16], body[32];
  do it->to = (int)roll(WORKERS);
  while (it->to == from);
  snprintf(type, sizeof type, "t%d", it->to);
  snprintf(body, sizeof body, "[%d,%d]", from, m->asked);
  tr_msg *msg = message(m->p->core, TR_MSG_REQUEST, type, "default", "Ask", body);
  msg->deadline = s->now + TR_SECONDS(1 + roll(30));
  CHECK(tr_core_call(m->p->core, msg, on_end, it) != NULL);
}

static void publish_one(int from) {
  char body[32];
  snprintf(body, sizeof body, "[%d,%d]", from, ++members[from].published);
  publish(members[from].p, "x", "Note", body);
}

/* ---- the run ---- */

static void begin(uint64_t seed) {
  s = stage_new();
  tr_random_init(&s->random, seed);
  s->piece = seed % 2 ? 100 : 0;
  h = host_new(s);
  memset(members, 0, sizeof members);
  good = bad = 0;
  for (int i = 0; i < WORKERS; i++) {
    char type[16];
    snprintf(type, sizeof type, "t%d", i);
    members[i].p = proc_new(s, NULL, h, NULL);
    actor_new(members[i].p, type, i % 2 ? "x" : NULL, act)->ud = &members[i];
    tr_worker_start(members[i].p->worker);
  }
  stage_sleep(s, TR_SECONDS(1));
  for (int i = 0; i < WORKERS; i++) CHECK_INT(members[i].p->state, ==, TR_WORKER_JOINED);
}

static void step(void) {
  int who = (int)roll(WORKERS);
  proc *p = members[who].p;
  unsigned what = roll(100);
  if (what < 60) ask_one(who);
  else if (what < 90) publish_one(who);
  else if (what < 92) proc_cut(p);
  else if (what < 94) p->stalled = true;
  else if (what < 97) p->stalled = false;
  else if (what < 98) tr_worker_stop(p->worker, s->now + TR_MILLISECONDS(roll(2000)));
  else if (p->state == TR_WORKER_OFF) tr_worker_start(p->worker);
  if (roll(8) == 0) stage_sleep(s, TR_MILLISECONDS(roll(300)));
  else if (roll(300) == 0) stage_sleep(s, TR_SECONDS(40));
}

static void calm_down(void) {
  s->cut_one_in = 0;
  for (int i = 0; i < WORKERS; i++) members[i].p->stalled = false;
  stage_sleep(s, TR_SECONDS(60)); /* every deadline, every back-off, every grace */
  for (int i = 0; i < WORKERS; i++)
    if (members[i].p->state == TR_WORKER_OFF) tr_worker_start(members[i].p->worker);
  stage_sleep(s, TR_SECONDS(60));
}

static void check_all_ended(void) {
  tr_host_stats stats;
  for (int i = 0; i < WORKERS; i++) {
    for (int n = 0; n < members[i].asked; n++)
      if (!members[i].asks[n].ended) CHECK_FAIL("request %d of %d has not ended", n + 1, i);
    CHECK_INT(members[i].p->state, ==, TR_WORKER_JOINED);
    CHECK(tr_worker_idle(members[i].p->worker));
  }
  tr_host_get_stats(h->host, &stats);
  CHECK_INT(stats.pending_requests, ==, 0);
  CHECK_INT(stats.streams, ==, WORKERS);
  CHECK_INT(stats.clients, ==, WORKERS);
  CHECK_INT(stats.malformed, ==, 0);
}

/* All is as if nothing had been: everybody hears everybody. */
static void check_all_works(void) {
  unsigned before = 0, after = 0, answered = good;
  for (int i = 0; i < WORKERS; i++) before += members[i].got;
  for (int i = 0; i < WORKERS; i++) {
    publish_one(i);
    members[i].asked -= members[i].asked == MOST; /* room for one more */
    memset(&members[i].asks[members[i].asked], 0, sizeof(asked));
    for (int j = 0; j < WORKERS; j++) members[j].requests[i] = 0;
    ask_one(i);
  }
  stage_sleep(s, TR_SECONDS(31));
  for (int i = 0; i < WORKERS; i++) after += members[i].got;
  CHECK_INT(after, ==, before + WORKERS * WORKERS / 2);
  CHECK_INT(good, ==, answered + WORKERS);
}

static void run(uint64_t seed) {
  begin(seed);
  s->cut_one_in = 40;
  for (int i = 0; i < STEPS; i++) step();
  calm_down();
  check_all_ended();
  CHECK_INT(s->cuts, >, 50);
  CHECK_INT(good, >, STEPS / 20);
  CHECK_INT(bad, >, STEPS / 50);
  check_all_works();
  stage_free(s);
}

CHECK_CASE(sixty_four_workers_whose_connections_break_anywhere) {
  for (uint64_t seed = 1; seed <= 6; seed++) run(seed);
}
