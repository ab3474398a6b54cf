/* SPDX-License-Identifier: MIT
 * Requests from another isolate that are handled here, and sends, which need less.
 *
 * A job is a call of this core's own (tr_core_relay), so deadlines, chains and cancellation work as for any other. It is itself a parcel:
 * where no memory is left for the answer, it goes back in its place and says so. So every request ends, whatever happens. The caller's
 * end is away.c. */
#include "runtime/crossing.h"

#include <string.h>

struct tr_job {
  tr_parcel parcel; /* first: it may go back as the answer */
  tr_isolate *isolate;
  tr_call *call;
};

/* Where the jobs of one caller's isolate are found, by the slot in the token. */
static tr_job **job_place(tr_isolate *isolate, unsigned from, uint64_t token) {
  tr_job_table *table = &isolate->jobs[from];
  uint32_t at = (uint32_t)token;
  if (at >= table->cap) {
    uint32_t cap = table->cap ? table->cap : 64;
    while (cap <= at) cap *= 2;
    tr_job **grown = tr_realloc(isolate->mem, table->jobs, table->cap * sizeof *grown, cap * sizeof *grown);
    if (!grown) return NULL;
    memset(grown + table->cap, 0, (cap - table->cap) * sizeof *grown);
    table->jobs = grown;
    table->cap = cap;
  }
  return &table->jobs[at];
}

static void job_forget(tr_job *job) {
  tr_job **place = job_place(job->isolate, job->parcel.queued.from, job->parcel.token);
  if (place && *place == job) *place = NULL;
}

/* The parcel itself becomes the answer, without a text. own: takes it. */
static void send_back(tr_isolate *isolate, tr_parcel *parcel, int code) {
  unsigned to = parcel->queued.from;
  uint64_t token = parcel->token;
  size_t size = parcel->queued.size;
  *parcel = (tr_parcel){ .kind = TR_PARCEL_ANSWER, .code = code, .token = token };
  for (int i = 0; i < TR_TEXT_COUNT; i++) parcel->texts[i] = UINT32_MAX;
  parcel->queued = (tr_queued){ .size = size, .from = (uint8_t)isolate->index };
  tr_isolate_push(isolate, to, parcel);
}

static void answer(tr_isolate *isolate, unsigned to, uint64_t token, const tr_reply *reply, tr_parcel *spare) {
  tr_error error;
  tr_error_init(&error);
  int rc = tr_draft_answer(&isolate->draft, isolate->script, reply, &error);
  if (rc) {
    tr_reply failed = { .code = rc, .error = tr_slice_of(error.text) };
    rc = tr_draft_answer(&isolate->draft, isolate->script, &failed, &error);
  }
  isolate->draft.head.token = token;
  tr_parcel *parcel = rc ? NULL : tr_draft_parcel(&isolate->draft, &isolate->parcels, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) {
    tr_isolate_push(isolate, to, parcel);
    tr_parcel_free(&isolate->parcels, &spare->queued);
  } else {
    send_back(isolate, spare, TR_EMEMORY);
  }
}

static void on_job_done(void *ud, tr_call *call, tr_reply *reply) {
  tr_job *job = ud;
  (void)call;
  job_forget(job);
  answer(job->isolate, job->parcel.queued.from, job->parcel.token, reply, &job->parcel);
}

/* Not bounded by the link: by the credit that the caller gave. */
static void on_part(void *ud, tr_call *call, tr_reply *part) {
  tr_job *job = ud;
  tr_isolate *isolate = job->isolate;
  tr_error error;
  tr_error_init(&error);
  (void)call;
  if (part->probe) {
    tr_draft_begin(&isolate->draft, TR_PARCEL_BACK);
    isolate->draft.head.token = job->parcel.token;
    isolate->draft.head.probe = *part->probe;
    tr_isolate_say(isolate, job->parcel.queued.from);
    return;
  }
  int rc = tr_draft_answer(&isolate->draft, isolate->script, part, &error);
  isolate->draft.head.kind = TR_PARCEL_PART;
  isolate->draft.head.token = job->parcel.token;
  tr_parcel *parcel = rc ? NULL : tr_draft_parcel(&isolate->draft, &isolate->parcels, isolate->index, (tr_slice){ NULL, 0 });
  if (parcel) tr_isolate_push(isolate, job->parcel.queued.from, parcel);
  else tr_log_write(isolate->log, TR_LOG_ERROR, "part.lost", "reason=\"%s\"", rc ? error.text : "out of memory");
}

static tr_job *job_new(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token);
  tr_job *job = place ? tr_parcel_room(&isolate->parcels, sizeof *job) : NULL;
  if (!job) return NULL;
  *place = job;
  memset(job, 0, sizeof *job);
  job->parcel.queued = (tr_queued){ .size = sizeof *job, .from = parcel->queued.from };
  job->parcel.token = parcel->token;
  job->isolate = isolate;
  return job;
}

/* ---- what comes ---- */

void tr_job_begin(tr_isolate *isolate, tr_parcel *parcel) {
  tr_error error;
  tr_error_init(&error);
  bool request = parcel->msg_kind == TR_MSG_REQUEST;
  tr_msg *msg = tr_parcel_message(parcel, isolate->core, isolate->script, &error);
  tr_job *job = msg && request ? job_new(isolate, parcel) : NULL;
  if (!request || job) {
    tr_asker asker = parcel->asker;
    if (!msg) tr_log_write(isolate->log, TR_LOG_ERROR, "message.lost", "reason=\"%s\"", error.text);
    tr_parcel_free(&isolate->parcels, &parcel->queued);
    if (!msg) return;
    if (!request) {
      tr_core_post(isolate->core, msg);
      return;
    }
    job->call = tr_core_relay(isolate->core, msg, asker, on_job_done, job);
    if (job->call) tr_call_on_part(job->call, on_part);
    if (job->call) return;
    job_forget(job);
    send_back(isolate, &job->parcel, TR_EUNAVAILABLE);
    return;
  }
  if (msg) tr_msg_unref(msg);
  send_back(isolate, parcel, error.code ? error.code : TR_EMEMORY);
}

void tr_job_cancel(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token), *job = place ? *place : NULL;
  if (!job || job->parcel.token != parcel->token) return;
  *place = NULL;
  if (job->call) tr_call_cancel(job->call);
  tr_parcel_free(&isolate->parcels, &job->parcel.queued);
}

static tr_job *job_of(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job **place = job_place(isolate, parcel->queued.from, parcel->token), *job = place ? *place : NULL;
  return job && job->parcel.token == parcel->token && job->call ? job : NULL;
}

void tr_job_credit(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job *job = job_of(isolate, parcel);
  if (job) tr_call_credit(job->call, (uint32_t)parcel->code);
}

void tr_job_probe(tr_isolate *isolate, const tr_parcel *parcel) {
  tr_job *job = job_of(isolate, parcel);
  if (job) tr_call_probe(job->call, &parcel->probe);
}
