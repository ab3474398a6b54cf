/* SPDX-License-Identifier: MIT
 * protocol.h: what the generator speaks: gRPC as AutoGen's workers do (grpc.c, grpc_message.c), or NATS's text
 * (nats.c, nats_message.c), which has requests and events too, so that its server can be put on the same work.
 *
 * The one half is a connection's: how it begins, how a client joins, how bytes become messages. The other is
 * about messages: how they are made, read and recognised. Who drives (worker.c, ask.c, events.c) knows neither. */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#include "conn.h"
#include "message.h"

typedef struct protocol {
    const char *name;
    const char *alpn; /* with TLS, as it stands in the handshake; NULL = none */
    /* ---- of a connection ---- */
    void (*open)(conn *);                             /* it is connected; `up` follows now or later */
    void (*take)(conn *, span);                       /* bytes came */
    size_t (*give)(conn *, uint8_t *to, size_t room); /* what is to be sent; 0 = nothing */
    void (*bye)(conn *);                              /* before it is closed on purpose */
    void (*gone)(conn *);                             /* it is closed: frees what the protocol keeps */
    void (*receive)(conn *);                          /* what is sent to this client comes from now on */
    void (*inbox)(conn *);                            /* before its first request; NULL = nothing needs to be done */
    /* These three end with an `answer`. */
    void (*enroll)(conn *, const char *type); /* an agent type is here */
    void (*subscribe)(conn *, const char *id, const char *topic, bool prefix, const char *type); /* or topics that begin so */
    void (*probe)(conn *); /* is anybody there? */
    /* ---- of messages ---- */
    bool (*read)(span wire, message *out);
    /* A request for `target_type`/default, an event of topic `topic`/default; the body has `size` bytes. */
    void (*request)(form *f, const char *source_type, const char *target_type, size_t size);
    void (*event)(form *f, const char *topic, size_t size);
    /* Is this the payload that the form carries with `body_key`, the event that it is with this key in both places? */
    bool (*same_payload)(const form *f, span payload, uint64_t body_key);
    bool (*same_event)(form *f, span event, uint64_t key);
    /* The key in the id of an event; false = not one of ours. */
    bool (*event_key)(span id, uint64_t *key);
    /* Writes a response that echoes `payload`; `to` has response_room(...) bytes. */
    size_t (*response_room)(span id, span payload);
    size_t (*response)(uint8_t *to, span id, span payload);
} protocol;

extern const protocol protocol_grpc, protocol_nats;

/* NULL = no such protocol. */
const protocol *protocol_named(const char *name);

#endif
