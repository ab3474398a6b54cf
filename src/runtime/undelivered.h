/* SPDX-License-Identifier: MIT
 * What could not be delivered lately: the newest dead letters of an isolate, and the topics that nobody listens to, for the operator's
 * `troupe deadletters` and `troupe doctor`. Short copies of names and reasons, no bodies. */
#ifndef TR_RUNTIME_UNDELIVERED_H
#define TR_RUNTIME_UNDELIVERED_H

#include "base/mem.h"
#include "base/slice.h"

#ifdef TR_HOSTILE
#define TR_UNDELIVERED_KEPT 2
#define TR_UNHEARD_KEPT 2
#else
#define TR_UNDELIVERED_KEPT 256
#define TR_UNHEARD_KEPT 64
#endif

/* As it is handed in: texts are copied, and cut where they are long. */
typedef struct tr_letter {
  const char *kind;          /* "event", "message", "request", "answer": a literal */
  tr_slice type, target, key; /* the topic or agent */
  tr_slice sender, sender_key, to; /* to: the client that does not get it; empty: none */
  int code;
  const char *reason;
} tr_letter;

typedef struct tr_kept_letter {
  uint64_t number;           /* in order of dying, from 1 */
  int64_t wall_us;
  const char *kind;
  int code;
  char type[64], target[160], sender[96], to[64], reason[200];
} tr_kept_letter;

typedef struct tr_unheard {
  char topic[96], type[64];
  uint64_t count;
  int64_t wall_us;           /* of the last one */
} tr_unheard;

typedef struct tr_undelivered {
  tr_mem *mem;
  tr_kept_letter *letters;   /* a ring; NULL until the first */
  tr_unheard *unheard;
  uint32_t unheard_count;
  uint64_t count;            /* letters that were handed in, ever */
  tr_unheard *last;          /* what the last unheard event was counted in */
} tr_undelivered;

void tr_undelivered_init(tr_undelivered *all, tr_mem *mem);
void tr_undelivered_fini(tr_undelivered *all);
/* Without memory for it a letter is only counted. */
void tr_undelivered_note(tr_undelivered *all, const tr_letter *letter, int64_t wall_us);
void tr_undelivered_unheard(tr_undelivered *all, tr_slice topic, tr_slice type, int64_t wall_us);
/* The nth of those that are kept, the newest is 0; NULL: there are not so many. */
const tr_kept_letter *tr_undelivered_at(const tr_undelivered *all, uint32_t nth);

#endif
