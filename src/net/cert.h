/* SPDX-License-Identifier: MIT
 * Making certificates for development: a CA, and what it signs. Keys are of the curve P-256, signatures ECDSA with SHA-256. */
#ifndef TR_NET_CERT_H
#define TR_NET_CERT_H

#include "base/buf.h"
#include "base/error.h"

typedef enum { TR_CERT_CA, TR_CERT_HOST, TR_CERT_CLIENT } tr_cert_kind;

typedef struct tr_cert_request {
  tr_cert_kind kind;
  const char *name;          /* common name */
  const char *const *names;  /* host: DNS names and IP addresses it is for, NULL-terminated; NULL: none */
  long from, until;          /* seconds from now: valid between them */
} tr_cert_request;

/* Certificate and key in PEM, appended. ca_cert and ca_key: who signs, PEM; empty for a CA, which signs itself.
 * err: TR_EINVALID (a name, or the CA's files), TR_EMEMORY. */
int tr_cert_make(const tr_cert_request *request, tr_slice ca_cert, tr_slice ca_key, tr_buf *cert, tr_buf *key, tr_error *error);

#endif
