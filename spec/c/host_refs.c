/* SPDX-License-Identifier: MIT
 * References to results through the host: between troupe's workers untouched, and never to a worker that would not understand them. */
#include "host_peer.h"

static const char key[] = "troupe.result.0123456789abcdef0123456789abcdef";

CHECK_CASE(references_go_to_troupe_only) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  pcall *caller = troupe_channel(p, "caller"), *ours = troupe_channel(p, "ours"), *theirs = channel(p, "theirs");
  reg(p, "ours", "ours");
  reg(p, "theirs", "theirs");
  tr_slice refs = metadata("troupe-refs", "0=a/0123456789abcdef0123456789abcdef");
  say(caller, request_with("1", "ours", "k", "null", refs));
  tr_slice there = hear(ours);
  CHECK(pb_get(pb_get(there, 1), 6).n > 0);
  say(ours, response(request_id(there), "1"));
  expect_answer(caller, "1", "1");
  say(caller, request_with("2", "theirs", "k", "null", refs));
  tr_slice answer = hear(caller);
  CHECK_TEXT(error_of(answer), "unavailable: the agent's worker is not troupe's: results cannot be referred to");
  CHECK_INT(pb_count(pb_get(answer, 2), 4), ==, 2); /* troupe-code, troupe-unresolved */
  CHECK(silent(theirs));
  say(caller, request_with("3", "theirs", "k", "null", metadata("troupe-keep", "1000"))); /* this one does no harm */
  serve(theirs, "3");
  expect_answer(caller, "3", "3");
  stage_free(s);
}

CHECK_CASE(kept_results_are_between_troupe_workers) {
  stage *s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL);
  pcall *caller = troupe_channel(p, "caller"), *ours = troupe_channel(p, "ours"), *theirs = channel(p, "theirs");
  reg(p, "ours", "ours");
  reg(p, "theirs", "theirs");
  say(caller, request("1", "ours", key, "null"));
  serve(ours, "{}");
  expect_answer(caller, "1", "{}");
  say(caller, request("2", "theirs", key, "null"));
  expect_error(caller, "2", "unavailable: the agent's worker keeps no results");
  say(theirs, request("3", "ours", key, "null"));
  expect_error(theirs, "3", "invalid: agent keys that begin with \"troupe.\" are reserved");
  say(caller, request("4", "ours", "troupe.other", "null"));
  expect_error(caller, "4", "invalid: ");
  CHECK(silent(ours) && silent(theirs));
  stage_free(s);
}
