/* SPDX-License-Identifier: MIT
 * What the compiler should know about how often a function runs.
 *
 * The code that one call and its reply pass through is about as large as the processor's instruction cache (32 KB), so what stands
 * between the instructions that run costs as much as more instructions would. What is called when something went wrong is `cold`: the
 * compiler then puts the branches that lead to it, in every caller, to the end of the program. */
#ifndef TR_BASE_HINT_H
#define TR_BASE_HINT_H

#include <stddef.h>
#include <string.h>

#if defined(__GNUC__)
#define TR_COLD __attribute__((cold))
#define TR_INLINE inline __attribute__((always_inline)) /* where a frame less is worth it */
#define TR_APART __attribute__((noinline))            /* the long way of a function whose short way is the usual one */
#else
#define TR_COLD
#define TR_INLINE inline
#define TR_APART
#endif

/* Clears a structure by the library's memset. Where gcc knows the size, and it is some hundred bytes, it makes `rep stos` of it, which
 * takes longer to begin than the library takes in all. */
static inline void tr_clear(void *at, size_t size) {
#if defined(__GNUC__)
  __asm__("" : "+r"(size)); /* now it does not know it */
#endif
  memset(at, 0, size);
}

#endif
