/* SPDX-License-Identifier: MIT
 * grpc_message.c: the messages of AutoGen's distributed runtime, gRPC-framed. Fields have the order that AutoGen's
 * own encoder gives them. Read message.h first. */
#include "grpc.h"
#include "proto.h"

static const char DATA_TYPE[] = "Bench";
static const char CONTENT_TYPE[] = "application/json";
static const char EVENT_ID[] = "00000000-0000-4000-8"; /* before the key: a UUID's length */

/* ---- forms -------------------------------------------------------------- */

/* Frames `inner` as field `kind` of a Message and notes where keys and body lie. */
static void form_close(form *f, enum message_kind kind, const bytes *inner, const bytes *body) {
    bytes outer = {0};
    proto_add(&outer, kind, span_bytes(inner));
    *f = (form){0};
    proto_add_framed(&f->wire, span_bytes(&outer));
    f->inner_at = f->wire.len - inner->len;
    form_mark(f, f->inner_at, body);
    bytes_free(&outer);
}

static void agent_id_add(bytes *to, unsigned number, const char *type) {
    bytes id = {0};
    proto_add(&id, 1, span_of(type));
    proto_add(&id, 2, span_of("default"));
    proto_add(to, number, span_bytes(&id));
    bytes_free(&id);
}

void grpc_request(form *f, const char *source_type, const char *target_type, size_t size) {
    bytes body = {0}, payload = {0}, inner = {0};
    body_write(&body, size);
    proto_add(&payload, 1, span_of(DATA_TYPE));
    proto_add(&payload, 2, span_of(CONTENT_TYPE));
    proto_add(&payload, 3, span_bytes(&body));
    proto_add(&inner, 1, span_of(NO_KEY));
    agent_id_add(&inner, 2, source_type);
    agent_id_add(&inner, 3, target_type);
    proto_add(&inner, 5, span_bytes(&payload));
    form_close(f, MESSAGE_REQUEST, &inner, &body);
    bytes_free(&body);
    bytes_free(&payload);
    bytes_free(&inner);
}

static void attribute_add(bytes *to, const char *name, const char *value) {
    bytes text = {0}, entry = {0};
    proto_add(&text, 3, span_of(value)); /* ce_string */
    proto_add(&entry, 1, span_of(name));
    proto_add(&entry, 2, span_bytes(&text));
    proto_add(to, 5, span_bytes(&entry));
    bytes_free(&text);
    bytes_free(&entry);
}

void grpc_event(form *f, const char *topic, size_t size) {
    bytes body = {0}, inner = {0};
    char id[sizeof EVENT_ID + KEY_DIGITS];
    snprintf(id, sizeof id, "%s%s", EVENT_ID, NO_KEY);
    body_write(&body, size);
    proto_add(&inner, 1, span_of(id));
    proto_add(&inner, 2, span_of("default"));
    proto_add(&inner, 3, span_of("1.0"));
    proto_add(&inner, 4, span_of(topic));
    attribute_add(&inner, "datacontenttype", CONTENT_TYPE);
    attribute_add(&inner, "dataschema", DATA_TYPE);
    attribute_add(&inner, "agagentsendertype", "unknown");
    attribute_add(&inner, "agagentsenderkey", "unknown");
    attribute_add(&inner, "agmsgkind", "publish");
    proto_add(&inner, 6, span_bytes(&body));
    form_close(f, MESSAGE_EVENT, &inner, &body);
    bytes_free(&body);
    bytes_free(&inner);
}

/* ---- checks ------------------------------------------------------------- */

bool grpc_same_payload(const form *f, span payload, uint64_t body_key) {
    span type = {0}, content = {0}, data = {0};
    field at;
    int more;
    while ((more = proto_next(&payload, &at)) > 0) {
        if (at.type != 2)
            return false;
        if (at.number == 1)
            type = at.bytes;
        else if (at.number == 2)
            content = at.bytes;
        else if (at.number == 3)
            data = at.bytes;
        else
            return false;
    }
    return more == 0 && span_same(type, span_of(DATA_TYPE)) &&
           span_same(content, span_of(CONTENT_TYPE)) && body_same(f, data, body_key);
}

/* Does `event` have a field equal to `wanted`? */
static bool has_field(span event, const field *wanted) {
    field at;
    while (proto_next(&event, &at) > 0)
        if (at.number == wanted->number && at.type == 2 && span_same(at.bytes, wanted->bytes))
            return true;
    return false;
}

static int count_fields(span event) {
    field at;
    int count = 0, more;
    while ((more = proto_next(&event, &at)) > 0)
        count++;
    return more < 0 ? -1 : count;
}

bool grpc_same_event(form *f, span event, uint64_t key) {
    form_fill(f, key, key);
    span mine = {f->wire.at + f->inner_at, f->wire.len - f->inner_at};
    if (span_same(event, mine))
        return true;
    if (count_fields(event) != count_fields(mine))
        return false;
    for (field at; proto_next(&mine, &at) > 0;)
        if (!has_field(event, &at))
            return false;
    return true;
}

bool grpc_event_key(span id, uint64_t *key) {
    size_t head = sizeof EVENT_ID - 1;
    if (id.len != head + KEY_DIGITS || memcmp(id.at, EVENT_ID, head) != 0)
        return false;
    return key_read((span){id.at + head, KEY_DIGITS}, key);
}

/* ---- reading ------------------------------------------------------------ */

static bool agent_type_read(span id, span *type) {
    field at;
    int more;
    while ((more = proto_next(&id, &at)) > 0)
        if (at.number == 1 && at.type == 2)
            *type = at.bytes;
    return more == 0;
}

static bool request_field(const field *at, message *out) {
    if (at->number == 1)
        out->id = at->bytes;
    else if (at->number == 3)
        return agent_type_read(at->bytes, &out->target_type);
    else if (at->number == 5)
        out->payload = at->bytes;
    return true;
}

static bool response_field(const field *at, message *out) {
    if (at->number == 1)
        out->id = at->bytes;
    else if (at->number == 2)
        out->payload = at->bytes;
    else if (at->number == 3)
        out->error = at->bytes;
    return true;
}

static bool event_field(const field *at, message *out) {
    if (at->number == 1)
        out->id = at->bytes;
    return true;
}

bool grpc_read(span wire, message *out) {
    static bool (*const read[])(const field *, message *) = {
        [MESSAGE_REQUEST] = request_field,
        [MESSAGE_RESPONSE] = response_field,
        [MESSAGE_EVENT] = event_field,
    };
    field at;
    int more;
    *out = (message){0};
    if (proto_next(&wire, &at) != 1 || wire.len != 0 || at.type != 2 || at.number < 1 || at.number > 3)
        return false;
    out->kind = (enum message_kind)at.number;
    out->inner = at.bytes;
    for (span rest = at.bytes; (more = proto_next(&rest, &at)) > 0;)
        if (at.type == 2 && !read[out->kind](&at, out))
            return false;
    return more == 0;
}

/* ---- answers and unary bodies ------------------------------------------- */

static size_t put_size(span value) {
    return 1 + proto_varint_size(value.len) + value.len;
}

size_t grpc_response_room(span id, span payload) {
    return id.len + payload.len + 40;
}

size_t grpc_response(uint8_t *to, span id, span payload) {
    size_t inner = put_size(id) + put_size(payload);
    size_t whole = 1 + proto_varint_size(inner) + inner;
    uint8_t *p = to;
    *p++ = 0;
    *p++ = (uint8_t)(whole >> 24);
    *p++ = (uint8_t)(whole >> 16);
    *p++ = (uint8_t)(whole >> 8);
    *p++ = (uint8_t)whole;
    *p++ = MESSAGE_RESPONSE << 3 | 2;
    p = proto_varint(p, inner);
    p = proto_put(p, 1, id);
    p = proto_put(p, 2, payload);
    return (size_t)(p - to);
}

void grpc_register_write(bytes *to, const char *type) {
    bytes body = {0};
    proto_add(&body, 1, span_of(type));
    proto_add_framed(to, span_bytes(&body));
    bytes_free(&body);
}

void grpc_subscribe_write(bytes *to, const char *id, const char *topic, bool prefix, const char *type) {
    bytes kind = {0}, subscription = {0}, body = {0};
    proto_add(&kind, 1, span_of(topic));
    proto_add(&kind, 2, span_of(type));
    proto_add(&subscription, 1, span_of(id));
    proto_add(&subscription, prefix ? 3 : 2, span_bytes(&kind));
    proto_add(&body, 1, span_bytes(&subscription));
    proto_add_framed(to, span_bytes(&body));
    bytes_free(&kind);
    bytes_free(&subscription);
    bytes_free(&body);
}
