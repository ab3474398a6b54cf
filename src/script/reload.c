/* SPDX-License-Identifier: MIT
 * Reload: all that changed, or nothing.
 *
 * 1. Each file whose text, or a module's text, changed is staged: compiled, run, checked (load.c). Nothing that
 * serves is touched. What was taken back before, and has not changed since, is refused.
 * 2. Idle instances of a type whose `version` changed are migrated, with a clone kept to go back to (migration.c).
 * 3. New agent types and new subscriptions are added to the core.
 * 4. Only then, with nothing left that can fail, definitions are swapped, old subscriptions removed, timers
 * compared. A failure before 4 undoes what was done. Turns that are open keep their functions and their instance's
 * old definition; the instance comes to the new one at its next turn (class.c). Programs are not run again.
 *
 * Where the new code is to serve only some keys, the plan is kept between 3 and 4 for as long as that lasts (canary.c). */
#include "script/reloading.h"

typedef tr_swap swap;
typedef tr_pair pair;
typedef tr_reloading plan;

/* --- what changed --- */

static bool module_changed(tr_script *script, const tr_module *module) {
  tr_buf text;
  tr_error error;
  tr_error_init(&error);
  tr_buf_init(&text, script->mem);
  int rc = tr_read_source(script, module->path, &text, &error);
  bool changed = rc || tr_source_hash(tr_buf_view(&text)) != module->hash;
  tr_buf_fini(&text);
  return changed;
}

static bool modules_changed(const tr_script_file *file) {
  const tr_link *modules = tr_script_file_modules(file);
  if (!modules) return false;
  for (tr_link *link = modules->next; link != modules; link = link->next)
    if (module_changed(file->script, TR_CONTAINER(link, tr_module, link))) return true;
  return false;
}

static int stage(swap *self, tr_slice source, tr_error *error) {
  const tr_script_file *file = self->file;
  self->stage = (tr_stage){ .script = file->script, .name = file->name, .source = source, .args = file->args, .argc = file->argc,
                            .error = error };
  self->staged = true;
  return tr_stage_run(&self->stage);
}

/* From texts that are kept. */
static int stage_code(swap *self, tr_code *code, tr_error *error) {
  tr_slice source = { NULL, 0 };
  tr_code_find(code, code->name, &source);
  self->file->script->code = code;
  int rc = stage(self, source, error);
  self->file->script->code = NULL;
  if (rc) return rc;
  tr_code_unref(self->stage.version->code); /* it is the same text: kept once */
  self->stage.version->code = tr_code_ref(code);
  return 0;
}

/* Stage what the file was, from the texts of then. */
static int stage_version(swap *self, uint32_t number, tr_error *error) {
  const tr_version *then = tr_file_version_at(self->file, number);
  if (!then || tr_file_is_at(self->file, then)) return 0;
  int rc = stage_code(self, then->code, error);
  if (!rc) self->stage.version->origin = then->origin;
  return rc;
}

static int stage_prepared(swap *self, const tr_prepared *prepared, tr_error *error) {
  tr_code *code = tr_prepared_find(prepared, self->file->name);
  return code ? stage_code(self, code, error) : 0;
}

/* Stage the file if it changed. */
static int stage_file(swap *self, tr_slice source, tr_error *error) {
  tr_script_file *file = self->file;
  tr_script *script = file->script;
  int rc = 0;
  tr_buf_init(&self->text, script->mem);
  if (!source.p && file->from_memory) source = tr_slice_make(file->source, file->source_size - 1);
  if (!source.p) {
    rc = tr_read_source(script, file->name, &self->text, error);
    source = tr_slice_make(self->text.data ? (const char *)self->text.data : "", self->text.len);
  }
  if (rc) return rc;
  if (tr_source_hash(source) == file->hash && !modules_changed(file)) return 0;
  return stage(self, source, error);
}

/* Texts that were taken back are refused as long as none of the files that were has changed. */
static int check_undone(const plan *p) {
  const tr_script_file *same = NULL;
  for (size_t i = 0; i < p->swap_count; i++) {
    const swap *it = &p->swaps[i];
    if (!it->file->undone) continue;
    if (!it->staged || !it->stage.version || tr_code_hash(it->stage.version->code) != it->file->undone) return 0;
    if (!same) same = it->file;
  }
  if (!same) return 0;
  p->script->held = true;
  return tr_error_set(p->error, TR_EINVALID, "%s is still what code %u was, and that was taken back: change it, or insist (--again)",
                      same->name, same->undone_number);
}

/* --- who becomes what --- */

bool tr_reloading_has(const plan *p, const tr_script_file *file) {
  for (size_t i = 0; i < p->swap_count; i++)
    if (p->swaps[i].staged && p->swaps[i].file == file) return true;
  return false;
}

static tr_script_class *find_class(const plan *p, const char *type) {
  for (tr_link *link = p->script->classes.next; link != &p->script->classes; link = link->next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    if (strcmp(class_->def->type, type) == 0 && tr_reloading_has(p, class_->file)) return class_;
  }
  return NULL;
}

static int make_pairs(plan *p) {
  size_t count = 0;
  for (size_t i = 0; i < p->swap_count; i++)
    for (tr_link *l = p->swaps[i].stage.definitions.next; p->swaps[i].staged &&
         l != &p->swaps[i].stage.definitions; l = l->next) count++;
  if (count == 0) return 0;
  p->pairs = tr_calloc(p->script->mem, count, sizeof *p->pairs);
  if (!p->pairs) return tr_error_set(p->error, TR_EMEMORY, "out of memory");
  p->pair_cap = count;
  for (size_t i = 0; i < p->swap_count; i++) {
    if (!p->swaps[i].staged) continue;
    for (tr_link *l = p->swaps[i].stage.definitions.next; l != &p->swaps[i].stage.definitions; l = l->next) {
      pair *self = &p->pairs[p->pair_count++];
      self->def = TR_CONTAINER(l, tr_definition, link);
      self->file = p->swaps[i].file;
      self->class_ = find_class(p, self->def->type);
      tr_list_init(&self->added);
      for (size_t j = 0; j + 1 < p->pair_count; j++)
        if (strcmp(p->pairs[j].def->type, self->def->type) == 0)
          return tr_error_set(p->error, TR_EEXISTS, "%s: agent type `%s` is in %s too", self->file->name,
                              self->def->type, p->pairs[j].file->name);
      if (self->class_ && self->class_->def->own != self->def->own)
        return tr_error_set(p->error, TR_EINVALID, "%s: `vm` of `%s` changed: stop and start for that", self->file->name, self->def->type);
      if (self->class_ && self->class_->def->luv != self->def->luv && p->script->options.subscribed)
        return tr_error_set(p->error, TR_EINVALID, "%s: with several threads luv decides where `%s` lives: stop and start for that", self->file->name,
                            self->def->type);
      if (self->class_ && self->class_->def->program != self->def->program)
        return tr_error_set(p->error, TR_EINVALID, "%s: `%s` was %s and is now %s: stop and start for that",
                            self->file->name, self->def->type, self->def->program ? "an agent" : "a program",
                                self->def->program ? "a program" : "an agent");
    }
  }
  return 0;
}

/* --- what the core must know before --- */

static int add_subs(pair *self, tr_error *error) {
  for (tr_link *link = self->def->subs.next, *next; link != &self->def->subs; link = next) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    bool there = false;
    next = link->next;
    for (tr_link *old = self->class_->subs.next; old != &self->class_->subs && !there; old = old->next)
      there = tr_sub_spec_same(sub, TR_CONTAINER(old, tr_sub_spec, link));
    if (there) continue;
    int rc = tr_sub_spec_activate(sub, self->class_->core_class, error);
    if (rc == TR_EEXISTS) { /* ctx:subscribe was quicker */
      tr_error_init(error);
      continue;
    }
    if (rc) return rc;
    tr_link_remove(link);
    tr_list_push(&self->added, link);
  }
  return 0;
}

static int prepare(plan *p) {
  for (size_t i = 0; i < p->pair_count; i++) {
    pair *self = &p->pairs[i];
    int rc;
    if (self->class_) {
      rc = add_subs(self, p->error);
    } else {
      self->class_ = tr_script_class_new(p->script, self->file, self->def, p->error);
      self->fresh = self->class_ != NULL;
      rc = self->fresh ? 0 : p->error->code;
    }
    if (rc) return rc;
  }
  return 0;
}

static void undo(plan *p) {
  for (size_t i = 0; i < p->pair_count; i++) {
    pair *self = &p->pairs[i];
    for (tr_link *link; (link = tr_list_pop(&self->added));) {
      tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
      tr_class_unsubscribe(self->class_->core_class, sub->id);
      tr_sub_spec_free(sub);
    }
    if (self->fresh) tr_script_class_remove(self->class_);
  }
  tr_reloading_restore(p);
}

/* --- the swap: nothing here may fail --- */

static void swap_subs(pair *self) {
  tr_script_class *class_ = self->class_;
  for (tr_link *link = class_->subs.next, *next; link != &class_->subs; link = next) {
    tr_sub_spec *old = TR_CONTAINER(link, tr_sub_spec, link);
    next = link->next;
    if (tr_subs_have(self->def, old)) continue;
    tr_class_unsubscribe(class_->core_class, old->id);
    tr_link_remove(link);
    tr_sub_spec_free(old);
  }
  for (tr_link *link; (link = tr_list_pop(&self->added));) tr_list_push(&class_->subs, link);
}

static void swap_class(plan *p, pair *self) {
  tr_script_class *class_ = self->class_;
  tr_definition *old = class_->def;
  swap_subs(self);
  class_->reloaded = true;
  class_->def = self->def;
  self->def->refs++;
  tr_class_versions_add(class_, self->def, p->script->number);
  class_->file = self->file;
  tr_link_remove(&class_->by_file);
  tr_list_push(&self->file->classes, &class_->by_file);
  tr_class_options options = tr_script_class_options(class_, self->def);
  tr_class_set_options(class_->core_class, &options);
  tr_class_revive(class_->core_class, NULL, NULL); /* newer code, another try */
  tr_reloading_settle(p, self);
  tr_definition_unref(old);
}

bool tr_reloading_keeps(const plan *p, const tr_script_class *class_) {
  for (size_t i = 0; i < p->pair_count; i++)
    if (p->pairs[i].class_ == class_) return true;
  return false;
}

const char *tr_script_reloaded(const tr_script *script) { return script->reloaded; }
bool tr_script_reload_held(const tr_script *script) { return script->held; }

static void note_names(const plan *p) {
  char *out = p->script->reloaded;
  size_t n = 0, size = sizeof p->script->reloaded;
  out[0] = 0;
  for (size_t i = 0; i < p->swap_count && n < size; i++) {
    if (!p->swaps[i].staged) continue;
    const char *name = p->swaps[i].file->name;
    bool fits = n + strlen(name) + 8 < size;
    n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", fits ? name : "…");
    if (!fits) return;
  }
}

/* What is left behind was worse than what is gone back to: not by accident again. */
static void mark_undone(const plan *p, const swap *it) {
  tr_script_file *file = it->file;
  const tr_version *left = tr_file_version_at(file, UINT32_MAX), *taken = it->stage.version;
  if (!left || !taken) return;
  if (p->going_back && taken->origin < left->origin) tr_file_undone(file, left);
  else file->undone = 0;
}

/* The new code is for all. */
static void commit(plan *p) {
  tr_script *script = p->script;
  p->taken = true;
  if (p->canary) tr_canary_over(p);
  else script->last_number++;
  script->number = script->last_number;
  for (size_t i = 0; i < p->pair_count; i++) {
    if (p->pairs[i].fresh) p->pairs[i].def->number = script->number;
    else swap_class(p, &p->pairs[i]);
  }
  for (tr_link *link = script->classes.next, *next; link != &script->classes; link = next) {
    tr_script_class *class_ = TR_CONTAINER(link, tr_script_class, all);
    next = link->next;
    if (tr_reloading_has(p, class_->file) && !tr_reloading_keeps(p, class_)) tr_script_class_retire(class_);
  }
  for (size_t i = 0; i < p->swap_count; i++) {
    if (!p->swaps[i].staged) continue;
    mark_undone(p, &p->swaps[i]);
    tr_script_file_take(p->swaps[i].file, &p->swaps[i].stage);
  }
  if (script->options.classes_changed) script->options.classes_changed(script->options.ud);
}

static int prepare_all(plan *p) {
  int rc = make_pairs(p);
  if (!rc) rc = tr_reloading_migrate(p);
  if (!rc) rc = prepare(p);
  if (rc) undo(p);
  return rc;
}

void tr_reloading_free(plan *p) {
  tr_script *script = p->script;
  tr_reloading_rest(p);
  for (size_t i = 0; i < p->swap_count; i++) {
    if (p->swaps[i].staged) tr_stage_fini(&p->swaps[i].stage);
    if (p->swaps[i].text.mem) tr_buf_fini(&p->swaps[i].text);
  }
  tr_codecs_end(script->codecs, &p->steps, p->taken);
  tr_free(script->mem, p->pairs, p->pair_cap * sizeof *p->pairs);
  tr_free(script->mem, p->swaps, p->swap_count * sizeof *p->swaps);
  TR_DELETE(script->mem, p);
}

static plan *plan_new(tr_script *script, size_t count, tr_error *error) {
  plan *p = TR_NEW(script->mem, plan);
  if (!p) return NULL;
  p->script = script;
  p->swap_count = count;
  p->backups_ref = LUA_NOREF;
  tr_list_init(&p->steps);
  p->error = error;
  p->swaps = tr_calloc(script->mem, count, sizeof *p->swaps);
  if (p->swaps) return p;
  TR_DELETE(script->mem, p);
  return NULL;
}

/* All that can fail. *out stays NULL where nothing changed. */
static int begin(tr_script *script, tr_script_file *const *files, size_t count, const tr_reload_options *options, size_t *changed,
                 plan **out, tr_error *error) {
  int rc = 0;
  *changed = 0;
  *out = NULL;
  if (count == 0) return 0;
  plan *p = plan_new(script, count, error);
  if (!p) return tr_error_set(error, TR_EMEMORY, "out of memory");
  p->trial = options->trial;
  p->going_back = options->to != 0 && !options->again;
  if (options->canary) {
    p->reach = TR_FOR_SOME;
    rc = tr_canary_read(options->canary, &p->next, error);
  }
  script->steps = &p->steps;
  for (size_t i = 0; i < count && !rc; i++) {
    p->swaps[i].file = files[i];
    rc = options->prepared ? stage_prepared(&p->swaps[i], *options->prepared, error)
       : options->to       ? stage_version(&p->swaps[i], options->to, error)
                           : stage_file(&p->swaps[i], options->source, error);
    if (p->swaps[i].staged) ++*changed;
  }
  script->steps = NULL;
  if (!rc && !options->to && !options->again && !options->prepared) rc = check_undone(p);
  if (!rc && *changed > 0) rc = prepare_all(p);
  if (rc) *changed = 0;
  if (rc || *changed == 0) {
    tr_reloading_free(p);
    return rc;
  }
  note_names(p);
  *out = p;
  return 0;
}

tr_script *tr_reloading_script(const tr_reloading *p) { return p->script; }

size_t tr_reloading_texts(const tr_reloading *p, tr_code **out, size_t room) {
  size_t n = 0;
  for (size_t i = 0; i < p->swap_count; i++) {
    if (!p->swaps[i].staged || !p->swaps[i].stage.version) continue;
    if (n++ < room) out[n - 1] = p->swaps[i].stage.version->code;
  }
  return n;
}

/* The step of a canary leaves the plan; the last one ends it. */
void tr_script_reload_end(tr_reloading *p, bool taken) {
  if (!p) return;
  tr_script *script = p->script;
  bool stays = p->canary ? !taken || p->reach == TR_FOR_SOME : taken && p->reach == TR_FOR_SOME;
  if (!taken && p->canary) tr_reloading_restore(p);
  else if (!taken) undo(p);
  else if (p->reach == TR_FOR_ALL) commit(p);
  else tr_canary_commit(p);
  if (p->canary && !stays) script->canary = NULL;
  if (stays) tr_reloading_rest(p);
  else tr_reloading_free(p);
}

int tr_reload(tr_script *script, tr_script_file *const *files, size_t count, const tr_reload_options *options, size_t *changed,
              tr_error *error) {
  plan *p;
  if (script->canary) return tr_canary_step(script, options, changed, &p, error); /* which refuses it */
  int rc = begin(script, files, count, options, changed, &p, error);
  if (!rc) tr_script_reload_end(p, true);
  return rc;
}

/* --- by name --- */

static size_t count_files(const tr_script *script) {
  size_t n = 0;
  for (tr_link *link = script->files.next; link != &script->files; link = link->next) n++;
  return n;
}

int tr_script_reload_begin(tr_script *script, const tr_reload_options *options, size_t *changed, tr_reloading **out, tr_error *error) {
  size_t count = options->count, n = count ? count : count_files(script), filled = 0;
  int rc = options->to ? tr_version_check(script, options->to, error) : 0;
  *changed = 0;
  *out = NULL;
  script->held = false;
  if (!rc && (script->canary || options->promote || options->undo)) return tr_canary_step(script, options, changed, out, error);
  if (n == 0 || rc) return rc;
  tr_script_file **files = tr_calloc(script->mem, n, sizeof *files);
  if (!files) return tr_error_set(error, TR_EMEMORY, "out of memory");
  if (count == 0)
    for (tr_link *link = script->files.next; link != &script->files; link = link->next)
      files[filled++] = TR_CONTAINER(link, tr_script_file, all);
  for (; filled < count && !rc; filled++) {
    files[filled] = tr_script_file_find(script, options->names[filled]);
    if (!files[filled]) rc = tr_error_set(error, TR_ENOT_FOUND, "%s: is not loaded", options->names[filled]);
  }
  if (!rc) rc = begin(script, files, n, options, changed, out, error);
  tr_free(script->mem, files, n * sizeof *files);
  return rc;
}

int tr_script_reload(tr_script *script, const char *const *names, size_t count, size_t *changed, tr_error *error) {
  tr_reload_options options = { .names = names, .count = count };
  tr_reloading *p = NULL;
  size_t unused;
  tr_error own;
  tr_error_init(&own);
  int rc = tr_script_reload_begin(script, &options, changed ? changed : &unused, &p, error ? error : &own);
  if (!rc) tr_script_reload_end(p, true);
  return rc;
}
