/* SPDX-License-Identifier: MIT
 * The loaded files: what is known of each, and the list of all paths for a watcher. */
#include "script/internal.h"

tr_script_file *tr_script_file_find(const tr_script *script, const char *name) {
  for (tr_link *link = script->files.next; link != &script->files; link = link->next) {
    tr_script_file *file = TR_CONTAINER(link, tr_script_file, all);
    if (strcmp(file->name, name) == 0) return file;
  }
  return NULL;
}

static void free_args(tr_script_file *file) {
  for (size_t i = 0; i < file->argc; i++)
    if (file->args[i]) tr_free(file->script->mem, file->args[i], strlen(file->args[i]) + 1);
  tr_free(file->script->mem, file->args, file->argc * sizeof *file->args);
  file->args = NULL;
  file->argc = 0;
}

int tr_file_set_args(tr_script_file *file, const tr_slice *args, size_t argc) {
  free_args(file);
  if (argc == 0) return 0;
  file->args = tr_calloc(file->script->mem, argc, sizeof *file->args);
  if (!file->args) return TR_EMEMORY;
  file->argc = argc;
  for (size_t i = 0; i < argc; i++) {
    file->args[i] = tr_strndup(file->script->mem, args[i].p, args[i].n);
    if (!file->args[i]) return TR_EMEMORY;
  }
  return 0;
}

void tr_script_file_free(tr_script_file *file) {
  tr_script *script = file->script;
  while (!tr_list_empty(&file->classes))
    tr_script_class_remove(TR_CONTAINER(file->classes.next, tr_script_class, by_file));
  free_args(file);
  tr_file_forget(file);
  tr_luv_leave_unit(script, file->unit_ref);
  if (lua_checkstack(script->L, 4)) luaL_unref(script->L, LUA_REGISTRYINDEX, file->unit_ref);
  tr_free(script->mem, file->name, strlen(file->name) + 1);
  tr_free(script->mem, file->source, file->source_size);
  tr_link_remove(&file->all);
  TR_DELETE(script->mem, file);
}

void tr_script_file_take(tr_script_file *file, tr_stage *stage) {
  lua_State *L = file->script->L;
  tr_luv_leave_unit(file->script, file->unit_ref);
  if (lua_checkstack(L, 4)) luaL_unref(L, LUA_REGISTRYINDEX, file->unit_ref);
  file->unit_ref = stage->unit_ref;
  stage->unit_ref = LUA_NOREF;
  file->hash = tr_source_hash(stage->source);
  if (stage->version) tr_file_keep(file, stage->version);
  stage->version = NULL;
}

tr_link *tr_script_file_modules(const tr_script_file *file) {
  lua_State *L = file->script->L;
  if (file->unit_ref == LUA_NOREF || !lua_checkstack(L, 4)) return NULL;
  tr_push_ref(L, file->unit_ref);
  tr_unit *unit = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return unit ? &unit->modules : NULL;
}

/* --- for a watcher --- */

static bool seen_before(const tr_script *script, const tr_script_file *until, const char *path) {
  for (tr_link *link = script->files.next; link != &until->all; link = link->next) {
    const tr_script_file *file = TR_CONTAINER(link, tr_script_file, all);
    const tr_link *modules = tr_script_file_modules(file);
    if (strcmp(file->name, path) == 0) return true;
    for (tr_link *l = modules ? modules->next : NULL; l && l != modules; l = l->next)
      if (strcmp(TR_CONTAINER(l, tr_module, link)->path, path) == 0) return true;
  }
  return false;
}

const char *tr_script_next_file(const tr_script *script, const char *after) {
  bool take = after == NULL;
  for (tr_link *link = script->files.next; link != &script->files; link = link->next) {
    const tr_script_file *file = TR_CONTAINER(link, tr_script_file, all);
    const tr_link *modules = tr_script_file_modules(file);
    if (!seen_before(script, file, file->name)) {
      if (take && !file->from_memory) return file->name;
      if (after && strcmp(file->name, after) == 0) take = true;
    }
    for (tr_link *l = modules ? modules->next : NULL; l && l != modules; l = l->next) {
      const char *path = TR_CONTAINER(l, tr_module, link)->path;
      if (seen_before(script, file, path) || strcmp(path, file->name) == 0) continue;
      if (take) return path;
      if (strcmp(path, after) == 0) take = true;
    }
  }
  return NULL;
}

bool tr_script_where(const tr_script *script, tr_slice type, tr_script_source *out) {
  const tr_script_class *class_ = tr_script_class_find(script, type);
  if (!class_ || !class_->file || class_->file->from_memory || class_->script->home) return false;
  *out = (tr_script_source){ class_->file->name, class_->file->args, class_->file->argc };
  return true;
}
