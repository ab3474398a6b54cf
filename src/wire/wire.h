/* SPDX-License-Identifier: MIT
 * Core messages ↔ the protobuf messages of package `agents` (proto/agent_worker.proto, wire.md).
 *
 * Two ways to read the same bytes. Where a message only passes through (a host between two workers), it is *walked*:
 * spans into the received bytes, nothing copied, and a request is forwarded with only its request_id spliced. Where a
 * message is made or read for an agent of this process, it is decoded and encoded by nanopb's generated code.
 * This is the only room that includes *.pb.h. Frames it makes carry gRPC's 5-byte prefix, ready for tr_rpc_send. */
#ifndef TR_WIRE_WIRE_H
#define TR_WIRE_WIRE_H

#include "base/blob.h"
#include "base/buf.h"
#include "base/error.h"
#include "core/message.h"
#include "core/router.h"

#define TR_WIRE_PREFIX 5
/* The message in a frame. */
static inline tr_slice tr_wire_framed(const tr_blob *frame) {
  return tr_slice_make(frame->data + TR_WIRE_PREFIX, frame->len - TR_WIRE_PREFIX);
}

/* --- walking: spans of an agents.Message that passes through --- */
typedef enum { TR_WIRE_EMPTY = 0, TR_WIRE_REQUEST = 1, TR_WIRE_RESPONSE = 2, TR_WIRE_EVENT = 3,
               TR_WIRE_NOTE = 15 /* troupe's own: wire/note.h */ } tr_wire_kind;

typedef struct tr_wire_span {
  tr_slice whole;          /* what was walked */
  tr_wire_kind kind;
  bool merged;             /* the inner message comes in several pieces: see tr_wire_walk */
  size_t inner_at;         /* where in `whole` the field with the inner message begins */
  tr_slice inner;          /* the RpcRequest, RpcResponse or CloudEvent */
  bool plain;              /* no byte of it is above 127, so all text in it is UTF-8 */
  tr_slice request_id;     /* request, response, note */
  size_t id_at, id_field;  /* where in `inner` the request_id field begins, its whole length (0: absent) */
  bool has_source, has_target;
  bool has_metadata;       /* request */
  tr_slice target_type, target_key;   /* request */
  tr_slice source_type, source_key;   /* request: the calling agent (an event's: tr_wire_event_attribute) */
  tr_slice error;          /* response */
  bool has_payload;        /* request, response */
  tr_slice event_id, topic_type, topic_source; /* event */
  bool has_binary_data, has_text_data, has_proto_data; /* event */
  uint8_t priority;        /* event: its attribute `priority`, a tr_priority (a request's: in its metadata) */
} tr_wire_span;

/* Walk the bytes of an agents.Message (no prefix). Any field order, last one wins, unknown fields skipped, strings
 * that routing needs are checked to be UTF-8. Stops early for nothing: the whole message is checked to be well-formed
 * at top and inner level. A oneof set twice: the last wins. Where one kind comes in several pieces (no peer is known
 * to send that; protobuf merges them) the result is TR_EINVALID with `merged` set: tr_wire_join gives bytes that can
 * be walked. err: TR_EINVALID. */
int tr_wire_walk(tr_slice bytes, tr_wire_span *span, tr_error *error);
/* The same message with its inner message in one piece; NULL: out of memory. */
tr_blob *tr_wire_join(tr_mem *mem, tr_slice bytes);
/* Look also into what the walk only steps over (payload, metadata, attributes): is it well-formed, is all text UTF-8?
 * A message that is not makes a strict decoder (grpcio's) fail and its worker lose the stream. err: TR_EINVALID. */
int tr_wire_check(const tr_wire_span *span, tr_error *error);
/* Read only the request_id (and source and target, if they are there) from the first bytes of an over-size request or
 * response; false if the id is not there (field 1 comes first in practice) or it is an event. `size`: its whole
 * length. */
bool tr_wire_walk_head(tr_slice head, uint64_t size, tr_wire_span *span);
/* Value of a ce_string attribute of an event's `inner`, or an RpcRequest's/RpcResponse's metadata; {NULL, 0}. */
tr_slice tr_wire_event_attribute(tr_slice inner, const char *key);
tr_slice tr_wire_metadata(tr_slice inner, tr_wire_kind kind, const char *key);

/* A frame of the same request, response or note with another request_id; all other bytes (unknown fields too) as they came.
 * NULL: out of memory. */
tr_blob *tr_wire_splice(tr_mem *mem, const tr_wire_span *span, tr_slice new_id);
/* Size the spliced message would have, prefix excluded. */
size_t tr_wire_splice_size(const tr_wire_span *span, tr_slice new_id);
/* The body of a walked message; borrowed from it. proto_data: of an event, where it is a google.protobuf.Any and not bytes. */
typedef struct tr_wire_body { tr_slice type, content_type, data; bool proto_data; } tr_wire_body;
void tr_wire_read_body(const tr_wire_span *span, tr_wire_body *out);
/* A frame of the same message with this body in the place of its own. NULL: out of memory. */
tr_blob *tr_wire_recast(tr_mem *mem, const tr_wire_span *span, const tr_wire_body *body);
/* A frame of the same event with one more attribute (a ce_string). NULL: out of memory. */
tr_blob *tr_wire_attribute_added(tr_mem *mem, const tr_wire_span *span, const char *key, tr_slice value);
#define TR_WIRE_NATIVE "application/x-troupe" /* content type of bodies in the native format */
/* A frame holding these message bytes unchanged (events). */
tr_blob *tr_wire_frame(tr_mem *mem, tr_slice bytes);
/* A frame with RpcResponse{request_id, error: "code: text", metadata troupe-code}. Never with an empty error. */
tr_blob *tr_wire_error(tr_mem *mem, tr_slice request_id, int code, tr_slice text);
/* The same for a request that refers to results which its receiver cannot have: its sender may send the content. */
tr_blob *tr_wire_unresolved(tr_mem *mem, tr_slice request_id, int code, tr_slice text);

/* --- made and read here (nanopb) --- */
/* What tr_wire_decode learned beside the tr_msg / tr_reply. */
typedef struct tr_wire_in {
  tr_wire_kind kind;
  tr_msg *msg;            /* request, event: owned by the caller (NULL it when taken); from_wire set; the runtime's
                           * keys are applied (deadline relative to tr_core_now, chain, priority, oneway → TR_MSG_SEND,
                           * id), the others are in msg->meta */
  tr_slice request_id;    /* borrowed from the bytes (a request's or response's) */
  /* response; of a note that is a part of one, its body and type: */
  tr_reply reply;         /* code by metadata troupe-code, else TR_EHANDLER; error borrowed from the bytes; body, type
                           * and meta are freed by tr_wire_in_fini (whoever takes the body sets its kind to NONE) */
  tr_error error_text;    /* its code and (cut) text once more */
  tr_core *core;
  tr_meta *meta;          /* what reply.meta points to */
  tr_blob *joined;        /* the bytes, where the message came in pieces: see tr_wire_join */
} tr_wire_in;
/* Decode an agents.Message for this process. peer_is_troupe: what the session announced; nothing depends on it, since a
 * troupe host also hands on what other workers sent: msg->troupe_peer comes from the message's own keys. Body:
 * TR_BODY_BYTES, format by data_content_type / datacontenttype (application/json, application/x-protobuf, text/plain,
 * application/octet-stream, application/x-troupe, and what serializers are plugged in for; others: kept as TR_FORMAT_BYTES
 * with meta "content-type"). err: TR_EINVALID ("malformed
 * agents.Message: …"), TR_EMEMORY; nothing is left to free then. */
/* Is it signed as the core's seal wants it? 0 where it wants nothing. err: TR_EPERMISSION, TR_EMEMORY. */
int tr_wire_verify(const tr_core *core, const tr_wire_span *span, tr_error *error);
int tr_wire_decode(tr_core *core, tr_slice bytes, bool peer_is_troupe, tr_wire_in *in, tr_error *error);
/* The same, whoever signed it: from a process of our own, or what was looked at already. */
int tr_wire_decode_unsealed(tr_core *core, tr_slice bytes, tr_wire_in *in, tr_error *error);
void tr_wire_in_fini(tr_wire_in *in);

/* Encode. The frame of an event is cached in msg->frame (once however many receivers). Returned blobs carry a
 * reference for the caller. troupe_origin: client-id put into attribute troupe-origin of events (p NULL: none); a
 * door that sees its own drops it. request_id: what the door chose. Deadline goes as metadata troupe-timeout (ms
 * left), chain as troupe-chain (hex), priority as `priority`, SEND as troupe-oneway: 1, trace keys as they are. err:
 * TR_EINVALID (body cannot be encoded), TR_ETOO_LARGE never, TR_EMEMORY. */
/* `plain`: the format of bodies that ask for none: TR_FORMAT_JSON, or TR_FORMAT_NATIVE where the next hop is troupe and takes it
 * (an event's cached frame is of whichever came first). */
int tr_wire_encode_event_as(tr_msg *msg, tr_slice troupe_origin, tr_format plain, tr_blob **frame, tr_error *error);
int tr_wire_encode_request_as(tr_msg *msg, tr_slice request_id, tr_format plain, tr_blob **frame, tr_error *error);
int tr_wire_encode_reply_as(tr_core *core, const tr_reply *reply, tr_slice request_id, tr_format plain, tr_blob **frame,
                            tr_error *error);
/* The same in JSON. */
static inline int tr_wire_encode_event(tr_msg *msg, tr_slice troupe_origin, tr_blob **frame, tr_error *error) {
  return tr_wire_encode_event_as(msg, troupe_origin, TR_FORMAT_JSON, frame, error);
}
static inline int tr_wire_encode_request(tr_msg *msg, tr_slice request_id, tr_blob **frame, tr_error *error) {
  return tr_wire_encode_request_as(msg, request_id, TR_FORMAT_JSON, frame, error);
}
static inline int tr_wire_encode_reply(tr_core *core, const tr_reply *reply, tr_slice request_id, tr_blob **frame, tr_error *error) {
  return tr_wire_encode_reply_as(core, reply, request_id, TR_FORMAT_JSON, frame, error);
}

/* --- unary messages: plain structs, text borrowed from the bytes or handed in --- */
typedef struct tr_wire_subscription {
  tr_slice id;
  bool has_kind;
  tr_sub_kind kind;
  tr_slice topic, agent_type;
} tr_wire_subscription;

int tr_wire_decode_register(tr_slice bytes, tr_slice *type, tr_error *error);
int tr_wire_decode_add_subscription(tr_slice bytes, tr_wire_subscription *out, bool *present, tr_error *error);
int tr_wire_decode_remove_subscription(tr_slice bytes, tr_slice *id, tr_error *error);
/* Calls each for every subscription, in order. */
int tr_wire_decode_subscriptions(tr_slice bytes, void (*each)(void *ud, const tr_wire_subscription *), void *ud,
                                 tr_error *error);
/* All of these are framed; NULL: out of memory. */
tr_blob *tr_wire_encode_register(tr_mem *mem, tr_slice type);
tr_blob *tr_wire_encode_add_subscription(tr_mem *mem, const tr_wire_subscription *sub);
tr_blob *tr_wire_encode_remove_subscription(tr_mem *mem, tr_slice id);
/* GetSubscriptionsResponse of what shows (added_by not away). */
tr_blob *tr_wire_encode_subscriptions(tr_mem *mem, const tr_router *router);
tr_blob *tr_wire_encode_empty(tr_mem *mem); /* 00 00000000 */

/* --- control channel: only routed, bytes unchanged --- */
typedef struct tr_wire_control {
  tr_slice rpc_id, destination, respond_to;
  bool has_respond_to;
  tr_slice type_url, value;
} tr_wire_control;
int tr_wire_walk_control(tr_slice bytes, tr_wire_control *out, tr_error *error);
tr_blob *tr_wire_encode_control(tr_mem *mem, const tr_wire_control *control);
/* SaveState/LoadState messages inside the Any (value bytes). state and error are borrowed. */
int tr_wire_decode_save_request(tr_slice value, tr_slice *type, tr_slice *key, tr_error *error);
int tr_wire_decode_load_request(tr_slice value, tr_slice *type, tr_slice *key, tr_slice *state, tr_error *error);
int tr_wire_encode_save_response(tr_buf *out, tr_slice state, tr_slice error_text);
int tr_wire_encode_load_response(tr_buf *out, tr_slice error_text);

/* Version of nanopb compiled in: "0.4.7". */
const char *tr_wire_nanopb_version(void);

#endif
