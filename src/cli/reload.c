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

/* ---- of all workers of a type ---- */

static void say_worker(const troupe_value_t *it) {
  const troupe_value_t *said = troupe_value_get(it, "said"), *error = troupe_value_get(it, "error"), *agents = troupe_value_get(said, "agents");
  const char *worker = cli_text(it, "worker"), *state = cli_text(it, "state");
  int64_t files = cli_number(said, "files");
  const char *who = *cli_text(it, "who") ? cli_text(it, "who") : cli_text(it, "address");
  printf("%s", *worker ? worker : "the host itself");
  if (*who) printf(" (%s)", who);
  printf("  %s", state);
  if (error) printf(": %s", cli_text(error, "text"));
  else if (said && files == 0) printf(", nothing has changed");
  else if (said) printf("  %lld file%s: %s", (long long)files, plural(files), cli_text(said, "names"));
  if (strcmp(state, "reloaded") == 0 && files) printf(" (version %lld)", (long long)cli_number(said, "version"));
  putchar('\n');
  for (size_t i = 0; agents && strcmp(state, "ready") == 0 && i < troupe_value_length(agents); i++) say_change(troupe_value_at(agents, i));
}

static void say_workers(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *workers = troupe_value_get(answer, "workers");
  (void)op;
  for (size_t i = 0; i < cli_count(workers); i++) say_worker(troupe_value_at(workers, i));
}

static int reload_workers(const cli_verb *verb, const cli_args *args, const char *type) {
  static const char *const alone[] = { "to", "errors", "within" };
  cli_operate op;
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
    if (cli_get(verb, args, alone[i]))
      return cli_fail(CLI_USAGE, verb->name, "--%s goes with one process, not with --type: each worker has versions of its own", alone[i]);
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  troupe_value_t *map = troupe_value_map(op.rt);
  cli_set(map, op.rt, "type", type);
  if (op.timeout > 0) cli_set_number(map, op.rt, "timeout", (double)op.timeout / 1e6);
  if (cli_has(&op, "dry-run")) troupe_value_set(map, "dry_run", troupe_value_from_json(op.rt, "true", 4));
  if (cli_has(&op, "skip-foreign")) troupe_value_set(map, "skip_foreign", troupe_value_from_json(op.rt, "true", 4));
  op.say = say_workers;
  if (op.timeout > 0) op.timeout += TR_SECONDS(10); /* the host says itself when its time is up */
  rc = cli_take_body(&op, map);
  if (rc == CLI_OK) rc = cli_ask_choose(&op);
  if (rc == CLI_OK) rc = cli_ask_one(&op, "reload");
  troupe_free(op.rt);
  return rc;
}

/* ---- of one process ---- */

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

/* Such a number, or -1. */
static long whole(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == 0 && number < 1000000000 ? number : -1;
}

static int run_reload(const cli_verb *verb, cli_args *args) {
  const char *to = cli_get(verb, args, "to"), *errors = cli_get(verb, args, "errors");
  char body[160];
  const char *type = cli_get(verb, args, "type");
  tr_time within;
  if (type) return reload_workers(verb, args, type);
  if (cli_get(verb, args, "skip-foreign")) return cli_fail(CLI_USAGE, verb->name, "--skip-foreign goes with --type");
  if (to && whole(to) < 1) return cli_fail(CLI_USAGE, verb->name, "--to %s: expected the number of a version (see troupe ps)", to);
  if (errors && whole(errors) < 0) return cli_fail(CLI_USAGE, verb->name, "--errors %s: expected how many turns may fail", errors);
  if (!cli_seconds(verb, args, "within", TR_SECONDS(60), &within)) return CLI_USAGE;
  snprintf(body, sizeof body, "{\"to\":%ld,\"errors\":%ld,\"within\":%.6f,\"dry_run\":%s}", to ? whole(to) : 0, errors ? whole(errors) : -1,
           (double)within / 1e6, cli_get(verb, args, "dry-run") ? "true" : "false");
  return cli_operate_one(verb, args, "reload", say_reload, body);
}

static const cli_option reload_options[] = {
  CLI_WHICH_OPTIONS,
  { "timeout", 't', "S", "give up after so many seconds (30)", NULL },
  { "dry-run", 'n', NULL, "change nothing: say what would change, or why it would fail", NULL },
  { "type", 0, "TYPE", "ask a host: all its workers that have this agent type reload their own files, or none", NULL },
  { "skip-foreign", 0, NULL, "with --type: leave workers as they are that are not troupe's", NULL },
  { "to", 0, "VERSION", "go back to what ran then (troupe ps shows the numbers; the last 10 are kept)", NULL },
  { "errors", 0, "N", "go back by itself when more than N turns of the new code fail", NULL },
  { "within", 0, "S", "so many seconds long (60)", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_reload = {
  "reload", "[--pid PID | --host ADDRESS] [--type TYPE] [--dry-run] [--to VERSION]", "Let a running process reload its files that have changed, all or none; or go back.",
  "  troupe reload --dry-run && troupe reload\n  troupe reload --errors 5 --within 30\n  troupe reload --to 3\n  troupe reload --host 127.0.0.1:50051 --type greeter", reload_options, 0, 0, run_reload,
};
