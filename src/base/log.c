/* SPDX-License-Identifier: MIT
 * Logging's front: decides whether a line is wanted before anything is formatted, and makes it one line. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

#define LOG_TEXT 2048 /* longer lines are cut */

void tr_log_write(const tr_log *log, tr_log_level level, const char *event, const char *format, ...) {
  char text[LOG_TEXT];
  if (!log || !log->sink || level > log->level) return;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0) text[0] = 0;
  if (n >= LOG_TEXT) text[tr_utf8_cut(tr_slice_make(text, LOG_TEXT - 1), LOG_TEXT - 1)] = 0;
  /* Names and keys may hold line breaks and control characters: a line must not be able to fake another. */
  for (char *p = text; *p; p++)
    if ((unsigned char)*p < ' ' || *p == 127) *p = ' ';
  log->sink(log->ud, level, event, text);
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
