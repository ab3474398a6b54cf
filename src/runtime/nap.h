/* SPDX-License-Identifier: MIT
 * A thread's sleep, which others end. */
#ifndef TR_RUNTIME_NAP_H
#define TR_RUNTIME_NAP_H

#include <stdbool.h>

#include <uv.h>

#include "core/clock.h"

typedef struct tr_nap { uv_mutex_t mutex; uv_cond_t cond; bool woken; } tr_nap;

void tr_nap_init(tr_nap *nap);
void tr_nap_fini(tr_nap *nap);
/* Sleep so long (TR_NEVER: no bound), or until it is woken; at once if it was since the last sleep. thr: the sleeper's. */
void tr_nap_sleep(tr_nap *nap, tr_time wait);
void tr_nap_wake(tr_nap *nap); /* thr: any */

#endif
