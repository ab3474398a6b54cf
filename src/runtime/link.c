/* SPDX-License-Identifier: MIT
 * An inbox: a stack that producers push onto by compare-and-swap, and that the consumer takes whole and turns round. So pushing costs one
 * atomic operation and taking one a batch, nobody ever waits for a lock, and what is pushed by all together comes out
 * in one order: if A tells B and then C, and C tells B, B hears A first.
 *
 * It is the pusher that found it empty who wakes the consumer: one wake-up a batch.
 *
 * Room is counted for each producer, so that one that floods does not shut out the others. A producer that finds no room says that
 * it waits, and then looks again; the consumer gives room back, and then looks whether somebody waits: one of them sees
 * the other, whatever the order (both are sequentially consistent). */
#include "runtime/link.h"

#include <string.h>

#include "base/error.h"

#define ALIGN 64

int tr_inbox_init(tr_inbox *inbox, tr_mem *mem, unsigned producers) {
  atomic_init(&inbox->newest, NULL);
  inbox->producers = producers;
  inbox->block = tr_calloc(mem, producers + 1, sizeof(tr_link_account));
  if (!inbox->block) return TR_EMEMORY;
  inbox->accounts = (tr_link_account *)(((uintptr_t)inbox->block + ALIGN - 1) / ALIGN * ALIGN);
  return 0;
}

void tr_inbox_fini(tr_inbox *inbox, tr_mem *mem) {
  tr_free(mem, inbox->block, (inbox->producers + 1) * sizeof(tr_link_account));
  inbox->block = NULL;
}

static bool fits(tr_link_account *account, size_t size) {
  uint32_t count = atomic_load(&account->count);
  return count == 0 || (count < TR_LINK_COUNT && atomic_load(&account->bytes) + size <= TR_LINK_BYTES);
}

bool tr_inbox_has_room(tr_inbox *inbox, unsigned from, size_t size) {
  tr_link_account *account = &inbox->accounts[from];
  if (fits(account, size)) return true;
  atomic_store(&account->waiting, true);
  return fits(account, size);
}

bool tr_inbox_push(tr_inbox *inbox, tr_queued *item) {
  if (item->bounded) {
    atomic_fetch_add(&inbox->accounts[item->from].count, 1);
    atomic_fetch_add(&inbox->accounts[item->from].bytes, item->size);
  }
  tr_queued *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
  do item->next = newest;
  while (!atomic_compare_exchange_weak(&inbox->newest, &newest, item));
  return newest == NULL;
}

tr_queued *tr_inbox_take(tr_inbox *inbox) {
  tr_queued *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed) ? atomic_exchange(&inbox->newest, NULL) : NULL;
  tr_queued *oldest = NULL;
  while (newest) {
    tr_queued *next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  return oldest;
}

bool tr_inbox_taken(tr_inbox *inbox, const tr_queued *item) {
  tr_link_account *account = &inbox->accounts[item->from];
  if (!item->bounded) return false;
  atomic_fetch_sub(&account->bytes, item->size);
  uint32_t left = atomic_fetch_sub(&account->count, 1) - 1;
  if (!atomic_load(&account->waiting) || left > TR_LINK_COUNT / 2) return false;
  return atomic_exchange(&account->waiting, false);
}
