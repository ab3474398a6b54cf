/* SPDX-License-Identifier: MIT
 * What tls.c (settings), tls_conn.c (a connection) and tls_reason.c (what went wrong) share. */
#ifndef TR_NET_TLS_INTERNAL_H
#define TR_NET_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "net/internal.h"
#include "net/tls.h"

#define TR_TLS_SESSIONS 32  /* sessions of hosts that a client keeps, to resume them */
#define TR_TLS_HANDSHAKE 10000 /* ms that a handshake may take */

typedef struct tr_tls_session { char peer[TR_ADDRESS_MAX]; SSL_SESSION *session; } tr_tls_session;

struct tr_tls {
  tr_mem *mem;
  size_t refs;
  bool server;
  bool system; /* a client that believes the system's CA certificates, which are not read yet */
  SSL_CTX *contexts[TR_TLS_CERTS_MAX];
  size_t count;
  BIO_METHOD *bio;
  tr_tls_session sessions[TR_TLS_SESSIONS];
  size_t next_session;
};

struct tr_tls_conn {
  tr_net_conn *conn;
  tr_tls *tls;
  SSL *ssl;
  tr_link link;       /* net->handshakes */
  uint64_t begun;     /* ms of the loop */
  tr_slice in;        /* bytes of the peer that are being read */
  tr_buf pending;     /* bytes to it, made while reading */
  tr_buf *sink;       /* where bytes to it go */
  tr_net_secured_fn secured;
  void *ud;
  bool open, said_bye;
  uint8_t first[24];  /* of what the peer sent */
  size_t first_len;
  char peer[TR_ADDRESS_MAX]; /* client: what it dialed */
  char names[64];     /* of a certificate that was not believed */
  char reason[200];
};

void tr_tls_believe_system(tr_tls *tls); /* before a client's first handshake */
BIO_METHOD *tr_tls_bio_method(void); /* NULL: out of memory */
void tr_tls_keep_session(tr_tls *tls, const char *peer, SSL_SESSION *session); /* own: takes it */
SSL_SESSION *tr_tls_find_session(const tr_tls *tls, const char *peer);
void tr_tls_note_names(tr_tls_conn *t, X509 *cert);
/* Why the handshake, or a read, failed: into t->reason. */
void tr_tls_explain(tr_tls_conn *t, int result);

#endif
