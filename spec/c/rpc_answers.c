/* SPDX-License-Identifier: MIT
 * What a client makes of answers that are made by hand: errors of HTTP, resets, interim responses. */
#include <stdio.h>

#include "rpc/internal.h"
#include "rpc_peers.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };

static const tr_rpc_options defaults = { 0 };
static tr_mem plain_mem;

static void raw_init(tr_buf *raw) {
  tr_mem_init(&plain_mem);
  tr_buf_init(raw, &plain_mem);
}

static void check_response(tr_buf *block, uint8_t flags, const void *body, size_t n, const char *lines) {
  struct peer client;
  tr_buf raw;
  tr_buf_init(&raw, &plain_mem);
  peer_init(&client, false, defaults);
  peer_call(&client, "/x");
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  raw_frame(&raw, SETTINGS, 0, 0, NULL, 0);
  raw_frame(&raw, HEADERS, flags | END_HEADERS, 1, block->data, block->len);
  if (body) raw_frame(&raw, DATA, END_STREAM, 1, body, n);
  CHECK_INT(peer_feed(&client, raw.data, raw.len), ==, 0);
  CHECK_SAID(&client, lines);
  peer_fini(&client);
  tr_buf_fini(&raw);
  tr_buf_clear(block);
}

CHECK_CASE(rpc_answers_that_are_not_grpc) {
  tr_buf block;
  raw_init(&block);
  raw_fields(&block, ":status", "503", "content-type", "text/html", NULL);
  check_response(&block, 0, "<html>", 6, "closed 1 14 HTTP status 503\n");
  raw_fields(&block, ":status", "404", NULL);
  check_response(&block, END_STREAM, NULL, 0, "closed 1 12 an HTTP error without a gRPC status\n");
  raw_fields(&block, ":status", "503", "grpc-status", "5", "grpc-message", "not%20here", NULL);
  check_response(&block, END_STREAM, NULL, 0, "closed 1 5 not here\n");
  raw_fields(&block, ":status", "200", "content-type", "text/html", NULL);
  check_response(&block, 0, "<html>", 6, "closed 1 2 the answer is not gRPC: content-type \"text/html\"\n");
  raw_fields(&block, ":status", "200", NULL);
  check_response(&block, 0, "<html>", 6, "closed 1 2 the answer is not gRPC: content-type \"\"\n");
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", NULL);
  check_response(&block, 0, "\0\0\0\0\1a", 6, "headers 1\nmessage 1 a\nclosed 1 2 the peer ended the call without a status\n");
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", "grpc-status", "0", NULL);
  check_response(&block, END_STREAM, NULL, 0, "closed 1 0\n");
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", "grpc-status", "0", NULL);
  check_response(&block, 0, "\0\0\0\0\5a", 6, "headers 1\nclosed 1 13 the answer ends inside a message\n");
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", "grpc-status", "banana", NULL);
  check_response(&block, END_STREAM, NULL, 0, "closed 1 2\n");
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", "grpc-encoding", "br", NULL);
  check_response(&block, 0, "\0\0\0\0\1a", 6, "closed 1 13 unknown grpc-encoding\n");
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_interim_responses_are_passed_over) {
  struct peer client;
  tr_buf raw, block;
  raw_init(&raw);
  tr_buf_init(&block, &plain_mem);
  peer_init(&client, false, defaults);
  peer_call(&client, "/x");
  CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
  raw_frame(&raw, SETTINGS, 0, 0, NULL, 0);
  raw_fields(&block, ":status", "103", "x", "y", NULL);
  raw_frame(&raw, HEADERS, END_HEADERS, 1, block.data, block.len);
  tr_buf_clear(&block);
  raw_fields(&block, ":status", "200", "content-type", "application/grpc", NULL);
  raw_frame(&raw, HEADERS, END_HEADERS, 1, block.data, block.len);
  raw_frame(&raw, DATA, 0, 1, "\0\0\0\0\1a", 6);
  tr_buf_clear(&block);
  raw_fields(&block, "grpc-status", "9", NULL);
  raw_frame(&raw, HEADERS, END_HEADERS | END_STREAM, 1, block.data, block.len);
  raw_frame(&raw, RST_STREAM, 0, 1, "\0\0\0\2", 4); /* the status in the trailers wins */
  CHECK_INT(peer_feed(&client, raw.data, raw.len), ==, 0);
  CHECK_SAID(&client, "headers 1\nmessage 1 a\nclosed 1 9\n");
  peer_fini(&client);
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_resets_become_statuses) {
  static const int status[] = { 13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 13 };
  for (uint8_t i = 0; i < sizeof status / sizeof *status; i++) {
    struct peer client;
    tr_buf raw;
    char code[4] = { 0, 0, 0, (char)i }, line[80];
    raw_init(&raw);
    peer_init(&client, false, defaults);
    peer_call(&client, "/x");
    CHECK_INT(tr_rpc_output(client.conn, &client.out, 1 << 20), ==, 0);
    raw_frame(&raw, SETTINGS, 0, 0, NULL, 0);
    raw_frame(&raw, RST_STREAM, 0, 1, code, 4);
    CHECK_INT(peer_feed(&client, raw.data, raw.len), ==, 0);
    snprintf(line, sizeof line, "closed 1 %d %s\n", status[i],
             i == NGHTTP2_REFUSED_STREAM ? "the peer takes no new calls" : nghttp2_http2_strerror(i));
    CHECK_SAID(&client, line);
    peer_fini(&client);
    tr_buf_fini(&raw);
  }
}
