/* SPDX-License-Identifier: MIT
 * nats.h: what nats.c and nats_message.c share; to all others it is protocol_nats (protocol.h, with the contracts). */
#ifndef BENCH_NATS_H
#define BENCH_NATS_H

#include "protocol.h"

#define NATS_INBOX "_INBOX."

/* The length of the body that a line "MSG ..." announces; false = it is no such line. */
bool nats_body_size(span line, size_t *size);

bool nats_read(span wire, message *out);
void nats_request(form *f, const char *source_type, const char *target_type, size_t size);
void nats_event(form *f, const char *topic, size_t size);
bool nats_same_event(form *f, span event, uint64_t key);
size_t nats_response_room(span id, span payload);
size_t nats_response(uint8_t *to, span id, span payload);

#endif
