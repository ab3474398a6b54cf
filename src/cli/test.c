/* SPDX-License-Identifier: MIT
 * troupe test: specs by busted, which find `require "troupe"` and `troupe.testing` beside this program or where it was installed.
 * This process becomes busted: signals, output and exit status are its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define WORDS_MAX 1024
#define FIXED 3 /* words of the command line before the specs */

/* Where `name` is in $PATH, into out; false: nowhere. */
static bool find_program(const char *name, char *out, size_t size) {
  const char *path = getenv("PATH");
  while (path && *path) {
    size_t n = strcspn(path, ":");
    int wrote = snprintf(out, size, "%.*s/%s", (int)n, path, name);
    if (n && wrote > 0 && (size_t)wrote < size && access(out, X_OK) == 0) return true;
    path += n + (path[n] == ':');
  }
  return false;
}

/* The module lies beside the program in a build folder, and in ../lib/lua/5.4 where it is installed. What the user has set comes behind. */
static bool set_module_path(void) {
  char program[4096], value[3 * sizeof program];
  const char *own = tr_runtime_own_program(program, sizeof program), *set = getenv("LUA_CPATH_5_4");
  const char *slash = own ? strrchr(own, '/') : NULL;
  if (!slash) return true;
  int n = (int)(slash - own);
  if (!set) set = getenv("LUA_CPATH");
  int wrote = snprintf(value, sizeof value, "%.*s/?.so;%.*s/../lib/lua/5.4/?.so;%s", n, own, n, own, set ? set : ";");
  return wrote > 0 && (size_t)wrote < sizeof value && setenv("LUA_CPATH_5_4", value, 1) == 0;
}

/* A number from 1, for troupe.testing (lua/troupe/testing/explore.lua). False: told. */
static bool hand_on(const cli_verb *verb, const cli_args *args, const char *option, const char *variable) {
  const char *text = cli_get(verb, args, option);
  size_t digits = text ? strspn(text, "0123456789") : 0;
  if (!text) return true;
  if (digits && digits <= 18 && !text[digits] && strtoll(text, NULL, 10) > 0) return setenv(variable, text, 1) == 0;
  cli_fail(CLI_USAGE, verb->name, "--%s must be a whole number from 1, not \"%s\"", option, text);
  return false;
}

static int run_test(const cli_verb *verb, cli_args *args) {
  char busted[4096], lua[4096];
  const char *words[WORDS_MAX + 1] = { "lua5.4", busted, "--pattern=_spec%.lua$" };
  int n = FIXED;
  if (!find_program("busted", busted, sizeof busted))
    return cli_fail(CLI_FAILED, verb->name, "busted is not installed (apt-get install lua-busted)");
  if (!find_program("lua5.4", lua, sizeof lua))
    return cli_fail(CLI_FAILED, verb->name, "lua5.4 is not installed (apt-get install lua5.4)");
  if (args->count + args->rest_count + n > WORDS_MAX) return cli_fail(CLI_USAGE, verb->name, "more than %d specs", WORDS_MAX - FIXED);
  for (int i = 0; i < args->rest_count; i++) words[n++] = args->rest[i];
  for (int i = 0; i < args->count; i++) words[n++] = args->words[i];
  if (args->count == 0) words[n++] = ".";
  if (cli_get(verb, args, "seed") && cli_get(verb, args, "seeds")) return cli_fail(CLI_USAGE, verb->name, "--seed and --seeds exclude each other");
  if (!hand_on(verb, args, "seed", "TROUPE_SEED") || !hand_on(verb, args, "seeds", "TROUPE_SEEDS")) return CLI_USAGE;
  if (!set_module_path()) return cli_fail(CLI_FAILED, verb->name, "LUA_CPATH cannot be set: too long, or out of memory");
  execv(lua, (char **)(uintptr_t)words); /* execv does not write to them */
  return cli_fail(CLI_FAILED, verb->name, "%s: %s", lua, strerror(errno));
}

static const cli_option test_options[] = {
  { "seeds", 0, "N", "how many seeds testing.explore goes through", NULL },
  { "seed", 0, "N", "this one alone: a run that failed, again", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_test = {
  "test", "[SPEC|DIR…] [-- BUSTED'S OPTION…]", "Run specs with busted; they use agents in virtual time by `require \"troupe.testing\"`.",
  "  troupe test\n  troupe test greeter_spec.lua -- --filter=counts\n  troupe test shop_spec.lua --seeds 1000", test_options, 0, -1, run_test,
};
