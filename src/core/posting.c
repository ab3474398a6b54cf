/* SPDX-License-Identifier: MIT
 * From a message to its destination: a class of this isolate, an owner behind a door that the router knows, an uplink
 * for types that nobody here owns. What comes in by a door is sent out by an uplink only if it is of a process that this one
 * launched, or of a client of the host here that asks for what nobody here has (uplinks.c).
 *
 * Whatever cannot be delivered ends here: a request is answered with the reason, a send or an event is a dead letter.
 * */
#include <stdio.h>

#include "core/internal.h"

/* ---- what cannot be delivered ---- */

void tr_core_dead_letter(tr_core *core, tr_msg *msg, int code, const char *reason) {
  if (msg->target_key && tr_key_is_result(tr_name_view(msg->target_key))) return; /* between runtimes: letting go of what is gone */
  core->stats.dead_letters++;
  if (!reason) reason = tr_error_default_text(code);
  tr_seen_by(core, TR_SEEN_DEAD, msg, NULL, code, reason);
  tr_log_write(core->log, TR_LOG_DEBUG, "dead_letter", "code=%s type=%s target=%s/%s reason=%s", tr_error_name(code),
               msg->type ? msg->type->text : "", msg->target_type ? msg->target_type->text : "",
               msg->target_key ? msg->target_key->text : "", reason);
  /* A dead letter about a dead letter is only counted. */
  if (!core->hooks.dead_letter || core->in_hook) return;
  if (msg->kind == TR_MSG_EVENT && msg->target_type && tr_name_reserved(tr_name_view(msg->target_type))) return;
  core->in_hook = true;
  core->hooks.dead_letter(core->hooks.ud, msg, code, reason);
  core->in_hook = false;
}

int tr_core_undeliverable(tr_core *core, tr_msg *msg, int code, const char *text) {
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, code, text);
  else if (!msg->stored) tr_core_dead_letter(core, msg, code, text);
  return code;
}

void tr_mail_tell_full(const tr_agent *to, char *text, size_t size) {
  const char *type = to->class_->type->text, *key = to->key->text;
  const tr_agent_extra *extra = to->extra;
  uint32_t nested = extra ? extra->nested.count : 0, limit = to->class_->mailbox_limit;
  if (to->mail.count >= limit || nested >= limit)
    snprintf(text, size, "the mailbox of %.200s/%.200s is full (%u messages)", type, key, to->mail.count);
  else
    snprintf(text, size, "the mailbox of %.200s/%.200s is full (%llu bytes in %u messages; mailbox.bytes is %llu)", type, key,
             (unsigned long long)tr_agent_mail_bytes(to), to->mail.count + nested, (unsigned long long)tr_class_mailbox_bytes(to->class_));
}

int tr_core_refused(tr_core *core, tr_msg *msg, tr_agent *to, int code) {
  char text[TR_ERROR_TEXT];
  const char *type = to->class_->type->text, *key = to->key->text;
  text[0] = 0;
  if (code == TR_EOVERLOADED)
    tr_mail_tell_full(to, text, sizeof text);
  else if (code == TR_EDEADLOCK)
    snprintf(text, sizeof text, "calling %.200s/%.200s closes a circle of waiting agents", type, key);
  else if (code == TR_ELIMIT)
    snprintf(text, sizeof text, "%d turns of %.200s/%.200s wait for calls that came back to it: does it call itself for ever?",
             TR_NESTED_MOST, type, key);
  else if (code == TR_EUNAVAILABLE && (to->state & TR_AGENT_HALTED))
    snprintf(text, sizeof text, "%s", ((const tr_agent_extra *)to->extra)->halted ? ((const tr_agent_extra *)to->extra)->halted : "");
  else if (code == TR_EUNAVAILABLE)
    snprintf(text, sizeof text, core->draining ? "the runtime is stopping" : "%.200s/%.200s is stopping", type, key);
  return tr_core_undeliverable(core, msg, code, text[0] ? text : NULL);
}

int tr_core_no_agent(tr_core *core, tr_msg *msg, const tr_class *class_) {
  tr_error why;
  tr_error_init(&why);
  int code = tr_agent_none(class_, &why);
  return tr_core_undeliverable(core, msg, code, why.text);
}

/* "(did you mean …)" is worth the search: a misspelt type is the commonest mistake. */
static int unknown_type(tr_core *core, tr_msg *msg) {
  tr_error error = { 0 };
  const tr_table *types = &core->router->types;
  const char *wanted = msg->target_type->text, *nearest = tr_router_nearest(core->router, tr_slice_of(wanted), NULL, NULL);
  if (nearest)
    tr_error_set(&error, TR_ENOT_FOUND, "no agent type \"%.200s\" here (did you mean \"%.200s\"?)", wanted, nearest);
  else
    tr_error_set(&error, TR_ENOT_FOUND, "no agent type \"%.200s\" here (%u type%s known)", wanted, types->count, types->count == 1 ? " is" : "s are");
  return tr_core_undeliverable(core, msg, TR_ENOT_FOUND, error.text);
}

/* ---- on their way ---- */

static int to_isolate(tr_core *core, int isolate, tr_msg *msg, tr_turn *from) {
  tr_call *call = tr_call_of(msg);
  if (call) tr_call_left(call);
  return core->far->send(core->far_ud, isolate, msg, from);
}

static int to_agent(tr_core *core, tr_agent *agent, tr_msg *msg, tr_turn *from) {
  int err = tr_mail_deliver(core, agent, msg, from);
  return err ? tr_core_refused(core, msg, agent, err) : 0;
}

static int to_class(tr_core *core, tr_class *class_, tr_msg *msg, tr_turn *from) {
  int home = core->far && !class_->pinned ? core->far->home(core->far_ud, class_, msg->target_key) : -1;
  if (home >= 0) return to_isolate(core, home, msg, from);
  tr_agent *agent = tr_agent_obtain(class_, msg->target_key);
  return agent ? to_agent(core, agent, msg, from) : tr_core_no_agent(core, msg, class_);
}

/* An agent whose type is not here, but elsewhere (remote.c); or NULL. */
static tr_agent *find_unlisted(const tr_core *core, const tr_msg *msg) {
  const tr_class *class_ = tr_table_get(&core->unlisted, msg->target_type);
  return class_ ? tr_table_get(&class_->by_key, msg->target_key) : NULL;
}

int tr_core_to_door(tr_core *core, tr_dest *dest, tr_msg *msg) {
  if (dest->away) return tr_core_undeliverable(core, msg, TR_EUNAVAILABLE, "the process that has this agent is away");
  if (dest->down && msg->more && msg->more->hops) /* its sender may wait longer than is good: it can ask again */
    return tr_core_undeliverable(core, msg, TR_EUNAVAILABLE, "the host that may have this agent is away");
  tr_call *call = msg->kind == TR_MSG_REQUEST ? tr_call_of(msg) : NULL;
  if (call) tr_call_left(call);
  dest->ops->request(dest, msg);
  return 0;
}

static int to_named(tr_core *core, tr_msg *msg) {
  tr_dest *uplink = tr_uplink_named(core, msg->via);
  return uplink ? tr_core_to_door(core, uplink, msg)
                : tr_core_undeliverable(core, msg, TR_EUNAVAILABLE, "the connection that this proxy is bound to was closed");
}

/* Of one that is handled, or handed on, by this process: did it come before, must it be made whole first? Then *rc is the result. An
 * interceptor sees what comes once, and whole. */
static bool is_taken(tr_core *core, tr_msg *msg, int *rc) {
  const tr_msg_more *more = msg->more;
  *rc = 0;
  if (more->token[0] && msg->from_wire && msg->kind == TR_MSG_REQUEST && !more->resend && tr_resend_take(core, msg)) return true;
  if (!more->refs) return false;
  *rc = tr_refs_resolve(core, msg);
  return true;
}

void tr_core_intercept(tr_core *core, tr_intercept_fn fn, void *ud) {
  core->intercept = fn;
  core->intercept_ud = ud;
}

bool tr_core_is_intercepted(const tr_core *core) { return core->intercept || core->shows_first; }

void tr_core_show_first(tr_core *core, bool first) { core->shows_first = first; }

/* It goes by the first isolate, whose interceptor sees it. */
static bool is_to_be_shown(const tr_core *core, const tr_msg *msg) {
  if (!core->shows_first || msg->shown) return false;
  return !tr_name_reserved(tr_name_view(msg->kind == TR_MSG_EVENT ? msg->target_type : msg->target_key));
}

/* Of what no class here and no client of ours takes. */
static bool may_go_up(const tr_msg *msg) { return !msg->from_wire || msg->inside || (msg->more && msg->more->hops); }

/* true: it goes on. */
static bool intercept(tr_core *core, tr_msg *msg, int *result) {
  tr_error why;
  *result = 0;
  if (core->intercepting || msg->shown) return true; /* what the interceptor itself sends */
  if (tr_name_reserved(tr_name_view(msg->kind == TR_MSG_EVENT ? msg->target_type : msg->target_key))) return true; /* ours */
  tr_error_init(&why);
  core->intercepting = true;
  int rc = core->intercept(core->intercept_ud, msg, &why);
  core->intercepting = false;
  msg->shown = true;
  if (rc == 0) return true;
  if (rc != TR_INTERCEPT_DROP) {
    *result = tr_core_undeliverable(core, msg, rc, why.code ? why.text : NULL);
    return false;
  }
  core->stats.dropped++;
  if (msg->kind == TR_MSG_REQUEST) tr_msg_fail(msg, TR_ECANCELLED, "the message was dropped by an interceptor");
  return false; /* whoever sent it has done nothing wrong */
}

/* Its type is here, this id is not. */
static inline bool is_elsewhere(const tr_class *class_, const tr_msg *msg) {
  if (class_->limited && !tr_class_serves(class_, msg->target_key)) return true;
  return class_->shared && tr_shared_goes_up(class_, msg);
}

static TR_APART int route_any(tr_core *core, tr_msg *msg, tr_turn *from) {
  if (core->closing) return tr_core_undeliverable(core, msg, TR_EUNAVAILABLE, "the runtime is closing");
  int err = 0;
  if (msg->more && msg->from_wire && is_taken(core, msg, &err)) return err;
  if (core->intercept && !intercept(core, msg, &err)) return err;
  if (is_to_be_shown(core, msg) && !msg->cancelled) return to_isolate(core, 0, msg, from);
  if (!msg->crossed) tr_seen_by(core, TR_SEEN_SENT, msg, NULL, 0, NULL); /* else it was where it began */
  if (msg->kind == TR_MSG_EVENT) return tr_core_publish(core, msg, from);
  if (msg->cancelled) { /* before it went out */
    msg->reply_to.answer = NULL;
    return TR_ECANCELLED;
  }
  bool result = tr_key_is_result(tr_name_view(msg->target_key));
  if (!result && tr_name_reserved(tr_name_view(msg->target_key)))
    return tr_core_undeliverable(core, msg, TR_EINVALID, "agent keys that begin with \"" TR_RESERVED "\" are reserved");
  if (msg->kind == TR_MSG_REQUEST) core->stats.requests += !msg->crossed;
  else core->stats.sends += !msg->crossed;
  if (msg->via && core->far && core->index > 0) return to_isolate(core, 0, msg, from);
  if (msg->via) return to_named(core, msg);
  tr_route_type *type = tr_router_type(core->router, msg->target_type);
  bool here = type && type->dest == &core->local;
  tr_agent *elsewhere = core->unlisted.count ? find_unlisted(core, msg) : NULL;
  if (msg->more && (here || elsewhere) && is_taken(core, msg, &err)) return err;
  if (elsewhere) return to_agent(core, elsewhere, msg, from);
  if (here && !result && is_elsewhere(type->user, msg)) {
    type = NULL;
    here = false;
  }
  if (result && (here || tr_result_find(core, tr_name_view(msg->target_key)))) {
    unsigned at = tr_result_isolate(core, tr_name_view(msg->target_key));
    return at == core->index ? tr_result_serve(core, msg) : to_isolate(core, (int)at, msg, from);
  }
  if (here) return to_class(core, type->user, msg, from);
  if (type) return tr_core_to_door(core, type->dest, msg);
  if (core->far && core->index > 0) return to_isolate(core, 0, msg, from);
  tr_dest *uplink = may_go_up(msg) ? tr_uplink_pick(core, msg->target_type) : NULL;
  return uplink ? tr_core_to_door(core, uplink, msg) : unknown_type(core, msg);
}

/* Nothing asked for but what every message needs. */
static inline bool is_plain(const tr_core *core, const tr_msg *msg) {
  if (msg->kind == TR_MSG_EVENT || msg->more || msg->cancelled || msg->via) return false;
  if (core->closing || core->intercept || core->observe || core->far || core->unlisted.count) return false;
  const char *key = msg->target_key->text;
  return key[0] != 't' || key[1] != 'r' || key[2] != 'o'; /* else it may be a reserved one */
}

/* The short way of nearly all messages: to an agent of this isolate. */
int tr_core_route(tr_core *core, tr_msg *msg, tr_turn *from) {
  tr_route_type *type = is_plain(core, msg) ? tr_router_type(core->router, msg->target_type) : NULL;
  if (!type || type->dest != &core->local || ((const tr_class *)type->user)->partial) return route_any(core, msg, from);
  if (msg->kind == TR_MSG_REQUEST) core->stats.requests++;
  else core->stats.sends++;
  tr_class *class_ = type->user;
  tr_agent *agent = tr_agent_obtain(class_, msg->target_key);
  return agent ? to_agent(core, agent, msg, from) : tr_core_no_agent(core, msg, class_);
}

int tr_core_post(tr_core *core, tr_msg *msg) {
  while (msg->kind == TR_MSG_REQUEST && msg->chain == 0) msg->chain = tr_random_next(&core->random);
  int result = tr_core_route(core, msg, NULL);
  msg->sender = NULL;
  tr_msg_unref(msg);
  return result;
}

int tr_core_give(tr_core *core, tr_class *class_, tr_slice key_text, tr_msg *msg) {
  tr_name *key = tr_name_new(core->names, key_text);
  tr_agent *agent = key ? tr_agent_obtain(class_, key) : NULL;
  if (key && !agent) {
    int none = tr_core_no_agent(core, msg, class_);
    tr_name_unref(key);
    tr_msg_unref(msg);
    return none;
  }
  int err = !agent ? TR_EMEMORY : core->ended || (agent->state & TR_AGENT_HALTED) ? TR_EUNAVAILABLE : tr_mail_push(core, agent, msg);
  if (err && agent) tr_core_refused(core, msg, agent, err);
  else if (err) tr_core_undeliverable(core, msg, err, NULL);
  tr_name_unref(key);
  tr_msg_unref(msg);
  return err;
}

tr_call *tr_core_call(tr_core *core, tr_msg *msg, tr_reply_fn fn, void *ud) {
  msg->reply_to = (tr_reply_to){ 0 };
  tr_call *call = core->closing ? NULL : tr_call_new(core, msg, fn, ud);
  if (!call) {
    tr_msg_unref(msg);
    return NULL;
  }
  call->making = true; /* the caller must have its call before fn may hear of it */
  tr_core_post(core, msg);
  call->making = false;
  return call;
}
