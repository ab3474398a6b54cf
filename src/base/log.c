/* SPDX-License-Identifier: MIT
 * Logging's front: decides whether a line is wanted before anything is formatted, and makes it one line that can be
 * taken apart again. Names, keys, texts of peers and of scripts are in it, so a value must not be able to fake the end
 * of its field or of the line: between quotes of the format, quotes and backslashes of a value are escaped; control
 * characters are, everywhere. That needs to know what comes from the format and what from a value, so the conversions
 * are taken one by one here rather than by one vsnprintf. */
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LOG_TEXT 2048 /* longer lines are cut */
#define LOG_SPEC 16   /* a conversion's characters, the longest in use is %.*s */

typedef struct log_line {
  char text[LOG_TEXT];
  size_t n;
  bool quoted; /* within quotes that the format opened */
} log_line;

static void put(log_line *line, const char *text, size_t n) {
  size_t room = sizeof line->text - 1 - line->n;
  if (n > room) n = room;
  memcpy(line->text + line->n, text, n);
  line->n += n;
}

static void put_value(log_line *line, const char *text, size_t n) {
  size_t length;
  for (size_t i = 0; i < n; i += length) {
    char c = text[i], hex[16] = "";
    int control = tr_text_control(tr_slice_make(text, n), i, &length);
    if (c == '\n') put(line, "\\n", 2);
    else if (c == '\t') put(line, "\\t", 2);
    else if (control >= 0) put(line, hex, (size_t)snprintf(hex, sizeof hex, "\\x%02x", control));
    else if (line->quoted && (c == '"' || c == '\\')) put(line, (char[]){ '\\', c }, 2);
    else put(line, text + i, 1);
  }
}

/* What the compiler checked against the format (TR_LOG_FORMAT): strings, integers, %g. */
static void put_conversion(log_line *line, const char *spec, va_list *args) {
  size_t last = strlen(spec) - 1;
  char number[64];
  int n = 0;
  if (spec[last] == 's') {
    int limit = strchr(spec, '*') ? va_arg(*args, int) : -1;
    const char *text = va_arg(*args, const char *);
    if (!text) text = limit == 0 ? "" : "(null)";
    put_value(line, text, limit >= 0 ? strnlen(text, (size_t)limit) : strlen(text));
    return;
  }
  if (spec[last] == 'g') n = snprintf(number, sizeof number, "%g", va_arg(*args, double));
  else if (strstr(spec, "ll")) n = snprintf(number, sizeof number, spec, va_arg(*args, long long));
  else if (strchr(spec, 'z')) n = snprintf(number, sizeof number, spec, va_arg(*args, size_t));
  else n = snprintf(number, sizeof number, spec, va_arg(*args, int));
  if (n > 0) put(line, number, (size_t)n);
}

static void format_line(log_line *line, const char *format, va_list *args) {
  while (*format) {
    if (*format != '%') {
      if (*format == '"') line->quoted = !line->quoted;
      put(line, format++, 1);
      continue;
    }
    if (format[1] == '%') {
      put(line, "%", 1);
      format += 2;
      continue;
    }
    char spec[LOG_SPEC];
    size_t n = strcspn(format, "sdiugxc") + 1;
    if (n >= sizeof spec) return;
    memcpy(spec, format, n);
    spec[n] = 0;
    put_conversion(line, spec, args);
    format += n;
  }
}

void tr_log_write(const tr_log *log, tr_log_level level, const char *event, const char *format, ...) {
  if (!log || !log->sink || level > log->level) return;
  log_line line = { .n = 0 };
  va_list args;
  va_start(args, format);
  format_line(&line, format, &args);
  va_end(args);
  line.n = tr_utf8_cut(tr_slice_make(line.text, line.n), line.n);
  line.text[line.n] = 0;
  log->sink(log->ud, level, event, line.text);
}

const char *tr_log_level_name(tr_log_level level) {
  switch (level) {
  case TR_LOG_ERROR: return "error";
  case TR_LOG_WARN: return "warn";
  case TR_LOG_INFO: return "info";
  case TR_LOG_DEBUG: return "debug";
  }
  return "?";
}
