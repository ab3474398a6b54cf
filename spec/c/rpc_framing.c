/* SPDX-License-Identifier: MIT
 * gRPC messages in DATA: cut at every place, too large, compressed, malformed. The client's bytes are made by hand. */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "rpc/internal.h"
#include "rpc_peers.h"

enum { DATA = 0, HEADERS = 1, END_STREAM = 1, END_HEADERS = 4 };

static tr_mem plain_mem; /* what the check itself uses */

static void raw_init(tr_buf *raw) {
  tr_mem_init(&plain_mem);
  tr_buf_init(raw, &plain_mem);
}

static void raw_message(tr_buf *out, const char *text) {
  raw_prefix(out, 0, (uint32_t)strlen(text));
  tr_buf_text(out, text);
}

/* HEADERS of stream 1 with this grpc-encoding (NULL: none). */
static void raw_encoded_request(tr_buf *out, const char *encoding) {
  tr_buf block;
  tr_buf_init(&block, &plain_mem);
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers",
             "content-type", "application/grpc+proto", NULL);
  if (encoding) raw_fields(&block, "grpc-encoding", encoding, NULL);
  raw_frame(out, HEADERS, END_HEADERS, 1, block.data, block.len);
  tr_buf_fini(&block);
}

/* window_bits: 15 + 16 gzip, 15 deflate */
static void deflate_to(tr_buf *out, const void *bytes, size_t n, int window_bits) {
  z_stream z = { 0 };
  union { const void *in; Bytef *out; } input = { bytes };
  CHECK_INT(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
  size_t bound = deflateBound(&z, (uLong)n);
  tr_buf_reserve(out, bound);
  z.next_in = input.out;
  z.avail_in = (uInt)n;
  z.next_out = out->data + out->len;
  z.avail_out = (uInt)bound;
  CHECK_INT(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
  out->len += bound - z.avail_out;
  deflateEnd(&z);
}

CHECK_CASE(rpc_frame_puts_the_prefix_before_the_bytes) {
  tr_blob *blob = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("hello"));
  CHECK_MEM(blob->data, blob->len, "\0\0\0\0\5hello", 10);
  tr_blob_unref(blob);
  blob = tr_rpc_frame(check_mem(), (tr_slice){ NULL, 0 });
  CHECK_MEM(blob->data, blob->len, "\0\0\0\0\0", 5);
  tr_blob_unref(blob);
}

/* Messages of several sizes in frames of several sizes, padded and not. */
static void make_stream(tr_buf *raw) {
  tr_buf body;
  tr_buf_init(&body, &plain_mem);
  raw_preface(raw);
  raw_request(raw, 1, "/x", END_HEADERS);
  raw_message(&body, "one");
  raw_message(&body, "");
  raw_message(&body, "three and a few more");
  raw_message(&body, "");
  raw_message(&body, "five");
  size_t cuts[] = { 0, 2, 6, 8, 8, 20, 38, body.len };
  for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++) {
    bool last = i + 2 == sizeof cuts / sizeof *cuts;
    if (i % 2) {
      char padded[64] = { 3 };
      size_t n = cuts[i + 1] - cuts[i];
      if (n) memcpy(padded + 1, body.data + cuts[i], n);
      raw_frame(raw, DATA, (uint8_t)(8 | last), 1, padded, n + 4);
    } else {
      raw_frame(raw, DATA, last, 1, body.data + cuts[i], cuts[i + 1] - cuts[i]);
    }
    if (i == 3) raw_request(raw, 3, "/y", END_HEADERS | END_STREAM); /* another stream between */
  }
  tr_buf_fini(&body);
}

static const char stream_lines[] = "open 1 /x\nmessage 1 one\nopen 2 /y\nhalf_closed 2\nmessage 1 \nmessage 1 three and a few more\n"
                                   "message 1 \nmessage 1 five\nhalf_closed 1\n";

CHECK_CASE(rpc_messages_cut_at_every_place) {
  tr_buf raw;
  raw_init(&raw);
  make_stream(&raw);
  for (size_t cut = 0; cut <= raw.len; cut++) {
    struct peer server;
    peer_init(&server, true, (tr_rpc_options){ 0 });
    for (int half = 0; half < 2; half++) {
      size_t n = half ? raw.len - cut : cut;
      char *copy = malloc(n + !n);
      memcpy(copy, raw.data + (half ? cut : 0), n);
      CHECK_INT(peer_feed(&server, copy, n), ==, 0);
      free(copy);
    }
    CHECK_SAID(&server, stream_lines);
    peer_fini(&server);
  }
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_messages_byte_by_byte) {
  tr_buf raw;
  struct peer server;
  raw_init(&raw);
  make_stream(&raw);
  peer_init(&server, true, (tr_rpc_options){ 0 });
  for (size_t i = 0; i < raw.len; i++) CHECK_INT(peer_feed(&server, raw.data + i, 1), ==, 0);
  CHECK_SAID(&server, stream_lines);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

/* --- limits --- */

CHECK_CASE(rpc_a_message_at_the_limit_and_one_past_it) {
  struct peer client, server;
  peers_pair(&client, &server, (tr_rpc_options){ 0 }, (tr_rpc_options){ .max_message = 1000 });
  int n = peer_call(&client, "/x");
  peer_send_size(&client, n, 1000);
  peer_send_size(&client, n, 1001);
  peer_send(&client, n, "next");
  tr_rpc_half_close(client.call[n]);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\nmessage 1 (1000)\noversize 1 1001 xxxxxxxx... (512)\nmessage 1 next\nhalf_closed 1\n");
  peer_fini(&client);
  peer_fini(&server);
}

CHECK_CASE(rpc_oversize_messages_cut_at_many_places) {
  for (size_t step = 1; step < 1200; step += step < 20 ? 1 : 97) {
    struct peer client, server;
    peers_pair(&client, &server, (tr_rpc_options){ 0 }, (tr_rpc_options){ .max_message = 30 });
    int n = peer_call(&client, "/x");
    peer_send_size(&client, n, 31);
    peer_send(&client, n, "a");
    peer_send_size(&client, n, 512);
    peer_send_size(&client, n, 513);
    peer_send(&client, n, "b");
    tr_rpc_half_close(client.call[n]);
    peers_talk(&client, &server, step);
    CHECK_SAID(&server, "open 1 /x\noversize 1 31 xxxxxxxx... (31)\nmessage 1 a\noversize 1 512 xxxxxxxx... (512)\n"
                        "oversize 1 513 xxxxxxxx... (512)\nmessage 1 b\nhalf_closed 1\n");
    peer_fini(&client);
    peer_fini(&server);
  }
}

CHECK_CASE(rpc_oversize_is_skipped_with_the_credit_flowing) {
  struct peer client, server;
  tr_rpc_options small = { .max_message = 1000, .stream_window = 65535 };
  peers_pair(&client, &server, (tr_rpc_options){ 0 }, small);
  int n = peer_call(&client, "/x");
  size_t before = check_mem()->used;
  peer_send_size(&client, n, 20000000);
  peer_send(&client, n, "next");
  size_t queued = check_mem()->used;
  CHECK_INT(queued - before, >, 20000000);
  for (int i = 0; i < 100; i++) peer_pass(&client, &server, 0), peer_pass(&server, &client, 0);
  CHECK_INT(check_mem()->used, <, queued + 10000); /* nothing of it is kept */
  peers_talk(&client, &server, 0);
  CHECK_SAID(&server, "open 1 /x\noversize 1 20000000 xxxxxxxx... (512)\nmessage 1 next\n");
  peer_fini(&client);
  peer_fini(&server);
}

CHECK_CASE(rpc_assembly_grows_with_what_came_not_with_what_was_announced) {
  tr_buf raw;
  struct peer server;
  raw_init(&raw);
  raw_preface(&raw);
  raw_request(&raw, 1, "/x", END_HEADERS);
  peer_init(&server, true, (tr_rpc_options){ 0 });
  peer_feed(&server, raw.data, raw.len);
  size_t before = check_mem()->used;
  tr_buf_clear(&raw);
  raw_frame(&raw, DATA, 0, 1, "\0\0\77\377\377abc", 8); /* 4 194 303 bytes are announced */
  peer_feed(&server, raw.data, raw.len);
  CHECK_INT(check_mem()->used, <, before + 100);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

static void ignore_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  (void)ud; (void)call; (void)bytes; (void)framed;
}

CHECK_CASE(rpc_oversize_without_a_handler_ends_the_call) {
  static const tr_rpc_handlers few = { .message = ignore_message };
  struct peer client, server;
  peers_pair(&client, &server, (tr_rpc_options){ 0 }, (tr_rpc_options){ .max_message = 1000, .handlers = &few });
  int n = peer_call(&client, "/x");
  peer_send_size(&client, n, 1001);
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "closed 1 8 SERVER: Received message larger than max (1001 vs. 1000)\n");
  CHECK_INT(tr_rpc_call_count(server.conn), ==, 0);
  peer_fini(&client);
  peer_fini(&server);
}

CHECK_CASE(rpc_oversize_at_a_client_without_a_handler) {
  static tr_rpc_handlers few;
  struct peer client, server;
  peers_pair(&client, &server, (tr_rpc_options){ 0 }, (tr_rpc_options){ 0 });
  few = *client.options.handlers;
  few.oversize = NULL;
  peer_fini(&client);
  peer_fini(&server);
  peers_pair(&client, &server, (tr_rpc_options){ .max_message = 1000, .handlers = &few }, (tr_rpc_options){ 0 });
  peer_call(&client, "/x");
  peers_talk(&client, &server, 0);
  peer_send_size(&server, 1, 1001);
  peer_send(&server, 1, "next");
  peers_talk(&client, &server, 0);
  CHECK_SAID(&client, "headers 1\nclosed 1 8 CLIENT: Received message larger than max (1001 vs. 1000)\n");
  CHECK_SAID(&server, "open 1 /x\nclosed 1 1 CANCEL\n");
  peer_fini(&client);
  peer_fini(&server);
}

/* --- malformed --- */

static void check_answer(const char *encoding, const void *body, size_t n, bool end_stream, const char *lines, const char *trailers) {
  tr_buf raw;
  struct peer server;
  raw_init(&raw);
  raw_preface(&raw);
  raw_encoded_request(&raw, encoding);
  raw_frame(&raw, DATA, end_stream, 1, body, n);
  peer_init(&server, true, (tr_rpc_options){ .max_message = 1000 });
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
  CHECK_SAID(&server, lines);
  if (trailers) CHECK_INT(tr_rpc_call_count(server.conn), ==, 0);
  peer_fini(&server);
  tr_buf_fini(&raw);
}

CHECK_CASE(rpc_bad_framing_is_answered) {
  check_answer(NULL, "\2\0\0\0\1a", 6, false, "open 1 /x\nclosed 1 13 bad gRPC framing: flag 2 before a message\n", "");
  check_answer(NULL, "\377\0\0\0\1a", 6, false, "open 1 /x\nclosed 1 13 bad gRPC framing: flag 255 before a message\n", "");
  check_answer(NULL, "\0\0\0\0\1a\3\0\0\0\1a", 12, false,
               "open 1 /x\nmessage 1 a\nclosed 1 13 bad gRPC framing: flag 3 before a message\n", "");
  check_answer(NULL, "\0\0\0\0\5a", 6, true, "open 1 /x\nclosed 1 13 the request ends inside a message\n", "");
  check_answer(NULL, "\0\0\0", 3, true, "open 1 /x\nclosed 1 13 the request ends inside a message\n", "");
  check_answer(NULL, "\0\0\1\0\0a", 6, true, "open 1 /x\nclosed 1 13 the request ends inside a message\n", "");
  check_answer(NULL, "", 0, true, "open 1 /x\nhalf_closed 1\n", NULL);
}

CHECK_CASE(rpc_a_request_may_end_with_trailers) {
  tr_buf raw, block;
  struct peer server;
  raw_init(&raw);
  tr_buf_init(&block, &plain_mem);
  raw_preface(&raw);
  raw_request(&raw, 1, "/x", END_HEADERS);
  raw_frame(&raw, DATA, 0, 1, "\0\0\0\0\1a", 6);
  raw_fields(&block, "client-id", "another", NULL);
  raw_frame(&raw, HEADERS, END_HEADERS | END_STREAM, 1, block.data, block.len);
  peer_init(&server, true, (tr_rpc_options){ 0 });
  CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
  CHECK_SAID(&server, "open 1 /x\nmessage 1 a\nhalf_closed 1\n");
  CHECK_SLICE(tr_rpc_call_header(server.call[1], "client-id"), "raw");
  peer_fini(&server);
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

/* --- compression --- */

CHECK_CASE(rpc_compression_flag_without_an_encoding) {
  check_answer(NULL, "\1\0\0\0\1a", 6, false, "open 1 /x\nclosed 1 13 a compressed message, but no grpc-encoding\n", "");
  check_answer("identity", "\1\0\0\0\1a", 6, false, "open 1 /x\nclosed 1 13 a compressed message, but no grpc-encoding\n", "");
}

CHECK_CASE(rpc_compressed_messages) {
  static const struct { const char *name; int bits; } encodings[] = { { "gzip", 31 }, { "deflate", 15 } };
  for (int i = 0; i < 2; i++) {
    tr_buf small, body;
    raw_init(&small);
    tr_buf_init(&body, &plain_mem);
    deflate_to(&small, "hello hello hello", 17, encodings[i].bits);
    raw_prefix(&body, 1, (uint32_t)small.len);
    tr_buf_append(&body, small.data, small.len);
    raw_message(&body, "not compressed");
    raw_prefix(&body, 1, 0); /* empty, and called compressed */
    check_answer(encodings[i].name, body.data, body.len, true,
                 "open 1 /x\nmessage 1 hello hello hello\nmessage 1 not compressed\nmessage 1 \nhalf_closed 1\n", NULL);
    tr_buf_fini(&small);
    tr_buf_fini(&body);
  }
}

/* lines NULL: already the compressed message is too large. */
static void check_inflated(size_t size, const char *lines) {
  tr_buf small, body;
  char too_large[100];
  char *text = malloc(size);
  raw_init(&small);
  tr_buf_init(&body, &plain_mem);
  memset(text, 'z', size);
  deflate_to(&small, text, size, 31);
  raw_prefix(&body, 1, (uint32_t)small.len);
  tr_buf_append(&body, small.data, small.len);
  raw_message(&body, "next");
  snprintf(too_large, sizeof too_large, "open 1 /x\noversize 1 %zu zzzzzzzz... (512)\nmessage 1 next\nhalf_closed 1\n", small.len);
  if (!lines) CHECK_INT(small.len, >, 1000);
  check_answer("gzip", body.data, body.len, true, lines ? lines : too_large, NULL);
  tr_buf_fini(&small);
  tr_buf_fini(&body);
  free(text);
}

CHECK_CASE(rpc_inflated_size_is_limited) {
  check_inflated(999, "open 1 /x\nmessage 1 (999)\nmessage 1 next\nhalf_closed 1\n");
  check_inflated(1000, "open 1 /x\nmessage 1 (1000)\nmessage 1 next\nhalf_closed 1\n");
  check_inflated(1001, "open 1 /x\noversize 1 1001 zzzzzzzz... (512)\nmessage 1 next\nhalf_closed 1\n");
  check_inflated(700000, "open 1 /x\noversize 1 1001 zzzzzzzz... (512)\nmessage 1 next\nhalf_closed 1\n");
  check_inflated(3000000, NULL);
}

CHECK_CASE(rpc_bombs_take_no_more_than_the_limit) {
  tr_buf small, raw;
  enum { SIZE = 64 << 20 };
  raw_init(&small);
  tr_buf_init(&raw, &plain_mem);
  char *text = calloc(1, SIZE);
  deflate_to(&small, text, SIZE, 31);
  free(text);
  tr_buf out;
  tr_buf_init(&out, check_mem());
  CHECK_INT(tr_rpc_inflate(check_mem(), TR_RPC_GZIP, tr_buf_view(&small), 100000, &out), ==, TR_ETOO_LARGE);
  CHECK_INT(out.len, ==, 100000);
  CHECK_INT(out.cap, <=, 262144);
  tr_buf_fini(&out);
  tr_buf_fini(&small);
}

CHECK_CASE(rpc_damaged_compressed_messages) {
  const char *lines = "open 1 /x\nclosed 1 13 a compressed message is damaged\n";
  check_answer("gzip", "\1\0\0\0\4abcd", 9, false, lines, "");
  check_answer("deflate", "\1\0\0\0\4abcd", 9, false, lines, "");
  tr_buf small, body;
  raw_init(&small);
  tr_buf_init(&body, &plain_mem);
  deflate_to(&small, "hello hello hello", 17, 31);
  for (size_t n = 1; n < small.len; n++) { /* cut anywhere */
    tr_buf_clear(&body);
    raw_prefix(&body, 1, (uint32_t)n);
    tr_buf_append(&body, small.data, n);
    check_answer("gzip", body.data, body.len, false, lines, "");
  }
  tr_buf_clear(&body); /* and with something behind it */
  raw_prefix(&body, 1, (uint32_t)small.len + 3);
  tr_buf_append(&body, small.data, small.len);
  tr_buf_text(&body, "xyz");
  check_answer("gzip", body.data, body.len, false, lines, "");
  tr_buf_fini(&small);
  tr_buf_fini(&body);
}
