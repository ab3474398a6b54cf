/* SPDX-License-Identifier: MIT
 * Asking running processes by their operator's sockets: what operate.c and the other verbs of that kind share. */
#ifndef TR_CLI_OPERATE_H
#define TR_CLI_OPERATE_H

#include "cli/cli.h"

#define CLI_BODY_MAX 16384

typedef struct cli_operate {
  const cli_verb *verb;
  const cli_args *args;
  troupe_t *rt;       /* for values */
  char address[CLI_SOCKET_MAX + 40];
  char body[CLI_BODY_MAX];
  tr_time timeout;
  void (*say)(struct cli_operate *op, const troupe_value_t *answer);
  int answers;
} cli_operate;
typedef void (*cli_operate_say)(cli_operate *op, const troupe_value_t *answer);

/* Ask the one that is meant, or that runs alone; body NULL: {}. Its answer is said, or printed as it is (--json). A status. */
int cli_operate_one(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, const char *body);
/* The same of every one that runs, where none is named; *asked: of so many. */
int cli_operate_all(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, int *asked);
/* Of an answer; "" and 0 where it is not there. */
const char *cli_text(const troupe_value_t *map, const char *key);
int64_t cli_number(const troupe_value_t *map, const char *key);

#define CLI_WHICH_OPTIONS                                                                                        \
  { "pid", 'p', "PID", "the process, where several run (see troupe ps)", NULL },                            \
  { "host", 0, "unix:PATH", "its operator's socket, where it is not in the usual place", NULL },            \
  { "json", 0, NULL, "print what the process answers as it is", NULL }

#endif
