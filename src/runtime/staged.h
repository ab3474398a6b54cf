/* SPDX-License-Identifier: MIT
 * This process's part of a reload of several workers together. */
#ifndef TR_RUNTIME_STAGED_H
#define TR_RUNTIME_STAGED_H

#include "runtime/internal.h"

/* TR_RELOAD_STAGE, _TAKE, … (worker.h) of the reload `id`. What came of it as JSON, { version, files, names, agents? }, appended. keep: of
 * staging, how long to wait for what was decided. The same again changes nothing. err: what reload gives; TR_EUNAVAILABLE: another is under way. */
int tr_staged_step(troupe_t *rt, tr_slice id, unsigned step, tr_time keep, tr_buf *out, tr_error *error);
void tr_staged_who(char out[128]); /* this process, for an operator: "MACHINE, pid 4711" */
void tr_staged_asked(void *ud, tr_worker *worker, tr_slice id, unsigned step, uint64_t keep_ms); /* tr_worker_options.reload */
void tr_staged_end(troupe_t *rt); /* before its scripts go */

#endif
