/* SPDX-License-Identifier: MIT
 * Texts on a terminal. Names, message types, errors may come from anybody who sends a message, and a terminal obeys what is in them: it can be
 * cleared, renamed, made to type. So control characters are shown, as \x1b, as the log does; line ends and tabs stay.
 *
 * In answers of processes that is done before they are read, in their JSON: so nobody who prints one has to think of it. Bodies and states are
 * left as they are, since they are written as JSON again, and escaped there. --json and --raw give everything as it is. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/operate.h"

void cli_put_shown(FILE *out, const char *text, size_t length) {
  tr_slice all = tr_slice_make(text, length);
  for (size_t i = 0, n; i < length; i += n) {
    int control = tr_text_control(all, i, &n);
    if (control < 0 || control == '\n' || control == '\t') fwrite(text + i, 1, n, out);
    else fprintf(out, "\\x%02x", (unsigned)control);
  }
}

void cli_print_shown(FILE *out, const char *format, va_list args) {
  char text[8192];
  if (vsnprintf(text, sizeof text, format, args) > 0) cli_put_shown(out, text, strlen(text));
}

void cli_put_json_shown(const char *json, size_t length) {
  tr_slice all = tr_slice_make(json, length);
  for (size_t i = 0, n; i < length; i += n) {
    int control = tr_text_control(all, i, &n);
    if (control < 0x7f) fwrite(json + i, 1, n, stdout); /* the others are escaped already */
    else printf("\\u%04x", (unsigned)control);
  }
}

/* ---- answers ---- */

typedef struct shower { tr_slice json; size_t at; tr_buf out; } shower;

bool cli_is_plain(tr_slice json) {
  size_t n;
  for (size_t i = 0; i < json.n; i += n) {
    int control = tr_text_control(json, i, &n);
    if (control >= 0x7f || (json.p[i] == '\\' && i + 1 < json.n && strchr("bfru", json.p[i + 1]))) return false;
    if (json.p[i] == '\\') n = 2;
  }
  return true;
}

static char here(const shower *s) { return s->at < s->json.n ? s->json.p[s->at] : 0; }

static void copy(shower *s, size_t n) {
  if (n > s->json.n - s->at) n = s->json.n - s->at;
  tr_buf_append(&s->out, s->json.p + s->at, n);
  s->at += n;
}

/* Is it an escape of a character that a terminal would obey? *n: its bytes, of any escape. */
static bool is_escape(const shower *s, int *code, size_t *n) {
  const char *p = s->json.p + s->at;
  char digits[5] = "";
  if (*p != '\\' || s->json.n - s->at < 2) return false;
  *n = 2;
  *code = p[1] == 'b' ? '\b' : p[1] == 'f' ? '\f' : p[1] == 'r' ? '\r' : -1;
  if (*code >= 0) return true;
  if (p[1] != 'u' || s->json.n - s->at < 6) return false;
  memcpy(digits, p + 2, 4);
  *n = 6;
  *code = (int)strtol(digits, NULL, 16);
  return (*code < 0x20 && *code != '\n' && *code != '\t') || (*code >= 0x7f && *code < 0xa0);
}

/* From a quote to behind the next one. */
static void copy_string(shower *s, bool cleaned) {
  copy(s, 1);
  while (s->at < s->json.n && here(s) != '"') {
    size_t n;
    int code = tr_text_control(s->json, s->at, &n);
    bool obeyed = code >= 0 || is_escape(s, &code, &n);
    if (!obeyed || !cleaned) {
      copy(s, n);
    } else {
      tr_buf_printf(&s->out, "\\\\x%02x", (unsigned)code);
      s->at += n;
    }
  }
  copy(s, 1);
}

static void copy_value(shower *s) {
  unsigned depth = 0;
  do {
    char c = here(s);
    depth += c == '{' || c == '[';
    depth -= c == '}' || c == ']';
    if (c == '"') copy_string(s, false);
    else copy(s, 1);
  } while (depth && s->at < s->json.n);
}

/* Is the text that has just been copied the name of a member that is JSON of its own? s->at: its colon. */
static bool is_data(const shower *s, size_t begun) {
  static const char *const names[] = { "\"body\"", "\"state\"", "\"value\"", "\"output\"" };
  enum { STATE = 1 }; /* a word for what one is doing, too: "idle" */
  tr_slice rest = tr_slice_make(s->json.p + s->at, s->json.n - s->at);
  if (here(s) != ':') return false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (tr_slice_is(tr_slice_make(s->json.p + begun, s->at - begun), names[i])) return i != STATE || !tr_slice_starts(rest, TR_SLICE_LITERAL(":\""));
  return false;
}

troupe_value_t *cli_answer(troupe_t *rt, tr_slice json) {
  if (cli_is_plain(json)) return troupe_value_from_json(rt, json.p, json.n);
  tr_mem mem;
  shower s = { .json = json };
  tr_mem_init(&mem);
  tr_buf_init(&s.out, &mem);
  while (s.at < json.n) {
    size_t begun = s.at;
    if (here(&s) != '"') {
      copy(&s, 1);
      continue;
    }
    copy_string(&s, true);
    if (!is_data(&s, begun)) continue;
    copy(&s, 1);
    copy_value(&s);
  }
  troupe_value_t *value = s.out.failed ? NULL : troupe_value_from_json(rt, (const char *)s.out.data, s.out.len);
  tr_buf_fini(&s.out);
  return value;
}
