/* SPDX-License-Identifier: MIT
 * options.h: the command line of the load generator. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <sys/types.h>

#include "fault.h"

typedef struct options {
    const char *mode;
    const char *host; /* IPv4:PORT */
    const char *exec; /* first-answer: the host's command, words split at spaces */
    const char *ready; /* first-answer: what it prints before its address; NULL = "listening " */
    const char *protocol;
    const char *tls_ca; /* PEM; NULL = no TLS */
    pid_t pid;        /* of the host, for its CPU and memory; 0 = unknown */
    double seconds, warmup, timeout;
    unsigned long count; /* of answers or deliveries; 0 = by time */
    unsigned outstanding, requesters, responders;
    unsigned subscribers, inflight;
    unsigned connections, beside, types;
    size_t size;
    enum fault_kind fault;
    bool packed, same_ids, bare, pretty;
} options;

/* false = there was a mistake, said on standard error. */
bool options_read(options *o, int count, char **words);

void options_help(void);

#endif
