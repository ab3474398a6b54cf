/* SPDX-License-Identifier: MIT
 * What is sent to an agent that is elsewhere (core/remote.c), brought there by an uplink.
 *
 * A request goes as it is. Of anything else a copy goes as a request that stands for it (host/placed.c), so that the answer tells
 * when it was handled; if it was lost instead, that is a dead letter here, where it was sent. */
#include <stdio.h>
#include <string.h>

#include "core/id.h"
#include "runtime/internal.h"

typedef struct sent { troupe_t *rt; tr_remote *remote; tr_msg *msg; } sent;

static void on_answer(void *ud, uint64_t token, tr_msg *request, tr_reply *reply) {
  sent *self = ud;
  troupe_t *rt = self->rt;
  char why[TR_ERROR_TEXT];
  (void)token;
  (void)request;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  if (reply->code) {
    snprintf(why, sizeof why, "%.*s", (int)tr_utf8_cut(reply->error, sizeof why - 1), reply->error.n ? reply->error.p : "");
    tr_core_dead_letter(rt->core, self->msg, reply->code, why);
  }
  tr_msg_unref(self->msg);
  tr_remote_done(rt->core, self->remote);
  TR_DELETE(&rt->mem, self);
}

static bool copy_meta(const tr_msg *from, tr_msg *to) {
  for (size_t i = 0; from->meta && i < tr_meta_count(from->meta); i++) {
    tr_slice key, value;
    tr_meta_at(from->meta, i, &key, &value);
    if (!to->meta) to->meta = tr_meta_new(tr_core_mem(to->core));
    if (!to->meta || tr_meta_set(to->meta, key, value)) return false;
  }
  return true;
}

static int copy_body(const tr_msg *from, tr_msg *to, tr_error *error) {
  tr_format format, wanted = from->body.format == TR_FORMAT_NATIVE ? TR_FORMAT_JSON : (tr_format)from->body.format;
  to->body = from->body;
  if (from->body.kind <= TR_BODY_NULL) return 0;
  to->body.kind = TR_BODY_NONE;
  int rc = tr_body_bytes(from->core, &from->body, wanted, &to->body.bytes, &format, error);
  if (rc) return rc;
  to->body.kind = TR_BODY_BYTES;
  to->body.format = (uint8_t)format;
  return 0;
}

/* What it stands for: "send", or "event TYPE/SOURCE". */
static tr_name *stands_for(const tr_msg *msg) {
  tr_names *names = tr_core_names(msg->core);
  if (msg->kind == TR_MSG_SEND) return tr_name_new(names, TR_SLICE_LITERAL("send"));
  char text[2 * TR_ID_MAX + 16];
  int n = snprintf(text, sizeof text, "event %s/%s", msg->target_type->text, msg->target_key ? msg->target_key->text : "");
  return tr_name_new(names, tr_slice_make(text, (size_t)n));
}

static tr_msg *copy_of(const tr_msg *msg, const tr_agent *agent, tr_error *error) {
  char id[TR_MSG_ID_MAX];
  tr_names *names = tr_core_names(msg->core);
  tr_msg *copy = tr_msg_new(msg->core, TR_MSG_REQUEST);
  if (!copy) return NULL;
  copy->type = tr_name_ref(msg->type);
  copy->sender_type = tr_name_ref(msg->sender_type);
  copy->sender_key = tr_name_ref(msg->sender_key);
  copy->target_type = tr_name_ref(tr_class_type(agent->class_));
  copy->target_key = tr_name_ref(agent->key);
  copy->priority = msg->priority;
  copy->chain = msg->chain;
  copy->id = tr_name_new(names, tr_msg_id(msg, id));
  if (tr_msg_get_more(copy)) copy->more->as = stands_for(msg);
  if (copy->id && copy->more && copy->more->as && copy_meta(msg, copy) && copy_body(msg, copy, error) == 0) return copy;
  tr_msg_unref(copy);
  return NULL;
}

void tr_runtime_forward(troupe_t *rt, tr_remote *remote, tr_dest *dest, tr_msg *msg) {
  tr_error error;
  tr_error_init(&error);
  if (msg->kind == TR_MSG_REQUEST) {
    if (msg->more) msg->more->keep_ms = 0; /* where results are kept is found by the agent's type, which may be in several places */
    dest->ops->request(dest, msg);
    return;
  }
  sent *self = TR_NEW(&rt->mem, sent);
  tr_msg *copy = self ? copy_of(msg, remote->agent, &error) : NULL;
  if (!copy) {
    if (self) TR_DELETE(&rt->mem, self);
    int code = error.code ? error.code : TR_EMEMORY;
    tr_core_dead_letter(rt->core, msg, code, error.code ? error.text : NULL);
    tr_remote_done(rt->core, remote);
    return;
  }
  *self = (sent){ rt, remote, tr_msg_ref(msg) };
  copy->reply_to = (tr_reply_to){ .answer = on_answer, .ud = self };
  dest->ops->request(dest, copy);
  tr_msg_unref(copy);
}
