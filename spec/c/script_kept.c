/* SPDX-License-Identifier: MIT
 * Placeholders of a caller whose agents live behind a door: what it asks for, what it passes on, what it lets go of. The door is a
 * destination of this test, which notes what comes and answers as the case wants it. */
#include <stdio.h>

#include "script_host.h"

static const char REF[] = "far/0123456789abcdef0123456789abcdef";

static struct {
  host *h;
  tr_dest dest;
  char said[4096];      /* what came: "TYPE keep|- refs|- body; " */
  bool foreign;         /* it knows nothing of references */
  bool gone;            /* what it kept */
  int fetched, released, renewed;
} door;

static void say(const tr_msg *msg, tr_slice body) {
  size_t n = strlen(door.said);
  tr_slice refs = msg->more && msg->more->refs ? tr_blob_view(msg->more->refs) : tr_slice_of("-");
  snprintf(door.said + n, sizeof door.said - n, "%s %s %.*s %.*s; ", msg->type->text, msg->more && msg->more->keep_ms ? "keep" : "-",
           TR_SLICE_ARG(refs), TR_SLICE_ARG(body));
}

static const char *said(void) {
  static char text[sizeof door.said];
  memcpy(text, door.said, sizeof text);
  door.said[0] = 0;
  return text;
}

static tr_body json(const char *text) {
  return (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(check_mem(), tr_slice_of(text)) };
}

static void give(tr_msg *msg, tr_body body) {
  tr_reply reply = { .type = msg->type, .body = body };
  if (!body.bytes) tr_msg_fail(msg, TR_EMEMORY, NULL);
  else tr_msg_answer(msg, &reply);
}

static void on_request(tr_dest *dest, tr_msg *msg) {
  tr_core *core = door.h->core;
  tr_error error;
  tr_error_init(&error);
  tr_format format;
  tr_blob *bytes = NULL;
  (void)dest;
  if (strcmp(msg->type->text, "troupe.release") == 0) {
    CHECK_STR(msg->target_key->text, "troupe.result.0123456789abcdef0123456789abcdef");
    door.released++;
  } else if (strcmp(msg->type->text, "troupe.renew") == 0) {
    door.renewed++;
  } else if (strcmp(msg->type->text, "troupe.fetch") == 0) {
    door.fetched++;
    if (door.gone) tr_msg_fail(msg, TR_ENOT_FOUND, "agent type far is not registered");
    else give(msg, json("{\"x\":[1,2]}"));
  } else if (tr_body_bytes(core, &msg->body, TR_FORMAT_JSON, &bytes, &format, &error)) {
    tr_msg_fail(msg, TR_EMEMORY, NULL);
  } else {
    say(msg, tr_blob_view(bytes));
    bool make = strcmp(msg->type->text, "Make") == 0;
    if (door.foreign && msg->more && msg->more->refs) tr_msg_unresolved(msg, TR_EUNAVAILABLE, "what is that?");
    else if (make && msg->more && msg->more->keep_ms)
      give(msg, (tr_body){ .kind = TR_BODY_REF, .bytes = tr_blob_copy(check_mem(), tr_slice_of(REF)) });
    else give(msg, json("{\"x\":[1,2]}"));
    tr_blob_unref(bytes);
  }
}

static const tr_dest_ops ops = { NULL, on_request };

/* One agent `user` with this handler Go, which knows `far` and `other`. */
static int open_door(host *h, const char *go) {
  static char source[2000];
  memset(&door, 0, sizeof door);
  door.h = h;
  tr_dest_init(&door.dest, &ops);
  int rc = host_try_open(h);
  if (rc) return rc;
  snprintf(source, sizeof source, "return { { type = 'near', on = { Use = function(_, m) return { got = m } end } }, { type = 'user', on = { Go = function(self, m, ctx) "
           "local far, other, near = ctx:agent('far'), ctx:agent('other'), ctx:agent('near') %s end } } }", go);
  rc = tr_router_register(tr_core_router(h->core), tr_slice_of("far"), &door.dest, NULL);
  if (!rc) rc = tr_router_register(tr_core_router(h->core), tr_slice_of("other"), &door.dest, NULL);
  if (!rc) rc = host_source(h, "user.lua", source);
  if (rc) host_close(h);
  return rc;
}

static void close_door(host *h) {
  tr_router_forget(tr_core_router(h->core), &door.dest);
  host_close(h);
}

#define GO(code)                        \
  host h = { 0 };                       \
  CHECK_INT(open_door(&h, code), ==, 0); \
  const char *answer = host_call(&h, "user", "Go", "{}")

CHECK_CASE(what_is_passed_on_is_referred_to) {
  GO("local x = far:Make() return #other:Use { 1, troupe.null, { a = x }, troupe.null, x }.x");
  CHECK_STR(answer, "Go 2");
  CHECK_STR(said(), "Make keep - {}; Use - 1=far/0123456789abcdef0123456789abcdef 3=far/0123456789abcdef0123456789abcdef "
                    "[1,null,{\"a\":null},null,null]; ");
  CHECK_INT(door.fetched, ==, 0);
  CHECK_INT(door.released, ==, 1);
  close_door(&h);
}

CHECK_CASE(what_is_read_at_once_is_not_kept) {
  GO("local x = far:Make() return x.x");
  CHECK_STR(answer, "Go [1,2]");
  CHECK_STR(said(), "Make - - {}; ");
  CHECK_INT(door.fetched + door.released, ==, 0);
  close_door(&h);
}

CHECK_CASE(what_is_read_later_is_fetched_once) {
  GO("local x = far:Make() ctx:sleep(1) local y = far:Make() local n = #x.x + #x.x return n + #troupe.await(x).x + #troupe.all { x, y }[1].x + #troupe.race { x }.x");
  CHECK_STR(answer, "Go 10");
  CHECK_INT(door.fetched, ==, 2);
  CHECK_INT(door.released, ==, 2);
  close_door(&h);
}

CHECK_CASE(agents_here_and_answers_get_the_content) {
  GO("local x, y = far:Make(), far:Make() ctx:sleep(1) ctx:send('near', 'Use', y) return { near:Use(x), { x } }");
  CHECK_STR(answer, "Go [{\"got\":{\"x\":[1,2]}},[{\"x\":[1,2]}]]");
  CHECK_INT(door.fetched, ==, 2);
  CHECK_INT(door.released, ==, 2);
  close_door(&h);
}

CHECK_CASE(who_cannot_fetch_is_sent_the_content) {
  host h = { 0 };
  CHECK_INT(open_door(&h, "local x = far:Make() return #other:Use { x, troupe.null }.x"), ==, 0);
  door.foreign = true;
  CHECK_STR(host_call(&h, "user", "Go", "{}"), "Go 2");
  CHECK_STR(said(), "Make keep - {}; Use - 0=far/0123456789abcdef0123456789abcdef [null,null]; Use - - [{\"x\":[1,2]},null]; ");
  CHECK_INT(door.fetched, ==, 1);
  CHECK_INT(door.released, ==, 1);
  close_door(&h);
}

CHECK_CASE(what_is_gone_is_unavailable_to_who_uses_it) {
  host h = { 0 };
  CHECK_INT(open_door(&h, "local x = far:Make() ctx:sleep(1) local function e(f) return tostring(select(2, pcall(f))) end "
                          "local y = other:Use { x } return { e(function() return x.x end), e(function() return y.x end), e(function() return near:Use(x).x end) }"), ==, 0);
  door.foreign = door.gone = true;
#define LOST "unavailable: %sthe process that keeps the result cannot give it: agent type far is not registered (from far/default, Make)"
  const char *answer = host_call(&h, "user", "Go", "{}");
  char wanted[1000];
  snprintf(wanted, sizeof wanted, "Go [\"" LOST "\",\"" LOST "\",\"" LOST "\"]", "", "", "body: ");
  CHECK_STR(answer, wanted);
  close_door(&h);
}

CHECK_CASE(what_is_held_for_long_is_renewed) {
  host h = { 0 };
  CHECK_INT(open_door(&h, "local x, y = far:Make(), far:Make() ctx:sleep(1) local here = #x.x ctx:sleep(1600) print(here + #y.x)"), ==, 0);
  host_send(&h, "user", "Go", "{}");
  host_run(&h, 2000);
  CHECK_STR(h.printed, "4\n");
  CHECK_INT(door.renewed, ==, 5); /* of y, every five minutes; what is here is kept no longer */
  CHECK_INT(door.fetched, ==, 2);
  CHECK_INT(door.released, ==, 2);
  close_door(&h);
}

static int look(void *ud, tr_msg *msg, tr_error *error) {
  (void)msg;
  (void)error;
  ++*(int *)ud;
  return 0;
}

CHECK_CASE(who_sees_all_messages_sees_all_content) {
  host h = { 0 };
  int seen = 0;
  CHECK_INT(open_door(&h, "local x = far:Make() return #other:Use { x }.x"), ==, 0);
  tr_core_intercept(h.core, look, &seen);
  CHECK_STR(host_call(&h, "user", "Go", "{}"), "Go 2");
  CHECK_STR(said(), "Make - - {}; Use - - [{\"x\":[1,2]}]; ");
  CHECK_INT(seen, ==, 3);
  close_door(&h);
}

CHECK_CASE(results_that_nobody_reads_are_let_go) {
  GO("far:Make() far:Make() far:Make { far:Make() } self.x = far:Make()");
  CHECK_STR(answer, "null null");
  host_run(&h, 1);
  CHECK_INT(door.fetched, ==, 0);
  CHECK_INT(door.released, ==, 5);
  close_door(&h);
}

CHECK_CASE(more_than_a_body_may_refer_to_are_sent) {
  GO("local list = {} for i = 1, 300 do list[i] = far:Make() end return #other:Use(list).x");
  CHECK_STR(answer, "Go 2");
  CHECK_INT(door.fetched, ==, 300);
  CHECK_INT(door.released, ==, 300);
  close_door(&h);
}

CHECK_CASE(a_call_that_is_tried_again_refers_again) {
  GO("local x = far:Make() local f = ctx:async('other', 'Use', { x }, { retry = 2 }) return #f:await().x");
  CHECK_STR(answer, "Go 2");
  CHECK_STR(said(), "Make keep - {}; Use - 0=far/0123456789abcdef0123456789abcdef [null]; ");
  CHECK_INT(door.released, ==, 1);
  close_door(&h);
}

CHECK_CASE(kept_results_survive_a_lack_of_memory) {
  for (int foreign = 0; foreign < 2; foreign++) {
    CHECK_EACH_ALLOCATION_FAILS {
      host h = { 0 };
      if (open_door(&h, "local x, z = far:Make(), far:Make() local y = other:Use { x, x } ctx:sleep(0.1) far:Make { z } return { #y.x, #x.x, near:Use(z) }")) continue;
      door.foreign = foreign;
      const char *answer = host_call(&h, "user", "Go", "{}");
      CHECK(strcmp(answer, "no answer") != 0);
      if (!check_mem_refused()) CHECK_STR(answer, "Go [2,2,{\"got\":{\"x\":[1,2]}}]");
      host_run(&h, 1);
      close_door(&h);
    }
  }
}
