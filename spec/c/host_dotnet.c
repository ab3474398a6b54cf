/* SPDX-License-Identifier: MIT
 * Workers as AutoGen's for .NET are, in what no other file shows of them (docs/lessons.md §2; which of N1 to N21 is shown
 * where: spec/host/conformance_spec.lua). */
#include "host_peer.h"

#define DOTNET "grpc-dotnet/2.66.0 (.NET 8.0.10; CLR 8.0.10; net8.0; linux; x64)"
#define CLIENT "0f8fad5b-d9cb-469f-a165-70867728950e"
#define GUID "7c9e6679-7425-40de-944b-e07fc1f90ae7"

static stage *s;
static peer *streams, *unaries; /* its two connections */

static pcall *join_dotnet(void) {
  s = stage_new(NULL);
  streams = peer_new(s, "10.0.0.1:1", DOTNET);
  unaries = peer_new(s, "10.0.0.1:2", DOTNET);
  pcall *c = channel(streams, CLIENT);
  reg(unaries, CLIENT, "net");
  sub(unaries, CLIENT, GUID, "news", "net");
  return c;
}

CHECK_CASE(dotnet_an_event_without_a_sender_goes_as_it_came_to_its_publisher_too) {
  pcall *c = join_dotnet();
  peer *other = peer_new(s, "10.0.0.2:1", NULL);
  pcall *python = channel(other, "python");
  reg(other, "python", "py");
  sub(other, "python", "1", "news", "py");
  tr_slice sent = proto_event("news", "k", "google.protobuf.StringValue"); /* no spec_version, no agagentsender… */
  say(c, sent);
  tr_slice own = hear(c), theirs = hear(python);
  CHECK_MEM(own.p, own.n, sent.p, sent.n);
  CHECK_MEM(theirs.p, theirs.n, sent.p, sent.n);
  stage_free(s);
}

CHECK_CASE(dotnet_subscription_ids_are_kept_and_removed_by) {
  join_dotnet();
  CHECK_INT(unary(unaries, "AddSubscription", CLIENT, subscription_bytes(GUID, 2, "other", "net")), ==, 3);
  CHECK_INT(unary(unaries, "RemoveSubscription", CLIENT, pb_string(1, GUID)), ==, 0);
  CHECK_INT(count_subscriptions(unaries), ==, 0);
  CHECK_INT(unary(unaries, "RemoveSubscription", CLIENT, pb_string(1, GUID)), ==, 5);
  stage_free(s);
}

CHECK_CASE(dotnet_direct_messages_come_by_the_prefix_of_the_type) {
  pcall *c = join_dotnet();
  sub_prefix(unaries, CLIENT, "2", "net:", "net");
  say(c, proto_event("net:rpc_request", "k", "x.Y"));
  CHECK_TEXT(topic_of(hear(c)), "net:rpc_request");
  say(c, proto_event("network", "k", "x.Y"));
  CHECK(silent(c));
  stage_free(s);
}

CHECK_CASE(dotnet_a_burst_of_streams_of_one_client_leaves_the_newest) {
  pcall *c = join_dotnet(), *all[100];
  for (int i = 0; i < 100; i++) {
    all[i] = call_open(i % 2 ? streams : unaries, "OpenChannel", CLIENT, NULL, 0);
    if (i % 7 == 0) stage_run(s);
    if (i % 10 == 9 && !all[i - 1]->closed) cancel(all[i - 1]);
  }
  stage_run(s);
  CHECK(c->closed);
  for (int i = 0; i < 99; i++) CHECK(all[i]->closed);
  CHECK_INT(stage_stats(s).streams, ==, 1);
  say(all[99], proto_event("news", "k", "x.Y")); /* its registrations are its own still */
  CHECK_TEXT(topic_of(hear(all[99])), "news");
  stage_free(s);
}

CHECK_CASE(dotnet_an_exception_costs_its_open_requests_and_no_registration) {
  pcall *c = join_dotnet();
  peer *other = peer_new(s, "10.0.0.2:1", NULL);
  pcall *caller = channel(other, "caller");
  tr_slice body = payload("x.Y", "application/x-protobuf", "\x0a\x03x.Y");
  tr_slice ask = pb_field(1, join(pb_string(1, "1"), join(pb_field(3, agent("net", "k")), pb_field(5, body))));
  say(caller, ask);
  hear(c);
  cancel(c); /* the read pump threw */
  pcall *again = channel(streams, CLIENT);
  expect_error(caller, "1", "unavailable: ");
  say(caller, ask);
  CHECK_TEXT(pb_get(pb_get(pb_get(hear(again), 1), 3), 1), "net");
  stage_free(s);
}
