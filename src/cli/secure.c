/* SPDX-License-Identifier: MIT
 * --tls-cert and its kin, the same for every verb that has a door. What is secret is never an option itself, since ps shows those: it
 * lies in a file, or in the environment. */
#include <stdlib.h>

#include "cli/cli.h"

int cli_secure(const cli_verb *verb, const cli_args *args, troupe_t *rt) {
  troupe_security_t o = { .size = sizeof o };
  o.cert = cli_get(verb, args, "tls-cert");
  o.key = cli_get(verb, args, "tls-key");
  o.ca = cli_get(verb, args, "tls-ca");
  o.client_ca = cli_get(verb, args, "tls-client-ca");
  o.token_file = cli_get(verb, args, "token-file");
  o.token = o.token_file ? NULL : getenv("TROUPE_TOKEN");
  o.tokens = cli_get(verb, args, "tokens");
  o.rights = cli_get(verb, args, "rights");
  o.sign_key = cli_get(verb, args, "sign-key");
  o.verify_keys = cli_get(verb, args, "verify-keys");
  o.insecure = cli_get(verb, args, "insecure") != NULL;
  if (!o.cert && !o.key && !o.ca && !o.client_ca && !o.token && !o.token_file && !o.tokens && !o.rights && !o.sign_key && !o.verify_keys && !o.insecure) return CLI_OK;
  return troupe_secure(rt, &o) ? cli_fail(CLI_USAGE, verb->name, "%s", troupe_error(rt)) : CLI_OK;
}
