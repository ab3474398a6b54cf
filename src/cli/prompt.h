/* SPDX-License-Identifier: MIT
 * Lines that somebody types (with editing, history and completion), or that come from a file or a pipe. */
#ifndef TR_CLI_PROMPT_H
#define TR_CLI_PROMPT_H

#include "cli/cli.h"

#define CLI_LINE_MAX 65536

typedef struct cli_completions cli_completions;
/* One way to go on: what the word may become. What does not begin as the word does is passed over. */
void cli_offer(cli_completions *to, const char *word);
void cli_offers_whole(cli_completions *to); /* they are whole words: a blank follows, but after those that end with a slash */

typedef struct cli_prompt_options {
  const char *text;    /* "troupe> " */
  const char *history; /* name of the file of history; NULL: none is kept */
  const char *breaks;  /* characters between words; NULL: blanks */
  void (*line)(void *ud, const char *line); /* NULL: one was longer than CLI_LINE_MAX, and is left out */
  void (*over)(void *ud); /* the end of input */
  bool (*busy)(void *ud); /* NULL: never. Where nobody types, lines wait while it is true: then call cli_prompt_go_on */
  /* The line up to the cursor, and where its last word begins. */
  void (*complete)(void *ud, const char *line, size_t word, cli_completions *to);
  void (*again)(void *ud); /* the keystroke Ctrl-O; NULL: none */
  bool (*drop)(void *ud);  /* Ctrl-C: what was begun in the lines before is given up; false: there was none; NULL: never */
  void *ud;
} cli_prompt_options;

/* There is one at a time, as the line editor knows only one. False: out of memory. */
bool cli_prompt_open(const cli_prompt_options *options);
void cli_prompt_begin(void);       /* it is shown */
bool cli_prompt_is_terminal(void); /* somebody types, and sees what is printed */
void cli_prompt_ready(void);       /* there is something to read on standard input: read some of it */
void cli_prompt_go_on(void);       /* take lines that wait, without reading */
void cli_prompt_run(void);         /* read lines until the end of input. SIGINT is blocked in between */
/* Ctrl-C at a terminal, as prompts take it: the line that is typed is dropped. With nothing typed it is asked for once more, or for Ctrl-D;
 * true: that was once more. */
bool cli_prompt_interrupt(void);
bool cli_prompt_typing(void); /* something is typed */
void cli_prompt_anew(const char *text); /* below what is typed, which is dropped, this line and another prompt */
bool cli_prompt_at_end(void);      /* nothing is to be read any more */
void cli_prompt_stop(void);        /* from inside ->line: no more lines */
/* Around whatever is printed while somebody may be typing: the line is put away, and comes back. They nest. */
void cli_prompt_hide(void);
void cli_prompt_show(void);
void cli_prompt_close(void);

#endif
