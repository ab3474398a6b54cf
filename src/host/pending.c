/* SPDX-License-Identifier: MIT
 * Open requests: who asked, who has to answer, under which id.
 *
 * Request ids of AutoGen's workers count from "1" in every worker, so the host writes its own, the token
 * of the entry's slot (base/slots.h). An answer to an entry that was freed meanwhile, or that another client should give, is not
 * found; nor can a worker that outlived an earlier host answer this one's requests.
 *
 * An entry ends in tr_pending_free, exactly once, after its caller was answered or is known to be gone. Where memory is too
 * short for an error answer the entry stays as a debt (`owed`), and its guard tries again. */
#include "host/internal.h"

#define RETRY TR_MILLISECONDS(100)

tr_slice tr_pending_id(const tr_pending *pending) {
  if (pending->id_length <= sizeof pending->id.text) return (tr_slice){ pending->id.text, pending->id_length };
  return tr_blob_view(pending->id.blob);
}

/* ---- life ---- */

tr_time tr_pending_deadline(const tr_host *host, tr_time own) {
  if (own != TR_NEVER) return own;
  return host->o.call_timeout == TR_NEVER ? TR_NEVER : tr_core_now(host->core) + host->o.call_timeout;
}

static void guard(tr_timer *timer) {
  tr_pending *pending = TR_CONTAINER(timer, tr_pending, guard);
  if (pending->owed) tr_pending_fail(pending, pending->owed, NULL);
  else if (pending->oneway) tr_pending_free(pending);
  else {
    tr_pending_tell_callee(pending);
    tr_pending_fail(pending, TR_ETIMEOUT, NULL);
  }
}

tr_pending *tr_pending_new(tr_host *host, tr_pending_kind kind, tr_client *caller, tr_client *callee, tr_slice id,
                           tr_time deadline) {
  tr_pending *pending = tr_slots_take(&host->slots);
  if (!pending) return NULL;
  if (id.n > sizeof pending->id.text) {
    tr_blob *blob = tr_blob_copy(host->mem, id);
    if (!blob) {
      tr_slots_give(&host->slots, pending);
      return NULL;
    }
    pending->id.blob = blob;
  } else if (id.n) {
    memcpy(pending->id.text, id.p, id.n);
  }
  pending->host = host;
  pending->id_length = (uint32_t)id.n;
  pending->kind = (uint8_t)kind;
  pending->caller = caller;
  pending->callee = callee;
  if (caller) {
    tr_list_push(&caller->calls, &pending->by_caller);
    caller->n_calls++;
    tr_finder_added(&caller->by_id, &pending->by_caller);
  }
  if (callee) tr_list_push(&callee->work, &pending->by_callee);
  if (deadline != TR_NEVER) tr_timer_start(host->timers, &pending->guard, deadline, guard);
  return pending;
}

/* Nobody can answer it any more. */
static tr_msg *cut_off(tr_pending *pending) {
  tr_msg *msg = pending->msg;
  pending->msg = NULL;
  if (pending->callee) tr_link_remove(&pending->by_callee);
  pending->callee = NULL;
  if (msg && msg->holder == &pending->holder) msg->holder = NULL;
  if (msg && pending->kind == TR_PENDING_TO_LOCAL) msg->reply_to.answer = NULL; /* borrowed: it goes on without us */
  return msg;
}

void tr_pending_free(tr_pending *pending) {
  tr_host *host = pending->host;
  tr_msg *msg = cut_off(pending);
  if (msg && pending->kind == TR_PENDING_FROM_LOCAL) tr_msg_unref(msg);
  if (pending->caller) {
    tr_finder_leaves(&pending->caller->by_id, &pending->by_caller);
    tr_link_remove(&pending->by_caller);
    pending->caller->n_calls--;
    pending->caller = NULL;
  }
  tr_timer_stop(host->timers, &pending->guard);
  if (pending->id_length > sizeof pending->id.text) tr_blob_unref(pending->id.blob);
  pending->kind = TR_PENDING_FREE;
  pending->oneway = pending->resends = false;
  pending->priority = TR_PRIORITY_NORMAL;
  pending->owed = 0;
  tr_slots_give(&host->slots, pending);
  if (host->draining) tr_drain_check(host);
}

/* ---- failing ---- */

/* 0, or TR_EMEMORY. An answer that its caller cannot take counts as given. */
static int answer_error(tr_client *caller, tr_slice id, uint8_t priority, int code, const char *text) {
  if (caller->dotnet) {
    tr_quirk_withhold(caller, "an error answer", NULL, id);
    return 0;
  }
  tr_blob *frame = tr_wire_error(caller->host->mem, id, code, tr_slice_of(text ? text : tr_error_default_text(code)));
  if (!frame) return TR_EMEMORY;
  int err = tr_client_send_lane(caller, frame, true, priority);
  tr_blob_unref(frame);
  return err == TR_EMEMORY ? err : 0;
}

static void owe(tr_pending *pending, int code) {
  pending->owed = code;
  tr_timer_start(pending->host->timers, &pending->guard, tr_core_now(pending->host->core) + RETRY, guard);
}

static void fail_local(tr_pending *pending, int code, const char *text) {
  tr_core *core = pending->host->core;
  tr_msg *msg = cut_off(pending);
  tr_pending_free(pending);
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, code, text);
  else tr_core_dead_letter(core, msg, code, text ? text : tr_error_default_text(code));
  tr_msg_unref(msg);
}

void tr_pending_fail(tr_pending *pending, int code, const char *text) {
  if (pending->kind == TR_PENDING_FROM_LOCAL) {
    fail_local(pending, code, text);
    return;
  }
  cut_off(pending);
  if (pending->caller && answer_error(pending->caller, tr_pending_id(pending), pending->priority, code, text)) owe(pending, code);
  else tr_pending_free(pending);
}

void tr_pending_refuse(tr_client *caller, tr_slice id, int code, const char *text) {
  if (!answer_error(caller, id, TR_PRIORITY_NORMAL, code, text)) return;
  tr_pending *pending = tr_pending_new(caller->host, TR_PENDING_FORWARD, caller, NULL, id, TR_NEVER);
  if (pending) owe(pending, code);
  else tr_log_write(caller->host->log, TR_LOG_ERROR, "answer.lost", "client=%s reason=\"out of memory\"", caller->id);
}

void tr_pending_refuse_refs(tr_client *caller, tr_slice id) {
  tr_blob *frame = tr_wire_unresolved(caller->host->mem, id, TR_EUNAVAILABLE,
                                      tr_slice_of("the agent's worker is not troupe's: results cannot be referred to"));
  if (!frame || tr_client_send(caller, frame, true) == TR_EMEMORY) tr_pending_refuse(caller, id, TR_EMEMORY, NULL);
  tr_blob_unref(frame);
}
