/* SPDX-License-Identifier: MIT
 * HTTP/1.1 of a server: requests however they are cut, what is refused, answers, and memory that runs out. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "web/web.h"

typedef struct seen { tr_web_conn *conn; char text[4000]; size_t n, count; bool later; } seen;

static void note(void *ud, const tr_web_request *request) {
  seen *s = ud;
  s->count++;
  s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "%.*s %.*s %s%.*s [%.*s]", TR_SLICE_ARG(request->method), TR_SLICE_ARG(request->path),
                           request->query.p ? "?" : "", TR_SLICE_ARG(request->query), TR_SLICE_ARG(request->body));
  for (size_t i = 0; i < request->header_count; i++)
    s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, " %.*s=%.*s", TR_SLICE_ARG(request->headers[i].name), TR_SLICE_ARG(request->headers[i].value));
  s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "\n");
  if (!s->later) tr_web_answer(s->conn, 200, (tr_slice){ NULL, 0 }, TR_SLICE_LITERAL("ok"));
}

static void open_conn(seen *s) {
  tr_web_options options = { .mem = check_mem(), .body_most = 100, .request = note, .ud = s };
  memset(s, 0, sizeof *s);
  s->conn = tr_web_conn_new(&options);
}

/* All that it says now; freed with the case's memory by the caller. */
static tr_buf said(seen *s) {
  tr_buf out;
  tr_buf_init(&out, check_mem());
  tr_web_output(s->conn, &out, 100000);
  tr_buf_byte(&out, 0);
  return out;
}

static const char three[] =
  "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
  "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
  "\r\nGET / HTTP/1.1\r\nhost:\t x \r\nConnection: close\r\n\r\n";
static const char three_read[] = "POST /a ?b [hello] Host=x Content-Length=5\nPOST /c  [abcde] Host=x Transfer-Encoding=chunked\nGET /  [] host=x Connection=close\n";

CHECK_CASE(requests_are_the_same_however_they_are_cut) {
  size_t n = sizeof three - 1;
  for (size_t cut = 0; cut <= n + 1; cut++) {
    seen s;
    open_conn(&s);
    if (cut > n) /* byte by byte */
      for (size_t i = 0; i < n; i++) tr_web_feed(s.conn, tr_slice_make(three + i, 1));
    else if (tr_web_feed(s.conn, tr_slice_make(three, cut)) == 0) tr_web_feed(s.conn, tr_slice_make(three + cut, n - cut));
    CHECK_STR(s.text, three_read);
    tr_buf out = said(&s);
    CHECK(strstr((char *)out.data, "Connection: close\r\n\r\nok") != NULL);
    CHECK(tr_web_finished(s.conn));
    tr_buf_fini(&out);
    tr_web_conn_free(s.conn);
  }
}

CHECK_CASE(one_answer_at_a_time_and_in_order) {
  seen s;
  open_conn(&s);
  s.later = true;
  tr_web_feed(s.conn, tr_slice_make(three, sizeof three - 1));
  CHECK_INT(s.count, ==, 1);
  CHECK(tr_web_is_busy(s.conn) && !tr_web_has_begun(s.conn));
  tr_web_answer(s.conn, 201, TR_SLICE_LITERAL("A: b\r\n"), TR_SLICE_LITERAL("1"));
  CHECK_INT(s.count, ==, 2);
  tr_web_answer(s.conn, 204, (tr_slice){ NULL, 0 }, TR_SLICE_LITERAL("not sent"));
  tr_web_close(s.conn);
  CHECK(!tr_web_finished(s.conn));
  tr_web_answer(s.conn, 777, (tr_slice){ NULL, 0 }, (tr_slice){ NULL, 0 });
  tr_web_answer(s.conn, 200, (tr_slice){ NULL, 0 }, TR_SLICE_LITERAL("to nothing"));
  tr_buf out = said(&s);
  CHECK_STR((char *)out.data, "HTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 204 No Content\r\n\r\n"
                              "HTTP/1.1 777 Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  CHECK(tr_web_finished(s.conn));
  CHECK_INT(tr_web_feed(s.conn, TR_SLICE_LITERAL("GET / HTTP/1.0\r\n\r\n")), <, 0);
  CHECK_INT(s.count, ==, 3);
  tr_buf_fini(&out);
  tr_web_conn_free(s.conn);
}

static void check_refused(const char *text, const char *status) {
  seen s;
  open_conn(&s);
  CHECK_INT(tr_web_feed(s.conn, tr_slice_of(text)), <, 0);
  tr_buf out = said(&s);
  if (strncmp((char *)out.data + 9, status, 3) != 0 || s.count) CHECK_FAIL("%s: %s", text, out.data);
  CHECK(tr_web_finished(s.conn));
  tr_buf_fini(&out);
  tr_web_conn_free(s.conn);
}

CHECK_CASE(what_could_be_read_in_two_ways_is_refused) {
  static const char *const heads[][2] = {
    { "GET / HTTP/1.1\r\n\r\n", "400" }, { " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400" }, { "GET /\r\nHost: a\r\n\r\n", "400" }, { "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
    { "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400" }, { "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400" }, { "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "400" },
    { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400" }, { "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", "400" }, { "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400" },
    { "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", "400" }, { "GET / HTTP/1.1\r\nHost: a\r\nA: b\r c\r\n\r\n", "400" }, { "GET / HTTP/1.1\r\nHost: a\r\nA: b\nC: d\r\n\r\n", "400" },
    { "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", "400" }, { "P / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "400" },
    { "P / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "400" }, { "P / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "400" },
    { "P / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "400" }, { "P / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n", "413" },
    { "P / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400" }, { "P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "501" },
    { "P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400" },
    { "P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "400" },
  };
  static const char *const chunks[][2] = {
    { "x\r\n", "400" }, { "\r\n", "400" }, { "-1\r\n", "400" }, { "0x1\r\n", "400" }, { "1\n", "400" }, { "1 \x01\r\n", "400" }, { "000000001\r\n", "400" },
    { "ffffffff\r\n", "413" }, { "65\r\n", "413" }, { "1\r\nab\r\n", "400" }, { "1\r\na\n\n", "400" },
  };
  char text[400];
  for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) check_refused(heads[i][0], heads[i][1]);
  for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
    snprintf(text, sizeof text, "P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", chunks[i][0]);
    check_refused(text, chunks[i][1]);
  }
}

CHECK_CASE(what_is_kept_of_a_connection_is_bounded) {
  seen s;
  char block[1000];
  memset(block, 'x', sizeof block);
  for (int with = 0; with < 3; with++) { /* a head without an end; many headers; many small chunks */
    int rc = 0;
    open_conn(&s);
    tr_web_feed(s.conn, tr_slice_of(with == 2 ? "P / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" : "GET / HTTP/1.1\r\nHost: a\r\n"));
    for (int i = 0; i < 200 && rc == 0; i++)
      rc = tr_web_feed(s.conn, with == 0 ? tr_slice_make(block, sizeof block) : tr_slice_of(with == 1 ? "A: b\r\n" : "1\r\nx\r\n"));
    if (rc == 0) rc = tr_web_feed(s.conn, TR_SLICE_LITERAL("\r\n"));
    tr_buf out = said(&s);
    if (rc == 0 || strncmp((char *)out.data + 9, with == 2 ? "413" : "431", 3) != 0) CHECK_FAIL("%d: %s", with, out.data);
    tr_buf_fini(&out);
    tr_web_conn_free(s.conn);
  }
  open_conn(&s);
  s.later = true; /* nobody answers, and it goes on and on */
  int rc = tr_web_feed(s.conn, TR_SLICE_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (int i = 0; i < 200 && rc == 0; i++) rc = tr_web_feed(s.conn, tr_slice_make(block, sizeof block));
  CHECK_INT(rc, <, 0);
  tr_web_conn_free(s.conn);
}

CHECK_CASE(time_that_is_over_ends_it) {
  seen s;
  open_conn(&s);
  tr_web_expire(s.conn);
  CHECK(tr_web_finished(s.conn));
  tr_web_conn_free(s.conn);
  open_conn(&s);
  tr_web_feed(s.conn, TR_SLICE_LITERAL("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
  CHECK(tr_web_has_begun(s.conn));
  tr_web_expire(s.conn);
  tr_buf out = said(&s);
  CHECK_STR((char *)out.data, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  tr_buf_fini(&out);
  tr_web_conn_free(s.conn);
}

CHECK_CASE(headers_of_answers_are_checked) {
  CHECK(tr_web_header_fits(TR_SLICE_LITERAL("X-A"), TR_SLICE_LITERAL("b c\td")));
  CHECK(!tr_web_header_fits(TR_SLICE_LITERAL("X A"), TR_SLICE_LITERAL("b")));
  CHECK(!tr_web_header_fits(TR_SLICE_LITERAL(""), TR_SLICE_LITERAL("b")));
  CHECK(!tr_web_header_fits(TR_SLICE_LITERAL("A"), TR_SLICE_LITERAL("b\r\nC: d")));
  CHECK(!tr_web_header_fits(TR_SLICE_LITERAL("CONNECTION"), TR_SLICE_LITERAL("b")));
  CHECK(!tr_web_header_fits(TR_SLICE_LITERAL("content-length"), TR_SLICE_LITERAL("1")));
}

CHECK_CASE(requests_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    seen s;
    open_conn(&s);
    if (s.conn) {
      for (size_t i = 0; i < sizeof three - 1; i += 7) tr_web_feed(s.conn, tr_slice_make(three + i, i + 7 < sizeof three ? 7 : sizeof three - 1 - i));
      if (!check_mem_refused()) CHECK_INT(s.count, ==, 3);
      tr_web_conn_free(s.conn);
    }
  }
}
