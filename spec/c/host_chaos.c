/* SPDX-License-Identifier: MIT
 * Clients that come and go at random while they ask, answer and publish. Whatever happens: every request that reached the
 * host is answered exactly once, under its own id and with its own body or an error; events keep their order; nothing leaks. */
#include "host_peer.h"

#include <stdlib.h>

enum { CLIENTS = 6, PEERS = 3, ASKED = 4000 };

typedef struct actor {
  char id[8], type[8];
  int at;             /* which peer */
  pcall *channel;     /* NULL: away */
  int away_since;
  int last_event[CLIENTS];
} actor;

static stage *s;
static peer *peers[PEERS];
static actor actors[CLIENTS];
static unsigned char answered[CLIENTS][ASKED];
static int asked[CLIENTS], published[CLIENTS], good, bad;

static unsigned roll(unsigned below) { return (unsigned)(tr_random_next(&s->random) % below); }

static void open_channel(actor *a) {
  a->at = (int)roll(PEERS);
  a->channel = channel(peers[a->at], a->id);
}

static void take_answer(actor *a, tr_slice message) {
  int who = (int)(a - actors), number = atoi(text("%.*s", TR_SLICE_ARG(request_id(message))).p);
  CHECK_INT(number, <, asked[who]);
  CHECK_INT(answered[who][number], ==, 0);
  answered[who][number] = 1;
  if (error_of(message).n) {
    bad++;
    CHECK(tr_slice_starts(error_of(message), TR_SLICE_LITERAL("unavailable")) ||
          tr_slice_starts(error_of(message), TR_SLICE_LITERAL("not_found")) ||
          tr_slice_starts(error_of(message), TR_SLICE_LITERAL("timeout")));
    return;
  }
  good++;
  CHECK_TEXT(body_of(message), text("%s#%d", a->id, number).p);
}

static void take_event(actor *a, tr_slice message) {
  int from = atoi(pb_get(pb_get(message, 3), 2).p), number = atoi(body_of(message).p);
  CHECK_INT(number, >, a->last_event[from]);
  a->last_event[from] = number;
}

/* What waits for it; some requests are left without an answer. */
static void listen_all(void) {
  for (int i = 0; i < CLIENTS; i++) {
    actor *a = &actors[i];
    while (a->channel && a->channel->first) {
      tr_slice message = hear(a->channel);
      if (pb_count(message, 2)) take_answer(a, message);
      else if (pb_count(message, 3)) take_event(a, message);
      else if (a->channel->call && roll(8)) say(a->channel, response(request_id(message), text("%.*s", TR_SLICE_ARG(body_of(message))).p));
    }
  }
}

/* Nothing is under way any more: what a stream's end takes with it is then the host's to account for. */
static void settle(void) {
  bool more = true;
  while (more) {
    stage_run(s);
    more = false;
    for (int i = 0; i < CLIENTS; i++) more = more || (actors[i].channel && actors[i].channel->first);
    listen_all();
  }
}

static void leave(actor *a, int step) {
  settle();
  if (a->channel->call) cancel(a->channel);
  a->channel = NULL;
  a->away_since = step;
}

static void cut(int which, int step) {
  settle();
  peer_cut(peers[which]);
  peers[which] = peer_new(s, "10.0.0.1:1", NULL);
  for (int i = 0; i < CLIENTS; i++)
    if (actors[i].channel && actors[i].at == which) {
      actors[i].channel = NULL;
      actors[i].away_since = step;
    }
}

static void act(actor *a, int step) {
  unsigned what = roll(20);
  if (!a->channel) {
    if (what < 8 || step - a->away_since > 20) open_channel(a);
  } else if (what < 11) {
    if (asked[a - actors] >= ASKED) return;
    int number = asked[a - actors]++;
    say(a->channel, request(text("%d", number).p, roll(12) ? actors[roll(CLIENTS)].type : "nobody", "k", text("%s#%d", a->id, number).p));
  } else if (what < 17) {
    int who = (int)(a - actors);
    say(a->channel, event("x", text("%d", who).p, text("%d", ++published[who]).p));
  } else if (what == 17) {
    leave(a, step);
  } else if (what == 18) {
    settle();
    open_channel(a); /* a newer stream */
  } else if (roll(3) == 0) {
    cut(a->at, step);
  }
}

static void run(uint64_t seed) {
  tr_host_options o = { .call_timeout = TR_SECONDS(40) };
  s = stage_new(&o);
  tr_random_init(&s->random, seed);
  s->split = seed % 2;
  memset(actors, 0, sizeof actors);
  memset(answered, 0, sizeof answered);
  memset(asked, 0, sizeof asked);
  memset(published, 0, sizeof published);
  good = bad = 0;
  for (int i = 0; i < PEERS; i++) peers[i] = peer_new(s, "10.0.0.1:1", NULL);
  for (int i = 0; i < CLIENTS; i++) {
    memcpy(actors[i].id, text("c%d", i).p, 3);
    memcpy(actors[i].type, text("t%d", i).p, 3);
    open_channel(&actors[i]);
    reg(peers[0], actors[i].id, actors[i].type);
    sub(peers[1], actors[i].id, actors[i].id, "x", actors[i].type);
  }
  for (int step = 0; step < 2000; step++) {
    act(&actors[roll(CLIENTS)], step);
    if (roll(3) == 0) stage_sleep(s, TR_MILLISECONDS(roll(600)));
    stage_run(s);
    if (roll(4) == 0) listen_all();
  }
  listen_all();
  for (int i = 0; i < CLIENTS; i++)
    if (!actors[i].channel) open_channel(&actors[i]);
  listen_all();
  stage_sleep(s, TR_SECONDS(41));
  listen_all();
  int open = 0;
  for (int i = 0; i < CLIENTS; i++)
    for (int n = 0; n < asked[i]; n++) open += !answered[i][n];
  CHECK_INT(open, ==, 0);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  CHECK_INT(stage_stats(s).clients, ==, CLIENTS);
  CHECK_INT(good, >, 100);
  CHECK_INT(bad, >, 10);
  stage_free(s);
}

CHECK_CASE(every_request_is_answered_once_whoever_comes_and_goes) {
  for (uint64_t seed = 1; seed <= 8; seed++) run(seed);
}

/* ---- damaged messages ---- */

static pcall *channel_, *control_;

static tr_slice damaged(tr_slice bytes) {
  char *copy = (char *)(uintptr_t)join(bytes, (tr_slice){ NULL, 0 }).p;
  size_t n = bytes.n;
  for (unsigned i = roll(4); n && i-- > 0;) copy[roll((unsigned)n)] = (char)roll(256);
  if (n && roll(3) == 0) n = roll((unsigned)n);
  return tr_slice_make(copy, n);
}

static void damage(const char *path, void *ud) {
  static const char *const methods[] = { "RegisterAgent", "AddSubscription", "RemoveSubscription", "GetSubscriptions" };
  size_t n;
  const char *bytes = check_file(path, &n);
  peer *p = ud;
  for (int i = 0; i < 60; i++) {
    tr_slice one = damaged(tr_slice_make(bytes, n));
    say(channel_, one);
    say(channel_, pb_field(1 + roll(3), one));
    say(control_, one);
    if (i % 10 == 0) unary(p, methods[roll(4)], "a", one);
  }
  stage_run(s);
  CHECK(!channel_->closed && !control_->closed);
}

CHECK_CASE(damaged_messages_do_no_harm) {
  s = stage_new(NULL);
  peer *p = peer_new(s, "10.0.0.1:1", NULL), *q = peer_new(s, "10.0.0.2:1", "grpc-dotnet/2.62.0");
  channel_ = channel(p, "a");
  control_ = call_open(p, "OpenControlChannel", "a", NULL, 0);
  pcall *dotnet = channel(q, "d");
  reg(p, "a", "t");
  reg(q, "d", "Greeter");
  sub_prefix(p, "a", "1", "", "t");
  sub_prefix(q, "d", "2", "", "Greeter");
  check_each_file("spec/data/wire/golden", ".bin", damage, p);
  CHECK(!dotnet->closed);
  CHECK_INT(stage_stats(s).malformed, >, 1000);
  while (channel_->first) hear(channel_);
  say(channel_, request("still", "t", "k", "1"));
  serve(channel_, "here");
  expect_answer(channel_, "still", "here");
  stage_free(s);
}
