/* SPDX-License-Identifier: MIT
 * A thread's sleep: a flag under a mutex and a condition. The threads of isolates have no sockets, so this is all the loop that they need;
 * beside an event loop's it costs one system call to sleep and one to wake a sleeper, instead of two or three each, no
 * descriptor, and nothing but the flag where the other one is awake. */
#include "runtime/nap.h"

void tr_nap_init(tr_nap *nap) {
  uv_mutex_init(&nap->mutex);
  uv_cond_init(&nap->cond);
  nap->woken = false;
}

void tr_nap_fini(tr_nap *nap) {
  uv_mutex_destroy(&nap->mutex);
  uv_cond_destroy(&nap->cond);
}

void tr_nap_sleep(tr_nap *nap, tr_time wait) {
  uint64_t begin = wait == TR_NEVER ? 0 : uv_hrtime(), most = wait > 0 ? (uint64_t)wait * 1000 : 0, passed = 0;
  uv_mutex_lock(&nap->mutex);
  while (!nap->woken && (wait == TR_NEVER || passed < most)) {
    if (wait == TR_NEVER) uv_cond_wait(&nap->cond, &nap->mutex);
    else uv_cond_timedwait(&nap->cond, &nap->mutex, most - passed);
    if (wait != TR_NEVER) passed = uv_hrtime() - begin;
  }
  nap->woken = false;
  uv_mutex_unlock(&nap->mutex);
}

/* The signal comes after the mutex is free: or the sleeper would wake only to wait for that. */
void tr_nap_wake(tr_nap *nap) {
  uv_mutex_lock(&nap->mutex);
  bool was = nap->woken;
  nap->woken = true;
  uv_mutex_unlock(&nap->mutex);
  if (!was) uv_cond_signal(&nap->cond);
}
