/* SPDX-License-Identifier: MIT
 * Requests of agents here that wait for an answer from the host.
 *
 * Their request_ids are the tokens of their slots (base/slots.h): an answer finds its request without hashing, and an answer to
 * anything else finds nothing. They begin at a random number: AutoGen's host confuses equal ids of different callers
 * (lessons.md §1), so ours should be like nobody else's.
 *
 * An entry ends exactly once: answered, failed (its deadline, the stream's loss, the worker's end), and for a one-way
 * request after a while: as a dead letter where the host was not there to take it, else silently. The guard at the message's deadline is for the slot more than for the caller: the core ends a
 * call of its own by itself. AutoGen's host never answers a request to an agent type that nobody has. */
#include "worker/internal.h"

/* Its slot is given back; the message's reference goes to the caller. */
tr_msg *tr_worker_request_take(tr_worker_request *request) {
  tr_worker *w = request->worker;
  tr_msg *msg = request->msg;
  request->msg = NULL;
  if (msg->holder == &request->holder) msg->holder = NULL;
  tr_link_remove(&request->link);
  tr_timer_stop(w->timers, &request->guard);
  if (!request->sent) tr_worker_unqueue(w, request->number);
  tr_slots_give(&w->slots, request);
  if (w->leave) tr_worker_touch(w); /* which may wait for it */
  return msg;
}

static void guard(tr_timer *timer);

/* One that never left is lost. Of one that did a troupe host says so where its receiver is lost, which may take that a while to find out. */
static void guard_oneway(tr_worker_request *request) {
  tr_worker *w = request->worker;
  if (!request->sent && !tr_worker_is_handed(w, request->number)) {
    tr_worker_request_fail(request, TR_EUNAVAILABLE, "the host was not there to take it");
  } else if ((w->troupe || !tr_worker_was_heard(w)) && !request->unheard) {
    request->unheard = true;
    tr_timer_start(w->timers, &request->guard, tr_core_now(w->core) + TR_WORKER_UNHEARD - TR_WORKER_ONEWAY, guard);
  } else {
    tr_msg_unref(tr_worker_request_take(request));
  }
}

static void guard(tr_timer *timer) {
  tr_worker_request *request = TR_CONTAINER(timer, tr_worker_request, guard);
  if (request->msg->kind != TR_MSG_REQUEST) {
    guard_oneway(request);
    return;
  }
  tr_worker_tell_cancelled(request);
  tr_worker_request_fail(request, TR_ETIMEOUT, NULL);
}

tr_worker_request *tr_worker_request_new(tr_worker *w, tr_msg *msg) {
  tr_worker_request *request = tr_slots_take(&w->slots);
  if (!request) return NULL;
  request->worker = w;
  request->msg = tr_msg_ref(msg);
  request->holder.ops = &tr_worker_holder_ops;
  if (msg->kind == TR_MSG_REQUEST) msg->holder = &request->holder;
  request->sent = request->unheard = false;
  request->number = UINT64_MAX;
  tr_list_push(&w->requests, &request->link);
  tr_time by = msg->deadline, oneway = tr_core_now(w->core) + TR_WORKER_ONEWAY;
  if (msg->kind != TR_MSG_REQUEST && by > oneway) by = oneway;
  tr_timer_start(w->timers, &request->guard, by, guard); /* TR_NEVER: none */
  return request;
}

void tr_worker_request_answer(tr_worker_request *request, tr_reply *reply) {
  tr_worker *w = request->worker;
  tr_msg *msg = tr_worker_request_take(request);
  if (reply->code == TR_ENOT_FOUND && tr_core_ask_next(w->core, &w->dest, msg, reply->error)) {
    /* another uplink's from now on */
  } else if (msg->kind == TR_MSG_REQUEST) {
    tr_msg_answer(msg, reply);
  } else if (reply->code) {
    char why[256];
    tr_slice text = reply->error;
    text.n = tr_utf8_cut(text, sizeof why - 1);
    if (text.n) memcpy(why, text.p, text.n);
    why[text.n] = 0;
    tr_core_dead_letter(w->core, msg, reply->code, why);
  }
  tr_msg_unref(msg);
}

void tr_worker_request_fail(tr_worker_request *request, int code, const char *text) {
  tr_reply reply = { .code = code, .error = tr_slice_of(text ? text : tr_error_default_text(code)) };
  tr_worker_request_answer(request, &reply);
}

void tr_worker_requests_fail(tr_worker *w, bool only_sent, int code, const char *text) {
  /* Whoever hears of it may ask anew at once: so these are first set apart. */
  tr_link failed;
  tr_list_init(&failed);
  for (tr_link *link = w->requests.next, *next; link != &w->requests; link = next) {
    next = link->next;
    if (only_sent && !TR_CONTAINER(link, tr_worker_request, link)->sent) continue;
    tr_link_remove(link);
    tr_list_push(&failed, link);
  }
  while (!tr_list_empty(&failed))
    tr_worker_request_fail(TR_CONTAINER(failed.next, tr_worker_request, link), code, text);
}
