/* SPDX-License-Identifier: MIT
 * troupe.Admin: both ends joined by hand, answers that come late or to nobody, messages cut anywhere, no memory. */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "ops/admin.h"
#include "rpc/rpc.h"

#define S(text) tr_slice_of(text)

static tr_admin_call *open_call;
static char asked[200], told[400];

static void on_ask(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body) {
  (void)ud;
  snprintf(asked, sizeof asked, "%.*s(%.*s)", TR_SLICE_ARG(verb), TR_SLICE_ARG(body));
  if (tr_slice_is(verb, "later")) open_call = call;
  else if (tr_slice_is(verb, "bad")) tr_admin_fail(call, TR_ENOT_FOUND, "no such thing");
  else {
    tr_admin_send(call, S("{\"a\":1}"));
    tr_admin_send(call, S("{\"a\":2}"));
    tr_admin_done(call);
  }
}
static void on_dirty(void *ud, void *socket) {
  (void)ud;
  (void)socket;
}
static void on_reply(void *ud, tr_slice body) {
  size_t n = strlen(told);
  (void)ud;
  snprintf(told + n, sizeof told - n, "%.*s ", TR_SLICE_ARG(body));
}
static void on_over(void *ud, int code, tr_slice text) {
  size_t n = strlen(told);
  (void)ud;
  snprintf(told + n, sizeof told - n, "%s %.*s", code ? tr_error_name(code) : "ok", TR_SLICE_ARG(text));
}
static void ask_dirty(void *ud) { (void)ud; }

typedef struct pair { tr_admin *admin; tr_admin_conn *conn; tr_admin_ask *ask; } pair;

static bool pair_open(pair *p, const char *verb) {
  tr_admin_options options = { .mem = check_mem(), .ask = on_ask, .dirty = on_dirty };
  tr_admin_ask_options ask = { .mem = check_mem(), .verb = verb, .body = S("{\"x\":0}"), .reply = on_reply, .over = on_over, .dirty = ask_dirty };
  asked[0] = told[0] = 0;
  open_call = NULL;
  *p = (pair){ .admin = tr_admin_new(&options) };
  p->conn = p->admin ? tr_admin_accept(p->admin, NULL) : NULL;
  p->ask = tr_admin_ask_new(&ask);
  return p->conn && p->ask;
}

static void pair_run(pair *p) {
  tr_error error;
  tr_buf bytes;
  tr_error_init(&error);
  tr_buf_init(&bytes, check_mem());
  for (int i = 0; i < 20; i++) {
    tr_buf_clear(&bytes);
    tr_admin_ask_output(p->ask, &bytes, 1 << 20);
    if (bytes.len && tr_admin_feed(p->conn, tr_buf_view(&bytes), i, &error)) break;
    tr_buf_clear(&bytes);
    tr_admin_output(p->conn, &bytes, 1 << 20);
    if (bytes.len && tr_admin_ask_feed(p->ask, tr_buf_view(&bytes), i, &error)) break;
  }
  tr_buf_fini(&bytes);
}

static void pair_close(pair *p) {
  if (p->conn) tr_admin_closed(p->conn);
  tr_admin_ask_free(p->ask);
  if (open_call) tr_admin_done(open_call);
  tr_admin_free(p->admin);
}

CHECK_CASE(admin_questions_and_answers) {
  pair p;
  CHECK(pair_open(&p, "ps"));
  pair_run(&p);
  CHECK_STR(asked, "ps({\"x\":0})");
  CHECK_STR(told, "{\"a\":1} {\"a\":2} ok ");
  pair_close(&p);
  CHECK(pair_open(&p, "bad"));
  pair_run(&p);
  CHECK_STR(told, "not_found no such thing");
  pair_close(&p);
  CHECK(pair_open(&p, "later"));
  pair_run(&p);
  CHECK_STR(told, "");
  tr_admin_send(open_call, S("{}"));
  tr_admin_done(open_call);
  open_call = NULL;
  pair_run(&p);
  CHECK_STR(told, "{} ok ");
  pair_close(&p);
}

CHECK_CASE(admin_answers_to_one_who_has_gone) {
  pair p;
  CHECK(pair_open(&p, "later"));
  pair_run(&p);
  tr_admin_closed(p.conn);
  p.conn = NULL;
  tr_admin_send(open_call, S("{}"));
  tr_admin_fail(open_call, TR_ETIMEOUT, "late");
  open_call = NULL;
  tr_admin_ask_free(p.ask);
  p.ask = NULL;
  CHECK_STR(told, "unavailable connection closed");
  pair_close(&p);
}

static void on_gone(void *ud) { (*(int *)ud)++; }

CHECK_CASE(admin_tells_that_nobody_hears_any_more) {
  pair p;
  int gone = 0;
  CHECK(pair_open(&p, "later"));
  pair_run(&p);
  tr_admin_on_gone(open_call, on_gone, &gone);
  tr_admin_send(open_call, S("{}"));
  CHECK_INT(tr_admin_queued(open_call), >, 0);
  CHECK_INT(gone, ==, 0);
  tr_admin_closed(p.conn);
  p.conn = NULL;
  CHECK_INT(gone, ==, 1);
  CHECK_INT(tr_admin_queued(open_call), ==, 0);
  tr_admin_done(open_call);
  open_call = NULL;
  tr_admin_ask_free(p.ask);
  p.ask = NULL;
  CHECK_INT(gone, ==, 1);
  pair_close(&p);
}

CHECK_CASE(admin_questions_of_the_process_itself) {
  told[0] = 0;
  tr_admin_call *call = tr_admin_call_here(check_mem(), &(tr_admin_asker){ .reply = on_reply, .over = on_over });
  tr_admin_send(call, S("{\"a\":1}"));
  tr_admin_done(call);
  CHECK_STR(told, "{\"a\":1} ok ");
  told[0] = 0;
  call = tr_admin_call_here(check_mem(), &(tr_admin_asker){ .reply = on_reply, .over = on_over });
  tr_admin_fail(call, TR_ENOT_FOUND, "no such thing");
  CHECK_STR(told, "not_found no such thing");
}

static size_t on_queued(void *ud) { return *(size_t *)ud; }

CHECK_CASE(admin_questions_by_a_door_may_lose_their_asker) {
  size_t queued = 7;
  int gone = 0;
  told[0] = 0;
  tr_admin_call *call = tr_admin_call_here(check_mem(), &(tr_admin_asker){ on_reply, on_over, on_queued, &queued });
  CHECK_INT(tr_admin_queued(call), ==, 7);
  tr_admin_on_gone(call, on_gone, &gone);
  tr_admin_lost(call);
  CHECK_INT(gone, ==, 1);
  CHECK_INT(tr_admin_queued(call), ==, 0);
  tr_admin_send(call, S("{}"));
  tr_admin_done(call);
  CHECK_STR(told, "");
}

CHECK_CASE(admin_has_a_bound_of_connections) {
  tr_admin_options options = { .mem = check_mem(), .ask = on_ask, .dirty = on_dirty };
  tr_admin *admin = tr_admin_new(&options);
  tr_admin_conn *conns[300];
  int n = 0;
  while (n < 300 && (conns[n] = tr_admin_accept(admin, NULL))) n++;
  CHECK_INT(n, ==, 256);
  while (n > 0) tr_admin_closed(conns[--n]);
  tr_admin_free(admin);
}

CHECK_CASE(admin_messages_cut_and_odd) {
  tr_slice first, second;
  tr_blob *frame = tr_admin_frame(check_mem(), S("verb"), S("{\"body\":true}"));
  tr_slice whole = tr_slice_make(frame->data + TR_RPC_PREFIX, frame->len - TR_RPC_PREFIX);
  CHECK_INT(tr_admin_read(whole, &first, &second), ==, 0);
  CHECK(tr_slice_is(first, "verb") && tr_slice_is(second, "{\"body\":true}"));
  for (size_t n = 1; n < whole.n; n++) {
    char copy[64];
    memcpy(copy, whole.p, n);
    int rc = tr_admin_read(tr_slice_make(copy, n), &first, &second);
    CHECK_INT(rc, ==, n == 6 ? 0 : TR_EINVALID); /* after the first field it is whole again */
  }
  tr_blob_unref(frame);
  CHECK_INT(tr_admin_read(S("\x1a\x01x\x20\x05\x0a\x01""a\x0a\x01""b"), &first, &second), ==, 0); /* unknown ones; the last counts */
  CHECK(tr_slice_is(first, "b") && second.n == 0);
  CHECK_INT(tr_admin_read(S("\x0a\x01\xff"), &first, &second), ==, TR_EINVALID);
  CHECK_INT(tr_admin_read(S("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &first, &second), ==, TR_EINVALID);
}

CHECK_CASE(admin_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    pair p;
    if (pair_open(&p, "ps")) pair_run(&p);
    if (!check_mem_refused()) CHECK_STR(told, "{\"a\":1} {\"a\":2} ok ");
    pair_close(&p);
  }
}
