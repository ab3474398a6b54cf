/* SPDX-License-Identifier: MIT
 * The inbox between isolates, without a thread: order, room, who wakes whom; and then with threads, each item once and in the
 * order of its producer. */
#include <pthread.h>
#include <stdlib.h>

#include "check.h"
#include "runtime/link.h"

typedef struct item { tr_queued queued; int number; } item;

static item make(unsigned from, int number, bool bounded) {
  return (item){ .queued = { .size = sizeof(item), .from = (uint8_t)from, .bounded = bounded }, .number = number };
}

CHECK_CASE(an_inbox_gives_what_came_in_one_order_and_wakes_once_a_batch) {
  tr_inbox inbox;
  item items[6];
  CHECK_INT(tr_inbox_init(&inbox, check_mem(), 3), ==, 0);
  CHECK(tr_inbox_take(&inbox) == NULL && tr_inbox_empty(&inbox));
  for (int i = 0; i < 6; i++) {
    items[i] = make((unsigned)i % 3, i, true);
    CHECK_INT(tr_inbox_push(&inbox, &items[i].queued), ==, i == 0);
  }
  int n = 0;
  for (tr_queued *at = tr_inbox_take(&inbox); at; at = at->next) CHECK_INT(((item *)at)->number, ==, n++);
  CHECK_INT(n, ==, 6);
  CHECK(tr_inbox_empty(&inbox));
  items[0] = make(1, 0, false);
  CHECK_INT(tr_inbox_push(&inbox, &items[0].queued), ==, 1);
  tr_inbox_fini(&inbox, check_mem());
}

CHECK_CASE(a_link_has_room_for_so_many_of_each_producer) {
  tr_inbox inbox;
  item *items = calloc(TR_LINK_COUNT, sizeof *items);
  CHECK_INT(tr_inbox_init(&inbox, check_mem(), 2), ==, 0);
  for (int i = 0; i < TR_LINK_COUNT; i++) {
    CHECK(tr_inbox_has_room(&inbox, 0, sizeof *items));
    items[i] = make(0, i, true);
    tr_inbox_push(&inbox, &items[i].queued);
  }
  CHECK(!tr_inbox_has_room(&inbox, 0, sizeof *items));
  CHECK(tr_inbox_has_room(&inbox, 1, sizeof *items)); /* a flood does not shut out the others */
  /* What is taken gives room; the producer that waits is to be woken once, when half is free. */
  int woken = 0, left = TR_LINK_COUNT;
  for (tr_queued *at = tr_inbox_take(&inbox); at; at = at->next) {
    bool wake = tr_inbox_taken(&inbox, at);
    left--;
    if (wake) CHECK_INT(left, <=, TR_LINK_COUNT / 2);
    woken += wake;
  }
  CHECK_INT(woken, ==, 1);
  CHECK(tr_inbox_has_room(&inbox, 0, sizeof *items));
  tr_inbox_fini(&inbox, check_mem());
  free(items);
}

CHECK_CASE(a_link_is_bounded_by_bytes_but_takes_one_of_any_size) {
  tr_inbox inbox;
  item large = make(0, 1, true);
  large.queued.size = 2 * TR_LINK_BYTES;
  CHECK_INT(tr_inbox_init(&inbox, check_mem(), 1), ==, 0);
  CHECK(tr_inbox_has_room(&inbox, 0, large.queued.size));
  tr_inbox_push(&inbox, &large.queued);
  CHECK(!tr_inbox_has_room(&inbox, 0, 1));
  CHECK(tr_inbox_taken(&inbox, tr_inbox_take(&inbox)));
  CHECK(tr_inbox_has_room(&inbox, 0, 1));
  tr_inbox_fini(&inbox, check_mem());
}

#define EACH 20000
#define PRODUCERS 3
typedef struct producer { tr_inbox *inbox; unsigned number; item *items; } producer;

static void *produce(void *ud) {
  producer *self = ud;
  for (int i = 0; i < EACH; i++) {
    self->items[i] = make(self->number, i, i % 3 != 0);
    while (self->items[i].queued.bounded && !tr_inbox_has_room(self->inbox, self->number, sizeof(item))) { }
    tr_inbox_push(self->inbox, &self->items[i].queued);
  }
  return NULL;
}

CHECK_CASE(an_inbox_loses_nothing_between_threads) {
  tr_inbox inbox;
  producer producers[PRODUCERS];
  pthread_t threads[PRODUCERS];
  int next[PRODUCERS] = { 0 }, total = 0;
  CHECK_INT(tr_inbox_init(&inbox, check_mem(), PRODUCERS), ==, 0);
  for (unsigned i = 0; i < PRODUCERS; i++) {
    producers[i] = (producer){ &inbox, i, calloc(EACH, sizeof(item)) };
    pthread_create(&threads[i], NULL, produce, &producers[i]);
  }
  while (total < PRODUCERS * EACH)
    for (tr_queued *at = tr_inbox_take(&inbox), *after; at; at = after) {
      after = at->next;
      CHECK_INT(((item *)at)->number, ==, next[at->from]++);
      tr_inbox_taken(&inbox, at);
      total++;
    }
  for (unsigned i = 0; i < PRODUCERS; i++) pthread_join(threads[i], NULL);
  for (unsigned i = 0; i < PRODUCERS; i++) free(producers[i].items);
  CHECK(tr_inbox_empty(&inbox));
  tr_inbox_fini(&inbox, check_mem());
}
