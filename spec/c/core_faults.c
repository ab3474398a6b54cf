/* SPDX-License-Identifier: MIT
 * Whole scenarios with the 1st, 2nd, … allocation refused: nothing leaks, nothing crashes, every request is answered once. */
#include "core_kit.h"

static int made, answered;

static void heard(void *ud, tr_call *call, tr_reply *reply) {
  (void)ud;
  (void)call;
  CHECK(reply->code == 0 || reply->error.n > 0);
  answered++;
}

static void ask(const char *target, tr_time timeout) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, target, "Ask");
  if (!msg) return;
  msg->deadline = timeout == TR_NEVER ? TR_NEVER : K.now + timeout;
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .bytes = tr_blob_copy(check_mem(), tr_slice_of("{}")) };
  if (tr_core_call(K.core, msg, heard, NULL)) made++;
}

/* A scenario is run until none of its allocations was refused. */
#define SCENARIO(name)                                      \
  static void name##_scenario(void);                        \
  CHECK_CASE(name) {                                        \
    CHECK_EACH_ALLOCATION_FAILS {                           \
      made = answered = 0;                                  \
      if (kit_open()) {                                     \
        name##_scenario();                                  \
        kit_close();                                        \
      }                                                     \
      CHECK_INT(answered, ==, made);                        \
      CHECK_INT(check_mem()->used, ==, 0);                  \
    }                                                       \
  }                                                         \
  static void name##_scenario(void)

/* ---- calls ---- */

static int run_chain(void *ud, tr_turn *turn) { /* asks `ud` (if any) and waits */
  kit_run_says(ud, turn);
  if (!ud || kit_phase(turn) > 0) return TR_RUN_DONE;
  if (tr_slice_is(kit_type(turn), "Back")) return TR_RUN_DONE;
  if (!kit_turn_call(turn, ud, strcmp(ud, "a") == 0 ? "Back" : "Ask")) {
    tr_turn_fail(turn, TR_EMEMORY, NULL);
    return TR_RUN_DONE;
  }
  return TR_RUN_WAIT;
}

static void chain_class(const char *type, const char *next, const kit_class_options *options) {
  tr_class *class_ = kit_class(type, run_chain, options);
  if (class_) tr_class_set_ud(class_, (void *)(uintptr_t)next);
}

SCENARIO(calls_survive_a_lack_of_memory) {
  chain_class("a", "b", &(kit_class_options){ .has_init = true });
  chain_class("b", "c", NULL);
  chain_class("c", "a", &(kit_class_options){ .reentrant = true });
  for (int i = 0; i < 3; i++) {
    ask("a", TR_SECONDS(1));
    ask("b/other", TR_NEVER);
    ask("nobody", TR_NEVER);
    kit_step();
  }
  kit_advance(TR_SECONDS(5));
  if (!check_mem_refused()) CHECK(tr_core_quiet(K.core));
}

/* ---- events ---- */

static bool match_all(void *ud, tr_msg *event, tr_slice *type, tr_slice *key) {
  (void)ud;
  (void)event;
  (void)type;
  *key = tr_slice_of("matched");
  return true;
}
static void tap(void *ud, tr_msg *event) {
  (void)event;
  ++*(int *)ud;
}

SCENARIO(events_survive_a_lack_of_memory) {
  int tapped = 0;
  uint64_t ids[5] = { 0 };
  tr_class *class_ = kit_class("a", kit_run_says, NULL);
  tr_local_sub_options forms[] = { { .topic = tr_slice_of("t") }, { .topic = tr_slice_of("t"), .key = tr_slice_of("k") },
                                   { .kind = TR_SUB_PREFIX, .topic = tr_slice_of("t") }, { .topic = tr_slice_of("t"), .all = true },
                                   { .match = match_all } };
  for (int i = 0; i < 5 && class_; i++) {
    int err = tr_class_subscribe(class_, &forms[i], &ids[i], NULL);
    CHECK(err == 0 || (err == TR_EMEMORY && check_mem_refused()));
  }
  tr_core_tap(K.core, TR_SUB_TYPE, tr_slice_of("t"), tap, &tapped, NULL);
  for (int i = 0; i < 3; i++) kit_publish(i == 1 ? "tt/x" : "t/x", "Hello");
  kit_step();
  if (!check_mem_refused()) CHECK_STR(kit_heard(), "a/x:Hello; a/x:Hello; a/x:Hello; a/k:Hello; a/k:Hello; a/matched:Hello; "
                                                   "a/matched:Hello; a/matched:Hello; ");
  if (!check_mem_refused()) CHECK_INT(tapped, ==, 2);
  for (int i = 0; i < 5 && class_; i++)
    if (ids[i]) CHECK_INT(tr_class_unsubscribe(class_, ids[i]), ==, 0);
  if (class_) tr_core_remove_class(K.core, class_);
}

/* ---- back-pressure and priorities ---- */

static int run_floods(void *ud, tr_turn *turn) {
  (void)ud;
  for (int i = 0; i < 6; i++) {
    tr_msg *msg = kit_msg(i == 5 ? TR_MSG_REQUEST : TR_MSG_SEND, "slow", "X");
    if (!msg) continue;
    msg->priority = (uint8_t)(i % 3);
    if (msg->kind == TR_MSG_SEND) tr_turn_post(turn, msg);
    else if (tr_turn_call(turn, msg, heard, NULL)) made++;
  }
  return TR_RUN_DONE;
}

static int run_slow(void *ud, tr_turn *turn) {
  (void)ud;
  if (kit_phase(turn) < 2) return TR_RUN_YIELD;
  return TR_RUN_DONE;
}

SCENARIO(back_pressure_survives_a_lack_of_memory) {
  kit_class("flood", run_floods, NULL);
  kit_class("slow", run_slow, &(kit_class_options){ .limit = 2 });
  kit_send("flood/1", "Go");
  kit_send("flood/2", "Go");
  kit_step();
  ask("slow", TR_SECONDS(1));
  kit_advance(TR_SECONDS(40));
  if (!check_mem_refused()) CHECK(tr_core_quiet(K.core));
}

/* ---- instances ---- */

static int make_or_not(void *ud, tr_agent *agent, tr_error *error) {
  (void)ud;
  agent->user = tr_alloc(check_mem(), 10);
  return agent->user ? 0 : tr_error_set(error, TR_EMEMORY, "no state");
}

static int run_frees(void *ud, tr_turn *turn) {
  if (tr_slice_is(kit_type(turn), "End")) tr_agent_stop(K.core, turn->agent, TR_EUNAVAILABLE, NULL);
  return kit_run_says(ud, turn);
}

static void drop_state(void *ud, tr_agent *agent) {
  (void)ud;
  tr_free(check_mem(), agent->user, 10);
}
static void no_cancel(void *ud, tr_turn *turn) { (void)ud, (void)turn; }

SCENARIO(instances_survive_a_lack_of_memory) {
  static const tr_class_ops ops = { make_or_not, run_frees, no_cancel, drop_state, NULL, NULL };
  tr_class_options options = { .type = tr_slice_of("a"), .ops = &ops, .has_init = true };
  tr_class *class_ = NULL;
  tr_core_add_class(K.core, &options, &class_, NULL);
  for (int i = 0; i < 20; i++) {
    char id[8] = { 'a', '/', (char)('a' + i), 0 };
    ask(id, TR_NEVER);
  }
  kit_step();
  if (!check_mem_refused()) CHECK_INT(answered, ==, 20);
  ask("a/a", TR_NEVER);
  kit_send("a/a", "End");
  ask("a/a", TR_NEVER);
  kit_step();
  tr_agent *agent = class_ ? tr_class_get(class_, tr_slice_of("direct"), NULL) : NULL;
  if (agent) tr_agent_start(agent);
  kit_step();
}

CHECK_CASE(metadata_survives_a_lack_of_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_meta *meta = tr_meta_new(check_mem());
    for (int i = 0; i < 40 && meta; i++) {
      char key[2] = { (char)('A' + i), 0 };
      int err = tr_meta_set(meta, tr_slice_of(key), tr_slice_of("v"));
      CHECK(err == 0 || (err == TR_EMEMORY && check_mem_refused()));
      CHECK((tr_meta_get(meta, tr_slice_of(key)).p != NULL) == (err == 0));
    }
    tr_meta_free(meta);
  }
}

/* ---- at random: an agent world under random load and random refusals keeps its books ---- */

static tr_random dice;
static unsigned roll(unsigned n) { return (unsigned)(tr_random_next(&dice) % n); }

/* An agent whose turns make up to three calls, wait for all of them, and give up half of the time when they go on. */
typedef struct caller { int open; struct caller_call { struct caller *owner; tr_turn *turn; tr_call *call; } calls[3]; } caller;

static void caller_heard(void *ud, tr_call *call, tr_reply *reply) {
  struct caller_call *mine = ud;
  CHECK(mine->call == call);
  mine->call = NULL;
  mine->owner->open--;
  heard(NULL, call, reply);
  tr_turn_wake(mine->turn);
}

static void caller_end(tr_turn *turn) {
  caller *self = turn->user;
  for (int i = 0; self && i < 3; i++)
    if (self->calls[i].call) {
      tr_call_cancel(self->calls[i].call);
      made--;
    }
  tr_free(check_mem(), self, sizeof *self);
  turn->user = NULL;
}

static int caller_run(void *ud, tr_turn *turn) {
  static const char *const targets[] = { "x/1", "z/1", "r/1", "r/2", "r/3", "nobody" };
  caller *self = turn->user;
  (void)ud;
  if (!turn->started && !self) {
    turn->user = self = tr_calloc(check_mem(), 1, sizeof *self);
    for (unsigned i = roll(4); self && i-- > 0;) {
      struct caller_call *mine = &self->calls[i];
      tr_msg *msg = kit_msg(TR_MSG_REQUEST, targets[roll(6)], "M");
      if (!msg) continue;
      *mine = (struct caller_call){ self, turn, NULL };
      if (roll(2)) msg->deadline = K.now + TR_MILLISECONDS(roll(100));
      mine->call = tr_turn_call(turn, msg, caller_heard, mine);
      if (!mine->call) continue;
      self->open++;
      made++;
      if (roll(4) == 0) tr_call_background(mine->call, true);
    }
  } else if (self && roll(2)) {
    for (int i = 0; i < 3; i++)
      if (self->calls[i].call) tr_call_background(self->calls[i].call, false);
  }
  if (self && self->open && roll(10)) return TR_RUN_WAIT;
  caller_end(turn);
  if (roll(4) == 0) tr_turn_fail(turn, TR_EHANDLER, NULL);
  return TR_RUN_DONE;
}

static void caller_cancel(void *ud, tr_turn *turn) {
  (void)ud;
  caller_end(turn);
}

static const tr_class_ops caller_ops = { .run = caller_run, .cancel = caller_cancel };

static void random_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)ud;
  (void)token;
  (void)request;
  (void)reply;
  answered++;
}

static int run_load(void *ud, tr_turn *turn) { /* no callbacks into turns: requests answered to random_answer */
  static const char *const targets[] = { "x/1", "x/2", "y/1", "z/1", "r/1", "nobody" };
  (void)ud;
  for (unsigned i = roll(4); i > 0; i--) {
    tr_msg *msg = kit_msg((tr_msg_kind)roll(3), targets[roll(6)], "M");
    if (!msg) continue;
    msg->priority = (uint8_t)roll(3);
    if (roll(2)) msg->deadline = K.now + TR_MILLISECONDS(roll(50));
    if (msg->kind == TR_MSG_REQUEST) {
      made++;
      msg->reply_to = (tr_reply_to){ random_answer, NULL, 0, NULL };
    }
    tr_turn_post(turn, msg);
  }
  unsigned what = roll(12);
  if (what == 0) tr_turn_fail(turn, TR_EHANDLER, NULL);
  if (what == 1) tr_agent_stop(K.core, turn->agent, TR_EUNAVAILABLE, NULL);
  if (what == 2) tr_turn_flush(turn);
  if (what == 3) tr_turn_wake(turn);
  if (what == 3) return TR_RUN_WAIT;
  return what == 4 ? TR_RUN_YIELD : TR_RUN_DONE;
}

CHECK_CASE(a_random_world_keeps_its_books) {
  for (uint64_t seed = 0; seed < 60; seed++) {
    made = answered = 0;
    tr_random_init(&dice, seed);
    CHECK(kit_open());
    kit_class("x", run_load, &(kit_class_options){ .limit = 3, .overflow = TR_OVERFLOW_WAIT });
    kit_class("y", run_load, &(kit_class_options){ .limit = 3, .overflow = TR_OVERFLOW_DROP_OLDEST, .has_init = true });
    kit_class("z", run_load, &(kit_class_options){ .limit = 5, .overflow = TR_OVERFLOW_WAIT, .reentrant = true });
    tr_class_options caller_class = { .type = tr_slice_of("r"), .ops = &caller_ops, .mailbox_limit = 3 };
    tr_core_add_class(K.core, &caller_class, NULL, NULL);
    tr_local_sub_options options = { .kind = TR_SUB_PREFIX, .topic = tr_slice_of("") };
    tr_class_subscribe(tr_core_find_class(K.core, tr_slice_of("x")), &options, NULL, NULL);
    tr_class_subscribe(tr_core_find_class(K.core, tr_slice_of("z")), &options, NULL, NULL);
    for (int round = 0; round < 300; round++) {
      if (roll(4) == 0) check_mem_fail_at(1 + roll(30));
      kit_send(roll(2) ? "x/1" : roll(2) ? "r/1" : "z/1", "Go");
      K.now += roll(8) ? roll(3000) : roll(40000000);
      tr_core_step(K.core, K.now, 1 + roll(20));
      K.log[0] = 0;
      tr_core_stats stats = kit_stats();
      CHECK_INT(stats.queued, <, 100000);
    }
    check_mem_fail_at(0);
    kit_close();
    CHECK_INT(answered, ==, made);
  }
}
