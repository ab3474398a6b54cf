/* SPDX-License-Identifier: MIT
 * Requests of agents here that another isolate has: where they are found when the answer comes, by a token that travels with them.
 *
 * Whoever gives one up, takes parts of its answer or looks for circles tells the other isolate by a word; those are never refused and
 * never wait, since each is about one request. What the other end does with them: job.c. */
#include "runtime/crossing.h"

#include <string.h>

static const tr_holder_ops away_ops;

static int grow(tr_isolate *isolate) {
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

uint64_t tr_away_put(tr_isolate *isolate, tr_msg *msg, unsigned to) {
  if (!isolate->away_free && grow(isolate)) return 0;
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

static tr_msg *find(const tr_isolate *isolate, uint64_t token) {
  uint32_t at = (uint32_t)token;
  if (at >= isolate->away_cap || isolate->away[at].generation != token >> 32 || !isolate->away[at].away) return NULL;
  return isolate->away[at].away->msg;
}

tr_msg *tr_away_take(tr_isolate *isolate, uint64_t token) {
  uint32_t at = (uint32_t)token;
  tr_msg *msg = find(isolate, token);
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
static void cancel(tr_holder *holder, tr_msg *request) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  unsigned to = away->to;
  tr_draft_begin(&isolate->draft, TR_PARCEL_CANCEL);
  isolate->draft.head.token = away->token;
  request->reply_to.answer = NULL;
  tr_msg *msg = tr_away_take(isolate, away->token);
  tr_isolate_say(isolate, to); /* or it is handled in vain */
  if (msg) tr_msg_unref(msg);
}

/* It took so many parts of the answer. */
static void credit(tr_holder *holder, tr_msg *request, uint32_t parts) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  (void)request;
  tr_draft_begin(&isolate->draft, TR_PARCEL_CREDIT);
  isolate->draft.head.token = away->token;
  isolate->draft.head.code = parts < INT32_MAX ? (int32_t)parts : INT32_MAX;
  tr_isolate_say(isolate, away->to);
}

static void probe_it(tr_holder *holder, tr_msg *request, const tr_probe *probe) {
  tr_away *away = TR_CONTAINER(holder, tr_away, holder);
  tr_isolate *isolate = away->isolate;
  (void)request;
  tr_draft_begin(&isolate->draft, TR_PARCEL_PROBE);
  isolate->draft.head.token = away->token;
  isolate->draft.head.probe = *probe;
  tr_isolate_say(isolate, away->to); /* or the next one */
}

static const tr_holder_ops away_ops = { cancel, credit, probe_it };

void tr_away_leave(tr_isolate *isolate) {
  for (uint32_t i = 0; i < isolate->away_cap; i++) {
    tr_msg *msg = isolate->away[i].away ? tr_away_take(isolate, isolate->away[i].away->token) : NULL;
    if (msg) tr_msg_unref(msg);
  }
}

/* ---- what comes back ---- */

void tr_away_answered(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_msg *msg = tr_away_take(isolate, parcel->token);
  tr_reply reply;
  tr_error error;
  tr_error_init(&error);
  if (!msg) return; /* its caller has given up */
  if (msg->more) msg->more->keep_ms = 0; /* it was kept there, or there was no room for it */
  int rc = tr_parcel_reply(parcel, isolate->core, isolate->script, &reply, &error);
  if (rc) tr_msg_fail(msg, rc, error.text);
  else tr_msg_answer(msg, &reply);
  tr_parcel_reply_fini(&reply, isolate->core);
  tr_msg_unref(msg);
}

void tr_away_part(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_msg *msg = find(isolate, parcel->token);
  tr_reply part;
  tr_error error;
  tr_error_init(&error);
  if (!msg) return;
  int rc = tr_parcel_reply(parcel, isolate->core, isolate->script, &part, &error);
  tr_msg_ref(msg);
  if (rc) { /* the rest without it would be another answer */
    tr_msg_fail(msg, rc, error.text);
    if (msg->holder) cancel(msg->holder, msg);
  } else {
    tr_msg_part(msg, &part);
  }
  tr_parcel_reply_fini(&part, isolate->core);
  tr_msg_unref(msg);
}

void tr_away_probed(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_msg *msg = find(isolate, parcel->token);
  if (msg) tr_msg_probe_back(msg, &parcel->probe);
}
