/* SPDX-License-Identifier: MIT
 * Instances: from the first message for an id to the moment it leaves memory.
 *
 * An instance begins as a mailbox: whoever sends to it makes the struct, nothing more. ops->make and the INIT turn
 * follow in its first slot, so that sending never runs an agent's code, and all who have sent by then hear of a
 * failure. What failed is dropped whole: the next message begins anew.
 *
 * An instance that leaves goes out of its class's table first, so that mail that comes meanwhile makes a new one,
 * then its turns are cancelled and its mail is answered. Its memory stays until the ready list lets go of it. */
#include <stdio.h>

#include "core/internal.h"

_Static_assert(sizeof(tr_agent) <= 120, "a million idle agents should not cost more");

tr_agent *tr_agent_obtain(tr_class *class_, tr_name *key) {
  tr_core *core = class_->core;
  tr_agent *agent = tr_table_get(&class_->by_key, key);
  if (agent) return agent;
  agent = class_->agent_count < class_->instances ? tr_pool_take_zeroed(&core->agents, core->mem) : NULL;
  if (!agent) return NULL;
  agent->class_ = class_;
  agent->key = key;
  if (tr_table_add(&class_->by_key, agent)) {
    tr_pool_give(&core->agents, core->mem, agent);
    return NULL;
  }
  tr_name_ref(key);
  tr_list_push(&class_->agents, &agent->by_class);
  class_->agent_count++;
  core->stats.agents++;
  return agent;
}

int tr_agent_none(const tr_class *class_, tr_error *error) {
  if (class_->agent_count < class_->instances) return tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  class_->core->stats.overloaded++;
  return tr_error_set(error, TR_EOVERLOADED, "there are %zu instances of \"%.200s\", as many as limits.instances allows (`idle` puts unused ones out of memory)",
                      class_->agent_count, class_->type->text);
}

int tr_agent_make(tr_core *core, tr_agent *agent, tr_error *error) {
  tr_class *class_ = agent->class_;
  (void)core;
  if (agent->state & TR_AGENT_MADE) return 0;
  int err = class_->ops->make ? class_->ops->make(class_->ud, agent, error) : 0;
  if (err) return tr_error_set(error, err, "%s", tr_error_default_text(err));
  agent->state |= TR_AGENT_MADE;
  return 0;
}

tr_agent_extra *tr_agent_get_extra(tr_core *core, tr_agent *agent) {
  tr_agent_extra *extra = agent->extra;
  if (extra) return extra;
  extra = agent->extra = TR_NEW(core->mem, tr_agent_extra);
  if (extra) tr_list_init(&extra->parked);
  return extra;
}

tr_agent *tr_class_get(tr_class *class_, tr_slice key_text, tr_error *error) {
  tr_core *core = class_->core;
  if (tr_key_check(key_text, error)) return NULL;
  if (class_->removed) {
    tr_error_set(error, TR_EUNAVAILABLE, "agent type \"%s\" was removed", class_->type->text);
    return NULL;
  }
  tr_name *key = tr_name_new(core->names, key_text);
  tr_agent *agent = key ? tr_agent_obtain(class_, key) : NULL;
  tr_name_unref(key);
  if (!agent) {
    if (key) tr_agent_none(class_, error);
    else tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
    return NULL;
  }
  if (agent->state & TR_AGENT_HALTED) {
    const tr_agent_extra *extra = agent->extra;
    tr_error_set(error, TR_EUNAVAILABLE, "%s", extra->halted ? extra->halted : tr_error_default_text(TR_EUNAVAILABLE));
    return NULL;
  }
  if (agent->state & TR_AGENT_HELD) return agent; /* elsewhere */
  int err = tr_agent_make(core, agent, error);
  if (!err) return agent;
  tr_agent_stop(core, agent, err, error ? error->text : NULL);
  return NULL;
}

tr_agent *tr_class_find_mailbox(const tr_class *class_, tr_slice key_text) {
  tr_name *key = tr_name_find(class_->core->names, key_text);
  return key ? tr_table_get(&class_->by_key, key) : NULL;
}

tr_agent *tr_class_find(const tr_class *class_, tr_slice key_text) {
  tr_agent *agent = tr_class_find_mailbox(class_, key_text);
  return agent && (agent->state & TR_AGENT_MADE) ? agent : NULL;
}

tr_agent *tr_class_next_agent(const tr_class *class_, tr_agent *after) {
  for (tr_link *link = after ? after->by_class.next : class_->agents.next; link != &class_->agents; link = link->next) {
    tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    if (agent->state & TR_AGENT_MADE) return agent;
  }
  return NULL;
}

tr_agent *tr_class_next_mailbox(const tr_class *class_, tr_agent *after) {
  tr_link *link = after ? after->by_class.next : class_->agents.next;
  return link == &class_->agents ? NULL : TR_CONTAINER(link, tr_agent, by_class);
}

int tr_agent_start(tr_agent *agent) {
  if (agent->state & (TR_AGENT_LIVE | TR_AGENT_DEAD | TR_AGENT_HALTED | TR_AGENT_HELD) || agent->turn) return 0;
  agent->state |= TR_AGENT_START;
  tr_agent_ready(tr_agent_core(agent), agent);
  return 0;
}

/* ---- the end ---- */

void tr_agent_leave(tr_core *core, tr_agent *agent, int code, const char *text) {
  tr_class *class_ = agent->class_;
  agent->state |= TR_AGENT_DEAD;
  agent->ready_turns = NULL;
  if (agent->extra) tr_members_leave(core, agent);
  else tr_table_remove(&class_->by_key, agent);
  tr_link_remove(&agent->by_class);
  while (agent->turn) tr_turn_abort(core, agent->turn, code, text);
  tr_mail_fail_all(core, agent, code, text);
  if (agent->state & TR_AGENT_REMOTE) tr_remote_left(core, agent);
  if ((agent->state & TR_AGENT_MADE) && class_->ops->drop) class_->ops->drop(class_->ud, agent);
  if (agent->extra) {
    tr_agent_extra *extra = agent->extra;
    tr_free(core->mem, extra->halted, extra->halted_size);
    tr_free(core->mem, extra, sizeof *extra);
  }
  tr_name_unref(agent->key);
  core->stats.agents--;
  core->agents_freed++;
  class_->agent_count--;
  if (class_->removed) tr_class_release(class_);
  if (!(agent->state & TR_AGENT_QUEUED)) tr_agent_release(core, agent);
}

void tr_agent_release(tr_core *core, tr_agent *agent) { tr_pool_give(&core->agents, core->mem, agent); }

void tr_agent_stop(tr_core *core, tr_agent *agent, int code, const char *text) {
  if (agent->state & (TR_AGENT_DEAD | TR_AGENT_STOP)) return;
  if (agent == core->slot_agent) tr_agent_stop_in_slot(core, agent, code, text);
  else tr_agent_leave(core, agent, code, text);
}

void tr_agent_stop_in_slot(tr_core *core, tr_agent *agent, int code, const char *text) {
  if (agent->state & TR_AGENT_STOP) return;
  agent->state |= TR_AGENT_STOP;
  tr_error_init(&core->stop_error);
  tr_error_set(&core->stop_error, code, "%s", text ? text : tr_error_default_text(code));
}

void tr_agent_end_slot(tr_core *core, tr_agent *agent) {
  core->slot_agent = NULL;
  if (agent->state & TR_AGENT_STOP) {
    tr_error why = core->stop_error; /* what leaves may stop another */
    tr_agent_leave(core, agent, why.code, why.text);
  } else if (agent->state & (TR_AGENT_RESET | TR_AGENT_HALTED)) {
    tr_agent_reset(core, agent);
  } else if (tr_agent_wants(agent)) {
    tr_agent_ready(core, agent);
  }
}

bool tr_agent_is_halted(const tr_agent *agent) { return (agent->state & TR_AGENT_HALTED) != 0; }
bool tr_agent_is_live(const tr_agent *agent) { return (agent->state & TR_AGENT_LIVE) != 0; }

void tr_agent_name(const tr_agent *agent, char *out, size_t size) {
  snprintf(out, size, "%s/%s", tr_class_type(agent->class_)->text, agent->key->text);
}
