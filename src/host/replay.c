/* SPDX-License-Identifier: MIT
 * Messages that come twice: a gRPC library that has not had the response headers of OpenChannel when its connection
 * breaks opens the stream again by itself (grpc-previous-rpc-attempts) and repeats what it sent on it (wire.md §10.1).
 *
 * So for each stream the first events and requests that went on are remembered, 64 bits of each id; not for long, since
 * the headers are sent at once: whoever has had a stream for `silent` has them. On a stream that is tried again, what is
 * remembered is dropped. A request that was refused is not remembered, it may be tried anew.
 *
 * A request that is dropped still gets its one answer: its first coming is open yet, or its answer waited for the new
 * stream. Where its answer was lost with the old one it is told just that, rather than done twice.
 *
 * Repeats come in the order of the first time, so looking begins where the last one was found. */
#include "host/internal.h"

#define REMEMBERED 1024
#define LOOKED_AT 4096 /* of a client's open requests, and of its waiting answers: far more than were remembered */
#define LOST UINT64_C(1) /* of an id's bits: a request whose answer was lost */

static uint64_t mark_of(const tr_client *client, tr_wire_kind kind, tr_slice id) {
  const tr_host *host = client->host;
  uint64_t high = tr_hash(host->clients.seed + kind, id), low = tr_hash(host->addresses.seed + kind, id);
  return (high << 32 | low) & ~LOST;
}

static tr_slice id_of(const tr_wire_span *span) {
  return span->kind == TR_WIRE_EVENT ? span->event_id : span->request_id;
}

static uint64_t *find(tr_replay *replay, uint64_t mark) {
  for (uint32_t i = 0; i < replay->count; i++) {
    uint32_t at = replay->next + i;
    if (at >= replay->count) at -= replay->count;
    if ((replay->marks[at] & ~LOST) != mark) continue;
    replay->next = at + 1;
    return &replay->marks[at];
  }
  return NULL;
}

/* ---- remembering ---- */

static bool grow(tr_client *client) {
  tr_replay *replay = &client->replay;
  uint32_t cap = replay->cap ? replay->cap * 2 : 16;
  uint64_t *marks = tr_realloc(client->host->mem, replay->marks, replay->cap * sizeof *marks, cap * sizeof *marks);
  if (!marks) return false;
  replay->marks = marks;
  replay->cap = cap;
  return true;
}

void tr_replay_note(tr_client *client, const tr_wire_span *span) {
  tr_replay *replay = &client->replay;
  tr_slice id = id_of(span);
  if (!replay->open || !id.n) return;
  if (replay->count == REMEMBERED || (replay->count == replay->cap && !grow(client))) {
    replay->open = false; /* what comes later is not remembered: a repeat of it is delivered twice */
    return;
  }
  replay->marks[replay->count++] = mark_of(client, span->kind, id);
}

void tr_replay_forget(tr_client *client) {
  tr_replay *replay = &client->replay;
  tr_free(client->host->mem, replay->marks, replay->cap * sizeof *replay->marks);
  *replay = (tr_replay){ 0 };
}

static void on_committed(tr_timer *timer) { tr_replay_forget(TR_CONTAINER(timer, tr_client, expiry)); }

/* ---- a stream begins ---- */

static void is_owed(tr_client *client, tr_slice id) {
  uint64_t *mark = find(&client->replay, mark_of(client, TR_WIRE_REQUEST, id));
  if (mark) *mark &= ~LOST;
}

/* Which requests are answered on the new stream? Those that are open, and those whose answer waits for it. */
static void settle_requests(tr_client *client) {
  tr_replay *replay = &client->replay;
  size_t n = 0;
  for (uint32_t i = 0; i < replay->count; i++) replay->marks[i] |= LOST; /* on an event it means nothing */
  for (tr_link *link = client->calls.next; link != &client->calls && n++ < LOOKED_AT; link = link->next)
    is_owed(client, tr_pending_id(TR_CONTAINER(link, tr_pending, by_caller)));
  for (size_t i = 0; i < client->backlog.count && i < LOOKED_AT; i++) {
    const tr_waiting *waiting = &client->backlog.items[i];
    tr_wire_span span;
    tr_slice bytes = { (const char *)waiting->frame->data + TR_WIRE_PREFIX, waiting->frame->len - TR_WIRE_PREFIX };
    if (waiting->answer && !tr_wire_walk(bytes, &span, NULL)) is_owed(client, span.request_id);
  }
  replay->next = 0;
}

void tr_replay_begin(tr_client *client, const tr_rpc_call *call) {
  tr_host *host = client->host;
  tr_replay *replay = &client->replay;
  if (tr_rpc_call_header(call, "grpc-previous-rpc-attempts").p && replay->count) {
    settle_requests(client);
    replay->checks = REMEMBERED;
  } else {
    tr_replay_forget(client);
  }
  if (client->troupe) return; /* troupe's workers know what they sent */
  replay->open = true;
  tr_timer_start(host->timers, &client->expiry, tr_core_now(host->core) + host->o.silent, on_committed);
}

/* ---- a message comes ---- */

bool tr_replay_looks(tr_client *client, const tr_wire_span *span) {
  tr_replay *replay = &client->replay;
  tr_slice id = id_of(span);
  if (span->kind == TR_WIRE_RESPONSE || !id.n) return false;
  replay->checks--;
  uint64_t *mark = find(replay, mark_of(client, span->kind, id));
  if (!mark) return false;
  bool lost = *mark & LOST;
  *mark &= ~LOST;
  client->host->stats.repeated++;
  tr_log_write(client->host->log, TR_LOG_DEBUG, "message.repeated", "client=%s id=%.*s", client->id, TR_BRIEF(id));
  if (lost && span->kind == TR_WIRE_REQUEST)
    tr_pending_refuse(client, id, TR_EUNAVAILABLE, "the answer was lost with the connection");
  return true;
}
