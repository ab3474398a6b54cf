/* SPDX-License-Identifier: MIT
 * engine.h: the generator's one loop: clock, shared buffers, the connections that have something
 * to send, and the first thing that went wrong. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#include "bytes.h"

enum { ENGINE_IN = 256 * 1024, ENGINE_OUT = 256 * 1024 };

struct conn;

typedef struct engine {
    uv_loop_t loop;
    uv_prepare_t prepare;
    struct sockaddr_in address; /* of the host under test */
    char authority[64];
    const struct protocol *protocol;
    struct tls *tls; /* NULL = plaintext */
    struct conn *dirty; /* connections to flush before the loop sleeps */
    uint8_t *in, *out;  /* one read and one write buffer for all connections */
    uint64_t now;       /* ns; set when bytes come in, so a batch shares one reading */
    bool packed;        /* as many messages in a DATA frame as fit, not one */
    double timeout;     /* s without progress after which a run has failed */
    bool ending;        /* connections may close now without being missed */
    unsigned long errors;
    char error[256]; /* the first one */
} engine;

void engine_init(engine *e);
void engine_free(engine *e);

/* Sets where connections connect to; `address` is IPv4:PORT. false = it is not. */
bool engine_target(engine *e, const char *address);

/* Runs until engine_stop(). */
void engine_run(engine *e);
void engine_stop(engine *e);

/* Counts an error and keeps the text of the first. */
void engine_fail(engine *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
