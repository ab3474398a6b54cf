/* SPDX-License-Identifier: MIT
 * See fetch.h. One request: its address, what is sent, what comes back, where that leads. fetch_loop.c carries them.
 *
 * Redirects are followed here, not by curl: each new address is put to `may` first, goes on with the rest of the time, and gets what is
 * for the old one's eyes (Authorization, Cookie) only where it is the same host, port and scheme. There are no proxies, no .netrc, no
 * cookies and no other protocols than http and https; certificates and names are always checked. */
#include "net/fetch_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- addresses ---- */

/* `url` in its plain form into fetch->url, and its origin; is it one that may be asked? */
static int check_url(tr_fetch *fetch, const char *url, char origin[300], tr_error *error) {
  const tr_curl *curl = &fetch->fetcher->curl;
  CURLU *parsed = curl->url();
  char *scheme = NULL, *host = NULL, *port = NULL, *plain = NULL, where[280] = "";
  int rc = TR_EINVALID;
  bool good = parsed && strlen(url) < TR_FETCH_URL_MOST && !curl->url_set(parsed, CURLUPART_URL, url, 0) && !curl->url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && !curl->url_get(parsed, CURLUPART_HOST, &host, 0) &&
              !curl->url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) && !curl->url_get(parsed, CURLUPART_URL, &plain, 0) &&
              strlen(host) < 256 && strlen(plain) < TR_FETCH_URL_MOST;
  if (good) {
    for (char *c = host; *c; c++) *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    snprintf(where, sizeof where, "%s:%s", host, port);
    snprintf(origin, 300, "%s://%s", scheme, where);
    snprintf(fetch->url, TR_FETCH_URL_MOST, "%s", plain);
    rc = fetch->fetcher->may(fetch->fetcher->ud, where) ? 0
         : tr_error_set(error, TR_EPERMISSION, "scripts may not ask %s here (--allow net=%s grants it)", where, where);
  } else {
    tr_error_set(error, TR_EINVALID, "`%.200s` is no address of http or https", url);
  }
  curl->free(scheme);
  curl->free(host);
  curl->free(port);
  curl->free(plain);
  if (parsed) curl->url_cleanup(parsed);
  return rc;
}

/* ---- one request ---- */

static size_t on_header(char *bytes, size_t size, size_t count, void *ud) {
  tr_fetch *fetch = ud;
  size_t n = size * count, keep = n;
  if (n > 5 && memcmp(bytes, "HTTP/", 5) == 0) { /* of another answer: 100, or what came before */
    tr_buf_clear(&fetch->got_headers);
    return n;
  }
  while (keep && (bytes[keep - 1] == '\r' || bytes[keep - 1] == '\n')) keep--;
  if (!keep) return n;
  if (fetch->got_headers.len + keep + 1 > TR_FETCH_HEADERS_MOST) {
    fetch->too_much = "headers";
    return 0;
  }
  tr_buf_append(&fetch->got_headers, bytes, keep);
  return tr_buf_byte(&fetch->got_headers, '\n') ? n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ud) {
  tr_fetch *fetch = ud;
  size_t n = size * count;
  if (fetch->got.len + n > fetch->most) {
    fetch->too_much = "body";
    return 0;
  }
  return tr_buf_append(&fetch->got, bytes, n) ? n : 0;
}

/* The headers that go to the next address: all but those that are for the last one alone. */
static int drop_private_headers(tr_fetch *fetch) {
  const tr_curl *curl = &fetch->fetcher->curl;
  struct curl_slist *kept = NULL;
  for (const struct curl_slist *at = fetch->headers; at; at = at->next) {
    if (strncasecmp(at->data, "authorization:", 14) == 0 || strncasecmp(at->data, "cookie:", 7) == 0) continue;
    struct curl_slist *more = curl->slist_append(kept, at->data);
    if (!more) {
      curl->slist_free_all(kept);
      return TR_EMEMORY;
    }
    kept = more;
  }
  curl->slist_free_all(fetch->headers);
  fetch->headers = kept;
  return 0;
}

static void set_method(const tr_fetch *fetch) {
  const tr_curl *curl = &fetch->fetcher->curl;
  curl->easy_setopt(fetch->easy, CURLOPT_NOBODY, (long)(strcmp(fetch->method, "HEAD") == 0));
  if (fetch->has_body) {
    curl->easy_setopt(fetch->easy, CURLOPT_POST, 1L);
    curl->easy_setopt(fetch->easy, CURLOPT_POSTFIELDS, fetch->sent.len ? (const char *)fetch->sent.data : "");
    curl->easy_setopt(fetch->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->sent.len);
  } else if (strcmp(fetch->method, "HEAD") != 0) {
    curl->easy_setopt(fetch->easy, CURLOPT_HTTPGET, 1L);
  }
  curl->easy_setopt(fetch->easy, CURLOPT_CUSTOMREQUEST, fetch->method);
}

/* Send it to fetch->url. */
static int send_off(tr_fetch *fetch) {
  const tr_curl *curl = &fetch->fetcher->curl;
  if (uv_now(fetch->fetcher->loop) >= fetch->until) return TR_ETIMEOUT;
  tr_buf_clear(&fetch->got);
  tr_buf_clear(&fetch->got_headers);
  set_method(fetch);
  curl->easy_setopt(fetch->easy, CURLOPT_URL, fetch->url);
  curl->easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
  fetch->added = curl->multi_add_handle(fetch->fetcher->multi, fetch->easy) == CURLM_OK;
  return fetch->added ? 0 : TR_EMEMORY;
}

static void take_off(tr_fetch *fetch) {
  if (fetch->added) fetch->fetcher->curl.multi_remove_handle(fetch->fetcher->multi, fetch->easy);
  fetch->added = false;
}

void tr_fetch_end(tr_fetch *fetch, int code, const char *text) {
  take_off(fetch);
  tr_fetch_get_home(fetch);
  if (code) tr_error_set(&fetch->error, code, "%s", text);
  atomic_store_explicit(&fetch->over, true, memory_order_release);
  if (fetch->done) fetch->done(fetch->ud);
}

void tr_fetch_end_late(tr_fetch *fetch) {
  char text[340];
  snprintf(text, sizeof text, "%s: it took too long (timeout)", fetch->origin);
  tr_fetch_end(fetch, TR_ETIMEOUT, text);
}

/* The method that goes to the next address, as browsers have it. */
static void turn_method(tr_fetch *fetch) {
  bool seen = fetch->status == 303 ? strcmp(fetch->method, "HEAD") != 0 : fetch->status <= 302 && strcmp(fetch->method, "POST") == 0;
  if (!seen) return;
  snprintf(fetch->method, sizeof fetch->method, "GET");
  fetch->has_body = false;
}

static bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

/* Go on to where the answer points: a code; 1: it points nowhere, and is the answer. */
static int follow(tr_fetch *fetch, tr_error *error) {
  char *next = NULL, origin[300];
  fetch->fetcher->curl.easy_getinfo(fetch->easy, CURLINFO_REDIRECT_URL, &next);
  if (!next) return 1;
  char before[300];
  snprintf(before, sizeof before, "%s", fetch->origin);
  int rc = check_url(fetch, next, origin, error); /* `next` is curl's, until the handle is used again */
  if (!rc && strcmp(origin, before) != 0) rc = drop_private_headers(fetch);
  if (rc) return rc;
  memcpy(fetch->origin, origin, sizeof origin);
  turn_method(fetch);
  rc = send_off(fetch);
  return rc ? tr_error_set(error, rc, rc == TR_ETIMEOUT ? "%s: it took too long (timeout)" : "%s: out of memory", fetch->origin) : 0;
}

static void tell_failure(tr_fetch *fetch, CURLcode result) {
  char text[400];
  int code = result == CURLE_OPERATION_TIMEDOUT ? TR_ETIMEOUT : result == CURLE_OUT_OF_MEMORY ? TR_EMEMORY : TR_EUNAVAILABLE;
  if (fetch->too_much) {
    code = TR_ETOO_LARGE;
    snprintf(text, sizeof text, "%s: the answer's %s is larger than %zu bytes", fetch->origin, fetch->too_much,
             fetch->too_much[0] == 'b' ? fetch->most : TR_FETCH_HEADERS_MOST);
  } else if (fetch->got.failed || fetch->got_headers.failed) {
    code = TR_EMEMORY;
    snprintf(text, sizeof text, "out of memory");
  } else {
    snprintf(text, sizeof text, "%s: %s%s", fetch->origin, code == TR_ETIMEOUT ? "it took too long (timeout)" : fetch->fetcher->curl.easy_strerror(result),
             result == CURLE_PEER_FAILED_VERIFICATION ? " (--tls-ca FILE names whom to believe)" : "");
  }
  tr_fetch_end(fetch, code, text);
}

void tr_fetch_take_answer(tr_fetch *fetch, CURLcode result) {
  long status = 0;
  tr_error error;
  tr_error_init(&error);
  take_off(fetch);
  if (result != CURLE_OK) {
    tell_failure(fetch, result);
    return;
  }
  fetch->fetcher->curl.easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
  fetch->status = (int)status;
  if (!is_redirect(fetch->status) || fetch->redirects == 0) {
    tr_fetch_end(fetch, 0, NULL);
    return;
  }
  fetch->redirects--;
  int rc = follow(fetch, &error);
  if (rc < 0) tr_fetch_end(fetch, error.code, error.text);
  else if (rc > 0) tr_fetch_end(fetch, 0, NULL);
}

static void set_options(tr_fetch *fetch, const char *ca) {
  const tr_curl *curl = &fetch->fetcher->curl;
  CURL *easy = fetch->easy;
  curl->easy_setopt(easy, CURLOPT_PRIVATE, (char *)fetch);
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* one that resolves a name need not be waited for */
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl->easy_setopt(easy, CURLOPT_PROXY, ""); /* the environment may name one, but who is asked must be who was granted */
  curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl->easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
  if (ca) curl->easy_setopt(easy, CURLOPT_CAINFO, ca);
  curl->easy_setopt(easy, CURLOPT_USERAGENT, "troupe/" TR_VERSION);
  curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl->easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
  curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl->easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
}

static int take_headers(tr_fetch *fetch, const char *const *headers) {
  for (; headers && *headers; headers++) {
    struct curl_slist *more = fetch->fetcher->curl.slist_append(fetch->headers, *headers);
    if (!more) return TR_EMEMORY;
    fetch->headers = more;
  }
  struct curl_slist *more = fetch->fetcher->curl.slist_append(fetch->headers, "Expect:"); /* no "100 Continue" to wait for */
  if (more) fetch->headers = more;
  return more ? 0 : TR_EMEMORY;
}

int tr_fetch_start(tr_fetcher *fetcher, const tr_fetch_request *request, tr_fetch_done_fn done, void *ud, tr_fetch **out, tr_error *error) {
  if (fetcher->closing) return tr_error_set(error, TR_EUNAVAILABLE, "the runtime is ending");
  if (fetcher->count >= TR_FETCHES_MOST) return tr_error_set(error, TR_EOVERLOADED, "%d requests are under way already, as many as there may be", TR_FETCHES_MOST);
  if (strlen(request->method) >= sizeof ((tr_fetch *)0)->method) return tr_error_set(error, TR_EINVALID, "`%.40s` is no method of HTTP", request->method);
  tr_fetch *fetch = TR_NEW(fetcher->mem, tr_fetch);
  if (!fetch) return tr_error_set(error, TR_EMEMORY, "out of memory");
  fetch->fetcher = fetcher;
  fetch->mem = fetcher->mem;
  fetcher->count++;
  tr_list_push(&fetcher->fetches, &fetch->all);
  tr_buf_init(&fetch->sent, fetcher->mem);
  tr_buf_init(&fetch->got, fetcher->mem);
  tr_buf_init(&fetch->got_headers, fetcher->mem);
  tr_error_init(&fetch->error);
  fetch->done = done;
  fetch->ud = ud;
  fetch->most = request->most;
  fetch->redirects = request->redirects;
  fetch->has_body = request->body.p != NULL;
  uv_update_time(fetcher->loop);
  fetch->until = uv_now(fetcher->loop) + (uint64_t)(request->timeout_us + 999) / 1000;
  snprintf(fetch->method, sizeof fetch->method, "%s", request->method);
  fetch->easy = fetcher->curl.easy_init();
  fetch->url = tr_alloc(fetcher->mem, TR_FETCH_URL_MOST);
  bool room = fetch->easy && fetch->url && tr_buf_slice(&fetch->sent, request->body) && !take_headers(fetch, request->headers);
  int rc = room ? check_url(fetch, request->url, fetch->origin, error) : TR_EMEMORY;
  if (!rc) {
    set_options(fetch, request->ca);
    rc = send_off(fetch);
  }
  if (!rc) {
    tr_fetch_get_under_way(fetch);
    *out = fetch;
    return 0;
  }
  tr_fetch_stop(fetch);
  return tr_error_set(error, rc, rc == TR_ETIMEOUT ? "no time is left for it (timeout)" : "out of memory");
}

int tr_fetch_look(tr_fetch *fetch, tr_fetch_answer *answer, tr_error *error) {
  if (!atomic_load_explicit(&fetch->over, memory_order_acquire)) return 0;
  if (fetch->error.code) return tr_error_set(error, fetch->error.code, "%s", fetch->error.text);
  *answer = (tr_fetch_answer){ fetch->status, tr_buf_view(&fetch->got_headers), tr_buf_view(&fetch->got), fetch->url };
  return 1;
}

void tr_fetch_detach(tr_fetch *fetch) {
  tr_fetcher *fetcher = fetch->fetcher;
  take_off(fetch);
  tr_fetch_get_home(fetch);
  if (fetch->easy) fetcher->curl.easy_cleanup(fetch->easy);
  fetcher->curl.slist_free_all(fetch->headers);
  fetcher->count--;
  tr_link_remove(&fetch->all);
  fetch->fetcher = NULL;
}

void tr_fetch_stop(tr_fetch *fetch) {
  if (fetch->fetcher) tr_fetch_detach(fetch);
  tr_buf_fini(&fetch->sent);
  tr_buf_fini(&fetch->got);
  tr_buf_fini(&fetch->got_headers);
  tr_free(fetch->mem, fetch->url, TR_FETCH_URL_MOST);
  TR_DELETE(fetch->mem, fetch);
}

void tr_fetch_leave(tr_fetch *fetch) { atomic_store(&fetch->left, true); }
