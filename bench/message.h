/* SPDX-License-Identifier: MIT
 * message.h: the messages of AutoGen's distributed runtime that the load generator sends and reads.
 *
 * What is sent again and again is a *form*: bytes made once, in which only a key of 16 hex digits
 * changes. The key stands in the id and in the body, so a reply or a delivery can be checked
 * against what was sent, byte for byte. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stdbool.h>

#include "bytes.h"

enum { KEY_DIGITS = 16, BODY_MIN = 40 };
enum message_kind { MESSAGE_REQUEST = 1, MESSAGE_RESPONSE = 2, MESSAGE_EVENT = 3 };

/* What was read of a `Message`; spans point into the bytes read. */
typedef struct message {
    enum message_kind kind;
    span inner;       /* the whole RpcRequest, RpcResponse or CloudEvent */
    span id;          /* request_id, or the event's id */
    span target_type; /* of a request */
    span payload;     /* Payload, as it lay on the wire */
    span error;       /* of a response */
} message;

/* A gRPC-framed `Message`, ready to be sent but for its key. */
typedef struct form {
    bytes wire;
    size_t id_at;    /* the key in the id */
    size_t body_at;  /* the key in the body */
    size_t inner_at; /* the RpcRequest or CloudEvent */
    span body;       /* the body's bytes, inside `wire` */
} form;

bool message_read(span wire, message *out);

/* A request for `target_type`/default with a body of `size` bytes. */
void form_request(form *f, const char *source_type, const char *target_type, size_t size);
/* An event of topic `topic`/default with a body of `size` bytes. */
void form_event(form *f, const char *topic, size_t size);
void form_free(form *f);

/* Writes `id_key` into the id and `body_key` into the body. */
void form_fill(form *f, uint64_t id_key, uint64_t body_key);

/* The key that a request id of this form's shape carries; false = some other id. */
bool key_read(span id, uint64_t *key);

/* Is this the Payload that the form carries with `body_key`? */
bool form_same_payload(const form *f, span payload, uint64_t body_key);
/* Is this the CloudEvent that the form carries with this key in both places? Attributes may
 * come in any order. */
bool form_same_event(form *f, span event, uint64_t key);
/* The key in the id of an event; false = not one of ours. */
bool event_key(span id, uint64_t *key);

/* Writes a framed response that echoes `payload`; `to` has response_room(...) bytes. */
size_t response_room(span id, span payload);
size_t response_write(uint8_t *to, span id, span payload);

/* Bodies of unary calls. */
void register_write(bytes *to, const char *type);
void subscribe_write(bytes *to, const char *id, const char *topic, const char *type);

#endif
