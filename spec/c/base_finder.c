/* SPDX-License-Identifier: MIT
 * Finding by id: the same whether the map is there or not, and whether there is memory for it. */
#include "check.h"

#include <stdio.h>

#include "base/finder.h"

enum { MANY = 200 };
typedef struct item { tr_link link; char id[16]; } item;
static item items[MANY];
static tr_link list;
static size_t count;

static tr_slice id_of(const tr_link *link) { return tr_slice_of(TR_CONTAINER(link, item, link)->id); }

static void add(tr_finder *finder, int i) {
  snprintf(items[i].id, sizeof items[i].id, "%d", i);
  tr_list_push(&list, &items[i].link);
  tr_finder_added(finder, &items[i].link);
  count++;
}
static void leave(tr_finder *finder, int i) {
  tr_finder_leaves(finder, &items[i].link);
  tr_link_remove(&items[i].link);
  count--;
}
static int find(tr_finder *finder, const char *id) {
  tr_link *link = tr_finder_get(finder, count, tr_slice_of(id));
  return link ? (int)(TR_CONTAINER(link, item, link) - items) : -1;
}
static void check_all(tr_finder *finder) {
  char id[16];
  for (int i = 0; i < MANY; i++) {
    snprintf(id, sizeof id, "%d", i);
    CHECK_INT(find(finder, id), ==, tr_link_in(&items[i].link) ? i : -1);
  }
  CHECK_INT(find(finder, ""), ==, -1);
}

CHECK_CASE(a_finder_finds_few_and_many) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_finder finder;
    memset(items, 0, sizeof items);
    count = 0;
    tr_list_init(&list);
    tr_finder_init(&finder, check_mem(), 7, &list, id_of);
    for (int i = 0; i < 2; i++) add(&finder, i);
    check_all(&finder);
    CHECK(!finder.mapped);
    for (int i = 2; i < MANY / 2; i++) add(&finder, i);
    CHECK(!finder.mapped); /* nobody has asked */
    check_all(&finder);
    if (!check_mem_refused()) CHECK(finder.mapped);
    for (int i = MANY / 2; i < MANY; i++) add(&finder, i);
    for (int i = 0; i < MANY; i += 3) leave(&finder, i);
    check_all(&finder);
    for (int i = 0; i < MANY; i++)
      if (tr_link_in(&items[i].link)) leave(&finder, i);
    CHECK(!finder.mapped);
    check_all(&finder);
    tr_finder_fini(&finder);
  }
}

CHECK_CASE(of_two_with_one_id_a_finder_finds_one_that_is_there) {
  tr_finder finder;
  memset(items, 0, sizeof items);
  count = 0;
  tr_list_init(&list);
  tr_finder_init(&finder, check_mem(), 7, &list, id_of);
  for (int i = 0; i < 100; i++) add(&finder, i);
  check_all(&finder);
  add(&finder, 100);
  strcpy(items[101].id, "100");
  tr_list_push(&list, &items[101].link);
  tr_finder_added(&finder, &items[101].link);
  leave(&finder, 100);
  CHECK_INT(find(&finder, "100"), ==, 101);
  tr_finder_fini(&finder);
}
