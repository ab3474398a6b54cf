/* SPDX-License-Identifier: MIT
 * message.h: what is sent again and again, and how it is recognised.
 *
 * A *form* is the bytes of a message, made once, in which only a key of 16 hex digits changes. The key stands in the
 * id and in the body, so a reply or a delivery can be checked against what was sent, byte for byte. A body is the
 * same with every protocol. */
#ifndef BENCH_MESSAGE_H
#define BENCH_MESSAGE_H

#include <stdbool.h>

#include "bytes.h"

enum { KEY_DIGITS = 16, BODY_MIN = 40 };
enum message_kind { MESSAGE_REQUEST = 1, MESSAGE_RESPONSE = 2, MESSAGE_EVENT = 3 };

/* What was read; spans point into the bytes read. */
typedef struct message {
    enum message_kind kind;
    span inner;       /* an event as a whole, in the form that same_event() compares */
    span id;          /* of the request (whatever an answer has to name), or the event's */
    span target_type; /* of a request */
    span payload;     /* as it lay on the wire */
    span error;       /* of a response */
} message;

/* A message, ready to be sent but for its key. */
typedef struct form {
    bytes wire;
    size_t id_at;    /* the key in the id */
    size_t body_at;  /* the key in the body */
    size_t inner_at; /* what message.inner would be of it */
    span body;       /* the body's bytes, inside `wire` */
} form;

extern const char NO_KEY[]; /* stands where a key will */

/* Appends a body of `size` bytes with NO_KEY in it. */
void body_write(bytes *to, size_t size);
/* Where its key is. */
size_t body_key_at(void);
/* Is this the body that the form carries with `key`? */
bool body_same(const form *f, span body, uint64_t key);

/* A key of exactly 16 hex digits; false = something else. */
bool key_read(span id, uint64_t *key);

/* Writes `id_key` into the id and `body_key` into the body. */
void form_fill(form *f, uint64_t id_key, uint64_t body_key);
void form_free(form *f);
/* Notes where keys and body lie in f->wire: `body` begins behind `from`, the id's key at `from` or behind it. */
void form_mark(form *f, size_t from, const bytes *body);

#endif
