/* SPDX-License-Identifier: MIT
 * Each limit passed by a peer that means harm, while two others on a connection of their own go on asking and answering.
 * The attacks are bytes written by hand; memory is looked at, and who was sent away. (Connections, clients, types and
 * subscriptions in number: host_bounds.c. The same in rpc alone, with what exactly is said: rpc_hostile.c.) */
#include "host_peer.h"

#include <stdlib.h>

enum { DATA = 0, HEADERS = 1, PRIORITY = 2, RST_STREAM = 3, SETTINGS = 4, PING = 6, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4 };

static stage *s;
static peer *good, *bad;
static pcall *caller, *worker;
static tr_buf raw;
static tr_mem raw_mem;

static void frame(unsigned type, unsigned flags, uint32_t id, const void *payload, size_t n) {
  const uint8_t head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type, (uint8_t)flags,
                            (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
  tr_buf_append(&raw, head, sizeof head);
  if (n) tr_buf_append(&raw, payload, n);
}

/* A literal header field, not indexed; n bytes of value are to follow. */
static void field(tr_buf *block, const char *name, size_t n) {
  tr_buf_byte(block, 0);
  tr_buf_byte(block, (uint8_t)strlen(name));
  tr_buf_text(block, name);
  if (n < 127) tr_buf_byte(block, (uint8_t)n);
  else {
    tr_buf_byte(block, 127);
    for (n -= 127; n >= 128; n >>= 7) tr_buf_byte(block, (uint8_t)(n | 128));
    tr_buf_byte(block, (uint8_t)n);
  }
}

static void block_of(tr_buf *block, const char *path, size_t more) {
  const char *const fields[] = { ":method", "POST", ":scheme", "http", ":path", path, ":authority", "x", "te", "trailers",
                                 "content-type", "application/grpc", "client-id", "bad" };
  tr_buf_init(block, &raw_mem);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i += 2) {
    field(block, fields[i], strlen(fields[i + 1]));
    tr_buf_text(block, fields[i + 1]);
  }
  if (!more) return;
  field(block, "x", more);
  for (size_t i = 0; i < more; i++) tr_buf_byte(block, 'x');
}

static void request_head(uint32_t id, const char *path, unsigned flags) {
  tr_buf block;
  block_of(&block, path, 0);
  frame(HEADERS, flags, id, block.data, block.len);
  tr_buf_fini(&block);
}

/* A host, and a client of it that must be served whatever others do. */
static void open_good(const tr_host_options *o) {
  s = stage_new(o);
  tr_mem_init(&raw_mem);
  tr_buf_init(&raw, &raw_mem);
  good = peer_new(s, "10.0.0.1:1", NULL);
  caller = channel(good, "caller");
  worker = channel(good, "worker");
  reg(good, "worker", "t");
}

/* The bad one begins as any client does; window: what it lets others send to it. */
static void set(uint32_t window) {
  tr_host_options o = { .max_message = 1 << 20 };
  const uint8_t settings[6] = { 0, 4, (uint8_t)(window >> 24), (uint8_t)(window >> 16), (uint8_t)(window >> 8), (uint8_t)window };
  open_good(&o);
  bad = peer_new(s, "10.0.0.2:1", NULL);
  bad->mute = true; /* what it says is written here */
  tr_buf_text(&raw, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  frame(SETTINGS, 0, 0, settings, sizeof settings);
}

/* What was written goes to the host, in pieces as a socket gives them; false: it was sent away. Between two pieces the good
 * ones are served. */
static bool attack(void) {
  for (size_t at = 0; bad->conn && at < raw.len; at += 65536) {
    tr_error error;
    tr_error_init(&error);
    size_t n = raw.len - at < 65536 ? raw.len - at : 65536;
    int err = tr_host_feed(bad->conn, tr_slice_make(raw.data + at, n), &error);
    bad->dirty = true;
    stage_run(s);
    if (err && bad->conn) peer_cut(bad);
    say(caller, request("1", "t", "k", "1"));
    serve(worker, "2");
    expect_answer(caller, "1", "2");
  }
  tr_buf_clear(&raw);
  return bad->conn != NULL;
}

static void clear(size_t most) {
  CHECK_INT(tr_core_mem(s->core)->used, <, most);
  CHECK(!caller->closed && !worker->closed);
  if (bad->conn) peer_cut(bad);
  say(caller, request("1", "t", "k", "1"));
  serve(worker, "2");
  expect_answer(caller, "1", "2");
  tr_buf_fini(&raw);
  stage_free(s);
}

CHECK_CASE(hostile_headers_beyond_their_size) {
  set(65535);
  for (uint32_t i = 0; i < 20; i++) {
    tr_buf block;
    block_of(&block, "/agents.AgentRpc/OpenChannel", 17000);
    frame(HEADERS, 0, 2 * i + 1, block.data, 16000);
    frame(CONTINUATION, END_HEADERS, 2 * i + 1, block.data + 16000, block.len - 16000);
    tr_buf_fini(&block);
  }
  CHECK(attack()); /* refused one by one: RESOURCE_EXHAUSTED */
  CHECK_INT(stage_stats(s).clients, ==, 2);
  clear(1 << 20);
}

CHECK_CASE(hostile_headers_that_never_end) {
  set(65535);
  frame(HEADERS, 0, 1, NULL, 0);
  for (int i = 0; i < 10000; i++) frame(CONTINUATION, 0, 1, "\0\1x\1y", 5);
  CHECK(!attack());
  clear(1 << 20);
}

CHECK_CASE(hostile_streams_beyond_their_number) {
  set(65535);
  for (uint32_t i = 0; i < 17000; i++) request_head(2 * i + 1, "/agents.AgentRpc/GetSubscriptions", END_HEADERS);
  CHECK(attack()); /* those beyond are refused: REFUSED_STREAM */
  clear(48 << 20);
}

CHECK_CASE(hostile_rapid_resets) {
  set(65535);
  for (uint32_t i = 0; i < 3000; i++) { /* CVE-2023-44487 */
    request_head(2 * i + 1, "/agents.AgentRpc/OpenChannel", END_HEADERS);
    frame(RST_STREAM, 0, 2 * i + 1, "\0\0\0\10", 4);
  }
  CHECK(!attack());
  clear(4 << 20);
}

CHECK_CASE(hostile_floods_of_frames_that_cost_nothing) {
  static const struct { unsigned type; uint32_t id; const char *payload; size_t n; } floods[] = {
    { PING, 0, "12345678", 8 }, { SETTINGS, 0, "", 0 }, { SETTINGS, 0, "\0\4\0\0\1\0", 6 },
    { PRIORITY, 1, "\0\0\0\0\1", 5 }, { DATA, 1, "", 0 },
  };
  for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
    set(65535);
    request_head(1, "/agents.AgentRpc/OpenChannel", END_HEADERS);
    for (int k = 0; k < 20000; k++) frame(floods[i].type, 0, floods[i].id, floods[i].payload, floods[i].n);
    CHECK(!attack());
    clear(4 << 20);
  }
}

CHECK_CASE(hostile_slow_reader_of_answers) {
  set(0); /* it takes no byte of what it asks for */
  for (size_t i = 0; i < 600; i++) sub(good, "caller", text("%zu", i).p, big(300 + i), "t"); /* an answer of 370 KB */
  for (uint32_t i = 0; i < 1000; i++) {
    request_head(2 * i + 1, "/agents.AgentRpc/GetSubscriptions", END_HEADERS);
    frame(DATA, END_STREAM, 2 * i + 1, "\0\0\0\0", 5);
  }
  CHECK(attack());
  CHECK_INT(tr_core_mem(s->core)->used, <, 24 << 20);
  CHECK_INT(tr_core_mem(s->core)->used, >, 14 << 20);
  stage_sleep(s, TR_SECONDS(31)); /* then it has lost them */
  clear(4 << 20);
}

CHECK_CASE(hostile_slow_reader_of_reflection) {
  set(0);
  for (uint32_t i = 0; i < 500; i++) {
    request_head(2 * i + 1, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", END_HEADERS);
    for (int k = 0; k < 20; k++) frame(DATA, 0, 2 * i + 1, "\0\0\0\0\x11\x22\x0f" "agents.AgentRpc", 22);
  }
  CHECK(attack());
  clear(24 << 20);
}

CHECK_CASE(hostile_slow_writer_of_messages) {
  static char piece[16000];
  set(65535);
  /* Messages of just under 1 MB, on many calls, of which the last byte never comes. */
  for (uint32_t i = 0; i < 200; i++) {
    request_head(2 * i + 1, "/agents.AgentRpc/RegisterAgent", END_HEADERS);
    frame(DATA, 0, 2 * i + 1, "\0\0\x0f\xff\xff", 5);
    for (int k = 0; k < 60; k++) frame(DATA, 0, 2 * i + 1, piece, sizeof piece);
  }
  CHECK(attack());
  clear(24 << 20);
}

CHECK_CASE(hostile_slow_writer_of_a_request) {
  set(65535);
  for (uint32_t i = 0; i < 1000; i++) {
    request_head(2 * i + 1, "/agents.AgentRpc/RegisterAgent", END_HEADERS);
    frame(DATA, 0, 2 * i + 1, "\0\0\0\0", 4);
  }
  CHECK(attack());
  stage_sleep(s, TR_SECONDS(29));
  size_t before = tr_core_mem(s->core)->used;
  stage_sleep(s, TR_SECONDS(2)); /* its time is over: DEADLINE_EXCEEDED */
  CHECK_INT(tr_core_mem(s->core)->used + 1000 * 200, <, before);
  clear(4 << 20);
}

CHECK_CASE(hostile_preface_that_never_comes) {
  set(65535);
  tr_buf_clear(&raw);
  tr_buf_text(&raw, "PRI * HT");
  CHECK(attack());
  stage_sleep(s, TR_SECONDS(40));
  CHECK(!bad->conn);
  clear(1 << 20);
}

CHECK_CASE(hostile_connections_without_end) {
  tr_host_options o = { .max_connections_per_address = 300, .max_types_per_client = 1000 };
  open_good(&o);
  for (int i = 0; i < 1000; i++) {
    bad = peer_new(s, "10.0.0.2:1", NULL);
    CHECK((bad != NULL) == (i < 300));
  }
  bad = peer_new(s, "10.0.0.3:1", NULL);
  for (int i = 0; i < 1200; i++) { /* and registrations */
    int status = unary(bad, "RegisterAgent", "greedy", register_bytes(text("r%d", i).p));
    if (status != (i < 1000 ? 0 : 8)) CHECK_FAIL("registration %d: %d", i, status);
    if (i % 100) continue;
    say(caller, request("1", "t", "k", "1"));
    serve(worker, "2");
    expect_answer(caller, "1", "2");
  }
  clear(32 << 20);
}
