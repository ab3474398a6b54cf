/* SPDX-License-Identifier: MIT
 * Text helpers: UTF-8 by RFC 3629, "did you mean", a small random generator and UUIDs made from it.
 * None of them allocates. */
#include "base/text.h"

/* ---- UTF-8 ---- */

int32_t tr_utf8_next(tr_slice text, size_t *at) {
  size_t left = text.n - *at;
  const uint8_t *p = (const uint8_t *)text.p + *at;
  if (left == 0) return -1;
  if (p[0] < 0x80) {
    *at += 1;
    return p[0];
  }
  size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
  static const int32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
  if (p[0] < 0xC2 || p[0] > 0xF4 || left < length) return -1; /* C0, C1: overlong; 80..BF: a tail */
  int32_t c = p[0] & (0xFF >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    if ((p[i] & 0xC0) != 0x80) return -1;
    c = c << 6 | (p[i] & 0x3F);
  }
  if (c < smallest[length] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return -1;
  *at += length;
  return c;
}

int tr_text_control(tr_slice text, size_t at, size_t *length) {
  const uint8_t *p = (const uint8_t *)text.p + at;
  bool wide = p[0] == 0xC2 && at + 1 < text.n && p[1] >= 0x80 && p[1] < 0xA0;
  *length = wide ? 2 : 1;
  if (wide) return p[1];
  return p[0] < 0x20 || p[0] == 0x7f ? p[0] : -1;
}

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* Most text is short and plain: two overlapping reads below sixteen bytes, and no branch for each of them. */
static bool is_ascii(const char *p, size_t n) {
  uint64_t head = 0, tail = 0;
  if (n >= 8) {
    for (size_t at = 0; at + 8 < n; at += 8) {
      memcpy(&tail, p + at, 8);
      head |= tail;
    }
    memcpy(&tail, p + n - 8, 8);
  } else if (n >= 4) {
    memcpy(&head, p, 4);
    memcpy(&tail, p + n - 4, 4);
  } else {
    while (n > 0) head |= (uint8_t)p[--n];
  }
  return !((head | tail) & HIGH_BITS);
}

bool tr_is_ascii(tr_slice text) {
  size_t at = 0;
  for (uint64_t a, b, c, d; at + 32 < text.n; at += 32) {
    memcpy(&a, text.p + at, 8);
    memcpy(&b, text.p + at + 8, 8);
    memcpy(&c, text.p + at + 16, 8);
    memcpy(&d, text.p + at + 24, 8);
    if ((a | b | c | d) & HIGH_BITS) return false;
  }
  return is_ascii(text.p + at, text.n - at);
}

bool tr_utf8_valid(tr_slice text) {
  if (is_ascii(text.p, text.n)) return true;
  for (size_t at = 0; at < text.n;) {
    uint64_t eight;
    if (text.n - at >= 8) { /* plain parts, eight at a time */
      memcpy(&eight, text.p + at, 8);
      if (!(eight & HIGH_BITS)) {
        at += 8;
        continue;
      }
    }
    if (tr_utf8_next(text, &at) < 0) return false;
  }
  return true;
}

size_t tr_utf8_cut(tr_slice text, size_t max) {
  size_t end = text.n < max ? text.n : max, start = end;
  /* Back to where the last character begins; it stays if all of it is there. */
  while (start > 0 && end - start < 3 && ((uint8_t)text.p[start - 1] & 0xC0) == 0x80) start--;
  if (start == 0) return end;
  uint8_t lead = (uint8_t)text.p[start - 1];
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
  return lead >= 0xC0 && end - (start - 1) < length ? start - 1 : end;
}

/* ---- did you mean ---- */

#define DISTANCE_MAX 15

static unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }

/* Optimal string alignment (a swap of neighbours is one edit), only in the band of width 2·max + 1 around the
 * diagonal, so the cost is length times max and the rows fit on the stack whatever the texts' lengths. */
unsigned tr_text_distance(tr_slice a, tr_slice b, unsigned max) {
  enum { WIDTH = 2 * DISTANCE_MAX + 3 };
  unsigned rows[3][WIDTH], *before = rows[0], *last = rows[1], *now = rows[2];
  if (max > DISTANCE_MAX) max = DISTANCE_MAX;
  unsigned over = max + 1, middle = over; /* column j of row i is at [j - i + middle]; both ends are guards */
  if (a.n > b.n + max || b.n > a.n + max) return over;
  for (unsigned k = 0; k < WIDTH; k++) {
    before[k] = last[k] = over;
    if (k >= middle && k - middle <= max) last[k] = k - middle; /* row 0: j insertions */
  }
  last[2 * max + 2] = over;
  for (size_t i = 1; i <= a.n; i++) {
    unsigned best = over;
    for (unsigned k = 0; k < WIDTH; k++) now[k] = over;
    for (unsigned k = 1; k <= 2 * max + 1; k++) {
      if (i + k < middle || i + k - middle > b.n) continue;
      size_t j = i + k - middle;
      unsigned d = j == 0 ? (unsigned)i : over;
      if (j > 0) {
        d = least(d, last[k] + (a.p[i - 1] != b.p[j - 1]));
        d = least(d, now[k - 1] + 1);
        if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1]) d = least(d, before[k] + 1);
      }
      d = least(d, last[k + 1] + 1);
      now[k] = least(d, over);
      best = least(best, now[k]);
    }
    if (best == over) return over;
    unsigned *spare = before;
    before = last;
    last = now;
    now = spare;
  }
  return last[b.n + middle - a.n];
}

const char *tr_text_nearest(tr_slice text, const char *const *names) {
  const char *nearest = NULL;
  unsigned bound = text.n < 4 ? 1 : text.n < 9 ? 2 : 3; /* more edits than this is another word */
  for (; *names; names++) {
    unsigned d = tr_text_distance(text, tr_slice_of(*names), bound);
    if (d > bound || d >= text.n) continue;
    nearest = *names;
    if (d == 0) break;
    bound = d - 1; /* only a nearer one replaces it; nearer than 1 is 0 */
  }
  return nearest;
}

/* ---- random ---- */

void tr_random_init(tr_random *random, uint64_t seed) {
  for (int i = 0; i < 4; i++) { /* splitmix64 */
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    random->s[i] = z ^ (z >> 31);
  }
}

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t tr_random_next(tr_random *random) { /* xoshiro256**, Blackman and Vigna */
  uint64_t *s = random->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

void tr_uuid(tr_random *random, char out[37]) {
  static const char digits[] = "0123456789abcdef";
  uint64_t high = tr_random_next(random), low = tr_random_next(random);
  high = (high & ~UINT64_C(0xF000)) | UINT64_C(0x4000);                                 /* version 4 */
  low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;                               /* variant */
  for (int i = 0, at = 0; i < 32; i++) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out[at++] = '-';
    uint64_t half = i < 16 ? high : low;
    out[at++] = digits[half >> (60 - 4 * (i & 15)) & 15];
  }
  out[36] = 0;
}

/* Greedy with one way back: linear in practice, and never worse than the product of the lengths. */
bool tr_text_matches(const char *pattern, tr_slice text) {
  const char *star = NULL;
  size_t at = 0, back = 0;
  while (at < text.n) {
    if (*pattern == '*') {
      star = pattern++;
      back = at;
    } else if (*pattern == text.p[at]) {
      pattern++;
      at++;
    } else if (star) {
      pattern = star + 1;
      at = ++back;
    } else {
      return false;
    }
  }
  while (*pattern == '*') pattern++;
  return *pattern == 0;
}

/* ---- lists ---- */

bool tr_text_lists(tr_slice list, tr_slice word) {
  while (list.n) {
    const char *comma = memchr(list.p, ',', list.n);
    tr_slice item = { list.p, comma ? (size_t)(comma - list.p) : list.n };
    size_t step = item.n + (comma != NULL);
    while (item.n && *item.p == ' ') item.p++, item.n--;
    while (item.n && item.p[item.n - 1] == ' ') item.n--;
    if (tr_slice_equal(item, word)) return true;
    list.p += step;
    list.n -= step;
  }
  return false;
}
