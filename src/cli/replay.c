/* SPDX-License-Identifier: MIT
 * troupe replay: a record (run --record) is run again, and what is different now is shown as a diff. The work is runtime/replay.c's.
 *
 * Like diff, it ends with 0 where nothing is different, 1 where something is, and 2 where it could not compare. */
#include <string.h>
#include <unistd.h>

#include "base/diff.h"
#include "cli/cli.h"
#include "runtime/record.h"

#define FILES_MOST 256
enum { SAME = 0, DIFFERENT = 1, TROUBLE = 2 };

/* ---- what is told ---- */

static void show_diff(tr_slice diff) {
  bool colours = cli_coloured(STDOUT_FILENO);
  for (size_t at = 0; at < diff.n;) {
    const char *line = diff.p + at, *end = memchr(line, '\n', diff.n - at);
    size_t n = end ? (size_t)(end - line) : diff.n - at;
    const char *colour = *line == '-' ? "\033[31m" : *line == '+' ? "\033[32m" : *line == '@' ? "\033[36m" : "";
    if (colours && *colour) printf("%s%.*s\033[0m\n", colour, (int)n, line);
    else printf("%.*s\n", (int)n, line);
    at += n + 1;
  }
}

static void show_text(const tr_reran *result, tr_slice diff, const char *file, const char *script) {
  if (diff.n) printf("--- %s %s\n+++ %s %s\n", result->agent, file, result->agent, script ? script : "replayed");
  show_diff(diff);
}

static void put_json(troupe_t *rt, tr_slice text) {
  troupe_value_t *value = text.n ? troupe_pack(rt, "S", text) : NULL;
  size_t length;
  char *json = value ? troupe_value_to_json(rt, value, &length) : NULL;
  if (json) fwrite(json, 1, length, stdout);
  else fputs("\"\"", stdout);
  if (json) troupe_free_text(rt, json, length);
  troupe_value_free(value);
}

static void show_json(troupe_t *rt, const tr_reran *result, tr_slice diff, bool first) {
  printf("%s{\"agent\":", first ? "" : ",");
  put_json(rt, tr_slice_of(result->agent));
  printf(",\"equal\":%s,\"messages\":%zu,\"diff\":", diff.n ? "false" : "true", result->messages);
  put_json(rt, diff);
  fputs(",\"recorded\":", stdout);
  put_json(rt, result->recorded);
  fputs(",\"replayed\":", stdout);
  put_json(rt, result->replayed);
  putchar('}');
}

static void show_notes(troupe_t *rt, const cli_verb *verb, const tr_rerun *replay, bool json) {
  if (json) fputs("],\"notes\":[", stdout);
  for (size_t i = 0; tr_rerun_note(replay, i); i++) {
    if (json && i) putchar(',');
    if (json) put_json(rt, tr_slice_of(tr_rerun_note(replay, i)));
    else fprintf(stderr, "troupe: %s: %s\n", verb->name, tr_rerun_note(replay, i));
  }
}

static int show(troupe_t *rt, const cli_verb *verb, const cli_args *args, const tr_rerun *replay, tr_mem *mem) {
  bool json = cli_get(verb, args, "json");
  const tr_reran *result;
  size_t messages = 0, agents = 0, changed = 0;
  tr_buf diff;
  bool good = true;
  tr_buf_init(&diff, mem);
  if (json) fputs("{\"agents\":[", stdout);
  for (size_t i = 0; good && (result = tr_rerun_result(replay, i)); i++) {
    tr_buf_clear(&diff);
    good = tr_diff(&diff, result->recorded, result->replayed);
    agents++;
    messages += result->messages;
    changed += diff.len > 0;
    if (json) show_json(rt, result, tr_buf_view(&diff), i == 0);
    else show_text(result, tr_buf_view(&diff), args->words[0], cli_get(verb, args, "script"));
  }
  tr_buf_fini(&diff);
  show_notes(rt, verb, replay, json);
  if (json) printf("],\"equal\":%s}\n", changed ? "false" : "true");
  else if (!changed) printf("equal: %zu message%s of %zu agent%s\n", messages, messages == 1 ? "" : "s", agents, agents == 1 ? "" : "s");
  if (!good) return cli_fail(TROUBLE, verb->name, "out of memory");
  return changed ? DIFFERENT : SAME;
}

/* ---- what is run ---- */

/* What the record was made of, or other files. */
static int load(troupe_t *rt, const cli_verb *verb, const cli_args *args, tr_rerun *replay) {
  const char *files[FILES_MOST], *rest[FILES_MOST];
  cli_args own = *args;
  own.words = files;
  own.rest = rest;
  own.rest_count = 0;
  own.count = cli_get_all(verb, args, "script", files, CLI_REPEATS_MAX);
  for (size_t i = 0; own.count == (int)i && i < FILES_MOST && !cli_get(verb, args, "script") && tr_rerun_file(replay, i); i++)
    files[own.count++] = tr_rerun_file(replay, i);
  for (size_t i = 0; i < FILES_MOST && tr_rerun_argument(replay, i); i++) rest[own.rest_count++] = tr_rerun_argument(replay, i);
  if (args->rest_count) {
    own.rest = args->rest;
    own.rest_count = args->rest_count;
  }
  if (own.count == 0) return cli_fail(TROUBLE, verb->name, "the record names no files (--script FILE)");
  int rc = cli_protobuf(verb, args, rt);
  if (!rc) rc = cli_load_all(rt, verb, &own);
  if (!rc && own.count == 1 && cli_get(verb, args, "script") && tr_rerun_stand_in(replay, files[0])) rc = cli_load_all(rt, verb, &own);
  return rc ? TROUBLE : CLI_OK;
}

static int fail(const cli_verb *verb, const tr_error *error) { return cli_fail(TROUBLE, verb->name, "%s", error->text); }

static int run_replay(const cli_verb *verb, cli_args *args) {
  const char *agent = cli_get(verb, args, "agent");
  tr_mem mem;
  tr_error error;
  tr_rerun *replay;
  troupe_t *rt;
  if (!agent || !*agent) return cli_fail(CLI_USAGE, verb->name, "--agent TYPE or TYPE/KEY: whose messages are to be replayed?");
  tr_mem_init(&mem);
  tr_error_init(&error);
  if (tr_rerun_open(&mem, args->words[0], agent, &replay, &error)) return fail(verb, &error);
  const troupe_options_t options = { .size = sizeof options, .seed = 1 }; /* no log: what fails is in the text */
  int rc = tr_rerun_runtime(replay, &options, &rt, &error) ? fail(verb, &error) : CLI_OK;
  if (!rc) rc = load(rt, verb, args, replay);
  if (!rc && tr_rerun_run(replay, &error)) rc = fail(verb, &error);
  if (!rc) rc = show(rt, verb, args, replay, &mem);
  tr_rerun_free(replay);
  return rc;
}

static const cli_option replay_options[] = {
  { "agent", 0, "AGENT", "whose messages: TYPE/KEY, or TYPE for all of that type", NULL },
  { "script", 0, "FILE…", "run this code instead of the files that the record names; may be given several times", NULL },
  CLI_PROTOBUF_OPTION,
  { "json", 0, NULL, "print { equal, agents = [ { agent, equal, messages, diff, recorded, replayed } ], notes }", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_replay = {
  "replay", "FILE --agent AGENT [-- ARG…]", "Give an agent the messages of a record again, and show what it does differently now.",
  "  troupe run --record greeter.jsonl greeter.lua\n  troupe replay greeter.jsonl --agent greeter --script new.lua", replay_options, 1, 1, run_replay,
};
