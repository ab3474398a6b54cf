/* SPDX-License-Identifier: MIT
 * The differences of two texts, as `diff -u` has them.
 *
 * What is equal at both ends is set aside. Of the middle the longest common subsequence is found by the table that every textbook has; where
 * that would be larger than CELLS_MOST, the middle is one change: right, though not the shortest. */
#include "base/diff.h"

#include <string.h>

#define CELLS_MOST (4u << 20)
#define AROUND 3

typedef struct lines { tr_slice *items; size_t count; } lines;
typedef struct edit { char mark; tr_slice text; } edit; /* ' ', '-', '+' */
typedef struct edits { edit *items; size_t count, most; } edits;

static size_t count_lines(tr_slice text) {
  size_t n = text.n && text.p[text.n - 1] != '\n';
  for (size_t i = 0; i < text.n; i++) n += text.p[i] == '\n';
  return n;
}

static bool split(tr_mem *mem, tr_slice text, lines *out) {
  *out = (lines){ tr_calloc(mem, count_lines(text) + 1, sizeof *out->items), 0 };
  if (!out->items) return false;
  for (size_t at = 0; at < text.n;) {
    const char *end = memchr(text.p + at, '\n', text.n - at);
    size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
    out->items[out->count++] = tr_slice_make(text.p + at, n);
    at += n + 1;
  }
  return true;
}

static void add(edits *all, char mark, tr_slice text) { all->items[all->count++] = (edit){ mark, text }; }

/* All of one side goes, all of the other comes. */
static void replace(edits *all, const lines *a, const lines *b) {
  for (size_t i = 0; i < a->count; i++) add(all, '-', a->items[i]);
  for (size_t i = 0; i < b->count; i++) add(all, '+', b->items[i]);
}

static bool compare(tr_mem *mem, edits *all, const lines *a, const lines *b) {
  size_t width = b->count + 1, cells = (a->count + 1) * width;
  if (a->count == 0 || b->count == 0 || a->count > CELLS_MOST / width) {
    replace(all, a, b);
    return true;
  }
  uint32_t *table = tr_calloc(mem, cells, sizeof *table); /* how much is common from i, j on */
  if (!table) return false;
  for (size_t i = a->count; i-- > 0;)
    for (size_t j = b->count; j-- > 0;) {
      uint32_t down = table[(i + 1) * width + j], right = table[i * width + j + 1];
      bool same = tr_slice_equal(a->items[i], b->items[j]);
      table[i * width + j] = same ? table[(i + 1) * width + j + 1] + 1 : down > right ? down : right;
    }
  size_t i = 0, j = 0;
  while (i < a->count && j < b->count) {
    if (tr_slice_equal(a->items[i], b->items[j])) {
      add(all, ' ', a->items[i++]);
      j++;
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) {
      add(all, '-', a->items[i++]);
    } else {
      add(all, '+', b->items[j++]);
    }
  }
  replace(all, &(lines){ a->items + i, a->count - i }, &(lines){ b->items + j, b->count - j });
  tr_free(mem, table, cells * sizeof *table);
  return true;
}

static bool find_edits(tr_mem *mem, edits *all, const lines *a, const lines *b) {
  size_t first = 0, last = 0;
  while (first < a->count && first < b->count && tr_slice_equal(a->items[first], b->items[first])) add(all, ' ', a->items[first++]);
  while (last < a->count - first && last < b->count - first && tr_slice_equal(a->items[a->count - 1 - last], b->items[b->count - 1 - last])) last++;
  if (!compare(mem, all, &(lines){ a->items + first, a->count - first - last }, &(lines){ b->items + first, b->count - first - last })) return false;
  for (size_t i = a->count - last; i < a->count; i++) add(all, ' ', a->items[i]);
  return true;
}

/* ---- as text ---- */

static bool is_shown(const edits *all, size_t i) {
  size_t from = i < AROUND ? 0 : i - AROUND, to = i + AROUND < all->count ? i + AROUND : all->count - 1;
  for (size_t k = from; k <= to; k++)
    if (all->items[k].mark != ' ') return true;
  return false;
}

static void put_hunk(tr_buf *out, const edits *all, size_t from, size_t to, size_t a, size_t b) {
  size_t before = 0, after = 0;
  for (size_t i = from; i < to; i++) {
    before += all->items[i].mark != '+';
    after += all->items[i].mark != '-';
  }
  tr_buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", a + (before > 0), before, b + (after > 0), after);
  for (size_t i = from; i < to; i++) {
    tr_buf_byte(out, (uint8_t)all->items[i].mark);
    tr_buf_slice(out, all->items[i].text);
    tr_buf_text(out, "\n");
  }
}

static void put_hunks(tr_buf *out, const edits *all) {
  size_t a = 0, b = 0; /* lines before i, on each side */
  for (size_t i = 0; i < all->count;) {
    size_t end = i;
    while (end < all->count && is_shown(all, end)) end++;
    if (end > i) put_hunk(out, all, i, end, a, b);
    if (end == i) end++;
    for (; i < end; i++) {
      a += all->items[i].mark != '+';
      b += all->items[i].mark != '-';
    }
  }
}

bool tr_diff(tr_buf *out, tr_slice before, tr_slice after) {
  lines a = { NULL, 0 }, b = { NULL, 0 };
  edits all = { NULL, 0, 0 };
  bool good = split(out->mem, before, &a) && split(out->mem, after, &b);
  all.most = a.count + b.count + 1;
  if (good) all.items = tr_calloc(out->mem, all.most, sizeof *all.items);
  good = good && all.items && find_edits(out->mem, &all, &a, &b);
  if (good) put_hunks(out, &all);
  tr_free(out->mem, all.items, all.items ? all.most * sizeof *all.items : 0);
  tr_free(out->mem, a.items, a.items ? (count_lines(before) + 1) * sizeof *a.items : 0);
  tr_free(out->mem, b.items, b.items ? (count_lines(after) + 1) * sizeof *b.items : 0);
  return good && !out->failed;
}
