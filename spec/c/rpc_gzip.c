/* SPDX-License-Identifier: MIT
 * Messages that go compressed: who gets them so, which, and what that costs. */
#include <stdlib.h>

#include "rpc/internal.h"
#include "rpc_peers.h"

static tr_rpc_gzip asks, serves; /* the client's and the server's */
static struct peer client, server;

/* from 0: a side offers nothing by itself. */
static void set(uint32_t asks_from, uint32_t serves_from) {
  tr_rpc_gzip_init(&asks, check_mem(), asks_from);
  tr_rpc_gzip_init(&serves, check_mem(), serves_from);
  peers_pair(&client, &server, (tr_rpc_options){ .gzip = &asks }, (tr_rpc_options){ .gzip = &serves });
  client.sizes = server.sizes = true;
}

static void clear(void) {
  peer_fini(&client);
  peer_fini(&server);
  tr_rpc_gzip_fini(&asks);
  tr_rpc_gzip_fini(&serves);
}

static int call(bool offered) {
  tr_rpc_header header = { TR_SLICE_LITERAL("grpc-encoding"), TR_SLICE_LITERAL("gzip") };
  tr_rpc_call *made = tr_rpc_call_new(client.conn, TR_SLICE_LITERAL("/x"), &header, offered, -1);
  int n = ++client.calls;
  tr_rpc_call_set_ud(made, (void *)(intptr_t)n);
  client.call[n] = made;
  peers_talk(&client, &server, 0);
  return n;
}

CHECK_CASE(gzip_is_not_sent_where_nobody_asks) {
  set(0, 0);
  call(false);
  peer_send_size(&server, 1, 100000);
  peer_send_size(&client, 1, 100000);
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, 100005);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nmessage 1 (100000)\n");
  CHECK_INT(serves.stats.deflated + asks.stats.deflated, ==, 0);
  CHECK(!serves.stream && !asks.stream);
  CHECK(!tr_rpc_call_header(client.call[1], "grpc-encoding").p);
  clear();
}

CHECK_CASE(gzip_goes_both_ways_where_both_sides_want_it) {
  set(1, 0);
  call(true);
  tr_rpc_send_headers(server.call[1], NULL, 0);
  peer_send_size(&client, 1, 100000); /* before the server said that it takes it */
  CHECK_INT(tr_rpc_queued(client.call[1]), ==, 100005);
  peers_talk(&client, &server, 0);
  CHECK_SLICE(tr_rpc_call_header(client.call[1], "grpc-encoding"), "gzip"); /* who sends so is answered so */
  peer_send_size(&client, 1, 100000);
  CHECK_INT(tr_rpc_queued(client.call[1]), <, 1000);
  peer_send_size(&server, 1, 200000);
  CHECK_INT(tr_rpc_queued(server.call[1]), <, 1000);
  peers_talk(&client, &server, 3);
  CHECK_SAID(&server, "open 1 /x\nmessage 1 (100000)\nmessage 1 (100000)\n");
  CHECK_SAID(&client, "headers 1\nmessage 1 (200000)\n");
  CHECK_INT(asks.stats.deflated, ==, 1);
  CHECK_INT(asks.stats.deflated_from, ==, 100005);
  CHECK_INT(serves.stats.inflated, ==, 1);
  CHECK_INT(serves.stats.inflated_to, ==, 100000);
  CHECK_INT(serves.stats.inflated_from + 5, ==, asks.stats.deflated_to);
  clear();
}

CHECK_CASE(gzip_is_offered_to_who_accepts_it) {
  set(0, 500);
  call(false);
  peer_send_size(&server, 1, 499);
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, 504); /* small: as it is */
  peer_send_size(&server, 1, 500);
  CHECK_INT(tr_rpc_queued(server.call[1]), <, 604);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nmessage 1 (499)\nmessage 1 (500)\n");
  clear();
}

CHECK_CASE(gzip_is_accepted_by_name) {
  CHECK(tr_rpc_accepts_gzip(TR_SLICE_LITERAL("gzip")) && tr_rpc_accepts_gzip(TR_SLICE_LITERAL("identity, deflate, gzip")));
  CHECK(tr_rpc_accepts_gzip(TR_SLICE_LITERAL("identity,gzip,x")) && tr_rpc_accepts_gzip(TR_SLICE_LITERAL(" gzip ,")));
  CHECK(!tr_rpc_accepts_gzip(TR_SLICE_LITERAL("identity, deflate")) && !tr_rpc_accepts_gzip(TR_SLICE_LITERAL("gzipped, xgzip,")));
  CHECK(!tr_rpc_accepts_gzip((tr_slice){ NULL, 0 }) && !tr_rpc_accepts_gzip(TR_SLICE_LITERAL(",,, ,")));
}

CHECK_CASE(gzip_that_gains_nothing_is_not_used) {
  set(0, 100);
  call(false);
  char noise[3000];
  unsigned x = 1;
  for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)((x = x * 1103515245 + 12345) >> 16);
  tr_blob *frame = tr_rpc_frame(check_mem(), tr_slice_make(noise, sizeof noise));
  tr_rpc_send(server.call[1], frame);
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, frame->len);
  tr_blob_unref(frame);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nmessage 1 (3000)\n");
  CHECK_INT(serves.stats.deflated, ==, 0);
  clear();
}

CHECK_CASE(gzip_of_one_message_for_many_is_made_once) {
  set(0, 100);
  enum { MANY = 20 };
  for (int i = 0; i < MANY; i++) call(false);
  char *text = calloc(1, 50000);
  tr_blob *frame = tr_rpc_frame(check_mem(), tr_slice_make(text, 50000));
  free(text);
  tr_blob_ref(frame);
  for (int i = 1; i <= MANY; i++) tr_rpc_send(server.call[i], frame);
  tr_blob_unref(frame);
  tr_blob_unref(frame);
  server.quiet = client.quiet = true;
  peers_talk(&client, &server, 0);
  CHECK_INT(client.messages, ==, MANY);
  CHECK_INT(client.bytes, ==, MANY * 50000);
  CHECK_INT(serves.stats.deflated, ==, 1);
  clear();
}

CHECK_CASE(gzip_bombs_and_damage_are_counted) {
  tr_rpc_gzip_init(&asks, check_mem(), 1);
  tr_rpc_gzip_init(&serves, check_mem(), 0);
  peers_pair(&client, &server, (tr_rpc_options){ .gzip = &asks }, (tr_rpc_options){ .gzip = &serves, .max_message = 1000 });
  call(true);
  tr_rpc_send_headers(server.call[1], NULL, 0);
  peers_talk(&client, &server, 0);
  server.quiet = true;
  peer_send_size(&client, 1, 1000);
  peer_send_size(&client, 1, 100000);
  peer_send_size(&client, 1, 900);
  peers_talk(&client, &server, 0);
  CHECK_INT(serves.stats.inflated, ==, 2);
  CHECK_INT(serves.stats.inflate_refused, ==, 1);
  CHECK(server.call[1] != NULL); /* it lives on */
  clear();
}

CHECK_CASE(gzip_with_failing_allocations) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_rpc_gzip_init(&serves, check_mem(), 100);
    char text[2000] = "";
    tr_blob *frame = tr_rpc_frame(check_mem(), tr_slice_make(text, sizeof text));
    tr_blob *sent = frame ? tr_rpc_deflate(&serves, frame) : NULL;
    if (frame) CHECK(sent && (sent == frame) == check_mem_refused()); /* then it goes as it is */
    tr_blob_unref(sent);
    tr_blob_unref(frame);
    tr_rpc_gzip_fini(&serves);
  }
}
