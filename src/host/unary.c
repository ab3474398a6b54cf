/* SPDX-License-Identifier: MIT
 * RegisterAgent, AddSubscription, RemoveSubscription, GetSubscriptions: AutoGen's answers, with its texts (wire.md §5).
 *
 * Where this host differs, on purpose:
 *   - A repeat is OK where it is the client's way back, not a mistake: a retried call (grpc-previous-rpc-attempts), a client
 *     whose stream ended, or one that has re-opened its stream since it registered. A plain repeat gets AutoGen's text.
 *   - What an away client had, another may take: the type and its subscriptions change hands.
 *   - Better codes where nothing reads the text: NOT_FOUND for an unknown subscription, INVALID_ARGUMENT for one without kind.
 * Types and topics are taken as they are, odd ones and empty ones too, as AutoGen takes them; only their length is bounded. */
#include "host/share.h"

#include <stdio.h>

typedef struct call { /* one being served */
  tr_host_stream *stream;
  tr_host *host;
  tr_slice client_id, bytes;
} call;

/* ---- answering ---- */

static void fail(call *c, int status, const char *text) {
  if (status != TR_GRPC_OK) c->host->stats.refused++;
  tr_host_stream_end(c->stream, status, text);
}

static void fail_with(call *c, const tr_error *error) { fail(c, tr_error_grpc(error->code), error->text); }
static void deny(call *c, const tr_client *client, tr_right right, const char *why) {
  tr_access_tell(client, right, why);
  fail(c, TR_GRPC_PERMISSION_DENIED, why);
}
static void fail_memory(call *c) { fail(c, TR_GRPC_RESOURCE_EXHAUSTED, "out of memory"); }

static void answer(call *c, tr_blob *frame) {
  if (!frame) fail_memory(c);
  else if (tr_host_stream_answer(c->stream, frame)) tr_host_stream_end(c->stream, TR_GRPC_OK, "");
  tr_blob_unref(frame);
}

static void answer_empty(call *c) { answer(c, tr_wire_encode_empty(c->host->mem)); }

static bool too_long(call *c, tr_slice text, const char *what) {
  if (text.n <= TR_ID_MAX) return false;
  char message[96];
  snprintf(message, sizeof message, "the %s is longer than %d bytes", what, TR_ID_MAX);
  fail(c, TR_GRPC_INVALID_ARGUMENT, message);
  return true;
}

static tr_client *the_client(call *c) {
  tr_error error;
  tr_error_init(&error);
  tr_client *client;
  if (!tr_client_get(c->host, c->client_id, &client, &error)) {
    if (!tr_access_bind(c->stream, client)) {
      tr_client_settle(client);
      return NULL;
    }
    if (!client->stream) tr_client_know(client, c->stream->call);
    return client;
  }
  fail_with(c, &error);
  return NULL;
}

/* A repeat of what the client did in its generation `stamp`: its way back, rather than a mistake? */
static bool is_way_back(const call *c, const tr_client *client, uint32_t stamp) {
  return client->dest.away || client->generation > (stamp ? stamp : 1) ||
         tr_rpc_call_header(c->stream->call, "grpc-previous-rpc-attempts").p;
}

/* ---- RegisterAgent ---- */

static tr_route_type *route_type(tr_client *client, tr_slice type) {
  tr_route_type *at = NULL;
  while ((at = tr_router_next_type(client->host->router, &client->dest, at)))
    if (tr_slice_equal(tr_name_view(at->name), type)) return at;
  return NULL;
}

/* In which generation it registered a type is kept beside the type; 0 stands for the first. */
static void stamp(tr_client *client, tr_slice type) {
  tr_route_type *at = client->generation > 1 ? route_type(client, type) : NULL;
  if (at) at->user = (void *)(uintptr_t)client->generation;
}

/* For an error's text. */
static const char *holder_name(tr_dest *owner) {
  const tr_share *share = tr_share_of(owner);
  if (share && !tr_list_empty(&share->members)) return TR_CONTAINER(share->members.next, tr_member, by_share)->client->id;
  return owner->ops == &tr_client_ops ? tr_client_of(owner)->id : "troupe";
}

static void already_registered(call *c, tr_client *client, tr_slice type, tr_dest *owner) {
  if (owner == &client->dest) {
    tr_route_type *at = route_type(client, type);
    if (at && is_way_back(c, client, (uint32_t)(uintptr_t)at->user)) {
      stamp(client, type);
      answer_empty(c);
      return;
    }
  }
  tr_error error;
  tr_error_init(&error);
  tr_error_set(&error, TR_EINVALID, "Agent type %.*s already registered with client %s.", TR_BRIEF(type),
               holder_name(owner));
  fail(c, TR_GRPC_INVALID_ARGUMENT, error.text);
}

static bool too_many_types(call *c, tr_client *client) {
  uint32_t most = c->host->o.max_types_per_client;
  if (client->n_types < most || tr_client_count_types(client) < most) return false;
  fail(c, TR_GRPC_RESOURCE_EXHAUSTED, "too many agent types of this client");
  return true;
}

static void registered(call *c, tr_client *client, tr_slice type) {
  tr_transcode_registered(client, type);
  tr_client_touch(client);
  tr_client_tell(client);
  answer_empty(c);
}

/* It is there already: by this client, and that is its way back? */
static void repeat_shared(call *c, tr_client *client, tr_slice type, tr_dest *owner) {
  tr_member *member = tr_share_member(tr_share_of(owner), client);
  if (is_way_back(c, client, member->generation)) {
    member->generation = client->generation;
    answer_empty(c);
    return;
  }
  tr_error error;
  tr_error_init(&error);
  tr_error_set(&error, TR_EINVALID, "Agent type %.*s already registered with client %s.", TR_BRIEF(type), client->id);
  fail(c, TR_GRPC_INVALID_ARGUMENT, error.text);
}

/* One that others have or may have, too; its owner is nobody, away, or its tr_share. */
static void register_shared(call *c, tr_client *client, tr_slice type, tr_dest *owner) {
  int err = tr_share_of(owner) && tr_share_member(tr_share_of(owner), client) ? TR_EEXISTS : 0;
  if (!err && too_many_types(c, client)) return;
  if (!err) err = tr_share_join(c->host, type, client);
  if (err == TR_EEXISTS) {
    repeat_shared(c, client, type, owner);
  } else if (err) {
    fail_memory(c);
  } else {
    client->n_types++;
    if (owner && owner->ops == &tr_client_ops && owner != &client->dest) tr_client_yield_type(tr_client_of(owner), type);
    registered(c, client, type);
  }
}

/* One that is its client's alone. */
static void register_alone(call *c, tr_client *client, tr_slice type, tr_dest *before) {
  tr_dest *owner = NULL;
  if (before != &client->dest && too_many_types(c, client)) return;
  int err = tr_router_register(c->host->router, type, &client->dest, &owner);
  if (err == TR_EEXISTS) {
    already_registered(c, client, type, owner ? owner : before);
  } else if (err) {
    fail_memory(c);
  } else {
    if (before != &client->dest) client->n_types++;
    stamp(client, type);
    if (before && before != &client->dest && before->ops == &tr_client_ops) {
      tr_log_write(c->host->log, TR_LOG_INFO, "type.taken", "type=%.*s from=%s by=%s", TR_BRIEF(type),
                   tr_client_of(before)->id, client->id);
      tr_client_yield_type(tr_client_of(before), type);
    }
    registered(c, client, type);
  }
}

static void register_agent(call *c) {
  tr_slice type;
  tr_error error;
  char why[TR_ERROR_TEXT];
  tr_error_init(&error);
  if (tr_wire_decode_register(c->bytes, &type, &error)) {
    fail_with(c, &error);
    return;
  }
  if (too_long(c, type, "agent type")) return;
  tr_client *client = the_client(c);
  if (!client) return;
  tr_dest *before = tr_router_owner(c->host->router, type);
  bool shared = tr_share_wanted(c->host, type, c->stream->call) && (!before || tr_share_of(before) || before->away);
  if (c->host->rights && !tr_access_type(client, type, why, sizeof why)) deny(c, client, TR_RIGHT_REGISTER, why);
  else if (shared) register_shared(c, client, type, before);
  else register_alone(c, client, type, before);
  tr_client_settle(client);
}

/* ---- AddSubscription ---- */

/* Remember that it has this one in its present generation (only where there were earlier ones). */
static bool confirm(tr_client *client, tr_name *id) {
  if (client->generation < 2 || tr_map_get(&client->confirmed, tr_name_view(id))) return true;
  if (tr_map_put(&client->confirmed, tr_name_view(id), id, NULL)) return false;
  tr_name_ref(id);
  return true;
}

static bool is_same(const tr_sub *sub, const tr_client *client, const tr_wire_subscription *want) {
  return sub->added_by == &client->dest && tr_slice_equal(tr_name_view(sub->id), want->id) &&
         tr_slice_equal(tr_name_view(sub->topic), want->topic) &&
         tr_slice_equal(tr_name_view(sub->agent_type), want->agent_type);
}

static bool repeat_is_fine(const call *c, const tr_client *client, const tr_sub *sub, const tr_wire_subscription *want) {
  if (!is_same(sub, client, want)) return false;
  uint32_t since = tr_map_get(&client->confirmed, want->id) ? client->generation : 0;
  return is_way_back(c, client, since);
}

/* Subscribing, with what an away client left in the way removed: at most one of the same id and one of the same kind. */
static int subscribe_once(call *c, tr_client *client, const tr_wire_subscription *want, tr_sub **existing) {
  bool shared = tr_share_of(tr_router_owner(c->host->router, want->agent_type)) || tr_share_wanted(c->host, want->agent_type, c->stream->call);
  int (*add)(tr_router *, tr_sub_kind, tr_slice, tr_slice, tr_slice, tr_dest *, tr_link *, tr_sub **) =
      shared ? tr_router_subscribe_too : tr_router_subscribe;
  return add(c->host->router, want->kind, want->id, want->topic, want->agent_type, &client->dest, &client->subs, existing);
}

static int subscribe(call *c, tr_client *client, const tr_wire_subscription *want, tr_sub **existing) {
  for (;;) {
    *existing = NULL;
    int err = subscribe_once(c, client, want, existing);
    if (err != TR_EEXISTS || !*existing || repeat_is_fine(c, client, *existing, want)) return err;
    if (!(*existing)->added_by || !(*existing)->added_by->away) return err;
    tr_router_drop(c->host->router, *existing);
  }
}

static void note_subscription(call *c, tr_client *client, const tr_wire_subscription *want) {
  tr_name *id = client->generation > 1 ? tr_name_find(tr_core_names(c->host->core), want->id) : NULL;
  if (id) confirm(client, id); /* without memory for it a later repeat is merely forgiven */
}

static bool check_subscription(call *c, tr_wire_subscription *want, char uuid[37]) {
  tr_error error;
  tr_error_init(&error);
  bool present = false;
  if (tr_wire_decode_add_subscription(c->bytes, want, &present, &error)) {
    fail_with(c, &error);
    return false;
  }
  if (!present || !want->has_kind) {
    fail(c, TR_GRPC_INVALID_ARGUMENT, "Invalid subscription message.");
    return false;
  }
  if (too_long(c, want->id, "subscription id") || too_long(c, want->topic, "topic type") ||
      too_long(c, want->agent_type, "agent type"))
    return false;
  if (want->id.n) return true;
  tr_uuid(tr_core_random(c->host->core), uuid); /* as AutoGen does */
  want->id = tr_slice_of(uuid);
  return true;
}

static void add_subscription(call *c) {
  tr_wire_subscription want = { 0 };
  char uuid[37];
  if (!check_subscription(c, &want, uuid)) return;
  tr_client *client = the_client(c);
  if (!client) return;
  char why[TR_ERROR_TEXT];
  if (c->host->rights && !tr_access_topic(client, &want, why, sizeof why)) {
    deny(c, client, TR_RIGHT_SUBSCRIBE, why);
    tr_client_settle(client);
    return;
  }
  tr_sub *existing;
  int err = TR_EOVERLOADED;
  if (client->n_subs < c->host->o.max_subs_per_client || tr_client_count_subs(client) < c->host->o.max_subs_per_client)
    err = subscribe(c, client, &want, &existing);
  if (!err) client->n_subs++;
  if (!err || (err == TR_EEXISTS && existing && repeat_is_fine(c, client, existing, &want))) {
    note_subscription(c, client, &want);
    tr_client_touch(client);
    answer_empty(c);
    if (!err) tr_retain_subscribed(client, want.kind, want.topic);
    return;
  }
  if (err == TR_EEXISTS) fail(c, TR_GRPC_INVALID_ARGUMENT, "Subscription already exists");
  else if (err == TR_EOVERLOADED) fail(c, TR_GRPC_RESOURCE_EXHAUSTED, "too many subscriptions of this client");
  else fail_memory(c);
  tr_client_settle(client);
}

/* ---- RemoveSubscription, GetSubscriptions ---- */

static bool has_subscription(const tr_client *client, tr_slice id) {
  for (const tr_link *l = client ? client->subs.next : NULL; l && l != &client->subs; l = l->next)
    if (tr_slice_equal(tr_name_view(TR_CONTAINER(l, tr_sub, by_owner)->id), id)) return true;
  return false;
}

static void remove_subscription(call *c) {
  tr_slice id;
  tr_error error;
  tr_error_init(&error);
  if (tr_wire_decode_remove_subscription(c->bytes, &id, &error)) {
    fail_with(c, &error);
    return;
  }
  tr_client *client = c->host->rights ? tr_client_find(c->host, c->client_id) : NULL;
  if (client && !tr_access_bind(c->stream, client)) return; /* it says it is another */
  if (c->host->rights && !has_subscription(client, id)) {
    static const char why[] = "with rights in force only who added a subscription may remove it";
    c->host->stats.denied++;
    if (client) deny(c, client, TR_RIGHT_SUBSCRIBE, why);
    else fail(c, TR_GRPC_PERMISSION_DENIED, why); /* it was never here */
    return;
  }
  int err = tr_router_unsubscribe(c->host->router, id);
  if (!err) answer_empty(c);
  else if (err == TR_ENOT_FOUND) fail(c, TR_GRPC_NOT_FOUND, "Subscription does not exist");
  else fail_memory(c);
}

static void get_subscriptions(call *c) {
  if (tr_core_list_subs(c->host->core)) fail_memory(c);
  else answer(c, tr_wire_encode_subscriptions(c->host->mem, c->host->router));
}

void tr_unary_serve(tr_host_stream *stream) {
  call c = { stream, stream->conn->host, tr_rpc_call_header(stream->call, "client-id"), tr_blob_view(stream->message) };
  bool writes = stream->method != TR_METHOD_SUBSCRIPTIONS;
  if (c.host->draining && writes) {
    fail(&c, TR_GRPC_UNAVAILABLE, "the host is shutting down");
    return;
  }
  switch (stream->method) {
  case TR_METHOD_REGISTER: register_agent(&c); break;
  case TR_METHOD_SUBSCRIBE: add_subscription(&c); break;
  case TR_METHOD_UNSUBSCRIBE: remove_subscription(&c); break;
  default: get_subscriptions(&c);
  }
}
