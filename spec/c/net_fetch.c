/* SPDX-License-Identifier: MIT
 * Requests by libcurl where memory runs out, where they are given up, and where all ends around them. What they do else: spec/cli/http_spec.lua. */
#include "check.h"

#include <stdio.h>

#include "net/fetch.h"
#include "net/net.h"

typedef struct stage { uv_loop_t loop; tr_net *net; tr_fetcher *fetcher; char url[400]; bool may; } stage;

static bool may(void *ud, const char *where) {
  (void)where;
  return ((stage *)ud)->may;
}

/* A server that takes what comes and says nothing. */
static int on_data(void *ud, tr_net_conn *conn, tr_slice bytes) {
  (void)ud;
  (void)conn;
  (void)bytes;
  return 0;
}
static int on_output(void *ud, tr_net_conn *conn, tr_buf *out, size_t limit) {
  (void)ud;
  (void)conn;
  (void)out;
  (void)limit;
  return 0;
}
static bool on_finished(void *ud, tr_net_conn *conn) {
  (void)ud;
  (void)conn;
  return false;
}
static void on_closed(void *ud, tr_net_conn *conn, const char *reason) {
  (void)ud;
  (void)conn;
  (void)reason;
}
static const tr_net_handlers silent = { on_data, on_output, on_finished, on_closed };
static void *on_accept(void *ud, tr_net_conn *conn, tr_slice peer, const tr_net_handlers **handlers) {
  (void)conn;
  (void)peer;
  *handlers = &silent;
  return ud;
}

static int open_stage(stage *s) {
  tr_error error;
  char bound[TR_ADDRESS_MAX];
  tr_error_init(&error);
  memset(s, 0, sizeof *s);
  s->may = true;
  CHECK_INT(uv_loop_init(&s->loop), ==, 0);
  s->net = tr_net_new(check_mem(), NULL, &s->loop);
  int rc = s->net ? tr_net_listen(s->net, TR_SLICE_LITERAL("127.0.0.1:0"), on_accept, s, bound, NULL, &error) : TR_EMEMORY;
  snprintf(s->url, sizeof s->url, "http://%s/", rc ? "" : bound);
  return rc ? rc : tr_fetcher_new(check_mem(), &s->loop, may, s, &s->fetcher, &error);
}

static void close_stage(stage *s) {
  tr_fetcher_close(s->fetcher);
  if (s->net) {
    tr_net_close(s->net);
    while (!tr_net_idle(s->net)) uv_run(&s->loop, UV_RUN_ONCE);
  }
  uv_run(&s->loop, UV_RUN_DEFAULT);
  CHECK_INT(uv_loop_close(&s->loop), ==, 0);
  tr_net_free(s->net);
}

static int begin(stage *s, tr_fetch **fetch, int64_t timeout_us) {
  static const char *const headers[] = { "A: b", NULL };
  tr_fetch_request request = { .method = "POST", .url = s->url, .headers = headers, .body = TR_SLICE_LITERAL("hello"), .timeout_us = timeout_us, .most = 100 };
  tr_error error;
  tr_error_init(&error);
  int rc = tr_fetch_start(s->fetcher, &request, NULL, NULL, fetch, &error);
  CHECK(rc == error.code);
  return rc;
}

CHECK_CASE(a_fetch_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    stage s;
    tr_fetch *fetch;
    tr_fetch_answer answer;
    tr_error error;
    tr_error_init(&error);
    if (open_stage(&s) == 0 && begin(&s, &fetch, 20000) == 0) {
      int rc;
      while ((rc = tr_fetch_look(fetch, &answer, &error)) == 0) uv_run(&s.loop, UV_RUN_ONCE);
      CHECK(rc == TR_ETIMEOUT || check_mem_refused());
      tr_fetch_stop(fetch);
    }
    close_stage(&s);
  }
}

CHECK_CASE(fetches_that_are_given_up_and_that_outlive_the_loop) {
  stage s;
  tr_fetch *fetches[3];
  tr_fetch_answer answer;
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(open_stage(&s), ==, 0);
  for (int i = 0; i < 3; i++) CHECK_INT(begin(&s, &fetches[i], 10000000), ==, 0);
  for (int i = 0; i < 5; i++) uv_run(&s.loop, UV_RUN_NOWAIT);
  tr_fetch_stop(fetches[0]);
  tr_fetch_leave(fetches[1]);
  close_stage(&s);
  CHECK_INT(tr_fetch_look(fetches[2], &answer, &error), ==, TR_EUNAVAILABLE);
  tr_fetch_stop(fetches[2]);
}

CHECK_CASE(so_many_fetches_at_a_time_and_only_where_they_may) {
  stage s;
  tr_fetch *fetches[TR_FETCHES_MOST], *more;
  CHECK_INT(open_stage(&s), ==, 0);
  for (int i = 0; i < TR_FETCHES_MOST; i++) CHECK_INT(begin(&s, &fetches[i], 10000000), ==, 0);
  CHECK_INT(begin(&s, &more, 10000000), ==, TR_EOVERLOADED);
  tr_fetch_stop(fetches[5]);
  s.may = false;
  CHECK_INT(begin(&s, &more, 10000000), ==, TR_EPERMISSION);
  s.may = true;
  CHECK_INT(begin(&s, &fetches[5], 10000000), ==, 0);
  for (int i = 0; i < TR_FETCHES_MOST; i++) tr_fetch_stop(fetches[i]);
  close_stage(&s);
}

/* A loop that was busy for longer than a request has: nobody but our own timer ends it (libcurl's was seen not to, under valgrind). */
CHECK_CASE(a_fetch_whose_time_is_over_before_its_first_step_ends) {
  stage s;
  tr_fetch *fetches[3];
  tr_fetch_answer answer;
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(open_stage(&s), ==, 0);
  for (int i = 0; i < 3; i++) CHECK_INT(begin(&s, &fetches[i], i == 2 ? 10000000 : 1000), ==, 0);
  for (uint64_t start = uv_hrtime(); uv_hrtime() - start < 5000000;) {} /* what is shown is a loop that is late */
  int rc;
  while ((rc = tr_fetch_look(fetches[0], &answer, &error)) == 0) uv_run(&s.loop, UV_RUN_ONCE);
  CHECK_INT(rc, ==, TR_ETIMEOUT);
  CHECK_INT(tr_fetch_look(fetches[1], &answer, &error), ==, TR_ETIMEOUT);
  CHECK_INT(tr_fetch_look(fetches[2], &answer, &error), ==, 0); /* has time left */
  for (int i = 0; i < 3; i++) tr_fetch_stop(fetches[i]);
  close_stage(&s);
}
