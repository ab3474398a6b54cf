/* SPDX-License-Identifier: MIT
 * What the program says: errors and the log on standard error, what scripts print and what was asked for on standard output. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

int cli_fail(int status, const char *what, const char *format, ...) {
  va_list args;
  fflush(stdout);
  fprintf(stderr, "troupe: %s: ", what);
  va_start(args, format);
  cli_print_shown(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  return status;
}

bool cli_coloured(int fd) {
  const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(fd) && !(none && *none) && term && *term && strcmp(term, "dumb") != 0;
}

static const char *colour(troupe_log_level level) {
  static const char *const colours[] = { "\033[31m", "\033[33m", "\033[36m", "\033[2m" };
  return cli_coloured(STDERR_FILENO) ? colours[level] : "";
}

void cli_log(void *ud, troupe_log_level level, const char *event, const char *text) {
  (void)ud;
  if (level == TROUPE_LOG_PRINT) {
    fputs(text, stdout);
    fputc('\n', stdout);
    fflush(stdout); /* whoever reads the pipe acts on each line */
    return;
  }
  const char *begin = colour(level);
  fprintf(stderr, "%s%s%s %s %s\n", begin, tr_log_level_name((tr_log_level)level), *begin ? "\033[0m" : "", event, text);
}

troupe_t *cli_runtime(const char *log_level, unsigned threads) { return cli_runtime_logged(log_level, threads, cli_log, NULL); }

troupe_t *cli_runtime_logged(const char *log_level, unsigned threads, cli_log_fn log, void *ud) {
  static char program[4096];
  troupe_options_t options = { .size = sizeof options, .log = log, .userdata = ud, .log_level = TROUPE_LOG_INFO, .threads = threads,
                               .program = tr_runtime_own_program(program, sizeof program) };
  static const char *const levels[] = { "error", "warn", "info", "debug" };
  if (log_level) {
    int level = -1;
    for (int i = 0; i < 4; i++)
      if (strcmp(log_level, levels[i]) == 0) level = i;
    if (level < 0) {
      cli_fail(CLI_USAGE, "--log", "\"%s\" is none of error, warn, info, debug", log_level);
      return NULL;
    }
    options.log_level = (troupe_log_level)level;
  }
  troupe_t *rt;
  int rc = troupe_new(&rt, &options);
  if (rc) cli_fail(CLI_FAILED, "start", "%s", troupe_error_name(rc));
  return rt;
}

void cli_print_types(troupe_t *rt) {
  const tr_router *router = tr_core_router(tr_runtime_core(rt));
  const char *between = ":";
  for (tr_route_type *type = NULL; (type = tr_router_next_type(router, tr_core_local(tr_runtime_core(rt)), type));) {
    printf("%s %s", between, type->name->text);
    between = ",";
  }
  if (*between == ':') putchar(':'); /* there is none */
  putchar('\n');
}

int cli_protobuf(const cli_verb *verb, const cli_args *args, troupe_t *rt) {
  const char *text = cli_get(verb, args, "protobuf");
  while (text && *text) {
    char path[4096];
    size_t n = strcspn(text, ",");
    if (n >= sizeof path) return cli_fail(CLI_USAGE, verb->name, "--protobuf: a path of %zu bytes", n);
    memcpy(path, text, n);
    path[n] = 0;
    if (n && tr_runtime_protobuf_file(rt, path)) return cli_fail(CLI_FAILED, verb->name, "--protobuf: %s", troupe_error(rt));
    text += n + (text[n] == ',');
  }
  return CLI_OK;
}
