/* SPDX-License-Identifier: MIT
 * Numbers as text. The digits are libc's work (strtod and printf round correctly); what is added here is the choice
 * between integer and double, the fewest digits, and independence of LC_NUMERIC, which an embedding program may
 * have set to a comma: both directions exchange the decimal point by hand.
 *
 * Fewest digits: a decimal of at most 15 digits survives text → double → text, so where %.15g reads back equal it is
 * the shortest (printf drops trailing zeros); else 16 or 17 digits are needed. Subnormal doubles have less precision
 * than that, so for them the search begins at one digit. Whole doubles below 2^53, the common case, are written as
 * integers: 13 ns instead of about 150. */
#include "codec/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"

static char decimal_point(void) {
  char text[8];
  snprintf(text, sizeof text, "%.1f", 0.5);
  return text[1];
}

/* strtod on a NUL-terminated text whose decimal point is ".". */
static double read_double(char *text) {
  char *end;
  double value = strtod(text, &end);
  if (*end == '.') {
    *end = decimal_point();
    value = strtod(text, NULL);
  }
  return value;
}

static int read_number(tr_mem *mem, tr_slice text, double *out) {
  char small[64], *copy = small;
  if (text.n >= sizeof small && !(copy = tr_alloc(mem, text.n + 1))) return TR_EMEMORY;
  memcpy(copy, text.p, text.n);
  copy[text.n] = 0;
  *out = read_double(copy);
  if (copy != small) tr_free(mem, copy, text.n + 1);
  return isfinite(*out) ? 0 : TR_EINVALID;
}

static int read_integer(tr_slice text, int64_t *out) {
  bool negative = text.n > 0 && text.p[0] == '-';
  uint64_t limit = (uint64_t)INT64_MAX + negative, value = 0;
  for (size_t i = negative; i < text.n; i++) {
    unsigned digit = (unsigned)(text.p[i] - '0');
    if (value > (limit - digit) / 10) return TR_EINVALID;
    value = value * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - value) : (int64_t)value;
  return 0;
}

int tr_number_read(tr_mem *mem, tr_slice text, tr_number *out) {
  out->is_integer = true;
  for (size_t i = 0; i < text.n; i++)
    if (text.p[i] == '.' || text.p[i] == 'e' || text.p[i] == 'E') out->is_integer = false;
  return out->is_integer ? read_integer(text, &out->integer) : read_number(mem, text, &out->number);
}

size_t tr_integer_write(int64_t value, char out[TR_NUMBER_TEXT]) {
  char digits[20];
  size_t n = 0, length = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[n++] = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (value < 0) out[length++] = '-';
  while (n > 0) out[length++] = digits[--n];
  return length;
}

static size_t write_whole(double value, char out[TR_NUMBER_TEXT]) {
  size_t n = 0;
  if (signbit(value)) out[n++] = '-'; /* -0.0 has a sign, too */
  n += tr_integer_write((int64_t)fabs(value), out + n);
  out[n++] = '.';
  out[n++] = '0';
  return n;
}

size_t tr_number_write(double value, char out[TR_NUMBER_TEXT]) {
  if (fabs(value) < 9007199254740992.0 && value == floor(value)) return write_whole(value, out);
  int n = 0;
  for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
    n = snprintf(out, TR_NUMBER_TEXT, "%.*g", digits, value);
    if (strtod(out, NULL) == value) break;
  }
  bool plain = true; /* only digits */
  for (int i = 0; i < n; i++) {
    if (out[i] == 'e') plain = false;
    if ((out[i] < '0' || out[i] > '9') && out[i] != '-' && out[i] != '+' && out[i] != 'e') out[i] = '.', plain = false;
  }
  if (plain) memcpy(out + n, ".0", 2), n += 2;
  return (size_t)n;
}
