/* SPDX-License-Identifier: MIT
 * Calls between a client and a server, wired in memory. */
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

CHECK_CASE(rpc_unary_call) {
  /* Whole, byte by byte, and in pieces that cut anywhere. */
  static const size_t steps[] = { 0, 1, 2, 3, 5, 7, 11, 13, 64 };
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    struct peer client, server;
    peer_init(&client, false, defaults);
    peer_init(&server, true, defaults);
    server.act = echo;
    int n = peer_call(&client, "/agents.AgentRpc/RegisterAgent");
    CHECK_INT(peer_send(&client, n, "hello"), ==, 0);
    tr_rpc_half_close(client.call[n]);
    peers_talk(&client, &server, steps[i]);
    CHECK_SAID(&server, "open 1 /agents.AgentRpc/RegisterAgent\nmessage 1 hello\nhalf_closed 1\nclosed 1 0\n");
    CHECK_SAID(&client, "headers 1\nmessage 1 echo\nclosed 1 0\n");
    CHECK_INT(tr_rpc_call_count(client.conn), ==, 0);
    CHECK_INT(tr_rpc_call_count(server.conn), ==, 0);
    end_pair(&client, &server);
  }
}

CHECK_CASE(rpc_request_headers_arrive) {
  struct peer client, server;
  peers_pair(&client, &server, (tr_rpc_options){ .authority = "host:1", .user_agent = "me/1" }, defaults);
  tr_rpc_header more[20];
  for (int i = 0; i < 20; i++) more[i] = (tr_rpc_header){ TR_SLICE_LITERAL("x-many"), TR_SLICE_LITERAL("value") };
  more[19] = (tr_rpc_header){ TR_SLICE_LITERAL("client-id"), TR_SLICE_LITERAL("4f5c") };
  tr_rpc_call *call = tr_rpc_call_new(client.conn, TR_SLICE_LITERAL("/a/b"), more, 20, 2500000);
  CHECK(call != NULL);
  client.calls = 1;
  client.call[1] = call;
  tr_rpc_call_set_ud(call, (void *)1);
  CHECK(tr_rpc_call_ud(call) == (void *)1);
  peers_talk(&client, &server, 0);
  const tr_rpc_call *got = server.call[1];
  CHECK(tr_rpc_call_conn(got) == server.conn);
  CHECK(tr_rpc_conn_ud(server.conn) == &server);
  CHECK_SLICE(tr_rpc_call_header(got, ":path"), "/a/b");
  CHECK_SLICE(tr_rpc_call_header(got, ":authority"), "host:1");
  CHECK_SLICE(tr_rpc_call_header(got, "te"), "trailers");
  CHECK_SLICE(tr_rpc_call_header(got, "content-type"), "application/grpc");
  CHECK_SLICE(tr_rpc_call_header(got, "user-agent"), "me/1");
  CHECK_SLICE(tr_rpc_call_header(got, "grpc-accept-encoding"), "identity,gzip");
  CHECK_SLICE(tr_rpc_call_header(got, "client-id"), "4f5c");
  CHECK(tr_rpc_call_header(got, "absent").p == NULL);
  CHECK_INT(tr_rpc_call_timeout(got), ==, 2500000);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_response_headers_come_at_once_and_once) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  int n = peer_call(&client, "/agents.AgentRpc/OpenChannel");
  peers_talk(&client, &server, 0);
  CHECK_INT(tr_rpc_call_timeout(server.call[1]), ==, -1);
  tr_rpc_header version = { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1.0") };
  CHECK_INT(tr_rpc_send_headers(server.call[1], &version, 1), ==, 0);
  CHECK_INT(tr_rpc_send_headers(server.call[1], &version, 1), ==, 0);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\n");
  CHECK_SLICE(tr_rpc_call_header(client.call[n], "troupe-version"), "0.1.0");
  CHECK_SLICE(tr_rpc_call_header(client.call[n], "grpc-accept-encoding"), "identity,gzip");
  /* The client goes on sending, half-closes, and still receives. */
  for (int i = 0; i < 3; i++) {
    peer_send(&client, n, "up");
    peer_send(&server, 1, "down");
    peers_talk(&client, &server, 0);
  }
  tr_rpc_half_close(client.call[n]);
  tr_rpc_half_close(client.call[n]);
  CHECK_INT(peer_send(&client, n, "late"), ==, TR_EUNAVAILABLE);
  peers_talk(&client, &server, 0);
  peer_send(&server, 1, "after");
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /agents.AgentRpc/OpenChannel\nmessage 1 up\nmessage 1 up\nmessage 1 up\nhalf_closed 1\n");
  CHECK_SAID(&client, "message 1 down\nmessage 1 down\nmessage 1 down\nmessage 1 after\n");
  CHECK_INT(peer_finish(&server, 1, TR_GRPC_UNAVAILABLE, "draining"), ==, 0);
  CHECK_INT(peer_finish(&server, 1, 0, ""), ==, TR_EUNAVAILABLE);
  CHECK_INT(peer_send(&server, 1, "late"), ==, TR_EUNAVAILABLE);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "closed 1 14 draining\n");
  CHECK_SAID(&server, "closed 1 0\n");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_finish_comes_after_what_is_queued) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  for (int i = 0; i < 5; i++) peer_send_size(&server, 1, 100000); /* more than a frame, less than the window */
  peer_finish(&server, 1, TR_GRPC_ABORTED, "é 100%\n");
  CHECK(tr_rpc_queued(server.call[1]) == 5 * 100005);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nmessage 1 (100000)\nmessage 1 (100000)\nmessage 1 (100000)\nmessage 1 (100000)\n"
                      "message 1 (100000)\nclosed 1 10 é 100%\n\n");
  CHECK_SAID(&server, "open 1 /x\nclosed 1 0\n");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_trailers_only) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  CHECK_INT(peer_finish(&server, 1, TR_GRPC_INVALID_ARGUMENT, "client-id metadata not found."), ==, 0);
  size_t n = peer_pass(&server, &client, 0);
  CHECK_INT(n, >, 0);
  CHECK_SAID(&client, "closed 1 3 client-id metadata not found.\n"); /* no "headers" */
  /* HEADERS with END_STREAM, then RST_STREAM NO_ERROR, since the client could have sent more. */
  const uint8_t *tail = server.out.data + n - 13;
  static const uint8_t reset[13] = { 0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0 };
  CHECK_MEM(tail, 13, reset, 13);
  CHECK_INT(server.out.data[3], ==, 1);
  CHECK_INT(server.out.data[4] & 1, ==, 1);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\nclosed 1 0\n");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_long_status_message_is_cut) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  static char text[3 * 3000 + 1];
  for (int i = 0; i < 3000; i++) memcpy(text + 3 * i, "€", 3);
  peer_finish(&server, 1, 2, text);
  peers_talk(&client, &server, 0);
  /* 4096 / 9 characters of three bytes */
  CHECK_INT(client.lines.len, ==, strlen("closed 1 2 \n") + 3 * (4096 / 9) > 1023 ? 1023 : 0);
  tr_buf_clear(&client.lines);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_client_cancels) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  server.act = echo;
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  peer_send_size(&client, n, 3000000); /* does not fit into the window */
  peer_pass(&client, &server, 0);
  CHECK_INT(tr_rpc_queued(client.call[n]), >, 0);
  tr_rpc_cancel(client.call[n]);
  tr_rpc_cancel(client.call[n]);
  CHECK(client.call[n] != NULL); /* not from inside */
  CHECK_INT(peer_send(&client, n, "late"), ==, TR_EUNAVAILABLE);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nclosed 1 1 cancelled\n");
  CHECK_SAID(&server, "open 1 /x\nclosed 1 1 CANCEL\n");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_client_cancels_before_anything_was_sent) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  int n = peer_call(&client, "/x");
  peer_send(&client, n, "hello");
  tr_rpc_cancel(client.call[n]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "closed 1 1 cancelled\n");
  CHECK_SAID(&server, "");
  end_pair(&client, &server);
}

CHECK_CASE(rpc_server_cancels) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  peer_send(&server, 1, "never");
  tr_rpc_cancel(server.call[1]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\nclosed 1 1 cancelled\n");
  CHECK_SAID(&client, "closed 1 1 CANCEL\n");
  end_pair(&client, &server);
}

static void cancel_at(struct peer *self, int call, const char *event) {
  if (strcmp(event, self->at) == 0) tr_rpc_cancel(self->call[call]);
}

static void finish_at(struct peer *self, int call, const char *event) {
  if (strcmp(event, self->at) == 0) peer_finish(self, call, 9, "enough");
}

CHECK_CASE(rpc_server_ends_a_call_from_each_handler) {
  static const char *const events[] = { "open", "message", "half_closed", "oversize" };
  for (int i = 0; i < 8; i++) {
    struct peer client, server;
    peers_pair(&client, &server, defaults, (tr_rpc_options){ .max_message = 100 });
    server.act = i < 4 ? cancel_at : finish_at;
    server.at = events[i % 4];
    int n = peer_call(&client, "/x");
    peer_send(&client, n, "one");
    peer_send(&client, n, "two");
    peer_send_size(&client, n, 200);
    peer_send(&client, n, "three");
    tr_rpc_half_close(client.call[n]);
    peers_talk(&client, &server, 0);
    CHECK_INT(server.closed, ==, 1);
    CHECK_INT(client.closed, ==, 1);
    CHECK_INT(server.messages, ==, (i % 4 == 0 ? 0 : i % 4 == 1 ? 1 : i % 4 == 2 ? 3 : 2)); /* nothing after the end */
    end_pair(&client, &server);
  }
}

CHECK_CASE(rpc_free_ends_every_open_call) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  server.act = echo;
  for (int i = 0; i < 5; i++) peer_send(&client, peer_call(&client, "/x"), "hello");
  peer_pass(&client, &server, 0);
  CHECK_INT(tr_rpc_call_count(server.conn), ==, 5);
  int seen = 0;
  for (tr_rpc_call *c = NULL; (c = tr_rpc_next_call(server.conn, c)) != NULL;) seen++;
  CHECK_INT(seen, ==, 5);
  tr_rpc_cancel(client.call[2]); /* its `closed` is still to come */
  tr_buf_clear(&server.lines);
  tr_rpc_conn_free(server.conn);
  server.conn = NULL;
  CHECK_SAID(&server, "closed 1 14 connection closed\nclosed 2 14 connection closed\nclosed 3 14 connection closed\n"
                      "closed 4 14 connection closed\nclosed 5 14 connection closed\n");
  tr_rpc_conn_free(client.conn);
  client.conn = NULL;
  CHECK_SAID(&client, "closed 2 1 cancelled\nclosed 1 14 connection closed\nclosed 3 14 connection closed\n"
                      "closed 4 14 connection closed\nclosed 5 14 connection closed\n");
  end_pair(&client, &server);
}

/* From `closed`, and from a connection that is going, nothing new can be begun. */
static void meddle(struct peer *self, int call, const char *event) {
  (void)call;
  if (strcmp(event, "closed") != 0) return;
  for (tr_rpc_call *c = NULL; (c = tr_rpc_next_call(self->conn, c)) != NULL;) {
    tr_blob *blob = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("x"));
    tr_rpc_send(c, blob);
    tr_blob_unref(blob);
    tr_rpc_hold(c, true);
    tr_rpc_hold(c, false);
    tr_rpc_cancel(c);
  }
  if (!self->options.server) CHECK(!tr_rpc_call_new(self->conn, TR_SLICE_LITERAL("/x"), NULL, 0, -1));
  tr_rpc_ping(self->conn, 1);
}

CHECK_CASE(rpc_handlers_may_meddle_while_a_connection_is_freed) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  for (int i = 0; i < 4; i++) peer_send(&client, peer_call(&client, "/x"), "hello");
  peers_talk(&client, &server, 0);
  client.act = server.act = meddle;
  end_pair(&client, &server);
}

CHECK_CASE(rpc_every_amount_of_the_talk_and_then_free) {
  /* Whatever was passed on so far: both ends can be freed, and each call is closed once. */
  for (size_t stop = 0; stop < 600; stop += 7) {
    struct peer client, server;
    peer_init(&client, false, defaults);
    peer_init(&server, true, defaults);
    server.act = echo;
    int a = peer_call(&client, "/a"), b = peer_call(&client, "/b");
    peer_send(&client, a, "hello");
    tr_rpc_half_close(client.call[a]);
    peer_send_size(&client, b, 300);
    size_t passed = 0;
    for (int round = 0; round < 6 && passed < stop; round++) {
      struct peer *from = round % 2 ? &server : &client, *to = round % 2 ? &client : &server;
      tr_buf_clear(&from->out);
      CHECK_INT(tr_rpc_output(from->conn, &from->out, 1 << 20), ==, 0);
      size_t n = from->out.len < stop - passed ? from->out.len : stop - passed;
      peer_feed(to, from->out.data, n);
      passed += n;
    }
    end_pair(&client, &server);
  }
}

CHECK_CASE(rpc_high_water) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, (tr_rpc_options){ .high_water = 10000 });
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  CHECK_INT(peer_send_size(&server, 1, 9990), ==, 0);
  CHECK_INT(peer_send_size(&server, 1, 0), ==, 1);
  CHECK_INT(peer_send_size(&server, 1, 5000), ==, 1); /* a mark, not a bound */
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, 9995 + 5 + 5005);
  tr_buf_clear(&server.lines);
  tr_buf_clear(&server.out);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 100), ==, 0);
  peer_feed(&client, server.out.data, server.out.len);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "writable 1\n");
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, 0);
  CHECK_INT(client.bytes, ==, 9990 + 5000);
  end_pair(&client, &server);
}

static void send_more(struct peer *self, int call, const char *event) {
  if (strcmp(event, "writable") == 0 && self->bytes++ < 10) CHECK_INT(peer_send_size(self, call, 20000), ==, 1);
}

CHECK_CASE(rpc_sending_from_writable) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, (tr_rpc_options){ .high_water = 10000 });
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  server.act = send_more;
  CHECK_INT(peer_send_size(&server, 1, 20000), ==, 1);
  peers_talk(&client, &server, 0);
  CHECK_INT(client.messages, ==, 11);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_output_heeds_its_limit_and_says_that_there_is_more) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  peer_send_size(&server, 1, 900000);
  size_t total = 0, turns = 0;
  for (int was = -1; was != server.dirty; turns++) {
    was = server.dirty;
    tr_buf_clear(&server.out);
    CHECK_INT(tr_rpc_output(server.conn, &server.out, 50000), ==, 0);
    CHECK_INT(server.out.len, <, 50000 + 16384 + 9);
    peer_feed(&client, server.out.data, server.out.len);
    total += server.out.len;
  }
  CHECK_INT(turns, >, 10);
  CHECK_INT(total, >, 900000);
  CHECK_INT(client.bytes, ==, 900000);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_dirty_is_told_once) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  client.dirty = 0;
  for (int i = 0; i < 10; i++) peer_send(&client, n, "x");
  CHECK_INT(client.dirty, ==, 1);
  peer_pass(&client, &server, 0);
  peer_send(&client, n, "x");
  CHECK_INT(client.dirty, ==, 2);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_hold_stops_one_stream_only) {
  struct peer client, server;
  tr_rpc_options small = { .stream_window = 65535, .connection_window = 1 << 20 };
  peers_pair(&client, &server, defaults, small);
  int slow = peer_call(&client, "/slow"), fast = peer_call(&client, "/fast");
  peers_talk(&client, &server, 0);
  tr_rpc_hold(server.call[slow], true);
  for (int i = 0; i < 100; i++) {
    peer_send_size(&client, slow, 10000);
    peer_send_size(&client, fast, 10000);
  }
  server.quiet = true;
  peers_talk(&client, &server, 0);
  CHECK_INT(tr_rpc_queued(client.call[fast]), ==, 0);
  CHECK_INT(tr_rpc_queued(client.call[slow]), ==, 100 * 10005 - 65535);
  tr_rpc_hold(server.call[slow], false);
  peers_talk(&client, &server, 0);
  CHECK_INT(tr_rpc_queued(client.call[slow]), ==, 0);
  CHECK_INT(server.messages, ==, 200);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_small_windows_let_big_messages_through) {
  for (size_t step = 0; step < 3; step++) {
    struct peer client, server;
    tr_rpc_options tiny = { .stream_window = 1 + (uint32_t)step * 50, .connection_window = 65535 };
    peers_pair(&client, &server, tiny, tiny);
    server.act = echo;
    int n = peer_call(&client, "/x");
    peer_send_size(&client, n, 3000);
    tr_rpc_half_close(client.call[n]);
    peers_talk(&client, &server, step);
    CHECK_SAID(&server, "open 1 /x\nmessage 1 (3000)\nhalf_closed 1\nclosed 1 0\n");
    CHECK_SAID(&client, "headers 1\nmessage 1 echo\nclosed 1 0\n");
    end_pair(&client, &server);
  }
}

CHECK_CASE(rpc_many_messages_in_one_frame) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  for (int i = 0; i < 100; i++) peer_send(&client, n, "0123456789");
  tr_buf_clear(&client.out);
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  CHECK_INT(client.out.len, ==, 9 + 100 * 15);
  peer_feed(&server, client.out.data, client.out.len);
  CHECK_INT(server.messages, ==, 100);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_one_blob_to_many) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  tr_blob *blob = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("news"));
  for (int i = 0; i < 10; i++) peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  for (int i = 1; i <= 10; i++) CHECK_INT(tr_rpc_send(server.call[i], blob), ==, 0);
  CHECK_INT(blob->refs, ==, 11);
  tr_rpc_cancel(server.call[3]); /* lets go of what was queued */
  CHECK_INT(blob->refs, ==, 10);
  peers_talk(&client, &server, 0);
  CHECK_INT(blob->refs, ==, 1);
  CHECK_INT(client.messages, ==, 9);
  tr_blob_unref(blob);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_reset_by_the_peer_releases_the_queue) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  tr_blob *blob = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("news"));
  int n = peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  peer_send_size(&server, 1, 2000000); /* the window is used up, the rest waits */
  CHECK_INT(tr_rpc_send(server.call[1], blob), ==, 0);
  peer_pass(&server, &client, 0);
  CHECK_INT(blob->refs, ==, 2);
  tr_rpc_cancel(client.call[n]);
  peer_pass(&client, &server, 0);
  CHECK_INT(blob->refs, ==, 1);
  CHECK_SAID(&server, "open 1 /x\nclosed 1 1 CANCEL\n");
  tr_blob_unref(blob);
  end_pair(&client, &server);
}

CHECK_CASE(rpc_pings_are_answered) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  tr_rpc_ping(client.conn, 42);
  tr_rpc_ping(server.conn, 43);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "pong 42\n");
  CHECK_SAID(&server, "pong 43\n");
  end_pair(&client, &server);
}

/* One end is fed while it speaks to the other: a call on one connection leads to a send on another. */
static struct peer *receiver;
static void forward(struct peer *self, int call, const char *event) {
  (void)self; (void)call;
  if (strcmp(event, "message") == 0) peer_send(receiver, 1, "forwarded");
}

CHECK_CASE(rpc_handlers_may_send_on_another_connection) {
  struct peer a, host_a, b, host_b;
  peers_pair(&a, &host_a, defaults, defaults);
  peers_pair(&b, &host_b, defaults, defaults);
  int n = peer_call(&a, "/a");
  peer_call(&b, "/b");
  peers_talk(&b, &host_b, 0);
  receiver = &host_b;
  host_a.act = forward;
  host_b.dirty = 0;
  for (int i = 0; i < 3; i++) peer_send(&a, n, "x");
  peers_talk(&a, &host_a, 0);
  CHECK_INT(host_b.dirty, ==, 1);
  peers_talk(&b, &host_b, 0);
  CHECK_SAID(&b, "headers 1\nmessage 1 forwarded\nmessage 1 forwarded\nmessage 1 forwarded\n");
  end_pair(&a, &host_a);
  end_pair(&b, &host_b);
}

CHECK_CASE(rpc_lanes_change_between_messages_only) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  tr_blob *low = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("low")), *high = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("high"));
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\n");
  client.sizes = true;
  CHECK_INT(tr_rpc_send_lane(server.call[1], low, TR_LANE_LOW), ==, 0);
  peer_send_size(&server, 1, 2000000); /* the window is used up in the midst of it */
  tr_buf_clear(&server.out);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 100000), ==, 0);
  size_t queued = tr_rpc_queued(server.call[1]);
  CHECK_INT(tr_rpc_send_lane(server.call[1], high, TR_LANE_HIGH), ==, 0);
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, queued + 9);
  peer_feed(&client, server.out.data, server.out.len);
  peers_talk(&client, &server, 1000);
  CHECK_SAID(&client, "headers 1\nmessage 1 (2000000)\nmessage 1 (4)\nmessage 1 (3)\n");
  CHECK_INT(tr_rpc_queued(server.call[1]), ==, 0);
  tr_rpc_send_lane(server.call[1], low, TR_LANE_LOW);
  tr_rpc_cancel(server.call[1]); /* lets go of it */
  CHECK_INT(low->refs, ==, 1);
  tr_blob_unref(low);
  tr_blob_unref(high);
  end_pair(&client, &server);
}
