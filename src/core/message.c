/* SPDX-License-Identifier: MIT
 * Messages: their life, their bodies, and the answer that every request gets exactly once.
 *
 * A request that was answered has its reply_to pointed at `answered`, which only counts: so a second answer is
 * noticed without a flag, and the last reference to go sees whether somebody is still waiting. That is the safety net
 * under every other file: a request that is dropped anywhere, for whatever reason, is answered `unavailable` here. */
#include <stdio.h>

#include "core/internal.h"

tr_msg *tr_msg_new(tr_core *core, tr_msg_kind kind) {
  tr_msg *msg = tr_pool_take_zeroed(&core->messages, core->mem);
  if (!msg) return NULL;
  msg->refs = 1;
  msg->kind = (uint8_t)kind;
  msg->core = core;
  msg->deadline = TR_NEVER;
  msg->number = ++core->last_number;
  return msg;
}

void tr_core_late(tr_core *core) { core->stats.late_replies++; }

tr_msg_more *tr_msg_get_more(tr_msg *msg) {
  if (!msg->more) msg->more = TR_NEW(msg->core->mem, tr_msg_more);
  return msg->more;
}

/* What few messages have. */
static TR_APART void free_rare(tr_msg *msg) {
  if (msg->frame) tr_blob_unref(msg->frame);
  if (msg->meta) tr_meta_free(msg->meta);
  if (msg->id) tr_name_unref(msg->id);
  if (!msg->more) return;
  if (msg->more->resend) tr_resend_dropped(msg->more->resend, msg->deadline);
  tr_blob_unref(msg->more->refs);
  tr_blob_unref(msg->more->visit);
  tr_name_unref(msg->more->as);
  tr_name_unref(msg->more->types);
  TR_DELETE(msg->core->mem, msg->more);
}

static void answered(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  (void)token;
  (void)request;
  (void)reply;
  tr_core_late(ud);
}

/* Of what is no request, somebody may wait to hear that it was handled: it is answered when it goes. */
static bool is_waited_for(const tr_msg *msg) {
  return msg->reply_to.answer && msg->reply_to.answer != answered;
}

/* The last reference goes while somebody waits: tell them. True: now it may go. */
static TR_APART bool answer_last(tr_msg *msg) {
  msg->refs = 1; /* whoever hears the answer may keep the request */
  tr_reply handled = { .body = { .kind = TR_BODY_NULL } };
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, TR_EUNAVAILABLE, "the request was dropped without an answer");
  else tr_msg_answer(msg, &handled);
  return --msg->refs == 0;
}

bool tr_msg_is_awaited(const tr_msg *msg) { return is_waited_for(msg) && !msg->cancelled; }

void tr_msg_unref(tr_msg *msg) {
  if (--msg->refs > 0) return;
  tr_core *core = msg->core;
  if (is_waited_for(msg) && !answer_last(msg)) return;
  if (msg->body.kind >= TR_BODY_SLOT) tr_body_release(core, &msg->body);
  tr_name_unref(msg->type);
  tr_name_unref(msg->sender_type);
  tr_name_unref(msg->sender_key);
  tr_name_unref(msg->target_type);
  tr_name_unref(msg->target_key);
  if (msg->frame || msg->meta || msg->more || msg->id) free_rare(msg);
  tr_pool_give(&core->messages, core->mem, msg);
}

tr_slice tr_msg_id(const tr_msg *msg, char out[TR_MSG_ID_MAX]) {
  if (msg->id) return tr_name_view(msg->id);
  int n = snprintf(out, TR_MSG_ID_MAX, "%016llx-%llu", (unsigned long long)msg->core->identity,
                   (unsigned long long)msg->number);
  return tr_slice_make(out, (size_t)n);
}

void tr_msg_answer(tr_msg *request, tr_reply *reply) {
  tr_reply_to to = request->reply_to;
  if (reply->code != TR_OK && reply->error.n == 0) reply->error = tr_slice_of(tr_error_default_text(reply->code));
  request->reply_to = (tr_reply_to){ .answer = answered, .ud = request->core };
  if (request->more && request->from_wire) {
    tr_result_keep(request, reply);
    if (request->more->resend) tr_resend_answered(request, reply);
  }
  tr_core *core = request->core;
  if (core->observe && to.answer && to.answer != answered && !request->crossed)
    core->observe(core->observe_ud, &(tr_seen){ .kind = TR_SEEN_ANSWERED, .msg = request, .reply = reply, .code = reply->code });
  if (to.answer) to.answer(to.ud, to.token, request, reply);
  tr_body_release(request->core, &reply->body); /* if nobody took it */
}

void tr_msg_fail(tr_msg *request, int code, const char *text) {
  tr_reply reply = { .code = code, .error = tr_slice_of(text ? text : tr_error_default_text(code)) };
  tr_msg_answer(request, &reply);
}

void tr_msg_cancel(tr_msg *request) {
  if (request->cancelled) return;
  if (request->more && request->more->resend && tr_resend_is_awaited(request->more->resend)) return; /* sent again, and waited for */
  request->cancelled = true;
  if (request->holder) request->holder->ops->cancel(request->holder, request);
}

void tr_msg_unresolved(tr_msg *request, int code, const char *text) {
  tr_reply reply = { .code = code, .error = tr_slice_of(text ? text : tr_error_default_text(code)), .unresolved = true };
  tr_msg_answer(request, &reply);
}

tr_msg *tr_msg_again(const tr_msg *msg, bool with_body) {
  tr_core *core = msg->core;
  char id[TR_MSG_ID_MAX];
  tr_msg *copy = tr_msg_new(core, TR_MSG_REQUEST);
  if (!copy) return NULL;
  copy->priority = msg->priority;
  copy->troupe_peer = msg->troupe_peer;
  copy->type = tr_name_ref(msg->type);
  copy->sender_type = tr_name_ref(msg->sender_type);
  copy->sender_key = tr_name_ref(msg->sender_key);
  copy->target_type = tr_name_ref(msg->target_type);
  copy->target_key = tr_name_ref(msg->target_key);
  copy->chain = msg->chain;
  copy->via = msg->via;
  copy->id = tr_name_new(core->names, tr_msg_id(msg, id));
  bool good = copy->id;
  if (good && msg->more && msg->more->token[0]) {
    good = tr_msg_get_more(copy);
    if (good) memcpy(copy->more->token, msg->more->token, sizeof copy->more->token);
  }
  if (msg->meta) copy->meta = tr_meta_new(core->mem);
  for (size_t i = 0; good && msg->meta && i < tr_meta_count(msg->meta); i++) {
    tr_slice key, value;
    tr_meta_at(msg->meta, i, &key, &value);
    good = copy->meta && tr_meta_set(copy->meta, key, value) == 0;
  }
  if (good && with_body && msg->body.kind == TR_BODY_SLOT) {
    const tr_body_ops *ops = &core->body;
    uint32_t slot = ops->copy(ops->ud, msg->body.slot);
    if (slot) copy->body = (tr_body){ .kind = TR_BODY_SLOT, .format = msg->body.format, .slot = slot, .size = msg->body.size };
    good = slot;
  } else if (good && with_body) { /* else it would be let go of twice */
    copy->body = msg->body;
    if (msg->body.kind == TR_BODY_BYTES) tr_blob_ref(msg->body.bytes);
  }
  if (good) return copy;
  tr_msg_unref(copy);
  return NULL;
}

/* ---- bodies ---- */

void tr_body_release(tr_core *core, tr_body *body) {
  if (body->kind >= TR_BODY_BYTES) tr_blob_unref(body->bytes);
  else if (body->kind == TR_BODY_SLOT && core->body.release) core->body.release(core->body.ud, body->slot);
  *body = (tr_body){ .kind = TR_BODY_NONE };
}

static int encode(tr_core *core, const tr_body *body, tr_format wanted, tr_blob **out, tr_error *error) {
  const tr_body_ops *ops = &core->body;
  bool slot = body->kind == TR_BODY_SLOT;
  tr_buf buf;
  if (slot ? !ops->encode : !ops->recode) return tr_error_set(error, TR_EINTERNAL, "nobody here can encode this body");
  tr_buf_init(&buf, core->mem);
  int err = slot ? ops->encode(ops->ud, body->slot, wanted, &buf, error) : ops->recode(ops->ud, body, wanted, &buf, error);
  if (!err) {
    *out = buf.failed ? NULL : tr_blob_copy(core->mem, tr_buf_view(&buf));
    if (!*out) err = tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  }
  tr_buf_fini(&buf);
  return err;
}

int tr_body_bytes(tr_core *core, const tr_body *body, tr_format wanted, tr_blob **out, tr_format *format,
                  tr_error *error) {
  *format = TR_FORMAT_JSON;
  switch (body->kind) {
  case TR_BODY_SLOT:
    *format = wanted;
    return encode(core, body, wanted, out, error);
  case TR_BODY_BYTES:
    if (body->format == TR_FORMAT_NATIVE && wanted != TR_FORMAT_NATIVE) return encode(core, body, TR_FORMAT_JSON, out, error);
    *format = (tr_format)body->format;
    *out = tr_blob_ref(body->bytes);
    return 0;
  default:
    *out = tr_blob_copy(core->mem, body->kind != TR_BODY_NONE ? TR_SLICE_LITERAL("null") : TR_SLICE_LITERAL("{}"));
    return *out ? 0 : tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  }
}
