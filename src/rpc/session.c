/* SPDX-License-Identifier: MIT
 * nghttp2's session and its callbacks.
 *
 * Chosen (measured.md, "The host's path on the wire", says what each brings): no automatic window updates, since credit is
 * returned once per feed and may be withheld; closed streams are not remembered; an HPACK encoder without a dynamic table
 * (two kilobytes less a connection, nothing lost on long-lived streams); a large connection window. nghttp2's own limits
 * of resets and of unsent acknowledgements are opened wide: they know no clock but the machine's, and conn.c counts
 * by the `now` it is given. nghttp2 1.52 with Debian's patches ends a header block after 8 CONTINUATION frames.
 *
 * Callbacks during mem_recv call the user's handlers; callbacks during mem_send only take notes. nghttp2 allows all
 * of its submit functions from callbacks, but neither mem_send, mem_recv nor session_del.
 *
 * A server's HEADERS with END_STREAM are its trailers: when they are written the call is over, and if the peer could still
 * send, RST_STREAM NO_ERROR tells it to stop (RFC 9113 §8.1). Submitted any earlier it would overtake the trailers. curl 7.88 calls that its
 * error 92 where it was still uploading, and shows no header; the frames are in order. */
#include "rpc/internal.h"

#define EXPECTED_HEADERS 4 /* headers up to this many times the limit are counted; then the stream is reset at once */

static tr_rpc_call *call_of(nghttp2_session *session, int32_t stream_id) {
  return stream_id > 0 ? nghttp2_session_get_stream_user_data(session, stream_id) : NULL;
}

/* --- headers --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ud) {
  tr_rpc_conn *conn = ud;
  int32_t id = frame->hd.stream_id;
  if (!conn->options.server || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  if (conn->drain) {
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return tr_rpc_nuisance(conn) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }
  tr_rpc_call *call = tr_rpc_call_make(conn, id);
  if (!call) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  nghttp2_session_set_stream_user_data(session, id, call);
  return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ud) {
  (void)flags;
  tr_rpc_conn *conn = ud;
  tr_rpc_call *call = call_of(session, frame->hd.stream_id);
  size_t limit = conn->options.max_header_bytes;
  if (!call || (conn->options.server && call->announced)) return 0; /* trailers of a request say nothing to us */
  size_t listed = call->headers.listed + name_len + value_len + 32;
  if (listed > limit) {
    call->too_large = true;
    call->headers.listed = (uint32_t)(listed < UINT32_MAX / 2 ? listed : UINT32_MAX / 2);
    return listed / EXPECTED_HEADERS > limit ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }
  call->headers.listed = (uint32_t)listed;
  bool kept = tr_rpc_headers_add(&call->headers, conn->mem, tr_slice_make(name, name_len), tr_slice_make(value, value_len));
  return kept ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Names and values with characters that HTTP does not allow are malformed and end the stream; but grpcio sends the bytes
 * of "-bin" metadata raw where it thinks that both sides agreed to it. Such a field is left out. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value,
                             uint8_t flags, void *ud) {
  (void)session; (void)frame; (void)value; (void)flags; (void)ud;
  nghttp2_vec n = nghttp2_rcbuf_get_buf(name);
  bool binary = n.len > 4 && memcmp(n.base + n.len - 4, "-bin", 4) == 0;
  return binary ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void headers_complete(tr_rpc_conn *conn, tr_rpc_call *call, bool end_stream) {
  if (!conn->options.server) tr_rpc_call_answered(call, end_stream);
  else if (!call->announced) tr_rpc_call_opened(call, end_stream);
  else if (end_stream) tr_rpc_call_peer_ended(call);
}

/* --- frames --- */

static void on_ping(tr_rpc_conn *conn, const nghttp2_ping *ping) {
  uint64_t payload;
  if (memcmp(ping->opaque_data, TR_RPC_DRAIN_PING, sizeof ping->opaque_data) == 0) {
    conn->notice_seen = true;
    return;
  }
  memcpy(&payload, ping->opaque_data, sizeof payload);
  if (conn->options.handlers->pong) conn->options.handlers->pong(conn->options.ud, conn, payload);
}

static void on_goaway(tr_rpc_conn *conn, const nghttp2_goaway *goaway) {
  conn->peer_goaway = true;
  tr_log_write(conn->options.log, TR_LOG_DEBUG, "rpc.goaway", "error=%s debug=%.*s",
               nghttp2_http2_strerror(goaway->error_code), (int)(goaway->opaque_data_len & 0xfff),
               goaway->opaque_data_len ? (const char *)goaway->opaque_data : "");
  if (conn->options.handlers->goaway)
    conn->options.handlers->goaway(conn->options.ud, conn, goaway->error_code,
                                   tr_slice_make(goaway->opaque_data, goaway->opaque_data_len));
}

/* Frames that cost the sender nothing and do no work. A PING after DATA is how peers measure the bandwidth. */
static bool is_nuisance(tr_rpc_conn *conn, const nghttp2_frame *frame) {
  bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK, moved = conn->moved;
  switch (frame->hd.type) {
    case NGHTTP2_DATA: return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_PING:
      if (!ack) conn->moved = false;
      return !ack && !moved;
    case NGHTTP2_SETTINGS: return !ack;
    case NGHTTP2_PRIORITY: return true;
    case NGHTTP2_RST_STREAM: /* of a stream that is still there */
      return conn->options.server && nghttp2_session_get_stream_remote_close(conn->session, frame->hd.stream_id) >= 0;
    default: return false;
  }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *ud) {
  tr_rpc_conn *conn = ud;
  tr_rpc_call *call = call_of(session, frame->hd.stream_id);
  bool end_stream = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (is_nuisance(conn, frame) && !tr_rpc_nuisance(conn)) return NGHTTP2_ERR_CALLBACK_FAILURE;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      if (call) headers_complete(conn, call, end_stream);
      break;
    case NGHTTP2_DATA:
      if (call && end_stream) tr_rpc_call_peer_ended(call);
      break;
    case NGHTTP2_RST_STREAM:
      if (call) call->peer_reset = true;
      break;
    case NGHTTP2_PING:
      if (frame->hd.flags & NGHTTP2_FLAG_ACK) on_ping(conn, &frame->ping);
      break;
    case NGHTTP2_GOAWAY: on_goaway(conn, &frame->goaway); break;
    default: break;
  }
  return 0;
}

/* grpc-go's clients say goodbye with the id of a stream of their own. nghttp2 takes that for a violation and ends the
 * connection; it was at its end anyway, so it is not told as one. */
static int on_invalid_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ud) {
  (void)session; (void)error;
  tr_rpc_conn *conn = ud;
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->hd.stream_id == 0 && conn->options.server) {
    on_goaway(conn, &frame->goaway);
    conn->odd_goodbye = true;
  }
  return tr_rpc_nuisance(conn) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_data_chunk_recv(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t n,
                              void *ud) {
  (void)flags;
  tr_rpc_conn *conn = ud;
  tr_rpc_call *call = call_of(session, stream_id);
  conn->credit += n;
  conn->moved = true;
  if (!call) return 0;
  call->credit += (uint32_t)n;
  if (!tr_link_in(&call->credit_link)) tr_list_push(&conn->credits, &call->credit_link);
  tr_rpc_read(call, tr_slice_make(data, n));
  return conn->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t http2_error, void *ud) {
  (void)ud;
  tr_rpc_call *call = call_of(session, stream_id);
  if (call) tr_rpc_call_stream_closed(call, http2_error);
  return 0;
}

/* --- during mem_send: notes only --- */

/* nghttp2 ends the connection of its own accord. */
static void end_by_nghttp2(tr_rpc_conn *conn, const nghttp2_goaway *goaway) {
  size_t n = goaway->opaque_data_len;
  if (conn->odd_goodbye) tr_rpc_die(conn, TR_EUNAVAILABLE, 0, "the peer said goodbye");
  else
    tr_rpc_die(conn, TR_EINVALID, 0, "HTTP/2 %s%s%.*s", nghttp2_http2_strerror(goaway->error_code), n ? ": " : "",
               (int)(n & 0xfff), n ? (const char *)goaway->opaque_data : "");
  conn->say_farewell = false; /* this frame is it */
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *ud) {
  tr_rpc_conn *conn = ud;
  bool last = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA; /* DATA: of what is no gRPC */
  if (last && conn->options.server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
    int32_t id = frame->hd.stream_id;
    tr_rpc_call *call = call_of(session, id);
    if (nghttp2_session_get_stream_remote_close(session, id) == 0)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    if (call) tr_rpc_call_end_later(call, TR_GRPC_OK, "");
  } else if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
             !(conn->last_goaway && frame->goaway.error_code == conn->farewell)) {
    end_by_nghttp2(conn, &frame->goaway);
  }
  return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error, void *ud) {
  (void)ud;
  bool unsendable = error == NGHTTP2_ERR_FRAME_SIZE_ERROR || error == NGHTTP2_ERR_HEADER_COMP;
  if (frame->hd.type == NGHTTP2_HEADERS && unsendable && frame->headers.cat != NGHTTP2_HCAT_REQUEST)
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
  return 0;
}

/* --- memory: nghttp2 does not give sizes back, so each block has its size in front --- */

typedef union size_before { size_t size; max_align_t align; } size_before;

/* nghttp2 makes each session a buffer of 16 KB for the frame that is just being written: a page of memory for what is used for a moment,
 * and the largest part of an idle connection. All sessions of an owner write one after the other, and pump() copies
 * what mem_send gave before the next one is asked, so they can share it. nghttp2 has no option for that; it is known by its
 * size, and as the first such block that a session asks for. A session that wants another one (larger frames, CONTINUATION) gets its own. */
#define FRAME_BUFFER_LEAST 16384
#define FRAME_BUFFER_MOST 16640

static void *take_frame_buffer(tr_rpc_conn *conn, size_t size) {
  tr_rpc_shared *shared = conn->options.shared;
  if (!shared->block && (shared->block = tr_alloc(conn->mem, size))) shared->size = size;
  if (shared->size != size) return NULL;
  conn->shares = true;
  return shared->block;
}

void tr_rpc_shared_fini(tr_rpc_shared *shared, tr_mem *mem) {
  tr_free(mem, shared->block, shared->size);
  *shared = (tr_rpc_shared){ 0 };
}

/* The encoder's table of headers stays empty (set_options), but nghttp2 makes the kilobyte for its entries all the same, and frees it
 * unread. It is known by its size, and as the first such block that a session asks for, of the version that was looked at;
 * and it is constant, so that writing to it would be seen at once. */
#define ENCODER_RING (128 * sizeof(void *))
#define ENCODER_VERSION 0x0134 /* 1.52 */
static const char no_ring[ENCODER_RING];

static bool is_encoder_ring(tr_rpc_conn *conn, size_t size) {
  if (conn->ringless || size != ENCODER_RING || nghttp2_version(0)->version_num >> 8 != ENCODER_VERSION) return false;
  return conn->ringless = true;
}

static bool is_shared(const tr_rpc_conn *conn, const void *p) { return conn->options.shared && conn->options.shared->block == p; }

static void *take(size_t size, void *ud) {
  tr_rpc_conn *conn = ud;
  if (conn->options.shared && !conn->shares && size >= FRAME_BUFFER_LEAST && size <= FRAME_BUFFER_MOST) {
    void *buffer = take_frame_buffer(conn, size);
    if (buffer) return buffer;
  }
  if (is_encoder_ring(conn, size)) return (void *)no_ring;
  size_before *block = size < SIZE_MAX - sizeof *block ? tr_alloc(conn->mem, size + sizeof *block) : NULL;
  if (!block) return NULL;
  block->size = size;
  return block + 1;
}

static void give(void *p, void *ud) {
  tr_rpc_conn *conn = ud;
  if (!p || p == no_ring || is_shared(conn, p)) return;
  size_before *block = (size_before *)p - 1;
  tr_free(conn->mem, block, block->size + sizeof *block);
}

static void *take_zeroed(size_t count, size_t size, void *ud) {
  if (size && count > SIZE_MAX / size) return NULL;
  void *p = take(count * size, ud);
  if (p) memset(p, 0, count * size);
  return p;
}

/* Out of the shared buffer: into one of its own. */
static void *leave_shared(tr_rpc_conn *conn, const void *p, size_t size) {
  void *own = take(size, conn);
  size_t before = conn->options.shared->size;
  if (own) memcpy(own, p, before < size ? before : size);
  return own;
}

static void *resize(void *p, size_t size, void *ud) {
  tr_rpc_conn *conn = ud;
  if (!p || p == no_ring) return take(size, ud);
  if (is_shared(conn, p)) return leave_shared(conn, p, size);
  size_before *block = (size_before *)p - 1;
  if (size >= SIZE_MAX - sizeof *block) return NULL;
  block = tr_realloc(conn->mem, block, block->size + sizeof *block, size + sizeof *block);
  if (!block) return NULL;
  block->size = size;
  return block + 1;
}

/* --- making one --- */

static void set_callbacks(nghttp2_session_callbacks *callbacks) {
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback2(callbacks, on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame_recv);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk_recv);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, tr_rpc_on_send_data);
}

static void set_options(nghttp2_option *option, const tr_rpc_options *o) {
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(option, 0);
  nghttp2_option_set_max_outbound_ack(option, (size_t)o->max_resets_per_second + 1000);
  nghttp2_option_set_stream_reset_rate_limit(option, UINT64_MAX, UINT64_MAX);
}

static int submit_settings(tr_rpc_conn *conn) {
  const tr_rpc_options *o = &conn->options;
  nghttp2_settings_entry entries[6] = {
    { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, o->stream_window },
    { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, o->max_header_bytes },
  };
  size_t n = 2;
  if (o->server) entries[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, o->max_streams };
  else entries[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
  if (o->max_frame != 16384) entries[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, o->max_frame };
  int rv = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, entries, n);
  if (rv == 0)
    rv = nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, (int32_t)o->connection_window);
  return rv;
}

void tr_rpc_no_header_table(tr_rpc_conn *conn) {
  nghttp2_settings_entry none = { NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 };
  if (conn->tableless || conn->dead) return;
  conn->tableless = true;
  int rv = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, &none, 1);
  if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  tr_rpc_dirty(conn);
}

int tr_rpc_session_new(tr_rpc_conn *conn) {
  nghttp2_session_callbacks *callbacks = NULL;
  nghttp2_option *option = NULL;
  int rv = NGHTTP2_ERR_NOMEM;
  conn->session_mem = (nghttp2_mem){ conn, take, give, take_zeroed, resize };
  if (nghttp2_session_callbacks_new(&callbacks) != 0 || nghttp2_option_new(&option) != 0) goto out;
  set_callbacks(callbacks);
  set_options(option, &conn->options);
  rv = conn->options.server
           ? nghttp2_session_server_new3(&conn->session, callbacks, conn, option, &conn->session_mem)
           : nghttp2_session_client_new3(&conn->session, callbacks, conn, option, &conn->session_mem);
  if (rv == 0) rv = submit_settings(conn);
out:
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  return rv == 0 ? 0 : TR_EMEMORY;
}
