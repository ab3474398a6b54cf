/* SPDX-License-Identifier: MIT
 * "TYPE:…", which a class hears without a subscription of its own: nobody sees whether that subscription is made or only marked. */
#include "core_kit.h"

static bool direct_class(const char *type) {
  return kit_class(type, kit_run_says, &(kit_class_options){ .direct_topics = true }) != NULL;
}
static size_t matches(const char *topic) {
  size_t count;
  tr_router_match(tr_core_router(K.core), tr_slice_of(topic), &count);
  return count;
}
static size_t prefixes(void) {
  tr_router_stats stats;
  tr_router_get_stats(tr_core_router(K.core), &stats);
  return stats.prefix_subs;
}
static int add(const char *id, const char *topic, const char *type, tr_sub **existing) {
  return tr_router_subscribe(tr_core_router(K.core), TR_SUB_PREFIX, tr_slice_of(id), tr_slice_of(topic), tr_slice_of(type), NULL, NULL, existing);
}

CHECK_CASE(a_class_hears_the_topics_of_its_type) {
  kit_open();
  direct_class("a");
  direct_class("ab");
  kit_class("deaf", kit_run_says, NULL);
  kit_publish("a:rpc_request=x/1", "One");
  kit_publish("ab:/2", "Two");
  kit_publish("a:/3", "Three");
  kit_publish("deaf:y/4", "Four");
  kit_publish("a/5", "Five");
  kit_publish("c:a:/6", "Six");
  kit_step();
  CHECK_STR(kit_heard(), "a/1:One; ab/2:Two; a/3:Three; ");
  kit_close();
}

CHECK_CASE(a_topic_that_nobody_heard_is_heard_by_a_class_that_comes) {
  kit_open();
  kit_publish("a:x/1", "Early");
  CHECK_INT(matches("a:x"), ==, 0);
  direct_class("a");
  CHECK_INT(matches("a:x"), ==, 1);
  kit_publish("a:x/1", "Late");
  kit_step();
  CHECK_STR(kit_heard(), "a/1:Late; ");
  tr_core_remove_class(K.core, tr_core_find_class(K.core, tr_slice_of("a")));
  CHECK_INT(matches("a:x"), ==, 0);
  kit_publish("a:x/1", "Gone");
  kit_step();
  CHECK_STR(kit_heard(), "drop a/1; ");
  kit_close();
}

CHECK_CASE(the_router_finds_the_owner_before_and_after_the_subscription_is_made) {
  kit_open();
  direct_class("a");
  CHECK_INT(prefixes(), ==, 0);
  CHECK_INT(matches("a:x"), ==, 1);
  CHECK_INT(matches("a"), ==, 0);
  CHECK_INT(matches("b:x"), ==, 0);
  kit_publish("a:y/1", "X");
  CHECK_INT(prefixes(), ==, 1);
  CHECK_INT(matches("a:x"), ==, 1);
  kit_close();
}

CHECK_CASE(who_lists_subscriptions_sees_all_of_them) {
  kit_open();
  direct_class("a");
  direct_class("b");
  kit_class("c", kit_run_says, NULL);
  for (int again = 0; again < 2; again++) {
    CHECK_INT(tr_core_list_subs(K.core), ==, 0);
    CHECK_INT(prefixes(), ==, 2);
  }
  tr_core_remove_class(K.core, tr_core_find_class(K.core, tr_slice_of("a")));
  CHECK_INT(prefixes(), ==, 1);
  kit_close();
}

CHECK_CASE(one_of_the_same_meaning_is_there_already) {
  tr_sub *existing = NULL;
  kit_open();
  direct_class("a");
  CHECK_INT(add("1", "a:", "other", NULL), ==, 0);
  CHECK_INT(add("2", "a:", "a", &existing), ==, TR_EEXISTS);
  CHECK(existing && existing->added_by == tr_core_local(K.core));
  tr_local_sub_options same = { .kind = TR_SUB_PREFIX, .topic = tr_slice_of("a:") };
  CHECK_INT(tr_class_subscribe(tr_core_find_class(K.core, tr_slice_of("a")), &same, NULL, NULL), ==, TR_EEXISTS);
  kit_close();
}

CHECK_CASE(direct_topics_survive_a_lack_of_memory) {
  CHECK_EACH_ALLOCATION_FAILS {
    if (kit_open()) {
      bool there = direct_class("a");
      if (there) CHECK_INT(matches("a:x"), ==, 1); /* a match needs no memory */
      int err = kit_publish("a:x/1", "X");
      CHECK(err == 0 || check_mem_refused());
      CHECK(tr_core_list_subs(K.core) == 0 || check_mem_refused());
      if (there) CHECK_INT(matches("a:x"), ==, 1);
      kit_step();
      if (!check_mem_refused()) CHECK_STR(kit_heard(), "a/1:X; ");
      kit_close();
    }
    CHECK_INT(check_mem()->used, ==, 0);
  }
}
