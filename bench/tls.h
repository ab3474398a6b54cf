/* SPDX-License-Identifier: MIT
 * tls.h: TLS between a connection's socket and its protocol, by memory; the host's certificate is looked at. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include <stdbool.h>

#include "bytes.h"

typedef struct tls tls;
typedef struct tls_conn tls_conn;

/* Believes certificates that are signed by one in `ca_file`, and speaks TLS 1.3 alone; NULL = the file is no good.
 * `alpn` as it stands in the handshake, or NULL. */
tls *tls_new(const char *ca_file, const char *alpn);
void tls_free(tls *);

tls_conn *tls_conn_new(tls *);
void tls_conn_free(tls_conn *); /* NULL is nothing */

/* Bytes that came from the host; valid until the next one. */
void tls_feed(tls_conn *, span sealed);
/* Goes on with the handshake; true = it is done. `why` is set if it has failed. */
bool tls_shake(tls_conn *, const char **why);
/* The next of what came, in a buffer that all connections share; false = nothing more, or `why` is set. */
bool tls_read(tls_conn *, span *plain, const char **why);
/* What goes on the wire for `plain` (may be empty), and for what the handshake has to say; in a shared buffer. */
span tls_seal(tls_conn *, span plain);

#endif
