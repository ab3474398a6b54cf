/* SPDX-License-Identifier: MIT
 * A relay, sans I/O: what comes as a server on one connection goes on as a client on another, call by call, message by message, and
 * back; with an authorization of its own. So peers that can show none (and speak no TLS) may be behind one who can.
 *
 * Both sides keep their own HTTP/2 (windows, pings, settings). A side that does not take its messages holds the other's stream back. */
#ifndef TR_RPC_RELAY_H
#define TR_RPC_RELAY_H

#include "rpc/rpc.h"

typedef struct tr_relay tr_relay;
typedef enum { TR_RELAY_DOWN = 0, TR_RELAY_UP } tr_relay_side; /* down: who came to us; up: where it goes on to */

typedef struct tr_relay_options {
  tr_mem *mem;
  const tr_log *log;
  const char *authority;    /* up's */
  bool secure;              /* up is TLS */
  uint32_t max_message;     /* 0: 64 MiB */
  /* "Bearer …" for each call, in the place of its own; empty: its own goes on. May be NULL. */
  tr_slice (*authorization)(void *ud);
  /* The first call is there: please open a connection up; feed it, or tr_relay_lost. */
  void (*dial)(void *ud);
  void (*dirty)(void *ud, tr_relay_side side);
  void *ud;
} tr_relay_options;

tr_relay *tr_relay_new(const tr_relay_options *options); /* NULL: out of memory */
void tr_relay_free(tr_relay *relay);                     /* not from inside its hooks */
int tr_relay_feed(tr_relay *relay, tr_relay_side side, tr_slice bytes, int64_t now, tr_error *error);
int tr_relay_output(tr_relay *relay, tr_relay_side side, tr_buf *out, size_t limit);
bool tr_relay_finished(const tr_relay *relay, tr_relay_side side);
/* Up is gone, or could not be reached: calls end with UNAVAILABLE and this text, and so does down, in order. */
void tr_relay_lost(tr_relay *relay, const char *reason);
/* Down is gone: its calls are cancelled, each once what it had said was sent on. Up is finished when that is done. */
void tr_relay_gone(tr_relay *relay);
size_t tr_relay_calls(const tr_relay *relay);

#endif
