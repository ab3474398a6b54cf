/* SPDX-License-Identifier: MIT
 * The verb that ctx:launch starts: one agent, for the process at the other end of descriptor 3. Not for people, so it is in no help. */
#include "cli/cli.h"

static int run_launched(const cli_verb *verb, cli_args *args) {
  const char *file = cli_get(verb, args, "file"), *agent = cli_get(verb, args, "agent"), *rights[CLI_REPEATS_MAX];
  tr_slice rest[64];
  if (!file || !agent) return cli_fail(CLI_USAGE, verb->name, "this is what ctx:launch starts; by hand, use troupe run");
  if (args->rest_count > 64) return cli_fail(CLI_USAGE, verb->name, "more than 64 arguments after --");
  for (int i = 0; i < args->rest_count; i++) rest[i] = tr_slice_of(args->rest[i]);
  troupe_t *rt = cli_runtime(cli_get(verb, args, "log"), 1);
  if (!rt) return CLI_USAGE;
  int rights_count = cli_get_all(verb, args, "allow", rights, CLI_REPEATS_MAX);
  int rc = tr_runtime_signals(rt);
  for (int i = 0; rc == 0 && i < rights_count; i++) rc = tr_runtime_allow(rt, rights[i]);
  if (rc == 0) rc = tr_runtime_load(rt, file, rest, (size_t)args->rest_count);
  if (rc == 0) rc = tr_runtime_serve_parent(rt, agent, cli_get(verb, args, "moved") != NULL);
  if (rc == 0 && cli_get(verb, args, "watch")) rc = tr_runtime_watch(rt);
  if (rc == 0) rc = troupe_run(rt);
  if (rc < 0) rc = cli_fail(CLI_FAILED, file, "%s", troupe_error(rt));
  troupe_free(rt);
  return rc;
}

static const cli_option options[] = {
  { "agent", 0, "TYPE/KEY", "the agent", NULL },
  { "file", 0, "FILE", "its script", NULL },
  { "moved", 0, NULL, "it is moved here", NULL },
  { "allow", 0, "RIGHT…", "rights", NULL },
  { "watch", 'w', NULL, "reload a script when its file changes", NULL },
  { "log", 0, "LEVEL", "error, warn, info or debug", NULL },
  { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_launched = {
  "launched", "--agent TYPE/KEY --file FILE [-- ARG…]", NULL, "  (by ctx:launch)", options, 0, -1, run_launched,
};
