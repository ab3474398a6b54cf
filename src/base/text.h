/* SPDX-License-Identifier: MIT
 * Text helpers that several rooms need: UTF-8 checks, nearest-name suggestions, UUIDs, a small random generator. */
#ifndef TR_BASE_TEXT_H
#define TR_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool tr_utf8_valid(tr_slice text);
bool tr_is_ascii(tr_slice text); /* no byte above 127: whatever lies in it is UTF-8 */
/* Decode one character at *at (advances it); the code point, or -1 where the bytes are not valid there. */
int32_t tr_utf8_next(tr_slice text, size_t *at);
/* Largest length ≤ max that does not cut a character. */
size_t tr_utf8_cut(tr_slice text, size_t max);
/* The control character at text.p[at] (of C0, DEL, or in UTF-8 of C1), *length: its bytes; -1: another one is there. A terminal obeys them. */
int tr_text_control(tr_slice text, size_t at, size_t *length);
/* Is the word one of "A, B,C"? */
bool tr_text_lists(tr_slice list, tr_slice word);

/* Edit distance with a bound, for "did you mean": returns max + 1 once it is larger than max. */
unsigned tr_text_distance(tr_slice a, tr_slice b, unsigned max);
/* The nearest of `names` (NULL-terminated) to `text`, or NULL when none is near enough to suggest. */
const char *tr_text_nearest(tr_slice text, const char *const *names);

/* splitmix64-seeded xoshiro256**: not for secrets. The seed is handed in; nothing here reads a clock or a device. */
typedef struct tr_random { uint64_t s[4]; } tr_random;
void tr_random_init(tr_random *random, uint64_t seed);
uint64_t tr_random_next(tr_random *random);
/* 36 characters and a NUL: a version 4 UUID (RFC 9562). */
void tr_uuid(tr_random *random, char out[37]);
/* Does the text fit the pattern, in which * stands for any text? */
bool tr_text_matches(const char *pattern, tr_slice text);

#endif
