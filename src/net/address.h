/* SPDX-License-Identifier: MIT
 * Addresses as users write them: "host:port", "[::1]:port", "tls:host:port", "unix:PATH". Port 0 picks a free one. */
#ifndef TR_NET_ADDRESS_H
#define TR_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/slice.h"

#define TR_ADDRESS_MAX 300

typedef struct tr_address {
  bool is_unix, tls;
  char host[256]; /* name or number, without brackets; or the path of a Unix socket */
  unsigned port;
} tr_address;

/* err: TR_EINVALID saying what was expected. A leading "http://" is refused with a hint (gRPC addresses have none). */
int tr_address_parse(tr_slice text, tr_address *out, tr_error *error);
/* Is the host a number? Then its socket address, and nobody need be asked (getaddrinfo takes a thread of the pool even then). */
bool tr_address_numeric(const tr_address *address, struct sockaddr_storage *out);
/* This machine alone: a number of its loopback, "localhost", a Unix socket. */
bool tr_address_is_local(const tr_address *address);
bool tr_sockaddr_is_loopback(const struct sockaddr_storage *storage);
/* The text form. out: at least TR_ADDRESS_MAX bytes. */
void tr_address_format(const tr_address *address, char *out, size_t size);

#endif
