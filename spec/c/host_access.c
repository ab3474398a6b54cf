/* SPDX-License-Identifier: MIT
 * Who may do what at a host: the file of rights, each right's refusal, identities and their client-ids, rights that change under way. */
#include "host_peer.h"

#include <stdio.h>
#include <stdlib.h>

#include "host/internal.h"

/* ---- the file ---- */

static tr_rights *rights_of(const char *file) {
  tr_rights *rights;
  tr_error error;
  tr_error_init(&error);
  if (tr_rights_parse(check_mem(), tr_slice_of(file), "rights", &rights, &error)) CHECK_FAIL("%s", error.text);
  return rights;
}

static bool may(const tr_rights *rights, const char *who, tr_right right, const char *type, const char *key) {
  const tr_rights_entry *entry = tr_rights_find(rights, tr_slice_of(who));
  return entry && tr_rights_allow(entry, right, tr_slice_of(type), key ? tr_slice_of(key) : (tr_slice){ NULL, 0 });
}

CHECK_CASE(rights_are_what_the_file_says) {
  tr_rights *r = rights_of("# a comment\n\n[token:ci, cert:build-*.example]\n  register = echo , tool-*\nregister = more\ncall=a/b\t*/x\r\n"
                           "publish = home.*.on\n[cert:anna]\nsender = echo/1\ncontrol = yes\n[anonymous]\npublish = open\n[*]\ncall = *\ncontrol = no");
  CHECK(may(r, "token:ci", TR_RIGHT_REGISTER, "echo", NULL) && may(r, "token:ci", TR_RIGHT_REGISTER, "tool-9", NULL));
  CHECK(may(r, "cert:build-1.example", TR_RIGHT_REGISTER, "more", NULL) && !may(r, "token:ci", TR_RIGHT_REGISTER, "ech", NULL));
  CHECK(may(r, "token:ci", TR_RIGHT_CALL, "a", "b") && may(r, "token:ci", TR_RIGHT_CALL, "z", "x") && !may(r, "token:ci", TR_RIGHT_CALL, "a", "c"));
  CHECK(may(r, "token:ci", TR_RIGHT_PUBLISH, "home.a.b.on", "x") && !may(r, "token:ci", TR_RIGHT_PUBLISH, "home.on", NULL));
  CHECK(!may(r, "token:ci", TR_RIGHT_CONTROL, "", NULL) && may(r, "cert:anna", TR_RIGHT_CONTROL, "", NULL));
  CHECK(may(r, "token:ci", TR_RIGHT_SENDER, "echo", "1")); /* what it may register */
  CHECK(may(r, "cert:anna", TR_RIGHT_SENDER, "echo", "1") && !may(r, "cert:anna", TR_RIGHT_SENDER, "echo", "2"));
  CHECK(may(r, "cert:else\ncert:anna\n", TR_RIGHT_CONTROL, "", NULL)); /* any of its names, but the first section that fits */
  CHECK(may(r, "token:none", TR_RIGHT_CALL, "a", "c") && !may(r, "token:none", TR_RIGHT_PUBLISH, "open", NULL));
  CHECK(may(r, "", TR_RIGHT_PUBLISH, "open", NULL) && !may(r, "", TR_RIGHT_CALL, "a", NULL));
  tr_rights_unref(r);
  r = rights_of("[*]\ncall = *\n");
  CHECK(tr_rights_find(r, tr_slice_of("")) == NULL); /* nobody known is never meant by a pattern */
  tr_rights_unref(r);
}

CHECK_CASE(rights_of_operators_have_the_lesser_ones_in_them) {
  tr_rights *r = rights_of("[token:o]\nobserve = yes\n[token:p]\noperate = yes\nobserve = no\n[token:e]\nevaluate = yes\n[token:c]\ncontrol = yes\nregister = *\ncall = *\n");
  const char *const who[] = { "token:o", "token:p", "token:e" };
  for (int i = 0; i < 3; i++)
    for (int right = 0; right < 3; right++) CHECK(may(r, who[i], (tr_right)(TR_RIGHT_OBSERVE + right), "", NULL) == (right <= i));
  CHECK(!may(r, "token:e", TR_RIGHT_CONTROL, "", NULL) && !may(r, "token:e", TR_RIGHT_CALL, "x", NULL));
  CHECK(!may(r, "token:c", TR_RIGHT_OBSERVE, "", NULL));
  tr_rights_unref(r);
}

CHECK_CASE(what_is_wrong_in_a_file_of_rights_is_named_by_its_line) {
  static const char *const bad[][2] = {
    { "call = x\n", "rights:1: a right belongs into a section" }, { "[a]\n", "rights:1: a name is token:NAME" },
    { "\n[token:a\n", "rights:2: a section is" }, { "[]\n", "rights:1: a section needs a name" },
    { "[token:a]\nregistr = x", "rights:2: there is no right \"registr\", did you mean register" }, { "[token:a]\ncall = \n", "rights:2: nothing is granted here" },
    { "[token:a]\nwhat", "rights:2: expected" }, { "[token:a]\ncontrol = maybe", "rights:2: control is yes or no" }, { "[token:a]\nobserve = all", "rights:2: observe is yes or no" }, { "[token:]", "rights:1: a name is" },
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_rights *rights;
    tr_error error;
    tr_error_init(&error);
    CHECK_INT(tr_rights_parse(check_mem(), tr_slice_of(bad[i][0]), "rights", &rights, &error), ==, TR_EINVALID);
    if (!strstr(error.text, bad[i][1])) CHECK_FAIL("%zu: %s", i, error.text);
  }
  tr_rights *rights;
  size_t n = TR_RIGHTS_FILE_MAX + 1;
  char *many = malloc(n);
  CHECK(many != NULL);
  memset(many, '\n', n);
  CHECK_INT(tr_rights_parse(check_mem(), tr_slice_make(many, n), "rights", &rights, NULL), ==, TR_EINVALID);
  memset(many, 'a', n);
  memcpy(many, "[token:a]\ncall =", 16);
  for (size_t i = 17; i < n; i += 2) many[i] = ' ';
  CHECK_INT(tr_rights_parse(check_mem(), tr_slice_make(many, n - 1), "rights", &rights, NULL), ==, TR_EINVALID);
  free(many);
}

CHECK_CASE(reading_rights_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_rights *rights;
    int rc = tr_rights_parse(check_mem(), TR_SLICE_LITERAL("[token:a]\ncall = a b c d e f g h i j k l m n o p q r s t\n[*]\ncall=*"), "rights", &rights, NULL);
    CHECK_INT(rc, ==, check_mem_refused() ? TR_EMEMORY : 0);
    if (!rc) tr_rights_unref(rights);
  }
}

/* ---- at a host; a peer's names are its user-agent, "who/NAME,NAME" ---- */

static const char *withdrawn; /* this one is not taken any more */

static int identify(void *ud, tr_host_conn *conn, tr_slice authorization, tr_slice user_agent, tr_buf *names, tr_error *error) {
  (void)ud; (void)conn; (void)authorization;
  if (!tr_slice_starts(user_agent, TR_SLICE_LITERAL("who/"))) return 0;
  tr_slice rest = tr_slice_make(user_agent.p + 4, user_agent.n - 4);
  if (tr_slice_is(rest, "bad") || (withdrawn && tr_slice_is(rest, withdrawn))) return tr_error_set(error, TR_EUNAUTHENTICATED, "a bad token");
  for (size_t i = 0; i < rest.n; i++) tr_buf_byte(names, rest.p[i] == ',' ? '\n' : (uint8_t)rest.p[i]);
  tr_buf_byte(names, '\n');
  return 0;
}

static stage *s;
static peer *worker, *caller;

static void guard(const char *file) {
  tr_rights *rights = file ? rights_of(file) : NULL;
  tr_host_guard(s->host, true, rights);
  tr_rights_unref(rights);
  stage_run(s);
}

static void set(const char *file) {
  tr_host_options tweaks = { .identify = identify };
  s = stage_new(&tweaks);
  guard(file);
  worker = peer_new(s, "10.0.0.1:1", "who/token:w");
  caller = peer_new(s, "10.0.0.2:1", "who/token:c,cert:other");
}

static const char usual[] = "[token:w]\nregister = echo\nsubscribe = news*\npublish = news\n[cert:other]\ncall = echo/1\npublish = news home/*\nsubscribe = *\nsender = asker\n";

static const char *denied(peer *p, const char *method, const char *id, tr_slice bytes) {
  pcall *c = unary_call(p, method, id, bytes, false);
  CHECK_INT(c->status, ==, TR_GRPC_PERMISSION_DENIED);
  return c->text;
}

static void has(const char *text_, const char *part) {
  if (!strstr(text_, part)) CHECK_FAIL("\"%s\" is not in \"%s\"", part, text_);
}

CHECK_CASE(a_subscription_is_removed_by_who_added_it_alone) {
  set(usual);
  channel(worker, "w");
  channel(caller, "c");
  reg(worker, "w", "echo");
  sub(worker, "w", "1", "news", "echo");
  has(denied(caller, "RemoveSubscription", "c", pb_string(1, "1")), "only who added");
  has(stage_line(s, "access.denied"), "client=c");
  has(denied(caller, "RemoveSubscription", "nobody", pb_string(1, "1")), "only who added");
  has(denied(caller, "RemoveSubscription", "w", pb_string(1, "1")), "belongs to another"); /* it only says that it is w */
  CHECK_INT(stage_stats(s).denied, ==, 3);
  CHECK_INT(unary(worker, "RemoveSubscription", "w", pb_string(1, "1")), ==, 0);
  stage_free(s);
}

CHECK_CASE(each_right_that_is_missing_is_named) {
  set(usual);
  pcall *w = channel(worker, "w"), *c = channel(caller, "c");
  reg(worker, "w", "echo");
  has(denied(worker, "RegisterAgent", "w", register_bytes("echo2")), "token:w may not (register = echo2");
  sub(worker, "w", "1", "news", "echo");
  sub_prefix(worker, "w", "2", "news.", "echo");
  sub_prefix(worker, "w", "3", "echo:", "echo"); /* its own: AutoGen's way to speak to one agent */
  has(denied(worker, "AddSubscription", "w", subscription_bytes("4", 2, "other", "echo")), "subscribe = other");
  has(denied(worker, "AddSubscription", "w", subscription_bytes("4", 3, "new", "echo")), "subscribe = new*"); /* more than news* */
  has(denied(worker, "AddSubscription", "w", subscription_bytes("4", 2, "news", "mine")), "register = mine");
  has(denied(caller, "AddSubscription", "c", subscription_bytes("5", 2, "news", "echo")), "register = echo");
  has(denied(caller, "RemoveSubscription", "c", pb_string(1, "1")), "only who added");
  sub(caller, "c", "6", "news", "subscriber-00000000-0000-4000-8000-000000000000");
  say(c, request("1", "echo", "1", "hi"));
  serve(w, "ho");
  expect_answer(c, "1", "ho");
  say(c, request("2", "echo", "2", "hi"));
  expect_error(c, "2", "permission_denied: token:c may not (call = echo/2");
  say(c, request("3", "nobody", "2", "hi"));
  expect_error(c, "3", "permission_denied: "); /* nor does it hear who is there */
  CHECK(silent(w));
  say(c, event("news", "x", "{}"));
  hear(w);
  say(c, event("home", "x", "{}"));
  say(c, event("other", "x", "{}"));
  CHECK(silent(w));
  has(stage_line(s, "event.refused"), "permission_denied: token:c may not (publish = other/x");
  CHECK_INT(stage_stats(s).denied, ==, 9);
  stage_free(s);
}

CHECK_CASE(what_is_refused_is_in_the_log_by_who_and_right_with_doubling) {
  set(usual);
  channel(worker, "w");
  pcall *c = channel(caller, "c");
  for (int i = 0; i < 5; i++) denied(worker, "RegisterAgent", "w", register_bytes(i % 2 ? "one" : "two"));
  CHECK_INT(stage_logged(s, "access.denied"), ==, 3);
  has(stage_line(s, "access.denied"), "client=w reason=\"token:w may not (register = one in the host's rights would grant it)\" count=4");
  denied(worker, "AddSubscription", "w", subscription_bytes("4", 2, "other", "echo"));
  has(stage_line(s, "access.denied"), "token:w may not (subscribe = other");
  say(c, request("1", "echo", "2", "hi"));
  expect_error(c, "1", "permission_denied: ");
  has(stage_line(s, "access.denied"), "client=c reason=\"token:c may not (call = echo/2");
  CHECK_INT(stage_logged(s, "access.denied"), ==, 5);
  stage_free(s);
}

CHECK_CASE(the_nearest_type_is_named_to_who_may_call_it) {
  set("[token:w]\nregister = *\n[token:c]\ncall = greetr/* greeter/1\nsender = asker\n");
  channel(worker, "w");
  pcall *c = channel(caller, "c");
  reg(worker, "w", "greeter");
  say(c, request("1", "greetr", "1", "hi"));
  expect_error(c, "1", "not_found: agent type greetr is not registered (did you mean greeter?)");
  say(c, request("2", "greetr", "2", "hi"));
  CHECK_TEXT(error_of(hear(c)), "not_found: agent type greetr is not registered");
  stage_free(s);
}

/* ---- operators ---- */

static tr_visitor *visitor;
static int questions, gone;

static void *on_asked(void *ud, tr_visitor *it, tr_slice bytes) {
  (void)ud;
  CHECK_SLICE(bytes, "\012\002ps");
  questions++;
  return (visitor = it);
}
static void on_unasked(void *ud, void *question) {
  (void)ud;
  CHECK(question != NULL);
  visitor = NULL;
  gone++;
}

static void set_operators(const char *file, tr_right operators) {
  tr_host_options tweaks = { .identify = identify, .asked = on_asked, .unasked = on_unasked, .operators = operators };
  s = stage_new(&tweaks);
  if (file) guard(file);
  questions = gone = 0;
}

/* A question without a client-id. */
static pcall *ask(peer *p) {
  pcall *c = call_open(p, "/troupe.Admin/Ask", NULL, NULL, 0);
  say(c, pb_string(1, "ps"));
  tr_rpc_half_close(c->call);
  stage_run(s);
  return c;
}

static void may_not(tr_right right, const char *why) {
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_visitor_may(visitor, right, &error), ==, TR_EPERMISSION);
  CHECK_STR(error.text, why);
}

CHECK_CASE(operators_at_a_door_need_a_right) {
  set_operators(NULL, 0);
  pcall *c = ask(peer_new(s, "127.0.0.1:1", NULL));
  may_not(TR_RIGHT_OBSERVE, "operators may not by this door (observe = yes in the host's --rights, or its --operators observe, would grant it)");
  tr_visitor_end(visitor, TR_GRPC_PERMISSION_DENIED, "no");
  hear_end(c, TR_GRPC_PERMISSION_DENIED, "no");
  CHECK_INT(gone, ==, 1);
  stage_free(s);
  set_operators(NULL, TR_RIGHT_OPERATE);
  ask(peer_new(s, "127.0.0.1:1", NULL));
  CHECK_INT(tr_visitor_may(visitor, TR_RIGHT_OPERATE, NULL), ==, 0);
  may_not(TR_RIGHT_EVALUATE, "operators may not by this door (evaluate = yes in the host's --rights, or its --operators evaluate, would grant it)");
  ask(peer_new(s, "unix", NULL));
  CHECK_INT(tr_visitor_may(visitor, TR_RIGHT_OBSERVE, NULL), ==, 0);
  ask(peer_new(s, "10.0.0.1:1", NULL));
  may_not(TR_RIGHT_OPERATE, "anonymous may not from another machine (a token, a certificate, or operate = yes in the host's rights would grant it)");
  guard(NULL); /* now it is asked who they are */
  ask(peer_new(s, "10.0.0.1:2", "who/token:w"));
  CHECK_INT(tr_visitor_may(visitor, TR_RIGHT_OPERATE, NULL), ==, 0);
  visitor = NULL; /* of several one is looked at */
  stage_free(s);
}

CHECK_CASE(an_operators_question_is_answered_or_its_asker_goes) {
  set_operators("[token:w]\nobserve = yes\n", 0);
  pcall *c = ask(peer_new(s, "10.0.0.1:1", "who/token:w"));
  CHECK_INT(tr_visitor_may(visitor, TR_RIGHT_OBSERVE, NULL), ==, 0);
  may_not(TR_RIGHT_OPERATE, "token:w may not (operate = yes in the host's rights would grant it)");
  stage_sleep(s, TR_SECONDS(120)); /* an answer may take its time */
  tr_blob *frame = tr_rpc_frame(check_mem(), pb_string(1, "{}"));
  CHECK(tr_visitor_send(visitor, frame));
  tr_blob_unref(frame);
  CHECK_TEXT(pb_get(hear(c), 1), "{}");
  CHECK_INT(tr_visitor_queued(visitor), ==, 0);
  tr_visitor_end(visitor, TR_GRPC_OK, "");
  hear_end(c, TR_GRPC_OK, NULL);
  CHECK_INT(gone, ==, 1);
  peer *p = peer_new(s, "10.0.0.1:2", "who/token:w");
  ask(p);
  peer_cut(p);
  stage_run(s);
  CHECK_INT(gone, ==, 2);
  hear_end(call_open(peer_new(s, "10.0.0.2:1", "who/token:x"), "/troupe.Admin/Ask", NULL, NULL, 0), TR_GRPC_PERMISSION_DENIED, "nothing is granted to token:x");
  CHECK_INT(questions, ==, 2);
  stage_free(s);
}

CHECK_CASE(an_operators_question_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_host_options tweaks = { .asked = on_asked, .unasked = on_unasked, .operators = TR_RIGHT_OBSERVE };
    s = stage_new(&tweaks);
    if (!s) continue;
    peer *p = peer_new(s, "127.0.0.1:1", NULL);
    questions = gone = 0;
    visitor = NULL;
    if (p) ask(p);
    if (visitor) tr_visitor_may(visitor, TR_RIGHT_OBSERVE, NULL);
    stage_free(s);
    CHECK_INT(gone, ==, questions);
  }
}

static tr_slice from(const char *id, const char *type, const char *key) {
  return request_with(id, "echo", "1", "hi", pb_field(2, agent(type, key)));
}

CHECK_CASE(a_sender_is_whom_it_may_be) {
  set("[token:w]\nregister = echo\n[token:c]\ncall = *\nsender = me/1 asker\n");
  pcall *w = channel(worker, "w"), *c = channel(caller, "c");
  reg(worker, "w", "echo");
  say(c, from("1", "me", "1"));
  serve(w, "ho");
  expect_answer(c, "1", "ho");
  say(c, from("2", "me", "2"));
  expect_error(c, "2", "permission_denied: token:c may not (sender = me/2");
  say(c, from("3", "unknown", "unknown")); /* nobody in particular */
  serve(w, "ho");
  expect_answer(c, "3", "ho");
  say(c, request_with("4", "echo", "1", "{}", metadata("troupe-as", "state")));
  expect_error(c, "4", "permission_denied: token:c may not (control = yes");
  stage_free(s);
}

CHECK_CASE(who_is_not_known_is_turned_away_where_anonymous_has_nothing) {
  set(usual);
  peer *nobody = peer_new(s, "10.0.0.3:1", NULL), *bad = peer_new(s, "10.0.0.4:1", "who/bad"), *other = peer_new(s, "10.0.0.5:1", "who/token:x");
  hear_end(call_open(nobody, "OpenChannel", "n", NULL, 0), TR_GRPC_UNAUTHENTICATED, NULL);
  hear_end(call_open(bad, "OpenChannel", "n", NULL, 0), TR_GRPC_UNAUTHENTICATED, "a bad token");
  hear_end(call_open(other, "OpenChannel", "n", NULL, 0), TR_GRPC_PERMISSION_DENIED, "nothing is granted to token:x");
  CHECK_INT(unary(other, "GetSubscriptions", "n", (tr_slice){ NULL, 0 }), ==, TR_GRPC_PERMISSION_DENIED);
  has(stage_line(s, "access.refused"), "peer=10.0.0.5"); /* the fourth: with doubling */
  CHECK_INT(stage_stats(s).clients, ==, 0);
  guard("[anonymous]\ncall = x\n");
  channel(nobody, "n");
  CHECK_INT(stage_stats(s).clients, ==, 1);
  stage_free(s);
}

CHECK_CASE(a_client_id_is_its_first_users) {
  set(NULL);
  channel(worker, "w");
  reg(worker, "w", "echo");
  hear_end(call_open(caller, "OpenChannel", "w", NULL, 0), TR_GRPC_PERMISSION_DENIED, "this client-id belongs to another than token:c");
  has(denied(caller, "RegisterAgent", "w", register_bytes("mine")), "belongs to another");
  hear_end(call_open(caller, "OpenControlChannel", "w", NULL, 0), TR_GRPC_PERMISSION_DENIED, NULL);
  peer *again = peer_new(s, "10.0.0.9:1", "who/token:w,cert:new"); /* the same by its first name */
  CHECK_INT(unary(again, "RegisterAgent", "w", register_bytes("second")), ==, 0);
  stage_free(s);
}

CHECK_CASE(rights_that_change_end_only_what_they_forbid) {
  set(usual);
  pcall *w = channel(worker, "w"), *c = channel(caller, "c");
  reg(worker, "w", "echo");
  sub(worker, "w", "1", "news", "echo");
  say(c, request("1", "echo", "1", "hi"));
  serve(w, "ho");
  expect_answer(c, "1", "ho");
  guard("[token:w]\nregister = echo\nsubscribe = news\n[token:c]\nsubscribe = news\n");
  CHECK(!w->closed && !c->closed);
  say(c, request("2", "echo", "1", "hi"));
  expect_error(c, "2", "permission_denied: ");
  guard("[token:w]\nregister = echo\n[token:c]\ncall = *\nsender=*"); /* no subscription any more */
  hear_end(w, TR_GRPC_PERMISSION_DENIED, NULL);
  CHECK(!c->closed);
  has(stage_line(s, "access.withdrawn"), "subscribe = news");
  say(c, request("3", "echo", "1", "hi"));
  expect_error(c, "3", "not_found");
  withdrawn = "token:c,cert:other";
  guard(NULL);
  hear_end(c, TR_GRPC_UNAUTHENTICATED, "a bad token");
  stage_free(s);
}

CHECK_CASE(answers_about_rights_are_remembered_apart) {
  set("[token:c]\ncall = a* b/1\npublish = b\n[token:w]\ncall=x\n");
  channel(caller, "c");
  tr_client *client = tr_client_find(s->host, TR_SLICE_LITERAL("c"));
  for (int round = 0; round < 3; round++) { /* more than the cache holds, so each way */
    for (int i = 0; i < 100; i++) {
      char name[20], key[20];
      snprintf(name, sizeof name, "%c%d", i % 2 ? 'a' : 'b', i);
      snprintf(key, sizeof key, "%d", i % 3);
      CHECK_INT(tr_access_check(client, TR_RIGHT_CALL, tr_slice_of(name), tr_slice_of(key)), ==, i % 2);
      CHECK_INT(tr_access_check(client, TR_RIGHT_CALL, TR_SLICE_LITERAL("b"), tr_slice_of(key)), ==, i % 3 == 1);
      CHECK(tr_access_check(client, TR_RIGHT_PUBLISH, TR_SLICE_LITERAL("b"), tr_slice_of(key)));
      CHECK(!tr_access_check(client, TR_RIGHT_PUBLISH, tr_slice_of(name), tr_slice_of(key)));
    }
    CHECK(tr_access_check(client, TR_RIGHT_CALL, text("a%s", big(200)), TR_SLICE_LITERAL("x"))); /* longer than what is kept */
  }
  stage_free(s);
}

CHECK_CASE(access_lives_through_each_failed_allocation) {
  tr_slice message = request("1", "echo", "1", "hi");
  CHECK_EACH_ALLOCATION_FAILS {
    tr_host_options tweaks = { .identify = identify };
    s = stage_new(&tweaks);
    tr_rights *rights = NULL;
    int rc = s ? tr_rights_parse(check_mem(), tr_slice_of(usual), "rights", &rights, NULL) : TR_EMEMORY;
    if (rc == 0) tr_host_guard(s->host, true, rights);
    peer *p = rc == 0 ? peer_new(s, "10.0.0.2:1", "who/token:c,cert:other") : NULL;
    pcall *c = p ? call_open(p, "OpenChannel", "c", NULL, 0) : NULL;
    if (c) {
      stage_run(s);
      tr_blob *frame = c->call ? tr_rpc_frame(&s->mem, message) : NULL;
      if (frame) tr_rpc_send(c->call, frame);
      tr_blob_unref(frame);
      stage_run(s);
      tr_host_guard(s->host, true, rights);
      stage_run(s);
    }
    tr_rights_unref(rights);
    if (s) stage_free(s);
  }
}
