/* SPDX-License-Identifier: MIT
 * What conn.c and head.c share. */
#ifndef TR_WEB_INTERNAL_H
#define TR_WEB_INTERNAL_H

#include "web/web.h"

typedef struct tr_web_span { uint32_t at, n; } tr_web_span; /* of `in` */
typedef enum { TR_WEB_HEAD = 0, TR_WEB_BODY, TR_WEB_BUSY, TR_WEB_DONE } tr_web_state;

struct tr_web_conn {
  tr_web_options options;
  tr_web_state state;
  tr_buf in, body, out;
  size_t at;       /* of `in`: behind what has been read of this request */
  size_t scanned;  /* of a head that is not whole: where to look on for its end */
  bool ending;     /* this request is the last */
  bool feeding;    /* tr_web_feed is at work: it goes on to the next request by itself */
  /* of the request that is read */
  bool is_head, old, chunked, expects, has_query; /* old: HTTP/1.0 */
  unsigned trailers;
  uint64_t length;
  tr_web_span method, path, query, names[TR_WEB_HEADERS_MOST], values[TR_WEB_HEADERS_MOST];
  size_t header_count;
};

/* 1: the head is whole and good; 0: more is needed; else a status to refuse it with. */
int tr_web_read_head(tr_web_conn *conn);

#endif
