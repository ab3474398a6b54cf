/* SPDX-License-Identifier: MIT
 * troupe check: what loading would say of each file, without running anything but its chunk, which is sandboxed and
 * bounded as ever; then luacheck, where it is installed. Every file is looked at by itself, so one fault hides none.
 *
 * luacheck is asked as the nearest .luacheckrc says, whoever has written that. Where there is none, arguments that a handler does not use
 * are no fault: all handlers have the same ones. A global that the sandbox does not have is one. */
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"

#define FILES_MAX 4096
#define FIXED 16 /* words of luacheck's command line before the files */

extern char **environ;

typedef struct checking {
  const cli_verb *verb;
  const cli_args *args;
  char *command[FIXED + FILES_MAX + 1];
  int count, wrong;
} checking;

static int check_file(const char *path, void *ud) {
  checking *c = ud;
  tr_slice rest[64];
  int n = c->args->rest_count < 64 ? c->args->rest_count : 64;
  for (int i = 0; i < n; i++) rest[i] = tr_slice_of(c->args->rest[i]);
  troupe_t *rt = cli_runtime("warn", 1);
  if (!rt) return CLI_FAILED;
  int rc = cli_allow_all(rt, c->verb, c->args);
  if (rc) {
    troupe_free(rt);
    return rc;
  }
  if (tr_runtime_load(rt, path, rest, (size_t)n)) {
    fflush(stdout);
    fprintf(stderr, "%s\n", troupe_error(rt));
    c->wrong++;
  } else {
    printf("%s: ok", path);
    cli_print_types(rt);
  }
  troupe_free(rt);
  if (c->count == FILES_MAX) return cli_fail(CLI_FAILED, c->verb->name, "more than %d files", FILES_MAX);
  c->command[FIXED + c->count] = strdup(path);
  return c->command[FIXED + c->count++] ? CLI_OK : cli_fail(CLI_FAILED, c->verb->name, "out of memory");
}

/* In this folder or one above it: where luacheck looks, too. */
static bool is_configured(void) {
  char folder[4096], path[sizeof folder + 20];
  if (!getcwd(folder, sizeof folder)) return false;
  for (char *end = folder + strlen(folder); end; end = strrchr(folder, '/')) {
    *end = 0;
    snprintf(path, sizeof path, "%s/.luacheckrc", folder);
    if (access(path, F_OK) == 0) return true;
  }
  return false;
}

/* What luacheck has to say goes to standard output; its exit status, 0 where it is not installed. */
static int run_luacheck(checking *c) {
  static const char *const given[] = { "luacheck", "--formatter", "plain", "--read-globals", "troupe", "--", NULL };
  static const char *const fitting[] = { "luacheck", "--formatter", "plain", "--std", "lua54", "--read-globals", "troupe", "--not-globals", "io",
                                         "debug", "--no-unused-args", "--no-max-line-length", "--", NULL };
  const char *const *words = is_configured() ? given : fitting;
  int first = FIXED, status = 0;
  pid_t pid;
  while (words[FIXED - first]) first--;
  for (int i = 0; words[i]; i++) c->command[first + i] = (char *)(uintptr_t)words[i]; /* posix_spawn does not write to them */
  fflush(stdout);
  if (posix_spawnp(&pid, "luacheck", NULL, NULL, c->command + first, environ)) return 0;
  if (waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) return 0;
  return WEXITSTATUS(status) == 127 ? 0 : WEXITSTATUS(status);
}

static int run_check(const cli_verb *verb, cli_args *args) {
  checking *c = calloc(1, sizeof *c);
  if (!c) return cli_fail(CLI_FAILED, verb->name, "out of memory");
  c->verb = verb;
  c->args = args;
  int rc = cli_each_file(verb, args, check_file, c), files = c->count;
  if (rc == CLI_OK && (c->wrong || (!cli_get(verb, args, "no-luacheck") && run_luacheck(c)))) rc = CLI_FAILED;
  for (int i = 0; i < files; i++) free(c->command[FIXED + i]);
  free(c);
  return rc;
}

static const cli_option check_options[] = {
  { "no-luacheck", 0, NULL, "leave luacheck out, though it is installed", NULL },
  { "allow", 0, "RIGHT…", "what a file needs to be loaded: luv, where it requires it; may be given several times", NULL }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_check = {
  "check", "FILE|DIR… [-- ARG…]", "Say what is wrong with scripts, without running them: syntax, keys, schemas; luacheck where it is installed.",
  "  troupe check --allow luv agents/\n  troupe check greeter.lua && troupe reload", check_options, 1, -1, run_check,
};
