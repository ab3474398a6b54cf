/* SPDX-License-Identifier: MIT
 * The program: finds the verb. Each verb is a file of this room; to add one, write its cli_verb and list it here. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"

const cli_verb *const cli_verbs[] = {
  &cli_run,
  &cli_dev_verb,
  &cli_host,
  &cli_worker,
  &cli_call,
  &cli_publish,
  &cli_subscribe,
  &cli_ps,
  &cli_state,
  &cli_reload,
  &cli_drain,
  &cli_stop,
  &cli_letters,
  &cli_top,
  &cli_inspect,
  &cli_trace,
  &cli_break,
  &cli_repl,
  &cli_doctor,
  &cli_check,
  &cli_new,
  &cli_cert,
  &cli_tunnel,
  &cli_test,
  &cli_replay,
  &cli_launched,
  NULL
};

/* Before any verb. */
static int wrong_option(const char *word) {
  static const char *const own[] = { "--version", "--help", NULL };
  const char *nearest = tr_text_nearest(tr_slice_of(word), own);
  if (nearest) return cli_fail(CLI_USAGE, word, "no such option (did you mean %s? see troupe --help)", nearest);
  return cli_fail(CLI_USAGE, word, "no such option here; those of a verb come behind it: troupe VERB %s (see troupe --help)", word);
}

/* Who starts us with 0, 1 or 2 closed would have a socket or a log there otherwise, and libuv aborts when it closes one of these. */
static void hold_standard_files(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  hold_standard_files();
  const char *name = argc > 1 ? argv[1] : NULL;
  char help[] = "--help", *asked[] = { argv[0], argc > 2 ? argv[2] : NULL, help, NULL };
  if (!name) {
    cli_help_all(stderr);
    return CLI_USAGE;
  }
  if (strcmp(name, "help") == 0 && argc > 2) { /* troupe help VERB is troupe VERB --help */
    name = argv[2];
    argv = asked;
    argc = 3;
  }
  if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
    cli_help_all(stdout);
    return CLI_OK;
  }
  if (strcmp(name, "--version") == 0) {
    puts(troupe_version());
    return CLI_OK;
  }
  const char *names[sizeof cli_verbs / sizeof *cli_verbs];
  int n = 0;
  for (; cli_verbs[n]; n++) {
    names[n] = cli_verbs[n]->summary ? cli_verbs[n]->name : "";
    if (strcmp(name, cli_verbs[n]->name)) continue;
    cli_args args;
    int rc = cli_parse(cli_verbs[n], argc - 2, argv + 2, &args);
    return rc < 0 ? CLI_OK : rc ? rc : cli_verbs[n]->run(cli_verbs[n], &args);
  }
  names[n] = NULL;
  if (name[0] == '-') return wrong_option(name);
  const char *nearest = tr_text_nearest(tr_slice_of(name), names);
  if (nearest) return cli_fail(CLI_USAGE, name, "no such verb (did you mean %s? see troupe --help)", nearest);
  return cli_fail(CLI_USAGE, name, "no such verb (see troupe --help)");
}
