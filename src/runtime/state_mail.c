/* SPDX-License-Identifier: MIT
 * A message that waits in a mailbox as a record of a state file: a native map, with all that its handler will see of it.
 *
 * A body that is a Lua value is a value in the map (`body`); one that came encoded stays as it came (`bytes`, `format`),
 * since it may be of a kind that only its handler understands. The deadline is kept as the time that is left.
 *
 * A request stays one, but nobody hears its answer: its caller has gone, or goes on in the process that was saved. */
#include "codec/native.h"
#include "codec/value.h"
#include "core/id.h"
#include "runtime/state.h"

/* ---- writing ---- */

static int put_text(const tr_sink *sink, const char *key, tr_slice text) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->string(sink->ud, text);
}

static int put_name(const tr_sink *sink, const char *key, const tr_name *text) {
  return text ? put_text(sink, key, tr_name_view(text)) : 0;
}

static int put_integer(const tr_sink *sink, const char *key, int64_t value) {
  int rc = sink->key(sink->ud, tr_slice_of(key));
  return rc ? rc : sink->integer(sink->ud, value);
}

static int put_meta(const tr_sink *sink, const tr_meta *meta) {
  size_t count = meta ? tr_meta_count(meta) : 0;
  int rc = count ? sink->key(sink->ud, TR_SLICE_LITERAL("meta")) : 0;
  if (count == 0 || rc) return rc;
  rc = sink->begin_array(sink->ud, count * 2); /* a map would lose an entry that is there twice */
  for (size_t i = 0; !rc && i < count; i++) {
    tr_slice key, value;
    tr_meta_at(meta, i, &key, &value);
    rc = sink->string(sink->ud, key);
    if (!rc) rc = sink->string(sink->ud, value);
  }
  return rc ? rc : sink->end_array(sink->ud);
}

static int put_body(tr_script *script, const tr_sink *sink, const tr_body *body, tr_error *error) {
  if (body->kind == TR_BODY_NONE) return 0;
  if (body->kind == TR_BODY_BYTES) {
    int rc = put_integer(sink, "format", body->format);
    if (!rc) rc = sink->key(sink->ud, TR_SLICE_LITERAL("bytes"));
    return rc ? rc : sink->bytes(sink->ud, tr_blob_view(body->bytes));
  }
  int rc = sink->key(sink->ud, TR_SLICE_LITERAL("body"));
  return rc ? rc : tr_script_walk(script, body, sink, error);
}

static int put_head(const tr_sink *sink, const tr_msg *msg) {
  char id[TR_MSG_ID_MAX];
  bool event = msg->kind == TR_MSG_EVENT;
  int rc = put_integer(sink, "kind", msg->kind);
  if (!rc) rc = put_integer(sink, "priority", msg->priority);
  if (!rc && msg->deadline != TR_NEVER) rc = put_integer(sink, "rest", msg->deadline - tr_core_now(msg->core));
  if (!rc) rc = put_text(sink, "id", tr_msg_id(msg, id));
  if (!rc) rc = put_name(sink, "type", msg->type);
  if (!rc && event) rc = put_name(sink, "topic", msg->target_type);
  if (!rc && event) rc = put_name(sink, "source", msg->target_key);
  if (!rc) rc = put_name(sink, "sender_type", msg->sender_type);
  if (!rc) rc = put_name(sink, "sender_key", msg->sender_key);
  return rc ? rc : put_meta(sink, msg->meta);
}

int tr_mail_encode(tr_script *script, const tr_msg *msg, tr_buf *out, tr_error *error) {
  tr_native_writer writer;
  tr_native_writer_init(&writer, out, error);
  tr_sink sink = tr_native_sink(&writer);
  int rc = sink.begin_map(sink.ud, TR_SIZE_UNKNOWN);
  if (!rc) rc = put_head(&sink, msg);
  if (!rc) rc = put_body(script, &sink, &msg->body, error);
  if (!rc) rc = sink.end_map(sink.ud);
  return !rc && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

/* ---- reading ---- */

static tr_slice text_of(const tr_value *map, const char *key) {
  tr_slice text = { NULL, 0 };
  const tr_value *value = tr_value_get(map, tr_slice_of(key));
  if (value) tr_value_as_string(value, &text);
  return text;
}

static tr_name *name_of(tr_core *core, const tr_value *map, const char *key) {
  tr_slice text = text_of(map, key);
  return text.p ? tr_name_new(tr_core_names(core), text) : NULL;
}

static int64_t number_of(const tr_value *map, const char *key, int64_t fallback) {
  const tr_value *value = tr_value_get(map, tr_slice_of(key));
  if (value) tr_value_as_integer(value, &fallback);
  return fallback;
}

static int set_meta(const tr_value *map, tr_msg *msg) {
  const tr_value *list = tr_value_get(map, TR_SLICE_LITERAL("meta"));
  size_t count = list && tr_value_get_kind(list) == TR_VALUE_ARRAY ? tr_value_length(list) : 0;
  if (count == 0) return 0;
  msg->meta = tr_meta_new(tr_core_mem(msg->core));
  if (!msg->meta) return TR_EMEMORY;
  for (size_t i = 0; i + 1 < count; i += 2) {
    tr_slice key, value;
    if (!tr_value_as_string(tr_value_at(list, i), &key) || !tr_value_as_string(tr_value_at(list, i + 1), &value)) continue;
    if (tr_meta_set(msg->meta, key, value)) return TR_EMEMORY;
  }
  return 0;
}

static int set_body(tr_script *script, const tr_value *map, tr_msg *msg, tr_error *error) {
  const tr_value *bytes = tr_value_get(map, TR_SLICE_LITERAL("bytes"));
  tr_slice view;
  if (!bytes || !tr_value_as_string(bytes, &view))
    return tr_script_body(script, tr_value_get(map, TR_SLICE_LITERAL("body")), &msg->body, error);
  msg->body.bytes = tr_blob_copy(tr_core_mem(msg->core), view);
  if (!msg->body.bytes) return TR_EMEMORY;
  msg->body.kind = TR_BODY_BYTES;
  msg->body.format = (uint8_t)number_of(map, "format", TR_FORMAT_BYTES);
  return 0;
}

static int set_head(const tr_value *map, const tr_agent_id *to, tr_msg *msg, tr_time passed) {
  tr_core *core = msg->core;
  bool event = msg->kind == TR_MSG_EVENT;
  int64_t priority = number_of(map, "priority", 0), rest = number_of(map, "rest", TR_NEVER);
  msg->priority = priority == TR_PRIORITY_HIGH || priority == TR_PRIORITY_LOW ? (uint8_t)priority : TR_PRIORITY_NORMAL;
  if (rest != TR_NEVER) msg->deadline = tr_runtime_after(tr_core_now(core), rest > passed ? rest - passed : 0);
  msg->troupe_peer = true;
  msg->id = name_of(core, map, "id");
  msg->type = name_of(core, map, "type");
  msg->sender_type = name_of(core, map, "sender_type");
  msg->sender_key = name_of(core, map, "sender_key");
  msg->target_type = event ? name_of(core, map, "topic") : tr_name_new(tr_core_names(core), to->type);
  msg->target_key = event ? name_of(core, map, "source") : tr_name_new(tr_core_names(core), to->key);
  if (!msg->type || !msg->target_type || !msg->target_key) return TR_EINVALID;
  return set_meta(map, msg);
}

/* own: takes msg. One whose time is up is let go: whoever asked has given it up. */
static int give(tr_class *class_, tr_slice key, tr_msg *msg) {
  tr_core *core = msg->core;
  if (msg->deadline > tr_core_now(core)) return tr_core_give(core, class_, key, msg);
  if (msg->kind != TR_MSG_REQUEST) tr_core_dead_letter(core, msg, TR_ETIMEOUT, "its deadline was over when it was restored");
  tr_msg_unref(msg);
  return 0;
}

static tr_msg_kind kind_of(const tr_value *map) {
  int64_t kind = number_of(map, "kind", TR_MSG_SEND);
  return kind == TR_MSG_EVENT ? TR_MSG_EVENT : kind == TR_MSG_REQUEST ? TR_MSG_REQUEST : TR_MSG_SEND;
}

int tr_mail_restore(troupe_t *rt, tr_slice id, tr_slice bytes, tr_time passed, tr_error *error) {
  tr_agent_id to;
  int rc = tr_agent_id_parse(id, TR_SLICE_LITERAL("default"), &to, error);
  if (rc) return rc;
  tr_share share = tr_runtime_share_of(rt, to.type, to.key);
  tr_class *class_ = tr_core_find_class(share.core, to.type);
  if (!class_) return tr_error_set(error, TR_ENOT_FOUND, "no agent type \"%.*s\" here", TR_SLICE_ARG(to.type));
  tr_value *map = tr_script_value(share.script, bytes, error);
  if (!map) return error->code;
  tr_msg *msg = tr_msg_new(share.core, kind_of(map));
  rc = msg ? set_head(map, &to, msg, passed) : TR_EMEMORY;
  if (!rc) rc = set_body(share.script, map, msg, error);
  if (rc && msg) tr_msg_unref(msg);
  if (!rc) rc = give(class_, to.key, msg);
  tr_value_free(map);
  return tr_error_set(error, rc, "%s", tr_error_default_text(rc));
}
