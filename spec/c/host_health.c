/* SPDX-License-Identifier: MIT
 * grpc.health.v1: probes, and those who watch. */
#include "host_peer.h"

#define CHECK_PATH "/grpc.health.v1.Health/Check"
#define WATCH_PATH "/grpc.health.v1.Health/Watch"

static stage *s;
static peer *p;

static void set(void) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
}

static pcall *watch(const char *service) {
  pcall *c = call_open(p, WATCH_PATH, NULL, NULL, 0);
  say(c, pb_string(1, service));
  tr_rpc_half_close(c->call);
  return c;
}

CHECK_CASE(a_probe_needs_no_client_id) {
  set();
  const char *services[] = { "", "agents.AgentRpc" };
  for (int i = 0; i < 2; i++) {
    pcall *c = unary_call(p, CHECK_PATH, NULL, pb_string(1, services[i]), false);
    CHECK_INT(c->status, ==, 0);
    CHECK_TEXT(hear(c), "\x08\x01");
  }
  CHECK_INT(unary(p, CHECK_PATH, NULL, (tr_slice){ NULL, 0 }), ==, 0);
  CHECK_INT(unary(p, CHECK_PATH, NULL, pb_string(1, "agents.Other")), ==, 5);
  CHECK_INT(unary(p, CHECK_PATH, NULL, tr_slice_make("\x0a\x05" "ab", 4)), ==, 13);
  CHECK_INT(unary(p, "/grpc.health.v1.Health/List", NULL, (tr_slice){ NULL, 0 }), ==, 12);
  CHECK_INT(stage_stats(s).clients, ==, 0);
  stage_free(s);
}

CHECK_CASE(who_watches_hears_of_the_end) {
  set();
  pcall *all = watch(""), *rpc = watch("agents.AgentRpc"), *other = watch("x");
  CHECK_TEXT(hear(all), "\x08\x01");
  CHECK_TEXT(hear(rpc), "\x08\x01");
  CHECK_TEXT(hear(other), "\x08\x03");
  stage_sleep(s, TR_SECONDS(600)); /* for as long as it likes */
  CHECK(silent(all) && !all->closed);
  tr_host_drain(s->host, s->now + TR_SECONDS(1));
  CHECK_TEXT(hear(all), "\x08\x02");
  CHECK_TEXT(hear(rpc), "\x08\x02");
  CHECK(silent(other));
  hear_end(all, 14, "the host is shutting down");
  stage_free(s);
}

CHECK_CASE(a_probe_that_never_ends_is_ended) {
  set();
  pcall *c = call_open(p, CHECK_PATH, NULL, NULL, 0);
  stage_sleep(s, TR_SECONDS(60));
  hear_end(c, 4, "Deadline Exceeded");
  stage_free(s);
}
