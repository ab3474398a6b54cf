/* SPDX-License-Identifier: MIT
 * Letters and digits of all scripts, for the rules of ids. */
#ifndef TR_CORE_LETTERS_H
#define TR_CORE_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

/* A code point that Python's str.isalnum() is true for (its \w without "_"). */
bool tr_letter_or_digit(int32_t c);

#endif
