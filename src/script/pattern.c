/* SPDX-License-Identifier: MIT
 * Lua's patterns (reference manual, section 6.4.1) with a bound on the work: string.find, match, gmatch and gsub.
 *
 * The distribution's matcher backtracks in C, where no hook looks: twelve times ".-" on two hundred bytes takes longer
 * than anybody waits. Here every step is counted, charged to the turn's instructions now and then, and one call may
 * take so many of them for the size of its subject; so a bad pattern ends with an error, and in a time that the other
 * agents do not feel. What a pattern matches and what the errors say is the distribution's; spec/c/script_pattern.c
 * compares the two on a corpus and on random patterns. A part of a pattern that is never reached is never looked at
 * either, so a malformed one may go unnoticed, as there.
 *
 * Here: one way through a pattern, from one place of the subject. The library's functions are in pattern_library.c. */
#include "script/pattern.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"

#define DEPTH_MAX 200         /* as LUAI_MAXCCALLS: nested calls of match */
#define STEPS_FREE 2000000    /* for any subject */
#define STEPS_A_BYTE 100
#define STEPS_AN_INSTRUCTION 2 /* measured: a step takes about half the time of a VM instruction */

static const char *match(tr_matcher *m, const char *s, const char *p);

void tr_matcher_init(tr_matcher *m, lua_State *L, const char *subject, size_t length, const char *pattern, size_t pattern_length) {
  m->L = L;
  m->subject = subject;
  m->end = subject + length;
  m->pattern_end = pattern + pattern_length;
  m->steps = 0;
  m->charged = 0;
  m->allowed = STEPS_FREE + (uint64_t)length * STEPS_A_BYTE;
  m->depth = 0;
  m->count = 0;
}

void tr_matcher_charge(tr_matcher *m) {
  uint64_t steps = m->steps - m->charged;
  m->charged = m->steps;
  if (m->steps > m->allowed)
    luaL_error(m->L, "the pattern takes too long: more than %I steps on %I bytes", (LUAI_UACINT)m->allowed,
               (LUAI_UACINT)(m->end - m->subject));
  tr_meter_charge(m->L, steps / STEPS_AN_INSTRUCTION);
}

void tr_matcher_raise(tr_matcher *m, const char *format, ...) {
  va_list args;
  tr_matcher_charge(m); /* or a loop of pcall would have the work for nothing */
  luaL_where(m->L, 1);
  va_start(args, format);
  lua_pushvfstring(m->L, format, args);
  va_end(args);
  lua_concat(m->L, 2);
  lua_error(m->L);
  abort(); /* not reached */
}

static inline void step(tr_matcher *m, uint64_t n) {
  m->steps += n;
  if (m->steps - m->charged >= TR_MATCHER_CHARGE) tr_matcher_charge(m);
}

/* ---- single characters ---- */

static bool is_in_class(int c, int letter) {
  bool is;
  switch (tolower(letter)) {
  case 'a': is = isalpha(c); break;
  case 'c': is = iscntrl(c); break;
  case 'd': is = isdigit(c); break;
  case 'g': is = isgraph(c); break;
  case 'l': is = islower(c); break;
  case 'p': is = ispunct(c); break;
  case 's': is = isspace(c); break;
  case 'u': is = isupper(c); break;
  case 'w': is = isalnum(c); break;
  case 'x': is = isxdigit(c); break;
  case 'z': is = c == 0; break; /* not in the manual any more, but there */
  default: return letter == c;
  }
  return isupper(letter) ? !is : is;
}

/* p: at '[', last: at the ']' that ends it. */
static bool is_in_set(tr_matcher *m, int c, const char *p, const char *last) {
  bool inverted = p[1] == '^';
  if (inverted) p++;
  step(m, (uint64_t)(last - p));
  while (++p < last) {
    if (*p == '%') {
      if (is_in_class(c, (unsigned char)*++p)) return !inverted;
    } else if (p[1] == '-' && p + 2 < last) {
      if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2]) return !inverted;
      p += 2;
    } else if ((unsigned char)*p == c) {
      return !inverted;
    }
  }
  return inverted;
}

/* Behind the single-character item at p. */
static const char *item_end(tr_matcher *m, const char *p) {
  char first = *p++;
  if (first == '%') {
    if (p == m->pattern_end) tr_matcher_raise(m, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (p < m->pattern_end && *p == '^') p++;
  do { /* a ']' that comes first is one of the set */
    if (p == m->pattern_end) tr_matcher_raise(m, "malformed pattern (missing ']')");
    char c = *p++;
    step(m, 1);
    if (c == '%' && p < m->pattern_end) p++; /* the next is not the end, whatever it is */
  } while (p == m->pattern_end || *p != ']');
  return p + 1;
}

static bool is_one(tr_matcher *m, const char *s, const char *p, const char *next) {
  if (s >= m->end) return false;
  int c = (unsigned char)*s;
  switch (*p) {
  case '.': return true;
  case '%': return is_in_class(c, (unsigned char)p[1]);
  case '[': return is_in_set(m, c, p, next - 1);
  default: return (unsigned char)*p == c;
  }
}

/* ---- repetitions: `next` is at the sign behind the item ---- */

static const char *most_first(tr_matcher *m, const char *s, const char *p, const char *next) {
  size_t n = 0;
  while (is_one(m, s + n, p, next)) {
    step(m, 1);
    n++;
  }
  for (;; n--) {
    const char *end = match(m, s + n, next + 1);
    if (end || n == 0) return end;
  }
}

static const char *least_first(tr_matcher *m, const char *s, const char *p, const char *next) {
  for (;; s++) {
    const char *end = match(m, s, next + 1);
    if (end) return end;
    if (!is_one(m, s, p, next)) return NULL;
    step(m, 1);
  }
}

/* ---- captures ---- */

static const char *open_capture(tr_matcher *m, const char *s, const char *p, ptrdiff_t kind) {
  if (m->count >= TR_CAPTURES_MAX) tr_matcher_raise(m, "too many captures");
  m->capture[m->count].at = s;
  m->capture[m->count].length = kind;
  m->count++;
  const char *end = match(m, s, p);
  if (!end) m->count--;
  return end;
}

static const char *close_capture(tr_matcher *m, const char *s, const char *p) {
  int i = m->count - 1;
  while (i >= 0 && m->capture[i].length != TR_CAPTURE_OPEN) i--;
  if (i < 0) tr_matcher_raise(m, "invalid pattern capture");
  m->capture[i].length = s - m->capture[i].at;
  const char *end = match(m, s, p);
  if (!end) m->capture[i].length = TR_CAPTURE_OPEN;
  return end;
}

/* %1: what the capture has, once more. Behind it, or NULL. */
static const char *again(tr_matcher *m, const char *s, int digit) {
  int i = digit - '1';
  if (i < 0 || i >= m->count || m->capture[i].length == TR_CAPTURE_OPEN)
    tr_matcher_raise(m, "invalid capture index %%%d", i + 1);
  size_t n = (size_t)m->capture[i].length; /* of a position it is more than there can be */
  if ((size_t)(m->end - s) < n || memcmp(m->capture[i].at, s, n) != 0) return NULL;
  step(m, n / 16);
  return s + n;
}

/* ---- %b and %f ---- */

/* p: at the two characters. */
static const char *balanced(tr_matcher *m, const char *s, const char *p) {
  if (m->pattern_end - p < 2) tr_matcher_raise(m, "malformed pattern (missing arguments to '%%b')");
  if (s >= m->end || *s != p[0]) return NULL;
  size_t depth = 1;
  while (++s < m->end) {
    step(m, 1);
    if (*s == p[1]) {
      if (--depth == 0) return s + 1;
    } else if (*s == p[0]) {
      depth++;
    }
  }
  return NULL;
}

/* p: at the set. Is s where it begins to hold? */
static bool is_frontier(tr_matcher *m, const char *s, const char *p, const char *next) {
  int before = s == m->subject ? 0 : (unsigned char)s[-1], here = s == m->end ? 0 : (unsigned char)*s;
  return !is_in_set(m, before, p, next - 1) && is_in_set(m, here, p, next - 1);
}

/* ---- the walk ---- */

/* An item that is one character with a sign behind it or none. Where it only moves on: true, with *s and *p; else *end is what the
 * rest of the pattern gave. */
static bool take_item(tr_matcher *m, const char **s, const char **p, const char **end) {
  const char *next = item_end(m, *p);
  switch (next < m->pattern_end ? *next : 0) {
  case '?':
    if (is_one(m, *s, *p, next) && (*end = match(m, *s + 1, next + 1)) != NULL) return false;
    *p = next + 1;
    return true;
  case '*': *end = most_first(m, *s, *p, next); return false;
  case '+': *end = is_one(m, *s, *p, next) ? most_first(m, *s + 1, *p, next) : NULL; return false;
  case '-': *end = least_first(m, *s, *p, next); return false;
  default:
    *end = NULL;
    if (!is_one(m, *s, *p, next)) return false;
    (*s)++;
    *p = next;
    return true;
  }
}

/* What begins with % and is no single character: true as take_item; *p stays where it is none of these. */
static bool take_escape(tr_matcher *m, const char **s, const char **p, const char **end) {
  const char *at = *p + 1;
  *end = NULL;
  if (*at == 'b') {
    if ((*s = balanced(m, *s, at + 1)) == NULL) return false;
    *p = at + 3;
  } else if (*at == 'f') {
    at++;
    if (at == m->pattern_end || *at != '[') tr_matcher_raise(m, "missing '[' after '%%f' in pattern");
    const char *next = item_end(m, at);
    if (!is_frontier(m, *s, at, next)) return false;
    *p = next;
  } else if (isdigit((unsigned char)*at)) {
    if ((*s = again(m, *s, (unsigned char)*at)) == NULL) return false;
    *p = at + 1;
  } else {
    return take_item(m, s, p, end);
  }
  return true;
}

static const char *walk(tr_matcher *m, const char *s, const char *p) {
  const char *end = NULL;
  for (;;) {
    step(m, 1);
    if (p == m->pattern_end) return s;
    switch (*p) {
    case '(':
      if (p + 1 < m->pattern_end && p[1] == ')') return open_capture(m, s, p + 2, TR_CAPTURE_POSITION);
      return open_capture(m, s, p + 1, TR_CAPTURE_OPEN);
    case ')': return close_capture(m, s, p + 1);
    case '$':
      if (p + 1 == m->pattern_end) return s == m->end ? s : NULL;
      break;
    case '%':
      if (p + 1 == m->pattern_end) break;
      if (!take_escape(m, &s, &p, &end)) return end;
      continue;
    default: break;
    }
    if (!take_item(m, &s, &p, &end)) return end;
  }
}

static const char *match(tr_matcher *m, const char *s, const char *p) {
  if (m->depth++ == DEPTH_MAX) tr_matcher_raise(m, "pattern too complex");
  const char *end = walk(m, s, p);
  m->depth--;
  return end;
}

const char *tr_matcher_at(tr_matcher *m, const char *s, const char *pattern) {
  m->count = 0;
  m->depth = 0;
  return match(m, s, pattern);
}
