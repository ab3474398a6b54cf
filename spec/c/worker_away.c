/* SPDX-License-Identifier: MIT
 * Losing the host and finding it again: back-off, client-ids, silence, what is told. */
#include "worker_stage.h"

#include <stdio.h>

#include "worker/internal.h"

static stage *s;
static place *f;

static proc *set(bool troupe) {
  s = stage_new();
  f = fake_new(s, troupe);
  proc *p = proc_new(s, NULL, f, NULL);
  actor_new(p, "a", "x", NULL);
  return p;
}

static void start(proc *p) {
  tr_worker_start(p->worker);
  stage_run(s);
}

CHECK_CASE(dials_with_growing_delays_and_says_so_once) {
  proc *p = set(false);
  f->down = true;
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_DIALING);
  CHECK_INT(p->reasons, ==, 1);
  CHECK_STR(p->reason, "connection refused");
  CHECK_INT(p->dials, ==, 1);
  stage_sleep(s, TR_MILLISECONDS(51));
  CHECK_INT(p->dials, >=, 2);
  stage_sleep(s, TR_SECONDS(10));
  CHECK_INT(p->dials, >=, 7);
  CHECK_INT(p->dials, <=, 14);
  unsigned before = p->dials;
  stage_sleep(s, TR_SECONDS(100));
  CHECK_INT(p->dials, >=, before + 19);  /* every 2.5 to 5 s */
  CHECK_INT(p->dials, <=, before + 41);
  CHECK_INT(p->reasons, ==, 1);
  f->down = false;
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  f->down = true;
  proc_cut(p);
  CHECK_INT(p->state, ==, TR_WORKER_DIALING);
  CHECK_INT(p->reasons, ==, 2);
  CHECK_STR(p->reason, "connection reset by peer");
  before = p->dials;
  stage_sleep(s, TR_MILLISECONDS(51)); /* the back-off began anew */
  CHECK_INT(p->dials, >, before);
  CHECK_INT(p->reasons, ==, 2);
  stage_free(s);
}

CHECK_CASE(two_workers_do_not_dial_in_step) {
  tr_time first[2];
  for (int i = 0; i < 2; i++) {
    proc *p = set(false);
    if (i) p = proc_new(s, NULL, f, NULL); /* another seed */
    f->down = true;
    start(p);
    tr_time begin = s->now;
    while (p->dials < 8) stage_sleep(s, TR_MILLISECONDS(1));
    first[i] = s->now - begin;
    stage_free(s);
  }
  CHECK(first[0] != first[1]);
}

CHECK_CASE(autogens_host_gets_a_new_client_id_each_time) {
  proc *p = set(false);
  char old[64];
  start(p);
  snprintf(old, sizeof old, "%s", f->channel->client);
  fake_break(f);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK(strcmp(old, f->channel->client) != 0);
  CHECK_TEXT(tr_worker_client_id(p->worker), f->channel->client);
  CHECK(fake_has(f, -1, "", "a") && fake_has(f, TR_SUB_TYPE, "x", "a"));
  stage_free(s);
}

/* What went out before a byte came is kept for another try; such a host never says that it has had it. */
CHECK_CASE(autogens_host_is_sent_to_for_ever_without_more_memory) {
  proc *p = set(false);
  start(p);
  p->worker->heard_any = false; /* as before its first byte */
  publish(p, "x", "E", "{}");
  stage_run(s);
  p->worker->heard_any = true;
  const tr_worker_ring *ring = &p->worker->queue.lanes[TR_LANE_NORMAL];
  for (int i = 0; i < 40000; i++) {
    publish(p, "x", "E", "{}");
    if (i % 100 == 0) stage_run(s);
  }
  CHECK_INT(ring->cap, <=, 16384);
  stage_free(s);
}

CHECK_CASE(troupes_host_gets_the_same_client_id) {
  proc *p = set(true);
  char old[64];
  start(p);
  snprintf(old, sizeof old, "%s", f->channel->client);
  f->holds = true; /* for the time of grace */
  fake_break(f);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_STR(f->channel->client, old);
  CHECK_INT(f->registers, ==, 2);
  f->troupe = f->holds = false; /* an AutoGen host took its place: so we find out by the next session… */
  fake_break(f);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_STR(f->channel->client, old);
  CHECK(!tr_worker_host_is_troupe(p->worker));
  f->held = NULL;
  fake_break(f); /* …and after that have a new id */
  stage_sleep(s, TR_SECONDS(1));
  CHECK(strcmp(old, f->channel->client) != 0);
  stage_free(s);
}

CHECK_CASE(a_failed_dial_is_no_session) {
  proc *p = set(true);
  char old[64];
  start(p);
  snprintf(old, sizeof old, "%s", f->channel->client);
  f->down = true;
  proc_cut(p);
  stage_sleep(s, TR_SECONDS(20));
  f->down = false;
  stage_sleep(s, TR_SECONDS(6));
  CHECK_STR(f->channel->client, old);
  stage_free(s);
}

CHECK_CASE(a_type_that_the_host_still_has_under_our_last_id_is_waited_for_in_silence) {
  proc *p = set(false);
  start(p);
  f->holds = true; /* it does not notice the loss */
  proc_cut(p);
  stage_sleep(s, TR_SECONDS(3));
  CHECK_INT(p->state, ==, TR_WORKER_JOINING);
  CHECK_INT(p->reasons, ==, 1); /* the loss */
  CHECK_INT(f->registers, >=, 4);
  f->holds = false;
  for (struct held *h = f->held; h; h = h->next) h->removed = true;
  stage_sleep(s, TR_SECONDS(6));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK(fake_has(f, -1, "", "a") && fake_has(f, TR_SUB_TYPE, "x", "a") && fake_has(f, TR_SUB_PREFIX, "a:", "a"));
  CHECK_INT(p->reasons, ==, 1);
  stage_free(s);
}

CHECK_CASE(a_stream_that_the_host_ends_is_opened_again) {
  static const struct { int status; const char *text; } ends[] = {
    { 14, "the host ended the stream (unavailable: Cancelling all calls)" }, { 0, "the host ended the stream (ok)" },
    { 10, "the host ended the stream (limit_exceeded)" },
  };
  for (size_t i = 0; i < 3; i++) {
    proc *p = set(i > 0);
    start(p);
    fake_end(f, ends[i].status, i ? "" : "Cancelling all calls");
    stage_run(s);
    CHECK_STR(p->reason, ends[i].text);
    CHECK_INT(p->hang_ups, ==, 1);
    stage_sleep(s, TR_SECONDS(1));
    CHECK_INT(p->state, ==, TR_WORKER_JOINED);
    CHECK_INT(f->opened, ==, 2);
    stage_free(s);
  }
}

CHECK_CASE(a_refused_stream_is_told_and_tried_seldom) {
  proc *p = set(false);
  f->refuse = TR_GRPC_UNAUTHENTICATED;
  start(p);
  CHECK_STR(p->reason, "the host ended the stream (unauthenticated: go away)");
  CHECK_INT(p->dials, ==, 1);
  stage_sleep(s, TR_MILLISECONDS(4999));
  CHECK_INT(p->dials, ==, 1);
  stage_sleep(s, TR_SECONDS(20));
  CHECK_INT(p->dials, ==, 5);
  CHECK_INT(p->reasons, ==, 1);
  f->refuse = 0;
  stage_sleep(s, TR_SECONDS(5));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(being_refused_after_being_away_is_told_too) {
  proc *p = set(false);
  f->down = true;
  start(p);
  f->down = false;
  f->refuse = TR_GRPC_PERMISSION_DENIED;
  stage_sleep(s, TR_SECONDS(30));
  CHECK_INT(p->reasons, ==, 2);
  CHECK_STR(p->reason, "the host ended the stream (permission_denied: go away)");
  stage_free(s);
}

CHECK_CASE(another_reason_for_being_away_is_told_too) {
  proc *p = set(false);
  f->down = true;
  start(p);
  CHECK_STR(p->reason, "connection refused");
  f->down = false;
  f->mute = true;
  stage_sleep(s, TR_SECONDS(30));
  CHECK_INT(p->reasons, ==, 2);
  CHECK_STR(p->reason, "it takes connections, but does not answer");
  stage_free(s);
}

CHECK_CASE(who_takes_connections_and_says_nothing_is_left) {
  proc *p = set(false);
  f->mute = true;
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINING);
  stage_sleep(s, TR_MILLISECONDS(9900));
  CHECK_INT(p->hang_ups, ==, 0);
  stage_sleep(s, TR_MILLISECONDS(200));
  CHECK_INT(p->hang_ups, ==, 1);
  CHECK_STR(p->reason, "it takes connections, but does not answer");
  f->mute = false;
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(who_does_not_speak_http2_is_left) {
  proc *p = set(false);
  tr_error error;
  tr_error_init(&error);
  f->mute = true;
  start(p);
  CHECK_INT(tr_worker_feed(p->worker, TR_SLICE_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\nno, not this, not here, not now"), &error), <, 0);
  CHECK(error.code != 0);
  proc_cut(p); /* as its owner does */
  CHECK_INT(p->state, ==, TR_WORKER_DIALING);
  CHECK_STR(p->reason, error.text);
  f->mute = false;
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  fake_break(f);
  f->mute = true;
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(tr_worker_feed(p->worker, TR_SLICE_LITERAL("HTTP/1.1 400 Bad Request\r\n\r\nno, not this, not here, not now"), &error), <, 0);
  unsigned hang_ups = p->hang_ups;
  stage_sleep(s, TR_SECONDS(2)); /* and if it does not, we hang up */
  CHECK_INT(p->hang_ups, ==, hang_ups + 1);
  f->mute = false;
  proc_cut(p);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

/* ---- silence ---- */

CHECK_CASE(a_silent_troupe_host_is_pinged_and_then_left) {
  proc *p = set(true);
  start(p);
  stage_sleep(s, TR_SECONDS(19));
  uint64_t written = p->written;
  stage_sleep(s, TR_SECONDS(2));
  CHECK_INT(p->written, ==, written + 17); /* a PING frame */
  stage_sleep(s, TR_SECONDS(100));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(p->reasons, ==, 0);
  p->stalled = true;
  stage_sleep(s, TR_MILLISECONDS(28000));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_sleep(s, TR_MILLISECONDS(1100));
  CHECK_INT(p->hang_ups, >=, 1);
  CHECK_STR(p->reason, "the host has fallen silent");
  p->stalled = false;
  stage_sleep(s, TR_SECONDS(30));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(another_host_is_never_pinged) {
  proc *p = set(false);
  start(p);
  stage_sleep(s, TR_SECONDS(5));
  uint64_t written = p->written;
  stage_sleep(s, TR_SECONDS(3600));
  CHECK_INT(p->written, ==, written);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  stage_free(s);
}

CHECK_CASE(after_goaway_the_stream_goes_on_until_it_ends) {
  proc *p = set(true);
  start(p);
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  tr_wire_span span = span_of(fake_hear(f));
  tr_rpc_goaway(f->conns->rpc, 0, "bye");
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  fake_say(f, a_response(s, span.request_id, "2"));
  stage_run(s);
  CHECK_STR(got->body, "2");
  fake_end(f, 14, "");
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(f->opened, ==, 2);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  tr_rpc_goaway(f->conns->rpc, 0, "bye");
  stage_run(s);
  actor_new(p, "b", NULL, NULL); /* which that connection would not take any more */
  tr_worker_sync(p->worker);
  stage_sleep(s, TR_SECONDS(1));
  CHECK(fake_has(f, -1, "", "b"));
  CHECK_INT(f->opened, ==, 3);
  stage_free(s);
}

/* ---- leaving ---- */

CHECK_CASE(leaves_by_a_barrier_and_a_reset) {
  proc *p = set(false);
  start(p);
  for (int i = 0; i < 100; i++) publish(p, "t", "Bye", "{}");
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  CHECK_INT(f->registers, ==, 2);
  CHECK_INT(p->hang_ups, ==, 1);
  CHECK_INT(p->dead_letters, ==, 0);
  fcall *c = fake_call(f, "OpenChannel", 0);
  CHECK_INT(c->status, ==, 1);
  CHECK_INT(c->count, ==, 102); /* the barrier goes around: a request, and its refusal */
  stage_free(s);
}

CHECK_CASE(who_has_sent_nothing_needs_no_barrier) {
  proc *p = set(false);
  start(p);
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  CHECK_INT(f->registers, ==, 1);
  stage_free(s);
}

CHECK_CASE(troupes_host_needs_no_barrier) {
  proc *p = set(true);
  start(p);
  publish(p, "t", "Bye", "{}");
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  CHECK_INT(f->registers, ==, 1);
  CHECK_INT(fake_call(f, "OpenChannel", 0)->status, ==, 1);
  stage_sleep(s, TR_SECONDS(60));
  CHECK_INT(p->dials, ==, 1);
  stage_free(s);
}

CHECK_CASE(what_was_sent_one_way_is_waited_for_at_troupes_host) {
  proc *p = set(true);
  start(p);
  tr_core_post(p->core, message(p->core, TR_MSG_SEND, "there", "k", "Do", "{}"));
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_run(s);
  CHECK_INT(p->state, !=, TR_WORKER_OFF);
  fake_say(f, a_response(s, span_of(fake_hear(f)).request_id, "null"));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  CHECK_INT(p->dead_letters, ==, 0);
  stage_free(s);
}

CHECK_CASE(a_barrier_that_is_not_answered_is_waited_for_until_the_deadline) {
  proc *p = set(false);
  start(p);
  publish(p, "t", "Bye", "{}");
  stage_run(s);
  fake_hear(f);
  f->manual = true;
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_sleep(s, TR_MILLISECONDS(2900));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  fake_say(f, a_request(s, "9", "a", "k", "1")); /* taken no more */
  tr_slice error = span_of(fake_hear(f)).error;
  CHECK_SLICE(error, "unavailable: the agent's worker is shutting down");
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  tr_core_post(p->core, message(p->core, TR_MSG_SEND, "there", "k", "Do", "1"));
  stage_run(s);
  CHECK_INT(got->code, ==, TR_EUNAVAILABLE);
  CHECK_INT(p->dead_code, ==, TR_EUNAVAILABLE);
  stage_sleep(s, TR_MILLISECONDS(200));
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  CHECK_INT(p->hang_ups, ==, 1);
  stage_free(s);
}

CHECK_CASE(stopped_while_dialing_with_nothing_to_send_it_is_off_at_once) {
  proc *p = set(false);
  f->down = true;
  start(p);
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  stage_free(s);
}

CHECK_CASE(stopped_while_dialing_with_something_to_send_it_tries_until_the_deadline) {
  for (int comes = 0; comes < 2; comes++) {
    proc *p = set(false);
    f->down = true;
    start(p);
    publish(p, "t", "Last", "\"word\"");
    tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
    stage_sleep(s, TR_SECONDS(1));
    CHECK_INT(p->state, ==, TR_WORKER_DIALING);
    if (comes) f->down = false;
    stage_sleep(s, TR_SECONDS(3));
    CHECK_INT(p->state, ==, TR_WORKER_OFF);
    CHECK_INT(p->dead_letters, ==, comes ? 0 : 1);
    if (comes) CHECK_INT(fake_call(f, "OpenChannel", 0)->count, ==, 3); /* with the barrier */
    CHECK_INT(f->registers, ==, comes); /* the barrier's; nothing else any more */
    stage_free(s);
  }
}

CHECK_CASE(it_may_be_started_again) {
  proc *p = set(false);
  start(p);
  tr_worker_stop(p->worker, s->now + TR_SECONDS(3));
  tr_worker_stop(p->worker, s->now + TR_SECONDS(1));
  stage_run(s);
  CHECK_INT(p->state, ==, TR_WORKER_OFF);
  start(p);
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
  CHECK_INT(f->opened, ==, 2);
  stage_free(s); /* freed without a stop */
}
