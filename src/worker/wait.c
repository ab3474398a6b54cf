/* SPDX-License-Identifier: MIT
 * Waiting for agent types of other workers: GetSubscriptions, again and again, until each of them shows. (Every worker adds a
 * subscription for each of its types; nothing in the protocol announces a newcomer, and AutoGen's host never answers a request
 * for a type that is not there yet.) One poll serves all who wait. */
#include "worker/internal.h"

#include <stdio.h>

#define POLL_FIRST TR_MILLISECONDS(50)
#define POLL_MOST TR_MILLISECONDS(500)

typedef struct wanted_type { tr_slice name; bool here; } wanted_type;

typedef struct wait_entry {
  tr_link link; /* worker->waits */
  tr_worker *worker;
  tr_timer timer;
  tr_worker_wait_fn fn;
  void *ud;
  size_t size, count;
  wanted_type types[]; /* the names' bytes follow */
} wait_entry;

static wait_entry *entry_of(tr_link *link) { return TR_CONTAINER(link, wait_entry, link); }

/* own: takes the entry. */
static void finish(wait_entry *wait, int code, const char *text) {
  tr_worker *w = wait->worker;
  tr_worker_wait_fn fn = wait->fn;
  void *ud = wait->ud;
  tr_link_remove(&wait->link);
  tr_timer_stop(w->timers, &wait->timer);
  tr_free(w->mem, wait, wait->size);
  fn(ud, code, text);
}

static void on_deadline(tr_timer *timer) {
  wait_entry *wait = TR_CONTAINER(timer, wait_entry, timer);
  char text[400] = "";
  size_t n = 0;
  for (size_t i = 0; i < wait->count && n < sizeof text - 1; i++) {
    if (wait->types[i].here) continue;
    int more = snprintf(text + n, sizeof text - n, "%s%.*s", n ? ", " : "not there: ", TR_SLICE_ARG(wait->types[i].name));
    n += more > 0 ? (size_t)more : 0;
  }
  text[tr_utf8_cut(tr_slice_of(text), sizeof text)] = 0;
  finish(wait, TR_ETIMEOUT, text);
}

void tr_worker_cancel_waits(tr_worker *w, const char *text) {
  while (!tr_list_empty(&w->waits)) finish(entry_of(w->waits.next), TR_ECANCELLED, text);
}

/* ---- polling ---- */

static void on_poll(tr_timer *timer) { tr_worker_poll(TR_CONTAINER(timer, tr_worker, poll_timer)); }

static void poll_again(tr_worker *w) {
  if (tr_list_empty(&w->waits) || !w->rpc || w->over) return;
  tr_timer_start(w->timers, &w->poll_timer, tr_core_now(w->core) + w->poll_interval, on_poll);
  w->poll_interval *= 2;
  if (w->poll_interval > POLL_MOST) w->poll_interval = POLL_MOST;
}

void tr_worker_poll(tr_worker *w) {
  if (w->polling || tr_list_empty(&w->waits) || !w->rpc || w->over) return;
  w->polling = tr_worker_call_new(w, TR_WORKER_POLL, tr_wire_encode_empty(w->mem), NULL) != NULL;
  if (w->polling) return;
  if (w->goaway) tr_worker_over(w, false, "the host is shutting down");
  else poll_again(w);
}

static void see(void *ud, const tr_wire_subscription *sub) {
  tr_worker *w = ud;
  for (tr_link *link = w->waits.next; link != &w->waits; link = link->next) {
    wait_entry *wait = entry_of(link);
    for (size_t i = 0; i < wait->count; i++)
      if (tr_slice_equal(wait->types[i].name, sub->agent_type)) wait->types[i].here = true;
  }
}

static bool complete(const wait_entry *wait) {
  for (size_t i = 0; i < wait->count; i++)
    if (!wait->types[i].here) return false;
  return true;
}

void tr_worker_polled(tr_worker *w, tr_slice bytes) {
  tr_link done;
  tr_list_init(&done);
  for (tr_link *link = w->waits.next; link != &w->waits; link = link->next)
    for (size_t i = 0; i < entry_of(link)->count; i++) entry_of(link)->types[i].here = false;
  if (tr_wire_decode_subscriptions(bytes, see, w, NULL)) return;
  for (tr_link *link = w->waits.next, *next; link != &w->waits; link = next) {
    next = link->next;
    if (!complete(entry_of(link))) continue;
    tr_link_remove(link);
    tr_list_push(&done, link);
  }
  while (!tr_list_empty(&done)) finish(entry_of(done.next), 0, "");
}

void tr_worker_poll_ended(tr_worker *w) {
  w->polling = false;
  poll_again(w);
}

int tr_worker_wait_types(tr_worker *worker, const tr_slice *types, size_t count, tr_time deadline, tr_worker_wait_fn fn, void *ud) {
  size_t size = sizeof(wait_entry) + count * sizeof(wanted_type);
  char *text = NULL;
  for (size_t i = 0; i < count; i++) size += types[i].n;
  wait_entry *wait = tr_calloc(worker->mem, 1, size);
  if (!wait) return TR_EMEMORY;
  text = (char *)&wait->types[count];
  for (size_t i = 0; i < count; i++) {
    if (types[i].n) memcpy(text, types[i].p, types[i].n);
    wait->types[i].name = tr_slice_make(text, types[i].n);
    text += types[i].n;
  }
  wait->worker = worker;
  wait->fn = fn;
  wait->ud = ud;
  wait->size = size;
  wait->count = count;
  tr_list_push(&worker->waits, &wait->link);
  tr_timer_start(worker->timers, &wait->timer, deadline, on_deadline);
  worker->poll_interval = POLL_FIRST;
  tr_timer_stop(worker->timers, &worker->poll_timer);
  tr_worker_poll(worker);
  return 0;
}
