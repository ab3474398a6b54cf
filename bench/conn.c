/* SPDX-License-Identifier: MIT
 * conn.c: gRPC over HTTP/2 on one connection, the client's side. See conn.h.
 *
 * nghttp2 is fed and drained by memory. Messages for OpenChannel gather in `out` and leave in a DATA
 * frame each, as those of gRPC's own libraries do, or packed into as few as they fit in. Incoming
 * messages are handed on in place; only one that is split over frames is assembled. Windows are
 * large, so that this side never holds the host up. */
#include "conn.h"

enum {
    STREAM_WINDOW = 16 << 20,
    CONNECTION_WINDOW = 64 << 20,
    FRAME_ROOM = 17 * 1024, /* what one nghttp2_session_mem_send may return */
    COMPACT = 64 * 1024,    /* sent bytes in front of `out` that are worth a move */
    PREFIX = 5
};

static void mark_dirty(conn *l) {
    if (l->dirty)
        return;
    l->dirty = true;
    l->next_dirty = l->engine->dirty;
    l->engine->dirty = l;
}

static void lost(conn *l, const char *why) {
    if (!l->engine->ending && !l->closing) {
        engine_fail(l->engine, "client %s: %s", l->client_id, why);
        engine_stop(l->engine);
    }
}

/* ---- receiving ---------------------------------------------------------- */

static size_t framed_size(const uint8_t *at) {
    return PREFIX + ((size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4]);
}

static void deliver(conn *l, const uint8_t *framed, size_t size) {
    if (framed[0] != 0)
        engine_fail(l->engine, "client %s: a compressed message, not asked for", l->client_id);
    else
        l->events->message(l, (span){framed + PREFIX, size - PREFIX});
}

/* Takes from `in` what completes the message in `tail`; returns how much it took. */
static size_t complete_tail(conn *l, span in) {
    size_t want = l->tail.len < PREFIX ? PREFIX : framed_size(l->tail.at);
    size_t take = want - l->tail.len < in.len ? want - l->tail.len : in.len;
    bytes_add(&l->tail, in.at, take);
    if (l->tail.len >= PREFIX && l->tail.len == framed_size(l->tail.at)) {
        deliver(l, l->tail.at, l->tail.len);
        l->tail.len = 0;
    }
    return take;
}

static void channel_data(conn *l, span in) {
    while (in.len > 0) {
        size_t took;
        if (l->tail.len == 0 && in.len >= PREFIX && framed_size(in.at) <= in.len) {
            took = framed_size(in.at);
            deliver(l, in.at, took);
        } else {
            took = complete_tail(l, in);
        }
        in.at += took;
        in.len -= took;
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                   size_t len, void *owner) {
    conn *l = owner;
    (void)session;
    (void)flags;
    if (stream == l->channel)
        channel_data(l, (span){data, len});
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *owner) {
    conn *l = owner;
    span key = {name, name_len};
    (void)session;
    (void)frame;
    (void)flags;
    if (span_same(key, span_of("grpc-status")))
        l->status = atoi((const char *)value); /* nghttp2 ends values with a NUL */
    else if (span_same(key, span_of("grpc-message")))
        snprintf(l->text, sizeof l->text, "%.*s", (int)value_len, (const char *)value);
    else if (span_same(key, span_of(":status")) && !span_same((span){value, value_len}, span_of("200")))
        engine_fail(l->engine, "client %s: HTTP status %s", l->client_id, (const char *)value);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *owner) {
    conn *l = owner;
    char why[200];
    (void)session;
    if (stream == l->call) {
        l->call = 0;
        l->events->answer(l, l->status);
    } else if (stream == l->channel) {
        snprintf(why, sizeof why, "OpenChannel ended: status %d, code %u, %s", l->status, code, l->text);
        l->channel = 0;
        lost(l, why);
    }
    return 0;
}

void conn_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    conn *l = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)l->engine->in, ENGINE_IN);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    conn *l = stream->data;
    if (got < 0) {
        lost(l, uv_strerror((int)got));
        uv_read_stop(stream);
    } else if (got > 0 && l->session) {
        l->engine->now = uv_hrtime();
        ssize_t used = nghttp2_session_mem_recv(l->session, (uint8_t *)buffer->base, (size_t)got);
        if (used < 0)
            lost(l, nghttp2_strerror((int)used));
        mark_dirty(l);
    }
}

/* ---- sending ------------------------------------------------------------ */

static void on_written(uv_write_t *write, int status) {
    conn *l = write->data;
    free(l->writing);
    l->writing = NULL;
    if (status < 0)
        lost(l, uv_strerror(status));
    else
        mark_dirty(l);
}

/* Hands `len` bytes of the shared buffer to the kernel; false = it did not take all at once. */
static bool write_out(conn *l, size_t len) {
    uv_buf_t buffer = uv_buf_init((char *)l->engine->out, (unsigned)len);
    int took = uv_try_write((uv_stream_t *)&l->tcp, &buffer, 1);
    if (took == (int)len)
        return true;
    if (took < 0 && took != UV_EAGAIN) {
        lost(l, uv_strerror(took));
        return false;
    }
    size_t sent = took > 0 ? (size_t)took : 0;
    l->writing = must(malloc(len - sent));
    memcpy(l->writing, l->engine->out + sent, len - sent);
    buffer = uv_buf_init((char *)l->writing, (unsigned)(len - sent));
    l->write.data = l;
    uv_write(&l->write, (uv_stream_t *)&l->tcp, &buffer, 1, on_written);
    return false;
}

/* Fills the shared buffer with frames; returns how many bytes. */
static size_t gather(conn *l) {
    size_t len = 0;
    const uint8_t *frame;
    while (ENGINE_OUT - len >= FRAME_ROOM) {
        ssize_t n = nghttp2_session_mem_send(l->session, &frame);
        if (n < 0)
            lost(l, nghttp2_strerror((int)n));
        if (n <= 0)
            break;
        memcpy(l->engine->out + len, frame, (size_t)n);
        len += (size_t)n;
    }
    return len;
}

void conn_flush(conn *l) {
    size_t len;
    if (!l->session || l->closing)
        return;
    if (l->deferred && l->channel && l->out_at < l->out.len) {
        l->deferred = false;
        nghttp2_session_resume_data(l->session, l->channel);
    }
    while (!l->writing && (len = gather(l)) > 0)
        if (!write_out(l, len))
            break;
}

static ssize_t read_channel(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *owner) {
    conn *l = owner;
    size_t left = l->out.len - l->out_at;
    (void)session;
    (void)stream;
    (void)flags;
    (void)source;
    if (left == 0) {
        l->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (!l->engine->packed) {
        if (l->unsent == 0)
            l->unsent = framed_size(l->out.at + l->out_at);
        left = l->unsent;
    }
    if (left > room)
        left = room;
    l->unsent -= l->engine->packed ? 0 : left;
    memcpy(to, l->out.at + l->out_at, left);
    l->out_at += left;
    if (l->out_at == l->out.len)
        l->out_at = l->out.len = 0;
    return (ssize_t)left;
}

static ssize_t read_request(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room,
                            uint32_t *flags, nghttp2_data_source *source, void *owner) {
    conn *l = owner;
    size_t left = l->request.len - l->request_at;
    (void)session;
    (void)stream;
    (void)source;
    if (left > room)
        left = room;
    memcpy(to, l->request.at + l->request_at, left);
    l->request_at += left;
    if (l->request_at == l->request.len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)left;
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
    mark_dirty(l);
}

/* ---- calls -------------------------------------------------------------- */

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

static int32_t submit(conn *l, const char *method, nghttp2_data_source_read_callback read) {
    char path[64];
    snprintf(path, sizeof path, "/agents.AgentRpc/%s", method);
    nghttp2_nv headers[] = {
        header(":method", "POST"),         header(":scheme", "http"),
        header(":path", path),             header(":authority", l->engine->authority),
        header("te", "trailers"),          header("content-type", "application/grpc"),
        header("user-agent", "grpc-python-asyncio/bench"), header("client-id", l->client_id),
    };
    nghttp2_data_provider body = {.read_callback = read};
    int32_t stream = nghttp2_submit_request(l->session, NULL, headers, sizeof headers / sizeof *headers, &body, NULL);
    if (stream < 0)
        lost(l, nghttp2_strerror(stream));
    mark_dirty(l);
    return stream;
}

void conn_open_channel(conn *l) {
    l->channel = submit(l, "OpenChannel", read_channel);
}

void conn_call(conn *l, const char *method) {
    l->status = -1;
    l->text[0] = 0;
    l->request_at = 0;
    l->call = submit(l, method, read_request);
}

/* ---- life --------------------------------------------------------------- */

static void start_session(conn *l) {
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    nghttp2_session_client_new2(&l->session, l->engine->callbacks, l, l->engine->option);
    must(l->session);
    nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
}

static void on_connect(uv_connect_t *connect, int status) {
    conn *l = connect->data;
    if (status < 0) {
        lost(l, uv_strerror(status));
        return;
    }
    uv_tcp_nodelay(&l->tcp, 1);
    start_session(l);
    uv_read_start((uv_stream_t *)&l->tcp, give_buffer, on_read);
    mark_dirty(l);
    l->events->up(l);
}

void conn_open(conn *l, engine *e, const char *client_id, const conn_events *events, void *owner) {
    *l = (conn){.owner = owner, .engine = e, .events = events, .status = -1};
    snprintf(l->client_id, sizeof l->client_id, "%s", client_id);
    uv_tcp_init(&e->loop, &l->tcp);
    l->tcp.data = l->connect.data = l;
    int failed = uv_tcp_connect(&l->connect, &l->tcp, (const struct sockaddr *)&e->address, on_connect);
    if (failed)
        lost(l, uv_strerror(failed));
}

static void on_closed(uv_handle_t *handle) {
    conn *l = handle->data;
    nghttp2_session_del(l->session);
    l->session = NULL;
    bytes_free(&l->out);
    bytes_free(&l->tail);
    bytes_free(&l->request);
}

void conn_close(conn *l) {
    if (!l->engine || l->closing)
        return;
    if (l->session && l->channel)
        nghttp2_submit_rst_stream(l->session, NGHTTP2_FLAG_NONE, l->channel, NGHTTP2_CANCEL);
    conn_flush(l);
    l->closing = true;
    uv_close((uv_handle_t *)&l->tcp, on_closed);
}
