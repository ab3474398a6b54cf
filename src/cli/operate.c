/* SPDX-License-Identifier: MIT
 * The operator's verbs: they ask a running process by its socket (socket.c; what it answers: runtime/operator_verbs.c), and
 * say it in words, or with --json as it came. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/operate.h"

#define PIDS_MAX 256

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* ---- saying ---- */

/* One line a type and worker: how many ids it has, and the first of them. */
static void say_shared(const troupe_value_t *shared) {
  for (size_t i = 0; shared && i < troupe_value_length(shared); i++) {
    const troupe_value_t *it = troupe_value_at(shared, i), *keys = troupe_value_get(it, "keys");
    bool here = false;
    troupe_value_boolean(troupe_value_get(it, "here"), &here);
    printf("  %-20s worker %s%s: %lld id%s  %lld open", cli_text(it, "type"), cli_text(it, "worker"), here ? "" : " (away)",
           (long long)cli_number(it, "ids"), plural(cli_number(it, "ids")), (long long)cli_number(it, "open"));
    for (size_t k = 0; keys && k < troupe_value_length(keys) && k < 8; k++) {
      size_t n = 0;
      const char *key = troupe_value_string(troupe_value_at(keys, k), &n);
      if (key) printf("%s%.*s", k ? ", " : "  ", (int)n, key);
    }
    puts(cli_number(it, "ids") > 8 ? ", …" : "");
  }
}

static void say_agent(const troupe_value_t *agent) {
  const troupe_value_t *older = troupe_value_get(agent, "older");
  printf("  %-20s %lld instance%s  %lld queued  %lld at work  version %lld  ", cli_text(agent, "type"),
         (long long)cli_number(agent, "instances"), plural(cli_number(agent, "instances")), (long long)cli_number(agent, "queued"),
         (long long)cli_number(agent, "turns"), (long long)cli_number(agent, "version"));
  if (cli_number(agent, "code")) printf("code %lld  ", (long long)cli_number(agent, "code"));
  for (size_t i = 0; older && i < troupe_value_length(older); i++) {
    const troupe_value_t *it = troupe_value_at(older, i);
    printf("(on code %lld: %lld instance%s, %lld turn%s)  ", (long long)cli_number(it, "code"), (long long)cli_number(it, "instances"),
           plural(cli_number(it, "instances")), (long long)cli_number(it, "turns"), plural(cli_number(it, "turns")));
  }
  const troupe_value_t *canary = troupe_value_get(agent, "canary");
  if (canary)
    printf("(canary, code %lld: %lld instance%s, %lld turn%s, %lld failed; %lld of code %lld)  ", (long long)cli_number(canary, "code"),
           (long long)cli_number(canary, "instances"), plural(cli_number(canary, "instances")), (long long)cli_number(canary, "turns"),
           plural(cli_number(canary, "turns")), (long long)cli_number(canary, "failed"), (long long)cli_number(canary, "failed_others"),
           (long long)cli_number(agent, "code"));
  puts(cli_text(agent, "file"));
}

static void say_ps(cli_operate *op, const troupe_value_t *answer) {
  double uptime = 0;
  (void)op;
  troupe_value_number(troupe_value_get(answer, "uptime_s"), &uptime);
  printf("%lld  troupe %s  %s for %.0f s", (long long)cli_number(answer, "pid"), cli_text(answer, "version"), cli_text(answer, "stage"), uptime);
  const troupe_value_t *doors = troupe_value_get(answer, "doors"), *agents = troupe_value_get(answer, "agents");
  const troupe_value_t *rights = troupe_value_get(answer, "rights");
  for (size_t i = 0; doors && i < troupe_value_length(doors); i++) {
    const troupe_value_t *door = troupe_value_at(doors, i);
    const char *kind = cli_text(door, "kind");
    bool host = strcmp(kind, "host") == 0;
    printf("  %s %s%s%s", host ? kind : strcmp(kind, "serve") == 0 ? "serving" : "listening", cli_text(door, "address"), host ? " (" : "", cli_text(door, "state"));
    if (host) printf("%s%s)", *cli_text(door, "reason") ? ": " : "", cli_text(door, "reason"));
  }
  const troupe_value_t *code = troupe_value_get(answer, "code");
  if (code && troupe_value_get(code, "pinned")) printf("  code %lld is pinned", (long long)cli_number(code, "serves"));
  putchar('\n');
  for (size_t i = 0; rights && i < troupe_value_length(rights); i++) {
    const char *right = troupe_value_string(troupe_value_at(rights, i), NULL);
    if (right) printf("  allowed  %s\n", right);
  }
  for (size_t i = 0; agents && i < troupe_value_length(agents); i++) {
    const troupe_value_t *agent = troupe_value_at(agents, i);
    bool program = false;
    troupe_value_boolean(troupe_value_get(agent, "program"), &program);
    if (program) printf("  program  %s\n", cli_text(agent, "file"));
    else
      say_agent(agent);
  }
  say_shared(troupe_value_get(answer, "shared"));
}

static void say_stop(cli_operate *op, const troupe_value_t *answer) {
  (void)op;
  (void)answer;
}

static void say_saved(cli_operate *op, const troupe_value_t *answer) {
  int64_t failed = cli_number(answer, "failed");
  bool saved = troupe_value_get(answer, "bytes") != NULL;
  (void)op;
  printf("%s %s", saved ? "saved" : "restored", cli_text(answer, "path"));
  if (saved) printf(", %lld bytes", (long long)cli_number(answer, "bytes"));
  if (failed) printf("; %lld could not be (the process's log says which)", (long long)failed);
  putchar('\n');
}

static void say_state(cli_operate *op, const troupe_value_t *answer) {
  const troupe_value_t *records = troupe_value_get(answer, "records");
  size_t count = records ? troupe_value_length(records) : 0;
  printf("saved %s, %lld bytes, %zu record%s\n", cli_text(answer, "saved"), (long long)cli_number(answer, "bytes"), count, count == 1 ? "" : "s");
  for (size_t i = 0; i < count; i++) {
    const troupe_value_t *record = troupe_value_at(records, i);
    const char *part = cli_text(record, "part"), *of = troupe_value_get(record, "type") ? "type" : "agent";
    printf("%-12s %s%s%s version %lld  ", cli_text(record, "kind"), cli_text(record, of), *part ? " " : "", part,
           (long long)cli_number(record, "version"));
    cli_print_json(op, troupe_value_get(record, "value"));
    putchar('\n');
  }
}

/* ---- asking ---- */

void cli_say(cli_operate *op, tr_slice json) {
  bool bare = cli_has(op, "json");
  op->answers++;
  if (bare) {
    fwrite(json.p, 1, json.n, stdout);
    putchar('\n');
  }
  if (!bare || op->judges) {
    troupe_value_t *value = cli_answer(op->rt, json);
    if (value) op->say(op, value);
    troupe_value_free(value);
  }
  fflush(stdout);
}

static bool on_answer(void *ud, tr_slice json) {
  const cli_operate *op = ud;
  cli_say(ud, json);
  return !ferror(stdout) /* nobody reads it any more */ && op->answers != op->enough;
}

int cli_ask_one(cli_operate *op, const char *what) {
  tr_error error;
  tr_error_init(&error);
  int (*ask)(troupe_t *, const char *, const char *, const char *, tr_time, bool (*)(void *, tr_slice), void *, tr_error *) =
    op->stoppable ? tr_operator_ask_or_stop : tr_operator_ask;
  int rc = ask(op->rt, op->address, what, op->body, op->timeout, on_answer, op, &error);
  if (strcmp(what, "stop") == 0 && op->answers && rc == TR_EUNAVAILABLE) rc = 0; /* it has ended, and its socket with it */
  if (rc == TR_ECANCELLED && op->stoppable) {
    puts("\ninterrupted");
    return CLI_FAILED;
  }
  bool late = rc == TR_ETIMEOUT && op->late;
  if (rc) return cli_fail(CLI_FAILED, op->verb->name, "%s: %s%s%s", tr_error_name(rc), error.text, late ? "; " : "", late ? op->late : "");
  return CLI_OK;
}

int cli_ask_begin(cli_operate *op, const cli_verb *verb, const cli_args *args) {
  *op = (cli_operate){ .verb = verb, .args = args, .body = "{}", .judges = verb == &cli_doctor };
  if (!cli_seconds(verb, args, "timeout", TR_SECONDS(30), &op->timeout)) return CLI_USAGE;
  signal(SIGPIPE, SIG_IGN); /* a process that ends while it is asked is an answer too */
  op->rt = cli_runtime("error", 1);
  return op->rt ? CLI_OK : CLI_FAILED;
}

static void set_address(cli_operate *op, const char *folder, long pid) {
  snprintf(op->address, sizeof op->address, "unix:%s/%ld.sock", folder, pid);
}

/* The one that is meant. */
int cli_ask_choose(cli_operate *op) {
  const char *host = cli_get(op->verb, op->args, "host"), *wanted = cli_get(op->verb, op->args, "pid");
  char folder[CLI_SOCKET_MAX], list[400] = "", *end = NULL;
  long pids[PIDS_MAX], pid = wanted ? strtol(wanted, &end, 10) : 0;
  if (wanted && !host && (*end || pid <= 0)) return cli_fail(CLI_USAGE, op->verb->name, "--pid: \"%s\" is not the number of a process (see troupe ps)", wanted);
  if (host) {
    if (strlen(host) >= sizeof op->address) return cli_fail(CLI_USAGE, op->verb->name, "--host: the address is too long");
    snprintf(op->address, sizeof op->address, "%s", host);
    return cli_secure(op->verb, op->args, op->rt);
  }
  int count = cli_find_running(pids, PIDS_MAX, folder);
  for (int i = 0; i < count; i++) {
    size_t n = strlen(list);
    if (wanted && pids[i] != pid) continue;
    set_address(op, folder, pids[i]);
    if (wanted) return CLI_OK;
    if (n < sizeof list - 20) snprintf(list + n, sizeof list - n, "%s%ld", n ? ", " : "", pids[i]);
  }
  if (wanted) return cli_fail(CLI_FAILED, op->verb->name, "no troupe of this user runs as process %s (see troupe ps)", wanted);
  if (count == 0) return cli_fail(CLI_FAILED, op->verb->name, CLI_NOBODY);
  if (count > 1) return cli_fail(CLI_USAGE, op->verb->name, "several are running: %s (choose one with --pid; troupe ps says what each does)", list);
  return CLI_OK;
}

int cli_operate_one(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, const char *body) {
  cli_operate op;
  int rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  op.say = say_it;
  if (body) snprintf(op.body, sizeof op.body, "%s", body);
  if (strcmp(what, "stop") == 0) op.timeout = 0; /* as long as it takes */
  rc = cli_ask_choose(&op);
  if (rc == CLI_OK) rc = cli_ask_one(&op, what);
  troupe_free(op.rt);
  return rc;
}

/* ---- ps, stop, drain ---- */

/* It has ended meanwhile, in order or not. */
static bool is_gone(const cli_operate *op, long pid) { return access(op->address + strlen("unix:"), F_OK) || kill((pid_t)pid, 0); }

int cli_operate_all(const cli_verb *verb, const cli_args *args, const char *what, cli_operate_say say_it, int *asked) {
  long pids[PIDS_MAX];
  char folder[CLI_SOCKET_MAX];
  *asked = 1;
  if (cli_get(verb, args, "host") || cli_get(verb, args, "pid")) return cli_operate_one(verb, args, what, say_it, NULL);
  cli_operate op;
  int rc = cli_ask_begin(&op, verb, args), count = cli_find_running(pids, PIDS_MAX, folder);
  if (rc) return rc;
  op.say = say_it;
  if (!cli_get(verb, args, "timeout")) op.timeout = TR_SECONDS(5); /* one that is frozen does not hide the others for long */
  *asked = 0;
  for (int i = 0; i < count; i++) {
    tr_error error;
    tr_error_init(&error);
    set_address(&op, folder, pids[i]);
    int failed = tr_operator_ask(op.rt, op.address, what, op.body, op.timeout, on_answer, &op, &error);
    if (failed == TR_EUNAVAILABLE && is_gone(&op, pids[i])) continue;
    ++*asked;
    if (failed) rc = cli_fail(CLI_FAILED, verb->name, "process %ld: %s: %s", pids[i], tr_error_name(failed), error.text);
  }
  troupe_free(op.rt);
  return rc;
}

static int run_ps(const cli_verb *verb, cli_args *args) {
  int asked, rc = cli_operate_all(verb, args, "ps", say_ps, &asked);
  if (rc == CLI_OK && asked == 0) cli_fail(CLI_OK, verb->name, CLI_NOBODY); /* an empty list, and no failure */
  return rc;
}

static int run_stop(const cli_verb *verb, cli_args *args) {
  char body[80] = "{}";
  tr_time drain;
  if (!cli_seconds(verb, args, "drain", -1, &drain)) return CLI_USAGE;
  if (drain >= 0) snprintf(body, sizeof body, "{\"drain\":%.6f}", (double)drain / 1e6);
  return cli_operate_one(verb, args, "stop", say_stop, body);
}

static int run_drain(const cli_verb *verb, cli_args *args) { return cli_operate_one(verb, args, "stop", say_stop, "{\"drain\":1e9}"); }

/* ---- state ---- */

#define ONLY_MAX 64

static int split_only(const cli_verb *verb, const cli_args *args, char *copy, size_t size, const char *items[ONLY_MAX + 1]) {
  const char *given = cli_get(verb, args, "only");
  int count = 0;
  snprintf(copy, size, "%s", given ? given : "");
  for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
    if (count == ONLY_MAX) return cli_fail(CLI_USAGE, verb->name, "--only: more than %d names", ONLY_MAX);
    items[count++] = word;
  }
  items[count] = NULL;
  if (given && count == 0) return cli_fail(CLI_USAGE, verb->name, "--only names no agent");
  return CLI_OK;
}

static int state_body(cli_operate *op, const char *path, const char *const *only) {
  char full[5000], folder[4096];
  troupe_value_t *map = troupe_value_map(op->rt), *list = only[0] ? troupe_value_array(op->rt) : NULL;
  if (path && path[0] != '/' && getcwd(folder, sizeof folder)) snprintf(full, sizeof full, "%s/%s", folder, path);
  else snprintf(full, sizeof full, "%s", path ? path : "");
  if (path) troupe_value_set(map, "path", troupe_pack(op->rt, "s", full));
  for (int i = 0; list && only[i]; i++) troupe_value_push(list, troupe_pack(op->rt, "s", only[i]));
  if (list) troupe_value_set(map, "only", list);
  if (op->timeout > 0) troupe_value_set(map, "timeout", troupe_pack(op->rt, "F", (double)op->timeout / 1e6));
  return cli_take_body(op, map);
}

static int show_file(cli_operate *op, const char *path, const char *const *only) {
  tr_mem mem;
  tr_buf out;
  tr_mem_init(&mem);
  tr_buf_init(&out, &mem);
  int rc = tr_runtime_show_state(op->rt, path, only[0] ? only : NULL, &out);
  if (rc) rc = cli_fail(CLI_FAILED, op->verb->name, "%s: %s", troupe_error_name(rc), troupe_error(op->rt));
  else cli_say(op, tr_buf_view(&out));
  tr_buf_fini(&out);
  return rc;
}

static int run_state(const cli_verb *verb, cli_args *args) {
  static const char *const whats[] = { "state.show", "state.save", "state.restore" };
  const char *what = NULL, *path = args->count > 1 ? args->words[1] : NULL, *only[ONLY_MAX + 1];
  char copy[4096];
  cli_operate op;
  for (int i = 0; i < 3; i++)
    if (strcmp(args->words[0], whats[i] + 6) == 0) what = whats[i];
  if (!what) return cli_fail(CLI_USAGE, verb->name, "%s: expected show, save or restore", args->words[0]);
  int rc = split_only(verb, args, copy, sizeof copy, only);
  if (rc == CLI_OK) rc = cli_ask_begin(&op, verb, args);
  if (rc) return rc;
  if (!cli_seconds(verb, args, "timeout", TR_SECONDS(3), &op.timeout)) rc = CLI_USAGE;
  op.say = what == whats[0] ? say_state : say_saved;
  if (rc == CLI_OK && what == whats[0] && path) {
    rc = show_file(&op, path, only);
  } else if (rc == CLI_OK) {
    rc = cli_ask_choose(&op);
    if (rc == CLI_OK) rc = state_body(&op, path, only);
    op.timeout += TR_SECONDS(30); /* it says itself when its time is up */
    if (rc == CLI_OK) rc = cli_ask_one(&op, what);
  }
  troupe_free(op.rt);
  return rc;
}

/* ---- the verbs ---- */

static const cli_option ps_options[] = {
  CLI_WHICH_OPTIONS, { "timeout", 't', "S", "give up after so many seconds (30; of each, where all are asked, 5)", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option stop_options[] = {
  CLI_WHICH_OPTIONS, { "drain", 0, "S", "seconds to finish what is queued (what its own --drain says)", NULL }, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option drain_options[] = { CLI_WHICH_OPTIONS, { NULL, 0, NULL, NULL, NULL } };
static const cli_option state_options[] = {
  CLI_WHICH_OPTIONS, { "only", 0, "NAME,…", "ids, types, or patterns of them with *: \"game/7,player,log_*\"", NULL },
  { "timeout", 't', "S", "wait so long for open turns (3)", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_ps = {
  "ps", "[--pid PID]", "List what runs: processes, their doors, their agents.", "  troupe ps\n  troupe ps --pid 4711 --json", ps_options, 0, 0, run_ps,
};
const cli_verb cli_stop = {
  "stop", "[--pid PID] [--drain S]", "End a running process as by SIGTERM, and wait until it has ended.", "  troupe stop --drain 10", stop_options, 0, 0, run_stop,
};
const cli_verb cli_drain = {
  "drain", "[--pid PID]", "End a running process when all that is queued is done, however long that takes.", "  troupe drain", drain_options, 0, 0, run_drain,
};
const cli_verb cli_state = {
  "state", "show|save|restore [FILE]", "Save or restore a running process's agents, or look at them; show FILE looks into a file.",
  "  troupe state save world.state --only 'game/*'\n  troupe state show world.state --json\n  troupe state restore world.state", state_options, 1, 2, run_state,
};
