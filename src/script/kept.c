/* SPDX-License-Identifier: MIT
 * Placeholders whose content stays in the process that made it.
 *
 * What `a:Task{…}` gives is often only passed on: b:Task(x). Where a lives in another process, that is asked to keep the result; what comes
 * here is where it is (core/results.c), and x is settled, but *away*. A call to yet another process then carries that in place of the value,
 * and the process of b fetches it from that of a (core/refs.c). The content does not come by here.
 *
 * It does come where it is needed here: when x is read, sent to an agent of this process, published, or returned; and where the
 * callee cannot fetch it (it is not troupe's, or out of reach of a's process): that refuses the call as `unresolved`, and
 * the call goes out once more with the content. So what is seen is the same in all cases.
 *
 * A call that is read before it even went out, as in a:Task{…}.content, does not ask to keep anything: one way there and back is
 * enough.
 *
 * The result is let go when its turn is over and every call that needed it has ended. It ends by itself after KEEP, so that nothing is
 * left of a caller that is gone; while it is held here its time is renewed. */
#include "script/internal.h"

#define KEEP TR_SECONDS(600)

bool tr_future_is_remote(const tr_future *f, const tr_msg *msg) {
  tr_core *core = f->script->core;
  return msg->via || tr_router_owner(tr_core_router(core), tr_name_view(f->agent)) != tr_core_local(core);
}

void tr_future_ask_keep(tr_future *f, tr_msg *msg, bool in_turn) {
  if (!tr_future_is_remote(f, msg) || tr_core_is_intercepted(msg->core)) return; /* who looks at all messages sees all content */
  if (!tr_msg_get_more(msg)) return; /* without memory: the content comes here */
  msg->more->keep_ms = (uint32_t)(KEEP / 1000);
  f->via = msg->via;
  if (!in_turn) return;
  f->asked = msg;
  f->asked_at = f->turn->wait;
}

int tr_future_refer_body(const tr_future *f, tr_msg *msg, tr_error *error) {
  lua_State *L = f->script->L;
  tr_blob *bytes = NULL, *refs = NULL;
  if (!tr_msg_get_more(msg) || !lua_checkstack(L, 8)) return TR_EMEMORY;
  int top = lua_gettop(L);
  tr_push_ref(L, f->script->slots_ref);
  lua_rawgeti(L, -1, f->msg->body.slot);
  int rc = tr_refs_encode(L, lua_gettop(L), &bytes, &refs, error);
  lua_settop(L, top);
  if (rc) return rc;
  msg->body = (tr_body){ .kind = TR_BODY_BYTES, .format = TR_FORMAT_JSON, .bytes = bytes };
  msg->more->refs = refs;
  return 0;
}

/* ---- holding ---- */

static void renew(tr_timer *timer) {
  tr_future *f = TR_CONTAINER(timer, tr_future, timer);
  tr_core *core = f->script->core;
  tr_core_renew(core, tr_blob_view(f->kept), f->via);
  tr_timer_start(tr_core_timers(core), timer, tr_core_now(core) + KEEP / 2, renew);
}

void tr_future_hold(tr_future *f) {
  tr_core *core = f->script->core;
  f->kept = tr_blob_ref(f->reply.bytes);
  tr_timer_start(tr_core_timers(core), &f->timer, tr_core_now(core) + KEEP / 2, renew);
}

/* ---- fetching ---- */

/* Of the call that has ended. */
static void end_fetch(tr_future *f) {
  f->fetch = NULL;
  tr_link_remove(&f->open);
}

static void lost(tr_future *f, const tr_reply *reply) {
  char text[TR_ERROR_TEXT];
  bool gone = reply->code == TR_ENOT_FOUND || reply->code == TR_EUNAVAILABLE;
  snprintf(text, sizeof text, "the process that keeps the result cannot give it: %.*s", (int)tr_utf8_cut(reply->error, 300),
           reply->error.p);
  f->code = gone ? TR_EUNAVAILABLE : reply->code;
  tr_future_take_error(f, tr_slice_of(text));
}

static void on_fetched(void *ud, tr_call *call, tr_reply *reply) {
  tr_future *f = ud;
  (void)call;
  end_fetch(f);
  tr_body_release(f->script->core, &f->reply);
  if (reply->code || reply->body.kind == TR_BODY_REF) {
    lost(f, reply);
  } else {
    f->reply = reply->body;
    reply->body.kind = TR_BODY_NONE;
  }
  if (f->turn && f->watched) tr_turn_wake(f->turn->turn);
  tr_future_tell(f);
  tr_future_let_go(f);
  tr_future_unref(f);
}

void tr_future_fetch(tr_future *f) {
  tr_core *core = f->script->core;
  tr_reply none = { .code = TR_EMEMORY, .error = tr_slice_of("out of memory") };
  if (f->fetch || !tr_future_away(f)) return;
  tr_time deadline = f->timeout == TR_NEVER ? TR_NEVER : tr_core_now(core) + f->timeout;
  if (f->turn && f->turn->turn->deadline < deadline) deadline = f->turn->turn->deadline;
  f->refs++;
  f->fetch = tr_core_fetch(core, tr_blob_view(f->kept), f->via, deadline, on_fetched, f);
  if (f->fetch) tr_list_push(&f->script->futures, &f->open);
  else on_fetched(f, NULL, &none);
}

void tr_future_fetch_stop(tr_future *f) {
  tr_call *call = f->fetch;
  end_fetch(f);
  tr_call_cancel(call);
  tr_future_unref(f);
}

void tr_future_fetch_needs(tr_future *f) {
  f->refs++;
  f->missing++; /* so that none of them sets it going before all are asked */
  for (tr_edge *edge = f->needs, *next; edge && !f->settled; edge = next) {
    next = edge->next;
    if (!tr_future_away(edge->need)) continue;
    f->missing++;
    tr_list_push(&edge->need->dependents, &edge->link);
    tr_future_fetch(edge->need);
  }
  if (!f->settled && --f->missing == 0) tr_future_go(f);
  tr_future_unref(f);
}

/* ---- letting go ---- */

void tr_future_release(tr_future *f) {
  tr_blob *kept = f->kept;
  f->kept = NULL;
  if (kept) tr_timer_stop(tr_core_timers(f->script->core), &f->timer);
  if (kept && !f->script->closing) tr_core_release(f->script->core, tr_blob_view(kept), f->via);
  tr_blob_unref(kept);
}

void tr_future_let_go(tr_future *f) {
  if (!f->kept || f->users || f->fetch || !f->settled || tr_link_in(&f->open)) return;
  if (!f->turn || !tr_future_away(f)) tr_future_release(f);
}
