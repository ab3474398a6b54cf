/* SPDX-License-Identifier: MIT
 * Two texts compared line by line. */
#ifndef TR_BASE_DIFF_H
#define TR_BASE_DIFF_H

#include "base/buf.h"

/* Append the differences as `diff -u` does, without its two lines of names, three lines around each; nothing where there are none.
 * err: false where memory ran out. */
bool tr_diff(tr_buf *out, tr_slice before, tr_slice after);

#endif
