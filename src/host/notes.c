/* SPDX-License-Identifier: MIT
 * Notes about open requests (wire/note.h): they go the way of the request that they are about, or of its answer. Only to and from clients
 * that announced themselves as troupe; for others a request that is given up just ends here, and its late answer finds nothing.
 *
 * A caller names a request by its own id, which nothing here is kept by, since that is asked for seldom: base/finder.h.
 *
 * Giving up. A request is given up by its caller's note, by its deadline, and by its caller's going: at once where that was troupe's
 * (its worker has failed its calls already); another may come back with its client-id, until its grace is over. */
#include "host/internal.h"
#include "wire/note.h"

/* ---- to the callee ---- */

static void send_cancel(tr_pending *pending) {
  tr_client *callee = pending->callee;
  char id[TR_PENDING_ID];
  if (!callee->troupe || !callee->stream) return;
  tr_pending_write_id(pending, id);
  tr_blob *frame = tr_wire_cancel(pending->host->mem, tr_slice_make(id, sizeof id));
  if (frame) tr_client_send(callee, frame, false);
  tr_blob_unref(frame);
}

static void cancel_local(tr_pending *pending) {
  tr_msg *msg = tr_msg_ref(pending->msg);
  pending->msg = NULL;
  msg->reply_to.answer = NULL;
  tr_msg_cancel(msg);
  tr_msg_unref(msg);
}

void tr_pending_tell_callee(tr_pending *pending) {
  if (pending->oneway || pending->owed) return;
  pending->host->stats.cancelled++;
  if (pending->callee) send_cancel(pending);
  else if (pending->kind == TR_PENDING_TO_LOCAL && pending->msg) cancel_local(pending);
}

void tr_pending_cancel(tr_pending *pending) {
  tr_pending_tell_callee(pending);
  tr_pending_free(pending);
}

void tr_client_cancel_calls(tr_client *client) {
  for (tr_link *link = client->calls.next, *next; link != &client->calls; link = next) {
    tr_pending *pending = TR_CONTAINER(link, tr_pending, by_caller);
    next = link->next;
    if (!pending->oneway) tr_pending_cancel(pending);
  }
}

/* An agent of this process has given up. */
static void agent_gave_up(tr_holder *holder, tr_msg *request) {
  request->reply_to.answer = NULL;
  tr_pending_cancel(TR_CONTAINER(holder, tr_pending, holder));
}

const tr_holder_ops tr_pending_holder_ops = { .cancel = agent_gave_up };

/* ---- a note comes in ---- */

static tr_slice id_of(const tr_link *link) { return tr_pending_id(TR_CONTAINER(link, tr_pending, by_caller)); }

void tr_notes_init(tr_client *client) {
  uint64_t seed = tr_random_next(tr_core_random(client->host->core));
  tr_finder_init(&client->by_id, client->host->mem, seed, &client->calls, id_of);
}

static tr_pending *find_call(tr_client *caller, tr_slice id) {
  tr_link *link = tr_finder_get(&caller->by_id, caller->n_calls, id);
  return link ? TR_CONTAINER(link, tr_pending, by_caller) : NULL;
}

void tr_notes_take(tr_client *from, tr_slice bytes, const tr_wire_span *span) {
  tr_wire_note note;
  tr_pending *pending;
  (void)bytes;
  if (!from->troupe || !tr_wire_read_note(span, &note)) return;
  if (note.kind == TR_NOTE_CANCEL && (pending = find_call(from, span->request_id))) tr_pending_cancel(pending);
}
