/* SPDX-License-Identifier: MIT
 * Messages for agents of this process: an agents.Message by nanopb into a tr_msg or a tr_reply.
 *
 * It reads what real peers send: Python's (spec_version "1.0", sender "unknown"/"unknown" when nobody sent it, JSON in
 * binary_data), .NET's (no spec_version, no sender attributes, proto_data), and whatever is within the schema.
 * Metadata that means something to the runtime is applied (keys.c), the rest goes into the message's metadata, which
 * the agent sees.
 *
 * Read next: encode.c, the way back; walk.c, for messages that only pass through. */
#include <stdio.h>

#include "base/text.h"
#include "core/core.h"
#include "wire/keys.h"
#include "wire/pb_message.h"
#include "wire/reader.h"
#include "wire/wire.h"

/* While a message is being decoded. */
typedef struct decoding {
  tr_core *core;
  tr_msg *msg;          /* request, event */
  tr_meta **meta;       /* where other keys go */
  bool failed;          /* memory ran out */
  tr_slice content_type, schema, sender_type, sender_key; /* attributes */
  tr_slice code, kept;  /* an answer's */
  bool unresolved;
} decoding;

static bool keep(decoding *self, tr_slice key, tr_slice value) {
  if (!*self->meta) *self->meta = tr_meta_new(tr_core_mem(self->core));
  if (*self->meta && !tr_meta_set(*self->meta, key, value)) return true;
  self->failed = true;
  return false;
}

static tr_name *name(decoding *self, tr_slice text) {
  tr_name *new = tr_name_new(tr_core_names(self->core), text);
  if (!new) self->failed = true;
  return new;
}

/* nanopb does not say why a callback failed. */
static int decode_pb(decoding *self, tr_slice inner, const pb_msgdesc_t *fields, void *message, tr_error *error) {
  int err = tr_pb_decode(inner, fields, message, "agents.Message", error);
  return err && self->failed ? TR_EMEMORY : err;
}

/* An entry of metadata or attributes, with the walk's reader: five attributes are ten nested messages, for which
 * nanopb took 0.65 of an event's 1.35 µs. false: malformed, or an attribute that is not a ce_string. */
static bool read_entry(pb_istream_t *element, bool attribute, tr_slice *key, tr_slice *value) {
  if (!tr_wire_read_entry(tr_pb_take(element), attribute, key, value) || !value->p) return false;
  return tr_utf8_valid(*key) && tr_utf8_valid(*value);
}

/* ---- bodies ---- */

/* Is there a serializer for it? Then it reads the body. */
static bool find_serializer(decoding *self, tr_slice type, tr_slice content_type, tr_body *body) {
  const tr_body_ops *ops = tr_core_body_ops(self->core);
  uint16_t number = ops->find ? ops->find(ops->ud, type, content_type) : 0;
  if (!number) return false;
  body->kind = TR_BODY_NONE;
  body->format = TR_FORMAT_OTHER;
  body->serializer = number;
  return true;
}

static int keep_bytes(decoding *self, tr_slice data, tr_body *body) {
  body->bytes = tr_blob_copy(tr_core_mem(self->core), data);
  if (!body->bytes) return TR_EMEMORY;
  body->kind = TR_BODY_BYTES;
  return 0;
}

static int read_body(decoding *self, tr_slice type, tr_slice content_type, tr_slice data, tr_body *body) {
  tr_format format;
  if (find_serializer(self, type, content_type, body)) return keep_bytes(self, data, body);
  if (!tr_wire_format(content_type, &format) && !keep(self, TR_SLICE_LITERAL(TR_META_CONTENT_TYPE), content_type))
    return TR_EMEMORY;
  body->format = (uint8_t)format;
  body->kind = TR_BODY_NONE;
  if (format == TR_FORMAT_JSON && data.n == 0) return 0;
  body->kind = TR_BODY_NULL;
  if (format == TR_FORMAT_JSON && tr_slice_is(data, "null")) return 0;
  body->kind = TR_BODY_NONE;
  return keep_bytes(self, data, body);
}

/* ---- requests ---- */

/* Unlike the other keys it must not get lost: there is a null in the body for each. */
static bool read_refs(decoding *self, tr_slice value) {
  tr_msg_more *more = tr_msg_get_more(self->msg);
  tr_blob *refs = more ? tr_blob_copy(tr_core_mem(self->core), value) : NULL;
  if (more) {
    tr_blob_unref(more->refs);
    more->refs = refs;
  }
  self->failed = self->failed || !refs;
  return refs;
}

static bool read_request_pair(void *ud, pb_istream_t *element) {
  decoding *self = ud;
  tr_slice key, value;
  if (!read_entry(element, false, &key, &value)) PB_RETURN_ERROR(element, "in the metadata");
  if (tr_slice_is(key, TR_KEY_REFS)) return read_refs(self, value);
  return tr_wire_key_apply(self->msg, key, value) || keep(self, key, value);
}

static int fill_request(decoding *self, const agents_RpcRequest *request) {
  tr_msg *msg = self->msg;
  msg->type = name(self, request->payload.data_type);
  msg->target_type = name(self, request->target.type);
  msg->target_key = name(self, request->target.key);
  if (request->has_source) {
    msg->sender_type = name(self, request->source.type);
    msg->sender_key = name(self, request->source.key);
  }
  if (!msg->id && request->request_id.n > 0) msg->id = name(self, request->request_id);
  if (self->failed) return TR_EMEMORY;
  return read_body(self, request->payload.data_type, request->payload.data_content_type, request->payload.data, &msg->body);
}

static int decode_request(decoding *self, tr_slice inner, tr_wire_in *in, tr_error *error) {
  agents_RpcRequest request = { .metadata = { .read = read_request_pair, .ud = self } };
  int err = decode_pb(self, inner, agents_RpcRequest_fields, &request, error);
  in->request_id = request.request_id;
  return err ? err : fill_request(self, &request);
}

/* ---- events ---- */

/* Attributes of other kinds than text, as text. Bytes are left out: a message's metadata is text. */
static tr_slice attribute_text(const io_cloudevents_v1_CloudEvent_CloudEventAttributeValue *value, char out[40]) {
  int n = 0;
  switch (value->which_attr) {
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_string_tag: return value->attr.ce_string;
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_uri_tag: return value->attr.ce_uri;
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_uri_ref_tag: return value->attr.ce_uri_ref;
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_boolean_tag:
      return value->attr.ce_boolean ? TR_SLICE_LITERAL("true") : TR_SLICE_LITERAL("false");
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_integer_tag:
      n = snprintf(out, 40, "%d", (int)value->attr.ce_integer);
      break;
    case io_cloudevents_v1_CloudEvent_CloudEventAttributeValue_ce_timestamp_tag: /* seconds since 1970 */
      n = snprintf(out, 40, "%lld.%09d", (long long)value->attr.ce_timestamp.seconds,
                   (int)value->attr.ce_timestamp.nanos);
      break;
    default: break;
  }
  return n > 0 ? tr_slice_make(out, (size_t)n) : (tr_slice){ NULL, 0 };
}

static tr_slice *known_attribute(decoding *self, tr_slice key) {
  if (tr_slice_is(key, TR_KEY_CONTENT_TYPE)) return &self->content_type;
  if (tr_slice_is(key, TR_KEY_SCHEMA)) return &self->schema;
  if (tr_slice_is(key, TR_KEY_SENDER_TYPE)) return &self->sender_type;
  return tr_slice_is(key, TR_KEY_SENDER_KEY) ? &self->sender_key : NULL;
}

/* One that is not a plain ce_string. */
static bool read_other_attribute(decoding *self, tr_slice bytes) {
  io_cloudevents_v1_CloudEvent_AttributesEntry entry = { 0 };
  pb_istream_t input = tr_pb_input(bytes);
  char text[40];
  if (!pb_decode(&input, io_cloudevents_v1_CloudEvent_AttributesEntry_fields, &entry)) return false;
  tr_slice value = attribute_text(&entry.value, text);
  return !value.p || tr_wire_key_reserved(entry.key) || keep(self, entry.key, value);
}

static bool read_attribute(void *ud, pb_istream_t *element) {
  decoding *self = ud;
  tr_slice key, value, bytes = tr_slice_make(element->state, element->bytes_left);
  if (!read_entry(element, true, &key, &value)) {
    if (read_other_attribute(self, bytes)) return true;
    PB_RETURN_ERROR(element, "in the attributes");
  }
  if (tr_slice_is(key, TR_KEY_KIND)) return true;
  tr_slice *known = known_attribute(self, key);
  if (known) *known = value;
  return known || tr_wire_key_apply(self->msg, key, value) || keep(self, key, value);
}

static int read_event_body(decoding *self, const io_cloudevents_v1_CloudEvent *event) {
  tr_body *body = &self->msg->body;
  switch (event->which_data) {
    case io_cloudevents_v1_CloudEvent_binary_data_tag:
      return read_body(self, self->schema, self->content_type, event->data.binary_data, body);
    case io_cloudevents_v1_CloudEvent_text_data_tag:
      return read_body(self, self->schema, self->content_type, event->data.text_data, body);
    case io_cloudevents_v1_CloudEvent_proto_data_tag:
      return read_body(self, self->schema, tr_wire_content_type(TR_FORMAT_PROTOBUF, NULL), event->data.proto_data, body);
    default: return 0;
  }
}

static int fill_event(decoding *self, const io_cloudevents_v1_CloudEvent *event) {
  tr_msg *msg = self->msg;
  bool unknown = tr_slice_is(self->sender_type, "unknown") && tr_slice_is(self->sender_key, "unknown");
  msg->type = name(self, self->schema);
  msg->target_type = name(self, event->type);
  msg->target_key = name(self, event->source);
  if (self->sender_type.n > 0 && !unknown) {
    msg->sender_type = name(self, self->sender_type);
    msg->sender_key = name(self, self->sender_key);
  }
  if (!msg->id && event->id.n > 0) msg->id = name(self, event->id);
  return self->failed ? TR_EMEMORY : read_event_body(self, event);
}

static int decode_event(decoding *self, tr_slice inner, tr_error *error) {
  io_cloudevents_v1_CloudEvent event = { .attributes = { .read = read_attribute, .ud = self } };
  int err = decode_pb(self, inner, io_cloudevents_v1_CloudEvent_fields, &event, error);
  return err ? err : fill_event(self, &event);
}

/* ---- answers ---- */

static bool read_response_pair(void *ud, pb_istream_t *element) {
  decoding *self = ud;
  tr_slice key, value;
  if (!read_entry(element, false, &key, &value)) PB_RETURN_ERROR(element, "in the metadata");
  if (tr_slice_is(key, TR_KEY_CODE)) self->code = value;
  else if (tr_slice_is(key, TR_KEY_KEPT)) self->kept = value;
  else if (tr_slice_is(key, TR_KEY_UNRESOLVED)) self->unresolved = true;
  else if (!tr_wire_key_reserved(key)) return keep(self, key, value);
  return true;
}

/* "code: text" → text, where that is the code that the metadata names. */
static tr_slice strip_code(tr_slice text, tr_slice code) {
  if (!tr_slice_starts(text, code) || text.n < code.n + 2 || memcmp(text.p + code.n, ": ", 2) != 0) return text;
  return tr_slice_make(text.p + code.n + 2, text.n - code.n - 2);
}

static int fill_error(decoding *self, tr_slice text, tr_wire_in *in) {
  int code = tr_error_from_name(self->code);
  in->reply.unresolved = self->unresolved;
  in->reply.code = code ? code : TR_EHANDLER; /* a Python worker's "timeout: ..." is no timeout of ours */
  in->reply.error = code ? strip_code(text, self->code) : text;
  if (in->reply.error.n == 0) in->reply.error = tr_slice_of(tr_error_default_text(in->reply.code));
  size_t n = in->reply.error.n < TR_ERROR_TEXT ? in->reply.error.n : TR_ERROR_TEXT;
  tr_error_set(&in->error_text, in->reply.code, "%.*s", (int)n, in->reply.error.p);
  return 0;
}

/* The content stayed where it was made. */
static int read_kept(const decoding *self, tr_body *body, tr_error *error) {
  if (!tr_ref_check(self->kept)) return tr_error_set(error, TR_EINVALID, "malformed agents.Message: where the result is kept");
  tr_blob *text = tr_blob_copy(tr_core_mem(self->core), self->kept);
  if (!text) return TR_EMEMORY;
  *body = (tr_body){ .kind = TR_BODY_REF, .bytes = text };
  return 0;
}

static int decode_response(decoding *self, tr_slice inner, tr_wire_in *in, tr_error *error) {
  agents_RpcResponse response = { .metadata = { .read = read_response_pair, .ud = self } };
  int err = decode_pb(self, inner, agents_RpcResponse_fields, &response, error);
  in->request_id = response.request_id;
  in->reply.meta = in->meta;
  if (err) return err;
  if (response.error.n > 0 || self->code.n > 0) return fill_error(self, response.error, in);
  if (!response.has_payload) /* a Python handler's exception without a text ends so */
    return fill_error(self, TR_SLICE_LITERAL("the answer has neither a body nor an error text"), in);
  in->reply.type = name(self, response.payload.data_type);
  if (!in->reply.type) return TR_EMEMORY;
  if (self->kept.n) return read_kept(self, &in->reply.body, error);
  err = read_body(self, response.payload.data_type, response.payload.data_content_type, response.payload.data, &in->reply.body);
  in->reply.meta = in->meta;
  return err;
}

/* A note that is a part of an answer; of others there is nothing to decode. */
static int decode_part(decoding *self, tr_slice inner, tr_wire_in *in, tr_error *error) {
  agents_RpcResponse part = { .metadata = { .read = read_response_pair, .ud = self } };
  int err = decode_pb(self, inner, agents_RpcResponse_fields, &part, error);
  in->request_id = part.request_id;
  if (err || !part.has_payload) return err;
  in->reply.type = name(self, part.payload.data_type);
  if (!in->reply.type) return TR_EMEMORY;
  return read_body(self, part.payload.data_type, part.payload.data_content_type, part.payload.data, &in->reply.body);
}

/* ---- the whole ---- */

static int decode_message(decoding *self, tr_msg_kind kind, tr_slice inner, tr_wire_in *in, tr_error *error) {
  self->msg = in->msg = tr_msg_new(self->core, kind);
  if (!in->msg) return TR_EMEMORY;
  self->meta = &in->msg->meta;
  in->msg->from_wire = true;
  return kind == TR_MSG_EVENT ? decode_event(self, inner, error) : decode_request(self, inner, in, error);
}

static int decode_span(const tr_wire_span *span, tr_wire_in *in, tr_error *error) {
  decoding self = { .core = in->core, .meta = &in->meta };
  in->kind = span->kind;
  switch (span->kind) {
    case TR_WIRE_REQUEST: return decode_message(&self, TR_MSG_REQUEST, span->inner, in, error);
    case TR_WIRE_EVENT: return decode_message(&self, TR_MSG_EVENT, span->inner, in, error);
    case TR_WIRE_RESPONSE: return decode_response(&self, span->inner, in, error);
    case TR_WIRE_NOTE: return decode_part(&self, span->inner, in, error);
    case TR_WIRE_EMPTY: break;
  }
  return 0;
}

static int decode(tr_core *core, tr_slice bytes, bool sealed, tr_wire_in *in, tr_error *error) {
  tr_wire_span span;
  tr_error why;
  *in = (tr_wire_in){ .core = core };
  tr_error_init(&why);
  int err = tr_wire_walk(bytes, &span, &why);
  if (err && span.merged) {
    in->joined = tr_wire_join(tr_core_mem(core), bytes);
    tr_error_init(&why);
    err = in->joined ? tr_wire_walk(tr_blob_view(in->joined), &span, &why) : TR_EMEMORY;
  }
  if (!err && sealed && tr_core_seal(core)) err = tr_wire_verify(core, &span, &why);
  if (!err) err = decode_span(&span, in, &why);
  if (!err) return 0;
  tr_wire_in_fini(in);
  return tr_error_set(error, err, "%s", err == TR_EMEMORY ? "out of memory" : why.text);
}

int tr_wire_decode(tr_core *core, tr_slice bytes, bool peer_is_troupe, tr_wire_in *in, tr_error *error) {
  (void)peer_is_troupe; /* what matters is in the message: keys.h */
  return decode(core, bytes, true, in, error);
}

int tr_wire_decode_unsealed(tr_core *core, tr_slice bytes, tr_wire_in *in, tr_error *error) { return decode(core, bytes, false, in, error); }

void tr_wire_in_fini(tr_wire_in *in) {
  if (in->msg) tr_msg_unref(in->msg);
  if (in->core) tr_body_release(in->core, &in->reply.body);
  tr_name_unref(in->reply.type);
  tr_meta_free(in->meta);
  tr_blob_unref(in->joined);
  *in = (tr_wire_in){ .kind = in->kind };
}
