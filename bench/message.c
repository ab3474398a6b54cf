/* SPDX-License-Identifier: MIT
 * message.c: keys, bodies and forms. See message.h.
 *
 * A body is JSON text, {"key":"0123456789abcdef","pad":"abc..."}, cut to the size asked for, so that
 * any peer could decode it. */
#include "message.h"

static const char BODY_HEAD[] = "{\"key\":\"";
static const char BODY_MIDDLE[] = "\",\"pad\":\"";
const char NO_KEY[] = "----------------";

static void key_write(uint8_t *to, uint64_t key) {
    static const char hex[] = "0123456789abcdef";
    for (int i = KEY_DIGITS - 1; i >= 0; i--, key >>= 4)
        to[i] = (uint8_t)hex[key & 15];
}

bool key_read(span id, uint64_t *key) {
    uint64_t value = 0;
    if (id.len != KEY_DIGITS)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        uint8_t c = id.at[i];
        unsigned digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
        if (digit > 15)
            return false;
        value = value << 4 | digit;
    }
    *key = value;
    return true;
}

size_t body_key_at(void) {
    return sizeof BODY_HEAD - 1;
}

void body_write(bytes *to, size_t size) {
    size_t start = to->len;
    bytes_add(to, BODY_HEAD, sizeof BODY_HEAD - 1);
    bytes_add(to, NO_KEY, KEY_DIGITS);
    bytes_add(to, BODY_MIDDLE, sizeof BODY_MIDDLE - 1);
    for (unsigned i = 0; to->len - start < size - 2; i++)
        bytes_add(to, &(char){(char)('a' + i % 26)}, 1);
    bytes_add(to, "\"}", 2);
}

bool body_same(const form *f, span body, uint64_t key) {
    size_t head = body_key_at(), rest = head + KEY_DIGITS;
    uint8_t digits[KEY_DIGITS];
    key_write(digits, key);
    return body.len == f->body.len && memcmp(body.at, f->body.at, head) == 0 &&
           memcmp(body.at + head, digits, KEY_DIGITS) == 0 &&
           memcmp(body.at + rest, f->body.at + rest, body.len - rest) == 0;
}

static size_t find(const bytes *in, span what, size_t from) {
    while (memcmp(in->at + from, what.at, what.len) != 0)
        from++;
    return from;
}

void form_mark(form *f, size_t from, const bytes *body) {
    size_t body_start = find(&f->wire, span_bytes(body), from);
    f->id_at = find(&f->wire, span_of(NO_KEY), from);
    f->body = (span){f->wire.at + body_start, body->len};
    f->body_at = body_start + body_key_at();
}

void form_fill(form *f, uint64_t id_key, uint64_t body_key) {
    key_write(f->wire.at + f->id_at, id_key);
    key_write(f->wire.at + f->body_at, body_key);
}

void form_free(form *f) {
    bytes_free(&f->wire);
}
