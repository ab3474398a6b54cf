/* SPDX-License-Identifier: MIT
 * troupe.Admin (proto/troupe.proto), both ends, sans I/O: an operator asks a running process, "ps" or "state.save", with a
 * JSON text, and gets JSON texts or an error. One gRPC method for all verbs, so that a verb is a function of whoever
 * answers, and nothing here; its reply is a stream, for verbs that go on telling. Knows no sockets: as the host's end. */
#ifndef TR_OPS_ADMIN_H
#define TR_OPS_ADMIN_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"

#define TR_ADMIN_REPLY_MAX (64u << 20) /* of one text */

/* ---- who answers ---- */

typedef struct tr_admin tr_admin;
typedef struct tr_admin_conn tr_admin_conn;
typedef struct tr_admin_call tr_admin_call; /* one question: ended by exactly one tr_admin_done or tr_admin_fail, whether or not the asker is still there */

typedef struct tr_admin_options {
  tr_mem *mem;
  const tr_log *log;
  /* Answer now or later. The texts are borrowed during the call. */
  void (*ask)(void *ud, tr_admin_call *call, tr_slice verb, tr_slice body);
  /* There is something to send on this connection. */
  void (*dirty)(void *ud, void *socket);
  void *ud;
} tr_admin_options;

tr_admin *tr_admin_new(const tr_admin_options *options); /* NULL: out of memory */
void tr_admin_free(tr_admin *admin); /* its connections were closed before; calls that are not ended are the answerer's still */
tr_admin_conn *tr_admin_accept(tr_admin *admin, void *socket); /* NULL: too many, or no memory */
int tr_admin_feed(tr_admin_conn *conn, tr_slice bytes, int64_t now, tr_error *error);
int tr_admin_output(tr_admin_conn *conn, tr_buf *out, size_t limit);
bool tr_admin_finished(const tr_admin_conn *conn);
void tr_admin_closed(tr_admin_conn *conn); /* frees it */

/* A question that comes otherwise than by a connection of ours: from this process itself, or by a host's door. reply and over as in
 * tr_admin_ask_options; queued (may be NULL): bytes that the asker has not taken. It is answered as any other. NULL: out of memory. */
typedef struct tr_admin_asker {
  void (*reply)(void *ud, tr_slice body);
  void (*over)(void *ud, int code, tr_slice text);
  size_t (*queued)(void *ud);
  void *ud;
} tr_admin_asker;
tr_admin_call *tr_admin_call_here(tr_mem *mem, const tr_admin_asker *asker);
void tr_admin_lost(tr_admin_call *call); /* of such a one: the asker is not there any more, and is told nothing further */
bool tr_admin_is_by(const tr_admin_call *call, const void *ud); /* of such a one: that its asker has */
/* fn is told, once, when nobody hears the answer any more; not from inside the functions below, nor after the end. */
void tr_admin_on_gone(tr_admin_call *call, void (*fn)(void *ud), void *ud);
size_t tr_admin_queued(const tr_admin_call *call); /* bytes that the asker has not taken */
void tr_admin_send(tr_admin_call *call, tr_slice body); /* one text of several */
void tr_admin_done(tr_admin_call *call);
void tr_admin_fail(tr_admin_call *call, int code, const char *text);

/* ---- who asks: one question, one connection ---- */

typedef struct tr_admin_ask tr_admin_ask;
typedef struct tr_admin_ask_options {
  tr_mem *mem;
  const char *verb;
  tr_slice body;
  tr_slice authorization;                                     /* "Bearer …", or nothing; borrowed during tr_admin_ask_new */
  bool tls;                                                   /* what carries it */
  void (*reply)(void *ud, tr_slice body);                     /* each text */
  void (*over)(void *ud, int code, tr_slice text);            /* once; 0: all was told */
  void (*dirty)(void *ud);
  void *ud;
} tr_admin_ask_options;
tr_admin_ask *tr_admin_ask_new(const tr_admin_ask_options *options); /* NULL: out of memory */
void tr_admin_ask_free(tr_admin_ask *ask);                           /* `over`, if it was not told yet */
int tr_admin_ask_feed(tr_admin_ask *ask, tr_slice bytes, int64_t now, tr_error *error);
int tr_admin_ask_output(tr_admin_ask *ask, tr_buf *out, size_t limit);

/* ---- messages: two texts, fields 1 and 2 ---- */
tr_blob *tr_admin_frame(tr_mem *mem, tr_slice first, tr_slice second); /* with gRPC's prefix; NULL: out of memory */
int tr_admin_read(tr_slice bytes, tr_slice *first, tr_slice *second);  /* TR_EINVALID */

#endif
