/* SPDX-License-Identifier: MIT
 * What the files of the program share: verbs, their options, how errors are told.
 * The program is thin: whatever an embedder could want too belongs into the library. */
#ifndef TR_CLI_CLI_H
#define TR_CLI_CLI_H

#include <stdarg.h>
#include <stdio.h>

#include "runtime/runtime.h"
#include "troupe.h"

struct cli_args;

/* Exit statuses. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* One option: "--name VALUE" or "--name=VALUE", or "--name" where argument is NULL. */
typedef struct cli_option {
  const char *name;        /* without dashes */
  char letter;             /* short form, or 0 */
  const char *argument;    /* "ADDRESS"; NULL: takes none; "ADDRESS…": it may be given several times (cli_get_all) */
  const char *help;
  const char *environment; /* name of a variable that stands in for it, or NULL */
} cli_option;

typedef struct cli_verb {
  const char *name;
  const char *usage;             /* what follows the name */
  const char *summary;           /* one line; NULL: not for people, in no help */
  const char *example;           /* lines, each a command */
  const cli_option *options;     /* ends with a NULL name */
  int minimum, maximum;          /* positional arguments; maximum -1: any number */
  int (*run)(const struct cli_verb *verb, struct cli_args *args);
} cli_verb;

#define CLI_OPTIONS_MAX 48
#define CLI_REPEATS_MAX 64 /* of options that may be given several times, together */
typedef struct cli_args {
  struct { int option; const char *value; } repeats[CLI_REPEATS_MAX];
  int repeat_count;
  const char *value[CLI_OPTIONS_MAX]; /* by index into verb->options; NULL: not given ("" for one without argument) */
  const char **words;                 /* positional */
  int count;
  const char **rest;                  /* after -- */
  int rest_count;
  int taken;                          /* the last option that took the word behind it, + 1; 0: none */
} cli_args;

/* options.c: read argv (after the verb). 0, or an exit status with the error told. -1: --help was printed. */
int cli_parse(const cli_verb *verb, int argc, char **argv, cli_args *args);
const char *cli_get(const cli_verb *verb, const cli_args *args, const char *name); /* NULL: not given */
/* Each time it was given, in order: the values, `most` at most; or what the environment has. Returns how many there are. */
int cli_get_all(const cli_verb *verb, const cli_args *args, const char *name, const char **out, int most);
/* A number of seconds ≥ 0 as µs; `fallback` if not given. False: told as usage error. */
bool cli_seconds(const cli_verb *verb, const cli_args *args, const char *name, tr_time fallback, tr_time *out);
/* A size: "4M", "512K", "100". */
bool cli_size(const cli_verb *verb, const cli_args *args, const char *name, uint64_t fallback, uint64_t *out);
void cli_help(const cli_verb *verb, FILE *out);
void cli_help_all(FILE *out);
int cli_columnless(const char *text); /* bytes that take no column of their own: printf counts them */
extern const cli_verb *const cli_verbs[]; /* ends with NULL */

/* shown.c: a text with its control characters, but line ends and tabs, as \x1b. */
void cli_put_shown(FILE *out, const char *text, size_t length);
void cli_print_shown(FILE *out, const char *format, va_list args); /* 8 KB at most */
void cli_put_json_shown(const char *json, size_t length); /* on standard output, as \u001b: it is the same JSON */
/* tell.c: "troupe: what: why" on standard error. Returns status. */
int cli_fail(int status, const char *what, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;
/* columns.c: how many columns of a terminal the character at text has; *length: and bytes, of n (at least 1). */
int cli_width(const char *text, size_t n, size_t *length);
bool cli_coloured(int fd); /* a terminal, which shows colours, and whose user wants some (NO_COLOR) */
/* A runtime whose log goes to standard error and whose print goes to standard output. NULL: told. */
troupe_t *cli_runtime(const char *log_level, unsigned threads);
/* The same with another log; cli_log is the usual one. */
typedef void (*cli_log_fn)(void *ud, troupe_log_level level, const char *event, const char *text);
troupe_t *cli_runtime_logged(const char *log_level, unsigned threads, cli_log_fn log, void *ud);
void cli_log(void *ud, troupe_log_level level, const char *event, const char *text);
/* --allow RIGHT…: CLI_OK, or told. */
int cli_allow_all(troupe_t *rt, const cli_verb *verb, const cli_args *args);
#define CLI_ALLOW_OPTION { "allow", 0, "RIGHT…", "let scripts do this: launch, net=HOST:PORT, fs.read=PATH, fs.write=PATH, env=NAME, exec=PROGRAM, listen=ADDRESS, luv; may be given several times", NULL }
/* ": TYPE, TYPE" and the line's end: the agent types of this process. */
void cli_print_types(troupe_t *rt);
/* socket.c: a running process's operator's socket is opened (in the log if it cannot be); and those there are, sorted. */
#define CLI_SOCKET_MAX 90
void cli_open_socket(troupe_t *rt);
int cli_find_running(long *pids, int most, char *folder);
/* --protobuf FILE,…: descriptor sets into the runtime. CLI_OK, or told. */
int cli_protobuf(const cli_verb *verb, const cli_args *args, troupe_t *rt);
#define CLI_PROTOBUF_OPTION { "protobuf", 0, "FILE,…", "message types: descriptor sets of protoc --include_imports --descriptor_set_out", NULL }
/* secure.c: what the options below say, into the runtime. CLI_OK, or told. */
int cli_secure(const cli_verb *verb, const cli_args *args, troupe_t *rt);
#define CLI_TLS_OPTIONS                                                                                                     \
  { "tls-cert", 0, "FILE", "our certificate (PEM): for tls: listeners, and for hosts that ask for one", "TROUPE_TLS_CERT" }, \
  { "tls-key", 0, "FILE", "its key", "TROUPE_TLS_KEY" },                                                                    \
  { "tls-ca", 0, "FILE", "whose certificates are believed of hosts (the system's)", "TROUPE_TLS_CA" },                                 \
  { "token-file", 0, "FILE", "a token to show to hosts; TROUPE_TOKEN is one itself", "TROUPE_TOKEN_FILE" }
/* Of verbs that have agents, or speak for some. */
#define CLI_SIGN_OPTIONS                                                                                                    \
  { "sign-key", 0, "FILE", "sign what leaves this process (troupe cert sign NAME makes a key)", "TROUPE_SIGN_KEY" },         \
  { "verify-keys", 0, "FILE", "take only requests and events that are signed by one of these", "TROUPE_VERIFY_KEYS" }
#define CLI_LISTEN_OPTIONS                                                                                                  \
  { "tls-client-ca", 0, "FILE", "who joins by TLS needs a certificate signed by one of these", "TROUPE_TLS_CLIENT_CA" },      \
  { "tokens", 0, "FILE", "whose tokens are taken: lines NAME TOKEN, or NAME sha256:HEX", "TROUPE_TOKENS" },                   \
  { "rights", 0, "FILE", "who may register, publish, subscribe and call what (everything)", "TROUPE_RIGHTS" },                \
  { "operators", 0, "WHAT", "let who comes from this machine, or is known, observe, operate or evaluate by --host (nobody)", NULL }, \
  { "insecure", 0, NULL, "listen in plaintext where other machines reach it, too", NULL }
/* files.c: fn for each file that the words name, and each *.lua directly in a folder, until it returns other than CLI_OK. */
typedef int (*cli_file_fn)(const char *path, void *ud);
int cli_each_file(const cli_verb *verb, const cli_args *args, cli_file_fn fn, void *ud);
/* Load them all, what follows -- as the chunks' arguments. CLI_OK, or told. */
int cli_load_all(troupe_t *rt, const cli_verb *verb, const cli_args *args);
/* Where AutoGen's hosts listen by default. */
#define CLI_DEFAULT_ADDRESS "127.0.0.1:50051"

/* One verb a line, as in main.c. */
extern const cli_verb
  cli_run,
  cli_dev_verb,
  cli_host,
  cli_worker,
  cli_call,
  cli_publish,
  cli_subscribe,
  cli_ps,
  cli_state,
  cli_reload,
  cli_drain,
  cli_stop,
  cli_letters,
  cli_top,
  cli_inspect,
  cli_trace,
  cli_break,
  cli_repl,
  cli_doctor,
  cli_check,
  cli_new,
  cli_cert,
  cli_tunnel,
  cli_test,
  cli_replay,
  cli_launched;

#endif
