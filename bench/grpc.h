/* SPDX-License-Identifier: MIT
 * grpc.h: what grpc.c and grpc_message.c share; to all others it is protocol_grpc (protocol.h, with the contracts). */
#ifndef BENCH_GRPC_H
#define BENCH_GRPC_H

#include "protocol.h"

bool grpc_read(span wire, message *out);
void grpc_request(form *f, const char *source_type, const char *target_type, size_t size);
void grpc_event(form *f, const char *topic, size_t size);
bool grpc_same_payload(const form *f, span payload, uint64_t body_key);
bool grpc_same_event(form *f, span event, uint64_t key);
bool grpc_event_key(span id, uint64_t *key);
size_t grpc_response_room(span id, span payload);
size_t grpc_response(uint8_t *to, span id, span payload);

/* Bodies of unary calls, framed. */
void grpc_register_write(bytes *to, const char *type);
void grpc_subscribe_write(bytes *to, const char *id, const char *topic, bool prefix, const char *type);

#endif
