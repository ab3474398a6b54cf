/* SPDX-License-Identifier: MIT
 * Events: who gets them, how often, and what becomes of those that cannot be delivered. */
#define _GNU_SOURCE /* memmem */
#include "host_peer.h"

#include <stdlib.h>

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

CHECK_CASE(an_event_goes_as_it_came_to_every_match_once) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b"), *c = channel(p, "c");
  reg(p, "a", "ta");
  reg(p, "b", "tb");
  reg(p, "b", "tb2");
  reg(p, "c", "tc");
  sub(p, "a", "1", "news", "ta");
  sub(p, "b", "2", "news", "tb");
  sub(p, "b", "3", "news", "tb2");
  sub_prefix(p, "b", "4", "ne", "tb");
  sub_prefix(p, "b", "5", "", "tb");
  sub(p, "c", "6", "other", "tc");
  tr_slice sent = event("news", "me", "{\"text\":\"hi\"}");
  say(a, sent);
  tr_slice at_a = hear(a), at_b = hear(b);
  CHECK_MEM(at_a.p, at_a.n, sent.p, sent.n); /* its sender's client too */
  CHECK_MEM(at_b.p, at_b.n, sent.p, sent.n);
  CHECK(silent(a) && silent(b) && silent(c));
  CHECK_INT(stage_stats(s).events, ==, 1);
  CHECK_INT(stage_stats(s).deliveries, ==, 2);
  stage_free(s);
}

CHECK_CASE(order_is_kept_at_any_split_of_the_bytes) {
  set(NULL);
  s->split = true;
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  for (int i = 0; i < 300; i++) say(a, event("x", "k", text("%d %s", i, i % 10 ? "" : big(3000)).p));
  for (int i = 0; i < 300; i++) CHECK_INT(atoi(body_of(hear(b)).p), ==, i);
  stage_free(s);
}

CHECK_CASE(an_event_nobody_wants_goes_nowhere) {
  set(NULL);
  pcall *a = channel(p, "a");
  sub(p, "a", "1", "x", "nobody's");
  say(a, event("x", "k", "{}"));
  say(a, event("y", "k", "{}"));
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).events, ==, 2);
  CHECK_INT(stage_stats(s).deliveries, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_topic_that_breaks_the_rules_is_refused) {
  set(NULL);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  sub_prefix(p, "a", "1", "", "t");
  say(a, event("with space", "k", "{}"));
  say(a, event("", "k", "{}"));
  say(a, event("t\xc3\xa4:rpc_request=1.-", "k", "{}"));
  CHECK_TEXT(topic_of(hear(a)), "t\xc3\xa4:rpc_request=1.-");
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).refused, ==, 2);
  CHECK_INT(stage_logged(s, "event.refused"), ==, 2);
  stage_free(s);
}

CHECK_CASE(reserved_topics_and_sources_are_not_for_clients_to_write) {
  set(NULL);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  sub_prefix(p, "a", "1", "", "t");
  say(a, event("troupe.dead_letter", "k", "{}"));
  say(a, event("x", "troupe.k", "{}"));
  say(a, event("troupe", "troupe", "{}"));
  CHECK_TEXT(topic_of(hear(a)), "troupe");
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).refused, ==, 2);
  stage_free(s);
}

CHECK_CASE(a_subscription_may_come_before_the_type_and_from_another_client) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  sub(p, "a", "1", "x", "t");
  say(a, event("x", "0", "{}"));
  CHECK(silent(b));
  reg(p, "b", "t");
  say(a, event("x", "1", "{}"));
  CHECK_TEXT(topic_of(hear(b)), "x");
  CHECK_INT(unary(p, "RemoveSubscription", "b", pb_string(1, "1")), ==, 0);
  say(a, event("x", "2", "{}"));
  CHECK(silent(b));
  stage_free(s);
}

CHECK_CASE(a_half_closed_worker_goes_on_receiving) {
  set(NULL);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  tr_rpc_half_close(b->call);
  stage_sleep(s, TR_SECONDS(100));
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(b)), "x");
  CHECK(!b->closed);
  stage_free(s);
}

CHECK_CASE(a_receiver_that_does_not_read_loses_events_and_holds_up_nobody) {
  tr_host_options o = { .session_bytes = 20000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *a = channel(p, "a"), *slow = channel(q, "slow"), *quick = channel(p, "quick");
  reg(p, "slow", "t");
  reg(p, "quick", "u");
  sub(p, "slow", "1", "x", "t");
  sub(p, "quick", "2", "x", "u");
  q->stalled = true;
  for (int i = 0; i < 50; i++) {
    say(a, event("x", "k", text("%d %s", i, big(3000)).p));
    CHECK_INT(atoi(body_of(hear(quick)).p), ==, i);
  }
  tr_host_stats stats = stage_stats(s);
  CHECK_INT(stats.dead_letters, >, 40);
  CHECK_INT(stats.dead_letters + stats.deliveries, ==, 100);
  CHECK_INT(stats.overloaded, ==, stats.dead_letters);
  tr_core_stats core;
  tr_core_get_stats(s->core, &core);
  CHECK_INT(core.dead_letters, ==, 0); /* nobody listens: they are not even decoded */
  sub(p, "quick", "3", "troupe.dead_letter", "u");
  say(a, event("x", "k", big(3000)));
  hear(quick);
  tr_core_get_stats(s->core, &core);
  CHECK_INT(core.dead_letters, ==, 1);
  stats = stage_stats(s);
  CHECK_INT(stage_logged(s, "event.dead"), <, 8); /* with doubling */
  q->stalled = false;
  q->dirty = true;
  int got = 0;
  for (; !silent(slow); got++) CHECK_INT(atoi(body_of(hear(slow)).p), ==, got);
  CHECK_INT(got, ==, 51 - (int)stats.dead_letters);
  say(a, event("x", "k", "50"));
  CHECK_TEXT(body_of(hear(slow)), "50"); /* it is well again */
  stage_free(s);
}

CHECK_CASE(an_oversize_event_is_skipped_and_the_stream_lives) {
  tr_host_options o = { .max_message = 10000 };
  set(&o);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  sub(p, "a", "1", "x", "t");
  say(a, event("x", "k", big(20000)));
  say(a, event("x", "k", "{}"));
  CHECK_TEXT(body_of(hear(a)), "{}");
  CHECK(silent(a));
  CHECK_INT(stage_stats(s).oversize, ==, 1);
  CHECK_INT(stage_logged(s, "message.oversize"), ==, 1);
  pcall *c = unary_call(p, "RegisterAgent", "a", register_bytes(big(20000)), false);
  CHECK_INT(c->status, ==, 8);
  CHECK_STR(c->text, "Received message larger than max (20004 vs. 10000)");
  stage_free(s);
}

CHECK_CASE(malformed_messages_are_counted_and_the_stream_lives) {
  set(NULL);
  pcall *a = channel(p, "a"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  for (int i = 0; i < 20; i++) say(a, text("\x0a\x7f broken"));
  say(a, (tr_slice){ NULL, 0 });                                    /* an empty Message */
  say(a, pb_string(77, "something new"));                           /* of no known kind */
  say(a, pb_field(1, join(pb_string(1, "1"), text("\x2a\x7f"))));   /* a request that is cut: its caller hears of it */
  expect_error(a, "1", "invalid: ");
  say(a, request("2", "t", "k", "1"));
  tr_slice there = hear(worker);
  say(worker, pb_field(2, join(pb_field(1, request_id(there)), text("\x12\x7f")))); /* and so with an answer */
  expect_error(a, "2", "invalid: ");
  CHECK_INT(stage_stats(s).malformed, ==, 24);
  CHECK_INT(stage_logged(s, "message.malformed"), <=, 7);
  CHECK(!a->closed && !worker->closed);
  stage_free(s);
}

/* ---- .NET ---- */

static peer *dotnet(void) { return peer_new(s, "10.0.0.3:1", "grpc-dotnet/2.62.0 (.NET 8.0.1; CLR 8.0.1; net8.0; linux; x64)"); }

CHECK_CASE(a_dotnet_worker_gets_only_events_it_can_take) {
  set(NULL);
  peer *q = dotnet();
  pcall *a = channel(p, "a"), *d = channel(q, "d");
  reg(q, "d", "t");
  sub(q, "d", "5b7fb1ec-0f7b-4bb8-9d5f-9d7f6a1b2c3d", "x", "t");
  say(a, event("x", "k", "{}"));              /* JSON */
  say(a, proto_event("x", "", "my.Type"));    /* a blank key */
  say(a, proto_event("x", "k\n", "my.Type")); /* no printable one */
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 3);
  say(a, proto_event("x", "k", "my.Type"));
  CHECK_TEXT(topic_of(hear(d)), "x");
  stage_free(s);
}

CHECK_CASE(a_dotnet_worker_is_known_before_its_stream) {
  set(NULL);
  peer *q = dotnet();
  pcall *a = channel(p, "a");
  reg(q, "d", "t");
  sub(q, "d", "1", "x", "t");
  say(a, event("x", "k", "{}"));
  say(a, proto_event("x", "k", "my.Type"));
  stage_run(s);
  pcall *d = channel(q, "d");
  CHECK_INT(pb_count(pb_get(hear(d), 3), 8), ==, 1);
  CHECK(silent(d));
  stage_free(s);
}

static tr_slice dotnet_request(const char *id, const char *type, const char *key, const char *content_type) {
  tr_slice r = join(pb_string(1, id), pb_field(2, agent("asker", "a")));
  r = join(r, pb_field(3, agent(type, key)));
  return pb_field(1, join(r, pb_field(5, payload("my.Ask", content_type, "any"))));
}

CHECK_CASE(error_answers_are_withheld_from_a_dotnet_caller) {
  set(NULL);
  peer *q = dotnet();
  pcall *d = channel(q, "d"), *worker = channel(p, "worker");
  reg(p, "worker", "t");
  say(d, dotnet_request("1", "nobody", "k", "application/x-protobuf"));
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 1);
  say(d, dotnet_request("2", "t", "k", "application/x-protobuf"));
  say(worker, error_response(request_id(hear(worker)), "no"));
  say(d, dotnet_request("3", "t", "k", "application/x-protobuf"));
  say(worker, response(request_id(hear(worker)), "{}")); /* JSON */
  say(d, dotnet_request("4", "t", "k", "application/x-protobuf"));
  say(worker, pb_field(2, pb_field(1, request_id(hear(worker))))); /* neither error nor payload */
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 4);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  say(d, dotnet_request("5", "t", "k", "application/x-protobuf"));
  tr_slice id = request_id(hear(worker));
  say(worker, pb_field(2, join(pb_field(1, id), pb_field(2, payload("my.Answer", "application/x-protobuf", "any")))));
  CHECK_TEXT(request_id(hear(d)), "5");
  stage_free(s);
}

CHECK_CASE(a_dotnet_worker_is_not_asked_what_would_throw_it_off) {
  set(NULL);
  peer *q = dotnet();
  pcall *a = channel(p, "a"), *d = channel(q, "d");
  reg(q, "d", "t");
  say(a, request("1", "t", "k", "{}"));
  expect_error(a, "1", "cant_handle: ");
  say(a, dotnet_request("2", "t", " ", "application/x-protobuf"));
  expect_error(a, "2", "cant_handle: ");
  say(a, dotnet_request("3", "t", "k", "application/x-protobuf"));
  CHECK_TEXT(pb_get(pb_get(pb_get(hear(d), 1), 5), 1), "my.Ask");
  tr_slice numbers = tr_slice_make("\x78\x96\x01\x7d" "abcd" "\x79" "abcdefgh", 17); /* unknown numbers before the payload */
  tr_slice r = join(join(pb_string(1, "4"), numbers), pb_field(3, agent("t", "k")));
  say(a, pb_field(1, join(r, pb_field(5, payload("my.Ask", "application/x-protobuf", "any")))));
  tr_slice there = hear(d);
  CHECK(there.n > 60 && memmem(there.p, there.n, numbers.p, numbers.n));
  stage_free(s);
}
