/* SPDX-License-Identifier: MIT
 * Instances that a reload left behind: each comes to its code as soon as it can, without waiting for a message.
 *
 * A turn keeps its code to its end, so a reload marks the instances that have one open (migration.c). When a turn of such a one ends, which
 * may be where Lua must not be entered, it is listed; when the batch of turns is over (tr_script_step) it is brought to its code, as its
 * next message would do it, `migrate` included. What fails then is told, and the instance stays on what it is. Those with a state of their
 * own are listed at the reload itself: the file runs anew in each of them, so a step brings only a few. Next: class.c, own.c. */
#include "script/internal.h"

#define STEP_MOST 16

/* With another turn on old code, or one that has brought it along. */
static bool is_busy(const tr_instance *instance) { return tr_agent_is_closing(instance->agent) || tr_instance_is_open(instance); }

/* Where memory runs out it follows at its next message. */
void tr_instance_list_late(tr_instance *instance) {
  tr_script *home = tr_script_home(instance->class_->script);
  tr_instance_more *more = instance->agent ? tr_instance_get_more(instance) : NULL;
  if (!more || more->late.next) return;
  more->late_instance = instance;
  tr_list_push(&home->late, &more->late);
  tr_core_wake(home->core);
}

void tr_instance_left_behind(tr_instance *instance, const tr_definition *def) {
  const tr_script *script = instance->class_->script;
  if (tr_script_is_foreign(script)) return;
  instance->late = instance->def->number != def->number;
  if (!instance->late || is_busy(instance)) return;
  if (script->own || instance->agent->turn || !instance->has_self) tr_instance_list_late(instance);
  else instance->late = false; /* it settles at once */
}

static int adopt(lua_State *L, void *ud) {
  tr_instance *instance = ud;
  tr_need_stack(L, 20);
  tr_instance_push(L, instance->class_, instance->agent);
  tr_instance_adopt(L, instance, lua_gettop(L));
  return 0;
}

int tr_instance_catch_up(tr_instance *instance, tr_error *error) {
  tr_script *script = instance->class_->script;
  uint32_t owner = script->owner;
  script->owner = instance->account;
  int rc = tr_script_protect(script, adopt, instance, error);
  script->owner = owner;
  return rc;
}

static void bring(tr_instance *instance) {
  tr_script *script = instance->class_->script;
  char name[200];
  tr_error error;
  if (is_busy(instance)) return; /* the end of that turn lists it again */
  tr_error_init(&error);
  tr_agent_name(instance->agent, name, sizeof name);
  instance->late = false;
  int rc = script->own ? tr_own_catch_up(script->own, instance, &error) : tr_instance_catch_up(instance, &error); /* it may be gone now */
  if (rc)
    tr_log_write(tr_core_log(script->core), TR_LOG_WARN, "reload.late", "agent=%s error=\"%s: %s\" (it follows at its next message)", name,
                 tr_error_name(rc), error.text);
}

void tr_script_catch_up(tr_script *home) {
  for (int i = 0; i < STEP_MOST && !tr_list_empty(&home->late); i++) {
    const tr_instance_more *more = TR_CONTAINER(tr_list_pop(&home->late), tr_instance_more, late);
    bring(more->late_instance);
  }
}
