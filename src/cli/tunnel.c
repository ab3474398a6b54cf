/* SPDX-License-Identifier: MIT
 * troupe tunnel: a door in plaintext on this machine to a host elsewhere, with TLS and a token or certificate in between. */
#include "cli/cli.h"

static int run_tunnel(const cli_verb *verb, cli_args *args) {
  const char *listens[CLI_REPEATS_MAX], *host = cli_get(verb, args, "host"), *log = cli_get(verb, args, "log");
  int count = cli_get_all(verb, args, "listen", listens, CLI_REPEATS_MAX);
  if (!host) return cli_fail(CLI_USAGE, verb->name, "--host is missing: where it leads to (--host tls:HOST:PORT)");
  if (count == 0) listens[count++] = CLI_DEFAULT_ADDRESS;
  troupe_t *rt = cli_runtime(log ? log : "info", 1);
  if (!rt) return CLI_USAGE;
  int rc = tr_runtime_signals(rt) ? cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt)) : cli_secure(verb, args, rt);
  for (int i = 0; rc == CLI_OK && i < count; i++) {
    const char *bound;
    if (tr_runtime_tunnel(rt, listens[i], host, &bound)) rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt));
    else printf("listening %s\n", bound);
  }
  fflush(stdout);
  if (rc == CLI_OK) {
    cli_open_socket(rt);
    rc = troupe_run(rt);
    if (rc < 0) rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt));
  }
  troupe_free(rt);
  return rc;
}

static const cli_option tunnel_options[] = {
  { "listen", 'l', "ADDRESS…", "where workers join in plaintext (" CLI_DEFAULT_ADDRESS "); unix:PATH is for its owner alone", NULL },
  { "host", 0, "ADDRESS", "where it leads to: tls:host:port", "TROUPE_HOST" },
  CLI_TLS_OPTIONS, { "insecure", 0, NULL, "listen where other machines reach it, and lead on in plaintext, too", NULL },
  { "log", 0, "LEVEL", "error, warn, info or debug (info)", "TROUPE_LOG" }, { NULL, 0, NULL, NULL, NULL },
};

const cli_verb cli_tunnel = {
  "tunnel", "--host tls:HOST:PORT [--listen ADDRESS]", "Let workers that speak only plaintext (AutoGen's) join a host by TLS and with a token.",
  "  TROUPE_TOKEN=… troupe tunnel --listen unix:/run/me/troupe.sock --host tls:my.host.example:50051", tunnel_options, 0, 0, run_tunnel,
};
