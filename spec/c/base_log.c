/* SPDX-License-Identifier: MIT
 * A log line cannot be faked by the values in it. */
#include "base/log.h"
#include "check.h"

#include <stdio.h>
#include <string.h>

static char seen[4096];
static int lines;
static const char *volatile nothing; /* the compiler is not to know */

static void sink(void *ud, tr_log_level level, const char *event, const char *text) {
  (void)ud, (void)level, (void)event;
  snprintf(seen, sizeof seen, "%s", text);
  lines++;
}

static const tr_log loud = { TR_LOG_DEBUG, sink, NULL };

CHECK_CASE(each_conversion_in_use_is_formatted) {
  tr_log_write(&loud, TR_LOG_INFO, "e", "a=%s b=%.*s c=%d d=%u e=%lld f=%llu g=%zu h=%g 100%%", "x", 2, "yyy", -1, 2u, -3LL, 4ULL,
               (size_t)5, 0.5);
  CHECK_STR(seen, "a=x b=yy c=-1 d=2 e=-3 f=4 g=5 h=0.5 100%");
  tr_log_write(&loud, TR_LOG_INFO, "e", "a=%s b=%.*s", nothing, 0, nothing);
  CHECK_STR(seen, "a=(null) b=");
}

CHECK_CASE(values_within_quotes_cannot_end_them) {
  tr_log_write(&loud, TR_LOG_INFO, "e", "text=\"%s\" agent=%s", "a\" level=\"b\\", "q\"");
  CHECK_STR(seen, "text=\"a\\\" level=\\\"b\\\\\" agent=q\"");
  tr_log_write(&loud, TR_LOG_INFO, "e", "a=%s", "1\n2\t3\x1b[31m\x7f\xc2\x9b\xc2\xa0");
  CHECK_STR(seen, "a=1\\n2\\t3\\x1b[31m\\x7f\\x9b\xc2\xa0");
}

CHECK_CASE(long_lines_are_cut_at_a_character) {
  char longer[3000];
  for (size_t i = 0; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa4", 3);
  tr_log_write(&loud, TR_LOG_INFO, "e", "x=%s", longer);
  CHECK_INT((int)strlen(seen), ==, 2046);
  CHECK_INT((unsigned char)seen[2045], ==, 0xa4);
}

CHECK_CASE(nothing_is_written_above_the_level_or_without_a_sink) {
  tr_log quiet = { TR_LOG_WARN, sink, NULL }, none = { TR_LOG_DEBUG, NULL, NULL };
  lines = 0;
  tr_log_write(&quiet, TR_LOG_INFO, "e", "a");
  tr_log_write(&none, TR_LOG_ERROR, "e", "a");
  tr_log_write(NULL, TR_LOG_ERROR, "e", "a");
  CHECK_INT(lines, ==, 0);
  tr_log_write(&quiet, TR_LOG_WARN, "e", "a");
  CHECK_INT(lines, ==, 1);
}
