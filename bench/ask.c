/* SPDX-License-Identifier: MIT
 * ask.c: asks and echoes. See ask.h.
 *
 * The key of a request is asker (16 bits), slot (16 bits), generation (32 bits): a reply leads to its
 * slot without a search, and one that comes twice, or late, meets a newer generation. */
#include "ask.h"

#include "protocol.h"

static uint64_t key_of(const asker *a, unsigned index) {
    return (uint64_t)a->self->number << 48 | (uint64_t)index << 32 | a->slots[index].generation;
}

static uint64_t id_of(const asker *a, uint64_t key) {
    return a->same_ids ? key & 0xffffffffffffull : key;
}

void asker_init(asker *a, worker *self, const crew *echoes, unsigned slots, size_t size) {
    a->self = self;
    a->echoes = echoes;
    a->slot_count = slots;
    a->slots = must(calloc(slots, sizeof *a->slots));
    a->forms = must(calloc(echoes->count, sizeof *a->forms));
    const protocol *speaks = self->conn.engine->protocol;
    for (unsigned i = 0; i < echoes->count; i++)
        speaks->request(&a->forms[i], self->type, echoes->members[i].type, size);
    a->next = self->number % echoes->count;
    if (speaks->inbox)
        speaks->inbox(&self->conn);
}

void asker_free(asker *a) {
    for (unsigned i = 0; a->forms && i < a->echoes->count; i++)
        form_free(&a->forms[i]);
    free(a->forms);
    free(a->slots);
}

void asker_ask(asker *a, unsigned index) {
    slot *s = &a->slots[index];
    s->echo = a->next;
    a->next = (a->next + 1) % a->echoes->count;
    s->generation++;
    s->open = true;
    s->sent = a->self->conn.engine->now;
    a->open++;
    form *f = &a->forms[s->echo];
    uint64_t key = key_of(a, index);
    form_fill(f, id_of(a, key), key);
    memcpy(conn_begin(&a->self->conn, f->wire.len), f->wire.at, f->wire.len);
    conn_end(&a->self->conn, f->wire.len);
}

static void wrong(const asker *a, const char *what, span id) {
    engine_fail(a->self->conn.engine, "requester %u: %s (id %.*s)", a->self->number, what, (int)id.len,
                (const char *)id.at);
}

void asker_message(asker *a, const message *m) {
    uint64_t id;
    if (m->kind != MESSAGE_RESPONSE || !key_read(m->id, &id)) {
        wrong(a, "neither a reply nor an id of ours", m->id);
        return;
    }
    unsigned index = (unsigned)(id >> 32 & 0xffff);
    slot *s = &a->slots[index];
    if (index >= a->slot_count || id != id_of(a, key_of(a, index)) || !s->open) {
        wrong(a, "a reply that nothing waits for: doubled, late or another's", m->id);
        return;
    }
    if (m->error.len)
        engine_fail(a->self->conn.engine, "requester %u: error reply: %.*s", a->self->number,
                    (int)m->error.len, (const char *)m->error.at);
    else if (!a->self->conn.engine->protocol->same_payload(&a->forms[s->echo], m->payload, key_of(a, index)))
        wrong(a, "a reply with a wrong body", m->id);
    s->open = false;
    a->open--;
    a->answered(a, index, a->self->conn.engine->now - s->sent);
}

void echo_message(worker *w, const message *m) {
    if (m->kind != MESSAGE_REQUEST || !span_same(m->target_type, span_of(w->type))) {
        engine_fail(w->crew->engine, "responder %u: not a request for %s", w->number, w->type);
        return;
    }
    const protocol *speaks = w->conn.engine->protocol;
    uint8_t *to = conn_begin(&w->conn, speaks->response_room(m->id, m->payload));
    conn_end(&w->conn, speaks->response(to, m->id, m->payload));
}
