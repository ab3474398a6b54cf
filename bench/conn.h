/* SPDX-License-Identifier: MIT
 * conn.h: one TCP connection to the host that speaks gRPC: a unary call at a time, and one
 * OpenChannel stream. */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include "engine.h"

typedef struct conn conn;

/* What the owner hears of its connection. */
typedef struct conn_events {
    void (*up)(conn *);                     /* connected */
    void (*message)(conn *, span);          /* one message came on OpenChannel */
    void (*answer)(conn *, int grpc_status); /* the unary call has ended; -1 = without a status */
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
    nghttp2_session *session;
    conn *next_dirty;
    bool dirty, deferred, closing;
    char client_id[64];
    int32_t channel, call; /* stream ids; 0 = none */
    bytes out;             /* framed messages that wait for OpenChannel */
    size_t out_at;         /* how far they are sent */
    size_t unsent;         /* of the message at out_at; 0 = it is not begun */
    bytes tail;            /* an incomplete message */
    bytes request;         /* the unary call's message */
    size_t request_at;
    int status; /* grpc-status of the stream whose trailers came last */
    char text[128];
};

/* Connects; `up` tells. A connection that fails is an engine error, as is one that ends early. */
void conn_open(conn *l, engine *e, const char *client_id, const conn_events *events, void *owner);

/* Ends the streams, sends what is queued, closes. Its memory is free once the loop has run. */
void conn_close(conn *l);

/* Opens OpenChannel. */
void conn_open_channel(conn *l);

/* Calls /agents.AgentRpc/`method` with l->request as its framed message. */
void conn_call(conn *l, const char *method);

/* Room for a framed message of at most `size` bytes on OpenChannel, then how many were used. */
uint8_t *conn_begin(conn *l, size_t size);
void conn_end(conn *l, size_t used);

/* For the engine. */
void conn_flush(conn *l);
void conn_callbacks(nghttp2_session_callbacks *callbacks);

#endif
