/* SPDX-License-Identifier: MIT
 * Instances that are elsewhere: what is held, what is forwarded, in which order and how much of it; ids whose type is not here; a
 * process that serves some ids only. Then the same without memory. */
#include <stdio.h>

#include "core_kit.h"

typedef struct place {
  tr_remote remote;
  unsigned open; /* forwarded and not done: no requests */
  tr_msg *asked; /* the last request, if it is kept */
  bool keeps, done_at_once;
} place;

static void on_forward(tr_remote *remote, tr_msg *msg) {
  place *self = TR_CONTAINER(remote, place, remote);
  kit_say("there %s", msg->type->text);
  if (msg->kind == TR_MSG_REQUEST) {
    tr_reply reply = { .type = msg->type };
    if (self->keeps) self->asked = tr_msg_ref(msg);
    else tr_msg_answer(msg, &reply);
  } else if (self->done_at_once) {
    tr_remote_done(K.core, remote);
  } else {
    self->open++;
  }
}
static void on_wanted(tr_remote *remote) {
  kit_say("wanted");
  tr_agent_hold(K.core, remote->agent, remote, false, NULL);
}
static void on_quiet(tr_remote *remote) {
  (void)remote;
  kit_say("quiet");
}
static void on_left(tr_remote *remote) {
  (void)remote;
  kit_say("left");
}
static const tr_remote_ops ops = { .forward = on_forward, .wanted = on_wanted, .quiet = on_quiet, .left = on_left };

static void done(place *self, unsigned count) {
  while (count-- > 0 && self->open > 0) {
    self->open--;
    tr_remote_done(K.core, &self->remote);
  }
}

CHECK_CASE(mail_is_held_and_goes_first_when_the_agent_has_gone) {
  place p = { .remote.ops = &ops };
  kit_open();
  kit_class("a", kit_run_says, NULL);
  kit_send("a/1", "One");
  kit_step();
  CHECK_STR(kit_heard(), "a/1:One; ");
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, false, NULL), ==, 0);
  kit_send("a/1", "Two");
  kit_call("a/1", "Three", "call");
  kit_step();
  CHECK_STR(kit_heard(), "quiet; ");
  CHECK(!tr_core_idle(K.core));
  tr_agent_go(K.core, kit_agent("a/1"));
  kit_step();
  CHECK_STR(kit_heard(), "drop a/1; there Two; there Three; call=Three; ");
  kit_send("a/1", "Four");
  kit_send("a/2", "Other");
  kit_step();
  CHECK_STR(kit_heard(), "there Four; a/2:Other; ");
  CHECK(!tr_core_idle(K.core)); /* two are not handled yet */
  done(&p, 2);
  CHECK(tr_core_idle(K.core));
  kit_close();
  CHECK_STR(kit_heard(), "left; drop a/2; ");
}

CHECK_CASE(one_that_is_let_go_of_goes_on_as_it_was) {
  place p = { .remote.ops = &ops };
  kit_open();
  kit_class("a", kit_run_says, NULL);
  kit_send("a/1", "One");
  kit_step();
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, false, NULL), ==, 0);
  kit_send("a/1", "Two");
  kit_step();
  tr_agent_unhold(K.core, kit_agent("a/1"));
  kit_step();
  CHECK_STR(kit_heard(), "a/1:One; quiet; a/1:Two; ");
  kit_close();
}

/* A turn that waits, and then is done: quiet comes when it is over. */
CHECK_CASE(open_turns_end_before_it_is_quiet) {
  place p = { .remote.ops = &ops };
  kit_open();
  kit_class("a", kit_run_waits, NULL);
  kit_send("a/1", "One");
  kit_step();
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, false, NULL), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "a/1:One; ");
  tr_turn_wake(kit_agent("a/1")->turn);
  kit_advance(1);
  CHECK(strstr(kit_heard(), "quiet; ") != NULL);
  kit_close();
}

CHECK_CASE(lazily_it_is_wanted_at_its_first_message_which_waits) {
  place p = { .remote.ops = &ops };
  kit_open();
  kit_class("a", kit_run_says, NULL);
  kit_send("a/1", "One");
  kit_step();
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, true, NULL), ==, 0);
  kit_step();
  CHECK_STR(kit_heard(), "a/1:One; ");
  kit_send("a/1", "Two");
  kit_advance(1);
  CHECK_STR(kit_heard(), "wanted; quiet; ");
  tr_agent_go(K.core, kit_agent("a/1"));
  CHECK_STR(kit_heard(), "drop a/1; there Two; ");
  kit_close();
}

CHECK_CASE(no_more_than_half_a_mailbox_is_on_its_way) {
  place p = { .remote.ops = &ops };
  kit_class_options few = { .limit = 8, .overflow = TR_OVERFLOW_REFUSE };
  kit_open();
  kit_class("a", kit_run_says, &few);
  kit_send("a/1", "One");
  kit_step();
  kit_heard();
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, false, NULL), ==, 0);
  tr_agent_go(K.core, kit_agent("a/1"));
  for (int i = 0; i < 13; i++) kit_send("a/1", "S"); /* what is on its way, and what fits into the mailbox */
#ifndef TR_HOSTILE
  CHECK_INT(p.open, ==, 4);
  CHECK_INT(K.dead_letters, ==, 1);
  kit_heard();
  kit_call("a/1", "Q", "q"); /* overloaded: there is no room before it */
  kit_step();
  CHECK(strstr(kit_heard(), "q=overloaded") != NULL);
  done(&p, 1);
  CHECK_INT(p.open, ==, 4);
  kit_call("a/1", "Q", "q");
  done(&p, 7);
  kit_heard();
  done(&p, 1);
  CHECK_STR(kit_heard(), "there Q; q=Q; ");
#endif
  while (p.open > 0) done(&p, p.open);
  CHECK(tr_core_idle(K.core));
  kit_close();
}

CHECK_CASE(no_more_than_half_of_its_bytes_is_on_its_way) {
  place p = { .remote.ops = &ops };
  kit_open();
  kit_class("a", kit_run_says, &(kit_class_options){ .bytes = 64000, .overflow = TR_OVERFLOW_REFUSE });
  kit_send("a/1", "One");
  kit_step();
  CHECK_INT(tr_agent_hold(K.core, kit_agent("a/1"), &p.remote, false, NULL), ==, 0);
  tr_agent_go(K.core, kit_agent("a/1"));
  kit_send_sized("a/1", "S", 100000); /* one may be as large as it likes */
  kit_send_sized("a/1", "S", 16000);
  CHECK_INT(p.open, ==, 1);
  done(&p, 1);
  for (int i = 0; i < 4; i++) kit_send_sized("a/1", "S", 16000);
  CHECK_INT(p.open, ==, 2);
  done(&p, 1);
  CHECK_INT(p.open, ==, 1); /* what has come through counts until all has */
  done(&p, 1);
  CHECK_INT(p.open, ==, 2);
  CHECK_INT(K.dead_letters, ==, 0);
  while (p.open > 0) done(&p, p.open);
  CHECK(tr_core_idle(K.core));
  kit_close();
}

CHECK_CASE(an_id_whose_type_is_not_here_is_found_and_the_others_are_not) {
  place p = { .remote.ops = &ops, .done_at_once = true }, q = { .remote.ops = &ops };
  tr_error error;
  kit_open();
  tr_error_init(&error);
  CHECK_INT(tr_core_add_remote(K.core, tr_slice_of("b"), tr_slice_of("1"), &p.remote, NULL), ==, 0);
  CHECK(tr_core_find_remote(K.core, tr_slice_of("b"), tr_slice_of("1")) == &p.remote);
  CHECK(tr_core_find_remote(K.core, tr_slice_of("b"), tr_slice_of("2")) == NULL);
  CHECK_INT(tr_core_add_remote(K.core, tr_slice_of("b"), tr_slice_of("1"), &q.remote, &error), ==, TR_EEXISTS);
  kit_send("b/1", "One");
  kit_call("b/1", "Two", "two");
  kit_call("b/2", "Three", "three");
  kit_step();
  CHECK_STR(kit_heard(), "there One; there Two; two=Two; three=not_found: no agent type \"b\" here (0 types are known); ");
  kit_class("b", kit_run_says, NULL); /* a type of that name comes: the id stays where it is */
  kit_send("b/1", "Four");
  kit_send("b/2", "Five");
  kit_step();
  CHECK_STR(kit_heard(), "there Four; b/2:Five; ");
  tr_agent_stop(K.core, p.remote.agent, TR_EUNAVAILABLE, "stopped");
  CHECK_STR(kit_heard(), "left; ");
  kit_send("b/1", "Six");
  kit_step();
  CHECK_STR(kit_heard(), "b/1:Six; ");
  CHECK_INT(tr_core_add_remote(K.core, tr_slice_of("b"), tr_slice_of("1"), &p.remote, &error), ==, TR_EEXISTS); /* it lives here */
  kit_close();
}

CHECK_CASE(a_process_that_serves_one_id_has_no_other) {
  kit_open();
  tr_class *class_ = kit_class("c", kit_run_says, NULL);
  tr_local_sub_options sub = { .kind = TR_SUB_TYPE, .topic = tr_slice_of("t") };
  CHECK_INT(tr_class_subscribe(class_, &sub, NULL, NULL), ==, 0);
  CHECK_INT(tr_class_serve_only(class_, tr_slice_of("1")), ==, 0);
  kit_send("c/1", "One");
  kit_call("c/2", "Two", "two");
  kit_publish("t/1", "Note");
  kit_publish("t/2", "Note");
  kit_step();
  CHECK(strstr(kit_heard(), "two=not_found") != NULL);
  CHECK_INT(kit_stats().agents, ==, 1);
  tr_core_set_leaf(K.core); /* no uplink: what is published goes nowhere */
  kit_publish("t/1", "Note");
  kit_step();
  CHECK_STR(kit_heard(), "");
  kit_close();
}

CHECK_CASE(moving_without_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    place p = { .remote.ops = &ops, .done_at_once = true }, q = p;
    if (!kit_open()) continue;
    tr_class *class_ = kit_class("a", kit_run_says, NULL);
    kit_send("a/1", "One");
    kit_step();
    tr_agent *agent = class_ ? kit_agent("a/1") : NULL;
    bool held = agent && !tr_agent_hold(K.core, agent, &p.remote, false, NULL);
    kit_send("a/1", "Two");
    kit_call("a/1", "Three", "three");
    kit_step();
    if (held) tr_agent_go(K.core, agent);
    kit_step();
    tr_core_add_remote(K.core, tr_slice_of("b"), tr_slice_of("1"), &q.remote, NULL);
    kit_send("b/1", "Four");
    kit_step();
    if (class_) tr_class_serve_only(class_, tr_slice_of("9"));
    CHECK(tr_core_idle(K.core));
    kit_close();
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
