/* SPDX-License-Identifier: MIT
 * Types that several workers have: who gets what, who comes and goes, and an id that moves with its state. */
#include "host_peer.h"

#include <stdlib.h>

enum { LEAVE = 5, LEFT = 6, TAKE = 7, TAKEN = 8, HAVE = 9, DROP = 10, WORKERS = 3 };

static stage *s;
static peer *p[8];
static pcall *caller, *w[8];
static const char *const ids[] = { "w-one", "w-two", "w-three", "w-four", "w-five" };

static int reg_shared(peer *on, const char *method, const char *client, tr_slice bytes) {
  tr_rpc_header header = { TR_SLICE_LITERAL("troupe-shared"), TR_SLICE_LITERAL("1") };
  pcall *c = call_open(on, method, client, &header, 1);
  say(c, bytes);
  tr_rpc_half_close(c->call);
  stage_run(s);
  CHECK(c->closed);
  return c->status;
}

/* A worker with the shared type t, subscribed to topic x. */
static void join_worker(int i) {
  p[i] = peer_new(s, "10.0.0.1:1", NULL);
  w[i] = troupe_channel(p[i], ids[i]);
  CHECK_INT(reg_shared(p[i], "RegisterAgent", ids[i], register_bytes("t")), ==, 0);
  CHECK_INT(reg_shared(p[i], "AddSubscription", ids[i], subscription_bytes(text("s%d", i).p, 2, "x", "t")), ==, 0);
  stage_run(s);
}

static void set_with(int workers, const tr_host_options *tweaks) {
  s = stage_new(tweaks);
  caller = troupe_channel(peer_new(s, "10.0.0.9:1", NULL), "caller");
  for (int i = 0; i < workers; i++) join_worker(i);
}
static void set(int workers) { set_with(workers, NULL); }

/* Which worker has a message; it stays there. */
static int who(void) {
  stage_run(s);
  for (int i = 0; i < 5; i++)
    if (w[i] && w[i]->count) return i;
  return -1;
}

static bool says(tr_slice message, const char *word) {
  size_t n = strlen(word);
  for (size_t i = 0; i + n <= message.n; i++)
    if (memcmp(message.p + i, word, n) == 0) return true;
  return false;
}

static int ask(const char *key) { /* who answers */
  static int number;
  const char *id = text("r%d", ++number).p;
  say(caller, request(id, "t", key, "1"));
  int at = who();
  CHECK_INT(at, >=, 0);
  serve(w[at], "2");
  expect_answer(caller, id, "2");
  return at;
}

static tr_slice number(unsigned field, unsigned value) { return text("%c%c", (int)(field << 3), (int)value); }
static tr_slice note(tr_slice id, unsigned kind, unsigned count, const char *type, const char *key, const char *state) {
  tr_slice body = join(join(pb_string(1, type), pb_string(2, key)), pb_string(3, state));
  tr_slice n = join(join(pb_field(1, id), pb_field(2, body)), number(5, kind));
  return pb_field(15, count ? join(n, number(6, count)) : n);
}
static unsigned varint_of(tr_slice message, unsigned field) { /* of a note; small ones */
  unsigned found = 0;
  tr_slice at = pb_get(message, 15);
  for (size_t i = 0; i < at.n;) {
    unsigned key = (uint8_t)at.p[i++];
    if ((key & 7) == 0) {
      if (key >> 3 == field) found = (uint8_t)at.p[i];
      i++;
    } else {
      i += 1 + (uint8_t)at.p[i];
    }
  }
  return found;
}
static tr_slice note_id(tr_slice message) { return pb_get(pb_get(message, 15), 1); }
static tr_slice note_part(tr_slice message, unsigned field) { return pb_get(pb_get(pb_get(message, 15), 2), field); }

CHECK_CASE(several_workers_share_a_type_that_all_say_is_shared) {
  set(3);
  CHECK_INT(unary(p[0], "RegisterAgent", "plain", register_bytes("t")), ==, 3); /* it does not */
  CHECK_INT(reg_shared(p[0], "RegisterAgent", "w-one", register_bytes("t")), ==, 3); /* twice: a mistake */
  reg(p[1], "w-two", "alone");
  CHECK_INT(reg_shared(p[0], "RegisterAgent", "w-one", register_bytes("alone")), ==, 3); /* its owner does not share */
  CHECK_INT(count_subscriptions(p[0]), ==, 3);
  stage_free(s);
}

CHECK_CASE(the_operator_may_say_that_a_type_is_shared) {
  tr_host_options o = { .shared = "other,t" };
  s = stage_new(&o);
  p[0] = peer_new(s, "10.0.0.1:1", NULL);
  pcall *a = channel(p[0], "a"), *b = channel(p[0], "b");
  reg(p[0], "a", "t"), reg(p[0], "b", "t");
  sub(p[0], "a", "1", "x", "t");
  sub(p[0], "b", "2", "x", "t");
  reg(p[0], "a", "tt");
  CHECK_INT(unary(p[0], "RegisterAgent", "b", register_bytes("tt")), ==, 3);
  say(a, event("x", "k", "{}"));
  stage_run(s);
  CHECK_INT(a->count + b->count, ==, 1);
  stage_free(s);
}

CHECK_CASE(ids_are_spread_evenly_and_stay_where_they_are) {
  static int at[3000];
  set(3);
  int counts[3] = { 0 };
  for (int i = 0; i < 3000; i++) counts[at[i] = ask(text("k%d", i).p)]++;
  for (int i = 0; i < 3; i++) CHECK(counts[i] > 800 && counts[i] < 1200);
  for (int i = 0; i < 3000; i += 7) CHECK_INT(ask(text("k%d", i).p), ==, at[i]);
  stage_free(s);
}

CHECK_CASE(new_ids_go_to_the_least_loaded) {
  set(2);
  for (int i = 0; i < 40; i++) say(caller, request(text("h%d", i).p, "t", "hot", "1"));
  int busy = who();
  while (w[busy]->count) hear(w[busy]);
  for (int i = 0; i < 30; i++) CHECK_INT(ask(text("k%d", i).p), ==, 1 - busy);
  stage_free(s);
}

CHECK_CASE(when_a_worker_goes_the_others_have_its_ids) {
  set(3);
  int at[30];
  for (int i = 0; i < 30; i++) at[i] = ask(text("k%d", i).p);
  int gone = at[0];
  say(caller, request("open", "t", "k0", "1"));
  hear(w[gone]);
  peer_cut(p[gone]);
  w[gone] = NULL;
  expect_error(caller, "open", "unavailable: ");
  for (int i = 0; i < 30; i++) {
    int now = ask(text("k%d", i).p);
    CHECK(now != gone && (at[i] == gone || now == at[i]));
  }
  stage_sleep(s, TR_SECONDS(40)); /* forgotten, and nothing of it is left */
  CHECK_INT(stage_stats(s).clients, ==, 3);
  stage_free(s);
}

CHECK_CASE(with_nobody_there_requests_fail_and_the_type_is_free_in_the_end) {
  set(1);
  ask("k");
  peer_cut(p[0]);
  w[0] = NULL;
  for (int i = 0; i < 2; i++, stage_sleep(s, TR_SECONDS(40))) {
    say(caller, request("1", "t", "k", "1"));
    expect_error(caller, "1", i ? "not_found: " : "unavailable: ");
  }
  peer *q = peer_new(s, "10.0.0.1:1", NULL);
  channel(q, "plain");
  reg(q, "plain", "t");
  stage_free(s);
}

/* ---- events ---- */

CHECK_CASE(an_event_goes_to_the_one_that_has_the_id) {
  set(3);
  for (int i = 0; i < 30; i++) {
    int at = ask(text("k%d", i).p);
    say(caller, event("x", text("k%d", i).p, "{}"));
    CHECK_INT(who(), ==, at);
    CHECK_INT(w[0]->count + w[1]->count + w[2]->count, ==, 1);
    hear(w[at]);
  }
  stage_free(s);
}

CHECK_CASE(a_worker_that_hears_it_for_another_type_is_told_whom_it_is_not_for) {
  set(2);
  reg(p[0], "w-one", "mine");
  sub(p[0], "w-one", "m", "x", "mine");
  reg(p[1], "w-two", "also");
  sub(p[1], "w-two", "n", "x", "also");
  int at = ask("k"), other = 1 - at;
  say(caller, event("x", "k", "{}"));
  stage_run(s);
  CHECK(w[0]->count == 1 && w[1]->count == 1);
  tr_slice owner = hear(w[at]), told = hear(w[other]);
  CHECK(!says(owner, "troupe-not-for"));
  CHECK(says(told, "troupe-not-for"));
  CHECK_TEXT(topic_of(told), "x");
  stage_free(s);
}

CHECK_CASE(types_of_one_key_are_kept_together) {
  set(3);
  for (int i = 0; i < 3; i++) CHECK_INT(reg_shared(p[i], "RegisterAgent", ids[i], register_bytes("u")), ==, 0);
  for (int i = 0; i < 60; i++) {
    const char *key = text("k%d", i).p;
    int at = ask(key);
    say(caller, request("u", "u", key, "1"));
    CHECK_INT(who(), ==, at);
    serve(w[at], "2");
    expect_answer(caller, "u", "2");
  }
  stage_free(s);
}

/* ---- one joins: ids move there ---- */

/* Every id that is asked to leave does, with its key for a state; who takes it acknowledges. Returns how many did. */
static int let_move(int newcomer, bool hold_one, tr_slice *held_note, int *from) {
  int moved = 0;
  for (bool any = true; any;) {
    any = false;
    stage_run(s);
    for (int i = 0; i < newcomer; i++)
      while (w[i] && w[i]->count) {
        tr_slice m = hear(w[i]);
        CHECK_INT(varint_of(m, 5), ==, LEAVE);
        any = true;
        if (hold_one && !held_note->p) {
          *held_note = m, *from = i;
          continue;
        }
        say(w[i], note(note_id(m), LEFT, 0, "", "", text("state of %.*s", (int)note_part(m, 2).n, note_part(m, 2).p).p));
      }
    stage_run(s);
    while (w[newcomer]->count) {
      tr_slice m = hear(w[newcomer]);
      CHECK_INT(varint_of(m, 5), ==, TAKE);
      CHECK_TEXT(note_part(m, 3), text("state of %.*s", (int)note_part(m, 2).n, note_part(m, 2).p).p);
      say(w[newcomer], note(note_id(m), TAKEN, 0, "", "", ""));
      moved++;
      any = true;
    }
  }
  return moved;
}

CHECK_CASE(when_a_worker_joins_its_part_of_the_ids_moves_there_with_their_state) {
  enum { KEYS = 400 };
  static int at[KEYS];
  tr_slice none = { NULL, 0 };
  int from, changed = 0;
  set(2);
  for (int i = 0; i < KEYS; i++) at[i] = ask(text("k%d", i).p);
  join_worker(2);
  int moved = let_move(2, false, &none, &from);
  CHECK(moved > KEYS / 5 && moved < KEYS / 2);
  for (int i = 0; i < KEYS; i++) {
    int now = ask(text("k%d", i).p);
    CHECK(now == at[i] || now == 2);
    changed += now != at[i];
  }
  CHECK_INT(changed, ==, moved);
  CHECK_INT(stage_stats(s).moves, ==, (unsigned)moved);
  stage_free(s);
}

/* A key that is on its way from `*from` to worker 2, LEAVE heard and not answered. */
static const char *moving(tr_slice *leave, int *from) {
  set(2);
  for (int i = 0; i < 40; i++) ask(text("k%d", i).p);
  join_worker(2);
  *leave = (tr_slice){ NULL, 0 };
  let_move(2, true, leave, from);
  CHECK(leave->p != NULL);
  return text("%.*s", (int)note_part(*leave, 2).n, note_part(*leave, 2).p).p;
}

CHECK_CASE(messages_for_an_id_that_moves_wait_and_follow_in_order) {
  tr_slice leave;
  int from;
  const char *key = moving(&leave, &from);
  for (int i = 0; i < 10; i++) {
    say(caller, request(text("q%d", i).p, "t", key, text("%d", i).p));
    say(caller, event("x", key, text("%d", i).p));
  }
  CHECK_INT(who(), ==, -1);
  say(w[from], note(note_id(leave), LEFT, 0, "", "", "it"));
  CHECK_INT(who(), ==, 2);
  tr_slice take = hear(w[2]);
  CHECK_TEXT(note_part(take, 3), "it");
  CHECK(silent(w[2])); /* the state first */
  say(w[2], note(note_id(take), TAKEN, 0, "", "", ""));
  for (int i = 0; i < 10; i++) {
    tr_slice m = hear(w[2]);
    CHECK_TEXT(body_of(m), text("%d", i).p);
    say(w[2], response(request_id(m), text("a%d", i).p));
    m = hear(w[2]);
    CHECK_TEXT(body_of(m), text("%d", i).p);
    CHECK(says(m, "troupe-only-for"));
    expect_answer(caller, text("q%d", i).p, text("a%d", i).p);
  }
  CHECK(silent(caller) && silent(w[2]) && silent(w[from]));
  CHECK_INT(ask(key), ==, 2);
  stage_free(s);
}

/* The same: a request waits for it, and its state is with worker 2, which has not said that it took it. */
static const char *left(int *from) {
  tr_slice leave;
  const char *key = moving(&leave, from);
  say(caller, request("1", "t", key, "1"));
  say(w[*from], note(note_id(leave), LEFT, 0, "", "", "it"));
  return who() == 2 ? key : NULL;
}

CHECK_CASE(an_id_that_cannot_leave_stays) {
  tr_slice leave;
  int from;
  const char *key = moving(&leave, &from);
  say(caller, request("1", "t", key, "1"));
  say(w[from], note(note_id(leave), LEFT, 3, "", "", ""));
  CHECK_INT(who(), ==, from);
  serve(w[from], "2");
  expect_answer(caller, "1", "2");
  CHECK_INT(ask(key), ==, from);
  stage_free(s);
}

CHECK_CASE(a_state_that_nobody_there_takes_goes_back) {
  int from;
  const char *key = left(&from);
  tr_slice take = hear(w[2]);
  say(w[2], note(note_id(take), TAKEN, 3, "", "", ""));
  CHECK_INT(who(), ==, from);
  take = hear(w[from]);
  CHECK_INT(varint_of(take, 5), ==, TAKE);
  CHECK_TEXT(note_part(take, 3), "it");
  say(w[from], note(note_id(take), TAKEN, 0, "", "", ""));
  serve(w[from], "2");
  expect_answer(caller, "1", "2");
  CHECK_INT(ask(key), ==, from);
  stage_free(s);
}

CHECK_CASE(where_the_new_worker_is_lost_the_state_goes_to_another) {
  int from;
  CHECK(left(&from) != NULL);
  peer_cut(p[2]);
  w[2] = NULL;
  int now = who();
  CHECK(now == 0 || now == 1);
  tr_slice take = hear(w[now]);
  CHECK_TEXT(note_part(take, 3), "it");
  say(w[now], note(note_id(take), TAKEN, 0, "", "", ""));
  serve(w[now], "2");
  expect_answer(caller, "1", "2");
  stage_free(s);
}

CHECK_CASE(where_the_old_worker_is_lost_its_requests_go_on_elsewhere) {
  tr_slice leave;
  int from;
  const char *key = moving(&leave, &from);
  say(caller, request("1", "t", key, "1"));
  stage_run(s);
  peer_cut(p[from]);
  w[from] = NULL;
  int now = who();
  CHECK(now >= 0);
  serve(w[now], "2");
  expect_answer(caller, "1", "2");
  stage_free(s);
}

CHECK_CASE(a_request_that_waits_ends_at_its_deadline_and_by_its_caller) {
  tr_slice leave;
  int from;
  const char *key = moving(&leave, &from);
  say(caller, request_with("1", "t", key, "1", metadata("troupe-timeout", "1000")));
  say(caller, request("2", "t", key, "1"));
  stage_sleep(s, TR_SECONDS(2));
  expect_error(caller, "1", "timeout: ");
  say(caller, note(tr_slice_of("2"), 1, 0, "", "", ""));
  stage_run(s);
  say(w[from], note(note_id(leave), LEFT, 0, "", "", ""));
  CHECK_INT(who(), ==, -1);
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  CHECK_INT(ask(key), ==, 2);
  stage_free(s);
}

CHECK_CASE(what_waits_for_an_id_is_bounded) {
  tr_slice leave;
  int from;
  const char *key = moving(&leave, &from), *body = big(1 << 20);
  for (int i = 0; i < 10; i++) say(caller, request(text("%d", i).p, "t", key, body));
  stage_run(s);
  CHECK_INT(caller->count, ==, 3);
  for (int i = 7; i < 10; i++) expect_error(caller, text("%d", i).p, "overloaded: ");
  stage_free(s); /* and all of it is freed */
}

CHECK_CASE(every_priority_that_was_used_is_passed_by_the_order_to_leave) {
  set(2);
  for (int i = 0; i < 40; i++) {
    say(caller, request_with(text("%d", i).p, "t", text("k%d", i).p, "1", metadata("priority", "low")));
    int at = who();
    serve(w[at], "2");
    expect_answer(caller, text("%d", i).p, "2");
    ask(text("k%d", i).p);
  }
  join_worker(2);
  int at = who();
  CHECK(at == 0 || at == 1);
  tr_slice one = hear(w[at]);
  CHECK_INT(varint_of(one, 6), ==, 2);
  unsigned same = 1;
  while (w[at]->count) {
    tr_slice next = hear(w[at]);
    same += tr_slice_equal(note_id(next), note_id(one));
  }
  CHECK_INT(same, ==, 2);
  stage_free(s);
}

/* ---- a worker that comes back ---- */

CHECK_CASE(a_worker_says_what_it_has_and_is_told_what_it_has_lost) {
  set(2);
  int at = ask("k");
  peer_cut(p[at]);
  int other = 1 - at;
  w[at] = NULL;
  CHECK_INT(ask("k"), ==, other);
  p[at] = peer_new(s, "10.0.0.1:1", NULL);
  w[at] = troupe_channel(p[at], ids[at]); /* within its grace: still a member */
  stage_run(s);
  while (w[other]->count) { /* what is to come back to it stays where it is */
    tr_slice leave = hear(w[other]);
    say(w[other], note(note_id(leave), LEFT, 3, "", "", ""));
  }
  say(w[at], note(tr_slice_of("have"), HAVE, 0, "t", "k", ""));
  say(w[at], note(tr_slice_of("have"), HAVE, 0, "t", "mine", ""));
  tr_slice drop = hear(w[at]);
  CHECK_INT(varint_of(drop, 5), ==, DROP);
  CHECK_TEXT(note_part(drop, 2), "k");
  CHECK(silent(w[at]));
  CHECK_INT(ask("k"), ==, other);
  CHECK_INT(ask("mine"), ==, at);
  stage_free(s);
}

CHECK_CASE(nobody_but_the_worker_concerned_can_end_a_move) {
  tr_slice leave;
  int from;
  moving(&leave, &from);
  int other = 1 - from;
  say(w[other], note(note_id(leave), LEFT, 0, "", "", "mine"));
  say(caller, note(note_id(leave), LEFT, 0, "", "", "mine"));
  say(caller, note(tr_slice_of("have"), HAVE, 0, "t", "z", ""));
  say(w[2], note(note_id(leave), TAKEN, 0, "", "", ""));
  CHECK_INT(who(), ==, -1);
  say(w[from], note(note_id(leave), LEFT, 0, "", "", "it"));
  CHECK_INT(who(), ==, 2);
  CHECK_TEXT(note_part(hear(w[2]), 3), "it");
  stage_free(s);
}

/* ---- a worker that is about to leave ---- */

/* Worker 0 lets go of what it is asked for (but for ids with this beginning), the others take. Returns how many it let go of; *given:
 * it was told that this is all. */
static int give_all(char keeps, bool *given) {
  int gone = 0;
  *given = false;
  say(w[0], note(tr_slice_of("give"), 11, 0, "", "", ""));
  for (bool any = true; any;) {
    any = false;
    stage_run(s);
    for (int i = 0; i < 3; i++)
      while (w[i] && w[i]->count) {
        tr_slice m = hear(w[i]);
        unsigned kind = varint_of(m, 5);
        any = true;
        CHECK(!*given);
        if (kind == 12) *given = i == 0;
        else if (kind == LEAVE && note_part(m, 2).p[0] == keeps) say(w[i], note(note_id(m), LEFT, 3, "", "", ""));
        else if (kind == LEAVE) say(w[i], note(note_id(m), LEFT, 0, "", "", "it")), gone++;
        else say(w[i], note(note_id(m), TAKEN, 0, "", "", ""));
      }
  }
  return gone;
}

CHECK_CASE(a_worker_that_is_about_to_leave_gives_all_that_it_has_to_others) {
  bool given;
  int before = 0;
  set(3);
  for (int i = 0; i < 200; i++) before += ask(text("k%d", i).p) == 0;
  CHECK_INT(give_all('-', &given), ==, before);
  CHECK(given);
  for (int i = 0; i < 220; i++) CHECK(ask(text("k%d", i).p) != 0); /* new ones neither */
  stage_free(s);
}

CHECK_CASE(what_cannot_leave_a_worker_is_its_own_to_the_end) {
  bool given;
  int theirs = 0, after = 0;
  set(2);
  for (int i = 0; i < 60; i++) theirs += ask(text("%c%d", i % 2 ? 'a' : 'b', i).p) == 0 && i % 2;
  give_all('a', &given);
  CHECK(given);
  for (int i = 0; i < 60; i++) after += ask(text("%c%d", i % 2 ? 'a' : 'b', i).p) == 0;
  CHECK_INT(after, ==, theirs);
  peer_cut(p[0]);
  w[0] = NULL;
  for (int i = 0; i < 60; i++) CHECK_INT(ask(text("%c%d", i % 2 ? 'a' : 'b', i).p), ==, 1);
  stage_free(s);
}

CHECK_CASE(a_worker_that_is_alone_or_has_nothing_is_told_at_once) {
  bool given;
  set(1);
  give_all('-', &given);
  CHECK(given);
  stage_free(s);
  set(1);
  ask("k");
  CHECK_INT(give_all('-', &given), ==, 0);
  CHECK(given);
  CHECK_INT(ask("k"), ==, 0); /* there is no other */
  CHECK_INT(stage_stats(s).pending_requests, ==, 0);
  stage_free(s);
}

CHECK_CASE(one_that_gave_all_and_comes_back_is_a_member_again) {
  bool given;
  set(2);
  for (int i = 0; i < 20; i++) ask(text("k%d", i).p);
  give_all('-', &given);
  peer_cut(p[0]);
  p[0] = peer_new(s, "10.0.0.1:1", NULL);
  w[0] = troupe_channel(p[0], ids[0]);
  stage_run(s);
  while (w[1]->count) say(w[1], note(note_id(hear(w[1])), LEFT, 3, "", "", ""));
  int back = 0;
  for (int i = 100; i < 140; i++) back += ask(text("k%d", i).p) == 0;
  CHECK(back > 10);
  stage_free(s);
}

/* ---- bounds ---- */

CHECK_CASE(places_are_bounded_and_a_forgotten_id_is_mostly_found_again) {
  tr_host_options o = { .max_places = 100 };
  static int at[1000];
  int same = 0;
  set_with(3, &o);
  for (int i = 0; i < 1000; i++) at[i] = ask(text("k%d", i).p);
  CHECK_INT(stage_logged(s, "share.forgotten"), ==, 10); /* with doubling */
  for (int i = 900; i < 1000; i++) CHECK_INT(ask(text("k%d", i).p), ==, at[i]);
  for (int i = 0; i < 900; i++) same += ask(text("k%d", i).p) == at[i];
  CHECK_INT(same, >, 600); /* a third would be chance */
  stage_free(s);
}

CHECK_CASE(a_very_long_key_is_not_remembered_and_goes_where_its_hash_says) {
  set(3);
  const char *key = big(5000);
  int at = ask(key);
  for (int i = 0; i < 3; i++) CHECK_INT(ask(key), ==, at);
  say(caller, event("x", key, "{}"));
  CHECK_INT(who(), ==, at);
  stage_free(s);
}

CHECK_CASE(after_a_restart_of_the_host_an_id_goes_back_to_who_had_it_before) {
  set(1);
  say(caller, request("early", "t", "k", "1")); /* worker 1 is not back yet */
  CHECK_INT(who(), ==, 0);
  serve(w[0], "2");
  expect_answer(caller, "early", "2");
  join_worker(1);
  while (w[0]->count) say(w[0], note(note_id(hear(w[0])), LEFT, 3, "", "", "")); /* nothing moves but for this: */
  stage_run(s);
  say(w[1], note(tr_slice_of("have"), HAVE, 0, "t", "k", ""));
  CHECK_INT(who(), ==, 0);
  tr_slice leave = hear(w[0]);
  CHECK_INT(varint_of(leave, 5), ==, LEAVE);
  say(caller, request("late", "t", "k", "1"));
  say(w[0], note(note_id(leave), LEFT, 0, "", "", "what it is since then"));
  CHECK_INT(who(), ==, 1); /* which is not given to it */
  serve(w[1], "2");
  expect_answer(caller, "late", "2");
  stage_sleep(s, TR_SECONDS(31));
  join_worker(2); /* much later: who has it keeps it */
  for (int at; (at = who()) >= 0;) say(w[at], note(note_id(hear(w[at])), LEFT, 3, "", "", ""));
  say(w[2], note(tr_slice_of("have"), HAVE, 0, "t", "k", ""));
  CHECK_INT(varint_of(hear(w[2]), 5), ==, DROP);
  CHECK_INT(ask("k"), ==, 1);
  stage_free(s);
}
