/* SPDX-License-Identifier: MIT
 * conn.h: one TCP connection to the host, plain or with TLS. What is said on it is the protocol's (protocol.h). */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include "engine.h"

typedef struct conn conn;

/* What the owner hears of its connection. */
typedef struct conn_events {
    void (*up)(conn *);                /* connected, and whatever the protocol does first */
    void (*message)(conn *, span);     /* one message came */
    void (*answer)(conn *, int status); /* what was asked is done: 0, a status of gRPC, or -1 = without one */
} conn_events;

struct conn {
    void *owner;
    /* private */
    engine *engine;
    const conn_events *events;
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t *writing; /* what the kernel did not take at once */
    conn *next_dirty;
    bool dirty, ready, closing;
    struct tls_conn *tls; /* NULL = plain */
    char client_id[64];
    bytes out;     /* messages that wait to be sent */
    size_t out_at; /* how far they are sent */
    bytes tail;    /* what came of an incomplete message */
    /* of gRPC */
    struct nghttp2_session *session;
    bool deferred;
    int32_t channel, call; /* stream ids; 0 = none */
    size_t unsent;         /* of the message at out_at; 0 = it is not begun */
    bytes request;         /* the unary call's message */
    size_t request_at;
    int status; /* grpc-status of the stream whose trailers came last */
    char text[128];
    /* of NATS */
    bool greeted;         /* INFO came */
    unsigned last_sid;    /* subscriptions so far */
};

/* Connects; `up` tells. A connection that fails is an engine error, as is one that ends early. */
void conn_open(conn *l, engine *e, const char *client_id, const conn_events *events, void *owner);

/* Says goodbye, sends what is queued, closes. Its memory is free once the loop has run. */
void conn_close(conn *l);

/* Room for a message of at most `size` bytes, then how many were used. */
uint8_t *conn_begin(conn *l, size_t size);
void conn_end(conn *l, size_t used);

/* For protocols: there is something to send; the connection is of no use any more. */
void conn_dirty(conn *l);
void conn_lost(conn *l, const char *why);

/* For the engine. */
void conn_flush(conn *l);

#endif
