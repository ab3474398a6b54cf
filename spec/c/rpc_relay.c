/* SPDX-License-Identifier: MIT
 * A relay between a client and a server, all in memory: what goes through and how, what happens when either end goes. */
#include "rpc_peers.h"

#include <stdio.h>
#include <stdlib.h>

#include "rpc/relay.h"

static struct peer client, server;
static tr_relay *relay;
static int dialed;
static bool up; /* somebody is there */
static const char *own; /* authorization */

static void on_dial(void *ud) { (void)ud; dialed++; }
static void on_dirty(void *ud, tr_relay_side side) { (void)ud; (void)side; }
static tr_slice authorization(void *ud) { (void)ud; return tr_slice_of(own); }

static tr_relay *relay_new(void) {
  tr_relay_options options = { .mem = check_mem(), .authority = "host:1", .secure = true, .authorization = authorization, .dial = on_dial, .dirty = on_dirty };
  return tr_relay_new(&options);
}

/* One way; true where there was something. */
static bool out_of_relay(tr_relay_side side, struct peer *to) {
  tr_buf bytes;
  tr_buf_init(&bytes, check_mem());
  tr_relay_output(relay, side, &bytes, 65536);
  bool some = bytes.len > 0;
  if (some) peer_feed(to, bytes.data, bytes.len);
  tr_buf_fini(&bytes);
  return some;
}

static bool into_relay(tr_relay_side side, struct peer *from) {
  tr_buf bytes;
  tr_error error;
  tr_error_init(&error);
  tr_buf_init(&bytes, check_mem());
  tr_rpc_output(from->conn, &bytes, 65536);
  bool some = bytes.len > 0;
  if (some) tr_relay_feed(relay, side, tr_buf_view(&bytes), 0, &error);
  tr_buf_fini(&bytes);
  return some;
}

static void talk(void) {
  bool some = true;
  while (some) {
    some = into_relay(TR_RELAY_DOWN, &client) | out_of_relay(TR_RELAY_DOWN, &client);
    if (up) some |= out_of_relay(TR_RELAY_UP, &server) | into_relay(TR_RELAY_UP, &server);
  }
}

static void begin(void) {
  static const tr_rpc_options none;
  dialed = 0;
  up = true;
  own = NULL;
  peer_init(&client, false, none);
  peer_init(&server, true, none);
  relay = relay_new();
  CHECK(relay != NULL);
}

static void end(void) {
  tr_relay_free(relay);
  peer_fini(&client);
  peer_fini(&server);
}

static bool contains(tr_slice text, const char *part) {
  tr_slice wanted = tr_slice_of(part);
  for (size_t i = 0; i + wanted.n <= text.n; i++)
    if (memcmp(text.p + i, part, wanted.n) == 0) return true;
  return false;
}

static tr_rpc_call *call_with(const tr_rpc_header *headers, size_t count) {
  tr_rpc_call *call = tr_rpc_call_new(client.conn, TR_SLICE_LITERAL("/a.B/C"), headers, count, 5000000);
  CHECK(call != NULL);
  client.call[++client.calls] = call;
  tr_rpc_call_set_ud(call, (void *)(intptr_t)client.calls);
  return call;
}

CHECK_CASE(a_relay_carries_calls_with_their_headers_messages_and_ends) {
  static const tr_rpc_header headers[] = { { TR_SLICE_LITERAL("client-id"), TR_SLICE_LITERAL("c") }, { TR_SLICE_LITERAL("authorization"), TR_SLICE_LITERAL("Bearer theirs") } };
  begin();
  for (int round = 0; round < 2; round++) {
    own = round ? "Bearer ours" : NULL;
    int n = client.calls + 1;
    call_with(headers, 2);
    peer_send(&client, n, "hello");
    talk();
    CHECK_INT(dialed, ==, 1);
    tr_rpc_call *there = server.call[n];
    CHECK_SLICE(tr_rpc_call_header(there, "client-id"), "c");
    CHECK_SLICE(tr_rpc_call_header(there, "authorization"), round ? "Bearer ours" : "Bearer theirs");
    CHECK_SLICE(tr_rpc_call_header(there, ":scheme"), "https");
    CHECK_SLICE(tr_rpc_call_header(there, ":authority"), "host:1");
    tr_slice agent = tr_rpc_call_header(there, "user-agent");
    CHECK(tr_slice_starts(agent, TR_SLICE_LITERAL("troupe/")) && contains(agent, "troupe-tunnel/"));
    CHECK(tr_rpc_call_timeout(there) > 4000000);
    tr_rpc_header back = { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("9") };
    tr_rpc_send_headers(there, &back, 1);
    peer_send(&server, n, "welcome");
    talk();
    CHECK_SLICE(tr_rpc_call_header(client.call[n], "troupe-version"), "9");
    tr_rpc_half_close(client.call[n]);
    peer_finish(&server, n, 7, "not so");
    talk();
    CHECK(client.call[n] == NULL);
  }
  CHECK_INT(tr_relay_calls(relay), ==, 0);
  CHECK_INT(server.messages, ==, 2);
  CHECK_INT(client.messages, ==, 2);
  end();
}

CHECK_CASE(what_was_said_before_leaving_is_sent_on) {
  begin();
  up = false; /* not dialed yet */
  call_with(NULL, 0);
  peer_send(&client, 1, "last words");
  talk();
  tr_rpc_cancel(client.call[1]);
  talk();
  tr_relay_gone(relay);
  CHECK(!tr_relay_finished(relay, TR_RELAY_UP));
  up = true;
  while (out_of_relay(TR_RELAY_UP, &server) | into_relay(TR_RELAY_UP, &server)) { }
  CHECK_INT(server.messages, ==, 1);
  CHECK_INT(server.closed, ==, 1);
  CHECK_INT(tr_relay_calls(relay), ==, 0);
  CHECK(tr_relay_finished(relay, TR_RELAY_UP));
  end();
}

CHECK_CASE(a_host_that_is_not_there_is_unavailable_and_why) {
  begin();
  call_with(NULL, 0);
  talk();
  up = false;
  tr_relay_lost(relay, "it burns");
  talk();
  CHECK_INT(client.closed, ==, 1);
  tr_buf_byte(&client.lines, 0);
  CHECK(strstr((char *)client.lines.data, "closed 1 14 it burns") != NULL);
  CHECK(tr_relay_finished(relay, TR_RELAY_DOWN));
  end();
}

/* A server that takes nothing: what waits in the relay is bounded by windows, not by what the client has. */
CHECK_CASE(a_side_that_takes_nothing_holds_the_other_back) {
  begin();
  server.quiet = client.quiet = true;
  call_with(NULL, 0);
  talk();
  tr_rpc_hold(server.call[1], true);
  for (int i = 0; i < 400; i++) peer_send_size(&client, 1, 65536); /* 26 MB */
  talk();
  CHECK_INT(tr_rpc_queued(client.call[1]), >, 20u << 20);
  CHECK_INT(server.bytes, <, 3u << 20);
  tr_rpc_hold(server.call[1], false);
  talk();
  CHECK_INT(server.messages, ==, 400);
  end();
}

CHECK_CASE(a_relay_lives_through_each_failed_allocation) {
  static const tr_rpc_options none;
  CHECK_EACH_ALLOCATION_FAILS {
    dialed = 0;
    up = true;
    own = "Bearer x";
    bool good = peer_try(&client, false, none);
    if (good && !peer_try(&server, true, none)) {
      peer_fini(&client);
      good = false;
    }
    relay = good ? relay_new() : NULL;
    tr_rpc_call *call = relay ? tr_rpc_call_new(client.conn, TR_SLICE_LITERAL("/a.B/C"), NULL, 0, -1) : NULL;
    if (call) {
      client.call[++client.calls] = call;
      tr_rpc_call_set_ud(call, (void *)(intptr_t)client.calls);
      peer_send(&client, 1, "hello");
      talk();
      if (server.calls && server.call[1]) peer_send(&server, 1, "hi");
      talk();
      if (server.calls && server.call[1]) peer_finish(&server, 1, 0, "");
      talk();
    }
    tr_relay_free(relay);
    if (good) {
      peer_fini(&client);
      peer_fini(&server);
    }
  }
}
