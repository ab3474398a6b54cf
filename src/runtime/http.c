/* SPDX-License-Identifier: MIT
 * troupe.http for scripts, by the right net=HOST:PORT: the hooks of script/http.c. Requests run on the runtime's loop (net/fetch.c), in the thread
 * that has it; a turn elsewhere has it done there. What --tls-ca names is believed here, too. */
#include "net/fetch.h"
#include "runtime/secure.h"

typedef struct fetch_errand { troupe_t *rt; const tr_script_fetch *asked; void **out; void *fetch; tr_error *error; int rc; } fetch_errand;

static bool may(void *ud, const char *where) { return tr_runtime_may(ud, "net", where); }

/* Where requests run: on the runtime's loop; or, in a test, whose clock stands still, on one that is run on the spot. */
static int open_fetcher(troupe_t *rt, tr_error *error) {
  int rc = tr_runtime_loop_open(rt);
  if (rc) return tr_error_set(error, rc, "%s", rt->error.text);
  if (rt->fetcher) return 0;
  if (rt->still && !rt->fetch_loop) {
    rt->fetch_loop = TR_NEW(&rt->mem, uv_loop_t);
    if (!rt->fetch_loop || uv_loop_init(rt->fetch_loop)) {
      if (rt->fetch_loop) TR_DELETE(&rt->mem, rt->fetch_loop);
      rt->fetch_loop = NULL;
      return tr_error_set(error, TR_EMEMORY, "out of memory");
    }
  }
  return tr_fetcher_new(&rt->mem, rt->fetch_loop ? rt->fetch_loop : rt->loop, may, rt, &rt->fetcher, error);
}

void tr_runtime_close_fetcher(troupe_t *rt) {
  if (rt->fetcher) tr_fetcher_close(rt->fetcher);
  rt->fetcher = NULL;
  if (!rt->fetch_loop) return;
  uv_run(rt->fetch_loop, UV_RUN_DEFAULT);
  uv_loop_close(rt->fetch_loop);
  TR_DELETE(&rt->mem, rt->fetch_loop);
  rt->fetch_loop = NULL;
}

static void wait_here(troupe_t *rt, tr_fetch *fetch) {
  tr_fetch_answer answer;
  tr_error unused;
  tr_error_init(&unused);
  while (tr_fetch_look(fetch, &answer, &unused) == 0 && uv_run(rt->fetch_loop, UV_RUN_ONCE)) continue;
}

static void start(void *ud) {
  fetch_errand *self = ud;
  troupe_t *rt = self->rt;
  const tr_script_fetch *asked = self->asked;
  tr_fetch *fetch = NULL;
  self->rc = open_fetcher(rt, self->error);
  if (self->rc) return;
  tr_fetch_request request = { .method = asked->method, .url = asked->url, .headers = asked->headers, .body = asked->body, .timeout_us = asked->timeout,
                               .most = asked->most, .redirects = asked->redirects, .ca = rt->secure ? rt->secure->texts[TR_SECURE_CA] : NULL };
  self->rc = tr_fetch_start(rt->fetcher, &request, rt->fetch_loop ? NULL : asked->done, asked->done_ud, &fetch, self->error);
  *self->out = fetch;
  if (!self->rc && rt->fetch_loop) wait_here(rt, fetch);
}

int tr_runtime_fetch(void *ud, const tr_script_fetch *asked, void **out, tr_error *error) {
  fetch_errand self = { .rt = ud, .asked = asked, .out = out, .error = error };
  return tr_runtime_errand(self.rt, start, &self) ? tr_error_set(error, TR_EUNAVAILABLE, "the runtime is ending") : self.rc;
}

int tr_runtime_fetched(void *ud, void *fetch, tr_script_answer *out, tr_error *error) {
  tr_fetch_answer answer;
  (void)ud;
  int rc = tr_fetch_look(fetch, &answer, error);
  if (rc > 0) *out = (tr_script_answer){ answer.status, answer.headers, answer.body, answer.url };
  return rc;
}

static void stop(void *ud) { tr_fetch_stop(((fetch_errand *)ud)->fetch); }

void tr_runtime_unfetch(void *ud, void *fetch) {
  fetch_errand self = { .rt = ud, .fetch = fetch };
  if (tr_runtime_errand(self.rt, stop, &self)) tr_fetch_leave(fetch);
}
