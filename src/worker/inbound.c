/* SPDX-License-Identifier: MIT
 * From the host to agents here: requests, answers, events, as they come on the channel.
 *
 * A request becomes a message whose answer comes back to a *job*: the request_id to answer under and the session it belongs to.
 * It gets an answer whatever happens, and never one with an empty error text (AutoGen's callers would take that for success,
 * or hang). What comes is taken at once and never held back: answers that agents here wait for come by the same stream, behind it.
 *
 * The host sends events to their own sender too. Ours are known by their mark and dropped: agents here had them already, but for those
 * of shared types (core/shared.c). */
#include "worker/internal.h"

#define DEBT_AGAIN TR_MILLISECONDS(100)

/* ---- answering ---- */

static void lost_answer(tr_worker *w, int why) {
  if (tr_worker_worth_a_line(++w->dropped))
    tr_log_write(w->log, TR_LOG_WARN, "answer.lost", "host=%s count=%llu reason=%s", w->address, (unsigned long long)w->dropped,
                 tr_error_name(why));
}

/* The request's priority is its answer's. Own: takes frame (NULL: there was no memory for it). 0, or TR_EMEMORY: to be tried again. */
static int send_answer(tr_worker *w, uint32_t session, uint8_t priority, tr_blob *frame) {
  int err = TR_EMEMORY;
  if (!w->channel || session != w->session) err = TR_EUNAVAILABLE;
  else if (frame) err = tr_worker_push(w, priority, frame, NULL, 0, NULL);
  tr_blob_unref(frame);
  if (!err || err == TR_EMEMORY) return err;
  lost_answer(w, err);
  /* A host that does not even read answers is not worth staying with; its callers hear of it by that. */
  if (err == TR_EOVERLOADED) tr_worker_over(w, false, "the host does not read");
  return 0;
}

static int send_error(tr_worker *w, uint32_t session, tr_slice id, int code, const char *text) {
  if (!text || !text[0]) text = tr_error_default_text(code);
  return send_answer(w, session, TR_PRIORITY_NORMAL, tr_wire_error(w->mem, id, code, tr_slice_of(text)));
}

static int send_reply(tr_worker *w, uint32_t session, tr_slice id, uint8_t priority, const tr_reply *reply) {
  tr_error error;
  tr_error_init(&error);
  tr_blob *frame = NULL;
  int code = tr_wire_encode_reply_as(w->core, reply, id, tr_worker_plain(w), &frame, &error);
  if (!code && frame->len - TR_WIRE_PREFIX > w->o.max_message) {
    code = tr_error_set(&error, TR_ETOO_LARGE, "the answer's %u bytes are more than the limit of %u",
                        (unsigned)(frame->len - TR_WIRE_PREFIX), (unsigned)w->o.max_message);
    tr_blob_unref(frame);
  }
  return code ? send_error(w, session, id, code, error.text) : send_answer(w, session, priority, frame);
}

/* For a request that never became a job: there is no place to remember the debt in. Ending the session tells its caller. */
static void settle(tr_worker *w, int err) {
  if (err) tr_worker_over(w, false, "out of memory");
}

static void answer_error(tr_worker *w, tr_slice id, int code, const char *text) {
  settle(w, send_error(w, w->session, id, code, text));
}

/* ---- jobs ---- */

static tr_slice id_of(const tr_worker_job *job) { return (tr_slice){ job->id, job->id_length }; }

void tr_worker_job_fini(tr_worker_job *job) {
  tr_worker *w = job->worker;
  if (!job->owed) {
    tr_finder_leaves(&w->jobs_by_id, &job->link);
    w->n_jobs--;
  }
  tr_link_remove(&job->link);
  tr_free(job->worker->mem, job, sizeof *job + job->id_length);
}

static void on_debt_timer(tr_timer *timer) {
  tr_worker *w = TR_CONTAINER(timer, tr_worker, debt_timer);
  while (!tr_list_empty(&w->debts)) {
    tr_worker_job *job = TR_CONTAINER(w->debts.next, tr_worker_job, link);
    if (send_error(w, job->session, id_of(job), job->owed, NULL)) {
      tr_timer_start(w->timers, timer, tr_core_now(w->core) + DEBT_AGAIN, on_debt_timer);
      return;
    }
    tr_worker_job_fini(job);
  }
}

/* own: takes the job. */
static void owe(tr_worker_job *job, int code) {
  tr_worker *w = job->worker;
  job->msg = NULL;
  job->owed = code;
  tr_finder_leaves(&w->jobs_by_id, &job->link);
  w->n_jobs--;
  tr_link_remove(&job->link);
  tr_list_push(&w->debts, &job->link);
  if (!tr_timer_running(&w->debt_timer)) tr_timer_start(w->timers, &w->debt_timer, tr_core_now(w->core) + DEBT_AGAIN, on_debt_timer);
}

static void on_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)token;
  tr_worker_job *job = ud;
  if (send_reply(job->worker, job->session, id_of(job), request->priority, reply)) owe(job, reply->code ? reply->code : TR_EMEMORY);
  else tr_worker_job_fini(job);
}

static tr_worker_job *new_job(tr_worker *w, tr_msg *msg, tr_slice id) {
  tr_worker_job *job = tr_alloc(w->mem, sizeof *job + id.n);
  if (!job) return NULL;
  *job = (tr_worker_job){ .worker = w, .msg = msg, .session = w->session, .id_length = (uint32_t)id.n };
  if (id.n) memcpy(job->id, id.p, id.n);
  tr_list_push(&w->jobs, &job->link);
  tr_finder_added(&w->jobs_by_id, &job->link);
  w->n_jobs++;
  msg->reply_to = (tr_reply_to){ .answer = on_answer, .ud = job };
  if (msg->window) tr_worker_take_parts(job);
  return job;
}

/* It goes on without us. */
static void leave_job(tr_worker_job *job) {
  job->msg->reply_to.answer = NULL;
  tr_worker_job_fini(job);
}

void tr_worker_forget_jobs(tr_worker *w) {
  tr_timer_stop(w->timers, &w->debt_timer);
  while (!tr_list_empty(&w->debts)) tr_worker_job_fini(TR_CONTAINER(w->debts.next, tr_worker_job, link));
  while (!tr_list_empty(&w->jobs)) leave_job(TR_CONTAINER(w->jobs.next, tr_worker_job, link));
}

/* It has a token, whether it is the first attempt or one that joined it. */
static bool may_come_again(const tr_msg *msg) { return msg->more && (msg->more->token[0] || msg->more->token[1]); }

/* One that may come again is not cancelled: its next attempt gets its answer (core/resends.c). */
void tr_worker_cancel_jobs(tr_worker *w) {
  while (!tr_list_empty(&w->jobs)) {
    tr_worker_job *job = TR_CONTAINER(w->jobs.next, tr_worker_job, link);
    if (may_come_again(job->msg)) leave_job(job);
    else tr_worker_cancel_job(job);
  }
}

/* ---- what comes ---- */

/* own: takes msg. */
static void take_request(tr_worker *w, tr_msg *msg, tr_slice id) {
  if (w->leave) {
    tr_msg_unref(msg);
    answer_error(w, id, TR_EUNAVAILABLE, "the agent's worker is shutting down");
  } else if (msg->kind == TR_MSG_SEND) {
    /* The agent sees no request; its sender's entry ends with a null answer. */
    int code = tr_core_post(w->core, msg);
    tr_reply none = { .body = { .kind = TR_BODY_NULL } };
    if (code) answer_error(w, id, code, NULL);
    else settle(w, send_reply(w, w->session, id, TR_PRIORITY_NORMAL, &none));
  } else if (new_job(w, msg, id)) {
    tr_core_post(w->core, msg);
  } else {
    tr_msg_unref(msg);
    answer_error(w, id, TR_EMEMORY, NULL);
  }
}

static void take_response(tr_worker *w, tr_wire_in *in) {
  tr_worker_request *request = tr_slots_find(&w->slots, in->request_id);
  if (request) {
    tr_worker_request_answer(request, &in->reply);
  } else if (tr_slots_had(&w->slots, in->request_id)) { /* it was given up */
    tr_core_late(w->core);
  } else if (tr_worker_worth_a_line(++w->strays)) {
    tr_log_write(w->log, TR_LOG_INFO, "answer.unknown", "host=%s count=%llu id=%.*s", w->address, (unsigned long long)w->strays,
                 (int)tr_utf8_cut(in->request_id, 64), in->request_id.n ? in->request_id.p : "");
  }
}

/* A message that goes no further: whoever waits for it is told, where its beginning shows who that is. */
static void fail_by_head(tr_worker *w, tr_slice head, uint64_t size, int code, const char *text) {
  tr_wire_span span = { 0 };
  if (!tr_wire_walk_head(head, size, &span)) return;
  tr_worker_request *request = span.kind == TR_WIRE_RESPONSE ? tr_slots_find(&w->slots, span.request_id) : NULL;
  if (request) tr_worker_request_fail(request, code, text);
  else if (span.kind == TR_WIRE_REQUEST) answer_error(w, span.request_id, code, text);
}

static void not_taken(tr_worker *w, tr_slice bytes, uint64_t size, int code, const tr_error *error) {
  if (tr_worker_worth_a_line(++w->malformed))
    tr_log_write(w->log, TR_LOG_WARN, "message.refused", "host=%s count=%llu size=%llu reason=\"%s\"", w->address,
                 (unsigned long long)w->malformed, (unsigned long long)size, error->text);
  fail_by_head(w, bytes, size, code, error->text);
}

/* An event that was sent from here. */
static bool is_ours(const tr_worker *w, const tr_wire_span *span) {
  if (span->kind != TR_WIRE_EVENT) return false;
  return tr_slice_equal(tr_wire_event_attribute(span->inner, "troupe-origin"), tr_slice_make(w->origin, w->origin_length));
}

void tr_worker_message(tr_worker *w, tr_slice bytes) {
  tr_worker_prove(w);
  tr_wire_span span = { 0 };
  bool ours = false;
  if (!tr_wire_walk(bytes, &span, NULL)) {
    if (span.kind == TR_WIRE_NOTE && w->troupe) tr_worker_note(w, &span);
    if (span.kind == TR_WIRE_NOTE) return;
    if (span.kind == TR_WIRE_EVENT && tr_worker_had_event(w, &span)) return;
    ours = is_ours(w, &span);
    if (ours && !tr_core_has_shared(w->core)) return;
  }
  tr_wire_in in;
  memset(&in, 0, sizeof in);
  tr_error error;
  tr_error_init(&error);
  int code = w->o.inside ? tr_wire_decode_unsealed(w->core, bytes, &in, &error) : tr_wire_decode(w->core, bytes, w->troupe, &in, &error);
  if (code) {
    not_taken(w, bytes, bytes.n, code, &error);
    return;
  }
  tr_msg *msg = in.msg;
  in.msg = NULL;
  if (msg) msg->inside = w->o.inside;
  if (msg && msg->more) msg->more->hops = 0; /* it goes no further up */
  if (ours && tr_msg_get_more(msg)) {
    msg->more->echo = true;
    tr_core_post(w->core, msg);
    msg = NULL;
  } else if (ours) {
    tr_core_dead_letter(w->core, msg, TR_EMEMORY, NULL);
    tr_msg_unref(msg);
    msg = NULL;
  }
  if (in.kind == TR_WIRE_REQUEST) take_request(w, msg, in.request_id);
  else if (in.kind == TR_WIRE_RESPONSE) take_response(w, &in);
  else if (in.kind == TR_WIRE_EVENT && msg) tr_core_post(w->core, msg);
  tr_wire_in_fini(&in);
}

void tr_worker_oversize(tr_worker *w, tr_slice head, uint64_t size) {
  tr_error error;
  tr_error_init(&error);
  tr_error_set(&error, TR_ETOO_LARGE, "%llu bytes are more than the worker's limit of %u", (unsigned long long)size,
               (unsigned)w->o.max_message);
  not_taken(w, head, size, TR_ETOO_LARGE, &error);
}
