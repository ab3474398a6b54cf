/* SPDX-License-Identifier: MIT
 * See prompt.h. The line editor is libedit, by the interface that it shares with readline: its licence is a permissive one (BSD), while
 * readline's is the GPL, which would make the whole program GPL; linenoise is permissive too, but Debian 12 does not have it.
 *
 * Where standard input is no terminal, or one that is dumb, lines are taken as they come, without prompt, echo or history: a script of commands works. The
 * editor's interface has no place for data of ours, and there is one terminal: so this file has the program's one static variable. */
#include "cli/prompt.h"

#include <editline/readline.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_MOST 1000
#define OFFERS_MOST 500

struct cli_completions { const char *word; size_t length, count, at; bool whole; char *words[OFFERS_MOST]; };

static struct prompt {
  cli_prompt_options o;
  bool terminal, stopped, installed;
  bool warned; /* Ctrl-C was typed last, and it was said that once more ends it */
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

/* At once: there may be several of us, and any may be killed. As the editor's read_history has it; its append_history writes lines twice. */
static void keep_line(const char *line) {
  FILE *file = fopen(self.history, "a");
  if (!file) return;
  struct stat about;
  fchmod(fileno(file), 0600);
  if (fstat(fileno(file), &about) == 0 && about.st_size == 0) fputs("_HiStOrY_V2_\n", file);
  for (; *line; line++)
    if ((unsigned char)*line <= ' ' || *line == '\\' || *line == 0x7F) fprintf(file, "\\%03o", (unsigned)*line);
    else fputc(*line, file);
  fputc('\n', file);
  fclose(file);
}

static void remember(const char *line) {
  if (!*line || !self.terminal) return;
  const HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
  if (last && last->line && strcmp(last->line, line) == 0) return;
  add_history(line);
  if (self.history[0]) keep_line(line);
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

/* The editor drops what is no character of the locale; what we write is UTF-8 in any case. */
static void take_utf8(void) {
  if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX < 4) setlocale(LC_CTYPE, "C.UTF-8");
}

static void open_terminal(void) {
  take_utf8();
  rl_readline_name = "troupe";
  rl_initialize();
  rl_attempted_completion_function = complete;
  rl_basic_word_break_characters = self.o.breaks ? self.o.breaks : " \t\n";
  if (self.o.again) rl_add_defun("troupe-again", on_again, CTRL('O'));
  using_history();
  stifle_history(HISTORY_MOST);
  find_history(self.o.history);
  if (!self.history[0]) return;
  history_truncate_file(self.history, HISTORY_MOST);
  read_history(self.history);
}

/* How many rows the cursor is below the prompt: a long line is in several. */
static int row_of_cursor(void) {
  int rows, columns, row = 0, at = 0;
  size_t n = rl_point > 0 ? (size_t)rl_point : 0, length;
  rl_get_screen_size(&rows, &columns);
  if (columns < 2) return 0;
  const char *const texts[] = { self.o.text, rl_line_buffer };
  const size_t lengths[] = { strlen(self.o.text), strnlen(rl_line_buffer, n) };
  for (int i = 0; i < 2; i++)
    for (size_t done = 0; done < lengths[i]; done += length) {
      int width = cli_width(texts[i] + done, lengths[i] - done, &length);
      if (at + width > columns) row++, at = 0;
      at += width;
    }
  return at == columns ? row + 1 : row;
}

void cli_prompt_hide(void) {
  if (!self.terminal || !self.installed || self.hidden++) return;
  int row = row_of_cursor();
  if (row) printf("\033[%dA", row);
  fputs("\r\033[J", stdout);
}

void cli_prompt_show(void) {
  if (!self.terminal || !self.installed || --self.hidden > 0) return;
  fflush(stdout);
  if (!self.stopped) rl_forced_update_display();
}

/* ---- Ctrl-C ---- */

bool cli_prompt_typing(void) { return self.terminal && self.installed && rl_end > 0; }

/* The editor forgets the line when it is told anew that there is one. So it must be after any SIGINT: it has left the terminal alone. */
void cli_prompt_anew(const char *text) {
  bool again = self.installed;
  if (again) rl_callback_handler_remove();
  puts(text);
  fflush(stdout);
  if (!again || self.stopped) return;
  install();
  rl_point = rl_end = 0; /* it says so only after the next key */
}

bool cli_prompt_interrupt(void) {
  bool typed = cli_prompt_typing(), dropped = self.o.drop && self.o.drop(self.o.ud);
  if (!self.terminal || (!typed && !dropped && self.warned)) return true;
  self.warned = !typed && !dropped;
  cli_prompt_anew(self.warned ? "^C\n(Ctrl-C once more, or Ctrl-D, ends it)" : "^C");
  return false;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

/* Until something is typed. False: it was Ctrl-C. */
static bool wait_for_key(void) {
  struct sigaction action = { .sa_handler = on_signal };
  sigset_t open;
  fd_set fds;
  sigaction(SIGINT, &action, NULL); /* whoever waited on a loop of its own has had it meanwhile */
  sigprocmask(SIG_SETMASK, NULL, &open);
  sigdelset(&open, SIGINT);
  do {
    FD_ZERO(&fds);
    FD_SET(STDIN_FILENO, &fds);
  } while (!interrupted && pselect(STDIN_FILENO + 1, &fds, NULL, NULL, NULL, &open) < 0 && errno == EINTR);
  bool key = !interrupted;
  interrupted = 0;
  return key;
}

static void run_terminal(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigprocmask(SIG_BLOCK, &set, NULL);
  while (!self.stopped)
    if (wait_for_key()) cli_prompt_ready();
    else if (cli_prompt_interrupt()) self.stopped = true;
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

/* It cannot take back what is on it, so nothing is edited there. */
static bool is_dumb(void) {
  const char *term = getenv("TERM");
  return !term || !*term || strcmp(term, "dumb") == 0;
}

bool cli_prompt_open(const cli_prompt_options *options) {
  self = (struct prompt){ .o = *options, .terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !is_dumb() };
  if (!self.terminal) return (self.text = malloc(CLI_LINE_MAX)) != NULL;
  open_terminal();
  return true;
}

/* The terminal: its window was closed. To the editor that is no end. */
static bool is_gone(void) {
  struct pollfd fd = { .fd = STDIN_FILENO, .events = POLLIN };
  return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLHUP | POLLERR | POLLNVAL));
}

void cli_prompt_ready(void) {
  if (self.stopped) return;
  self.warned = false;
  if (self.terminal && is_gone()) {
    self.stopped = true;
    self.o.over(self.o.ud);
  } else if (self.terminal) {
    rl_callback_read_char();
  } else {
    read_lines();
  }
}

void cli_prompt_begin(void) {
  if (self.terminal && !self.stopped) install();
}

void cli_prompt_run(void) {
  cli_prompt_begin();
  if (self.terminal) run_terminal();
  while (!self.stopped) cli_prompt_ready();
}

void cli_prompt_stop(void) { self.stopped = true; }

void cli_prompt_close(void) {
  if (self.installed) rl_callback_handler_remove();
  self.installed = false;
  self.stopped = true;
  free(self.text);
  self.text = NULL;
}
