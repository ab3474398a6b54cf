/* SPDX-License-Identifier: MIT
 * One of several cores: what it does for the others, and what it asks of them.
 *
 * Every core has every class. Which instance lives where is the runtime's to say (tr_far_ops.home); whatever is for an instance elsewhere
 * is handed to it, and what comes from there enters by the functions below. The core knows no thread: it is told that
 * it is one of several, and everything still happens in one call at a time.
 *
 * Message numbers of the isolates come from ranges of their own, so a number says which message it is in all of them. */
#include "core/internal.h"

#define NUMBERS_SHIFT 48 /* an isolate's share of the message numbers */

void tr_core_set_far(tr_core *core, const tr_far_ops *ops, void *ud, unsigned index, unsigned count, uint64_t identity) {
  core->far = ops;
  core->far_ud = ud;
  core->index = index;
  core->isolates = count;
  core->identity = identity;
  core->last_number = (uint64_t)index << NUMBERS_SHIFT;
}

bool tr_class_is_home(const tr_class *class_, tr_slice key_text) {
  tr_core *core = class_->core;
  if (!core->far || class_->pinned) return true;
  tr_name *key = tr_name_new(core->names, key_text);
  bool home = !key || core->far->home(core->far_ud, class_, key) < 0;
  tr_name_unref(key);
  return home;
}

tr_call *tr_core_relay(tr_core *core, tr_msg *msg, tr_asker asker, tr_reply_fn fn, void *ud) {
  msg->reply_to = (tr_reply_to){ 0 };
  tr_call *call = core->closing ? NULL : tr_call_new(core, msg, fn, ud);
  if (!call) {
    tr_msg_unref(msg);
    return NULL;
  }
  call->orphan = call->relayed = true; /* who called is not here */
  call->background = asker.background;
  call->asker = asker.turn;
  call->making = true;
  tr_core_post(core, msg);
  call->making = false;
  return call;
}

void tr_call_probe(tr_call *call, const tr_probe *probe) {
  tr_msg *msg = call->msg ? tr_msg_ref(call->msg) : NULL; /* what is found may end the call */
  if (!msg) return;
  tr_msg_probe(msg, probe);
  tr_msg_unref(msg);
}

int tr_core_take_event(tr_core *core, tr_msg *event, tr_class *class_, tr_name *key) { return tr_publish_to(core, event, class_, key); }
int tr_core_take_rest(tr_core *core, tr_msg *event, bool heard) { return tr_publish_rest(core, event, heard); }

void tr_core_hold(tr_core *core, tr_slice type, tr_slice key, bool held) {
  tr_class *class_ = tr_core_find_class(core, type);
  tr_agent *agent = class_ ? tr_class_find(class_, key) : NULL;
  tr_agent_extra *extra = agent ? tr_agent_get_extra(core, agent) : NULL; /* without memory it is not held: a bound is missed, nothing else */
  if (!extra || (!held && extra->stalls == 0)) return; /* another instance than the one that sent it */
  extra->stalls += held ? 1u : -1u;
  if (extra->stalls) agent->state |= TR_AGENT_STALLED;
  else agent->state &= ~(uint32_t)TR_AGENT_STALLED;
  if (!extra->stalls && tr_agent_wants(agent)) tr_agent_ready(core, agent);
}

void tr_core_let_go(tr_core *core) {
  for (tr_class *class_ = NULL; (class_ = tr_core_next_class(core, class_));) {
    for (tr_agent *agent = NULL; (agent = tr_class_next_mailbox(class_, agent));) {
      tr_agent_extra *extra = agent->extra;
      if (!(agent->state & TR_AGENT_STALLED)) continue;
      extra->stalls = 0;
      agent->state &= ~(uint32_t)TR_AGENT_STALLED;
      if (tr_agent_wants(agent)) tr_agent_ready(core, agent);
    }
  }
}

tr_asker tr_msg_asker(const tr_msg *request) {
  const tr_call *call = tr_call_of(request);
  const tr_turn *turn = call ? call->turn : NULL;
  tr_asker asker = { .background = !turn || call->background };
  if (turn && turn->agent->class_->requeue) asker.turn = TR_ASKER_AGAIN;
  else if (turn && !turn->agent->class_->exclusive_init) asker.turn = TR_ASKER_WAITS;
  return asker;
}

bool tr_msg_is_asked_again(const tr_msg *request) {
  const tr_call *call = tr_call_of(request);
  return call && call->relayed && call->asker == TR_ASKER_AGAIN;
}

bool tr_core_has_others(const tr_core *core) {
  return core->uplink_count > 0 || core->router->remote_types > 0 || core->taps > 0 || core->pinned > 0;
}
