/* SPDX-License-Identifier: MIT
 * engine.c: the loop of the generator. See engine.h.
 *
 * Nothing is written where it is made: it is queued, the connection is put on the dirty list, and
 * all that a turn of the loop has made leaves in one write each, just before the loop sleeps. */
#include "engine.h"

#include <arpa/inet.h>
#include <stdarg.h>

#include "conn.h"
#include "tls.h"

static void flush_dirty(uv_prepare_t *prepare) {
    engine *e = prepare->data;
    while (e->dirty) {
        conn *l = e->dirty;
        e->dirty = l->next_dirty;
        l->dirty = false;
        conn_flush(l);
    }
}

void engine_init(engine *e) {
    *e = (engine){0};
    uv_loop_init(&e->loop);
    uv_prepare_init(&e->loop, &e->prepare);
    e->prepare.data = e;
    uv_prepare_start(&e->prepare, flush_dirty);
    uv_unref((uv_handle_t *)&e->prepare); /* alone it does not keep the loop running */
    e->in = must(malloc(ENGINE_IN));
    e->out = must(malloc(ENGINE_OUT));
    e->now = uv_hrtime();
}

void engine_free(engine *e) {
    uv_close((uv_handle_t *)&e->prepare, NULL);
    uv_run(&e->loop, UV_RUN_DEFAULT);
    uv_loop_close(&e->loop);
    tls_free(e->tls);
    free(e->in);
    free(e->out);
}

bool engine_target(engine *e, const char *address) {
    char ip[40];
    const char *colon = strrchr(address, ':');
    if (!colon || (size_t)(colon - address) >= sizeof ip)
        return false;
    memcpy(ip, address, (size_t)(colon - address));
    ip[colon - address] = 0;
    int port = atoi(colon + 1);
    if (port < 1 || port > 65535)
        return false;
    snprintf(e->authority, sizeof e->authority, "%s", address);
    return uv_ip4_addr(strcmp(ip, "localhost") == 0 ? "127.0.0.1" : ip, port, &e->address) == 0;
}

void engine_run(engine *e) {
    uv_run(&e->loop, UV_RUN_DEFAULT);
}

void engine_stop(engine *e) {
    uv_stop(&e->loop);
}

void engine_fail(engine *e, const char *format, ...) {
    va_list list;
    if (e->errors++ > 0)
        return;
    va_start(list, format);
    vsnprintf(e->error, sizeof e->error, format, list);
    va_end(list);
}
