/* SPDX-License-Identifier: MIT
 * The operator's verbs that look at agents of a running process: top, inspect, trace, break. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/operate.h"

static int run(const cli_verb *verb, const cli_args *args, const char *what, tr_time timeout,
               void (*say)(cli_operate *op, const troupe_value_t *answer), int (*fill)(cli_operate *op, troupe_value_t *map)) {
  cli_operate op;
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  troupe_value_t *map = troupe_value_map(op.rt);
  op.say = say;
  op.timeout = timeout;
  rc = fill(&op, map);
  if (rc == CLI_OK) rc = cli_take_body(&op, map);
  else troupe_value_free(map);
  if (rc == CLI_OK) rc = cli_ask_choose(&op);
  if (rc == CLI_OK) rc = cli_ask_one(&op, what);
  troupe_free(op.rt);
  return rc;
}

/* A number above 0 of an option, if it is given. */
static int take_number(cli_operate *op, troupe_value_t *map, const char *option, const char *key) {
  const char *text = cli_get(op->verb, op->args, option);
  char *end = NULL;
  double value = text ? strtod(text, &end) : 0;
  if (!text) return CLI_OK;
  if (end == text || *end || !(value > 0 && value < 1e9)) return cli_fail(CLI_USAGE, op->verb->name, "--%s: \"%s\" is not a number above 0", option, text);
  cli_set_number(map, op->rt, key, value);
  return CLI_OK;
}

/* ---- top ---- */

static struct winsize screen_size(void) {
  struct winsize size = { 0 }, unknown = { 0 };
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? unknown : size;
}

static void say_top(cli_operate *op, const troupe_value_t *answer) {
  bool screen = isatty(STDOUT_FILENO) && !cli_has(op, "once");
  struct winsize size = screen ? screen_size() : (struct winsize){ 0 };
  if (screen) fputs("\033[H\033[J", stdout);
  cli_say_top(answer, size.ws_row > 3 ? size.ws_row - 3 : 0, size.ws_col);
  if (!screen && !cli_has(op, "once")) putchar('\n');
}

static int fill_top(cli_operate *op, troupe_value_t *map) {
  cli_set(map, op->rt, "sort", cli_get(op->verb, op->args, "sort"));
  if (cli_has(op, "once")) cli_set_number(map, op->rt, "count", 1);
  int rc = take_number(op, map, "interval", "interval");
  if (rc == CLI_OK) rc = take_number(op, map, "limit", "limit");
  return rc == CLI_OK ? take_number(op, map, "count", "count") : rc;
}

static int run_top(const cli_verb *verb, cli_args *args) { return run(verb, args, "top", 0, say_top, fill_top); }

/* ---- inspect, break ---- */

static int fill_agent(cli_operate *op, troupe_value_t *map) {
  cli_set(map, op->rt, "agent", op->args->words[0]);
  if (cli_has(op, "waiting")) troupe_value_set(map, "waiting", troupe_value_from_json(op->rt, "true", 4));
  return take_number(op, map, "window", "window");
}

static void say_inspect(cli_operate *op, const troupe_value_t *answer) { cli_say_inspect(op->rt, answer); }

static int run_inspect(const cli_verb *verb, cli_args *args) { return run(verb, args, "inspect", TR_SECONDS(90), say_inspect, fill_agent); }

static void say_break(cli_operate *op, const troupe_value_t *answer) {
  (void)op;
  fputs(cli_text(answer, "traceback"), stdout);
}

static int run_break(const cli_verb *verb, cli_args *args) { return run(verb, args, "break", TR_SECONDS(30), say_break, fill_agent); }

/* ---- trace ---- */

static void say_trace(cli_operate *op, const troupe_value_t *line) { cli_say_trace(op->rt, line, 0, cli_coloured(STDOUT_FILENO)); }

static int fill_trace(cli_operate *op, troupe_value_t *map) {
  const char *body = cli_get(op->verb, op->args, "body");
  char *end = NULL;
  if (op->args->count) cli_set_list(map, op->rt, "only", op->args->words[0]);
  cli_set_list(map, op->rt, "types", cli_get(op->verb, op->args, "type"));
  long most = body ? strtol(body, &end, 10) : 0;
  if (body && (*end || end == body || most < 0)) return cli_fail(CLI_USAGE, op->verb->name, "--body: \"%s\" is not a number of bytes", body);
  if (body) cli_set_number(map, op->rt, "body", (double)most);
  int rc = take_number(op, map, "count", "count");
  const char *count = cli_get(op->verb, op->args, "count");
  if (rc == CLI_OK && count) op->enough = (int)strtod(count, NULL); /* the process says only a little later that it was the last */
  return rc;
}

static int run_trace(const cli_verb *verb, cli_args *args) {
  tr_time timeout;
  if (!cli_seconds(verb, args, "timeout", 0, &timeout)) return CLI_USAGE;
  return run(verb, args, "trace", timeout, say_trace, fill_trace);
}

/* ---- the verbs ---- */

static const cli_option top_options[] = {
  CLI_WHICH_OPTIONS,
  { "once", '1', NULL, "measure one interval, print it, and end (for scripts)", NULL },
  { "interval", 'i', "S", "seconds between two looks (1)", NULL },
  { "count", 'n', "N", "end after N of them", NULL },
  { "sort", 's', "KEY", "cpu, turns, queued, memory or failures (cpu)", NULL },
  { "limit", 0, "N", "show so many agents, at most 1000 (20)", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option inspect_options[] = {
  CLI_WHICH_OPTIONS, { "window", 0, "S", "measure its running time for so long (0.2)", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option break_options[] = {
  CLI_WHICH_OPTIONS, { "waiting", 'w', NULL, "where no turn computes, end those that wait", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option trace_options[] = {
  CLI_WHICH_OPTIONS, { "type", 0, "TYPE,…", "only messages of these types, or patterns of them with *", NULL },
  { "body", 0, "BYTES", "show so much of each body; 0: none (1000)", NULL },
  { "count", 'n', "N", "end after N messages", NULL },
  { "timeout", 't', "S", "end after so many seconds, as an error; 0: never (0)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_top = {
  "top", "[--pid PID]", "Show which agents of a running process are busy: turns, processor time, mailboxes, memory, failures.",
  "  troupe top\n  troupe top --once --sort queued --json", top_options, 0, 0, run_top,
};
const cli_verb cli_inspect = {
  "inspect", "AGENT", "Look at one agent: mailbox, turns and where they are, timers, subscriptions, failures, state.",
  "  troupe inspect greeter/desk\n  troupe inspect greeter/desk --json", inspect_options, 1, 1, run_inspect,
};
const cli_verb cli_break = {
  "break", "AGENT", "End the turn in which an agent computes, an endless loop for one, and print where it was.",
  "  troupe break counter/a\n  troupe break counter/a --waiting", break_options, 1, 1, run_break,
};
const cli_verb cli_trace = {
  "trace", "[AGENT,…]", "Print messages as they go by: all, or those of some agents (ids, types, patterns with *).",
  "  troupe trace greeter/desk\n  troupe trace 'game/*' --type Move,Turn --json | head", trace_options, 0, 1, run_trace,
};
