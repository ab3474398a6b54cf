/* SPDX-License-Identifier: MIT
 * vm = "own": each instance of such a type lives in a Lua state of its own, with a memory limit that nothing in it can pass.
 *
 * The file runs twice. Once in the isolate's shared state, as every file does: there its table is read, and the core gets the type with
 * its subscriptions and policies. And once more for each instance, when that comes to memory, in a state of its own with the texts of
 * that same version (code.c); the definition of the type that this gives is the one whose functions run.
 *
 * To everything else such a state is what the state of a host program is (foreign.c): a tr_script with a *home*. Its turns have a pcall
 * of their own, bodies wait in the home's slots and are copied from one state into the other at both ends, what is kept of it while it
 * is not in memory is the home's. It is ours all the same: our allocator, sandbox and hook. All that is allocated in it is charged to
 * the one account of its agent, so `limits.memory` holds as everywhere (limit.c), exactly: what is refused is refused at a sixteenth
 * above it, and only this agent ever collects this garbage.
 *
 * The instance knows its type by a tr_script_class of its own (`part`), whose `whole` is that of the home. After a reload the new
 * version is run here when no turn of the instance is open (late.c), at the latest before its next message; what fails then leaves this one
 * instance on the old code. */
#include "script/internal.h"

struct tr_own {
  tr_script script;
  tr_link link;         /* of the home's */
  tr_script_class part;
  unsigned entered;     /* runs of its code that are under way */
  bool left;            /* its instance is gone: to be closed when nothing of it runs */
};

/* --- life --- */

static void own_free(tr_own *own) {
  tr_script *script = &own->script;
  script->closing = true;
  tr_futures_close(script);
  tr_timer_stop(tr_core_timers(script->core), &own->part.idle_timer);
  if (script->L) tr_definition_unref(own->part.def);
  tr_lua_turns_close(script);
  tr_address_close(script);
  if (script->L) tr_script_state_close(script); /* else it could not be opened */
  tr_locals_forget(script);
  tr_code_unref(script->code);
  tr_link_remove(&own->link);
  TR_DELETE(script->mem, own);
}

void tr_own_leave(tr_own *own) {
  own->left = true;
  if (!own->entered) own_free(own);
}

void tr_owns_close(tr_script *home) {
  while (!tr_list_empty(&home->owns)) own_free(TR_CONTAINER(home->owns.next, tr_own, link));
}

void tr_owns_plug(tr_script *home) {
  for (tr_link *link = home->owns.next; link != &home->owns; link = link->next)
    TR_CONTAINER(link, tr_own, link)->script.plugged = true;
}

static void init_part(tr_own *own, tr_script_class *whole) {
  tr_script_class *part = &own->part;
  part->script = &own->script;
  part->whole = whole;
  part->core_class = whole->core_class;
  tr_list_init(&part->all);
  tr_list_init(&part->by_file);
  tr_list_init(&part->subs);
  tr_list_init(&part->run_subs);
  tr_list_init(&part->idle);
}

static void init_script(tr_own *own, tr_script *home, size_t memory) {
  tr_script *script = &own->script;
  tr_script_init(script, home->mem);
  script->options = home->options;
  script->options.memory_limit = memory + memory / 16;
  script->core = home->core;
  script->codecs = home->codecs;
  script->plugged = home->plugged;
  script->get_type = home->get_type;
  script->home = home;
  script->own = own;
  script->owner = script->base_owner = TR_ACCOUNT_TRANSIT; /* where bodies on their way are, too */
  tr_list_push(&home->owns, &own->link);
}

/* --- its code --- */

static tr_definition *find_type(const tr_stage *stage, const char *type) {
  for (tr_link *link = stage->definitions.next; link != &stage->definitions; link = link->next) {
    tr_definition *def = TR_CONTAINER(link, tr_definition, link);
    if (!def->program && strcmp(def->type, type) == 0) return def;
  }
  return NULL;
}

/* Run the version that the type is on. An error leaves the definition as it was, and is not tried again before the next version. */
static int bring(tr_own *own, const tr_definition *model, tr_error *error) {
  tr_script *script = &own->script;
  tr_code *before = script->code, *code = script->code = tr_code_ref(model->code);
  tr_stage stage = { .script = script, .name = code->name, .args = code->args, .argc = code->argc, .error = error };
  tr_code_unref(before);
  tr_code_find(code, code->name, &stage.source);
  script->refused = 0;
  int rc = tr_stage_run(&stage);
  tr_definition *def = rc ? NULL : find_type(&stage, model->type), *old = own->part.def;
  if (!rc && !def)
    rc = tr_error_set(error, TR_EINVALID, "%s: gave no agent `%s` when it ran again (with vm = \"own\" it runs for each instance)",
                      code->name, model->type);
  if (rc && tr_meter_own_refused(script, model, "its file was loaded", error)) rc = error->code;
  if (def) {
    def->refs++;
    def->number = model->number;
    own->part.def = def;
    tr_definition_unref(old);
  }
  tr_stage_fini(&stage);
  return rc;
}

static tr_own *own_new(tr_script_class *class_, const tr_definition *model, tr_error *error) {
  tr_script *home = class_->script;
  tr_own *own = TR_NEW(home->mem, tr_own);
  if (!own) {
    tr_error_set(error, TR_EMEMORY, "out of memory");
    return NULL;
  }
  init_script(own, home, model->memory);
  init_part(own, class_);
  int rc = tr_script_state_open(&own->script, error);
  if (rc && tr_meter_own_refused(&own->script, model, "its state was made", error)) rc = error->code;
  if (!rc) rc = bring(own, model, error);
  if (!rc) return own;
  own_free(own);
  return NULL;
}

static void follow(tr_own *own, const tr_definition *model, const tr_agent *agent) {
  tr_error error;
  char name[200];
  tr_error_init(&error);
  if (!bring(own, model, &error)) {
    own->script.options.memory_limit = own->part.def->memory + own->part.def->memory / 16;
    return;
  }
  tr_agent_name(agent, name, sizeof name);
  tr_log_write(tr_core_log(own->script.core), TR_LOG_ERROR, "reload.failed", "agent=%s error=\"%s: %s\" (it stays on the old version)", name,
               tr_error_name(error.code), error.text);
}

int tr_own_catch_up(tr_own *own, tr_instance *instance, tr_error *error) {
  const tr_definition *model = tr_class_code(own->part.whole, instance->agent);
  own->entered++;
  if (own->script.code != model->code) follow(own, model, instance->agent);
  int rc = tr_instance_catch_up(instance, error);
  if (rc && tr_meter_own_refused(&own->script, model, "its state was brought to new code", error)) rc = error->code;
  own->script.refused = 0;
  own->entered--;
  if (!own->entered && own->left) own_free(own);
  return rc;
}

/* --- a turn --- */

static int cannot_be_made(tr_script *script, tr_turn *turn, const tr_error *error) {
  tr_fail_log(script, NULL, "init.failed", turn->agent, turn->msg ? turn->msg->type->text : "init", error);
  tr_turn_fail(turn, TR_ECONSTRUCTION, error->text);
  return TR_RUN_DONE;
}

int tr_own_run(tr_script_class *class_, tr_turn *turn) {
  const tr_instance *instance = turn->agent->user;
  tr_error error;
  tr_error_init(&error);
  if (!instance && turn->kind == TR_TURN_CLOSE) return TR_RUN_DONE;
  if (class_->canary && tr_canary_refuses(class_, turn)) return TR_RUN_DONE;
  const tr_definition *model = tr_class_code(class_, turn->agent);
  tr_own *own = instance ? instance->class_->script->own : own_new(class_, model, &error);
  if (!own) return cannot_be_made(class_->script, turn, &error);
  own->entered++;
  if (!turn->user && own->script.code != model->code) follow(own, model, turn->agent);
  int result = tr_foreign_run(&own->part, turn);
  own->entered--;
  if (!own->entered && (own->left || (!instance && !turn->agent->user))) own_free(own);
  return result;
}
