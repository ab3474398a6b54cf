/* SPDX-License-Identifier: MIT
 * See rights.h. One copy of the file's text; names and patterns are slices of it, in one array; a section is a range of that. Asked for at
 * a session's beginning, and then per message, so access.c remembers answers. */
#include "host/rights.h"

#include "base/text.h"

#include <stdio.h>

typedef struct item { tr_slice text; uint8_t right; bool slash; } item; /* right TR_RIGHTS: a name of the section */

struct tr_rights_entry { const tr_rights *rights; uint32_t first, count; uint16_t has, by_key; /* bits by tr_right */ };

struct tr_rights {
  tr_mem *mem;
  size_t refs, size;
  char *text;
  item *items;
  tr_rights_entry *entries;
  size_t n_items, cap_items, n_entries, cap_entries;
};

static const char *const names[TR_RIGHTS + 1] = { "register", "publish", "subscribe", "call", "sender", "control", "observe", "operate", "evaluate", NULL };
const char *tr_right_name(tr_right right) { return names[right]; }

/* ---- reading ---- */

typedef struct parser { tr_rights *rights; tr_rights_entry *entry; const char *file; size_t line; tr_error *error; } parser;

static int bad(const parser *p, const char *what) { return tr_error_set(p->error, TR_EINVALID, "%.250s:%zu: %s", p->file, p->line, what); }

static tr_slice trim(tr_slice text) {
  while (text.n && (*text.p == ' ' || *text.p == '\t')) text.p++, text.n--;
  while (text.n && (text.p[text.n - 1] == ' ' || text.p[text.n - 1] == '\t' || text.p[text.n - 1] == '\r')) text.n--;
  return text;
}

/* Room for one more; *array may move. */
static bool grow(tr_mem *mem, void **array, size_t size, size_t count, size_t *cap) {
  if (count < *cap) return true;
  size_t more = *cap ? *cap * 2 : 16;
  void *moved = tr_realloc(mem, *array, *cap * size, more * size);
  if (!moved) return false;
  *array = moved;
  *cap = more;
  return true;
}

static int add_item(parser *p, tr_slice text, uint8_t right) {
  tr_rights *r = p->rights;
  void *items = r->items;
  if (r->n_items == TR_RIGHTS_ITEMS_MAX) return bad(p, "too many names and patterns");
  if (!grow(r->mem, &items, sizeof *r->items, r->n_items, &r->cap_items)) return tr_error_set(p->error, TR_EMEMORY, "out of memory");
  r->items = items;
  bool slash = text.n && memchr(text.p, '/', text.n);
  r->items[r->n_items++] = (item){ text, right, slash };
  p->entry->count++;
  if (right == TR_RIGHTS) return 0;
  p->entry->has |= (uint16_t)(1u << right);
  if (slash) p->entry->by_key |= (uint16_t)(1u << right);
  return 0;
}

/* "a, b c": each of them. */
static int add_list(parser *p, tr_slice list, uint8_t right) {
  int rc = 0;
  size_t count = 0;
  while (list.n && rc == 0) {
    size_t n = 0;
    while (n < list.n && list.p[n] != ',' && list.p[n] != ' ' && list.p[n] != '\t') n++;
    if (n) rc = add_item(p, tr_slice_make(list.p, n), right);
    count += n > 0;
    if (n < list.n) n++;
    list = tr_slice_make(list.p + n, list.n - n);
  }
  return rc || count ? rc : bad(p, right == TR_RIGHTS ? "a section needs a name, as in [token:ci]" : "nothing is granted here (leave the line out)");
}

static bool known_name(tr_slice name) {
  static const char *const kinds[] = { "token:", "cert:", "uid:" };
  for (size_t i = 0; i < 3; i++)
    if (tr_slice_starts(name, tr_slice_of(kinds[i])) && name.n > strlen(kinds[i])) return true;
  return tr_slice_is(name, "anonymous") || tr_slice_is(name, "*");
}

static int begin_section(parser *p, tr_slice line) {
  tr_rights *r = p->rights;
  void *entries = r->entries;
  if (line.p[line.n - 1] != ']') return bad(p, "a section is [NAME, …]");
  if (!grow(r->mem, &entries, sizeof *r->entries, r->n_entries, &r->cap_entries)) return tr_error_set(p->error, TR_EMEMORY, "out of memory");
  r->entries = entries;
  p->entry = &r->entries[r->n_entries++];
  *p->entry = (tr_rights_entry){ .rights = r, .first = (uint32_t)r->n_items };
  int rc = add_list(p, tr_slice_make(line.p + 1, line.n - 2), TR_RIGHTS);
  for (uint32_t i = 0; rc == 0 && i < p->entry->count; i++)
    if (!known_name(r->items[p->entry->first + i].text)) rc = bad(p, "a name is token:NAME, cert:NAME, uid:NUMBER, anonymous or *");
  return rc;
}

static int read_yes(parser *p, tr_slice word, uint8_t right) {
  char text[40];
  if (tr_slice_is(word, "no")) return 0;
  if (tr_slice_is(word, "yes")) return add_item(p, word, right);
  snprintf(text, sizeof text, "%s is yes or no", names[right]);
  return bad(p, text);
}

static int read_right(parser *p, tr_slice line) {
  const char *equals = memchr(line.p, '=', line.n);
  if (!equals) return bad(p, "expected [NAME, …], or RIGHT = PATTERN, …");
  tr_slice name = trim(tr_slice_make(line.p, (size_t)(equals - line.p)));
  tr_slice list = trim(tr_slice_make(equals + 1, (size_t)(line.p + line.n - equals - 1)));
  uint8_t right = 0;
  while (right < TR_RIGHTS && !tr_slice_is(name, names[right])) right++;
  if (right == TR_RIGHTS) {
    const char *nearest = tr_text_nearest(name, names);
    char text[120];
    snprintf(text, sizeof text, "there is no right \"%.*s\"%s%s", name.n < 40 ? (int)name.n : 40, name.p, nearest ? ", did you mean " : "", nearest ? nearest : "");
    return bad(p, text);
  }
  if (!p->entry) return bad(p, "a right belongs into a section, [NAME, …]");
  return right >= TR_RIGHT_CONTROL ? read_yes(p, list, right) : add_list(p, list, right);
}

static int read_line(parser *p, tr_slice line) {
  line = trim(line);
  if (line.n == 0 || *line.p == '#') return 0;
  return *line.p == '[' ? begin_section(p, line) : read_right(p, line);
}

static int read_all(parser *p, tr_slice text) {
  int rc = 0;
  for (; rc == 0 && text.n; p->line++) {
    const char *end = memchr(text.p, '\n', text.n);
    size_t n = end ? (size_t)(end - text.p) : text.n;
    if (memchr(text.p, 0, n)) return bad(p, "there is a NUL in it");
    rc = read_line(p, tr_slice_make(text.p, n));
    n += end != NULL;
    text = tr_slice_make(text.p + n, text.n - n);
  }
  return rc;
}

int tr_rights_parse(tr_mem *mem, tr_slice text, const char *file, tr_rights **out, tr_error *error) {
  *out = NULL;
  if (text.n > TR_RIGHTS_FILE_MAX) return tr_error_set(error, TR_EINVALID, "%.250s: has more than %u bytes", file, TR_RIGHTS_FILE_MAX);
  tr_rights *rights = TR_NEW(mem, tr_rights);
  if (!rights) return tr_error_set(error, TR_EMEMORY, "out of memory");
  rights->mem = mem;
  rights->refs = 1;
  rights->size = text.n + 1;
  rights->text = tr_strndup(mem, text.n ? text.p : "", text.n);
  parser p = { .rights = rights, .file = file, .line = 1, .error = error };
  int rc = rights->text ? read_all(&p, tr_slice_make(rights->text, text.n)) : tr_error_set(error, TR_EMEMORY, "out of memory");
  if (rc) tr_rights_unref(rights);
  else *out = rights;
  return rc;
}

tr_rights *tr_rights_ref(tr_rights *rights) {
  if (rights) rights->refs++;
  return rights;
}

void tr_rights_unref(tr_rights *rights) {
  if (!rights || --rights->refs) return;
  tr_free(rights->mem, rights->items, rights->cap_items * sizeof *rights->items);
  tr_free(rights->mem, rights->entries, rights->cap_entries * sizeof *rights->entries);
  if (rights->text) tr_free(rights->mem, rights->text, rights->size);
  TR_DELETE(rights->mem, rights);
}

/* ---- asking ---- */

bool tr_glob(tr_slice pattern, tr_slice text) {
  size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
  while (t < text.n) {
    if (p < pattern.n && pattern.p[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.n && pattern.p[p] == text.p[t]) {
      p++, t++;
    } else if (star != SIZE_MAX) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.n && pattern.p[p] == '*') p++;
  return p == pattern.n;
}

static bool is_for(const tr_rights_entry *entry, tr_slice name) {
  bool nobody = tr_slice_is(name, "anonymous");
  for (uint32_t i = 0; i < entry->count; i++) {
    const item *it = &entry->rights->items[entry->first + i];
    if (it->right != TR_RIGHTS) break;
    if (nobody ? tr_slice_equal(it->text, name) : tr_glob(it->text, name)) return true;
  }
  return false;
}

const tr_rights_entry *tr_rights_find(const tr_rights *rights, tr_slice all) {
  if (!all.n) all = tr_slice_of("anonymous");
  for (size_t e = 0; e < rights->n_entries; e++) {
    for (tr_slice rest = all; rest.n;) {
      const char *end = memchr(rest.p, '\n', rest.n);
      size_t n = end ? (size_t)(end - rest.p) : rest.n;
      if (is_for(&rights->entries[e], tr_slice_make(rest.p, n))) return &rights->entries[e];
      n += end != NULL;
      rest = tr_slice_make(rest.p + n, rest.n - n);
    }
  }
  return NULL;
}

/* A right that is written down in other words. */
static uint8_t meant(const tr_rights_entry *entry, tr_right right) {
  return right == TR_RIGHT_SENDER && !(entry->has & 1u << TR_RIGHT_SENDER) ? TR_RIGHT_REGISTER : (uint8_t)right;
}

static bool fits(const item *it, tr_slice type, tr_slice key) {
  if (!it->slash) return tr_glob(it->text, type);
  if (!key.p) return false;
  const char *slash = memchr(it->text.p, '/', it->text.n);
  size_t at = (size_t)(slash - it->text.p);
  return tr_glob(tr_slice_make(it->text.p, at), type) && tr_glob(tr_slice_make(slash + 1, it->text.n - at - 1), key);
}

bool tr_rights_allow(const tr_rights_entry *entry, tr_right right, tr_slice type, tr_slice key) {
  uint8_t want = meant(entry, right);
  if (want >= TR_RIGHT_OBSERVE) return entry->has >> want != 0; /* it, or one that is more */
  if (!(entry->has & 1u << want)) return false;
  if (want == TR_RIGHT_CONTROL) return true;
  for (uint32_t i = 0; i < entry->count; i++) {
    const item *it = &entry->rights->items[entry->first + i];
    if (it->right == want && fits(it, type, key)) return true;
  }
  return false;
}

bool tr_rights_by_key(const tr_rights_entry *entry, tr_right right) { return (entry->by_key & 1u << meant(entry, right)) != 0; }
