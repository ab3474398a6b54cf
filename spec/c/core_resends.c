/* SPDX-License-Identifier: MIT
 * Requests that come a second time by `retry` are handled once; others, whatever their ids, as often as they come. */
#include <stdio.h>

#include "core_kit.h"

static int runs;
static tr_turn *waiting;

/* "Ask": answers with the number of the run. "Wait": when it is woken. "Busy": unavailable. "Bad": an error of its own. */
static int run(void *ud, tr_turn *turn) {
  (void)ud;
  if (kit_phase(turn) == 0) runs++;
  if (tr_slice_is(kit_type(turn), "Wait") && !turn->started) {
    waiting = turn;
    return TR_RUN_WAIT;
  }
  if (tr_slice_is(kit_type(turn), "Busy")) tr_turn_fail(turn, TR_EUNAVAILABLE, "busy");
  if (tr_slice_is(kit_type(turn), "Bad")) tr_turn_fail(turn, TR_EHANDLER, "bad");
  char text[16];
  int n = snprintf(text, sizeof text, "\"run %d\"", runs);
  tr_body body = { .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = tr_blob_copy(check_mem(), tr_slice_make(text, (size_t)n)) };
  tr_name *type = tr_name_new(tr_core_names(K.core), tr_slice_of("Done"));
  if (body.bytes && type) tr_turn_reply(turn, type, &body);
  else if (body.bytes) tr_body_release(K.core, &body);
  tr_name_unref(type);
  return TR_RUN_DONE;
}

static void answered(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)ud;
  (void)request;
  if (reply->code) kit_say("%d %s: %.*s", (int)token, tr_error_name(reply->code), TR_SLICE_ARG(reply->error));
  else kit_say("%d %s %.*s", (int)token, reply->type ? reply->type->text : "null", reply->body.bytes ? (int)reply->body.bytes->len : 0,
               reply->body.bytes ? (char *)reply->body.bytes->data : "");
}

/* As a door posts it; `n` is said with its answer. */
static tr_msg *ask(int n, const char *type, const char *id, uint64_t token, tr_time timeout) {
  tr_msg *msg = kit_msg(TR_MSG_REQUEST, "a/1", type);
  if (!msg) return NULL;
  msg->from_wire = true;
  msg->reply_to = (tr_reply_to){ .answer = answered, .token = (uint64_t)n };
  msg->deadline = timeout == TR_NEVER ? TR_NEVER : K.now + timeout;
  msg->id = tr_name_new(tr_core_names(K.core), tr_slice_of(id));
  tr_msg_more *more = token ? tr_msg_get_more(msg) : NULL;
  if (more) more->token[0] = token;
  tr_msg_ref(msg);
  tr_core_post(K.core, msg);
  kit_step();
  return msg;
}

static void once(int n, const char *type, const char *id, uint64_t token, tr_time timeout) {
  tr_msg *msg = ask(n, type, id, token, timeout);
  if (msg) tr_msg_unref(msg);
}

CHECK_CASE(a_request_that_comes_again_gets_the_first_ones_answer) {
  kit_open();
  kit_class("a", run, NULL);
  once(1, "Ask", "x", 7, TR_SECONDS(30));
  once(2, "Ask", "x", 7, TR_SECONDS(30));
  kit_advance(TR_SECONDS(29));
  once(3, "Ask", "x", 7, TR_SECONDS(1));
  CHECK_STR(kit_heard(), "1 Done \"run 1\"; 2 Done \"run 1\"; 3 Done \"run 1\"; ");
  CHECK_INT(runs, ==, 1);
  CHECK_INT(kit_stats().repeated, ==, 2);
  kit_advance(TR_SECONDS(62)); /* a minute after the caller's deadline: what it sent has come */
  once(4, "Ask", "x", 7, TR_NEVER);
  CHECK_STR(kit_heard(), "4 Done \"run 2\"; ");
  once(5, "Bad", "y", 8, TR_NEVER);
  once(6, "Bad", "y", 8, TR_NEVER);
  CHECK_STR(kit_heard(), "5 handler_error: bad; 6 handler_error: bad; ");
  CHECK_INT(runs, ==, 3);
  kit_close();
}

CHECK_CASE(ids_of_two_callers_never_meet) {
  kit_open();
  kit_class("a", run, NULL);
  once(1, "Ask", "x", 7, TR_NEVER);
  once(2, "Ask", "x", 9, TR_NEVER); /* another caller's */
  once(3, "Ask", "y", 7, TR_NEVER);
  once(4, "Ask", "1", 0, TR_NEVER); /* clients count from 1 again when they restart */
  once(5, "Ask", "1", 0, TR_NEVER);
  CHECK_STR(kit_heard(), "1 Done \"run 1\"; 2 Done \"run 2\"; 3 Done \"run 3\"; 4 Done \"run 4\"; 5 Done \"run 5\"; ");
  CHECK_INT(kit_stats().repeated, ==, 0);
  kit_close();
}

CHECK_CASE(a_second_request_joins_the_wait_for_the_first) {
  kit_open();
  kit_class("a", run, NULL);
  tr_msg *first = ask(1, "Wait", "x", 7, TR_NEVER);
  first->reply_to.answer = NULL; /* its connection is gone */
  tr_msg *second = ask(2, "Wait", "x", 7, TR_NEVER), *third = ask(3, "Wait", "x", 7, TR_NEVER);
  CHECK_STR(kit_heard(), "");
  tr_msg_cancel(first); /* somebody else waits */
  kit_step();
  third->reply_to.answer = NULL;
  tr_msg_cancel(third);
  tr_turn_wake(waiting);
  kit_step();
  CHECK_STR(kit_heard(), "2 Done \"run 1\"; ");
  CHECK_INT(runs, ==, 1);
  tr_msg_unref(first);
  tr_msg_unref(second);
  tr_msg_unref(third);
  kit_close();
}

CHECK_CASE(when_the_last_who_joined_gives_up_so_does_the_first) {
  kit_open();
  kit_class("a", run, NULL);
  tr_msg *first = ask(1, "Wait", "x", 7, TR_NEVER);
  tr_msg *second = ask(2, "Wait", "x", 7, TR_NEVER);
  first->reply_to.answer = second->reply_to.answer = NULL;
  tr_msg_unref(first);
  tr_msg_cancel(second);
  tr_msg_unref(second);
  kit_step();
  CHECK_INT(K.cancels, ==, 1);
  CHECK_INT(kit_stats().open_turns, ==, 0);
  once(3, "Ask", "x", 7, TR_NEVER); /* that one was never answered */
  CHECK_STR(kit_heard(), "cancel a/1; 3 Done \"run 2\"; ");
  kit_close();
}

/* Its deadline counts from its coming: it was written before. */
CHECK_CASE(one_that_ended_by_its_deadline_is_not_run_again_by_a_copy_that_is_late) {
  kit_open();
  kit_class("a", run, NULL);
  once(1, "Wait", "x", 7, TR_SECONDS(1));
  kit_advance(TR_SECONDS(1));
  once(2, "Wait", "x", 7, TR_MILLISECONDS(50));
  CHECK_STR(kit_heard(), "cancel a/1; 1 timeout: a/1 did not answer within the deadline; 2 timeout: a/1 did not answer within the deadline; ");
  tr_msg *first = ask(3, "Wait", "y", 8, TR_SECONDS(1));
  first->reply_to.answer = NULL; /* the door's own guard answered first */
  kit_advance(TR_SECONDS(1));
  tr_msg_cancel(first);
  tr_msg_unref(first);
  kit_step();
  once(4, "Wait", "y", 8, TR_MILLISECONDS(50));
  CHECK_STR(kit_heard(), "cancel a/1; 4 timeout: a/1 did not answer within the deadline; ");
  CHECK_INT(runs, ==, 2);
  kit_close();
}

CHECK_CASE(what_is_to_be_tried_again_is_not_remembered) {
  kit_open();
  tr_class *class_ = kit_class("a", run, NULL);
  once(1, "Busy", "x", 7, TR_NEVER);
  once(2, "Busy", "x", 7, TR_NEVER);
  CHECK_STR(kit_heard(), "1 unavailable: busy; 2 unavailable: busy; ");
  CHECK_INT(runs, ==, 2);
  once(3, "Wait", "y", 8, TR_NEVER);
  once(4, "Wait", "y", 8, TR_NEVER);
  tr_agent_stop(K.core, tr_class_find(class_, tr_slice_of("1")), TR_EUNAVAILABLE, "stopped");
  kit_step();
  CHECK_STR(kit_heard(), "cancel a/1; 4 unavailable: stopped; 3 unavailable: stopped; drop a/1; ");
  once(5, "Ask", "y", 8, TR_NEVER);
  CHECK_STR(kit_heard(), "5 Done \"run 4\"; ");
  kit_close();
}

CHECK_CASE(the_window_is_bounded) {
  kit_open();
  kit_class("a", run, NULL);
  for (uint64_t i = 1; i <= 1025; i++) once((int)i, "Ask", "x", i, TR_NEVER);
  kit_heard();
  CHECK_INT(runs, ==, 1025);
  once(1, "Ask", "x", 1, TR_NEVER); /* forgotten: handled anew */
  CHECK_INT(runs, ==, 1026);
  once(1, "Ask", "x", 1025, TR_NEVER);
  CHECK_INT(runs, ==, 1026);
  for (int i = 0; i < 40; i++) once(i, "Wait", "x", 5000, TR_NEVER); /* and so are those that wait for one */
  CHECK(strstr(kit_heard(), "17 overloaded: "));
  tr_turn_wake(waiting);
  kit_step();
  CHECK_INT(runs, ==, 1027);
  kit_advance(TR_SECONDS(61));
  once(1, "Ask", "x", 1025, TR_NEVER);
  CHECK_INT(runs, ==, 1028);
  kit_close();
}

CHECK_CASE(requests_sent_again_survive_a_lack_of_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (kit_open()) {
      runs = 0;
      waiting = NULL;
      kit_class("a", run, NULL);
      for (int i = 0; i < 3; i++) once(i, "Ask", "x", 7, TR_SECONDS(5));
      for (int i = 0; i < 3; i++) once(i, "Wait", "y", 8, TR_SECONDS(5));
      if (!check_mem_refused()) CHECK_INT(runs, ==, 2);
      if (waiting && !check_mem_refused()) tr_turn_wake(waiting);
      kit_step();
      if (!check_mem_refused()) CHECK_STR(kit_heard(), "0 Done \"run 1\"; 1 Done \"run 1\"; 2 Done \"run 1\"; "
                                                    "1 Done \"run 2\"; 2 Done \"run 2\"; 0 Done \"run 2\"; ");
      kit_close();
    }
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
