/* SPDX-License-Identifier: MIT
 * Classes: the agent types that live in this isolate. A class is a row of the router's type table whose destination
 * is the core itself; its `user` leads from the type's name to the class without hashing a text.
 *
 * A class that is removed while one of its own turns is on the C stack, or while an event is being given out, stays
 * in memory until the last instance and subscription that point to it are gone. */
#include "core/internal.h"

static uint32_t weight_of(uint64_t bytes) {
  return (uint32_t)(((bytes < TR_MAILBOX_BYTES_MOST ? bytes : TR_MAILBOX_BYTES_MOST) + TR_WEIGHT - 1) / TR_WEIGHT);
}

static void set_options(tr_class *class_, const tr_class_options *options) {
  class_->ud = options->ud;
  class_->mailbox_limit = options->mailbox_limit ? options->mailbox_limit : TR_MAILBOX_DEFAULT;
  class_->mailbox_weight = weight_of(options->mailbox_bytes ? options->mailbox_bytes : TR_MAILBOX_BYTES);
  class_->instances = options->instances ? options->instances : TR_INSTANCES_DEFAULT;
  class_->overflow = options->overflow;
  class_->priority = options->priority;
  class_->reentrant = options->reentrant;
  class_->has_init = options->has_init;
  class_->has_close = options->has_close;
  class_->pool = options->pool;
  class_->exclusive_init = options->exclusive_init;
  class_->first = options->first;
  class_->pinned = options->pinned;
  class_->requeue = options->requeue;
  class_->core->shared += options->shared - class_->shared;
  class_->shared = options->shared;
  class_->partial = class_->limited || class_->shared;
}

static int add_unlisted(tr_core *core, tr_class *class_) {
  if (core->unlisted.cap == 0) tr_table_init(&core->unlisted, core->mem, offsetof(tr_class, type));
  return tr_table_add(&core->unlisted, class_);
}

/* Its name, and its place among the types. */
static int enlist(tr_core *core, tr_class *class_, tr_slice type) {
  class_->type = tr_name_new(core->names, type);
  if (!class_->type) return TR_EMEMORY;
  return class_->unlisted ? add_unlisted(core, class_) : tr_router_register_name(core->router, class_->type, &core->local, NULL);
}

int tr_core_add_class(tr_core *core, const tr_class_options *options, tr_class **out, tr_error *error) {
  int err = tr_agent_type_check(options->type, error);
  if (err) return err;
  if (!options->ops || !options->ops->run || !options->ops->cancel)
    return tr_error_set(error, TR_EINVALID, "agent type \"%.*s\" has no run or no cancel", TR_SLICE_ARG(options->type));
  tr_class *class_ = TR_NEW(core->mem, tr_class);
  if (!class_) return tr_error_set(error, TR_EMEMORY, "%s", tr_error_default_text(TR_EMEMORY));
  class_->core = core;
  class_->unlisted = options->unlisted;
  err = enlist(core, class_, options->type);
  if (err) {
    tr_name_unref(class_->type);
    TR_DELETE(core->mem, class_);
    return tr_error_set(error, err, "agent type \"%.*s\": %s", TR_SLICE_ARG(options->type),
                        err == TR_EEXISTS ? "it is there already" : tr_error_default_text(err));
  }
  class_->ops = options->ops;
  set_options(class_, options);
  tr_list_init(&class_->agents);
  tr_list_init(&class_->subs);
  tr_table_init(&class_->by_key, core->mem, offsetof(tr_agent, key));
  tr_list_push(&core->classes, &class_->link);
  core->pinned += class_->pinned;
  if (!options->unlisted) tr_router_type(core->router, class_->type)->user = class_;
  err = options->direct_topics ? tr_direct_hear(class_) : 0;
  if (err) tr_error_set(error, err, "%s", tr_error_default_text(err));
  if (err) tr_core_remove_class(core, class_);
  else if (out) *out = class_;
  return err;
}

void tr_class_release(tr_class *class_) {
  if (class_->agent_count > 0 || class_->sub_count > 0) return;
  if (class_->retired) {
    tr_link_remove(&class_->link);
    if (class_->ops->gone) class_->ops->gone(class_->ud);
  }
  tr_table_fini(&class_->by_key);
  tr_class_free_served(class_);
  tr_name_unref(class_->type);
  TR_DELETE(class_->core->mem, class_);
}

/* An instance of this class that can be stopped now. */
static tr_agent *find_stoppable(const tr_class *class_) {
  for (tr_link *link = class_->agents.next; link != &class_->agents; link = link->next) {
    tr_agent *agent = TR_CONTAINER(link, tr_agent, by_class);
    if (!(agent->state & TR_AGENT_STOP)) return agent;
  }
  return NULL;
}

/* Nobody finds it any more. It is held until the caller takes 1 off sub_count. */
static void hide(tr_core *core, tr_class *class_) {
  class_->removed = true;
  core->pinned -= class_->pinned;
  core->shared -= class_->shared;
  class_->sub_count++;
  tr_link_remove(&class_->link);
  if (class_->unlisted) tr_table_remove(&core->unlisted, class_);
  else tr_router_unregister(core->router, tr_name_view(class_->type), &core->local);
  tr_local_subs_drop_class(class_);
}

void tr_core_retire_class(tr_core *core, tr_class *class_) {
  if (class_->removed) return;
  hide(core, class_);
  class_->retired = true;
  tr_list_push(&core->retired, &class_->link);
  uint64_t freed = core->agents_freed;
  for (tr_link *link = class_->agents.next; link != &class_->agents;) { /* anew where one left at once */
    tr_agent_close(core, TR_CONTAINER(link, tr_agent, by_class), TR_CLOSE_REMOVED);
    link = freed == core->agents_freed ? link->next : class_->agents.next;
    freed = core->agents_freed;
  }
  class_->sub_count--;
  tr_class_release(class_);
}

void tr_core_remove_class(tr_core *core, tr_class *class_) {
  if (class_->removed && !class_->retired) return;
  if (class_->retired) {
    class_->retired = false;
    class_->sub_count++;
    tr_link_remove(&class_->link);
  } else {
    hide(core, class_);
  }
  const char *why = core->closing ? "the runtime is closing" : "its agent type was removed";
  for (tr_agent *agent; (agent = find_stoppable(class_));) tr_agent_stop(core, agent, TR_EUNAVAILABLE, why);
  class_->sub_count--;
  tr_class_release(class_);
}

tr_class *tr_core_find_class(const tr_core *core, tr_slice type) {
  tr_name *name = tr_name_find(core->names, type);
  tr_route_type *route = name ? tr_router_type(core->router, name) : NULL;
  return route && route->dest == &core->local ? route->user : NULL;
}

void *tr_class_ud(const tr_class *class_) { return class_->ud; }
const tr_class_ops *tr_class_get_ops(const tr_class *class_) { return class_->ops; }
void tr_class_set_ud(tr_class *class_, void *ud) { class_->ud = ud; }
void tr_class_set_options(tr_class *class_, const tr_class_options *options) { set_options(class_, options); }
uint32_t tr_class_mailbox_limit(const tr_class *class_) { return class_->mailbox_limit; }
uint64_t tr_class_mailbox_bytes(const tr_class *class_) { return (uint64_t)class_->mailbox_weight * TR_WEIGHT; }
tr_name *tr_class_type(const tr_class *class_) { return class_->type; }
size_t tr_class_agent_count(const tr_class *class_) { return class_->agent_count; }
bool tr_class_is_program(const tr_class *class_) { return class_->exclusive_init; }
bool tr_class_is_first(const tr_class *class_) { return class_->exclusive_init || class_->first; }
bool tr_class_requeues(const tr_class *class_) { return class_->requeue; }

tr_class *tr_core_next_class(const tr_core *core, tr_class *after) {
  tr_link *link = after ? after->link.next : core->classes.next;
  return link == &core->classes ? NULL : TR_CONTAINER(link, tr_class, link);
}
