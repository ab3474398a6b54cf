/* SPDX-License-Identifier: MIT
 * Requests that are HTTP/2, but no gRPC: from browsers, curl, probes. (Refusing gRPC that is wrong: rpc_hostile.c.) */
#include "rpc/internal.h"
#include "rpc_peers.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, END_STREAM = 1, END_HEADERS = 4 };

/* A request that is no gRPC is answered, with a line of text, when it ends: by DATA, or by trailers. */
CHECK_CASE(rpc_other_requests_are_answered_at_their_end) {
  static const char line[] = "This is a gRPC server: requests need the content-type application/grpc.\n";
  tr_mem mem;
  tr_mem_init(&mem);
  for (int trailers = 0; trailers < 2; trailers++) {
    struct peer server;
    tr_buf block, raw;
    size_t n;
    tr_buf_init(&block, &mem);
    tr_buf_init(&raw, &mem);
    raw_fields(&block, ":method", "PUT", ":scheme", "http", ":path", "/x", ":authority", "x", NULL);
    raw_preface(&raw);
    raw_frame(&raw, HEADERS, END_HEADERS, 1, block.data, block.len);
    for (int i = 0; i < 100; i++) raw_frame(&raw, DATA, 0, 1, "more than it reads", 18);
    peer_init(&server, true, (tr_rpc_options){ 0 });
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
    CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
    CHECK(!raw_find(&server.out, HEADERS, &n));
    tr_buf_clear(&raw);
    if (!trailers) raw_frame(&raw, DATA, END_STREAM, 1, NULL, 0);
    tr_buf_clear(&block);
    raw_fields(&block, "x", "y", NULL);
    if (trailers) raw_frame(&raw, HEADERS, END_STREAM | END_HEADERS, 1, block.data, block.len);
    CHECK_INT(peer_feed(&server, raw.data, raw.len), ==, 0);
    CHECK_INT(tr_rpc_output(server.conn, &server.out, 1 << 20), ==, 0);
    const uint8_t *data = raw_find(&server.out, DATA, &n);
    CHECK(data && n == sizeof line - 1 && memcmp(data, line, n) == 0);
    CHECK(raw_find(&server.out, HEADERS, &n) && !raw_find(&server.out, RST_STREAM, &n));
    CHECK_SAID(&server, "");
    peer_fini(&server);
    tr_buf_fini(&raw);
    tr_buf_fini(&block);
  }
}
