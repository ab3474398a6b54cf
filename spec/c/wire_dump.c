/* SPDX-License-Identifier: MIT
 * Messages as value trees: see wire_golden.h. One function for each message, as the generated code has one struct
 * each. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "codec/json.h"
#include "wire/pb_message.h"
#include "wire/reader.h"
#include "wire_golden.h"

/* ---- writing into a sink; a field that is not set is left out ---- */

typedef struct out { tr_sink sink; bool again; bool failed; } out;

static void key(out *o, const char *name) { o->sink.key(o->sink.ud, tr_slice_of(name)); }
static void open_map(out *o, const char *name) {
  if (name) key(o, name);
  o->sink.begin_map(o->sink.ud, TR_SIZE_UNKNOWN);
}
static void close_map(out *o) { o->sink.end_map(o->sink.ud); }
static void string(out *o, const char *name, tr_slice value) {
  key(o, name);
  o->sink.string(o->sink.ud, value);
}
static void text(out *o, const char *name, tr_slice value) {
  if (value.n > 0) string(o, name, value);
}
static void bytes(out *o, const char *name, tr_slice value, bool always) {
  if (value.n == 0 && !always) return;
  key(o, name);
  o->sink.bytes(o->sink.ud, value);
}

/* ---- decode, or decode, encode and decode again ---- */

static bool decode(out *o, tr_slice from, const pb_msgdesc_t *fields, void *message) {
  tr_error error;
  tr_error_init(&error);
  if (tr_pb_decode(from, fields, message, "message", &error) == 0) return true;
  o->failed = true;
  return false;
}

/* ---- metadata ---- */

enum { PAIRS_MAX = 32 };
typedef struct pairs {
  struct { tr_slice key, value; io_cloudevents_v1_CloudEvent_CloudEventAttributeValue attribute; } list[PAIRS_MAX];
  size_t count;
} pairs;

static bool read_pair(void *ud, pb_istream_t *element) {
  pairs *to = ud;
  agents_RpcRequest_MetadataEntry entry = { 0 };
  if (!pb_decode(element, agents_RpcRequest_MetadataEntry_fields, &entry) || to->count == PAIRS_MAX) return false;
  to->list[to->count].key = entry.key;
  to->list[to->count++].value = entry.value;
  return true;
}

static bool write_pairs(void *ud, pb_ostream_t *output, const pb_field_t *field) {
  pairs *from = ud;
  for (size_t i = 0; i < from->count; i++) {
    agents_RpcRequest_MetadataEntry entry = { .key = from->list[i].key, .value = from->list[i].value };
    if (!pb_encode_tag(output, PB_WT_STRING, field->tag)) return false;
    if (!pb_encode_submessage(output, agents_RpcRequest_MetadataEntry_fields, &entry)) return false;
  }
  return true;
}

static void dump_pairs(out *o, const pairs *from) {
  if (from->count == 0) return;
  open_map(o, "metadata");
  for (size_t i = 0; i < from->count; i++) {
    o->sink.key(o->sink.ud, from->list[i].key);
    o->sink.string(o->sink.ud, from->list[i].value);
  }
  close_map(o);
}

/* ---- agent id, payload, Any ---- */

static void dump_agent(out *o, const char *name, const agents_AgentId *agent) {
  open_map(o, name);
  text(o, "type", agent->type);
  text(o, "key", agent->key);
  close_map(o);
}

static void dump_payload(out *o, const agents_Payload *payload) {
  open_map(o, "payload");
  text(o, "data_type", payload->data_type);
  text(o, "data_content_type", payload->data_content_type);
  bytes(o, "data", payload->data, false);
  close_map(o);
}

/* wiretest.Greeting { string text = 1; int32 n = 2; }, which has no generated code here */
static void dump_greeting(out *o, tr_slice value) {
  tr_reader reader = tr_reader_of(value);
  tr_field field;
  while (tr_read_field(&reader, &field) > 0) {
    if (field.key == TR_FIELD_KEY(1)) text(o, "text", field.value);
    if (field.key == (2 << 3 | TR_PB_VARINT)) {
      key(o, "n");
      o->sink.integer(o->sink.ud, field.value.p[0]);
    }
  }
}

static void dump_state(out *o, tr_slice name, tr_slice value) {
  if (tr_slice_is(name, "agents.SaveStateRequest")) {
    agents_SaveStateRequest message = { 0 };
    if (decode(o, value, agents_SaveStateRequest_fields, &message) && message.has_agentId) dump_agent(o, "agentId", &message.agentId);
  } else if (tr_slice_is(name, "agents.SaveStateResponse")) {
    agents_SaveStateResponse message = { 0 };
    decode(o, value, agents_SaveStateResponse_fields, &message);
    text(o, "state", message.state);
    if (message.error.p) string(o, "error", message.error);
  } else if (tr_slice_is(name, "agents.LoadStateRequest")) {
    agents_LoadStateRequest message = { 0 };
    if (decode(o, value, agents_LoadStateRequest_fields, &message) && message.has_agentId) dump_agent(o, "agentId", &message.agentId);
    text(o, "state", message.state);
  } else if (tr_slice_is(name, "agents.LoadStateResponse")) {
    agents_LoadStateResponse message = { 0 };
    decode(o, value, agents_LoadStateResponse_fields, &message);
    if (message.error.p) string(o, "error", message.error);
  }
}

static void dump_any(out *o, const char *field, const google_protobuf_Any *any) {
  tr_slice name = any->type_url;
  for (size_t i = 0; i < name.n; i++)
    if (name.p[i] == '/') name = tr_slice_make(name.p + i + 1, name.n - i - 1), i = 0;
  open_map(o, field);
  string(o, "@type", any->type_url);
  if (tr_slice_is(name, "wiretest.Greeting")) dump_greeting(o, any->value);
  else dump_state(o, name, any->value);
  close_map(o);
}

/* ---- agents.Message ---- */

static void dump_request(out *o, tr_slice inner) {
  pairs metadata = { .count = 0 }, metadata2 = { .count = 0 };
  agents_RpcRequest message = { .metadata = { read_pair, write_pairs, &metadata } };
  tr_blob *frame = NULL;
  decode(o, inner, agents_RpcRequest_fields, &message);
  if (o->again) {
    frame = tr_pb_frame(check_mem(), 0, agents_RpcRequest_fields, &message);
    message = (agents_RpcRequest){ .metadata = { read_pair, write_pairs, &metadata2 } };
    decode(o, tr_slice_make(frame->data + 5, frame->len - 5), agents_RpcRequest_fields, &message);
  }
  open_map(o, "request");
  text(o, "request_id", message.request_id);
  if (message.has_source) dump_agent(o, "source", &message.source);
  if (message.has_target) dump_agent(o, "target", &message.target);
  text(o, "method", message.method);
  if (message.has_payload) dump_payload(o, &message.payload);
  dump_pairs(o, o->again ? &metadata2 : &metadata);
  close_map(o);
  tr_blob_unref(frame);
}

static void dump_response(out *o, tr_slice inner) {
  pairs metadata = { .count = 0 }, metadata2 = { .count = 0 };
  agents_RpcResponse message = { .metadata = { read_pair, write_pairs, &metadata } };
  tr_blob *frame = NULL;
  decode(o, inner, agents_RpcResponse_fields, &message);
  if (o->again) {
    frame = tr_pb_frame(check_mem(), 0, agents_RpcResponse_fields, &message);
    message = (agents_RpcResponse){ .metadata = { read_pair, write_pairs, &metadata2 } };
    decode(o, tr_slice_make(frame->data + 5, frame->len - 5), agents_RpcResponse_fields, &message);
  }
  open_map(o, "response");
  text(o, "request_id", message.request_id);
  if (message.has_payload) dump_payload(o, &message.payload);
  text(o, "error", message.error);
  dump_pairs(o, o->again ? &metadata2 : &metadata);
  close_map(o);
  tr_blob_unref(frame);
}

/* ---- events ---- */

static bool read_attribute(void *ud, pb_istream_t *element) {
  pairs *to = ud;
  io_cloudevents_v1_CloudEvent_AttributesEntry entry = { 0 };
  if (!pb_decode(element, io_cloudevents_v1_CloudEvent_AttributesEntry_fields, &entry) || to->count == PAIRS_MAX) return false;
  to->list[to->count].key = entry.key;
  to->list[to->count++].attribute = entry.value;
  return true;
}

static bool write_attributes(void *ud, pb_ostream_t *output, const pb_field_t *field) {
  pairs *from = ud;
  for (size_t i = 0; i < from->count; i++) {
    io_cloudevents_v1_CloudEvent_AttributesEntry entry = { .key = from->list[i].key, .has_value = true, .value = from->list[i].attribute };
    if (!pb_encode_tag(output, PB_WT_STRING, field->tag)) return false;
    if (!pb_encode_submessage(output, io_cloudevents_v1_CloudEvent_AttributesEntry_fields, &entry)) return false;
  }
  return true;
}

static void dump_attribute(out *o, const io_cloudevents_v1_CloudEvent_CloudEventAttributeValue *value) {
  open_map(o, NULL);
  switch (value->which_attr) {
    case 1:
      key(o, "ce_boolean");
      o->sink.boolean(o->sink.ud, value->attr.ce_boolean);
      break;
    case 2:
      key(o, "ce_integer");
      o->sink.integer(o->sink.ud, value->attr.ce_integer);
      break;
    case 3: string(o, "ce_string", value->attr.ce_string); break;
    case 4: bytes(o, "ce_bytes", value->attr.ce_bytes, true); break;
    case 5: string(o, "ce_uri", value->attr.ce_uri); break;
    case 6: string(o, "ce_uri_ref", value->attr.ce_uri_ref); break;
    case 7: {
      char date[64];
      time_t seconds = (time_t)value->attr.ce_timestamp.seconds;
      struct tm tm;
      gmtime_r(&seconds, &tm);
      size_t n = strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
      snprintf(date + n, sizeof date - n, ".%09dZ", (int)value->attr.ce_timestamp.nanos);
      string(o, "ce_timestamp", tr_slice_of(date));
      break;
    }
    default: break;
  }
  close_map(o);
}

static void dump_event(out *o, tr_slice inner) {
  pairs attributes = { .count = 0 }, attributes2 = { .count = 0 };
  io_cloudevents_v1_CloudEvent message = { .attributes = { read_attribute, write_attributes, &attributes } };
  tr_blob *frame = NULL;
  decode(o, inner, io_cloudevents_v1_CloudEvent_fields, &message);
  if (o->again) {
    frame = tr_pb_frame(check_mem(), 0, io_cloudevents_v1_CloudEvent_fields, &message);
    message = (io_cloudevents_v1_CloudEvent){ .attributes = { read_attribute, write_attributes, &attributes2 } };
    decode(o, tr_slice_make(frame->data + 5, frame->len - 5), io_cloudevents_v1_CloudEvent_fields, &message);
    attributes = attributes2;
  }
  open_map(o, "cloudEvent");
  text(o, "id", message.id);
  text(o, "source", message.source);
  text(o, "spec_version", message.spec_version);
  text(o, "type", message.type);
  if (attributes.count > 0) open_map(o, "attributes");
  for (size_t i = 0; i < attributes.count; i++) {
    o->sink.key(o->sink.ud, attributes.list[i].key);
    dump_attribute(o, &attributes.list[i].attribute);
  }
  if (attributes.count > 0) close_map(o);
  if (message.which_data == io_cloudevents_v1_CloudEvent_binary_data_tag) bytes(o, "binary_data", message.data.binary_data, true);
  if (message.which_data == io_cloudevents_v1_CloudEvent_text_data_tag) string(o, "text_data", message.data.text_data);
  if (message.which_data == io_cloudevents_v1_CloudEvent_proto_data_tag) {
    google_protobuf_Any any = { .type_url = { 0, 0 } };
    if (decode(o, message.data.proto_data, google_protobuf_Any_fields, &any)) dump_any(o, "proto_data", &any);
  }
  close_map(o);
  tr_blob_unref(frame);
}

static void dump_message(out *o, tr_slice from) {
  tr_wire_span span;
  if (tr_wire_walk(from, &span, NULL)) o->failed = true;
  else if (span.kind == TR_WIRE_REQUEST) dump_request(o, span.inner);
  else if (span.kind == TR_WIRE_RESPONSE) dump_response(o, span.inner);
  else if (span.kind == TR_WIRE_EVENT) dump_event(o, span.inner);
}

/* ---- the unary messages, through the functions of wire.h ---- */

static tr_slice framed(tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

static void dump_subscription(void *ud, const tr_wire_subscription *sub) {
  out *o = ud;
  open_map(o, NULL);
  text(o, "id", sub->id);
  if (sub->has_kind) {
    bool type = sub->kind == TR_SUB_TYPE;
    open_map(o, type ? "typeSubscription" : "typePrefixSubscription");
    text(o, type ? "topic_type" : "topic_type_prefix", sub->topic);
    text(o, "agent_type", sub->agent_type);
    close_map(o);
  }
  close_map(o);
}

static void dump_add_subscription(out *o, tr_slice from) {
  tr_wire_subscription sub = { .id = { 0, 0 } };
  tr_blob *frame = NULL;
  bool present = false;
  if (tr_wire_decode_add_subscription(from, &sub, &present, NULL)) o->failed = true;
  if (o->again && present) {
    frame = tr_wire_encode_add_subscription(check_mem(), &sub);
    if (tr_wire_decode_add_subscription(framed(frame), &sub, &present, NULL)) o->failed = true;
  }
  if (present) {
    key(o, "subscription");
    dump_subscription(o, &sub);
  }
  tr_blob_unref(frame);
}

static void dump_subscriptions(out *o, tr_slice from) {
  if (from.n == 0) return;
  key(o, "subscriptions");
  o->sink.begin_array(o->sink.ud, TR_SIZE_UNKNOWN);
  if (tr_wire_decode_subscriptions(from, dump_subscription, o, NULL)) o->failed = true;
  o->sink.end_array(o->sink.ud);
}

static void dump_one_text(out *o, const char *name, tr_slice from, int (*decode_text)(tr_slice, tr_slice *, tr_error *),
                          tr_blob *(*encode_text)(tr_mem *, tr_slice)) {
  tr_slice value;
  tr_blob *frame = NULL;
  if (decode_text(from, &value, NULL)) o->failed = true;
  if (o->again) {
    frame = encode_text(check_mem(), value);
    if (decode_text(framed(frame), &value, NULL)) o->failed = true;
  }
  text(o, name, value);
  tr_blob_unref(frame);
}

static void dump_control(out *o, tr_slice from) {
  tr_wire_control control;
  tr_blob *frame = NULL;
  if (tr_wire_walk_control(from, &control, NULL)) o->failed = true;
  if (o->again) {
    frame = tr_wire_encode_control(check_mem(), &control);
    if (tr_wire_walk_control(framed(frame), &control, NULL)) o->failed = true;
  }
  google_protobuf_Any any = { .type_url = control.type_url, .value = control.value };
  text(o, "rpc_id", control.rpc_id);
  text(o, "destination", control.destination);
  if (control.has_respond_to) string(o, "respond_to", control.respond_to);
  dump_any(o, "rpcMessage", &any);
  tr_blob_unref(frame);
}

tr_value *golden_tree(const char *message, tr_slice from, bool again, tr_error *error) {
  tr_value_builder builder;
  tr_value_builder_init(&builder, check_mem(), error);
  out o = { .sink = tr_value_sink(&builder), .again = again };
  open_map(&o, NULL);
  if (!strcmp(message, "agents.Message")) dump_message(&o, from);
  else if (!strcmp(message, "agents.AddSubscriptionRequest")) dump_add_subscription(&o, from);
  else if (!strcmp(message, "agents.GetSubscriptionsResponse")) dump_subscriptions(&o, from);
  else if (!strcmp(message, "agents.RegisterAgentTypeRequest")) dump_one_text(&o, "type", from, tr_wire_decode_register, tr_wire_encode_register);
  else if (!strcmp(message, "agents.RemoveSubscriptionRequest"))
    dump_one_text(&o, "id", from, tr_wire_decode_remove_subscription, tr_wire_encode_remove_subscription);
  else if (!strcmp(message, "agents.ControlMessage")) dump_control(&o, from);
  else o.failed = from.n > 0; /* the others have no fields */
  close_map(&o);
  tr_value *tree = o.failed ? NULL : tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return tree;
}

/* ---- trees and texts ---- */

tr_value *golden_json(tr_slice json) {
  tr_value_builder builder;
  tr_error error;
  tr_error_init(&error);
  tr_value_builder_init(&builder, check_mem(), &error);
  tr_sink sink = tr_value_sink(&builder);
  if (tr_json_parse(check_mem(), json, &sink, &error)) CHECK_FAIL("%s", error.text);
  tr_value *tree = tr_value_builder_take(&builder);
  tr_value_builder_fini(&builder);
  return tree;
}

static int by_key(const void *a, const void *b) {
  const tr_slice *x = a, *y = b;
  size_t n = x->n < y->n ? x->n : y->n;
  int order = n ? memcmp(x->p, y->p, n) : 0;
  return order ? order : x->n < y->n ? -1 : x->n > y->n;
}

static void walk_sorted(const tr_value *value, const tr_sink *sink) {
  size_t count = tr_value_length(value);
  if (tr_value_get_kind(value) == TR_VALUE_ARRAY) {
    sink->begin_array(sink->ud, count);
    for (size_t i = 0; i < count; i++) walk_sorted(tr_value_at(value, i), sink);
    sink->end_array(sink->ud);
  } else if (tr_value_get_kind(value) == TR_VALUE_MAP) {
    tr_slice keys[64];
    if (count > 64) CHECK_FAIL("a map of more than 64 members");
    for (size_t i = 0; i < count; i++) keys[i] = tr_value_key_at(value, i);
    qsort(keys, count, sizeof *keys, by_key);
    sink->begin_map(sink->ud, count);
    for (size_t i = 0; i < count; i++) {
      sink->key(sink->ud, keys[i]);
      walk_sorted(tr_value_get(value, keys[i]), sink);
    }
    sink->end_map(sink->ud);
  } else {
    tr_value_walk(value, sink, NULL);
  }
}

void golden_text(const tr_value *value, tr_buf *to) {
  tr_json_writer writer;
  tr_buf_init(to, check_mem());
  tr_json_writer_init(&writer, to, NULL);
  tr_sink sink = tr_json_sink(&writer);
  walk_sorted(value, &sink);
}
