/* SPDX-License-Identifier: MIT
 * The router: owners of types, equality of subscriptions, and matches, also against a plain scan. */
#include <stdio.h>

#include "base/text.h"
#include "check.h"
#include "core/router.h"

static tr_names *names;
static tr_router *router;
static tr_dest ours, one, two;
static void no_event(tr_dest *dest, tr_msg *msg) { (void)dest, (void)msg; }
static const tr_dest_ops ops = { no_event, no_event };

static bool open_router(void) {
  names = tr_names_new(check_mem(), 1);
  router = names ? tr_router_new(check_mem(), names, 1) : NULL;
  tr_dest_init(&ours, NULL);
  tr_dest_init(&one, &ops);
  tr_dest_init(&two, &ops);
  return router;
}
static void close_router(void) {
  if (router) {
    tr_router_forget(router, &ours);
    tr_router_forget(router, &one);
    tr_router_forget(router, &two);
  }
  tr_router_free(router);
  if (names) CHECK_INT(tr_names_count(names), ==, 0);
  tr_names_free(names);
}
static int reg(const char *type, tr_dest *dest) { return tr_router_register(router, tr_slice_of(type), dest, NULL); }
static int sub(tr_sub_kind kind, const char *id, const char *topic, const char *type) {
  return tr_router_subscribe(router, kind, tr_slice_of(id), tr_slice_of(topic), tr_slice_of(type), NULL, NULL, NULL);
}
/* The match as text: o, 1, 2 for the destinations, sorted. */
static const char *match(const char *topic) {
  static char found[8];
  size_t count;
  tr_dest *const *dests = tr_router_match(router, tr_slice_of(topic), &count);
  int n = 0;
  tr_dest *order[] = { &ours, &one, &two };
  for (int i = 0; i < 3; i++)
    for (size_t k = 0; k < count; k++)
      if (dests[k] == order[i]) found[n++] = "o12"[i];
  CHECK_INT(n, ==, count);
  found[n] = 0;
  return found;
}

CHECK_CASE(a_type_has_one_owner_who_may_give_it_up) {
  tr_dest *owner = NULL;
  open_router();
  CHECK_INT(reg("a", &one), ==, 0);
  CHECK_INT(tr_router_register(router, tr_slice_of("a"), &two, &owner), ==, TR_EEXISTS);
  CHECK(owner == &one);
  CHECK_INT(tr_router_register(router, tr_slice_of("a"), &one, &owner), ==, TR_EEXISTS);
  CHECK(tr_router_owner(router, tr_slice_of("a")) == &one);
  CHECK(tr_router_owner(router, tr_slice_of("b")) == NULL);
  CHECK_INT(tr_router_unregister(router, tr_slice_of("a"), &two), ==, TR_ENOT_FOUND);
  CHECK_INT(tr_router_unregister(router, tr_slice_of("a"), &one), ==, 0);
  CHECK_INT(reg("a", &two), ==, 0);
  close_router();
  open_router();
  reg("a", &one); /* left behind: the router frees it, its owner's list included */
  tr_router_free(router);
  CHECK(tr_list_empty(&one.types));
  tr_names_free(names);
}

CHECK_CASE(a_type_whose_owner_is_away_changes_hands) {
  open_router();
  reg("a", &one);
  reg("b", &one);
  one.away = true;
  CHECK_INT(reg("a", &one), ==, TR_EEXISTS); /* it is still its own */
  CHECK_INT(reg("a", &two), ==, 0);
  CHECK(tr_router_owner(router, tr_slice_of("a")) == &two);
  CHECK(tr_router_owner(router, tr_slice_of("b")) == &one);
  tr_route_type *type = tr_router_next_type(router, &one, NULL);
  CHECK_STR(type->name->text, "b");
  CHECK(tr_router_next_type(router, &one, type) == NULL);
  one.away = false;
  CHECK_INT(reg("a", &one), ==, TR_EEXISTS);
  tr_router_forget(router, &two);
  CHECK(tr_router_owner(router, tr_slice_of("a")) == NULL);
  close_router();
}

CHECK_CASE(subscriptions_are_equal_by_id_or_by_topic_and_type_within_a_kind) {
  tr_sub *same = NULL;
  open_router();
  CHECK_INT(sub(TR_SUB_TYPE, "1", "t", "a"), ==, 0);
  CHECK_INT(sub(TR_SUB_TYPE, "1", "u", "b"), ==, TR_EEXISTS);   /* same id */
  CHECK_INT(sub(TR_SUB_TYPE, "2", "t", "a"), ==, TR_EEXISTS);   /* same pair */
  CHECK_INT(sub(TR_SUB_TYPE, "2", "t", "b"), ==, 0);
  CHECK_INT(sub(TR_SUB_PREFIX, "1", "t", "a"), ==, 0);          /* another kind */
  CHECK_INT(tr_router_subscribe(router, TR_SUB_TYPE, tr_slice_of("9"), tr_slice_of("t"), tr_slice_of("a"), NULL, NULL, &same), ==,
            TR_EEXISTS);
  CHECK_STR(same->id->text, "1");
  CHECK_INT(tr_router_unsubscribe(router, tr_slice_of("1")), ==, 0); /* both kinds */
  CHECK_INT(tr_router_unsubscribe(router, tr_slice_of("1")), ==, TR_ENOT_FOUND);
  CHECK_INT(sub(TR_SUB_TYPE, "1", "t", "a"), ==, 0);
  tr_sub *at = tr_router_next_sub(router, NULL);
  CHECK_STR(at->id->text, "2"); /* in order of adding */
  at = tr_router_next_sub(router, at);
  CHECK_STR(at->id->text, "1");
  CHECK(tr_router_next_sub(router, at) == NULL);
  tr_router_stats stats;
  tr_router_get_stats(router, &stats);
  CHECK_INT(stats.type_subs, ==, 2);
  CHECK_INT(stats.prefix_subs, ==, 0);
  close_router();
}

CHECK_CASE(whoever_adds_subscriptions_finds_them_in_its_own_list) {
  tr_link list;
  open_router();
  tr_list_init(&list);
  tr_slice id = tr_slice_of("1"), topic = tr_slice_of("t"), type = tr_slice_of("a");
  CHECK_INT(tr_router_subscribe(router, TR_SUB_TYPE, id, topic, type, &one, &list, NULL), ==, 0);
  sub(TR_SUB_TYPE, "2", "u", "a");
  tr_sub *mine = TR_CONTAINER(list.next, tr_sub, by_owner);
  CHECK(mine->added_by == &one);
  tr_router_drop(router, mine);
  CHECK(tr_list_empty(&list));
  CHECK(tr_router_next_sub(router, NULL) != NULL);
  close_router();
}

CHECK_CASE(an_event_goes_to_each_owner_once) {
  open_router();
  reg("a", &one);
  reg("b", &one);
  reg("c", &two);
  reg("mine", &ours);
  CHECK_STR(match("t"), "");
  sub(TR_SUB_TYPE, "1", "t", "a");
  sub(TR_SUB_TYPE, "2", "t", "b");
  sub(TR_SUB_PREFIX, "3", "t", "b");
  CHECK_STR(match("t"), "1");
  CHECK_STR(match("t.x"), "1");
  CHECK_STR(match("u"), "");
  sub(TR_SUB_PREFIX, "4", "", "c"); /* the empty prefix matches all */
  CHECK_STR(match("u"), "2");
  CHECK_STR(match("t"), "12");
  sub(TR_SUB_TYPE, "5", "t", "mine");
  CHECK_STR(match("t"), "o12");
  sub(TR_SUB_TYPE, "6", "v", "nobody"); /* its type may come later */
  CHECK_STR(match("v"), "2");
  reg("nobody", &one);
  CHECK_STR(match("v"), "12");
  one.away = true;
  CHECK_STR(match("v"), "12"); /* events go on to who is away */
  CHECK_INT(reg("nobody", &two), ==, 0);
  CHECK_STR(match("v"), "2");
  tr_router_forget(router, &two);
  CHECK_STR(match("v"), "");
  close_router();
}

CHECK_CASE(prefixes_are_bytes_and_end_anywhere) {
  open_router();
  reg("a", &one);
  sub(TR_SUB_PREFIX, "1", "home.", "a");
  sub(TR_SUB_PREFIX, "2", "gr\xC3\xB6", "a");
  CHECK_STR(match("home"), "");
  CHECK_STR(match("home."), "1");
  CHECK_STR(match("home.kitchen"), "1");
  CHECK_STR(match("größe"), "1");
  CHECK_STR(match("grosse"), "");
  close_router();
}

CHECK_CASE(many_topics_do_not_fill_the_memory) {
  open_router();
  reg("a", &one);
  sub(TR_SUB_PREFIX, "1", "", "a");
  for (int i = 0; i < 10000; i++) {
    char topic[16];
    snprintf(topic, sizeof topic, "t%d", i);
    CHECK_STR(match(topic), "1");
  }
  tr_router_stats stats;
  tr_router_get_stats(router, &stats);
  CHECK_INT(stats.cached_topics, <=, 4096);
  CHECK_INT(tr_names_count(names), <, 4200);
  close_router();
}

CHECK_CASE(matches_agree_with_a_scan) {
  enum { SUBS = 120 };
  static struct { bool on; tr_sub_kind kind; char topic[8], type[16], id[16]; } model[SUBS];
  tr_random random;
  tr_dest *owners[] = { &ours, &one, &two };
  tr_random_init(&random, 11);
  open_router();
  for (int i = 0; i < 9; i++) {
    char type[16];
    snprintf(type, sizeof type, "a%d", i);
    reg(type, owners[i % 3]);
  }
  for (int round = 0; round < 4000; round++) {
    int i = (int)(tr_random_next(&random) % SUBS), n = (int)(tr_random_next(&random) % 5);
    char topic[8] = { 0 }, wanted[8];
    if (model[i].on) {
      CHECK_INT(tr_router_unsubscribe(router, tr_slice_of(model[i].id)), ==, 0);
      model[i].on = false;
    } else {
      model[i].kind = tr_random_next(&random) % 2 ? TR_SUB_TYPE : TR_SUB_PREFIX;
      for (int k = 0; k < n; k++) model[i].topic[k] = (char)('a' + tr_random_next(&random) % 2);
      model[i].topic[n] = 0;
      snprintf(model[i].type, sizeof model[i].type, "a%d", (int)(tr_random_next(&random) % 9));
      snprintf(model[i].id, sizeof model[i].id, "%d", i);
      model[i].on = sub(model[i].kind, model[i].id, model[i].topic, model[i].type) == 0;
    }
    for (int k = 0; k < 4; k++) topic[k] = (char)('a' + tr_random_next(&random) % 2);
    bool hit[3] = { false };
    for (int k = 0; k < SUBS; k++)
      if (model[k].on && (model[k].kind == TR_SUB_TYPE ? strcmp(model[k].topic, topic) == 0
                                                       : strncmp(model[k].topic, topic, strlen(model[k].topic)) == 0))
        hit[(model[k].type[1] - '0') % 3] = true;
    snprintf(wanted, sizeof wanted, "%s%s%s", hit[0] ? "o" : "", hit[1] ? "1" : "", hit[2] ? "2" : "");
    CHECK_STR(match(topic), wanted);
  }
  close_router();
}

CHECK_CASE(a_router_without_memory_loses_nothing_it_has) {
  CHECK_EACH_ALLOCATION_FAILS {
    bool a = false, b = false;
    if (open_router()) {
      a = reg("a", &one) == 0 && sub(TR_SUB_TYPE, "1", "t", "a") == 0;
      b = reg("b", &two) == 0 && sub(TR_SUB_PREFIX, "2", "t", "b") == 0;
      CHECK_STR(match("t"), a && b ? "12" : a ? "1" : b ? "2" : "");
      CHECK_STR(match("t"), a && b ? "12" : a ? "1" : b ? "2" : "");
      CHECK_STR(match("tt"), b ? "2" : "");
    }
    if (!check_mem_refused()) CHECK(a && b);
    close_router();
  }
}
