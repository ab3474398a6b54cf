/* SPDX-License-Identifier: MIT
 * What is to be sent on the channel: a ring for each priority, each in order, bounded by bytes together.
 *
 * rpc is given only as much as the socket is about to take, and an item stays here until its last byte was written out.
 * So when a stream is lost it is known exactly what never left: that waits for the next stream, in order and without
 * doubling anything. What was written may or may not have arrived: its requests fail; its events stay for a while where the host
 * acknowledges them (resume.c), else they are gone.
 * Answers belong to the stream on which their request came, and go with it. */
#include "worker/internal.h"

#define FIRST_CAP 16
#define COST 64     /* counted beside a frame's bytes */
#define AHEAD 65536 /* given to rpc beyond what it is asked for */
#define KEPT_MOST 8192u /* messages of a lane, from the first event that is not acknowledged on */
#define KEPT_BYTES (UINT64_C(4) << 20)
#define MEMORY_AGAIN TR_MILLISECONDS(100)
#define STALE TR_MILLISECONDS(10) /* what waited so long has its time left written anew */

/* The number that others know an item by: its place in its ring, and which ring. */
#define LANE_SHIFT 62
static uint64_t name_of(tr_lane_kind lane, uint64_t place) { return (uint64_t)lane << LANE_SHIFT | place; }
static uint64_t place_of(uint64_t number) { return number & ((UINT64_C(1) << LANE_SHIFT) - 1); }

static tr_worker_item *at(tr_worker_ring *ring, uint64_t place) { return &ring->items[place & (ring->cap - 1)]; }

static bool grow(tr_worker *w, tr_worker_ring *ring) {
  size_t cap = ring->cap ? ring->cap * 2 : FIRST_CAP;
  tr_worker_item *items = tr_calloc(w->mem, cap, sizeof *items);
  if (!items) return false;
  for (uint64_t i = ring->unacked; i < ring->last; i++) items[i & (cap - 1)] = *at(ring, i);
  tr_free(w->mem, ring->items, ring->cap * sizeof *items);
  ring->items = items;
  ring->cap = cap;
  return true;
}

int tr_worker_push(tr_worker *w, uint8_t priority, tr_blob *frame, tr_msg *event, uint64_t token, uint64_t *number) {
  tr_worker_queue *queue = &w->queue;
  tr_worker_ring *ring = &queue->lanes[priority];
  bool answer = !event && !token;
  uint64_t bound = answer ? w->o.queue_bytes * 2 : w->o.queue_bytes;
  if (queue->bytes + frame->len + COST > bound) return TR_EOVERLOADED;
  if (ring->last - ring->unacked == ring->cap && !grow(w, ring)) return TR_EMEMORY;
  *at(ring, ring->last) = (tr_worker_item){ .frame = tr_blob_ref(frame), .event = event ? tr_msg_ref(event) : NULL,
                                            .token = token, .since = tr_core_now(w->core), .native = w->native };
  queue->bytes += frame->len + COST;
  if (number) *number = name_of((tr_lane_kind)priority, ring->last);
  ring->last++;
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

/* ---- what was written and may have to be sent again ---- */

static void release_oldest(tr_worker_queue *queue, tr_worker_ring *ring) {
  tr_worker_item *item = at(ring, ring->unacked++);
  if (!item->frame) return;
  queue->kept -= item->frame->len;
  queue->bytes += item->frame->len + COST;
  clear(queue, item);
}

static void release_to(tr_worker_queue *queue, tr_worker_ring *ring, uint64_t number) {
  while (ring->unacked < ring->first && (!at(ring, ring->unacked)->frame || at(ring, ring->unacked)->number <= number))
    release_oldest(queue, ring);
}

void tr_worker_acked(tr_worker *w, uint64_t number) {
  for (int lane = 0; lane < TR_LANES; lane++) release_to(&w->queue, &w->queue.lanes[lane], number);
}

/* Not for ever, also where the host never says what it has had. */
static void bound(tr_worker_queue *queue, tr_worker_ring *ring) {
  while (ring->unacked < ring->first && (queue->kept > KEPT_BYTES || ring->first - ring->unacked >= KEPT_MOST)) release_oldest(queue, ring);
}

/* It was written. */
static void keep(tr_worker_queue *queue, const tr_worker_item *item) {
  queue->bytes -= item->frame->len + COST;
  queue->kept += item->frame->len;
}

static void requeue_ring(tr_worker_queue *queue, tr_worker_ring *ring, bool marked) {
  for (uint64_t i = ring->unacked; i < ring->first; i++) {
    tr_worker_item *item = at(ring, i);
    if (!item->frame) continue;
    queue->kept -= item->frame->len;
    queue->bytes += item->frame->len + COST;
    if (marked) item->marked = item->again = true; /* for good: the next host may not have been the one that passed it on */
  }
  ring->first = ring->handed = ring->unacked;
}

void tr_worker_requeue(tr_worker *w, bool again, uint64_t had, bool marked) {
  for (int lane = 0; lane < TR_LANES; lane++) {
    tr_worker_ring *ring = &w->queue.lanes[lane];
    release_to(&w->queue, ring, again ? (marked ? 0 : had) : UINT64_MAX);
    requeue_ring(&w->queue, ring, marked);
  }
}

/* What waits at the front and is not to be sent any more. */
static void skip_cleared(tr_worker_ring *ring) {
  while (ring->first == ring->handed && ring->first < ring->last && !at(ring, ring->first)->frame) {
    ring->handed = ++ring->first;
    if (ring->unacked + 1 == ring->first) ring->unacked = ring->first;
  }
}

static tr_worker_ring *ring_of(const tr_worker *w, uint64_t number) {
  uint64_t lane = number >> LANE_SHIFT;
  return lane < TR_LANES ? (tr_worker_ring *)&w->queue.lanes[lane] : NULL;
}

void tr_worker_unqueue(tr_worker *w, uint64_t number) {
  tr_worker_ring *ring = ring_of(w, number);
  uint64_t place = place_of(number);
  if (!ring || place < ring->handed || place >= ring->last) return;
  clear(&w->queue, at(ring, place));
  skip_cleared(ring);
}

bool tr_worker_is_handed(const tr_worker *w, uint64_t number) {
  const tr_worker_ring *ring = ring_of(w, number);
  return ring && place_of(number) < ring->handed;
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
  tr_worker_request *request = item->token && item->frame ? tr_slots_at(&w->slots, item->token) : NULL;
  tr_time now = tr_core_now(w->core);
  if (!request || request->msg->deadline == TR_NEVER) return;
  if (request->msg->deadline <= now) {
    clear(&w->queue, item);
    return;
  }
  tr_blob *frame = now - item->since >= STALE ? tr_worker_encode_again(request) : NULL;
  if (frame) renew(w, item, frame); /* else no memory: better with a wrong time than not */
}

/* What was encoded for a host that took the native format, and now there is another, or one that has not said so yet; or what gets the
 * mark now. False: no memory. */
static bool make_plain(tr_worker *w, tr_worker_item *item) {
  if (!item->frame || ((!item->native || w->native) && !item->again)) return true;
  tr_worker_request *request = item->token ? tr_slots_at(&w->slots, item->token) : NULL;
  tr_blob *frame = request ? tr_worker_encode_again(request) : item->event ? tr_worker_encode_event_again(w, item->event, item->marked) : NULL;
  if (frame) renew(w, item, frame);
  if (frame) item->again = false;
  return frame != NULL;
}

static bool waits(const tr_worker_ring *ring) { return ring->handed < ring->last; }

/* The ring whose turn it is; NULL: nothing waits. */
static tr_worker_ring *next_ring(tr_worker_queue *queue) {
  tr_worker_ring *lanes = queue->lanes;
  bool high = waits(&lanes[TR_LANE_HIGH]), normal = waits(&lanes[TR_LANE_NORMAL]), low = waits(&lanes[TR_LANE_LOW]);
  if (!high && !low) return normal ? &lanes[TR_LANE_NORMAL] : NULL;
  return &lanes[tr_lane_next(&queue->runs, high, normal, low)];
}

static void on_memory(tr_timer *timer) { tr_worker_touch(TR_CONTAINER(timer, tr_worker, pump_timer)); }

/* There may never be another reason to look: the host waits for this, or nobody else has anything to say. */
static void try_again(tr_worker *w) {
  if (!tr_timer_running(&w->pump_timer)) tr_timer_start(w->timers, &w->pump_timer, tr_core_now(w->core) + MEMORY_AGAIN, on_memory);
}

void tr_worker_pump(tr_worker *w, size_t limit) {
  tr_worker_queue *queue = &w->queue;
  while (w->channel && !w->resuming && tr_rpc_queued(w->channel) < limit + AHEAD) {
    tr_worker_ring *ring = next_ring(queue);
    if (!ring) return;
    tr_worker_item *item = at(ring, ring->handed);
    refresh(w, item);
    if (!make_plain(w, item)) {
      try_again(w);
      return;
    }
    if (item->frame) {
      size_t before = tr_rpc_queued(w->channel);
      int err = tr_rpc_send(w->channel, item->frame);
      if (err == TR_EMEMORY) try_again(w);
      if (err < 0) return; /* or the stream is ending */
      queue->given += tr_rpc_queued(w->channel) - before; /* less than the frame, where it goes compressed */
      item->number = ++queue->number;
    }
    item->end = queue->given;
    ring->handed++;
  }
}

/* Take out what rpc was given up to this many bytes of the stream. */
static void confirm_ring(tr_worker *w, tr_worker_ring *ring, uint64_t written) {
  while (ring->first < ring->handed && at(ring, ring->first)->end <= written) {
    tr_worker_item *item = at(ring, ring->first);
    tr_worker_request *request = item->token ? tr_slots_at(&w->slots, item->token) : NULL;
    if (request) request->sent = true;
    if (item->frame && item->event && (w->acks || !w->heard_any)) keep(&w->queue, item);
    else clear(&w->queue, item);
    if (ring->unacked == ring->first && !item->frame) ring->unacked++;
    bound(&w->queue, ring);
    ring->first++;
  }
}

static void confirm(tr_worker *w, uint64_t written) {
  for (int lane = 0; lane < TR_LANES; lane++) confirm_ring(w, &w->queue.lanes[lane], written);
}

void tr_worker_written(tr_worker *w) {
  if (w->channel) confirm(w, w->queue.given - tr_rpc_queued(w->channel));
}

static void rewind_ring(tr_worker *w, tr_worker_ring *ring) {
  ring->handed = ring->first;
  for (uint64_t i = ring->first; i < ring->last; i++) {
    tr_worker_item *item = at(ring, i);
    if (item->event || item->token || !item->frame) continue;
    clear(&w->queue, item);
    w->dropped++;
  }
  skip_cleared(ring);
}

void tr_worker_rewind(tr_worker *w, bool all_written) {
  if (all_written) confirm(w, w->queue.given);
  w->queue.given = 0;
  for (int lane = 0; lane < TR_LANES; lane++) rewind_ring(w, &w->queue.lanes[lane]);
}

static void fini_ring(tr_worker *w, tr_worker_ring *ring, const char *reason) {
  while (ring->unacked < ring->first) release_oldest(&w->queue, ring);
  while (ring->first < ring->last) {
    tr_worker_item *item = at(ring, ring->first++);
    tr_msg *event = item->event ? tr_msg_ref(item->event) : NULL;
    if (ring->handed < ring->first) ring->handed = ring->first;
    clear(&w->queue, item);
    if (!event) continue;
    tr_core_dead_letter(w->core, event, TR_EUNAVAILABLE, reason);
    tr_msg_unref(event);
  }
  tr_free(w->mem, ring->items, ring->cap * sizeof *ring->items);
  *ring = (tr_worker_ring){ 0 };
}

void tr_worker_queue_fini(tr_worker *w, const char *reason) {
  for (int lane = 0; lane < TR_LANES; lane++) fini_ring(w, &w->queue.lanes[lane], reason);
  w->queue = (tr_worker_queue){ .number = w->queue.number };
}
