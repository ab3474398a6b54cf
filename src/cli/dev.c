/* SPDX-License-Identifier: MIT
 * troupe dev: runs agents while their files are being written. What is saved is loaded (all of it or nothing, as `--watch` does), errors
 * are shown with their line, messages as they go by, and there is a prompt to send some and to look at states.
 *
 * It differs from `run` in that it stays: a file that cannot be loaded is waited for, a program that has ended does not end it, and runs
 * again when its file has changed. All that it shows comes by the ways that others have, too: the log, the trace of messages
 * (runtime/operator_trace.c), the operator's questions. Where standard input is no terminal, commands are read line by line and nothing is
 * coloured. Next: dev_commands.c. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/dev.h"

#define SHOWN_MOST 300   /* bytes of a body */
#define KEPT_MOST "65536" /* of one that can be sent again */

/* ---- saying ---- */

void cli_dev_say(const cli_dev *dev, const char *format, ...) {
  va_list args;
  cli_prompt_hide();
  if (dev->colours) fputs("\033[33m", stdout);
  va_start(args, format);
  cli_print_shown(stdout, format, args);
  va_end(args);
  puts(dev->colours ? "\033[0m" : "");
  fflush(stdout);
  cli_prompt_show();
}

static void say_traceback(const cli_dev *dev) {
  for (const char *at = dev->traceback; *at;) {
    const char *bar = strstr(at, " | ");
    size_t n = bar ? (size_t)(bar - at) : strlen(at);
    printf("%s      in %.*s%s\n", dev->colours ? "\033[2m" : "", (int)n, at, dev->colours ? "\033[0m" : "");
    at += n + (bar ? 3 : 0);
  }
}

/* Below the line that tells of it. */
static void say_place(cli_dev *dev, const char *error) {
  cli_excerpt(dev->rt, error, stdout, dev->colours);
  say_traceback(dev);
  dev->traceback[0] = 0;
}

void cli_dev_error(cli_dev *dev, const char *text) {
  cli_prompt_hide();
  printf("%serror%s ", dev->colours ? "\033[31m" : "", dev->colours ? "\033[0m" : "");
  cli_put_shown(stdout, text, strlen(text));
  putchar('\n');
  say_place(dev, text);
  fflush(stdout);
  cli_prompt_show();
}

/* ---- the log ---- */

/* The text behind ` KEY="`, up to the quote that ends it: followed by the next key, or by nothing. */
static void value_of(const char *text, const char *key, const char *next, char *out, size_t size) {
  const char *begin = strstr(text, key);
  out[0] = 0;
  if (!begin) return;
  begin += strlen(key);
  const char *end = next ? strstr(begin, next) : NULL;
  if (!end) end = strrchr(begin, '"');
  if (!end) end = begin + strlen(begin);
  snprintf(out, size, "%.*s", (int)(end - begin), begin);
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

static void on_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  cli_dev *dev = ud;
  char error[2048];
  if (strcmp(event, "reload") == 0 || strcmp(event, "reload.failed") == 0) return; /* on_reloaded says it */
  if (level == TROUPE_LOG_ERROR && ends_with(event, ".failed") && strstr(text, " error=\"")) {
    value_of(text, " traceback=\"", NULL, dev->traceback, sizeof dev->traceback);
    if (strcmp(event, "handler.failed") == 0) return; /* the message that it was about comes next */
    value_of(text, " error=\"", "\" traceback=", error, sizeof error);
    cli_dev_error(dev, error);
    return;
  }
  cli_prompt_hide();
  if (level == TROUPE_LOG_PRINT) {
    puts(text);
    fflush(stdout);
  } else {
    cli_log(NULL, level, event, text);
  }
  cli_prompt_show();
}

/* ---- messages ---- */

static bool matches(const cli_dev *dev, const troupe_value_t *line) {
  static const char *const fields[] = { "from", "to", "topic", "type", "reply" };
  char words[sizeof dev->filter];
  if (!*dev->filter) return true;
  memcpy(words, dev->filter, sizeof words);
  char *rest = words;
  for (const char *word; (word = strtok_r(rest, " ,\t\r", &rest));)
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
      if (tr_text_matches(word, tr_slice_of(cli_text(line, fields[i])))) return true;
  return false;
}

static void keep(cli_dev *dev, const troupe_value_t *line) {
  const troupe_value_t *body = troupe_value_get(line, "body");
  size_t length;
  if (strcmp(cli_text(line, "at"), "sent") || !troupe_value_get(line, "outside") || !body) return;
  char *json = troupe_value_to_json(dev->rt, body, &length);
  if (json) cli_recent_keep(dev, cli_text(line, "kind"), cli_text(line, "to"), cli_text(line, "type"), json);
  troupe_free_text(dev->rt, json, length);
}

static void on_seen(void *ud, tr_slice json) {
  cli_dev *dev = ud;
  troupe_value_t *line = troupe_value_from_json(dev->rt, json.p, json.n);
  if (!line) return;
  const char *error = cli_text(line, "error");
  keep(dev, line);
  if (*error && strcmp(cli_text(line, "at"), "answered") == 0 && !*cli_text(line, "to")) dev->told = true;
  if (*error || matches(dev, line)) {
    cli_prompt_hide();
    troupe_value_t *shown = cli_is_plain(json) ? NULL : cli_answer(dev->rt, json);
    cli_say_trace(dev->rt, shown ? shown : line, SHOWN_MOST, dev->colours);
    troupe_value_free(shown);
    if (*error) say_place(dev, error);
    fflush(stdout);
    cli_prompt_show();
  }
  troupe_value_free(line);
}

static void on_unseen(void *ud, int code, tr_slice text) {
  (void)ud;
  (void)code;
  (void)text;
}

/* ---- files ---- */

struct cli_pending { /* a file that could not be loaded, and why, as it was told; "": it could */
  struct cli_pending *next;
  char error[2048], path[];
};

/* False: that is known. */
static bool note_pending(cli_dev *dev, const char *path, const char *error) {
  struct cli_pending *it = dev->pending;
  size_t n = strlen(path) + 1;
  while (it && strcmp(it->path, path)) it = it->next;
  if (it && strncmp(it->error, error, sizeof it->error - 1) == 0) return false;
  if (!it && *error && (it = malloc(sizeof *it + n))) {
    memcpy(it->path, path, n);
    it->next = dev->pending;
    dev->pending = it;
  }
  if (it) snprintf(it->error, sizeof it->error, "%s", error);
  return true;
}

static void free_pending(cli_dev *dev) {
  for (struct cli_pending *it; (it = dev->pending);) {
    dev->pending = it->next;
    free(it);
  }
}

static int load(const char *path, void *ud) {
  cli_dev *dev = ud;
  tr_slice rest[64];
  size_t n = dev->args->rest_count < 64 ? (size_t)dev->args->rest_count : 64;
  for (size_t i = 0; i < n; i++) rest[i] = tr_slice_of(dev->args->rest[i]);
  if (tr_script_is_loaded(tr_runtime_script(dev->rt), path)) return CLI_OK;
  tr_runtime_watch_path(dev->rt, path);
  bool good = tr_runtime_load(dev->rt, path, rest, n) == 0;
  bool new = note_pending(dev, path, good ? "" : troupe_error(dev->rt));
  if (good) cli_dev_say(dev, "loaded %s", path);
  else if (new) cli_dev_error(dev, troupe_error(dev->rt));
  return CLI_OK;
}

/* Something in their folders did: files that could not be loaded, and new ones in a folder that was named. */
static void on_changed(void *ud) {
  cli_dev *dev = ud;
  cli_each_file(dev->verb, dev->args, load, dev);
}

static void send_again(cli_dev *dev) {
  const char *again = cli_get(dev->verb, dev->args, "again");
  long count = again ? strtol(again, NULL, 10) : 0;
  if (count > 0 && dev->recent_count) cli_recent_send(dev, (size_t)count);
}

static void on_reloaded(void *ud, int rc, const char *text) {
  cli_dev *dev = ud;
  if (rc < 0) {
    cli_dev_error(dev, text);
    cli_dev_say(dev, "the old version goes on");
    return;
  }
  cli_dev_say(dev, "reloaded %d file%s", rc, rc == 1 ? "" : "s");
  tr_runtime_run_again(dev->rt, false);
  send_again(dev);
}

static void on_ended(void *ud, int status) {
  const cli_dev *dev = ud;
  if (!dev->ended) cli_dev_say(dev, "the program has ended, status %d (run: once more)", status);
}

/* ---- the prompt ---- */

static void on_line(void *ud, const char *line) {
  if (line) cli_dev_command(ud, line);
  else cli_dev_say(ud, "a line is longer than %d bytes: it is left out", CLI_LINE_MAX);
}
static void on_over(void *ud) { cli_dev_end(ud); }
static bool is_busy(void *ud) { return ((const cli_dev *)ud)->calls > 0; }
static void on_again(void *ud) { cli_recent_send(ud, 1); }
static void on_complete(void *ud, const char *line, size_t word, cli_completions *to) { cli_dev_complete(ud, line, word, to); }

static void on_input(void *ud) {
  cli_dev *dev = ud;
  cli_prompt_ready();
  if (!cli_prompt_at_end() || !dev->input) return;
  tr_runtime_input_close(dev->input);
  dev->input = NULL;
}

void cli_dev_done(cli_dev *dev) {
  dev->calls--;
  if (dev->calls == 0) cli_prompt_go_on();
  if (dev->ended) cli_dev_end(dev);
}

void cli_dev_end(cli_dev *dev) {
  dev->ended = true;
  cli_prompt_stop();
  if (dev->calls == 0) tr_runtime_exit(dev->rt, 0);
}

static void on_stop(void *ud) {
  ((cli_dev *)ud)->ended = true;
  cli_prompt_stop();
}

/* Ctrl-C: the line that is typed, else what the prompt has asked for, else nothing, and once more is the end. */
static bool on_interrupt(void *ud) {
  cli_dev *dev = ud;
  if (!cli_prompt_is_terminal() || dev->ended) return false;
  if (dev->calls == 0 || cli_prompt_typing()) return !cli_prompt_interrupt();
  cli_prompt_anew("^C");
  cli_dev_interrupt(dev);
  return true;
}

static int open_prompt(cli_dev *dev) {
  cli_prompt_options options = { .text = "troupe> ", .history = "dev_history", .breaks = " \t\n", .line = on_line, .over = on_over, .busy = is_busy,
                                 .complete = on_complete, .again = on_again, .ud = dev };
  if (!cli_prompt_open(&options)) return cli_fail(CLI_FAILED, dev->verb->name, "out of memory");
  dev->colours = cli_prompt_is_terminal() && cli_coloured(STDOUT_FILENO);
  if (tr_runtime_input(dev->rt, STDIN_FILENO, on_input, dev, &dev->input)) return cli_fail(CLI_FAILED, dev->verb->name, "%s", troupe_error(dev->rt));
  return CLI_OK;
}

/* ---- all of it ---- */

static int open_doors(cli_dev *dev) {
  const char *listen = cli_get(dev->verb, dev->args, "listen"), *bound, *addresses[CLI_REPEATS_MAX];
  int count = cli_get_all(dev->verb, dev->args, "host", addresses, CLI_REPEATS_MAX);
  if (listen && troupe_listen(dev->rt, listen, &bound)) return cli_fail(CLI_FAILED, dev->verb->name, "%s", troupe_error(dev->rt));
  if (listen) printf("listening %s\n", bound);
  for (int i = 0; i < count; i++)
    if (troupe_connect(dev->rt, addresses[i])) return cli_fail(CLI_USAGE, dev->verb->name, "--host: %s", troupe_error(dev->rt));
  return CLI_OK;
}

static int begin(cli_dev *dev) {
  static const tr_stay stay = { on_ended, on_reloaded, on_changed };
  const char *filter = cli_get(dev->verb, dev->args, "filter");
  tr_time drain;
  if (!cli_seconds(dev->verb, dev->args, "drain", TR_SECONDS(3), &drain)) return CLI_USAGE;
  snprintf(dev->filter, sizeof dev->filter, "%s", !filter || strcmp(filter, "*") == 0 ? "" : strcmp(filter, "off") == 0 ? "-" : filter);
  tr_runtime_set_drain(dev->rt, drain);
  tr_runtime_stay(dev->rt, &stay, dev);
  tr_runtime_on_stop(dev->rt, on_stop, on_interrupt, dev);
  int rc = tr_runtime_signals(dev->rt) ? cli_fail(CLI_FAILED, dev->verb->name, "%s", troupe_error(dev->rt)) : CLI_OK;
  if (rc == CLI_OK) rc = cli_allow_all(dev->rt, dev->verb, dev->args);
  if (rc == CLI_OK) rc = open_prompt(dev);
  if (rc == CLI_OK && tr_runtime_watch(dev->rt)) rc = cli_fail(CLI_FAILED, dev->verb->name, "%s", troupe_error(dev->rt));
  if (rc == CLI_OK && tr_runtime_ask(dev->rt, "trace", "{\"body\":" KEPT_MOST "}", on_seen, on_unseen, dev))
    rc = cli_fail(CLI_FAILED, dev->verb->name, "%s", troupe_error(dev->rt));
  if (rc == CLI_OK) rc = cli_each_file(dev->verb, dev->args, load, dev);
  if (rc == CLI_OK) rc = open_doors(dev);
  if (rc == CLI_OK && cli_prompt_is_terminal()) cli_dev_say(dev, "help lists what can be typed; Ctrl-O sends the last message again, Ctrl-D ends it");
  if (rc == CLI_OK) cli_prompt_begin();
  return rc;
}

static int run_dev(const cli_verb *verb, cli_args *args) {
  cli_dev *dev = calloc(1, sizeof *dev);
  const char *log = cli_get(verb, args, "log");
  if (!dev) return cli_fail(CLI_FAILED, verb->name, "out of memory");
  dev->verb = verb;
  dev->args = args;
  dev->rt = cli_runtime_logged(log ? log : "warn", 1, on_log, dev);
  int rc = dev->rt ? begin(dev) : CLI_USAGE;
  if (rc == CLI_OK) {
    cli_open_socket(dev->rt);
    rc = troupe_run(dev->rt);
    if (rc < 0) rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(dev->rt));
  }
  dev->ended = true;
  tr_runtime_input_close(dev->input);
  if (dev->rt) cli_prompt_close();
  troupe_free(dev->rt);
  cli_recent_free(dev);
  free_pending(dev);
  free(dev);
  return rc;
}

static const cli_option dev_options[] = {
  { "filter", 'f', "PATTERN…", "show only messages of such agents, topics or types (with *); off: none; errors are always shown", NULL },
  { "again", 0, "N", "send the last N messages again after each reload", NULL },
  { "listen", 'l', "ADDRESS", "be a host too: others join here", NULL },
  { "host", 0, "ADDRESS…", "join this host too; may be given several times", NULL },
  CLI_ALLOW_OPTION,
  { "drain", 0, "S", "seconds to finish what is queued when told to stop (3)", NULL },
  { "log", 0, "LEVEL", "error, warn, info or debug (warn)", "TROUPE_LOG" }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_dev_verb = {
  "dev", "FILE|DIR… [-- ARG…]", "Run agents while you write them: reloads what you save, shows messages and errors, has a prompt.",
  "  troupe dev greeter.lua\n  troupe dev agents/ --filter 'greeter/*' -- an-argument\n  echo 'call greeter Greeting {\"name\": \"Anna\"}' | troupe dev greeter.lua",
  dev_options, 1, -1, run_dev,
};
