/* SPDX-License-Identifier: MIT
 * Clients and streams: who has which, what outlives what. */
#include "host_peer.h"

#include <stdlib.h>

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

CHECK_CASE(headers_come_at_once_and_versions_are_exchanged) {
  set(NULL);
  pcall *plain = channel(p, "plain"), *ours = troupe_channel(p, "ours");
  CHECK(plain->headers && ours->headers);
  CHECK_STR(plain->version, "");
  CHECK_STR(ours->version, "9.9");
  stage_free(s);
}

CHECK_CASE(several_clients_on_one_connection_and_one_on_several) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.1:2", NULL), *r = peer_new(s, "10.0.0.1:3", NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(q, "a", "ta");
  sub(r, "a", "1", "x", "ta");
  reg(r, "b", "tb");
  sub(q, "b", "2", "x", "tb");
  peer_cut(q); /* none of its streams */
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(a)), "x");
  CHECK_TEXT(topic_of(hear(b)), "x");
  tr_host_stats stats = stage_stats(s);
  CHECK_INT(stats.connections, ==, 2);
  CHECK_INT(stats.clients, ==, 2);
  CHECK_INT(stats.streams, ==, 2);
  stage_free(s);
}

CHECK_CASE(within_the_grace_a_client_finds_all_again) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  cancel(b);
  CHECK_INT(count_subscriptions(p), ==, 0); /* hidden */
  for (int i = 0; i < 50; i++) say(a, event("x", text("%d", i).p, "{}"));
  stage_sleep(s, TR_SECONDS(29));
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  b = channel(q, "b");
  for (int i = 0; i < 50; i++) CHECK_TEXT(pb_get(pb_get(hear(b), 3), 2), text("%d", i).p);
  CHECK(silent(b));
  CHECK_INT(count_subscriptions(p), ==, 1);
  say(a, request("1", "t", "k", "1"));
  serve(b, "2");
  expect_answer(a, "1", "2");
  stage_sleep(s, TR_SECONDS(100)); /* the old grace does not strike */
  CHECK_INT(count_subscriptions(p), ==, 1);
  stage_free(s);
}

CHECK_CASE(after_the_grace_all_is_forgotten) {
  tr_host_options o = { .grace = TR_SECONDS(3) };
  set(&o);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  sub(q, "b", "2", "y", "t");
  cancel(b);
  say(a, event("x", "k", "{}"));
  say(a, request("1", "t", "k", "1"));
  expect_error(a, "1", "unavailable: ");
  stage_sleep(s, TR_SECONDS(4));
  CHECK_INT(stage_stats(s).clients, ==, 1);
  CHECK_INT(stage_stats(s).dead_letters, ==, 1);
  say(a, request("2", "t", "k", "1"));
  expect_error(a, "2", "not_found: ");
  b = channel(p, "b");
  CHECK(silent(b));
  CHECK_INT(count_subscriptions(p), ==, 0);
  reg(p, "b", "t");
  stage_free(s);
}

CHECK_CASE(events_for_an_away_client_are_bounded) {
  tr_host_options o = { .session_bytes = 20000 };
  set(&o);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  cancel(b);
  for (int i = 0; i < 500; i++) say(a, event("x", text("%d", i).p, "{}"));
  stage_run(s);
  unsigned dead = (unsigned)stage_stats(s).dead_letters;
  CHECK_INT(dead, >, 300);
  b = channel(p, "b");
  int got = 0;
  for (; !silent(b); got++) CHECK_TEXT(pb_get(pb_get(hear(b), 3), 2), text("%d", got).p);
  CHECK_INT(got + (int)dead, ==, 500);
  stage_free(s);
}

CHECK_CASE(a_type_of_an_away_client_goes_to_whoever_asks) {
  set(NULL);
  pcall *old = channel(p, "old"), *a = channel(p, "a");
  reg(p, "old", "t");
  reg(p, "old", "kept");
  sub(p, "old", "1", "x", "t");
  sub(p, "old", "2", "x", "kept");
  sub_prefix(p, "old", "3", "t:", "t");
  pcall *young = channel(p, "young");
  CHECK_INT(unary(p, "RegisterAgent", "young", register_bytes("t")), ==, 3);
  cancel(old);
  reg(p, "young", "t"); /* at once */
  sub(p, "young", "1", "x", "t");
  sub_prefix(p, "young", "9", "t:", "t");
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(young)), "x");
  CHECK(silent(young));
  say(a, request("1", "t", "k", "1"));
  serve(young, "2");
  expect_answer(a, "1", "2");
  old = channel(p, "old"); /* it is back: what nobody took is its own again */
  CHECK_TEXT(topic_of(hear(old)), "x");
  CHECK_INT(count_subscriptions(p), ==, 3);
  CHECK_INT(unary(p, "RegisterAgent", "old", register_bytes("t")), ==, 3);
  say(a, request("2", "kept", "k", "1"));
  serve(old, "3");
  expect_answer(a, "2", "3");
  cancel(old);
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(count_subscriptions(p), ==, 2);
  say(a, request("3", "t", "k", "1")); /* its end takes nothing of the other's */
  serve(young, "4");
  expect_answer(a, "3", "4");
  stage_free(s);
}

CHECK_CASE(an_away_clients_subscription_does_not_stand_in_the_way) {
  set(NULL);
  pcall *old = channel(p, "old");
  sub(p, "old", "1", "x", "t");
  sub(p, "old", "2", "y", "t");
  cancel(old);
  channel(p, "young");
  sub(p, "young", "2", "x", "t"); /* one has its id, the other its topic */
  CHECK_INT(count_subscriptions(p), ==, 1);
  channel(p, "old");
  CHECK_INT(count_subscriptions(p), ==, 1);
  stage_free(s);
}

CHECK_CASE(an_away_client_may_register_again_before_it_reopens) {
  set(NULL);
  pcall *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  cancel(b);
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  channel(p, "b");
  CHECK_INT(count_subscriptions(p), ==, 1);
  stage_free(s);
}

CHECK_CASE(the_newest_stream_wins_and_the_oldest_ends_harmlessly) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *one = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  pcall *two = call_open(q, "OpenChannel", "b", NULL, 0), *three = call_open(q, "OpenChannel", "b", NULL, 0);
  stage_run(s);
  hear_end(one, 10, "replaced by a newer stream of the same client-id");
  hear_end(two, 10, NULL);
  CHECK(!three->closed);
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(three)), "x");
  peer_cut(p); /* the old stream's connection goes altogether */
  CHECK_INT(count_subscriptions(q), ==, 1);
  CHECK_INT(stage_stats(s).streams, ==, 1);
  stage_free(s);
}

CHECK_CASE(a_client_with_nothing_leaves_nothing) {
  set(NULL);
  for (int i = 0; i < 50; i++) cancel(channel(p, text("c%d", i).p));
  CHECK_INT(stage_stats(s).clients, ==, 0);
  unary(p, "GetSubscriptions", "x", (tr_slice){ NULL, 0 });
  unary(p, "RemoveSubscription", "x", pb_string(1, "1"));
  unary(p, "RegisterAgent", "x", text("\xff"));
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_stream_with_a_deadline_ends_at_it) {
  set(NULL);
  pcall *a = call_open(p, "OpenChannel", "a", NULL, 0);
  tr_rpc_cancel(a->call);
  stage_run(s);
  pcall *c = (pcall *)calloc(1, sizeof *c);
  c->on = p;
  c->end = &c->first;
  tr_rpc_header id = { TR_SLICE_LITERAL("client-id"), TR_SLICE_LITERAL("timed") };
  c->call = tr_rpc_call_new(p->rpc, TR_SLICE_LITERAL("/agents.AgentRpc/OpenChannel"), &id, 1, 300000);
  tr_rpc_call_set_ud(c->call, c);
  stage_sleep(s, TR_MILLISECONDS(250));
  CHECK(c->headers && !c->closed);
  stage_sleep(s, TR_MILLISECONDS(100));
  hear_end(c, 4, "Deadline Exceeded");
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
  free(c);
}

/* ---- the control channel ---- */

static tr_slice control(const char *id, const char *destination, const char *respond_to) {
  tr_slice c = join(pb_string(1, id), pb_string(2, destination));
  if (respond_to) c = join(c, pb_string(3, respond_to));
  return join(c, pb_field(4, join(pb_string(1, "type.googleapis.com/agents.SaveStateRequest"), pb_string(2, ""))));
}

CHECK_CASE(control_messages_go_to_their_destination_unchanged) {
  set(NULL);
  pcall *a = call_open(p, "OpenControlChannel", "a", NULL, 0), *b = call_open(p, "OpenControlChannel", "b", NULL, 0);
  stage_run(s);
  CHECK(a->headers);
  reg(p, "b", "t");
  tr_slice sent = control("1", "agentid=t/key/with/slashes", "clientid=a");
  say(a, sent);
  tr_slice there = hear(b);
  CHECK_MEM(there.p, there.n, sent.p, sent.n);
  sent = control("1", "clientid=a", NULL);
  say(b, sent);
  there = hear(a);
  CHECK_MEM(there.p, there.n, sent.p, sent.n);
  static const char *const nowhere[] = { "agentid=t", "agentid=none/k", "clientid=none", "clientid=", "agentid=", "", "t/k" };
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) say(a, control("2", nowhere[i], "clientid=a"));
  say(a, text("\x0a\x7f"));
  CHECK(silent(b) && silent(a));
  CHECK_INT(stage_logged(s, "control.dropped"), ==, 3); /* of seven: with doubling */
  CHECK(!a->closed && !b->closed);
  stage_free(s);
}

CHECK_CASE(the_control_channel_has_its_bounds) {
  tr_host_options o = { .max_message = 10000, .session_bytes = 20000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = call_open(p, "OpenControlChannel", "a", NULL, 0), *b = call_open(q, "OpenControlChannel", "b", NULL, 0);
  stage_run(s);
  q->stalled = true;
  for (int i = 0; i < 5; i++) say(a, control(big(5000), "clientid=b", NULL));
  say(a, control(big(20000), "clientid=b", NULL));
  stage_run(s);
  CHECK_INT(stage_logged(s, "control.dropped"), ==, 2);
  CHECK_INT(stage_stats(s).oversize, ==, 1);
  q->stalled = false;
  q->dirty = true;
  for (int i = 0; i < 3; i++) CHECK_INT(pb_get(hear(b), 1).n, ==, 5000);
  CHECK(silent(b) && !a->closed && !b->closed);
  stage_free(s);
}

CHECK_CASE(the_control_channel_comes_and_goes_alone) {
  set(NULL);
  pcall *a = channel(p, "a"), *c = call_open(p, "OpenControlChannel", "a", NULL, 0);
  stage_run(s);
  reg(p, "a", "t");
  sub(p, "a", "1", "x", "t");
  cancel(c);
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(a)), "x");
  c = call_open(p, "OpenControlChannel", "a", NULL, 0);
  stage_run(s);
  pcall *d = call_open(p, "OpenControlChannel", "a", NULL, 0);
  hear_end(c, 10, NULL);
  cancel(a);
  stage_sleep(s, TR_SECONDS(31));
  CHECK(!d->closed);
  CHECK_INT(stage_stats(s).clients, ==, 1);
  cancel(d);
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

/* ---- what the log says of them ---- */

CHECK_CASE(who_comes_and_goes_with_a_type_is_logged_once_each) {
  set(NULL);
  pcall *a = channel(p, "a");
  CHECK_INT(stage_told(s, "client.joined"), ==, 0);
  reg(p, "a", "t");
  CHECK_INT(stage_told(s, "client.joined"), ==, 1);
  CHECK_STR(stage_line(s, "client.joined"), "client=a stream=1 troupe=0");
  reg(p, "a", "u");
  CHECK_INT(stage_told(s, "client.joined"), ==, 1);
  cancel(a);
  CHECK_INT(stage_told(s, "client.left"), ==, 1);
  CHECK_STR(stage_line(s, "client.left"), "client=a reason=\"left\"");
  a = channel(p, "a"); /* with its types */
  CHECK_INT(stage_told(s, "client.joined"), ==, 2);
  CHECK_STR(stage_line(s, "client.joined"), "client=a stream=2 troupe=0");
  peer_cut(p);
  CHECK_INT(stage_told(s, "client.left"), ==, 2);
  CHECK_STR(stage_line(s, "client.left"), "client=a reason=\"connection closed\"");
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(stage_told(s, "client.forgotten"), ==, 1);
  p = peer_new(s, "10.0.0.1:1", NULL);
  reg(p, "early", "t"); /* before its stream, as .NET does */
  CHECK_INT(stage_told(s, "client.joined"), ==, 2);
  channel(p, "early");
  CHECK_INT(stage_told(s, "client.joined"), ==, 3);
  stage_free(s);
}

CHECK_CASE(short_lived_clients_do_not_flood_the_log) {
  set(NULL);
  for (int i = 0; i < 1000; i++) {
    peer *q = peer_new(s, "10.0.0.2:1", NULL);
    pcall *c = i % 2 ? channel(q, text("c%d", i).p) : troupe_channel(q, text("c%d", i).p);
    say(c, event("nobody", "k", "1"));
    say(c, request("1", "nobody", "k", "1"));
    stage_run(s);
    if (i % 3) cancel(c);
    peer_cut(q);
  }
  stage_sleep(s, TR_SECONDS(40));
  unsigned all = 0;
  for (size_t i = 0; i < sizeof s->lines / sizeof *s->lines; i++) all += s->lines[i].told;
  CHECK_INT(all, ==, 0);
  CHECK_INT(stage_logged(s, "client.joined"), ==, 1000);
  CHECK_INT(stage_logged(s, "client.left"), ==, 1000);
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

CHECK_CASE(refused_and_silent_connections_do_not_flood_the_log) {
  set(&(tr_host_options){ .max_connections = 101 });
  for (int i = 0; i < 100; i++) {
    peer *q = peer_new(s, "10.0.0.2:1", NULL);
    q->mute = q->stalled = true;
  }
  for (int i = 0; i < 1000; i++) CHECK(!peer_new(s, "10.0.0.3:1", NULL));
  CHECK_INT(stage_told(s, "connection.refused"), ==, 10); /* at 1, 2, 4 … 512 */
  stage_sleep(s, TR_SECONDS(40));
  CHECK_INT(stage_logged(s, "connection.killed"), ==, 100);
  CHECK_INT(stage_told(s, "connection.killed"), ==, 0);
  stage_free(s);
}

/* Its worker waits for that answer before it sends anything, so where nothing came it may have been lost with its connection. */
CHECK_CASE(a_client_that_was_forgotten_is_told_so_until_it_has_said_something) {
  static const char *const had[] = { "5", "5", "0" }, *const answers[] = { "none", "none", "1" };
  s = stage_new(NULL);
  for (int i = 0; i < 3; i++) {
    tr_rpc_header headers[] = { { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1") },
                                { TR_SLICE_LITERAL("troupe-received"), tr_slice_of(had[i]) } };
    p = peer_new(s, "10.0.0.1:1", NULL);
    pcall *c = call_open(p, "OpenChannel", "w", headers, 2);
    stage_run(s);
    CHECK_STR(c->received, answers[i]);
    if (i == 0) reg(p, "w", "t"); /* so that it is kept */
    if (i == 1) say(c, event("x", "k", "{}"));
    stage_run(s);
    peer_cut(p);
  }
  stage_free(s);
}
