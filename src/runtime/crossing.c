/* SPDX-License-Identifier: MIT
 * Messages over the border of isolates: the core's far hooks on one side, what comes out of the inbox on the other.
 *
 * A request that leaves lies in `away` under a token until its answer comes back; on the other side it is a *job*, a call of that core's
 * own (tr_core_relay), so deadlines, chains and cancellation work there as for any other. A job is itself a parcel: where no
 * memory is left for the answer, it goes back in its place and says so. So every request ends, whatever happens.
 *
 * Where a mailbox there is full, the message waits at the mailbox, and the agent that sent it is held until it is in: a word goes back
 * for each of the two (TR_PARCEL_HOLD). Where the link itself is full, the sender's turn waits at the gate. A link waits only for
 * another thread to take what is there, and taking never waits for anything; so two full links cannot lock each other up. */
#include "runtime/isolate.h"

#include <string.h>

/* ---- pushing ---- */

void tr_isolate_push(tr_isolate *from, unsigned to, tr_parcel *parcel) {
  tr_isolate *receiver = from->crew->isolates[to];
  atomic_store(&from->sent, atomic_load_explicit(&from->sent, memory_order_relaxed) + 1);
  if (tr_inbox_push(&receiver->inbox, &parcel->queued)) tr_isolate_wake(receiver);
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

static tr_msg *away_take(tr_isolate *isolate, uint64_t token);
static const tr_holder_ops away_ops;

static void gate_drop(tr_gate *gate, void *item) {
  tr_isolate *isolate = gate_of(gate)->isolate;
  tr_parcel *parcel = item;
  tr_msg *msg = parcel->kind == TR_PARCEL_MESSAGE ? away_take(isolate, parcel->token) : NULL;
  if (msg) tr_msg_unref(msg); /* it is told by whoever drops it, who has a reference too */
  tr_parcel_free(isolate->mem, &parcel->queued);
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

/* ---- requests that are away ---- */

static int away_grow(tr_isolate *isolate) {
  uint32_t cap = isolate->away_cap ? isolate->away_cap * 2 : 64;
  tr_away_slot *grown = tr_realloc(isolate->mem, isolate->away, isolate->away_cap * sizeof *grown, cap * sizeof *grown);
  if (!grown) return TR_EMEMORY;
  for (uint32_t i = cap; i-- > isolate->away_cap;) {
    grown[i] = (tr_away_slot){ NULL, 1, isolate->away_free };
    isolate->away_free = i + 1;
  }
  isolate->away = grown;
  isolate->away_cap = cap;
  return 0;
}

/* A token, or 0: out of memory. Takes a reference, and holds the request. */
static uint64_t away_put(tr_isolate *isolate, tr_msg *msg, unsigned to) {
  if (!isolate->away_free && away_grow(isolate)) return 0;
  uint32_t at = isolate->away_free - 1;
  tr_away *away = TR_NEW(isolate->mem, tr_away);
  if (!away) return 0;
  tr_away_slot *slot = &isolate->away[at];
  isolate->away_free = slot->next;
  slot->away = away;
  *away = (tr_away){ .holder = { &away_ops }, .isolate = isolate, .msg = tr_msg_ref(msg), .to = to,
                     .token = (uint64_t)slot->generation << 32 | at };
  msg->holder = &away->holder;
  return away->token;
}

static tr_msg *away_find(const tr_isolate *isolate, uint64_t token) {
  uint32_t at = (uint32_t)token;
  if (at >= isolate->away_cap || isolate->away[at].generation != token >> 32 || !isolate->away[at].away) return NULL;
  return isolate->away[at].away->msg;
}

/* The request, with its reference; NULL: it is not away any more. */
static tr_msg *away_take(tr_isolate *isolate, uint64_t token) {
  uint32_t at = (uint32_t)token;
  tr_msg *msg = away_find(isolate, token);
  if (!msg) return NULL;
  tr_away_slot *slot = &isolate->away[at];
  if (msg->holder == &slot->away->holder) msg->holder = NULL;
  TR_DELETE(isolate->mem, slot->away);
  slot->away = NULL;
  if (++slot->generation == 0) slot->generation = 1;
  slot->next = isolate->away_free;
  isolate->away_free = at + 1;
  return msg;
}

/* Its caller has given up: so does whoever handles it. */
static void away_cancel(tr_holder *holder, tr_msg *request) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  unsigned to = away->to;
  tr_draft_begin(&isolate->draft, TR_PARCEL_CANCEL);
  isolate->draft.head.token = away->token;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  request->reply_to.answer = NULL;
  tr_msg *msg = away_take(isolate, away->token);
  if (parcel) tr_isolate_push(isolate, to, parcel); /* else it is handled in vain */
  if (msg) tr_msg_unref(msg);
}

/* It took so many parts of the answer. */
static void away_credit(tr_holder *holder, tr_msg *request, uint32_t parts) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  (void)request;
  tr_draft_begin(&isolate->draft, TR_PARCEL_CREDIT);
  isolate->draft.head.token = away->token;
  isolate->draft.head.code = parts < INT32_MAX ? (int32_t)parts : INT32_MAX;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, away->to, parcel);
}

static void away_probe(tr_holder *holder, tr_msg *request, const tr_probe *probe) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  (void)request;
  tr_draft_begin(&isolate->draft, TR_PARCEL_PROBE);
  isolate->draft.head.token = away->token;
  isolate->draft.head.probe = *probe;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, away->to, parcel); /* else the next one */
}

static const tr_holder_ops away_ops = { away_cancel, away_credit, away_probe };

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
    if (!(head->token = away_put(isolate, msg, (unsigned)to))) return tr_core_undeliverable(isolate->core, msg, TR_EMEMORY, NULL);
  }
  uint64_t token = head->token;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  rc = parcel ? push_bounded(isolate, (unsigned)to, parcel, msg, from) : TR_EMEMORY;
  if (!rc) return 0;
  if (parcel) tr_parcel_free(isolate->mem, &parcel->queued);
  tr_msg *held = token ? away_take(isolate, token) : NULL;
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
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, receivers);
  int rc = parcel ? push_bounded(isolate, to, parcel, event, from) : TR_EMEMORY;
  if (rc && parcel) tr_parcel_free(isolate->mem, &parcel->queued);
  return rc;
}

static int publish(void *ud, void *receivers, tr_msg *event, tr_turn *from) {
  tr_isolate *isolate = ud;
  tr_far_list *list = receivers;
  bool rest = isolate->index > 0 && !event->from_wire && atomic_load(&isolate->crew->outward);
  if (!list && !rest) return 0;
  tr_error error;
  tr_error_init(&error);
  int rc = tr_draft_message(&isolate->draft, isolate->script, event, &error);
  if (from && !event->from_wire) isolate->draft.head.origin = (uint8_t)(isolate->index + 1);
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
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) {
    tr_isolate_push(isolate, to, parcel);
  } else if (!waiting) { /* it must not be held for ever for a lack of memory */
    atomic_store(&isolate->crew->isolates[to]->let_go, true);
    tr_isolate_wake(isolate->crew->isolates[to]);
  }
}

static const tr_far_ops far_ops = { home, send_message, add_receiver, publish, wanted, message_waits };

/* ---- jobs ---- */

struct tr_job {
  tr_parcel parcel; /* first: it may go back as the answer */
  tr_isolate *isolate;
  tr_call *call;
};

/* Where the jobs of one caller's isolate are found, by the slot in the token. */
static tr_job **job_place(tr_isolate *isolate, unsigned from, uint64_t token) {
  tr_job_table *table = &isolate->jobs[from];
  uint32_t at = (uint32_t)token;
  if (at >= table->cap) {
    uint32_t cap = table->cap ? table->cap : 64;
    while (cap <= at) cap *= 2;
    tr_job **grown = tr_realloc(isolate->mem, table->jobs, table->cap * sizeof *grown, cap * sizeof *grown);
    if (!grown) return NULL;
    memset(grown + table->cap, 0, (cap - table->cap) * sizeof *grown);
    table->jobs = grown;
    table->cap = cap;
  }
  return &table->jobs[at];
}

static void job_forget(tr_job *job) {
  tr_job **place = job_place(job->isolate, job->parcel.queued.from, job->parcel.token);
  if (place && *place == job) *place = NULL;
}

/* The parcel itself becomes the answer, without a text. own: takes it. */
static void send_back(tr_isolate *isolate, tr_parcel *parcel, int code) {
  unsigned to = parcel->queued.from;
  uint64_t token = parcel->token;
  size_t size = parcel->queued.size;
  *parcel = (tr_parcel){ .kind = TR_PARCEL_ANSWER, .code = code, .token = token };
  for (int i = 0; i < TR_TEXT_COUNT; i++) parcel->texts[i] = UINT32_MAX;
  parcel->queued = (tr_queued){ .size = size, .from = (uint8_t)isolate->index };
  tr_isolate_push(isolate, to, parcel);
}

static void answer(tr_isolate *isolate, unsigned to, uint64_t token, const tr_reply *reply, tr_parcel *spare) {
  tr_error error;
  tr_error_init(&error);
  int rc = tr_draft_answer(&isolate->draft, isolate->script, reply, &error);
  if (rc) {
    tr_reply failed = { .code = rc, .error = tr_slice_of(error.text) };
    rc = tr_draft_answer(&isolate->draft, isolate->script, &failed, &error);
  }
  isolate->draft.head.token = token;
  tr_parcel *parcel = rc ? NULL : tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) {
    tr_isolate_push(isolate, to, parcel);
    tr_parcel_free(isolate->mem, &spare->queued);
  } else {
    send_back(isolate, spare, TR_EMEMORY);
  }
}

static void on_job_done(void *ud, tr_call *call, tr_reply *reply) {
  tr_job *job = ud;
  (void)call;
  job_forget(job);
  answer(job->isolate, job->parcel.queued.from, job->parcel.token, reply, &job->parcel);
}

/* Not bounded by the link: by the credit that the caller gave. */
static void on_part(void *ud, tr_call *call, tr_reply *part) {
  tr_job *job = ud;
  tr_isolate *isolate = job->isolate;
  tr_error error;
  tr_error_init(&error);
  (void)call;
  int rc = tr_draft_answer(&isolate->draft, isolate->script, part, &error);
  isolate->draft.head.kind = TR_PARCEL_PART;
  isolate->draft.head.token = job->parcel.token;
  tr_parcel *parcel = rc ? NULL : tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, job->parcel.queued.from, parcel);
  else tr_log_write(isolate->log, TR_LOG_ERROR, "part.lost", "reason=\"%s\"", rc ? error.text : "out of memory");
}

static tr_job *job_new(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token);
  tr_job *job = place ? isolate->mem->realloc_fn(isolate->mem->ud, NULL, 0, sizeof *job) : NULL;
  if (!job) return NULL;
  *place = job;
  memset(job, 0, sizeof *job);
  job->parcel.queued = (tr_queued){ .size = sizeof *job, .from = parcel->queued.from };
  job->parcel.token = parcel->token;
  job->isolate = isolate;
  return job;
}

static void cancel_job(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token), *job = place ? *place : NULL;
  if (!job || job->parcel.token != parcel->token) return;
  *place = NULL;
  if (job->call) tr_call_cancel(job->call);
  tr_parcel_free(isolate->mem, &job->parcel.queued);
}

/* ---- what comes ---- */

/* own: takes the parcel. */
static void take_message(tr_isolate *isolate, tr_parcel *parcel) {
  tr_error error;
  tr_error_init(&error);
  bool request = parcel->msg_kind == TR_MSG_REQUEST;
  tr_msg *msg = tr_parcel_message(parcel, isolate->core, isolate->script, &error);
  tr_job *job = msg && request ? job_new(isolate, parcel) : NULL;
  if (!request || job) {
    tr_asker asker = parcel->asker;
    if (!msg) tr_log_write(isolate->log, TR_LOG_ERROR, "message.lost", "reason=\"%s\"", error.text);
    tr_parcel_free(isolate->mem, &parcel->queued);
    if (!msg) return;
    if (!request) {
      tr_core_post(isolate->core, msg);
      return;
    }
    job->call = tr_core_relay(isolate->core, msg, asker, on_job_done, job);
    if (job->call) tr_call_on_part(job->call, on_part);
    if (job->call) return;
    job_forget(job);
    send_back(isolate, &job->parcel, TR_EUNAVAILABLE);
    return;
  }
  if (msg) tr_msg_unref(msg);
  send_back(isolate, parcel, error.code ? error.code : TR_EMEMORY);
}

static void give_event(tr_isolate *isolate, const tr_parcel *parcel, tr_msg *event) {
  tr_slice type, key;
  for (size_t at = 0; tr_parcel_next_receiver(parcel, &at, &type, &key);) {
    tr_class *class_ = tr_core_find_class(isolate->core, type);
    tr_name *name = key.p ? tr_name_new(tr_core_names(isolate->core), key) : NULL;
    if (class_ && (name || !key.p)) tr_core_take_event(isolate->core, event, class_, name);
    else tr_core_dead_letter(isolate->core, event, class_ ? TR_EMEMORY : TR_ENOT_FOUND, NULL);
    tr_name_unref(name);
  }
  if (parcel->rest) tr_core_take_event(isolate->core, event, NULL, NULL);
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

static void take_answer(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_msg *msg = away_take(isolate, parcel->token);
  tr_reply reply;
  tr_error error;
  tr_error_init(&error);
  if (!msg) return; /* its caller has given up */
  int rc = tr_parcel_reply(parcel, isolate->core, isolate->script, &reply, &error);
  if (rc) tr_msg_fail(msg, rc, error.text);
  else tr_msg_answer(msg, &reply);
  tr_parcel_reply_fini(&reply, isolate->core);
  tr_msg_unref(msg);
}

static void take_part(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_msg *msg = away_find(isolate, parcel->token);
  tr_reply part;
  tr_error error;
  tr_error_init(&error);
  if (!msg) return;
  int rc = tr_parcel_reply(parcel, isolate->core, isolate->script, &part, &error);
  tr_msg_ref(msg);
  if (rc) { /* the rest without it would be another answer */
    tr_msg_fail(msg, rc, error.text);
    if (msg->holder) away_cancel(msg->holder, msg);
  } else {
    tr_msg_part(msg, &part);
  }
  tr_parcel_reply_fini(&part, isolate->core);
  tr_msg_unref(msg);
}

static tr_job *job_of(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token), *job = place ? *place : NULL;
  return job && job->parcel.token == parcel->token && job->call ? job : NULL;
}

static void take_credit(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job *job = job_of(isolate, parcel);
  if (job) tr_call_credit(job->call, (uint32_t)parcel->code);
}

static void take_probe(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job *job = job_of(isolate, parcel);
  if (job) tr_call_probe(job->call, &parcel->probe);
}

static void take_subscription(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_shared_sub sub = {
    .type = tr_parcel_text(parcel, TR_TEXT_SENDER_TYPE), .topic = tr_parcel_text(parcel, TR_TEXT_TARGET_TYPE),
    .key = tr_parcel_text(parcel, TR_TEXT_TARGET_KEY), .kind = (tr_sub_kind)parcel->msg_kind, .all = parcel->all, .id = parcel->number,
  };
  tr_script_share(isolate->script, &sub, parcel->code);
  if (isolate->index == 0) tr_runtime_sync_uplinks(isolate->crew->rt);
}

/* own: takes the parcel. */
static void take(tr_isolate *isolate, tr_parcel *parcel) {
  switch (parcel->kind) {
  case TR_PARCEL_MESSAGE: take_message(isolate, parcel); return;
  case TR_PARCEL_EVENT: take_event(isolate, parcel); break;
  case TR_PARCEL_ANSWER: take_answer(isolate, parcel); break;
  case TR_PARCEL_PART: take_part(isolate, parcel); break;
  case TR_PARCEL_PROBE: take_probe(isolate, parcel); break;
  case TR_PARCEL_CREDIT: take_credit(isolate, parcel); break;
  case TR_PARCEL_CANCEL: cancel_job(isolate, parcel); break;
  case TR_PARCEL_HOLD:
    tr_core_hold(isolate->core, tr_parcel_text(parcel, TR_TEXT_SENDER_TYPE), tr_parcel_text(parcel, TR_TEXT_SENDER_KEY), parcel->code);
    break;
  case TR_PARCEL_SUBSCRIPTION: take_subscription(isolate, parcel); break;
  case TR_PARCEL_EXIT: tr_runtime_on_exit(isolate->crew->rt, parcel->code); break;
  default: break;
  }
  tr_parcel_free(isolate->mem, &parcel->queued);
}

void tr_isolate_receive(tr_isolate *isolate) {
  tr_queued *next;
  for (tr_queued *item = tr_inbox_take(&isolate->inbox); item; item = next) {
    next = item->next;
    unsigned from = item->from;
    if (tr_inbox_taken(&isolate->inbox, item)) tr_isolate_wake(isolate->crew->isolates[from]);
    take(isolate, (tr_parcel *)item);
    atomic_store(&isolate->taken, atomic_load_explicit(&isolate->taken, memory_order_relaxed) + 1);
  }
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
    tr_parcel_free(isolate->mem, item);
  }
}

/* ---- words to the others ---- */

void tr_isolate_exit(void *ud, int status) {
  tr_isolate *isolate = ud;
  tr_draft_begin(&isolate->draft, TR_PARCEL_EXIT);
  isolate->draft.head.code = status;
  tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, 0, parcel);
  else tr_log_write(isolate->log, TR_LOG_ERROR, "exit.lost", "status=%d reason=out of memory", status);
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
    if (i == isolate->index) continue;
    tr_parcel *parcel = tr_draft_parcel(&isolate->draft, isolate->mem, isolate->index, (tr_slice){ NULL, 0 });
    if (parcel) tr_isolate_push(isolate, i, parcel);
    else tr_log_write(isolate->log, TR_LOG_ERROR, "subscription.lost", "agent_type=%.*s reason=out of memory", TR_SLICE_ARG(sub->type));
  }
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
  tr_core_set_far(isolate->core, &far_ops, isolate, isolate->index, identity);
  return 0;
}

void tr_isolate_leave(tr_isolate *isolate) {
  for (unsigned i = 0; isolate->gates && i < isolate->crew->count; i++) tr_gate_fail(isolate->core, &isolate->gates[i].gate);
  for (uint32_t i = 0; i < isolate->away_cap; i++) {
    tr_msg *msg = isolate->away[i].away ? away_take(isolate, isolate->away[i].away->token) : NULL;
    if (msg) tr_msg_unref(msg);
  }
}

void tr_isolate_close_crossing(tr_isolate *isolate) {
  tr_free(isolate->mem, isolate->gates, isolate->crew->count * sizeof *isolate->gates);
  tr_free(isolate->mem, isolate->away, isolate->away_cap * sizeof *isolate->away);
  for (unsigned i = 0; isolate->jobs && i < isolate->crew->count; i++)
    tr_free(isolate->mem, isolate->jobs[i].jobs, isolate->jobs[i].cap * sizeof(tr_job *));
  tr_free(isolate->mem, isolate->jobs, isolate->crew->count * sizeof *isolate->jobs);
  list_free(isolate, isolate->spare);
}
