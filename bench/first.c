/* SPDX-License-Identifier: MIT
 * first.c: from the start of a host's process to its first answer, a GetSubscriptions.
 *
 * The host is started without a shell; the line `listening ADDRESS` on its standard output says
 * where to connect. It is ended with SIGTERM, and SIGKILL where that is not enough. */
#include <signal.h>

#include "gauge.h"
#include "modes.h"
#include "protocol.h"

enum { WORDS = 64, KILL_MS = 5000 };

typedef struct run {
    engine *engine;
    uv_process_t process;
    const char *ready;       /* what it prints before its address */
    uv_pipe_t pipe, errors;  /* what it prints; the second one only where `ready` was told */
    uv_timer_t timer;
    conn conn;
    char line[512];
    size_t line_len;
    uint64_t began, listening, answered, cpu;
    bool running, opened;
} run;

static void on_up(conn *l) {
    l->engine->protocol->probe(l);
}

static void on_answer(conn *l, int status) {
    run *u = l->owner;
    u->answered = uv_hrtime();
    gauge_cpu(u->process.pid, &u->cpu);
    if (status != 0)
        engine_fail(l->engine, "first call: status %d, %s", status, l->text);
    engine_stop(l->engine);
}

static void on_message(conn *l, span wire) {
    (void)l;
    (void)wire;
}

static void found(run *u, const char *address) {
    static const conn_events events = {on_up, on_message, on_answer};
    u->listening = uv_hrtime();
    if (engine_target(u->engine, address)) {
        conn_open(&u->conn, u->engine, "bench-first", &events, u);
        u->opened = true;
        return;
    }
    engine_fail(u->engine, "listening where? %s", address);
    engine_stop(u->engine);
}

static void on_char(run *u, char c) {
    if (c != '\n') {
        if (u->line_len < sizeof u->line - 1)
            u->line[u->line_len++] = c;
        return;
    }
    u->line[u->line_len] = 0;
    u->line_len = 0;
    const char *at = u->opened ? NULL : strstr(u->line, u->ready);
    if (at)
        found(u, at + strlen(u->ready));
}

static void on_output(uv_stream_t *stream, ssize_t got, const uv_buf_t *buffer) {
    run *u = stream->data;
    if (got < 0)
        uv_read_stop(stream);
    for (ssize_t i = 0; i < got; i++)
        on_char(u, buffer->base[i]);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    run *u = handle->data;
    (void)suggested;
    *buffer = uv_buf_init((char *)u->engine->in, ENGINE_IN);
}

static void on_exit_of_host(uv_process_t *process, int64_t status, int signal) {
    run *u = process->data;
    u->running = false;
    if (!u->answered)
        engine_fail(u->engine, "the host ended first: exit %d, signal %d", (int)status, signal);
    engine_stop(u->engine);
}

static void on_late(uv_timer_t *timer) {
    run *u = timer->data;
    if (!u->answered)
        engine_fail(u->engine, "no answer in time");
    else if (u->running)
        uv_process_kill(&u->process, SIGKILL);
    engine_stop(u->engine);
}

static bool spawn(run *u, const char *command, bool both) {
    static char copy[4096];
    char *words[WORDS + 1];
    int count = 0;
    snprintf(copy, sizeof copy, "%s", command);
    for (char *word = strtok(copy, " "); word && count < WORDS; word = strtok(NULL, " "))
        words[count++] = word;
    words[count] = NULL;
    uv_stdio_container_t io[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&u->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    if (both)
        io[2] = (uv_stdio_container_t){.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&u->errors};
    uv_process_options_t setup = {.file = words[0], .args = words, .stdio = io, .stdio_count = 3,
                                  .exit_cb = on_exit_of_host};
    u->began = uv_hrtime();
    int failed = count ? uv_spawn(&u->engine->loop, &u->process, &setup) : UV_EINVAL;
    if (failed)
        engine_fail(u->engine, "%s: %s", command, uv_strerror(failed));
    return !failed;
}

/* Ends the host and closes what is open. */
static void finish(run *u) {
    u->engine->ending = true;
    conn_close(&u->conn);
    if (u->running) {
        uv_process_kill(&u->process, SIGTERM);
        uv_timer_start(&u->timer, on_late, KILL_MS, 0);
        while (u->running)
            engine_run(u->engine);
    }
    uv_close((uv_handle_t *)&u->process, NULL);
    uv_close((uv_handle_t *)&u->pipe, NULL);
    uv_close((uv_handle_t *)&u->errors, NULL);
    uv_close((uv_handle_t *)&u->timer, NULL);
    engine_run(u->engine);
}

void first_mode(engine *e, const options *o, report *r) {
    static run u;
    u = (run){.engine = e, .ready = o->ready ? o->ready : "listening "};
    u.process.data = u.pipe.data = u.errors.data = u.timer.data = &u;
    uv_pipe_init(&e->loop, &u.pipe, 0);
    uv_pipe_init(&e->loop, &u.errors, 0);
    uv_timer_init(&e->loop, &u.timer);
    uv_timer_start(&u.timer, on_late, (uint64_t)(o->timeout * 1000), 0);
    u.running = spawn(&u, o->exec, o->ready != NULL);
    if (u.running) {
        uv_read_start((uv_stream_t *)&u.pipe, give_buffer, on_output);
        if (o->ready)
            uv_read_start((uv_stream_t *)&u.errors, give_buffer, on_output);
        engine_run(e);
    }
    if (u.answered) {
        report_number(r, "listening_ms", (double)(u.listening - u.began) / 1e6, 2, "ms");
        report_number(r, "answer_ms", (double)(u.answered - u.began) / 1e6, 2, "ms");
        report_number(r, "host_cpu_ms", (double)u.cpu / 1e6, 2, "ms");
    }
    finish(&u);
}
