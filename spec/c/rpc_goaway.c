/* SPDX-License-Identifier: MIT
 * Connections that end while calls are open, and limits of concurrent calls. */
#include "rpc_peers.h"

static const tr_rpc_options defaults = { 0 };

/* A server that echoes, and ends with OK when the client has half-closed. */
static void echo(struct peer *self, int call, const char *event) {
  if (strcmp(event, "open") == 0) tr_rpc_send_headers(self->call[call], NULL, 0);
  if (strcmp(event, "message") == 0) peer_send(self, call, "echo");
  if (strcmp(event, "half_closed") == 0) peer_finish(self, call, 0, "");
}

static void end_pair(struct peer *client, struct peer *server) {
  peer_fini(client);
  peer_fini(server);
}

CHECK_CASE(rpc_server_goes_away_gracefully) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  server.act = echo;
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  int crossing = peer_call(&client, "/crossing"); /* sent before the GOAWAY is seen */
  peer_pass(&client, &server, 0);
  tr_rpc_goaway(server.conn, 0, "draining");
  tr_rpc_goaway(server.conn, 0, "draining");
  int late = peer_call(&client, "/late");
  CHECK_INT(late, ==, 3);
  peer_pass(&client, &server, 0);
  peers_talk(&client, &server, 0);
  CHECK(!tr_rpc_finished(server.conn));
  CHECK_INT(peer_call(&client, "/none"), ==, 0);
  CHECK_SAID(&client, "headers 1\nheaders 2\ngoaway 0\nclosed 3 14 the peer takes no new calls\ngoaway 0 draining\n");
  peer_send(&client, n, "still");
  tr_rpc_half_close(client.call[n]);
  tr_rpc_half_close(client.call[crossing]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "message 1 echo\nclosed 1 0\nclosed 2 0\n");
  CHECK(tr_rpc_finished(server.conn));
  CHECK(tr_rpc_finished(client.conn));
  end_pair(&client, &server);
}

CHECK_CASE(rpc_goaway_without_calls_finishes_at_once) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  tr_rpc_goaway(server.conn, 0, NULL);
  peers_talk(&client, &server, 0);
  CHECK(tr_rpc_finished(server.conn));
  CHECK(tr_rpc_finished(client.conn));
  end_pair(&client, &server);
  peers_pair(&client, &server, defaults, defaults);
  tr_rpc_goaway(client.conn, 0, "bye");
  CHECK_INT(peer_call(&client, "/x"), ==, 0);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "goaway 0 bye\n");
  CHECK(tr_rpc_finished(server.conn));
  CHECK(tr_rpc_finished(client.conn));
  end_pair(&client, &server);
}

CHECK_CASE(rpc_goaway_with_an_error_lets_open_calls_go_on) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  server.act = echo;
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  tr_rpc_goaway(server.conn, 11, "calm down");
  peer_pass(&server, &client, 0);
  peer_send(&client, n, "hello");
  tr_rpc_half_close(client.call[n]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\ngoaway 11 calm down\nmessage 1 echo\nclosed 1 0\n");
  CHECK(tr_rpc_finished(server.conn));
  end_pair(&client, &server);
}

CHECK_CASE(rpc_goaway_closes_the_calls_above_its_last_stream) {
  struct peer client;
  tr_buf raw;
  peer_init(&client, false, defaults);
  tr_buf_init(&raw, check_mem());
  peer_call(&client, "/a");
  peer_call(&client, "/b");
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  peer_call(&client, "/c"); /* not sent yet */
  raw_frame(&raw, 4, 0, 0, NULL, 0);
  raw_frame(&raw, 7, 0, 0, "\0\0\0\1\0\0\0\0bye", 11);
  peer_feed(&client, raw.data, raw.len);
  CHECK_SAID(&client, "goaway 0 bye\nclosed 2 14 the peer takes no new calls\n");
  tr_buf_clear(&client.out);
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  CHECK_SAID(&client, "closed 3 14 the peer takes no new calls\n");
  CHECK_INT(peer_call(&client, "/d"), ==, 0);
  CHECK_INT(tr_rpc_call_count(client.conn), ==, 1);
  tr_buf_fini(&raw);
  peer_fini(&client);
}

CHECK_CASE(rpc_concurrency_limit_of_the_server_is_kept) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, (tr_rpc_options){ .max_streams = 2 });
  server.act = echo;
  int n[4];
  for (int i = 0; i < 4; i++) n[i] = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  CHECK_INT(tr_rpc_call_count(server.conn), ==, 2);
  CHECK_INT(tr_rpc_call_count(client.conn), ==, 4);
  tr_rpc_cancel(client.call[n[3]]); /* one that waits */
  tr_rpc_half_close(client.call[n[0]]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\nopen 2 /x\nhalf_closed 1\nclosed 1 0\nopen 3 /x\n");
  CHECK_SAID(&client, "headers 1\nheaders 2\nclosed 4 1 cancelled\nclosed 1 0\nheaders 3\n");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_no_streams_of_a_client_limit_nothing) {
  /* grpcio announces MAX_CONCURRENT_STREAMS 0: it is about push. */
  struct peer server;
  tr_buf raw;
  peer_init(&server, true, defaults);
  tr_buf_init(&raw, check_mem());
  tr_buf_text(&raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  raw_frame(&raw, 4, 0, 0, "\0\2\0\0\0\0\0\3\0\0\0\0\376\3\0\0\0\1", 18);
  raw_request(&raw, 1, "/x", 4);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  peer_send(&server, 1, "hello");
  peer_finish(&server, 1, 0, "");
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  CHECK_SAID(&server, "open 1 /x\nclosed 1 0\n");
  tr_buf_fini(&raw);
  peer_fini(&server);
}
