/* SPDX-License-Identifier: MIT
 * Fuzz target: any bytes as an agents.Message and as the messages of the unary calls. What is walked can be spliced
 * and is then walked again, and given another body, which is then the one it has; what is decoded can be encoded and decoded
 * again. */
#include <stdlib.h>

#include "core/core.h"
#include "wire/note.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tr_slice content(const tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

static void recast(tr_mem *mem, const tr_wire_span *span) {
  tr_wire_body before, after, other = { TR_SLICE_LITERAL("Type"), TR_SLICE_LITERAL("x/y"), TR_SLICE_LITERAL("data"), false };
  tr_wire_span again;
  tr_wire_read_body(span, &before);
  other.proto_data = span->kind == TR_WIRE_EVENT && before.proto_data;
  tr_blob *frame = tr_wire_recast(mem, span, &other);
  if (tr_wire_walk(content(frame), &again, NULL) || again.kind != span->kind) abort();
  tr_wire_read_body(&again, &after);
  if (!tr_slice_equal(after.type, other.type) || !tr_slice_equal(after.content_type, other.content_type)) abort();
  if (!tr_slice_equal(after.data, other.data) || after.proto_data != other.proto_data) abort();
  if (!tr_slice_equal(again.request_id, span->request_id) || !tr_slice_equal(again.event_id, span->event_id)) abort();
  tr_blob_unref(frame);
}

static void walk(tr_mem *mem, tr_slice bytes) {
  tr_wire_span span, again;
  int err = tr_wire_walk(bytes, &span, NULL);
  tr_wire_walk_head(bytes, bytes.n + 1000, &again);
  if (err) return;
  (void)tr_wire_event_attribute(span.inner, "dataschema");
  (void)tr_wire_metadata(span.inner, span.kind, "troupe-code");
  int checked = tr_wire_check(&span, NULL);
  again = span;
  again.plain = false; /* what is plain is checked in another way, to the same end */
  if (tr_wire_check(&again, NULL) != checked) abort();
  if (span.kind >= TR_WIRE_REQUEST && span.kind <= TR_WIRE_EVENT) recast(mem, &span);
  tr_wire_note note;
  (void)tr_wire_read_note(&span, &note);
  if (span.kind == TR_WIRE_EMPTY || span.kind == TR_WIRE_EVENT) return;
  tr_blob *frame = tr_wire_splice(mem, &span, TR_SLICE_LITERAL("new id"));
  if (tr_wire_walk(content(frame), &again, NULL) || !tr_slice_is(again.request_id, "new id")) abort();
  if (!tr_slice_equal(again.target_key, span.target_key) || !tr_slice_equal(again.error, span.error)) abort();
  tr_blob_unref(frame);
}

/* A body in the native format, which is never decoded here. */
static int recode(void *ud, const tr_body *body, tr_format format, tr_buf *out, tr_error *error) {
  (void)ud, (void)body, (void)format, (void)error;
  return tr_buf_text(out, "{}") ? 0 : TR_EMEMORY;
}

static void decode(tr_core *core, tr_slice bytes) {
  tr_wire_in in, again;
  tr_blob *frame = NULL;
  int err = tr_wire_decode(core, bytes, false, &in, NULL);
  if (err || in.kind == TR_WIRE_EMPTY) return;
  if (in.kind == TR_WIRE_NOTE) { /* never encoded from what was decoded */
    tr_wire_in_fini(&in);
    return;
  }
  if (in.kind == TR_WIRE_EVENT) err = tr_wire_encode_event(in.msg, (tr_slice){ NULL, 0 }, &frame, NULL);
  if (in.kind == TR_WIRE_REQUEST) err = tr_wire_encode_request(in.msg, in.request_id, &frame, NULL);
  if (in.kind == TR_WIRE_RESPONSE) err = tr_wire_encode_reply(core, &in.reply, in.request_id, &frame, NULL);
  if (in.kind == TR_WIRE_NOTE && !in.reply.type) { /* no part */
    tr_wire_in_fini(&in);
    return;
  }
  if (in.kind == TR_WIRE_NOTE) err = tr_wire_encode_part(core, &in.reply, in.request_id, &frame, NULL);
  if (err || tr_wire_decode(core, content(frame), true, &again, NULL) || again.kind != in.kind) abort();
  if (in.kind != TR_WIRE_EVENT && !tr_slice_equal(again.request_id, in.request_id)) abort();
  if (in.kind == TR_WIRE_RESPONSE && again.reply.code != in.reply.code) abort();
  if (in.msg && (again.msg->type != in.msg->type || again.msg->target_key != in.msg->target_key)) abort();
  tr_wire_in_fini(&again);
  tr_wire_in_fini(&in);
  tr_blob_unref(frame);
}

static void each(void *ud, const tr_wire_subscription *sub) { (void)ud, (void)sub; }

static void decode_others(tr_slice bytes) {
  tr_slice a, b, c;
  tr_wire_subscription sub;
  tr_wire_control control;
  bool present;
  (void)tr_wire_decode_register(bytes, &a, NULL);
  (void)tr_wire_decode_add_subscription(bytes, &sub, &present, NULL);
  (void)tr_wire_decode_remove_subscription(bytes, &a, NULL);
  (void)tr_wire_decode_subscriptions(bytes, each, NULL, NULL);
  (void)tr_wire_walk_control(bytes, &control, NULL);
  (void)tr_wire_decode_save_request(bytes, &a, &b, NULL);
  (void)tr_wire_decode_load_request(bytes, &a, &b, &c, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  tr_mem mem;
  tr_mem_init(&mem);
  tr_core_options options = { .mem = &mem, .body = { .recode = recode } };
  tr_core *core = tr_core_new(&options);
  tr_slice bytes = tr_slice_make(data, size);
  walk(&mem, bytes);
  tr_blob_unref(tr_wire_join(&mem, bytes));
  decode(core, bytes);
  decode_others(bytes);
  tr_core_free(core);
  if (mem.used) abort();
  return 0;
}
