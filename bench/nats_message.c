/* SPDX-License-Identifier: MIT
 * nats_message.c: what is sent through a NATS server: a line that names subject and length, and a body. See nats.h. */
#include "nats.h"

enum { WORDS = 5 }; /* MSG subject sid [reply] size */

/* Splits a line at blanks; returns how many words, WORDS + 1 if there are more. */
static unsigned split(span line, span words[WORDS]) {
    unsigned count = 0;
    const uint8_t *at = line.at, *end = line.at + line.len;
    while (at < end) {
        const uint8_t *from = at;
        while (at < end && *at > ' ')
            at++;
        if (at > from && count == WORDS)
            return WORDS + 1;
        if (at > from)
            words[count++] = (span){from, (size_t)(at - from)};
        at++;
    }
    return count;
}

bool nats_body_size(span line, size_t *size) {
    const uint8_t *at = line.at + line.len;
    if (line.len < 4 || memcmp(line.at, "MSG ", 4) != 0)
        return false;
    while (at > line.at && at[-1] <= ' ')
        at--;
    *size = 0;
    for (size_t place = 1; at > line.at && at[-1] >= '0' && at[-1] <= '9'; at--, place *= 10)
        *size += (size_t)(at[-1] - '0') * place;
    return true;
}

/* The last word of a subject. */
static span last_word(span subject) {
    size_t n = subject.len;
    while (n > 0 && subject.at[n - 1] != '.')
        n--;
    return (span){subject.at + n, subject.len - n};
}

bool nats_read(span wire, message *out) {
    span words[WORDS];
    const uint8_t *end = memchr(wire.at, '\n', wire.len);
    size_t head = end ? (size_t)(end - wire.at) + 1 : 0;
    unsigned count = split((span){wire.at, head}, words);
    if (count < 4 || count > 5)
        return false;
    span body = {wire.at + head, wire.len - head};
    *out = (message){.kind = MESSAGE_EVENT, .inner = body, .payload = body};
    if (count == 5) {
        out->kind = MESSAGE_REQUEST;
        out->target_type = words[1];
        out->id = words[3];
    } else if (words[1].len > sizeof NATS_INBOX && memcmp(words[1].at, NATS_INBOX, sizeof NATS_INBOX - 1) == 0) {
        out->kind = MESSAGE_RESPONSE;
        out->id = last_word(words[1]);
    } else if (body.len >= BODY_MIN) {
        out->id = (span){body.at + body_key_at(), KEY_DIGITS};
    }
    return true;
}

/* "PUB subject[ reply] size", the body behind it. */
static void publication(form *f, const char *subject, const char *reply, size_t size) {
    char line[256];
    bytes body = {0};
    body_write(&body, size);
    *f = (form){0};
    bytes_add(&f->wire, line, (size_t)snprintf(line, sizeof line, "PUB %s%s%s %zu\r\n", subject, *reply ? " " : "", reply, size));
    f->inner_at = f->wire.len;
    bytes_add(&f->wire, body.at, body.len);
    bytes_add(&f->wire, "\r\n", 2);
    form_mark(f, 0, &body);
    bytes_free(&body);
}

void nats_request(form *f, const char *source_type, const char *target_type, size_t size) {
    char reply[128];
    snprintf(reply, sizeof reply, NATS_INBOX "%s.%s", source_type, NO_KEY);
    publication(f, target_type, reply, size);
}

void nats_event(form *f, const char *topic, size_t size) {
    publication(f, topic, "", size);
}

bool nats_same_event(form *f, span event, uint64_t key) {
    return body_same(f, event, key);
}

size_t nats_response_room(span id, span payload) {
    return id.len + payload.len + 40;
}

size_t nats_response(uint8_t *to, span id, span payload) {
    int head = sprintf((char *)to, "PUB %.*s %zu\r\n", (int)id.len, (const char *)id.at, payload.len);
    memcpy(to + head, payload.at, payload.len);
    memcpy(to + head + payload.len, "\r\n", 2);
    return (size_t)head + payload.len + 2;
}
