/* SPDX-License-Identifier: MIT
 * One agent that does not keep up: its mailbox refuses what does not fit, and everything else of the worker goes on, since the stream's
 * credit is given back for all that came, also far beyond the stream's window. */
#include "worker_stage.h"

#include <stdio.h>

enum { LIMIT = 10, MANY = 12000, SIZE = 300 }; /* more than three times the stream's window of a megabyte */

static stage *s;
static place *f;
static proc *p;
static char body[SIZE + 1];

/* It takes one message and never ends with it. */
static void stuck(actor *a, tr_turn *turn) {
  (void)a;
  if (!turn->user) actor_call(turn, "nowhere", "Wait", "1");
}

static void set(void) {
  s = stage_new();
  f = fake_new(s, true);
  p = proc_new(s, NULL, f, NULL);
  actor *a = actor_new(p, "stuck", "flood", stuck);
  tr_class_options options = { .mailbox_limit = LIMIT, .ud = a };
  tr_class_set_options(a->class_, &options);
  actor_new(p, "quick", NULL, NULL);
  memset(body, 'x', SIZE);
  body[0] = body[SIZE - 1] = '"';
  tr_worker_start(p->worker);
  stage_run(s);
}

CHECK_CASE(events_for_a_full_mailbox_are_dead_letters_and_hold_nobody_up) {
  set();
  for (int i = 0; i < MANY; i++) {
    fake_say(f, an_event(s, "flood", "k", body));
    if (i % 100 == 0) stage_run(s);
  }
  stage_run(s);
  CHECK_INT(p->dead_letters, >=, MANY - LIMIT - 1);
  CHECK_INT(p->dead_code, ==, TR_EOVERLOADED);
  fake_hear(f); /* stuck's own call */
  answer *got = ask(p, "there", "Ask", "1", TR_SECONDS(5));
  stage_run(s);
  tr_wire_span span = span_of(fake_hear(f));
  while (span.kind != TR_WIRE_REQUEST) span = span_of(fake_hear(f));
  fake_say(f, a_response(s, span.request_id, "2"));
  stage_run(s);
  CHECK_STR(got->body, "2");
  stage_free(s);
}

CHECK_CASE(requests_for_a_full_mailbox_are_overloaded_and_hold_nobody_up) {
  set();
  char id[20];
  for (int i = 0; i < MANY; i++) {
    snprintf(id, sizeof id, "%d", i);
    fake_say(f, a_request(s, id, "stuck", "k", body));
    if (i % 100 == 0) stage_run(s);
  }
  stage_run(s);
  unsigned overloaded = 0;
  fake_hear(f);
  while (!fake_silent(f)) {
    tr_slice message = fake_hear(f);
    overloaded += span_of(message).kind == TR_WIRE_RESPONSE && holds(message, "overloaded: the mailbox of stuck/k is full");
  }
  CHECK_INT(overloaded, >=, MANY - LIMIT - 1);
  fake_say(f, a_request(s, "q", "quick", "k", "3"));
  CHECK(holds(fake_hear(f), "3"));
  stage_free(s);
}
