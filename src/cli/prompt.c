/* SPDX-License-Identifier: MIT
 * See prompt.h. The line editor is libedit, by the interface that it shares with readline: its licence is a permissive one (BSD), while
 * readline's is the GPL, which would make the whole program GPL; linenoise is permissive too, but Debian 12 does not have it.
 *
 * Where standard input is no terminal, lines are taken as they come, without prompt, echo or history: a script of commands works. The
 * editor's interface has no place for data of ours, and there is one terminal: so this file has the program's one static variable. */
#include "cli/prompt.h"

#include <editline/readline.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_MOST 1000
#define OFFERS_MOST 500

struct cli_completions { const char *word; size_t length, count, at; bool whole; char *words[OFFERS_MOST]; };

static struct prompt {
  cli_prompt_options o;
  bool terminal, stopped, installed;
  int hidden;
  char history[4096];
  char *text; /* not a terminal: what has come of a line */
  size_t length;
  bool taking, at_end, skipping; /* the rest of a line that is too long */
  cli_completions offers;
} self;

bool cli_prompt_is_terminal(void) { return self.terminal; }

/* ---- completion ---- */

void cli_offer(cli_completions *to, const char *word) {
  if (to->count == OFFERS_MOST || strncmp(word, to->word, to->length)) return;
  for (size_t i = 0; i < to->count; i++)
    if (strcmp(to->words[i], word) == 0) return;
  to->words[to->count] = strdup(word);
  if (to->words[to->count]) to->count++;
}

void cli_offers_whole(cli_completions *to) { to->whole = true; }

/* The editor asks for one after the other, each to be its own to free. */
static char *next_offer(const char *word, int state) {
  (void)word;
  if (!state) self.offers.at = 0;
  return self.offers.at < self.offers.count ? strdup(self.offers.words[self.offers.at++]) : NULL;
}

static char **complete(const char *word, int start, int end) {
  char **found;
  rl_attempted_completion_over = 1; /* no names of files */
  rl_completion_append_character = 0;
  if (!self.o.complete || end > CLI_LINE_MAX) return NULL;
  char *line = strndup(rl_line_buffer, (size_t)end);
  if (!line) return NULL;
  self.offers = (cli_completions){ .word = word, .length = strlen(word) };
  self.o.complete(self.o.ud, line, (size_t)start, &self.offers);
  const char *first = self.offers.count ? self.offers.words[0] : "", *last = first + strlen(first);
  if (self.offers.whole && last > first && last[-1] != '/') rl_completion_append_character = ' '; /* where it is the only one */
  found = self.offers.count ? rl_completion_matches(word, next_offer) : NULL;
  for (size_t i = 0; i < self.offers.count; i++) free(self.offers.words[i]);
  self.offers.count = 0;
  free(line);
  return found;
}

static int on_again(int count, int key) {
  (void)count;
  (void)key;
  if (self.o.again) self.o.again(self.o.ud);
  return 0;
}

/* ---- history ---- */

/* $XDG_STATE_HOME/troupe/NAME, or below ~/.local/state. */
static void find_history(const char *name) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  int n = 0;
  self.history[0] = 0;
  if (!name) return;
  if (state && *state == '/') n = snprintf(self.history, sizeof self.history, "%s/troupe/%s", state, name);
  else if (home && *home == '/') n = snprintf(self.history, sizeof self.history, "%s/.local/state/troupe/%s", home, name);
  if (n <= 0 || (size_t)n >= sizeof self.history) {
    self.history[0] = 0;
    return;
  }
  for (char *at = self.history + 1; (at = strchr(at, '/')); at++) {
    *at = 0;
    mkdir(self.history, 0700);
    *at = '/';
  }
}

static void remember(const char *line) {
  if (!*line || !self.terminal) return;
  const HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
  if (last && last->line && strcmp(last->line, line) == 0) return;
  add_history(line);
}

/* ---- a terminal ---- */

static void on_line(char *line);

/* libedit leaves a terminal alone when a line is done, until it is told so again: then it shows the prompt, and an empty line. */
static void install(void) {
  self.installed = true;
  rl_callback_handler_install(self.o.text, on_line);
}

static void on_line(char *line) {
  if (!line) {
    if (self.stopped) return;
    self.stopped = true;
    putchar('\n');
    self.o.over(self.o.ud);
    return;
  }
  remember(line);
  self.hidden++; /* what is printed now stands below the line that was typed */
  self.o.line(self.o.ud, line);
  self.hidden--;
  free(line);
  fflush(stdout);
  if (!self.stopped) install();
}

static void open_terminal(void) {
  rl_readline_name = "troupe";
  rl_initialize();
  rl_attempted_completion_function = complete;
  rl_basic_word_break_characters = self.o.breaks ? self.o.breaks : " \t\n";
  if (self.o.again) rl_add_defun("troupe-again", on_again, CTRL('O'));
  using_history();
  stifle_history(HISTORY_MOST);
  find_history(self.o.history);
  if (self.history[0]) read_history(self.history);
}

void cli_prompt_hide(void) {
  if (self.terminal && self.installed && self.hidden++ == 0) fputs("\r\033[J", stdout);
}

void cli_prompt_show(void) {
  if (!self.terminal || !self.installed || --self.hidden > 0) return;
  fflush(stdout);
  if (!self.stopped) rl_forced_update_display();
}

/* ---- no terminal ---- */

static bool is_busy(void) { return self.o.busy && self.o.busy(self.o.ud); }

static void take_line(char *end) {
  size_t n = (size_t)(end - self.text);
  char *line = strndup(self.text, n);
  if (n < self.length) n++; /* its newline */
  self.length -= n;
  memmove(self.text, self.text + n, self.length);
  bool left_out = self.skipping;
  self.skipping = false;
  if (line && !left_out) self.o.line(self.o.ud, line);
  free(line);
}

void cli_prompt_go_on(void) {
  if (self.taking || self.terminal || !self.text) return;
  self.taking = true; /* a line may come to its end at once, and call this */
  for (char *end; !self.stopped && !is_busy() && (end = memchr(self.text, '\n', self.length));) take_line(end);
  if (self.at_end && !self.stopped && !is_busy() && self.length) take_line(self.text + self.length);
  if (self.at_end && !self.stopped && !is_busy()) {
    self.stopped = true;
    self.o.over(self.o.ud);
  }
  self.taking = false;
}

static void read_lines(void) {
  if (self.length == CLI_LINE_MAX - 1) { /* lines wait, or it is one that nobody types */
    if (memchr(self.text, '\n', self.length)) return;
    self.length = 0;
    if (!self.skipping) self.o.line(self.o.ud, NULL);
    self.skipping = true; /* what comes of it is no line of its own */
  }
  ssize_t n = self.at_end ? 0 : read(STDIN_FILENO, self.text + self.length, CLI_LINE_MAX - 1 - self.length);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) self.length += (size_t)n;
  else self.at_end = true;
  cli_prompt_go_on();
}

bool cli_prompt_at_end(void) { return self.at_end || self.stopped; }

/* ---- both ---- */

bool cli_prompt_open(const cli_prompt_options *options) {
  self = (struct prompt){ .o = *options, .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };
  if (!self.terminal) return (self.text = malloc(CLI_LINE_MAX)) != NULL;
  open_terminal();
  return true;
}

void cli_prompt_ready(void) {
  if (self.stopped) return;
  if (self.terminal) rl_callback_read_char();
  else read_lines();
}

void cli_prompt_begin(void) {
  if (self.terminal && !self.stopped) install();
}

void cli_prompt_run(void) {
  cli_prompt_begin();
  while (!self.stopped) cli_prompt_ready();
}

void cli_prompt_stop(void) { self.stopped = true; }

void cli_prompt_close(void) {
  if (self.installed) rl_callback_handler_remove();
  if (self.terminal && self.history[0]) write_history(self.history);
  self.installed = false;
  self.stopped = true;
  free(self.text);
  self.text = NULL;
}
