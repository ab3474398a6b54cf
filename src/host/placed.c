/* SPDX-License-Identifier: MIT
 * Requests that stand for something else: `troupe-as`, written where an agent of one process is served by another
 * (core/remote.c). The target is that agent; the answer says that it is done.
 *
 *   send                  a one-way message: answered once its handler has ended, so that the sender can hold back
 *   event TYPE/SOURCE     an event on that topic, for this agent alone; likewise
 *   state                 the agent's state and timers, as runtime/dist.c writes them: taken up as restored ones. Not over a live one */
#include "core/id.h"
#include "host/internal.h"

static int bad(tr_error *error, const char *what) { return tr_error_set(error, TR_EINVALID, "troupe-as: %s", what); }

static tr_class *class_of(tr_host *host, const tr_msg *msg, tr_error *error) {
  tr_class *class_ = tr_core_find_class(host->core, tr_name_view(msg->target_type));
  if (!class_) tr_error_set(error, TR_ENOT_FOUND, "agent type %.200s is not here", msg->target_type->text);
  return class_;
}

/* own: takes msg, once its kind and target are as they were where it was sent. */
static int give(tr_client *caller, tr_class *class_, const tr_name *key, tr_msg *msg, tr_pending *pending) {
  tr_host *host = caller->host;
  pending->msg = msg;
  msg->reply_to = (tr_reply_to){ .answer = tr_forward_local_answer, .ud = host, .token = tr_slot_token(&pending->slot) };
  tr_core_give(host->core, class_, tr_name_view(key), msg); /* what is refused is a dead letter, and answered */
  return 0;
}

static int take_event(tr_host *host, tr_msg *msg, tr_slice topic, tr_error *error) {
  tr_topic_id id;
  int rc = tr_topic_id_parse(topic, TR_SLICE_LITERAL(""), &id, error);
  if (rc) return rc;
  tr_names *names = tr_core_names(host->core);
  tr_name *type = tr_name_new(names, id.type), *source = tr_name_new(names, id.source.p ? id.source : TR_SLICE_LITERAL(""));
  if (!type || !source) {
    tr_name_unref(type);
    tr_name_unref(source);
    return tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  tr_name_unref(msg->target_type);
  tr_name_unref(msg->target_key);
  msg->target_type = type;
  msg->target_key = source;
  msg->kind = TR_MSG_EVENT;
  return 0;
}

static int take_state(tr_host *host, tr_msg *msg, tr_error *error) {
  tr_blob *bytes;
  tr_format format;
  if (!host->o.restore) return tr_error_set(error, TR_EPERMISSION, "this process takes no agents");
  int rc = tr_body_bytes(host->core, &msg->body, TR_FORMAT_BYTES, &bytes, &format, error);
  if (rc) return rc;
  rc = host->o.restore(host->o.ud, tr_name_view(msg->target_type), tr_name_view(msg->target_key), tr_blob_view(bytes), error);
  tr_blob_unref(bytes);
  return rc;
}

static bool after(tr_slice text, const char *word, tr_slice *rest) {
  size_t n = strlen(word);
  if (text.n < n || memcmp(text.p, word, n) != 0) return false;
  *rest = tr_slice_make(text.p + n, text.n - n);
  return true;
}

/* own: takes msg. 0: it will be answered. */
static int take(tr_client *caller, tr_msg *msg, tr_slice id, tr_error *error) {
  tr_host *host = caller->host;
  tr_slice as = tr_name_view(msg->more->as), rest;
  tr_class *class_ = class_of(host, msg, error);
  int rc = class_ ? 0 : error->code;
  bool mail = tr_slice_is(as, "send"), event = after(as, "event ", &rest);
  tr_name *key = tr_name_ref(msg->target_key);
  if (!rc && mail) msg->kind = TR_MSG_SEND;
  else if (!rc && event) rc = take_event(host, msg, rest, error);
  else if (!rc && tr_slice_is(as, "state")) rc = take_state(host, msg, error);
  else if (!rc) rc = bad(error, "an unknown kind");
  bool goes_on = !rc && (mail || event);
  tr_pending *pending = rc ? NULL : tr_pending_new(host, TR_PENDING_TO_LOCAL, caller, NULL, id, tr_pending_deadline(host, TR_NEVER));
  if (!rc && !pending) rc = tr_error_set(error, TR_EMEMORY, "out of memory");
  if (!rc && goes_on) {
    give(caller, class_, key, msg, pending);
  } else if (!rc) { /* done */
    tr_reply done = { .body = { .kind = TR_BODY_NULL } };
    pending->msg = msg;
    msg->reply_to = (tr_reply_to){ .answer = tr_forward_local_answer, .ud = host, .token = tr_slot_token(&pending->slot) };
    tr_msg_answer(msg, &done);
    tr_msg_unref(msg);
  } else {
    tr_msg_unref(msg);
  }
  tr_name_unref(key);
  return rc;
}

void tr_placed(tr_client *caller, tr_msg *msg, tr_slice id) {
  tr_error error;
  tr_error_init(&error);
  msg->inside = caller->host->o.parent;
  int rc = take(caller, msg, id, &error);
  if (rc) tr_pending_refuse(caller, id, rc, error.text[0] ? error.text : NULL);
}
