/* SPDX-License-Identifier: MIT
 * Messages made here: tr_msg and tr_reply into framed agents.Messages, by nanopb.
 *
 * Texts come from scripts and from C. A text that is not UTF-8 would make a strict receiver lose its whole stream, so
 * it is refused here, at the last point where the sender can still be told; in error texts, which must arrive, it is
 * repaired. Of an event the frame is kept in the message: however many receivers there are, it is encoded once. */
#include "base/text.h"
#include "core/core.h"
#include "wire/keys.h"
#include "wire/note.h"
#include "wire/pb_message.h"
#include "wire/reader.h"

#define ERROR_TEXT_MAX 65536 /* a longer text is cut; it is for people */

static int no_memory(tr_error *error) { return tr_error_set(error, TR_EMEMORY, "out of memory"); }

/* ---- metadata and attributes: first the runtime's pairs, then the message's own ---- */

/* A map's entry, by hand: through generated structs nanopb measures each nested message again at every level above
 * it, and an event with six attributes took 3.0 µs instead of 0.6. */
static bool write_pair(pb_ostream_t *output, uint32_t number, bool attribute, tr_slice key, tr_slice value) {
  uint8_t head[24], middle[36], *to = head;
  size_t text = 1 + tr_varint_size(value.n) + value.n; /* of an attribute: the message around it, with a ce_string */
  size_t second = attribute ? 1 + tr_varint_size(text) + text : text;
  to = tr_put_varint(to, TR_FIELD_KEY(number));
  to = tr_put_varint(to, 1 + tr_varint_size(key.n) + key.n + second);
  *to++ = TR_FIELD_KEY(1);
  to = tr_put_varint(to, key.n);
  if (!pb_write(output, head, (size_t)(to - head)) || !pb_write(output, (const pb_byte_t *)key.p, key.n)) return false;
  to = middle;
  *to++ = TR_FIELD_KEY(2);
  if (attribute) {
    to = tr_put_varint(to, text);
    *to++ = TR_FIELD_KEY(io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_string_tag);
  }
  to = tr_put_varint(to, value.n);
  return pb_write(output, middle, (size_t)(to - middle)) && pb_write(output, (const pb_byte_t *)value.p, value.n);
}

static bool write_pairs(pb_ostream_t *output, uint32_t number, bool attribute, const tr_wire_pairs *pairs) {
  for (size_t i = 0; i < pairs->count; i++)
    if (!write_pair(output, number, attribute, pairs->pairs[i].key, pairs->pairs[i].value)) return false;
  for (size_t i = 0, n = tr_meta_count(pairs->meta); i < n; i++) {
    tr_slice key, value;
    tr_meta_at(pairs->meta, i, &key, &value);
    if (!tr_wire_key_reserved(key) && !write_pair(output, number, attribute, key, value)) return false;
  }
  return true;
}

static bool write_metadata(void *ud, pb_ostream_t *output, const pb_field_t *field) {
  return write_pairs(output, field->tag, false, ud);
}

static bool write_attributes(void *ud, pb_ostream_t *output, const pb_field_t *field) {
  return write_pairs(output, field->tag, true, ud);
}

/* ---- texts ---- */

static int check_text(tr_slice text, const char *what, tr_error *error) {
  return tr_utf8_valid(text) ? 0 : tr_error_set(error, TR_EINVALID, "%s is not UTF-8", what);
}

static int check_texts(const tr_msg *msg, tr_error *error) {
  bool event = msg->kind == TR_MSG_EVENT;
  int err = check_text(tr_name_view(msg->type), "the message type", error);
  if (!err) err = check_text(tr_name_view(msg->target_key), event ? "the topic's source" : "the agent's key", error);
  if (!err) err = check_text(tr_name_view(msg->sender_key), "the sender's key", error);
  if (!err) err = check_text(tr_name_view(msg->id), "the message id", error);
  for (size_t i = 0, n = tr_meta_count(msg->meta); i < n && !err; i++) {
    tr_slice key, value;
    tr_meta_at(msg->meta, i, &key, &value);
    err = check_text(key, "a metadata key", error);
    if (!err) err = check_text(value, "a metadata value", error);
  }
  return err;
}

/* The body as bytes, `plain` where nothing else was asked for. own: *out holds a reference for the caller. */
static int body_bytes(tr_core *core, const tr_body *body, tr_format plain, tr_blob **out, tr_format *format, tr_error *error) {
  tr_format wanted = body->format == TR_FORMAT_JSON || body->format == TR_FORMAT_NATIVE ? plain : (tr_format)body->format;
  return tr_body_bytes(core, body, wanted, out, format, error);
}

static tr_slice content_type_of(tr_core *core, const tr_body *body, tr_format format, const tr_meta *meta) {
  const tr_body_ops *ops = tr_core_body_ops(core);
  if (format != TR_FORMAT_OTHER) return tr_wire_content_type(format, meta);
  return ops->content_type ? ops->content_type(ops->ud, body->serializer) : tr_wire_content_type(TR_FORMAT_BYTES, meta);
}

/* ---- events ---- */

static void event_pairs(tr_wire_pairs *pairs, const tr_msg *msg, tr_format format, tr_slice origin) {
  bool sent = msg->sender_type != NULL;
  tr_wire_pairs_add(pairs, TR_KEY_CONTENT_TYPE, content_type_of(msg->core, &msg->body, format, msg->meta));
  tr_wire_pairs_add(pairs, TR_KEY_SCHEMA, tr_name_view(msg->type));
  tr_wire_pairs_add(pairs, TR_KEY_SENDER_TYPE, sent ? tr_name_view(msg->sender_type) : TR_SLICE_LITERAL("unknown"));
  tr_wire_pairs_add(pairs, TR_KEY_SENDER_KEY, sent ? tr_name_view(msg->sender_key) : TR_SLICE_LITERAL("unknown"));
  tr_wire_pairs_add(pairs, TR_KEY_KIND, TR_SLICE_LITERAL("publish"));
  if (origin.p) tr_wire_pairs_add(pairs, TR_KEY_ORIGIN, origin);
  tr_wire_pairs_of(pairs, msg);
}

static tr_blob *event_frame(const tr_msg *msg, tr_format format, tr_slice body, tr_slice origin) {
  char id[TR_MSG_ID_MAX];
  tr_wire_pairs pairs = { .count = 0 };
  tr_buf signature;
  event_pairs(&pairs, msg, format, origin);
  tr_buf_init(&signature, tr_core_mem(msg->core));
  if (tr_core_seal(msg->core) && tr_wire_sign(msg, pairs.pairs[0].value, body, &pairs, &signature)) {
    tr_buf_fini(&signature);
    return NULL;
  }
  io_cloudevents_v1_CloudEvent event = {
    .id = tr_msg_id(msg, id), .source = tr_name_view(msg->target_key), .spec_version = TR_SLICE_LITERAL("1.0"),
    .type = tr_name_view(msg->target_type), .attributes = { .write = write_attributes, .ud = &pairs }
  };
  bool any = format == TR_FORMAT_PROTOBUF;
  event.which_data = any ? io_cloudevents_v1_CloudEvent_proto_data_tag : io_cloudevents_v1_CloudEvent_binary_data_tag;
  if (any) event.data.proto_data = body;
  else event.data.binary_data = body;
  tr_blob *frame = tr_pb_frame(tr_core_mem(msg->core), TR_WIRE_EVENT, io_cloudevents_v1_CloudEvent_fields, &event);
  tr_buf_fini(&signature);
  return frame;
}

int tr_wire_encode_event_as(tr_msg *msg, tr_slice troupe_origin, tr_format plain, tr_blob **frame, tr_error *error) {
  tr_blob *body = NULL;
  tr_format format;
  if (msg->frame && !troupe_origin.p) {
    *frame = tr_blob_ref(msg->frame);
    return 0;
  }
  if (tr_core_seal(msg->core)) plain = TR_FORMAT_JSON; /* what a host brings into another format is signed no more */
  int err = check_texts(msg, error);
  if (!err) err = body_bytes(msg->core, &msg->body, plain, &body, &format, error);
  if (err) return err;
  *frame = event_frame(msg, format, tr_blob_view(body), troupe_origin);
  tr_blob_unref(body);
  if (!*frame) return no_memory(error);
  if (!troupe_origin.p) msg->frame = tr_blob_ref(*frame); /* with an origin it is good for one door only */
  return 0;
}

/* ---- requests ---- */

int tr_wire_encode_request_as(tr_msg *msg, tr_slice request_id, tr_format plain, tr_blob **frame, tr_error *error) {
  tr_blob *body = NULL;
  tr_format format;
  tr_wire_pairs pairs = { .count = 0 };
  tr_buf signature;
  if (tr_core_seal(msg->core)) plain = TR_FORMAT_JSON;
  int err = check_texts(msg, error);
  if (!err) err = body_bytes(msg->core, &msg->body, plain, &body, &format, error);
  if (err) return err;
  tr_wire_pairs_of(&pairs, msg);
  tr_slice content_type = content_type_of(msg->core, &msg->body, format, msg->meta);
  tr_buf_init(&signature, tr_core_mem(msg->core));
  if (tr_core_seal(msg->core)) err = tr_wire_sign(msg, content_type, tr_blob_view(body), &pairs, &signature);
  agents_RpcRequest request = {
    .request_id = request_id, .has_source = msg->sender_type != NULL,
    .source = { .type = tr_name_view(msg->sender_type), .key = tr_name_view(msg->sender_key) },
    .has_target = true, .target = { .type = tr_name_view(msg->target_type), .key = tr_name_view(msg->target_key) },
    .has_payload = true,
    .payload = { .data_type = tr_name_view(msg->type), .data_content_type = content_type,
                 .data = tr_blob_view(body) },
    .metadata = { .write = write_metadata, .ud = &pairs }
  };
  *frame = err ? NULL : tr_pb_frame(tr_core_mem(msg->core), TR_WIRE_REQUEST, agents_RpcRequest_fields, &request);
  tr_buf_fini(&signature);
  tr_blob_unref(body);
  return *frame ? 0 : no_memory(error);
}

/* ---- answers ---- */

static tr_blob *response_frame(tr_mem *mem, agents_RpcResponse *response, tr_wire_pairs *pairs) {
  response->metadata.write = write_metadata;
  response->metadata.ud = pairs;
  return tr_pb_frame(mem, TR_WIRE_RESPONSE, agents_RpcResponse_fields, response);
}

/* "code: text", with a question mark for every byte that is not UTF-8. */
static void write_error_text(tr_buf *out, int code, tr_slice text) {
  if (text.n == 0) text = tr_slice_of(tr_error_default_text(code));
  if (text.n > ERROR_TEXT_MAX) text.n = tr_utf8_cut(text, ERROR_TEXT_MAX);
  tr_buf_text(out, tr_error_name(code));
  tr_buf_text(out, ": ");
  size_t at = 0;
  for (size_t from = 0; at < text.n; from = at) {
    if (tr_utf8_next(text, &at) >= 0) tr_buf_append(out, text.p + from, at - from);
    else at++, tr_buf_byte(out, '?');
  }
}

static tr_blob *error_frame(tr_mem *mem, tr_slice request_id, int code, tr_slice text, const tr_meta *meta, bool unresolved) {
  tr_wire_pairs pairs = { .count = 0, .meta = meta };
  tr_buf buf;
  tr_buf_init(&buf, mem);
  write_error_text(&buf, code, text);
  tr_wire_pairs_add(&pairs, TR_KEY_CODE, tr_slice_of(tr_error_name(code)));
  if (unresolved) tr_wire_pairs_add(&pairs, TR_KEY_UNRESOLVED, TR_SLICE_LITERAL("1"));
  agents_RpcResponse response = { .request_id = request_id, .error = tr_buf_view(&buf) };
  tr_blob *frame = buf.failed ? NULL : response_frame(mem, &response, &pairs);
  tr_buf_fini(&buf);
  return frame;
}

tr_blob *tr_wire_error(tr_mem *mem, tr_slice request_id, int code, tr_slice text) {
  return error_frame(mem, request_id, code, text, NULL, false);
}

tr_blob *tr_wire_unresolved(tr_mem *mem, tr_slice request_id, int code, tr_slice text) {
  return error_frame(mem, request_id, code, text, NULL, true);
}

int tr_wire_encode_part(tr_core *core, const tr_reply *part, tr_slice request_id, tr_blob **frame, tr_error *error) {
  tr_format format;
  tr_blob *body = NULL;
  int err = body_bytes(core, &part->body, TR_FORMAT_JSON, &body, &format, error);
  if (err) return err;
  tr_wire_note note = { .kind = TR_NOTE_PART, .type = tr_name_view(part->type),
                        .content_type = content_type_of(core, &part->body, format, part->meta), .data = tr_blob_view(body) };
  *frame = tr_wire_encode_note(tr_core_mem(core), request_id, &note);
  tr_blob_unref(body);
  return *frame ? 0 : no_memory(error);
}

int tr_wire_encode_reply_as(tr_core *core, const tr_reply *reply, tr_slice request_id, tr_format plain, tr_blob **frame,
                            tr_error *error) {
  tr_mem *mem = tr_core_mem(core);
  tr_wire_pairs pairs = { .count = 0, .meta = reply->meta };
  if (reply->code) {
    *frame = error_frame(mem, request_id, reply->code, reply->error, reply->meta, reply->unresolved);
    return *frame ? 0 : no_memory(error);
  }
  tr_slice type = reply->type ? tr_name_view(reply->type) : TR_SLICE_LITERAL("null");
  tr_format format;
  tr_blob *body = NULL;
  if (reply->body.kind == TR_BODY_REF) tr_wire_pairs_add(&pairs, TR_KEY_KEPT, tr_blob_view(reply->body.bytes));
  int err = check_text(type, "the reply's type", error);
  if (!err) err = body_bytes(core, &reply->body, plain, &body, &format, error);
  if (err) return err;
  agents_RpcResponse response = {
    .request_id = request_id, .has_payload = true,
    .payload = { .data_type = type, .data_content_type = content_type_of(core, &reply->body, format, reply->meta),
                 .data = tr_blob_view(body) }
  };
  *frame = response_frame(mem, &response, &pairs);
  tr_blob_unref(body);
  return *frame ? 0 : no_memory(error);
}
