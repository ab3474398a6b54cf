/* SPDX-License-Identifier: MIT
 * See web.h. What has come lies in `in` until a request is whole; its head is read once, as offsets, since the buffer moves when it grows.
 * A chunked body is put together in `body` as it comes. While an answer is due nothing is looked at, and only so much is taken in. Next: head.c.
 *
 * Why not a library: Debian 12 has http-parser, which its authors have given up, and a server of whole requests needs little of one. */
#include "web/internal.h"

#include <stdio.h>
#include <string.h>

tr_web_conn *tr_web_conn_new(const tr_web_options *options) {
  tr_web_conn *conn = TR_NEW(options->mem, tr_web_conn);
  if (!conn) return NULL;
  conn->options = *options;
  tr_buf_init(&conn->in, options->mem);
  tr_buf_init(&conn->body, options->mem);
  tr_buf_init(&conn->out, options->mem);
  return conn;
}

void tr_web_conn_free(tr_web_conn *conn) {
  if (!conn) return;
  tr_buf_fini(&conn->in);
  tr_buf_fini(&conn->body);
  tr_buf_fini(&conn->out);
  TR_DELETE(conn->options.mem, conn);
}

/* ---- answers ---- */

static const char *reason_of(int status) {
  switch (status) {
  case 200: return "OK";
  case 201: return "Created";
  case 202: return "Accepted";
  case 204: return "No Content";
  case 400: return "Bad Request";
  case 401: return "Unauthorized";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 405: return "Method Not Allowed";
  case 408: return "Request Timeout";
  case 411: return "Length Required";
  case 413: return "Content Too Large";
  case 415: return "Unsupported Media Type";
  case 431: return "Request Header Fields Too Large";
  case 500: return "Internal Server Error";
  case 501: return "Not Implemented";
  case 503: return "Service Unavailable";
  case 504: return "Gateway Timeout";
  default: return status < 300 ? "OK" : status < 400 ? "See Other" : "Error";
  }
}

static void write_answer(tr_web_conn *conn, int status, tr_slice headers, tr_slice body) {
  bool bare = status == 204 || status == 304;
  size_t before = conn->out.len;
  tr_buf_printf(&conn->out, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
  tr_buf_slice(&conn->out, headers);
  if (!bare) tr_buf_printf(&conn->out, "Content-Length: %zu\r\n", body.n);
  tr_buf_text(&conn->out, conn->ending ? "Connection: close\r\n\r\n" : conn->old ? "Connection: keep-alive\r\n\r\n" : "\r\n");
  if (!bare && !conn->is_head) tr_buf_slice(&conn->out, body);
  if (!conn->out.failed) return;
  conn->out.len = before; /* no part of an answer: a short one, if there is room for that, and the end */
  conn->out.failed = false;
  conn->ending = true;
  tr_buf_text(&conn->out, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  if (conn->out.failed) conn->out.len = before;
}

/* What cannot be understood, or will not be waited for: the last answer. */
static int refuse(tr_web_conn *conn, int status) {
  conn->ending = true;
  conn->is_head = false;
  conn->state = TR_WEB_DONE;
  write_answer(conn, status, (tr_slice){ NULL, 0 }, (tr_slice){ NULL, 0 });
  return -1;
}

/* ---- bodies ---- */

/* A line of `in` from `at`, without its end: 1; 0: not there yet; -1: none, or longer than may be. */
static int line_at(const tr_web_conn *conn, size_t at, size_t most, tr_slice *line) {
  const char *from = (const char *)conn->in.data + at;
  size_t left = conn->in.len - at;
  const char *end = left ? memchr(from, '\n', left) : NULL;
  if (!end) return left > most ? -1 : 0;
  *line = tr_slice_make(from, (size_t)(end - from));
  if (line->n == 0 || line->n > most || line->p[line->n - 1] != '\r') return -1;
  line->n--;
  return 1;
}

static bool chunk_size(tr_slice line, size_t *out) {
  size_t value = 0, i = 0;
  for (; i < line.n; i++) {
    char c = line.p[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) break;
    if (i == 8) return false;
    value = value * 16 + (size_t)digit;
  }
  *out = value;
  for (size_t j = i; j < line.n; j++)
    if ((line.p[j] < ' ' && line.p[j] != '\t') || line.p[j] == 127) return false;
  return i > 0 && (i == line.n || line.p[i] == ';' || line.p[i] == ' ' || line.p[i] == '\t');
}

/* 1: all of it is in `body`; 0: not yet; else a status to refuse it with. */
static int take_chunks(tr_web_conn *conn) {
  tr_slice line;
  size_t size;
  for (;;) {
    int rc = line_at(conn, conn->at, 300, &line);
    if (rc <= 0) return rc ? 400 : 0;
    size_t next = conn->at + line.n + 2;
    if (conn->trailers) {
      conn->at = next;
      if (line.n == 0) return 1;
      if (++conn->trailers > TR_WEB_HEADERS_MOST) return 431;
      continue;
    }
    if (!chunk_size(line, &size)) return 400;
    if (size > conn->options.body_most - conn->body.len) return 413;
    if (size == 0) {
      conn->trailers = 1;
      conn->at = next;
      continue;
    }
    if (conn->in.len - next < size + 2) return 0;
    if (memcmp(conn->in.data + next + size, "\r\n", 2) != 0) return 400;
    if (!tr_buf_append(&conn->body, conn->in.data + next, size)) return 503;
    conn->at = next + size + 2;
  }
}

/* ---- requests ---- */

static tr_slice slice_of(const tr_web_conn *conn, tr_web_span span) { return tr_slice_make(conn->in.data + span.at, span.n); }

static void hand_on(tr_web_conn *conn, tr_slice body) {
  tr_web_header headers[TR_WEB_HEADERS_MOST];
  for (size_t i = 0; i < conn->header_count; i++)
    headers[i] = (tr_web_header){ slice_of(conn, conn->names[i]), slice_of(conn, conn->values[i]) };
  tr_web_request request = { .method = slice_of(conn, conn->method), .path = slice_of(conn, conn->path), .body = body, .headers = headers,
                             .header_count = conn->header_count };
  if (conn->query.n || conn->has_query) request.query = slice_of(conn, conn->query);
  conn->state = TR_WEB_BUSY;
  conn->options.request(conn->options.ud, &request);
}

/* 1: a request was handed on; 0: more is needed; negative: refused. */
static int advance(tr_web_conn *conn) {
  int rc;
  if (conn->state == TR_WEB_HEAD) {
    rc = tr_web_read_head(conn);
    if (rc <= 0) return 0;
    if (rc > 1) return refuse(conn, rc);
    conn->state = TR_WEB_BODY;
    if (!conn->chunked && conn->length > conn->options.body_most) return refuse(conn, 413);
    if (conn->expects) tr_buf_text(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (conn->chunked) {
    rc = take_chunks(conn);
    if (rc > 1) return refuse(conn, rc);
    if (rc == 1) hand_on(conn, tr_buf_view(&conn->body));
    return rc;
  }
  if (conn->in.len - conn->at < conn->length) return 0;
  conn->at += (size_t)conn->length;
  hand_on(conn, tr_slice_make(conn->in.data + conn->at - conn->length, (size_t)conn->length));
  return 1;
}

/* What may lie here: a request, and as much of the next. Small chunks weigh more than what is in them. */
static size_t in_most(const tr_web_conn *conn) { return 4 * TR_WEB_HEAD_MOST + 3 * conn->options.body_most; }

int tr_web_feed(tr_web_conn *conn, tr_slice bytes) {
  if (conn->state == TR_WEB_DONE) return -1;
  if (conn->in.len + bytes.n > in_most(conn)) return refuse(conn, 413);
  if (!tr_buf_slice(&conn->in, bytes)) return refuse(conn, 503);
  int rc = 1;
  conn->feeding = true;
  while (rc > 0 && conn->state != TR_WEB_BUSY && conn->state != TR_WEB_DONE) rc = advance(conn);
  conn->feeding = false;
  return conn->state == TR_WEB_DONE ? -1 : 0;
}

int tr_web_answer(tr_web_conn *conn, int status, tr_slice headers, tr_slice body) {
  if (conn->state != TR_WEB_BUSY) return 0;
  write_answer(conn, status, headers, body);
  tr_buf_consume(&conn->in, conn->at);
  tr_buf_clear(&conn->body);
  conn->at = conn->scanned = 0;
  conn->state = conn->ending || conn->out.failed ? TR_WEB_DONE : TR_WEB_HEAD;
  if (conn->out.failed) return TR_EMEMORY;
  if (conn->state == TR_WEB_HEAD && conn->in.len && !conn->feeding) tr_web_feed(conn, (tr_slice){ NULL, 0 });
  return 0;
}

int tr_web_output(tr_web_conn *conn, tr_buf *out, size_t limit) {
  size_t n = conn->out.len < limit ? conn->out.len : limit;
  tr_buf_append(out, conn->out.data, n);
  tr_buf_consume(&conn->out, n);
  return 0;
}

bool tr_web_finished(const tr_web_conn *conn) { return conn->state == TR_WEB_DONE && conn->out.len == 0; }
bool tr_web_is_busy(const tr_web_conn *conn) { return conn->state == TR_WEB_BUSY; }
bool tr_web_has_begun(const tr_web_conn *conn) { return conn->state == TR_WEB_BODY || (conn->state == TR_WEB_HEAD && conn->in.len > 0); }

void tr_web_expire(tr_web_conn *conn) {
  if (tr_web_has_begun(conn)) refuse(conn, 408);
  else if (conn->state != TR_WEB_BUSY) conn->state = TR_WEB_DONE;
}

void tr_web_close(tr_web_conn *conn) {
  conn->ending = true;
  if (conn->state != TR_WEB_BUSY) conn->state = TR_WEB_DONE;
}
