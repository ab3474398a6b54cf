/* SPDX-License-Identifier: MIT
 * `requeue`: agents whose open turns can be begun again.
 *
 * At the beginning of a turn the instance's state is copied, in the form in which it would be saved, and a second
 * reference to the message keeps its body whole. So a save at any moment stores the agent as if the turn had not begun:
 * the state from before, and the message as mail. Turns that its own calls led back to it belong to that turn and need
 * no copy. Where the copy fails, the log says so once and a save waits for the turn as for any other. */
#include "script/internal.h"

/* Made at its first turn: few agents need one. NULL: out of memory. */
static tr_buf *before_of(tr_instance *instance) {
  tr_mem *mem = instance->class_->script->mem;
  tr_instance_more *more = tr_instance_get_more(instance);
  if (!more || more->before) return more ? more->before : NULL;
  more->before = TR_NEW(mem, tr_buf);
  if (more->before) tr_buf_init(more->before, mem);
  return more->before;
}

void tr_requeue_begin(tr_lua_turn *turn) {
  tr_instance *instance = turn->instance;
  tr_error error;
  turn->kept = tr_msg_ref(turn->turn->msg);
  if (turn->turn->below) return;
  tr_error_init(&error);
  tr_buf *before = before_of(instance);
  if (before) tr_buf_clear(before);
  else tr_error_set(&error, TR_EMEMORY, "out of memory");
  if (before && tr_instance_save(instance, before, &error) == 0) return;
  if (before) tr_buf_clear(before);
  if (tr_script_class_once(instance->class_, "requeue", TR_SLICE_LITERAL("")))
    tr_log_write(tr_core_log(turn->script->core), TR_LOG_ERROR, "requeue.failed",
                 "agent_type=%s error=\"%s: %s\" (a save waits for its turns; told once)", instance->def->type,
                 tr_error_name(error.code), error.text);
}

void tr_requeue_end(tr_lua_turn *turn) {
  tr_msg_unref(turn->kept);
  turn->kept = NULL;
  if (!turn->turn->below && turn->instance->more->before) tr_buf_clear(turn->instance->more->before);
}

bool tr_script_requeues(const tr_agent *agent) {
  const tr_instance *instance = agent->user;
  if (!agent->turn || !tr_class_requeues(agent->class_) || !tr_script_class_of(agent->class_)) return false;
  for (const tr_turn *turn = agent->turn; turn; turn = turn->below)
    if (turn->kind == TR_TURN_CLOSE || (turn->kind == TR_TURN_MESSAGE && !(instance && instance->more->before && instance->more->before->len))) return false;
  return true;
}
