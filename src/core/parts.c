/* SPDX-License-Identifier: MIT
 * Parts of an answer, given before it: ctx:yield to ctx:stream.
 *
 * A request whose caller takes parts says how many may come before it takes the first (msg->window). That is the callee's credit: each
 * part spends one, the caller gives more as it takes them, and a turn without credit waits. So what lies between the two is bounded,
 * however many processes are in between: the parts go the way of the answer (reply_to.part), the credit the way of the request
 * (tr_msg_credit, by its holder). Where nobody takes parts they are dropped, and their turn does not even wait.
 *
 * A turn that waits for credit waits for its caller: core/waits.c. */
#include "core/internal.h"

#define CREDIT_MOST 1024 /* whatever a caller says */

/* ---- the caller's ---- */

int tr_call_part(void *ud, uint64_t token, tr_msg *request, tr_reply *part) {
  tr_call *call = tr_call_find(ud, token);
  (void)request;
  if (part->probe) {
    if (call && call->turn) tr_probe_taker(call, part->probe);
    else if (call && call->relayed && call->part) call->part(call->ud, call, part);
  } else if (!call || !call->part) tr_core_late(ud);
  else call->part(call->ud, call, part);
  return 0;
}

void tr_call_on_part(tr_call *call, tr_part_fn fn) { call->part = fn; }

void tr_call_credit(tr_call *call, uint32_t parts) {
  if (call->msg) tr_msg_credit(call->msg, parts);
}

/* ---- on their way ---- */

int tr_msg_part(tr_msg *request, tr_reply *part) {
  tr_reply_to *to = &request->reply_to;
  int err = to->part && !request->cancelled ? to->part(to->ud, to->token, request, part) : 0;
  tr_body_release(request->core, &part->body); /* if nobody took it */
  return err;
}

void tr_msg_probe_back(tr_msg *request, const tr_probe *probe) {
  tr_reply back = { .probe = probe };
  tr_msg_part(request, &back);
}

void tr_msg_credit(tr_msg *request, uint32_t parts) {
  tr_holder *holder = request->holder;
  if (holder && holder->ops->credit) holder->ops->credit(holder, request, parts);
}

/* ---- the callee's ---- */

bool tr_turn_takes_parts(const tr_turn *turn) {
  const tr_turn_entry *own = (const tr_turn_entry *)turn;
  const tr_msg *msg = turn->msg;
  return msg && msg->kind == TR_MSG_REQUEST && msg->window && msg->reply_to.part && !own->failed && !own->deferred;
}

bool tr_turn_has_credit(tr_turn *turn) {
  tr_turn_entry *own = tr_turn_own(turn);
  own->starved = own->credit == 0;
  return !own->starved;
}

int tr_turn_part(tr_turn *turn, tr_body *body) {
  tr_reply part = { .type = turn->msg->type, .body = *body };
  *body = (tr_body){ .kind = TR_BODY_NONE };
  tr_turn_own(turn)->credit--;
  return tr_msg_part(turn->msg, &part);
}

void tr_turn_credit(tr_turn *turn, uint32_t parts) {
  tr_turn_entry *own = tr_turn_own(turn);
  own->credit = parts < CREDIT_MOST - own->credit ? own->credit + parts : CREDIT_MOST;
  if (!own->starved || turn->state != TR_TURN_WAITING) return;
  own->starved = false;
  tr_turn_wake(turn);
}
