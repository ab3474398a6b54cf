/* SPDX-License-Identifier: MIT
 * Between the files that carry messages from isolate to isolate: crossing.c, away.c, job.c, arrivals.c. */
#ifndef TR_RUNTIME_CROSSING_H
#define TR_RUNTIME_CROSSING_H

#include "runtime/isolate.h"

/* A word (isolate->draft) to another isolate. It never waits. false: out of memory. */
bool tr_isolate_say(tr_isolate *isolate, unsigned to);

/* ---- away.c: our requests elsewhere ---- */
/* A token, or 0: out of memory. Takes a reference, and holds the request. */
uint64_t tr_away_put(tr_isolate *isolate, tr_msg *msg, unsigned to);
/* The request, with its reference; NULL: it is not away any more. */
tr_msg *tr_away_take(tr_isolate *isolate, uint64_t token);
void tr_away_answered(tr_isolate *isolate, const tr_parcel *parcel);
void tr_away_part(tr_isolate *isolate, const tr_parcel *parcel);
void tr_away_probed(tr_isolate *isolate, const tr_parcel *parcel);
void tr_away_leave(tr_isolate *isolate); /* none is any more */

/* ---- job.c: requests from elsewhere, here ---- */
void tr_job_begin(tr_isolate *isolate, tr_parcel *parcel); /* a send, too. own: takes the parcel */
void tr_job_cancel(tr_isolate *isolate, const tr_parcel *parcel);
void tr_job_credit(tr_isolate *isolate, const tr_parcel *parcel);
void tr_job_probe(tr_isolate *isolate, const tr_parcel *parcel);

#endif
