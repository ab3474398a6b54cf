/* SPDX-License-Identifier: MIT
 * The n-th allocation fails, for every n: whatever was begun can be ended, each call is closed once, nothing leaks. (check_mem()
 * sees nghttp2's and zlib's allocations too; only nghttp2's option and callback objects are libc's.) */
#include "rpc_peers.h"

static const tr_rpc_options defaults = { 0 };

static void serve(struct peer *self, int call, const char *event) {
  if (!self->call[call]) return;
  if (strcmp(event, "open") == 0) {
    tr_rpc_header version = { TR_SLICE_LITERAL("troupe-version"), TR_SLICE_LITERAL("0.1.0") };
    tr_rpc_send_headers(self->call[call], &version, 1);
  }
  if (strcmp(event, "message") == 0) peer_send(self, call, "echo");
  if (strcmp(event, "half_closed") == 0 && peer_finish(self, call, 5, "not found") != 0) tr_rpc_cancel(self->call[call]);
}

/* As peers_talk, but output may fail too, and a broken connection is left alone. */
static void talk(struct peer *a, struct peer *b, int rounds, size_t step) {
  for (int i = 0; i < 2 * rounds; i++) {
    struct peer *from = i % 2 ? b : a, *to = i % 2 ? a : b;
    tr_buf_clear(&from->out);
    tr_rpc_output(from->conn, &from->out, 1 << 20);
    for (size_t at = 0, n; at < from->out.len; at += n) {
      n = step && step < from->out.len - at ? step : from->out.len - at;
      if (peer_feed(to, from->out.data + at, n) != 0) break;
    }
  }
}

static void run_scenario(void (*scenario)(struct peer *client, struct peer *server), tr_rpc_options server_options) {
  CHECK_EACH_ALLOCATION_FAILS {
    struct peer client, server;
    bool both = peer_try(&client, false, defaults);
    if (peer_try(&server, true, server_options)) {
      server.act = serve;
      if (both) scenario(&client, &server);
    }
    peer_fini(&client);
    peer_fini(&server);
  }
}

static void unary(struct peer *client, struct peer *server) {
  int n = peer_call(client, "/x");
  if (n) {
    peer_send(client, n, "hello");
    tr_rpc_half_close(client->call[n]);
  }
  talk(client, server, 4, 7);
}

CHECK_CASE(rpc_unary_call_with_failing_allocations) { run_scenario(unary, defaults); }

/* Four kilobytes are nghttp2's map of streams, three its session, one its decoder's table; the encoder's would be another. */
CHECK_CASE(rpc_an_idle_connection_is_small) {
  tr_rpc_shared shared = { 0 };
  struct peer first, second;
  peer_init(&first, true, (tr_rpc_options){ .shared = &shared });
  size_t before = check_mem()->used;
  peer_init(&second, true, (tr_rpc_options){ .shared = &shared });
  size_t each = check_mem()->used - before;
  if (each > 9600) CHECK_FAIL("a connection takes %zu bytes", each);
  peer_fini(&first);
  peer_fini(&second);
  tr_rpc_shared_fini(&shared, check_mem());
}

static void streams(struct peer *client, struct peer *server) {
  int n[3];
  for (int i = 0; i < 3; i++) n[i] = peer_call(client, "/x");
  talk(client, server, 2, 0);
  for (int k = 0; k < 9; k++) /* the queue grows */
    for (int i = 0; i < 3; i++)
      if (n[i] && client->call[n[i]]) peer_send_size(client, n[i], 300);
  talk(client, server, 3, 1000);
  if (n[0] && client->call[n[0]]) tr_rpc_cancel(client->call[n[0]]);
  if (n[1] && client->call[n[1]]) tr_rpc_half_close(client->call[n[1]]);
  tr_rpc_ping(client->conn, 1);
  tr_rpc_goaway(server->conn, 0, "bye");
  talk(client, server, 4, 0);
}

CHECK_CASE(rpc_streams_with_failing_allocations) { run_scenario(streams, defaults); }

static void refused(struct peer *client, struct peer *server) {
  int n = peer_call(client, "/x");
  if (n) peer_send_size(client, n, 200);
  talk(client, server, 3, 50);
  tr_rpc_goaway(client->conn, 2, "enough");
  peer_feed(server, "garbage and more garbage", 24);
  talk(client, server, 2, 0);
}

CHECK_CASE(rpc_oversize_and_garbage_with_failing_allocations) {
  run_scenario(refused, (tr_rpc_options){ .max_message = 100 });
}

CHECK_CASE(rpc_compressed_message_with_failing_allocations) {
  /* "hello hello hello", by gzip */
  static const char message[] = "\1\0\0\0\x1c\x1f\x8b\x08\0\0\0\0\0\2\3\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\0\x80\x88\xf9\xe5\x11\0\0";
  tr_mem mem;
  tr_buf raw, block;
  tr_mem_init(&mem);
  tr_buf_init(&raw, &mem);
  tr_buf_init(&block, &mem);
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", "/x", ":authority", "x", "te", "trailers", "content-type",
             "application/grpc", "grpc-encoding", "gzip", NULL);
  raw_preface(&raw);
  raw_frame(&raw, 1, 4, 1, block.data, block.len);
  raw_frame(&raw, 0, 1, 1, message, sizeof message);
  CHECK_EACH_ALLOCATION_FAILS {
    struct peer server;
    if (peer_try(&server, true, defaults)) {
      peer_feed(&server, raw.data, raw.len);
      if (!check_mem_refused()) CHECK_SAID(&server, "open 1 /x\nmessage 1 hello hello hello\nhalf_closed 1\n");
      tr_rpc_output(server.conn, &server.out, 1 << 20);
    }
    peer_fini(&server);
  }
  tr_buf_fini(&raw);
  tr_buf_fini(&block);
}

CHECK_CASE(rpc_frame_with_failing_allocations) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_blob *blob = tr_rpc_frame(check_mem(), TR_SLICE_LITERAL("x"));
    CHECK((blob == NULL) == check_mem_refused());
    tr_blob_unref(blob);
  }
}

CHECK_CASE(rpc_idle_connection_is_small) {
  struct peer client, server;
  peers_pair(&client, &server, defaults, defaults);
  peer_fini(&client);
  CHECK_INT(check_mem()->used, <, 30000);
  peer_fini(&server);
}
