/* SPDX-License-Identifier: MIT
 * Notes about open requests (wire/note.h), to and from a troupe host. AutoGen's host is told nothing: what agents here give up goes on
 * there, and its late answer finds no request.
 *
 * Requests of agents here are named by our own ids (requests.c); those that agents here answer by the host's, which they are looked up
 * by only when a note comes: base/finder.h. */
#include "wire/note.h"
#include "worker/internal.h"

/* ---- agents here gave up ---- */

static void push(tr_worker *w, tr_blob *frame) {
  if (frame) tr_worker_push(w, TR_PRIORITY_NORMAL, frame, NULL, 0, NULL); /* as an answer: it belongs to this stream */
  tr_blob_unref(frame);
}

/* Has it, or a part of it, gone out on this stream? */
static bool has_left(const tr_worker_request *request) {
  return request->sent || tr_worker_is_handed(request->worker, request->number);
}

void tr_worker_tell_cancelled(tr_worker_request *request) {
  tr_worker *w = request->worker;
  char id[TR_WORKER_ID];
  if (!w->troupe || !w->channel || w->over || !has_left(request)) return;
  tr_slot_write_id(&request->slot, id);
  push(w, tr_wire_cancel(w->mem, tr_slice_make(id, sizeof id)));
}

static void agent_gave_up(tr_holder *holder, tr_msg *msg) {
  tr_worker_request *request = TR_CONTAINER(holder, tr_worker_request, holder);
  tr_worker_tell_cancelled(request);
  msg->reply_to.answer = NULL;
  tr_msg_unref(tr_worker_request_take(request));
}

static void agent_took_parts(tr_holder *holder, tr_msg *msg, uint32_t parts) {
  tr_worker_request *request = TR_CONTAINER(holder, tr_worker_request, holder);
  tr_worker *w = request->worker;
  char id[TR_WORKER_ID];
  (void)msg;
  if (!w->troupe || !w->channel || w->over) return;
  tr_slot_write_id(&request->slot, id);
  push(w, tr_wire_credit(w->mem, tr_slice_make(id, sizeof id), parts));
}

static void agent_probes(tr_holder *holder, tr_msg *msg, const tr_probe *probe) {
  const tr_worker_request *request = TR_CONTAINER(holder, tr_worker_request, holder);
  tr_worker *w = request->worker;
  char id[TR_WORKER_ID];
  tr_wire_note note = { .kind = TR_NOTE_PROBE, .count = probe->steps, .goal = probe->goal, .call = probe->call };
  (void)msg;
  if (!w->troupe || !w->channel || w->over || !has_left(request)) return;
  tr_slot_write_id(&request->slot, id);
  push(w, tr_wire_encode_note(w->mem, tr_slice_make(id, sizeof id), &note));
}

const tr_holder_ops tr_worker_holder_ops = { .cancel = agent_gave_up, .credit = agent_took_parts, .probe = agent_probes };

/* ---- agents here give parts of their answers ---- */

static int on_part(void *ud, uint64_t token, tr_msg *request, tr_reply *part) {
  const tr_worker_job *job = ud;
  tr_worker *w = job->worker;
  tr_blob *frame = NULL;
  (void)token;
  if (!w->channel || job->session != w->session) return 0; /* its turn is being ended */
  if (part->probe) {
    tr_wire_note note = { .kind = TR_NOTE_BACK, .count = part->probe->steps, .goal = part->probe->goal, .call = part->probe->call };
    push(w, tr_wire_encode_note(w->mem, tr_slice_make(job->id, job->id_length), &note));
    return 0;
  }
  int err = tr_wire_encode_part(w->core, part, tr_slice_make(job->id, job->id_length), &frame, NULL);
  if (!err && frame->len - TR_WIRE_PREFIX > w->o.max_message) err = TR_ETOO_LARGE;
  if (!err) err = tr_worker_push(w, request->priority, frame, NULL, 0, NULL); /* in order with the answer */
  tr_blob_unref(frame);
  return err;
}

void tr_worker_take_parts(tr_worker_job *job) {
  tr_msg *msg = job->msg;
  if (job->worker->troupe) msg->reply_to.part = on_part;
  else msg->window = 0;
}

/* ---- a note comes ---- */

static tr_slice id_of(const tr_link *link) {
  const tr_worker_job *job = TR_CONTAINER(link, tr_worker_job, link);
  return tr_slice_make(job->id, job->id_length);
}

void tr_worker_notes_init(tr_worker *w) {
  tr_finder_init(&w->jobs_by_id, w->mem, tr_random_next(tr_core_random(w->core)), &w->jobs, id_of);
}

void tr_worker_cancel_job(tr_worker_job *job) {
  tr_msg *msg = tr_msg_ref(job->msg);
  msg->reply_to.answer = NULL;
  tr_worker_job_fini(job);
  tr_msg_cancel(msg);
  tr_msg_unref(msg);
}

static void take_part(tr_worker *w, const tr_wire_span *span) {
  tr_worker_request *request = tr_slots_find(&w->slots, span->request_id);
  tr_wire_in in;
  tr_error error;
  tr_error_init(&error);
  if (!request) {
    tr_core_late(w->core);
    return;
  }
  int err = tr_wire_decode(w->core, span->whole, true, &in, &error);
  if (err) { /* the rest without it would be another answer */
    tr_worker_tell_cancelled(request);
    tr_worker_request_fail(request, err, error.text);
    return;
  }
  tr_msg_part(request->msg, &in.reply);
  tr_wire_in_fini(&in);
}

void tr_worker_note(tr_worker *w, const tr_wire_span *span) {
  tr_wire_note note;
  if (!tr_wire_read_note(span, &note)) return;
  if (note.kind == TR_NOTE_PART) {
    take_part(w, span);
    return;
  }
  if (note.kind == TR_NOTE_ACK) {
    tr_worker_acked(w, note.count);
    return;
  }
  if (note.kind >= TR_NOTE_STAGE) {
    tr_worker_reload_note(w, span, &note);
    return;
  }
  if (note.kind == TR_NOTE_BACK) {
    const tr_worker_request *request = tr_slots_find(&w->slots, span->request_id);
    if (request) tr_msg_probe_back(request->msg, &(tr_probe){ note.goal, note.call, tr_wire_probe_steps(&note) });
    return;
  }
  if (note.kind >= TR_NOTE_LEAVE) {
    tr_worker_move_note(w, span, &note);
    return;
  }
  tr_link *link = tr_finder_get(&w->jobs_by_id, w->n_jobs, span->request_id);
  if (!link) return;
  tr_worker_job *job = TR_CONTAINER(link, tr_worker_job, link);
  if (note.kind == TR_NOTE_CANCEL) tr_worker_cancel_job(job);
  else if (note.kind == TR_NOTE_CREDIT) tr_msg_credit(job->msg, note.count < UINT32_MAX ? (uint32_t)note.count : UINT32_MAX);
  else if (note.kind == TR_NOTE_PROBE) tr_msg_probe(job->msg, &(tr_probe){ note.goal, note.call, tr_wire_probe_steps(&note) });
}
