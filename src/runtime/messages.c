/* SPDX-License-Identifier: MIT
 * Messages from and to C: publish, send, call, subscribe (include/troupe.h).
 */
#include <stdio.h>

#include "codec/json.h"
#include "runtime/internal.h"

struct tr_c_call {
  troupe_t *rt;
  tr_link all;
  tr_call *call;
  bool *finished; /* set while troupe_call runs: tells it that the answer came at once */
  troupe_reply_fn fn;
  void *ud;
};

/* ---- bodies ---- */

/* own: takes value (may be NULL: {}). */
static int body_from_value(troupe_t *rt, troupe_value_t *value, tr_body *body) {
  *body = (tr_body){ .kind = TR_BODY_NONE };
  if (!value) return 0;
  int rc = 0;
  tr_script_builder *builder = tr_script_build_begin(rt->script, &rt->error);
  if (!builder) rc = TR_EMEMORY;
  else {
    tr_sink sink = tr_script_build_sink(builder);
    rc = tr_value_walk(value, &sink, &rt->error);
    tr_script_build_end(builder, body);
    if (!body->slot && rc == 0) rc = TR_EMEMORY;
    if (rc) tr_body_release(rt->core, body);
  }
  tr_value_free(value);
  return rc;
}

troupe_value_t *tr_runtime_value_from_body(troupe_t *rt, const tr_body *body, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, &rt->mem, error);
  tr_sink sink = tr_value_sink(&builder);
  troupe_value_t *value = NULL;
  if (tr_script_walk(rt->script, body, &sink, error) == 0) value = tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return value;
}

int tr_body_json(tr_script *script, const tr_body *body, tr_buf *out, tr_error *error) {
  tr_json_writer writer;
  tr_json_writer_init(&writer, out, error);
  tr_sink sink = tr_json_sink(&writer);
  int rc = tr_script_walk(script, body, &sink, error);
  return rc == 0 && out->failed ? tr_error_set(error, TR_EMEMORY, "out of memory") : rc;
}

int tr_runtime_body_json(troupe_t *rt, const tr_body *body, tr_buf *out, tr_error *error) { return tr_body_json(rt->script, body, out, error); }

/* ---- publish, send ---- */

static int set_target(troupe_t *rt, tr_msg *msg, tr_slice type, tr_slice key) {
  msg->target_type = tr_name_new(tr_core_names(rt->core), type);
  msg->target_key = tr_name_new(tr_core_names(rt->core), key);
  return msg->target_type && msg->target_key ? 0 : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
}

static int encode(troupe_t *rt, tr_msg *msg, const troupe_message_options_t *options) {
  if (!options || !options->encoding) return tr_runtime_encode(rt, msg->type, &msg->body);
  return tr_script_encode(rt->script, msg->type, tr_slice_of(options->encoding), &msg->body, &rt->error);
}

static int add_metadata(troupe_t *rt, tr_msg *msg, const char *const *pairs) {
  msg->meta = tr_meta_new(&rt->mem);
  if (!msg->meta) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  for (; pairs[0]; pairs += 2) {
    tr_slice key = tr_slice_of(pairs[0]), value = tr_slice_of(pairs[1]);
    if (!tr_utf8_valid(key) || !tr_utf8_valid(value)) return tr_runtime_fail(rt, TR_EINVALID, "metadata.%s is not UTF-8", pairs[0]);
    int rc = tr_meta_key_check(key, &rt->error);
    if (rc) return rc;
    if (tr_meta_set(msg->meta, key, value)) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  return 0;
}

static int apply(troupe_t *rt, tr_msg *msg, const troupe_message_options_t *options) {
  tr_slice id = tr_slice_of(options->id ? options->id : "");
  if (options->priority) msg->priority = options->priority > 0 ? TR_PRIORITY_HIGH : TR_PRIORITY_LOW;
  if (options->timeout_us > 0) msg->deadline = tr_runtime_after(tr_core_now(rt->core), options->timeout_us);
  if (options->id && (!id.n || id.n > 256 || !tr_utf8_valid(id)))
    return tr_runtime_fail(rt, TR_EINVALID, "id must be UTF-8 text of 1 to 256 bytes");
  if (options->id) msg->id = tr_name_new(tr_core_names(rt->core), id);
  if (options->id && !msg->id) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  return options->metadata ? add_metadata(rt, msg, options->metadata) : 0;
}

/* Those of this version, of a caller that may be older; NULL: none. */
static const troupe_message_options_t *read_options(const troupe_message_options_t *given, troupe_message_options_t *out) {
  memset(out, 0, sizeof *out);
  if (given) memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
  return given ? out : NULL;
}

/* A message to a topic or an agent, with its body taken; NULL: rt->error says why. */
static tr_msg *make_message(troupe_t *rt, tr_msg_kind kind, const char *target, const char *type, troupe_value_t *value,
                            const troupe_message_options_t *options) {
  bool bad = rt->bad_value && !value;
  rt->bad_value = false;
  if (bad) return NULL; /* troupe_pack's error stands */
  tr_agent_id id = { { NULL, 0 }, { NULL, 0 } };
  tr_error *error = tr_runtime_error(rt);
  tr_slice text = tr_slice_of(target), fallback = TR_SLICE_LITERAL("default");
  int rc;
  if (kind == TR_MSG_EVENT) {
    tr_topic_id topic = { { NULL, 0 }, { NULL, 0 } };
    rc = tr_topic_id_parse(text, fallback, &topic, error);
    id = (tr_agent_id){ topic.type, topic.source };
  } else {
    rc = tr_agent_id_parse(text, fallback, &id, error);
  }
  if (rc == 0 && (!type || !*type || !tr_utf8_valid(tr_slice_of(type))))
    rc = tr_error_set(error, TR_EINVALID, "the message type must be UTF-8 text that is not empty");
  tr_slice name = kind == TR_MSG_EVENT && tr_name_reserved(id.type) ? id.type : id.key;
  if (rc == 0 && tr_name_reserved(name))
    rc = tr_error_set(error, TR_EINVALID, "%.*s: names that begin with \"" TR_RESERVED "\" are reserved", TR_SLICE_ARG(name));
  if (rc) {
    tr_value_free(value);
    return NULL;
  }
  tr_msg *msg = tr_msg_new(rt->core, kind);
  if (!msg) {
    tr_value_free(value);
    tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
    return NULL;
  }
  msg->troupe_peer = true;
  msg->type = tr_name_new(tr_core_names(rt->core), tr_slice_of(type));
  rc = body_from_value(rt, value, &msg->body);
  if (rc == 0 && msg->type) rc = encode(rt, msg, options);
  if (rc == 0 && options) rc = apply(rt, msg, options);
  if (rc == 0) rc = msg->type ? set_target(rt, msg, id.type, id.key) : tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  if (rc == 0) return msg;
  tr_msg_unref(msg);
  return NULL;
}

/* own: takes msg. */
static int refuse(troupe_t *rt, tr_msg *msg) {
  tr_msg_unref(msg);
  return tr_runtime_fail(rt, TR_EUNAVAILABLE, "the runtime is stopping");
}

static int post(troupe_t *rt, tr_msg_kind kind, const char *target, const char *type, troupe_value_t *body,
                const troupe_message_options_t *given) {
  troupe_message_options_t options;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_msg *msg = make_message(rt, kind, target, type, body, read_options(given, &options));
  if (!msg) return rt->error.code;
  if (tr_runtime_stopping(rt)) return refuse(rt, msg);
  int rc = tr_core_post(rt->core, msg);
  return rc ? tr_runtime_fail(rt, rc, "%s: %s", target, tr_error_default_text(rc)) : 0;
}

int troupe_publish(troupe_t *rt, const char *topic, const char *type, troupe_value_t *body) {
  return post(rt, TR_MSG_EVENT, topic, type, body, NULL);
}

int troupe_publish_with(troupe_t *rt, const char *topic, const char *type, troupe_value_t *body,
                        const troupe_message_options_t *options) {
  return post(rt, TR_MSG_EVENT, topic, type, body, options);
}

int tr_runtime_publish_by(troupe_t *rt, tr_uplink *by, const char *topic, const char *type, troupe_value_t *body,
                          const troupe_message_options_t *given) {
  troupe_message_options_t options;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_msg *msg = make_message(rt, TR_MSG_EVENT, topic, type, body, read_options(given, &options));
  if (!msg) return rt->error.code;
  if (tr_runtime_stopping(rt)) return refuse(rt, msg);
  tr_dest *dest = tr_worker_dest(by->worker);
  dest->ops->event(dest, msg);
  tr_msg_unref(msg);
  return 0;
}

int troupe_send(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body) {
  return post(rt, TR_MSG_SEND, agent, type, body, NULL);
}

int troupe_send_with(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body, const troupe_message_options_t *options) {
  return post(rt, TR_MSG_SEND, agent, type, body, options);
}

/* ---- call ---- */

static void call_done(tr_c_call *call, int status, const char *text, const char *type, const troupe_value_t *body) {
  tr_link_remove(&call->all);
  if (call->finished) *call->finished = true;
  call->fn(call->ud, status, text, type, body);
  TR_DELETE(&call->rt->mem, call);
}

static void on_reply(void *ud, tr_call *core_call, tr_reply *reply) {
  (void)core_call;
  tr_c_call *call = ud;
  troupe_t *rt = call->rt;
  tr_error error;
  tr_error_init(&error);
  if (reply->code) {
    tr_error_set(&error, reply->code, "%.*s", TR_SLICE_ARG(reply->error));
    call_done(call, reply->code, error.text, NULL, NULL);
    return;
  }
  troupe_value_t *value = tr_runtime_value_from_body(rt, &reply->body, &error);
  if (!value) call_done(call, error.code ? error.code : TR_EMEMORY, error.text, NULL, NULL);
  else call_done(call, 0, "", reply->type ? reply->type->text : "null", value);
  tr_value_free(value);
}

int troupe_call(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body, int64_t timeout_us, troupe_reply_fn fn,
                void *ud) {
  troupe_message_options_t options = { .size = sizeof options, .timeout_us = timeout_us };
  return troupe_call_with(rt, agent, type, body, &options, fn, ud);
}

int troupe_call_with(troupe_t *rt, const char *agent, const char *type, troupe_value_t *body,
                     const troupe_message_options_t *given, troupe_reply_fn fn, void *ud) {
  return tr_runtime_call_by(rt, NULL, agent, type, body, given, fn, ud);
}

int tr_runtime_call_by(troupe_t *rt, tr_uplink *by, const char *agent, const char *type, troupe_value_t *body,
                       const troupe_message_options_t *given, troupe_reply_fn fn, void *ud) {
  troupe_message_options_t options;
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  tr_msg *msg = make_message(rt, TR_MSG_REQUEST, agent, type, body, read_options(given, &options));
  int64_t timeout_us = options.timeout_us;
  if (!msg) return rt->error.code;
  if (tr_runtime_stopping(rt)) return refuse(rt, msg);
  if (by) msg->via = tr_worker_dest(by->worker)->number;
  tr_c_call *call = TR_NEW(&rt->mem, tr_c_call);
  if (!call) {
    tr_msg_unref(msg);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  call->rt = rt;
  call->fn = fn;
  call->ud = ud;
  if (timeout_us >= 0) msg->deadline = tr_runtime_after(tr_core_now(rt->core), timeout_us ? timeout_us : TR_SECONDS(30));
  tr_list_push(&rt->calls, &call->all);
  bool finished = false;
  call->finished = &finished;
  tr_call *core_call = tr_core_call(rt->core, msg, on_reply, call);
  if (finished) return 0;
  call->finished = NULL;
  call->call = core_call;
  if (core_call) return 0;
  tr_link_remove(&call->all);
  TR_DELETE(&rt->mem, call);
  return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
}

static tr_c_call *call_with(const troupe_t *rt, const void *ud) {
  for (tr_link *link = rt->calls.next; link != &rt->calls; link = link->next) {
    tr_c_call *call = TR_CONTAINER(link, tr_c_call, all);
    if (call->ud == ud && call->call) return call;
  }
  return NULL;
}

void tr_runtime_give_up(troupe_t *rt, const void *ud) {
  tr_core_set_now(rt->core, tr_runtime_now(rt));
  for (tr_c_call *call; (call = call_with(rt, ud));) {
    tr_call_cancel(call->call);
    call_done(call, TR_ECANCELLED, "interrupted", NULL, NULL);
  }
}

void tr_runtime_cancel_calls(troupe_t *rt) {
  tr_link *link;
  while ((link = tr_list_pop(&rt->calls))) {
    tr_c_call *call = TR_CONTAINER(link, tr_c_call, all);
    if (call->call) tr_call_cancel(call->call);
    call_done(call, TR_ECANCELLED, "the runtime ended", NULL, NULL);
  }
}
