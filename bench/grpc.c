/* SPDX-License-Identifier: MIT
 * grpc.c: gRPC over HTTP/2 on one connection, the client's side: a unary call at a time, and one OpenChannel stream.
 *
 * nghttp2 is fed and drained by memory. Messages for OpenChannel gather in `out` and leave in a DATA
 * frame each, as those of gRPC's own libraries do, or packed into as few as they fit in. Incoming
 * messages are handed on in place; only one that is split over frames is assembled. Windows are
 * large, so that this side never holds the host up. */
#include "grpc.h"

#include <nghttp2/nghttp2.h>

enum {
    STREAM_WINDOW = 16 << 20,
    CONNECTION_WINDOW = 64 << 20,
    FRAME_ROOM = 17 * 1024, /* what one nghttp2_session_mem_send may return */
    PREFIX = 5
};

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
        conn_lost(l, why);
    }
    return 0;
}

/* Made once: all connections have the same. */
static nghttp2_session_callbacks *callbacks(void) {
    static nghttp2_session_callbacks *all;
    if (!all) {
        nghttp2_session_callbacks_new(&all);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(must(all), on_data);
        nghttp2_session_callbacks_set_on_header_callback(all, on_header);
        nghttp2_session_callbacks_set_on_stream_close_callback(all, on_stream_close);
    }
    return all;
}

static nghttp2_option *option(void) {
    static nghttp2_option *same;
    if (!same) {
        nghttp2_option_new(&same);
        nghttp2_option_set_no_closed_streams(must(same), 1);
    }
    return same;
}

static void grpc_take(conn *l, span in) {
    ssize_t used = nghttp2_session_mem_recv(l->session, in.at, in.len);
    if (used < 0)
        conn_lost(l, nghttp2_strerror((int)used));
}

/* ---- sending ------------------------------------------------------------ */

static size_t grpc_give(conn *l, uint8_t *to, size_t room) {
    size_t len = 0;
    const uint8_t *frame;
    if (l->deferred && l->channel && l->out_at < l->out.len) {
        l->deferred = false;
        nghttp2_session_resume_data(l->session, l->channel);
    }
    while (room - len >= FRAME_ROOM) {
        ssize_t n = nghttp2_session_mem_send(l->session, &frame);
        if (n < 0)
            conn_lost(l, nghttp2_strerror((int)n));
        if (n <= 0)
            break;
        memcpy(to + len, frame, (size_t)n);
        len += (size_t)n;
    }
    return len;
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

/* ---- calls -------------------------------------------------------------- */

static nghttp2_nv header(const char *name, const char *value) {
    return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

static int32_t submit(conn *l, const char *method, nghttp2_data_source_read_callback read) {
    char path[64];
    snprintf(path, sizeof path, "/agents.AgentRpc/%s", method);
    nghttp2_nv headers[] = {
        header(":method", "POST"),         header(":scheme", l->engine->tls ? "https" : "http"),
        header(":path", path),             header(":authority", l->engine->authority),
        header("te", "trailers"),          header("content-type", "application/grpc"),
        header("user-agent", "grpc-python-asyncio/bench"), header("client-id", l->client_id),
    };
    nghttp2_data_provider body = {.read_callback = read};
    int32_t stream = nghttp2_submit_request(l->session, NULL, headers, sizeof headers / sizeof *headers, &body, NULL);
    if (stream < 0)
        conn_lost(l, nghttp2_strerror(stream));
    conn_dirty(l);
    return stream;
}

static void grpc_receive(conn *l) {
    l->channel = submit(l, "OpenChannel", read_channel);
}

/* Calls /agents.AgentRpc/`method` with l->request as its framed message. */
static void call(conn *l, const char *method) {
    l->status = -1;
    l->text[0] = 0;
    l->request_at = 0;
    l->call = submit(l, method, read_request);
}

static void grpc_enroll(conn *l, const char *type) {
    l->request.len = 0;
    grpc_register_write(&l->request, type);
    call(l, "RegisterAgent");
}

static void grpc_subscribe(conn *l, const char *id, const char *topic, bool prefix, const char *type) {
    l->request.len = 0;
    grpc_subscribe_write(&l->request, id, topic, prefix, type);
    call(l, "AddSubscription");
}

static void grpc_probe(conn *l) {
    static const uint8_t empty[PREFIX]; /* the frame of an empty message */
    l->request.len = 0;
    bytes_add(&l->request, empty, sizeof empty);
    call(l, "GetSubscriptions");
}

/* ---- life --------------------------------------------------------------- */

static void grpc_open(conn *l) {
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
    };
    nghttp2_session_client_new2(&l->session, callbacks(), l, option());
    must(l->session);
    nghttp2_submit_settings(l->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(l->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW);
    conn_dirty(l);
    l->events->up(l);
}

static void grpc_bye(conn *l) {
    if (l->session && l->channel)
        nghttp2_submit_rst_stream(l->session, NGHTTP2_FLAG_NONE, l->channel, NGHTTP2_CANCEL);
}

static void grpc_gone(conn *l) {
    nghttp2_session_del(l->session);
    l->session = NULL;
}

const protocol protocol_grpc = {
    .name = "grpc", .alpn = "\2h2",
    .open = grpc_open, .take = grpc_take, .give = grpc_give, .bye = grpc_bye, .gone = grpc_gone,
    .receive = grpc_receive, .enroll = grpc_enroll, .subscribe = grpc_subscribe, .probe = grpc_probe,
    .read = grpc_read, .request = grpc_request, .event = grpc_event,
    .same_payload = grpc_same_payload, .same_event = grpc_same_event, .event_key = grpc_event_key,
    .response_room = grpc_response_room, .response = grpc_response,
};
