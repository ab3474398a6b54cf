/* SPDX-License-Identifier: MIT
 * RegisterAgent, AddSubscription, RemoveSubscription, GetSubscriptions: wire.md §5 row by row. */
#include "host_peer.h"

#include <stdlib.h>

static pcall *last;

static int call(peer *p, const char *method, const char *client_id, tr_slice bytes) {
  last = unary_call(p, method, client_id, bytes, false);
  return last->status;
}
static int retried(peer *p, const char *method, const char *client_id, tr_slice bytes) {
  last = unary_call(p, method, client_id, bytes, true);
  return last->status;
}

CHECK_CASE(registers_and_subscribes) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  channel(p, "a");
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("t")), ==, 0);
  CHECK_INT(last->count, ==, 1);
  CHECK_INT(last->first->n, ==, 0);
  sub(p, "a", "id-1", "default", "t");
  sub_prefix(p, "a", "id-2", "t:", "t");
  CHECK_INT(count_subscriptions(p), ==, 2);
  CHECK_INT(call(p, "RemoveSubscription", "a", pb_string(1, "id-1")), ==, 0);
  CHECK_INT(count_subscriptions(p), ==, 1);
  stage_free(s);
}

CHECK_CASE(get_subscriptions_lists_all_of_all_in_order) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  sub(p, "a", "3", "x", "t");
  sub_prefix(p, "b", "1", "y", "t");
  sub(p, "a", "2", "z", "t");
  pcall *c = unary_call(p, "GetSubscriptions", "c", (tr_slice){ NULL, 0 }, false);
  tr_slice all = hear(c);
  const char *ids[3];
  unsigned n = 0;
  for (size_t at = 0; at < all.n && n < 3; n++) { /* 0a LEN … each */
    tr_slice one = { all.p + at + 2, (uint8_t)all.p[at + 1] };
    ids[n] = pb_get(one, 1).p;
    at += 2 + one.n;
  }
  CHECK_INT(n, ==, 3);
  CHECK(ids[0][0] == '3' && ids[1][0] == '1' && ids[2][0] == '2');
  stage_free(s);
}

CHECK_CASE(a_call_without_client_id_is_refused_with_autogens_text) {
  static const char *const methods[] = { "OpenChannel", "OpenControlChannel", "RegisterAgent",
                                         "AddSubscription", "RemoveSubscription", "GetSubscriptions" };
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  for (size_t i = 0; i < 6; i++) hear_end(call_open(p, methods[i], NULL, NULL, 0), 3, "client-id metadata not found.");
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

CHECK_CASE(an_empty_client_id_is_a_client) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  reg(p, "", "t");
  CHECK_INT(call(p, "RegisterAgent", "b", register_bytes("t")), ==, 3);
  CHECK_STR(last->text, "Agent type t already registered with client .");
  stage_free(s);
}

CHECK_CASE(the_last_of_two_client_ids_counts) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  tr_rpc_header second = { TR_SLICE_LITERAL("client-id"), TR_SLICE_LITERAL("second") };
  pcall *c = call_open(p, "RegisterAgent", "first", &second, 1);
  say(c, register_bytes("t"));
  tr_rpc_half_close(c->call);
  hear_end(c, 0, NULL);
  CHECK_INT(call(p, "RegisterAgent", "x", register_bytes("t")), ==, 3);
  CHECK_STR(last->text, "Agent type t already registered with client second.");
  stage_free(s);
}

CHECK_CASE(unknown_methods_are_unimplemented) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  hear_end(call_open(p, "Nothing", "a", NULL, 0), 12, "Method not found!");
  hear_end(call_open(p, "Nothing", NULL, NULL, 0), 12, "Method not found!");
  stage_free(s);
}

CHECK_CASE(a_plain_repeat_gets_autogens_text) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  channel(p, "a");
  reg(p, "a", "t");
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("t")), ==, 3);
  CHECK_STR(last->text, "Agent type t already registered with client a.");
  CHECK_INT(call(p, "RegisterAgent", "b", register_bytes("t")), ==, 3);
  CHECK_STR(last->text, "Agent type t already registered with client a.");
  sub(p, "a", "id", "x", "t");
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("id", 2, "x", "t")), ==, 3);
  CHECK_STR(last->text, "Subscription already exists");
  CHECK_INT(call(p, "AddSubscription", "b", subscription_bytes("other", 2, "x", "t")), ==, 3);
  CHECK_STR(last->text, "Subscription already exists");
  CHECK_INT(call(p, "AddSubscription", "b", subscription_bytes("id", 2, "y", "t")), ==, 3);
  CHECK_STR(last->text, "Subscription already exists");
  sub_prefix(p, "a", "id", "x", "t"); /* the same id, but of the other kind */
  CHECK_INT(call(p, "RemoveSubscription", "b", pb_string(1, "id")), ==, 0); /* anybody may; both go */
  CHECK_INT(count_subscriptions(p), ==, 0);
  stage_free(s);
}

CHECK_CASE(a_retried_call_is_fine_for_its_own_client_only) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  channel(p, "a");
  reg(p, "a", "t");
  sub(p, "a", "id", "x", "t");
  CHECK_INT(retried(p, "RegisterAgent", "a", register_bytes("t")), ==, 0);
  CHECK_INT(retried(p, "AddSubscription", "a", subscription_bytes("id", 2, "x", "t")), ==, 0);
  CHECK_INT(retried(p, "RegisterAgent", "b", register_bytes("t")), ==, 3);
  CHECK_INT(retried(p, "AddSubscription", "b", subscription_bytes("id", 2, "x", "t")), ==, 3);
  CHECK_INT(retried(p, "AddSubscription", "a", subscription_bytes("other", 2, "x", "t")), ==, 3);
  CHECK_INT(count_subscriptions(p), ==, 1);
  stage_free(s);
}

CHECK_CASE(after_reopening_its_stream_a_client_may_repeat_once) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  pcall *c = channel(p, "a");
  reg(p, "a", "t");
  sub(p, "a", "id", "x", "t");
  cancel(c);
  channel(p, "a");
  reg(p, "a", "t");
  sub(p, "a", "id", "x", "t");
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("t")), ==, 3);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("id", 2, "x", "t")), ==, 3);
  reg(p, "a", "new");
  sub(p, "a", "new-id", "x", "new");
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("new")), ==, 3);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("new-id", 2, "x", "new")), ==, 3);
  channel(p, "a"); /* the third: newest wins, and all may be repeated again */
  reg(p, "a", "t");
  reg(p, "a", "new");
  sub(p, "a", "new-id", "x", "new");
  CHECK_INT(count_subscriptions(p), ==, 2);
  stage_free(s);
}

CHECK_CASE(opening_the_first_stream_is_no_reopening) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  reg(p, "a", "t");
  channel(p, "a");
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("t")), ==, 3);
  stage_free(s);
}

CHECK_CASE(odd_and_empty_texts_are_taken_as_autogen_takes_them) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  reg(p, "a", "");
  reg(p, "a", "with space / and ü!");
  CHECK_INT(call(p, "RegisterAgent", "a", (tr_slice){ NULL, 0 }), ==, 3); /* the empty type again */
  sub(p, "a", "1", "odd topic", "nobody's type");
  sub_prefix(p, "a", "2", "", "nobody's type");
  sub(p, "a", NULL, "y", "t"); /* the host invents ids */
  sub(p, "a", "", "z", "t");
  CHECK_INT(count_subscriptions(p), ==, 4);
  stage_free(s);
}

CHECK_CASE(a_subscription_of_no_kind_is_invalid) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("id", 0, "", "")), ==, 3);
  CHECK_STR(last->text, "Invalid subscription message.");
  CHECK_INT(call(p, "AddSubscription", "a", (tr_slice){ NULL, 0 }), ==, 3);
  CHECK_STR(last->text, "Invalid subscription message.");
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

CHECK_CASE(removing_an_unknown_subscription_is_not_found) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  CHECK_INT(call(p, "RemoveSubscription", "a", pb_string(1, "none")), ==, 5);
  CHECK_STR(last->text, "Subscription does not exist");
  stage_free(s);
}

CHECK_CASE(malformed_unary_calls_are_invalid) {
  static const char *const methods[] = { "RegisterAgent", "AddSubscription", "RemoveSubscription" };
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  for (size_t i = 0; i < 3; i++) {
    CHECK_INT(call(p, methods[i], "a", text("\x0a\x7fx")), ==, 3);
    CHECK_INT(call(p, methods[i], "a", i == 1 ? pb_field(1, pb_string(1, "\xff\xfe")) : pb_string(1, "\xff\xfe")), ==, 3);
  }
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes("fine")), ==, 0);
  stage_free(s);
}

CHECK_CASE(a_unary_call_has_exactly_one_message) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  pcall *c = call_open(p, "RegisterAgent", "a", NULL, 0);
  tr_rpc_half_close(c->call);
  hear_end(c, 13, "no message on a unary call");
  c = call_open(p, "RegisterAgent", "a", NULL, 0);
  say(c, register_bytes("t"));
  say(c, register_bytes("u"));
  tr_rpc_half_close(c->call);
  hear_end(c, 13, "more than one message on a unary call");
  reg(p, "a", "t"); /* neither was registered */
  c = call_open(p, "RegisterAgent", "a", NULL, 0); /* and one that never comes to its end */
  say(c, register_bytes("v"));
  stage_sleep(s, TR_SECONDS(29));
  CHECK(!c->closed);
  stage_sleep(s, TR_SECONDS(2));
  hear_end(c, 4, "Deadline Exceeded");
  stage_free(s);
}

CHECK_CASE(both_orders_of_stream_and_registration) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL), *q = peer_new(s, "10.0.0.1:2", NULL);
  reg(p, "late", "t1");
  sub(p, "late", "1", "x", "t1");
  pcall *late = channel(q, "late"); /* on another connection, too */
  pcall *early = channel(q, "early");
  reg(p, "early", "t2");
  sub(p, "early", "2", "x", "t2");
  say(early, event("x", "k", "{}"));
  CHECK_TEXT(topic_of(hear(early)), "x");
  CHECK_TEXT(topic_of(hear(late)), "x");
  stage_free(s);
}

CHECK_CASE(events_before_the_first_stream_wait_for_it) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  pcall *a = channel(p, "a");
  reg(p, "b", "t");
  sub(p, "b", "1", "x", "t");
  say(a, event("x", "1", "{}"));
  say(a, event("x", "2", "{}"));
  say(a, request("1", "t", "k", "{}"));
  expect_error(a, "1", "unavailable: ");
  stage_sleep(s, TR_SECONDS(59));
  pcall *b = channel(p, "b");
  CHECK_TEXT(pb_get(pb_get(hear(b), 3), 2), "1");
  CHECK_TEXT(pb_get(pb_get(hear(b), 3), 2), "2");
  CHECK(silent(b));
  CHECK_INT(stage_stats(s).deliveries, ==, 2);
  stage_free(s);
}

CHECK_CASE(what_was_registered_without_a_stream_is_kept_sixty_seconds) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  reg(p, "a", "t");
  stage_sleep(s, TR_SECONDS(40));
  sub(p, "a", "1", "x", "t"); /* anew */
  stage_sleep(s, TR_SECONDS(59));
  CHECK_INT(count_subscriptions(p), ==, 1);
  CHECK_INT(call(p, "RegisterAgent", "b", register_bytes("t")), ==, 3); /* it is not away */
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(count_subscriptions(p), ==, 0);
  reg(p, "b", "t");
  CHECK_INT(stage_stats(s).clients, ==, 1);
  stage_free(s);
}

CHECK_CASE(texts_that_are_too_long_are_invalid) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  char *big = calloc(1, 4098);
  memset(big, 'x', 4096);
  reg(p, "a", big);
  sub(p, "a", big, big, big);
  big[4096] = 'x';
  CHECK_INT(call(p, "RegisterAgent", "a", register_bytes(big)), ==, 3);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes(big, 2, "x", "t")), ==, 3);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("i", 2, big, "t")), ==, 3);
  CHECK_INT(call(p, "AddSubscription", "a", subscription_bytes("i", 2, "x", big)), ==, 3);
  big[1025] = 0;
  CHECK_INT(call(p, "RegisterAgent", big, register_bytes("t")), ==, 3);
  stage_free(s);
  free(big);
}
