/* SPDX-License-Identifier: MIT
 * bytes.h: a growable byte buffer and a borrowed slice of bytes, for the load generator.
 *
 * Memory that cannot be had ends the program: a generator has nothing better to do. */
#ifndef BENCH_BYTES_H
#define BENCH_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bytes {
    uint8_t *at;
    size_t len, cap;
} bytes;

/* Borrowed: valid as long as what it points into. */
typedef struct span {
    const uint8_t *at;
    size_t len;
} span;

static inline void *must(void *memory) {
    if (!memory) {
        fputs("load: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

/* Makes room for `more` bytes behind what is there; returns where they go. */
static inline uint8_t *bytes_room(bytes *b, size_t more) {
    if (b->cap - b->len < more) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        while (cap - b->len < more)
            cap *= 2;
        b->at = must(realloc(b->at, cap));
        b->cap = cap;
    }
    return b->at + b->len;
}

static inline void bytes_add(bytes *b, const void *data, size_t len) {
    if (len)
        memcpy(bytes_room(b, len), data, len);
    b->len += len;
}

static inline void bytes_free(bytes *b) {
    free(b->at);
    *b = (bytes){0};
}

static inline span span_of(const char *text) {
    return (span){(const uint8_t *)text, strlen(text)};
}

static inline span span_bytes(const bytes *b) {
    return (span){b->at, b->len};
}

static inline int span_same(span a, span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
