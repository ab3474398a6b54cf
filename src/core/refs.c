/* SPDX-License-Identifier: MIT
 * Messages whose bodies refer to results that another process keeps (results.c): the content is fetched from there and put into the body
 * before the message goes into a mailbox, so whoever handles it sees nothing of this.
 *
 * "AT=TYPE/ID AT=TYPE/ID…": the AT-th null of the body, counted from 0 in the order in which it is written, stands for that result. A number of
 * nulls means the same in every format, and a body with nulls in it is one like any other to what it passes.
 *
 * A result that is referred to is there already, so fetching waits for no agent and no circle can come of it. One that cannot be had
 * fails the request as `unresolved`: its caller, who has the same reference, may find it by another way and send the content instead.
 * Order: such a message takes its place in the mailbox when it is whole. */
#include <stdio.h>

#include "core/internal.h"

#ifdef TR_HOSTILE
#define RESOLVING_MOST 16u
#else
#define RESOLVING_MOST 10000u
#endif
#define BYTES_MOST ((size_t)64 << 20) /* fetched for one message */

typedef struct wanted {
  struct whole *whole;
  uint32_t at, same; /* same: number + 1 of an earlier one with the same result */
  tr_slice ref;      /* in msg->more->refs */
  tr_call *call;
  tr_body body;
} wanted;

typedef struct whole { /* a message that is being made whole */
  tr_core *core;
  tr_msg *msg;
  tr_holder holder; /* of msg */
  size_t bytes;
  uint32_t count, missing;
  wanted items[];
} whole;

/* ---- reading the references ---- */

/* "AT=TYPE/ID", ascending. */
static bool read_one(tr_slice text, int64_t least, wanted *out) {
  uint64_t at = 0;
  size_t i = 0;
  for (; i < text.n && i < 9 && text.p[i] >= '0' && text.p[i] <= '9'; i++) at = at * 10 + (uint64_t)(text.p[i] - '0');
  if (i == 0 || i >= text.n || text.p[i] != '=' || (int64_t)at < least) return false;
  out->at = (uint32_t)at;
  out->ref = tr_slice_make(text.p + i + 1, text.n - i - 1);
  return tr_ref_check(out->ref);
}

static uint32_t count_of(tr_slice text) {
  uint32_t count = 1;
  for (size_t i = 0; i < text.n; i++) count += text.p[i] == ' ';
  return count;
}

static bool read_all(whole *w, tr_slice text) {
  int64_t least = 0;
  for (uint32_t i = 0; i < w->count; i++) {
    const char *space = text.n ? memchr(text.p, ' ', text.n) : NULL;
    size_t n = space ? (size_t)(space - text.p) : text.n;
    wanted *item = &w->items[i];
    item->whole = w;
    if (!read_one(tr_slice_make(text.p, n), least, item)) return false;
    least = (int64_t)item->at + 1;
    text = space ? tr_slice_make(space + 1, text.n - n - 1) : tr_slice_make(text.p + n, 0);
    for (uint32_t j = 0; j < i && !item->same; j++)
      if (!w->items[j].same && tr_slice_equal(w->items[j].ref, item->ref)) item->same = j + 1;
  }
  return true;
}

/* ---- the end ---- */

/* Its message is the caller's again. */
static tr_msg *finish(whole *w) {
  tr_core *core = w->core;
  tr_msg *msg = w->msg;
  msg->holder = NULL;
  for (uint32_t i = 0; i < w->count; i++) {
    tr_call_cancel(w->items[i].call);
    tr_body_release(core, &w->items[i].body);
  }
  tr_free(core->mem, w, sizeof *w + w->count * sizeof w->items[0]);
  core->resolving--;
  return msg;
}

static void fail(whole *w, int code, const char *text, bool unresolved) {
  tr_core *core = w->core;
  tr_msg *msg = finish(w);
  if (unresolved && msg->kind == TR_MSG_REQUEST) tr_msg_unresolved(msg, code, text);
  else tr_core_undeliverable(core, msg, code, text);
  tr_msg_unref(msg);
}

static int fill(whole *w, tr_error *error) {
  tr_core *core = w->core;
  tr_msg *msg = w->msg;
  tr_filling items[TR_REFS_MOST];
  tr_body out;
  for (uint32_t i = 0; i < w->count; i++) {
    const wanted *item = &w->items[i];
    items[i] = (tr_filling){ item->at, item->same ? &w->items[item->same - 1].body : &item->body };
  }
  if (msg->body.kind == TR_BODY_NULL && w->count == 1 && items[0].at == 0) { /* the whole body: as it is */
    msg->body = w->items[0].body;
    w->items[0].body.kind = TR_BODY_NONE;
    return 0;
  }
  if (msg->body.kind != TR_BODY_BYTES || !core->body.fill)
    return tr_error_set(error, TR_EINVALID, "the body has no such place for a result");
  int err = core->body.fill(core->body.ud, &msg->body, items, w->count, &out, error);
  if (err) return err;
  tr_body_release(core, &msg->body);
  msg->body = out;
  return 0;
}

static void complete(whole *w) {
  tr_core *core = w->core;
  tr_error error = { 0 };
  int err = fill(w, &error);
  if (err) {
    fail(w, err, error.text[0] ? error.text : NULL, false);
    return;
  }
  tr_msg *msg = finish(w);
  tr_blob_unref(msg->more->refs);
  msg->more->refs = NULL;
  tr_core_route(core, msg, NULL);
  tr_msg_unref(msg);
}

static void asker_gave_up(tr_holder *holder, tr_msg *request) {
  (void)request;
  tr_msg_unref(finish(TR_CONTAINER(holder, whole, holder)));
}

static const tr_holder_ops holder_ops = { .cancel = asker_gave_up };

/* ---- fetching ---- */

static void on_fetched(void *ud, tr_call *call, tr_reply *reply) {
  wanted *item = ud;
  whole *w = item->whole;
  (void)call;
  item->call = NULL;
  if (reply->code) {
    char text[TR_ERROR_TEXT];
    snprintf(text, sizeof text, "a result that the request refers to cannot be had: %.*s", (int)tr_utf8_cut(reply->error, 400),
             reply->error.p);
    fail(w, reply->code, text, true);
    return;
  }
  item->body = reply->body;
  reply->body.kind = TR_BODY_NONE;
  if (item->body.kind == TR_BODY_BYTES) w->bytes += item->body.bytes->len;
  if (w->bytes > BYTES_MOST) fail(w, TR_ETOO_LARGE, "the results that the request refers to are too large together", false);
  else if (--w->missing == 0) complete(w);
}

static bool fetch(wanted *item) {
  whole *w = item->whole;
  tr_core *core = w->core;
  enum { PREFIX = sizeof TR_RESULT_KEY - 1, DIGITS = 32 };
  char key[PREFIX + DIGITS + 1] = TR_RESULT_KEY;
  memcpy(key + PREFIX, item->ref.p + item->ref.n - DIGITS, DIGITS);
  const tr_body *here = tr_result_find(core, tr_slice_make(key, PREFIX + DIGITS));
  if (here) {
    item->body = *here;
    tr_blob_ref(here->bytes);
    return true;
  }
  tr_time deadline = w->msg->deadline != TR_NEVER ? w->msg->deadline : core->now + TR_PARK_TIME;
  item->call = tr_core_fetch(core, item->ref, 0, deadline, on_fetched, item);
  w->missing++;
  return item->call;
}

int tr_refs_resolve(tr_core *core, tr_msg *msg) {
  tr_slice text = tr_blob_view(msg->more->refs);
  uint32_t count = count_of(text);
  if (count > TR_REFS_MOST)
    return tr_core_undeliverable(core, msg, TR_EINVALID, "the request refers to too many results");
  if (core->resolving >= RESOLVING_MOST) {
    core->stats.overloaded++;
    return tr_core_undeliverable(core, msg, TR_EOVERLOADED, "too many requests wait for results of other processes");
  }
  whole *w = tr_calloc(core->mem, 1, sizeof *w + count * sizeof w->items[0]);
  if (!w) return tr_core_undeliverable(core, msg, TR_EMEMORY, NULL);
  w->core = core;
  w->msg = tr_msg_ref(msg);
  w->holder.ops = &holder_ops;
  msg->holder = &w->holder;
  w->count = count;
  core->resolving++;
  int err = read_all(w, text) ? 0 : TR_EINVALID;
  w->missing = 1; /* so that none completes it before all are asked */
  for (uint32_t i = 0; i < count && !err; i++)
    if (!w->items[i].same && !fetch(&w->items[i])) err = TR_EMEMORY;
  if (err) fail(w, err, err == TR_EINVALID ? "malformed references to results" : NULL, false);
  else if (--w->missing == 0) complete(w);
  return err;
}
