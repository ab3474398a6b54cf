/* SPDX-License-Identifier: MIT
 * troupe_intercept: messages shown to C before anybody gets them, and changed as it says.
 *
 * The body is made into a tree only for this, and the message is touched only where something new was set: what is
 * let through keeps its bytes as they came.
 *
 * C is called in its own thread: while there is an interceptor, the messages of the other isolates all go by the first one. */
#include <stdio.h>

#include "base/text.h"
#include "runtime/internal.h"

static void pair(char *out, size_t size, const tr_name *type, const tr_name *key) {
  snprintf(out, size, "%s/%s", type->text, key ? key->text : "");
}

static int change_type(troupe_t *rt, tr_msg *msg, const char *text, tr_error *why) {
  if (!*text || !tr_utf8_valid(tr_slice_of(text)))
    return tr_error_set(why, TR_EINVALID, "an interceptor gave a message type that is empty or not UTF-8");
  tr_name *type = tr_name_new(tr_core_names(rt->core), tr_slice_of(text));
  if (!type) return tr_error_set(why, TR_EMEMORY, "out of memory");
  tr_name_unref(msg->type);
  msg->type = type;
  return 0;
}

static int change_body(troupe_t *rt, tr_msg *msg, const troupe_value_t *value, tr_error *why) {
  tr_body body;
  int rc = tr_script_body(rt->script, value, &body, why);
  if (rc) return rc;
  tr_body_release(rt->core, &msg->body);
  msg->body = body;
  return 0;
}

static int change(troupe_t *rt, tr_msg *msg, const troupe_message_t *shown, tr_error *why) {
  int rc = 0;
  if (!shown->new_type && !shown->new_body) return 0;
  if (shown->new_type) rc = change_type(rt, msg, shown->new_type, why);
  if (!rc && shown->new_body) rc = change_body(rt, msg, shown->new_body, why);
  if (msg->frame) tr_blob_unref(msg->frame); /* it was made of what there was before */
  msg->frame = NULL;
  return rc;
}

static const char *kind_of(const tr_msg *msg) {
  return msg->kind == TR_MSG_REQUEST ? "request" : msg->kind == TR_MSG_SEND ? "send" : "event";
}

static int on_message(void *ud, tr_msg *msg, tr_error *why) {
  troupe_t *rt = ud;
  tr_error unread;
  char target[2 * TR_ID_MAX + 2], sender[2 * TR_ID_MAX + 2], id[TR_MSG_ID_MAX + 1], number[TR_MSG_ID_MAX];
  tr_error_init(&unread);
  pair(target, sizeof target, msg->target_type, msg->target_key);
  if (msg->sender_type) pair(sender, sizeof sender, msg->sender_type, msg->sender_key);
  snprintf(id, sizeof id, "%.*s", TR_SLICE_ARG(tr_msg_id(msg, number)));
  troupe_value_t *body = tr_runtime_value_from_body(rt, &msg->body, &unread);
  if (!body && unread.code == TR_EMEMORY) return tr_error_set(why, TR_EMEMORY, "out of memory");
  troupe_message_t shown = { .kind = kind_of(msg), .target = target, .type = msg->type->text,
                             .sender = msg->sender_type ? sender : NULL, .id = id, .body = body };
  int rc = rt->intercept(rt->intercept_ud, &shown);
  if (rc == TROUPE_PASS) rc = change(rt, msg, &shown, why);
  else if (rc < 0) tr_error_set(why, rc, "%s", shown.error && *shown.error ? shown.error : tr_error_default_text(rc));
  tr_value_free(shown.new_body);
  tr_value_free(body);
  return rc > 0 ? TR_INTERCEPT_DROP : rc;
}

int troupe_intercept(troupe_t *rt, troupe_intercept_fn fn, void *ud) {
  tr_runtime_error(rt);
  rt->intercept = fn;
  rt->intercept_ud = ud;
  tr_together_pause(rt, false);
  tr_core_intercept(rt->core, fn ? on_message : NULL, rt);
  for (unsigned i = 1; i < tr_runtime_shares(rt); i++) tr_core_show_first(tr_runtime_share(rt, i).core, fn != NULL);
  tr_together_resume(rt);
  return 0;
}
