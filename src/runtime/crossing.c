/* SPDX-License-Identifier: MIT
 * Messages on their way to other isolates: the core's far hooks. What comes from there: arrivals.c.
 *
 * A request that leaves lies in away.c until its answer comes; on the other side it is a job (job.c).
 *
 * Where a mailbox there is full, the message waits at the mailbox, and the agent that sent it is held until it is in: a word goes back
 * for each of the two (TR_PARCEL_HOLD). Where the link itself is full, the sender's turn waits at the gate. A link waits only for
 * another thread to take what is there, and taking never waits for anything; so two full links cannot lock each other up. Agents that
 * wait so for each other are found by probes (core/probes.c). */
#include "runtime/crossing.h"

#include <string.h>

/* ---- pushing ---- */

void tr_isolate_push(tr_isolate *from, unsigned to, tr_parcel *parcel) {
  tr_isolate *receiver = from->crew->isolates[to];
  atomic_store(&from->sent, atomic_load_explicit(&from->sent, memory_order_relaxed) + 1);
  if (tr_inbox_push(&receiver->inbox, &parcel->queued)) tr_isolate_wake(receiver);
}

bool tr_isolate_say(tr_isolate *isolate, unsigned to) {
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, &isolate->parcels, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, to, parcel);
  return parcel != NULL;
}

static bool has_room(tr_isolate *from, unsigned to, const tr_parcel *parcel) {
  return tr_inbox_has_room(&from->crew->isolates[to]->inbox, from->index, parcel->queued.size);
}

static tr_isolate_gate *gate_of(tr_gate *gate) { return TR_CONTAINER(gate, tr_isolate_gate, gate); }

static bool gate_deliver(tr_gate *gate, void *parcel) {
  tr_isolate_gate *self = gate_of(gate);
  if (!has_room(self->isolate, self->to, parcel)) return false;
  tr_isolate_push(self->isolate, self->to, parcel);
  return true;
}

static void gate_drop(tr_gate *gate, void *item) {
  tr_isolate *isolate = gate_of(gate)->isolate;
  tr_parcel *parcel = item;
  tr_msg *msg = parcel->kind == TR_PARCEL_MESSAGE ? tr_away_take(isolate, parcel->token) : NULL;
  if (msg) tr_msg_unref(msg); /* it is told by whoever drops it, who has a reference too */
  tr_parcel_free(&isolate->parcels, &parcel->queued);
}

static const tr_gate_ops gate_ops = { gate_deliver, gate_drop };

/* Behind those that wait there, or wait, or be refused. own: takes the parcel if it succeeds. */
static int push_bounded(tr_isolate *isolate, unsigned to, tr_parcel *parcel, tr_msg *msg, tr_turn *from) {
  tr_gate *gate = &isolate->gates[to].gate;
  if (tr_list_empty(&gate->parked) && has_room(isolate, to, parcel)) {
    tr_isolate_push(isolate, to, parcel);
    return 0;
  }
  if (!from || msg->from_wire) return TR_EOVERLOADED;
  return tr_gate_park(isolate->core, gate, msg, from, parcel);
}

/* ---- the core's far hooks ---- */

static int home(void *ud, const tr_class *class_, const tr_name *key) {
  const tr_isolate *isolate = ud;
  unsigned at = tr_crew_home(isolate->crew, class_, tr_name_view(key));
  return at == isolate->index ? -1 : (int)at;
}

static int send_message(void *ud, int to, tr_msg *msg, tr_turn *from) {
  tr_isolate *isolate = ud;
  tr_error error;
  tr_error_init(&error);
  int rc = tr_draft_message(&isolate->draft, isolate->script, msg, &error);
  if (rc) return tr_core_undeliverable(isolate->core, msg, rc, error.text);
  tr_parcel *head = &isolate->draft.head;
  head->kind = TR_PARCEL_MESSAGE; /* an event that goes as a whole, too: it is published there */
  if (from && !msg->from_wire) head->origin = (uint8_t)(isolate->index + 1);
  if (msg->kind == TR_MSG_REQUEST) {
    head->asker = tr_msg_asker(msg);
    if (!(head->token = tr_away_put(isolate, msg, (unsigned)to))) return tr_core_undeliverable(isolate->core, msg, TR_EMEMORY, NULL);
  }
  uint64_t token = head->token;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, &isolate->parcels, isolate->index, (tr_slice){ NULL, 0 });
  rc = parcel ? push_bounded(isolate, (unsigned)to, parcel, msg, from) : TR_EMEMORY;
  if (!rc) return 0;
  if (parcel) tr_parcel_free(&isolate->parcels, &parcel->queued);
  tr_msg *held = token ? tr_away_take(isolate, token) : NULL;
  if (held) tr_msg_unref(held);
  return tr_core_undeliverable(isolate->core, msg, rc,
                               rc == TR_EOVERLOADED ? "the link to the isolate of the receiver is full" : NULL);
}

struct tr_far_list { tr_buf receivers[TR_ISOLATES_MOST]; };

static tr_far_list *list_new(tr_isolate *isolate) {
  tr_far_list *list = isolate->spare;
  isolate->spare = NULL;
  if (list) return list;
  list = TR_NEW(isolate->mem, tr_far_list);
  for (unsigned i = 0; list && i < isolate->crew->count; i++) tr_buf_init(&list->receivers[i], isolate->mem);
  return list;
}

static void list_free(tr_isolate *isolate, tr_far_list *list) {
  if (!list) return;
  for (unsigned i = 0; i < isolate->crew->count; i++) tr_buf_fini(&list->receivers[i]);
  TR_DELETE(isolate->mem, list);
}

static void list_give(tr_isolate *isolate, tr_far_list *list) {
  if (!list) return;
  if (isolate->spare) {
    list_free(isolate, list);
    return;
  }
  for (unsigned i = 0; i < isolate->crew->count; i++) tr_buf_clear(&list->receivers[i]);
  isolate->spare = list;
}

static int add_receiver(void *ud, void **out, const tr_class *class_, const tr_name *key, int to) {
  tr_isolate *isolate = ud;
  tr_far_list *list = *out ? *out : (*out = list_new(isolate));
  if (!list) return TR_EMEMORY;
  tr_slice type = tr_name_view(tr_class_type(class_)), none = { NULL, 0 };
  if (key) return tr_receiver_add(&list->receivers[to], type, tr_name_view(key)) ? 0 : TR_EMEMORY;
  for (unsigned i = 0; i < isolate->crew->count; i++)
    if (i != isolate->index && !tr_receiver_add(&list->receivers[i], type, none)) return TR_EMEMORY;
  return 0;
}

static int push_event(tr_isolate *isolate, unsigned to, tr_msg *event, tr_turn *from, tr_slice receivers, bool rest) {
  isolate->draft.head.rest = rest;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, &isolate->parcels, isolate->index, receivers);
  int rc = parcel ? push_bounded(isolate, to, parcel, event, from) : TR_EMEMORY;
  if (rc && parcel) tr_parcel_free(&isolate->parcels, &parcel->queued);
  return rc;
}

static int publish(void *ud, void *receivers, tr_msg *event, tr_turn *from, bool *heard) {
  tr_isolate *isolate = ud;
  tr_far_list *list = receivers;
  bool rest = isolate->index > 0 && !event->from_wire && atomic_load(&isolate->crew->outward);
  if (!list && !rest) return 0;
  tr_error error;
  tr_error_init(&error);
  int rc = tr_draft_message(&isolate->draft, isolate->script, event, &error);
  if (from && !event->from_wire) isolate->draft.head.origin = (uint8_t)(isolate->index + 1);
  isolate->draft.head.heard = *heard;
  *heard = *heard || rest;
  for (unsigned i = 0; !rc && i < isolate->crew->count; i++) {
    tr_slice to = list ? tr_buf_view(&list->receivers[i]) : (tr_slice){ NULL, 0 };
    if (!to.n && !(rest && i == 0)) continue;
    int one = push_event(isolate, i, event, from, to, rest && i == 0);
    if (one) tr_core_dead_letter(isolate->core, event, one, one == TR_EOVERLOADED ? "the link to another isolate is full" : NULL);
  }
  list_give(isolate, list);
  return rc ? tr_core_undeliverable(isolate->core, event, rc, error.text) : 0;
}

static bool wanted(void *ud) { return atomic_load(&((tr_isolate *)ud)->crew->outward); }
static bool has_way_up(void *ud) { return atomic_load(&((tr_isolate *)ud)->crew->way_up); }

static void message_waits(void *ud, tr_msg *msg, bool waiting) {
  tr_isolate *isolate = ud;
  unsigned to = msg->origin - 1u;
  if (!msg->sender_type || to >= isolate->crew->count) return;
  if (to == isolate->index) { /* it went by another one */
    tr_core_hold(isolate->core, tr_name_view(msg->sender_type), tr_name_view(msg->sender_key), waiting);
    return;
  }
  tr_draft_begin(&isolate->draft, TR_PARCEL_HOLD);
  isolate->draft.head.code = waiting;
  tr_draft_text(&isolate->draft, TR_TEXT_SENDER_TYPE, tr_name_view(msg->sender_type));
  tr_draft_text(&isolate->draft, TR_TEXT_SENDER_KEY, tr_name_view(msg->sender_key));
  if (!tr_isolate_say(isolate, to) && !waiting) { /* it must not be held for ever for a lack of memory */
    atomic_store(&isolate->crew->isolates[to]->let_go, true);
    tr_isolate_wake(isolate->crew->isolates[to]);
  }
}

static void agent_stalled(void *ud, const tr_agent *agent, const tr_probe *probe) {
  tr_isolate *isolate = ud;
  tr_draft_begin(&isolate->draft, TR_PARCEL_STALLED);
  isolate->draft.head.probe = *probe;
  tr_draft_text(&isolate->draft, TR_TEXT_SENDER_TYPE, tr_name_view(tr_class_type(agent->class_)));
  tr_draft_text(&isolate->draft, TR_TEXT_SENDER_KEY, tr_name_view(agent->key));
  for (unsigned i = 0; i < isolate->crew->count; i++)
    if (i != isolate->index) tr_isolate_say(isolate, i); /* or the next one */
}

static const tr_far_ops far_ops = { home, send_message, add_receiver, publish, wanted, has_way_up, message_waits, agent_stalled };

/* ---- an agent that lives elsewhere now ---- */

void tr_isolate_forward(tr_isolate *isolate, tr_msg *msg, const tr_agent *agent) {
  tr_isolate *first = isolate->crew->isolates[0];
  tr_error error;
  tr_buf receivers;
  tr_error_init(&error);
  if (!tr_inbox_has_room(&first->inbox, isolate->index, TR_LINK_BYTES / 2)) tr_isolate_receive(first);
  if (msg->kind != TR_MSG_EVENT) {
    send_message(isolate, 0, msg, NULL);
    return;
  }
  tr_buf_init(&receivers, isolate->mem);
  int rc = tr_draft_message(&isolate->draft, isolate->script, msg, &error);
  if (!rc && !tr_receiver_add(&receivers, tr_name_view(tr_class_type(agent->class_)), tr_name_view(agent->key))) rc = TR_EMEMORY;
  if (!rc) rc = push_event(isolate, 0, msg, NULL, tr_buf_view(&receivers), false);
  tr_buf_fini(&receivers);
  if (rc) tr_core_dead_letter(isolate->core, msg, rc, error.code ? error.text : NULL);
}

void tr_isolate_send_up(tr_isolate *isolate, tr_msg *request) {
  if (!has_way_up(isolate)) {
    tr_msg_fail(request, TR_EUNAVAILABLE, "the agent was moved");
    return;
  }
  request->inside = true; /* also one that came down */
  if (request->more) request->more->keep_ms = 0; /* as in forward.c */
  send_message(isolate, 0, request, NULL);
}

/* ---- opened and closed ---- */

int tr_isolate_open_crossing(tr_isolate *isolate, uint64_t identity) {
  unsigned count = isolate->crew->count;
  isolate->gates = tr_calloc(isolate->mem, count, sizeof *isolate->gates);
  if (!isolate->gates) return TR_EMEMORY;
  for (unsigned i = 0; i < count; i++) {
    isolate->gates[i].isolate = isolate;
    isolate->gates[i].to = i;
    tr_gate_init(&isolate->gates[i].gate, &gate_ops);
  }
  isolate->jobs = tr_calloc(isolate->mem, count, sizeof *isolate->jobs);
  if (!isolate->jobs) return TR_EMEMORY;
  tr_core_set_far(isolate->core, &far_ops, isolate, isolate->index, count, identity);
  return 0;
}

void tr_isolate_leave(tr_isolate *isolate) {
  for (unsigned i = 0; isolate->gates && i < isolate->crew->count; i++) tr_gate_fail(isolate->core, &isolate->gates[i].gate);
  tr_away_leave(isolate);
}

void tr_isolate_close_crossing(tr_isolate *isolate) {
  tr_free(isolate->mem, isolate->gates, isolate->crew->count * sizeof *isolate->gates);
  tr_free(isolate->mem, isolate->away, isolate->away_cap * sizeof *isolate->away);
  for (unsigned i = 0; isolate->jobs && i < isolate->crew->count; i++)
    tr_free(isolate->mem, isolate->jobs[i].jobs, isolate->jobs[i].cap * sizeof(tr_job *));
  tr_free(isolate->mem, isolate->jobs, isolate->crew->count * sizeof *isolate->jobs);
  list_free(isolate, isolate->spare);
  tr_parcels_fini(&isolate->parcels);
}
