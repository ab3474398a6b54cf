/* SPDX-License-Identifier: MIT
 * Limits, each passed by one; silent and dead connections; the graceful end. */
#include "host_peer.h"

#include <stdlib.h>

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

CHECK_CASE(connections_are_limited_in_all) {
  tr_host_options o = { .max_connections = 3 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  CHECK(peer_new(s, "10.0.0.3:1", NULL) != NULL);
  CHECK(peer_new(s, "10.0.0.4:1", NULL) == NULL);
  CHECK_INT(stage_stats(s).refused, ==, 1);
  channel(p, "a");
  peer_cut(q);
  CHECK(peer_new(s, "10.0.0.4:1", NULL) != NULL);
  stage_free(s);
}

CHECK_CASE(connections_are_limited_per_address) {
  tr_host_options o = { .max_connections_per_address = 2 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.1:2", NULL);
  CHECK(peer_new(s, "10.0.0.1:3", NULL) == NULL);
  CHECK(peer_new(s, "10.0.0.2:3", NULL) != NULL);
  CHECK(peer_new(s, "unix", NULL) && peer_new(s, "unix", NULL) && !peer_new(s, "unix", NULL));
  peer_cut(q);
  CHECK(peer_new(s, "10.0.0.1:3", NULL) != NULL);
  stage_free(s);
}

CHECK_CASE(clients_are_limited) {
  tr_host_options o = { .max_clients = 3 };
  set(&o);
  pcall *a = channel(p, "a");
  channel(p, "b");
  reg(p, "c", "t");
  hear_end(call_open(p, "OpenChannel", "d", NULL, 0), 8, "too many clients (limit 3)");
  hear_end(call_open(p, "OpenControlChannel", "d", NULL, 0), 8, NULL);
  CHECK_INT(unary(p, "RegisterAgent", "d", register_bytes("u")), ==, 8);
  reg(p, "a", "u"); /* those that are there go on */
  cancel(a);
  CHECK_INT(unary(p, "RegisterAgent", "d", register_bytes("v")), ==, 8); /* away is there */
  stage_sleep(s, TR_SECONDS(31));
  reg(p, "d", "v");
  stage_free(s);
}

CHECK_CASE(types_and_subscriptions_are_limited_per_client) {
  tr_host_options o = { .max_types_per_client = 3, .max_subs_per_client = 3 };
  set(&o);
  pcall *a = channel(p, "a");
  for (int i = 0; i < 3; i++) {
    reg(p, "a", text("t%d", i).p);
    sub(p, "a", text("%d", i).p, "x", text("t%d", i).p);
  }
  CHECK_INT(unary(p, "RegisterAgent", "a", register_bytes("t3")), ==, 8);
  CHECK_INT(unary(p, "RegisterAgent", "a", register_bytes("t2")), ==, 3); /* that one it has */
  CHECK_INT(unary(p, "AddSubscription", "a", subscription_bytes("3", 2, "x", "t3")), ==, 8);
  reg(p, "b", "t3");
  sub(p, "b", "3", "x", "t3");
  CHECK_INT(unary(p, "RemoveSubscription", "b", pb_string(1, "0")), ==, 0); /* another removes one: there is room */
  sub(p, "a", "4", "x", "t4");
  CHECK_INT(unary(p, "AddSubscription", "a", subscription_bytes("5", 2, "x", "t5")), ==, 8);
  cancel(a);
  reg(p, "b", "t0"); /* and with a type */
  channel(p, "a");
  reg(p, "a", "t4");
  CHECK_INT(unary(p, "RegisterAgent", "a", register_bytes("t5")), ==, 8);
  stage_free(s);
}

CHECK_CASE(three_hundred_silent_connections_are_closed_while_others_are_served) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  for (int i = 0; i < 300; i++) {
    peer *q = peer_new(s, "10.0.0.9:1", NULL);
    q->mute = i % 2; /* not even a preface */
  }
  for (int i = 0; i < 10; i++) {
    stage_sleep(s, TR_SECONDS(2));
    say(a, request("1", "t", "k", "1"));
    serve(worker, "2");
    expect_answer(a, "1", "2");
  }
  CHECK_INT(stage_stats(s).connections, ==, 301);
  stage_sleep(s, TR_SECONDS(14));
  CHECK_INT(stage_stats(s).connections, ==, 1);
  CHECK(!a->closed);
  stage_free(s);
}

CHECK_CASE(an_idle_client_stays_for_ever_and_a_dead_one_does_not) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *b = channel(q, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  stage_sleep(s, TR_SECONDS(1000)); /* both answer pings */
  CHECK(!a->closed && !b->closed);
  CHECK_INT(count_subscriptions(p), ==, 1);
  q->stalled = true; /* it neither reads nor answers */
  stage_sleep(s, TR_SECONDS(185));
  CHECK_INT(stage_stats(s).connections, ==, 1);
  CHECK_INT(count_subscriptions(p), ==, 0);
  CHECK(!a->closed);
  stage_free(s);
}

CHECK_CASE(pings_every_twenty_seconds_are_answered_for_ever) {
  set(NULL);
  pcall *a = channel(p, "a");
  for (unsigned i = 1; i <= 200; i++) {
    tr_rpc_ping(p->rpc, i);
    stage_sleep(s, TR_SECONDS(20));
    CHECK_INT(p->pongs, ==, i);
  }
  CHECK(!a->closed && !p->goaway);
  stage_free(s);
}

CHECK_CASE(garbage_ends_its_connection_only) {
  set(NULL);
  pcall *a = channel(p, "a");
  static const char *const garbage[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello TLS",
                                         "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };
  for (size_t i = 0; i < 3; i++) {
    peer *q = peer_new(s, "10.0.0.2:1", NULL);
    tr_error error;
    tr_error_init(&error);
    q->mute = true;
    tr_host_feed(q->conn, tr_slice_of(garbage[i]), &error);
    q->dirty = true;
    stage_run(s);
    CHECK(!q->conn);
  }
  CHECK(silent(a) && !a->closed);
  CHECK_INT(stage_stats(s).connections, ==, 1);
  stage_free(s);
}

/* ---- the graceful end ---- */

CHECK_CASE(a_drain_without_requests_ends_streams_with_unavailable) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *b = channel(q, "b"), *half = channel(q, "half");
  pcall *c = call_open(q, "OpenControlChannel", "b", NULL, 0);
  tr_rpc_half_close(half->call);
  stage_run(s);
  CHECK(!tr_host_drained(s->host));
  tr_host_drain(s->host, s->now + TR_SECONDS(3));
  hear_end(a, 14, "the host is shutting down");
  hear_end(b, 14, NULL);
  hear_end(c, 14, NULL);
  hear_end(half, 0, NULL);
  CHECK(p->goaway && q->goaway);
  stage_sleep(s, TR_SECONDS(1));
  CHECK(tr_host_drained(s->host));
  CHECK_INT(stage_stats(s).connections, ==, 0);
  CHECK(peer_new(s, "10.0.0.2:2", NULL) == NULL);
  stage_free(s);
}

CHECK_CASE(a_drain_waits_for_open_requests_and_takes_no_new_ones) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker"), *other = channel(p, "other");
  reg(p, "worker", "t");
  reg(p, "other", "u");
  say(a, request("1", "t", "k", "1"));
  tr_slice there = hear(worker);
  tr_host_drain(s->host, s->now + TR_SECONDS(3));
  stage_sleep(s, TR_SECONDS(1));
  CHECK(!tr_host_drained(s->host) && !a->closed);
  say(a, request("2", "t", "k", "1"));
  expect_error(a, "2", "unavailable: ");
  say(worker, request("n", "u", "k", "1")); /* but one who has to answer may ask */
  serve(other, "5");
  expect_answer(worker, "n", "5");
  say(worker, response(request_id(there), "2"));
  expect_answer(a, "1", "2");
  hear_end(a, 14, NULL);
  hear_end(worker, 14, NULL);
  stage_sleep(s, TR_SECONDS(1));
  CHECK(tr_host_drained(s->host));
  stage_free(s);
}

CHECK_CASE(while_draining_nothing_is_registered) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  pcall *late = call_open(p, "RegisterAgent", "a", NULL, 0), *look = call_open(p, "GetSubscriptions", "a", NULL, 0);
  stage_run(s);
  tr_host_drain(s->host, s->now + TR_SECONDS(3));
  say(late, register_bytes("u"));
  tr_rpc_half_close(late->call);
  say(look, (tr_slice){ NULL, 0 });
  tr_rpc_half_close(look->call);
  hear_end(late, 14, "the host is shutting down");
  hear_end(look, 0, NULL);
  pcall *more = call_open(p, "OpenChannel", "b", NULL, 0); /* the peer has been told not to */
  stage_run(s);
  CHECK(more->closed);
  serve(worker, "2");
  expect_answer(a, "1", "2");
  hear_end(a, 14, NULL);
  stage_free(s);
}

CHECK_CASE(at_the_deadline_open_requests_fail_and_the_drain_ends) {
  set(NULL);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *worker = channel(q, "worker");
  reg(p, "worker", "t");
  say(a, request("1", "t", "k", "1"));
  hear(worker);
  q->stalled = true; /* and one that does not even read its end */
  tr_host_drain(s->host, s->now + TR_SECONDS(3));
  stage_sleep(s, TR_SECONDS(4));
  expect_error(a, "1", "unavailable: ");
  hear_end(a, 14, NULL);
  CHECK(!tr_host_drained(s->host));
  stage_sleep(s, TR_SECONDS(3));
  CHECK(tr_host_drained(s->host));
  stage_free(s);
}
