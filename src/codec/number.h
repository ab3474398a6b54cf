/* SPDX-License-Identifier: MIT
 * Numbers as text, for the formats that write them so; independent of the process's locale. */
#ifndef TR_CODEC_NUMBER_H
#define TR_CODEC_NUMBER_H

#include "base/mem.h"
#include "base/slice.h"

#define TR_NUMBER_TEXT 40 /* room for what the writers below write */

typedef struct tr_number { bool is_integer; int64_t integer; double number; } tr_number;

/* Read a number that is known to follow JSON's grammar. Without "." and "e" it is an integer.
 * err: TR_EINVALID where it is beyond int64, or beyond the finite doubles; TR_EMEMORY (very long numbers
 * are copied). */
int tr_number_read(tr_mem *mem, tr_slice text, tr_number *out);

/* Write; the length is returned, no NUL is added. The double must be finite: the fewest digits that read back equal,
 * with a ".0" where it would look like an integer. */
size_t tr_number_write(double value, char out[TR_NUMBER_TEXT]);
size_t tr_integer_write(int64_t value, char out[TR_NUMBER_TEXT]);

#endif
