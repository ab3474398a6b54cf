/* SPDX-License-Identifier: MIT
 * Pools: several connections to one host, for programs that only call and publish (include/troupe.h).
 *
 * A member is an uplink that registers nothing, gets no events, and takes only what names it. A call goes by the member that has
 * joined and has the fewest calls open; where none has, it waits in the queue of one until that is there or its time is
 * over. A member that breaks dials again by itself (src/worker, with back-off): until it is back the others have its
 * share. What it had sent fails with `unavailable`, since it may have been carried out; what it had not sent yet goes
 * when it is back.
 *
 * Several connections bring something where a single stream's order or window holds up: large bodies beside small calls,
 * or a balancer in front of several hosts. Each member is a client of its own to the host.
 *
 * A pool that is closed sends what it has, and leaves; its memory goes when the last member has left, or with the
 * runtime. */
#include "runtime/internal.h"

#define DEFAULT_SIZE 5
#define MOST 1000
#define LEAVE TR_SECONDS(3)

typedef struct member { troupe_pool_t *pool; tr_uplink *uplink; uint32_t open; bool left; } member;

typedef struct pool_call { /* one that is open */
  troupe_t *rt;
  tr_link link;
  member *by; /* NULL: the pool was closed, fn has been told */
  troupe_reply_fn fn;
  void *ud;
} pool_call;

struct troupe_pool {
  troupe_t *rt;
  tr_link link; /* rt->pools */
  tr_link calls;
  tr_timer reaper;
  uint32_t size, next;
  bool closed;
  member members[];
};

/* ---- members ---- */

static bool joined(const member *m) { return tr_worker_get_state(m->uplink->worker) == TR_WORKER_JOINED; }

/* Better of the two: who is there, then who has less to do. */
static bool better(const member *a, const member *b) {
  if (joined(a) != joined(b)) return joined(a);
  return a->open < b->open;
}

/* Where they are alike each has its turn. */
static member *pick(troupe_pool_t *pool) {
  member *best = &pool->members[pool->next];
  for (uint32_t i = 1; i < pool->size; i++) {
    member *m = &pool->members[(pool->next + i) % pool->size];
    if (better(m, best)) best = m;
  }
  pool->next = (uint32_t)(best - pool->members + 1) % pool->size;
  return best;
}

static void free_pool(troupe_pool_t *pool) {
  tr_mem *mem = &pool->rt->mem;
  tr_link_remove(&pool->link);
  tr_timer_stop(tr_core_timers(pool->rt->core), &pool->reaper);
  for (uint32_t i = 0; i < pool->size; i++)
    if (pool->members[i].uplink) tr_runtime_free_uplink(pool->members[i].uplink);
  tr_free(mem, pool, sizeof *pool + pool->size * sizeof(member));
}

static void reap(tr_timer *timer) { free_pool(TR_CONTAINER(timer, troupe_pool_t, reaper)); }

/* Not from inside the worker that tells it. */
static void on_change(void *ud, tr_uplink *uplink, tr_worker_state state, const char *reason) {
  member *m = ud;
  troupe_pool_t *pool = m->pool;
  (void)uplink;
  (void)reason;
  if (state != TR_WORKER_OFF || !pool->closed) return;
  m->left = true;
  for (uint32_t i = 0; i < pool->size; i++)
    if (!pool->members[i].left) return;
  tr_timer_start(tr_core_timers(pool->rt->core), &pool->reaper, tr_core_now(pool->rt->core), reap);
}

/* ---- opening and closing ---- */

int troupe_pool_open(troupe_t *rt, troupe_pool_t **out, const char *host, unsigned size) {
  *out = NULL;
  tr_runtime_error(rt);
  if (size == 0) size = DEFAULT_SIZE;
  if (size > MOST) return tr_runtime_fail(rt, TR_EINVALID, "a pool has at most %d members, not %u", MOST, size);
  if (tr_runtime_stopping(rt)) return tr_runtime_fail(rt, TR_EUNAVAILABLE, "the runtime is stopping");
  troupe_pool_t *pool = tr_calloc(&rt->mem, 1, sizeof *pool + size * sizeof(member));
  if (!pool) return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  pool->rt = rt;
  pool->size = size;
  tr_list_init(&pool->calls);
  tr_list_push(&rt->pools, &pool->link);
  for (unsigned i = 0; i < size; i++) {
    member *m = &pool->members[i];
    m->pool = pool;
    m->uplink = tr_runtime_member(rt, host, on_change, m);
    if (m->uplink) continue;
    free_pool(pool);
    return rt->error.code;
  }
  *out = pool;
  return 0;
}

/* Every open call ends; the answers that may still come find nobody. */
static void cancel_calls(troupe_pool_t *pool, const char *text) {
  for (tr_link *link; (link = tr_list_pop(&pool->calls));) {
    pool_call *call = TR_CONTAINER(link, pool_call, link);
    call->by = NULL;
    call->fn(call->ud, TR_ECANCELLED, text, NULL, NULL);
  }
}

void troupe_pool_close(troupe_pool_t *pool) {
  if (!pool || pool->closed) return;
  troupe_t *rt = pool->rt;
  pool->closed = true;
  cancel_calls(pool, "the pool was closed");
  tr_time deadline = tr_runtime_now(rt) + LEAVE;
  tr_core_set_now(rt->core, deadline - LEAVE);
  for (uint32_t i = 0; i < pool->size; i++) tr_worker_stop(pool->members[i].uplink->worker, deadline);
}

void tr_runtime_free_pools(troupe_t *rt) {
  while (!tr_list_empty(&rt->pools)) free_pool(TR_CONTAINER(rt->pools.next, troupe_pool_t, link));
}

/* ---- messages ---- */

static int check_open(const troupe_pool_t *pool, troupe_value_t *body) {
  if (!pool->closed) return 0;
  tr_value_free(body);
  return tr_runtime_fail(pool->rt, TR_EINVALID, "the pool is closed");
}

int troupe_pool_publish(troupe_pool_t *pool, const char *topic, const char *type, troupe_value_t *body,
                        const troupe_message_options_t *options) {
  int rc = check_open(pool, body);
  return rc ? rc : tr_runtime_publish_by(pool->rt, pick(pool)->uplink, topic, type, body, options);
}

static void on_reply(void *ud, int status, const char *text, const char *type, const troupe_value_t *body) {
  pool_call call = *(pool_call *)ud;
  if (call.by) {
    call.by->open--;
    tr_link_remove(&((pool_call *)ud)->link);
  }
  TR_DELETE(&call.rt->mem, (pool_call *)ud);
  if (call.by) call.fn(call.ud, status, text, type, body);
}

int troupe_pool_call(troupe_pool_t *pool, const char *agent, const char *type, troupe_value_t *body,
                     const troupe_message_options_t *options, troupe_reply_fn fn, void *ud) {
  int rc = check_open(pool, body);
  if (rc) return rc;
  troupe_t *rt = pool->rt;
  pool_call *call = TR_NEW(&rt->mem, pool_call);
  if (!call) {
    tr_value_free(body);
    return tr_runtime_fail(rt, TR_EMEMORY, "out of memory");
  }
  *call = (pool_call){ .rt = rt, .by = pick(pool), .fn = fn, .ud = ud };
  tr_list_push(&pool->calls, &call->link);
  call->by->open++;
  rc = tr_runtime_call_by(rt, call->by->uplink, agent, type, body, options, on_reply, call);
  if (rc == 0) return 0;
  call->by->open--;
  tr_link_remove(&call->link);
  TR_DELETE(&rt->mem, call);
  return rc;
}

void troupe_pool_get_stats(troupe_pool_t *pool, troupe_pool_stats_t *stats) {
  troupe_pool_stats_t all = { .size = stats->size, .members = pool->size };
  for (uint32_t i = 0; i < pool->size; i++) {
    all.joined += joined(&pool->members[i]);
    all.open_calls += pool->members[i].open;
  }
  memcpy(stats, &all, stats->size < sizeof all ? stats->size : sizeof all);
}
