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

static void send_note(tr_pending *pending, const tr_wire_note *note) {
  tr_client *callee = pending->callee;
  char id[TR_PENDING_ID];
  if (!callee || !callee->troupe || !callee->stream) return;
  tr_slot_write_id(&pending->slot, id);
  tr_blob *frame = tr_wire_encode_note(pending->host->mem, tr_slice_make(id, sizeof id), note);
  if (frame) tr_client_send_lane(callee, frame, false, pending->priority); /* it must not overtake its request */
  tr_blob_unref(frame);
}

static void send_credit(tr_pending *pending, uint32_t parts) {
  tr_wire_note note = { .kind = TR_NOTE_CREDIT, .count = parts };
  send_note(pending, &note);
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
  tr_wire_note note = { .kind = TR_NOTE_CANCEL };
  if (pending->callee) send_note(pending, &note);
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
    if (!pending->oneway && !pending->resends) tr_pending_cancel(pending);
  }
}

/* An agent of this process has given up. */
static void agent_gave_up(tr_holder *holder, tr_msg *request) {
  request->reply_to.answer = NULL;
  tr_pending_cancel(TR_CONTAINER(holder, tr_pending, holder));
}

static void agent_took_parts(tr_holder *holder, tr_msg *request, uint32_t parts) {
  (void)request;
  send_credit(TR_CONTAINER(holder, tr_pending, holder), parts);
}

static void send_probe(tr_pending *pending, const tr_probe *probe) {
  tr_wire_note note = { .kind = TR_NOTE_PROBE, .count = probe->steps, .goal = probe->goal, .call = probe->call };
  send_note(pending, &note);
}

static void agent_probes(tr_holder *holder, tr_msg *request, const tr_probe *probe) {
  (void)request;
  send_probe(TR_CONTAINER(holder, tr_pending, holder), probe);
}

const tr_holder_ops tr_pending_holder_ops = { .cancel = agent_gave_up, .credit = agent_took_parts, .probe = agent_probes };

/* ---- parts of answers ---- */

static int check_size(const tr_host *host, size_t size) { return size <= host->o.max_message ? 0 : TR_ETOO_LARGE; }

static void probe_caller(tr_pending *pending, const tr_probe *probe) {
  tr_wire_note note = { .kind = TR_NOTE_BACK, .count = probe->steps, .goal = probe->goal, .call = probe->call };
  tr_blob *frame = pending->caller->troupe ? tr_wire_encode_note(pending->host->mem, tr_pending_id(pending), &note) : NULL;
  if (frame) tr_client_send_lane(pending->caller, frame, false, pending->priority);
  tr_blob_unref(frame);
}

static int on_local_part(void *ud, uint64_t token, tr_msg *request, tr_reply *part) {
  tr_host *host = ud;
  tr_pending *pending = tr_slots_at(&host->slots, token);
  tr_blob *frame = NULL;
  if (!pending || pending->msg != request) return 0;
  if (part->probe) {
    probe_caller(pending, part->probe);
    return 0;
  }
  int err = tr_wire_encode_part(host->core, part, tr_pending_id(pending), &frame, NULL);
  if (!err) err = check_size(host, frame->len - TR_WIRE_PREFIX);
  if (!err) err = tr_client_send_lane(pending->caller, frame, false, request->priority);
  tr_blob_unref(frame);
  return err;
}

void tr_pending_take_parts(tr_pending *pending) {
  if (pending->caller->troupe) pending->msg->reply_to.part = on_local_part;
  else pending->msg->window = 0;
}

static int part_to_client(tr_pending *pending, const tr_wire_span *span) {
  tr_host *host = pending->host;
  tr_slice id = tr_pending_id(pending);
  int err = check_size(host, tr_wire_splice_size(span, id));
  if (err) return err;
  tr_blob *frame = tr_wire_splice(host->mem, span, id);
  err = frame ? tr_client_send_lane(pending->caller, frame, false, pending->priority) : TR_EMEMORY;
  tr_blob_unref(frame);
  return err;
}

static int part_to_agent(tr_pending *pending, tr_slice bytes, tr_error *error) {
  tr_wire_in in = { 0 };
  int err = tr_wire_decode(pending->host->core, bytes, true, &in, error);
  if (err) return err;
  tr_msg_part(pending->msg, &in.reply);
  tr_wire_in_fini(&in);
  return 0;
}

/* A probe goes the way of the parts. */
static void pass_back(tr_client *callee, tr_slice id, const tr_probe *probe) {
  tr_pending *pending = tr_slots_find(&callee->host->slots, id);
  if (!pending || pending->callee != callee || pending->owed) return;
  if (pending->kind == TR_PENDING_FROM_LOCAL) tr_msg_probe_back(pending->msg, probe);
  else probe_caller(pending, probe);
}

/* One that cannot be passed on ends the request: the rest without it would be another answer. */
static void pass_part(tr_client *callee, tr_slice bytes, const tr_wire_span *span) {
  tr_pending *pending = tr_slots_find(&callee->host->slots, span->request_id);
  tr_error error;
  tr_error_init(&error);
  int err = 0;
  if (!pending && tr_slots_had(&callee->host->slots, span->request_id)) tr_core_late(callee->host->core);
  if (!pending || pending->callee != callee || pending->owed) return;
  if (pending->kind == TR_PENDING_FROM_LOCAL) err = part_to_agent(pending, bytes, &error);
  else if (pending->caller->troupe) err = part_to_client(pending, span);
  else send_credit(pending, 1); /* a caller that cannot know what parts are: its callee is not to wait for it */
  if (!err) return;
  tr_pending_tell_callee(pending);
  tr_pending_fail(pending, err, error.text[0] ? error.text : "a part of the answer could not be passed on");
}

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
  if (!from->troupe || !tr_wire_read_note(span, &note)) return;
  if (note.kind == TR_NOTE_PART) {
    pass_part(from, bytes, span);
    return;
  }
  if (note.kind == TR_NOTE_ACK) {
    tr_resume_acked(from, note.count);
    return;
  }
  if (note.kind >= TR_NOTE_STAGE) {
    tr_owners_note(from, span->request_id, &note);
    return;
  }
  tr_probe probe = { note.goal, note.call, tr_wire_probe_steps(&note) };
  if (note.kind == TR_NOTE_BACK) {
    pass_back(from, span->request_id, &probe);
    return;
  }
  if (note.kind >= TR_NOTE_LEAVE) {
    if (note.kind == TR_NOTE_HAVE) tr_share_have(from, note.type, note.content_type);
    else if (note.kind == TR_NOTE_GIVE) tr_share_give(from);
    else tr_move_note(from, span->request_id, &note);
    return;
  }
  tr_pending *pending = find_call(from, span->request_id);
  if (!pending) return;
  uint32_t count = note.count < UINT32_MAX ? (uint32_t)note.count : UINT32_MAX;
  if (note.kind == TR_NOTE_CANCEL) tr_pending_cancel(pending);
  else if (note.kind == TR_NOTE_CREDIT && pending->callee) send_credit(pending, count);
  else if (note.kind == TR_NOTE_CREDIT && pending->msg) tr_msg_credit(pending->msg, count);
  if (note.kind != TR_NOTE_PROBE) return;
  if (pending->callee) send_probe(pending, &probe);
  else if (pending->msg) tr_msg_probe(pending->msg, &probe);
}
