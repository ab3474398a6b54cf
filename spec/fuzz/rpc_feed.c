/* SPDX-License-Identifier: MIT
 * Any bytes to an end of a gRPC connection. The first byte chooses which end, what its user does and how the bytes are cut:
 *   bit 0  a client with three calls, else a server        bit 1  the connection's proper beginning is put in front
 *   bits 2–3  pieces: all, 1, 7 or 100 bytes               bits 4–5  answers: none, echo, cancel, hold and finish
 *   bit 6  small limits                                    bit 7  the connection goes away in the middle
 * Found are crashes, leaks, calls that are not closed exactly once, and memory beyond what the limits allow. The seeds are
 * recorded connections (spec/data/wire/captures), the choosing byte before them. */
#include <stdlib.h>

#include "rpc/rpc.h"

struct end {
  tr_rpc_conn *conn;
  int answers, opened, closed;
  size_t messages;
};

static void act(struct end *self, tr_rpc_call *call, bool message) {
  tr_slice text = TR_SLICE_LITERAL("an answer");
  if (self->answers == 1) {
    tr_blob *blob = tr_rpc_frame(((tr_mem *)tr_rpc_call_ud(call)), text);
    if (blob) tr_rpc_send(call, blob);
    tr_blob_unref(blob);
  } else if (self->answers == 2) {
    if (self->messages % 3 == 2) tr_rpc_cancel(call);
  } else if (self->answers == 3) {
    tr_rpc_hold(call, message);
    if (self->messages % 5 == 4) tr_rpc_finish(call, 3, text);
  }
}

static tr_mem memory;

static void on_open(void *ud, tr_rpc_call *call, tr_slice path) {
  struct end *self = ud;
  if (path.n && path.p[0] == 0) abort();
  self->opened++;
  tr_rpc_call_set_ud(call, &memory);
  (void)tr_rpc_call_timeout(call);
  if (self->answers & 1) tr_rpc_send_headers(call, NULL, 0);
}
static void on_headers(void *ud, tr_rpc_call *call) { act(ud, call, false); }
static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  struct end *self = ud;
  if (framed.p && framed.p + TR_RPC_PREFIX != bytes.p) abort();
  volatile char last = bytes.n ? bytes.p[bytes.n - 1] : 0; /* all of it can be read */
  (void)last;
  self->messages++;
  act(self, call, true);
}
static void on_oversize(void *ud, tr_rpc_call *call, tr_slice head, uint64_t size) {
  if (head.n > size && size > 0 && head.n > 512) abort();
  act(ud, call, true);
}
static void on_half_closed(void *ud, tr_rpc_call *call) {
  struct end *self = ud;
  act(ud, call, false);
  if (self->answers & 1) tr_rpc_finish(call, 0, (tr_slice){ NULL, 0 });
}
static void on_writable(void *ud, tr_rpc_call *call) { act(ud, call, false); }
static void on_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  struct end *self = ud;
  if (status->status < 0 || status->status > 16) abort();
  if (tr_rpc_call_conn(call) != self->conn) abort();
  self->closed++;
}
static void on_goaway(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug) { (void)ud; (void)conn; (void)error; (void)debug; }
static void on_dirty(void *ud, tr_rpc_conn *conn) { (void)ud; (void)conn; }
static void on_pong(void *ud, tr_rpc_conn *conn, uint64_t payload) { (void)ud; (void)conn; (void)payload; }

static const tr_rpc_handlers handlers = {
  on_open, on_headers, on_message, on_oversize, on_half_closed, on_writable, on_closed, on_goaway, on_dirty, on_pong,
};

static void begin(struct end *self, uint8_t choice, tr_buf *out) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", settings[] = "\0\0\0\4\0\0\0\0\0";
  tr_error error = { 0 };
  for (int i = 0; (choice & 1) && i < 3; i++) {
    tr_rpc_call *call = tr_rpc_call_new(self->conn, TR_SLICE_LITERAL("/agents.AgentRpc/OpenChannel"), NULL, 0, 1000000);
    if (!call) abort();
    tr_rpc_call_set_ud(call, &memory);
    self->opened++;
    if (i == 1) tr_rpc_half_close(call);
  }
  tr_rpc_output(self->conn, out, 1 << 20);
  if (!(choice & 2)) return;
  if (choice & 1) tr_rpc_feed(self->conn, tr_slice_make(settings, sizeof settings - 1), 0, &error);
  else tr_rpc_feed(self->conn, tr_slice_make(preface, sizeof preface - 1), 0, &error);
}

static void feed(struct end *self, uint8_t choice, const uint8_t *data, size_t n, tr_buf *out) {
  static const size_t steps[] = { SIZE_MAX, 1, 7, 100 };
  tr_error error;
  int broken = 0;
  for (size_t at = 0, piece; at < n; at += piece) {
    piece = steps[choice >> 2 & 3] < n - at ? steps[choice >> 2 & 3] : n - at;
    uint8_t *copy = malloc(piece);
    memcpy(copy, data + at, piece);
    tr_error_init(&error);
    int err = tr_rpc_feed(self->conn, tr_slice_make(copy, piece), (int64_t)at * 100, &error);
    free(copy);
    if (broken && !err) abort(); /* what is broken stays broken */
    if (err && (err != error.code || !error.text[0])) abort();
    broken = err;
    tr_buf_clear(out);
    tr_rpc_output(self->conn, out, 20000);
    if ((choice & 128) && at > n / 2) tr_rpc_goaway(self->conn, 0, "fuzz");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  uint8_t choice = data[0];
  struct end self = { .answers = choice >> 4 & 3 };
  tr_mem_init(&memory);
  tr_rpc_gzip gzip; /* all that is sent back goes compressed, where the input accepts that */
  tr_rpc_gzip_init(&gzip, &memory, 1);
  tr_rpc_options options = { .gzip = &gzip, .mem = &memory, .handlers = &handlers, .ud = &self, .server = !(choice & 1), .max_frame = 4194304,
                             .max_message = choice & 64 ? 50 : 1 << 20, .max_header_bytes = choice & 64 ? 300 : 0,
                             .high_water = choice & 64 ? 20 : 0 };
  tr_buf out;
  tr_buf_init(&out, &memory);
  self.conn = tr_rpc_conn_new(&options);
  if (!self.conn) abort();
  begin(&self, choice, &out);
  feed(&self, choice, data + 1, size - 1, &out);
  if (memory.used > (8 << 20)) abort();
  for (int i = 0; i < 3; i++) tr_rpc_output(self.conn, &out, 1 << 20);
  (void)tr_rpc_finished(self.conn);
  tr_rpc_conn_free(self.conn);
  tr_rpc_gzip_fini(&gzip);
  tr_buf_fini(&out);
  if (self.closed != self.opened || memory.used != 0) abort();
  return 0;
}
