/* SPDX-License-Identifier: MIT
 * Open calls: who waits for the answer to a request, and until when.
 *
 * A call lies in a table of slots with generations. What travels with the request is the slot's number and
 * generation, not a pointer: an answer that comes after the deadline, or after tr_call_cancel, finds another
 * generation there and is counted as late. The deadline is one timer. The request itself is known but not counted, so
 * that its last reference can still answer for it (core/message.c).
 *
 * Giving up, by tr_call_cancel or at the deadline, reaches the callee: tr_msg_cancel tells whoever has the request in hand, a turn here
 * or a door that sent it on.
 *
 * `at` and `by` say where the request is inside this core, for waits.c: in a mailbox behind open turns, or being
 * handled. */
#include <stdio.h>

#include "core/internal.h"

#define SLOTS_FIRST 16
#define AT_ONCE INT64_MIN /* as a timer's time: the next step */

static uint64_t token_of(const tr_core *core, uint32_t slot) {
  return (uint64_t)core->call_slots[slot].generation << 32 | slot;
}

uint64_t tr_call_token(const tr_call *call) { return token_of(call->core, call->slot); }

static int slots_grow(tr_core *core) {
  uint32_t cap = core->call_cap ? core->call_cap * 2 : SLOTS_FIRST;
  if (core->call_cap > UINT32_MAX / 2) return TR_EMEMORY;
  void *grown = tr_realloc(core->mem, core->call_slots, core->call_cap * sizeof *core->call_slots,
                           cap * sizeof *core->call_slots);
  if (!grown) return TR_EMEMORY;
  core->call_slots = grown;
  for (uint32_t i = cap; i-- > core->call_cap;) {
    core->call_slots[i] = (struct tr_call_slot){ NULL, 1, core->call_free };
    core->call_free = i + 1;
  }
  core->call_cap = cap;
  return 0;
}

static void early_free(tr_call *call) {
  tr_core *core = call->core;
  if (!call->early) return;
  tr_name_unref(call->early->type);
  tr_body_release(core, &call->early->body);
  tr_free(core->mem, call->early->error, call->early->error_size);
  TR_DELETE(core->mem, call->early);
  call->early = NULL;
}

/* Out of everything that could find it. */
static void detach(tr_call *call) {
  tr_core *core = call->core;
  struct tr_call_slot *slot = &core->call_slots[call->slot];
  tr_timer_stop(core->timers, &call->timer);
  tr_link_remove(&call->by_turn);
  tr_link_remove(&call->by_door);
  slot->call = NULL;
  slot->generation++;
  slot->next = core->call_free;
  core->call_free = call->slot + 1;
  call->closed = true;
  core->stats.open_calls--;
}

static void destroy(tr_call *call) {
  tr_core *core = call->core;
  early_free(call);
  tr_name_unref(call->target_type);
  tr_name_unref(call->target_key);
  tr_pool_give(&core->calls, core->mem, call);
}

static void close_call(tr_call *call, tr_reply *reply) {
  detach(call);
  call->core->stats.replies++;
  call->fn(call->ud, call, reply);
  tr_body_release(call->core, &reply->body); /* if fn did not take it */
  destroy(call);
}

/* The answer came before tr_core_call returned: keep it for the next step, where the caller knows its call. */
static void keep_early(tr_call *call, tr_reply *reply) {
  tr_core *core = call->core;
  call->msg = NULL;
  call->timer_code = reply->code ? reply->code : TR_EMEMORY; /* what there is to say if there is no memory for more */
  call->early = TR_NEW(core->mem, struct tr_early);
  if (call->early) {
    call->early->code = reply->code;
    call->early->unresolved = reply->unresolved;
    if (reply->code) call->early->error = tr_strndup(core->mem, reply->error.p, reply->error.n);
    call->early->error_size = call->early->error ? reply->error.n + 1 : 0;
    call->early->type = tr_name_ref(reply->type);
    call->early->body = reply->body;
    reply->body = (tr_body){ .kind = TR_BODY_NONE };
  }
  tr_timer_start(core->timers, &call->timer, AT_ONCE, call->timer.fn);
  tr_core_wake(core);
}

void tr_call_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  tr_core *core = ud;
  tr_call *call = tr_call_find(core, token);
  (void)request;
  if (!call) {
    core->stats.late_replies++;
    return;
  }
  if (call->making) keep_early(call, reply);
  else close_call(call, reply);
}

void tr_call_fail(tr_call *call, int code, const char *text) {
  tr_reply reply = { .code = code, .error = tr_slice_of(text ? text : tr_error_default_text(code)) };
  close_call(call, &reply);
}

static void close_early(tr_call *call) {
  struct tr_early *early = call->early;
  tr_reply reply = { .code = early->code, .type = early->type, .body = early->body, .unresolved = early->unresolved };
  early->body = (tr_body){ .kind = TR_BODY_NONE };
  if (early->code)
    reply.error = early->error ? tr_slice_make(early->error, early->error_size - 1)
                               : tr_slice_of(tr_error_default_text(early->code));
  close_call(call, &reply);
}

/* Tell whoever waits, and then the callee that nobody does. */
static void fail_and_cancel(tr_call *call, int code, const char *text) {
  tr_msg *msg = call->msg ? tr_msg_ref(call->msg) : NULL;
  tr_call_fail(call, code, text);
  if (!msg) return;
  tr_msg_cancel(msg);
  tr_msg_unref(msg);
}

#define NO_ANSWER "%s/%s did not answer within the deadline"

static void tell(tr_error *error, const char *format, const tr_name *type, const tr_name *key) {
  char text[TR_ERROR_TEXT];
  snprintf(text, sizeof text, format, type->text, key->text);
  text[tr_utf8_cut(tr_slice_of(text), sizeof text - 1)] = 0;
  tr_error_parse(error, tr_slice_of(text));
}

void tr_call_deadlock(tr_call *call) {
  tr_error error = { 0 };
  tell(&error, "waiting for %s/%s closes a circle of waiting agents", call->target_type, call->target_key);
  fail_and_cancel(call, TR_EDEADLOCK, error.text);
}

static void timer_fired(tr_timer *timer) {
  tr_call *call = TR_CONTAINER(timer, tr_call, timer);
  tr_error error = { 0 };
  if (call->early) {
    close_early(call);
    return;
  }
  if (call->parked) { /* it never got into the mailbox: that is the cause to tell */
    tr_parking_fail(call->core, call->parked, TR_EOVERLOADED, NULL);
    return;
  }
  if (call->timer_code == TR_EDEADLOCK) {
    tr_call_deadlock(call);
    return;
  }
  if (call->timer_code == TR_ETIMEOUT) tell(&error, NO_ANSWER, call->target_type, call->target_key);
  fail_and_cancel(call, call->timer_code, error.text[0] ? error.text : NULL);
}

void tr_call_time_out(tr_msg *request) {
  tr_error error = { 0 };
  tell(&error, NO_ANSWER, request->target_type, request->target_key);
  tr_msg_fail(request, TR_ETIMEOUT, error.text);
}

tr_call *tr_call_new(tr_core *core, tr_msg *msg, tr_reply_fn fn, void *ud) {
  if (!core->call_free && slots_grow(core)) return NULL;
  tr_call *call = tr_pool_take_zeroed(&core->calls, core->mem);
  if (!call) return NULL;
  call->core = core;
  call->fn = fn;
  call->ud = ud;
  call->slot = core->call_free - 1;
  core->call_free = core->call_slots[call->slot].next;
  core->call_slots[call->slot].call = call;
  call->target_type = tr_name_ref(msg->target_type);
  call->target_key = tr_name_ref(msg->target_key);
  call->timer_code = TR_ETIMEOUT;
  call->msg = msg;
  msg->reply_to = (tr_reply_to){ tr_call_answer, core, token_of(core, call->slot), msg->window ? tr_call_part : NULL };
  core->stats.open_calls++;
  call->timer.fn = timer_fired;
  tr_timer_start(core->timers, &call->timer, msg->deadline, timer_fired);
  return call;
}

void tr_call_forget(tr_call *call) {
  detach(call);
  destroy(call);
}

void tr_call_drop(tr_msg *msg, tr_link *dropped) {
  tr_call *call = tr_call_of(msg);
  if (msg->reply_to.answer == tr_call_answer) msg->reply_to.answer = NULL;
  if (!call) return;
  detach(call);
  tr_list_push(dropped, &call->by_turn);
}

void tr_calls_free_dropped(tr_link *dropped) {
  for (tr_link *link; (link = tr_list_pop(dropped));) destroy(TR_CONTAINER(link, tr_call, by_turn));
}

void tr_call_cancel(tr_call *call) {
  if (!call || call->closed) return; /* its callback is on the C stack, or its turn failed: freed there */
  tr_msg *msg = call->msg;
  tr_call_forget(call); /* before its callee hears of it: what that answers is late then */
  if (msg) tr_msg_cancel(msg);
}

const tr_msg *tr_call_request(const tr_call *call) { return call->msg; }

void tr_call_background(tr_call *call, bool background) {
  call->background = background;
  if (background || !call->turn || call->closed) return;
  if (!call->at || !tr_waits_in_circle(call->turn, call->at, false)) return;
  call->timer_code = TR_EDEADLOCK; /* told at the next step: its turn is just running */
  tr_timer_start(call->core->timers, &call->timer, AT_ONCE, timer_fired);
}

tr_turn *tr_msg_waiter(const tr_msg *msg) {
  const tr_call *call = tr_call_of(msg);
  return call ? call->turn : NULL;
}

void tr_calls_fini(tr_core *core) {
  for (uint32_t i = 0; i < core->call_cap; i++) /* closing: nobody can make new ones */
    if (core->call_slots[i].call) tr_call_fail(core->call_slots[i].call, TR_EUNAVAILABLE, "the runtime is closing");
  tr_free(core->mem, core->call_slots, core->call_cap * sizeof *core->call_slots);
  core->call_slots = NULL;
  core->call_cap = core->call_free = 0;
}
