/* SPDX-License-Identifier: MIT
 * Events that a host has taken and cannot pass on: each is counted, told to the operator's list, and published for who listens. */
#include "host_peer.h"

static stage *s;
static peer *p;
static pcall *from, *ear;
static unsigned listed;

static void on_dead(void *ud, const tr_host_dead *letter) {
  (void)ud;
  CHECK_STR(letter->kind, "event");
  CHECK_TEXT(letter->topic, "x");
  listed++;
}

/* One client talks, one hears dead letters. */
static void set(uint64_t session_bytes) {
  tr_host_options o = { .session_bytes = session_bytes, .dead = on_dead };
  s = stage_new(&o);
  p = peer_new(s, "10.0.0.1:1", NULL);
  listed = 0;
  from = channel(p, "from");
  ear = channel(p, "ear");
  reg(p, "ear", "ear");
  sub(p, "ear", "1", "troupe.dead_letter", "ear");
}

static void tell(int count, const char *key, const char *body) {
  for (int i = 0; i < count; i++) say(from, event("x", key, body));
  stage_run(s);
}

static void expect_lost(unsigned least, int code) {
  unsigned count = (unsigned)stage_stats(s).dead_letters;
  CHECK_INT(count, >=, least);
  CHECK_INT(listed, ==, count);
  CHECK_INT(s->dead_letters, ==, count);
  CHECK_INT(s->dead_code, ==, code);
  CHECK_INT(stage_logged(s, "event.dead"), >, 0);
}

/* A message that waits for a stream costs a little more than one on its way. */
CHECK_CASE(what_had_not_left_a_broken_connection_and_finds_no_room) {
  set(20000);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  channel(q, "slow");
  reg(p, "slow", "t");
  sub(p, "slow", "2", "x", "t");
  q->stalled = true;
  tell(100, "k", "{}");
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  peer_cut(q);
  stage_run(s);
  expect_lost(10, TR_EOVERLOADED);
  stage_free(s);
}

static pcall *resume(peer *q, const char *had) {
  tr_rpc_header headers[] = { { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1") },
                              { TR_SLICE_LITERAL("troupe-received"), tr_slice_of(had) } };
  pcall *c = call_open(q, "OpenChannel", "ours", headers, 2);
  stage_run(s);
  return c;
}

CHECK_CASE(what_is_to_be_sent_again_and_finds_no_room) {
  set(20000);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *ours = resume(q, "0");
  reg(p, "ours", "t");
  sub(p, "ours", "2", "x", "t");
  say(ours, event("y", "k", "{}"));
  for (int i = 0; i < 20; i++) tell(1, "k", big(3000)); /* it has them, and does not say so */
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  peer_cut(q);
  stage_run(s);
  q = peer_new(s, "10.0.0.2:2", NULL);
  q->stalled = true;
  resume(q, "0");
  CHECK_INT(stage_stats(s).resent, ==, 20);
  expect_lost(10, TR_EOVERLOADED);
  stage_free(s);
}

/* One that comes back is sent them again; one that does not may have had them. */
CHECK_CASE(what_was_not_acknowledged_by_one_that_does_not_come_back) {
  for (int leaves = 0; leaves < 2; leaves++) {
    set(0);
    peer *q = peer_new(s, "10.0.0.2:1", NULL);
    pcall *ours = resume(q, "0");
    reg(p, "ours", "t");
    sub(p, "ours", "2", "x", "t");
    tell(3, "k", "{}");
    if (leaves) cancel(ours);
    else peer_cut(q);
    stage_run(s);
    stage_sleep(s, TR_SECONDS(29));
    CHECK_INT(stage_stats(s).dead_letters, ==, 0);
    stage_sleep(s, TR_SECONDS(2));
    if (leaves) CHECK_INT(stage_stats(s).dead_letters, ==, 0);
    else expect_lost(3, TR_EUNAVAILABLE);
    stage_free(s);
  }
}

static void retain(const char *topic, unsigned most) {
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_host_retain(s->host, tr_slice_of(topic), most, &error), ==, 0);
}

CHECK_CASE(what_was_retained_and_finds_no_room_at_who_comes_late) {
  set(20000);
  retain("x", 30);
  tell(30, "k", big(3000));
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  troupe_channel(q, "late");
  reg(p, "late", "t");
  q->stalled = true;
  sub(p, "late", "2", "x", "t");
  stage_run(s);
  expect_lost(20, TR_EOVERLOADED);
  stage_free(s);
}

/* Its member is not there any more when the host learns that the id cannot go to the other. */
CHECK_CASE(what_waits_for_an_id_that_moves_when_its_workers_are_lost) {
  enum { LEAVE = 5 };
  static const char *const ids[] = { "one", "two" };
  static const tr_rpc_header shared = { TR_SLICE_LITERAL("troupe-shared"), TR_SLICE_LITERAL("1") };
  peer *q[2];
  set(0);
  for (int i = 0; i < 2; i++) {
    q[i] = peer_new(s, "10.0.0.2:1", NULL);
    troupe_channel(q[i], ids[i]);
    pcall *calls[] = { call_open(q[i], "RegisterAgent", ids[i], &shared, 1), call_open(q[i], "AddSubscription", ids[i], &shared, 1) };
    say(calls[0], register_bytes("t"));
    say(calls[1], subscription_bytes(text("s%d", i).p, 2, "x", "t"));
    for (int k = 0; k < 2; k++) tr_rpc_half_close(calls[k]->call);
    stage_run(s);
    for (int k = 0; k < 20 && i == 0; k++) tell(1, text("k%d", k).p, "{}"); /* all go to the first; some are to move to the second */
  }
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(stage_stats(s).moves, >, 0);
  for (int k = 0; k < 20; k++) tell(3, text("k%d", k).p, "{}");
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  peer_cut(q[1]);
  peer_cut(q[0]);
  stage_run(s);
  expect_lost(3, TR_EUNAVAILABLE);
  stage_free(s);
}

/* A letter that is retained itself goes into the ring that is being given from. */
CHECK_CASE(dead_letters_that_are_retained_themselves) {
  set(20000);
  retain("x", 30);
  retain("troupe.dead_letter", 5);
  tell(30, "k", big(3000));
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  troupe_channel(q, "late");
  reg(p, "late", "t");
  q->stalled = true;
  sub_prefix(p, "late", "2", "", "t");
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(s->dead_letters, >, 10);
  stage_free(s);
}
