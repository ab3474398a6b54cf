/* SPDX-License-Identifier: MIT
 * Signals, for the program alone (the library installs none unless it is told to here): SIGINT and SIGTERM drain and
 * stop, a second one stops at once; SIGHUP reloads. SIGPIPE is ignored: a closed socket is an error code. */
#include <signal.h>

#include "runtime/secure.h"

#define SIGNALS 3

typedef struct tr_signals {
  troupe_t *rt;
  uv_signal_t handles[SIGNALS];
  int stops; /* how often we were asked to */
  int open;
} tr_signals;

static void on_stop(uv_signal_t *handle, int number) {
  tr_signals *signals = handle->data;
  troupe_t *rt = signals->rt;
  if (number == SIGINT && !signals->stops && rt->on_interrupt && rt->on_interrupt(rt->on_stop_ud)) return;
  tr_log_write(&rt->log, TR_LOG_INFO, "stop", "signal=%s%s", number == SIGINT ? "SIGINT" : "SIGTERM",
               signals->stops ? " (again: at once)" : "");
  if (rt->on_stop) rt->on_stop(rt->on_stop_ud);
  troupe_stop(rt, signals->stops++ ? 0 : rt->drain);
}

static void on_hangup(uv_signal_t *handle, int number) {
  troupe_t *rt = ((tr_signals *)handle->data)->rt;
  (void)number;
  tr_runtime_reload_changed(rt);
  tr_secure_reload(rt);
}

int tr_runtime_signals(troupe_t *rt) {
  static const int numbers[SIGNALS] = { SIGINT, SIGTERM, SIGHUP };
  int rc = tr_runtime_loop_open(rt);
  if (rc || rt->signals) return rc;
  rt->signals = TR_NEW(&rt->mem, tr_signals);
  if (!rt->signals) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  signal(SIGPIPE, SIG_IGN);
  rt->signals->rt = rt;
  for (int i = 0; i < SIGNALS; i++) {
    uv_signal_t *handle = &rt->signals->handles[i];
    uv_signal_init(rt->loop, handle);
    handle->data = rt->signals;
    uv_signal_start(handle, numbers[i] == SIGHUP ? on_hangup : on_stop, numbers[i]);
    uv_unref((uv_handle_t *)handle);
  }
  return 0;
}

/* The loop is closed: nothing refers to the handles any more. */
void tr_runtime_free_signals(troupe_t *rt) {
  if (rt->signals) TR_DELETE(&rt->mem, rt->signals);
  rt->signals = NULL;
}

void tr_runtime_on_stop(troupe_t *rt, void (*fn)(void *ud), bool (*interrupt)(void *ud), void *ud) {
  rt->on_stop = fn;
  rt->on_interrupt = interrupt;
  rt->on_stop_ud = ud;
}
