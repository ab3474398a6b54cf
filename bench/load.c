/* SPDX-License-Identifier: MIT
 * load.c: a load generator for hosts of AutoGen's distributed runtime (agents.AgentRpc, gRPC), and for NATS servers.
 *
 * It drives any host of the protocol and shares no code with troupe's, so what it measures of two
 * hosts can be compared, and a mistake of one is not hidden by the same mistake here. Every reply
 * and every delivery is checked; a run in which a check failed exits 1.
 *
 * Read in this order: options.h, engine.h (the loop), conn.h (a socket), protocol.h (what is said on it), worker.h (a client as
 * AutoGen's workers are), message.h (what is sent, and how it is recognised), ask.h (requests and
 * echoes), window.h (what is timed); then the modes: requests.c, events.c, idle.c, first.c.
 *
 * To add a mode, write its file, declare it in modes.h and add it to the table below. */
#include <signal.h>
#include <sys/resource.h>

#include "modes.h"
#include "protocol.h"
#include "tls.h"

static const struct mode {
    const char *name;
    void (*run)(engine *, const options *, report *);
} modes[] = {
    {"requests", requests_mode},
    {"events", events_mode},
    {"idle", idle_mode},
    {"first-answer", first_mode},
};

static const struct mode *find_mode(const char *name) {
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}

/* What a mode needs that its options' defaults do not give; NULL = all is there. */
static const char *missing(const options *o) {
    bool first = strcmp(o->mode, "first-answer") == 0;
    if (!find_mode(o->mode))
        return "no such mode (--help)";
    if (first && !o->exec)
        return "first-answer needs --exec 'COMMAND'";
    if (!first && !o->host)
        return "--host IPv4:PORT is needed";
    if (strcmp(o->mode, "idle") == 0 && !o->pid)
        return "idle needs --pid of the host";
    return NULL;
}

/* Thousands of connections need as many file descriptors. */
static void raise_limits(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv) {
    static engine e;
    options o;
    if (!options_read(&o, argc, argv))
        return 2;
    const char *lack = missing(&o);
    const protocol *speaks = protocol_named(o.protocol);
    if (!speaks)
        lack = "no such protocol (grpc, nats)";
    engine_init(&e);
    if (!lack && o.host && !engine_target(&e, o.host))
        lack = "--host is not IPv4:PORT";
    if (!lack && o.tls_ca && !(e.tls = tls_new(o.tls_ca, speaks->alpn)))
        lack = "--tls: no certificate can be read from that file";
    if (lack) {
        fprintf(stderr, "load: %s\n", lack);
        return 2;
    }
    raise_limits();
    e.timeout = o.timeout;
    e.protocol = speaks;
    e.packed = o.packed;
    report r = {.pretty = o.pretty};
    report_text(&r, "mode", o.mode);
    find_mode(o.mode)->run(&e, &o, &r);
    report_number(&r, "errors", (double)e.errors, 0, "");
    if (e.errors)
        report_text(&r, "error", e.error);
    report_end(&r);
    engine_free(&e);
    return e.errors ? 1 : 0;
}
