/* SPDX-License-Identifier: MIT
 * See relay.h. A pair of calls lives until both have ended; each end is told to the other once. The client half is made with the first
 * call, since only then it is known what its user-agent should be (hosts tell .NET's clients by it). */
#include "rpc/relay.h"

#include <stdio.h>
#include <string.h>

#include "base/list.h"
#include "rpc/internal.h"

#define HIGH_WATER (1u << 20) /* on one call; then its other half is held back */
#define HEADERS_MAX 64

typedef struct pair {
  tr_relay *relay;
  tr_link link;
  tr_link dying;         /* relay->dying: down has ended, and up still has something to send before it does */
  tr_rpc_call *calls[2]; /* by tr_relay_side; NULL: it has ended */
} pair;

struct tr_relay {
  tr_relay_options o;
  tr_rpc_conn *conns[2];
  tr_link pairs, dying;
  bool lost, gone;
  char reason[256];
};

/* ---- what is passed on of headers ---- */

static bool is_ours(tr_slice name) { /* each side writes these itself */
  static const char *const names[] = { "te", "content-type", "user-agent", "content-length", "host", "connection", NULL };
  if (tr_slice_starts(name, TR_SLICE_LITERAL(":")) || tr_slice_starts(name, TR_SLICE_LITERAL("grpc-"))) return !tr_slice_is(name, "grpc-previous-rpc-attempts");
  for (size_t i = 0; names[i]; i++)
    if (tr_slice_is(name, names[i])) return true;
  return false;
}

static size_t passed_on(const tr_rpc_call *call, tr_rpc_header *out, bool without_authorization) {
  size_t n = 0;
  uint32_t at = 0;
  tr_rpc_header header;
  while (n < HEADERS_MAX - 1 && tr_rpc_headers_next(&call->headers, &at, &header)) {
    if (is_ours(header.name) || (without_authorization && tr_slice_is(header.name, "authorization"))) continue;
    out[n++] = header;
  }
  return n;
}

/* ---- pairs ---- */

static void settle(pair *p) {
  if (p->calls[TR_RELAY_DOWN] || p->calls[TR_RELAY_UP]) return;
  tr_link_remove(&p->link);
  tr_link_remove(&p->dying);
  TR_DELETE(p->relay->o.mem, p);
}

static tr_relay_side other(tr_relay_side side) { return side == TR_RELAY_DOWN ? TR_RELAY_UP : TR_RELAY_DOWN; }

static void send_on(pair *p, tr_relay_side from, tr_slice bytes, tr_slice framed) {
  tr_rpc_call *to = p->calls[other(from)];
  if (!to) return;
  tr_blob *frame = framed.p ? tr_blob_copy(p->relay->o.mem, framed) : tr_rpc_frame(p->relay->o.mem, bytes);
  int rc = frame ? tr_rpc_send(to, frame) : TR_EMEMORY;
  tr_blob_unref(frame);
  if (rc == 1) tr_rpc_hold(p->calls[from], true);
  if (rc != TR_EMEMORY) return;
  tr_rpc_cancel(p->calls[TR_RELAY_UP]); /* a message less would be worse than a stream less; its end is told to the other side */
}

static void on_message(void *ud, tr_rpc_call *call, tr_slice bytes, tr_slice framed) {
  pair *p = tr_rpc_call_ud(call);
  (void)ud;
  if (p) send_on(p, p->calls[TR_RELAY_DOWN] == call ? TR_RELAY_DOWN : TR_RELAY_UP, bytes, framed);
}

static void on_writable(void *ud, tr_rpc_call *call) {
  pair *p = tr_rpc_call_ud(call);
  (void)ud;
  if (!p) return;
  tr_rpc_call *held = p->calls[p->calls[TR_RELAY_DOWN] == call ? TR_RELAY_UP : TR_RELAY_DOWN];
  if (held) tr_rpc_hold(held, false);
}

/* ---- up ---- */

static void up_headers(void *ud, tr_rpc_call *call) {
  pair *p = tr_rpc_call_ud(call);
  tr_rpc_header headers[HEADERS_MAX];
  (void)ud;
  if (p && p->calls[TR_RELAY_DOWN]) tr_rpc_send_headers(p->calls[TR_RELAY_DOWN], headers, passed_on(call, headers, false));
}

static void up_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  pair *p = tr_rpc_call_ud(call);
  const tr_relay *relay = ud;
  if (!p) return;
  p->calls[TR_RELAY_UP] = NULL;
  if (p->calls[TR_RELAY_DOWN])
    tr_rpc_finish(p->calls[TR_RELAY_DOWN], relay->lost ? TR_GRPC_UNAVAILABLE : status->status, relay->lost ? tr_slice_of(relay->reason) : status->message);
  settle(p);
}

static void up_goaway(void *ud, tr_rpc_conn *conn, uint32_t error, tr_slice debug) {
  tr_relay *relay = ud;
  (void)conn; (void)error; (void)debug;
  if (relay->conns[TR_RELAY_DOWN]) tr_rpc_goaway(relay->conns[TR_RELAY_DOWN], 0, "the host takes no new calls here");
}

static void up_dirty(void *ud, tr_rpc_conn *conn) {
  const tr_relay *relay = ud;
  (void)conn;
  relay->o.dirty(relay->o.ud, TR_RELAY_UP);
}

static const tr_rpc_handlers up_handlers = { .headers = up_headers, .message = on_message, .writable = on_writable, .closed = up_closed,
                                             .goaway = up_goaway, .dirty = up_dirty };

static bool open_up(tr_relay *relay, const tr_rpc_call *first) {
  char agent[300];
  tr_slice own = tr_rpc_call_header(first, "user-agent");
  if (relay->conns[TR_RELAY_UP]) return true;
  snprintf(agent, sizeof agent, "%.*s%stroupe-tunnel/" TR_VERSION, own.n < 200 ? (int)own.n : 200, own.n ? own.p : "", own.n ? " " : "");
  tr_rpc_options options = { .mem = relay->o.mem, .log = relay->o.log, .handlers = &up_handlers, .ud = relay, .max_message = relay->o.max_message,
                             .high_water = HIGH_WATER, .user_agent = agent, .authority = relay->o.authority, .secure = relay->o.secure };
  relay->conns[TR_RELAY_UP] = tr_rpc_conn_new(&options);
  if (!relay->conns[TR_RELAY_UP]) return false;
  relay->o.dial(relay->o.ud);
  return true;
}

/* ---- down ---- */

static tr_rpc_call *call_up(tr_relay *relay, const tr_rpc_call *down, tr_slice path) {
  tr_rpc_header headers[HEADERS_MAX];
  tr_slice own = relay->o.authorization ? relay->o.authorization(relay->o.ud) : (tr_slice){ NULL, 0 };
  size_t n = passed_on(down, headers, own.n > 0);
  if (own.n) headers[n++] = (tr_rpc_header){ TR_SLICE_LITERAL("authorization"), own };
  return tr_rpc_call_new(relay->conns[TR_RELAY_UP], path, headers, n, tr_rpc_call_timeout(down));
}

static void down_open(void *ud, tr_rpc_call *call, tr_slice path) {
  tr_relay *relay = ud;
  if (relay->lost) {
    tr_rpc_finish(call, TR_GRPC_UNAVAILABLE, tr_slice_of(relay->reason));
    return;
  }
  pair *p = open_up(relay, call) ? TR_NEW(relay->o.mem, pair) : NULL;
  if (p) p->calls[TR_RELAY_UP] = call_up(relay, call, path);
  if (!p || !p->calls[TR_RELAY_UP]) {
    if (p) TR_DELETE(relay->o.mem, p);
    tr_rpc_finish(call, TR_GRPC_UNAVAILABLE, TR_SLICE_LITERAL("the tunnel takes no more calls on this connection"));
    return;
  }
  p->relay = relay;
  p->calls[TR_RELAY_DOWN] = call;
  tr_list_push(&relay->pairs, &p->link);
  tr_rpc_call_set_ud(call, p);
  tr_rpc_call_set_ud(p->calls[TR_RELAY_UP], p);
}

static void down_half_closed(void *ud, tr_rpc_call *call) {
  const pair *p = tr_rpc_call_ud(call);
  (void)ud;
  if (p && p->calls[TR_RELAY_UP]) tr_rpc_half_close(p->calls[TR_RELAY_UP]);
}

static void down_closed(void *ud, tr_rpc_call *call, const tr_rpc_status *status) {
  pair *p = tr_rpc_call_ud(call);
  (void)ud; (void)status;
  if (!p) return;
  p->calls[TR_RELAY_DOWN] = NULL;
  if (p->calls[TR_RELAY_UP] && tr_rpc_queued(p->calls[TR_RELAY_UP])) tr_list_push(&p->relay->dying, &p->dying); /* who publishes and leaves, has published */
  else if (p->calls[TR_RELAY_UP]) tr_rpc_cancel(p->calls[TR_RELAY_UP]);
  settle(p);
}

static void cancel_dying(tr_relay *relay) {
  for (tr_link *l = relay->dying.next, *next; l != &relay->dying; l = next) {
    pair *p = TR_CONTAINER(l, pair, dying);
    next = l->next;
    if (tr_rpc_queued(p->calls[TR_RELAY_UP])) continue;
    tr_link_remove(&p->dying);
    tr_rpc_cancel(p->calls[TR_RELAY_UP]); /* `closed` follows later, from the next feed or output */
  }
}

static void down_dirty(void *ud, tr_rpc_conn *conn) {
  const tr_relay *relay = ud;
  (void)conn;
  relay->o.dirty(relay->o.ud, TR_RELAY_DOWN);
}

static const tr_rpc_handlers down_handlers = { .open = down_open, .message = on_message, .half_closed = down_half_closed, .writable = on_writable,
                                               .closed = down_closed, .dirty = down_dirty };

/* ---- the whole ---- */

tr_relay *tr_relay_new(const tr_relay_options *options) {
  tr_relay *relay = TR_NEW(options->mem, tr_relay);
  if (!relay) return NULL;
  relay->o = *options;
  if (!relay->o.max_message) relay->o.max_message = 64u << 20;
  tr_list_init(&relay->pairs);
  tr_list_init(&relay->dying);
  tr_rpc_options down = { .mem = options->mem, .log = options->log, .handlers = &down_handlers, .ud = relay, .server = true,
                          .max_message = relay->o.max_message, .high_water = HIGH_WATER };
  relay->conns[TR_RELAY_DOWN] = tr_rpc_conn_new(&down);
  if (relay->conns[TR_RELAY_DOWN]) return relay;
  TR_DELETE(options->mem, relay);
  return NULL;
}

void tr_relay_free(tr_relay *relay) {
  if (!relay) return;
  for (tr_link *l = relay->pairs.next, *next; l != &relay->pairs; l = next) { /* nothing is told any more */
    pair *p = TR_CONTAINER(l, pair, link);
    next = l->next;
    for (int side = 0; side < 2; side++)
      if (p->calls[side]) tr_rpc_call_set_ud(p->calls[side], NULL);
    TR_DELETE(relay->o.mem, p);
  }
  tr_list_init(&relay->pairs);
  tr_list_init(&relay->dying);
  relay->lost = true; /* and nothing begun: conns may still announce what they have */
  if (relay->conns[TR_RELAY_UP]) tr_rpc_conn_free(relay->conns[TR_RELAY_UP]);
  if (relay->conns[TR_RELAY_DOWN]) tr_rpc_conn_free(relay->conns[TR_RELAY_DOWN]);
  TR_DELETE(relay->o.mem, relay);
}

int tr_relay_feed(tr_relay *relay, tr_relay_side side, tr_slice bytes, int64_t now, tr_error *error) {
  return relay->conns[side] ? tr_rpc_feed(relay->conns[side], bytes, now, error) : 0;
}

int tr_relay_output(tr_relay *relay, tr_relay_side side, tr_buf *out, size_t limit) {
  int rc = relay->conns[side] ? tr_rpc_output(relay->conns[side], out, limit) : 0;
  if (side == TR_RELAY_UP && relay->conns[side] && !tr_list_empty(&relay->dying)) cancel_dying(relay);
  return rc;
}

bool tr_relay_finished(const tr_relay *relay, tr_relay_side side) {
  if (relay->gone && side == TR_RELAY_UP && tr_list_empty(&relay->pairs)) return true;
  return relay->conns[side] && tr_rpc_finished(relay->conns[side]);
}

void tr_relay_gone(tr_relay *relay) {
  tr_rpc_conn *down = relay->conns[TR_RELAY_DOWN];
  relay->gone = true;
  relay->conns[TR_RELAY_DOWN] = NULL;
  if (down) tr_rpc_conn_free(down);
  relay->o.dirty(relay->o.ud, TR_RELAY_UP);
}

void tr_relay_lost(tr_relay *relay, const char *reason) {
  if (relay->lost) return;
  relay->lost = true;
  snprintf(relay->reason, sizeof relay->reason, "%s", reason);
  tr_rpc_conn *up = relay->conns[TR_RELAY_UP];
  relay->conns[TR_RELAY_UP] = NULL;
  if (up) tr_rpc_conn_free(up); /* ends its calls, and so ours */
  if (!relay->conns[TR_RELAY_DOWN]) return;
  tr_rpc_goaway(relay->conns[TR_RELAY_DOWN], 0, "the host is not there");
  relay->o.dirty(relay->o.ud, TR_RELAY_DOWN);
}

size_t tr_relay_calls(const tr_relay *relay) {
  size_t n = 0;
  for (const tr_link *l = relay->pairs.next; l != &relay->pairs; l = l->next) n++;
  return n;
}
