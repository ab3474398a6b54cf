/* SPDX-License-Identifier: MIT
 * Who has an agent type, and what a host tells them about reloading: only troupe's, and nobody but the host can. */
#include "host_peer.h"

#include <stdio.h>

#include "wire/note.h"

static stage *s;
static char seen[400], told[400];

static bool on_owner(void *ud, const tr_host_owner *owner) {
  size_t n = strlen(seen);
  (void)ud;
  snprintf(seen + n, sizeof seen - n, "%.*s %s%s%s|", TR_SLICE_ARG(owner->client), owner->address, owner->troupe ? " troupe" : "", owner->connected ? "" : " away");
  return true;
}

static const char *owners(const char *type) {
  seen[0] = 0;
  tr_host_each_owner(s->host, tr_slice_of(type), on_owner, NULL);
  return seen;
}

static void on_says(void *ud, tr_slice client, tr_slice id, const tr_wire_note *note) {
  (void)ud;
  snprintf(told, sizeof told, "%.*s %.*s %u %u %.*s", TR_SLICE_ARG(client), TR_SLICE_ARG(id), (unsigned)note->kind, (unsigned)note->count, TR_SLICE_ARG(note->data));
}

static void set(void) {
  tr_host_options tweaks = { .worker_says = on_says, .shared = "t" };
  s = stage_new(&tweaks);
  told[0] = 0;
}

static bool tell(const char *client, unsigned kind, unsigned count) {
  tr_wire_note note = { .kind = kind, .count = count, .type = tr_slice_of("t") };
  return tr_host_tell_worker(s->host, tr_slice_of(client), TR_SLICE_LITERAL("0123456789abcdef"), &note);
}

static tr_slice note(unsigned kind, const char *data) {
  tr_slice id = pb_string(1, "0123456789abcdef"), number = text("%c%c", 5 << 3, (int)kind);
  return pb_field(15, join(join(id, pb_field(2, pb_string(3, data))), number));
}

CHECK_CASE(owners_of_a_type_are_told_and_answer) {
  set();
  peer *a = peer_new(s, "10.0.0.1:1", NULL), *b = peer_new(s, "10.0.0.2:1", NULL), *c = peer_new(s, "10.0.0.3:1", NULL);
  pcall *ours = troupe_channel(a, "a"), *theirs = channel(b, "b");
  reg(a, "a", "t");
  reg(b, "b", "t");
  CHECK_STR(owners("t"), "a 10.0.0.1 troupe|b 10.0.0.2|");
  CHECK_STR(owners("none"), "");
  CHECK(tell("a", TR_NOTE_STAGE, 500));
  CHECK(!tell("b", TR_NOTE_STAGE, 500) && !tell("nobody", TR_NOTE_STAGE, 500));
  tr_slice got = hear(ours);
  CHECK_TEXT(pb_get(pb_get(got, 15), 1), "0123456789abcdef");
  CHECK(silent(theirs));
  say(ours, note(TR_NOTE_STAGED, "{}"));
  stage_run(s);
  CHECK_STR(told, "a 0123456789abcdef 16 0 {}");
  /* What a client makes up about reloading goes to nobody else; AutoGen's cannot say anything. */
  told[0] = 0;
  pcall *other = troupe_channel(c, "c");
  say(other, note(TR_NOTE_STAGE, ""));
  say(theirs, note(TR_NOTE_STAGED, "{}"));
  CHECK(silent(ours));
  CHECK(silent(theirs));
  CHECK_STR(told, "");
  stage_free(s);
}

CHECK_CASE(owners_that_left_in_order_are_none_and_lost_ones_are_away) {
  bool left;
  set();
  peer *a = peer_new(s, "10.0.0.1:1", NULL), *b = peer_new(s, "10.0.0.2:1", NULL);
  pcall *first = troupe_channel(a, "a");
  troupe_channel(b, "b");
  reg(a, "a", "t");
  reg(b, "b", "t");
  CHECK_INT(tr_host_session(s->host, tr_slice_of("a"), &left), ==, 1);
  CHECK(!left);
  cancel(first);
  peer_cut(b);
  stage_run(s);
  CHECK_INT(tr_host_session(s->host, tr_slice_of("a"), &left), ==, 0);
  CHECK(left);
  CHECK_INT(tr_host_session(s->host, tr_slice_of("b"), &left), ==, 0);
  CHECK(!left);
  CHECK_STR(owners("t"), "b  troupe away|");
  CHECK(!tell("b", TR_NOTE_STAGE, 1));
  troupe_channel(a, "a"); /* the same client-id once more */
  CHECK_INT(tr_host_session(s->host, tr_slice_of("a"), &left), ==, 2);
  CHECK(!left);
  stage_sleep(s, TR_SECONDS(31)); /* the other is given up */
  CHECK_INT(tr_host_session(s->host, tr_slice_of("b"), &left), ==, 0);
  CHECK(left);
  stage_free(s);
}
