/* SPDX-License-Identifier: MIT
 * Instances that are elsewhere: what is sent to them here goes on to another process, and nobody who sends notices.
 *
 * The agent's place in its class stays, with its key, its mailbox and its subscriptions; what leaves is the instance. Its mailbox
 * is emptied by the tr_remote's owner (the runtime's doors) rather than by turns. So the order of mail is kept: what waited goes
 * first, and what comes later lies behind it. Requests go on as they are, the other end's answer is the answer. Of other messages at
 * most WINDOW are on their way: the next goes when one of them was handled there. So a mailbox here still fills up when its agent
 * is slow, and senders wait as they did.
 *
 * A move: tr_agent_hold keeps mail in the mailbox while open turns go on to their end (calls that those lead to are taken), then
 * `quiet` is called, between two turns. The owner saves the instance and brings it there; tr_agent_go makes the mailbox the
 * remote's, tr_agent_unhold gives everything back as it was.
 *
 * An id whose type is not here at all, a launched agent's, gets a class for itself that the router does not know: unlisted. Other keys of
 * that type are found as if it were not there. */
#include "core/internal.h"

#ifdef TR_HOSTILE
#define WINDOW 4
#else
#define WINDOW 256
#endif

static tr_remote *remote_of(const tr_agent *agent) { return ((const tr_agent_extra *)agent->extra)->remote; }

/* ---- forwarding ---- */

/* Its mailbox there has the bound that it had here: what is on its way must find room, beside requests. */
static uint32_t window_of(const tr_agent *agent) {
  uint32_t half = agent->class_->mailbox_limit / 2;
  return half >= WINDOW ? WINDOW : half ? half : 1;
}

static bool has_window(const tr_remote *remote) {
  const tr_agent *agent = remote->agent;
  return remote->open < window_of(agent) && (remote->open == 0 || remote->weight < agent->class_->mailbox_weight / 2);
}

static void forward(tr_core *core, tr_remote *remote, tr_msg *msg) {
  if (msg->kind != TR_MSG_REQUEST) {
    remote->weight = tr_msg_weight(msg) + (remote->open ? remote->weight : 0);
    remote->open++;
    core->stats.queued++; /* not handled yet */
  }
  remote->ops->forward(remote, msg);
}

static void pump(tr_core *core, tr_remote *remote) {
  tr_agent *agent = remote->agent;
  if (!agent || remote->state != TR_REMOTE_AWAY || remote->pumping) return;
  remote->pumping = true;
  while (remote->agent && has_window(remote)) {
    tr_msg *msg = tr_mail_pop(core, agent);
    if (!msg) break;
    forward(core, remote, msg);
    tr_msg_unref(msg);
  }
  remote->pumping = false;
}

void tr_remote_done(tr_core *core, tr_remote *remote) {
  remote->open--;
  core->stats.queued--;
  pump(core, remote);
}

/* Was the turn that asks called by the agent itself? Then waiting behind its mail could be waiting for ever. */
static bool asked_by(const tr_turn *from, const tr_agent *to) {
  for (int steps = 0; from && from->msg && steps < 256; steps++) {
    const tr_msg *msg = from->msg;
    if (msg->sender_type == to->class_->type && msg->sender_key == to->key) return true;
    const tr_call *call = msg->kind == TR_MSG_REQUEST ? tr_call_of(msg) : NULL;
    from = call ? call->turn : NULL;
  }
  return false;
}

bool tr_remote_takes(tr_core *core, tr_agent *to, tr_msg *msg, const tr_turn *from) {
  tr_remote *remote = remote_of(to);
  if (remote->state == TR_REMOTE_LAZY) {
    remote->state = TR_REMOTE_WANTED;
    to->state |= TR_AGENT_HELD; /* the first message goes there, too */
    tr_timer_start(core->timers, &remote->timer, core->now, remote->timer.fn);
  }
  if (remote->state != TR_REMOTE_AWAY || remote->pumping) return false;
  bool request = msg->kind == TR_MSG_REQUEST;
  bool behind = to->mail.count > 0 || tr_mail_parked(to) > 0 || (!request && !has_window(remote));
  if (behind && !(request && asked_by(from, to))) return false;
  forward(core, remote, msg);
  return true;
}

/* ---- holding ---- */

static bool is_quiet(const tr_agent *agent) {
  const tr_agent_extra *extra = agent->extra;
  return !agent->turn && !extra->nested.last;
}

static void on_timer(tr_timer *timer) {
  tr_remote *remote = TR_CONTAINER(timer, tr_remote, timer);
  if (!remote->agent) return;
  if (remote->state == TR_REMOTE_WANTED) remote->ops->wanted(remote);
  else if (remote->state == TR_REMOTE_HELD && is_quiet(remote->agent)) remote->ops->quiet(remote);
}

void tr_remote_look(tr_core *core, tr_agent *agent) {
  tr_remote *remote = remote_of(agent);
  if (remote->state == TR_REMOTE_HELD && is_quiet(agent)) tr_timer_start(core->timers, &remote->timer, core->now, on_timer);
}

static int attach(tr_core *core, tr_agent *agent, tr_remote *remote, tr_error *error) {
  if (agent->state & TR_AGENT_REMOTE)
    return tr_error_set(error, TR_EEXISTS, "%.200s/%.200s is elsewhere already, or on its way", agent->class_->type->text, agent->key->text);
  if (agent->state & (TR_AGENT_CLOSING | TR_AGENT_HALTED | TR_AGENT_DEAD | TR_AGENT_STOP))
    return tr_error_set(error, TR_EUNAVAILABLE, "%.200s/%.200s is stopping", agent->class_->type->text, agent->key->text);
  tr_agent_extra *extra = tr_agent_get_extra(core, agent);
  if (!extra) return tr_error_set(error, TR_EMEMORY, "out of memory");
  extra->remote = remote;
  remote->agent = agent;
  remote->timer.fn = on_timer;
  agent->state |= TR_AGENT_REMOTE;
  return 0;
}

static void detach(tr_core *core, tr_agent *agent) {
  tr_remote *remote = remote_of(agent);
  tr_timer_stop(core->timers, &remote->timer);
  ((tr_agent_extra *)agent->extra)->remote = NULL;
  agent->state &= ~(uint32_t)(TR_AGENT_REMOTE | TR_AGENT_HELD);
  remote->agent = NULL;
}

int tr_agent_hold(tr_core *core, tr_agent *agent, tr_remote *remote, bool lazy, tr_error *error) {
  if (agent->class_->pool > 1 || agent->class_->exclusive_init)
    return tr_error_set(error, TR_EINVALID, "%s cannot be moved", agent->class_->pool > 1 ? "agents with a `pool`" : "a program");
  int rc = remote->agent == agent ? 0 : attach(core, agent, remote, error);
  if (rc) return rc;
  remote->state = lazy ? TR_REMOTE_LAZY : TR_REMOTE_HELD;
  if (lazy) return 0;
  agent->state |= TR_AGENT_HELD;
  tr_remote_look(core, agent);
  return 0;
}

void tr_agent_unhold(tr_core *core, tr_agent *agent) {
  detach(core, agent);
  if (tr_agent_wants(agent)) tr_agent_ready(core, agent);
}

/* ---- going ---- */

void tr_agent_go(tr_core *core, tr_agent *agent) {
  agent->state |= TR_AGENT_HELD;
  if ((agent->state & TR_AGENT_LIVE) && agent->class_->has_close) tr_agent_close(core, agent, TR_CLOSE_MOVED);
  else agent->state |= TR_AGENT_RESET;
  if ((agent->state & TR_AGENT_RESET) && agent != core->slot_agent) tr_agent_reset(core, agent);
}

void tr_agent_go_as_it_is(tr_core *core, tr_agent *agent) {
  agent->state |= TR_AGENT_HELD | TR_AGENT_RESET;
  tr_agent_reset(core, agent);
}

bool tr_agent_is_quiet(const tr_agent *agent) { return !agent || is_quiet(agent); }

void tr_remote_gone(tr_core *core, tr_agent *agent) {
  tr_remote *remote = remote_of(agent);
  remote->state = TR_REMOTE_AWAY;
  pump(core, remote);
  if (remote->agent && remote->ops->gone) remote->ops->gone(remote);
}

void tr_remote_left(tr_core *core, tr_agent *agent) {
  tr_remote *remote = remote_of(agent);
  detach(core, agent);
  remote->ops->left(remote);
}

/* ---- ids whose type is not here ---- */

static int run_unlisted(void *ud, tr_turn *turn) {
  (void)ud;
  tr_turn_fail(turn, TR_EUNAVAILABLE, "the agent is elsewhere");
  return TR_RUN_DONE;
}
static void cancel_unlisted(void *ud, tr_turn *turn) {
  (void)ud;
  (void)turn;
}
static const tr_class_ops unlisted_ops = { .run = run_unlisted, .cancel = cancel_unlisted };

static int class_for(tr_core *core, tr_slice type, tr_class **out, tr_error *error) {
  tr_class *class_ = tr_core_find_class(core, type);
  tr_name *name = class_ ? NULL : tr_name_find(core->names, type);
  if (!class_ && name) class_ = tr_table_get(&core->unlisted, name);
  tr_class_options options = { .type = type, .ops = &unlisted_ops, .unlisted = true };
  *out = class_;
  return class_ ? 0 : tr_core_add_class(core, &options, out, error);
}

int tr_core_add_remote(tr_core *core, tr_slice type, tr_slice key_text, tr_remote *remote, tr_error *error) {
  tr_class *class_ = NULL;
  int rc = tr_key_check(key_text, error);
  if (!rc) rc = class_for(core, type, &class_, error);
  if (rc) return rc;
  if (class_->pool > 1 || class_->exclusive_init)
    return tr_error_set(error, TR_EINVALID, "\"%.200s\" is the type of %s of this process: give another `type`", class_->type->text,
                        class_->pool > 1 ? "agents with a `pool`" : "a program");
  tr_name *key = tr_name_new(core->names, key_text);
  tr_agent *agent = key ? tr_table_get(&class_->by_key, key) : NULL;
  if (agent && !(agent->state & TR_AGENT_REMOTE)) {
    rc = tr_error_set(error, TR_EEXISTS, "%.200s/%.200s is an agent of this process already", class_->type->text, key->text);
  } else {
    if (!agent) agent = key ? tr_agent_obtain(class_, key) : NULL;
    rc = agent ? attach(core, agent, remote, error) : key ? tr_agent_none(class_, error) : tr_error_set(error, TR_EMEMORY, "out of memory");
  }
  tr_name_unref(key);
  if (rc) return rc;
  remote->state = TR_REMOTE_AWAY;
  agent->state |= TR_AGENT_HELD;
  return 0;
}

tr_remote *tr_core_find_remote(const tr_core *core, tr_slice type_text, tr_slice key_text) {
  tr_name *type = tr_name_find(core->names, type_text), *key = tr_name_find(core->names, key_text);
  const tr_class *class_ = tr_core_find_class(core, type_text);
  if (!class_ && type) class_ = tr_table_get(&core->unlisted, type);
  tr_agent *agent = class_ && key ? tr_table_get(&class_->by_key, key) : NULL;
  return agent && (agent->state & TR_AGENT_REMOTE) ? remote_of(agent) : NULL;
}

tr_name *tr_core_next_unlisted(const tr_core *core, uint32_t *at) {
  while (core->unlisted.count && *at < core->unlisted.cap) {
    const tr_class *class_ = core->unlisted.items[(*at)++];
    if (class_ && class_->agent_count > 0) return class_->type;
  }
  return NULL;
}

/* ---- the other end: a process that serves some ids only ---- */

void tr_core_set_leaf(tr_core *core) { core->leaf = true; }

int tr_class_serve_only(tr_class *class_, tr_slice key_text) {
  tr_core *core = class_->core;
  class_->limited = class_->partial = true;
  if (!key_text.p) return 0;
  tr_name *key = tr_name_new(core->names, key_text);
  void *grown = key ? tr_realloc(core->mem, class_->served, class_->served_count * sizeof(tr_name *),
                                 (class_->served_count + 1) * sizeof(tr_name *)) : NULL;
  if (!grown) {
    tr_name_unref(key);
    return TR_EMEMORY;
  }
  class_->served = grown;
  class_->served[class_->served_count++] = key;
  return 0;
}

bool tr_class_serves(const tr_class *class_, const tr_name *key) {
  for (uint32_t i = 0; i < class_->served_count; i++)
    if (class_->served[i] == key) return true;
  return !class_->limited;
}

void tr_class_free_served(tr_class *class_) {
  for (uint32_t i = 0; i < class_->served_count; i++) tr_name_unref(class_->served[i]);
  tr_free(class_->core->mem, class_->served, class_->served_count * sizeof(tr_name *));
}
