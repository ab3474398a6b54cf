/* SPDX-License-Identifier: MIT
 * A connection: bytes in, bytes out, and when it is over.
 *
 * tr_rpc_feed hands bytes to nghttp2, whose callbacks (session.c) call the handlers; then credit goes back, once per stream
 * and once for the connection, and `dirty` is told if anything waits to be sent. (Asked of nghttp2 after every feed,
 * since a window update may have freed a stream that waited.) tr_rpc_output lets nghttp2 write until there is no more or
 * the limit is reached; DATA goes straight from the queued blobs into the buffer.
 *
 * A connection dies in two ways. nghttp2 finds that the peer broke the protocol and writes GOAWAY itself, seen when it is
 * written. Or we give up: on bytes that are no HTTP/2, on floods, on what is fatal in nghttp2, on lack of memory; then
 * nghttp2 is not asked again and a GOAWAY is written by hand. Either way calls stay as they are until tr_rpc_conn_free,
 * which the owner calls when the last bytes are out.
 *
 * Floods: frames that cost the peer nothing and make us work (resets, PING, SETTINGS, PRIORITY, empty DATA, malformed ones)
 * are counted per second. A PING that follows DATA is not counted, so that bandwidth probes never add up. */
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"
#include "rpc/internal.h"

#ifndef TR_VERSION
#define TR_VERSION "0"
#endif

#define SECOND 1000000
#define LEAST_PARTIAL (1u << 20) /* whatever the largest message is */
#define GOAWAY_TEXT 128 /* of the reason, in a GOAWAY written by hand */

/* --- life --- */

static void set_default(uint32_t *option, uint32_t value, uint32_t max) {
  if (*option == 0) *option = value;
  if (*option > max) *option = max;
}

static void set_defaults(tr_rpc_options *o) {
  set_default(&o->max_message, 4194304, UINT32_MAX - 4096);
  set_default(&o->max_partial, o->max_message < UINT32_MAX / 16 ? 16 * o->max_message : UINT32_MAX, UINT32_MAX);
  if (o->max_partial < LEAST_PARTIAL) o->max_partial = LEAST_PARTIAL;
  set_default(&o->max_streams, 1024, INT32_MAX);
  set_default(&o->max_header_bytes, 16384, 1 << 24);
  set_default(&o->stream_window, TR_RPC_STREAM_WINDOW, INT32_MAX);
  set_default(&o->connection_window, 1 << 24, INT32_MAX);
  set_default(&o->max_frame, 16384, (1 << 24) - 1);
  if (o->max_frame < 16384) o->max_frame = 16384;
  set_default(&o->high_water, 64 << 20, UINT32_MAX);
  set_default(&o->max_resets_per_second, 1000, INT32_MAX);
}

static char *copy_text(tr_mem *mem, const char *text) { return tr_strndup(mem, text, strlen(text)); }

static void free_text(tr_mem *mem, char *text) {
  if (text) tr_free(mem, text, strlen(text) + 1);
}

static bool copy_names(tr_rpc_conn *conn, const tr_rpc_options *o) {
  if (o->server) return true;
  conn->authority = copy_text(conn->mem, o->authority ? o->authority : "localhost");
  conn->user_agent = copy_text(conn->mem, o->user_agent ? o->user_agent : "troupe/" TR_VERSION);
  return conn->authority && conn->user_agent;
}

tr_rpc_conn *tr_rpc_conn_new(const tr_rpc_options *options) {
  tr_rpc_conn *conn = TR_NEW(options->mem, tr_rpc_conn);
  if (!conn) return NULL;
  conn->mem = options->mem;
  conn->options = *options;
  set_defaults(&conn->options);
  tr_list_init(&conn->calls);
  tr_list_init(&conn->unopened);
  tr_list_init(&conn->credits);
  tr_list_init(&conn->writable);
  tr_list_init(&conn->over);
  if (!copy_names(conn, options) || tr_rpc_session_new(conn) != 0) {
    tr_rpc_conn_free(conn);
    return NULL;
  }
  return conn;
}

static void end_all(tr_link *calls) {
  while (!tr_list_empty(calls))
    tr_rpc_call_end(TR_CONTAINER(calls->next, tr_rpc_call, link), TR_GRPC_UNAVAILABLE, TR_SLICE_LITERAL("connection closed"));
}

void tr_rpc_conn_free(tr_rpc_conn *conn) {
  if (!conn) return;
  tr_mem *mem = conn->mem;
  conn->dead = conn->dirty = true; /* handlers called from here can start nothing new */
  tr_rpc_calls_settle(conn);
  end_all(&conn->calls);
  end_all(&conn->unopened);
  nghttp2_session_del(conn->session);
  free_text(mem, conn->authority);
  free_text(mem, conn->user_agent);
  free_text(mem, conn->goaway_text);
  tr_free(mem, conn->why, TR_RPC_WHY);
  TR_DELETE(mem, conn);
}

void *tr_rpc_conn_ud(const tr_rpc_conn *conn) { return conn->options.ud; }
size_t tr_rpc_call_count(const tr_rpc_conn *conn) { return conn->call_count; }

tr_rpc_call *tr_rpc_next_call(const tr_rpc_conn *conn, tr_rpc_call *after) {
  const tr_link *next = after ? after->link.next : conn->calls.next;
  if (!next || next == &conn->calls) return NULL;
  return TR_CONTAINER(next, tr_rpc_call, link);
}

void tr_rpc_dirty(tr_rpc_conn *conn) {
  if (conn->dirty) return;
  conn->dirty = true;
  if (conn->options.handlers->dirty) conn->options.handlers->dirty(conn->options.ud, conn);
}

/* --- death --- */

void tr_rpc_die(tr_rpc_conn *conn, int code, uint32_t http2_error, const char *format, ...) {
  if (conn->dead) return;
  conn->dead = conn->say_farewell = true;
  conn->code = code;
  conn->farewell = http2_error;
  conn->why = tr_alloc(conn->mem, TR_RPC_WHY);
  if (conn->why) {
    va_list args;
    va_start(args, format);
    vsnprintf(conn->why, TR_RPC_WHY, format, args);
    va_end(args);
    tr_log_write(conn->options.log, TR_LOG_INFO, "rpc.broken", "%s", conn->why);
  }
  tr_rpc_dirty(conn);
}

void tr_rpc_die_nghttp2(tr_rpc_conn *conn, int nghttp2_error) {
  switch (nghttp2_error) {
    case NGHTTP2_ERR_NOMEM: tr_rpc_die(conn, TR_EMEMORY, NGHTTP2_INTERNAL_ERROR, "out of memory"); break;
    case NGHTTP2_ERR_FLOODED: tr_rpc_die(conn, TR_ELIMIT, NGHTTP2_ENHANCE_YOUR_CALM, "flood: acknowledgements pile up"); break;
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
      tr_rpc_die(conn, TR_ELIMIT, NGHTTP2_ENHANCE_YOUR_CALM, "flood: too many CONTINUATION frames");
      break;
    default: tr_rpc_die(conn, TR_EINTERNAL, NGHTTP2_INTERNAL_ERROR, "nghttp2: %s", nghttp2_strerror(nghttp2_error));
  }
}

bool tr_rpc_nuisance(tr_rpc_conn *conn) {
  int64_t second = conn->now / SECOND;
  uint32_t max = conn->options.max_resets_per_second;
  if (second != conn->second) {
    conn->second = second;
    conn->nuisances = 0;
  }
  if (++conn->nuisances <= max) return true;
  tr_rpc_die(conn, TR_ELIMIT, NGHTTP2_ENHANCE_YOUR_CALM,
             "flood: more than %lu resets, pings, settings or empty frames in a second", (unsigned long)max);
  return false;
}

/* GOAWAY, past nghttp2. */
static void write_farewell(tr_rpc_conn *conn, tr_buf *out) {
  uint8_t frame[9 + 8] = { 0 };
  size_t text = conn->why ? tr_utf8_cut(tr_slice_of(conn->why), GOAWAY_TEXT) : 0;
  uint32_t last = (uint32_t)nghttp2_session_get_last_proc_stream_id(conn->session);
  frame[2] = (uint8_t)(8 + text);
  frame[3] = NGHTTP2_GOAWAY;
  for (int i = 0; i < 4; i++) {
    frame[9 + i] = (uint8_t)(last >> (24 - 8 * i));
    frame[13 + i] = (uint8_t)(conn->farewell >> (24 - 8 * i));
  }
  tr_buf_append(out, frame, sizeof frame);
  tr_buf_append(out, conn->why, text);
}

static int report(const tr_rpc_conn *conn, tr_error *error) {
  return tr_error_set(error, conn->code, "%s", conn->why ? conn->why : "the connection is broken");
}

bool tr_rpc_finished(const tr_rpc_conn *conn) {
  if (conn->dead) return !conn->say_farewell;
  return !nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session);
}

/* --- in --- */

void tr_rpc_return_credit(tr_rpc_conn *conn) {
  int rv = conn->credit ? nghttp2_session_consume_connection(conn->session, conn->credit) : 0;
  conn->credit = 0;
  for (tr_link *link; (link = tr_list_pop(&conn->credits)) != NULL;) {
    tr_rpc_call *call = TR_CONTAINER(link, tr_rpc_call, credit_link);
    if (call->hold || call->gone) continue; /* tr_rpc_hold brings it back */
    int one = nghttp2_session_consume_stream(conn->session, call->stream_id, call->credit);
    call->credit = 0;
    if (nghttp2_is_fatal(one)) rv = one;
  }
  if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  else if (!conn->dirty && nghttp2_session_want_write(conn->session)) tr_rpc_dirty(conn);
}

int tr_rpc_feed(tr_rpc_conn *conn, tr_slice bytes, int64_t now, tr_error *error) {
  if (!conn->dead && bytes.n > 0) {
    conn->now = now;
    if (conn->started || tr_rpc_start(conn, bytes)) {
      conn->feeding = true;
      ssize_t n = nghttp2_session_mem_recv(conn->session, (const uint8_t *)bytes.p, bytes.n);
      conn->feeding = false;
      if (n < 0) tr_rpc_die_nghttp2(conn, (int)n);
    }
  }
  if (!conn->dead) tr_rpc_return_credit(conn);
  tr_rpc_calls_settle(conn);
  return conn->dead ? report(conn, error) : 0;
}

/* --- out --- */

/* True where the limit ended it. */
static bool pump(tr_rpc_conn *conn, tr_buf *out) {
  while (!conn->dead && out->len < conn->out_goal) {
    const uint8_t *bytes;
    ssize_t n = nghttp2_session_mem_send(conn->session, &bytes);
    if (n < 0) tr_rpc_die_nghttp2(conn, (int)n);
    else if (n > 0 && !tr_buf_append(out, bytes, (size_t)n)) tr_rpc_die_nghttp2(conn, NGHTTP2_ERR_NOMEM);
    else if (n == 0 && out->len < conn->out_goal) return false;
  }
  return !conn->dead;
}

static void tell_writable(tr_rpc_conn *conn) {
  for (tr_link *link; (link = tr_list_pop(&conn->writable)) != NULL;) {
    tr_rpc_call *call = TR_CONTAINER(link, tr_rpc_call, event_link);
    if (conn->options.handlers->writable) conn->options.handlers->writable(conn->options.ud, call);
  }
}

/* The second GOAWAY, once the peer has seen the first or nothing is open. */
static void drain(tr_rpc_conn *conn) {
  if (!conn->drain || conn->last_goaway || conn->dead) return;
  if (!conn->notice_seen && conn->call_count > 0) return;
  const char *text = conn->goaway_text ? conn->goaway_text : "";
  int32_t last = nghttp2_session_get_last_proc_stream_id(conn->session);
  conn->last_goaway = true;
  int rv = nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE, last, conn->farewell, (const uint8_t *)text, strlen(text));
  if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
}

int tr_rpc_output(tr_rpc_conn *conn, tr_buf *out, size_t limit) {
  bool more = false;
  conn->dirty = false;
  tr_rpc_calls_settle(conn);
  drain(conn);
  if (!conn->dead) {
    conn->out = out;
    conn->out_goal = limit < SIZE_MAX - out->len ? out->len + limit : SIZE_MAX;
    more = pump(conn, out);
    conn->out = NULL;
  }
  if (conn->dead && conn->say_farewell) {
    write_farewell(conn, out);
    conn->say_farewell = false;
  }
  tr_rpc_calls_settle(conn);
  tell_writable(conn);
  if (conn->drain && !conn->last_goaway && conn->call_count == 0) more = true;
  if (more) tr_rpc_dirty(conn);
  return out->failed ? TR_EMEMORY : 0;
}

/* --- asked by the user --- */

void tr_rpc_goaway(tr_rpc_conn *conn, uint32_t http2_error, const char *debug) {
  if (conn->drain || conn->dead) return;
  conn->drain = true;
  conn->farewell = http2_error;
  conn->goaway_text = debug ? copy_text(conn->mem, debug) : NULL;
  if (!conn->options.server || http2_error != NGHTTP2_NO_ERROR) {
    conn->notice_seen = true; /* no first GOAWAY: the last one at once */
  } else {
    int rv = nghttp2_submit_shutdown_notice(conn->session);
    if (rv == 0) rv = nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, (const uint8_t *)TR_RPC_DRAIN_PING);
    if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  }
  tr_rpc_dirty(conn);
}

void tr_rpc_ping(tr_rpc_conn *conn, uint64_t payload) {
  uint8_t bytes[8];
  if (conn->dead) return;
  memcpy(bytes, &payload, sizeof bytes);
  int rv = nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, bytes);
  if (nghttp2_is_fatal(rv)) tr_rpc_die_nghttp2(conn, rv);
  tr_rpc_dirty(conn);
}
