/* SPDX-License-Identifier: MIT
 * The messages of the unary calls and of the control channel, by nanopb: small, and decoded where they are read. */
#include "wire/pb_message.h"
#include "wire/wire.h"

/* ---- registration ---- */

int tr_wire_decode_register(tr_slice bytes, tr_slice *type, tr_error *error) {
  agents_RegisterAgentTypeRequest request = { 0 };
  int err = tr_pb_decode(bytes, agents_RegisterAgentTypeRequest_fields, &request, "RegisterAgentTypeRequest", error);
  *type = request.type;
  return err;
}

tr_blob *tr_wire_encode_register(tr_mem *mem, tr_slice type) {
  agents_RegisterAgentTypeRequest request = { .type = type };
  return tr_pb_frame(mem, 0, agents_RegisterAgentTypeRequest_fields, &request);
}

/* ---- subscriptions ---- */

static tr_wire_subscription from_pb(const agents_Subscription *sub) {
  tr_wire_subscription out = { .id = sub->id };
  if (sub->which_subscription == agents_Subscription_typeSubscription_tag) {
    out.has_kind = true;
    out.kind = TR_SUB_TYPE;
    out.topic = sub->subscription.typeSubscription.topic_type;
    out.agent_type = sub->subscription.typeSubscription.agent_type;
  } else if (sub->which_subscription == agents_Subscription_typePrefixSubscription_tag) {
    out.has_kind = true;
    out.kind = TR_SUB_PREFIX;
    out.topic = sub->subscription.typePrefixSubscription.topic_type_prefix;
    out.agent_type = sub->subscription.typePrefixSubscription.agent_type;
  }
  return out;
}

static agents_Subscription to_pb(const tr_wire_subscription *sub) {
  agents_Subscription out = { .id = sub->id };
  if (!sub->has_kind) return out;
  if (sub->kind == TR_SUB_TYPE) {
    out.which_subscription = agents_Subscription_typeSubscription_tag;
    out.subscription.typeSubscription =
        (agents_TypeSubscription){ .topic_type = sub->topic, .agent_type = sub->agent_type };
  } else {
    out.which_subscription = agents_Subscription_typePrefixSubscription_tag;
    out.subscription.typePrefixSubscription =
        (agents_TypePrefixSubscription){ .topic_type_prefix = sub->topic, .agent_type = sub->agent_type };
  }
  return out;
}

int tr_wire_decode_add_subscription(tr_slice bytes, tr_wire_subscription *out, bool *present, tr_error *error) {
  agents_AddSubscriptionRequest request = { 0 };
  int err = tr_pb_decode(bytes, agents_AddSubscriptionRequest_fields, &request, "AddSubscriptionRequest", error);
  *present = !err && request.has_subscription;
  *out = from_pb(&request.subscription);
  return err;
}

tr_blob *tr_wire_encode_add_subscription(tr_mem *mem, const tr_wire_subscription *sub) {
  agents_AddSubscriptionRequest request = { .has_subscription = true, .subscription = to_pb(sub) };
  return tr_pb_frame(mem, 0, agents_AddSubscriptionRequest_fields, &request);
}

int tr_wire_decode_remove_subscription(tr_slice bytes, tr_slice *id, tr_error *error) {
  agents_RemoveSubscriptionRequest request = { 0 };
  int err = tr_pb_decode(bytes, agents_RemoveSubscriptionRequest_fields, &request, "RemoveSubscriptionRequest", error);
  *id = request.id;
  return err;
}

tr_blob *tr_wire_encode_remove_subscription(tr_mem *mem, tr_slice id) {
  agents_RemoveSubscriptionRequest request = { .id = id };
  return tr_pb_frame(mem, 0, agents_RemoveSubscriptionRequest_fields, &request);
}

/* ---- the list of subscriptions ---- */

typedef struct receiver { void (*each)(void *ud, const tr_wire_subscription *); void *ud; } receiver;

static bool read_subscription(void *ud, pb_istream_t *element) {
  const receiver *to = ud;
  agents_Subscription sub = { 0 };
  if (!pb_decode(element, agents_Subscription_fields, &sub)) return false;
  tr_wire_subscription out = from_pb(&sub);
  to->each(to->ud, &out);
  return true;
}

int tr_wire_decode_subscriptions(tr_slice bytes, void (*each)(void *ud, const tr_wire_subscription *), void *ud,
                                 tr_error *error) {
  receiver to = { each, ud };
  agents_GetSubscriptionsResponse response = { .subscriptions = { .read = read_subscription, .ud = &to } };
  return tr_pb_decode(bytes, agents_GetSubscriptionsResponse_fields, &response, "GetSubscriptionsResponse", error);
}

static bool write_subscriptions(void *ud, pb_ostream_t *output, const pb_field_t *field) {
  const tr_router *router = ud;
  for (tr_sub *sub = tr_router_next_sub(router, NULL); sub; sub = tr_router_next_sub(router, sub)) {
    if (sub->added_by && sub->added_by->away) continue;
    tr_wire_subscription text = { .id = tr_name_view(sub->id), .has_kind = true, .kind = sub->kind,
                                  .topic = tr_name_view(sub->topic), .agent_type = tr_name_view(sub->agent_type) };
    agents_Subscription out = to_pb(&text);
    if (!pb_encode_tag(output, PB_WT_STRING, field->tag)) return false;
    if (!pb_encode_submessage(output, agents_Subscription_fields, &out)) return false;
  }
  return true;
}

tr_blob *tr_wire_encode_subscriptions(tr_mem *mem, const tr_router *router) {
  agents_GetSubscriptionsResponse response = {
    .subscriptions = { .write = write_subscriptions, .ud = (void *)(uintptr_t)router }
  };
  return tr_pb_frame(mem, 0, agents_GetSubscriptionsResponse_fields, &response);
}

tr_blob *tr_wire_encode_empty(tr_mem *mem) { return tr_wire_frame(mem, (tr_slice){ NULL, 0 }); }

/* ---- the control channel ---- */

int tr_wire_walk_control(tr_slice bytes, tr_wire_control *out, tr_error *error) {
  agents_ControlMessage message = { 0 };
  int err = tr_pb_decode(bytes, agents_ControlMessage_fields, &message, "ControlMessage", error);
  *out = (tr_wire_control){ .rpc_id = message.rpc_id, .destination = message.destination,
                            .respond_to = message.respond_to, .has_respond_to = message.respond_to.p != NULL,
                            .type_url = message.rpcMessage.type_url, .value = message.rpcMessage.value };
  return err;
}

tr_blob *tr_wire_encode_control(tr_mem *mem, const tr_wire_control *control) {
  agents_ControlMessage message = {
    .rpc_id = control->rpc_id, .destination = control->destination,
    .has_rpcMessage = true, .rpcMessage = { .type_url = control->type_url, .value = control->value }
  };
  if (control->has_respond_to) message.respond_to = control->respond_to.p ? control->respond_to : TR_SLICE_LITERAL("");
  return tr_pb_frame(mem, 0, agents_ControlMessage_fields, &message);
}

int tr_wire_decode_save_request(tr_slice value, tr_slice *type, tr_slice *key, tr_error *error) {
  agents_SaveStateRequest request = { 0 };
  int err = tr_pb_decode(value, agents_SaveStateRequest_fields, &request, "SaveStateRequest", error);
  *type = request.agentId.type;
  *key = request.agentId.key;
  return err;
}

int tr_wire_decode_load_request(tr_slice value, tr_slice *type, tr_slice *key, tr_slice *state, tr_error *error) {
  agents_LoadStateRequest request = { 0 };
  int err = tr_pb_decode(value, agents_LoadStateRequest_fields, &request, "LoadStateRequest", error);
  *type = request.agentId.type;
  *key = request.agentId.key;
  *state = request.state;
  return err;
}

static int append(tr_buf *out, const pb_msgdesc_t *fields, const void *message) {
  size_t size;
  if (!pb_get_encoded_size(&size, fields, message)) return TR_EINTERNAL;
  if (!tr_buf_reserve(out, size)) return TR_EMEMORY;
  pb_ostream_t output = pb_ostream_from_buffer(out->data + out->len, size);
  if (!pb_encode(&output, fields, message)) return TR_EINTERNAL;
  out->len += output.bytes_written;
  return 0;
}

int tr_wire_encode_save_response(tr_buf *out, tr_slice state, tr_slice error_text) {
  agents_SaveStateResponse response = { .state = state, .error = error_text };
  return append(out, agents_SaveStateResponse_fields, &response);
}

int tr_wire_encode_load_response(tr_buf *out, tr_slice error_text) {
  agents_LoadStateResponse response = { .error = error_text };
  return append(out, agents_LoadStateResponse_fields, &response);
}
