/* SPDX-License-Identifier: MIT
 * options.c: reads the command line into options.h. To add an option, add a row to `table`, a case to
 * `take` and a line to the help. */
#include "options.h"

#include <getopt.h>

#include "message.h"

enum { OPT_HOST = 256, OPT_PID, OPT_SECONDS, OPT_COUNT, OPT_WARMUP, OPT_TIMEOUT, OPT_OUTSTANDING, OPT_REQUESTERS,
       OPT_RESPONDERS, OPT_SUBSCRIBERS, OPT_INFLIGHT, OPT_CONNECTIONS, OPT_SIZE, OPT_FAULT, OPT_PACKED, OPT_SAME_IDS,
       OPT_BESIDE, OPT_TYPES, OPT_PROTOCOL, OPT_TLS, OPT_READY, OPT_BARE, OPT_PRETTY, OPT_EXEC, OPT_HELP };

static const struct option table[] = {
    {"host", 1, NULL, OPT_HOST},
    {"pid", 1, NULL, OPT_PID},
    {"seconds", 1, NULL, OPT_SECONDS},
    {"count", 1, NULL, OPT_COUNT},
    {"warmup", 1, NULL, OPT_WARMUP},
    {"timeout", 1, NULL, OPT_TIMEOUT},
    {"outstanding", 1, NULL, OPT_OUTSTANDING},
    {"requesters", 1, NULL, OPT_REQUESTERS},
    {"responders", 1, NULL, OPT_RESPONDERS},
    {"subscribers", 1, NULL, OPT_SUBSCRIBERS},
    {"inflight", 1, NULL, OPT_INFLIGHT},
    {"connections", 1, NULL, OPT_CONNECTIONS},
    {"size", 1, NULL, OPT_SIZE},
    {"fault", 1, NULL, OPT_FAULT},
    {"packed", 0, NULL, OPT_PACKED},
    {"same-ids", 0, NULL, OPT_SAME_IDS},
    {"beside", 1, NULL, OPT_BESIDE},
    {"types", 1, NULL, OPT_TYPES},
    {"protocol", 1, NULL, OPT_PROTOCOL},
    {"tls", 1, NULL, OPT_TLS},
    {"ready", 1, NULL, OPT_READY},
    {"bare", 0, NULL, OPT_BARE},
    {"pretty", 0, NULL, OPT_PRETTY},
    {"exec", 1, NULL, OPT_EXEC},
    {"help", 0, NULL, OPT_HELP},
    {0},
};

void options_help(void) {
    puts("usage: load [--host IPv4:PORT] [--pid HOSTPID] [--pretty] MODE [option...]\n"
         "Drives a host of AutoGen's distributed runtime, or a NATS server, checks every answer, prints a line of JSON.\n"
         "\n"
         "  requests      [--outstanding N] [--size BYTES] [--requesters R] [--responders W] [--same-ids]\n"
         "                [--beside N]                  with N idle workers, each with a type and a subscription\n"
         "                [--beside N --types T]        each of those with T further types and subscriptions\n"
         "  events        [--subscribers N] [--inflight K] [--size BYTES]\n"
         "                [--beside N]                  as above\n"
         "                [--types T]                   further types of each subscriber, half of their subscriptions match\n"
         "  idle          [--connections N] [--bare]      memory per idle worker; needs --pid\n"
         "  first-answer  --exec 'COMMAND WORD...'        which prints `listening IPv4:PORT`\n"
         "                [--ready TEXT]                or TEXT IPv4:PORT, on standard error too\n"
         "\n"
         "  --seconds S   timed window (2)        --warmup S    before it (0.5)\n"
         "  --count N     so many answers or deliveries instead, without a warm-up (to count instructions)\n"
         "  --timeout S   without progress (10)   --pretty      for the eye instead of JSON\n"
         "  --size BYTES  of a body (64, at least 40)\n"
         "  --protocol P  grpc (as AutoGen's workers), or nats\n"
         "  --tls CAFILE  TLS 1.3, with a host whose certificate is signed by one in that file\n"
         "  --packed      many messages in a DATA frame (otherwise one, as gRPC's own libraries send)\n"
         "  --same-ids    all requesters use the same request ids, which a host must keep apart\n"
         "  --bare        idle workers register no type\n"
         "  --fault KIND  lose, double, reorder, corrupt or cross one message in 1000 on its way to the\n"
         "                checks, to see them fail\n"
         "Exits 0 when every check held, 1 when one failed, 2 on a mistake in the command line.");
}

static bool whole(const char *text, unsigned long from, unsigned long to, unsigned long *out) {
    char *end;
    *out = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *out >= from && *out <= to;
}

static bool count(const char *text, unsigned from, unsigned *out) {
    unsigned long value;
    bool good = whole(text, from, 65535, &value);
    *out = (unsigned)value;
    return good;
}

static bool duration(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && !*end && *out >= 0 && *out <= 86400;
}

static bool take(options *o, int option, const char *text) {
    unsigned long value = 0;
    bool good;
    switch (option) {
    case OPT_HOST: o->host = text; return true;
    case OPT_EXEC: o->exec = text; return true;
    case OPT_SECONDS: return duration(text, &o->seconds);
    case OPT_COUNT: return whole(text, 1, 1ul << 40, &o->count);
    case OPT_WARMUP: return duration(text, &o->warmup);
    case OPT_TIMEOUT: return duration(text, &o->timeout);
    case OPT_OUTSTANDING: return count(text, 1, &o->outstanding);
    case OPT_REQUESTERS: return count(text, 1, &o->requesters);
    case OPT_RESPONDERS: return count(text, 1, &o->responders);
    case OPT_SUBSCRIBERS: return count(text, 1, &o->subscribers);
    case OPT_INFLIGHT: return count(text, 1, &o->inflight);
    case OPT_CONNECTIONS: return count(text, 1, &o->connections);
    case OPT_BESIDE: return count(text, 1, &o->beside);
    case OPT_TYPES: return count(text, 1, &o->types);
    case OPT_PROTOCOL: o->protocol = text; return true;
    case OPT_TLS: o->tls_ca = text; return true;
    case OPT_READY: o->ready = text; return true;
    case OPT_FAULT: return fault_named(text, &o->fault);
    case OPT_PACKED: return o->packed = true;
    case OPT_SAME_IDS: return o->same_ids = true;
    case OPT_BARE: return o->bare = true;
    case OPT_PRETTY: return o->pretty = true;
    case OPT_PID:
        good = whole(text, 1, 1ul << 30, &value);
        o->pid = (pid_t)value;
        return good;
    case OPT_SIZE:
        good = whole(text, BODY_MIN, 4000000, &value);
        o->size = value;
        return good;
    default: return false;
    }
}

bool options_read(options *o, int argc, char **words) {
    int option, row = 0;
    *o = (options){.seconds = 2, .warmup = 0.5, .timeout = 10, .outstanding = 64, .requesters = 1,
                   .responders = 1, .subscribers = 1, .inflight = 64, .connections = 1000, .size = 64, .protocol = "grpc"};
    while ((option = getopt_long(argc, words, "", table, &row)) != -1) {
        if (option == OPT_HELP) {
            options_help();
            exit(0);
        }
        if (option == '?')
            return false;
        if (!take(o, option, optarg)) {
            fprintf(stderr, "load: --%s: cannot be %s\n", table[row].name, optarg);
            return false;
        }
    }
    if (optind != argc - 1) {
        fputs("load: one mode is needed: requests, events, idle or first-answer (--help)\n", stderr);
        return false;
    }
    o->mode = words[optind];
    return true;
}
