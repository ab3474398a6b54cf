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
  if (frame) tr_worker_push(w, frame, NULL, 0, NULL); /* as an answer: it belongs to this stream */
  tr_blob_unref(frame);
}

/* Has it, or a part of it, gone out on this stream? */
static bool has_left(const tr_worker_request *request) {
  return request->sent || request->number < request->worker->queue.handed;
}

void tr_worker_tell_cancelled(tr_worker_request *request) {
  tr_worker *w = request->worker;
  char id[TR_WORKER_ID];
  if (!w->troupe || !w->channel || w->over || !has_left(request)) return;
  tr_worker_request_id(request, id);
  push(w, tr_wire_cancel(w->mem, tr_slice_make(id, sizeof id)));
}

static void agent_gave_up(tr_holder *holder, tr_msg *msg) {
  tr_worker_request *request = TR_CONTAINER(holder, tr_worker_request, holder);
  tr_worker_tell_cancelled(request);
  msg->reply_to.answer = NULL;
  tr_msg_unref(tr_worker_request_take(request));
}

const tr_holder_ops tr_worker_holder_ops = { .cancel = agent_gave_up };

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

void tr_worker_note(tr_worker *w, const tr_wire_span *span) {
  tr_wire_note note;
  if (!tr_wire_read_note(span, &note)) return;
  if (note.kind != TR_NOTE_CANCEL) return;
  tr_link *job = tr_finder_get(&w->jobs_by_id, w->n_jobs, span->request_id);
  if (job) tr_worker_cancel_job(TR_CONTAINER(job, tr_worker_job, link));
}
