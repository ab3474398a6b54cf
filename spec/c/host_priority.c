/* SPDX-License-Identifier: MIT
 * A host's session sends what has high priority first and what has low last, and starves nothing. A client that builds its own
 * messages sets it by metadata["priority"] of a request, by the attribute `priority` of an event. */
#include "host_peer.h"

static stage *s;
static peer *p, *q;
static pcall *from, *to;

static void set(void) {
  s = stage_new(NULL);
  p = peer_new(s, "10.0.0.1:1", NULL);
  q = peer_new(s, "10.0.0.2:1", NULL);
  from = channel(p, "from");
  to = channel(q, "to");
  reg(q, "to", "t");
  sub(q, "to", "1", "x", "t");
  q->stalled = true;
}

static void go_on(void) {
  q->stalled = false;
  q->dirty = true;
}

static tr_slice event_with(const char *key, const char *value, const char *data) {
  tr_slice entry = join(pb_string(1, key), pb_field(2, pb_string(3, value)));
  return pb_field(3, join(pb_get(event("x", "k", data), 3), pb_field(5, entry)));
}

static const char *bodies(pcall *c, int count) { /* what comes, in order */
  tr_slice all = { "", 0 };
  while (count-- > 0) {
    tr_slice body = body_of(hear(c));
    all = join(all, text("%.*s ", (int)(body.n < 3 ? body.n : 3), body.p));
  }
  return text("%.*s", (int)all.n, all.p).p;
}

CHECK_CASE(a_session_sends_events_by_priority) {
  set();
  const char *given[] = { "low", "", "high", "low", "", "high" };
  for (int i = 0; i < 6; i++)
    say(from, given[i][0] ? event_with("priority", given[i], text("%d", i).p) : event("x", "k", text("%d", i).p));
  say(from, event_with("priority", "highest", "6"));
  say(from, event_with("Priority", "high", "7"));
  say(from, event_with("prioritx", "high", "8"));
  stage_run(s);
  go_on();
  CHECK_STR(bodies(to, 9), "2 5 1 4 6 7 8 0 3 ");
  stage_free(s);
}

CHECK_CASE(a_session_sends_requests_by_priority_and_their_answers_too) {
  set();
  const char *given[] = { "low", NULL, "high" };
  for (int i = 0; i < 3; i++)
    say(from, given[i] ? request_with(text("%d", i).p, "t", "k", text("%d", i).p, metadata("priority", given[i]))
                       : request(text("%d", i).p, "t", "k", text("%d", i).p));
  stage_run(s);
  go_on();
  tr_slice ids[3];
  for (int i = 0; i < 3; i++) {
    tr_slice message = hear(to);
    ids[i] = request_id(message);
    CHECK_TEXT(body_of(message), text("%d", 2 - i).p);
  }
  p->stalled = true; /* and the answers, the slowest asker's first */
  for (int i = 2; i >= 0; i--) say(to, response(ids[i], text("%d", 2 - i).p));
  stage_run(s);
  p->stalled = false;
  p->dirty = true;
  CHECK_STR(bodies(from, 3), "2 1 0 ");
  stage_free(s);
}

CHECK_CASE(nothing_in_a_session_starves) {
  set();
  for (int i = 0; i < 20; i++) say(from, event_with("priority", "high", text("h%02d", i).p));
  for (int i = 0; i < 20; i++) say(from, event("x", "k", text("n%02d", i).p));
  for (int i = 0; i < 3; i++) say(from, event_with("priority", "low", text("l%02d", i).p));
  stage_run(s);
  go_on();
  CHECK_STR(bodies(to, 43), "h00 h01 h02 h03 h04 h05 h06 h07 n00 h08 h09 h10 h11 h12 h13 h14 h15 n01 h16 h17 h18 h19 n02 n03 n04 n05 n06 n07 "
                            "l00 n08 n09 n10 n11 n12 n13 n14 n15 l01 n16 n17 n18 n19 l02 ");
  stage_free(s);
}

CHECK_CASE(priorities_hold_at_any_split_and_for_large_messages) {
  set();
  s->split = true;
  for (int i = 0; i < 60; i++) {
    tr_slice whole = join(text("%02d ", i), tr_slice_of(i % 7 ? "" : big(40000)));
    const char *body = join(whole, tr_slice_make("", 1)).p;
    say(from, i % 3 == 0 ? event("x", "k", body) : event_with("priority", i % 3 == 1 ? "high" : "low", body));
  }
  stage_run(s);
  go_on();
  int last[3] = { -1, -1, -1 };
  for (int i = 0; i < 60; i++) {
    tr_slice body = body_of(hear(to));
    int n = (body.p[0] - '0') * 10 + body.p[1] - '0';
    CHECK_INT(body.n, ==, n % 7 ? 3 : 40003);
    CHECK_INT(n, >, last[n % 3]); /* order within one priority */
    last[n % 3] = n;
  }
  stage_free(s);
}

CHECK_CASE(what_waits_for_a_stream_keeps_its_priority) {
  set();
  peer_cut(q);
  stage_run(s);
  say(from, event("x", "k", "1"));
  say(from, event_with("priority", "low", "2"));
  say(from, event_with("priority", "high", "3"));
  stage_run(s);
  q = peer_new(s, "10.0.0.2:1", NULL);
  to = channel(q, "to");
  CHECK_STR(bodies(to, 3), "3 1 2 ");
  stage_free(s);
}
