/* SPDX-License-Identifier: MIT
 * Operators that come by a door: troupe.Admin (proto/troupe.proto) on the port where workers join. This file knows who asks and what they may;
 * what they ask, and the answers, are the runtime's (runtime/operator_door.c).
 *
 * Nobody may by default, not even in plaintext from this machine: a port is reached by every user of it, the operator's socket only by its
 * owner. A file of rights says who may (observe, operate, evaluate); without one the operator may have said what all may
 * who come from here or are known by a token or a certificate. */
#include <stdio.h>

#include "host/internal.h"

#define QUESTION_MAX (1u << 20)

void tr_asked_serve(tr_host_stream *stream) {
  tr_host *host = stream->conn->host;
  tr_slice bytes = tr_blob_view(stream->message);
  tr_timer_stop(host->timers, &stream->limit); /* of the question; an answer may take its time */
  if (!host->o.asked) tr_host_stream_end(stream, TR_GRPC_UNIMPLEMENTED, "nobody answers operators here");
  else if (host->draining) tr_host_stream_end(stream, TR_GRPC_UNAVAILABLE, "the host is shutting down");
  else if (bytes.n > QUESTION_MAX) tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "the question is larger than 1 MiB");
  else if (!(stream->question = host->o.asked(host->o.ud, stream, bytes)) && !stream->ended)
    tr_host_stream_end(stream, TR_GRPC_RESOURCE_EXHAUSTED, "too many questions, or out of memory");
}

void tr_asked_closed(tr_host_stream *stream) {
  tr_host *host = stream->conn->host;
  void *question = stream->question;
  stream->question = NULL;
  if (question) host->o.unasked(host->o.ud, question);
}

/* ---- who may ---- */

static bool from_here(const tr_visitor *visitor) {
  tr_slice from = tr_slice_of(visitor->conn->address->text);
  return tr_slice_is(from, "unix") || tr_slice_starts(from, TR_SLICE_LITERAL("127.")) || tr_slice_is(from, "[::1]") || tr_slice_is(from, "::1") ||
         tr_slice_starts(from, TR_SLICE_LITERAL("[::ffff:127."));
}

const char *tr_visitor_name(const tr_visitor *visitor, char out[128]) {
  tr_slice name = tr_access_name(visitor->who);
  snprintf(out, 128, "%.*s", name.n < 127 ? (int)name.n : 127, name.p);
  return out;
}

int tr_visitor_may(const tr_visitor *visitor, tr_right right, tr_error *error) {
  tr_host *host = visitor->conn->host;
  tr_slice none = { NULL, 0 };
  const char *name = tr_right_name(right);
  char who[128];
  bool may = false;
  if (host->rights) {
    const tr_rights_entry *entry = tr_rights_find(host->rights, tr_who_names(visitor->who));
    may = entry && tr_rights_allow(entry, right, none, none);
  } else if (host->o.operators >= right) {
    may = from_here(visitor) || tr_who_names(visitor->who).n > 0;
  }
  if (may) return 0;
  host->stats.denied++;
  tr_visitor_name(visitor, who);
  if (host->rights) return tr_error_set(error, TR_EPERMISSION, "%s may not (%s = yes in the host's rights would grant it)", who, name);
  if (host->o.operators >= right)
    return tr_error_set(error, TR_EPERMISSION, "%s may not from another machine (a token, a certificate, or %s = yes in the host's rights would grant it)", who, name);
  return tr_error_set(error, TR_EPERMISSION, "operators may not by this door (%s = yes in the host's --rights, or its --operators %s, would grant it)", name, name);
}

/* ---- answering ---- */

bool tr_visitor_send(tr_visitor *visitor, tr_blob *frame) { return !visitor->ended && tr_host_stream_answer(visitor, frame); }

void tr_visitor_end(tr_visitor *visitor, int status, const char *text) { tr_host_stream_end(visitor, status, text); }

size_t tr_visitor_queued(const tr_visitor *visitor) { return visitor->ended ? 0 : tr_rpc_queued(visitor->call); }
