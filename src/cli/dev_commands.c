/* SPDX-License-Identifier: MIT
 * What can be typed at the prompt of `troupe dev`. To add a command: a function, and a row in `commands`.
 *
 * Most are questions that an operator may ask of any process (runtime/operator_*.c), asked of this one; the messages go by troupe.h. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/dev.h"

typedef struct words { char *word[3]; int count; const char *rest[3]; } words; /* rest[i]: from word i on, as it was typed */

typedef struct command {
  const char *name, *usage, *help;
  int least;
  void (*run)(cli_dev *dev, const words *w);
} command;
static const command commands[];

/* ---- messages ---- */

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  cli_dev *dev = ud;
  (void)type;
  cli_prompt_hide();
  if (status && !dev->told) {
    printf("%s%s: ", dev->colours ? "\033[31m" : "", troupe_error_name(status));
    cli_put_shown(stdout, text, strlen(text));
    puts(dev->colours ? "\033[0m" : "");
  } else if (!status) {
    fputs("= ", stdout);
    cli_put_json(dev->rt, body);
    putchar('\n');
  }
  fflush(stdout);
  cli_prompt_show();
  dev->told = false;
  cli_dev_done(dev);
}

int cli_dev_send(cli_dev *dev, const cli_recent *m) {
  troupe_value_t *body = troupe_value_from_json(dev->rt, m->body, strlen(m->body));
  int rc = 0;
  if (!body) {
    cli_dev_say(dev, "the body is not JSON: %s", troupe_error(dev->rt));
    return CLI_USAGE;
  }
  if (*m->kind == 'r') {
    dev->calls++;
    rc = troupe_call(dev->rt, m->to, m->type, body, TR_SECONDS(30), on_reply, dev);
    if (rc) dev->calls--;
  } else {
    rc = *m->kind == 's' ? troupe_send(dev->rt, m->to, m->type, body) : troupe_publish(dev->rt, m->to, m->type, body);
  }
  if (!rc) return CLI_OK;
  cli_dev_say(dev, "%s: %s", troupe_error_name(rc), troupe_error(dev->rt));
  return CLI_FAILED;
}

static void message(cli_dev *dev, const words *w, const char *kind) {
  char request[] = "request", send[] = "send", event[] = "event", empty[] = "{}";
  char *kinds = *kind == 'r' ? request : *kind == 's' ? send : event;
  const char *text = w->count > 2 ? w->rest[2] : empty;
  cli_recent m = { kinds, w->word[0], w->word[1], strdup(text) };
  if (m.body && cli_dev_send(dev, &m) == CLI_OK) cli_recent_keep(dev, kind, m.to, m.type, m.body);
  free(m.body);
}

static void run_call(cli_dev *dev, const words *w) { message(dev, w, "request"); }
static void run_send(cli_dev *dev, const words *w) { message(dev, w, "send"); }
static void run_publish(cli_dev *dev, const words *w) { message(dev, w, "event"); }

static void run_replay(cli_dev *dev, const words *w) {
  long count = w->count ? strtol(w->word[0], NULL, 10) : 1;
  if (count < 1) cli_dev_say(dev, "replay: how many of the last messages? (messages lists them)");
  else cli_recent_send(dev, (size_t)count);
}

static void run_messages(cli_dev *dev, const words *w) {
  (void)w;
  cli_recent_list(dev);
}

/* ---- questions ---- */

typedef struct cli_asked {
  cli_dev *dev;
  void (*say)(cli_dev *dev, const troupe_value_t *answer);
  struct cli_asked *next;
} cli_asked;

static void on_answer(void *ud, tr_slice json) {
  cli_asked *a = ud;
  troupe_value_t *answer = cli_answer(a->dev->rt, json);
  cli_prompt_hide();
  if (answer) a->say(a->dev, answer);
  fflush(stdout);
  cli_prompt_show();
  troupe_value_free(answer);
}

static void forget(cli_asked *a) {
  cli_asked **at = &a->dev->asked;
  while (*at != a) at = &(*at)->next;
  *at = a->next;
  free(a);
}

static void on_over(void *ud, int code, tr_slice text) {
  cli_asked *a = ud;
  cli_dev *dev = a->dev;
  if (code) cli_dev_say(dev, "%s: %.*s", tr_error_name(code), TR_SLICE_ARG(text));
  forget(a);
  cli_dev_done(dev);
}

/* own: takes map. */
static void ask(cli_dev *dev, const char *verb, troupe_value_t *map, void (*say)(cli_dev *dev, const troupe_value_t *answer)) {
  size_t length = 0;
  char *json = troupe_value_to_json(dev->rt, map, &length);
  cli_asked *a = json ? malloc(sizeof *a) : NULL;
  if (a) {
    *a = (cli_asked){ dev, say, dev->asked };
    dev->asked = a;
    dev->calls++;
    if (tr_runtime_ask(dev->rt, verb, json, on_answer, on_over, a)) {
      cli_dev_say(dev, "%s", troupe_error(dev->rt));
      dev->calls--;
      forget(a);
    }
  } else {
    cli_dev_say(dev, "out of memory");
  }
  troupe_free_text(dev->rt, json, length);
  troupe_value_free(map);
}

void cli_dev_interrupt(cli_dev *dev) {
  for (cli_asked *a = dev->asked, *next; a; a = next) {
    next = a->next;
    if (!tr_runtime_unask(dev->rt, a)) continue;
    cli_dev_say(dev, "interrupted");
    forget(a);
    cli_dev_done(dev);
  }
  tr_runtime_give_up(dev->rt, dev);
}

static troupe_value_t *about(cli_dev *dev, const char *agent) {
  troupe_value_t *map = troupe_value_map(dev->rt);
  cli_set(map, dev->rt, "agent", agent);
  return map;
}

static void say_agents(cli_dev *dev, const troupe_value_t *answer) {
  const troupe_value_t *agents = troupe_value_get(answer, "agents");
  (void)dev;
  for (size_t i = 0; i < cli_count(agents); i++) {
    const troupe_value_t *agent = troupe_value_at(agents, i);
    printf("%-32s %s\n", cli_text(agent, "id"), cli_text(agent, "state"));
  }
  if (cli_count(agents) == 0) puts("no agent lives here yet: its first message makes one");
}

static void say_state(cli_dev *dev, const troupe_value_t *answer) { cli_say_agent_state(dev->rt, answer); }
static void say_inspect(cli_dev *dev, const troupe_value_t *answer) { cli_say_inspect(dev->rt, answer); }
static void say_break(cli_dev *dev, const troupe_value_t *answer) {
  (void)dev;
  fputs(cli_text(answer, "traceback"), stdout);
}
static void say_eval(cli_dev *dev, const troupe_value_t *answer) { cli_say_eval(answer, dev->colours); }

static void run_agents(cli_dev *dev, const words *w) {
  (void)w;
  ask(dev, "agents", troupe_value_map(dev->rt), say_agents);
}

static void run_state(cli_dev *dev, const words *w) {
  if (!w->count) {
    run_agents(dev, w);
    return;
  }
  troupe_value_t *map = about(dev, w->word[0]);
  cli_set_number(map, dev->rt, "window", 0);
  ask(dev, "inspect", map, say_state);
}

static void run_inspect(cli_dev *dev, const words *w) { ask(dev, "inspect", about(dev, w->word[0]), say_inspect); }
static void run_break(cli_dev *dev, const words *w) {
  troupe_value_t *map = about(dev, w->word[0]);
  troupe_value_set(map, "waiting", troupe_value_from_json(dev->rt, "true", 4));
  ask(dev, "break", map, say_break);
}

static void run_lua(cli_dev *dev, const words *w) {
  troupe_value_t *map = about(dev, w->word[0]);
  cli_set(map, dev->rt, "code", w->rest[1]);
  ask(dev, "eval", map, say_eval);
}

/* ---- the rest ---- */

static void run_reload(cli_dev *dev, const words *w) {
  int rc = troupe_reload(dev->rt, NULL);
  (void)w;
  if (rc < 0) {
    cli_dev_error(dev, troupe_error(dev->rt));
    return;
  }
  cli_dev_say(dev, rc ? "reloaded %d file%s" : "nothing has changed", rc, rc == 1 ? "" : "s");
  if (rc) tr_runtime_run_again(dev->rt, false);
}

static void run_again(cli_dev *dev, const words *w) {
  (void)w;
  if (!tr_runtime_run_again(dev->rt, true)) cli_dev_say(dev, "there is no program in these files");
}

static void run_filter(cli_dev *dev, const words *w) {
  const char *text = w->count ? w->rest[0] : "";
  snprintf(dev->filter, sizeof dev->filter, "%s", strcmp(text, "*") == 0 ? "" : strcmp(text, "off") == 0 ? "-" : text);
  if (!*dev->filter) cli_dev_say(dev, "all messages are shown");
  else if (strcmp(dev->filter, "-") == 0) cli_dev_say(dev, "no messages are shown, but errors are (filter: all again)");
  else cli_dev_say(dev, "messages of these are shown, and errors: %s", dev->filter);
}

static void run_quit(cli_dev *dev, const words *w) {
  (void)w;
  cli_dev_end(dev);
}

static void run_help(cli_dev *dev, const words *w) {
  (void)w;
  cli_prompt_hide();
  for (const command *c = commands; c->name; c++) printf("  %-8s %-*s %s\n", c->name, 22 + cli_columnless(c->usage), c->usage, c->help);
  puts("  Ctrl-O                          send the last message again (replay)");
  puts("  Ctrl-C                          drop the line that is typed; else end what the prompt waits for");
  fflush(stdout);
  cli_prompt_show();
  (void)dev;
}

static const command commands[] = {
  { "call", "AGENT TYPE [JSON]", "ask an agent, and show its reply", 2, run_call },
  { "send", "AGENT TYPE [JSON]", "send it a message without asking for a reply", 2, run_send },
  { "publish", "TOPIC TYPE [JSON]", "publish an event", 2, run_publish },
  { "replay", "[N]", "send the last message, or the last N, again: to new code", 0, run_replay },
  { "messages", "", "list those that replay would send", 0, run_messages },
  { "state", "[AGENT]", "show an agent's state; without a name: which agents live", 0, run_state },
  { "inspect", "AGENT", "show all that is to know of one", 1, run_inspect },
  { "lua", "AGENT LUA", "evaluate Lua in it: self, ctx, and what its file sees", 2, run_lua },
  { "break", "AGENT", "end its turn that computes, or waits, and show where it was", 1, run_break },
  { "agents", "", "list the agents", 0, run_agents },
  { "filter", "[PATTERN…|off|*]", "show only messages of such agents, topics or types", 0, run_filter },
  { "reload", "", "look for changed files now", 0, run_reload },
  { "run", "", "run the programs again", 0, run_again },
  { "help", "", "show this", 0, run_help },
  { "quit", "", "end it (Ctrl-D does, too, and Ctrl-C twice)", 0, run_quit },
  { NULL, NULL, NULL, 0, NULL },
};

/* ---- lines ---- */

static void split(char *copy, const char *line, words *w) {
  w->count = 0;
  for (size_t at = 0; w->count < 3;) {
    at += strspn(copy + at, " \t\r");
    if (!copy[at]) break;
    w->rest[w->count] = line + at;
    w->word[w->count++] = copy + at;
    at += strcspn(copy + at, " \t\r");
    if (!copy[at]) break;
    copy[at++] = 0;
  }
}

static void unknown(const cli_dev *dev, const char *name) {
  const char *names[sizeof commands / sizeof *commands + 1];
  size_t n = 0;
  for (; commands[n].name; n++) names[n] = commands[n].name;
  names[n] = NULL;
  const char *nearest = tr_text_nearest(tr_slice_of(name), names);
  if (nearest) cli_dev_say(dev, "no such command: %s (did you mean %s? help lists them)", name, nearest);
  else cli_dev_say(dev, "no such command: %s (help lists them)", name);
}

void cli_dev_command(cli_dev *dev, const char *line) {
  line += strspn(line, " \t\r");
  if (!*line || *line == '#') return;
  size_t n = strcspn(line, " \t\r");
  char *name = strndup(line, n), *copy = strdup(line + n);
  words w = { .count = 0 };
  const command *found = NULL;
  for (const command *c = commands; name && c->name; c++)
    if (strcmp(c->name, name) == 0) found = c;
  if (!name || !copy) {
    cli_dev_say(dev, "out of memory");
  } else if (!found) {
    unknown(dev, name);
  } else {
    split(copy, line + n, &w);
    if (w.count < found->least) cli_dev_say(dev, "usage: %s %s", found->name, found->usage);
    else found->run(dev, &w);
  }
  free(copy);
  free(name);
}

/* ---- completion ---- */

static bool has_agent(const char *command_name) {
  return strcmp(command_name, "publish") && strcmp(command_name, "replay") && strcmp(command_name, "help");
}

static void offer_agents(cli_dev *dev, const troupe_value_t *answer) {
  const troupe_value_t *agents = troupe_value_get(answer, "agents"), *types = troupe_value_get(answer, "types");
  char word[600];
  for (size_t i = 0; i < cli_count(agents); i++) cli_offer(dev->offers, cli_text(troupe_value_at(agents, i), "id"));
  for (size_t i = 0; i < cli_count(types); i++) {
    snprintf(word, sizeof word, "%s/", cli_text(troupe_value_at(types, i), "type"));
    cli_offer(dev->offers, word);
  }
}

static void offer_list(cli_dev *dev, const troupe_value_t *list) {
  for (size_t i = 0; i < cli_count(list); i++) cli_offer(dev->offers, troupe_value_string(troupe_value_at(list, i), NULL));
}

/* The message types of one agent type, or of all; or the topics that are subscribed to. */
static void offer_of_types(cli_dev *dev, const troupe_value_t *answer) {
  const troupe_value_t *types = troupe_value_get(answer, "types");
  for (size_t i = 0; i < cli_count(types); i++) {
    const troupe_value_t *type = troupe_value_at(types, i);
    if (dev->offer_of && strcmp(cli_text(type, "type"), dev->offer_of)) continue;
    offer_list(dev, troupe_value_get(type, dev->offer_kind));
  }
}

static void offer_answer(cli_dev *dev, const troupe_value_t *answer) {
  if (strcmp(dev->offer_kind, "agents") == 0) offer_agents(dev, answer);
  else if (strcmp(dev->offer_kind, "lua") == 0) offer_list(dev, answer);
  else offer_of_types(dev, answer);
}

static void on_offer(void *ud, tr_slice json) {
  cli_dev *dev = ud;
  troupe_value_t *answer = troupe_value_from_json(dev->rt, json.p, json.n);
  if (answer) offer_answer(dev, answer);
  troupe_value_free(answer);
}
static void on_offered(void *ud, int code, tr_slice text) {
  (void)ud;
  (void)code;
  (void)text;
}

static void complete_lua(cli_dev *dev, const char *agent, const char *text) {
  troupe_value_t *map = about(dev, agent);
  size_t length = 0;
  cli_set(map, dev->rt, "text", text);
  char *json = troupe_value_to_json(dev->rt, map, &length);
  dev->offer_kind = "lua";
  if (json) tr_runtime_ask(dev->rt, "complete", json, on_offer, on_offered, dev);
  troupe_free_text(dev->rt, json, length);
  troupe_value_free(map);
}

void cli_dev_complete(cli_dev *dev, const char *line, size_t word, cli_completions *to) {
  char *copy = strndup(line, word);
  words w = { .count = 0 };
  dev->offers = to;
  if (!copy) return;
  split(copy, line, &w);
  bool message = w.count && (!strcmp(w.word[0], "call") || !strcmp(w.word[0], "send") || !strcmp(w.word[0], "publish"));
  dev->offer_of = NULL;
  dev->offer_kind = NULL;
  if (!w.count || strcmp(w.word[0], "lua") || w.count == 1) cli_offers_whole(to);
  if (w.count == 0) {
    for (const command *c = commands; c->name; c++) cli_offer(to, c->name);
  } else if (strcmp(w.word[0], "lua") == 0 && w.count > 1) {
    complete_lua(dev, w.word[1], line + word);
  } else if (w.count == 1 && strcmp(w.word[0], "publish") == 0) {
    dev->offer_kind = "topics";
  } else if (w.count == 1 && has_agent(w.word[0])) {
    dev->offer_kind = "agents";
  } else if (w.count == 2 && message) {
    dev->offer_kind = "messages";
    if (strcmp(w.word[0], "publish")) dev->offer_of = strtok(w.word[1], "/");
  }
  if (dev->offer_kind && strcmp(dev->offer_kind, "lua")) tr_runtime_ask(dev->rt, "agents", "{}", on_offer, on_offered, dev);
  free(copy);
}
