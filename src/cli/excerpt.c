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

static bool read_line(const place *at, char *out) {
  FILE *file = fopen(at->path, "rb");
  bool found = false;
  for (long i = 1; file && i <= at->line; i++) found = fgets(out, LINE_MOST, file) && i == at->line;
  if (file) fclose(file);
  if (found) out[strcspn(out, "\r\n")] = 0;
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

static size_t column_of(const char *line, const char *error) {
  char name[200];
  const char *found = find_name(error, name, sizeof name) ? strstr(line, name) : NULL;
  if (found) return (size_t)(found - line);
  return strstr(error, "near <eof>") ? strlen(line) : strspn(line, " \t");
}

bool cli_excerpt(troupe_t *rt, const char *error, FILE *out, bool colours) {
  static place at; /* 4 KB: the program has one thread that prints */
  char line[LINE_MOST];
  if (!find_place(rt, error, &at) || !read_line(&at, line)) return false;
  size_t column = column_of(line, error);
  fprintf(out, "%s%5ld |%s %s\n%s      |%s ", colours ? "\033[2m" : "", at.line, colours ? "\033[0m" : "", line, colours ? "\033[2m" : "",
          colours ? "\033[0m" : "");
  for (size_t i = 0; i < column; i++)
    if (((unsigned char)line[i] & 0xC0) != 0x80) fputc(line[i] == '\t' ? '\t' : ' ', out);
  fprintf(out, "%s^%s\n", colours ? "\033[31m" : "", colours ? "\033[0m" : "");
  return true;
}
