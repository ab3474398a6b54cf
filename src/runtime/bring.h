/* SPDX-License-Identifier: MIT
 * An agent on its way from another isolate into the first one. */
#ifndef TR_RUNTIME_BRING_H
#define TR_RUNTIME_BRING_H

#include "runtime/isolate.h"

typedef struct tr_bring {
  tr_remote remote;
  troupe_t *rt;
  const char *id;       /* type/key; */
  tr_slice type, key;   /* borrowed, all three */
  unsigned from;
  bool waits;           /* for the end of its open turns */
  _Atomic bool quiet;
} tr_bring;

#define TR_BRING_WAITS 1
/* 0: it lives in the first isolate now (or did); TR_BRING_WAITS: it will, look again when this thread is woken; or why it cannot. */
int tr_bring_begin(tr_bring *self, troupe_t *rt, const char *id, tr_slice type, tr_slice key, tr_error *error);
int tr_bring_look(tr_bring *self, tr_error *error);
void tr_bring_drop(tr_bring *self); /* it stays where it is */

#endif
