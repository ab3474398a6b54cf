/* SPDX-License-Identifier: MIT
 * Events: every form of local subscription, once per instance, never to the publisher; taps; what is announced. */
#include <stdio.h>

#include "core_kit.h"

static uint64_t subscribe(const char *type, tr_local_sub_options options) {
  uint64_t id = 0;
  CHECK_INT(tr_class_subscribe(tr_core_find_class(K.core, tr_slice_of(type)), &options, &id, NULL), ==, 0);
  CHECK(id != 0);
  return id;
}
#define TOPIC(text) .topic = tr_slice_of(text)
#define KEY(text) .key = tr_slice_of(text)

CHECK_CASE(an_event_goes_to_the_instance_that_its_source_names) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("chat") });
  kit_publish("chat/room1", "Hello");
  kit_publish("chat", "Hello");
  kit_publish("other", "Hello"); /* nobody asked for it: no dead letter */
  kit_step();
  CHECK_STR(kit_heard(), "a/room1:Hello; a/default:Hello; ");
  CHECK_INT(kit_stats().events, ==, 3);
  CHECK_INT(kit_stats().dead_letters, ==, 0);
  kit_close();
}

CHECK_CASE(an_instance_gets_an_event_once_however_many_subscriptions_match) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("chat") });
  subscribe("a", (tr_local_sub_options){ TOPIC("chat"), KEY("main") });
  subscribe("a", (tr_local_sub_options){ .kind = TR_SUB_PREFIX, TOPIC("ch") });
  subscribe("a", (tr_local_sub_options){ .kind = TR_SUB_PREFIX, TOPIC("") });
  subscribe("a", (tr_local_sub_options){ TOPIC("chat"), .all = true });
  kit_publish("chat/main", "Hello");
  kit_publish("chat/side", "Hello");
  kit_step();
  CHECK_STR(kit_heard(), "a/main:Hello; a/main:Hello; a/side:Hello; ");
  kit_close();
}

CHECK_CASE(all_means_every_live_instance_and_makes_none) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("noise"), .all = true });
  kit_publish("noise", "One");
  kit_step();
  CHECK_STR(kit_heard(), "");
  kit_send("a/1", "Be");
  kit_send("a/2", "Be");
  kit_step();
  kit_publish("noise/x", "Two");
  kit_step();
  CHECK_STR(kit_heard(), "a/1:Be; a/2:Be; a/1:Two; a/2:Two; ");
  kit_close();
}

static int run_publishes(void *ud, tr_turn *turn) {
  kit_run_says(ud, turn);
  if (tr_slice_is(kit_type(turn), "Go")) kit_turn_publish(turn, "chat/main", "Hello");
  return TR_RUN_DONE;
}

CHECK_CASE(an_event_never_goes_back_to_the_instance_that_published_it) {
  kit_open();
  kit_class("a", run_publishes, NULL);
  kit_class("b", kit_run_says, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("chat") });
  subscribe("a", (tr_local_sub_options){ TOPIC("chat"), .all = true });
  subscribe("b", (tr_local_sub_options){ TOPIC("chat") });
  kit_send("a/main", "Go");
  kit_step();
  CHECK_STR(kit_heard(), "a/main:Go; b/main:Hello; ");
  kit_send("a/other", "Go"); /* another instance of the type does get it */
  kit_step();
  CHECK_STR(kit_heard(), "a/other:Go; a/main:Hello; b/main:Hello; ");
  /* the same from a door: the sender is known by its id */
  tr_msg *event = kit_msg(TR_MSG_EVENT, "chat/main", "Wire");
  event->from_wire = true;
  event->sender_type = tr_name_new(tr_core_names(K.core), tr_slice_of("a"));
  event->sender_key = tr_name_new(tr_core_names(K.core), tr_slice_of("main"));
  tr_core_post(K.core, event);
  kit_step();
  CHECK_STR(kit_heard(), "a/other:Wire; b/main:Wire; ");
  /* and one that has left is not made anew for its own event */
  tr_agent_stop(K.core, kit_agent("a/main"), TR_EUNAVAILABLE, NULL);
  event = kit_msg(TR_MSG_EVENT, "chat/main", "Wire");
  event->from_wire = true;
  event->sender_type = tr_name_new(tr_core_names(K.core), tr_slice_of("a"));
  event->sender_key = tr_name_new(tr_core_names(K.core), tr_slice_of("main"));
  tr_core_post(K.core, event);
  CHECK(tr_class_agent_count(tr_core_find_class(K.core, tr_slice_of("a"))) == 1);
  kit_close();
}

static bool match_rooms(void *ud, tr_msg *event, tr_slice *type, tr_slice *key) {
  static char made[32];
  CHECK_STR(ud, "ud");
  if (!tr_slice_starts(tr_name_view(event->target_type), tr_slice_of("room."))) return false;
  snprintf(made, sizeof made, "for-%s", event->target_key->text);
  *key = tr_slice_of(made);
  if (tr_slice_is(tr_name_view(event->type), "ToB")) *type = tr_slice_of("b");
  if (tr_slice_is(tr_name_view(event->type), "ToNobody")) *type = tr_slice_of("nobody");
  return true;
}

CHECK_CASE(a_function_may_choose_the_receiver) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  kit_class("b", kit_run_says, NULL);
  uint64_t id = subscribe("a", (tr_local_sub_options){ .match = match_rooms, .ud = (void *)(uintptr_t) "ud" });
  kit_publish("room.1/x", "Hello");
  kit_publish("hall/x", "Hello");
  kit_publish("room.1/x", "ToB");
  kit_publish("room.1/x", "ToNobody");
  kit_step();
  CHECK_STR(kit_heard(), "a/for-x:Hello; b/for-x:ToB; ");
  CHECK_STR(tr_router_next_sub(tr_core_router(K.core), NULL)->topic->text, ""); /* announced as the empty prefix */
  CHECK_INT(tr_class_unsubscribe(tr_core_find_class(K.core, tr_slice_of("a")), id), ==, 0);
  CHECK(tr_router_next_sub(tr_core_router(K.core), NULL) == NULL);
  kit_close();
}

CHECK_CASE(one_subscription_is_announced_for_all_forms_of_a_topic) {
  tr_error error = { 0 };
  kit_open();
  tr_class *a = kit_class("a", kit_run_says, NULL);
  tr_router *router = tr_core_router(K.core);
  uint64_t one = subscribe("a", (tr_local_sub_options){ TOPIC("t") });
  uint64_t two = subscribe("a", (tr_local_sub_options){ TOPIC("t"), KEY("k") });
  tr_local_sub_options again = { TOPIC("t"), KEY("k") };
  CHECK_INT(tr_class_subscribe(a, &again, NULL, &error), ==, TR_EEXISTS);
  CHECK(strstr(error.text, "\"t\" already") != NULL);
  tr_sub *sub = tr_router_next_sub(router, NULL);
  CHECK_STR(sub->topic->text, "t");
  CHECK_STR(sub->agent_type->text, "a");
  CHECK_INT(sub->id->len, ==, 36);
  CHECK(tr_router_next_sub(router, sub) == NULL);
  CHECK_INT(tr_class_unsubscribe(a, one), ==, 0);
  CHECK_INT(tr_class_unsubscribe(a, one), ==, TR_ENOT_FOUND);
  CHECK(tr_router_next_sub(router, NULL) == sub);
  kit_publish("t/k", "X");
  kit_publish("t/other", "X"); /* only the fixed key is left */
  kit_step();
  CHECK_STR(kit_heard(), "a/k:X; a/k:X; ");
  CHECK_INT(tr_class_unsubscribe(a, two), ==, 0);
  CHECK(tr_router_next_sub(router, NULL) == NULL);
  kit_publish("t/k", "X");
  kit_step();
  CHECK_STR(kit_heard(), "");
  subscribe("a", again);
  tr_core_remove_class(K.core, a);
  CHECK(tr_router_next_sub(router, NULL) == NULL);
  kit_close();
}

CHECK_CASE(someone_elses_subscription_for_our_type_does_not_take_ours_along) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  tr_router *router = tr_core_router(K.core);
  tr_router_subscribe(router, TR_SUB_TYPE, tr_slice_of("theirs"), tr_slice_of("t"), tr_slice_of("a"), NULL, NULL, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("t") });
  tr_router_unsubscribe(router, tr_slice_of("theirs"));
  size_t count;
  tr_router_match(router, tr_slice_of("t"), &count);
  CHECK_INT(count, ==, 1);
  kit_close();
}

CHECK_CASE(bad_subscriptions_are_refused_with_a_reason) {
  tr_error error = { 0 };
  static char key[5000];
  memset(key, 'k', sizeof key);
  kit_open();
  tr_class *a = kit_class("a", kit_run_says, NULL);
  tr_local_sub_options bad[] = { { TOPIC("") }, { TOPIC("a b") }, { .kind = TR_SUB_PREFIX, TOPIC("a/") },
                                 { TOPIC("t"), KEY("k"), .all = true }, { TOPIC("t"), .key = tr_slice_make(key, sizeof key) } };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    tr_error_init(&error);
    CHECK_INT(tr_class_subscribe(a, &bad[i], NULL, &error), ==, TR_EINVALID);
    CHECK(error.text[0] != 0);
  }
  CHECK_INT(tr_core_tap(K.core, TR_SUB_TYPE, tr_slice_of(""), NULL, NULL, NULL), ==, TR_EINVALID);
  kit_close();
}

/* ---- taps ---- */

static uint64_t tap_id, other_tap;
static void tap(void *ud, tr_msg *event) {
  kit_say("%s sees %s", (const char *)ud, event->type->text);
  if (strcmp(ud, "one") != 0 || !tr_slice_is(tr_name_view(event->type), "Once")) return;
  tr_core_untap(K.core, tap_id); /* itself, and the next one, in the middle of the event */
  tr_core_untap(K.core, other_tap);
  tr_core_remove_class(K.core, tr_core_find_class(K.core, tr_slice_of("a")));
  kit_publish("t", "Nested");
}

CHECK_CASE(taps_see_events_and_may_change_everything_meanwhile) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  CHECK_INT(tr_core_tap(K.core, TR_SUB_TYPE, tr_slice_of("t"), tap, (void *)(uintptr_t) "one", &tap_id), ==, 0);
  CHECK_INT(tr_core_tap(K.core, TR_SUB_TYPE, tr_slice_of("t"), tap, (void *)(uintptr_t) "two", &other_tap), ==, 0);
  CHECK_INT(tr_core_tap(K.core, TR_SUB_PREFIX, tr_slice_of(""), tap, (void *)(uintptr_t) "three", NULL), ==, 0);
  subscribe("a", (tr_local_sub_options){ TOPIC("t") });
  kit_publish("t", "First");
  kit_step();
  CHECK_STR(kit_heard(), "one sees First; two sees First; three sees First; a/default:First; ");
  kit_publish("t", "Once");
  kit_step();
  CHECK_STR(kit_heard(), "one sees Once; drop a/default; three sees Nested; three sees Once; ");
  CHECK_INT(tr_core_untap(K.core, tap_id), ==, TR_ENOT_FOUND);
  CHECK(tr_router_next_sub(tr_core_router(K.core), NULL) == NULL); /* taps are not announced */
  kit_close();
}

CHECK_CASE(a_door_can_ask_whether_a_tap_wants_a_topic) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  subscribe("a", (tr_local_sub_options){ TOPIC("t") });
  CHECK(!tr_core_tapped(K.core, tr_slice_of("t")));
  CHECK_INT(tr_core_tap(K.core, TR_SUB_PREFIX, tr_slice_of("t"), tap, (void *)(uintptr_t) "x", &tap_id), ==, 0);
  CHECK(tr_core_tapped(K.core, tr_slice_of("t")));
  CHECK(tr_core_tapped(K.core, tr_slice_of("tt")));
  CHECK(!tr_core_tapped(K.core, tr_slice_of("s")));
  tr_core_untap(K.core, tap_id);
  CHECK(!tr_core_tapped(K.core, tr_slice_of("t")));
  kit_close();
}

static int door_events;
static void door_event(tr_dest *dest, tr_msg *msg) {
  size_t count;
  (void)dest;
  (void)msg;
  door_events++;
  /* what a door does may make the router forget its cached matches */
  for (int i = 0; i < 5; i++) {
    char topic[16];
    snprintf(topic, sizeof topic, "q%d.%d", door_events, i);
    tr_router_match(tr_core_router(K.core), tr_slice_of(topic), &count);
  }
}

CHECK_CASE(an_event_goes_out_by_every_door_once) {
  static tr_dest dests[100];
  static const tr_dest_ops ops = { door_event, door_event };
  kit_open();
  tr_router *router = tr_core_router(K.core);
  for (int i = 0; i < 100; i++) {
    char type[16];
    snprintf(type, sizeof type, "d%d", i);
    tr_dest_init(&dests[i], &ops);
    CHECK_INT(tr_router_register(router, tr_slice_of(type), &dests[i], NULL), ==, 0);
    CHECK_INT(tr_router_subscribe(router, TR_SUB_PREFIX, tr_slice_of(type), tr_slice_of(""), tr_slice_of(type), NULL, NULL, NULL), ==, 0);
  }
  kit_class("here", kit_run_says, NULL); /* matched by the router as well, and no door */
  subscribe("here", (tr_local_sub_options){ TOPIC("t") });
  kit_publish("t", "X");
  kit_step();
  CHECK_STR(kit_heard(), "here/default:X; ");
  CHECK_INT(door_events, ==, 100);
  for (int i = 10; i < 100; i++) tr_router_forget(router, &dests[i]);
  kit_publish("t", "X");
  CHECK_INT(door_events, ==, 110);
  for (int i = 0; i < 10; i++) tr_router_forget(router, &dests[i]);
  kit_close();
}

CHECK_CASE(many_topics_and_subscriptions_that_change_between_events) {
  kit_open();
  kit_class("a", kit_run_says, NULL);
  for (int i = 0; i < 500; i++) {
    char topic[16];
    snprintf(topic, sizeof topic, "t%d", i % 10);
    uint64_t id = subscribe("a", (tr_local_sub_options){ TOPIC(topic) });
    kit_publish(topic, "X");
    kit_publish("none", "X");
    kit_step();
    CHECK_STR(kit_heard(), "a/default:X; ");
    CHECK_INT(tr_class_unsubscribe(tr_core_find_class(K.core, tr_slice_of("a")), id), ==, 0);
    kit_publish(topic, "X");
    kit_step();
    CHECK_STR(kit_heard(), "");
  }
  kit_close();
}
