/* SPDX-License-Identifier: MIT
 * What the operator's verbs share: which process is meant, asking it, and reading what it says. */
#ifndef TR_CLI_OPERATE_H
#define TR_CLI_OPERATE_H

#include "cli/cli.h"

#define CLI_BODY_MAX 140000

typedef struct cli_operate {
  const cli_verb *verb;
  const cli_args *args;
  troupe_t *rt;       /* for values */
  char address[320];
  char body[CLI_BODY_MAX];
  tr_time timeout;
  void (*say)(struct cli_operate *op, const troupe_value_t *answer);
  bool stoppable;     /* tr_operator_ask_or_stop */
  bool judges;        /* say is called with --json, too, and prints nothing then: the status is made of what is in the answer */
  const char *late;   /* what to do when no answer comes in time; NULL: nothing is to be said of it */
  int answers, enough; /* it ends after so many; 0: when the process ends it */
} cli_operate;
typedef void (*cli_operate_say)(cli_operate *op, const troupe_value_t *answer);

#define CLI_NOBODY "no troupe of this user is running (troupe host, worker or run starts one)"

/* Ask the one that is meant, or that runs alone; body NULL: {}. Its answer is said, or printed as it is (--json). A status. */
int cli_operate_one(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, const char *body);
/* The same of every one that runs, where none is named; *asked: of so many. */
int cli_operate_all(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, int *asked);
#define CLI_WHICH_OPTIONS                                                                                    \
  { "pid", 'p', "PID", "the process, where several run (see troupe ps)", NULL },                            \
  { "host", 0, "ADDRESS", "the host at this address, whose rights must grant it; unix:PATH: an operator's socket, too", NULL }, \
  CLI_TLS_OPTIONS,                                                                                            \
  { "json", 0, NULL, "print what the process answers as it is", NULL }

/* operate.c. 0, or an exit status, told. begin: op->rt is the caller's to free. */
int cli_ask_begin(cli_operate *op, const cli_verb *verb, const cli_args *args);
int cli_ask_choose(cli_operate *op); /* op->address, of the one that is meant */
int cli_ask_one(cli_operate *op, const char *what); /* op->say for each answer */
void cli_say(cli_operate *op, tr_slice json); /* one answer, in words or (--json) as it is */
static inline bool cli_has(const cli_operate *op, const char *option) { return cli_get(op->verb, op->args, option) != NULL; }

/* shown.c: answers for people's eyes: what a terminal would obey (control characters in names, types, errors; anybody may have sent them)
 * is shown as \x1b, but in members that are written as JSON again. is_plain: it is the same as what troupe_value_from_json makes. */
bool cli_is_plain(tr_slice json);
troupe_value_t *cli_answer(troupe_t *rt, tr_slice json);

/* values.c: members of answers */
const char *cli_text(const troupe_value_t *map, const char *key);   /* "": none */
int64_t cli_number(const troupe_value_t *map, const char *key);     /* 0: none */
double cli_real(const troupe_value_t *map, const char *key);
void cli_print_json(cli_operate *op, const troupe_value_t *value);
void cli_put_json(troupe_t *rt, const troupe_value_t *value);
size_t cli_count(const troupe_value_t *list); /* 0: NULL, or no list */
void cli_set(troupe_value_t *map, troupe_t *rt, const char *key, const char *text); /* NULL: not set */
void cli_set_number(troupe_value_t *map, troupe_t *rt, const char *key, double number);
void cli_set_list(troupe_value_t *map, troupe_t *rt, const char *key, const char *words); /* "a,b" as a list; NULL: not set */
int cli_take_body(cli_operate *op, troupe_value_t *map); /* own: takes map. An exit status, told */

/* saying.c: answers in words, on standard output */
void cli_say_inspect(troupe_t *rt, const troupe_value_t *answer);
void cli_say_agent_state(troupe_t *rt, const troupe_value_t *answer); /* of an inspection: a line */
void cli_say_top(const troupe_value_t *answer, int rows_most, int columns); /* of a screen; 0: all of it */
/* One message that went by, in a line, with `most` bytes of its body (0: all). */
void cli_say_trace(troupe_t *rt, const troupe_value_t *line, size_t most, bool colours);
void cli_say_eval(const troupe_value_t *answer, bool colours);

#endif
