/* SPDX-License-Identifier: MIT
 * HTTP/1.1, the server's end of one connection, sans-I/O: bytes in, requests out, answers in, bytes out.
 *
 * For webhooks: whole requests and whole answers, one after the other. It is strict where two readers of the same bytes might see two different
 * requests (RFC 9112, sections 5 and 6): such a connection is answered 400 and closed. */
#ifndef TR_WEB_WEB_H
#define TR_WEB_WEB_H

#include "base/buf.h"
#include "base/error.h"

#define TR_WEB_HEAD_MOST 16384
#define TR_WEB_HEADERS_MOST 100

typedef struct tr_web_conn tr_web_conn;
typedef struct tr_web_header { tr_slice name, value; } tr_web_header;
typedef struct tr_web_request { /* borrowed while the callback runs */
  tr_slice method, path, query, body; /* query: behind the question mark; p NULL: there was none */
  const tr_web_header *headers;
  size_t header_count;
} tr_web_request;

typedef struct tr_web_options {
  tr_mem *mem;
  size_t body_most;
  /* Once a request; then tr_web_answer, there or later: until then the next one waits. */
  void (*request)(void *ud, const tr_web_request *request);
  void *ud;
} tr_web_options;

tr_web_conn *tr_web_conn_new(const tr_web_options *options); /* NULL: out of memory */
void tr_web_conn_free(tr_web_conn *conn);
/* Negative: give what tr_web_output has, then close. */
int tr_web_feed(tr_web_conn *conn, tr_slice bytes);
int tr_web_output(tr_web_conn *conn, tr_buf *out, size_t limit);
bool tr_web_finished(const tr_web_conn *conn); /* all is said, and it is to be closed */
/* The answer to the request that waits; `headers` as they go onto the wire ("Name: value\r\n…", checked by tr_web_header_fits), without those that
 * say how long it is. A request that was sent meanwhile is looked at. err: TR_EMEMORY: the connection ends. */
int tr_web_answer(tr_web_conn *conn, int status, tr_slice headers, tr_slice body);
/* Its time is over: 408 if a request has begun, and the end. */
void tr_web_expire(tr_web_conn *conn);
void tr_web_close(tr_web_conn *conn); /* after the answer that is due, or now */
bool tr_web_is_busy(const tr_web_conn *conn);  /* an answer is due */
bool tr_web_has_begun(const tr_web_conn *conn); /* a part of a request is here */
/* May this line go into an answer? Not those that the connection writes itself. */
bool tr_web_header_fits(tr_slice name, tr_slice value);
bool tr_web_name_is(tr_slice name, const char *lower); /* whatever its case */

#endif
