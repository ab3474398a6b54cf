/* SPDX-License-Identifier: MIT
 * The host beside agents of its own process: requests both ways, events both ways. */
#include "host_peer.h"

static stage *s;
static peer *p;

static void set(const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

/* ---- a class in C ---- */

static struct { unsigned runs, events, sends; char body[64], source[64]; tr_turn *waiting; } seen;

static int make(void *ud, tr_agent *agent_, tr_error *error) {
  (void)ud;
  (void)agent_;
  (void)error;
  return 0;
}

static tr_body json(const char *bytes) {
  tr_body body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(check_mem(), tr_slice_of(bytes)) };
  return body;
}

static int run(void *ud, tr_turn *turn) {
  (void)ud;
  seen.runs++;
  tr_slice body = tr_blob_view(turn->msg->body.bytes);
  strncpy(seen.body, text("%.*s", (int)(body.n < 60 ? body.n : 60), body.p ? body.p : "").p, sizeof seen.body - 1);
  if (turn->msg->kind == TR_MSG_EVENT) seen.events++;
  if (turn->msg->kind == TR_MSG_SEND) seen.sends++;
  if (tr_slice_is(body, "\"wait\"") && !turn->started) {
    seen.waiting = turn;
    turn->started = true;
    return TR_RUN_WAIT;
  }
  if (tr_slice_is(body, "\"wait\"") && turn->user == NULL) {
    seen.waiting = turn;
    turn->user = &seen;
    return TR_RUN_WAIT;
  }
  if (tr_slice_is(body, "\"fail\"")) {
    tr_turn_fail(turn, TR_EHANDLER, "it raised");
    return TR_RUN_DONE;
  }
  tr_name *type = tr_name_new(tr_core_names(s->core), TR_SLICE_LITERAL("Echo"));
  tr_body reply = tr_slice_is(body, "\"big\"") ? json(big(20000)) : json("\"echoed\"");
  tr_turn_reply(turn, type, &reply);
  tr_name_unref(type);
  return TR_RUN_DONE;
}

static void cancel_turn(void *ud, tr_turn *turn) {
  (void)ud;
  (void)turn;
}
static void drop(void *ud, tr_agent *agent_) {
  (void)ud;
  (void)agent_;
}
static const tr_class_ops ops = { make, run, cancel_turn, drop, NULL, NULL };

static tr_class *local_class(const char *type, uint32_t mailbox) {
  tr_class_options options = { .type = tr_slice_of(type), .ops = &ops, .mailbox_limit = mailbox };
  tr_class *class_ = NULL;
  tr_error error;
  tr_error_init(&error);
  CHECK_INT(tr_core_add_class(s->core, &options, &class_, &error), ==, 0);
  return class_;
}

/* ---- client → local agent ---- */

CHECK_CASE(a_client_calls_an_agent_of_this_process) {
  set(NULL);
  local_class("echo", 0);
  pcall *a = channel(p, "a");
  say(a, request("1", "echo", "k", "\"hi\""));
  expect_answer(a, "1", "\"echoed\"");
  CHECK_STR(seen.body, "\"hi\"");
  say(a, request("2", "echo", "k", "\"fail\""));
  expect_error(a, "2", "handler_error: it raised");
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  CHECK_INT(unary(p, "RegisterAgent", "a", register_bytes("echo")), ==, 3);
  stage_free(s);
}

CHECK_CASE(a_local_agents_answer_outlives_neither_its_time_nor_its_caller) {
  tr_host_options o = { .call_timeout = TR_SECONDS(5) };
  set(&o);
  local_class("echo", 0);
  pcall *a = channel(p, "a");
  say(a, request("1", "echo", "k", "\"wait\""));
  stage_run(s);
  CHECK_INT(stage_stats(s).pending_requests, ==, 1);
  stage_sleep(s, TR_SECONDS(6));
  expect_error(a, "1", "timeout: ");
  CHECK(silent(a));
  say(a, request("2", "echo", "k2", "\"wait\""));
  stage_run(s);
  cancel(a);
  stage_sleep(s, TR_SECONDS(31));
  CHECK_INT(stage_stats(s).clients, ==, 0);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(the_host_may_go_before_its_agents) {
  set(NULL);
  local_class("echo", 0);
  pcall *a = channel(p, "a");
  say(a, request("1", "echo", "k", "\"wait\"")); /* still open when the host is freed, answered when the core is */
  stage_run(s);
  stage_free(s);
}

CHECK_CASE(an_oversize_local_answer_is_an_error) {
  tr_host_options o = { .max_message = 10000 };
  set(&o);
  local_class("echo", 0);
  pcall *a = channel(p, "a");
  say(a, request("1", "echo", "k", "\"big\""));
  expect_error(a, "1", "too_large: ");
  stage_free(s);
}

CHECK_CASE(a_full_mailbox_is_overloaded) {
  set(NULL);
  local_class("echo", 1);
  pcall *a = channel(p, "a");
  say(a, request("1", "echo", "k", "\"wait\""));
  stage_run(s);
  say(a, request("2", "echo", "k", "1"));
  say(a, request("3", "echo", "k", "1"));
  stage_run(s);
  expect_error(a, "3", "overloaded: ");
  CHECK(silent(a));
  stage_free(s);
}

CHECK_CASE(a_one_way_request_to_a_local_agent_is_a_send) {
  set(NULL);
  local_class("echo", 0);
  pcall *a = troupe_channel(p, "a");
  say(a, request_with("1", "echo", "k", "1", metadata("troupe-oneway", "1")));
  tr_slice back = hear(a);
  CHECK_TEXT(request_id(back), "1");
  CHECK_INT(error_of(back).n, ==, 0);
  stage_run(s);
  CHECK_INT(seen.sends, ==, 1);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_one_way_request_that_finds_no_room_is_told) {
  set(NULL);
  local_class("echo", 1);
  pcall *a = troupe_channel(p, "a");
  say(a, request("1", "echo", "k", "\"wait\""));
  stage_run(s);
  say(a, request("2", "echo", "k", "1"));
  say(a, request_with("3", "echo", "k", "1", metadata("troupe-oneway", "1")));
  expect_error(a, "3", "overloaded: ");
  stage_free(s);
}

CHECK_CASE(a_json_answer_of_a_local_agent_is_withheld_from_dotnet) {
  set(NULL);
  local_class("echo", 0);
  peer *q = peer_new(s, "10.0.0.3:1", "grpc-dotnet/2.62.0");
  pcall *d = channel(q, "d");
  say(d, request("1", "echo", "k", "1"));
  CHECK(silent(d) && !d->closed);
  CHECK_INT(stage_stats(s).withheld, ==, 1);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(an_undecodable_request_to_a_local_agent_is_invalid) {
  set(NULL);
  local_class("echo", 0);
  pcall *a = channel(p, "a");
  tr_slice r = join(pb_string(1, "1"), pb_field(3, agent("echo", "k")));
  say(a, pb_field(1, join(r, pb_field(5, payload("\xff\xfe", "application/json", "1")))));
  expect_error(a, "1", "invalid: ");
  stage_free(s);
}

/* ---- local agent → client ---- */

static struct { unsigned count; int code; char body[64], error[128]; } answer;

static void on_answer(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  answer.count++;
  answer.code = reply->code;
  tr_slice body = reply->body.kind == TR_BODY_BYTES ? tr_blob_view(reply->body.bytes) : (tr_slice){ NULL, 0 };
  memcpy(answer.body, text("%.*s", (int)(body.n < 60 ? body.n : 60), body.p ? body.p : "").p, sizeof answer.body - 1);
  tr_slice error = reply->error;
  memcpy(answer.error, text("%.*s", (int)(error.n < 120 ? error.n : 120), error.p ? error.p : "").p, sizeof answer.error - 1);
}

static tr_msg *message(tr_msg_kind kind, const char *type, const char *key, const char *body) {
  tr_names *names = tr_core_names(s->core);
  tr_msg *msg = tr_msg_new(s->core, kind);
  msg->type = tr_name_new(names, TR_SLICE_LITERAL("Ask"));
  msg->target_type = tr_name_new(names, tr_slice_of(type));
  msg->target_key = tr_name_new(names, tr_slice_of(key));
  msg->body = json(body);
  return msg;
}

static void ask(const char *type, const char *body) {
  memset(&answer, 0, sizeof answer);
  tr_core_call(s->core, message(TR_MSG_REQUEST, type, "k", body), on_answer, NULL);
}

CHECK_CASE(an_agent_of_this_process_calls_a_client) {
  set(NULL);
  pcall *worker = channel(p, "worker");
  reg(p, "worker", "t");
  ask("t", "\"q\"");
  tr_slice there = hear(worker);
  CHECK_TEXT(body_of(there), "\"q\"");
  CHECK_INT(request_id(there).n, ==, 16);
  say(worker, response(request_id(there), "\"a\""));
  stage_run(s);
  CHECK_INT(answer.count, ==, 1);
  CHECK_INT(answer.code, ==, 0);
  CHECK_STR(answer.body, "\"a\"");
  ask("t", "\"q\"");
  say(worker, error_response(request_id(hear(worker)), "it said no"));
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EHANDLER);
  CHECK_STR(answer.error, "it said no");
  ask("t", "\"q\"");
  say(worker, pb_field(2, join(pb_field(1, request_id(hear(worker))), pb_field(2, payload("\xff", "x", "1")))));
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EINVALID);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_local_call_to_a_client_that_cannot_answer_fails) {
  tr_host_options o = { .max_message = 10000, .session_bytes = 8000, .call_timeout = TR_SECONDS(5) };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *worker = channel(q, "worker");
  reg(p, "worker", "t");
  ask("t", "1");
  cancel(worker);
  CHECK_INT(answer.code, ==, TR_EUNAVAILABLE);
  ask("t", "1"); /* away */
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EUNAVAILABLE);
  worker = channel(q, "worker");
  ask("t", big(10000));
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_ETOO_LARGE);
  q->stalled = true;
  ask("t", big(5000));
  stage_run(s);
  CHECK_INT(answer.count, ==, 0);
  ask("t", big(5000));
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EOVERLOADED);
  memset(&answer, 0, sizeof answer);
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(answer.code, ==, TR_ETIMEOUT);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_send_to_a_client_expects_nothing_and_its_errors_are_dead_letters) {
  set(NULL);
  pcall *worker = channel(p, "worker");
  reg(p, "worker", "t");
  tr_core_post(s->core, message(TR_MSG_SEND, "t", "k", "1"));
  tr_slice there = hear(worker);
  CHECK_INT(pb_count(pb_get(there, 1), 6), >=, 1); /* troupe-oneway */
  say(worker, response(request_id(there), "null"));
  stage_run(s);
  CHECK_INT(s->dead_letters, ==, 0);
  tr_core_post(s->core, message(TR_MSG_SEND, "t", "k", "1"));
  say(worker, error_response(request_id(hear(worker)), "no"));
  stage_run(s);
  CHECK_INT(s->dead_letters, ==, 1);
  tr_core_post(s->core, message(TR_MSG_SEND, "t", "k", "1"));
  hear(worker);
  stage_sleep(s, TR_SECONDS(31)); /* no answer is fine */
  CHECK_INT(s->dead_letters, ==, 1);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  cancel(worker);
  tr_core_post(s->core, message(TR_MSG_SEND, "t", "k", "1"));
  stage_run(s);
  CHECK_INT(s->dead_letters, ==, 2);
  CHECK_INT(s->dead_code, ==, TR_EUNAVAILABLE);
  stage_free(s);
}

CHECK_CASE(an_open_local_call_fails_when_the_host_goes) {
  set(NULL);
  pcall *worker = channel(p, "worker");
  reg(p, "worker", "t");
  ask("t", "1");
  hear(worker);
  stage_free(s);
  CHECK_INT(answer.code, ==, TR_EUNAVAILABLE);
}

CHECK_CASE(a_local_call_to_a_client_without_a_stream_yet_fails) {
  set(NULL);
  reg(p, "worker", "t");
  ask("t", "1");
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EUNAVAILABLE);
  tr_core_post(s->core, message(TR_MSG_SEND, "t", "k", "1"));
  CHECK_INT(s->dead_code, ==, TR_EUNAVAILABLE);
  stage_free(s);
}

static int cannot_encode(void *ud, uint32_t slot, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud;
  (void)slot;
  (void)format;
  (void)out;
  return tr_error_set(error, TR_EINVALID, "field x is a function");
}
static void release(void *ud, uint32_t slot) {
  (void)ud;
  (void)slot;
}

CHECK_CASE(a_local_body_that_cannot_be_encoded_goes_nowhere) {
  set(NULL);
  tr_body_ops slots = { .release = release, .encode = cannot_encode };
  tr_core_set_body_ops(s->core, &slots);
  pcall *a = channel(p, "a");
  reg(p, "a", "t");
  sub(p, "a", "1", "x", "t");
  tr_msg *msg = message(TR_MSG_EVENT, "x", "k", "1");
  tr_body_release(s->core, &msg->body);
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = 7 };
  tr_core_post(s->core, msg);
  CHECK_INT(s->dead_code, ==, TR_EINVALID);
  msg = message(TR_MSG_REQUEST, "t", "k", "1");
  tr_body_release(s->core, &msg->body);
  msg->body = (tr_body){ .kind = TR_BODY_SLOT, .slot = 7 };
  tr_core_call(s->core, msg, on_answer, NULL);
  stage_run(s);
  CHECK_INT(answer.code, ==, TR_EINVALID);
  CHECK_STR(answer.error, "field x is a function");
  CHECK(silent(a));
  stage_free(s);
}

/* ---- events ---- */

static unsigned tapped;

static void on_event(void *ud, tr_msg *msg) {
  (void)ud;
  (void)msg;
  tapped++;
}

CHECK_CASE(taps_get_the_events_of_clients) {
  set(NULL);
  pcall *a = channel(p, "a");
  uint64_t id = 0;
  say(a, event("x.1", "k", "{}"));
  stage_run(s);
  CHECK_INT(tr_core_tap(s->core, TR_SUB_PREFIX, TR_SLICE_LITERAL("x."), on_event, NULL, &id), ==, 0);
  say(a, event("x.2", "k", "{}"));
  say(a, event("y", "k", "{}"));
  stage_run(s);
  CHECK_INT(tapped, ==, 1);
  CHECK(tr_core_tapped(s->core, TR_SLICE_LITERAL("x.3")) && !tr_core_tapped(s->core, TR_SLICE_LITERAL("y")));
  CHECK_INT(tr_core_untap(s->core, id), ==, 0);
  say(a, event("x.3", "k", "{}"));
  stage_run(s);
  CHECK_INT(tapped, ==, 1);
  CHECK(!tr_core_tapped(s->core, TR_SLICE_LITERAL("x.3")));
  stage_free(s);
}

CHECK_CASE(an_undecodable_event_is_lost_to_local_agents_only) {
  set(NULL);
  tr_class *class_ = local_class("echo", 0);
  tr_local_sub_options want = { .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("x") };
  CHECK_INT(tr_class_subscribe(class_, &want, NULL, NULL), ==, 0);
  pcall *a = troupe_channel(p, "a"); /* whose messages are not looked into */
  reg(p, "a", "t");
  sub(p, "a", "1", "x", "t");
  tr_slice bad = pb_field(5, join(pb_string(1, "\xff\xfe"), pb_field(2, pb_string(3, "v"))));
  tr_slice whole = event("x", "k", "1"), inner_ = pb_get(whole, 3);
  say(a, pb_field(3, join(inner_, bad)));
  CHECK_TEXT(topic_of(hear(a)), "x");
  CHECK_INT(seen.events, ==, 0);
  CHECK_INT(stage_stats(s).dead_letters, ==, 1);
  stage_free(s);
}

CHECK_CASE(events_go_both_ways_between_clients_and_local_agents) {
  set(NULL);
  tr_class *class_ = local_class("echo", 0);
  tr_local_sub_options want = { .kind = TR_SUB_TYPE, .topic = TR_SLICE_LITERAL("x") };
  CHECK_INT(tr_class_subscribe(class_, &want, NULL, NULL), ==, 0);
  pcall *a = channel(p, "a"), *b = channel(p, "b");
  reg(p, "a", "ta");
  reg(p, "b", "tb");
  sub(p, "a", "1", "x", "ta");
  sub(p, "b", "2", "x", "tb");
  CHECK_INT(count_subscriptions(p), ==, 3);
  say(a, event("x", "src", "\"from a\""));
  hear(a);
  hear(b);
  CHECK_INT(seen.events, ==, 1);
  CHECK_STR(seen.body, "\"from a\"");
  tr_msg *msg = message(TR_MSG_EVENT, "x", "src", "\"from here\"");
  tr_core_post(s->core, msg);
  tr_slice at_a = hear(a), at_b = hear(b);
  CHECK_TEXT(body_of(at_a), "\"from here\"");
  CHECK_MEM(at_a.p, at_a.n, at_b.p, at_b.n);
  CHECK_TEXT(topic_of(at_a), "x");
  CHECK_INT(seen.events, ==, 2);
  CHECK(silent(a) && silent(b));
  stage_free(s);
}

CHECK_CASE(a_local_event_that_a_client_cannot_take_is_a_dead_letter) {
  tr_host_options o = { .max_message = 10000, .session_bytes = 8000 };
  set(&o);
  peer *q = peer_new(s, "10.0.0.2:1", NULL), *r = peer_new(s, "10.0.0.3:1", "grpc-dotnet/2.62.0");
  pcall *a = channel(q, "a"), *d = channel(r, "d");
  reg(p, "a", "ta");
  sub(p, "a", "1", "x", "ta");
  tr_core_post(s->core, message(TR_MSG_EVENT, "x", "k", big(10000)));
  stage_run(s);
  CHECK_INT(s->dead_code, ==, TR_ETOO_LARGE);
  q->stalled = true;
  tr_core_post(s->core, message(TR_MSG_EVENT, "x", "k", big(5000)));
  tr_core_post(s->core, message(TR_MSG_EVENT, "x", "k", big(5000)));
  stage_run(s);
  CHECK_INT(s->dead_letters, ==, 2);
  CHECK_INT(s->dead_code, ==, TR_EOVERLOADED);
  q->stalled = false;
  q->dirty = true;
  hear(a);
  CHECK(silent(a));
  reg(r, "d", "td");
  sub(r, "d", "2", "y", "td");
  tr_core_post(s->core, message(TR_MSG_EVENT, "y", "k", "1"));
  CHECK(silent(d));
  CHECK_INT(stage_stats(s).withheld, ==, 1);
  stage_free(s);
}
