/* SPDX-License-Identifier: MIT
 * DATA → gRPC messages. Frames, chunks of the socket and messages have nothing to do with each other's borders: a chunk
 * may hold a hundred messages, or the third byte of a prefix.
 *
 * A message that lies whole in the chunk is handed out where it lies. Only what a chunk's end cuts is copied, together
 * with its prefix, so that `framed` is there for these too; the copy grows with what arrives (doubling), never with what
 * a prefix announces, and all calls of a connection together have `max_partial` for it. A message above the limit is not kept: its first TR_RPC_HEAD bytes are shown to `oversize`, the
 * rest is counted off. Credit is not this file's business: conn.c returns it for every byte, kept or not.
 *
 * After any handler the call may have been ended by it; `deaf` says so. */
#include "rpc/internal.h"

#ifdef TR_HOSTILE
#define KEEP 0
#else
#define KEEP 1024 /* an assembly buffer up to this size stays with the call */
#endif

tr_rpc_encoding tr_rpc_encoding_of(tr_slice name) {
  if (!name.p || tr_slice_is(name, "identity")) return TR_RPC_IDENTITY;
  if (tr_slice_is(name, "gzip")) return TR_RPC_GZIP;
  if (tr_slice_is(name, "deflate")) return TR_RPC_DEFLATE;
  return TR_RPC_UNKNOWN_ENCODING;
}

bool tr_rpc_accepts_gzip(tr_slice names) {
  for (size_t at = 0; at < names.n;) {
    size_t end = at;
    while (end < names.n && names.p[end] != ',') end++;
    tr_slice name = tr_slice_make(names.p + at, end - at);
    while (name.n && name.p[0] == ' ') name = tr_slice_make(name.p + 1, name.n - 1);
    while (name.n && name.p[name.n - 1] == ' ') name.n--;
    if (tr_slice_is(name, "gzip")) return true;
    at = end + 1;
  }
  return false;
}

static uint32_t length_of(const uint8_t *prefix) {
  return (uint32_t)prefix[1] << 24 | (uint32_t)prefix[2] << 16 | (uint32_t)prefix[3] << 8 | prefix[4];
}

/* --- handing out --- */

static void report_oversize(tr_rpc_call *call, tr_slice head, uint64_t size) {
  const tr_rpc_options *o = &call->conn->options;
  if (head.n > TR_RPC_HEAD) head.n = TR_RPC_HEAD;
  if (o->handlers->oversize) {
    o->handlers->oversize(o->ud, call, head, size);
    return;
  }
  tr_rpc_call_fail(call, TR_GRPC_RESOURCE_EXHAUSTED, "%s: Received message larger than max (%llu vs. %lu)",
                   o->server ? "SERVER" : "CLIENT", (unsigned long long)size, (unsigned long)o->max_message);
}

static void count_inflated(tr_rpc_gzip *gzip, size_t from, size_t to, int err) {
  if (err && err != TR_EMEMORY) gzip->stats.inflate_refused++;
  if (err) return;
  gzip->stats.inflated++;
  gzip->stats.inflated_from += from;
  gzip->stats.inflated_to += to;
}

static void deliver_compressed(tr_rpc_call *call, tr_slice bytes) {
  const tr_rpc_options *o = &call->conn->options;
  tr_slice none = { NULL, 0 };
  tr_buf plain;
  tr_buf_init(&plain, o->mem);
  int err = bytes.n ? tr_rpc_inflate(o->mem, call->in.encoding, bytes, o->max_message, &plain) : 0;
  if (o->gzip) count_inflated(o->gzip, bytes.n, plain.len, err);
  if (err == 0) o->handlers->message(o->ud, call, tr_buf_view(&plain), none);
  else if (err == TR_ETOO_LARGE) report_oversize(call, tr_buf_view(&plain), (uint64_t)o->max_message + 1);
  else if (err == TR_EMEMORY) tr_rpc_call_fail(call, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory");
  else tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "a compressed message is damaged");
  tr_buf_fini(&plain);
}

static void deliver(tr_rpc_call *call, const uint8_t *framed, size_t n) {
  const tr_rpc_options *o = &call->conn->options;
  tr_slice bytes = tr_slice_make(framed + TR_RPC_PREFIX, n - TR_RPC_PREFIX);
  if (framed[0]) deliver_compressed(call, bytes);
  else o->handlers->message(o->ud, call, bytes, tr_slice_make(framed, n));
}

/* The head of a compressed message is shown inflated, as far as it goes. */
static void deliver_oversize(tr_rpc_call *call, const uint8_t *framed, size_t n, uint64_t size) {
  tr_slice head = tr_slice_make(framed + TR_RPC_PREFIX, n - TR_RPC_PREFIX);
  tr_buf plain;
  tr_buf_init(&plain, call->conn->mem);
  if (framed[0]) {
    tr_rpc_inflate(call->conn->mem, call->in.encoding, head, TR_RPC_HEAD, &plain);
    head = tr_buf_view(&plain);
  }
  report_oversize(call, head, size);
  tr_buf_fini(&plain);
}

/* --- assembling --- */

/* A prefix is complete. */
static bool prefix_is_good(tr_rpc_call *call, const uint8_t *prefix) {
  if (prefix[0] == 0 || (prefix[0] == 1 && call->in.encoding != TR_RPC_IDENTITY)) return true;
  if (prefix[0] == 1) tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "a compressed message, but no grpc-encoding");
  else tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "bad gRPC framing: flag %u before a message", (unsigned)prefix[0]);
  return false;
}

/* Keep n more bytes of a message of which `target` are to be kept. */
static bool keep(tr_rpc_call *call, const uint8_t *p, size_t n, size_t target) {
  tr_rpc_reader *in = &call->in;
  size_t need = in->have + n;
  if (need > in->cap) {
    size_t cap = 2 * (size_t)in->cap;
    if (cap > target) cap = target;
    if (cap < need) cap = need;
    tr_rpc_conn *conn = call->conn;
    bool room = conn->partial + (cap - in->cap) <= conn->options.max_partial;
    uint8_t *data = room ? tr_realloc(conn->mem, in->data, in->cap, cap) : NULL;
    if (!data) {
      tr_rpc_call_fail(call, TR_GRPC_RESOURCE_EXHAUSTED, room ? "out of memory" : "too many unfinished messages on this connection");
      tr_rpc_reader_free(call);
      return false;
    }
    conn->partial += cap - in->cap;
    in->data = data;
    in->cap = (uint32_t)cap;
  }
  memcpy(in->data + in->have, p, n);
  in->have += (uint32_t)n;
  return true;
}

static void forget(tr_rpc_call *call) {
  call->in.have = 0;
  if (call->in.cap > KEEP) tr_rpc_reader_free(call);
}

/* Take from p what the message in progress still needs; the number of bytes taken. */
static size_t assemble(tr_rpc_call *call, const uint8_t *p, size_t n) {
  tr_rpc_reader *in = &call->in;
  uint32_t max = call->conn->options.max_message;
  size_t target = TR_RPC_PREFIX;
  bool big = false;
  if (in->have >= TR_RPC_PREFIX) {
    uint32_t size = length_of(in->data);
    big = size > max;
    target += big && size > TR_RPC_HEAD ? TR_RPC_HEAD : size;
  }
  size_t taken = target - in->have < n ? target - in->have : n;
  if (!keep(call, p, taken, target) || in->have < target) return taken;
  if (target == TR_RPC_PREFIX && !prefix_is_good(call, in->data)) return taken;
  uint32_t size = length_of(in->data);
  if (target == TR_RPC_PREFIX && size > 0) return taken; /* now its bytes */
  if (big) {
    in->skip = (uint64_t)size - (target - TR_RPC_PREFIX);
    deliver_oversize(call, in->data, target, size);
  } else {
    deliver(call, in->data, in->have);
  }
  forget(call);
  return taken;
}

static size_t skip(tr_rpc_reader *in, size_t n) {
  size_t taken = in->skip < n ? (size_t)in->skip : n;
  in->skip -= taken;
  return taken;
}

void tr_rpc_read(tr_rpc_call *call, tr_slice bytes) {
  tr_rpc_reader *in = &call->in;
  const uint8_t *p = (const uint8_t *)bytes.p;
  size_t n = bytes.n, taken;
  uint32_t max = call->conn->options.max_message;
  for (; n > 0 && !call->deaf; p += taken, n -= taken) {
    if (in->skip > 0) {
      taken = skip(in, n);
    } else if (in->have == 0 && n >= TR_RPC_PREFIX && length_of(p) <= max && length_of(p) <= n - TR_RPC_PREFIX) {
      taken = TR_RPC_PREFIX + (size_t)length_of(p);
      if (prefix_is_good(call, p)) deliver(call, p, taken);
    } else {
      taken = assemble(call, p, n);
    }
  }
}

bool tr_rpc_reader_cut(const tr_rpc_reader *reader) { return reader->have > 0 || reader->skip > 0; }

void tr_rpc_reader_free(tr_rpc_call *call) {
  tr_rpc_reader *reader = &call->in;
  call->conn->partial -= reader->cap;
  tr_free(call->conn->mem, reader->data, reader->cap);
  reader->data = NULL;
  reader->have = reader->cap = 0;
}
