/* SPDX-License-Identifier: MIT
 * Signals of the program (the library installs none): SIGINT and SIGTERM drain and stop, a second one stops at once; SIGHUP reloads.
 * SIGPIPE is ignored: a closed socket is an error code. */
#include <signal.h>

#include "cli/cli.h"

typedef struct cli_signal { uv_signal_t handle; troupe_t *rt; tr_time drain; } cli_signal;

static cli_signal signals[3];
static bool signals_open;
static int stops; /* how often we were asked to stop */

static void on_stop(uv_signal_t *handle, int number) {
  cli_signal *entry = handle->data;
  tr_log_write(tr_runtime_log(entry->rt), TR_LOG_INFO, "stop", "signal=%s%s", number == SIGINT ? "SIGINT" : "SIGTERM",
               stops ? " (again: at once)" : "");
  troupe_stop(entry->rt, stops++ ? 0 : entry->drain);
}

static void on_hangup(uv_signal_t *handle, int number) {
  (void)number;
  cli_signal *entry = handle->data;
  int rc = troupe_reload(entry->rt, NULL);
  if (rc < 0)
    tr_log_write(tr_runtime_log(entry->rt), TR_LOG_ERROR, "reload.failed", "%s (the old version goes on)", troupe_error(entry->rt));
  else
    tr_log_write(tr_runtime_log(entry->rt), TR_LOG_INFO, "reload", "files=%d", rc);
}

int cli_signals(troupe_t *rt, tr_time drain) {
  static const int numbers[3] = { SIGINT, SIGTERM, SIGHUP };
  uv_loop_t *loop = tr_runtime_loop(rt);
  if (!loop) return cli_fail(CLI_FAILED, "start", "%s", troupe_error(rt));
  signal(SIGPIPE, SIG_IGN);
  for (int i = 0; i < 3; i++) {
    signals[i].rt = rt;
    signals[i].drain = drain;
    uv_signal_init(loop, &signals[i].handle);
    signals[i].handle.data = &signals[i];
    uv_signal_start(&signals[i].handle, numbers[i] == SIGHUP ? on_hangup : on_stop, numbers[i]);
    uv_unref((uv_handle_t *)&signals[i].handle);
  }
  signals_open = true;
  return CLI_OK;
}

void cli_signals_close(void) {
  if (!signals_open) return;
  signals_open = false;
  for (int i = 0; i < 3; i++) uv_close((uv_handle_t *)&signals[i].handle, NULL);
}
