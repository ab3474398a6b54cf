/* SPDX-License-Identifier: MIT
 * libcurl on the loop. One curl "multi" on one loop: curl says which sockets it wants watched (a poll handle each) and when it wants to be called
 * (one timer), and is told what happened; names are resolved in threads of its own.
 *
 * libcurl is loaded when the first request is made, so that neither the program nor the library needs it else; what is called of it is
 * in `tr_curl`. Its memory is libc's: the allocator it takes is one for the whole process, which is not ours to set.
 *
 * How long a request may take is kept here, with a timer of our own for the earliest that ends: libcurl 7.88 was seen (under valgrind) to
 * forget its time-out of a request that was over before its first step, on a loop that was late, and to set no timer again. */
#include "net/fetch_internal.h"

#include <dlfcn.h>
#include <string.h>

#define CONNECTIONS_MOST 64
#define CONNECTIONS_HOST 16

typedef struct watched { tr_fetcher *fetcher; uv_poll_t poll; curl_socket_t socket; } watched;

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
    tr_fetch_end(fetch, TR_EMEMORY, "out of memory");
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
    tr_fetch_take_answer((tr_fetch *)private, result);
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
    if (fetch->under_way && fetch->until <= now) tr_fetch_end_late(fetch);
    else if (fetch->under_way && fetch->until < next) next = fetch->until;
  }
  if (next != UINT64_MAX) set_overdue(fetcher, next);
}

void tr_fetch_get_under_way(tr_fetch *fetch) {
  tr_fetcher *fetcher = fetch->fetcher;
  fetch->under_way = true;
  if (fetcher->under_way++ == 0 || fetch->until < fetcher->due) set_overdue(fetcher, fetch->until);
}

/* The last one takes the timer with it: who waits for nothing is not woken. */
void tr_fetch_get_home(tr_fetch *fetch) {
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
    tr_fetch_detach(fetch);
    fetch->done = NULL;
    if (atomic_load(&fetch->left)) tr_fetch_stop(fetch);
    else if (!atomic_load(&fetch->over)) tr_fetch_end(fetch, TR_EUNAVAILABLE, "the runtime is ending");
  }
  fetcher->curl.multi_cleanup(fetcher->multi); /* and with it the connections that were kept */
  uv_timer_stop(&fetcher->timer);
  uv_close((uv_handle_t *)&fetcher->timer, on_timer_closed);
  uv_close((uv_handle_t *)&fetcher->overdue, on_timer_closed);
}
