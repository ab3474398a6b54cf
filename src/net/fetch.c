/* SPDX-License-Identifier: MIT
 * See fetch.h. One curl "multi" on one loop: curl says which sockets it wants watched (a poll handle each) and when it wants to be called
 * (one timer), and is told what happened; names are resolved in threads of its own.
 *
 * libcurl is loaded when the first request is made, so that neither the program nor the library needs it else; what is called of it is
 * in `tr_curl`. Its memory is libc's: the allocator it takes is one for the whole process, which is not ours to set.
 *
 * How long a request may take is kept here, with a timer of our own for the earliest that ends: libcurl 7.88 was
 * seen (under valgrind) to forget its time-out of a request that was over before its first step, on a loop that was late, and to set no timer again.
 *
 * Redirects are followed here, not by curl: each new address is put to `may` first, goes on with the rest of the time, and gets what is
 * for the old one's eyes (Authorization, Cookie) only where it is the same host, port and scheme. There are no proxies, no .netrc, no
 * cookies and no other protocols than http and https; certificates and names are always checked. */
#include "net/fetch.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"

#define URL_MOST 8192
#define CONNECTIONS_MOST 64
#define CONNECTIONS_HOST 16

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

typedef struct watched { tr_fetcher *fetcher; uv_poll_t poll; curl_socket_t socket; } watched;

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
  char *url; /* URL_MOST */
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

/* ---- the library ---- */

static int load(tr_curl *curl, tr_error *error) {
  void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); /* never unloaded: it has threads */
  if (!library) library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) return tr_error_set(error, TR_EUNAVAILABLE, "libcurl is not installed here: %s (Debian: apt install libcurl4)", dlerror());
  void *found;
  bool all = true;
#define FIND(type, name, args)              \
  found = dlsym(library, "curl_" #name);    \
  memcpy(&curl->name, &found, sizeof found); \
  all = all && found;
  CURL_FUNCTIONS(FIND)
  if (!all || curl->global_init(CURL_GLOBAL_DEFAULT)) return tr_error_set(error, TR_EUNAVAILABLE, "the libcurl that is installed here is too old");
  return 0;
}

/* ---- on the loop ---- */

static void finish(tr_fetch *fetch, int code, const char *text);
static void take_answer(tr_fetch *fetch, CURLcode result);
static void take_off(tr_fetch *fetch);
static void detach(tr_fetch *fetch);
static void end_late(tr_fetch *fetch);

static void release(tr_fetcher *fetcher) {
  if (--fetcher->handles == 0) TR_DELETE(fetcher->mem, fetcher);
}

/* Those whose sockets could not be watched. */
static void end_starved(tr_fetcher *fetcher) {
  fetcher->starved = false;
  for (tr_link *l = fetcher->fetches.next; l != &fetcher->fetches; l = l->next) {
    tr_fetch *fetch = TR_CONTAINER(l, tr_fetch, all);
    if (!fetch->starved) continue;
    fetch->starved = false;
    take_off(fetch);
    finish(fetch, TR_EMEMORY, "out of memory");
  }
}

/* Which requests have ended. */
static void collect(tr_fetcher *fetcher) {
  int left;
  for (CURLMsg *msg; (msg = fetcher->curl.multi_info_read(fetcher->multi, &left));) {
    char *private;
    if (msg->msg != CURLMSG_DONE) continue;
    CURLcode result = msg->data.result;
    fetcher->curl.easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
    take_answer((tr_fetch *)private, result);
  }
  if (fetcher->starved) end_starved(fetcher);
}

static void act(tr_fetcher *fetcher, curl_socket_t socket, int events) {
  int running;
  fetcher->curl.multi_socket_action(fetcher->multi, socket, events, &running);
  collect(fetcher);
}

static void on_timer(uv_timer_t *timer) { act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

static void on_poll(uv_poll_t *poll, int status, int events) {
  const watched *self = poll->data;
  int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0) | (status < 0 ? CURL_CSELECT_ERR : 0);
  act(self->fetcher, self->socket, flags);
}

static void on_poll_closed(uv_handle_t *handle) {
  watched *self = handle->data;
  tr_fetcher *fetcher = self->fetcher;
  TR_DELETE(fetcher->mem, self);
  release(fetcher);
}

static void on_timer_closed(uv_handle_t *handle) { release(handle->data); }

/* One that is called too early finds nothing to do, and curl does not ask again: the loop's clock is brought up to date, and what it cuts off is added. */
static int set_timer(CURLM *multi, long ms, void *ud) {
  tr_fetcher *fetcher = ud;
  (void)multi;
  if (fetcher->closing) return 0;
  uv_update_time(fetcher->loop);
  if (ms < 0) uv_timer_stop(&fetcher->timer);
  else uv_timer_start(&fetcher->timer, on_timer, ms ? (uint64_t)ms + 1 : 0, 0);
  return 0;
}

/* ---- how long they may take ---- */

static void on_overdue(uv_timer_t *timer);

static void set_overdue(tr_fetcher *fetcher, uint64_t due) {
  uint64_t now = uv_now(fetcher->loop);
  fetcher->due = due;
  uv_timer_start(&fetcher->overdue, on_overdue, due > now ? due - now : 0, 0);
}

static void on_overdue(uv_timer_t *timer) {
  tr_fetcher *fetcher = timer->data;
  uint64_t now = uv_now(fetcher->loop), next = UINT64_MAX;
  for (tr_link *l = fetcher->fetches.next; l != &fetcher->fetches; l = l->next) {
    tr_fetch *fetch = TR_CONTAINER(l, tr_fetch, all);
    if (fetch->under_way && fetch->until <= now) end_late(fetch);
    else if (fetch->under_way && fetch->until < next) next = fetch->until;
  }
  if (next != UINT64_MAX) set_overdue(fetcher, next);
}

static void get_under_way(tr_fetch *fetch) {
  tr_fetcher *fetcher = fetch->fetcher;
  fetch->under_way = true;
  if (fetcher->under_way++ == 0 || fetch->until < fetcher->due) set_overdue(fetcher, fetch->until);
}

/* The last one takes the timer with it: who waits for nothing is not woken. */
static void get_home(tr_fetch *fetch) {
  if (fetch->under_way && --fetch->fetcher->under_way == 0) uv_timer_stop(&fetch->fetcher->overdue);
  fetch->under_way = false;
}

/* ---- its sockets ---- */

static watched *watch(tr_fetcher *fetcher, curl_socket_t socket) {
  watched *self = TR_NEW(fetcher->mem, watched);
  if (!self) return NULL;
  self->fetcher = fetcher;
  self->socket = socket;
  if (uv_poll_init_socket(fetcher->loop, &self->poll, socket)) {
    TR_DELETE(fetcher->mem, self);
    return NULL;
  }
  self->poll.data = self;
  fetcher->handles++;
  return self;
}

/* An error would make curl give up everything; this ends the one request. */
static int starve(tr_fetcher *fetcher, CURL *easy) {
  char *private = NULL;
  fetcher->curl.easy_getinfo(easy, CURLINFO_PRIVATE, &private);
  if (private) ((tr_fetch *)private)->starved = fetcher->starved = true;
  return 0;
}

static int set_socket(CURL *easy, curl_socket_t socket, int what, void *ud, void *of_socket) {
  tr_fetcher *fetcher = ud;
  watched *self = of_socket;
  if (what == CURL_POLL_REMOVE) {
    if (!self) return 0;
    uv_poll_stop(&self->poll);
    uv_close((uv_handle_t *)&self->poll, on_poll_closed);
    fetcher->curl.multi_assign(fetcher->multi, socket, NULL);
    return 0;
  }
  if (!self) {
    self = watch(fetcher, socket);
    if (!self) return starve(fetcher, easy);
    fetcher->curl.multi_assign(fetcher->multi, socket, self);
  }
  int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  return uv_poll_start(&self->poll, events, on_poll) ? starve(fetcher, easy) : 0;
}

int tr_fetcher_new(tr_mem *mem, uv_loop_t *loop, tr_fetch_may_fn may, void *ud, tr_fetcher **out, tr_error *error) {
  tr_fetcher *fetcher = TR_NEW(mem, tr_fetcher);
  if (!fetcher) return tr_error_set(error, TR_EMEMORY, "out of memory");
  int rc = load(&fetcher->curl, error);
  if (!rc && !(fetcher->multi = fetcher->curl.multi_init())) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (rc) {
    TR_DELETE(mem, fetcher);
    return rc;
  }
  fetcher->mem = mem;
  fetcher->loop = loop;
  fetcher->may = may;
  fetcher->ud = ud;
  tr_list_init(&fetcher->fetches);
  uv_timer_init(loop, &fetcher->timer);
  fetcher->timer.data = fetcher;
  uv_timer_init(loop, &fetcher->overdue);
  fetcher->overdue.data = fetcher;
  fetcher->handles = 2;
  const tr_curl *curl = &fetcher->curl;
  curl->multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
  curl->multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
  curl->multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl->multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
  curl->multi_setopt(fetcher->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MOST);
  curl->multi_setopt(fetcher->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_HOST);
  *out = fetcher;
  return 0;
}

void tr_fetcher_close(tr_fetcher *fetcher) {
  if (!fetcher) return;
  fetcher->closing = true;
  while (!tr_list_empty(&fetcher->fetches)) {
    tr_fetch *fetch = TR_CONTAINER(fetcher->fetches.next, tr_fetch, all);
    detach(fetch);
    fetch->done = NULL;
    if (atomic_load(&fetch->left)) tr_fetch_stop(fetch);
    else if (!atomic_load(&fetch->over)) finish(fetch, TR_EUNAVAILABLE, "the runtime is ending");
  }
  fetcher->curl.multi_cleanup(fetcher->multi); /* and with it the connections that were kept */
  uv_timer_stop(&fetcher->timer);
  uv_close((uv_handle_t *)&fetcher->timer, on_timer_closed);
  uv_close((uv_handle_t *)&fetcher->overdue, on_timer_closed);
}

/* ---- addresses ---- */

/* `url` in its plain form into fetch->url, and its origin; is it one that may be asked? */
static int check_url(tr_fetch *fetch, const char *url, char origin[300], tr_error *error) {
  const tr_curl *curl = &fetch->fetcher->curl;
  CURLU *parsed = curl->url();
  char *scheme = NULL, *host = NULL, *port = NULL, *plain = NULL, where[280] = "";
  int rc = TR_EINVALID;
  bool good = parsed && strlen(url) < URL_MOST && !curl->url_set(parsed, CURLUPART_URL, url, 0) && !curl->url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && !curl->url_get(parsed, CURLUPART_HOST, &host, 0) &&
              !curl->url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) && !curl->url_get(parsed, CURLUPART_URL, &plain, 0) &&
              strlen(host) < 256 && strlen(plain) < URL_MOST;
  if (good) {
    for (char *c = host; *c; c++) *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    snprintf(where, sizeof where, "%s:%s", host, port);
    snprintf(origin, 300, "%s://%s", scheme, where);
    snprintf(fetch->url, URL_MOST, "%s", plain);
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

static void finish(tr_fetch *fetch, int code, const char *text) {
  get_home(fetch);
  if (code) tr_error_set(&fetch->error, code, "%s", text);
  atomic_store_explicit(&fetch->over, true, memory_order_release);
  if (fetch->done) fetch->done(fetch->ud);
}

static void end_late(tr_fetch *fetch) {
  char text[340];
  snprintf(text, sizeof text, "%s: it took too long (timeout)", fetch->origin);
  take_off(fetch);
  finish(fetch, TR_ETIMEOUT, text);
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
  finish(fetch, code, text);
}

static void take_answer(tr_fetch *fetch, CURLcode result) {
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
    finish(fetch, 0, NULL);
    return;
  }
  fetch->redirects--;
  int rc = follow(fetch, &error);
  if (rc < 0) finish(fetch, error.code, error.text);
  else if (rc > 0) finish(fetch, 0, NULL);
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
  fetch->url = tr_alloc(fetcher->mem, URL_MOST);
  bool room = fetch->easy && fetch->url && tr_buf_slice(&fetch->sent, request->body) && !take_headers(fetch, request->headers);
  int rc = room ? check_url(fetch, request->url, fetch->origin, error) : TR_EMEMORY;
  if (!rc) {
    set_options(fetch, request->ca);
    rc = send_off(fetch);
  }
  if (!rc) {
    get_under_way(fetch);
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

/* Away from curl and the fetcher: what has come stays. */
static void detach(tr_fetch *fetch) {
  tr_fetcher *fetcher = fetch->fetcher;
  take_off(fetch);
  get_home(fetch);
  if (fetch->easy) fetcher->curl.easy_cleanup(fetch->easy);
  fetcher->curl.slist_free_all(fetch->headers);
  fetcher->count--;
  tr_link_remove(&fetch->all);
  fetch->fetcher = NULL;
}

void tr_fetch_stop(tr_fetch *fetch) {
  if (fetch->fetcher) detach(fetch);
  tr_buf_fini(&fetch->sent);
  tr_buf_fini(&fetch->got);
  tr_buf_fini(&fetch->got_headers);
  tr_free(fetch->mem, fetch->url, URL_MOST);
  TR_DELETE(fetch->mem, fetch);
}

void tr_fetch_leave(tr_fetch *fetch) { atomic_store(&fetch->left, true); }
