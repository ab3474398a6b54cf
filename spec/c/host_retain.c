/* SPDX-License-Identifier: MIT
 * The last events of a topic, for who subscribes too late. */
#include "host_peer.h"

#include <stdio.h>

static stage *s;
static peer *p;
static pcall *from;

static void set(const char *topic, unsigned most) {
  tr_error error;
  tr_error_init(&error);
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  CHECK_INT(tr_host_retain(s->host, tr_slice_of(topic), most, &error), ==, 0);
  from = channel(p, "from");
}

static void tell(const char *topic, int first, int last) {
  for (int i = first; i <= last; i++) say(from, event(topic, "k", text("%d", i).p));
  stage_run(s);
}

static void expect(pcall *c, int first, int last) {
  for (int i = first; i <= last; i++) CHECK_TEXT(body_of(hear(c)), text("%d", i).p);
  CHECK(silent(c));
}

CHECK_CASE(a_late_subscriber_gets_the_last_events_of_a_topic_in_order) {
  set("news", 3);
  tell("news", 1, 5);
  pcall *late = channel(p, "late");
  reg(p, "late", "t");
  sub(p, "late", "1", "news", "t");
  CHECK(silent(late)); /* AutoGen's worker has not added it yet */
  stage_sleep(s, TR_MILLISECONDS(110));
  expect(late, 3, 5);
  tell("news", 6, 7);
  expect(late, 6, 7);
  stage_free(s);
}

CHECK_CASE(a_prefix_hears_them_too_and_another_topic_does_not) {
  set("news", 3);
  tell("news", 1, 1);
  tell("other", 2, 2);
  pcall *late = channel(p, "late"), *elsewhere = channel(p, "elsewhere");
  reg(p, "late", "t");
  reg(p, "elsewhere", "e");
  sub_prefix(p, "late", "1", "ne", "t");
  sub(p, "elsewhere", "2", "other", "e");
  stage_sleep(s, TR_MILLISECONDS(110));
  expect(late, 1, 1);
  CHECK(silent(elsewhere));
  stage_free(s);
}

CHECK_CASE(a_worker_that_hears_the_topic_already_is_not_told_again) {
  set("news", 3);
  pcall *worker = channel(p, "worker");
  reg(p, "worker", "t");
  reg(p, "worker", "u");
  sub(p, "worker", "1", "news", "t");
  tell("news", 1, 2);
  expect(worker, 1, 2);
  sub(p, "worker", "2", "news", "u");
  stage_sleep(s, TR_MILLISECONDS(110));
  CHECK(silent(worker));
  stage_free(s);
}

CHECK_CASE(who_comes_back_within_its_grace_is_not_told_again) {
  set("news", 3);
  pcall *worker = channel(p, "worker");
  reg(p, "worker", "t");
  sub(p, "worker", "1", "news", "t");
  tell("news", 1, 2);
  expect(worker, 1, 2);
  cancel(worker);
  stage_run(s);
  worker = channel(p, "worker");
  CHECK_INT(unary(p, "AddSubscription", "worker", subscription_bytes("1", 2, "news", "t")), ==, 0);
  stage_sleep(s, TR_MILLISECONDS(110));
  CHECK(silent(worker));
  stage_free(s);
}

CHECK_CASE(a_subscriber_that_goes_meanwhile_does_no_harm) {
  set("news", 3);
  tell("news", 1, 2);
  channel(p, "late");
  peer *q = peer_new(s, "10.0.0.2:1", NULL);
  pcall *gone = channel(q, "gone");
  reg(q, "gone", "t");
  sub(q, "gone", "1", "news", "t");
  cancel(gone);
  stage_sleep(s, TR_SECONDS(60));
  stage_free(s);
}

CHECK_CASE(what_is_retained_has_bounds) {
  tr_error error;
  tr_error_init(&error);
  set("news", 10000);
  static const struct { const char *topic; unsigned most; int code; } refused[] = {
    { "news", 1, TR_EEXISTS }, { "x", 0, TR_EINVALID }, { "x", 10001, TR_EINVALID }, { "no topic", 1, TR_EINVALID },
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++, tr_error_init(&error))
    CHECK_INT(tr_host_retain(s->host, tr_slice_of(refused[i].topic), refused[i].most, &error), ==, refused[i].code);
  for (int i = 1; i < 64; i++) CHECK_INT(tr_host_retain(s->host, text("t%d", i), 1, &error), ==, 0);
  CHECK_INT(tr_host_retain(s->host, tr_slice_of("more"), 1, &error), ==, TR_ELIMIT);
  for (int i = 0; i < 20; i++) say(from, event("news", text("%d", i).p, big(1 << 20)));
  stage_run(s);
  pcall *late = channel(p, "late");
  reg(p, "late", "t");
  sub(p, "late", "1", "news", "t");
  stage_sleep(s, TR_MILLISECONDS(110));
  CHECK_INT(late->count, ==, 15); /* of a little more than a megabyte: sixteen have no room */
  CHECK_TEXT(pb_get(pb_get(hear(late), 3), 2), "5");
  stage_free(s);
}
