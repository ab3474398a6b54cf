/* SPDX-License-Identifier: MIT
 * See rpc_peers.h. */
#include "rpc_peers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int number(tr_rpc_call *call) { return (int)(intptr_t)tr_rpc_call_ud(call); }

static void say(struct peer *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct peer *self, const char *format, ...) {
  char line[1024];
  va_list args;
  if (self->quiet) return;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  /* Not from the case's allocator: that one may be refusing. */
  tr_buf_text(&self->lines, line);
}

static void act(struct peer *self, int call, const char *event) {
  if (self->act) self->act(self, call, event);
}

static void on_open(void *ud, tr_rpc_call *call, tr_slice path) {
  struct peer *self = ud;
  int n = ++self->calls;
  tr_rpc_call_set_ud(call, (void *)(intptr_t)n);
  if (n < CALLS) self->call[n] = call;
  say(self, "open %d %.*s\n", n, TR_SLICE_ARG(path));
  act(self, n, "open");
}

static void on_headers(void *ud, tr_rpc_call *call) {
  struct peer *self = ud;
  say(self, "headers %d\n", number(call));
  act(self, number(call), "headers");
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  struct peer *self = ud;
  if (framed.p) {
    CHECK_INT(framed.n, ==, bytes.n + TR_RPC_PREFIX);
    CHECK(framed.p + TR_RPC_PREFIX == bytes.p);
    CHECK_INT(framed.p[0], ==, 0);
  }
  self->messages++;
  self->bytes += bytes.n;
  for (size_t i = 0; i < bytes.n; i++) self->sum = (self->sum ^ (uint8_t)bytes.p[i]) * 16777619u;
  if (bytes.n <= 80 && !self->sizes) say(self, "message %d %.*s\n", number(call), (int)bytes.n, bytes.n ? bytes.p : "");
  else say(self, "message %d (%zu)\n", number(call), bytes.n);
  act(self, number(call), "message");
}

static void on_oversize(void *ud, tr_rpc_call *call, tr_slice head, uint64_t size) {
  struct peer *self = ud;
  say(self, "oversize %d %llu %.*s... (%zu)\n", number(call), (unsigned long long)size, (int)(head.n < 8 ? head.n : 8), head.p,
      head.n);
  act(self, number(call), "oversize");
}

static void on_half_closed(void *ud, tr_rpc_call *call) {
  struct peer *self = ud;
  say(self, "half_closed %d\n", number(call));
  act(self, number(call), "half_closed");
}

static void on_writable(void *ud, tr_rpc_call *call) {
  struct peer *self = ud;
  say(self, "writable %d\n", number(call));
  act(self, number(call), "writable");
}

static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  struct peer *self = ud;
  int n = number(call);
  say(self, "closed %d %d%s%.*s\n", n, status->status, status->message.n ? " " : "", TR_SLICE_ARG(status->message));
  self->closed++;
  if (n < CALLS) {
    CHECK(self->call[n] == call); /* once */
    self->call[n] = NULL;
  }
  act(self, n, "closed");
}

static void on_goaway(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug) {
  struct peer *self = ud;
  CHECK(conn == self->conn);
  say(self, "goaway %lu%s%.*s\n", (unsigned long)error, debug.n ? " " : "", TR_SLICE_ARG(debug));
  act(self, 0, "goaway");
}

static void on_dirty(void *ud, tr_rpc_conn *conn) {
  struct peer *self = ud;
  (void)conn;
  self->dirty++;
}

static void on_pong(void *ud, tr_rpc_conn *conn, uint64_t payload) {
  struct peer *self = ud;
  (void)conn;
  if (self->sizes) say(self, "pong\n");
  else say(self, "pong %llu\n", (unsigned long long)payload);
}

static const tr_rpc_handlers handlers = {
  on_open, on_headers, on_message, on_oversize, on_half_closed, on_writable, on_closed, on_goaway, on_dirty, on_pong, NULL,
};

/* For what belongs to the check itself. */
static tr_mem *own_mem(void) {
  static tr_mem mem;
  if (!mem.realloc_fn) tr_mem_init(&mem);
  return &mem;
}

bool peer_try(struct peer *self, bool server, tr_rpc_options options) {
  struct peer clean = { .options = options };
  *self = clean;
  tr_buf_init(&self->lines, own_mem());
  tr_buf_init(&self->out, own_mem());
  self->options.mem = check_mem();
  if (!self->options.handlers) self->options.handlers = &handlers;
  self->options.ud = self;
  self->options.server = server;
  tr_error_init(&self->error);
  self->conn = tr_rpc_conn_new(&self->options);
  return self->conn != NULL;
}

void peer_init(struct peer *self, bool server, tr_rpc_options options) { CHECK(peer_try(self, server, options)); }

void peer_fini(struct peer *self) {
  tr_rpc_conn_free(self->conn);
  CHECK_INT(self->closed, ==, self->calls);
  self->conn = NULL;
  tr_buf_fini(&self->lines);
  tr_buf_fini(&self->out);
}

int peer_call(struct peer *self, const char *path) {
  tr_rpc_header client_id = { TR_SLICE_LITERAL("client-id"), TR_SLICE_LITERAL("c-1") };
  tr_rpc_call *call = tr_rpc_call_new(self->conn, tr_slice_of(path), &client_id, 1, -1);
  if (!call) return 0;
  int n = ++self->calls;
  tr_rpc_call_set_ud(call, (void *)(intptr_t)n);
  if (n < CALLS) self->call[n] = call;
  return n;
}

static int send_bytes(struct peer *self, int call, const char *p, size_t n) {
  tr_blob *blob = tr_rpc_frame(check_mem(), tr_slice_make(p, n));
  if (!blob) return TR_EMEMORY;
  int result = tr_rpc_send(self->call[call], blob);
  tr_blob_unref(blob);
  return result;
}

int peer_send(struct peer *self, int call, const char *text) { return send_bytes(self, call, text, strlen(text)); }

int peer_send_size(struct peer *self, int call, size_t size) {
  char *text = malloc(size + 1);
  memset(text, 'x', size);
  int result = send_bytes(self, call, text, size);
  free(text);
  return result;
}

int peer_finish(struct peer *self, int call, int status, const char *text) {
  return tr_rpc_finish(self->call[call], status, tr_slice_of(text));
}

int peer_feed(struct peer *self, const void *bytes, size_t n) {
  return tr_rpc_feed(self->conn, tr_slice_make(bytes, n), self->now, &self->error);
}

size_t peer_pass(struct peer *from, struct peer *to, size_t step) {
  tr_buf_clear(&from->out);
  int err = tr_rpc_output(from->conn, &from->out, 1 << 20);
  CHECK_INT(err, ==, 0);
  size_t n = from->out.len;
  /* A copy as long as the piece, so that reading past it is seen. */
  for (size_t at = 0; at < n;) {
    size_t piece = step && step < n - at ? step : n - at;
    uint8_t *copy = malloc(piece);
    memcpy(copy, from->out.data + at, piece);
    if (to->conn) peer_feed(to, copy, piece);
    free(copy);
    at += piece;
  }
  return n;
}

void peers_talk(struct peer *a, struct peer *b, size_t step) {
  for (int silent = 0; silent < 2;) silent = peer_pass(a, b, step) + peer_pass(b, a, step) > 0 ? 0 : silent + 1;
}

void peer_said(struct peer *self, const char *file, int line, const char *wanted) {
  check_mem_equal(file, line, "lines", self->lines.data, self->lines.len, wanted, strlen(wanted));
  tr_buf_clear(&self->lines);
}

void peers_pair(struct peer *client, struct peer *server, tr_rpc_options client_options, tr_rpc_options server_options) {
  peer_init(client, false, client_options);
  peer_init(server, true, server_options);
  peers_talk(client, server, 0);
}

/* --- bytes by hand --- */

void raw_frame(tr_buf *out, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t n) {
  uint8_t head[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, type, flags, (uint8_t)(stream >> 24),
                      (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream };
  tr_buf_append(out, head, sizeof head);
  tr_buf_append(out, payload, n);
}

void raw_prefix(tr_buf *out, uint8_t flag, uint32_t size) {
  uint8_t prefix[5] = { flag, (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size };
  tr_buf_append(out, prefix, sizeof prefix);
}

void raw_preface(tr_buf *out) {
  tr_buf_text(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  raw_frame(out, 4, 0, 0, NULL, 0);
}

static void raw_string(tr_buf *out, const char *text) {
  size_t n = strlen(text);
  if (n < 127) {
    tr_buf_byte(out, (uint8_t)n);
  } else {
    tr_buf_byte(out, 127);
    for (n -= 127; n >= 128; n >>= 7) tr_buf_byte(out, (uint8_t)(n | 128));
    tr_buf_byte(out, (uint8_t)n);
  }
  tr_buf_text(out, text);
}

void raw_fields(tr_buf *out, ...) {
  va_list args;
  va_start(args, out);
  for (const char *name; (name = va_arg(args, const char *)) != NULL;) {
    tr_buf_byte(out, 0);
    raw_string(out, name);
    raw_string(out, va_arg(args, const char *));
  }
  va_end(args);
}

void raw_request(tr_buf *out, uint32_t stream, const char *path, uint8_t flags) {
  tr_buf block;
  tr_buf_init(&block, own_mem());
  raw_fields(&block, ":method", "POST", ":scheme", "http", ":path", path, ":authority", "x", "te", "trailers",
             "content-type", "application/grpc", "client-id", "raw", NULL);
  raw_frame(out, 1, flags, stream, block.data, block.len);
  tr_buf_fini(&block);
}

const uint8_t *raw_find(const tr_buf *bytes, uint8_t type, size_t *n) {
  for (size_t at = 0; at + 9 <= bytes->len;) {
    const uint8_t *p = bytes->data + at;
    *n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
    if (p[3] == type) return p + 9;
    at += 9 + *n;
  }
  return NULL;
}
