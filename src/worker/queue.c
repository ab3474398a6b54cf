/* SPDX-License-Identifier: MIT
 * What is to be sent on the channel: one ring, in order, bounded by bytes.
 *
 * rpc is given only as much as the socket is about to take, and an item stays here until its last byte was written out.
 * So when a stream is lost it is known exactly what never left: that waits for the next stream, in order and without
 * doubling anything. (What was written may or may not have arrived: its requests fail, its events are gone.)
 * Answers belong to the stream on which their request came, and go with it. */
#include "worker/internal.h"

#define FIRST_CAP 16
#define COST 64     /* counted beside a frame's bytes */
#define AHEAD 65536 /* given to rpc beyond what it is asked for */
#define STALE TR_MILLISECONDS(10) /* what waited so long has its time left written anew */

static tr_worker_item *at(tr_worker_queue *queue, uint64_t number) { return &queue->items[number & (queue->cap - 1)]; }

static bool grow(tr_worker *w) {
  tr_worker_queue *queue = &w->queue;
  size_t cap = queue->cap ? queue->cap * 2 : FIRST_CAP;
  tr_worker_item *items = tr_calloc(w->mem, cap, sizeof *items);
  if (!items) return false;
  for (uint64_t i = queue->first; i < queue->last; i++) items[i & (cap - 1)] = *at(queue, i);
  tr_free(w->mem, queue->items, queue->cap * sizeof *items);
  queue->items = items;
  queue->cap = cap;
  return true;
}

int tr_worker_push(tr_worker *w, tr_blob *frame, tr_msg *event, uint64_t token, uint64_t *number) {
  tr_worker_queue *queue = &w->queue;
  bool answer = !event && !token;
  uint64_t bound = answer ? w->o.queue_bytes * 2 : w->o.queue_bytes;
  if (queue->bytes + frame->len + COST > bound) return TR_EOVERLOADED;
  if (queue->last - queue->first == queue->cap && !grow(w)) return TR_EMEMORY;
  *at(queue, queue->last) = (tr_worker_item){ .frame = tr_blob_ref(frame), .event = event ? tr_msg_ref(event) : NULL,
                                              .token = token, .since = tr_core_now(w->core), .native = w->native };
  queue->bytes += frame->len + COST;
  if (number) *number = queue->last;
  queue->last++;
  tr_worker_touch(w);
  return 0;
}

static void clear(tr_worker_queue *queue, tr_worker_item *item) {
  tr_blob *frame = item->frame;
  tr_msg *event = item->event;
  if (!frame) return;
  queue->bytes -= frame->len + COST;
  item->frame = NULL;
  item->event = NULL;
  tr_blob_unref(frame);
  if (event) tr_msg_unref(event);
}

/* What waits at the front and is not to be sent any more. */
static void skip_cleared(tr_worker_queue *queue) {
  while (queue->first == queue->handed && queue->first < queue->last && !at(queue, queue->first)->frame)
    queue->handed = ++queue->first;
}

void tr_worker_unqueue(tr_worker *w, uint64_t number) {
  tr_worker_queue *queue = &w->queue;
  if (number < queue->handed || number >= queue->last) return;
  clear(queue, at(queue, number));
  skip_cleared(queue);
}

/* own: takes frame. */
static void renew(tr_worker *w, tr_worker_item *item, tr_blob *frame) {
  w->queue.bytes = w->queue.bytes - item->frame->len + frame->len;
  tr_blob_unref(item->frame);
  item->frame = frame;
  item->since = tr_core_now(w->core);
  item->native = w->native;
}

/* The time that a request says it has left was true when it was encoded. One whose time is over is not sent at all: its
 * guard (requests.c) answers it. */
static void refresh(tr_worker *w, tr_worker_item *item) {
  tr_worker_request *request = item->token && item->frame ? tr_worker_request_at(w, item->token) : NULL;
  tr_time now = tr_core_now(w->core);
  if (!request || request->msg->deadline == TR_NEVER) return;
  if (request->msg->deadline <= now) {
    clear(&w->queue, item);
    return;
  }
  tr_blob *frame = now - item->since >= STALE ? tr_worker_encode_again(request) : NULL;
  if (frame) renew(w, item, frame); /* else no memory: better with a wrong time than not */
}

/* What was encoded for a host that took the native format, and now there is another, or one that has not said so yet. False: no memory. */
static bool make_plain(tr_worker *w, tr_worker_item *item) {
  if (!item->frame || !item->native || w->native) return true;
  tr_worker_request *request = item->token ? tr_worker_request_at(w, item->token) : NULL;
  tr_blob *frame = request ? tr_worker_encode_again(request) : item->event ? tr_worker_encode_event_again(w, item->event) : NULL;
  if (frame) renew(w, item, frame);
  return frame != NULL;
}

void tr_worker_pump(tr_worker *w, size_t limit) {
  tr_worker_queue *queue = &w->queue;
  while (w->channel && queue->handed < queue->last && tr_rpc_queued(w->channel) < limit + AHEAD) {
    tr_worker_item *item = at(queue, queue->handed);
    refresh(w, item);
    if (!make_plain(w, item)) return; /* at the next output again */
    if (item->frame) {
      if (tr_rpc_send(w->channel, item->frame) < 0) return; /* memory: at the next output again; or the stream is ending */
      queue->given += item->frame->len;
    }
    item->end = queue->given;
    queue->handed++;
  }
}

/* Take out what rpc was given up to this many bytes of the stream. */
static void confirm(tr_worker *w, uint64_t written) {
  tr_worker_queue *queue = &w->queue;
  while (queue->first < queue->handed && at(queue, queue->first)->end <= written) {
    tr_worker_item *item = at(queue, queue->first);
    tr_worker_request *request = item->token ? tr_worker_request_at(w, item->token) : NULL;
    if (request) request->sent = true;
    clear(queue, item);
    queue->first++;
  }
}

void tr_worker_written(tr_worker *w) {
  if (w->channel) confirm(w, w->queue.given - tr_rpc_queued(w->channel));
}

void tr_worker_rewind(tr_worker *w, bool all_written) {
  tr_worker_queue *queue = &w->queue;
  if (all_written) confirm(w, queue->given);
  queue->handed = queue->first;
  queue->given = 0;
  for (uint64_t i = queue->first; i < queue->last; i++) {
    tr_worker_item *item = at(queue, i);
    if (item->event || item->token || !item->frame) continue;
    clear(queue, item);
    w->dropped++;
  }
  skip_cleared(queue);
}

void tr_worker_queue_fini(tr_worker *w, const char *reason) {
  tr_worker_queue *queue = &w->queue;
  while (queue->first < queue->last) {
    tr_worker_item *item = at(queue, queue->first++);
    tr_msg *event = item->event ? tr_msg_ref(item->event) : NULL;
    if (queue->handed < queue->first) queue->handed = queue->first;
    clear(queue, item);
    if (!event) continue;
    tr_core_dead_letter(w->core, event, TR_EUNAVAILABLE, reason);
    tr_msg_unref(event);
  }
  tr_free(w->mem, queue->items, queue->cap * sizeof *queue->items);
  *queue = (tr_worker_queue){ 0 };
}
