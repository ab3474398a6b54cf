/* SPDX-License-Identifier: MIT
 * The way into an isolate: a queue with many producers, in their own threads, and one consumer. Knows no message and no loop: what lies in
 * it is a tr_queued at the beginning of something, and whoever pushes is told when the consumer must be woken. */
#ifndef TR_RUNTIME_LINK_H
#define TR_RUNTIME_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define TR_ISOLATES_MOST 64
#ifdef TR_HOSTILE
#define TR_LINK_COUNT 2
#else
#define TR_LINK_COUNT 4096 /* messages from one isolate that wait in another's inbox */
#endif
#define TR_LINK_BYTES ((size_t)16 << 20)

typedef struct tr_queued {
  struct tr_queued *next;
  size_t size;     /* of the whole allocation */
  uint8_t from;    /* the isolate that pushed it */
  bool bounded;    /* it takes room; answers and what the isolates tell each other never wait, and are bounded by what they are about */
} tr_queued;

typedef struct tr_link_account { /* of one producer */
  _Alignas(64) _Atomic uint32_t count;
  _Atomic size_t bytes;
  _Atomic bool waiting; /* it found the link full */
} tr_link_account;

typedef struct tr_inbox {
  _Atomic(tr_queued *) newest;
  unsigned producers;
  tr_link_account *accounts;
  void *block; /* the accounts' memory, before it was aligned */
} tr_inbox;

int tr_inbox_init(tr_inbox *inbox, tr_mem *mem, unsigned producers); /* TR_EMEMORY */
void tr_inbox_fini(tr_inbox *inbox, tr_mem *mem);                    /* it must be empty */
/* Is there room for one more of so many bytes? If not, tr_inbox_taken will say when there is. thr: the producer's. */
bool tr_inbox_has_room(tr_inbox *inbox, unsigned from, size_t size);
/* own: takes it. True: it was empty, so its consumer may be asleep. thr: the producer's. */
bool tr_inbox_push(tr_inbox *inbox, tr_queued *item);
/* All that is there, the oldest first, linked by `next`; NULL: nothing. thr: the consumer's. */
tr_queued *tr_inbox_take(tr_inbox *inbox);
static inline bool tr_inbox_empty(tr_inbox *inbox) { return atomic_load(&inbox->newest) == NULL; }
/* Give the item's room back. True: its producer waited for that, and is to be woken. thr: the consumer's. */
bool tr_inbox_taken(tr_inbox *inbox, const tr_queued *item);

#endif
