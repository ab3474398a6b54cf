/* SPDX-License-Identifier: MIT
 * conn.c: the socket under a protocol. See conn.h.
 *
 * Bytes that come are handed to the protocol in place, decrypted first where there is TLS; what it has to say is
 * gathered in the engine's buffer, sealed in another, and written at once as far as the kernel takes it. */
#include "conn.h"

#include "protocol.h"
#include "tls.h"

enum { COMPACT = 64 * 1024 }; /* sent bytes in front of `out` that are worth a move */

void conn_dirty(conn *l) {
    if (l->dirty)
        return;
    l->dirty = true;
    l->next_dirty = l->engine->dirty;
    l->engine->dirty = l;
}

void conn_lost(conn *l, const char *why) {
    if (!l->engine->ending && !l->closing) {
        engine_fail(l->engine, "client %s: %s", l->client_id, why);
        engine_stop(l->engine);
    }
}

/* ---- receiving ---------------------------------------------------------- */

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    conn *l = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)l->engine->in, ENGINE_IN);
}

static void begin(conn *l) {
    l->ready = true;
    l->engine->protocol->open(l);
}

static void take_sealed(conn *l, span in) {
    span plain;
    const char *why = NULL;
    tls_feed(l->tls, in);
    if (!l->ready && tls_shake(l->tls, &why))
        begin(l);
    while (l->ready && tls_read(l->tls, &plain, &why))
        l->engine->protocol->take(l, plain);
    if (why)
        conn_lost(l, why);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    conn *l = stream->data;
    span in = {(const uint8_t *)buffer->base, got > 0 ? (size_t)got : 0};
    if (got < 0) {
        conn_lost(l, uv_strerror((int)got));
        uv_read_stop(stream);
    } else if (got > 0 && !l->closing) {
        l->engine->now = uv_hrtime();
        if (l->tls)
            take_sealed(l, in);
        else
            l->engine->protocol->take(l, in);
        conn_dirty(l);
    }
}

/* ---- sending ------------------------------------------------------------ */

static void on_written(uv_write_t *write, int status) {
    conn *l = write->data;
    free(l->writing);
    l->writing = NULL;
    if (status < 0)
        conn_lost(l, uv_strerror(status));
    else
        conn_dirty(l);
}

/* Hands bytes to the kernel; false = it did not take all at once. */
static bool write_out(conn *l, span out) {
    uv_buf_t buffer = uv_buf_init((char *)out.at, (unsigned)out.len);
    int took = uv_try_write((uv_stream_t *)&l->tcp, &buffer, 1);
    if (took == (int)out.len)
        return true;
    if (took < 0 && took != UV_EAGAIN) {
        conn_lost(l, uv_strerror(took));
        return false;
    }
    size_t sent = took > 0 ? (size_t)took : 0;
    l->writing = must(malloc(out.len - sent));
    memcpy(l->writing, out.at + sent, out.len - sent);
    buffer = uv_buf_init((char *)l->writing, (unsigned)(out.len - sent));
    l->write.data = l;
    uv_write(&l->write, (uv_stream_t *)&l->tcp, &buffer, 1, on_written);
    return false;
}

/* What goes out next; empty = nothing. */
static span gather(conn *l) {
    size_t len = l->ready ? l->engine->protocol->give(l, l->engine->out, ENGINE_OUT) : 0;
    span plain = {l->engine->out, len};
    return l->tls ? tls_seal(l->tls, plain) : plain;
}

void conn_flush(conn *l) {
    span out;
    if (l->closing || (!l->ready && !l->tls))
        return;
    while (!l->writing && (out = gather(l)).len > 0)
        if (!write_out(l, out))
            break;
}

uint8_t *conn_begin(conn *l, size_t size) {
    if (l->out_at > COMPACT && l->out_at > l->out.len / 2) {
        l->out.len -= l->out_at;
        memmove(l->out.at, l->out.at + l->out_at, l->out.len);
        l->out_at = 0;
    }
    return bytes_room(&l->out, size);
}

void conn_end(conn *l, size_t used) {
    l->out.len += used;
    conn_dirty(l);
}

/* ---- life --------------------------------------------------------------- */

static void on_connect(uv_connect_t *connect, int status) {
    conn *l = connect->data;
    const char *why = NULL;
    if (status < 0) {
        conn_lost(l, uv_strerror(status));
        return;
    }
    uv_tcp_nodelay(&l->tcp, 1);
    uv_read_start((uv_stream_t *)&l->tcp, give_buffer, on_read);
    conn_dirty(l);
    if (l->tls)
        tls_shake(l->tls, &why); /* the first word is ours */
    else
        begin(l);
}

void conn_open(conn *l, engine *e, const char *client_id, const conn_events *events, void *owner) {
    *l = (conn){.owner = owner, .engine = e, .events = events, .status = -1};
    snprintf(l->client_id, sizeof l->client_id, "%s", client_id);
    l->tls = e->tls ? tls_conn_new(e->tls) : NULL;
    uv_tcp_init(&e->loop, &l->tcp);
    l->tcp.data = l->connect.data = l;
    int failed = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&e->address, on_connect);
    if (failed)
        conn_lost(l, uv_strerror(failed));
}

static void on_closed(uv_handle_t *handle) {
    conn *l = handle->data;
    l->engine->protocol->gone(l);
    tls_conn_free(l->tls);
    l->tls = NULL;
    bytes_free(&l->out);
    bytes_free(&l->tail);
    bytes_free(&l->request);
}

void conn_close(conn *l) {
    if (!l->engine || l->closing)
        return;
    l->engine->protocol->bye(l);
    conn_flush(l);
    l->closing = true;
    uv_close((uv_handle_t *)&l->tcp, on_closed);
}
