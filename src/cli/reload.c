/* SPDX-License-Identifier: MIT
 * troupe reload: a running process takes up its changed files, for all keys or for some, or goes back to what it ran before; --dry-run
 * only says what would come of it, and fails as the reload would. What the process does: runtime/operator_reload.c. */
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
  if (strcmp(state, "reloaded") == 0 && files) printf(" (code %lld)", (long long)cli_number(said, "version"));
  putchar('\n');
  for (size_t i = 0; agents && strcmp(state, "ready") == 0 && i < troupe_value_length(agents); i++) say_change(troupe_value_at(agents, i));
}

static void say_workers(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *workers = troupe_value_get(answer, "workers");
  (void)op;
  for (size_t i = 0; i < cli_count(workers); i++) say_worker(troupe_value_at(workers, i));
}

static int reload_workers(const cli_verb *verb, const cli_args *args, const char *type) {
  static const char *const alone[] = { "to", "errors", "within", "canary", "promote", "undo", "drain", "pin", "unpin" };
  cli_operate op;
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++)
    if (cli_get(verb, args, alone[i]))
      return cli_fail(CLI_USAGE, verb->name, "--%s goes with one process, not with --type: each worker counts its code by itself", alone[i]);
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  troupe_value_t *map = troupe_value_map(op.rt);
  cli_set(map, op.rt, "type", type);
  if (op.timeout > 0) cli_set_number(map, op.rt, "timeout", (double)op.timeout / 1e6);
  if (cli_has(&op, "dry-run")) troupe_value_set(map, "dry_run", troupe_value_from_json(op.rt, "true", 4));
  if (cli_has(&op, "again")) troupe_value_set(map, "again", troupe_value_from_json(op.rt, "true", 4));
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

static void say_files(cli_operate *op, const troupe_value_t *answer, bool trial) {
  int64_t files = cli_number(answer, "files");
  const char *done = cli_has(op, "promote") ? "promote" : cli_has(op, "undo") ? "undo" : "reload";
  const char *past = cli_has(op, "promote") ? "promoted" : cli_has(op, "undo") ? "undone" : "reloaded";
  if (!files && cli_has(op, "canary") && !troupe_value_get(answer, "canary")) {
    puts("nothing has changed: there is nothing to try, so there is no canary");
    return;
  }
  printf("%s%s %lld file%s", trial ? "would " : "", trial ? done : past, (long long)files, plural(files));
  if (files) printf(": %s", cli_text(answer, "names"));
  const troupe_value_t *canary = troupe_value_get(answer, "canary");
  if (files && !trial && canary)
    printf(" (code %lld, a canary: %s; code %lld serves the others)", (long long)cli_number(canary, "version"), cli_text(canary, "keys"),
           (long long)cli_number(answer, "version"));
  else if (files && !trial) printf(" (code %lld)", (long long)cli_number(answer, "version"));
  putchar('\n');
}

static void say_drained(const troupe_value_t *drained) {
  int64_t ended = cli_number(drained, "ended"), cut = cli_number(drained, "cut");
  printf("drained: %lld turn%s of older code ended, %lld %s cut off", (long long)ended, plural(ended), (long long)cut, cut == 1 ? "was" : "were");
  if (cut) printf(": %s", cli_text(drained, "turns"));
  putchar('\n');
}

static void say_reload(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *agents = troupe_value_get(answer, "agents"), *drained = troupe_value_get(answer, "drained");
  say_files(op, answer, agents != NULL);
  if (troupe_value_get(answer, "pinned")) printf("code %lld is pinned\n", (long long)cli_number(answer, "version"));
  for (size_t i = 0; agents && i < troupe_value_length(agents); i++) say_change(troupe_value_at(agents, i));
  if (drained) say_drained(drained);
}

/* Such a number, or -1. */
static long whole(const char *text) {
  char *end;
  long number = strtol(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == 0 && number < 1000000000 ? number : -1;
}

static int check(const cli_verb *verb, const cli_args *args) {
  static const char *const ways[] = { "canary", "promote", "undo", "to", NULL };
  const char *to = cli_get(verb, args, "to"), *errors = cli_get(verb, args, "errors"), *first = NULL;
  if (to && whole(to) < 1) return cli_fail(CLI_USAGE, verb->name, "--to %s: expected the number of code (see troupe ps)", to);
  if (errors && whole(errors) < 0) return cli_fail(CLI_USAGE, verb->name, "--errors %s: expected how many turns may fail", errors);
  for (const char *const *way = ways; *way; way++) {
    if (!cli_get(verb, args, *way)) continue;
    if (first) return cli_fail(CLI_USAGE, verb->name, "--%s and --%s: one of them", first, *way);
    first = *way;
  }
  if (errors && (cli_get(verb, args, "undo") || cli_get(verb, args, "dry-run")))
    return cli_fail(CLI_USAGE, verb->name, "--errors is for new code that is to serve");
  if (cli_get(verb, args, "dry-run") && (cli_get(verb, args, "pin") || cli_get(verb, args, "unpin")))
    return cli_fail(CLI_USAGE, verb->name, "--pin and --unpin change something: not with --dry-run");
  if (cli_get(verb, args, "drain") && cli_get(verb, args, "dry-run")) return cli_fail(CLI_USAGE, verb->name, "--drain and --dry-run: one of them");
  return CLI_OK;
}

static troupe_value_t *make_body(const cli_verb *verb, const cli_args *args, troupe_t *rt, tr_time within, tr_time drain) {
  static const struct { const char *option, *name; } flags[] = {
    { "dry-run", "dry_run" }, { "promote", "promote" }, { "undo", "undo" }, { "again", "again" }, { "pin", "pin" }, { "unpin", "unpin" }, { NULL, NULL }
  };
  const char *to = cli_get(verb, args, "to"), *errors = cli_get(verb, args, "errors");
  troupe_value_t *map = troupe_value_map(rt);
  cli_set(map, rt, "canary", cli_get(verb, args, "canary"));
  if (to) cli_set_number(map, rt, "to", (double)whole(to));
  if (errors) cli_set_number(map, rt, "errors", (double)whole(errors));
  if (within >= 0) cli_set_number(map, rt, "within", (double)within / 1e6);
  if (drain >= 0) cli_set_number(map, rt, "drain", (double)drain / 1e6);
  for (size_t i = 0; flags[i].option; i++)
    if (cli_get(verb, args, flags[i].option)) troupe_value_set(map, flags[i].name, troupe_value_from_json(rt, "true", 4));
  return map;
}

static int run_reload(const cli_verb *verb, cli_args *args) {
  const char *type = cli_get(verb, args, "type");
  cli_operate op;
  tr_time within, drain;
  if (check(verb, args)) return CLI_USAGE;
  if (type) return reload_workers(verb, args, type);
  if (cli_get(verb, args, "skip-foreign")) return cli_fail(CLI_USAGE, verb->name, "--skip-foreign goes with --type");
  if (!cli_seconds(verb, args, "within", -1, &within) || !cli_seconds(verb, args, "drain", -1, &drain)) return CLI_USAGE;
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  rc = cli_take_body(&op, make_body(verb, args, op.rt, within, drain));
  if (!rc) rc = cli_ask_choose(&op);
  op.say = say_reload;
  if (drain > 0 && op.timeout > 0) op.timeout += drain; /* it says itself when its time is up */
  if (!rc) rc = cli_ask_one(&op, "reload");
  troupe_free(op.rt);
  return rc;
}

static const cli_option reload_options[] = {
  CLI_WHICH_OPTIONS,
  { "timeout", 't', "S", "give up after so many seconds (30)", NULL },
  { "dry-run", 'n', NULL, "change nothing: say what would change, or why it would fail", NULL },
  { "type", 0, "TYPE", "ask a host: all its workers that have this agent type reload their own files, or none", NULL },
  { "skip-foreign", 0, NULL, "with --type: leave workers as they are that are not troupe's", NULL },
  { "canary", 0, "KEY|N%", "the new code serves only this key (=KEY, whatever it looks like), or so many of all; again: other keys", NULL },
  { "promote", 0, NULL, "the canary's code serves all keys", NULL },
  { "undo", 0, NULL, "the canary is over: the code before serves all keys", NULL },
  { "to", 0, "CODE", "go back to what ran then (troupe ps shows the numbers; the last 10 are kept)", NULL },
  { "again", 0, NULL, "also files that were taken back, and have not changed since", NULL },
  { "pin", 0, NULL, "keep the code that serves (with --to, --promote or --undo: after that): no other reload, until", NULL },
  { "unpin", 0, NULL, "nothing is pinned any more; what has changed is loaded", NULL },
  { "errors", 0, "N", "go back by itself when more than N turns of the new code fail", NULL },
  { "within", 0, "S", "so many seconds long (60; of a canary: as long as it is one)", NULL },
  { "drain", 0, "S", "wait for turns that run older code, and cut off those still open after so long", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_reload = {
  "reload", "[--pid PID | --host ADDRESS] [--type TYPE] [--dry-run] [--canary KEY|N%] [--to CODE]", "Let a running process reload its files that have changed, all or none; or go back.",
  "  troupe reload --dry-run && troupe reload\n  troupe reload --canary 10% --errors 5\n  troupe reload --promote\n  troupe reload --drain 30\n"
  "  troupe reload --to 3\n  troupe reload --host 127.0.0.1:50051 --type greeter", reload_options, 0, 0, run_reload,
};
