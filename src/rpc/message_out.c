/* SPDX-License-Identifier: MIT
 * Queued messages → DATA. Each call has a ring of references to framed blobs; nghttp2 asks how much there is
 * (tr_rpc_on_read) and then has it written (tr_rpc_on_send_data) straight from the blobs into the output buffer: one copy,
 * and as many messages in a DATA frame as fit. The two calls come one after the other with nothing between.
 *
 * Messages of high and low priority have rings of their own, which only calls have that ever got one. Which ring is next is asked
 * between two messages, never within one.
 *
 * With nothing queued the provider "defers" and nghttp2 forgets the stream until it is resumed; resuming one that is not
 * deferred is an error, hence the flag. Windows that are used up are nghttp2's own affair. */
#include "rpc/internal.h"

#ifdef TR_HOSTILE
#define RING 1
#define RING_KEPT 1
#else
#define RING 4       /* first size of a ring, a power of two */
#define RING_KEPT 64 /* a larger one is freed when it is empty */
#endif

static bool grow(tr_rpc_queue *queue, tr_mem *mem) {
  uint32_t cap = queue->cap ? 2 * queue->cap : RING;
  if (cap < queue->cap) return false;
  tr_blob **ring = tr_alloc(mem, cap * sizeof *ring);
  if (!ring) return false;
  for (uint32_t i = 0; i < queue->count; i++) ring[i] = queue->ring[(queue->first + i) & (queue->cap - 1)];
  tr_free(mem, queue->ring, queue->cap * sizeof *ring);
  queue->ring = ring;
  queue->cap = cap;
  queue->first = 0;
  return true;
}

static void pop(tr_rpc_queue *queue) {
  tr_blob_unref(queue->ring[queue->first]);
  queue->first = (queue->first + 1) & (queue->cap - 1);
  queue->count--;
  queue->offset = 0;
}

static void free_ring(tr_rpc_queue *queue, tr_mem *mem) {
  while (queue->count > 0) pop(queue);
  tr_free(mem, queue->ring, queue->cap * sizeof *queue->ring);
  *queue = (tr_rpc_queue){ .bytes = queue->bytes };
}

void tr_rpc_out_free(tr_rpc_call *call) {
  tr_mem *mem = call->conn->mem;
  free_ring(&call->out, mem);
  call->conn->queued -= call->out.bytes;
  call->out.bytes = 0;
  if (!call->lanes) return;
  free_ring(&call->lanes->high, mem);
  free_ring(&call->lanes->low, mem);
  TR_DELETE(mem, call->lanes);
  call->lanes = NULL;
}

/* --- in --- */

void tr_rpc_wake(tr_rpc_call *call) {
  tr_rpc_conn *conn = call->conn;
  if (call->deferred && !call->gone && !conn->dead) {
    call->deferred = false;
    int rv = nghttp2_session_resume_data(conn->session, call->stream_id);
    if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  }
  tr_rpc_dirty(conn);
}

static tr_rpc_queue *queue_of(tr_rpc_call *call, tr_lane_kind lane) {
  if (lane == TR_LANE_NORMAL) return &call->out;
  if (!call->lanes) call->lanes = TR_NEW(call->conn->mem, tr_rpc_lanes);
  if (!call->lanes) return NULL;
  if (call->out.offset) call->lanes->begun = &call->out;
  return lane == TR_LANE_HIGH ? &call->lanes->high : &call->lanes->low;
}

int tr_rpc_send(tr_rpc_call *call, tr_blob *framed) { return tr_rpc_send_lane(call, framed, TR_LANE_NORMAL); }

int tr_rpc_send_lane(tr_rpc_call *call, tr_blob *framed, tr_lane_kind lane) {
  tr_rpc_conn *conn = call->conn;
  if (call->sealed || call->gone || conn->dead) return TR_EUNAVAILABLE;
  if (framed->len == 0) return 0;
  if (conn->options.server && !call->headers_sent) {
    int err = tr_rpc_send_headers(call, NULL, 0);
    if (err) return err;
  }
  tr_rpc_queue *queue = queue_of(call, lane);
  if (!queue || (queue->count == queue->cap && !grow(queue, conn->mem))) return TR_EMEMORY;
  tr_blob *sent = call->deflate ? tr_rpc_deflate(conn->options.gzip, framed) : tr_blob_ref(framed);
  queue->ring[(queue->first + queue->count++) & (queue->cap - 1)] = sent;
  call->out.bytes += sent->len;
  conn->queued += sent->len;
  tr_rpc_wake(call);
  if (call->out.bytes < conn->options.high_water) return 0;
  call->full = true;
  return 1;
}

size_t tr_rpc_conn_queued(const tr_rpc_conn *conn) { return conn->queued; }
void tr_rpc_keep(tr_rpc_call *call) { call->keep = call->conn->options.handlers->sent != NULL; }

static void each(const tr_rpc_queue *queue, tr_lane_kind lane, void (*fn)(void *ud, tr_blob *framed, tr_lane_kind lane), void *ud) {
  for (uint32_t i = 0; i < queue->count; i++) {
    tr_blob *sent = queue->ring[(queue->first + i) & (queue->cap - 1)], *plain = tr_rpc_plain(sent->mem, sent);
    if (plain) fn(ud, plain, lane);
    tr_blob_unref(plain);
  }
}

void tr_rpc_unsent(const tr_rpc_call *call, void (*fn)(void *ud, tr_blob *framed, tr_lane_kind lane), void *ud) {
  if (call->lanes) each(&call->lanes->high, TR_LANE_HIGH, fn, ud);
  each(&call->out, TR_LANE_NORMAL, fn, ud);
  if (call->lanes) each(&call->lanes->low, TR_LANE_LOW, fn, ud);
}

size_t tr_rpc_queued(const tr_rpc_call *call) { return call->out.bytes; }

/* --- out --- */

nghttp2_data_provider tr_rpc_provider(void) {
  return (nghttp2_data_provider){ .source = { .ptr = NULL }, .read_callback = tr_rpc_on_read };
}

ssize_t tr_rpc_on_read(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *data_flags,
                       nghttp2_data_source *source, void *user_data) {
  (void)buf; (void)source; (void)user_data;
  tr_rpc_call *call = nghttp2_session_get_stream_user_data(session, stream_id);
  if (!call) return NGHTTP2_ERR_DEFERRED; /* ended; RST_STREAM is on its way */
  size_t n = call->out.bytes < length ? call->out.bytes : length;
  if (n == 0 && !call->sealed) {
    call->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (n > 0) *data_flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (call->sealed && n == call->out.bytes) {
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call->conn->options.server) {
      *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      if (!tr_rpc_call_send_trailers(call)) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
  }
  return (ssize_t)n;
}

/* Where the next byte comes from. */
static tr_rpc_queue *next_queue(tr_rpc_call *call) {
  tr_rpc_lanes *lanes = call->lanes;
  if (!lanes) return &call->out;
  if (lanes->begun) return lanes->begun;
  switch (tr_lane_next(&lanes->runs, lanes->high.count, call->out.count, lanes->low.count)) {
    case TR_LANE_HIGH: return &lanes->high;
    case TR_LANE_NORMAL: return &call->out;
    default: return &lanes->low;
  }
}

static void tell_sent(tr_rpc_call *call, tr_blob *blob) {
  const tr_rpc_options *o = &call->conn->options;
  tr_blob *plain = tr_rpc_plain(o->mem, blob);
  o->handlers->sent(o->ud, call, plain ? plain : blob); /* without memory it counts all the same */
  tr_blob_unref(plain);
}

/* Move n of the queued bytes to the end of out, where there is room. */
static void move(tr_rpc_call *call, tr_buf *out, size_t n) {
  call->out.bytes -= n;
  call->conn->queued -= n;
  while (n > 0) {
    tr_rpc_queue *queue = next_queue(call);
    tr_blob *blob = queue->ring[queue->first];
    size_t left = blob->len - queue->offset, taken = left < n ? left : n;
    memcpy(out->data + out->len, blob->data + queue->offset, taken);
    out->len += taken;
    n -= taken;
    queue->offset += (uint32_t)taken;
    if (call->lanes) call->lanes->begun = taken == left ? NULL : queue;
    if (taken < left) continue;
    if (call->keep) tell_sent(call, blob);
    pop(queue);
  }
}

static void give_up_room(tr_rpc_queue *queue, tr_mem *mem) {
  if (queue->count == 0 && queue->cap > RING_KEPT) free_ring(queue, mem);
}

int tr_rpc_on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
                        nghttp2_data_source *source, void *user_data) {
  (void)source;
  tr_rpc_conn *conn = user_data;
  tr_rpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
  tr_buf *out = conn->out;
  if (!call && length > 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  if (!tr_buf_reserve(out, 9 + length)) return NGHTTP2_ERR_CALLBACK_FAILURE;
  memcpy(out->data + out->len, framehd, 9);
  out->len += 9;
  if (length > 0) {
    move(call, out, length);
    conn->moved = true;
    give_up_room(&call->out, conn->mem);
    if (call->lanes) {
      give_up_room(&call->lanes->high, conn->mem);
      give_up_room(&call->lanes->low, conn->mem);
    }
    if (call->full && call->out.bytes <= conn->options.high_water / 2 && !tr_link_in(&call->event_link)) {
      call->full = false;
      tr_list_push(&conn->writable, &call->event_link);
    }
  }
  return out->len >= conn->out_goal ? NGHTTP2_ERR_PAUSE : 0;
}
