/* SPDX-License-Identifier: MIT
 * TLS for the connections of this room, by OpenSSL: what an end shows of itself and whom it believes.
 *
 * Versions 1.2 and 1.3; HTTP/2 by ALPN, always; a client checks that the certificate is for the name it dialed. OpenSSL's own
 * memory is not counted by tr_mem. */
#ifndef TR_NET_TLS_H
#define TR_NET_TLS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

#define TR_TLS_CERTS_MAX 16

typedef struct tr_tls tr_tls; /* counted; never changed once it is made */

typedef struct tr_tls_options {
  bool server;
  /* Files in PEM: the certificate with its chain, and its key; "a.pem,b.pem" for several, of which a server shows the one for the name
   * that the client asks for (SNI), or the first. A client may have none, a server must have one. */
  const char *cert, *key;
  /* Client: whose certificates are believed; NULL: the system's. Server: clients must have one of these; NULL: none is asked for. */
  const char *ca;
  bool optional; /* server, with ca: who has none may come in, too */
} tr_tls_options;

/* Reads the files. err: TR_EINVALID (naming the file), TR_EMEMORY. */
int tr_tls_new(tr_mem *mem, const tr_tls_options *options, tr_tls **out, tr_error *error);
tr_tls *tr_tls_ref(tr_tls *tls);    /* NULL is fine */
void tr_tls_unref(tr_tls *tls);
/* "OpenSSL 3.0.15" */
const char *tr_tls_version(void);

#endif
