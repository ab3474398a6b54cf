/* SPDX-License-Identifier: MIT
 * A canary: new code that serves some keys, until it is made all's or undone.
 *
 * It is a reload (reload.c) that stopped before its last step and is kept: the script has the plan, each type that it changes has both
 * codes, and an instance's key says which one it runs. So to promote is the last step, with the code that was tried and not with what the
 * files say by then; to undo is to bring the instances back. There is one canary at a time, and no other reload meanwhile.
 *
 * Which keys: one, or a part of all by a hash of the key, which is the same in every process and after every restart; a larger part has
 * the keys of a smaller one. Instances with one key are together in it, whatever their types, as they are in one isolate: they speak to
 * each other. "default", which nearly all single agents have, is hashed with the type.
 *
 * State goes there by `migrate`, and back by the old code's, as with every reload. Old code often has none: then what an instance was
 * before is kept beside it, and that comes back; one that only the canary made begins anew, and the log says so.
 *
 * Of subscriptions, those that only the new code has give to its keys, those that only the old one has to the others. What belongs to a
 * type as a whole (mailbox, pool, priority, …) changes when the canary is promoted. */
#include <stdlib.h>

#include "base/map.h"
#include "script/reloading.h"

#define KEYS 10000 /* a part is of so many */

/* --- which keys --- */

static int read_portion(const char *text, size_t n, tr_canary *out, tr_error *error) {
  char *end;
  double percent = strtod(text, &end);
  if (end != text + n - 1 || !(percent > 0 && percent <= 100) || strspn(text, "0123456789.") != n - 1)
    return tr_error_set(error, TR_EINVALID, "a canary of %.100s: expected more than 0%% and up to 100%%, or a key (=KEY, whatever it looks like)", text);
  out->portion = (uint32_t)(percent * KEYS / 100 + 0.5);
  if (!out->portion) out->portion = 1;
  return 0;
}

int tr_canary_read(const char *text, tr_canary *out, tr_error *error) {
  size_t n = strlen(text);
  memset(out, 0, sizeof *out);
  if (n > 0 && text[n - 1] == '%' && text[0] != '=') return read_portion(text, n, out, error);
  if (n > 0 && strspn(text, "0123456789.") == n)
    return tr_error_set(error, TR_EINVALID, "a canary of %.100s: a part of all keys is %.100s%%, and this key is =%.100s", text, text, text);
  if (text[0] == '=') text++;
  if (!*text) return tr_error_set(error, TR_EINVALID, "a canary of nothing: expected a part of all keys (10%%) or a key");
  int rc = tr_key_check(tr_slice_of(text), error);
  if (!rc) strcpy(out->key, text);
  return rc;
}

bool tr_canary_has(const tr_canary *self, tr_slice type, tr_slice key) {
  if (!self->portion) return tr_slice_is(key, self->key);
  uint64_t seed = tr_slice_is(key, "default") ? tr_hash(0x6361, type) : 0x6b6579;
  return ((uint64_t)tr_hash(seed, key) * KEYS) >> 32 < self->portion;
}

bool tr_class_is_canary(const tr_script_class *class_, tr_slice key) {
  return tr_canary_has(&class_->script->canary->share, tr_slice_of(class_->def->type), key);
}

static void describe(const tr_canary *self, char out[TR_CANARY_TEXT]) {
  if (self->portion) snprintf(out, TR_CANARY_TEXT, "%g%%", (double)self->portion * 100 / KEYS);
  else snprintf(out, TR_CANARY_TEXT, "key %.250s", self->key);
}

uint32_t tr_script_canary(const tr_script *script, char which[TR_CANARY_TEXT]) {
  if (!script->canary) return 0;
  if (which) describe(&script->canary->share, which);
  return script->last_number;
}

/* --- state: the way back --- */

/* Does this code take a state where the code that serves cannot follow? */
static bool leads_away(const tr_script_class *whole, const tr_definition *def) {
  return whole->canary && def->number == whole->canary->number && def->version != whole->def->version && whole->def->migrate_ref == LUA_NOREF;
}

void tr_canary_keep(lua_State *L, tr_instance *instance, const tr_definition *def) {
  if (!leads_away(tr_class_whole(instance->class_), def)) return;
  tr_instance_more *more = tr_instance_get_more(instance);
  if (!more) tr_raise_memory(L);
  if (more->before_ref) luaL_unref(L, LUA_REGISTRYINDEX, more->before_ref);
  more->before_ref = 0;
  lua_pushvalue(L, -1);
  tr_clone_top(L);
  more->before_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static void forget(tr_instance *instance) {
  lua_State *L = instance->class_->script->L;
  if (!instance->more->before_ref || !lua_checkstack(L, 4)) return;
  luaL_unref(L, LUA_REGISTRYINDEX, instance->more->before_ref);
  instance->more->before_ref = 0;
}

bool tr_canary_take_back(lua_State *L, tr_instance *instance, int at) {
  if (!instance->more->before_ref) return false;
  tr_push_ref(L, instance->more->before_ref);
  lua_replace(L, -2);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, at, 1);
  forget(instance);
  return true;
}

bool tr_canary_needs(const tr_instance *instance) {
  const tr_script_class *whole = tr_class_whole(instance->class_);
  return whole->canary && instance->def->number == whole->canary->number && instance->def->version != whole->def->version;
}

/* --- failures --- */

void tr_canary_failed(const tr_instance *instance, uint32_t number) {
  tr_script_class *whole = tr_class_whole(instance->class_);
  if (whole->canary) ++*(number == whole->canary->number ? &whole->failed_canary : &whole->failed);
}

bool tr_script_class_canary(const tr_class *core_class, tr_canary_about *out) {
  const tr_script_class *class_ = tr_script_class_of(core_class);
  if (!class_ || !class_->canary) return false;
  *out = (tr_canary_about){ .failed = class_->failed_canary, .failed_others = class_->failed };
  for (tr_agent *agent = NULL; (agent = tr_class_next_agent(core_class, agent));) {
    const tr_instance *instance = agent->user;
    if (!instance || instance->def->number != class_->canary->number) continue;
    out->instances++;
    out->turns += (uint32_t)tr_agent_turn_count(agent);
  }
  return true;
}

/* --- a type that only the canary has --- */

bool tr_canary_refuses(const tr_script_class *class_, tr_turn *turn) {
  char text[300];
  if (!class_->fresh || tr_class_is_canary(class_, tr_name_view(turn->agent->key))) return false;
  snprintf(text, sizeof text, "no agent type \"%.100s\" here for this key: it is of a canary, code %u", class_->def->type, class_->canary->number);
  tr_turn_fail(turn, TR_ENOT_FOUND, text);
  return true;
}

/* --- subscriptions --- */

static bool of_canary(void *ud, tr_slice key) { return tr_class_is_canary(ud, key); }
static bool of_others(void *ud, tr_slice key) { return !tr_class_is_canary(ud, key); }

static void filter(tr_script_class *class_, const tr_link *subs, bool (*only)(void *ud, tr_slice key)) {
  for (const tr_link *link = subs->next; link != subs; link = link->next)
    tr_class_sub_only(class_->core_class, TR_CONTAINER(link, tr_sub_spec, link)->id, only, class_);
}

static void divide_subs(tr_pair *pair) {
  tr_script_class *class_ = pair->class_;
  filter(class_, pair->fresh ? &class_->subs : &pair->added, of_canary);
  for (tr_link *link = pair->fresh ? &class_->subs : class_->subs.next; link != &class_->subs; link = link->next) {
    const tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    if (!tr_subs_have(pair->def, sub)) tr_class_sub_only(class_->core_class, sub->id, of_others, class_);
  }
}

static const tr_pair *pair_of(const tr_reloading *p, const tr_script_class *class_) {
  for (size_t i = 0; i < p->pair_count; i++)
    if (p->pairs[i].class_ == class_) return &p->pairs[i];
  return NULL;
}

const tr_link *tr_canary_subs(const tr_script_class *class_, const tr_definition *def) {
  const tr_pair *pair = class_->canary && !class_->fresh && def->number == class_->canary->number ? pair_of(class_->script->canary, class_) : NULL;
  return pair ? &pair->added : NULL;
}

static void drop_added(tr_pair *pair) {
  for (tr_link *link; (link = tr_list_pop(&pair->added));) {
    tr_sub_spec *sub = TR_CONTAINER(link, tr_sub_spec, link);
    tr_class_unsubscribe(pair->class_->core_class, sub->id);
    tr_sub_spec_free(sub);
  }
}

/* --- its beginning and its end --- */

static void set_options(tr_script_class *class_) {
  tr_class_options options = tr_script_class_options(class_, class_->def);
  tr_class_set_options(class_->core_class, &options);
}

static void enter(tr_reloading *p, tr_pair *pair) {
  tr_script_class *class_ = pair->class_;
  class_->canary = pair->def;
  pair->def->refs++;
  if (pair->fresh) pair->def->number = p->script->last_number;
  else tr_class_versions_add(class_, pair->def, p->script->last_number);
  class_->fresh = pair->fresh;
  class_->failed = class_->failed_canary = 0;
  divide_subs(pair);
  set_options(class_);
}

/* Its types have one code again. */
static void leave(tr_pair *pair) {
  tr_script_class *class_ = pair->class_;
  tr_definition *def = class_->canary;
  filter(class_, &class_->subs, NULL);
  filter(class_, &pair->added, NULL);
  class_->canary = NULL;
  class_->fresh = false;
  set_options(class_);
  tr_definition_unref(def);
}

static void undo(tr_pair *pair) {
  drop_added(pair);
  leave(pair);
  if (pair->fresh) tr_script_class_retire(pair->class_);
}

static void mark_undone(const tr_reloading *p) {
  for (size_t i = 0; i < p->swap_count; i++) {
    const tr_swap *it = &p->swaps[i];
    if (!it->staged || !it->stage.version) continue;
    it->stage.version->number = p->script->last_number;
    tr_file_undone(it->file, it->stage.version);
  }
}

/* Does this step bring other code to the keys that it is asked of? */
typedef struct crossing { const tr_reloading *p; tr_slice type; tr_canary before; bool begins; } crossing;

static bool crosses(void *ud, tr_slice key) {
  const crossing *self = ud;
  bool was = !self->begins && tr_canary_has(&self->before, self->type, key);
  return was != (self->p->reach == TR_FOR_SOME && tr_canary_has(&self->p->share, self->type, key));
}

void tr_canary_commit(tr_reloading *p) {
  tr_script *script = p->script;
  bool begins = !p->canary;
  crossing step = { .p = p, .before = p->share, .begins = begins };
  if (begins) {
    script->canary = p;
    p->canary = true;
    script->last_number++;
  }
  if (p->reach == TR_FOR_SOME) p->share = p->next;
  for (size_t i = 0; i < p->pair_count; i++) {
    if (begins) enter(p, &p->pairs[i]);
    step.type = tr_slice_of(p->pairs[i].def->type);
    tr_class_revive(p->pairs[i].class_->core_class, crosses, &step); /* other code, another try */
    tr_reloading_settle(p, &p->pairs[i]);
    if (p->reach == TR_FOR_NONE) undo(&p->pairs[i]);
  }
  if (p->reach == TR_FOR_NONE) mark_undone(p);
  if (script->options.classes_changed) script->options.classes_changed(script->options.ud);
}

void tr_canary_over(tr_reloading *p) {
  for (size_t i = 0; i < p->pair_count; i++) {
    tr_pair *pair = &p->pairs[i];
    for (tr_agent *agent = NULL; (agent = tr_class_next_agent(pair->class_->core_class, agent));)
      if (agent->user) forget(agent->user);
    leave(pair);
    if (pair->fresh) pair->class_->started = false; /* keys that it had not begin */
    else tr_link_remove(&pair->def->held);          /* it is added as what serves */
  }
}

void tr_canary_drop(tr_script *script) {
  tr_reloading *p = script->canary;
  for (size_t i = 0; p && i < p->pair_count; i++) {
    drop_added(&p->pairs[i]);
    leave(&p->pairs[i]);
  }
  script->canary = NULL;
  if (p) tr_reloading_free(p);
}

/* --- its steps --- */

static bool is_still(tr_script *script, const tr_swap *swap) {
  const tr_code *code = swap->stage.version ? swap->stage.version->code : NULL;
  bool same = true;
  tr_slice known;
  for (const char *path = NULL; code && same && (path = tr_code_next(code, path, &known));) {
    tr_buf text;
    tr_error error;
    if (swap->file->from_memory && strcmp(path, code->name) == 0) continue;
    tr_error_init(&error);
    tr_buf_init(&text, script->mem);
    same = !tr_read_source(script, path, &text, &error) && tr_slice_equal(tr_buf_view(&text), known);
    tr_buf_fini(&text);
  }
  return same;
}

/* A larger or smaller part is of the code that is tried. */
static int check_files(tr_script *script, const tr_reloading *p, tr_error *error) {
  for (size_t i = 0; i < p->swap_count; i++)
    if (p->swaps[i].staged && !is_still(script, &p->swaps[i]))
      return tr_error_set(error, TR_EINVALID, "%s has changed since code %u began as a canary: first promote that or undo it (--promote, --undo)",
                          p->swaps[i].file->name, script->last_number);
  return 0;
}

static int refuse(const tr_script *script, tr_error *error) {
  char which[TR_CANARY_TEXT];
  if (!tr_script_canary(script, which)) return tr_error_set(error, TR_ENOT_FOUND, "there is no canary: code %u serves all", script->number);
  return tr_error_set(error, TR_EINVALID, "code %u is a canary (%s): first promote it or undo it (--promote, --undo)", script->last_number, which);
}

int tr_canary_step(tr_script *script, const tr_reload_options *options, size_t *changed, tr_reloading **out, tr_error *error) {
  tr_reloading *p = script->canary;
  int rc = 0;
  *changed = 0;
  *out = NULL;
  if (!p || options->to || !(options->promote || options->undo || options->canary)) return refuse(script, error);
  if (options->canary) rc = tr_canary_read(options->canary, &p->next, error);
  if (options->canary && !rc) rc = check_files(script, p, error);
  if (rc) return rc;
  p->reach = options->promote ? TR_FOR_ALL : options->undo ? TR_FOR_NONE : TR_FOR_SOME;
  p->trial = options->trial;
  p->error = error;
  rc = tr_reloading_migrate(p);
  if (rc) {
    tr_reloading_restore(p);
    tr_reloading_rest(p);
    return rc;
  }
  for (size_t i = 0; i < p->swap_count; i++) *changed += p->swaps[i].staged;
  *out = p;
  return 0;
}
