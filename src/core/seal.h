/* SPDX-License-Identifier: MIT
 * Signatures of messages, as the rooms that carry messages see them: whoever has keys signs what goes out and looks at what comes in.
 * src/wire says which parts count; nothing of it is known to the core itself. */
#ifndef TR_CORE_SEAL_H
#define TR_CORE_SEAL_H

#include "base/buf.h"
#include "base/error.h"

typedef struct tr_seal {
  /* A signature over these parts, as text, appended to out; nothing where we sign nothing. err: TR_EMEMORY. */
  int (*sign)(void *ud, const tr_slice *parts, size_t count, tr_buf *out);
  /* Is this (p NULL: there is none) one over these parts, by somebody who is believed, of now, and seen for the first time? err:
   * TR_EPERMISSION, and why not. */
  int (*verify)(void *ud, const tr_slice *parts, size_t count, tr_slice signature, tr_error *error);
  void *ud;
} tr_seal;

#endif
