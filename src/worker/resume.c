/* SPDX-License-Identifier: MIT
 * Events that a broken connection would lose, the worker's end (host/resume.c has the rule, docs/wire.md §10.4 the words).
 *
 * Out: an event stays in its ring when it was written, behind what waits, until the host has acknowledged it. When the stream is opened
 * again nothing is sent until the host has said how many messages it has had; what it has not had goes back to the front of what waits.
 * A host that has no record of us (it was restarted) may have passed on what it did not acknowledge: that is sent again with
 * a mark, and receivers of troupe's look whether they have had it. So is what was written to somebody from whom not a byte came (a proxy
 * before a host that is away, say). A host that is not troupe's, or says nothing of all this, gets nothing twice: what was written is gone, as it
 * always was.
 *
 * In: messages are counted, and acknowledged a little after events came. The last events are remembered, for
 * those that come with the mark (wire/again.c). */
#include <stdio.h>

#include "wire/note.h"
#include "worker/internal.h"

#ifdef TR_HOSTILE
#define ACK_EACH 2u
#else
#define ACK_EACH 256u
#endif
#define ACK_AFTER TR_MILLISECONDS(25)
#define PATIENCE TR_SECONDS(2) /* for the headers of a host that was troupe's */
#define BESIDE TR_MILLISECONDS(100) /* an answered PING may overtake them */

/* ---- beginning a session ---- */

static uint64_t reads(const tr_worker *w) { return (uint64_t)2 << 32 | w->session; } /* as in leave.c */

/* Only who is known to read what we send, and says nothing, is no troupe host any more: what goes out from then on may be lost with the
 * connection. A host that is frozen, or that we do not get through to, will end the session. */
static void on_patience(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, resume_timer);
  if (!w->read) {
    if (w->heard_any) tr_rpc_ping(w->rpc, reads(w));
    tr_timer_start(w->timers, timer, tr_core_now(w->core) + PATIENCE, on_patience);
    tr_worker_touch(w);
    return;
  }
  tr_worker_requeue(w, false, 0, false);
  w->resuming = w->known = false;
  w->late = true; /* what goes out now has no numbers that the host could know */
  tr_worker_touch(w);
}

void tr_worker_resume_pong(tr_worker *w, uint64_t payload) {
  if (!w->resuming || w->read || payload != reads(w)) return;
  w->read = true;
  tr_timer_start(w->timers, &w->resume_timer, tr_core_now(w->core) + BESIDE, on_patience);
}

size_t tr_worker_resume_header(tr_worker *w, char out[24]) {
  w->acks = w->late = w->read = false;
  w->unacked = 0;
  tr_timer_stop(w->timers, &w->ack_timer);
  w->resuming = w->known;
  if (!w->known) { /* a new client-id: nobody can say what came of the old one's */
    tr_worker_requeue(w, false, 0, false);
    w->received = w->queue.number = 0;
  }
  if (w->resuming) tr_timer_start(w->timers, &w->resume_timer, tr_core_now(w->core) + PATIENCE, on_patience);
  return w->known ? (size_t)snprintf(out, 24, "%llu", (unsigned long long)w->received) : 0;
}

void tr_worker_resumed(tr_worker *w, tr_slice text) {
  uint64_t had = 0;
  bool none = tr_slice_is(text, TR_RECEIVED_NOTHING), number = text.n > 0 && text.n < 20;
  for (size_t i = 0; i < text.n && number; i++) {
    number = text.p[i] >= '0' && text.p[i] <= '9';
    had = had * 10 + (uint64_t)(text.p[i] - '0');
  }
  w->acks = !w->late && (none || number);
  if (none || !number) w->received = had = 0;
  if (w->resuming) {
    tr_worker_requeue(w, w->acks, had, none);
    w->queue.number = had;
  } else if (!w->acks) {
    tr_worker_acked(w, UINT64_MAX); /* it will never say what it has had */
  }
  w->known = w->acks;
  w->resuming = false;
  tr_timer_stop(w->timers, &w->resume_timer);
  tr_worker_touch(w);
}

void tr_worker_resume_stop(tr_worker *w) {
  w->resuming = false;
  tr_timer_stop(w->timers, &w->resume_timer);
  tr_timer_stop(w->timers, &w->ack_timer);
}

/* ---- acknowledging ---- */

static void send_ack(tr_worker *w) {
  tr_wire_note note = { .kind = TR_NOTE_ACK, .count = w->received };
  w->unacked = 0;
  tr_timer_stop(w->timers, &w->ack_timer);
  if (!w->channel || w->over || w->leave) return;
  tr_blob *frame = tr_wire_encode_note(w->mem, (tr_slice){ NULL, 0 }, &note);
  if (frame) tr_worker_push(w, TR_PRIORITY_NORMAL, frame, NULL, 0, NULL); /* else the next one says it, too */
  tr_blob_unref(frame);
}

static void on_ack(tr_timer *timer) { send_ack(TR_CONTAINER(timer, tr_worker, ack_timer)); }

static void owes(tr_worker *w) {
  if (++w->unacked >= ACK_EACH) send_ack(w);
  else if (w->unacked == 1) tr_timer_start(w->timers, &w->ack_timer, tr_core_now(w->core) + ACK_AFTER, on_ack);
}

/* ---- have we had it? ---- */

bool tr_worker_had_event(tr_worker *w, const tr_wire_span *span) {
  if (w->acks) owes(w);
  else if (!w->late) return false; /* late: a troupe host, to which nothing is acknowledged; it may pass on what we have had, all the same */
  return tr_again_had(&w->seen, w->mem, span);
}
