/* SPDX-License-Identifier: MIT
 * The verbs that stay: run, host, worker. They differ only in which doors they open; the files, the ready lines, the signals and the
 * end are the same. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "runtime/record.h"

#define COMMON_OPTIONS                                                                                              \
  { "threads", 0, "N", "so many threads share the agents (1)", "TROUPE_THREADS" },                                             \
  { "compress", 0, "SIZE", "gzip messages of so many bytes and more, to hosts and workers that take it (none)", NULL }, \
  { "drain", 0, "S", "seconds to finish what is queued when told to stop (3)", NULL },                              \
  { "log", 0, "LEVEL", "error, warn, info or debug (info)", "TROUPE_LOG" }
#define RECORD_OPTIONS                                                                                              \
  { "record", 0, "FILE", "keep what agents receive and send in FILE, for troupe replay; what was there is FILE.old", NULL }, \
  { "record-limit", 0, "SIZE", "the record ends at so many bytes (256M)", NULL }
#define WATCH_OPTION { "watch", 'w', NULL, "reload a script when its file changes; state stays", NULL }
#define HOST_OPTION { "host", 0, "ADDRESS…", "join this host (" CLI_DEFAULT_ADDRESS "); may be given several times", "TROUPE_HOST" }
#define SHARED_OPTION { "shared", 0, "TYPE,…", "several workers may have these agent types, and share their ids (troupe's say so by `shared`)", NULL }
#define HOST_OPTIONS                                                                                                \
  SHARED_OPTION,                                                                                                    \
  { "grace", 0, "S", "keep a lost worker's registrations so long for its return (30)", NULL },                      \
  { "call-timeout", 0, "S", "answer a foreign worker's request with an error after so long; 0: never (600)", NULL }, \
  { "max-message", 0, "SIZE", "largest message (4M)", NULL },                                                       \
  { "session-bytes", 0, "SIZE", "queued for one slow receiver at most (64M)", NULL },                               \
  { "slow-consumer", 0, "WHAT", "what does not fit that: drop (dead letters, `overloaded`) or block (its senders; drop)", NULL }, \
  { "retain", 0, "TOPIC=N…", "keep the last N events of this topic for who subscribes later; may be given several times", NULL }, \
  { "json-only", 0, "TYPE,…", "workers of these agent types get JSON, of types that --protobuf brought", NULL },    \
  { "protobuf-only", 0, "TYPE,…", "workers of these agent types get protobuf (.NET's always do)", NULL }

/* ---- doors ---- */

typedef struct host { troupe_t *rt; bool told; } host;

/* "joined 127.0.0.1:50051: worker1, worker2", once a host: what comes later is in the log. */
static void on_uplink(void *ud, tr_uplink *uplink, tr_worker_state state, const char *reason) {
  host *self = ud;
  troupe_t *rt = self->rt;
  (void)reason;
  if (state != TR_WORKER_JOINED || self->told) return;
  self->told = true;
  printf("joined %s", tr_uplink_address(uplink));
  cli_print_types(rt);
  fflush(stdout);
}

static int retain_all(troupe_t *rt, const cli_verb *verb, const cli_args *args) {
  const char *rules[CLI_REPEATS_MAX];
  int n = cli_get_all(verb, args, "retain", rules, CLI_REPEATS_MAX);
  for (int i = 0; i < n; i++) {
    const char *equals = strrchr(rules[i], '=');
    char *end = NULL;
    long count = equals ? strtol(equals + 1, &end, 10) : 0;
    if (!equals || end == equals + 1 || *end || count <= 0 || count > INT32_MAX)
      return cli_fail(CLI_USAGE, verb->name, "--retain: expected TOPIC=N, got \"%s\"", rules[i]);
    tr_error error;
    tr_error_init(&error);
    if (tr_host_retain(tr_runtime_host(rt), tr_slice_make(rules[i], (size_t)(equals - rules[i])), (uint32_t)count, &error))
      return cli_fail(CLI_USAGE, verb->name, "--retain: %s", error.text);
  }
  return CLI_OK;
}

/* AutoGen's workers want the address in two forms; Python's have no TLS. */
static void tell_forms(troupe_t *rt, const char *bound) {
  const tr_log *log = tr_core_log(tr_runtime_core(rt));
  if (strncmp(bound, "unix:", 5) == 0) return;
  if (strncmp(bound, "tls:", 4) == 0) tr_log_write(log, TR_LOG_INFO, "listening", "dotnet=https://%s", bound + 4);
  else tr_log_write(log, TR_LOG_INFO, "listening", "python=%s dotnet=http://%s", bound, bound);
}

/* Of a host without a file of rights. */
static bool read_operators(const cli_verb *verb, const cli_args *args, tr_right *out) {
  const char *what = cli_get(verb, args, "operators");
  if (!what) return true;
  for (tr_right right = TR_RIGHT_OBSERVE; right <= TR_RIGHT_EVALUATE; right++)
    if (strcmp(what, tr_right_name(right)) == 0) *out = right;
  if (*out && !cli_get(verb, args, "rights")) return true;
  cli_fail(CLI_USAGE, verb->name, *out ? "--operators: with --rights, that file says who may (observe, operate, evaluate = yes)"
                                       : "--operators: expected observe, operate or evaluate, got \"%s\"", what);
  return false;
}

static int listen_at(troupe_t *rt, const cli_verb *verb, const cli_args *args, const char *const *addresses, int count) {
  tr_host_options options = { 0 };
  uint64_t max_message;
  if (!cli_seconds(verb, args, "grace", 0, &options.grace) ||
      !cli_seconds(verb, args, "call-timeout", -1, &options.call_timeout) ||
      !cli_size(verb, args, "max-message", 0, &max_message) ||
      !cli_size(verb, args, "session-bytes", 0, &options.session_bytes))
    return CLI_USAGE;
  const char *slow = cli_get(verb, args, "slow-consumer");
  if (slow && strcmp(slow, "drop") && strcmp(slow, "block"))
    return cli_fail(CLI_USAGE, verb->name, "--slow-consumer: expected drop or block, got \"%s\"", slow);
  if (!read_operators(verb, args, &options.operators)) return CLI_USAGE;
  options.block_senders = slow && strcmp(slow, "block") == 0;
  options.json_only = cli_get(verb, args, "json-only");
  options.protobuf_only = cli_get(verb, args, "protobuf-only");
  options.shared = cli_get(verb, args, "shared");
  if (max_message > UINT32_MAX / 2) return cli_fail(CLI_USAGE, verb->name, "--max-message: at most 2G");
  options.max_message = (uint32_t)max_message;
  if (cli_get(verb, args, "grace") && options.grace == 0) options.grace = 1; /* 0 asks for none; the option's 0 is its default */
  options.call_timeout = options.call_timeout < 0 ? 0 : options.call_timeout == 0 ? TR_NEVER : options.call_timeout;
  tr_runtime_set_host_options(rt, &options);
  for (int i = 0; i < count; i++) {
    const char *bound;
    if (troupe_listen(rt, addresses[i], &bound)) return cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt));
    printf("listening %s\n", bound);
    tell_forms(rt, bound);
  }
  int rc = retain_all(rt, verb, args);
  if (rc) return rc;
  fflush(stdout);
  return CLI_OK;
}

static int join_all(troupe_t *rt, const cli_verb *verb, host *hosts, const char *const *addresses, int count) {
  for (int i = 0; i < count; i++) {
    hosts[i].rt = rt;
    if (tr_runtime_connect(rt, addresses[i], true, 0, on_uplink, &hosts[i], NULL))
      return cli_fail(CLI_USAGE, verb->name, "--host: %s", troupe_error(rt));
  }
  return CLI_OK;
}

int cli_allow_all(troupe_t *rt, const cli_verb *verb, const cli_args *args) {
  const char *rights[CLI_REPEATS_MAX];
  int n = cli_get_all(verb, args, "allow", rights, CLI_REPEATS_MAX);
  for (int i = 0; i < n; i++)
    if (tr_runtime_allow(rt, rights[i])) return cli_fail(CLI_USAGE, verb->name, "--allow: %s", troupe_error(rt));
  return CLI_OK;
}

static int will_record(troupe_t *rt, const cli_verb *verb, const cli_args *args) {
  if (!cli_get(verb, args, "record") || tr_runtime_will_record(rt) == 0) return CLI_OK;
  return cli_fail(CLI_FAILED, verb->name, "--record: %s", troupe_error(rt));
}

static int record(troupe_t *rt, const cli_verb *verb, const cli_args *args) {
  tr_record_options options = { .path = cli_get(verb, args, "record"), .files = args->words, .file_count = args->count, .args = args->rest,
                                .arg_count = args->rest_count };
  if (!options.path) return CLI_OK;
  if (!cli_size(verb, args, "record-limit", 0, &options.limit)) return CLI_USAGE;
  return tr_runtime_record(rt, &options) ? cli_fail(CLI_FAILED, verb->name, "--record: %s", troupe_error(rt)) : CLI_OK;
}

/* ---- all three ---- */

/* Agents alone, with nobody who could send them anything: it ends at once, and that looks like a fault. It is one where none could be started. */
static int tell_if_nothing(troupe_t *rt, const cli_verb *verb) {
  troupe_stats_t stats = { .size = sizeof stats };
  troupe_get_stats(rt, &stats);
  if (stats.agents || stats.kept_states) return CLI_OK;
  if (stats.failures) return cli_fail(CLI_FAILED, verb->name, "it ends with no agent left, and %llu of its turns failed (see the log)", (unsigned long long)stats.failures);
  if (stats.turns == 0)
    fprintf(stderr, "troupe: %s: there was nothing to do: no program, no autostart, no door for others to come in by "
                    "(--listen ADDRESS, --host ADDRESS)\n", verb->name);
  return CLI_OK;
}

static int serve(const cli_verb *verb, cli_args *args, const char *listen_fallback, const char *fallback) {
  host hosts[CLI_REPEATS_MAX] = { { NULL, false } };
  const char *addresses[CLI_REPEATS_MAX];
  int host_count = cli_get_all(verb, args, "host", addresses, CLI_REPEATS_MAX);
  if (host_count == 0 && fallback) addresses[host_count++] = fallback;
  const char *listens[CLI_REPEATS_MAX];
  int listen_count = cli_get_all(verb, args, "listen", listens, CLI_REPEATS_MAX);
  if (listen_count == 0 && listen_fallback) listens[listen_count++] = listen_fallback;
  tr_time drain;
  if (!cli_seconds(verb, args, "drain", TR_SECONDS(3), &drain)) return CLI_USAGE;
  uint64_t threads, compress;
  if (!cli_size(verb, args, "compress", 0, &compress)) return CLI_USAGE;
  if (!cli_size(verb, args, "threads", 1, &threads)) return CLI_USAGE;
  if (threads > 64) return cli_fail(CLI_USAGE, verb->name, "--threads: at most 64");
  troupe_t *rt = cli_runtime(cli_get(verb, args, "log"), (unsigned)threads);
  if (!rt) return CLI_USAGE;
  tr_runtime_set_drain(rt, drain);
  tr_runtime_set_compress(rt, compress < UINT32_MAX ? (uint32_t)compress : UINT32_MAX);
  int rc = tr_runtime_signals(rt) ? cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt)) : CLI_OK;
  if (rc == CLI_OK) rc = cli_protobuf(verb, args, rt);
  if (rc == CLI_OK) rc = cli_secure(verb, args, rt);
  if (rc == CLI_OK) rc = cli_allow_all(rt, verb, args);
  if (rc == CLI_OK) rc = will_record(rt, verb, args);
  if (rc == CLI_OK) rc = cli_load_all(rt, verb, args);
  const char *state = cli_get(verb, args, "state");
  if (rc == CLI_OK && state && tr_runtime_set_state(rt, state))
    rc = cli_fail(CLI_FAILED, verb->name, "--state: %s", troupe_error(rt));
  if (rc == CLI_OK) rc = record(rt, verb, args);
  if (rc == CLI_OK) cli_open_socket(rt); /* who reads "listening" may ask by it at once */
  if (rc == CLI_OK && listen_count) rc = listen_at(rt, verb, args, listens, listen_count);
  if (rc == CLI_OK) rc = join_all(rt, verb, hosts, addresses, host_count);
  if (rc == CLI_OK && cli_get(verb, args, "watch") && tr_runtime_watch(rt))
    rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt));
  if (rc == CLI_OK) {
    rc = troupe_run(rt);
    if (rc >= 0 && !tr_runtime_stopping(rt)) { /* nothing can happen any more: it ends as by a signal */
      int nothing = tell_if_nothing(rt, verb);
      troupe_stop(rt, drain);
      rc = troupe_run(rt);
      if (rc == CLI_OK) rc = nothing;
    }
    if (rc < 0) rc = cli_fail(CLI_FAILED, verb->name, "%s", troupe_error(rt));
  }
  troupe_free(rt);
  return rc;
}

static int run_run(const cli_verb *verb, cli_args *args) {
  return serve(verb, args, NULL, NULL);
}
static int run_host(const cli_verb *verb, cli_args *args) {
  return serve(verb, args, CLI_DEFAULT_ADDRESS, NULL);
}
static int run_worker(const cli_verb *verb, cli_args *args) {
  return serve(verb, args, NULL, CLI_DEFAULT_ADDRESS);
}

static const cli_option run_options[] = {
  { "listen", 'l', "ADDRESS…", "be a host too: others join here (host:port, tls:host:port, unix:PATH; port 0: a free one); again for more", NULL },
  { "host", 0, "ADDRESS…", "join this host too; may be given several times", NULL },
  { "state", 0, "FILE", "restore the agents' states and mail from FILE at the start, save them to it at the end", NULL },
  CLI_ALLOW_OPTION, WATCH_OPTION, RECORD_OPTIONS, CLI_PROTOBUF_OPTION, CLI_TLS_OPTIONS, CLI_SIGN_OPTIONS, CLI_LISTEN_OPTIONS, HOST_OPTIONS, COMMON_OPTIONS, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option host_options[] = {
  { "listen", 'l', "ADDRESS…", "where to listen: host:port, tls:host:port or unix:PATH; port 0: a free one (" CLI_DEFAULT_ADDRESS "); again for more", NULL },
  CLI_PROTOBUF_OPTION, CLI_TLS_OPTIONS, CLI_SIGN_OPTIONS, CLI_LISTEN_OPTIONS, HOST_OPTIONS, COMMON_OPTIONS, { NULL, 0, NULL, NULL, NULL },
};
static const cli_option worker_options[] = { HOST_OPTION, CLI_ALLOW_OPTION, WATCH_OPTION, RECORD_OPTIONS, CLI_PROTOBUF_OPTION, CLI_TLS_OPTIONS, CLI_SIGN_OPTIONS, COMMON_OPTIONS, { NULL, 0, NULL, NULL, NULL } };

const cli_verb cli_run = {
  "run", "FILE|DIR… [-- ARG…]", "Run agents in this process, until their program returns or nothing can happen any more.",
  "  troupe run examples/hello/greeter.lua\n  troupe run --watch agents/ -- an-argument-for-the-scripts",
  run_options, 1, -1, run_run,
};
const cli_verb cli_host = {
  "host", "[--listen ADDRESS]", "Be a host: workers join, troupe's and AutoGen's; prints \"listening ADDRESS\".",
  "  troupe host --listen 127.0.0.1:50051\n  troupe host --listen unix:/tmp/troupe.sock --listen tls:0.0.0.0:50051 --tls-cert certs/host.pem --tls-key certs/host.key", host_options, 0, 0, run_host,
};
const cli_verb cli_worker = {
  "worker", "[--host ADDRESS] FILE|DIR… [-- ARG…]", "Run agents that join a host, troupe's or AutoGen's; prints \"joined ADDRESS: TYPE, …\".",
  "  troupe worker --host 127.0.0.1:50051 examples/hello/agent.lua -- worker1", worker_options, 1, -1, run_worker,
};
