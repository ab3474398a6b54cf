/* SPDX-License-Identifier: MIT
 * The life of a call.
 *
 * Server: nghttp2 begins a header block → tr_rpc_call_make; the block is complete → tr_rpc_call_opened refuses what is not
 * gRPC (it never becomes a call for the user) or calls `open`. Client: tr_rpc_call_new. From then on the call is
 * "announced" and gets exactly one `closed`, from tr_rpc_call_end alone.
 *
 * Two doors lead there. While bytes are fed, an end is told at once, so that it stands in the peer's order among the other
 * events. What ends by the user's own hand (tr_rpc_cancel) or inside tr_rpc_output only goes on conn->over, and
 * tr_rpc_calls_settle tells it when no frame of nghttp2 is on the stack.
 *
 * nghttp2 keeps the call as the stream's user data. A call that has ended takes itself out there: the stream may live on
 * until its RST_STREAM is written, and every callback copes with a stream that has no call.
 *
 * A server's end: messages, trailers, and where the request side is still open RST_STREAM NO_ERROR, which may be
 * submitted only when the trailers were written, or it would overtake them (session.c, on_frame_send). */
#include <stdarg.h>
#include <stdio.h>

#include "rpc/internal.h"

#define NV_FEW 16 /* headers of a call without a detour by the heap */

tr_rpc_call *tr_rpc_call_make(tr_rpc_conn *conn, int32_t stream_id) {
  tr_rpc_call *call = TR_NEW(conn->mem, tr_rpc_call);
  if (!call) return NULL;
  call->conn = conn;
  call->stream_id = stream_id;
  tr_list_push(&conn->unopened, &call->link);
  return call;
}

static void announce(tr_rpc_call *call) {
  call->announced = true;
  tr_link_remove(&call->link);
  tr_list_push(&call->conn->calls, &call->link);
  call->conn->call_count++;
}

/* --- the end --- */

static void release(tr_rpc_call *call) {
  tr_link_remove(&call->link);
  tr_link_remove(&call->credit_link);
  tr_link_remove(&call->event_link);
  tr_rpc_out_free(call);
  tr_rpc_reader_free(call);
}

void tr_rpc_call_end(tr_rpc_call *call, int status, tr_slice text) {
  tr_rpc_conn *conn = call->conn;
  const tr_rpc_options *o = &conn->options;
  tr_rpc_status told = { status, text };
  if (call->failed) told = (tr_rpc_status){ call->status, { call->text, call->text_len } };
  if (!call->gone && call->stream_id > 0) nghttp2_session_set_stream_user_data(conn->session, call->stream_id, NULL);
  call->gone = call->sealed = call->deaf = true;
  release(call);
  if (call->announced) {
    conn->call_count--;
    if (o->handlers->closed) o->handlers->closed(o->ud, call, &told);
  }
  tr_rpc_headers_free(&call->headers, conn->mem);
  tr_free(conn->mem, call->text, call->text_len);
  TR_DELETE(conn->mem, call);
}

static bool is_over(const tr_rpc_call *call) { return call->end_text != NULL; }

void tr_rpc_call_end_later(tr_rpc_call *call, int status, const char *text) {
  if (is_over(call)) return;
  call->sealed = call->deaf = true;
  call->end_status = status;
  call->end_text = text;
  tr_link_remove(&call->event_link); /* from conn->writable */
  tr_list_push(&call->conn->over, &call->event_link);
  tr_rpc_dirty(call->conn);
}

void tr_rpc_calls_settle(tr_rpc_conn *conn) {
  for (tr_link *link; (link = tr_list_pop(&conn->over)) != NULL;) {
    tr_rpc_call *call = TR_CONTAINER(link, tr_rpc_call, event_link);
    tr_rpc_call_end(call, call->end_status, tr_slice_of(call->end_text));
  }
}

static void reset(tr_rpc_call *call, uint32_t http2_error) {
  tr_rpc_conn *conn = call->conn;
  if (call->gone || conn->dead) return;
  int rv = nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream_id, http2_error);
  if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  tr_rpc_dirty(conn);
}

void tr_rpc_cancel(tr_rpc_call *call) {
  if (call->gone || is_over(call)) return;
  tr_rpc_out_free(call);
  reset(call, NGHTTP2_CANCEL);
  tr_rpc_call_end_later(call, TR_GRPC_CANCELLED, "cancelled");
}

void tr_rpc_call_stream_closed(tr_rpc_call *call, uint32_t http2_error) {
  tr_rpc_conn *conn = call->conn;
  bool server = conn->options.server;
  int status = server ? TR_GRPC_CANCELLED : tr_rpc_status_of_reset(http2_error);
  const char *text = nghttp2_http2_strerror(http2_error);
  call->gone = true;
  if (is_over(call)) return;
  if (!server && http2_error == NGHTTP2_REFUSED_STREAM) text = "the peer takes no new calls";
  if (!call->peer_reset && server) status = TR_GRPC_INTERNAL; /* reset by nghttp2: the peer broke the protocol */
  if (conn->feeding || !call->announced) tr_rpc_call_end(call, status, tr_slice_of(text));
  else tr_rpc_call_end_later(call, status, text);
}

/* --- headers for nghttp2 --- */

typedef struct nv_list { nghttp2_nv few[NV_FEW], *all; size_t count, cap; tr_mem *mem; } nv_list;

static bool nv_init(nv_list *list, tr_mem *mem, size_t extra) {
  *list = (nv_list){ .cap = NV_FEW, .mem = mem };
  list->all = list->few;
  if (extra <= NV_FEW / 2) return true;
  list->cap = extra + NV_FEW / 2;
  list->all = extra < SIZE_MAX / sizeof *list->all / 2 ? tr_alloc(mem, list->cap * sizeof *list->all) : NULL;
  return list->all != NULL;
}

static void nv_fini(nv_list *list) {
  if (list->all != list->few) tr_free(list->mem, list->all, list->cap * sizeof *list->all);
}

static void nv_add(nv_list *list, nghttp2_nv nv) { list->all[list->count++] = nv; }

static void nv_add_all(nv_list *list, const tr_rpc_header *headers, size_t count) {
  for (size_t i = 0; i < count; i++) { /* a secret is kept out of the peers' tables (RFC 7541, 7.1.3) */
    bool secret = tr_slice_is(headers[i].name, "authorization");
    nv_add(list, tr_rpc_nv(headers[i].name, headers[i].value, secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE));
  }
}

static int error_of(int nghttp2_error) {
  if (nghttp2_error >= 0) return 0;
  return nghttp2_error == NGHTTP2_ERR_NOMEM ? TR_EMEMORY : TR_EUNAVAILABLE;
}

/* --- server: answering --- */

static void nv_response(nv_list *list) {
  nv_add(list, TR_RPC_NV(":status", "200"));
  nv_add(list, TR_RPC_NV("content-type", "application/grpc"));
  nv_add(list, TR_RPC_NV("grpc-accept-encoding", TR_RPC_ENCODINGS));
}

typedef struct status_text { char number[4], message[TR_RPC_MESSAGE_TEXT]; } status_text;

static void nv_status(nv_list *list, int status, tr_slice message, status_text *text) {
  /* cppcheck-suppress ctuuninitvar; it is for writing */
  int digits = snprintf(text->number, sizeof text->number, "%d", status & 0xff);
  size_t n = tr_rpc_percent_encode(message, text->message, sizeof text->message);
  nv_add(list, tr_rpc_nv(TR_SLICE_LITERAL("grpc-status"), tr_slice_make(text->number, (size_t)digits),
                         NGHTTP2_NV_FLAG_NO_COPY_NAME));
  if (n > 0)
    nv_add(list, tr_rpc_nv(TR_SLICE_LITERAL("grpc-message"), tr_slice_make(text->message, n), NGHTTP2_NV_FLAG_NO_COPY_NAME));
}

static int submit_response(tr_rpc_call *call, const nv_list *list, bool body) {
  nghttp2_data_provider provider = tr_rpc_provider();
  int rv = nghttp2_submit_response(call->conn->session, call->stream_id, list->all, list->count, body ? &provider : NULL);
  tr_rpc_dirty(call->conn);
  return error_of(rv);
}

/* Who sends compressed messages has asked for such; others get them where the owner offers it. */
static bool wants_deflate(const tr_rpc_call *call) {
  const tr_rpc_gzip *gzip = call->conn->options.gzip;
  return gzip && (gzip->offers || call->in.encoding == TR_RPC_GZIP) &&
         tr_rpc_accepts_gzip(tr_rpc_headers_get(&call->headers, "grpc-accept-encoding"));
}

int tr_rpc_send_headers(tr_rpc_call *call, const tr_rpc_header *headers, size_t count) {
  nv_list list;
  if (call->headers_sent) return 0;
  if (call->sealed || call->gone || call->conn->dead || !call->conn->options.server) return TR_EUNAVAILABLE;
  if (!nv_init(&list, call->conn->mem, count)) return TR_EMEMORY;
  bool deflate = wants_deflate(call);
  nv_response(&list);
  if (deflate) nv_add(&list, TR_RPC_NV("grpc-encoding", "gzip"));
  nv_add_all(&list, headers, count);
  int err = submit_response(call, &list, true);
  nv_fini(&list);
  if (!err) call->headers_sent = true;
  call->deflate = deflate && !err;
  return err;
}

static int trailers_only(tr_rpc_call *call, int status, tr_slice message) {
  nv_list list;
  status_text text;
  nv_init(&list, call->conn->mem, 0);
  nv_response(&list);
  nv_status(&list, status, message, &text);
  return submit_response(call, &list, false);
}

bool tr_rpc_call_send_trailers(tr_rpc_call *call) {
  nv_list list;
  status_text text;
  nv_init(&list, call->conn->mem, 0);
  nv_status(&list, call->status, tr_slice_make(call->text, call->text_len), &text);
  return nghttp2_submit_trailer(call->conn->session, call->stream_id, list.all, list.count) == 0;
}

static bool keep_text(tr_rpc_call *call, tr_slice text) {
  if (text.n > TR_RPC_MESSAGE_TEXT) text.n = TR_RPC_MESSAGE_TEXT; /* what is sent is shorter still */
  call->text = text.n ? tr_alloc(call->conn->mem, text.n) : NULL;
  if (text.n && !call->text) return false;
  if (text.n) memcpy(call->text, text.p, text.n);
  call->text_len = text.n;
  return true;
}

int tr_rpc_finish(tr_rpc_call *call, int grpc_status, tr_slice message) {
  if (call->sealed || call->gone || call->conn->dead || !call->conn->options.server) return TR_EUNAVAILABLE;
  if (!keep_text(call, message)) return TR_EMEMORY;
  call->status = grpc_status;
  if (!call->headers_sent) {
    int err = trailers_only(call, grpc_status, message);
    if (err) {
      tr_free(call->conn->mem, call->text, call->text_len);
      call->text = NULL;
      call->text_len = 0;
      return err;
    }
  }
  call->headers_sent = call->sealed = call->deaf = true;
  tr_rpc_wake(call);
  return 0;
}

void tr_rpc_call_fail(tr_rpc_call *call, int status, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (call->sealed && call->conn->options.server) { /* its status is already decided */
    call->deaf = true;
    return;
  }
  tr_log_write(call->conn->options.log, TR_LOG_INFO, "rpc.call_failed", "status=%d text=%s", status, text);
  if (call->conn->options.server) {
    int err = tr_rpc_finish(call, status, tr_slice_of(text));
    call->failed = !err;
    if (err) tr_rpc_cancel(call);
    return;
  }
  call->failed = true;
  call->status = status;
  keep_text(call, tr_slice_of(text));
  tr_rpc_out_free(call);
  reset(call, NGHTTP2_CANCEL);
  tr_rpc_call_end_later(call, status, "");
}

/* --- server: a request arrives --- */

static bool is_grpc(tr_slice content_type) {
  static const tr_slice grpc = { "application/grpc", 16 };
  if (!tr_slice_starts(content_type, grpc)) return false;
  return content_type.n == grpc.n || content_type.p[grpc.n] == '+' || content_type.p[grpc.n] == ';';
}

static const char not_grpc[] = "This is a gRPC server: requests need the content-type application/grpc.\n";

/* nghttp2 keeps *source as it is left here: how much was read. */
static ssize_t read_not_grpc(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t length, uint32_t *flags,
                             nghttp2_data_source *source, void *ud) {
  (void)session; (void)stream_id; (void)ud;
  size_t left = sizeof not_grpc - 1 - (size_t)source->fd, n = left < length ? left : length;
  memcpy(buf, not_grpc + source->fd, n);
  source->fd += (int)n;
  if (n == left) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)n;
}

/* A browser, curl, a probe of HTTP/2: told in a line of text. */
static int refuse_content_type(tr_rpc_call *call) {
  nghttp2_data_provider text = { .source = { .fd = 0 }, .read_callback = read_not_grpc };
  bool head = tr_slice_is(tr_rpc_headers_get(&call->headers, ":method"), "HEAD");
  nv_list list;
  nv_init(&list, call->conn->mem, 0);
  nv_add(&list, TR_RPC_NV(":status", "415"));
  nv_add(&list, TR_RPC_NV("content-type", "text/plain"));
  int rv = nghttp2_submit_response(call->conn->session, call->stream_id, list.all, list.count, head ? NULL : &text);
  tr_rpc_dirty(call->conn);
  return error_of(rv);
}

/* Whether this is a gRPC request; where it is not, it is answered. What real peers and the real host do: wire.md §4.3. */
static bool acceptable(tr_rpc_call *call, int *err) {
  char text[96];
  tr_slice encoding = tr_rpc_headers_get(&call->headers, "grpc-encoding");
  *err = 0;
  call->in.encoding = tr_rpc_encoding_of(encoding);
  if (call->too_large) {
    snprintf(text, sizeof text, "the request's headers are larger than %lu bytes",
             (unsigned long)call->conn->options.max_header_bytes);
    *err = trailers_only(call, TR_GRPC_RESOURCE_EXHAUSTED, tr_slice_of(text));
  } else if (!is_grpc(tr_rpc_headers_get(&call->headers, "content-type"))) {
    *err = refuse_content_type(call);
  } else if (!tr_slice_is(tr_rpc_headers_get(&call->headers, ":method"), "POST")) {
    *err = trailers_only(call, TR_GRPC_UNKNOWN, TR_SLICE_LITERAL("Bad method header"));
  } else if (!tr_rpc_headers_get(&call->headers, "te").p) {
    *err = trailers_only(call, TR_GRPC_UNKNOWN, TR_SLICE_LITERAL("Missing :te header"));
  } else if (call->in.encoding == TR_RPC_UNKNOWN_ENCODING) {
    snprintf(text, sizeof text, "grpc-encoding \"%.*s\" is not supported", (int)(encoding.n < 40 ? encoding.n : 40), encoding.p);
    *err = trailers_only(call, TR_GRPC_UNIMPLEMENTED, tr_slice_of(text));
  } else {
    return true;
  }
  return false;
}

void tr_rpc_call_opened(tr_rpc_call *call, bool end_stream) {
  const tr_rpc_options *o = &call->conn->options;
  int err;
  if (!end_stream && !is_grpc(tr_rpc_headers_get(&call->headers, "content-type")) && !call->too_large) {
    call->deaf = true; /* its answer does not depend on the rest, but whether the rest is HTTP/2 shows by then */
    return;
  }
  if (!acceptable(call, &err)) {
    if (err) reset(call, NGHTTP2_INTERNAL_ERROR);
    tr_rpc_call_end(call, 0, (tr_slice){ NULL, 0 });
    return;
  }
  tr_rpc_headers_trim(&call->headers, call->conn->mem);
  announce(call);
  if (o->handlers->open) o->handlers->open(o->ud, call, tr_rpc_headers_get(&call->headers, ":path"));
  if (end_stream) tr_rpc_call_peer_ended(call);
}

/* --- client: a response arrives --- */

void tr_rpc_call_answered(tr_rpc_call *call, bool end_stream) {
  const tr_rpc_options *o = &call->conn->options;
  tr_slice status = tr_rpc_headers_get(&call->headers, ":status");
  tr_slice type = tr_rpc_headers_get(&call->headers, "content-type");
  if (is_over(call)) return;
  if (call->too_large) {
    tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "the response's headers are larger than %lu bytes",
                     (unsigned long)o->max_header_bytes);
  } else if (end_stream) {
    tr_rpc_call_peer_ended(call);
  } else if (call->headers_seen) {
    return; /* nghttp2 allows trailers only with END_STREAM */
  } else if (status.n == 3 && status.p[0] == '1') {
    tr_rpc_headers_free(&call->headers, call->conn->mem); /* an interim response */
  } else if (!tr_slice_is(status, "200")) {
    tr_rpc_call_fail(call, tr_rpc_status_of_http(status), "HTTP status %.*s", TR_SLICE_ARG(status));
  } else if (!is_grpc(type)) {
    tr_rpc_call_fail(call, TR_GRPC_UNKNOWN, "the answer is not gRPC: content-type \"%.*s\"", (int)(type.n < 80 ? type.n : 80),
                     type.p ? type.p : "");
  } else {
    call->headers_seen = true;
    call->in.encoding = tr_rpc_encoding_of(tr_rpc_headers_get(&call->headers, "grpc-encoding"));
    if (call->in.encoding == TR_RPC_UNKNOWN_ENCODING) tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "unknown grpc-encoding");
    call->deflate = call->offered && tr_rpc_accepts_gzip(tr_rpc_headers_get(&call->headers, "grpc-accept-encoding"));
    if (!is_over(call) && o->handlers->headers) o->handlers->headers(o->ud, call);
  }
}

/* Client: the status that the peer ended the call with. */
static tr_rpc_status peer_status(tr_rpc_call *call) {
  tr_rpc_headers *headers = &call->headers;
  tr_slice http = tr_rpc_headers_get(headers, ":status"), text = tr_rpc_headers_get(headers, "grpc-message");
  int status = tr_rpc_status_parse(tr_rpc_headers_get(headers, "grpc-status"));
  if (status < 0 && !tr_slice_is(http, "200"))
    return (tr_rpc_status){ tr_rpc_status_of_http(http), TR_SLICE_LITERAL("an HTTP error without a gRPC status") };
  if (status < 0) return (tr_rpc_status){ TR_GRPC_UNKNOWN, TR_SLICE_LITERAL("the peer ended the call without a status") };
  if (status == TR_GRPC_OK && tr_rpc_reader_cut(&call->in))
    return (tr_rpc_status){ TR_GRPC_INTERNAL, TR_SLICE_LITERAL("the answer ends inside a message") };
  if (text.n) text.n = tr_rpc_percent_decode(text, headers->data + (text.p - headers->data));
  return (tr_rpc_status){ status, text };
}

void tr_rpc_call_peer_ended(tr_rpc_call *call) {
  tr_rpc_conn *conn = call->conn;
  if (is_over(call)) return;
  if (!conn->options.server) {
    tr_rpc_status status = peer_status(call);
    if (nghttp2_session_get_stream_local_close(conn->session, call->stream_id) == 0) reset(call, NGHTTP2_NO_ERROR);
    tr_rpc_call_end(call, status.status, status.message);
    return;
  }
  if (!call->announced) {
    tr_rpc_call_opened(call, true);
    return;
  }
  if (call->deaf) return;
  if (tr_rpc_reader_cut(&call->in)) {
    tr_rpc_call_fail(call, TR_GRPC_INTERNAL, "the request ends inside a message");
    return;
  }
  if (conn->options.handlers->half_closed) conn->options.handlers->half_closed(conn->options.ud, call);
}

/* --- client: asking --- */

static int32_t submit_request(tr_rpc_call *call, tr_slice path, const tr_rpc_header *headers, size_t count, int64_t timeout_us) {
  tr_rpc_conn *conn = call->conn;
  nghttp2_data_provider provider = tr_rpc_provider();
  char timeout[16];
  nv_list list;
  if (!nv_init(&list, conn->mem, count + 10)) return NGHTTP2_ERR_NOMEM;
  nv_add(&list, TR_RPC_NV(":method", "POST"));
  if (conn->options.secure) nv_add(&list, TR_RPC_NV(":scheme", "https"));
  else nv_add(&list, TR_RPC_NV(":scheme", "http"));
  nv_add(&list, tr_rpc_nv(TR_SLICE_LITERAL(":path"), path, NGHTTP2_NV_FLAG_NO_COPY_NAME));
  nv_add(&list, tr_rpc_nv(TR_SLICE_LITERAL(":authority"), tr_slice_of(conn->authority), NGHTTP2_NV_FLAG_NO_COPY_NAME));
  nv_add(&list, TR_RPC_NV("te", "trailers"));
  nv_add(&list, TR_RPC_NV("content-type", "application/grpc"));
  nv_add(&list, tr_rpc_nv(TR_SLICE_LITERAL("user-agent"), tr_slice_of(conn->user_agent), NGHTTP2_NV_FLAG_NO_COPY_NAME));
  nv_add(&list, TR_RPC_NV("grpc-accept-encoding", TR_RPC_ENCODINGS));
  if (timeout_us >= 0)
    nv_add(&list, tr_rpc_nv(TR_SLICE_LITERAL("grpc-timeout"), tr_slice_make(timeout, tr_rpc_timeout_format(timeout_us, timeout)),
                            NGHTTP2_NV_FLAG_NO_COPY_NAME));
  nv_add_all(&list, headers, count);
  int32_t id = nghttp2_submit_request(conn->session, NULL, list.all, list.count, &provider, call);
  nv_fini(&list);
  return id;
}

tr_rpc_call *tr_rpc_call_new(tr_rpc_conn *conn, tr_slice path, const tr_rpc_header *headers, size_t count, int64_t timeout_us) {
  if (conn->options.server || conn->dead || conn->drain || conn->peer_goaway) return NULL;
  if (!nghttp2_session_check_request_allowed(conn->session)) return NULL;
  tr_rpc_call *call = tr_rpc_call_make(conn, 0);
  if (!call) return NULL;
  int32_t id = submit_request(call, path, headers, count, timeout_us);
  if (id < 0) {
    tr_rpc_call_end(call, 0, (tr_slice){ NULL, 0 });
    return NULL;
  }
  call->stream_id = id;
  for (size_t i = 0; conn->options.gzip && i < count; i++)
    if (tr_slice_is(headers[i].name, "grpc-encoding") && tr_slice_is(headers[i].value, "gzip")) call->offered = true;
  announce(call);
  tr_rpc_dirty(conn);
  return call;
}

void tr_rpc_half_close(tr_rpc_call *call) {
  if (call->sealed || call->conn->options.server) return;
  call->sealed = true;
  tr_rpc_wake(call);
}

/* --- asked by the user --- */

tr_rpc_conn *tr_rpc_call_conn(const tr_rpc_call *call) { return call->conn; }
void tr_rpc_call_set_ud(tr_rpc_call *call, void *ud) { call->ud = ud; }
void *tr_rpc_call_ud(const tr_rpc_call *call) { return call->ud; }

void tr_rpc_call_keep_headers(tr_rpc_call *call, const char *const *names) {
  tr_mem *mem = call->conn->mem;
  tr_rpc_headers few = { 0 };
  bool good = true;
  for (; *names; names++) {
    tr_slice value = tr_rpc_headers_get(&call->headers, *names);
    if (value.p) good = good && tr_rpc_headers_add(&few, mem, tr_slice_of(*names), value);
  }
  tr_rpc_headers *dropped = good ? &call->headers : &few;
  tr_rpc_headers_free(dropped, mem);
  if (!good) return;
  call->headers = few;
  tr_rpc_headers_trim(&call->headers, mem);
}

tr_slice tr_rpc_call_header(const tr_rpc_call *call, const char *name) { return tr_rpc_headers_get(&call->headers, name); }

int64_t tr_rpc_call_timeout(const tr_rpc_call *call) {
  return tr_rpc_timeout_parse(tr_rpc_headers_get(&call->headers, "grpc-timeout"));
}

void tr_rpc_hold(tr_rpc_call *call, bool hold) {
  if (call->hold == hold) return;
  call->hold = hold;
  if (hold || call->credit == 0 || call->gone) return;
  if (!tr_link_in(&call->credit_link)) tr_list_push(&call->conn->credits, &call->credit_link);
  if (!call->conn->feeding) tr_rpc_return_credit(call->conn);
}
