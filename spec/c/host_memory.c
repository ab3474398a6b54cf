/* SPDX-License-Identifier: MIT
 * Every allocation refused once: nothing leaks, nothing is lost for ever, and every request still ends in an answer (the caller's
 * own timeout aside where it was its message that could not be taken in). */
#include "host_peer.h"

/* say(), on a call that may be over. */
static void try_say(pcall *c, tr_slice message) {
  tr_blob *frame = c->call ? tr_rpc_frame(&c->on->on->mem, message) : NULL;
  if (frame) tr_rpc_send(c->call, frame);
  tr_blob_unref(frame);
}

static int open_to(peer *p, const char *id, pcall **out) {
  *out = call_open(p, "OpenChannel", id, NULL, 0);
  stage_run(p->on);
  return (*out)->closed;
}

static bool quiet_unary(peer *p, const char *method, const char *id, tr_slice bytes) {
  pcall *c = call_open(p, method, id, NULL, 0);
  try_say(c, bytes);
  if (c->call) tr_rpc_half_close(c->call);
  stage_run(p->on);
  return c->closed && c->status == 0;
}

/* One of everything, with whatever fails tolerated. */
static void everything(stage *s) {
  peer *p = peer_new(s, "10.0.0.1:1", NULL), *q = peer_new(s, "10.0.0.2:1", NULL);
  if (!p || !q) return;
  pcall *a, *b;
  if (open_to(p, "a", &a) || open_to(q, "b", &b)) return;
  pcall *c = call_open(p, "OpenControlChannel", "a", NULL, 0);
  try_say(c, join(pb_string(1, "1"), pb_string(2, "clientid=a")));
  quiet_unary(p, "RegisterAgent", "b", register_bytes("t"));
  quiet_unary(q, "AddSubscription", "b", subscription_bytes("1", 2, "x", "t"));
  quiet_unary(q, "GetSubscriptions", "b", (tr_slice){ NULL, 0 });
  if (!a->call || !b->call) return;
  try_say(a, request("0123456789012345678901234567890123456789", "t", "k", "1"));
  try_say(a, event("x", "k", "{}"));
  try_say(a, request_with("2", "t", "k", "1", metadata("priority", "high")));
  try_say(a, request("2", "none", "k", "1"));
  stage_run(s);
  while (b->call && b->first) {
    tr_slice message = hear(b);
    if (pb_count(message, 1)) try_say(b, response(request_id(message), "2"));
  }
  stage_run(s);
  if (b->call) cancel(b);
  if (a->call) try_say(a, event("x", "k", "{}"));
  stage_run(s);
  if (q->conn && open_to(q, "b", &b)) return;
  quiet_unary(q, "RegisterAgent", "b", register_bytes("t"));
  quiet_unary(q, "AddSubscription", "b", subscription_bytes("1", 2, "x", "t"));
  stage_sleep(s, TR_SECONDS(1));
  tr_host_drain(s->host, s->now);
  stage_sleep(s, TR_SECONDS(5));
}

CHECK_CASE(each_allocation_fails_and_nothing_leaks) {
  CHECK_EACH_ALLOCATION_FAILS {
    stage *s = stage_new(NULL);
    if (!s) {
      CHECK(check_mem_refused());
      continue;
    }
    everything(s);
    stage_free(s);
  }
}

/* Only what happens after the requests are under way is refused memory. */
CHECK_CASE(requests_are_answered_though_an_allocation_fails) {
  for (size_t n = 1; n < 60; n++) {
    stage *s = stage_new(NULL);
    peer *p = peer_new(s, "10.0.0.1:1", NULL);
    pcall *a = channel(p, "a"), *b = channel(p, "b");
    reg(p, "b", "t");
    try_say(a, request("1", "t", "k", "1"));
    tr_slice there = hear(b);
    check_mem_fail_at(n);
    try_say(a, request("2", "none", "k", "1"));
    if (n % 2) try_say(b, response(request_id(there), "2"));
    else tr_rpc_cancel(b->call);
    stage_run(s);
    check_mem_fail_at(0);
    stage_sleep(s, TR_SECONDS(601));
    if (!a->closed) CHECK_INT(a->count, ==, 2);
    CHECK_INT(stage_stats(s).pending_requests, ==, 0);
    stage_free(s);
  }
}

CHECK_CASE(each_allocation_fails_of_a_late_subscribers_events) {
  CHECK_EACH_ALLOCATION_FAILS {
    stage *s = stage_new(NULL);
    tr_error error;
    if (!s) continue;
    tr_error_init(&error);
    peer *p = tr_host_retain(s->host, tr_slice_of("news"), 2, &error) == 0 ? peer_new(s, "10.0.0.1:1", NULL) : NULL;
    pcall *from, *late;
    if (p && !open_to(p, "from", &from) && !open_to(p, "late", &late)) {
      for (int i = 0; i < 3; i++, stage_run(s)) try_say(from, event("news", "k", "1"));
      quiet_unary(p, "RegisterAgent", "late", register_bytes("t"));
      quiet_unary(p, "AddSubscription", "late", subscription_bytes("1", 2, "news", "t"));
      stage_sleep(s, TR_MILLISECONDS(110));
      if (!check_mem_refused()) CHECK_INT(late->count, ==, 2);
    }
    stage_free(s);
  }
}

/* ---- types that several clients have ---- */

static bool reg_shared(peer *p, const char *id) {
  tr_rpc_header shared = { TR_SLICE_LITERAL("troupe-shared"), TR_SLICE_LITERAL("1") };
  pcall *c = call_open(p, "RegisterAgent", id, &shared, 1);
  try_say(c, register_bytes("t"));
  if (c->call) tr_rpc_half_close(c->call);
  stage_run(p->on);
  c = call_open(p, "AddSubscription", id, &shared, 1);
  try_say(c, subscription_bytes(id, 2, "x", "t"));
  if (c->call) tr_rpc_half_close(c->call);
  stage_run(p->on);
  return c->closed;
}

static tr_slice answer_note(tr_slice id, unsigned kind) {
  return pb_field(15, join(join(pb_field(1, id), pb_field(2, pb_string(3, "its state"))), text("%c%c", 5 << 3, (int)kind)));
}

/* Answers whatever the host asks of a worker, moves too. */
static void work(pcall *worker) {
  while (worker->call && worker->first) {
    tr_slice message = hear(worker), note = pb_get(message, 15);
    bool leave = note.n && !pb_get(pb_get(note, 2), 3).n;
    if (note.n) try_say(worker, answer_note(pb_get(note, 1), leave ? 6 : 8));
    else if (pb_count(message, 1)) try_say(worker, response(request_id(message), "2"));
  }
}

CHECK_CASE(each_allocation_fails_of_types_that_are_shared) {
  CHECK_EACH_ALLOCATION_FAILS {
    stage *s = stage_new(NULL);
    peer *p[3] = { NULL };
    pcall *c[3] = { NULL };
    for (int i = 0; s && i < 3; i++) {
      if (!(p[i] = peer_new(s, "10.0.0.1:1", NULL))) break;
      c[i] = troupe_channel(p[i], i == 0 ? "a" : i == 1 ? "b" : "c");
      reg_shared(p[i], i == 0 ? "a" : i == 1 ? "b" : "c");
      for (int n = 0; i < 2 && n < 6; n++) {
        try_say(c[0], request(text("%d", n).p, "t", text("k%d", n).p, "1"));
        try_say(c[0], event("x", text("k%d", n).p, "{}"));
        stage_run(s);
        for (int w = 0; w <= i; w++) work(c[w]);
      }
    }
    for (int round = 0; s && c[2] && round < 6; round++) {
      try_say(c[0], request(text("r%d", round).p, "t", text("k%d", round).p, "1")); /* some wait for their id to move */
      try_say(c[0], event("x", text("k%d", round).p, "{}"));
      stage_run(s);
      for (int w = 0; w < 3; w++) work(c[w]);
      if (round == 4) peer_cut(p[1]), c[1]->call = NULL;
    }
    if (!s) continue;
    stage_sleep(s, TR_SECONDS(40));
    stage_free(s);
  }
}
