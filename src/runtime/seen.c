/* SPDX-License-Identifier: MIT
 * Messages as they go by: who is told of them, and how they look as a line of JSON.
 *
 * The core tells one (core/observe.c), and that is here; while there is neither a tracer nor a recorder it tells nobody. Each isolate is seen
 * in its own thread: the line is made there, what is done with it is the business of those two (operator_trace.c, record.c). */
#include <stdio.h>

#include "codec/base64.h"
#include "codec/json.h"
#include "codec/native.h"
#include "runtime/operator.h"
#include "runtime/seen.h"

/* ---- bodies ---- */

static void put_cut_body(tr_buf *out, tr_script *script, const tr_body *body, size_t most) {
  tr_error error;
  tr_buf json;
  if (most == 0) return;
  tr_error_init(&error);
  tr_buf_init(&json, out->mem);
  if (tr_body_json(script, body, &json, &error) || json.failed) {
    tr_question_put(out, ",\"text\":", "(a body that cannot be shown)");
  } else if (json.len <= most) {
    tr_buf_text(out, ",\"body\":");
    tr_buf_slice(out, tr_buf_view(&json));
  } else {
    json.len = tr_utf8_cut(tr_buf_view(&json), most);
    tr_buf_byte(&json, 0);
    if (!json.failed) tr_question_put(out, ",\"text\":", (const char *)json.data);
  }
  tr_buf_fini(&json);
}

/* Bytes would be read back as a string. */
static int refuse_bytes(void *ud, tr_slice bytes) {
  (void)ud;
  (void)bytes;
  return TR_EINVALID;
}

static void put_native(tr_buf *out, tr_script *script, const tr_body *body) {
  tr_error error;
  tr_buf bytes;
  tr_native_writer writer;
  tr_error_init(&error);
  tr_buf_init(&bytes, out->mem);
  tr_native_writer_init(&writer, &bytes, &error);
  tr_sink sink = tr_native_sink(&writer);
  if (tr_script_walk(script, body, &sink, &error) || bytes.failed) {
    tr_question_put(out, ",\"text\":", error.text);
  } else {
    tr_buf_text(out, ",\"native\":\"");
    tr_base64_write(out, tr_buf_view(&bytes));
    tr_buf_text(out, "\"");
  }
  tr_buf_fini(&bytes);
}

void tr_seen_whole_body(tr_buf *out, tr_script *script, const tr_body *body) {
  size_t begin = out->len;
  tr_error error;
  tr_json_writer writer;
  tr_error_init(&error);
  tr_buf_text(out, ",\"body\":");
  tr_json_writer_init(&writer, out, &error);
  tr_sink sink = tr_json_sink(&writer);
  sink.bytes = refuse_bytes;
  if (tr_script_walk(script, body, &sink, &error) == 0 || out->failed) return;
  out->len = begin;
  put_native(out, script, body);
}

/* ---- lines ---- */

void tr_seen_name(const tr_name *type, const tr_name *key, char *out) {
  snprintf(out, 2 * TR_ID_MAX + 2, "%s/%s", type->text, key ? key->text : "");
}

static void put_pair(tr_buf *out, const char *before, const tr_name *type, const tr_name *key) {
  char text[2 * TR_ID_MAX + 2];
  tr_seen_name(type, key, text);
  tr_question_put(out, before, text);
}

static void put_error(tr_buf *out, int code, tr_slice text) {
  char line[TR_ERROR_TEXT + 40];
  snprintf(line, sizeof line, "%s: %.*s", tr_error_name(code), TR_SLICE_ARG(text));
  tr_question_put(out, ",\"error\":", line);
}

/* The time of day, as the core's clock has it: that one stands still while agents run, and deadlines and timers count by it. So what is
 * recorded of both fits together, however busy the machine is; and as what lies between the two clocks is looked up only now and then,
 * by less than a millisecond, what happens at one time of the core has one time here, and nothing is before what led to it. */
static double time_of(const tr_seer *by, const tr_seen *seen) {
  troupe_t *rt = by->rt;
  int64_t between = rt->wall_us() - tr_runtime_now(rt), kept = atomic_load_explicit(&rt->between_clocks, memory_order_relaxed);
  if (between - kept < -TR_MILLISECONDS(1) || between - kept > TR_MILLISECONDS(1)) {
    atomic_store_explicit(&rt->between_clocks, between, memory_order_relaxed);
    kept = between;
  }
  return (double)(tr_core_now(seen->msg->core) + kept) / 1e6;
}

static void put_head(tr_buf *out, const tr_seer *by, const tr_seen *seen) {
  static const char *const points[] = { "sent", "given", "answered", "failed", "dead" };
  static const char *const kinds[] = { "event", "request", "send" };
  const tr_msg *msg = seen->msg;
  char id[TR_MSG_ID_MAX + 1], number[TR_MSG_ID_MAX];
  bool answer = seen->kind == TR_SEEN_ANSWERED;
  const char *from = answer ? ",\"to\":" : ",\"from\":", *to = answer ? ",\"from\":" : ",\"to\":";
  snprintf(id, sizeof id, "%.*s", TR_SLICE_ARG(tr_msg_id(msg, number)));
  tr_buf_printf(out, "{\"at\":\"%s\",\"t\":%.6f,\"kind\":\"%s\"", points[seen->kind], time_of(by, seen), kinds[msg->kind]);
  tr_question_put(out, ",\"type\":", msg->type->text);
  if (msg->sender_type) put_pair(out, from, msg->sender_type, msg->sender_key);
  if (seen->agent) put_pair(out, to, tr_class_type(seen->agent->class_), seen->agent->key);
  else if (msg->target_type) put_pair(out, to, msg->target_type, msg->target_key);
  if (seen->agent && msg->kind == TR_MSG_EVENT) put_pair(out, ",\"topic\":", msg->target_type, msg->target_key);
  tr_question_put(out, ",\"id\":", id);
  if (seen->kind == TR_SEEN_SENT && (msg->from_wire || (msg->sender && tr_class_is_program(msg->sender->class_)))) tr_buf_text(out, ",\"outside\":true");
  if (seen->code) put_error(out, seen->code, seen->reply ? seen->reply->error : tr_slice_of(seen->text ? seen->text : tr_error_default_text(seen->code)));
  if (answer && !seen->code) tr_question_put(out, ",\"reply\":", seen->reply->type ? seen->reply->type->text : "null");
}

static const tr_body *body_of(const tr_seen *seen) {
  if (seen->kind == TR_SEEN_ANSWERED) return seen->code ? NULL : &seen->reply->body;
  return seen->kind == TR_SEEN_FAILED ? NULL : &seen->msg->body;
}

void tr_seen_line(tr_buf *out, const tr_seer *by, const tr_seen *seen, size_t body) {
  put_head(out, by, seen);
  if (body_of(seen)) put_cut_body(out, by->script, body_of(seen), body);
  tr_buf_text(out, "}");
}

static void put_meta(tr_buf *out, const tr_meta *meta) {
  for (size_t i = 0; i < tr_meta_count(meta); i++) {
    tr_slice key, value;
    tr_meta_at(meta, i, &key, &value);
    tr_question_put_slice(out, i ? "," : ",\"metadata\":[", key);
    tr_question_put_slice(out, ",", value);
  }
  if (tr_meta_count(meta)) tr_buf_text(out, "]");
}

void tr_seen_record(tr_buf *out, const tr_seer *by, const tr_seen *seen) {
  const tr_msg *msg = seen->msg;
  put_head(out, by, seen);
  if (msg->own) tr_buf_text(out, ",\"timer\":true");
  if (seen->kind == TR_SEEN_SENT || seen->kind == TR_SEEN_GIVEN) {
    if (msg->priority) tr_buf_printf(out, ",\"priority\":%d", msg->priority == TR_PRIORITY_HIGH ? 1 : -1);
    if (msg->deadline != TR_NEVER) tr_buf_printf(out, ",\"left\":%lld", (long long)(msg->deadline - tr_core_now(msg->core)));
    if (msg->meta) put_meta(out, msg->meta);
  }
  if (body_of(seen)) tr_seen_whole_body(out, by->script, body_of(seen));
  tr_buf_text(out, "}");
}

/* ---- who is told ---- */

bool tr_seen_internal(const tr_msg *msg) {
  const tr_name *reserved = msg->kind == TR_MSG_EVENT ? msg->target_type : msg->target_key;
  return !msg->type || !msg->target_type || tr_slice_starts(tr_name_view(msg->type), TR_SLICE_LITERAL("troupe.")) ||
         (reserved && tr_name_reserved(tr_name_view(reserved)));
}

static bool has_tracers(const troupe_t *rt) { return rt->operator && !tr_list_empty(&rt->operator->tracers); }

static void tell_all(const tr_seer *by, const tr_seen *seen) {
  if (tr_seen_internal(seen->msg)) return;
  if (has_tracers(by->rt)) tr_trace_seen(by, seen);
  if (by->rt->recorder) tr_record_seen(by, seen);
}

static void on_seen(void *ud, const tr_seen *seen) {
  troupe_t *rt = ud;
  tell_all(&(tr_seer){ rt, rt->script, &rt->mem }, seen);
}

static void on_seen_in_isolate(void *ud, const tr_seen *seen) {
  const tr_isolate *isolate = ud;
  tell_all(&(tr_seer){ isolate->crew->rt, isolate->script, isolate->mem }, seen);
}

void tr_seen_observe(troupe_t *rt) {
  bool on = rt->recorder || has_tracers(rt);
  if (!rt->crew) tr_core_observe(rt->core, on ? on_seen : NULL, rt);
  for (unsigned i = 0; rt->crew && i < rt->crew->count; i++)
    tr_core_observe(rt->crew->isolates[i]->core, on ? on_seen_in_isolate : NULL, rt->crew->isolates[i]);
}
