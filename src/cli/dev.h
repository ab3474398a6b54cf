/* SPDX-License-Identifier: MIT
 * troupe dev, between its files: dev.c runs it and shows what happens, dev_commands.c is what can be typed, dev_recent.c the messages that
 * can be sent again, excerpt.c the lines that errors are about. */
#ifndef TR_CLI_DEV_H
#define TR_CLI_DEV_H

#include "cli/operate.h"
#include "cli/prompt.h"

#define CLI_RECENT_MOST 20

typedef struct cli_recent { /* a message from outside of the agents */
  char *kind, *to, *type, *body; /* "request", "send", "event"; an id, or a topic; JSON */
} cli_recent;

typedef struct cli_dev {
  const cli_verb *verb;
  const cli_args *args;
  troupe_t *rt;
  tr_input *input;
  bool colours, ended;
  bool told;           /* why the call of the prompt failed */
  char filter[512];    /* patterns, separated by blanks: of agents, topics and message types. "": all messages are shown; "-": none */
  char traceback[2048]; /* of the failure that is about to be shown */
  struct cli_pending *pending; /* files that could not be loaded, as told */
  unsigned calls;      /* of the prompt that are open */
  cli_recent recent[CLI_RECENT_MOST];
  size_t recent_count; /* the last one is the newest */
  struct cli_asked *asked; /* questions of the prompt that are open */
  cli_completions *offers;
  const char *offer_kind, *offer_of;
} cli_dev;

/* dev.c: a line of our own, between those of the scripts. Around them the prompt is put away. */
void cli_dev_say(const cli_dev *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_dev_error(cli_dev *dev, const char *text); /* with the line that it is about */
void cli_dev_end(cli_dev *dev);  /* when what was asked for is answered */
void cli_dev_done(cli_dev *dev); /* one of dev->calls is */
/* dev_commands.c */
void cli_dev_command(cli_dev *dev, const char *line);
void cli_dev_interrupt(cli_dev *dev); /* what the prompt has asked for ends */
void cli_dev_complete(cli_dev *dev, const char *line, size_t word, cli_completions *to);
/* dev_recent.c. keep copies. */
void cli_recent_keep(cli_dev *dev, const char *kind, const char *to, const char *type, const char *body);
void cli_recent_list(const cli_dev *dev);
void cli_recent_send(cli_dev *dev, size_t count); /* the last so many, in their order */
void cli_recent_free(cli_dev *dev);
int cli_dev_send(cli_dev *dev, const cli_recent *message); /* CLI_OK, or told */

/* excerpt.c: false: the error names no line that could be read. */
bool cli_excerpt(troupe_t *rt, const char *error, FILE *out, bool colours);

#endif
