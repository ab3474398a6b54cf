/* SPDX-License-Identifier: MIT
 * Events that a broken connection would lose, between this host and troupe's workers (docs/wire.md §10.4; the other end: worker/resume.c).
 *
 * Each side numbers the messages that it sends to the other by their order on the wire, and counts those that come. When the worker
 * opens its stream again (same client-id), each says in its headers how many it has had: the other side sends again what comes after
 * that, in order and before anything new, and nothing twice. What was acknowledged need not be kept: an acknowledgement is a note with the count,
 * sent a little after events came, or after many.
 *
 * Only events are sent again: of requests and answers that were on their way both ends have told their callers. What is kept is bounded
 * in number and bytes, past that the oldest are given up, as all are for other peers.
 *
 * What was queued and never left is kept for any client that may come back, troupe's or not: it cannot have had it. */
#include "host/internal.h"
#include "wire/note.h"

#ifdef TR_HOSTILE
#define ACK_EACH 2u
#else
#define ACK_EACH 256u
#endif
#define KEPT_MOST 4096u /* messages; a power of two */
#define KEPT_BYTES ((size_t)4 << 20)
#define ACK_AFTER TR_MILLISECONDS(25)

static bool is_event(const tr_blob *frame) { /* field 3 comes first: nobody writes it otherwise */
  return frame->len > TR_WIRE_PREFIX && frame->data[TR_WIRE_PREFIX] == (TR_WIRE_EVENT << 3 | 2);
}
static bool is_answer(const tr_blob *frame) {
  return frame->len > TR_WIRE_PREFIX && frame->data[TR_WIRE_PREFIX] == (TR_WIRE_RESPONSE << 3 | 2);
}

/* ---- what was sent ---- */

static tr_blob **slot(tr_sent *sent, uint64_t number) { return &sent->frames[number & (sent->cap - 1)]; }

static void release_oldest(tr_sent *sent) {
  tr_blob *frame = *slot(sent, sent->acked++ + 1);
  if (!frame) return;
  sent->bytes -= frame->len;
  tr_blob_unref(frame);
}

static void release_to(tr_sent *sent, uint64_t number) {
  while (sent->acked < sent->last && sent->acked < number) release_oldest(sent);
}

static bool grow(tr_client *client) {
  tr_sent *sent = &client->sent;
  uint32_t cap = sent->cap ? sent->cap * 2 : 16;
  tr_blob **frames = cap <= KEPT_MOST ? tr_alloc(client->host->mem, cap * sizeof *frames) : NULL;
  if (!frames) return false;
  for (uint64_t n = sent->acked + 1; n <= sent->last; n++) frames[n & (cap - 1)] = *slot(sent, n);
  tr_free(client->host->mem, sent->frames, sent->cap * sizeof *frames);
  sent->frames = frames;
  sent->cap = cap;
  return true;
}

void tr_resume_sent(tr_client *client, tr_blob *frame) {
  tr_sent *sent = &client->sent;
  bool keep = is_event(frame) && frame->len <= KEPT_BYTES;
  if (sent->acked == sent->last && !keep) { /* the usual case where no events go to it */
    sent->acked = ++sent->last;
    return;
  }
  while (sent->acked < sent->last && sent->bytes + frame->len > KEPT_BYTES) release_oldest(sent);
  if (sent->last - sent->acked == sent->cap && !grow(client)) {
    if (!sent->cap) { /* no memory at all */
      sent->acked = ++sent->last;
      return;
    }
    release_oldest(sent);
  }
  *slot(sent, ++sent->last) = keep ? tr_blob_ref(frame) : NULL;
  if (keep) sent->bytes += frame->len;
}

void tr_resume_forget(tr_client *client) {
  release_to(&client->sent, client->sent.last);
  tr_free(client->host->mem, client->sent.frames, client->sent.cap * sizeof(tr_blob *));
  client->sent = (tr_sent){ 0 };
  client->had = 0;
  tr_timer_stop(client->host->timers, &client->ack);
}

/* Some may have come: that is not known of what was not acknowledged. */
void tr_resume_lost(tr_client *client) {
  unsigned dead = 0;
  for (uint64_t n = client->sent.acked + 1; n <= client->sent.last; n++) {
    tr_blob *frame = *slot(&client->sent, n);
    if (frame) tr_deliver_lost(client->host, client, frame, TR_EUNAVAILABLE, "its worker did not come back, and had not said that it has it", dead++ < TR_LETTERS_AT_ONCE);
  }
}

static const char lost[] = "the connection to its worker was lost";

/* What could not be kept: told when the queue is not looked at any more, since who hears of it may be sent to by this very stream. */
typedef struct losses { tr_client *client; struct { tr_blob *frame; int code; } *items; size_t count, cap; } losses;

static bool remember(losses *self, tr_blob *frame, int code) {
  if (self->count == self->cap) {
    size_t cap = self->cap ? self->cap * 2 : 16;
    void *grown = cap > TR_LETTERS_AT_ONCE * 2 ? NULL : tr_realloc(self->client->host->mem, self->items, self->cap * sizeof *self->items, cap * sizeof *self->items);
    if (!grown) return false;
    self->items = grown;
    self->cap = cap;
  }
  self->items[self->count].frame = tr_blob_ref(frame);
  self->items[self->count++].code = code;
  return true;
}

static void salvage(void *ud, tr_blob *frame, tr_lane_kind lane) {
  losses *self = ud;
  tr_client *client = self->client;
  bool answer = is_answer(frame);
  if (!is_event(frame) && (!answer || client->troupe)) return;
  int err = tr_client_keep(client, frame, answer, (uint8_t)lane);
  if (err && !answer && !remember(self, frame, err)) tr_deliver_lost(client->host, client, frame, err, lost, false);
}

void tr_resume_salvage(tr_client *client, tr_rpc_call *call) {
  losses all = { .client = client };
  tr_rpc_unsent(call, salvage, &all);
  for (size_t i = 0; i < all.count; i++) {
    tr_deliver_lost(client->host, client, all.items[i].frame, all.items[i].code, lost, true);
    tr_blob_unref(all.items[i].frame);
  }
  tr_free(client->host->mem, all.items, all.cap * sizeof *all.items);
}

static uint64_t read_number(tr_slice text, bool *is) {
  uint64_t number = 0;
  *is = text.n > 0 && text.n < 20;
  for (size_t i = 0; i < text.n && *is; i++) {
    *is = text.p[i] >= '0' && text.p[i] <= '9';
    number = number * 10 + (uint64_t)(text.p[i] - '0');
  }
  return *is ? number : 0;
}

/* Whether the numbers of both mean the same. A worker sends nothing before it has read what we answer: so where nothing has come since we
 * said that we do not know it, it may not have heard that, if the answer was lost with its connection. Then we say it again. */
bool tr_resume_knows(const tr_client *client, const tr_rpc_call *call) {
  bool is;
  read_number(tr_rpc_call_header(call, TR_RECEIVED_HEADER), &is);
  return is && client->had > 0;
}

void tr_resume_begin(tr_client *client, tr_rpc_call *call) {
  tr_sent *sent = &client->sent;
  bool is, known = tr_resume_knows(client, call);
  uint64_t had = read_number(tr_rpc_call_header(call, TR_RECEIVED_HEADER), &is);
  if (!is) tr_resume_forget(client); /* it has forgotten us */
  if (!client->troupe) return;
  tr_rpc_keep(call);
  if (had > sent->last) had = known ? sent->last : 0; /* a number from before we forgot it: so it has had nothing of this */
  release_to(sent, had);
  unsigned dead = 0;
  uint64_t first = sent->acked + 1, last = sent->last;
  sent->last = sent->acked = known ? had : 0; /* they get their numbers anew, as they go out */
  for (uint64_t n = first; n <= last; n++) {
    tr_blob *frame = *slot(sent, n);
    if (!frame) continue;
    sent->bytes -= frame->len;
    client->host->stats.resent++;
    int err = tr_client_send(client, frame, false);
    if (err) tr_deliver_lost(client->host, client, frame, err, "it could not be sent again", dead++ < TR_LETTERS_AT_ONCE);
    tr_blob_unref(frame);
  }
}

/* ---- what came ---- */

static void send_ack(tr_client *client) {
  tr_wire_note note = { .kind = TR_NOTE_ACK, .count = client->had };
  client->unacked = 0;
  tr_timer_stop(client->host->timers, &client->ack);
  if (!client->stream) return;
  tr_blob *frame = tr_wire_encode_note(client->host->mem, (tr_slice){ NULL, 0 }, &note);
  if (frame) tr_client_send(client, frame, true); /* without memory: the next one says it, too */
  tr_blob_unref(frame);
}

static void on_ack(tr_timer *timer) { send_ack(TR_CONTAINER(timer, tr_client, ack)); }

void tr_resume_owes(tr_client *client) {
  if (++client->unacked >= ACK_EACH) send_ack(client);
  else if (client->unacked == 1) tr_timer_start(client->host->timers, &client->ack, tr_core_now(client->host->core) + ACK_AFTER, on_ack);
}

void tr_resume_acked(tr_client *client, uint64_t number) { release_to(&client->sent, number); }
