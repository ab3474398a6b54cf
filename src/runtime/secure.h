/* SPDX-License-Identifier: MIT
 * Whom this runtime shows itself as, and whom it believes. */
#ifndef TR_RUNTIME_SECURE_H
#define TR_RUNTIME_SECURE_H

#include "net/signer.h"
#include "net/tokens.h"
#include "runtime/internal.h"

enum { TR_SECURE_CERT = 0, TR_SECURE_KEY, TR_SECURE_CA, TR_SECURE_CLIENT_CA, TR_SECURE_TOKEN, TR_SECURE_TOKEN_FILE, TR_SECURE_TOKENS, TR_SECURE_RIGHTS,
       TR_SECURE_SIGN_KEY, TR_SECURE_VERIFY_KEYS, TR_SECURE_TEXTS };

/* What troupe_secure was told, and what was read by it. */
struct tr_secure {
  char *texts[TR_SECURE_TEXTS]; /* NULL: not given */
  bool insecure;
  tr_tls *server, *client;
  char *bearer;      /* "Bearer TOKEN"; NULL: none */
  tr_tokens *tokens; /* NULL: none are taken */
  tr_rights *rights; /* NULL: all may do everything */
  tr_signer *signer; /* NULL: nothing is signed */
  tr_seal seal;
};
typedef struct tr_secure tr_secure;

/* Before this address is dialed: TLS has its settings, if need be the system's. */
int tr_secure_dial(troupe_t *rt, const tr_address *address);
/* What a worker of this uplink shows: tr_worker_options.authorization's value. */
tr_slice tr_secure_authorization(const troupe_t *rt);
/* tr_host_options.identify. */
int tr_secure_identify(void *ud, tr_host_conn *conn, tr_slice authorization, tr_slice user_agent, tr_buf *names, tr_error *error);
/* All files again, and into the log what came of it. */
int tr_secure_reload(troupe_t *rt);
/* The loop is there, or something has changed: tell it. */
void tr_secure_apply(troupe_t *rt);
void tr_runtime_free_security(troupe_t *rt);

#endif
