/* SPDX-License-Identifier: MIT
 * troupe repl: Lua in an agent of a running process, line by line. Each line is a question of its own (runtime/operator_eval.c), so the
 * agent goes on with its messages in between. A line that is the beginning of a statement is gone on with in the next one. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/operate.h"
#include "cli/prompt.h"

typedef struct repl {
  cli_operate op;
  const char *agent;
  char late[700];
  char *code; /* what was typed so far of a statement */
  bool failed, terminal;
  cli_completions *offers;
} repl;

/* ---- asking ---- */

static int ask(repl *self, const char *verb, const char *key, const char *text) {
  troupe_value_t *map = troupe_value_map(self->op.rt);
  cli_set(map, self->op.rt, "agent", self->agent);
  cli_set(map, self->op.rt, key, text);
  if (self->op.timeout > TR_SECONDS(5)) cli_set_number(map, self->op.rt, "timeout", (double)(self->op.timeout - TR_SECONDS(5)) / 1e6);
  int rc = cli_take_body(&self->op, map);
  return rc == CLI_OK ? cli_ask_one(&self->op, verb) : rc;
}

/* An error at its end: the statement may go on. */
static bool unfinished(const char *error) {
  size_t n = strlen(error), end = strlen("near <eof>");
  return n >= end && strcmp(error + n - end, "near <eof>") == 0;
}

static void say_result(cli_operate *op, const troupe_value_t *answer) {
  repl *self = TR_CONTAINER(op, repl, op);
  self->failed = *cli_text(answer, "error");
  if (self->terminal && unfinished(cli_text(answer, "error"))) return;
  free(self->code);
  self->code = NULL;
  if (self->failed && !self->terminal) fprintf(stderr, "troupe: repl: %s\n", cli_text(answer, "error"));
  else cli_say_eval(answer, self->terminal && cli_coloured(STDOUT_FILENO));
}

/* What was typed of a statement. True: there was some. */
static bool on_drop(void *ud) {
  repl *self = ud;
  bool begun = self->code;
  free(self->code);
  self->code = NULL;
  return begun;
}

static void evaluate(repl *self, const char *line) {
  size_t before = self->code ? strlen(self->code) : 0, n = strlen(line);
  char *code = before + n + 2 < CLI_LINE_MAX ? realloc(self->code, before + n + 2) : NULL;
  if (!code) {
    self->failed = true;
    cli_fail(CLI_FAILED, "repl", "the statement is too long");
    on_drop(self);
    return;
  }
  self->code = code;
  if (before) code[before++] = '\n';
  memcpy(code + before, line, n + 1);
  if (ask(self, "eval", "code", code) == CLI_OK) return;
  self->failed = true;
  on_drop(self);
}

static void on_line(void *ud, const char *line) {
  repl *self = ud;
  if (!line) {
    self->failed = true;
    cli_fail(CLI_FAILED, "repl", "a line is longer than %d bytes: it is left out", CLI_LINE_MAX);
    return;
  }
  if (strspn(line, " \t\r") == strlen(line)) on_drop(self); /* an empty one gives a statement up */
  else evaluate(self, line);
}

static void on_over(void *ud) { (void)ud; }

/* ---- completion ---- */

static void say_completions(cli_operate *op, const troupe_value_t *answer) {
  repl *self = TR_CONTAINER(op, repl, op);
  for (size_t i = 0; i < cli_count(answer); i++) cli_offer(self->offers, troupe_value_string(troupe_value_at(answer, i), NULL));
}

static void on_complete(void *ud, const char *line, size_t word, cli_completions *to) {
  repl *self = ud;
  self->offers = to;
  self->op.say = say_completions;
  ask(self, "complete", "text", line + word);
  self->op.say = say_result;
}

/* ---- the verb ---- */

typedef struct only { char id[512]; size_t count; } only;

static bool on_agents(void *ud, tr_slice json) {
  const cli_operate *op = ((void **)ud)[0];
  only *found = ((void **)ud)[1];
  troupe_value_t *answer = troupe_value_from_json(op->rt, json.p, json.n);
  const troupe_value_t *list = answer ? troupe_value_get(answer, "agents") : NULL;
  for (size_t i = 0; i < cli_count(list); i++) {
    bool program = false;
    const troupe_value_t *agent = troupe_value_at(list, i);
    troupe_value_boolean(troupe_value_get(agent, "program"), &program);
    if (program) continue;
    found->count++;
    snprintf(found->id, sizeof found->id, "%s", cli_text(agent, "id"));
  }
  troupe_value_free(answer);
  return true;
}

/* Without a name: the one agent that there is. */
static int find_agent(repl *self, only *found) {
  tr_error error;
  void *both[] = { &self->op, found };
  tr_error_init(&error);
  int rc = tr_operator_ask(self->op.rt, self->op.address, "agents", "{}", TR_SECONDS(30), on_agents, both, &error);
  if (rc) return cli_fail(CLI_FAILED, "repl", "%s: %s", tr_error_name(rc), error.text);
  if (found->count != 1) return cli_fail(CLI_USAGE, "repl", "%zu agents live there: name one (troupe repl AGENT; troupe top shows them)", found->count);
  self->agent = found->id;
  return CLI_OK;
}

static int converse(repl *self) {
  char prompt[560];
  snprintf(prompt, sizeof prompt, "%s> ", self->agent);
  cli_prompt_options options = { .text = prompt, .history = "repl_history", .breaks = " \t\n\"'()[]{},;=+-*/%^#<>~&|", .line = on_line, .over = on_over,
                                 .complete = on_complete, .drop = on_drop, .ud = self };
  if (!cli_prompt_open(&options)) return cli_fail(CLI_FAILED, "repl", "out of memory");
  self->terminal = self->op.stoppable = cli_prompt_is_terminal();
  cli_prompt_run();
  cli_prompt_close();
  return self->terminal || !self->failed ? CLI_OK : CLI_FAILED;
}

static int run_repl(const cli_verb *verb, cli_args *args) {
  repl *self = calloc(1, sizeof *self);
  only found = { .count = 0 };
  if (!self) return cli_fail(CLI_FAILED, verb->name, "out of memory");
  const char *code = cli_get(verb, args, "eval");
  int rc = cli_ask_begin(&self->op, verb, args);
  if (rc == CLI_OK) rc = cli_ask_choose(&self->op);
  self->op.say = say_result;
  if (rc == CLI_OK && args->count) self->agent = args->words[0];
  else if (rc == CLI_OK) rc = find_agent(self, &found);
  if (rc == CLI_OK) snprintf(self->late, sizeof self->late, "the line may go on: troupe break %s ends it (with --waiting, if it waits)", self->agent);
  self->op.late = self->late;
  if (rc == CLI_OK && code) {
    evaluate(self, code);
    rc = self->failed ? CLI_FAILED : CLI_OK;
  } else if (rc == CLI_OK) { /* that it is there is said at once, not at the first line */
    self->op.timeout += TR_SECONDS(5); /* the process says itself when its time is up */
    self->op.say = say_result;
    rc = ask(self, "eval", "code", "");
    if (rc == CLI_OK) rc = converse(self);
  }
  free(self->code);
  troupe_free(self->op.rt);
  free(self);
  return rc;
}

static const cli_option repl_options[] = {
  CLI_WHICH_OPTIONS, { "eval", 'e', "LUA", "evaluate this alone, print what it gives, and end", NULL },
  { "timeout", 't', "S", "let a line wait so long (30)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_repl = {
  "repl", "[AGENT]", "Evaluate Lua in an agent of a running process: self, ctx, and what its file sees; within its limits.",
  "  troupe repl greeter/desk\n  troupe repl greeter/desk -e 'self.count'\n  echo 'self.count = 0' | troupe repl greeter/desk", repl_options, 0, 1, run_repl,
};
