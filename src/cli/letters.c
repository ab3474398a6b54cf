/* SPDX-License-Identifier: MIT
 * troupe deadletters: what a running process could not deliver, the newest last, as one reads a log. */
#include <time.h>

#include "cli/operate.h"

static void print_time(const troupe_value_t *letter) {
  double seconds = 0;
  char text[40];
  troupe_value_number(troupe_value_get(letter, "time"), &seconds);
  time_t whole = (time_t)seconds;
  struct tm parts;
  if (!localtime_r(&whole, &parts) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts)) snprintf(text, sizeof text, "%.0f", seconds);
  printf("%s", text);
}

static void say_letters(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *letters = troupe_value_get(answer, "letters");
  long long total = (long long)cli_number(answer, "total");
  size_t shown = letters ? troupe_value_length(letters) : 0;
  (void)op;
  for (size_t i = shown; i-- > 0;) {
    const troupe_value_t *letter = troupe_value_at(letters, i);
    const char *sender = cli_text(letter, "sender"), *to = cli_text(letter, "to"), *target = cli_text(letter, "target");
    print_time(letter);
    printf("  %s %s", cli_text(letter, "kind"), cli_text(letter, "type"));
    if (*target) printf(" to %s", target);
    if (*sender) printf(" from %s", sender);
    if (*to) printf(" for client %s", to);
    printf("  %s: %s\n", cli_text(letter, "code"), cli_text(letter, "error"));
  }
  printf("%lld dead letter%s since it began%s\n", total, total == 1 ? "" : "s", (long long)shown < total ? "; shown are the newest" : "");
}

static int run_letters(const cli_verb *verb, cli_args *args) {
  uint64_t count;
  char body[40];
  if (!cli_size(verb, args, "count", 50, &count)) return CLI_USAGE;
  snprintf(body, sizeof body, "{\"count\":%llu}", (unsigned long long)count);
  return cli_operate_one(verb, args, "deadletters", say_letters, body);
}

static const cli_option options[] = {
  CLI_WHICH_OPTIONS, { "count", 'n', "N", "at most so many, the newest (50; the process keeps 256)", NULL },
  { "timeout", 't', "S", "give up after so many seconds (30)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_letters = {
  "deadletters", "[--pid PID]", "List what a running process could not deliver: events, messages, withheld answers.",
  "  troupe deadletters\n  troupe deadletters --pid 4711 --count 10 --json", options, 0, 0, run_letters,
};
