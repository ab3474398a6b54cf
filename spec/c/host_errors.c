/* SPDX-License-Identifier: MIT
 * Whatever happens between a request and its answer: the caller has an error with a code within the deadline, nothing is left open. A .NET
 * caller, which no error can be given to, has none: it is withheld and counted, and its stream lives. Each row with each kind of caller. */
#include "host_peer.h"

#include <stdio.h>

static stage *s;
static peer *near, *far;
static pcall *caller, *callee;

typedef struct fault {
  const char *name;
  const char *expected;        /* how the error begins */
  void (*before)(void);        /* or NULL */
  tr_slice (*ask)(void);       /* NULL: a plain request to t/k */
  void (*after)(void);         /* the request is under way */
} fault;

static tr_slice plain(void) { return request("1", "t", "k", "\"q\""); }

/* ---- before ---- */
static void nobody(void) { CHECK_INT(unary(far, "RegisterAgent", "silent", register_bytes("t2")), ==, 0); }
static void callee_cut_before(void) {
  peer_cut(far);
  stage_run(s);
}
static void callee_frozen(void) {
  far->stalled = true;
  for (int i = 0; i < 40; i++) say(caller, event("flood", "k", big(4000)));
  stage_run(s);
}
static void draining(void) {
  say(callee, request("x", "t", "other", "1")); /* for which it waits */
  hear(callee);
  tr_host_drain(s->host, s->now + TR_SECONDS(60));
}

/* ---- asking ---- */
static tr_slice to_unknown(void) { return request("1", "T", "k", "1"); }
static tr_slice to_streamless(void) { return request("1", "t2", "k", "1"); }
static tr_slice to_reserved(void) { return request("1", "t", "troupe.x", "1"); }
static tr_slice without_target(void) { return pb_field(1, join(pb_string(1, "1"), pb_field(5, payload("Q", "application/json", "{}")))); }
static tr_slice too_large(void) { return request("1", "t", "k", big((64 << 10) + 1)); }
static tr_slice large(void) { return request("1", "t", "k", big(20000)); }
static tr_slice with_deadline(void) { return request_with("1", "t", "k", "1", metadata("troupe-timeout", "5000")); }
static tr_slice bad_text(void) { return request("1", "t", "\xff\xfe", "1"); }
static tr_slice to_dotnet(void) { return request("1", "d", "k", "1"); }

/* ---- after ---- */
static void take(void) { hear(callee); }
static void callee_cut(void) {
  take();
  peer_cut(far);
}
static void callee_leaves(void) {
  take();
  cancel(callee);
}
static void callee_replaced(void) {
  take();
  channel(far, "callee");
}
static void time_passes(void) {
  take();
  stage_sleep(s, TR_SECONDS(6));
}
static void guard_passes(void) {
  take();
  stage_sleep(s, TR_SECONDS(21));
}
static void answers_too_much(void) { say(callee, response(request_id(hear(callee)), big((64 << 10) + 1))); }
static void answers_an_error(void) { say(callee, error_response(request_id(hear(callee)), "overloaded: not now")); }
static void host_ends(void) {
  take();
  tr_host_drain(s->host, s->now + TR_SECONDS(2));
  stage_sleep(s, TR_SECONDS(3));
}
static void callee_dies_silently(void) {
  take();
  far->mute = far->stalled = true;
  for (int i = 0; i < 20; i++) { /* the caller pings, as .NET does */
    stage_sleep(s, TR_SECONDS(10));
    tr_rpc_ping(near->rpc, 1);
  }
}

static const fault faults[] = {
  { "unknown type", "not_found: agent type T is not registered", NULL, to_unknown, NULL },
  { "its worker never opened a stream", "unavailable: the agent's worker is not connected", nobody, to_streamless, NULL },
  { "its worker is gone", "unavailable: the agent's worker is not connected", callee_cut_before, NULL, NULL },
  { "its worker's connection breaks", "unavailable: the connection to the agent's worker was lost", NULL, NULL, callee_cut },
  { "its worker leaves", "unavailable: the connection to the agent's worker was lost", NULL, NULL, callee_leaves },
  { "its worker opens another stream", "unavailable: the connection to the agent's worker was lost", NULL, NULL, callee_replaced },
  { "its worker dies in silence", "unavailable: the connection to the agent's worker was lost", NULL, NULL, callee_dies_silently },
  { "its worker is frozen, and its queue full", "overloaded: the queue to the agent's worker is full", callee_frozen, large, NULL },
  { "its own deadline", "timeout: ", NULL, with_deadline, time_passes },
  { "the host's guard", "timeout: ", NULL, NULL, guard_passes },
  { "a request that is too large", "too_large: ", NULL, too_large, NULL },
  { "an answer that is too large", "too_large: ", NULL, NULL, answers_too_much },
  { "an error answer", "overloaded: not now", NULL, NULL, answers_an_error },
  { "a target that is refused", "invalid: agent keys that begin with", NULL, to_reserved, NULL },
  { "no target", "invalid: ", NULL, without_target, NULL },
  { "text that is no UTF-8", "invalid: ", NULL, bad_text, NULL },
  { "a .NET worker cannot take it", "cant_handle: ", NULL, to_dotnet, NULL },
  { "the host is ending", "unavailable: the host is shutting down", draining, NULL, NULL },
  { "the host ends meanwhile", "unavailable: the host is shutting down", NULL, NULL, host_ends },
};

static void try_one(const fault *it, const char *user_agent, bool dotnet) {
  tr_host_options o = { .max_message = 64 << 10, .session_bytes = 64 << 10, .call_timeout = it->after == callee_dies_silently ? TR_SECONDS(600) : TR_SECONDS(20) };
  s = stage_new(&o);
  near = peer_new(s, "10.0.0.1:1", user_agent);
  far = peer_new(s, "10.0.0.2:1", NULL);
  peer *third = peer_new(s, "10.0.0.3:1", "grpc-dotnet/2.60.0");
  caller = channel(near, "caller");
  callee = channel(far, "callee");
  channel(third, "dotnet");
  reg(far, "callee", "t");
  reg(third, "dotnet", "d");
  sub(far, "callee", "1", "flood", "t");
  if (it->before) it->before();
  uint64_t withheld = stage_stats(s).withheld;
  say(caller, (it->ask ? it->ask : plain)());
  if (it->after) it->after();
  stage_run(s);
  if (!dotnet) {
    expect_error(caller, "1", it->expected);
  } else {
    CHECK(silent(caller));
    CHECK_INT(stage_stats(s).withheld, ==, withheld + 1);
  }
  CHECK_INT(stage_stats(s).pending_requests, ==, it->before == draining);
  CHECK(!caller->closed || it->after == host_ends);
  stage_free(s);
}

CHECK_CASE(whatever_happens_to_a_request_its_caller_has_an_error_with_a_code) {
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    printf("%s\n", faults[i].name); /* shown if it fails */
    try_one(&faults[i], NULL, false);
  }
}

CHECK_CASE(whatever_happens_to_a_request_of_a_dotnet_worker_is_withheld_and_counted) {
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    printf("%s\n", faults[i].name);
    try_one(&faults[i], "grpc-dotnet/2.60.0", true);
  }
}
