/* SPDX-License-Identifier: MIT
 * What fetch.c (one request) and fetch_loop.c (libcurl on the loop) share. */
#ifndef TR_NET_FETCH_INTERNAL_H
#define TR_NET_FETCH_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "base/list.h"
#include "net/fetch.h"

#define TR_FETCH_URL_MOST 8192

/* What is called of libcurl. */
#define CURL_FUNCTIONS(X)                                                                                                       \
  X(CURLcode, global_init, (long))                                                                                              \
  X(CURL *, easy_init, (void)) X(void, easy_cleanup, (CURL *)) X(CURLcode, easy_setopt, (CURL *, CURLoption, ...))             \
  X(CURLcode, easy_getinfo, (CURL *, CURLINFO, ...)) X(const char *, easy_strerror, (CURLcode))                                \
  X(CURLM *, multi_init, (void)) X(CURLMcode, multi_cleanup, (CURLM *)) X(CURLMcode, multi_setopt, (CURLM *, CURLMoption, ...)) \
  X(CURLMcode, multi_add_handle, (CURLM *, CURL *)) X(CURLMcode, multi_remove_handle, (CURLM *, CURL *))                       \
  X(CURLMcode, multi_socket_action, (CURLM *, curl_socket_t, int, int *)) X(CURLMcode, multi_assign, (CURLM *, curl_socket_t, void *)) \
  X(CURLMsg *, multi_info_read, (CURLM *, int *))                                                                              \
  X(struct curl_slist *, slist_append, (struct curl_slist *, const char *)) X(void, slist_free_all, (struct curl_slist *))     \
  X(CURLU *, url, (void)) X(void, url_cleanup, (CURLU *)) X(CURLUcode, url_set, (CURLU *, CURLUPart, const char *, unsigned))  \
  X(CURLUcode, url_get, (const CURLU *, CURLUPart, char **, unsigned)) X(void, free, (void *))
typedef struct tr_curl {
#define DECLARE(type, name, args) type (*name) args;
  CURL_FUNCTIONS(DECLARE)
} tr_curl;

struct tr_fetcher {
  tr_mem *mem;
  uv_loop_t *loop;
  tr_curl curl;
  CURLM *multi;
  uv_timer_t timer, overdue; /* curl's; ours, for the earliest `until` of those under way */
  uint64_t due;              /* when `overdue` is, if under_way is not 0; the loop's clock, ms */
  tr_link fetches;
  size_t count, under_way, handles; /* handles: of libuv that are not closed */
  tr_fetch_may_fn may;
  void *ud;
  bool closing, starved; /* starved: a request is */
};

struct tr_fetch {
  tr_fetcher *fetcher; /* NULL: it has been closed */
  tr_mem *mem;
  tr_link all;
  CURL *easy;
  bool added, starved, under_way;
  struct curl_slist *headers;
  tr_buf sent, got_headers, got; /* sent: the request's body */
  bool has_body;
  char method[16];
  char *url; /* TR_FETCH_URL_MOST bytes */
  char origin[300]; /* scheme://host:port of the last one */
  uint64_t until;   /* of the loop's clock, ms */
  unsigned redirects;
  size_t most;
  int status;
  tr_error error;
  const char *too_much; /* what of the answer was */
  tr_fetch_done_fn done;
  void *ud;
  atomic_bool over, left; /* left: by its owner, when all ended and nobody could be told */
};

/* ---- fetch_loop.c ---- */

void tr_fetch_get_under_way(tr_fetch *fetch); /* its time is watched from here on */
void tr_fetch_get_home(tr_fetch *fetch);      /* no more; may be called of one whose time is not */

/* ---- fetch.c ---- */

void tr_fetch_take_answer(tr_fetch *fetch, CURLcode result); /* curl is done with it: the answer is kept, or it goes on to where that points */
void tr_fetch_end(tr_fetch *fetch, int code, const char *text); /* away from curl, and over with this error; code 0: with what has come */
void tr_fetch_end_late(tr_fetch *fetch);
void tr_fetch_detach(tr_fetch *fetch); /* away from curl and the fetcher: what has come stays */

#endif
