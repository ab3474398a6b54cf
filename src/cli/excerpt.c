/* SPDX-License-Identifier: MIT
 * Where an error is, for people: the line of the source that it names, and a caret under what it is about.
 *
 * Lua's errors have a line and no column. But nearly all of them name something ("near 'x'", "(field 'x')"), and that is found in the line;
 * else the caret stands under its first word. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dev.h"

#define LINE_MOST 4096

/* "…, a/b.lua:12: text": where a place begins that names a file which is there. */
typedef struct place { char path[LINE_MOST]; long line; } place;

static bool is_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file) fclose(file);
  return file != NULL;
}

/* Lua shortens long names to "...end/of/path.lua". */
static bool resolve(troupe_t *rt, char *path) {
  if (strncmp(path, "...", 3) != 0) return is_file(path);
  size_t n = strlen(path + 3);
  for (const char *known = NULL; (known = tr_script_next_file(tr_runtime_script(rt), known));) {
    size_t length = strlen(known);
    if (length < n || length >= LINE_MOST || strcmp(known + length - n, path + 3)) continue;
    memcpy(path, known, length + 1);
    return true;
  }
  return false;
}

static bool find_place(troupe_t *rt, const char *text, place *out) {
  for (const char *colon = text; (colon = strchr(colon, ':')); colon++) {
    if (!isdigit((unsigned char)colon[1])) continue;
    const char *begin = colon;
    while (begin > text && !strchr(" \t\n\"'", begin[-1])) begin--;
    size_t n = (size_t)(colon - begin);
    if (n == 0 || n >= sizeof out->path) continue;
    memcpy(out->path, begin, n);
    out->path[n] = 0;
    out->line = strtol(colon + 1, NULL, 10);
    if (out->line > 0 && resolve(rt, out->path)) return true;
  }
  return false;
}

/* As much of the line as has room. */
static bool read_line(const place *at, char *out) {
  FILE *file = fopen(at->path, "rb");
  size_t n = 0;
  long line = 1;
  int c = EOF;
  while (file && line <= at->line && (c = getc(file)) != EOF) {
    if (c == '\n') line++;
    else if (line == at->line && n < LINE_MOST - 1) out[n++] = (char)c;
  }
  bool found = file && (line > at->line || (c == EOF && line == at->line));
  if (file) fclose(file);
  while (n && out[n - 1] == '\r') n--;
  out[n] = 0;
  return found;
}

/* What the error names: between quotes behind one of these. */
static bool find_name(const char *error, char *out, size_t size) {
  static const char *const before[] = { "near '", "(field '", "(global '", "(local '", "(method '", "(upvalue '", "(constant '", "function '", "key `", "`" };
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
    const char *begin = strstr(error, before[i]);
    if (!begin) continue;
    begin += strlen(before[i]);
    const char *end = strpbrk(begin, before[i][strlen(before[i]) - 1] == '`' ? "`" : "'");
    if (i == 0 && end) end = strrchr(begin, '\''); /* near ''' */
    if (!end || end == begin || (size_t)(end - begin) >= size) continue;
    memcpy(out, begin, (size_t)(end - begin));
    out[end - begin] = 0;
    return true;
  }
  return false;
}

static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Where it is a word of its own, if it is one; after a dot or a colon, if it is a field's or a method's. */
static const char *find_word(const char *line, const char *name, bool member) {
  size_t n = strlen(name);
  for (const char *at = line; (at = strstr(at, name)); at++) {
    bool begins = at == line || !is_word(*name) || !is_word(at[-1]), ends = !is_word(name[n - 1]) || !is_word(at[n]);
    if (begins && ends && (!member || (at > line && (at[-1] == '.' || at[-1] == ':')))) return at;
  }
  return NULL;
}

static const char *find_in(const char *line, const char *name, const char *error) {
  char byte[2] = "";
  bool member = strstr(error, "(field '") || strstr(error, "(method '");
  if (strncmp(name, "<\\", 2) == 0) { /* "<\228>": a byte that begins no word */
    byte[0] = (char)strtol(name + 2, NULL, 10);
    name = byte;
  }
  const char *found = member ? find_word(line, name, true) : NULL;
  if (!found) found = find_word(line, name, false);
  return found ? found : strstr(line, name);
}

static size_t column_of(const char *line, const char *error) {
  char name[200];
  const char *found = find_name(error, name, sizeof name) ? find_in(line, name, error) : NULL;
  if (found) return (size_t)(found - line);
  return strstr(error, "near <eof>") ? strlen(line) : strspn(line, " \t");
}

/* ---- columns ---- */

#define SHOWN_MOST 160 /* bytes of a line, */
#define SHOWN_BEFORE 60 /* and of those before the place, where it is longer */

static bool goes_on(char c) { return ((unsigned char)c & 0xC0) == 0x80; }

/* As wide as this text, but blank. */
static void put_blank(const char *text, size_t n, FILE *out) {
  for (size_t at = 0, length; at < n; at += length) {
    int width = cli_width(text + at, n - at, &length);
    if (text[at] == '\t') fputc('\t', out);
    else fprintf(out, "%*s", width, "");
  }
}

/* What is shown of a long line: from *begin on, *length of it; characters stay whole. */
static void choose(const char *line, size_t column, size_t *begin, size_t *length) {
  size_t n = strlen(line), from = n > SHOWN_MOST && column > SHOWN_MOST - SHOWN_BEFORE / 2 ? column - SHOWN_BEFORE : 0;
  while (from && goes_on(line[from])) from--;
  size_t end = n - from > SHOWN_MOST ? from + SHOWN_MOST : n;
  while (end < n && goes_on(line[end])) end++;
  *begin = from;
  *length = end - from;
}

bool cli_excerpt(troupe_t *rt, const char *error, FILE *out, bool colours) {
  static place at; /* 4 KB: the program has one thread that prints */
  char line[LINE_MOST];
  if (!find_place(rt, error, &at) || !read_line(&at, line)) return false;
  size_t column = column_of(line, error), begin, length;
  const char *dim = colours ? "\033[2m" : "", *off = colours ? "\033[0m" : "";
  choose(line, column, &begin, &length);
  fprintf(out, "%s%5ld |%s %s%.*s%s\n%s      |%s %s", dim, at.line, off, begin ? "…" : "", (int)length, line + begin, line[begin + length] ? "…" : "", dim,
          off, begin ? " " : "");
  put_blank(line + begin, column - begin, out);
  fprintf(out, "%s^%s\n", colours ? "\033[31m" : "", off);
  return true;
}
