/* SPDX-License-Identifier: MIT
 * troupe reload: a running process takes up its changed files, or goes back to what it ran before; --dry-run only says what would
 * come of it, and fails as the reload would. What the process does: runtime/operator_reload.c. */
#include <stdlib.h>
#include <string.h>

#include "cli/operate.h"

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* What is added and removed of something, where there is any. */
static void say_pair(const char *what, const troupe_value_t *pair) {
  int64_t added = 0, removed = 0;
  troupe_value_integer(troupe_value_at(pair, 0), &added);
  troupe_value_integer(troupe_value_at(pair, 1), &removed);
  if (added || removed) printf("  %s +%lld -%lld", what, (long long)added, (long long)removed);
}

static void say_change(const troupe_value_t *agent) {
  int64_t from = cli_number(agent, "from"), to = cli_number(agent, "to"), busy = cli_number(agent, "busy");
  int64_t idle = cli_number(agent, "instances") - busy;
  const char *change = cli_text(agent, "change");
  printf("  %-20s %s", cli_text(agent, "type"), change);
  if (strcmp(change, "new") != 0) {
    if (from != to) printf("  version %lld to %lld", (long long)from, (long long)to);
    const char *verb = strcmp(change, "gone") == 0 ? "leave" : from != to ? "migrate" : "follow";
    printf("  %lld instance%s %s", (long long)(idle + busy), plural(idle + busy), verb);
    if (busy) printf(", %lld of them when an open turn ends", (long long)busy);
    say_pair("subscriptions", troupe_value_get(agent, "subscriptions"));
    say_pair("timers", troupe_value_get(agent, "timers"));
  }
  putchar('\n');
}

static void say_reload(cli_operate *op, const troupe_value_t *answer) {
  int64_t files = cli_number(answer, "files");
  const troupe_value_t *agents = troupe_value_get(answer, "agents");
  (void)op;
  printf("%s %lld file%s", agents ? "would reload" : "reloaded", (long long)files, plural(files));
  if (files) printf(": %s", cli_text(answer, "names"));
  if (files && !agents) printf(" (version %lld)", (long long)cli_number(answer, "version"));
  putchar('\n');
  for (size_t i = 0; agents && i < troupe_value_length(agents); i++) say_change(troupe_value_at(agents, i));
}

static int run_reload(const cli_verb *verb, cli_args *args) {
  const char *to = cli_get(verb, args, "to");
  char *end = NULL, body[100];
  unsigned long number = to ? strtoul(to, &end, 10) : 0;
  if (to && (*end || *to < '0' || *to > '9' || number == 0 || number >= UINT32_MAX))
    return cli_fail(CLI_USAGE, verb->name, "--to %s: expected the number of a version (see troupe ps)", to);
  snprintf(body, sizeof body, "{\"to\":%lu,\"dry_run\":%s}", number, cli_get(verb, args, "dry-run") ? "true" : "false");
  return cli_operate_one(verb, args, "reload", say_reload, body);
}

static const cli_option reload_options[] = {
  CLI_WHICH_OPTIONS,
  { "timeout", 't', "S", "give up after so many seconds (30)", NULL },
  { "dry-run", 'n', NULL, "change nothing: say what would change, or why it would fail", NULL },
  { "to", 0, "VERSION", "go back to what ran then (troupe ps shows the numbers; the last 10 are kept)", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_reload = {
  "reload", "[--pid PID] [--dry-run] [--to VERSION]", "Let a running process reload its files that have changed, all or none; or go back.",
  "  troupe reload --dry-run && troupe reload\n  troupe reload --to 3", reload_options, 0, 0, run_reload,
};
