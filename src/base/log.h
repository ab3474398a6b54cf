/* SPDX-License-Identifier: MIT
 * The logging interface. A sink decides what becomes of a line; a line is formatted only when its level is enabled.
 * An event name ("session.closed") comes first, then `key=value` text. Never put message bodies or secrets in a line above
 * debug. */
#ifndef TR_BASE_LOG_H
#define TR_BASE_LOG_H

#include "base/hint.h"

typedef enum { TR_LOG_ERROR = 0, TR_LOG_WARN = 1, TR_LOG_INFO = 2, TR_LOG_DEBUG = 3 } tr_log_level;

typedef struct tr_log {
  tr_log_level level; /* lines above this level are not formatted */
  /* text: NUL-terminated, one line, no newline at its end; valid during the call. NULL sink: silent. */
  void (*sink)(void *ud, tr_log_level level, const char *event, const char *text);
  void *ud;
} tr_log;

/* log may be NULL. */
void tr_log_write(const tr_log *log, tr_log_level level, const char *event, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 4, 5)))
#endif
    TR_COLD;
const char *tr_log_level_name(tr_log_level level); /* "error" "warn" "info" "debug" */

#endif
