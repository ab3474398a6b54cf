/* SPDX-License-Identifier: MIT
 * A worker that does not take what comes for it: what is dropped, who is held back, and that nobody else notices. */
#include "host_peer.h"

#include <stdio.h>

enum { BOUND = 2 << 20, SIZE = 4096, MANY = 2048 }; /* eight megabytes: four times the bound */

static stage *s;
static peer *slow_peer, *sender_peer, *quick_peer;
static pcall *slow, *sender, *quick;

static void set_bound(bool block, uint64_t bound) {
  tr_host_options o = { .session_bytes = bound, .block_senders = block };
  s = stage_new(&o);
  slow_peer = peer_new(s, "10.0.0.1:1", NULL);
  sender_peer = peer_new(s, "10.0.0.2:1", NULL);
  quick_peer = peer_new(s, "10.0.0.3:1", NULL);
  slow = channel(slow_peer, "slow");
  sender = channel(sender_peer, "sender");
  quick = channel(quick_peer, "quick");
  reg(slow_peer, "slow", "s");
  sub(slow_peer, "slow", "1", "flood", "s");
  reg(quick_peer, "quick", "q");
  sub(quick_peer, "quick", "2", "news", "q");
  slow_peer->stalled = true;
}

static void set(bool block) { set_bound(block, BOUND); }

static void flood(void) {
  char head[16];
  for (int i = 0; i < MANY; i++) {
    snprintf(head, sizeof head, "%05d", i);
    say(sender, event("flood", head, big(SIZE)));
    if (i % 64 == 63) stage_run(s);
  }
  stage_run(s);
}

static void expect_all(void) {
  char head[16];
  slow_peer->stalled = false;
  for (int i = 0; i < MANY; i++) {
    snprintf(head, sizeof head, "%05d", i);
    CHECK_TEXT(pb_get(pb_get(hear(slow), 3), 2), head); /* in order, each once */
  }
  CHECK(silent(slow));
}

/* Others publish, ask and are asked meanwhile. */
static void others_go_on(void) {
  for (int i = 0; i < 10; i++) {
    say(quick, event("news", "k", "1"));
    CHECK_TEXT(topic_of(hear(quick)), "news");
    say(quick, request("1", "q", "k", "2"));
    serve(quick, "3");
    expect_answer(quick, "1", "3");
  }
}

CHECK_CASE(by_default_what_does_not_fit_is_dropped_and_counted) {
  set(false);
  flood();
  others_go_on();
  tr_host_stats stats = stage_stats(s);
  CHECK_INT(stats.dead_letters, >, 0);
  CHECK_INT(stats.held, ==, 0);
  say(quick, request("1", "s", "k", big(2 * SIZE)));
  expect_error(quick, "1", "overloaded: the queue to the agent's worker is full");
  slow_peer->stalled = false;
  stage_run(s);
  CHECK_INT(slow->count, ==, MANY - stats.dead_letters);
  stage_free(s);
}

CHECK_CASE(its_senders_are_held_back_where_that_is_chosen_and_nothing_is_lost) {
  set(true);
  flood();
  CHECK_INT(stage_stats(s).held, >, 0);
  others_go_on();
  CHECK_INT(tr_rpc_queued(sender->call), >, 0); /* it waits there */
  expect_all();
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  CHECK_INT(stage_told(s, "client.slow"), ==, 1);
  say(sender, event("flood", "more", "1"));
  CHECK_TEXT(topic_of(hear(slow)), "flood");
  stage_free(s);
}

CHECK_CASE(nothing_is_lost_however_small_the_bound_is) {
  set_bound(true, 64 << 10); /* a sixteenth of what a sender may have on its way */
  say(slow, request("7", "q", "k", "1"));
  slow_peer->stalled = false;
  tr_slice id = request_id(hear(quick));
  slow_peer->stalled = true;
  for (int i = 0; i < 100; i++) say(sender, event("flood", "k", big(50000)));
  stage_run(s);
  CHECK_INT(tr_rpc_queued(sender->call), >, 0);
  say(quick, response(id, "\"answer\"")); /* and an answer still passes */
  stage_run(s);
  CHECK_INT(stage_told(s, "client.stuck"), ==, 0);
  slow_peer->stalled = false;
  stage_run(s);
  CHECK_INT(slow->count, ==, 101);
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  stage_free(s);
}

CHECK_CASE(one_who_takes_nothing_at_all_is_not_waited_for_for_ever) {
  set(true);
  flood();
  CHECK_INT(tr_rpc_queued(sender->call), >, 0);
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(stage_logged(s, "client.frozen"), ==, 1);
  CHECK_INT(tr_rpc_queued(sender->call), ==, 0);
  CHECK_INT(stage_stats(s).dead_letters, >, 0);
  slow_peer->stalled = false;
  stage_run(s);
  unsigned had = slow->count;
  CHECK_INT(had + stage_stats(s).dead_letters, ==, MANY);
  slow_peer->stalled = true; /* and after it has caught up, it is as before */
  uint64_t held = stage_stats(s).held;
  flood();
  CHECK_INT(stage_stats(s).held, >, held);
  stage_free(s);
}

CHECK_CASE(who_was_held_back_for_one_that_goes_is_let_go) {
  set(true);
  flood();
  CHECK_INT(tr_rpc_queued(sender->call), >, 0);
  peer_cut(slow_peer);
  stage_run(s);
  CHECK_INT(tr_rpc_queued(sender->call), ==, 0);
  others_go_on();
  stage_free(s);
}

CHECK_CASE(who_is_held_back_may_go) {
  set(true);
  flood();
  CHECK_INT(tr_rpc_queued(sender->call), >, 0);
  peer_cut(sender_peer);
  slow_peer->stalled = false;
  stage_run(s);
  CHECK_INT(slow->count, >, 0);
  CHECK_INT(stage_stats(s).dead_letters, ==, 0);
  stage_free(s);
}

CHECK_CASE(answers_pass_a_full_receiver) {
  set(true);
  say(slow, request("7", "q", "k", "1"));
  slow_peer->stalled = false;
  tr_slice id = request_id(hear(quick));
  slow_peer->stalled = true;
  flood();
  say(quick, response(id, "\"answer\""));
  stage_run(s);
  slow_peer->stalled = false;
  stage_run(s);
  unsigned events = 0, answers = 0;
  while (slow->count) {
    tr_slice message = hear(slow);
    if (pb_count(message, 3)) events++;
    else if (tr_slice_is(body_of(message), "\"answer\"")) answers++;
  }
  CHECK_INT(events, ==, MANY);
  CHECK_INT(answers, ==, 1);
  stage_free(s);
}
