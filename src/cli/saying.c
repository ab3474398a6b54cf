/* SPDX-License-Identifier: MIT
 * The answers about agents in words: for `troupe inspect`, `top`, `trace` and `repl`, and for the prompt of `troupe dev`. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/operate.h"

static const char *size_text(double bytes, char out[32]) {
  static const char *const units[] = { "B", "KB", "MB", "GB" };
  int unit = 0;
  for (; bytes >= 1024 && unit < 3; unit++) bytes /= 1024;
  snprintf(out, 32, unit && bytes < 100 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
  return out;
}

/* ---- inspect ---- */

static void say_lines(const char *text) {
  while (*text) {
    size_t n = strcspn(text, "\n");
    printf("             %.*s\n", (int)n, text);
    text += n + (text[n] == '\n');
  }
}

static void say_mail(const troupe_value_t *answer) {
  const troupe_value_t *mail = troupe_value_get(answer, "mail");
  char size[32];
  printf("  mailbox    %lld waiting", (long long)cli_number(answer, "queued"));
  if (cli_number(answer, "queued_bytes") > 0) printf(", %s", size_text(cli_real(answer, "queued_bytes"), size));
  for (size_t i = 0; i < cli_count(mail); i++) {
    const troupe_value_t *item = troupe_value_at(mail, i);
    printf("%s%s", i ? ", " : ": ", cli_text(item, "type"));
    if (*cli_text(item, "sender")) printf(" from %s", cli_text(item, "sender"));
  }
  puts((int64_t)cli_count(mail) < cli_number(answer, "queued") ? ", …" : "");
}

static void say_failures(const troupe_value_t *failures) {
  printf("  failures   %lld", (long long)cli_number(failures, "count"));
  if (*cli_text(failures, "last")) printf(", the last one %.1f s ago: %s", cli_real(failures, "ago_s"), cli_text(failures, "last"));
  putchar('\n');
}

static void say_subscriptions(const troupe_value_t *list) {
  if (cli_count(list) == 0) return;
  printf("  subscribes ");
  for (size_t i = 0; i < cli_count(list); i++) {
    const troupe_value_t *sub = troupe_value_at(list, i);
    const char *topic = cli_text(sub, "topic"), *prefix = cli_text(sub, "prefix"), *key = cli_text(sub, "key");
    printf("%s%s%s", i ? ", " : "", *topic ? topic : *prefix ? prefix : "by a function", *prefix ? "*" : "");
    if (*key) printf(" (key %s)", key);
    if (troupe_value_get(sub, "all")) printf(" (all)");
  }
  putchar('\n');
}

static void say_timers(const troupe_value_t *list) {
  for (size_t i = 0; i < cli_count(list); i++) {
    const troupe_value_t *timer = troupe_value_at(list, i);
    printf("  timer      %s in %.1f s", cli_text(timer, "type"), cli_real(timer, "in_s"));
    if (troupe_value_get(timer, "every_s")) printf(", every %g s", cli_real(timer, "every_s"));
    putchar('\n');
  }
}

static void say_turns(const troupe_value_t *list) {
  for (size_t i = 0; i < cli_count(list); i++) {
    const troupe_value_t *turn = troupe_value_at(list, i);
    printf("  turn       %s", cli_text(turn, "type"));
    if (*cli_text(turn, "sender")) printf(" from %s", cli_text(turn, "sender"));
    printf(", %s, begun %.1f s ago\n", cli_text(turn, "doing"), cli_real(turn, "since_s"));
    say_lines(cli_text(turn, "traceback"));
  }
}

void cli_say_agent_state(troupe_t *rt, const troupe_value_t *answer) {
  const troupe_value_t *state = troupe_value_get(answer, "state");
  bool program = false;
  troupe_value_boolean(troupe_value_get(answer, "program"), &program);
  if (state && troupe_value_kind(state) != TROUPE_NULL) cli_put_json(rt, state);
  else fputs(program ? "none: it is a program" : "none yet: no handler of it has run", stdout);
  putchar('\n');
}

void cli_say_inspect(troupe_t *rt, const troupe_value_t *answer) {
  const troupe_value_t *about = troupe_value_get(answer, "about"), *messages = about ? troupe_value_get(about, "messages") : NULL;
  char size[32];
  printf("%s  %s  version %lld  ", cli_text(answer, "id"), cli_text(answer, "doing"), (long long)cli_number(answer, "version"));
  if (cli_number(answer, "code")) printf("code %lld%s  ", (long long)cli_number(answer, "code"), troupe_value_get(answer, "canary") ? " (canary)" : "");
  puts(cli_text(answer, "file"));
  say_mail(answer);
  printf("  turns      %lld begun", (long long)cli_number(answer, "turns"));
  if (troupe_value_get(answer, "cpu")) printf(", %.1f/s, %.1f %% of a processor", cli_real(answer, "turns_s"), 100 * cli_real(answer, "cpu"));
  printf("\n  memory     %s\n", size_text(cli_real(answer, "memory"), size));
  say_failures(troupe_value_get(answer, "failures"));
  for (size_t i = 0; i < cli_count(messages); i++)
    printf("%s%s%s", i ? ", " : "  handles    ", troupe_value_string(troupe_value_at(messages, i), NULL), i + 1 == cli_count(messages) ? "\n" : "");
  if (about) say_subscriptions(troupe_value_get(about, "subscriptions"));
  say_timers(troupe_value_get(answer, "timers"));
  say_turns(troupe_value_get(answer, "turns_open"));
  if (!troupe_value_get(answer, "state")) return;
  printf("  state      ");
  cli_say_agent_state(rt, answer);
}

/* ---- top ---- */

#define TOP_WIDTH 104 /* of a row with all columns, and a name of 32 */

/* On a screen a row is a line: what is long is cut. */
static const char *name_text(const char *id, int columns, char out[512]) {
  size_t most = columns > 400 ? 400 : columns < TOP_WIDTH ? 32 : 32 + (size_t)(columns - TOP_WIDTH);
  bool cut = columns > 0 && strlen(id) > most;
  if (cut) snprintf(out, 512, "%.*s…", (int)tr_utf8_cut(tr_slice_of(id), most - 1), id);
  return cut ? out : id;
}

static void say_row(const troupe_value_t *row, int columns) {
  char size[32], waiting[32], name[512];
  const char *id = name_text(cli_text(row, "id"), columns, name);
  bool narrow = columns > 0 && columns < TOP_WIDTH;
  printf("%-*s %-8s %8lld", 32 + cli_columnless(id), id, cli_text(row, "state"), (long long)cli_number(row, "queued"));
  if (!narrow) printf(" %9s", size_text(cli_real(row, "queued_bytes"), waiting));
  printf(" %10.1f %6.1f %9s", cli_real(row, "turns_s"), 100 * cli_real(row, "cpu"), size_text(cli_real(row, "memory"), size));
  if (!narrow) printf(" %8lld %5lld", (long long)cli_number(row, "failures"), (long long)cli_number(row, "code"));
  putchar('\n');
}

void cli_say_top(const troupe_value_t *answer, int rows_most, int columns) {
  const troupe_value_t *rows = troupe_value_get(answer, "rows");
  char size[32];
  printf("%lld agents  %lld queued  %.0f turns/s  %.0f %% of a processor  %s\n", (long long)cli_number(answer, "agents"),
         (long long)cli_number(answer, "queued"), cli_real(answer, "turns_s"), 100 * cli_real(answer, "cpu"),
         size_text(cli_real(answer, "memory"), size));
  if (columns > 0 && columns < TOP_WIDTH) printf("%-32s %-8s %8s %10s %6s %9s\n", "AGENT", "STATE", "QUEUED", "TURNS/S", "CPU%", "MEMORY");
  else printf("%-32s %-8s %8s %9s %10s %6s %9s %8s %5s\n", "AGENT", "STATE", "QUEUED", "BYTES", "TURNS/S", "CPU%", "MEMORY", "FAILED", "CODE");
  for (size_t i = 0; i < cli_count(rows) && (rows_most <= 0 || (int)i < rows_most); i++) say_row(troupe_value_at(rows, i), columns);
}

/* ---- trace ---- */

static void say_time(double t, const char *dim, const char *off) {
  struct tm tm;
  time_t seconds = (time_t)t;
  char text[40] = "";
  if (localtime_r(&seconds, &tm)) strftime(text, sizeof text, "%H:%M:%S", &tm);
  printf("%s%s.%03d%s ", dim, text, (int)((t - (double)seconds) * 1000), off);
}

static const char *or_outside(const char *id) { return *id ? id : "·"; /* a timer, or somebody who is no agent */ }

static void put_body(troupe_t *rt, const troupe_value_t *body, size_t most) {
  size_t length;
  char *json = troupe_value_to_json(rt, body, &length);
  size_t shown = json && most && length > most ? tr_utf8_cut(tr_slice_make(json, length), most) : length;
  if (json) cli_put_json_shown(json, shown);
  if (json && shown < length) fputs("…", stdout);
  troupe_free_text(rt, json, length);
}

void cli_say_trace(troupe_t *rt, const troupe_value_t *line, size_t most, bool colours) {
  const char *at = cli_text(line, "at"), *error = cli_text(line, "error"), *from = cli_text(line, "from"), *to = cli_text(line, "to");
  const char *dim = colours ? "\033[2m" : "", *bold = colours ? "\033[36m" : "", *red = colours ? "\033[31m" : "", *off = colours ? "\033[0m" : "";
  const char *type = *cli_text(line, "reply") ? cli_text(line, "reply") : cli_text(line, "type");
  const troupe_value_t *body = troupe_value_get(line, "body");
  if (troupe_value_get(line, "lost")) {
    printf("%s… %lld messages are not shown: they came faster than they were read%s\n", red, (long long)cli_number(line, "lost"), off);
    return;
  }
  say_time(cli_real(line, "t"), dim, off);
  if (strcmp(at, "answered") == 0) printf("%s %s←%s %s  ", or_outside(to), *error ? red : dim, off, from);
  else if (strcmp(at, "failed") == 0) printf("%s✗%s %s  ", red, off, to);
  else if (strcmp(at, "dead") == 0) printf("%s %s✗%s %s  ", or_outside(from), red, off, to);
  else if (strcmp(at, "given") == 0) printf("%s %s⇒%s %s  ", cli_text(line, "topic"), dim, off, to);
  else printf("%s %s%s%s %s  ", or_outside(from), dim, strcmp(cli_text(line, "kind"), "event") ? "→" : "⇒", off, to);
  printf("%s%s%s", bold, type, off);
  if (*error) printf(" %s%s%s", red, error, off);
  if (body || *cli_text(line, "text")) putchar(' ');
  if (body) put_body(rt, body, most);
  else if (*cli_text(line, "text")) printf("%s…", cli_text(line, "text"));
  putchar('\n');
}

/* ---- repl ---- */

void cli_say_eval(const troupe_value_t *answer, bool colours) {
  const troupe_value_t *values = troupe_value_get(answer, "values");
  const char *output = cli_text(answer, "output");
  if (isatty(STDOUT_FILENO)) cli_put_shown(stdout, output, strlen(output));
  else fputs(output, stdout); /* what it printed, as it printed it */
  if (*cli_text(answer, "error")) {
    printf("%s%s%s\n", colours ? "\033[31m" : "", cli_text(answer, "error"), colours ? "\033[0m" : "");
    return;
  }
  for (size_t i = 0; i < cli_count(values); i++) puts(troupe_value_string(troupe_value_at(values, i), NULL));
}
