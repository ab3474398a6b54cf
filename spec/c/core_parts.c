/* SPDX-License-Identifier: MIT
 * Parts of answers within a process: credit, order, nobody there. */
#include "core_kit.h"

static int given;
static bool left_over;

/* Gives 5 parts and is done. */
static int run_gives(void *ud, tr_turn *turn) {
  (void)ud;
  while (given < 5 && tr_turn_takes_parts(turn)) {
    if (!tr_turn_has_credit(turn)) return TR_RUN_WAIT;
    tr_body body = { .kind = TR_BODY_NULL };
    CHECK_INT(tr_turn_part(turn, &body), ==, 0);
    kit_say("gives %d", ++given);
  }
  left_over = given < 5;
  kit_turn_reply(turn, "Done");
  return TR_RUN_DONE;
}

static void heard(void *ud, tr_call *call, tr_reply *part) {
  (void)ud;
  (void)call;
  CHECK_STR(part->type->text, "Ask");
  kit_say("part");
}

static tr_call *stream(unsigned window) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "a", "Ask");
  msg->window = (uint8_t)window;
  tr_call *call = tr_core_call(K.core, msg, kit_said_reply, (void *)(uintptr_t) "one");
  tr_call_on_part(call, heard);
  given = 0;
  return call;
}

CHECK_CASE(a_turn_gives_as_many_parts_as_it_has_credit_for) {
  kit_open();
  kit_class("a", run_gives, NULL);
  tr_call *call = stream(2);
  kit_step();
  CHECK_STR(kit_heard(), "part; gives 1; part; gives 2; ");
  tr_call_credit(call, 0);
  kit_step();
  CHECK_STR(kit_heard(), "");
  tr_call_credit(call, 1);
  kit_step();
  CHECK_STR(kit_heard(), "part; gives 3; ");
  tr_call_credit(call, UINT32_MAX);
  tr_call_credit(call, UINT32_MAX);
  kit_step();
  CHECK_STR(kit_heard(), "part; gives 4; part; gives 5; one=Done; ");
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_plain_call_takes_no_parts) {
  kit_open();
  kit_class("a", run_gives, NULL);
  stream(0);
  kit_step();
  CHECK_STR(kit_heard(), "one=Done; ");
  CHECK(left_over);
  kit_send("a", "Ask");
  kit_step();
  CHECK(tr_core_quiet(K.core));
  kit_close();
}

CHECK_CASE(a_turn_without_credit_ends_when_its_caller_gives_up_or_its_time_is_over) {
  kit_open();
  kit_class("a", run_gives, NULL);
  tr_call *call = stream(1);
  kit_step();
  tr_call_cancel(call);
  kit_step();
  CHECK_STR(kit_heard(), "part; gives 1; cancel a/default; ");
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "a", "Ask");
  msg->window = 1;
  msg->deadline = K.now + TR_SECONDS(1);
  given = 0;
  tr_core_call(K.core, msg, kit_said_reply, (void *)(uintptr_t) "two"); /* and nobody hears its parts */
  kit_advance(TR_SECONDS(2));
  CHECK_STR(kit_heard(), "gives 1; two=timeout: a/default did not answer within the deadline; cancel a/default; ");
  CHECK_INT(kit_stats().late_replies, ==, 1); /* the part */
  CHECK(tr_core_quiet(K.core));
  kit_close();
}
