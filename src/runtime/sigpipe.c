/* SPDX-License-Identifier: MIT
 * Writing to a socket whose peer is gone raises SIGPIPE, whose default is to end the process; libuv has no flag against it. The program
 * ignores it (signals.c). A library may not change what signals do, so while the loop may write it is blocked for this
 * thread, and one that came meanwhile is taken off before the mask is as it was. */
#include <signal.h>

#include "runtime/internal.h"

static bool is_pending(void) {
  sigset_t pending;
  sigemptyset(&pending);
  return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

void tr_sigpipe_hold(const troupe_t *rt, tr_sigpipe *held) {
  sigset_t pipe, before;
  held->held = false;
  if (rt->signals || !rt->loop) return; /* ignored, or nothing to write to */
  held->pending = is_pending();
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  held->held = pthread_sigmask(SIG_BLOCK, &pipe, &before) == 0;
  held->blocked = held->held && sigismember(&before, SIGPIPE) == 1;
}

void tr_sigpipe_release(tr_sigpipe *held) {
  sigset_t pipe;
  int number;
  if (!held->held) return;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  if (!held->pending && is_pending()) sigwait(&pipe, &number); /* ours: a write of this thread raises it for this thread */
  if (!held->blocked) pthread_sigmask(SIG_UNBLOCK, &pipe, NULL);
}
