/* SPDX-License-Identifier: MIT
 * HTTP requests to elsewhere, by libcurl on libuv's loop: many at a time, none blocks.
 *
 * Who may be asked is the caller's to say, of the first address as of every one that a redirect leads to. */
#ifndef TR_NET_FETCH_H
#define TR_NET_FETCH_H

#include <stdbool.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"

#define TR_FETCHES_MOST 64          /* at a time */
#define TR_FETCH_HEADERS_MOST 65536 /* bytes of an answer's */

typedef struct tr_fetcher tr_fetcher;
typedef struct tr_fetch tr_fetch;

typedef struct tr_fetch_request { /* borrowed until tr_fetch_start returns */
  const char *method, *url;
  const char *const *headers;     /* "Name: value", then NULL */
  tr_slice body;                  /* p NULL: none */
  int64_t timeout_us;             /* for all of it, redirects too */
  size_t most;                    /* bytes of the answer's body */
  unsigned redirects;             /* to follow at most; 0: they are answers */
  const char *ca;                 /* a file of certificates to believe; NULL: the system's */
} tr_fetch_request;

typedef struct tr_fetch_answer {
  int status;
  tr_slice headers;               /* "Name: value\n…" of the last answer */
  tr_slice body;
  const char *url;                /* where it came from */
} tr_fetch_answer;

/* "host:port" (lower case; an IPv6 address in brackets) may be asked? */
typedef bool (*tr_fetch_may_fn)(void *ud, const char *where);
typedef void (*tr_fetch_done_fn)(void *ud);

/* The library is loaded here. err: TR_EUNAVAILABLE where it is not there, TR_EMEMORY. */
int tr_fetcher_new(tr_mem *mem, uv_loop_t *loop, tr_fetch_may_fn may, void *ud, tr_fetcher **out, tr_error *error);
/* All requests end with TR_EUNAVAILABLE, and are still to be stopped; it is freed by the loop, which has to run until it has no more handles. */
void tr_fetcher_close(tr_fetcher *fetcher);

/* err: TR_EINVALID (the address is none, or no http), TR_EPERMISSION naming the right, TR_EOVERLOADED, TR_EMEMORY. done (may be NULL) is called from
 * the loop when tr_fetch_look has something to say. */
int tr_fetch_start(tr_fetcher *fetcher, const tr_fetch_request *request, tr_fetch_done_fn done, void *ud, tr_fetch **out, tr_error *error);
/* 1: it is there, and lives as long as the fetch; 0: not yet; negative: it failed. thr: any. err: TR_ETIMEOUT, TR_EUNAVAILABLE (no connection, no
 * certificate that is believed, …), TR_ETOO_LARGE, TR_EPERMISSION (a redirect), TR_EINVALID. */
int tr_fetch_look(tr_fetch *fetch, tr_fetch_answer *answer, tr_error *error);
void tr_fetch_stop(tr_fetch *fetch);  /* in any case, once */
void tr_fetch_leave(tr_fetch *fetch); /* instead, where its thread cannot be asked any more: tr_fetcher_close does it. thr: any */

#endif
