/* SPDX-License-Identifier: MIT
 * What a reload would do, a type at a time: for --dry-run, and for the answer to one that was done. */
#include "script/reloading.h"

typedef tr_reloading plan;
typedef tr_pair pair;

static bool has_tick(const tr_definition *def, const tr_tick_spec *tick) {
  for (size_t i = 0; i < def->tick_count; i++)
    if (def->ticks[i].type == tick->type && def->ticks[i].period == tick->period) return true;
  return false;
}

static unsigned new_ticks(const tr_definition *def, const tr_definition *before) {
  unsigned n = 0;
  for (size_t i = 0; i < def->tick_count; i++) n += !has_tick(before, &def->ticks[i]);
  return n;
}

static unsigned length(const tr_link *list) {
  unsigned n = 0;
  for (const tr_link *link = list->next; link != list; link = link->next) n++;
  return n;
}

static unsigned gone_subs(const pair *self) {
  unsigned n = 0;
  for (tr_link *link = self->class_->subs.next; link != &self->class_->subs; link = link->next)
    n += !tr_subs_have(self->def, TR_CONTAINER(link, tr_sub_spec, link));
  return n;
}

/* Those that this step brings to other code; `self` NULL: all, its type is gone. */
static void count_instances(const plan *p, const pair *self, const tr_script_class *class_, tr_change *change) {
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));) {
    const tr_instance *instance = agent->user;
    if (!instance || (self && tr_reloading_target(p, self, agent) == instance->def)) continue;
    change->instances++;
    change->busy += agent->turn != NULL;
  }
}

/* The way back, out of a canary: what came with it goes. */
static void turn_round(tr_change *change) {
  tr_change was = *change;
  change->added = was.removed;
  change->removed = was.added;
  change->from = was.to;
  change->to = was.from;
  change->subs_added = was.subs_removed;
  change->subs_removed = was.subs_added;
  change->timers_added = was.timers_removed;
  change->timers_removed = was.timers_added;
}

void tr_script_reload_changes(const tr_reloading *p, void (*fn)(void *ud, const tr_change *change), void *ud) {
  for (size_t i = 0; i < p->pair_count; i++) {
    const pair *self = &p->pairs[i];
    const tr_definition *def = self->def, *old = self->class_->def;
    tr_change change = { .type = def->type, .added = self->fresh, .from = old->version, .to = def->version };
    if (!self->fresh) {
      count_instances(p, self, self->class_, &change);
      change.subs_added = length(&self->added);
      change.subs_removed = gone_subs(self);
      change.timers_added = new_ticks(def, old);
      change.timers_removed = new_ticks(old, def);
    }
    if (p->reach == TR_FOR_NONE) turn_round(&change);
    fn(ud, &change);
  }
  for (tr_link *link = p->script->classes.next; link != &p->script->classes; link = link->next) {
    const tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (!class_->file || !tr_reloading_has(p, class_->file) || tr_reloading_keeps(p, class_)) continue;
    tr_change change = { .type = class_->def->type, .removed = true, .from = class_->def->version, .to = class_->def->version };
    count_instances(p, NULL, class_, &change);
    fn(ud, &change);
  }
}
