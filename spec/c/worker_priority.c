/* SPDX-License-Identifier: MIT
 * What waits for the host goes up by priority; order is kept within one, and a lost connection changes nothing of that. */
#include <stdio.h>

#include "worker_stage.h"

static stage *s;
static place *f;
static proc *p;

static void set(void) {
  s = stage_new();
  f = fake_new(s, true);
  p = proc_new(s, stage_mem(s), f, NULL);
  actor_new(p, "here", NULL, NULL);
  tr_worker_start(p->worker);
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(p->state, ==, TR_WORKER_JOINED);
}

static void post(tr_msg_kind kind, tr_priority priority, const char *json) {
  tr_msg *msg = message(p->core, kind, "there", "k", "Note", json);
  msg->priority = (uint8_t)priority;
  tr_core_post(p->core, msg);
}

static void expect(const char *const *texts, int count) {
  for (int i = 0; i < count; i++) {
    tr_slice got = fake_hear(f);
    if (!holds(got, texts[i])) CHECK_FAIL("message %d does not hold %s", i, texts[i]);
  }
  CHECK(fake_silent(f));
}

CHECK_CASE(an_uplink_sends_by_priority) {
  set();
  p->stalled = true;
  post(TR_MSG_EVENT, TR_PRIORITY_LOW, "\"e1\"");
  post(TR_MSG_EVENT, TR_PRIORITY_NORMAL, "\"e2\"");
  post(TR_MSG_SEND, TR_PRIORITY_LOW, "\"s3\"");
  post(TR_MSG_SEND, TR_PRIORITY_HIGH, "\"s4\"");
  post(TR_MSG_EVENT, TR_PRIORITY_HIGH, "\"e5\"");
  post(TR_MSG_SEND, TR_PRIORITY_NORMAL, "\"s6\"");
  stage_run(s);
  p->stalled = false;
  expect((const char *[]){ "\"s4\"", "\"e5\"", "\"e2\"", "\"s6\"", "\"e1\"", "\"s3\"" }, 6);
  stage_free(s);
}

CHECK_CASE(nothing_at_an_uplink_starves) {
  set();
  p->stalled = true;
  char text[16];
  for (int i = 0; i < 10; i++) {
    sprintf(text, "\"h%d\"", i);
    post(TR_MSG_EVENT, TR_PRIORITY_HIGH, text);
  }
  post(TR_MSG_EVENT, TR_PRIORITY_NORMAL, "\"n\"");
  post(TR_MSG_EVENT, TR_PRIORITY_LOW, "\"l\"");
  stage_run(s);
  p->stalled = false;
  expect((const char *[]){ "\"h0\"", "\"h1\"", "\"h2\"", "\"h3\"", "\"h4\"", "\"h5\"", "\"h6\"", "\"h7\"", "\"n\"", "\"h8\"", "\"h9\"", "\"l\"" }, 12);
  stage_free(s);
}

CHECK_CASE(priorities_last_while_the_host_is_away) {
  set();
  f->down = true;
  fake_break(f);
  stage_run(s);
  post(TR_MSG_EVENT, TR_PRIORITY_LOW, "\"e1\"");
  answer *gone = ask(p, "there", "Ask", "\"q\"", TR_MILLISECONDS(500));
  post(TR_MSG_EVENT, TR_PRIORITY_NORMAL, "\"e2\"");
  post(TR_MSG_EVENT, TR_PRIORITY_HIGH, "\"e3\"");
  stage_sleep(s, TR_SECONDS(1));
  CHECK_INT(gone->code, ==, TR_ETIMEOUT);
  f->down = false;
  stage_sleep(s, TR_SECONDS(10));
  expect((const char *[]){ "\"e3\"", "\"e2\"", "\"e1\"" }, 3);
  stage_free(s);
}
