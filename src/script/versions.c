/* SPDX-License-Identifier: MIT
 * What files were before: for going back to it, and to see who is still on it.
 *
 * Each reload that changes something gets the next number; what was loaded at the start is number 1. A file keeps the texts it was
 * made of (code.c) under the number at which it came to serve. Going back to number N stages each file from the texts that served
 * then, as if they were on the disk: the chunk runs anew, `migrate` is asked, and any failure leaves all as it is. It gets a number
 * of its own, so going back can be gone back from. Texts rather than the compiled code of then: what a chunk remembers in its
 * locals would be of another time.
 *
 * Compiled code is a tr_definition, counted: its class holds the newest, instances and open turns what they are on. Its class lists
 * them, so that it can be told who is late. Next: reload.c. */
#include "script/internal.h"

tr_version *tr_version_new(tr_mem *mem, tr_code *code) {
  tr_version *version = TR_NEW(mem, tr_version);
  if (version) version->code = code;
  return version;
}

void tr_version_free(tr_mem *mem, tr_version *version) {
  if (!version) return;
  tr_code_unref(version->code);
  TR_DELETE(mem, version);
}

uint32_t tr_script_number(const tr_script *script) { return script->number; }

uint32_t tr_script_oldest(const tr_script *script) {
  return script->number > TR_VERSIONS_KEPT ? script->number - TR_VERSIONS_KEPT + 1 : 1;
}

/* --- of a file --- */

static tr_version *at(tr_link *link) { return TR_CONTAINER(link, tr_version, link); }

static void drop_first(tr_script_file *file) { tr_version_free(file->script->mem, at(tr_list_pop(&file->versions))); }

void tr_file_keep(tr_script_file *file, tr_version *version) {
  version->number = file->script->number;
  if (!version->origin) version->origin = version->number;
  tr_list_push(&file->versions, &version->link);
  while (file->versions.next != &version->link && at(file->versions.next->next)->number <= tr_script_oldest(file->script))
    drop_first(file);
}

void tr_file_forget(tr_script_file *file) {
  while (!tr_list_empty(&file->versions)) drop_first(file);
}

const tr_version *tr_file_version_at(const tr_script_file *file, uint32_t number) {
  const tr_version *found = NULL;
  for (tr_link *link = file->versions.next; link != &file->versions && at(link)->number <= number; link = link->next) found = at(link);
  return found;
}

bool tr_file_is_at(const tr_script_file *file, const tr_version *version) { return at(file->versions.prev)->code == version->code; }

void tr_file_undone(tr_script_file *file, const tr_version *bad) {
  file->undone = tr_code_hash(bad->code);
  file->undone_number = bad->number;
}

int tr_version_check(const tr_script *script, uint32_t number, tr_error *error) {
  uint32_t oldest = tr_script_oldest(script);
  if (number > script->number)
    return tr_error_set(error, TR_ENOT_FOUND, "there is no code %u: %u serves now", number, script->number);
  if (number < oldest)
    return tr_error_set(error, TR_ENOT_FOUND, "code %u is not kept any more: %u serves now, and the oldest that is kept is %u", number,
                        script->number, oldest);
  return 0;
}

/* --- of a type --- */

void tr_class_versions_add(tr_script_class *class_, tr_definition *def, uint32_t number) {
  def->number = number;
  tr_list_push(&class_->versions, &def->held);
}

/* Who is on `number` counts, if that is the first that is older than what serves and comes behind `after`. */
static void count_older(const tr_script_class *class_, tr_old_code *first, uint32_t after, uint32_t number, bool is_turn) {
  bool serves = number == class_->def->number || (class_->canary && number == class_->canary->number);
  if (serves || number <= after || (first->number && number > first->number)) return;
  if (number != first->number) *first = (tr_old_code){ number, 0, 0 };
  ++*(is_turn ? &first->turns : &first->instances);
}

/* Instances with states of their own hold the code of those, which the class does not list. number 0: there is none. */
static tr_old_code next_of_own(const tr_script_class *class_, uint32_t after) {
  tr_old_code first = { 0, 0, 0 };
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(class_->core_class, agent));) {
    const tr_instance *instance = agent->user;
    if (instance) count_older(class_, &first, after, instance->def->number, false);
    for (const tr_turn *turn = agent->turn; turn; turn = turn->below)
      if (turn->user) count_older(class_, &first, after, ((const tr_lua_turn *)turn->user)->def->number, true);
  }
  return first;
}

static bool older_of_own(const tr_script_class *class_, size_t i, tr_old_code *out) {
  *out = next_of_own(class_, 0);
  while (out->number && i-- > 0) *out = next_of_own(class_, out->number);
  return out->number != 0;
}

bool tr_script_class_older(const tr_class *core_class, size_t i, tr_old_code *out) {
  const tr_script_class *class_ = tr_script_class_of(core_class);
  if (class_ && class_->def->own) return older_of_own(class_, i, out);
  for (tr_link *link = class_ ? class_->versions.next : NULL; link && link != &class_->versions; link = link->next) {
    const tr_definition *def = TR_CONTAINER(link, tr_definition, held);
    if (def == class_->def || def == class_->canary || i-- > 0) continue;
    *out = (tr_old_code){ def->number, def->instances, def->refs - def->instances };
    return true;
  }
  return false;
}
