/* SPDX-License-Identifier: MIT
 * nats.c: the text protocol of a NATS server, a client's side: INFO, CONNECT, SUB, PUB, MSG, PING.
 *
 * An agent type and a topic are a subject each; who asks has an inbox `_INBOX.CLIENT.*` and names the request in the last
 * word of the reply's subject, as NATS's own clients do. The server does not answer a SUB, so a PING behind it tells that
 * it was read. Like theirs, this client writes all that a turn of its loop has made at once. */
#include "nats.h"

static void say(conn *l, const char *format, const char *a, const char *b) {
    size_t room = strlen(format) + strlen(a) + strlen(b) + 1;
    conn_end(l, (size_t)snprintf((char *)conn_begin(l, room), room, format, a, b));
}

/* ---- receiving ---------------------------------------------------------- */

static bool begins(span line, const char *word) {
    size_t n = strlen(word);
    return line.len >= n && memcmp(line.at, word, n) == 0;
}

static void greet(conn *l) {
    say(l, "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\",\"protocol\":1,\"name\":\"%s\"}\r\nPING\r\n%s",
        l->client_id, "");
}

static void on_pong(conn *l) {
    if (l->greeted) {
        l->events->answer(l, 0);
    } else {
        l->greeted = true;
        l->events->up(l);
    }
}

static void on_line(conn *l, span line) {
    char why[200];
    if (begins(line, "PING"))
        say(l, "PONG\r\n%s%s", "", "");
    else if (begins(line, "PONG"))
        on_pong(l);
    else if (begins(line, "INFO") && !l->greeted)
        greet(l);
    else if (begins(line, "-ERR")) {
        snprintf(why, sizeof why, "%.*s", (int)line.len, (const char *)line.at);
        conn_lost(l, why);
    }
}

/* Takes one line, and the body that belongs to it; 0 = not all of it is there. */
static size_t take_one(conn *l, span in) {
    const uint8_t *end = memchr(in.at, '\n', in.len);
    size_t head = end ? (size_t)(end - in.at) + 1 : 0, body;
    if (!head)
        return 0;
    if (!nats_body_size((span){in.at, head}, &body)) {
        on_line(l, (span){in.at, head});
        return head;
    }
    if (in.len < head + body + 2)
        return 0;
    l->events->message(l, (span){in.at, head + body});
    return head + body + 2;
}

static void nats_take(conn *l, span in) {
    size_t took, held = l->tail.len;
    if (held) {
        bytes_add(&l->tail, in.at, in.len);
        in = span_bytes(&l->tail);
    }
    while (in.len > 0 && (took = take_one(l, in)) > 0) {
        in.at += took;
        in.len -= took;
    }
    if (held)
        memmove(l->tail.at, in.at, in.len);
    else
        bytes_add(&l->tail, in.at, in.len);
    l->tail.len = in.len;
}

/* ---- sending ------------------------------------------------------------ */

static size_t nats_give(conn *l, uint8_t *to, size_t room) {
    size_t left = l->out.len - l->out_at;
    if (left > room)
        left = room;
    if (left)
        memcpy(to, l->out.at + l->out_at, left);
    l->out_at += left;
    if (l->out_at == l->out.len)
        l->out_at = l->out.len = 0;
    return left;
}

static void nats_listen(conn *l, const char *subject, const char *after) {
    char line[200];
    snprintf(line, sizeof line, "SUB %s %u\r\n", subject, ++l->last_sid);
    say(l, "%s%s", line, after);
}

static void nats_enroll(conn *l, const char *type) {
    nats_listen(l, type, "PING\r\n");
}

static void nats_subscribe(conn *l, const char *id, const char *topic, bool prefix, const char *type) {
    (void)id;
    (void)type;
    if (prefix)
        conn_lost(l, "NATS has no subscriptions to subjects that begin so");
    else
        nats_listen(l, topic, "PING\r\n");
}

static void nats_inbox(conn *l) {
    char subject[128];
    snprintf(subject, sizeof subject, NATS_INBOX "%s.*", l->client_id);
    nats_listen(l, subject, "");
}

static void nats_probe(conn *l) {
    say(l, "PING\r\n%s%s", "", "");
}

/* The server speaks first, and there is nothing to take leave of. */
static void nothing(conn *l) {
    (void)l;
}

const protocol protocol_nats = {
    .name = "nats",
    .open = nothing, .take = nats_take, .give = nats_give, .bye = nothing, .gone = nothing,
    .receive = nothing, .inbox = nats_inbox, .enroll = nats_enroll, .subscribe = nats_subscribe, .probe = nats_probe,
    .read = nats_read, .request = nats_request, .event = nats_event,
    .same_payload = body_same, .same_event = nats_same_event, .event_key = key_read,
    .response_room = nats_response_room, .response = nats_response,
};
