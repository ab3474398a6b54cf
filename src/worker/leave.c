/* SPDX-License-Identifier: MIT
 * Leaving: what is queued is sent, then the stream is cancelled as AutoGen's workers do it, then the socket is closed.
 *
 * A reset overtakes: AutoGen's host throws away what it has not read from the stream when RST_STREAM comes (measured: of 1000
 * events sent just before, 5 were delivered; an answered unary call behind them helps nothing, it has a task of its own).
 * So towards a host that is not troupe's a barrier is laid: we register an agent type that is ours alone, send a request to
 * it behind the last message on the stream, and the host hands it back to us. It is refused like any request now, and when that
 * answer has come around too, the host has read all. Troupe's host handles bytes in their order and needs none of that.
 *
 * What was sent one-way is waited for where the host is troupe's: it answers at once.
 *
 * The stages follow each other in tr_worker_output, each when there is nothing more to write. At the deadline all
 * that is cut short. */
#include "worker/internal.h"

#include <stdio.h>

static void cancel(tr_worker *w) {
  w->leave = TR_LEAVE_CANCEL;
  if (w->channel) tr_rpc_cancel(w->channel);
  if (w->control) tr_rpc_cancel(w->control);
  tr_worker_touch(w);
}

/* ---- the barrier ---- */

static tr_slice barrier_type(const tr_worker *w, char out[64]) {
  int n = snprintf(out, 64, "troupe-barrier-%s", w->client_id);
  return tr_slice_make(out, (size_t)n);
}

static void on_echo(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  tr_worker *w = ud;
  (void)request;
  (void)reply;
  if (w->leave == TR_LEAVE_BARRIER && token == w->session) cancel(w);
}

static tr_msg *new_echo(tr_worker *w) {
  char text[64];
  tr_names *names = tr_core_names(w->core);
  tr_msg *msg = tr_msg_new(w->core, TR_MSG_REQUEST);
  if (!msg) return NULL;
  msg->type = tr_name_new(names, TR_SLICE_LITERAL("troupe.barrier"));
  msg->target_type = tr_name_new(names, barrier_type(w, text));
  msg->target_key = tr_name_new(names, TR_SLICE_LITERAL("default"));
  if (msg->type && msg->target_type && msg->target_key) {
    msg->reply_to = (tr_reply_to){ .answer = on_echo, .ud = w, .token = w->session };
    return msg;
  }
  tr_msg_unref(msg);
  return NULL;
}

static bool lay_barrier(tr_worker *w) {
  char text[64];
  if (w->troupe || !w->channel || !w->queue.given) return false;
  return tr_worker_call_new(w, TR_WORKER_BARRIER, tr_wire_encode_register(w->mem, barrier_type(w, text)), NULL) != NULL;
}

void tr_worker_leave_barrier(tr_worker *w, bool registered) {
  if (w->leave != TR_LEAVE_BARRIER) return;
  tr_msg *msg = registered ? new_echo(w) : NULL;
  if (!msg) {
    cancel(w);
    return;
  }
  tr_worker_send_request(w, msg); /* where that fails on_echo is told at once */
  tr_msg_unref(msg);
}

/* ---- the stages ---- */

static void on_leave_timer(tr_timer *timer) { tr_worker_off(TR_CONTAINER(timer, tr_worker, leave_timer), NULL); }

/* A one-way message is there once a troupe host has answered it: until then its loss would be told, true or not. */
static bool awaits_oneway(const tr_worker *w) {
  if (!w->troupe || !w->channel) return false;
  for (const tr_link *link = w->requests.next; link != &w->requests; link = link->next)
    if (TR_CONTAINER(link, tr_worker_request, link)->msg->kind == TR_MSG_SEND) return true;
  return false;
}

static bool all_sent(const tr_worker *w) {
  return tr_worker_queue_empty(&w->queue) && (!w->channel || tr_rpc_queued(w->channel) == 0);
}

void tr_worker_leave_advance(tr_worker *w) {
  if (w->link != TR_LINK_UP) {
    /* With messages queued it goes on dialing until the deadline. */
    if (tr_worker_queue_empty(&w->queue)) tr_timer_start(w->timers, &w->leave_timer, tr_core_now(w->core), on_leave_timer);
    return;
  }
  switch (w->leave) {
  case TR_LEAVE_FLUSH:
    if (!all_sent(w) || awaits_oneway(w)) break;
    w->leave = TR_LEAVE_BARRIER;
    if (!lay_barrier(w)) cancel(w);
    break;
  case TR_LEAVE_CANCEL:
    tr_timer_start(w->timers, &w->leave_timer, tr_core_now(w->core), on_leave_timer);
    break;
  default:
    break;
  }
}

void tr_worker_stop(tr_worker *worker, tr_time deadline) {
  if (worker->state == TR_WORKER_OFF) return;
  bool first = !worker->leave;
  if (first || deadline < worker->leave_timer.when) tr_timer_start(worker->timers, &worker->leave_timer, deadline, on_leave_timer);
  if (!first) return;
  worker->leave = TR_LEAVE_FLUSH;
  tr_timer_stop(worker->timers, &worker->again_timer);
  tr_timer_stop(worker->timers, &worker->sync_timer);
  tr_worker_leave_advance(worker);
}

void tr_worker_off(tr_worker *w, const char *reason) {
  if (w->state == TR_WORKER_OFF) return;
  w->state = TR_WORKER_OFF; /* whatever the others do in answer finds it so */
  if (w->link != TR_LINK_NONE) w->o.hang_up(w->o.ud, w);
  w->link = TR_LINK_NONE;
  if (w->uplinked) tr_core_remove_uplink(w->core, &w->dest);
  w->uplinked = false;
  tr_timer *timers[] = { &w->dial_timer, &w->over_timer, &w->leave_timer, &w->again_timer, &w->sync_timer, &w->pump_timer };
  for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) tr_timer_stop(w->timers, timers[i]);
  w->leave = TR_LEAVE_NO;
  tr_worker_session_end(w);
  tr_worker_requests_fail(w, false, TR_EUNAVAILABLE, "the connection to the host was closed");
  tr_worker_queue_fini(w, "the connection to the host was closed");
  tr_worker_cancel_waits(w, "the connection to the host was closed");
  if (w->o.changed) w->o.changed(w->o.ud, w, TR_WORKER_OFF, reason);
}
