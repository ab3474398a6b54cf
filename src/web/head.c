/* SPDX-License-Identifier: MIT
 * The head of a request: its first line and its headers, into offsets. By the letter of RFC 9112: one space between words, CRLF at
 * the ends of lines, no folded lines, no space before a colon, one Host, one Content-Length, never that and Transfer-Encoding. */
#include <string.h>

#include "web/internal.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool tr_web_name_is(tr_slice name, const char *text) {
  if (strlen(text) != name.n) return false;
  for (size_t i = 0; i < name.n; i++)
    if (lower(name.p[i]) != text[i]) return false;
  return true;
}

static bool is_token(tr_slice text) {
  for (size_t i = 0; i < text.n; i++)
    if (text.p[i] <= ' ' || text.p[i] >= 127 || strchr("()<>@,;:\\\"/[]?={}", text.p[i])) return false;
  return text.n > 0;
}

static bool is_value(tr_slice text) {
  for (size_t i = 0; i < text.n; i++)
    if (((unsigned char)text.p[i] < ' ' && text.p[i] != '\t') || text.p[i] == 127) return false;
  return true;
}

bool tr_web_header_fits(tr_slice name, tr_slice value) {
  return is_token(name) && is_value(value) && !tr_web_name_is(name, "content-length") && !tr_web_name_is(name, "transfer-encoding") &&
         !tr_web_name_is(name, "connection");
}

static tr_slice trim(tr_slice text) {
  while (text.n && (text.p[0] == ' ' || text.p[0] == '\t')) text = tr_slice_make(text.p + 1, text.n - 1);
  while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t')) text.n--;
  return text;
}

static tr_web_span span_of(const tr_web_conn *conn, tr_slice text) {
  return (tr_web_span){ text.n ? (uint32_t)(text.p - (const char *)conn->in.data) : 0, (uint32_t)text.n };
}

/* METHOD SP /path?query SP HTTP/1.x */
static int read_first(tr_web_conn *conn, tr_slice line) {
  const char *space = memchr(line.p, ' ', line.n);
  if (!space) return 400;
  tr_slice method = { line.p, (size_t)(space - line.p) }, rest = { space + 1, line.n - method.n - 1 };
  space = memchr(rest.p, ' ', rest.n);
  if (!space || !is_token(method)) return 400;
  tr_slice target = { rest.p, (size_t)(space - rest.p) }, version = { space + 1, rest.n - target.n - 1 };
  if (tr_slice_is(version, "HTTP/1.0")) conn->old = conn->ending = true;
  else if (!tr_slice_is(version, "HTTP/1.1")) return 400;
  if (target.n == 0 || target.p[0] != '/') return 400;
  for (size_t i = 0; i < target.n; i++)
    if (target.p[i] <= ' ' || target.p[i] >= 127) return 400;
  const char *mark = memchr(target.p, '?', target.n);
  conn->has_query = mark != NULL;
  if (mark) conn->query = span_of(conn, tr_slice_make(mark + 1, target.n - (size_t)(mark + 1 - target.p)));
  if (mark) target.n = (size_t)(mark - target.p);
  conn->method = span_of(conn, method);
  conn->path = span_of(conn, target);
  conn->is_head = tr_slice_is(method, "HEAD");
  return 1;
}

static bool read_length(tr_slice value, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < value.n; i++) {
    if (value.p[i] < '0' || value.p[i] > '9') return false;
    *out = *out * 10 + (uint64_t)(value.p[i] - '0');
  }
  return value.n > 0 && value.n < 19;
}

typedef struct seen { bool host, length, coding; } seen;

/* What a header says about the request itself. */
static int heed(tr_web_conn *conn, seen *once, tr_slice name, tr_slice value) {
  if (tr_web_name_is(name, "host")) {
    if (once->host) return 400;
    once->host = true;
  } else if (tr_web_name_is(name, "content-length")) {
    if (once->length || !read_length(value, &conn->length)) return 400;
    once->length = true;
  } else if (tr_web_name_is(name, "transfer-encoding")) {
    if (once->coding || conn->old) return 400;
    if (!tr_web_name_is(value, "chunked")) return 501;
    once->coding = conn->chunked = true;
  } else if (tr_web_name_is(name, "connection")) {
    if (tr_web_name_is(value, "close")) conn->ending = true;
    if (conn->old && tr_web_name_is(value, "keep-alive")) conn->ending = false;
  } else if (tr_web_name_is(name, "expect")) {
    conn->expects = !conn->old && tr_web_name_is(value, "100-continue");
  }
  return 1;
}

static int read_header(tr_web_conn *conn, seen *once, tr_slice line) {
  const char *colon = memchr(line.p, ':', line.n);
  if (!colon) return 400;
  tr_slice name = { line.p, (size_t)(colon - line.p) }, value = trim(tr_slice_make(colon + 1, line.n - name.n - 1));
  if (!is_token(name) || !is_value(value)) return 400;
  if (conn->header_count == TR_WEB_HEADERS_MOST) return 431;
  conn->names[conn->header_count] = span_of(conn, name);
  conn->values[conn->header_count++] = span_of(conn, value);
  return heed(conn, once, name, value);
}

/* Where the head ends; 0: it is not whole. */
static size_t find_end(tr_web_conn *conn) {
  const char *text = (const char *)conn->in.data;
  for (size_t i = conn->scanned; i + 4 <= conn->in.len; i++)
    if (text[i] == '\r' && memcmp(text + i, "\r\n\r\n", 4) == 0) return i + 4;
  conn->scanned = conn->in.len < 3 ? 0 : conn->in.len - 3;
  return 0;
}

int tr_web_read_head(tr_web_conn *conn) {
  while (conn->at == 0 && conn->in.len >= 2 && memcmp(conn->in.data, "\r\n", 2) == 0) tr_buf_consume(&conn->in, 2); /* after a body, as some send */
  size_t end = find_end(conn);
  if (!end) return conn->in.len > TR_WEB_HEAD_MOST ? 431 : 0;
  if (end > TR_WEB_HEAD_MOST) return 431;
  seen once = { false, false, false };
  conn->header_count = conn->trailers = 0;
  conn->length = 0;
  conn->old = conn->chunked = conn->expects = false;
  conn->query = (tr_web_span){ 0, 0 };
  int rc = 1;
  for (size_t at = 0; rc == 1 && at < end - 2;) {
    const char *line = (const char *)conn->in.data + at, *stop = memchr(line, '\r', end - at);
    size_t n = (size_t)(stop - line);
    if (stop[1] != '\n') return 400;
    rc = at == 0 ? read_first(conn, tr_slice_make(line, n)) : read_header(conn, &once, tr_slice_make(line, n));
    at += n + 2;
  }
  if (rc != 1) return rc;
  if ((!once.host && !conn->old) || (once.length && once.coding)) return 400;
  conn->at = end;
  return 1;
}
