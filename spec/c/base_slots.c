/* SPDX-License-Identifier: MIT
 * Slots: found by their token while they are taken, by nothing else and never afterwards. */
#include "check.h"

#include "base/slots.h"

typedef struct item { tr_slot slot; int value; } item;

static tr_slice id_of(const item *it, char text[TR_SLOT_ID]) {
  tr_slot_write_id(&it->slot, text);
  return tr_slice_make(text, TR_SLOT_ID);
}

CHECK_CASE(a_slot_is_found_by_token_and_by_text_until_it_is_given_back) {
  tr_slots slots;
  char text[TR_SLOT_ID], other[TR_SLOT_ID];
  tr_slots_init(&slots, check_mem(), sizeof(item), 1024, 7);
  item *a = tr_slots_take(&slots), *b = tr_slots_take(&slots);
  uint64_t token = tr_slot_token(&a->slot);
  CHECK(a != b);
  CHECK(tr_slots_at(&slots, token) == a);
  CHECK(tr_slots_find(&slots, id_of(a, text)) == a);
  CHECK(tr_slots_find(&slots, id_of(b, other)) == b);
  CHECK(!tr_slots_had(&slots, tr_slice_of("0123456789abcdef")));
  tr_slots_give(&slots, a);
  CHECK(!tr_slots_at(&slots, token));
  CHECK(!tr_slots_find(&slots, tr_slice_make(text, sizeof text)));
  CHECK(tr_slots_had(&slots, tr_slice_make(text, sizeof text)));
  item *again = tr_slots_take(&slots);
  CHECK(again == a);
  CHECK(tr_slot_token(&again->slot) != token);
  CHECK(!tr_slots_at(&slots, token));
  CHECK_INT(slots.count, ==, 2);
  tr_slots_fini(&slots);
}

CHECK_CASE(texts_that_are_no_tokens_are_not_found) {
  static const char *const texts[] = { "", "0", "000000000000000G", "000000000000000A", "00000000000000000", "ffffffffffffffff" };
  tr_slots slots;
  tr_slots_init(&slots, check_mem(), sizeof(item), 1024, 0);
  tr_slots_take(&slots);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    CHECK(!tr_slots_find(&slots, tr_slice_of(texts[i])));
    CHECK(!tr_slots_had(&slots, tr_slice_of(texts[i])));
  }
  tr_slots_fini(&slots);
}

CHECK_CASE(there_are_at_most_so_many_slots_and_they_do_not_move) {
  tr_slots slots;
  item *items[TR_SLOTS_CHUNK * 8];
  tr_slots_init(&slots, check_mem(), sizeof(item), TR_SLOTS_CHUNK * 8, UINT32_MAX); /* generations begin anew, and are never 0 */
  for (int i = 0; i < (int)(TR_SLOTS_CHUNK * 8); i++) {
    items[i] = tr_slots_take(&slots);
    CHECK(items[i] && items[i]->slot.generation != 0);
    items[i]->value = i;
  }
  CHECK(!tr_slots_take(&slots));
  int seen = 0;
  for (item *it = NULL; (it = tr_slots_next(&slots, it)); seen++) CHECK(it == items[it->value]);
  CHECK_INT(seen, ==, TR_SLOTS_CHUNK * 8);
  tr_slots_give(&slots, items[100]);
  CHECK(tr_slots_take(&slots) == items[100]);
  tr_slots_fini(&slots);
}

CHECK_CASE(without_memory_there_is_no_slot_and_later_there_is) {
  CHECK_EACH_ALLOCATION_FAILS {
    tr_slots slots;
    tr_slots_init(&slots, check_mem(), sizeof(item), 1u << 20, 1);
    for (unsigned i = 0; i < TR_SLOTS_CHUNK * 6; i++) tr_slots_take(&slots);
    CHECK(tr_slots_take(&slots) || tr_slots_take(&slots)); /* only one is refused */
    tr_slots_fini(&slots);
  }
}
