/* SPDX-License-Identifier: MIT
 * What comes out of an isolate's inbox, and the words that isolates tell each other beside messages: a subscription that was made or
 * ended, an exit, an agent that is to be held. Requests and answers go on to job.c and away.c. */
#include "runtime/crossing.h"

/* ---- events ---- */

static void give_event(tr_isolate *isolate, const tr_parcel *parcel, tr_msg *event) {
  tr_slice type, key;
  for (size_t at = 0; tr_parcel_next_receiver(parcel, &at, &type, &key);) {
    tr_class *class_ = tr_core_find_class(isolate->core, type);
    tr_name *name = key.p ? tr_name_new(tr_core_names(isolate->core), key) : NULL;
    if (class_ && (name || !key.p)) tr_core_take_event(isolate->core, event, class_, name);
    else tr_core_dead_letter(isolate->core, event, class_ ? TR_EMEMORY : TR_ENOT_FOUND, NULL);
    tr_name_unref(name);
  }
  if (parcel->rest) tr_core_take_rest(isolate->core, event, parcel->heard);
}

static void take_event(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_error error;
  tr_error_init(&error);
  tr_msg *event = tr_parcel_message(parcel, isolate->core, isolate->script, &error);
  if (!event) {
    tr_log_write(isolate->log, TR_LOG_ERROR, "event.lost", "reason=\"%s\"", error.text);
    return;
  }
  give_event(isolate, parcel, event);
  tr_msg_unref(event);
}

/* ---- words ---- */

static void take_subscription(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_shared_sub sub = {
    .type = tr_parcel_text(parcel, TR_TEXT_SENDER_TYPE), .topic = tr_parcel_text(parcel, TR_TEXT_TARGET_TYPE),
    .key = tr_parcel_text(parcel, TR_TEXT_TARGET_KEY), .kind = (tr_sub_kind)parcel->msg_kind, .all = parcel->all, .id = parcel->number,
  };
  tr_script_share(isolate->script, &sub, parcel->code);
  if (isolate->index == 0) tr_runtime_sync_uplinks(isolate->crew->rt);
}

void tr_isolate_exit(void *ud, int status) {
  tr_isolate *isolate = ud;
  tr_draft_begin(&isolate->draft, TR_PARCEL_EXIT);
  isolate->draft.head.code = status;
  if (!tr_isolate_say(isolate, 0)) tr_log_write(isolate->log, TR_LOG_ERROR, "exit.lost", "status=%d reason=out of memory", status);
}

void tr_isolate_subscribed(void *ud, const tr_shared_sub *sub, bool added) {
  tr_isolate *isolate = ud;
  tr_parcel *head = &isolate->draft.head;
  tr_draft_begin(&isolate->draft, TR_PARCEL_SUBSCRIPTION);
  head->code = added;
  head->number = sub->id;
  head->msg_kind = (uint8_t)sub->kind;
  head->all = sub->all;
  tr_draft_text(&isolate->draft, TR_TEXT_SENDER_TYPE, sub->type);
  tr_draft_text(&isolate->draft, TR_TEXT_TARGET_TYPE, sub->topic);
  tr_draft_text(&isolate->draft, TR_TEXT_TARGET_KEY, sub->key);
  for (unsigned i = 0; i < isolate->crew->count; i++) {
    if (i == isolate->index || tr_isolate_say(isolate, i)) continue;
    tr_log_write(isolate->log, TR_LOG_ERROR, "subscription.lost", "agent_type=%.*s reason=out of memory", TR_SLICE_ARG(sub->type));
  }
}

/* ---- all of it ---- */

/* own: takes the parcel. */
static void take(tr_isolate *isolate, tr_parcel *parcel) {
  switch (parcel->kind) {
  case TR_PARCEL_MESSAGE: tr_job_begin(isolate, parcel); return;
  case TR_PARCEL_EVENT: take_event(isolate, parcel); break;
  case TR_PARCEL_ANSWER: tr_away_answered(isolate, parcel); break;
  case TR_PARCEL_PART: tr_away_part(isolate, parcel); break;
  case TR_PARCEL_PROBE: tr_job_probe(isolate, parcel); break;
  case TR_PARCEL_BACK: tr_away_probed(isolate, parcel); break;
  case TR_PARCEL_CREDIT: tr_job_credit(isolate, parcel); break;
  case TR_PARCEL_CANCEL: tr_job_cancel(isolate, parcel); break;
  case TR_PARCEL_HOLD:
    tr_core_hold(isolate->core, tr_parcel_text(parcel, TR_TEXT_SENDER_TYPE), tr_parcel_text(parcel, TR_TEXT_SENDER_KEY), parcel->code);
    break;
  case TR_PARCEL_STALLED:
    tr_core_probe_stalled(isolate->core, parcel->queued.from, tr_parcel_text(parcel, TR_TEXT_SENDER_TYPE),
                          tr_parcel_text(parcel, TR_TEXT_SENDER_KEY), &parcel->probe);
    break;
  case TR_PARCEL_SUBSCRIPTION: take_subscription(isolate, parcel); break;
  case TR_PARCEL_EXIT: tr_runtime_on_exit(isolate->crew->rt, parcel->code); break;
  default: break;
  }
  tr_parcel_free(&isolate->parcels, &parcel->queued);
}

/* What a parcel leads to may let all stand still, and so lead here again: then what lies before goes first. */
static void take_arrived(tr_isolate *isolate) {
  for (tr_queued *item; (item = isolate->arrived);) {
    isolate->arrived = item->next;
    unsigned from = item->from;
    if (tr_inbox_taken(&isolate->inbox, item)) tr_isolate_wake(isolate->crew->isolates[from]);
    take(isolate, (tr_parcel *)item);
    atomic_store(&isolate->taken, atomic_load_explicit(&isolate->taken, memory_order_relaxed) + 1);
  }
}

void tr_isolate_receive(tr_isolate *isolate) {
  if (isolate->arrived) take_arrived(isolate);
  isolate->arrived = tr_inbox_take(&isolate->inbox);
  take_arrived(isolate);
  for (unsigned i = 0; i < isolate->crew->count; i++)
    if (!tr_list_empty(&isolate->gates[i].gate.parked)) tr_gate_pump(isolate->core, &isolate->gates[i].gate);
  if (atomic_load_explicit(&isolate->let_go, memory_order_relaxed) && atomic_exchange(&isolate->let_go, false)) tr_core_let_go(isolate->core);
}

bool tr_isolate_is_stalled(const tr_isolate *isolate) {
  for (unsigned i = 0; i < isolate->crew->count; i++)
    if (!tr_list_empty(&isolate->gates[i].gate.parked)) return true;
  return false;
}

void tr_isolate_drop_inbox(tr_isolate *isolate) {
  for (tr_queued *item = tr_inbox_take(&isolate->inbox), *next; item; item = next) {
    next = item->next;
    tr_parcel_free(&isolate->parcels, item);
  }
}
