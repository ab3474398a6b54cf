/* SPDX-License-Identifier: MIT
 * Whom this runtime shows itself as, and whom it believes. */
#ifndef TR_RUNTIME_SECURE_H
#define TR_RUNTIME_SECURE_H

#include "runtime/internal.h"

enum { TR_SECURE_CERT = 0, TR_SECURE_KEY, TR_SECURE_CA, TR_SECURE_CLIENT_CA, TR_SECURE_TEXTS };

/* What troupe_secure was told, and what was read by it. */
struct tr_secure {
  char *texts[TR_SECURE_TEXTS]; /* NULL: not given */
  bool insecure;
  tr_tls *server, *client;
};
typedef struct tr_secure tr_secure;

/* Before this address is dialed: TLS has its settings, if need be the system's. */
int tr_secure_dial(troupe_t *rt, const tr_address *address);
/* The loop is there, or something has changed: tell it. */
void tr_secure_apply(troupe_t *rt);
void tr_runtime_free_security(troupe_t *rt);

#endif
