/* SPDX-License-Identifier: MIT
 * Peers that do not behave: other protocols, requests that are not gRPC, floods, headers without end. */
#include <stdio.h>
#include <stdlib.h>

#include "rpc/internal.h"
#include "rpc_peers.h"

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PUSH_PROMISE = 5, PING = 6, GOAWAY = 7,
       WINDOW_UPDATE = 8, CONTINUATION = 9, END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static const tr_rpc_options defaults = { 0 };
static tr_mem plain_mem;

static void raw_init(tr_buf *raw) {
  tr_mem_init(&plain_mem);
  tr_buf_init(raw, &plain_mem);
}

/* The connection says this and ends, with this HTTP/2 error in a GOAWAY (-1: with none). */
static void check_broken(struct peer *self, int code, const char *text, int http2_error) {
  size_t n;
  CHECK_INT(self->error.code, ==, code);
  CHECK_STR(self->error.text, text);
  CHECK(http2_error < 0 || !tr_rpc_finished(self->conn));
  tr_buf_clear(&self->out);
  CHECK_INT(tr_rpc_output(self->conn, &self->out, 1 << 20), ==, 0);
  const uint8_t *goaway = raw_find(&self->out, GOAWAY, &n);
  if (http2_error < 0) CHECK(!goaway);
  else CHECK(goaway && n >= 8 && goaway[7] == http2_error);
  CHECK(tr_rpc_finished(self->conn));
  tr_buf_clear(&self->out);
  CHECK_INT(tr_rpc_output(self->conn, &self->out, 1 << 20), ==, 0);
  CHECK_INT(self->out.len, ==, 0);
  CHECK_INT(peer_feed(self, "more", 4), ==, code); /* it stays so */
}

/* --- other protocols --- */

static void check_start(bool server, const char *bytes, size_t n, const char *text) {
  for (int slow = 0; slow < 2; slow++) {
    struct peer self;
    peer_init(&self, server, defaults);
    int err = 0;
    for (size_t i = 0; i < n && !err; i += slow ? 1 : n) err = peer_feed(&self, bytes + i, slow ? 1 : n);
    if (text) {
      CHECK_INT(err, ==, TR_EINVALID);
      if (!slow) check_broken(&self, TR_EINVALID, text, -1);
    } else {
      CHECK_INT(err, ==, 0);
    }
    peer_fini(&self);
  }
}

#define OTHER "the peer does not speak HTTP/2: "

CHECK_CASE(rpc_other_protocols_at_a_server) {
  static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", post[] = "POST /agents.AgentRpc/OpenChannel HTTP/1.1\r\n";
  check_start(true, get, sizeof get - 1, OTHER "this is an HTTP/1 request");
  check_start(true, post, sizeof post - 1, OTHER "this is an HTTP/1 request");
  check_start(true, "PUT /", 5, OTHER "this is an HTTP/1 request");
  check_start(true, "\x16\x03\x01\2\0\1", 6, OTHER "this is TLS");
  check_start(true, "SSH-2.0-OpenSSH", 15, OTHER "this is SSH");
  check_start(true, "\0\1\2\3\4\5\6\7\10\11", 10, OTHER "it began with the bytes 00 01 02 03 04 05 06 07");
  check_start(true, "PRI * HTTP/1.1\r\n", 16, OTHER "it began with the bytes 50 52 49 20 2a 20 48 54");
  check_start(true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", 23, NULL); /* cut, but right so far */
}

CHECK_CASE(rpc_other_protocols_at_a_client) {
  static const char http[] = "HTTP/1.1 400 Bad Request\r\n";
  check_start(false, http, sizeof http - 1, OTHER "this is an HTTP/1 response");
  check_start(false, "\x15\x03\x01\0\2\2\x16", 7, OTHER "this is TLS (an alert)");
  check_start(false, "SSH-2.0-OpenSSH", 15, OTHER "this is SSH");
  check_start(false, "\0\0\6\3\0\0\0\0\0", 9, OTHER "it began with the bytes 00 00 06 03 00 00 00 00");
  check_start(false, "\0\0\0\4\0\0\0\0\0", 9, NULL);
}

CHECK_CASE(rpc_garbage_after_the_preface) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  for (int i = 0; i < 1000; i++) tr_buf_byte(&raw, (uint8_t)(i * 37 + 200));
  peer_init(&server, true, defaults);
  peer_feed(&server, raw.data, raw.len);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0); /* nghttp2 says GOAWAY */
  CHECK(tr_rpc_finished(server.conn));
  CHECK_INT(peer_feed(&server, "x", 1), ==, TR_EINVALID);
  CHECK_STR(server.error.text, "HTTP/2 FRAME_SIZE_ERROR: too large frame size");
  peer_fini(&server);
  tr_buf_fini(&raw);
}

/* --- requests that are not gRPC --- */

/* A request with these fields; what the server says to a real client. */
static void check_refused(tr_buf *block, uint8_t flags, const char *closed) {
  struct peer server, client;
  tr_buf raw;
  tr_buf_init(&raw, &plain_mem);
  raw_preface(&raw);
  raw_frame(&raw, HEADERS, flags | END_HEADERS, 1, block->data, block->len);
  raw_request(&raw, 3, "/good", END_HEADERS | END_STREAM); /* the connection goes on */
  peer_init(&server, true, defaults);
  peer_init(&client, false, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /good\nhalf_closed 1\n"); /* the refused one was never told */
  peer_call(&client, "/x");
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  peer_pass(&server, &client, 0);
  CHECK_SAID(&client, closed);
  size_t n;
  CHECK((raw_find(&server.out, RST_STREAM, &n) != NULL) == !(flags & END_STREAM)); /* NO_ERROR where it could go on */
  peer_fini(&server);
  peer_fini(&client);
  tr_buf_fini(&raw);
  tr_buf_clear(block);
}

CHECK_CASE(rpc_requests_that_are_not_grpc) {
  tr_buf block;
  raw_init(&block);
  raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "x", NULL);
  check_refused(&block, END_STREAM, "closed 1 2 HTTP status 415\n");
  raw_fields(&block, ":method", "GET", ":scheme", "http", ":path", "/x", ":authority", "x", "content-type", "application/grpc", NULL);
  check_refused(&block, END_STREAM, "closed 1 2 Bad method header\n");
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "content-type", "application/grpc", NULL);
  check_refused(&block, 0, "closed 1 2 Missing :te header\n");
  static const char *const types[] = { "application/json", "application/grpc-web", "application/grpcx", "" };
  for (size_t i = 0; i < 4; i++) {
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers",
               "content-type", types[i], NULL);
    check_refused(&block, END_STREAM, "closed 1 2 HTTP status 415\n");
  }
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers", "content-type",
             "application/grpc+proto", "grpc-encoding", "zstd", NULL);
  check_refused(&block, END_STREAM, "closed 1 12 grpc-encoding \"zstd\" is not supported\n");
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_unknown_compression_is_told_what_there_is) {
  tr_buf block, raw;
  struct peer server;
  size_t n;
  raw_init(&block);
  tr_buf_init(&raw, &plain_mem);
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers", "content-type",
             "application/grpc", "grpc-encoding", "zstd", NULL);
  raw_preface(&raw);
  raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.data, block.len);
  peer_init(&server, true, defaults);
  peer_feed(&server, raw.data, raw.len);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  nghttp2_hd_inflater *inflater;
  const uint8_t *p = raw_find(&server.out, HEADERS, &n);
  CHECK(p != NULL);
  CHECK_INT(nghttp2_hd_inflate_new(&inflater), ==, 0);
  bool found = false;
  for (int flags = 0; n > 0 && !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
    nghttp2_nv nv;
    ssize_t used = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, p, n, 1);
    CHECK_INT(used, >=, 0);
    p += used;
    n -= (size_t)used;
    if (flags & NGHTTP2_HD_INFLATE_EMIT)
      found |= tr_slice_is(tr_slice_make(nv.name, nv.namelen), "grpc-accept-encoding") &&
               tr_slice_is(tr_slice_make(nv.value, nv.valuelen), "identity,gzip");
  }
  CHECK(found);
  nghttp2_hd_inflate_del(inflater);
  peer_fini(&server);
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_malformed_header_blocks_end_their_stream_only) {
  tr_buf block;
  raw_init(&block);
  static const char *const bad[][2] = { { "Client-Id", "x" }, { "client-id", "a\nb" }, { "te", "gzip" }, { "connection", "x" },
                                        { ":status", "200" }, { "content-length", "x" } };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_buf raw;
    struct peer server;
    tr_buf_init(&raw, &plain_mem);
    raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "content-type", "application/grpc",
               bad[i][0], bad[i][1], NULL);
    raw_preface(&raw);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.data, block.len);
    raw_frame(&raw, DATA, 0, 1, "\0\0\0\0\0", 5);
    raw_request(&raw, 3, "/good", END_HEADERS);
    peer_init(&server, true, defaults);
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
    if (i % 2) CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0); /* else: freed before it is answered */
    CHECK_SAID(&server, "open 1 /good\n");
    peer_fini(&server);
    tr_buf_clear(&block);
    tr_buf_fini(&raw);
  }
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_raw_bytes_in_binary_metadata_are_left_out) {
  tr_buf block, raw;
  struct peer server;
  raw_init(&block);
  tr_buf_init(&raw, &plain_mem);
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers", "content-type",
             "application/grpc", "trace-bin", "\1\2\377", "client-id", "x", NULL);
  raw_preface(&raw);
  raw_frame(&raw, HEADERS, END_HEADERS, 1, block.data, block.len);
  peer_init(&server, true, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /x\n");
  CHECK(!tr_rpc_call_header(server.call[1], "trace-bin").p);
  CHECK_SLICE(tr_rpc_call_header(server.call[1], "client-id"), "x");
  peer_fini(&server);
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

/* --- headers without end --- */

static void raw_big_request(tr_buf *raw, uint32_t stream, size_t size) {
  tr_buf block;
  char *value = malloc(size + 1);
  memset(value, 'v', size);
  value[size] = 0;
  tr_buf_init(&block, &plain_mem);
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers",
             "content-type", "application/grpc", "big", value, NULL);
  size_t n = block.len < 16384 ? block.len : 16384;
  raw_frame(raw, HEADERS, n == block.len ? END_HEADERS | END_STREAM : END_STREAM, stream, block.data, n);
  for (size_t at = n; at < block.len; at += n) {
    n = block.len - at < 16384 ? block.len - at : 16384;
    raw_frame(raw, CONTINUATION, at + n == block.len ? END_HEADERS : 0, stream, block.data + at, n);
  }
  free(value);
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_header_size_at_the_limit_and_past_it) {
  struct peer server, client;
  tr_buf raw;
  /* 7 fields of 32 each, and their texts */
  const size_t fixed = 7 * 32 + 11 + 11 + 7 + 11 + 10 + 28 + 3;
  raw_init(&raw);
  raw_preface(&raw);
  raw_big_request(&raw, 1, 2000 - fixed);
  raw_big_request(&raw, 3, 2000 - fixed + 1);
  raw_big_request(&raw, 5, 60000); /* far past it: reset at once */
  raw_request(&raw, 7, "/good", END_HEADERS);
  peer_init(&server, true, (tr_rpc_options){ .max_header_bytes = 2000 });
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /x\nhalf_closed 1\nopen 2 /good\n");
  CHECK_INT(check_mem()->used, <, 60000);
  peer_init(&client, false, defaults);
  for (int i = 0; i < 4; i++) peer_call(&client, "/x");
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  peer_pass(&server, &client, 0);
  CHECK_SAID(&client, "closed 2 8 the request's headers are larger than 2000 bytes\nclosed 3 13 INTERNAL_ERROR\n");
  peer_fini(&server);
  peer_fini(&client);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_response_headers_past_the_limit) {
  struct peer client, server;
  static char big[3001];
  peers_pair(&client, &server, (tr_rpc_options){ .max_header_bytes = 2000 }, defaults);
  peer_call(&client, "/x");
  peer_call(&client, "/y");
  peers_talk(&client, &server, 0);
  memset(big, 'b', 3000);
  tr_rpc_header header = { TR_SLICE_LITERAL("big"), tr_slice_of(big) };
  tr_rpc_send_headers(server.call[1], &header, 1);
  peer_finish(&server, 2, 0, "");
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "closed 2 0\nclosed 1 13 the response's headers are larger than 2000 bytes\n");
  peer_fini(&client);
  peer_fini(&server);
}

CHECK_CASE(rpc_headers_that_cannot_be_sent_end_the_call) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  char *big = malloc(100001);
  memset(big, 'b', 100000);
  big[100000] = 0;
  tr_rpc_header header = { TR_SLICE_LITERAL("big"), tr_slice_of(big) };
  tr_rpc_send_headers(server.call[1], &header, 1);
  tr_rpc_call *call = tr_rpc_call_new(client.conn, TR_SLICE_LITERAL("/big"), &header, 1, -1);
  CHECK(call != NULL);
  tr_rpc_call_set_ud(call, (void *)2);
  client.calls = 2;
  client.call[2] = call;
  peers_talk(&client, &server, 0);
  CHECK_INT(client.closed, ==, 2);
  CHECK_INT(server.closed, ==, 1);
  free(big);
  peer_fini(&client);
  peer_fini(&server);
}

CHECK_CASE(rpc_continuation_flood) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  raw_frame(&raw, HEADERS, 0, 1, "\x82", 1);
  for (int i = 0; i < 1000; i++) raw_frame(&raw, CONTINUATION, 0, 1, "\x86", 1);
  peer_init(&server, true, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, TR_ELIMIT);
  check_broken(&server, TR_ELIMIT, "flood: too many CONTINUATION frames", NGHTTP2_ENHANCE_YOUR_CALM);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_header_bomb_by_the_dynamic_table) {
  struct peer server;
  tr_buf raw, block;
  raw_init(&raw);
  tr_buf_init(&block, &plain_mem);
  raw_preface(&raw);
  tr_buf_append(&block, "\x82\x86\x84", 3);
  tr_buf_append(&block, "\x40\1a\x7f\xa1\x1e", 6); /* "a": 4000 bytes, into the table (127 + 3873) */
  for (int i = 0; i < 4000; i++) tr_buf_byte(&block, 'x');
  while (block.len < 16384) tr_buf_byte(&block, 0xbe); /* and again and again */
  raw_frame(&raw, HEADERS, END_HEADERS | END_STREAM, 1, block.data, block.len);
  raw_request(&raw, 3, "/good", END_HEADERS);
  peer_init(&server, true, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /good\n");
  peer_fini(&server);
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

/* --- floods --- */

/* One frame of the flood, or two. */
typedef void flood_fn(tr_buf *raw, int i);

static void flood_reset(tr_buf *raw, int i) {
  uint32_t stream = (uint32_t)(2 * i + 3);
  raw_request(raw, stream, "/x", END_HEADERS);
  raw_frame(raw, RST_STREAM, 0, stream, "\0\0\0\10", 4);
}
static void flood_ping(tr_buf *raw, int i) { (void)i; raw_frame(raw, PING, 0, 0, "12345678", 8); }
static void flood_settings(tr_buf *raw, int i) { (void)i; raw_frame(raw, SETTINGS, 0, 0, NULL, 0); }
static void flood_empty(tr_buf *raw, int i) { (void)i; raw_frame(raw, DATA, 0, 1, NULL, 0); }
static void flood_priority(tr_buf *raw, int i) { (void)i; raw_frame(raw, PRIORITY, 0, 1, "\0\0\0\0\1", 5); }
static void flood_malformed(tr_buf *raw, int i) { raw_frame(raw, HEADERS, END_HEADERS, (uint32_t)(2 * i + 3), "\x82", 1); }

static void check_flood(flood_fn *frame, int allowed, bool output_between) {
  static const char text[] = "flood: more than 50 resets, pings, settings or empty frames in a second";
  struct peer server, other, client;
  tr_buf raw;
  raw_init(&raw);
  peer_init(&server, true, (tr_rpc_options){ .max_resets_per_second = 50 });
  peers_pair(&client, &other, defaults, defaults);
  raw_preface(&raw);
  raw_request(&raw, 1, "/x", END_HEADERS);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  server.quiet = true;
  int i = 0, err = 0;
  for (server.now = 5000000; i < 3 * allowed; i++) { /* 3 seconds of what is just allowed */
    if (i % allowed == 0) server.now += 1000000;
    tr_buf_clear(&raw);
    frame(&raw, i);
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
    tr_buf_clear(&server.out);
    if (output_between) CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  }
  tr_buf_clear(&raw); /* and one more */
  frame(&raw, i);
  err = peer_feed(&server, raw.data, raw.len);
  CHECK_INT(err, ==, TR_ELIMIT);
  check_broken(&server, TR_ELIMIT, text, NGHTTP2_ENHANCE_YOUR_CALM);
  tr_rpc_ping(client.conn, 1); /* another connection knows nothing of it */
  peers_talk(&client, &other, 0);
  CHECK_SAID(&client, "pong 1\n");
  peer_fini(&server);
  peer_fini(&client);
  peer_fini(&other);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_flood_of_resets) { check_flood(flood_reset, 50, true); check_flood(flood_reset, 50, false); }
CHECK_CASE(rpc_flood_of_pings) { check_flood(flood_ping, 50, true); check_flood(flood_ping, 50, false); }
CHECK_CASE(rpc_flood_of_settings) { check_flood(flood_settings, 50, true); }
CHECK_CASE(rpc_flood_of_empty_data) { check_flood(flood_empty, 50, true); }
CHECK_CASE(rpc_flood_of_priorities) { check_flood(flood_priority, 50, true); }
CHECK_CASE(rpc_flood_of_malformed_requests) { check_flood(flood_malformed, 50, true); }

CHECK_CASE(rpc_flood_without_a_limit_of_its_own_meets_the_default) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  for (int i = 0; i < 3000; i++) flood_ping(&raw, i);
  peer_init(&server, true, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, TR_ELIMIT);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_pings_every_ten_seconds_for_ever) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  raw_request(&raw, 1, "/x", END_HEADERS);
  peer_init(&server, true, (tr_rpc_options){ .max_resets_per_second = 1 });
  for (int i = 0; i < 5000; i++) {
    if (i > 0) flood_ping(&raw, i);
    server.now += 10 * 1000000;
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
    tr_buf_clear(&raw);
    tr_buf_clear(&server.out);
    CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  }
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_bandwidth_probes_are_no_flood) {
  /* grpc-go and grpcio ping after each burst of DATA. */
  struct peer client, server;
  peers_pair(&client, &server, defaults, (tr_rpc_options){ .max_resets_per_second = 5 });
  int n = peer_call(&client, "/x");
  server.quiet = client.quiet = true;
  for (int i = 0; i < 1000; i++) {
    peer_send(&client, n, "hello");
    tr_rpc_ping(client.conn, 1);
    CHECK_INT(peer_pass(&client, &server, 0), >, 0);
    CHECK_INT(server.error.code, ==, 0);
    peer_pass(&server, &client, 0);
  }
  CHECK_INT(server.messages, ==, 1000);
  peer_fini(&client);
  peer_fini(&server);
}

static void refuse(struct peer *self, int call, const char *event) {
  if (strcmp(event, "open") == 0 && call < CALLS) peer_finish(self, call, 3, "no");
}

CHECK_CASE(rpc_resets_that_end_refused_calls_are_no_flood) {
  /* The server says NO_ERROR since the request was open; grpc-go's client does so as well. */
  struct peer client, server;
  peers_pair(&client, &server, (tr_rpc_options){ .max_resets_per_second = 3 }, (tr_rpc_options){ .max_resets_per_second = 3 });
  server.act = refuse;
  for (int i = 0; i < 50; i++) CHECK_INT(peer_call(&client, "/x"), >, 0);
  peers_talk(&client, &server, 0);
  CHECK_INT(client.closed, ==, 50);
  CHECK_INT(server.closed, ==, 50);
  tr_buf raw;
  raw_init(&raw);
  for (uint32_t i = 0; i < 50; i++) raw_frame(&raw, RST_STREAM, 0, 2 * i + 1, "\0\0\0\0", 4);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_INT(client.error.code, ==, 0);
  peer_fini(&client);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_streams_past_the_limit) {
  struct peer server;
  tr_buf raw;
  size_t n;
  raw_init(&raw);
  raw_preface(&raw);
  for (uint32_t i = 0; i < 4; i++) raw_request(&raw, 2 * i + 1, "/x", END_HEADERS);
  peer_init(&server, true, (tr_rpc_options){ .max_streams = 3 });
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_INT(tr_rpc_call_count(server.conn), ==, 3);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  const uint8_t *reset = raw_find(&server.out, RST_STREAM, &n);
  CHECK(reset != NULL && reset[3] == NGHTTP2_REFUSED_STREAM); /* the client had not seen the limit yet */
  CHECK(!tr_rpc_finished(server.conn));
  peer_fini(&server);
  tr_buf_fini(&raw);
}

/* --- broken HTTP/2 --- */

CHECK_CASE(rpc_broken_frames_end_the_connection) {
  static const struct { uint8_t type, flags; uint32_t stream; const char *payload; size_t n; int error; } rows[] = {
    { DATA, 0, 0, "x", 1, NGHTTP2_PROTOCOL_ERROR },
    { DATA, 0, 9, "x", 1, NGHTTP2_PROTOCOL_ERROR },         /* an idle stream */
    { DATA, 8, 1, "\5abc", 4, NGHTTP2_PROTOCOL_ERROR },     /* more padding than there is */
    { HEADERS, END_HEADERS, 2, "\x82", 1, NGHTTP2_PROTOCOL_ERROR },
    { HEADERS, END_HEADERS, 3, "\xff\xff\xff\xff\xff\xff", 6, NGHTTP2_COMPRESSION_ERROR },
    { SETTINGS, 0, 1, NULL, 0, NGHTTP2_PROTOCOL_ERROR },
    { SETTINGS, 0, 0, "\0\4\377\377\377\377", 6, NGHTTP2_FLOW_CONTROL_ERROR },
    { SETTINGS, 0, 0, "12345", 5, NGHTTP2_FRAME_SIZE_ERROR },
    { PING, 0, 0, "1234", 4, NGHTTP2_FRAME_SIZE_ERROR },
    { WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4, NGHTTP2_PROTOCOL_ERROR },
    { WINDOW_UPDATE, 0, 0, "\177\377\377\377", 4, NGHTTP2_FLOW_CONTROL_ERROR },
    { PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82", 5, NGHTTP2_PROTOCOL_ERROR },
    { CONTINUATION, END_HEADERS, 1, "\x82", 1, NGHTTP2_PROTOCOL_ERROR },
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct peer server;
    tr_buf raw;
    size_t n;
    raw_init(&raw);
    raw_preface(&raw);
    raw_request(&raw, 1, "/x", END_HEADERS);
    raw_frame(&raw, rows[i].type, rows[i].flags, rows[i].stream, rows[i].payload, rows[i].n);
    raw_request(&raw, 11, "/never", END_HEADERS);
    peer_init(&server, true, defaults);
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0); /* seen when nghttp2 writes its GOAWAY */
    CHECK_INT(server.dirty, ==, 1);
    CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
    const uint8_t *goaway = raw_find(&server.out, GOAWAY, &n);
    CHECK(goaway != NULL);
    CHECK_INT(goaway[7], ==, rows[i].error);
    CHECK(tr_rpc_finished(server.conn));
    CHECK_INT(peer_feed(&server, "x", 1), ==, TR_EINVALID);
    CHECK_INT(server.calls, ==, 1);
    peer_fini(&server);
    tr_buf_fini(&raw);
  }
}

CHECK_CASE(rpc_flow_control_is_enforced) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  raw_frame(&raw, SETTINGS, ACK, 0, NULL, 0);
  raw_request(&raw, 1, "/x", END_HEADERS);
  raw_request(&raw, 3, "/y", END_HEADERS);
  peer_init(&server, true, (tr_rpc_options){ .stream_window = 1000 });
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  peer_feed(&server, raw.data, raw.len);
  tr_rpc_hold(server.call[1], true);
  static char data[600];
  tr_buf_clear(&raw);
  for (int i = 0; i < 2; i++) raw_frame(&raw, DATA, 0, 1, data, sizeof data); /* 1200 bytes */
  raw_frame(&raw, DATA, 0, 3, data, 5);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  CHECK_INT(server.closed, ==, 1); /* that stream, or with it the connection: never more memory */
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_goodbye_of_grpc_go) {
  struct peer server;
  tr_buf raw;
  raw_init(&raw);
  raw_preface(&raw);
  raw_request(&raw, 1, "/x", END_HEADERS);
  raw_frame(&raw, GOAWAY, 0, 0, "\0\0\0\1\0\0\0\0client transport shutdown", 33);
  peer_init(&server, true, defaults);
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /x\ngoaway 0 client transport shutdown\n");
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  CHECK_INT(peer_feed(&server, "x", 1), ==, TR_EUNAVAILABLE);
  CHECK_STR(server.error.text, "the peer said goodbye");
  peer_fini(&server);
  tr_buf_fini(&raw);
}
