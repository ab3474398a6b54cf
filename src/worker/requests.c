/* SPDX-License-Identifier: MIT
 * Requests of agents here that wait for an answer from the host.
 *
 * Their request_ids are sixteen hex digits: slot and generation of an entry in a slab, so that an answer finds its request
 * without hashing and an answer to anything else finds nothing. Generations begin at a random number: AutoGen's host confuses
 * equal ids of different callers (lessons.md §1), so ours should be like nobody else's.
 *
 * An entry ends exactly once: answered, failed (its deadline, the stream's loss, the worker's end), and for a one-way
 * request silently after a while. The guard at the message's deadline is for the slot more than for the caller: the core ends a
 * call of its own by itself. AutoGen's host never answers a request to an agent type that nobody has. */
#include "worker/internal.h"

static tr_worker_request *at(const tr_worker_slab *slab, uint32_t slot) {
  return &slab->chunks[slot / TR_WORKER_CHUNK][slot % TR_WORKER_CHUNK];
}

static bool grow(tr_worker *w) {
  tr_worker_slab *slab = &w->slab;
  if (slab->n_chunks == TR_WORKER_REQUESTS / TR_WORKER_CHUNK) return false;
  if (slab->n_chunks == slab->cap_chunks) {
    uint32_t cap = slab->cap_chunks ? slab->cap_chunks * 2 : 4;
    void *grown = tr_realloc(w->mem, slab->chunks, slab->cap_chunks * sizeof *slab->chunks, cap * sizeof *slab->chunks);
    if (!grown) return false;
    slab->chunks = grown;
    slab->cap_chunks = cap;
  }
  tr_worker_request *chunk = tr_calloc(w->mem, TR_WORKER_CHUNK, sizeof *chunk);
  if (!chunk) return false;
  uint32_t base = slab->n_chunks * TR_WORKER_CHUNK;
  slab->chunks[slab->n_chunks++] = chunk;
  for (uint32_t i = TR_WORKER_CHUNK; i-- > 0;) {
    chunk[i].worker = w;
    chunk[i].slot = base + i;
    chunk[i].generation = slab->salt;
    chunk[i].next_free = slab->first_free;
    slab->first_free = base + i + 1;
  }
  return true;
}

void tr_worker_slab_fini(tr_worker *w) {
  tr_worker_slab *slab = &w->slab;
  for (uint32_t i = 0; i < slab->n_chunks; i++)
    tr_free(w->mem, slab->chunks[i], TR_WORKER_CHUNK * sizeof(tr_worker_request));
  tr_free(w->mem, slab->chunks, slab->cap_chunks * sizeof *slab->chunks);
}

/* ---- ids ---- */

uint64_t tr_worker_request_token(const tr_worker_request *request) {
  return (uint64_t)request->slot << 32 | request->generation;
}

void tr_worker_request_id(const tr_worker_request *request, char out[TR_WORKER_ID]) {
  uint64_t token = tr_worker_request_token(request);
  for (int i = TR_WORKER_ID; i-- > 0; token >>= 4) out[i] = "0123456789abcdef"[token & 15];
}

tr_worker_request *tr_worker_request_at(const tr_worker *w, uint64_t token) {
  uint32_t slot = (uint32_t)(token >> 32);
  if (slot >= w->slab.n_chunks * TR_WORKER_CHUNK) return NULL;
  tr_worker_request *request = at(&w->slab, slot);
  return request->msg && request->generation == (uint32_t)token ? request : NULL;
}

static bool parse_id(tr_slice id, uint64_t *out) {
  if (id.n != TR_WORKER_ID) return false;
  uint64_t token = 0;
  for (size_t i = 0; i < id.n; i++) {
    char c = id.p[i];
    unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
    if (digit == 16) return false;
    token = token << 4 | digit;
  }
  *out = token;
  return true;
}

tr_worker_request *tr_worker_request_find(const tr_worker *w, tr_slice id) {
  uint64_t token;
  return parse_id(id, &token) ? tr_worker_request_at(w, token) : NULL;
}

bool tr_worker_request_was(const tr_worker *w, tr_slice id) {
  const tr_worker_slab *slab = &w->slab;
  uint64_t token;
  if (!parse_id(id, &token) || token >> 32 >= slab->n_chunks * TR_WORKER_CHUNK) return false;
  uint32_t generation = (uint32_t)token, last = at(slab, (uint32_t)(token >> 32))->generation;
  return generation != slab->salt && last - generation < last - slab->salt;
}

/* ---- life ---- */

/* Out of the slab; the message's reference goes to the caller. */
tr_msg *tr_worker_request_take(tr_worker_request *request) {
  tr_worker *w = request->worker;
  tr_msg *msg = request->msg;
  request->msg = NULL;
  if (msg->holder == &request->holder) msg->holder = NULL;
  tr_link_remove(&request->link);
  tr_timer_stop(w->timers, &request->guard);
  if (!request->sent) tr_worker_unqueue(w, request->number);
  request->next_free = w->slab.first_free;
  w->slab.first_free = request->slot + 1;
  w->slab.count--;
  return msg;
}

static void guard(tr_timer *timer) {
  tr_worker_request *request = TR_CONTAINER(timer, tr_worker_request, guard);
  if (request->msg->kind != TR_MSG_REQUEST) {
    tr_msg_unref(tr_worker_request_take(request));
    return;
  }
  tr_worker_tell_cancelled(request);
  tr_worker_request_fail(request, TR_ETIMEOUT, NULL);
}

tr_worker_request *tr_worker_request_new(tr_worker *w, tr_msg *msg) {
  tr_worker_slab *slab = &w->slab;
  if (!slab->first_free && !grow(w)) return NULL;
  tr_worker_request *request = at(slab, slab->first_free - 1);
  slab->first_free = request->next_free;
  slab->count++;
  if (++request->generation == 0) request->generation = 1;
  request->msg = tr_msg_ref(msg);
  request->holder.ops = &tr_worker_holder_ops;
  if (msg->kind == TR_MSG_REQUEST) msg->holder = &request->holder;
  request->sent = false;
  request->number = UINT64_MAX;
  tr_list_push(&w->requests, &request->link);
  tr_time by = msg->deadline, oneway = tr_core_now(w->core) + TR_WORKER_ONEWAY;
  if (msg->kind != TR_MSG_REQUEST && by > oneway) by = oneway;
  tr_timer_start(w->timers, &request->guard, by, guard); /* TR_NEVER: none */
  return request;
}

void tr_worker_request_answer(tr_worker_request *request, tr_reply *reply) {
  tr_worker *w = request->worker;
  tr_msg *msg = tr_worker_request_take(request);
  if (reply->code == TR_ENOT_FOUND && tr_core_ask_next(w->core, &w->dest, msg, reply->error)) {
    /* another uplink's from now on */
  } else if (msg->kind == TR_MSG_REQUEST) {
    tr_msg_answer(msg, reply);
  } else if (reply->code) {
    char why[256];
    tr_slice text = reply->error;
    text.n = tr_utf8_cut(text, sizeof why - 1);
    if (text.n) memcpy(why, text.p, text.n);
    why[text.n] = 0;
    tr_core_dead_letter(w->core, msg, reply->code, why);
  }
  tr_msg_unref(msg);
}

void tr_worker_request_fail(tr_worker_request *request, int code, const char *text) {
  tr_reply reply = { .code = code, .error = tr_slice_of(text ? text : tr_error_default_text(code)) };
  tr_worker_request_answer(request, &reply);
}

void tr_worker_requests_fail(tr_worker *w, bool only_sent, const char *text) {
  /* Whoever hears of it may ask anew at once: so these are first set apart. */
  tr_link failed;
  tr_list_init(&failed);
  for (tr_link *link = w->requests.next, *next; link != &w->requests; link = next) {
    next = link->next;
    if (only_sent && !TR_CONTAINER(link, tr_worker_request, link)->sent) continue;
    tr_link_remove(link);
    tr_list_push(&failed, link);
  }
  while (!tr_list_empty(&failed))
    tr_worker_request_fail(TR_CONTAINER(failed.next, tr_worker_request, link), TR_EUNAVAILABLE, text);
}
