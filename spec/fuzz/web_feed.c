/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as what an HTTP client sends, at once and byte by byte: the same requests come of both, and memory is given back. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "web/web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct seen { tr_web_conn *conn; uint64_t sum; size_t count; } seen;

static void add(seen *s, tr_slice text) {
  for (size_t i = 0; i < text.n; i++) s->sum = s->sum * 31 + (unsigned char)text.p[i];
  s->sum = s->sum * 31 + 1000;
}

static void on_request(void *ud, const tr_web_request *request) {
  seen *s = ud;
  s->count++;
  if (request->method.n == 0 || request->path.n == 0 || request->path.p[0] != '/' || request->body.n > 1000) abort();
  add(s, request->method);
  add(s, request->path);
  add(s, request->query);
  add(s, request->body);
  for (size_t i = 0; i < request->header_count; i++) {
    if (memchr(request->headers[i].value.p ? request->headers[i].value.p : "", '\n', request->headers[i].value.n)) abort();
    add(s, request->headers[i].name);
    add(s, request->headers[i].value);
  }
  tr_web_answer(s->conn, 200, (tr_slice){ NULL, 0 }, TR_SLICE_LITERAL("ok"));
}

static seen run(tr_mem *mem, const uint8_t *data, size_t size, size_t step) {
  seen s = { NULL, 0, 0 };
  tr_web_options options = { .mem = mem, .body_most = 1000, .request = on_request, .ud = &s };
  s.conn = tr_web_conn_new(&options);
  for (size_t at = 0; at < size; at += step)
    if (tr_web_feed(s.conn, tr_slice_make(data + at, size - at < step ? size - at : step)) < 0) break;
  tr_web_conn_free(s.conn);
  return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_mem_init(&mem);
  if (size > 8000) size = 8000; /* more at once may be refused as a whole */
  seen whole = run(&mem, data, size, size ? size : 1), bytes = run(&mem, data, size, 1);
  if (whole.count != bytes.count || whole.sum != bytes.sum || mem.used) abort();
  return 0;
}
