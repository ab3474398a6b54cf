/* SPDX-License-Identifier: MIT
 * Queued messages → DATA. Each call has a ring of references to framed blobs; nghttp2 asks how much there is
 * (tr_rpc_on_read) and then has it written (tr_rpc_on_send_data) straight from the blobs into the output buffer: one copy,
 * and as many messages in a DATA frame as fit. The two calls come one after the other with nothing between.
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

void tr_rpc_queue_free(tr_rpc_queue *queue, tr_mem *mem) {
  while (queue->count > 0) pop(queue);
  tr_free(mem, queue->ring, queue->cap * sizeof *queue->ring);
  *queue = (tr_rpc_queue){ 0 };
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

int tr_rpc_send(tr_rpc_call *call, tr_blob *framed) {
  tr_rpc_conn *conn = call->conn;
  tr_rpc_queue *queue = &call->out;
  if (call->sealed || call->gone || conn->dead) return TR_EUNAVAILABLE;
  if (framed->len == 0) return 0;
  if (conn->options.server && !call->headers_sent) {
    int err = tr_rpc_send_headers(call, NULL, 0);
    if (err) return err;
  }
  if (queue->count == queue->cap && !grow(queue, conn->mem)) return TR_EMEMORY;
  queue->ring[(queue->first + queue->count++) & (queue->cap - 1)] = tr_blob_ref(framed);
  queue->bytes += framed->len;
  tr_rpc_wake(call);
  if (queue->bytes < conn->options.high_water) return 0;
  call->full = true;
  return 1;
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

/* Move n bytes of the queue to the end of out, where there is room. */
static void move(tr_rpc_queue *queue, tr_buf *out, size_t n) {
  queue->bytes -= n;
  while (n > 0) {
    tr_blob *blob = queue->ring[queue->first];
    size_t left = blob->len - queue->offset, taken = left < n ? left : n;
    memcpy(out->data + out->len, blob->data + queue->offset, taken);
    out->len += taken;
    n -= taken;
    queue->offset += (uint32_t)taken;
    if (taken == left) pop(queue);
  }
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
    tr_rpc_queue *queue = &call->out;
    move(queue, out, length);
    conn->moved = true;
    if (queue->count == 0 && queue->cap > RING_KEPT) tr_rpc_queue_free(queue, conn->mem);
    if (call->full && queue->bytes <= conn->options.high_water / 2 && !tr_link_in(&call->event_link)) {
      call->full = false;
      tr_list_push(&conn->writable, &call->event_link);
    }
  }
  return out->len >= conn->out_goal ? NGHTTP2_ERR_PAUSE : 0;
}
